//! What is read, and what is left to a reader that knows more.

use super::*;

const LIMITS: Limits = Limits {
    k: 200,
    anchors: 3,
    excluded: 4,
    tags: 2,
    user_id: 8,
    label: 6,
};

fn recommend(body: &str) -> Option<PlainRequest> {
    Reader::new(LIMITS).recommend(body.as_bytes())
}

#[test]
fn reads_what_a_body_asks_for() {
    let body = r#" {"surface": "home", "segment": "new", "k": 5, "user": {"user_id": "", "session_id": "s1"},
        "anchors": {"item_ids": ["a", "b", "c"], "max_anchors": 2}, "context": {"device": "phone"},
        "candidates": {"exclude_ids": ["x"], "include_ids": null},
        "constraints": {"required_tags": ["r"], "forbidden_tags": ["f", "g"], "max_per_tag": {}},
        "options": {"explain": "none", "include_reasons": false}, "weights": null, "page": null} "#;
    let plain = recommend(body).unwrap();
    assert_eq!(plain.surface(), "home");
    assert_eq!(plain.segment(), Some("new"));
    assert_eq!(plain.user(), Some("s1"));
    assert_eq!(plain.context(), [None, Some("phone"), None]);
    assert_eq!(plain.k(), Some(5));
    let request = plain.ranking(5, 17, "key");
    assert_eq!((request.k, request.now_ms), (5, 17));
    assert_eq!(request.user, Some("key"));
    assert_eq!(request.anchors, ["a", "b"]);
    assert_eq!(request.exclude, ["x"]);
    assert_eq!(request.required_tags, ["r"]);
    assert_eq!(request.forbidden_tags, ["f", "g"]);
}

#[test]
fn a_similar_request_has_one_anchor_and_no_user() {
    let reader = Reader::new(LIMITS);
    let plain = reader
        .similar(br#"{"surface":"home","item_id":"a"}"#)
        .unwrap();
    assert_eq!(plain.ranking(1, 0, "key").anchors, ["a"]);
    assert_eq!(plain.user(), None);
    assert!(reader.similar(br#"{"surface":"home"}"#).is_none());
    let of_none = br#"{"surface":"home","item_id":""}"#;
    assert!(reader.similar(of_none).is_none());
    let of_both = br#"{"surface":"home","item_id":"a","user":{"user_id":"u"}}"#;
    assert!(reader.similar(of_both).is_none());
    assert!(reader.recommend(of_both).is_none());
}

#[test]
fn leaves_what_it_is_not_sure_of() {
    let with = |members: &str| format!(r#"{{"surface":"home","user":{{"user_id":"u"}}{members}}}"#);
    assert!(recommend(&with("")).is_some());
    for members in [
        r#","k":0"#,
        r#","k":201"#,
        r#","k":5.0"#,
        r#","k":5,"k":5"#,
        r#","segment":"""#,
        r#","segment":"longest""#,
        r#","segment":"a@b.cd""#,
        r#","options":{"include_reasons":true}"#,
        r#","options":{"explain":"full"}"#,
        r#","options":{"seed":1}"#,
        r#","weights":{}"#,
        r#","page":"first""#,
        r#","experiment":{"id":"e"}"#,
        r#","context":{"now":"2026-01-01T00:00:00Z"}"#,
        r#","context":null"#,
        r#","candidates":{"include_ids":[]}"#,
        r#","candidates":{"exclude_ids":["1","2","3","4","5"]}"#,
        r#","candidates":{"exclude_ids":[""]}"#,
        r#","constraints":{"max_per_tag":{"t":1}}"#,
        r#","anchors":{"item_ids":["a","b","c","d"]}"#,
        r#","anchors":{"item_ids":["+1 234 567 8901"]}"#,
        r#","anchors":{"item_ids":["\u0061"]}"#,
        r#","anchors":{"max_anchors":4}"#,
        r#","other":1"#,
        r#"}{"#,
    ] {
        assert!(recommend(&with(members)).is_none(), "{members}");
    }
    assert!(recommend(r#"{"surface":"home","user":{"user_id":"u"}} x"#).is_none());
    assert!(recommend(r#"{"surface":"home","user":{}}"#).is_none());
    assert!(recommend(r#"{"surface":"home","user":{"user_id":"123456789"}}"#).is_none());
    assert!(recommend(r#"{"surface":"home"}"#).is_none());
    assert!(recommend(r#"{"user":{"user_id":"u"}}"#).is_none());
    assert!(Reader::new(LIMITS).recommend(b"\xff").is_none());
}
