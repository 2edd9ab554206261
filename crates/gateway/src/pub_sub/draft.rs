//! What the API's input says of a broker, checked.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Broker, Mapping, either, nothing_else, put, text};
use crate::api::{ApiError, Faults, TEXT_MAX_CHARS, check_length};
use crate::fields::Fields;
use crate::json;
use crate::vault::is_hint;

/// Readers that one companion starts for a source, at most.
const WORKERS_MAX: u64 = 64;
/// Messages that an AMQP broker hands over ahead of their settlement.
const PREFETCH_DEFAULT: u64 = 100;
const PREFETCH_MAX: u64 = 1_000;
const BROKERS_MAX: usize = 100;
/// What the protocol has room for.
const AMQP_NAME_MAX_BYTES: usize = 255;
const AMQP_TEXTS: &[&str] = &["queue", "vhost", "exchange", "routing_key", "dead_letter_exchange"];
/// What is said of a text that is not [`is_plain`].
const NOT_PLAIN: &str = "no NUL, line break or other control character";
/// The longest certificate, key or service account.
const DOCUMENT_MAX_CHARS: usize = 64 * 1024;

/// A secret of the input.
pub(super) struct Given {
    pub(super) path: &'static str,
    /// As the API names it.
    pub(super) field: &'static str,
    pub(super) value: String,
    pub(super) is_required: bool,
}

/// What the input says, checked, with its secrets in clear.
pub(super) struct Draft {
    pub(super) broker: Broker,
    pub(super) workers: u64,
    pub(super) config: Map<String, Value>,
    pub(super) secrets: Vec<Given>,
    pub(super) faults: Faults,
    pub(super) mapping: Option<Mapping>,
}

impl Draft {
    pub(super) fn read(value: Value, source_id: &str) -> Result<Self, ApiError> {
        let mut fields = Fields::of("pub_sub".into(), value)?;
        let name = fields.text("type")?.unwrap_or_default();
        let workers = fields.number("workers", 1..=WORKERS_MAX)?.unwrap_or_default();
        let broker = Broker::ALL.into_iter().find(|broker| broker.name() == name);
        let mut faults = Faults::default();
        match (name.as_str(), broker) {
            ("", _) => faults.add("type", "type is required"),
            (_, None) => faults.add("type", "unsupported pub sub type"),
            _ => {}
        }
        match workers {
            0 => faults.add("workers", "non zero value required"),
            1..=WORKERS_MAX => {}
            _ => faults.add("workers", format!("from 1 to {WORKERS_MAX}")),
        }
        if name.is_empty() && workers == 0 {
            faults.add("pub_sub", "non zero value required");
        }
        faults.check()?;
        let broker =
            broker.ok_or_else(|| ApiError::bad_request("type:unsupported pub sub type"))?;

        let mapping = fields.raw("mapping").map(Mapping::read).transpose()?;
        let own = fields.raw(broker.name());
        // Convoy's example has all of them beside each other: the type says which is meant.
        for other in Broker::ALL {
            fields.raw(other.name());
        }
        nothing_else(fields, "pub_sub")?;
        let own = own.ok_or_else(|| {
            let name = if broker == Broker::Google { "google pub sub" } else { broker.name() };
            ApiError::bad_request(format!("{name} config is required"))
        })?;
        let mut draft = Self {
            broker,
            workers,
            config: Map::new(),
            secrets: Vec::new(),
            faults: Faults::default(),
            mapping,
        };
        let mut fields = Fields::of(format!("pub_sub.{}", broker.name()), own)?;
        match broker {
            Broker::Kafka => draft.kafka(&mut fields, source_id)?,
            Broker::Sqs => draft.sqs(&mut fields)?,
            Broker::Google => draft.google(&mut fields)?,
            Broker::Amqp => draft.amqp(&mut fields)?,
        }
        nothing_else(fields, &format!("pub_sub.{}", broker.name()))?;
        Ok(draft)
    }

