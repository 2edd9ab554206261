//! The REST API: dialect in, one domain call, dialect out.

mod consumer;
mod consumer_keys;
mod dead_letters;
mod docs;
mod dynamic;
mod endpoint_checks;
mod endpoints;
mod event_types;
mod events;
mod filters;
mod hookstream;
mod keys;
mod list;
mod meta_events;
mod metrics;
mod onboard;
mod open;
mod pending;
mod portal;
mod projects;
mod push;
mod refusal;
mod replay;
mod shown;
mod sources;
mod subscriptions;
mod transforms;

pub(crate) use consumer::serve as serve_consumer;
pub(crate) use docs::{document, page};
pub(crate) use hookstream::{no_hookstream_call, serve_hookstream};
pub(crate) use open::{health, health_of_events, no_call, providers};

use std::cell::Cell;
use std::rc::Rc;

use inlet_gateway::api::{self, Answer, ApiError};
use inlet_gateway::deliver::{Attempt, Delivery};
use inlet_gateway::endpoint::Endpoint;
use inlet_gateway::event::StoredEvent;
use inlet_gateway::json;
use inlet_gateway::onboard::json_of as onboard_json;
use inlet_gateway::page;
use inlet_gateway::portal::{is_token, token_of_query};
use inlet_gateway::project::{BODY_MAX_BYTES_LIMIT, Project};
use inlet_gateway::reply::Reply;
use inlet_gateway::room::Unread;
use inlet_gateway::routes::{Call, ProjectCall};
use inlet_gateway::scope::{Owner, Scope, Who, unauthorized};
use inlet_gateway::source::Source;
use inlet_gateway::sql::{self, List, Statement};
use inlet_gateway::subscription::Subscription;
use inlet_gateway::vault::Vault;
use inlet_gateway::version::Version;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use worker::{Context, Method, Request};

use crate::again::again;
use crate::bindings::Bindings;
use crate::body::{self, Share};
use crate::chance::{fill, now_ms};
use crate::glue::Body;
use crate::known::{Isolate, Known};
use crate::store::{count_of, rows};
use crate::{bodies, chance, config, log};
use refusal::{Refusal, changed_meanwhile, is_overtaken, or_untold, taken};

/// The largest request body of the API.
const BODY_MAX_BYTES: u64 = 1024 * 1024;
/// How long a reader waits for memory for a large body.
const BODY_WAIT_MS: u64 = 10_000;

/// How long an isolate believes, where events are handed in, what it read about a key or an endpoint: so long may a key that was
/// revoked elsewhere still push.
const FRESH_MS: u64 = 5_000;

thread_local! {
    /// By the hash of the key.
    static PROJECTS: Known<Keyed> = Known::default();
    /// By project and endpoint: those that are there.
    static ENDPOINTS: Known<()> = Known::default();
}

type Answered = Result<Answer, Refusal>;

fn reply(answer: &Answer) -> Reply {
    Reply {
        status: answer.status,
        content_type: "application/json".into(),
        headers: if answer.status == 401 {
            vec![("www-authenticate".into(), api::CHALLENGE.to_owned())]
        } else {
            Vec::new()
        },
        body: answer.body.to_string().into_bytes(),
    }
}

/// Who calls, with what, and what it takes to carry that out.
struct Caller<'a> {
    bindings: &'a Bindings,
    context: &'a Context,
    query: String,
    origin: String,
    /// The version of the API that the caller was written for.
    version: Version,
    body: Vec<u8>,
    /// What of the project the caller may do and see.
    scope: Scope,
    /// Of how many sources the edge has still to hear.
    untold: Cell<u64>,
}

/// Who is calling.
enum Key {
    Root,
    Project(Rc<Project>),
    /// The owner who holds a portal token.
    Owner(Rc<Project>, Owner),
}

impl Key {
    /// Whose room a body takes.
    fn holder(&self) -> &str {
        match self {
            Self::Root => "",
            Self::Project(project) | Self::Owner(project, _) => &project.uid,
        }
    }
}

/// Carries out a call of the API.
pub(crate) async fn serve(
    mut request: Request,
    call: Call<'_>,
    bindings: &Bindings,
    context: &Context,
) -> Reply {
    let changes = !call.is_push() && request.method() != Method::Get;
    let names = api::names_of_call(
        &header(&request, "x-request-id"),
        &header(&request, "x-convoy-version"),
        || chance::uid(now_ms()),
    );
    let done = carry_out(&mut request, call, bindings, context).await;
    // A call that was refused or failed has changed nothing; what is known stays for when the database is away.
    let is_changed = match &done {
        Ok(reply) => reply.status < 400,
        Err(refusal) => matches!(refusal, Refusal::Untold),
    };
    if changes && is_changed {
        PROJECTS.clear();
        ENDPOINTS.clear();
    }
    let mut reply = done.unwrap_or_else(Refusal::reply);
    if 500 <= reply.status {
        log::error("answered", json!({"names": names, "status": reply.status}));
    }
    reply.headers.extend(names.map(|(name, value)| (name.into(), value)));
    reply
}

