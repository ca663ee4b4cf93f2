//! [`Sessions`]: the items of every session, sessions in order of their key; made partition by partition.

use std::collections::HashMap;
use std::path::Path;

use bytemuck::Pod;
use rayon::prelude::*;

use super::partitions::{Partition, Partitions};
use super::rows::{Event, TimedEvent, draw, sorted};
use super::scratch::{Column, ColumnWriter};
use crate::Ordinal;
use crate::error::{Error, Result};
use crate::mapping::prefetch;

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
///
/// A session is one stretch of the columns: a header, which in `items` is the number of events, the events, and zeros
/// up to the next multiple of [`UNIT`]. So one number, where it begins in units, finds all of it with one cache miss.
#[derive(Debug)]
pub(super) struct Sessions {
    items: Column<Ordinal>,
    weights: Column<f32>,
    times: Column<i64>,
    len: u64,
    /// Sessions over the cap.
    pub(super) heavy: u64,
    /// Items that the cap dropped, each counted once a session.
    pub(super) dropped: u64,
}

/// Sessions begin at multiples of this many elements.
const UNIT: usize = 4;
/// Items of a cache line.
const ITEMS_PER_LINE: usize = 64 / size_of::<Ordinal>();
/// Sessions that are asked for before they are needed.
const AHEAD: usize = 16;

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
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Borrows the columns, for loops that look at many sessions.
    pub(super) fn view(&self) -> View<'_> {
        View {
            items: self.items.as_slice(),
            weights: self.weights.as_slice(),
            times: self.times.as_slice(),
            mean_items: self.items.as_slice().len() as f64 / self.len.max(1) as f64,
        }
    }
}

/// The columns of [`Sessions`].
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    items: &'a [Ordinal],
    weights: &'a [f32],
    times: &'a [i64],
    mean_items: f64,
}

impl<'a> View<'a> {
    /// The items of the session that begins at `unit`.
    #[inline]
    pub(super) fn items(&self, unit: u32) -> &'a [Ordinal] {
        let start = unit as usize * UNIT + 1;
        &self.items[start..start + self.items[start - 1] as usize]
    }

    /// The session that begins at `unit`.
    #[inline]
    pub(super) fn session(&self, unit: u32) -> Session<'a> {
        let items = self.items(unit);
        let start = unit as usize * UNIT + 1;
        let end = start + items.len();
        Session {
            items,
            weights: self.weights.get(start..end).unwrap_or(&[]),
            times: self.times.get(start..end).unwrap_or(&[]),
        }
    }

    /// Every session in order, and where it begins.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Session<'a>)> + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            if next as usize * UNIT >= self.items.len() {
                return None;
            }
            let unit = next;
            let session = self.session(unit);
            next += (session.items.len() + 1).div_ceil(UNIT) as u32;
            Some((unit, session))
        })
    }

    /// The sessions that begin at `units`. Sessions lie far apart, so those to come are asked for in time.
    #[inline]
    pub(super) fn each(&self, units: &'a [u32]) -> impl Iterator<Item = Session<'a>> + '_ {
        for &unit in units.iter().take(AHEAD) {
            self.prefetch(unit);
        }
        units.iter().enumerate().map(|(i, &unit)| {
            if let Some(&unit) = units.get(i + AHEAD) {
                self.prefetch(unit);
            }
            self.session(unit)
        })
    }

    /// Asks for the first two cache lines of a session, which is all of most.
    #[inline]
    fn prefetch(&self, unit: u32) {
        let start = unit as usize * UNIT;
        prefetch(self.items, start);
        prefetch(self.items, start + ITEMS_PER_LINE);
    }

    /// Events of a session on average, the header and the room after them included.
    pub(super) fn mean_items(&self) -> f64 {
        self.mean_items
    }
}

/// The sessions of one partition.
#[derive(Debug, Default)]
struct Piece {
    sessions: u64,
    items: Vec<Ordinal>,
    weights: Vec<f32>,
    times: Vec<i64>,
    heavy: u64,
    dropped: u64,
}

impl Piece {
    fn add_events(&mut self, events: Vec<Event>, detail: Detail, cap: usize) {
        let events = sorted(events, |e| e.session, Event::order);
        self.items.reserve(events.len() * 3 / 2);
        for session in events.chunk_by(|a, b| a.session == b.session) {
            let start = self.begin_session(detail);
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
            self.end_session(start, detail);
        }
    }

    fn add_timed_events(&mut self, events: Vec<TimedEvent>, cap: usize) {
        let events = sorted(events, |e| e.event.session, TimedEvent::order);
        self.items.reserve(events.len() * 3 / 2);
        for session in events.chunk_by(|a, b| a.event.session == b.event.session) {
            let start = self.begin_session(Detail::Times);
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
            self.end_session(start, Detail::Times);
        }
    }

    /// Makes room for a header; returns where the events begin.
    fn begin_session(&mut self, detail: Detail) -> usize {
        let end = self.items.len() + 1;
        self.resize(end, detail);
        end
    }

    /// Fills the header of the session whose events begin at `start`, and the room after them.
    fn end_session(&mut self, start: usize, detail: Detail) {
        self.items[start - 1] = (self.items.len() - start) as u32;
        self.resize(self.items.len().next_multiple_of(UNIT), detail);
        self.sessions += 1;
    }

    fn resize(&mut self, len: usize, detail: Detail) {
        self.items.resize(len, 0);
        if detail != Detail::Plain {
            self.weights.resize(len, 0.0);
        }
        if detail == Detail::Times {
            self.times.resize(len, 0);
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
    items: ColumnWriter<Ordinal>,
    weights: ColumnWriter<f32>,
    times: ColumnWriter<i64>,
    elements: u64,
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
        // Each column gets its part of the bound, and room for the most that sessions of one event would take.
        let share = memory_bytes / (4 + weights + times);
        let most = rows * UNIT as u64;
        Self {
            items: ColumnWriter::new(folder, 4 * share, most),
            weights: ColumnWriter::new(folder, weights * share, most.min(most * weights)),
            times: ColumnWriter::new(folder, times * share, most.min(most * times)),
            elements: 0,
            sessions: 0,
            heavy: 0,
            dropped: 0,
        }
    }

    fn add(&mut self, piece: &Piece) -> Result<()> {
        self.elements += piece.items.len() as u64;
        self.sessions += piece.sessions;
        self.heavy += piece.heavy;
        self.dropped += piece.dropped;
        self.items.extend(&piece.items)?;
        self.weights.extend(&piece.weights)?;
        self.times.extend(&piece.times)
    }

    fn finish(self) -> Result<Sessions> {
        let (units, most) = (self.elements / UNIT as u64, u64::from(u32::MAX));
        if units >= most {
            return Err(Error::Build(format!(
                "{} sessions take {units} units of {UNIT} events, fewer than {most} are supported",
                self.sessions
            )));
        }
        Ok(Sessions {
            items: self.items.finish()?,
            weights: self.weights.finish()?,
            times: self.times.finish()?,
            len: self.sessions,
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
