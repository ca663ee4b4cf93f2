//! Records as loggers write them, read in one pass over the line.
//!
//! A reader of all of JSON takes most of the time of a scan, and logs hardly ever need one. What is read here is read
//! the same by [`super::shape::parse_any`]; whatever else a line may be is left to it.

use super::shape::{Assignment, Exposure, Item, Keyed, Object, Outcome, RankList, Text};
use crate::cursor::Cursor;

/// Items and context keys that most records do not exceed.
const USUAL: usize = 16;

/// A record that has a quick reader.
pub(super) trait Plain<'a>: Sized {
    /// Reads its object; `None` when it is not plainly written.
    fn read(cursor: &mut Cursor<'a>) -> Option<Self>;
}

/// The record that `line` is, `None` when it is not plainly written.
pub(super) fn read<'a, T: Plain<'a>>(line: &'a str) -> Option<T> {
    let mut cursor = Cursor::new(line);
    let record = T::read(&mut cursor)?;
    cursor.is_at_end().then_some(record)
}

/// Keeps the value of a key; a second one is no record.
fn set<T>(slot: &mut Option<T>, value: Option<T>) -> Option<()> {
    slot.is_none().then_some(())?;
    *slot = Some(value?);
    Some(())
}

fn text<'a>(cursor: &mut Cursor<'a>) -> Option<Text<'a>> {
    cursor.text().map(Text)
}

fn context<'a>(cursor: &mut Cursor<'a>) -> Option<Option<Keyed<'a>>> {
    cursor.nullable(|cursor| {
        let mut pairs = Vec::with_capacity(USUAL);
        cursor.object(|cursor, key| {
            pairs.push((key.into(), cursor.text()?));
            Some(())
        })?;
        Keyed::from_pairs(pairs)
    })
}

fn item<'a>(cursor: &mut Cursor<'a>) -> Option<Item<'a>> {
    let (mut item_id, mut rank) = (None, None);
    let mut propensities = [None; 3];
    cursor.object(|cursor, key| match key {
        "item_id" => set(&mut item_id, text(cursor)),
        "rank" => set(&mut rank, cursor.integer()),
        "propensity" => set(&mut propensities[0], cursor.nullable(Cursor::float)),
        "logging_propensity" => set(&mut propensities[1], cursor.nullable(Cursor::float)),
        "target_propensity" => set(&mut propensities[2], cursor.nullable(Cursor::float)),
        _ => None,
    })?;
    let [propensity, logging_propensity, target_propensity] = propensities.map(Option::flatten);
    Some(Item {
        item_id: item_id?,
        rank: rank?,
        propensity,
        logging_propensity,
        target_propensity,
    })
}

impl<'a> Plain<'a> for Exposure<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        let (mut request_id, mut user_id, mut ts) = (None, None, None);
        let (mut items, mut given, mut latency_ms, mut error) = (None, None, None, None);
        cursor.object(|cursor, key| match key {
            "request_id" => set(&mut request_id, text(cursor)),
            "user_id" => set(&mut user_id, text(cursor)),
            "ts" => set(&mut ts, text(cursor)),
            "items" => {
                let mut list = Vec::with_capacity(USUAL);
                cursor.array(|cursor| {
                    list.push(Object(item(cursor)?));
                    Some(())
                })?;
                set(&mut items, Some(list))
            }
            "context" => set(&mut given, context(cursor)),
            "latency_ms" => set(&mut latency_ms, cursor.nullable(Cursor::float)),
            "error" => set(&mut error, cursor.nullable(Cursor::boolean)),
            _ => None,
        })?;
        Some(Self {
            request_id: request_id?,
            user_id: user_id?,
            ts: ts?,
            items: items?,
            context: given.flatten(),
            latency_ms: latency_ms.flatten(),
            error: error.flatten(),
        })
    }
}

impl<'a> Plain<'a> for Outcome<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        let (mut request_id, mut user_id, mut ts) = (None, None, None);
        let (mut item_id, mut event_type, mut value) = (None, None, None);
        cursor.object(|cursor, key| match key {
            "request_id" => set(&mut request_id, text(cursor)),
            "user_id" => set(&mut user_id, text(cursor)),
            "item_id" => set(&mut item_id, text(cursor)),
            "event_type" => set(&mut event_type, text(cursor)),
            "ts" => set(&mut ts, text(cursor)),
            "value" => set(&mut value, cursor.nullable(Cursor::float)),
            _ => None,
        })?;
        Some(Self {
            request_id: request_id?,
            user_id: user_id?,
            item_id: item_id?,
            event_type: event_type?,
            ts: ts?,
            value: value.flatten(),
        })
    }
}

impl<'a> Plain<'a> for Assignment<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        let (mut experiment_id, mut variant) = (None, None);
        let (mut request_id, mut user_id, mut ts, mut given) = (None, None, None, None);
        cursor.object(|cursor, key| match key {
            "experiment_id" => set(&mut experiment_id, text(cursor)),
            "variant" => set(&mut variant, text(cursor)),
            "request_id" => set(&mut request_id, text(cursor)),
            "user_id" => set(&mut user_id, text(cursor)),
            "ts" => set(&mut ts, text(cursor)),
            "context" => set(&mut given, context(cursor)),
            _ => None,
        })?;
        Some(Self {
            experiment_id: experiment_id?,
            variant: variant?,
            request_id: request_id?,
            user_id: user_id?,
            ts: ts?,
            context: given.flatten(),
        })
    }
}

impl<'a> Plain<'a> for RankList<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Option<Self> {
        let (mut request_id, mut user_id, mut ts) = (None, None, None);
        let (mut items, mut given) = (None, None);
        cursor.object(|cursor, key| match key {
            "request_id" => set(&mut request_id, text(cursor)),
            "user_id" => set(&mut user_id, text(cursor)),
            "ts" => set(&mut ts, text(cursor)),
            "items" => {
                let mut list = Vec::with_capacity(USUAL);
                cursor.array(|cursor| {
                    list.push(text(cursor)?);
                    Some(())
                })?;
                set(&mut items, Some(list))
            }
            "context" => set(&mut given, context(cursor)),
            _ => None,
        })?;
        Some(Self {
            request_id: request_id?,
            user_id: user_id?,
            ts: ts?,
            items: items?,
            context: given.flatten(),
        })
    }
}
