//! [`Exclusions`]: what the caller excludes, known by id until it pays to know it by ordinal.
//!
//! To find the ordinal of an id takes three waits for memory, and few of the excluded items come up at all. The id of
//! an item that does come up is read anyway when the list is written, so it is looked for among the excluded ids; only
//! a walk that asks for many items has them resolved.

use xxhash_rust::xxh3::xxh3_64;

use super::sets::OrdinalSet;
use crate::Ordinal;
use crate::catalog::Catalog;
use crate::error::Result;

const EMPTY: u32 = u32::MAX;

/// Questions for each excluded id after which the ids are resolved.
const ASKED_PER_ID: usize = 2;

/// The excluded items of one request.
#[derive(Debug)]
pub struct Exclusions<'r> {
    catalog: &'r Catalog,
    ids: &'r [&'r str],
    /// A hash table of positions in `ids`, by XXH3-64.
    slots: Vec<u32>,
    asked: usize,
    resolved: Option<OrdinalSet>,
}

impl<'r> Exclusions<'r> {
    /// Excludes the items of `ids` that the catalog has.
    pub fn new(catalog: &'r Catalog, ids: &'r [&'r str]) -> Self {
        let mut slots = Vec::new();
        if !ids.is_empty() {
            slots.resize((ids.len() * 2).next_power_of_two(), EMPTY);
            for (position, id) in ids.iter().enumerate() {
                let slot = slot(&slots, ids, id.as_bytes());
                slots[slot] = position as u32;
            }
        }
        Self {
            catalog,
            ids,
            slots,
            asked: 0,
            resolved: None,
        }
    }

    /// Whether `item` is excluded.
    pub fn contains(&mut self, item: Ordinal) -> Result<bool> {
        if self.ids.is_empty() {
            return Ok(false);
        }
        self.asked += 1;
        if self.asked > self.ids.len() * ASKED_PER_ID {
            return Ok(self.resolve()?.contains(item));
        }
        let id = self.catalog.id_bytes(item)?;
        Ok(self.slots[slot(&self.slots, self.ids, id)] != EMPTY)
    }

    fn resolve(&mut self) -> Result<&OrdinalSet> {
        if self.resolved.is_none() {
            let mut items = OrdinalSet::default();
            items.reset(self.ids.len());
            self.catalog.touch_ids(self.ids);
            for id in self.ids {
                if let Some(item) = self.catalog.ordinal(id)? {
                    items.insert(item);
                }
            }
            self.resolved = Some(items);
        }
        Ok(self.resolved.get_or_insert_default())
    }
}

/// Where `id` is, or would be; half of the slots are empty.
fn slot(slots: &[u32], ids: &[&str], id: &[u8]) -> usize {
    let mask = slots.len() - 1;
    let mut slot = xxh3_64(id) as usize & mask;
    while slots[slot] != EMPTY && ids[slots[slot] as usize].as_bytes() != id {
        slot = (slot + 1) & mask;
    }
    slot
}
