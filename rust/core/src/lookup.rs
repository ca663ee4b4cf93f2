//! [`Lookup`]: the positions of many texts at once.
//!
//! To find one text is to wait for memory three times: for its slot, for where the text in that slot is, and for that
//! text; and where it is another text, again for the next slot. Here every step asks for what the next one reads, of all
//! texts and of all slots that may be theirs, so that the processor waits for many at once.

use crate::error::Result;
use crate::format::Artifact;
use crate::strings::StringTable;

/// Texts being looked for.
#[derive(Debug)]
pub struct Lookup<'a> {
    table: &'a StringTable,
    artifact: &'a Artifact,
    texts: &'a [&'a str],
    hashes: Vec<u64>,
}

impl<'a> Lookup<'a> {
    /// The first step, which asks for the slots of `texts`.
    pub fn new(table: &'a StringTable, artifact: &'a Artifact, texts: &'a [&'a str]) -> Self {
        let hashes: Vec<u64> = texts.iter().map(|text| StringTable::hash(text)).collect();
        for hash in &hashes {
            table.prefetch_slot(artifact, *hash);
        }
        Self {
            table,
            artifact,
            texts,
            hashes,
        }
    }

    /// The second step: all positions that a text may have, of one text after the other. Any number may come out of a
    /// file that was never verified.
    pub fn guesses(&self) -> Vec<u32> {
        let mut guesses = Vec::with_capacity(2 * self.hashes.len());
        for hash in &self.hashes {
            guesses.extend(self.table.guesses(self.artifact, *hash));
        }
        for guess in &guesses {
            self.table.prefetch_row(self.artifact, *guess);
        }
        guesses
    }

    /// The third step, which asks for the texts at `guesses`.
    pub fn prefetch(&self, guesses: &[u32]) {
        for guess in guesses {
            self.table.prefetch_text(self.artifact, *guess);
        }
    }

    /// The last step: the position of each text in turn, `None` for one that the table does not have.
    pub fn positions(&self) -> impl Iterator<Item = Result<Option<u32>>> {
        let texts = self.texts.iter().zip(&self.hashes);
        texts.map(|(text, hash)| self.table.find_hashed(self.artifact, *hash, text))
    }

    /// All steps but the first.
    pub fn finish(&self) -> impl Iterator<Item = Result<Option<u32>>> {
        self.prefetch(&self.guesses());
        self.positions()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Type, Writer};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn many_texts_are_found_as_one_is(count in 0u32..2000, asked in prop::collection::vec(0u32..4000, 0..60)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("table");
            let texts: Vec<String> = (0..count).map(|i| format!("{i:05}")).collect();
            let mut writer = Writer::create(&path, Type::Catalog).unwrap();
            StringTable::write(&mut writer, "t", &texts, true).unwrap();
            writer.finish(&serde_json::Map::new()).unwrap();
            let artifact = Artifact::open(&path, Type::Catalog).unwrap();
            let table = StringTable::open(&artifact, "t", texts.len(), true).unwrap();

            let asked: Vec<String> = asked.into_iter().map(|i| format!("{i:05}")).collect();
            let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
            let lookup = Lookup::new(&table, &artifact, &asked);
            let found: Vec<Option<u32>> = lookup.finish().map(Result::unwrap).collect();
            let one_by_one: Vec<Option<u32>> = asked
                .iter()
                .map(|text| table.find(&artifact, text).unwrap())
                .collect();
            prop_assert_eq!(found, one_by_one);
        }
    }
}
