//! The one binary: the command line, configuration, and the wiring of everything else.
//!
//! Owns what a command is called and which part of the product it starts. Nothing may import this crate.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod bench;
mod client;
mod demo;
mod folder;
mod map;
mod outbound;
mod repair;
mod serve;
mod settings;

use clap::{CommandFactory, Parser, Subcommand};
use client::{Exit, Failure, Outcome};
use std::process::ExitCode;

/// Rows, frames and Parquet pages come and go by the megabyte, made on one thread and freed on another. The system's
/// allocator gives such memory back and has the kernel clear it again each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Audit and event records of identity systems, sealed so that nobody can change or drop one unseen.
#[derive(Debug, Parser)]
#[command(name = "indelible", version, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::ServeArgs),
    /// Run a server filled with a month of believable records, with a few incidents to find
    Demo(serve::DemoArgs),
    /// Send a file of records: JSON or NDJSON, plain, gzip or zstd
    Ingest(client::ingest::IngestArgs),
    /// Search a tenant's records with filter text
    Search(client::read::SearchArgs),
    /// Ask a question in plain English
    Ask(client::read::AskArgs),
    /// Run a SELECT over a tenant's views
    Sql(client::read::SqlArgs),
    /// Follow what is being sealed
    Tail(client::tail::TailArgs),
    /// Say whether anything is missing between two times, per source
    Gaps(client::gaps::GapsArgs),
    /// List a tenant's jobs; show, cancel or retry one
    Jobs(client::jobs::JobsArgs),
    /// Show one record
    Get(client::read::GetArgs),
    /// Save the proof of one record, to be checked offline with `verify`
    Prove(client::read::ProveArgs),
    /// Check a data folder, a saved proof, or a running server
    Verify(folder::VerifyCommand),
    /// Show what is damaged in a data folder and what is lost; changes nothing without --confirm
    Repair(repair::RepairArgs),
    /// Make everything derived in a data folder anew from its records
    Rebuild(repair::RebuildArgs),
    /// List the tenants
    Tenants(client::admin::TenantsArgs),
    /// Make a tenant
    Tenant(client::admin::TenantArgs),
    /// Make, list and revoke keys
    Key(client::admin::KeyArgs),
    /// End sessions and withdraw grants where they came from
    Revoke(client::revoke::RevokeArgs),
    /// Show or check the configuration
    Config(settings::ConfigArgs),
    /// Work on mapping files: rules that turn records of any system into ours
    Map(map::MapArgs),
    /// Measure a running server
    Bench(bench::BenchArgs),
    /// Print the description of the HTTP API (OpenAPI 3.1)
    Openapi,
    /// Print shell completions
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
}

/// How a command of the server's half ends: there is only one way to succeed.
pub(crate) type Done = Result<(), Failure>;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { Exit::Usage as u8 } else { 0 });
        }
    };
    ordinary_pages();
    client::finish(run(&cli.command))
}

/// Refuses huge pages, which the allocator asks for. A page of 2 MiB is cleared whole for the first byte written to it, and with
/// memory that comes and goes that is a quarter of the processor time of taking records in.
fn ordinary_pages() {
    #[cfg(target_os = "linux")]
    if let Err(e) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(error = %e, "huge pages stay");
    }
}

fn run(command: &Command) -> Outcome {
    match command {
        Command::Serve(args) => done(serve::serve(args)),
        Command::Demo(args) => done(serve::demo(args)),
        Command::Ingest(args) => client::ingest::run_ingest(args),
        Command::Search(args) => client::read::run_search(args),
        Command::Ask(args) => client::read::run_ask(args),
        Command::Sql(args) => client::read::run_sql(args),
        Command::Tail(args) => client::tail::run_tail(args),
        Command::Gaps(args) => client::gaps::run_gaps(args),
        Command::Jobs(args) => client::jobs::run_jobs(args),
        Command::Get(args) => client::read::run_get(args),
        Command::Prove(args) => client::read::run_prove(args),
        Command::Verify(args) => folder::verify(args),
        Command::Repair(args) => done(repair::repair(args)),
        Command::Rebuild(args) => done(repair::rebuild(args)),
        Command::Tenants(args) => client::admin::run_tenants(args),
        Command::Tenant(args) => client::admin::run_tenant(args),
        Command::Key(args) => client::admin::run_key(args),
        Command::Revoke(args) => client::revoke::run_revoke(args),
        Command::Config(args) => done(settings::run(args)),
        Command::Map(args) => map::run(args),
        Command::Bench(args) => done(bench::run(args).map_err(|e| Failure::other(e.to_string()))),
        Command::Openapi => done(print(&format!("{:#}\n", server::document()))),
        Command::Completions { shell } => {
            let mut out = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "indelible", &mut out);
            done(print(&String::from_utf8_lossy(&out)))
        }
    }
}

fn done(result: Done) -> Outcome {
    result.map(|()| Exit::Ok)
}

/// Writes to stdout; a reader that has gone is no error worth a word.
fn print(text: &str) -> Done {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| Failure::stdout(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
