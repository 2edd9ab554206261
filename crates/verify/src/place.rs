//! Where in a request a value stands.

use std::{borrow::Cow, fmt};

use smallvec::SmallVec;

use crate::{
    Encoding, Hash, Refused, Request, digest, json, jwt, multipart, scheme::JwtPlace, uri, xml,
};

/// Where in a request a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place<'a> {
    /// A header, by its lower-case name.
    Header(&'a str),
    /// A value in a JSON body: keys and array indices with dots between them. `*` stands for
    /// every item of an array. With a slash in front, slashes stand between them: so a key that
    /// holds dots is named. Where a text holds JSON, the path goes on in it.
    Body(&'a str),
    /// A query parameter of the URL.
    Query(&'a str),
    /// A field of an `application/x-www-form-urlencoded` or `multipart/form-data` body; of a `GET`, whose
    /// fields are in the URL, a query parameter.
    Form(&'a str),
    /// A value in the JSON that a form field holds: field, path.
    FormJson(&'a str, &'a str),
    /// A claim of a token, by its path: where the token stands, path.
    Claim(&'a JwtPlace<'a>, &'a str),
    /// The text of every element of this name in an XML body: names as they are written, slashes
    /// between them; `@name` at the end is an attribute.
    Xml(&'a str),
    /// The text of every element of this name in the XML that a form field holds in base64: field, path as
    /// in [`Place::Xml`].
    FormXml(&'a str, &'a str),
    /// A key of an object in a JSON body: path of the object, which key. For senders that say by
    /// the name of a member what it is.
    Key(&'a str, &'a Keys<'a>),
    /// The target of a `Link` header with this relation (RFC 8288).
    Link(&'a str),
    /// The whole body, as its SHA-256 in hex.
    Whole,
    /// Headers whose names are this and a number.
    Numbered(&'a str),
    /// All of these, joined by `:`; nothing where one is absent.
    All(&'a [Place<'a>]),
    /// The first of these that is present.
    First(&'a [Place<'a>]),
}

/// Which key of an object is meant: the first of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keys<'a> {
    /// Any but these.
    Besides(&'a [&'a str]),
    /// One that ends so.
    Ending(&'a [&'a str]),
}

/// A [`Place`] that a row of the catalogue names.
pub type Location = Place<'static>;

/// The text at `place`. `None` where it is absent, empty, or not a single text or number;
/// several items of a `*` are joined by `,`.
pub fn extract(place: &Place<'_>, request: &Request<'_>) -> Option<String> {
    let found = match place {
        Place::Header(name) => request.headers.get(name)?.trim().to_owned(),
        Place::Query(name) => uri::query_value(request.url, name)?,
        Place::Form(name) => form_field(name, request)?,
        Place::Link(relation) => link(relation, request)?,
        // Nothing is no name: all of it is the same.
        Place::Whole if request.body.is_empty() => return None,
        Place::Whole => Encoding::Hex.encode(&digest(Hash::Sha256, &[request.body])),
        Place::Numbered(_) => lines(place, request).into_iter().next()?.into_owned(),
        Place::All(places) => {
            let parts: Option<Vec<_>> =
                places.iter().map(|place| extract(place, request)).collect();
            parts?.join(":")
        }
        Place::First(places) => places.iter().find_map(|place| extract(place, request))?,
        Place::Body(_)
        | Place::FormJson(..)
        | Place::Claim(..)
        | Place::Xml(_)
        | Place::FormXml(..)
        | Place::Key(..) => {
            let found = found(place, request).texts;
            (!found.is_empty()).then(|| found.join(","))?
        }
    };
    (!found.is_empty()).then_some(found)
}

/// The texts at a place that may stand for several.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) texts: Vec<String>,
    /// Whether an item had none.
    pub(crate) gaps: bool,
}

impl Place<'_> {
    /// Whether the place stands for as many texts as there are items.
    pub(crate) fn is_list(&self) -> bool {
        match self {
            Self::Body(path)
            | Self::FormJson(_, path)
            | Self::Claim(_, path)
            | Self::Key(path, _) => path.contains('*'),
            Self::Xml(_) | Self::FormXml(..) => true,
            _ => false,
        }
    }
}

/// What stands at a place inside of JSON or XML.
pub(crate) fn found(place: &Place<'_>, request: &Request<'_>) -> Found {
    let read = || match place {
        Place::Body(path) => Some(values(path, request.body)),
        Place::FormJson(field, path) => Some(values(path, form_field(field, request)?.as_bytes())),
        Place::Claim(token, path) => {
            let claims = jwt::claims(**token, request)?;
            // A claim that is there twice says nothing.
            json::find_only(&claims, &[path.split('.').next()?]).ok()?;
            Some(values(path, &claims))
        }
        Place::Xml(path) => Some(xml::texts(std::str::from_utf8(request.body).ok()?, path)),
        Place::FormXml(field, path) => {
            let packed = form_field(field, request)?;
            // Braintree breaks the lines of its payload.
            let packed: String = packed.split_ascii_whitespace().collect();
            let text = Encoding::Base64.decode(packed.as_bytes())?;
            Some(xml::texts(std::str::from_utf8(&text).ok()?, path))
        }
        Place::Key(path, keys) => Some(walk(path, request.body, &mut |object| key(object, **keys))),
        _ => None,
    };
    read().unwrap_or_default()
}

fn form_field(name: &str, request: &Request<'_>) -> Option<String> {
    if request.method == "GET" {
        return uri::query_value(request.url, name);
    }
    multipart::values(request, name).into_iter().next()
}

fn key(object: &[u8], keys: Keys<'_>) -> Option<String> {
    let names = json::members(object)?.into_iter().filter_map(|(key, _)| json::text(key));
    let meant = |name: &String| match keys {
        Keys::Besides(others) => !others.contains(&name.as_str()),
        Keys::Ending(ends) => ends.iter().any(|end| name.ends_with(end)),
    };
    let mut names = names;
    names.find(meant)
}

/// `<target>; rel="self"`, several with commas between them.
fn link(relation: &str, request: &Request<'_>) -> Option<String> {
    let lines = request.headers.get_all("link");
    let mut targets = lines.flat_map(|line| line.split('<').skip(1)).filter_map(|link| {
        let (target, parameters) = link.split_once('>')?;
        let is = |parameter: &str| {
            let (name, value) = parameter.split_once('=')?;
            let value = value.trim().trim_end_matches(',').trim().trim_matches('"');
            let named = name.trim().eq_ignore_ascii_case("rel");
            (named && value.split(' ').any(|one| one.eq_ignore_ascii_case(relation))).then_some(())
        };
        parameters.split(';').find_map(is).map(|()| target)
    });
    targets.next().map(str::to_owned)
}

/// As [`extract`], one entry for each item that a `*` in a body path stands for.
///
/// Providers that send batches put several events into one request; this is how each of them
/// is told apart.
pub fn extract_each(place: &Place<'_>, request: &Request<'_>) -> Vec<String> {
    match place {
        _ if place.is_list() => found(place, request).texts,
        _ => extract(place, request).into_iter().collect(),
    }
}

/// The texts at a path with one `*` in it, one for every item: an item without is an error.
pub(crate) fn every<'p>(path: &'p str, request: &Request<'_>) -> Result<Vec<String>, Refused> {
    let missing = || Refused::Missing { what: Place::Body(path).to_string() };
    let (before, after) = path.split_once('*').ok_or_else(missing)?;
    let steps = |path: &'p str| -> Vec<&'p str> {
        path.split('.').filter(|step| !step.is_empty()).collect()
    };
    let (before, after) = (steps(before), steps(after));
    let items = json::items(json::find_only(request.body, &before)?).ok_or_else(missing)?;
    let texts = items
        .into_iter()
        .map(|item| json::text(json::find_only(item, &after)?).ok_or_else(missing));
    texts.collect()
}

