//! Rows as they are buffered: [`Event`] without a time, [`TimedEvent`] with one. Their order is fixed by content.

use bytemuck::{Pod, Zeroable};

use crate::Ordinal;
use crate::builders::partitions::PARTITIONS;

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
