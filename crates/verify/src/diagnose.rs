//! Why a refused request was refused, beyond what the refusal says.
//!
//! Tries the mistakes that people make: the wrong form of the secret, a body that was parsed and
//! written again on the way, an old secret, the wrong provider. For operators only: it says what
//! would have been believed.

use std::{cell::Cell, fmt};

use crate::{
    Encoding, Outcome, Policy, Refused, Request, Secret, UnixTime, Verifier, catalogue, json, keys,
};

/// The longest body that is tried in other ways: who sends a long one need not be who the source is for.
pub const DIAGNOSED_MAX_BYTES: usize = 64 * 1024;
/// Bytes that all tries together may read. A form costs tens of nanoseconds a byte.
const WORK_MAX_BYTES: usize = 2 * 1024 * 1024;
/// What a try costs at least.
const TRY_BYTES: usize = 256;
/// The most names of headers in a finding.
const NAMES_MAX: usize = 16;

/// Something that explains a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// Signed by the right secret, at the wrong time. Seconds.
    Late {
        age: u64,
        tolerance: u64,
    },
    Early {
        ahead: u64,
        tolerance: u64,
    },
    /// Signed with one of the secrets that are no longer valid.
    PreviousSecret {
        index: usize,
    },
    /// The secret is right, read in another way.
    SecretForm {
        index: usize,
        form: SecretForm,
    },
    /// The signature fits another way of writing the same body.
    Body(BodyForm),
    /// The signature fits another URL, which is given without its query: that may hold a credential.
    Url {
        url: String,
        query: Query,
    },
    /// What was expected is absent, and these headers are there instead.
    Instead {
        absent: String,
        present: Vec<String>,
    },
    /// The request is what this provider would send, and its signature is right.
    OtherProvider(&'static str),
    /// The header is not written in the encoding that the source names.
    OtherEncoding(Encoding),
    /// Nothing else was found: what a reader would get wrong about the provider.
    Note(&'static str),
    /// The body arrived compressed; some providers sign it so, some do not.
    Compressed(String),
    /// More could be tried, and was not: the body is too long, or there are too many tries.
    Ended,
}

/// What goes behind a URL of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Query {
    /// Nothing, as in the request.
    None,
    /// What stands there in the request.
    Kept,
    /// Nothing, unlike in the request.
    Dropped,
}

/// What else may be meant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Others<'o> {
    /// Secrets that were valid once.
    pub previous: &'o [Secret],
    /// Other URLs that the provider may have been given, each with the query of the request.
    pub urls: &'o [String],
}

/// How a secret has to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretForm {
    /// Decoded from base64, as Svix and Standard Webhooks do.
    Base64,
    /// Decoded from hex.
    Hex,
    /// As it stands, without decoding.
    Verbatim,
    /// Without the white space around it.
    Trimmed,
}

/// How a body has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyForm {
    /// As JSON without spaces: parsed and written again on the way, or before it was signed.
    Compact,
    /// As JSON with a space after commas and colons.
    Spaced,
    /// Without the line break at its end.
    WithoutLineEnd,
    /// With a line break at its end.
    WithLineEnd,
    /// With line feeds in place of carriage returns and line feeds.
    LineFeeds,
}

