//! Sources through Convoy's API: create, read, list, update, delete, and what is refused.

use inlet_tests::{Project, source_path};
use serde_json::{Value, json};

use crate::gateway;

fn path_of(source: &Value) -> String {
    format!("/sources/{}", source["uid"].as_str().expect("a uid"))
}

fn hmac_source(hash: &str, encoding: &str) -> Value {
    json!({"name": "signed", "type": "http", "verifier": {"type": "hmac", "hmac": {
        "header": "X-Convoy-Signature", "hash": hash, "encoding": encoding, "secret": "convoy-secret",
    }}})
}

#[test]
fn a_source_lives_from_create_to_delete() {
    let project = gateway().project();
    let body = json!({
        "name": "convoy-prod", "type": "http", "is_disabled": false,
        "custom_response": {"body": "[accepted]", "content_type": "text/plain"},
        "verifier": {"type": "hmac", "hmac": {
            "encoding": "base64", "header": "X-Convoy-Header", "hash": "SHA512", "secret": "convoy-secret",
        }},
    });
    let reply = project.post("/sources", &body).expect(201);
    assert_eq!(reply.message(), "Source created successfully");
    assert_eq!(
        reply.header("content-type").map(|text| text.starts_with("application/json")),
        Some(true)
    );
    let created = reply.data();
    assert_eq!(created["name"], "convoy-prod");
    assert_eq!(created["type"], "http");
    assert_eq!(created["verifier"]["type"], "hmac");
    assert_eq!(created["custom_response"], body["custom_response"]);
    assert_eq!(created["project_id"], project.uid);
    let mask = created["mask_id"].as_str().expect("a mask");
    assert_eq!(mask.len(), 16);
    let url = created["url"].as_str().expect("a url");
    assert!(url.ends_with(&format!("/ingest/{mask}")), "{url}");

    let reply = project.get(&path_of(&created)).expect(200);
    assert_eq!(reply.message(), "Source fetched successfully");
    assert_eq!(reply.data()["mask_id"], mask);

    let update = json!({"name": "renamed", "type": "http", "is_disabled": true});
    let reply = project.put(&path_of(&created), &update).expect(202);
    assert_eq!(reply.message(), "Source updated successfully");
    let read = project.get(&path_of(&created)).expect(200).data();
    assert_eq!(read["name"], "renamed");
    assert_eq!(read["is_disabled"], true);
    assert_eq!(read["mask_id"], mask);
    assert_eq!(read["custom_response"], body["custom_response"]);

    let reply = project.delete(&path_of(&created)).expect(200);
    assert_eq!(reply.message(), "Source deleted successfully");
    assert_eq!(reply.json().get("data"), Some(&Value::Null));
    let reply = project.get(&path_of(&created)).expect(404);
    assert_eq!(reply.message(), "source not found");
    project.put(&path_of(&created), &update).expect(404);
    project.delete(&path_of(&created)).expect(404);
    assert!(project.list("/sources").is_empty());
}

#[test]
fn a_source_that_is_not_there_is_not_found() {
    let project = gateway().project();
    for method in ["GET", "DELETE"] {
        let reply = project.call(method, "/sources/123").send().expect(404);
        assert_eq!(reply.json(), json!({"status": false, "message": "source not found"}));
    }
}

#[test]
fn empty_lists_have_content_and_a_pagination() {
    let project = gateway().project();
    let reply = project.get("/sources").expect(200);
    assert_eq!(reply.message(), "Sources fetched successfully");
    let data = reply.data();
    assert_eq!(data["content"], json!([]));
    assert_eq!(data["pagination"]["per_page"], 20);
    assert_eq!(data["pagination"]["has_next_page"], false);
    assert_eq!(data["pagination"]["has_prev_page"], false);
}

#[test]
fn sources_are_listed_newest_first_in_pages_that_lead_forth_and_back() {
    let project = gateway().project();
    let names: Vec<String> = (0..5).map(|number| format!("source-{number}")).collect();
    for name in &names {
        project.open_source_with(json!({"name": name}));
    }
    let page = |query: &str| project.get(&format!("/sources?perPage=2{query}")).expect(200).data();
    let names_of = |page: &Value| -> Vec<String> {
        let content = page["content"].as_array().cloned().unwrap_or_default();
        content.iter().filter_map(|source| source["name"].as_str().map(str::to_owned)).collect()
    };
    let cursor =
        |page: &Value, name: &str| page["pagination"][name].as_str().unwrap_or_default().to_owned();

    let first = page("");
    assert_eq!(names_of(&first), ["source-4", "source-3"]);
    assert_eq!(first["pagination"]["has_next_page"], true);
    assert_eq!(first["pagination"]["has_prev_page"], false);
    let second = page(&format!("&next_page_cursor={}", cursor(&first, "next_page_cursor")));
    assert_eq!(names_of(&second), ["source-2", "source-1"]);
    assert_eq!(second["pagination"]["has_prev_page"], true);
    let third = page(&format!("&next_page_cursor={}", cursor(&second, "next_page_cursor")));
    assert_eq!(names_of(&third), ["source-0"]);
    assert_eq!(third["pagination"]["has_next_page"], false);
    let back =
        page(&format!("&direction=prev&prev_page_cursor={}", cursor(&second, "prev_page_cursor")));
    let back = names_of(&back);
    assert!(back.contains(&"source-3".to_owned()), "{back:?}");
}

