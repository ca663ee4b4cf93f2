//! `CoocBuilder`, `SessionSeqBuilder` and `SessionKnnBuilder`: what they have in common, and how each is made.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyo3::prelude::*;
use recsys_core::Result;
use recsys_core::builders::{
    Built, CoocBuilder, CoocParams, Limits, Normalization, Sequence, SessionKnnBuilder,
    SessionKnnParams, Stop,
};
use recsys_core::catalog::Catalog;
use serde_json::{Map, Value};

use crate::builders::{CHUNK_ROWS, Slot, check_rows};
use crate::catalog::{PyCatalog, object};
use crate::columns::Column;
use crate::guard::{held, run, run_stoppable};

/// Adds this module's classes.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyCoocBuilder>()?;
    m.add_class::<PySessionSeqBuilder>()?;
    m.add_class::<PySessionKnnBuilder>()
}

/// How a builder takes rows: session keys, ordinals, Unix milliseconds and weights.
type Push<B> = fn(&mut B, &[u64], &[u32], &[i64], &[f32]) -> Result<()>;

/// How a builder writes what it was made for.
type Finish<B> = fn(B, &Path, &Catalog, Map<String, Value>) -> Result<Built>;

/// A builder of sessions in the hands of Python, and the catalog that its ordinals belong to.
struct OfSessions<B> {
    catalog: Arc<Catalog>,
    builder: Slot<B>,
    stop: Stop,
}

impl<B: Send> OfSessions<B> {
    /// Makes a builder for as many items as the catalog has.
    fn new(
        py: Python<'_>,
        catalog: &PyCatalog,
        limits: Limits,
        make: impl FnOnce(usize, Limits) -> Result<B> + Send,
    ) -> PyResult<Self> {
        let catalog = catalog.inner.clone();
        let stop = limits.stop.clone();
        let builder = run(py, || make(catalog.len(), limits))?;
        Ok(Self {
            catalog,
            builder: Slot::new(builder),
            stop,
        })
    }

    /// Hands columns (sessions, ordinals, times, weights) to the builder, a chunk at a time.
    fn push(
        &self,
        py: Python<'_>,
        push: Push<B>,
        [sessions, ordinals, ts_ms, weights]: [&Bound<'_, PyAny>; 4],
    ) -> PyResult<()> {
        let keys = Column::<u64>::new("sessions", sessions)?;
        let items = Column::<u32>::new("ordinals", ordinals)?;
        let times = Column::<i64>::new("ts_ms", ts_ms)?;
        let amounts = Column::<f32>::new("weights", weights)?;
        let rows = held(|| {
            check_rows(&[
                ("sessions", keys.len),
                ("ordinals", items.len),
                ("ts_ms", times.len),
                ("weights", amounts.len),
            ])
        })?;
        for start in (0..rows).step_by(CHUNK_ROWS) {
            let (k, i) = (
                keys.copy(start, CHUNK_ROWS)?,
                items.copy(start, CHUNK_ROWS)?,
            );
            let (t, w) = (
                times.copy(start, CHUNK_ROWS)?,
                amounts.copy(start, CHUNK_ROWS)?,
            );
            run(py, || self.builder.with(|b| push(b, &k, &i, &t, &w)))?;
        }
        Ok(())
    }

    /// Writes the artifact; returns its hex SHA-256, and the sessions over the cap.
    fn finish(
        &self,
        py: Python<'_>,
        finish: Finish<B>,
        path: &Path,
        metadata: &str,
    ) -> PyResult<(String, u64)> {
        run_stoppable(py, &self.stop, || {
            let metadata = object(metadata)?;
            let built = finish(self.builder.take()?, path, &self.catalog, metadata)?;
            let heavy = built.counts.get("heavy_sessions").and_then(Value::as_u64);
            Ok((built.sha256, heavy.unwrap_or(0)))
        })
    }
}

/// Co-visitation over sessions.
#[pyclass(name = "CoocBuilder", frozen)]
struct PyCoocBuilder(OfSessions<CoocBuilder>);

#[pymethods]
impl PyCoocBuilder {
    #[new]
    #[pyo3(signature = (catalog, *, normalization = "cosine", window_ms = None, min_support = 2, top_n = 100,
        max_items_per_session = 200, memory_bytes, scratch_dir, threads = 0))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        catalog: &PyCatalog,
        normalization: &str,
        window_ms: Option<i64>,
        min_support: u32,
        top_n: usize,
        max_items_per_session: usize,
        memory_bytes: u64,
        scratch_dir: PathBuf,
        threads: usize,
    ) -> PyResult<Self> {
        let limits = Limits {
            memory_bytes,
            scratch_dir,
            threads,
            stop: Stop::default(),
        };
        let make = |n_items, limits| {
            let params = CoocParams {
                normalization: Normalization::parse(normalization)?,
                window_ms,
                sequence: None,
                min_support,
                top_n,
                max_items_per_session,
            };
            CoocBuilder::new(n_items, params, limits)
        };
        OfSessions::new(py, catalog, limits, make).map(Self)
    }

    fn push(
        &self,
        py: Python<'_>,
        sessions: &Bound<'_, PyAny>,
        ordinals: &Bound<'_, PyAny>,
        ts_ms: &Bound<'_, PyAny>,
        weights: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let columns = [sessions, ordinals, ts_ms, weights];
        self.0.push(py, CoocBuilder::push, columns)
    }

    #[pyo3(signature = (path, *, metadata = "{}"))]
    fn finish(&self, py: Python<'_>, path: PathBuf, metadata: &str) -> PyResult<(String, u64)> {
        self.0.finish(py, CoocBuilder::finish, &path, metadata)
    }
}

