//! The words in which a scheme is described: what is checked, where it stands, what is signed.
//!
//! Rows of the catalogue are statics of these types, schemes of a user's own are views on owned
//! data; hence the lifetimes.

use std::borrow::Cow;

use crate::{
    Encoding, Hash, Place, Request, Secret,
    keys::{Kind, PUBLIC_PREFIX, key_url, mac_key, pair, public_keys},
};

const NOT_PUBLIC: &str =
    "has to be a public key: PEM, base64 or hex of DER, a JWK or a JWKS, or the https URL of one";

/// Why `secret` cannot be a key for `algorithm`.
pub(crate) fn usable(
    algorithm: Algorithm,
    form: KeyForm,
    secret: &Secret,
) -> Result<(), &'static str> {
    if let Some(kind) = Kind::of(algorithm) {
        return if may_hold_key(secret, kind) { Ok(()) } else { Err(NOT_PUBLIC) };
    }
    if matches!(algorithm, Algorithm::Digest(_)) {
        return Ok(());
    }
    // Standard Webhooks shows public keys behind a prefix of their own, beside its secrets.
    if secret.expose().trim_ascii().starts_with(PUBLIC_PREFIX.as_bytes()) {
        let none = public_keys(secret.expose(), Kind::Ed25519, None).is_empty();
        return if none { Err(NOT_PUBLIC) } else { Ok(()) };
    }
    match (mac_key(form, secret), form) {
        (Ok(_), _) => Ok(()),
        (Err("is not base64"), _) => Err("has to be base64, with or without `whsec_` in front"),
        (Err("is not hex"), _) => Err("has to be hex"),
        (Err(why), _) => Err(why),
    }
}

/// Whether a secret is a public key, or says where one is.
fn may_hold_key(secret: &Secret, kind: Kind) -> bool {
    key_url(secret).is_some() || !public_keys(secret.expose(), kind, None).is_empty()
}

