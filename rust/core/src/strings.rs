//! [`StringTable`]: texts of one artifact by position, and positions by text.
//!
//! Three sections share a prefix: `.off` holds the offsets of the texts in `.dat`, and `.idx`, if the table is indexed,
//! is an open-addressing hash table of positions: XXH3-64 of the text, masked by the table's size (a power of two, at
//! least twice the number of texts), then linear probing until an empty slot.

use xxhash_rust::xxh3::xxh3_64;

use crate::NONE;
use crate::error::{Error, Result};
use crate::format::{Artifact, Ragged, Section, Writer, offsets};
use crate::mapping::prefetch;

const SLOTS_PER_LINE: usize = 64 / size_of::<u32>();

/// Texts of one artifact.
#[derive(Clone, Debug)]
pub struct StringTable {
    prefix: &'static str,
    offsets: Ragged,
    data: Section<u8>,
    index: Option<Section<u32>>,
}

impl StringTable {
    /// Opens the table of `len` texts whose sections start with `prefix`.
    pub fn open(
        artifact: &Artifact,
        prefix: &'static str,
        len: usize,
        indexed: bool,
    ) -> Result<Self> {
        let data = artifact.section::<u8>(&name(prefix, "dat"), None)?;
        let total = artifact.slice(&data).len();
        let offsets = Ragged::open(artifact, &name(prefix, "off"), len, total)?;
        let index = match (indexed, slots(len)) {
            (false, _) => None,
            (true, Some(slots)) => Some(artifact.section(&name(prefix, "idx"), Some(slots))?),
            (true, None) => {
                let reason = format!("{len} texts are more than a table can index");
                return Err(Error::layout(artifact.path(), &name(prefix, "idx"), reason));
            }
        };
        Ok(Self {
            prefix,
            offsets,
            data,
            index,
        })
    }

    /// The text at position `i`; an error if there is none, or it is not UTF-8.
    pub fn get<'a>(&self, artifact: &'a Artifact, i: u32) -> Result<&'a str> {
        std::str::from_utf8(self.bytes(artifact, i)?).map_err(|_| {
            let reason = format!("text {i} is not UTF-8");
            Error::corrupt(artifact.path(), &name(self.prefix, "dat"), reason)
        })
    }

    /// The position of `text`, or `None` if the table does not have it or is not indexed.
    pub fn find(&self, artifact: &Artifact, text: &str) -> Result<Option<u32>> {
        self.find_hashed(artifact, Self::hash(text), text)
    }

    /// As [`StringTable::find`], for a text whose hash is known.
    pub fn find_hashed(&self, artifact: &Artifact, hash: u64, text: &str) -> Result<Option<u32>> {
        let Some(index) = &self.index else {
            return Ok(None);
        };
        let table = artifact.slice(index);
        let mask = table.len().wrapping_sub(1);
        let home = hash as usize;
        for step in 0..table.len() {
            let i = table[home.wrapping_add(step) & mask];
            if i == NONE {
                return Ok(None);
            }
            if self.bytes(artifact, i)? == text.as_bytes() {
                return Ok(Some(i));
            }
        }
        let reason = "the table has no empty slot";
        Err(Error::corrupt(
            artifact.path(),
            &name(self.prefix, "idx"),
            reason,
        ))
    }

    /// What texts are found by.
    #[inline]
    pub fn hash(text: &str) -> u64 {
        xxh3_64(text.as_bytes())
    }

    /// Asks for the cache line of the first slot of a text.
    #[inline]
    pub fn prefetch_slot(&self, artifact: &Artifact, hash: u64) {
        let slots: &[u32] = self
            .index
            .as_ref()
            .map_or(&[], |index| artifact.slice(index));
        prefetch(slots, hash as usize & slots.len().wrapping_sub(1));
    }

    /// The positions that a text may have: those in its slots, up to an empty one or the end of their cache line.
    pub fn guesses(&self, artifact: &Artifact, hash: u64) -> impl Iterator<Item = u32> {
        let slots: &[u32] = self
            .index
            .as_ref()
            .map_or(&[], |index| artifact.slice(index));
        let home = hash as usize & slots.len().wrapping_sub(1);
        let line = home % SLOTS_PER_LINE;
        let slots = slots.iter().skip(home).take(SLOTS_PER_LINE - line);
        slots.copied().take_while(|position| *position != NONE)
    }

    /// Asks for where the text at position `i` is.
    #[inline]
    pub fn prefetch_row(&self, artifact: &Artifact, i: u32) {
        self.offsets.prefetch(artifact, i);
    }

    /// Asks for the first cache line of the text at position `i`.
    #[inline]
    pub fn prefetch_text(&self, artifact: &Artifact, i: u32) {
        if let Some(start) = self.offsets.start(artifact, i) {
            prefetch(artifact.slice(&self.data), start);
        }
    }

    /// Checks every offset, that every text is UTF-8, and the index if there is one.
    pub fn verify(&self, artifact: &Artifact) -> Result<()> {
        self.offsets.verify(artifact)?;
        let count = self.offsets.rows(artifact) as u32;
        for i in 0..count {
            self.get(artifact, i)?;
        }
        if let Some(index) = &self.index {
            let texts = (0..count).map(|i| self.bytes(artifact, i));
            if artifact.slice(index) != hash_table(texts.collect::<Result<Vec<_>>>()?) {
                let reason = "not the table of these texts";
                return Err(Error::corrupt(
                    artifact.path(),
                    &name(self.prefix, "idx"),
                    reason,
                ));
            }
        }
        Ok(())
    }

    /// As [`StringTable::verify`], and that no text is empty and each is greater in bytes than the one before.
    pub fn verify_sorted(&self, artifact: &Artifact) -> Result<()> {
        self.verify(artifact)?;
        let mut previous: &[u8] = &[];
        for i in 0..self.offsets.rows(artifact) as u32 {
            let text = self.bytes(artifact, i)?;
            if text <= previous {
                let reason = format!("text {i} is empty or not greater than the one before");
                return Err(Error::corrupt(
                    artifact.path(),
                    &name(self.prefix, "dat"),
                    reason,
                ));
            }
            previous = text;
        }
        Ok(())
    }

    /// Writes the sections of a table.
    pub fn write<S: AsRef<str>>(
        writer: &mut Writer,
        prefix: &str,
        texts: &[S],
        indexed: bool,
    ) -> Result<()> {
        if texts.len() >= NONE as usize {
            return Err(Error::Build(format!(
                "{} texts are more than a table can hold",
                texts.len()
            )));
        }
        let bytes = || texts.iter().map(|t| t.as_ref().as_bytes());
        writer.section(&name(prefix, "off"), &offsets(bytes().map(<[u8]>::len)))?;
        writer.pieces(&name(prefix, "dat"), bytes())?;
        if indexed {
            writer.section(&name(prefix, "idx"), &hash_table(bytes().collect()))?;
        }
        Ok(())
    }

    /// The bytes of the text at position `i`; an error if there is none.
    #[inline]
    pub fn bytes<'a>(&self, artifact: &'a Artifact, i: u32) -> Result<&'a [u8]> {
        let range = self.offsets.range(artifact, i)?;
        // The range was checked against this very section.
        Ok(artifact.slice(&self.data).get(range).unwrap_or(&[]))
    }
}

