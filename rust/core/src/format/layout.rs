//! Offsets, limits and the two fixed structures of a file: [`Header`] and [`Entry`].

use bytemuck::{Pod, Zeroable};
use xxhash_rust::xxh3::xxh3_64;

/// Version of the format, written to and checked in every file.
pub const FORMAT_VERSION: u32 = 1;
/// First bytes of every file: a high bit, our name, and a line feed that a text-mode transfer would change.
pub const MAGIC: [u8; 8] = *b"\x93RECSYS\n";
/// Alignment of every section, in bytes: one cache line.
pub const ALIGNMENT: usize = 64;
/// Most sections in a file; the table always takes the room of as many.
pub const MAX_SECTIONS: usize = 32;
/// Longest name of a section, in bytes.
pub const NAME_LENGTH: usize = 8;
/// Largest metadata block, in bytes.
pub const MAX_METADATA: u64 = 1 << 20;
/// Where the section table starts.
pub const TABLE_OFFSET: usize = size_of::<Header>();
/// Where the first section starts.
pub const FIRST_SECTION: usize = TABLE_OFFSET + MAX_SECTIONS * size_of::<Entry>();
/// Name of the metadata section.
pub const METADATA: &str = "meta";

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Type {
    /// Item ids and attributes.
    Catalog = 1,
    /// Ranked lists by key.
    Signal = 2,
    /// Past sessions and the items in them.
    Sessions = 3,
}

impl Type {
    /// The word for it in messages and metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Signal => "signal",
            Self::Sessions => "session index",
        }
    }

    /// The word for a code read from a file, known or not.
    pub fn describe(code: u32) -> String {
        [Self::Catalog, Self::Signal, Self::Sessions]
            .into_iter()
            .find(|t| *t as u32 == code)
            .map_or_else(
                || format!("file of unknown type {code}"),
                |t| t.name().to_owned(),
            )
    }
}

/// The first 64 bytes of a file.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// [`FORMAT_VERSION`].
    pub version: u32,
    /// A [`Type`].
    pub type_code: u32,
    /// Length of the whole file in bytes.
    pub file_length: u64,
    /// Sections in the table.
    pub section_count: u64,
    /// XXH3-64 of the table's used entries.
    pub table_checksum: u64,
    /// Zero.
    pub reserved: [u8; 16],
    /// XXH3-64 of the 56 bytes before it.
    pub header_checksum: u64,
}

impl Header {
    /// XXH3-64 of all that comes before the checksum itself.
    pub fn checksum(&self) -> u64 {
        let bytes = bytemuck::bytes_of(self);
        xxh3_64(&bytes[..bytes.len() - size_of::<u64>()])
    }
}

/// One row of the section table.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Entry {
    /// Name in ASCII, padded with zeros.
    pub name: [u8; NAME_LENGTH],
    /// First byte, a multiple of [`ALIGNMENT`].
    pub offset: u64,
    /// Bytes, without padding.
    pub length: u64,
    /// XXH3-64 of the section's bytes.
    pub checksum: u64,
}

impl Entry {
    /// The name without its padding; bytes that are not ASCII are shown escaped.
    pub fn name(&self) -> String {
        let end = self
            .name
            .iter()
            .position(|b| *b == 0)
            .unwrap_or(self.name.len());
        self.name[..end].escape_ascii().to_string()
    }

    /// Whether this is the section called `name`.
    pub fn is(&self, name: &str) -> bool {
        name.len() <= self.name.len()
            && self.name[..name.len()] == *name.as_bytes()
            && self.name[name.len()..].iter().all(|b| *b == 0)
    }
}

/// The next multiple of [`ALIGNMENT`].
pub fn align(offset: u64) -> u64 {
    offset.next_multiple_of(ALIGNMENT as u64)
}
