//! [`Table`]: the candidates of one request and what each source says of them; [`gather`] fills it from short lists.

use super::plan::{Normalizer, Plan, Source};
use super::sets::spread;
use super::stream::{STREAM_OVER, Stream};
use crate::error::Result;
use crate::signal::{KeyType, List, Scores};
use crate::{NONE, Ordinal};

const EMPTY: u64 = u64::MAX;

/// Candidates by position, found by ordinal through an open-addressing table that stays in the near caches.
#[derive(Debug, Default)]
pub struct Table {
    /// Ordinal in the upper half, position in the lower.
    slots: Vec<u64>,
    ordinals: Vec<Ordinal>,
    found_by: Vec<u32>,
    /// `raws[position * n_sources + source]`.
    raws: Vec<f64>,
    n_sources: usize,
}

impl Table {
    fn reset(&mut self, n_sources: usize, expected: usize) {
        self.slots.clear();
        self.slots
            .resize((expected * 2).next_power_of_two().max(64), EMPTY);
        self.ordinals.clear();
        self.ordinals.reserve(expected);
        self.found_by.clear();
        self.found_by.reserve(expected);
        self.raws.clear();
        self.raws.reserve(expected * n_sources);
        self.n_sources = n_sources;
    }

    /// How many candidates there are.
    pub fn len(&self) -> usize {
        self.ordinals.len()
    }

    /// The candidate at `position`.
    pub fn ordinal(&self, position: usize) -> Ordinal {
        self.ordinals[position]
    }

    /// The sources that found the candidate, a bit each.
    pub fn found_by(&self, position: usize) -> u32 {
        self.found_by[position]
    }

    /// What `source` says of the candidate; 0 if it did not find it.
    #[inline]
    pub fn raw(&self, position: usize, source: usize) -> f64 {
        self.raws[position * self.n_sources + source]
    }

    /// The position of `item`, if it is a candidate.
    pub fn find(&self, item: Ordinal) -> Option<usize> {
        let entry = self.slots[self.slot(item)];
        (entry != EMPTY).then_some(entry as u32 as usize)
    }

    /// The position of `item`, which becomes a candidate if it is not one; and whether it became one.
    #[inline]
    pub fn enter(&mut self, item: Ordinal) -> (usize, bool) {
        let slot = self.slot(item);
        let entry = self.slots[slot];
        if entry != EMPTY {
            return (entry as u32 as usize, false);
        }
        let position = self.ordinals.len();
        self.slots[slot] = u64::from(item) << 32 | position as u64;
        self.ordinals.push(item);
        self.found_by.push(0);
        self.raws.extend(std::iter::repeat_n(0.0, self.n_sources));
        if self.ordinals.len() * 2 > self.slots.len() {
            self.grow();
        }
        (position, true)
    }

    /// Adds to what `source` says of the candidate.
    #[inline]
    pub fn add(&mut self, position: usize, source: usize, raw: f64) {
        self.raws[position * self.n_sources + source] += raw;
        self.found_by[position] |= 1 << source;
    }

    fn grow(&mut self) {
        let size = self.slots.len() * 4;
        self.slots.clear();
        self.slots.resize(size, EMPTY);
        for position in 0..self.ordinals.len() {
            let item = self.ordinals[position];
            let slot = self.slot(item);
            self.slots[slot] = u64::from(item) << 32 | position as u64;
        }
    }

    #[inline]
    fn slot(&self, item: Ordinal) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = spread(item) & mask;
        while self.slots[slot] != EMPTY && (self.slots[slot] >> 32) as u32 != item {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

/// Who the request is about, resolved.
#[derive(Debug)]
pub struct Subject<'r> {
    /// Distinct anchors in order, [`NONE`] for one that the catalog does not know.
    pub anchors: &'r [Ordinal],
    /// Key into user-keyed signals.
    pub user: Option<&'r str>,
}

/// What came of gathering: the lists too long to scan, and per source the keys asked and found.
#[derive(Debug)]
pub struct Gathered<'p> {
    /// Sources whose list is pulled item by item.
    pub streams: Vec<Stream<'p>>,
    /// Per source: keys asked for, keys found.
    pub source_keys: Vec<(usize, usize)>,
}

