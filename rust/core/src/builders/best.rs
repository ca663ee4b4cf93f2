//! [`Best`]: the top of a list by score descending, then ordinal ascending, as the file will hold the score.

use crate::Ordinal;

/// A score and an ordinal in one number that is the smaller the better; scores are zero or more.
pub(super) trait Key: Copy + Ord + Send {
    fn pack(score: f64, item: Ordinal) -> Self;
    fn unpack(self) -> (Ordinal, f64);
}

/// With the score as f32. Rounding comes before ranking: what is equal in the file is in order of ordinal.
impl Key for u64 {
    #[inline]
    fn pack(score: f64, item: Ordinal) -> Self {
        Self::from(!(score as f32).to_bits()) << 32 | Self::from(item)
    }

    fn unpack(self) -> (Ordinal, f64) {
        (
            self as u32,
            f64::from(f32::from_bits(!((self >> 32) as u32))),
        )
    }
}

/// With the score as f64.
impl Key for u128 {
    #[inline]
    fn pack(score: f64, item: Ordinal) -> Self {
        Self::from(!score.to_bits()) << 32 | Self::from(item)
    }

    fn unpack(self) -> (Ordinal, f64) {
        (self as u32, f64::from_bits(!((self >> 32) as u64)))
    }
}

/// Keeps the best `top` of what it is offered.
#[derive(Debug)]
pub(super) struct Best<K> {
    top: usize,
    keys: Vec<K>,
    /// Nothing from this on can be among the best.
    bound: Option<K>,
}

impl<K: Key> Best<K> {
    /// Nothing offered yet.
    pub(super) fn new(top: usize) -> Self {
        Self {
            top,
            keys: Vec::new(),
            bound: None,
        }
    }

    /// Offers an entry. Returns the score that an entry needs from now on, if that has changed.
    #[inline]
    pub(super) fn offer(&mut self, score: f64, item: Ordinal) -> Option<f64> {
        let key = K::pack(score, item);
        if self.bound.is_some_and(|bound| key >= bound) {
            return None;
        }
        self.keys.push(key);
        if self.keys.len() < self.top.saturating_mul(2).max(64) {
            return None;
        }
        self.shrink();
        self.bound.map(|bound| bound.unpack().1)
    }

    /// Appends the best to `list`, best first, and starts over.
    pub(super) fn drain_into(&mut self, list: &mut Vec<K>) {
        self.shrink();
        self.keys.sort_unstable();
        list.append(&mut self.keys);
        self.bound = None;
    }

    fn shrink(&mut self) {
        if self.keys.len() > self.top {
            self.bound = Some(*self.keys.select_nth_unstable(self.top).1);
            self.keys.truncate(self.top);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn best_of<K: Key>(scores: &[f64], top: usize) -> Vec<(Ordinal, f64)> {
        let mut best = Best::<K>::new(top);
        let mut list = Vec::new();
        for _ in 0..2 {
            // The second round shows that nothing stays of the first.
            list.clear();
            for (item, score) in scores.iter().enumerate() {
                best.offer(*score, item as u32);
            }
            best.drain_into(&mut list);
        }
        list.into_iter().map(Key::unpack).collect()
    }

    proptest! {
        #[test]
        fn best_is_the_head_of_the_sorted_list(
            scores in proptest::collection::vec((0u32..50).prop_map(|n| f64::from(n) / 7.0), 0..600), top in 0usize..40,
        ) {
            let mut expected: Vec<(Ordinal, f64)> = scores.iter().enumerate().map(|(i, s)| (i as u32, *s)).collect();
            expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            expected.truncate(top);
            prop_assert_eq!(&best_of::<u128>(&scores, top), &expected);
            let narrow: Vec<_> = expected.iter().map(|(i, s)| (*i, f64::from(*s as f32))).collect();
            prop_assert_eq!(best_of::<u64>(&scores, top), narrow);
        }
    }
}
