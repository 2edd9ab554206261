//! Takes a signature header apart.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::{Encoding, Hash, Place, Refused, Request, json, place, scheme::Syntax};

/// More signatures than this in one request are not looked at. `DocuSign` sends up to 100.
const MOST: usize = 100;

/// The pairs of a signature header that hold no signature: name, value.
pub(crate) type Fields<'r> = [(Cow<'r, str>, Cow<'r, str>)];

/// What a request claims about itself. Borrowed from its headers where it stands there as it is meant.
#[derive(Debug, Default)]
pub(crate) struct Claims<'r> {
    pub(crate) candidates: SmallVec<[Candidate<'r>; 2]>,
    /// The other pairs of the header.
    pub(crate) fields: SmallVec<[(Cow<'r, str>, Cow<'r, str>); 2]>,
}

/// A text that may be a signature.
#[derive(Debug)]
pub(crate) struct Candidate<'r> {
    /// What stands before it: a version, a hash name, a public key.
    pub(crate) label: Cow<'r, str>,
    pub(crate) text: Cow<'r, str>,
}

impl<'r> Claims<'r> {
    /// The value of a pair. Two that differ are refused.
    pub(crate) fn field(&self, name: &str) -> Result<&Cow<'r, str>, Refused> {
        let what = || format!("`{name}=` in the signature header");
        let mut found = self.fields.iter().filter(|(have, _)| have == name).map(|(_, value)| value);
        let first = found.next().ok_or_else(|| Refused::Missing { what: what() })?;
        match found.filter(|value| *value != first).count() {
            0 => Ok(first),
            others => Err(Refused::Ambiguous { what: what(), times: others + 1 }),
        }
    }

    fn push(&mut self, label: &'r str, text: &'r str) {
        self.add(Cow::Borrowed(label), Cow::Borrowed(text));
    }

    fn add(&mut self, label: Cow<'r, str>, text: Cow<'r, str>) {
        let fresh = !self.candidates.iter().any(|have| have.label == label && have.text == text);
        if fresh && !text.is_empty() && self.candidates.len() < MOST {
            self.candidates.push(Candidate { label, text });
        }
    }

    fn add_field(&mut self, name: Cow<'r, str>, value: Cow<'r, str>) {
        if self.fields.len() < MOST {
            self.fields.push((name, value));
        }
    }

    /// Takes over what was read from a text that does not live as long as the request.
    fn absorb(&mut self, others: Claims<'_>) {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        for Candidate { label, text } in others.candidates {
            self.add(own(label), own(text));
        }
        for (name, value) in others.fields {
            self.add_field(own(name), own(value));
        }
    }
}

impl<'r> Claims<'r> {
    /// Reads the signatures at `places`.
    pub(crate) fn read(
        &mut self,
        places: &[Place<'_>],
        syntax: Syntax<'_>,
        request: &Request<'r>,
    ) -> Result<(), Refused> {
        let first = || place::named(places);
        let (mut present, mut written) = (false, false);
        let single = matches!(syntax, Syntax::One { .. } | Syntax::NamedHash(_));
        for place in places {
            if let Place::Header(name) = place {
                let mut several = false;
                for line in request.headers.get_all(name).map(str::trim_ascii) {
                    several |= present;
                    present = true;
                    written |= !line.is_empty();
                    several |= 1 < take(line, syntax, place, self);
                }
                if let Syntax::One { prefix } = syntax
                    && prefix.contains(',')
                {
                    several = false;
                    // The same text twice is one candidate.
                    if 1 < self.candidates.len() {
                        let (what, times) = (place.to_string(), self.candidates.len());
                        return Err(Refused::Ambiguous { what, times });
                    }
                }
                if single && several {
                    alone(place, &place::lines(place, request))?;
                }
                continue;
            }
            let lines = place::lines(place, request);
            present |= !lines.is_empty();
            written |= lines.iter().any(|line| !line.is_empty());
            if single && !matches!(place, Place::Numbered(_)) {
                alone(place, &lines)?;
            }
            for line in lines {
                match line {
                    Cow::Borrowed(line) => _ = take(line, syntax, place, self),
                    Cow::Owned(line) => {
                        let mut own = Claims::default();
                        take(&line, syntax, place, &mut own);
                        self.absorb(own);
                    }
                }
            }
        }
        match (present, written) {
            (false, _) => Err(Refused::Missing { what: first() }),
            (_, false) => Err(Refused::Empty { what: first() }),
            _ if self.candidates.is_empty() => Err(Refused::Malformed {
                what: first(),
                why: "holds no signature of the kind this provider sends",
            }),
            _ => Ok(()),
        }
    }
}

/// Refuses two different values where the provider sends one: a proxy or application behind us
/// might look at the other.
fn alone(place: &Place<'_>, lines: &[Cow<'_, str>]) -> Result<(), Refused> {
    let pieces = lines.iter().flat_map(|line| line.split(',')).map(str::trim_ascii);
    let mut pieces = pieces.filter(|piece| !piece.is_empty());
    let first = pieces.next();
    let Some(second) = pieces.find(|piece| Some(*piece) != first) else { return Ok(()) };
    let mut distinct: Vec<&str> = first.into_iter().chain([second]).collect();
    for piece in pieces {
        if !distinct.contains(&piece) && distinct.len() < MOST {
            distinct.push(piece);
        }
    }
    Err(Refused::Ambiguous { what: place.to_string(), times: distinct.len() })
}

