//! [`Sessions`]: the items of every session, sessions in order of their key; made partition by partition.

use std::collections::HashMap;
use std::path::Path;

use bytemuck::Pod;
use rayon::prelude::*;

use super::super::partitions::{Partition, Partitions};
use super::super::scratch::{Column, ColumnWriter};
use super::rows::{Event, TimedEvent, draw};
use crate::Ordinal;
use crate::error::{Error, Result};

/// What is kept of a session beside its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// Nothing: every weight is 1.
    Plain,
    /// A weight for each item.
    Weights,
    /// A weight and a time for each event; an item may come again.
    Times,
}

/// The items of all sessions. Without times they are distinct and ascending in a session; with times they are events
/// in order of time.
#[derive(Debug)]
pub(super) struct Sessions {
    offsets: Column<u64>,
    items: Column<Ordinal>,
    weights: Column<f32>,
    times: Column<i64>,
    /// Sessions over the cap.
    pub(super) heavy: u64,
    /// Items that the cap dropped, each counted once a session.
    pub(super) dropped: u64,
}

/// One session of [`Sessions`]; `weights` and `times` are empty if they are not kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session<'a> {
    pub(super) items: &'a [Ordinal],
    pub(super) weights: &'a [f32],
    pub(super) times: &'a [i64],
}

impl Sessions {
    /// Groups the rows of `partitions` into sessions of at most `cap` items.
    pub(super) fn of_events(
        partitions: Partitions<Event>,
        detail: Detail,
        cap: usize,
        rows: u64,
        folder: &Path,
        memory_bytes: u64,
    ) -> Result<Self> {
        let writer = SessionsWriter::new(detail, rows, folder, memory_bytes);
        group(partitions, writer, |events, piece| {
            piece.add_events(events, detail, cap)
        })
    }

    /// The same with times.
    pub(super) fn of_timed_events(
        partitions: Partitions<TimedEvent>,
        cap: usize,
        rows: u64,
        folder: &Path,
        memory_bytes: u64,
    ) -> Result<Self> {
        let writer = SessionsWriter::new(Detail::Times, rows, folder, memory_bytes);
        group(partitions, writer, |events, piece| {
            piece.add_timed_events(events, cap)
        })
    }

    /// How many sessions there are.
    pub(super) fn len(&self) -> usize {
        self.offsets.as_slice().len() - 1
    }

    /// Borrows the columns, for loops that look at many sessions.
    pub(super) fn view(&self) -> View<'_> {
        View {
            offsets: self.offsets.as_slice(),
            items: self.items.as_slice(),
            weights: self.weights.as_slice(),
            times: self.times.as_slice(),
        }
    }
}

/// The columns of [`Sessions`].
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    offsets: &'a [u64],
    items: &'a [Ordinal],
    weights: &'a [f32],
    times: &'a [i64],
}

impl<'a> View<'a> {
    /// The items of one session.
    #[inline]
    pub(super) fn items(&self, session: u32) -> &'a [Ordinal] {
        let (start, end) = self.range(session);
        &self.items[start..end]
    }

    /// One session.
    #[inline]
    pub(super) fn session(&self, session: u32) -> Session<'a> {
        let (start, end) = self.range(session);
        Session {
            items: &self.items[start..end],
            weights: self.weights.get(start..end).unwrap_or(&[]),
            times: self.times.get(start..end).unwrap_or(&[]),
        }
    }

    /// Every session in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Session<'a>> + '_ {
        (0..self.offsets.len() as u32 - 1).map(|s| self.session(s))
    }

    #[inline]
    fn range(&self, session: u32) -> (usize, usize) {
        let session = session as usize;
        (
            self.offsets[session] as usize,
            self.offsets[session + 1] as usize,
        )
    }
}

/// The sessions of one partition.
#[derive(Debug, Default)]
struct Piece {
    lengths: Vec<u32>,
    items: Vec<Ordinal>,
    weights: Vec<f32>,
    times: Vec<i64>,
    heavy: u64,
    dropped: u64,
}

impl Piece {
    fn add_events(&mut self, mut events: Vec<Event>, detail: Detail, cap: usize) {
        events.sort_unstable_by_key(Event::order);
        self.items.reserve(events.len());
        for session in events.chunk_by(|a, b| a.session == b.session) {
            let start = self.items.len();
            // The weights of an item ascend, so the last event of a run has the greatest.
            for run in session.chunk_by(|a, b| a.item == b.item) {
                let last = run[run.len() - 1];
                self.items.push(last.item);
                if detail == Detail::Weights {
                    self.weights.push(last.weight);
                }
            }
            if self.items.len() - start > cap {
                let kept = self.sample(session[0].session, self.items[start..].to_vec(), cap);
                let mut at = start;
                for i in start..self.items.len() {
                    if kept.binary_search(&self.items[i]).is_ok() {
                        self.items[at] = self.items[i];
                        if detail == Detail::Weights {
                            self.weights[at] = self.weights[i];
                        }
                        at += 1;
                    }
                }
                self.items.truncate(at);
                self.weights.truncate(at);
            }
            self.lengths.push((self.items.len() - start) as u32);
        }
    }

