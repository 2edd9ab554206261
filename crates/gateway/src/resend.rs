//! Which deliveries are to be made again.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use crate::api::ApiError;
use crate::fields::{Fields, FromFields};
use crate::tally::Tally;

/// Ids in one `forceresend`.
const IDS_MAX: usize = 1_000;

/// The body of `POST /eventdeliveries/forceresend`.
#[derive(Debug)]
pub struct ResendInput {
    pub ids: Vec<String>,
}

impl FromFields for ResendInput {
    fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        let ids = fields.texts("ids")?.unwrap_or_default();
        if ids.is_empty() || IDS_MAX < ids.len() {
            return Err(ApiError::bad_request(format!(
                "Request is invalid: ids holds from 1 to {IDS_MAX} ids of deliveries"
            )));
        }
        Ok(Self { ids })
    }
}

/// A delivery, and where it goes.
#[derive(Debug, Clone, Deserialize)]
pub struct Again {
    pub id: String,
    pub endpoint_id: String,
}

/// How many deliveries that were found went to one endpoint: a row of [`crate::sql::count_by_endpoint`].
#[derive(Debug, Clone, Deserialize)]
pub struct AtEndpoint {
    pub endpoint_id: String,
    n: usize,
}

/// A row of [`crate::sql::endpoint_statuses`].
#[derive(Debug, Clone, Deserialize)]
pub struct Standing {
    id: String,
    status: String,
}

/// How the endpoints of deliveries stand. A delivery that cannot be called now keeps the outcome that it has.
#[derive(Debug, Default)]
pub struct Standings(HashMap<String, String>);

impl Standings {
    pub fn of(rows: Vec<Standing>) -> Self {
        Self(rows.into_iter().map(|row| (row.id, row.status)).collect())
    }

    /// Those that are there.
    pub fn ids(self) -> HashSet<String> {
        self.0.into_keys().collect()
    }

    /// Why there is nobody to call; what is paused is called later.
    pub fn gone(&self, endpoint_id: &str) -> Option<&'static str> {
        (!self.0.contains_key(endpoint_id)).then_some("endpoint not found")
    }

    /// How many deliveries would be retried, and how many would not.
    pub fn count(&self, found: &[AtEndpoint]) -> Tally {
        let mut tally = Tally::default();
        for AtEndpoint { endpoint_id, n } in found {
            match self.gone(endpoint_id) {
                None => tally.succeeded += n,
                Some(reason) => tally.fail(reason, *n),
            }
        }
        tally
    }

    /// Why nobody is called now.
    pub fn closed(&self, endpoint_id: &str) -> Option<String> {
        match self.0.get(endpoint_id).map(String::as_str) {
            None => Some("endpoint not found".to_owned()),
            Some("active") => None,
            Some(status) => Some(format!("the endpoint is currently {status}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_an_active_endpoint_is_called_now_and_one_that_is_gone_never() {
        let of = |id: &str| Standing { id: id.into(), status: id.into() };
        let standings = Standings::of(["active", "paused", "inactive"].map(of).to_vec());
        for (id, gone, closed) in [
            ("active", None, None),
            ("paused", None, Some("the endpoint is currently paused")),
            ("inactive", None, Some("the endpoint is currently inactive")),
            ("deleted", Some("endpoint not found"), Some("endpoint not found")),
        ] {
            assert_eq!(standings.gone(id), gone);
            assert_eq!(standings.closed(id).as_deref(), closed);
        }
    }

    #[test]
    fn a_count_leaves_out_what_a_retry_leaves_out() {
        let of = |id: &str| Standing { id: id.into(), status: id.into() };
        let standings = Standings::of(["active", "paused"].map(of).to_vec());
        let at = |id: &str, n| AtEndpoint { endpoint_id: id.into(), n };
        let tally =
            standings.count(&[at("active", 3), at("gone", 4), at("paused", 2), at("too", 1)]);
        assert_eq!(
            tally.present_count(false),
            json!({"num": 5, "is_complete": false, "failed": 5,
                "reasons": [{"reason": "endpoint not found", "num": 5}]})
        );
    }
}
