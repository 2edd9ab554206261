//! `inlet-consumer`: carries messages from brokers to the edge.
//!
//! This version starts, checks its settings, reaches the edge and says so; it serves no broker yet.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it says is what it is for")]

mod settings;

use std::process::ExitCode;
use std::time::Duration;

use settings::Settings;

const HELP: &str = "\
inlet-consumer carries messages from brokers to an Inlet gateway.

This version checks its settings and reaches the gateway; it serves no broker yet.

Usage: inlet-consumer [--help | --version]

Environment:
  INLET_URL            where the gateway is, e.g. http://127.0.0.1:8787
  INLET_CONSUMER_KEY   a key of the gateway; several have commas between them

Exit status: 0 the gateway was reached; 1 it was not; 2 the settings or the arguments are wrong.";

const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("--help" | "-h") => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some("--version" | "-V") => {
            println!("inlet-consumer {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Some(other) => {
            eprintln!("inlet-consumer: {other} is not an argument of it; see --help");
            return ExitCode::from(2);
        }
        None => {}
    }
    let settings = match Settings::from_lookup(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("inlet-consumer: {error}");
            return ExitCode::from(2);
        }
    };
    match reach(&settings) {
        Ok(version) => {
            let keys = settings.keys.len();
            println!(
                "reached {version} at {} ({keys} key(s)); no broker is served by this version",
                settings.url
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("inlet-consumer: cannot reach {}: {error}", settings.url);
            ExitCode::FAILURE
        }
    }
}

/// Asks the gateway who it is: `Inlet 0.1.0`.
fn reach(settings: &Settings) -> Result<String, String> {
    let url = settings.url.join("healthz").map_err(|error| error.to_string())?;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .user_agent(concat!("inlet-consumer/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut response = agent.get(url.as_str()).call().map_err(|error| error.to_string())?;
    let body = response.body_mut().read_to_string().map_err(|error| error.to_string())?;
    let health: serde_json::Value =
        serde_json::from_str(&body).map_err(|_| "what answers there is not Inlet".to_owned())?;
    match health.get("message").and_then(serde_json::Value::as_str) {
        Some(message) if message.starts_with("Inlet ") => Ok(message.to_owned()),
        _ => Err("what answers there is not Inlet".to_owned()),
    }
}
