//! Schemes that operators describe themselves, in the engine's own terms.

use crate::{
    Encoding, Hash, Integrity, Outcome, Place, Secret,
    engine::{self, Ask},
    scheme::{
        Algorithm, KeyForm, KeySource, Part, Signed, Stamp, StampAt, Syntax, Unit, UrlForm, usable,
    },
    verifier::token,
};

/// A scheme in words, as it stands in the configuration of a source. [`Scheme::parse`] says
/// what the words may be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "written out by whoever reads the configuration")]
pub struct SchemeSpec {
    /// Where the signature stands: `header:x-signature`, `query:sig`, `form:sig`, `body:sig`.
    pub signature: String,
    /// What stands before the signature: `sha256=`.
    pub prefix: String,
    /// For headers of `key=value` pairs: the keys that hold signatures. Else empty.
    pub pairs: Vec<String>,
    /// What stands between several signatures or pairs. Empty: only one signature is expected.
    pub separators: String,
    /// `hmac-sha256` (or any other name of [`enum@Hash`]), `sha256` (a plain digest), `ed25519`,
    /// `rsa-sha256`, `ecdsa-sha256`; `token` where the secret itself stands there.
    pub algorithm: String,
    /// `hex`, `base64`, `base64url`, `base64hex`.
    pub encoding: String,
    /// How the secret becomes a key: `text`, `base64`, `hex`. Public keys need no word.
    pub key: String,
    /// What is signed. `{…}` stands for: `body`, `body.sha256`, `timestamp`, `method`, `url`,
    /// `url.base`, `url.path`, `form`, `secret`, `header:name`, `query:name`, `form:name`,
    /// `json:path` (its text), `raw:path` (its bytes), `pair:key`. `{{` and `}}` stand for
    /// themselves.
    pub template: String,
    /// Where the timestamp stands: as `signature`, or `pair:t`. Empty: there is none.
    pub timestamp: String,
    /// `seconds`, `milliseconds`, `rfc3339`, `http-date`, or `either` of the first two.
    pub timestamp_unit: String,
    /// Seconds that clocks may differ. 0: any age will do.
    pub tolerance_seconds: u64,
    /// `full`, or `partial` for a template that does not hold all of the body.
    pub integrity: String,
}

impl Default for SchemeSpec {
    /// HMAC-SHA-256 in hex over the body. Where the signature stands remains to be said.
    fn default() -> Self {
        let text = str::to_owned;
        Self {
            signature: String::new(),
            prefix: String::new(),
            pairs: Vec::new(),
            separators: String::new(),
            algorithm: text("hmac-sha256"),
            encoding: text("hex"),
            key: text("text"),
            template: text("{body}"),
            timestamp: String::new(),
            timestamp_unit: text("seconds"),
            tolerance_seconds: 300,
            integrity: text("full"),
        }
    }
}

impl SchemeSpec {
    /// `t=<unix>,v1=<hex>` in one header, over `<unix>.<body>`.
    pub fn timestamped(header: &str) -> Self {
        Self {
            signature: format!("header:{header}"),
            pairs: vec!["v1".to_owned()],
            separators: ",".to_owned(),
            template: "{timestamp}.{body}".to_owned(),
            timestamp: "pair:t".to_owned(),
            ..Self::default()
        }
    }
}

