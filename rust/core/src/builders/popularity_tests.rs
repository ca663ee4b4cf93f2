//! Popularity against its formula, and the same lists whatever the order, batches and memory.

use proptest::prelude::*;

use super::super::Stop;
use super::*;

type Row = (u32, Ordinal, i64, f64);
const SEGMENTS: [&str; 4] = ["web", "default", "app", "zoo"];

fn build(
    rows: &[Row],
    batch: usize,
    memory_bytes: u64,
    threads: usize,
) -> BTreeMap<String, Vec<(Ordinal, f64)>> {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        memory_bytes,
        scratch_dir: folder.path().into(),
        threads,
        stop: Stop::default(),
    };
    let mut builder = PopularityBuilder::new(100, 1000, Some(70.0), limits).unwrap();
    for chunk in rows.chunks(batch) {
        let codes: Vec<u32> = chunk.iter().map(|r| r.0).collect();
        let items: Vec<u32> = chunk.iter().map(|r| r.1).collect();
        let times: Vec<i64> = chunk.iter().map(|r| r.2).collect();
        let weights: Vec<f64> = chunk.iter().map(|r| r.3).collect();
        builder
            .push(&SEGMENTS, &codes, &items, &times, &weights)
            .unwrap();
    }
    builder.put_aside().unwrap();
    let lists = SEGMENTS
        .iter()
        .map(|s| ((*s).to_owned(), builder.list(s).unwrap()))
        .collect();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    lists
}

proptest! {
    #[test]
    fn sums_are_those_of_the_definition_in_any_order(
        (rows, shuffled) in proptest::collection::vec((0u32..4, 0u32..100, 0i64..1100, 0.0f64..9.0), 0..300)
            .prop_flat_map(|r| (Just(r.clone()), Just(r).prop_shuffle())),
        batch in 1usize..50, threads in 1usize..4,
    ) {
        let built = build(&rows, 1000, 1 << 30, 1);
        prop_assert_eq!(&build(&shuffled, batch, 0, threads), &built);
        for (number, segment) in SEGMENTS.iter().enumerate() {
            let mut expected = [0.0; 100];
            for (code, item, ts, weight) in &rows {
                if *segment == DEFAULT_SEGMENT || *code as usize == number {
                    expected[*item as usize] += weight * (-((1000 - ts).max(0) as f64) / 70.0).exp2();
                }
            }
            let list = &built[*segment];
            prop_assert_eq!(list.len(), expected.iter().filter(|e| **e > 0.0).count());
            for (item, score) in list {
                prop_assert!((score - expected[*item as usize]).abs() < 1e-12 * score.max(1.0));
            }
        }
    }
}

#[test]
fn bad_rows_are_named() {
    let limits = Limits {
        memory_bytes: 0,
        scratch_dir: "/".into(),
        threads: 1,
        stop: Stop::default(),
    };
    assert!(PopularityBuilder::new(3, 0, Some(0.0), limits.clone()).is_err());
    let mut builder = PopularityBuilder::new(3, 0, None, limits).unwrap();
    for (code, item, weight, message) in [
        (1, 0, 1.0, "row 0: segment code 1, there are 1 segments"),
        (0, 3, 1.0, "row 0: ordinal 3, the catalog has 3 items"),
        (0, 0, -1.0, "row 0: weight -1 is not from 0 to 1e12"),
        (0, 0, f64::NAN, "row 0: weight NaN is not from 0 to 1e12"),
    ] {
        let error = builder
            .push(&["a"], &[code], &[item], &[0], &[weight])
            .unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    assert!(builder.push(&[""], &[], &[], &[], &[]).is_err());
}
