use serde_json::{Value, json};

use crate::client::{Call, Reply};
use crate::gateway::Gateway;
use crate::project::Project;

/// One message of a broker, as a companion hands it in.
#[derive(Clone, Debug)]
pub struct BrokerMessage {
    pub head: Value,
    pub payload: Vec<u8>,
}

impl BrokerMessage {
    pub fn new(id: &str, payload: impl Into<Vec<u8>>) -> Self {
        let payload = payload.into();
        let head = json!({"id": id, "length": payload.len(), "headers": []});
        Self { head, payload }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Some(headers) = self.head["headers"].as_array_mut() {
            headers.push(json!([name, value]));
        }
        self
    }

    /// Any other field of what is said about the message.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.head[field] = value;
        self
    }
}

/// The body of a batch: one line, and the payloads.
pub fn framed(source_id: &str, messages: &[BrokerMessage]) -> Vec<u8> {
    let heads: Vec<&Value> = messages.iter().map(|message| &message.head).collect();
    let mut body = json!({"source_id": source_id, "messages": heads}).to_string().into_bytes();
    body.push(b'\n');
    for message in messages {
        body.extend_from_slice(&message.payload);
    }
    body
}

/// What a companion calls with its key.
#[derive(Debug)]
pub struct Companion<'g> {
    pub gateway: &'g Gateway,
    pub key: String,
    pub key_id: String,
}

impl<'g> Project<'g> {
    /// A companion with a key of its own.
    #[track_caller]
    pub fn companion(&self) -> Companion<'g> {
        let made = self.post("/consumer-keys", &json!({"name": "test"})).expect(201).data();
        let text = |name: &str| made[name].as_str().expect("a text").to_owned();
        Companion { gateway: self.gateway, key: text("key"), key_id: text("uid") }
    }
}

impl Companion<'_> {
    pub fn call(&self, method: &str, path: &str) -> Call {
        self.gateway.call(method, &format!("/consumer/v1{path}")).bearer(&self.key)
    }

    /// Hands in bytes as a batch, well-formed or not.
    pub fn hand_in(&self, body: impl Into<Vec<u8>>) -> Reply {
        let call = self.call("POST", "/batches");
        call.header("Content-Type", "application/vnd.inlet.batch").body(body).send()
    }

    pub fn batch(&self, source_id: &str, messages: &[BrokerMessage]) -> Reply {
        self.hand_in(framed(source_id, messages))
    }

    /// What became of each message.
    #[track_caller]
    pub fn verdicts(&self, source_id: &str, messages: &[BrokerMessage]) -> Vec<Value> {
        let answer = self.batch(source_id, messages).expect(200).json();
        answer["results"].as_array().cloned().expect("results")
    }
}
