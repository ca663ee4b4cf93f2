//! [`Walk`]: candidates in final order, with long lists pulled only as far as they can still matter.
//!
//! This is the threshold algorithm (Fagin, Lotem and Naor, PODS 2001): an item that no stream has given yet cannot
//! score more than the next values of all streams together, so as long as the best candidate at hand is above that
//! bound it is the best of all. The result is that of scoring and sorting everything.

use std::collections::BinaryHeap;

use super::plan::Plan;
use super::table::Table;
use crate::Ordinal;
use crate::error::Result;
use crate::signal::{ByItem, List};

/// A list longer than this is streamed if it can be asked by item; a shorter one is cheaper to scan.
pub const STREAM_OVER: usize = 512;

/// One long list: read in order, and asked for single items.
#[derive(Debug)]
pub struct Stream<'p> {
    /// The source it belongs to.
    pub source: usize,
    list: List<'p>,
    by_item: ByItem<'p>,
    position: usize,
    first: f64,
    /// The next entry, if there is one.
    next: Option<(Ordinal, f64)>,
}

impl<'p> Stream<'p> {
    /// A stream at the start of `list`.
    pub fn new(source: usize, list: List<'p>, by_item: ByItem<'p>) -> Result<Self> {
        let mut stream = Self {
            source,
            list,
            by_item,
            position: 0,
            first: 0.0,
            next: None,
        };
        stream.advance()?;
        stream.first = stream.next.map_or(0.0, |(_, raw)| raw);
        Ok(stream)
    }

    /// Its largest value.
    pub fn first(&self) -> f64 {
        self.first
    }

    /// What the list says of `item`.
    pub fn value(&self, item: Ordinal) -> Result<Option<f64>> {
        self.by_item.score(item)
    }

    fn advance(&mut self) -> Result<()> {
        self.next = if self.position < self.list.len() {
            Some(self.list.get(self.position)?)
        } else {
            None
        };
        self.position += 1;
        Ok(())
    }
}

/// Gives candidates their scores.
#[derive(Debug)]
pub struct Scorer<'p> {
    /// The plan.
    pub plan: &'p Plan,
    /// The weight of each source in this request.
    pub weights: Vec<f64>,
    /// The largest raw value of each source that is normalised by it.
    pub maxima: Vec<f64>,
}

impl Scorer<'_> {
    /// The score of every candidate, by position; each the same as [`Scorer::score`] gives.
    fn scores(&self, table: &Table) -> Vec<f64> {
        let mut scores = table.sums(self.plan, &self.weights, &self.maxima);
        for (_, items, factor) in &self.plan.rules.boosts {
            for (score, item) in scores.iter_mut().zip(table.ordinals()) {
                if items.contains(*item) {
                    *score *= factor;
                }
            }
        }
        for score in &mut scores {
            *score += 0.0;
        }
        scores
    }

    /// Weighted sum of the normalised values, in source order, times the matching boosts, in rule order.
    pub fn score(&self, table: &Table, position: usize) -> f64 {
        let found_by = table.found_by(position);
        let mut score = 0.0;
        for (s, source) in self.plan.sources.iter().enumerate() {
            if found_by >> s & 1 == 1 {
                score += self.weights[s]
                    * source
                        .normalizer
                        .apply(table.raw(position, s), self.maxima[s]);
            }
        }
        let item = table.ordinal(position);
        for (_, items, factor) in &self.plan.rules.boosts {
            if items.contains(item) {
                score *= factor;
            }
        }
        // Minus zero would sort below zero and print as another number.
        score + 0.0
    }

    /// No less than the score of any item that the streams have not given yet and no scanned list has.
    fn bound(&self, streams: &[Stream<'_>]) -> f64 {
        let mut bound = 0.0;
        for (s, source) in self.plan.sources.iter().enumerate() {
            if let Some((_, raw)) = streams
                .iter()
                .find(|stream| stream.source == s)
                .and_then(|stream| stream.next)
            {
                bound += (self.weights[s] * source.normalizer.apply(raw, self.maxima[s])).max(0.0);
            }
        }
        let boosts = self.plan.rules.boosts.iter();
        let boosted = boosts.fold(bound, |bound, (.., factor)| bound * factor.max(1.0));
        // Rounding may put a normalised value a step above that of a larger raw value.
        boosted * (1.0 + 8.0 * f64::EPSILON)
    }
}

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

