//! [`Neighbours`]: past sessions like the current one, and the items that they speak for.
//!
//! VMIS-kNN (Kersbergen, Sprangers and Schelter, SIGMOD 2022) after VS-kNN (Ludewig and Jannach, UMUAI 2018). As sessions
//! are numbered by recency, the lists of the current session's items are merged like sorted lists of numbers, and the
//! merge ends at the m-th distinct session: those are the m latest that share an item, so there is no heap of times.
//! Similarities and votes are whole numbers until the last step, so that no order of summing can reach a score.

use super::table::Table;
use crate::error::{Error, Result};
use crate::sessions::SessionIndex;
use crate::{NONE, Ordinal};

/// Most items of the current session that count: an older one would match with weight 0.
pub const MAX_LAST_ITEMS: usize = 9;
/// Most recent sessions, and most neighbours.
const MAX_SESSIONS: usize = 100_000;
/// Neighbours whose items are asked for ahead of the one that votes.
const SESSIONS_AHEAD: usize = 8;
/// The largest similarity, in parts: that of a session which shares all of [`MAX_LAST_ITEMS`].
const MAX_SIMILARITY: usize = MAX_LAST_ITEMS * (MAX_LAST_ITEMS + 1) / 2;

/// Which past sessions are neighbours of the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbourhood {
    /// The latest past sessions that share an item with the current one: so many are looked at (m).
    pub recent_sessions: usize,
    /// The most similar of those are neighbours (k).
    pub neighbors: usize,
    /// So many of the latest items are the current session, 1 to 9.
    pub last_items: usize,
}

impl Neighbourhood {
    /// Refuses numbers out of range; `source` is for messages.
    pub fn check(&self, source: &str) -> Result<()> {
        for (name, value, most) in [
            ("recent_sessions", self.recent_sessions, MAX_SESSIONS),
            ("neighbors", self.neighbors, MAX_SESSIONS),
            ("last_items", self.last_items, MAX_LAST_ITEMS),
        ] {
            if !(1..=most).contains(&value) {
                return Err(Error::Plan(format!(
                    "source {source}: {name}: {value} is not in 1..{most}"
                )));
            }
        }
        Ok(())
    }
}

/// One search: where its neighbours are, and what came of its keys.
#[derive(Debug)]
pub struct Search<'p> {
    index: &'p SessionIndex,
    neighbours: std::ops::Range<usize>,
    /// Items of the current session that count.
    length: usize,
    /// Items asked for, items that some session has.
    pub keys: (usize, usize),
    /// Items of all neighbours together.
    pub entries: usize,
}

/// A past session that shares an item with the current one.
#[derive(Clone, Copy, Debug)]
struct Match {
    session: u32,
    /// Sum over the shared items of (length - position), position counted from the latest item, 0.
    similarity: u8,
    /// Position of the latest shared item.
    position: u8,
}

/// The sessions of one request; keeps its memory for the next one.
#[derive(Debug, Default)]
pub struct Neighbours {
    matches: Vec<Match>,
    /// The neighbours of all searches.
    chosen: Vec<Match>,
}

impl Neighbours {
    /// Forgets the searches of the request before.
    pub fn clear(&mut self) {
        self.chosen.clear();
    }

