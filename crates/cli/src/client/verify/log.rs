//! The check of a whole ledger from what it publishes: every entry, every tile, the root, and what was seen before.
//!
//! Owns the order of the checks and the words for what is wrong. Bytes come from a [`Source`]; nothing that comes
//! from there is trusted before the signed root has been rebuilt from the entries.

use std::time::Duration;

use event::commit::ENTRY_LEN;
use merkle::checkpoint::Checkpoint;
use merkle::note::VerifyingKey;
use merkle::tile::{self, HEIGHT, Tile, WIDTH};
use merkle::{Frontier, Hash, bundle, leaf_hash};

use super::entry::{is_of, read_entry};
use crate::client::{Failure, hex};

/// The largest resource that is read: far above a bundle of 256 entries of 47 bytes.
pub const MAX_RESOURCE: u64 = 1 << 20;
/// The longest wait before a request is made again.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Level-0 tiles whose bytes are fetched at once, and by how many threads.
const AHEAD: u64 = 32;
const THREADS: u64 = 4;

/// Where a ledger's resources come from.
pub trait Source: Sync {
    /// The bytes at a path below the ledger's address; `None` if there is nothing.
    ///
    /// # Errors
    /// Where it cannot be known whether there is something.
    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, Failure>;
}

/// What a check found good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Entries in the ledger.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// When the first and the last entry were sealed, microseconds.
    pub times: Option<(i64, i64)>,
    /// Tiles compared, of all levels.
    pub tiles: u64,
    /// Size of the checkpoint remembered from an earlier check.
    pub earlier: Option<u64>,
}

impl Checked {
    /// What was checked, in one sentence.
    pub fn sentence(&self, tenant: &str) -> String {
        let before = match self.earlier {
            None => "this is the first checkpoint seen from here, so nothing earlier to compare with".to_owned(),
            Some(size) if size == self.size => format!("nothing has been added since the last check at {size}"),
            Some(size) => format!("the {size} entries of the last check are unchanged at its beginning"),
        };
        let times = match self.times {
            None => String::new(),
            Some((first, last)) => {
                format!(" sealed from {} to {} in order", event::time::format(first), event::time::format(last))
            }
        };
        format!(
            "the {} entries of {tenant}{times} hash to its {} tiles and to the signed root {}; {before}",
            self.size,
            self.tiles,
            hex(self.root.get(..8).unwrap_or_default())
        )
    }
}

/// Whether two signed checkpoints alone show that one of them is a lie.
pub fn contradict(old: &Checkpoint, new: &Checkpoint) -> bool {
    new.size < old.size || (new.size == old.size && new.root != old.root)
}

/// Opens a signed checkpoint and checks that it is of this tenant's ledger.
///
/// # Errors
/// What is wrong with it.
pub fn open_checkpoint(signed: &[u8], key: &VerifyingKey, tenant: &str) -> Result<Checkpoint, Failure> {
    let opened = Checkpoint::open(signed, std::slice::from_ref(key));
    let (checkpoint, _) =
        opened.map_err(|e| Failure::integrity(format!("the checkpoint is not good: {e} (key {})", key.vkey())))?;
    if !is_of(&checkpoint.origin, tenant) {
        return Err(Failure::integrity(format!("the checkpoint is of {}, not of tenant {tenant}", checkpoint.origin)));
    }
    Ok(checkpoint)
}

/// Checks a ledger of the size of `checkpoint` against it, and against the one remembered.
///
/// `progress` is called with the number of entries checked so far.
///
/// # Errors
/// The first thing that is wrong, or what kept us from looking.
pub fn check(
    source: &impl Source,
    checkpoint: &Checkpoint,
    remembered: Option<&Checkpoint>,
    progress: &dyn Fn(u64),
) -> Result<Checked, Failure> {
    let size = checkpoint.size;
    if let Some(old) = remembered {
        same_ledger(old, checkpoint)?;
    }
    let mut walk = Walk { remembered, ..Walk::default() };
    walk.at_remembered()?;
    let tiles = size.div_ceil(u64::from(WIDTH));
    let mut next = 0;
    while next < tiles {
        let end = tiles.min(next + AHEAD);
        for (tile, bundle, hashes) in fetch(source, next, end, size)? {
            walk.leaves(tile, &bundle?, &hashes?)?;
        }
        next = end;
        progress(walk.frontier.size());
    }
    let root = walk.frontier.root();
    if root != checkpoint.root {
        return Err(Failure::integrity(format!(
            "the {size} entries have the root {}, the signed checkpoint says {}",
            hex(&root),
            hex(&checkpoint.root)
        )));
    }
    let upper = walk.upper(source, size)?;
    let times = walk.times;
    Ok(Checked { size, root, times, tiles: tiles + upper, earlier: remembered.map(|old| old.size) })
}

fn same_ledger(old: &Checkpoint, new: &Checkpoint) -> Result<(), Failure> {
    if old.origin != new.origin {
        return Err(Failure::integrity(format!(
            "the ledger was {} before and calls itself {} now",
            old.origin, new.origin
        )));
    }
    if new.size < old.size {
        return Err(Failure::integrity(format!(
            "the ledger had {} entries at the last check and has {} now: entries were taken away",
            old.size, new.size
        )));
    }
    if contradict(old, new) {
        return Err(forked(old, &new.root));
    }
    Ok(())
}

fn forked(old: &Checkpoint, root: &Hash) -> Failure {
    Failure::integrity(format!(
        "the first {} entries have the root {} now and had {} at the last check: entries were changed",
        old.size,
        hex(root),
        hex(&old.root)
    ))
}

