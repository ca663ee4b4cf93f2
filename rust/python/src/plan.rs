//! `Source`, `Rung`, `ItemGroup` and `RuleSet`: the parts of a plan.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use recsys_core::catalog::{Attribute, Catalog};
use recsys_core::rank::{Group, ItemSet, Neighbourhood, Normalizer, Origin, Rules, Rung, Source};
use recsys_core::{Ordinal, Result};

use crate::catalog::PyCatalog;
use crate::guard::{held, run};
use crate::session_index::PySessionIndex;
use crate::signal::PySignal;

/// Adds this module's classes.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PySource>()?;
    m.add_class::<PyRung>()?;
    m.add_class::<PyItemGroup>()?;
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
        let origin = Origin::Lists(Arc::clone(&signal.inner));
        source(name, origin, key, weight, weight_group, normalizer)
    }

    #[staticmethod]
    #[pyo3(signature = (name, index, *, recent_sessions, neighbors, last_items, weight, weight_group,
        normalizer="saturating"))]
    #[allow(clippy::too_many_arguments)] // The settings of a source, by name.
    fn of_sessions(
        name: String,
        index: &PySessionIndex,
        recent_sessions: usize,
        neighbors: usize,
        last_items: usize,
        weight: f64,
        weight_group: &str,
        normalizer: &str,
    ) -> PyResult<Self> {
        let neighbourhood = Neighbourhood {
            recent_sessions,
            neighbors,
            last_items,
        };
        let origin = Origin::Sessions(Arc::clone(&index.inner), neighbourhood);
        source(name, origin, None, weight, weight_group, normalizer)
    }
}

fn source(
    name: String,
    origin: Origin,
    key: Option<String>,
    weight: f64,
    weight_group: &str,
    normalizer: &str,
) -> PyResult<PySource> {
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
    Ok(PySource {
        inner: Source {
            name,
            origin,
            key,
            weight,
            group,
            normalizer,
        },
    })
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

/// The items behind one tag, brand or category of a catalog.
#[pyclass(name = "ItemGroup", frozen)]
pub struct PyItemGroup {
    catalog: Arc<Catalog>,
    items: Vec<Ordinal>,
}

#[pymethods]
impl PyItemGroup {
    /// Finds all groups in one pass over the catalog.
    #[staticmethod]
    fn find(
        py: Python<'_>,
        catalog: &PyCatalog,
        targets: Vec<(String, String)>,
    ) -> PyResult<Vec<Self>> {
        let groups = targets
            .iter()
            .map(|(attribute, name)| match attribute.as_str() {
                "TAG" => Ok((Attribute::Tag, name.as_str())),
                "BRAND" => Ok((Attribute::Brand, name.as_str())),
                "CATEGORY" => Ok((Attribute::Category, name.as_str())),
                other => Err(unknown("attribute", other, "TAG, BRAND or CATEGORY")),
            })
            .collect::<PyResult<Vec<_>>>()?;
        let catalog = &catalog.inner;
        let found = run(py, || catalog.items_behind(&groups))?;
        Ok(found
            .into_iter()
            .map(|items| Self {
                catalog: Arc::clone(catalog),
                items,
            })
            .collect())
    }

    #[getter]
    fn n_items(&self) -> usize {
        self.items.len()
    }

    #[getter]
    fn item_ids(&self) -> PyResult<Vec<String>> {
        held(|| {
            self.items
                .iter()
                .map(|item| self.catalog.id(*item).map(str::to_owned))
                .collect()
        })
    }
}

/// What a rule is about: ids, or a group that was found before.
#[derive(FromPyObject)]
enum Target<'py> {
    Group(PyRef<'py, PyItemGroup>),
    Ids(Vec<String>),
}

/// A target without its Python object, so that it can be resolved without the GIL.
enum Items {
    Found(Vec<Ordinal>),
    Ids(Vec<String>),
}

impl Items {
    fn new(target: Target<'_>, catalog: &Arc<Catalog>) -> PyResult<Self> {
        match target {
            Target::Ids(ids) => Ok(Self::Ids(ids)),
            Target::Group(group) if Arc::ptr_eq(&group.catalog, catalog) => {
                Ok(Self::Found(group.items.clone()))
            }
            Target::Group(_) => Err(PyValueError::new_err(
                "an item group belongs to another catalog than the rules",
            )),
        }
    }

    fn resolve(self, catalog: &Catalog) -> Result<Vec<Ordinal>> {
        match self {
            Self::Found(items) => Ok(items),
            Self::Ids(ids) => ordinals(catalog, &ids),
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
        blocked: Vec<(String, Target<'_>)>,
        boosts: Vec<(String, Target<'_>, f64)>,
        pins: Vec<(String, Target<'_>)>,
        max_pins: usize,
    ) -> PyResult<Self> {
        let catalog = &catalog.inner;
        let items = |(rule, target)| Ok((rule, Items::new(target, catalog)?));
        let blocked = blocked
            .into_iter()
            .map(items)
            .collect::<PyResult<Vec<_>>>()?;
        let pins = pins.into_iter().map(items).collect::<PyResult<Vec<_>>>()?;
        let boosts = boosts
            .into_iter()
            .map(|(rule, target, by)| Ok((rule, Items::new(target, catalog)?, by)))
            .collect::<PyResult<Vec<_>>>()?;
        let rules = run(py, || {
            let set = |items: Items| Ok(ItemSet::new(items.resolve(catalog)?, catalog.len()));
            Ok(Rules {
                blocked: blocked
                    .into_iter()
                    .map(|(rule, items)| Ok((rule, set(items)?)))
                    .collect::<Result<_>>()?,
                boosts: boosts
                    .into_iter()
                    .map(|(rule, items, by)| Ok((rule, set(items)?, by)))
                    .collect::<Result<_>>()?,
                pins: pins
                    .into_iter()
                    .map(|(rule, items)| Ok((rule, items.resolve(catalog)?)))
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
