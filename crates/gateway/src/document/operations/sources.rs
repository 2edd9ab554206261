//! Sources.

use super::{CHANGED, NO_PAGES, SORT, event_types, in_project, paging, samples};
use crate::document::{Data, Operation, parameter};
use crate::source::{ArmInput, SourceInput};

pub(super) fn sources() -> Vec<Operation> {
    use Data::{List, Nothing, One, Page};
    vec![
        in_project("GET", "/sources", "listSources", "List sources")
            .query(&[
                parameter("type", "Sources of this type."),
                parameter("provider", "Sources of this provider."),
                parameter("q", "Part of the name."),
                SORT,
            ])
            .query(&paging())
            .shows(200, "Sources fetched successfully", Page("Source")),
        in_project("POST", "/sources", "createSource", "Create a source")
            .reads::<SourceInput>(samples::GITHUB_BODY)
            .or("own", samples::HMAC_BODY)
            .required(&["name", "type"])
            .fails(409, "Another source of the project has the slug.")
            .shows(201, "Source created successfully", One("Source")),
        event_types::trial(
            "/sources/test_function",
            "testSourceFunction",
            r#"{"type":"body","function":"function transform(x) { return {event_type: x.type, data: x} }","payload":{"type":"invoice.paid"}}"#,
        ),
        in_project("GET", "/sources/{sourceID}", "getSource", "Get a source")
            .shows(200, "Source fetched successfully", One("Source")),
        in_project("PUT", "/sources/{sourceID}", "updateSource", "Change a source")
            .about("`name` and `type` are always replaced, the rest where it is given. A change is seen everywhere within 100 seconds.")
            .reads::<SourceInput>(r#"{"name":"github","type":"http","is_disabled":true}"#)
            .required(&["name", "type"])
            .fails(409, "Another source of the project has the slug, or somebody else changes this one: try again.")
            .shows(202, "Source updated successfully", One("Source")),
        in_project("DELETE", "/sources/{sourceID}", "deleteSource", "Delete a source")
            .about("Its subscriptions go with it.")
            .shows(200, "Source deleted successfully", Nothing),
        in_project("POST", "/sources/{sourceID}/arm", "armSource", "Take a secret from the provider")
            .about("For a provider that hands over its secret in a first request: it is taken for some time, and only while there is none.")
            .reads::<ArmInput>(r#"{"seconds":600}"#)
            .fails(409, CHANGED)
            .shows(200, "Source armed successfully", One("Source")),
        in_project("GET", "/sources/{sourceID}/handed-over", "getHandedOver", "Show the secret that was handed over")
            .about("For a provider that wants to be told the secret that it handed over (Notion): for an hour after it came, and then 404.")
            .shows(200, "Secret fetched successfully", One("HandedOver")),
        in_project("GET", "/sources/{sourceID}/rejections", "listRejections", "List refused requests")
            .about("Whatever the status was. At most one in five seconds is kept, with what explains it; `refused_since_the_last` counts those between. `body_bytes` is null where the body was not read and did not say its length.")
            .fails(400, NO_PAGES).shows(200, "Rejected requests fetched successfully", List("Rejection")),
    ]
}
