//! A real Keycloak, from its published distribution: what it sends is read right, and a session is revoked in it and
//! confirmed by it.
//!
//! Skipped, and says why, only where the distribution cannot be had.

use crate::http::{Client, encode};
use crate::server::Server;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/keycloak");
const SECRET: &str = "zq7serviceaccount";

/// A running Keycloak. Killed when dropped, with the copy it ran from.
struct Keycloak {
    child: Child,
    folder: PathBuf,
    base: Client,
}

impl Keycloak {
    /// `None` where there is no distribution to be had.
    fn start() -> Option<Keycloak> {
        let fetched = Command::new(SCRIPT).arg("fetch").output().unwrap();
        if !fetched.status.success() {
            eprintln!("SKIPPED: Keycloak cannot be fetched: {}", String::from_utf8_lossy(&fetched.stderr));
            return None;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new(SCRIPT)
            .args(["start", &port.to_string()])
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut folder = String::new();
        out.read_line(&mut folder).unwrap();
        std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(drop));
        let base = Client::new(&format!("http://127.0.0.1:{port}"), None);
        let keycloak = Keycloak { child, folder: folder.trim().into(), base };
        let until = Instant::now() + Duration::from_secs(240);
        let get = |path: &str| keycloak.base.send(ureq::http::Method::GET, path, &[], b"");
        while !get("/realms/master").is_ok_and(|answer| answer.status == 200) {
            assert!(Instant::now() < until, "Keycloak does not come up");
            std::thread::sleep(Duration::from_millis(250));
        }
        Some(keycloak)
    }

    fn form(&self, path: &str, pairs: &[(&str, &str)]) -> (u16, Value) {
        let body: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        let answer = self.base.post_with(path, &kind, body.join("&"));
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// The admin interface, with a fresh token: they live a minute.
    fn admin(&self) -> Client {
        let pairs =
            [("grant_type", "password"), ("client_id", "admin-cli"), ("username", "admin"), ("password", "admin")];
        let (status, token) = self.form("/realms/master/protocol/openid-connect/token", &pairs);
        assert_eq!(status, 200, "{token}");
        self.base.with_key(token["access_token"].as_str().unwrap())
    }

    fn sign_in(&self, password: &str) -> (u16, Value) {
        let pairs = [("grant_type", "password"), ("client_id", "web"), ("username", "ann"), ("password", password)];
        self.form("/realms/shop/protocol/openid-connect/token", &pairs)
    }

    fn refresh(&self, token: &Value) -> u16 {
        let token = token["refresh_token"].as_str().unwrap();
        let pairs = [("grant_type", "refresh_token"), ("client_id", "web"), ("refresh_token", token)];
        self.form("/realms/shop/protocol/openid-connect/token", &pairs).0
    }

    /// Brings what it recorded to the server: everything again each time.
    fn bring(&self, server: &Client) {
        let admin = self.admin();
        for kind in ["events", "admin-events"] {
            let events = admin.get(&format!("/admin/realms/shop/{kind}?max=1000")).ok();
            let mut events: Vec<Value> = events.as_array().unwrap().clone();
            if events.is_empty() {
                continue;
            }
            // It gives the newest first.
            events.reverse();
            let answer = server.post("/v1/t/acme/ingest/keycloak", json!(events).to_string()).ok();
            assert_eq!((&answer["unparsed"], &answer["rejected"]), (&json!(0), &json!(0)), "{answer}");
        }
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.child.wait();
        if self.folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("keycloak-")) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

fn realm() -> Value {
    json!({
        "realm": "shop", "enabled": true,
        "eventsEnabled": true, "adminEventsEnabled": true, "adminEventsDetailsEnabled": true,
        "clients": [
            { "clientId": "web", "publicClient": true, "directAccessGrantsEnabled": true, "redirectUris": ["http://localhost/*"] },
            { "clientId": "indelible", "secret": SECRET, "serviceAccountsEnabled": true, "standardFlowEnabled": false },
        ],
        "users": [{
            "username": "service-account-indelible", "enabled": true, "serviceAccountClientId": "indelible",
            "clientRoles": { "realm-management": ["manage-users"] },
        }],
    })
}

#[test]
fn changes_read_from_what_to_what_and_a_session_is_revoked_and_confirmed() {
    let Some(keycloak) = Keycloak::start() else { return };
    let server = Server::start(&[]);
    let made = keycloak.admin().post("/admin/realms", realm().to_string());
    assert_eq!(made.status, 201, "{made}");
    let ann = json!({
        "username": "ann", "email": "ann@old.example", "firstName": "Ann", "lastName": "Other", "enabled": true, "emailVerified": true,
        "credentials": [{ "type": "password", "value": "zq7password", "temporary": false }],
    });
    let made = keycloak.admin().post("/admin/realms/shop/users", ann.to_string());
    assert_eq!(made.status, 201, "{made}");
    let id = made.header("location").rsplit('/').next().unwrap().to_owned();
    // As its console changes a user: everything it has, with one member changed.
    let path = format!("/admin/realms/shop/users/{id}");
    let mut user = keycloak.admin().get(&path).ok();
    user["email"] = json!("ann@new.example");
    let changed = keycloak.admin().put(&path, &user.to_string());
    assert_eq!(changed.status, 204, "{changed}");

    assert_eq!(keycloak.sign_in("wrong").0, 401);
    let (status, token) = keycloak.sign_in("zq7password");
    assert_eq!(status, 200, "{token}");
    assert_eq!(keycloak.refresh(&token), 200);
    keycloak.bring(&server.admin);

    let updates = server.admin.page("acme", "audit_logs", &[("q", "action:\"UPDATE USER\"")]);
    let update = &updates["items"][0];
    assert_eq!(
        update["diff"],
        json!({ "email": { "__old": "ann@old.example", "__new": "ann@new.example" } }),
        "{update}"
    );
    assert_eq!(update["target"], "ann", "{update}");
    let all = server.admin.page("acme", "records", &[("limit", "1000")]).to_string();
    assert!(!all.contains("zq7password") && !all.contains(SECRET), "no secret is kept");
    let failed = server.admin.column("acme", "event_logs", &[("q", "event_type:LOGIN_ERROR")], "username");
    assert_eq!(failed, ["ann"]);

    let session = token["session_state"].as_str().unwrap();
    let shown = |member: &str| {
        server.admin.column("acme", "sessions", &[("q", &format!("session_id:{session}"))], member).remove(0)
    };
    assert_eq!((shown("status"), shown("user_id"), shown("client_id")), ("active".into(), id.clone(), "web".into()));
    let connector = json!({
        "kind": "connector", "system": "keycloak", "secrets": { "client_secret": SECRET },
        "settings": { "url": keycloak.base.base, "realm": "shop", "client_id": "indelible" },
    });
    assert_eq!(server.admin.put("/v1/t/acme/sources/sso", &connector.to_string()).status, 201);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                keycloak.bring(&server.admin);
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        let answer = server.admin.post(&format!("/v1/t/acme/sessions/{session}/revoke?wait=40"), "");
        ended.store(true, Ordering::Relaxed);
        let answer = answer.ok();
        assert_eq!(
            (&answer["state"], &answer["detail"]),
            (&json!("confirmed"), &json!("revoked and confirmed")),
            "{answer}"
        );
    });
    assert_eq!(keycloak.refresh(&token), 400, "the session is over where it came from");
    assert_eq!((shown("status"), shown("user_id")), ("revoked".into(), id));
}
