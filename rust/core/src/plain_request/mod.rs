//! [`PlainRequest`]: the body of a request for a list that asks for nothing special, read in one pass.
//!
//! [`Reader`] answers `None` for whatever it is not sure of: text that needs unescaping, members that change how a list
//! is made or told, values out of bounds, ids that may look personal. The caller then decodes the body in full, which
//! also says what is wrong with it. What is read here means the same there.

use std::ops::Range;

use crate::cursor::Cursor;
use crate::rank::Request;

/// The bounds of the contract, in bytes for texts and in entries for lists.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest list.
    pub k: usize,
    /// Most anchors.
    pub anchors: usize,
    /// Most excluded items.
    pub excluded: usize,
    /// Most required, or forbidden, tags.
    pub tags: usize,
    /// Longest id of a user.
    pub user_id: usize,
    /// Longest segment, locale, device or country.
    pub label: usize,
}

/// Reads bodies.
#[derive(Clone, Copy, Debug)]
pub struct Reader {
    limits: Limits,
}

/// A text of the body, by its place.
type Span = Range<usize>;

/// What a body asks for. Its texts stay in the body.
#[derive(Clone, Debug)]
pub struct PlainRequest {
    body: String,
    surface: Span,
    segment: Option<Span>,
    user: Option<Span>,
    locale: Option<Span>,
    device: Option<Span>,
    country: Option<Span>,
    k: Option<usize>,
    anchors: Vec<Span>,
    exclude: Vec<Span>,
    required_tags: Vec<Span>,
    forbidden_tags: Vec<Span>,
}

