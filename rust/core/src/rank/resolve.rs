//! From the words of a request to the numbers of a plan.

use super::plan::{Plan, Source};
use super::request::Request;
use crate::error::Result;
use crate::{NONE, Ordinal};

/// The anchors in order, each once; [`NONE`] for one that the catalog does not know.
pub fn distinct_anchors(plan: &Plan, request: &Request<'_>) -> Result<Vec<Ordinal>> {
    let mut anchors = Vec::with_capacity(request.anchors.len());
    plan.catalog.touch_ids(&request.anchors);
    for (i, id) in request.anchors.iter().enumerate() {
        let anchor = plan.catalog.ordinal(id)?.unwrap_or(NONE);
        let is_repeat = if anchor == NONE {
            request.anchors[..i].contains(id)
        } else {
            anchors.contains(&anchor)
        };
        if !is_repeat {
            anchors.push(anchor);
        }
    }
    Ok(anchors)
}

/// The weight of each source in this request.
pub fn weights(plan: &Plan, request: &Request<'_>) -> Vec<f64> {
    let weight = |source: &Source| match request.weights {
        Some(groups) => groups[source.group as usize],
        None => source.weight,
    };
    plan.sources.iter().map(weight).collect()
}
