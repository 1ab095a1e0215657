//! SNS over HTTPS: let in by its signature, whose certificate is fetched from its own host, and by nothing else.
//!
//! The host is played by openssl with a certificate of our own, reached by way of a proxy.

use crate::http::Reply;
use crate::ledger::tool;
use crate::push::refusals;
use crate::server::{Home, Server, at, eventually};
use crate::sources::put;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:ory";
const HOST: &str = "sns.eu-central-1.amazonaws.com";
/// What a confirmation asks for; without colons, which openssl has no files of.
const CONFIRMATION: &str =
    "?Action=ConfirmSubscription&TopicArn=arn%3Aaws%3Asns%3Aeu-central-1%3A123456789012%3Aory&Token=2336412f37";

pub fn testdata(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../systems/testdata/sns")).join(name)
}

pub fn openssl(args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child =
        tool("openssl").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// Amazon, as far as it matters: its host's name, reached by way of a proxy, with a certificate that only this test's authority
/// vouches for.
struct Amazon {
    server: Child,
    folder: PathBuf,
    proxy: u16,
    /// Connections that were asked for.
    asked: Arc<AtomicUsize>,
    /// Nothing is let through.
    closed: Arc<AtomicBool>,
}

impl Amazon {
    fn start(home: &Path) -> Amazon {
        let folder = home.join("amazon");
        std::fs::create_dir(&folder).unwrap();
        let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let names = format!("subjectAltName=DNS:{HOST}");
        let (key, certificate) = (file("tls.key"), file("tls.pem"));
        let make = [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=test",
            "-addext",
            &names,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            &key,
            "-out",
            &certificate,
        ];
        openssl(&make, b"");
        // What it signs messages with is another certificate; it hands that out as a file.
        std::fs::copy(testdata("certificate.pem"), folder.join("SimpleNotificationService-0a1b.pem")).unwrap();
        let port = free_port();
        let log = std::fs::File::create(folder.join("asked.log")).unwrap();
        let server = tool("openssl")
            .args(["s_server", "-accept", &port.to_string(), "-cert", &certificate, "-key", &key, "-WWW"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        eventually("openssl listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        let asked = Arc::new(AtomicUsize::new(0));
        let closed = Arc::new(AtomicBool::new(false));
        let proxy = proxy(port, Arc::clone(&asked), Arc::clone(&closed));
        Amazon { server, folder, proxy, asked, closed }
    }

    fn authority(&self) -> PathBuf {
        self.folder.join("tls.pem")
    }

    /// Names of files that were asked for and are there.
    fn served(&self) -> String {
        std::fs::read_to_string(self.folder.join("asked.log")).unwrap()
    }
}

impl Drop for Amazon {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A proxy that takes `CONNECT` to Amazon's host only while it is not `closed`, and connects to `port` here.
fn proxy(port: u16, asked: Arc<AtomicUsize>, closed: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, asked, closed) = (stream.unwrap(), Arc::clone(&asked), Arc::clone(&closed));
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                    head.push(byte[0]);
                }
                asked.fetch_add(1, Ordering::SeqCst);
                if closed.load(Ordering::SeqCst) || !head.starts_with(format!("CONNECT {HOST}:443 ").as_bytes()) {
                    let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
                    return;
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let mut there = TcpStream::connect(("127.0.0.1", port)).unwrap();
                let (mut from, mut to) = (stream.try_clone().unwrap(), there.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    // openssl takes the next connection when this one is closed.
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
                let _ = std::io::copy(&mut there, &mut stream);
                let _ = stream.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    at
}

/// A message as SNS posts it, signed with the test's own key.
fn message(kind: &str, text: &str, changes: &Value) -> Value {
    let mut message = json!({
        "Type": kind, "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": TOPIC, "Message": text,
        "Timestamp": at(-60)[..23].to_owned() + "Z", "SignatureVersion": "2",
        "SigningCertURL": format!("https://{HOST}/SimpleNotificationService-0a1b.pem"),
    });
    if kind != "Notification" {
        message["Token"] = json!("2336412f37");
        message["SubscribeURL"] = json!(format!("https://{HOST}/{CONFIRMATION}"));
    }
    for (name, value) in changes.as_object().unwrap() {
        message[name] = value.clone();
    }
    let names: &[&str] = if kind == "Notification" {
        &["Message", "MessageId", "Timestamp", "TopicArn", "Type"]
    } else {
        &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    };
    let signed: String = names.iter().map(|name| format!("{name}\n{}\n", message[*name].as_str().unwrap())).collect();
    let key = testdata("key.der");
    let signature = openssl(&["dgst", "-sha256", "-keyform", "DER", "-sign", key.to_str().unwrap()], signed.as_bytes());
    message["Signature"] = json!(STANDARD.encode(signature));
    message
}

/// Posts as SNS does: plain text, and no key.
fn sns(server: &Server, message: &Value) -> Reply {
    let kind = message["Type"].as_str().unwrap_or("Notification").to_owned();
    let headers = [("content-type", "text/plain; charset=UTF-8"), ("x-amz-sns-message-type", kind.as_str())];
    server.admin.anonymous().post_with("/v1/t/acme/ingest/ory", &headers, message.to_string())
}

#[test]
fn sns_over_https_is_let_in_by_its_signature_and_by_nothing_else() {
    let home = Home::new(&[]);
    let amazon = Amazon::start(home.path());
    let proxy = format!("http://127.0.0.1:{}", amazon.proxy);
    let server =
        home.with("OUTBOUND_PROXY", &proxy).with("OUTBOUND_CA_FILE", amazon.authority().to_str().unwrap()).start();
    server.admin.put("/v1/t/acme", "{}");
    let source = json!({ "system": "ory-network", "kind": "push", "settings": { "sns_topics": [TOPIC] } });
    assert_eq!(put(&server, "acme", "ory", &source).status, 201);

    // The subscription that somebody made for this address is confirmed, for a topic that is configured.
    std::fs::write(amazon.folder.join(CONFIRMATION), "done").unwrap();
    let answer = sns(&server, &message("SubscriptionConfirmation", "You have chosen to subscribe", &json!({}))).ok();
    assert_eq!(answer, json!({ "confirmed": TOPIC }));
    let served = amazon.served();
    assert!(served.contains("FILE:SimpleNotificationService-0a1b.pem") && served.contains(CONFIRMATION), "{served}");

    let event = include_str!("../../../systems/samples/ory-network/events.ndjson").lines().next().unwrap();
    let good = message("Notification", event, &json!({}));
    let answer = sns(&server, &good).ok();
    assert_eq!((&answer["accepted"], &answer["system"]), (&json!(1), &json!("ory-network")), "{answer}");
    assert_eq!(sns(&server, &good).ok()["duplicate"], 1, "SNS may send twice");
    let stored = server.admin.page("acme", "records", &[("q", "source:ory-network"), ("from", "2000-01-01T00:00:00Z")]);
    assert_eq!(stored["items"][0]["action"], "LoginSucceeded", "{stored}");
    assert_eq!(stored["items"][0]["attributes"]["_indelible"]["signature"], "verified", "{stored}");
    assert_eq!(amazon.asked.load(Ordering::SeqCst), 2, "the certificate is fetched once, and the confirmation");
    let ended = sns(&server, &message("UnsubscribeConfirmation", "You have chosen to end", &json!({}))).ok();
    assert_eq!(ended, json!({ "ended": TOPIC }));
    // What could not be confirmed is not said to be.
    amazon.closed.store(true, Ordering::SeqCst);
    let reply = sns(&server, &message("SubscriptionConfirmation", "You have chosen to subscribe", &json!({})));
    assert_eq!(reply.status, 503, "{reply}");
    assert!(!reply.to_string().contains("nothing was stored"), "{reply}");
    amazon.closed.store(false, Ordering::SeqCst);
    let steps = server.admin.page("acme", "audit_logs", &[("q", "action:indelible.sns.*")]);
    let steps: Vec<_> = steps["items"].as_array().unwrap().iter().map(|r| (&r["action"], &r["outcome"])).collect();
    let [confirm, end] = ["indelible.sns.confirm", "indelible.sns.ended"].map(Value::from);
    let [done, failed] = ["success", "failure"].map(Value::from);
    assert_eq!(steps, [(&confirm, &failed), (&end, &done), (&confirm, &done)]);

    // What is no event of Ory's is kept.
    let answer = sns(&server, &message("Notification", "hello", &json!({}))).ok();
    assert_eq!((&answer["accepted"], &answer["unparsed"]), (&json!(1), &json!(1)), "{answer}");

    let other = "arn:aws:sns:eu-central-1:123456789012:other";
    let mut changed = good.clone();
    changed["Message"] = json!(event.replace("LoginSucceeded", "IdentityDeleted"));
    let cases = [
        (changed, "sns_signature"),
        (message("Notification", event, &json!({ "TopicArn": other })), "sns_topic"),
        (message("SubscriptionConfirmation", "x", &json!({ "TopicArn": other })), "sns_topic"),
        (message("Notification", event, &json!({ "Timestamp": "2026-11-01T00:00:00.000Z" })), "sns_time"),
        (message("Notification", event, &json!({ "Timestamp": at(3600)[..23].to_owned() + "Z" })), "sns_time"),
        (
            message(
                "Notification",
                event,
                &json!({ "SigningCertURL": format!("https://{HOST}.evil.example/SimpleNotificationService-0a1b.pem") }),
            ),
            "sns_host",
        ),
        (
            message(
                "Notification",
                event,
                &json!({ "SigningCertURL": format!("http://{HOST}/SimpleNotificationService-0a1b.pem") }),
            ),
            "sns_host",
        ),
        (
            message(
                "SubscriptionConfirmation",
                "x",
                &json!({ "SubscribeURL": "https://evil.example/?Action=ConfirmSubscription&x" }),
            ),
            "sns_host",
        ),
    ];
    let asked = amazon.asked.load(Ordering::SeqCst);
    for (message, code) in &cases {
        sns(&server, message).problem(401, code);
    }
    // Raw delivery has no envelope, and so no signature.
    let raw = [("x-amz-sns-message-type", "Notification"), ("x-amz-sns-rawdelivery", "true")];
    let reply = server.admin.anonymous().post_with("/v1/t/acme/ingest/ory", &raw, event);
    reply.problem(401, "sns_signature");
    assert!(reply.to_string().contains("turn raw message delivery off"), "{reply}");
    // Without a signature, which is no better than with one that does not hold.
    let mut unsigned = message("Notification", event, &json!({}));
    unsigned.as_object_mut().unwrap().remove("Signature");
    sns(&server, &unsigned).problem(401, "sns_signature");
    assert_eq!(amazon.asked.load(Ordering::SeqCst), asked, "nobody has us read an address of theirs");
    assert_eq!(
        refusals(&server),
        ["sns_signature", "sns_topic", "sns_time", "sns_host"],
        "one record of each, however many came"
    );
    assert_eq!(server.metric("indelible_push_refused_total{code=\"sns_host\"}"), 3.0);

    // An address that has none is later, so that SNS sends again; and nobody asks it again at once.
    let missing = message(
        "Notification",
        event,
        &json!({ "SigningCertURL": format!("https://{HOST}/SimpleNotificationService-ffff.pem") }),
    );
    let reply = sns(&server, &missing);
    assert!(reply.status == 503 || reply.status == 401, "{reply}");

    for (body, code) in [("", "sns_malformed"), ("{}", "sns_malformed"), ("[]", "wrong_type"), ("no", "wrong_type")] {
        let headers = [("x-amz-sns-message-type", "Notification")];
        let reply = server.admin.anonymous().post_with("/v1/t/acme/ingest/ory", &headers, body);
        assert_eq!(reply.status, 400, "{body}: {reply}");
        assert!(
            ["sns_malformed", "wrong_type", "invalid_json", "unexpected_end"]
                .contains(&reply.json()["code"].as_str().unwrap()),
            "{code}: {reply}"
        );
    }
    // Without its header it is anybody's request: then a key is needed, and one that has it may send what it likes.
    let reply = server.admin.anonymous().post("/v1/t/acme/ingest/ory", good.to_string());
    reply.problem(401, "no_signature");
    let by_key = include_str!("../../../systems/samples/ory-network/events.ndjson").lines().nth(1).unwrap();
    assert_eq!(server.admin.post("/v1/t/acme/ingest/ory?receipts=full", by_key).ok()["accepted"], 1);
    assert_eq!(
        server.admin.post("/v1/t/acme/ingest/ory", event).ok()["duplicate"],
        1,
        "the same event, with or without"
    );
    // Others learn nothing of what is there.
    for path in ["/v1/t/acme/ingest/other", "/v1/t/nobody/ingest/ory", "/v1/t/acme/ingest/keycloak"] {
        let headers = [("x-amz-sns-message-type", "Notification")];
        server.admin.anonymous().post_with(path, &headers, good.to_string()).problem(401, "unauthorized");
    }
    let big = message("Notification", "x", &json!({})).to_string() + &" ".repeat(1 << 20);
    server
        .admin
        .anonymous()
        .post_with("/v1/t/acme/ingest/ory", &[("x-amz-sns-message-type", "Notification")], big)
        .problem(413, "batch_too_large");
}

#[test]
fn a_certificate_that_cannot_be_fetched_is_later() {
    let home = Home::new(&[]);
    let amazon = Amazon::start(home.path());
    let proxy = format!("http://127.0.0.1:{}", amazon.proxy);
    // The public authorities vouch for nobody here.
    let server = home.with("OUTBOUND_PROXY", &proxy).start();
    server.admin.put("/v1/t/acme", "{}");
    put(
        &server,
        "acme",
        "ory",
        &json!({ "system": "ory-network", "kind": "push", "settings": { "sns_topics": [TOPIC] } }),
    );
    for _ in 0..2 {
        let reply = sns(&server, &message("Notification", "{}", &json!({})));
        reply.problem(503, "busy");
        assert_eq!(reply.header("retry-after"), "30");
    }
    assert_eq!(amazon.asked.load(Ordering::SeqCst), 1, "and is not asked again at once");
    assert_eq!(refusals(&server), Vec::<String>::new(), "it is nobody's fault");
}
