//! Failures of subscriptions that ask to be told of them.

use super::{Leased, Statement, statement};

/// Counts a failed attempt while its delivery is leased, before it is recorded, and says how many there were in the
/// subscription's time, as `failures`. Of an attempt that somebody else has taken over there is no row.
pub fn count_failure(
    leased: Leased<'_>,
    subscription_id: &str,
    window_ms: u64,
    now_ms: u64,
) -> Statement {
    statement(
        "INSERT INTO alerts (project_id, subscription_id, started_at, failures) SELECT ?1, ?2, ?3, 1 WHERE EXISTS (\
         SELECT 1 FROM deliveries AS d WHERE d.project_id = ?1 AND d.id = ?5 AND d.lease_until = ?6) \
         ON CONFLICT (project_id, subscription_id) DO UPDATE SET \
         failures = CASE WHEN started_at + ?4 <= ?3 THEN 1 ELSE failures + 1 END, \
         started_at = CASE WHEN started_at + ?4 <= ?3 THEN ?3 ELSE started_at END RETURNING failures",
        [
            leased.project_id.into(),
            subscription_id.into(),
            now_ms.into(),
            window_ms.into(),
            leased.delivery_id.into(),
            leased.until.into(),
        ],
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sql::tests::{database, run};

    #[test]
    fn failures_are_counted_in_their_time_and_then_anew() {
        let db = database();
        leased_until(&db, 50);
        let counted = |subscription: &str, at: u64| {
            let leased = Leased { project_id: "p", delivery_id: "d", until: 50 };
            run(&db, &count_failure(leased, subscription, 1_000, at)).remove(0)["failures"].clone()
        };
        let all: Vec<_> = [0, 500, 999, 1_000, 1_999].map(|at| counted("s", at)).to_vec();
        assert_eq!(json!(all), json!([1, 2, 3, 1, 2]));
        assert_eq!(counted("other", 1_999), 1);
    }

    #[test]
    fn who_has_lost_the_lease_counts_nothing() {
        let db = database();
        leased_until(&db, 50);
        let counted = |until: u64| {
            let leased = Leased { project_id: "p", delivery_id: "d", until };
            run(&db, &count_failure(leased, "s", 1_000, 1)).pop().map(|row| row["failures"].clone())
        };
        assert_eq!(counted(49), None, "another has leased it since");
        assert_eq!(counted(50), Some(json!(1)));
        // Recorded: the same once more, because the answer got lost, finds no lease.
        run(&db, &statement("UPDATE deliveries SET lease_until = NULL", []));
        assert_eq!(counted(50), None);
    }

    fn leased_until(db: &rusqlite::Connection, until: u64) {
        let sql = "INSERT INTO deliveries (project_id, id, event_id, subscription_id, endpoint_id, source_id, event_type, \
            delivery_mode, status, created_at, updated_at, lease_until) \
            VALUES ('p', 'd', 'e', 's', 'e', 's', 't', 'at_least_once', 'Processing', 0, 0, ?1)";
        run(db, &statement(sql, [until.into()]));
    }
}
