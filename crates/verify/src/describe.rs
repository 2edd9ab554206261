//! What a row says about itself, in words.

use crate::{
    Provider,
    scheme::{Algorithm, Check, JwtAlgorithm, JwtPlace, KeyForm, KeySource},
};

/// A check in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "read field by field")]
pub struct Description {
    /// `HMAC-SHA256`, `a token`, …
    pub algorithm: String,
    /// Where the signature or the token stands: ``header `x-hub-signature-256` ``.
    pub places: Vec<String>,
    /// Seconds that the timestamp may be off. `None`: there is none, or its age does not matter.
    pub tolerance_seconds: Option<u64>,
    /// What the operator has to give.
    pub secret: &'static str,
}

impl Provider {
    /// The check in words. Where there are alternatives: the first, with the places of all.
    pub fn describe(&self) -> Description {
        describe(&self.check)
    }
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
                places: signed.places.iter().map(ToString::to_string).collect(),
                tolerance_seconds: tolerance.filter(|seconds| 0 < *seconds),
                secret: secret(signed.keys, signed.key),
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
                    secret(jwt.keys, KeyForm::Text)
                },
            }
        }
        Check::Token { place, .. } => Description {
            algorithm: "a token".to_owned(),
            places: vec![place.to_string()],
            tolerance_seconds: None,
            secret: "the token itself",
        },
        Check::NamedHeader => Description {
            algorithm: "a token in a header of your choosing".to_owned(),
            secret: "written `Header-Name: value`",
            ..Description::default()
        },
        Check::Basic => Description {
            algorithm: "HTTP Basic".to_owned(),
            places: vec!["header `authorization`".to_owned()],
            tolerance_seconds: None,
            secret: "written `user:password`",
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
            tolerance_seconds: None,
            secret: "the HMAC key, in hex",
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
        (KeySource::Certificate { .. }, _) => {
            "none, or what the provider signs along (PayPal: the webhook id)"
        }
        (KeySource::Plaid, _) => "the API credentials, written `client_id:secret`",
        (KeySource::Pasted, KeyForm::Base64) => {
            "the signing secret in base64, with or without `whsec_`"
        }
        (KeySource::Pasted, KeyForm::Hex) => "the signing secret in hex",
        (KeySource::Pasted, KeyForm::Public) => {
            "the provider's public key: PEM, base64 or hex of DER, or a JWK"
        }
        (KeySource::Pasted, KeyForm::Pair) => "the signing secret, or `public:private`",
        (KeySource::Pasted, _) => "the signing secret, as the provider shows it",
    }
}
