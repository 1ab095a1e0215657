//! Tenants and keys: who may, who may not, and that memory and file say the same.

use catalog::{Error, Scopes};

use crate::Folder;

#[test]
fn a_key_works_until_it_is_revoked_and_after_a_restart_the_same() {
    let folder = Folder::new();
    let catalog = folder.with_tenants(2);
    let scopes = Scopes::WRITE | Scopes::READ_BODY;
    let (key, text) = catalog.create_key(Some(1), "feeder", scopes, 5).unwrap();
    let (other, other_text) = catalog.create_key(Some(2), "reader", Scopes::READ, 6).unwrap();
    assert!(!format!("{key:?} {catalog:?}").contains(&text[17..]));

    let principal = catalog.authenticate(&text).unwrap();
    assert_eq!((&*principal.key_id, &*principal.name), (key.id.as_str(), "feeder"));
    assert_eq!((principal.tenant, principal.scopes), (Some(1), scopes));
    drop(catalog);

    let catalog = folder.open();
    assert_eq!(catalog.authenticate(&text), Some(principal));
    assert!(!catalog.revoke_key(Some(2), &key.id, 7).unwrap(), "another tenant's key");
    assert!(!catalog.revoke_key(None, &key.id, 7).unwrap(), "not the installation's key");
    assert!(!catalog.revoke_key(Some(1), "aaaaaaaaaaaa", 7).unwrap(), "no such key");
    assert!(catalog.authenticate(&text).is_some());

    assert!(catalog.revoke_key(Some(1), &key.id, 8).unwrap());
    assert_eq!(catalog.authenticate(&text), None);
    assert!(catalog.revoke_key(Some(1), &key.id, 9).unwrap(), "again");
    let listed = catalog.keys(1).unwrap();
    assert_eq!(listed, vec![catalog::ApiKey { revoked_at: Some(8), ..key }]);
    assert_eq!(catalog.keys(2).unwrap(), vec![other]);
    drop(catalog);

    let catalog = folder.open();
    assert_eq!(catalog.authenticate(&text), None);
    assert!(catalog.authenticate(&other_text).is_some());
    assert_eq!(catalog.keys(1).unwrap(), listed);
}

#[test]
fn wrong_keys_are_nobody() {
    let folder = Folder::new();
    let catalog = folder.with_tenants(1);
    let (_, a) = catalog.create_key(Some(1), "a", Scopes::ALL, 5).unwrap();
    let (_, b) = catalog.create_key(Some(1), "b", Scopes::ALL, 5).unwrap();

    let swapped = format!("{}{}", &a[..17], &b[17..]);
    assert_eq!(swapped.len(), a.len());
    let wrong_secret = format!("{}{}", &a[..59], if a.ends_with('A') { 'B' } else { 'A' });
    let wrong_id = format!("ind_{}{}", if a[4..].starts_with('a') { "b" } else { "a" }, &a[5..]);
    let (longer, shorter, spaced) = (format!("{a}A"), &a[..59], format!(" {a}"));
    for bad in [&swapped, &wrong_secret, &wrong_id, &longer, shorter, &spaced, "", "ind_", "Bearer x", &"ü".repeat(30)]
    {
        assert_eq!(catalog.authenticate(bad), None, "{bad}");
    }
    assert!(catalog.authenticate(&a).is_some());
}

#[test]
fn the_installation_has_keys_of_its_own() {
    let folder = Folder::new();
    let catalog = folder.with_tenants(1);
    let (key, text) = catalog.create_key(None, "admin", Scopes::ALL, 5).unwrap();
    assert_eq!(catalog.authenticate(&text).unwrap().tenant, None);
    assert_eq!(catalog.keys(1).unwrap(), vec![]);
    assert_eq!(catalog.administrator_keys().unwrap(), vec![key.clone()]);
    assert!(!catalog.revoke_key(Some(1), &key.id, 6).unwrap());
    assert!(catalog.revoke_key(None, &key.id, 6).unwrap());
    assert_eq!(catalog.authenticate(&text), None);
}

#[test]
fn keys_need_a_tenant_and_a_name() {
    let folder = Folder::new();
    let catalog = folder.with_tenants(1);
    let error = catalog.create_key(Some(9), "a", Scopes::READ, 1).unwrap_err();
    assert!(matches!(error, Error::UnknownTenant { .. }), "{error}");
    for bad in ["", "a\nb", &"x".repeat(201)] {
        assert!(matches!(catalog.create_key(Some(1), bad, Scopes::READ, 1), Err(Error::InvalidKeyName)));
    }
    assert_eq!(catalog.keys(1).unwrap(), vec![]);
}

#[test]
fn a_tenant_is_created_once_and_keeps_its_key() {
    let folder = Folder::new();
    let catalog = folder.open();
    assert_eq!(catalog.tenant("acme"), None);
    let (acme, created) = catalog.create_tenant("acme", r#"{"a":1}"#, 10).unwrap();
    assert!(created);
    let (again, created) = catalog.create_tenant("acme", r#"{"a":2}"#, 20).unwrap();
    assert!(!created && again == acme);
    let (other, _) = catalog.create_tenant("other", "{}", 30).unwrap();
    assert!(other.number != acme.number && other.key != acme.key);

    let updated = catalog.update_settings("acme", r#"{"a":3}"#).unwrap();
    assert_eq!(updated.settings, r#"{"a":3}"#);
    assert_eq!((updated.number, &updated.key, updated.created_at), (acme.number, &acme.key, 10));
    assert_eq!(catalog.tenant("acme"), Some(updated.clone()));
    assert!(matches!(catalog.update_settings("nobody", "{}"), Err(Error::UnknownTenant { .. })));
    assert!(matches!(catalog.update_settings("acme", "[]"), Err(Error::InvalidSettings { .. })));
    assert!(matches!(catalog.create_tenant("Acme", "{}", 1), Err(Error::InvalidSlug { .. })));
    let hex = format!("{:?}", acme);
    assert!(hex.contains("redacted"), "{hex}");

    let before = catalog.tenants();
    drop(catalog);
    let catalog = folder.open();
    assert_eq!(catalog.tenants(), before);
    assert_eq!(catalog.tenant_by_number(acme.number), Some(updated));
}

#[test]
fn many_threads_create_one_tenant_once() {
    let folder = Folder::new();
    let catalog = folder.open();
    let numbers: Vec<_> = std::thread::scope(|scope| {
        let run = |at: usize| {
            let catalog = &catalog;
            scope.spawn(move || {
                let (own, _) = catalog.create_tenant(&format!("own-{at}"), "{}", 1).unwrap();
                let (shared, created) = catalog.create_tenant("shared", "{}", 1).unwrap();
                (own.number, shared.number, created)
            })
        };
        let threads: Vec<_> = (0..8).map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(numbers.iter().filter(|(_, _, created)| *created).count(), 1);
    assert!(numbers.iter().all(|(_, shared, _)| *shared == numbers[0].1));
    assert_eq!(catalog.tenants().len(), 9);
}
