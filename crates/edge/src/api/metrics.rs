//! Figures for an operator's Prometheus.

use futures_util::future::join_all;
use inlet_gateway::metrics::{self, Figure, OfShard, Read, Row};

use super::*;
use crate::patience::{DATABASE, in_time};
use crate::{backlog, key_check};

/// How long a shard has for its figures: they are counts over all that it holds, and a scrape is given up after ten seconds.
const FIGURES_WITHIN_MS: u64 = 8_000;

impl Caller<'_> {
    /// `GET /metrics`: of all projects, or of the one whose key came.
    pub(super) async fn metrics(&self, project: Option<Rc<Project>>) -> Result<Reply, Refusal> {
        let now = now_ms();
        let is_root = project.is_none();
        let (shards, projects) = match project {
            Some(project) => (vec![project.shard], vec![project]),
            None => {
                let all: Vec<Project> = self.bindings.db()?.docs(&sql::projects()).await?;
                let mut shards = self.bindings.shards();
                shards.extend(all.iter().map(|project| project.shard));
                shards.sort_unstable();
                shards.dedup();
                (shards, all.into_iter().map(Rc::new).collect())
            }
        };
        let projects = &projects;
        let read = shards.into_iter().map(|shard| async move {
            let own = projects.iter().filter(|project| project.shard == shard);
            let own = own.flat_map(|project| metrics::counted(project));
            let own: Vec<String> = own.chain(metrics::nobodys(is_root, shard)).collect();
            let figures = async {
                let oldest = backlog::oldest(shard, now, self.bindings).await?;
                let statements = Figure::ALL.map(|figure| sql::figure(figure, &own));
                let results = self.bindings.events(shard)?.batch(&statements).await?;
                let rows = results.iter().map(rows::<Row>).collect::<worker::Result<Vec<_>>>()?;
                let figures = Figure::ALL.into_iter().zip(rows).collect();
                Ok::<_, worker::Error>(Read { oldest, figures })
            };
            let figures = in_time(DATABASE, FIGURES_WITHIN_MS, figures).await;
            let figures = figures.inspect_err(|error| {
                log::error("shard_unreadable", json!({"shard": shard, "error": error.to_string()}));
            });
            OfShard { shard, read: figures.ok() }
        });
        let read = join_all(read).await;
        Ok(metrics::reply(&read, key_check::fits(self.bindings).await, now))
    }
}
