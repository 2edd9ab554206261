//! Several drains of one journal at once: a crowd is one drain's, and nobody else's for ever.

use std::thread;
use std::time::Duration;

use inlet_tests::{Builder, Endpoint, Gateway, poll_until, poll_until_within};
use serde_json::json;

use crate::story::{Story, bodies};

/// As in production.
fn production() -> Builder {
    Gateway::builder().durability("journal").var("LOCAL_QUEUE", "false").tapped()
}

/// Nobody but the cron drains, and bells are only counted.
fn quiet() -> Story {
    Story::new(production().sink("inlet-ingest-0").sink("inlet-deliver-0"))
}

fn post(story: &Story, count: usize) {
    for body in bodies(count) {
        story.post(body).expect(200);
    }
}

fn deliveries(story: &Story) -> u64 {
    let count = "SELECT count(*) AS n FROM deliveries WHERE project_id = ?1";
    let rows = story.gateway.sql("EVENTS_0", count, &[json!(story.uid)]);
    rows[0]["n"].as_u64().unwrap_or_default()
}

fn is_leased(story: &Story) -> bool {
    let leased = "SELECT journal FROM journal_state WHERE draining_until > 0";
    !story.gateway.sql("EVENTS_0", leased, &[]).is_empty()
}

#[test]
fn a_crowd_is_routed_and_rung_for_once_however_many_are_woken() {
    let story = quiet();
    post(&story, 250);
    story.gateway.slow_down("EVENTS_0", None, Duration::from_millis(50));
    story.gateway.counters(true);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| story.gateway.cron());
        }
    });
    let bells = story.gateway.counters(true)["DELIVER_0"]["messages"].as_u64();
    assert_eq!(deliveries(&story), 250);
    // 34 for the first 200, 9 for the rest; a few more where the hour has changed between them.
    assert!(bells.is_some_and(|bells| (43..=46).contains(&bells)), "{bells:?}");
    assert!(!is_leased(&story));
}

#[test]
fn who_comes_while_a_crowd_is_drained_is_seen_before_its_drain_ends() {
    let story = quiet();
    post(&story, 60);
    story.gateway.slow_down("EVENTS_0", Some("INSERT INTO events"), Duration::from_secs(5));
    thread::scope(|scope| {
        scope.spawn(|| story.gateway.cron());
        poll_until("a lease", || is_leased(&story).then_some(()));
        post(&story, 60);
        story.gateway.cron();
        assert_eq!(deliveries(&story), 0, "who finds the journal leased leaves it");
        assert!(is_leased(&story));
        story.gateway.allow("EVENTS_0");
    });
    assert_eq!(deliveries(&story), 120);
    assert!(!is_leased(&story));
}

#[test]
fn what_memory_does_not_bear_at_once_is_routed_piece_by_piece_by_one_drain() {
    let story = quiet();
    let server = Endpoint::ok();
    let heavy = [(); 2].map(|()| {
        let project = story.gateway.project();
        let source = project.open_source();
        project.route(&source, &server);
        (project, source)
    });
    let weigh = "UPDATE subscriptions SET weight = 20971520 WHERE project_id <> ?1";
    story.gateway.sql("DB", weigh, &[json!(story.uid)]);
    for body in bodies(4) {
        for (project, source) in &heavy {
            project.ingest(source, body.as_bytes()).expect(200);
        }
        story.post(&body).expect(200);
    }
    story.gateway.cron();
    let all = story.gateway.sql("EVENTS_0", "SELECT count(*) AS n FROM deliveries", &[]);
    assert_eq!(all[0]["n"], 12);
}

#[test]
fn a_drain_that_is_not_told_that_its_lease_lasts_longer_knows_it_as_its_own() {
    let story = quiet();
    // More deliveries than go together: the mark moves in mid-page.
    story.subscribe_often(30);
    post(&story, 210);
    story.gateway.lose_answer("EVENTS_0", "draining_until = CASE");
    story.gateway.cron();
    assert!(story.gateway.log().iter().any(|line| line.contains("mark_not_moved")));
    assert_eq!(deliveries(&story), 210 * 30);
    assert!(!is_leased(&story));
}

#[test]
fn a_drain_that_fails_gives_the_journal_back() {
    let story = quiet();
    post(&story, 60);
    story.gateway.refuse("EVENTS_0", Some("INSERT INTO events"));
    story.gateway.cron();
    assert!(!is_leased(&story));
    story.gateway.allow("EVENTS_0");
    story.gateway.cron();
    assert_eq!(deliveries(&story), 60);
}

/// A gateway that is killed while it drains a crowd.
fn killed(builder: Builder) -> Story {
    let mut story = Story::new(builder);
    story.gateway.refuse("INGEST_0", None);
    post(&story, 60);
    story.gateway.slow_down("EVENTS_0", Some("INSERT INTO events"), Duration::from_mins(2));
    story.gateway.allow("INGEST_0");
    story.post("{\"n\":60}").expect(200);
    poll_until("a lease", || is_leased(&story).then_some(()));
    story.gateway.kill9();
    story.gateway.restart();
    story
}

#[track_caller]
fn all_arrive_within(story: &Story, seconds: u64) {
    let all = poll_until_within(Duration::from_secs(seconds), || {
        (story.received().len() == 61).then_some(())
    });
    assert!(all.is_some(), "{} of 61", story.received().len());
    assert_eq!(story.project().stored_events().len(), 61, "each is stored once");
    assert!(!is_leased(story));
}

#[test]
fn the_lease_of_a_killed_drain_ends_by_itself() {
    let story = killed(production());
    // One sweep is enough, though it comes before the end.
    story.gateway.cron();
    assert!(is_leased(&story));
    assert_eq!(deliveries(&story), 0);
    all_arrive_within(&story, 60);
}

#[test]
fn where_there_is_one_isolate_a_lease_of_the_one_before_it_holds_up_nobody() {
    let story = killed(Gateway::builder().durability("journal").tapped());
    story.gateway.cron();
    all_arrive_within(&story, 20);
}
