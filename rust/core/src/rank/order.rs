//! [`Placed`]: a candidate as the final order compares it; [`Ordered`]: many of them, sorted no further than is asked.

use super::table::Table;
use crate::Ordinal;

/// One in so many candidates is in the sample that says where the best begin. A list's best are at its start, so this
/// must not divide the usual lengths of lists.
const STRIDE: usize = 7;

/// A candidate in its place: best score first, then lowest ordinal. Sixteen bytes, compared as two integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Placed {
    key: i64,
    /// The complement of the ordinal, then the position.
    rest: u64,
}

impl Placed {
    /// The candidate at a position of the table.
    #[inline]
    pub fn new(score: f64, ordinal: Ordinal, position: usize) -> Self {
        Self {
            key: total_order(score),
            rest: u64::from(!ordinal) << 32 | position as u64,
        }
    }

    /// Its position in the table.
    pub fn position(self) -> usize {
        self.rest as u32 as usize
    }

    /// Its score.
    pub fn score(self) -> f64 {
        // The order is its own inverse.
        f64::from_bits(total_order(f64::from_bits(self.key as u64)) as u64)
    }

    /// Whether it comes before every candidate that scores `bound` or less.
    pub fn is_above(self, bound: f64) -> bool {
        self.key > total_order(bound)
    }

    /// Its ordinal.
    pub fn ordinal(self) -> Ordinal {
        !((self.rest >> 32) as u32)
    }
}

/// An integer that compares as `f64::total_cmp` does.
#[inline]
fn total_order(score: f64) -> i64 {
    let bits = score.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// The first candidates of a table, in final order.
#[derive(Debug)]
pub struct Ordered {
    /// By position.
    scores: Vec<f64>,
    /// The next of them, worst first.
    ahead: Vec<Placed>,
    /// The others, in no order: all whose key is not below `unread`.
    rest: Vec<Placed>,
    unread: Option<i64>,
    /// How many to sort next.
    n_ahead: usize,
}

impl Ordered {
    /// Orders the candidates that have `scores`, by position; `n_ahead` at first, twice as many each time that they are
    /// used up. None is ahead yet.
    pub fn new(scores: Vec<f64>, n_ahead: usize) -> Self {
        Self {
            scores,
            ahead: Vec::new(),
            rest: Vec::new(),
            unread: Some(i64::MAX),
            n_ahead,
        }
    }

    /// The next candidate.
    #[inline]
    pub fn peek(&self) -> Option<&Placed> {
        self.ahead.last()
    }

    /// Takes the next candidate. There may be more behind it even if there is none: see [`Ordered::advance`].
    #[inline]
    pub fn pop(&mut self) -> Option<Placed> {
        self.ahead.pop()
    }

    /// Sorts more candidates if none are ahead and some are left, and says whether it did; `before` is given them as soon
    /// as it is known which they are, in no order.
    pub fn advance(&mut self, table: &Table, before: impl FnOnce(&[Placed])) -> bool {
        if !self.ahead.is_empty() || self.rest.is_empty() && self.unread.is_none() {
            return false;
        }
        if self.rest.is_empty() {
            self.read(table);
        }
        let left = self.rest.len().saturating_sub(self.n_ahead);
        if left > 0 {
            self.rest.select_nth_unstable(left);
            self.ahead.extend(self.rest.drain(left..));
        } else {
            std::mem::swap(&mut self.ahead, &mut self.rest);
        }
        before(&self.ahead);
        self.ahead.sort_unstable();
        self.n_ahead *= 2;
        true
    }

    /// The items that are ahead, best first.
    pub fn coming(&self) -> impl Iterator<Item = Ordinal> + Clone {
        self.ahead.iter().rev().map(|placed| placed.ordinal())
    }

    /// Reads the best candidates of those not read yet; the second time all that are left.
    fn read(&mut self, table: &Table) {
        let Some(below) = self.unread.take() else {
            return;
        };
        let n = self.scores.len();
        let mut least = i64::MIN;
        if below == i64::MAX && n > 2 * self.n_ahead {
            let sample = self.scores.iter().step_by(STRIDE);
            let mut sample: Vec<i64> = sample.map(|score| total_order(*score)).collect();
            // Twice as many as are wanted, so that there are hardly ever too few.
            let best = 2 * self.n_ahead / STRIDE + 1;
            let nth = sample.len().saturating_sub(best);
            least = (*sample.select_nth_unstable(nth).1).min(i64::MAX - 1);
            self.unread = Some(least);
        }
        let candidates = self.scores.iter().zip(table.ordinals()).zip(0..);
        let placed = candidates.map(|((score, item), p)| Placed::new(*score, *item, p));
        let is_read =
            |placed: &Placed| placed.key >= least && (placed.key < below || below == i64::MAX);
        self.rest.extend(placed.filter(is_read));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_integer_order_is_that_of_total_cmp(a in any::<f64>(), b in any::<f64>()) {
            let (a, b) = (Placed::new(a, 1, 0), Placed::new(b, 1, 0));
            prop_assert_eq!(a.cmp(&b), a.score().total_cmp(&b.score()));
        }

        #[test]
        fn a_score_comes_out_as_it_went_in(score in any::<f64>()) {
            prop_assert_eq!(Placed::new(score, 1, 0).score().to_bits(), score.to_bits());
        }

        #[test]
        fn all_candidates_come_in_final_order(scores in prop::collection::vec(prop_oneof![0.0..1.0f64, Just(0.5), any::<f64>()], 0..700), n_ahead in 1usize..300) {
            let mut table = Table::default();
            table.reset(1, 0);
            for item in 0..scores.len() as Ordinal {
                // Not in the order of their positions.
                table.enter(item.wrapping_mul(0x9E37_79B1));
            }
            let mut expected: Vec<Placed> = (0..scores.len())
                .map(|p| Placed::new(scores[p], table.ordinal(p), p))
                .collect();
            expected.sort_unstable_by(|a, b| b.cmp(a));
            let mut ordered = Ordered::new(scores, n_ahead);
            let mut found = Vec::new();
            loop {
                ordered.advance(&table, |_| ());
                let Some(next) = ordered.pop() else { break };
                found.push(next);
            }
            prop_assert_eq!(found, expected);
        }
    }
}
