//! `SessionSeqBuilder`.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use recsys_core::Result;
use recsys_core::builders::{CoocBuilder, CoocParams, Limits, Normalization, Sequence};
use recsys_core::catalog::Catalog;

use crate::builders::{CHUNK_ROWS, Slot, check_rows};
use crate::catalog::{PyCatalog, object};
use crate::columns::Column;
use crate::guard::{held, run};

/// Adds this module's class.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PySessionSeqBuilder>()
}

/// What comes after an item in a session.
#[pyclass(name = "SessionSeqBuilder", frozen)]
struct PySessionSeqBuilder {
    catalog: Arc<Catalog>,
    builder: Slot<CoocBuilder>,
}

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
        let catalog = catalog.inner.clone();
        let limits = Limits {
            memory_bytes,
            scratch_dir,
            threads,
        };
        let builder = run(py, || {
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
            CoocBuilder::new(catalog.len(), params, limits)
        })?;
        Ok(Self {
            catalog,
            builder: Slot::new(builder),
        })
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
        push_events(py, &self.builder, CoocBuilder::push, columns)
    }

    #[pyo3(signature = (path, *, metadata = "{}"))]
    fn finish(&self, py: Python<'_>, path: PathBuf, metadata: &str) -> PyResult<(String, u64)> {
        run(py, || {
            let built = self
                .builder
                .take()?
                .finish(&path, &self.catalog, object(metadata)?)?;
            let heavy = built.counts.get("heavy_sessions").and_then(|n| n.as_u64());
            Ok((built.sha256, heavy.unwrap_or(0)))
        })
    }
}

/// How a builder takes rows: session keys, ordinals, Unix milliseconds and weights.
type Push<B> = fn(&mut B, &[u64], &[u32], &[i64], &[f32]) -> Result<()>;

/// Hands columns of events (sessions, ordinals, times, weights) to a builder, a chunk at a time.
pub fn push_events<B: Send>(
    py: Python<'_>,
    builder: &Slot<B>,
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
        run(py, || builder.with(|b| push(b, &k, &i, &t, &w)))?;
    }
    Ok(())
}