/// How a request proves itself.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Check<'a> {
    /// A MAC, a digest with the secret in it, or a public-key signature over chosen parts.
    Signed(Signed<'a>),
    /// A JSON Web Token (RFC 7519).
    Jwt(Jwt<'a>),
    /// The secret itself stands somewhere, behind `prefix`.
    Token { place: Place<'a>, prefix: &'a str },
    /// The secret is written `Header-Name: value`; the header is of the operator's choosing.
    NamedHeader,
    /// `Authorization: Basic …`; the secret is written `user:password`.
    Basic,
    /// Either of two will do: providers that migrate send one or the other.
    Either(&'a Check<'a>, &'a Check<'a>),
    /// Which check is decided by the text at a place. The text is not believed: each of the
    /// checks has to stand on its own.
    Case { place: Place<'a>, cases: &'a [(&'a str, Check<'a>)] },
    /// Adyen: every item of the batch carries its own signature.
    AdyenItems,
    /// The provider signs nothing.
    Unsigned,
}

impl Check<'_> {
    /// Whether the check needs anything of the operator's.
    pub(crate) fn needs_secret(&self) -> bool {
        let published = |keys: &KeySource| {
            matches!(keys, KeySource::Published { .. } | KeySource::Certificate(_))
        };
        match self {
            Self::Signed(signed) => {
                Kind::of(signed.algorithm).is_none()
                    || !published(&signed.keys)
                    || signed.holds_secret()
            }
            Self::Jwt(jwt) => {
                let is_shared = |algorithm: &JwtAlgorithm| Kind::of_jwt(*algorithm).is_none();
                jwt.audience || !published(&jwt.keys) || jwt.algorithms.iter().any(is_shared)
            }
            Self::Either(one, other) => one.needs_secret() && other.needs_secret(),
            Self::Case { cases, .. } => cases.iter().any(|(_, check)| check.needs_secret()),
            Self::Unsigned => false,
            Self::Token { .. } | Self::NamedHeader | Self::Basic | Self::AdyenItems => true,
        }
    }

    /// Why `secret` is of no use to the check.
    pub(crate) fn check_secret(&self, secret: &Secret) -> Result<(), &'static str> {
        let has_colon = secret.expose().contains(&b':');
        match self {
            Self::Signed(signed) if signed.holds_secret() => Ok(()),
            Self::Signed(signed) if signed.needs_pair() => {
                let (public, private) = pair(secret.expose());
                let is_whole = !public.is_empty() && !private.is_empty();
                if is_whole { Ok(()) } else { Err("has to be written `public:private`") }
            }
            Self::Signed(signed) => match signed.keys {
                KeySource::Certificate(_) => Ok(()),
                KeySource::Plaid if !has_colon => Err("has to be written `client_id:secret`"),
                KeySource::Plaid => Ok(()),
                _ => usable(signed.algorithm, signed.key, secret),
            },
            Self::Jwt(jwt) if jwt.audience => Ok(()),
            Self::Jwt(jwt) if matches!(jwt.keys, KeySource::Plaid) => {
                if has_colon {
                    Ok(())
                } else {
                    Err("has to be written `client_id:secret`")
                }
            }
            Self::Jwt(jwt) => {
                let fits = |algorithm: &JwtAlgorithm| {
                    Kind::of_jwt(*algorithm).is_none_or(|kind| may_hold_key(secret, kind))
                };
                if jwt.algorithms.iter().any(fits) { Ok(()) } else { Err(NOT_PUBLIC) }
            }
            Self::NamedHeader if !has_colon => Err("has to be written `Header-Name: value`"),
            Self::Basic if !has_colon => Err("has to be written `user:password`"),
            Self::Either(one, other) => {
                one.check_secret(secret).or_else(|why| other.check_secret(secret).map_err(|_| why))
            }
            Self::Case { cases, .. } => {
                let mut verdict = Ok(());
                for (_, check) in *cases {
                    match check.check_secret(secret) {
                        Ok(()) => return Ok(()),
                        refused => verdict = refused,
                    }
                }
                verdict
            }
            Self::AdyenItems => usable(Algorithm::Hmac(Hash::Sha256), KeyForm::Hex, secret),
            Self::Token { .. } | Self::NamedHeader | Self::Basic | Self::Unsigned => Ok(()),
        }
    }

    /// Whether a secret is a public key, or the URL of one.
    pub(crate) fn takes_public_key(&self) -> bool {
        match self {
            Self::Signed(signed) => Kind::of(signed.algorithm).is_some(),
            Self::Jwt(jwt) => {
                let is_public = |known: &JwtAlgorithm| Kind::of_jwt(*known).is_some();
                !jwt.audience && jwt.algorithms.iter().any(is_public)
            }
            Self::Either(one, other) => one.takes_public_key() || other.takes_public_key(),
            Self::Case { cases, .. } => cases.iter().any(|(_, check)| check.takes_public_key()),
            _ => false,
        }
    }

    /// Whether the crate can do the check alone: without a key that has to be fetched, and without a signature that
    /// only the shell can check.
    pub(crate) fn is_self_contained(&self) -> bool {
        match self {
            Self::Signed(signed) => {
                let checked_here = matches!(
                    signed.algorithm,
                    Algorithm::Hmac(_) | Algorithm::Digest(_) | Algorithm::Ed25519
                );
                checked_here && matches!(signed.keys, KeySource::Pasted)
            }
            Self::Jwt(jwt) => {
                let mut algorithms = jwt.algorithms.iter();
                let shared = |algorithm: &JwtAlgorithm| {
                    matches!(
                        algorithm,
                        JwtAlgorithm::Hs256 | JwtAlgorithm::Hs384 | JwtAlgorithm::Hs512
                    )
                };
                algorithms.all(shared) && matches!(jwt.keys, KeySource::Pasted)
            }
            Self::Either(one, other) => one.is_self_contained() && other.is_self_contained(),
            Self::Case { cases, .. } => cases.iter().all(|(_, check)| check.is_self_contained()),
            Self::Token { .. }
            | Self::NamedHeader
            | Self::Basic
            | Self::AdyenItems
            | Self::Unsigned => true,
        }
    }
}

