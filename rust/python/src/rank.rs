//! `Plan` and `Ranked`.

use std::collections::HashMap;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use recsys_core::rank::{Diversity, Plan, Request, Rules};

use crate::catalog::PyCatalog;
use crate::guard::{run, serve};
use crate::plain_request::PyPlainRequest;
use crate::plan::{PyRules, PyRung, PySource};
use crate::ranked::Ranked;

/// Adds this module's classes.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyPlan>()?;
    m.add_class::<Ranked>()
}

/// Everything that is the same for all requests of one surface, segment and mode.
#[pyclass(name = "Plan", frozen)]
pub struct PyPlan {
    inner: Arc<Plan>,
}

#[pymethods]
impl PyPlan {
    #[new]
    #[pyo3(signature = (catalog, sources, *, ladder=Vec::new(), rules=None, anchor_decay=1.0, brand_cap=None,
        category_cap=None, mmr_lambda=None, mmr_pool=200))]
    #[allow(clippy::too_many_arguments)] // The settings of a plan, by name.
    fn new(
        py: Python<'_>,
        catalog: &PyCatalog,
        sources: Vec<Py<PySource>>,
        ladder: Vec<Py<PyRung>>,
        rules: Option<&PyRules>,
        anchor_decay: f64,
        brand_cap: Option<u32>,
        category_cap: Option<u32>,
        mmr_lambda: Option<f64>,
        mmr_pool: usize,
    ) -> PyResult<Self> {
        let sources = sources
            .iter()
            .map(|source| source.get().inner.clone())
            .collect();
        let ladder = ladder.iter().map(|rung| rung.get().inner.clone()).collect();
        let rules = rules.map_or_else(
            || Arc::new(Rules::default()),
            |rules| Arc::clone(&rules.inner),
        );
        let diversity = Diversity {
            brand_cap,
            category_cap,
            mmr_lambda,
            mmr_pool,
        };
        let catalog = Arc::clone(&catalog.inner);
        let inner = run(py, || {
            Plan::new(catalog, sources, ladder, rules, anchor_decay, diversity)
        })?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    #[pyo3(signature = (k, now_ms, *, anchors=Vec::new(), user=None, include=None, exclude=Vec::new(),
        required_tags=Vec::new(), forbidden_tags=Vec::new(), max_per_tag=None, weights=None, offset=0, seen=Vec::new(),
        damping=None, explain=false))]
    #[allow(clippy::too_many_arguments)] // The fields of a request, by name.
    fn rank(
        &self,
        py: Python<'_>,
        k: usize,
        now_ms: i64,
        anchors: Vec<PyBackedStr>,
        user: Option<PyBackedStr>,
        include: Option<Vec<PyBackedStr>>,
        exclude: Vec<PyBackedStr>,
        required_tags: Vec<PyBackedStr>,
        forbidden_tags: Vec<PyBackedStr>,
        max_per_tag: Option<HashMap<PyBackedStr, u32>>,
        weights: Option<(f64, f64, f64)>,
        offset: usize,
        seen: Vec<PyBackedStr>,
        damping: Option<f64>,
        explain: bool,
    ) -> PyResult<Ranked> {
        let request = Request {
            k,
            offset,
            now_ms,
            anchors: texts(&anchors),
            user: user.as_deref(),
            include: include.as_deref().map(texts),
            exclude: texts(&exclude),
            required_tags: texts(&required_tags),
            forbidden_tags: texts(&forbidden_tags),
            max_per_tag: max_per_tag
                .iter()
                .flatten()
                .map(|(tag, limit)| (&**tag, *limit))
                .collect(),
            weights: weights.map(|(pop, cooc, emb)| [pop, cooc, emb]),
            seen: texts(&seen),
            damping,
            explain,
        };
        let ranked = serve(py, request.is_brief(), || self.inner.rank(&request))?;
        Ok(Ranked {
            plan: Arc::clone(&self.inner),
            ranked,
            damping,
        })
    }

    /// As `rank`, for a request that was read natively.
    #[pyo3(signature = (request, k, now_ms, user, weights=None, /))]
    fn rank_plain(
        &self,
        py: Python<'_>,
        request: &PyPlainRequest,
        k: usize,
        now_ms: i64,
        user: &str,
        weights: Option<(f64, f64, f64)>,
    ) -> PyResult<Ranked> {
        let mut ranking = request.inner.ranking(k, now_ms, user);
        ranking.weights = weights.map(|(pop, cooc, emb)| [pop, cooc, emb]);
        let ranked = serve(py, ranking.is_brief(), || self.inner.rank(&ranking))?;
        Ok(Ranked {
            plan: Arc::clone(&self.inner),
            ranked,
            damping: None,
        })
    }
}

fn texts(texts: &[PyBackedStr]) -> Vec<&str> {
    texts.iter().map(|text| &**text).collect()
}
