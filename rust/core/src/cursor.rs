//! The tokens of a text of JSON that is plainly written.
//!
//! Every method answers `None` for what it does not know (escapes, numbers beyond what is exact, text that is no JSON),
//! which leaves the text to a reader that knows all of JSON.

use std::borrow::Cow;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
/// Digits of an integer that is exact as a float.
const EXACT_DIGITS: usize = 15;

/// A place in a text.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Whether nothing but blanks is left.
    pub fn is_at_end(&mut self) -> bool {
        self.skip_blanks();
        self.at == self.text.len()
    }

    /// An object; `on_value` is told each key and reads its value.
    pub fn object(
        &mut self,
        mut on_value: impl FnMut(&mut Self, &'a str) -> Option<()>,
    ) -> Option<()> {
        self.expect(b'{')?;
        if self.takes(b'}') {
            return Some(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            on_value(self, key)?;
            if !self.takes(b',') {
                return self.expect(b'}');
            }
        }
    }

    /// An array; `on_value` reads each value.
    pub fn array(&mut self, mut on_value: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.expect(b'[')?;
        if self.takes(b']') {
            return Some(());
        }
        loop {
            on_value(self)?;
            if !self.takes(b',') {
                return self.expect(b']');
            }
        }
    }

    /// A string without escapes.
    #[inline]
    pub fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        let end = start + quote_at(self.text.as_bytes().get(start..)?)?;
        self.at = end + 1;
        self.text.get(start..end)
    }

    /// The same, as records hold it.
    pub fn text(&mut self) -> Option<Cow<'a, str>> {
        self.string().map(Cow::Borrowed)
    }

    /// `null`, or what `read` reads.
    pub fn nullable<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.takes_word("null") {
            Some(None)
        } else {
            read(self).map(Some)
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self) -> Option<bool> {
        if self.takes_word("true") {
            return Some(true);
        }
        self.takes_word("false").then_some(false)
    }

    /// An integer from 0 to 15 digits.
    pub fn integer(&mut self) -> Option<i64> {
        let digits = self.number()?;
        let is_plain = digits.len() <= EXACT_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
        is_plain.then(|| of_digits(digits))
    }

    /// A finite number.
    pub fn float(&mut self) -> Option<f64> {
        let text = self.number()?;
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.len() <= EXACT_DIGITS && digits.bytes().all(|b| b.is_ascii_digit()) {
            let size = of_digits(digits) as f64;
            return Some(if digits.len() < text.len() {
                -size
            } else {
                size
            });
        }
        text.parse().ok().filter(|value: &f64| value.is_finite())
    }

    /// The text of a number as JSON writes it: no leading zero or plus, digits on both sides of a point.
    fn number(&mut self) -> Option<&'a str> {
        self.skip_blanks();
        let start = self.at;
        self.takes_byte(b'-');
        let whole = self.digits();
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
            return None;
        }
        if self.takes_byte(b'.') && self.digits().is_empty() {
            return None;
        }
        if self.takes_byte(b'e') || self.takes_byte(b'E') {
            if !self.takes_byte(b'+') {
                self.takes_byte(b'-');
            }
            if self.digits().is_empty() {
                return None;
            }
        }
        self.text.get(start..self.at)
    }

    fn digits(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let n = rest.bytes().take_while(u8::is_ascii_digit).count();
        self.at += n;
        &rest[..n]
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.takes(byte).then_some(())
    }

    #[inline]
    fn takes(&mut self, byte: u8) -> bool {
        self.takes_byte(byte) || {
            self.skip_blanks();
            self.takes_byte(byte)
        }
    }

    #[inline]
    fn takes_byte(&mut self, byte: u8) -> bool {
        let is_there = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn takes_word(&mut self, word: &str) -> bool {
        self.skip_blanks();
        let is_there = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += if is_there { word.len() } else { 0 };
        is_there
    }

    #[inline]
    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.as_bytes().get(self.at) {
            self.at += 1;
        }
    }
}

fn of_digits(digits: &str) -> i64 {
    digits
        .bytes()
        .fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'))
}

/// Where the quote is that ends a string, eight bytes at a time; `None` when an escape or a control character comes
/// before it.
#[inline]
fn quote_at(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(Ok(eight)) = bytes.get(at..at + 8).map(TryInto::try_into) {
        let word = u64::from_le_bytes(eight);
        // The first byte found is right; those after it may be found through its borrow.
        let found =
            (below(word, 0x20) | zero(word ^ (ONES * 0x22)) | zero(word ^ (ONES * 0x5c))) & HIGH;
        if found != 0 {
            at += found.trailing_zeros() as usize / 8;
            return (bytes[at] == b'"').then_some(at);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    let end = rest
        .iter()
        .position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'))?;
    (rest[end] == b'"').then_some(at + end)
}

/// The high bit of each byte of `word` that is smaller than `limit`, up to the first such byte.
#[inline]
fn below(word: u64, limit: u64) -> u64 {
    word.wrapping_sub(ONES * limit) & !word
}

#[inline]
fn zero(word: u64) -> u64 {
    below(word, 1)
}
