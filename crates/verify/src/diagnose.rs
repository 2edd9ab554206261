//! Why a refused request was refused, beyond what the refusal says.
//!
//! Tries the mistakes that people make: the wrong form of the secret, a body that was parsed and
//! written again on the way, an old secret, the wrong provider. For operators only: it says what
//! would have been believed.

use std::fmt;

use crate::{
    Encoding, Outcome, Policy, Refused, Request, Secret, UnixTime, Verifier, catalogue, json, keys,
};

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
    /// The signature fits another URL.
    Url(String),
    /// What was expected is absent, and these headers are there instead.
    Instead {
        absent: String,
        present: Vec<String>,
    },
    /// The request is what this provider would send, and its signature is right.
    OtherProvider(&'static str),
    /// The header is not written in the encoding that the source names.
    OtherEncoding(Encoding),
    /// The body arrived compressed; some providers sign it so, some do not.
    Compressed(String),
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

/// What explains that `verifier` refuses `request`, the likeliest first. `previous` are secrets
/// that were valid once. Empty where nothing was found, or nothing is wrong.
pub fn diagnose(
    verifier: &Verifier,
    request: &Request<'_>,
    now: UnixTime,
    policy: &Policy,
    previous: &[Secret],
) -> Vec<Finding> {
    let Outcome::Done(Err(refused)) = verifier.start(request, now, policy) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    match refused {
        Refused::TooOld { age, tolerance } => findings.push(Finding::Late { age, tolerance }),
        Refused::TooNew { ahead, tolerance } => findings.push(Finding::Early { ahead, tolerance }),
        Refused::Missing { what } => findings.extend(instead(what, verifier, request)),
        Refused::Malformed { .. } => findings.extend(encodings(verifier, request)),
        _ => {}
    }
    let probe = Probe { verifier, request, now };
    findings.extend(probe.secrets(previous));
    findings.extend(probe.bodies());
    findings.extend(probe.urls());
    if findings.iter().all(|finding| matches!(finding, Finding::Instead { .. })) {
        findings.extend(probe.providers());
    }
    let encoding = request.headers.get("content-encoding").filter(|text| *text != "identity");
    findings.extend(encoding.map(|text| Finding::Compressed(text.to_owned())));
    findings
}

struct Probe<'r> {
    verifier: &'r Verifier,
    request: &'r Request<'r>,
    now: UnixTime,
}

impl Probe<'_> {
    /// Whether `verifier` would believe `request`, whatever its age.
    fn passes(&self, verifier: &Verifier, request: &Request<'_>) -> bool {
        let outcome = verifier.start(request, self.now, &Policy::tolerating(Some(0)));
        matches!(outcome, Outcome::Done(Ok(_)))
    }

    fn secrets(&self, previous: &[Secret]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let with = |secret: Secret| with_secrets(self.verifier, vec![secret]);
        for (index, secret) in previous.iter().enumerate() {
            let verifier = with(secret.clone());
            if verifier.is_some_and(|verifier| self.passes(&verifier, self.request)) {
                findings.push(Finding::PreviousSecret { index });
            }
        }
        for (index, secret) in secrets(self.verifier).iter().enumerate() {
            for (form, bytes) in readings(secret) {
                let verifier = Secret::new(bytes).and_then(with);
                if verifier.is_some_and(|verifier| self.passes(&verifier, self.request)) {
                    findings.push(Finding::SecretForm { index, form });
                }
            }
        }
        // A secret that passes as it stands would be found in every form that keeps it.
        if self.passes(self.verifier, self.request) {
            findings.retain(|finding| matches!(finding, Finding::PreviousSecret { .. }));
        }
        findings
    }

    fn bodies(&self) -> Vec<Finding> {
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
        if self.passes(self.verifier, self.request) {
            return Vec::new();
        }
        let other = forms.into_iter().filter(|(_, form)| form.as_slice() != body);
        let fits =
            |form: &[u8]| self.passes(self.verifier, &Request { body: form, ..*self.request });
        let first = other.into_iter().find(|(_, form)| fits(form));
        first.map(|(form, _)| Finding::Body(form)).into_iter().collect()
    }

    fn urls(&self) -> Vec<Finding> {
        if self.passes(self.verifier, self.request) {
            return Vec::new();
        }
        let url = self.request.url;
        let swapped = match url.split_once("://") {
            Some(("https", rest)) => format!("http://{rest}"),
            Some((_, rest)) => format!("https://{rest}"),
            None => return Vec::new(),
        };
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let toggled = match (base.strip_suffix('/'), query) {
            (Some(short), "") => short.to_owned(),
            (Some(short), query) => format!("{short}?{query}"),
            (None, "") => format!("{base}/"),
            (None, query) => format!("{base}/?{query}"),
        };
        let others = [swapped, toggled, base.to_owned()];
        let fits = |other: &String| {
            other != url && self.passes(self.verifier, &Request { url: other, ..*self.request })
        };
        others.into_iter().find(fits).map(Finding::Url).into_iter().collect()
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
        if telling && new {
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
            Self::Url(url) => write!(f, "the URL matches if it is {url}"),
            Self::Instead { absent, present } => {
                write!(f, "{absent} is absent, but `{}` is present", present.join("`, `"))
            }
            Self::OtherProvider(name) => write!(f, "the signature is right for provider `{name}`"),
            Self::OtherEncoding(encoding) => {
                write!(f, "the signature is written in {}", encoding.name())
            }
            Self::Compressed(encoding) => {
                write!(f, "the body is compressed ({encoding}) and was checked as it arrived")
            }
        }
    }
}
