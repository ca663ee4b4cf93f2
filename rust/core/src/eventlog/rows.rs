//! Columns of records, and the identity of a record's content.

use std::borrow::Cow;
use std::collections::HashMap;

use bytemuck::cast_slice;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// The context key that is left out of [`Context`]: a clock may differ in every request.
const CLOCK: &str = "now";

/// A column of strings: `ends[i]` is where the text of row `i` ends.
#[derive(Debug, Default)]
pub struct Strings {
    /// Cumulative lengths, a 0 before them.
    pub offsets: Vec<i32>,
    /// All texts, one after the other.
    pub bytes: Vec<u8>,
    is_kept: bool,
}

impl Strings {
    fn new(is_kept: bool) -> Self {
        Self {
            offsets: vec![0],
            bytes: Vec::new(),
            is_kept,
        }
    }

    pub(super) fn push(&mut self, text: &str) {
        if self.is_kept {
            self.bytes.extend_from_slice(text.as_bytes());
            self.offsets.push(self.bytes.len() as i32);
        }
    }
}

/// A context without its clock, and the hash by which rows name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// What rows have in their `context` column.
    pub id: u64,
    /// Its keys and values, in order of keys.
    pub pairs: Vec<(String, String)>,
}

/// The rows of one piece; columns that the role does not have stay empty.
#[derive(Debug, Default)]
pub struct Rows {
    /// The 128-bit hash of the request id, in two halves.
    pub request: [Vec<u64>; 2],
    /// The 128-bit hash of the whole content, in two halves.
    pub content: [Vec<u64>; 2],
    /// The hash of the user id.
    pub user: Vec<u64>,
    /// Unix microseconds.
    pub ts: Vec<i64>,
    /// The id of the context, 0 for none.
    pub context: Vec<u64>,
    /// Milliseconds, NaN for none.
    pub latency_ms: Vec<f64>,
    /// 0, 1, or 2 for none.
    pub error: Vec<u8>,
    /// Where the list of each row ends in the columns of items, a 0 before.
    pub list_offsets: Vec<i32>,
    /// Hashes of the item ids: of all lists one after the other, or one a row.
    pub items: Vec<u64>,
    /// Ranks, as `items`.
    pub rank: Vec<i64>,
    /// Propensity, logging and target propensity, as `items`; NaN for none.
    pub propensities: [Vec<f64>; 3],
    /// 1 for a conversion, 0 for a click.
    pub is_conversion: Vec<u8>,
    /// The value of an outcome, NaN for none.
    pub value: Vec<f64>,
    /// Texts, empty unless they were asked for.
    pub request_ids: Strings,
    /// See `request_ids`.
    pub user_ids: Strings,
    /// See `request_ids`.
    pub item_ids: Strings,
    /// The experiment of an assignment.
    pub experiment_id: Strings,
    /// Its arm.
    pub variant: Strings,
    contexts: HashMap<u64, Vec<(String, String)>>,
    scratch: Vec<u8>,
}

/// Keys and values of a context, in order of keys.
pub(super) type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

