//! Names and values of headers: what may be asked for, and what may go out.

use std::borrow::Cow;

/// Whether `name` can be a header's name: a token of [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2).
pub fn is_header_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.len() <= 256 && name.bytes().all(token)
}

/// Whether a value that somebody chooses can be sent as it is: visible ASCII, spaces and tabs.
pub(crate) fn is_header_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
}

/// A value that came from outside as it can go out again. The characters that no header may hold are left out: receivers and
/// the platform refuse a call for one of them, at every attempt.
pub(crate) fn sendable(value: &str) -> Cow<'_, str> {
    let is_illegal = |char: char| char != '\t' && char.is_ascii_control();
    if value.contains(is_illegal) {
        Cow::Owned(value.replace(is_illegal, ""))
    } else {
        Cow::Borrowed(value)
    }
}

/// What the last word of the name of a header is that holds what lets somebody in.
const CREDENTIALS: &[&str] = &[
    "accesskey",
    "accesstoken",
    "apikey",
    "assertion",
    "auth",
    "authorization",
    "authtoken",
    "bearer",
    "cookie",
    "credential",
    "credentials",
    "jwt",
    "otp",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "psk",
    "pwd",
    "secret",
    "session",
    "token",
    "tokens",
];
/// The word before a last `key` that makes it one that lets somebody in: an `idempotency-key` is none.
const KEYS: &[&str] = &[
    "access",
    "api",
    "auth",
    "functions",
    "license",
    "private",
    "secret",
    "shared",
    "subscription",
    "webhook",
    "x",
];

/// Whether a header may hold a credential or a signature, by its name: `x-api-key`, `x-hub-signature-256`,
/// `x-gitlab-token`. Names may have any case.
pub(crate) fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    is_sensitive(&name)
        || name.ends_with("-sig")
        || ["signature", "hmac"].iter().any(|word| name.contains(word))
}

/// Whether a header may hold what lets anybody in, so that it is masked where it is shown. A signature is good for one
/// message only.
pub(crate) fn is_sensitive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut words = name.rsplit(['-', '_']);
    let last = words.next().unwrap_or_default();
    CREDENTIALS.contains(&last)
        || last == "key" && words.next().is_some_and(|kind| KEYS.contains(&kind))
        || name.ends_with("session-id")
}

/// Names of parameters that hold a signature, where no header is called so.
const PARAMETERS: &[&str] = &["sig", "sign"];
/// Names that are a credential's in a header only: a conference has sessions, and a list has pages.
const HARMLESS: &[&str] = &["next-page-token", "page-token", "session"];

/// Whether a parameter of a query may hold a credential or a signature, by its name, however its words are joined:
/// `access_token`, `apiKey`, `X-Amz-Signature`, `auth[token]`.
pub(crate) fn is_credential_parameter(name: &str) -> bool {
    let mut words = String::with_capacity(name.len() + 4);
    let mut was_lower = false;
    for char in name.chars() {
        let is_word = char.is_ascii_alphanumeric();
        if !is_word || (was_lower && char.is_ascii_uppercase()) {
            words.push('-');
        }
        if is_word {
            words.push(char.to_ascii_lowercase());
        }
        was_lower = char.is_ascii_lowercase() || char.is_ascii_digit();
    }
    let words = words.trim_matches('-');
    PARAMETERS.contains(&words) || (is_credential(words) && !HARMLESS.contains(&words))
}

/// Headers that say something of the bytes of a body: how they are coded, how many they are, what they hash to, and signatures over
/// those. They are the sender's, of what the sender wrote.
const OF_THE_BODY: &[&str] = &[
    "content-digest",
    "content-encoding",
    "content-length",
    "content-md5",
    "content-range",
    "digest",
    "etag",
    "repr-digest",
    "signature",
    "signature-input",
    "unencoded-digest",
    "x-content-sha256",
    "x-amz-content-sha256",
];