/// Why a [`SchemeSpec`] describes nothing that could be checked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemeError {
    #[error("`{field}`: `{word}` is not one of {allowed}")]
    Word { field: &'static str, word: String, allowed: &'static str },
    #[error("`{field}`: `{text}` names no place; write for example `header:x-signature`")]
    Place { field: &'static str, text: String },
    #[error("`template`: `{{{name}}}` is nothing that a message can hold")]
    Part { name: String },
    #[error("`template`: a brace is open that is never closed, or the other way round")]
    Braces,
    #[error(
        "`template` does not hold all of the body, so anybody who saw one request could send \
         another body with it; sign `{{body}}`, or say `integrity: partial` and fetch the data again"
    )]
    BodyNotSigned,
    #[error(
        "`template` holds the body more than {BODY_PIECES_MAX} times, or more than {RAW_PIECES_MAX} values of it as they are written"
    )]
    BodyTooOften,
    #[error("`integrity: partial` is said, but the template holds all of the body")]
    BodySigned,
    #[error(
        "the timestamp is checked but not signed, so anybody could renew an old request; \
         put `{{timestamp}}` into the template, or set `tolerance_seconds` to 0"
    )]
    TimestampNotSigned,
    #[error("`template` holds `{{timestamp}}`, but `timestamp` does not say where it stands")]
    NoTimestamp,
    #[error("the scheme reads no `timestamp`, so a tolerance would have no effect")]
    NoTime,
    #[error("a plain digest proves nothing without `{{secret}}` in the template; or use HMAC")]
    DigestWithoutSecret,
    #[error("`{{secret}}` in the template is for plain digests; here the secret is the key")]
    SecretSigned,
    #[error("`template` holds nothing of the request, so one signature would do for all of them")]
    NothingSigned,
    #[error("the signature stands in what is signed, so no sender could make it")]
    SignatureSigned,
    #[error(
        "a token is compared as it stands, so `{field}` would have no effect; leave it out, or choose another `algorithm`"
    )]
    OnlyToken { field: &'static str },
    #[error("`{what}` refers to a pair of the signature header, and `pairs` is empty")]
    NoPairs { what: String },
}

/// Pieces of a template that go over all of the body: it is hashed, or copied, once for each of them and each secret.
const BODY_PIECES_MAX: usize = 3;
/// Pieces that look a value up in it.
const RAW_PIECES_MAX: usize = 10;

