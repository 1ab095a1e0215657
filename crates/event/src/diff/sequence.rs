//! difflib's SequenceMatcher over a sequence of numbers, as json-diff uses it: without junk, with "popular" elements.
//!
//! Owns: longest matches, blocks, and the steps from one sequence to the other. Not here: what the numbers mean.

use super::doc::NumberMap;

/// A step from one sequence to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This many elements are the same.
    Equal(usize),
    /// The next elements of the first are replaced by the next of the second; either count may be 0.
    Change(usize, usize),
}

/// From this length on, elements of the second sequence that make up more than about one per cent anchor no match.
const POPULAR_FROM: usize = 200;

/// The steps from `a` to `b`, or `None` if `spend` refused to go on; it is told the work about to be done.
pub(super) fn steps(a: &[u64], b: &[u64], spend: &mut dyn FnMut(usize) -> Option<()>) -> Option<Vec<Step>> {
    spend(a.len() + b.len())?;
    let matcher = Matcher { a, b, places: places(b) };
    let mut blocks = Vec::new();
    let mut open = vec![(0, a.len(), 0, b.len())];
    while let Some((a_low, a_high, b_low, b_high)) = open.pop() {
        let (i, j, size) = matcher.longest(a_low, a_high, b_low, b_high, spend)?;
        if size > 0 {
            blocks.push((i, j, size));
            if a_low < i && b_low < j {
                open.push((a_low, i, b_low, j));
            }
            if i + size < a_high && j + size < b_high {
                open.push((i + size, a_high, j + size, b_high));
            }
        }
    }
    blocks.sort_unstable();
    blocks.push((a.len(), b.len(), 0));

    let mut steps = Vec::new();
    let (mut i, mut j) = (0, 0);
    for (block_i, block_j, size) in blocks {
        if i < block_i || j < block_j {
            steps.push(Step::Change(block_i - i, block_j - j));
        }
        if size > 0 {
            steps.push(Step::Equal(size));
        }
        (i, j) = (block_i + size, block_j + size);
    }
    Some(steps)
}

/// Where each element of `b` is, without the popular ones.
fn places(b: &[u64]) -> NumberMap<Vec<usize>> {
    let mut places: NumberMap<Vec<usize>> = NumberMap::default();
    for (j, &element) in b.iter().enumerate() {
        places.entry(element).or_default().push(j);
    }
    if b.len() >= POPULAR_FROM {
        let most = b.len() / 100 + 1;
        places.retain(|_, at| at.len() <= most);
    }
    places
}

struct Matcher<'s> {
    a: &'s [u64],
    b: &'s [u64],
    places: NumberMap<Vec<usize>>,
}

impl Matcher<'_> {
    /// The longest run common to both ranges, earliest in `a`, then in `b`: its places and size.
    fn longest(
        &self,
        a_low: usize,
        a_high: usize,
        b_low: usize,
        b_high: usize,
        spend: &mut dyn FnMut(usize) -> Option<()>,
    ) -> Option<(usize, usize, usize)> {
        let (mut i, mut j, mut size) = (a_low, b_low, 0);
        // Runs ending at the previous element of `a`: (place in `b`, length), by place.
        let mut runs: Vec<(usize, usize)> = Vec::new();
        let mut next = Vec::new();
        for (at, element) in self.a.iter().enumerate().take(a_high).skip(a_low) {
            next.clear();
            if let Some(places) = self.places.get(element) {
                let first = places.partition_point(|&place| place < b_low);
                let last = places.partition_point(|&place| place < b_high);
                spend(last.saturating_sub(first) + runs.len())?;
                let mut earlier = runs.iter().peekable();
                for &place in places.get(first..last).unwrap_or_default() {
                    while earlier.next_if(|run| run.0 + 1 < place).is_some() {}
                    let length = match earlier.peek() {
                        Some(run) if run.0 + 1 == place => run.1 + 1,
                        _ => 1,
                    };
                    next.push((place, length));
                    if length > size {
                        (i, j, size) = (at + 1 - length, place + 1 - length, length);
                    }
                }
            }
            spend(1)?;
            std::mem::swap(&mut runs, &mut next);
        }
        // Popular elements start no run but may lengthen one.
        while i > a_low && j > b_low && self.a[i - 1] == self.b[j - 1] {
            (i, j, size) = (i - 1, j - 1, size + 1);
        }
        while i + size < a_high && j + size < b_high && self.a[i + size] == self.b[j + size] {
            size += 1;
        }
        Some((i, j, size))
    }
}
