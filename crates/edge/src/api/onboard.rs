//! Many endpoints at once.

use inlet_gateway::meta_event::Kind;
use inlet_gateway::onboard::{Means, OnboardInput, ROWS_TOGETHER, is_dry_run};

use super::meta_events::tell_of;
use super::*;
use crate::meta_events::{Told, forward};

impl Caller<'_> {
    /// All are stored together, or none.
    pub(super) async fn onboard(&self, project: &Project) -> Answered {
        let is_dry_run = is_dry_run(&self.query)?;
        let vault = self.bindings.vault()?;
        let allow_private = self.bindings.settings.allow_private_endpoints;
        let means = Means { project, allow_private, vault: &vault, now_ms: now_ms() };
        let input: OnboardInput = api::parse(&self.body)?;
        let plan = input.plan(means, &mut fill, |endpoint| self.check_circle(endpoint))?;
        self.check_room(&project.uid, plan.weight()).await?;
        if is_dry_run || !plan.is_valid() {
            return Ok(plan.findings(is_dry_run));
        }
        let mut statements =
            sql::insert_onboarded(&project.uid, &plan.made, means.now_ms, &mut fill);
        let told = plan.made.iter();
        let told: Vec<Told> = told
            .filter_map(|made| tell_of(project, Kind::EndpointCreated, &made.endpoint))
            .collect();
        let rows: Vec<Value> = told.iter().map(Told::row).collect();
        statements
            .extend(rows.chunks(ROWS_TOGETHER).map(|some| sql::note_meta_events(json!(some))));
        self.bindings.db()?.batch(&statements).await?;
        // What does not get away now is sent on by the sweep.
        let (bindings, context) = (self.bindings, self.context);
        forward(told, bindings, context).await;
        Ok(plan.accepted())
    }
}
