//! `Signal`.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use recsys_core::signal::{KeyType, Signal};

use crate::catalog::{PyCatalog, json};
use crate::guard::{held, run};

/// Adds this module's class.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PySignal>()
}

/// A mapped signal: key -> ranked list of (item, score).
#[pyclass(name = "Signal", frozen)]
pub struct PySignal {
    /// The core's signal.
    pub inner: Arc<Signal>,
}

#[pymethods]
impl PySignal {
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let inner = run(py, || Signal::open(&path))?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    #[getter]
    fn path(&self) -> String {
        self.inner.path().to_string_lossy().into_owned()
    }

    #[getter]
    fn kind(&self) -> String {
        self.inner.kind().to_owned()
    }

    #[getter]
    fn key_type(&self) -> &'static str {
        self.inner.key_type().name()
    }

    #[getter]
    fn n_keys(&self) -> usize {
        self.inner.key_count()
    }

    #[getter]
    fn n_entries(&self) -> usize {
        self.inner.entry_count()
    }

    #[getter]
    fn ids_digest(&self) -> String {
        self.inner.ids_digest().to_owned()
    }

    #[getter]
    fn metadata(&self) -> String {
        json(self.inner.metadata())
    }

    fn keys(&self, offset: usize, limit: usize) -> PyResult<Vec<String>> {
        if self.inner.key_type() == KeyType::Item {
            return Ok(Vec::new());
        }
        let range = offset.min(self.inner.key_count())
            ..offset.saturating_add(limit).min(self.inner.key_count());
        held(|| {
            range
                .map(|key| Ok(self.inner.key_name(key as u32)?.to_owned()))
                .collect()
        })
    }

    fn ranked(
        &self,
        catalog: &PyCatalog,
        key: &str,
        limit: usize,
    ) -> PyResult<Option<Vec<(String, f64)>>> {
        let catalog = &catalog.inner;
        held(|| {
            self.inner.check_catalog(catalog)?;
            let key = match self.inner.key_type() {
                KeyType::Item => catalog.ordinal(key)?,
                _ => self.inner.key(key)?,
            };
            let Some(key) = key else { return Ok(None) };
            let list = self.inner.list(key)?;
            let named = |i| {
                let (item, score) = list.get(i)?;
                Ok((catalog.id(item)?.to_owned(), score))
            };
            (0..list.len().min(limit))
                .map(named)
                .collect::<recsys_core::Result<_>>()
                .map(Some)
        })
    }

    fn list_lengths(&self, py: Python<'_>) -> PyResult<Vec<usize>> {
        let lengths = || {
            (0..self.inner.key_count() as u32)
                .map(|key| Ok(self.inner.list(key)?.len()))
                .collect()
        };
        run(py, lengths)
    }
}
