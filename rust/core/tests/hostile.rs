//! Files that lie: each is refused when it is opened, verified or used, by an error that names file and section.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;

use recsys_core::catalog::{Catalog, Row, build};
use recsys_core::sessions::SessionIndex;
use recsys_core::signal::Signal;
use recsys_core::{Error, verify};

/// Sections of which no byte can be another one while the rest stays as it is.
const STRUCTURE: [&str; 15] = [
    "id.off", "id.dat", "id.idx", "itag.off", "itag", "tagi.off", "tagi", "newest", "key.idx",
    "by.item", "by.score", "ses.off", "ses.item", "item.off", "item.ses",
];

fn samples(folder: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let path = |name| folder.join(name);
    support::write_catalog(&path("catalog")).unwrap();
    let catalog = Catalog::open(&path("catalog")).unwrap();
    support::write_neighbours(&path("neighbours"), &catalog).unwrap();
    support::write_popularity(&path("popularity"), &catalog).unwrap();
    support::write_sessions(&path("sessions"), &catalog).unwrap();
    ["catalog", "neighbours", "popularity", "sessions"]
        .map(|name| (name, std::fs::read(path(name)).unwrap()))
        .into()
}

/// Verifies and uses the bytes as a file; verification must refuse them, use may not panic.
fn refuse(folder: &Path, bytes: &[u8], what: &str) -> Error {
    let path = folder.join("hostile");
    std::fs::write(&path, bytes).unwrap();
    let used = support::use_everything(&path);
    let error = verify(&path).expect_err(what);
    for message in [Some(error.to_string()), used.err().map(|e| e.to_string())]
        .into_iter()
        .flatten()
    {
        assert!(
            message.starts_with(&*path.to_string_lossy()),
            "{what}: {message}"
        );
    }
    error
}

#[test]
fn every_truncated_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in samples(folder.path()) {
        for length in 0..bytes.len() {
            if length % 7 == 0 || length < 128 || length + 64 > bytes.len() {
                refuse(
                    folder.path(),
                    &bytes[..length],
                    &format!("{name} cut to {length} bytes"),
                );
            }
        }
        let longer = [&bytes[..], &[0; 64]].concat();
        let error = refuse(folder.path(), &longer, "longer");
        assert!(matches!(error, Error::Length { .. }), "{error}");
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in samples(folder.path()) {
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            refuse(
                folder.path(),
                &damaged,
                &format!("{name} with bit {} of byte {at} flipped", at % 8),
            );
        }
    }
}

#[test]
fn a_damaged_section_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in samples(folder.path()) {
        for (section, start, length) in support::sections(&bytes) {
            for at in [start, start + length.saturating_sub(1)] {
                if length > 0 {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= 0x80;
                    let message =
                        refuse(folder.path(), &damaged, &format!("{name}/{section}")).to_string();
                    assert!(
                        message.contains(&format!("hostile: {section}: ")),
                        "{message}"
                    );
                }
            }
        }
    }
}

#[test]
fn wrong_values_behind_right_checksums_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in samples(folder.path()) {
        for (section, start, length) in support::sections(&bytes) {
            // Names, prices, times and scores can be others and still be sound; these sections follow from the rest.
            let follows = STRUCTURE.contains(&section.as_str());
            for at in start..start + length {
                for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at] ^ 1] {
                    let mut damaged = bytes.clone();
                    damaged[at] = value;
                    if damaged == bytes {
                        continue;
                    }
                    support::reseal(&mut damaged);
                    let what = format!("{name}/{section}+{} = {value}", at - start);
                    let path = folder.path().join("hostile");
                    std::fs::write(&path, &damaged).unwrap();
                    let used = support::use_everything(&path);
                    match verify(&path) {
                        Ok(_) => assert!(!follows && used.is_ok(), "{what} was not noticed"),
                        Err(e) => assert!(
                            e.to_string().starts_with(&*path.to_string_lossy()),
                            "{what}: {e}"
                        ),
                    }
                }
            }
        }
    }
}

