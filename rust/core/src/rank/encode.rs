//! The places of a list as JSON, byte for byte as the records of `recsys.contracts` are encoded.

use super::request::Ranked;
use crate::catalog::Catalog;
use crate::error::Result;
use crate::json::push_json;

impl Ranked {
    /// Appends the JSON array of the list to `out`, of `RankedItem` with scores and of `ExposedItem` without; ranks
    /// count from `first_rank`.
    pub fn encode(
        &self,
        catalog: &Catalog,
        with_scores: bool,
        first_rank: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let mut before = b'[';
        for (place, rank) in self.items.iter().zip(first_rank..) {
            out.push(before);
            before = b',';
            out.extend_from_slice(b"{\"item_id\":");
            push_json(catalog.id(place.item)?, out);
            out.extend_from_slice(b",\"rank\":");
            out.extend_from_slice(itoa::Buffer::new().format(rank).as_bytes());
            if with_scores {
                // As msgspec writes it: `1e16`, not `1e+16`.
                out.extend_from_slice(b",\"score\":");
                out.extend_from_slice(ryu::Buffer::new().format_finite(place.score).as_bytes());
            }
            out.push(b'}');
        }
        if self.items.is_empty() {
            out.push(before);
        }
        out.push(b']');
        Ok(())
    }
}
