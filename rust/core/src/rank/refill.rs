//! Refilling a list that is short from the rungs of the ladder.

use std::collections::VecDeque;

use super::ladder::{allowed_of, newest_of};
use super::plan::Rung;
use super::request::{Contribution, RankedItem};
use super::select::Selection;
use crate::Ordinal;
use crate::error::Result;

impl Selection<'_, '_> {
    /// Goes down the ladder until the list is full. Where the items that can pass are known, only they are looked for.
    pub(super) fn refill(&mut self) -> Result<()> {
        let plan = self.plan;
        let allowed = self.allowed.take();
        let allowed = allowed.as_deref();
        for (rung, step) in plan.ladder.iter().enumerate() {
            if self.is_full() {
                return Ok(());
            }
            match (step, plan.rung_keys[rung]) {
                (Rung::Newest { .. }, _) => match allowed {
                    Some(items) => self.refill_from(
                        rung,
                        newest_of(plan, items).into_iter().map(|i| Ok((i, 0.0))),
                    )?,
                    None => {
                        self.refill_from(rung, plan.catalog.newest().iter().map(|i| Ok((*i, 0.0))))?
                    }
                },
                (Rung::Signal { .. }, None) => {}
                (Rung::Signal { signal, .. }, Some(key)) => match allowed_of(signal, key, allowed)?
                {
                    Some(items) => self.refill_from(rung, items.into_iter().map(Ok))?,
                    None => {
                        let list = signal.list(key)?;
                        self.refill_from(rung, (0..list.len()).map(|i| list.get(i)))?;
                    }
                },
            }
        }
        Ok(())
    }

    /// Takes the items of a rung in its order. A damped one waits for its turn by what it is worth then, and comes after
    /// others that are worth the same; all are damped by one factor, so they wait in line.
    fn refill_from(
        &mut self,
        rung: usize,
        items: impl Iterator<Item = Result<(Ordinal, f64)>>,
    ) -> Result<()> {
        let mut waiting: VecDeque<(Ordinal, f64)> = VecDeque::new();
        for entry in items {
            let (item, raw) = entry?;
            while let Some((first, of_first)) = waiting.front().copied()
                && self.scorer.seen.damp(first, saturated(of_first)) > saturated(raw)
                && !self.is_full()
            {
                waiting.pop_front();
                self.take_from_rung(rung, first, of_first)?;
            }
            if self.is_full() {
                return Ok(());
            }
            if self.scorer.seen.damps(item) {
                waiting.push_back((item, raw));
            } else {
                self.take_from_rung(rung, item, raw)?;
            }
        }
        for (item, raw) in waiting {
            if self.is_full() {
                return Ok(());
            }
            self.take_from_rung(rung, item, raw)?;
        }
        Ok(())
    }

    /// Takes an item of a rung if it may be in the list and is not in it yet.
    fn take_from_rung(&mut self, rung: usize, item: Ordinal, raw: f64) -> Result<()> {
        if (item as usize) >= self.plan.catalog.len()
            || self.chosen.contains(item)
            || !self.passes(item, false)?
            || !self.fits(item, false)?
        {
            return Ok(());
        }
        let value = saturated(raw);
        let given = self.explain.then_some(Contribution {
            source: rung,
            raw,
            normalized: value,
            weighted: value,
        });
        self.take(RankedItem {
            score: self.scorer.seen.damp(item, value),
            rung: Some(rung),
            contributions: given.into_iter().collect(),
            ..RankedItem::uncalled(item)
        })
    }
}

/// The value of an item of a rung.
fn saturated(raw: f64) -> f64 {
    raw / (1.0 + raw.abs())
}
