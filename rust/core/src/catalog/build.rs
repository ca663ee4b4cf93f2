//! [`build`]: rows in any order in, the same bytes out.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::NO_TIME;
use crate::error::{Error, Result};
use crate::format::{Type, Writer, hex, offsets};
use crate::strings::StringTable;
use crate::{NONE, Ordinal};

/// One item, as it comes from a feed. An empty title, brand or category is the same as none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// Unique and not empty.
    pub id: String,
    /// For people.
    pub title: Option<String>,
    /// Not empty; repeated tags count once.
    pub tags: Vec<String>,
    /// For caps and rules.
    pub brand: Option<String>,
    /// For caps and rules.
    pub category: Option<String>,
    /// Finite.
    pub price: Option<f64>,
    /// Unix milliseconds.
    pub created_at_ms: Option<i64>,
    /// Unix milliseconds, exclusive.
    pub valid_until_ms: Option<i64>,
    /// Whether the item may be shown at all.
    pub available: bool,
}

/// Writes a catalog to `path` and returns the file's hex SHA-256.
///
/// `metadata` is kept beside the keys of the format, which replace keys of the same name.
/// A row that cannot be kept is an [`Error::Build`] with the item's id.
pub fn build(path: &Path, mut rows: Vec<Row>, mut metadata: Map<String, Value>) -> Result<String> {
    rows.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    check(&rows)?;
    let ids: Vec<&str> = rows.iter().map(|r| r.id.as_str()).collect();
    let tags = Labels::of(rows.iter().flat_map(|r| &r.tags));
    let brands = Labels::of(rows.iter().filter_map(|r| r.brand.as_ref()));
    let categories = Labels::of(rows.iter().filter_map(|r| r.category.as_ref()));
    let item_tags: Vec<Vec<u32>> = rows.iter().map(|r| tags.codes(&r.tags)).collect();

    let mut writer = Writer::create(path, Type::Catalog)?;
    let w = &mut writer;
    StringTable::write(w, "id", &ids, true)?;
    let titles: Vec<&str> = rows
        .iter()
        .map(|r| r.title.as_deref().unwrap_or(""))
        .collect();
    StringTable::write(w, "ttl", &titles, false)?;
    StringTable::write(w, "tag", &tags.texts, true)?;
    w.section("itag.off", &offsets(item_tags.iter().map(Vec::len)))?;
    w.section("itag", &item_tags.concat())?;
    let (starts, tag_items) = transpose(item_tags.iter().map(Vec::as_slice), tags.texts.len());
    w.section("tagi.off", &starts)?;
    w.section("tagi", &tag_items)?;
    StringTable::write(w, "brnd", &brands.texts, true)?;
    StringTable::write(w, "catg", &categories.texts, true)?;
    column(w, "brand", &rows, |r| brands.code(r.brand.as_deref()))?;
    column(w, "category", &rows, |r| {
        categories.code(r.category.as_deref())
    })?;
    column(w, "price", &rows, |r| r.price.unwrap_or(f64::NAN))?;
    column(w, "created", &rows, |r| r.created_at_ms.unwrap_or(NO_TIME))?;
    column(w, "valid", &rows, |r| r.valid_until_ms.unwrap_or(NO_TIME))?;
    column(w, "avail", &rows, |r| u8::from(r.available))?;
    let created: Vec<i64> = rows
        .iter()
        .map(|r| r.created_at_ms.unwrap_or(NO_TIME))
        .collect();
    w.section("newest", &newest_first(&created))?;

    let digest = ids_digest(ids.iter().copied());
    for (key, value) in [
        ("artifact_type", Value::from("catalog")),
        ("n_items", Value::from(ids.len())),
        ("n_tags", Value::from(tags.texts.len())),
        ("n_brands", Value::from(brands.texts.len())),
        ("n_categories", Value::from(categories.texts.len())),
        ("ids_digest", Value::from(digest)),
    ] {
        metadata.insert(key.to_owned(), value);
    }
    writer.finish(&metadata)
}

