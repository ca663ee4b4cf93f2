//! Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998, section 2).

use super::request::MmrStep;
use crate::catalog::Catalog;
use crate::error::Result;
use crate::{NONE, Ordinal};

/// An item's features: its tags, brand and category, as sorted codes that do not collide.
pub type Features = Vec<u64>;

/// The features of `item`.
pub fn features(catalog: &Catalog, item: Ordinal) -> Result<Features> {
    let mut features: Features = catalog
        .tags(item)?
        .iter()
        .map(|tag| u64::from(*tag))
        .collect();
    for (kind, code) in [(1, catalog.brand(item)), (2, catalog.category(item))] {
        if code != NONE {
            features.push(kind << 32 | u64::from(code));
        }
    }
    Ok(features)
}

/// Jaccard similarity of two items, 0 to 1; 0 if neither has a feature.
pub fn similarity(a: &Features, b: &Features) -> f64 {
    let (mut i, mut j, mut shared) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => (i, j, shared) = (i + 1, j + 1, shared + 1),
        }
    }
    let all = a.len() + b.len() - shared;
    if all == 0 {
        0.0
    } else {
        f64::from(shared as u32) / all as f64
    }
}

/// What is left of the pool, and how similar each of it is to what was chosen.
#[derive(Debug)]
pub struct Pool {
    lambda: f64,
    relevance: Vec<f64>,
    features: Vec<Features>,
    similarity: Vec<f64>,
    left: Vec<usize>,
}

impl Pool {
    /// A pool of items with their scores, in score order; `chosen` are the features of what the list already has.
    pub fn new(lambda: f64, scores: &[f64], features: Vec<Features>, chosen: &[Features]) -> Self {
        let largest = scores.iter().copied().fold(0.0, f64::max);
        let relevance = scores
            .iter()
            .map(|s| if largest > 0.0 { s / largest } else { 0.0 })
            .collect();
        let nearest = |f| chosen.iter().map(|c| similarity(f, c)).fold(0.0, f64::max);
        Self {
            lambda,
            relevance,
            similarity: features.iter().map(nearest).collect(),
            left: (0..features.len()).collect(),
            features,
        }
    }

    /// Takes out the item with the largest `lambda x relevance - (1 - lambda) x similarity`, the earlier one of equals.
    pub fn draw(&mut self) -> Option<usize> {
        let mut best: Option<(usize, f64)> = None;
        for (place, i) in self.left.iter().enumerate() {
            let value = self.value(*i);
            if best.is_none_or(|(_, v)| value > v) {
                best = Some((place, value));
            }
        }
        best.map(|(place, _)| self.left.remove(place))
    }

    /// How `i`, which was just drawn and counts from 0 in the order by score, came to be drawn.
    pub fn step(&self, i: usize) -> MmrStep {
        MmrStep {
            place: i,
            lambda: self.lambda,
            relevance: self.relevance[i],
            similarity: self.similarity[i],
            value: self.value(i),
        }
    }

    fn value(&self, i: usize) -> f64 {
        self.lambda * self.relevance[i] - (1.0 - self.lambda) * self.similarity[i]
    }

    /// Makes what is left less welcome the more it is like `i`, which was drawn and taken.
    pub fn taken(&mut self, i: usize) {
        for other in &self.left {
            let nearer = similarity(&self.features[*other], &self.features[i]);
            self.similarity[*other] = self.similarity[*other].max(nearer);
        }
    }
}
