//! From the text of a secret to a key.

use std::borrow::Cow;

use crate::{
    Encoding, Hash, Secret, digest,
    handshake::TOKEN_LABEL,
    json, nfkd,
    scheme::{Algorithm, JwtAlgorithm, KeyForm},
    uri,
    x509::Certificate,
};

/// Public keys of one document beyond which the rest is not looked at.
const MOST: usize = 32;

/// What is in front of a Standard Webhooks secret, in the order of its documentation.
const BASE64_PREFIXES: [&str; 2] = ["whsec_", "whsk_"];
/// What marks a Standard Webhooks public key.
pub(crate) const PUBLIC_PREFIX: &str = "whpk_";

/// A MAC key, or why the text cannot be one.
pub(crate) fn mac_key(form: KeyForm, secret: &Secret) -> Result<Cow<'_, [u8]>, &'static str> {
    let raw = secret.expose();
    if raw.starts_with(TOKEN_LABEL) {
        return Err("is only a verify token");
    }
    let key = match form {
        KeyForm::Text => Cow::Borrowed(raw),
        KeyForm::Base64 => Cow::Owned(base64_key(raw).ok_or("is not base64")?),
        KeyForm::Hex => Cow::Owned(Encoding::Hex.decode(raw.trim_ascii()).ok_or("is not hex")?),
        KeyForm::Sha1 => Cow::Owned(digest(Hash::Sha1, &[pair(raw).1])),
        KeyForm::Ampersand => Cow::Owned([raw, b"&"].concat()),
        KeyForm::Nfkd => match std::str::from_utf8(raw) {
            Ok(text) => Cow::Owned(nfkd::normalise(text).into_bytes()),
            Err(_) => return Err("is not UTF-8"),
        },
        KeyForm::Pair => Cow::Borrowed(pair(raw).1),
        KeyForm::Public => return Err("is a public key"),
    };
    // HMAC would take the empty key, and so would everybody else.
    if key.iter().all(|byte| *byte == 0) {
        return Err("is empty once decoded");
    }
    Ok(key)
}

/// Decodes a Standard Webhooks secret, with its prefix or without.
pub(crate) fn base64_key(raw: &[u8]) -> Option<Vec<u8>> {
    let text = raw.trim_ascii();
    // Supabase shows its secrets with the version in front.
    let text = text.strip_prefix(b"v1,").unwrap_or(text);
    let bare = BASE64_PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix.as_bytes()));
    Encoding::Base64.decode(bare.unwrap_or(text))
}

/// The `https` URL of a document with keys, where the secret is one.
pub(crate) fn key_url(secret: &Secret) -> Option<&str> {
    let text = std::str::from_utf8(secret.expose().trim_ascii()).ok()?;
    uri::https_host(text).map(|_| text)
}

/// The halves of `public:private`. A text without a colon is all private.
pub(crate) fn pair(raw: &[u8]) -> (&[u8], &[u8]) {
    match raw.iter().position(|byte| *byte == b':') {
        Some(at) => (raw.get(..at).unwrap_or_default(), raw.get(at + 1..).unwrap_or_default()),
        None => (&[], raw),
    }
}

/// A key that everybody may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublicKey {
    Ed25519([u8; 32]),
    /// DER of a `SubjectPublicKeyInfo`, as WebCrypto's `importKey("spki", …)` takes it.
    Spki(Vec<u8>),
}

/// The kind of key that an algorithm needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ed25519,
    Rsa,
    P256,
}

impl Kind {
    pub(crate) const fn of(algorithm: Algorithm) -> Option<Self> {
        match algorithm {
            Algorithm::Ed25519 => Some(Self::Ed25519),
            Algorithm::Rsa(_) => Some(Self::Rsa),
            Algorithm::Ecdsa(_) => Some(Self::P256),
            Algorithm::Hmac(_) | Algorithm::Digest(_) => None,
        }
    }