#[test]
fn sources_are_found_by_type_provider_and_part_of_the_name() {
    let project = gateway().project();
    project.open_source_with(json!({"name": "Orders of the shop"}));
    project.open_source_with(json!({"name": "invoices"}));
    project.github_source("a-secret-of-github");
    assert_eq!(project.list("/sources?provider=github").len(), 1);
    assert_eq!(project.list("/sources?provider=shopify").len(), 0);
    assert_eq!(project.list("/sources?type=http").len(), 3);
    assert_eq!(project.list("/sources?type=rest_api").len(), 0);
    assert_eq!(project.list("/sources?q=shop").len(), 1);
    assert_eq!(project.list("/sources?q=INVOICES").len(), 1);
    assert_eq!(project.list("/sources?q=%25").len(), 0);
}

/// Creates a source and expects a refusal in these words.
#[track_caller]
fn refused(project: &Project<'_>, body: &Value, message: &str) {
    let reply = project.post("/sources", body).expect(400);
    assert_eq!(reply.message(), message, "{body}");
    assert_eq!(reply.json()["status"], false);
}

#[test]
fn a_source_that_cannot_be_is_refused_in_convoys_words() {
    let project = gateway().project();
    let refused = |body: Value, message: &str| refused(&project, &body, message);
    refused(json!({"type": "http"}), "name:please provide a source name");
    refused(json!({"name": "a"}), "type:please provide a type");
    refused(
        json!({"name": "a", "type": "some-random-source-type"}),
        "type:unsupported source type",
    );
    refused(
        json!({"name": "a", "type": "http", "verifier": {"type": "magic"}}),
        "type:please provide a valid verifier type",
    );
    refused(
        json!({"name": "a", "type": "http", "verifier": {"type": "hmac"}}),
        "invalid verifier config for hmac",
    );
    refused(
        json!({"name": "a", "type": "http", "verifier": {"type": "basic_auth"}}),
        "invalid verifier config for basic auth",
    );
    refused(
        json!({"name": "a", "type": "http", "verifier": {"type": "api_key"}}),
        "invalid verifier config for api key",
    );
    refused(hmac_source("sha256", "hex"), "hash:sha256 does not validate as supported_hash");
    refused(hmac_source("SHA256", "utf8"), "encoding:please provide a valid encoding type");
    for provider in ["github", "shopify", "twitter"] {
        refused(
            json!({"name": "a", "type": "http", "provider": provider}),
            &format!("hmac secret is required for {provider} source"),
        );
        refused(json!({"type": "http", "provider": provider}), "please provide a source name");
        refused(
            json!({"name": "a", "type": "abc", "provider": provider}),
            "please provide a valid source type",
        );
        refused(
            json!({"name": "a", "type": "http", "provider": provider,
                "verifier": {"type": "hmac", "hmac": {"secret": ""}}}),
            &format!("hmac secret is required for {provider} source"),
        );
    }
}

#[test]
fn missing_parts_of_a_verifier_are_named() {
    let project = gateway().project();
    // Convoy joins several faults in random order.
    let check = |verifier: Value, faults: &[&str]| {
        let body = json!({"name": "a", "type": "http", "verifier": verifier});
        let message = project.post("/sources", &body).expect(400).message();
        for fault in faults {
            assert!(message.contains(fault), "{message} does not say {fault}");
        }
    };
    let all = [
        "encoding:non zero value required",
        "hash:non zero value required",
        "header:non zero value required",
        "secret:non zero value required",
    ];
    check(json!({"type": "hmac", "hmac": {}}), &all);
    check(
        json!({"type": "hmac", "hmac": {"hash": "SHA256", "encoding": "hex", "header": "X-A"}}),
        &all[3..],
    );
    check(
        json!({"type": "basic_auth", "basic_auth": {}}),
        &["password:non zero value required", "username:non zero value required"],
    );
    check(
        json!({"type": "api_key", "api_key": {}}),
        &["header_name:non zero value required", "header_value:non zero value required"],
    );
}

