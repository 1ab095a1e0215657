//! Scores how alike two values are, pairs the elements of arrays by it, and writes the difference.
//!
//! Owns: json-diff's arithmetic and the budget. Not here: reading (`doc`), difflib (`sequence`).
//!
//! The library scores every element of one array against every element of the other, at every level, and again when it
//! prints: time that grows exponentially with depth. Here scores are remembered by class, an object that has an equal
//! one in the other array is not scored at all (an equal object scores 100 per key, any other at most 40), and the work is
//! counted. When the budget is spent, matching stops where it stands and every array not yet written is compared
//! position by position, which is linear.

use super::Keep;
use super::doc::{Docs, Id, Node, NumberMap, array_index};
use super::sequence::{Step, steps};
use std::borrow::Cow;
use std::collections::HashMap;

/// How many comparisons may be spent on matching arrays in one diff: some tenths of a second in an optimised build.
pub(super) const BUDGET: u64 = 20_000_000;

/// What a remembered score costs beyond its comparisons: time and, above all, memory.
const REMEMBERED: usize = 16;

pub(super) struct Engine<'d> {
    docs: &'d Docs<'d>,
    keep: Keep,
    left: Option<u64>,
    scores: NumberMap<f64>,
}

/// An entry of a written object.
#[derive(Clone, Copy)]
enum Entry {
    Removed(Id),
    Added(Id),
    Same(Id),
    Changed(Id, Id),
}

impl<'d> Engine<'d> {
    pub(super) fn new(docs: &'d Docs<'d>, keep: Keep, budget: u64) -> Self {
        Engine { docs, keep, left: Some(budget), scores: NumberMap::default() }
    }

    /// Whether the budget ran out, so that arrays were compared position by position.
    pub(super) fn positional(&self) -> bool {
        self.left.is_none()
    }

    /// Takes from the budget; `None` from the moment it does not suffice.
    fn spend(&mut self, work: usize) -> Option<()> {
        self.left = self.left?.checked_sub(work as u64);
        self.left.map(|_| ())
    }

    /// json-diff's score: how alike two values are.
    fn score(&mut self, a: Id, b: Id) -> Option<f64> {
        let docs = self.docs;
        let equal = docs.equal(a, b);
        match (docs.node(a), docs.node(b)) {
            (Node::Object { members, .. }, _) if equal => Some(100.0 * (members.len() as f64).max(0.5)),
            _ if equal => Some(100.0),
            (Node::Object { .. }, Node::Object { .. }) | (Node::Array(_), Node::Array(_)) => {
                let key = u64::from(docs.class(a)) << 32 | u64::from(docs.class(b));
                if let Some(&score) = self.scores.get(&key) {
                    return Some(score);
                }
                let (score, deep) = match (docs.node(a), docs.node(b)) {
                    (Node::Array(a), Node::Array(b)) => (self.score_arrays(a, b)?, true),
                    _ => self.score_objects(a, b)?,
                };
                if !deep {
                    return Some(score); // as quickly made again as looked up
                }
                self.spend(REMEMBERED)?;
                self.scores.insert(key, score);
                Some(score)
            }
            _ => Some(0.0),
        }
    }

    /// The score, and whether arrays or objects inside were compared for it.
    fn score_objects(&mut self, a: Id, b: Id) -> Option<(f64, bool)> {
        let docs = self.docs;
        let (Node::Object { members: old, .. }, Node::Object { members: new, .. }) = (docs.node(a), docs.node(b))
        else {
            return Some((0.0, false));
        };
        self.spend(old.len() + new.len())?;
        let mut common = Vec::new();
        let mut cursor = 0;
        for &(key, value) in old {
            if let Some(other) = self.member(b, key, &mut cursor) {
                common.push((value, other));
            }
        }
        let mut score = -30.0 * (old.len() + new.len() - 2 * common.len()) as f64;
        let mut deep = false;
        for (value, other) in common {
            deep |= !docs.equal(value, other) && !matches!(docs.node(value), Node::Scalar(_) | Node::Whole(_));
            score += 20.0;
            score += (self.score(value, other)? / 5.0).clamp(-10.0, 20.0);
        }
        Some((score.max(0.0), deep))
    }

    fn score_arrays(&mut self, old: &[Id], new: &[Id]) -> Option<f64> {
        let mut score = 0i64;
        for step in self.align(old, new)? {
            score += match step {
                Step::Equal(n) => 10 * n as i64,
                Step::Change(removed, added) => -5 * (removed + added) as i64,
            };
        }
        Some(score.max(0) as f64)
    }

    /// A member of object `id`; `cursor` remembers where the last one was, because keys mostly come in the same order.
    fn member(&self, id: Id, key: u32, cursor: &mut usize) -> Option<Id> {
        let Node::Object { members, index } = self.docs.node(id) else { return None };
        let at = match members.get(*cursor) {
            Some(&(found, _)) if found == key => *cursor,
            _ => index.binary_search_by_key(&key, |entry| entry.0).ok().map(|n| index[n].1 as usize)?,
        };
        *cursor = at + 1;
        Some(members[at].1)
    }

