//! The document of the API says what the gateway does: its paths, what it reads, what it shows.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use inlet_gateway::document::{
    COMMAND, FILE, generate, operations, owner_path, parameters, routes, taken_by_any_method,
    undescribed,
};
use inlet_gateway::routes::{Call, call};
use inlet_gateway::scope::{Admitted, Owner};
use inlet_gateway::search::{Kind, Search};
use serde_json::Value;

#[test]
fn every_route_is_documented_and_every_documented_route_is_there() {
    let mut documented = BTreeSet::new();
    for operation in operations() {
        if !taken_by_any_method(&operation.path) {
            documented.insert((operation.method.to_owned(), operation.path.clone()));
        }
    }
    let routes = routes();
    let missing: Vec<_> = routes.difference(&documented).collect();
    assert!(missing.is_empty(), "no entry in crates/gateway/src/document/operations: {missing:?}");
    let gone: Vec<_> = documented.difference(&routes).collect();
    assert!(gone.is_empty(), "documented, and not in crates/gateway/src/routes.rs: {gone:?}");
}

#[test]
fn every_field_is_described_and_every_described_field_is_there() {
    let wrong = undescribed();
    assert!(
        wrong.is_empty(),
        "mend crates/gateway/src/document/requests.txt or answers.txt:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_example_of_a_body_is_taken_by_its_reader() {
    for operation in operations() {
        for (name, example) in operation.body.iter().flat_map(|body| &body.examples) {
            let body = operation.body.as_ref().unwrap();
            let read = (body.check)(example.to_string().as_bytes());
            assert!(read.is_ok(), "{} {name}: {read:?}", operation.id);
            let badly_formed = (body.check)(b"{");
            assert!(badly_formed.is_err(), "{} takes anything", operation.id);
        }
    }
}

#[test]
fn the_parameters_of_searches_are_those_that_are_read() {
    let mut checked = 0;
    for operation in operations() {
        let read = match operation.id {
            "listEvents" => parameters(|| drop(Search::events(""))),
            "listDeadLetters" => {
                let mut read = parameters(|| drop(Search::dead_letters("")));
                // Newest first, always.
                read.remove("sort");
                read
            }
            "listMetaEvents" => parameters(|| drop(Search::of_dates(Kind::Events, ""))),
            "listDeliveries" | "retryDeliveries" | "countRetry" => {
                parameters(|| drop(Search::deliveries("")))
            }
            _ => continue,
        };
        checked += 1;
        let of_all = ["retryDeliveries", "countRetry"].contains(&operation.id);
        // A page that goes on reads one cursor, one that goes back the other.
        let back = parameters(|| drop(Search::events("direction=prev")));
        let cursors = back.into_iter().filter(|name| name.ends_with("_cursor"));
        let read = read.into_iter().chain(cursors);
        // Calls on all that is found read no payloads, and have no pages.
        let is_read = |name: &String| {
            let of_lists =
                ["query", "q", "body", "perPage", "per_page", "direction", "prev_page_cursor"];
            !of_all || !of_lists.contains(&name.as_str())
        };
        let read: BTreeSet<String> = read.filter(is_read).collect();
        let documented: BTreeSet<String> =
            operation.query.iter().map(|parameter| parameter.name.to_owned()).collect();
        assert_eq!(documented, read, "{}", operation.id);
    }
    assert_eq!(checked, 6);
}

#[test]
fn names_are_unique_and_references_lead_somewhere() {
    let document = generate();
    let mut ids = BTreeSet::new();
    let known = document["tags"].as_array().unwrap();
    for operation in operations() {
        assert!(ids.insert(operation.id), "{} stands twice", operation.id);
        assert!(known.iter().any(|tag| tag["name"] == operation.tag), "{}", operation.tag);
        let documented = &document["paths"][&operation.path][operation.method.to_ascii_lowercase()];
        assert!(documented["responses"].is_object(), "{} answers nothing", operation.id);
    }
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    for reference in references {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// What the Worker serves.
#[test]
fn the_file_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(FILE);
    let kept = fs::read_to_string(path).unwrap_or_default();
    let current = generate().to_string();
    let is_current = kept.trim_end() == current;
    assert!(is_current, "{FILE} is out of date; write it anew: {COMMAND}");
}

/// Makers of types take a property with a `default` for one that is always there.
#[test]
fn no_property_of_a_request_has_a_default() {
    fn check(at: &str, value: &Value) {
        match value {
            Value::Object(fields) => {
                assert!(!fields.contains_key("default"), "{at} has a default: say it in words");
                for (name, value) in fields.iter().filter(|(name, _)| !name.starts_with("example"))
                {
                    check(&format!("{at}/{name}"), value);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| check(at, item)),
            _ => {}
        }
    }
    let document = generate();
    check("", &document);
    let interval = &document["components"]["schemas"]["SourceInput"]["properties"];
    let about = interval["dedup_window_seconds"]["description"].as_str().unwrap();
    assert!(about.ends_with("Default: `259200`."), "{about}");
}

#[test]
fn calls_of_owners_are_documented_and_those_that_are_closed_to_them_are_not() {
    let document = generate();
    let mut open = BTreeSet::new();
    for operation in operations() {
        if let Some(path) = owner_path(&operation) {
            let method = operation.method.to_ascii_lowercase();
            let described = &document["paths"][&path][&method];
            assert_eq!(
                described["security"][0]["portal"],
                Value::Array(Vec::new()),
                "{method} {path}"
            );
            open.insert(format!("{} {path}", operation.method));
        }
    }
    let paths = document["paths"].as_object().unwrap();
    let of_owners = paths.iter().filter(|(path, _)| path.starts_with("/portal-api/"));
    let documented: usize = of_owners
        .map(|(_, item)| {
            item.as_object().unwrap().keys().filter(|key| *key != "parameters").count()
        })
        .sum();
    assert_eq!(documented, open.len() + 1, "and the link itself");
    for call in [
        "GET /portal-api/events",
        "POST /portal-api/events",
        "GET /portal-api/eventdeliveries/{deliveryID}/deliveryattempts",
        "POST /portal-api/subscriptions",
        "PUT /portal-api/endpoints/{endpointID}/pause",
    ] {
        assert!(open.contains(call), "{call}: {open:?}");
    }
    for call in [
        "GET /portal-api/sources",
        "POST /portal-api/events/fanout",
        "GET /portal-api/dead-letters",
    ] {
        assert!(!open.contains(call), "{call}");
    }
}

/// Every call of the document: `GET /healthz`, and what is said of it.
fn calls(document: &Value) -> Vec<(String, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let calls =
            item.as_object().into_iter().flatten().filter(|(name, _)| *name != "parameters");
        all.extend(calls.map(|(method, call)| (format!("{} {path}", method.to_uppercase()), call)));
    }
    all
}

fn has_example(media: &Value) -> bool {
    media.get("example").or(media.get("examples")).is_some()
}

#[test]
fn what_is_named_by_its_id_may_be_missing() {
    for (name, call) in calls(&generate()) {
        let is_said = !name.contains('{') || call["responses"]["404"].is_object();
        assert!(is_said, "{name} is never 404");
    }
}

#[test]
fn bodies_and_answers_of_the_api_have_examples() {
    for (name, call) in calls(&generate()) {
        if let Some(content) = call.pointer("/requestBody/content").and_then(Value::as_object) {
            assert!(content.values().any(has_example), "no example of the body of {name}");
        }
        if name.contains("/portal-api/") {
            let good =
                call["responses"].as_object().unwrap().iter().find(|of| of.0.starts_with('2'));
            let (_, answer) = good.unwrap_or_else(|| panic!("{name} never goes well"));
            assert!(has_example(&answer["content"]["application/json"]), "no example of {name}");
        }
    }
}

/// The token of a portal link opens less than a key does, in bodies, too.
#[test]
fn calls_of_owners_have_the_fields_that_owners_may_send() {
    let document = generate();
    let endpoint = document.pointer("/components/parameters/endpointID/example").unwrap();
    let owner = Owner {
        link_id: String::new(),
        owner_id: "o".to_owned(),
        can_manage_endpoint: true,
        endpoints: vec![endpoint.as_str().unwrap().to_owned(), "{endpointID}".to_owned()],
    };
    let mut wrong = Vec::new();
    for (name, described) in calls(&document) {
        let Some((method, path)) = name.split_once(' ') else { unreachable!() };
        let Ok(Call::InPortal { call }) = call(method, path) else { continue };
        let Some(media) = described.pointer("/requestBody/content/application~1json") else {
            continue;
        };
        let admit = |body: &Value| owner.admit(&call, "", body.to_string().as_bytes());
        if let Some(error) = media.get("example").and_then(|example| admit(example).err()) {
            wrong.push(format!("{name}: the example is refused: {}", error.message));
        }
        for field in fields(&document, &media["schema"]) {
            let mut body = serde_json::json!({"endpoint_id": endpoint});
            if field != "endpoint_id" {
                body[field.as_str()] = "theirs".into();
            }
            match admit(&body) {
                Err(error) if error.status == 403 => {
                    wrong.push(format!("{name}: {field} is refused"));
                }
                Ok(Admitted { body: Some(instead), .. }) => {
                    let instead: Value = serde_json::from_slice(&instead).unwrap();
                    if instead[&field] != body[&field] {
                        wrong.push(format!("{name}: {field} has no effect"));
                    }
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let schemas = &document["paths"]["/portal-api/events"]["post"]["requestBody"];
    let schema = &schemas["content"]["application/json"]["schema"];
    assert!(fields(&document, schema).contains(&"custom_headers".to_owned()), "{schema}");
}

/// What the schema of a body, or of each of its items, has.
fn fields(document: &Value, schema: &Value) -> Vec<String> {
    let schema = schema.get("items").unwrap_or(schema);
    let schema = schema.pointer("/allOf/0").unwrap_or(schema);
    let referred = schema.get("$ref").and_then(Value::as_str);
    let referred = referred.and_then(|to| document.pointer(to.trim_start_matches('#')));
    let properties = referred.unwrap_or(schema)["properties"].as_object();
    properties.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// An answer under an older version is what the document says, too.
#[test]
fn each_version_of_an_endpoint_fits_its_schema() {
    let document = generate();
    let endpoint = &document["components"]["schemas"]["Endpoint"];
    let required: Vec<&str> =
        endpoint["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for (older, newer) in [("title", "name"), ("target_url", "url")] {
        assert!(endpoint["properties"][older]["deprecated"].as_bool().unwrap());
        assert!(!required.contains(&older) && !required.contains(&newer));
    }
    for time in ["http_timeout", "rate_limit_duration"] {
        assert_eq!(endpoint["properties"][time]["type"], serde_json::json!(["integer", "string"]));
    }
    assert_eq!(endpoint["if"]["required"], serde_json::json!(["title"]));
    assert_eq!(endpoint["then"]["required"], serde_json::json!(["target_url"]));
    assert_eq!(endpoint["else"]["required"], serde_json::json!(["name", "url"]));
    assert!(endpoint.get("anyOf").is_none(), "makers of types would know nothing of its fields");
    let path = &document["paths"]["/api/v1/projects/{projectID}/endpoints"];
    assert!(path.to_string().contains("#/components/parameters/convoyVersion"));
    let answer = &path["post"]["responses"]["201"]["headers"];
    assert!(answer["X-Request-ID"].is_object() && answer["X-Convoy-Version"].is_object());
}

/// What makers of types stumble over: they drop the schema, or make a type of it that nothing fits.
#[test]
fn every_schema_says_what_it_holds() {
    fn properties<'a>(document: &'a Value, schema: &'a Value) -> Option<&'a Value> {
        let schema = schema.pointer("/allOf/0").unwrap_or(schema);
        match schema.get("$ref").and_then(Value::as_str) {
            Some(to) => properties(document, document.pointer(to.trim_start_matches('#'))?),
            None => schema.get("properties"),
        }
    }
    fn check(document: &Value, at: &str, schema: &Value, wrong: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => {
                let is = |name: &str| match fields.get("type") {
                    Some(Value::Array(several)) => several.iter().any(|of| of == name),
                    of => of.is_some_and(|of| of == name),
                };
                if is("array") && !fields.contains_key("items") {
                    wrong.push(format!("{at}: an array of what?"));
                }
                let has_properties = fields
                    .get("properties")
                    .and_then(Value::as_object)
                    .is_some_and(|of| !of.is_empty());
                if is("object") && !has_properties && !fields.contains_key("additionalProperties") {
                    wrong.push(format!("{at}: an object that holds nothing"));
                }
                // A condition names properties of the schema that it stands in.
                let is_condition = ["/if", "/then", "/else"].iter().any(|of| at.ends_with(of));
                if let (Some(Value::Array(required)), false) =
                    (fields.get("required"), is_condition)
                {
                    let properties = properties(document, schema);
                    for name in required.iter().filter_map(Value::as_str) {
                        if properties.and_then(|of| of.get(name)).is_none() {
                            wrong.push(format!(
                                "{at}: requires {name}, and does not say what it is"
                            ));
                        }
                    }
                }
                for (name, part) in fields.iter().filter(|(name, _)| !name.starts_with("example")) {
                    check(document, &format!("{at}/{name}"), part, wrong);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    check(document, &format!("{at}/{index}"), item, wrong);
                }
            }
            _ => {}
        }
    }
    let document = generate();
    let mut wrong = Vec::new();
    check(&document, "", &document, &mut wrong);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let bad = serde_json::json!({"type": "object", "required": ["a"], "properties": {
        "b": {"type": ["array", "null"]}, "c": {"type": "object"}, "d": {"type": "object", "properties": {}}}});
    check(&bad, "", &bad, &mut wrong);
    assert_eq!(wrong.len(), 4, "the rules find what breaks them: {wrong:?}");
}

/// A field that is `null` in every sample has no type, and typed clients could neither read nor write it.
#[test]
fn only_what_is_never_set_is_always_null() {
    fn find(at: &str, part: &Value, found: &mut Vec<String>) {
        match part {
            Value::Object(fields) => {
                if fields.get("type") == Some(&Value::from("null")) {
                    found.push(at.to_owned());
                }
                let parts = fields.iter().filter(|(name, _)| !name.starts_with("example"));
                parts.for_each(|(name, part)| find(name, part, found));
            }
            Value::Array(items) => items.iter().for_each(|item| find(at, item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    find("", &generate(), &mut found);
    found.sort_unstable();
    found.dedup();
    // An answer without data, and the key that comes with a new project.
    let never = ["cli_metadata", "data", "deleted_at", "device_metadata", "expires_at"];
    assert_eq!(found, never);
    let key = &generate()["components"]["schemas"]["CreatedProject"]["properties"]["api_key"];
    assert_eq!(key["properties"]["expires_at"]["type"], "null");
    let source = &generate()["components"]["schemas"]["Source"]["properties"];
    assert_eq!(source["expires_at"]["type"], serde_json::json!(["null", "string"]));
}

/// What was deleted is named by its id alone, and no event of the API has a source.
#[test]
fn what_is_pointed_at_has_its_id_alone_for_certain() {
    let document = generate();
    let schemas = &document["components"]["schemas"];
    for pointed in [
        &schemas["Delivery"]["properties"]["source_metadata"],
        &schemas["Delivery"]["properties"]["endpoint_metadata"],
        &schemas["Event"]["properties"]["endpoint_metadata"]["items"],
        &schemas["Subscription"]["properties"]["source_metadata"],
        &schemas["Subscription"]["properties"]["endpoint_metadata"],
    ] {
        assert_eq!(pointed["required"], serde_json::json!(["uid"]), "{pointed}");
        assert!(pointed["properties"]["name"].is_object(), "{pointed}");
    }
}
