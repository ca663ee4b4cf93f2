//! [`SessionIndex`]: past sessions, searched at request time for those like the current one (session nearest neighbours).
//!
//! A session's number is its place in order of recency, 0 for the latest, so numbers alone tell which of two is later and
//! no time is kept. Each session has its items, each item its latest sessions and its inverse document frequency.
//! [`SessionIndexWriter`] writes one: all sessions, then the sessions of all items.

mod verify;
mod write;

use std::path::Path;

use crate::Ordinal;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::format::{Artifact, Ragged, Section, Type};
use crate::mapping::prefetch;
use crate::signal::is_score;

pub use write::SessionIndexWriter;

/// What it measures: the `artifact_type` of every session index.
pub const KIND: &str = "session_knn";
/// Ordinals of a cache line.
const LINE: usize = 64 / size_of::<Ordinal>();
/// Cache lines of an item's sessions to ask for at once; the processor asks for the others by itself.
const LATEST_LINES: usize = 4;

/// A mapped session index.
#[derive(Debug)]
pub struct SessionIndex {
    artifact: Artifact,
    ids_digest: String,
    item_count: usize,
    session_count: usize,
    sessions_per_item: usize,
    rows_of_sessions: Ragged,
    items: Section<u32>,
    rows_of_items: Ragged,
    sessions: Section<u32>,
    idf: Section<f64>,
}

impl SessionIndex {
    /// Maps `path`; header, table, metadata and section lengths are checked, values when they are used.
    pub fn open(path: &Path) -> Result<Self> {
        let a = Artifact::open(path, Type::Sessions)?;
        a.expect_text("artifact_type", KIND)?;
        let [item_count, session_count] = [a.number("n_items")?, a.number("n_sessions")?];
        if session_count >= u32::MAX as usize {
            let reason = format!("`n_sessions` is {session_count}, which is too many");
            return Err(Error::corrupt(path, "meta", reason));
        }
        let [entry_count, posting_count] = [a.number("n_entries")?, a.number("n_postings")?];
        Ok(Self {
            ids_digest: a.digest("ids_digest")?,
            item_count,
            session_count,
            sessions_per_item: a.number("sessions_per_item")?,
            rows_of_sessions: Ragged::open(&a, "ses.off", session_count, entry_count)?,
            items: a.section("ses.item", Some(entry_count))?,
            rows_of_items: Ragged::open(&a, "item.off", item_count, posting_count)?,
            sessions: a.section("item.ses", Some(posting_count))?,
            idf: a.section("idf", Some(item_count))?,
            artifact: a,
        })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        self.artifact.path()
    }

    /// How many items its catalog has.
    pub fn item_count(&self) -> usize {
        self.item_count
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.session_count
    }

    /// How many (session, item) there are.
    pub fn entry_count(&self) -> usize {
        self.artifact.slice(&self.items).len()
    }

    /// Most sessions that it kept of an item.
    pub fn sessions_per_item(&self) -> usize {
        self.sessions_per_item
    }

    /// Digest of the ids of the catalog that its ordinals belong to.
    pub fn ids_digest(&self) -> &str {
        &self.ids_digest
    }

    /// The metadata block.
    pub fn metadata(&self) -> &serde_json::Map<String, serde_json::Value> {
        self.artifact.metadata()
    }

    /// Checks that the ordinals belong to `catalog`.
    pub fn check_catalog(&self, catalog: &Catalog) -> Result<()> {
        catalog.check_owner(self.path(), &self.ids_digest, self.item_count)
    }

    /// Maps the file, the first time that it is called.
    pub fn populate(&self) {
        self.artifact.populate();
    }

    /// Asks for where the sessions of an item are.
    #[inline]
    pub fn prefetch_row(&self, item: Ordinal) {
        self.rows_of_items.prefetch(&self.artifact, item);
    }

    /// Asks for the latest sessions of an item.
    #[inline]
    pub fn prefetch_latest(&self, item: Ordinal) {
        let start = self.rows_of_items.start(&self.artifact, item);
        if let Some(start) = start.filter(|_| (item as usize) < self.item_count) {
            let sessions = self.artifact.slice(&self.sessions);
            for line in 0..LATEST_LINES {
                prefetch(sessions, start.saturating_add(line * LINE));
            }
        }
    }

    /// Asks for the first two cache lines of a session's items, which is all of most.
    #[inline]
    pub fn prefetch(&self, session: u32) {
        let items = self.artifact.slice(&self.items);
        if let Some(start) = self.rows_of_sessions.start(&self.artifact, session) {
            prefetch(items, start);
            prefetch(items, start.saturating_add(LINE));
        }
    }

    /// How many items a session has, as far as its ends can be right: 0 where they cannot.
    #[inline]
    pub fn length(&self, session: u32) -> usize {
        let range = self.rows_of_sessions.range(&self.artifact, session);
        range.map_or(0, |range| range.len())
    }

    /// Asks for the inverse document frequency of an item.
    #[inline]
    pub fn prefetch_idf(&self, item: Ordinal) {
        prefetch(self.artifact.slice(&self.idf), item as usize);
    }

    /// The items of a session, ascending; an error if there is no such session, or an item that the catalog does not
    /// have. In a file that was never verified they may come in any order.
    #[inline]
    pub fn items(&self, session: u32) -> Result<&[Ordinal]> {
        if session as usize >= self.session_count {
            let reason = format!("session {session} of {} sessions", self.session_count);
            return Err(self.corrupt("item.ses", reason));
        }
        let range = self.rows_of_sessions.range(&self.artifact, session)?;
        let items: &[u32] = self.artifact.slice(&self.items).get(range).unwrap_or(&[]);
        // No early exit, so that the loop is vectorised.
        let largest = items.iter().fold(0, |largest, item| largest.max(*item));
        if largest as usize >= self.item_count && !items.is_empty() {
            let reason = format!(
                "session {session} has item {largest} of {} items",
                self.item_count
            );
            return Err(self.corrupt("ses.item", reason));
        }
        Ok(items)
    }

    /// The latest sessions of an item, latest first, which is ascending; an error if there is no such item. In a file that
    /// was never verified they may be any numbers in any order.
    #[inline]
    pub fn sessions(&self, item: Ordinal) -> Result<&[u32]> {
        let range = self.rows_of_items.range(&self.artifact, item)?;
        Ok(self
            .artifact
            .slice(&self.sessions)
            .get(range)
            .unwrap_or(&[]))
    }

    /// `ln(sessions / sessions with the item)`, 0 for an item in none; an error if it cannot be that.
    #[inline]
    pub fn idf(&self, item: Ordinal) -> Result<f64> {
        match self.artifact.slice(&self.idf).get(item as usize) {
            Some(idf) if is_score(*idf) => Ok(*idf),
            other => {
                let reason = format!("the one of item {item} is {other:?}");
                Err(self.corrupt("idf", reason))
            }
        }
    }

    /// Checks every checksum, offset, ordinal, order and frequency.
    pub fn verify(&self) -> Result<()> {
        verify::verify(self)
    }

    /// A value in a section that cannot be right.
    #[cold]
    pub fn corrupt(&self, section: &str, reason: String) -> Error {
        Error::corrupt(self.path(), section, reason)
    }
}
