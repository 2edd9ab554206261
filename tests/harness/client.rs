use std::io::{self, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::{documented, wire};

/// One request, before it is sent.
#[derive(Clone, Debug)]
pub struct Call {
    origin: String,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    chunk: Option<usize>,
}

impl Call {
    /// `origin` is `http://host:port`; `path` goes onto the wire as it is.
    pub fn new(origin: &str, method: &str, path: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            chunk: None,
        }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    #[must_use]
    pub fn headers(mut self, headers: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.headers.extend(headers.iter().map(own));
        self
    }

    #[must_use]
    pub fn bearer(self, key: &str) -> Self {
        self.header("Authorization", format!("Bearer {key}"))
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    #[must_use]
    pub fn json(self, value: &Value) -> Self {
        self.header("Content-Type", "application/json").body(value.to_string())
    }

    /// Sends the body in chunks of this many bytes, without a `Content-Length`.
    #[must_use]
    pub fn chunked(mut self, size: usize) -> Self {
        self.chunk = Some(size);
        self
    }

    /// Sends it on a connection of its own. An answer of the API is one that its document has.
    #[track_caller]
    pub fn send(&self) -> Reply {
        match self.try_send() {
            Ok(reply) => {
                documented::check(&self.method, &self.path, &reply);
                reply
            }
            Err(error) => panic!("{} {}: {error}", self.method, self.path),
        }
    }

    pub fn try_send(&self) -> io::Result<Reply> {
        Connection::open(&self.origin)?.send(self)
    }

    /// The request as it goes onto the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let host = self.origin.trim_start_matches("http://");
        let mut bytes = format!("{} {} HTTP/1.1\r\nHost: {host}\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            bytes.extend([name, ": ", value, "\r\n"]);
        }
        let bodiless = self.body.is_empty() && matches!(self.method.as_str(), "GET" | "HEAD");
        match self.chunk {
            Some(_) => bytes.push_str("Transfer-Encoding: chunked\r\n"),
            None if bodiless => {}
            None => bytes.extend(["Content-Length: ", &self.body.len().to_string(), "\r\n"]),
        }
        bytes.push_str("\r\n");
        let mut bytes = bytes.into_bytes();
        match self.chunk {
            None => bytes.extend_from_slice(&self.body),
            Some(size) => {
                for chunk in self.body.chunks(size.max(1)) {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
        }
        bytes
    }
}

/// A connection that stays open between requests.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(origin: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(origin.trim_start_matches("http://"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        stream.set_write_timeout(Some(Duration::from_mins(1)))?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Self { stream, reader })
    }

    pub fn send(&mut self, call: &Call) -> io::Result<Reply> {
        // A peer may answer and close before it has read everything: the answer still counts.
        let written = self.stream.write_all(&call.to_bytes());
        match (self.read_reply(call.method == "HEAD"), written) {
            (Ok(reply), _) => Ok(reply),
            (Err(_), Err(error)) | (Err(error), Ok(())) => Err(error),
        }
    }

    /// Raw bytes, well-formed or not.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    pub fn read_reply(&mut self, bodiless: bool) -> io::Result<Reply> {
        let (head, body) = wire::read_reply(&mut self.reader, bodiless)?;
        Ok(Reply { status: head.start[0].parse().unwrap_or(0), headers: head.headers, body })
    }
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        wire::header(&self.headers, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{} is not JSON ({error}): {}", self.status, self.text()),
        }
    }

    /// `message` of Convoy's envelope, or nothing.
    pub fn message(&self) -> String {
        let value: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        value["message"].as_str().unwrap_or_default().to_owned()
    }

    /// `data` of Convoy's envelope.
    #[track_caller]
    pub fn data(&self) -> Value {
        self.json()["data"].clone()
    }

    /// `data`, of an answer with this status and message.
    #[track_caller]
    pub fn says(self, status: u16, message: &str) -> Value {
        let reply = self.expect(status);
        assert!(reply.message() == message, "expected {message:?}, got {}", reply.text());
        reply.data()
    }

    /// Panics with the whole answer unless it has this status.
    #[track_caller]
    #[allow(clippy::return_self_not_must_use, reason = "often all that a test wants to know")]
    pub fn expect(self, status: u16) -> Self {
        assert!(self.status == status, "expected {status}, got {}: {}", self.status, self.text());
        self
    }
}

/// The array at this place of an answer.
#[track_caller]
pub(crate) fn array(answer: &Value, place: &str) -> Vec<Value> {
    match answer.pointer(place).and_then(Value::as_array) {
        Some(array) => array.clone(),
        None => panic!("no array at {place} of {answer}"),
    }
}
