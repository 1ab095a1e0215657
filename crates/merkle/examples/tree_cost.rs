//! What the hot path costs on this machine, one thread: `cargo run --release -p merkle --example tree_cost`.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::Instant;

use merkle::note::SigningKey;
use merkle::{Frontier, Hash, leaf_hash, node_hash, root_of};

/// Best of five runs: the machine is shared, and noise only ever adds.
fn cost(what: &str, rounds: u32, mut run: impl FnMut(u32)) {
    let best = (0..5).map(|_| {
        let start = Instant::now();
        (0..rounds).for_each(&mut run);
        start.elapsed().as_nanos() as f64 / f64::from(rounds)
    });
    println!("{what:<44} {:>10.1} ns", best.fold(f64::INFINITY, f64::min));
}

fn main() {
    for len in [47, 128, 512, 1024] {
        let mut entry = vec![7u8; len];
        cost(&format!("leaf hash, {len} bytes"), 1_000_000, |i| {
            entry[..4].copy_from_slice(&i.to_le_bytes());
            black_box(leaf_hash(black_box(&entry)));
        });
    }
    cost("node hash", 1_000_000, |i| {
        black_box(node_hash(black_box(&[i as u8; 32]), black_box(&[9; 32])));
    });
    let mut frontier = Frontier::new();
    cost("frontier push", 1_000_000, |i| frontier.push(black_box([i as u8; 32])));
    let mut told = 0u64;
    cost("frontier push, told of subtrees", 1_000_000, |i| {
        frontier.push_with(black_box([i as u8; 32]), |level, _, _| told += u64::from(level % 8 == 0));
    });
    black_box(told);
    cost("append: leaf hash of 47 bytes and push", 1_000_000, |i| {
        let mut entry = [7u8; 47];
        entry[..4].copy_from_slice(&i.to_le_bytes());
        frontier.push(leaf_hash(&entry));
    });
    println!("({} leaves, {} hashes)", frontier.size(), frontier.hashes().len());
    cost("root of the frontier", 100_000, |_| {
        black_box(frontier.root());
    });
    cost("clone of the frontier", 1_000_000, |_| {
        black_box(frontier.clone());
    });
    let parts: [Hash; 4] = [[1; 32], [2; 32], [3; 32], [4; 32]];
    cost("root over 4 hashes", 1_000_000, |_| {
        black_box(root_of(black_box(&parts)));
    });
    if let Ok(key) = SigningKey::new("audit.example/t/acme", &[1; 32]) {
        let text = "audit.example/t/acme\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n";
        cost("sign a checkpoint", 5_000, |_| {
            black_box(key.sign(text).ok());
        });
        let note = key.sign(text).map(|line| format!("{text}\n{line}\n")).unwrap_or_default();
        let known = [key.verifying_key().clone()];
        cost("open a checkpoint", 5_000, |_| {
            black_box(merkle::checkpoint::Checkpoint::open(&note, &known).ok());
        });
    }
}
