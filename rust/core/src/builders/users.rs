//! [`UserItemsBuilder`]: what goes with what a user has taken, from item neighbours and the user's own history.
//!
//! score(u, j) = sum over i in the history of u of weight(u, i) x 2^(-age/half-life) x neighbour score(i, j), the history
//! being the latest `max_history` items of the user, ages counted back from the user's last event (item-based scoring:
//! Deshpande and Karypis 2004). A user's sum is taken from the latest item to the oldest, so floats do not depend on the
//! order of rows.

use std::collections::HashMap;
use std::path::Path;

use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;
use serde_json::{Map, Value};

use super::metadata::{extend, object};
use super::partitions::{Partition, Partitions};
use super::{Built, Limits, check_lengths};
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::format::hex;
use crate::signal::{KeyType, Scores, Signal, SignalWriter, Spec};
use crate::{NONE, Ordinal};

/// Bytes of a pseudonym: an HMAC-SHA256.
pub const PSEUDONYM_BYTES: usize = 32;

/// What lists of users are built by.
#[derive(Clone, Copy, Debug)]
pub struct UserItemsParams {
    /// Most items of a user's list.
    pub top_n: usize,
    /// Most items of a user's history that count, the latest.
    pub max_history: usize,
    /// After this time a row counts half; without it all history counts alike.
    pub half_life_ms: Option<f64>,
    /// Leave out what the user has taken already.
    pub drop_taken: bool,
}

/// One interaction of a user.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct UserEvent {
    user: [u8; PSEUDONYM_BYTES],
    ts_ms: i64,
    item: Ordinal,
    weight: f32,
}

/// Collects rows of (pseudonym, item, time, weight) and writes the `implicit` signal.
#[derive(Debug)]
pub struct UserItemsBuilder {
    params: UserItemsParams,
    limits: Limits,
    n_items: usize,
    rows: Partitions<UserEvent>,
    kept_rows: u64,
}

/// Lists in no more room than they need: all that a user's neighbours are summed in is many times as large.
type Lists = Vec<(String, Box<[(Ordinal, f64)]>)>;

impl UserItemsBuilder {
    /// A builder without rows, for a catalog of `n_items`.
    pub fn new(n_items: usize, params: UserItemsParams, limits: Limits) -> Result<Self> {
        for (name, is_bad, why) in [
            ("top_n", params.top_n == 0, "must be 1 or more"),
            ("max_history", params.max_history == 0, "must be 1 or more"),
            (
                "half_life_ms",
                params
                    .half_life_ms
                    .is_some_and(|h| !(h > 0.0 && h.is_finite())),
                "must be a finite number over 0",
            ),
        ] {
            if is_bad {
                return Err(Error::Build(format!("{name}: {why}")));
            }
        }
        Ok(Self {
            rows: Partitions::new(&limits),
            params,
            limits,
            n_items,
            kept_rows: 0,
        })
    }

    /// Adds rows: 32 bytes of a pseudonym each, and equally many ordinals, Unix milliseconds and weights.
    pub fn push(
        &mut self,
        users: &[u8],
        ordinals: &[Ordinal],
        ts_ms: &[i64],
        weights: &[f32],
    ) -> Result<()> {
        check_lengths(&[
            ("ordinals", ordinals.len()),
            ("ts_ms", ts_ms.len()),
            ("weights", weights.len()),
        ])?;
        let (users, rest) = users.as_chunks::<PSEUDONYM_BYTES>();
        if users.len() != ordinals.len() || !rest.is_empty() {
            return Err(Error::Build(format!(
                "users: {PSEUDONYM_BYTES} bytes for each of {} rows expected, {} found",
                ordinals.len(),
                users.len() * PSEUDONYM_BYTES + rest.len()
            )));
        }
        for (i, user) in users.iter().enumerate() {
            let (item, weight) = (ordinals[i], weights[i]);
            if item == NONE || weight == 0.0 {
                continue;
            }
            if item as usize >= self.n_items {
                return Err(Error::Build(format!(
                    "row {i}: ordinal {item}, the catalog has {} items",
                    self.n_items
                )));
            }
            if !super::WEIGHTS.contains(&weight) {
                return Err(Error::Build(format!(
                    "row {i}: weight {weight} is not 0 or from 1e-6 to 1e6"
                )));
            }
            let event = UserEvent {
                user: *user,
                ts_ms: ts_ms[i],
                item,
                weight,
            };
            let key = user.first_chunk::<8>().copied().unwrap_or_default();
            self.rows.push(u64::from_be_bytes(key), event)?;
            self.kept_rows += 1;
        }
        Ok(())
    }