/// What has been rebuilt so far.
#[derive(Default)]
struct Walk<'r> {
    frontier: Frontier,
    /// Hashes of tile level 1 and above, by level: what the tiles there must hold.
    levels: Vec<Vec<Hash>>,
    times: Option<(i64, i64)>,
    remembered: Option<&'r Checkpoint>,
}

impl Walk<'_> {
    /// One bundle and the tile beside it.
    fn leaves(&mut self, tile: Tile, bundle: &[u8], hashes: &[u8]) -> Result<(), Failure> {
        let (path, entries_path) = (tile.path(), tile.entries_path());
        let entries = bundle::decode_exact(bundle, tile.width);
        let entries = entries.map_err(|e| Failure::integrity(format!("{entries_path}: {e}")))?;
        let in_tile = whole_hashes(&path, hashes, tile)?;
        for (entry, in_tile) in entries.into_iter().zip(in_tile) {
            let index = self.frontier.size();
            let at = read_entry(entry)
                .map_err(|what| Failure::integrity(format!("{entries_path}: entry {index} {what}")))?;
            match &mut self.times {
                None => self.times = Some((at, at)),
                Some((_, last)) if at < *last => {
                    return Err(Failure::integrity(format!(
                        "{entries_path}: entry {index} says {}, before the entry ahead of it, {}",
                        event::time::format(at),
                        event::time::format(*last)
                    )));
                }
                Some((_, last)) => *last = at,
            }
            let leaf = leaf_hash(entry);
            if leaf != *in_tile {
                return Err(Failure::integrity(format!(
                    "entry {index} in {entries_path} does not have the hash that {path} has for it"
                )));
            }
            let levels = &mut self.levels;
            self.frontier.push_with(leaf, |height, _, root| {
                if height % HEIGHT == 0 {
                    let level = usize::from(height / HEIGHT) - 1;
                    if levels.len() <= level {
                        levels.resize_with(level + 1, Vec::new);
                    }
                    if let Some(level) = levels.get_mut(level) {
                        level.push(root);
                    }
                }
            });
            self.at_remembered()?;
        }
        Ok(())
    }

    /// At the size remembered, the root must be the one remembered.
    fn at_remembered(&self) -> Result<(), Failure> {
        match self.remembered {
            Some(old) if old.size == self.frontier.size() && old.root != self.frontier.root() => {
                Err(forked(old, &self.frontier.root()))
            }
            _ => Ok(()),
        }
    }

    /// The tiles above the leaves against what the leaves hash to. Gives their number.
    fn upper(&self, source: &impl Source, size: u64) -> Result<u64, Failure> {
        let mut count = 0;
        for tile in tile::new_tiles(0, size).filter(|tile| tile.level > 0) {
            let path = tile.path();
            let bytes = required(source, tile, Tile::path, 32)?;
            let hashes = whole_hashes(&path, &bytes, tile)?;
            let first = tile.index as usize * usize::from(WIDTH);
            let want =
                self.levels.get(usize::from(tile.level) - 1).and_then(|level| level.get(first..first + hashes.len()));
            let want = want.ok_or_else(|| Failure::integrity(format!("{path} holds more than the tree does")))?;
            if let Some(position) = hashes.iter().zip(want).position(|(got, want)| got != want) {
                return Err(Failure::integrity(format!("{path}: hash {position} is not that of the entries below it")));
            }
            count += 1;
        }
        Ok(count)
    }
}

fn whole_hashes<'b>(path: &str, bytes: &'b [u8], tile: Tile) -> Result<&'b [Hash], Failure> {
    if bytes.len() != tile.byte_len() {
        return Err(Failure::integrity(format!("{path} has {} bytes, {} are due", bytes.len(), tile.byte_len())));
    }
    Ok(bytes.as_chunks::<32>().0)
}

/// A resource that a tree of this size must have; a partial tile may have become a full one meanwhile.
fn required(source: &impl Source, tile: Tile, path: fn(&Tile) -> String, width: usize) -> Result<Vec<u8>, Failure> {
    let asked = path(&tile);
    if let Some(bytes) = source.get(&asked)? {
        return Ok(bytes);
    }
    let full = if tile.is_partial() { source.get(&path(&tile.full()))? } else { None };
    let Some(mut bytes) = full else {
        return Err(Failure::integrity(format!("{asked} is not there, and the signed checkpoint says it must be")));
    };
    bytes.truncate(width * usize::from(tile.width));
    Ok(bytes)
}

type Fetched = (Tile, Result<Vec<u8>, Failure>, Result<Vec<u8>, Failure>);

/// The bundles and tiles of level 0 from `start` to `end`, in order.
fn fetch(source: &impl Source, start: u64, end: u64, size: u64) -> Result<Vec<Fetched>, Failure> {
    let one = |index: u64| {
        let tile = Tile::in_tree(0, index, size)?;
        let bundle = required(source, tile, Tile::entries_path, ENTRY_LEN + 2);
        let hashes = required(source, tile, Tile::path, 32);
        Some((index, (tile, bundle, hashes)))
    };
    let one = &one;
    let mut found: Vec<(u64, Fetched)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS.min(end - start))
            .map(|thread| {
                scope.spawn(move || (start + thread..end).step_by(THREADS as usize).filter_map(one).collect::<Vec<_>>())
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    found.sort_by_key(|(index, _)| *index);
    if found.len() as u64 != end - start {
        return Err(Failure::other("fetching tiles failed; run the check again"));
    }
    Ok(found.into_iter().map(|(_, fetched)| fetched).collect())
}
