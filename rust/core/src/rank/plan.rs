//! [`Plan`]: everything that is the same for all requests of one surface, segment and mode.

use std::sync::Arc;

use super::sessions::Neighbourhood;
use super::sets::ItemSet;
use super::stream::STREAM_OVER;
use crate::Ordinal;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::sessions::SessionIndex;
use crate::signal::{KeyType, MAX_SCORE, Signal};

/// Most sources of a plan: one bit each in an item's `found_by`.
pub const MAX_SOURCES: usize = 32;

/// Most boosted items of a list whose ranks a plan keeps: 400 kB. More of them are a good part of the list, so that
/// one who reads it meets them soon.
const MAX_BOOSTED_RANKS: usize = 100_000;

/// The most that all boosts of an item together multiply its score by. With scores and weights of at most 1e100 each, and
/// some tens of anchors and sources, a score stays finite.
pub const MAX_BOOST: f64 = 1e90;

/// A boost, and one more factor of it.
#[inline]
pub(super) fn limited_boost(boost: f64, factor: f64) -> f64 {
    (boost * factor).min(MAX_BOOST)
}

/// How a source's raw values come onto one scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalizer {
    /// `x / (1 + |x|)`.
    Saturating,
    /// `x / max`, by the largest value of the source in the request, but not below the negative of [`MAX_SCORE`]; 0 where
    /// that is not positive.
    Max,
    /// `x`.
    None,
}

impl Normalizer {
    /// The normalised value of `raw`, where `max` is the source's largest raw value.
    #[inline]
    pub fn apply(self, raw: f64, max: f64) -> f64 {
        match self {
            Self::Saturating => raw / (1.0 + raw.abs()),
            Self::Max if max > 0.0 => (raw / max).max(-MAX_SCORE),
            Self::Max => 0.0,
            Self::None => raw,
        }
    }
}

/// The group whose per-request weight replaces a source's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Group {
    /// Popularity.
    Pop,
    /// Co-visitation and sequences.
    Cooc,
    /// Similarity of content or taste.
    Emb,
}

/// Where a source has its values from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Lists that were computed before.
    Lists(Arc<Signal>),
    /// Past sessions like the current one, which is the latest anchors.
    Sessions(Arc<SessionIndex>, Neighbourhood),
}

/// One signal in a mode.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name in reasons and explanations.
    pub name: String,
    /// Where its values are from.
    pub origin: Origin,
    /// The segment, for a segment-keyed signal; others take their keys from the request.
    pub key: Option<String>,
    /// Factor of its normalised value, at least 0.
    pub weight: f64,
    /// Its group.
    pub group: Group,
    /// Its scale.
    pub normalizer: Normalizer,
}

/// One rung of the ladder against empty lists.
#[derive(Clone, Debug)]
pub enum Rung {
    /// One segment's list of a signal.
    Signal {
        /// Its name in reasons and warnings.
        name: String,
        /// Where the list is.
        signal: Arc<Signal>,
        /// The list's key.
        key: String,
    },
    /// The catalog, newest item first.
    Newest {
        /// Its name in reasons and warnings.
        name: String,
    },
}

impl Rung {
    /// Its name in reasons and warnings.
    pub fn name(&self) -> &str {
        match self {
            Self::Signal { name, .. } | Self::Newest { name } => name,
        }
    }
}

/// Rules resolved to ordinals, in order of authority.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Blocked items, by rule.
    pub blocked: Vec<(String, ItemSet)>,
    /// Multiplied items and the multiplier (at least 0), by rule.
    pub boosts: Vec<(String, ItemSet, f64)>,
    /// Pinned items in their order, by rule.
    pub pins: Vec<(String, Vec<Ordinal>)>,
    /// Most pins in a list.
    pub max_pins: usize,
}

/// Caps and MMR.
#[derive(Clone, Copy, Debug, Default)]
pub struct Diversity {
    /// Most items of one brand.
    pub brand_cap: Option<u32>,
    /// Most items of one category.
    pub category_cap: Option<u32>,
    /// MMR's weight of relevance against novelty, 0 to 1; `None` leaves the order by score.
    pub mmr_lambda: Option<f64>,
    /// How many of the best candidates MMR reorders.
    pub mmr_pool: usize,
}

/// An immutable plan, shared by all threads.
#[derive(Debug)]
pub struct Plan {
    pub(super) catalog: Arc<Catalog>,
    pub(super) sources: Vec<Source>,
    /// The list of each segment-keyed source, found once.
    pub(super) segment_keys: Vec<Option<u32>>,
    pub(super) ladder: Vec<Rung>,
    pub(super) rung_keys: Vec<Option<u32>>,
    pub(super) rules: Arc<Rules>,
    /// By source: ranks of the boosted items on its long list.
    boosted_ranks: Vec<Option<Vec<u32>>>,
    pub(super) anchor_decay: f64,
    pub(super) diversity: Diversity,
}

