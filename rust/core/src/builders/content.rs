//! [`build_content_sim`]: which items are alike by what the catalog says of them.
//!
//! An item is a vector of terms: its tags, brand, category and the words of its title. Rare terms weigh more (TF-IDF, Salton
//! and Buckley 1988, with the smoothed inverse document frequency), and likeness is the cosine. Rows of the matrix of
//! likeness are summed term by term in ascending order, so floats do not depend on threads.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rayon::prelude::*;
use serde_json::{Map, Value};

use super::best::{Best, Key};
use super::metadata::{extend, object};
use super::{Built, Limits};
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::signal::{KeyType, SignalWriter, Spec};
use crate::{NONE, Ordinal};

/// Terms of this many items are never too common.
const NEVER_COMMON: usize = 100;
/// Items whose lists are computed by one thread in one go.
const BLOCK_ITEMS: usize = 256;
/// Blocks per thread of a wave, whose lists wait in memory to be written.
const BLOCKS_PER_THREAD: usize = 4;

/// What a content signal is built by.
#[derive(Clone, Copy, Debug)]
pub struct ContentParams {
    /// Most neighbours of an item.
    pub top_n: usize,
    /// Terms of more than this share of the items (and of more than 100 items) are left out.
    pub max_share: f64,
}

/// One item that has a term, and what the term is worth in its unit vector.
#[derive(Clone, Copy, Debug)]
struct Posting {
    item: Ordinal,
    value: f64,
}

/// Unit vectors by item and by term.
struct Vectors {
    /// Per item: (term, value), terms ascending.
    items: Vec<Vec<(u32, f64)>>,
    /// Per term: the items that have it, ascending.
    postings: Vec<Vec<Posting>>,
    common: usize,
}

/// Writes the `content_sim` signal of a catalog to `path`.
pub fn build_content_sim(
    path: &Path,
    catalog: &Catalog,
    params: ContentParams,
    limits: &Limits,
    mut metadata: Map<String, Value>,
) -> Result<Built> {
    if params.top_n == 0 {
        return Err(Error::Build("top_n: must be 1 or more".to_owned()));
    }
    if !(params.max_share > 0.0 && params.max_share <= 1.0) {
        return Err(Error::Build(
            "max_share: must be over 0 and at most 1".to_owned(),
        ));
    }
    let vectors = Vectors::of(catalog, params.max_share)?;
    let spec = Spec {
        kind: "content_sim".to_owned(),
        key_type: KeyType::Item,
        wide_scores: false,
        by_item: false,
        keys: Vec::new(),
    };
    let mut writer = SignalWriter::create(path, catalog, spec)?;
    limits.pool()?.install(|| -> Result<()> {
        let n_items = catalog.len();
        let wave = BLOCK_ITEMS * BLOCKS_PER_THREAD * rayon::current_num_threads();
        for start in (0..n_items).step_by(wave) {
            limits.stop.check()?;
            let items: Vec<usize> = (start..n_items.min(start + wave)).collect();
            let lists: Vec<Vec<(Ordinal, f64)>> = items
                .par_chunks(BLOCK_ITEMS)
                .flat_map_iter(|block| {
                    let mut sums = vec![0.0; n_items];
                    let mut best = Best::<u64>::new(params.top_n);
                    block
                        .iter()
                        .map(|item| vectors.neighbours(*item, &mut sums, &mut best))
                        .collect::<Vec<_>>()
                })
                .collect();
            lists.iter().try_for_each(|list| writer.push_list(list))?;
        }
        Ok(())
    })?;
    let counts = object([
        ("terms", vectors.postings.len().into()),
        ("common_terms", vectors.common.into()),
        (
            "items_without_terms",
            vectors.items.iter().filter(|v| v.is_empty()).count().into(),
        ),
    ]);
    let names = object([
        ("top_n", params.top_n.into()),
        ("max_share", params.max_share.into()),
    ]);
    extend(&mut metadata, names, &counts)?;
    Ok(Built {
        sha256: writer.finish(metadata)?,
        counts,
    })
}

