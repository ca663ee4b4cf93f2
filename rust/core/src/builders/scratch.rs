//! Scratch space without a name: [`Spill`] takes rows out of memory and gives them back by extent, [`Column`] grows in
//! memory and moves to a mapped file when it gets large.
//!
//! The files are unlinked from the start, so nothing is left behind, however the process ends.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bytemuck::{AnyBitPattern, NoUninit, Pod};

use crate::error::{Error, Result};
use crate::mapping::Mapping;

/// Where a piece of a [`Spill`] is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    offset: u64,
    bytes: usize,
}

/// A file to which rows are appended and from which they are read back in pieces.
#[derive(Debug)]
pub(super) struct Spill {
    file: Mutex<File>,
    folder: PathBuf,
    length: u64,
}

impl Spill {
    /// An empty spill on the file system of `folder`.
    pub(super) fn create(folder: &Path) -> Result<Self> {
        let file = tempfile::tempfile_in(folder).map_err(|e| Error::io(folder, e))?;
        Ok(Self {
            file: Mutex::new(file),
            folder: folder.to_owned(),
            length: 0,
        })
    }

    /// Appends `rows`.
    pub(super) fn append<T: NoUninit>(&mut self, rows: &[T]) -> Result<Extent> {
        let bytes: &[u8] = bytemuck::cast_slice(rows);
        let file = self.file.get_mut().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.length))
            .and_then(|_| file.write_all(bytes))
            .map_err(|e| Error::io(&self.folder, e))?;
        let extent = Extent {
            offset: self.length,
            bytes: bytes.len(),
        };
        self.length += bytes.len() as u64;
        Ok(extent)
    }

    /// Appends the rows of `extent` to `rows`.
    pub(super) fn read<T: Pod>(&self, extent: Extent, rows: &mut Vec<T>) -> Result<()> {
        let start = rows.len();
        rows.resize(start + extent.bytes / size_of::<T>(), T::zeroed());
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut rows[start..]);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(extent.offset))
            .and_then(|_| file.read_exact(bytes))
            .map_err(|e| Error::io(&self.folder, e))
    }
}

/// A column that is being written.
#[derive(Debug)]
pub(super) struct ColumnWriter<T> {
    memory: Vec<T>,
    file: Option<BufWriter<File>>,
    limit_bytes: u64,
    folder: PathBuf,
}

impl<T: Pod> ColumnWriter<T> {
    /// An empty column that stays in memory up to `limit_bytes`; `expected` elements are made room for.
    pub(super) fn new(folder: &Path, limit_bytes: u64, expected: u64) -> Self {
        // Room that is not used is address space only.
        let room = expected.min(limit_bytes / size_of::<T>() as u64);
        Self {
            memory: Vec::with_capacity(usize::try_from(room).unwrap_or(0)),
            file: None,
            limit_bytes,
            folder: folder.to_owned(),
        }
    }

    /// Appends elements.
    pub(super) fn extend(&mut self, elements: &[T]) -> Result<()> {
        if let Some(file) = &mut self.file {
            return file
                .write_all(bytemuck::cast_slice(elements))
                .map_err(|e| Error::io(&self.folder, e));
        }
        if (self.memory.len() + elements.len()) as u64 * size_of::<T>() as u64 <= self.limit_bytes {
            self.memory.extend_from_slice(elements);
            return Ok(());
        }
        let file = tempfile::tempfile_in(&self.folder).map_err(|e| Error::io(&self.folder, e))?;
        let mut file = BufWriter::with_capacity(1 << 18, file);
        file.write_all(bytemuck::cast_slice(&self.memory))
            .and_then(|()| file.write_all(bytemuck::cast_slice(elements)))
            .map_err(|e| Error::io(&self.folder, e))?;
        self.memory = Vec::new();
        self.file = Some(file);
        Ok(())
    }

    /// The finished column.
    pub(super) fn finish(self) -> Result<Column<T>> {
        let Some(file) = self.file else {
            return Ok(Column::Memory(self.memory));
        };
        let file = file
            .into_inner()
            .map_err(|e| Error::io(&self.folder, e.into_error()))?;
        Ok(Column::Mapped(
            Mapping::of(&file, &self.folder)?,
            PhantomData,
        ))
    }
}

/// A finished column, in memory or mapped.
#[derive(Debug)]
pub(super) enum Column<T> {
    /// Small enough to stay.
    Memory(Vec<T>),
    /// A scratch file; its pages come and go as the system likes.
    Mapped(Mapping, PhantomData<T>),
}

impl<T: AnyBitPattern + NoUninit> Column<T> {
    /// Bytes of all elements, wherever they are.
    pub(super) fn bytes(&self) -> u64 {
        size_of_val(self.as_slice()) as u64
    }

    /// The elements.
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::Memory(elements) => elements,
            // A map starts on a page and holds whole elements, so the cast cannot fail.
            Self::Mapped(map, _) => bytemuck::try_cast_slice(map).unwrap_or(&[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_over_its_limit_moves_to_a_file_and_reads_the_same() {
        let folder = tempfile::tempdir().unwrap();
        for limit in [0, 8, 12, 400, 4000] {
            let mut writer = ColumnWriter::<u32>::new(folder.path(), limit, 100);
            for i in 0..100 {
                writer.extend(&[i, i + 1]).unwrap();
            }
            let expected: Vec<u32> = (0..100).flat_map(|i| [i, i + 1]).collect();
            assert_eq!(writer.finish().unwrap().as_slice(), expected);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn spilled_rows_come_back_by_extent() {
        let folder = tempfile::tempdir().unwrap();
        let mut spill = Spill::create(folder.path()).unwrap();
        let a = spill.append(&[1u64, 2, 3]).unwrap();
        let b = spill.append(&[4u64]).unwrap();
        let mut rows = Vec::<u64>::new();
        spill.read(b, &mut rows).unwrap();
        spill.read(a, &mut rows).unwrap();
        assert_eq!(rows, [4, 1, 2, 3]);
    }

    #[test]
    fn a_missing_scratch_folder_is_named() {
        let error = Spill::create(Path::new("/no/such/folder")).unwrap_err();
        assert!(error.to_string().contains("/no/such/folder"), "{error}");
    }
}