/// A checked [`SchemeSpec`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheme {
    place: Owned,
    prefix: String,
    pairs: Vec<String>,
    separators: String,
    encoding: Encoding,
    /// `None`: the secret itself.
    algorithm: Option<Algorithm>,
    key: KeyForm,
    template: Vec<Piece>,
    stamp: Option<(At, Unit, u64)>,
    partial: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Owned {
    Header(String),
    Query(String),
    Form(String),
    Body(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    Place(Owned),
    Pair(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Body,
    BodyDigest,
    Stamp,
    Method,
    Url(UrlForm),
    Form,
    Secret,
    At(Owned),
    Raw(String),
    Pair(String),
}

impl Scheme {
    /// Checks that `spec` makes sense and that what it describes would prove something.
    pub fn parse(spec: &SchemeSpec) -> Result<Self, SchemeError> {
        if spec.algorithm.eq_ignore_ascii_case("token") {
            return Self::token(spec);
        }
        let algorithm = algorithm(&spec.algorithm)?;
        let public =
            matches!(algorithm, Algorithm::Ed25519 | Algorithm::Rsa(_) | Algorithm::Ecdsa(_));
        let scheme = Self {
            place: place("signature", &spec.signature)?,
            prefix: spec.prefix.clone(),
            pairs: spec.pairs.clone(),
            separators: spec.separators.clone(),
            encoding: Encoding::from_name(&spec.encoding).ok_or_else(|| SchemeError::Word {
                field: "encoding",
                word: spec.encoding.clone(),
                allowed: "hex, base64, base64url, base64hex",
            })?,
            algorithm: Some(algorithm),
            key: if public { KeyForm::Public } else { key(&spec.key)? },
            template: template(&spec.template)?,
            stamp: stamp(spec)?,
            partial: partial(&spec.integrity)?,
        };
        scheme.proves_something()?;
        Ok(scheme)
    }

    /// The secret itself, in one place.
    fn token(spec: &SchemeSpec) -> Result<Self, SchemeError> {
        let usual = SchemeSpec::default();
        for (field, is_usual) in [
            ("pairs", spec.pairs.is_empty()),
            ("separators", spec.separators.is_empty()),
            ("encoding", spec.encoding == usual.encoding),
            ("key", spec.key == usual.key),
            ("template", spec.template == usual.template),
            ("timestamp", spec.timestamp.is_empty()),
            ("integrity", spec.integrity == usual.integrity),
        ] {
            if !is_usual {
                return Err(SchemeError::OnlyToken { field });
            }
        }
        Ok(Self {
            place: place("signature", &spec.signature)?,
            prefix: spec.prefix.clone(),
            pairs: Vec::new(),
            separators: String::new(),
            encoding: Encoding::Hex,
            algorithm: None,
            key: KeyForm::Text,
            template: Vec::new(),
            stamp: None,
            partial: false,
        })
    }

    fn proves_something(&self) -> Result<(), SchemeError> {
        let holds = |piece: &Piece| self.template.contains(piece);
        let fixed = |piece: &Piece| matches!(piece, Piece::Text(_) | Piece::Secret);
        if self.template.iter().all(fixed) {
            return Err(SchemeError::NothingSigned);
        }
        let in_body = matches!(self.place, Owned::Form(_) | Owned::Body(_));
        if holds(&Piece::At(self.place.clone()))
            || (in_body && (holds(&Piece::Body) || holds(&Piece::BodyDigest)))
        {
            return Err(SchemeError::SignatureSigned);
        }
        let count = |is: fn(&&Piece) -> bool| self.template.iter().filter(is).count();
        let whole = |piece: &&Piece| matches!(piece, Piece::Body | Piece::BodyDigest | Piece::Form);
        let raw = |piece: &&Piece| matches!(piece, Piece::Raw(_));
        if BODY_PIECES_MAX < count(whole) || RAW_PIECES_MAX < count(raw) {
            return Err(SchemeError::BodyTooOften);
        }
        let body = holds(&Piece::Body) || holds(&Piece::BodyDigest);
        match (body, self.partial) {
            (false, false) => return Err(SchemeError::BodyNotSigned),
            (true, true) => return Err(SchemeError::BodySigned),
            _ => {}
        }
        match (matches!(self.algorithm, Some(Algorithm::Digest(_))), holds(&Piece::Secret)) {
            (true, false) => return Err(SchemeError::DigestWithoutSecret),
            (false, true) => return Err(SchemeError::SecretSigned),
            _ => {}
        }
        let paired = self.template.iter().find_map(|piece| match piece {
            Piece::Pair(name) => Some(name),
            _ => None,
        });
        let paired = paired.or(match &self.stamp {
            Some((At::Pair(name), ..)) => Some(name),
            _ => None,
        });
        if let Some(name) = paired.filter(|_| self.pairs.is_empty()) {
            return Err(SchemeError::NoPairs { what: format!("pair:{name}") });
        }
        match &self.stamp {
            None if holds(&Piece::Stamp) => Err(SchemeError::NoTimestamp),
            Some((.., tolerance)) if 0 < *tolerance && !self.signs_time() => {
                Err(SchemeError::TimestampNotSigned)
            }
            _ => Ok(()),
        }
    }

    /// Why the age of a request cannot be checked, where it cannot.
    pub fn check_tolerance(&self) -> Result<(), SchemeError> {
        match &self.stamp {
            None => Err(SchemeError::NoTime),
            Some(_) if self.signs_time() => Ok(()),
            Some(_) => Err(SchemeError::TimestampNotSigned),
        }
    }

    /// Whether there is a time that is signed.
    fn signs_time(&self) -> bool {
        let holds = |piece: &Piece| self.template.contains(piece);
        let body = holds(&Piece::Body) || holds(&Piece::BodyDigest);
        let Some((at, ..)) = &self.stamp else { return false };
        holds(&Piece::Stamp)
            || match at {
                At::Pair(name) => holds(&Piece::Pair(name.clone())),
                At::Place(Owned::Body(_)) if body => true,
                At::Place(Owned::Form(_)) if body || holds(&Piece::Form) => true,
                At::Place(Owned::Query(_)) => {
                    holds(&Piece::Url(UrlForm::Full)) || holds(&Piece::Url(UrlForm::Path))
                }
                At::Place(place) => holds(&Piece::At(place.clone())),
            }
    }

    /// Why `secret` cannot be a key of this scheme: the form that is expected.
    pub fn check_secret(&self, secret: &Secret) -> Result<(), &'static str> {
        self.algorithm.map_or(Ok(()), |algorithm| usable(algorithm, self.key, secret))
    }

    /// Whether a secret is a public key, or the URL of one.
    pub fn takes_public_key(&self) -> bool {
        self.key == KeyForm::Public
    }

    pub fn integrity(&self) -> Integrity {
        match self.algorithm {
            None => Integrity::None,
            Some(_) if self.partial => Integrity::Partial,
            Some(_) => Integrity::Full,
        }
    }

    pub(crate) fn credential_header(&self) -> Option<String> {
        match &self.place {
            Owned::Header(name) => Some(name.clone()),
            _ => None,
        }
    }

    /// For a token in a header: its name, and what stands before the token.
    pub(crate) fn token_header(&self) -> Option<(&str, &str)> {
        match (&self.algorithm, &self.place) {
            (None, Owned::Header(name)) => Some((name, &self.prefix)),
            _ => None,
        }
    }

    pub(crate) fn credential_parameter(&self) -> Option<String> {
        match &self.place {
            Owned::Query(name) => Some(name.clone()),
            _ => None,
        }
    }

    pub(crate) fn start(&self, ask: Ask<'_>) -> Outcome {
        let Some(algorithm) = self.algorithm else {
            return Outcome::Done(token(&self.place.view(), &self.prefix, ask));
        };
        let places = [self.place.view()];
        let pairs: Vec<&str> = self.pairs.iter().map(String::as_str).collect();
        let parts: Vec<Part<'_>> = self.template.iter().map(Piece::view).collect();
        let stamp = self.stamp.as_ref().map(|(at, unit, tolerance)| Stamp {
            at: match at {
                At::Place(place) => StampAt::Place(place.view()),
                At::Pair(name) => StampAt::Field(name),
            },
            unit: *unit,
            tolerance: *tolerance,
            optional: false,
        });
        let (prefix, separators) = (self.prefix.as_str(), self.separators.as_str());
        let syntax = match (pairs.is_empty(), separators) {
            (false, "") => Syntax::Pairs { separators: ",", signatures: &pairs },
            (false, separators) => Syntax::Pairs { separators, signatures: &pairs },
            (true, "") => Syntax::One { prefix },
            (true, separators) => Syntax::Several { prefix, separators },
        };
        let scheme = Signed {
            places: &places,
            syntax,
            encoding: self.encoding,
            algorithm,
            key: self.key,
            keys: KeySource::Pasted,
            messages: &[&parts],
            stamp,
            body_hash: None,
        };
        engine::start(&scheme, ask)
    }
}

impl Owned {
    fn view(&self) -> Place<'_> {
        match self {
            Self::Header(name) => Place::Header(name),
            Self::Query(name) => Place::Query(name),
            Self::Form(name) => Place::Form(name),
            Self::Body(path) => Place::Body(path),
        }
    }
}

