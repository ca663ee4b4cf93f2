//! [`verify`]: everything that can be said against a file, and a report if there is nothing.

use std::path::Path;

use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::format::{Artifact, Type, file_sha256};
use crate::sessions::SessionIndex;
use crate::signal::Signal;

/// Checks every byte of an artifact of any type; gives `{path, type, bytes, sha256, sections: [{name, bytes, checksum}],
/// metadata}`, checksums in hex.
pub fn verify(path: &Path) -> Result<Value> {
    let (artifact, code) = Artifact::open_any(path)?;
    let type_name = if code == Type::Catalog as u32 {
        Catalog::open(path)?.verify()?;
        Type::Catalog.name()
    } else if code == Type::Signal as u32 {
        Signal::open(path)?.verify()?;
        Type::Signal.name()
    } else if code == Type::Sessions as u32 {
        SessionIndex::open(path)?.verify()?;
        Type::Sessions.name()
    } else {
        return Err(Error::WrongType {
            path: path.to_owned(),
            expected: "catalog, signal or session index",
            found: Type::describe(code),
        });
    };
    let sections: Vec<Value> = artifact
        .sections()
        .map(|(name, bytes, checksum)| {
            json!({"name": name, "bytes": bytes, "checksum": format!("{checksum:016x}")})
        })
        .collect();
    Ok(json!({
        "path": path.to_string_lossy(),
        "type": type_name,
        "bytes": artifact.bytes(),
        "sha256": file_sha256(path)?,
        "sections": sections,
        "metadata": artifact.metadata(),
    }))
}
