//! [`SessionKnnBuilder`]: the sessions themselves, in order of recency, for a search at request time.
//!
//! Rows are grouped into sessions as for co-visitation (`sessions`), put in order of their last event (`Dated` rows by
//! partition of time), and written; then each item's latest sessions, for a range of items at a time.

use std::ops::Range;
use std::path::Path;

use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;
use serde_json::{Map, Value};

use super::group::group_timed_events;
use super::metadata::{extend, object};
use super::partitions::Partitions;
use super::rows::{Intake, TimedEvent};
use super::scratch::{Column, ColumnWriter};
use super::sessions::{Detail, Moments, Sessions};
use super::{Built, Limits, check_size};
use crate::Ordinal;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::sessions::SessionIndexWriter;

/// Sessions that are made ready together.
const CHUNK_SESSIONS: usize = 4096;

/// What a session index is built by.
#[derive(Clone, Copy, Debug)]
pub struct SessionKnnParams {
    /// Most sessions that an item keeps, the latest.
    pub sessions_per_item: usize,
    /// Most items of a session; of a session with more, as many are drawn.
    pub max_items_per_session: usize,
}

/// Collects rows of (session, item, time, weight) and writes the `session_knn` artifact.
#[derive(Debug)]
pub struct SessionKnnBuilder {
    params: SessionKnnParams,
    limits: Limits,
    n_items: usize,
    intake: Intake,
    rows: Partitions<TimedEvent>,
}

/// A session and when its last event was.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Dated {
    last_ms: i64,
    unit: u32,
    padding: u32,
}

impl SessionKnnBuilder {
    /// A builder without rows, for a catalog of `n_items`.
    pub fn new(n_items: usize, params: SessionKnnParams, limits: Limits) -> Result<Self> {
        for (name, bad, least) in [
            ("sessions_per_item", params.sessions_per_item == 0, 1),
            ("max_items_per_session", params.max_items_per_session < 2, 2),
        ] {
            if bad {
                return Err(Error::Build(format!("{name}: must be {least} or more")));
            }
        }
        Ok(Self {
            params,
            n_items,
            intake: Intake::new(n_items),
            rows: Partitions::new(&limits),
            limits,
        })
    }

    /// Adds rows: equally long columns of session keys, ordinals, Unix milliseconds and weights, of which only whether
    /// they are 0 matters.
    pub fn push(
        &mut self,
        sessions: &[u64],
        ordinals: &[Ordinal],
        ts_ms: &[i64],
        weights: &[f32],
    ) -> Result<()> {
        let rows = &mut self.rows;
        self.intake.take(sessions, ordinals, ts_ms, weights, |row| {
            rows.push(row.event.session, row)
        })
    }

    /// Writes the index to `path`.
    pub fn finish(
        self,
        path: &Path,
        catalog: &Catalog,
        mut metadata: Map<String, Value>,
    ) -> Result<Built> {
        check_size(catalog, self.n_items)?;
        let (params, limits) = (self.params, self.limits.clone());
        // Half of the bound was for rows; as they go, a quarter is for sessions, and a quarter for the order of sessions,
        // then for the sessions in that order and for the lists of items.
        limits.pool()?.install(|| {
            let detail = Detail {
                has_weights: false,
                moments: Moments::Last,
            };
            let sessions = group_timed_events(
                self.rows,
                detail,
                params.max_items_per_session,
                self.intake.kept_rows,
                &limits,
            )?;
            let mut counts = self.intake.counts(&sessions);
            let mut writer = SessionIndexWriter::create(path, catalog, params.sessions_per_item)?;
            let ordered = order(sessions, &limits, &mut writer)?;
            counts.insert("single_item_sessions".to_owned(), ordered.alone.into());
            push_lists(ordered.stretches.as_slice(), &limits, &mut writer)?;
            let names = object([
                ("sessions_per_item", params.sessions_per_item.into()),
                ("max_items_per_session", params.max_items_per_session.into()),
            ]);
            extend(&mut metadata, names, &counts)?;
            Ok(Built {
                sha256: writer.finish(metadata)?,
                counts,
            })
        })
    }
}

/// Sessions from the latest to the earliest.
struct Ordered {
    /// Each session as its number of items, then the items.
    stretches: Column<u32>,
    /// Sessions of one item, which are left out: they tell of nothing beside it.
    alone: u64,
}

