//! The calls into the runtime that every event makes: see `js/glue.js`.

use inlet_gateway::reply::Reply;
use inlet_verify::{Headers, Mac};
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;
use worker::{Env, Error, Result, web_sys};

#[wasm_bindgen(module = "/js/glue.js")]
extern "C" {
    fn head(request: &web_sys::Request) -> String;
    /// A text that is served as it is, by the name of its file in `assets`.
    pub(crate) fn text(name: &str) -> String;
    /// The JSON of a text in YAML, or what is wrong with it: see `Document::of_yaml`.
    pub(crate) fn yaml(text: &str) -> String;
    #[wasm_bindgen(catch)]
    fn respond(
        status: u16,
        headers: &str,
        body: &[u8],
    ) -> std::result::Result<web_sys::Response, JsValue>;
    #[wasm_bindgen(catch, js_name = respondText)]
    fn respond_text(status: u16, answer: &str) -> std::result::Result<web_sys::Response, JsValue>;
    #[wasm_bindgen(catch, js_name = send)]
    fn send_parts(
        env: &Env,
        queue: &str,
        fields: &[u8],
        body: &[u8],
    ) -> std::result::Result<Promise, JsValue>;
    #[wasm_bindgen(catch, js_name = sendRead)]
    fn send_read(
        env: &Env,
        queue: &str,
        fields: &[u8],
        body: &Uint8Array,
    ) -> std::result::Result<Promise, JsValue>;
    #[wasm_bindgen(catch, js_name = insert)]
    fn insert_row(
        env: &Env,
        database: &str,
        sql: &str,
        meta: &str,
        body: &str,
        length: usize,
        is_base64: u8,
    ) -> std::result::Result<Promise, JsValue>;
    #[wasm_bindgen(catch, js_name = queued)]
    fn queued_in(env: &Env, queue: &str) -> std::result::Result<Promise, JsValue>;
    #[wasm_bindgen(catch)]
    fn mac(
        hash: &str,
        key: &[u8],
        before: &[u8],
        body: &Uint8Array,
        after: &[u8],
    ) -> std::result::Result<Promise, JsValue>;
}

/// All of a request but its body.
pub(crate) struct Head {
    text: String,
    /// Where the method, and where the URL ends.
    ends: (usize, usize),
}

impl Head {
    pub(crate) fn of(request: &web_sys::Request) -> Self {
        let text = head(request);
        let mut feeds = memchr::memchr_iter(b'\n', text.as_bytes());
        let ends = (feeds.next().unwrap_or(text.len()), feeds.next().unwrap_or(text.len()));
        Self { text, ends }
    }

    pub(crate) fn method(&self) -> &str {
        self.text.get(..self.ends.0).unwrap_or_default()
    }

    pub(crate) fn url(&self) -> &str {
        self.text.get(self.ends.0 + 1..self.ends.1).unwrap_or_default()
    }

    /// The URL's path, without its query.
    pub(crate) fn path(&self) -> &str {
        let url = self.url();
        let after_scheme = url.find("://").map_or(0, |at| at + 3);
        let from = url.get(after_scheme..).and_then(|rest| rest.find('/'));
        let path = from.and_then(|at| url.get(after_scheme + at..)).unwrap_or("/");
        path.split('?').next().unwrap_or("/")
    }

    pub(crate) fn headers(&self) -> Headers {
        let lines = self.text.get(self.ends.1 + 1..).unwrap_or_default();
        let ends = memchr::memchr_iter(b'\n', lines.as_bytes()).chain([lines.len()]);
        let mut start = 0;
        let lines = ends.filter_map(|end| {
            let line = lines.get(std::mem::replace(&mut start, end + 1)..end)?;
            let comma = memchr::memchr(b',', line.as_bytes())?;
            Some((line.get(..comma)?.to_owned(), line.get(comma + 1..)?.to_owned()))
        });
        lines.collect()
    }
}

/// The answer, as the runtime takes it.
pub(crate) fn response(reply: &Reply) -> Result<web_sys::Response> {
    let mut answer = format!("content-type\n{}", reply.content_type);
    for (name, value) in &reply.headers {
        for text in [name.as_ref(), value.as_str()] {
            answer.push('\n');
            answer.push_str(text);
        }
    }
    let line_feeds = answer.bytes().filter(|byte| *byte == b'\n').count();
    if line_feeds != 1 + 2 * reply.headers.len() || answer.contains('\0') {
        return Err(Error::RustError("a header of the answer is no line".into()));
    }
    match std::str::from_utf8(&reply.body) {
        Ok(body) if !body.is_empty() => {
            answer.push('\0');
            answer.push_str(body);
            Ok(respond_text(reply.status, &answer)?)
        }
        _ => Ok(respond(reply.status, &answer, &reply.body)?),
    }
}

/// A body, in our memory and in the runtime's.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) array: Option<Uint8Array>,
}

impl Body {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, array: None }
    }

    /// A body that the runtime has read whole.
    pub(crate) fn of(array: Uint8Array) -> Self {
        Self { bytes: array.to_vec(), array: Some(array) }
    }

    /// HMAC by the platform, which takes a quarter of our time for a large body; ours, should it fail.
    pub(crate) async fn hmac(&self, wanted: &Mac) -> Vec<u8> {
        let Mac { hash, key, before, after } = wanted;
        let made = async {
            let own;
            let array = if let Some(array) = &self.array {
                array
            } else {
                own = Uint8Array::from(self.bytes.as_slice());
                &own
            };
            let made = mac(hash.web_name()?, key, before, array, after).ok()?;
            Some(Uint8Array::new(&JsFuture::from(made).await.ok()?).to_vec())
        };
        match made.await {
            Some(made) => made,
            None => inlet_verify::hmac(*hash, key, &[before, &self.bytes, after]),
        }
    }
}

/// Sends one message of bytes, made of two parts; `read` is the second as the runtime has it, if it does. When this returns
/// `Ok`, the queue has it.
pub(crate) async fn send(
    env: &Env,
    queue: &str,
    fields: &[u8],
    body: &[u8],
    read: Option<&Uint8Array>,
) -> Result<()> {
    let sent = match read {
        Some(read) => send_read(env, queue, fields, read)?,
        None => send_parts(env, queue, fields, body)?,
    };
    JsFuture::from(sent).await?;
    Ok(())
}

/// What waits in a queue, as JSON.
pub(crate) async fn queued(env: &Env, queue: &str) -> Result<String> {
    let told = JsFuture::from(queued_in(env, queue)?).await?;
    Ok(told.as_string().unwrap_or_default())
}

/// Inserts a row of a journal. When this returns `Ok`, the row is durable.
pub(crate) async fn insert(
    env: &Env,
    database: &str,
    sql: &str,
    meta: &str,
    body: &str,
    is_base64: bool,
) -> Result<()> {
    let inserted = insert_row(env, database, sql, meta, body, body.len(), u8::from(is_base64))?;
    JsFuture::from(inserted).await?;
    Ok(())
}
