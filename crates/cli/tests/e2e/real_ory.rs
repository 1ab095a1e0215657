//! A real Kratos and a real Hydra, built from their published modules: what they send is read right, and what is revoked through
//! us is over in them.
//!
//! They send their traces to this server and nowhere else, with a key that may only write. `INDELIBLE_WITHOUT_ORY` leaves these
//! tests out; so does a place where the modules cannot be fetched, and says so.

use crate::http::{Client, Reply, encode, encode_query};
use crate::ledger::{tool, tools};
use crate::server::{Done, PATIENCE, Server, at, eventually};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;
use tempfile::TempDir;
use ureq::http::Method;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/ory");
const PASSWORD: &str = "zq7-Only Ann knows";
const CLIENT_SECRET: &str = "zq7clientsecret";
/// Where Hydra sends people and codes. Nobody listens there: the tests read the address.
const UI: &str = "http://127.0.0.1:9";
const ALL: (&str, &str) = ("limit", "1000");

fn script() -> Command {
    let mut command = Command::new(SCRIPT);
    command.env("PATH", format!("{}:{}", tools().display(), std::env::var("PATH").unwrap_or_default()));
    command
}

/// Whether the two are there. Built at most once, before either test starts one.
fn there() -> bool {
    static BUILT: OnceLock<bool> = OnceLock::new();
    *BUILT.get_or_init(|| {
        if std::env::var_os("INDELIBLE_WITHOUT_ORY").is_some_and(|set| !set.is_empty()) {
            eprintln!("SKIPPED: INDELIBLE_WITHOUT_ORY is set");
            return false;
        }
        let built = script().arg("build").output().unwrap();
        if !built.status.success() {
            eprintln!("SKIPPED: Kratos and Hydra cannot be built: {}", String::from_utf8_lossy(&built.stderr));
        }
        built.status.success()
    })
}

/// One of them, running on ports of its own with its database in memory. Killed when dropped.
struct Ory {
    child: Child,
    folder: TempDir,
    public: Client,
    admin: Client,
}