/// Hex SHA-256 over ids in ordinal order, each as its length (`u32`, little-endian) and its bytes.
pub fn ids_digest<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    for id in ids {
        // Longer ids are refused when a catalog is built.
        hasher.update((id.len() as u32).to_le_bytes());
        hasher.update(id);
    }
    hex(&hasher.finalize())
}

/// Items by creation time descending, then ordinal.
pub(super) fn newest_first(created: &[i64]) -> Vec<Ordinal> {
    // "No time" is the least of all times, so those items come last by themselves.
    let mut order: Vec<Ordinal> = (0..created.len() as Ordinal).collect();
    order.sort_by_key(|i| Reverse(created[*i as usize]));
    order
}

/// Offsets and items of each tag, from the tags of each item; every tag must be below `tag_count`.
pub(super) fn transpose<'a>(
    item_tags: impl Iterator<Item = &'a [u32]> + Clone,
    tag_count: usize,
) -> (Vec<u64>, Vec<Ordinal>) {
    let mut lengths = vec![0; tag_count];
    for tag in item_tags.clone().flatten() {
        lengths[*tag as usize] += 1;
    }
    let starts = offsets(lengths);
    let mut next = starts.clone();
    let mut items = vec![NONE; starts.last().map_or(0, |n| *n as usize)];
    for (item, tags) in item_tags.enumerate() {
        for tag in tags {
            let place = &mut next[*tag as usize];
            items[*place as usize] = item as Ordinal;
            *place += 1;
        }
    }
    (starts, items)
}

/// Distinct texts in byte order and their codes.
struct Labels<'a> {
    texts: Vec<&'a str>,
    codes: HashMap<&'a str, u32>,
}

impl<'a> Labels<'a> {
    fn of(texts: impl Iterator<Item = &'a String>) -> Self {
        let distinct: BTreeSet<&str> = texts
            .map(String::as_str)
            .filter(|t| !t.is_empty())
            .collect();
        let texts: Vec<&str> = distinct.into_iter().collect();
        let codes = texts
            .iter()
            .zip(0..)
            .map(|(text, code)| (*text, code))
            .collect();
        Self { texts, codes }
    }

    fn code(&self, text: Option<&str>) -> u32 {
        text.and_then(|t| self.codes.get(t))
            .copied()
            .unwrap_or(NONE)
    }

    fn codes(&self, texts: &[String]) -> Vec<u32> {
        let mut codes: Vec<u32> = texts.iter().map(|t| self.code(Some(t))).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }
}

fn column<T: bytemuck::NoUninit>(
    writer: &mut Writer,
    name: &str,
    rows: &[Row],
    value: impl Fn(&Row) -> T,
) -> Result<()> {
    writer.section(name, &rows.iter().map(value).collect::<Vec<T>>())
}

fn check(rows: &[Row]) -> Result<()> {
    let refuse = |id: &str, reason: &str| Err(Error::Build(format!("item `{id}`: {reason}")));
    if rows.len() >= NONE as usize {
        return Err(Error::Build(format!(
            "{} items are more than a catalog can hold",
            rows.len()
        )));
    }
    for row in rows {
        if row.id.is_empty() {
            return refuse("", "the id is empty");
        }
        if u32::try_from(row.id.len()).is_err() {
            return refuse("", "an id is over 4 GiB");
        }
        if row.tags.iter().any(String::is_empty) {
            return refuse(&row.id, "a tag is empty");
        }
        if row.price.is_some_and(|p| !p.is_finite()) {
            return refuse(&row.id, "the price is not a finite number");
        }
        if [row.created_at_ms, row.valid_until_ms].contains(&Some(NO_TIME)) {
            return refuse(&row.id, "a time is out of range");
        }
    }
    match rows.windows(2).find(|pair| pair[0].id == pair[1].id) {
        Some(pair) => refuse(&pair[0].id, "the id is there twice"),
        None => Ok(()),
    }
}
