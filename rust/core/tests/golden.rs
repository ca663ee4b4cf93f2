//! The bytes of the format: files written today are those that were committed, and the committed ones still open.
//! A change of the format needs a new version number; `WRITE_GOLDEN=1` then writes the files anew.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};

use recsys_core::catalog::Catalog;
use recsys_core::sessions::SessionIndex;
use recsys_core::signal::Signal;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn compare(name: &str, write: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    write(&path);
    let bytes = std::fs::read(&path).unwrap();
    if std::env::var_os("WRITE_GOLDEN").is_some() {
        std::fs::write(golden(name), &bytes).unwrap();
    }
    assert!(
        bytes == std::fs::read(golden(name)).unwrap(),
        "{name}: the bytes of the format changed"
    );
}

#[test]
fn the_bytes_of_a_catalog_are_those_of_version_1() {
    compare("catalog.v1.bin", |path| {
        support::write_catalog(path).unwrap();
    });
}

#[test]
fn the_bytes_of_signals_and_of_a_session_index_are_those_of_version_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog");
    support::write_catalog(&path).unwrap();
    let catalog = Catalog::open(&path).unwrap();
    compare("neighbours.v1.bin", |path| {
        support::write_neighbours(path, &catalog).unwrap();
    });
    compare("popularity.v1.bin", |path| {
        support::write_popularity(path, &catalog).unwrap();
    });
    compare("sessions.v1.bin", |path| {
        support::write_sessions(path, &catalog).unwrap();
    });
}

#[test]
fn committed_files_open_verify_and_belong_together() {
    let catalog = Catalog::open(&golden("catalog.v1.bin")).unwrap();
    catalog.verify().unwrap();
    assert_eq!(catalog.ordinal("brötchen").unwrap(), Some(1));
    assert_eq!(catalog.newest(), [1, 2, 3, 0]);
    for (name, key, expected) in [
        ("neighbours.v1.bin", 0, (2, 0.75)),
        ("popularity.v1.bin", 1, (1, 0.1)),
    ] {
        let signal = Signal::open(&golden(name)).unwrap();
        signal.verify().unwrap();
        signal.check_catalog(&catalog).unwrap();
        assert_eq!(signal.list(key).unwrap().get(0).unwrap(), expected);
        let report = recsys_core::verify(&golden(name)).unwrap();
        assert_eq!(report["type"], "signal");
    }
    let index = SessionIndex::open(&golden("sessions.v1.bin")).unwrap();
    index.verify().unwrap();
    index.check_catalog(&catalog).unwrap();
    assert_eq!(index.items(2).unwrap(), [0, 1, 2]);
    assert_eq!(index.sessions(2).unwrap(), [0, 1]);
    assert_eq!(index.idf(0).unwrap(), 1.5f64.ln());
}
