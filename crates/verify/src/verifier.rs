//! What a source is configured to check, and the check.

use std::ops::Range;

use subtle::ConstantTimeEq;

use crate::{
    Encoding, Hash, Headers, Integrity, Mac, Outcome, Place, Provider, Refused, Request, Scheme,
    Secret, UnixTime, custom,
    engine::{self, Ask},
    hash::{self, Sum, hmac_of},
    jwt, keys, place, refused,
    scheme::{Check, Jwt, JwtPlace, KeyForm},
    step::Macs,
};

/// What a source says on top of its provider's row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// Seconds that a timestamp may be off, in place of the provider's. 0: any age will do.
    pub tolerance_seconds: Option<u64>,
    /// Messages of so many bytes are for the shell's HMAC: see [`Step::NeedMac`](crate::Step).
    pub platform_macs: Option<Range<usize>>,
}

impl Policy {
    pub fn tolerating(seconds: Option<u64>) -> Self {
        Self { tolerance_seconds: seconds, platform_macs: None }
    }

    /// Asks the shell for the HMACs of messages of so many bytes.
    #[must_use]
    pub fn with_platform_macs(self, bytes: Range<usize>) -> Self {
        Self { platform_macs: Some(bytes), ..self }
    }

    /// Without any HMAC of the shell's.
    pub(crate) fn alone(&self) -> Self {
        Self { platform_macs: None, ..*self }
    }

    /// Whether the HMAC of so many bytes is for the shell.
    pub(crate) fn is_for_platform(&self, hash: Hash, bytes: usize) -> bool {
        let wanted = self.platform_macs.as_ref().is_some_and(|range| range.contains(&bytes));
        wanted && hash.web_name().is_some()
    }
}

/// What a source checks before it believes a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Verifier {
    /// Everything is believed.
    Noop,
    /// HMAC over the raw body, written into one header.
    Hmac { header: String, hash: Hash, encoding: Encoding, secrets: Vec<Secret> },
    /// `Authorization: Basic …` (RFC 7617).
    BasicAuth { username: Secret, password: Secret },
    /// One header with one exact value.
    ApiKey { header: String, value: Secret },
    /// As a row of the catalogue says.
    Provider { provider: &'static Provider, secrets: Vec<Secret> },
    /// As the operator describes it.
    Scheme { scheme: Scheme, secrets: Vec<Secret> },
}

/// Proof that a request was believed. Only a [`Verifier`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Which of the secrets the sender holds, where there are several to tell apart.
    pub secret_index: Option<usize>,
}

impl Verifier {
    /// Believes `request` or says why not. Schemes that need the shell are refused with
    /// [`Refused::NeedsShell`]: use [`Verifier::start`] for these.
    pub fn verify(&self, request: &Request<'_>, now: UnixTime) -> Result<Verified, Refused> {
        match self.start(request, now, &Policy::default()) {
            Outcome::Done(verdict) => verdict,
            Outcome::Need(_) => Err(Refused::NeedsShell),
        }
    }

    /// Begins a verification, which may need the shell to go on.
    pub fn start(&self, request: &Request<'_>, now: UnixTime, policy: &Policy) -> Outcome {
        let ask = |secrets| Ask { secrets, request, now, policy };
        Outcome::Done(match self {
            Self::Noop => Ok(Verified { secret_index: None }),
            Self::Hmac { header, hash, encoding, secrets } => {
                return by_hand(header, *hash, *encoding, ask(secrets));
            }
            Self::BasicAuth { username, password } => basic(username, password, request.headers),
            Self::ApiKey { header, value } => api_key(header, value, request.headers),
            Self::Provider { provider, secrets } => return begin(&provider.check, ask(secrets)),
            Self::Scheme { scheme, secrets } => return scheme.start(ask(secrets)),
        })
    }

    /// What a believed request proves about its body.
    pub fn integrity(&self) -> Integrity {
        match self {
            Self::Noop | Self::BasicAuth { .. } | Self::ApiKey { .. } => Integrity::None,
            Self::Hmac { .. } => Integrity::Full,
            Self::Provider { provider, .. } => provider.integrity,
            Self::Scheme { scheme, .. } => scheme.integrity(),
        }
    }

    /// Whether a believed request proves all of its body. Where it does not, the body could have
    /// been exchanged by whoever saw the credential once.
    pub fn signs_body(&self) -> bool {
        self.integrity() == Integrity::Full
    }

