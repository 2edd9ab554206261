//! What the document of the API says of answers. Handlers write status and message themselves, so each answer that a test gets is held
//! against it.

use std::sync::OnceLock;

use inlet_gateway::document::{Operation, operations, owner_path};

use crate::client::Reply;

/// Panics unless the document has this answer of this call, if it is Convoy's and no refusal.
#[track_caller]
pub(crate) fn check(method: &str, path: &str, reply: &Reply) {
    static OPERATIONS: OnceLock<Vec<(String, Operation)>> = OnceLock::new();
    let path = path.split('?').next().unwrap_or_default();
    let is_convoys = path.starts_with("/api/") || path.starts_with("/portal-api/");
    if !is_convoys || !(200..300).contains(&reply.status) {
        return;
    }
    let known = OPERATIONS.get_or_init(|| {
        let paths = |one: &Operation| [Some(one.path.clone()), owner_path(one)];
        let of =
            |one: Operation| paths(&one).into_iter().flatten().map(move |path| (path, one.clone()));
        operations().into_iter().flat_map(of).collect()
    });
    let fits =
        known.iter().filter(|(template, one)| one.method == method && leads_to(template, path));
    let Some((_, operation)) = fits.min_by_key(|(template, _)| template.matches('{').count())
    else {
        panic!("{method} {path} is not in the document");
    };
    let message = reply.message();
    let is_shown = operation.shows.iter().any(|shows| shows.is(reply.status, &message));
    assert!(is_shown, "{}: the document has no {} {message:?}", operation.id, reply.status);
}

/// Whether a path of the document, `/sources/{sourceID}`, has this one among its own.
fn leads_to(template: &str, path: &str) -> bool {
    let parts = |text: &str| text.split('/').count();
    let mut both = template.split('/').zip(path.split('/'));
    parts(template) == parts(path)
        && both.all(|(known, part)| known.starts_with('{') || known == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(path: &str, status: u16, message: &str) -> bool {
        let body = format!("{{\"status\":true,\"message\":\"{message}\"}}").into_bytes();
        let reply = Reply { status, headers: Vec::new(), body };
        std::panic::catch_unwind(|| check("POST", path, &reply)).is_ok()
    }

    #[test]
    fn an_answer_that_the_document_does_not_have_is_found() {
        for (path, status, message, passes) in [
            ("/api/v1/projects/p/sources", 201, "Source created successfully", true),
            ("/api/v1/projects/p/sources?a=1", 201, "Source created successfully", true),
            ("/api/v1/projects/p/sources", 201, "Source created", false),
            ("/api/v1/projects/p/sources", 201, "", false),
            ("/api/v1/projects/p/sources", 200, "Source created successfully", false),
            ("/api/v1/projects/p/sources", 400, "name:please provide a source name", true),
            ("/api/v1/projects/p/none", 200, "", false),
            ("/api/v1/projects/p/events/batchreplay", 200, "3 successful, 20 failed", true),
            ("/api/v1/projects/p/events/batchreplay", 200, "3 successful, no failed", false),
            ("/portal-api/endpoints", 201, "Endpoint created successfully", true),
            ("/portal-api/endpoints", 201, "Endpoint created", false),
            ("/ingest/m", 200, "whatever the source says", true),
        ] {
            assert_eq!(answer(path, status, message), passes, "{path} {status} {message}");
        }
    }
}
