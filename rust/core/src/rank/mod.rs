//! The ranker: one call that turns a request into a list.
//!
//! A [`Plan`] is all that requests of one surface, segment and mode have in common; [`Plan::rank`] takes a [`Request`]
//! and gives a [`Ranked`]. On the way, `gather` collects candidates and their raw values from the sources into a
//! table (those of past sessions by way of `sessions`), `walk` adds the long lists' items only as far as they can matter, `filter` says who may be shown, and
//! `select` places pins, walks the rest in order under the caps, diversifies, and refills from the ladder; `encode`
//! writes the list as JSON.
//! `docs/ranking.md` states the semantics; `recsys.ranking.reference` is the same in plain Python.

mod caps;
mod encode;
mod exclusions;
mod explain;
mod filter;
mod gather;
mod ladder;
mod mmr;
mod order;
mod plan;
mod refill;
mod request;
mod resolve;
mod scorer;
mod seen;
mod select;
mod sessions;
mod sets;
mod stream;
mod table;
mod walk;

pub use plan::{Diversity, Group, Normalizer, Origin, Plan, Rules, Rung, Source};
pub use request::{Contribution, Drop, MmrStep, Ranked, RankedItem, Request};
pub use sessions::{Neighbourhood, goes_with};
pub use sets::ItemSet;
