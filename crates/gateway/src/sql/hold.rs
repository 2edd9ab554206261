//! What holds a delivery back although it is due: rate limits, circuit breakers, and endpoints that are not active.
//!
//! All of it is decided by the database, in the transaction that takes the lease: isolates know nothing of each other.

use serde_json::{Value, json};

use super::{Param, Statement, statement};
use crate::breaker::{BreakerConfig, Outcome, TRIALS};
use crate::deliver::{EARLY_MS, Undeliverable};
use crate::pace::RateLimit;

/// The description of a delivery that waits for room under a rate limit.
pub const HELD_BY_LIMIT: &str = "waits for room under a rate limit";
/// The description of a delivery that waits for a circuit breaker.
pub const HELD_BY_BREAKER: &str = "waits for the circuit breaker of the endpoint";
/// How long a delivery of an endpoint that is not active waits before somebody looks, should its activation have missed it.
const HELD_LOOK_MS: u64 = 3_600_000;
/// What is added to the `look_at` of such a delivery: in the one index all others stand before it, however many of them there are.
pub(super) const BEHIND_MS: u64 = 1_000_000_000_000_000;
/// Deliveries that one [`release`] lets go.
pub const RELEASE_ROWS: usize = 1_000;

/// The deliveries in `?1`, pairs of project and delivery.
pub(super) fn among(table: &str) -> String {
    format!(
        "({table}.project_id, {table}.id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1))"
    )
}

/// Whether a dispatcher could take a delivery at `?2`. What is held has a time to the millisecond; a retry may come a little
/// early.
pub(super) fn is_due(table: &str) -> String {
    format!(
        "{table}.status IN ('Scheduled', 'Retry') \
         AND coalesce({table}.due_at, 0) <= ?2 + CASE WHEN {table}.hold IS NULL THEN {EARLY_MS} ELSE 0 END"
    )
}

/// Whether a delivery was in the hands of a dispatcher that died before `?2`.
pub(super) fn is_left(table: &str) -> String {
    format!("{table}.status = 'Processing' AND coalesce({table}.lease_until, 0) < ?2")
}

/// Whether a delivery waits for its first attempt, or is in the hands of somebody, and the sweep has no eye on it.
pub(super) fn is_unwatched(table: &str) -> String {
    format!("{table}.status IN ('Scheduled', 'Processing') AND {table}.look_at IS NULL")
}

/// Whether no breaker keeps a delivery back.
pub(super) fn is_free(table: &str) -> String {
    is_free_of(&format!("{table}.project_id"), &format!("{table}.endpoint_id"))
}

/// Whether no breaker keeps back the deliveries of this project to this endpoint; both are SQL expressions.
pub(super) fn is_free_of(project: &str, endpoint: &str) -> String {
    format!(
        "NOT EXISTS (SELECT 1 FROM breakers AS b WHERE b.project_id = {project} \
         AND b.endpoint_id = {endpoint} AND b.state <> 'closed')"
    )
}

/// A rate limit that deliveries of one endpoint have to pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// The endpoint or the subscription that has the limit.
    pub id: String,
    /// Whether it is a subscription, and so only for some of the deliveries.
    pub is_subscription: bool,
    pub limit: RateLimit,
}

