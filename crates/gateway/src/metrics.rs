//! What an operator's Prometheus reads: how long things wait, and how many there are of what.

use std::iter;

use serde::Deserialize;

use crate::backlog::Oldest;
use crate::dead_letter::{NOBODY, NOBODYS_SHARD};
use crate::meta_event::shadow_id;
use crate::project::Project;
use crate::reply::Reply;

/// What is counted by project and one more label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// All events that sources have brought.
    Events,
    /// Events that lack something to be routed.
    SetAside,
    /// The newest deliveries.
    Deliveries,
    /// Deliveries that somebody has to look after: to be retried, or forgotten.
    Watched,
    /// Deliveries that wait, by what they wait for.
    Held,
    DeadLetters,
    Breakers,
}

impl Figure {
    pub const ALL: [Self; 7] = [
        Self::Events,
        Self::SetAside,
        Self::Deliveries,
        Self::Watched,
        Self::Held,
        Self::DeadLetters,
        Self::Breakers,
    ];

    /// Name, kind, help, and the label beside `project`.
    fn described(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Events => (
                "inlet_events_total",
                "counter",
                "Events that sources of the project have brought.",
                "",
            ),
            Self::SetAside => (
                "inlet_events_set_aside",
                "gauge",
                "Events that lack something to be routed, and are tried again; 10000 at most.",
                "",
            ),
            Self::Deliveries => (
                "inlet_recent_deliveries",
                "gauge",
                "The newest deliveries of the project, 1000 at most, by status.",
                "status",
            ),
            Self::Watched => (
                "inlet_deliveries_watched",
                "gauge",
                "Deliveries that have failed and are to be tried again, or wait to be looked after; 10000 at most.",
                "",
            ),
            Self::Held => (
                "inlet_deliveries_held",
                "gauge",
                "Deliveries that wait, by what they wait for (limit, breaker, endpoint); 10000 at most.",
                "hold",
            ),
            Self::DeadLetters => (
                "inlet_dead_letters",
                "gauge",
                "Dead letters but those of deliveries, by kind, with an empty project those that are nobody's; 10000 at most.",
                "kind",
            ),
            Self::Breakers => (
                "inlet_breakers",
                "gauge",
                "Endpoints that have failed lately, by the state of their circuit breaker.",
                "state",
            ),
        }
    }
}

/// Under which ids things of a project are counted: its own, and that of its meta events, if it has ever asked for them. The
/// second is shown as it is, because what is wrong there is the project's own receiver.
pub fn counted(project: &Project) -> impl Iterator<Item = String> + use<> {
    let shadow = project.config.meta_event.is_some().then(|| shadow_id(&project.uid));
    iter::once(project.uid.clone()).chain(shadow)
}

/// What is nobody's, and so the operator's alone, is counted under no project's id.
pub fn nobodys(is_root: bool, shard: u32) -> Option<String> {
    (is_root && shard == NOBODYS_SHARD).then(|| NOBODY.to_owned())
}

/// A row of [`crate::sql::figure`].
#[derive(Debug, Deserialize)]
pub struct Row {
    pub project_id: String,
    pub label: String,
    pub n: u64,
}

/// What was read of a shard; `None` where it could not be.
#[derive(Debug)]
pub struct OfShard {
    pub shard: u32,
    pub read: Option<Read>,
}

#[derive(Debug)]
pub struct Read {
    pub oldest: Oldest,
    /// What the database has of its 10 GB.
    pub bytes: Option<u64>,
    pub figures: Vec<(Figure, Vec<Row>)>,
}

/// The figures in [Prometheus' text format](https://prometheus.io/docs/instrumenting/exposition_formats/).
///
/// `key_fits`: whether stored secrets open with the key; `None` when that could not be seen.
pub fn reply(shards: &[OfShard], key_fits: Option<bool>, now_ms: u64) -> Reply {
    Reply {
        status: 200,
        content_type: "text/plain; version=0.0.4; charset=utf-8".into(),
        headers: Vec::new(),
        body: text(shards, key_fits, now_ms).into_bytes(),
    }
}

