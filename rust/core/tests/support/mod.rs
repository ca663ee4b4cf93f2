//! What the tests and fuzz targets of the format share: sample files, resealing of damaged ones, and full use of any file.
#![allow(dead_code)]

use std::path::Path;

use recsys_core::catalog::{Catalog, Row, build};
use recsys_core::rank::{Neighbourhood, goes_with};
use recsys_core::sessions::{SessionIndex, SessionIndexWriter};
use recsys_core::signal::{KeyType, Signal, SignalWriter, Spec};
use recsys_core::{NONE, Ordinal, Result};
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_64;

const TABLE: usize = 64;
const ENTRY: usize = 32;

/// The rows of the sample catalog: every column present and absent, texts outside ASCII.
pub fn sample_rows() -> Vec<Row> {
    let text = |s: &str| Some(s.to_owned());
    let tags = |s: &[&str]| s.iter().map(|t| (*t).to_owned()).collect();
    vec![
        Row {
            id: "pear".into(),
            title: text("Pear, 1 kg"),
            tags: tags(&["fruit", "fresh", "fruit"]),
            brand: text("Orchard"),
            category: text("produce"),
            price: Some(2.5),
            created_at_ms: Some(1_700_000_000_000),
            valid_until_ms: Some(1_800_000_000_000),
            available: true,
        },
        Row {
            id: "apple".into(),
            tags: tags(&["fruit"]),
            brand: text("Orchard"),
            available: true,
            ..Row::default()
        },
        Row {
            id: "brötchen".into(),
            title: text("Brötchen"),
            tags: tags(&["bakery", "fresh"]),
            category: text("bread"),
            price: Some(0.35),
            created_at_ms: Some(1_710_000_000_000),
            available: true,
            ..Row::default()
        },
        Row {
            id: "zucchini".into(),
            created_at_ms: Some(-1),
            available: false,
            ..Row::default()
        },
    ]
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// Writes the sample catalog; returns its SHA-256.
pub fn write_catalog(path: &Path) -> Result<String> {
    build(path, sample_rows(), object(json!({"tenant": "demo"})))
}

/// Writes a sample signal keyed by item, in single precision, with its lists by item too.
pub fn write_neighbours(path: &Path, catalog: &Catalog) -> Result<String> {
    let spec = Spec {
        kind: "cooc".into(),
        key_type: KeyType::Item,
        wide_scores: false,
        by_item: true,
        keys: vec![],
    };
    let mut writer = SignalWriter::create(path, catalog, spec)?;
    let lists: [&[(Ordinal, f64)]; 4] = [
        &[(2, 0.75), (1, 0.5), (3, 0.5)],
        &[(0, 0.5)],
        &[(0, 0.75)],
        &[],
    ];
    for list in lists {
        writer.push_list(list)?;
    }
    writer.finish(object(
        json!({"tenant": "demo", "window": {"start": null, "end": null}}),
    ))
}

/// Writes a sample signal keyed by segment, in double precision.
pub fn write_popularity(path: &Path, catalog: &Catalog) -> Result<String> {
    let keys = vec!["default".into(), "new".into()];
    let spec = Spec {
        kind: "popularity".into(),
        key_type: KeyType::Segment,
        wide_scores: true,
        by_item: false,
        keys,
    };
    let mut writer = SignalWriter::create(path, catalog, spec)?;
    writer.push_list(&[(2, 10.25), (0, 3.0), (1, 3.0)])?;
    writer.push_list(&[(1, 0.1)])?;
    writer.finish(object(json!({"tenant": "demo"})))
}

/// Writes a sample session index, in which each item keeps two sessions and one item has more.
pub fn write_sessions(path: &Path, catalog: &Catalog) -> Result<String> {
    let mut writer = SessionIndexWriter::create(path, catalog, 2)?;
    for session in [&[0, 2][..], &[1, 2], &[0, 1, 2]] {
        writer.push_session(session)?;
    }
    for list in [&[0, 2][..], &[1, 2], &[0, 1], &[]] {
        writer.push_list(list)?;
    }
    writer.finish(object(json!({"tenant": "demo"})))
}

/// Recomputes every checksum that `bytes` has room for, and its length, so that damage is met where values are used.
pub fn reseal(bytes: &mut [u8]) {
    if bytes.len() < TABLE {
        return;
    }
    let length = bytes.len() as u64;
    bytes[16..24].copy_from_slice(&length.to_le_bytes());
    let count = word(bytes, 24).min(32) as usize;
    let Some(table_end) = Some(TABLE + count * ENTRY).filter(|end| *end <= bytes.len()) else {
        return;
    };
    for at in (TABLE..table_end).step_by(ENTRY) {
        let (start, length) = (word(bytes, at + 8) as usize, word(bytes, at + 16) as usize);
        let range = start..start.saturating_add(length);
        if let Some(checksum) = bytes.get(range).map(xxh3_64) {
            bytes[at + 24..at + 32].copy_from_slice(&checksum.to_le_bytes());
        }
    }
    let table = xxh3_64(&bytes[TABLE..table_end]);
    bytes[32..40].copy_from_slice(&table.to_le_bytes());
    let header = xxh3_64(&bytes[..56]);
    bytes[56..64].copy_from_slice(&header.to_le_bytes());
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8]
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// (name, first byte, length) of each section of a sound file.
pub fn sections(bytes: &[u8]) -> Vec<(String, usize, usize)> {
    let count = word(bytes, 24) as usize;
    (0..count)
        .map(|i| {
            let at = TABLE + i * ENTRY;
            let name = String::from_utf8_lossy(&bytes[at..at + 8]);
            (
                name.trim_end_matches('\0').to_owned(),
                word(bytes, at + 8) as usize,
                word(bytes, at + 16) as usize,
            )
        })
        .collect()
}

/// Opens a file as whatever it is and asks for everything in it; the first error ends it.
pub fn use_everything(path: &Path) -> Result<()> {
    match Catalog::open(path) {
        Ok(catalog) => use_catalog(&catalog),
        Err(recsys_core::Error::WrongType { .. }) => match Signal::open(path) {
            Ok(signal) => use_signal(&signal),
            Err(recsys_core::Error::WrongType { .. }) => use_sessions(&SessionIndex::open(path)?),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }
}

fn use_catalog(catalog: &Catalog) -> Result<()> {
    for item in 0..catalog.len() as Ordinal {
        let id = catalog.id(item)?;
        catalog.ordinal(id)?;
        catalog.title(item)?;
        for tag in catalog.tags(item)? {
            catalog.find_tag(catalog.tag(*tag)?)?;
        }
        for (code, is_brand) in [(catalog.brand(item), true), (catalog.category(item), false)] {
            if code != NONE && is_brand {
                catalog.find_brand(catalog.brand_name(code)?)?;
            } else if code != NONE {
                catalog.find_category(catalog.category_name(code)?)?;
            }
        }
        let _ = (
            catalog.price(item),
            catalog.created_at_ms(item),
            catalog.is_servable(item, 0),
        );
    }
    catalog.ordinal("no such item")?;
    for tag in 0..catalog.tag_count() as u32 {
        for item in catalog.tagged(tag)? {
            catalog.id(*item)?;
        }
    }
    for item in catalog.newest() {
        catalog.id(*item)?;
    }
    Ok(())
}

fn use_sessions(index: &SessionIndex) -> Result<()> {
    let _ = index.entry_count();
    let neighbourhood = Neighbourhood {
        recent_sessions: 50,
        neighbors: 50,
        last_items: 3,
    };
    for item in 0..index.item_count() as Ordinal {
        index.idf(item)?;
        for session in index.sessions(item)? {
            index.items(*session)?;
        }
        let current = [item, NONE, (item + 1) % index.item_count() as Ordinal];
        for length in 1..=current.len() {
            goes_with(index, &current[..length], neighbourhood)?;
        }
    }
    Ok(())
}

fn use_signal(signal: &Signal) -> Result<()> {
    let _ = (signal.kind(), signal.entry_count());
    signal.key("no such key")?;
    for key in 0..signal.key_count() as u32 {
        if signal.key_type() != KeyType::Item {
            signal.key(signal.key_name(key)?)?;
        }
        let (list, by_item) = (signal.list(key)?, signal.by_item(key)?);
        for rank in 0..list.len() {
            let (item, _) = list.get(rank)?;
            if let Some(by_item) = by_item {
                by_item.score(item)?;
            }
        }
    }
    Ok(())
}
