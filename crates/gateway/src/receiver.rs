//! Where deliveries go, with all that decides how: an endpoint, its project, and what its subscriptions say.

use serde::Deserialize;

use crate::alert::Alert;
use crate::deliver::{Delivery, Undeliverable};
use crate::endpoint::Endpoint;
use crate::json;
use crate::pace::RateLimit;
use crate::project::Project;
use crate::retry::Strategy;
use crate::sql::Gate;

/// Seconds that a call may take which goes on beside whoever routed it: the runtime ends what is left 30 s after its invocation.
/// <https://developers.cloudflare.com/workers/runtime-apis/context/#waituntil>
const FIRST_CALL_MAX_S: u64 = 20;

/// What a subscription says about its deliveries, as it is stored: a row of [`crate::sql::paces`].
#[derive(Debug, Deserialize)]
pub struct PaceRow {
    id: String,
    retry: Option<String>,
    rate_limit: Option<String>,
    function: Option<String>,
    alert: Option<String>,
    /// Of a subscription that is deleted: whether a function made what its deliveries send.
    #[serde(default)]
    had_function: Option<u8>,
}

#[derive(Debug)]
struct Pace {
    subscription_id: String,
    retry: Option<Strategy>,
    rate_limit: Option<RateLimit>,
    function: String,
    alert: Option<Alert>,
    had_function: bool,
}

impl Pace {
    fn read(row: PaceRow) -> serde_json::Result<Self> {
        Ok(Self {
            subscription_id: row.id,
            retry: row.retry.as_deref().map(json::read).transpose()?.flatten(),
            rate_limit: row.rate_limit.as_deref().map(json::read).transpose()?.flatten(),
            function: row.function.unwrap_or_default(),
            alert: row.alert.as_deref().map(json::read).transpose()?.flatten(),
            had_function: row.had_function == Some(1),
        })
    }
}

/// What is known of a subscription: whether it has a function and, if it is deleted, whether it had one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub has_function: bool,
    pub had_function: bool,
}

/// Whether a function makes what the deliveries of a subscription send. The error says why nothing is sent for them.
pub fn is_made(subscription_id: &str, known: Option<Known>) -> Result<bool, Undeliverable> {
    match known {
        Some(Known { had_function: true, .. }) => Err(Undeliverable::FunctionGone),
        Some(Known { has_function, .. }) => Ok(has_function),
        // It was for the endpoint itself.
        None if subscription_id.is_empty() => Ok(false),
        None => Err(Undeliverable::SubscriptionUnknown),
    }
}

#[derive(Debug)]
pub struct Receiver {
    pub endpoint: Endpoint,
    pub project: Project,
    paces: Vec<Pace>,
    /// Those of subscriptions that have moved or are deleted, as far as they were looked up.
    elsewhere: Vec<Pace>,
    /// Subscriptions of which nothing could be read.
    unread: Vec<String>,
}

impl Receiver {
    pub fn new(
        endpoint: Endpoint,
        project: Project,
        rows: Vec<PaceRow>,
    ) -> serde_json::Result<Self> {
        let paces = rows.into_iter().map(Pace::read).collect::<serde_json::Result<_>>()?;
        Ok(Self { endpoint, project, paces, elsewhere: Vec::new(), unread: Vec::new() })
    }

    /// The subscriptions of deliveries that lead here no more.
    pub fn strays(&self, deliveries: &[Delivery]) -> Vec<String> {
        let all = deliveries.iter().map(|delivery| delivery.subscription_id.as_str());
        let mut strays: Vec<String> =
            all.filter(|id| !id.is_empty() && self.pace(id).is_none()).map(str::to_owned).collect();
        strays.sort_unstable();
        strays.dedup();
        strays
    }

    /// Takes what was found of them: rows of [`crate::sql::paces_of`].
    pub fn learn(&mut self, rows: Vec<PaceRow>) -> serde_json::Result<()> {
        self.elsewhere = rows.into_iter().map(Pace::read).collect::<serde_json::Result<_>>()?;
        Ok(())
    }

    /// Notes that nothing can be read of these: their deliveries wait.
    pub fn give_up_on(&mut self, strays: Vec<String>) {
        self.unread = strays;
    }

    fn pace(&self, subscription_id: &str) -> Option<&Pace> {
        let mut all = self.paces.iter().chain(&self.elsewhere);
        all.find(|pace| pace.subscription_id == subscription_id)
    }

    /// How a delivery of this subscription is retried.
    pub fn strategy(&self, subscription_id: &str) -> &Strategy {
        let own = self.pace(subscription_id).and_then(|pace| pace.retry.as_ref());
        own.unwrap_or(&self.project.config.strategy)
    }