impl Vectors {
    fn of(catalog: &Catalog, max_share: f64) -> Result<Self> {
        let counts = term_counts(catalog)?;
        let n_terms = counts.iter().flatten().map(|(term, _)| term + 1).max();
        let mut frequency = vec![0usize; n_terms.unwrap_or(0) as usize];
        for (term, _) in counts.iter().flatten() {
            frequency[*term as usize] += 1;
        }
        let most = ((max_share * catalog.len() as f64) as usize).max(NEVER_COMMON);
        let idf: Vec<f64> = frequency
            .iter()
            .map(|n| ((1 + catalog.len()) as f64 / (1 + n) as f64).ln() + 1.0)
            .collect();
        let mut postings = vec![Vec::new(); frequency.len()];
        let mut items = Vec::with_capacity(counts.len());
        for (item, counts) in counts.into_iter().enumerate() {
            let mut vector: Vec<(u32, f64)> = counts
                .into_iter()
                .filter(|(term, _)| frequency[*term as usize] <= most)
                .map(|(term, count)| (term, f64::from(count) * idf[term as usize]))
                .collect();
            let norm = vector.iter().map(|(_, w)| w * w).sum::<f64>().sqrt();
            for (term, value) in &mut vector {
                *value /= norm;
                postings[*term as usize].push(Posting {
                    item: item as Ordinal,
                    value: *value,
                });
            }
            items.push(vector);
        }
        Ok(Self {
            items,
            postings,
            common: frequency.iter().filter(|n| **n > most).count(),
        })
    }

    /// The best neighbours of an item; `sums` is all zero before and after.
    fn neighbours(
        &self,
        item: usize,
        sums: &mut [f64],
        best: &mut Best<u64>,
    ) -> Vec<(Ordinal, f64)> {
        let mut touched = Vec::new();
        for (term, value) in &self.items[item] {
            for posting in &self.postings[*term as usize] {
                let sum = &mut sums[posting.item as usize];
                if *sum == 0.0 {
                    touched.push(posting.item);
                }
                *sum += value * posting.value;
            }
        }
        for other in touched {
            let sum = std::mem::take(&mut sums[other as usize]);
            if other as usize != item {
                best.offer(sum, other);
            }
        }
        let mut keys = Vec::new();
        best.drain_into(&mut keys);
        keys.into_iter().map(Key::unpack).collect()
    }
}

/// Per item: its terms, ascending, and how often it has each. Numbers of terms depend on the catalog's content alone.
fn term_counts(catalog: &Catalog) -> Result<Vec<Vec<(u32, u32)>>> {
    let n_tags = catalog.tag_count() as u32;
    let n_brands = catalog.brand_count() as u32;
    let first_word = n_tags + n_brands + catalog.category_count() as u32;
    let mut words = BTreeMap::new();
    for item in 0..catalog.len() as Ordinal {
        for word in words_of(catalog.title(item)?) {
            words.insert(word, 0u32);
        }
    }
    for (number, (_, term)) in words.iter_mut().enumerate() {
        *term = first_word + number as u32;
    }
    (0..catalog.len() as Ordinal)
        .map(|item| {
            let mut counts: HashMap<u32, u32> =
                catalog.tags(item)?.iter().map(|tag| (*tag, 1)).collect();
            let (brand, category) = (catalog.brand(item), catalog.category(item));
            if brand != NONE {
                counts.insert(n_tags + brand, 1);
            }
            if category != NONE {
                counts.insert(n_tags + n_brands + category, 1);
            }
            for word in words_of(catalog.title(item)?) {
                if let Some(term) = words.get(&word) {
                    *counts.entry(*term).or_default() += 1;
                }
            }
            let mut counts: Vec<(u32, u32)> = counts.into_iter().collect();
            counts.sort_unstable();
            Ok(counts)
        })
        .collect()
}

/// The words of a title: runs of letters and digits, in lower case.
fn words_of(title: Option<&str>) -> impl Iterator<Item = String> + '_ {
    title
        .unwrap_or_default()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}
