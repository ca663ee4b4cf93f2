//! `LogScanner`: blocks of log lines to columns.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use recsys_core::Error;
use recsys_core::eventlog::{Role, Rows, Scanned, Scanner};

use crate::guard::{held, run};

/// Adds this module's class.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyLogScanner>()
}

/// What a scan gives: lines, doubts (line, start, end, is kept), contexts, and the columns of each piece.
type Scan<'py> = (
    usize,
    Vec<(usize, usize, usize, bool)>,
    Vec<(u64, Vec<(String, String)>)>,
    Vec<Bound<'py, PyDict>>,
);

#[pyclass(name = "LogScanner", frozen)]
struct PyLogScanner(Scanner);

#[pymethods]
impl PyLogScanner {
    #[new]
    #[pyo3(signature = (role, *, oldest_us, newest_us, with_names))]
    fn new(role: &str, oldest_us: i64, newest_us: i64, with_names: bool) -> PyResult<Self> {
        let role = held(|| {
            Role::named(role).ok_or_else(|| Error::Build(format!("role `{role}`: there is none")))
        })?;
        Ok(Self(Scanner::new(role, oldest_us, newest_us, with_names)))
    }

    fn scan<'py>(&self, py: Python<'py>, block: &Bound<'py, PyBytes>) -> PyResult<Scan<'py>> {
        let bytes = block.as_bytes();
        let scanned: Scanned = run(py, || Ok(self.0.scan(bytes)))?;
        let doubts = scanned.doubts.iter();
        let doubts = doubts
            .map(|d| (d.line, d.start, d.end, d.is_kept))
            .collect();
        let contexts = scanned
            .contexts
            .into_iter()
            .map(|c| (c.id, c.pairs))
            .collect();
        let pieces = scanned.pieces.iter().map(|rows| columns_of(py, rows));
        Ok((
            scanned.lines,
            doubts,
            contexts,
            pieces.collect::<PyResult<_>>()?,
        ))
    }
}

fn columns_of<'py>(py: Python<'py>, rows: &Rows) -> PyResult<Bound<'py, PyDict>> {
    let columns = PyDict::new(py);
    for (name, bytes) in rows.columns() {
        columns.set_item(name, PyBytes::new(py, bytes))?;
    }
    Ok(columns)
}