impl Piece {
    fn view(&self) -> Part<'_> {
        match self {
            Self::Text(text) => Part::Text(text),
            Self::Body => Part::Body,
            Self::BodyDigest => Part::BodyDigest(Hash::Sha256, Encoding::Hex),
            Self::Stamp => Part::Stamp,
            Self::Method => Part::Method,
            Self::Url(form) => Part::Url(*form),
            Self::Form => Part::Form,
            Self::Secret => Part::Secret,
            Self::At(place) => Part::At(place.view()),
            Self::Raw(path) => Part::Raw(path),
            Self::Pair(name) => Part::Field(name),
        }
    }
}

fn algorithm(word: &str) -> Result<Algorithm, SchemeError> {
    let lower = word.to_ascii_lowercase();
    let hash = |name: &str| Hash::from_name(&name.to_ascii_uppercase().replace('-', "_"));
    let known = match lower.split_once('-') {
        _ if lower == "ed25519" => Some(Algorithm::Ed25519),
        Some(("hmac", name)) => hash(name).map(Algorithm::Hmac),
        Some(("rsa", name)) => hash(name).map(Algorithm::Rsa),
        Some(("ecdsa", name)) => hash(name).map(Algorithm::Ecdsa),
        _ => hash(&lower).map(Algorithm::Digest),
    };
    let web = |hash| matches!(hash, Hash::Sha1 | Hash::Sha256 | Hash::Sha384 | Hash::Sha512);
    let known = known.filter(|algorithm| match algorithm {
        Algorithm::Rsa(hash) | Algorithm::Ecdsa(hash) => web(*hash),
        _ => true,
    });
    known.ok_or_else(|| SchemeError::Word {
        field: "algorithm",
        word: word.to_owned(),
        allowed: "hmac-<hash>, <hash>, token, ed25519, rsa-sha1|256|384|512, ecdsa-sha1|256|384|512",
    })
}

