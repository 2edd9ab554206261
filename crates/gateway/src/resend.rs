//! Which deliveries are to be made again.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use crate::api::ApiError;
use crate::deliver::{Delivery, FUNCTION_GONE, SUBSCRIPTION_UNKNOWN, Status};
use crate::fields::{Fields, FromFields};
use crate::tally::Tally;

/// Ids in one `forceresend`.
const IDS_MAX: usize = 1_000;

/// What may be retried.
pub const RETRIED: &[Status] = &[Status::Failure, Status::Discarded];
/// What may be sent again by force.
pub const FORCED: Status = Status::Success;
/// What of a meta event's may be sent again: all that is over.
pub const OVER: &[Status] = &[Status::Success, Status::Failure, Status::Discarded];

/// Whether a delivery may be retried. The error says why not.
pub fn may_retry(delivery: &Delivery) -> Result<(), ApiError> {
    if delivery.is(Status::Success) {
        return Err(ApiError::bad_request("event already sent"));
    }
    if RETRIED.iter().any(|status| delivery.is(*status)) {
        return Ok(());
    }
    Err(ApiError::bad_request("cannot resend event that did not fail previously"))
}

/// The body of `POST /eventdeliveries/forceresend`.
#[derive(Debug)]
pub struct ResendInput {
    pub ids: Vec<String>,
}

impl FromFields for ResendInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let ids = fields.texts("ids")?.unwrap_or_default();
        if ids.is_empty() || IDS_MAX < ids.len() {
            return Err(ApiError::bad_request(format!(
                "Request is invalid: ids holds from 1 to {IDS_MAX} ids of deliveries"
            )));
        }
        Ok(Self { ids })
    }
}

impl ResendInput {
    /// Why not all of these can be sent again by force, when `known` are those of them that there are.
    pub fn refusal(&self, known: &[Known]) -> ApiError {
        let is_known = |id: &str| known.iter().any(|known| known.id == id);
        ApiError::bad_request(match self.ids.iter().find(|id| !is_known(id)) {
            Some(unknown) => {
                let start: String = unknown.chars().take(40).collect();
                format!("ids:there is no delivery {start:?}")
            }
            None => "only successful events can be force resent".to_owned(),
        })
    }
}

/// A delivery that there is.
#[derive(Debug, Deserialize)]
pub struct Known {
    pub id: String,
}

/// A delivery, where it goes, and why.
#[derive(Debug, Clone, Deserialize)]
pub struct Again {
    pub id: String,
    pub endpoint_id: String,
    pub subscription_id: String,
}

/// How many deliveries that were found went the same way: a row of [`crate::sql::count_by_way`].
#[derive(Debug, Clone, Deserialize)]
pub struct OneWay {
    pub endpoint_id: String,
    pub subscription_id: String,
    n: usize,
}

/// A row of [`crate::sql::not_sent`].
#[derive(Debug, Clone, Deserialize)]
pub struct Gone {
    id: String,
    is_known: u8,
}

/// A row of [`crate::sql::endpoint_statuses`].
#[derive(Debug, Clone, Deserialize)]
pub struct Standing {
    id: String,
    status: String,
}

/// How the endpoints and subscriptions of deliveries stand. A delivery that cannot be called now keeps the outcome that it has.
#[derive(Debug, Default)]
pub struct Standings {
    endpoints: HashMap<String, String>,
    /// Subscriptions of which nothing can be sent any more, and why.
    not_sent: HashMap<String, &'static str>,
}

impl Standings {
    pub fn of(rows: Vec<Standing>, not_sent: Vec<Gone>) -> Self {
        let why = |row: &Gone| if row.is_known == 0 { SUBSCRIPTION_UNKNOWN } else { FUNCTION_GONE };
        Self {
            endpoints: rows.into_iter().map(|row| (row.id, row.status)).collect(),
            not_sent: not_sent
                .into_iter()
                .map(|row| {
                    let why = why(&row);
                    (row.id, why)
                })
                .collect(),
        }
    }

    /// The ids of the endpoints that are there.
    pub fn ids(self) -> HashSet<String> {
        self.endpoints.into_keys().collect()
    }

