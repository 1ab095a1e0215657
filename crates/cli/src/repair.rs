//! `repair` and `rebuild`: what is damaged in a data folder, what is lost, and what can be done.
//!
//! Owns the report and its `--json` form. Nothing is changed without `--confirm`, and nothing is ever deleted:
//! what is taken out of use is kept under another name. The work is `store`'s.

use crate::Done;
use crate::client::{Exit, Failure};
use crate::folder::with_progress;
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use store::Folder;
use store::repair::{Diagnosis, Journal, LogMended};
use store::verify::{Finding, Lost};

/// Show what is damaged and what is lost; change nothing without --confirm
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
    /// Do what the report says can be done; without this flag nothing is changed
    #[arg(long)]
    confirm: bool,
    /// The report as one JSON object
    #[arg(long)]
    json: bool,
}

/// Make everything derived in a data folder anew: look-up filters, and tiles
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// The data folder; its server must be stopped
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// What was done as one JSON object
    #[arg(long)]
    json: bool,
}

/// `indelible rebuild`.
///
/// # Errors
/// Where the folder is in use, or the records themselves are damaged.
pub fn rebuild(args: &RebuildArgs) -> Done {
    let started = std::time::Instant::now();
    let done = with_progress(|progress| store::rebuild::rebuild(&Folder::new(&args.data, None), progress))?;
    let seconds = started.elapsed().as_secs_f64();
    if args.json {
        let out = json!({
            "records": done.records,
            "filters": done.filters,
            "filters_changed": done.filters_changed,
            "tiles": done.tiles,
            "tiles_changed": done.tiles_changed,
            "seconds": seconds,
        });
        return crate::print(&format!("{out}\n"));
    }
    crate::print(&format!(
        "made anew from {} records in {seconds:.1} s: the filters of {} segments ({} were missing or other ones) and {} tiles ({} were missing or other ones).\n",
        done.records, done.filters, done.filters_changed, done.tiles, done.tiles_changed
    ))
}

/// `indelible repair`.
///
/// # Errors
/// [`Exit::Integrity`] where something is damaged and was not mended.
pub fn repair(args: &RepairArgs) -> Done {
    let folder = Folder::new(&args.data, args.high_water.as_deref());
    let examine = || with_progress(|progress| store::repair::examine(&folder, progress));
    let first = examine()?;
    let mut done = Vec::new();
    let mut last = None;
    let only_the_mark = |d: &Diagnosis| d.report.findings.iter().all(|f| kind(&folder, f) == Kind::Mark);
    if !first.report.findings.is_empty() && args.confirm {
        done = mend(&folder, &first)?;
        let left = if done.is_empty() { None } else { Some(examine()?) };
        let now = left.as_ref().unwrap_or(&first);
        if args.new_high_water && !now.report.findings.is_empty() && only_the_mark(now) {
            done.push(new_mark(&folder)?);
            last = Some(examine()?);
        } else {
            last = left;
        }
    }
    let left = last.as_ref().unwrap_or(&first);
    let findings = left.report.findings.len();
    if args.json {
        crate::print(&format!("{:#}\n", as_json(&folder, &first, &done, findings)))?;
    } else {
        crate::print(&as_text(&folder, &first, &done))?;
    }
    if findings == 0 {
        return Ok(());
    }
    if args.new_high_water && !args.confirm && only_the_mark(left) {
        return Err(Failure::new(
            Exit::Usage,
            "a new high-water mark gives up the proof that this folder is no old copy of a ledger that has gone on; add --confirm to do it",
        ));
    }
    let after = if done.is_empty() { "nothing was changed" } else { "left after the repair" };
    let first = left.report.findings.first().map(ToString::to_string).unwrap_or_default();
    let said = format!("{findings} findings ({after}); first: {first}");
    Err(if left.report.findings.iter().all(|f| f.unreadable) { Failure::other(said) } else { Failure::integrity(said) })
}

/// What part of the folder a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Unreadable,
    CatalogLog,
    CatalogCount,
    Journal,
    Segment,
    Derived,
    Mark,
    Other,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Unreadable => "unreadable",
            Kind::CatalogLog => "catalog_log",
            Kind::CatalogCount => "catalog_changes",
            Kind::Journal => "journal",
            Kind::Segment => "segment",
            Kind::Derived => "derived",
            Kind::Mark => "high_water",
            Kind::Other => "other",
        }
    }

    /// What can be done about it.
    fn advice(self) -> &'static str {
        match self {
            Kind::CatalogLog => {
                "Restore catalog.db and its log together from a copy. Without one, --confirm goes on without what is lost, keeps the damaged log beside it under another name, and cuts it off where the damage begins: keys, settings, sources and jobs are then as they were before, and what is missing after that is said by another look."
            }
            Kind::Unreadable => {
                "That says nothing about what is in it. Mend the permissions, or the disk, and look again; what a failing disk does not give back is restored from a copy."
            }
            Kind::CatalogCount => {
                "It only counts the changes of the catalog: --confirm removes it, and the next start makes it anew."
            }
            Kind::Journal => {
                "Restore the journal's files from a copy taken since. Without one, --confirm cuts the damage out: it writes the records that are kept as a new journal and keeps the damaged one beside it, under another name."
            }
            Kind::Segment => {
                "Restore the file from any copy that has it: segments never change. Nothing here drops a stored record."
            }
            Kind::Derived => "Derived from the records: --confirm makes it anew, and so does `indelible rebuild`.",
            Kind::Mark => {
                "Bring the mark from where it was. If it is lost, --new-high-water --confirm makes a new one from the records that are here; a damaged one is kept under another name."
            }
            Kind::Other => "Restore the file from a copy.",
        }
    }
}

