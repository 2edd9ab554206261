//! What these sources do with requests.

use super::*;
use crate::admit::{Admitted, Arrival, Compiled, Door, Snapshot};

fn compiled(source: Source) -> Compiled {
    let schemas = std::collections::BTreeMap::new();
    let snapshot =
        Snapshot { source, body_max_bytes: 1_000, shard: 0, project_limit: None, schemas };
    Compiled::new(snapshot, &vault()).unwrap()
}

fn admitted(
    source: &Compiled,
    method: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<(crate::wire::Meta, Reply), Rejection> {
    let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let url = "https://x/v1/ingest/s";
    source.before_body(Door::Hookstream, method, None)?;
    let arrival =
        Arrival { door: Door::Hookstream, method, url, headers: &headers, body: body.as_bytes() };
    match source.admit(&arrival, "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(), 1_700_000_000_000)? {
        Admitted::Event { meta, reply } => Ok((*meta, reply)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn copies_are_known_by_what_the_strategy_says() {
    let key = |fields: &Value, id: &str, body: &str| {
        let source = compiled(made(fields.clone()).unwrap());
        let claim = admitted(&source, "POST", &[("x-id", id)], body).unwrap().0.claim;
        claim.map(|claim| (claim.key, claim.window_ms))
    };
    let header = json!({"dedup_strategy": "header_field", "dedup_field": "X-Id", "dedup_window_seconds": 60});
    assert_eq!(key(&header, "1", "{}"), key(&header, "1", "[]"));
    assert_ne!(key(&header, "1", "{}"), key(&header, "2", "{}"));
    assert_eq!(key(&header, "1", "{}").map(|(_, window)| window), Some(60_000));
    assert_eq!(key(&header, "", "{}"), None, "what is absent is no key");
    let body = json!({"dedup_strategy": "body-field", "dedup_field": "$.data[0].id"});
    assert_eq!(
        key(&body, "1", r#"{"data":[{"id":7}]}"#),
        key(&body, "2", r#"{"a":1,"data":[{"id":7}]}"#)
    );
    assert_eq!(key(&body, "1", r#"{"data":[{"id":7}]}"#).map(|(_, window)| window), Some(300_000));
    assert_eq!(key(&body, "1", "{}"), None);
    for hash in [json!({"dedup_strategy": "payload_hash"}), json!({"dedup_enabled": true})] {
        assert_eq!(key(&hash, "1", "ab"), key(&hash, "2", "ab"));
        assert_ne!(key(&hash, "1", "ab"), key(&hash, "1", "ab "));
        assert_eq!(key(&hash, "1", ""), None);
    }
    let off = json!({"dedup_strategy": "payload_hash", "dedup_enabled": false});
    assert_eq!(key(&off, "1", "ab"), None);
    let mut source = made(off).unwrap();
    assert_eq!(shown(&source)["dedup_strategy"], "payload_hash");
    changed(&mut source, &json!({"dedup_enabled": 1})).unwrap();
    assert!(admitted(&compiled(source), "POST", &[], "ab").unwrap().0.claim.is_some());
}

#[test]
fn a_template_knows_the_providers_event_ids_and_can_do_without() {
    let headers = [("x-github-delivery", "7"), ("x-github-event", "push")];
    let claim = |fields: Value| {
        let source = compiled(made(fields).unwrap());
        admitted(&source, "POST", &headers, "{}").unwrap().0.claim
    };
    let open = json!({"template": "github", "verification_enabled": false});
    let own = claim(open.clone()).expect("nobody could be told from others, so all have a key");
    assert_eq!(own.window_ms, 259_200_000);
    let mut off = open;
    off["dedup_enabled"] = json!(0);
    assert_eq!(claim(off), None);
    // One that has a secret believes only who signs.
    let watched =
        json!({"template": "github", "verification_enabled": false, "verification_secret": SECRET});
    assert_eq!(claim(watched), None);
}

#[test]
fn a_source_without_its_secret_refuses_everything_and_says_why() {
    let source = compiled(made(json!({"template": "github"})).unwrap());
    let refused =
        admitted(&source, "POST", &[("x-hub-signature-256", "sha256=00")], "{}").unwrap_err();
    assert_eq!(refused.status().0, 401);
    let reply = refuse(&refused, "req_1");
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(
        body,
        json!({"error": "Request verification failed", "status": 401, "request_id": "req_1"})
    );
}

#[test]
fn methods_make_events_that_say_which_it_was() {
    let source = compiled(made(json!({})).unwrap());
    for method in ["GET", "PUT", "PATCH", "DELETE", "POST"] {
        let (meta, reply) = admitted(&source, method, &[("inlet-method", "TRACE")], "{}").unwrap();
        let named: Vec<_> =
            meta.headers.into_iter().filter(|(name, _)| name == "inlet-method").collect();
        let expect = if method == "POST" {
            vec![]
        } else {
            vec![("inlet-method".to_owned(), method.to_owned())]
        };
        assert_eq!(named, expect);
        let body: Value = serde_json::from_slice(&reply.body).unwrap();
        let expect =
            json!({"event_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "source_id": source.source.uid});
        assert_eq!(body, expect);
    }
    for method in ["HEAD", "OPTIONS", "TRACE"] {
        let refused = admitted(&source, method, &[], "").unwrap_err();
        assert_eq!(refused.status().0, 405);
        let allow = ("allow".into(), "GET, POST, PUT, PATCH, DELETE".to_owned());
        assert!(refuse(&refused, "req_1").headers.contains(&allow));
    }
}

#[test]
fn status_and_schema_decide_and_say_so_in_this_dialect() {
    let told = |fields: Value, body: &str| {
        let source = compiled(made(fields).unwrap());
        match admitted(&source, "POST", &[], body) {
            Ok((meta, reply)) => (reply.status, json!(meta.schema_faults)),
            Err(rejection) => {
                let reply = refuse(&rejection, "req_1");
                (reply.status, serde_json::from_slice(&reply.body).unwrap())
            }
        }
    };
    let (status, body) = told(json!({"status": "paused"}), "{}");
    assert_eq!((status, &body["error"]), (403, &json!("source is paused")));
    let (status, body) = told(json!({"status": "disabled"}), "{}");
    assert_eq!((status, &body["error"]), (403, &json!("source is disabled")));
    let schema = json!({"type": "object"});
    let (status, body) = told(json!({"json_schema": schema}), "[]");
    assert_eq!(status, 422);
    assert_eq!(body["validation_errors"].as_array().map(Vec::len), Some(1), "{body}");
    let (status, faults) = told(json!({"json_schema": schema, "schema_action": "warn"}), "[]");
    assert_eq!((status, faults.as_array().map(Vec::len)), (200, Some(1)));
    let off = json!({"json_schema": schema, "schema_validation_enabled": false});
    assert_eq!(told(off, "[]"), (200, json!([])));
}

#[test]
fn a_template_that_signs_nothing_is_protected_by_what_is_chosen() {
    let key = json!({"template": "zapier", "verification_type": "api_key", "verification_header": "X-Key",
        "verification_secret": SECRET});
    let mut source = made(key).unwrap();
    let before = shown(&source);
    assert_eq!(
        (&before["template"], &before["verification_type"]),
        (&json!("zapier"), &json!("api_key"))
    );
    assert!(matches!(source.open_verifier(&vault()).unwrap(), Verifier::ApiKey { .. }));
    changed(&mut source, &before).unwrap();
    assert_eq!(shown(&source)["verification_enabled"], 1);
    let open = made(json!({"template": "zapier", "verification_type": "none"})).unwrap();
    assert_eq!(shown(&open)["verification_enabled"], 0);
}