/// What explains that `verifier` has `refused` the request, the likeliest first. Empty where nothing was found.
///
/// Who sends is a stranger, so the work is bounded, in bytes: [`Finding::Ended`] says that the bound was reached.
pub fn diagnose(
    verifier: &Verifier,
    request: &Request<'_>,
    now: UnixTime,
    refused: &Refused,
    others: Others<'_>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    match refused {
        Refused::TooOld { age, tolerance } => {
            findings.push(Finding::Late { age: *age, tolerance: *tolerance });
        }
        Refused::TooNew { ahead, tolerance } => {
            findings.push(Finding::Early { ahead: *ahead, tolerance: *tolerance });
        }
        Refused::Missing { what } => findings.extend(instead(what.clone(), verifier, request)),
        Refused::Malformed { .. } => findings.extend(encodings(verifier, request)),
        _ => {}
    }
    let header_bytes = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let is_long = DIAGNOSED_MAX_BYTES < request.body.len();
    let left = Cell::new(if is_long { 0 } else { WORK_MAX_BYTES });
    let probe = Probe { verifier, request, now, header_bytes, left, ended: Cell::new(is_long) };
    if !is_long {
        probe.all(&mut findings, others);
    }
    let encoding = request.headers.get("content-encoding").filter(|text| *text != "identity");
    findings.extend(encoding.map(|text| Finding::Compressed(coding(text))));
    findings.extend(probe.ended.get().then_some(Finding::Ended));
    if let Verifier::Provider { provider, .. } = verifier
        && findings.is_empty()
        && !provider.note.is_empty()
    {
        findings.push(Finding::Note(provider.note));
    }
    findings
}

/// The name of a content coding, where it is one: anything may stand in a header.
fn coding(text: &str) -> String {
    let is_name = text.len() <= 16 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_name { text.to_owned() } else { "in several ways, or one that is not known".to_owned() }
}

struct Probe<'r> {
    verifier: &'r Verifier,
    request: &'r Request<'r>,
    now: UnixTime,
    header_bytes: usize,
    /// Bytes that may yet be read.
    left: Cell<usize>,
    ended: Cell<bool>,
}

