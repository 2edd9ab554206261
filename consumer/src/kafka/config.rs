//! What a source says, as the settings of the client library.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::broker::Fault;
use crate::source::{Kafka as Config, given, given_secret};

pub(super) fn client_config(config: &Config, source: &str) -> Result<ClientConfig, Fault> {
    // The client library panics on a NUL.
    if config.topic_name.is_empty() || config.topic_name.contains('\0') {
        return Err(Fault::new("kafka.topic_name is no name of a topic"));
    }
    let mut client = ClientConfig::new();
    let group = given(config.consumer_group_id.as_ref())
        .map_or_else(|| format!("inlet-{source}"), str::to_owned);
    client.set_log_level(RDKafkaLogLevel::Info);
    let mut set = |name: &str, value: &str| {
        client.set(name, value);
    };
    set("bootstrap.servers", &config.brokers.join(","));
    set("client.id", "inlet-consumer");
    set("group.id", &group);
    set("auto.offset.reset", given(config.auto_offset_reset.as_ref()).unwrap_or("earliest"));
    set("enable.auto.commit", "true");
    set("auto.commit.interval.ms", "1000");
    set("enable.auto.offset.store", "false");
    set("partition.assignment.strategy", "cooperative-sticky");
    // A member that dies is missed soon. It polls all the time, whatever the gateway does.
    set("session.timeout.ms", "10000");
    // By its heartbeat a member hears that another has come and is to have some of its partitions, twice for each that moves.
    set("heartbeat.interval.ms", "1000");
    set("max.poll.interval.ms", "60000");
    set("statistics.interval.ms", "5000");
    set("fetch.wait.max.ms", "100");
    // What is fetched ahead: enough for full speed, and not the library's 64 MB.
    set("queued.max.messages.kbytes", "8192");
    set("fetch.max.bytes", "4194304");
    // Once that is full the library fetches nothing for so long: its 1,000 are far more than it takes to empty it.
    set("fetch.queue.backoff.ms", "20");
    set("reconnect.backoff.max.ms", "5000");
    let tls = config.tls.as_ref().filter(|tls| tls.enabled);
    let encrypted = tls.is_some() || config.auth.as_ref().is_some_and(|auth| auth.tls);
    let protocol = match (&config.auth, encrypted) {
        (None, false) => "plaintext",
        (None, true) => "ssl",
        (Some(_), false) => "sasl_plaintext",
        (Some(_), true) => "sasl_ssl",
    };
    set("security.protocol", protocol);
    if let Some(auth) = &config.auth {
        let mechanism = match (auth.kind.as_str(), auth.hash.as_deref()) {
            ("plain", _) => "PLAIN",
            ("scram", Some("SHA256")) => "SCRAM-SHA-256",
            ("scram", _) => "SCRAM-SHA-512",
            (other, _) => {
                return Err(Fault::new(format!(
                    "kafka.auth.type {other} is neither plain nor scram"
                )));
            }
        };
        set("sasl.mechanism", mechanism);
        set("sasl.username", &auth.username);
        set("sasl.password", auth.password.expose());
    }
    if let Some(tls) = tls {
        for (name, value) in [
            ("ssl.ca.pem", given(tls.ca_cert.as_ref())),
            ("ssl.certificate.pem", given(tls.client_cert.as_ref())),
            ("ssl.key.pem", given_secret(tls.client_key.as_ref())),
        ] {
            if let Some(value) = value {
                set(name, value);
            }
        }
    }
    Ok(client)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(json: serde_json::Value) -> Config {
        let mut whole = json!({"brokers": ["a:1", "b:2"], "topic_name": "t"});
        whole.as_object_mut().unwrap().extend(json.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn what_a_source_says_reaches_the_client() {
        let scram = json!({"type": "scram", "hash": "SHA256", "username": "u", "password": "p"});
        let scram_tls = json!({"type": "scram", "username": "u", "password": "p", "tls": true});
        let plain = json!({"type": "plain", "username": "u", "password": "p"});
        let tls =
            json!({"enabled": true, "ca_cert": "CA", "client_cert": "CERT", "client_key": "KEY"});
        for (fields, expect) in [
            (
                json!({}),
                vec![
                    ("security.protocol", "plaintext"),
                    ("group.id", "inlet-s"),
                    ("bootstrap.servers", "a:1,b:2"),
                    ("auto.offset.reset", "earliest"),
                    ("enable.auto.offset.store", "false"),
                ],
            ),
            (
                json!({"consumer_group_id": "g", "auto_offset_reset": "latest"}),
                vec![("group.id", "g"), ("auto.offset.reset", "latest")],
            ),
            (
                json!({"auth": plain}),
                vec![
                    ("security.protocol", "sasl_plaintext"),
                    ("sasl.mechanism", "PLAIN"),
                    ("sasl.username", "u"),
                    ("sasl.password", "p"),
                ],
            ),
            (
                json!({"auth": scram, "tls": tls}),
                vec![
                    ("security.protocol", "sasl_ssl"),
                    ("sasl.mechanism", "SCRAM-SHA-256"),
                    ("ssl.ca.pem", "CA"),
                ],
            ),
            (
                json!({"auth": scram_tls}),
                vec![("security.protocol", "sasl_ssl"), ("sasl.mechanism", "SCRAM-SHA-512")],
            ),
            (
                json!({"tls": tls}),
                vec![
                    ("security.protocol", "ssl"),
                    ("ssl.certificate.pem", "CERT"),
                    ("ssl.key.pem", "KEY"),
                ],
            ),
            (
                json!({"tls": {"enabled": false, "ca_cert": "CA"}}),
                vec![("security.protocol", "plaintext")],
            ),
        ] {
            let client = client_config(&config(fields.clone()), "s").unwrap();
            for (name, value) in expect {
                assert_eq!(client.get(name), Some(value), "{fields}");
            }
        }
        let other = config(json!({"auth": {"type": "oauth"}}));
        assert!(client_config(&other, "s").unwrap_err().0.contains("oauth"));
    }
}
