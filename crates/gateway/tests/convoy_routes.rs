//! Every call that Convoy documents is there, with its status and its message.

use inlet_gateway::document::{operations, owner_path};
use inlet_gateway::routes::{Call, call};

const PROJECT: &str = "/api/v1/projects/{projectID}";

/// Method, path below the project, status, message. `N`: a number.
const CALLS: &[(&str, &str, u16, &str)] = &[
    ("POST", "/sources", 201, "Source created successfully"),
    ("GET", "/sources", 200, "Sources fetched successfully"),
    ("GET", "/sources/{sourceID}", 200, "Source fetched successfully"),
    ("PUT", "/sources/{sourceID}", 202, "Source updated successfully"),
    ("DELETE", "/sources/{sourceID}", 200, "Source deleted successfully"),
    ("POST", "/sources/test_function", 200, "Transformer function run successfully"),
    ("POST", "/events", 201, "Event queued successfully"),
    ("POST", "/events/fanout", 201, "Endpoint fanout event queued successfully"),
    ("POST", "/events/broadcast", 201, "Broadcast event created successfully"),
    ("POST", "/events/dynamic", 201, "Dynamic event created successfully"),
    ("GET", "/events", 200, "App events fetched successfully"),
    ("GET", "/events/{eventID}", 200, "Endpoint event fetched successfully"),
    ("PUT", "/events/{eventID}/replay", 200, "Endpoint event replayed successfully"),
    ("POST", "/events/batchreplay", 200, "N successful, N failed"),
    ("GET", "/events/countbatchreplayevents", 200, "events count successful"),
    ("GET", "/eventdeliveries", 200, "Event deliveries fetched successfully"),
    ("GET", "/eventdeliveries/{deliveryID}", 200, "Event Delivery fetched successfully"),
    (
        "PUT",
        "/eventdeliveries/{deliveryID}/resend",
        200,
        "App event processed for retry successfully",
    ),
    ("POST", "/eventdeliveries/batchretry", 200, "Batch retry processing"),
    ("POST", "/eventdeliveries/forceresend", 200, "N successful, N failed"),
    ("GET", "/eventdeliveries/countbatchretryevents", 200, "event deliveries count successful"),
    (
        "GET",
        "/eventdeliveries/{deliveryID}/deliveryattempts",
        200,
        "Event delivery attempts fetched successfully",
    ),
    (
        "GET",
        "/eventdeliveries/{deliveryID}/deliveryattempts/{attemptID}",
        200,
        "Event delivery attempt fetched successfully",
    ),
    ("POST", "/endpoints", 201, "Endpoint created successfully"),
    ("GET", "/endpoints", 200, "Endpoints fetched successfully"),
    ("GET", "/endpoints/{endpointID}", 200, "Endpoint fetched successfully"),
    ("PUT", "/endpoints/{endpointID}", 202, "Endpoint updated successfully"),
    ("DELETE", "/endpoints/{endpointID}", 200, "Endpoint deleted successfully"),
    ("PUT", "/endpoints/{endpointID}/expire_secret", 200, "endpoint secret expired successfully"),
    ("PUT", "/endpoints/{endpointID}/pause", 202, "endpoint status updated successfully"),
    ("POST", "/endpoints/{endpointID}/activate", 202, "endpoint status successfully activated"),
    (
        "GET",
        "/endpoints/period-failure-rates",
        200,
        "Endpoint period failure rates fetched successfully",
    ),
    ("POST", "/endpoints/oauth2/test", 200, "OAuth2 connection tested"),
    ("POST", "/subscriptions", 201, "Subscription created successfully"),
    ("GET", "/subscriptions", 200, "Subscriptions fetched successfully"),
    ("GET", "/subscriptions/{subscriptionID}", 200, "Subscription fetched successfully"),
    ("PUT", "/subscriptions/{subscriptionID}", 202, "Subscription updated successfully"),
    ("DELETE", "/subscriptions/{subscriptionID}", 200, "Subscription deleted successfully"),
    ("PUT", "/subscriptions/{subscriptionID}/toggle_status", 202, ""),
    ("POST", "/subscriptions/test_filter", 200, "Filter validated successfully"),
    ("POST", "/subscriptions/test_function", 200, "Transformer function run successfully"),
    ("POST", "/subscriptions/{subscriptionID}/filters", 201, "Filter created successfully"),
    ("POST", "/subscriptions/{subscriptionID}/filters/bulk", 201, "Filters created successfully"),
    (
        "POST",
        "/subscriptions/{subscriptionID}/filters/bulk_update",
        200,
        "Filters updated successfully",
    ),
    (
        "PUT",
        "/subscriptions/{subscriptionID}/filters/bulk_update",
        200,
        "Filters updated successfully",
    ),
    ("GET", "/subscriptions/{subscriptionID}/filters", 200, "Filters retrieved successfully"),
    ("GET", "/subscriptions/{subscriptionID}/filters/{filterID}", 200, ""),
    ("PUT", "/subscriptions/{subscriptionID}/filters/{filterID}", 200, ""),
    ("DELETE", "/subscriptions/{subscriptionID}/filters/{filterID}", 200, ""),
    (
        "POST",
        "/subscriptions/{subscriptionID}/filters/test/{eventType}",
        200,
        "Filter test completed",
    ),
    ("GET", "/event-types", 200, "Event types fetched successfully"),
    ("POST", "/event-types", 201, "Event type created successfully"),
    ("PUT", "/event-types/{eventTypeID}", 202, "Event type created successfully"),
    ("POST", "/event-types/{eventTypeID}/deprecate", 200, "Event type deprecated successfully"),
    ("POST", "/event-types/import", 200, "Event types imported successfully"),
    ("POST", "/portal-links", 201, ""),
    ("GET", "/portal-links", 200, ""),
    ("GET", "/portal-links/{portalLinkID}", 200, ""),
    ("PUT", "/portal-links/{portalLinkID}", 202, ""),
    ("PUT", "/portal-links/{portalLinkID}/revoke", 200, ""),
    ("GET", "/portal-links/{portalLinkID}/refresh_token", 200, ""),
    ("GET", "/meta-events", 200, "Meta events fetched successfully"),
    ("GET", "/meta-events/{metaEventID}", 200, ""),
    (
        "PUT",
        "/meta-events/{metaEventID}/resend",
        200,
        "Meta event processed for retry successfully",
    ),
    ("POST", "/onboard", 202, "Bulk onboard request accepted"),
    ("GET", "", 200, ""),
    ("PUT", "", 202, ""),
    ("DELETE", "", 200, ""),
];

