//! Projects.

use inlet_gateway::api_key::NewApiKey;
use inlet_gateway::event_type::{self, EventType};
use inlet_gateway::meta_event::{Kind, Means};
use inlet_gateway::project::ProjectInput;
use inlet_gateway::shard::{self, Shard};
use inlet_gateway::sql::Kept;

use super::*;
use crate::meta_events::{self, Told, forward};
use crate::patience::{ANSWER_WITHIN_MS, DATABASE, ask_all, silent};
use crate::sweep;

/// What has to have a name of its own.
const NAMED: &str = "a project";

impl Caller<'_> {
    pub(super) async fn create_project(&self) -> Answered {
        let now = now_ms();
        let mut input: ProjectInput = api::parse(&self.body)?;
        let meta_events = input.take_meta_events();
        let shard = self.shard_for(&input).await?;
        let mut project = Project::create(input, shard, now, &mut fill)?;
        let vault = self.bindings.vault()?;
        project.change_meta_events(meta_events, self.means(&vault, now), &mut fill)?;
        let db = self.bindings.db()?;
        if db.has(&sql::project_named(&project.name)).await? {
            return Err(taken(NAMED).into());
        }
        let key = NewApiKey::generate(now, &mut fill);
        let hash = self.bindings.vault()?.hash_api_key(&key.key);
        let all = EventType::named(event_type::ALL, &project.uid, now, &mut fill);
        let mut statements = sql::insert_project(&project, &all);
        statements.push(sql::insert_api_key(&hash, &key, &project.uid));
        db.batch(&statements).await.map_err(|error| Refusal::from(error).or_taken(NAMED))?;
        Ok(Answer::ok(201, "Project created successfully", key.present_with(&project)))
    }

    /// The event database of a new project. One that does not answer gets none.
    async fn shard_for(&self, input: &ProjectInput) -> Result<u32, Refusal> {
        let bound = self.bindings.shards();
        if let Some(number) = input.shard() {
            return Ok(shard::asked_for(number, &bound)?);
        }
        if bound.len() <= 1 {
            return Ok(0);
        }
        #[derive(Deserialize)]
        struct Of {
            shard: u32,
            projects: u64,
        }
        let taken: Vec<Of> = self.bindings.db()?.rows(&sql::projects_of_shards()).await?;
        let size = |shard| async move { self.bindings.events(shard)?.size().await };
        let sizes = ask_all(bound, (ANSWER_WITHIN_MS, "shard_without_answer"), size).await;
        let answering = sizes.into_iter().filter_map(|(number, bytes)| {
            let there = taken.iter().find(|of| of.shard == number);
            Some(Shard { number, bytes: bytes?, projects: there.map_or(0, |of| of.projects) })
        });
        let found = shard::emptiest(&answering.collect::<Vec<_>>());
        Ok(found.ok_or_else(|| silent(DATABASE))?)
    }

    fn means<'v>(&'v self, vault: &'v Vault, now_ms: u64) -> Means<'v> {
        let allow_private = self.bindings.settings.allow_private_endpoints;
        Means { vault, allow_private, origin: &self.origin, now_ms }
    }

    pub(super) async fn list_projects(&self) -> Answered {
        let projects: Vec<Project> = self.bindings.db()?.docs(&sql::projects()).await?;
        let shown: Vec<Value> = projects.iter().map(Project::present).collect();
        Ok(Answer::ok(200, "Projects fetched successfully", json!(shown)))
    }

    pub(super) async fn update_project(&self, mut project: Project) -> Answered {
        let before = project.clone();
        let now = now_ms();
        let mut input: ProjectInput = api::parse(&self.body)?;
        let meta_events = input.take_meta_events();
        project.update(input, now, &mut fill)?;
        let vault = self.bindings.vault()?;
        project.change_meta_events(meta_events, self.means(&vault, now), &mut fill)?;
        let db = self.bindings.db()?;
        if project.name != before.name && db.has(&sql::project_named(&project.name)).await? {
            return Err(taken(NAMED).into());
        }
        let told_of = meta_events::note(&project, Kind::ProjectUpdated, || project.present());
        let mut statements = vec![sql::update_project(&project, before.updated_at)];
        let kept = Kept::Project(&project.uid);
        let note = |told: &Told| sql::if_changed(told.note.clone(), kept, project.updated_at);
        statements.extend(told_of.iter().map(note));
        let is_of_sources = project.decides_otherwise_than(&before);
        if is_of_sources {
            let untold = sql::note_untold(&project.uid, project.updated_at);
            statements.push(sql::if_changed(untold, kept, project.updated_at));
        }
        let (what, missing) = ("project", "project not found");
        let find = sql::project(&project.uid);
        self.replace(Replace { what, find, missing, statements })
            .await
            .map_err(|refusal| refusal.or_taken(NAMED))?;
        forward(told_of, self.bindings, self.context).await;
        if is_of_sources {
            self.tell_sources(&project).await?;
        }
        Ok(Answer::ok(202, "Project updated successfully", project.present()))
    }

    /// Ends a project: its sources at once (of very many the first ones), its events as the sweep comes to them.
    pub(super) async fn delete_project(&self, project: &Project) -> Answered {
        #[derive(Deserialize)]
        struct Mask {
            mask_id: String,
        }
        let masks: Vec<Mask> =
            self.bindings.db()?.rows(&sql::masks(&project.uid, config::TOLD_AT_ONCE)).await?;
        let masks: Vec<String> = masks.into_iter().map(|row| row.mask_id).collect();
        // First, so that a call that fails can be repeated; and again, should a reader have put a copy back.
        or_untold(config::withdraw_all(&masks, self.bindings).await)?;
        let delete = sql::delete_project(&project.uid, project.shard, now_ms());
        self.bindings.db()?.batch(&delete).await?;
        config::end_project(&project.uid);
        // What fails now is noted, and the sweep goes on with it.
        self.tell_sources(project).await.unwrap_or_default();
        let (bindings, uid, shard) = (self.bindings.clone(), project.uid.clone(), project.shard);
        self.context.wait_until(async move {
            sweep::remove(&uid, shard, &bindings).await;
        });
        Ok(Answer::ok(200, "Project deleted successfully", Value::Null))
    }

    /// Tells the edge what a project decides for its sources, which are noted: their snapshots hold it. Of very many it tells some;
    /// the answer says how many are left, and the sweep goes on with them.
    pub(super) async fn tell_sources(&self, project: &Project) -> Result<(), Refusal> {
        let of = Some(&*project.uid);
        let done = config::tell_noted(of, config::STEPS_OF_CALL, self.bindings).await;
        self.untold.set(config::untold(&project.uid, self.bindings).await?);
        or_untold(done)
    }
}
