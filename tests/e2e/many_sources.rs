//! A project with more sources than one call can tell of a change.

use inlet_tests::{Gateway, ROOT_KEY, poll_until};
use serde_json::{Value, json};

const SOURCES: usize = 1_500;
/// What one call tells.
const TOLD: usize = 200;

fn mask(n: usize) -> String {
    format!("M{n:015}")
}

/// The answer says what is left to do. A sweep that ran beside the call may have done more of it.
#[track_caller]
fn is_left(answer: &Value) {
    let left = answer["untold_sources"].as_u64().and_then(|left| usize::try_from(left).ok());
    assert!(left.is_some_and(|left| 0 < left && left <= SOURCES - TOLD), "{answer}");
}

#[test]
fn a_project_with_very_many_sources_is_changed_and_deleted_in_bounded_steps() {
    let gateway = Gateway::builder().start();
    let project = gateway.project();
    project.open_source();
    let copies = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?2) \
        INSERT INTO sources (project_id, id, mask_id, name, type, provider, doc) \
        SELECT s.project_id, substr(s.id, 1, 20) || printf('%06d', n.i), printf('M%015d', n.i), s.name, s.type, s.provider, \
        json_set(s.doc, '$.uid', substr(s.id, 1, 20) || printf('%06d', n.i), '$.mask_id', printf('M%015d', n.i)) \
        FROM sources AS s, n WHERE s.project_id = ?1";
    gateway.sql("DB", copies, &[json!(project.uid), json!(SOURCES - 1)]);
    let ingest = |n: usize| {
        let path = format!("/ingest/{}", mask(n));
        gateway.call("POST", &path).body(vec![b'x'; 2_000]).send().status
    };
    let some = [1, 700, SOURCES - 1];
    assert_eq!(some.map(ingest), [200; 3]);
    let noted = || gateway.sql("DB", "SELECT 1 FROM untold", &[]).len();
    let told = |what: &str| {
        poll_until(what, || {
            gateway.cron();
            (noted() == 0).then_some(())
        });
    };

    let body = json!({"name": "small", "config": {"max_payload_read_size": 1_000}});
    let changed = project.put("", &body).expect(202).json();
    is_left(&changed);
    told("all sources to be told");
    for n in some {
        let text = gateway.kv(&format!("source:{}", mask(n))).expect("a snapshot");
        assert!(text.contains("\"body_max_bytes\":1000"), "{text}");
        poll_until("the change to be seen", || (ingest(n) == 413).then_some(()));
    }
    let again = project.put("", &json!({"name": "the same"})).expect(202).json();
    assert_eq!(again.get("untold_sources"), None, "nothing that concerns sources");

    let path = format!("/api/v1/projects/{}", project.uid);
    let deleted = gateway.call("DELETE", &path).bearer(ROOT_KEY).send().expect(200).json();
    is_left(&deleted);
    assert_eq!(some.map(ingest), [404; 3], "at once, though the edge has not heard of all");
    gateway.call("GET", &path).bearer(ROOT_KEY).send().expect(404);
    told("all sources to be withdrawn");
    assert!(!gateway.kv_keys().iter().any(|key| key.starts_with("source:")));
    for n in some {
        poll_until("the source to be gone", || (ingest(n) == 404).then_some(()));
    }
}

#[test]
fn what_the_edge_cannot_be_told_is_told_later() {
    let gateway = Gateway::builder().tapped().start();
    let project = gateway.project();
    let [one, two] = [(); 2].map(|()| project.open_source());
    let body = |size: u64| json!({"name": "p", "config": {"max_payload_read_size": size}});
    gateway.refuse("CONFIG", two["mask_id"].as_str());
    let refused = project.put("", &body(1_000)).expect(503);
    assert!(refused.message().starts_with("the change is stored"), "{}", refused.message());
    project.ingest(&one, &[b'x'; 2_000]).expect(413);
    assert_eq!(gateway.sql("DB", "SELECT 1 FROM untold", &[]).len(), 1);
    gateway.allow("CONFIG");
    poll_until("the other to be told", || {
        gateway.cron();
        gateway.sql("DB", "SELECT 1 FROM untold", &[]).is_empty().then_some(())
    });
    let key = format!("source:{}", two["mask_id"].as_str().expect("a mask"));
    let text = gateway.kv(&key).expect("a snapshot");
    assert!(text.contains("\"body_max_bytes\":1000"), "{text}");
}
