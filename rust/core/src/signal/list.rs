//! [`List`] and [`ByItem`]: one key's items, by rank and by ordinal.

use std::path::Path;

use super::is_score;
use crate::Ordinal;
use crate::error::{Error, Result};
use crate::mapping::prefetch;

/// Bytes of a cache line.
const LINE: usize = 64;
/// What comes later in a list, the processor asks for by itself.
const PREFETCHED: usize = 256;

/// Scores in the precision in which they are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scores<'a> {
    /// Single precision, half the room.
    F32(&'a [f32]),
    /// Double precision, as computed.
    F64(&'a [f64]),
}

impl Scores<'_> {
    /// The score at `i`, which must be below [`Scores::len`]; NaN otherwise, which no sound file holds.
    #[inline]
    pub fn get(&self, i: usize) -> f64 {
        match self {
            Self::F32(scores) => scores.get(i).map_or(f64::NAN, |s| f64::from(*s)),
            Self::F64(scores) => scores.get(i).copied().unwrap_or(f64::NAN),
        }
    }

    /// How many scores there are.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(scores) => scores.len(),
            Self::F64(scores) => scores.len(),
        }
    }

    /// Whether there are no scores.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The list of one key: score descending, then ordinal.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    pub(super) path: &'a Path,
    pub(super) items: &'a [u32],
    pub(super) scores: Scores<'a>,
    pub(super) item_count: usize,
}

impl<'a> List<'a> {
    /// How many items are on the list.
    #[inline]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing is on the list.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The item and score at rank `i` (from 0); an error if there is none, the catalog has no such item or the score
    /// cannot be one.
    #[inline]
    pub fn get(&self, i: usize) -> Result<(Ordinal, f64)> {
        let score = self.scores.get(i);
        match self.items.get(i) {
            Some(&item) if (item as usize) < self.item_count && is_score(score) => {
                Ok((item, score))
            }
            _ => Err(self.fault(i)),
        }
    }

    /// Asks for the cache lines of the first `most` entries, as far as they are worth asking for at once.
    #[inline]
    pub fn prefetch(&self, most: usize) {
        let len = self.len().min(most).min(PREFETCHED);
        prefetch_lines(self.items, len);
        match self.scores {
            Scores::F32(scores) => prefetch_lines(scores, len),
            Scores::F64(scores) => prefetch_lines(scores, len),
        }
    }

    /// Checks every entry at once, as [`List::get`] does one: quicker when all of them will be read.
    #[inline]
    pub fn check(&self) -> Result<()> {
        let largest = self
            .items
            .iter()
            .fold(0, |largest, item| largest.max(*item));
        // No early exit, so that the loops are vectorised.
        let are_scores = match self.scores {
            Scores::F32(scores) => scores.iter().fold(true, |all, s| all & s.is_finite()),
            Scores::F64(scores) => scores.iter().fold(true, |all, s| all & is_score(*s)),
        };
        if self.is_empty()
            || (largest as usize) < self.item_count && are_scores && self.scores.len() == self.len()
        {
            return Ok(());
        }
        match (0..self.len()).find(|i| self.get(*i).is_err()) {
            Some(i) => Err(self.fault(i)),
            None => Ok(()),
        }
    }

    /// The ordinals as they are in the file: bounds-check them.
    #[inline]
    pub fn items(&self) -> &'a [u32] {
        self.items
    }

    /// The scores as they are in the file: in one that was never verified they may be NaN or infinite.
    #[inline]
    pub fn scores(&self) -> Scores<'a> {
        self.scores
    }

    #[cold]
    fn fault(&self, i: usize) -> Error {
        match self.items.get(i) {
            None => Error::corrupt(self.path, "list.off", format!("a list has no rank {i}")),
            Some(&item) if item as usize >= self.item_count => {
                let reason = format!("item {item} at rank {i} of {} items", self.item_count);
                Error::corrupt(self.path, "items", reason)
            }
            Some(item) => {
                let reason = format!("the score of item {item} is {}", self.scores.get(i));
                Error::corrupt(self.path, "scores", reason)
            }
        }
    }
}

/// Asks for every line of the first `len` elements, which may begin in the middle of a line.
#[inline]
fn prefetch_lines<T>(elements: &[T], len: usize) {
    for at in (0..len).step_by(LINE / size_of::<T>()) {
        prefetch(elements, at);
    }
    prefetch(elements, len.wrapping_sub(1));
}

/// The list of one key by ordinal, ascending.
#[derive(Clone, Copy, Debug)]
pub struct ByItem<'a> {
    pub(super) path: &'a Path,
    pub(super) items: &'a [u32],
    pub(super) scores: Scores<'a>,
}

impl ByItem<'_> {
    /// The score of an item, `None` if it is not on the list; an error if the score cannot be one.
    #[inline]
    pub fn score(&self, item: Ordinal) -> Result<Option<f64>> {
        let Some(i) = find(self.items, item) else {
            return Ok(None);
        };
        let score = self.scores.get(i);
        if is_score(score) {
            return Ok(Some(score));
        }
        let reason = format!("the score of item {item} is {score}");
        Err(Error::corrupt(self.path, "by.score", reason))
    }
}

/// Position of `wanted` in ascending `items`: a guess by interpolation, a gallop from there, then a binary search.
///
/// A list that holds most items is found in one to three probes, any other in O(log n). Items that do not ascend can
/// hide an item, and no more.
#[inline]
pub fn find(items: &[u32], wanted: u32) -> Option<usize> {
    let (&first, &last) = (items.first()?, items.last()?);
    if wanted < first || wanted > last {
        return None;
    }
    search(items, wanted, first, last)
}

fn search(items: &[u32], wanted: u32, first: u32, last: u32) -> Option<usize> {
    let span = u64::from(last - first).max(1);
    let guess = u64::from(wanted - first) * (items.len() as u64 - 1) / span;
    let guess = guess as usize;
    // Invariant of both gallops for ascending items: if `wanted` is there, it is in `low..high`.
    let (mut low, mut high) = (0, items.len());
    let mut step = 1;
    match items[guess].cmp(&wanted) {
        std::cmp::Ordering::Equal => return Some(guess),
        std::cmp::Ordering::Less => {
            low = guess + 1;
            while low + step < high {
                if items[low + step] > wanted {
                    high = low + step;
                } else {
                    low += step;
                    step *= 2;
                }
            }
        }
        std::cmp::Ordering::Greater => {
            high = guess;
            while step < high {
                if items[high - step] < wanted {
                    low = high - step;
                    break;
                }
                high = high - step + 1;
                step *= 2;
            }
        }
    }
    let window = items.get(low..high)?;
    window.binary_search(&wanted).ok().map(|i| low + i)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn find_agrees_with_binary_search(
            items in prop::collection::btree_set(0u32..400, 0..200),
            wide in prop::collection::btree_set(any::<u32>(), 0..50),
            wanted in 0u32..400,
        ) {
            let items: Vec<u32> = items.into_iter().collect();
            prop_assert_eq!(find(&items, wanted), items.binary_search(&wanted).ok());
            let wide: Vec<u32> = wide.into_iter().collect();
            for (i, item) in wide.iter().enumerate() {
                prop_assert_eq!(find(&wide, *item), Some(i));
            }
            prop_assert_eq!(find(&wide, wanted), wide.binary_search(&wanted).ok());
        }

        #[test]
        fn find_in_items_out_of_order_ends(items in prop::collection::vec(any::<u32>(), 0..50), wanted: u32) {
            if let Some(i) = find(&items, wanted) {
                prop_assert_eq!(items[i], wanted);
            }
        }
    }
}
