//! The border: core code runs without the GIL, and only the package's own exceptions come out of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::import_exception;
use pyo3::prelude::*;
use recsys_core::Error;

import_exception!(recsys.contracts.errors, ArtifactError);
import_exception!(recsys.contracts.errors, BuildError);
import_exception!(recsys.contracts.errors, ServingError);

/// Runs `work` without the GIL. Whatever it does with shared state is read-only or rebuilt by the next call, so a
/// panic inside leaves nothing half done and becomes a `ServingError`.
pub fn run<T: Send>(
    py: Python<'_>,
    work: impl FnOnce() -> recsys_core::Result<T> + Send,
) -> PyResult<T> {
    py.detach(|| caught(work))?.map_err(to_exception)
}

/// As [`run`], for ranking: a file that turns out corrupt while it serves is a `ServingError` too. A brief call
/// keeps the GIL, which takes longer to hand over and get back than the call itself.
pub fn serve<T: Send>(
    py: Python<'_>,
    is_brief: bool,
    work: impl FnOnce() -> recsys_core::Result<T> + Send,
) -> PyResult<T> {
    let result = if is_brief {
        caught(work)?
    } else {
        py.detach(|| caught(work))?
    };
    result.map_err(|error| ServingError::new_err(error.to_string()))
}

/// Runs short `work` that is not worth a release of the GIL.
pub fn held<T>(work: impl FnOnce() -> recsys_core::Result<T>) -> PyResult<T> {
    caught(work)?.map_err(to_exception)
}

fn caught<T>(work: impl FnOnce() -> recsys_core::Result<T>) -> PyResult<recsys_core::Result<T>> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| ServingError::new_err("internal error in the native extension"))
}

fn to_exception(error: Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Build(_) => BuildError::new_err(message),
        Error::Plan(_) => ServingError::new_err(message),
        _ => ArtifactError::new_err(message),
    }
}