    pub(crate) const fn of_jwt(algorithm: JwtAlgorithm) -> Option<Self> {
        match algorithm {
            JwtAlgorithm::Rs256 | JwtAlgorithm::Rs384 | JwtAlgorithm::Rs512 => Some(Self::Rsa),
            JwtAlgorithm::Es256 => Some(Self::P256),
            JwtAlgorithm::Hs256 | JwtAlgorithm::Hs384 | JwtAlgorithm::Hs512 => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "OKP",
            Self::Rsa => "RSA",
            Self::P256 => "EC",
        }
    }
}

/// Every public key of `kind` in a document: PEM (keys, certificates), base64 or hex of DER or
/// of raw Ed25519 bytes, a JWK, a JWK set, or JSON around any of these. Where keys have ids and
/// `key_id` is given, only that one.
pub(crate) fn public_keys(document: &[u8], kind: Kind, key_id: Option<&str>) -> Vec<PublicKey> {
    let document = document.trim_ascii();
    let mut keys = Vec::new();
    if document.starts_with(b"{") || document.starts_with(b"[") {
        in_json(document, kind, key_id, 4, &mut keys);
    } else if let Ok(text) = std::str::from_utf8(document) {
        in_text(text, kind, &mut keys);
    }
    keys.truncate(MOST);
    keys
}

fn in_json(raw: &[u8], kind: Kind, key_id: Option<&str>, depth: usize, keys: &mut Vec<PublicKey>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    if keys.len() >= MOST {
        return;
    }
    if let Some(items) = json::items(raw) {
        for item in items {
            in_json(item, kind, key_id, depth, keys);
        }
        return;
    }
    let member = |name| json::find(raw, &[name]).and_then(json::text);
    if let Some(kty) = member("kty") {
        let other = key_id.zip(member("kid")).is_some_and(|(want, have)| want != have);
        let signs = member("use").is_none_or(|usage| usage == "sig");
        if kty == kind.name() && signs && !other {
            keys.extend(jwk(raw, kind));
        }
        return;
    }
    for (_, value) in json::members(raw).unwrap_or_default() {
        match json::text(value) {
            Some(text) => in_text(&text, kind, keys),
            None => in_json(value, kind, key_id, depth, keys),
        }
    }
}

fn in_text(text: &str, kind: Kind, keys: &mut Vec<PublicKey>) {
    if !text.contains(BEGIN) {
        keys.extend(bare(text.trim(), kind));
        return;
    }
    for (label, der) in blocks(text) {
        let spki = match label {
            "PUBLIC KEY" => Some(der),
            // The certificate itself is not judged: where it came from has to be good enough.
            "CERTIFICATE" => Certificate::read(&der).map(|read| read.key.to_vec()),
            "RSA PUBLIC KEY" => Some(rsa_spki(&der)),
            _ => None,
        };
        keys.extend(spki.and_then(|der| from_spki(&der, kind)));
    }
}

const BEGIN: &str = "-----BEGIN ";

/// The blocks of a PEM document: label and DER.
pub(crate) fn blocks(text: &str) -> impl Iterator<Item = (&str, Vec<u8>)> {
    text.split(BEGIN).skip(1).filter_map(|block| {
        let (label, rest) = block.split_once("-----")?;
        let (inner, _) = rest.split_once("-----END")?;
        // Keys pasted into one line often carry `\n` as two characters.
        let inner = inner.replace("\\n", "");
        let inner: String = inner.chars().filter(|char| !char.is_whitespace()).collect();
        Some((label, Encoding::Base64.decode(inner.as_bytes())?))
    })
}

/// A key without decoration.
fn bare(text: &str, kind: Kind) -> Option<PublicKey> {
    let text = text.strip_prefix(PUBLIC_PREFIX).unwrap_or(text);
    let decoded =
        [Encoding::Hex, Encoding::Base64].map(|encoding| encoding.decode(text.as_bytes()));
    decoded.into_iter().flatten().find_map(|bytes| match kind {
        Kind::Ed25519 if bytes.len() == 32 => Some(PublicKey::Ed25519(bytes.try_into().ok()?)),
        _ => from_spki(&bytes, kind),
    })
}