/// All of several places of which one would do.
pub(crate) fn named(places: &[Place<'_>]) -> String {
    places.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

/// Texts at one place: nearly always one, which needs no heap.
pub(crate) type Lines<'r> = SmallVec<[Cow<'r, str>; 2]>;

/// Every text at `place`, empty ones included: one for each header line.
pub(crate) fn lines<'r>(place: &Place<'_>, request: &Request<'r>) -> Lines<'r> {
    let trimmed = |line: &'r str| Cow::Borrowed(line.trim_ascii());
    match place {
        Place::Header(name) => request.headers.get_all(name).map(trimmed).collect(),
        Place::Numbered(prefix) => {
            let numbered = |name: &str| {
                let digits = name.strip_prefix(prefix).unwrap_or_default();
                !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
            };
            let headers = request.headers.iter().filter(|(name, _)| numbered(name));
            headers.map(|(_, line)| trimmed(line)).collect()
        }
        Place::First(places) => {
            let found = places.iter().map(|place| lines(place, request));
            found.into_iter().find(|lines| !lines.is_empty()).unwrap_or_default()
        }
        Place::Query(name) => {
            uri::values(uri::query(request.url).as_bytes(), name).map(Cow::Owned).collect()
        }
        Place::Form(name) => multipart::values(request, name).into_iter().map(Cow::Owned).collect(),
        _ => extract(place, request).map(Cow::Owned).into_iter().collect(),
    }
}

/// The one text at `place`. Two that differ are refused: whoever reads the request later might
/// take the other one. A JSON key that occurs twice is refused in any case.
pub(crate) fn one<'r>(place: &Place<'_>, request: &Request<'r>) -> Result<Cow<'r, str>, Refused> {
    let found = match place {
        Place::Body(path) => {
            let steps: Vec<_> = path.split('.').collect();
            let text = json::text(json::find_only(request.body, &steps)?).unwrap_or_default();
            Some(Cow::Owned(text))
        }
        Place::Header(_) => first_header(std::slice::from_ref(place), place, request)?,
        Place::First(places) if places.iter().all(|place| matches!(place, Place::Header(_))) => {
            first_header(places, place, request)?
        }
        _ => {
            let mut lines = lines(place, request);
            lines.dedup();
            if 1 < lines.len() {
                return Err(several(place, lines));
            }
            lines.pop()
        }
    };
    match found {
        None => Err(Refused::Missing {
            what: match place {
                Place::First(places) => named(places),
                place => place.to_string(),
            },
        }),
        Some(line) if line.is_empty() => Err(Refused::Empty { what: place.to_string() }),
        Some(line) => Ok(line),
    }
}

/// The first of several headers that is there, without a list of its lines.
fn first_header<'r>(
    headers: &[Place<'_>],
    place: &Place<'_>,
    request: &Request<'r>,
) -> Result<Option<Cow<'r, str>>, Refused> {
    for header in headers {
        let Place::Header(name) = header else { continue };
        let mut lines = request.headers.get_all(name).map(str::trim_ascii);
        let Some(first) = lines.next() else { continue };
        if lines.any(|line| line != first) {
            return Err(several(place, self::lines(header, request)));
        }
        return Ok(Some(Cow::Borrowed(first)));
    }
    Ok(None)
}

