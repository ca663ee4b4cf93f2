//! [`CoocBuilder`]: which items share sessions, and how much more than chance would have it.
//!
//! Rows are buffered by session (`super::rows`), grouped into sessions (`super::sessions`), multiplied with themselves row
//! by row (`kernel`, `counts`), scored and cut to the best (`neighbours`, `floor`, `super::best`).

mod counts;
mod floor;
mod kernel;
mod neighbours;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde_json::{Map, Value};

use self::neighbours::{Question, Totals, rank};
use super::group::{group_events, group_timed_events};
use super::metadata::{extend, object};
use super::partitions::Partitions;
use super::rows::{Event, Intake, TimedEvent};
use super::sessions::{Detail, Moments, Sessions};
use super::{Built, Limits, Stop, check_size};
use crate::Ordinal;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::signal::{KeyType, SignalWriter, Spec};

/// How the sum of a pair (a, b) becomes its score; n is an item's sum of squared weights, N the number of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalization {
    /// The sum itself: without weights, the number of sessions with both.
    Count,
    /// sum / (sqrt(n_a) * sqrt(n_b)).
    Cosine,
    /// sum / (n_a + n_b - sum).
    Jaccard,
    /// sum * N / (n_a * n_b).
    Lift,
    /// sum / n_a: without weights, the share of the sessions of a that have b too.
    Confidence,
}

/// Pairs in order of time: what comes after an item, and how soon.
///
/// The events of a session at one moment are one step. An event of b that comes d steps after an event of a, d from 1 to
/// `max_distance`, adds the product of the weights times decay^(d - 1) to the sum of (a, b).
#[derive(Clone, Copy, Debug)]
pub struct Sequence {
    /// From above 0 to 1.
    pub decay: f64,
    /// Most steps from an item to what comes after it.
    pub max_distance: u32,
}

impl Normalization {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Count,
        Self::Cosine,
        Self::Jaccard,
        Self::Lift,
        Self::Confidence,
    ];

    /// The word for it in parameters and metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Cosine => "cosine",
            Self::Jaccard => "jaccard",
            Self::Lift => "lift",
            Self::Confidence => "confidence",
        }
    }

    /// The normalisation of that name.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|n| n.name() == name)
            .ok_or_else(|| {
                Error::Build(format!(
                    "normalization `{name}`: must be count, cosine, jaccard, lift or confidence"
                ))
            })
    }
}

/// What a co-visitation signal is built by.
#[derive(Clone, Copy, Debug)]
pub struct CoocParams {
    /// From sums to scores.
    pub normalization: Normalization,
    /// Two items go together only if an event of one is at most this far from an event of the other.
    pub window_ms: Option<i64>,
    /// For `session_seq`: what comes after an item, instead of what comes with it.
    pub sequence: Option<Sequence>,
    /// Fewest sessions with both items.
    pub min_support: u32,
    /// Most neighbours of an item.
    pub top_n: usize,
    /// Most items of a session; of a session with more, as many are drawn.
    pub max_items_per_session: usize,
}

impl CoocParams {
    fn kind(&self) -> &'static str {
        if self.sequence.is_some() {
            "session_seq"
        } else {
            "cooc"
        }
    }
}

#[derive(Debug)]
enum Rows {
    Plain(Partitions<Event>),
    Timed(Partitions<TimedEvent>),
}

/// Collects rows of (session, item, time, weight) and writes the `cooc` or the `session_seq` signal.
#[derive(Debug)]
pub struct CoocBuilder {
    params: CoocParams,
    limits: Limits,
    n_items: usize,
    intake: Intake,
    rows: Rows,
}

impl CoocBuilder {
    /// A builder without rows, for a catalog of `n_items`.
    pub fn new(n_items: usize, params: CoocParams, limits: Limits) -> Result<Self> {
        for (name, bad, why) in [
            ("top_n", params.top_n == 0, "must be 1 or more"),
            (
                "max_items_per_session",
                params.max_items_per_session < 2,
                "must be 2 or more",
            ),
            ("min_support", params.min_support == 0, "must be 1 or more"),
            (
                "window_ms",
                params.window_ms.is_some_and(|w| w < 0),
                "must be 0 or more",
            ),
            (
                "decay",
                params
                    .sequence
                    .is_some_and(|s| !(s.decay > 0.0 && s.decay <= 1.0)),
                "must be over 0 and at most 1",
            ),
            (
                "max_distance",
                params.sequence.is_some_and(|s| s.max_distance == 0),
                "must be 1 or more",
            ),
            (
                "normalization",
                params.sequence.is_some()
                    && !matches!(
                        params.normalization,
                        Normalization::Count | Normalization::Confidence
                    ),
                "must be count or confidence: the others are for pairs without an order",
            ),
        ] {
            if bad {
                return Err(Error::Build(format!("{name}: {why}")));
            }
        }
        let rows = if params.window_ms.is_none() && params.sequence.is_none() {
            Rows::Plain(Partitions::new(&limits))
        } else {
            Rows::Timed(Partitions::new(&limits))
        };
        Ok(Self {
            params,
            limits,
            n_items,
            intake: Intake::new(n_items),
            rows,
        })
    }