#[test]
fn idempotency_keys_and_event_type_locations_are_checked() {
    let project = gateway().project();
    let idempotency = |key: &str| json!({"name": "a", "type": "http", "idempotency_keys": [key]});
    for key in ["id", "request.body", "body.id"] {
        let text = format!("not enough parts set for idempotency key location with value: {key}");
        refused(&project, &idempotency(key), &text);
    }
    for key in ["payload.body.id", "request.cookie.id", "request.BODY.id"] {
        let text =
            format!("unsupported input format for idempotency key location with value: {key}");
        refused(&project, &idempotency(key), &text);
    }
    for key in [
        "request.body.id",
        "req.Body.a.b.c",
        "request.Header.X-Id",
        "request.header.X-Id",
        "request.QueryParam.id",
        "req.query.id",
    ] {
        project.post("/sources", &idempotency(key)).expect(201);
    }
    let location = |text: &str| json!({"name": "a", "type": "http", "event_type_location": text});
    for text in ["request", "request.body", "id"] {
        let message = format!("not enough parts set for event type location with value: {text}");
        refused(&project, &location(text), &message);
    }
    for text in [
        " request.body.object_kind",
        "request. body.object_kind",
        "request.body. object_kind",
        "payload.body.object_kind",
        "request.cookie.event_type",
    ] {
        let message =
            format!("unsupported input format for event type location with value: {text}");
        refused(&project, &location(text), &message);
    }
    for text in ["request.body.", "request.header.", "request.query."] {
        let message = format!("empty selector set for event type location with value: {text}");
        refused(&project, &location(text), &message);
    }
    for text in ["request.header.x.event.type", "request.query.event.type"] {
        let message =
            format!("nested selector unsupported for event type location with value: {text}");
        refused(&project, &location(text), &message);
    }
    for text in [
        "",
        "request.body.object_kind",
        "request.body.project.path_with_namespace",
        "request.header.X-Gitlab-Event",
        "request.query.event_type",
        "request.queryparam.event_type",
        "req.QueryParam.event_type",
    ] {
        project.post("/sources", &location(text)).expect(201);
    }
}

const METADATA: &str = "event type location cannot use request headers or query parameters \
    with payload signature verification";

#[test]
fn what_is_not_signed_cannot_name_the_event_type_of_a_signed_source() {
    let project = gateway().project();
    for location in ["request.header.X-Gitlab-Event", "request.query.type"] {
        let mut hmac = hmac_source("SHA256", "hex");
        hmac["event_type_location"] = json!(location);
        refused(&project, &hmac, METADATA);
        let github = json!({"name": "a", "type": "http", "provider": "github",
            "verifier": {"type": "hmac", "hmac": {"secret": "abcdefgh"}}, "event_type_location": location});
        refused(&project, &github, METADATA);
    }
    let source = project.source(hmac_source("SHA256", "hex"));
    let update =
        json!({"name": "a", "type": "http", "event_type_location": "request.header.X-Event"});
    let reply = project.put(&path_of(&source), &update).expect(400);
    assert_eq!(reply.message(), METADATA);
}

#[test]
fn a_custom_response_has_a_limit() {
    let project = gateway().project();
    let body = |size: usize| json!({"name": "a", "type": "http", "custom_response": {"body": "x".repeat(size)}});
    project.post("/sources", &body(51_200)).expect(201);
    refused(&project, &body(51_201), "source custom response too large");
}

#[test]
fn fields_that_would_have_no_effect_are_refused() {
    let project = gateway().project();
    let change_stream = json!({"name": "a", "type": "db_change_stream"});
    let message = project.post("/sources", &change_stream).expect(400).message();
    assert!(message.contains("use http, rest_api or pub_sub"), "{message}");

    let source = project.open_source();
    let endpoint = project.endpoint(json!({"name": "a", "url": "https://example.com/"}));
    let subscription = json!({"name": "a", "source_id": source["uid"], "endpoint_id": endpoint["uid"],
        "app_id": "an-app"});
    let message = project.post("/subscriptions", &subscription).expect(400).message();
    assert!(message.contains("not supported yet"), "{message}");
}

