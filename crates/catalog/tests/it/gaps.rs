//! Gaps: each is told under its own id, survives a restart, and is filled once.

use crate::Folder;
use crate::jobs::with_source;
use catalog::{Filling, SourceGap, SourceSpec};
use rusqlite::Connection;
use std::collections::BTreeMap;

fn gap(id: &str, from: i64, to: i64, cause: &str) -> SourceGap {
    SourceGap {
        tenant: 1,
        name: "kc".into(),
        id: id.into(),
        from,
        to,
        told_at: 5,
        told_size: 3,
        cause: cause.into(),
        filled: None,
    }
}

#[test]
fn gaps_are_told_by_id_and_all_of_their_causes_once() {
    let folder = Folder::new();
    let catalog = with_source(&folder);
    assert!(catalog.add_gap(&gap("a", 10, 11, "its number 4 did not come"), 1).unwrap());
    assert!(catalog.add_gap(&gap("b", 10, 15, "its numbers 7 to 8 did not come"), 1).unwrap());
    assert!(!catalog.add_gap(&gap("c", 10, 15, "lost"), 9).unwrap(), "another source by now");
    let of = |from, to| {
        let all = catalog.gaps(1, "kc", from, to).unwrap();
        all.into_iter().map(|g| (g.id, g.cause)).collect::<Vec<_>>()
    };
    assert_eq!(of(0, 100).iter().map(|g| g.0.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(of(11, 12).len(), 1);
    // Told again after a crash, and with another cause; a cause that is a part of another is not that one.
    for cause in ["its number 4 did not come", "lost", "los", "lost"] {
        catalog.add_gap(&SourceGap { told_at: 8, ..gap("a", 10, 11, cause) }, 1).unwrap();
    }
    assert_eq!(of(10, 11)[0].1, "its number 4 did not come; lost; los");
    assert_eq!(catalog.gap(1, "kc", "a").unwrap().unwrap().told_at, 8);
    assert_eq!(catalog.gap(1, "kc", "z").unwrap(), None);
    for n in 0..200 {
        catalog.add_gap(&gap("many", 20, 21, &format!("its number {n} did not come")), 1).unwrap();
    }
    let causes = &of(20, 21)[0].1;
    assert!(causes.len() < 2100 && causes.ends_with("; and others"), "{causes}");
    assert!(catalog.check().unwrap().is_empty());
}

#[test]
fn a_gap_is_filled_once_and_stays_so() {
    let folder = Folder::new();
    let filling = |at| Filling { at, by: "its numbers came".into() };
    let told = gap("a", 10, 20, "lost");
    {
        let catalog = with_source(&folder);
        catalog.add_gap(&told, 1).unwrap();
        assert!(catalog.fill_gap(&told, &filling(30), 1).unwrap());
        assert!(!catalog.fill_gap(&told, &filling(30), 2).unwrap(), "another source by now");
    }
    let catalog = folder.open();
    assert!(catalog.fill_gap(&told, &filling(40), 1).unwrap());
    catalog.add_gap(&told, 1).unwrap();
    assert_eq!(catalog.gaps(1, "kc", 0, 100).unwrap(), [SourceGap { filled: Some(filling(30)), ..told.clone() }]);
    assert!(catalog.check().unwrap().is_empty());
    // Nothing of it is known of another source of that name.
    let secrets = BTreeMap::new();
    let spec = SourceSpec { name: "kc", system: "okta", kind: "pull", settings: "{}", secrets: &secrets };
    catalog.put_source(1, &spec, 7).unwrap();
    assert_eq!(catalog.gaps(1, "kc", 0, 100).unwrap(), []);
    catalog.add_gap(&told, 7).unwrap();
    catalog.delete_source(1, "kc").unwrap();
    assert_eq!(catalog.gaps(1, "kc", 0, 100).unwrap(), []);
}

#[test]
fn rot_of_a_gap_is_found() {
    for sql in [
        "UPDATE source_gap SET to_time = 99",
        "UPDATE source_gap SET filled_at = 9",
        "UPDATE source_gap SET told_size = 0",
    ] {
        let folder = Folder::new();
        let catalog = with_source(&folder);
        catalog.add_gap(&gap("a", 10, 20, "lost"), 1).unwrap();
        Connection::open(folder.db()).unwrap().execute(sql, []).unwrap();
        assert!(catalog.gaps(1, "kc", 0, 100).unwrap_err().is_damage(), "{sql}");
        assert!(!catalog.check().unwrap().is_empty(), "{sql}");
    }
}
