//! From the words of a request to the numbers of a plan.

use super::plan::{Origin, Plan, Source};
use super::request::Request;
use crate::error::Result;
use crate::signal::KeyType;
use crate::{NONE, Ordinal};

/// The anchors in order, each once; [`NONE`] for one that the catalog does not know. On the way, what the sources say of
/// them is asked for.
pub fn distinct_anchors(
    plan: &Plan,
    weights: &[f64],
    request: &Request<'_>,
) -> Result<Vec<Ordinal>> {
    let lookup = plan.catalog.look_up(&request.anchors);
    let guesses = lookup.guesses();
    let sources = || plan.sources.iter().zip(weights);
    let origins = || sources().filter(|(_, w)| **w > 0.0).map(|(s, _)| &s.origin);
    for origin in origins() {
        for guess in &guesses {
            match origin {
                Origin::Lists(signal) if signal.key_type() == KeyType::Item => {
                    signal.prefetch_row(*guess);
                }
                Origin::Sessions(index, _) => index.prefetch_row(*guess),
                Origin::Lists(_) => {}
            }
        }
    }
    lookup.prefetch(&guesses);
    let mut anchors = Vec::with_capacity(request.anchors.len());
    for (i, (id, anchor)) in request.anchors.iter().zip(lookup.positions()).enumerate() {
        let anchor = anchor?.unwrap_or(NONE);
        let is_repeat = if anchor == NONE {
            request.anchors[..i].contains(id)
        } else {
            anchors.contains(&anchor)
        };
        if !is_repeat {
            anchors.push(anchor);
        }
    }
    for origin in origins() {
        for anchor in anchors.iter().filter(|anchor| **anchor != NONE) {
            match origin {
                Origin::Lists(signal) if signal.key_type() == KeyType::Item => {
                    signal.prefetch_start(*anchor);
                }
                Origin::Sessions(index, _) => index.prefetch_latest(*anchor),
                Origin::Lists(_) => {}
            }
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
