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

const EMPTY: u64 = u64::MAX;

/// Slots an id: so many that most items which are not excluded meet an empty one at once.
const SPARSE: usize = 4;

const UPPER: u64 = !0 << 32;

/// Questions for each excluded id after which the ids are resolved.
const ASKED_PER_ID: usize = 2;

/// The excluded items of one request.
#[derive(Debug)]
pub struct Exclusions<'r> {
    catalog: &'r Catalog,
    ids: &'r [&'r str],
    /// A hash table by XXH3-64, the upper half of which is that of an entry; the lower half is a position in `ids`.
    slots: Vec<u64>,
    asked: usize,
    resolved: Option<OrdinalSet>,
}

impl<'r> Exclusions<'r> {
    /// Excludes the items of `ids` that the catalog has.
    pub fn new(catalog: &'r Catalog, ids: &'r [&'r str]) -> Self {
        let mut slots = Vec::new();
        if !ids.is_empty() {
            slots.resize((ids.len() * SPARSE).next_power_of_two(), EMPTY);
            for (id, position) in ids.iter().zip(0..) {
                let hash = xxh3_64(id.as_bytes());
                let slot = slot(&slots, ids, hash, id.as_bytes());
                slots[slot] = hash & UPPER | position;
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
        Ok(self.slots[slot(&self.slots, self.ids, xxh3_64(id), id)] != EMPTY)
    }

    fn resolve(&mut self) -> Result<&OrdinalSet> {
        if self.resolved.is_none() {
            let mut items = OrdinalSet::default();
            items.reset(self.ids.len());
            for item in self.catalog.look_up(self.ids).finish() {
                if let Some(item) = item? {
                    items.insert(item);
                }
            }
            self.resolved = Some(items);
        }
        Ok(self.resolved.get_or_insert_default())
    }
}

/// Where `id` is, or would be; most of the slots are empty.
fn slot(slots: &[u64], ids: &[&str], hash: u64, id: &[u8]) -> usize {
    let mask = slots.len() - 1;
    let mut slot = hash as usize & mask;
    loop {
        let entry = slots[slot];
        let is_id = || ids[entry as u32 as usize].as_bytes() == id;
        if entry == EMPTY || (entry ^ hash) & UPPER == 0 && is_id() {
            return slot;
        }
        slot = (slot + 1) & mask;
    }
}