fn text(shards: &[OfShard], key_fits: Option<bool>, now_ms: u64) -> String {
    let mut text = String::new();
    family(
        &mut text,
        ("inlet_shard_up", "gauge", "Whether the shard could be read."),
        shards.iter().map(|of| ([("shard", of.shard.to_string())], u64::from(of.read.is_some()))),
    );
    family(
        &mut text,
        (
            "inlet_encryption_key_fits",
            "gauge",
            "Whether stored secrets open with ENCRYPTION_KEY; absent when that could not be seen.",
        ),
        key_fits.into_iter().map(|fits| ([], u64::from(fits))),
    );
    family(
        &mut text,
        ("inlet_database_bytes", "gauge", "The size of the event database, of 10 GB at most."),
        shards
            .iter()
            .filter_map(|of| Some(([("shard", of.shard.to_string())], of.read.as_ref()?.bytes?))),
    );
    let waits = |wait: fn(Oldest, u64) -> u64| {
        shards.iter().filter_map(move |of| {
            let read = of.read.as_ref()?;
            Some(([("shard", of.shard.to_string())], wait(read.oldest, now_ms) / 1000))
        })
    };
    family(
        &mut text,
        (
            "inlet_events_wait_seconds",
            "gauge",
            "How long the oldest event has waited to be routed, in the journal or in the queue.",
        ),
        waits(Oldest::event_waits_ms),
    );
    family(
        &mut text,
        (
            "inlet_deliveries_overdue_seconds",
            "gauge",
            "For how long the sweep should have looked after a delivery.",
        ),
        waits(Oldest::delivery_waits_ms),
    );
    for figure in Figure::ALL {
        let (name, kind, help, label) = figure.described();
        let all = shards.iter().filter_map(|of| of.read.as_ref()).flat_map(|read| &read.figures);
        let rows = all.filter(|(of, _)| *of == figure).flat_map(|(_, rows)| rows);
        family(
            &mut text,
            (name, kind, help),
            rows.map(|row| {
                ([("project", row.project_id.clone()), (label, row.label.clone())], row.n)
            }),
        );
    }
    text
}

fn family<const N: usize>(
    text: &mut String,
    (name, kind, help): (&str, &str, &str),
    samples: impl Iterator<Item = ([(&'static str, String); N], u64)>,
) {
    text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    for (labels, value) in samples {
        let labels: Vec<String> = labels
            .iter()
            .filter(|(label, _)| !label.is_empty())
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
            .collect();
        text.push_str(&format!("{name}{{{}}} {value}\n", labels.join(",")));
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_that_are_nobodys_are_counted_for_the_operator_alone() {
        assert_eq!(nobodys(true, NOBODYS_SHARD).as_deref(), Some(""));
        assert_eq!(nobodys(true, NOBODYS_SHARD + 1), None);
        assert_eq!(nobodys(false, NOBODYS_SHARD), None);
    }

    #[test]
    fn figures_are_written_as_prometheus_reads_them() {
        let row = |label: &str, n| Row { project_id: "p".into(), label: label.into(), n };
        let oldest = Oldest { event_at: Some(1_000), ..Oldest::default() };
        let figures = vec![
            (Figure::Deliveries, vec![row("Success", 3), row("Failure", 1)]),
            (Figure::Events, vec![row("", 7)]),
            (Figure::DeadLetters, vec![row("a\"b\\c\n", 2)]),
        ];
        let shards = [
            OfShard { shard: 0, read: Some(Read { oldest, bytes: Some(4096), figures }) },
            OfShard { shard: 1, read: None },
        ];
        let text = text(&shards, Some(false), 5_500);
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "inlet_shard_up{shard=\"0\"} 1",
                "inlet_shard_up{shard=\"1\"} 0",
                "inlet_encryption_key_fits{} 0",
                "inlet_database_bytes{shard=\"0\"} 4096",
                "inlet_events_wait_seconds{shard=\"0\"} 4",
                "inlet_deliveries_overdue_seconds{shard=\"0\"} 0",
                "inlet_events_total{project=\"p\"} 7",
                "inlet_recent_deliveries{project=\"p\",status=\"Success\"} 3",
                "inlet_recent_deliveries{project=\"p\",status=\"Failure\"} 1",
                "inlet_dead_letters{project=\"p\",kind=\"a\\\"b\\\\c\\n\"} 2",
            ]
        );
        for figure in Figure::ALL {
            let (name, kind, ..) = figure.described();
            assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}");
        }
    }
}
