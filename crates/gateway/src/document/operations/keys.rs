//! The keys of a project, and its end.

use super::{NO_PAGES, in_project};
use crate::api_key::{KeyInput, RegenerateInput};
use crate::document::{Access, Data, Operation};

pub(super) fn keys() -> Vec<Operation> {
    use Data::{List, Nothing, One};
    vec![
        in_project("DELETE", "", "deleteProject", "Delete a project")
            .access(Access::Root)
            .about("Its sources are gone at once (of more than 200 the others within minutes: `untold_sources` beside `data` says how many), its events in the minutes that follow.")
            .shows(200, "Project deleted successfully", Nothing),
        in_project("GET", "/api-keys", "listApiKeys", "List API keys")
            .about("Those that are valid, masked.")
            .fails(400, NO_PAGES)
            .shows(200, "api keys fetched successfully", List("ApiKey")),
        in_project("POST", "/api-keys", "createApiKey", "Create an API key")
            .reads::<KeyInput>(r#"{"name":"deployment","expires_at":"2030-01-31T00:00:00Z"}"#)
            .required(&["name"])
            .shows(201, "api key created successfully", One("ApiKey")),
        in_project("DELETE", "/api-keys/{keyID}", "deleteApiKey", "Revoke an API key")
            .about("It opens nothing from then on.")
            .shows(200, "api key revoked successfully", Nothing),
        in_project(
            "PUT",
            "/security/keys/regenerate",
            "regenerateApiKey",
            "Get another key for the project",
        )
        .about("In place of the one that the project came with. The body may be left out.")
        .reads::<RegenerateInput>(r#"{"expiration":24}"#)
        .optional()
        .shows(200, "api key regenerated successfully", One("ApiKey")),
    ]
}
