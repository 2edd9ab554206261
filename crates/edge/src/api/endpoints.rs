//! Endpoints.

use inlet_gateway::breaker::{self, Breaker};
use inlet_gateway::endpoint::{EndpointInput, Status as EndpointStatus};
use inlet_gateway::failures::Delivered;
use inlet_gateway::meta_event::Kind;
use inlet_gateway::routes::is_ingest_url;
use inlet_gateway::sql::Kept;

use super::list::Found;
use super::meta_events::tell_of;
use super::*;
use crate::meta_events::{Told, forward};
use crate::{hold, owed};

const MISSING: &str = "Resource not found";

impl Caller<'_> {
    pub(super) async fn create_endpoint(&self, project: &Project) -> Answered {
        let (endpoint, secret) = self.new_endpoint(project, self.endpoint_input(true)?)?;
        let told = tell_of(project, Kind::EndpointCreated, &endpoint);
        self.change(vec![sql::insert_endpoint(&endpoint)], told).await?;
        // Nothing is asked of one that is new: should the events not answer, its secret would never be shown.
        let shown = self.laid_over(project, endpoint.present_created(&secret), None, None);
        Ok(Answer::ok(201, "Endpoint created successfully", shown))
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
        project.check_endpoint_header(&endpoint)?;
        self.check_circle(&endpoint)?;
        Ok((endpoint, secret))
    }

    pub(super) async fn endpoint(&self, project: &str, id: &str) -> Result<Endpoint, Refusal> {
        self.doc(&sql::endpoint(project, id), MISSING).await
    }

    pub(super) async fn list_endpoints(&self, project: &Project) -> Answered {
        let filters = [("owner_id", "ownerId")];
        let found: Found<Endpoint> =
            self.list(List::Endpoints, &project.uid, &filters, "q").await?;
        let shown = found.rows.iter().map(|one| (one.uid.as_str(), one.present())).collect();
        let shown = self.with_breakers(project, shown).await?;
        Ok(Answer::ok(200, "Endpoints fetched successfully", found.shown(shown)))
    }

    pub(super) async fn get_endpoint(&self, project: &Project, id: &str) -> Answered {
        let endpoint = self.endpoint(&project.uid, id).await?;
        self.shown(
            200,
            "Endpoint fetched successfully",
            project,
            (&endpoint.uid, endpoint.present()),
        )
        .await
    }

    /// An answer with an endpoint and its circuit breaker.
    async fn shown(
        &self,
        status: u16,
        message: &str,
        project: &Project,
        (uid, endpoint): (&str, Value),
    ) -> Answered {
        let mut shown = self.with_breakers(project, vec![(uid, endpoint)]).await?;
        Ok(Answer::ok(status, message, shown.pop().unwrap_or_default()))
    }

    /// The body of a call, from the version that the caller was written for.
    fn endpoint_input(&self, is_new: bool) -> Result<EndpointInput, Refusal> {
        Ok(api::parse(&self.version.read_endpoint(&self.body, is_new)?)?)
    }

    /// Lays over endpoints, each as it is shown, what the events say of it.
    async fn with_breakers(
        &self,
        project: &Project,
        endpoints: Vec<(&str, Value)>,
    ) -> Result<Vec<Value>, Refusal> {
        let ids: Vec<&str> = endpoints.iter().map(|(uid, _)| *uid).collect();
        let breakers = hold::breakers(project, &ids, self.bindings).await?;
        let delivered: Vec<Delivered> = match ids.as_slice() {
            [] => Vec::new(),
            ids => {
                let statement = sql::deliveries_of_endpoints(&project.uid, ids);
                self.bindings.events(project.shard)?.rows(&statement).await?
            }
        };
        let laid_over = endpoints.into_iter().map(|(uid, shown)| {
            let breaker = breakers.iter().find(|breaker| breaker.endpoint_id == uid);
            let delivered = delivered.iter().find(|one| one.endpoint_id == uid);
            self.laid_over(project, shown, breaker, delivered)
        });
        Ok(laid_over.collect())
    }

    /// Lays over an endpoint what is found of it, and shows it as the caller knows it.
    fn laid_over(
        &self,
        project: &Project,
        mut shown: Value,
        breaker: Option<&Breaker>,
        delivered: Option<&Delivered>,
    ) -> Value {
        let fields = breaker::present(breaker, &project.config.circuit_breaker, now_ms());
        if let (Value::Object(shown), Value::Object(fields)) = (&mut shown, fields) {
            shown.extend(fields);
            shown.insert("events".into(), json!(delivered.map_or(0, |one| one.n)));
        }
        self.version.show_endpoint(shown)
    }

    pub(super) async fn delete_endpoint(&self, project: &Project, id: &str) -> Answered {
        let endpoint = self.endpoint(&project.uid, id).await?;
        let told = tell_of(project, Kind::EndpointDeleted, &endpoint);
        self.change(sql::delete_endpoint(&project.uid, &endpoint.uid, now_ms()), told).await?;
        // What waits for it ends.
        owed::pay_to(&project.uid, self.bindings).await;
        Ok(Answer::ok(200, "Endpoint deleted successfully", Value::Null))
    }

    pub(super) fn check_circle(&self, endpoint: &Endpoint) -> Result<(), ApiError> {
        if is_ingest_url(&self.origin, &endpoint.url) {
            let text =
                "endpoint url refused: events would go round in circles through this gateway";
            return Err(ApiError::bad_request(text));
        }
        Ok(())
    }

    /// Stores a changed endpoint that was last changed at `before`, does what is owed for the change, and answers with the
    /// endpoint as it is `shown`.
    async fn store_endpoint(
        &self,
        project: &Project,
        endpoint: &Endpoint,
        before: u64,
        owed: Option<Statement>,
        (status, message, shown): (u16, &str, Value),
    ) -> Answered {
        let told = tell_of(project, Kind::EndpointUpdated, endpoint);
        let mut statements = vec![sql::update_endpoint(endpoint, before)];
        let kept = Kept::Endpoint(&project.uid, &endpoint.uid);
        let note = |told: &Told| sql::if_changed(told.note.clone(), kept, endpoint.updated_at);
        statements.extend(told.iter().map(note));
        let is_owed = owed.is_some();
        statements.extend(owed.map(|owed| sql::if_changed(owed, kept, endpoint.updated_at)));
        let find = sql::endpoint(&project.uid, &endpoint.uid);
        self.replace(Replace { what: "endpoint", find, missing: MISSING, statements }).await?;
        forward(told, self.bindings, self.context).await;
        if is_owed {
            owed::pay_to(&project.uid, self.bindings).await;
        }
        match self.shown(status, message, project, (&endpoint.uid, shown.clone())).await {
            Ok(answer) => Ok(answer),
            // It is changed: should the events not answer, what they say is left out.
            Err(refusal) => {
                let status_of = refusal.reply().status;
                log::error("endpoint_shown_alone", json!({"status": status_of}));
                Ok(Answer::ok(status, message, self.version.show_endpoint(shown)))
            }
        }
    }

    pub(super) async fn update_endpoint(&self, project: &Project, id: &str) -> Answered {
        let mut endpoint = self.endpoint(&project.uid, id).await?;
        let (limit, before) = (endpoint.rate_limit, endpoint.updated_at);
        let url = endpoint.url.clone();
        let allow_private = self.bindings.settings.allow_private_endpoints;
        let vault = self.bindings.vault()?;
        endpoint.update(self.endpoint_input(false)?, allow_private, &vault, now_ms(), &mut fill)?;
        if endpoint.url != url {
            project.check_endpoint_url(&endpoint.url)?;
            self.check_circle(&endpoint)?;
        }
        project.check_endpoint_header(&endpoint)?;
        let owed = (endpoint.rate_limit != limit)
            .then(|| sql::owe_limit(&project.uid, &endpoint.uid, endpoint.updated_at));
        let answer = (202, "Endpoint updated successfully", endpoint.present());
        self.store_endpoint(project, &endpoint, before, owed, answer).await
    }

    pub(super) async fn pause_endpoint(&self, project: &Project, id: &str) -> Answered {
        let mut endpoint = self.endpoint(&project.uid, id).await?;
        let before = endpoint.updated_at;
        endpoint.toggle_pause(now_ms())?;
        let owed = (endpoint.status == EndpointStatus::Active)
            .then(|| sql::owe_endpoint(&project.uid, &endpoint.uid, endpoint.updated_at));
        let answer = (202, "endpoint status updated successfully", endpoint.present());
        self.store_endpoint(project, &endpoint, before, owed, answer).await
    }

    pub(super) async fn activate_endpoint(&self, project: &Project, id: &str) -> Answered {
        let mut endpoint = self.endpoint(&project.uid, id).await?;
        let before = endpoint.updated_at;
        endpoint.activate(now_ms())?;
        let owed = sql::owe_endpoint(&project.uid, &endpoint.uid, endpoint.updated_at);
        let answer = (202, "endpoint status successfully activated", endpoint.present());
        self.store_endpoint(project, &endpoint, before, Some(owed), answer).await
    }

    pub(super) async fn expire_secret(&self, project: &Project, id: &str) -> Answered {
        let mut endpoint = self.endpoint(&project.uid, id).await?;
        let vault = self.bindings.vault()?;
        let before = endpoint.updated_at;
        let secret =
            endpoint.expire_secret(api::parse(&self.body)?, &vault, now_ms(), &mut fill)?;
        let shown = endpoint.present_exchanged(&secret);
        let answer = (200, "endpoint secret expired successfully", shown);
        self.store_endpoint(project, &endpoint, before, None, answer).await
    }
}
