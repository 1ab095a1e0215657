//! Sources that prove themselves by a signature: WebSub hubs and security event tokens (SNS is in `sns`); and mappings that a
//! tenant brings.

use crate::http::{Client, Reply, encode};
use crate::server::{Done, Home, Server};
use crate::sns::{openssl, testdata};
use crate::sources::put;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Write as _;

fn audit(server: &Server) -> Vec<Value> {
    let page = server.admin.page("acme", "records", &[("q", "log:audit source:indelible"), ("limit", "1000")]);
    page["items"].as_array().unwrap().clone()
}

pub fn refusals(server: &Server) -> Vec<String> {
    let all = audit(server).into_iter().filter(|r| r["action"] == "indelible.ingest.refused");
    all.map(|r| r["error_code"].as_str().unwrap().to_owned()).rev().collect()
}

fn hmac(secret: &[u8], message: &[u8]) -> Vec<u8> {
    assert!(secret.len() <= 64, "a block of SHA-256");
    let pad = |with: u8| -> Vec<u8> { (0..64).map(|i| secret.get(i).copied().unwrap_or(0) ^ with).collect() };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn a_websub_hub_is_answered_and_believed_by_its_signature_over_the_raw_bytes() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    let source = json!({ "system": "asgardeo", "kind": "push", "settings": { "organization": "myorg" }, "secrets": { "hub_secret": "s3cret-of-the-webhook" } });
    assert_eq!(put(&server, "acme", "asgardeo-hook", &source).status, 201);
    let path = "/v1/t/acme/ingest/asgardeo-hook";
    let nobody = server.admin.anonymous();
    let ask = |mode: &str, topic: &str, challenge: &str| {
        nobody.get(&format!(
            "{path}?hub.mode={mode}&hub.topic={}&hub.challenge={}&hub.lease_seconds=864000",
            encode(topic),
            encode(challenge)
        ))
    };
    let topic = "myorg.dcbd6baa-40c7-4eb9-9c2e-19b868d0e266.schema.wso2.v1.event.login";
    let answer = ask("subscribe", topic, "500c4833-91c6-4556-b9a9-1b8e5e00d48b");
    assert_eq!(
        (answer.status, answer.header("content-type"), answer.text().as_str()),
        (200, "text/plain", "500c4833-91c6-4556-b9a9-1b8e5e00d48b")
    );
    for (mode, topic, challenge) in [
        ("subscribe", "other.x.schema", "c"),
        ("unsubscribe", topic, "c"),
        ("denied", topic, "c"),
        ("subscribe", topic, ""),
        ("subscribe", topic, "<script>"),
    ] {
        ask(mode, topic, challenge).problem(404, "not_found");
    }
    nobody.get("/v1/t/acme/ingest/asgardeo?hub.mode=subscribe").problem(404, "not_found");
    nobody.get("/v1/t/nobody/ingest/asgardeo-hook").problem(404, "not_found");

    let body = include_bytes!("../../../systems/samples/asgardeo/webhook.json");
    let signature = format!("sha256={}", hex(&hmac(b"s3cret-of-the-webhook", body)));
    let post = |client: &Client, name: &str, signature: &str, body: &[u8]| {
        client.post_with(path, &[("content-type", "application/json"), (name, signature)], body)
    };
    let answer = post(&nobody, "x-hub-signature", &signature, body).ok();
    assert_eq!(
        (&answer["rejected"], &answer["unparsed"], &answer["system"]),
        (&json!(0), &json!(0), &json!("asgardeo")),
        "{answer}"
    );
    let taken = answer["accepted"].as_u64().unwrap();
    assert!(taken >= 1, "{answer}");
    assert_eq!(post(&nobody, "x-wso2-event-signature", &signature, body).ok()["duplicate"], taken);
    let found = server.admin.page("acme", "records", &[("q", "source:asgardeo"), ("from", "2000-01-01T00:00:00Z")]);
    assert_eq!(found["items"][0]["attributes"]["_indelible"]["signature"], "verified", "{found}");
    // What came once by a key and once signed, in either order, is one record.
    let by_key = |body: &[u8]| server.admin.post("/v1/t/acme/ingest/asgardeo", body).ok();
    assert_eq!(by_key(body)["duplicate"], taken, "signed first");
    let other =
        String::from_utf8_lossy(body).replace("\"jti\": \"", "\"jti\": \"k-").replace("\"jti\":\"", "\"jti\":\"k-");
    let others = by_key(other.as_bytes())["accepted"].as_u64().unwrap();
    let signed = format!("sha256={}", hex(&hmac(b"s3cret-of-the-webhook", other.as_bytes())));
    assert_eq!(post(&nobody, "x-hub-signature", &signed, other.as_bytes()).ok()["duplicate"], others, "by a key first");
    let taken = taken + others;

    let spaced = [&body[..], b" "].concat();
    let upper = format!("sha256={}", hex(&hmac(b"S3CRET", body)));
    for (signature, body) in
        [(signature.as_str(), &spaced[..]), (&upper, &body[..]), ("sha256=", body), ("sha1=00", body), ("", body)]
    {
        post(&nobody, "x-hub-signature", signature, body).problem(401, "hub_signature");
        post(&server.admin, "x-hub-signature", signature, body).problem(401, "hub_signature");
    }
    nobody.post(path, body).problem(401, "no_signature");
    assert_eq!(refusals(&server), ["hub_signature", "no_signature"]);
    let refused = audit(&server).into_iter().find(|r| r["error_code"] == "hub_signature").unwrap();
    assert_eq!(
        (&refused["outcome"], &refused["target"]["id"], &refused["ip"]),
        (&json!("deny"), &json!("asgardeo-hook"), &json!("127.0.0.1")),
        "{refused}"
    );
    assert_eq!(
        server.admin.page("acme", "records", &[("q", "source:asgardeo"), ("from", "2000-01-01T00:00:00Z")])["items"]
            .as_array()
            .unwrap()
            .len() as u64,
        taken
    );

    let leaving =
        json!({ "system": "asgardeo", "kind": "push", "settings": { "organization": "myorg", "unsubscribing": true } });
    assert_eq!(put(&server, "acme", "asgardeo-hook", &leaving).status, 200);
    assert_eq!(ask("unsubscribe", topic, "c").text(), "c");
    let logs = server.stop().logs();
    assert!(!logs.contains("s3cret-of"), "no secret in the log");
}