impl Ory {
    /// Starts it with these settings and those that both need.
    fn start(name: &str, server: &Server, key: &str, mut settings: Value) -> Ory {
        let port = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (public, admin) = (port(), port());
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        settings["dsn"] = json!("memory");
        settings["log"] = json!({ "level": "error" });
        settings["serve"]["public"] = json!({ "host": "127.0.0.1", "port": public });
        settings["serve"]["admin"] = json!({ "host": "127.0.0.1", "port": admin });
        if name == "kratos" {
            settings["serve"]["public"]["base_url"] = json!(url(public));
        } else {
            settings["urls"]["self"] = json!({ "issuer": url(public) });
        }
        settings["tracing"] = json!({
            "provider": "otel", "service_name": name,
            "providers": { "otlp": {
                "server_url": server.url().strip_prefix("http://").unwrap(), "insecure": true,
                "authorization_header": format!("Bearer {key}"), "sampling": { "sampling_ratio": 1 },
            } },
        });
        let folder = tempfile::Builder::new().prefix("indelible-ory-").tempdir().unwrap();
        let file = folder.path().join("settings.json");
        std::fs::write(&file, settings.to_string()).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = script()
            .args(["start", name])
            .arg(&file)
            .current_dir(folder.path())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let client = |port: u16| Client::new(&url(port), None);
        let mut ory = Ory { child, folder, public: client(public), admin: client(admin) };
        let ready = if name == "kratos" { "/admin/health/ready" } else { "/health/ready" };
        let until = Instant::now() + PATIENCE;
        while !ory.admin.send(Method::GET, ready, &[], b"").is_ok_and(|answer| answer.status == 200) {
            let gone = ory.child.try_wait().unwrap();
            assert!(gone.is_none() && Instant::now() < until, "{name} does not come up ({gone:?}): {}", ory.log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        ory
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Ory {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("its log:\n{}", self.log());
        }
    }
}

/// A tenant and a key of it that may only write.
fn tenant(server: &Server) -> String {
    server.admin.put("/v1/t/acme", "{}");
    let made = server.admin.post("/v1/t/acme/keys", r#"{"name":"ory","scopes":["write"]}"#);
    made.json()["key"].as_str().unwrap().to_owned()
}

/// The records of an action, newest first.
fn records(server: &Server, filter: &str) -> Vec<Value> {
    let page = server.admin.page("acme", "records", &[("q", filter), ALL]);
    page["items"].as_array().unwrap().clone()
}

/// Waits for the first record that matches.
#[track_caller]
fn arrived(server: &Server, filter: &str) -> Value {
    eventually(filter, || !records(server, filter).is_empty());
    records(server, filter).remove(0)
}

fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_else(|| panic!("no text at {path} in {value}"))
}

fn session(server: &Server, id: &str, member: &str) -> String {
    server.admin.column("acme", "sessions", &[("q", &format!("session_id:{id}"))], member).join(",")
}

fn connector(server: &Server, name: &str, ory: &Ory) {
    let body = json!({ "system": name, "kind": "connector", "settings": { "url": ory.admin.base } });
    let answer = server.admin.put(&format!("/v1/t/acme/sources/{name}"), &body.to_string());
    assert_eq!(answer.status, 201, "{answer}");
}

/// What is true of everything that came.
fn nothing_unparsed_and_no_secret(server: &Server) {
    let all = server.admin.page("acme", "records", &[ALL]).to_string();
    assert!(!all.contains("\"unparsed\""), "{all}");
    assert!(!all.contains("zq7") && !all.contains(PASSWORD), "a secret is kept: {all}");
}

// Kratos

const SCHEMA: &str = r#"{
    "$id": "default", "$schema": "http://json-schema.org/draft-07/schema#", "title": "Person", "type": "object",
    "properties": { "traits": { "type": "object", "additionalProperties": false, "required": ["email"], "properties": {
        "email": { "type": "string", "format": "email", "ory.sh/kratos": { "credentials": { "password": { "identifier": true } } } }
    } } }
}"#;

fn kratos(server: &Server, key: &str) -> Ory {
    // As in the guide: `function(ctx) ctx`.
    let hook = json!({ "hook": "web_hook", "config": {
        "url": format!("{}/v1/t/acme/ingest/ory", server.url()), "method": "POST",
        "body": format!("base64://{}", STANDARD.encode("function(ctx) ctx")),
        "auth": { "type": "api_key", "config": { "name": "Authorization", "value": format!("Bearer {key}"), "in": "header" } },
        "response": { "ignore": true },
    } });
    let settings = json!({
        "selfservice": {
            "default_browser_return_url": UI,
            "methods": { "password": { "enabled": true, "config": { "haveibeenpwned_enabled": false } } },
            "flows": {
                "registration": { "after": { "password": { "hooks": [hook, { "hook": "session" }] } } },
                "login": { "after": { "hooks": [hook] } },
            },
        },
        "secrets": { "cookie": ["zq7-cookie-secret-of-this-test"], "cipher": ["zq7-32-bytes-secret-of-this-test"] },
        "hashers": { "algorithm": "bcrypt", "bcrypt": { "cost": 4 } },
        "identity": {
            "default_schema_id": "default",
            "schemas": [{ "id": "default", "url": format!("base64://{}", STANDARD.encode(SCHEMA)) }],
        },
        "courier": { "smtp": { "connection_uri": "smtp://127.0.0.1:9/?disable_starttls=true" } },
    });
    Ory::start("kratos", server, key, settings)
}

/// A flow for programs, from its start to its end.
fn flow(kratos: &Ory, kind: &str, body: &Value) -> Reply {
    let begun = kratos.public.get(&format!("/self-service/{kind}/api")).ok();
    let action = text(&begun, "/ui/action");
    kratos.public.post(action.strip_prefix(&kratos.public.base).unwrap(), body.to_string())
}

fn sign_in(kratos: &Ory, password: &str) -> Reply {
    flow(kratos, "login", &json!({ "method": "password", "identifier": "ann@shop.example", "password": password }))
}

fn whoami(kratos: &Ory, token: &str) -> u16 {
    kratos.public.get_with("/sessions/whoami", &[("x-session-token", token)]).status
}

#[test]
fn kratos_tells_what_happened_and_its_sessions_are_revoked_through_us() {
    if !there() {
        return;
    }
    let server = Server::start(&[]);
    let key = tenant(&server);
    let kratos = kratos(&server, &key);
    let before = at(0);
    let ann = json!({ "method": "password", "password": PASSWORD, "traits": { "email": "ann@shop.example" } });
    let registered = flow(&kratos, "registration", &ann).ok();
    let ann = text(&registered, "/identity/id");
    assert_eq!(sign_in(&kratos, "wrong").status, 400);
    let signed_in = sign_in(&kratos, PASSWORD).ok();
    let (id, token) = (text(&signed_in, "/session/id"), text(&signed_in, "/session_token"));
    assert_eq!(whoami(&kratos, token), 200);
    let after = at(0);

    // Its span events, under their own names, with who and when and where.
    let login = arrived(&server, &format!("action:LoginSucceeded session_id:{id}"));
    assert_eq!(
        (&login["actor"]["id"], &login["actor"]["type"], &login["ip"], &login["outcome"]),
        (&json!(ann), &json!("identity"), &json!("127.0.0.1"), &json!("success")),
        "{login}"
    );
    assert!((before.as_str()..=after.as_str()).contains(&text(&login, "/time")), "{before} {login} {after}");
    assert_eq!((text(&login, "/trace_id").len(), text(&login, "/span_id").len()), (32, 16), "{login}");
    assert_eq!(text(&login, "/attributes/resource/service.name"), "kratos");
    assert_eq!(text(&login, "/attributes/attributes/SelfServiceMethodUsed"), "password");
    assert_eq!(text(&login, "/attributes/_indelible/shape"), "trace, best effort");
    let created = arrived(&server, "action:IdentityCreated");
    assert_eq!((&created["target"]["id"], &created["target"]["type"]), (&json!(ann), &json!("identity")), "{created}");
    let failed = arrived(&server, "action:LoginFailed");
    assert_eq!((&failed["outcome"], &failed["level"]), (&json!("failure"), &json!("warn")), "{failed}");
    for action in ["RegistrationSucceeded", "SessionIssued", "SessionChecked"] {
        assert_eq!(arrived(&server, &format!("action:{action}"))["actor"]["id"], ann, "{action}");
    }

    // Its Actions, each with the whole context.
    let action = arrived(&server, "action:registration");
    assert_eq!(
        (&action["outcome"], &action["target"]["id"], &action["new"]["state"]),
        (&json!("success"), &json!(ann), &json!("active")),
        "{action}"
    );
    assert_eq!(text(&action, "/attributes/request_method"), "POST");
    let action = arrived(&server, "action:login");
    assert_eq!((&action["actor"]["id"], &action["ip"]), (&json!(ann), &json!("127.0.0.1")), "{action}");
    assert_eq!(records(&server, "session_id:00000000-0000-0000-0000-000000000000"), [] as [Value; 0]);

    eventually("the session is seen", || session(&server, id, "status") == "active");
    assert_eq!(session(&server, id, "user_id"), ann);
    connector(&server, "kratos", &kratos);
    let started = Instant::now();
    let answer = server.admin.post(&format!("/v1/t/acme/sessions/{id}/revoke?wait=40"), "").ok();
    assert_eq!(answer["state"], "confirmed", "{answer}");
    assert!(started.elapsed() < PATIENCE, "it shows at once what it never sends an event for");
    assert_eq!(kratos.admin.get(&format!("/admin/sessions/{id}")).ok()["active"], false);
    assert_eq!(whoami(&kratos, token), 401);
    assert_eq!((session(&server, id, "status"), session(&server, id, "user_id")), ("revoked".into(), ann.to_owned()));

    // Of ann's sessions two are left: of the registration, and this one.
    let other = sign_in(&kratos, PASSWORD).ok();
    let (other, token) = (text(&other, "/session/id"), text(&other, "/session_token"));
    eventually("the next session is seen", || session(&server, other, "status") == "active");
    let answer = server.admin.post("/v1/t/acme/sessions/revoke?wait=40", json!({ "user_id": ann }).to_string()).ok();
    assert_eq!(answer["state"], "confirmed", "{answer}");
    assert_eq!(kratos.admin.get(&format!("/admin/identities/{ann}/sessions?active=true")).ok(), json!([]));
    assert_eq!(whoami(&kratos, token), 401);
    // Its Action is sent on the side; were it last, it would not bring the session back.
    eventually("its Action is here", || records(&server, "action:login").len() == 2);
    let status = server.admin.column("acme", "sessions", &[("q", &format!("user_id:{ann}"))], "status");
    assert_eq!(status, ["revoked"; 3]);

    // Whoever signs out there is signed out here, by its own event.
    let last = sign_in(&kratos, PASSWORD).ok();
    let (last, token) = (text(&last, "/session/id"), text(&last, "/session_token"));
    eventually("the last session is seen", || session(&server, last, "status") == "active");
    // A DELETE with a body, which our own client does not send.
    let url = format!("{}/self-service/logout/api", kratos.public.base);
    let body = json!({ "session_token": token }).to_string();
    let asked =
        ["-sS", "--fail", "--noproxy", "*", "-X", "DELETE", "-H", "content-type: application/json", "-d", &body];
    Done::of(tool("curl").args(asked).arg(&url).output().unwrap()).ok();
    let revoked = arrived(&server, &format!("action:SessionRevoked session_id:{last}"));
    assert_eq!((&revoked["actor"]["id"], &revoked["session"]["status"]), (&json!(ann), &json!("revoked")));
    assert_eq!(session(&server, last, "status"), "revoked");
    assert_eq!(kratos.admin.delete(&format!("/admin/identities/{ann}")).status, 204);
    assert_eq!(arrived(&server, "action:IdentityDeleted")["target"]["id"], ann);
    nothing_unparsed_and_no_secret(&server);
}

// Hydra

/// Somebody's browser: it keeps cookies and follows nothing.
struct Browser<'o> {
    public: &'o Client,
    cookies: Vec<(String, String)>,
}

