//! From sessions to ranked neighbours: which sessions an item is in, its row, its scores, its best.

use std::ops::Range;

use rayon::prelude::*;

use super::super::Stop;
use super::super::best::{Best, Key};
use super::super::sessions::{Detail, Sessions, View};
use super::floor::{Classes, Floor};
use super::kernel::Kernel;
use super::{Normalization, Sequence};
use crate::Ordinal;
use crate::error::Result;

/// Rows are computed in blocks of at most this many items, so that the lists that wait to be written stay few.
const BLOCK_ITEMS: usize = 1024;
/// Blocks that a wave has per thread, to even out rows of different lengths.
const BLOCKS_PER_THREAD: usize = 4;

/// What is asked of the neighbours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) normalization: Normalization,
    pub(super) detail: Detail,
    pub(super) sequence: Option<Sequence>,
    pub(super) min_support: u32,
    pub(super) top_n: usize,
    /// Bytes for postings.
    pub(super) memory_bytes: u64,
}

/// What the scores of all pairs draw on.
#[derive(Debug)]
pub(super) struct Totals {
    sessions: f64,
    /// Per item: the sum over sessions of its squared weight; without weights, the number of its sessions.
    squares: Vec<f64>,
    /// Square roots of `squares`.
    norms: Vec<f64>,
    /// By `squares`.
    classes: Classes,
    /// Per item: its sessions with another event in them.
    postings: Vec<u32>,
}

impl Totals {
    /// One pass over all sessions.
    pub(super) fn of(sessions: &Sessions, n_items: usize) -> Self {
        let mut squares = vec![0.0; n_items];
        let mut postings = vec![0; n_items];
        let mut seen = vec![u32::MAX; n_items];
        for (unit, session) in sessions.view().iter() {
            for (i, &item) in session.items.iter().enumerate() {
                let item = item as usize;
                if std::mem::replace(&mut seen[item], unit) == unit {
                    continue;
                }
                let weight = session.weight(i);
                squares[item] += weight * weight;
                postings[item] += u32::from(session.items.len() > 1);
            }
        }
        let norms = squares.iter().map(|n: &f64| n.sqrt()).collect();
        Self {
            sessions: sessions.len() as f64,
            classes: Classes::of(&squares),
            squares,
            norms,
            postings,
        }
    }

    /// The largest sum that any pair can have (by the inequality of Cauchy and Schwarz).
    pub(super) fn largest_sum(&self) -> f64 {
        self.squares.iter().fold(0.0, |a, b| f64::max(a, *b))
    }

    #[inline(always)]
    fn score(&self, normalization: Normalization, a: Ordinal, b: Ordinal, sum: f64) -> f64 {
        let (a, b) = (a as usize, b as usize);
        match normalization {
            Normalization::Count => sum,
            Normalization::Cosine => sum / (self.norms[a] * self.norms[b]),
            Normalization::Jaccard => sum / (self.squares[a] + self.squares[b] - sum),
            Normalization::Lift => sum * self.sessions / (self.squares[a] * self.squares[b]),
            Normalization::Confidence => sum / self.squares[a],
        }
    }

    /// Raises the floor of the row of `own` to `score`.
    fn raise(&self, floor: &mut Floor, normalization: Normalization, own: Ordinal, score: f64) {
        let own = self.squares[own as usize];
        floor.raise(&self.classes, normalization, score, own, self.sessions);
    }

    /// Consecutive items whose sum of `cost` stays within `most`, at least one item and at most `most_items` each.
    fn split(&self, items: Range<usize>, most: u64, most_items: usize) -> Vec<Range<usize>> {
        let mut blocks = Vec::new();
        let (mut start, mut sum) = (items.start, 0);
        for item in items.clone() {
            let cost = u64::from(self.postings[item]);
            if item > start && (sum + cost > most || item - start == most_items) {
                blocks.push(start..item);
                (start, sum) = (item, 0);
            }
            sum += cost;
        }
        if start < items.end {
            blocks.push(start..items.end);
        }
        blocks
    }
}

/// The sessions of each item of a range.
struct Postings {
    first: usize,
    offsets: Vec<usize>,
    sessions: Vec<u32>,
}