#[cold]
fn several(place: &Place<'_>, mut lines: Lines<'_>) -> Refused {
    lines.dedup();
    Refused::Ambiguous { what: place.to_string(), times: lines.len() }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Header(name) => write!(f, "header `{name}`"),
            Place::Numbered(name) => write!(f, "header `{name}1`"),
            Place::Body(path) => write!(f, "`{path}` of the body"),
            Place::Query(name) => write!(f, "query parameter `{name}`"),
            Place::Form(name) => write!(f, "form field `{name}`"),
            Place::FormJson(name, path) => write!(f, "`{path}` in form field `{name}`"),
            Place::Claim(_, path) => write!(f, "claim `{path}` of the token"),
            Place::Xml(path) => write!(f, "element `{path}` of the body"),
            Place::FormXml(name, path) => write!(f, "element `{path}` in form field `{name}`"),
            Place::Key("", keys) => write!(f, "the key of the body {keys}"),
            Place::Key(path, keys) => write!(f, "the key of `{path}` of the body {keys}"),
            Place::Link(relation) => write!(f, "the `Link` of relation `{relation}`"),
            Place::Whole => f.write_str("a digest of the body"),
            Place::All(places) | Place::First(places) => match places.first() {
                Some(first) => first.fmt(f),
                None => f.write_str("nothing"),
            },
        }
    }
}

