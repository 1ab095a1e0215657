//! Sources: secrets go in and never come out, and every change is a record of the tenant.

use crate::http::Reply;
use crate::server::Server;
use serde_json::{Value, json};

pub fn put(server: &Server, tenant: &str, name: &str, body: &Value) -> Reply {
    server.admin.put(&format!("/v1/t/{tenant}/sources/{name}"), &body.to_string())
}

#[test]
fn a_secret_goes_in_and_never_comes_out() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    let secret = "very-s3cret-indeed";
    let body = json!({ "system": "keycloak", "kind": "push", "settings": { "note": "x" }, "secrets": { "token": secret, "other": "o" } });
    let made = put(&server, "acme", "kc", &body);
    assert_eq!(made.status, 201, "{made}");
    let shown = server.admin.get("/v1/t/acme/sources/kc");
    assert_eq!(shown.json()["secrets"], json!({ "token": "***", "other": "***" }));
    // Back as it was shown, one secret taken away.
    let mut again = shown.json();
    again["secrets"]["other"] = Value::Null;
    let again = json!({ "system": again["system"], "kind": again["kind"], "settings": again["settings"], "secrets": again["secrets"] });
    let changed = put(&server, "acme", "kc", &again);
    assert_eq!((changed.status, &changed.json()["secrets"]), (200, &json!({ "token": "***" })), "{changed}");
    let list = server.admin.get("/v1/t/acme/sources");
    assert_eq!(list.json()["items"][0]["name"], "kc");
    // For administrators of this tenant only.
    let reader = server.tenant_key("acme", &["read", "write"]);
    assert_eq!(reader.get("/v1/t/acme/sources").status, 403);
    server.admin.put("/v1/t/other", "{}");
    assert_eq!(server.tenant_key("other", &["admin"]).get("/v1/t/acme/sources/kc").status, 404);

    let removed = server.admin.delete("/v1/t/acme/sources/kc");
    assert_eq!(removed.status, 204, "{removed}");
    assert_eq!(server.admin.get("/v1/t/acme/sources/kc").status, 404);
    let audit = server.admin.get("/v1/t/acme/audit-logs?q=target.type:source");
    let actions: Vec<String> = audit.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["action"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(actions, ["indelible.source.delete", "indelible.source.put", "indelible.source.put"]);
    for text in [made.text(), shown.text(), changed.text(), list.text(), audit.text(), server.home.logs()] {
        assert!(!text.contains(secret), "{text}");
    }
    // Nor in any file of the folder.
    let home = server.stop();
    for entry in walk(&home.data()) {
        let bytes = std::fs::read(&entry).unwrap();
        assert!(!bytes.windows(secret.len()).any(|w| w == secret.as_bytes()), "{}", entry.display());
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    entries.flat_map(|p| if std::fs::metadata(&p).unwrap().is_dir() { walk(&p) } else { vec![p] }).collect()
}

#[test]
fn a_bad_source_is_refused_with_what_to_do() {
    let server = Server::start(&[]);
    server.admin.put("/v1/t/acme", "{}");
    let cases = [
        (json!({ "system": "keycloak" }), "missing"),
        (json!({ "system": "keycloak", "kind": "pull?" }), "`push`"),
        (json!({ "system": "nothing", "kind": "push" }), "keycloak"),
        (json!({ "system": "keycloak", "kind": "push", "secrets": { "a": "***" } }), "send its text"),
        (json!({ "system": "keycloak", "kind": "push", "secrets": { "A b": "hush" } }), "word"),
        (json!({ "system": "keycloak", "kind": "push", "more": 1 }), "`more` is no member"),
    ];
    for (body, says) in cases {
        let refused = put(&server, "acme", "x", &body);
        assert_eq!(refused.status, 400, "{refused}");
        assert!(refused.text().contains(says) && !refused.text().contains("hush"), "{refused}");
    }
    let refused = put(&server, "acme", "Not-a-name", &json!({ "system": "keycloak", "kind": "push" }));
    assert_eq!(refused.status, 400, "{refused}");
    let refused = put(&server, "acme", "auto", &json!({ "system": "keycloak", "kind": "push" }));
    assert!(refused.status == 400 && refused.text().contains("another name"), "{refused}");
    assert_eq!(server.admin.get("/v1/t/acme/sources").json()["items"], json!([]));
}
