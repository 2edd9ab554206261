//! What the loop wants of a broker. A broker is one file that implements [`Broker`], a variant of `source::Reach` and the two lines
//! of `run.rs` that match it; what a source says of it is `inlet_gateway::pub_sub`'s.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use tokio::sync::OwnedSemaphorePermit;

/// One message, as the broker had it, and what the broker needs to settle it.
#[derive(Debug)]
pub(crate) struct Message<R> {
    /// The broker's own id. Without one the gateway cannot see that it gets a message twice.
    pub(crate) id: Option<String>,
    pub(crate) payload: Vec<u8>,
    pub(crate) headers: Vec<(String, String)>,
    /// What the broker orders or routes by: record key, group, ordering key, routing key.
    pub(crate) key: Option<String>,
    /// When it was published, in milliseconds since 1970.
    pub(crate) at: Option<i64>,
    pub(crate) receipt: R,
    /// Why the companion gives up on it.
    pub(crate) dead: Option<String>,
    /// How often the gateway said `retry`.
    pub(crate) attempts: u32,
    /// How often the gateway has refused its dead letter as it is now.
    pub(crate) refusals: u32,
    /// Its share of the memory that a worker may hold.
    pub(crate) share: Option<Arc<OwnedSemaphorePermit>>,
}

impl<R> Message<R> {
    pub(crate) fn new(receipt: R, payload: Vec<u8>) -> Self {
        Self {
            id: None,
            payload,
            headers: Vec::new(),
            key: None,
            at: None,
            receipt,
            dead: None,
            attempts: 0,
            refusals: 0,
            share: None,
        }
    }
}

/// A receipt whose message is durable: as an event, or as a dead letter.
#[derive(Debug)]
pub(crate) struct Settled<R> {
    pub(crate) receipt: R,
    pub(crate) dead: bool,
}

/// Why a broker could not be read, in words for an operator. It never holds a secret.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Fault(pub(crate) String);

impl Fault {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Work,
    /// `inlet-consumer check`: nothing is taken from the broker.
    Check,
}

/// One connection to a broker: one worker of a source. Dropping it gives back whatever was taken and not settled.
pub(crate) trait Broker: Send + Sync + Sized + 'static {
    /// What the source says.
    type Config: Clone + Send + Sync + 'static;
    /// What settles one message.
    type Receipt: Send + Sync + 'static;

    /// How often [`Self::keep`] is called.
    const KEEP_EVERY: Duration = Duration::from_secs(5);
    /// Whether every worker sees only its own part of what waits.
    const LAG_IS_SHARED_OUT: bool = false;
    /// How long a receive that is under way may go on when the worker has to stop, because the broker may already have
    /// handed messages to it.
    const LAST_RECEIVE: Duration = Duration::ZERO;

    fn connect(
        config: &Self::Config,
        purpose: Purpose,
    ) -> impl Future<Output = Result<Self, Fault>> + Send;

    /// The next messages, in the broker's order. It may come back with none.
    fn receive(&self) -> impl Future<Output = Result<Vec<Message<Self::Receipt>>, Fault>> + Send;

    /// These are durable: the broker may forget them.
    fn settle(
        &self,
        settled: Vec<Settled<Self::Receipt>>,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// These were not dealt with: somebody else may have them now. The session ends with it, so nothing is to be done where its
    /// end gives them back.
    fn release(&self, receipts: Vec<Self::Receipt>) -> impl Future<Output = ()> + Send;

    /// Holds on to everything that was taken and not settled.
    fn keep(&self) -> impl Future<Output = Result<(), Fault>> + Send {
        async { Ok(()) }
    }

    /// How many messages wait, if the broker tells.
    fn lag(&self) -> impl Future<Output = Option<u64>> + Send;

    fn close(self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// A header's value as text: what is not UTF-8 becomes base64.
pub(crate) fn text_of(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => base64::engine::general_purpose::STANDARD.encode(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_values_become_base64() {
        assert_eq!(text_of("größe".as_bytes()), "größe");
        assert_eq!(text_of(&[0xff, 0x00]), "/wA=");
        assert_eq!(text_of(b""), "");
    }
}
