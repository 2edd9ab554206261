//! Why a call was not carried out, and what its caller is told.

use inlet_gateway::api::ApiError;
use inlet_gateway::reply::Reply;
use inlet_gateway::vault::VaultError;
use serde_json::json;

use super::reply;
use crate::log;

/// Why a call was not carried out.
pub(super) enum Refusal {
    /// The caller has to change something.
    Api(ApiError),
    /// We have to; the caller may try again.
    Store(worker::Error),
    Vault(VaultError),
    /// Too many events in a time; after so many seconds there is room again.
    Limited(u64),
    /// The change is stored, but others may not learn of it at once.
    Untold,
    /// Somebody else has changed the same since it was read. The change is made again on what is there now; whoever is overtaken each
    /// time is told this.
    Overtaken(ApiError),
    /// What it needs is under way; after so many seconds it is there.
    Later(ApiError, u64),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<worker::Error> for Refusal {
    fn from(error: worker::Error) -> Self {
        Self::Store(error)
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<VaultError> for Refusal {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

impl Refusal {
    pub(super) fn reply(self) -> Reply {
        let (error, retry) = self.told();
        reply(&error.answer()).retry_after(retry)
    }

    /// This refusal, or that another has this name, where that is why the store refuses the row: it took the name between the
    /// look-up and the change.
    pub(super) fn or_taken(self, what: &str) -> Self {
        match self {
            Self::Store(error) if error.to_string().contains("UNIQUE constraint failed") => {
                taken(what).into()
            }
            other => other,
        }
    }

    /// What the caller is told, and after how many seconds it may try again.
    pub(super) fn told(self) -> (ApiError, Option<u64>) {
        match self {
            Self::Api(error) => {
                let seconds = error.retry_after_s();
                (error, seconds)
            }
            Self::Overtaken(error) => (error, Some(1)),
            Self::Later(error, seconds) => (error, Some(seconds)),
            Self::Limited(seconds) => (ApiError::new(429, "exceeded rate limit"), Some(seconds)),
            Self::Store(error) => {
                log::error("store_failed", json!({"error": error.to_string()}));
                Self::Api(ApiError::new(503, "the database is unavailable right now, try again"))
                    .told()
            }
            Self::Untold => {
                let text = "the change is stored, but the edge could not be told: repeat the call, or wait 7 minutes";
                Self::Api(ApiError::new(503, text)).told()
            }
            Self::Vault(error) => {
                log::error("vault_failed", json!({"error": error.to_string()}));
                let text = "the gateway is not configured: its ENCRYPTION_KEY does not fit";
                Self::Api(ApiError::new(503, text)).told()
            }
        }
    }
}

/// Another of its kind, in a word, has a name that has to be unique.
pub(super) fn taken(what: &str) -> ApiError {
    ApiError::bad_request(format!("{what} with this name already exists"))
}

/// Somebody else has changed the same since it was read: what would be stored now was not made from that.
pub(super) fn changed_meanwhile(what: &str) -> Refusal {
    let text = format!("this {what} is being changed by many at the same time, try again");
    Refusal::Overtaken(ApiError::new(409, text))
}

/// Whether a change was not made because another came first.
pub(super) fn is_overtaken<T>(done: &Result<T, Refusal>) -> bool {
    matches!(done, Err(Refusal::Overtaken(_)))
}

/// A change that is stored, but that others may not learn of at once, is not reported as made.
pub(super) fn or_untold(published: worker::Result<()>) -> Result<(), Refusal> {
    published.map_err(|_| Refusal::Untold)
}
