//! Everything of a signal that opening leaves for later.

use super::Signal;
use crate::error::{Error, Result};

pub(super) fn verify(signal: &Signal) -> Result<()> {
    signal.artifact.verify()?;
    signal.rows.verify(&signal.artifact)?;
    if let Some(keys) = &signal.keys {
        keys.verify_sorted(&signal.artifact)?;
    }
    let mut entries = Vec::new();
    for key in 0..signal.key_count as u32 {
        let corrupt = |section: &str, reason: &str| {
            Err(Error::corrupt(
                signal.path(),
                section,
                format!("list {key}: {reason}"),
            ))
        };
        let list = signal.list(key)?;
        entries.clear();
        for rank in 0..list.len() {
            entries.push(list.get(rank)?);
        }
        if !entries.is_sorted_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)).is_lt()) {
            return corrupt("scores", "not in order of score, then item");
        }
        entries.sort_unstable_by_key(|(item, _)| *item);
        if entries.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return corrupt("items", "an item is there twice");
        }
        let Some(by_item) = signal.by_item(key)? else {
            continue;
        };
        if !by_item
            .items
            .iter()
            .eq(entries.iter().map(|(item, _)| item))
        {
            return corrupt("by.item", "not the items of the list, ascending");
        }
        if (0..entries.len()).any(|i| by_item.scores.get(i).to_bits() != entries[i].1.to_bits()) {
            return corrupt("by.score", "not the scores of the list");
        }
    }
    Ok(())
}
