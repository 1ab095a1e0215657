//! The guides of `docs/systems`: every command in them is run, in order, against the real binary, and what is shown to come of it must.
//!
//! A guide is Markdown. A block fenced `sh` is run by bash from the repository's root, with `INDELIBLE_URL` and `INDELIBLE_KEY` set and the
//! program in the path (and, for Contember's, a PostgreSQL with its table); a block fenced `text` right after it is its output, to the letter. Blocks of other kinds (settings of
//! other systems, commands on their side) are not run.

use crate::postgres::Postgres;
use crate::server::{BINARY, Server};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command of a guide and what it should print, if the guide says.
struct Step {
    line: usize,
    script: String,
    output: Option<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The blocks of a guide: kind, line, text.
fn blocks(text: &str) -> Vec<(String, usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, usize, String)> = None;
    for (n, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => open = Some((kind.trim().to_owned(), n + 1, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, _, inside)), None) => {
                inside.push_str(line);
                inside.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    blocks
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut last = String::new();
    for (kind, line, inside) in blocks(text) {
        match kind.as_str() {
            "sh" => steps.push(Step { line, script: inside, output: None }),
            "text" if last == "sh" => steps.last_mut().unwrap().output = Some(inside),
            _ => {}
        }
        last = kind;
    }
    steps
}

#[test]
fn every_command_of_every_guide_does_what_it_says() {
    let folder = root().join("docs/systems");
    let mut guides: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).collect();
    guides.retain(|path| path.extension().is_some_and(|e| e == "md"));
    guides.sort();
    for system in systems() {
        assert!(guides.contains(&folder.join(format!("{system}.md"))), "{system} has no guide");
    }
    let mut tried = 0;
    let mut wrong = Vec::new();
    for guide in guides {
        let name = guide.file_name().unwrap().to_string_lossy().into_owned();
        let steps = steps(&std::fs::read_to_string(&guide).unwrap());
        assert!(name == "README.md" || !steps.is_empty(), "{name} has no command");
        let server = Server::start(&[]);
        let database = (name == "contember.md").then(Postgres::start);
        let path = format!("{}:{}", Path::new(BINARY).parent().unwrap().display(), std::env::var("PATH").unwrap());
        for step in steps {
            let mut command = Command::new("bash");
            command.args(["-eu", "-o", "pipefail", "-c", &step.script]).current_dir(root()).env("PATH", &path);
            command.env("INDELIBLE_URL", server.url()).env("INDELIBLE_KEY", server.key());
            command.env("HOME", server.home.path()).env("XDG_CACHE_HOME", server.home.path());
            if let Some(database) = &database {
                command
                    .env("TENANT_DB", database.owner_url())
                    .env("TENANT_HOST", format!("localhost:{}", database.port));
                command.env("TENANT_CA", database.ca());
            }
            let done = command.output().unwrap();
            // CSV has the line ends of RFC 4180.
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\r\n", "\n");
            let (out, err) = (text(&done.stdout), text(&done.stderr));
            let place = format!("{name}:{}", step.line);
            if !done.status.success() {
                wrong.push(format!("{place}: {}\n{}\nstdout: {out}\nstderr: {err}", done.status, step.script));
            } else if let Some(expected) = &step.output
                && out.trim_end() != expected.trim_end()
            {
                wrong.push(format!("{place}: {}\nexpected:\n{expected}\nprinted:\n{out}", step.script));
            }
            tried += 1;
        }
    }
    assert!(wrong.is_empty(), "{} of {tried} commands:\n{}", wrong.len(), wrong.join("\n"));
    assert!(tried > 30, "{tried} commands were found");
}

/// Every system that `POST …/ingest/{system}` knows, as the server itself says.
fn systems() -> Vec<String> {
    let server = Server::start(&[]);
    let problem = server.admin.post("/v1/t/acme/ingest/nobody", "{}").problem(404, "unknown_system");
    let detail = problem["detail"].as_str().unwrap();
    let names: Vec<String> =
        detail.rsplit("one of ").next().unwrap().split(", ").map(|name| name.trim().to_owned()).collect();
    assert!(names.len() >= 16, "{detail}");
    names
}
