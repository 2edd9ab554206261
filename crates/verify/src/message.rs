//! What was signed: the parts of a row, as they stand in a request.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::{
    Place, Refused, Request, Secret, digest,
    engine::Reading,
    keys, place,
    scheme::{Part, Signed},
    uri,
};

/// A piece of a message: borrowed from the request or the row, or made for it.
pub(crate) type Piece<'r> = Cow<'r, [u8]>;

fn bytes(text: Cow<'_, str>) -> Piece<'_> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// The pieces of a message: few, so that they need no heap.
pub(crate) type Message<'r> = SmallVec<[Piece<'r>; 5]>;

/// Every alternative of which the request has all parts.
pub(crate) fn messages<'r>(
    scheme: &Signed<'r>,
    reading: &'r Reading<'_>,
    secret: Option<&'r Secret>,
    request: &'r Request<'_>,
) -> Result<SmallVec<[Message<'r>; 1]>, Refused> {
    let mut found = SmallVec::new();
    let mut missing = None;
    for alternative in alternatives(scheme, request.body) {
        let pieces: Result<Message<'r>, _> =
            alternative.iter().map(|part| render(part, reading, secret, request)).collect();
        match pieces {
            Ok(pieces) => found.push(pieces),
            Err(refused) => missing = missing.or(Some(refused)),
        }
    }
    match missing {
        Some(refused) if found.is_empty() => Err(refused),
        _ => Ok(found),
    }
}

/// The messages that may have been signed. Where a time is signed with the body or left out, a body that begins or ends
/// with a digit could be an older request's with its time moved into it: then the time has to be there.
pub(crate) fn alternatives<'r>(
    scheme: &Signed<'r>,
    body: &[u8],
) -> impl Iterator<Item = &'r [Part<'r>]> {
    let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let (leads, ends) = (digit(body.first()), digit(body.last()));
    let timed = |parts: &&[Part<'_>]| match parts {
        [Part::Stamp, .., Part::Body] => leads,
        [Part::Body, .., Part::Stamp] => ends,
        _ => false,
    };
    let is_ambiguous = (leads || ends) && scheme.messages.iter().any(timed);
    let messages = scheme.messages.iter().copied();
    messages.filter(move |parts| !(is_ambiguous && matches!(parts, [Part::Body])))
}

pub(crate) fn render<'r>(
    part: &Part<'r>,
    reading: &'r Reading<'_>,
    secret: Option<&'r Secret>,
    request: &'r Request<'_>,
) -> Result<Piece<'r>, Refused> {
    let absent = |what: &str| Refused::Missing { what: what.to_owned() };
    let owned = |text: String| Ok(Cow::Owned(text.into_bytes()));
    let optional = |before: &str, place: &Place<'_>, after: &str, lower: bool| {
        let text = place::extract(place, request).map(|text| {
            let text = if lower { text.to_lowercase() } else { text };
            format!("{before}{text}{after}")
        });
        owned(text.unwrap_or_default())
    };
    match part {
        Part::Text(text) => Ok(Cow::Borrowed(text.as_bytes())),
        Part::Body => Ok(Cow::Borrowed(request.body)),
        Part::BodyDigest(hash, encoding) => owned(encoding.encode(&digest(*hash, &[request.body]))),
        Part::BodyCrc32 => owned(crc32(request.body).to_string()),
        Part::BodyQuoted => match std::str::from_utf8(request.body) {
            Ok(text) => owned(quote(text)),
            Err(_) => Err(Refused::Malformed { what: "the body".to_owned(), why: "is not UTF-8" }),
        },
        Part::At(place) => Ok(bytes(place::one(place, request)?)),
        Part::Maybe(before, place, after) => optional(before, place, after, false),
        Part::MaybeLower(before, place, after) => optional(before, place, after, true),
        Part::Raw(path) => {
            let steps: Vec<_> = path.split('.').collect();
            let raw = crate::json::find_only(request.body, &steps)?;
            Ok(Cow::Borrowed(raw))
        }
        Part::Field(name) => Ok(Cow::Borrowed(reading.claims.field(name)?.as_bytes())),
        Part::Stamp => match &reading.stamp {
            Some((text, _)) => Ok(Cow::Borrowed(text.as_bytes())),
            None => Err(absent("the timestamp")),
        },
        Part::Method => Ok(Cow::Borrowed(request.method.as_bytes())),
        Part::Url(form) => owned(uri::form(request.url, *form)),
        Part::Form if !is_form(request) => Ok(Cow::Borrowed(&[])),
        Part::Form => Ok(Cow::Borrowed(reading.form.get_or_init(|| form(request.body)))),
        Part::Secret => {
            secret.map(|secret| Cow::Borrowed(secret.expose())).ok_or(Refused::NoSecret)
        }
        Part::Public => {
            let (public, _) = keys::pair(secret.ok_or(Refused::NoSecret)?.expose());
            Ok(Cow::Borrowed(public))
        }
        Part::Custom(make) => {
            let piece = reading.made.get_or_init(|| make(request)).as_deref();
            piece.map(Cow::Borrowed).ok_or_else(|| absent("a signed part"))
        }
        Part::CustomFields(make) => {
            let secret = secret.ok_or(Refused::NoSecret)?;
            let piece = make(request, &reading.claims.fields, secret);
            piece.map(Cow::Owned).ok_or_else(|| absent("a signed part"))
        }
    }
}

/// The fields of a form, sorted, each with its value, and each once.
fn form(body: &[u8]) -> Vec<u8> {
    let mut pairs = uri::sorted(body);
    pairs.dedup();
    let mut text = Vec::with_capacity(body.len());
    for (name, value) in pairs {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(value.as_bytes());
    }
    text
}

/// A JSON string literal, as JavaScript's `JSON.stringify` writes it.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            low @ ..' ' => quoted.extend(['\\', 'u', '0', '0', digit(low, 4), digit(low, 0)]),
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

/// Four bits of a character below U+0100 in hex.
fn digit(char: char, shift: u32) -> char {
    char::from_digit((u32::from(char) >> shift) & 15, 16).unwrap_or('0')
}

/// CRC-32 as in zlib. Bit by bit: a table would be larger than the code it saves.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(!0, step)
}

pub(crate) fn is_form(request: &Request<'_>) -> bool {
    let form = "application/x-www-form-urlencoded";
    request.headers.get("content-type").is_some_and(|value| {
        value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(form))
    })
}

pub(crate) fn concat(message: &[Piece<'_>]) -> Vec<u8> {
    message.concat()
}
