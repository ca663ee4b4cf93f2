//! The shape of each record, and what of it goes into the rows.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use xxhash_rust::xxh3::xxh3_64;

use super::rows::{Content, Pairs, Rows};
use super::{Role, time};

/// A longer list is doubtful: what looks for repeated items takes time that grows with the square of its length.
const MAX_PLAIN_ITEMS: usize = 500;

/// What was seen of a record that went into the rows.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// When it happened.
    pub ts_us: i64,
    /// Whether user, ranks, items and propensities surely make sense.
    pub is_plain: bool,
}

/// A string that is borrowed from the line when it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A `T` that stands as an object: derived readers would take an array of its fields too.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OfMap<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(OfMap(PhantomData)).map(Self)
    }
}

/// A context, its keys in order and each once.
struct Keyed<'a>(Pairs<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Keyed<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap;
        impl<'de> Visitor<'de> for OfMap {
            type Value = Keyed<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::with_capacity(8);
                while let Some((key, value)) = map.next_entry::<Text<'de>, Text<'de>>()? {
                    pairs.push((key.0, value.0));
                }
                pairs.sort_unstable();
                if pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                    return Err(A::Error::custom("a key occurs twice"));
                }
                Ok(Keyed(pairs))
            }
        }
        deserializer.deserialize_map(OfMap)
    }
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    item_id: Text<'a>,
    rank: i64,
    propensity: Option<f64>,
    logging_propensity: Option<f64>,
    target_propensity: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exposure<'a> {
    #[serde(borrow)]
    request_id: Text<'a>,
    #[serde(borrow)]
    user_id: Text<'a>,
    #[serde(borrow)]
    ts: Text<'a>,
    #[serde(borrow)]
    items: Vec<Object<Item<'a>>>,
    #[serde(borrow)]
    context: Option<Keyed<'a>>,
    latency_ms: Option<f64>,
    error: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcome<'a> {
    #[serde(borrow)]
    request_id: Text<'a>,
    #[serde(borrow)]
    user_id: Text<'a>,
    #[serde(borrow)]
    item_id: Text<'a>,
    #[serde(borrow)]
    event_type: Text<'a>,
    #[serde(borrow)]
    ts: Text<'a>,
    value: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assignment<'a> {
    #[serde(borrow)]
    experiment_id: Text<'a>,
    #[serde(borrow)]
    variant: Text<'a>,
    #[serde(borrow)]
    request_id: Text<'a>,
    #[serde(borrow)]
    user_id: Text<'a>,
    #[serde(borrow)]
    ts: Text<'a>,
    #[serde(borrow)]
    context: Option<Keyed<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RankList<'a> {
    #[serde(borrow)]
    request_id: Text<'a>,
    #[serde(borrow)]
    user_id: Text<'a>,
    #[serde(borrow)]
    ts: Text<'a>,
    #[serde(borrow)]
    items: Vec<Text<'a>>,
    #[serde(borrow)]
    context: Option<Keyed<'a>>,
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

fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Option<T> {
    serde_json::from_slice::<Object<T>>(line)
        .ok()
        .map(|object| object.0)
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
    let is_plain = is_pseudonym(&record.user_id.0);
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
        && user_id
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
