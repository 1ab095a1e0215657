//! The client half of the program: every command that talks to a server over HTTP, and `verify`.
//!
//! Owns what these commands share: where the server is and with which key ([`Connect`]), how a command ends
//! ([`Exit`], [`Failure`]) and that a result never goes to stderr nor prose to stdout. One file or folder per
//! group of commands: [`ingest`], [`read`], [`tail`], [`admin`], [`verify`]. Not here: the server, its data folder
//! and its configuration (`verify --data` included), and the parsing of the whole command line.

pub mod admin;
pub mod gaps;
pub mod http;
pub mod ingest;
pub mod interrupt;
pub mod jobs;
pub mod output;
pub mod read;
pub mod revoke;
pub mod tail;
#[cfg(test)]
pub(crate) mod testing;
pub mod verify;

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

/// Where a server is when nobody says otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:7440";

/// Which server, and as whom. A key is never a flag's value: command lines are seen by everyone on a machine.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct Connect {
    /// Address of the server
    #[arg(long, env = "INDELIBLE_URL", value_name = "URL", default_value = DEFAULT_URL)]
    pub url: String,
    /// File that holds the key [default: $INDELIBLE_KEY, then the file named by $INDELIBLE_KEY_FILE]
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// PEM file of the certificate authorities to trust in place of the public ones
    #[arg(long, env = "INDELIBLE_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
}

/// How the program ends: the codes that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All of it worked.
    Ok = 0,
    /// It did not work, for a reason none of the others names.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The server has no such tenant, record or address.
    NotFound = 3,
    /// No key, a wrong key, or one without the scope.
    Denied = 4,
    /// Something that was to be proved is not so.
    Integrity = 5,
    /// A part of it worked.
    Partial = 6,
    /// The server cannot be reached, is busy, or limits us.
    Unavailable = 7,
    /// Interrupted from the keyboard.
    Interrupted = 130,
}

/// Why a command ended early: a code for scripts and one sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The code to end with.
    pub exit: Exit,
    /// What went wrong and what to do; empty where there is nothing to say.
    pub message: String,
}

impl Failure {
    /// A failure with this code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into() }
    }

    /// A failure that no special code names.
    pub fn other(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Failure, message)
    }

    /// A check that found something wrong.
    pub fn integrity(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Integrity, message)
    }

    /// A failed write to stdout. A reader that has seen enough (`| head`) is no failure.
    pub fn stdout(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::new(Exit::Ok, ""),
            _ => Failure::other(format!("could not write to stdout: {error}")),
        }
    }

    /// A failed operation on a file.
    pub fn file(doing: &str, path: &std::path::Path, error: &io::Error) -> Failure {
        Failure::other(format!("could not {doing} {}: {error}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// What a command comes to.
pub type Outcome = Result<Exit, Failure>;

/// Says on stderr why a command failed, if it did, and gives the code to end with.
pub fn finish(outcome: Outcome) -> std::process::ExitCode {
    let exit = outcome.unwrap_or_else(|failure| {
        if !failure.message.is_empty() {
            note(&format!("indelible: {failure}"));
        }
        failure.exit
    });
    std::process::ExitCode::from(exit as u8)
}

/// One line on stderr. A closed stderr is nobody's failure.
pub fn note(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", output::printable(line));
}

/// Whether stderr is a terminal that can redraw a line.
fn bars_wanted() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The folder for our files below `$variable`, or below `fallback` in the home folder.
fn home_folder(variable: &str, fallback: &str) -> Result<PathBuf, Failure> {
    let given = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = given.or_else(|| std::env::home_dir().map(|home| home.join(fallback)));
    base.map(|base| base.join("indelible"))
        .ok_or_else(|| Failure::other(format!("there is no home folder; set {variable}")))
}

/// Replaces a file as a whole: after a crash there is the old one or the new one, never half of one.
fn replace_file(path: &std::path::Path, bytes: &[u8]) -> Result<(), Failure> {
    let write = || {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let fresh = PathBuf::from(name);
        let mut file = std::fs::File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    };
    write().map_err(|e| Failure::file("write", path, &e))
}

/// Lower-case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
