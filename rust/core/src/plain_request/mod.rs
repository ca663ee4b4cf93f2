//! [`PlainRequest`]: the body of a request for a list that asks for nothing special, read in one pass.
//!
//! [`Reader`] answers `None` for whatever it is not sure of: text that needs unescaping, members that change how a list
//! is made or told, values out of bounds, ids that may look personal. The caller then decodes the body in full, which
//! also says what is wrong with it. What is read here means the same there.

use std::ops::Range;

use crate::rank::Request;

mod reader;
#[cfg(test)]
mod tests;

pub use reader::{Limits, Reader};

/// A text of the body, by its place.
type Span = Range<usize>;

/// What a body asks for. Its texts stay in the body.
#[derive(Clone, Debug)]
pub struct PlainRequest {
    body: String,
    surface: Span,
    segment: Option<Span>,
    user: Option<Span>,
    locale: Option<Span>,
    device: Option<Span>,
    country: Option<Span>,
    k: Option<usize>,
    anchors: Vec<Span>,
    exclude: Vec<Span>,
    required_tags: Vec<Span>,
    forbidden_tags: Vec<Span>,
}

impl PlainRequest {
    /// The surface.
    pub fn surface(&self) -> &str {
        self.at(&self.surface)
    }

    /// The segment, if it is given.
    pub fn segment(&self) -> Option<&str> {
        self.segment.as_ref().map(|span| self.at(span))
    }

    /// The id that stands for the user, if one is given.
    pub fn user(&self) -> Option<&str> {
        self.user.as_ref().map(|span| self.at(span))
    }

    /// Locale, device and country, as far as they are given.
    pub fn context(&self) -> [Option<&str>; 3] {
        [&self.locale, &self.device, &self.country].map(|label| label.as_ref().map(|s| self.at(s)))
    }

    /// The length that is asked for, if it is given.
    pub fn k(&self) -> Option<usize> {
        self.k
    }

    /// What to rank: a list of `k` at `now_ms` for the key `user`.
    pub fn ranking<'a>(&'a self, k: usize, now_ms: i64, user: &'a str) -> Request<'a> {
        let texts = |spans: &'a [Span]| spans.iter().map(|span| self.at(span)).collect();
        Request {
            k,
            now_ms,
            user: Some(user),
            anchors: texts(&self.anchors),
            exclude: texts(&self.exclude),
            required_tags: texts(&self.required_tags),
            forbidden_tags: texts(&self.forbidden_tags),
            ..Request::default()
        }
    }

    fn at(&self, span: &Span) -> &str {
        &self.body[span.clone()]
    }
}
