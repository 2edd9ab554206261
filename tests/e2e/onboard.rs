//! Many endpoints made by one call, by JSON or by a table.

use inlet_tests::{Endpoint, uid};
use serde_json::{Value, json};

use crate::gateway;

#[test]
fn many_endpoints_are_made_at_once_and_get_what_they_are_subscribed_to() {
    let project = gateway().outgoing(json!({}));
    let [all, some] = [(); 2].map(|()| Endpoint::ok());
    let items = json!({"items": [
        {"name": "all", "url": all.url("/hook")},
        {"name": "some", "url": some.url("/hook"), "event_type": "paid", "auth_username": "u", "auth_password": "p"},
    ]});
    let dry =
        project.post("/onboard?dry_run=true", &items).says(200, "Dry run validation complete");
    assert_eq!(dry, json!({"total_rows": 2, "valid_count": 2, "errors": []}));
    project.post("/onboard?dryRun=true", &items).expect(400);
    assert!(project.list("/endpoints").is_empty(), "nothing is stored");
    let made = project.post("/onboard", &items).says(202, "Bulk onboard request accepted");
    assert_eq!(
        (&made["total_items"], made["endpoints"].as_array().map(Vec::len)),
        (&json!(2), Some(2))
    );
    assert!(made["endpoints"][0]["secret"].as_str().is_some_and(|secret| secret.len() > 20));
    for event_type in ["paid", "other"] {
        let event = json!({"event_type": event_type, "data": 1});
        let event = uid(&project.post("/events/broadcast", &event).expect(201).data());
        project.wait_for_any_delivery(&event, "Success");
    }
    all.wait_for(2);
    let received = some.wait_for(1);
    assert_eq!(received[0].header("authorization"), Some("Basic dTpw"));
    let types: Vec<String> = project
        .get("/event-types")
        .data()
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["name"].as_str().expect("a name").to_owned())
        .collect();
    assert!(types.contains(&"paid".to_owned()), "{types:?}");
}

#[test]
fn a_table_in_a_form_is_taken_too() {
    let project = gateway().outgoing(json!({}));
    let rows: Vec<String> =
        (0..450).map(|n| format!("e{n},https://example.com/{n},t{n}")).collect();
    let rows = rows.join("\n");
    let form = format!(
        "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"all.csv\"\r\nContent-Type: text/csv\r\n\r\n\
         name,url,event_type\n{rows}\r\n--XX--\r\n"
    );
    let call = |path: &str| {
        project.call("POST", path).header("Content-Type", "multipart/form-data; boundary=XX")
    };
    let made =
        call("/onboard").body(form.clone()).send().says(202, "Bulk onboard request accepted");
    assert_eq!(made["total_items"], 450);
    let sql = "SELECT (SELECT count(*) FROM endpoints WHERE project_id = ?1) AS e, (SELECT count(*) FROM subscriptions WHERE \
        project_id = ?1) AS s, (SELECT count(*) FROM event_types WHERE project_id = ?1 AND name LIKE 't%') AS t";
    let counts = gateway().sql("DB", sql, &[json!(project.uid)]);
    assert_eq!(counts, [json!({"e": 450, "s": 450, "t": 450})]);
    assert_eq!(
        call("/onboard").body("no form").send().expect(400).message(),
        "failed to read file field"
    );
    // Only here.
    call("/endpoints").body(form).send().expect(415);
}

#[test]
fn a_row_that_is_wrong_keeps_all_from_being_made() {
    let project = gateway().outgoing(json!({}));
    let items = json!({"items": [
        {"name": "good", "url": "https://example.com/"},
        {"name": "", "url": "https://example.com/"},
        {"name": "bad", "url": "ftp://example.com/"},
    ]});
    let reply = project.post("/onboard", &items).expect(400);
    assert_eq!(reply.message(), "Validation failed");
    let rows: Vec<Value> = reply.json()["data"]["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|one| one["row"].clone())
        .collect();
    assert_eq!(rows, [json!(2), json!(3)]);
    assert!(project.list("/endpoints").is_empty());
    assert_eq!(
        project.post("/onboard", &json!({})).expect(400).message(),
        "items list cannot be empty"
    );
    let incoming = gateway().project().post("/onboard", &items).expect(400).message();
    assert_eq!(incoming, "bulk onboard is only supported for outgoing projects");
}
