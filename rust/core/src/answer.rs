//! [`Answer`]: the response body of a ranked list and the line of its exposure, made together.

use crate::catalog::Catalog;
use crate::error::Result;
use crate::exposure::Frame;
use crate::json::push_json;
use crate::rank::Ranked;

/// What most places of a list take, in a body and in an exposure.
const BYTES_PER_PLACE: [usize; 2] = [96, 64];

/// What a list is answered and logged with.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The request.
    pub request_id: &'a str,
    /// The pseudonym of the user.
    pub user: &'a str,
    /// When the list was served, in Unix microseconds.
    pub at_us: u64,
    /// How long it took, in milliseconds.
    pub latency_ms: f64,
    /// The JSON members with which `meta` and the context of the exposure both begin.
    pub members: &'a [u8],
    /// The JSON members of `meta` after the request id, each after a comma.
    pub meta: &'a [u8],
    /// The JSON members of the context after `members`, each after a comma.
    pub context: &'a [u8],
    /// The warnings, a JSON array.
    pub warnings: &'a [u8],
}

impl Answer<'_> {
    /// The body of `recsys.contracts.http.ListResponse`.
    pub fn body(&self, ranked: &Ranked, catalog: &Catalog) -> Result<Vec<u8>> {
        let around = 128 + self.members.len() + self.meta.len() + self.warnings.len();
        let mut out = Vec::with_capacity(around + ranked.items.len() * BYTES_PER_PLACE[0]);
        out.extend_from_slice(b"{\"items\":");
        ranked.encode(catalog, true, 1, &mut out)?;
        out.extend_from_slice(b",\"meta\":{");
        out.extend_from_slice(self.members);
        out.extend_from_slice(b",\"request_id\":");
        push_json(self.request_id, &mut out);
        out.extend_from_slice(self.meta);
        out.extend_from_slice(b"},\"warnings\":");
        out.extend_from_slice(self.warnings);
        out.push(b'}');
        Ok(out)
    }

    /// The line of the exposure, newline and all.
    pub fn exposure(&self, ranked: &Ranked, catalog: &Catalog) -> Result<Vec<u8>> {
        let frame = Frame {
            request_id: self.request_id,
            user: self.user,
            at_us: self.at_us,
            context: &[self.members, self.context],
            latency_ms: self.latency_ms,
            is_error: false,
        };
        let around = 256 + self.members.len() + self.context.len();
        let mut out = Vec::with_capacity(around + ranked.items.len() * BYTES_PER_PLACE[1]);
        frame.push_before(&mut out);
        ranked.encode(catalog, false, 1, &mut out)?;
        frame.push_after(&mut out);
        Ok(out)
    }
}
