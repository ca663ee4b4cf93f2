//! [`PopularityBuilder`]: decayed weights per segment and item, summed in whole numbers.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use bytemuck::{Pod, Zeroable};
use rayon::ThreadPool;
use rayon::prelude::*;
use serde_json::{Map, Value};

use super::metadata::{extend, object};
use super::scratch::{Extent, Spill};
use super::{Built, Limits, check_lengths, check_size};
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::signal::{KeyType, SignalWriter, Spec};
use crate::{NONE, Ordinal};

/// The key that every row counts for, whatever its segment.
pub const DEFAULT_SEGMENT: &str = "default";
/// Sums are whole multiples of 2^-72, so their order does not matter; 2^56 is the largest.
const FRACTION_BITS: i32 = 72;
/// Largest weight of a row.
pub const MAX_WEIGHT: f64 = 1e12;
/// Bytes of the memory bound that one sum may take: its place in the table, twice while the table grows, and its
/// place in the list that is put aside.
const BYTES_PER_SUM: u64 = 160;

/// The sum of one item, as it is put aside.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Sum {
    low: u64,
    high: u64,
    item: u64,
}

/// Collects rows of (segment, item, time, weight) and writes the `popularity` signal.
#[derive(Debug)]
pub struct PopularityBuilder {
    n_items: usize,
    now_ms: i64,
    half_life_ms: Option<f64>,
    limits: Limits,
    pool: ThreadPool,
    /// Sums of all rows.
    overall: Vec<u128>,
    /// Number of each segment, in order of first sight, and where its sums were put aside.
    segments: BTreeMap<String, u32>,
    extents: Vec<Vec<Extent>>,
    /// Sums by segment number and ordinal.
    sums: HashMap<(u32, Ordinal), u128>,
    spill: Option<Spill>,
    rows: u64,
    future_rows: u64,
    unknown_items: u64,
    zero_weights: u64,
    span_ms: Option<(i64, i64)>,
}

impl PopularityBuilder {
    /// A builder without rows. Ages are counted from `now_ms`; without a half-life nothing decays.
    pub fn new(
        n_items: usize,
        now_ms: i64,
        half_life_ms: Option<f64>,
        limits: Limits,
    ) -> Result<Self> {
        if half_life_ms.is_some_and(|h| !(h.is_finite() && h > 0.0)) {
            return Err(Error::Build(
                "half_life_ms: must be a number over 0".to_owned(),
            ));
        }
        Ok(Self {
            n_items,
            now_ms,
            half_life_ms,
            pool: limits.pool()?,
            limits,
            overall: vec![0; n_items],
            segments: BTreeMap::new(),
            extents: Vec::new(),
            sums: HashMap::new(),
            spill: None,
            rows: 0,
            future_rows: 0,
            unknown_items: 0,
            zero_weights: 0,
            span_ms: None,
        })
    }

