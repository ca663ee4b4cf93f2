//! [`Ragged`]: the offsets of rows that differ in length.

use std::ops::Range;

use super::{Artifact, Section};
use crate::error::{Error, Result};
use crate::mapping::prefetch;

/// `n + 1` ascending offsets, the first zero and the last the length of what they divide.
///
/// The two ends are checked when it is opened, each row when it is asked for.
#[derive(Clone, Debug)]
pub struct Ragged {
    name: String,
    offsets: Section<u64>,
    total: usize,
}

impl Ragged {
    /// Opens the section `name`: `rows` rows that divide `total` elements.
    pub fn open(artifact: &Artifact, name: &str, rows: usize, total: usize) -> Result<Self> {
        // A count that overflows cannot match the length of any section.
        let offsets = artifact.section::<u64>(name, Some(rows.saturating_add(1)))?;
        let values = artifact.slice(&offsets);
        if values.first() != Some(&0) || values.last() != Some(&(total as u64)) {
            let reason = format!("the offsets do not run from 0 to {total}");
            return Err(Error::corrupt(artifact.path(), name, reason));
        }
        Ok(Self {
            name: name.to_owned(),
            offsets,
            total,
        })
    }

    /// Where row `i` is; an error if there is no such row, or its ends cannot be right.
    #[inline]
    pub fn range(&self, artifact: &Artifact, i: u32) -> Result<Range<usize>> {
        let i = i as usize;
        if let Some(&[start, end]) = artifact.slice(&self.offsets).get(i..i + 2)
            && start <= end
            && end <= self.total as u64
        {
            return Ok(start as usize..end as usize);
        }
        Err(self.fault(artifact, i))
    }

    /// Where row `i` starts, if there is such a row; not checked against what the rows divide.
    #[inline]
    pub fn start(&self, artifact: &Artifact, i: u32) -> Option<usize> {
        let start = artifact.slice(&self.offsets).get(i as usize)?;
        Some(*start as usize)
    }

    /// Asks for the cache line where row `i` starts.
    #[inline]
    pub fn prefetch(&self, artifact: &Artifact, i: u32) {
        prefetch(artifact.slice(&self.offsets), i as usize);
    }

    /// How many rows there are.
    pub fn rows(&self, artifact: &Artifact) -> usize {
        artifact.slice(&self.offsets).len().saturating_sub(1)
    }

    /// Checks every row.
    pub fn verify(&self, artifact: &Artifact) -> Result<()> {
        let offsets = artifact.slice(&self.offsets);
        match offsets.windows(2).position(|w| w[0] > w[1]) {
            Some(i) => Err(self.fault(artifact, i)),
            None => Ok(()),
        }
    }

    #[cold]
    fn fault(&self, artifact: &Artifact, i: usize) -> Error {
        let reason = match artifact.slice(&self.offsets).get(i..i + 2) {
            Some(pair) => format!(
                "row {i} runs from {} to {} of {}",
                pair[0], pair[1], self.total
            ),
            None => format!("there is no row {i}"),
        };
        Error::corrupt(artifact.path(), &self.name, reason)
    }
}

/// The offsets of rows with these lengths.
pub fn offsets(lengths: impl IntoIterator<Item = usize>) -> Vec<u64> {
    let mut offsets = vec![0];
    let mut end = 0;
    for length in lengths {
        end += length as u64;
        offsets.push(end);
    }
    offsets
}