fn jwk(raw: &[u8], kind: Kind) -> Option<PublicKey> {
    let number = |name| {
        let text = json::text(json::find(raw, &[name])?)?;
        Encoding::Base64Url.decode(text.as_bytes())
    };
    match kind {
        Kind::Ed25519 => Some(PublicKey::Ed25519(number("x")?.try_into().ok()?)),
        Kind::Rsa => {
            let numbers =
                [der(0x02, &[&signed(&number("n")?)]), der(0x02, &[&signed(&number("e")?)])];
            let [n, e] = &numbers;
            Some(PublicKey::Spki(rsa_spki(&der(0x30, &[n, e]))))
        }
        Kind::P256 => {
            let (x, y) = (number("x")?, number("y")?);
            if json::text(json::find(raw, &["crv"])?)? != "P-256" || x.len() != 32 || y.len() != 32
            {
                return None;
            }
            let algorithm = der(0x30, &[OID_EC, OID_P256]);
            let point = der(0x03, &[&[0, 4], &x, &y]);
            Some(PublicKey::Spki(der(0x30, &[&algorithm, &point])))
        }
    }
}

// Object identifiers, tag and length included.
const OID_RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const OID_EC: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01";
const OID_P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const OID_ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";

/// Takes a `SubjectPublicKeyInfo` if it is of this kind.
pub(crate) fn from_spki(spki: &[u8], kind: Kind) -> Option<PublicKey> {
    let (0x30, inner, _) = tlv(spki)? else { return None };
    let (0x30, algorithm, rest) = tlv(inner)? else { return None };
    let wanted: &[&[u8]] = match kind {
        Kind::Ed25519 => &[OID_ED25519],
        Kind::Rsa => &[OID_RSA],
        Kind::P256 => &[OID_EC, OID_P256],
    };
    if !algorithm.starts_with(&wanted.concat()) {
        return None;
    }
    if kind == Kind::Ed25519 {
        let (0x03, bits, _) = tlv(rest)? else { return None };
        return Some(PublicKey::Ed25519(bits.strip_prefix(&[0])?.try_into().ok()?));
    }
    Some(PublicKey::Spki(spki.to_vec()))
}

fn rsa_spki(pkcs1: &[u8]) -> Vec<u8> {
    let algorithm = der(0x30, &[OID_RSA, &[5, 0]]);
    let key = der(0x03, &[&[0], pkcs1]);
    der(0x30, &[&algorithm, &key])
}

/// An ECDSA signature as the 64 bytes that WebCrypto takes: r, s. DER in, or 64 bytes already.
pub(crate) fn ecdsa_raw(signature: &[u8]) -> Option<Vec<u8>> {
    if signature.len() == 64 {
        return Some(signature.to_vec());
    }
    let (0x30, inner, []) = tlv(signature)? else { return None };
    let (0x02, r, rest) = tlv(inner)? else { return None };
    let (0x02, s, []) = tlv(rest)? else { return None };
    let mut raw = Vec::with_capacity(64);
    for number in [r, s] {
        let significant = number.strip_prefix(&[0]).unwrap_or(number);
        let zeros = 32_usize.checked_sub(significant.len())?;
        raw.extend(std::iter::repeat_n(0, zeros));
        raw.extend(significant);
    }
    Some(raw)
}

/// Tag, content and what follows of the first DER element.
pub(crate) fn tlv(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = input.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        len @ ..=0x7f => (usize::from(*len), rest),
        long @ 0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((*tag, content, rest))
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut element = vec![tag];
    match content.len() {
        len @ ..0x80 => element.push(u8::try_from(len).unwrap_or_default()),
        len => {
            let bytes = len.to_be_bytes();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            element.push(0x80 | u8::try_from(bytes.len() - zeros).unwrap_or_default());
            element.extend(bytes.iter().skip(zeros));
        }
    }
    element.extend(content);
    element
}

/// DER integers are signed: a leading one bit needs a zero byte before it.
fn signed(number: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if number.first().is_some_and(|byte| 0x7f < *byte) { &[0] } else { &[] };
    [sign, number].concat()
}
