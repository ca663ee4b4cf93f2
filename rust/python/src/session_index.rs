//! `SessionIndex`.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use recsys_core::rank::{Neighbourhood, goes_with};
use recsys_core::sessions::{KIND, SessionIndex};

use crate::catalog::{PyCatalog, json};
use crate::guard::run;

/// Adds this module's class.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PySessionIndex>()
}

/// A mapped session index: past sessions, searched at request time.
#[pyclass(name = "SessionIndex", frozen)]
pub struct PySessionIndex {
    /// The core's index.
    pub inner: Arc<SessionIndex>,
}

#[pymethods]
impl PySessionIndex {
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let inner = run(py, || SessionIndex::open(&path))?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    #[getter]
    fn path(&self) -> String {
        self.inner.path().to_string_lossy().into_owned()
    }

    #[getter]
    fn kind(&self) -> &'static str {
        KIND
    }

    #[getter]
    fn n_items(&self) -> usize {
        self.inner.item_count()
    }

    #[getter]
    fn n_sessions(&self) -> usize {
        self.inner.session_count()
    }

    #[getter]
    fn n_entries(&self) -> usize {
        self.inner.entry_count()
    }

    #[getter]
    fn sessions_per_item(&self) -> usize {
        self.inner.sessions_per_item()
    }

    #[getter]
    fn ids_digest(&self) -> String {
        self.inner.ids_digest().to_owned()
    }

    #[getter]
    fn metadata(&self) -> String {
        json(self.inner.metadata())
    }

    #[pyo3(signature = (catalog, item_id, limit, *, recent_sessions = 500, neighbors = 100))]
    fn ranked(
        &self,
        py: Python<'_>,
        catalog: &PyCatalog,
        item_id: &str,
        limit: usize,
        recent_sessions: usize,
        neighbors: usize,
    ) -> PyResult<Option<Vec<(String, f64)>>> {
        let (catalog, index) = (&catalog.inner, &self.inner);
        run(py, || {
            index.check_catalog(catalog)?;
            let Some(item) = catalog.ordinal(item_id)? else {
                return Ok(None);
            };
            let neighbourhood = Neighbourhood {
                recent_sessions,
                neighbors,
                last_items: 1,
            };
            let found = goes_with(index, &[item], neighbourhood)?;
            let named = |(item, score)| Ok((catalog.id(item)?.to_owned(), score));
            found
                .into_iter()
                .take(limit)
                .map(named)
                .collect::<recsys_core::Result<_>>()
                .map(Some)
        })
    }

    fn list_lengths(&self, py: Python<'_>) -> PyResult<Vec<usize>> {
        let items = 0..self.inner.item_count() as u32;
        run(py, || {
            items
                .map(|item| Ok(self.inner.sessions(item)?.len()))
                .collect()
        })
    }

    fn session_lengths(&self, py: Python<'_>) -> PyResult<Vec<usize>> {
        let sessions = 0..self.inner.session_count() as u32;
        run(py, || {
            sessions
                .map(|session| Ok(self.inner.items(session)?.len()))
                .collect()
        })
    }
}
