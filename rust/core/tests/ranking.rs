//! What a rank call says is the same however it comes by it.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use recsys_core::catalog::{Catalog, Row, build};
use recsys_core::rank::{Diversity, Drop, Plan, Request, Rules, Rung};

const NOW: i64 = 1_000;
/// More than the items of a tag among which an item is looked for.
const COMMON: usize = 20_000;

/// Items `00000` and so on. All but every third are `common`, every hundredth is `rare`; of every ten one is out of stock,
/// one has expired, one will expire.
fn catalog(folder: &Path) -> Arc<Catalog> {
    let rows = (0..COMMON * 3 / 2).map(|i| Row {
        id: format!("{i:05}"),
        tags: [(i % 3 > 0, "common"), (i % 100 == 0, "rare")]
            .into_iter()
            .filter(|(has, _)| *has)
            .map(|(_, tag)| tag.to_owned())
            .collect(),
        available: i % 10 != 7,
        valid_until_ms: match i % 10 {
            8 => Some(NOW),
            9 => Some(NOW + 1),
            _ => None,
        },
        ..Row::default()
    });
    let path = folder.join("catalog");
    build(&path, rows.collect(), serde_json::Map::new()).unwrap();
    Arc::new(Catalog::open(&path).unwrap())
}

fn may_be_shown(i: usize, forbidden: &[&str]) -> bool {
    let is_common = !i.is_multiple_of(3) && forbidden.contains(&"common");
    let is_rare = i.is_multiple_of(100) && forbidden.contains(&"rare");
    !is_common && !is_rare && !matches!(i % 10, 7 | 8)
}

#[test]
fn forbidden_tags_are_the_same_by_the_tags_of_items_and_by_the_items_of_tags() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(folder.path());
    let newest = Rung::Newest {
        name: "newest".to_owned(),
    };
    let rules = Arc::new(Rules::default());
    let plan = Plan::new(
        Arc::clone(&catalog),
        vec![],
        vec![newest],
        rules,
        1.0,
        Diversity::default(),
    )
    .unwrap();
    for forbidden in [vec![], vec!["rare"], vec!["common"], vec!["rare", "common"]] {
        let request = Request {
            k: 500,
            now_ms: NOW,
            forbidden_tags: forbidden.clone(),
            ..Request::default()
        };
        let ranked = plan.rank(&request).unwrap();
        let found: Vec<usize> = ranked.items.iter().map(|i| i.item as usize).collect();
        let expected = (0..COMMON).filter(|i| may_be_shown(*i, &forbidden));
        assert_eq!(
            found,
            expected.take(500).collect::<Vec<_>>(),
            "{forbidden:?}"
        );
        let read = 0..=found[found.len() - 1];
        let count = |last| read.clone().filter(|i| i % 10 == last).count();
        assert_eq!(ranked.dropped[Drop::Unavailable as usize], count(7));
        assert_eq!(ranked.dropped[Drop::Expired as usize], count(8));
    }
}

#[test]
fn a_catalog_that_was_made_ready_says_the_same_of_every_item_at_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = catalog(folder.path());
    let servable = |now| {
        let items = 0..catalog.len() as u32;
        items
            .map(|i| catalog.is_servable(i, now))
            .collect::<Vec<bool>>()
    };
    let times = [0, NOW - 1, NOW, NOW + 1, NOW + 2];
    let before = times.map(servable);
    catalog.prepare();
    assert_eq!(before, times.map(servable));
}
