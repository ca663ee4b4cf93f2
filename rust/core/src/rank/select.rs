//! [`Plan::rank`]: from a request to its list.

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Instant;

use super::caps::Caps;
use super::explain::{contributions, note_drop, per_source};
use super::filter::{Filter, FilterSets};
use super::gather::{Subject, gather, maxima};
use super::mmr::{Features, Pool, features};
use super::plan::Plan;
use super::request::{Drop, Ranked, RankedItem, Request};
use super::resolve::{distinct_anchors, weights};
use super::scorer::Scorer;
use super::seen::Seen;
use super::sessions::Neighbours;
use super::sets::OrdinalSet;
use super::stream::STREAM_OVER;
use super::table::Table;
use super::walk::Walk;
use crate::Ordinal;
use crate::error::Result;

/// To ask a list for an item costs about as much as to read this many of it.
const PULLED_PER_ITEM: usize = 2;

/// Memory that a thread keeps from one request to the next.
#[derive(Debug, Default)]
struct Scratch {
    table: Table,
    neighbours: Neighbours,
    sets: FilterSets,
    chosen: OrdinalSet,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Plan {
    /// Ranks one request.
    pub fn rank(&self, request: &Request<'_>) -> Result<Ranked> {
        SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
            Ok(mut scratch) => rank(self, request, &mut scratch),
            // Only if a rank call came from within a rank call on the same thread, which none does.
            Err(_) => rank(self, request, &mut Scratch::default()),
        })
    }
}

fn rank(plan: &Plan, request: &Request<'_>, scratch: &mut Scratch) -> Result<Ranked> {
    let started = Instant::now();
    let weights = weights(plan, request);
    let anchors = distinct_anchors(plan, &weights, request)?;
    // Before the lists are read, which are on their way meanwhile.
    let filter = Filter::new(
        &plan.catalog,
        &plan.rules,
        request,
        &anchors,
        &mut scratch.sets,
    )?;
    let subject = Subject {
        anchors: &anchors,
        user: request.user,
    };
    let table = &mut scratch.table;
    let gathered = gather(plan, &weights, &subject, table, &mut scratch.neighbours)?;
    let candidates = if request.explain {
        per_source(plan, table)
    } else {
        Vec::new()
    };
    let allowed = filter.allowed();
    let maxima = maxima(plan, table, &gathered.streams);
    let scorer = Scorer {
        plan,
        weights,
        maxima,
        seen: Seen::new(&plan.catalog, request)?,
    };
    let wanted = request.offset.saturating_add(request.k);
    let walk = Walk::new(
        &scorer,
        table,
        gathered.streams,
        allowed.as_deref(),
        filter.reads_tags(),
        wanted,
    )?;
    let gathered_at = Instant::now();

    scratch.chosen.reset(wanted.min(STREAM_OVER));
    let caps = Caps::new(&plan.catalog, request, &plan.diversity)?;
    let result = Ranked {
        source_keys: gathered.source_keys,
        candidates,
        include_unknown: filter.include_unknown,
        items: Vec::with_capacity(wanted.min(STREAM_OVER)),
        ..Ranked::default()
    };
    let most_pulled = match filter.required_items() {
        Some(items) => items.saturating_mul(PULLED_PER_ITEM),
        None => usize::MAX,
    };
    let mut selection = Selection {
        plan,
        allowed,
        most_pulled,
        scorer,
        table,
        walk,
        filter,
        caps,
        chosen: &mut scratch.chosen,
        wanted,
        explain: request.explain,
        result,
    };
    selection.pin()?;
    match plan.diversity.mmr_lambda {
        Some(lambda) => selection.diversify(lambda)?,
        None => selection.fill()?,
    }
    selection.refill()?;
    let selected_at = Instant::now();

    let mut result = selection.finish(request)?;
    if request.explain {
        let stages = [
            gathered_at - started,
            selected_at - gathered_at,
            selected_at.elapsed(),
        ];
        result.stage_ns = stages.map(|stage| stage.as_nanos() as u64);
    }
    Ok(result)
}

/// A list in the making.
pub(super) struct Selection<'a, 'p> {
    pub(super) plan: &'p Plan,
    /// The only items that can pass, if they are known.
    pub(super) allowed: Option<Vec<Ordinal>>,
    /// How many items the streams may give before those that can pass are asked for by name.
    most_pulled: usize,
    pub(super) scorer: Scorer<'p>,
    table: &'a mut Table,
    walk: Walk<'p>,
    filter: Filter<'a>,
    caps: Caps<'a>,
    pub(super) chosen: &'a mut OrdinalSet,
    wanted: usize,
    pub(super) explain: bool,
    result: Ranked,
}

impl Selection<'_, '_> {
    pub(super) fn is_full(&self) -> bool {
        self.result.items.len() >= self.wanted
    }

    /// Counts why `item` is left out, if it is.
    fn is_clear(&mut self, item: Ordinal, drop: Option<Drop>) -> bool {
        let Some(reason) = drop else { return true };
        self.result.dropped[reason as usize] += 1;
        if self.explain {
            note_drop(&mut self.result, item, reason);
        }
        false
    }

