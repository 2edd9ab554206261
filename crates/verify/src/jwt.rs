//! JSON Web Tokens that tie themselves to a request.

use subtle::ConstantTimeEq;

use crate::{
    Encoding, Hash, Outcome, Place, Refused, Request, Secret, Verified, digest,
    engine::{Ask, within},
    hmac, json,
    keys::Kind,
    place, public,
    scheme::{Claim, Jwt, JwtAlgorithm, JwtPlace},
    step::{Job, SignatureAlgorithm},
    time,
};

pub(crate) fn start(scheme: &Jwt<'_>, ask: Ask<'_>) -> Outcome {
    match begin(scheme, ask) {
        Ok(outcome) => outcome,
        Err(refused) => Outcome::Done(Err(refused)),
    }
}

/// A token in pieces, before any of it is believed.
struct Token {
    /// Header and payload as they were signed.
    signed: String,
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Token {
    fn read(text: &str) -> Option<Self> {
        let mut pieces = text.split('.');
        let (header, payload) = (pieces.next()?, pieces.next()?);
        let signature = pieces.next()?;
        let decode = |piece: &str| Encoding::Base64Url.decode(piece.as_bytes());
        pieces.next().is_none().then_some(())?;
        Some(Self {
            signed: format!("{header}.{payload}"),
            header: decode(header)?,
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }

    fn claim(&self, name: &str) -> Option<String> {
        json::text(json::find_only(&self.payload, &[name]).ok()?)
    }

    /// A NumericDate in milliseconds. Some libraries write fractions.
    fn date(&self, name: &str) -> Result<Option<u64>, Refused> {
        let Some(text) = self.claim(name) else { return Ok(None) };
        let whole = text.split('.').next().unwrap_or_default();
        let malformed = malformed(&format!("claim `{name}`"), "is no date");
        time::parse(whole, crate::scheme::Unit::Seconds).map(Some).ok_or(malformed)
    }
}

fn malformed(what: &str, why: &'static str) -> Refused {
    Refused::Malformed { what: what.to_owned(), why }
}

fn begin(scheme: &Jwt<'_>, ask: Ask<'_>) -> Result<Outcome, Refused> {
    let text = text(scheme.place, ask.request)?;
    let token = Token::read(&text).ok_or_else(|| malformed("the token", "is no JWT"))?;
    // What `crit` lists has to be understood (RFC 7515, section 4.1.11), and no extension is.
    if json::find(&token.header, &["crit"]).is_some() {
        return Err(malformed("the token", "says by `crit` that it needs an extension"));
    }
    let header = |name: &str| json::find_only(&token.header, &[name]).ok().and_then(json::text);
    let named = header("alg").ok_or_else(|| malformed("the token", "names no algorithm"))?;
    // The row says what may be used. A token that could choose would choose `none`.
    let algorithm = scheme.algorithms.iter().copied().find(|known| known.name() == named);
    let algorithm = algorithm
        .ok_or_else(|| malformed("the token", "names an algorithm this provider does not use"))?;
    let Some(kind) = Kind::of_jwt(algorithm) else {
        let index = shared(algorithm, &token, ask)?;
        check(scheme, &token, ask)?;
        return Ok(Outcome::Done(Ok(Verified { secret_index: Some(index) })));
    };
    check(scheme, &token, ask)?;
    let algorithm = match algorithm {
        JwtAlgorithm::Rs384 => SignatureAlgorithm::RsaPkcs1(Hash::Sha384),
        JwtAlgorithm::Rs512 => SignatureAlgorithm::RsaPkcs1(Hash::Sha512),
        JwtAlgorithm::Es256 => SignatureAlgorithm::EcdsaP256(Hash::Sha256),
        _ => SignatureAlgorithm::RsaPkcs1(Hash::Sha256),
    };
    let key_id = header("kid");
    if kind == Kind::P256 && token.signature.len() != 64 {
        return Err(malformed("the token", "holds a signature of the wrong length"));
    }
    let (messages, signatures) = (vec![(None, token.signed.into_bytes())], vec![token.signature]);
    let job = Job { algorithm: Some(algorithm), kind, key_id, messages, signatures };
    // Where the secret is the audience, it is no key.
    let secrets = if scheme.audience { &[] } else { ask.secrets };
    public::find_keys(job, scheme.keys, Ask { secrets, ..ask })
}

/// The claims of a token that was believed.
pub(crate) fn claims(place: JwtPlace<'_>, request: &Request<'_>) -> Option<Vec<u8>> {
    Token::read(&text(place, request).ok()?).map(|token| token.payload)
}

fn text(place: JwtPlace<'_>, request: &Request<'_>) -> Result<String, Refused> {
    match place {
        JwtPlace::Header(name, prefix) => {
            let value = place::one(&Place::Header(name), request)?;
            let (head, tail) = value.split_at_checked(prefix.len()).unwrap_or(("", &value));
            let bare = if head.eq_ignore_ascii_case(prefix) { tail } else { &value };
            Ok(bare.trim().to_owned())
        }
        JwtPlace::Body => {
            let text = std::str::from_utf8(request.body.trim_ascii());
            text.map(str::to_owned).map_err(|_| malformed("the body", "is no JWT"))
        }
    }
}

fn shared(algorithm: JwtAlgorithm, token: &Token, ask: Ask<'_>) -> Result<usize, Refused> {
    if ask.secrets.is_empty() {
        return Err(Refused::NoSecret);
    }
    let hash = match algorithm {
        JwtAlgorithm::Hs384 => Hash::Sha384,
        JwtAlgorithm::Hs512 => Hash::Sha512,
        _ => Hash::Sha256,
    };
    let mut matching = None;
    for (index, secret) in ask.secrets.iter().enumerate() {
        let mac = hmac(hash, secret.expose(), &[token.signed.as_bytes()]);
        if bool::from(mac.ct_eq(&token.signature)) {
            matching = matching.or(Some(index));
        }
    }
    matching.ok_or(Refused::Signature { signatures: 1, secrets: ask.secrets.len() })
}

fn check(scheme: &Jwt<'_>, token: &Token, ask: Ask<'_>) -> Result<(), Refused> {
    let now = ask.now.0.saturating_mul(1000);
    let leeway = scheme.leeway.saturating_mul(1000);
    let timeless = ask.policy.tolerance_seconds == Some(0);
    if !timeless {
        if let Some(exp) = token.date("exp")?.filter(|exp| exp.saturating_add(leeway) < now) {
            return Err(Refused::TooOld { age: (now - exp) / 1000, tolerance: scheme.leeway });
        }
        if let Some(nbf) = token.date("nbf")?.filter(|nbf| now.saturating_add(leeway) < *nbf) {
            return Err(Refused::TooNew { ahead: (nbf - now) / 1000, tolerance: scheme.leeway });
        }
    }
    if 0 < scheme.max_age {
        let missing = Refused::Missing { what: "claim `iat`".to_owned() };
        let iat = token.date("iat")?.ok_or(missing)?;
        within(iat, ask.now, ask.policy.tolerance_seconds.unwrap_or(scheme.max_age))?;
    }
    if !scheme.issuers.is_empty() {
        let issuer = token.claim("iss").unwrap_or_default();
        if !scheme.issuers.contains(&issuer.as_str()) {
            return Err(Refused::Claim { what: "claim `iss`".to_owned() });
        }
    }
    if scheme.audience {
        let audience = token.claim("aud").unwrap_or_default();
        let email = token.claim("email");
        let ours = |secret: &Secret| receiver_is(secret, &audience, email.as_deref());
        if ask.secrets.is_empty() {
            return Err(Refused::NoSecret);
        }
        if !ask.secrets.iter().any(ours) {
            return Err(Refused::Claim { what: "claim `aud` or `email`".to_owned() });
        }
    }
    scheme.claims.iter().try_for_each(|claim| tied(claim, token, ask.request))
}

/// Whether a secret, written `audience` or `audience email`, names these two.
///
/// The audience alone only says for whom a token is: anybody may ask Google for one. The email
/// says who asked.
fn receiver_is(secret: &Secret, audience: &str, email: Option<&str>) -> bool {
    let Ok(text) = std::str::from_utf8(secret.expose()) else { return false };
    let mut words = text.split_ascii_whitespace();
    let named = words.next() == Some(audience);
    named && words.next().is_none_or(|sender| Some(sender) == email)
}

fn tied(claim: &Claim<'_>, token: &Token, request: &Request<'_>) -> Result<(), Refused> {
    let wrong = |name: &str| Refused::Claim { what: format!("claim `{name}`") };
    let hash_is = |text: &str, encoding: Encoding, of: &[u8]| {
        encoding
            .decode(text.as_bytes())
            .is_some_and(|claimed| claimed == digest(Hash::Sha256, &[of]))
    };
    let (name, right) = match *claim {
        Claim::Body { name, encoding, required } => match token.claim(name) {
            Some(text) => (name, hash_is(&text, encoding, request.body)),
            None if required => {
                return Err(Refused::Missing { what: format!("claim `{name}`") });
            }
            None => (name, true),
        },
        Claim::BodyIfAny { name, encoding } => match token.claim(name) {
            Some(text) => {
                (name, !request.body.is_empty() && hash_is(&text, encoding, request.body))
            }
            None => (name, request.body.is_empty()),
        },
        Claim::UrlHash { name, encoding } => {
            let text = token.claim(name).unwrap_or_default();
            (name, hash_is(&text, encoding, request.url.as_bytes()))
        }
        Claim::Url { name } => (name, token.claim(name).is_some_and(|url| url == request.url)),
        Claim::True { name } => (name, token.claim(name).is_some_and(|text| text == "true")),
    };
    if right { Ok(()) } else { Err(wrong(name)) }
}

impl JwtAlgorithm {
    /// As in the `alg` header (RFC 7518).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Es256 => "ES256",
        }
    }
}
