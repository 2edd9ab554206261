//! Whether a gateway is configured: its variables are understood, and its key is the one that secrets were sealed with.

use serde::Deserialize;
use serde_json::Value;

use crate::api::{Answer, ApiError};
use crate::endpoint::Endpoint;
use crate::json;
use crate::source::Source;
use crate::vault::{Vault, VaultError};

/// A row of [`crate::sql::some_sealed`].
#[derive(Debug, Deserialize)]
pub struct Row {
    pub is_source: u8,
    pub doc: String,
}

/// Whether the secrets of a row open with this key.
pub fn opens(row: &Row, vault: &Vault) -> serde_json::Result<bool> {
    if row.is_source != 0 {
        let source: Source = json::read(&row.doc)?;
        return Ok(source.open_verifier(vault).is_ok());
    }
    let endpoint: Endpoint = json::read(&row.doc)?;
    // Those that have ended, too.
    Ok(endpoint.open_secrets(vault, 0).is_ok())
}

/// The answer of `GET /healthz`, with all that somebody has to mend.
pub fn health(version: &str, faults: &[String], key: Option<&VaultError>) -> Answer {
    let key = key.map(ToString::to_string);
    let all: Vec<&str> = key.iter().chain(faults).map(String::as_str).collect();
    if all.is_empty() {
        return Answer::ok(200, version, Value::Null);
    }
    ApiError::new(503, all.join("; ")).answer()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;
    use crate::api::parse;

    fn vault(byte: u8) -> Vault {
        Vault::new(&STANDARD.encode([byte; 32])).unwrap()
    }

    #[test]
    fn another_key_opens_neither_the_secrets_of_endpoints_nor_of_sources() {
        let body = br#"{"name":"a","url":"https://example.com/"}"#;
        let input = parse(body).unwrap();
        let endpoint = Endpoint::create(input, "p", false, &vault(7), 0, &mut |b| b.fill(5));
        let body = br#"{"name":"a","type":"http","provider":"github","verifier":{"type":"hmac","hmac":{"secret":"secret"}}}"#;
        let source = Source::create(parse(body).unwrap(), "p", &vault(7), 0, &mut |b| b.fill(5));
        let (endpoint, source) = (endpoint.unwrap().0, source.unwrap());
        for (is_source, doc) in [(0, json!(endpoint)), (1, json!(source))] {
            let row = Row { is_source, doc: doc.to_string() };
            assert!(opens(&row, &vault(7)).unwrap(), "{is_source}");
            assert!(!opens(&row, &vault(8)).unwrap(), "{is_source}");
        }
        let row = Row { is_source: 1, doc: "{}".into() };
        assert!(opens(&row, &vault(7)).is_err());
    }

    #[test]
    fn health_names_everything_that_is_wrong() {
        let well = health("Inlet 1", &[], None);
        assert_eq!((well.status, &well.body["message"]), (200, &json!("Inlet 1")));
        let faults = ["A has to be b".to_owned(), "C has to be d".to_owned()];
        let ill = health("Inlet 1", &faults, Some(&VaultError::DoesNotOpen));
        let text = format!("{}; A has to be b; C has to be d", VaultError::DoesNotOpen);
        assert_eq!((ill.status, &ill.body["message"]), (503, &json!(text)));
        assert_eq!(health("", &[], Some(&VaultError::BadKey)).status, 503);
        assert_eq!(health("", &faults, None).status, 503);
    }
}
