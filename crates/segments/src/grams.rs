//! Grams: the three bytes at every place of a text, in lower case.
//!
//! Owns: telling grams apart, and collecting those of many texts. The texts of one field repeat each other (the
//! names of their members, a program, a city), so what stood between two commas of a text lately is looked at once.
//! Not here: which fields have grams, and the filters they go into ([`crate::filters`]).

use memchr::memchr_iter;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a gram.
pub(crate) const BYTES: usize = 3;
/// Grams are told apart by so many bits of their hash: a set of them stays in the processor's nearest cache.
const BITS: u32 = 17;
/// A part of a text ends at the first comma behind so many bytes: looking a shorter one up takes as long as its grams.
const PART_BYTES: usize = 24;
/// Parts that are remembered, and the bytes of the longest: 256 KiB in all.
const PARTS: usize = 2048;
const LONGEST: usize = 122;

/// Grams seen in the texts of one tenant and field.
#[derive(Default)]
pub(crate) struct Grams {
    seen: Vec<u64>,
    list: Vec<u32>,
    parts: Vec<Part>,
    /// Parts of an earlier round are forgotten.
    round: u32,
    scratch: Vec<u8>,
}

/// A part of a text, as it stands there, whose grams are in the set.
#[derive(Clone, Copy)]
struct Part {
    round: u32,
    bytes: u8,
    text: [u8; LONGEST],
}

/// The bits by which a gram is told from others.
pub(crate) fn gram(bytes: &[u8]) -> u32 {
    told_apart(bytes.iter().fold(0u32, |word, b| word << 8 | u32::from(*b)))
}

fn told_apart(word: u32) -> u32 {
    // The multiplier is the golden ratio's: neighbours are spread, and three bytes fit into it.
    word.wrapping_mul(0x9e37_79b1) >> (32 - BITS)
}

impl Grams {
    /// Adds the grams of a text in any case.
    pub(crate) fn add(&mut self, text: &str) {
        self.seen.resize(1 << (BITS - 6), 0);
        if !text.is_ascii() {
            // Characters may take more or fewer bytes in lower case, and a part must not end inside of one.
            let lower: String = text.chars().flat_map(char::to_lowercase).collect();
            return self.collect(lower.as_bytes());
        }
        let text = text.as_bytes();
        let mut start = 0;
        for comma in memchr_iter(b',', text) {
            if comma - start >= PART_BYTES {
                // The grams that begin before the comma: two bytes of the next part belong to them.
                let end = text.len().min(comma + BYTES - 1);
                self.part(text.get(start..end).unwrap_or_default());
                start = comma;
            }
        }
        self.part(text.get(start..).unwrap_or_default());
    }

    /// Adds the grams of a part in ASCII, unless they were added for the same part lately.
    fn part(&mut self, text: &[u8]) {
        if text.len() < PART_BYTES || text.len() > LONGEST {
            return self.collect_folded(text);
        }
        if self.parts.is_empty() {
            self.parts.resize(PARTS, Part { round: self.round.wrapping_sub(1), bytes: 0, text: [0; LONGEST] });
        }
        let (round, place) = (self.round, xxh3_64(text) as usize % PARTS);
        if let Some(part) = self.parts.get_mut(place) {
            let known = part.text.get(..usize::from(part.bytes)).unwrap_or_default();
            if part.round == round && known == text {
                return;
            }
            if let Some(room) = part.text.get_mut(..text.len()) {
                room.copy_from_slice(text);
                (part.round, part.bytes) = (round, text.len() as u8);
            }
        }
        self.collect_folded(text);
    }

    fn collect_folded(&mut self, text: &[u8]) {
        let mut folded = std::mem::take(&mut self.scratch);
        folded.clear();
        folded.extend(text.iter().map(u8::to_ascii_lowercase));
        self.collect(&folded);
        self.scratch = folded;
    }

    /// Adds the grams of a text in lower case.
    fn collect(&mut self, text: &[u8]) {
        let Some((first, rest)) = text.split_at_checked(BYTES - 1) else { return };
        let mut word = first.iter().fold(0u32, |word, b| word << 8 | u32::from(*b));
        for byte in rest {
            word = (word << 8 | u32::from(*byte)) & 0x00ff_ffff;
            let gram = told_apart(word);
            if let Some(seen) = self.seen.get_mut((gram >> 6) as usize) {
                let bit = 1 << (gram & 63);
                if *seen & bit == 0 {
                    *seen |= bit;
                    self.list.push(gram);
                }
            }
        }
    }

    /// Gives all and forgets them.
    pub(crate) fn take(&mut self, mut each: impl FnMut(u32)) {
        for gram in self.list.drain(..) {
            if let Some(word) = self.seen.get_mut((gram >> 6) as usize) {
                *word = 0;
            }
            each(gram);
        }
        self.round = self.round.wrapping_add(1);
        if self.round == 0 {
            // So that a part of four billion rounds ago is not taken for one of this.
            self.parts.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn one_by_one(texts: &[String]) -> BTreeSet<u32> {
        let lower = texts.iter().map(|t| t.chars().flat_map(char::to_lowercase).collect::<String>());
        lower.flat_map(|t| t.as_bytes().windows(BYTES).map(gram).collect::<Vec<_>>()).collect()
    }

    fn taken(grams: &mut Grams) -> BTreeSet<u32> {
        let mut list = Vec::new();
        grams.take(|g| list.push(g));
        let set: BTreeSet<u32> = list.iter().copied().collect();
        assert_eq!(set.len(), list.len(), "each is given once");
        set
    }

    #[test]
    fn what_was_taken_is_looked_at_again() {
        let mut grams = Grams::default();
        let text = r#"{"client":"Mozilla/5.0 (X11; Linux x86_64)","City":"Brno","a":"b"}"#.to_owned();
        for _ in 0..3 {
            (0..3).for_each(|_| grams.add(&text));
            assert_eq!(taken(&mut grams), one_by_one(std::slice::from_ref(&text)));
            assert!(taken(&mut grams).is_empty());
        }
    }

    proptest! {
        #[test]
        fn the_grams_are_those_of_every_place(
            pool in prop::collection::vec(r#"[abC,"ß0]{0,60}|[a-f,]{0,400}"#, 1..6),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
            rounds in 1usize..4,
        ) {
            let mut grams = Grams::default();
            let texts: Vec<String> = picks.iter().map(|i| i.get(&pool).clone()).collect();
            for _ in 0..rounds {
                texts.iter().for_each(|t| grams.add(t));
                prop_assert_eq!(taken(&mut grams), one_by_one(&texts));
            }
        }
    }
}