    fn kafka(&mut self, fields: &mut Fields, source_id: &str) -> Result<(), ApiError> {
        let brokers = fields.texts("brokers")?.unwrap_or_default();
        let brokers: Vec<String> =
            brokers.iter().map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect();
        if brokers.is_empty() {
            self.faults.add("brokers", "brokers list is required");
        }
        if BROKERS_MAX < brokers.len() {
            self.faults.add("brokers", format!("at most {BROKERS_MAX}"));
        }
        if let Some(wrong) = brokers.iter().find(|one| !is_host_and_port(one)) {
            self.faults.add("brokers", format!("{wrong} is not host:port"));
        }
        put(&mut self.config, "brokers", brokers.into());
        self.required(fields, "topic_name", "topic name is required")?;
        self.fits(
            &["topic_name"],
            is_topic,
            "a topic has up to 249 letters, digits, dots, underscores and hyphens",
        );
        let group = text(fields, "consumer_group_id")?;
        let group = group.unwrap_or_else(|| format!("inlet-{source_id}"));
        put(&mut self.config, "consumer_group_id", group.into());
        let reset = text(fields, "auto_offset_reset")?.unwrap_or_else(|| "earliest".into());
        if !matches!(reset.as_str(), "earliest" | "latest") {
            self.faults.add("auto_offset_reset", "earliest or latest");
        }
        put(&mut self.config, "auto_offset_reset", reset.into());

        if let Some(auth) = fields.raw("auth") {
            let mut auth = Fields::of("pub_sub.kafka.auth".into(), auth)?;
            let kind = text(&mut auth, "type")?.unwrap_or_default();
            let hash = text(&mut auth, "hash")?;
            put(&mut self.config, "auth.type", kind.as_str().into());
            match (kind.as_str(), hash.as_deref()) {
                ("", _) => return Err(ApiError::bad_request("auth type:  is not supported")),
                ("plain", _) => {}
                ("scram", None) => put(&mut self.config, "auth.hash", "SHA512".into()),
                ("scram", Some(hash @ ("SHA256" | "SHA512"))) => {
                    put(&mut self.config, "auth.hash", hash.into());
                }
                ("scram", Some(_)) => self.faults.add("hash", "unsupported hashing algorithm"),
                _ => self.faults.add("type", "unsupported auth type"),
            }
            let user = auth.text("username")?.unwrap_or_default();
            if user.is_empty() {
                self.faults.add("username", "non zero value required");
            }
            put(&mut self.config, "auth.username", user.into());
            self.secret("auth.password", "password", auth.text("password")?, true);
            let tls = auth.flag("tls")?.unwrap_or_default();
            put(&mut self.config, "auth.tls", tls.into());
            nothing_else(auth, "pub_sub.kafka.auth")?;
        }
        if let Some(tls) = fields.raw("tls") {
            let mut tls = Fields::of("pub_sub.kafka.tls".into(), tls)?;
            let enabled = tls.flag("enabled")?.unwrap_or(true);
            put(&mut self.config, "tls.enabled", enabled.into());
            self.tls(tls, "pub_sub.kafka.tls")?;
        }
        self.fits(&["consumer_group_id", "auth.username"], is_plain, NOT_PLAIN);
        Ok(())
    }

    /// Certificates: those to believe, and those to show.
    fn tls(&mut self, mut tls: Fields, path: &str) -> Result<(), ApiError> {
        for (name, at) in [("ca_cert", "tls.ca_cert"), ("client_cert", "tls.client_cert")] {
            let Some(pem) = text(&mut tls, name)? else { continue };
            if !pem.contains("-----BEGIN CERTIFICATE-----") {
                self.faults.add(name, "a certificate in PEM is expected");
            }
            check_length(name, &pem, DOCUMENT_MAX_CHARS)?;
            put(&mut self.config, at, pem.into());
        }
        let key = text(&mut tls, "client_key")?;
        let has_cert = self.config.get("tls").is_some_and(|tls| tls.get("client_cert").is_some());
        if let Some(key) = key.as_ref().filter(|key| !is_hint(key)) {
            if !key.contains("PRIVATE KEY-----") {
                self.faults.add("client_key", "a private key in PEM is expected");
            }
            check_length("client_key", key, DOCUMENT_MAX_CHARS)?;
        }
        if key.is_some() && !has_cert {
            self.faults.add("client_cert", "is needed with a client_key");
        }
        self.secret("tls.client_key", "client_key", key, has_cert);
        nothing_else(tls, path)
    }

    fn sqs(&mut self, fields: &mut Fields) -> Result<(), ApiError> {
        self.required(fields, "queue_name", "non zero value required")?;
        self.required(fields, "default_region", "non zero value required")?;
        let id = text(fields, "access_key_id")?;
        let key = text(fields, "secret_key")?;
        let token = text(fields, "session_token")?;
        if id.is_none() && (key.is_some() || token.is_some()) {
            self.faults.add("access_key_id", "non zero value required");
        }
        self.secret("secret_key", "secret_key", key, id.is_some());
        self.secret("session_token", "session_token", token, false);
        if let Some(id) = id {
            put(&mut self.config, "access_key_id", id.into());
        }
        if let Some(endpoint) = text(fields, "endpoint")? {
            if !is_http_url(&endpoint) {
                self.faults.add("endpoint", "a URL with http or https is expected");
            }
            put(&mut self.config, "endpoint", endpoint.into());
        }
        // They are shown, and stand in logs.
        self.fits(
            &["queue_name", "endpoint"],
            |text| !has_user(text),
            "no user name and password: put them into access_key_id and secret_key",
        );
        self.fits(
            &["queue_name", "default_region", "access_key_id", "endpoint"],
            is_plain,
            NOT_PLAIN,
        );
        // Other servers than Amazon's have rules of their own.
        if !self.config.contains_key("endpoint") {
            self.fits(
                &["queue_name"],
                |text| is_queue(text) || is_http_url(text),
                "a queue has up to 80 letters, digits, underscores and hyphens (.fifo may end them), or is given by its URL",
            );
        }
        Ok(())
    }

