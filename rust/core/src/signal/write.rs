//! [`SignalWriter`]: lists in key order in, one file out.

use std::path::Path;

use serde_json::{Map, Value};

use super::{KeyType, MAX_SCORE, is_score};
use crate::Ordinal;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::format::{Spool, Type, Writer};
use crate::strings::StringTable;

/// What a signal is made of.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What it measures: `popularity`, `cooc` and so on.
    pub kind: String,
    /// What its keys are.
    pub key_type: KeyType,
    /// Keep scores in double precision.
    pub wide_scores: bool,
    /// Keep each list by ordinal too.
    pub by_item: bool,
    /// Names of the keys in byte order, unique and not empty; none at all for items.
    pub keys: Vec<String>,
}

/// Writes one signal. Lists grow on disk, so memory is bounded by the keys and the catalog.
#[derive(Debug)]
pub struct SignalWriter {
    writer: Writer,
    spec: Spec,
    key_count: usize,
    item_count: usize,
    ids_digest: String,
    offsets: Vec<u64>,
    ranked: Columns,
    by_item: Option<Columns>,
    /// Number of the list that an item was last seen on, counted from 1.
    seen: Vec<u32>,
    scratch: Vec<(Ordinal, f64)>,
}

impl SignalWriter {
    /// Starts a signal that will be called `path` and whose ordinals are those of `catalog`.
    pub fn create(path: &Path, catalog: &Catalog, spec: Spec) -> Result<Self> {
        let refuse =
            |reason: String| Err(Error::Build(format!("signal `{}`: {reason}", spec.kind)));
        if spec.kind.is_empty() || spec.kind == Type::Catalog.name() {
            return refuse("not a name for a signal".to_owned());
        }
        if spec.key_type == KeyType::Item && !spec.keys.is_empty() {
            return refuse("a signal keyed by item has no other keys".to_owned());
        }
        if spec.keys.first().is_some_and(String::is_empty) {
            return refuse("a key is empty".to_owned());
        }
        if let Some(pair) = spec.keys.windows(2).find(|pair| pair[0] >= pair[1]) {
            return refuse(format!(
                "key `{}` does not come after key `{}`",
                pair[1], pair[0]
            ));
        }
        let writer = Writer::create(path, Type::Signal)?;
        let columns = || Columns::create(writer.folder(), spec.wide_scores);
        Ok(Self {
            key_count: match spec.key_type {
                KeyType::Item => catalog.len(),
                _ => spec.keys.len(),
            },
            item_count: catalog.len(),
            ids_digest: catalog.ids_digest().to_owned(),
            offsets: vec![0],
            ranked: columns()?,
            by_item: spec.by_item.then(columns).transpose()?,
            seen: vec![0; catalog.len()],
            scratch: Vec::new(),
            writer,
            spec,
        })
    }

    /// Adds the list of the next key: score descending (`total_cmp`), then ordinal ascending, no item twice, all scores
    /// finite, all ordinals of the catalog. Items whose scores become equal in single precision are kept by ordinal.
    pub fn push_list(&mut self, list: &[(Ordinal, f64)]) -> Result<()> {
        let number = self.offsets.len();
        if number > self.key_count {
            return Err(self.refuse(&format!("more lists than its {} keys", self.key_count)));
        }
        self.check(list, number as u32)?;
        let narrow = |score: f64| {
            if self.spec.wide_scores {
                score
            } else {
                f64::from(score as f32)
            }
        };
        let mut entries = std::mem::take(&mut self.scratch);
        entries.clear();
        entries.extend(list.iter().map(|(item, score)| (*item, narrow(*score))));
        if let Some((item, _)) = entries.iter().find(|(_, score)| !score.is_finite()) {
            return Err(self.refuse_list(
                number,
                &format!("the score of item {item} is over single precision"),
            ));
        }
        if !self.spec.wide_scores {
            entries.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        }
        self.ranked.push(&entries)?;
        if let Some(columns) = &mut self.by_item {
            entries.sort_unstable_by_key(|(item, _)| *item);
            columns.push(&entries)?;
        }
        self.offsets
            .push(self.offsets[number - 1] + list.len() as u64);
        self.scratch = entries;
        Ok(())
    }

    /// Adds a key, which comes after all keys before it in byte order, and its list. Not for signals keyed by item.
    pub fn push_keyed_list(&mut self, key: String, list: &[(Ordinal, f64)]) -> Result<()> {
        if self.spec.key_type == KeyType::Item || key.is_empty() {
            return Err(self.refuse(&format!("`{key}` is no key for it")));
        }
        if self.spec.keys.last().is_some_and(|last| *last >= key) {
            return Err(self.refuse(&format!(
                "key `{key}` does not come after the key before it"
            )));
        }
        self.spec.keys.push(key);
        self.key_count += 1;
        self.push_list(list)
    }