    /// Why there is nobody to call, or nothing to send; what is paused is called later.
    pub fn gone(&self, endpoint_id: &str, subscription_id: &str) -> Option<&'static str> {
        if !self.endpoints.contains_key(endpoint_id) {
            return Some("endpoint not found");
        }
        self.not_sent.get(subscription_id).copied()
    }

    /// How many deliveries would be retried, and how many would not.
    pub fn count(&self, found: &[OneWay]) -> Tally {
        let mut tally = Tally::default();
        for OneWay { endpoint_id, subscription_id, n } in found {
            match self.gone(endpoint_id, subscription_id) {
                None => tally.succeeded += n,
                Some(reason) => tally.fail(reason, *n),
            }
        }
        tally
    }

    /// Why nobody is called now.
    pub fn closed(&self, endpoint_id: &str, subscription_id: &str) -> Option<String> {
        if let Some(why) = self.gone(endpoint_id, subscription_id) {
            return Some(why.to_owned());
        }
        let status = self.endpoints.get(endpoint_id).filter(|status| *status != "active")?;
        Some(format!("the endpoint is currently {status}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn standings(endpoints: &[&str]) -> Standings {
        let of = |id: &&str| Standing { id: (*id).into(), status: (*id).into() };
        let gone = vec![
            Gone { id: "deleted".into(), is_known: 1 },
            Gone { id: "unknown".into(), is_known: 0 },
        ];
        Standings::of(endpoints.iter().map(of).collect(), gone)
    }

    #[test]
    fn only_an_active_endpoint_is_called_now_and_one_that_is_gone_never() {
        let standings = standings(&["active", "paused", "inactive"]);
        for (id, gone, closed) in [
            ("active", None, None),
            ("paused", None, Some("the endpoint is currently paused")),
            ("inactive", None, Some("the endpoint is currently inactive")),
            ("deleted", Some("endpoint not found"), Some("endpoint not found")),
        ] {
            assert_eq!(standings.gone(id, "s"), gone);
            assert_eq!(standings.closed(id, "").as_deref(), closed);
        }
        for id in ["active", "paused"] {
            assert_eq!(standings.gone(id, "deleted"), Some(FUNCTION_GONE));
            assert_eq!(standings.closed(id, "deleted").as_deref(), Some(FUNCTION_GONE));
            assert_eq!(standings.gone(id, "unknown"), Some(SUBSCRIPTION_UNKNOWN));
        }
    }

    #[test]
    fn only_what_has_failed_or_was_discarded_is_retried() {
        let (sent, not_failed) =
            ("event already sent", "cannot resend event that did not fail previously");
        for (status, why) in [
            (Status::Scheduled, Some(not_failed)),
            (Status::Processing, Some(not_failed)),
            (Status::Success, Some(sent)),
            (Status::Retry, Some(not_failed)),
            (Status::Failure, None),
            (Status::Discarded, None),
        ] {
            let row = json!({"project_id": "p", "id": "d", "event_id": "e", "subscription_id": "", "endpoint_id": "x",
                "source_id": "", "event_type": "t", "delivery_mode": "at_least_once", "status": status.name(), "description": "",
                "attempts": 0, "attempt": null, "due_at": null, "created_at": 0, "updated_at": 0, "replay": null});
            let delivery = serde_json::from_value(row).unwrap();
            let refused = may_retry(&delivery).err().map(|error| error.message);
            assert_eq!(refused.as_deref(), why, "{status:?}");
        }
    }

    #[test]
    fn a_delivery_that_there_is_not_is_named() {
        let input = ResendInput { ids: vec!["a".into(), "b".into()] };
        let known = |ids: &[&str]| -> Vec<Known> {
            ids.iter().map(|id| Known { id: (*id).into() }).collect()
        };
        for (ids, expect) in [
            (vec!["a"], "ids:there is no delivery \"b\""),
            (vec!["a", "b"], "only successful events can be force resent"),
        ] {
            assert_eq!(input.refusal(&known(&ids)).message, expect);
        }
    }

    #[test]
    fn a_count_leaves_out_what_a_retry_leaves_out() {
        let standings = standings(&["active", "paused"]);
        let way = |endpoint: &str, subscription: &str, n| OneWay {
            endpoint_id: endpoint.into(),
            subscription_id: subscription.into(),
            n,
        };
        let tally = standings.count(&[
            way("active", "", 3),
            way("gone", "s", 4),
            way("paused", "s", 2),
            way("too", "deleted", 1),
            way("active", "deleted", 7),
        ]);
        assert_eq!(
            tally.present_count(false),
            json!({"num": 5, "is_complete": false, "failed": 12,
                "reasons": [{"reason": FUNCTION_GONE, "num": 7}, {"reason": "endpoint not found", "num": 5}]})
        );
    }
}