    fn add_timed_events(&mut self, mut events: Vec<TimedEvent>, cap: usize) {
        events.sort_unstable_by_key(TimedEvent::order);
        self.items.reserve(events.len());
        for session in events.chunk_by(|a, b| a.event.session == b.event.session) {
            let start = self.items.len();
            let mut weights = HashMap::with_capacity(session.len().min(cap));
            for TimedEvent { event, .. } in session {
                let weight = weights.entry(event.item).or_insert(event.weight);
                *weight = event.weight.max(*weight);
            }
            if weights.len() > cap {
                let kept = self.sample(
                    session[0].event.session,
                    weights.keys().copied().collect(),
                    cap,
                );
                weights.retain(|item, _| kept.binary_search(item).is_ok());
            }
            for TimedEvent { event, ts_ms } in session {
                if let Some(weight) = weights.get(&event.item) {
                    self.items.push(event.item);
                    self.weights.push(*weight);
                    self.times.push(*ts_ms);
                }
            }
            self.lengths.push((self.items.len() - start) as u32);
        }
    }

    /// The `cap` items of a heavy session that stay, ascending; counts the session and what is dropped.
    fn sample(&mut self, session: u64, mut items: Vec<Ordinal>, cap: usize) -> Vec<Ordinal> {
        self.heavy += 1;
        self.dropped += (items.len() - cap) as u64;
        items.sort_unstable_by_key(|item| draw(session, *item));
        items.truncate(cap);
        items.sort_unstable();
        items
    }
}

/// Puts pieces together, in order of partition.
struct SessionsWriter {
    offsets: ColumnWriter<u64>,
    items: ColumnWriter<Ordinal>,
    weights: ColumnWriter<f32>,
    times: ColumnWriter<i64>,
    end: u64,
    sessions: u64,
    heavy: u64,
    dropped: u64,
}

impl SessionsWriter {
    fn new(detail: Detail, rows: u64, folder: &Path, memory_bytes: u64) -> Self {
        let (weights, times) = match detail {
            Detail::Plain => (0, 0),
            Detail::Weights => (4, 0),
            Detail::Times => (4, 8),
        };
        // Each column gets its part of the bound; offsets, of which there are fewer than rows, get as much as items.
        let share = memory_bytes / (4 + 4 + weights + times);
        Self {
            offsets: ColumnWriter::new(folder, 4 * share, 1),
            items: ColumnWriter::new(folder, 4 * share, rows),
            weights: ColumnWriter::new(folder, weights * share, rows.min(rows * weights)),
            times: ColumnWriter::new(folder, times * share, rows.min(rows * times)),
            end: 0,
            sessions: 0,
            heavy: 0,
            dropped: 0,
        }
    }

    fn add(&mut self, piece: &Piece) -> Result<()> {
        let mut offsets = Vec::with_capacity(piece.lengths.len());
        for length in &piece.lengths {
            offsets.push(self.end);
            self.end += u64::from(*length);
        }
        self.sessions += piece.lengths.len() as u64;
        self.heavy += piece.heavy;
        self.dropped += piece.dropped;
        self.offsets.extend(&offsets)?;
        self.items.extend(&piece.items)?;
        self.weights.extend(&piece.weights)?;
        self.times.extend(&piece.times)
    }

    fn finish(mut self) -> Result<Sessions> {
        if self.sessions >= u64::from(u32::MAX) {
            return Err(Error::Build(format!(
                "{} sessions, fewer than {} are supported",
                self.sessions,
                u32::MAX
            )));
        }
        self.offsets.extend(&[self.end])?;
        Ok(Sessions {
            offsets: self.offsets.finish()?,
            items: self.items.finish()?,
            weights: self.weights.finish()?,
            times: self.times.finish()?,
            heavy: self.heavy,
            dropped: self.dropped,
        })
    }
}

/// Groups partitions in parallel, a few at a time, while the pieces before them are put together.
fn group<R: Pod + Send + Sync>(
    partitions: Partitions<R>,
    mut writer: SessionsWriter,
    add: impl Fn(Vec<R>, &mut Piece) + Sync,
) -> Result<Sessions> {
    let (partitions, spill) = partitions.into_parts();
    let make = |partition: Partition<R>| {
        let mut piece = Piece::default();
        let rows = partition.load(spill.as_ref())?;
        add(rows, &mut piece);
        Ok(piece)
    };
    let wave = 2 * rayon::current_num_threads();
    let mut rest = partitions.into_iter();
    let mut done: Vec<Piece> = Vec::new();
    loop {
        let next: Vec<Partition<R>> = rest.by_ref().take(wave).collect();
        let is_last = next.is_empty();
        let (made, added) = rayon::join(
            || {
                next.into_par_iter()
                    .map(make)
                    .collect::<Result<Vec<Piece>>>()
            },
            || done.iter().try_for_each(|piece| writer.add(piece)),
        );
        added?;
        done = made?;
        if is_last {
            return writer.finish();
        }
    }
}
