//! Portal links.

use serde_json::json;

use super::{CHANGED, in_project, open, paging, samples};
use crate::document::{Access, Data, Operation, parameter};
use crate::portal::PortalLinkInput;

pub(super) fn portal() -> Vec<Operation> {
    use Data::{Nothing, One, Page, Plain};
    vec![
        in_project("GET", "/portal-links", "listPortalLinks", "List portal links")
            .query(&[
                parameter("ownerId", "Links of this owner."),
                parameter("q", "Part of the name."),
            ])
            .query(&paging())
            .shows(200, "Portal links fetched successfully", Page("PortalLink")),
        in_project("POST", "/portal-links", "createPortalLink", "Create a portal link")
            .reads::<PortalLinkInput>(samples::PORTAL_BODY)
            .required(&["name", "owner_id"])
            .shows(201, "Portal link created successfully", One("PortalLink")),
        in_project("GET", "/portal-links/{portalLinkID}", "getPortalLink", "Get a portal link")
            .shows(200, "Portal link fetched successfully", One("PortalLink")),
        in_project("PUT", "/portal-links/{portalLinkID}", "updatePortalLink", "Change a portal link")
            .about("What is left out stays. Another `auth_type` makes the tokens before it void.")
            .reads::<PortalLinkInput>(r#"{"can_manage_endpoint":false}"#)
            .fails(409, CHANGED)
            .shows(202, "Portal link updated successfully", One("PortalLink")),
        in_project("PUT", "/portal-links/{portalLinkID}/revoke", "revokePortalLink", "Revoke a portal link")
            .about("Its tokens open nothing from then on.")
            .shows(200, "Portal link revoked successfully", Nothing),
        in_project("GET", "/portal-links/{portalLinkID}/refresh_token", "refreshPortalToken", "Get a token of an hour")
            .fails(400, "The link has a static token.")
            .shows(200, "Portal link auth token refreshed successfully", Plain(
                json!({"type": "string"}), json!("PRT.…"))),
        open("GET", "/portal-api/portal_link", "getOwnPortalLink", "Get the link that one holds")
            .access(Access::Project)
            .about("With a portal token, as `Bearer` or as `?token=`. The calls of endpoints, subscriptions, events and \
                deliveries are there for its holder, too, below `/portal-api` in place of `/api/v1/projects/{projectID}`: \
                they show what is the owner's, and what is not is 401. An endpoint gets the owner of the link, whatever `owner_id` says. \
                What changes endpoints is 403 without `can_manage_endpoint`; subscriptions, their filters, events and resends \
                are open to every link.")
            .shows(200, "Portal link fetched successfully", One("PortalLink")),
        open("HEAD", "/portal", "pingPortalPage", "Is there a page of portal links?")
            .answers(json!({"200": {"description": "Yes, whatever the link."}})),
        open("GET", "/portal", "portalPage", "The page of a portal link")
            .about("What the `url` of a link leads to: a page that shows what its token opens, and does with it what the API lets its holder do.")
            .answers(json!({"200": {"description": "A page that needs nothing else but the API.",
                "content": {"text/html": {"schema": {"type": "string"}}}}})),
    ]
}
