//! [`Seen`]: items that the user was shown or took lately, which the request leaves out or makes worth less.

use super::request::Request;
use crate::Ordinal;
use crate::catalog::Catalog;
use crate::error::{Error, Result};

/// The seen items of one request, and what becomes of them.
#[derive(Debug, Default)]
pub struct Seen {
    /// Ascending, each once: a caller may name an item as often as the user saw it.
    items: Vec<Ordinal>,
    damping: Option<f64>,
}

impl Seen {
    /// Resolves the request's ids; those that the catalog does not know are ignored.
    pub fn new(catalog: &Catalog, request: &Request<'_>) -> Result<Self> {
        if let Some(factor) = request.damping.filter(|f| !(0.0..=1.0).contains(f)) {
            return Err(Error::Plan(format!("damping: {factor} is not in 0..1")));
        }
        let mut items = Vec::with_capacity(request.seen.len());
        for item in catalog.look_up(&request.seen).finish() {
            items.extend(item?);
        }
        items.sort_unstable();
        items.dedup();
        Ok(Self {
            items,
            damping: request.damping,
        })
    }

    /// Whether `item` is left out.
    #[inline]
    pub fn drops(&self, item: Ordinal) -> bool {
        self.damping.is_none() && self.has(item)
    }

    /// Whether `item` is worth less.
    #[inline]
    pub fn damps(&self, item: Ordinal) -> bool {
        self.damping.is_some() && self.has(item)
    }

    /// The items that are worth less, ascending.
    pub fn damped(&self) -> &[Ordinal] {
        if self.damping.is_some() {
            &self.items
        } else {
            &[]
        }
    }

    /// The score of `item` that has `score` but for this. Damping raises none, so a negative one stays.
    #[inline]
    pub fn damp(&self, item: Ordinal, score: f64) -> f64 {
        match self.damping {
            Some(factor) if score > 0.0 && self.has(item) => score * factor,
            _ => score,
        }
    }

    #[inline]
    fn has(&self, item: Ordinal) -> bool {
        !self.items.is_empty() && self.items.binary_search(&item).is_ok()
    }
}