#[test]
fn okta_asks_whether_the_address_is_ours() {
    let server = Server::start(&[]);
    let ask = |path: &str, challenge: &str| {
        server.admin.anonymous().get_with(path, &[("x-okta-verification-challenge", challenge)])
    };
    assert_eq!(ask("/v1/t/acme/ingest/okta", "my \"challenge\"").ok(), json!({ "verification": "my \"challenge\"" }));
    ask("/v1/t/acme/ingest/keycloak", "c").problem(404, "not_found");
    ask("/v1/t/acme/ingest/okta", &"c".repeat(300)).problem(404, "not_found");
}

const SHARED: &str = "a shared secret of thirty-two bytes and more";

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn shared(claims: &Value) -> String {
    token(&json!({ "typ": "secevent+jwt", "alg": "HS256" }), claims, |s| hmac(SHARED.as_bytes(), s))
}

fn claims(id: &str) -> Value {
    json!({ "iss": "https://idp.example.com/", "jti": id, "iat": 1_795_176_010, "aud": "https://shop.example.com/",
        "sub_id": { "format": "iss_sub", "iss": "https://idp.example.com/", "sub": "ann-1" },
        "events": { "https://schemas.openid.net/secevent/caep/event-type/session-revoked": { "event_timestamp": 1_795_176_000 } } })
}

fn push(client: &Client, path: &str, token: &str) -> Reply {
    client.post_with(path, &[("content-type", "application/secevent+jwt"), ("accept", "application/json")], token)
}

#[track_caller]
fn err(reply: &Reply, err: &str) {
    assert_eq!((reply.status, reply.header("content-type")), (400, "application/json"), "{reply}");
    assert_eq!(reply.json()["err"], err, "{reply}");
    assert!(reply.json()["description"].as_str().unwrap().len() > 10, "{reply}");
}