    fn google(&mut self, fields: &mut Fields) -> Result<(), ApiError> {
        self.required(fields, "project_id", "project id is required")?;
        self.required(fields, "subscription_id", "subscription id is required")?;
        self.fits(
            &["project_id"],
            is_google_project,
            "a project has letters, digits, hyphens, dots, underscores and colons",
        );
        self.fits(
            &["subscription_id"],
            is_google_subscription,
            "a subscription has up to 255 letters, digits and -_.~+%, a letter first, and not goog",
        );
        let emulator = text(fields, "emulator_host")?;
        if let Some(host) = &emulator {
            if !is_host_and_port(host) {
                self.faults.add("emulator_host", format!("{host} is not host:port"));
            }
            put(&mut self.config, "emulator_host", host.as_str().into());
        }
        let account = match fields.raw("service_account") {
            None => None,
            Some(Value::Array(bytes)) if bytes.is_empty() => None,
            Some(Value::String(text)) => Some(text.trim().to_owned()),
            Some(Value::Array(bytes)) => {
                let byte = |value: &Value| value.as_u64().and_then(|byte| u8::try_from(byte).ok());
                let bytes: Option<Vec<u8>> = bytes.iter().map(byte).collect();
                let bytes = bytes.ok_or_else(|| {
                    ApiError::bad_request("service_account:base64 text, or an array of bytes")
                })?;
                Some(STANDARD.encode(bytes))
            }
            Some(_) => {
                return Err(ApiError::bad_request(
                    "service_account:base64 text, or an array of bytes",
                ));
            }
        };
        let account = account.filter(|account| !account.is_empty());
        if let Some(account) = account.as_ref().filter(|account| !is_hint(account)) {
            check_length("service_account", account, DOCUMENT_MAX_CHARS)?;
            // What an emulator is shown, it does not look at.
            if emulator.is_none() && !is_service_account(account) {
                self.faults.add(
                    "service_account",
                    "is not the JSON key of a service account, in base64: client_email and private_key are expected",
                );
            }
        }
        self.secret("service_account", "service_account", account, false);
        Ok(())
    }

    fn amqp(&mut self, fields: &mut Fields) -> Result<(), ApiError> {
        let schema = text(fields, "schema")?.unwrap_or_else(|| "amqp".into());
        if !matches!(schema.as_str(), "amqp" | "amqps") {
            self.faults.add("schema", "amqp or amqps");
        }
        let port = match fields.raw("port") {
            None => None,
            Some(Value::String(text)) if text.trim().is_empty() => None,
            Some(Value::String(text)) => Some(text.trim().parse::<u64>().unwrap_or_default()),
            Some(port) => Some(port.as_u64().unwrap_or_default()),
        };
        let port = port.unwrap_or(if schema == "amqps" { 5671 } else { 5672 });
        if !(1..=65_535).contains(&port) {
            self.faults.add("port", "from 1 to 65535");
        }
        put(&mut self.config, "schema", schema.as_str().into());
        put(&mut self.config, "port", port.into());
        self.required(fields, "host", "non zero value required")?;
        if let Some(Value::String(host)) = self.config.get("host")
            && !is_host(host)
        {
            self.faults.add("host", format!("{host} is not a host"));
        }
        self.required(fields, "queue", "non zero value required")?;
        let vhost = fields.text("vhost")?.filter(|vhost| !vhost.is_empty());
        put(&mut self.config, "vhost", vhost.unwrap_or_else(|| "/".into()).into());

        // Two spellings of Convoy's, and ours.
        let bind = fields.raw("bindExchange");
        let (mut exchange, mut routing_key) = (None, None);
        if let Some(bind) = bind {
            let mut bind = Fields::of("pub_sub.amqp.bindExchange".into(), bind)?;
            exchange = text(&mut bind, "exchange")?;
            routing_key = text(&mut bind, "routingKey")?;
            nothing_else(bind, "pub_sub.amqp.bindExchange")?;
        }
        let found = either(fields, "bindedExchange", "exchange")?;
        exchange = exchange.or(found);
        let found = either(fields, "routingKey", "routing_key")?;
        routing_key = routing_key.or(found);
        let dead = either(fields, "deadLetterExchange", "dead_letter_exchange")?;
        if exchange.is_none() && routing_key.is_some() {
            self.faults.add("exchange", "is needed with a routing key");
        }
        for (name, value) in
            [("exchange", exchange), ("routing_key", routing_key), ("dead_letter_exchange", dead)]
        {
            if let Some(value) = value {
                put(&mut self.config, name, value.into());
            }
        }
        self.fits(
            AMQP_TEXTS,
            |text| text.len() <= AMQP_NAME_MAX_BYTES,
            &format!("at most {AMQP_NAME_MAX_BYTES} bytes"),
        );
        self.fits(AMQP_TEXTS, is_plain, NOT_PLAIN);
        let prefetch = fields.number("prefetch", 1..=PREFETCH_MAX)?.unwrap_or(PREFETCH_DEFAULT);
        if !(1..=PREFETCH_MAX).contains(&prefetch) {
            self.faults.add("prefetch", format!("from 1 to {PREFETCH_MAX}"));
        }
        put(&mut self.config, "prefetch", prefetch.into());
        if let Some(auth) = fields.raw("auth") {
            let mut auth = Fields::of("pub_sub.amqp.auth".into(), auth)?;
            let user = auth.text("user")?.unwrap_or_default();
            let password = auth.text("password")?;
            nothing_else(auth, "pub_sub.amqp.auth")?;
            if !user.is_empty() {
                put(&mut self.config, "auth.user", user.into());
                self.secret("auth.password", "password", password, true);
            } else if password.is_some_and(|password| !password.is_empty()) {
                self.faults.add("user", "non zero value required");
            }
            self.fits(&["auth.user"], is_plain, NOT_PLAIN);
        }
        if let Some(tls) = fields.raw("tls") {
            if schema != "amqps" {
                self.faults.add("tls", "certificates are for the schema amqps");
            }
            put(&mut self.config, "tls", json!({}));
            let tls = Fields::of("pub_sub.amqp.tls".into(), tls)?;
            self.tls(tls, "pub_sub.amqp.tls")?;
        }
        Ok(())
    }

