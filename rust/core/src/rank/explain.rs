//! What an explanation says beside the list: who gave what to a score, and who was left out.

use super::plan::Plan;
use super::request::{Contribution, Drop, Ranked};
use super::scorer::Scorer;
use super::table::Table;
use crate::Ordinal;

/// Most items that an explanation names among those left out.
const MAX_DROPPED_ITEMS: usize = 50;

/// What each source gave to the score of a candidate, in source order.
pub fn contributions(scorer: &Scorer<'_>, table: &Table, position: usize) -> Vec<Contribution> {
    let found_by = table.found_by(position);
    let sources = scorer
        .plan
        .sources
        .iter()
        .enumerate()
        .filter(|(s, _)| found_by >> s & 1 == 1);
    let given = sources.map(|(s, source)| {
        let raw = table.raw(position, s);
        let normalized = source.normalizer.apply(raw, scorer.maxima[s]);
        Contribution {
            source: s,
            raw,
            normalized,
            weighted: scorer.weights[s] * normalized,
        }
    });
    given.collect()
}

/// How many candidates each source gave.
pub fn per_source(plan: &Plan, table: &Table) -> Vec<usize> {
    let count = |s: usize| {
        (0..table.len())
            .filter(|p| table.found_by(*p) >> s & 1 == 1)
            .count()
    };
    (0..plan.sources.len()).map(count).collect()
}

/// Names `item` among those left out, once, while there is room.
pub fn note_drop(ranked: &mut Ranked, item: Ordinal, reason: Drop) {
    let items = &mut ranked.dropped_items;
    if items.len() < MAX_DROPPED_ITEMS && items.iter().all(|(other, _)| *other != item) {
        items.push((item, reason));
    }
}
