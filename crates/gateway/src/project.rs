//! Projects: the tenants, and what each decides for all that it has.

use inlet_verify::{Encoding, Hash};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::api::{ApiError, Faults, NAME_MAX_CHARS, TEXT_MAX_CHARS, check_length};
use crate::auth::Authentication;
use crate::breaker::{BreakerConfig, BreakerInput};
use crate::endpoint::Endpoint;
use crate::fields::{Fields, FromFields};
use crate::header::{is_header_name, is_identity, is_taken_header};
use crate::ids::{self, Fill};
use crate::meta_event::{Means, MetaEvents, MetaEventsInput};
use crate::pace::{RateLimit, RateLimitInput};
use crate::retry::{Strategy, StrategyKind};
use crate::shard::SHARDS_MAX;
use crate::time::{self, rfc3339};

mod retention;

use retention::RetentionInput;
pub use retention::RetentionPolicy;

/// The largest body a source takes unless its project says otherwise.
pub const DEFAULT_BODY_MAX_BYTES: u64 = 5 * 1024 * 1024;
/// The largest limit a project may ask for: an isolate has 128 MB for everything.
pub const BODY_MAX_BYTES_LIMIT: u64 = 25 * 1024 * 1024;

/// A tenant, as it is stored. Times are Unix milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    pub uid: String,
    pub name: String,
    /// `incoming` or `outgoing`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A picture of it, for pages that show it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub logo_url: String,
    /// The event database that holds this project's events: see [`crate::shard`].
    pub shard: u32,
    pub config: Config,
    /// Whether any of its event types has a JSON schema.
    #[serde(default)]
    pub has_schemas: bool,
    pub created_at: u64,
    pub updated_at: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own, as the API has them"
)]
pub struct Config {
    /// Bytes that a payload may have.
    pub max_payload_read_size: u64,
    pub strategy: Strategy,
    pub signature: SignatureConfig,
    #[serde(default)]
    pub retention_policy: RetentionPolicy,
    /// `None` for a project that never said anything of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta_event: Option<MetaEvents>,
    /// Events that are taken in, from senders and from the API together.
    #[serde(default)]
    pub ratelimit: Option<RateLimit>,
    /// Whether an endpoint of an outgoing project may have several subscriptions.
    #[serde(default)]
    pub multiple_endpoint_subscriptions: bool,
    #[serde(default)]
    pub ssl: SslConfig,
    /// Whether deliveries name their event and themselves in Convoy's headers, too.
    #[serde(default)]
    pub add_event_id_trace_headers: bool,
    /// The header that carries an event's idempotency key.
    #[serde(default = "default_request_id_header")]
    pub request_id_header: String,
    /// Whether two sources may not have one name.
    #[serde(default)]
    pub unique_source_names: bool,
    /// Whether an endpoint is taken out of use when a delivery has failed as often as it was to be tried.
    #[serde(default)]
    pub disable_endpoint: bool,
    #[serde(default)]
    pub circuit_breaker: BreakerConfig,
}

/// Which endpoints may be called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SslConfig {
    /// Whether new and changed endpoints have to be `https`.
    pub enforce_secure_endpoints: bool,
}

#[derive(Debug)]
struct SslInput {
    enforce_secure_endpoints: Option<bool>,
}

impl FromFields for SslInput {
    const IS_CLOSED: bool = true;

    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { enforce_secure_endpoints: fields.flag("enforce_secure_endpoints")? })
    }
}

fn default_request_id_header() -> String {
    "X-Convoy-Idempotency-Key".into()
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_payload_read_size: DEFAULT_BODY_MAX_BYTES,
            strategy: Strategy::default(),
            signature: SignatureConfig::default(),
            retention_policy: RetentionPolicy::default(),
            meta_event: None,
            ratelimit: None,
            multiple_endpoint_subscriptions: false,
            ssl: SslConfig::default(),
            add_event_id_trace_headers: false,
            request_id_header: default_request_id_header(),
            unique_source_names: false,
            disable_endpoint: false,
            circuit_breaker: BreakerConfig::default(),
        }
    }
}