/// Fills `table` from every source with a positive weight.
pub fn gather<'p>(
    plan: &'p Plan,
    weights: &[f64],
    subject: &Subject<'_>,
    table: &mut Table,
) -> Result<Gathered<'p>> {
    let mut lists: Vec<(usize, f64, List<'p>)> =
        Vec::with_capacity(subject.anchors.len() + plan.sources.len());
    let mut streams = Vec::new();
    let mut source_keys = vec![(0, 0); plan.sources.len()];
    for (s, source) in plan
        .sources
        .iter()
        .enumerate()
        .filter(|(s, _)| weights[*s] > 0.0)
    {
        if source.signal.key_type() == KeyType::Item {
            let before = lists.len();
            let mut factor = 1.0;
            for anchor in subject.anchors {
                if *anchor != NONE {
                    let list = source.signal.list(*anchor)?;
                    if !list.is_empty() {
                        lists.push((s, factor, list));
                    }
                }
                factor *= plan.anchor_decay;
            }
            source_keys[s] = (subject.anchors.len(), lists.len() - before);
            continue;
        }
        let asked = source.signal.key_type() == KeyType::Segment || subject.user.is_some();
        let key = fixed_key(plan, s, source, subject)?;
        source_keys[s] = (usize::from(asked), usize::from(key.is_some()));
        let Some(key) = key else { continue };
        let list = source.signal.list(key)?;
        match source.signal.by_item(key)? {
            Some(by_item) if list.len() > STREAM_OVER => {
                streams.push(Stream::new(s, list, by_item)?)
            }
            _ => lists.push((s, 1.0, list)),
        }
    }

    table.reset(
        plan.sources.len(),
        lists.iter().map(|(.., list)| list.len()).sum(),
    );
    // All lists are read once, in order, before any of them is looked at item by item: their cache misses overlap.
    for (.., list) in &lists {
        list.check()?;
    }
    for (s, factor, list) in &lists {
        match list.scores() {
            Scores::F32(scores) => {
                scan(
                    table,
                    *s,
                    *factor,
                    list.items(),
                    scores.iter().copied().map(f64::from),
                );
            }
            Scores::F64(scores) => scan(table, *s, *factor, list.items(), scores.iter().copied()),
        }
    }
    Ok(Gathered {
        streams,
        source_keys,
    })
}

/// Adds a checked list to what its source says.
#[inline]
fn scan(
    table: &mut Table,
    source: usize,
    factor: f64,
    items: &[Ordinal],
    scores: impl Iterator<Item = f64>,
) {
    for (item, score) in items.iter().zip(scores) {
        let (position, _) = table.enter(*item);
        table.add(position, source, factor * score);
    }
}

/// The largest raw value of each source that is normalised by it.
pub fn maxima(plan: &Plan, table: &Table, streams: &[Stream<'_>]) -> Vec<f64> {
    let largest = |(s, source): (usize, &Source)| {
        if source.normalizer != Normalizer::Max {
            return 0.0;
        }
        let streamed = streams
            .iter()
            .filter(|stream| stream.source == s)
            .map(Stream::first);
        let scanned = (0..table.len())
            .filter(|p| table.found_by(*p) >> s & 1 == 1)
            .map(|p| table.raw(p, s));
        streamed.chain(scanned).fold(0.0, f64::max)
    };
    plan.sources.iter().enumerate().map(largest).collect()
}

fn fixed_key(plan: &Plan, s: usize, source: &Source, subject: &Subject<'_>) -> Result<Option<u32>> {
    match (source.signal.key_type(), subject.user) {
        (KeyType::Segment, _) => Ok(plan.segment_keys[s]),
        (KeyType::User, Some(user)) => source.signal.key(user),
        _ => Ok(None),
    }
}
