//! [`Artifact`]: a mapped file whose header, table and metadata have been checked.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Once;

use bytemuck::{AnyBitPattern, NoUninit};
use xxhash_rust::xxh3::xxh3_64;

use super::layout::{
    Entry, FIRST_SECTION, FORMAT_VERSION, Header, MAGIC, MAX_METADATA, MAX_SECTIONS, METADATA,
    TABLE_OFFSET, Type, align,
};
use crate::error::{Error, Result};
use crate::mapping::Mapping;

/// A typed section of one artifact: a byte range that was checked once, when the artifact was opened.
#[derive(Clone, Debug)]
pub struct Section<T> {
    range: Range<usize>,
    element: std::marker::PhantomData<T>,
}

/// A file longer than this is read in as it is used: to read all of it would drive out what else is in memory.
const MAX_POPULATED: usize = 4 << 30;

/// A mapped, immutable file.
#[derive(Debug)]
pub struct Artifact {
    path: PathBuf,
    map: Mapping,
    populated: Once,
    entries: Vec<Entry>,
    metadata: serde_json::Map<String, serde_json::Value>,
}

impl Artifact {
    /// Maps `path` and checks header, table and metadata, whatever the size of the file.
    pub fn open(path: &Path, expected: Type) -> Result<Self> {
        let (artifact, code) = Self::open_any(path)?;
        if code != expected as u32 {
            let found = Type::describe(code);
            return Err(Error::WrongType {
                path: path.to_owned(),
                expected: expected.name(),
                found,
            });
        }
        Ok(artifact)
    }

    /// As [`Artifact::open`] for a file of any type; also gives the type's code.
    pub fn open_any(path: &Path) -> Result<(Self, u32)> {
        let map = Mapping::open(path)?;
        let header = check_header(path, &map)?;
        let entries = check_table(path, &map, &header)?;
        let mut artifact = Self {
            path: path.to_owned(),
            map,
            populated: Once::new(),
            entries,
            metadata: serde_json::Map::new(),
        };
        artifact.metadata = artifact.read_metadata()?;
        Ok((artifact, header.type_code))
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The metadata block.
    pub fn metadata(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.metadata
    }

    /// A text that the metadata must have.
    pub fn text(&self, key: &str) -> Result<&str> {
        self.metadata
            .get(key)
            .and_then(serde_json::Value::as_str)
            .ok_or_else(|| {
                Error::corrupt(
                    &self.path,
                    METADATA,
                    format!("`{key}` is missing or not a text"),
                )
            })
    }

    /// Checks that a text of the metadata is `expected`.
    pub fn expect_text(&self, key: &str, expected: &str) -> Result<()> {
        let found = self.text(key)?;
        if found == expected {
            return Ok(());
        }
        let reason = format!("`{key}` is `{}`, not `{expected}`", found.escape_debug());
        Err(Error::corrupt(&self.path, METADATA, reason))
    }

    /// A hex SHA-256 that the metadata must have.
    pub fn digest(&self, key: &str) -> Result<String> {
        let text = self.text(key)?;
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 64 && text.bytes().all(is_hex) {
            return Ok(text.to_owned());
        }
        let reason = format!("`{key}` is not a SHA-256 in lower-case hex");
        Err(Error::corrupt(&self.path, METADATA, reason))
    }

    /// A whole number that the metadata must have.
    pub fn number(&self, key: &str) -> Result<usize> {
        self.metadata
            .get(key)
            .and_then(serde_json::Value::as_u64)
            .and_then(|n| usize::try_from(n).ok())
            .ok_or_else(|| {
                Error::corrupt(
                    &self.path,
                    METADATA,
                    format!("`{key}` is missing or not a whole number"),
                )
            })
    }

    /// Name, length in bytes and checksum of each section, in file order.
    pub fn sections(&self) -> impl Iterator<Item = (String, u64, u64)> + '_ {
        self.entries
            .iter()
            .map(|e| (e.name(), e.length, e.checksum))
    }

