//! What answers say of what they point at, and what deliveries send.

use std::collections::HashMap;

use inlet_gateway::deliver::Undeliverable;
use inlet_gateway::endpoint::ContentType;
use inlet_gateway::pointed::{Pointed, Row};
use inlet_gateway::receiver::{Known, is_made};
use inlet_gateway::retry::Strategy;
use inlet_gateway::sent::{MADE, Sent};
use inlet_gateway::{json, sql};

use super::*;
use crate::hold;
use crate::making;

/// What a subscription says about its deliveries.
#[derive(Deserialize)]
struct Own {
    id: String,
    retry: Option<String>,
    has_function: u8,
    had_function: u8,
}

/// Ids without empty ones, each once.
pub(super) fn each_once<'a>(ids: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut ids: Vec<&str> = ids.filter(|id| !id.is_empty()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

impl Caller<'_> {
    /// The endpoints and sources that an answer points at, by one statement.
    pub(super) async fn pointed(
        &self,
        project: &Project,
        endpoints: impl Iterator<Item = &str>,
        sources: impl Iterator<Item = &str>,
    ) -> Result<Pointed, Refusal> {
        let (endpoints, sources) = (each_once(endpoints), each_once(sources));
        if endpoints.is_empty() && sources.is_empty() {
            return Ok(Pointed::default());
        }
        let statement = sql::pointed(&project.uid, &endpoints, &sources);
        let found: Vec<Row> = self.bindings.db()?.rows(&statement).await?;
        Ok(Pointed::new(found))
    }

    /// What events point at, as this caller may see it: their endpoints and sources.
    pub(super) async fn pointed_by(
        &self,
        project: &Project,
        events: &[StoredEvent],
    ) -> Result<Pointed, Refusal> {
        let endpoints: Vec<String> =
            events.iter().filter_map(StoredEvent::endpoints).flatten().collect();
        let sources = events.iter().map(|event| event.source_id.as_str());
        self.pointed(project, endpoints.iter().map(String::as_str), sources).await
    }

    /// Subscriptions as they are shown, with the names of both their ends.
    pub(super) async fn with_ends(
        &self,
        project: &Project,
        subscriptions: &[Subscription],
    ) -> Result<Vec<Value>, Refusal> {
        let endpoints = subscriptions.iter().map(|one| one.endpoint_id.as_str());
        let sources = subscriptions.iter().map(|one| one.source_id.as_str());
        let pointed = self.pointed(project, endpoints, sources).await?;
        let shown = subscriptions.iter().map(|one| {
            let mut shown = one.present();
            pointed.lay_over(&mut shown, &one.endpoint_id, &one.source_id);
            shown
        });
        Ok(shown.collect())
    }

    /// Deliveries as a list shows them, as JSON text: each with the strategy that decides when it is tried again, the names of
    /// its ends, and what it sends, where that is small and no function makes it.
    pub(super) async fn shown_deliveries(
        &self,
        project: &Project,
        deliveries: &[Delivery],
    ) -> Result<Vec<String>, Refusal> {
        let (own, pointed) = self.around(project, deliveries).await?;
        let shown = deliveries.iter().map(|delivery| {
            let (base, is_made) = base(project, delivery, &own, &pointed)?;
            let withheld = match is_made {
                Ok(is_made) => is_made.then(|| MADE.to_owned()),
                Err(why) => Some(why.to_string()),
            };
            let takes = pointed.takes(&delivery.endpoint_id);
            Ok(Sent::in_list(delivery, withheld.as_deref(), takes).lay_over(base))
        });
        shown.collect()
    }

    /// A delivery as the API shows it, with all that it sends.
    pub(super) async fn shown_delivery(
        &self,
        project: &Project,
        delivery: &Delivery,
    ) -> Result<String, Refusal> {
        let (own, pointed) = self.around(project, std::slice::from_ref(delivery)).await?;
        let (base, is_made) = base(project, delivery, &own, &pointed)?;
        if let Err(why) = is_made {
            return Ok(
                Sent::in_list(delivery, Some(&why.to_string()), ContentType::Json).lay_over(base)
            );
        }
        let statement = sql::event(&project.uid, &delivery.event_id);
        let event: Option<StoredEvent> =
            self.bindings.events(project.shard)?.row(&statement).await?;
        let Some(event) = event else {
            return Ok(Sent::in_list(delivery, None, ContentType::Json).lay_over(base));
        };
        let found = bodies::body_of(&event, now_ms() + BODY_WAIT_MS, self.bindings).await?;
        let Some((body, _loan)) = found else {
            let gone = Err(Undeliverable::BodyGone.to_string());
            let sent =
                Sent::new(delivery, event.content_type.clone(), &event.headers_out(false), gone);
            return Ok(sent.lay_over(base));
        };
        let to = hold::receiver(&project.uid, &delivery.endpoint_id, self.bindings).await?;
        let to = match to {
            Some(to) => Some(hold::learn(to, std::slice::from_ref(delivery), self.bindings).await),
            None => None,
        };
        let sent = match &to {
            Some(to) => making::sent(&event, body, delivery, to, &self.bindings.burnt).await,
            None => {
                Sent::new(delivery, event.content_type.clone(), &event.headers_out(false), Ok(body))
            }
        };
        Ok(sent.lay_over(base))
    }

    /// What deliveries are shown with.
    async fn around(
        &self,
        project: &Project,
        deliveries: &[Delivery],
    ) -> Result<(HashMap<String, Own>, Pointed), Refusal> {
        if deliveries.is_empty() {
            return Ok((HashMap::new(), Pointed::default()));
        }
        let of = |field: fn(&Delivery) -> &str| each_once(deliveries.iter().map(field));
        let statements = [
            sql::retries(&project.uid, &of(|one| &one.subscription_id)),
            sql::pointed(&project.uid, &of(|one| &one.endpoint_id), &of(|one| &one.source_id)),
        ];
        let results = self.bindings.db()?.batch(&statements).await?;
        let own: Vec<Own> = results.first().map(rows).transpose()?.unwrap_or_default();
        let found: Vec<Row> = results.get(1).map(rows).transpose()?.unwrap_or_default();
        let own = own.into_iter().map(|own| (own.id.clone(), own)).collect();
        Ok((own, Pointed::new(found)))
    }
}

/// A delivery without what it sends, and whether a function makes that, or why nothing is sent.
fn base(
    project: &Project,
    delivery: &Delivery,
    own: &HashMap<String, Own>,
    pointed: &Pointed,
) -> Result<(Value, std::result::Result<bool, Undeliverable>), Refusal> {
    let own = own.get(&delivery.subscription_id);
    let retry = own.and_then(|own| own.retry.as_deref());
    let strategy: Option<Strategy> = retry.map(json::read).transpose()?.flatten();
    let mut shown = delivery.present(strategy.as_ref().unwrap_or(&project.config.strategy));
    pointed.lay_over(&mut shown, &delivery.endpoint_id, &delivery.source_id);
    let known = own.map(|own| Known {
        has_function: own.has_function != 0,
        had_function: own.had_function != 0,
    });
    Ok((shown, is_made(&delivery.subscription_id, known)))
}