    /// Finds the neighbours of the session of `anchors`, latest first, [`NONE`] for one that the catalog does not know.
    pub fn search<'p>(
        &mut self,
        index: &'p SessionIndex,
        neighbourhood: Neighbourhood,
        anchors: &[Ordinal],
    ) -> Result<Search<'p>> {
        let current = &anchors[..anchors.len().min(neighbourhood.last_items)];
        let mut lists: [&[u32]; MAX_LAST_ITEMS] = [&[]; MAX_LAST_ITEMS];
        for (list, item) in lists.iter_mut().zip(current) {
            if *item != NONE {
                *list = index.sessions(*item)?;
            }
        }
        let lists = &lists[..current.len().min(MAX_LAST_ITEMS)];
        let most = neighbourhood.recent_sessions.min(index.sessions_per_item());
        self.merge(index, lists, most)?;
        let neighbours = self.choose(neighbourhood.neighbors);
        let chosen = &self.chosen[neighbours.clone()];
        let entries = chosen
            .iter()
            .map(|neighbour| index.length(neighbour.session))
            .sum();
        Ok(Search {
            index,
            neighbours,
            length: lists.len(),
            keys: (
                lists.len(),
                lists.iter().filter(|list| !list.is_empty()).count(),
            ),
            entries,
        })
    }

    /// Collects the `most` latest sessions of `lists`, latest first, with what they share.
    fn merge(&mut self, index: &SessionIndex, lists: &[&[u32]], most: usize) -> Result<()> {
        self.matches.clear();
        let (length, found) = (lists.len(), &mut self.matches);
        let out_of_order = match *lists {
            [] => None,
            [a] => merge([a], length, most, found),
            [a, b] => merge([a, b], length, most, found),
            [a, b, c] => merge([a, b, c], length, most, found),
            [a, b, c, d] => merge([a, b, c, d], length, most, found),
            _ => {
                let mut all: [&[u32]; MAX_LAST_ITEMS] = [&[]; MAX_LAST_ITEMS];
                all[..length].copy_from_slice(lists);
                merge(all, length, most, found)
            }
        };
        match out_of_order {
            Some((session, last)) => {
                let reason = format!("session {session} comes after session {last}");
                Err(index.corrupt("item.ses", reason))
            }
            None => Ok(()),
        }
    }

    /// Puts the `most` most similar sessions, of equals the latest, at the end of the chosen ones.
    fn choose(&mut self, most: usize) -> std::ops::Range<usize> {
        let start = self.chosen.len();
        let mut counts = [0usize; MAX_SIMILARITY + 1];
        for found in &self.matches {
            counts[usize::from(found.similarity)] += 1;
        }
        // Above the threshold all are taken, at it the latest for which there is room.
        let (mut threshold, mut room) = (MAX_SIMILARITY, most);
        while threshold > 0 && counts[threshold] < room {
            room -= counts[threshold];
            threshold -= 1;
        }
        for found in &self.matches {
            let similarity = usize::from(found.similarity);
            if similarity > threshold {
                self.chosen.push(*found);
            } else if similarity == threshold && room > 0 {
                room -= 1;
                self.chosen.push(*found);
            }
        }
        start..self.chosen.len()
    }

    /// Has the neighbours of `search` give their items, other than `anchors`, what they say of them.
    pub fn vote(
        &self,
        search: &Search<'_>,
        source: usize,
        anchors: &[Ordinal],
        table: &mut Table,
    ) -> Result<()> {
        let index = search.index;
        // Most items differ from all anchors in their last bits, which one look tells.
        let bits = anchors
            .iter()
            .fold(0u64, |bits, item| bits | 1 << (item % 64));
        let chosen = &self.chosen[search.neighbours.clone()];
        for neighbour in chosen.iter().take(SESSIONS_AHEAD) {
            index.prefetch(neighbour.session);
        }
        for (i, neighbour) in chosen.iter().enumerate() {
            if let Some(coming) = chosen.get(i + SESSIONS_AHEAD) {
                index.prefetch(coming.session);
            }
            // Similarity times match weight, in parts of 10 x length.
            let vote = u32::from(neighbour.similarity)
                * (MAX_LAST_ITEMS as u32 - u32::from(neighbour.position));
            let items = index.items(neighbour.session)?;
            let mut adder = table.adder(source, items.len());
            for item in items {
                let is_anchor = bits >> (item % 64) & 1 == 1 && anchors.contains(item);
                if !is_anchor && adder.add(*item, f64::from(vote)) {
                    index.prefetch_idf(*item);
                }
            }
            adder.finish();
        }
        let parts = (10 * search.length) as f64;
        table.replace(source, |item, votes| Ok(votes / parts * index.idf(item)?))
    }
}

/// Puts the `most` least numbers of the first `length` of `lists`, the others of which are empty, into `found`. Gives a
/// number that comes after a larger one, and that one, if the lists do not ascend.
///
/// Which lists have a number is as good as random, so that a branch on it would be guessed wrong every other time: every
/// step does the same for every list, and there are as many of these as the compiler can unroll.
fn merge<const N: usize>(
    lists: [&[u32]; N],
    length: usize,
    most: usize,
    found: &mut Vec<Match>,
) -> Option<(u32, u32)> {
    let head = |p: usize, at: usize| lists[p].get(at).copied().unwrap_or(NONE);
    let mut next = [0; N];
    let mut heads: [u32; N] = std::array::from_fn(|p| head(p, 0));
    let mut least = 0;
    while found.len() < most {
        let session = heads.iter().fold(NONE, |least, head| least.min(*head));
        if session == NONE {
            break;
        }
        if session < least {
            return Some((session, least - 1));
        }
        least = session + 1;
        let (mut similarity, mut position) = (0, u8::MAX);
        for p in (0..N).rev() {
            let has = heads[p] == session;
            similarity += u8::from(has) * length.saturating_sub(p) as u8;
            position = if has { p as u8 } else { position };
            next[p] += usize::from(has);
            heads[p] = head(p, next[p]);
        }
        found.push(Match {
            session,
            similarity,
            position,
        });
    }
    None
}

/// The items that go with the session of `items`, latest first: (item, score), best first, then by ordinal.
pub fn goes_with(
    index: &SessionIndex,
    items: &[Ordinal],
    neighbourhood: Neighbourhood,
) -> Result<Vec<(Ordinal, f64)>> {
    neighbourhood.check(crate::sessions::KIND)?;
    let (mut neighbours, mut table) = (Neighbours::default(), Table::default());
    let search = neighbours.search(index, neighbourhood, items)?;
    table.reset(1, search.entries);
    neighbours.vote(&search, 0, items, &mut table)?;
    let mut found: Vec<(Ordinal, f64)> = (0..table.len())
        .map(|position| (table.ordinal(position), table.raw(position, 0)))
        .collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    Ok(found)
}
