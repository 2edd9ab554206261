//! Client assertions ([RFC 7523](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)): a client that proves itself by a signature, and
//! not by a secret that it hands over. What is signed is decided here; the signing is the platform's.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::form_urlencoded::Serializer;

use super::Oauth2;
use crate::vault::{MASK, is_hint};

/// How long an assertion is good for.
const LIFETIME_S: u64 = 300;
const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The members of a key that the platform reads; others may be against what is done with it.
const EC_MEMBERS: [&str; 5] = ["kty", "crv", "x", "y", "d"];
const RSA_MEMBERS: [&str; 9] = ["kty", "n", "e", "d", "p", "q", "dp", "dq", "qi"];

/// A way to sign, in the words of [WebCrypto](https://www.w3.org/TR/WebCryptoAPI/).
#[derive(Debug, PartialEq, Eq)]
pub struct Algorithm {
    pub name: &'static str,
    pub web_name: &'static str,
    pub hash: &'static str,
    /// Of an elliptic curve; empty: RSA.
    pub curve: &'static str,
    pub salt_bytes: u32,
}

const fn algorithm(
    name: &'static str,
    web_name: &'static str,
    hash: &'static str,
    curve: &'static str,
    salt_bytes: u32,
) -> Algorithm {
    Algorithm { name, web_name, hash, curve, salt_bytes }
}

/// The first is used where none is named.
const ALGORITHMS: [Algorithm; 9] = [
    algorithm("ES256", "ECDSA", "SHA-256", "P-256", 0),
    algorithm("ES384", "ECDSA", "SHA-384", "P-384", 0),
    algorithm("ES512", "ECDSA", "SHA-512", "P-521", 0),
    algorithm("RS256", "RSASSA-PKCS1-v1_5", "SHA-256", "", 0),
    algorithm("RS384", "RSASSA-PKCS1-v1_5", "SHA-384", "", 0),
    algorithm("RS512", "RSASSA-PKCS1-v1_5", "SHA-512", "", 0),
    algorithm("PS256", "RSA-PSS", "SHA-256", "", 32),
    algorithm("PS384", "RSA-PSS", "SHA-384", "", 48),
    algorithm("PS512", "RSA-PSS", "SHA-512", "", 64),
];

fn named(name: &str) -> Option<&'static Algorithm> {
    ALGORITHMS.iter().find(|one| one.name == name)
}

/// How a client signs, as it is stored. The key is the secret beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    pub algorithm: String,
    /// Empty: the client's id.
    pub issuer: String,
    pub subject: String,
    #[serde(default)]
    pub key_id: String,
}

impl Assertion {
    /// An assertion, and its key as JSON, or the mask of one. The error names its field below `oauth2`.
    pub fn read(
        algorithm: &str,
        issuer: String,
        subject: String,
        key: Option<Value>,
    ) -> Result<(Self, String), String> {
        let names = || ALGORITHMS.map(|one| one.name).join(", ");
        let algorithm = if algorithm.is_empty() { "ES256" } else { algorithm };
        let way =
            named(algorithm).ok_or_else(|| format!("signing_algorithm:one of {}", names()))?;
        let key = match key {
            Some(Value::String(text)) if is_hint(&text) => json!({"d": text}),
            Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or_default(),
            Some(key) => key,
            None => Value::Null,
        };
        let Value::Object(key) = key else {
            return Err("signing_key:a private key as a JWK is expected".to_owned());
        };
        let text = |name: &str| key.get(name).and_then(Value::as_str).unwrap_or_default();
        let assertion = Self {
            algorithm: algorithm.to_owned(),
            issuer,
            subject,
            key_id: text("kid").to_owned(),
        };
        if is_hint(text("d")) {
            return Ok((assertion, text("d").to_owned()));
        }
        let (kty, members): (&str, &[&str]) =
            if way.curve.is_empty() { ("RSA", &RSA_MEMBERS) } else { ("EC", &EC_MEMBERS) };
        if text("kty") != kty || (kty == "EC" && text("crv") != way.curve) {
            let curve =
                if way.curve.is_empty() { String::new() } else { format!(" on {}", way.curve) };
            return Err(format!("signing_key:{algorithm} needs a key of the type {kty}{curve}"));
        }
        if let Some(missing) = members.iter().find(|name| text(name).is_empty()) {
            return Err(format!("signing_key.{missing}:is missing: the private key is needed"));
        }
        let kept: Map<String, Value> =
            members.iter().map(|name| ((*name).to_owned(), text(name).into())).collect();
        Ok((assertion, Value::Object(kept).to_string()))
    }

