//! [`Frame`]: the line of an exposure around the items that were shown, byte for byte as its record is encoded.

use crate::eventlog::time;
use crate::json::push_json;

/// What an exposure says beside its items.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The request.
    pub request_id: &'a str,
    /// The pseudonym of the user.
    pub user: &'a str,
    /// When the list was served, in Unix microseconds from 0 to the end of the year 9999.
    pub at_us: u64,
    /// The members of the context as JSON, without its braces, in pieces.
    pub context: &'a [&'a [u8]],
    /// How long the list took.
    pub latency_ms: f64,
    /// Whether it could not be made.
    pub is_error: bool,
}

impl Frame<'_> {
    /// Appends the line up to its items.
    pub fn push_before(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(b"{\"request_id\":");
        push_json(self.request_id, line);
        line.extend_from_slice(b",\"user_id\":");
        push_json(self.user, line);
        line.extend_from_slice(b",\"ts\":\"");
        time::write(self.at_us, line);
        line.extend_from_slice(b"\",\"items\":");
    }

    /// Appends the line after its items, and its end.
    pub fn push_after(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(b",\"context\":{");
        for members in self.context {
            line.extend_from_slice(members);
        }
        line.extend_from_slice(b"},\"latency_ms\":");
        line.extend_from_slice(ryu::Buffer::new().format(self.latency_ms).as_bytes());
        line.extend_from_slice(b",\"error\":");
        line.extend_from_slice(if self.is_error { b"true" } else { b"false" });
        line.extend_from_slice(b"}\n");
    }
}