/// Lets deliveries (`ids`: pairs of project and delivery, of one project) through gates. Each is given a place in a window of
/// every gate, in the order of their ids. The second statement gives back those whose window has not begun: they wait until then, and
/// keep their place. `guarded`: those of an open breaker do not ask.
///
/// A gate is one row, and windows come one after the other: the first call after a pause begins one, and when it is full the next begins
/// where it ends. So the row holds all places that were ever given, in two numbers.
pub fn pass_gates(
    ids: &Value,
    project_id: &str,
    gates: &[Gate],
    guarded: bool,
    now_ms: u64,
    sweep_after_ms: u64,
) -> Vec<Statement> {
    let rows: Vec<Value> = gates
        .iter()
        .map(|gate| {
            let only = gate.is_subscription.then_some(&gate.id);
            json!([gate.id, only, gate.limit.count, gate.limit.duration_s.saturating_mul(1000)])
        })
        .collect();
    let rows = Value::from(rows);
    // What has been given a place already does not ask again.
    let mut asks =
        format!("{} AND {} AND coalesce(d.hold, '') <> 'limit'", among("d"), is_due("d"));
    if guarded {
        asks.push_str(" AND ");
        asks.push_str(&is_free("d"));
    }
    let start = "CASE WHEN gates.start + excluded.span <= ?2 THEN ?2 ELSE gates.start END";
    let used = "CASE WHEN gates.start + excluded.span <= ?2 THEN 0 ELSE gates.used END";
    let last = format!("({used} + excluded.asked - 1)");
    let ask = format!(
        "INSERT INTO gates (project_id, gate, start, used, from_start, from_used, asked, size, span) \
         SELECT ?3, gate, ?2 + (asked - 1) / size * span, (asked - 1) % size + 1, ?2, 0, asked, size, span FROM (\
         SELECT g.value ->> 0 AS gate, g.value ->> 2 AS size, g.value ->> 3 AS span, (SELECT count(*) FROM deliveries AS d \
         WHERE {asks} AND (g.value ->> 1 IS NULL OR d.subscription_id = g.value ->> 1)) AS asked FROM json_each(?4) AS g) \
         WHERE asked > 0 ON CONFLICT (project_id, gate) DO UPDATE SET \
         from_start = {start}, from_used = {used}, asked = excluded.asked, size = excluded.size, span = excluded.span, \
         start = {start} + {last} / excluded.size * excluded.span, used = {last} % excluded.size + 1"
    );
    let wait = format!(
        "UPDATE deliveries SET hold = 'limit', due_at = s.slot, look_at = s.slot + ?5, updated_at = ?2, \
         description = '{HELD_BY_LIMIT}' FROM (SELECT project_id, id, max(slot) AS slot FROM (\
         SELECT d.project_id AS project_id, d.id AS id, t.from_start + \
         (t.from_used + row_number() OVER (PARTITION BY t.gate ORDER BY d.id) - 1) / t.size * t.span AS slot \
         FROM deliveries AS d JOIN json_each(?4) AS g ON (g.value ->> 1 IS NULL OR d.subscription_id = g.value ->> 1) \
         JOIN gates AS t ON t.project_id = ?3 AND t.gate = g.value ->> 0 WHERE {asks}) GROUP BY project_id, id) AS s \
         WHERE deliveries.project_id = s.project_id AND deliveries.id = s.id AND s.slot > ?2 \
         RETURNING project_id, id, endpoint_id, due_at"
    );
    let params = || vec![ids.clone().into(), now_ms.into(), project_id.into(), rows.clone().into()];
    let mut wait_params: Vec<Param> = params();
    wait_params.push(sweep_after_ms.into());
    vec![Statement { sql: ask, params: params() }, Statement { sql: wait, params: wait_params }]
}

/// Holds back the deliveries of an endpoint that is not active: its activation releases them. What was in the hands of a
/// dispatcher that died is not forgotten.
pub fn hold_for_endpoint(ids: Value, why: &str, now_ms: u64) -> Statement {
    let (among, due, left) = (among("deliveries"), is_due("deliveries"), is_left("deliveries"));
    // It was to be called at most once, and nobody knows whether it was.
    let lost = "status = 'Processing' AND delivery_mode = 'at_most_once'";
    Statement {
        sql: format!(
            "UPDATE deliveries SET hold = CASE WHEN {lost} THEN NULL ELSE 'endpoint' END, \
             look_at = CASE WHEN {lost} THEN NULL ELSE ?4 END, description = CASE WHEN {lost} THEN ?5 ELSE ?3 END, \
             status = CASE WHEN {lost} THEN 'Failure' WHEN status = 'Processing' THEN 'Retry' ELSE status END, \
             due_at = NULL, lease_until = NULL, updated_at = ?2 WHERE {among} AND (({due}) OR ({left}))"
        ),
        params: vec![
            ids.into(),
            now_ms.into(),
            why.into(),
            now_ms.saturating_add(HELD_LOOK_MS + BEHIND_MS).into(),
            Undeliverable::Interrupted.to_string().into(),
        ],
    }
}

