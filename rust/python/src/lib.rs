//! The Python face of recsys-core: conversion only. `python/recsys/_native.pyi` is its interface.

mod append;
mod builders;
mod catalog;
mod columns;
mod exposure;
mod guard;
mod kinds;
mod plain_request;
mod plan;
mod pseudonym;
mod rank;
mod ranked;
mod request_id;
mod scan;
mod session_builders;
mod session_index;
mod signal;

use pyo3::prelude::*;

/// The native extension: mapped catalogs, signals and session indexes, their builders, and the ranker.
#[pymodule]
fn _native(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("FORMAT_VERSION", recsys_core::format::FORMAT_VERSION)?;
    catalog::register(m)?;
    signal::register(m)?;
    builders::register(m)?;
    kinds::register(m)?;
    scan::register(m)?;
    session_builders::register(m)?;
    session_index::register(m)?;
    plain_request::register(m)?;
    plan::register(m)?;
    pseudonym::register(m)?;
    append::register(m)?;
    exposure::register(m)?;
    request_id::register(m)?;
    rank::register(m)
}
