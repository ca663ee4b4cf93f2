//! [`Column`]: what Python's buffers and bytes look like to the builders.

use std::marker::PhantomData;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyMemoryView, PySlice};

/// A number that columns are made of.
pub trait Number: Copy + Send {
    /// Its name in messages.
    const NAME: &'static str;
    /// The codes of Python's `struct` module that may stand for it, given its width.
    const CODES: &'static [&'static str];
    /// The number that little-endian bytes stand for.
    fn of_bytes(bytes: &[u8]) -> Self;
}

macro_rules! number {
    ($($t:ty: $codes:expr),*) => {$(
        impl Number for $t {
            const NAME: &'static str = stringify!($t);
            const CODES: &'static [&'static str] = &$codes;
            fn of_bytes(bytes: &[u8]) -> Self {
                // `chunks_exact` gives as many bytes as the type has.
                bytes.try_into().map(Self::from_le_bytes).unwrap_or_default()
            }
        }
    )*};
}
number!(
    u8: ["B"], u32: ["I", "L"], u64: ["Q", "L"], i32: ["i", "l"], i64: ["q", "l"], f32: ["f"], f64: ["d"]
);

/// A column that Python holds: a buffer of `T`, or the little-endian bytes of one.
pub struct Column<'py, T> {
    /// A view of its bytes; `None` when there are none, of which Python makes no such view.
    bytes: Option<Bound<'py, PyAny>>,
    /// How many elements it has.
    pub len: usize,
    element: PhantomData<T>,
}

impl<'py, T: Number> Column<'py, T> {
    /// A column from any object with a buffer; `name` is for messages.
    pub fn new(name: &str, object: &Bound<'py, PyAny>) -> PyResult<Self> {
        // Asked of a view, not as `PyBuffer<T>`: that refuses what is not aligned, such as an empty `array`.
        let problem = || PyTypeError::new_err(format!("{name}: a buffer of {} is needed", T::NAME));
        let view = PyMemoryView::from(object).map_err(|_| problem())?;
        let format: String = view.getattr("format")?.extract()?;
        let width: usize = view.getattr("itemsize")?.extract()?;
        let code = format.trim_start_matches(['@', '=', '<']);
        let is_typed = T::CODES.contains(&code) && width == size_of::<T>();
        if !is_typed && !["B", "b", "c"].contains(&code) {
            return Err(problem());
        }
        let size: usize = view.getattr("nbytes")?.extract()?;
        let is_flat: bool = view.getattr("c_contiguous")?.extract()?;
        if !is_flat || !size.is_multiple_of(size_of::<T>()) {
            let problem = "not contiguous, or not a whole number of elements";
            return Err(PyTypeError::new_err(format!("{name}: {problem}")));
        }
        let bytes = match size {
            0 => None,
            _ => Some(view.call_method1("cast", ("B",))?),
        };
        Ok(Self {
            bytes,
            len: size / size_of::<T>(),
            element: PhantomData,
        })
    }

    /// Copies the elements from `start` on, at most `count`.
    pub fn copy(&self, start: usize, count: usize) -> PyResult<Vec<T>> {
        let Some(view) = &self.bytes else {
            return Ok(Vec::new());
        };
        let (py, width) = (view.py(), size_of::<T>());
        let end = start.saturating_add(count).min(self.len);
        let slice = PySlice::new(py, (start * width) as isize, (end * width) as isize, 1);
        let bytes = PyBuffer::<u8>::get(&view.get_item(slice)?)?.to_vec(py)?;
        Ok(bytes.chunks_exact(width).map(T::of_bytes).collect())
    }
}