/// What deliveries end with whose endpoint is gone.
const ENDS: &str = "status = 'Discarded', description = ?3, hold = NULL, due_at = NULL, look_at = NULL, updated_at = ?2";

/// Ends those of `ids` (pairs of project and delivery) that a dispatcher could take, because their endpoint is gone; they come back,
/// as `id`.
pub fn end(ids: Value, now_ms: u64) -> Statement {
    let (among, due) = (among("deliveries"), is_due("deliveries"));
    Statement {
        sql: format!("UPDATE deliveries SET {ENDS} WHERE {among} AND {due} RETURNING id"),
        params: vec![ids.into(), now_ms.into(), Undeliverable::EndpointGone.to_string().into()],
    }
}

/// Ends deliveries of an endpoint that is gone, of those that were held back for it; they come back, as `id`.
pub fn end_held(project_id: &str, endpoint_id: &str, now_ms: u64) -> Statement {
    Statement {
        sql: format!(
            "UPDATE deliveries SET {ENDS} WHERE (project_id, id) IN (\
             SELECT project_id, id FROM deliveries INDEXED BY deliveries_held \
             WHERE project_id = ?1 AND endpoint_id = ?4 AND hold IS NOT NULL LIMIT {RELEASE_ROWS}) RETURNING id"
        ),
        params: vec![
            project_id.into(),
            now_ms.into(),
            Undeliverable::EndpointGone.to_string().into(),
            endpoint_id.into(),
        ],
    }
}

/// Which deliveries of an endpoint are let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// What its breaker holds back. What waits for room under a rate limit has its place, and keeps it.
    OfBreaker,
    /// What waits until it is active.
    OfEndpoint,
    /// Whatever waits: after the gates were forgotten, because those that have a place ask for another.
    All,
}

/// Lets the oldest deliveries go that are held back, of those whose ids come after `after`; those come back. What was let go before may
/// have been given another place meanwhile, and keeps it.
pub fn release(
    project_id: &str,
    endpoint_id: &str,
    (which, after): (Release, &str),
    now_ms: u64,
    sweep_after_ms: u64,
) -> Statement {
    let held = match which {
        Release::OfBreaker => "hold = 'breaker'",
        Release::OfEndpoint => "hold = 'endpoint'",
        Release::All => "hold IS NOT NULL",
    };
    Statement {
        sql: format!(
            "UPDATE deliveries SET hold = NULL, due_at = ?3, look_at = ?4, updated_at = ?3, description = '' \
             WHERE (project_id, id) IN (SELECT project_id, id FROM deliveries INDEXED BY deliveries_held \
             WHERE project_id = ?1 AND endpoint_id = ?2 AND id > ?5 AND {held} ORDER BY id LIMIT {RELEASE_ROWS}) \
             RETURNING project_id, id, endpoint_id"
        ),
        params: vec![
            project_id.into(),
            endpoint_id.into(),
            now_ms.into(),
            now_ms.saturating_add(sweep_after_ms).into(),
            after.into(),
        ],
    }
}

