use super::*;

const USER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const YEAR_2026: i64 = 1_767_225_600_000_000;

fn scan(role: Role, text: &str) -> Scanned {
    Scanner::new(role, YEAR_2026, YEAR_2026 + 1_000_000, true).scan(text.as_bytes())
}

fn exposure(request: &str, rest: &str) -> String {
    format!(r#"{{"request_id":"{request}","user_id":"{USER}","ts":"2026-01-01T00:00:00Z",{rest}}}"#)
        + "\n"
}

fn doubtful(text: &str) -> Vec<(usize, bool)> {
    scan(Role::Exposures, text)
        .doubts
        .iter()
        .map(|doubt| (doubt.line, doubt.is_kept))
        .collect()
}

#[test]
fn sound_lines_become_rows_in_order_of_rank() {
    let items = r#""items":[{"item_id":"b","rank":2,"x":[{}]},{"item_id":"\u0061","rank":1,"propensity":0.25}]"#;
    let scanned = scan(Role::Exposures, &exposure("r", items));
    assert_eq!((scanned.lines, scanned.doubts.len()), (1, 0));
    let rows = &scanned.pieces[0];
    assert_eq!(rows.ts, [YEAR_2026]);
    assert_eq!(rows.item_ids.bytes, b"ab");
    assert_eq!(rows.rank, [1, 2]);
    assert_eq!(rows.list_offsets, [0, 2]);
    assert_eq!(rows.propensities[0][0], 0.25);
    assert!(rows.propensities[0][1].is_nan() && rows.latency_ms[0].is_nan());
    assert_eq!((rows.error[0], rows.context[0]), (2, 0));
}

#[test]
fn equal_content_has_equal_identity_whatever_its_writing() {
    let one = r#""items":[],"context":{"a":"1","b":"2","now":"x"},"latency_ms":1.5"#;
    let two = r#""latency_ms":1.50, "context":{"now":"x","b":"2","a":"1"},"items":[]"#;
    let other = r#""items":[],"context":{"a":"1","b":"2","now":"y"},"latency_ms":1.5"#;
    let text =
        exposure("r", one) + &exposure("r", two) + &exposure("r", other) + &exposure("s", one);
    let scanned = scan(Role::Exposures, &text);
    let rows = &scanned.pieces[0];
    let content: Vec<_> = (0..4)
        .map(|i| (rows.content[0][i], rows.content[1][i]))
        .collect();
    assert_eq!(content[0], content[1]);
    assert!(content[0] != content[2] && content[0] != content[3]);
    assert_eq!(rows.context[0], rows.context[2]);
    let expected = [("a", "1"), ("b", "2")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(scanned.contexts.len(), 1);
    assert_eq!(scanned.contexts[0].pairs, expected);
    assert_eq!(scanned.contexts[0].id, rows.context[0]);
}

#[test]
fn what_is_not_surely_sound_is_named_with_its_place() {
    let sound = exposure("r", r#""items":[]"#);
    for (rest, is_kept) in [
        (r#""items":[{"item_id":"a","rank":2}]"#, true),
        (
            r#""items":[{"item_id":"a","rank":1},{"item_id":"a","rank":2}]"#,
            true,
        ),
        (r#""items":[{"item_id":"a","rank":1,"propensity":0}]"#, true),
        (r#""items":[{"item_id":"a","rank":0}]"#, false),
        (r#""items":[{"item_id":"a","rank":1.5}]"#, false),
        (r#""items":[["a",1,null,null,null]]"#, false),
        (r#""items":[],"latency_ms":-1"#, false),
        (r#""items":[],"latency_ms":NaN"#, false),
        (r#""items":[],"context":{"a":1}"#, false),
        (r#""items":[],"context":{"a":"1","a":"2"}"#, false),
        (r#""items":[],"schema":"v2""#, false),
        (r#""items":[],"items":[]"#, false),
    ] {
        let bad = exposure("r", rest);
        let text = sound.clone() + &bad + &sound;
        assert_eq!(doubtful(&text), [(1, is_kept)], "{rest}");
        let doubt = scan(Role::Exposures, &text).doubts[0];
        assert_eq!(text[doubt.start..doubt.end], bad);
    }
    for line in [
        "",
        "[]",
        "null",
        "{",
        "{}",
        r#"["r","u","2026-01-01T00:00:00Z",[],null,null,null]"#,
    ] {
        assert_eq!(doubtful(&format!("{line}\n")), [(0, false)], "{line}");
    }
    assert_eq!(doubtful(&sound.replace("2026", "2025")), [(0, true)]);
    assert_eq!(doubtful(&sound.replace(USER, "anna")), [(0, true)]);
    assert_eq!(doubtful(sound.trim_end()), []);
}

#[test]
fn pieces_neither_lose_nor_cut_lines() {
    let line = exposure("r", r#""items":[]"#);
    let text = line.repeat(40_000) + "{\n" + &line.repeat(3) + "{";
    let scanned = scan(Role::Exposures, &text);
    assert_eq!(scanned.lines, 40_005);
    assert!(scanned.pieces.len() > 1);
    assert_eq!(scanned.pieces.iter().map(Rows::len).sum::<usize>(), 40_003);
    let lines: Vec<_> = scanned.doubts.iter().map(|doubt| doubt.line).collect();
    assert_eq!(lines, [40_000, 40_004]);
}

#[test]
fn other_records_have_their_columns() {
    let outcome = format!(
        r#"{{"request_id":"r","user_id":"{USER}","item_id":"a","event_type":"conversion","ts":"2026-01-01T00:00:00Z","value":-0.1}}"#
    );
    let scanned = scan(Role::Outcomes, &outcome);
    let rows = &scanned.pieces[0];
    assert_eq!(
        (rows.is_conversion[0], rows.value[0], rows.items.len()),
        (1, -0.1, 1)
    );
    assert_eq!(
        scan(Role::Outcomes, &outcome.replace("conversion", "view"))
            .doubts
            .len(),
        1
    );
    let assignment = format!(
        r#"{{"experiment_id":"x","variant":"B","request_id":"r","user_id":"{USER}","ts":"2026-01-01T00:00:00Z"}}"#
    );
    let scanned = scan(Role::Assignments, &assignment);
    assert_eq!(scanned.pieces[0].variant.bytes, b"B");
    let list = exposure("r", r#""items":["b","a"]"#);
    let scanned = scan(Role::Ranklists, &list);
    assert_eq!(scanned.pieces[0].item_ids.bytes, b"ba");
    assert_eq!(
        scan(Role::Ranklists, &list.replace("\"a\"", "\"b\""))
            .doubts
            .len(),
        1
    );
}

mod quick_reader {
    use std::fmt::Debug;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::super::plain::{self, Plain};
    use super::super::shape::{Assignment, Exposure, Outcome, RankList, parse_any};

    const LINES: [&str; 4] = [
        r#"{"request_id":"r","user_id":"u","ts":"2026-01-01T00:00:00Z","items":[{"item_id":"a","rank":1,"propensity":0.25,"logging_propensity":null},{"item_id":"b","rank":2,"target_propensity":1e-3}],"context":{"surface":"home","b":"é"},"latency_ms":12,"error":false}"#,
        r#"{ "request_id": "r", "user_id": "u", "item_id": "a", "event_type": "click", "ts": "2026-01-01T00:00:00Z", "value": -0.5 }"#,
        r#"{"experiment_id":"x","variant":"B","request_id":"r","user_id":"u","ts":"2026-01-01T00:00:00Z","context":{}}"#,
        r#"{"request_id":"r","user_id":"u","ts":"2026-01-01T00:00:00Z","items":["b","a"],"context":null}"#,
    ];
    const PIECES: [&str; 32] = [
        "null",
        "0",
        "-0",
        "-1",
        "01",
        "1.",
        ".5",
        "1e999",
        "1E+2",
        "1e",
        "NaN",
        "true",
        "\"\"",
        "\"a\"",
        "[]",
        "{}",
        ",",
        ":",
        "}",
        "]",
        "\"",
        "\\\"",
        "\\u0061",
        "\u{0}",
        "\u{1f}",
        "\u{7f}",
        "é",
        " ",
        "\t",
        "\u{a0}",
        "1234567890123456",
        "123456789012345678901",
    ];

    /// Whether the quick reader takes `line`, which the other must then read the same.
    fn is_taken<'a, T>(line: &'a str) -> bool
    where
        T: Plain<'a> + Deserialize<'a> + PartialEq + Debug,
    {
        let quick = plain::read::<T>(line);
        let is_taken = quick.is_some();
        if is_taken {
            assert_eq!(quick, parse_any::<T>(line), "{line}");
        }
        is_taken
    }

    fn is_taken_as(role: usize, line: &str) -> bool {
        match role {
            0 => is_taken::<Exposure>(line),
            1 => is_taken::<Outcome>(line),
            2 => is_taken::<Assignment>(line),
            _ => is_taken::<RankList>(line),
        }
    }

    #[test]
    fn plain_lines_are_taken() {
        for (role, line) in LINES.iter().enumerate() {
            assert!(is_taken_as(role, line), "{line}");
            assert!(is_taken_as(role, &format!("{line}\r\n")), "{line}");
            assert!(!is_taken_as(role, &line[..line.len() - 1]), "{line}");
            assert!(!is_taken_as(role, &format!("{line}{line}")), "{line}");
            let twice = line.replacen('{', r#"{"request_id":"r","#, 1);
            assert!(!is_taken_as(role, &twice), "{line}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_read_the_same(
            role in 0..4_usize,
            edits in prop::collection::vec((0..300_usize, 0..5_usize, prop::sample::select(&PIECES[..])), 0..3),
        ) {
            let mut line: Vec<char> = LINES[role].chars().collect();
            for (start, length, piece) in edits {
                let start = start.min(line.len());
                let end = (start + length).min(line.len());
                line.splice(start..end, piece.chars());
            }
            is_taken_as(role, &line.into_iter().collect::<String>());
        }

        #[test]
        fn numbers_are_read_the_same(value in any::<f64>(), whole in any::<i64>(), digits in "-?[0-9]{1,20}(\\.[0-9]{1,20})?(e-?[0-9]{1,3})?") {
            for text in [format!("{value:?}"), format!("{value:e}"), whole.to_string(), digits] {
                let line = LINES[1].replace("-0.5", &text);
                is_taken_as(1, &line);
                is_taken_as(0, &LINES[0].replace("0.25", &text).replace("12", &text));
                is_taken_as(0, &LINES[0].replace(r#""rank":2"#, &format!(r#""rank":{text}"#)));
            }
        }

        #[test]
        fn texts_are_read_the_same(text in "[ -~\u{80}-\u{2ff}]{0,40}", at in 0..40_usize, odd in any::<char>()) {
            let mut text: Vec<char> = text.chars().collect();
            text.insert(at.min(text.len()), odd);
            let text: String = text.into_iter().collect();
            is_taken_as(0, &LINES[0].replace("home", &text).replace("\"a\"", &format!("\"{text}\"")));
        }
    }
}