    /// Writes the file and returns its hex SHA-256; every key must have had its list, an empty one perhaps.
    ///
    /// `metadata` is kept beside the keys of the format, which replace keys of the same name.
    pub fn finish(mut self, mut metadata: Map<String, Value>) -> Result<String> {
        let lists = self.offsets.len() - 1;
        if lists != self.key_count {
            return Err(self.refuse(&format!("{lists} lists for its {} keys", self.key_count)));
        }
        let entry_count = self.offsets[lists];
        for (key, value) in [
            ("artifact_type", Value::from(self.spec.kind)),
            ("key_type", Value::from(self.spec.key_type.name())),
            (
                "score_type",
                Value::from(if self.spec.wide_scores { "f64" } else { "f32" }),
            ),
            ("n_keys", Value::from(self.key_count)),
            ("n_entries", Value::from(entry_count)),
            ("n_items", Value::from(self.item_count)),
            ("ids_digest", Value::from(self.ids_digest)),
        ] {
            metadata.insert(key.to_owned(), value);
        }
        if self.spec.key_type != KeyType::Item {
            StringTable::write(&mut self.writer, "key", &self.spec.keys, true)?;
        }
        self.writer.section("list.off", &self.offsets)?;
        self.writer.spooled("items", self.ranked.items)?;
        self.writer.spooled("scores", self.ranked.scores)?;
        if let Some(columns) = self.by_item {
            self.writer.spooled("by.item", columns.items)?;
            self.writer.spooled("by.score", columns.scores)?;
        }
        self.writer.finish(&metadata)
    }

    fn check(&mut self, list: &[(Ordinal, f64)], number: u32) -> Result<()> {
        for (item, score) in list {
            let reason = match self.seen.get_mut(*item as usize) {
                None => format!("item {item} of {} items", self.item_count),
                Some(seen) if *seen == number => format!("item {item} is there twice"),
                Some(_) if !is_score(*score) => {
                    format!("the score of item {item} is {score:?}, not within {MAX_SCORE:e}")
                }
                Some(seen) => {
                    *seen = number;
                    continue;
                }
            };
            return Err(self.refuse_list(number as usize, &reason));
        }
        let is_after = |a: &(Ordinal, f64), b: &(Ordinal, f64)| {
            b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)).is_lt()
        };
        match list.windows(2).find(|pair| !is_after(&pair[0], &pair[1])) {
            Some(pair) => {
                let reason = format!("item {} does not rank after item {}", pair[1].0, pair[0].0);
                Err(self.refuse_list(number as usize, &reason))
            }
            None => Ok(()),
        }
    }

    fn refuse(&self, reason: &str) -> Error {
        Error::Build(format!("signal `{}`: {reason}", self.spec.kind))
    }

    fn refuse_list(&self, number: usize, reason: &str) -> Error {
        match self.spec.keys.get(number - 1) {
            Some(key) => self.refuse(&format!("list of key `{key}`: {reason}")),
            None => self.refuse(&format!("list of item {}: {reason}", number - 1)),
        }
    }
}

/// Items and scores on their way to two sections.
#[derive(Debug)]
struct Columns {
    items: Spool,
    scores: Spool,
    wide_scores: bool,
    item_buffer: Vec<u32>,
    narrow_buffer: Vec<f32>,
    wide_buffer: Vec<f64>,
}

impl Columns {
    fn create(folder: &Path, wide_scores: bool) -> Result<Self> {
        Ok(Self {
            items: Spool::create(folder)?,
            scores: Spool::create(folder)?,
            wide_scores,
            item_buffer: Vec::new(),
            narrow_buffer: Vec::new(),
            wide_buffer: Vec::new(),
        })
    }

    fn push(&mut self, entries: &[(Ordinal, f64)]) -> Result<()> {
        self.item_buffer.clear();
        self.item_buffer
            .extend(entries.iter().map(|(item, _)| item));
        self.items.push(&self.item_buffer)?;
        if self.wide_scores {
            self.wide_buffer.clear();
            self.wide_buffer
                .extend(entries.iter().map(|(_, score)| score));
            self.scores.push(&self.wide_buffer)
        } else {
            self.narrow_buffer.clear();
            self.narrow_buffer
                .extend(entries.iter().map(|(_, score)| *score as f32));
            self.scores.push(&self.narrow_buffer)
        }
    }
}