impl Browser<'_> {
    /// Goes to an address of Hydra's, and gives the one that it is sent on to.
    fn sent_on(&mut self, url: &str) -> String {
        let path = url.strip_prefix(&self.public.base).unwrap_or_else(|| panic!("{url} is not Hydra's"));
        let held: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = self.public.get_with(path, &[("cookie", &held.join("; "))]);
        assert!((302..=303).contains(&answer.status), "{path}: {answer}");
        for cookie in answer.headers.get_all("set-cookie") {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        answer.header("location").to_owned()
    }
}

/// A member of an address's query, as it stands there.
fn member<'u>(url: &'u str, name: &str) -> &'u str {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {name} in {url}"))
}

/// What the pages for signing in and for consent do when the person agrees. Gives where to go next.
fn accept(hydra: &Ory, what: &str, url: &str, answer: &Value) -> String {
    let challenge = member(url, &format!("{what}_challenge"));
    let path = format!("/admin/oauth2/auth/requests/{what}/accept?{what}_challenge={challenge}");
    text(&hydra.admin.put(&path, &answer.to_string()).ok(), "/redirect_to").to_owned()
}

fn form(client: &Client, path: &str, pairs: &[(&str, &str)]) -> Reply {
    let body: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    client.post_with(path, &[("content-type", "application/x-www-form-urlencoded")], body.join("&"))
}

