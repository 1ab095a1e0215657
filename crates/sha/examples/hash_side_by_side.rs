//! Whether messages are hashed faster side by side than one after the other: `cargo run --release -p sha --example
//! hash_side_by_side`. In turn, block by block, with the processor's own rounds, which wait for each other but not for those of another
//! message; and sixteen at once with AVX-512, where the processor has it.

use sha2::block_api::compress256;
use std::hint::black_box;
use std::time::Instant;

#[cfg(target_arch = "x86_64")]
#[path = "../src/lanes.rs"]
mod lanes;

type State = [u32; 8];
type Block = [u8; 64];

const BLOCKS: usize = 3_000_000;

/// Nanoseconds per block.
fn timed(at_once: usize, mut compress: impl FnMut()) -> f64 {
    let started = Instant::now();
    for _ in 0..BLOCKS / at_once {
        compress();
    }
    started.elapsed().as_secs_f64() * 1e9 / BLOCKS as f64
}

/// With so many messages in turn.
fn in_turn<const N: usize>() -> f64 {
    let (mut states, block): ([State; N], [Block; 1]) = ([[1; 8]; N], [[7; 64]]);
    let taken = timed(N, || states.iter_mut().for_each(|state| compress256(state, black_box(&block))));
    black_box(states);
    taken
}

/// With sixteen at once; `None` where the processor cannot.
#[cfg(target_arch = "x86_64")]
fn sixteen() -> Option<f64> {
    let (mut states, blocks): ([State; 16], [Block; 16]) = ([[1; 8]; 16], [[7; 64]; 16]);
    let left = lanes::compress_most(&mut states, &blocks).0.len();
    let taken = (left == 0).then(|| {
        timed(16, || {
            black_box(lanes::compress_most(&mut states, black_box(&blocks)));
        })
    });
    black_box(states);
    taken
}

#[cfg(not(target_arch = "x86_64"))]
fn sixteen() -> Option<f64> {
    None
}

fn main() {
    for _ in 0..5 {
        let sixteen = sixteen().map_or("not possible here".to_owned(), |ns| format!("{ns:.1}"));
        let (one, two, four) = (in_turn::<1>(), in_turn::<2>(), in_turn::<4>());
        println!("ns per block: one {one:.1}, two in turn {two:.1}, four in turn {four:.1}, sixteen at once {sixteen}");
    }
}
