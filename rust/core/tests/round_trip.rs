//! What is written is what is read, and the order in which it comes does not matter.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use recsys_core::catalog::{Catalog, Row, build};
use recsys_core::signal::{KeyType, Signal, SignalWriter, Spec};
use recsys_core::{Error, NONE, Ordinal};
use serde_json::Map;

fn text() -> impl Strategy<Value = String> {
    "[a-dü日]{1,3}"
}

fn row() -> impl Strategy<Value = Row> {
    (
        (
            prop::option::of("[a-z ]{0,6}"),
            prop::collection::vec(text(), 0..4),
        ),
        (prop::option::of(text()), prop::option::of(text())),
        prop::option::of(-1e6..1e6f64),
        (
            prop::option::of(-9i64..9),
            prop::option::of(any::<i64>().prop_filter("no time", |t| *t != i64::MIN)),
        ),
        any::<bool>(),
    )
        .prop_map(
            |((title, tags), (brand, category), price, (created, valid), available)| Row {
                id: String::new(),
                title: title.filter(|t| !t.is_empty()),
                tags,
                brand,
                category,
                price,
                created_at_ms: created,
                valid_until_ms: valid,
                available,
            },
        )
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::btree_map("[a-cé]{1,4}", row(), 0..30).prop_map(|rows| {
        rows.into_iter()
            .map(|(id, row)| Row { id, ..row })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_catalog_gives_back_its_rows_whatever_their_order(rows in rows(), seed in any::<u64>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog");
        let digest = build(&path, rows.clone(), Map::new()).unwrap();
        let mut shuffled = rows.clone();
        shuffled.sort_by_key(|r| xxhash_rust::xxh3::xxh3_64_with_seed(r.id.as_bytes(), seed));
        prop_assert_eq!(&digest, &build(&folder.path().join("again"), shuffled, Map::new()).unwrap());

        let catalog = Catalog::open(&path).unwrap();
        catalog.verify().unwrap();
        prop_assert_eq!(catalog.len(), rows.len());
        for (row, item) in rows.iter().zip(0..) {
            prop_assert_eq!(catalog.ordinal(&row.id).unwrap(), Some(item));
            prop_assert_eq!(catalog.id(item).unwrap(), &row.id);
            prop_assert_eq!(catalog.title(item).unwrap(), row.title.as_deref());
            let tags: BTreeSet<&str> = catalog.tags(item).unwrap().iter().map(|t| catalog.tag(*t).unwrap()).collect();
            prop_assert_eq!(&tags, &row.tags.iter().map(String::as_str).collect());
            for tag in tags {
                let code = catalog.find_tag(tag).unwrap().unwrap();
                prop_assert!(catalog.tagged(code).unwrap().contains(&item));
            }
            let brand = Some(catalog.brand(item)).filter(|c| *c != NONE).map(|c| catalog.brand_name(c).unwrap());
            prop_assert_eq!(brand, row.brand.as_deref());
            let category = Some(catalog.category(item)).filter(|c| *c != NONE);
            prop_assert_eq!(category.map(|c| catalog.category_name(c).unwrap()), row.category.as_deref());
            prop_assert_eq!(catalog.price(item), row.price);
            prop_assert_eq!(catalog.created_at_ms(item), row.created_at_ms);
            prop_assert_eq!(catalog.valid_until_ms(item), row.valid_until_ms);
            prop_assert_eq!(catalog.is_available(item), row.available);
            let servable = row.available && row.valid_until_ms.is_none_or(|until| 5 < until);
            prop_assert_eq!(catalog.is_servable(item, 5), servable);
        }
        let mut newest: Vec<Ordinal> = (0..rows.len() as Ordinal).collect();
        newest.sort_by_key(|i| std::cmp::Reverse(rows[*i as usize].created_at_ms));
        prop_assert_eq!(catalog.newest(), newest);
        prop_assert_eq!(catalog.ordinal("no such item").unwrap(), None);
        prop_assert!(catalog.id(rows.len() as Ordinal).is_err());
    }

    #[test]
    fn a_signal_gives_back_its_lists(
        lists in prop::collection::btree_map(text(), prop::collection::btree_map(0u32..40, -4i32..4, 0..40), 0..12),
        wide_scores: bool,
        by_item: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let catalog = small_catalog(folder.path(), 40);
        let path = folder.path().join("signal");
        let keys = lists.keys().cloned().collect();
        let spec = Spec { kind: "implicit".into(), key_type: KeyType::User, wide_scores, by_item, keys };
        let mut writer = SignalWriter::create(&path, &catalog, spec).unwrap();
        for list in lists.values() {
            writer.push_list(&ranked(list)).unwrap();
        }
        writer.finish(Map::new()).unwrap();

        let signal = Signal::open(&path).unwrap();
        signal.verify().unwrap();
        signal.check_catalog(&catalog).unwrap();
        prop_assert_eq!((signal.kind(), signal.key_count()), ("implicit", lists.len()));
        for ((name, list), key) in lists.iter().zip(0..) {
            prop_assert_eq!(signal.key(name).unwrap(), Some(key));
            prop_assert_eq!(signal.key_name(key).unwrap(), name);
            let found = signal.list(key).unwrap();
            let found: Vec<_> = (0..found.len()).map(|i| found.get(i).unwrap()).collect();
            prop_assert_eq!(found, ranked(list));
            let columns = signal.by_item(key).unwrap();
            prop_assert_eq!(columns.is_some(), by_item);
            for item in (0..41).filter(|_| by_item) {
                let expected = list.get(&item).map(|score| f64::from(*score) / 4.0);
                prop_assert_eq!(columns.unwrap().score(item).unwrap(), expected);
            }
        }
        prop_assert!(signal.list(lists.len() as u32).is_err());
    }
}

fn ranked(list: &BTreeMap<Ordinal, i32>) -> Vec<(Ordinal, f64)> {
    let mut list: Vec<_> = list
        .iter()
        .map(|(item, score)| (*item, f64::from(*score) / 4.0))
        .collect();
    list.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    list
}

fn small_catalog(folder: &std::path::Path, len: usize) -> Catalog {
    let rows = (0..len)
        .map(|i| Row {
            id: format!("{i:03}"),
            available: true,
            ..Row::default()
        })
        .collect();
    build(&folder.join("catalog"), rows, Map::new()).unwrap();
    Catalog::open(&folder.join("catalog")).unwrap()
}

#[test]
fn rows_that_cannot_be_kept_are_refused_by_id() {
    let folder = tempfile::tempdir().unwrap();
    let row = |id: &str| Row {
        id: id.into(),
        ..Row::default()
    };
    for (rows, expected) in [
        (
            vec![row("a"), row("b"), row("a")],
            "item `a`: the id is there twice",
        ),
        (vec![row("")], "item ``: the id is empty"),
        (
            vec![Row {
                price: Some(f64::NAN),
                ..row("a")
            }],
            "item `a`: the price is not a finite number",
        ),
        (
            vec![Row {
                tags: vec![String::new()],
                ..row("a")
            }],
            "item `a`: a tag is empty",
        ),
        (
            vec![Row {
                created_at_ms: Some(i64::MIN),
                ..row("a")
            }],
            "item `a`: a time is out of range",
        ),
    ] {
        let error = build(&folder.path().join("catalog"), rows, Map::new()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "a refused build leaves nothing behind"
    );
}

#[test]
fn lists_that_cannot_be_kept_are_refused_by_key() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = small_catalog(folder.path(), 3);
    let spec = Spec {
        kind: "popularity".into(),
        key_type: KeyType::Segment,
        wide_scores: false,
        by_item: false,
        keys: vec!["all".into()],
    };
    let create = |spec: Spec| SignalWriter::create(&folder.path().join("signal"), &catalog, spec);
    let lists: [(&[(Ordinal, f64)], &str); 7] = [
        (&[(0, 1.0), (1, 2.0)], "item 1 does not rank after item 0"),
        (&[(1, 1.0), (0, 1.0)], "item 0 does not rank after item 1"),
        (&[(1, 2.0), (1, 1.0)], "item 1 is there twice"),
        (&[(3, 1.0)], "item 3 of 3 items"),
        (
            &[(0, f64::NAN)],
            "the score of item 0 is NaN, not within 1e100",
        ),
        (
            &[(0, -1e101)],
            "the score of item 0 is -1e101, not within 1e100",
        ),
        (
            &[(0, 1e100)],
            "the score of item 0 is over single precision",
        ),
    ];
    for (list, expected) in lists {
        let error = create(spec.clone())
            .unwrap()
            .push_list(list)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            format!("signal `popularity`: list of key `all`: {expected}")
        );
    }
    let short = create(spec.clone())
        .unwrap()
        .finish(Map::new())
        .unwrap_err()
        .to_string();
    assert_eq!(short, "signal `popularity`: 0 lists for its 1 keys");
    for keys in [
        vec!["b".to_owned(), "a".into()],
        vec!["a".to_owned(), "a".into()],
        vec![String::new()],
    ] {
        assert!(matches!(
            create(Spec {
                keys,
                ..spec.clone()
            }),
            Err(Error::Build(_))
        ));
    }
}

#[test]
fn items_whose_scores_become_equal_in_single_precision_are_kept_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = small_catalog(folder.path(), 3);
    let path = folder.path().join("signal");
    let spec = Spec {
        kind: "cooc".into(),
        key_type: KeyType::Segment,
        wide_scores: false,
        by_item: true,
        keys: vec!["a".into()],
    };
    let mut writer = SignalWriter::create(&path, &catalog, spec).unwrap();
    writer.push_list(&[(2, 1.0 + 1e-12), (0, 1.0)]).unwrap();
    writer.finish(Map::new()).unwrap();
    let signal = Signal::open(&path).unwrap();
    signal.verify().unwrap();
    assert_eq!(signal.list(0).unwrap().items(), [0, 2]);
}
