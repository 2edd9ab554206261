//! Where in a request a value stands.

use std::{borrow::Cow, fmt};

use smallvec::SmallVec;

use crate::{Encoding, Refused, Request, json, multipart, uri};

/// Where in a request a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place<'a> {
    /// A header, by its lower-case name.
    Header(&'a str),
    /// A value in a JSON body: keys and array indices with dots between them. `*` stands for
    /// every item of an array. A key that holds dots itself cannot be named.
    Body(&'a str),
    /// A query parameter of the URL.
    Query(&'a str),
    /// A field of an `application/x-www-form-urlencoded` or `multipart/form-data` body; of a `GET`, whose
    /// fields are in the URL, a query parameter.
    Form(&'a str),
    /// A value in the JSON that a form field holds: field, path.
    FormJson(&'a str, &'a str),
    /// A claim of the JSON Web Token in a header: header, claim. Whether the token is genuine is for the check to say.
    TokenClaim(&'a str, &'a str),
    /// Headers whose names are this and a number.
    Numbered(&'a str),
    /// All of these, joined by `:`; nothing where one is absent.
    All(&'a [Place<'a>]),
    /// The first of these that is present.
    First(&'a [Place<'a>]),
}

/// A [`Place`] that a row of the catalogue names.
pub type Location = Place<'static>;

/// The text at `place`. `None` where it is absent, empty, or not a single text or number;
/// several items of a `*` are joined by `,`.
pub fn extract(place: &Place<'_>, request: &Request<'_>) -> Option<String> {
    let found = match place {
        Place::Header(name) => request.headers.get(name)?.trim().to_owned(),
        Place::Body(path) => {
            let found = body(path, request.body);
            (!found.is_empty()).then(|| found.join(","))?
        }
        Place::Query(name) => uri::query_value(request.url, name)?,
        Place::Form(name) if request.method == "GET" => uri::query_value(request.url, name)?,
        Place::Form(name) => {
            multipart::fields(request).into_iter().find(|(have, _)| have == name)?.1
        }
        Place::FormJson(field, path) => {
            let json = extract(&Place::Form(field), request)?;
            let found = body(path, json.as_bytes());
            (!found.is_empty()).then(|| found.join(","))?
        }
        Place::TokenClaim(header, claim) => {
            let token = request.headers.get(header)?.split_ascii_whitespace().last()?;
            let payload = Encoding::Base64Url.decode(token.split('.').nth(1)?.as_bytes())?;
            json::text(json::find_only(&payload, &[claim]).ok()?)?
        }
        Place::Numbered(_) => lines(place, request).into_iter().next()?.into_owned(),
        Place::All(places) => {
            let parts: Option<Vec<_>> =
                places.iter().map(|place| extract(place, request)).collect();
            parts?.join(":")
        }
        Place::First(places) => places.iter().find_map(|place| extract(place, request))?,
    };
    (!found.is_empty()).then_some(found)
}

/// As [`extract`], one entry for each item that a `*` in a body path stands for.
///
/// Providers that send batches put several events into one request; this is how each of them
/// is told apart.
pub fn extract_each(place: &Place<'_>, request: &Request<'_>) -> Vec<String> {
    match place {
        Place::Body(path) => body(path, request.body),
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

/// Texts at one place: nearly always one, which needs no heap.
pub(crate) type Lines<'r> = SmallVec<[Cow<'r, str>; 2]>;

/// Every text at `place`, empty ones included: one for each header line.
pub(crate) fn lines<'r>(place: &Place<'_>, request: &Request<'r>) -> Lines<'r> {
    let trimmed = |line: &'r str| Cow::Borrowed(line.trim());
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
        Place::Query(name) => values(uri::pairs(uri::query(request.url).as_bytes()), name),
        Place::Form(name) => values(multipart::fields(request), name),
        _ => extract(place, request).map(Cow::Owned).into_iter().collect(),
    }
}

fn values<'r>(pairs: Vec<(String, String)>, name: &str) -> Lines<'r> {
    let named = pairs.into_iter().filter(|(have, _)| have == name);
    named.map(|(_, value)| Cow::Owned(value)).collect()
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
        None => Err(Refused::Missing { what: place.to_string() }),
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
        let mut lines = request.headers.get_all(name).map(str::trim);
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
            Place::TokenClaim(name, claim) => write!(f, "claim `{claim}` of header `{name}`"),
            Place::FormJson(name, path) => write!(f, "`{path}` in form field `{name}`"),
            Place::All(places) | Place::First(places) => match places.first() {
                Some(first) => first.fmt(f),
                None => f.write_str("nothing"),
            },
        }
    }
}

fn body(path: &str, json: &[u8]) -> Vec<String> {
    let Some(root) = json::find(json, &[]) else { return Vec::new() };
    let mut here = vec![root];
    for step in path.split('.').filter(|step| !step.is_empty()) {
        here = if step == "*" {
            here.into_iter().filter_map(json::items).flatten().collect()
        } else {
            here.into_iter().filter_map(|raw| json::find(raw, &[step])).collect()
        };
    }
    here.into_iter().filter_map(json::text).filter(|text| !text.is_empty()).collect()
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
