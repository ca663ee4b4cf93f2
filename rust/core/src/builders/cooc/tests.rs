//! Against every pair of every session, and for the same lists whatever the order, the threads and the memory.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::rows::mix;
use super::*;
use crate::NONE;

type Row = (u64, Ordinal, i64, f32);
type Listed = Vec<Vec<(Ordinal, f64)>>;

const N_ITEMS: usize = 12;

fn build(
    rows: &[Row],
    batch: usize,
    params: CoocParams,
    memory_bytes: u64,
    threads: usize,
) -> (Listed, Map<String, Value>) {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        memory_bytes,
        scratch_dir: folder.path().into(),
        threads,
        stop: Stop::default(),
    };
    let pool = limits.pool().unwrap();
    let mut builder = CoocBuilder::new(N_ITEMS, params, limits).unwrap();
    for chunk in rows.chunks(batch) {
        let column = |f: &dyn Fn(&Row) -> u64| chunk.iter().map(f).collect::<Vec<u64>>();
        let items: Vec<u32> = chunk.iter().map(|r| r.1).collect();
        let times: Vec<i64> = chunk.iter().map(|r| r.2).collect();
        let weights: Vec<f32> = chunk.iter().map(|r| r.3).collect();
        builder
            .push(&column(&|r| r.0), &items, &times, &weights)
            .unwrap();
    }
    let mut lists = Vec::new();
    let counts = pool.install(|| {
        let ready = builder.prepare().unwrap();
        ready
            .rank(|list| {
                lists.push(list.to_vec());
                Ok(())
            })
            .unwrap();
        ready.counts
    });
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    (lists, counts)
}

/// The definition, word for word: O(n^2) in the events of a session.
fn naive(rows: &[Row], params: CoocParams) -> Listed {
    let mut sessions: BTreeMap<u64, BTreeMap<Ordinal, (f64, Vec<i64>)>> = BTreeMap::new();
    for (session, item, ts, weight) in rows {
        let entry = sessions
            .entry(mix(*session))
            .or_default()
            .entry(*item)
            .or_insert((0.0, vec![]));
        entry.0 = entry.0.max(f64::from(*weight));
        entry.1.push(*ts);
    }
    let n = |a: usize| -> f64 {
        sessions
            .values()
            .filter_map(|s| s.get(&(a as u32)))
            .map(|(w, _)| w * w)
            .sum()
    };
    let mut lists = Vec::new();
    for a in 0..N_ITEMS {
        let mut list = Vec::new();
        for b in (0..N_ITEMS).filter(|b| *b != a) {
            let (mut sum, mut support) = (0.0, 0);
            for session in sessions.values() {
                let (Some(x), Some(y)) = (session.get(&(a as u32)), session.get(&(b as u32)))
                else {
                    continue;
                };
                let close = params.window_ms.is_none_or(|w| {
                    x.1.iter()
                        .any(|s| y.1.iter().any(|t| s.abs_diff(*t) <= w as u64))
                });
                if close {
                    sum += x.0 * y.0;
                    support += 1;
                }
            }
            if support == 0 || support < params.min_support {
                continue;
            }
            let score = match params.normalization {
                Normalization::Count => sum,
                Normalization::Cosine => sum / (n(a).sqrt() * n(b).sqrt()),
                Normalization::Jaccard => sum / (n(a) + n(b) - sum),
                Normalization::Lift => sum * sessions.len() as f64 / (n(a) * n(b)),
                Normalization::Confidence => sum / n(a),
            };
            list.push((b as u32, f64::from(score as f32)));
        }
        list.sort_by(|x, y| y.1.total_cmp(&x.1).then(x.0.cmp(&y.0)));
        list.truncate(params.top_n);
        lists.push(list);
    }
    lists
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let weight = prop_oneof![Just(vec![1.0f32]), Just(vec![0.1f32, 1.0, 2.5, 7.0])];
    (
        proptest::collection::vec(
            (0u64..25, 0u32..N_ITEMS as u32, 0i64..40, 0usize..4),
            0..250,
        ),
        weight,
    )
        .prop_map(|(rows, weights)| {
            rows.into_iter()
                .map(|(s, i, t, w)| (s, i, t, weights[w % weights.len()]))
                .collect()
        })
}

