//! The document of the API (`OpenAPI` 3.1), made from what the handlers use: paths from [`crate::routes`], request bodies
//! from the readers, answers from what the presenters show of samples. Only native builds hold it; the Worker serves the
//! file that `cargo run -p inlet-gateway --example openapi` writes.
#![allow(
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a document that cannot be made must not be: this runs in tests and in the generator"
)]

mod operations;
mod paths;
mod portal;
mod record;
mod samples;
mod schema;
mod versions;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

pub use operations::all as operations;
pub use paths::{routes, taken_by_any_method, template};
pub use portal::owner_path;
pub(crate) use record::note_parameter;
pub use record::{Read, Readers, Recorder, parameters};

use crate::api::{self, ApiError};
use crate::fields::{FromFields, Kind};

/// Where the generated document is kept, from the root of the repository.
pub const FILE: &str = "crates/edge/assets/openapi.json";
/// What writes it.
pub const COMMAND: &str = "cargo run -q -p inlet-gateway --example openapi";

const ABOUT: &str = "A webhook gateway at the edge. It speaks Convoy's API: calls, fields, envelope and messages; and below `/v1` \
    Hookstream's, for sources: `{\"source\": …}`, and refusals `{\"error\", \"status\", \"request_id\"}`. \
    Every answer of Convoy's is `{\"status\", \"message\", \"data\"}`; a refusal has no `data`, and its message says what to change.\n\n\
    In request bodies `null` is the same as a field that is left out. Unknown fields are ignored, but most that look like a slip \
    of a known one (`nmae`) are refused, and below `/v1` all are; what stands behind the JSON value, but for closing brackets, is refused; a key that an object has twice is refused, but for what stands in an event's `data`. Ids are ULIDs. Times are RFC 3339.";

/// Who may make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// The key of the project, or the root key.
    Project,
    /// The root key alone.
    Root,
    /// The key of a companion.
    Companion,
    /// As [`Access::Project`], in Hookstream's dialect.
    Hookstream,
    /// The token of a portal link.
    Owner,
}

/// What an answer holds.
#[derive(Debug, Clone)]
pub enum Data {
    Nothing,
    /// One of the shapes that have samples, by name.
    One(&'static str),
    List(&'static str),
    Page(&'static str),
    /// Its own, beside its example.
    Plain(Value, Value),
}

/// An answer that is not a refusal.
#[derive(Debug, Clone)]
pub struct Shows {
    pub status: u16,
    pub message: &'static str,
    pub data: Data,
    /// Fields of the envelope beside `data`.
    extra: Vec<(&'static str, Value)>,
}

impl Shows {
    /// Whether this is the answer with this status and message; their numbers may be others.
    pub fn is(&self, status: u16, message: &str) -> bool {
        let bare = |message: &str| -> Vec<String> {
            let word = |word: &str| if word.parse::<u64>().is_ok() { "N" } else { word }.to_owned();
            message.split(' ').map(word).collect()
        };
        self.status == status && bare(self.message) == bare(message)
    }
}

/// A body that a call takes.
#[derive(Debug, Clone)]
pub struct Body {
    pub reader: &'static str,
    ask: fn(&Recorder),
    /// Refuses what the handler would refuse for its form.
    pub check: fn(&[u8]) -> Result<(), ApiError>,
    pub examples: Vec<(&'static str, Value)>,
    required: &'static [&'static str],
    only: Vec<String>,
    is_array: bool,
    /// Another type that is taken, and its schema as JSON.
    also: Option<(&'static str, &'static str)>,
    /// Without a body the call asks for nothing in particular.
    is_optional: bool,
}

/// A parameter of the query.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    pub name: &'static str,
    about: &'static str,
    /// A schema, as JSON.
    schema: &'static str,
}

/// One call of the API.
#[derive(Debug, Clone)]
pub struct Operation {
    pub method: &'static str,
    pub path: String,
    pub id: &'static str,
    pub tag: &'static str,
    summary: &'static str,
    about: &'static str,
    pub access: Access,
    pub query: Vec<Parameter>,
    pub body: Option<Body>,
    /// A body that no reader of fields reads, as the document has it.
    takes: Option<Value>,
    pub shows: Vec<Shows>,
    /// Refusals beside those that every call knows: status and cause.
    fails: Vec<(u16, &'static str)>,
    /// What stands in place of all answers.
    answers: Option<Value>,
}

const TEXT: &str = r#"{"type":"string"}"#;

fn parameter(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, about, schema: TEXT }
}

impl Operation {
    fn new(method: &'static str, path: &str, id: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            id,
            tag: "",
            summary,
            about: "",
            access: Access::Open,
            query: Vec::new(),
            body: None,
            takes: None,
            shows: Vec::new(),
            fails: Vec::new(),
            answers: None,
        }
    }

    fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    fn query(mut self, parameters: &[Parameter]) -> Self {
        self.query.extend_from_slice(parameters);
        self
    }

    /// Takes the body that `T` reads; `example` is JSON.
    fn reads<T: FromFields>(self, example: &str) -> Self {
        self.reads_with::<T>(example, |body| api::parse::<T>(body).map(drop))
    }

    /// Takes the body that `T` and `check` read; `example` is JSON. For calls where `T` is not all that reads it.
    fn reads_with<T: FromFields>(
        mut self,
        example: &str,
        check: fn(&[u8]) -> Result<(), ApiError>,
    ) -> Self {
        let example = serde_json::from_str(example)
            .unwrap_or_else(|error| panic!("the example of {} is no JSON: {error}", self.id));
        self.body = Some(Body {
            reader: record::short_name::<T>(),
            ask: |recorder| recorder.ask::<T>(),
            check,
            examples: vec![("example", example)],
            required: &[],
            only: Vec::new(),
            is_array: false,
            also: None,
            is_optional: false,
        });
        self
    }

    fn change_body(mut self, change: impl FnOnce(&mut Body)) -> Self {
        change(self.body.as_mut().expect("a body comes first"));
        self
    }

    /// A further example of the body.
    fn or(self, name: &'static str, example: &str) -> Self {
        let example = serde_json::from_str(example).expect("an example is JSON");
        self.change_body(|body| body.examples.push((name, example)))
    }

    fn required(self, fields: &'static [&'static str]) -> Self {
        self.change_body(|body| body.required = fields)
    }

    /// The body may be left out.
    fn optional(self) -> Self {
        self.change_body(|body| body.is_optional = true)
    }

    /// Only these fields of the reader mean something here.
    fn only(self, fields: &'static [&'static str]) -> Self {
        self.change_body(|body| body.only = fields.iter().map(|&field| field.to_owned()).collect())
    }

