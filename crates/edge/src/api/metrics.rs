//! Figures for an operator's Prometheus.

use inlet_gateway::metrics::{self, Figure, OfShard, Read, Row};

use super::*;
use crate::{backlog, key_check};

impl Caller<'_> {
    /// `GET /metrics`: of all projects, or of the one whose key came.
    pub(super) async fn metrics(&self, project: Option<Rc<Project>>) -> Result<Reply, Refusal> {
        let now = now_ms();
        let is_root = project.is_none();
        let (shards, projects) = match project {
            Some(project) => (vec![project.shard], vec![project]),
            None => {
                let all: Vec<Project> = self.bindings.db()?.docs(&sql::projects()).await?;
                (self.bindings.shards(), all.into_iter().map(Rc::new).collect())
            }
        };
        let mut read = Vec::with_capacity(shards.len());
        for shard in shards {
            let own = projects.iter().filter(|project| project.shard == shard);
            let own = own.flat_map(|project| metrics::counted(project));
            let own: Vec<String> = own.chain(metrics::nobodys(is_root, shard)).collect();
            let figures = async {
                let oldest = backlog::oldest(shard, now, self.bindings).await?;
                let statements = Figure::ALL.map(|figure| sql::figure(figure, &own));
                let results = self.bindings.events(shard)?.batch(&statements).await?;
                let rows = results.iter().map(rows::<Row>).collect::<worker::Result<Vec<_>>>()?;
                Ok::<_, worker::Error>(Read {
                    oldest,
                    figures: Figure::ALL.into_iter().zip(rows).collect(),
                })
            };
            let figures = figures.await.inspect_err(|error| {
                log::error("shard_unreadable", json!({"shard": shard, "error": error.to_string()}));
            });
            read.push(OfShard { shard, read: figures.ok() });
        }
        Ok(metrics::reply(&read, key_check::fits(self.bindings).await, now))
    }
}
