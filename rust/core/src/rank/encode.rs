//! The places of a list as JSON, byte for byte as the records of `recsys.contracts` are encoded.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::request::Ranked;
use crate::catalog::Catalog;
use crate::error::{Error, Result};

/// `RankedItem` with a score, `ExposedItem` without.
#[derive(Serialize)]
struct Place<'a> {
    item_id: &'a str,
    rank: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
}

/// Compact JSON with numbers as msgspec writes them: `1e16`, not `1e+16`.
struct Msgspec;

impl Formatter for Msgspec {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(ryu::Buffer::new().format_finite(value).as_bytes())
    }
}

impl Ranked {
    /// Appends the JSON array of the list to `out`; ranks count from `first_rank`.
    pub fn encode(
        &self,
        catalog: &Catalog,
        with_scores: bool,
        first_rank: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let mut places = Vec::with_capacity(self.items.len());
        for (place, rank) in self.items.iter().zip(first_rank..) {
            places.push(Place {
                item_id: catalog.id(place.item)?,
                rank,
                score: with_scores.then_some(place.score),
            });
        }
        // A vector takes every byte, and nothing in a place cannot be encoded.
        let mut serializer = Serializer::with_formatter(out, Msgspec);
        let encoded = places.serialize(&mut serializer);
        encoded.map_err(|e| Error::io(catalog.path(), e.into()))
    }
}