/// Adds what one line says. How many pieces it has, where there should be one.
fn take<'r>(
    line: &'r str,
    syntax: Syntax<'_>,
    place: &Place<'_>,
    claims: &mut Claims<'r>,
) -> usize {
    let mut count = 0;
    match syntax {
        Syntax::One { prefix } => {
            // Runtimes join repeated header lines with commas; no encoding uses them.
            let separators = if matches!(place, Place::Header(_)) { "," } else { "" };
            if !separators.is_empty() && prefix.contains(',') {
                for text in joined(line, prefix) {
                    count += 1;
                    claims.push("", text);
                }
                return count;
            }
            for piece in split(line, separators) {
                count += 1;
                if let Some(text) = after(piece, prefix) {
                    claims.push("", text);
                }
            }
        }
        Syntax::Several { prefix, separators } => {
            let others = if separators == "," { "" } else { separators };
            for piece in split(line, ",").flat_map(|piece| split(piece, others)) {
                if let Some(text) = after(piece, prefix) {
                    claims.push("", text);
                }
            }
        }
        Syntax::After { prefix, separators } => {
            for piece in after(line, prefix).into_iter().flat_map(|list| split(list, separators)) {
                claims.push("", after(piece, prefix).unwrap_or(piece.trim_ascii()));
            }
        }
        Syntax::Pairs { separators, signatures } => {
            for piece in split(line, separators) {
                let Some((name, value)) = piece.trim_ascii().split_once('=') else { continue };
                if signatures.contains(&name) {
                    claims.push(name, value.trim_matches('"'));
                } else {
                    claims.add_field(Cow::Borrowed(name), Cow::Borrowed(value));
                }
            }
        }
        Syntax::Positional => {
            let mut pieces = line.split(',').map(str::trim_ascii);
            if let Some(first) = pieces.next() {
                claims.add_field(Cow::Borrowed("0"), Cow::Borrowed(first));
            }
            pieces.for_each(|piece| claims.push("", piece));
        }
        Syntax::Versions => {
            // A joined second line starts with `, `, which leaves a comma alone in its word.
            for piece in split(line, " ") {
                if let Some((version, text)) = piece.split_once(',') {
                    claims.push(version, text.strip_suffix(',').unwrap_or(text));
                }
            }
        }
        Syntax::NamedHash(hashes) => {
            for piece in line.split(',') {
                count += 1;
                let Some((name, text)) = piece.trim_ascii().split_once('=') else { continue };
                let is = |hash: &&Hash| hash.name().eq_ignore_ascii_case(name);
                if let Some(hash) = hashes.iter().find(is) {
                    claims.push(hash.name(), text);
                }
            }
        }
        Syntax::JsonEnvelope => {
            let Some(envelope) = Encoding::Base64.decode(line.as_bytes()) else { return count };
            let member = |name| json::find(&envelope, &[name]).and_then(json::text);
            if let Some(kid) = member("kid") {
                claims.add_field(Cow::Borrowed("kid"), Cow::Owned(kid));
            }
            if let Some(text) = member("signature") {
                claims.add(Cow::Borrowed(""), Cow::Owned(text));
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
                let Some((name, value)) = piece.trim_ascii().split_once('=') else { continue };
                let inner = value.strip_prefix(':').and_then(|value| value.strip_suffix(':'));
                if let Some(text) = inner {
                    claims.push(name, text);
                }
            }
        }
    }
    count
}

/// The pieces between any of `separators`, which nearly always are one byte or two.
fn split<'a, 's>(
    text: &'a str,
    separators: &'s str,
) -> impl Iterator<Item = &'a str> + use<'a, 's> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let here = rest?;
        let end = match separators.as_bytes() {
            [] => None,
            [one] => find_either(here.as_bytes(), *one, *one),
            [one, two] if separators.is_ascii() => find_either(here.as_bytes(), *one, *two),
            _ => here.find(|char| separators.contains(char)),
        };
        let Some((piece, tail)) = end.and_then(|end| here.split_at_checked(end)) else {
            return rest.take();
        };
        let mut chars = tail.chars();
        chars.next();
        rest = Some(chars.as_str());
        Some(piece)
    })
}

/// Where the first of two bytes stands, looked for eight bytes at a time.
fn find_either(text: &[u8], one: u8, two: u8) -> Option<usize> {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    // The lowest of its bits that is set marks the first zero byte; those above it may be wrong.
    let zeros = |word: u64| word.wrapping_sub(EACH) & !word & (EACH << 7);
    let (ones, twos) = (EACH * u64::from(one), EACH * u64::from(two));
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ ones) | zeros(word ^ twos);
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| *byte == one || *byte == two)?;
    Some(words.len() * 8 + at)
}

/// What follows a `prefix` with a comma in it, in each of the lines that a runtime has joined.
fn joined<'a>(line: &'a str, prefix: &str) -> Vec<&'a str> {
    let next = format!(", {prefix}");
    let first = after(line, prefix).into_iter();
    first.flat_map(|rest| rest.split(next.as_str())).map(str::trim_ascii).collect()
}

/// What follows `prefix`, which may be in any case.
fn after<'a>(piece: &'a str, prefix: &str) -> Option<&'a str> {
    let piece = piece.trim_ascii();
    let (head, tail) = piece.split_at_checked(prefix.len())?;
    (head == prefix || head.eq_ignore_ascii_case(prefix)).then(|| tail.trim_ascii_start())
}
