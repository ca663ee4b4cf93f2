//! `Source`, `Rung` and `RuleSet`: the parts of a plan.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use recsys_core::catalog::Catalog;
use recsys_core::rank::{Group, ItemSet, Normalizer, Rules, Rung, Source};
use recsys_core::{Ordinal, Result};

use crate::catalog::PyCatalog;
use crate::guard::run;
use crate::signal::PySignal;

/// Adds this module's classes.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PySource>()?;
    m.add_class::<PyRung>()?;
    m.add_class::<PyRules>()
}

/// One signal in a mode.
#[pyclass(name = "Source", frozen)]
pub struct PySource {
    /// The core's source.
    pub inner: Source,
}

#[pymethods]
impl PySource {
    #[new]
    #[pyo3(signature = (name, signal, *, key=None, weight, weight_group, normalizer="saturating"))]
    fn new(
        name: String,
        signal: &PySignal,
        key: Option<String>,
        weight: f64,
        weight_group: &str,
        normalizer: &str,
    ) -> PyResult<Self> {
        let group = match weight_group {
            "pop" => Group::Pop,
            "cooc" => Group::Cooc,
            "emb" => Group::Emb,
            other => return Err(unknown("weight_group", other, "pop, cooc or emb")),
        };
        let normalizer = match normalizer {
            "saturating" => Normalizer::Saturating,
            "max" => Normalizer::Max,
            "none" => Normalizer::None,
            other => return Err(unknown("normalizer", other, "saturating, max or none")),
        };
        Ok(Self {
            inner: Source {
                name,
                signal: Arc::clone(&signal.inner),
                key,
                weight,
                group,
                normalizer,
            },
        })
    }
}

/// One rung of the ladder against empty lists.
#[pyclass(name = "Rung", frozen)]
pub struct PyRung {
    /// The core's rung.
    pub inner: Rung,
}

#[pymethods]
impl PyRung {
    #[staticmethod]
    fn of_signal(name: String, signal: &PySignal, key: String) -> Self {
        Self {
            inner: Rung::Signal {
                name,
                signal: Arc::clone(&signal.inner),
                key,
            },
        }
    }

    #[staticmethod]
    fn newest(name: String) -> Self {
        Self {
            inner: Rung::Newest { name },
        }
    }
}

/// Rules resolved to ordinals, in order of authority.
#[pyclass(name = "RuleSet", frozen)]
pub struct PyRules {
    /// The core's rules.
    pub inner: Arc<Rules>,
}

#[pymethods]
impl PyRules {
    #[new]
    #[pyo3(signature = (catalog, *, blocked=Vec::new(), boosts=Vec::new(), pins=Vec::new(), max_pins=3))]
    fn new(
        py: Python<'_>,
        catalog: &PyCatalog,
        blocked: Vec<(String, Vec<String>)>,
        boosts: Vec<(String, Vec<String>, f64)>,
        pins: Vec<(String, Vec<String>)>,
        max_pins: usize,
    ) -> PyResult<Self> {
        let catalog = &catalog.inner;
        let rules = run(py, || {
            let set = |ids: &[String]| Ok(ItemSet::new(ordinals(catalog, ids)?, catalog.len()));
            Ok(Rules {
                blocked: blocked
                    .into_iter()
                    .map(|(rule, ids)| Ok((rule, set(&ids)?)))
                    .collect::<Result<_>>()?,
                boosts: boosts
                    .into_iter()
                    .map(|(rule, ids, by)| Ok((rule, set(&ids)?, by)))
                    .collect::<Result<_>>()?,
                pins: pins
                    .into_iter()
                    .map(|(rule, ids)| Ok((rule, ordinals(catalog, &ids)?)))
                    .collect::<Result<_>>()?,
                max_pins,
            })
        })?;
        Ok(Self {
            inner: Arc::new(rules),
        })
    }
}

fn ordinals(catalog: &Catalog, ids: &[String]) -> Result<Vec<Ordinal>> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.extend(catalog.ordinal(id)?);
    }
    Ok(found)
}

fn unknown(field: &str, found: &str, expected: &str) -> PyErr {
    PyValueError::new_err(format!("{field}: `{found}` is not {expected}"))
}