/// Whether a header is wrong beside another body than the one that it came with. Names may have any case.
pub(crate) fn is_of_the_body(name: &str) -> bool {
    OF_THE_BODY.iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// Headers that say where a message of a broker comes from.
pub(crate) const OF_THE_BROKER: [&str; 3] =
    ["x-broker-message-id", "x-broker-message-key", "x-broker-published-at"];

/// Whether a header is one of [`OF_THE_BROKER`]: nobody who writes a message or a request can forge them. Names may have any case.
pub(crate) fn is_of_the_broker(name: &str) -> bool {
    OF_THE_BROKER.iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// Whether a header says as whom somebody is called: what an endpoint's authentication sets.
pub(crate) fn is_identity(name: &str) -> bool {
    ["authorization", "proxy-authorization", "cookie"]
        .iter()
        .any(|one| name.eq_ignore_ascii_case(one))
}

/// Whether deliveries set a header by this name of Convoy's, unless their project has chosen another.
pub(crate) fn is_convoys(name: &str) -> bool {
    [
        "x-convoy-signature",
        "x-convoy-idempotency-key",
        "x-convoy-source-id",
        "x-convoy-event-id",
        "x-convoy-eventdelivery-id",
    ]
    .iter()
    .any(|one| name.eq_ignore_ascii_case(one))
}

/// Whether deliveries use a header for something else, or HTTP itself does.
pub(crate) fn is_taken_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let hop = [
        "connection",
        "content-length",
        "content-type",
        "content-encoding",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    ];
    hop.contains(&name.as_str())
        || name.starts_with("webhook-")
        || name.starts_with("inlet-")
        || name.starts_with("cf-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_goes_out_without_what_no_header_may_hold() {
        for (value, expect) in [
            ("", ""),
            ("plain\ttext ~", "plain\ttext ~"),
            ("a\r\nX-Evil: 1", "aX-Evil: 1"),
            ("\0a\u{1}b\u{1b}[31m\u{7f}", "ab[31m"),
            ("Jürgen 世 \u{85}", "Jürgen 世 \u{85}"),
        ] {
            assert_eq!(sendable(value), expect, "{value:?}");
            assert!(matches!(sendable(expect), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn credentials_are_known_by_their_names() {
        for name in [
            "Authorization",
            "cookie",
            "X-Api-Key",
            "x-auth-token",
            "X-Gitlab-Token",
            "x-amz-security-token",
            "X-Hub-Signature",
            "x-hub-signature-256",
            "X-Shopify-Hmac-Sha256",
            "stripe-signature",
            "X-Signature-Ed25519",
            "x-goog-channel-token",
            "x-webhook-secret",
            "password",
            "x-passwd",
            "private-key",
            "X_Access_Key",
            "x-jwt",
            "x-bearer",
            "x-auth",
            "x-session",
            "X-Session-Id",
            "X-Goog-IAP-JWT-Assertion",
            "Ocp-Apim-Subscription-Key",
            "x-functions-key",
            "x-key",
            "x-sig",
            "x-user-pwd",
        ] {
            assert!(is_credential(name), "{name}");
        }
        for name in [
            "x-github-event",
            "x-github-delivery",
            "x-github-hook-id",
            "content-type",
            "user-agent",
            "x-request-id",
            "webhook-id",
            "x-shopify-topic",
            "x-amz-sns-topic-arn",
            "x-tokens-left",
            "idempotency-key",
            "x-auth-type",
            "accept",
        ] {
            assert!(!is_credential(name), "{name}");
        }
    }

    #[test]
    fn credentials_are_known_by_the_names_of_their_parameters() {
        for name in [
            "token",
            "TOKEN",
            "access_token",
            "accessToken",
            "secret",
            "client_secret",
            "clientSecret",
            "signature",
            "X-Amz-Signature",
            "sig",
            "sign",
            "hmac",
            "AUTHTOKEN",
            "accesstoken",
            "webhook_key",
            "api_key",
            "apiKey",
            "apikey",
            "auth[token]",
            "password",
            "hub.secret",
            "webhook-token",
            "X-Goog-Signature",
            "jwt",
        ] {
            assert!(is_credential_parameter(name), "{name}");
        }
        for name in [
            "",
            "id",
            "page",
            "tokens_left",
            "design",
            "key",
            "keyword",
            "monkey",
            "pageToken",
            "next_page_token",
            "session",
            "topic",
            "hub.mode",
            "idempotency_key",
            "signal",
            "author",
            "ref",
            "-",
            "ü",
        ] {
            assert!(!is_credential_parameter(name), "{name}");
        }
    }

    #[test]
    fn what_a_header_says_of_a_body_is_known_by_its_name() {
        for name in ["Content-Encoding", "digest", "Content-MD5", "Signature-Input"] {
            assert!(is_of_the_body(name), "{name}");
        }
        for name in ["content-type", "content-language", "x-digest-of-week", "x-hub-signature"] {
            assert!(!is_of_the_body(name), "{name}");
        }
    }

    #[test]
    fn a_chosen_value_is_visible_ascii() {
        for value in ["", "a b\tc~"] {
            assert!(is_header_value(value), "{value:?}");
        }
        for value in ["a\nb", "a\0", "a\u{7f}", "ü"] {
            assert!(!is_header_value(value), "{value:?}");
        }
    }
}
