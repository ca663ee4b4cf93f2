//! [`SignalPacker`]: lists that were computed elsewhere, into a signal.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::metadata::{extend, object};
use super::{Built, check_lengths};
use crate::Ordinal;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::signal::{KeyType, MAX_SCORE, SignalWriter, Spec, is_score};

/// Collects (key, item, score) rows in memory, 16 bytes each, and writes them ranked.
#[derive(Debug)]
pub struct SignalPacker {
    kind: String,
    key_type: KeyType,
    lists: BTreeMap<String, Vec<(Ordinal, f64)>>,
    unknown_items: u64,
    unknown_keys: u64,
}

impl SignalPacker {
    /// A packer without rows.
    pub fn new(kind: &str, key_type: KeyType) -> Self {
        Self {
            kind: kind.to_owned(),
            key_type,
            lists: BTreeMap::new(),
            unknown_items: 0,
            unknown_keys: 0,
        }
    }

    /// Adds rows of one key, which may come again with other items. Items that the catalog does not have are counted
    /// and left out; so are the lists of items that it does not have.
    pub fn push<S: AsRef<str>>(
        &mut self,
        catalog: &Catalog,
        key: &str,
        item_ids: &[S],
        scores: &[f64],
    ) -> Result<()> {
        check_lengths(&[("item_ids", item_ids.len()), ("scores", scores.len())])?;
        if key.is_empty() {
            return Err(Error::Build("a key is empty".to_owned()));
        }
        if self.key_type == KeyType::Item && catalog.ordinal(key)?.is_none() {
            self.unknown_keys += 1;
            return Ok(());
        }
        let list = self.lists.entry(key.to_owned()).or_default();
        for (id, score) in item_ids.iter().zip(scores) {
            let id = id.as_ref();
            if !is_score(*score) {
                return Err(Error::Build(format!(
                    "key `{key}`, item `{id}`: score {score:?} is not a number within {MAX_SCORE:e}"
                )));
            }
            match catalog.ordinal(id)? {
                // Adding zero turns -0 into 0, which ranks the same as any other 0.
                Some(item) => list.push((item, score + 0.0)),
                None => self.unknown_items += 1,
            }
        }
        Ok(())
    }

    /// Rows left out because the catalog does not have their item.
    pub fn unknown_items(&self) -> u64 {
        self.unknown_items
    }

    /// Writes the signal to `path`. Scores are kept in single precision if all of them fit it exactly, else in double;
    /// lists of segments are kept by item too.
    pub fn finish(
        mut self,
        path: &Path,
        catalog: &Catalog,
        mut metadata: Map<String, Value>,
    ) -> Result<Built> {
        for (key, list) in &mut self.lists {
            list.sort_unstable_by_key(|(item, _)| *item);
            if let Some(pair) = list.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                let id = catalog.id(pair[0].0)?;
                return Err(Error::Build(format!(
                    "key `{key}`: item `{id}` comes more than once"
                )));
            }
            list.sort_by(|a, b| b.1.total_cmp(&a.1));
        }
        let is_exact = |score: f64| f64::from(score as f32) == score;
        let spec = Spec {
            kind: self.kind,
            key_type: self.key_type,
            wide_scores: !self
                .lists
                .values()
                .flatten()
                .all(|(_, score)| is_exact(*score)),
            by_item: self.key_type == KeyType::Segment,
            keys: match self.key_type {
                KeyType::Item => Vec::new(),
                _ => self.lists.keys().cloned().collect(),
            },
        };
        let mut writer = SignalWriter::create(path, catalog, spec)?;
        match self.key_type {
            KeyType::Item => {
                // Ordinals are in byte order of ids, and so is the map; items without a list get an empty one.
                for item in 0..catalog.len() as Ordinal {
                    let list = self.lists.get(catalog.id(item)?);
                    writer.push_list(list.map_or(&[], Vec::as_slice))?;
                }
            }
            _ => self
                .lists
                .values()
                .try_for_each(|list| writer.push_list(list))?,
        }
        let counts = object([
            (
                "rows",
                self.lists.values().map(Vec::len).sum::<usize>().into(),
            ),
            ("unknown_items", self.unknown_items.into()),
            ("unknown_keys", self.unknown_keys.into()),
        ]);
        extend(&mut metadata, Map::new(), &counts)?;
        Ok(Built {
            sha256: writer.finish(metadata)?,
            counts,
        })
    }
}