impl Postings {
    /// Every part of the range looks through all sessions, in parallel, and keeps what is its own.
    fn of(items: Range<usize>, totals: &Totals, sessions: View<'_>) -> Self {
        let mut offsets = Vec::with_capacity(items.len() + 1);
        let mut end = 0;
        offsets.push(0);
        for item in items.clone() {
            end += totals.postings[item] as usize;
            offsets.push(end);
        }
        let mut postings = vec![0u32; end];
        let share = (end as u64)
            .div_ceil(rayon::current_num_threads() as u64)
            .max(1);
        let mut rest = postings.as_mut_slice();
        let mut parts = Vec::new();
        for part in totals.split(items.clone(), share, usize::MAX) {
            let length = offsets[part.end - items.start] - offsets[part.start - items.start];
            let (own, others) = rest.split_at_mut(length);
            rest = others;
            parts.push((part, own));
        }
        parts.into_par_iter().for_each(|(part, own)| {
            let base = offsets[part.start - items.start];
            let mut ends: Vec<usize> = part
                .clone()
                .map(|item| offsets[item - items.start] - base)
                .collect();
            let starts = ends.clone();
            for (unit, session) in sessions.iter() {
                if session.items.len() < 2 {
                    continue;
                }
                for &item in session.items {
                    let Some(at) = (item as usize).checked_sub(part.start) else {
                        continue;
                    };
                    let Some(end) = ends.get_mut(at) else {
                        continue;
                    };
                    // In order of time an item may come again in its session.
                    if *end > starts[at] && own[*end - 1] == unit {
                        continue;
                    }
                    own[*end] = unit;
                    *end += 1;
                }
            }
        });
        Self {
            first: items.start,
            offsets,
            sessions: postings,
        }
    }

    fn of_item(&self, item: usize) -> &[u32] {
        let at = item - self.first;
        &self.sessions[self.offsets[at]..self.offsets[at + 1]]
    }
}

/// The lists of consecutive items.
struct Lists<K> {
    lengths: Vec<usize>,
    keys: Vec<K>,
}

/// Computes every item's neighbours and hands the lists to `write` in order of item.
pub(super) fn rank<K: Key>(
    question: &Question,
    sessions: &Sessions,
    totals: &Totals,
    stop: &Stop,
    mut write: impl FnMut(&[(Ordinal, f64)]) -> Result<()> + Send,
) -> Result<()> {
    let view = sessions.view();
    let n_items = totals.squares.len();
    let threads = rayon::current_num_threads();
    let mut list = Vec::new();
    let mut put = |done: Vec<Lists<K>>| -> Result<()> {
        for lists in done {
            let mut start = 0;
            for length in lists.lengths {
                list.clear();
                list.extend(
                    lists.keys[start..start + length]
                        .iter()
                        .map(|key| key.unpack()),
                );
                start += length;
                write(&list)?;
            }
        }
        Ok(())
    };
    let mut kernels: Vec<(Kernel, Best<K>, Floor)> = Vec::new();
    kernels.resize_with(threads, || {
        (
            Kernel::new(n_items, question),
            Best::new(question.top_n),
            Floor::new(),
        )
    });
    let kernels: Vec<_> = kernels.into_iter().map(std::sync::Mutex::new).collect();
    let mut waiting = Vec::new();
    for range in totals.split(0..n_items, question.memory_bytes / 4, usize::MAX) {
        let postings = Postings::of(range.clone(), totals, view);
        let share = postings.sessions.len() / (threads * BLOCKS_PER_THREAD * 4) + 1;
        let blocks = totals.split(range, share as u64, BLOCK_ITEMS);
        for wave in blocks.chunks(threads * BLOCKS_PER_THREAD) {
            stop.check()?;
            let compute = |block: &Range<usize>| {
                // A thread runs one block at a time, so its own kernel is free unless a panic has poisoned it.
                let slot = rayon::current_thread_index().unwrap_or(0) % threads;
                let mut kernel = kernels[slot]
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                let (kernel, best, floor) = &mut *kernel;
                let mut lists = Lists {
                    lengths: Vec::with_capacity(block.len()),
                    keys: Vec::new(),
                };
                for item in block.clone() {
                    let (start, own) = (lists.keys.len(), item as Ordinal);
                    kernel.row(own, postings.of_item(item), &view, |other, sum, support| {
                        if support >= question.min_support
                            && floor.passes(&totals.classes, other, sum)
                        {
                            let score = totals.score(question.normalization, own, other, sum);
                            if let Some(least) = best.offer(score, other) {
                                totals.raise(floor, question.normalization, own, least);
                            }
                        }
                    });
                    best.drain_into(&mut lists.keys);
                    floor.lower();
                    lists.lengths.push(lists.keys.len() - start);
                }
                lists
            };
            let done = std::mem::take(&mut waiting);
            let (made, written) = rayon::join(
                || wave.par_iter().map(compute).collect::<Vec<_>>(),
                || put(done),
            );
            written?;
            waiting = made;
        }
    }
    put(waiting)
}
