//! The commitments over many rows, hashed side by side.
//!
//! Owns the order of the work: all salts, then all digests, then the rows' roots level by level. The result is that of
//! [`commitment`](super::commitment), row by row.

use super::{CommitError, Keys, PART_DOMAIN, SaltKey, keyed, leaf_message, node_message, salt_of};
use crate::encode::PartSlice;
use sha::{BLOCK, Hash, Messages, START, State, bytes_of};
use std::ops::Range;

/// Rows at a time: what is between two steps of their parts fits into a core's own cache.
const ROWS: usize = 128;

/// A part that is to be hashed.
struct Part<'a> {
    part: PartSlice<'a>,
    id: &'a [u8],
    /// Where the reference of its person stands among those of all parts.
    person: Option<Range<usize>>,
    key: SaltKey,
}

/// How many parts a row has, none where it is no row; and what is wrong with it.
type Counted<E> = (usize, Result<(), CommitError<E>>);

/// Makes the commitments over rows and hands them to `each`, in order.
pub fn commitments<'a, K: Keys>(
    rows: impl IntoIterator<Item = &'a [u8]>,
    keys: &mut K,
    mut each: impl FnMut(Result<Hash, CommitError<K::Error>>),
) {
    let mut rows = rows.into_iter();
    let mut roots = Roots::default();
    let mut parts: Vec<Part<'a>> = Vec::new();
    // Of one part, and of all.
    let (mut reference, mut references) = (String::new(), String::new());
    let mut counts: Vec<Counted<K::Error>> = Vec::with_capacity(ROWS);
    loop {
        let shared = *keys.tenant();
        for row in rows.by_ref().take(ROWS) {
            let first = parts.len();
            let found = keyed(row, &mut reference, |part, id, person| {
                let person = person.map(|reference| {
                    references.push_str(reference);
                    references.len() - reference.len()..references.len()
                });
                parts.push(Part { part, id, person, key: shared });
                Ok(())
            });
            if found.is_err() {
                parts.truncate(first);
            }
            counts.push((parts.len() - first, found));
        }
        if counts.is_empty() {
            return;
        }
        for reference in parts.iter().filter_map(|part| references.get(part.person.clone()?)) {
            keys.prefetch(reference);
        }
        let mut of_rows = parts.as_mut_slice();
        for (count, found) in &mut counts {
            let (row, others) = of_rows.split_at_mut(*count);
            of_rows = others;
            for part in row {
                let Some(person) = part.person.take() else { continue };
                match keys.person(references.get(person).unwrap_or_default()) {
                    Ok(key) => part.key = key,
                    // Its parts are hashed like the others', and what comes of it is not looked at.
                    Err(e) if found.is_ok() => *found = Err(CommitError::Key(e)),
                    Err(_) => {}
                }
            }
        }
        let widths = counts.iter().map(|(count, _)| *count).filter(|count| *count > 0);
        let mut made = roots.of(&parts, widths).iter();
        for (count, found) in counts.drain(..) {
            let root = if count > 0 { made.next().copied() } else { None };
            // A row has a part at least, and so a root.
            each(found.and_then(|()| root.ok_or(CommitError::NoId)));
        }
        parts.clear();
        references.clear();
    }
}

/// The roots over the parts of rows.
#[derive(Default)]
struct Roots {
    messages: Messages,
    states: Vec<State>,
    /// The nodes of all rows' trees on one level, from left to right.
    level: Vec<Hash>,
    /// How many of them each row has.
    widths: Vec<usize>,
}

