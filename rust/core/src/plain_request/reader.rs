//! [`Reader`]: one pass over a body.

use super::PlainRequest;
use crate::cursor::Cursor;

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
