//! Tells projects that deliveries of a subscription fail.

use inlet_gateway::deliver::Delivery;
use inlet_gateway::meta_event::Kind;
use inlet_gateway::receiver::Receiver;
use inlet_gateway::sql::{self, Leased, Statement};
use serde::Deserialize;
use worker::{D1Result, Result};

use crate::bindings::Bindings;
use crate::store::rows;
use crate::{bell, meta_events};

/// Counts an attempt that failed, where somebody wants to know.
pub(crate) fn count(
    delivery: &Delivery,
    leased: Leased<'_>,
    to: Option<&Receiver>,
    now: u64,
) -> Option<Statement> {
    let subscription = &delivery.subscription_id;
    let alert = to?.alert(subscription)?;
    Some(sql::count_failure(leased, subscription, alert.seconds.saturating_mul(1_000), now))
}

/// Tells the project of a failure, when the count says so.
pub(crate) async fn follow(
    delivery: &Delivery,
    said: &str,
    to: &Receiver,
    counted: &D1Result,
    bindings: &Bindings,
) -> Result<()> {
    #[derive(Deserialize)]
    struct Counted {
        failures: u64,
    }
    let Some(alert) = to.alert(&delivery.subscription_id) else { return Ok(()) };
    let counted: Vec<Counted> = rows(counted)?;
    if !counted.first().is_some_and(|counted| alert.is_due(counted.failures)) {
        return Ok(());
    }
    let data = || alert.data(delivery, said);
    let Some(told) = meta_events::note(&to.project, Kind::SubscriptionAlert, data) else {
        return Ok(());
    };
    bindings.db()?.run(&told.note).await?;
    meta_events::forward_noted(bindings).await?;
    bell::send_drain(to.project.shard, bindings).await
}
