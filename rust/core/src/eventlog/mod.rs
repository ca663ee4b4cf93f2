//! Logs of event records, read at the speed of the disk: from lines of JSON to columns that can be joined.
//!
//! A [`Scanner`] takes blocks of whole lines of one [`Role`] and gives [`Rows`] per piece of a block, pieces being
//! scanned in parallel. It is the quick way through the records that logs consist of, and says nothing about
//! what is wrong with a line: a line that is not surely sound is named as [`Doubt`], and the caller looks at it with
//! a validator that explains. Whatever is accepted here, that validator accepts too.
//!
//! Requests, users, items and whole records are identified by XXH3 of their text or content (128 bits where they
//! are compared over a whole log, 64 where within one request); contexts, of which a log has few different ones,
//! are given once each, under the hash that the rows name.

mod plain;
mod record;
mod rows;
mod shape;
pub(crate) mod time;

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use memchr::memchr;
use rayon::prelude::*;

pub use rows::{Context, Rows, Strings};

/// Which record the lines of a log are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `exposure.v1`.
    Exposures,
    /// `outcome.v1`.
    Outcomes,
    /// `assignment.v1`.
    Assignments,
    /// `ranklist.v1`.
    Ranklists,
}

impl Role {
    /// The role of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "exposures" => Some(Self::Exposures),
            "outcomes" => Some(Self::Outcomes),
            "assignments" => Some(Self::Assignments),
            "ranklists" => Some(Self::Ranklists),
            _ => None,
        }
    }
}

/// A line to look at: its number and its bytes within the block, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The number of the line within the block.
    pub line: usize,
    /// Where it starts.
    pub start: usize,
    /// Where it ends, its newline included.
    pub end: usize,
    /// Whether its record is among the rows all the same: it has the right shape, but may not make sense.
    pub is_kept: bool,
}

/// What one block holds.
#[derive(Debug, Default)]
pub struct Scanned {
    /// Lines in the block.
    pub lines: usize,
    /// The rows, a set per piece, in the order of the lines.
    pub pieces: Vec<Rows>,
    /// The contexts that no block before had.
    pub contexts: Vec<Context>,
    /// The lines to look at, in order.
    pub doubts: Vec<Doubt>,
}

/// Reads the lines of one log; see the module.
#[derive(Debug)]
pub struct Scanner {
    role: Role,
    oldest_us: i64,
    newest_us: i64,
    with_names: bool,
    seen: Mutex<HashSet<u64>>,
}

/// The least that a piece is worth a thread for, in bytes.
const PIECE_BYTES: usize = 1 << 19;

impl Scanner {
    /// A scanner to which times outside `oldest_us..=newest_us` (Unix microseconds) are doubtful. The texts of ids are
    /// among the rows only `with_names`; their hashes always are.
    pub fn new(role: Role, oldest_us: i64, newest_us: i64, with_names: bool) -> Self {
        Self {
            role,
            oldest_us,
            newest_us,
            with_names,
            seen: Mutex::new(HashSet::new()),
        }
    }

    /// Scans a block of whole lines; only its last may lack the newline.
    pub fn scan(&self, block: &[u8]) -> Scanned {
        let n_pieces = (block.len() / PIECE_BYTES).clamp(1, 4 * rayon::current_num_threads());
        let found: Vec<_> = split(block, n_pieces)
            .into_par_iter()
            .map(|(start, piece)| self.scan_piece(start, piece))
            .collect();
        let mut scanned = Scanned::default();
        for (lines, mut rows, doubts) in found {
            let before = scanned.lines;
            scanned.doubts.extend(doubts.into_iter().map(|doubt| Doubt {
                line: doubt.line + before,
                ..doubt
            }));
            scanned.lines += lines;
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            scanned.contexts.extend(
                rows.take_contexts()
                    .filter(|context| seen.insert(context.id)),
            );
            if !rows.is_empty() {
                scanned.pieces.push(rows);
            }
        }
        scanned
    }

    fn scan_piece(&self, offset: usize, piece: &[u8]) -> (usize, Rows, Vec<Doubt>) {
        let mut rows = Rows::new(self.with_names);
        let mut doubts = Vec::new();
        let mut lines = 0;
        let mut start = 0;
        while start < piece.len() {
            let length = memchr(b'\n', &piece[start..]).map_or(piece.len() - start, |at| at + 1);
            let line = &piece[start..start + length];
            let outcome = record::read(self.role, line, &mut rows);
            let is_sound = outcome.is_some_and(|facts| {
                facts.is_plain && (self.oldest_us..=self.newest_us).contains(&facts.ts_us)
            });
            if !is_sound {
                doubts.push(Doubt {
                    line: lines,
                    start: offset + start,
                    end: offset + start + line.len(),
                    is_kept: outcome.is_some(),
                });
            }
            lines += 1;
            start += line.len();
        }
        (lines, rows, doubts)
    }
}

/// The block in about `n` pieces of whole lines, each with its offset.
fn split(block: &[u8], n: usize) -> Vec<(usize, &[u8])> {
    let mut pieces = Vec::with_capacity(n);
    let mut start = 0;
    for number in 1..=n {
        let wanted = (block.len() * number / n).max(start);
        let end = match memchr(b'\n', &block[wanted..]) {
            Some(length) if number < n => wanted + length + 1,
            _ => block.len(),
        };
        if end > start {
            pieces.push((start, &block[start..end]));
        }
        start = end;
    }
    pieces
}

#[cfg(test)]
mod tests;
