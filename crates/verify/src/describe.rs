//! What a row says about itself, in words.

use crate::{
    MULTIPLE, Place, Provider, Question,
    keys::Kind,
    scheme::{
        Algorithm, CertificateAt, Check, JwtAlgorithm, JwtPlace, KeyForm, KeySource, Part, StampAt,
        Unit,
    },
};

/// A check in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "read field by field")]
pub struct Description {
    /// `HMAC-SHA256`, `a token`, …
    pub algorithm: String,
    /// Where the signature or the token stands: ``header `x-hub-signature-256` ``.
    pub places: Vec<String>,
    /// The lower-case names of all headers that the check reads, in no order that matters.
    pub headers: Vec<String>,
    /// Where the timestamp stands and how it is written.
    pub timestamp: Option<String>,
    /// Seconds that the timestamp may be off. `None`: there is none, or its age does not matter.
    pub tolerance_seconds: Option<u64>,
    /// What the operator has to give.
    pub secret: &'static str,
}

impl Provider {
    /// The check in words. Where there are alternatives: the first, with the places of all.
    pub fn describe(&self) -> Description {
        let mut headers = Vec::new();
        headers_of(&self.check, &mut headers);
        headers.sort_unstable();
        headers.dedup();
        Description { headers, timestamp: timestamp(&self.check), ..describe(&self.check) }
    }
}

impl Place<'_> {
    /// The place in words, with all of its parts. [`Display`](std::fmt::Display) names the first, for errors.
    pub fn in_words(&self) -> String {
        let joined = |places: &[Self], between: &str| {
            places.iter().map(Self::in_words).collect::<Vec<_>>().join(between)
        };
        match self {
            Self::All(places) => joined(places, " with "),
            Self::First(places) => joined(places, ", or else "),
            Self::Numbered(name) => format!("headers `{name}1`, `{name}2`, …"),
            _ => self.to_string(),
        }
    }

    /// As [`Place::in_words`], for the type of an event.
    pub fn as_type_in_words(&self) -> String {
        let words = self.in_words();
        if self.names_items() {
            format!("{words}; `{MULTIPLE}` where the items of a request differ")
        } else {
            words
        }
    }

    fn names_items(&self) -> bool {
        match self {
            Self::All(places) | Self::First(places) => places.iter().any(Self::names_items),
            _ => self.is_list() && !matches!(self, Self::FormXml(..)),
        }
    }
}

impl Question {
    /// What is asked, and what answers it.
    pub fn in_words(self) -> String {
        let fixed = match self {
            Self::Hub => "GET with `hub.challenge` and a verify token, answered with the challenge",
            Self::HubJson => {
                "GET with `hub.challenge` and a verify token, answered with the challenge in JSON"
            }
            Self::HubOpen => "GET with `hub.challenge`, answered with the challenge",
            Self::CrcToken => "GET with `crc_token`, answered with its HMAC",
            Self::ChallengeCode => {
                "GET with `challenge_code`, answered with a digest of it, the verify token and the URL"
            }
            Self::ChallengeHmac => "GET with `challengeCode`, answered with its HMAC",
            Self::ValidationToken => {
                "POST with `validationToken` in the URL, answered with its value"
            }
            Self::Braintree => "GET with `bt_challenge`, answered with the public key and an HMAC",
            Self::Verify => "GET with `verify`: 204 where it is the verification code, else 404",
            Self::TokenAndChallenge => {
                "GET with `verification_token` and `challenge`, answered with the challenge in JSON"
            }
            Self::Okta => {
                "GET with header `x-okta-verification-challenge`, answered with its value in JSON"
            }
            Self::UrlVerification => {
                "signed POST of type `url_verification`, answered with its challenge"
            }
            Self::JsonChallenge => "POST with `challenge`, answered with the same",
            Self::UrlValidation => {
                "POST of event `endpoint.url_validation`, answered with its token and the token's HMAC"
            }
            Self::VerifyEvent => "POST of event `verify`, answered with the HMAC of its challenge",
            Self::EventGrid => "POST of a subscription validation, answered with the code in it",
            Self::CloudEvents => {
                "OPTIONS with header `webhook-request-origin`, answered with leave to send"
            }
            Self::HookSecret => {
                "POST with header `x-hook-secret`: it brings the secret, which is kept while the source is armed"
            }
            Self::VerificationToken => {
                "POST with `verification_token`: it brings the secret, which is kept while the source is armed"
            }
            Self::AdobeSign => {
                "GET with header `x-adobesign-clientid`, answered with the same header"
            }
            Self::Ping => "signed POST of a ping, answered with a ping",
            Self::ValidationEvent => {
                "signed POST of type `validation.webhook`, answered with its id"
            }
            Self::Reachability => "HEAD, or GET without a body, answered with 200",
            Self::AskForBasic => "a request without credentials, answered by asking for them",
            Self::TestBody(_) => "POST of a fixed test body, answered with 200",
            Self::Echo(name) => return format!("GET with `{name}`, answered with its value"),
            Self::SignedChallenge(header, value) => {
                return format!(
                    "signed POST with header `{header}: {value}`, answered with its challenge"
                );
            }
            Self::EchoHeader(name) => {
                return format!("POST with header `{name}`, answered with the same header");
            }
            Self::HeaderToJson(name, member) => {
                return format!(
                    "POST with header `{name}`, answered with its value as `{member}` in JSON"
                );
            }
            Self::HeaderToText(name) => {
                return format!("POST with header `{name}`, answered with its value");
            }
            Self::Notice(name, value) => {
                return format!("signed POST with header `{name}: {value}`, which is no event");
            }
            Self::Known(name) => {
                return format!(
                    "a request with nothing in it, answered with the verify token in header `{name}`"
                );
            }
            Self::NoEvents(name) => {
                return format!("signed POST whose `{name}` are empty, answered with 200");
            }
            Self::TestForm(name) => {
                return format!("POST of a form with `{name}` alone, which is no event");
            }
        };
        fixed.to_owned()
    }
}

