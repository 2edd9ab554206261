//! Sources.

use inlet_gateway::consumer::{Seen, status as consumer_status};
use inlet_gateway::profile::slug_taken;
use inlet_gateway::source::ArmInput;
use inlet_gateway::source_count::{SourceCount, count_into};
use inlet_gateway::time::rfc3339;
use inlet_gateway::transform::Functions;
use inlet_gateway::trust::Mode;

use super::list::Found;
use super::*;
use crate::owed;

/// What a source that observes has seen.
#[derive(Default, Deserialize)]
struct Observed {
    verified: u64,
    refused: u64,
    last_refused_at: Option<u64>,
}

impl Caller<'_> {
    pub(super) async fn source(&self, project: &str, id: &str) -> Result<Source, Refusal> {
        self.doc(&sql::source(project, id), "source not found").await
    }

    pub(super) async fn create_source(&self, project: &Project) -> Answered {
        let vault = self.bindings.vault()?;
        let source =
            Source::create(api::parse(&self.body)?, &project.uid, &vault, now_ms(), &mut fill)?;
        self.check_functions(&source.functions, &Functions::default()).await?;
        self.insert_source(project, &source).await?;
        Ok(Answer::ok(201, "Source created successfully", source.present(&self.origin)))
    }

    pub(super) async fn update_source(&self, project: &Project, id: &str) -> Answered {
        let vault = self.bindings.vault()?;
        let mut source = self.source(&project.uid, id).await?;
        let (functions, before) = (source.functions.clone(), source.updated_at);
        source.update(api::parse(&self.body)?, &vault, now_ms(), &mut fill)?;
        self.check_functions(&source.functions, &functions).await?;
        self.replace_source(project, &source, before).await?;
        Ok(Answer::ok(202, "Source updated successfully", source.present(&self.origin)))
    }

    /// Stores a new source, unless it needs what another has.
    pub(super) async fn insert_source(
        &self,
        project: &Project,
        source: &Source,
    ) -> Result<(), Refusal> {
        let insert = sql::insert_source(source, project.config.unique_source_names);
        if !self.bindings.db()?.has(&insert).await? {
            return Err(self.why_not(source).await);
        }
        // Nobody knows its mask yet, so a copy that is not in KV is only read from D1 once.
        config::publish(self.bindings, &source.mask_id).await.unwrap_or_default();
        Ok(())
    }

    /// Stores a changed source that was last changed at `before`, and makes it known.
    pub(super) async fn replace_source(
        &self,
        project: &Project,
        source: &Source,
        before: u64,
    ) -> Result<(), Refusal> {
        let update = sql::update_source(source, project.config.unique_source_names, before);
        if !self.bindings.db()?.has(&update).await? {
            if self.source(&project.uid, &source.uid).await?.updated_at != before {
                return Err(changed_meanwhile("source"));
            }
            return Err(self.why_not(source).await);
        }
        or_untold(config::publish(self.bindings, &source.mask_id).await)
    }

    /// Which of the things that are unique another source has.
    async fn why_not(&self, source: &Source) -> Refusal {
        let slug = &source.profile.slug;
        let other = sql::slug_taken(&source.project_id, &source.uid, slug);
        match async { self.bindings.db()?.has(&other).await }.await {
            Ok(true) if !slug.is_empty() => slug_taken(slug).into(),
            Ok(_) => taken("a source").into(),
            Err(error) => error.into(),
        }
    }

    pub(super) async fn list_sources(&self, project: &Project) -> Answered {
        let filters = [("type", "type"), ("provider", "provider")];
        let found: Found<Source> = self.list(List::Sources, &project.uid, &filters, "q").await?;
        let counts = self.counts(project, &found.rows).await?;
        let shown = found.rows.iter().map(|source| {
            let mut shown = source.present(&self.origin);
            count_into(&mut shown, &source.uid, &counts);
            shown
        });
        let shown = shown.collect();
        Ok(Answer::ok(200, "Sources fetched successfully", found.shown(shown)))
    }

    /// What sources have brought.
    pub(super) async fn counts(
        &self,
        project: &Project,
        sources: &[Source],
    ) -> Result<Vec<SourceCount>, Refusal> {
        let ids: Vec<&str> = sources.iter().map(|source| source.uid.as_str()).collect();
        let counts = sql::source_counts(&project.uid, &ids);
        Ok(self.bindings.events(project.shard)?.rows(&counts).await?)
    }

    pub(super) async fn get_source(&self, project: &Project, id: &str) -> Answered {
        let source = self.source(&project.uid, id).await?;
        let mut shown = source.present(&self.origin);
        if source.verifier.trust.mode == Mode::Observe {
            let statement = sql::verdicts(&project.uid, &source.uid);
            let seen: Option<Observed> =
                self.bindings.events(project.shard)?.row(&statement).await?;
            let seen = seen.unwrap_or_default();
            if let Some(fields) = shown.as_object_mut() {
                let at = seen.last_refused_at.map(rfc3339);
                let seen = json!({"verified": seen.verified, "refused": seen.refused, "last_refused_at": at});
                fields.insert("observed".into(), seen);
            }
        }
        if let Some(pub_sub) = &source.pub_sub
            && let Some(fields) = shown.as_object_mut()
        {
            let statement = sql::reports(&project.uid, &source.uid);
            let seen: Vec<Seen> = self.bindings.db()?.rows(&statement).await?;
            let status = consumer_status(pub_sub.broker, &seen, now_ms());
            fields.insert("pub_sub_status".into(), status);
        }
        let counts = self.counts(project, std::slice::from_ref(&source)).await?;
        count_into(&mut shown, &source.uid, &counts);
        Ok(Answer::ok(200, "Source fetched successfully", shown))
    }

    /// The refused requests that are kept, with what explains them.
    pub(super) async fn list_rejections(&self, project: &Project, id: &str) -> Answered {
        let source = self.source(&project.uid, id).await?;
        let statement = sql::rejections(&project.uid, &source.uid);
        let kept: Vec<Value> = self.bindings.events(project.shard)?.docs(&statement).await?;
        Ok(Answer::ok(200, "Rejected requests fetched successfully", json!(kept)))
    }

    pub(super) async fn delete_source(&self, project: &Project, id: &str) -> Answered {
        self.remove_source(project, id).await?;
        Ok(Answer::ok(200, "Source deleted successfully", Value::Null))
    }

    pub(super) async fn remove_source(&self, project: &Project, id: &str) -> Result<(), Refusal> {
        let source = self.source(&project.uid, id).await?;
        // First, so that a call that fails can be repeated; and again, should a reader have put a copy back.
        config::withdraw(self.bindings, &source.mask_id).await.map_err(|_| {
            let text = "the source is still there: the edge could not be told that it is to go; repeat the call";
            ApiError::new(503, text)
        })?;
        let deletion = sql::delete_source(&project.uid, &source.uid, now_ms());
        self.bindings.db()?.batch(&deletion).await?;
        config::withdraw(self.bindings, &source.mask_id).await.unwrap_or_default();
        owed::pay_to(&project.uid, self.bindings).await;
        Ok(())
    }

    /// The secret that the provider handed over, where the operator has to tell it the provider.
    pub(super) async fn handed_over(&self, project: &Project, id: &str) -> Answered {
        let source = self.source(&project.uid, id).await?;
        let shown = source.handed_over(&*self.bindings.vault()?, now_ms())?;
        Ok(Answer::ok(200, "Secret fetched successfully", shown))
    }

    /// Lets the source take the secret that its provider hands over in a first request, for a limited time.
    pub(super) async fn arm_source(&self, project: &Project, id: &str) -> Answered {
        let mut source = self.source(&project.uid, id).await?;
        let before = source.updated_at;
        let is_empty = self.body.trim_ascii().is_empty();
        let input = if is_empty { ArmInput::default() } else { api::parse(&self.body)? };
        source.arm(input, now_ms())?;
        self.replace_source(project, &source, before).await?;
        Ok(Answer::ok(200, "Source armed successfully", source.present(&self.origin)))
    }
}