#[test]
fn security_event_tokens_are_pushed_as_rfc_8935_has_it() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    // Without a source a key lets it in, and the record says that nobody checked.
    let path = "/v1/t/acme/ingest/set";
    let taken = push(&server.admin, path, &shared(&claims("t-1")));
    assert_eq!((taken.status, taken.body.len()), (202, 0), "{taken}");
    assert_eq!(push(&server.admin, path, &shared(&claims("t-1"))).status, 202, "twice is no error");
    push(&server.admin.anonymous(), path, &shared(&claims("t-2"))).problem(401, "unauthorized");
    for bad in ["", "x", "a.b.c", "{}", "e30.e30"] {
        err(&push(&server.admin, path, bad), "invalid_request");
    }
    for id in [Value::Null, json!(""), json!(7)] {
        let mut unnamed = claims("t-1");
        unnamed["jti"] = id;
        let reply = push(&server.admin, path, &shared(&unnamed));
        err(&reply, "invalid_request");
        assert!(reply.json()["description"].as_str().unwrap().contains("`jti`"), "{reply}");
    }
    let mark = |q: &str| {
        let page = server.admin.page("acme", "records", &[("q", q), ("from", "2000-01-01T00:00:00Z")]);
        page["items"][0]["attributes"]["_indelible"]["signature"].clone()
    };
    assert_eq!(mark("attributes.jti:t-1"), "not checked");

    // With a shared secret, an issuer and an audience.
    let settings = json!({ "issuer": "https://idp.example.com/", "audience": "https://shop.example.com/" });
    let source = json!({ "system": "set", "kind": "push", "settings": settings, "secrets": { "set_secret": SHARED } });
    assert_eq!(put(&server, "acme", "idp", &source).status, 201);
    let (path, nobody) = ("/v1/t/acme/ingest/idp", server.admin.anonymous());
    let taken = push(&nobody, path, &shared(&claims("t-3")));
    assert_eq!((taken.status, taken.body.len()), (202, 0), "{taken}");
    assert_eq!(mark("attributes.jti:t-3"), "verified");
    let forged = token(&json!({ "alg": "HS256" }), &claims("t-4"), |s| hmac(b"another", s));
    err(&push(&nobody, path, &forged), "authentication_failed");
    // By whatever name it is sent.
    err(&server.admin.post(path, forged.clone()), "authentication_failed");
    server.admin.post("/v1/t/acme/ingest/set", shared(&claims("t-9"))).ok();
    assert_eq!(mark("attributes.jti:t-9"), "not checked");
    err(&push(&server.admin, path, &forged), "authentication_failed");
    err(&push(&nobody, path, &token(&json!({ "alg": "none" }), &claims("t-4"), |_| Vec::new())), "invalid_key");
    let mut other = claims("t-4");
    other["iss"] = json!("https://evil.example/");
    err(&push(&nobody, path, &shared(&other)), "invalid_issuer");
    let mut other = claims("t-4");
    other["aud"] = json!(["a", "b"]);
    err(&push(&nobody, path, &shared(&other)), "invalid_audience");
    err(&push(&nobody, path, "x"), "invalid_request");
    let mut unnamed = claims("t-4");
    unnamed.as_object_mut().unwrap().remove("jti");
    err(&push(&nobody, path, &shared(&unnamed)), "invalid_request");
    let forged = token(&json!({ "alg": "HS256" }), &unnamed, |s| hmac(b"another", s));
    err(&push(&nobody, path, &forged), "authentication_failed");
    nobody.post(path, claims("t-4").to_string()).problem(401, "no_signature");
    assert_eq!(refusals(&server), ["set_signature", "set_key", "set_issuer", "set_audience", "no_signature"]);
    // A token that is right and says nothing that is understood is kept.
    let taken = push(
        &nobody,
        path,
        &shared(&json!({ "iss": "https://idp.example.com/", "aud": "https://shop.example.com/", "jti": "t-5" })),
    );
    assert_eq!(taken.status, 202, "{taken}");
    assert_eq!(server.admin.column("acme", "records", &[("q", "action:unparsed")], "error_code"), ["missing_field"]);

    // With public keys.
    let der = testdata("key.der");
    let modulus = openssl(&["rsa", "-inform", "DER", "-in", der.to_str().unwrap(), "-noout", "-modulus"], b"");
    let modulus = String::from_utf8(modulus).unwrap().trim().strip_prefix("Modulus=").unwrap().to_owned();
    let modulus: Vec<u8> =
        (0..modulus.len()).step_by(2).map(|i| u8::from_str_radix(&modulus[i..i + 2], 16).unwrap()).collect();
    let key = json!({ "kty": "RSA", "kid": "k-1", "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB" });
    let source = json!({ "system": "set", "kind": "push", "settings": { "jwks": { "keys": [key] } } });
    assert_eq!(put(&server, "acme", "rsa", &source).status, 201);
    let sign = |s: &[u8]| openssl(&["dgst", "-sha256", "-keyform", "DER", "-sign", der.to_str().unwrap()], s);
    let right = token(&json!({ "alg": "RS256", "kid": "k-1" }), &claims("t-6"), sign);
    assert_eq!(push(&nobody, "/v1/t/acme/ingest/rsa", &right).status, 202);
    assert_eq!(mark("attributes.jti:t-6"), "verified");
    err(
        &push(&nobody, "/v1/t/acme/ingest/rsa", &token(&json!({ "alg": "RS256", "kid": "k-2" }), &claims("t-7"), sign)),
        "invalid_key",
    );
    err(&push(&nobody, "/v1/t/acme/ingest/rsa", &shared(&claims("t-7"))), "invalid_key");
    assert!(!server.stop().logs().contains(SHARED), "no secret in the log");
}

