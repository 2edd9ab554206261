use std::process::Command;

use inlet_tests::{repository, scratch_folder};
use serde_json::Value;

use crate::measure::cpu_seconds;

/// One turn of load on one variant, by wrk.
pub(crate) struct Wrk<'a> {
    pub(crate) url: &'a str,
    pub(crate) path: &'a str,
    pub(crate) body: &'a str,
    pub(crate) signature: &'a str,
    /// Makes the delivery ids of this turn unlike those of any other.
    pub(crate) run: String,
    pub(crate) connections: u32,
    pub(crate) seconds: u32,
}

/// What a turn showed.
pub(crate) struct Turn {
    requests: f64,
    refused: f64,
    seconds: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    cpu: f64,
}

impl Turn {
    fn accepted(&self) -> f64 {
        self.requests - self.refused
    }

    pub(crate) fn rate(&self) -> f64 {
        self.accepted() / self.seconds
    }

    pub(crate) fn refused_share(&self) -> f64 {
        self.refused / self.requests.max(1.0)
    }

    pub(crate) fn cpu_per_10_000(&self) -> f64 {
        self.cpu / self.accepted().max(1.0) * 10_000.0
    }
}

impl Wrk<'_> {
    pub(crate) fn run(&self, workerd: u32) -> Turn {
        let folder = scratch_folder("wrk");
        let body_file = folder.join("body");
        std::fs::write(&body_file, self.body).expect("a temporary file");
        let cpu = cpu_seconds(workerd);
        let output = Command::new("wrk")
            .args(["--threads", "1", "--timeout", "10s"])
            .args(["--connections", &self.connections.to_string()])
            .args(["--duration", &format!("{}s", self.seconds)])
            .arg("--script")
            .arg(repository().join("tests/bench/github.lua"))
            .arg(self.url)
            .env("BODY_FILE", &body_file)
            .env("INGEST_PATH", self.path)
            .env("SIGNATURE", self.signature)
            .env("RUN", &self.run)
            .output();
        let cpu = cpu_seconds(workerd) - cpu;
        std::fs::remove_dir_all(&folder).ok();
        let output = match output {
            Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
            Err(error) => panic!(
                "cannot run wrk ({error}). Debian, Ubuntu: sudo apt-get install wrk; macOS: brew install wrk"
            ),
        };
        let result = output.lines().find_map(|line| line.strip_prefix("RESULT "));
        let Some(Ok(result)) = result.map(serde_json::from_str::<Value>) else {
            panic!("wrk printed no result:\n{output}");
        };
        let number = |name: &str| result.get(name).and_then(Value::as_f64).unwrap_or(0.0);
        if number("broken") > 0.0 {
            eprintln!("{} requests got no answer at all", number("broken"));
        }
        Turn {
            requests: number("requests"),
            refused: number("refused"),
            seconds: number("seconds"),
            p50_ms: number("p50_ms"),
            p99_ms: number("p99_ms"),
            cpu,
        }
    }
}