fn key(word: &str) -> Result<KeyForm, SchemeError> {
    match word {
        "text" => Ok(KeyForm::Text),
        "base64" => Ok(KeyForm::Base64),
        "hex" => Ok(KeyForm::Hex),
        _ => Err(SchemeError::Word {
            field: "key",
            word: word.to_owned(),
            allowed: "text, base64, hex",
        }),
    }
}

fn partial(word: &str) -> Result<bool, SchemeError> {
    match word {
        "full" => Ok(false),
        "partial" => Ok(true),
        _ => Err(SchemeError::Word {
            field: "integrity",
            word: word.to_owned(),
            allowed: "full, partial",
        }),
    }
}

fn stamp(spec: &SchemeSpec) -> Result<Option<(At, Unit, u64)>, SchemeError> {
    if spec.timestamp.is_empty() {
        return Ok(None);
    }
    let at = match spec.timestamp.split_once(':') {
        Some(("pair", name)) if !name.is_empty() => At::Pair(name.to_owned()),
        _ => At::Place(place("timestamp", &spec.timestamp)?),
    };
    let unit = match spec.timestamp_unit.as_str() {
        "seconds" => Unit::Seconds,
        "milliseconds" => Unit::Millis,
        "either" => Unit::Either,
        "rfc3339" => Unit::Rfc3339,
        "http-date" => Unit::HttpDate,
        word => {
            return Err(SchemeError::Word {
                field: "timestamp_unit",
                word: word.to_owned(),
                allowed: "seconds, milliseconds, either, rfc3339, http-date",
            });
        }
    };
    Ok(Some((at, unit, spec.tolerance_seconds)))
}

fn place(field: &'static str, text: &str) -> Result<Owned, SchemeError> {
    let wrong = || SchemeError::Place { field, text: text.to_owned() };
    let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
    let name = name.trim();
    if name.is_empty() {
        return Err(wrong());
    }
    match kind.trim() {
        // https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
        "header"
            if !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)) =>
        {
            Err(wrong())
        }
        "header" => Ok(Owned::Header(name.to_ascii_lowercase())),
        "query" => Ok(Owned::Query(name.to_owned())),
        "form" => Ok(Owned::Form(name.to_owned())),
        "body" | "json" => Ok(Owned::Body(name.to_owned())),
        _ => Err(wrong()),
    }
}

fn template(text: &str) -> Result<Vec<Piece>, SchemeError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at_checked(at).ok_or(SchemeError::Braces)?;
        literal.push_str(before);
        if let Some(after) = from.strip_prefix("{{") {
            literal.push('{');
            rest = after;
        } else if let Some(after) = from.strip_prefix("}}") {
            literal.push('}');
            rest = after;
        } else {
            let inner = from.strip_prefix('{').ok_or(SchemeError::Braces)?;
            let (name, after) = inner.split_once('}').ok_or(SchemeError::Braces)?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(piece(name.trim())?);
            rest = after;
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

fn piece(name: &str) -> Result<Piece, SchemeError> {
    match name {
        "body" => return Ok(Piece::Body),
        "body.sha256" => return Ok(Piece::BodyDigest),
        "timestamp" => return Ok(Piece::Stamp),
        "method" => return Ok(Piece::Method),
        "url" => return Ok(Piece::Url(UrlForm::Full)),
        "url.base" => return Ok(Piece::Url(UrlForm::Base)),
        "url.path" => return Ok(Piece::Url(UrlForm::Path)),
        "form" => return Ok(Piece::Form),
        "secret" => return Ok(Piece::Secret),
        _ => {}
    }
    let unknown = || SchemeError::Part { name: name.to_owned() };
    match name.split_once(':').ok_or_else(unknown)? {
        (_, "") => Err(unknown()),
        ("pair", key) => Ok(Piece::Pair(key.to_owned())),
        ("raw", path) => Ok(Piece::Raw(path.to_owned())),
        _ => place("template", name).map(Piece::At).map_err(|_| unknown()),
    }
}
