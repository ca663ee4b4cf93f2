//! `frame_exposure`.

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use recsys_core::exposure::Frame;

/// Adds this module's function.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(frame_exposure, m)?)
}

/// The line of an exposure before and after its items.
#[pyfunction]
#[pyo3(signature = (request_id, user, at_us, context, latency_ms, is_error, /))]
fn frame_exposure<'py>(
    py: Python<'py>,
    request_id: &str,
    user: &str,
    at_us: u64,
    context: &[u8],
    latency_ms: f64,
    is_error: bool,
) -> (Bound<'py, PyBytes>, Bound<'py, PyBytes>) {
    let frame = Frame {
        request_id,
        user,
        at_us,
        context: &[context],
        latency_ms,
        is_error,
    };
    let (mut before, mut after) = (Vec::with_capacity(256), Vec::with_capacity(512));
    frame.push_before(&mut before);
    frame.push_after(&mut after);
    (PyBytes::new(py, &before), PyBytes::new(py, &after))
}
