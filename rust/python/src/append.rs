//! `AppendFile`.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

/// Adds this module's class.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<AppendFile>()
}

/// A new file that only grows. A write keeps the GIL: it goes to memory, which takes less time than to hand the GIL
/// to another thread and get it back.
#[pyclass(frozen)]
pub struct AppendFile {
    path: PathBuf,
    file: File,
}

#[pymethods]
impl AppendFile {
    #[new]
    fn new(path: PathBuf, mode: u32) -> PyResult<Self> {
        let mut options = OpenOptions::new();
        let file = options.append(true).create_new(true).mode(mode).open(&path);
        match file {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => Err(to_exception(&error, &path)),
        }
    }

    /// One `write(2)`.
    fn write(&self, data: &[u8]) -> PyResult<usize> {
        loop {
            match (&self.file).write(data) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(to_exception(&error, &self.path)),
                Ok(written) => return Ok(written),
            }
        }
    }

    fn fileno(&self) -> i32 {
        self.file.as_raw_fd()
    }
}

fn to_exception(error: &Error, path: &std::path::Path) -> PyErr {
    let Some(code) = error.raw_os_error() else {
        return PyValueError::new_err(error.to_string());
    };
    // "No space left on device (os error 28)": the number is in the exception already.
    let text = error.to_string();
    let reason = text
        .split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned();
    PyOSError::new_err((code, reason, path.to_owned()))
}
