//! Values by field.
//!
//! Owns the room they take: most records have a quarter of the fields, so only those take some. Not here: what a value is.

use crate::fields::{COUNT, FIELDS, Field};

/// Fields that most records have at most.
const USUAL: usize = 24;

const _: () = assert!(COUNT <= 128);

/// A value for some of the fields, each at most once.
#[derive(Debug, Clone)]
pub struct FieldMap<T> {
    /// The values, in the order they came.
    values: Vec<T>,
    /// By field: the number of its value, from 1; 0 for one that has none.
    place: [u8; COUNT],
    /// The fields that have a value.
    present: FieldSet,
}

impl<T> Default for FieldMap<T> {
    fn default() -> Self {
        FieldMap { values: Vec::with_capacity(USUAL), place: [0; COUNT], present: FieldSet::default() }
    }
}

impl<T> FieldMap<T> {
    /// Whether a field has a value.
    #[inline]
    pub fn has(&self, field: Field) -> bool {
        self.place.get(field as usize).is_some_and(|place| *place != 0)
    }

    /// A field's value.
    #[inline]
    pub fn get(&self, field: Field) -> Option<&T> {
        self.values.get(usize::from(*self.place.get(field as usize)?).wrapping_sub(1))
    }

    /// As [`get`](Self::get), to be changed.
    #[inline]
    pub fn get_mut(&mut self, field: Field) -> Option<&mut T> {
        self.values.get_mut(usize::from(*self.place.get(field as usize)?).wrapping_sub(1))
    }

    /// Takes a field's value away.
    pub fn unset(&mut self, field: Field) {
        if let Some(place) = self.place.get_mut(field as usize) {
            *place = 0;
        }
        self.present.remove(field as usize);
    }

    /// Gives a field a value, instead of the one it has.
    #[inline]
    pub fn set(&mut self, field: Field, value: T) {
        match self.get_mut(field) {
            Some(there) => *there = value,
            None => {
                if let Some(place) = self.place.get_mut(field as usize) {
                    self.values.push(value);
                    // One value per field, and there are far fewer than 256.
                    *place = self.values.len() as u8;
                    self.present.insert(field as usize);
                }
            }
        }
    }

    /// The fields that have a value now, in stored order.
    pub fn present(&self) -> Present {
        Present(self.present)
    }
}

/// See [`FieldMap::present`].
#[derive(Debug, Clone)]
pub struct Present(FieldSet);

impl Iterator for Present {
    type Item = Field;

    #[inline]
    fn next(&mut self) -> Option<Field> {
        FIELDS.get(self.0.take_first()?).map(|spec| spec.field)
    }
}

/// Numbers below 128, such as those of fields.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FieldSet([u64; 2]);

impl FieldSet {
    /// Adds a number. Tells whether it was not there.
    #[inline]
    pub fn insert(&mut self, number: usize) -> bool {
        let Some(word) = self.0.get_mut(number / 64) else { return false };
        let before = *word;
        *word |= 1 << (number % 64);
        before != *word
    }

    fn remove(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word &= !(1 << (number % 64));
        }
    }

    /// Removes the lowest.
    #[inline]
    fn take_first(&mut self) -> Option<usize> {
        let [low, high] = &mut self.0;
        let (word, before) = if *low != 0 { (low, 0) } else { (high, 64) };
        let number = word.trailing_zeros() as usize;
        if *word == 0 {
            return None;
        }
        *word &= *word - 1;
        Some(before + number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    proptest::proptest! {
        #[test]
        fn it_is_a_map(sets in proptest::collection::vec((0..COUNT, 0u32.., 0..8), 0..100)) {
            let (mut map, mut model) = (FieldMap::default(), BTreeMap::new());
            for (n, value, kind) in sets {
                if kind == 0 {
                    map.unset(FIELDS[n].field);
                    model.remove(&FIELDS[n].field);
                    continue;
                }
                map.set(FIELDS[n].field, value);
                model.insert(FIELDS[n].field, value);
            }
            let all: Vec<_> = map.present().map(|field| (field, *map.get(field).unwrap())).collect();
            proptest::prop_assert_eq!(all, model.clone().into_iter().collect::<Vec<_>>());
            for spec in FIELDS {
                proptest::prop_assert_eq!(map.has(spec.field), model.contains_key(&spec.field));
                proptest::prop_assert_eq!(map.get_mut(spec.field).copied(), model.get(&spec.field).copied());
            }
        }
    }
}
