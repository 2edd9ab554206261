//! Changes of one source close together: none undoes another, neither in the store nor at the edge.

use std::thread;

use inlet_tests::{Gateway, poll_until};
use serde_json::{Value, json};

use crate::gateway;

fn path_of(source: &Value) -> String {
    format!("/sources/{}", source["uid"].as_str().expect("a uid"))
}

#[test]
fn a_change_that_reaches_the_edge_late_does_not_undo_a_later_one() {
    let gateway = Gateway::builder().tapped().start();
    let project = gateway.project();
    let source = project.source(json!({"name": "a", "type": "http"}));
    let (path, mask) = (path_of(&source), source["mask_id"].as_str().expect("a mask"));
    let change = |is_disabled: bool, description: &str| {
        let body = json!({"name": description, "type": "http", "is_disabled": is_disabled});
        project.put(&path, &body).expect(202)
    };
    project.ingest(&source, b"{}").expect(200);
    gateway.refuse("CONFIG", Some(mask));
    thread::scope(|scope| {
        let early = scope.spawn(|| change(false, "early"));
        poll_until("the early change to be stored", || {
            (project.get(&path).data()["name"] == "early").then_some(())
        });
        gateway.allow("CONFIG");
        change(true, "late");
        project.ingest(&source, b"{}").expect(403);
        early.join().expect("the early change is answered");
    });
    project.ingest(&source, b"{}").expect(403);
}

#[test]
fn a_secret_that_is_handed_over_takes_no_change_back() {
    let project = gateway().project();
    for round in 0..20 {
        let source = project.source(json!({"name": "a", "type": "http", "provider": "asana"}));
        let path = path_of(&source);
        project.post(&format!("{path}/arm"), &json!({"seconds": 60})).expect(200);
        thread::scope(|scope| {
            scope.spawn(|| {
                let call = project
                    .ingest_call(&source)
                    .header("X-Hook-Secret", "the-secret-that-is-handed-over");
                call.body("").send().expect(200);
            });
            for n in 0..3 {
                let path = &path;
                let project = &project;
                scope.spawn(move || {
                    let window =
                        json!({"name": "a", "type": "http", "dedup_window_seconds": 100 + n});
                    poll_until("the change to be made", || {
                        let answer = project.put(path, &window);
                        (answer.status != 409).then(|| answer.expect(202))
                    });
                });
            }
        });
        let shown = project.get(&path).data();
        let kept = &shown["verifier"]["secrets"][0]["value"];
        assert!(kept.as_str().is_some_and(|kept| kept.ends_with("over")), "round {round}: {shown}");
        let window = shown["dedup_window_seconds"].as_u64();
        assert!(window.is_some_and(|s| (100..103).contains(&s)), "round {round}: {shown}");
    }
}