impl Probe<'_> {
    fn all(&self, findings: &mut Vec<Finding>, others: Others<'_>) {
        let is_right = self.passes(self.verifier, self.request);
        findings.extend(self.secrets(others.previous, is_right));
        if !is_right {
            findings.extend(self.bodies());
            findings.extend(self.urls(others.urls));
        }
        if findings.iter().all(|finding| matches!(finding, Finding::Instead { .. })) {
            findings.extend(self.providers());
        }
    }

    /// Whether `verifier` would believe `request`, whatever its age. Where too much has been tried already, no.
    fn passes(&self, verifier: &Verifier, request: &Request<'_>) -> bool {
        let price = self.price(verifier, request);
        let Some(left) = self.left.get().checked_sub(price) else {
            self.ended.set(true);
            return false;
        };
        self.left.set(left);
        let outcome = verifier.start(request, self.now, &Policy::tolerating(Some(0)));
        matches!(outcome, Outcome::Done(Ok(_)))
    }

    /// About as many bytes as a try reads: all of them for each secret, unless the header that comes first is absent.
    fn price(&self, verifier: &Verifier, request: &Request<'_>) -> usize {
        let names = verifier.credential_headers();
        let is_absent = |name: &String| request.headers.get(name).is_none();
        if !names.is_empty() && names.iter().all(is_absent) {
            return TRY_BYTES;
        }
        let bytes = TRY_BYTES + request.body.len() + request.url.len() + self.header_bytes;
        bytes.saturating_mul(secrets(verifier).len() + 1)
    }

    fn secrets(&self, previous: &[Secret], is_right: bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        let with = |secret: Secret| with_secrets(self.verifier, vec![secret]);
        for (index, secret) in previous.iter().enumerate() {
            let verifier = with(secret.clone());
            if verifier.is_some_and(|verifier| self.passes(&verifier, self.request)) {
                findings.push(Finding::PreviousSecret { index });
            }
        }
        // A secret that passes as it stands would be found in every form that keeps it.
        if is_right {
            return findings;
        }
        for (index, secret) in secrets(self.verifier).iter().enumerate() {
            for (form, bytes) in readings(secret) {
                let verifier = Secret::new(bytes).and_then(with);
                if verifier.is_some_and(|verifier| self.passes(&verifier, self.request)) {
                    findings.push(Finding::SecretForm { index, form });
                }
            }
        }
        findings
    }

    fn bodies(&self) -> Option<Finding> {
        let body = self.request.body;
        let text = String::from_utf8_lossy(body);
        let forms = [
            (BodyForm::Compact, json::respaced(body, "")),
            (BodyForm::Spaced, json::respaced(body, " ")),
            (BodyForm::WithoutLineEnd, text.trim_end_matches(['\r', '\n']).as_bytes().to_vec()),
            (BodyForm::WithLineEnd, [body, b"\n"].concat()),
            (BodyForm::WithLineEnd, [body, b"\r\n"].concat()),
            (BodyForm::LineFeeds, text.replace("\r\n", "\n").into_bytes()),
        ];
        let other = forms.into_iter().filter(|(_, form)| form.as_slice() != body);
        let fits =
            |form: &[u8]| self.passes(self.verifier, &Request { body: form, ..*self.request });
        let first = other.into_iter().find(|(_, form)| fits(form));
        first.map(|(form, _)| Finding::Body(form))
    }

    fn urls(&self, given: &[String]) -> Option<Finding> {
        let url = self.request.url;
        let (base, query) =
            url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
        let swapped = match base.split_once("://")? {
            ("https", rest) => format!("http://{rest}"),
            (_, rest) => format!("https://{rest}"),
        };
        let toggled = match base.strip_suffix('/') {
            Some(short) => short.to_owned(),
            None => format!("{base}/"),
        };
        let kept = if query.is_some() { Query::Kept } else { Query::None };
        let base_of = |given: &String| given.split('?').next().unwrap_or_default().to_owned();
        let others = [swapped, toggled].into_iter().chain(given.iter().map(base_of));
        let others = others.map(|base| (base, kept)).chain([(base.to_owned(), Query::Dropped)]);
        let fits = |(base, kept): &(String, Query)| {
            let other = match query {
                Some(query) if *kept == Query::Kept => format!("{base}?{query}"),
                _ => base.clone(),
            };
            other != url && self.passes(self.verifier, &Request { url: &other, ..*self.request })
        };
        let first = others.into_iter().find(fits);
        first.map(|(url, query)| Finding::Url { url, query })
    }

    /// Rows of the catalogue that would believe the request with the same secrets.
    fn providers(&self) -> Vec<Finding> {
        let secrets = secrets(self.verifier);
        let mut findings = Vec::new();
        for provider in catalogue::all() {
            if matches!(provider.check, crate::scheme::Check::Unsigned) {
                continue;
            }
            let verifier = Verifier::Provider { provider, secrets: secrets.clone() };
            if self.passes(&verifier, self.request) {
                findings.push(Finding::OtherProvider(provider.name));
            }
        }
        findings
    }
}

/// Headers that look as if they carried the proof.
fn instead(absent: String, verifier: &Verifier, request: &Request<'_>) -> Option<Finding> {
    const WORDS: [&str; 5] = ["signature", "hmac", "token", "secret", "webhook"];
    let expected = verifier.credential_headers();
    let mut present: Vec<String> = Vec::new();
    for (name, _) in request.headers.iter() {
        let telling = WORDS.iter().any(|word| name.contains(word)) || name == "authorization";
        let new =
            !expected.iter().any(|have| have == name) && !present.iter().any(|have| have == name);
        if telling && new && present.len() < NAMES_MAX {
            present.push(name.to_owned());
        }
    }
    (!present.is_empty()).then_some(Finding::Instead { absent, present })
}

/// Another encoding in which the signature header makes sense, for verifiers set up by hand.
fn encodings(verifier: &Verifier, request: &Request<'_>) -> Option<Finding> {
    let Verifier::Hmac { header, hash, encoding, .. } = verifier else { return None };
    let value = request.headers.get(header)?.trim();
    let fits = |other: &Encoding| {
        let decoded = other.decode(value.as_bytes());
        other != encoding && decoded.is_some_and(|bytes| bytes.len() == hash.size())
    };
    [Encoding::Hex, Encoding::Base64].into_iter().find(fits).map(Finding::OtherEncoding)
}

