//! [`Partitions`]: rows set apart by the top bits of their key, in memory as long as they fit, else in a spill.
//!
//! All rows of a key are in one partition, so partitions can be sorted one by one, in parallel, and small enough to
//! stay in a core's cache; read one after the other they are in the order of the keys.

use std::marker::PhantomData;

use bytemuck::Pod;
use memmap2::MmapMut;

use super::Limits;
use super::scratch::{Extent, Spill};
use crate::error::{Error, Result};

/// Partitions: the top eight bits of a key.
pub(super) const PARTITIONS: usize = 256;
/// Bytes of a block.
const BLOCK_BYTES: usize = 128 << 10;
/// Fewest rows of a block, however small the bound.
const MIN_BLOCK_ROWS: usize = 16;

/// Rows in pages of their own, which go back to the system when the block is dropped. An allocator would keep them: what
/// has been freed once makes it take blocks of that size from its heap.
#[derive(Debug)]
struct Block<R> {
    pages: MmapMut,
    len: usize,
    rows: PhantomData<R>,
}

impl<R: Pod> Block<R> {
    fn new(most_rows: usize) -> Result<Self> {
        let pages = MmapMut::map_anon(most_rows * size_of::<R>())
            .map_err(|e| Error::Build(format!("memory for rows: {e}")))?;
        Ok(Self {
            pages,
            len: 0,
            rows: PhantomData,
        })
    }

    #[inline]
    fn push(&mut self, row: &R) {
        let start = self.len * size_of::<R>();
        self.pages[start..start + size_of::<R>()].copy_from_slice(bytemuck::bytes_of(row));
        self.len += 1;
    }

    fn rows(&self) -> &[R] {
        // Pages are aligned for every row, and hold whole ones.
        bytemuck::cast_slice(&self.pages[..self.len * size_of::<R>()])
    }
}

/// Rows of one partition: blocks in memory and extents in the spill.
#[derive(Debug, Default)]
pub(super) struct Partition<R> {
    blocks: Vec<Block<R>>,
    extents: Vec<Extent>,
}

/// Rows by partition.
#[derive(Debug)]
pub(super) struct Partitions<R> {
    partitions: Vec<Partition<R>>,
    /// Blocks whose rows were put aside, for the rows to come.
    spare: Vec<Block<R>>,
    spill: Option<Spill>,
    limits: Limits,
    block_rows: usize,
    buffered_rows: usize,
    most_buffered_rows: usize,
}

impl<R: Pod> Partitions<R> {
    /// No rows yet; half of the memory bound is for them.
    pub(super) fn new(limits: &Limits) -> Self {
        let most_bytes = usize::try_from(limits.memory_bytes / 2).unwrap_or(usize::MAX);
        let block_bytes = (most_bytes / PARTITIONS / 4).min(BLOCK_BYTES);
        Self {
            partitions: (0..PARTITIONS)
                .map(|_| Partition {
                    blocks: Vec::new(),
                    extents: Vec::new(),
                })
                .collect(),
            spare: Vec::new(),
            spill: None,
            limits: limits.clone(),
            block_rows: (block_bytes / size_of::<R>()).max(MIN_BLOCK_ROWS),
            buffered_rows: 0,
            most_buffered_rows: (most_bytes / size_of::<R>()).max(MIN_BLOCK_ROWS),
        }
    }

    /// Adds a row.
    pub(super) fn push(&mut self, key: u64, row: R) -> Result<()> {
        let partition = &mut self.partitions[(key >> 56) as usize];
        match partition.blocks.last_mut() {
            Some(block) if block.len < self.block_rows => block.push(&row),
            _ => {
                let mut block = match self.spare.pop() {
                    Some(block) => block,
                    None => Block::new(self.block_rows)?,
                };
                block.push(&row);
                partition.blocks.push(block);
            }
        }
        self.buffered_rows += 1;
        if self.buffered_rows >= self.most_buffered_rows {
            self.spill()?;
        }
        Ok(())
    }

    /// The partitions in order of key, and the spill that their extents are in.
    pub(super) fn into_parts(self) -> (Vec<Partition<R>>, Option<Spill>) {
        (self.partitions, self.spill)
    }

    fn spill(&mut self) -> Result<()> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill::create(&self.limits.scratch_dir)?),
        };
        for partition in &mut self.partitions {
            for mut block in partition.blocks.drain(..) {
                partition.extents.push(spill.append(block.rows())?);
                block.len = 0;
                self.spare.push(block);
            }
        }
        self.buffered_rows = 0;
        Ok(())
    }
}

impl<R: Pod> Partition<R> {
    /// Every row of the partition, in no particular order.
    pub(super) fn load(self, spill: Option<&Spill>) -> Result<Vec<R>> {
        let mut rows = Vec::with_capacity(self.blocks.iter().map(|block| block.len).sum());
        for block in self.blocks {
            rows.extend_from_slice(block.rows());
        }
        if let Some(spill) = spill {
            for extent in self.extents {
                spill.read(extent, &mut rows)?;
            }
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Stop;
    use super::*;

    #[test]
    fn rows_come_back_by_partition_whatever_the_bound() {
        let folder = tempfile::tempdir().unwrap();
        for memory_bytes in [0, 5_000, 100_000, 1 << 30] {
            let limits = Limits {
                memory_bytes,
                scratch_dir: folder.path().into(),
                threads: 1,
                stop: Stop::default(),
            };
            let mut partitions = Partitions::<u64>::new(&limits);
            let keys: Vec<u64> = (0..9_000u64)
                .map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15))
                .collect();
            for key in &keys {
                partitions.push(*key, *key).unwrap();
            }
            let (parts, spill) = partitions.into_parts();
            assert_eq!(spill.is_some(), memory_bytes < 1 << 20);
            let mut found = Vec::new();
            for (i, part) in parts.into_iter().enumerate() {
                let rows = part.load(spill.as_ref()).unwrap();
                assert!(rows.iter().all(|row| row >> 56 == i as u64));
                found.extend(rows);
            }
            let mut expected = keys;
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected);
        }
    }
}