    /// Writes the signal to `path`; `neighbours` is a signal keyed by item of the same catalog.
    pub fn finish(
        self,
        path: &Path,
        catalog: &Catalog,
        neighbours: &Signal,
        mut metadata: Map<String, Value>,
    ) -> Result<Built> {
        if catalog.len() != self.n_items || neighbours.ids_digest() != catalog.ids_digest() {
            return Err(Error::Build(format!(
                "{} belongs to another catalog than {}",
                neighbours.path().display(),
                catalog.path().display()
            )));
        }
        if neighbours.key_type() != KeyType::Item {
            return Err(Error::Build(format!(
                "{}: neighbours are keyed by item, this signal is keyed by {}",
                neighbours.path().display(),
                neighbours.key_type().name()
            )));
        }
        let params = self.params;
        let spec = Spec {
            kind: "implicit".to_owned(),
            key_type: KeyType::User,
            wide_scores: false,
            by_item: false,
            keys: Vec::new(),
        };
        let mut writer = SignalWriter::create(path, catalog, spec)?;
        let (mut users, mut entries) = (0usize, 0usize);
        let (partitions, spill) = self.rows.into_parts();
        self.limits.pool()?.install(|| -> Result<()> {
            let mut rest = partitions.into_iter();
            loop {
                let wave: Vec<Partition<UserEvent>> = rest
                    .by_ref()
                    .take(2 * rayon::current_num_threads())
                    .collect();
                self.limits.stop.check()?;
                if wave.is_empty() {
                    return Ok(());
                }
                let made: Vec<Lists> = wave
                    .into_par_iter()
                    .map(|partition| lists_of(partition.load(spill.as_ref())?, neighbours, &params))
                    .collect::<Result<_>>()?;
                for (user, list) in made.into_iter().flatten() {
                    users += 1;
                    entries += list.len();
                    writer.push_keyed_list(user, &list)?;
                }
            }
        })?;
        let counts = object([
            ("rows", self.kept_rows.into()),
            ("users", users.into()),
            ("entries", entries.into()),
        ]);
        let names = object([
            ("model", "item-based".into()),
            ("top_n", params.top_n.into()),
            ("max_history", params.max_history.into()),
            ("half_life_ms", params.half_life_ms.into()),
            ("drop_taken", params.drop_taken.into()),
        ]);
        extend(&mut metadata, names, &counts)?;
        Ok(Built {
            sha256: writer.finish(metadata)?,
            counts,
        })
    }
}

fn lists_of(
    mut events: Vec<UserEvent>,
    neighbours: &Signal,
    params: &UserItemsParams,
) -> Result<Lists> {
    events.sort_unstable_by_key(|e| (e.user, e.item, e.ts_ms, e.weight.to_bits()));
    events
        .chunk_by(|a, b| a.user == b.user)
        .map(|events| Ok((hex(&events[0].user), list_of(events, neighbours, params)?)))
        .collect()
}

/// The list of one user, whose events come by item, then time.
fn list_of(
    events: &[UserEvent],
    neighbours: &Signal,
    params: &UserItemsParams,
) -> Result<Box<[(Ordinal, f64)]>> {
    let last_ms = events.iter().map(|e| e.ts_ms).max().unwrap_or(0);
    let worth = |e: &UserEvent| {
        let decay = params.half_life_ms.map_or(1.0, |half_life| {
            (-(last_ms.abs_diff(e.ts_ms) as f64) / half_life).exp2()
        });
        f64::from(e.weight) * decay
    };
    // (item, when it was taken last, worth)
    let mut history: Vec<(Ordinal, i64, f64)> = events
        .chunk_by(|a, b| a.item == b.item)
        .map(|run| {
            let latest = run[run.len() - 1].ts_ms;
            (run[0].item, latest, run.iter().map(worth).sum())
        })
        .collect();
    let taken: Vec<Ordinal> = history.iter().map(|(item, ..)| *item).collect();
    history.sort_unstable_by_key(|(item, latest, _)| (std::cmp::Reverse(*latest), *item));
    history.truncate(params.max_history);
    let mut sums: HashMap<Ordinal, f64> = HashMap::new();
    for (item, _, worth) in &history {
        let list = neighbours.list(*item)?;
        list.check()?;
        let mut add = |other: Ordinal, score: f64| {
            if !(params.drop_taken && taken.binary_search(&other).is_ok()) {
                *sums.entry(other).or_default() += worth * score;
            }
        };
        match list.scores() {
            Scores::F32(scores) => list
                .items()
                .iter()
                .zip(scores)
                .for_each(|(other, score)| add(*other, f64::from(*score))),
            Scores::F64(scores) => list
                .items()
                .iter()
                .zip(scores)
                .for_each(|(other, score)| add(*other, *score)),
        }
    }
    // As the file will hold it; ties are by ordinal.
    let mut list: Vec<(Ordinal, f64)> = sums
        .into_iter()
        .map(|(item, sum)| (item, f64::from(sum as f32)))
        .collect();
    list.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    list.truncate(params.top_n);
    Ok(list.into_boxed_slice())
}