/// The members of one kind of body as they are met; each may come once.
#[derive(Default)]
struct Members<'a> {
    surface: Option<&'a str>,
    segment: Option<Option<&'a str>>,
    user: Option<Option<&'a str>>,
    context: Option<[Option<&'a str>; 3]>,
    k: Option<Option<usize>>,
    item: Option<&'a str>,
    anchors: Option<Vec<&'a str>>,
    exclude: Option<Vec<&'a str>>,
    tags: Option<[Vec<&'a str>; 2]>,
    options: Option<()>,
    weights: Option<()>,
    experiment: Option<()>,
    page: Option<()>,
}

impl Reader {
    /// A reader of bodies within `limits`.
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// The request for the best items for a user; it names one.
    pub fn recommend(&self, body: &[u8]) -> Option<PlainRequest> {
        let request = self.read(body, false)?;
        request.user.is_some().then_some(request)
    }

    /// The request for the best items beside one item, which becomes its anchor; it names no user.
    pub fn similar(&self, body: &[u8]) -> Option<PlainRequest> {
        self.read(body, true)
    }

    fn read(&self, body: &[u8], is_similar: bool) -> Option<PlainRequest> {
        let text = std::str::from_utf8(body).ok()?;
        let mut cursor = Cursor::new(text);
        let mut found = Members::default();
        cursor.object(|c, name| match name {
            "surface" => once(&mut found.surface, c.string()),
            "segment" => once(&mut found.segment, c.nullable(|c| self.segment(c))),
            "k" => once(&mut found.k, c.nullable(|c| bounded(c, self.limits.k))),
            "context" => once(&mut found.context, self.context(c)),
            "candidates" => once(&mut found.exclude, self.candidates(c)),
            "constraints" => once(&mut found.tags, self.constraints(c)),
            "options" => once(&mut found.options, options(c)),
            "weights" => once(&mut found.weights, null(c)),
            "experiment" => once(&mut found.experiment, null(c)),
            "page" => once(&mut found.page, null(c)),
            "item_id" if is_similar => once(&mut found.item, some(c).and_then(impersonal)),
            "user" if !is_similar => once(&mut found.user, self.user(c)),
            "anchors" if !is_similar => once(&mut found.anchors, self.anchors(c)),
            _ => None,
        })?;
        if !cursor.is_at_end() || is_similar != found.item.is_some() {
            return None;
        }
        let anchors = found.anchors.or(found.item.map(|item| vec![item]));
        let [required, forbidden] = found.tags.unwrap_or_default();
        let [locale, device, country] = found.context.unwrap_or_default();
        let start = text.as_ptr() as usize;
        let place = |part: &str| {
            let at = part.as_ptr() as usize - start;
            at..at + part.len()
        };
        let places = |parts: Vec<&str>| parts.into_iter().map(place).collect();
        Some(PlainRequest {
            surface: place(found.surface?),
            segment: found.segment.flatten().map(place),
            user: found.user.flatten().map(place),
            locale: locale.map(place),
            device: device.map(place),
            country: country.map(place),
            k: found.k.flatten(),
            anchors: places(anchors.unwrap_or_default()),
            exclude: places(found.exclude.unwrap_or_default()),
            required_tags: places(required),
            forbidden_tags: places(forbidden),
            body: text.to_owned(),
        })
    }

    fn segment<'a>(&self, c: &mut Cursor<'a>) -> Option<&'a str> {
        self.label(c).filter(|segment| !segment.is_empty())
    }

    fn label<'a>(&self, c: &mut Cursor<'a>) -> Option<&'a str> {
        c.string()
            .filter(|label| label.len() <= self.limits.label)
            .and_then(impersonal)
    }

    /// The id that stands for the user: the first one given.
    fn user<'a>(&self, c: &mut Cursor<'a>) -> Option<Option<&'a str>> {
        let mut ids: [Option<Option<&str>>; 3] = [None; 3];
        c.object(|c, name| {
            let id = match name {
                "user_id" => &mut ids[0],
                "anonymous_id" => &mut ids[1],
                "session_id" => &mut ids[2],
                _ => return None,
            };
            let is_short = |text: &&str| text.len() <= self.limits.user_id;
            once(
                id,
                c.nullable(|c| c.string().filter(is_short).and_then(impersonal)),
            )
        })?;
        Some(
            ids.into_iter()
                .flatten()
                .flatten()
                .find(|id| !id.is_empty()),
        )
    }

    fn context<'a>(&self, c: &mut Cursor<'a>) -> Option<[Option<&'a str>; 3]> {
        let mut labels: [Option<Option<&str>>; 3] = [None; 3];
        c.object(|c, name| {
            let label = match name {
                "locale" => &mut labels[0],
                "device" => &mut labels[1],
                "country" => &mut labels[2],
                _ => return None,
            };
            once(label, c.nullable(|c| self.label(c)))
        })?;
        Some(labels.map(Option::flatten))
    }

    fn anchors<'a>(&self, c: &mut Cursor<'a>) -> Option<Vec<&'a str>> {
        let (mut ids, mut most) = (None, None);
        c.object(|c, name| match name {
            "item_ids" => once(&mut ids, texts(c, self.limits.anchors)),
            "max_anchors" => once(&mut most, c.nullable(|c| bounded(c, self.limits.anchors))),
            _ => None,
        })?;
        let mut ids: Vec<&str> = ids.unwrap_or_default();
        if !ids.iter().all(|id| impersonal(id).is_some()) {
            return None;
        }
        ids.truncate(most.flatten().unwrap_or(usize::MAX));
        Some(ids)
    }

    fn candidates<'a>(&self, c: &mut Cursor<'a>) -> Option<Vec<&'a str>> {
        let (mut exclude, mut include) = (None, None);
        c.object(|c, name| match name {
            "exclude_ids" => once(&mut exclude, texts(c, self.limits.excluded)),
            "include_ids" => once(&mut include, null(c)),
            _ => None,
        })?;
        Some(exclude.unwrap_or_default())
    }

    fn constraints<'a>(&self, c: &mut Cursor<'a>) -> Option<[Vec<&'a str>; 2]> {
        let (mut required, mut forbidden, mut caps) = (None, None, None);
        c.object(|c, name| match name {
            "required_tags" => once(&mut required, texts(c, self.limits.tags)),
            "forbidden_tags" => once(&mut forbidden, texts(c, self.limits.tags)),
            "max_per_tag" => once(&mut caps, c.object(|_, _| None)),
            _ => None,
        })?;
        Some([required.unwrap_or_default(), forbidden.unwrap_or_default()])
    }
}

