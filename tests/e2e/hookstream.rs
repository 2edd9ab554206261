//! Hookstream's dialect: `/v1/sources` and `/v1/ingest/{source_id}`.

use inlet_tests::{Call, Endpoint, Gateway, Project, Reply, hmac_sha256, poll_until};
use serde_json::{Value, json};

use crate::{gateway, in_both_modes};

/// A call with the project's key as Hookstream's callers send it.
fn call(project: &Project, method: &str, path: &str) -> Call {
    project.gateway.call(method, path).header("X-API-Key", &*project.key)
}

fn send(project: &Project, method: &str, path: &str, body: &Value) -> Reply {
    call(project, method, path).json(body).send()
}

fn create(project: &Project, body: &Value) -> Value {
    send(project, "POST", "/v1/sources", body).expect(201).json()["source"].clone()
}

fn path(source: &Value) -> String {
    format!("/v1/sources/{}", source["id"].as_str().expect("an id"))
}

fn patch(project: &Project, source: &Value, body: &Value) -> Value {
    send(project, "PATCH", &path(source), body).expect(200).json()["source"].clone()
}

fn ingest(project: &Project, source: &Value, headers: &[(&str, &str)], body: &str) -> Reply {
    let path = format!("/v1/ingest/{}", source["id"].as_str().expect("an id"));
    let call = project.gateway.call("POST", &path).header("Content-Type", "application/json");
    call.headers(headers).body(body).send()
}

#[track_caller]
fn refused(reply: Reply, status: u16, text: &str) {
    let body = reply.expect(status).json();
    assert_eq!(body["status"], status);
    assert!(body["error"].as_str().is_some_and(|error| error.contains(text)), "{body}");
    assert!(body["request_id"].as_str().is_some_and(|id| id.starts_with("req_")), "{body}");
}

