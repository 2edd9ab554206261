//! Counting what became of deliveries.

use serde_json::json;

use super::{Statement, statement};

/// How many of the newest 50,000 deliveries with ids from `low` to `high` succeeded, failed, or are retried, as `endpoint_id`,
/// `status` and `n`.
pub fn counts_by_endpoint(
    project_id: &str,
    low: &str,
    high: &str,
    endpoints: &[String],
) -> Statement {
    statement(
        "SELECT endpoint_id, status, count(*) AS n FROM (SELECT endpoint_id, status FROM deliveries \
         WHERE project_id = ?1 AND id >= ?2 AND id <= ?3 ORDER BY id DESC LIMIT 50000) \
         WHERE endpoint_id IN (SELECT value FROM json_each(?4)) AND status IN ('Success', 'Failure', 'Retry') \
         GROUP BY endpoint_id, status",
        [project_id.into(), low.into(), high.into(), json!(endpoints).into()],
    )
}

/// Deliveries of a project, the newest, that are looked at to say how many an endpoint has had.
const COUNTED_ROWS: u64 = 5_000;

/// How many of the newest 5,000 deliveries of a project went to these endpoints, as `endpoint_id` and `n`.
pub fn deliveries_of_endpoints(project_id: &str, endpoints: &[&str]) -> Statement {
    Statement {
        sql: format!(
            "SELECT endpoint_id, count(*) AS n FROM (SELECT endpoint_id FROM deliveries \
             WHERE project_id = ?1 ORDER BY id DESC LIMIT {COUNTED_ROWS}) \
             WHERE endpoint_id IN (SELECT value FROM json_each(?2)) GROUP BY endpoint_id"
        ),
        params: vec![project_id.into(), json!(endpoints).into()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::tests::{database, run};

    #[test]
    fn deliveries_are_counted_by_endpoint_and_status_in_their_time() {
        let db = database();
        for (project, id, endpoint, status) in [
            ("p", "1", "a", "Success"),
            ("p", "2", "a", "Success"),
            ("p", "3", "a", "Retry"),
            ("p", "4", "a", "Scheduled"),
            ("p", "5", "b", "Failure"),
            ("q", "2", "a", "Failure"),
        ] {
            let sql = "INSERT INTO deliveries (project_id, id, event_id, subscription_id, endpoint_id, source_id, event_type, \
                delivery_mode, status, created_at, updated_at) VALUES (?1, ?2, '', '', ?3, '', '', '', ?4, 0, 0)";
            run(&db, &statement(sql, [project, id, endpoint, status].map(Into::into)));
        }
        let all = run(&db, &deliveries_of_endpoints("p", &["a", "c"]));
        assert_eq!(json!(all), json!([{"endpoint_id": "a", "n": 4}]));
        let rows = run(&db, &counts_by_endpoint("p", "2", "9", &["a".to_owned()]));
        assert_eq!(
            json!(rows),
            json!([{"endpoint_id": "a", "status": "Retry", "n": 1}, {"endpoint_id": "a", "status": "Success", "n": 1}])
        );
    }
}
