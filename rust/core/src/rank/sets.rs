//! Sets of ordinals: [`ItemSet`] is built once and asked by every request, [`OrdinalSet`] lives for one request.

use crate::{NONE, Ordinal};

/// An immutable set of items: a bitmap if it is large beside the catalog, else a sorted list.
#[derive(Clone, Debug)]
pub enum ItemSet {
    /// Ascending ordinals.
    Sorted(Vec<Ordinal>),
    /// One bit an item.
    Bits(Vec<u64>),
}

impl ItemSet {
    /// The set of `items`, of a catalog with `catalog_len` items.
    pub fn new(mut items: Vec<Ordinal>, catalog_len: usize) -> Self {
        items.sort_unstable();
        items.dedup();
        if items.len() * 64 < catalog_len {
            return Self::Sorted(items);
        }
        let mut bits = vec![0; catalog_len.div_ceil(64)];
        for item in items {
            if let Some(word) = bits.get_mut(item as usize / 64) {
                *word |= 1 << (item % 64);
            }
        }
        Self::Bits(bits)
    }

    /// The bitmap of all that is in any of the sets, of a catalog with `catalog_len` items.
    pub fn union<'a>(sets: impl Iterator<Item = &'a Self>, catalog_len: usize) -> Self {
        let mut bits = vec![0; catalog_len.div_ceil(64)];
        for set in sets {
            match set {
                Self::Sorted(items) => {
                    for item in items {
                        if let Some(word) = bits.get_mut(*item as usize / 64) {
                            *word |= 1 << (item % 64);
                        }
                    }
                }
                Self::Bits(words) => {
                    for (word, more) in bits.iter_mut().zip(words) {
                        *word |= more;
                    }
                }
            }
        }
        Self::Bits(bits)
    }

    /// Whether the set has `item`.
    #[inline]
    pub fn contains(&self, item: Ordinal) -> bool {
        match self {
            Self::Sorted(items) => items.binary_search(&item).is_ok(),
            Self::Bits(bits) => bits
                .get(item as usize / 64)
                .is_some_and(|word| word >> (item % 64) & 1 == 1),
        }
    }
}

/// A small hash set of ordinals that keeps its memory from one request to the next.
#[derive(Debug, Default)]
pub struct OrdinalSet {
    slots: Vec<Ordinal>,
    len: usize,
}

impl OrdinalSet {
    /// Empties the set and makes room for `expected` ordinals.
    pub fn reset(&mut self, expected: usize) {
        self.slots.clear();
        self.slots
            .resize((expected * 2).next_power_of_two().max(16), NONE);
        self.len = 0;
    }

    /// Adds `item`; says whether it is new.
    pub fn insert(&mut self, item: Ordinal) -> bool {
        if (self.len + 1) * 2 > self.slots.len() {
            let old = std::mem::take(&mut self.slots);
            self.reset(old.len());
            for item in old.into_iter().filter(|i| *i != NONE) {
                self.insert(item);
            }
        }
        let slot = self.slot(item);
        let is_new = self.slots[slot] == NONE;
        self.slots[slot] = item;
        self.len += usize::from(is_new);
        is_new
    }

    /// Whether `item` was added.
    #[inline]
    pub fn contains(&self, item: Ordinal) -> bool {
        self.len > 0 && self.slots[self.slot(item)] == item
    }

    /// The ordinals, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = Ordinal> + '_ {
        self.slots.iter().copied().filter(|i| *i != NONE)
    }

    #[inline]
    fn slot(&self, item: Ordinal) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = spread(item) & mask;
        while self.slots[slot] != NONE && self.slots[slot] != item {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

/// Fibonacci hashing: neighbouring ordinals, which often come together, land far apart.
#[inline]
pub fn spread(item: Ordinal) -> usize {
    (u64::from(item).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_forms_hold_what_was_put_in(items in prop::collection::btree_set(0u32..500, 0..80), wide in any::<bool>()) {
            let catalog_len = if wide { 1 << 20 } else { 500 };
            let set = ItemSet::new(items.iter().copied().collect(), catalog_len);
            for item in 0..510 {
                prop_assert_eq!(set.contains(item), items.contains(&item));
            }
        }

        #[test]
        fn an_ordinal_set_grows_and_forgets_nothing(items in prop::collection::vec(0u32..2000, 0..600)) {
            let mut set = OrdinalSet::default();
            set.reset(0);
            let mut expected = std::collections::BTreeSet::new();
            for item in items {
                prop_assert_eq!(set.insert(item), expected.insert(item));
            }
            prop_assert_eq!(set.iter().collect::<std::collections::BTreeSet<_>>(), expected);
        }
    }
}