async fn carry_out(
    request: &mut Request,
    call: Call<'_>,
    bindings: &Bindings,
    context: &Context,
) -> Result<Reply, Refusal> {
    let (origin, query) = origin_and_query(request, bindings);
    let key =
        authenticate(&header(request, "authorization"), &query, call.is_push(), bindings).await?;
    let version = Version::of(&header(request, "x-convoy-version"))?;
    let content_type = header(request, "content-type");
    // The one call that also takes a form, because a table comes in a file.
    let is_form = matches!(call, Call::InProject { call: ProjectCall::Onboard, .. })
        && content_type.trim().to_ascii_lowercase().starts_with("multipart/form-data");
    if !is_form {
        check_content_type(&content_type)?;
    }
    let (body, _share) = read_body(request, key.holder(), body_max_bytes(&call, &key)).await?;
    let (who, scope) = match &key {
        Key::Root => (Who::Operator, Scope::Project),
        Key::Project(own) => (Who::Project(&own.uid), Scope::Project),
        Key::Owner(own, owner) => (Who::Owner(&own.uid), Scope::Owner(owner.clone())),
    };
    who.check(&call)?;
    let body = if is_form { onboard_json(&content_type, &body.bytes)? } else { body.bytes };
    let untold = Cell::new(0);
    let mut caller = Caller { bindings, context, query, origin, version, body, scope, untold };
    let own = match key {
        Key::Root => None,
        Key::Project(own) | Key::Owner(own, _) => Some(own),
    };
    match (call, own) {
        (Call::CreateProject, _) => Ok(reply(&caller.create_project().await?)),
        (Call::ListProjects, None) => {
            page::check_unpaged(&caller.query)?;
            Ok(reply(&caller.list_projects().await?))
        }
        (Call::ListProjects, Some(own)) => {
            Ok(reply(&Answer::ok(200, "Projects fetched successfully", json!([own.present()]))))
        }
        (Call::Ownerless(call), _) => caller.ownerless(call).await,
        (Call::Metrics, own) => caller.metrics(own).await,
        (Call::InProject { call, .. } | Call::InPortal { call }, Some(own)) => {
            caller.in_project(&own, call).await
        }
        (Call::InProject { project, call }, None) => {
            let project = caller.doc(&sql::project(project), "project not found").await?;
            caller.in_project(&project, call).await
        }
        _ => Err(unauthorized().into()),
    }
}

/// A header of a call; empty where it has none.
fn header(request: &Request, name: &str) -> String {
    request.headers().get(name).ok().flatten().unwrap_or_default()
}

/// Where the gateway is reached, and the query of a call.
fn origin_and_query(request: &Request, bindings: &Bindings) -> (String, String) {
    let url = request.inner().url();
    let query = url.split_once('?').map_or("", |(_, query)| query);
    (bindings.settings.origin_of(&url).to_owned(), query.to_owned())
}

fn check_content_type(content_type: &str) -> Result<(), ApiError> {
    let content_type = content_type.trim().to_ascii_lowercase();
    if !content_type.is_empty() && !content_type.starts_with("application/json") {
        return Err(ApiError::new(415, "the body of an API call is application/json"));
    }
    Ok(())
}

async fn read_body(
    request: &Request,
    holder: &str,
    limit_bytes: u64,
) -> Result<(Body, Share), Refusal> {
    let read = body::read(request.inner(), holder, body::length(request), limit_bytes).await;
    read.map_err(unread)
}

fn unread(unread: Unread) -> Refusal {
    match unread.told() {
        (error, Some(seconds)) => Refusal::Later(error, seconds),
        (error, None) => error.into(),
    }
}

/// The largest body of a call. Events may be as large as their project takes them.
fn body_max_bytes(call: &Call<'_>, key: &Key) -> u64 {
    if !call.is_push() {
        return BODY_MAX_BYTES;
    }
    let data = match key {
        Key::Project(project) => project.config.max_payload_read_size,
        Key::Owner(project, _) => project.config.max_payload_read_size,
        Key::Root => BODY_MAX_BYTES_LIMIT,
    };
    data + BODY_MAX_BYTES
}

/// The key in `Authorization: Bearer …`.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, key) = authorization.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

