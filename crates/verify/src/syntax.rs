//! Takes a signature header apart.

use crate::{Encoding, Hash, Place, Refused, Request, json, place, scheme::Syntax};

/// More signatures than this in one request are not looked at. `DocuSign` sends up to 100.
const MOST: usize = 100;

/// What a request claims about itself.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    pub(crate) candidates: Vec<Candidate>,
    /// The other pairs of the header.
    pub(crate) fields: Vec<(String, String)>,
}

/// A text that may be a signature.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// What stands before it: a version, a hash name, a public key.
    pub(crate) label: String,
    pub(crate) text: String,
}

impl Claims {
    /// The value of a pair. Two that differ are refused.
    pub(crate) fn field(&self, name: &str) -> Result<&str, Refused> {
        let what = || format!("`{name}=` in the signature header");
        let mut found = self.fields.iter().filter(|(have, _)| have == name).map(|(_, value)| value);
        let first = found.next().ok_or_else(|| Refused::Missing { what: what() })?;
        match found.filter(|value| *value != first).count() {
            0 => Ok(first),
            others => Err(Refused::Ambiguous { what: what(), times: others + 1 }),
        }
    }

    fn push(&mut self, label: &str, text: &str) {
        let fresh = !self.candidates.iter().any(|have| have.label == label && have.text == text);
        if fresh && !text.is_empty() && self.candidates.len() < MOST {
            self.candidates.push(Candidate { label: label.to_owned(), text: text.to_owned() });
        }
    }
}

/// Reads the signatures at `places`.
pub(crate) fn read(
    places: &[Place<'_>],
    syntax: Syntax<'_>,
    request: &Request<'_>,
) -> Result<Claims, Refused> {
    let first = || places.first().map_or_else(String::new, ToString::to_string);
    let mut claims = Claims::default();
    let (mut present, mut written) = (false, false);
    for place in places {
        let lines = place::lines(place, request);
        present |= !lines.is_empty();
        written |= lines.iter().any(|line| !line.is_empty());
        let single = matches!(syntax, Syntax::One { .. } | Syntax::NamedHash(_));
        if single && !matches!(place, Place::Numbered(_)) {
            alone(place, &lines)?;
        }
        for line in &lines {
            take(line, syntax, place, &mut claims);
        }
    }
    match (present, written) {
        (false, _) => Err(Refused::Missing { what: first() }),
        (_, false) => Err(Refused::Empty { what: first() }),
        _ if claims.candidates.is_empty() => Err(Refused::Malformed {
            what: first(),
            why: "holds no signature of the kind this provider sends",
        }),
        _ => Ok(claims),
    }
}

/// Refuses two different values where the provider sends one: a proxy or application behind us
/// might look at the other.
fn alone(place: &Place<'_>, lines: &[String]) -> Result<(), Refused> {
    let mut distinct: Vec<&str> = Vec::new();
    for piece in lines.iter().flat_map(|line| line.split(',')).map(str::trim) {
        if !piece.is_empty() && !distinct.contains(&piece) && distinct.len() < MOST {
            distinct.push(piece);
        }
    }
    match distinct.len() {
        0 | 1 => Ok(()),
        times => Err(Refused::Ambiguous { what: place.to_string(), times }),
    }
}

fn take(line: &str, syntax: Syntax<'_>, place: &Place<'_>, claims: &mut Claims) {
    match syntax {
        Syntax::One { prefix } => {
            // Runtimes join repeated header lines with commas; no encoding uses them.
            let header = matches!(place, Place::Header(_));
            for piece in line.split(|char| char == ',' && header) {
                if let Some(text) = after(piece, prefix) {
                    claims.push("", text);
                }
            }
        }
        Syntax::Several { prefix, separators } => {
            for piece in line.split(|char| char == ',' || separators.contains(char)) {
                if let Some(text) = after(piece, prefix) {
                    claims.push("", text);
                }
            }
        }
        Syntax::After { prefix, separators } => {
            let Some(list) = after(line, prefix) else { return };
            for piece in list.split(|char| separators.contains(char)) {
                claims.push("", after(piece, prefix).unwrap_or(piece.trim()));
            }
        }
        Syntax::Pairs { separators, signatures } => {
            for piece in line.split(|char| separators.contains(char)) {
                let Some((name, value)) = piece.trim().split_once('=') else { continue };
                if signatures.contains(&name) {
                    claims.push(name, value);
                } else if claims.fields.len() < MOST {
                    claims.fields.push((name.to_owned(), value.to_owned()));
                }
            }
        }
        Syntax::Positional => {
            let mut pieces = line.split(',').map(str::trim);
            if let Some(first) = pieces.next() {
                claims.fields.push(("0".to_owned(), first.to_owned()));
            }
            pieces.for_each(|piece| claims.push("", piece));
        }
        Syntax::Versions => {
            // A joined second line starts with `, `, which leaves a comma alone in its word.
            for piece in line.split_ascii_whitespace() {
                if let Some((version, text)) = piece.trim_end_matches(',').split_once(',') {
                    claims.push(version, text);
                }
            }
        }
        Syntax::NamedHash(hashes) => {
            for piece in line.split(',') {
                let Some((name, text)) = piece.trim().split_once('=') else { continue };
                let is = |hash: &&Hash| hash.name().eq_ignore_ascii_case(name);
                if let Some(hash) = hashes.iter().find(is) {
                    claims.push(hash.name(), text);
                }
            }
        }
        Syntax::JsonEnvelope => {
            let Some(envelope) = Encoding::Base64.decode(line.as_bytes()) else { return };
            let member = |name| json::find(&envelope, &[name]).and_then(json::text);
            if let Some(kid) = member("kid") {
                claims.fields.push(("kid".to_owned(), kid));
            }
            if let Some(text) = member("signature") {
                claims.push("", &text);
            }
        }
        Syntax::KeyedPairs => {
            for pair in line.split('&') {
                if let Some((key, text)) = pair.split_once('|') {
                    claims.push(key, text.trim());
                }
            }
        }
        Syntax::Dictionary => {
            for piece in line.split(',') {
                let Some((name, value)) = piece.trim().split_once('=') else { continue };
                let inner = value.strip_prefix(':').and_then(|value| value.strip_suffix(':'));
                if let Some(text) = inner {
                    claims.push(name, text);
                }
            }
        }
    }
}

/// What follows `prefix`, which may be in any case.
fn after<'a>(piece: &'a str, prefix: &str) -> Option<&'a str> {
    let piece = piece.trim();
    let (head, tail) = piece.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| tail.trim())
}
