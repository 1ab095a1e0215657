//! The checker itself: a ledger that is right against models that are wrong on purpose. Each invariant that the
//! schedules of `faults.rs` check must complain here.
#![allow(missing_docs)]

mod common;

use common::Lie;
use common::driver::World;
use common::model::{Model, Sealed};
use common::row;

/// A world with records of two tenants in the tail and in segments, and something signed.
fn world() -> World {
    let mut world = World::new(3, Lie::None);
    world.start().unwrap();
    let rich = |w: &World| {
        let grown = w.model.tenants.values().filter(|t| t.rows.len() > 5).count() > 1;
        grown && !w.model.signed.is_empty() && w.open.as_ref().is_some_and(|o| o.ledger.tail_bytes() > 0)
    };
    for _ in 0..200 {
        world.step().unwrap();
        if rich(&world) {
            return world;
        }
    }
    panic!("nothing to check after 200 steps");
}

#[test]
fn every_invariant_complains_when_it_is_broken() {
    let world = world();
    world.check().unwrap();
    let complains = |want: &str, wrong: &dyn Fn(&mut Model)| {
        let mut model = world.model.clone();
        wrong(&mut model);
        let ledger = &world.open.as_ref().unwrap().ledger;
        let e = model.check(ledger, &world.catalog.rows).expect_err(want);
        assert!(e.contains(want), "{want}: {e}");
    };
    let tenant = *world.model.tenants.iter().find(|(_, t)| t.rows.len() > 5).unwrap().0;
    macro_rules! of {
        ($model:ident) => {
            $model.tenants.get_mut(&tenant).unwrap()
        };
    }
    let extra = Sealed { kind: 0, recorded_at: i64::MAX, row: row("extra", "") };
    complains("I1", &|m| of!(m).rows.push(extra.clone()));
    complains("I1", &|m| drop(of!(m).rows.pop()));
    complains("I1", &|m| of!(m).rows[1].row.push(b'x'));
    complains("I1", &|m| of!(m).rows[1].kind = 4);
    complains("I1", &|m| of!(m).rows.swap(0, 3));
    complains("I1", &|m| of!(m).rows[4].recorded_at += 1);
    complains("I3", &|m| of!(m).leaves[2][0] ^= 1);
    complains("I3", &|m| m.signed[0].2[0] ^= 1);
    complains("I3", &|m| m.signed.push((tenant, 10_000, [0; 32])));
    complains("nobody sent", &|m| {
        m.tenants.remove(&tenant);
        m.signed.clear();
    });
}

/// The same for what only the ledger could break: time that goes back, an id that stands twice, a leaf.
#[test]
fn what_is_stored_wrong_is_seen() {
    let mut world = world();
    let ledger = &world.open.as_ref().unwrap().ledger;
    let (tenant, stored) = world.catalog.rows.iter().find(|(_, rows)| rows.len() > 2).expect("something is stored");
    let complains = |want: &str, rows: Vec<Sealed>| {
        let (mut catalog, mut model) = (world.catalog.rows.clone(), world.model.clone());
        let all = &mut model.tenants.get_mut(tenant).unwrap().rows;
        all.splice(..rows.len(), rows.clone());
        catalog.insert(*tenant, rows);
        let e = model.check(ledger, &catalog).expect_err(want);
        assert!(e.contains(want), "{want}: {e}");
    };
    let mut back = stored.clone();
    back[0].recorded_at = i64::MAX;
    complains("sealed before the one before it", back);
    let mut twice = stored.clone();
    twice[0].row = row("twice", "a");
    twice[1].row = row("twice", "b");
    complains("stands twice", twice);
    let mut short = world.catalog.rows.clone();
    short.get_mut(tenant).unwrap().pop();
    assert!(world.model.check(ledger, &short).unwrap_err().contains("I2"));
    world.open = None;
}
