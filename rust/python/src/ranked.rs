//! `Ranked`: what a rank call found, named when it is asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use recsys_core::Ordinal;
use recsys_core::answer::Answer;
use recsys_core::rank::{self as core, Drop, RankedItem};

use crate::guard;

/// What most items take in JSON.
const BYTES_PER_ITEM: usize = 96;

/// Place by score, lambda, relevance, similarity and value.
type Step = (usize, f64, f64, f64, f64);

/// A ranked list and what a response says about it.
#[pyclass(frozen, module = "recsys._native")]
pub struct Ranked {
    pub plan: Arc<core::Plan>,
    pub ranked: core::Ranked,
    pub damping: Option<f64>,
}

#[pymethods]
impl Ranked {
    #[getter]
    fn item_ids(&self) -> PyResult<Vec<&str>> {
        self.ids(self.ranked.items.iter().map(|place| place.item))
    }

    #[getter]
    fn scores(&self) -> Vec<f64> {
        self.ranked.items.iter().map(|place| place.score).collect()
    }

    /// `before`, the list as a JSON array of items with their scores, and `after`.
    #[pyo3(signature = (before, after, *, first_rank=1))]
    fn encode_items<'py>(
        &self,
        py: Python<'py>,
        before: &[u8],
        after: &[u8],
        first_rank: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.encode(py, before, after, first_rank, true)
    }

    /// As `encode_items`, without the scores.
    #[pyo3(signature = (before, after, *, first_rank=1))]
    fn encode_exposed<'py>(
        &self,
        py: Python<'py>,
        before: &[u8],
        after: &[u8],
        first_rank: usize,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.encode(py, before, after, first_rank, false)
    }

    /// The response body, and the line of the exposure.
    #[pyo3(signature = (request_id, user, latency_s, members, *, meta, context, warnings))]
    #[allow(clippy::too_many_arguments)] // The parts of an answer, by name.
    fn answer<'py>(
        &self,
        py: Python<'py>,
        request_id: &str,
        user: &str,
        latency_s: f64,
        members: &[u8],
        meta: &[u8],
        context: &[u8],
        warnings: &[u8],
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let answer = Answer {
            request_id,
            user,
            // A clock before 1970 is told as 1970.
            at_us: now.map_or(0, |now| now.as_micros() as u64),
            latency_ms: (latency_s * 1e6).round() / 1e3,
            members,
            meta,
            context,
            warnings,
        };
        let catalog = self.plan.catalog();
        let (body, line) = guard::held(|| {
            let body = answer.body(&self.ranked, catalog)?;
            Ok((body, answer.exposure(&self.ranked, catalog)?))
        })?;
        Ok((PyBytes::new(py, &body), PyBytes::new(py, &line)))
    }

    #[getter]
    fn reasons(&self) -> Vec<Vec<String>> {
        self.ranked
            .items
            .iter()
            .map(|place| self.reasons_of(place))
            .collect()
    }

    #[getter]
    fn contributions(&self) -> Vec<Vec<(&str, f64, f64, f64)>> {
        let named = |place: &RankedItem| {
            let name = |giver: usize| match place.rung {
                Some(rung) => self.plan.ladder()[rung].name(),
                None => self.source(giver),
            };
            let given = place.contributions.iter();
            given
                .map(|c| (name(c.source), c.raw, c.normalized, c.weighted))
                .collect()
        };
        self.ranked.items.iter().map(named).collect()
    }

    #[getter]
    fn dampings(&self) -> Vec<Option<f64>> {
        let of = |place: &RankedItem| self.damping.filter(|_| place.is_damped);
        self.ranked.items.iter().map(of).collect()
    }

    #[getter]
    fn mmr_steps(&self) -> Vec<Option<Step>> {
        let steps = self.ranked.items.iter().map(|place| place.mmr);
        steps
            .map(|step| step.map(|s| (s.place, s.lambda, s.relevance, s.similarity, s.value)))
            .collect()
    }

    /// (item, why, the rule if one blocks it).
    #[getter]
    fn filtered_items(&self) -> PyResult<Vec<(&str, &'static str, Option<&str>)>> {
        let blocked = &self.plan.rules().blocked;
        let named = |(item, reason): &(Ordinal, Drop)| {
            let rule = (*reason == Drop::Blocked)
                .then(|| blocked.iter().find(|(_, items)| items.contains(*item)))
                .flatten();
            let id = self.plan.catalog().id(*item)?;
            Ok((id, reason.name(), rule.map(|(id, _)| id.as_str())))
        };
        guard::held(|| self.ranked.dropped_items.iter().map(named).collect())
    }

    #[getter]
    fn boosts(&self) -> Vec<Vec<(&str, f64)>> {
        let boosts = &self.plan.rules().boosts;
        let named = |rule: &usize| (boosts[*rule].0.as_str(), boosts[*rule].2);
        self.ranked
            .items
            .iter()
            .map(|place| place.boosts.iter().map(named).collect())
            .collect()
    }

    #[getter]
    fn rungs(&self) -> Vec<&str> {
        self.ranked
            .rungs
            .iter()
            .map(|rung| self.plan.ladder()[*rung].name())
            .collect()
    }

    #[getter]
    fn pins_injected(&self) -> PyResult<Vec<&str>> {
        self.ids(self.ranked.pins_injected.iter().copied())
    }

    #[getter]
    fn source_keys(&self) -> Vec<(&str, usize, usize)> {
        let keys = self.ranked.source_keys.iter().enumerate();
        keys.map(|(s, (asked, found))| (self.source(s), *asked, *found))
            .collect()
    }

    /// Whether there is nothing to warn about, an allow-list aside: some items, every key found, nothing dropped by
    /// a constraint, pinned from outside or refilled.
    #[getter]
    fn is_plain(&self) -> bool {
        const CONSTRAINTS: [Drop; 3] = [Drop::RequiredTags, Drop::ForbiddenTags, Drop::MaxPerTag];
        let r = &self.ranked;
        !r.items.is_empty()
            && r.source_keys.iter().all(|(asked, found)| asked == found)
            && CONSTRAINTS
                .iter()
                .all(|reason| r.dropped[*reason as usize] == 0)
            && r.pins_injected.is_empty()
            && r.rungs.is_empty()
    }

    #[getter]
    fn candidates(&self) -> Vec<(&str, usize)> {
        self.ranked
            .candidates
            .iter()
            .enumerate()
            .map(|(s, count)| (self.source(s), *count))
            .collect()
    }

    #[getter]
    fn filtered(&self) -> HashMap<&'static str, usize> {
        let counts = Drop::ALL
            .into_iter()
            .map(|reason| (reason.name(), self.ranked.dropped[reason as usize]));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    #[getter]
    fn include_unknown(&self) -> usize {
        self.ranked.include_unknown
    }

    #[getter]
    fn stage_us(&self) -> HashMap<&'static str, f64> {
        if self.ranked.stage_ns == [0; 3] {
            return HashMap::new();
        }
        let stages = ["gather", "select", "finish"]
            .into_iter()
            .zip(self.ranked.stage_ns);
        stages
            .map(|(name, ns)| (name, ns as f64 / 1000.0))
            .collect()
    }

    fn __len__(&self) -> usize {
        self.ranked.items.len()
    }
}