/// Forgets the places that were given under these limits, and under all that deliveries of the endpoint have passed or wait
/// for: what is released asks again, and would otherwise stand behind the place that was its own.
pub fn forget_gates(project_id: &str, endpoint_id: &str, gates: &[&str]) -> Statement {
    statement(
        "DELETE FROM gates WHERE project_id = ?1 AND (gate = ?2 OR gate IN (SELECT value FROM json_each(?3)) \
         OR gate IN (SELECT subscription_id FROM deliveries INDEXED BY deliveries_held \
         WHERE project_id = ?1 AND endpoint_id = ?2 AND hold IS NOT NULL))",
        [project_id.into(), endpoint_id.into(), json!(gates).into()],
    )
}

// --- Circuit breakers ---

const BREAKER_COLUMNS: &str =
    "endpoint_id, state, since, reason, next_try, window_start, ok, failed, trips";

/// The breakers of endpoints, where there are any.
pub fn breakers(project_id: &str, endpoints: &[&str]) -> Statement {
    Statement {
        sql: format!(
            "SELECT {BREAKER_COLUMNS} FROM breakers WHERE project_id = ?1 AND endpoint_id IN (SELECT value FROM json_each(?2))"
        ),
        params: vec![project_id.into(), json!(endpoints).into()],
    }
}

/// Closes a breaker and forgets what it has counted.
pub fn reset_breaker(project_id: &str, endpoint_id: &str) -> Statement {
    statement(
        "DELETE FROM breakers WHERE project_id = ?1 AND endpoint_id = ?2",
        [project_id.into(), endpoint_id.into()],
    )
}

/// The deliveries of an endpoint whose breaker is not closed: a few of them may try it when its time has come, and the others
/// are held back, which the second statement gives back.
pub fn face_breaker(
    ids: &Value,
    project_id: &str,
    endpoint_id: &str,
    config: &BreakerConfig,
    now_ms: u64,
    sweep_after_ms: u64,
) -> Vec<Statement> {
    let due = format!("{} AND {}", among("d"), is_due("d"));
    let params = |last: Option<u64>| -> Vec<Param> {
        let mut params: Vec<Param> =
            vec![ids.clone().into(), now_ms.into(), project_id.into(), endpoint_id.into()];
        params.extend(last.map(Param::from));
        params
    };
    let own = "project_id = ?3 AND endpoint_id = ?4";
    vec![
        Statement {
            sql: format!(
                "UPDATE breakers SET since = CASE state WHEN 'open' THEN ?2 ELSE since END, \
                 ok = CASE state WHEN 'open' THEN 0 ELSE ok END, failed = CASE state WHEN 'open' THEN 0 ELSE failed END, \
                 state = 'half-open', trials = {TRIALS}, next_try = ?2 + ?5 \
                 WHERE {own} AND state <> 'closed' AND next_try <= ?2"
            ),
            params: params(Some(config.sample_rate.saturating_mul(1000))),
        },
        Statement {
            sql: format!(
                "UPDATE deliveries SET hold = 'breaker', due_at = s.next_try, look_at = s.next_try + ?5, updated_at = ?2, \
                 description = '{HELD_BY_BREAKER}' FROM (SELECT c.project_id AS project_id, c.id AS id, b.next_try AS next_try \
                 FROM (SELECT d.project_id AS project_id, d.id AS id, row_number() OVER (ORDER BY d.id) AS n \
                 FROM deliveries AS d WHERE {due}) AS c JOIN breakers AS b ON b.project_id = ?3 AND b.endpoint_id = ?4 \
                 WHERE b.state <> 'closed' AND c.n > CASE b.state WHEN 'open' THEN 0 ELSE b.trials END) AS s \
                 WHERE deliveries.project_id = s.project_id AND deliveries.id = s.id \
                 RETURNING project_id, id, endpoint_id, due_at"
            ),
            params: params(Some(sweep_after_ms)),
        },
        Statement {
            sql: format!(
                "UPDATE breakers SET trials = max(0, trials - (SELECT count(*) FROM deliveries AS d WHERE {due})) \
                 WHERE {own} AND state = 'half-open' AND trials > 0"
            ),
            params: params(None),
        },
    ]
}

