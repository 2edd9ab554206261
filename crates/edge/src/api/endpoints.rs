//! Endpoints.

use inlet_gateway::endpoint::EndpointInput;
use inlet_gateway::meta_event::Kind;

use super::meta_events::tell_of;
use super::*;
use crate::store::rows;

impl Caller<'_> {
    pub(super) async fn create_endpoint(&self, project: &Project) -> Answered {
        let (endpoint, secret) = self.new_endpoint(project, api::parse(&self.body)?)?;
        let told = tell_of(project, Kind::EndpointCreated, &endpoint);
        self.change(vec![sql::insert_endpoint(&endpoint)], told).await?;
        Ok(Answer::ok(201, "Endpoint created successfully", endpoint.present_created(&secret)))
    }

    /// An endpoint that is not stored yet, and its secret.
    pub(super) fn new_endpoint(
        &self,
        project: &Project,
        input: EndpointInput,
    ) -> Result<(Endpoint, String), Refusal> {
        let vault = self.bindings.vault()?;
        let allow_private = self.bindings.settings.allow_private_endpoints;
        let (endpoint, secret) =
            Endpoint::create(input, &project.uid, allow_private, &vault, now_ms(), &mut fill)?;
        project.check_endpoint_url(&endpoint.url)?;
        self.check_circle(&endpoint)?;
        Ok((endpoint, secret))
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
        let told = tell_of(project, Kind::EndpointDeleted, &endpoint);
        self.change(sql::delete_endpoint(&project.uid, &endpoint.uid), told).await?;
        Ok(Answer::ok(200, "Endpoint deleted successfully", Value::Null))
    }

    fn check_circle(&self, endpoint: &Endpoint) -> Result<(), Refusal> {
        if endpoint.url.starts_with(&format!("{}/ingest/", self.origin)) {
            let text =
                "endpoint url refused: events would go round in circles through this gateway";
            return Err(ApiError::bad_request(text).into());
        }
        Ok(())
    }

    async fn store_endpoint(&self, project: &Project, endpoint: &Endpoint) -> Result<(), Refusal> {
        let told = tell_of(project, Kind::EndpointUpdated, endpoint);
        let done = self.change(vec![sql::update_endpoint(endpoint)], told).await?;
        let stored = done.first().map(rows::<ListRow>).transpose()?.unwrap_or_default();
        if stored.is_empty() {
            return Err(ApiError::not_found("Resource not found").into());
        }
        Ok(())
    }

    pub(super) async fn update_endpoint(&self, project: &Project, id: &str) -> Answered {
        let mut endpoint = self.endpoint(&project.uid, id).await?;
        let allow_private = self.bindings.settings.allow_private_endpoints;
        endpoint.update(api::parse(&self.body)?, allow_private, now_ms())?;
        project.check_endpoint_url(&endpoint.url)?;
        self.check_circle(&endpoint)?;
        self.store_endpoint(project, &endpoint).await?;
        Ok(Answer::ok(202, "Endpoint updated successfully", endpoint.present()))
    }

    pub(super) async fn pause_endpoint(&self, project: &Project, id: &str) -> Answered {
        let mut endpoint = self.endpoint(&project.uid, id).await?;
        endpoint.toggle_pause(now_ms())?;
        self.store_endpoint(project, &endpoint).await?;
        Ok(Answer::ok(202, "endpoint status updated successfully", endpoint.present()))
    }

    pub(super) async fn activate_endpoint(&self, project: &Project, id: &str) -> Answered {
        let mut endpoint = self.endpoint(&project.uid, id).await?;
        endpoint.activate(now_ms())?;
        self.store_endpoint(project, &endpoint).await?;
        Ok(Answer::ok(202, "endpoint status successfully activated", endpoint.present()))
    }

    pub(super) async fn expire_secret(&self, project: &Project, id: &str) -> Answered {
        let mut endpoint = self.endpoint(&project.uid, id).await?;
        let vault = self.bindings.vault()?;
        let secret =
            endpoint.expire_secret(api::parse(&self.body)?, &vault, now_ms(), &mut fill)?;
        self.store_endpoint(project, &endpoint).await?;
        let shown = endpoint.present_exchanged(&secret);
        Ok(Answer::ok(200, "endpoint secret expired successfully", shown))
    }
}