/// Says who is calling. Keys are compared by their keyed hashes.
/// A portal token may stand in the query instead.
async fn authenticate(
    authorization: &str,
    query: &str,
    is_push: bool,
    bindings: &Bindings,
) -> Result<Key, Refusal> {
    let in_query = || token_of_query(query).filter(|_| authorization.is_empty());
    let Some(key) = bearer(authorization).map(ToOwned::to_owned).or_else(in_query) else {
        return Err(ApiError::new(401, "Authentication required").into());
    };
    if is_token(&key) {
        return portal::open(&key, bindings).await;
    }
    let vault = bindings.vault()?;
    let hash = vault.hash_api_key(&key);
    if bindings.root_key().is_some_and(|root| vault.hash_api_key(root.trim()) == hash) {
        return Ok(Key::Root);
    }
    let now = now_ms();
    let read = async {
        let row: Option<KeyRow> = bindings.db()?.row(&sql::project_of_key(&hash, now)).await?;
        row.map(|row| row.read()).transpose()
    };
    let known = if is_push {
        PROJECTS.get_or_read(&hash, now, FRESH_MS, read).await?
    } else {
        read.await?.map(Rc::new)
    };
    // What is known may have ended since it was read.
    match known.filter(|known| known.expires_at.is_none_or(|end| now < end)) {
        Some(known) => Ok(Key::Project(Rc::clone(&known.project))),
        None => Err(ApiError::new(401, "authorization failed").into()),
    }
}

/// The project of a key, and when the key ends.
struct Keyed {
    project: Rc<Project>,
    expires_at: Option<u64>,
}

#[derive(Deserialize)]
struct KeyRow {
    doc: String,
    expires_at: Option<u64>,
}

impl KeyRow {
    fn read(&self) -> worker::Result<Keyed> {
        Ok(Keyed { project: Rc::new(json::read(&self.doc)?), expires_at: self.expires_at })
    }
}

/// A change of something that is replaced only if it is as it was read.
struct Replace<'a> {
    /// What it is, in a word.
    what: &'a str,
    /// Finds it; and what is said when it is not there.
    find: Statement,
    missing: &'a str,
    /// Run as one transaction. The first gives its row back if it had an effect; the others ask for that.
    statements: Vec<Statement>,
}

