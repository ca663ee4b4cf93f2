//! Builders: rows of interactions in, in any order and any batches; a signal out, always the same bytes.
//!
//! [`PopularityBuilder`] sums decayed weights per segment, [`CoocBuilder`] finds the items that share sessions or come
//! after another, [`SessionKnnBuilder`] keeps the sessions themselves to be searched, and [`SignalPacker`] takes lists that
//! somebody else computed. [`strings`] turns Arrow string arrays into the numbers
//! that the builders work on. `docs/builders.md` has the formulas.
//!
//! The first three keep within [`Limits::memory_bytes`] by putting rows aside in unnamed scratch files ([`scratch`],
//! [`partitions`]), which the system removes when the builder is finished, fails, is dropped or is killed. None of
//! them lets the order of rows, the size of batches, the number of threads or the memory bound reach the result:
//! sums are in whole numbers, or taken in an order that the content fixes.

mod best;
mod content;
pub mod cooc;
mod group;
mod metadata;
mod pack;
mod partitions;
mod popularity;
mod rows;
mod scratch;
mod session_knn;
mod sessions;
mod stop;
pub mod strings;
mod users;

use std::path::PathBuf;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::catalog::Catalog;
use crate::error::{Error, Result};

pub use content::{ContentParams, build_content_sim};
pub use cooc::{CoocBuilder, CoocParams, Normalization, Sequence};
pub use pack::SignalPacker;
pub use popularity::{DEFAULT_SEGMENT, PopularityBuilder};
pub use session_knn::{SessionKnnBuilder, SessionKnnParams};
pub use stop::Stop;
pub use users::{PSEUDONYM_BYTES, UserItemsBuilder, UserItemsParams};

/// Smallest and largest weight of an event; between them no sum, product or quotient leaves the range of f32.
pub const WEIGHTS: std::ops::RangeInclusive<f32> = 1e-6..=1e6;

/// What a builder may use of the machine.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes for rows and intermediate results; more than that goes to scratch files.
    pub memory_bytes: u64,
    /// Folder for scratch files; it must exist.
    pub scratch_dir: PathBuf,
    /// Threads, 0 for one per core.
    pub threads: usize,
    /// Ends the build while it writes.
    pub stop: Stop,
}

impl Limits {
    fn pool(&self) -> Result<ThreadPool> {
        ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .build()
            .map_err(|e| Error::Build(format!("threads: {e}")))
    }
}

/// A file that a builder has written.
#[derive(Clone, Debug)]
pub struct Built {
    /// Hex SHA-256 of the file.
    pub sha256: String,
    /// The numbers that went into its metadata under `counts`.
    pub counts: serde_json::Map<String, serde_json::Value>,
}

/// Refuses a catalog of another size than the one that ordinals were checked against.
fn check_size(catalog: &Catalog, n_items: usize) -> Result<()> {
    if catalog.len() == n_items {
        return Ok(());
    }
    Err(Error::Build(format!(
        "the catalog has {} items, the builder was made for {n_items}",
        catalog.len()
    )))
}

/// Refuses columns of different lengths, naming each with its length.
fn check_lengths(columns: &[(&str, usize)]) -> Result<()> {
    if columns.iter().all(|(_, length)| *length == columns[0].1) {
        return Ok(());
    }
    let lengths: Vec<String> = columns
        .iter()
        .map(|(name, n)| format!("{name} {n}"))
        .collect();
    Err(Error::Build(format!(
        "columns differ in length: {}",
        lengths.join(", ")
    )))
}
