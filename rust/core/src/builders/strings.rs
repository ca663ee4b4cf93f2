//! Arrow string arrays, as offsets and bytes, into hashes and ordinals.

use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::{NONE, Ordinal};

/// An Arrow string array without its validity bitmap: string `i` is `data[offsets[i]..offsets[i + 1]]`.
#[derive(Clone, Copy, Debug)]
pub struct Strings<'a> {
    offsets: &'a [i64],
    data: &'a [u8],
}

impl<'a> Strings<'a> {
    /// Checks that the offsets ascend within `data`.
    pub fn new(offsets: &'a [i64], data: &'a [u8]) -> Result<Self> {
        let is_sound = offsets.first().is_none_or(|first| *first >= 0)
            && offsets.windows(2).all(|pair| pair[0] <= pair[1])
            && offsets
                .last()
                .is_none_or(|last| usize::try_from(*last).is_ok_and(|end| end <= data.len()));
        if is_sound {
            return Ok(Self { offsets, data });
        }
        Err(Error::Build(
            "offsets: not ascending within the data".to_owned(),
        ))
    }

    /// XXH3-64 of every string.
    pub fn hashes(self) -> Vec<u64> {
        self.par_iter().map(xxh3_64).collect()
    }

    /// The ordinal of every string in `catalog`, [`NONE`] for an id that it does not have.
    pub fn ordinals(self, catalog: &Catalog) -> Result<Vec<Ordinal>> {
        self.par_iter()
            .map(|bytes| match std::str::from_utf8(bytes) {
                Ok(id) => Ok(catalog.ordinal(id)?.unwrap_or(NONE)),
                Err(_) => Ok(NONE),
            })
            .collect()
    }

    fn par_iter(self) -> impl IndexedParallelIterator<Item = &'a [u8]> {
        self.offsets
            .par_windows(2)
            .map(move |pair| &self.data[pair[0] as usize..pair[1] as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_each_string() {
        let hashes = Strings::new(&[1, 3, 3, 4], b"xabc").unwrap().hashes();
        assert_eq!(hashes, [xxh3_64(b"ab"), xxh3_64(b""), xxh3_64(b"c")]);
        assert!(Strings::new(&[], b"").unwrap().hashes().is_empty());
    }

    #[test]
    fn offsets_outside_the_data_are_refused() {
        for offsets in [[0, 5], [-1, 2], [2, 1]] {
            assert!(Strings::new(&offsets, b"abcd").is_err(), "{offsets:?}");
        }
    }
}