fn params() -> impl Strategy<Value = CoocParams> {
    let normalization = prop_oneof![
        Just(Normalization::Count),
        Just(Normalization::Cosine),
        Just(Normalization::Jaccard),
        Just(Normalization::Lift),
        Just(Normalization::Confidence)
    ];
    (
        normalization,
        proptest::option::of(0i64..15),
        1u32..4,
        1usize..14,
    )
        .prop_map(
            |(normalization, window_ms, min_support, top_n)| CoocParams {
                normalization,
                window_ms,
                sequence: None,
                min_support,
                top_n,
                max_items_per_session: N_ITEMS,
            },
        )
}

proptest! {
    #[test]
    fn lists_are_those_of_the_definition(rows in rows(), params in params()) {
        prop_assert_eq!(build(&rows, 1000, params, 1 << 24, 2).0, naive(&rows, params));
    }

    #[test]
    fn order_batches_memory_and_threads_change_nothing(
        (rows, shuffled) in rows().prop_flat_map(|r| (Just(r.clone()), Just(r).prop_shuffle())),
        mut params in params(), cap in 2usize..12, batch in 1usize..100, memory in 0u64..4000, threads in 1usize..4,
    ) {
        params.max_items_per_session = cap;
        let expected = build(&rows, 1000, params, 1 << 24, 1);
        prop_assert_eq!(build(&shuffled, batch, params, memory, threads), expected);
    }
}

/// Sequences of rows that all weigh 1, or do not.
const SEQUENCE: CoocParams = CoocParams {
    normalization: Normalization::Confidence,
    sequence: Some(Sequence {
        decay: 0.8,
        max_distance: 3,
    }),
    ..ALL
};

proptest! {
    #[test]
    fn order_batches_memory_and_threads_change_no_sequence(
        (rows, shuffled) in rows().prop_flat_map(|r| (Just(r.clone()), Just(r).prop_shuffle())),
        cap in 2usize..12, batch in 1usize..100, memory in 0u64..4000, threads in 1usize..4,
    ) {
        let params = CoocParams { max_items_per_session: cap, ..SEQUENCE };
        let expected = build(&rows, 1000, params, 1 << 24, 1);
        prop_assert_eq!(build(&shuffled, batch, params, memory, threads), expected);
    }
}

#[test]
fn what_is_kept_of_a_time_takes_half_of_its_room_and_weights_of_1_none() {
    let (events, header) = (31u64, 1);
    for (weight, params, bytes_per_event) in [
        (1.0, ALL, 4),
        (2.0, ALL, 8),
        (1.0, SEQUENCE, 8),
        (2.0, SEQUENCE, 12),
        (
            1.0,
            CoocParams {
                window_ms: Some(2),
                ..ALL
            },
            8,
        ),
        (
            2.0,
            CoocParams {
                window_ms: Some(2),
                ..ALL
            },
            12,
        ),
    ] {
        let limits = Limits {
            memory_bytes: 1 << 20,
            scratch_dir: std::env::temp_dir(),
            threads: 1,
            stop: Stop::default(),
        };
        let params = CoocParams {
            max_items_per_session: 100,
            ..params
        };
        let mut builder = CoocBuilder::new(100, params, limits).unwrap();
        for i in 0..events {
            builder
                .push(&[1], &[i as u32], &[i as i64], &[weight])
                .unwrap();
        }
        let ready = builder.prepare().unwrap();
        assert_eq!(
            ready.sessions.bytes(),
            (events + header) * bytes_per_event,
            "{params:?}"
        );
    }
}

