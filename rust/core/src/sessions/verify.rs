//! Everything of a session index that opening leaves for later.

use super::SessionIndex;
use super::write::idf;
use crate::Ordinal;
use crate::error::Result;

/// How far a frequency may be from its formula, relatively: logarithms of other systems differ in the last bit.
const TOLERANCE: f64 = 1e-12;

pub(super) fn verify(index: &SessionIndex) -> Result<()> {
    index.artifact.verify()?;
    index.rows_of_sessions.verify(&index.artifact)?;
    index.rows_of_items.verify(&index.artifact)?;
    let mut frequencies = vec![0u32; index.item_count];
    for session in 0..index.session_count as u32 {
        let items = index.items(session)?;
        if items.len() < 2 || items.windows(2).any(|pair| pair[0] >= pair[1]) {
            let reason = format!("session {session} has not two or more items, ascending");
            return Err(index.corrupt("ses.item", reason));
        }
        for &item in items {
            // The first sessions of an item are on its list, as far as that goes.
            let at = frequencies[item as usize] as usize;
            let listed = index.sessions(item)?.get(at);
            if listed != Some(&session) && at < index.sessions_per_item {
                let reason = format!("the list of item {item} lacks session {session}");
                return Err(index.corrupt("item.ses", reason));
            }
            frequencies[item as usize] += 1;
        }
    }
    for (item, &frequency) in frequencies.iter().enumerate() {
        let length = index.sessions(item as Ordinal)?.len();
        let expected = (frequency as usize).min(index.sessions_per_item);
        if length != expected {
            let reason = format!("the list of item {item} has {length} sessions, not {expected}");
            return Err(index.corrupt("item.ses", reason));
        }
        let (found, right) = (
            index.idf(item as Ordinal)?,
            idf(index.session_count, frequency),
        );
        if (found - right).abs() > right * TOLERANCE {
            let reason = format!("the one of item {item} is {found}, not {right}");
            return Err(index.corrupt("idf", reason));
        }
    }
    Ok(())
}
