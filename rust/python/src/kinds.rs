//! `build_content_sim` and `ImplicitBuilder`.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use recsys_core::builders::{
    ContentParams, Limits, PSEUDONYM_BYTES, Stop, UserItemsBuilder, UserItemsParams,
    build_content_sim,
};
use recsys_core::catalog::Catalog;
use recsys_core::signal::Signal;

use crate::builders::{CHUNK_ROWS, Slot, check_rows};
use crate::catalog::{PyCatalog, object};
use crate::columns::Column;
use crate::guard::{held, run, run_stoppable};
use crate::signal::PySignal;

/// Adds this module's class and function.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyImplicitBuilder>()?;
    m.add_function(wrap_pyfunction!(content_sim, m)?)
}

/// Writes the content signal of a catalog; returns its hex SHA-256.
#[pyfunction]
#[pyo3(name = "build_content_sim",
       signature = (path, catalog, *, top_n = 100, max_share = 0.05, scratch_dir, threads = 0, metadata = "{}"))]
#[allow(clippy::too_many_arguments)]
fn content_sim(
    py: Python<'_>,
    path: PathBuf,
    catalog: &PyCatalog,
    top_n: usize,
    max_share: f64,
    scratch_dir: PathBuf,
    threads: usize,
    metadata: &str,
) -> PyResult<String> {
    let catalog = catalog.inner.clone();
    let params = ContentParams { top_n, max_share };
    let stop = Stop::default();
    let limits = Limits {
        memory_bytes: 0,
        scratch_dir,
        threads,
        stop: stop.clone(),
    };
    run_stoppable(py, &stop, || {
        Ok(build_content_sim(&path, &catalog, params, &limits, object(metadata)?)?.sha256)
    })
}

/// Lists of users from item neighbours.
#[pyclass(name = "ImplicitBuilder", frozen)]
struct PyImplicitBuilder {
    catalog: Arc<Catalog>,
    neighbours: Arc<Signal>,
    builder: Slot<UserItemsBuilder>,
    stop: Stop,
}

#[pymethods]
impl PyImplicitBuilder {
    #[new]
    #[pyo3(signature = (catalog, neighbours, *, top_n = 100, max_history = 100, half_life_ms = None, drop_taken = true,
        memory_bytes, scratch_dir, threads = 0))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        catalog: &PyCatalog,
        neighbours: &PySignal,
        top_n: usize,
        max_history: usize,
        half_life_ms: Option<f64>,
        drop_taken: bool,
        memory_bytes: u64,
        scratch_dir: PathBuf,
        threads: usize,
    ) -> PyResult<Self> {
        let catalog = catalog.inner.clone();
        let params = UserItemsParams {
            top_n,
            max_history,
            half_life_ms,
            drop_taken,
        };
        let stop = Stop::default();
        let limits = Limits {
            memory_bytes,
            scratch_dir,
            threads,
            stop: stop.clone(),
        };
        let builder = run(py, || UserItemsBuilder::new(catalog.len(), params, limits))?;
        Ok(Self {
            catalog,
            neighbours: neighbours.inner.clone(),
            builder: Slot::new(builder),
            stop,
        })
    }

    fn push(
        &self,
        py: Python<'_>,
        users: &Bound<'_, PyAny>,
        ordinals: &Bound<'_, PyAny>,
        ts_ms: &Bound<'_, PyAny>,
        weights: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let keys = Column::<u8>::new("users", users)?;
        let items = Column::<u32>::new("ordinals", ordinals)?;
        let times = Column::<i64>::new("ts_ms", ts_ms)?;
        let amounts = Column::<f32>::new("weights", weights)?;
        let rows = held(|| {
            check_rows(&[
                ("ordinals", items.len),
                ("ts_ms", times.len),
                ("weights", amounts.len),
                ("users", keys.len / PSEUDONYM_BYTES),
            ])
        })?;
        for start in (0..rows).step_by(CHUNK_ROWS) {
            let k = keys.copy(start * PSEUDONYM_BYTES, CHUNK_ROWS * PSEUDONYM_BYTES)?;
            let (i, t) = (
                items.copy(start, CHUNK_ROWS)?,
                times.copy(start, CHUNK_ROWS)?,
            );
            let w = amounts.copy(start, CHUNK_ROWS)?;
            run(py, || self.builder.with(|b| b.push(&k, &i, &t, &w)))?;
        }
        Ok(())
    }

    #[pyo3(signature = (path, *, metadata = "{}"))]
    fn finish(&self, py: Python<'_>, path: PathBuf, metadata: &str) -> PyResult<String> {
        run_stoppable(py, &self.stop, || {
            let builder = self.builder.take()?;
            let built =
                builder.finish(&path, &self.catalog, &self.neighbours, object(metadata)?)?;
            Ok(built.sha256)
        })
    }
}
