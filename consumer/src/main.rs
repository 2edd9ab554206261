//! `inlet-consumer`: carries messages from brokers to the edge.
//!
//! This version starts, checks its settings, reaches the edge and says so; it serves no broker yet.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it says is what it is for")]

mod settings;

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use settings::{Key, Settings};

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
        Ok(reached) => {
            println!("{reached}; no broker is served by this version");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("inlet-consumer: {}: {error}", settings.url);
            ExitCode::FAILURE
        }
    }
}

/// Asks the gateway who it is, and whose each key is.
fn reach(settings: &Settings) -> Result<String, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .user_agent(concat!("inlet-consumer/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let (_, health) = get(&agent, settings, "healthz", None)?;
    let version = health.get("message").and_then(Value::as_str).unwrap_or_default();
    if !version.starts_with("Inlet ") {
        return Err(format!("what answers there is not Inlet: {version}"));
    }
    let mut projects = Vec::new();
    for (number, key) in (1..).zip(&settings.keys) {
        let (status, answer) = get(&agent, settings, "api/v1/projects", Some(key))?;
        let names = answer.get("data").and_then(Value::as_array).into_iter().flatten();
        let names: Vec<&str> =
            names.filter_map(|project| project.get("name").and_then(Value::as_str)).collect();
        if status != 200 || names.is_empty() {
            return Err(format!(
                "key {number} of INLET_CONSUMER_KEY is not accepted (status {status})"
            ));
        }
        projects.push(names.join(", "));
    }
    Ok(format!("reached {version} at {} for {}", settings.url, projects.join(", ")))
}

fn get(
    agent: &ureq::Agent,
    settings: &Settings,
    path: &str,
    key: Option<&Key>,
) -> Result<(u16, Value), String> {
    let url = settings.url.join(path).map_err(|error| error.to_string())?;
    let mut request = agent.get(url.as_str());
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {}", key.expose()));
    }
    let mut response = request.call().map_err(|error| format!("not reached: {error}"))?;
    let body = response.body_mut().read_to_string().map_err(|error| error.to_string())?;
    let json =
        serde_json::from_str(&body).map_err(|_| "what answers there is not Inlet".to_owned())?;
    Ok((response.status().as_u16(), json))
}
