//! What is remembered of one file: its content, what of it is durable, and what was done since; and what of that a
//! power cut leaves.

use crate::Rng;
use std::io::{Error, ErrorKind, Result};

/// The part of a file that a disk writes as a whole or not at all.
pub(crate) const SECTOR: usize = 512;

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct File {
    pub(crate) data: Vec<u8>,
    pub(crate) durable: Vec<u8>,
    /// Since the last sync, in order.
    pub(crate) pending: Vec<Op>,
}

impl File {
    pub(crate) fn apply(&mut self, op: Op) {
        self.change(&op);
        self.pending.push(op);
    }

    fn change(&mut self, op: &Op) {
        match op {
            Op::Truncate(len) => self.data.truncate(*len),
            Op::Write(at, bytes) => {
                let end = at + bytes.len();
                if self.data.len() < end {
                    self.data.resize(end, 0);
                }
                self.data[*at..end].copy_from_slice(bytes);
            }
        }
    }

    pub(crate) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        match from.checked_add(buffer.len()).and_then(|to| self.data.get(from..to)) {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(Error::from(ErrorKind::UnexpectedEof)),
        }
    }
}

/// Of what was not synced a beginning; of its last write some sectors are zeros, and the file may end early.
pub(crate) fn beginning(durable: Vec<u8>, pending: Vec<Op>, rng: &mut Rng) -> Vec<u8> {
    let keep = rng.below(pending.len() + 1);
    let torn = rng.once_in(2);
    let mut file = File { data: durable, ..File::default() };
    for (n, op) in pending.into_iter().take(keep).enumerate() {
        match op {
            Op::Write(at, mut bytes) if torn && n + 1 == keep => {
                bytes.truncate(rng.below(bytes.len() + 1));
                let zeros = rng.once_in(2);
                for part in parts(at, bytes.len()) {
                    let beyond = at + part.start >= file.data.len();
                    if zeros && beyond && rng.once_in(2) {
                        bytes[part].fill(0);
                    }
                }
                file.change(&Op::Write(at, bytes));
            }
            op => file.change(&op),
        }
    }
    file.data
}

/// Of what was not synced any choice of sectors, written in order; between them there are zeros.
pub(crate) fn sectors(durable: Vec<u8>, pending: Vec<Op>, rng: &mut Rng) -> Vec<u8> {
    let mut file = File { data: durable, ..File::default() };
    for op in pending {
        match op {
            Op::Truncate(_) if rng.once_in(2) => file.change(&op),
            Op::Truncate(_) => {}
            Op::Write(at, bytes) => {
                for part in parts(at, bytes.len()) {
                    if rng.once_in(2) {
                        file.change(&Op::Write(at + part.start, bytes[part].to_vec()));
                    }
                }
            }
        }
    }
    file.data
}

/// A write of `len` bytes at `at`, cut where sectors begin.
fn parts(at: usize, len: usize) -> Vec<std::ops::Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    while start < len {
        let end = ((at + start) / SECTOR * SECTOR + SECTOR - at).min(len);
        parts.push(start..end);
        start = end;
    }
    parts
}
