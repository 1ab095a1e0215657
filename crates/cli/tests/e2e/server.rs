//! The real binary: started on a free port and a folder of its own, stopped, killed, started again.

use crate::http::Client;
use jiff::{Span, Timestamp};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const BINARY: &str = env!("CARGO_BIN_EXE_indelible");
/// How long anything is waited for before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A data folder with its high-water mark and logs, and what the server on it is told.
pub struct Home {
    dir: TempDir,
    settings: Vec<(String, String)>,
    /// Bytes that a file of the server may have at most.
    file_limit: Option<u64>,
}

/// A running server. Killed when dropped.
pub struct Server {
    child: Child,
    log: PathBuf,
    pub home: Home,
    /// As an administrator.
    pub admin: Client,
    /// From start to ready.
    pub took: Duration,
}

impl Home {
    /// A new folder. Settings are environment variables without their prefix: `("FLUSH_MIB", "1")`.
    pub fn new(settings: &[(&str, &str)]) -> Home {
        let settings = settings.iter().map(|(k, v)| (format!("INDELIBLE_{k}"), (*v).to_owned())).collect();
        let dir = tempfile::Builder::new().prefix("indelible-e2e-").tempdir().unwrap();
        Home { dir, settings, file_limit: None }
    }

    /// From the next start on the system refuses to make a file longer than that (a multiple of 512).
    pub fn limited_to_files_of(self, bytes: u64) -> Home {
        Home { file_limit: Some(bytes), ..self }
    }

    /// From the next start on files may be of any length.
    pub fn unlimited(self) -> Home {
        Home { file_limit: None, ..self }
    }

    /// With another setting from the next start on.
    pub fn with(mut self, name: &str, value: &str) -> Home {
        self.settings.push((format!("INDELIBLE_{name}"), value.to_owned()));
        self
    }

