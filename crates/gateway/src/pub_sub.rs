//! Broker sources: which topic, queue or subscription a companion reads for a source, and what its messages mean.
//!
//! One shape is stored, that of the companion; the secrets in it are kept apart, sealed, by their path. The API takes both
//! spellings that Convoy documents, and shows the one that Convoy answers with.

use std::collections::BTreeMap;

use inlet_verify::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::api::{ApiError, refuse_unsupported};
use crate::fields::Fields;
use crate::vault::{Sealed, VaultError, is_hint};

mod draft;
mod mapping;

pub use mapping::Mapping;

use draft::{Draft, Given};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Broker {
    Kafka,
    Sqs,
    Google,
    Amqp,
}

impl Broker {
    const ALL: [Self; 4] = [Self::Kafka, Self::Sqs, Self::Google, Self::Amqp];

    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Sqs => "sqs",
            Self::Google => "google",
            Self::Amqp => "amqp",
        }
    }
}

/// What a source reads, as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PubSub {
    #[serde(rename = "type")]
    pub broker: Broker,
    pub workers: u64,
    /// The fields of the broker in the companion's spelling, without the secrets.
    config: Map<String, Value>,
    /// By their path in `config`: `auth.password`.
    secrets: BTreeMap<String, Sealed>,
    #[serde(default)]
    pub mapping: Option<Mapping>,
}

/// Seals and opens the secrets of one source. `field` is where in the source one belongs.
pub trait Keeper {
    fn seal(&mut self, plain: &str, field: &str) -> Result<Sealed, VaultError>;
    fn open(&self, sealed: &Sealed, field: &str) -> Result<Secret, VaultError>;
}

/// Where in its source a secret belongs.
fn place(broker: Broker, path: &str) -> String {
    format!("pub_sub/{}/{path}", broker.name())
}

impl PubSub {
    /// Reads the field `pub_sub` of a source. A mask that comes back stands for the secret that is stored.
    pub fn read(
        value: Option<Value>,
        source_id: &str,
        stored: Option<&Self>,
        keeper: &mut dyn Keeper,
    ) -> Result<Self, ApiError> {
        let draft = Draft::read(value.unwrap_or_else(|| json!({})), source_id)?;
        let broken = |error: VaultError| ApiError::new(500, error.to_string());
        let stored = stored.filter(|stored| stored.broker == draft.broker);
        let (mut faults, mut secrets) = (draft.faults, BTreeMap::new());
        for Given { path, field, value, is_required } in draft.secrets {
            let have = stored.and_then(|stored| stored.secrets.get(path));
            let place = place(draft.broker, path);
            let keeps = match have {
                Some(have) if value == have.hint || (value.is_empty() && is_required) => {
                    stored.is_some_and(|stored| stored.is_of_server(&draft.config))
                }
                // A secret that is the same in clear is no change: companions go on reading.
                Some(have) if !value.is_empty() => {
                    keeper.open(have, &place).map_err(broken)?.is(value.as_bytes())
                }
                _ => false,
            };
            if let Some(have) = have.filter(|_| keeps) {
                secrets.insert(path.to_owned(), have.clone());
            } else if is_hint(&value) {
                faults.add(field, "this is the mask of a secret; send the secret itself");
            } else if !value.is_empty() {
                secrets.insert(path.to_owned(), keeper.seal(&value, &place).map_err(broken)?);
            } else if is_required {
                faults.add(field, "non zero value required");
            }
        }
        faults.check()?;
        Ok(Self {
            broker: draft.broker,
            workers: draft.workers,
            config: draft.config,
            secrets,
            mapping: draft.mapping,
        })
    }

    /// Whether what a source is to read lies at no other server than this: a secret that is not sent whole goes nowhere else.
    fn is_of_server(&self, config: &Map<String, Value>) -> bool {
        let brokers =
            |of: &Map<String, Value>| of.get("brokers").and_then(Value::as_array).cloned();
        let (had, now) = (brokers(&self.config).unwrap_or_default(), brokers(config));
        now.into_iter().flatten().all(|broker| had.contains(&broker))
            && ["endpoint", "host", "port"].iter().all(|at| self.config.get(*at) == config.get(*at))
    }