    /// Adds rows: equally long columns of positions in `segments`, ordinals, Unix milliseconds and weights.
    ///
    /// Rows of an unknown item ([`NONE`]) or of weight 0 are counted and left out; a row after `now_ms` has age 0.
    /// Errors number the rows from the builder's first on.
    pub fn push<S: AsRef<str>>(
        &mut self,
        segments: &[S],
        codes: &[u32],
        ordinals: &[Ordinal],
        ts_ms: &[i64],
        weights: &[f64],
    ) -> Result<()> {
        check_lengths(&[
            ("segment_codes", codes.len()),
            ("ordinals", ordinals.len()),
            ("ts_ms", ts_ms.len()),
            ("weights", weights.len()),
        ])?;
        let numbers = segments
            .iter()
            .map(|s| self.number(s.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        let (now_ms, half_life_ms) = (self.now_ms, self.half_life_ms);
        let amounts: Vec<u128> = self.pool.install(|| {
            let rows = ts_ms.par_iter().zip(weights);
            rows.map(|(ts, weight)| amount(*weight, now_ms, *ts, half_life_ms))
                .collect()
        });
        let first_row = self.rows + self.unknown_items + self.zero_weights;
        for (i, (&code, &item)) in codes.iter().zip(ordinals).enumerate() {
            let row = first_row + i as u64;
            let number = *numbers.get(code as usize).ok_or_else(|| {
                Error::Build(format!(
                    "row {row}: segment code {code}, there are {} segments",
                    numbers.len()
                ))
            })?;
            if item == NONE {
                self.unknown_items += 1;
                continue;
            }
            if item as usize >= self.n_items {
                let n = self.n_items;
                return Err(Error::Build(format!(
                    "row {row}: ordinal {item}, the catalog has {n} items"
                )));
            }
            if !(0.0..=MAX_WEIGHT).contains(&weights[i]) {
                return Err(Error::Build(format!(
                    "row {row}: weight {} is not from 0 to 1e12",
                    weights[i]
                )));
            }
            if weights[i] == 0.0 {
                self.zero_weights += 1;
                continue;
            }
            self.rows += 1;
            self.future_rows += u64::from(ts_ms[i] > now_ms);
            let (first, last) = self.span_ms.unwrap_or((ts_ms[i], ts_ms[i]));
            self.span_ms = Some((first.min(ts_ms[i]), last.max(ts_ms[i])));
            add(&mut self.overall[item as usize], amounts[i], item)?;
            if let Some(number) = number {
                add(
                    self.sums.entry((number, item)).or_insert(0),
                    amounts[i],
                    item,
                )?;
                if self.sums.len() as u64 * BYTES_PER_SUM > self.limits.memory_bytes.max(1 << 12) {
                    self.put_aside()?;
                }
            }
        }
        Ok(())
    }

    /// Writes the signal to `path`: the key `default`, and one key for each segment with a row that counts.
    pub fn finish(
        mut self,
        path: &Path,
        catalog: &Catalog,
        mut metadata: Map<String, Value>,
    ) -> Result<Built> {
        check_size(catalog, self.n_items)?;
        self.put_aside()?;
        // Only rows make a key: a batch may name segments that none of its rows is of.
        let extents = &self.extents;
        self.segments
            .retain(|_, number| !extents[*number as usize].is_empty());
        let mut keys: Vec<String> = self.segments.keys().cloned().collect();
        let at = keys.partition_point(|key| key.as_str() < DEFAULT_SEGMENT);
        keys.insert(at, DEFAULT_SEGMENT.to_owned());
        let spec = Spec {
            kind: "popularity".to_owned(),
            key_type: KeyType::Segment,
            wide_scores: true,
            by_item: true,
            keys: keys.clone(),
        };
        let mut writer = SignalWriter::create(path, catalog, spec)?;
        for key in &keys {
            self.limits.stop.check()?;
            writer.push_list(&self.list(key)?)?;
        }
        let params = object([
            ("now_ms", self.now_ms.into()),
            ("half_life_ms", self.half_life_ms.into()),
        ]);
        let counts = object([
            ("rows", self.rows.into()),
            ("future_rows", self.future_rows.into()),
            ("unknown_items", self.unknown_items.into()),
            ("zero_weights", self.zero_weights.into()),
            ("first_ts_ms", self.span_ms.map(|s| s.0).into()),
            ("last_ts_ms", self.span_ms.map(|s| s.1).into()),
        ]);
        extend(&mut metadata, params, &counts)?;
        Ok(Built {
            sha256: writer.finish(metadata)?,
            counts,
        })
    }

    /// The ranked list of a key.
    fn list(&self, key: &str) -> Result<Vec<(Ordinal, f64)>> {
        let of_segment;
        let sums = match self.segments.get(key) {
            None => &self.overall,
            Some(number) => {
                of_segment = self.segment_sums(*number)?;
                &of_segment
            }
        };
        let mut list: Vec<(Ordinal, f64)> = (0..)
            .zip(sums)
            .filter(|(_, s)| **s > 0)
            .map(|(i, s)| (i, score(*s)))
            .collect();
        self.pool
            .install(|| list.par_sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))));
        Ok(list)
    }

    fn segment_sums(&self, number: u32) -> Result<Vec<u128>> {
        let mut sums = vec![0; self.n_items];
        let mut rows: Vec<Sum> = Vec::new();
        for extent in &self.extents[number as usize] {
            if let Some(spill) = &self.spill {
                rows.clear();
                spill.read(*extent, &mut rows)?;
            }
            for row in &rows {
                let sum = u128::from(row.high) << 64 | u128::from(row.low);
                add(&mut sums[row.item as usize], sum, row.item as Ordinal)?;
            }
        }
        Ok(sums)
    }

    /// The number of a segment; `None` for the default one, which has its sums anyway.
    fn number(&mut self, segment: &str) -> Result<Option<u32>> {
        if segment == DEFAULT_SEGMENT {
            return Ok(None);
        }
        if segment.is_empty() {
            return Err(Error::Build("segments: a name is empty".to_owned()));
        }
        if let Some(number) = self.segments.get(segment) {
            return Ok(Some(*number));
        }
        let number = self.extents.len() as u32;
        self.segments.insert(segment.to_owned(), number);
        self.extents.push(Vec::new());
        Ok(Some(number))
    }

    /// Moves the sums of segments to the spill, sorted by segment.
    fn put_aside(&mut self) -> Result<()> {
        if self.sums.is_empty() {
            return Ok(());
        }
        let mut sums: Vec<((u32, Ordinal), u128)> = self.sums.drain().collect();
        sums.sort_unstable_by_key(|(key, _)| *key);
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill::create(&self.limits.scratch_dir)?),
        };
        for group in sums.chunk_by(|a, b| a.0.0 == b.0.0) {
            let rows: Vec<Sum> = group
                .iter()
                .map(|((_, item), sum)| Sum {
                    low: *sum as u64,
                    high: (*sum >> 64) as u64,
                    item: u64::from(*item),
                })
                .collect();
            self.extents[group[0].0.0 as usize].push(spill.append(&rows)?);
        }
        Ok(())
    }
}

/// weight x 2^(-age / half-life), in multiples of 2^-72; a weight out of range is refused by the caller.
fn amount(weight: f64, now_ms: i64, ts_ms: i64, half_life_ms: Option<f64>) -> u128 {
    let age_ms = if ts_ms < now_ms {
        now_ms.abs_diff(ts_ms) as f64
    } else {
        0.0
    };
    let decay = half_life_ms.map_or(1.0, |half_life| (-age_ms / half_life).exp2());
    (weight * decay * f64::from(FRACTION_BITS).exp2()) as u128
}

fn score(sum: u128) -> f64 {
    sum as f64 * f64::from(-FRACTION_BITS).exp2()
}

fn add(sum: &mut u128, amount: u128, item: Ordinal) -> Result<()> {
    *sum = sum
        .checked_add(amount)
        .ok_or_else(|| Error::Build(format!("the popularity of item {item} is over 2^56")))?;
    Ok(())
}

#[cfg(test)]
#[path = "popularity_tests.rs"]
mod tests;
