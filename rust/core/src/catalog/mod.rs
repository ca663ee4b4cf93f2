//! [`Catalog`]: the items a tenant can show. An item's [`Ordinal`] is its position in byte order of the ids.
//!
//! [`build`](fn@build) writes one from [`Row`]s in any order; `verify` checks everything that opening leaves for later.
//! Texts that repeat (tags, brands, categories) are codes into tables of their own, also in byte order.

mod build;
mod groups;
mod verify;

use std::path::Path;
use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::format::{Artifact, Ragged, Section, Type};
use crate::lookup::Lookup;
use crate::mapping::prefetch;
use crate::strings::StringTable;
use crate::{NONE, Ordinal};

pub use build::{Row, build, ids_digest};
pub use groups::Attribute;

/// "No time" in the time columns.
const NO_TIME: i64 = i64::MIN;

/// A mapped catalog.
#[derive(Debug)]
pub struct Catalog {
    artifact: Artifact,
    ids_digest: String,
    ids: StringTable,
    titles: StringTable,
    tags: Labels,
    brands: Labels,
    categories: Labels,
    /// Tags of each item, ascending.
    item_tags: Section<u32>,
    item_tag_rows: Ragged,
    /// Items of each tag, ascending.
    tag_items: Section<u32>,
    tag_item_rows: Ragged,
    brand: Section<u32>,
    category: Section<u32>,
    price: Section<f64>,
    created: Section<i64>,
    valid: Section<i64>,
    available: Section<u8>,
    newest: Section<u32>,
    /// A bit an item: available, and valid without end. An eighth of the memory that asking both would touch, and more.
    lasting: OnceLock<Vec<u64>>,
}

/// A table of distinct texts in byte order; a text's position is its code.
#[derive(Debug)]
struct Labels {
    table: StringTable,
    count: usize,
}

impl Labels {
    fn open(artifact: &Artifact, prefix: &'static str, counted: &str) -> Result<Self> {
        let count = artifact.number(counted)?;
        let table = StringTable::open(artifact, prefix, count, true)?;
        Ok(Self { table, count })
    }
}