impl Caller<'_> {
    async fn doc<T: DeserializeOwned>(
        &self,
        statement: &Statement,
        missing: &str,
    ) -> Result<T, Refusal> {
        let found = self.bindings.db()?.doc(statement).await?;
        found.ok_or_else(|| ApiError::not_found(missing).into())
    }

    /// Carries out a change. Whoever has been overtaken by another is told so: 409.
    async fn replace(&self, change: Replace<'_>) -> Result<(), Refusal> {
        let done = self.bindings.db()?.batch(&change.statements).await?;
        if count_of(done.first())? == 0 {
            if !self.bindings.db()?.has(&change.find).await? {
                return Err(ApiError::not_found(change.missing).into());
            }
            return Err(changed_meanwhile(change.what));
        }
        Ok(())
    }

    /// Carries out a call in a project. Of two changes at the same time none is lost, and none refused for the other: whoever comes
    /// second makes the change again, on what the first has left.
    async fn in_project(
        &mut self,
        project: &Project,
        call: ProjectCall<'_>,
    ) -> Result<Reply, Refusal> {
        self.admit(project, &call).await?;
        page::check_whole_list(&call, &self.query)?;
        let mut changed: Option<Project> = None;
        let once = async || {
            let done = self.once(changed.as_ref().unwrap_or(project), call.clone()).await;
            if is_overtaken(&done) {
                // The project itself may be what has changed.
                changed = Some(self.doc(&sql::project(&project.uid), "project not found").await?);
            }
            done
        };
        again(once, is_overtaken).await
    }

    async fn once(&self, project: &Project, call: ProjectCall<'_>) -> Result<Reply, Refusal> {
        use ProjectCall as C;
        let answer = match call {
            C::Get => Answer::ok(200, "Project fetched successfully", project.present()),
            C::Update => self.update_project(project.clone()).await?,
            // Asked for with `ROOT_KEY`, or it does not come this far.
            C::Delete => self.delete_project(project).await?,
            C::CreateKey => self.create_key(project).await?,
            C::ListKeys => self.list_keys(project).await?,
            C::DeleteKey(id) => self.delete_key(project, id).await?,
            C::RegenerateKey => self.regenerate_key(project).await?,
            C::Onboard => self.onboard(project).await?,
            C::CreateSource => self.create_source(project).await?,
            C::ListSources => self.list_sources(project).await?,
            C::GetSource(id) => self.get_source(project, id).await?,
            C::UpdateSource(id) => self.update_source(project, id).await?,
            C::ListRejections(id) => self.list_rejections(project, id).await?,
            C::HandedOver(id) => self.handed_over(project, id).await?,
            C::ArmSource(id) => self.arm_source(project, id).await?,
            C::DeleteSource(id) => self.delete_source(project, id).await?,
            C::CreateEndpoint => self.create_endpoint(project).await?,
            C::ListEndpoints => self.list_endpoints(project).await?,
            C::GetEndpoint(id) => self.get_endpoint(project, id).await?,
            C::UpdateEndpoint(id) => self.update_endpoint(project, id).await?,
            C::PauseEndpoint(id) => self.pause_endpoint(project, id).await?,
            C::ActivateEndpoint(id) => self.activate_endpoint(project, id).await?,
            C::ExpireSecret(id) => self.expire_secret(project, id).await?,
            C::DeleteEndpoint(id) => self.delete_endpoint(project, id).await?,
            C::FailureRates => self.failure_rates(project).await?,
            C::TestOauth2 => self.test_oauth2().await?,
            C::TestFunction { of_source } => self.test_function(of_source).await?,
            C::CreateSubscription => self.create_subscription(project).await?,
            C::ListSubscriptions => self.list_subscriptions(project).await?,
            C::GetSubscription(id) => self.get_subscription(project, id).await?,
            C::UpdateSubscription(id) => self.update_subscription(project, id).await?,
            C::DeleteSubscription(id) => self.delete_subscription(project, id).await?,
            C::CreateEventType => self.create_event_type(project).await?,
            C::ListEventTypes => self.list_event_types(project).await?,
            C::GetEventType(id) => self.get_event_type(project, id).await?,
            C::UpdateEventType(id) => self.update_event_type(project, id).await?,
            C::DeprecateEventType(id) => self.deprecate_event_type(project, id).await?,
            C::ImportEventTypes => self.import_event_types(project).await?,
            C::ToggleSubscription(id) => self.toggle_subscription(project, id).await?,
            C::TestFilter => self.test_filter()?,
            C::Filters(id, call) => self.filters(project, id, call).await?,
            C::PushEvent(kind) => return self.push_event(project, kind).await,
            C::PushEvents => return self.push_events(project).await,
            C::GetEvent(id) => return self.get_event(project, id).await,
            C::ListEvents => return self.list_events(project).await,
            C::ReplayEvent(id) => return self.replay_event(project, id).await,
            C::ReplayEvents => self.replay_events(project).await?,
            C::CountReplay => self.count_replay(project).await?,
            C::ResendDelivery(id) => return self.resend_delivery(project, id).await,
            C::ForceResend => self.force_resend(project).await?,
            C::RetryDeliveries => self.retry_deliveries(project).await?,
            C::CountRetry => self.count_retry(project).await?,
            C::StatusTotals => self.status_totals(project).await?,
            C::ListDeliveries => return self.list_deliveries(project).await,
            C::GetDelivery(id) => return self.get_delivery(project, id).await,
            C::ListAttempts(delivery) => self.list_attempts(project, delivery).await?,
            C::GetAttempt { delivery, attempt } => {
                self.get_attempt(project, delivery, attempt).await?
            }
            C::CreatePortalLink => self.create_portal_link(project).await?,
            C::ListPortalLinks => self.list_portal_links(project).await?,
            C::GetPortalLink(id) => self.get_portal_link(project, id).await?,
            C::UpdatePortalLink(id) => self.update_portal_link(project, id).await?,
            C::RevokePortalLink(id) => self.revoke_portal_link(project, id).await?,
            C::RefreshPortalToken(id) => self.refresh_portal_token(project, id).await?,
            C::GetOwnPortalLink => self.own_portal_link(project).await?,
            C::CreateConsumerKey => self.create_consumer_key(project).await?,
            C::ListConsumerKeys => self.list_consumer_keys(project).await?,
            C::DeleteConsumerKey(id) => self.delete_consumer_key(project, id).await?,
            C::ListMetaEvents => self.list_meta_events(project).await?,
            C::GetMetaEvent(id) => self.get_meta_event(project, id).await?,
            C::ResendMetaEvent(id) => self.resend_meta_event(project, id).await?,
            C::ListDeadLetters => self.list_dead_letters(project).await?,
            C::GetDeadLetter(id) => return self.get_dead_letter(project, id).await,
            C::ReplayDeadLetter(id) => self.replay_dead_letter(project, id).await?,
            C::DeleteDeadLetter(id) => self.delete_dead_letter(project, id).await?,
        };
        Ok(reply(&answer.leaving(self.untold.get())))
    }
}
