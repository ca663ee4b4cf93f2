//! Lists that somebody else computed: ranked, counted, and refused where they make no sense.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;

use recsys_core::builders::SignalPacker;
use recsys_core::catalog::Catalog;
use recsys_core::signal::{KeyType, Signal};
use serde_json::Map;

fn catalog(folder: &Path) -> Catalog {
    let path = folder.join("catalog");
    support::write_catalog(&path).unwrap();
    Catalog::open(&path).unwrap()
}

fn list(signal: &Signal, key: u32) -> Vec<(u32, f64)> {
    let list = signal.list(key).unwrap();
    (0..list.len()).map(|i| list.get(i).unwrap()).collect()
}

#[test]
fn lists_are_ranked_by_score_then_ordinal_whatever_the_order_of_rows() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(folder.path());
    let ids: Vec<&str> = (0..3).map(|i| catalog.id(i).unwrap()).collect();
    let mut digests = Vec::new();
    for order in [[0, 1, 2], [2, 0, 1]] {
        let mut packer = SignalPacker::new("custom", KeyType::User);
        for i in order {
            packer
                .push(&catalog, "u", &[ids[i]], &[[-0.0, 0.0, 1.5][i]])
                .unwrap();
        }
        let built = packer
            .finish(&folder.path().join("signal"), &catalog, Map::new())
            .unwrap();
        digests.push(built.sha256);
    }
    assert_eq!(digests[0], digests[1]);
    let signal = Signal::open(&folder.path().join("signal")).unwrap();
    signal.verify().unwrap();
    let key = signal.key("u").unwrap().unwrap();
    assert_eq!(list(&signal, key), [(2, 1.5), (0, 0.0), (1, 0.0)]);
}

#[test]
fn scores_that_single_precision_cannot_hold_stay_exact() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(folder.path());
    let mut packer = SignalPacker::new("custom", KeyType::Segment);
    packer
        .push(&catalog, "web", &[catalog.id(1).unwrap()], &[0.1])
        .unwrap();
    packer
        .finish(&folder.path().join("signal"), &catalog, Map::new())
        .unwrap();
    let signal = Signal::open(&folder.path().join("signal")).unwrap();
    let key = signal.key("web").unwrap().unwrap();
    assert_eq!(list(&signal, key), [(1, 0.1)]);
    assert_eq!(
        signal.by_item(key).unwrap().unwrap().score(1).unwrap(),
        Some(0.1)
    );
}

#[test]
fn what_the_catalog_does_not_have_is_counted_and_a_repeated_item_refused() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(folder.path());
    let known = catalog.id(0).unwrap();
    let mut packer = SignalPacker::new("custom", KeyType::Item);
    packer
        .push(&catalog, known, &["no such item"], &[1.0])
        .unwrap();
    packer
        .push(&catalog, "no such item", &[known], &[1.0])
        .unwrap();
    assert_eq!(packer.unknown_items(), 1);
    let path = folder.path().join("signal");
    let built = packer.finish(&path, &catalog, Map::new()).unwrap();
    assert_eq!(
        (&built.counts["rows"], &built.counts["unknown_keys"]),
        (&0.into(), &1.into())
    );

    let mut packer = SignalPacker::new("custom", KeyType::Item);
    packer
        .push(&catalog, known, &[known, known], &[1.0, 2.0])
        .unwrap();
    let error = packer.finish(&path, &catalog, Map::new()).unwrap_err();
    assert!(
        error.to_string().contains("comes more than once"),
        "{error}"
    );
    assert!(packer_refuses(&catalog, known, f64::NAN) && packer_refuses(&catalog, "", 1.0));
}

fn packer_refuses(catalog: &Catalog, key: &str, score: f64) -> bool {
    let mut packer = SignalPacker::new("custom", KeyType::Item);
    packer
        .push(catalog, key, &[catalog.id(0).unwrap_or_default()], &[score])
        .is_err()
}
