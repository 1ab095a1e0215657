//! Many messages, hashed side by side.
//!
//! Owns the order in which their blocks go: the first of all messages, then the second of those that have one. Not here: the
//! rounds (`lanes` for sixteen at once, `sha2` for one).

use crate::{BLOCK, Block, State, padded, short_blocks};
use sha2::block_api::compress256;

/// A message of more blocks is hashed by itself: its blocks would be copied, and those of all that wait would not fit into a core's own
/// cache.
const LONG: usize = 40;

/// Messages on their way to their hashes. To be used again and again: it keeps its memory.
#[derive(Default)]
pub struct Messages {
    states: Vec<State>,
    /// The messages' blocks by their number.
    passes: Vec<Pass>,
    /// States of those that a pass is about.
    some: Vec<State>,
}

#[derive(Default)]
struct Pass {
    /// Which message each block belongs to.
    of: Vec<u32>,
    blocks: Vec<Block>,
}

impl Messages {
    /// Adds a message of which `state` has `absorbed` bytes already, whole blocks.
    #[inline]
    pub fn add(&mut self, mut state: State, absorbed: usize, pieces: &[&[u8]]) {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if length > LONG * BLOCK {
            padded(absorbed, pieces, |blocks| compress256(&mut state, blocks));
        } else {
            let mut number = 0;
            padded(absorbed, pieces, |blocks| {
                for block in blocks {
                    self.block(number, block);
                    number += 1;
                }
            });
        }
        self.states.push(state);
    }

    /// As [`add`](Self::add), for a message whose length, at most 119 bytes, is known when this is compiled.
    #[inline]
    pub fn add_short<const N: usize>(&mut self, state: State, absorbed: usize, message: &[u8; N]) {
        let (blocks, count) = short_blocks(absorbed, message);
        for (number, block) in blocks.iter().take(count).enumerate() {
            self.block(number, block);
        }
        self.states.push(state);
    }

    #[inline]
    fn block(&mut self, number: usize, block: &Block) {
        if number == self.passes.len() {
            self.passes.push(Pass::default());
        }
        if let Some(pass) = self.passes.get_mut(number) {
            pass.of.push(self.states.len() as u32);
            pass.blocks.push(*block);
        }
    }

    /// The final states of all messages added since the last call, in that order.
    pub fn hash_into(&mut self, out: &mut Vec<State>) {
        for pass in &mut self.passes {
            if pass.of.len() == self.states.len() {
                compress_each(&mut self.states, &pass.blocks);
            } else {
                let known = |of: &u32| self.states.get(*of as usize).copied().unwrap_or_default();
                self.some.clear();
                self.some.extend(pass.of.iter().map(known));
                compress_each(&mut self.some, &pass.blocks);
                for (of, state) in pass.of.iter().zip(&self.some) {
                    if let Some(place) = self.states.get_mut(*of as usize) {
                        *place = *state;
                    }
                }
            }
            pass.of.clear();
            pass.blocks.clear();
        }
        out.clear();
        std::mem::swap(&mut self.states, out);
    }
}

/// Takes each state over its own block.
fn compress_each(states: &mut [State], blocks: &[Block]) {
    #[cfg(target_arch = "x86_64")]
    let (states, blocks) = crate::lanes::compress_most(states, blocks);
    for (state, block) in states.iter_mut().zip(blocks) {
        compress256(state, std::slice::from_ref(block));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{START, after, bytes_of};
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn side_by_side_is_one_by_one(
            messages in prop::collection::vec((prop::collection::vec(0u8.., 0..200), prop::collection::vec(0u8.., 0..40), any::<bool>()), 0..70),
            long in prop::option::of(900usize..3200),
        ) {
            let before = [0x5c; BLOCK];
            let (mut many, mut hashes, mut want) = (Messages::default(), Vec::new(), Vec::new());
            for (n, (a, b, goes_on)) in messages.iter().enumerate() {
                let a = match long {
                    Some(length) if n == 3 => a.iter().copied().cycle().take(if a.is_empty() { 0 } else { length }).collect(),
                    _ => a.clone(),
                };
                let (state, absorbed) = if *goes_on { (after(START, &before), BLOCK) } else { (START, 0) };
                many.add(state, absorbed, &[&a, b]);
                let mut hash = Sha256::new();
                if *goes_on {
                    hash.update(before);
                }
                want.push(<[u8; 32]>::from(hash.chain_update(&a).chain_update(b).finalize()));
            }
            // Twice: what the first time left behind must not be met again.
            for _ in 0..2 {
                many.hash_into(&mut hashes);
                prop_assert_eq!(hashes.iter().copied().map(bytes_of).collect::<Vec<_>>(), want);
                want = messages.iter().map(|_| Sha256::digest([1; 65]).into()).collect();
                messages.iter().for_each(|_| many.add_short(START, 0, &[1; 65]));
            }
        }
    }
}