fn kind(folder: &Folder, finding: &Finding) -> Kind {
    let extension = finding.file.extension().and_then(|e| e.to_str());
    if finding.unreadable {
        Kind::Unreadable
    } else if finding.file == folder.high_water {
        Kind::Mark
    } else if finding.file.parent() == Some(&folder.dir) && extension == Some("db-wal") {
        Kind::CatalogLog
    } else if finding.file.parent() == Some(&folder.dir) && extension == Some("changes") {
        Kind::CatalogCount
    } else if finding.file.starts_with(folder.journal()) {
        Kind::Journal
    } else if store::repair::derived(folder, finding) {
        Kind::Derived
    } else if finding.file.starts_with(&folder.segments().path) {
        Kind::Segment
    } else {
        Kind::Other
    }
}

/// What can be done about a kind of damage beside the others that are here.
fn advice(found: &Diagnosis, of: Kind, all: &[Kind]) -> &'static str {
    match of {
        Kind::CatalogLog if store::repair::needs_copy(&found.report) => {
            "Restore catalog.db and its log together from a copy: there are records of which what is lost is needed."
        }
        Kind::Journal if found.journal.is_none() => {
            "First mend what else is named here: what of the journal is lost is said by another look."
        }
        Kind::Derived if all.contains(&Kind::Segment) => {
            "Derived from the records: it is made anew with --confirm, or `indelible rebuild`, once those are restored."
        }
        _ => of.advice(),
    }
}

/// Cuts damage out of the journal and makes derived data anew; says what was done.
fn mend(folder: &Folder, found: &Diagnosis) -> Result<Vec<String>, Failure> {
    let other = |e: store::Error| Failure::other(e.to_string());
    let mut done = Vec::new();
    let kinds: Vec<_> = found.report.findings.iter().map(|f| kind(folder, f)).collect();
    // What cannot be read may be sound.
    if kinds.contains(&Kind::Unreadable) || store::repair::needs_copy(&found.report) {
        return Ok(done);
    }
    if kinds.iter().any(|k| matches!(k, Kind::CatalogLog | Kind::CatalogCount)) {
        let kept = |aside: PathBuf| format!("; the log as it was is kept as {}", aside.display());
        done.push(match store::repair::mend_catalog_log(folder, crate::serve::now()).map_err(other)? {
            LogMended::Sound => return Ok(done),
            LogMended::Cut(aside) => {
                format!("the catalog's log was cut off where it is damaged{}", kept(aside))
            }
            LogMended::GivenUp(aside) => {
                format!("the catalog is taken as it is{}", aside.map(kept).unwrap_or_default())
            }
        });
        // What was found was found in what is not there any more.
        return Ok(done);
    }
    if found.journal.is_some() {
        let aside = store::repair::cut_out(folder, crate::serve::now()).map_err(other)?;
        done.push(format!("the damage was cut out of the journal; the damaged one is kept as {}", aside.display()));
    }
    // On damaged rows nothing can be built: that is for after they are restored.
    if kinds.contains(&Kind::Derived) && !kinds.contains(&Kind::Segment) {
        let made = with_progress(|progress| store::rebuild::rebuild(folder, progress))?;
        done.push(format!(
            "{} filter files and {} tiles were made anew from {} records",
            made.filters_changed, made.tiles_changed, made.records
        ));
    }
    Ok(done)
}

fn new_mark(folder: &Folder) -> Result<String, Failure> {
    let aside = set_aside(&folder.high_water)?;
    store::repair::new_high_water(folder).map_err(|e| Failure::other(e.to_string()))?;
    let mut said = "the high-water mark was made anew from the records in the folder".to_owned();
    if let Some(aside) = aside {
        said.push_str(&format!("; the damaged one is kept as {}", aside.display()));
    }
    Ok(said)
}

fn set_aside(path: &Path) -> Result<Option<PathBuf>, Failure> {
    let mut aside = path.to_owned().into_os_string();
    aside.push(format!(".damaged-{}", crate::serve::now()));
    match std::fs::rename(path, &aside) {
        Ok(()) => Ok(Some(aside.into())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Failure::file("set aside", path, &e)),
    }
}