/// How deliveries are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureConfig {
    pub header: String,
    pub versions: Vec<SignatureVersion>,
}

impl Default for SignatureConfig {
    fn default() -> Self {
        let version = SignatureVersion {
            uid: "default".into(),
            hash: "SHA256".into(),
            encoding: "hex".into(),
        };
        Self { header: "X-Convoy-Signature".into(), versions: vec![version] }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureVersion {
    pub uid: String,
    pub hash: String,
    pub encoding: String,
}

/// The body of `POST /projects` and `PUT /projects/{projectID}`.
#[derive(Debug, Default)]
pub struct ProjectInput {
    name: Option<String>,
    kind: Option<String>,
    logo_url: Option<String>,
    shard: Option<u64>,
    config: Option<ConfigInput>,
}

impl FromFields for ProjectInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            name: fields.text("name")?,
            kind: fields.text("type")?,
            logo_url: fields.text("logo_url")?,
            shard: fields.number("shard", 0..=u64::from(SHARDS_MAX - 1))?,
            config: fields.object("config")?,
        })
    }
}

impl ProjectInput {
    /// The event database that is asked for.
    pub fn shard(&self) -> Option<u64> {
        self.shard
    }

    pub fn take_meta_events(&mut self) -> Option<MetaEventsInput> {
        self.config.as_mut()?.meta_event.take()
    }
}

#[derive(Debug, Default)]
struct ConfigInput {
    max_payload_read_size: Option<u64>,
    strategy: Option<StrategyInput>,
    signature: Option<SignatureInput>,
    retention_policy: Option<RetentionInput>,
    is_retention_policy_enabled: Option<bool>,
    meta_event: Option<MetaEventsInput>,
    ratelimit: Option<RateLimitInput>,
    multiple_endpoint_subscriptions: Option<bool>,
    ssl: Option<SslInput>,
    add_event_id_trace_headers: Option<bool>,
    request_id_header: Option<String>,
    unique_source_names: Option<bool>,
    disable_endpoint: Option<bool>,
    circuit_breaker: Option<BreakerInput>,
    other: Map<String, Value>,
}

impl FromFields for ConfigInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            max_payload_read_size: fields
                .number("max_payload_read_size", 0..=BODY_MAX_BYTES_LIMIT)?,
            strategy: fields.object("strategy")?,
            signature: fields.object("signature")?,
            retention_policy: fields.object("retention_policy")?,
            is_retention_policy_enabled: fields.flag("is_retention_policy_enabled")?,
            meta_event: fields.object("meta_event")?,
            ratelimit: fields.object("ratelimit")?,
            multiple_endpoint_subscriptions: fields.flag("multiple_endpoint_subscriptions")?,
            ssl: fields.object("ssl")?,
            add_event_id_trace_headers: fields.flag("add_event_id_trace_headers")?,
            request_id_header: fields.text("request_id_header")?,
            unique_source_names: fields.flag("unique_source_names")?,
            disable_endpoint: fields.flag("disable_endpoint")?,
            circuit_breaker: fields.object("circuit_breaker")?,
            other: fields.checked_rest()?,
        })
    }
}

#[derive(Debug)]
struct StrategyInput {
    kind: Option<String>,
    duration: Option<u64>,
    retry_count: Option<u64>,
}

impl FromFields for StrategyInput {
    const IS_CLOSED: bool = true;

    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self {
            kind: fields.text("type")?,
            duration: fields.number("duration", 1..=86_400)?,
            retry_count: fields.number("retry_count", 0..=crate::pace::RETRIES_MAX)?,
        })
    }
}

#[derive(Debug)]
struct SignatureInput {
    header: Option<String>,
    versions: Option<Vec<SignatureVersionInput>>,
}

impl FromFields for SignatureInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        let (header, versions) = (fields.text("header")?, fields.objects("versions")?);
        // Convoy's clients for Go and Python know one version only: its hash, in hex.
        let one = fields.text("hash")?.filter(|hash| !hash.is_empty());
        let one = one.map(|hash| SignatureVersionInput {
            hash: Some(hash),
            encoding: Some("hex".to_owned()),
        });
        Ok(Self { header, versions: versions.or_else(|| one.map(|one| vec![one])) })
    }
}