    /// Adds rows: equally long columns of session keys, ordinals, Unix milliseconds and weights.
    ///
    /// Rows of an unknown item ([`NONE`]) and rows of weight 0 are counted and left out. Errors number
    /// the rows from the builder's first on.
    pub fn push(
        &mut self,
        sessions: &[u64],
        ordinals: &[Ordinal],
        ts_ms: &[i64],
        weights: &[f32],
    ) -> Result<()> {
        let rows = &mut self.rows;
        self.intake
            .take(sessions, ordinals, ts_ms, weights, |row| match rows {
                Rows::Plain(rows) => rows.push(row.event.session, row.event),
                Rows::Timed(rows) => rows.push(row.event.session, row),
            })
    }

    /// Writes the signal to `path`.
    pub fn finish(
        self,
        path: &Path,
        catalog: &Catalog,
        mut metadata: Map<String, Value>,
    ) -> Result<Built> {
        check_size(catalog, self.n_items)?;
        let params = self.params;
        self.limits.pool()?.install(|| {
            let ready = self.prepare()?;
            let spec = Spec {
                kind: params.kind().to_owned(),
                key_type: KeyType::Item,
                wide_scores: ready.is_wide,
                by_item: false,
                keys: Vec::new(),
            };
            let mut writer = SignalWriter::create(path, catalog, spec)?;
            ready.rank(|list| writer.push_list(list))?;
            let mut names = object([
                ("normalization", params.normalization.name().into()),
                ("min_support", params.min_support.into()),
                ("top_n", params.top_n.into()),
                ("max_items_per_session", params.max_items_per_session.into()),
            ]);
            names.extend(match params.sequence {
                None => vec![("window_ms".to_owned(), params.window_ms.into())],
                Some(Sequence {
                    decay,
                    max_distance,
                }) => vec![
                    ("decay".to_owned(), decay.into()),
                    ("max_distance".to_owned(), max_distance.into()),
                ],
            });
            extend(&mut metadata, names, &ready.counts)?;
            Ok(Built {
                sha256: writer.finish(metadata)?,
                counts: ready.counts,
            })
        })
    }

    fn prepare(self) -> Result<Ready> {
        let Self {
            params,
            limits,
            n_items,
            intake,
            rows,
        } = self;
        let kept_rows = intake.kept_rows;
        let cap = params.max_items_per_session;
        let detail = Detail {
            has_weights: intake.has_weights,
            moments: match (params.sequence, params.window_ms) {
                (Some(_), _) => Moments::Steps,
                (None, Some(window_ms)) => Moments::Window(window_ms.unsigned_abs()),
                (None, None) => Moments::Nothing,
            },
        };
        // Half of the bound was for rows; as they go, a quarter is for sessions, and what they leave for postings.
        let sessions = match rows {
            Rows::Plain(rows) => group_events(rows, detail.has_weights, cap, kept_rows, &limits)?,
            Rows::Timed(rows) => group_timed_events(rows, detail, cap, kept_rows, &limits)?,
        };
        let totals = Totals::of(&sessions, n_items);
        let counts = intake.counts(&sessions);
        let question = Question {
            normalization: params.normalization,
            detail,
            sequence: params.sequence,
            min_support: params.min_support,
            top_n: params.top_n,
            memory_bytes: postings_bytes(limits.memory_bytes, sessions.bytes()),
        };
        // Counts stay exact: f32 has every whole number up to 2^24.
        let is_wide = params.normalization == Normalization::Count
            && params.sequence.is_none()
            && totals.largest_sum() > f64::from(1 << 24);
        Ok(Ready {
            question,
            sessions,
            totals,
            is_wide,
            counts,
            stop: limits.stop,
        })
    }
}

/// Bytes for postings: half of the bound with the sessions, of which those that are mapped count as memory too. A quarter
/// is enough for anyone, and from a sixteenth on, more passes over the sessions cost little.
fn postings_bytes(memory_bytes: u64, sessions_bytes: u64) -> u64 {
    (memory_bytes / 2)
        .saturating_sub(sessions_bytes)
        .clamp(memory_bytes / 16, memory_bytes / 4)
}

/// Sessions and totals, before the first pair.
struct Ready {
    question: Question,
    sessions: Sessions,
    totals: Totals,
    is_wide: bool,
    counts: Map<String, Value>,
    stop: Stop,
}

impl Ready {
    fn rank(&self, write: impl FnMut(&[(Ordinal, f64)]) -> Result<()> + Send) -> Result<()> {
        if self.is_wide {
            rank::<u128>(
                &self.question,
                &self.sessions,
                &self.totals,
                &self.stop,
                write,
            )
        } else {
            rank::<u64>(
                &self.question,
                &self.sessions,
                &self.totals,
                &self.stop,
                write,
            )
        }
    }
}
