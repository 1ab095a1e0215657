//! Commands on a data folder itself: `verify --data` and `repair`.

use crate::Done;
use crate::client::{Exit, Failure, note};
use clap::Args;
use std::path::{Path, PathBuf};
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
            .map(|f| serde_json::json!({ "file": f.file, "tenant": f.tenant, "index": f.index, "what": f.what }))
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
            Err(Failure::integrity(format!(
                "NOT as it was sealed ({} findings, {checked}). First: {first}",
                report.findings.len()
            )))
        }
    }
}

fn check(folder: &Folder) -> Result<Report, Failure> {
    let bar = indicatif::ProgressBar::new_spinner();
    if !std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let report = store::verify::verify(folder, &|n| bar.set_message(format!("{n} records checked")));
    bar.finish_and_clear();
    report.map_err(|e| Failure::other(e.to_string()))
}

/// Show what is damaged and what is lost.
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// The data folder; its server must be stopped
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where the folder's high-water mark is, if not beside it
    #[arg(long, value_name = "FILE")]
    high_water: Option<PathBuf>,
    /// Accept the folder as it is and make a new high-water mark from its records
    #[arg(long)]
    new_high_water: bool,
    /// Do it; without this flag nothing is changed
    #[arg(long)]
    confirm: bool,
}

/// `indelible repair`.
///
/// # Errors
/// [`Exit::Integrity`] where something is damaged.
pub fn repair(args: &RepairArgs) -> Done {
    let folder = Folder::new(&args.data, args.high_water.as_deref());
    let report = check(&folder)?;
    let mark = |f: &&store::verify::Finding| f.file == folder.high_water;
    let others: Vec<_> = report.findings.iter().filter(|f| !mark(f)).collect();
    let marks: Vec<_> = report.findings.iter().filter(mark).collect();
    for finding in &report.findings {
        note(&finding.to_string());
    }
    if report.findings.is_empty() {
        return crate::print("nothing is damaged and nothing is lost.\n");
    }
    if !args.new_high_water {
        return Err(Failure::integrity(format!(
            "{} findings; {} records could be read. Restore the files named above from a copy{}",
            report.findings.len(),
            report.records,
            if marks.is_empty() { "" } else { ", or make a new high-water mark with --new-high-water" }
        )));
    }
    if !others.is_empty() {
        return Err(Failure::integrity(format!(
            "{} findings are not about the high-water mark; restore those files first",
            others.len()
        )));
    }
    if !args.confirm {
        return Err(Failure::new(
            Exit::Usage,
            "a new high-water mark gives up the proof that this folder is no old copy of a ledger that has gone on; add --confirm to do it",
        ));
    }
    set_aside(&folder.high_water)?;
    store::verify::new_high_water(&folder).map_err(|e| Failure::other(e.to_string()))?;
    crate::print("the high-water mark was made anew from the records in the folder.\n")
}

fn set_aside(path: &Path) -> Done {
    let mut aside = path.to_owned().into_os_string();
    aside.push(format!(".{}", crate::serve::now()));
    match std::fs::rename(path, &aside) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Failure::file("set aside", path, &e)),
        _ => Ok(()),
    }
}
