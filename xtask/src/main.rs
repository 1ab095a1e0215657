//! Repository chores that need more than a line of shell: `cargo xtask deps | words | gen [--check]`.
//!
//! Owns what CI checks about the tree itself: which crate may use which, words that must not be committed, and
//! that generated files are up to date. Not here: building, testing, packaging (`Makefile`).

mod deps;
mod generate;
mod words;

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

const HELP: &str = "cargo xtask <chore>

  deps           which crate uses which: fails on an arrow that ARCHITECTURE.md does not allow
  words          fails where a file names a home folder, a build folder or a private host (xtask/words.txt)
  gen [--check]  writes the generated files; with --check fails if that would change one";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["deps"] => metadata().and_then(|m| deps::run(&m)),
        ["words"] => words::run(&root()),
        ["gen"] => metadata().and_then(|m| generate::run(&root(), &m, false)),
        ["gen", "--check"] => metadata().and_then(|m| generate::run(&root(), &m, true)),
        [] | ["help" | "--help" | "-h"] => Ok(HELP.to_owned()),
        _ => Err(format!("unknown chore: {}\n\n{HELP}", args.join(" "))),
    };
    match done {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

/// The repository's root: the folder above this crate.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.clone(), PathBuf::from)
}

/// The program cargo, as cargo itself names it to what it runs.
fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// The workspace's manifests as cargo understands them, without resolving what they depend on.
fn metadata() -> Result<serde_json::Value, String> {
    let out = output(cargo().args(["metadata", "--no-deps", "--offline", "--format-version", "1"]))?;
    serde_json::from_slice(&out).map_err(|e| format!("could not read `cargo metadata`: {e}"))
}

/// What a command prints; its error output where it fails.
fn output(command: &mut Command) -> Result<Vec<u8>, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command.output().map_err(|e| format!("could not run {name}: {e}"))?;
    if out.status.success() {
        return Ok(out.stdout);
    }
    Err(format!("{name} failed ({}): {}", out.status, String::from_utf8_lossy(&out.stderr).trim()))
}