    /// The fields of the broker as a companion reads them, with the secrets in clear.
    pub fn in_clear(&self, keeper: &dyn Keeper) -> Result<Value, VaultError> {
        let mut config = self.config.clone();
        for (path, sealed) in &self.secrets {
            let secret = keeper.open(sealed, &place(self.broker, path))?;
            put(&mut config, path, String::from_utf8_lossy(secret.expose()).into());
        }
        Ok(Value::Object(config))
    }

    /// Changes when a companion has to start reading anew.
    pub fn version(&self, is_disabled: bool) -> String {
        let all = json!([self.broker, self.workers, self.config, self.secrets, is_disabled]);
        let digest: [u8; 32] = Sha256::digest(all.to_string().as_bytes()).into();
        let mut text = hex::encode(digest);
        text.truncate(24);
        text
    }

    /// The field as the API shows it, in the spelling of Convoy's answers. Secrets are masked.
    pub fn present(&self) -> Value {
        let mut shown = present_none();
        let mut config = self.config.clone();
        for (path, sealed) in &self.secrets {
            put(&mut config, path, sealed.hint.as_str().into());
        }
        if self.broker == Broker::Amqp {
            for (ours, theirs) in AMQP_NAMES {
                let value = config.remove(*ours).unwrap_or(Value::Null);
                config.insert((*theirs).to_owned(), value);
            }
            if let Some(port) = config.get_mut("port") {
                *port = port.to_string().into();
            }
        }
        put(&mut shown, self.broker.name(), Value::Object(config));
        put(&mut shown, "type", self.broker.name().into());
        put(&mut shown, "workers", self.workers.into());
        put(&mut shown, "mapping", self.mapping.as_ref().map_or(Value::Null, Mapping::present));
        Value::Object(shown)
    }
}

/// The field of a source that reads no broker.
pub fn present_none() -> Map<String, Value> {
    let mut shown = Map::new();
    for broker in Broker::ALL {
        shown.insert(broker.name().to_owned(), Value::Null);
    }
    shown.insert("type".into(), "".into());
    shown.insert("workers".into(), 0.into());
    shown
}

const AMQP_NAMES: &[(&str, &str)] = &[
    ("exchange", "bindedExchange"),
    ("routing_key", "routingKey"),
    ("dead_letter_exchange", "deadLetterExchange"),
];

