//! [`gather`]: the keys of a request become lists, the short ones candidates, the long ones streams; past sessions like
//! the current one give candidates too.

use super::plan::{Normalizer, Origin, Plan, Source};
use super::sessions::Neighbours;
use super::stream::{STREAM_OVER, Stream};
use super::table::Table;
use crate::error::Result;
use crate::signal::{KeyType, List, Scores, Signal};
use crate::{NONE, Ordinal};

/// Lists that are asked for ahead of the one that is added up.
const LISTS_AHEAD: usize = 2;

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
    neighbours: &mut Neighbours,
) -> Result<Gathered<'p>> {
    let mut lists: Vec<(usize, f64, List<'p>)> =
        Vec::with_capacity(subject.anchors.len() + plan.sources.len());
    let mut streams = Vec::new();
    let mut source_keys = vec![(0, 0); plan.sources.len()];
    let mut searches = Vec::new();
    neighbours.clear();
    for (s, source) in plan
        .sources
        .iter()
        .enumerate()
        .filter(|(s, _)| weights[*s] > 0.0)
    {
        let signal = match &source.origin {
            Origin::Lists(signal) => signal,
            Origin::Sessions(index, neighbourhood) => {
                let search = neighbours.search(index, *neighbourhood, subject.anchors)?;
                source_keys[s] = search.keys;
                searches.push((s, search));
                continue;
            }
        };
        if signal.key_type() == KeyType::Item {
            let before = lists.len();
            let mut factor = 1.0;
            for anchor in subject.anchors {
                if *anchor != NONE {
                    let list = signal.list(*anchor)?;
                    if !list.is_empty() {
                        lists.push((s, factor, list));
                    }
                }
                factor *= plan.anchor_decay;
            }
            source_keys[s] = (subject.anchors.len(), lists.len() - before);
            continue;
        }
        let asked = signal.key_type() == KeyType::Segment || subject.user.is_some();
        let key = fixed_key(plan, s, signal, subject)?;
        source_keys[s] = (usize::from(asked), usize::from(key.is_some()));
        let Some(key) = key else { continue };
        let list = signal.list(key)?;
        match signal.by_item(key)? {
            Some(by_item) if list.len() > STREAM_OVER => {
                streams.push(Stream::new(s, list, by_item, plan.boosted_ranks(s))?)
            }
            _ => lists.push((s, 1.0, list)),
        }
    }

    table.reset(
        plan.sources.len(),
        lists.iter().map(|(.., list)| list.len()).sum::<usize>()
            + searches
                .iter()
                // Sessions that are alike have items in common.
                .map(|(_, search)| search.entries / 2)
                .sum::<usize>(),
    );
    // Lists are all over the file, and the processor waits for a few dozen cache lines at once and no more: so the lines
    // of a list are asked for while those before it are added up.
    for (.., list) in lists.iter().take(LISTS_AHEAD) {
        list.prefetch(usize::MAX);
    }
    for (i, (s, factor, list)) in lists.iter().enumerate() {
        if let Some((.., coming)) = lists.get(i + LISTS_AHEAD) {
            coming.prefetch(usize::MAX);
        }
        list.check()?;
        let mut adder = table.adder(*s, list.len());
        match list.scores() {
            Scores::F32(scores) => {
                for (item, score) in list.items().iter().zip(scores) {
                    adder.add(*item, factor * f64::from(*score));
                }
            }
            Scores::F64(scores) => {
                for (item, score) in list.items().iter().zip(scores) {
                    adder.add(*item, factor * score);
                }
            }
        }
        adder.finish();
    }
    for (s, search) in &searches {
        neighbours.vote(search, *s, subject.anchors, table)?;
    }
    Ok(Gathered {
        streams,
        source_keys,
    })
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

fn fixed_key(plan: &Plan, s: usize, signal: &Signal, subject: &Subject<'_>) -> Result<Option<u32>> {
    match (signal.key_type(), subject.user) {
        (KeyType::Segment, _) => Ok(plan.segment_keys[s]),
        (KeyType::User, Some(user)) => signal.key(user),
        _ => Ok(None),
    }
}
