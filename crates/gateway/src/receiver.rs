//! Where deliveries go, with all that decides how: an endpoint, its project, and what its subscriptions say.

use serde::Deserialize;

use crate::alert::Alert;
use crate::endpoint::Endpoint;
use crate::json;
use crate::pace::RateLimit;
use crate::project::Project;
use crate::retry::Strategy;
use crate::sql::Gate;

/// What a subscription says about its deliveries, as it is stored: a row of [`crate::sql::paces`].
#[derive(Debug, Deserialize)]
pub struct PaceRow {
    id: String,
    retry: Option<String>,
    rate_limit: Option<String>,
    function: Option<String>,
    alert: Option<String>,
}

#[derive(Debug)]
struct Pace {
    subscription_id: String,
    retry: Option<Strategy>,
    rate_limit: Option<RateLimit>,
    function: String,
    alert: Option<Alert>,
}

#[derive(Debug)]
pub struct Receiver {
    pub endpoint: Endpoint,
    pub project: Project,
    paces: Vec<Pace>,
}

impl Receiver {
    pub fn new(
        endpoint: Endpoint,
        project: Project,
        rows: Vec<PaceRow>,
    ) -> serde_json::Result<Self> {
        let mut paces = Vec::with_capacity(rows.len());
        for row in rows {
            paces.push(Pace {
                subscription_id: row.id,
                retry: row.retry.as_deref().map(json::read).transpose()?.flatten(),
                rate_limit: row.rate_limit.as_deref().map(json::read).transpose()?.flatten(),
                function: row.function.unwrap_or_default(),
                alert: row.alert.as_deref().map(json::read).transpose()?.flatten(),
            });
        }
        Ok(Self { endpoint, project, paces })
    }

    fn pace(&self, subscription_id: &str) -> Option<&Pace> {
        self.paces.iter().find(|pace| pace.subscription_id == subscription_id)
    }

    /// How a delivery of this subscription is retried.
    pub fn strategy(&self, subscription_id: &str) -> &Strategy {
        let own = self.pace(subscription_id).and_then(|pace| pace.retry.as_ref());
        own.unwrap_or(&self.project.config.strategy)
    }

    /// What makes the body of a delivery of this subscription, if something does.
    pub fn function(&self, subscription_id: &str) -> Option<&str> {
        let own = self.pace(subscription_id)?.function.as_str();
        (!own.is_empty()).then_some(own)
    }

    /// When the project is told that deliveries of this subscription fail.
    pub fn alert(&self, subscription_id: &str) -> Option<&Alert> {
        self.pace(subscription_id)?.alert.as_ref()
    }

    /// The rate limits that its deliveries have to pass: the endpoint's for all, a subscription's for its own.
    pub fn gates(&self) -> Vec<Gate> {
        let of_endpoint = self.endpoint.rate_limit.map(|limit| Gate {
            id: self.endpoint.uid.clone(),
            is_subscription: false,
            limit,
        });
        let of_subscriptions = self.paces.iter().filter_map(|pace| {
            let id = pace.subscription_id.clone();
            pace.rate_limit.map(|limit| Gate { id, is_subscription: true, limit })
        });
        of_endpoint.into_iter().chain(of_subscriptions).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::parse;
    use crate::vault::Vault;

    fn receiver(rows: Value) -> serde_json::Result<Receiver> {
        let vault = Vault::new("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
        let input = parse(br#"{"name":"a","url":"https://example.com/"}"#).unwrap();
        let (mut endpoint, _) =
            Endpoint::create(input, "p", false, &vault, 0, &mut |b| b.fill(5)).unwrap();
        endpoint.rate_limit = Some(RateLimit { count: 9, duration_s: 1 });
        let input = parse(br#"{"name":"p","type":"incoming"}"#).unwrap();
        let project = Project::create(input, 0, 0, &mut |b| b.fill(6)).unwrap();
        Receiver::new(endpoint, project, serde_json::from_value(rows).unwrap())
    }

    fn row(id: &str, retry: &Value, rate_limit: &Value, function: &str) -> Value {
        json!({"id": id, "retry": retry.to_string(), "rate_limit": rate_limit.to_string(), "function": function, "alert": null})
    }

    #[test]
    fn what_a_subscription_says_is_for_its_own_deliveries() {
        let retry = json!({"type": "linear", "duration": 7, "retry_count": 3});
        let to = receiver(json!([
            row(
                "own",
                &retry,
                &json!({"count": 2, "duration_s": 5}),
                "function transform(x) { return x }"
            ),
            row("plain", &Value::Null, &Value::Null, ""),
        ]))
        .unwrap();
        assert_eq!(to.strategy("own").duration, 7);
        assert_eq!(to.strategy("plain"), &to.project.config.strategy);
        assert_eq!(to.strategy("other"), &to.project.config.strategy);
        assert!(to.function("own").is_some());
        assert_eq!((to.function("plain"), to.function("")), (None, None));
        assert!(to.alert("own").is_none());
        let gates: Vec<(String, bool, u64)> = to
            .gates()
            .into_iter()
            .map(|gate| (gate.id, gate.is_subscription, gate.limit.count))
            .collect();
        assert_eq!(gates, [(to.endpoint.uid.clone(), false, 9), ("own".into(), true, 2)]);
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        assert!(
            receiver(json!([row("own", &json!({"type": "never"}), &Value::Null, "")])).is_err()
        );
    }
}