#[test]
fn a_build_that_is_asked_to_stop_ends_before_it_has_grouped_or_ranked() {
    let stop = Stop::default();
    let builder = || {
        let limits = Limits {
            memory_bytes: 1 << 20,
            scratch_dir: std::env::temp_dir(),
            threads: 1,
            stop: stop.clone(),
        };
        let mut builder = CoocBuilder::new(N_ITEMS, ALL, limits).unwrap();
        builder
            .push(&[1, 1], &[0, 1], &[0, 0], &[1.0, 1.0])
            .unwrap();
        builder
    };
    let ready = builder().prepare().unwrap();
    let grouping = builder();
    stop.ask();
    assert!(matches!(grouping.prepare(), Err(Error::Stopped)));
    assert!(matches!(ready.rank(|_| Ok(())), Err(Error::Stopped)));
}

#[test]
fn sessions_and_postings_share_half_of_the_bound() {
    let bound = 1 << 30;
    for sixteenths in 0..=7 {
        let sessions = bound / 16 * sixteenths;
        let postings = postings_bytes(bound, sessions);
        assert!(sessions + postings <= bound / 2, "{sixteenths}");
        assert!((bound / 16..=bound / 4).contains(&postings), "{sixteenths}");
    }
    assert_eq!(postings_bytes(bound, bound), bound / 16);
    assert_eq!(postings_bytes(0, 100), 0);
}

const ALL: CoocParams = CoocParams {
    normalization: Normalization::Count,
    window_ms: None,
    sequence: None,
    min_support: 1,
    top_n: 100,
    max_items_per_session: 4,
};

#[test]
fn a_heavy_session_is_sampled_and_counted() {
    for window_ms in [None, Some(1000)] {
        let rows: Vec<Row> = (0..10).map(|i| (7, i, i64::from(i), 1.0)).collect();
        let (lists, counts) = build(&rows, 3, CoocParams { window_ms, ..ALL }, 1 << 20, 2);
        assert_eq!(counts["heavy_sessions"], 1);
        assert_eq!(counts["dropped_by_cap"], 6);
        let kept: BTreeSet<usize> = (0..N_ITEMS).filter(|i| !lists[*i].is_empty()).collect();
        assert_eq!(kept.len(), 4);
        assert!(kept.iter().all(|i| lists[*i].len() == 3));
    }
}

#[test]
fn unknown_items_and_zero_weights_are_left_out_and_counted() {
    let rows = [
        (1, 0, 0, 1.0),
        (1, NONE, 0, 1.0),
        (1, 2, 0, 0.0),
        (1, 3, 0, 1.0),
    ];
    let (lists, counts) = build(&rows, 10, ALL, 1 << 20, 1);
    assert_eq!(lists[0], [(3, 1.0)]);
    assert_eq!(
        (&counts["unknown_items"], &counts["zero_weights"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn bad_rows_and_parameters_are_named() {
    let limits = Limits {
        memory_bytes: 0,
        scratch_dir: "/".into(),
        threads: 1,
        stop: Stop::default(),
    };
    let error = CoocBuilder::new(1, CoocParams { top_n: 0, ..ALL }, limits.clone()).unwrap_err();
    assert_eq!(error.to_string(), "top_n: must be 1 or more");
    let mut builder = CoocBuilder::new(3, ALL, limits).unwrap();
    for (item, weight, message) in [
        (3, 1.0, "row 0: ordinal 3, the catalog has 3 items"),
        (0, -1.0, "row 0: weight -1 is not 0 or from 1e-6 to 1e6"),
        (
            0,
            f32::NAN,
            "row 0: weight NaN is not 0 or from 1e-6 to 1e6",
        ),
    ] {
        assert_eq!(
            builder
                .push(&[1], &[item], &[0], &[weight])
                .unwrap_err()
                .to_string(),
            message
        );
    }
    let error = builder.push(&[1, 2], &[0], &[0], &[1.0]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "columns differ in length: sessions 2, ordinals 1, ts_ms 1, weights 1"
    );
}
