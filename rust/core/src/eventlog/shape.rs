//! The shape of each record, and its reader for any way of writing JSON.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::plain::{self, Plain};
use super::rows::Pairs;

/// A string that is borrowed from the line when it has no escapes.
#[derive(Debug, Deserialize, PartialEq)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// A `T` that stands as an object: derived readers would take an array of its fields too.
#[derive(Debug, PartialEq)]
pub(super) struct Object<T>(pub T);

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
#[derive(Debug, PartialEq)]
pub(super) struct Keyed<'a>(pub Pairs<'a>);

impl<'a> Keyed<'a> {
    /// `None` when a key occurs twice.
    pub fn from_pairs(mut pairs: Pairs<'a>) -> Option<Self> {
        pairs.sort_unstable();
        pairs
            .windows(2)
            .all(|pair| pair[0].0 != pair[1].0)
            .then_some(Self(pairs))
    }
}

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
                Keyed::from_pairs(pairs).ok_or_else(|| A::Error::custom("a key occurs twice"))
            }
        }
        deserializer.deserialize_map(OfMap)
    }
}

#[derive(Debug, Deserialize, PartialEq)]
pub(super) struct Item<'a> {
    #[serde(borrow)]
    pub item_id: Text<'a>,
    pub rank: i64,
    pub propensity: Option<f64>,
    pub logging_propensity: Option<f64>,
    pub target_propensity: Option<f64>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(super) struct Exposure<'a> {
    #[serde(borrow)]
    pub request_id: Text<'a>,
    #[serde(borrow)]
    pub user_id: Text<'a>,
    #[serde(borrow)]
    pub ts: Text<'a>,
    #[serde(borrow)]
    pub items: Vec<Object<Item<'a>>>,
    #[serde(borrow)]
    pub context: Option<Keyed<'a>>,
    pub latency_ms: Option<f64>,
    pub error: Option<bool>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(super) struct Outcome<'a> {
    #[serde(borrow)]
    pub request_id: Text<'a>,
    #[serde(borrow)]
    pub user_id: Text<'a>,
    #[serde(borrow)]
    pub item_id: Text<'a>,
    #[serde(borrow)]
    pub event_type: Text<'a>,
    #[serde(borrow)]
    pub ts: Text<'a>,
    pub value: Option<f64>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(super) struct Assignment<'a> {
    #[serde(borrow)]
    pub experiment_id: Text<'a>,
    #[serde(borrow)]
    pub variant: Text<'a>,
    #[serde(borrow)]
    pub request_id: Text<'a>,
    #[serde(borrow)]
    pub user_id: Text<'a>,
    #[serde(borrow)]
    pub ts: Text<'a>,
    #[serde(borrow)]
    pub context: Option<Keyed<'a>>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(super) struct RankList<'a> {
    #[serde(borrow)]
    pub request_id: Text<'a>,
    #[serde(borrow)]
    pub user_id: Text<'a>,
    #[serde(borrow)]
    pub ts: Text<'a>,
    #[serde(borrow)]
    pub items: Vec<Text<'a>>,
    #[serde(borrow)]
    pub context: Option<Keyed<'a>>,
}

/// The record of a line, quickly when it is plainly written; `None` when it has another shape.
pub(super) fn parse<'a, T: Plain<'a> + Deserialize<'a>>(line: &'a [u8]) -> Option<T> {
    let text = std::str::from_utf8(line).ok()?;
    plain::read(text).or_else(|| parse_any(text))
}

/// The record of a line, however it is written.
pub(super) fn parse_any<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    serde_json::from_str::<Object<T>>(text)
        .ok()
        .map(|object| object.0)
}
