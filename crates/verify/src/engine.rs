//! From a row and a request to a verdict.

use std::{borrow::Cow, collections::VecDeque};

use sha2::Digest;
use smallvec::SmallVec;

use crate::{
    Encoding, Hash, Mac, Outcome, Place, Policy, Refused, Request, Secret, UnixTime, Verified,
    digest, ed25519,
    encoding::Short,
    hash::{self, Ready, Sum, digest_of, hmac_of},
    keys,
    keys::Kind,
    place,
    scheme::{Algorithm, BodyHash, CertificateAt, KeySource, Part, Signed, Stamp, StampAt, Syntax},
    step::{Job, Macs, Search, SignatureAlgorithm, Wanted},
    syntax::{self, Claims},
    time, uri,
};

/// Everything a check looks at.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'r> {
    pub(crate) secrets: &'r [Secret],
    pub(crate) request: &'r Request<'r>,
    pub(crate) now: UnixTime,
    pub(crate) policy: &'r Policy,
}

/// A piece of a message: borrowed from the request or the row, or made for it.
pub(crate) type Piece<'r> = Cow<'r, [u8]>;

pub(crate) fn start(scheme: &Signed<'_>, ask: Ask<'_>) -> Outcome {
    match begin(scheme, ask) {
        Ok(outcome) => outcome,
        Err(refused) => Outcome::Done(Err(refused)),
    }
}

fn begin(scheme: &Signed<'_>, ask: Ask<'_>) -> Result<Outcome, Refused> {
    let claims = syntax::read(scheme.places, scheme.syntax, ask.request)?;
    let stamp = read_stamp(scheme.stamp.as_ref(), &claims, ask.request)?;
    match &scheme.body_hash {
        Some(hash) => check_body_hash(hash, ask.request)?,
        None => check_form(scheme, ask.request)?,
    }
    let reading = Reading { claims, stamp };
    if Kind::of(scheme.algorithm).is_some() {
        check_age(scheme.stamp.as_ref(), &reading, ask)?;
        return public(scheme, &reading, ask);
    }
    if let Some(macs) = by_platform(scheme, &reading, ask) {
        return Ok(macs.next());
    }
    // The signature first: a late request of the real sender is reported as late, and nobody
    // else learns anything about our clock.
    let verdict = shared(scheme, &reading, ask)
        .and_then(|index| check_age(scheme.stamp.as_ref(), &reading, ask).map(|()| index));
    Ok(Outcome::Done(verdict.map(|index| Verified { secret_index: Some(index) })))
}

/// What the headers say, before any of it is believed.
pub(crate) struct Reading<'r> {
    pub(crate) claims: Claims<'r>,
    /// As written, and in milliseconds.
    stamp: Option<(Cow<'r, str>, u64)>,
}

fn read_stamp<'r>(
    stamp: Option<&Stamp<'_>>,
    claims: &Claims<'r>,
    request: &Request<'r>,
) -> Result<Option<(Cow<'r, str>, u64)>, Refused> {
    let Some(stamp) = stamp else { return Ok(None) };
    let text = match stamp.at {
        StampAt::Place(place) => place::one(&place, request),
        StampAt::Field(name) => claims.field(name).cloned(),
        StampAt::Parameter { header, name } => parameter(header, name, request).map(Cow::Owned),
    };
    let text = match text {
        Err(Refused::Missing { .. }) if stamp.optional => return Ok(None),
        text => text?,
    };
    let millis = time::parse(&text, stamp.unit).ok_or_else(|| Refused::Malformed {
        what: "the timestamp".to_owned(),
        why: "is not written as this provider writes it",
    })?;
    Ok(Some((text, millis)))
}

/// A parameter of a header: what stands behind `;name=`.
fn parameter(header: &str, name: &str, request: &Request<'_>) -> Result<String, Refused> {
    let text = place::one(&Place::Header(header), request)?;
    let mut values =
        text.split(';').filter_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
    let missing = || Refused::Missing { what: format!("parameter `{name}` of header `{header}`") };
    values.next().map(str::to_owned).ok_or_else(missing)
}

fn check_age(
    stamp: Option<&Stamp<'_>>,
    reading: &Reading<'_>,
    ask: Ask<'_>,
) -> Result<(), Refused> {
    let (Some(stamp), Some((_, millis))) = (stamp, &reading.stamp) else { return Ok(()) };
    let tolerance = ask.policy.tolerance_seconds.unwrap_or(stamp.tolerance);
    within(*millis, ask.now, tolerance)
}

