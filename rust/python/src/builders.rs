//! `PopularityBuilder`, `SignalPacker`, and the functions that make their columns.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView};
use recsys_core::builders::strings::Strings;
use recsys_core::builders::{Limits, PopularityBuilder, SignalPacker, Stop};
use recsys_core::catalog::Catalog;
use recsys_core::signal::KeyType;
use recsys_core::{Error, Result};

use crate::catalog::{PyCatalog, object};
use crate::columns::Column;
use crate::guard::{held, run, run_stoppable};

/// Rows that are copied out of Python's buffers at a time, so that a copy of a whole column is never made.
pub const CHUNK_ROWS: usize = 1 << 18;

/// Adds this module's classes and functions.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PySignalPacker>()?;
    m.add_class::<PyPopularityBuilder>()?;
    m.add_function(wrap_pyfunction!(hash_strings, m)?)?;
    m.add_function(wrap_pyfunction!(ordinals_of, m)?)
}

/// Refuses columns of different lengths before the first row of any is taken.
pub fn check_rows(columns: &[(&str, usize)]) -> Result<usize> {
    let rows = columns[0].1;
    match columns.iter().find(|(_, length)| *length != rows) {
        None => Ok(rows),
        Some((name, n)) => Err(Error::Build(format!(
            "columns differ in length: {} {rows}, {name} {n}",
            columns[0].0
        ))),
    }
}

/// A builder that `finish` takes; after that it is gone.
pub struct Slot<B>(Mutex<Option<B>>);

impl<B> Slot<B> {
    /// A builder that is not finished.
    pub fn new(builder: B) -> Self {
        Self(Mutex::new(Some(builder)))
    }

    /// Works on the builder.
    pub fn with<T>(&self, work: impl FnOnce(&mut B) -> Result<T>) -> Result<T> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_mut().ok_or_else(finished).and_then(work)
    }

    /// Takes the builder for good.
    pub fn take(&self) -> Result<B> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
            .ok_or_else(finished)
    }
}

fn finished() -> Error {
    Error::Build("the builder is finished".to_owned())
}

/// Turns (key, item, score) rows of any origin into a signal.
#[pyclass(name = "SignalPacker", frozen)]
struct PySignalPacker {
    catalog: Arc<Catalog>,
    packer: Slot<SignalPacker>,
    unknown_items: Mutex<u64>,
}

#[pymethods]
impl PySignalPacker {
    #[new]
    #[pyo3(signature = (catalog, *, kind, key_type))]
    fn new(catalog: &PyCatalog, kind: &str, key_type: &str) -> PyResult<Self> {
        let key_type = held(|| {
            KeyType::ALL
                .into_iter()
                .find(|t| t.name() == key_type)
                .ok_or_else(|| {
                    Error::Build(format!(
                        "key_type `{key_type}`: must be segment, item or user"
                    ))
                })
        })?;
        Ok(Self {
            catalog: catalog.inner.clone(),
            packer: Slot::new(SignalPacker::new(kind, key_type)),
            unknown_items: Mutex::new(0),
        })
    }

    fn push(
        &self,
        py: Python<'_>,
        key: &str,
        item_ids: Vec<String>,
        scores: Vec<f64>,
    ) -> PyResult<()> {
        run(py, || {
            self.packer.with(|packer| {
                let pushed = packer.push(&self.catalog, key, &item_ids, &scores);
                *self
                    .unknown_items
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = packer.unknown_items();
                pushed
            })
        })
    }

    #[pyo3(signature = (path, *, metadata = "{}"))]
    fn finish(&self, py: Python<'_>, path: PathBuf, metadata: &str) -> PyResult<String> {
        run(py, || {
            let metadata = object(metadata)?;
            Ok(self
                .packer
                .take()?
                .finish(&path, &self.catalog, metadata)?
                .sha256)
        })
    }

