//! [`push_json`]: texts as JSON, byte for byte as `serde_json` encodes them.

/// Bytes looked at together.
const LANES: usize = 8;

/// Appends a text as JSON.
pub fn push_json(text: &str, out: &mut Vec<u8>) {
    if is_plain(text.as_bytes()) {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // A vector takes every byte, and any text can be encoded.
        let _: Result<(), serde_json::Error> = serde_json::to_writer(out, text);
    }
}

/// Whether nothing has to be escaped. Nearly every id is such a text; whole words of it are tested without a branch.
fn is_plain(text: &[u8]) -> bool {
    let is_plain = |byte: u8| (byte >= 0x20) & (byte != b'"') & (byte != b'\\');
    let (words, rest) = text.as_chunks::<LANES>();
    let all = |bytes: &[u8]| bytes.iter().fold(true, |all, byte| all & is_plain(*byte));
    words.iter().all(|word| all(word)) && all(rest)
}

#[cfg(test)]
mod tests {
    use super::push_json;
    use proptest::prelude::*;

    fn json(text: &str) -> String {
        let mut out = Vec::new();
        push_json(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn texts_are_encoded_as_serde_json_does(text in "\\PC*", at in 0..40_usize, odd in any::<u8>()) {
            prop_assert_eq!(json(&text), serde_json::to_string(&text).unwrap());
            let mut one_odd = "abcdefgh".repeat(5).into_bytes();
            one_odd[at] = odd & 0x7f;
            let one_odd = String::from_utf8(one_odd).unwrap();
            prop_assert_eq!(json(&one_odd), serde_json::to_string(&one_odd).unwrap());
        }
    }
}