#[test]
fn every_call_of_convoys_is_there_with_its_status_and_message() {
    let operations = operations();
    for (method, path, status, message) in CALLS {
        let path = format!("{PROJECT}{path}");
        let operation = operations.iter().find(|one| one.method == *method && one.path == path);
        let operation = operation.unwrap_or_else(|| panic!("{method} {path} is not there"));
        let is_shown = operation.shows.iter().any(|shows| {
            shows.is(*status, if message.is_empty() { shows.message } else { message })
        });
        assert!(is_shown, "{method} {path} does not answer {status} {message}");
        assert!(call(method, &path).is_ok_and(|call| matches!(call, Call::InProject { .. })));
    }
    for (method, path) in
        [("GET", "/api/v1/projects"), ("POST", "/api/v1/projects"), ("GET", "/healthz")]
    {
        assert!(operations.iter().any(|one| one.method == method && one.path == path), "{path}");
    }
}

/// What Convoy mirrors below `/portal-api`.
#[test]
fn an_owner_has_the_calls_of_the_portal() {
    let operations = operations();
    for path in [
        "/endpoints",
        "/endpoints/{endpointID}",
        "/events",
        "/events/{eventID}",
        "/eventdeliveries",
        "/eventdeliveries/{deliveryID}",
        "/eventdeliveries/countbatchretryevents",
        "/eventdeliveries/{deliveryID}/deliveryattempts",
        "/subscriptions",
        "/subscriptions/{subscriptionID}",
        "/subscriptions/{subscriptionID}/filters",
        "/event-types",
    ] {
        let path = format!("{PROJECT}{path}");
        let operation = operations.iter().find(|one| one.method == "GET" && one.path == path);
        let operation = operation.unwrap_or_else(|| panic!("{path} is not there"));
        assert!(owner_path(operation).is_some(), "{path} is closed to owners");
    }
}