    /// With another variable in the server's environment from the next start on.
    pub fn env(mut self, name: &str, value: &str) -> Home {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The program with nothing of the caller's environment that could reach it.
    pub fn command(&self) -> Command {
        let mut command = match self.file_limit {
            None => Command::new(BINARY),
            // Blocks are of 512 bytes in a POSIX shell. Without the trap the signal would end the program.
            Some(bytes) => {
                let mut shell = Command::new("sh");
                let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", bytes / 512);
                shell.args(["-c", &script, "sh", BINARY]);
                shell
            }
        };
        for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("INDELIBLE_")) {
            command.env_remove(name);
        }
        command.env("HOME", self.path()).env("XDG_STATE_HOME", self.path()).env("XDG_CACHE_HOME", self.path());
        command.current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// The program run to its end.
    pub fn run(&self, args: &[&str]) -> Done {
        Done::of(self.command().args(args).output().unwrap())
    }

    /// `verify --data` of the folder.
    pub fn verify(&self) -> Done {
        self.run(&["verify", "--data", self.data().to_str().unwrap()])
    }

    /// Everything that servers on this folder ever logged.
    pub fn logs(&self) -> String {
        let mut all = String::new();
        for entry in std::fs::read_dir(self.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "log") {
                all.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
        all
    }

    fn spawn(&self) -> (Child, PathBuf) {
        let runs = std::fs::read_dir(self.path()).unwrap().count();
        let log = self.path().join(format!("server-{runs}.log"));
        let out = OpenOptions::new().create(true).append(true).open(self.path().join("stdout.txt")).unwrap();
        let mut command = self.command();
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json", "--data"]).arg(self.data());
        command.envs(self.settings.iter().map(|(k, v)| (k, v)));
        let child = command.stdout(out).stderr(File::create(&log).unwrap()).spawn().unwrap();
        (child, log)
    }

    /// Starts a server that must come up.
    pub fn start(self) -> Server {
        let started = Instant::now();
        let (mut child, log) = self.spawn();
        loop {
            if let Some(address) = ready(&log) {
                let took = started.elapsed();
                let key = std::fs::read_to_string(self.data().join("admin.key")).unwrap();
                let admin = Client::new(&format!("http://{address}"), Some(key.trim()));
                return Server { child, log, home: self, admin, took };
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended with {status}: {}", std::fs::read_to_string(&log).unwrap());
            }
            if started.elapsed() > PATIENCE {
                let _ = child.kill();
                panic!("the server was not ready in {PATIENCE:?}: {}", std::fs::read_to_string(&log).unwrap());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts a server that must refuse to run.
    pub fn start_refused(&self) -> Done {
        let (mut child, log) = self.spawn();
        let status = wait(&mut child, PATIENCE).unwrap_or_else(|| {
            let _ = child.kill();
            panic!("the server runs, and must not: {}", std::fs::read_to_string(&log).unwrap())
        });
        Done { code: status.code(), out: String::new(), err: std::fs::read_to_string(&log).unwrap() }
    }
}

/// The address in the line that says that the server is ready.
fn ready(log: &Path) -> Option<String> {
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|line| {
        let fields = &line["fields"];
        (fields["message"] == "ready").then(|| fields["address"].as_str().unwrap().to_owned())
    })
}

fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + patience;
    loop {
        match child.try_wait().unwrap() {
            Some(status) => return Some(status),
            None if Instant::now() > until => return None,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

impl Server {
    /// A server on a new folder.
    pub fn start(settings: &[(&str, &str)]) -> Server {
        Home::new(settings).start()
    }

    pub fn url(&self) -> &str {
        &self.admin.base
    }

    pub fn data(&self) -> PathBuf {
        self.home.data()
    }

    /// `kill -9`.
    pub fn kill(mut self) -> Home {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.take_home()
    }

    /// SIGTERM. Gives the folder; the server must end in order.
    pub fn stop(mut self) -> Home {
        self.terminate();
        let status = wait(&mut self.child, PATIENCE).expect("the server does not stop");
        let log = std::fs::read_to_string(&self.log).unwrap();
        assert_eq!(status.code(), Some(0), "a stop in order exits with 0: {log}");
        self.take_home()
    }

    /// Waits for its end. Gives its exit code and the folder.
    pub fn ended(mut self) -> (Option<i32>, Home) {
        let status = wait(&mut self.child, PATIENCE).expect("the server does not stop");
        (status.code(), self.take_home())
    }

    /// Sends SIGTERM and goes on.
    pub fn terminate(&self) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), Signal::TERM).unwrap();
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn take_home(&mut self) -> Home {
        let empty = Home { dir: tempfile::tempdir().unwrap(), settings: Vec::new(), file_limit: None };
        std::mem::replace(&mut self.home, empty)
    }

    /// The program as a client of this server with this key.
    pub fn cli_as(&self, key: &str, args: &[&str]) -> Done {
        self.cli_with(key, args, b"")
    }

    /// The program as an administrator's client of this server.
    pub fn cli(&self, args: &[&str]) -> Done {
        self.cli_with(&self.key(), args, b"")
    }

    pub fn cli_with(&self, key: &str, args: &[&str], stdin: &[u8]) -> Done {
        let input = self.home.path().join(format!("stdin-{:?}", std::thread::current().id()));
        std::fs::write(&input, stdin).unwrap();
        let mut command = self.home.command();
        command.env("INDELIBLE_URL", self.url()).env("INDELIBLE_KEY", key);
        Done::of(command.args(args).stdin(File::open(&input).unwrap()).output().unwrap())
    }

    /// The administrator's key.
    pub fn key(&self) -> String {
        std::fs::read_to_string(self.data().join("admin.key")).unwrap().trim().to_owned()
    }

    /// A key of a tenant with these scopes.
    pub fn tenant_key(&self, tenant: &str, scopes: &[&str]) -> Client {
        let body = serde_json::json!({ "name": "a test", "scopes": scopes });
        let answer = self.admin.post(&format!("/v1/t/{tenant}/keys"), body.to_string());
        assert_eq!(answer.status, 201, "{answer}");
        self.admin.with_key(answer.json()["key"].as_str().unwrap())
    }

    /// A number of `/metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.admin.anonymous().get("/metrics").text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no metric {name} in {text}")).parse().unwrap()
    }

    /// Waits until everything sealed so far is in segments.
    pub fn flushed(&self) {
        eventually("everything is in segments", || self.metric("indelible_tail_bytes") == 0.0);
        assert!(self.metric("indelible_segments") > 0.0);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking()
            && let Ok(log) = std::fs::read_to_string(&self.log)
        {
            let from = log.char_indices().rev().nth(4000).map_or(0, |(at, _)| at);
            eprintln!("the end of the server's log:\n{}", &log[from..]);
        }
    }
}

/// What a command came to.
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Done {
    pub fn of(output: Output) -> Done {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Its stdout, where it ended well.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.out, self.err);
        self.out
    }

    /// Its stderr, where it ended with this code.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.out, self.err);
        self.err
    }
}

/// Polls until something is so.
#[track_caller]
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The time so many seconds from now (before now, where negative) as RFC 3339.
pub fn at(seconds: i64) -> String {
    #[expect(clippy::disallowed_methods, reason = "a client has a clock of its own")]
    let now = Timestamp::now();
    format!("{:.6}", now.checked_add(Span::new().seconds(seconds)).unwrap())
}