/// What comes after an item in a session.
#[pyclass(name = "SessionSeqBuilder", frozen)]
struct PySessionSeqBuilder(OfSessions<CoocBuilder>);

#[pymethods]
impl PySessionSeqBuilder {
    #[new]
    #[pyo3(signature = (catalog, *, normalization = "confidence", decay = 0.8, max_distance = 10, min_support = 2,
        top_n = 100, max_items_per_session = 200, memory_bytes, scratch_dir, threads = 0))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        catalog: &PyCatalog,
        normalization: &str,
        decay: f64,
        max_distance: u32,
        min_support: u32,
        top_n: usize,
        max_items_per_session: usize,
        memory_bytes: u64,
        scratch_dir: PathBuf,
        threads: usize,
    ) -> PyResult<Self> {
        let limits = Limits {
            memory_bytes,
            scratch_dir,
            threads,
            stop: Stop::default(),
        };
        let make = |n_items, limits| {
            let params = CoocParams {
                normalization: Normalization::parse(normalization)?,
                window_ms: None,
                sequence: Some(Sequence {
                    decay,
                    max_distance,
                }),
                min_support,
                top_n,
                max_items_per_session,
            };
            CoocBuilder::new(n_items, params, limits)
        };
        OfSessions::new(py, catalog, limits, make).map(Self)
    }

    fn push(
        &self,
        py: Python<'_>,
        sessions: &Bound<'_, PyAny>,
        ordinals: &Bound<'_, PyAny>,
        ts_ms: &Bound<'_, PyAny>,
        weights: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let columns = [sessions, ordinals, ts_ms, weights];
        self.0.push(py, CoocBuilder::push, columns)
    }

    #[pyo3(signature = (path, *, metadata = "{}"))]
    fn finish(&self, py: Python<'_>, path: PathBuf, metadata: &str) -> PyResult<(String, u64)> {
        self.0.finish(py, CoocBuilder::finish, &path, metadata)
    }
}

/// Past sessions, made ready to be searched.
#[pyclass(name = "SessionKnnBuilder", frozen)]
struct PySessionKnnBuilder(OfSessions<SessionKnnBuilder>);

#[pymethods]
impl PySessionKnnBuilder {
    #[new]
    #[pyo3(signature = (catalog, *, sessions_per_item = 2000, max_items_per_session = 200, memory_bytes, scratch_dir,
        threads = 0))]
    fn new(
        py: Python<'_>,
        catalog: &PyCatalog,
        sessions_per_item: usize,
        max_items_per_session: usize,
        memory_bytes: u64,
        scratch_dir: PathBuf,
        threads: usize,
    ) -> PyResult<Self> {
        let limits = Limits {
            memory_bytes,
            scratch_dir,
            threads,
            stop: Stop::default(),
        };
        let params = SessionKnnParams {
            sessions_per_item,
            max_items_per_session,
        };
        OfSessions::new(py, catalog, limits, |n_items, limits| {
            SessionKnnBuilder::new(n_items, params, limits)
        })
        .map(Self)
    }

    fn push(
        &self,
        py: Python<'_>,
        sessions: &Bound<'_, PyAny>,
        ordinals: &Bound<'_, PyAny>,
        ts_ms: &Bound<'_, PyAny>,
        weights: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let columns = [sessions, ordinals, ts_ms, weights];
        self.0.push(py, SessionKnnBuilder::push, columns)
    }

    #[pyo3(signature = (path, *, metadata = "{}"))]
    fn finish(&self, py: Python<'_>, path: PathBuf, metadata: &str) -> PyResult<(String, u64)> {
        self.0
            .finish(py, SessionKnnBuilder::finish, &path, metadata)
    }
}