impl Rows {
    pub(super) fn new(with_names: bool) -> Self {
        Self {
            list_offsets: vec![0],
            request_ids: Strings::new(with_names),
            user_ids: Strings::new(with_names),
            item_ids: Strings::new(with_names),
            experiment_id: Strings::new(true),
            variant: Strings::new(true),
            ..Self::default()
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ts.is_empty()
    }

    /// The columns that are not empty, by name, as little-endian bytes.
    pub fn columns(&self) -> Vec<(&'static str, &[u8])> {
        let strings = [
            ("request_id_offsets", "request_id", &self.request_ids),
            ("user_id_offsets", "user_id", &self.user_ids),
            ("item_id_offsets", "item_id", &self.item_ids),
            (
                "experiment_id_offsets",
                "experiment_id",
                &self.experiment_id,
            ),
            ("variant_offsets", "variant", &self.variant),
        ];
        let mut columns: Vec<(&'static str, &[u8])> = vec![
            ("r1", cast_slice(&self.request[0])),
            ("r2", cast_slice(&self.request[1])),
            ("c1", cast_slice(&self.content[0])),
            ("c2", cast_slice(&self.content[1])),
            ("usr", cast_slice(&self.user)),
            ("ts", cast_slice(&self.ts)),
            ("ctx", cast_slice(&self.context)),
            ("latency_ms", cast_slice(&self.latency_ms)),
            ("error", &self.error),
            ("list_offsets", cast_slice(&self.list_offsets)),
            ("item", cast_slice(&self.items)),
            ("rank", cast_slice(&self.rank)),
            ("propensity", cast_slice(&self.propensities[0])),
            ("logging_propensity", cast_slice(&self.propensities[1])),
            ("target_propensity", cast_slice(&self.propensities[2])),
            ("is_conversion", &self.is_conversion),
            ("value", cast_slice(&self.value)),
        ];
        for (offsets, name, texts) in strings {
            columns.push((offsets, cast_slice(&texts.offsets)));
            columns.push((name, &texts.bytes));
        }
        columns.retain(|(_, bytes)| !bytes.is_empty());
        columns
    }

    pub(super) fn end_list(&mut self) {
        self.list_offsets.push(self.items.len() as i32);
    }

    pub(super) fn take_contexts(&mut self) -> impl Iterator<Item = Context> + use<> {
        std::mem::take(&mut self.contexts)
            .into_iter()
            .map(|(id, pairs)| Context { id, pairs })
    }
}

/// Gathers what a record says in one canonical form, whose hash tells equal records.
pub(super) struct Content(Vec<u8>);

impl Content {
    /// Begins a record with what all of them have, which goes into the rows; the caller adds the rest to both.
    pub(super) fn begin(rows: &mut Rows, request_id: &str, user_id: &str, ts_us: i64) -> Self {
        let mut content = Self(std::mem::take(&mut rows.scratch));
        content.0.clear();
        content.text(request_id);
        content.text(user_id);
        content.number(ts_us as u64);
        push_halves(&mut rows.request, xxh3_128(request_id.as_bytes()));
        rows.user.push(xxh3_64(user_id.as_bytes()));
        rows.ts.push(ts_us);
        rows.request_ids.push(request_id);
        rows.user_ids.push(user_id);
        content
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// -0 and 0 are one number; absence is none.
    pub(super) fn optional(&mut self, value: Option<f64>) {
        self.0.push(u8::from(value.is_some()));
        if let Some(value) = value {
            self.number(if value == 0.0 { 0 } else { value.to_bits() });
        }
    }

    /// Adds a context to content and rows; the clock counts as content but not for the context's id.
    pub(super) fn context(&mut self, pairs: Option<Pairs<'_>>, rows: &mut Rows) {
        let id = match pairs {
            None => {
                self.number(u64::MAX);
                0
            }
            Some(pairs) => self.given_context(pairs, rows),
        };
        rows.context.push(id);
    }

    fn given_context(&mut self, mut pairs: Pairs<'_>, rows: &mut Rows) -> u64 {
        self.number(pairs.len() as u64);
        if let Some(place) = pairs.iter().position(|(key, _)| key == CLOCK) {
            let (key, value) = pairs.remove(place);
            self.text(&key);
            self.text(&value);
        }
        let start = self.0.len();
        for (key, value) in &pairs {
            self.text(key);
            self.text(value);
        }
        if pairs.is_empty() {
            return 0;
        }
        let id = xxh3_64(&self.0[start..]);
        rows.contexts.entry(id).or_insert_with(|| {
            let pairs = pairs.into_iter();
            pairs
                .map(|(key, value)| (key.into_owned(), value.into_owned()))
                .collect()
        });
        id
    }

    pub(super) fn finish(self, rows: &mut Rows) {
        push_halves(&mut rows.content, xxh3_128(&self.0));
        rows.scratch = self.0;
    }
}

fn push_halves(column: &mut [Vec<u64>; 2], hash: u128) {
    column[0].push((hash >> 64) as u64);
    column[1].push(hash as u64);
}
