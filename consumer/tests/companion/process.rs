//! `inlet-consumer`, started and watched.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use inlet_tests::{poll_until, poll_until_within};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_inlet-consumer");

pub(crate) struct Companion {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

fn command(url: &str, key: &str, more: &[(&str, &str)]) -> Command {
    let mut command = Command::new(BINARY);
    command.env("INLET_URL", url).env("INLET_CONSUMER_KEY", key);
    command.env("INLET_LOG", "debug").env("INLET_MAX_BACKOFF_SECONDS", "1");
    command.envs(more.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str], url: &str, key: &str) -> Output {
    command(url, key, &[]).args(arguments).output().unwrap()
}

impl Companion {
    pub(crate) fn start(url: &str) -> Self {
        Self::start_with(url, "CK.good.key", &[])
    }

    pub(crate) fn start_with(url: &str, key: &str, more: &[(&str, &str)]) -> Self {
        let mut child = command(url, key, more).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        let stderr = child.stderr.take().unwrap();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        Self { child, log }
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    #[track_caller]
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        poll_until(text, || self.log().into_iter().find(|line| line.contains(text)))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The exit code, once it has ended.
    #[track_caller]
    pub(crate) fn wait(&mut self, within: Duration) -> i32 {
        let ended = poll_until_within(within, || self.child.try_wait().unwrap());
        ended.expect("it ends").code().expect("by itself")
    }

    pub(crate) fn kill9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        let log = self.log.lock().unwrap();
        // Whatever happened, each line is an object.
        let bad = log.iter().find(|line| serde_json::from_str::<Value>(line).is_err());
        if thread::panicking() {
            eprintln!(
                "the companion's last words:\n{}",
                log[log.len().saturating_sub(30)..].join("\n")
            );
        } else {
            assert_eq!(bad, None, "a line of the log is not JSON");
        }
    }
}
