//! [`Filter`]: who may be shown in this request, whatever its score.

use super::exclusions::Exclusions;
use super::plan::Rules;
use super::request::{Drop, Request};
use super::sets::OrdinalSet;
use crate::catalog::Catalog;
use crate::error::Result;
use crate::{NONE, Ordinal};

/// Postings up to this length are enumerated instead of walking every candidate to find their few items.
const ENUMERATED_TAGS: usize = 4096;

/// The sets of one request that keep their memory for the next one.
#[derive(Debug, Default)]
pub struct FilterSets {
    anchors: OrdinalSet,
    included: OrdinalSet,
}

/// Everything that decides on an item by itself, in order of authority.
#[derive(Debug)]
pub struct Filter<'r> {
    catalog: &'r Catalog,
    rules: &'r Rules,
    now_ms: i64,
    sets: &'r FilterSets,
    exclusions: Exclusions<'r>,
    has_include: bool,
    /// Codes of the required tags that the catalog knows; `None` without a demand.
    required: Option<Vec<u32>>,
    forbidden: Vec<u32>,
    /// Ids of the allow-list that the catalog does not know.
    pub include_unknown: usize,
}

impl<'r> Filter<'r> {
    /// Resolves the request's ids and tags.
    pub fn new(
        catalog: &'r Catalog,
        rules: &'r Rules,
        request: &'r Request<'_>,
        anchors: &[Ordinal],
        sets: &'r mut FilterSets,
    ) -> Result<Self> {
        sets.anchors.reset(anchors.len());
        for anchor in anchors.iter().filter(|a| **a != NONE) {
            sets.anchors.insert(*anchor);
        }
        let mut include_unknown = 0;
        let include = request.include.as_deref().unwrap_or_default();
        sets.included.reset(include.len());
        catalog.touch_ids(include);
        for id in include {
            match catalog.ordinal(id)? {
                Some(item) => _ = sets.included.insert(item),
                None => include_unknown += 1,
            }
        }
        let required = if request.required_tags.is_empty() {
            None
        } else {
            Some(codes(catalog, &request.required_tags)?)
        };
        Ok(Self {
            catalog,
            rules,
            now_ms: request.now_ms,
            sets,
            exclusions: Exclusions::new(catalog, &request.exclude),
            has_include: request.include.is_some(),
            required,
            forbidden: codes(catalog, &request.forbidden_tags)?,
            include_unknown,
        })
    }

    /// Why `item` may not be shown, if it may not.
    pub fn check(&mut self, item: Ordinal) -> Result<Option<Drop>> {
        if !self.catalog.is_available(item) {
            return Ok(Some(Drop::Unavailable));
        }
        if !self.catalog.is_servable(item, self.now_ms) {
            return Ok(Some(Drop::Expired));
        }
        if self.sets.anchors.contains(item) || self.exclusions.contains(item)? {
            return Ok(Some(Drop::Excluded));
        }
        if self.has_include && !self.sets.included.contains(item) {
            return Ok(Some(Drop::NotIncluded));
        }
        if self
            .rules
            .blocked
            .iter()
            .any(|(_, items)| items.contains(item))
        {
            return Ok(Some(Drop::Blocked));
        }
        if self.required.is_none() && self.forbidden.is_empty() {
            return Ok(None);
        }
        let tags = self.catalog.tags(item)?;
        let any_of = |codes: &[u32]| tags.iter().any(|tag| codes.contains(tag));
        if self
            .required
            .as_deref()
            .is_some_and(|required| !any_of(required))
        {
            return Ok(Some(Drop::RequiredTags));
        }
        Ok(any_of(&self.forbidden).then_some(Drop::ForbiddenTags))
    }

    /// How many items have a required tag, counted once for each; `None` without a demand.
    pub fn required_items(&self) -> Result<Option<usize>> {
        let Some(required) = &self.required else {
            return Ok(None);
        };
        let lengths = required
            .iter()
            .map(|code| Ok(self.catalog.tagged(*code)?.len()));
        lengths.sum::<Result<usize>>().map(Some)
    }

    /// The only items that can pass, ascending, if they are few: the allow-list, or the items of rare required tags.
    pub fn allowed(&self) -> Result<Option<Vec<Ordinal>>> {
        if !self.has_include && self.required_items()?.is_none_or(|n| n > ENUMERATED_TAGS) {
            return Ok(None);
        }
        self.all_allowed().map(Some)
    }

    /// The only items that can pass, ascending, if there is an allow-list or a required tag.
    pub fn all_allowed(&self) -> Result<Vec<Ordinal>> {
        let mut items = Vec::new();
        if self.has_include {
            items.extend(self.sets.included.iter());
        } else {
            for code in self.required.iter().flatten() {
                items.extend_from_slice(self.catalog.tagged(*code)?);
            }
        }
        items.sort_unstable();
        items.dedup();
        Ok(items)
    }
}

fn codes(catalog: &Catalog, tags: &[&str]) -> Result<Vec<u32>> {
    let mut codes = Vec::with_capacity(tags.len());
    for tag in tags {
        codes.extend(catalog.find_tag(tag)?);
    }
    Ok(codes)
}