impl PlainRequest {
    /// The surface.
    pub fn surface(&self) -> &str {
        self.at(&self.surface)
    }

    /// The segment, if it is given.
    pub fn segment(&self) -> Option<&str> {
        self.segment.as_ref().map(|span| self.at(span))
    }

    /// The id that stands for the user, if one is given.
    pub fn user(&self) -> Option<&str> {
        self.user.as_ref().map(|span| self.at(span))
    }

    /// Locale, device and country, as far as they are given.
    pub fn context(&self) -> [Option<&str>; 3] {
        [&self.locale, &self.device, &self.country].map(|label| label.as_ref().map(|s| self.at(s)))
    }

    /// The length that is asked for, if it is given.
    pub fn k(&self) -> Option<usize> {
        self.k
    }

    /// What to rank: a list of `k` at `now_ms` for the key `user`.
    pub fn ranking<'a>(&'a self, k: usize, now_ms: i64, user: &'a str) -> Request<'a> {
        let texts = |spans: &'a [Span]| spans.iter().map(|span| self.at(span)).collect();
        Request {
            k,
            now_ms,
            user: Some(user),
            anchors: texts(&self.anchors),
            exclude: texts(&self.exclude),
            required_tags: texts(&self.required_tags),
            forbidden_tags: texts(&self.forbidden_tags),
            ..Request::default()
        }
    }

    fn at(&self, span: &Span) -> &str {
        &self.body[span.clone()]
    }
}

/// Takes a member that was not there before.
fn once<T>(slot: &mut Option<T>, value: Option<T>) -> Option<()> {
    let is_first = slot.is_none();
    *slot = Some(value?);
    is_first.then_some(())
}

fn null(c: &mut Cursor<'_>) -> Option<()> {
    c.nullable(|_| None::<()>).map(|_| ())
}

/// An integer from 1 to `most`.
fn bounded(c: &mut Cursor<'_>, most: usize) -> Option<usize> {
    let value = usize::try_from(c.integer()?).ok()?;
    (1..=most).contains(&value).then_some(value)
}

/// A text that is not empty.
fn some<'a>(c: &mut Cursor<'a>) -> Option<&'a str> {
    c.string().filter(|text| !text.is_empty())
}

/// At most `most` of them.
fn texts<'a>(c: &mut Cursor<'a>, most: usize) -> Option<Vec<&'a str>> {
    let mut list = Vec::new();
    c.array(|c| {
        list.push(some(c)?);
        (list.len() <= most).then_some(())
    })?;
    Some(list)
}

/// Options that leave everything as it is.
fn options(c: &mut Cursor<'_>) -> Option<()> {
    let mut given: [Option<()>; 4] = [None; 4];
    c.object(|c, name| match name {
        "include_reasons" => once(&mut given[0], off(c)),
        "include_trace" => once(&mut given[1], off(c)),
        "explain" => once(
            &mut given[2],
            c.string().filter(|how| *how == "none").map(|_| ()),
        ),
        "seed" => once(&mut given[3], null(c)),
        _ => None,
    })
}

fn off(c: &mut Cursor<'_>) -> Option<()> {
    (!c.boolean()?).then_some(())
}

/// The text, unless it has what every e-mail address or phone number has.
fn impersonal(text: &str) -> Option<&str> {
    let of_phone = |c: char| c.is_ascii_digit() || "()+./-".contains(c) || c.is_whitespace();
    let may_be_phone = text.chars().all(of_phone) && !text.bytes().all(|b| b.is_ascii_digit());
    (!may_be_phone && !text.contains('@')).then_some(text)
}

#[cfg(test)]
mod tests {
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
        let with =
            |members: &str| format!(r#"{{"surface":"home","user":{{"user_id":"u"}}{members}}}"#);
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
}