    fn required(
        &mut self,
        fields: &mut Fields,
        name: &'static str,
        missing: &str,
    ) -> Result<(), ApiError> {
        match text(fields, name)? {
            None => self.faults.add(name, missing),
            Some(value) => {
                check_length(name, &value, TEXT_MAX_CHARS)?;
                put(&mut self.config, name, value.into());
            }
        }
        Ok(())
    }

    /// Refuses those texts of the broker, by their paths, that do not fit.
    fn fits(&mut self, paths: &[&str], fits: fn(&str) -> bool, fault: &str) {
        for path in paths {
            let (inner, name) =
                path.split_once('.').map_or((None, *path), |(of, name)| (Some(of), name));
            let value = match inner {
                Some(of) => self.config.get(of).and_then(|inner| inner.get(name)),
                None => self.config.get(name),
            };
            if value.and_then(Value::as_str).is_some_and(|text| !fits(text)) {
                self.faults.add(name, fault);
            }
        }
    }

    fn secret(
        &mut self,
        path: &'static str,
        field: &'static str,
        value: Option<String>,
        is_required: bool,
    ) {
        self.secrets.push(Given { path, field, value: value.unwrap_or_default(), is_required });
    }
}

fn is_host(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    !text.is_empty() && text.bytes().all(is_plain)
}

fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    is_host(host) && port.parse::<u16>().is_ok_and(|port| 0 < port)
}

fn is_plain(text: &str) -> bool {
    !text.contains(char::is_control)
}

/// Whether there is nothing in it but ASCII letters, digits and `more`.
fn is_of(text: &str, more: &[u8]) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
}

/// As Kafka has them.
fn is_topic(text: &str) -> bool {
    (1..=249).contains(&text.len()) && is_of(text, b"._-") && !matches!(text, "." | "..")
}

/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html>
fn is_queue(text: &str) -> bool {
    let name = text.strip_suffix(".fifo").unwrap_or(text);
    text.len() <= 80 && !name.is_empty() && is_of(name, b"_-")
}

/// An id, one in a domain (`example.com:orders`), or a number.
fn is_google_project(text: &str) -> bool {
    is_of(text, b"-._:")
}

/// <https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names>. What is too short is left to the server.
fn is_google_subscription(text: &str) -> bool {
    text.len() <= 255
        && is_of(text, b"-_.~+%")
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && !text.starts_with("goog")
}

fn is_http_url(text: &str) -> bool {
    url::Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Whether a URL holds a user name or a password.
fn has_user(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
}

fn is_service_account(base64: &str) -> bool {
    let Ok(bytes) = STANDARD.decode(base64) else { return false };
    let Ok(account) = json::read_bytes::<Value>(&bytes) else { return false };
    ["client_email", "private_key"]
        .iter()
        .all(|name| account.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty()))
}