/// What a check proves about the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// The whole body is the sender's.
    Full,
    /// Some of it is, or only the fact that the sender sent something.
    Partial,
    /// Nothing, or only that the sender knows a token.
    None,
}

#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// Where signatures stand. All that are present count.
    pub places: &'a [Place<'a>],
    pub syntax: Syntax<'a>,
    pub encoding: Encoding,
    pub algorithm: Algorithm,
    pub key: KeyForm,
    pub keys: KeySource,
    /// What may have been signed. Alternatives with an absent part do not count.
    pub messages: &'a [&'a [Part<'a>]],
    pub stamp: Option<Stamp<'a>>,
    /// A hash of the body that stands elsewhere and is itself signed.
    pub body_hash: Option<BodyHash<'a>>,
}

impl Signed<'_> {
    /// Whether the secret is part of what is signed, and so is no key.
    fn holds_secret(&self) -> bool {
        Kind::of(self.algorithm).is_some()
            && self
                .messages
                .iter()
                .any(|parts| parts.iter().any(|part| matches!(part, Part::Secret)))
    }
}

impl Signed<'_> {
    /// Whether the scheme is nothing without the public half of the secret.
    fn needs_pair(&self) -> bool {
        let mut parts = self.messages.iter().flat_map(|parts| parts.iter());
        matches!(self.syntax, Syntax::KeyedPairs) || parts.any(|part| matches!(part, Part::Public))
    }
}

/// How the signature header is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax<'a> {
    /// One signature behind `prefix`, and two that differ are refused.
    One { prefix: &'a str },
    /// Signatures behind `prefix`, separated by one of `separators` or on lines of their own.
    /// What lacks the prefix is of another version and ignored.
    Several { prefix: &'a str, separators: &'a str },
    /// A prefix, then signatures between `separators`.
    After { prefix: &'a str, separators: &'a str },
    /// `key=value` pairs between `separators`; the values of `signatures` are what their name
    /// says, in quotes or bare; the others can be parts of the message ([`Part::Field`]).
    Pairs { separators: &'a str, signatures: &'a [&'a str] },
    /// A list without keys: the timestamp, then signatures. The timestamp is field `0`.
    Positional,
    /// Space-separated `v1,<signature>`, and `v1a,<signature>` for public keys.
    Versions,
    /// `<hash>=<signature>`, the hash being one of these.
    NamedHash(&'a [Hash]),
    /// Base64 around a JSON object with members `signature` and `key_id`.
    JsonEnvelope,
    /// `public key|signature` pairs joined by `&`; the pair of our public key counts.
    KeyedPairs,
    /// `keyid=:signature:` of RFC 9421.
    Dictionary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Hmac(Hash),
    /// A plain digest; the secret is a [`Part`] of the message.
    Digest(Hash),
    /// Strict: low-order keys and non-canonical signatures are refused.
    Ed25519,
    /// RSASSA-PKCS1-v1_5.
    Rsa(Hash),
    /// ECDSA on P-256.
    Ecdsa(Hash),
}

/// How the text of a secret becomes a MAC key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// The text itself.
    Text,
    /// Base64, behind one of the prefixes that mark it (`whsec_`).
    Base64,
    Hex,
    /// The SHA-1 of the text.
    Sha1,
    /// The text and an `&`, as in OAuth 1.
    Ampersand,
    /// The text in Unicode NFKD.
    Nfkd,
    /// `public:private`; the key is what follows the first colon, or all where there is none.
    Pair,
    /// A public key: PEM, base64 or hex of DER or of the raw bytes, or a JWK.
    Public,
}

/// Where public keys come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The operator pasted them; they are the secrets.
    Pasted,
    /// The secrets where there are any, else this document. `{kid}` in the URL is the key id.
    Published { url: &'static str, key_id: Option<Place<'static>> },
    /// A certificate whose URL stands in the request. The host has to match: `*.` in front
    /// stands for any one or more labels, `sns.*.` for one.
    Certificate(&'static CertificateAt),
    /// Plaid: asked for by key id, with the credentials that are the secret
    /// (`client_id:secret`).
    Plaid,
}

/// Where a certificate may come from, and whose it has to be.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written out by rows")]
pub struct CertificateAt {
    /// Where its URL stands.
    pub place: Place<'static>,
    pub hosts: &'static [&'static str],
    /// What the path begins and ends with, around a plain name.
    pub path: (&'static str, &'static str),
    /// What its subject has to match, written like `hosts`.
    pub subjects: &'static [&'static str],
}