/// Refuses what is further than `tolerance` seconds from `now`. 0 lets everything pass.
pub(crate) fn within(millis: u64, now: UnixTime, tolerance: u64) -> Result<(), Refused> {
    let (sent, now) = (millis, now.0.saturating_mul(1000));
    let allowed = tolerance.saturating_mul(1000);
    if tolerance == 0 {
        return Ok(());
    }
    if allowed < now.saturating_sub(sent) {
        return Err(Refused::TooOld { age: (now - sent) / 1000, tolerance });
    }
    // A clock of ours that is read in whole seconds lags by up to one.
    if allowed.saturating_add(999) < sent.saturating_sub(now) {
        return Err(Refused::TooNew { ahead: (sent - now) / 1000, tolerance });
    }
    Ok(())
}

fn check_body_hash(hash: &BodyHash<'_>, request: &Request<'_>) -> Result<(), Refused> {
    let Some(claimed) = place::extract(&hash.place, request) else {
        // Forms are signed field by field; anything else needs the hash to be signed at all.
        if request.body.is_empty() || is_form(request) {
            return Ok(());
        }
        return Err(Refused::Missing { what: hash.place.to_string() });
    };
    let actual = digest(hash.hash, &[request.body]);
    let same = hash.encoding.decode(claimed.as_bytes()).is_some_and(|claimed| claimed == actual);
    if same { Ok(()) } else { Err(Refused::Claim { what: hash.place.to_string() }) }
}

/// Where fields are signed, a body that is no form would not be signed at all.
fn check_form(scheme: &Signed<'_>, request: &Request<'_>) -> Result<(), Refused> {
    let mut parts = scheme.messages.iter().flat_map(|parts| parts.iter());
    let fields = parts.any(|part| matches!(part, Part::Form));
    if !fields || request.body.is_empty() || is_form(request) {
        return Ok(());
    }
    Err(Refused::Malformed { what: "the body".to_owned(), why: "is not declared to be a form" })
}

pub(crate) fn is_form(request: &Request<'_>) -> bool {
    let form = "application/x-www-form-urlencoded";
    request.headers.get("content-type").is_some_and(|value| {
        value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(form))
    })
}

/// MACs and digests: which secret matches.
fn shared(scheme: &Signed<'_>, reading: &Reading<'_>, ask: Ask<'_>) -> Result<usize, Refused> {
    if ask.secrets.is_empty() {
        return Err(Refused::NoSecret);
    }
    let claimed = decode(scheme, reading)?;
    let mut matching = None;
    let mut unusable = None;
    let mut usable = false;
    for (index, secret) in ask.secrets.iter().enumerate() {
        match matches(scheme, reading, &claimed, secret, ask) {
            Ok(right) => {
                usable = true;
                matching = matching.or(right.then_some(index));
            }
            Err(refused) => {
                unusable = unusable.or(Some(match refused {
                    Refused::Secret { why, .. } => Refused::Secret { index, why },
                    refused => refused,
                }));
            }
        }
    }
    let missed = Refused::Signature { signatures: claimed.len(), secrets: ask.secrets.len() };
    match (matching, unusable) {
        (Some(index), _) => Ok(index),
        (None, Some(refused)) if !usable => Err(refused),
        (None, _) => Err(missed),
    }
}

/// The HMACs of a long message that are for the shell. `None` where [`shared`] has to look: it
/// also has the words for what is refused before anything is compared.
fn by_platform(scheme: &Signed<'_>, reading: &Reading<'_>, ask: Ask<'_>) -> Option<Macs> {
    let Algorithm::Hmac(hash) = scheme.algorithm else { return None };
    let usual = !matches!(scheme.syntax, Syntax::NamedHash(_) | Syntax::KeyedPairs);
    if !usual || ask.secrets.is_empty() || !ask.policy.is_for_platform(hash, ask.request.body.len())
    {
        return None;
    }
    let claimed = decode(scheme, reading).ok()?;
    let signatures = claimed.len();
    let standard = scheme.syntax == Syntax::Versions;
    let compared = claimed.into_iter().filter(|claim| !standard || claim.label == "v1");
    let compared: Vec<Short> = compared.map(|claim| claim.bytes).collect();
    let mut queue = VecDeque::new();
    for (index, secret) in ask.secrets.iter().enumerate() {
        if standard && secret.expose().starts_with(keys::PUBLIC_PREFIX.as_bytes()) {
            return None;
        }
        let key = keys::mac_key(scheme.key, secret).ok()?;
        for message in messages(scheme, reading, Some(secret), ask.request).ok()? {
            let (before, after) = around(ask.request.body, &message)?;
            queue.push_back((index, Mac { hash, key: key.to_vec(), before, after }));
        }
    }
    let missed = Refused::Signature { signatures, secrets: ask.secrets.len() };
    let age = check_age(scheme.stamp.as_ref(), reading, ask);
    Some(Macs { queue, claimed: compared, secret: 0, matching: None, missed, age })
}

