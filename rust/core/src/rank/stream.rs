//! [`Stream`]: one long list, pulled item by item.

use crate::Ordinal;
use crate::error::Result;
use crate::signal::{ByItem, List};

/// A list longer than this is streamed if it can be asked by item; a shorter one is cheaper to scan.
pub const STREAM_OVER: usize = 512;

/// One long list: read in order, and asked for single items.
#[derive(Debug)]
pub struct Stream<'p> {
    /// The source it belongs to.
    pub source: usize,
    list: List<'p>,
    by_item: ByItem<'p>,
    position: usize,
    first: f64,
    /// The next entry, if there is one.
    next: Option<(Ordinal, f64)>,
    /// Ranks of the boosted items on the list, ascending, if the plan knows them.
    boosted: Option<&'p [u32]>,
    boosted_position: usize,
    /// The next boosted entry if `boosted` is known, else the same as `next`.
    boosted_next: Option<(Ordinal, f64)>,
}

impl<'p> Stream<'p> {
    /// A stream at the start of `list`.
    pub fn new(
        source: usize,
        list: List<'p>,
        by_item: ByItem<'p>,
        boosted: Option<&'p [u32]>,
    ) -> Result<Self> {
        let mut stream = Self {
            source,
            list,
            by_item,
            position: 0,
            first: 0.0,
            next: None,
            boosted,
            boosted_position: 0,
            boosted_next: None,
        };
        stream.advance()?;
        if boosted.is_some() {
            stream.advance_boosted()?;
        }
        stream.first = stream.next.map_or(0.0, |(_, raw)| raw);
        Ok(stream)
    }

    /// Its largest value.
    pub fn first(&self) -> f64 {
        self.first
    }

    /// Whether everything on the list was given.
    pub fn is_finished(&self) -> bool {
        self.next.is_none()
    }

    /// What the list says of `item`.
    #[inline]
    pub fn value(&self, item: Ordinal) -> Result<Option<f64>> {
        self.by_item.score(item)
    }

    /// The next items, as they are in the file.
    pub fn coming(&self, most: usize) -> impl Iterator<Item = Ordinal> + Clone {
        let items = self.list.items().iter().skip(self.position);
        items.take(most).copied()
    }

    /// Goes on to the next entry.
    pub fn advance(&mut self) -> Result<()> {
        self.next = if self.position < self.list.len() {
            Some(self.list.get(self.position)?)
        } else {
            None
        };
        self.position += 1;
        if self.boosted.is_none() {
            self.boosted_next = self.next;
        }
        Ok(())
    }

    /// Goes on to the next boosted entry; to the next one of all if the boosted ones are not known.
    pub fn advance_boosted(&mut self) -> Result<()> {
        let Some(ranks) = self.boosted else {
            return self.advance();
        };
        self.boosted_next = match ranks.get(self.boosted_position) {
            Some(rank) => Some(self.list.get(*rank as usize)?),
            None => None,
        };
        self.boosted_position += 1;
        Ok(())
    }
}

/// Which items a bound is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Those that no rule raises.
    Plain,
    /// Those that some rule does.
    Boosted,
}

impl Class {
    /// The next entry of the class.
    pub fn next<'s>(self, stream: &'s Stream<'_>) -> Option<&'s (Ordinal, f64)> {
        match self {
            Self::Plain => stream.next.as_ref(),
            Self::Boosted => stream.boosted_next.as_ref(),
        }
    }
}
