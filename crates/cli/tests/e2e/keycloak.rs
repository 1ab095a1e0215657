//! A real Keycloak, from its published distribution: what it sends is read right, and a session is revoked in it and
//! confirmed by it.
//!
//! Skipped, and says why, only where the distribution cannot be had.

use crate::http::{Client, encode};
use crate::pull::run;
use crate::server::{Server, at, eventually};
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
            "clientRoles": { "realm-management": ["manage-users", "view-events"] },
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

/// The realm's own source, looked at every second unless something else is said.
fn fetched(keycloak: &Keycloak, interval: u64) -> String {
    json!({
        "kind": "pull", "system": "keycloak", "secrets": { "client_secret": SECRET },
        "settings": { "url": keycloak.base.base, "realm": "shop", "client_id": "indelible", "interval_seconds": interval,
            "settle_seconds": 0, "since": at(-600) },
    })
    .to_string()
}

#[test]
fn fetched_it_is_not_filled_by_being_asked_says_what_it_does_not_save_and_confirms_at_once() {
    let Some(keycloak) = Keycloak::start() else { return };
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    assert_eq!(keycloak.admin().post("/admin/realms", realm().to_string()).status, 201);
    let ann = |first: &str| {
        json!({
            "username": "ann", "email": "ann@example.com", "firstName": first, "lastName": "Other", "enabled": true, "emailVerified": true,
            "credentials": [{ "type": "password", "value": "zq7password", "temporary": false }],
        })
    };
    let made = keycloak.admin().post("/admin/realms/shop/users", ann("Ann").to_string());
    let path = format!("/admin/realms/shop/users/{}", made.header("location").rsplit('/').next().unwrap());
    // Three changes in one page, which has the newest first.
    for first in ["Anna", "Anne", "Annie"] {
        let mut user = keycloak.admin().get(&path).ok();
        user["firstName"] = json!(first);
        assert_eq!(keycloak.admin().put(&path, &user.to_string()).status, 204);
    }
    let (status, token) = keycloak.sign_in("zq7password");
    assert_eq!(status, 200, "{token}");
    let source = |body: String| server.admin.put("/v1/t/acme/sources/kc", &body).status;
    assert_eq!(source(fetched(&keycloak, 1)), 201);
    let session = token["session_state"].as_str().unwrap();
    let shown = || server.admin.column("acme", "sessions", &[("q", &format!("session_id:{session}"))], "status");
    eventually("the sign-in is here", || shown() == ["active"]);
    let mut updates = Value::Null;
    eventually("the changes are here", || {
        updates = server.admin.page("acme", "audit_logs", &[("q", "action:\"UPDATE USER\"")]);
        updates["items"].as_array().unwrap().len() == 3
    });
    let diffs: Vec<&Value> = updates["items"].as_array().unwrap().iter().map(|u| &u["diff"]["firstName"]).collect();
    let change = |old: &str, new: &str| json!({ "__old": old, "__new": new });
    assert_eq!(diffs, [&change("Anne", "Annie"), &change("Anna", "Anne"), &change("Ann", "Anna")], "{updates}");

    // An administrator's session as ann began without a sign-in of hers, and is hers all the same.
    let acted = keycloak.admin().post(&format!("{path}/impersonation"), "");
    assert_eq!(acted.status, 200, "{acted}");
    let mut hers = Value::Null;
    eventually("the session of whoever acts as ann is here", || {
        hers = server.admin.page("acme", "sessions", &[("q", &format!("NOT session_id:{session}"))]);
        hers["items"].as_array().unwrap().len() == 1
    });
    let said = ["status", "user_id"].map(|name| hers["items"][0][name].as_str().unwrap().to_owned());
    let ann = path.rsplit('/').next().unwrap().to_owned();
    assert_eq!(said, ["active".to_owned(), ann], "{hers}");

    // Some looks later it was signed in once.
    std::thread::sleep(Duration::from_secs(5));
    let logins = keycloak.admin().get("/admin/realms/shop/events?type=CLIENT_LOGIN").ok();
    assert_eq!(logins.as_array().unwrap().len(), 1, "{logins}");
    let state = || server.admin.get("/v1/t/acme/sources/kc").ok();
    assert_eq!((&state()["saves_events"], &state()["failures"]), (&json!("yes"), &json!(0)), "{}", state());

    // Looked at once an hour, it confirms all the same.
    assert_eq!(source(fetched(&keycloak, 3600)), 200);
    let connector = json!({
        "kind": "connector", "system": "keycloak", "secrets": { "client_secret": SECRET },
        "settings": { "url": keycloak.base.base, "realm": "shop", "client_id": "indelible" },
    });
    assert_eq!(server.admin.put("/v1/t/acme/sources/sso", &connector.to_string()).status, 201);
    let began = Instant::now();
    let answer = server.admin.post(&format!("/v1/t/acme/sessions/{session}/revoke?wait=40"), "").ok();
    assert_eq!(answer["state"], "confirmed", "{answer}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(shown(), ["revoked"]);

    // Somebody switches the saving of user events off: that is a change, and from then on nothing is certain.
    let config = "/admin/realms/shop/events/config";
    let mut settings = keycloak.admin().get(config).ok();
    assert_eq!(settings["eventsEnabled"], true, "{settings}");
    let again = keycloak.admin().put(config, &settings.to_string());
    assert_eq!(again.status, 204, "{again}");
    settings["eventsEnabled"] = json!(false);
    assert_eq!(keycloak.admin().put(config, &settings.to_string()).status, 204);
    assert_eq!(source(fetched(&keycloak, 1)), 200);
    eventually("it is seen", || state()["saves_events"] == "no");
    std::thread::sleep(Duration::from_millis(1500));
    let range = format!("from={}&to={}", at(-60), at(-1));
    assert_eq!(run(&server, "kc/check", "")["status"], "success");
    let told = server.admin.get(&format!("/v1/t/acme/completeness?{range}")).ok();
    assert_eq!(told["complete"], "unknown", "{told}");
    assert!(told.to_string().contains("the realm does not save its user events"), "{told}");
    let off = "action:\"UPDATE REALM\" attributes.resourcePath:\"events/config\"";
    let switched = server.admin.page("acme", "audit_logs", &[("q", off)]);
    assert_eq!(switched["items"][0]["diff"]["eventsEnabled"], json!({ "__old": true, "__new": false }), "{switched}");
    server.stop().verify().ok();
}
