//! What the rungs of the ladder hold for a request that allows only a few items.

use super::plan::Plan;
use crate::Ordinal;
use crate::error::Result;
use crate::signal::Signal;

/// The allowed items, newest first, then by ordinal; those without a time come last.
pub fn newest_of(plan: &Plan, allowed: &[Ordinal]) -> Vec<Ordinal> {
    let mut items = allowed.to_vec();
    items.sort_by_key(|item| (std::cmp::Reverse(plan.catalog.created_at_ms(*item)), *item));
    items
}

/// The allowed items that a long list has, in its order; `None` if it is quicker, or only possible, to read the list.
pub fn allowed_of(
    signal: &Signal,
    key: u32,
    allowed: Option<&[Ordinal]>,
) -> Result<Option<Vec<(Ordinal, f64)>>> {
    let (Some(allowed), Some(by_item)) = (allowed, signal.by_item(key)?) else {
        return Ok(None);
    };
    let mut items = Vec::new();
    for item in allowed {
        if let Some(raw) = by_item.score(*item)? {
            items.push((*item, raw));
        }
    }
    items.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    Ok(Some(items))
}
