//! A real PostgreSQL with Contember's real table: started by the test on a free port of the loopback, in a folder of its own,
//! as a user that is not root, and gone with the test. And a relay before it, which is slow.

use crate::server::eventually;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// The reading role's password.
pub const PASSWORD: &str = "hush-hush";
const TABLE: &str = include_str!("../contember/person_auth_log.sql");
/// The rights that the guide gives.
const ROLE: &str = "CREATE ROLE indelible LOGIN PASSWORD 'hush-hush'; GRANT CONNECT ON DATABASE tenant TO indelible; \
GRANT USAGE ON SCHEMA tenant TO indelible; GRANT SELECT ON tenant.person_auth_log TO indelible";

/// A running server. Ended when dropped.
pub struct Postgres {
    child: Child,
    folder: TempDir,
    pub port: u16,
}

/// Where PostgreSQL's programs are.
fn programs() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path().join("bin"))
        .collect();
    found.sort();
    found.retain(|bin| bin.join("initdb").try_exists().unwrap());
    found.pop().expect("PostgreSQL is not installed: run scripts/prerequisites test")
}

/// A program, as a user that PostgreSQL accepts: it does not run as root.
fn as_user(program: &Path, folder: &Path) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(folder).stdin(Stdio::null());
    command
}

fn done(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

impl Postgres {
    /// With Contember's table and nobody who may read it yet.
    pub fn start() -> Postgres {
        let folder = tempfile::Builder::new().prefix("indelible-pg-").tempdir().unwrap();
        let path = folder.path();
        // An authority and a certificate for this machine.
        let certificates = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=test authority' -keyout ca.key -out ca.pem 2>&1
openssl req -newkey rsa:2048 -nodes -subj '/CN=localhost' -keyout server.key -out server.csr 2>&1
printf 'subjectAltName=DNS:localhost' > names
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.crt 2>&1
mkdir data && chmod 755 .";
        done(Command::new("sh").args(["-e", "-c", certificates]).current_dir(path));
        if rustix::process::geteuid().is_root() {
            done(Command::new("chown").args(["-R", "postgres:postgres"]).arg(path));
        }
        let data = path.join("data");
        let mut init = as_user(&programs().join("initdb"), path);
        init.arg("-D").arg(&data).args([
            "-U",
            "postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        done(&mut init);
        let rules =
            "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n";
        std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
        // Where ALTER SYSTEM can change it.
        std::fs::write(data.join("postgresql.auto.conf"), "ssl = on\n").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = std::fs::File::create(path.join("log")).unwrap();
        let mut command = as_user(&programs().join("postgres"), path);
        command.arg("-D").arg(&data).arg("-k").arg(path).args(["-p", &port.to_string()]);
        for option in ["listen_addresses=localhost", "fsync=off", "log_statement=all"] {
            command.args(["-c", option]);
        }
        for (name, file) in [("ssl_cert_file", "server.crt"), ("ssl_key_file", "server.key")] {
            command.arg("-c").arg(format!("{name}={}", path.join(file).display()));
        }
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let postgres = Postgres { child, folder, port };
        eventually("PostgreSQL answers", || {
            postgres.psql("postgres").arg("-c").arg("select 1").output().unwrap().status.success()
        });
        done(postgres.psql("postgres").args(["-c", "create database tenant"]));
        postgres.sql(TABLE);
        postgres
    }

    /// The same, and the role `indelible` may read the table.
    pub fn with_role() -> Postgres {
        let postgres = Postgres::start();
        postgres.sql(ROLE);
        postgres
    }

    fn psql(&self, database: &str) -> Command {
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database]);
        command.arg("-h").arg(self.folder.path()).args(["-p", &self.port.to_string()]).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs statements as the table's owner; gives what they print.
    #[track_caller]
    pub fn sql(&self, text: &str) -> String {
        done(self.psql("tenant").arg("-c").arg(text)).trim_end().to_owned()
    }

    /// The same beside the test: wait for the child.
    pub fn sql_meanwhile(&self, text: &str) -> Child {
        self.psql("tenant").arg("-c").arg(text).spawn().unwrap()
    }

    /// How the owner reaches the database, as a URL of libpq's.
    pub fn owner_url(&self) -> String {
        format!("postgresql:///tenant?host={}&port={}&user=postgres", self.folder.path().display(), self.port)
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// What the server was asked and what became of it.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // At once: its children end with it.
        let _ = kill_process(Pid::from_child(&self.child), Signal::QUIT);
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.char_indices().rev().nth(4000).map_or(0, |(at, _)| at);
            eprintln!("the end of PostgreSQL's log:\n{}", &log[from..]);
        }
    }
}

/// What stands between: a port that passes bytes on, slowly.
pub struct Relay {
    pub port: u16,
    connections: Arc<AtomicUsize>,
}

impl Relay {
    /// To this port, with a pause before every 16 KiB of an answer.
    pub fn start(to: u16, pause: Duration) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::Relaxed);
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let (back_from, back_to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
                std::thread::spawn(move || pass(near, far, Duration::ZERO));
                std::thread::spawn(move || pass(back_from, back_to, pause));
            }
        });
        Relay { port, connections }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, pause: Duration) {
    let mut chunk = vec![0; 16 << 10];
    while let Ok(n) = from.read(&mut chunk) {
        std::thread::sleep(pause);
        if n == 0 || to.write_all(&chunk[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = from.shutdown(std::net::Shutdown::Both);
}
