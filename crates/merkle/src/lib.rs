//! RFC 6962 trees and the C2SP formats around them: bytes in, verdict out.
//!
//! This crate owns the mathematics and the text formats that an outside verifier sees: leaf and node
//! hashes, the append-only [`Frontier`], [`tile`] coordinates and the proofs made from tiles, proof
//! verification ([`proof`]), signed notes ([`note`]), checkpoints ([`checkpoint`]), offline inclusion
//! proofs ([`tlog_proof`]) and entry bundles ([`bundle`]).
//!
//! It is deliberately *not* a log: there is no I/O, no clock, no lock, no random number and no other crate
//! of ours. Whoever has tiles hands them in through [`tile::TileReader`]; whoever knows the time passes it to
//! [`note::CosigningKey::cosign`].
//!
//! **Architecture invariant:** no input byte makes this crate panic or allocate more than a small multiple
//! of the input's own length.
//!
//! Specifications: RFC 6962 section 2.1 and `c2sp.org/{signed-note,tlog-checkpoint,tlog-tiles,tlog-proof,tlog-cosignature}`.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod bundle;
pub mod checkpoint;
mod encoding;
mod frontier;
mod hash;
pub mod note;
pub mod proof;
pub mod tile;
pub mod tlog_proof;

pub use frontier::{Frontier, FrontierError};
pub use hash::{Hash, Hasher, MAX_SIZE, empty_root, leaf_hash, node_hash, root_of};
