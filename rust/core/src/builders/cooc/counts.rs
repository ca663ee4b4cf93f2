//! [`Counts`]: a row of the co-visitation matrix where every weight is 1, so that there is only to count sessions.

use super::super::sessions::View;
use crate::Ordinal;

/// Counters that are looked at together for one that is not zero.
const TOGETHER: usize = 32;

/// Counters for every item of the catalog, half as wide for rows whose counts fit.
#[derive(Debug)]
pub(super) struct Counts {
    narrow: Vec<u16>,
    wide: Vec<u32>,
    /// The items of the row, and room for one more.
    touched: Vec<Ordinal>,
}

impl Counts {
    /// Room for a catalog of `n_items`.
    pub(super) fn new(n_items: usize) -> Self {
        Self {
            narrow: vec![0; n_items],
            wide: vec![0; n_items],
            touched: vec![0; n_items + 1],
        }
    }

    /// Counts the items of the sessions `postings` and shows each item once, with its count.
    pub(super) fn row(
        &mut self,
        postings: &[u32],
        sessions: &View<'_>,
        show: impl FnMut(Ordinal, u32),
    ) {
        if postings.len() <= usize::from(u16::MAX) {
            count(
                &mut self.narrow,
                &mut self.touched,
                postings,
                sessions,
                show,
            );
        } else {
            count(&mut self.wide, &mut self.touched, postings, sessions, show);
        }
    }
}

/// A counter.
trait Counter: Copy + Default + PartialEq + Into<u32> + std::ops::BitOr<Output = Self> {
    /// One more; the caller knows that it fits.
    fn add_one(&mut self);
}

impl Counter for u16 {
    #[inline]
    fn add_one(&mut self) {
        *self = self.wrapping_add(1);
    }
}

impl Counter for u32 {
    #[inline]
    fn add_one(&mut self) {
        *self = self.wrapping_add(1);
    }
}

#[inline]
fn count<C: Counter>(
    counts: &mut [C],
    touched: &mut [Ordinal],
    postings: &[u32],
    sessions: &View<'_>,
    mut show: impl FnMut(Ordinal, u32),
) {
    let zero = C::default();
    if postings.len() as f64 * sessions.mean_items() >= counts.len() as f64 {
        // Most items will be there: the array is read as a whole, and nothing else is kept.
        for session in sessions.each(postings) {
            for &other in session.items {
                counts[other as usize].add_one();
            }
        }
        for (i, together) in counts.chunks_mut(TOGETHER).enumerate() {
            if together.iter().fold(zero, |all, one| all | *one) == zero {
                continue;
            }
            for (j, one) in together.iter_mut().enumerate() {
                if *one != zero {
                    show((i * TOGETHER + j) as Ordinal, std::mem::take(one).into());
                }
            }
        }
        return;
    }
    let mut len = 0;
    for session in sessions.each(postings) {
        for &other in session.items {
            // Written always and counted when new: a store is cheaper than a branch that nobody can predict.
            let one = &mut counts[other as usize];
            touched[len] = other;
            len += usize::from(*one == zero);
            one.add_one();
        }
    }
    for &other in &touched[..len] {
        show(other, std::mem::take(&mut counts[other as usize]).into());
    }
}