fn header_of(place: &Place<'_>, found: &mut Vec<String>) {
    match place {
        Place::Header(name) => found.push(name.to_ascii_lowercase()),
        Place::Numbered(name) => found.push(format!("{name}1")),
        Place::All(places) | Place::First(places) => {
            places.iter().for_each(|place| header_of(place, found));
        }
        Place::Link(_) => found.push("link".to_owned()),
        Place::Claim(JwtPlace::Header(name, _), _) => found.push(name.to_ascii_lowercase()),
        _ => {}
    }
}

fn headers_of(check: &Check<'_>, found: &mut Vec<String>) {
    match check {
        Check::Signed(signed) => {
            signed.places.iter().for_each(|place| header_of(place, found));
            for part in signed.messages.iter().flat_map(|parts| parts.iter()) {
                if let Part::At(place) | Part::Maybe(_, place, _) | Part::MaybeLower(_, place, _) =
                    part
                {
                    header_of(place, found);
                }
            }
            match signed.stamp.as_ref().map(|stamp| stamp.at) {
                Some(StampAt::Place(place)) => header_of(&place, found),
                Some(StampAt::Parameter { header, .. }) => found.push(header.to_owned()),
                Some(StampAt::Field(_)) | None => {}
            }
            if let Some(hash) = &signed.body_hash {
                header_of(&hash.place, found);
            }
            match &signed.keys {
                KeySource::Certificate(CertificateAt { place, .. })
                | KeySource::Published { key_id: Some(place), .. } => header_of(place, found),
                _ => {}
            }
        }
        Check::Jwt(jwt) => {
            if let JwtPlace::Header(name, _) = jwt.place {
                found.push(name.to_ascii_lowercase());
            }
        }
        Check::Token { place, .. } => header_of(place, found),
        Check::Basic => found.push("authorization".to_owned()),
        Check::Either(first, second) => {
            headers_of(first, found);
            headers_of(second, found);
        }
        Check::Case { place, cases } => {
            header_of(place, found);
            cases.iter().for_each(|(_, check)| headers_of(check, found));
        }
        Check::NamedHeader | Check::AdyenItems | Check::Unsigned => {}
    }
}

fn timestamp(check: &Check<'_>) -> Option<String> {
    let stamp = match check {
        Check::Signed(signed) => signed.stamp.as_ref()?,
        Check::Either(first, second) => return timestamp(first).or_else(|| timestamp(second)),
        Check::Case { cases, .. } => return cases.iter().find_map(|(_, check)| timestamp(check)),
        _ => return None,
    };
    let place = match stamp.at {
        StampAt::Place(place) => place.in_words(),
        StampAt::Field("0") => "the first value of the signature header".to_owned(),
        StampAt::Field(name) => format!("`{name}=` in the signature header"),
        StampAt::Parameter { header, name } => format!("`{name}=` in header `{header}`"),
    };
    let unit = match stamp.unit {
        Unit::Seconds => "in seconds",
        Unit::Millis => "in milliseconds",
        Unit::Either => "in seconds or milliseconds",
        Unit::Rfc3339 => "as in RFC 3339",
        Unit::HttpDate => "as an HTTP date",
    };
    Some(format!("{place}, {unit}"))
}

