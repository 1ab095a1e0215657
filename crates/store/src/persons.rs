//! People's keys remembered from batch to batch: a table in which a person has one of two places beside each other.
//!
//! A record has two or three people's parts, and looking their keys up is a tenth of what it costs, nearly all of it waiting for
//! memory. So a person takes two cache lines, name and key, and nothing is followed. Full, the table forgets whoever was in the place
//! longest. Owns only what may be forgotten. Not here: where keys come from and who must carry them (`keys`).

use event::SaltKey;

/// Longest reference kept here; with it and the key a person takes 128 bytes.
const REFERENCE: usize = 63;
/// Pairs of places in a table that is full: 8 MiB.
const MOST: usize = 1 << 15;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Person {
    /// Of the reference; 0 in an empty place.
    len: u8,
    reference: [u8; REFERENCE],
    salt: SaltKey,
}

impl Person {
    fn is(&self, reference: &[u8]) -> bool {
        self.reference.get(..usize::from(self.len)) == Some(reference)
    }
}

/// One tenant's people by their reference.
#[derive(Default)]
pub(crate) struct Persons {
    hasher: ahash::RandomState,
    /// As many as a power of two, or none.
    pairs: Vec<[Person; 2]>,
    /// Places that are not empty.
    len: usize,
}

impl Persons {
    /// The key of a person who is remembered.
    pub fn get(&self, reference: &str) -> Option<SaltKey> {
        let reference = reference.as_bytes();
        let [first, second] = self.pairs.get(self.place(reference))?;
        match () {
            () if first.is(reference) => Some(first.salt),
            () if second.is(reference) => Some(second.salt),
            () => None,
        }
    }

    /// Begins to read what [`get`](Self::get) of this person reads. Nothing waits for it.
    pub fn prefetch(&self, reference: &str) {
        if let Some([first, _]) = self.pairs.get(self.place(reference.as_bytes())) {
            std::hint::black_box(first.len);
        }
    }

    /// Remembers a person who is not remembered. Whoever has a longer reference is not.
    pub fn insert(&mut self, reference: &str, salt: SaltKey) {
        let mut person = Person { len: 0, reference: [0; REFERENCE], salt };
        let Some(room) = person.reference.get_mut(..reference.len()).filter(|room| !room.is_empty()) else { return };
        room.copy_from_slice(reference.as_bytes());
        person.len = reference.len() as u8;
        if self.len >= self.pairs.len() && self.pairs.len() < MOST {
            self.grow(&Person { len: 0, ..person });
        }
        self.put(person);
    }

    fn put(&mut self, person: Person) {
        let place = self.place(person.reference.get(..usize::from(person.len)).unwrap_or_default());
        let Some([first, second]) = self.pairs.get_mut(place) else { return };
        if second.len == 0 {
            self.len += 1;
        }
        *second = std::mem::replace(first, person);
    }

    fn grow(&mut self, empty: &Person) {
        let pairs = (self.pairs.len() * 4).clamp(32, MOST);
        let before = std::mem::replace(&mut self.pairs, vec![[*empty; 2]; pairs]);
        self.len = 0;
        // The latest of a pair comes last, to be in front again.
        let people = before.into_iter().flat_map(|[first, second]| [second, first]);
        people.filter(|person| person.len > 0).for_each(|person| self.put(person));
    }

    fn place(&self, reference: &[u8]) -> usize {
        self.hasher.hash_one(reference) as usize & self.pairs.len().wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(n: u32) -> String {
        // Some as long as fits, and one byte longer.
        let long = [0, REFERENCE - 8, REFERENCE - 7][(n % 3) as usize];
        format!("{n:08}{}", "x".repeat(long))
    }

    fn salt(n: u32) -> SaltKey {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&n.to_le_bytes());
        SaltKey::new(&key)
    }

    #[test]
    fn whoever_is_remembered_has_the_own_key_and_few_are_forgotten() {
        assert_eq!(std::mem::size_of::<Person>(), 128);
        let mut persons = Persons::default();
        assert!(persons.get("").is_none() && persons.get("e:a@example.org").is_none());
        let mut known = 0;
        for n in 0..90_000 {
            persons.insert(&reference(n), salt(n));
            assert_eq!(persons.get(&reference(n)).is_some(), n % 3 != 2, "{n}");
        }
        for n in 0..100_000 {
            if let Some(found) = persons.get(&reference(n)) {
                assert!(n < 90_000 && n % 3 != 2 && found == salt(n), "{n}");
                known += 1;
            }
        }
        // 60,000 in 65,536 places, of which each has two to choose from: a quarter is pushed out by others.
        assert!((43_000..48_000).contains(&known), "{known}");
        assert_eq!(persons.pairs.len(), MOST);
        // A full table takes no more, and has whoever came last.
        for n in 100_000..400_000 {
            persons.insert(&reference(n), salt(n));
        }
        assert_eq!((persons.pairs.len(), persons.get(&reference(399_999)).is_some()), (MOST, true));
        assert!(persons.len <= 2 * MOST);
    }
}
