//! The border: core code runs without the GIL, and only the package's own exceptions come out of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use pyo3::import_exception;
use pyo3::prelude::*;
use recsys_core::Error;
use recsys_core::builders::Stop;

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

/// How often work that takes long is asked whether it shall go on.
const POLL: Duration = Duration::from_millis(50);

/// As [`run`], for work that takes long: what a signal raises, such as Ctrl-C, asks the work to stop, and is raised once
/// it has.
pub fn run_stoppable<T: Send>(
    py: Python<'_>,
    stop: &Stop,
    work: impl FnOnce() -> recsys_core::Result<T> + Send,
) -> PyResult<T> {
    let (raised, ended) = py.detach(|| {
        std::thread::scope(|scope| {
            let (end, ends) = channel::<()>();
            let worker = scope.spawn(move || {
                let _ends_with_the_work = end;
                caught(work)
            });
            let mut raised = None;
            while ends.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = Python::attach(|py| py.check_signals()) {
                    stop.ask();
                    raised = Some(error);
                }
            }
            (raised, worker.join())
        })
    });
    if let Some(error) = raised {
        return Err(error);
    }
    ended.map_err(|_| internal_error())??.map_err(to_exception)
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
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| internal_error())
}

fn internal_error() -> PyErr {
    ServingError::new_err("internal error in the native extension")
}

fn to_exception(error: Error) -> PyErr {
    let message = error.to_string();
    match error {
        Error::Build(_) | Error::Stopped => BuildError::new_err(message),
        Error::Plan(_) => ServingError::new_err(message),
        _ => ArtifactError::new_err(message),
    }
}