    fn shows(mut self, status: u16, message: &'static str, data: Data) -> Self {
        self.shows.push(Shows { status, message, data, extra: Vec::new() });
        self
    }

    fn beside(mut self, field: &'static str, example: Value) -> Self {
        self.shows.last_mut().expect("an answer comes first").extra.push((field, example));
        self
    }

    fn fails(mut self, status: u16, why: &'static str) -> Self {
        self.fails.push((status, why));
        self
    }

    fn takes(mut self, body: Value) -> Self {
        self.takes = Some(body);
        self
    }

    fn answers(mut self, answers: Value) -> Self {
        self.answers = Some(answers);
        self
    }

    /// The statuses of refusals, each with its cause.
    fn refusals(&self) -> BTreeMap<u16, &'static str> {
        let mut all = BTreeMap::new();
        if matches!(self.access, Access::Project | Access::Root | Access::Owner) {
            all.extend([
                (401, "There is no key, or not one that is known."),
                (403, "The key is not one for this."),
                (413, "The body is too large."),
                (415, "The body is not `application/json`."),
                (503, "A store is not available right now: try again."),
            ]);
            if self.path.contains("{projectID}") || self.access == Access::Owner {
                all.insert(404, "There is no such thing in this project, or no such project.");
            }
            all.insert(400, "`X-Convoy-Version` names no version.");
            if self.body.is_some() {
                all.insert(400, "The body cannot be read, or asks for what cannot be. The message says which field.");
            }
        }
        all.extend(self.fails.iter().copied());
        all
    }
}

/// The readers of all request bodies.
pub fn readers() -> Readers {
    let recorder = Recorder::default();
    for operation in operations() {
        if let Some(body) = &operation.body {
            (body.ask)(&recorder);
        }
    }
    // What pushing takes out of the body before, so that its bytes stay as they are.
    recorder.note("PushInput", "data", Kind::Raw);
    recorder.note("PushInput", "kind", Kind::Text);
    recorder.readers()
}