#[test]
fn a_score_that_is_not_finite_is_refused_when_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let (_, bytes) = samples(folder.path()).remove(1);
    for (section, start, _) in support::sections(&bytes) {
        if section == "scores" || section == "by.score" {
            for score in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut damaged = bytes.clone();
                damaged[start..start + 4].copy_from_slice(&score.to_le_bytes());
                support::reseal(&mut damaged);
                std::fs::write(folder.path().join("hostile"), &damaged).unwrap();
                let error = support::use_everything(&folder.path().join("hostile"))
                    .unwrap_err()
                    .to_string();
                assert!(
                    error.contains(&format!("hostile: {section}: the score of item")),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn numbers_of_sessions_and_frequencies_that_cannot_be_are_refused_when_they_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let (_, bytes) = samples(folder.path()).remove(3);
    let path = folder.path().join("hostile");
    for (section, value, expected) in [
        ("item.ses", 3, "item.ses: session 3 of 3 sessions"),
        ("ses.item", 4, "ses.item: session 0 has item 4 of 4 items"),
        ("item.ses", 2, "item.ses: session 2 comes after session 2"),
    ] {
        let mut damaged = bytes.clone();
        let (_, start, _) = support::sections(&bytes)
            .into_iter()
            .find(|(name, ..)| name == section)
            .unwrap();
        damaged[start] = value;
        support::reseal(&mut damaged);
        std::fs::write(&path, &damaged).unwrap();
        let error = support::use_everything(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("hostile: {expected}")), "{error}");
        assert!(verify(&path).is_err());
    }
    for idf in [f64::NAN, f64::INFINITY] {
        let mut damaged = bytes.clone();
        let (_, start, _) = support::sections(&bytes)
            .into_iter()
            .find(|(name, ..)| name == "idf")
            .unwrap();
        damaged[start..start + 8].copy_from_slice(&idf.to_le_bytes());
        support::reseal(&mut damaged);
        std::fs::write(&path, &damaged).unwrap();
        let error = support::use_everything(&path).unwrap_err().to_string();
        assert!(
            error.contains("hostile: idf: the one of item 0 is"),
            "{error}"
        );
        assert!(verify(&path).is_err());
    }
}

#[test]
fn other_versions_types_and_catalogs_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = samples(folder.path());
    let mut newer = files[0].1.clone();
    newer[8] = 2;
    support::reseal(&mut newer);
    assert!(matches!(
        refuse(folder.path(), &newer, "newer"),
        Error::Version {
            found: 2,
            supported: 1,
            ..
        }
    ));
    assert!(matches!(
        refuse(folder.path(), b"PAR1 and so on, for a while", "foreign"),
        Error::NotAnArtifact { .. }
    ));
    assert!(matches!(
        Signal::open(&folder.path().join("catalog")),
        Err(Error::WrongType { .. })
    ));
    for name in ["popularity", "sessions"] {
        assert!(matches!(
            Catalog::open(&folder.path().join(name)),
            Err(Error::WrongType { .. })
        ));
    }
    assert!(matches!(
        SessionIndex::open(&folder.path().join("popularity")),
        Err(Error::WrongType { .. })
    ));

    let other = folder.path().join("other");
    build(
        &other,
        vec![Row {
            id: "apple".into(),
            ..Row::default()
        }],
        serde_json::Map::new(),
    )
    .unwrap();
    let signal = Signal::open(&folder.path().join("popularity")).unwrap();
    let refused = signal.check_catalog(&Catalog::open(&other).unwrap());
    assert!(matches!(refused, Err(Error::OtherCatalog { .. })));
    let sessions = SessionIndex::open(&folder.path().join("sessions")).unwrap();
    let refused = sessions.check_catalog(&Catalog::open(&other).unwrap());
    assert!(matches!(refused, Err(Error::OtherCatalog { .. })));
    assert!(matches!(
        Catalog::open(folder.path()),
        Err(Error::Io { .. })
    ));
}
