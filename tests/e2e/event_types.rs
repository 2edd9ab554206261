//! Event types: made by hand, by subscriptions, or from an `OpenAPI` document; and what their schemas refuse.

use inlet_tests::{Endpoint, Project, poll_until};
use serde_json::{Value, json};

use crate::gateway;

fn uid(value: &Value) -> &str {
    value["uid"].as_str().expect("a uid")
}

/// The names of a project's types, in order.
fn names(project: &Project) -> Vec<String> {
    let listed = project.get("/event-types").expect(200);
    assert_eq!(listed.message(), "Event types fetched successfully");
    let listed = listed.data();
    let listed = listed.as_array().expect("an array").iter();
    listed.map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn an_event_type_lives_from_create_to_deprecate() {
    let project = gateway().project();
    assert_eq!(names(&project), ["*"], "every project has the type for all");
    let body =
        json!({"name": "order.paid", "category": "orders", "description": "An order is paid"});
    let reply = project.post("/event-types", &body).expect(201);
    assert_eq!(reply.message(), "Event type created successfully");
    let made = reply.data();
    assert_eq!(made["category"], "orders");
    let path = format!("/event-types/{}", uid(&made));
    assert_eq!(project.get(&path).expect(200).data(), made);
    let reply = project.put(&path, &json!({"description": "paid"})).expect(202);
    assert_eq!(reply.message(), "Event type created successfully");
    assert_eq!(project.get(&path).data()["description"], "paid");
    assert_eq!(project.get(&path).data()["category"], "orders");
    let reply = project.post(&format!("{path}/deprecate"), &json!({})).expect(200);
    assert_eq!(reply.message(), "Event type deprecated successfully");
    assert!(project.get(&path).data()["deprecated_at"].is_string());
    let endpoint = project.endpoint(json!({"name": "e", "url": "http://127.0.0.1:1/"}));
    let event = json!({"endpoint_id": uid(&endpoint), "event_type": "order.paid", "data": {}});
    project.post("/events", &event).expect(201);
    assert_eq!(names(&project), ["*", "order.paid"]);
}

#[test]
fn event_types_that_cannot_be_are_refused() {
    let (project, other) = (gateway().project(), gateway().project());
    let made = project.post("/event-types", &json!({"name": "a"})).expect(201).data();
    let refused = |body: Value| project.post("/event-types", &body).expect(400).message();
    assert_eq!(refused(json!({})), "name:please provide a name for this event type");
    assert_eq!(refused(json!({"name": "a"})), "an event type with this name already exists");
    assert_eq!(refused(json!({"name": "*"})), "an event type with this name already exists");
    assert_eq!(
        refused(json!({"name": "b", "json_schema": {"type": "object", "required": "id"}})),
        "invalid JSON schema: at /required: an array of names is expected"
    );
    assert!(refused(json!({"name": 5})).contains("incorrect JSON type"));
    let path = format!("/event-types/{}", uid(&made));
    project.put(&path, &json!({"name": "b"})).expect(400);
    for path in [path.as_str(), "/event-types/none"] {
        other.get(path).expect(404);
        other.put(path, &json!({"description": "mine"})).expect(404);
        other.post(&format!("{path}/deprecate"), &json!({})).expect(404);
    }
    assert_eq!(project.call("DELETE", &path).send().expect(405).header("allow"), Some("GET, PUT"));
}

#[test]
fn subscriptions_make_the_types_that_they_name() {
    let project = gateway().project();
    let endpoint = Endpoint::ok();
    let source = project.open_source();
    let created = project.route(&source, &endpoint);
    assert_eq!(names(&project), ["*"]);
    let mut body = json!({"name": "some", "source_id": uid(&source), "endpoint_id": uid(&created),
        "filter_config": {"event_types": ["b", "a", "*"]}});
    let made = project.subscription(body.clone());
    assert_eq!(names(&project), ["*", "a", "b"]);
    body["filter_config"]["event_types"] = json!(["a", "c"]);
    project.put(&format!("/subscriptions/{}", uid(&made)), &body).expect(202);
    assert_eq!(names(&project), ["*", "a", "b", "c"]);
}

#[test]
fn webhooks_of_an_openapi_document_become_event_types() {
    let project = gateway().project();
    project.post("/event-types", &json!({"name": "order.paid", "category": "orders"})).expect(201);
    let document = json!({"openapi": "3.1.0", "info": {"title": "t", "version": "1"},
        "webhooks": {
            "order.paid": {"post": {"summary": "An order is paid", "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}}}},
            "order.sent": {"post": {"responses": {}}}},
        "components": {"schemas": {"Order": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}}}});
    let body = json!({"spec": document.to_string()});
    let reply = project.post("/event-types/import", &body).expect(200);
    assert_eq!(reply.message(), "Event types imported successfully");
    let imported = reply.data();
    assert_eq!(imported.as_array().map(Vec::len), Some(2));
    assert_eq!(imported[0]["category"], "orders", "what was there is kept");
    assert_eq!(imported[0]["description"], "An order is paid");
    assert_eq!(names(&project), ["*", "order.paid", "order.sent"]);
    project.post("/event-types/import", &body).expect(200);
    assert_eq!(names(&project).len(), 3, "the same again changes nothing");
    for (spec, expect) in [
        (json!({}), "spec:please provide an OpenAPI document"),
        (json!({"spec": "{"}), "spec:not JSON: EOF while parsing an object at line 1 column 1"),
        (json!({"spec": {"openapi": "3.0.0"}}), "spec:there are no webhooks in it"),
    ] {
        assert_eq!(project.post("/event-types/import", &spec).expect(400).message(), expect);
    }
}

#[test]
fn webhooks_of_a_document_in_yaml_become_event_types() {
    let project = gateway().project();
    let spec = r##"
# Comments, anchors, merges, texts of several lines: what people write.
openapi: "3.1.0"
info: {title: Shop, version: 1.0}
x-json: &json
  content:
    application/json:
      schema: {$ref: "#/components/schemas/Order"}
webhooks:
  order.paid:
    post:
      description: >-
        An order
        is paid
      requestBody: *json
      responses: {200: {description: Fine}}
  order.sent:
    post:
      requestBody: {<<: *json, required: true}
components:
  schemas:
    Order:
      type: object
      required: [id, no]
      properties:
        id: {type: integer, maximum: 12345678901234567890}
        no: {type: string, enum: [yes, no, "007"]}
"##;
    let imported = project.post("/event-types/import", &json!({"spec": spec})).expect(200).data();
    assert_eq!(names(&project), ["*", "order.paid", "order.sent"]);
    assert_eq!(imported[0]["description"], "An order is paid");
    for one in [&imported[0], &imported[1]] {
        let order = &one["json_schema"]["$defs"]["Order"];
        assert_eq!(order["properties"]["no"]["enum"], json!(["yes", "no", "007"]));
        assert_eq!(
            order["properties"]["id"]["maximum"].to_string(),
            "12345678901234567890",
            "no number is rounded"
        );
    }
}

#[test]
fn yaml_that_cannot_be_used_says_where_or_why() {
    let project = gateway().project();
    let refused = |spec: String| {
        let reply = project.post("/event-types/import", &json!({"spec": spec})).expect(400);
        reply.message().strip_prefix("spec:").expect("the field").to_owned()
    };
    let bomb: Vec<String> = (1..12)
        .map(|n| format!("a{n}: &a{n} [{}]", vec![format!("*a{}", n - 1); 9].join(", ")))
        .collect();
    for (spec, expect) in [
        (
            "openapi: 3.1.0\nwebhooks:\n  a: b\n    post: {}".to_owned(),
            "not YAML: bad indentation of a mapping entry at line 4 column 9",
        ),
        ("a: [1, 2".to_owned(), "not YAML: "),
        ("a: *b".to_owned(), "not YAML: unidentified alias \"b\" at line 1 column 5"),
        ("a: 1\na: 2".to_owned(), "not YAML: duplicated mapping key at line 2 column 1"),
        ("? [a]\n: 1".to_owned(), "not YAML: the key is no text at line 1 column 1"),
        ("a: !!js/function 'x'".to_owned(), "not YAML: unknown scalar tag"),
        ("a: .inf".to_owned(), "not YAML: .inf and .nan are no numbers of JSON"),
        ("a: &a [*a]".to_owned(), "not YAML: it is nested more than"),
        (format!("a: {}", "[".repeat(100_000)), "not YAML: nesting exceeded maxDepth"),
        (
            format!("a0: &a0 [x, x, x, x, x, x, x, x, x]\n{}", bomb.join("\n")),
            "not YAML: its aliases make more than 2097152 characters of it",
        ),
        (String::new(), "not YAML: expected a document, but the input is empty"),
        ("a: 1\n---\nb: 2".to_owned(), "not YAML: expected a single document"),
        ("just a text".to_owned(), "a document of OpenAPI 3 is expected"),
        ("openapi: 3.1.0\nwebhooks: {a: {}}".to_owned(), "webhooks.a: has no operation"),
    ] {
        let message = refused(spec);
        assert!(message.starts_with(expect), "{message}, not {expect}");
    }
    assert_eq!(names(&project), ["*"], "nothing was imported");
    let large = json!({"spec": "a".repeat(1024 * 1024)});
    project.post("/event-types/import", &large).expect(413);
}

#[test]
fn an_event_that_does_not_fit_the_schema_of_its_type_is_refused_when_it_is_pushed() {
    let project = gateway().project();
    let endpoint = project.endpoint(json!({"name": "e", "url": "http://127.0.0.1:1/"}));
    let schema =
        json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}});
    let made = project.post("/event-types", &json!({"name": "order.paid", "json_schema": schema}));
    let made = made.expect(201).data();
    assert_eq!(made["json_schema"], schema);
    let event = |kind: &str, data: Value| json!({"endpoint_id": uid(&endpoint), "event_type": kind, "data": data});
    project.post("/events", &event("order.paid", json!({"id": "1"}))).expect(201);
    project.post("/events", &event("order.sent", json!({"id": 1}))).expect(201);
    let expect = "data does not fit the JSON schema of its event type: at /id: must be string";
    let refused = project.post("/events", &event("order.paid", json!({"id": 1}))).expect(400);
    assert_eq!(refused.message(), expect);
    let batch =
        json!([event("order.paid", json!({"id": "1"})), event("order.paid", json!({"id": 1}))]);
    let results = project.post("/events/batch", &batch).expect(207).data();
    assert_eq!((&results[0]["status"], &results[1]["message"]), (&json!(true), &json!(expect)));
    let dynamic =
        json!({"url": "http://127.0.0.1:1/dynamic", "event_type": "order.paid", "data": []});
    let refused = project.post("/events/dynamic", &dynamic).expect(400).message();
    assert!(refused.ends_with("at the root: must be object"), "{refused}");
    let endpoints = project.list("/endpoints");
    assert_eq!(endpoints.len(), 1, "a refused event makes no endpoint");
    project.put(&format!("/event-types/{}", uid(&made)), &json!({"json_schema": {}})).expect(202);
    project.post("/events", &event("order.paid", json!({"id": 1}))).expect(201);
}