/// What stands before and after the body in a message that holds it once.
fn around(body: &[u8], message: &[Piece<'_>]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut halves = message.split(|piece| std::ptr::eq(piece.as_ref(), body));
    let (before, after) = (halves.next()?, halves.next()?);
    halves.next().is_none().then(|| (concat(before), concat(after)))
}

/// A decoded candidate.
struct Claimed<'r> {
    label: &'r str,
    hash: Hash,
    bytes: Short,
}

fn decode<'r>(
    scheme: &Signed<'_>,
    reading: &'r Reading<'_>,
) -> Result<SmallVec<[Claimed<'r>; 1]>, Refused> {
    let mut why = "holds no signature of this version";
    let mut claimed = SmallVec::new();
    for candidate in &reading.claims.candidates {
        let hash = match (scheme.syntax, scheme.algorithm) {
            (Syntax::NamedHash(_), _) => Hash::from_name(&candidate.label),
            (_, Algorithm::Hmac(hash) | Algorithm::Digest(hash)) => Some(hash),
            _ => None,
        };
        let Some(hash) = hash else { continue };
        match scheme.encoding.decode_short(candidate.text.as_bytes()) {
            None => why = not(scheme.encoding),
            Some(bytes) => {
                // Ed25519 signatures stand in the same list under their own version.
                if bytes.len() == hash.size() || candidate.label == "v1a" {
                    claimed.push(Claimed { label: &candidate.label, hash, bytes });
                } else {
                    why = "holds a signature of the wrong length";
                }
            }
        }
    }
    if claimed.is_empty() {
        let what = scheme.places.first().map_or_else(String::new, ToString::to_string);
        return Err(Refused::Malformed { what, why });
    }
    Ok(claimed)
}

pub(crate) const fn not(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Hex => "is not hex",
        Encoding::Base64 | Encoding::Base64Url => "is not base64",
        Encoding::Base64Hex => "is not base64 of hex",
    }
}

/// Whether `secret` made one of the signatures. Looks at all of them, right or wrong.
fn matches(
    scheme: &Signed<'_>,
    reading: &Reading<'_>,
    claimed: &[Claimed<'_>],
    secret: &Secret,
    ask: Ask<'_>,
) -> Result<bool, Refused> {
    let unusable = |why| Refused::Secret { index: 0, why };
    let public = public_half(scheme, secret);
    let standard = scheme.syntax == Syntax::Versions;
    let ed25519 = if standard && secret.expose().starts_with(keys::PUBLIC_PREFIX.as_bytes()) {
        let text = secret.expose();
        let found = keys::public_keys(text, Kind::Ed25519, None).into_iter().next();
        Some(found.ok_or_else(|| unusable("is no Ed25519 public key"))?)
    } else {
        None
    };
    // Whether a signature is meant for this secret, and for a MAC.
    let meant = |claim: &Claimed<'_>| {
        public.is_none_or(|public| public == claim.label.as_bytes())
            && (!standard || claim.label == "v1")
    };
    let always_sha256 = matches!(scheme.algorithm, Algorithm::Hmac(Hash::Sha256))
        && !matches!(scheme.syntax, Syntax::NamedHash(_));
    if always_sha256
        && ed25519.is_none()
        && let Some(ready) = secret.ready(scheme.key)
    {
        let meant = claimed.iter().filter(|claim| meant(claim));
        return streamed(scheme, reading, meant, (secret, ready), ask.request);
    }
    let key = match &ed25519 {
        None => keys::mac_key(scheme.key, secret).map_err(unusable)?,
        Some(_) => Cow::Borrowed(&[][..]),
    };
    let mut right = false;
    for message in messages(scheme, reading, Some(secret), ask.request)? {
        let parts = || message.iter().map(AsRef::as_ref);
        let mut macs: SmallVec<[(Hash, Sum); 1]> = SmallVec::new();
        for claim in claimed {
            if let Some(keys::PublicKey::Ed25519(key)) = &ed25519 {
                let parts: Vec<&[u8]> = parts().collect();
                right |= claim.label == "v1a" && ed25519::verify(key, &parts, &claim.bytes);
                continue;
            }
            if !meant(claim) {
                continue;
            }
            let known = macs.iter().find(|(hash, _)| *hash == claim.hash);
            let sum = if let Some((_, sum)) = known {
                *sum
            } else {
                let sum = match scheme.algorithm {
                    Algorithm::Digest(hash) => digest_of(hash, &mut parts()),
                    _ => hmac_of(claim.hash, &key, &mut parts()),
                };
                macs.push((claim.hash, sum));
                sum
            };
            right |= hash::same(&sum, &claim.bytes);
        }
    }
    Ok(right)
}