    /// What makes the body of a delivery of this subscription, if something does; or why there is none to be made.
    pub fn function(&self, subscription_id: &str) -> Result<Option<&str>, Undeliverable> {
        if self.unread.iter().any(|id| id == subscription_id) {
            return Err(Undeliverable::NotMade("what the delivery's subscription says"));
        }
        let pace = self.pace(subscription_id);
        let known = pace.map(|pace| Known {
            has_function: !pace.function.is_empty(),
            had_function: pace.had_function,
        });
        let is_made = is_made(subscription_id, known)?;
        Ok(pace.filter(|_| is_made).map(|pace| pace.function.as_str()))
    }

    /// When the project is told that deliveries of this subscription fail.
    pub fn alert(&self, subscription_id: &str) -> Option<&Alert> {
        self.pace(subscription_id)?.alert.as_ref()
    }

    /// Whether whoever routes a delivery may call: there are no rate limits to look at (its breaker is looked at where it is leased),
    /// and the call ends while the runtime lets it go on beside its invocation.
    pub fn may_be_called_at_once(&self) -> bool {
        let endpoint = &self.endpoint;
        let needs_token = endpoint.authentication.as_ref().is_some_and(|one| one.oauth2.is_some());
        endpoint.not_active().is_none()
            && self.gates().is_empty()
            && endpoint.http_timeout <= FIRST_CALL_MAX_S
            && !needs_token
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
        assert!(to.function("own").unwrap().is_some());
        assert_eq!((to.function("plain"), to.function("")), (Ok(None), Ok(None)));
        assert!(to.alert("own").is_none());
        let gates: Vec<(String, bool, u64)> = to
            .gates()
            .into_iter()
            .map(|gate| (gate.id, gate.is_subscription, gate.limit.count))
            .collect();
        assert_eq!(gates, [(to.endpoint.uid.clone(), false, 9), ("own".into(), true, 2)]);
    }

    #[test]
    fn only_what_is_quick_and_has_nothing_to_wait_for_is_called_at_once() {
        let with = |change: &dyn Fn(&mut Receiver)| {
            let mut to = receiver(json!([])).unwrap();
            to.endpoint.rate_limit = None;
            change(&mut to);
            to.may_be_called_at_once()
        };
        assert!(with(&|_| ()));
        let limit = RateLimit { count: 1, duration_s: 1 };
        assert!(!with(&|to| to.endpoint.rate_limit = Some(limit)));
        assert!(!with(&|to| to.endpoint.status = crate::endpoint::Status::Paused));
        let timeout = |seconds| with(&move |to| to.endpoint.http_timeout = seconds);
        assert_eq!([20, 21].map(timeout), [true, false]);
    }

    #[test]
    fn what_a_subscription_says_that_has_moved_or_is_deleted_is_learnt() {
        let of = |subscription: &str| -> Delivery {
            serde_json::from_value(json!({"project_id": "p", "id": "d", "event_id": "e", "subscription_id": subscription,
                "endpoint_id": "x", "source_id": "", "event_type": "t", "delivery_mode": "at_least_once", "status": "Processing",
                "description": "", "attempts": 0, "attempt": null, "due_at": null, "created_at": 0, "updated_at": 0, "replay": null}))
            .unwrap()
        };
        let mut to = receiver(json!([row("here", &Value::Null, &Value::Null, "")])).unwrap();
        let deliveries = ["here", "", "gone", "moved", "gone", "plain"].map(of);
        assert_eq!(to.strays(&deliveries), ["gone", "moved", "plain"]);
        let retry = json!({"type": "linear", "duration": 7, "retry_count": 3});
        let limit = json!({"count": 2, "duration_s": 5});
        let mut gone = row("gone", &retry, &Value::Null, "");
        gone["had_function"] = json!(1);
        let found = json!([gone, row("moved", &Value::Null, &limit, "code")]);
        to.learn(serde_json::from_value(found).unwrap()).unwrap();
        assert_eq!(to.function("gone"), Err(Undeliverable::FunctionGone));
        assert_eq!(to.function("moved"), Ok(Some("code")));
        assert_eq!(to.function("plain"), Err(Undeliverable::SubscriptionUnknown));
        assert_eq!(to.strategy("gone").duration, 7);
        assert_eq!(to.gates().len(), 1, "a limit is for where its subscription leads to");

        to.give_up_on(vec!["plain".into()]);
        assert!(matches!(to.function("plain"), Err(Undeliverable::NotMade(_))));
        assert_eq!(to.function("here"), Ok(None));
    }

    #[test]
    fn nothing_is_sent_for_a_deleted_subscription_in_another_form_than_was_agreed() {
        let known = |has_function, had_function| Some(Known { has_function, had_function });
        for (id, known, expect) in [
            ("", None, Ok(false)),
            ("s", None, Err(Undeliverable::SubscriptionUnknown)),
            ("s", known(false, false), Ok(false)),
            ("s", known(true, false), Ok(true)),
            ("s", known(false, true), Err(Undeliverable::FunctionGone)),
        ] {
            assert_eq!(is_made(id, known), expect, "{id:?} {known:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        assert!(
            receiver(json!([row("own", &json!({"type": "never"}), &Value::Null, "")])).is_err()
        );
    }
}
