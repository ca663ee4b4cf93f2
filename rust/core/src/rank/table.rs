//! [`Table`]: the candidates of one request and what each source says of them.

use super::plan::Plan;
use super::sets::spread;
use crate::Ordinal;
use crate::error::Result;

const EMPTY: u64 = u64::MAX;

/// Slots a candidate to begin with: so many that most are found or found free at the first look.
const SPARSE: usize = 4;

/// Candidates by position, found by ordinal.
#[derive(Debug, Default)]
pub struct Table {
    index: Index,
    /// By position, like each of `raws`; both have room to spare.
    found_by: Vec<u32>,
    /// A column a source, so that a source scores its candidates in one loop.
    raws: Vec<Vec<f64>>,
}

impl Table {
    /// Empties the table and makes room for `expected` candidates.
    pub fn reset(&mut self, n_sources: usize, expected: usize) {
        self.index.reset(expected);
        self.found_by.clear();
        self.raws.resize_with(n_sources, Vec::new);
        for column in &mut self.raws {
            column.clear();
        }
        self.make_room(expected);
    }

    /// How many candidates there are.
    pub fn len(&self) -> usize {
        self.index.ordinals.len()
    }

    /// The candidate at `position`.
    #[inline]
    pub fn ordinal(&self, position: usize) -> Ordinal {
        self.index.ordinals[position]
    }

    /// Every candidate, by position.
    pub fn ordinals(&self) -> &[Ordinal] {
        &self.index.ordinals
    }

    /// The sources that found the candidate, a bit each.
    #[inline]
    pub fn found_by(&self, position: usize) -> u32 {
        self.found_by[position]
    }

    /// What `source` says of the candidate; 0 if it did not find it.
    #[inline]
    pub fn raw(&self, position: usize, source: usize) -> f64 {
        self.raws[source][position]
    }

    /// The position of `item`, if it is a candidate.
    pub fn find(&self, item: Ordinal) -> Option<usize> {
        let entry = self.index.slots[self.index.slot(item)];
        (entry != EMPTY).then_some(entry as u32 as usize)
    }

    /// The position of `item`, which becomes a candidate if it is not one; and whether it became one.
    #[inline]
    pub fn enter(&mut self, item: Ordinal) -> (usize, bool) {
        let (position, is_new) = self.index.enter(item);
        if position >= self.found_by.len() {
            self.make_room(position * 2 + 64);
        }
        (position, is_new)
    }

    /// Adds to what `source` says of the candidate.
    #[inline]
    pub fn add(&mut self, position: usize, source: usize, raw: f64) {
        self.raws[source][position] += raw;
        self.found_by[position] |= 1 << source;
    }

    /// Adds a list to what its source says; its items become candidates.
    #[inline]
    pub fn add_list(
        &mut self,
        source: usize,
        factor: f64,
        items: &[Ordinal],
        scores: impl Iterator<Item = f64>,
    ) {
        self.make_room(self.len() + items.len());
        let (column, found_by) = (&mut self.raws[source], &mut self.found_by);
        for (item, score) in items.iter().zip(scores) {
            let (position, _) = self.index.enter(*item);
            column[position] += factor * score;
            found_by[position] |= 1 << source;
        }
    }

    /// Replaces what `source` says of each candidate that it found.
    pub fn replace(
        &mut self,
        source: usize,
        mut value: impl FnMut(Ordinal, f64) -> Result<f64>,
    ) -> Result<()> {
        let found = self.index.ordinals.iter().zip(&self.found_by);
        for ((item, found_by), raw) in found.zip(&mut self.raws[source]) {
            if found_by >> source & 1 == 1 {
                *raw = value(*item, *raw)?;
            }
        }
        Ok(())
    }

    /// Every candidate's sum of weighted normalised values, in source order.
    pub fn sums(&self, plan: &Plan, weights: &[f64], maxima: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.len()];
        for (s, source) in plan.sources.iter().enumerate() {
            // A value of 0, which is also that of a candidate the source did not find, is normalised to 0.
            let (normalizer, weight, max) = (source.normalizer, weights[s], maxima[s]);
            for (sum, raw) in sums.iter_mut().zip(&self.raws[s]) {
                *sum += weight * normalizer.apply(*raw, max);
            }
        }
        sums
    }

    fn make_room(&mut self, candidates: usize) {
        if candidates > self.found_by.len() {
            self.found_by.resize(candidates, 0);
            for column in &mut self.raws {
                column.resize(candidates, 0.0);
            }
        }
    }
}

/// Positions by ordinal: an open-addressing table that stays in the near caches.
#[derive(Debug, Default)]
struct Index {
    /// Ordinal in the upper half, position in the lower.
    slots: Vec<u64>,
    ordinals: Vec<Ordinal>,
}

impl Index {
    fn reset(&mut self, expected: usize) {
        self.slots.clear();
        self.slots
            .resize((expected * SPARSE).next_power_of_two().max(64), EMPTY);
        self.ordinals.clear();
        self.ordinals.reserve(expected);
    }

    #[inline(always)]
    fn enter(&mut self, item: Ordinal) -> (usize, bool) {
        let slot = self.slot(item);
        let entry = self.slots[slot];
        if entry != EMPTY {
            return (entry as u32 as usize, false);
        }
        let position = self.ordinals.len();
        self.slots[slot] = u64::from(item) << 32 | position as u64;
        self.ordinals.push(item);
        if self.ordinals.len() * 2 > self.slots.len() {
            self.grow();
        }
        (position, true)
    }

    #[cold]
    fn grow(&mut self) {
        let size = self.slots.len() * 4;
        self.slots.clear();
        self.slots.resize(size, EMPTY);
        for position in 0..self.ordinals.len() {
            let item = self.ordinals[position];
            let slot = self.slot(item);
            self.slots[slot] = u64::from(item) << 32 | position as u64;
        }
    }

    /// Where `item` is, or would be; there is always an empty slot.
    #[inline]
    fn slot(&self, item: Ordinal) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = spread(item) & mask;
        while self.slots[slot] != EMPTY && (self.slots[slot] >> 32) as u32 != item {
            slot = (slot + 1) & mask;
        }
        slot
    }
}