    /// Whether `item` may be in the list at all; counts why not. A pin stands though it was seen.
    pub(super) fn passes(&mut self, item: Ordinal, is_pin: bool) -> Result<bool> {
        let mut drop = self.filter.check(item)?;
        if drop.is_none() && !is_pin && self.scorer.seen.drops(item) {
            drop = Some(Drop::Seen);
        }
        Ok(self.is_clear(item, drop))
    }

    /// Whether the caps have room for `item`; counts why not.
    pub(super) fn fits(&mut self, item: Ordinal, is_pin: bool) -> Result<bool> {
        let drop = self.caps.check(item, is_pin)?;
        Ok(self.is_clear(item, drop))
    }

    pub(super) fn take(&mut self, item: RankedItem) -> Result<()> {
        self.chosen.insert(item.item);
        self.caps.take(item.item)?;
        self.result.items.push(item);
        Ok(())
    }

    fn candidate(&self, position: usize, score: f64) -> RankedItem {
        RankedItem {
            score,
            found_by: self.table.found_by(position),
            ..RankedItem::uncalled(self.table.ordinal(position))
        }
    }

    /// Places pins: in rule order, then in listed order, up to the limit.
    fn pin(&mut self) -> Result<()> {
        let plan = self.plan;
        let mut placed = 0;
        for (rule, (_, items)) in plan.rules.pins.iter().enumerate() {
            for item in items {
                if placed == plan.rules.max_pins || self.is_full() {
                    return Ok(());
                }
                if self.chosen.contains(*item)
                    || !self.passes(*item, true)?
                    || !self.fits(*item, true)?
                {
                    continue;
                }
                let position = match self.table.find(*item) {
                    None if self.walk.knows(*item)? => {
                        Some(self.walk.draw(&self.scorer, self.table, *item)?)
                    }
                    found => found,
                };
                let mut place = match position {
                    Some(position) => {
                        self.candidate(position, self.scorer.score(self.table, position))
                    }
                    None => RankedItem::uncalled(*item),
                };
                place.pin = Some(rule);
                self.take(place)?;
                placed += 1;
            }
        }
        Ok(())
    }

    /// The next candidate in score order that may be shown and is not in the list yet: its position and score.
    fn next(&mut self) -> Result<Option<(usize, f64)>> {
        while let Some((position, score)) = self.walk.next(&self.scorer, self.table)? {
            if self.walk.n_pulled() > self.most_pulled {
                let allowed = self.filter.all_allowed();
                self.walk.restrict(&self.scorer, self.table, &allowed)?;
                self.allowed = Some(allowed);
                self.most_pulled = usize::MAX;
            }
            let item = self.table.ordinal(position);
            if !self.chosen.contains(item) && self.passes(item, false)? {
                return Ok(Some((position, score)));
            }
        }
        Ok(None)
    }

    /// Takes candidates in score order while the caps have room for them.
    fn fill(&mut self) -> Result<()> {
        while !self.is_full() {
            let Some((position, score)) = self.next()? else {
                return Ok(());
            };
            if self.fits(self.table.ordinal(position), false)? {
                self.take(self.candidate(position, score))?;
            }
        }
        Ok(())
    }

    /// Takes the best candidates in the order of MMR, then the others in score order.
    fn diversify(&mut self, lambda: f64) -> Result<()> {
        let catalog = &self.plan.catalog;
        let mut pool = Vec::new();
        while !self.is_full() && pool.len() < self.plan.diversity.mmr_pool {
            let Some((position, score)) = self.next()? else {
                break;
            };
            pool.push(self.candidate(position, score));
        }
        let of = |items: &[RankedItem]| {
            items
                .iter()
                .map(|i| features(catalog, i.item))
                .collect::<Result<Vec<Features>>>()
        };
        let scores: Vec<f64> = pool.iter().map(|i| i.score).collect();
        let mut order = Pool::new(lambda, &scores, of(&pool)?, &of(&self.result.items)?);
        while !self.is_full() {
            let Some(i) = order.draw() else { break };
            if self.fits(pool[i].item, false)? {
                self.take(RankedItem {
                    mmr: Some(order.step(i)),
                    ..pool[i].clone()
                })?;
                order.taken(i);
            }
        }
        self.fill()
    }

    /// Cuts the page out of the list, and says where its items came from.
    fn finish(mut self, request: &Request<'_>) -> Result<Ranked> {
        let mut result = std::mem::take(&mut self.result);
        result.items.drain(..request.offset.min(result.items.len()));
        let mut rungs = HashSet::new();
        for place in &mut result.items {
            if place.pin.is_some() && place.found_by == 0 {
                result.pins_injected.push(place.item);
            }
            if let Some(rung) = place.rung.filter(|rung| rungs.insert(*rung)) {
                result.rungs.push(rung);
            }
            // Damping leaves a score below 0 as it is.
            place.is_damped = place.score >= 0.0 && self.scorer.seen.damps(place.item);
            // A boost multiplies the score of a candidate; it has nothing to multiply in an item of a rung.
            if place.found_by != 0 {
                let boosts = self.plan.rules.boosts.iter().enumerate();
                place.boosts = boosts
                    .filter(|(_, (_, items, _))| items.contains(place.item))
                    .map(|(i, _)| i)
                    .collect();
            }
            if request.explain
                && place.rung.is_none()
                && let Some(position) = self.table.find(place.item)
            {
                place.contributions = contributions(&self.scorer, self.table, position);
            }
        }
        Ok(result)
    }
}
