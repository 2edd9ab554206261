//! Public-key signatures: what has to be fetched or checked.

use std::collections::VecDeque;

use crate::{
    Outcome, Refused,
    engine::{Ask, Reading},
    keys,
    keys::Kind,
    message::{concat, messages, quote},
    place,
    scheme::{Algorithm, CertificateAt, KeySource, Signed, Syntax},
    step::{Job, Search, SignatureAlgorithm, Wanted},
    uri,
};

pub(crate) fn start(
    scheme: &Signed<'_>,
    reading: &Reading<'_>,
    ask: Ask<'_>,
) -> Result<Outcome, Refused> {
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
