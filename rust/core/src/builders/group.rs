//! Rows to [`Sessions`]: grouped in parallel partition by partition ([`Piece`]), put together in their order
//! ([`SessionsWriter`]).

use std::collections::HashMap;

use bytemuck::Pod;
use rayon::prelude::*;

use super::partitions::{Partition, Partitions};
use super::rows::{Event, TimedEvent, draw, sorted};
use super::scratch::ColumnWriter;
use super::sessions::{Detail, Moments, Sessions, UNIT};
use super::{Limits, Stop};
use crate::Ordinal;
use crate::error::{Error, Result};

/// Groups rows into sessions of at most `cap` items, which are kept in memory up to a quarter of the bound.
pub(super) fn group_events(
    partitions: Partitions<Event>,
    has_weights: bool,
    cap: usize,
    rows: u64,
    limits: &Limits,
) -> Result<Sessions> {
    let detail = Detail {
        has_weights,
        moments: Moments::Nothing,
    };
    let writer = SessionsWriter::new(detail, rows, limits);
    group(partitions, writer, &limits.stop, |events| {
        let mut piece = Piece::new(detail);
        piece.add_events(events, cap);
        piece
    })
}

/// The same of rows with times, of which `detail` is kept.
pub(super) fn group_timed_events(
    partitions: Partitions<TimedEvent>,
    detail: Detail,
    cap: usize,
    rows: u64,
    limits: &Limits,
) -> Result<Sessions> {
    let writer = SessionsWriter::new(detail, rows, limits);
    group(partitions, writer, &limits.stop, |events| {
        let mut piece = Piece::new(detail);
        piece.add_timed_events(events, cap);
        piece
    })
}

/// The sessions of one partition.
#[derive(Debug)]
struct Piece {
    detail: Detail,
    sessions: u64,
    items: Vec<Ordinal>,
    weights: Vec<f32>,
    marks: Vec<u32>,
    last_ms: Vec<i64>,
    heavy: u64,
    dropped: u64,
}

impl Piece {
    fn new(detail: Detail) -> Self {
        Self {
            detail,
            sessions: 0,
            items: Vec::new(),
            weights: Vec::new(),
            marks: Vec::new(),
            last_ms: Vec::new(),
            heavy: 0,
            dropped: 0,
        }
    }

    fn add_events(&mut self, events: Vec<Event>, cap: usize) {
        let events = sorted(events, |e| e.session, Event::order);
        self.items.reserve(events.len() * 3 / 2);
        for session in events.chunk_by(|a, b| a.session == b.session) {
            let start = self.begin_session();
            // The weights of an item ascend, so the last event of a run has the greatest.
            for run in session.chunk_by(|a, b| a.item == b.item) {
                let last = run[run.len() - 1];
                self.items.push(last.item);
                if self.detail.has_weights {
                    self.weights.push(last.weight);
                }
            }
            if self.items.len() - start > cap {
                let kept = self.sample(session[0].session, self.items[start..].to_vec(), cap);
                let mut at = start;
                for i in start..self.items.len() {
                    if kept.binary_search(&self.items[i]).is_ok() {
                        self.items[at] = self.items[i];
                        if self.detail.has_weights {
                            self.weights[at] = self.weights[i];
                        }
                        at += 1;
                    }
                }
                self.items.truncate(at);
                self.weights.truncate(at);
            }
            self.end_session(start);
        }
    }

    fn add_timed_events(&mut self, events: Vec<TimedEvent>, cap: usize) {
        let events = sorted(events, |e| e.event.session, TimedEvent::order);
        self.items.reserve(events.len() * 3 / 2);
        for session in events.chunk_by(|a, b| a.event.session == b.event.session) {
            let start = self.begin_session();
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
            if self.detail.moments.are_ordered() {
                self.add_ordered(session, &weights);
            } else {
                self.add_distinct(session, &weights);
            }
            self.end_session(start);
        }
    }

    /// Adds the events of a session whose items have a weight, in their order.
    fn add_ordered(&mut self, session: &[TimedEvent], weights: &HashMap<Ordinal, f32>) {
        let mut times: Vec<i64> = Vec::with_capacity(session.len());
        let (mut steps, mut first) = (0, 0);
        for TimedEvent { event, ts_ms } in session {
            let Some(weight) = weights.get(&event.item) else {
                continue;
            };
            self.items.push(event.item);
            if self.detail.has_weights {
                self.weights.push(*weight);
            }
            steps += u32::from(times.last().is_some_and(|last| last != ts_ms));
            times.push(*ts_ms);
            self.marks.push(match self.detail.moments {
                Moments::Window(window_ms) => {
                    first += times[first..].partition_point(|t| ts_ms.abs_diff(*t) > window_ms);
                    first as u32
                }
                _ => steps,
            });
        }
    }

    /// Adds the items of a session that have a weight, and the time of the last event of one.
    fn add_distinct(&mut self, session: &[TimedEvent], weights: &HashMap<Ordinal, f32>) {
        let mut items: Vec<(Ordinal, f32)> = weights.iter().map(|(i, w)| (*i, *w)).collect();
        items.sort_unstable_by_key(|(item, _)| *item);
        self.items.extend(items.iter().map(|(item, _)| *item));
        if self.detail.has_weights {
            self.weights.extend(items.iter().map(|(_, weight)| *weight));
        }
        let mut latest_first = session.iter().rev();
        let last = latest_first.find(|one| weights.contains_key(&one.event.item));
        self.last_ms.extend(last.map(|one| one.ts_ms));
    }

