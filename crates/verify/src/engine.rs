//! From a row and a request to a verdict.

use std::{borrow::Cow, cell::OnceCell, collections::VecDeque};

use sha2::Digest;
use smallvec::SmallVec;

use crate::{
    Encoding, Hash, Mac, Outcome, Place, Policy, Refused, Request, Secret, UnixTime, Verified,
    digest, ed25519,
    hash::{self, Ready, Sum, digest_of, hmac_of},
    keys,
    keys::Kind,
    message::{Piece, alternatives, concat, is_form, messages, render},
    place, public,
    scheme::{Algorithm, BodyHash, Part, Signed, Stamp, StampAt, Syntax},
    step::Macs,
    syntax::Claims,
    time,
};

/// Everything a check looks at.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'r> {
    pub(crate) secrets: &'r [Secret],
    pub(crate) request: &'r Request<'r>,
    pub(crate) now: UnixTime,
    pub(crate) policy: &'r Policy,
}

pub(crate) fn start(scheme: &Signed<'_>, ask: Ask<'_>) -> Outcome {
    match begin(scheme, ask) {
        Ok(outcome) => outcome,
        Err(refused) => Outcome::Done(Err(refused)),
    }
}

fn begin(scheme: &Signed<'_>, ask: Ask<'_>) -> Result<Outcome, Refused> {
    let mut reading = Reading::default();
    reading.claims.read(scheme.places, scheme.syntax, ask.request)?;
    reading.stamp = read_stamp(scheme.stamp.as_ref(), &reading.claims, ask.request)?;
    match &scheme.body_hash {
        Some(hash) => check_body_hash(hash, ask.request)?,
        None => check_form(scheme, ask.request)?,
    }
    if Kind::of(scheme.algorithm).is_some() {
        check_age(scheme.stamp.as_ref(), &reading, ask)?;
        return public::start(scheme, &reading, ask);
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
#[derive(Default)]
pub(crate) struct Reading<'r> {
    pub(crate) claims: Claims<'r>,
    /// As written, and in milliseconds.
    pub(crate) stamp: Option<(Cow<'r, str>, u64)>,
    /// The fields of the form as they are signed: made once, however many secrets are tried.
    pub(crate) form: OnceCell<Vec<u8>>,
    /// What the row's [`Part::Custom`] makes, of which a row has one.
    pub(crate) made: OnceCell<Option<Vec<u8>>>,
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
        let what = format!("{}, by which the sender signs a body that is no form,", hash.place);
        return Err(Refused::Missing { what });
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

/// MACs and digests: which secret matches.
fn shared(scheme: &Signed<'_>, reading: &Reading<'_>, ask: Ask<'_>) -> Result<usize, Refused> {
    if ask.secrets.is_empty() {
        return Err(Refused::NoSecret);
    }
    let mut claimed = Signatures::new();
    decode(scheme, reading, &mut claimed)?;
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
    let mut claimed = Signatures::new();
    decode(scheme, reading, &mut claimed).ok()?;
    let signatures = claimed.len();
    let standard = scheme.syntax == Syntax::Versions;
    let compared = claimed.into_iter().filter(|claim| !standard || claim.label == "v1");
    let compared: Vec<Sum> = compared.map(|claim| claim.bytes).collect();
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

const ED25519_BYTES: usize = 64;

/// A decoded candidate.
struct Claimed<'r> {
    label: &'r str,
    hash: Hash,
    bytes: Sum,
}

type Signatures<'r> = SmallVec<[Claimed<'r>; 1]>;

/// Decodes the candidates, each where it stays: to copy what was just written costs as much as to
/// decode it.
fn decode<'r>(
    scheme: &Signed<'_>,
    reading: &'r Reading<'_>,
    claimed: &mut Signatures<'r>,
) -> Result<(), Refused> {
    let mut why = "holds no signature of this version";
    for candidate in &reading.claims.candidates {
        let hash = match (scheme.syntax, scheme.algorithm) {
            (Syntax::NamedHash(_), _) => Hash::from_name(&candidate.label),
            (_, Algorithm::Hmac(hash) | Algorithm::Digest(hash)) => Some(hash),
            _ => None,
        };
        let Some(hash) = hash else { continue };
        // Ed25519 signatures stand in the same list under their own version.
        let size = if candidate.label == "v1a" { ED25519_BYTES } else { hash.size() };
        claimed.push(Claimed { label: &candidate.label, hash, bytes: Sum::default() });
        let Some(last) = claimed.last_mut() else { continue };
        if let Err(fault) = read_signature(scheme.encoding, &candidate.text, size, &mut last.bytes)
        {
            why = fault;
            claimed.pop();
        }
    }
    if claimed.is_empty() {
        let what = scheme.places.first().map_or_else(String::new, ToString::to_string);
        return Err(Refused::Malformed { what, why });
    }
    Ok(())
}

/// The bytes of a signature, or what is wrong with its text.
pub(crate) fn read_signature(
    encoding: Encoding,
    text: &str,
    size: usize,
    sum: &mut Sum,
) -> Result<(), &'static str> {
    let length = sum.fill(|room| encoding.decode_into(text.as_bytes(), room));
    if length == Some(size) { Ok(()) } else { Err(fault(encoding, text, size)) }
}

#[cold]
fn fault(encoding: Encoding, text: &str, size: usize) -> &'static str {
    let fits =
        |other: Encoding| other.decode(text.as_bytes()).is_some_and(|bytes| bytes.len() == size);
    match encoding {
        // Hex digits are base64, too.
        Encoding::Base64 | Encoding::Base64Url if fits(Encoding::Hex) => {
            "is hex, and has to be base64"
        }
        Encoding::Hex if fits(Encoding::Base64) => "is base64, and has to be hex",
        _ if encoding.decode(text.as_bytes()).is_some() => "holds a signature of the wrong length",
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
        if let Some(keys::PublicKey::Ed25519(key)) = &ed25519 {
            let parts: Vec<&[u8]> = parts().collect();
            let meant = claimed.iter().filter(|claim| claim.label == "v1a");
            for claim in meant.take(ed25519::MOST) {
                right |= ed25519::verify(key, &parts, &claim.bytes);
            }
            continue;
        }
        for claim in claimed {
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

/// As [`matches()`] for the usual HMAC-SHA-256: the parts go to the hash one by one, and nothing is
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
    for alternative in alternatives(scheme, request.body) {
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

/// The public key whose pair counts, in a header of such pairs.
fn public_half<'s>(scheme: &Signed<'_>, secret: &'s Secret) -> Option<&'s [u8]> {
    let keyed = matches!(scheme.syntax, Syntax::KeyedPairs);
    let public = keyed.then(|| keys::pair(secret.expose()).0)?;
    (!public.is_empty()).then_some(public)
}
