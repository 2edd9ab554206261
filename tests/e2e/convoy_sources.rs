//! Convoy's tests of sources, as far as `sources.rs` and `source_lists.rs` do not show them already.

use inlet_tests::{Project, base64, hmac_sha256, hmac_sha512, uid};
use serde_json::{Value, json};

use crate::gateway;

fn path_of(source: &Value) -> String {
    format!("/sources/{}", uid(source))
}

#[test]
fn a_list_holds_as_many_sources_as_there_are() {
    for count in 0..5 {
        let project = gateway().project();
        let mut made: Vec<Value> = (0..count).map(|_| project.open_source()).collect();
        made.reverse();
        let data = project.get("/sources").says(200, "Sources fetched successfully");
        let content = data["content"].as_array().expect("content");
        let uids = |list: &[Value]| list.iter().map(uid).collect::<Vec<_>>();
        assert_eq!(uids(content), uids(&made));
        for source in &made {
            let shown = project.get(&path_of(source)).says(200, "Source fetched successfully");
            for field in ["uid", "name", "mask_id", "url", "project_id", "created_at"] {
                assert_eq!(shown[field], source[field], "{field}");
            }
        }
    }
}

#[test]
fn an_update_is_answered_and_kept_as_convoys_test_sends_it() {
    let project = gateway().project();
    let hmac = |encoding: &str, secret: &str| {
        json!({"type": "hmac", "hmac": {"encoding": encoding, "header": "X-Convoy-Header", "hash": "SHA512",
            "secret": secret}})
    };
    let source = project.source(
        json!({"name": "before", "type": "http", "verifier": hmac("base64", "Convoy-Secret")}),
    );
    let update = json!({"name": "updated-convoy-prod", "type": "http", "is_disabled": true,
        "custom_response": {"body": "[accepted]", "content_type": "application/json"},
        "verifier": hmac("hex", "convoy-secret")});
    let answer = project.put(&path_of(&source), &update).says(202, "Source updated successfully");
    let kept = project.get(&path_of(&source)).expect(200).data();
    for shown in [&answer, &kept] {
        for field in ["name", "type", "is_disabled", "custom_response"] {
            assert_eq!(shown[field], update[field], "{field}");
        }
        assert_eq!(shown["verifier"]["type"], "hmac");
        assert_eq!(shown["verifier"]["hmac"]["encoding"], "hex");
        assert_eq!(shown["mask_id"], source["mask_id"]);
        assert_eq!(shown["created_at"], source["created_at"]);
    }
    let moved = kept["updated_at"].as_str() >= source["updated_at"].as_str();
    assert!(moved, "{} is before {}", kept["updated_at"], source["updated_at"]);
    let enabled = json!({"name": "a", "type": "http", "is_disabled": false});
    project.put(&path_of(&source), &enabled).expect(202);
    let signature = hex::encode(hmac_sha512(b"convoy-secret", b"{}"));
    let call = project.ingest_call(&source).header("X-Convoy-Header", signature);
    assert_eq!(call.body("{}").send().expect(200).text(), "[accepted]");
}

