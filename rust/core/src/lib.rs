//! The arithmetic of recsys: artifacts that are mapped, builders that make them, and the ranker that reads them.
//!
//! Every file is an [`format::Artifact`]: a checked header, a table of checksummed sections and a JSON metadata block.
//! [`catalog::Catalog`] gives items their ordinals and attributes; [`signal::Signal`] maps a key to a ranked list of
//! (ordinal, score); [`sessions::SessionIndex`] keeps past sessions, to be searched at request time. Builders write, readers read, and nothing changes a file once it has its name.
#![deny(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!(
    "artifacts are little-endian and mapped as they are; a big-endian target is not supported"
);

#[cfg(not(target_pointer_width = "64"))]
compile_error!("offsets are 64 bits wide; a narrower target could not address what they point at");

pub mod answer;
pub mod builders;
pub mod catalog;
mod cursor;
pub mod error;
pub mod eventlog;
pub mod exposure;
pub mod format;
mod json;
pub mod lookup;
pub mod mapping;
pub mod plain_request;
pub mod pseudonym;
pub mod rank;
pub mod request_id;
pub mod sessions;
pub mod signal;
pub mod strings;
mod verify;

pub use error::{Error, Result};
pub use verify::verify;

/// Position of an item in its catalog, in byte order of the item ids.
pub type Ordinal = u32;

/// The ordinal that no item has: "absent" in fixed-width columns.
pub const NONE: Ordinal = Ordinal::MAX;
