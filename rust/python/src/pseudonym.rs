//! `Pseudonyms`.

use pyo3::prelude::*;
use recsys_core::pseudonym::Pseudonyms;

use crate::guard::held;

/// Adds this module's class.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyPseudonyms>()
}

/// The pseudonyms of one tenant.
#[pyclass(name = "Pseudonyms", frozen)]
pub struct PyPseudonyms {
    inner: Pseudonyms,
}

#[pymethods]
impl PyPseudonyms {
    #[new]
    fn new(salt: &[u8]) -> PyResult<Self> {
        let inner = held(|| Pseudonyms::new(salt))?;
        Ok(Self { inner })
    }

    fn of(&self, user_id: &str) -> String {
        self.inner.of(user_id)
    }
}
