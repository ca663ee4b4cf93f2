//! [`SessionIndexWriter`]: sessions from the latest to the earliest in, then the sessions of each item; one file out.

use std::path::Path;

use serde_json::{Map, Value};

use super::KIND;
use crate::Ordinal;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::format::{Spool, Type, Writer};

/// Writes one session index. Both columns grow on disk, so memory is bounded by the catalog.
#[derive(Debug)]
pub struct SessionIndexWriter {
    writer: Writer,
    ids_digest: String,
    sessions_per_item: usize,
    session_offsets: Spool,
    session_items: Spool,
    entry_count: u64,
    session_count: u32,
    /// Per item: in how many sessions it is.
    frequencies: Vec<u32>,
    item_offsets: Vec<u64>,
    item_sessions: Spool,
}

impl SessionIndexWriter {
    /// Starts an index that will be called `path` and whose ordinals are those of `catalog`; an item keeps its latest
    /// `sessions_per_item` sessions.
    pub fn create(path: &Path, catalog: &Catalog, sessions_per_item: usize) -> Result<Self> {
        if sessions_per_item == 0 {
            return Err(refuse("sessions_per_item: must be 1 or more"));
        }
        let writer = Writer::create(path, Type::Sessions)?;
        let spool = || Spool::create(writer.folder());
        let mut session_offsets = spool()?;
        session_offsets.push(&[0u64])?;
        Ok(Self {
            ids_digest: catalog.ids_digest().to_owned(),
            sessions_per_item,
            session_offsets,
            session_items: spool()?,
            entry_count: 0,
            session_count: 0,
            frequencies: vec![0; catalog.len()],
            item_offsets: vec![0],
            item_sessions: spool()?,
            writer,
        })
    }

    /// Adds the next session, the latest first: two or more items of the catalog, ascending.
    pub fn push_session(&mut self, items: &[Ordinal]) -> Result<()> {
        let number = self.session_count;
        if number == u32::MAX {
            return Err(refuse("too many sessions"));
        }
        let n_items = self.frequencies.len();
        let is_sound = items.len() > 1
            && items.windows(2).all(|pair| pair[0] < pair[1])
            && items.last().is_some_and(|item| (*item as usize) < n_items);
        if !is_sound || self.item_offsets.len() > 1 {
            return Err(refuse(&format!(
                "session {number}: not two or more of the {n_items} items, ascending, before the lists of items"
            )));
        }
        for &item in items {
            self.frequencies[item as usize] += 1;
        }
        self.session_count += 1;
        self.entry_count += items.len() as u64;
        self.session_offsets.push(&[self.entry_count])?;
        self.session_items.push(items)
    }

    /// Per item: how many sessions its list will have.
    pub fn list_lengths(&self) -> Vec<usize> {
        let most = self.sessions_per_item;
        let lengths = self.frequencies.iter().map(|n| (*n as usize).min(most));
        lengths.collect()
    }

    /// Adds the list of the next item: the numbers of its latest sessions, ascending.
    pub fn push_list(&mut self, sessions: &[u32]) -> Result<()> {
        let item = self.item_offsets.len() - 1;
        let expected = self.frequencies.get(item).map(|n| *n as usize);
        let is_sound = expected.map(|n| n.min(self.sessions_per_item)) == Some(sessions.len())
            && sessions.windows(2).all(|pair| pair[0] < pair[1])
            && sessions
                .last()
                .is_none_or(|last| *last < self.session_count);
        if !is_sound {
            return Err(refuse(&format!(
                "item {item}: not a list of its latest sessions"
            )));
        }
        self.item_offsets
            .push(self.item_offsets[item] + sessions.len() as u64);
        self.item_sessions.push(sessions)
    }

    /// Writes the file and returns its hex SHA-256; every item must have had its list, an empty one perhaps.
    ///
    /// `metadata` is kept beside the keys of the format, which replace keys of the same name.
    pub fn finish(mut self, mut metadata: Map<String, Value>) -> Result<String> {
        let (items, lists) = (self.frequencies.len(), self.item_offsets.len() - 1);
        if lists != items {
            return Err(refuse(&format!("{lists} lists for {items} items")));
        }
        for (key, value) in [
            ("artifact_type", Value::from(KIND)),
            ("n_sessions", Value::from(self.session_count)),
            ("n_entries", Value::from(self.entry_count)),
            ("n_postings", Value::from(self.item_offsets[lists])),
            ("n_items", Value::from(items)),
            ("sessions_per_item", Value::from(self.sessions_per_item)),
            ("ids_digest", Value::from(self.ids_digest)),
        ] {
            metadata.insert(key.to_owned(), value);
        }
        self.writer.spooled("ses.off", self.session_offsets)?;
        self.writer.spooled("ses.item", self.session_items)?;
        self.writer.section("item.off", &self.item_offsets)?;
        self.writer.spooled("item.ses", self.item_sessions)?;
        let sessions = self.session_count as usize;
        let frequencies = self.frequencies.iter().map(|n| idf(sessions, *n));
        self.writer
            .section("idf", &frequencies.collect::<Vec<f64>>())?;
        self.writer.finish(&metadata)
    }
}

/// ln(|H| / h) of an item that is in h of the |H| sessions; 0 for one that is in none.
pub(super) fn idf(sessions: usize, frequency: u32) -> f64 {
    if frequency == 0 {
        return 0.0;
    }
    (sessions as f64 / f64::from(frequency)).ln()
}

fn refuse(reason: &str) -> Error {
    Error::Build(format!("session index: {reason}"))
}