/// Other bytes that the operator may have meant by the secret.
fn readings(secret: &Secret) -> Vec<(SecretForm, Vec<u8>)> {
    let raw = secret.expose();
    let mut readings = Vec::new();
    if raw.trim_ascii() != raw {
        readings.push((SecretForm::Trimmed, raw.trim_ascii().to_vec()));
    }
    readings.extend(keys::base64_key(raw).map(|bytes| (SecretForm::Base64, bytes)));
    let hex = Encoding::Hex.decode(raw.trim_ascii());
    readings.extend(hex.map(|bytes| (SecretForm::Hex, bytes)));
    // What a scheme will decode, encoded: the text itself becomes the key.
    readings.push((SecretForm::Verbatim, Encoding::Base64.encode(raw).into_bytes()));
    readings.push((SecretForm::Verbatim, Encoding::Hex.encode(raw).into_bytes()));
    readings
}

fn secrets(verifier: &Verifier) -> Vec<Secret> {
    match verifier {
        Verifier::Hmac { secrets, .. }
        | Verifier::Provider { secrets, .. }
        | Verifier::Scheme { secrets, .. } => secrets.clone(),
        Verifier::ApiKey { value, .. } => vec![value.clone()],
        Verifier::Noop | Verifier::BasicAuth { .. } => Vec::new(),
    }
}

fn with_secrets(verifier: &Verifier, secrets: Vec<Secret>) -> Option<Verifier> {
    let mut verifier = verifier.clone();
    match &mut verifier {
        Verifier::Hmac { secrets: old, .. }
        | Verifier::Provider { secrets: old, .. }
        | Verifier::Scheme { secrets: old, .. } => *old = secrets,
        Verifier::ApiKey { value, .. } => *value = secrets.into_iter().next()?,
        Verifier::Noop | Verifier::BasicAuth { .. } => return None,
    }
    Some(verifier)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late { age, tolerance } => {
                write!(f, "timestamp {age} s old, {tolerance} s are allowed")
            }
            Self::Early { ahead, tolerance } => {
                write!(f, "timestamp {ahead} s in the future, {tolerance} s are allowed")
            }
            Self::PreviousSecret { index } => {
                write!(f, "matches with the previous secret (number {})", index + 1)
            }
            Self::SecretForm { form, .. } => f.write_str(match form {
                SecretForm::Base64 => "this looks like a Svix secret: base64-decode it",
                SecretForm::Hex => "the secret is hex: decode it",
                SecretForm::Verbatim => "the secret is used as it stands: do not decode it",
                SecretForm::Trimmed => "the secret has white space around it: remove it",
            }),
            Self::Body(form) => f.write_str(match form {
                BodyForm::Compact => "the body matches if re-serialised without spaces",
                BodyForm::Spaced => "the body matches if re-serialised with spaces",
                BodyForm::WithoutLineEnd => "the body matches without the line break at its end",
                BodyForm::WithLineEnd => "the body matches with a line break at its end",
                BodyForm::LineFeeds => "the body matches with plain line feeds",
            }),
            Self::Url { url, query } => {
                write!(f, "the URL matches if it is {url}")?;
                f.write_str(match query {
                    Query::None => "",
                    Query::Kept => ", with the query that was sent",
                    Query::Dropped => ", without a query",
                })
            }
            Self::Instead { absent, present } => {
                write!(f, "{absent} is absent, but `{}` is present", present.join("`, `"))
            }
            Self::OtherProvider(name) => write!(f, "the signature is right for provider `{name}`"),
            Self::OtherEncoding(encoding) => {
                write!(f, "the signature is written in {}", encoding.name())
            }
            Self::Note(note) => write!(f, "known of this provider: {note}"),
            Self::Compressed(encoding) => {
                write!(f, "the body is compressed ({encoding}) and was checked as it arrived")
            }
            Self::Ended => f.write_str(
                "the diagnosis ended here: the body is long, or there is too much to try, so other mistakes are possible",
            ),
        }
    }
}