/// A delivery in the hands of a dispatcher, until a time in Unix milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Leased<'a> {
    pub project_id: &'a str,
    pub delivery_id: &'a str,
    pub until: u64,
}

/// Counts what became of a call, while its delivery is leased: before it is recorded. A success of an endpoint that has not failed
/// lately changes nothing. The last statement gives back the breaker when it was written; `since` is `now_ms` when its state has
/// changed by it.
pub fn count_call(
    project_id: &str,
    endpoint_id: &str,
    leased: Leased<'_>,
    outcome: &Outcome,
    config: &BreakerConfig,
    now_ms: u64,
) -> Vec<Statement> {
    let (failed, last) = match outcome {
        Outcome::Success => (0u64, ""),
        Outcome::Failure(what) => (1, what.as_str()),
    };
    let mut statements = Vec::new();
    if failed == 1 {
        statements.push(statement(
            "INSERT INTO breakers (project_id, endpoint_id, state, since, reason, next_try, trials, window_start, ok, failed, \
             trips) SELECT ?1, ?2, 'closed', 0, '', 0, 0, ?3, 0, 0, 0 WHERE EXISTS (SELECT 1 FROM deliveries AS d \
             WHERE d.project_id = ?4 AND d.id = ?5 AND d.lease_until = ?6) ON CONFLICT (project_id, endpoint_id) DO NOTHING",
            [
                project_id.into(),
                endpoint_id.into(),
                now_ms.into(),
                leased.project_id.into(),
                leased.delivery_id.into(),
                leased.until.into(),
            ],
        ));
    }
    // From the inside out: the window, the counts with this call, what they lead to.
    let window = "SELECT *, state = 'closed' AND window_start + ?5 <= ?3 AS over FROM breakers \
         WHERE project_id = ?1 AND endpoint_id = ?2 AND (?4 = 1 OR state = 'half-open' \
         OR (state = 'closed' AND failed > 0 AND window_start + ?5 > ?3))";
    let counts = format!(
        "SELECT *, CASE over WHEN 1 THEN 0 ELSE failed END + CAST(?4 AS INTEGER) AS f, \
         CASE over WHEN 1 THEN 0 ELSE ok END + 1 - CAST(?4 AS INTEGER) AS o \
         FROM ({window})"
    );
    let next = format!(
        "SELECT *, CASE state \
         WHEN 'closed' THEN CASE WHEN ?4 = 1 AND f + o >= ?6 AND f * 100 >= ?7 * (f + o) THEN 'open' ELSE 'closed' END \
         WHEN 'half-open' THEN CASE WHEN o > 0 AND o * 100 >= ?8 * (f + o) THEN 'closed' \
         WHEN f + o >= {TRIALS} OR (f > 0 AND ?8 * {TRIALS} > ({TRIALS} - f) * 100) THEN 'open' ELSE 'half-open' END \
         ELSE 'open' END AS becomes FROM ({counts})"
    );
    // Counting ends early when enough calls have shown that all is well.
    let clear = "n.becomes = 'closed' AND (n.state <> 'closed' OR (n.f + n.o >= ?6 AND n.f * 200 < ?7 * (n.f + n.o)))";
    let opens = "n.becomes = 'open' AND n.state <> 'open'";
    let sql = format!(
        "UPDATE breakers SET state = n.becomes, since = CASE WHEN n.becomes <> n.state THEN ?3 ELSE n.since END, \
         failed = CASE WHEN {clear} THEN 0 WHEN n.state = 'open' THEN n.failed ELSE n.f END, \
         ok = CASE WHEN {clear} THEN 0 WHEN n.state = 'open' THEN n.ok ELSE n.o END, \
         window_start = CASE WHEN n.over OR n.becomes <> n.state THEN ?3 ELSE n.window_start END, \
         trips = CASE WHEN {opens} THEN n.trips + 1 WHEN n.becomes = 'closed' THEN 0 ELSE n.trips END, \
         trials = CASE WHEN n.becomes = 'half-open' THEN n.trials ELSE 0 END, \
         next_try = CASE WHEN {opens} THEN ?3 + ?9 * (1 << min(n.trips, {DOUBLINGS_MAX})) ELSE n.next_try END, \
         reason = CASE WHEN {opens} THEN n.f || ' of ' || (n.f + n.o) || ' calls failed, the last: ' || ?10 \
         WHEN n.becomes = 'closed' THEN '' ELSE n.reason END \
         FROM ({next}) AS n WHERE breakers.project_id = n.project_id AND breakers.endpoint_id = n.endpoint_id \
         AND n.state <> 'open' AND EXISTS (SELECT 1 FROM deliveries AS d \
         WHERE d.project_id = ?11 AND d.id = ?12 AND d.lease_until = ?13) RETURNING {BREAKER_COLUMNS}"
    );
    let params: Vec<Param> = vec![
        project_id.into(),
        endpoint_id.into(),
        now_ms.into(),
        failed.into(),
        config.observability_window.saturating_mul(60_000).into(),
        config.minimum_request_count.into(),
        config.failure_threshold.into(),
        config.success_threshold.into(),
        config.error_timeout.saturating_mul(1000).into(),
        last.into(),
        leased.project_id.into(),
        leased.delivery_id.into(),
        leased.until.into(),
    ];
    statements.push(Statement { sql, params });
    statements
}