#[test]
fn a_source_is_made_and_takes_events_at_its_id() {
    in_both_modes(|gateway| {
        let project = gateway.project();
        let source = create(&project, &json!({"name": "orders", "slug": "orders"}));
        let reply = ingest(&project, &source, &[], r#"{"a":1}"#).expect(200).json();
        assert_eq!(reply["source_id"], source["id"]);
        let event = project.wait_for_event(reply["event_id"].as_str().expect("an id"));
        assert_eq!(event["source_id"], source["id"]);
        let convoy = project.get(&format!("/sources/{}", source["id"].as_str().expect("an id")));
        assert_eq!(convoy.expect(200).data()["slug"], "orders");
    });
}

#[test]
fn keys_open_their_own_project_by_either_header() {
    let (project, other) = (gateway().project(), gateway().project());
    let source = create(&project, &json!({"name": "a", "slug": "a", "org_id": project.uid}));
    let get = |call: Call| call.send();
    let at = path(&source);
    get(project.gateway.call("GET", &at).bearer(&project.key)).expect(200);
    get(call(&project, "GET", &at)).expect(200);
    refused(get(project.gateway.call("GET", &at)), 401, "Authentication");
    refused(get(project.gateway.call("GET", &at).header("X-API-Key", "no")), 401, "authorization");
    let empty = project.gateway.call("GET", &at).bearer(&project.key).header("X-API-Key", "");
    refused(get(empty), 401, "Authentication");
    refused(get(call(&other, "GET", &at)), 404, "source not found");
    let query = format!("{at}?org_id={}", other.uid);
    refused(get(call(&project, "GET", &query)), 403, "another project");
    let root = |path: &str| gateway().call("GET", path).bearer(inlet_tests::ROOT_KEY).send();
    refused(root(&at), 400, "org_id");
    root(&format!("{at}?org_id={}", project.uid)).expect(200);
}

#[test]
fn both_dialects_show_and_change_the_same_sources() {
    let project = gateway().project();
    let here = create(&project, &json!({"name": "here", "slug": "here", "template": "github"}));
    let there = project.github_source("a-secret-of-github");
    let listed = call(&project, "GET", "/v1/sources").send().expect(200).json();
    let names: Vec<&Value> =
        listed["sources"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, [&json!("github"), &json!("here")]);
    let convoy = project.list("/sources");
    assert_eq!(convoy.len(), 2);
    assert_eq!((&convoy[1]["uid"], &convoy[1]["provider"]), (&here["id"], &json!("github")));
    let shown = json!({"id": there["uid"]});
    let paused = patch(&project, &shown, &json!({"status": "paused"}));
    assert_eq!(
        (&paused["slug"], &paused["verification_secret"]),
        (&json!(derived("github", &there)), &json!("********thub"))
    );
    assert_eq!(project.ingest(&there, b"{}").expect(403).message(), "source is paused");
    let enabled = json!({"name": "github", "type": "http", "is_disabled": false});
    project
        .put(&format!("/sources/{}", there["uid"].as_str().expect("a uid")), &enabled)
        .expect(202);
    let again = call(&project, "GET", &path(&shown)).send().expect(200).json()["source"].clone();
    assert_eq!(again["status"], "active");
    call(&project, "DELETE", &path(&shown)).send().expect(200);
    refused(call(&project, "GET", &path(&shown)).send(), 404, "source not found");
    project.ingest(&there, b"{}").expect(404);
}

/// The slug of a source that was given none.
fn derived(name: &str, source: &Value) -> String {
    let id = source["uid"].as_str().expect("a uid").to_lowercase();
    format!("{name}-{}", &id[id.len() - 8..])
}

#[test]
fn slugs_are_unique_whether_given_or_made_from_a_name() {
    let project = gateway().project();
    let [first, second] = [(); 2].map(|()| {
        project.source(json!({"name": "orders", "type": "http", "verifier": {"type": "noop"}}))
    });
    let listed = call(&project, "GET", "/v1/sources").send().expect(200).json();
    let slugs: Vec<&str> = listed["sources"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["slug"].as_str().expect("a slug"))
        .collect();
    assert_eq!(slugs, [derived("orders", &second), derived("orders", &first)]);
    let body = json!({"name": "a", "slug": slugs[0]});
    refused(send(&project, "POST", "/v1/sources", &body), 409, "is that of another source");
    create(&project, &json!({"name": "a", "slug": "orders"}));
    // Its own may be sent back.
    let shown = json!({"id": first["uid"]});
    assert_eq!(patch(&project, &shown, &json!({"slug": slugs[1]}))["slug"], slugs[1]);
}

#[test]
fn a_session_takes_events_until_it_ends_or_is_claimed() {
    let (project, other) = (gateway().project(), gateway().project());
    refused(gateway().call("POST", "/v1/test/sessions").send(), 401, "Authentication");
    let opened = call(&project, "POST", "/v1/test/sessions").send().expect(201).json();
    let id = opened["session_id"].as_str().expect("an id").to_owned();
    assert_eq!((&opened["request_limit"], &opened["request_count"]), (&json!(2000), &json!(0)));
    assert!(opened["url"].as_str().is_some_and(|url| url.ends_with(&format!("/v1/ingest/{id}"))));
    let source = json!({"id": id});
    let at = format!("/v1/test/sessions/{id}");
    let answer = json!({"status": 202, "content_type": "text/plain", "body": "thanks"});
    let shown = send(&project, "PATCH", &format!("{at}/response"), &answer).expect(200).json();
    assert_eq!(shown["response"], answer);
    assert_eq!(ingest(&project, &source, &[], "{}").expect(202).text(), "thanks");
    let shown = call(&project, "GET", &at).send().expect(200).json();
    assert_eq!(shown["request_count"], 1);
    refused(call(&other, "GET", &at).send(), 404, "session not found");
    refused(send(&project, "PATCH", &format!("{at}/response"), &json!({"body": 1})), 400, "body");

    let body = json!({"name": "kept", "slug": "kept"});
    let claimed = send(&project, "POST", &format!("{at}/claim"), &body).expect(200).json();
    let claimed = &claimed["source"];
    assert_eq!(
        (&claimed["slug"], &claimed["is_ephemeral"], &claimed["expires_at"]),
        (&json!("kept"), &json!(0), &Value::Null)
    );
    refused(call(&project, "GET", &at).send(), 404, "session not found");
    ingest(&project, &source, &[], "{}").expect(202);

    let one = json!({"request_limit": 1});
    let short = send(&project, "POST", "/v1/agent/sessions", &one).expect(201).json();
    let source = json!({"id": short["session_id"]});
    ingest(&project, &source, &[], "{}").expect(200);
    refused(ingest(&project, &source, &[], "{}"), 410, "has had all of its requests");
    let at = format!("/v1/test/sessions/{}", short["session_id"].as_str().expect("an id"));
    assert_eq!(call(&project, "DELETE", &at).send().expect(200).json()["deleted"], true);
    refused(ingest(&project, &source, &[], "{}"), 404, "");
}

#[test]
fn a_session_that_nobody_claimed_goes_a_day_after_its_end_and_its_events_stay() {
    let gateway = Gateway::builder().start();
    let project = gateway.project();
    let open = || send(&project, "POST", "/v1/test/sessions", &json!({})).expect(201).json();
    let id = |session: &Value| session["session_id"].as_str().expect("an id").to_owned();
    let [ended, fresh, claimed] = [(); 3].map(|()| id(&open()));
    let event = ingest(&project, &json!({"id": ended}), &[], "{}").expect(200);
    let event = event.header("inlet-event-id").expect("an id").to_owned();
    project.wait_for_event(&event);
    send(&project, "POST", &format!("/v1/test/sessions/{claimed}/claim"), &json!({})).expect(200);
    let source = project.open_source();
    // As if days had gone by.
    let age = |ids: &[&str], by: u64| {
        let sql = "UPDATE sources SET doc = json_set(doc, '$.admission.expires_at', CAST(unixepoch() - ?2 AS INTEGER) * 1000) \
            WHERE id IN (SELECT value FROM json_each(?1))";
        gateway.sql("DB", sql, &[json!(json!(ids).to_string()), json!(by)]);
    };
    age(&[&ended, &claimed, source["uid"].as_str().expect("a uid")], 86_500);
    age(&[&fresh], 86_000);
    poll_until("the session to go", || {
        gateway.cron();
        let at = format!("/v1/test/sessions/{ended}");
        (call(&project, "GET", &at).send().status == 404).then_some(())
    });
    refused(ingest(&project, &json!({"id": ended}), &[], "{}"), 404, "");
    assert_eq!(gateway.kv(&format!("source:{ended}")), None);
    let counts = "SELECT 1 FROM source_counts WHERE source_id = ?1";
    assert!(gateway.sql("EVENTS_0", counts, &[json!(ended)]).is_empty());
    assert_eq!(project.event(&event)["source_id"], ended.as_str(), "as of a deleted source");
    for id in [&fresh, &claimed, &source["uid"].as_str().expect("a uid").to_owned()] {
        project.get(&format!("/sources/{id}")).expect(200);
    }
}

#[test]
fn a_slug_is_unique_in_its_project_alone() {
    let (project, other) = (gateway().project(), gateway().project());
    let body = json!({"name": "a", "slug": "orders"});
    let first = create(&project, &body);
    let second = create(&project, &json!({"name": "a", "slug": "more"}));
    create(&other, &body);
    refused(send(&project, "POST", "/v1/sources", &body), 409, "slug:orders is that of another");
    let taken = json!({"slug": "orders"});
    refused(send(&project, "PATCH", &path(&second), &taken), 409, "slug:orders is that of another");
    let convoy = project.post("/sources", &json!({"name": "b", "type": "http", "slug": "orders"}));
    assert!(convoy.expect(409).message().starts_with("slug:orders"));
    assert_eq!(patch(&project, &first, &taken)["slug"], "orders");
    call(&project, "DELETE", &path(&first)).send().expect(200);
    assert_eq!(patch(&project, &second, &taken)["slug"], "orders");
}

#[test]
fn pages_follow_their_cursor() {
    let project = gateway().project();
    for n in 0..5 {
        create(&project, &json!({"name": n.to_string(), "slug": n.to_string()}));
    }
    let (mut names, mut query) = (Vec::new(), "limit=2".to_owned());
    loop {
        let page = call(&project, "GET", &format!("/v1/sources?{query}")).send().expect(200).json();
        let sources = page["sources"].as_array().expect("a list");
        names.extend(sources.iter().map(|one| one["name"].as_str().expect("a name").to_owned()));
        let Some(cursor) = page["cursor"].as_str() else {
            assert_eq!(page["has_more"], false);
            break;
        };
        assert_eq!((sources.len(), &page["has_more"]), (2, &json!(true)));
        query = format!("limit=2&cursor={cursor}");
    }
    assert_eq!(names, ["4", "3", "2", "1", "0"]);
    refused(
        call(&project, "GET", "/v1/sources?limit=101").send(),
        400,
        "limit: a number from 1 to 100",
    );
}

#[test]
fn signatures_are_checked_and_the_check_can_be_switched_off() {
    let project = gateway().project();
    let body = json!({"name": "a", "slug": "a", "verification_type": "hmac-sha256",
        "verification_header": "X-Signature", "verification_secret": "a-secret-of-mine"});
    let source = create(&project, &body);
    assert_eq!(source["verification_secret"], "********mine");
    let mac = hex::encode(hmac_sha256(b"a-secret-of-mine", b"{}"));
    for signature in [mac.clone(), format!("sha256={mac}")] {
        ingest(&project, &source, &[("X-Signature", &signature)], "{}").expect(200);
    }
    let wrong = [("X-Signature", "00")];
    refused(ingest(&project, &source, &wrong, "{}"), 401, "Request verification failed");
    refused(ingest(&project, &source, &[], "{}"), 401, "Request verification failed");
    assert_eq!(patch(&project, &source, &source)["verification_secret"], "********mine");
    patch(&project, &source, &json!({"template": "", "verification_type": "", "name": "b"}));
    refused(ingest(&project, &source, &wrong, "{}"), 401, "Request verification failed");
    ingest(&project, &source, &[("X-Signature", &mac)], "{}").expect(200);
    patch(&project, &source, &json!({"verification_enabled": 0}));
    let reply = ingest(&project, &source, &wrong, "{}").expect(200).json();
    let event = project.wait_for_event(reply["event_id"].as_str().expect("an id"));
    assert_eq!(event["verification"]["verdict"], "refused");
}

#[test]
fn copies_are_dropped_by_strategy_and_window() {
    in_both_modes(|gateway| {
        let project = gateway.project();
        let source =
            create(&project, &json!({"name": "a", "slug": "a", "dedup_strategy": "payload_hash"}));
        let send = |body: &str| {
            let reply = ingest(&project, &source, &[], body).expect(200).json();
            project.wait_for_event(reply["event_id"].as_str().expect("an id"))
        };
        let first = send("same");
        let second = send("same");
        assert_eq!(
            (&second["is_duplicate_event"], &second["duplicate_of"]),
            (&json!(true), &first["uid"])
        );
        assert_eq!(send("same ")["is_duplicate_event"], false);
        patch(&project, &source, &json!({"dedup_enabled": false}));
        assert_eq!(send("same")["is_duplicate_event"], false);
    });
}

#[test]
fn addresses_schemas_and_limits_answer_in_this_dialect() {
    let project = gateway().project();
    let source = create(
        &project,
        &json!({"name": "a", "slug": "a", "ip_allowlist": ["2001:db8::/32"],
        "ip_denylist": ["2001:db8::7"], "json_schema": {"type": "object"}, "request_limit": 2}),
    );
    let from = |address: &str, body: &str| {
        ingest(&project, &source, &[("CF-Connecting-IP", address)], body)
    };
    from("2001:db8::1", "{}").expect(200);
    refused(from("2001:db8::7", "{}"), 403, "this address may not send");
    refused(from("192.0.2.1", "{}"), 403, "this address may not send");
    let reply = from("2001:db8::1", "[]");
    assert_eq!(reply.json()["validation_errors"].as_array().map(Vec::len), Some(1));
    refused(reply, 422, "does not fit the JSON schema");
    patch(&project, &source, &json!({"schema_action": "warn"}));
    from("2001:db8::1", "[]").expect(200);
    refused(from("2001:db8::1", "{}"), 410, "has had all of its requests");
}

#[test]
fn other_methods_make_events_and_reach_endpoints_as_posts() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    let source = create(&project, &json!({"name": "a", "slug": "a"}));
    project.route(&json!({"uid": source["id"]}), &endpoint);
    let path = format!("/v1/ingest/{}", source["id"].as_str().expect("an id"));
    for method in ["PUT", "PATCH", "DELETE", "GET"] {
        project.gateway.call(method, &format!("{path}?m={method}")).body("").send().expect(200);
    }
    let mut seen: Vec<(String, String)> = endpoint
        .wait_for(4)
        .iter()
        .map(|one| (one.method.clone(), one.header("inlet-method").unwrap_or_default().to_owned()))
        .collect();
    seen.sort();
    let expect = ["DELETE", "GET", "PATCH", "PUT"].map(|name| ("POST".to_owned(), name.to_owned()));
    assert_eq!(seen, expect);
    let reply = project.gateway.call("OPTIONS", &path).send();
    assert_eq!(reply.header("allow"), Some("GET, POST, PUT, PATCH, DELETE"));
    refused(reply, 405, "method not allowed");
    // The shorter URL has Convoy's rule.
    let convoy = path.replace("/v1/ingest", "/ingest");
    project.gateway.call("PUT", &convoy).body("{}").send().expect(405);
    project.gateway.call("POST", &convoy).body("{}").send().expect(200);
}

