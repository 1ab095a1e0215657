//! `verify`: which of its three forms is meant, and the check of a data folder.

use crate::client::{Exit, Failure, note};
use clap::Args;
use std::path::PathBuf;
use store::Folder;
use store::verify::Report;

/// Check a data folder (--data), a saved proof (FILE), or a running server as an outsider (--url, --tenant)
#[derive(Debug, Args)]
pub struct VerifyCommand {
    /// Check this data folder; its server must be stopped
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "tenant"])]
    data: Option<PathBuf>,
    /// Where the folder's high-water mark is, if not beside it
    #[arg(long, value_name = "FILE", requires = "data")]
    high_water: Option<PathBuf>,
    #[command(flatten)]
    other: crate::client::verify::VerifyArgs,
}

/// `indelible verify`.
///
/// # Errors
/// [`Exit::Integrity`] with the first thing that is wrong.
pub fn verify(args: &VerifyCommand) -> crate::client::Outcome {
    let Some(dir) = &args.data else { return crate::client::verify::run_verify(&args.other) };
    let started = std::time::Instant::now();
    let report = check(&Folder::new(dir, args.high_water.as_deref()))?;
    let seconds = started.elapsed().as_secs_f64();
    let checked = format!(
        "checked {} records of {} tenants in {} segments and {} journal frames in {seconds:.1} s ({:.0} records/s)",
        report.records,
        report.tenants,
        report.segments,
        report.frames,
        report.records as f64 / seconds.max(1e-6),
    );
    if args.other.json {
        let findings: Vec<_> = report
            .findings
            .iter()
            .map(|f| serde_json::json!({ "file": f.file, "tenant": f.tenant, "index": f.index, "what": f.what, "unreadable": f.unreadable }))
            .collect();
        let verdict = serde_json::json!({ "ok": findings.is_empty(), "checked": checked, "records": report.records, "findings": findings });
        crate::print(&format!("{verdict}\n"))?;
    }
    if report.torn > 0 {
        note(&format!(
            "the journal ends in {} bytes of a write that a crash cut off; nothing in it was answered, and the next start removes it",
            report.torn
        ));
    }
    match report.findings.first() {
        None => {
            if !args.other.json {
                crate::print(&format!(
                    "{checked}: every row hashes to its leaf, every leaf is in its tree, and every tree is the one that was signed.\n"
                ))?;
            }
            Ok(Exit::Ok)
        }
        Some(first) => {
            for finding in report.findings.iter().skip(1).take(19) {
                note(&finding.to_string());
            }
            if report.findings.iter().all(|f| f.unreadable) {
                return Err(Failure::other(format!(
                    "could not be checked whole ({} files could not be read, {checked}; nothing else is wrong). First: {first}",
                    report.findings.len()
                )));
            }
            Err(Failure::integrity(format!(
                "NOT as it was sealed ({} findings, {checked}). First: {first}",
                report.findings.len()
            )))
        }
    }
}

fn check(folder: &Folder) -> Result<Report, Failure> {
    with_progress(|progress| store::verify::verify(folder, progress))
}

/// Runs work that says how many records it has done, and shows that on a terminal.
pub(crate) fn with_progress<T>(work: impl FnOnce(&(dyn Fn(u64) + Sync)) -> store::Result<T>) -> Result<T, Failure> {
    let bar = indicatif::ProgressBar::new_spinner();
    if !std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let done = work(&|n| bar.set_message(format!("{n} records checked")));
    bar.finish_and_clear();
    done.map_err(|e| match e {
        store::Error::Damaged(what) => Failure::integrity(what),
        other => Failure::other(other.to_string()),
    })
}
