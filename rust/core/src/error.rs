//! Every way in which a file, a build or a request can be wrong, each with the place where it is.

use std::path::{Path, PathBuf};

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What is wrong, and where.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Too short for a header, or the magic bytes are not ours.
    #[error("{path}: header: not a recsys artifact")]
    NotAnArtifact {
        /// The file.
        path: PathBuf,
    },
    /// Written by another version of the format.
    #[error("{path}: header: format version {found}, this build reads version {supported}")]
    Version {
        /// The file.
        path: PathBuf,
        /// The version in the header.
        found: u32,
        /// The version of this build.
        supported: u32,
    },
    /// The header says one length, the file has another.
    #[error("{path}: header: the file should have {expected} bytes and has {actual}")]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes according to the header.
        expected: u64,
        /// Bytes on disk.
        actual: u64,
    },
    /// A checksum does not match what it covers.
    #[error("{path}: {section}: checksum mismatch")]
    Checksum {
        /// The file.
        path: PathBuf,
        /// `header`, `section table` or a section's name.
        section: String,
    },
    /// A section that this artifact must have is not there.
    #[error("{path}: {section}: the section is missing")]
    MissingSection {
        /// The file.
        path: PathBuf,
        /// The section's name.
        section: String,
    },
    /// A section lies outside the file, is misaligned, or has a length that does not fit.
    #[error("{path}: {section}: {reason}")]
    Layout {
        /// The file.
        path: PathBuf,
        /// The section's name.
        section: String,
        /// What does not fit.
        reason: String,
    },
    /// A value inside a section cannot be right.
    #[error("{path}: {section}: {reason}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The section's name.
        section: String,
        /// Which value, and why.
        reason: String,
    },
    /// The file is of another type than the one asked for.
    #[error("{path}: header: this is a {found}, not a {expected}")]
    WrongType {
        /// The file.
        path: PathBuf,
        /// The type asked for.
        expected: &'static str,
        /// The type in the header.
        found: String,
    },
    /// The ordinals of a signal belong to another catalog.
    #[error(
        "{path}: meta: built for the catalog with ids {found}, not for {catalog} with ids {expected}"
    )]
    OtherCatalog {
        /// The signal.
        path: PathBuf,
        /// The catalog at hand.
        catalog: PathBuf,
        /// Digest of the catalog's ids.
        expected: String,
        /// Digest that the signal names.
        found: String,
    },
    /// A builder was given something that it cannot build from.
    #[error("{0}")]
    Build(String),
    /// A build that was asked to end before it was done.
    #[error("the build was stopped")]
    Stopped,
    /// A plan or request that cannot be ranked as it stands.
    #[error("{0}")]
    Plan(String),
}

impl Error {
    /// Wraps an I/O error with the file that it is about.
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// A value in `section` of `path` that cannot be right.
    pub fn corrupt(path: &Path, section: &str, reason: impl Into<String>) -> Self {
        Self::Corrupt {
            path: path.to_owned(),
            section: section.to_owned(),
            reason: reason.into(),
        }
    }

    /// A section of `path` that does not fit.
    pub fn layout(path: &Path, section: &str, reason: impl Into<String>) -> Self {
        Self::Layout {
            path: path.to_owned(),
            section: section.to_owned(),
            reason: reason.into(),
        }
    }
}
