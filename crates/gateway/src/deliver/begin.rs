//! Deliveries that end, or wait, without a call.

use super::{Delivery, INTERRUPTED, Settled, Status};
use crate::address;
use crate::endpoint::Endpoint;
use crate::event::StoredEvent;
use crate::subscription::DeliveryMode;

/// After how many dispatchers that died in a row a delivery is given up: what kills them may be its endpoint's answer, or a
/// function. With a lease of [`super::LEASE_MS`] each that is a quarter of an hour.
pub(super) const INTERRUPTED_MAX: u32 = 10;

/// What a lease has to last for after a call, for what came of it to be written down.
const AFTER_CALL_MS: u64 = 10_000;

/// Why nothing is sent for a subscription that is deleted: what its function made was agreed on, not what it was made from.
pub const FUNCTION_GONE: &str =
    "the subscription was deleted, and with it the function that made what its deliveries send";

/// Why nothing is sent for a subscription of which nothing is left: whether a function made what it sends, nobody can tell.
pub const SUBSCRIPTION_UNKNOWN: &str = "the subscription was deleted, and nothing is left that says what its deliveries send: \
     replay the event for those who subscribe now";

/// Why a delivery ends, or waits, without a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undeliverable {
    #[error("the endpoint no longer exists")]
    EndpointGone,
    #[error("{}", FUNCTION_GONE)]
    FunctionGone,
    #[error("{}", SUBSCRIPTION_UNKNOWN)]
    SubscriptionUnknown,
    /// It waits until the endpoint is active again.
    #[error("the endpoint is {0}: delivered when it is active again")]
    EndpointNotActive(&'static str),
    #[error(
        "the endpoint takes application/x-www-form-urlencoded, and the event's body is neither a form nor a JSON object"
    )]
    NoForm,
    #[error("the event's body is gone from the store")]
    BodyGone,
    /// It was to be called at most once, and nobody knows whether it was.
    #[error("the only attempt was interrupted, and may have reached the endpoint")]
    Interrupted,
    #[error(
        "given up: {0} times in a row the gateway was interrupted while it made this call, which may have reached the endpoint"
    )]
    Deadly(u32),
    /// What interrupts it would interrupt those beside it, too.
    #[error("the attempt was interrupted: made again by itself")]
    Apart,
    /// What it is made from cannot be read right now, which is our affair: nobody was called, so no attempt is spent.
    #[error("{0} could not be had, so nobody was called: tried again")]
    NotMade(&'static str),
    /// The bodies of other calls, its endpoint's or its project's most of all, take the memory that there is for them.
    #[error(
        "the gateway holds too many large bodies for this endpoint or its project right now, so nobody was called: tried again"
    )]
    NoRoom,
    /// What it needs took so long to come that another dispatcher might have called before this call was over.
    #[error(
        "the gateway was too slow to get what the call needs, so nobody was called: tried again"
    )]
    TooLate,
    #[error("{0}")]
    Address(address::BadUrl),
}

/// Milliseconds until a delivery is looked at again that could not be made: at first, and at most. In between it is an eighth
/// of its age, because what has failed for long will not be mended in the next minute.
const NOT_MADE_PAUSE_MS: (u64, u64) = (30_000, 3_600_000);
/// As [`NOT_MADE_PAUSE_MS`], for a delivery that found no room, or time: calls end within a minute, and leave theirs.
const SHORT_PAUSE_MS: (u64, u64) = (2_000, 60_000);

impl Undeliverable {
    /// Convoy's status for it: discarded when the endpoint's owner chose so, a failure when it is a fault.
    pub fn settled(&self, delivery: &Delivery, now_ms: u64) -> Settled {
        let (status, due_at) = match self {
            Self::EndpointGone | Self::FunctionGone | Self::SubscriptionUnknown => {
                (Status::Discarded, None)
            }
            // At once: whoever takes it up then sees that the endpoint is not active, and holds it back, or that it is alone.
            Self::EndpointNotActive(_) | Self::Apart => (Status::Retry, Some(now_ms)),
            Self::NotMade(_) | Self::NoRoom | Self::TooLate => {
                let is_short = !matches!(self, Self::NotMade(_));
                let (least, most) = if is_short { SHORT_PAUSE_MS } else { NOT_MADE_PAUSE_MS };
                let pause = (now_ms.saturating_sub(delivery.created_at) / 8).clamp(least, most);
                (Status::Retry, Some(now_ms.saturating_add(pause)))
            }
            Self::BodyGone
            | Self::Interrupted
            | Self::Deadly(_)
            | Self::Address(_)
            | Self::NoForm => (Status::Failure, None),
        };
        Settled { status, description: self.to_string(), due_at }
    }
}

/// Whether a call that begins now is over, and written down, before its lease is.
pub fn in_lease(now_ms: u64, timeout_ms: u64, lease_until: u64) -> Result<(), Undeliverable> {
    let over = now_ms.saturating_add(timeout_ms).saturating_add(AFTER_CALL_MS);
    if over < lease_until { Ok(()) } else { Err(Undeliverable::TooLate) }
}

/// What has to be asked before anything is fetched for a call: whatever cannot be had then gives the delivery back, and with
/// that forgets that it was interrupted. `together` is how many deliveries were leased with it, itself among them.
pub fn begin(
    delivery: &Delivery,
    together: usize,
    event: Option<StoredEvent>,
    endpoint: Option<&Endpoint>,
) -> Result<StoredEvent, Undeliverable> {
    if delivery.mode() == DeliveryMode::AtMostOnce && delivery.description == INTERRUPTED {
        return Err(Undeliverable::Interrupted);
    }
    if INTERRUPTED_MAX <= delivery.interrupted {
        return Err(Undeliverable::Deadly(delivery.interrupted));
    }
    if endpoint.is_none() {
        return Err(Undeliverable::EndpointGone);
    }
    let event = event.ok_or(Undeliverable::BodyGone)?;
    if 0 < delivery.interrupted && 1 < together {
        return Err(Undeliverable::Apart);
    }
    Ok(event)
}