impl Catalog {
    /// Maps `path`; header, table, metadata and section lengths are checked, values when they are used.
    pub fn open(path: &Path) -> Result<Self> {
        let a = Artifact::open(path, Type::Catalog)?;
        a.expect_text("artifact_type", "catalog")?;
        let n = a.number("n_items")?;
        let tags = Labels::open(&a, "tag", "n_tags")?;
        let item_tags = a.section("itag", None)?;
        let tag_items = a.section("tagi", None)?;
        let pairs = a.slice(&item_tags).len();
        Ok(Self {
            ids_digest: a.digest("ids_digest")?,
            ids: StringTable::open(&a, "id", n, true)?,
            titles: StringTable::open(&a, "ttl", n, false)?,
            brands: Labels::open(&a, "brnd", "n_brands")?,
            categories: Labels::open(&a, "catg", "n_categories")?,
            item_tag_rows: Ragged::open(&a, "itag.off", n, pairs)?,
            tag_item_rows: Ragged::open(&a, "tagi.off", tags.count, a.slice(&tag_items).len())?,
            brand: a.section("brand", Some(n))?,
            category: a.section("category", Some(n))?,
            price: a.section("price", Some(n))?,
            created: a.section("created", Some(n))?,
            valid: a.section("valid", Some(n))?,
            available: a.section("avail", Some(n))?,
            newest: a.section("newest", Some(n))?,
            lasting: OnceLock::new(),
            tags,
            item_tags,
            tag_items,
            artifact: a,
        })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.artifact.path()
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.artifact.slice(&self.available).len()
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hex SHA-256 over every id, each as its length (`u32`, little-endian) and its bytes.
    pub fn ids_digest(&self) -> &str {
        &self.ids_digest
    }

    /// Checks that the ordinals of the artifact `path` belong here, by the digest of ids and the number of items that it
    /// names.
    pub fn check_owner(&self, path: &Path, ids_digest: &str, item_count: usize) -> Result<()> {
        if ids_digest != self.ids_digest {
            return Err(Error::OtherCatalog {
                path: path.to_owned(),
                catalog: self.path().to_owned(),
                expected: self.ids_digest.clone(),
                found: ids_digest.to_owned(),
            });
        }
        if item_count != self.len() {
            let reason = format!("`n_items` is {item_count}, its catalog has {}", self.len());
            return Err(Error::corrupt(path, "meta", reason));
        }
        Ok(())
    }

    /// The metadata block.
    pub fn metadata(&self) -> &serde_json::Map<String, serde_json::Value> {
        self.artifact.metadata()
    }

    /// The item called `id`.
    #[inline]
    pub fn ordinal(&self, id: &str) -> Result<Option<Ordinal>> {
        self.ids.find(&self.artifact, id)
    }

    /// Begins to look for many items by id.
    pub fn look_up<'a>(&'a self, ids: &'a [&'a str]) -> Lookup<'a> {
        Lookup::new(&self.ids, &self.artifact, ids)
    }

    /// Makes ready to serve, once: maps the file and notes which items may be shown at any time.
    pub fn prepare(&self) {
        self.artifact.populate();
        self.lasting.get_or_init(|| {
            let mut bits = vec![0u64; self.len().div_ceil(64)];
            for item in 0..self.len() as Ordinal {
                if self.is_available(item) && self.valid_until_ms(item).is_none() {
                    bits[item as usize / 64] |= 1 << (item % 64);
                }
            }
            bits
        });
    }

    /// Asks for what filters will read of an item and for where its id is; with `tags`, for where those are too.
    #[inline]
    pub fn prefetch_rows(&self, item: Ordinal, tags: bool) {
        self.ids.prefetch_row(&self.artifact, item);
        if !self.is_lasting(item) {
            prefetch(self.artifact.slice(&self.available), item as usize);
            prefetch(self.artifact.slice(&self.valid), item as usize);
        }
        if tags {
            self.item_tag_rows.prefetch(&self.artifact, item);
        }
    }

    /// Asks for the id of an item; with `tags`, for those too.
    #[inline]
    pub fn prefetch_values(&self, item: Ordinal, tags: bool) {
        self.ids.prefetch_text(&self.artifact, item);
        if tags && let Some(start) = self.item_tag_rows.start(&self.artifact, item) {
            prefetch(self.artifact.slice(&self.item_tags), start);
        }
    }

    /// The id of an item; an error that names the file if it has no such item.
    pub fn id(&self, item: Ordinal) -> Result<&str> {
        self.ids.get(&self.artifact, item)
    }

    /// As [`Catalog::id`], without a look at whether it is UTF-8.
    #[inline]
    pub fn id_bytes(&self, item: Ordinal) -> Result<&[u8]> {
        self.ids.bytes(&self.artifact, item)
    }

    /// The title of an item, `None` if it has none.
    pub fn title(&self, item: Ordinal) -> Result<Option<&str>> {
        let title = self.titles.get(&self.artifact, item)?;
        Ok(Some(title).filter(|t| !t.is_empty()))
    }

    /// Tag codes of an item, ascending; each is below [`Catalog::tag_count`].
    pub fn tags(&self, item: Ordinal) -> Result<&[u32]> {
        let range = self.item_tag_rows.range(&self.artifact, item)?;
        let tags = self
            .artifact
            .slice(&self.item_tags)
            .get(range)
            .unwrap_or(&[]);
        match tags.iter().find(|tag| **tag as usize >= self.tags.count) {
            Some(tag) => Err(self.corrupt("itag", format!("item {item} has unknown tag {tag}"))),
            None => Ok(tags),
        }
    }

    /// How many tags there are.
    pub fn tag_count(&self) -> usize {
        self.tags.count
    }

    /// The tag with a code.
    pub fn tag(&self, code: u32) -> Result<&str> {
        self.tags.table.get(&self.artifact, code)
    }

    /// The code of a tag.
    pub fn find_tag(&self, tag: &str) -> Result<Option<u32>> {
        self.tags.table.find(&self.artifact, tag)
    }

    /// Items with a tag, ascending. In a file that was never verified they may be any numbers: bounds-check them.
    pub fn tagged(&self, code: u32) -> Result<&[Ordinal]> {
        let range = self.tag_item_rows.range(&self.artifact, code)?;
        Ok(self
            .artifact
            .slice(&self.tag_items)
            .get(range)
            .unwrap_or(&[]))
    }

    /// Brand code of an item or [`NONE`]. In a file that was never verified it may be any number: bounds-check it.
    #[inline]
    pub fn brand(&self, item: Ordinal) -> u32 {
        self.column(&self.brand, item).unwrap_or(NONE)
    }

    /// How many brands there are.
    pub fn brand_count(&self) -> usize {
        self.brands.count
    }

    /// The brand with a code.
    pub fn brand_name(&self, code: u32) -> Result<&str> {
        self.brands.table.get(&self.artifact, code)
    }

    /// The code of a brand.
    pub fn find_brand(&self, name: &str) -> Result<Option<u32>> {
        self.brands.table.find(&self.artifact, name)
    }

    /// Category code of an item or [`NONE`], as [`Catalog::brand`].
    #[inline]
    pub fn category(&self, item: Ordinal) -> u32 {
        self.column(&self.category, item).unwrap_or(NONE)
    }

    /// How many categories there are.
    pub fn category_count(&self) -> usize {
        self.categories.count
    }

    /// The category with a code.
    pub fn category_name(&self, code: u32) -> Result<&str> {
        self.categories.table.get(&self.artifact, code)
    }

    /// The code of a category.
    pub fn find_category(&self, name: &str) -> Result<Option<u32>> {
        self.categories.table.find(&self.artifact, name)
    }

    /// Price of an item.
    pub fn price(&self, item: Ordinal) -> Option<f64> {
        self.column(&self.price, item).filter(|p| !p.is_nan())
    }

    /// When an item was created, in Unix milliseconds.
    pub fn created_at_ms(&self, item: Ordinal) -> Option<i64> {
        self.column(&self.created, item).filter(|t| *t != NO_TIME)
    }

    /// The first Unix millisecond at which an item may no longer be shown.
    #[inline]
    pub fn valid_until_ms(&self, item: Ordinal) -> Option<i64> {
        self.column(&self.valid, item).filter(|t| *t != NO_TIME)
    }

    /// Whether an item is in stock and offered at all.
    #[inline]
    pub fn is_available(&self, item: Ordinal) -> bool {
        self.column(&self.available, item) == Some(1)
    }

    /// Whether an item is available and still valid at `now_ms` (Unix milliseconds).
    #[inline]
    pub fn is_servable(&self, item: Ordinal, now_ms: i64) -> bool {
        self.is_lasting(item)
            || self.is_available(item)
                && self.valid_until_ms(item).is_none_or(|until| now_ms < until)
    }

    /// Whether an item is known to be available and without end; many that are may not be known to be.
    #[inline]
    pub fn is_lasting(&self, item: Ordinal) -> bool {
        let word = self
            .lasting
            .get()
            .and_then(|bits| bits.get(item as usize / 64));
        word.is_some_and(|word| word >> (item % 64) & 1 == 1)
    }

    /// Every item, by creation time descending, then ordinal; items without a time come last.
    /// In a file that was never verified they may be any numbers: bounds-check them.
    pub fn newest(&self) -> &[Ordinal] {
        self.artifact.slice(&self.newest)
    }

    /// Checks every checksum, offset, code, order and the digest of the ids.
    pub fn verify(&self) -> Result<()> {
        verify::verify(self)
    }

    #[inline]
    fn column<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(
        &self,
        section: &Section<T>,
        item: Ordinal,
    ) -> Option<T> {
        self.artifact.slice(section).get(item as usize).copied()
    }

    fn corrupt(&self, section: &str, reason: String) -> Error {
        Error::corrupt(self.path(), section, reason)
    }
}
