//! Random histories against plain maps, reopened in between: the catalog is what the maps are.

use std::collections::BTreeMap;

use catalog::{Catalog, Segment, StoreCommit, TileRow};
use proptest::prelude::*;

use crate::{Folder, segment};

const TENANTS: u32 = 3;

#[derive(Debug, Clone)]
enum Step {
    Commit {
        add: Vec<(u64, u64)>,
        retire: Option<prop::sample::Index>,
        seq: Option<u64>,
        persons: Vec<(u32, u8, u8)>,
        frontiers: Vec<(u32, u64)>,
        tiles: Vec<(u32, u64, usize)>,
    },
    Checkpoints(Vec<(u32, u64, u8)>),
    ForgetRetired,
    Meta(u8, Vec<u8>),
    Reopen,
}

/// Tenant 0 does not exist, so some commits fail.
fn tenant() -> impl Strategy<Value = u32> {
    prop_oneof![30 => 1..=TENANTS, 1 => Just(0)]
}

fn step() -> impl Strategy<Value = Step> {
    let commit = (
        prop::collection::vec((0u64..40, 1u64..5), 0..3),
        prop::option::weighted(0.3, any::<prop::sample::Index>()),
        prop::option::of(0u64..30),
        prop::collection::vec((tenant(), 0u8..6, any::<u8>()), 0..4),
        prop::collection::vec((tenant(), 0u64..30), 0..2),
        prop::collection::vec((tenant(), 0u64..3, 1usize..257), 0..3),
    )
        .prop_map(|(add, retire, seq, persons, frontiers, tiles)| Step::Commit {
            add,
            retire,
            seq,
            persons,
            frontiers,
            tiles,
        });
    prop_oneof![
        10 => commit,
        4 => prop::collection::vec((tenant(), 0u64..20, 0u8..2), 1..4).prop_map(Step::Checkpoints),
        1 => Just(Step::ForgetRetired),
        2 => (0u8..3, prop::collection::vec(any::<u8>(), 0..9)).prop_map(|(name, value)| Step::Meta(name, value)),
        1 => Just(Step::Reopen),
    ]
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    segments: BTreeMap<u64, Segment>,
    retired: Vec<u64>,
    seq: u64,
    persons: BTreeMap<(u32, [u8; 16]), [u8; 32]>,
    frontiers: BTreeMap<u32, (u64, Vec<u8>)>,
    tiles: BTreeMap<(u32, u64), Vec<u8>>,
    checkpoints: BTreeMap<u32, (u64, [u8; 32], String)>,
    meta: BTreeMap<u8, Vec<u8>>,
}

impl Model {
    /// The same commit by the plainest means; `None` when it breaks a rule.
    fn commit(&self, c: &StoreCommit) -> Option<Self> {
        let mut next = self.clone();
        for id in &c.retire {
            next.segments.remove(id)?;
            next.retired.push(*id);
        }
        next.retired.sort_unstable();
        for segment in &c.add {
            let new = !next.retired.contains(&segment.id) && !next.segments.contains_key(&segment.id);
            new.then(|| next.segments.insert(segment.id, segment.clone()))?;
        }
        for (tenant, person, key) in &c.person_keys {
            (*tenant > 0).then(|| next.persons.entry((*tenant, *person)).or_insert(*key))?;
        }
        for (tenant, size, hashes) in &c.frontiers {
            let back = next.frontiers.get(tenant).is_some_and(|(old, _)| size < old);
            (*tenant > 0 && !back).then(|| next.frontiers.insert(*tenant, (*size, hashes.clone())))?;
        }
        for tile in &c.tiles {
            (tile.tenant > 0).then(|| next.tiles.insert((tile.tenant, tile.index), tile.hashes.clone()))?;
        }
        if let Some(seq) = c.flushed_seq {
            (seq >= next.seq).then(|| next.seq = seq)?;
        }
        Some(next)
    }