impl Roots {
    fn of(&mut self, parts: &[Part<'_>], counts: impl Iterator<Item = usize>) -> &[Hash] {
        let Roots { messages, states, level, widths } = self;
        for Part { part, id, key, .. } in parts {
            messages.add(key.inner, BLOCK, &[id, &part.ordinal.to_be_bytes()]);
        }
        messages.hash_into(states);
        for (Part { key, .. }, inner) in parts.iter().zip(states.iter()) {
            messages.add_short(key.outer, BLOCK, &bytes_of(*inner));
        }
        messages.hash_into(states);
        for (Part { part, .. }, full) in parts.iter().zip(states.iter()) {
            messages.add(START, 0, &[PART_DOMAIN, &salt_of(*full), part.bytes]);
        }
        messages.hash_into(states);
        for digest in states.iter() {
            messages.add_short(START, 0, &leaf_message(&bytes_of(*digest)));
        }
        messages.hash_into(states);
        level.clear();
        level.extend(states.iter().copied().map(bytes_of));
        widths.clear();
        widths.extend(counts);
        // Pairs become nodes, and an odd one at the end goes up as it is: which is RFC 6962's tree.
        while widths.iter().any(|width| *width > 1) {
            let mut below = level.as_slice();
            for width in widths.iter() {
                let (row, others) = below.split_at_checked(*width).unwrap_or_default();
                below = others;
                for [left, right] in row.as_chunks().0 {
                    messages.add_short(START, 0, &node_message(left, right));
                }
            }
            messages.hash_into(states);
            let mut nodes = states.iter().copied().map(bytes_of);
            let mut below = std::mem::take(level).into_iter();
            for width in widths.iter_mut() {
                level.extend(nodes.by_ref().take(*width / 2));
                let last = below.by_ref().take(*width).last();
                level.extend(last.filter(|_| !width.is_multiple_of(2)));
                *width = width.div_ceil(2);
            }
        }
        level
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::commitment;
    use crate::encode::put;
    use crate::fields::Field;
    use proptest::prelude::*;

    /// Of people whose name has a `z` there is no key.
    struct Known(SaltKey);
    impl Keys for Known {
        type Error = String;
        fn tenant(&mut self) -> &SaltKey {
            &self.0
        }
        fn person(&mut self, reference: &str) -> Result<SaltKey, String> {
            let mut key = [0; 32];
            key.iter_mut().zip(reference.bytes()).for_each(|(k, b)| *k = b);
            if reference.contains('z') { Err(reference.to_owned()) } else { Ok(SaltKey::new(&key)) }
        }
    }

    fn row(id: &str, values: &[Option<String>], addresses: &[String]) -> Vec<u8> {
        let mut row = Vec::new();
        if !id.is_empty() {
            put(&mut row, Field::Id, id.as_bytes());
        }
        let named =
            [Field::Action, Field::ActorId, Field::ActorEmail, Field::Message, Field::Attributes, Field::TargetId];
        for (field, value) in named.iter().zip(values) {
            if let Some(value) = value {
                put(&mut row, *field, value.as_bytes());
            }
        }
        addresses.iter().for_each(|address| put(&mut row, Field::NotificationRecipient, address.as_bytes()));
        row
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn many_rows_are_each_row(
            rows in prop::collection::vec(
                (
                    "[a-y]{0,1}[a-z0-9-]{0,60}",
                    prop::collection::vec(prop::option::of("[a-z]{0,3}|[a-y@]{1,300}|[a-y]{900,1200}"), 6),
                    prop::collection::vec("[a-y@]{0,9}", 0..7),
                    prop::option::weighted(0.1, any::<prop::sample::Index>()),
                ),
                0..300,
            ),
        ) {
            let rows: Vec<Vec<u8>> = rows
                .iter()
                .map(|(id, values, addresses, cut)| {
                    let mut row = row(id, values, addresses);
                    let end = cut.map_or(row.len(), |cut| cut.index(row.len() + 1));
                    row.truncate(end);
                    row
                })
                .collect();
            let mut keys = Known(SaltKey::new(&[7; 32]));
            let want: Vec<_> = rows.iter().map(|r| commitment(r, &mut keys).map_err(|e| e.to_string())).collect();
            let mut found = Vec::new();
            commitments(rows.iter().map(Vec::as_slice), &mut keys, |c| found.push(c.map_err(|e| e.to_string())));
            prop_assert_eq!(found, want);
        }
    }
}