    /// How the elements of two arrays correspond, or `None` when the budget is spent.
    fn align(&mut self, old: &[Id], new: &[Id]) -> Option<Vec<Step>> {
        /// Marks the number of an element that stands for itself rather than for its class.
        const OLD: u64 = 1 << 32;
        const NEW: u64 = 1 << 33;

        self.spend(old.len() + new.len())?;
        let docs = self.docs;
        let partners = self.partners(old, new)?;
        let scalar = |id: Id| matches!(docs.node(id), Node::Scalar(_) | Node::Whole(_));
        let number =
            |id: Id, mark: u64, at: usize| if scalar(id) { u64::from(docs.class(id)) } else { mark | at as u64 };
        let a: Vec<u64> = old.iter().enumerate().map(|(at, &id)| number(id, OLD, at)).collect();
        let b: Vec<u64> = (new.iter().zip(&partners).enumerate())
            .map(|(at, (&id, partner))| partner.map_or_else(|| number(id, NEW, at), |old| OLD | old as u64))
            .collect();
        steps(&a, &b, &mut |work| self.spend(work))
    }

    /// For each element of `new`, the place in `old` of the array or object that it is taken to have been.
    fn partners(&mut self, old: &[Id], new: &[Id]) -> Option<Vec<Option<usize>>> {
        let docs = self.docs;
        let mut objects = Vec::new();
        let mut arrays = Vec::new();
        let mut equal: NumberMap<Vec<usize>> = NumberMap::default();
        for (at, &id) in old.iter().enumerate() {
            match docs.node(id) {
                Node::Object { .. } => {
                    objects.push(at);
                    equal.entry(u64::from(docs.class(id))).or_default().push(at);
                }
                Node::Array(_) => arrays.push(at),
                Node::Scalar(_) | Node::Whole(_) => {}
            }
        }
        // The best claim on each element of `old`; the first of equally good ones.
        let mut claims: Vec<Option<(f64, usize)>> = vec![None; old.len()];
        for (at, &id) in new.iter().enumerate() {
            let best = match docs.node(id) {
                Node::Object { members, .. } => match equal.get(&u64::from(docs.class(id))) {
                    Some(places) => Some((100.0 * (members.len() as f64).max(0.5), nearest(places, at))),
                    None => self.best(id, at, old, &objects)?,
                },
                Node::Array(_) => self.best(id, at, old, &arrays)?,
                Node::Scalar(_) | Node::Whole(_) => None,
            };
            if let Some((score, place)) = best
                && claims[place].is_none_or(|(other, _)| score > other)
            {
                claims[place] = Some((score, at));
            }
        }
        let mut partners = vec![None; new.len()];
        for (place, claim) in claims.into_iter().enumerate() {
            if let Some((_, at)) = claim {
                partners[at] = Some(place);
            }
        }
        Some(partners)
    }

    /// The candidate most like `id`, and of equally good ones the nearest to `at`.
    fn best(&mut self, id: Id, at: usize, old: &[Id], candidates: &[usize]) -> Option<Option<(f64, usize)>> {
        let mut best: Option<(f64, usize)> = None;
        for &place in candidates {
            self.spend(1)?;
            let score = self.score(id, old[place])?;
            let better = best.is_none_or(|(other, found)| {
                score > other || (score == other && place.abs_diff(at) < found.abs_diff(at))
            });
            if better {
                best = Some((score, place));
            }
        }
        Some(best)
    }

    /// Writes the difference of two values that are not equal.
    pub(super) fn write(&mut self, a: Id, b: Id, out: &mut String) {
        let docs = self.docs;
        match (docs.node(a), docs.node(b)) {
            (Node::Object { members: old, .. }, Node::Object { members: new, .. }) => {
                self.write_objects((a, old), (b, new), out);
            }
            (Node::Array(old), Node::Array(new)) => match self.align(old, new) {
                Some(steps) => self.write_arrays(old, new, &steps, out),
                None => self.write_by_position(old, new, out),
            },
            _ => {
                out.push_str("{\"__old\":");
                docs.print(a, out);
                out.push_str(",\"__new\":");
                docs.print(b, out);
                out.push('}');
            }
        }
    }

