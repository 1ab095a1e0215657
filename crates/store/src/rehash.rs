//! Rows read from segments on their way to their leaves: gathered, so that many are hashed side by side.
//!
//! Owns the waiting rows and nothing else. Not here: what their leaves are compared with (the callers), and the rules of
//! hashing (`event::commit`).

use crate::keys::{KeyError, Salts};
use event::commit::{self, CommitError};
use ledger::Hash;
use segments::RowRef;
use std::ops::Range;

/// Rows that wait at most, and bytes of them.
const ROWS: usize = 256;
const BYTES: usize = 1 << 20;

/// Rows of one tenant that wait to be hashed.
#[derive(Default)]
pub(crate) struct Gathered {
    bytes: Vec<u8>,
    rows: Vec<Waiting>,
}

struct Waiting {
    row: Range<usize>,
    index: u64,
    recorded_at: i64,
    kind: u8,
}

/// A row's place, and what it hashes to.
pub(crate) struct Rehashed {
    pub index: u64,
    pub recorded_at: i64,
    pub leaf: Result<Hash, CommitError<KeyError>>,
}

impl Gathered {
    /// Keeps a row. Whether it is time to hash those that wait.
    pub fn push(&mut self, row: &RowRef<'_>) -> bool {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(row.row);
        let RowRef { index, recorded_at, kind, .. } = *row;
        self.rows.push(Waiting { row: start..self.bytes.len(), index, recorded_at, kind });
        self.rows.len() >= ROWS || self.bytes.len() >= BYTES
    }

    /// Hashes the rows that wait, with their tenant's `salts`. In order.
    pub fn hash(&mut self, salts: &mut Salts<'_>) -> Vec<Rehashed> {
        let mut hashed = Vec::with_capacity(self.rows.len());
        let mut places = self.rows.iter();
        let rows = self.rows.iter().map(|waiting| self.bytes.get(waiting.row.clone()).unwrap_or_default());
        commit::commitments(rows, salts, |commitment| {
            hashed.extend(places.next().map(|Waiting { index, recorded_at, kind, .. }| Rehashed {
                index: *index,
                recorded_at: *recorded_at,
                leaf: commitment.map(|c| ledger::leaf_of(*kind, *recorded_at, &c)),
            }));
        });
        self.rows.clear();
        self.bytes.clear();
        hashed
    }
}