const MAPPING: &str = r#"
name = "billing"
[fields]
log = { value = "audit" }
action = "/type"
actor.id = "/user/id"
time = { from = "/at", format = "unix-ms" }
"#;

#[test]
fn a_mapping_is_tried_installed_used_mended_and_what_it_missed_is_read_again() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    let source = |rules: &str| json!({ "system": "mapping", "kind": "push", "settings": { "mapping": rules, "zone": "Europe/Prague" } });
    assert_eq!(put(&server, "acme", "billing", &source(MAPPING)).status, 201);
    let path = "/v1/t/acme/ingest/billing";
    let sent = concat!(
        r#"{"type":"refund","user":{"id":"ann"},"at":1795176000000,"amount":7}"#,
        "\n",
        r#"{"kind":"charge","user":{"id":"bob"},"at":1795176001000}"#,
        "\n",
        "not json\n",
        r#"{"type":"refund","user":{"id":"cyd"},"at":1795176002000}"#,
    );
    let answer = server.admin.post(path, sent).ok();
    assert_eq!(
        (&answer["accepted"], &answer["unparsed"], &answer["system"]),
        (&json!(4), &json!(2), &json!("billing")),
        "{answer}"
    );
    let lines: Vec<(u64, &str)> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["line"].as_u64().unwrap(), r["code"].as_str().unwrap()))
        .collect();
    assert_eq!(lines, [(2, "missing_field"), (3, "wrong_type")], "one bad record keeps no other out: {answer}");
    let actors = server.admin.column(
        "acme",
        "audit_logs",
        &[("q", "source:billing"), ("from", "2000-01-01T00:00:00Z")],
        "actor",
    );
    assert_eq!(actors.len(), 2, "{actors:?}");
    assert!(
        server.admin.get("/metrics").text().contains("indelible_records_unparsed_total{system=\"mapping\"} 2"),
        "the tenant's name for it is in no metric"
    );

    // Mended: the action may stand in another place.
    let mended = MAPPING.replace("action = \"/type\"", "action = [\"/type\", \"/kind\"]");
    assert_eq!(put(&server, "acme", "billing", &source(&mended)).status, 200);
    let replay = || server.admin.post("/v1/t/acme/unparsed/replay", r#"{"q":"source:billing"}"#).ok();
    let first = replay();
    assert_eq!(
        (&first["read"], &first["stored"], &first["still_unparsed"]),
        (&json!(2), &json!(1), &json!(1)),
        "{first}"
    );
    assert_eq!((&replay()["stored"], &replay()["known"]), (&json!(0), &json!(1)));
    let charge =
        server.admin.page("acme", "records", &[("q", "action:charge"), ("from", "2000-01-01T00:00:00Z")])["items"][0]
            .clone();
    assert_eq!(
        (&charge["actor"]["id"], &charge["time"]),
        (&json!("bob"), &json!("2026-11-20T12:00:01.000000Z")),
        "{charge}"
    );
    assert!(charge["attributes"]["_indelible"]["unparsed"].is_string(), "{charge}");

    // Rules that cannot be used are refused before they are kept.
    for (rules, says) in [
        ("", "mapping"),
        ("name = \"x\"", "fields"),
        ("name = \"x\"\n[fields]\nactoin = \"/a\"", "action"),
        ("name = [", "settings.mapping"),
    ] {
        let problem = put(&server, "acme", "billing", &source(rules)).problem(400, "invalid_source");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    assert_eq!(
        server.admin.post(path, r#"{"kind":"charge","at":1795176009000}"#).ok()["unparsed"],
        0,
        "the old ones stay in force"
    );
}

#[test]
fn what_a_source_may_not_be_told_is_refused_by_name() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    let push = |system: &str, settings: Value, secrets: Value| json!({ "system": system, "kind": "push", "settings": settings, "secrets": secrets });
    for (body, says) in [
        (push("mapping", json!({}), json!({})), "settings.mapping"),
        (push("keycloak", json!({ "mapping": "x" }), json!({})), "settings.mapping"),
        (push("wso2", json!({ "zone": "Mars/Base" }), json!({})), "settings.zone"),
        (push("ory-network", json!({ "sns_topics": ["ory"] }), json!({})), "settings.sns_topics"),
        (
            push("ory-network", json!({ "sns_topics": ["arn:aws:sqs:eu-central-1:1:ory"] }), json!({})),
            "settings.sns_topics",
        ),
        (push("ory-network", json!({ "sns_topics": "all" }), json!({})), "wrong type"),
        (push("ory-network", json!({ "topics": [] }), json!({})), "unknown"),
        (push("asgardeo", json!({ "organization": "myorg" }), json!({})), "secrets.hub_secret"),
        (push("keycloak", json!({ "organization": "myorg" }), json!({ "hub_secret": "x" })), "settings.organization"),
        (push("set", json!({ "jwks": { "keys": [] } }), json!({})), "settings.jwks"),
        (push("okta", json!({ "jwks": { "keys": [{}] } }), json!({})), "settings.jwks"),
        (push("set", json!({}), json!({ "set_secret": "too-short-this" })), "secrets.set_secret"),
    ] {
        let problem = put(&server, "acme", "x", &body).problem(400, "invalid_source");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(says) && !detail.contains("too-short-this"), "{problem}");
    }
}

