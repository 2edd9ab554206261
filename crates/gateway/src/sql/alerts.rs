//! Failures of subscriptions that ask to be told of them.

use super::{Statement, statement};

/// Counts a failed attempt, and says how many there were in the subscription's time, as `failures`.
pub fn count_failure(
    project_id: &str,
    subscription_id: &str,
    window_ms: u64,
    now_ms: u64,
) -> Statement {
    statement(
        "INSERT INTO alerts (project_id, subscription_id, started_at, failures) VALUES (?1, ?2, ?3, 1) \
         ON CONFLICT (project_id, subscription_id) DO UPDATE SET \
         failures = CASE WHEN started_at + ?4 <= ?3 THEN 1 ELSE failures + 1 END, \
         started_at = CASE WHEN started_at + ?4 <= ?3 THEN ?3 ELSE started_at END RETURNING failures",
        [project_id.into(), subscription_id.into(), now_ms.into(), window_ms.into()],
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
        let counted = |subscription: &str, at: u64| {
            run(&db, &count_failure("p", subscription, 1_000, at)).remove(0)["failures"].clone()
        };
        let all: Vec<_> = [0, 500, 999, 1_000, 1_999].map(|at| counted("s", at)).to_vec();
        assert_eq!(json!(all), json!([1, 2, 3, 1, 2]));
        assert_eq!(counted("other", 1_999), 1);
    }
}
