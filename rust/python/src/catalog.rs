//! `Catalog`, `Item`, `build_catalog` and `verify`.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use recsys_core::catalog::{Catalog, Row, build};
use recsys_core::{Error, NONE, Ordinal, Result};

use crate::guard::{held, run};

/// Adds this module's classes and functions.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyItem>()?;
    m.add_class::<PyCatalog>()?;
    m.add_function(wrap_pyfunction!(build_catalog, m)?)?;
    m.add_function(wrap_pyfunction!(verify, m)?)
}

/// What a catalog says of one item.
#[pyclass(name = "Item", frozen, get_all)]
pub struct PyItem {
    item_id: String,
    title: Option<String>,
    tags: Vec<String>,
    brand: Option<String>,
    category: Option<String>,
    price: Option<f64>,
    created_at_ms: Option<i64>,
    valid_until_ms: Option<i64>,
    available: bool,
}

/// A mapped catalog.
#[pyclass(name = "Catalog", frozen)]
pub struct PyCatalog {
    /// The core's catalog.
    pub inner: Arc<Catalog>,
}

#[pymethods]
impl PyCatalog {
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let inner = run(py, || Catalog::open(&path))?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    #[getter]
    fn path(&self) -> String {
        self.inner.path().to_string_lossy().into_owned()
    }

    #[getter]
    fn n_items(&self) -> usize {
        self.inner.len()
    }

    #[getter]
    fn ids_digest(&self) -> String {
        self.inner.ids_digest().to_owned()
    }

    #[getter]
    fn metadata(&self) -> String {
        json(self.inner.metadata())
    }

    fn ordinal(&self, item_id: &str) -> PyResult<Option<Ordinal>> {
        held(|| self.inner.ordinal(item_id))
    }

    fn item(&self, item_id: &str) -> PyResult<Option<PyItem>> {
        held(|| {
            self.inner
                .ordinal(item_id)?
                .map(|ordinal| item(&self.inner, ordinal))
                .transpose()
        })
    }

    fn item_at(&self, ordinal: Ordinal) -> PyResult<PyItem> {
        held(|| item(&self.inner, ordinal))
    }

    fn tag_counts(&self, py: Python<'_>) -> PyResult<Vec<(String, usize)>> {
        let counts = || {
            let codes = 0..self.inner.tag_count() as u32;
            codes
                .map(|code| {
                    Ok((
                        self.inner.tag(code)?.to_owned(),
                        self.inner.tagged(code)?.len(),
                    ))
                })
                .collect()
        };
        run(py, counts)
    }
}

fn item(catalog: &Catalog, ordinal: Ordinal) -> Result<PyItem> {
    let label = |code: u32, name: &str| {
        if code == NONE {
            None
        } else {
            Some(name.to_owned())
        }
    };
    let (brand, category) = (catalog.brand(ordinal), catalog.category(ordinal));
    Ok(PyItem {
        item_id: catalog.id(ordinal)?.to_owned(),
        title: catalog.title(ordinal)?.map(str::to_owned),
        tags: catalog
            .tags(ordinal)?
            .iter()
            .map(|tag| Ok(catalog.tag(*tag)?.to_owned()))
            .collect::<Result<_>>()?,
        brand: label(
            brand,
            if brand == NONE {
                ""
            } else {
                catalog.brand_name(brand)?
            },
        ),
        category: label(
            category,
            if category == NONE {
                ""
            } else {
                catalog.category_name(category)?
            },
        ),
        price: catalog.price(ordinal),
        created_at_ms: catalog.created_at_ms(ordinal),
        valid_until_ms: catalog.valid_until_ms(ordinal),
        available: catalog.is_available(ordinal),
    })
}

/// Writes a catalog file; returns its hex SHA-256.
#[pyfunction]
#[pyo3(signature = (path, item_ids, *, titles=None, tags=None, brands=None, categories=None, prices=None,
    created_at_ms=None, valid_until_ms=None, available=None, metadata="{}"))]
#[allow(clippy::too_many_arguments)] // The columns of a catalog, by name.
fn build_catalog(
    py: Python<'_>,
    path: PathBuf,
    item_ids: Vec<String>,
    titles: Option<Vec<Option<String>>>,
    tags: Option<Vec<Vec<String>>>,
    brands: Option<Vec<Option<String>>>,
    categories: Option<Vec<Option<String>>>,
    prices: Option<Vec<Option<f64>>>,
    created_at_ms: Option<Vec<Option<i64>>>,
    valid_until_ms: Option<Vec<Option<i64>>>,
    available: Option<Vec<bool>>,
    metadata: &str,
) -> PyResult<String> {
    run(py, || {
        let n = item_ids.len();
        let mut titles = column::<Option<String>>("titles", titles, n)?;
        let mut tags = column::<Vec<String>>("tags", tags, n)?;
        let mut brands = column::<Option<String>>("brands", brands, n)?;
        let mut categories = column::<Option<String>>("categories", categories, n)?;
        let prices = column("prices", prices, n)?;
        let created = column("created_at_ms", created_at_ms, n)?;
        let valid = column("valid_until_ms", valid_until_ms, n)?;
        let available = match available {
            Some(available) => column("available", Some(available), n)?,
            None => vec![true; n],
        };
        let row = |(i, id): (usize, String)| Row {
            id,
            title: titles[i].take(),
            tags: std::mem::take(&mut tags[i]),
            brand: brands[i].take(),
            category: categories[i].take(),
            price: prices[i],
            created_at_ms: created[i],
            valid_until_ms: valid[i],
            available: available[i],
        };
        let rows = item_ids.into_iter().enumerate().map(row).collect();
        build(&path, rows, object(metadata)?)
    })
}

/// Checks everything in a file; returns a JSON report.
#[pyfunction]
fn verify(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    run(py, || {
        recsys_core::verify(&path).map(|report| report.to_string())
    })
}

fn column<T: Default + Clone>(name: &str, values: Option<Vec<T>>, n: usize) -> Result<Vec<T>> {
    match values {
        None => Ok(vec![T::default(); n]),
        Some(values) if values.len() == n => Ok(values),
        Some(values) => Err(Error::Build(format!(
            "{name}: {} values for {n} items",
            values.len()
        ))),
    }
}

/// The metadata that a caller gives as a JSON object.
pub fn object(text: &str) -> Result<serde_json::Map<String, serde_json::Value>> {
    serde_json::from_str(text)
        .map_err(|e| Error::Build(format!("metadata: not a JSON object: {e}")))
}

/// A metadata block as JSON.
pub fn json(metadata: &serde_json::Map<String, serde_json::Value>) -> String {
    serde_json::Value::Object(metadata.clone()).to_string()
}