/// The zone of a server whose log lines name none.
#[test]
fn times_without_a_zone_are_in_the_sources() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    put(&server, "acme", "is", &json!({ "system": "wso2", "kind": "push", "settings": { "zone": "Asia/Colombo" } }));
    let line = "[2026-11-20 12:00:02,567]  WARN {AUDIT_LOG}-  Initiator=bob@carbon.super Action=Delete-User Target=carl Data={} Outcome=Success";
    assert_eq!(server.admin.post("/v1/t/acme/ingest/is", line).ok()["accepted"], 1);
    let found = server.admin.page("acme", "records", &[("q", "source:wso2"), ("from", "2000-01-01T00:00:00Z")]);
    assert_eq!(found["items"][0]["time"], "2026-11-20T06:30:02.567000Z", "{found}");
}

#[test]
fn the_command_line_tries_a_mapping() {
    let home = Home::new(&[]);
    let (rules, sample) = (home.path().join("m.toml"), home.path().join("s.ndjson"));
    std::fs::write(&rules, MAPPING).unwrap();
    std::fs::write(&sample, "{\"type\":\"refund\",\"at\":1795176000000,\"amount\":7}\n{\"at\":1}\n").unwrap();
    let run = |args: &[&str]| {
        let mut all = vec!["map", "test", rules.to_str().unwrap(), sample.to_str().unwrap()];
        all.extend(args);
        Done::of(home.command().args(all).output().unwrap())
    };
    let shown = run(&[]);
    assert_eq!(shown.code, Some(6), "a part of it: {}", shown.err);
    // Compressed it is the same sample.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&std::fs::read(&sample).unwrap()).unwrap();
    std::fs::write(&sample, gzip.finish().unwrap()).unwrap();
    assert_eq!(run(&[]).out, shown.out);
    for part in [
        "\"action\": \"refund\"",
        "stays in attributes: /amount",
        "rules that found nothing: actor.id",
        "line 2\n  not understood",
        "missing_field",
        "2 records: 1 understood, 1 not",
    ] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    let lines: Vec<Value> = run(&["--json"]).out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["status"], &lines[1]["status"]), (&json!("understood"), &json!("unparsed")));
    std::fs::write(&rules, MAPPING.replace("actor.id", "actor.idd")).unwrap();
    let refused = run(&[]).failed(1);
    assert!(refused.contains("fields.actor.idd") && refused.contains("did you mean `actor.id`"), "{refused}");
}
