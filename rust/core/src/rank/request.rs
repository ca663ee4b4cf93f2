//! What goes into a rank call, and what comes out.

use crate::Ordinal;

/// One request. Ids that the catalog does not know are counted and otherwise ignored.
#[derive(Clone, Debug, Default)]
pub struct Request<'a> {
    /// Length of the list, after `offset`.
    pub k: usize,
    /// Positions of the full list to skip.
    pub offset: usize,
    /// The request's clock, in Unix milliseconds.
    pub now_ms: i64,
    /// Items to start from, most recent first.
    pub anchors: Vec<&'a str>,
    /// Key into user-keyed signals.
    pub user: Option<&'a str>,
    /// If given, only these may be returned.
    pub include: Option<Vec<&'a str>>,
    /// Never returned.
    pub exclude: Vec<&'a str>,
    /// An item passes with any of these; empty means no demand.
    pub required_tags: Vec<&'a str>,
    /// An item passes with none of these.
    pub forbidden_tags: Vec<&'a str>,
    /// Most items with a tag; 0 means none.
    pub max_per_tag: Vec<(&'a str, u32)>,
    /// Weights of the groups `pop`, `cooc` and `emb` in place of the plan's.
    pub weights: Option<[f64; 3]>,
    /// Items that the user was shown or took lately.
    pub seen: Vec<&'a str>,
    /// Factor of the scores of `seen`, 0 to 1; `None` leaves them out. Pins stand all the same.
    pub damping: Option<f64>,
    /// Whether to keep contributions, boosts, counts and times.
    pub explain: bool,
}

impl Request<'_> {
    /// Whether ranking takes some tens of microseconds at most: few anchors, no demand that makes the walk long.
    ///
    /// Handing a lock to another thread and getting it back costs about as much as such a call.
    pub fn is_brief(&self) -> bool {
        self.anchors.len() <= 16
            && self.exclude.len() <= 256
            && self.seen.len() <= 256
            && self.k.saturating_add(self.offset) <= 200
            && self.include.is_none()
            && self.required_tags.is_empty()
            && self.forbidden_tags.is_empty()
            && self.max_per_tag.is_empty()
    }
}

/// Why an item that was considered is not in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Drop {
    /// Not available in the catalog.
    Unavailable,
    /// Its `valid_until` has passed.
    Expired,
    /// Excluded by the caller, or an anchor.
    Excluded,
    /// Not in the caller's allow-list.
    NotIncluded,
    /// Blocked by a rule.
    Blocked,
    /// Has none of the required tags.
    RequiredTags,
    /// Has a forbidden tag.
    ForbiddenTags,
    /// Shown to the user or taken by the user lately.
    Seen,
    /// Would exceed `max_per_tag`.
    MaxPerTag,
    /// Would exceed the brand cap.
    BrandCap,
    /// Would exceed the category cap.
    CategoryCap,
}

impl Drop {
    /// Every reason, in the order in which they are checked.
    pub const ALL: [Self; 11] = [
        Self::Unavailable,
        Self::Expired,
        Self::Excluded,
        Self::NotIncluded,
        Self::Blocked,
        Self::RequiredTags,
        Self::ForbiddenTags,
        Self::Seen,
        Self::MaxPerTag,
        Self::BrandCap,
        Self::CategoryCap,
    ];

    /// Its name in responses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Expired => "expired",
            Self::Excluded => "excluded",
            Self::NotIncluded => "not_included",
            Self::Blocked => "blocked",
            Self::RequiredTags => "required_tags",
            Self::ForbiddenTags => "forbidden_tags",
            Self::Seen => "seen",
            Self::MaxPerTag => "max_per_tag",
            Self::BrandCap => "brand_cap",
            Self::CategoryCap => "category_cap",
        }
    }
}

/// What one source, or the rung that gave the item, gave to its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contribution {
    /// Position of the source in the plan; for an item of a rung, that of the rung in the ladder.
    pub source: usize,
    /// Its value before normalisation.
    pub raw: f64,
    /// Its value after normalisation.
    pub normalized: f64,
    /// Times the weight; the sum of these, times the boosts and the damping, is the score.
    pub weighted: f64,
}

/// How MMR came to take an item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MmrStep {
    /// Position by score among the candidates that MMR reordered.
    pub place: usize,
    /// MMR's weight of relevance.
    pub lambda: f64,
    /// Its score over the largest of those candidates; 0 if that is not positive.
    pub relevance: f64,
    /// The largest similarity to what the list had then, 0 to 1.
    pub similarity: f64,
    /// `lambda x relevance - (1 - lambda) x similarity`, the largest of those left.
    pub value: f64,
}

/// One place of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct RankedItem {
    /// The item.
    pub item: Ordinal,
    /// Its score; for an item of a rung, the rung's normalised value.
    pub score: f64,
    /// Bit `i` is set if source `i` of the plan found it.
    pub found_by: u32,
    /// The pin rule that placed it.
    pub pin: Option<usize>,
    /// The rung that gave it.
    pub rung: Option<usize>,
    /// The boost rules that matched it, in rule order.
    pub boosts: Vec<usize>,
    /// Whether its score was multiplied by the damping.
    pub is_damped: bool,
    /// How MMR took it, if it did.
    pub mmr: Option<MmrStep>,
    /// With `explain`, in source order.
    pub contributions: Vec<Contribution>,
}

impl RankedItem {
    /// An item that no source found.
    pub fn uncalled(item: Ordinal) -> Self {
        Self {
            item,
            score: 0.0,
            found_by: 0,
            pin: None,
            rung: None,
            boosts: Vec::new(),
            is_damped: false,
            mmr: None,
            contributions: Vec::new(),
        }
    }
}

/// A ranked list, and what a response says about it.
#[derive(Clone, Debug, Default)]
pub struct Ranked {
    /// The list, best first.
    pub items: Vec<RankedItem>,
    /// Rungs of the ladder that gave an item of the list, in order.
    pub rungs: Vec<usize>,
    /// Pinned items of the list that no source had found.
    pub pins_injected: Vec<Ordinal>,
    /// Per source: keys asked for, keys found.
    pub source_keys: Vec<(usize, usize)>,
    /// With `explain`, per source: candidates gathered.
    pub candidates: Vec<usize>,
    /// Considered items dropped, by [`Drop`].
    pub dropped: [usize; 11],
    /// With `explain`: the first of them, each once, in the order in which they were met.
    pub dropped_items: Vec<(Ordinal, Drop)>,
    /// Ids of the allow-list that the catalog does not know.
    pub include_unknown: usize,
    /// With `explain`: nanoseconds of gather, select and finish.
    pub stage_ns: [u64; 3],
}
