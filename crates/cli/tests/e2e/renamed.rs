//! What is known by its name, under a new one, and under one that another had before.

use crate::changes::{admin, record, send};
use crate::server::Server;
use serde_json::{Value, json};

/// The console leads to a role by its id, and says no more than that of one that it deletes.
#[test]
fn a_role_keeps_its_states_by_its_id_through_a_new_name_and_to_its_end() {
    let server = Server::start(&[]);
    let role =
        |id: &str, at, operation: &str, path: &str, new: Value| admin(id, at, operation, "REALM_ROLE", path, &new);
    let of = |name: &str, description: &str| json!({ "id": "rrrr", "name": name, "description": description });
    send(
        &server,
        &[
            role("r1", 1, "CREATE", "roles/editor", json!({ "name": "editor" })),
            role("r2", 2, "UPDATE", "roles-by-id/rrrr", of("editor", "edits")),
            role("r3", 3, "UPDATE", "roles/editor", json!({ "name": "editor", "description": "edits all" })),
        ],
    );
    let server = server.kill().start();
    send(
        &server,
        &[
            role("r4", 4, "UPDATE", "roles-by-id/rrrr", of("writer", "edits all")),
            role("r5", 5, "DELETE", "roles-by-id/rrrr", Value::Null),
            role("r6", 6, "DELETE", "roles-by-id/rrrr", Value::Null),
        ],
    );
    assert_eq!(record(&server, "r2")["diff"], json!({ "description__added": "edits" }));
    assert_eq!(record(&server, "r3")["diff"], json!({ "description": { "__old": "edits", "__new": "edits all" } }));
    let renamed = record(&server, "r4");
    assert_eq!(renamed["diff"], json!({ "name": { "__old": "editor", "__new": "writer" } }), "{renamed}");
    let deleted = record(&server, "r5");
    assert_eq!(deleted["old"], of("writer", "edits all"), "{deleted}");
    assert_eq!(deleted["target"]["name"], "writer", "{deleted}");
    assert_eq!(record(&server, "r6")["old"], Value::Null, "it was gone");
}

/// Where nothing has an id, a name that was given away is another role's.
#[test]
fn a_name_that_another_role_had_before_tells_nothing_of_that_one() {
    let server = Server::start(&[]);
    let role =
        |id: &str, at, operation: &str, path: &str, new: Value| admin(id, at, operation, "REALM_ROLE", path, &new);
    let is = |name: &str, description: &str| json!({ "name": name, "description": description });
    send(
        &server,
        &[
            role("n1", 1, "CREATE", "roles/dev", is("dev", "A")),
            role("n2", 2, "CREATE", "roles/ops", is("ops", "B")),
            role("n3", 3, "UPDATE", "roles/dev", json!({ "name": "developer" })),
            role("n4", 4, "UPDATE", "roles/ops", json!({ "name": "dev" })),
            role("n5", 5, "UPDATE", "roles/dev", json!({ "name": "dev", "description": "B2" })),
        ],
    );
    let server = server.kill().start();
    send(
        &server,
        &[
            role("n6", 6, "DELETE", "roles/dev", Value::Null),
            role("n7", 7, "DELETE", "roles/developer", Value::Null),
            admin("p1", 1, "CREATE", "IDENTITY_PROVIDER", "identity-provider/instances", &json!({ "alias": "g" })),
            admin(
                "p2",
                2,
                "UPDATE",
                "IDENTITY_PROVIDER",
                "identity-provider/instances/g",
                &json!({ "alias": "g", "displayName": "A" }),
            ),
            admin("p3", 3, "UPDATE", "IDENTITY_PROVIDER", "identity-provider/instances/g", &json!({ "alias": "g2" })),
            admin(
                "p4",
                4,
                "UPDATE",
                "IDENTITY_PROVIDER",
                "identity-provider/instances/g2",
                &json!({ "alias": "g2", "displayName": "B" }),
            ),
        ],
    );
    assert_eq!(record(&server, "n3")["diff"], json!({ "name": { "__old": "dev", "__new": "developer" } }));
    assert_eq!(record(&server, "n5")["diff"], json!({ "description": { "__old": "B", "__new": "B2" } }));
    assert_eq!(record(&server, "n6")["old"], is("dev", "B2"));
    assert_eq!(record(&server, "n7")["old"], is("developer", "A"));
    assert_eq!(record(&server, "p4")["diff"], json!({ "displayName": { "__old": "A", "__new": "B" } }));
}