/// Sets what stands at a path of names with dots between them.
fn put(config: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            config.insert(path.to_owned(), value);
        }
        Some((name, rest)) => {
            let inner = config.entry(name).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

fn text(fields: &mut Fields, name: &str) -> Result<Option<String>, ApiError> {
    let text = fields.text(name)?;
    Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
}

fn either(fields: &mut Fields, name: &str, other: &str) -> Result<Option<String>, ApiError> {
    let (first, second) = (text(fields, name)?, text(fields, other)?);
    Ok(first.or(second))
}

/// What nobody has read would be stored without an effect.
fn nothing_else(mut fields: Fields, path: &str) -> Result<(), ApiError> {
    for (name, value) in fields.checked_rest()? {
        refuse_unsupported(&format!("{path}.{name}"), Some(&value))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::vault::Vault;

    struct Plain(Vault, u8);

    impl Keeper for Plain {
        fn seal(&mut self, plain: &str, field: &str) -> Result<Sealed, VaultError> {
            self.1 += 1;
            self.0.seal(plain, field, &mut |bytes| bytes.fill(self.1))
        }

        fn open(&self, sealed: &Sealed, field: &str) -> Result<Secret, VaultError> {
            self.0.open(sealed, field)
        }
    }

    fn keeper() -> Plain {
        Plain(Vault::new(&STANDARD.encode([7; 32])).unwrap(), 0)
    }

    fn sqs(config: Value) -> Value {
        let mut all = json!({"queue_name": "q", "default_region": "r"});
        if let (Value::Object(all), Value::Object(config)) = (&mut all, config) {
            all.extend(config);
        }
        json!({"type": "sqs", "workers": 1, "sqs": all})
    }

    #[test]
    fn a_secret_is_kept_by_its_mask_and_by_itself() {
        let mut keeper = keeper();
        let first =
            sqs(json!({"access_key_id": "A", "secret_key": "a long secret", "session_token": "t"}));
        let stored = PubSub::read(Some(first.clone()), "s", None, &mut keeper).unwrap();
        assert!(!json!(stored).to_string().contains("a long secret"));
        for same in [first, stored.present()] {
            let again = PubSub::read(Some(same), "s", Some(&stored), &mut keeper).unwrap();
            assert_eq!(again.version(false), stored.version(false));
        }
        // What is needed is kept when it is left out; what is not is gone.
        let left_out = sqs(json!({"access_key_id": "A"}));
        let kept = PubSub::read(Some(left_out), "s", Some(&stored), &mut keeper).unwrap();
        let clear = kept.in_clear(&keeper).unwrap();
        assert_eq!(clear["secret_key"], "a long secret");
        assert_eq!(clear.get("session_token"), None);
        let ambient = PubSub::read(Some(sqs(json!({}))), "s", Some(&stored), &mut keeper).unwrap();
        assert_eq!(
            ambient.in_clear(&keeper).unwrap(),
            json!({"queue_name": "q", "default_region": "r"})
        );
        assert_ne!(ambient.version(false), stored.version(false));
        assert_ne!(stored.version(true), stored.version(false));
    }

    #[test]
    fn a_masked_secret_goes_to_no_other_server() {
        let mut keeper = keeper();
        let kafka = |brokers: &[&str], password: &str| {
            json!({"type": "kafka", "workers": 1, "kafka": {"brokers": brokers, "topic_name": "t",
                "auth": {"type": "plain", "username": "u", "password": password}}})
        };
        let read = |value: Value, stored: Option<&PubSub>, keeper: &mut Plain| {
            PubSub::read(Some(value), "s", stored, keeper).map_err(|error| error.message)
        };
        let own = kafka(&["a:1", "b:1"], "a long password");
        let stored = read(own, None, &mut keeper).unwrap();
        for (brokers, password, is_kept) in [
            (&["b:1"][..], "********word", true),
            (&["a:1", "evil:1"], "********word", false),
            (&["evil:1"], "", false),
            (&["evil:1"], "a long password", true),
        ] {
            let kept = read(kafka(brokers, password), Some(&stored), &mut keeper);
            assert_eq!(kept.is_ok(), is_kept, "{brokers:?} {password}: {kept:?}");
        }
    }

    #[test]
    fn names_are_those_that_the_broker_takes() {
        let with = |(broker, path, value): (&str, &str, &str)| {
            let mut config = match broker {
                "kafka" => json!({"brokers": ["a:1"], "topic_name": "t",
                    "auth": {"type": "plain", "username": "u", "password": "p"}}),
                "google" => json!({"project_id": "p", "subscription_id": "s"}),
                "amqp" => json!({"host": "h", "queue": "q", "exchange": "x",
                    "auth": {"user": "u", "password": "p"}}),
                _ => {
                    json!({"queue_name": "q", "default_region": "r", "access_key_id": "A", "secret_key": "s"})
                }
            };
            let Value::Object(fields) = &mut config else { panic!() };
            put(fields, path, value.into());
            let value = json!({"type": broker, "workers": 1, broker: config});
            PubSub::read(Some(value), "s", None, &mut keeper()).map_err(|error| error.message)
        };
        let (queue, long) = ("q".repeat(80), "n".repeat(255));
        let fifo = format!("{}.fifo", "q".repeat(75));
        for taken in [
            ("kafka", "topic_name", "orders.v1_eu-west"),
            ("kafka", "consumer_group_id", "die Bestellungen / größer"),
            ("sqs", "queue_name", &queue),
            ("sqs", "queue_name", &fifo),
            ("sqs", "queue_name", "https://sqs.eu-west-1.amazonaws.com/123456789012/orders"),
            ("google", "project_id", "example.com:orders-42"),
            ("google", "project_id", "123456789012"),
            ("google", "subscription_id", "Orders-_.~+%25"),
            ("google", "subscription_id", &long),
            ("amqp", "queue", "Bestellungen / größer \u{1F4E6}"),
            ("amqp", "routingKey", "orders.*.#"),
            ("amqp", "exchange", &long),
        ] {
            assert_eq!(with(taken).err(), None, "{taken:?}");
        }
        let plain = "no NUL, line break or other control character";
        for (refused, fault) in [
            (("kafka", "topic_name", "orders v1"), "a topic has up to"),
            (("kafka", "consumer_group_id", "a\0b"), plain),
            (("kafka", "auth.username", "a\u{7f}"), plain),
            (("sqs", "queue_name", &*format!("{queue}q")), "a queue has up to 80"),
            (
                ("sqs", "queue_name", "arn:aws:sqs:eu-west-1:123456789012:orders"),
                "a queue has up to 80",
            ),
            (("sqs", "queue_name", "orders.v1"), "a queue has up to 80"),
            (("sqs", "queue_name", ".fifo"), "a queue has up to 80"),
            (("sqs", "queue_name", "https://a.example/1/q\nq"), plain),
            (("sqs", "default_region", "eu\0west"), plain),
            (("sqs", "access_key_id", "A\nB"), plain),
            (("google", "project_id", "projects/p"), "a project has"),
            (("google", "subscription_id", "projects/p/subscriptions/s"), "a subscription has"),
            (("google", "subscription_id", "s\0s"), "a subscription has"),
            (("google", "subscription_id", "1st"), "a subscription has"),
            (("google", "subscription_id", "google-orders"), "a subscription has"),
            (("google", "subscription_id", &*format!("{long}n")), "a subscription has"),
            (("amqp", "queue", "a\0b"), plain),
            (("amqp", "vhost", "a\n"), plain),
            (("amqp", "exchange", "a\tb"), plain),
            (("amqp", "routing_key", "a\u{1b}b"), plain),
            (("amqp", "deadLetterExchange", "a\rb"), plain),
            (("amqp", "auth.user", "a\0b"), plain),
            (("amqp", "queue", &*format!("{long}n")), "at most 255 bytes"),
        ] {
            let error = with(refused).unwrap_err();
            assert!(error.contains(&format!(":{fault}")), "{refused:?}: {error}");
        }
        // A server of one's own may take more.
        let own = sqs(json!({"queue_name": "orders.v1", "endpoint": "http://localhost:9324"}));
        PubSub::read(Some(own), "s", None, &mut keeper()).unwrap();
    }

    #[test]
    fn what_has_no_effect_is_refused() {
        for (value, message) in [
            (sqs(json!({"topic": "x"})), "pub_sub.sqs.topic is not supported yet"),
            (
                json!({"type": "sqs", "workers": 1, "kafka": {"topic_name": "t"}}),
                "sqs config is required",
            ),
            (sqs(json!({"secret_key": "x"})), "access_key_id:non zero value required"),
            (sqs(json!({"access_key_id": "x"})), "secret_key:non zero value required"),
            (
                sqs(json!({"endpoint": "localhost"})),
                "endpoint:a URL with http or https is expected",
            ),
            (
                sqs(json!({"endpoint": "http://user:pass@localhost:4566"})),
                "endpoint:no user name and password",
            ),
            (
                sqs(json!({"queue_name": "https://user:pass@sqs.example.com/1/q"})),
                "queue_name:no user name and password",
            ),
        ] {
            let error = PubSub::read(Some(value), "s", None, &mut keeper()).unwrap_err();
            assert!(error.message.starts_with(message), "{}", error.message);
        }
    }
}
