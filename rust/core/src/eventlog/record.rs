//! What of each record goes into the rows.

use xxhash_rust::xxh3::xxh3_64;

use super::rows::{Content, Rows};
use super::shape::{Assignment, Exposure, Object, Outcome, RankList, Text, parse};
use super::{Role, time};

/// A longer list is doubtful: what looks for repeated items takes time that grows with the square of its length.
const MAX_PLAIN_ITEMS: usize = 500;
/// A greater value of an outcome, either way, is doubtful.
const MAX_PLAIN_VALUE: f64 = 1e12;

/// What was seen of a record that went into the rows.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// When it happened.
    pub ts_us: i64,
    /// Whether user, ranks, items and propensities surely make sense.
    pub is_plain: bool,
}

/// Reads one line into `rows`; `None`, and nothing added, when it has not the shape of a record of `role`.
pub fn read(role: Role, line: &[u8], rows: &mut Rows) -> Option<Facts> {
    match role {
        Role::Exposures => add_exposure(parse(line)?, rows),
        Role::Outcomes => add_outcome(parse(line)?, rows),
        Role::Assignments => add_assignment(parse(line)?, rows),
        Role::Ranklists => add_ranklist(parse(line)?, rows),
    }
}

fn add_exposure(mut record: Exposure<'_>, rows: &mut Rows) -> Option<Facts> {
    let ts_us = time::parse(&record.ts.0)?;
    let has_ids = is_given(&[&record.request_id, &record.user_id]);
    let are_items_valid = record.items.iter().all(|Object(item)| {
        let propensities = [
            item.propensity,
            item.logging_propensity,
            item.target_propensity,
        ];
        !item.item_id.0.is_empty()
            && item.rank >= 1
            && propensities
                .iter()
                .flatten()
                .all(|p| (0.0..=1.0).contains(p))
    });
    if !has_ids || !are_items_valid || record.latency_ms.is_some_and(|ms| ms < 0.0) {
        return None;
    }
    // Ranks tell the order, whatever that of the list: so the first place of an item is its best.
    if !record.items.is_sorted_by_key(|Object(item)| item.rank) {
        record
            .items
            .sort_by(|Object(a), Object(b)| (a.rank, &a.item_id.0).cmp(&(b.rank, &b.item_id.0)));
    }
    let mut is_plain = is_pseudonym(&record.user_id.0) && record.items.len() <= MAX_PLAIN_ITEMS;
    let mut content = Content::begin(rows, &record.request_id.0, &record.user_id.0, ts_us);
    let first = rows.items.len();
    for (place, Object(item)) in (1_i64..).zip(&record.items) {
        let id = xxh3_64(item.item_id.0.as_bytes());
        is_plain = is_plain && item.rank == place && !rows.items[first..].contains(&id);
        is_plain &= item.propensity != Some(0.0) && item.logging_propensity != Some(0.0);
        rows.items.push(id);
        rows.item_ids.push(&item.item_id.0);
        rows.rank.push(item.rank);
        content.text(&item.item_id.0);
        content.number(item.rank as u64);
        for (column, value) in rows.propensities.iter_mut().zip([
            item.propensity,
            item.logging_propensity,
            item.target_propensity,
        ]) {
            column.push(value.unwrap_or(f64::NAN));
            content.optional(value);
        }
    }
    rows.end_list();
    content.context(record.context.map(|context| context.0), rows);
    rows.latency_ms.push(record.latency_ms.unwrap_or(f64::NAN));
    rows.error.push(record.error.map_or(2, u8::from));
    content.optional(record.latency_ms);
    content.number(record.error.map_or(2, u64::from));
    content.finish(rows);
    Some(Facts { ts_us, is_plain })
}

fn add_outcome(record: Outcome<'_>, rows: &mut Rows) -> Option<Facts> {
    let ts_us = time::parse(&record.ts.0)?;
    let is_conversion = match &*record.event_type.0 {
        "click" => false,
        "conversion" => true,
        _ => return None,
    };
    if !is_given(&[&record.request_id, &record.user_id, &record.item_id]) {
        return None;
    }
    let mut content = Content::begin(rows, &record.request_id.0, &record.user_id.0, ts_us);
    content.text(&record.item_id.0);
    content.number(u64::from(is_conversion));
    content.optional(record.value);
    rows.items.push(xxh3_64(record.item_id.0.as_bytes()));
    rows.item_ids.push(&record.item_id.0);
    rows.is_conversion.push(u8::from(is_conversion));
    rows.value.push(record.value.unwrap_or(f64::NAN));
    content.finish(rows);
    let is_plain = is_pseudonym(&record.user_id.0)
        && record
            .value
            .is_none_or(|value| value.abs() <= MAX_PLAIN_VALUE);
    Some(Facts { ts_us, is_plain })
}

fn add_assignment(record: Assignment<'_>, rows: &mut Rows) -> Option<Facts> {
    let ts_us = time::parse(&record.ts.0)?;
    let texts = [
        &record.request_id,
        &record.user_id,
        &record.experiment_id,
        &record.variant,
    ];
    if !is_given(&texts) {
        return None;
    }
    let mut content = Content::begin(rows, &record.request_id.0, &record.user_id.0, ts_us);
    content.text(&record.experiment_id.0);
    content.text(&record.variant.0);
    rows.experiment_id.push(&record.experiment_id.0);
    rows.variant.push(&record.variant.0);
    content.context(record.context.map(|context| context.0), rows);
    content.finish(rows);
    let is_plain = is_pseudonym(&record.user_id.0);
    Some(Facts { ts_us, is_plain })
}

fn add_ranklist(record: RankList<'_>, rows: &mut Rows) -> Option<Facts> {
    let ts_us = time::parse(&record.ts.0)?;
    let has_ids = is_given(&[&record.request_id, &record.user_id]);
    if !has_ids || record.items.iter().any(|item| item.0.is_empty()) {
        return None;
    }
    let mut is_plain = is_pseudonym(&record.user_id.0) && record.items.len() <= MAX_PLAIN_ITEMS;
    let mut content = Content::begin(rows, &record.request_id.0, &record.user_id.0, ts_us);
    let first = rows.items.len();
    for item in &record.items {
        let id = xxh3_64(item.0.as_bytes());
        is_plain = is_plain && !rows.items[first..].contains(&id);
        rows.items.push(id);
        rows.item_ids.push(&item.0);
        content.text(&item.0);
    }
    rows.end_list();
    content.context(record.context.map(|context| context.0), rows);
    content.finish(rows);
    Some(Facts { ts_us, is_plain })
}

fn is_given(texts: &[&Text<'_>]) -> bool {
    texts.iter().all(|text| !text.0.is_empty())
}

/// Whether this is 64 lower-case hexadecimal characters.
fn is_pseudonym(user_id: &str) -> bool {
    user_id.len() == 64
        && user_id.bytes().fold(true, |is_hex, byte| {
            is_hex & matches!(byte, b'0'..=b'9' | b'a'..=b'f')
        })
}
