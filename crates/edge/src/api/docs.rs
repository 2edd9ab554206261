//! The document of the API, for programs and for people.

use std::sync::OnceLock;

use inlet_gateway::reply::Reply;
use inlet_gateway::resource::Resource;
use worker::Request;

use crate::glue::text;

/// `GET /openapi.json`
pub(crate) fn document(request: &Request) -> Reply {
    static RESOURCE: OnceLock<Resource> = OnceLock::new();
    RESOURCE
        .get_or_init(|| Resource::document(text("openapi.json")))
        .reply(known(request).as_deref())
}

/// `GET /docs`
pub(crate) fn page(request: &Request) -> Reply {
    static RESOURCE: OnceLock<Resource> = OnceLock::new();
    let read = || Resource::page(&text("docs.html"), &text("docs.css"), &text("docs.page.js"));
    RESOURCE.get_or_init(read).reply(known(request).as_deref())
}

fn known(request: &Request) -> Option<String> {
    request.headers().get("if-none-match").ok().flatten()
}