/// A verifier, and a header that it believes.
fn verifiers() -> [(Value, &'static str, String); 4] {
    [
        (
            json!({"type": "hmac", "hmac": {"encoding": "hex", "header": "X-Sig", "hash": "SHA256", "secret": "a-secret"}}),
            "X-Sig",
            hex::encode(hmac_sha256(b"a-secret", b"{}")),
        ),
        (
            json!({"type": "api_key", "api_key": {"header_name": "X-Key", "header_value": "a-key-of-mine"}}),
            "X-Key",
            "a-key-of-mine".into(),
        ),
        (
            json!({"type": "basic_auth", "basic_auth": {"username": "user", "password": "a-password"}}),
            "Authorization",
            format!("Basic {}", base64(b"user:a-password")),
        ),
        (json!({"type": "noop"}), "X-None", "none".into()),
    ]
}

/// There the old one stays in force when `noop` follows, and nothing can follow `noop`.
#[test]
fn any_verifier_takes_the_place_of_any_other() {
    let project = gateway().project();
    for (from, (before, old_header, old)) in verifiers().into_iter().enumerate() {
        for (to, (after, header, value)) in verifiers().into_iter().enumerate() {
            let source = project.source(json!({"name": "a", "type": "http", "verifier": before}));
            let body = json!({"name": "a", "type": "http", "verifier": after});
            let shown = project.put(&path_of(&source), &body).expect(202).data();
            assert_eq!(shown["verifier"]["type"], after["type"]);
            let send = |header: &str, value: &str| {
                project.ingest_call(&source).header(header, value).body("{}").send().status
            };
            let what = format!("{} after {}", after["type"], before["type"]);
            assert_eq!(send(header, &value), 200, "{what}");
            let is_open = after["type"] == "noop";
            if from != to {
                let expect = if is_open { 200 } else { 401 };
                assert_eq!(send(old_header, &old), expect, "{what}");
            }
        }
    }
}

#[test]
fn only_a_payload_signature_forbids_event_types_from_headers_and_queries() {
    let project = gateway().project();
    let locations = [
        ("request.header.X-Gitlab-Event", true),
        ("request.query.event_type", true),
        ("req.QueryParam.event_type", true),
        ("request.body.object_kind", false),
    ];
    for (verifier, _, _) in verifiers() {
        for (location, is_metadata) in locations {
            let body = json!({"name": "a", "type": "http", "verifier": verifier, "event_type_location": location});
            let expect = if is_metadata && verifier["type"] == "hmac" { 400 } else { 201 };
            let reply = project.post("/sources", &body);
            assert_eq!(reply.status, expect, "{body}: {}", reply.text());
        }
    }
}

/// Pages of every size, forth and back, show each source once, whatever is asked for beside.
fn walk(project: &Project<'_>, filter: &str, per_page: usize) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/sources?{filter}&perPage={per_page}&next_page_cursor={cursor}");
        let data = project.get(&path).expect(200).data();
        let page = data["content"].as_array().expect("content");
        assert!(page.len() <= per_page);
        let pagination = &data["pagination"];
        assert_eq!(pagination["per_page"], per_page);
        assert_eq!(pagination["has_prev_page"], !seen.is_empty(), "{pagination}");
        if let Some(first) = page.first() {
            assert_eq!(pagination["prev_page_cursor"], first["uid"]);
        }
        seen.extend(page.iter().map(|one| one["name"].as_str().expect("a name").to_owned()));
        if pagination["has_next_page"] == false {
            assert_eq!(pagination["next_page_cursor"], "");
            return seen;
        }
        assert_eq!(page.len(), per_page);
        pagination["next_page_cursor"].as_str().expect("a cursor").clone_into(&mut cursor);
    }
}

#[test]
fn filters_and_pages_combine() {
    let (project, other) = (gateway().project(), gateway().project());
    other.open_source_with(json!({"name": "shop of others"}));
    for n in 0..3 {
        project.open_source_with(json!({"name": format!("shop {n}")}));
        project.open_source_with(json!({"name": format!("shop rest {n}"), "type": "rest_api"}));
        project.source(json!({"name": format!("GitHub {n}"), "type": "http", "provider": "github",
            "verifier": {"type": "hmac", "hmac": {"secret": "a-secret-of-github"}}}));
    }
    let deleted = project.open_source_with(json!({"name": "shop deleted"}));
    project.delete(&path_of(&deleted)).expect(200);
    let expect = |names: &[&str]| -> Vec<String> {
        let numbered = |n: usize| names.iter().rev().map(move |name| format!("{name} {n}"));
        (0..3).rev().flat_map(numbered).collect()
    };
    for (filter, names) in [
        ("", &["shop", "shop rest", "GitHub"][..]),
        ("type=http", &["shop", "GitHub"]),
        ("type=rest_api", &["shop rest"]),
        ("provider=github", &["GitHub"]),
        ("q=SHOP", &["shop", "shop rest"]),
        ("q=shop&type=http", &["shop"]),
        ("q=hub&type=http&provider=github", &["GitHub"]),
        ("q=shop&provider=github", &[]),
    ] {
        for per_page in [1, 2, 3, 4, 100] {
            assert_eq!(walk(&project, filter, per_page), expect(names), "{filter} by {per_page}");
        }
    }
}
