//! [`Signal`]: a mapped map from a key to a ranked list of items and scores.
//!
//! Keys are segments or users, found by name, or the items of the catalog, found by ordinal. A [`List`] is one key's
//! list, best first; [`ByItem`] is the same list by ordinal, for signals that are asked "what does this key say of
//! that item". [`SignalWriter`] writes one, list after list.

mod list;
mod verify;
mod write;

use std::path::Path;

use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::format::{Artifact, Ragged, Section, Type};
use crate::strings::StringTable;

pub(crate) use list::find;
pub use list::{ByItem, List, Scores};
pub use write::{SignalWriter, Spec};

/// No score of a list is over this, nor below its negative: far beyond any use, and so far from the largest number that
/// sums, weights and boosts of scores stay finite.
pub const MAX_SCORE: f64 = 1e100;

/// Whether a number can be a score: a finite one within [`MAX_SCORE`].
#[inline]
pub fn is_score(number: f64) -> bool {
    number.abs() <= MAX_SCORE
}

/// What the keys of a signal are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// Cohorts of requests, by name.
    Segment,
    /// Items of the catalog, by ordinal.
    Item,
    /// Users, by pseudonym.
    User,
}

impl KeyType {
    /// Every key type.
    pub const ALL: [Self; 3] = [Self::Segment, Self::Item, Self::User];

    /// The word for it in metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Item => "item",
            Self::User => "user",
        }
    }
}

/// The scores of a signal, in the precision in which they are stored.
#[derive(Debug)]
enum ScoreSection {
    F32(Section<f32>),
    F64(Section<f64>),
}

impl ScoreSection {
    fn open(artifact: &Artifact, name: &str, len: usize) -> Result<Self> {
        match artifact.text("score_type")? {
            "f32" => Ok(Self::F32(artifact.section(name, Some(len))?)),
            "f64" => Ok(Self::F64(artifact.section(name, Some(len))?)),
            _ => {
                let reason = "`score_type` is neither `f32` nor `f64`";
                Err(Error::corrupt(artifact.path(), "meta", reason))
            }
        }
    }

    /// The scores at `range`, which was checked against a section of the same length.
    #[inline]
    fn at<'a>(&self, artifact: &'a Artifact, range: std::ops::Range<usize>) -> Scores<'a> {
        match self {
            Self::F32(section) => Scores::F32(artifact.slice(section).get(range).unwrap_or(&[])),
            Self::F64(section) => Scores::F64(artifact.slice(section).get(range).unwrap_or(&[])),
        }
    }
}

/// A mapped signal.
#[derive(Debug)]
pub struct Signal {
    artifact: Artifact,
    key_type: KeyType,
    ids_digest: String,
    item_count: usize,
    key_count: usize,
    entry_count: usize,
    keys: Option<StringTable>,
    rows: Ragged,
    items: Section<u32>,
    scores: ScoreSection,
    by_item: Option<(Section<u32>, ScoreSection)>,
}

impl Signal {
    /// Maps `path`; header, table, metadata and section lengths are checked, values when they are used.
    pub fn open(path: &Path) -> Result<Self> {
        let a = Artifact::open(path, Type::Signal)?;
        a.text("artifact_type")?;
        let name = a.text("key_type")?;
        let key_type = KeyType::ALL
            .into_iter()
            .find(|k| k.name() == name)
            .ok_or_else(|| {
                Error::corrupt(
                    path,
                    "meta",
                    format!("`key_type` is `{}`", name.escape_debug()),
                )
            })?;
        let [key_count, entry_count, item_count] = [
            a.number("n_keys")?,
            a.number("n_entries")?,
            a.number("n_items")?,
        ];
        if key_type == KeyType::Item && key_count != item_count {
            let reason = format!("`n_keys` is {key_count}, but the keys are {item_count} items");
            return Err(Error::corrupt(path, "meta", reason));
        }
        let by_item = if a.has("by.item") || a.has("by.score") {
            let items = a.section("by.item", Some(entry_count))?;
            Some((items, ScoreSection::open(&a, "by.score", entry_count)?))
        } else {
            None
        };
        Ok(Self {
            key_type,
            ids_digest: a.digest("ids_digest")?,
            item_count,
            key_count,
            entry_count,
            keys: match key_type {
                KeyType::Item => None,
                _ => Some(StringTable::open(&a, "key", key_count, true)?),
            },
            rows: Ragged::open(&a, "list.off", key_count, entry_count)?,
            items: a.section("items", Some(entry_count))?,
            scores: ScoreSection::open(&a, "scores", entry_count)?,
            by_item,
            artifact: a,
        })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.artifact.path()
    }