    /// Makes room for a header; returns where the events begin.
    fn begin_session(&mut self) -> usize {
        let end = self.items.len() + 1;
        self.resize(end);
        end
    }

    /// Fills the header of the session whose events begin at `start`, and the room after them.
    fn end_session(&mut self, start: usize) {
        self.items[start - 1] = (self.items.len() - start) as u32;
        self.resize(self.items.len().next_multiple_of(UNIT));
        self.sessions += 1;
    }

    fn resize(&mut self, len: usize) {
        self.items.resize(len, 0);
        if self.detail.has_weights {
            self.weights.resize(len, 0.0);
        }
        if self.detail.moments.are_ordered() {
            self.marks.resize(len, 0);
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
    marks: ColumnWriter<u32>,
    last_ms: ColumnWriter<i64>,
    elements: u64,
    sessions: u64,
    heavy: u64,
    dropped: u64,
}

impl SessionsWriter {
    fn new(detail: Detail, rows: u64, limits: &Limits) -> Self {
        let weights = if detail.has_weights { 4 } else { 0 };
        let marks = if detail.moments.are_ordered() { 4 } else { 0 };
        // A session takes a unit at least, so a time of it is at most so much for each element.
        let last_ms = if detail.moments == Moments::Last {
            8 / UNIT as u64
        } else {
            0
        };
        // Each column gets its part of the bound, and room for the most that sessions of one event would take.
        let share = limits.memory_bytes / 4 / (4 + weights + marks + last_ms);
        let folder = &limits.scratch_dir;
        let most = rows * UNIT as u64;
        Self {
            items: ColumnWriter::new(folder, 4 * share, most),
            weights: ColumnWriter::new(folder, weights * share, most.min(most * weights)),
            marks: ColumnWriter::new(folder, marks * share, most.min(most * marks)),
            last_ms: ColumnWriter::new(folder, last_ms * share, rows.min(rows * last_ms)),
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
        self.marks.extend(&piece.marks)?;
        self.last_ms.extend(&piece.last_ms)
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
            marks: self.marks.finish()?,
            last_ms: self.last_ms.finish()?,
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
    stop: &Stop,
    make: impl Fn(Vec<R>) -> Piece + Sync,
) -> Result<Sessions> {
    let (partitions, spill) = partitions.into_parts();
    let load = |partition: Partition<R>| Ok(make(partition.load(spill.as_ref())?));
    let wave = 2 * rayon::current_num_threads();
    let mut rest = partitions.into_iter();
    let mut done: Vec<Piece> = Vec::new();
    loop {
        stop.check()?;
        let next: Vec<Partition<R>> = rest.by_ref().take(wave).collect();
        let is_last = next.is_empty();
        let (made, added) = rayon::join(
            || {
                next.into_par_iter()
                    .map(load)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The sessions of events of one session: items, and Unix milliseconds in order.
    fn sessions(events: &[(Ordinal, i64)], moments: Moments, cap: usize) -> Sessions {
        let limits = Limits {
            memory_bytes: 1 << 20,
            scratch_dir: std::env::temp_dir(),
            threads: 1,
            stop: Stop::default(),
        };
        let mut rows = Partitions::new(&limits);
        for &(item, ts_ms) in events {
            let event = Event {
                session: 1,
                item,
                weight: 1.0,
            };
            rows.push(1, TimedEvent { event, ts_ms }).unwrap();
        }
        let detail = Detail {
            has_weights: false,
            moments,
        };
        group_timed_events(rows, detail, cap, events.len() as u64, &limits).unwrap()
    }

    const EVENTS: [(Ordinal, i64); 6] = [(4, 0), (2, 10), (3, 10), (4, 25), (2, 26), (9, 90)];

    #[test]
    fn events_are_in_order_of_time_with_their_steps_or_where_their_windows_begin() {
        for (moments, marks) in [
            (Moments::Steps, [0, 1, 1, 2, 3, 4]),
            (Moments::Window(0), [0, 1, 1, 3, 4, 5]),
            (Moments::Window(15), [0, 0, 0, 1, 3, 5]),
            (Moments::Window(u64::MAX), [0; 6]),
        ] {
            let made = sessions(&EVENTS, moments, 10);
            let session = made.view().session(0);
            assert_eq!(session.items, [4, 2, 3, 4, 2, 9]);
            assert_eq!(session.marks, marks, "{moments:?}");
        }
    }

    #[test]
    fn one_time_of_a_session_is_that_of_the_last_item_that_it_keeps() {
        let made = sessions(&EVENTS, Moments::Last, 10);
        assert_eq!(made.view().items(0), [2, 3, 4, 9]);
        assert_eq!(made.last_ms(), [90]);
        let (header, padding) = (4, 12);
        assert_eq!(made.bytes(), header + 4 * 4 + padding + 8);
        let capped = sessions(&EVENTS, Moments::Last, 3);
        let kept = capped.view().items(0);
        let last = EVENTS.iter().rev().find(|(item, _)| kept.contains(item));
        assert_eq!(capped.last_ms(), [last.unwrap().1]);
    }
}