/// A piece of what was signed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Part<'a> {
    Text(&'a str),
    /// The raw body.
    Body,
    /// A digest of the raw body, as text.
    BodyDigest(Hash, Encoding),
    /// The CRC-32 of the raw body in decimal.
    BodyCrc32,
    /// The body as a JSON string literal.
    BodyQuoted,
    /// The text at a place. Alternatives that lack it do not count.
    At(Place<'a>),
    /// As `At`; nothing where it is absent.
    Maybe(&'a str, Place<'a>, &'a str),
    /// The lower-cased text at a place, between two texts; nothing where it is absent.
    MaybeLower(&'a str, Place<'a>, &'a str),
    /// The raw JSON at a path of the body, byte for byte.
    Raw(&'a str),
    /// The value of another pair in the signature header.
    Field(&'a str),
    /// The timestamp, as written.
    Stamp,
    Method,
    Url(UrlForm),
    /// The names and values of a form, sorted, repeated pairs once.
    Form,
    /// The secret.
    Secret,
    /// What precedes the colon of a `public:private` secret.
    Public,
    /// What no other part can say.
    Custom(MakePart),
    /// As `Custom`, with the fields of the signature header.
    CustomFields(MakePartOfFields),
}

/// Makes a part from the request. `None`: the request lacks what it needs.
pub type MakePart = fn(&Request<'_>) -> Option<Vec<u8>>;

/// As [`MakePart`], with the pairs of the signature header.
pub type MakePartOfFields =
    fn(&Request<'_>, &[(Cow<'_, str>, Cow<'_, str>)], &Secret) -> Option<Vec<u8>>;

/// Which form of the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlForm {
    /// As the provider was given it.
    Full,
    /// With `:443` or `:80` where no port is written.
    WithPort,
    WithoutPort,
    /// With `'` written as `%27`.
    QuotesEscaped,
    /// Without the query.
    Base,
    /// Host, and port where one is written.
    Host,
    /// Path and query.
    Path,
    /// With the escapes of HubSpot's version 3 undone.
    Unescaped,
}

#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    pub at: StampAt<'a>,
    pub unit: Unit,
    /// Seconds that sender and receiver may be apart, either way. 0: the age does not matter.
    pub tolerance: u64,
    /// Whether a request may come without.
    pub optional: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampAt<'a> {
    Place(Place<'a>),
    /// A pair of the signature header.
    Field(&'a str),
    /// A parameter (`;name=`) of another header.
    Parameter {
        header: &'a str,
        name: &'a str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Millis,
    /// Seconds below 10¹¹, else milliseconds.
    Either,
    /// `2022-11-16T10:11:12.464757833Z`
    Rfc3339,
    /// `Wed, 16 Nov 2022 10:11:12 GMT`
    HttpDate,
}

#[derive(Clone, Copy, Debug)]
pub struct BodyHash<'a> {
    pub place: Place<'a>,
    pub hash: Hash,
    pub encoding: Encoding,
}

#[derive(Clone, Copy, Debug)]
pub struct Jwt<'a> {
    pub place: JwtPlace<'a>,
    /// What the header of the token may say. Never taken from the token alone.
    pub algorithms: &'a [JwtAlgorithm],
    pub keys: KeySource,
    pub issuers: &'a [&'a str],
    /// Whether the `aud` claim has to be the first word of a secret, and `email` the second, if
    /// there is one.
    pub audience: bool,
    pub claims: &'a [Claim<'a>],
    /// Seconds that `exp` and `nbf` may be missed by.
    pub leeway: u64,
    /// Seconds since `iat`. 0: the age does not matter.
    pub max_age: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtPlace<'a> {
    /// Behind the prefix, if there is one: some senders omit `Bearer `.
    Header(&'a str, &'a str),
    Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtAlgorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Es256,
}

/// A claim that ties a token to the request.
#[derive(Clone, Copy, Debug)]
pub enum Claim<'a> {
    /// A SHA-256 of the body. Where `required` is false, an absent claim is fine.
    Body {
        name: &'a str,
        encoding: Encoding,
        required: bool,
    },
    /// A SHA-256 of the body, present exactly when there is a body.
    BodyIfAny {
        name: &'a str,
        encoding: Encoding,
    },
    /// A SHA-256 of the URL.
    UrlHash {
        name: &'a str,
        encoding: Encoding,
    },
    Url {
        name: &'a str,
    },
    True {
        name: &'a str,
    },
}

impl<'a> Signed<'a> {
    /// HMAC in lower-case hex over the body, in one header. What differs is said on top.
    pub(crate) const fn new(places: &'a [Place<'a>], algorithm: Algorithm) -> Self {
        Self {
            places,
            syntax: Syntax::One { prefix: "" },
            encoding: Encoding::Hex,
            algorithm,
            key: KeyForm::Text,
            keys: KeySource::Pasted,
            messages: &[&[Part::Body]],
            stamp: None,
            body_hash: None,
        }
    }

    pub(crate) const fn hmac256(places: &'a [Place<'a>]) -> Self {
        Self::new(places, Algorithm::Hmac(Hash::Sha256))
    }

    pub(crate) const fn hmac1(places: &'a [Place<'a>]) -> Self {
        Self::new(places, Algorithm::Hmac(Hash::Sha1))
    }

    pub(crate) const fn hmac512(places: &'a [Place<'a>]) -> Self {
        Self::new(places, Algorithm::Hmac(Hash::Sha512))
    }

    /// A public-key scheme, base64 in one header.
    pub(crate) const fn public(places: &'a [Place<'a>], algorithm: Algorithm) -> Self {
        let mut scheme = Self::new(places, algorithm);
        scheme.key = KeyForm::Public;
        scheme.encoding = Encoding::Base64;
        scheme
    }

    pub(crate) const fn base64(mut self) -> Self {
        self.encoding = Encoding::Base64;
        self
    }

    pub(crate) const fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    pub(crate) const fn prefix(mut self, prefix: &'a str) -> Self {
        self.syntax = Syntax::One { prefix };
        self
    }

    pub(crate) const fn several(mut self, prefix: &'a str) -> Self {
        self.syntax = Syntax::Several { prefix, separators: "," };
        self
    }

    /// `t=…,v1=…`: pairs between commas or semicolons.
    pub(crate) const fn pairs(mut self, signatures: &'a [&'a str]) -> Self {
        self.syntax = Syntax::Pairs { separators: ",;", signatures };
        self
    }

    pub(crate) const fn syntax(mut self, syntax: Syntax<'a>) -> Self {
        self.syntax = syntax;
        self
    }

    pub(crate) const fn key(mut self, key: KeyForm) -> Self {
        self.key = key;
        self
    }

    pub(crate) const fn keys(mut self, keys: KeySource) -> Self {
        self.keys = keys;
        self
    }

    pub(crate) const fn over(mut self, messages: &'a [&'a [Part<'a>]]) -> Self {
        self.messages = messages;
        self
    }

    pub(crate) const fn stamp(mut self, at: StampAt<'a>, unit: Unit, tolerance: u64) -> Self {
        self.stamp = Some(Stamp { at, unit, tolerance, optional: false });
        self
    }

    pub(crate) const fn optional_stamp(
        mut self,
        at: StampAt<'a>,
        unit: Unit,
        tolerance: u64,
    ) -> Self {
        self.stamp = Some(Stamp { at, unit, tolerance, optional: true });
        self
    }

    pub(crate) const fn body_hash(mut self, place: Place<'a>) -> Self {
        self.body_hash = Some(BodyHash { place, hash: Hash::Sha256, encoding: Encoding::Hex });
        self
    }
}