fn describe(check: &Check<'_>) -> Description {
    match check {
        Check::Signed(signed) => {
            let algorithm = match signed.algorithm {
                Algorithm::Hmac(hash) => format!("HMAC-{}", hash.name()),
                Algorithm::Digest(hash) => {
                    format!("{} over the secret and the message", hash.name())
                }
                Algorithm::Ed25519 => "Ed25519".to_owned(),
                Algorithm::Rsa(hash) => format!("RSA PKCS #1 v1.5 with {}", hash.name()),
                Algorithm::Ecdsa(hash) => format!("ECDSA P-256 with {}", hash.name()),
            };
            let tolerance = signed.stamp.as_ref().map(|stamp| stamp.tolerance);
            Description {
                algorithm,
                places: signed.places.iter().map(Place::in_words).collect(),
                tolerance_seconds: tolerance.filter(|seconds| 0 < *seconds),
                secret: secret(signed.keys, signed.key),
                ..Description::default()
            }
        }
        Check::Jwt(jwt) => {
            let names: Vec<_> = jwt.algorithms.iter().copied().map(JwtAlgorithm::name).collect();
            let place = match jwt.place {
                JwtPlace::Header(name, _) => format!("header `{name}`"),
                JwtPlace::Body => "the body".to_owned(),
            };
            Description {
                algorithm: format!("JWT ({})", names.join(", ")),
                places: vec![place],
                tolerance_seconds: Some(jwt.max_age).filter(|seconds| 0 < *seconds),
                secret: if jwt.audience {
                    "the audience of the token, and the sender's address behind a space"
                } else {
                    let shared = jwt.algorithms.iter().any(|known| Kind::of_jwt(*known).is_none());
                    secret(jwt.keys, if shared { KeyForm::Text } else { KeyForm::Public })
                },
                ..Description::default()
            }
        }
        Check::Token { place, .. } => Description {
            algorithm: "a token".to_owned(),
            places: vec![place.in_words()],
            secret: "the token itself",
            ..Description::default()
        },
        Check::NamedHeader => Description {
            algorithm: "a token in a header of your choosing".to_owned(),
            secret: "written `Header-Name: value`",
            ..Description::default()
        },
        Check::Basic => Description {
            algorithm: "HTTP Basic".to_owned(),
            places: vec!["header `authorization`".to_owned()],
            secret: "written `user:password`",
            ..Description::default()
        },
        Check::Either(first, second) => {
            let (mut first, second) = (describe(first), describe(second));
            first.places.extend(second.places);
            first
        }
        Check::Case { cases, .. } => {
            let mut all = cases.iter().map(|(_, check)| describe(check));
            let mut first = all.next().unwrap_or_default();
            first.places.extend(all.flat_map(|other| other.places));
            first.places.dedup();
            first
        }
        Check::AdyenItems => Description {
            algorithm: "HMAC-SHA256 of each item".to_owned(),
            places: vec!["`additionalData.hmacSignature` of each item".to_owned()],
            secret: "the HMAC key, in hex",
            ..Description::default()
        },
        Check::Unsigned => Description {
            algorithm: "none: the provider signs nothing".to_owned(),
            secret: "none",
            ..Description::default()
        },
    }
}

const fn secret(keys: KeySource, form: KeyForm) -> &'static str {
    match (keys, form) {
        (KeySource::Published { .. }, _) => {
            "none: the provider publishes its keys; or a public key to pin"
        }
        (KeySource::Certificate(_), _) => {
            "none, or what the provider signs along (PayPal: the webhook id)"
        }
        (KeySource::Plaid, _) => "the API credentials, written `client_id:secret`",
        (KeySource::Pasted, KeyForm::Base64) => {
            "the signing secret in base64, with or without `whsec_`"
        }
        (KeySource::Pasted, KeyForm::Hex) => "the signing secret in hex",
        (KeySource::Pasted, KeyForm::Public) => {
            "the provider's public key: PEM, base64 or hex of DER, a JWK or a JWKS, or the https URL of one"
        }
        (KeySource::Pasted, KeyForm::Pair) => "the signing secret, or `public:private`",
        (KeySource::Pasted, _) => "the signing secret, as the provider shows it",
    }
}
