//! Sources: what is put is there after a restart, secrets are in no file as they are, and rot is found.

use std::collections::BTreeMap;

use catalog::{Catalog, Error, MAX_SOURCES, SecretText, SourceCounts, SourceNews, SourceSpec};
use rusqlite::Connection;

use crate::Folder;

fn put(catalog: &Catalog, name: &str, kind: &str, secrets: &[(&str, &str)], now: i64) -> Result<bool, Error> {
    let secrets: BTreeMap<String, SecretText> =
        secrets.iter().map(|(k, v)| ((*k).to_owned(), SecretText::new(*v))).collect();
    let spec = SourceSpec { name, system: "keycloak", kind, settings: r#"{"a":1}"#, secrets: &secrets };
    catalog.put_source(1, &spec, now).map(|(_, created)| created)
}

#[test]
fn a_source_survives_a_restart_and_its_secret_is_in_no_file() {
    let folder = Folder::new();
    let catalog = folder.with_tenants(2);
    assert!(put(&catalog, "kc", "pull", &[("client_secret", "0pensesame"), ("b", "2")], 5).unwrap());
    let counts = SourceCounts { received: 3, duplicate: 2, refused: 1 };
    let news = SourceNews { made: Some(5), position: Some("p1"), seen: Some(9), counts };
    let other = SourceNews { made: Some(6), ..news };
    assert!(!catalog.note_source(1, "kc", &other).unwrap());
    assert!(catalog.note_source(1, "kc", &news).unwrap());
    assert!(catalog.note_source(1, "kc", &SourceNews { made: None, position: None, seen: Some(8), counts }).unwrap());
    drop(catalog);
    let catalog = folder.open();
    let source = catalog.source(1, "kc").unwrap().unwrap();
    assert_eq!((source.position.as_deref(), source.last_seen), (Some("p1"), Some(9)));
    assert_eq!(source.counts, SourceCounts { received: 6, duplicate: 4, refused: 2 });
    assert_eq!((source.secrets.join(" ").as_str(), source.created_at), ("b client_secret", 5));
    assert_eq!(catalog.source_secret(1, "kc", "client_secret").unwrap().unwrap().expose(), "0pensesame");
    assert!(catalog.source_secret(1, "kc", "other").unwrap().is_none());
    assert!(catalog.source(2, "kc").unwrap().is_none() && catalog.source_secret(2, "kc", "b").unwrap().is_none());
    for entry in std::fs::read_dir(folder.db().parent().unwrap()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(10).any(|w| w == b"0pensesame"));
    }
    // Changed: the position stays. Another kind: it begins again.
    assert!(!put(&catalog, "kc", "pull", &[], 7).unwrap());
    let changed = catalog.source(1, "kc").unwrap().unwrap();
    assert_eq!((changed.position.as_deref(), changed.created_at, changed.updated_at), (Some("p1"), 5, 7));
    assert!(changed.secrets.is_empty() && catalog.source_secrets(1, "kc").unwrap().is_empty());
    put(&catalog, "kc", "push", &[], 8).unwrap();
    assert_eq!(catalog.source(1, "kc").unwrap().unwrap().counts, SourceCounts::default());
    assert!(catalog.check().unwrap().is_empty());
    assert!(catalog.delete_source(1, "kc").unwrap() && !catalog.delete_source(1, "kc").unwrap());
    assert!(!catalog.note_source(1, "kc", &news).unwrap());
    assert!(catalog.sources(1).unwrap().is_empty() && catalog.all_sources().unwrap().is_empty());
}

#[test]
fn rules_are_told_without_the_secret() {
    let folder = Folder::new();
    let catalog = folder.with_tenants(1);
    let long = "s3cret".repeat(4000);
    for (name, kind, secrets) in [
        ("Bad", "pull", vec![]),
        ("a", "", vec![]),
        ("a", "pull", vec![("X", "s3cret")]),
        ("a", "pull", vec![("x", "")]),
        ("a", "pull", vec![("x", long.as_str())]),
    ] {
        let error = put(&catalog, name, kind, &secrets, 1).unwrap_err();
        assert!(matches!(error, Error::InvalidSource { .. }), "{error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
    for n in 0..MAX_SOURCES {
        put(&catalog, &format!("s{n}"), "pull", &[], 1).unwrap();
    }
    assert!(put(&catalog, "one-more", "pull", &[], 1).unwrap_err().to_string().contains("256"));
    assert!(!put(&catalog, "s0", "pull", &[], 1).unwrap());
}

#[test]
fn rot_is_found() {
    for sql in [
        "UPDATE source SET settings = '{}'",
        "UPDATE source SET secrets = zeroblob(60)",
        "UPDATE source_state SET position = 'q'",
        "UPDATE source_state SET received = 9",
    ] {
        let folder = Folder::new();
        let catalog = folder.with_tenants(1);
        put(&catalog, "kc", "pull", &[("a", "b")], 5).unwrap();
        Connection::open(folder.db()).unwrap().execute(sql, []).unwrap();
        assert!(catalog.source(1, "kc").unwrap_err().is_damage(), "{sql}");
        assert!(catalog.sources(1).unwrap_err().is_damage(), "{sql}");
        assert!(!catalog.check().unwrap().is_empty(), "{sql}");
    }
    let folder = Folder::new();
    let catalog = folder.with_tenants(1);
    put(&catalog, "kc", "pull", &[], 5).unwrap();
    Connection::open(folder.db()).unwrap().execute("DELETE FROM source_state", []).unwrap();
    assert!(!catalog.check().unwrap().is_empty());
}
