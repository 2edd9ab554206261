//! What an isolate knows for companions: whom their keys let in, and the sources that they read.

use std::rc::Rc;

use inlet_gateway::project::Project;
use inlet_gateway::source::Source;
use inlet_gateway::sql;
use worker::Result;

use crate::bindings::Bindings;
use crate::chance::now_ms;
use crate::known::{Isolate, Known};

/// How long an isolate believes what it read.
const FRESH_MS: u64 = 10_000;

thread_local! {
    /// By the hash of the key.
    static PROJECTS: Known<Project> = Known::default();
    /// By project and source.
    static SOURCES: Known<Source> = Known::default();
}

/// Forgets all of it, because some of it has changed.
pub(crate) fn forget() {
    PROJECTS.clear();
    SOURCES.clear();
}

/// The project whose companion has the key of this hash.
pub(crate) async fn project(bindings: &Bindings, hash: &str) -> Result<Option<Rc<Project>>> {
    let read = async { bindings.db()?.doc(&sql::project_of_consumer_key(hash)).await };
    PROJECTS.get_or_read(hash, now_ms(), FRESH_MS, read).await
}

pub(crate) async fn source(
    bindings: &Bindings,
    project: &str,
    id: &str,
) -> Result<Option<Rc<Source>>> {
    let read = async { bindings.db()?.doc(&sql::source(project, id)).await };
    SOURCES.get_or_read(&format!("{project}/{id}"), now_ms(), FRESH_MS, read).await
}