/// As [`matches`] for the usual HMAC-SHA-256: the parts go to the hash one by one, and nothing is
/// collected.
fn streamed<'c>(
    scheme: &Signed<'_>,
    reading: &Reading<'_>,
    claimed: impl Iterator<Item = &'c Claimed<'c>> + Clone,
    (secret, ready): (&Secret, &Ready),
    request: &Request<'_>,
) -> Result<bool, Refused> {
    let (mut right, mut whole) = (false, false);
    let mut missing = None;
    for alternative in scheme.messages {
        let mac = ready.hmac(|hash| {
            alternative.iter().try_for_each(|part| {
                render(part, reading, Some(secret), request).map(|piece| hash.update(&piece))
            })
        });
        match mac {
            Ok(mac) => {
                whole = true;
                for claim in claimed.clone() {
                    right |= hash::same(&mac, &claim.bytes);
                }
            }
            Err(refused) => missing = missing.or(Some(refused)),
        }
    }
    match missing {
        Some(refused) if !whole => Err(refused),
        _ => Ok(right),
    }
}

fn concat(message: &[Piece<'_>]) -> Vec<u8> {
    message.concat()
}

/// The public key whose pair counts, in a header of such pairs.
fn public_half<'s>(scheme: &Signed<'_>, secret: &'s Secret) -> Option<&'s [u8]> {
    let (public, _) = keys::pair(secret.expose());
    (scheme.syntax == Syntax::KeyedPairs && !public.is_empty()).then_some(public)
}

/// Public-key signatures: what has to be fetched or checked.
fn public(scheme: &Signed<'_>, reading: &Reading<'_>, ask: Ask<'_>) -> Result<Outcome, Refused> {
    let (algorithm, kind) = match scheme.algorithm {
        Algorithm::Rsa(hash) => (Some(SignatureAlgorithm::RsaPkcs1(hash)), Kind::Rsa),
        Algorithm::Ecdsa(hash) => (Some(SignatureAlgorithm::EcdsaP256(hash)), Kind::P256),
        _ => (None, Kind::Ed25519),
    };
    let mut signatures = Vec::new();
    for candidate in &reading.claims.candidates {
        if scheme.syntax == Syntax::Versions && candidate.label != "v1a" {
            continue;
        }
        let decoded = scheme.encoding.decode(candidate.text.as_bytes());
        signatures.extend(match kind {
            Kind::P256 => decoded.and_then(|der| keys::ecdsa_raw(&der)),
            Kind::Ed25519 => decoded.filter(|bytes| bytes.len() == 64),
            Kind::Rsa => decoded,
        });
    }
    if signatures.is_empty() {
        let what = scheme.places.first().map_or_else(String::new, ToString::to_string);
        return Err(Refused::Malformed { what, why: "holds no signature that could be read" });
    }
    let pasted = !matches!(scheme.keys, KeySource::Certificate(_));
    let mut signed = Vec::new();
    if pasted {
        for message in messages(scheme, reading, None, ask.request)? {
            signed.push((None, concat(&message)));
        }
    } else {
        // The key comes with the request; the secret is part of what it signs.
        for (index, secret) in ask.secrets.iter().enumerate() {
            for message in messages(scheme, reading, Some(secret), ask.request)? {
                signed.push((Some(index), concat(&message)));
            }
        }
        if signed.is_empty() {
            for message in messages(scheme, reading, None, ask.request)? {
                signed.push((None, concat(&message)));
            }
        }
    }
    let key_id = match scheme.keys {
        KeySource::Published { key_id: Some(place), .. } => {
            Some(place::one(&place, ask.request)?.into_owned())
        }
        _ => reading.claims.field("kid").ok().map(ToString::to_string),
    };
    find_keys(Job { algorithm, kind, key_id, messages: signed, signatures }, scheme.keys, ask)
}

/// Keys from the secrets, or a step that fetches them.
pub(crate) fn find_keys(job: Job, source: KeySource, ask: Ask<'_>) -> Result<Outcome, Refused> {
    if let KeySource::Certificate(CertificateAt { place, hosts, path, subjects }) = source {
        let url = place::one(place, ask.request)?;
        let host = uri::https_host(&url).filter(|host| trusted(host, hosts));
        host.filter(|_| leads_to_certificate(&url, *path)).ok_or(Refused::Host)?;
        return Ok(job.fetch_certificate(url.into_owned(), Wanted { subjects, now: ask.now }));
    }
    if source == KeySource::Plaid {
        let secret = ask.secrets.first().ok_or(Refused::NoSecret)?;
        let (client, key) = keys::pair(secret.expose());
        let quoted = |bytes: &[u8]| quote(&String::from_utf8_lossy(bytes));
        let key_id = job.key_id.clone().unwrap_or_default();
        let (client, key, key_id) = (quoted(client), quoted(key), quote(&key_id));
        let body = format!(r#"{{"client_id":{client},"secret":{key},"key_id":{key_id}}}"#);
        let url = "https://production.plaid.com/webhook_verification_key/get";
        return Ok(job.fetch(url.to_owned(), Some(body)));
    }
    let mut found = Vec::new();
    let mut urls = VecDeque::new();
    for (index, secret) in ask.secrets.iter().enumerate() {
        if let Some(url) = keys::key_url(secret) {
            urls.push_back((index, url.to_owned()));
            continue;
        }
        let keys = keys::public_keys(secret.expose(), job.kind, job.key_id.as_deref());
        found.extend(keys.into_iter().map(|key| (Some(index), key)));
    }
    if !urls.is_empty() {
        return Ok(Search { job, found, urls, of: None, failed: None, wanted: None }.next());
    }
    match source {
        KeySource::Published { url, .. } if ask.secrets.is_empty() => {
            let key_id = job.key_id.clone().unwrap_or_default();
            let plain =
                key_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
            if !plain {
                let what = "the key id".to_owned();
                return Err(Refused::Malformed { what, why: "holds characters of no key id" });
            }
            Ok(job.fetch(url.replace("{kid}", &key_id), None))
        }
        _ if ask.secrets.is_empty() => Err(Refused::NoSecret),
        _ if found.is_empty() => {
            Err(Refused::Secret { index: 0, why: "holds no public key of the kind needed" })
        }
        _ => Ok(job.with_keys(found)),
    }
}

/// Whether the path of an `https` URL is what the row says, around a name without anything odd in it.
fn leads_to_certificate(url: &str, (before, after): (&str, &str)) -> bool {
    let rest = url.strip_prefix("https://").unwrap_or_default();
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
    let name = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.is_some_and(|name| !name.is_empty() && !name.contains("..") && name.bytes().all(plain))
}

/// Whether a pattern of the row fits the host. `*.` in front stands for one or more labels,
/// `*` inside for the letters, digits and hyphens of one label.
pub(crate) fn trusted(host: &str, patterns: &[&str]) -> bool {
    patterns.iter().any(|pattern| match pattern.split_once('*') {
        Some(("", domain)) => host.len() > domain.len() && host.ends_with(domain),
        Some((before, after)) => host
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            // A bucket of anybody's can be named `sns` and answer at `sns.s3-….amazonaws.com`.
            .is_some_and(|label| {
                2 < label.len() && !label.contains('.') && !label.starts_with("s3")
            }),
        None => host == *pattern,
    })
}

fn bytes(text: Cow<'_, str>) -> Piece<'_> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

/// The pieces of a message: few, so that they need no heap.
type Message<'r> = SmallVec<[Piece<'r>; 5]>;

/// Every alternative of which the request has all parts.
fn messages<'r>(
    scheme: &Signed<'r>,
    reading: &'r Reading<'_>,
    secret: Option<&'r Secret>,
    request: &'r Request<'_>,
) -> Result<SmallVec<[Message<'r>; 1]>, Refused> {
    let mut found = SmallVec::new();
    let mut missing = None;
    for alternative in scheme.messages {
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

fn render<'r>(
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
        Part::Form => {
            let mut pairs = uri::sorted(request.body);
            pairs.dedup();
            owned(pairs.into_iter().map(|(name, value)| name + &value).collect())
        }
        Part::Secret => {
            secret.map(|secret| Cow::Borrowed(secret.expose())).ok_or(Refused::NoSecret)
        }
        Part::Public => {
            let (public, _) = keys::pair(secret.ok_or(Refused::NoSecret)?.expose());
            Ok(Cow::Borrowed(public))
        }
        Part::Custom(make) => make(request).map(Cow::Owned).ok_or_else(|| absent("a signed part")),
        Part::CustomFields(make) => {
            let secret = secret.ok_or(Refused::NoSecret)?;
            let piece = make(request, &reading.claims.fields, secret);
            piece.map(Cow::Owned).ok_or_else(|| absent("a signed part"))
        }
    }
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