    #[getter]
    fn unknown_items(&self) -> u64 {
        *self
            .unknown_items
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Popularity with half-life decay.
#[pyclass(name = "PopularityBuilder", frozen)]
struct PyPopularityBuilder {
    catalog: Arc<Catalog>,
    builder: Slot<PopularityBuilder>,
    stop: Stop,
}

#[pymethods]
impl PyPopularityBuilder {
    #[new]
    #[pyo3(signature = (catalog, *, now_ms, half_life_ms, memory_bytes, scratch_dir, threads = 0))]
    fn new(
        py: Python<'_>,
        catalog: &PyCatalog,
        now_ms: i64,
        half_life_ms: Option<f64>,
        memory_bytes: u64,
        scratch_dir: PathBuf,
        threads: usize,
    ) -> PyResult<Self> {
        let catalog = catalog.inner.clone();
        let stop = Stop::default();
        let limits = Limits {
            memory_bytes,
            scratch_dir,
            threads,
            stop: stop.clone(),
        };
        let n_items = catalog.len();
        let builder = run(py, || {
            PopularityBuilder::new(n_items, now_ms, half_life_ms, limits)
        })?;
        Ok(Self {
            catalog,
            builder: Slot::new(builder),
            stop,
        })
    }

    fn push(
        &self,
        py: Python<'_>,
        segments: Vec<String>,
        segment_codes: &Bound<'_, PyAny>,
        ordinals: &Bound<'_, PyAny>,
        ts_ms: &Bound<'_, PyAny>,
        weights: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let codes = Column::<u32>::new("segment_codes", segment_codes)?;
        let items = Column::<u32>::new("ordinals", ordinals)?;
        let times = Column::<i64>::new("ts_ms", ts_ms)?;
        let amounts = Column::<f64>::new("weights", weights)?;
        let rows = held(|| {
            check_rows(&[
                ("segment_codes", codes.len),
                ("ordinals", items.len),
                ("ts_ms", times.len),
                ("weights", amounts.len),
            ])
        })?;
        for start in (0..rows).step_by(CHUNK_ROWS) {
            let (c, i) = (
                codes.copy(start, CHUNK_ROWS)?,
                items.copy(start, CHUNK_ROWS)?,
            );
            let (t, w) = (
                times.copy(start, CHUNK_ROWS)?,
                amounts.copy(start, CHUNK_ROWS)?,
            );
            run(py, || {
                self.builder.with(|b| b.push(&segments, &c, &i, &t, &w))
            })?;
        }
        Ok(())
    }

    #[pyo3(signature = (path, *, metadata = "{}"))]
    fn finish(&self, py: Python<'_>, path: PathBuf, metadata: &str) -> PyResult<String> {
        run_stoppable(py, &self.stop, || {
            let metadata = object(metadata)?;
            Ok(self
                .builder
                .take()?
                .finish(&path, &self.catalog, metadata)?
                .sha256)
        })
    }
}

/// The offsets and the bytes of an Arrow string array.
fn read_strings(
    offsets: &Bound<'_, PyAny>,
    data: &Bound<'_, PyAny>,
) -> PyResult<(Vec<i64>, Vec<u8>)> {
    // Four bytes wide if the buffer says so; plain bytes are taken for 64-bit offsets.
    let width =
        PyMemoryView::from(offsets).and_then(|view| view.getattr("itemsize")?.extract::<usize>());
    let offsets = if width.is_ok_and(|width| width == size_of::<i32>()) {
        let narrow = Column::<i32>::new("offsets", offsets)?.copy(0, usize::MAX)?;
        narrow.into_iter().map(i64::from).collect()
    } else {
        Column::<i64>::new("offsets", offsets)?.copy(0, usize::MAX)?
    };
    let data = Column::<u8>::new("data", data)?.copy(0, usize::MAX)?;
    Ok((offsets, data))
}

#[pyfunction]
fn hash_strings<'py>(
    py: Python<'py>,
    offsets: &Bound<'py, PyAny>,
    data: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let (offsets, data) = read_strings(offsets, data)?;
    let bytes = run(py, || {
        let hashes = Strings::new(&offsets, &data)?.hashes();
        Ok(hashes
            .into_iter()
            .flat_map(u64::to_le_bytes)
            .collect::<Vec<u8>>())
    })?;
    Ok(PyBytes::new(py, &bytes))
}

#[pyfunction]
fn ordinals_of<'py>(
    py: Python<'py>,
    catalog: &PyCatalog,
    offsets: &Bound<'py, PyAny>,
    data: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let (offsets, data) = read_strings(offsets, data)?;
    let catalog = catalog.inner.clone();
    let bytes = run(py, || {
        let ordinals = Strings::new(&offsets, &data)?.ordinals(&catalog)?;
        Ok(ordinals
            .into_iter()
            .flat_map(u32::to_le_bytes)
            .collect::<Vec<u8>>())
    })?;
    Ok(PyBytes::new(py, &bytes))
}