/// Fields that are described and never read, or read and not described: `Reader.field`.
pub fn undescribed() -> Vec<String> {
    let readers = readers();
    let mut wrong = Vec::new();
    let requests = words::requests();
    for (reader, fields) in &readers {
        let described = words::of(reader, &requests);
        for (name, _) in fields {
            if !described.iter().any(|(of, ..)| of == name) {
                wrong.push(format!("{reader}.{name} is read and not described"));
            }
        }
        for (name, ..) in described {
            if !fields.iter().any(|(of, _)| of == name) {
                wrong.push(format!("{reader}.{name} is described and not read"));
            }
        }
    }
    let unknown = requests.iter().filter(|(name, _)| !readers.contains_key(name));
    wrong.extend(unknown.map(|(name, _)| format!("{name} is described, and no call reads it")));
    for (shape, fields) in words::answers() {
        let mut shown = Vec::new();
        for sample in samples::of(shape) {
            schema::paths(&sample, "", &mut shown);
        }
        for (path, ..) in fields {
            if !shown.iter().any(|shown| shown == path) {
                wrong.push(format!("{shape}.{path} is described and not shown"));
            }
        }
    }
    wrong
}

fn page_schema(name: &str) -> Value {
    json!({"type": "object", "required": ["content", "pagination"], "properties": {
        "content": {"type": "array", "items": schema::reference(name)},
        "pagination": schema::reference("Pagination"),
    }})
}

impl Data {
    fn shape(&self) -> Option<&'static str> {
        match self {
            Self::One(name) | Self::List(name) | Self::Page(name) => Some(name),
            Self::Nothing | Self::Plain(..) => None,
        }
    }

    fn schema(&self) -> Value {
        match self {
            Self::Nothing => json!({"type": "null"}),
            Self::One(name) => schema::reference(name),
            Self::List(name) => json!({"type": "array", "items": schema::reference(name)}),
            Self::Page(name) => page_schema(name),
            Self::Plain(schema, _) => schema.clone(),
        }
    }

    /// `first` is the sample of a shape.
    fn example(&self, first: fn(&str) -> Value) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::One(name) => first(name),
            Self::List(name) => json!([first(name)]),
            Self::Page(name) => {
                json!({"content": [first(name)], "pagination": first("Pagination")})
            }
            Self::Plain(_, example) => example.clone(),
        }
    }
}

impl Shows {
    fn response(&self, first: fn(&str) -> Value) -> Value {
        let mut example =
            json!({"status": true, "message": self.message, "data": self.data.example(first)});
        let mut properties = json!({
            "status": {"type": "boolean"}, "message": {"type": "string"}, "data": self.data.schema(),
        });
        let mut required = vec!["status", "message", "data"];
        for (field, value) in &self.extra {
            required.push(field);
            properties[field] = schema::of_samples("", std::slice::from_ref(value));
            example[field] = value.clone();
        }
        json!({"description": self.message, "content": {"application/json": {
            "schema": {"type": "object", "required": required, "properties": properties},
            "example": example,
        }}})
    }
}

impl Body {
    fn content(&self, readers: &Readers) -> Value {
        let one = if self.only.is_empty() {
            let one = schema::reference(self.reader);
            if self.required.is_empty() {
                one
            } else {
                // Makers of types pass over what stands beside a reference.
                json!({"allOf": [one], "required": self.required})
            }
        } else {
            let whole = schema::of_reader(self.reader, readers);
            let mut properties = Map::new();
            for field in &self.only {
                let schema = whole["properties"].get(field);
                let schema = schema.unwrap_or_else(|| panic!("{} reads no {field}", self.reader));
                properties.insert(field.clone(), schema.clone());
            }
            json!({"type": "object", "required": self.required, "properties": properties})
        };
        let schema =
            if self.is_array { json!({"type": "array", "minItems": 1, "items": one}) } else { one };
        let mut content = json!({"schema": schema});
        match self.examples.as_slice() {
            [(_, example)] => content["example"] = example.clone(),
            several => {
                content["examples"] = several
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), json!({"value": value})))
                    .collect::<Map<_, _>>()
                    .into();
            }
        }
        let mut body =
            json!({"required": !self.is_optional, "content": {"application/json": content}});
        if let Some((name, schema)) = self.also {
            let schema: Value = serde_json::from_str(schema).expect("a schema is JSON");
            body["content"][name] = json!({"schema": schema});
        }
        body
    }
}

