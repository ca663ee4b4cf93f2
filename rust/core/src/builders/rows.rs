//! Rows as they are buffered: [`Event`] without a time, [`TimedEvent`] with one. Their order is fixed by content.

use bytemuck::{Pod, Zeroable};

use serde_json::{Map, Value};

use super::metadata::object;
use super::partitions::PARTITIONS;
use super::sessions::Sessions;
use super::{WEIGHTS, check_lengths};
use crate::error::{Error, Result};
use crate::{NONE, Ordinal};

/// The top bits of a session, which rows of one partition share.
const PARTITION_BITS: u32 = PARTITIONS.ilog2();
/// Rows of a bucket to be sorted, on average.
const ROWS_PER_BUCKET: usize = 8;

/// One interaction, for sessions without a time window.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Event {
    /// Mixed session key.
    pub(super) session: u64,
    pub(super) item: Ordinal,
    /// Greater than zero.
    pub(super) weight: f32,
}

/// One interaction and when it was.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct TimedEvent {
    pub(super) event: Event,
    /// Unix milliseconds.
    pub(super) ts_ms: i64,
}

impl Event {
    /// By session, then item, then weight. One wide number compares faster than three fields; the bits of floats over
    /// zero are in the order of the floats.
    pub(super) fn order(&self) -> u128 {
        u128::from(self.session) << 64
            | u128::from(self.item) << 32
            | u128::from(self.weight.to_bits())
    }
}

impl TimedEvent {
    /// By session, then time, then item, then weight.
    pub(super) fn order(&self) -> (u64, i64, Ordinal, u32) {
        (
            self.event.session,
            self.ts_ms,
            self.event.item,
            self.event.weight.to_bits(),
        )
    }
}

/// Decides which rows count, and counts the others.
#[derive(Debug)]
pub(super) struct Intake {
    n_items: usize,
    /// Whether some row weighs more or less than 1.
    pub(super) has_weights: bool,
    /// Rows that count.
    pub(super) kept_rows: u64,
    unknown_items: u64,
    zero_weights: u64,
}

impl Intake {
    /// No rows yet, of a catalog of `n_items`.
    pub(super) fn new(n_items: usize) -> Self {
        Self {
            n_items,
            has_weights: false,
            kept_rows: 0,
            unknown_items: 0,
            zero_weights: 0,
        }
    }

    /// Shows `keep` the rows of equally long columns that count, each with its session mixed.
    ///
    /// Rows of an unknown item ([`NONE`]) and rows of weight 0 are counted and left out. Errors number the rows from
    /// the first of all on.
    pub(super) fn take(
        &mut self,
        sessions: &[u64],
        ordinals: &[Ordinal],
        ts_ms: &[i64],
        weights: &[f32],
        mut keep: impl FnMut(TimedEvent) -> Result<()>,
    ) -> Result<()> {
        check_lengths(&[
            ("sessions", sessions.len()),
            ("ordinals", ordinals.len()),
            ("ts_ms", ts_ms.len()),
            ("weights", weights.len()),
        ])?;
        let first_row = self.kept_rows + self.unknown_items + self.zero_weights;
        for (i, (((&session, &item), &ts_ms), &weight)) in sessions
            .iter()
            .zip(ordinals)
            .zip(ts_ms)
            .zip(weights)
            .enumerate()
        {
            let row = first_row + i as u64;
            if item == NONE {
                self.unknown_items += 1;
                continue;
            }
            if item as usize >= self.n_items {
                return Err(Error::Build(format!(
                    "row {row}: ordinal {item}, the catalog has {} items",
                    self.n_items
                )));
            }
            if weight == 0.0 {
                self.zero_weights += 1;
                continue;
            }
            if !WEIGHTS.contains(&weight) {
                return Err(Error::Build(format!(
                    "row {row}: weight {weight} is not 0 or from 1e-6 to 1e6"
                )));
            }
            self.has_weights |= weight != 1.0;
            self.kept_rows += 1;
            let session = mix(session);
            let event = Event {
                session,
                item,
                weight,
            };
            keep(TimedEvent { event, ts_ms })?;
        }
        Ok(())
    }

    /// What goes into the metadata under `counts`.
    pub(super) fn counts(&self, sessions: &Sessions) -> Map<String, Value> {
        object([
            ("rows", self.kept_rows.into()),
            ("sessions", sessions.len().into()),
            ("heavy_sessions", sessions.heavy.into()),
            ("dropped_by_cap", sessions.dropped.into()),
            ("unknown_items", self.unknown_items.into()),
            ("zero_weights", self.zero_weights.into()),
        ])
    }
}

/// Scrambles a number, one to one (the 64-bit finaliser of SplitMix64, Steele, Lea and Flood 2014): keys that callers
/// count up from zero fill the partitions as evenly as hashes do.
pub(super) fn mix(key: u64) -> u64 {
    let key = (key ^ (key >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    key ^ (key >> 31)
}

/// What decides whether `item` stays when its session is over the cap.
pub(super) fn draw(session: u64, item: Ordinal) -> (u64, Ordinal) {
    (
        mix(session ^ mix(u64::from(item).wrapping_add(0x9E37_79B9_7F4A_7C15))),
        item,
    )
}

/// The rows of one partition in `order`, which begins with the session: dealt out by the bits after the partition's, so
/// that a few are left to be sorted at a time.
pub(super) fn sorted<R: Copy, K: Ord>(
    rows: Vec<R>,
    session: impl Fn(&R) -> u64,
    order: impl Fn(&R) -> K,
) -> Vec<R> {
    let bits = (rows.len() / ROWS_PER_BUCKET).checked_ilog2().unwrap_or(0);
    let mut dealt = rows.clone();
    if bits > 0 {
        let bucket = |row: &R| (session(row) << PARTITION_BITS >> (u64::BITS - bits)) as usize;
        let mut ends = vec![0usize; (1 << bits) + 1];
        for row in &rows {
            ends[bucket(row) + 1] += 1;
        }
        for i in 1..ends.len() {
            ends[i] += ends[i - 1];
        }
        for row in &rows {
            let end = &mut ends[bucket(row)];
            dealt[*end] = *row;
            *end += 1;
        }
        drop(rows);
        let mut start = 0;
        for end in ends {
            dealt[start..end].sort_unstable_by_key(&order);
            start = end;
        }
    } else {
        dealt.sort_unstable_by_key(&order);
    }
    dealt
}