    pub fn way(&self) -> Option<&'static Algorithm> {
        named(&self.algorithm)
    }

    /// Header and claims: what is signed.
    pub fn unsigned(&self, url: &str, client_id: &str, now_s: u64, id: &str) -> String {
        let header = if self.key_id.is_empty() {
            json!({"alg": self.algorithm, "typ": "JWT"})
        } else {
            json!({"alg": self.algorithm, "typ": "JWT", "kid": self.key_id})
        };
        let or_client =
            |text: &str| if text.is_empty() { client_id.to_owned() } else { text.to_owned() };
        let claims = json!({
            "iss": or_client(&self.issuer), "sub": or_client(&self.subject), "aud": url, "jti": id,
            "iat": now_s, "exp": now_s + LIFETIME_S,
        });
        [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".")
    }

    /// The key as reads show it: what kind it is, and a mask.
    fn shown_key(&self) -> Value {
        let kty = self.way().map_or("", |way| if way.curve.is_empty() { "RSA" } else { "EC" });
        json!({"kty": kty, "kid": self.key_id, "d": MASK})
    }

    pub(super) fn present_into(&self, shown: &mut Value) {
        if let Some(fields) = shown.as_object_mut() {
            fields.remove("client_secret");
            for (name, value) in [
                ("authentication_type", json!("client_assertion")),
                ("signing_algorithm", json!(self.algorithm)),
                ("signing_key", self.shown_key()),
                ("issuer", json!(self.issuer)),
                ("subject", json!(self.subject)),
            ] {
                fields.insert(name.to_owned(), value);
            }
        }
    }
}

impl Oauth2 {
    /// The form that asks for a token with an assertion.
    pub fn assert(&self, client_id: &str, unsigned: &str, signature: &[u8]) -> String {
        let signed = format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(signature));
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials")
            .append_pair("client_id", client_id)
            .append_pair("client_assertion_type", TYPE)
            .append_pair("client_assertion", &signed);
        self.ask_for(&mut form);
        form.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7515, appendix A.3.
    const EC: &str = r#"{"kty":"EC","crv":"P-256","kid":"one","use":"sig","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

    fn read(algorithm: &str, key: &str) -> Result<(Assertion, String), String> {
        let key = serde_json::from_str(key).ok();
        Assertion::read(algorithm, String::new(), "me".into(), key)
    }

    #[test]
    fn a_key_is_kept_bare_and_shown_masked() {
        let (assertion, key) = read("", EC).unwrap();
        assert_eq!((assertion.algorithm.as_str(), assertion.key_id.as_str()), ("ES256", "one"));
        assert!(key.contains("\"d\":\"jpsQ") && !key.contains("use"), "{key}");
        let shown = assertion.shown_key();
        assert_eq!(shown, json!({"kty": "EC", "kid": "one", "d": "********"}));
        assert_eq!(read("", &shown.to_string()).unwrap(), (assertion.clone(), "********".into()));
        assert_eq!(read("", &json!(EC).to_string()).unwrap().0, assertion, "as text");
    }

    #[test]
    fn what_is_signed_names_the_client_the_server_and_a_time() {
        let (assertion, _) = read("", EC).unwrap();
        let unsigned = assertion.unsigned("https://id/token", "client", 1_000, "j");
        let parts: Vec<Value> = unsigned
            .split('.')
            .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
            .collect();
        assert_eq!(parts[0], json!({"alg": "ES256", "typ": "JWT", "kid": "one"}));
        assert_eq!(
            parts[1],
            json!({"iss": "client", "sub": "me", "aud": "https://id/token", "jti": "j", "iat": 1_000, "exp": 1_300})
        );
    }

    #[test]
    fn a_key_that_cannot_sign_is_refused() {
        let public = EC.replace("\"d\"", "\"x5t\"");
        for (algorithm, key, expect) in [
            ("HS256", EC, "signing_algorithm:one of ES256, "),
            ("RS256", EC, "signing_key:RS256 needs a key of the type RSA"),
            ("ES384", EC, "signing_key:ES384 needs a key of the type EC on P-384"),
            ("ES256", &public, "signing_key.d:is missing"),
            ("ES256", "[]", "signing_key:a private key as a JWK"),
            ("ES256", "\"pem\"", "signing_key:a private key as a JWK"),
            ("ES256", "", "signing_key:a private key as a JWK"),
        ] {
            let error = read(algorithm, key).unwrap_err();
            assert!(error.starts_with(expect), "{error}");
        }
    }
}
