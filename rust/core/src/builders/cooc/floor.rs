//! [`Floor`]: the smallest sum with which an item can still be among the best of a row, without computing its score.
//!
//! A score falls as the other item's total rises, so items are put into classes of similar totals, and the floor of a
//! class is computed for its smallest. It is set a little low, so that rounding never hides an item; whatever reaches
//! it is scored exactly.

use super::Normalization;

/// Most classes, so that one fits a byte.
const CLASSES: usize = 256;
/// A relative margin, far above the rounding of the scores' single precision.
const MARGIN: f64 = 1e-6;

/// The class of every item, and the smallest total of every class.
#[derive(Debug)]
pub(super) struct Classes {
    of_item: Vec<u8>,
    lows: Vec<f64>,
}

impl Classes {
    /// Classes of totals from 0 up, as fine as a byte can tell apart.
    pub(super) fn of(totals: &[f64]) -> Self {
        let bits = |total: f64| total.max(f64::MIN_POSITIVE).to_bits();
        let positive = || totals.iter().filter(|n| **n > 0.0).map(|n| bits(*n));
        let (first, last) = (
            positive().min().unwrap_or(bits(1.0)),
            positive().max().unwrap_or(bits(1.0)),
        );
        // Bits of positive floats are in the order of the floats; the upper ones are the exponent and some digits.
        let shift = (44..u64::BITS)
            .find(|shift| (last >> shift) - (first >> shift) < CLASSES as u64)
            .unwrap_or(u64::BITS - 1);
        let lowest = first >> shift;
        Self {
            of_item: totals
                .iter()
                .map(|n| ((bits(*n) >> shift).saturating_sub(lowest)) as u8)
                .collect(),
            lows: (0..=(last >> shift) - lowest)
                .map(|class| f64::from_bits((lowest + class) << shift))
                .collect(),
        }
    }
}

/// Floors of all classes for one row.
#[derive(Debug)]
pub(super) struct Floor {
    sums: [f64; CLASSES],
    is_raised: bool,
}

impl Floor {
    /// A floor that lets everything pass.
    pub(super) fn new() -> Self {
        Self {
            sums: [0.0; CLASSES],
            is_raised: false,
        }
    }

    /// Lets everything pass again.
    pub(super) fn lower(&mut self) {
        if std::mem::take(&mut self.is_raised) {
            self.sums = [0.0; CLASSES];
        }
    }

    /// Lets pass what can reach `score` in the row of an item with total `own`, of `sessions` sessions.
    pub(super) fn raise(
        &mut self,
        classes: &Classes,
        normalization: Normalization,
        score: f64,
        own: f64,
        sessions: f64,
    ) {
        // Below the normal range of f32, rounding is coarser than the margin.
        if score < f64::from(f32::MIN_POSITIVE) {
            return;
        }
        for (sum, low) in self.sums.iter_mut().zip(&classes.lows) {
            *sum = (1.0 - MARGIN)
                * match normalization {
                    Normalization::Count => score,
                    Normalization::Cosine => score * (own * low).sqrt(),
                    Normalization::Jaccard => score * (own + low) / (1.0 + score),
                    Normalization::Lift => score * own * low / sessions,
                    Normalization::Confidence => score * own,
                };
        }
        self.is_raised = true;
    }

    /// Whether an item with this sum may be among the best.
    #[inline]
    pub(super) fn passes(&self, classes: &Classes, item: u32, sum: f64) -> bool {
        sum >= self.sums[usize::from(classes.of_item[item as usize])]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_can_reach_the_score_passes(
            totals in proptest::collection::vec(prop_oneof![Just(0.0f64), 1e-12..1e-3, 0.5..5e9, 1e9..1e20], 1..60),
            own in prop_oneof![1e-12..1e-3f64, 0.5..5e9, 1e9..1e20], share in 1e-7..1.0f64,
        ) {
            let classes = Classes::of(&totals);
            for (item, other) in totals.iter().copied().enumerate().filter(|(_, n)| *n > 0.0) {
                let sum = share * (own * other).sqrt();
                for normalization in Normalization::ALL {
                    let score = match normalization {
                        Normalization::Count => sum,
                        Normalization::Cosine => sum / (own.sqrt() * other.sqrt()),
                        Normalization::Jaccard => sum / (own + other - sum),
                        Normalization::Lift => sum * 1000.0 / (own * other),
                        Normalization::Confidence => sum / own,
                    };
                    let mut floor = Floor::new();
                    prop_assert!(floor.passes(&classes, item as u32, sum));
                    floor.raise(&classes, normalization, f64::from(score as f32), own, 1000.0);
                    prop_assert!(floor.passes(&classes, item as u32, sum), "{normalization:?} {own} {other}");
                    floor.lower();
                    prop_assert!(floor.passes(&classes, item as u32, 0.0));
                }
            }
        }
    }
}