#[test]
fn an_event_that_does_not_fit_the_schema_of_its_type_is_refused_when_it_arrives() {
    let project = gateway().project();
    let source = project.open_source_with(json!({"event_type_location": "request.body.type"}));
    let schema = json!({"properties": {"n": {"type": "integer"}}});
    let body = json!({"name": "counted", "json_schema": schema});
    let made = project.post("/event-types", &body).expect(201).data();
    let send = |body: &str| project.ingest(&source, body.as_bytes());
    send(r#"{"type":"counted","n":1}"#).expect(200);
    send(r#"{"type":"other","n":"1"}"#).expect(200);
    let refused = send(r#"{"type":"counted","n":"1"}"#).expect(422);
    let expect = "request body does not fit the JSON schema: at /n: must be integer";
    assert_eq!(refused.message(), expect);
    assert_eq!(refused.json()["validation_errors"], json!(["at /n: must be integer"]));
    let kept = poll_until("the refused request", || {
        let kept = project.get(&format!("/sources/{}/rejections", uid(&source))).data();
        kept.get(0).cloned()
    });
    assert_eq!((&kept["status"], &kept["label"]), (&json!(422), &json!("schema")));
    assert_eq!(kept["findings"], json!(["at /n: must be integer"]));
    let path = format!("/event-types/{}", uid(&made));
    project
        .put(&path, &json!({"json_schema": {"properties": {"n": {"type": "string"}}}}))
        .expect(202);
    send(r#"{"type":"counted","n":"1"}"#).expect(200);
    send(r#"{"type":"counted","n":1}"#).expect(422);
}
