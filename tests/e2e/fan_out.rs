//! One event for very many.

use std::time::Duration;

use inlet_tests::{Gateway, poll_until_within};
use serde_json::json;

use crate::story::Story;

const MANY: u64 = 35_000;

/// Pairs of project and delivery for all of them are more than D1 takes as one parameter.
#[test]
fn an_event_for_very_many_goes_to_all_of_them_though_its_routing_breaks_off_on_the_way() {
    let builder = Gateway::builder().durability("queue").var("LOCAL_QUEUE", "false").tapped();
    let story = Story::new(builder.consumer("inlet-ingest-0", json!({"retryDelay": 0})));
    let (gateway, project) = (&story.gateway, story.project());
    story.subscribe_often(MANY);
    // Nobody is called: it is about what is stored and watched.
    gateway.refuse("DELIVER_0", None);
    let fault = "CREATE TRIGGER fault BEFORE INSERT ON deliveries \
        WHEN NEW.subscription_id > '70000000000000000000012000' BEGIN SELECT abs(-9223372036854775807 - 1); END";
    gateway.sql("EVENTS_0", fault, &[]);
    let id = story.post("{}").expect(200).header("inlet-event-id").expect("an id").to_owned();
    let count = |condition: &str| {
        let sql =
            format!("SELECT count(*) AS n FROM deliveries WHERE project_id = ?1 AND {condition}");
        gateway.sql("EVENTS_0", &sql, &[json!(story.uid)])[0]["n"].as_u64().expect("a number")
    };
    let until = |what: &str, wanted: &dyn Fn() -> bool| {
        let is_so = poll_until_within(Duration::from_mins(2), || {
            gateway.cron();
            wanted().then_some(())
        });
        assert!(is_so.is_some(), "{what}: {} deliveries", count("true"));
    };
    until("the first parts", &|| count("true") == 10_000);
    gateway.sql("EVENTS_0", "DROP TRIGGER fault", &[]);
    until("all of them", &|| count("true") == MANY);
    assert!(project.list("/dead-letters").is_empty());
    until("all are watched", &|| count("look_at IS NULL") == 0);
    assert_eq!(project.event(&id)["uid"], id.as_str());
}
