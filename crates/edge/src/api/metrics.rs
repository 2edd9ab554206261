//! Figures for an operator's Prometheus.

use inlet_gateway::metrics::{self, Figure, OfShard, Read, Row};
use inlet_gateway::shard;

use super::*;
use crate::patience::ask_all;
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
                let named = all.iter().map(|project| project.shard);
                (shard::all(self.bindings.shards(), named), all.into_iter().map(Rc::new).collect())
            }
        };
        let projects = &projects;
        let figures = |shard| async move {
            let own = projects.iter().filter(|project| project.shard == shard);
            let own = own.flat_map(|project| metrics::counted(project));
            let own: Vec<String> = own.chain(metrics::nobodys(is_root, shard)).collect();
            let oldest = backlog::oldest_with_queue(shard, now, self.bindings).await?;
            let statements = Figure::ALL.map(|figure| sql::figure(figure, &own));
            let results = self.bindings.events(shard)?.batch(&statements).await?;
            let rows = results.iter().map(rows::<Row>).collect::<worker::Result<Vec<_>>>()?;
            let meta = results.last().map(worker::D1Result::meta).transpose()?.flatten();
            let bytes = meta.and_then(|meta| meta.size_after).map(|bytes| bytes as u64);
            Ok(Read { oldest, bytes, figures: Figure::ALL.into_iter().zip(rows).collect() })
        };
        let read = ask_all(shards, (FIGURES_WITHIN_MS, "shard_unreadable"), figures).await;
        let read: Vec<OfShard> =
            read.into_iter().map(|(shard, read)| OfShard { shard, read }).collect();
        Ok(metrics::reply(&read, key_check::fits(self.bindings).await, now))
    }
}
