//! [`Scorer`]: what a candidate's score is, and what it can be at most.

use super::plan::{Plan, limited_boost};
use super::seen::Seen;
use super::stream::{Class, Stream};
use super::table::Table;

/// Gives candidates their scores.
#[derive(Debug)]
pub struct Scorer<'p> {
    /// The plan.
    pub plan: &'p Plan,
    /// The weight of each source in this request.
    pub weights: Vec<f64>,
    /// The largest raw value of each source that is normalised by it.
    pub maxima: Vec<f64>,
    /// What the user has seen.
    pub seen: Seen,
}

impl Scorer<'_> {
    /// The score of every candidate, by position; each the same as [`Scorer::score`] gives.
    pub fn scores(&self, table: &Table) -> Vec<f64> {
        let mut scores = table.sums(self.plan, &self.weights, &self.maxima);
        if !self.plan.rules.boosts.is_empty() {
            // Rule by rule, for the set of one stays in the near caches.
            let mut boosts = vec![1.0; scores.len()];
            for (_, items, factor) in &self.plan.rules.boosts {
                for (boost, item) in boosts.iter_mut().zip(table.ordinals()) {
                    if items.contains(*item) {
                        *boost = limited_boost(*boost, *factor);
                    }
                }
            }
            for (score, boost) in scores.iter_mut().zip(boosts) {
                *score *= boost;
            }
        }
        for item in self.seen.damped() {
            if let Some(position) = table.find(*item) {
                scores[position] = self.seen.damp(*item, scores[position]);
            }
        }
        for score in &mut scores {
            *score += 0.0;
        }
        scores
    }

    /// Weighted sum of the normalised values, in source order, times the boost of the item, times the damping of a seen
    /// one.
    pub fn score(&self, table: &Table, position: usize) -> f64 {
        let found_by = table.found_by(position);
        let mut score = 0.0;
        for (s, source) in self.plan.sources.iter().enumerate() {
            if found_by >> s & 1 == 1 {
                score += self.weights[s]
                    * source
                        .normalizer
                        .apply(table.raw(position, s), self.maxima[s]);
            }
        }
        let item = table.ordinal(position);
        score *= self.plan.boost(item);
        // Minus zero would sort below zero and print as another number.
        self.seen.damp(item, score) + 0.0
    }

    /// No less than the score of any item of a class that the streams have not given yet and no scanned list has.
    pub fn bound(&self, streams: &[Stream<'_>], class: Class) -> f64 {
        let mut bound = 0.0;
        for s in 0..self.plan.sources.len() {
            if let Some(stream) = streams.iter().find(|stream| stream.source == s) {
                bound += self.reach(stream, class).unwrap_or(0.0).max(0.0);
            }
        }
        if class == Class::Boosted {
            let boosts = self.plan.rules.boosts.iter();
            bound *= boosts.fold(1.0, |boost, (.., factor)| {
                limited_boost(boost, factor.max(1.0))
            });
        }
        // Rounding may put a normalised value a step above that of a larger raw value.
        bound * (1.0 + 8.0 * f64::EPSILON)
    }

    /// What the next item of a class adds to its score.
    pub fn reach(&self, stream: &Stream<'_>, class: Class) -> Option<f64> {
        let s = stream.source;
        let normalizer = self.plan.sources[s].normalizer;
        let (_, raw) = class.next(stream)?;
        Some(self.weights[s] * normalizer.apply(*raw, self.maxima[s]))
    }
}
