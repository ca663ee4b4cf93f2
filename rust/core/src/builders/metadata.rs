//! What a builder adds to the caller's metadata: `params` and `counts`.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Puts a builder's own `params` and `counts` into the caller's metadata; a caller's other keys in them are kept.
pub(super) fn extend(
    metadata: &mut Map<String, Value>,
    params: Map<String, Value>,
    counts: &Map<String, Value>,
) -> Result<()> {
    for (name, own) in [("params", params), ("counts", counts.clone())] {
        let entry = metadata
            .entry(name)
            .or_insert_with(|| Value::Object(Map::new()));
        match entry {
            Value::Object(object) => object.extend(own),
            _ => return Err(Error::Build(format!("metadata: `{name}` is not an object"))),
        }
    }
    Ok(())
}

/// An object of names and values.
pub(super) fn object<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
