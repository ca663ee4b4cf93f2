//! [`Sessions`]: the items of every session, sessions in order of their key; `group` makes them.

use super::scratch::Column;
use crate::Ordinal;
use crate::mapping::prefetch;

/// What is kept of a session beside its items. A time takes 8 bytes; what is asked of it fits in 4 or fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Detail {
    /// A weight for each item or event; without, every one is 1.
    pub(super) has_weights: bool,
    pub(super) moments: Moments,
}

/// What is kept of the times of a session's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moments {
    /// Nothing: the items are distinct and ascending.
    Nothing,
    /// When the last event was; the items are distinct and ascending.
    Last,
    /// The items are those of the events in order of time, and each has the number of its step: the events of one moment
    /// are one step.
    Steps,
    /// The items are those of the events in order of time, and each has the number of the first event that is at most so
    /// many milliseconds before it.
    Window(u64),
}

impl Moments {
    /// Whether events are kept in order of time, in which an item may come again.
    pub(super) fn are_ordered(self) -> bool {
        matches!(self, Self::Steps | Self::Window(_))
    }
}

/// The items of all sessions, as [`Moments`] says.
///
/// A session is one stretch of the columns: a header, which in `items` is the number of events, the events, and zeros
/// up to the next multiple of [`UNIT`]. So one number, where it begins in units, finds all of it with one cache miss.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) items: Column<Ordinal>,
    pub(super) weights: Column<f32>,
    /// Steps, or the first events of windows.
    pub(super) marks: Column<u32>,
    /// One for each session: the time of its last event.
    pub(super) last_ms: Column<i64>,
    pub(super) len: u64,
    /// Sessions over the cap.
    pub(super) heavy: u64,
    /// Items that the cap dropped, each counted once a session.
    pub(super) dropped: u64,
}

/// Sessions begin at multiples of this many elements.
pub(super) const UNIT: usize = 4;
/// Items of a cache line.
const ITEMS_PER_LINE: usize = 64 / size_of::<Ordinal>();
/// Sessions that are asked for before they are needed.
const AHEAD: usize = 16;

/// One session of [`Sessions`]; `weights` and `marks` are empty if they are not kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session<'a> {
    pub(super) items: &'a [Ordinal],
    pub(super) weights: &'a [f32],
    pub(super) marks: &'a [u32],
}

impl Session<'_> {
    /// The weight of an item or event.
    #[inline]
    pub(super) fn weight(&self, at: usize) -> f64 {
        self.weights.get(at).map_or(1.0, |w| f64::from(*w))
    }
}

impl Sessions {
    /// How many sessions there are.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of all columns, mapped ones too: their pages count as memory of the process while they are read.
    pub(super) fn bytes(&self) -> u64 {
        self.items.bytes() + self.weights.bytes() + self.marks.bytes() + self.last_ms.bytes()
    }

    /// The time of every session's last event, in order of session; empty if it is not kept.
    pub(super) fn last_ms(&self) -> &[i64] {
        self.last_ms.as_slice()
    }

    /// Borrows the columns, for loops that look at many sessions.
    pub(super) fn view(&self) -> View<'_> {
        View {
            items: self.items.as_slice(),
            weights: self.weights.as_slice(),
            marks: self.marks.as_slice(),
            mean_items: self.items.as_slice().len() as f64 / self.len.max(1) as f64,
        }
    }
}

/// The columns of [`Sessions`].
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    items: &'a [Ordinal],
    weights: &'a [f32],
    marks: &'a [u32],
    mean_items: f64,
}

impl<'a> View<'a> {
    /// The items of the session that begins at `unit`.
    #[inline]
    pub(super) fn items(&self, unit: u32) -> &'a [Ordinal] {
        let start = unit as usize * UNIT + 1;
        &self.items[start..start + self.items[start - 1] as usize]
    }

    /// The session that begins at `unit`.
    #[inline]
    pub(super) fn session(&self, unit: u32) -> Session<'a> {
        let items = self.items(unit);
        let start = unit as usize * UNIT + 1;
        let end = start + items.len();
        Session {
            items,
            weights: self.weights.get(start..end).unwrap_or(&[]),
            marks: self.marks.get(start..end).unwrap_or(&[]),
        }
    }

    /// Every session in order, and where it begins.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Session<'a>)> + '_ {
        let mut next = 0;
        std::iter::from_fn(move || {
            if next as usize * UNIT >= self.items.len() {
                return None;
            }
            let unit = next;
            let session = self.session(unit);
            next += (session.items.len() + 1).div_ceil(UNIT) as u32;
            Some((unit, session))
        })
    }

    /// The sessions that begin at `units`. Sessions lie far apart, so those to come are asked for in time.
    #[inline]
    pub(super) fn each(&self, units: &'a [u32]) -> impl Iterator<Item = Session<'a>> + '_ {
        for &unit in units.iter().take(AHEAD) {
            self.prefetch(unit);
        }
        units.iter().enumerate().map(|(i, &unit)| {
            if let Some(&unit) = units.get(i + AHEAD) {
                self.prefetch(unit);
            }
            self.session(unit)
        })
    }

    /// Asks for the first two cache lines of a session, which is all of most.
    #[inline]
    fn prefetch(&self, unit: u32) {
        let start = unit as usize * UNIT;
        prefetch(self.items, start);
        prefetch(self.items, start + ITEMS_PER_LINE);
    }

    /// Events of a session on average, the header and the room after them included.
    pub(super) fn mean_items(&self) -> f64 {
        self.mean_items
    }
}
