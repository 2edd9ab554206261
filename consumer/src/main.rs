//! `inlet-consumer`: carries messages from brokers to the edge.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it says is what it is for")]

mod amqp;
mod backoff;
mod batch;
mod broker;
mod check;
mod edge;
mod google;
mod kafka;
mod leases;
mod lock;
mod log;
mod metrics;
mod run;
mod settings;
mod source;
mod sqs;
mod status;
mod worker;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use edge::Edge;
use run::Tenancy;
use settings::Settings;
use status::Board;

const HELP: &str = "\
inlet-consumer carries messages from brokers (Kafka, Amazon SQS, Google Pub/Sub, RabbitMQ) to an Inlet gateway.

It asks the gateway which `pub_sub` sources exist, reads each of them, and hands the messages over in batches. A
message is settled at its broker only when the gateway has made it durable: as an event, or as a dead letter with its
reason. Several companions side by side share the work.

Usage: inlet-consumer [COMMAND]

Commands:
  (none)   run until SIGTERM or SIGINT, then finish what is under way
  check    look at the settings, the gateway and every broker; say what is wrong; take nothing

Options:
  -h, --help       this text
  -V, --version    the version

Environment:
  INLET_URL                   where the gateway is, e.g. https://hooks.example.com
  INLET_CONSUMER_KEY          a consumer key (CK.…) of a project; several have commas between them
  INLET_METRICS_ADDR          where Prometheus may ask, e.g. 127.0.0.1:9464: /metrics, /healthz
  INLET_LOG                   error, warn, info (default) or debug; lines of JSON on stderr
  INLET_SHUTDOWN_SECONDS      how long what is under way may take after a signal (25)
  INLET_MAX_BACKOFF_SECONDS   the longest wait between two tries (30)
  INLET_GZIP                  true or false: compress batches (true, unless the gateway is on this machine)
  INLET_ALLOW_HTTP            true: speak http to a gateway that is not on this machine. Credentials of brokers
                              travel there in clear text then
  INLET_MACHINE_CREDENTIALS   true or false: sources without credentials use those of this machine (true, if there is one key)

Exit status: 0 done, or all is well; 1 something was wrong; 2 the settings or the arguments are.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let checking = match arguments.as_slice() {
        [] => false,
        ["check"] => true,
        ["--help" | "-h" | "help"] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        ["--version" | "-V"] => {
            println!("inlet-consumer {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        other => {
            let other = other.join(" ");
            eprintln!("inlet-consumer: {other} is not understood; see --help");
            return ExitCode::from(2);
        }
    };
    let settings = match Settings::from_lookup(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("inlet-consumer: {error}");
            return ExitCode::from(2);
        }
    };
    log::set_level(settings.log);
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("inlet-consumer: {error}");
            return ExitCode::FAILURE;
        }
    };
    let well = if checking {
        runtime.block_on(check::check(&settings, |line| println!("{line}")))
    } else {
        runtime.block_on(serve(settings))
    };
    runtime.shutdown_timeout(Duration::from_secs(1));
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Serves every key until a signal. Answers whether it ended as it should.
async fn serve(settings: Settings) -> bool {
    let fails = |error: String| {
        log::error("it does not start", json!({"error": error}));
        false
    };
    let (mut term, mut int) =
        match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
            (Ok(term), Ok(int)) => (term, int),
            (Err(error), _) | (_, Err(error)) => return fails(error.to_string()),
        };
    let companion = companion();
    let mut owners = Vec::new();
    for (number, key) in (1..).zip(&settings.keys) {
        let edge = match Edge::new(&settings, key) {
            Ok(edge) => Arc::new(edge),
            Err(error) => return fails(error),
        };
        owners.push(Tenancy {
            edge,
            board: Arc::new(Board::of_key(number)),
            settings: settings.clone(),
            companion: companion.clone(),
        });
    }
    if let Some(address) = settings.metrics {
        let boards = owners.iter().map(|owner| Arc::clone(&owner.board)).collect();
        match metrics::bind(address).await {
            Ok(listener) => drop(tokio::spawn(metrics::serve(listener, boards))),
            Err(error) => return fails(error),
        }
    }
    log::info(
        "inlet-consumer starts",
        json!({"version": env!("CARGO_PKG_VERSION"), "gateway": settings.url.as_str(),
            "keys": settings.keys.len(), "companion": companion}),
    );
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    for owner in owners {
        let stop = stop.clone();
        tasks.spawn(async move { owner.serve(stop).await });
    }
    let name = tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    };
    let seconds = settings.shutdown.as_secs();
    log::info(
        "stopping: what is under way is finished",
        json!({"signal": name, "seconds": seconds}),
    );
    stop.cancel();
    let finished = async { while tasks.join_next().await.is_some() {} };
    tokio::select! {
        done = timeout(settings.shutdown, finished) => {
            if done.is_err() {
                log::warn("what is not finished stays with its broker", json!({}));
            }
            done.is_ok()
        }
        _ = term.recv() => false,
        _ = int.recv() => false,
    }
}

/// Who this is: host, process, and a number for when both come again.
fn companion() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = std::env::var("HOSTNAME").unwrap_or(host);
    let host = if host.trim().is_empty() { "host" } else { host.trim() };
    format!("{host}-{}-{:x}", std::process::id(), backoff::random())
}
