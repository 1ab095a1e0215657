//! Whether messages are hashed faster block by block in turn than one after the other: `cargo run --release -p event --example
//! hash_side_by_side`. Where the processor's rounds of SHA-256 wait for each other but not for those of another message, they are.

use sha2::block_api::compress256;
use std::hint::black_box;
use std::time::Instant;

const BLOCKS: usize = 3_000_000;

/// Nanoseconds per block with so many messages in turn.
fn in_turn<const N: usize>() -> f64 {
    let mut states = [[1u32; 8]; N];
    let block = [[7u8; 64]];
    let started = Instant::now();
    for _ in 0..BLOCKS / N {
        for state in &mut states {
            compress256(state, black_box(&block));
        }
    }
    black_box(states);
    started.elapsed().as_secs_f64() * 1e9 / BLOCKS as f64
}

fn main() {
    for _ in 0..5 {
        println!("ns per block: one {:.1}, two {:.1}, four {:.1}", in_turn::<1>(), in_turn::<2>(), in_turn::<4>());
    }
}
