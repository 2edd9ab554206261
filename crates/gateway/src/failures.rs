//! How many deliveries of endpoints failed in a time: for people to look at.

use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded::parse;

use crate::api::ApiError;
use crate::ids;
use crate::search::{Search, date};
use crate::sql::{Statement, counts_by_endpoint};

/// Endpoints that one call asks about.
const ENDPOINTS_MAX: usize = 100;
/// The time that is looked at when none is given.
const DEFAULT_MS: u64 = 7 * 86_400_000;

/// What `GET …/endpoints/period-failure-rates` asks for: `endpointId` (repeated), `startDate`, `endDate`.
#[derive(Debug, PartialEq, Eq)]
pub struct FailureRates {
    endpoints: Vec<String>,
    low: String,
    high: String,
}

/// A row of [`FailureRates::statement`].
#[derive(Debug, Deserialize)]
pub struct Count {
    endpoint_id: String,
    status: String,
    n: u64,
}

impl FailureRates {
    pub fn read(query: &str, now_ms: u64) -> Result<Self, ApiError> {
        let mut endpoints: Vec<String> = Vec::new();
        for (name, value) in parse(query.as_bytes()) {
            let is_new = !value.is_empty() && !endpoints.iter().any(|have| *have == value);
            if name == "endpointId" && is_new && endpoints.len() < ENDPOINTS_MAX {
                endpoints.push(value.into_owned());
            }
        }
        let search = Search::deliveries(query)?;
        let low = if date(query, "startDate")?.is_some() {
            search.low
        } else {
            search.low.max(ids::lowest(now_ms.saturating_sub(DEFAULT_MS)))
        };
        Ok(Self { endpoints, low, high: search.high })
    }

    pub fn statement(&self, project_id: &str) -> Statement {
        counts_by_endpoint(project_id, &self.low, &self.high, &self.endpoints)
    }

    /// One entry for each endpoint. A delivery that is retried has failed already; what has had no call yet does not count.
    pub fn present(&self, counts: &[Count]) -> Value {
        let of_endpoint = |id: &String| -> Value {
            let of_status = |status: &str| {
                let own = counts.iter().find(|one| one.endpoint_id == *id && one.status == status);
                own.map_or(0, |one| one.n)
            };
            let [success, failure, retry] = ["Success", "Failure", "Retry"].map(of_status);
            let sum = success + failure + retry;
            #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
            let rate = (0 < sum).then(|| (failure + retry) as f64 / sum as f64);
            json!({
                "uid": id, "period_failure_rate": rate, "success_count": success, "failure_count": failure,
                "retry_count": retry,
            })
        };
        self.endpoints.iter().map(of_endpoint).collect()
    }
}

/// What a delivery can be.
pub const STATUSES: [&str; 6] =
    ["Scheduled", "Processing", "Discarded", "Failure", "Success", "Retry"];

/// How many deliveries have a status: a row of [`crate::sql::count_by_status`].
#[derive(Debug, Deserialize)]
pub struct OfStatus {
    pub status: String,
    pub n: u64,
}

/// The number for each status, 0 where there are none.
pub fn totals(counts: &[OfStatus]) -> Value {
    let of = |status: &&str| {
        let n = counts.iter().find(|one| one.status == **status).map_or(0, |one| one.n);
        ((*status).to_owned(), n.into())
    };
    Value::Object(STATUSES.iter().map(of).collect())
}

/// A row of [`crate::sql::deliveries_of_endpoints`].
#[derive(Debug, Deserialize)]
pub struct Delivered {
    pub endpoint_id: String,
    pub n: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_seven_days_are_looked_at_unless_others_are_named() {
        let day = 86_400_000;
        let rates = FailureRates::read("endpointId=a&endpointId=b&endpointId=a", 10 * day).unwrap();
        assert_eq!((rates.endpoints.len(), rates.low), (2, ids::lowest(3 * day)));
        let rates = FailureRates::read("startDate=1970-01-02T00:00:00", 10 * day).unwrap();
        assert_eq!((rates.endpoints.len(), rates.low), (0, ids::lowest(day)));
        assert!(FailureRates::read("startDate=yesterday", 0).is_err());
    }

    #[test]
    fn a_retry_counts_as_a_failure_and_nothing_as_no_rate() {
        let rates = FailureRates::read("endpointId=a&endpointId=b", 0).unwrap();
        let count = |status: &str, n| Count { endpoint_id: "a".into(), status: status.into(), n };
        let shown = rates.present(&[count("Success", 5), count("Failure", 2), count("Retry", 3)]);
        assert_eq!(
            shown,
            json!([
                {"uid": "a", "period_failure_rate": 0.5, "success_count": 5, "failure_count": 2, "retry_count": 3},
                {"uid": "b", "period_failure_rate": null, "success_count": 0, "failure_count": 0, "retry_count": 0},
            ])
        );
    }
}