impl fmt::Display for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |names: &[&str]| {
            names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        };
        match self {
            Keys::Besides(names) => write!(f, "that is none of {}", listed(names)),
            Keys::Ending(names) => write!(f, "that ends in {}", listed(names)),
        }
    }
}

/// The texts at a path.
fn values(path: &str, json: &[u8]) -> Found {
    walk(path, json, &mut |raw| json::text(raw).filter(|text| !text.is_empty()))
}

/// What `read` says to the values at a path.
fn walk(path: &str, json: &[u8], read: &mut dyn FnMut(&[u8]) -> Option<String>) -> Found {
    let separator = if path.starts_with('/') { '/' } else { '.' };
    let steps: Vec<&str> = path.split(separator).filter(|step| !step.is_empty()).collect();
    let mut found = Found::default();
    match json::find(json, &[]) {
        Some(root) => descend(root, &steps, read, &mut found),
        None => found.gaps = true,
    }
    found
}

fn descend(
    raw: &[u8],
    steps: &[&str],
    read: &mut dyn FnMut(&[u8]) -> Option<String>,
    found: &mut Found,
) {
    let Some((step, rest)) = steps.split_first() else {
        match read(raw) {
            Some(text) => found.texts.push(text),
            None => found.gaps = true,
        }
        return;
    };
    // Some senders put JSON into a text of their JSON.
    if let Some(inner) = json::text(raw).filter(|text| text.starts_with(['{', '['])) {
        return descend(inner.as_bytes(), steps, read, found);
    }
    if *step == "*" {
        match json::items(raw) {
            Some(items) => items.into_iter().for_each(|item| descend(item, rest, read, found)),
            None => found.gaps = true,
        }
        return;
    }
    match json::find(raw, &[step]) {
        Some(value) => descend(value, rest, read, found),
        None => found.gaps = true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Headers;

    fn look(place: Place<'_>) -> Option<String> {
        let headers = Headers::from_iter([("X-Id".to_owned(), " 7 ".to_owned())]);
        let request = Request {
            method: "POST",
            url: "https://example.com/?type=push",
            headers: &headers,
            body: br#"{"a":{"b":"c"},"list":[{"id":1},{"id":2}],"empty":""}"#,
        };
        extract(&place, &request)
    }

    #[test]
    fn every_kind_of_place() {
        assert_eq!(look(Place::Header("X-ID")).as_deref(), Some("7"));
        assert_eq!(look(Place::Body("a.b")).as_deref(), Some("c"));
        assert_eq!(look(Place::Body("list.*.id")).as_deref(), Some("1,2"));
        assert_eq!(look(Place::Body("empty")), None);
        assert_eq!(look(Place::Query("type")).as_deref(), Some("push"));
        let both = &[Place::Body("a.b"), Place::Header("x-id")];
        assert_eq!(look(Place::All(both)).as_deref(), Some("c:7"));
        assert_eq!(look(Place::All(&[Place::Body("a.b"), Place::Header("nope")])), None);
        assert_eq!(look(Place::First(&[Place::Header("nope"), both[0]])).as_deref(), Some("c"));
    }
}