    /// What it measures, the `artifact_type` of its metadata.
    pub fn kind(&self) -> &str {
        // Present since the file was opened.
        self.artifact.text("artifact_type").unwrap_or_default()
    }

    /// What its keys are.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// How many keys it has; for an item-keyed signal, how many items its catalog has.
    pub fn key_count(&self) -> usize {
        self.key_count
    }

    /// How many (key, item, score) there are.
    pub fn entry_count(&self) -> usize {
        self.entry_count
    }

    /// How many items its catalog has.
    pub fn item_count(&self) -> usize {
        self.item_count
    }

    /// Digest of the ids of the catalog that its ordinals belong to.
    pub fn ids_digest(&self) -> &str {
        &self.ids_digest
    }

    /// The metadata block.
    pub fn metadata(&self) -> &serde_json::Map<String, serde_json::Value> {
        self.artifact.metadata()
    }

    /// Checks that the ordinals belong to `catalog`.
    pub fn check_catalog(&self, catalog: &Catalog) -> Result<()> {
        catalog.check_owner(self.path(), &self.ids_digest, self.item_count)
    }

    /// The key called `name`; always `None` for an item-keyed signal, whose keys are ordinals.
    #[inline]
    pub fn key(&self, name: &str) -> Result<Option<u32>> {
        match &self.keys {
            Some(keys) => keys.find(&self.artifact, name),
            None => Ok(None),
        }
    }

    /// The name of a key; an error for an item-keyed signal, whose names are in the catalog.
    pub fn key_name(&self, key: u32) -> Result<&str> {
        match &self.keys {
            Some(keys) => keys.get(&self.artifact, key),
            None => Err(Error::MissingSection {
                path: self.path().to_owned(),
                section: "key.off".to_owned(),
            }),
        }
    }

    /// Maps the file, the first time that it is called.
    pub fn populate(&self) {
        self.artifact.populate();
    }

    /// Asks for where the list of a key is.
    #[inline]
    pub fn prefetch_row(&self, key: u32) {
        self.rows.prefetch(&self.artifact, key);
    }

    /// Asks for where the list of a key begins.
    #[inline]
    pub fn prefetch_start(&self, key: u32) {
        if let Ok(list) = self.list(key) {
            list.prefetch(1);
        }
    }

    /// The list of a key, best first; an error if there is no such key.
    #[inline]
    pub fn list(&self, key: u32) -> Result<List<'_>> {
        let range = self.rows.range(&self.artifact, key)?;
        Ok(List {
            path: self.path(),
            items: self
                .artifact
                .slice(&self.items)
                .get(range.clone())
                .unwrap_or(&[]),
            scores: self.scores.at(&self.artifact, range),
            item_count: self.item_count,
        })
    }

    /// The list of a key by ordinal; `None` if the signal was written without it.
    #[inline]
    pub fn by_item(&self, key: u32) -> Result<Option<ByItem<'_>>> {
        let Some((items, scores)) = &self.by_item else {
            return Ok(None);
        };
        let range = self.rows.range(&self.artifact, key)?;
        Ok(Some(ByItem {
            path: self.path(),
            items: self.artifact.slice(items).get(range.clone()).unwrap_or(&[]),
            scores: scores.at(&self.artifact, range),
        }))
    }

    /// Checks every checksum, offset, ordinal, score, order and key.
    pub fn verify(&self) -> Result<()> {
        verify::verify(self)
    }
}
