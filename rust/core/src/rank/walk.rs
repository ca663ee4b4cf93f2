//! [`Walk`]: candidates in final order, with long lists pulled only as far as they can still matter.
//!
//! This is the threshold algorithm (Fagin, Lotem and Naor, PODS 2001): an item that no stream has given yet cannot
//! score more than the next values of all streams together, so as long as the best candidate at hand is above that
//! bound it is the best of all. The result is that of scoring and sorting everything.
//!
//! A boost would raise that bound for every item, however few it multiplies. So the boosted items of a long list are
//! also read by themselves, in the list's order, and the bound is that of the boosted or that of the others.

use std::collections::BinaryHeap;

use super::order::{Ordered, Placed};
use super::scorer::Scorer;
use super::stream::{Class, Stream};
use super::table::Table;
use crate::Ordinal;
use crate::catalog::Catalog;
use crate::error::Result;

/// Candidates that are sorted and looked up at first beside those that are wanted, for those that may not be shown.
const SPARE: usize = 6;
/// Most of them, and fewest.
const AHEAD: std::ops::RangeInclusive<usize> = 16..=512;
/// How many items of a stream are looked up at once, on a long walk.
const LOOKED_UP: usize = 128;

/// Every candidate of every source, one after the other in final order.
#[derive(Debug)]
pub struct Walk<'p> {
    /// The candidates that were there before the walk.
    at_hand: Ordered,
    /// Whether what the request may say of tags is read from the items.
    reads_tags: bool,
    /// Candidates that the walk has come upon.
    heap: BinaryHeap<Placed>,
    streams: Vec<Stream<'p>>,
    /// Items that the streams gave.
    n_pulled: usize,
}

impl<'p> Walk<'p> {
    /// Completes the candidates at hand with what the streams say of them, scores them, and makes ready to walk. With
    /// `allowed`, only those items can ever be shown, so the streams are asked for them and not read. Most requests walk
    /// as far as some more than `wanted`.
    pub fn new(
        scorer: &Scorer<'p>,
        table: &mut Table,
        streams: Vec<Stream<'p>>,
        allowed: Option<&[Ordinal]>,
        reads_tags: bool,
        wanted: usize,
    ) -> Result<Self> {
        for stream in &streams {
            for position in 0..table.len() {
                if let Some(raw) = stream.value(table.ordinal(position))? {
                    table.add(position, stream.source, raw);
                }
            }
        }
        for item in allowed.into_iter().flatten() {
            if table.find(*item).is_none() && knows(&streams, *item)? {
                let (position, _) = table.enter(*item);
                complete(table, position, &streams, None)?;
            }
        }
        let streams = if allowed.is_some() {
            Vec::new()
        } else {
            streams
        };
        let n_ahead = wanted
            .saturating_add(SPARE)
            .clamp(*AHEAD.start(), *AHEAD.end());
        let mut walk = Self {
            at_hand: Ordered::new(scorer.scores(table), n_ahead),
            reads_tags,
            heap: BinaryHeap::new(),
            streams,
            n_pulled: 0,
        };
        walk.advance(&scorer.plan.catalog, table);
        Ok(walk)
    }

    /// The position in `table` of the next candidate, and its score.
    pub fn next(&mut self, scorer: &Scorer<'p>, table: &mut Table) -> Result<Option<(usize, f64)>> {
        self.advance(&scorer.plan.catalog, table);
        let has_boosts = scorer.plan.has_boosts();
        while !self.streams.iter().all(Stream::is_finished) {
            let mut class = Class::Plain;
            let mut bound = scorer.bound(&self.streams, class);
            if has_boosts {
                let boosted = scorer.bound(&self.streams, Class::Boosted);
                if boosted > bound {
                    (class, bound) = (Class::Boosted, boosted);
                }
            }
            if self.best().is_some_and(|best| best.is_above(bound)) {
                break;
            }
            self.pull(scorer, table, class)?;
        }
        // What a stream gave meanwhile may be better than what was there before.
        let next = if self.heap.peek() > self.at_hand.peek() {
            self.heap.pop()
        } else {
            self.at_hand.pop()
        };
        Ok(next.map(|ranked| (ranked.position(), ranked.score())))
    }