fn token(hydra: &Ory, pairs: &[(&str, &str)]) -> Reply {
    let known = [("client_id", "shop-web"), ("client_secret", CLIENT_SECRET)];
    form(&hydra.public, "/oauth2/token", &[pairs, &known].concat())
}

#[test]
fn hydra_tells_what_happened_and_a_consent_is_revoked_through_us() {
    if !there() {
        return;
    }
    let server = Server::start(&[]);
    let key = tenant(&server);
    let settings = json!({
        "urls": { "login": format!("{UI}/login"), "consent": format!("{UI}/consent") },
        "secrets": { "system": ["zq7-system-secret-of-this-test"] },
    });
    let hydra = Ory::start("hydra", &server, &key, settings);
    let callback = format!("{UI}/callback");
    let client = json!({
        "client_id": "shop-web", "client_name": "Shop", "client_secret": CLIENT_SECRET, "scope": "openid offline",
        "grant_types": ["authorization_code", "refresh_token", "client_credentials"], "response_types": ["code"],
        "redirect_uris": [callback], "token_endpoint_auth_method": "client_secret_post",
    });
    assert_eq!(hydra.admin.post("/admin/clients", client.to_string()).status, 201);

    // A person signs in, agrees, and the client gets a token.
    let query = [
        ("client_id", "shop-web"),
        ("response_type", "code"),
        ("scope", "openid offline"),
        ("redirect_uri", &callback),
        ("state", "a state of some length"),
    ];
    let start = format!("{}/oauth2/auth{}", hydra.public.base, encode_query(&query));
    let mut browser = Browser { public: &hydra.public, cookies: Vec::new() };
    let login = browser.sent_on(&start);
    let next = accept(&hydra, "login", &login, &json!({ "subject": "ann", "remember": true, "remember_for": 3600 }));
    let consent = browser.sent_on(&next);
    let next = accept(&hydra, "consent", &consent, &json!({ "grant_scope": ["openid", "offline"], "remember": true }));
    let back = browser.sent_on(&next);
    let code = [("grant_type", "authorization_code"), ("code", member(&back, "code")), ("redirect_uri", &callback)];
    let tokens = token(&hydra, &code).ok();
    let access = text(&tokens, "/access_token").to_owned();
    token(&hydra, &[("grant_type", "client_credentials")]).ok();
    assert_eq!(token(&hydra, &[("grant_type", "refresh_token"), ("refresh_token", "wrong")]).status, 400);
    let active = || form(&hydra.admin, "/admin/oauth2/introspect", &[("token", &access)]).ok()["active"].clone();
    assert_eq!(active(), true);

    let made = arrived(&server, "action:OAuth2ClientCreated");
    assert_eq!((&made["target"]["id"], &made["target"]["type"]), (&json!("shop-web"), &json!("client")), "{made}");
    assert_eq!(made["target"]["name"], "Shop", "{made}");
    let agreed = arrived(&server, "action:OAuth2ConsentAccepted");
    assert_eq!(
        (&agreed["actor"]["id"], &agreed["actor"]["type"], &agreed["client"]["id"], &agreed["ip"]),
        (&json!("ann"), &json!("subject"), &json!("shop-web"), &json!("127.0.0.1")),
        "{agreed}"
    );
    assert_eq!(text(&agreed, "/attributes/resource/service.name"), "hydra");
    for (action, grant, actor, kind) in [
        ("OAuth2AccessTokenIssued", "authorization_code", "ann", "subject"),
        ("OAuth2AccessTokenIssued", "client_credentials", "shop-web", "client"),
        ("OAuth2RefreshTokenIssued", "authorization_code", "ann", "subject"),
    ] {
        let issued = arrived(&server, &format!("action:{action} attributes.attributes.OAuth2GrantType:{grant}"));
        assert_eq!((&issued["actor"]["id"], &issued["actor"]["type"]), (&json!(actor), &json!(kind)), "{issued}");
    }
    assert_eq!(arrived(&server, "action:OIDCIdentityTokenIssued")["actor"]["id"], "ann");
    assert_eq!(arrived(&server, "action:OAuth2TokenExchangeError")["outcome"], "failure");
    assert_eq!(arrived(&server, "action:OAuth2AccessTokenInspected")["outcome"], "success");
    // Hydra does not say whose it was where it was the first sign-in.
    assert_eq!(arrived(&server, "action:OAuth2LoginAccepted")["actor"], Value::Null);

    // The consent is withdrawn through us, which Hydra tells with an event.
    connector(&server, "hydra", &hydra);
    let grants = |member: &str| server.admin.column("acme", "grants", &[("q", "client:shop-web")], member);
    eventually("the grant is seen", || grants("status") == ["active"]);
    let path = format!("/v1/t/acme/grants/{}/revoke?wait=40", grants("grant_id")[0]);
    let answer = server.admin.post(&path, "").ok();
    assert_eq!(
        (&answer["state"], &answer["detail"]),
        (&json!("confirmed"), &json!("revoked and confirmed")),
        "{answer}"
    );
    assert_eq!(active(), false, "the token is not good any more");
    assert_eq!(hydra.admin.get("/admin/oauth2/auth/sessions/consent?subject=ann").ok(), json!([]));
    assert_eq!(grants("status"), ["revoked"]);

    // Its sign-in sessions end, and it says nothing of it.
    let silent = format!("{start}&prompt=none");
    assert!(browser.sent_on(&silent).starts_with(&format!("{UI}/login?")), "ann is signed in");
    let answer = server.admin.post("/v1/t/acme/sessions/revoke?wait=40", r#"{"user_id":"ann"}"#).ok();
    assert_eq!(answer["state"], "not_confirmable", "{answer}");
    assert_eq!(member(&browser.sent_on(&silent), "error"), "login_required");
    nothing_unparsed_and_no_secret(&server);
}
