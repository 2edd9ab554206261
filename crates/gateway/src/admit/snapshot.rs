//! What travels to the edge of a source.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::pace::RateLimit;
use crate::project::Project;
use crate::shape::Shapes;
use crate::source::Source;

/// What a compiled source takes beside its fields, and how much more they take than they do as they are written.
const BESIDE_BYTES: usize = 2_048;
const TIMES: usize = 3;

/// What the edge knows of a source: the source, and what its project decides for it. Stored in KV.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    pub source: Source,
    pub body_max_bytes: u64,
    pub shard: u32,
    /// Events that the project takes in, of all its sources.
    #[serde(default)]
    pub project_limit: Option<RateLimit>,
    /// JSON schemas of the project's event types, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub schemas: BTreeMap<String, Value>,
}

impl Snapshot {
    pub fn of(source: Source, project: &Project, schemas: BTreeMap<String, Value>) -> Self {
        let body_max_bytes = project.config.max_payload_read_size;
        let project_limit = project.config.ratelimit;
        Self { source, body_max_bytes, shard: project.shard, project_limit, schemas }
    }
}

/// About as many bytes as a source takes when it is compiled.
pub(super) fn compiled_bytes(source: &Source, schemas: &Rc<Shapes>) -> usize {
    let shared = if Rc::strong_count(schemas) == 1 { schemas.bytes() } else { 0 };
    let own = serde_json::to_string(source).map_or(0, |text| text.len());
    BESIDE_BYTES + TIMES * (own + shared)
}