    /// The names of the query parameters that carry a signature or a secret, where a provider
    /// puts it into the URL.
    pub fn credential_parameters(&self) -> Vec<String> {
        match self {
            Self::Provider { provider, .. } => {
                parameters_of(&provider.check).into_iter().map(str::to_owned).collect()
            }
            Self::Scheme { scheme, .. } => scheme.credential_parameter().into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// The lower-case names of the headers that carry a signature or a secret: not for logs,
    /// and not for forwarding.
    pub fn credential_headers(&self) -> Vec<String> {
        let found = match self {
            Self::Noop => Vec::new(),
            Self::Hmac { header, .. } | Self::ApiKey { header, .. } => {
                vec![header.to_ascii_lowercase()]
            }
            Self::BasicAuth { .. } => vec!["authorization".to_owned()],
            Self::Provider { provider, secrets } => headers_of(&provider.check, secrets),
            Self::Scheme { scheme, .. } => scheme.credential_header().into_iter().collect(),
        };
        let mut names: Vec<String> = Vec::with_capacity(found.len());
        for name in found {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// The query parameters that a check reads, which carry a signature or a secret.
fn parameters_of(check: &Check<'static>) -> Vec<&'static str> {
    let name = |place: &Place<'static>| match place {
        Place::Query(name) => Some(*name),
        _ => None,
    };
    match check {
        Check::Signed(scheme) => scheme.places.iter().filter_map(name).collect(),
        Check::Token { place, .. } => name(place).into_iter().collect(),
        Check::Either(first, second) => [parameters_of(first), parameters_of(second)].concat(),
        Check::Case { cases, .. } => {
            cases.iter().flat_map(|(_, check)| parameters_of(check)).collect()
        }
        _ => Vec::new(),
    }
}

fn begin(check: &Check<'static>, ask: Ask<'_>) -> Outcome {
    Outcome::Done(match check {
        Check::Signed(scheme) => return engine::start(scheme, ask),
        Check::Jwt(scheme) => return jwt::start(scheme, ask),
        Check::Unsigned => Ok(Verified { secret_index: None }),
        Check::Token { place, prefix } => token(place, prefix, ask),
        Check::NamedHeader => named_header(ask),
        Check::Basic => any_secret(ask, |secret| {
            let (user, password) = keys::pair(secret.expose());
            check_basic(user, password, ask.request.headers)
        }),
        Check::AdyenItems => custom::adyen_items(ask),
        Check::Either(first, second) => {
            // Whether the second is to be tried has to show at once.
            let policy = ask.policy.alone();
            let ask = Ask { policy: &policy, ..ask };
            return either(begin(first, ask), || begin(second, ask));
        }
        Check::Case { place, cases } => match place::one(place, ask.request) {
            Ok(text) => match cases.iter().find(|(case, _)| *case == text) {
                Some((_, check)) => return begin(check, ask),
                None => Err(Refused::Malformed { what: place.to_string(), why: "is not known" }),
            },
            Err(refused) => Err(refused),
        },
    })
}

/// Whether a row's check succeeds without the shell.
pub(crate) fn check(
    provider: &Provider,
    secrets: &[Secret],
    request: &Request<'_>,
    now: UnixTime,
    policy: &Policy,
) -> bool {
    let ask = Ask { secrets, request, now, policy };
    matches!(begin(&provider.check, ask), Outcome::Done(Ok(_)))
}

/// The second where the first is refused; of two refusals the one that came further.
fn either(first: Outcome, second: impl FnOnce() -> Outcome) -> Outcome {
    let Outcome::Done(Err(refused)) = first else { return first };
    match second() {
        Outcome::Done(Err(other)) if reached(&other) <= reached(&refused) => {
            Outcome::Done(Err(refused))
        }
        second => second,
    }
}

/// How far a check came before it refused.
const fn reached(refused: &Refused) -> u8 {
    match refused {
        Refused::TooOld { .. } | Refused::TooNew { .. } => 3,
        Refused::Signature { .. } | Refused::Credential { .. } | Refused::Claim { .. } => 2,
        Refused::Missing { .. } | Refused::Secret { .. } => 0,
        _ => 1,
    }
}

fn headers_of(check: &Check<'_>, secrets: &[Secret]) -> Vec<String> {
    let numbered = |name: &str| (1..=100).map(|n| format!("{name}{n}")).collect();
    let names = |place: &Place<'_>| match place {
        Place::Header(name) => vec![(*name).to_owned()],
        Place::Numbered(name) => numbered(name),
        _ => Vec::new(),
    };
    match check {
        Check::Signed(scheme) => scheme.places.iter().flat_map(names).collect(),
        Check::Jwt(Jwt { place: JwtPlace::Header(name, _), .. }) => vec![(*name).to_owned()],
        Check::Token { place, .. } => names(place),
        Check::Basic => vec!["authorization".to_owned()],
        Check::NamedHeader => secrets
            .iter()
            .filter_map(|secret| std::str::from_utf8(keys::pair(secret.expose()).0).ok())
            .map(|name| name.trim().to_ascii_lowercase())
            .collect(),
        Check::Either(first, second) => {
            [headers_of(first, secrets), headers_of(second, secrets)].concat()
        }
        Check::Case { cases, .. } => {
            cases.iter().flat_map(|(_, check)| headers_of(check, secrets)).collect()
        }
        Check::Jwt(_) | Check::AdyenItems | Check::Unsigned => Vec::new(),
    }
}

/// The secret itself in one place, or in every item of a batch.
pub(crate) fn token(place: &Place<'_>, prefix: &str, ask: Ask<'_>) -> Result<Verified, Refused> {
    if ask.secrets.is_empty() {
        return Err(Refused::NoSecret);
    }
    let values = match place {
        Place::Body(path) if path.contains('*') => place::every(path, ask.request)?,
        _ => vec![place::one(place, ask.request)?.into_owned()],
    };
    let mut matching = None;
    for (index, secret) in ask.secrets.iter().enumerate() {
        let secret = secret.expose().trim_ascii();
        let mut right = !values.is_empty();
        for value in &values {
            let (head, tail) = value.split_at_checked(prefix.len()).unwrap_or(("", value));
            let bare = if head.eq_ignore_ascii_case(prefix) { tail.trim_start() } else { value };
            // The operator may have pasted the prefix along.
            right &= bool::from(bare.as_bytes().ct_eq(secret) | value.as_bytes().ct_eq(secret));
        }
        if right {
            matching = matching.or(Some(index));
        }
    }
    let wrong = Refused::Credential { what: place.to_string() };
    matching.map(|index| Verified { secret_index: Some(index) }).ok_or(wrong)
}

fn named_header(ask: Ask<'_>) -> Result<Verified, Refused> {
    any_secret(ask, |secret| {
        let (name, value) = keys::pair(secret.expose());
        let name = std::str::from_utf8(name.trim_ascii()).unwrap_or_default();
        let why = "has to be written `Header-Name: value`";
        let unusable = Refused::Secret { index: 0, why };
        let value = Secret::new(value.trim_ascii()).filter(|_| !name.is_empty()).ok_or(unusable)?;
        api_key(name, &value, ask.request.headers)
    })
}

/// The first secret with which `check` succeeds, or else how the first one failed.
fn any_secret(
    ask: Ask<'_>,
    check: impl Fn(&Secret) -> Result<Verified, Refused>,
) -> Result<Verified, Refused> {
    let mut verdict = Err(Refused::NoSecret);
    for (index, secret) in ask.secrets.iter().enumerate() {
        match (&verdict, check(secret)) {
            (Ok(_), _) => {}
            (Err(Refused::NoSecret), Err(refused)) => verdict = Err(refused),
            (Err(_), Err(_)) => {}
            (Err(_), Ok(_)) => verdict = Ok(Verified { secret_index: Some(index) }),
        }
    }
    verdict
}

/// The one value of a header. Lines that repeat it, and the `, ` that some runtimes join them
/// with, are fine as long as all say the same.
fn single<'a>(headers: &'a Headers, name: &str) -> Result<&'a str, Refused> {
    let what = || refused::header(name);
    let mut present = false;
    let mut distinct: Vec<&str> = Vec::new();
    for value in headers.get_all(name).flat_map(|line| line.split(',')) {
        present = true;
        let value = value.trim();
        if !value.is_empty() && !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    match distinct.as_slice() {
        [] if present => Err(Refused::Empty { what: what() }),
        [] => Err(Refused::Missing { what: what() }),
        [value] => Ok(value),
        several => Err(Refused::Ambiguous { what: what(), times: several.len() }),
    }
}

/// Drops a `sha256=` in front. Many senders write one, and no encoding reads it as content.
fn strip_label(value: &str, hash: Hash) -> &str {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
    match value.split_once('=') {
        Some((label, rest)) if plain(label) == plain(hash.name()) => rest,
        _ => value,
    }
}

fn by_hand(header: &str, hash: Hash, encoding: Encoding, ask: Ask<'_>) -> Outcome {
    let claimed = match by_hand_claimed(header, hash, encoding, ask) {
        Ok(claimed) => claimed,
        Err(refused) => return Outcome::Done(Err(refused)),
    };
    let (secrets, body) = (ask.secrets, ask.request.body);
    let missed = Refused::Signature { signatures: 1, secrets: secrets.len() };
    if ask.policy.is_for_platform(hash, body.len()) {
        let mac = |secret: &Secret| {
            let key = secret.expose().to_vec();
            Mac { hash, key, before: Vec::new(), after: Vec::new() }
        };
        let queue =
            secrets.iter().enumerate().map(|(index, secret)| (index, mac(secret))).collect();
        return Macs {
            queue,
            claimed: vec![claimed],
            secret: 0,
            matching: None,
            missed,
            age: Ok(()),
        }
        .next();
    }
    let mut matching = None;
    for (index, secret) in secrets.iter().enumerate() {
        let ready = if hash == Hash::Sha256 { secret.ready(KeyForm::Text) } else { None };
        let right = match ready {
            Some(ready) => hash::same(&ready.hmac_of(body), &claimed),
            None => {
                let mac = hmac_of(hash, secret.expose(), &mut std::iter::once(body));
                hash::same(&mac, &claimed)
            }
        };
        if right {
            matching = matching.or(Some(index));
        }
    }
    Outcome::Done(matching.map(|index| Verified { secret_index: Some(index) }).ok_or(missed))
}

fn by_hand_claimed(
    header: &str,
    hash: Hash,
    encoding: Encoding,
    ask: Ask<'_>,
) -> Result<Sum, Refused> {
    let value = strip_label(single(ask.request.headers, header)?, hash);
    let mut claimed = Sum::default();
    engine::read_signature(encoding, value, hash.size(), &mut claimed)
        .map_err(|why| Refused::Malformed { what: refused::header(header), why })?;
    if ask.secrets.is_empty() {
        return Err(Refused::NoSecret);
    }
    Ok(claimed)
}

fn basic(username: &Secret, password: &Secret, headers: &Headers) -> Result<Verified, Refused> {
    check_basic(username.expose(), password.expose(), headers)
}

fn check_basic(username: &[u8], password: &[u8], headers: &Headers) -> Result<Verified, Refused> {
    let what = || refused::header("authorization");
    let malformed = |why| Refused::Malformed { what: what(), why };
    let value = single(headers, "authorization")?;
    let (scheme, credentials) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(malformed("is not of the Basic scheme"));
    }
    let credentials = Encoding::Base64
        .decode(credentials.trim().as_bytes())
        .ok_or_else(|| malformed("is not base64"))?;
    // The first colon ends the user name; those after it belong to the password.
    let mut halves = credentials.splitn(2, |byte| *byte == b':');
    let (Some(user), Some(pass)) = (halves.next(), halves.next()) else {
        return Err(malformed("has no colon between user name and password"));
    };
    let right = user.ct_eq(username) & pass.ct_eq(password);
    if !bool::from(right) {
        return Err(Refused::Credential { what: what() });
    }
    Ok(Verified { secret_index: None })
}

fn api_key(header: &str, expected: &Secret, headers: &Headers) -> Result<Verified, Refused> {
    let what = || refused::header(header);
    let mut distinct: Vec<&str> = Vec::new();
    for line in headers.get_all(header) {
        let line = line.trim();
        if !distinct.contains(&line) {
            distinct.push(line);
        }
    }
    let line = match distinct.as_slice() {
        [] => return Err(Refused::Missing { what: what() }),
        [""] => return Err(Refused::Empty { what: what() }),
        [line] => *line,
        several => return Err(Refused::Ambiguous { what: what(), times: several.len() }),
    };
    // The value may hold commas itself, so it is compared whole before it is taken for a join.
    let equals = |text: &str| bool::from(text.as_bytes().ct_eq(expected.expose().trim_ascii()));
    if equals(line) || single(headers, header).is_ok_and(equals) {
        return Ok(Verified { secret_index: None });
    }
    Err(Refused::Credential { what: what() })
}
