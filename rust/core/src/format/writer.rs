//! [`Writer`]: a file that gets its name only when it is whole and on disk.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytemuck::{NoUninit, Zeroable};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::layout::{
    Entry, FIRST_SECTION, FORMAT_VERSION, Header, MAGIC, MAX_METADATA, MAX_SECTIONS, METADATA,
    NAME_LENGTH, Type, align,
};
use crate::error::{Error, Result};

/// Writes one artifact, section after section.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    out: BufWriter<NamedTempFile>,
    type_code: Type,
    entries: Vec<Entry>,
    position: u64,
}

impl Writer {
    /// Starts a file that will be called `path`; it is written beside it under a temporary name.
    pub fn create(path: &Path, type_code: Type) -> Result<Self> {
        let temporary = tempfile::Builder::new()
            .prefix(".artifact-")
            .suffix(".tmp")
            .tempfile_in(folder_of(path))
            .map_err(|e| Error::io(path, e))?;
        let mut out = BufWriter::with_capacity(1 << 20, temporary);
        out.write_all(&[0; FIRST_SECTION])
            .map_err(|e| Error::io(path, e))?;
        Ok(Self {
            path: path.to_owned(),
            out,
            type_code,
            entries: Vec::new(),
            position: FIRST_SECTION as u64,
        })
    }

    /// The folder in which the file is written, for spools that should share its file system.
    pub fn folder(&self) -> &Path {
        folder_of(&self.path)
    }

    /// Writes a section from memory.
    pub fn section<T: NoUninit>(&mut self, name: &str, elements: &[T]) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(elements);
        self.begin(name)?;
        self.out
            .write_all(bytes)
            .map_err(|e| Error::io(&self.path, e))?;
        self.end(bytes.len() as u64, xxh3_64(bytes));
        Ok(())
    }

    /// Writes a section from pieces that are never together in memory.
    pub fn pieces<'a>(&mut self, name: &str, pieces: impl Iterator<Item = &'a [u8]>) -> Result<()> {
        self.begin(name)?;
        let (mut hash, mut length) = (Xxh3::new(), 0);
        for piece in pieces {
            hash.update(piece);
            length += piece.len() as u64;
            self.out
                .write_all(piece)
                .map_err(|e| Error::io(&self.path, e))?;
        }
        self.end(length, hash.digest());
        Ok(())
    }

    /// Writes a section from a spool.
    pub fn spooled(&mut self, name: &str, spool: Spool) -> Result<()> {
        self.begin(name)?;
        let mut file = spool
            .out
            .into_inner()
            .map_err(|e| Error::io(&self.path, e.into_error()))?;
        file.seek(SeekFrom::Start(0))
            .map_err(|e| Error::io(&self.path, e))?;
        let copied =
            std::io::copy(&mut file, &mut self.out).map_err(|e| Error::io(&self.path, e))?;
        self.end(copied, spool.hash.digest());
        Ok(())
    }

    /// Writes the metadata, the table and the header, syncs, renames; returns the file's hex SHA-256.
    pub fn finish(
        mut self,
        metadata: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<String> {
        let text =
            serde_json::to_vec(metadata).map_err(|e| Error::Build(format!("metadata: {e}")))?;
        if text.len() as u64 > MAX_METADATA {
            return Err(Error::Build(format!(
                "metadata of {} bytes is over {MAX_METADATA}",
                text.len()
            )));
        }
        self.section(METADATA, &text)?;
        let path = self.path.clone();
        let io = |e| Error::io(&path, e);

        let table: &[u8] = bytemuck::cast_slice(&self.entries);
        let mut header = Header {
            magic: MAGIC,
            version: FORMAT_VERSION,
            type_code: self.type_code as u32,
            file_length: self.position,
            section_count: self.entries.len() as u64,
            table_checksum: xxh3_64(table),
            ..Header::zeroed()
        };
        header.header_checksum = header.checksum();
        self.out.seek(SeekFrom::Start(0)).map_err(io)?;
        self.out
            .write_all(bytemuck::bytes_of(&header))
            .map_err(io)?;
        self.out.write_all(table).map_err(io)?;

        let temporary = self.out.into_inner().map_err(|e| io(e.into_error()))?;
        temporary.as_file().sync_all().map_err(io)?;
        let digest = file_sha256(temporary.path())?;
        make_readable(temporary.as_file()).map_err(io)?;
        temporary.persist(&path).map_err(|e| io(e.error))?;
        File::open(folder_of(&path))
            .and_then(|f| f.sync_all())
            .map_err(io)?;
        Ok(digest)
    }

    fn begin(&mut self, name: &str) -> Result<()> {
        if name.is_empty()
            || name.len() > NAME_LENGTH
            || self.entries.len() == MAX_SECTIONS
            || self.entries.iter().any(|e| e.is(name))
        {
            return Err(Error::Build(format!(
                "section `{name}`: name empty, too long or used twice, or too many sections"
            )));
        }
        let start = align(self.position);
        let padding = vec![0; (start - self.position) as usize];
        self.out
            .write_all(&padding)
            .map_err(|e| Error::io(&self.path, e))?;
        let mut entry = Entry {
            offset: start,
            ..Entry::zeroed()
        };
        entry.name[..name.len()].copy_from_slice(name.as_bytes());
        self.entries.push(entry);
        self.position = start;
        Ok(())
    }

    fn end(&mut self, length: u64, checksum: u64) {
        if let Some(entry) = self.entries.last_mut() {
            (entry.length, entry.checksum) = (length, checksum);
        }
        self.position += length;
    }
}

/// A section that grows while another one is written: an unnamed temporary file and its running checksum.
pub struct Spool {
    out: BufWriter<File>,
    hash: Xxh3,
    path: PathBuf,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Spool {
    /// An empty spool on the file system of `folder`.
    pub fn create(folder: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(|e| Error::io(folder, e))?;
        Ok(Self {
            out: BufWriter::with_capacity(1 << 18, file),
            hash: Xxh3::new(),
            path: folder.to_owned(),
        })
    }

    /// Appends elements.
    pub fn push<T: NoUninit>(&mut self, elements: &[T]) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(elements);
        self.hash.update(bytes);
        self.out
            .write_all(bytes)
            .map_err(|e| Error::io(&self.path, e))
    }
}

/// Hex SHA-256 of a file.
pub fn file_sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).map_err(|e| Error::io(path, e))?;
        if n == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..n]);
    }
}

/// Lower-case hex of bytes.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
fn make_readable(file: &File) -> std::io::Result<()> {
    // Temporary files are private to their owner; an artifact is read by other users' services too.
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_: &File) -> std::io::Result<()> {
    Ok(())
}
