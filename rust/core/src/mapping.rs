//! Read-only maps of files, and [`prefetch`]: the only module of the workspace with `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::error::{Error, Result};

/// A file mapped read-only and shared: workers that map the same file share its pages.
#[derive(Debug)]
pub struct Mapping {
    /// `None` for an empty file, which cannot be mapped.
    map: Option<Mmap>,
}

impl Mapping {
    /// Maps the whole of `path`.
    pub fn open(path: &Path) -> Result<Self> {
        // Asked by name first: to open a pipe is to wait for its other end.
        if path.metadata().is_ok_and(|m| !m.is_file()) {
            return Err(not_a_file(path));
        }
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        Self::of(&file, path)
    }

    /// Maps an open file; `path` is only for messages.
    pub fn of(file: &File, path: &Path) -> Result<Self> {
        let metadata = file.metadata().map_err(|e| Error::io(path, e))?;
        if !metadata.is_file() {
            return Err(not_a_file(path));
        }
        if metadata.len() == 0 {
            return Ok(Self { map: None });
        }
        // SAFETY: a map is undefined behaviour only if the file changes under it. Artifacts are immutable once renamed
        // to their name (a new version is a new file), scratch files are private to their builder and no longer
        // written once mapped, and both are read as plain bytes, for which every bit pattern is valid.
        let map = unsafe { Mmap::map(file) }.map_err(|e| Error::io(path, e))?;
        Ok(Self { map: Some(map) })
    }

    /// Reads the file in and maps every page, so that no later read stops for one. Only a hint: where the system cannot,
    /// or memory is short, pages come when they are read, as they would have. What is not in memory yet comes in large
    /// pages, of which the processor can keep in mind where all are, if the file system has them.
    pub fn populate(&self) {
        #[cfg(target_os = "linux")]
        if let Some(map) = &self.map {
            for advice in [memmap2::Advice::HugePage, memmap2::Advice::PopulateRead] {
                let _: std::io::Result<()> = map.advise(advice);
            }
        }
    }
}

/// Asks the processor to bring the cache line of `slice[at]` near; nothing happens if there is no such element.
#[inline]
pub fn prefetch<T>(slice: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(element) = slice.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and faults on no address, and this one is that of an element.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(element).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, at);
}

fn not_a_file(path: &Path) -> Error {
    Error::io(path, std::io::Error::other("not a regular file"))
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }
}
