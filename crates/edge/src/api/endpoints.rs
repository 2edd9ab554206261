//! Endpoints.

use super::*;

impl Caller<'_> {
    pub(super) async fn create_endpoint(&self, project: &str) -> Answered {
        let vault = self.bindings.vault()?;
        let input = api::parse(&self.body)?;
        let allow_private = self.bindings.settings.allow_private_endpoints;
        let (endpoint, secret) =
            Endpoint::create(input, project, allow_private, &vault, now_ms(), &mut fill)?;
        if endpoint.url.starts_with(&format!("{}/ingest/", self.origin)) {
            let text =
                "endpoint url refused: events would go round in circles through this gateway";
            return Err(ApiError::bad_request(text).into());
        }
        self.bindings.db()?.run(&sql::insert_endpoint(&endpoint)).await?;
        Ok(Answer::ok(201, "Endpoint created successfully", endpoint.present_created(&secret)))
    }

    pub(super) async fn endpoint(&self, project: &str, id: &str) -> Result<Endpoint, Refusal> {
        self.doc(&sql::endpoint(project, id), "Resource not found").await
    }

    pub(super) async fn list_endpoints(&self, project: &Project) -> Answered {
        let filters = [("owner_id", "ownerId")];
        let content =
            self.list(List::Endpoints, &project.uid, &filters, "q", Endpoint::present).await?;
        Ok(Answer::ok(200, "Endpoints fetched successfully", content))
    }

    pub(super) async fn get_endpoint(&self, project: &Project, id: &str) -> Answered {
        let endpoint = self.endpoint(&project.uid, id).await?;
        Ok(Answer::ok(200, "Endpoint fetched successfully", endpoint.present()))
    }

    pub(super) async fn delete_endpoint(&self, project: &Project, id: &str) -> Answered {
        let endpoint = self.endpoint(&project.uid, id).await?;
        self.bindings.db()?.batch(&sql::delete_endpoint(&project.uid, &endpoint.uid)).await?;
        Ok(Answer::ok(200, "Endpoint deleted successfully", Value::Null))
    }
}