    fn write_objects(&mut self, (a, old): (Id, &[(u32, Id)]), (b, new): (Id, &[(u32, Id)]), out: &mut String) {
        let docs = self.docs;
        let mut entries: Vec<(u32, Entry)> = Vec::new();
        let mut cursor = 0;
        let removed = old.iter().filter(|(key, _)| self.member(b, *key, &mut cursor).is_none());
        entries.extend(removed.map(|&(key, value)| (key, Entry::Removed(value))));
        let mut cursor = 0;
        let added = new.iter().filter(|(key, _)| self.member(a, *key, &mut cursor).is_none());
        entries.extend(added.map(|&(key, value)| (key, Entry::Added(value))));

        // Marked names by their text, made only if a real key looks like one.
        let mut marks: Option<HashMap<String, usize>> = None;
        let marked = entries.len();
        let mut integers: Vec<(u32, Entry)> = Vec::new();
        let mut cursor = 0;
        for &(key, value) in old {
            let Some(other) = self.member(b, key, &mut cursor) else { continue };
            let entry = match docs.equal(value, other) {
                true if self.keep == Keep::Everything => Entry::Same(value),
                true => continue,
                false => Entry::Changed(value, other),
            };
            let text = docs.key(key);
            if text.ends_with("__deleted\"") || text.ends_with("__added\"") {
                // A real key of the name of a mark: the later one takes the earlier one's place.
                let marks = marks.get_or_insert_with(|| {
                    let names = entries[..marked].iter().enumerate();
                    names.map(|(at, &(key, entry))| (name(docs.key(key), entry).into_owned(), at)).collect()
                });
                if let Some(&at) = marks.get(text) {
                    entries[at] = (key, entry);
                    continue;
                }
            }
            let list = if array_index(text).is_some() { &mut integers } else { &mut entries };
            list.push((key, entry));
        }
        integers.append(&mut entries); // JavaScript has integers first

        out.push('{');
        for (n, (key, entry)) in integers.into_iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            out.push_str(&name(docs.key(key), entry));
            out.push(':');
            match entry {
                Entry::Removed(id) | Entry::Added(id) | Entry::Same(id) => docs.print(id, out),
                Entry::Changed(old, new) => self.write(old, new, out),
            }
        }
        out.push('}');
    }

    fn write_arrays(&mut self, old: &[Id], new: &[Id], steps: &[Step], out: &mut String) {
        let mut list = List::start(out);
        let (mut i, mut j) = (0, 0);
        for &step in steps {
            match step {
                Step::Equal(n) => {
                    for (&a, &b) in old[i..i + n].iter().zip(&new[j..j + n]) {
                        self.write_pair(a, b, &mut list, out);
                    }
                    (i, j) = (i + n, j + n);
                }
                Step::Change(removed, added) => {
                    for &id in &old[i..i + removed] {
                        self.write_element('-', id, &mut list, out);
                    }
                    for &id in &new[j..j + added] {
                        self.write_element('+', id, &mut list, out);
                    }
                    (i, j) = (i + removed, j + added);
                }
            }
        }
        out.push(']');
    }

    fn write_by_position(&mut self, old: &[Id], new: &[Id], out: &mut String) {
        let mut list = List::start(out);
        let both = old.len().min(new.len());
        for (&a, &b) in old.iter().zip(new) {
            let docs = self.docs;
            let alike = match (docs.node(a), docs.node(b)) {
                (Node::Object { .. }, Node::Object { .. }) | (Node::Array(_), Node::Array(_)) => true,
                _ => docs.equal(a, b),
            };
            if alike {
                self.write_pair(a, b, &mut list, out);
            } else {
                self.write_element('-', a, &mut list, out);
                self.write_element('+', b, &mut list, out);
            }
        }
        for &id in &old[both..] {
            self.write_element('-', id, &mut list, out);
        }
        for &id in &new[both..] {
            self.write_element('+', id, &mut list, out);
        }
        out.push(']');
    }

    /// Writes an element that both arrays have, changed or not.
    fn write_pair(&mut self, a: Id, b: Id, list: &mut List, out: &mut String) {
        list.next(out);
        if !self.docs.equal(a, b) {
            out.push_str("[\"~\",");
            self.write(a, b, out);
        } else if self.keep == Keep::Changes {
            out.push_str("[\" \"");
        } else {
            out.push_str("[\" \",");
            self.docs.print(a, out);
        }
        out.push(']');
    }

    /// Writes an element that only one array has.
    fn write_element(&self, sign: char, id: Id, list: &mut List, out: &mut String) {
        list.next(out);
        out.push_str("[\"");
        out.push(sign);
        out.push_str("\",");
        self.docs.print(id, out);
        out.push(']');
    }
}

/// The commas of an array being written.
struct List {
    empty: bool,
}

impl List {
    fn start(out: &mut String) -> List {
        out.push('[');
        List { empty: true }
    }

    fn next(&mut self, out: &mut String) {
        if !std::mem::take(&mut self.empty) {
            out.push(',');
        }
    }
}

/// A key's JSON text with the mark of its entry.
fn name(key: &str, entry: Entry) -> Cow<'_, str> {
    let mark = match entry {
        Entry::Removed(_) => "__deleted\"",
        Entry::Added(_) => "__added\"",
        Entry::Same(_) | Entry::Changed(..) => return Cow::Borrowed(key),
    };
    Cow::Owned([key.strip_suffix('"').unwrap_or(key), mark].concat())
}

/// The place closest to `at` in an ascending list that is not empty; the earlier of two.
fn nearest(places: &[usize], at: usize) -> usize {
    let after = places.partition_point(|&place| place < at);
    match (after.checked_sub(1).and_then(|n| places.get(n)), places.get(after)) {
        (Some(&before), Some(&after)) => {
            if after - at < at - before {
                after
            } else {
                before
            }
        }
        (Some(&only), None) | (None, Some(&only)) => only,
        (None, None) => 0,
    }
}