fn records(lost: &[Lost]) -> u64 {
    lost.iter().map(|l| l.last - l.first + 1).sum()
}

fn as_text(folder: &Folder, found: &Diagnosis, done: &[String]) -> String {
    let report = &found.report;
    if report.findings.is_empty() {
        return "nothing is damaged and nothing is lost.\n".into();
    }
    let mut kinds: Vec<_> = report.findings.iter().map(|f| kind(folder, f)).collect();
    let all = kinds.clone();
    kinds.sort_unstable();
    kinds.dedup();
    let mut out = String::new();
    for of in kinds {
        out.push_str(match of {
            Kind::Unreadable => "Could not be read:\n",
            Kind::CatalogLog => "The catalog's log is damaged:\n",
            Kind::CatalogCount => "The count of the catalog's changes is damaged:\n",
            Kind::Journal => "The journal is damaged:\n",
            Kind::Segment => "Stored records are damaged:\n",
            Kind::Derived => "Derived data is missing or damaged:\n",
            Kind::Mark => "The high-water mark is missing or damaged:\n",
            Kind::Other => "Damaged:\n",
        });
        for (finding, _) in report.findings.iter().zip(&all).filter(|(_, k)| **k == of) {
            out.push_str(&format!("  {finding}\n"));
        }
        match of {
            Kind::Journal => out.push_str(&found.journal.as_ref().map(journal_text).unwrap_or_default()),
            Kind::Segment => out.push_str(&lost_text("lost if the file cannot be restored", &report.lost)),
            _ => {}
        }
        out.push_str(&format!("  {}\n", advice(found, of, &all)));
    }
    out.push_str(&format!("{} records could be read and are as they were sealed.\n", report.records));
    for line in done {
        out.push_str(&format!("Done: {line}.\n"));
    }
    out
}

fn lost_text(what: &str, lost: &[Lost]) -> String {
    if lost.is_empty() {
        return String::new();
    }
    let list: Vec<_> = lost.iter().map(ToString::to_string).collect();
    format!("  {what}, {} records: {}\n", records(lost), list.join("; "))
}

fn journal_text(journal: &Journal) -> String {
    let mut out = String::new();
    for hole in &journal.holes {
        out.push_str(&format!(
            "  {}, bytes {} to {} cannot be read: {}\n",
            hole.path.display(),
            hole.from,
            hole.to,
            hole.what
        ));
    }
    for (first, last) in &journal.missing {
        out.push_str(&format!("  frames {first} to {last} are missing\n"));
    }
    out.push_str(&lost_text("known to be lost", &journal.lost));
    out.push_str(&lost_text("readable, but behind lost ones of their tenant, so not kept", &journal.stranded));
    out.push_str(&format!("  kept: {} records\n", journal.kept));
    for (tenant, signed, kept) in &journal.signed {
        out.push_str(&format!(
            "  of tenant {tenant} {signed} records were signed and {kept} are kept: whoever has a later checkpoint will see that. After the repair the server starts with a new mark: move the old one aside, it is evidence, and use --new-high-water --confirm\n"
        ));
    }
    if journal.lost.is_empty() {
        out.push_str(
            "  which records were in the damaged bytes cannot be said: no later frame and no checkpoint tells\n",
        );
    }
    out
}

fn as_json(folder: &Folder, found: &Diagnosis, done: &[String], left: usize) -> Value {
    let lost = |list: &[Lost]| -> Vec<Value> {
        list.iter().map(|l| json!({ "tenant": l.tenant, "first": l.first, "last": l.last })).collect()
    };
    let kinds: Vec<_> = found.report.findings.iter().map(|f| kind(folder, f)).collect();
    let findings: Vec<_> = found
        .report
        .findings
        .iter()
        .zip(&kinds)
        .map(|(f, kind)| {
            let kind = *kind;
            json!({ "kind": kind.name(), "file": f.file, "tenant": f.tenant, "index": f.index, "what": f.what, "advice": advice(found, kind, &kinds) })
        })
        .collect();
    let journal = found.journal.as_ref().map(|j| {
        let holes: Vec<_> =
            j.holes.iter().map(|h| json!({ "file": h.path, "from": h.from, "to": h.to, "what": h.what })).collect();
        let signed: Vec<_> =
            j.signed.iter().map(|(t, signed, kept)| json!({ "tenant": t, "signed": signed, "kept": kept })).collect();
        json!({
            "unreadable": holes,
            "missing_frames": j.missing,
            "kept": j.kept,
            "lost": lost(&j.lost),
            "stranded": lost(&j.stranded),
            "signed": signed,
        })
    });
    json!({
        "ok": left == 0,
        "records": found.report.records,
        "findings": findings,
        "lost": lost(&found.report.lost),
        "journal": journal,
        "done": done,
        "left": left,
    })
}
