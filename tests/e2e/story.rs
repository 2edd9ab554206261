//! A gateway of its own with one way through it, for tests that damage it.

use std::collections::BTreeSet;
use std::time::Duration;

use inlet_tests::{Builder, Endpoint, Gateway, Project, Reply, poll_until_within};
use serde_json::{Value, json};

/// A gateway of its own with a project, an open source, and an endpoint that it goes to.
pub(crate) struct Story {
    pub(crate) gateway: Gateway,
    pub(crate) uid: String,
    pub(crate) key: String,
    pub(crate) source: Value,
    pub(crate) endpoint: Endpoint,
}

impl Story {
    #[track_caller]
    pub(crate) fn new(builder: Builder) -> Self {
        let gateway = builder.var("SWEEP_AFTER_SECONDS", "2").start();
        let endpoint = Endpoint::ok();
        let (uid, key, source) = {
            let project = gateway.project();
            let source = project.open_source();
            project.route(&source, &endpoint);
            (project.uid.clone(), project.key.clone(), source)
        };
        Self { gateway, uid, key, source, endpoint }
    }

    pub(crate) fn project(&self) -> Project<'_> {
        Project { gateway: &self.gateway, uid: self.uid.clone(), key: self.key.clone() }
    }

    pub(crate) fn post(&self, body: impl AsRef<[u8]>) -> Reply {
        self.project().ingest(&self.source, body.as_ref())
    }

    /// Makes the one subscription into so many.
    pub(crate) fn subscribe_often(&self, count: u64) {
        let copies = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?2 - 1) \
            INSERT INTO subscriptions (project_id, id, name, source_id, endpoint_id, doc) \
            SELECT project_id, printf('7%025d', n), name, source_id, endpoint_id, json_set(doc, '$.uid', printf('7%025d', n)) \
            FROM subscriptions, n WHERE project_id = ?1";
        self.gateway.sql("DB", copies, &[json!(self.uid), json!(count)]);
    }

    /// The bodies that have arrived.
    pub(crate) fn received(&self) -> BTreeSet<Vec<u8>> {
        self.endpoint.received().into_iter().map(|received| received.body).collect()
    }

    /// Waits until these bodies have all arrived, with the cron ringing: longer than a dispatcher that
    /// was killed holds its lease.
    #[track_caller]
    pub(crate) fn wait_for_bodies(&self, bodies: &[impl AsRef<[u8]>]) {
        let mut missing = Vec::new();
        let arrived = poll_until_within(Duration::from_secs(150), || {
            self.gateway.cron();
            let received = self.received();
            missing = bodies.iter().filter(|body| !received.contains(body.as_ref())).collect();
            missing.is_empty().then_some(())
        });
        assert!(arrived.is_some(), "{} of {} are missing", missing.len(), bodies.len());
    }
}

pub(crate) fn bodies(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{{\"n\":{number}}}")).collect()
}