/// Writes the sessions in order of their last event, latest first; those of one moment by their key.
fn order(sessions: Sessions, limits: &Limits, writer: &mut SessionIndexWriter) -> Result<Ordered> {
    let view = sessions.view();
    let times = sessions.last_ms();
    let first = times.iter().min().copied().unwrap_or(0);
    let last = times.iter().max().copied().unwrap_or(0);
    let mut dated = Partitions::<Dated>::new(&Limits {
        memory_bytes: limits.memory_bytes / 4,
        ..limits.clone()
    });
    let span = u128::from(last.abs_diff(first)) + 1;
    let mut alone = 0;
    for ((unit, session), &last_ms) in view.iter().zip(times) {
        if session.items.len() < 2 {
            alone += 1;
            continue;
        }
        // Evenly over all keys, so that partitions are alike where sessions are, and the latest have the least.
        let key = (u128::from(last.abs_diff(last_ms)) << u64::BITS) / span;
        dated.push(
            key as u64,
            Dated {
                last_ms,
                unit,
                padding: 0,
            },
        )?;
    }
    let mut stretches = ColumnWriter::new(&limits.scratch_dir, limits.memory_bytes / 8, 0);
    let (partitions, spill) = dated.into_parts();
    for partition in partitions {
        limits.stop.check()?;
        let mut dated = partition.load(spill.as_ref())?;
        dated.par_sort_unstable_by_key(|one| (std::cmp::Reverse(one.last_ms), one.unit));
        let made: Vec<Vec<u32>> = dated
            .par_chunks(CHUNK_SESSIONS)
            .map(|chunk| {
                let mut made = Vec::new();
                for one in chunk {
                    let items = view.items(one.unit);
                    made.push(items.len() as u32);
                    made.extend_from_slice(items);
                }
                made
            })
            .collect();
        for stretch in made {
            for items in each(&stretch) {
                writer.push_session(items)?;
            }
            stretches.extend(&stretch)?;
        }
    }
    Ok(Ordered {
        stretches: stretches.finish()?,
        alone,
    })
}

/// The items of each session of a stretch.
fn each(mut stretch: &[u32]) -> impl Iterator<Item = &[Ordinal]> {
    std::iter::from_fn(move || {
        let (length, rest) = stretch.split_first()?;
        let (items, rest) = rest.split_at(*length as usize);
        stretch = rest;
        Some(items)
    })
}

/// Writes the latest sessions of every item; the lists that are made at once take about a quarter of the bound.
fn push_lists(stretches: &[u32], limits: &Limits, writer: &mut SessionIndexWriter) -> Result<()> {
    let lengths = writer.list_lengths();
    let most_bytes = limits.memory_bytes / 4;
    let most = usize::try_from(most_bytes / size_of::<u32>() as u64).unwrap_or(usize::MAX);
    for range in split(&lengths, 0..lengths.len(), most) {
        limits.stop.check()?;
        let total: usize = lengths[range.clone()].iter().sum();
        let share = total.div_ceil(rayon::current_num_threads()).max(1);
        // Every part of the range looks through all sessions, in parallel, and keeps what is its own.
        let parts: Vec<(Range<usize>, Vec<u32>)> = split(&lengths, range, share)
            .into_par_iter()
            .map(|part| {
                let lists = lists_of(stretches, &part, &lengths[part.clone()]);
                (part, lists)
            })
            .collect();
        for (part, lists) in parts {
            let mut rest = lists.as_slice();
            for length in &lengths[part] {
                let (list, others) = rest.split_at(*length);
                writer.push_list(list)?;
                rest = others;
            }
        }
    }
    Ok(())
}

/// The lists of the items of `part`, one after the other.
fn lists_of(stretches: &[u32], part: &Range<usize>, lengths: &[usize]) -> Vec<u32> {
    let mut end = 0;
    let bounds: Vec<usize> = lengths
        .iter()
        .map(|length| {
            end += length;
            end
        })
        .collect();
    let mut lists = vec![0; end];
    let mut ends: Vec<usize> = bounds
        .iter()
        .zip(lengths)
        .map(|(bound, length)| bound - length)
        .collect();
    for (number, items) in each(stretches).enumerate() {
        for &item in items {
            let Some(at) = (item as usize).checked_sub(part.start) else {
                continue;
            };
            if let Some(end) = ends.get_mut(at)
                && *end < bounds[at]
            {
                lists[*end] = number as u32;
                *end += 1;
            }
        }
    }
    lists
}

/// Consecutive items whose lists together stay within `most`, at least one item each.
fn split(lengths: &[usize], items: Range<usize>, most: usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut start, mut sum) = (items.start, 0);
    for item in items.clone() {
        if item > start && sum + lengths[item] > most {
            parts.push(start..item);
            (start, sum) = (item, 0);
        }
        sum += lengths[item];
    }
    if start < items.end {
        parts.push(start..items.end);
    }
    parts
}
