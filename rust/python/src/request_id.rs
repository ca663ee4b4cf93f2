//! `make_request_id`.

use pyo3::prelude::*;
use recsys_core::request_id::request_id;

/// Adds this module's function.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(make_request_id, m)?)
}

#[pyfunction]
fn make_request_id() -> String {
    request_id()
}
