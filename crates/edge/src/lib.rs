#![doc = include_str!("../README.md")]

mod again;
mod alerts;
mod api;
mod backlog;
mod bell;
mod bindings;
mod bodies;
mod body;
mod calling;
mod chance;
mod chunks;
mod companions;
mod config;
mod dead_letters;
mod dispatch;
mod drain;
mod first_calls;
mod functions;
mod glue;
mod gone;
mod handshake;
mod hold;
mod ingest;
mod key_check;
mod keys;
mod known;
mod limits;
mod log;
mod making;
mod meta_events;
mod owed;
mod parked;
mod patience;
mod router;
mod sessions;
mod store;
mod sweep;
mod token;
mod transform;

use std::cell::Cell;
use std::rc::Rc;

use futures_util::future::join;
use inlet_gateway::admit::Door;
use inlet_gateway::routes::{Call, NoCall, call};
use inlet_gateway::shard::Purpose;
use serde_json::json;
use wasm_bindgen::JsValue;
use worker::{
    Context, Env, MessageBatch, Request, Result, ScheduleContext, ScheduledEvent, event, web_sys,
};

use crate::bindings::{Background, Bindings};
use crate::glue::Head;

#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, context: Context) -> Result<web_sys::Response> {
    let bindings = Bindings::new(env);
    let head = Head::of(&request);
    let reply = match call(head.method(), head.path()) {
        Ok(Call::Ingest { mask }) => {
            ingest::ingest(&request, &head, (Door::Ingest, mask), &bindings, &context).await.apart()
        }
        Ok(Call::HookstreamIngest { source }) => {
            let door = (Door::Hookstream, source);
            ingest::ingest(&request, &head, door, &bindings, &context).await.apart()
        }
        Ok(Call::Hookstream(call)) => {
            api::serve_hookstream(Request::from(request), call, &bindings, &context).await
        }
        Ok(Call::ListProviders) => {
            api::providers(head.url().split_once('?').map_or("", |(_, query)| query), None)
        }
        Ok(Call::GetProvider { name }) => api::providers("", Some(name)),
        Ok(Call::Health) => api::health(&bindings).await,
        Ok(Call::HealthOfEvents) => api::health_of_events(&bindings).await,
        Ok(Call::Home) => inlet_gateway::reply::Reply::sent_on("/docs"),
        Ok(Call::Document) => api::document(&Request::from(request)),
        Ok(Call::Docs) => api::page(&Request::from(request)),
        Ok(Call::PortalPage) => {
            inlet_gateway::portal::page(&glue::text("portal.html"), &chance::word())
        }
        Ok(Call::Consumer(call)) => {
            api::serve_consumer(Request::from(request), call, &bindings, &context).await
        }
        Ok(call) => api::serve(Request::from(request), call, &bindings, &context).await,
        Err(no_call) => {
            let allow = match no_call {
                NoCall::Path => None,
                NoCall::Method { allow } => Some(allow),
            };
            let is_hookstream = head.path().starts_with("/v1/");
            if is_hookstream { api::no_hookstream_call(allow) } else { api::no_call(allow) }
        }
    };
    sweep::opportunistic(&bindings, &context);
    glue::response(&reply)
}

/// One handler for all queues. It never returns an error: that would abort the instance.
#[event(queue)]
async fn queue(batch: MessageBatch<JsValue>, env: Env, context: Context) -> Result<()> {
    let background = Rc::new(Background { context, is_calling: Cell::new(false) });
    let bindings = Bindings::new(env).with_background(Rc::clone(&background));
    let name = batch.queue();
    match Purpose::of(&name) {
        Some(Purpose::DeadLetters) => router::unbury_batch(&batch, &bindings).await,
        Some(Purpose::Deliver) => {
            dispatch::dispatch_batch(&batch, &bindings, &background.context).await;
        }
        Some(Purpose::Ingest) => router::route_batch(&batch, &bindings).await,
        None => {
            log::error("unknown_queue", json!({"queue": name}));
            batch.retry_all();
        }
    }
    Ok(())
}

#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    let bindings = Bindings::new(env);
    join(sweep::sweep(&bindings), sweep::expire(&bindings)).await;
}