impl Ranked {
    fn encode<'py>(
        &self,
        py: Python<'py>,
        before: &[u8],
        after: &[u8],
        first_rank: usize,
        with_scores: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let room = before.len() + after.len() + self.ranked.items.len() * BYTES_PER_ITEM;
        let mut out = Vec::with_capacity(room);
        out.extend_from_slice(before);
        guard::held(|| {
            let catalog = self.plan.catalog();
            self.ranked
                .encode(catalog, with_scores, first_rank, &mut out)
        })?;
        out.extend_from_slice(after);
        Ok(PyBytes::new(py, &out))
    }

    fn ids(&self, items: impl Iterator<Item = Ordinal>) -> PyResult<Vec<&str>> {
        guard::held(|| items.map(|item| self.plan.catalog().id(item)).collect())
    }

    fn source(&self, s: usize) -> &str {
        &self.plan.sources()[s].name
    }

    fn reasons_of(&self, place: &RankedItem) -> Vec<String> {
        let rules = self.plan.rules();
        let sources = (0..self.plan.sources().len()).filter(|s| place.found_by >> s & 1 == 1);
        let mut reasons: Vec<String> = sources.map(|s| self.source(s).to_owned()).collect();
        reasons.extend(place.pin.map(|rule| format!("pin:{}", rules.pins[rule].0)));
        reasons.extend(
            place
                .boosts
                .iter()
                .map(|rule| format!("boost:{}", rules.boosts[*rule].0)),
        );
        reasons.extend(
            place
                .rung
                .map(|rung| format!("fallback:{}", self.plan.ladder()[rung].name())),
        );
        if place.is_damped {
            reasons.push("seen".to_owned());
        }
        reasons
    }
}