    fn best(&self) -> Option<Placed> {
        self.at_hand.peek().max(self.heap.peek()).copied()
    }

    /// Has the next candidates at hand sorted, and asks for what will be read of them: first for where it is, which takes
    /// about as long as to sort them.
    fn advance(&mut self, catalog: &Catalog, table: &Table) {
        let reads_tags = self.reads_tags;
        let is_new = self.at_hand.advance(table, |unsorted| {
            for placed in unsorted {
                catalog.prefetch_rows(placed.ordinal(), reads_tags);
            }
        });
        if is_new {
            for item in self.at_hand.coming() {
                catalog.prefetch_values(item, reads_tags);
            }
        }
    }

    /// How many items the streams gave.
    pub fn n_pulled(&self) -> usize {
        self.n_pulled
    }

    /// Makes candidates of those of `allowed` that the streams know, and reads the streams no further: nothing else of
    /// them can be shown.
    pub fn restrict(
        &mut self,
        scorer: &Scorer<'p>,
        table: &mut Table,
        allowed: &[Ordinal],
    ) -> Result<()> {
        for item in allowed {
            if table.find(*item).is_none() && self.knows(*item)? {
                self.draw(scorer, table, *item)?;
            }
        }
        self.streams.clear();
        Ok(())
    }

    /// Whether a stream that has not been read to its end knows `item`.
    pub fn knows(&self, item: Ordinal) -> Result<bool> {
        knows(&self.streams, item)
    }

    /// Makes `item`, which a stream knows, a candidate at once; gives its position.
    pub fn draw(&mut self, scorer: &Scorer<'p>, table: &mut Table, item: Ordinal) -> Result<usize> {
        let (position, is_new) = table.enter(item);
        if is_new {
            complete(table, position, &self.streams, None)?;
            self.heap
                .push(Placed::new(scorer.score(table, position), item, position));
        }
        Ok(position)
    }

    /// Makes the next item of a class a candidate, from the stream where that adds most.
    fn pull(&mut self, scorer: &Scorer<'p>, table: &mut Table, class: Class) -> Result<()> {
        let streams = self.streams.iter().enumerate();
        let reaches = streams.filter_map(|(i, stream)| Some((i, scorer.reach(stream, class)?)));
        let Some((i, _)) = reaches.max_by(|a, b| a.1.total_cmp(&b.1)) else {
            return Ok(());
        };
        let stream = &mut self.streams[i];
        let source = stream.source;
        let Some((item, raw)) = class.next(stream).copied() else {
            return Ok(());
        };
        match class {
            Class::Plain => stream.advance()?,
            Class::Boosted => stream.advance_boosted()?,
        }
        self.n_pulled += 1;
        // A walk that has come this far goes on for a while.
        if self.n_pulled.is_multiple_of(LOOKED_UP) {
            let (catalog, coming) = (&scorer.plan.catalog, stream.coming(LOOKED_UP));
            for item in coming.clone() {
                catalog.prefetch_rows(item, self.reads_tags);
            }
            for item in coming {
                catalog.prefetch_values(item, self.reads_tags);
            }
        }
        let (position, is_new) = table.enter(item);
        if is_new {
            table.add(position, source, raw);
            complete(table, position, &self.streams, Some(source))?;
            let score = scorer.score(table, position);
            self.heap.push(Placed::new(score, item, position));
        }
        Ok(())
    }
}

fn knows(streams: &[Stream<'_>], item: Ordinal) -> Result<bool> {
    for stream in streams {
        if stream.value(item)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Adds what the streams say of a candidate; the one of the source `except` has been heard already.
fn complete(
    table: &mut Table,
    position: usize,
    streams: &[Stream<'_>],
    except: Option<usize>,
) -> Result<()> {
    for stream in streams.iter().filter(|s| Some(s.source) != except) {
        if let Some(raw) = stream.value(table.ordinal(position))? {
            table.add(position, stream.source, raw);
        }
    }
    Ok(())
}