    /// Whether there is a section of this name.
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|e| e.is(name))
    }

    /// Finds the section `name` and checks that it holds whole elements of `T`, and `length` of them if that is given.
    pub fn section<T: AnyBitPattern + NoUninit>(
        &self,
        name: &str,
        length: Option<usize>,
    ) -> Result<Section<T>> {
        let entry =
            self.entries
                .iter()
                .find(|e| e.is(name))
                .ok_or_else(|| Error::MissingSection {
                    path: self.path.clone(),
                    section: name.to_owned(),
                })?;
        let (start, bytes) = (entry.offset as usize, entry.length as usize);
        if bytes % size_of::<T>() != 0 {
            let reason = format!("{bytes} bytes are not a multiple of {}", size_of::<T>());
            return Err(Error::layout(&self.path, name, reason));
        }
        if let Some(expected) = length
            && bytes / size_of::<T>() != expected
        {
            let reason = format!(
                "{expected} elements expected, {} found",
                bytes / size_of::<T>()
            );
            return Err(Error::layout(&self.path, name, reason));
        }
        Ok(Section {
            range: start..start + bytes,
            element: std::marker::PhantomData,
        })
    }

    /// Maps every page, the first time that it is called: a page that is first read within a request costs it half a
    /// microsecond, and far more if it has to come from the disk.
    pub fn populate(&self) {
        if self.map.len() <= MAX_POPULATED {
            self.populated.call_once(|| self.map.populate());
        }
    }

    /// The elements of a section of this artifact.
    pub fn slice<T: AnyBitPattern + NoUninit>(&self, section: &Section<T>) -> &[T] {
        // A section of another artifact would be the caller's mistake; it reads as empty rather than out of bounds.
        let bytes = self.map.get(section.range.clone()).unwrap_or(&[]);
        bytemuck::try_cast_slice(bytes).unwrap_or(&[])
    }

    /// Length of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.map.len() as u64
    }

    /// Recomputes the checksum of every section, and checks that whatever no checksum covers is zero.
    pub fn verify(&self) -> Result<()> {
        let is_zero = |range: Range<usize>| {
            self.map
                .get(range)
                .is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
        };
        let used = TABLE_OFFSET + self.entries.len() * size_of::<Entry>();
        if !is_zero(used..FIRST_SECTION) {
            let reason = "unused entries are not zero";
            return Err(Error::layout(&self.path, "section table", reason));
        }
        let mut previous = FIRST_SECTION;
        for entry in &self.entries {
            let range = entry.offset as usize..(entry.offset + entry.length) as usize;
            if !is_zero(previous..range.start) {
                let reason = "the padding before it is not zero";
                return Err(Error::layout(&self.path, &entry.name(), reason));
            }
            previous = range.end;
            if self.map.get(range).map(xxh3_64) != Some(entry.checksum) {
                return Err(Error::Checksum {
                    path: self.path.clone(),
                    section: entry.name(),
                });
            }
        }
        Ok(())
    }

    fn read_metadata(&self) -> Result<serde_json::Map<String, serde_json::Value>> {
        let section = self.section::<u8>(METADATA, None)?;
        let bytes = self.slice(&section);
        if bytes.len() as u64 > MAX_METADATA {
            return Err(Error::layout(
                &self.path,
                METADATA,
                format!("over {MAX_METADATA} bytes"),
            ));
        }
        let checksum = self
            .entries
            .iter()
            .find(|e| e.is(METADATA))
            .map(|e| e.checksum);
        if checksum != Some(xxh3_64(bytes)) {
            return Err(Error::Checksum {
                path: self.path.clone(),
                section: METADATA.to_owned(),
            });
        }
        serde_json::from_slice(bytes)
            .map_err(|e| Error::corrupt(&self.path, METADATA, e.to_string()))
    }
}

fn check_header(path: &Path, map: &[u8]) -> Result<Header> {
    let not_ours = || Error::NotAnArtifact {
        path: path.to_owned(),
    };
    let bytes = map.get(..size_of::<Header>()).ok_or_else(not_ours)?;
    let header: Header = bytemuck::try_pod_read_unaligned(bytes).map_err(|_| not_ours())?;
    if header.magic != MAGIC {
        return Err(not_ours());
    }
    if header.version != FORMAT_VERSION {
        let (found, supported) = (header.version, FORMAT_VERSION);
        return Err(Error::Version {
            path: path.to_owned(),
            found,
            supported,
        });
    }
    if header.checksum() != header.header_checksum {
        return Err(Error::Checksum {
            path: path.to_owned(),
            section: "header".to_owned(),
        });
    }
    if header.file_length != map.len() as u64 {
        let (expected, actual) = (header.file_length, map.len() as u64);
        return Err(Error::Length {
            path: path.to_owned(),
            expected,
            actual,
        });
    }
    Ok(header)
}

fn check_table(path: &Path, map: &[u8], header: &Header) -> Result<Vec<Entry>> {
    let fault = |reason: String| Error::layout(path, "section table", reason);
    let count = usize::try_from(header.section_count).unwrap_or(usize::MAX);
    if count > MAX_SECTIONS {
        return Err(fault(format!(
            "{count} sections, at most {MAX_SECTIONS} are allowed"
        )));
    }
    let bytes = map
        .get(TABLE_OFFSET..TABLE_OFFSET + count * size_of::<Entry>())
        .ok_or_else(|| fault("the file ends inside it".to_owned()))?;
    if xxh3_64(bytes) != header.table_checksum {
        return Err(Error::Checksum {
            path: path.to_owned(),
            section: "section table".to_owned(),
        });
    }
    let entries: Vec<Entry> = bytes
        .chunks_exact(size_of::<Entry>())
        .map(bytemuck::pod_read_unaligned)
        .collect();
    check_places(path, &entries, header.file_length)?;
    Ok(entries)
}

/// Sections follow each other in table order, each at the first aligned place, up to the end of the file.
fn check_places(path: &Path, entries: &[Entry], file_length: u64) -> Result<()> {
    let mut end = FIRST_SECTION as u64;
    for (i, entry) in entries.iter().enumerate() {
        let fault = |reason: String| Err(Error::layout(path, &entry.name(), reason));
        if entries[..i].iter().any(|e| e.name == entry.name) {
            return fault("the section is there twice".to_owned());
        }
        if entry.offset != align(end) {
            let (found, expected) = (entry.offset, align(end));
            return fault(format!("starts at byte {found} instead of {expected}"));
        }
        match entry.offset.checked_add(entry.length) {
            Some(e) if e <= file_length => end = e,
            _ => return fault("reaches past the end of the file".to_owned()),
        }
    }
    if end != file_length {
        let reason = format!("the sections end at byte {end}, the file at {file_length}");
        return Err(Error::layout(path, "section table", reason));
    }
    Ok(())
}