#[test]
fn an_id_opens_only_what_was_created_to_be_opened_by_it() {
    let project = gateway().project();
    let convoy = project.open_source();
    let shown = json!({"id": convoy["uid"]});
    refused(ingest(&project, &shown, &[], "{}"), 404, "Resource not found");
    let read = call(&project, "GET", &path(&shown)).send().expect(200).json()["source"].clone();
    let url = read["url"].as_str().expect("a URL");
    let at = format!("/v1/ingest/{}", convoy["mask_id"].as_str().expect("a mask"));
    assert!(url.ends_with(&at), "{url}");
    let reply = project.gateway.call("POST", &at).body("{}").send().expect(200).json();
    assert_eq!(reply["source_id"], convoy["uid"]);
}

#[test]
fn what_is_no_call_is_told_so_in_this_dialect() {
    let project = gateway().project();
    refused(call(&project, "GET", "/v1/no-such").send(), 404, "no such call");
    let reply = call(&project, "PUT", "/v1/sources/a").body("{}").send();
    assert_eq!(reply.header("allow"), Some("GET, PATCH, DELETE"));
    refused(reply, 405, "this path takes GET, PATCH, DELETE");
    let text =
        call(&project, "POST", "/v1/sources").header("Content-Type", "text/plain").body("{}");
    refused(text.send(), 415, "application/json");
    for body in ["", "{", "[]", r#"{"name":"a","slug":"a","colour":"red"}"#] {
        refused(call(&project, "POST", "/v1/sources").body(body).send(), 400, "");
    }
    let large = format!(r#"{{"name":"{}"}}"#, "a".repeat(1024 * 1024));
    refused(call(&project, "POST", "/v1/sources").body(large).send(), 413, "too large");
}

#[test]
fn counts_are_shown() {
    let project = gateway().project();
    let source = create(&project, &json!({"name": "a", "slug": "a"}));
    ingest(&project, &source, &[], "{}").expect(200);
    let counted = poll_until("one event", || {
        let shown = call(&project, "GET", &path(&source)).send().expect(200).json();
        (shown["source"]["event_count"] == 1).then(|| shown["source"].clone())
    });
    assert!(counted["last_event_at"].is_string());
    let listed = call(&project, "GET", "/v1/sources").send().expect(200).json();
    assert_eq!(listed["sources"][0], counted);
}
