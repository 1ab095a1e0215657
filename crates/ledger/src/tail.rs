//! The tail: sealed records that are not in a segment yet, per tenant, readable the moment they are sealed.

use crate::Hash;
use bytes::Bytes;
use merkle::Frontier;
use parking_lot::RwLock;
use std::collections::VecDeque;
use std::sync::Arc;

/// A sealed record in memory.
#[derive(Debug, Clone)]
pub struct TailRow {
    /// Its index in the tenant's ledger.
    pub index: u64,
    /// When it was sealed, microseconds UTC.
    pub recorded_at: i64,
    /// Kind of entry.
    pub kind: u8,
    /// Commitment in its entry.
    pub commitment: Hash,
    /// Hash of its leaf.
    pub leaf: Hash,
    /// [`sum_of`] the bytes that were committed to in this process. `None` where the row came from the journal:
    /// nobody has hashed it since.
    pub sum: Option<u32>,
    /// Stored form; shares the frame's memory.
    pub row: Bytes,
}

/// CRC-32C of a row in stored form: whether memory changed it, nothing more.
pub fn sum_of(row: &[u8]) -> u32 {
    crc32c::crc32c(row)
}

/// Root of a complete subtree of 256^`level` leaves: the hash at `index` of tile level `level` ≥ 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Tile level, from 1.
    pub level: u8,
    /// Which subtree of that size, from 0.
    pub index: u64,
    /// Its root.
    pub hash: Hash,
}

#[derive(Debug, Default)]
struct State {
    rows: VecDeque<TailRow>,
    nodes: VecDeque<Node>,
    frontier: Frontier,
    recorded_at: i64,
}

/// One tenant's part of the tail, and its tree's frontier.
#[derive(Debug, Default)]
pub(crate) struct TenantTail(RwLock<State>);

impl TenantTail {
    pub fn at(frontier: Frontier) -> Self {
        Self(RwLock::new(State { frontier, ..State::default() }))
    }

    /// Makes sealed rows visible, with the tree they led to.
    pub fn publish(&self, rows: Vec<TailRow>, nodes: Vec<Node>, frontier: Frontier) {
        let mut state = self.0.write();
        if let Some(last) = rows.last() {
            state.recorded_at = last.recorded_at;
        }
        state.rows.extend(rows);
        state.nodes.extend(nodes);
        state.frontier = frontier;
    }

    pub fn frontier(&self) -> Frontier {
        self.0.read().frontier.clone()
    }

    pub fn view(&self) -> TailView {
        let state = self.0.read();
        TailView {
            size: state.frontier.size(),
            root: state.frontier.root(),
            recorded_at: state.recorded_at,
            rows: state.rows.iter().cloned().collect(),
            nodes: state.nodes.iter().copied().collect(),
        }
    }

    /// The rows from `from` on, at most `most` of them, without a gap.
    pub fn rows(&self, from: u64, most: usize) -> Vec<TailRow> {
        let mut rows: Vec<TailRow> = Vec::new();
        loop {
            let state = self.0.read();
            let first = state.rows.front().map_or(state.frontier.size(), |r| r.index);
            let mut next = rows.last().map_or(from, |r| r.index + 1);
            if next < first {
                // What is here already, if anything, has left the tail, and so has what comes next.
                rows.clear();
                next = first;
            }
            let some = (most - rows.len()).min(AT_ONCE);
            let before = rows.len();
            rows.extend(state.rows.iter().skip((next - first) as usize).take(some).cloned());
            if rows.len() - before < some || rows.len() >= most {
                return rows;
            }
        }
    }

    pub fn row(&self, index: u64) -> Option<TailRow> {
        let state = self.0.read();
        let first = state.rows.front()?.index;
        state.rows.get(usize::try_from(index.checked_sub(first)?).ok()?).cloned()
    }

    /// First index in memory, number of rows, size of the tree, root.
    pub fn head(&self) -> (u64, usize, u64, Hash) {
        let state = self.0.read();
        let size = state.frontier.size();
        (state.rows.front().map_or(size, |r| r.index), state.rows.len(), size, state.frontier.root())
    }

    pub fn size(&self) -> u64 {
        self.0.read().frontier.size()
    }

    pub fn node(&self, level: u8, index: u64) -> Option<Hash> {
        self.0.read().nodes.iter().rev().find(|n| n.level == level && n.index == index).map(|n| n.hash)
    }

    /// Lets go of rows below `stored`; they are in segments now. Gives their bytes.
    pub fn trim(&self, stored: u64) -> usize {
        let mut bytes = 0;
        let mut state = loop {
            let mut state = self.0.write();
            let below = state.rows.front().map_or(0, |r| stored.saturating_sub(r.index)) as usize;
            let some = below.min(state.rows.len()).min(AT_ONCE);
            if some == 0 {
                break state;
            }
            let gone: Vec<TailRow> = state.rows.drain(..some).collect();
            // Freed while nobody waits.
            drop(state);
            bytes += gone.iter().map(|row| row.row.len() + ROW_OVERHEAD).sum::<usize>();
        };
        // The nodes of a tenant complete in order of their last leaf.
        while let Some(node) = state.nodes.front()
            && u128::from(node.index + 1) << (8 * u32::from(node.level)) <= u128::from(stored)
        {
            state.nodes.pop_front();
        }
        if state.rows.is_empty() {
            state.rows.shrink_to_fit();
            state.nodes.shrink_to_fit();
        }
        bytes
    }
}

/// Rows copied or let go of while the tail is locked: writers wait for no more than that.
const AT_ONCE: usize = 2048;

/// Memory a row in the tail takes beside its stored form.
pub(crate) const ROW_OVERHEAD: usize = std::mem::size_of::<TailRow>() + 48;

/// A tenant's tail at one moment.
#[derive(Debug, Clone)]
pub struct TailView {
    /// Size of the tree.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// When its last record was sealed; 0 where none was since the start.
    pub recorded_at: i64,
    /// The rows not in a segment yet, by index.
    pub rows: Vec<TailRow>,
    /// Complete subtrees whose last leaf is among the rows.
    pub nodes: Vec<Node>,
}

pub(crate) type Shared = Arc<TenantTail>;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(index: u64) -> TailRow {
        TailRow {
            index,
            recorded_at: 0,
            kind: 0,
            commitment: [0; 32],
            leaf: [0; 32],
            sum: None,
            row: Bytes::from_static(b"row"),
        }
    }

    #[test]
    fn rows_that_leave_while_others_read_leave_no_gap() {
        let total = 20 * AT_ONCE as u64;
        let mut frontier = Frontier::new();
        (0..total).for_each(|_| frontier.push([0; 32]));
        let tail = TenantTail::default();
        tail.publish((0..total).map(row).collect(), Vec::new(), frontier);
        let bytes = std::thread::scope(|scope| {
            let leaves = scope.spawn(|| (1..=20).map(|n| tail.trim(n * AT_ONCE as u64 - 7)).sum::<usize>());
            while !leaves.is_finished() {
                let read: Vec<u64> = tail.rows(3, usize::MAX).iter().map(|r| r.index).collect();
                assert!(read.windows(2).all(|two| two[0] + 1 == two[1]));
                assert_eq!(read.last(), Some(&(total - 1)));
            }
            leaves.join().unwrap()
        });
        assert_eq!(bytes, (total as usize - 7) * (3 + ROW_OVERHEAD));
        assert_eq!(tail.head().0, total - 7);
        assert_eq!(tail.rows(total, 9).len() + tail.rows(total - 2, 9).len(), 2);
    }
}
