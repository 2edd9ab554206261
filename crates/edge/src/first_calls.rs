//! First calls by whoever routes; see [`inlet_gateway::route`].

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{join_all, select};
use inlet_gateway::deliver::{Delivery, Status};
use inlet_gateway::event::StoredEvent;
use inlet_gateway::meta_event::project_of_shadow;
use inlet_gateway::receiver::Receiver;
use inlet_gateway::route::{FIRST_CALLS_WAIT_MS, Leased, Part, Slow};
use serde_json::json;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker::{D1Result, Delay, Result};

use crate::bindings::Bindings;
use crate::dispatch::{self, Place};
use crate::hold::{self, Lease, Taken};
use crate::store::rows;
use crate::{chance, log};

thread_local! {
    static SLOW: RefCell<Slow> = const { RefCell::new(Slow::new()) };
}

/// What is leased by the transaction of a part, and who is called then.
pub(crate) struct Plan {
    leased: Leased,
    to: Vec<Receiver>,
    /// Those in the background that the calls have; only with local queues.
    places: Vec<Place>,
}

/// Plans the first calls of a part, where whoever stores it may make some.
pub(crate) async fn plan(part: &mut Part, bindings: &Bindings) -> Option<Plan> {
    if bindings.background.as_ref()?.is_calling.get() {
        return None;
    }
    let now = chance::now_ms();
    let found = part.first_receivers().iter().map(|(project_id, endpoint_id)| async move {
        if project_of_shadow(project_id).is_some() || is_slow(endpoint_id, now) {
            return None;
        }
        // Whoever answers the bell sees what is wrong.
        hold::receiver(project_id, endpoint_id, bindings).await.ok().flatten()
    });
    let found = join_all(found).await.into_iter().flatten();
    let (mut to, mut places) = (Vec::new(), Vec::new());
    for receiver in found.filter(Receiver::may_be_called_at_once) {
        if bindings.settings.local_queue {
            let Some(place) = Place::take(&receiver.endpoint.uid) else { continue };
            places.push(place);
        }
        to.push(receiver);
    }
    let endpoints: Vec<&str> = to.iter().map(|to| to.endpoint.uid.as_str()).collect();
    let leased = part.lease(&endpoints, chance::now_ms())?;
    Some(Plan { leased, to, places })
}

fn is_slow(endpoint_id: &str, now: u64) -> bool {
    SLOW.with_borrow(|slow| slow.is_slow(endpoint_id, now))
}

impl Plan {
    /// The deliveries that the transaction has leased.
    pub(crate) fn own(&self, results: &[D1Result]) -> Result<Vec<Delivery>> {
        let inserted = results.get(self.leased.deliveries).map(rows::<Delivery>).transpose()?;
        let inserted = inserted.unwrap_or_default().into_iter();
        Ok(inserted.filter(|one| one.is(Status::Processing)).collect())
    }

    /// Calls for them. What is not settled in time goes on beside it; with local queues, all does. An error says that some have
    /// nobody who watches them.
    pub(crate) async fn call(
        self,
        shard: u32,
        own: Vec<Delivery>,
        results: &[D1Result],
        bindings: &Bindings,
    ) -> Result<()> {
        let (Some(background), false) = (&bindings.background, own.is_empty()) else {
            return Ok(());
        };
        let Self { leased, to, places } = self;
        let events = results.get(leased.events).map(rows::<StoredEvent>).transpose()?;
        let events = events.unwrap_or_default();
        let left: Rc<RefCell<Vec<Delivery>>> = Rc::new(RefCell::new(own.clone()));
        let calls = to.into_iter().map(|to| {
            let id = to.endpoint.uid.clone();
            let deliveries: Vec<Delivery> =
                own.iter().filter(|one| one.endpoint_id == id).cloned().collect();
            let is_sent =
                |event: &StoredEvent| deliveries.iter().any(|one| one.event_id == event.id);
            let events = events.iter().filter(|event| is_sent(event)).cloned().collect();
            let lease = Lease { shard, until: leased.until };
            let taken = Taken { deliveries, events, lease, others: Ok(()) };
            let (bindings, left) = (bindings.clone(), Rc::clone(&left));
            async move {
                match dispatch::call(&id, Some(to), taken, &bindings).await {
                    Ok(()) => left.borrow_mut().retain(|one| one.endpoint_id != id),
                    Err(error) => {
                        let fields = json!({"endpoint_id": id, "error": error.to_string()});
                        log::error("not_dispatched", fields);
                    }
                }
            }
        });
        let calls = join_all(calls);
        drop(events);
        // A task of its own, from the beginning: timers wake the task that has asked for them first.
        background.is_calling.set(true);
        let beside = Rc::clone(background);
        let made = future_to_promise(async move {
            calls.await;
            drop(places);
            beside.is_calling.set(false);
            Ok(JsValue::UNDEFINED)
        });
        let end = JsFuture::from(made.clone());
        background.context.wait_until(async move { end.await.map(drop).unwrap_or_default() });
        if bindings.settings.local_queue {
            return Ok(());
        }
        let wait = Delay::from(Duration::from_millis(FIRST_CALLS_WAIT_MS));
        select(JsFuture::from(made), wait).await;
        let left = left.take();
        let now = chance::now_ms();
        for one in &left {
            SLOW.with_borrow_mut(|slow| slow.note(&one.endpoint_id, now));
        }
        hold::ring_later(shard, left.iter().map(Into::into).collect(), bindings).await
    }
}
