//! Event types.

use inlet_gateway::event_type::import::{self, Document, Spec};
use inlet_gateway::event_type::{self, EventType};

use super::*;
use crate::glue::yaml;

const MISSING: &str = "event type not found";

/// What has to have a name of its own.
const NAMED: &str = "an event type";

impl Caller<'_> {
    async fn event_type(&self, project: &Project, id: &str) -> Result<EventType, Refusal> {
        self.doc(&sql::event_type(&project.uid, id), MISSING).await
    }

    async fn event_types(&self, project: &Project) -> Result<Vec<EventType>, Refusal> {
        Ok(self.bindings.db()?.docs(&sql::event_types(&project.uid)).await?)
    }

    pub(super) async fn list_event_types(&self, project: &Project) -> Answered {
        let shown: Vec<Value> =
            self.event_types(project).await?.iter().map(EventType::present).collect();
        Ok(Answer::ok(200, "Event types fetched successfully", json!(shown)))
    }

    pub(super) async fn get_event_type(&self, project: &Project, id: &str) -> Answered {
        let found = self.event_type(project, id).await?;
        Ok(Answer::ok(200, "Event type fetched successfully", found.present()))
    }

    pub(super) async fn create_event_type(&self, project: &Project) -> Answered {
        let made = EventType::create(api::parse(&self.body)?, &project.uid, now_ms(), &mut fill)?;
        let named = sql::event_type_named(&project.uid, &made.name);
        if self.bindings.db()?.has(&named).await? {
            return Err(taken(NAMED).into());
        }
        self.store_event_types(project, &[], std::slice::from_ref(&made)).await?;
        Ok(Answer::ok(201, "Event type created successfully", made.present()))
    }

    pub(super) async fn update_event_type(&self, project: &Project, id: &str) -> Answered {
        let mut changed = self.event_type(project, id).await?;
        let (schema, before) = (changed.json_schema.clone(), changed.updated_at);
        changed.update(api::parse(&self.body)?, now_ms())?;
        if changed.json_schema == schema {
            self.replace_event_type(&changed, before).await?;
        } else {
            let all = [(changed.clone(), before)];
            self.store_event_types(project, &all, &[]).await?;
        }
        // Convoy says "created" here, too.
        Ok(Answer::ok(202, "Event type created successfully", changed.present()))
    }

    pub(super) async fn deprecate_event_type(&self, project: &Project, id: &str) -> Answered {
        let mut found = self.event_type(project, id).await?;
        let before = found.updated_at;
        found.deprecate(now_ms());
        self.replace_event_type(&found, before).await?;
        Ok(Answer::ok(200, "Event type deprecated successfully", found.present()))
    }

    pub(super) async fn import_event_types(&self, project: &Project) -> Answered {
        let input: import::ImportInput = api::parse(&self.body)?;
        let document = match input.spec()? {
            Spec::Read(document) => document,
            Spec::Yaml(text) => Document::of_yaml(&yaml(&text))?,
        };
        let imported = document.read()?;
        let known = self.event_types(project).await?;
        let (changed, new) = import::apply(imported, known, &project.uid, now_ms(), &mut fill);
        self.store_event_types(project, &changed, &new).await?;
        let changed = changed.iter().map(|(changed, _)| changed);
        let mut all: Vec<&EventType> = changed.chain(&new).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let shown: Vec<Value> = all.into_iter().map(EventType::present).collect();
        Ok(Answer::ok(200, "Event types imported successfully", json!(shown)))
    }

    async fn replace_event_type(&self, changed: &EventType, before: u64) -> Result<(), Refusal> {
        let statements = vec![sql::update_event_type(changed, before)];
        let find = sql::event_type(&changed.project_id, &changed.uid);
        self.replace(Replace { what: "event type", find, missing: MISSING, statements }).await
    }

    /// Stores types whose schemas may have changed, each with the time of its last change, and tells the edge, which checks
    /// payloads with them. Of several that are changed all are, but those that somebody else has changed meanwhile.
    async fn store_event_types(
        &self,
        project: &Project,
        changed: &[(EventType, u64)],
        new: &[EventType],
    ) -> Result<(), Refusal> {
        let db = self.bindings.db()?;
        let others: Vec<EventType> = db.docs(&sql::event_schemas(&project.uid, None)).await?;
        let all: Vec<EventType> = changed.iter().map(|(changed, _)| changed.clone()).collect();
        event_type::check_sum(&others, &all, new)?;
        let are_concerned =
            !others.is_empty() || all.iter().chain(new).any(|one| one.json_schema.is_some());

        let update =
            |(changed, before): &(EventType, u64)| sql::update_event_type(changed, *before);
        let mut statements: Vec<Statement> = changed.iter().map(update).collect();
        statements.extend(new.iter().map(sql::insert_event_type));
        statements.push(sql::note_schemas(&project.uid));
        if are_concerned {
            statements.push(sql::note_untold(&project.uid, now_ms()));
        }
        let done = db.batch(&statements).await;
        let done = done.map_err(|error| Refusal::from(error).or_taken(NAMED))?;
        if are_concerned {
            self.tell_sources(project).await?;
        }
        for result in done.iter().take(changed.len()) {
            if count_of(Some(result))? == 0 {
                return Err(changed_meanwhile("event type"));
            }
        }
        Ok(())
    }
}
