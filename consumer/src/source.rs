//! A source as the gateway tells it in `GET /consumer/v1/sources`.

use std::fmt;

use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Source {
    pub(crate) uid: String,
    #[serde(default)]
    pub(crate) name: String,
    /// Changes with everything of the source that matters here.
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) is_disabled: bool,
    #[serde(default = "one")]
    pub(crate) workers: usize,
    #[serde(default = "attempts_max")]
    pub(crate) max_attempts: u32,
    #[serde(flatten)]
    pub(crate) broker: Reach,
}

/// How each broker is reached. A type that this version does not know fails alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Reach {
    Kafka {
        kafka: Kafka,
    },
    Sqs {
        sqs: Sqs,
    },
    Google {
        google: Google,
    },
    Amqp {
        amqp: Amqp,
    },
    #[serde(other)]
    Unknown,
}

impl Reach {
    /// Why a companion does not read it, whatever the broker would say. `lends`: whether it lends sources the credentials of
    /// its machine.
    pub(crate) fn not_read_because(&self, lends: bool) -> Option<&'static str> {
        let brings = match self {
            Self::Unknown => return Some("this version of the companion does not know its type"),
            Self::Kafka { .. } | Self::Amqp { .. } => true,
            Self::Sqs { sqs } => sqs.keys().is_some(),
            Self::Google { google } => {
                given_secret(google.service_account.as_ref()).is_some()
                    || given(google.emulator_host.as_ref()).is_some()
            }
        };
        (!brings && !lends).then_some(
            "it has no credentials, and this companion does not lend those of its machine, because it serves several keys: give \
             the source its own, or set INLET_MACHINE_CREDENTIALS=true where all keys may use them",
        )
    }
}

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Kafka {
    pub(crate) brokers: Vec<String>,
    pub(crate) topic_name: String,
    pub(crate) consumer_group_id: Option<String>,
    pub(crate) auto_offset_reset: Option<String>,
    pub(crate) auth: Option<KafkaAuth>,
    pub(crate) tls: Option<Tls>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct KafkaAuth {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) hash: Option<String>,
    #[serde(default)]
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) password: Secret,
    #[serde(default)]
    pub(crate) tls: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Tls {
    #[serde(default)]
    pub(crate) enabled: bool,
    pub(crate) ca_cert: Option<String>,
    pub(crate) client_cert: Option<String>,
    pub(crate) client_key: Option<Secret>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Sqs {
    pub(crate) queue_name: String,
    pub(crate) default_region: String,
    pub(crate) access_key_id: Option<String>,
    pub(crate) secret_key: Option<Secret>,
    pub(crate) session_token: Option<Secret>,
    pub(crate) endpoint: Option<String>,
}

impl Sqs {
    /// The id of the access key, and the key.
    pub(crate) fn keys(&self) -> Option<(&str, &str)> {
        given(self.access_key_id.as_ref()).zip(given_secret(self.secret_key.as_ref()))
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Google {
    pub(crate) project_id: String,
    pub(crate) subscription_id: String,
    pub(crate) service_account: Option<Secret>,
    pub(crate) emulator_host: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Amqp {
    #[serde(default)]
    pub(crate) schema: Option<String>,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) queue: String,
    pub(crate) vhost: Option<String>,
    pub(crate) auth: Option<AmqpAuth>,
    pub(crate) exchange: Option<String>,
    pub(crate) routing_key: Option<String>,
    pub(crate) dead_letter_exchange: Option<String>,
    pub(crate) prefetch: Option<u16>,
    pub(crate) tls: Option<Tls>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AmqpAuth {
    #[serde(default)]
    pub(crate) user: String,
    #[serde(default)]
    pub(crate) password: Secret,
}

fn one() -> usize {
    1
}

fn attempts_max() -> u32 {
    inlet_gateway::consumer::ATTEMPTS_MAX
}

/// An optional text, with the empty one as none.
pub(crate) fn given(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// An optional secret, with the empty one as none.
pub(crate) fn given_secret(secret: Option<&Secret>) -> Option<&str> {
    secret.filter(|secret| !secret.is_empty()).map(Secret::expose)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_broker_is_read_and_no_secret_is_printed() {
        let read = |text: &str| -> Source { serde_json::from_str(text).unwrap() };
        let sources = [
            r#"{"uid":"a","name":"A","version":"1","is_disabled":false,"workers":3,"max_attempts":7,"type":"kafka","new":1,
             "kafka":{"brokers":["b:1"],"topic_name":"t","auth":{"type":"scram","hash":"SHA256","username":"u","password":"hidden1","tls":false},"tls":null}}"#,
            r#"{"uid":"b","version":"1","type":"sqs","sqs":{"queue_name":"q","default_region":"r","secret_key":"hidden2"}}"#,
            r#"{"uid":"c","version":"1","type":"google","google":{"project_id":"p","subscription_id":"s","service_account":"hidden3"}}"#,
            r#"{"uid":"d","version":"1","type":"amqp","amqp":{"schema":"amqps","host":"h","queue":"q","auth":{"user":"u","password":"hidden4"},
             "tls":{"ca_cert":"c","client_cert":null,"client_key":"hidden5"}}}"#,
            r#"{"uid":"e","version":"1","type":"nats","nats":{}}"#,
        ]
        .map(read);
        let kinds = sources.each_ref().map(|one| matches!(one.broker, Reach::Unknown));
        assert_eq!(kinds, [false, false, false, false, true]);
        assert_eq!((sources[0].workers, sources[1].workers), (3, 1));
        assert!(!format!("{sources:?}").contains("hidden"));
        let read_with =
            |lends| sources.each_ref().map(|one| one.broker.not_read_because(lends).is_none());
        assert_eq!(read_with(true), [true, true, true, true, false]);
        assert_eq!(read_with(false), [true, false, true, true, false], "the second has half a key");
    }
}