#[derive(Debug)]
struct SignatureVersionInput {
    hash: Option<String>,
    encoding: Option<String>,
}

impl FromFields for SignatureVersionInput {
    fn from_fields(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { hash: fields.text("hash")?, encoding: fields.text("encoding")? })
    }
}

impl Project {
    /// Whether it takes in events for itself, and does not send its own to others.
    pub fn is_incoming(&self) -> bool {
        self.kind == "incoming"
    }

    /// Whether each of its endpoints may have one subscription alone, beside that of its dynamic events.
    pub fn allows_one_subscription(&self) -> bool {
        !self.is_incoming() && !self.config.multiple_endpoint_subscriptions
    }

    /// A new project, on event shard `shard`.
    pub fn create(
        input: ProjectInput,
        shard: u32,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<Self, ApiError> {
        let name = input.name.as_deref().unwrap_or_default().trim();
        let kind = input.kind.as_deref().unwrap_or_default();
        let mut faults = Faults::default();
        if name.is_empty() {
            faults.add("name", "please provide a valid name");
        }
        if !matches!(kind, "incoming" | "outgoing") {
            faults.add("type", "please provide a valid type: incoming or outgoing");
        }
        faults.check()?;
        check_length("name", name, NAME_MAX_CHARS)?;
        Ok(Self {
            uid: ids::uid(now_ms, &mut *fill),
            name: name.to_owned(),
            kind: kind.to_owned(),
            logo_url: logo_of(input.logo_url.unwrap_or_default())?,
            shard,
            config: Config::default().changed(input.config, now_ms, fill)?,
            has_schemas: false,
            created_at: now_ms,
            updated_at: now_ms,
        })
    }

    /// Whether what sources are told of their project ([`crate::admit::Snapshot`]) is not what it was `before`.
    pub fn decides_otherwise_than(&self, before: &Self) -> bool {
        let told =
            |project: &Self| (project.config.max_payload_read_size, project.config.ratelimit);
        told(self) != told(before)
    }

    /// Applies an update; what is left out stays. The type of a project does not change.
    pub fn update(
        &mut self,
        input: ProjectInput,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<(), ApiError> {
        if let Some(kind) = &input.kind
            && *kind != self.kind
        {
            return Err(ApiError::bad_request(format!(
                "type:the type of a project does not change: it is {}",
                self.kind
            )));
        }
        if input.shard.is_some_and(|shard| shard != u64::from(self.shard)) {
            return Err(ApiError::bad_request(format!(
                "shard:a project stays in its event database: it is {}",
                self.shard
            )));
        }
        if let Some(name) = &input.name {
            if name.trim().is_empty() {
                return Err(ApiError::bad_request("name:please provide a valid name"));
            }
            check_length("name", name, NAME_MAX_CHARS)?;
            name.trim().clone_into(&mut self.name);
        }
        if let Some(url) = input.logo_url {
            self.logo_url = logo_of(url)?;
        }
        self.config = self.config.clone().changed(input.config, now_ms, fill)?;
        self.updated_at = time::after(now_ms, self.updated_at);
        Ok(())
    }

    /// Applies what an input says of meta events, which [`ProjectInput::take_meta_events`] gave.
    pub fn change_meta_events(
        &mut self,
        input: Option<MetaEventsInput>,
        means: Means<'_>,
        fill: Fill<'_>,
    ) -> Result<(), ApiError> {
        let Some(input) = input else { return Ok(()) };
        let mut faults = Faults::default();
        let stored = self.config.meta_event.take();
        self.config.meta_event =
            MetaEvents::changed(stored, input, &self.uid, means, fill, &mut faults);
        faults.check()
    }

    /// Refuses the URL of an endpoint that the project does not want to call.
    pub fn check_endpoint_url(&self, url: &str) -> Result<(), ApiError> {
        let is_https = url.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"));
        if self.config.ssl.enforce_secure_endpoints && !is_https {
            return Err(ApiError::bad_request("only https endpoints allowed"));
        }
        Ok(())
    }

    /// Refuses the authentication of an endpoint that could not be sent, because deliveries of the project have its header already.
    pub fn check_endpoint_header(&self, endpoint: &Endpoint) -> Result<(), ApiError> {
        let Some(name) = endpoint.authentication.as_ref().and_then(Authentication::own_header)
        else {
            return Ok(());
        };
        if [&self.config.signature.header, &self.config.request_id_header]
            .iter()
            .any(|own| own.eq_ignore_ascii_case(name))
        {
            return Err(ApiError::bad_request(format!(
                "authentication.api_key.header_name:deliveries of this project use {name} for its signature or its idempotency key; choose another"
            )));
        }
        Ok(())
    }

    /// The project as the API shows it.
    pub fn present(&self) -> Value {
        let mut config = json!(self.config);
        if let Some(fields) = config.as_object_mut() {
            let shown = MetaEvents::present(self.config.meta_event.as_ref());
            fields.insert("meta_event".into(), shown);
            // No limit is a count of 0, as it is asked for.
            let limit = self
                .config
                .ratelimit
                .map_or(json!({"count": 0, "duration": 0}), RateLimit::present);
            fields.insert("ratelimit".into(), limit);
            fields.insert("retention_policy".into(), self.config.retention_policy.present());
        }
        json!({
            "uid": self.uid, "name": self.name, "type": self.kind, "logo_url": self.logo_url, "shard": self.shard, "config": config,
            "created_at": rfc3339(self.created_at), "updated_at": rfc3339(self.updated_at), "deleted_at": null,
        })
    }
}

/// The URL of a picture. Browsers follow it, so it is one of the web or none.
fn logo_of(url: String) -> Result<String, ApiError> {
    check_length("logo_url", &url, TEXT_MAX_CHARS)?;
    let url = url.trim();
    let is_web = url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if url.is_empty() || is_web {
        return Ok(url.to_owned());
    }
    Err(ApiError::bad_request("logo_url:an http or https URL"))
}

impl Config {
    fn changed(
        mut self,
        input: Option<ConfigInput>,
        now_ms: u64,
        fill: Fill<'_>,
    ) -> Result<Self, ApiError> {
        let Some(input) = input else { return Ok(self) };
        for (field, value) in &input.other {
            crate::api::refuse_unsupported(&format!("config.{field}"), Some(value))?;
        }
        let mut faults = Faults::default();
        match input.max_payload_read_size {
            None => {}
            Some(0) => self.max_payload_read_size = DEFAULT_BODY_MAX_BYTES,
            Some(bytes) if bytes <= BODY_MAX_BYTES_LIMIT => self.max_payload_read_size = bytes,
            Some(_) => faults.add(
                "config.max_payload_read_size",
                format!("the largest limit is {BODY_MAX_BYTES_LIMIT} bytes"),
            ),
        }
        if let Some(strategy) = input.strategy {
            self.strategy.change(strategy, &mut faults);
        }
        if let Some(signature) = input.signature {
            self.signature.change(signature, now_ms, fill, &mut faults);
        }
        if let Some(retention) = input.retention_policy {
            match retention.days(self.retention_policy.days) {
                // Convoy's clients for Go and JavaScript say apart whether events are removed at all.
                Ok(1..) if input.is_retention_policy_enabled == Some(false) => {
                    faults.add("config.is_retention_policy_enabled", NOT_ENABLED);
                }
                Ok(days) => self.retention_policy.days = days,
                Err(fault) => faults.add("config.retention_policy", fault),
            }
        }
        if input.is_retention_policy_enabled == Some(true) && self.retention_policy.days == 0 {
            faults.add("config.is_retention_policy_enabled", "there is no retention_policy");
        }
        self.disable_endpoint = input.disable_endpoint.unwrap_or(self.disable_endpoint);
        if let Some(breaker) = &input.circuit_breaker {
            self.circuit_breaker.change(breaker, &mut faults);
        }
        if let Some(limit) = input.ratelimit {
            self.ratelimit = limit.read_as("config.ratelimit")?;
        }
        if let Some(ssl) = input.ssl {
            set(&mut self.ssl.enforce_secure_endpoints, ssl.enforce_secure_endpoints);
        }
        set(&mut self.multiple_endpoint_subscriptions, input.multiple_endpoint_subscriptions);
        set(&mut self.add_event_id_trace_headers, input.add_event_id_trace_headers);
        set(&mut self.unique_source_names, input.unique_source_names);
        match input.request_id_header {
            None => {}
            Some(name) if name.is_empty() => self.request_id_header = default_request_id_header(),
            Some(name) if !is_header_name(&name) => {
                faults.add("config.request_id_header", "not a valid header name");
            }
            Some(name) => self.request_id_header = name,
        }
        let own = &self.request_id_header;
        if is_taken_header(own)
            || is_identity(own)
            || own.eq_ignore_ascii_case(&self.signature.header)
        {
            faults.add("config.request_id_header", OTHER_MEANING);
        }
        faults.check()?;
        Ok(self)
    }

    /// Whether every event has to have an idempotency key, because its receivers look for it under a name of their own.
    pub fn needs_idempotency_key(&self) -> bool {
        self.request_id_header != default_request_id_header()
    }
}

const NOT_ENABLED: &str = "there is a retention_policy; say true, or leave it out";
const OTHER_MEANING: &str = "this name has another meaning; choose one of your own";

fn set(flag: &mut bool, given: Option<bool>) {
    *flag = given.unwrap_or(*flag);
}

impl Strategy {
    fn change(&mut self, input: StrategyInput, faults: &mut Faults) {
        match input.kind.as_deref() {
            None | Some("") => {}
            Some("linear") => self.kind = StrategyKind::Linear,
            Some("exponential") => self.kind = StrategyKind::Exponential,
            Some(_) => faults.add(
                "config.strategy.type",
                "please provide a valid strategy type: linear or exponential",
            ),
        }
        match input.duration {
            None => {}
            Some(seconds @ 1..=86_400) => self.duration = seconds,
            Some(_) => faults.add("config.strategy.duration", "from 1 to 86400 seconds"),
        }
        match input.retry_count {
            None => {}
            Some(count @ 0..=100) => self.retry_count = u32::try_from(count).unwrap_or(100),
            Some(_) => faults.add("config.strategy.retry_count", "at most 100 attempts"),
        }
    }
}

/// Signatures of one delivery for each of its secrets: each is another pass over the body.
const VERSIONS_MAX: usize = 10;

impl SignatureConfig {
    fn change(&mut self, input: SignatureInput, now_ms: u64, fill: Fill<'_>, faults: &mut Faults) {
        if let Some(header) = input.header.filter(|header| !header.is_empty()) {
            if is_taken_header(&header) || is_identity(&header) {
                faults.add("config.signature.header", OTHER_MEANING);
            } else if is_header_name(&header) {
                self.header = header;
            } else {
                faults.add("config.signature.header", "not a valid header name");
            }
        }
        let versions = input.versions.unwrap_or_default();
        if versions.is_empty() {
            return;
        }
        if VERSIONS_MAX < versions.len() {
            faults.add("config.signature.versions", format!("at most {VERSIONS_MAX} versions"));
            return;
        }
        let mut changed = Vec::new();
        for version in versions {
            let hash = version.hash.unwrap_or_default();
            let encoding = version.encoding.unwrap_or_default();
            if Hash::from_name(&hash).is_none() {
                faults.add(
                    "config.signature.versions",
                    format!("{hash} does not validate as supported_hash"),
                );
            } else if Encoding::from_name(&encoding).is_none() {
                faults.add("config.signature.versions", "please provide a valid encoding type");
            } else {
                changed.push(SignatureVersion {
                    uid: ids::uid(now_ms, &mut *fill),
                    hash,
                    encoding,
                });
            }
        }
        if !changed.is_empty() {
            self.versions = changed;
        }
    }
}

#[cfg(test)]
mod tests;
