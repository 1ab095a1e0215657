//! The tail: sealed records that are not in a segment yet, per tenant, readable the moment they are sealed.

use crate::Hash;
use bytes::Bytes;
use merkle::Frontier;
use parking_lot::RwLock;
use std::collections::VecDeque;
use std::ops::{Deref, Range};
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

/// Rows of one tenant that were sealed together, or some of them.
#[derive(Debug, Clone)]
pub struct TailPart {
    sealed: Arc<Vec<TailRow>>,
    range: Range<usize>,
}

impl Deref for TailPart {
    type Target = [TailRow];

    fn deref(&self) -> &[TailRow] {
        self.sealed.get(self.range.clone()).unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct State {
    /// The rows, in parts as they were sealed: whoever reads many shares them.
    parts: VecDeque<Arc<Vec<TailRow>>>,
    /// Rows of the first part that are in segments.
    gone: usize,
    /// Rows in the tail.
    count: usize,
    nodes: VecDeque<Node>,
    frontier: Frontier,
    recorded_at: i64,
}

impl State {
    /// Index of the first row; the tree's size where there is none.
    fn first(&self) -> u64 {
        self.parts.front().and_then(|part| part.get(self.gone)).map_or(self.frontier.size(), |row| row.index)
    }

    /// The part that holds an index or comes behind it.
    fn part_of(&self, index: u64) -> usize {
        self.parts.partition_point(|part| part.last().is_none_or(|row| row.index < index))
    }
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
            state.count += rows.len();
            state.parts.push_back(Arc::new(rows));
        }
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
            rows: state.parts.iter().flat_map(|part| part.iter()).skip(state.gone).cloned().collect(),
            nodes: state.nodes.iter().copied().collect(),
        }
    }

    /// The rows from `from` on, at most `most` of them, without a gap, as they were sealed.
    pub fn parts(&self, from: u64, most: usize) -> Vec<TailPart> {
        let mut parts: Vec<TailPart> = Vec::new();
        let mut rows = 0;
        loop {
            let state = self.0.read();
            let first = state.first();
            let mut next = parts.last().and_then(|part| part.last()).map_or(from, |row| row.index + 1);
            if next < first {
                // What is here already, if anything, has left the tail, and so has what comes next.
                parts.clear();
                (rows, next) = (0, first);
            }
            let mut locked = 0;
            for sealed in state.parts.range(state.part_of(next)..) {
                if locked >= AT_ONCE || rows >= most {
                    break;
                }
                let start = sealed.first().map_or(0, |row| next.saturating_sub(row.index)) as usize;
                let end = sealed.len().min(start.saturating_add(most - rows));
                let part = TailPart { sealed: Arc::clone(sealed), range: start..end };
                // A part costs as much as a row or two to take, however many rows it has.
                locked += 2;
                rows += part.len();
                next += part.len() as u64;
                parts.push(part);
            }
            if locked < AT_ONCE || rows >= most {
                return parts;
            }
        }
    }

    /// As [`parts`](Self::parts), row by row.
    pub fn rows(&self, from: u64, most: usize) -> Vec<TailRow> {
        self.parts(from, most).iter().flat_map(|part| part.iter()).cloned().collect()
    }

    pub fn row(&self, index: u64) -> Option<TailRow> {
        let state = self.0.read();
        if index < state.first() {
            return None;
        }
        let part = state.parts.get(state.part_of(index))?;
        part.get(usize::try_from(index.checked_sub(part.first()?.index)?).ok()?).cloned()
    }

    /// First index in memory, number of rows, size of the tree, root.
    pub fn head(&self) -> (u64, usize, u64, Hash) {
        let state = self.0.read();
        (state.first(), state.count, state.frontier.size(), state.frontier.root())
    }

    pub fn size(&self) -> u64 {
        self.0.read().frontier.size()
    }

    pub fn node(&self, level: u8, index: u64) -> Option<Hash> {
        self.0.read().nodes.iter().rev().find(|n| n.level == level && n.index == index).map(|n| n.hash)
    }

    /// Lets go of rows below `stored`; they are in segments now. Gives their bytes.
    pub fn trim(&self, stored: u64) -> usize {
        let weight = |row: &TailRow| row.row.len() + ROW_OVERHEAD;
        let mut bytes = 0;
        let mut state = loop {
            let mut state = self.0.write();
            let (mut out, mut rows) = (Vec::new(), 0);
            while rows < AT_ONCE
                && let Some(part) = state.parts.front()
                && part.last().is_none_or(|row| row.index < stored)
            {
                rows += part.len() - state.gone;
                out.push((state.gone, state.parts.pop_front()));
                state.gone = 0;
            }
            state.count -= rows;
            if out.is_empty() {
                break state;
            }
            // Freed while nobody waits.
            drop(state);
            let gone = out.iter().filter_map(|(from, part)| part.as_ref()?.get(*from..));
            bytes += gone.flatten().map(weight).sum::<usize>();
        };
        // Of a part that was stored in part the rest keeps all of it in memory for a while.
        if let Some(part) = state.parts.front() {
            let gone = part.partition_point(|row| row.index < stored);
            bytes += part.get(state.gone..gone).unwrap_or_default().iter().map(weight).sum::<usize>();
            let newly = gone.saturating_sub(state.gone);
            state.count -= newly;
            state.gone += newly;
        }
        // The nodes of a tenant complete in order of their last leaf.
        while let Some(node) = state.nodes.front()
            && u128::from(node.index + 1) << (8 * u32::from(node.level)) <= u128::from(stored)
        {
            state.nodes.pop_front();
        }
        if state.parts.is_empty() {
            state.parts.shrink_to_fit();
            state.nodes.shrink_to_fit();
        }
        bytes
    }
}

/// Rows let go of, or half as many parts taken, while the tail is locked: writers wait for no more than that.
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
        // Sealed in parts of one row, of a few, and of more than are let go of at once.
        let mut rest: Vec<TailRow> = (0..total).map(row).collect();
        for some in [1, 2, 3, 700, 5000].into_iter().cycle() {
            let rows: Vec<TailRow> = rest.drain(..rest.len().min(some)).collect();
            if rows.is_empty() {
                break;
            }
            tail.publish(rows, Vec::new(), frontier.clone());
        }
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
        assert_eq!((tail.head().0, tail.head().1), (total - 7, 7));
        assert_eq!(tail.rows(total, 9).len() + tail.rows(total - 2, 9).len(), 2);
        let read = |index| tail.row(index).map(|row| row.index);
        assert_eq!(
            (read(total - 8), read(total - 7), read(total - 1), read(total)),
            (None, Some(total - 7), Some(total - 1), None)
        );
        assert_eq!(tail.view().rows.len(), 7);
        assert_eq!(tail.trim(total - 7), 0, "said twice is counted once");
        assert_eq!(
            tail.rows(total - 9, 3).iter().map(|r| r.index).collect::<Vec<_>>(),
            [total - 7, total - 6, total - 5]
        );
    }
}
