//! `PlainReader` and `PlainRequest`.

use pyo3::prelude::*;
use recsys_core::plain_request::{Limits, PlainRequest, Reader};

/// Adds this module's classes.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyReader>()?;
    m.add_class::<PyPlainRequest>()
}

/// Reads the bodies of requests that ask for nothing special.
#[pyclass(name = "PlainReader", frozen)]
pub struct PyReader {
    inner: Reader,
}

#[pymethods]
impl PyReader {
    #[new]
    #[pyo3(signature = (*, k, anchors, excluded, tags, user_id, label))]
    fn new(
        k: usize,
        anchors: usize,
        excluded: usize,
        tags: usize,
        user_id: usize,
        label: usize,
    ) -> Self {
        let inner = Reader::new(Limits {
            k,
            anchors,
            excluded,
            tags,
            user_id,
            label,
        });
        Self { inner }
    }

    fn recommend(&self, body: &[u8]) -> Option<PyPlainRequest> {
        self.inner.recommend(body).map(PyPlainRequest::from)
    }

    fn similar(&self, body: &[u8]) -> Option<PyPlainRequest> {
        self.inner.similar(body).map(PyPlainRequest::from)
    }
}

/// What such a body asks for.
#[pyclass(name = "PlainRequest", frozen)]
pub struct PyPlainRequest {
    /// The core's request.
    pub inner: PlainRequest,
}

impl From<PlainRequest> for PyPlainRequest {
    fn from(inner: PlainRequest) -> Self {
        Self { inner }
    }
}

#[pymethods]
impl PyPlainRequest {
    #[getter]
    fn surface(&self) -> &str {
        self.inner.surface()
    }

    #[getter]
    fn segment(&self) -> Option<&str> {
        self.inner.segment()
    }

    #[getter]
    fn user(&self) -> Option<&str> {
        self.inner.user()
    }

    /// Locale, device and country; `None` when none is given.
    #[getter]
    fn context(&self) -> Option<(Option<&str>, Option<&str>, Option<&str>)> {
        let context = self.inner.context();
        let is_given = context.iter().any(Option::is_some);
        is_given.then_some(context.into())
    }

    #[getter]
    fn k(&self) -> Option<usize> {
        self.inner.k()
    }
}
