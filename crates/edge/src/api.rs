//! The REST API: dialect in, one domain call, dialect out.

use inlet_gateway::api::{self, Answer, ApiError, Direction, Page, PageQuery};
use inlet_gateway::deliver::{Attempt, Delivery};
use inlet_gateway::endpoint::Endpoint;
use inlet_gateway::event::StoredEvent;
use inlet_gateway::ids::same_moment;
use inlet_gateway::payload::query_value;
use inlet_gateway::project::{NewApiKey, Project};
use inlet_gateway::reply::Reply;
use inlet_gateway::routes::{Call, ProjectCall};
use inlet_gateway::source::Source;
use inlet_gateway::sql::{self, List, Statement};
use inlet_gateway::subscription::Subscription;
use inlet_gateway::vault::VaultError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use worker::Request;

use crate::bindings::Bindings;
use crate::body::{self, Unread};
use crate::chance::{fill, now_ms};
use crate::store::Doc;
use crate::{config, dispatch, log};

/// The largest request body of the API.
const BODY_MAX_BYTES: u64 = 1024 * 1024;
/// How long a reader waits for memory for a large body.
const BODY_WAIT_MS: u64 = 10_000;

type Answered = Result<Answer, Refusal>;

/// Why a call was not carried out.
enum Refusal {
    /// The caller has to change something.
    Api(ApiError),
    /// We have to; the caller may try again.
    Store(worker::Error),
    Vault(VaultError),
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<worker::Error> for Refusal {
    fn from(error: worker::Error) -> Self {
        Self::Store(error)
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<VaultError> for Refusal {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

impl Refusal {
    fn reply(self) -> Reply {
        let (error, retry) = match self {
            Self::Api(error) => (error, false),
            Self::Store(error) => {
                log::error("store_failed", json!({"error": error.to_string()}));
                (ApiError::new(503, "the database is unavailable right now, try again"), true)
            }
            Self::Vault(error) => {
                log::error("vault_failed", json!({"error": error.to_string()}));
                (
                    ApiError::new(
                        503,
                        "the gateway is not configured: its ENCRYPTION_KEY does not fit",
                    ),
                    true,
                )
            }
        };
        let mut reply = reply(&error.answer());
        if retry {
            reply.headers.push(("retry-after", "10".into()));
        }
        reply
    }
}

fn reply(answer: &Answer) -> Reply {
    Reply {
        status: answer.status,
        content_type: "application/json".into(),
        headers: Vec::new(),
        body: answer.body.to_string().into_bytes(),
    }
}

/// A call with what belongs to it.
struct Caller<'a> {
    bindings: &'a Bindings,
    query: String,
    origin: String,
    body: Vec<u8>,
}

/// Who is calling.
enum Key {
    Root,
    Project(Box<Project>),
}

/// Carries out a call of the API.
pub(crate) async fn serve(mut request: Request, call: Call<'_>, bindings: &Bindings) -> Reply {
    match carry_out(&mut request, call, bindings).await {
        Ok(reply) => reply,
        Err(refusal) => refusal.reply(),
    }
}

async fn carry_out(
    request: &mut Request,
    call: Call<'_>,
    bindings: &Bindings,
) -> Result<Reply, Refusal> {
    let header = |name: &str| request.headers().get(name).ok().flatten().unwrap_or_default();
    let key = authenticate(&header("authorization"), bindings).await?;
    let content_type = header("content-type").trim().to_ascii_lowercase();
    if !content_type.is_empty() && !content_type.starts_with("application/json") {
        return Err(ApiError::new(415, "the body of an API call is application/json").into());
    }
    let url = request.inner().url();
    let (before_query, query) = url.split_once('?').unwrap_or((&url, ""));
    let origin = before_query.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
    let query = query.to_owned();
    let origin = if bindings.settings.public_url.is_empty() {
        origin
    } else {
        bindings.settings.public_url.clone()
    };
    let length = body::length(request);
    let (body, _share) =
        body::read(request, length, BODY_MAX_BYTES).await.map_err(|unread| match unread {
            Unread::TooLarge => ApiError::new(413, "request body too large"),
            Unread::Busy => {
                ApiError::new(503, "the gateway holds too many large bodies right now, try again")
            }
            Unread::Broken => ApiError::bad_request("the request body could not be read"),
        })?;
    let caller = Caller { bindings, query, origin, body };
    match (call, key) {
        (Call::CreateProject, Key::Root) => Ok(reply(&caller.create_project().await?)),
        (Call::ListProjects, Key::Root) => Ok(reply(&caller.list_projects().await?)),
        (Call::ListProjects, Key::Project(project)) => {
            Ok(reply(&Answer::ok(200, "Projects fetched successfully", json!([project.present()]))))
        }
        (Call::InProject { project, call }, key) => {
            let project = match key {
                Key::Project(own) if own.uid == project => *own,
                Key::Project(_) => {
                    return Err(
                        ApiError::new(403, "this API key belongs to another project").into()
                    );
                }
                Key::Root => caller.doc(&sql::project(project), "project not found").await?,
            };
            if let ProjectCall::GetEvent(id) = call {
                return caller.get_event(&project, id).await;
            }
            Ok(reply(&caller.in_project(project, call).await?))
        }
        _ => Err(ApiError::new(403, "this needs the ROOT_KEY").into()),
    }
}

/// Reads `Authorization: Bearer …`. Keys are compared by their keyed hashes.
async fn authenticate(authorization: &str, bindings: &Bindings) -> Result<Key, Refusal> {
    let bearer =
        authorization.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some(key) = bearer.map(|(_, key)| key.trim()).filter(|key| !key.is_empty()) else {
        return Err(ApiError::new(401, "Authentication required").into());
    };
    let vault = bindings.vault()?;
    let hash = vault.hash_api_key(key);
    if bindings.root_key().is_some_and(|root| vault.hash_api_key(root.trim()) == hash) {
        return Ok(Key::Root);
    }
    match bindings.db()?.row::<Doc>(&sql::project_of_key(&hash)).await? {
        Some(doc) => Ok(Key::Project(Box::new(doc.read()?))),
        None => Err(ApiError::new(401, "authorization failed").into()),
    }
}

fn taken() -> ApiError {
    ApiError::bad_request("a project with this name already exists")
}

/// A change that is stored, but that others may not learn of at once, is not reported as made.
fn told(published: worker::Result<()>) -> Result<(), Refusal> {
    published.map_err(|_| {
        let text = "the change is stored, but the edge could not be told: repeat the call, or wait 7 minutes";
        Refusal::Api(ApiError::new(503, text))
    })
}

impl Caller<'_> {
    async fn doc<T: DeserializeOwned>(
        &self,
        statement: &Statement,
        missing: &str,
    ) -> Result<T, Refusal> {
        let doc: Option<Doc> = self.bindings.db()?.row(statement).await?;
        Ok(doc.ok_or_else(|| ApiError::not_found(missing))?.read()?)
    }

    async fn create_project(&self) -> Answered {
        let now = now_ms();
        let project = Project::create(api::parse(&self.body)?, 0, now, &mut fill)?;
        let db = self.bindings.db()?;
        if db.row::<Doc>(&sql::project_named(&project.name)).await?.is_some() {
            return Err(taken().into());
        }
        let key = NewApiKey::generate(now, &mut fill);
        let hash = self.bindings.vault()?.hash_api_key(&key.key);
        let insert_key = sql::insert_api_key(&hash, &key.uid, &project.uid, now);
        if let Err(error) = db.batch(&[sql::insert_project(&project), insert_key]).await {
            // Somebody else took the name between the look-up and the insert.
            let is_taken = error.to_string().contains("UNIQUE constraint failed");
            return Err(if is_taken { taken().into() } else { error.into() });
        }
        Ok(Answer::ok(201, "Project created successfully", key.present_with(&project)))
    }

    async fn list_projects(&self) -> Answered {
        let docs: Vec<Doc> = self.bindings.db()?.rows(&sql::projects()).await?;
        let projects: Vec<Project> = docs.iter().map(Doc::read).collect::<worker::Result<_>>()?;
        let shown: Vec<Value> = projects.iter().map(Project::present).collect();
        Ok(Answer::ok(200, "Projects fetched successfully", json!(shown)))
    }

    async fn in_project(&self, project: Project, call: ProjectCall<'_>) -> Answered {
        let id = project.uid.as_str();
        match call {
            ProjectCall::Get => {
                Ok(Answer::ok(200, "Project fetched successfully", project.present()))
            }
            ProjectCall::Update => self.update_project(project).await,
            ProjectCall::CreateSource => self.create_source(&project).await,
            ProjectCall::ListSources => self.list_sources(id).await,
            ProjectCall::GetSource(source) => {
                let source = self.source(id, source).await?;
                Ok(Answer::ok(200, "Source fetched successfully", source.present(&self.origin)))
            }
            ProjectCall::UpdateSource(source) => self.update_source(&project, source).await,
            ProjectCall::DeleteSource(source) => {
                let source = self.source(id, source).await?;
                // First, so that a call that fails can be repeated; and again, should a reader have put a copy back.
                told(config::withdraw(self.bindings, &source.mask_id).await)?;
                self.bindings.db()?.batch(&sql::delete_source(id, &source.uid)).await?;
                config::withdraw(self.bindings, &source.mask_id).await.unwrap_or_default();
                Ok(Answer::ok(200, "Source deleted successfully", Value::Null))
            }
            ProjectCall::CreateEndpoint => self.create_endpoint(id).await,
            ProjectCall::ListEndpoints => {
                let content = self.list::<Endpoint>(
                    List::Endpoints,
                    id,
                    &[("owner_id", "ownerId")],
                    "q",
                    Endpoint::present,
                );
                Ok(Answer::ok(200, "Endpoints fetched successfully", content.await?))
            }
            ProjectCall::GetEndpoint(endpoint) => {
                let endpoint: Endpoint =
                    self.doc(&sql::endpoint(id, endpoint), "Resource not found").await?;
                Ok(Answer::ok(200, "Endpoint fetched successfully", endpoint.present()))
            }
            ProjectCall::DeleteEndpoint(endpoint) => {
                let endpoint: Endpoint =
                    self.doc(&sql::endpoint(id, endpoint), "Resource not found").await?;
                self.bindings.db()?.batch(&sql::delete_endpoint(id, &endpoint.uid)).await?;
                Ok(Answer::ok(200, "Endpoint deleted successfully", Value::Null))
            }
            ProjectCall::CreateSubscription => self.create_subscription(&project).await,
            ProjectCall::ListSubscriptions => {
                let filters = [("endpoint_id", "endpointId"), ("source_id", "sourceId")];
                let content = self.list::<Subscription>(
                    List::Subscriptions,
                    id,
                    &filters,
                    "name",
                    Subscription::present,
                );
                Ok(Answer::ok(200, "Subscriptions fetched successfully", content.await?))
            }
            ProjectCall::GetSubscription(subscription) => {
                let subscription = self.subscription(id, subscription).await?;
                Ok(Answer::ok(200, "Subscription fetched successfully", subscription.present()))
            }
            ProjectCall::DeleteSubscription(subscription) => {
                let subscription = self.subscription(id, subscription).await?;
                self.bindings.db()?.run(&sql::delete_subscription(id, &subscription.uid)).await?;
                Ok(Answer::ok(200, "Subscription deleted successfully", Value::Null))
            }
            ProjectCall::ListDeliveries => self.list_deliveries(&project).await,
            ProjectCall::GetDelivery(delivery) => {
                let delivery = self.delivery(&project, delivery).await?;
                let shown = delivery.present(&project.config.strategy);
                Ok(Answer::ok(200, "Event Delivery fetched successfully", shown))
            }
            ProjectCall::ListAttempts(delivery) => {
                let delivery = self.delivery(&project, delivery).await?;
                let attempts = self.attempts(&project, &delivery).await?;
                let shown: Vec<Value> =
                    attempts.iter().map(|attempt| attempt.present(&delivery)).collect();
                Ok(Answer::ok(200, "Event delivery attempts fetched successfully", json!(shown)))
            }
            ProjectCall::GetAttempt { delivery, attempt } => {
                let delivery = self.delivery(&project, delivery).await?;
                let attempts = self.attempts(&project, &delivery).await?;
                let found = attempts.iter().find(|have| have.uid == attempt);
                let found =
                    found.ok_or_else(|| ApiError::not_found("event delivery attempt not found"))?;
                Ok(Answer::ok(
                    200,
                    "Event delivery attempt fetched successfully",
                    found.present(&delivery),
                ))
            }
            ProjectCall::GetEvent(_) => Err(ApiError::not_found("event not found").into()),
        }
    }

    async fn update_project(&self, mut project: Project) -> Answered {
        let old_name = project.name.clone();
        project.update(api::parse(&self.body)?, now_ms(), &mut fill)?;
        let db = self.bindings.db()?;
        if project.name != old_name
            && db.row::<Doc>(&sql::project_named(&project.name)).await?.is_some()
        {
            return Err(taken().into());
        }
        if let Err(error) = db.run(&sql::update_project(&project)).await {
            let is_taken = error.to_string().contains("UNIQUE constraint failed");
            return Err(if is_taken { taken().into() } else { error.into() });
        }
        // The sources' snapshots hold what the project decides for them.
        let mut query =
            PageQuery { per_page: api::PER_PAGE_MAX, direction: Direction::Next, cursor: None };
        loop {
            let (page, _) = sql::list(List::Sources, &project.uid, &[], None, &query);
            let rows: Vec<ListRow> = db.rows(&page).await?;
            for row in rows.iter().take(query.per_page) {
                told(
                    config::publish(self.bindings, &serde_json::from_str(&row.doc)?, &project)
                        .await,
                )?;
            }
            match rows.get(query.per_page) {
                Some(next) => query.cursor = Some(next.id.clone()),
                None => break,
            }
        }
        Ok(Answer::ok(202, "Project updated successfully", project.present()))
    }

    async fn source(&self, project: &str, id: &str) -> Result<Source, Refusal> {
        self.doc(&sql::source(project, id), "source not found").await
    }

    async fn create_source(&self, project: &Project) -> Answered {
        let vault = self.bindings.vault()?;
        let source =
            Source::create(api::parse(&self.body)?, &project.uid, &vault, now_ms(), &mut fill)?;
        // Nobody knows its mask yet, so a copy that is not in KV is only read from D1 once.
        self.bindings.db()?.run(&sql::insert_source(&source)).await?;
        config::publish(self.bindings, &source, project).await.unwrap_or_default();
        Ok(Answer::ok(201, "Source created successfully", source.present(&self.origin)))
    }

    async fn update_source(&self, project: &Project, id: &str) -> Answered {
        let vault = self.bindings.vault()?;
        let mut source = self.source(&project.uid, id).await?;
        source.update(api::parse(&self.body)?, &vault, now_ms(), &mut fill)?;
        let updated: Option<ListRow> =
            self.bindings.db()?.row(&sql::update_source(&source)).await?;
        if updated.is_none() {
            return Err(ApiError::not_found("source not found").into());
        }
        told(config::publish(self.bindings, &source, project).await)?;
        Ok(Answer::ok(202, "Source updated successfully", source.present(&self.origin)))
    }

    async fn list_sources(&self, project: &str) -> Answered {
        let filters = [("type", "type"), ("provider", "provider")];
        let content = self.list::<Source>(List::Sources, project, &filters, "q", |source| {
            source.present(&self.origin)
        });
        Ok(Answer::ok(200, "Sources fetched successfully", content.await?))
    }

    async fn create_endpoint(&self, project: &str) -> Answered {
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

    async fn subscription(&self, project: &str, id: &str) -> Result<Subscription, Refusal> {
        self.doc(&sql::subscription(project, id), "failed to find subscription").await
    }

    async fn create_subscription(&self, project: &Project) -> Answered {
        let id = project.uid.as_str();
        let is_incoming = project.kind == "incoming";
        let subscription =
            Subscription::create(api::parse(&self.body)?, id, is_incoming, now_ms(), &mut fill)?;
        let db = self.bindings.db()?;
        if db.row::<Doc>(&sql::endpoint(id, &subscription.endpoint_id)).await?.is_none() {
            return Err(ApiError::bad_request("failed to find endpoint by id").into());
        }
        if !subscription.source_id.is_empty()
            && db.row::<Doc>(&sql::source(id, &subscription.source_id)).await?.is_none()
        {
            return Err(ApiError::bad_request("failed to find source by id").into());
        }
        db.run(&sql::insert_subscription(&subscription)).await?;
        Ok(Answer::ok(201, "Subscription created successfully", subscription.present()))
    }

    /// A page of a list. `filters` are pairs of column and query parameter.
    async fn list<T: DeserializeOwned>(
        &self,
        list: List,
        project: &str,
        filters: &[(&'static str, &str)],
        search: &str,
        present: impl Fn(&T) -> Value,
    ) -> Result<Value, Refusal> {
        let query = PageQuery::parse(&self.query);
        let value = |name: &str| query_value(&self.query, name).filter(|text| !text.is_empty());
        let filters: Vec<(&'static str, String)> =
            filters.iter().filter_map(|(column, name)| Some((*column, value(name)?))).collect();
        let (page, newer) = sql::list(list, project, &filters, value(search).as_deref(), &query);
        let db = self.bindings.db()?;
        let mut rows: Vec<ListRow> = db.rows(&page).await?;
        if query.direction == Direction::Prev {
            rows.reverse();
        }
        let has_newer = match rows.first() {
            Some(first) => db.row::<ListId>(&newer(&first.id)).await?.is_some(),
            None => false,
        };
        let mut items = Vec::with_capacity(rows.len());
        for row in rows {
            items.push((row.id, present(&serde_json::from_str(&row.doc)?)));
        }
        Ok(json!(Page::new(&query, items, has_newer)))
    }

    async fn get_event(&self, project: &Project, id: &str) -> Result<Reply, Refusal> {
        let events = self.bindings.events(project.shard)?;
        let (event, duplicate) =
            match events.row::<StoredEvent>(&sql::event(&project.uid, id)).await? {
                Some(event) => (event, None),
                None => {
                    let original = events
                        .row::<StoredEvent>(&sql::event_of_duplicate(&project.uid, id))
                        .await?;
                    (original.ok_or_else(|| ApiError::not_found("event not found"))?, Some(id))
                }
            };
        let body = dispatch::body_of(&event, now_ms() + BODY_WAIT_MS, self.bindings).await?;
        let (body, _share) =
            body.ok_or_else(|| ApiError::new(410, "the event's body is gone from the store"))?;
        let data = event.present(&body, duplicate);
        let text = format!(
            "{{\"status\":true,\"message\":\"Endpoint event fetched successfully\",\"data\":{data}}}"
        );
        Ok(Reply {
            status: 200,
            content_type: "application/json".into(),
            headers: Vec::new(),
            body: text.into_bytes(),
        })
    }

    async fn delivery(&self, project: &Project, id: &str) -> Result<Delivery, Refusal> {
        let delivery: Option<Delivery> =
            self.bindings.events(project.shard)?.row(&sql::delivery(&project.uid, id)).await?;
        Ok(delivery.ok_or_else(|| ApiError::not_found("event delivery not found"))?)
    }

    async fn list_deliveries(&self, project: &Project) -> Answered {
        let event_id = query_value(&self.query, "eventId").unwrap_or_default();
        if event_id.is_empty() {
            return Err(
                ApiError::bad_request("eventId:name the event whose deliveries you want").into()
            );
        }
        let deliveries: Vec<Delivery> = match same_moment(&event_id) {
            Some((low, high)) => {
                let statement = sql::deliveries_of(&project.uid, &event_id, &low, &high);
                self.bindings.events(project.shard)?.rows(&statement).await?
            }
            None => Vec::new(),
        };
        let strategy = &project.config.strategy;
        let items = deliveries
            .iter()
            .map(|delivery| (delivery.id.clone(), delivery.present(strategy)))
            .collect();
        let all =
            PageQuery { per_page: api::PER_PAGE_MAX, direction: Direction::Next, cursor: None };
        Ok(Answer::ok(
            200,
            "Event deliveries fetched successfully",
            json!(Page::new(&all, items, false)),
        ))
    }

    /// The attempts of a delivery, oldest first.
    async fn attempts(
        &self,
        project: &Project,
        delivery: &Delivery,
    ) -> Result<Vec<Attempt>, Refusal> {
        let docs: Vec<Doc> =
            self.bindings.events(project.shard)?.rows(&sql::earlier_attempts(&delivery.id)).await?;
        let mut attempts: Vec<Attempt> =
            docs.iter().map(Doc::read).collect::<worker::Result<_>>()?;
        attempts.extend(delivery.last_attempt());
        Ok(attempts)
    }
}

/// A row that only has to be there.
#[derive(Deserialize)]
struct ListId {}

#[derive(Deserialize)]
struct ListRow {
    id: String,
    doc: String,
}

/// Notes that a provider's question was answered, where the API shows it. An error is logged; the answer goes out all
/// the same.
pub(crate) async fn note_handshake(bindings: &Bindings, source: &Source, now: u64) {
    if !source.is_twitter() || source.crc_verified_at.is_some() {
        return;
    }
    let noted: Result<(), Refusal> = async {
        let db = bindings.db()?;
        let Some(row) =
            db.row::<ListRow>(&sql::note_crc(&source.project_id, &source.uid, now)).await?
        else {
            return Ok(());
        };
        let Some(project) = db.row::<Doc>(&sql::project(&source.project_id)).await? else {
            return Ok(());
        };
        config::publish(bindings, &serde_json::from_str(&row.doc)?, &project.read()?).await?;
        Ok(())
    }
    .await;
    if let Err(refusal) = noted {
        let status = refusal.reply().status;
        log::error("handshake_not_noted", json!({"source_id": source.uid, "status": status}));
    }
}

/// `GET /healthz`: whether this Worker could take an event in.
pub(crate) fn health(bindings: &Bindings) -> Reply {
    match bindings.vault() {
        Ok(_) => {
            let message = concat!("Inlet ", env!("CARGO_PKG_VERSION"));
            reply(&Answer::ok(200, message, Value::Null))
        }
        Err(error) => reply(&ApiError::new(503, error.to_string()).answer()),
    }
}

/// No such call.
pub(crate) fn no_call(allow: Option<&'static str>) -> Reply {
    match allow {
        None => reply(&ApiError::not_found("Resource not found").answer()),
        Some(allow) => {
            let mut reply = reply(
                &ApiError::new(405, format!("method not allowed: this path takes {allow}"))
                    .answer(),
            );
            reply.headers.push(("allow", allow.to_owned()));
            reply
        }
    }
}
