//! [`Filter`]: who may be shown in this request, whatever its score.

use super::exclusions::Exclusions;
use super::plan::Rules;
use super::request::{Drop, Request};
use super::sets::OrdinalSet;
use crate::catalog::Catalog;
use crate::error::Result;
use crate::signal::find;
use crate::{NONE, Ordinal};

/// Postings up to this length are enumerated instead of walking every candidate to find their few items.
const ENUMERATED_TAGS: usize = 4096;

/// With fewer items behind the tags of a request than this, an item is looked for among them: they fit into a near cache
/// and are the same for every item, where the tags of each item have to be fetched.
const POSTINGS_READ: usize = 1 << 14;

/// A tag of the request.
#[derive(Debug)]
struct Tag<'r> {
    code: u32,
    /// The items that have it, ascending.
    items: &'r [Ordinal],
}

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
    /// The required tags that the catalog knows; `None` without a demand.
    required: Option<Vec<Tag<'r>>>,
    forbidden: Vec<Tag<'r>>,
    /// Whether to read the tags of an item, and not the items of the tags.
    reads_tags: bool,
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
        for item in catalog.look_up(include).finish() {
            match item? {
                Some(item) => _ = sets.included.insert(item),
                None => include_unknown += 1,
            }
        }
        let required = if request.required_tags.is_empty() {
            None
        } else {
            Some(known(catalog, &request.required_tags)?)
        };
        let forbidden = known(catalog, &request.forbidden_tags)?;
        let named = required.iter().flatten().chain(&forbidden);
        let postings: usize = named.map(|tag| tag.items.len()).sum();
        Ok(Self {
            catalog,
            rules,
            now_ms: request.now_ms,
            sets,
            exclusions: Exclusions::new(catalog, &request.exclude),
            has_include: request.include.is_some(),
            required,
            forbidden,
            reads_tags: postings >= POSTINGS_READ,
            include_unknown,
        })
    }

    /// Why `item` may not be shown, if it may not.
    pub fn check(&mut self, item: Ordinal) -> Result<Option<Drop>> {
        if !self.catalog.is_servable(item, self.now_ms) {
            let is_available = self.catalog.is_available(item);
            return Ok(Some(if is_available {
                Drop::Expired
            } else {
                Drop::Unavailable
            }));
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
        let tags = if self.reads_tags {
            self.catalog.tags(item)?
        } else {
            &[]
        };
        let any_of = |named: &[Tag<'_>]| {
            let mut named = named.iter();
            if self.reads_tags {
                named.any(|tag| tags.contains(&tag.code))
            } else {
                named.any(|tag| find(tag.items, item).is_some())
            }
        };
        if self
            .required
            .as_deref()
            .is_some_and(|required| !any_of(required))
        {
            return Ok(Some(Drop::RequiredTags));
        }
        Ok(any_of(&self.forbidden).then_some(Drop::ForbiddenTags))
    }

    /// Whether the tags of the items that are asked for will be read.
    pub fn reads_tags(&self) -> bool {
        self.reads_tags
    }

    /// How many items have a required tag, counted once for each; `None` without a demand.
    pub fn required_items(&self) -> Option<usize> {
        let required = self.required.as_ref()?;
        Some(required.iter().map(|tag| tag.items.len()).sum())
    }

    /// The only items that can pass, ascending, if they are few: the allow-list, or the items of rare required tags.
    pub fn allowed(&self) -> Option<Vec<Ordinal>> {
        let is_few =
            self.has_include || self.required_items().is_some_and(|n| n <= ENUMERATED_TAGS);
        is_few.then(|| self.all_allowed())
    }

    /// The only items that can pass, ascending, if there is an allow-list or a required tag.
    pub fn all_allowed(&self) -> Vec<Ordinal> {
        let mut items = Vec::new();
        if self.has_include {
            items.extend(self.sets.included.iter());
        } else {
            for tag in self.required.iter().flatten() {
                items.extend_from_slice(tag.items);
            }
        }
        items.sort_unstable();
        items.dedup();
        items
    }
}

/// Those of `tags` that the catalog knows.
fn known<'c>(catalog: &'c Catalog, tags: &[&str]) -> Result<Vec<Tag<'c>>> {
    let mut known = Vec::with_capacity(tags.len());
    for tag in tags {
        if let Some(code) = catalog.find_tag(tag)? {
            let items = catalog.tagged(code)?;
            known.push(Tag { code, items });
        }
    }
    Ok(known)
}