/// Bodies that are no source at all, on create and on update.
#[test]
fn what_is_not_json_or_has_wrong_types_is_refused() {
    let project = gateway().project();
    let source = project.open_source();
    for (method, path) in [("POST", "/sources".to_owned()), ("PUT", path_of(&source))] {
        let check = |body: &[u8], message: &str| {
            let call = project.call(method, &path).header("Content-Type", "application/json");
            let reply = call.body(body).send().expect(400);
            let got = reply.message();
            assert!(got.starts_with(message), "{method} {}: {got}", String::from_utf8_lossy(body));
        };
        check(b"", "body must not be empty");
        check(b"   ", "body must not be empty");
        check(b"{", "body contains badly-formed JSON");
        check(b"nope", "body contains badly-formed JSON");
        check(b"\xff\xfe", "body contains badly-formed JSON");
        check(b"[1]", "body contains incorrect JSON type");
        check(b"\"text\"", "body contains incorrect JSON type");
        check(b"null", "");
        check(
            br#"{"name": 5, "type": "http"}"#,
            "body contains incorrect JSON type for field \"name\"",
        );
        check(
            br#"{"name": "a", "type": []}"#,
            "body contains incorrect JSON type for field \"type\"",
        );
        check(
            br#"{"name": "a", "type": "http", "idempotency_keys": "id"}"#,
            "body contains incorrect JSON type for field \"idempotency_keys\"",
        );
        check(
            br#"{"name": "a", "type": "http", "verifier": "hmac"}"#,
            "body contains incorrect JSON type for field \"verifier\"",
        );
        check(
            br#"{"name": "a", "type": "http", "custom_response": {"body": {}}}"#,
            "body contains incorrect JSON type for field \"custom_response.body\"",
        );
        // What would have no effect although it was meant.
        for (slip, meant) in [
            (r#""verifer": {"type": "hmac"}"#, "verifer:unknown field: did you mean verifier?"),
            (r#""isDisabled": true"#, "isDisabled:unknown field: did you mean is_disabled?"),
            (r#""ip_alowlist": []"#, "ip_alowlist:unknown field: did you mean ip_allowlist?"),
            (r#""verifier": {"type": "hmac", "hmac": {"secert": "x"}}"#, {
                "verifier.hmac.secert:unknown field: did you mean secret?"
            }),
        ] {
            check(format!(r#"{{"name": "a", "type": "http", {slip}}}"#).as_bytes(), meant);
        }
        let deep = format!("{}1{}", r#"{"name":"#.repeat(2000), "}".repeat(2000));
        check(deep.as_bytes(), "body contains");
    }
}

#[test]
fn bytes_after_the_json_and_unknown_fields_are_ignored() {
    let project = gateway().project();
    let call = project.call("POST", "/sources").header("Content-Type", "application/json");
    call.body(r#"{"name": "a", "type": "http", "colour": "red"}}"#).send().expect(201);
}

#[test]
fn an_update_needs_a_name_and_a_type() {
    let project = gateway().project();
    let source = project.open_source();
    let message = project.put(&path_of(&source), &json!({})).expect(400).message();
    assert!(message.contains("name:please provide a source name"), "{message}");
    assert!(message.contains("type:please provide a type"), "{message}");
}

#[test]
fn an_update_changes_what_is_given_and_leaves_the_rest() {
    let project = gateway().project();
    let source = project.open_source_with(json!({
        "idempotency_keys": ["request.body.id"], "event_type_location": "request.body.type",
        "forward_headers": ["X-One"], "custom_response": {"body": "yes", "content_type": "text/plain"},
    }));
    project.put(&path_of(&source), &json!({"name": "b", "type": "http"})).expect(202);
    let read = project.get(&path_of(&source)).expect(200).data();
    assert_eq!(read["name"], "b");
    for field in ["idempotency_keys", "event_type_location", "custom_response", "url", "verifier"] {
        assert_eq!(read[field], source[field], "{field}");
    }
    let change = json!({"name": "b", "type": "http", "idempotency_keys": [], "event_type_location": "",
        "custom_response": {"body": ""}, "forward_headers": []});
    project.put(&path_of(&source), &change).expect(202);
    let read = project.get(&path_of(&source)).expect(200).data();
    assert_eq!(read["idempotency_keys"], json!([]));
    assert_eq!(read["event_type_location"], "");
    assert_eq!(read["custom_response"]["body"], "");
}

/// Where each verifier keeps its secret.
fn verifiers_with_secrets() -> [(Value, &'static str, &'static str); 3] {
    [
        (
            json!({"type": "hmac", "hmac": {"header": "X-Sig", "hash": "SHA256", "encoding": "hex",
            "secret": "a-long-secret-1234"}}),
            "/verifier/hmac/secret",
            "a-long-secret-1234",
        ),
        (
            json!({"type": "basic_auth", "basic_auth": {"username": "user", "password": "a-long-password-5678"}}),
            "/verifier/basic_auth/password",
            "a-long-password-5678",
        ),
        (
            json!({"type": "api_key", "api_key": {"header_name": "X-Key", "header_value": "a-long-api-key-9012"}}),
            "/verifier/api_key/header_value",
            "a-long-api-key-9012",
        ),
    ]
}

#[test]
fn secrets_are_never_shown_again() {
    let project = gateway().project();
    for (verifier, pointer, secret) in verifiers_with_secrets() {
        let body = json!({"name": "a", "type": "http", "verifier": verifier});
        let created = project.post("/sources", &body).expect(201);
        let source = created.data();
        let mask = format!("********{}", &secret[secret.len() - 4..]);
        let update = json!({"name": "b", "type": "http"});
        for reply in [
            created,
            project.get(&path_of(&source)),
            project.get("/sources"),
            project.put(&path_of(&source), &update),
        ] {
            assert!(!reply.text().contains(secret), "{} shows {secret}", reply.text());
        }
        let read = project.get(&path_of(&source)).data();
        assert_eq!(read.pointer(pointer), Some(&json!(mask)));
    }
}

#[test]
fn secrets_are_sealed_where_they_are_stored() {
    let project = gateway().project();
    for (verifier, _, secret) in verifiers_with_secrets() {
        let source = project.source(json!({"name": "a", "type": "http", "verifier": verifier}));
        // One request, so that the edge's snapshot of the source is written too.
        gateway().call("POST", &source_path(&source)).send();
        for key in gateway().kv_keys() {
            let value = gateway().kv(&key).unwrap_or_default();
            assert!(!value.contains(secret), "KV {key} holds {secret}");
        }
        let tables =
            gateway().sql("DB", "SELECT name FROM sqlite_master WHERE type = 'table'", &[]);
        for table in tables.iter().filter_map(|row| row["name"].as_str()) {
            if !table.starts_with("_cf") && !table.starts_with("sqlite") {
                let rows = gateway().sql("DB", &format!("SELECT * FROM \"{table}\""), &[]);
                assert!(!json!(rows).to_string().contains(secret), "table {table} holds {secret}");
            }
        }
    }
}

#[test]
fn an_update_that_sends_the_mask_back_keeps_the_secret() {
    let project = gateway().project();
    let source = project.source(hmac_source("SHA256", "hex"));
    let shown = project.get(&path_of(&source)).expect(200).data();
    let mut back = shown.clone();
    back["name"] = json!("renamed");
    project.put(&path_of(&source), &back).expect(202);
    let signature = hex_hmac_sha256("convoy-secret", b"{}");
    let call = || project.ingest_call(&source).header("X-Convoy-Signature", &*signature).body("{}");
    call().send().expect(200);

    // And a new secret replaces it.
    back["verifier"]["hmac"]["secret"] = json!("another-secret");
    project.put(&path_of(&source), &back).expect(202);
    call().send().expect(401);
    let signature = hex_hmac_sha256("another-secret", b"{}");
    project
        .ingest_call(&source)
        .header("X-Convoy-Signature", signature)
        .body("{}")
        .send()
        .expect(200);
}

fn hex_hmac_sha256(secret: &str, body: &[u8]) -> String {
    let signature = inlet_tests::github_signature(secret, body);
    signature.trim_start_matches("sha256=").to_owned()
}

#[test]
fn verifiers_can_be_exchanged() {
    let project = gateway().project();
    let source = project.open_source();
    let post = || project.ingest(&source, b"{}").status;
    assert_eq!(post(), 200);
    let with = |verifier: Value| json!({"name": "a", "type": "http", "verifier": verifier});
    let key = json!({"type": "api_key", "api_key": {"header_name": "X-Key", "header_value": "abcdefghijkl"}});
    project.put(&path_of(&source), &with(key)).expect(202);
    assert_eq!(post(), 401);
    project.ingest_call(&source).header("X-Key", "abcdefghijkl").body("{}").send().expect(200);
    project.put(&path_of(&source), &with(json!({"type": "noop"}))).expect(202);
    assert_eq!(post(), 200);
}

#[test]
fn a_deleted_source_takes_nothing_in_and_its_subscriptions_go_with_it() {
    let project = gateway().project();
    let source = project.open_source();
    let endpoint = project.endpoint(json!({"name": "a", "url": "https://example.com/"}));
    project.subscription(
        json!({"name": "s", "source_id": source["uid"], "endpoint_id": endpoint["uid"]}),
    );
    project.ingest(&source, b"{}").expect(200);
    project.delete(&path_of(&source)).expect(200);
    let reply = project.ingest(&source, b"{}").expect(404);
    assert_eq!(reply.message(), "Resource not found");
    assert!(project.list("/subscriptions").is_empty());
}