fn name(prefix: &str, part: &str) -> String {
    format!("{prefix}.{part}")
}

/// Slots of the hash table of `len` texts, if it can be addressed at all.
fn slots(len: usize) -> Option<usize> {
    len.checked_mul(2)?.checked_next_power_of_two()
}

fn hash_table(texts: Vec<&[u8]>) -> Vec<u32> {
    let mut table = vec![NONE; slots(texts.len()).unwrap_or(1)];
    let mask = table.len() - 1;
    for (i, text) in texts.into_iter().enumerate() {
        let mut slot = xxh3_64(text) as usize & mask;
        while table[slot] != NONE {
            slot = (slot + 1) & mask;
        }
        table[slot] = i as u32;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Type;

    fn with_table(texts: &[&str], indexed: bool, check: impl FnOnce(&Artifact, &StringTable)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table");
        let mut writer = Writer::create(&path, Type::Catalog).unwrap();
        StringTable::write(&mut writer, "t", texts, indexed).unwrap();
        writer.finish(&serde_json::Map::new()).unwrap();
        let artifact = Artifact::open(&path, Type::Catalog).unwrap();
        let table = StringTable::open(&artifact, "t", texts.len(), indexed).unwrap();
        check(&artifact, &table);
    }

    #[test]
    fn texts_are_found_by_position_and_positions_by_text() {
        let texts = ["a", "ab", "b", "ü", "日本"];
        with_table(&texts, true, |artifact, table| {
            for (i, text) in texts.iter().enumerate() {
                assert_eq!(table.get(artifact, i as u32).unwrap(), *text);
                assert_eq!(table.find(artifact, text).unwrap(), Some(i as u32));
            }
            assert_eq!(table.find(artifact, "").unwrap(), None);
            assert_eq!(table.find(artifact, "abc").unwrap(), None);
            table.verify_sorted(artifact).unwrap();
        });
    }

    #[test]
    fn a_position_past_the_end_is_an_error_with_the_section() {
        with_table(&["a"], true, |artifact, table| {
            for i in [1, 2, NONE] {
                let message = table.get(artifact, i).unwrap_err().to_string();
                assert!(message.contains("t.off: there is no row"), "{message}");
            }
        });
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        with_table(&[], true, |artifact, table| {
            assert_eq!(table.find(artifact, "a").unwrap(), None);
            table.verify_sorted(artifact).unwrap();
        });
    }

    #[test]
    fn a_table_without_index_holds_equal_and_empty_texts() {
        with_table(&["", "b", "b"], false, |artifact, table| {
            assert_eq!(table.get(artifact, 0).unwrap(), "");
            assert_eq!(table.get(artifact, 2).unwrap(), "b");
            assert_eq!(table.find(artifact, "b").unwrap(), None);
            table.verify(artifact).unwrap();
            assert!(table.verify_sorted(artifact).is_err());
        });
    }
}
