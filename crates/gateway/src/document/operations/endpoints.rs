//! Endpoints.

use serde_json::json;

use super::{BAD_QUERY, CHANGED, dates, in_project, paging, samples, several};
use crate::document::{Data, Operation, parameter};
use crate::endpoint::{EndpointInput, ExpireInput};
use crate::oauth::Oauth2Test;

pub(super) fn endpoints() -> Vec<Operation> {
    use Data::{Nothing, One, Page, Plain};
    let rates = json!({"type": "array", "items": {"type": "object",
        "required": ["uid", "period_failure_rate", "success_count", "failure_count", "retry_count"], "properties": {
        "uid": {"type": "string"}, "period_failure_rate": {"type": ["number", "null"], "description": "From 0 to 1."},
        "success_count": {"type": "integer"}, "failure_count": {"type": "integer"}, "retry_count": {"type": "integer"}}}});
    let rate = json!([{"uid": samples::ENDPOINT, "period_failure_rate": 0.25, "success_count": 3, "failure_count": 1, "retry_count": 0}]);
    let tested = json!({"type": "object", "required": ["success", "message", "error"], "properties": {
        "success": {"type": "boolean"}, "message": {"type": "string"}, "error": {"type": "string"},
        "access_token": {"type": "string", "description": "Masked."}, "token_type": {"type": "string"},
        "expires_at": {"type": ["string", "null"]}}});
    vec![
        in_project("GET", "/endpoints/period-failure-rates", "failureRates", "Count the failures of endpoints")
            .about("Of the last seven days, unless `startDate` says otherwise. What is retried has failed.")
            .query(&[several("endpointId", "Of these endpoints.")])
            .query(&dates().into_iter().take(2).collect::<Vec<_>>())
            .fails(400, BAD_QUERY)
            .shows(200, "Endpoint period failure rates fetched successfully", Plain(rates, rate)),
        in_project("POST", "/endpoints/oauth2/test", "testOauth2", "Try an OAuth client")
            .about("Asks for a token, and says whether it was granted.")
            .reads::<Oauth2Test>(
                r#"{"oauth2":{"url":"https://id.example.com/token","client_id":"inlet","client_secret":"one-of-theirs"}}"#,
            )
            .shows(200, "OAuth2 connection tested", Plain(tested, json!({"success": true, "message": "a token was granted",
                "access_token": "********", "token_type": "Bearer", "expires_at": "2026-11-26T13:00:00Z", "error": ""}))),
        in_project("GET", "/endpoints", "listEndpoints", "List endpoints")
            .query(&[
                parameter("ownerId", "Endpoints of this owner."),
                parameter("q", "Part of the name."),
            ])
            .query(&paging())
            .shows(200, "Endpoints fetched successfully", Page("Endpoint")),
        in_project("POST", "/endpoints", "createEndpoint", "Create an endpoint")
            .reads::<EndpointInput>(samples::ENDPOINT_BODY)
            .required(&["name", "url"])
            .shows(201, "Endpoint created successfully", One("Endpoint")),
        in_project("GET", "/endpoints/{endpointID}", "getEndpoint", "Get an endpoint").shows(
            200,
            "Endpoint fetched successfully",
            One("Endpoint"),
        ),
        in_project("PUT", "/endpoints/{endpointID}", "updateEndpoint", "Change an endpoint")
            .about("What is left out stays.")
            .reads::<EndpointInput>(r#"{"name":"billing","http_timeout":30}"#)
            .fails(409, CHANGED)
            .shows(202, "Endpoint updated successfully", One("Endpoint")),
        in_project("DELETE", "/endpoints/{endpointID}", "deleteEndpoint", "Delete an endpoint")
            .about("Its subscriptions go with it.")
            .shows(200, "Endpoint deleted successfully", Nothing),
        in_project("PUT", "/endpoints/{endpointID}/pause", "pauseEndpoint", "Pause, or go on")
            .fails(400, "The endpoint is inactive.")
            .fails(409, CHANGED)
            .shows(202, "endpoint status updated successfully", One("Endpoint")),
        in_project(
            "POST",
            "/endpoints/{endpointID}/activate",
            "activateEndpoint",
            "Activate an endpoint",
        )
        .fails(400, "The endpoint is active.")
        .fails(409, CHANGED)
        .shows(202, "endpoint status successfully activated", One("Endpoint")),
        in_project(
            "PUT",
            "/endpoints/{endpointID}/expire_secret",
            "expireSecret",
            "Exchange the secret",
        )
        .about(
            "Adds a secret, shown this once; the one before it goes on signing for `expiration` hours, and those before that until \
             the end that they have. Without `expiration` the one before it ends at once; 0 ends all that are there. Five sign at \
             most: a sixth is refused while all of them have time left.",
        )
        .reads::<ExpireInput>(r#"{"expiration":24}"#)
        .fails(409, CHANGED)
        .shows(200, "endpoint secret expired successfully", One("Endpoint")),
    ]
}
