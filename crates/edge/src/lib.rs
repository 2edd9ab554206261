#![doc = include_str!("../README.md")]

mod api;
mod bell;
mod bindings;
mod body;
mod chance;
mod config;
mod dead_letters;
mod dispatch;
mod ingest;
mod keys;
mod limits;
mod log;
mod meta_events;
mod router;
mod store;
mod sweep;
mod transform;

use inlet_gateway::reply::Reply;
use inlet_gateway::routes::{Call, NoCall, call};
use serde_json::json;
use wasm_bindgen::JsValue;
use worker::{
    Context, Env, Headers, MessageBatch, Request, Response, ResponseBuilder, Result,
    ScheduleContext, ScheduledEvent, event,
};

use crate::bindings::Bindings;

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> Result<Response> {
    let bindings = Bindings::new(env);
    let path = request.path();
    let method = request.method().to_string();
    let reply = match call(&method, &path) {
        Ok(Call::Ingest { mask }) => ingest::ingest(request, mask, &bindings, &context).await,
        Ok(Call::ListProviders) => {
            let url = request.inner().url();
            api::providers(url.split_once('?').map_or("", |(_, query)| query), None)
        }
        Ok(Call::GetProvider { name }) => api::providers("", Some(name)),
        Ok(Call::Health) => api::health(&bindings),
        Ok(Call::Document) => api::document(&request),
        Ok(Call::Docs) => api::page(&request),
        Ok(Call::Consumer(call)) => api::serve_consumer(request, call, &bindings, &context).await,
        Ok(call) => api::serve(request, call, &bindings, &context).await,
        Err(NoCall::Path) => api::no_call(None),
        Err(NoCall::Method { allow }) => api::no_call(Some(allow)),
    };
    sweep::opportunistic(&bindings, &context);
    respond(reply)
}

/// One handler for all queues. It never returns an error: that would abort the instance.
#[event(queue)]
async fn queue(batch: MessageBatch<JsValue>, env: Env, context: Context) -> Result<()> {
    let bindings = Bindings::new(env);
    let name = batch.queue();
    if name.ends_with("-dlq") {
        router::unbury_batch(&batch, &bindings).await;
    } else if name.ends_with("-deliver") {
        dispatch::dispatch_batch(&batch, &bindings, &context).await;
    } else if name.contains("-ingest-") {
        router::route_batch(&batch, &bindings).await;
    } else {
        log::error("unknown_queue", json!({"queue": name}));
        batch.retry_all();
    }
    Ok(())
}

#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    let bindings = Bindings::new(env);
    sweep::sweep(&bindings).await;
    sweep::expire(&bindings).await;
}

fn respond(reply: Reply) -> Result<Response> {
    let headers = Headers::new();
    headers.set("content-type", &reply.content_type)?;
    for (name, value) in &reply.headers {
        headers.set(name, value)?;
    }
    let response = ResponseBuilder::new().with_status(reply.status).with_headers(headers);
    Ok(if reply.body.is_empty() { response.empty() } else { response.fixed(reply.body) })
}
