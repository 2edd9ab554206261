//! The document of the API, for programs and for people.

use std::sync::OnceLock;

use inlet_gateway::reply::Reply;
use inlet_gateway::resource::Resource;
use worker::Request;

const DOCUMENT: &str = include_str!("../../assets/openapi.json");
const PAGE: &str = include_str!("../../assets/docs.html");
const SCRIPT: &str = include_str!("../../assets/docs.js");
const STYLE: &str = include_str!("../../assets/docs.css");

/// `GET /openapi.json`
pub(crate) fn document(request: &Request) -> Reply {
    static RESOURCE: OnceLock<Resource> = OnceLock::new();
    RESOURCE.get_or_init(|| Resource::document(DOCUMENT)).reply(known(request).as_deref())
}

/// `GET /docs`
pub(crate) fn page(request: &Request) -> Reply {
    static RESOURCE: OnceLock<Resource> = OnceLock::new();
    RESOURCE.get_or_init(|| Resource::page(PAGE, STYLE, SCRIPT)).reply(known(request).as_deref())
}

fn known(request: &Request) -> Option<String> {
    request.headers().get("if-none-match").ok().flatten()
}
