//! [`Table`]: the candidates of one request and what each source says of them.

use super::plan::{Normalizer, Plan};
use super::sets::spread;
use crate::Ordinal;
use crate::error::Result;

const EMPTY: u64 = u64::MAX;

/// Slots a candidate to begin with: so many that most are found or found free at the first look.
const SPARSE: usize = 2;

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
        self.index.len
    }

    /// The candidate at `position`.
    #[inline]
    pub fn ordinal(&self, position: usize) -> Ordinal {
        self.index.ordinals[position]
    }

    /// Every candidate, by position.
    pub fn ordinals(&self) -> &[Ordinal] {
        &self.index.ordinals[..self.index.len]
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
        let entry = self.index.slots[find(&self.index.slots, item)];
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

    /// Makes ready to add up to `most` values to what `source` says.
    #[inline]
    pub fn adder(&mut self, source: usize, most: usize) -> Adder<'_> {
        self.make_room(self.len() + most);
        self.index.make_room(most);
        Adder {
            slots: &mut self.index.slots,
            ordinals: &mut self.index.ordinals,
            column: &mut self.raws[source],
            found_by: &mut self.found_by,
            bit: 1 << source,
            len: self.index.len,
            total: &mut self.index.len,
        }
    }

    /// Replaces what `source` says of each candidate that it found.
    pub fn replace(
        &mut self,
        source: usize,
        mut value: impl FnMut(Ordinal, f64) -> Result<f64>,
    ) -> Result<()> {
        let ordinals = &self.index.ordinals[..self.index.len];
        let found = ordinals.iter().zip(&self.found_by);
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
            let (weight, max) = (weights[s], maxima[s]);
            let values = sums.iter_mut().zip(&self.raws[s]);
            // A loop each, so that each is vectorised.
            match source.normalizer {
                n @ Normalizer::Saturating => {
                    values.for_each(|(v, raw)| *v += weight * n.apply(*raw, max))
                }
                n @ Normalizer::Max => {
                    values.for_each(|(v, raw)| *v += weight * n.apply(*raw, max))
                }
                n @ Normalizer::None => {
                    values.for_each(|(v, raw)| *v += weight * n.apply(*raw, max))
                }
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

/// Adds values of one source to a table that has room for them. It borrows slices and counts by itself, so that in a loop
/// nothing has to be read anew after each write.
#[derive(Debug)]
pub struct Adder<'t> {
    slots: &'t mut [u64],
    ordinals: &'t mut [Ordinal],
    column: &'t mut [f64],
    found_by: &'t mut [u32],
    bit: u32,
    len: usize,
    total: &'t mut usize,
}

impl Adder<'_> {
    /// Adds to what the source says of `item`, which becomes a candidate if it is not one; whether it became one.
    #[inline(always)]
    pub fn add(&mut self, item: Ordinal, value: f64) -> bool {
        let slot = find(self.slots, item);
        let entry = self.slots[slot];
        let is_new = entry == EMPTY;
        let position = if is_new {
            let position = self.len;
            self.slots[slot] = u64::from(item) << 32 | position as u64;
            self.ordinals[position] = item;
            self.len += 1;
            position
        } else {
            entry as u32 as usize
        };
        self.column[position] += value;
        self.found_by[position] |= self.bit;
        is_new
    }

    /// Tells the table how many candidates there are now.
    #[inline(always)]
    pub fn finish(self) {
        *self.total = self.len;
    }
}

/// Positions by ordinal: an open-addressing table that stays in the near caches.
#[derive(Debug, Default)]
struct Index {
    /// Ordinal in the upper half, position in the lower.
    slots: Vec<u64>,
    /// By position, with room to spare.
    ordinals: Vec<Ordinal>,
    len: usize,
}

impl Index {
    fn reset(&mut self, expected: usize) {
        self.slots.clear();
        self.slots
            .resize((expected * SPARSE).next_power_of_two().max(64), EMPTY);
        self.len = 0;
        self.make_room(expected);
    }

    /// Makes room for `more` ordinals.
    fn make_room(&mut self, more: usize) {
        let len = self.len + more;
        if len > self.ordinals.len() {
            self.ordinals.resize(len, 0);
        }
        if len * 2 > self.slots.len() {
            self.grow(len);
        }
    }

    #[inline]
    fn enter(&mut self, item: Ordinal) -> (usize, bool) {
        let slot = find(&self.slots, item);
        let entry = self.slots[slot];
        if entry != EMPTY {
            return (entry as u32 as usize, false);
        }
        let position = self.len;
        if position == self.ordinals.len() {
            self.ordinals.push(item);
        }
        self.ordinals[position] = item;
        self.slots[slot] = u64::from(item) << 32 | position as u64;
        self.len += 1;
        if self.len * 2 > self.slots.len() {
            self.grow(self.len);
        }
        (position, true)
    }

    #[cold]
    fn grow(&mut self, len: usize) {
        let size = (len * SPARSE).next_power_of_two();
        self.slots.clear();
        self.slots.resize(size, EMPTY);
        for (item, position) in self.ordinals[..self.len].iter().zip(0..) {
            let slot = find(&self.slots, *item);
            self.slots[slot] = u64::from(*item) << 32 | position;
        }
    }
}

/// Where `item` is, or would be; there is always an empty slot.
#[inline(always)]
fn find(slots: &[u64], item: Ordinal) -> usize {
    let mask = slots.len() - 1;
    let mut slot = spread(item) & mask;
    while slots[slot] != EMPTY && (slots[slot] >> 32) as u32 != item {
        slot = (slot + 1) & mask;
    }
    slot
}
