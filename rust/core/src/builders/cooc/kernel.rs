//! [`Kernel`]: one row of the co-visitation matrix, summed session by session into a dense array (Gustavson 1978).
//!
//! A row is summed in ascending order of sessions, whoever computes it and whenever, so its floats are always the same.
//! Without weights and times there is only to count, and [`Counts`] does it in less room.

use super::super::sessions::{Moments, View};
use super::Sequence;
use super::counts::Counts;
use super::neighbours::Question;
use crate::Ordinal;

/// What a row is summed of.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// The number of sessions.
    Counts,
    /// The products of weights.
    Weights,
    /// The same, of events within a window.
    Windows,
    /// What comes after the item.
    Steps(Sequence),
}

/// Room to sum rows in, one per thread, as large as the catalog.
#[derive(Debug)]
pub(super) struct Kernel {
    way: Way,
    counts: Counts,
    support: Vec<u32>,
    sums: Vec<f64>,
    /// In order of time: the session that counted an item last, so that none counts it twice.
    counted: Vec<u32>,
    /// The items of the row, and room for one more.
    touched: Vec<Ordinal>,
    touched_len: usize,
}

impl Kernel {
    /// Room for a catalog of `n_items`.
    pub(super) fn new(n_items: usize, question: &Question) -> Self {
        let detail = question.detail;
        let way = match (question.sequence, detail.moments) {
            (Some(sequence), _) => Way::Steps(sequence),
            (None, Moments::Window(_)) => Way::Windows,
            (None, _) if detail.has_weights => Way::Weights,
            (None, _) => Way::Counts,
        };
        let summed = if matches!(way, Way::Counts) {
            0
        } else {
            n_items
        };
        let is_ordered = detail.moments.are_ordered();
        Self {
            way,
            counts: Counts::new(n_items - summed),
            support: vec![0; summed],
            sums: vec![0.0; summed],
            counted: vec![u32::MAX; if is_ordered { n_items } else { 0 }],
            touched: vec![0; summed + 1],
            touched_len: 0,
        }
    }

    /// Sums the row of `item`, which is in the sessions `postings`, and shows each entry once: the other item, the sum
    /// of the products of weights, and the number of sessions.
    pub(super) fn row(
        &mut self,
        item: Ordinal,
        postings: &[u32],
        sessions: &View<'_>,
        mut show: impl FnMut(Ordinal, f64, u32),
    ) {
        match self.way {
            Way::Counts => {
                return self.counts.row(postings, sessions, |other, support| {
                    if other != item {
                        show(other, f64::from(support), support);
                    }
                });
            }
            Way::Weights => self.sum_weights(item, postings, sessions),
            Way::Windows => self.sum_windows(item, postings, sessions),
            Way::Steps(sequence) => self.sum_steps(item, postings, sessions, sequence),
        }
        for &other in &self.touched[..self.touched_len] {
            let support = std::mem::take(&mut self.support[other as usize]);
            let sum = std::mem::take(&mut self.sums[other as usize]);
            if let Some(counted) = self.counted.get_mut(other as usize) {
                *counted = u32::MAX;
            }
            if other != item {
                show(other, sum, support);
            }
        }
        self.touched_len = 0;
    }

    #[inline]
    fn touch(&mut self, other: Ordinal) {
        // Written always and counted when new: a store is cheaper than a branch that nobody can predict.
        let support = &mut self.support[other as usize];
        self.touched[self.touched_len] = other;
        self.touched_len += usize::from(*support == 0);
        *support += 1;
    }

    fn sum_weights(&mut self, item: Ordinal, postings: &[u32], sessions: &View<'_>) {
        for session in sessions.each(postings) {
            let Ok(own) = session.items.binary_search(&item) else {
                continue;
            };
            let own_weight = f64::from(session.weights[own]);
            for (&other, &weight) in session.items.iter().zip(session.weights) {
                self.touch(other);
                self.sums[other as usize] += own_weight * f64::from(weight);
            }
        }
    }

    fn sum_windows(&mut self, item: Ordinal, postings: &[u32], sessions: &View<'_>) {
        for (&number, session) in postings.iter().zip(sessions.each(postings)) {
            // Windows of the item's events may overlap; `next` keeps each event of the session to one visit.
            let mut next = 0;
            for (own, _) in session
                .items
                .iter()
                .enumerate()
                .filter(|(_, i)| **i == item)
            {
                let own_weight = session.weight(own);
                next = next.max(session.marks[own] as usize);
                while let Some(first) = session.marks.get(next)
                    && *first as usize <= own
                {
                    let (other, weight) = (session.items[next], session.weight(next));
                    next += 1;
                    if self.counted[other as usize] != number {
                        self.counted[other as usize] = number;
                        self.touch(other);
                        self.sums[other as usize] += own_weight * weight;
                    }
                }
            }
        }
    }

    fn sum_steps(
        &mut self,
        item: Ordinal,
        postings: &[u32],
        sessions: &View<'_>,
        sequence: Sequence,
    ) {
        for (&number, session) in postings.iter().zip(sessions.each(postings)) {
            for (own, _) in session
                .items
                .iter()
                .enumerate()
                .filter(|(_, i)| **i == item)
            {
                let own_weight = session.weight(own);
                let (mut distance, mut factor) = (0, own_weight);
                for next in own + 1..session.items.len() {
                    if session.marks[next] != session.marks[next - 1] {
                        distance += 1;
                        factor *= if distance == 1 { 1.0 } else { sequence.decay };
                    }
                    if distance > sequence.max_distance {
                        break;
                    }
                    let other = session.items[next];
                    if distance == 0 || other == item {
                        continue;
                    }
                    if self.counted[other as usize] != number {
                        self.counted[other as usize] = number;
                        self.touch(other);
                    }
                    self.sums[other as usize] += factor * session.weight(next);
                }
            }
        }
    }
}