/// An open breaker stays so twice as long each time that a trial has failed, up to 256 times `error_timeout`.
const DOUBLINGS_MAX: u32 = 8;

/// Takes an endpoint that is active out of use; it comes back if it was.
pub fn disable_endpoint(project_id: &str, id: &str, reason: &str, now_ms: u64) -> Statement {
    statement(
        "UPDATE endpoints SET doc = json_set(doc, '$.status', 'inactive', '$.status_reason', ?3, '$.updated_at', max(CAST(?4 AS INTEGER), (doc ->> '$.updated_at') + 1)) \
         WHERE project_id = ?1 AND id = ?2 AND doc ->> '$.status' = 'active' RETURNING id, doc",
        [project_id.into(), id.into(), reason.into(), now_ms.into()],
    )
}

/// What a subscription says about its deliveries: `id`, `function`, and `retry`, `rate_limit` and `alert` as JSON.
pub(super) const PACE_COLUMNS: &str = "id, doc -> '$.retry' AS retry, doc -> '$.rate_limit' AS rate_limit, \
    doc ->> '$.function' AS function, doc -> '$.alert' AS alert";

/// Subscriptions that say nothing about their deliveries, and are known to by who reads [`paces`]. More are looked up.
const SILENT_MAX: usize = 100;

/// What the subscriptions of an endpoint say about their deliveries. Those that say nothing are among them: a delivery of another
/// subscription is one whose subscription has moved, or is deleted ([`super::paces_of`]).
pub fn paces(project_id: &str, endpoint_id: &str) -> Statement {
    let of_endpoint = "FROM subscriptions INDEXED BY subscriptions_by_endpoint WHERE project_id = ?1 AND endpoint_id = ?2";
    let speaks = "(doc ->> '$.retry' IS NOT NULL OR doc ->> '$.rate_limit' IS NOT NULL OR coalesce(doc ->> '$.function', '') <> '' \
         OR doc ->> '$.alert' IS NOT NULL)";
    Statement {
        sql: format!(
            "SELECT {PACE_COLUMNS} {of_endpoint} AND {speaks} \
             UNION ALL SELECT * FROM (SELECT {PACE_COLUMNS} {of_endpoint} AND NOT {speaks} LIMIT {SILENT_MAX})"
        ),
        params: vec![project_id.into(), endpoint_id.into()],
    }
}

#[cfg(test)]
mod tests;
