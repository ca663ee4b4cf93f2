//! [`Walk`]: candidates in final order, with long lists pulled only as far as they can still matter.
//!
//! This is the threshold algorithm (Fagin, Lotem and Naor, PODS 2001): an item that no stream has given yet cannot
//! score more than the next values of all streams together, so as long as the best candidate at hand is above that
//! bound it is the best of all. The result is that of scoring and sorting everything.
//!
//! A boost would raise that bound for every item, however few it multiplies. So the boosted items of a long list are
//! also read by themselves, in the list's order, and the bound is that of the boosted or that of the others.

use std::collections::BinaryHeap;

use super::scorer::Scorer;
use super::stream::{Class, Stream};
use super::table::Table;
use crate::Ordinal;
use crate::error::Result;

/// A candidate in the heap: best score first, then lowest ordinal. Sixteen bytes, compared as two integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    key: i64,
    /// The complement of the ordinal, then the position.
    rest: u64,
}

impl Ranked {
    fn new(score: f64, ordinal: Ordinal, position: usize) -> Self {
        Self {
            key: total_order(score),
            rest: u64::from(!ordinal) << 32 | position as u64,
        }
    }

    fn position(self) -> usize {
        self.rest as u32 as usize
    }

    fn ordinal(self) -> Ordinal {
        !((self.rest >> 32) as u32)
    }
}

/// An integer that compares as `f64::total_cmp` does.
fn total_order(score: f64) -> i64 {
    let bits = score.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// How many candidates are sorted, and looked up in the catalog, at first; more each time that they are used up.
const AHEAD: usize = 32;
/// How many items of a stream are looked up at once, on a long walk.
const LOOKED_UP: usize = 128;

/// Every candidate of every source, one after the other in final order.
#[derive(Debug)]
pub struct Walk<'p> {
    /// The best of the candidates that were there before the walk, worst first.
    ahead: Vec<Ranked>,
    /// The others of them, in no order.
    rest: Vec<Ranked>,
    /// How many to sort next.
    n_ahead: usize,
    /// Candidates that the walk has come upon.
    heap: BinaryHeap<Ranked>,
    streams: Vec<Stream<'p>>,
    /// Items that the streams gave.
    n_pulled: usize,
}

impl<'p> Walk<'p> {
    /// Completes the candidates at hand with what the streams say of them, scores them, and makes ready to walk. With
    /// `allowed`, only those items can ever be shown, so the streams are asked for them and not read.
    pub fn new(
        scorer: &Scorer<'p>,
        table: &mut Table,
        streams: Vec<Stream<'p>>,
        allowed: Option<&[Ordinal]>,
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
        let scores = scorer.scores(table);
        let ranked = |p| Ranked::new(scores[p], table.ordinal(p), p);
        Ok(Self {
            ahead: Vec::with_capacity(AHEAD),
            rest: (0..table.len()).map(ranked).collect(),
            n_ahead: AHEAD,
            heap: BinaryHeap::new(),
            streams,
            n_pulled: 0,
        })
    }

    /// The position in `table` of the next candidate.
    pub fn next(&mut self, scorer: &Scorer<'p>, table: &mut Table) -> Result<Option<usize>> {
        if self.ahead.is_empty() && !self.rest.is_empty() {
            self.look_ahead(scorer);
        }
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
            let bound = total_order(bound);
            if self.best().is_some_and(|best| best.key > bound) {
                break;
            }
            self.pull(scorer, table, class)?;
        }
        // What a stream gave meanwhile may be better than what was there before.
        let next = if self.heap.peek() > self.ahead.last() {
            self.heap.pop()
        } else {
            self.ahead.pop()
        };
        Ok(next.map(Ranked::position))
    }

    fn best(&self) -> Option<Ranked> {
        self.ahead.last().max(self.heap.peek()).copied()
    }

    /// Sorts the next of the candidates, and has the catalog bring what will be asked of them into the caches.
    fn look_ahead(&mut self, scorer: &Scorer<'p>) {
        let left = self.rest.len().saturating_sub(self.n_ahead);
        if left > 0 {
            self.rest.select_nth_unstable(left);
        }
        self.ahead.extend(self.rest.drain(left..));
        self.ahead.sort_unstable();
        self.n_ahead *= 2;
        if self.ahead.len() >= AHEAD / 4 {
            let items = self.ahead.iter().map(|ranked| ranked.ordinal());
            scorer.plan.catalog.touch(items.clone());
            scorer.plan.catalog.touch_texts(items);
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
                .push(Ranked::new(scorer.score(table, position), item, position));
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
            scorer.plan.catalog.touch(stream.coming(LOOKED_UP));
        }
        let (position, is_new) = table.enter(item);
        if is_new {
            table.add(position, source, raw);
            complete(table, position, &self.streams, Some(source))?;
            let score = scorer.score(table, position);
            self.heap.push(Ranked::new(score, item, position));
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_integer_order_is_that_of_total_cmp(a in any::<f64>(), b in any::<f64>()) {
            prop_assert_eq!(total_order(a).cmp(&total_order(b)), a.total_cmp(&b));
        }
    }
}