impl Operation {
    fn describe(&self, readers: &Readers) -> Value {
        let mut described = json!({
            "operationId": self.id, "tags": [self.tag], "summary": self.summary,
            "responses": self.responses(),
        });
        if !self.about.is_empty() {
            described["description"] = json!(self.about);
        }
        match self.access {
            Access::Open => described["security"] = json!([]),
            Access::Hookstream => described["security"] = json!([{"apiKey": []}, {"key": []}]),
            Access::Companion => described["security"] = json!([{"companion": []}]),
            Access::Owner => described["security"] = json!([{"portal": []}, {"portalToken": []}]),
            Access::Project | Access::Root => {}
        }
        if !self.query.is_empty() {
            let parameters = self.query.iter().map(|parameter| {
                let schema: Value =
                    serde_json::from_str(parameter.schema).expect("a schema is JSON");
                json!({"name": parameter.name, "in": "query", "description": parameter.about,
                    "schema": schema::without_default(schema)})
            });
            described["parameters"] = parameters.collect();
        }
        if let Some(body) = &self.takes {
            described["requestBody"] = body.clone();
        }
        if let Some(body) = &self.body {
            described["requestBody"] = body.content(readers);
        }
        described
    }

    fn responses(&self) -> Value {
        if let Some(answers) = &self.answers {
            return answers.clone();
        }
        let first = if self.access == Access::Owner { portal::sample } else { samples::first };
        let shows = self.shows.iter();
        let mut responses: Map<String, Value> =
            shows.map(|shows| (shows.status.to_string(), shows.response(first))).collect();
        for (status, why) in self.refusals() {
            let refusal = if self.fails.iter().any(|(own, _)| *own == status) {
                json!({"description": why, "content": refusal_content()})
            } else {
                json!({"$ref": format!("#/components/responses/{status}")})
            };
            responses.insert(status.to_string(), refusal);
        }
        if versions::counts(&self.path) {
            responses.values_mut().for_each(versions::add_headers);
        }
        Value::Object(responses)
    }
}

fn refusal_content() -> Value {
    json!({"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}})
}

/// The whole document.
pub fn generate() -> Value {
    let operations = operations();
    let readers = readers();
    let mut paths: Map<String, Value> = Map::new();
    for operation in &operations {
        let method = operation.method.to_ascii_lowercase();
        if let Some((path, described)) = portal::of_owner(operation, &readers) {
            paths.entry(path.clone()).or_insert_with(|| versions::path_item(&path))[&method] =
                described;
        }
        let path = paths.entry(operation.path.clone());
        path.or_insert_with(|| versions::path_item(&operation.path))[&method] =
            operation.describe(&readers);
    }
    let mut parameters: Map<String, Value> = words::IDS
        .iter()
        .map(|(name, about, example)| {
            let parameter = json!({"name": name, "in": "path", "required": true, "description": about,
                "schema": {"type": "string", "minLength": 1}, "example": example});
            ((*name).to_owned(), parameter)
        })
        .collect();
    parameters.insert("convoyVersion".into(), versions::parameter());
    let mut responses = Map::new();
    for operation in &operations {
        for (status, why) in operation.refusals() {
            if !operation.fails.iter().any(|(own, _)| *own == status) {
                let mut response = json!({"description": why, "content": refusal_content()});
                versions::add_headers(&mut response);
                responses.insert(status.to_string(), response);
            }
        }
    }
    let mut schemas: Map<String, Value> = readers
        .keys()
        .map(|name| ((*name).to_owned(), schema::of_reader(name, &readers)))
        .collect();
    let shapes = operations.iter().flat_map(|operation| &operation.shows);
    let shapes: BTreeSet<&str> = shapes.filter_map(|shows| shows.data.shape()).collect();
    for shape in shapes.into_iter().chain([
        "Pagination",
        "Refusal",
        "HookstreamRefusal",
        "HookstreamSourceShown",
        "HookstreamSession",
    ]) {
        schemas.insert(shape.to_owned(), schema::of_samples(shape, &samples::of(shape)));
    }
    versions::open_endpoint(&mut schemas);
    let tags: Vec<Value> = words::TAGS
        .iter()
        .map(|(name, about)| json!({"name": name, "description": about}))
        .collect();
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {"title": "Inlet", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"}},
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer",
                "description": "The key of a project, as `POST /api/v1/projects` gave it, or `ROOT_KEY`."},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key",
                    "description": "The same keys, where Hookstream's callers write them."},
                "portal": {"type": "http", "scheme": "bearer", "description": "The token of a portal link."},
                "portalToken": {"type": "apiKey", "in": "query", "name": "token", "description": "The same, in the URL."},
                "companion": {"type": "http", "scheme": "bearer", "description": "A consumer key."}},
            "headers": versions::headers(), "parameters": parameters, "responses": responses, "schemas": schemas,
        },
    });
    schema::open_objects(&mut document);
    document
}
