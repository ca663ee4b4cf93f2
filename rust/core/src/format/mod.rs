//! The artifact format: a header, a table of sections, and the sections, little-endian and 64-byte aligned.
//!
//! [`Writer`] writes a file under a temporary name and renames it when it is whole; [`Artifact`] opens one in O(1):
//! the header, the table and the metadata are checked at once, a section only when [`Artifact::verify`] is asked.
//! [`Ragged`] finds the rows of a section whose rows differ in length. [`layout`] holds the offsets and limits that both obey; `docs/format.md` describes them byte by byte.

pub mod layout;
mod ragged;
mod reader;
mod writer;

pub use layout::{FORMAT_VERSION, Type};
pub use ragged::{Ragged, offsets};
pub use reader::{Artifact, Section};
pub use writer::{Spool, Writer, file_sha256, hex};
