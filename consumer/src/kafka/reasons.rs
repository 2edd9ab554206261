//! Why brokers are not to be had. The client library's codes tell little: what explains them it says beside, for each broker.

use std::collections::BTreeMap;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::broker::Fault;

/// What was said last of each broker that is not up.
#[derive(Debug, Default)]
pub(super) struct Reasons(BTreeMap<String, String>);

impl Reasons {
    /// `sasl_ssl://kafka:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 1ms in state CONNECT)`
    pub(super) fn note(&mut self, text: &str) {
        let text = match text.split_once("]: ") {
            Some((thread, text)) if thread.starts_with("[thrd:") => text,
            _ => text,
        };
        let Some((name, mut reason)) = text.split_once(": ") else { return };
        let name = name.rsplit("://").next().unwrap_or(name);
        let mut host = name.split('/').next().unwrap_or(name);
        // The coordinator of the group is a broker by another name.
        if let ("GroupCoordinator", Some((address, rest))) = (host, reason.split_once(": ")) {
            (host, reason) = (address, rest);
        }
        self.0.insert(host.to_owned(), plain(reason));
    }

    pub(super) fn forget<'a>(&mut self, up: impl Iterator<Item = &'a str>) {
        for host in up {
            self.0.remove(host);
        }
    }

    /// The error in words; where it is about brokers, with what is known of each.
    pub(super) fn words(&self, error: &KafkaError) -> Fault {
        let what = match error.rdkafka_error_code() {
            Some(
                Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve | Code::Fail,
            ) => "no broker can be used",
            Some(Code::OperationTimedOut) => "there was no answer in time",
            Some(Code::Authentication | Code::SaslAuthenticationFailed) => "authentication failed",
            Some(Code::SSL) => "no broker can be used, because of TLS",
            _ => return Fault::new(error.to_string()),
        };
        if self.0.is_empty() {
            return Fault::new(error.to_string());
        }
        let each: Vec<String> =
            self.0.iter().map(|(host, reason)| format!("{host}: {reason}")).collect();
        Fault(format!("{what}: {}", each.join("; ")))
    }
}

/// Without the state and the milliseconds, which change each time; with the names that a source has for what is to be mended.
fn plain(reason: &str) -> String {
    let reason = reason.split(" (after ").next().unwrap_or(reason);
    reason
        .replace("ssl.ca.location", "kafka.tls.ca_cert")
        .replace("security.protocol configuration", "kafka.tls or kafka.auth")
        .replace("security.protocol is", "kafka.auth and kafka.tls are")
        .replace(" (see api.version.request)", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_broker_says_what_is_wrong_with_it() {
        let mut reasons = Reasons::default();
        let down = KafkaError::MessageConsumption(Code::AllBrokersDown);
        assert!(reasons.words(&down).0.contains("AllBrokersDown"));
        for text in [
            "a:1/bootstrap: Connect to ipv4#10.0.0.1:1 failed: No route to host (after 1ms in state CONNECT)",
            "a:1/bootstrap: Connect to ipv4#10.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
            "sasl_ssl://b.example:2/bootstrap: Failed to resolve 'b.example:2': Name or service not known (after 3ms in state CONNECT)",
            "ssl://[::1]:3/7: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified, verify that ssl.ca.location is correctly configured (after 8ms in state SSL_HANDSHAKE)",
            "[thrd:GroupCoordinator]: GroupCoordinator: d:4: Disconnected (after 9ms in state UP)",
        ] {
            reasons.note(text);
        }
        assert_eq!(
            reasons.words(&down).0,
            "no broker can be used: [::1]:3: SSL handshake failed: error:0A000086:SSL routines::certificate verify \
             failed: broker certificate could not be verified, verify that kafka.tls.ca_cert is correctly configured; \
             a:1: Connect to ipv4#10.0.0.1:1 failed: Connection refused; \
             b.example:2: Failed to resolve 'b.example:2': Name or service not known; \
             d:4: Disconnected"
        );
        reasons.forget(["a:1", "b.example:2", "[::1]:3"].into_iter());
        let denied = KafkaError::MessageConsumption(Code::SaslAuthenticationFailed);
        assert_eq!(reasons.words(&denied).0, "authentication failed: d:4: Disconnected");
        // What is not about brokers needs no word on them.
        let topic = KafkaError::MessageConsumption(Code::TopicAuthorizationFailed);
        assert!(!reasons.words(&topic).0.contains("d:4"));
    }
}
