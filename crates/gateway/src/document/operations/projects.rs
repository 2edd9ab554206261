//! Projects.

use super::{CHANGED, NO_PAGES, in_project, open, samples};
use crate::document::{Access, Data, Operation};
use crate::project::ProjectInput;

pub(super) fn projects() -> Vec<Operation> {
    use Data::{List, One};
    vec![
        open("GET", "/api/v1/projects", "listProjects", "List projects")
            .access(Access::Project)
            .about("All of them with `ROOT_KEY`, its own with a project's key.")
            .fails(400, NO_PAGES)
            .shows(200, "Projects fetched successfully", List("Project")),
        open("POST", "/api/v1/projects", "createProject", "Create a project")
            .access(Access::Root)
            .reads::<ProjectInput>(samples::PROJECT_BODY)
            .required(&["name", "type"])
            .shows(201, "Project created successfully", One("CreatedProject")),
        in_project("GET", "", "getProject", "Get a project").shows(
            200,
            "Project fetched successfully",
            One("Project"),
        ),
        in_project("PUT", "", "updateProject", "Change a project")
            .about("What concerns all of its sources reaches 200 of them with the call, and the others within minutes: `untold_sources` beside `data` says how many.")
            .reads::<ProjectInput>(
                r#"{"config":{"strategy":{"type":"linear","duration":60,"retry_count":5}}}"#,
            )
            .fails(409, CHANGED)
            .shows(202, "Project updated successfully", One("Project")),
    ]
}