/// How many candidates are looked up in the catalog at once, ahead of the walk.
const AHEAD: usize = 32;

/// Every candidate of every source, one after the other in final order.
#[derive(Debug)]
pub struct Walk<'p> {
    /// The best of those that were there when it was last filled, worst first.
    ahead: Vec<Ranked>,
    heap: BinaryHeap<Ranked>,
    streams: Vec<Stream<'p>>,
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
        if !streams.is_empty() {
            for position in 0..table.len() {
                complete(table, position, &streams)?;
            }
        }
        for item in allowed.into_iter().flatten() {
            if table.find(*item).is_none() && knows(&streams, *item)? {
                let (position, _) = table.enter(*item);
                complete(table, position, &streams)?;
            }
        }
        let streams = if allowed.is_some() {
            Vec::new()
        } else {
            streams
        };
        let scores = scorer.scores(table);
        let ranked = |p| Ranked::new(scores[p], table.ordinal(p), p);
        let heap: Vec<Ranked> = (0..table.len()).map(ranked).collect();
        Ok(Self {
            ahead: Vec::with_capacity(AHEAD),
            heap: heap.into(),
            streams,
        })
    }

    /// The position in `table` of the next candidate.
    pub fn next(&mut self, scorer: &Scorer<'p>, table: &mut Table) -> Result<Option<usize>> {
        while let Some(stream) = self.longest_reach(scorer) {
            let bound = total_order(scorer.bound(&self.streams));
            if self.best().is_some_and(|best| best.key > bound) {
                break;
            }
            if let Some((item, _)) = self.streams[stream].next {
                self.streams[stream].advance()?;
                let (position, is_new) = table.enter(item);
                if is_new {
                    complete(table, position, &self.streams)?;
                    self.heap
                        .push(Ranked::new(scorer.score(table, position), item, position));
                }
            }
        }
        if self.ahead.is_empty() {
            self.look_ahead(scorer);
        }
        // What a stream gave meanwhile may be better than what was looked up ahead.
        let next = match (self.ahead.last(), self.heap.peek()) {
            (Some(ahead), Some(best)) if best > ahead => self.heap.pop(),
            _ => self.ahead.pop(),
        };
        Ok(next.map(Ranked::position))
    }

    fn best(&self) -> Option<Ranked> {
        self.ahead.last().max(self.heap.peek()).copied()
    }

    /// Takes the next candidates off the heap, and has the catalog bring what will be asked of them into the caches.
    fn look_ahead(&mut self, scorer: &Scorer<'p>) {
        while self.ahead.len() < AHEAD
            && let Some(best) = self.heap.pop()
        {
            self.ahead.push(best);
        }
        let items = self.ahead.iter().map(|ranked| ranked.ordinal());
        scorer.plan.catalog.touch(items);
        self.ahead.reverse();
    }

    /// Whether a stream that has not been read to its end knows `item`.
    pub fn knows(&self, item: Ordinal) -> Result<bool> {
        knows(&self.streams, item)
    }

    /// Makes `item`, which a stream knows, a candidate at once; gives its position.
    pub fn draw(&mut self, scorer: &Scorer<'p>, table: &mut Table, item: Ordinal) -> Result<usize> {
        let (position, is_new) = table.enter(item);
        if is_new {
            complete(table, position, &self.streams)?;
            self.heap
                .push(Ranked::new(scorer.score(table, position), item, position));
        }
        Ok(position)
    }

    /// The unfinished stream whose next item adds most.
    fn longest_reach(&self, scorer: &Scorer<'p>) -> Option<usize> {
        let reach = |stream: &Stream<'p>| {
            let s = stream.source;
            let normalizer = scorer.plan.sources[s].normalizer;
            stream
                .next
                .map(|(_, raw)| scorer.weights[s] * normalizer.apply(raw, scorer.maxima[s]))
        };
        let reaches = self
            .streams
            .iter()
            .enumerate()
            .filter_map(|(i, stream)| Some((i, reach(stream)?)));
        reaches.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i)
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

fn complete(table: &mut Table, position: usize, streams: &[Stream<'_>]) -> Result<()> {
    for stream in streams {
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