    fn checkpoints(&self, list: &[(u32, u64, [u8; 32], String)]) -> Option<Self> {
        let mut next = self.clone();
        for (tenant, size, root, note) in list {
            let bad = next
                .checkpoints
                .get(tenant)
                .is_some_and(|(old, old_root, _)| size < old || (size == old && root != old_root));
            (*tenant > 0 && !bad).then(|| next.checkpoints.insert(*tenant, (*size, *root, note.clone())))?;
        }
        Some(next)
    }

    fn of(catalog: &Catalog) -> Self {
        let mut model = Self {
            segments: catalog.segments().unwrap().into_iter().map(|segment| (segment.id, segment)).collect(),
            retired: catalog.retired().unwrap(),
            seq: catalog.flushed_seq().unwrap(),
            frontiers: catalog.frontiers().unwrap().into_iter().map(|(t, size, bytes)| (t, (size, bytes))).collect(),
            ..Self::default()
        };
        for tenant in 1..=TENANTS {
            let mut persons = Vec::new();
            catalog.for_each_person_key(tenant, |person, key| persons.push(((tenant, *person), *key))).unwrap();
            model.persons.extend(persons);
            model.checkpoints.extend(catalog.checkpoint(tenant).unwrap().map(|checkpoint| (tenant, checkpoint)));
            for index in 0..3 {
                model.tiles.extend(catalog.tile(tenant, 2, index).unwrap().map(|tile| ((tenant, index), tile)));
            }
        }
        for name in 0..3u8 {
            model.meta.extend(catalog.meta(&name.to_string()).unwrap().map(|value| (name, value)));
        }
        model
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn it_is_what_the_maps_are(steps in prop::collection::vec(step(), 1..25)) {
        let folder = Folder::new();
        let mut catalog = folder.with_tenants(TENANTS);
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Commit { add, retire, seq, persons, frontiers, tiles } => {
                    let live: Vec<u64> = model.segments.keys().copied().collect();
                    let retire = retire.filter(|_| !live.is_empty()).map(|at| *at.get(&live));
                    let commit = StoreCommit {
                        add: add.iter().map(|&(id, rows)| segment(id, &[1, 3], rows)).collect(),
                        retire: retire.into_iter().collect(),
                        flushed_seq: seq,
                        person_keys: persons.iter().map(|&(t, p, k)| (t, [p; 16], [k; 32])).collect(),
                        frontiers: frontiers.iter().map(|&(t, size)| (t, size, vec![size as u8; 32])).collect(),
                        tiles: tiles.iter().map(|&(tenant, index, hashes)| TileRow {
                            tenant, level: 2, index, hashes: vec![index as u8; 32 * hashes],
                        }).collect(),
                        now: 1,
                    };
                    let expected = model.commit(&commit);
                    prop_assert_eq!(catalog.commit_store(commit).is_ok(), expected.is_some());
                    model = expected.unwrap_or(model);
                }
                Step::Checkpoints(list) => {
                    let list: Vec<_> =
                        list.into_iter().map(|(t, size, root)| (t, size, [root; 32], format!("{size}"))).collect();
                    let expected = model.checkpoints(&list);
                    prop_assert_eq!(catalog.put_checkpoints(&list).is_ok(), expected.is_some());
                    model = expected.unwrap_or(model);
                }
                Step::ForgetRetired => {
                    catalog.forget_retired(&model.retired).unwrap();
                    model.retired.clear();
                }
                Step::Meta(name, value) => {
                    catalog.set_meta(&name.to_string(), &value).unwrap();
                    model.meta.insert(name, value);
                }
                Step::Reopen => {
                    drop(catalog);
                    catalog = folder.open();
                }
            }
            prop_assert_eq!(&Model::of(&catalog), &model);
        }
        prop_assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
        drop(catalog);
        prop_assert_eq!(&Model::of(&folder.open()), &model);
    }
}