impl Plan {
    /// Checks that the parts belong together and finds the lists of fixed keys.
    pub fn new(
        catalog: Arc<Catalog>,
        sources: Vec<Source>,
        ladder: Vec<Rung>,
        rules: Arc<Rules>,
        anchor_decay: f64,
        diversity: Diversity,
    ) -> Result<Self> {
        if sources.len() > MAX_SOURCES {
            return Err(Error::Plan(format!(
                "{} sources, at most {MAX_SOURCES} are allowed",
                sources.len()
            )));
        }
        if !(0.0..=1.0).contains(&anchor_decay) {
            return Err(Error::Plan(format!(
                "anchor_decay: {anchor_decay} is not in 0..1"
            )));
        }
        if diversity
            .mmr_lambda
            .is_some_and(|lambda| !(0.0..=1.0).contains(&lambda))
        {
            return Err(Error::Plan("mmr_lambda: not in 0..1".to_owned()));
        }
        if let Some((id, _, factor)) = rules
            .boosts
            .iter()
            .find(|(.., f)| !(f.is_finite() && *f >= 0.0))
        {
            return Err(Error::Plan(format!(
                "boost of rule {id}: the multiplier {factor} is not a number >= 0"
            )));
        }
        let segment_keys: Vec<Option<u32>> = sources
            .iter()
            .map(|s| check_source(&catalog, s))
            .collect::<Result<_>>()?;
        let rung_keys = ladder
            .iter()
            .map(|rung| match rung {
                Rung::Newest { .. } => Ok(None),
                Rung::Signal { signal, key, .. } => {
                    signal.check_catalog(&catalog)?;
                    signal.key(key)
                }
            })
            .collect::<Result<_>>()?;
        prepare(&catalog, &sources, &ladder);
        let boosted_ranks = sources
            .iter()
            .zip(&segment_keys)
            .map(|(source, key)| match key {
                Some(key) => boosted_ranks(source, *key, &rules, catalog.len()),
                None => Ok(None),
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            catalog,
            sources,
            boosted_ranks,
            segment_keys,
            ladder,
            rung_keys,
            rules,
            anchor_decay,
            diversity,
        })
    }

    /// The catalog that the plan ranks.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The sources, in order.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The ladder, in order.
    pub fn ladder(&self) -> &[Rung] {
        &self.ladder
    }

    /// Whether a rule raises the score of some items.
    pub(super) fn has_boosts(&self) -> bool {
        raising(&self.rules).next().is_some()
    }

    /// What the boosts of an item multiply its score by: their product in rule order, at most [`MAX_BOOST`] at each step.
    pub(super) fn boost(&self, item: Ordinal) -> f64 {
        let boosts = self.rules.boosts.iter();
        boosts
            .filter(|(_, items, _)| items.contains(item))
            .fold(1.0, |boost, (.., factor)| limited_boost(boost, *factor))
    }

    /// The ranks of the boosted items on the long list of a source, ascending, if they are known.
    pub(super) fn boosted_ranks(&self, source: usize) -> Option<&[u32]> {
        self.boosted_ranks[source].as_deref()
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }
}

/// Does once what requests should not wait for.
fn prepare(catalog: &Catalog, sources: &[Source], ladder: &[Rung]) {
    catalog.prepare();
    for source in sources {
        match &source.origin {
            Origin::Lists(signal) => signal.populate(),
            Origin::Sessions(index, _) => index.populate(),
        }
    }
    for rung in ladder {
        if let Rung::Signal { signal, .. } = rung {
            signal.populate();
        }
    }
}

fn raising(rules: &Rules) -> impl Iterator<Item = &ItemSet> {
    let boosts = rules.boosts.iter();
    boosts
        .filter(|(.., factor)| *factor > 1.0)
        .map(|(_, items, _)| items)
}

/// The ranks of the boosted items on a list that will be streamed; `None` for one that will not, without boosts, and
/// for more of them than are worth their memory.
fn boosted_ranks(
    source: &Source,
    key: u32,
    rules: &Rules,
    catalog_len: usize,
) -> Result<Option<Vec<u32>>> {
    let Origin::Lists(signal) = &source.origin else {
        return Ok(None);
    };
    let list = signal.list(key)?;
    if list.len() <= STREAM_OVER
        || raising(rules).next().is_none()
        || signal.by_item(key)?.is_none()
    {
        return Ok(None);
    }
    let boosted = ItemSet::union(raising(rules), catalog_len);
    let ranks = list.items().iter().zip(0..);
    let ranks: Vec<u32> = ranks
        .filter(|(item, _)| boosted.contains(**item))
        .map(|(_, rank)| rank)
        .take(MAX_BOOSTED_RANKS + 1)
        .collect();
    Ok((ranks.len() <= MAX_BOOSTED_RANKS).then_some(ranks))
}

fn check_source(catalog: &Catalog, source: &Source) -> Result<Option<u32>> {
    if !(source.weight.is_finite() && source.weight >= 0.0) {
        return Err(Error::Plan(format!(
            "weight of source {}: {} is not a number >= 0",
            source.name, source.weight
        )));
    }
    let segmented = match &source.origin {
        Origin::Sessions(index, neighbourhood) => {
            index.check_catalog(catalog)?;
            neighbourhood.check(&source.name)?;
            None
        }
        Origin::Lists(signal) => {
            signal.check_catalog(catalog)?;
            Some(signal).filter(|signal| signal.key_type() == KeyType::Segment)
        }
    };
    match (segmented, &source.key) {
        (Some(signal), Some(key)) => signal.key(key),
        (Some(_), None) => Err(Error::Plan(format!(
            "source {}: a segment-keyed signal needs a key",
            source.name
        ))),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Error::Plan(format!(
            "source {}: only a segment-keyed signal takes a key",
            source.name
        ))),
    }
}
