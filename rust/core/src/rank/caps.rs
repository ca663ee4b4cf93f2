//! [`Caps`]: limits on how many items of a tag, brand or category a list may have; they fill up as it grows.

use super::plan::Diversity;
use super::request::{Drop, Request};
use crate::catalog::Catalog;
use crate::error::Result;
use crate::{NONE, Ordinal};

/// Room left, counted down as items are taken.
#[derive(Debug)]
pub struct Caps<'r> {
    catalog: &'r Catalog,
    /// (tag code, room left).
    tags: Vec<(u32, u32)>,
    brands: Counter,
    categories: Counter,
}

#[derive(Debug)]
struct Counter {
    cap: Option<u32>,
    /// (code, taken); a list has few brands and categories, so a scan is the quickest look-up.
    taken: Vec<(u32, u32)>,
}

impl Counter {
    /// Whether there is no room for one more; `code` is only asked for if there is a cap.
    fn is_full(&self, code: impl FnOnce() -> u32) -> bool {
        let Some(cap) = self.cap else { return false };
        let code = code();
        let taken = self.taken.iter().find(|(c, _)| *c == code);
        code != NONE && taken.map_or(0, |(_, n)| *n) >= cap
    }

    fn take(&mut self, code: impl FnOnce() -> u32) {
        if self.cap.is_none() {
            return;
        }
        let code = code();
        if code == NONE {
            return;
        }
        match self.taken.iter_mut().find(|(c, _)| *c == code) {
            Some((_, n)) => *n += 1,
            None => self.taken.push((code, 1)),
        }
    }
}

impl<'r> Caps<'r> {
    /// All the room that the request and the plan give. A tag that is named twice has the smaller limit.
    pub fn new(catalog: &'r Catalog, request: &Request<'_>, diversity: &Diversity) -> Result<Self> {
        let mut tags: Vec<(u32, u32)> = Vec::with_capacity(request.max_per_tag.len());
        for (tag, limit) in &request.max_per_tag {
            if let Some(code) = catalog.find_tag(tag)? {
                tags.push((code, *limit));
            }
        }
        let counter = |cap| Counter {
            cap,
            taken: Vec::new(),
        };
        Ok(Self {
            catalog,
            tags,
            brands: counter(diversity.brand_cap),
            categories: counter(diversity.category_cap),
        })
    }

    /// Which limit one more `item` would exceed. A pin is held to the tag limits only.
    pub fn check(&self, item: Ordinal, is_pin: bool) -> Result<Option<Drop>> {
        if !self.tags.is_empty() {
            let tags = self.catalog.tags(item)?;
            if self
                .tags
                .iter()
                .any(|(code, left)| *left == 0 && tags.contains(code))
            {
                return Ok(Some(Drop::MaxPerTag));
            }
        }
        if !is_pin && self.brands.is_full(|| self.catalog.brand(item)) {
            return Ok(Some(Drop::BrandCap));
        }
        if !is_pin && self.categories.is_full(|| self.catalog.category(item)) {
            return Ok(Some(Drop::CategoryCap));
        }
        Ok(None)
    }

    /// Counts `item` in.
    pub fn take(&mut self, item: Ordinal) -> Result<()> {
        if !self.tags.is_empty() {
            let tags = self.catalog.tags(item)?;
            for (_, left) in self.tags.iter_mut().filter(|(code, _)| tags.contains(code)) {
                *left = left.saturating_sub(1);
            }
        }
        self.brands.take(|| self.catalog.brand(item));
        self.categories.take(|| self.catalog.category(item));
        Ok(())
    }
}
