//! `verify` as an outsider: a running server by what it publishes, and a saved proof by itself.
//!
//! Owns the commands, the choice of the key to trust, and the closing sentence. The checks are in [`log`] (a whole
//! ledger), [`mod@file`] (one proof) and `parts` (the record shown against the bytes proved); they take bytes and know no
//! network. Not here: `verify --data`, which reads a data folder.

mod entry;
pub mod file;
pub mod log;
mod parts;
mod state;

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use merkle::note::VerifyingKey;

use self::log::Source;
use super::http::{Ask, Client, Trouble, encode};
use super::interrupt::Stop;
use super::output::printable;
use super::{Connect, Exit, Failure, Outcome, bars_wanted, note};

/// Check a running server as an outsider (--tenant), or a saved proof (FILE)
#[derive(Debug, Clone, clap::Args)]
pub struct VerifyArgs {
    /// A proof saved with `indelible prove`; - reads stdin
    #[arg(value_name = "FILE", conflicts_with = "tenant")]
    pub file: Option<PathBuf>,
    /// Check the ledger of this tenant on the server at --url
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// The ledger's public key, as text or as a file: what makes the check independent of the server
    #[arg(long, value_name = "KEY|FILE")]
    pub vkey: Option<String>,
    /// Where the last checkpoint seen is remembered [default: in ~/.local/state/indelible]
    #[arg(long, value_name = "FILE", requires = "tenant")]
    pub state: Option<PathBuf>,
    /// Write the verdict as JSON
    #[arg(long)]
    pub json: bool,
    /// Which server.
    #[command(flatten)]
    pub connect: Connect,
}

/// `indelible verify FILE` and `indelible verify --url URL --tenant T`.
///
/// # Errors
/// [`Exit::Integrity`] with the first thing that is wrong, or what kept us from checking.
pub fn run_verify(args: &VerifyArgs) -> Outcome {
    Stop::at_once();
    let pinned = args.vkey.as_deref().map(read_vkey).transpose()?;
    let sentence = match (&args.tenant, &args.file) {
        (Some(tenant), _) => server(args, tenant, pinned.as_ref()),
        (None, Some(path)) => saved(path, pinned.as_ref()),
        (None, None) => Err(Failure::new(Exit::Usage, "give a FILE, or --url and --tenant")),
    };
    if args.json {
        let verdict = match &sentence {
            Ok(sentence) => serde_json::json!({"ok": true, "checked": sentence}),
            Err(failure) if failure.exit == Exit::Integrity => {
                serde_json::json!({"ok": false, "wrong": failure.message})
            }
            Err(_) => serde_json::Value::Null,
        };
        if !verdict.is_null() {
            super::output::Console::stdout().line(verdict.to_string())?;
        }
    }
    let sentence = sentence.map_err(|failure| match failure.exit {
        Exit::Integrity => Failure::integrity(format!("WRONG: {}", failure.message)),
        _ => failure,
    })?;
    if !args.json {
        super::output::Console::stdout().line(format!("ok: {}", printable(&sentence)))?;
    }
    Ok(Exit::Ok)
}

/// Reads a public key from its text, or from a file that holds it.
fn read_vkey(given: &str) -> Result<VerifyingKey, Failure> {
    let text = match VerifyingKey::parse(given.trim()) {
        Ok(key) => return Ok(key),
        Err(e) => std::fs::read_to_string(given).map_err(|_| {
            Failure::new(Exit::Usage, format!("--vkey {given:?} is neither a key ({e}) nor a file that can be read"))
        })?,
    };
    VerifyingKey::parse(text.trim()).map_err(|e| Failure::new(Exit::Usage, format!("--vkey {given}: {e}")))
}

fn saved(path: &Path, pinned: Option<&VerifyingKey>) -> Result<String, Failure> {
    let text = match path.to_str() {
        Some("-") => std::io::read_to_string(std::io::stdin()),
        _ => std::fs::read_to_string(path),
    };
    let checked = file::check(&text.map_err(|e| Failure::file("read", path, &e))?, pinned)?;
    if pinned.is_none() {
        note(
            "warning: the key was taken from the file itself; --vkey with a key you know makes the check independent of its sender",
        );
    }
    Ok(checked.sentence())
}

/// What a server publishes of one tenant.
struct Published<'c> {
    client: &'c Client,
    prefix: String,
}

impl Source for Published<'_> {
    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        let ask = Ask { accept: "*/*", ..Ask::get(format!("{}/{path}", self.prefix)) };
        // An interrupted answer is asked for again: a check of a big ledger makes many requests.
        let mut tries = 0;
        loop {
            let answer = self.client.call(&ask).and_then(|reply| reply.bytes(log::MAX_RESOURCE));
            match answer {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(Trouble::Problem(problem)) if problem.status == 404 => return Ok(None),
                Err(Trouble::Problem(problem)) if !problem.is_temporary() => {
                    return Err(Trouble::Problem(problem).into());
                }
                Err(Trouble::Unusable(why)) => return Err(Failure::other(why)),
                Err(trouble) if tries == 4 => return Err(trouble.into()),
                Err(trouble) => {
                    let asked = match trouble {
                        Trouble::Problem(problem) => problem.retry_after.unwrap_or_default(),
                        _ => Default::default(),
                    };
                    std::thread::sleep(
                        asked.max(std::time::Duration::from_millis(100 << tries)).min(log::LONGEST_WAIT),
                    );
                    tries += 1;
                }
            }
        }
    }
}

fn server(args: &VerifyArgs, tenant: &str, pinned: Option<&VerifyingKey>) -> Result<String, Failure> {
    let client = Client::new(&args.connect)?;
    let state = match &args.state {
        Some(path) => path.clone(),
        None => state::default_path(client.base(), tenant)?,
    };
    let source = Published { client: &client, prefix: format!("/t/{}/log", encode(tenant)) };
    let remembered = state::read(&state)?;
    let key = match pinned {
        Some(key) => key.clone(),
        None => offered_key(&source, tenant, remembered.as_ref().map(|seen| &seen.key))?,
    };
    let Some(signed) = source.get("checkpoint")? else {
        return Err(missing(remembered.is_some(), tenant, "checkpoint"));
    };
    let checkpoint = log::open_checkpoint(&signed, &key, tenant)?;
    let bar = progress(checkpoint.size);
    let checked = log::check(&source, &checkpoint, remembered.as_ref().map(|seen| &seen.checkpoint), &|entries| {
        bar.set_position(entries)
    });
    bar.finish_and_clear();
    let checked = match checked {
        Ok(checked) => checked,
        Err(failure) => {
            if remembered.is_some_and(|seen| log::contradict(&seen.checkpoint, &checkpoint)) {
                let kept = state::keep_contradiction(&state, &signed)?;
                note(&format!(
                    "the checkpoint that contradicts {} is kept in {}: together they prove it",
                    state.display(),
                    kept.display()
                ));
            }
            return Err(failure);
        }
    };
    state::write(&state, &key, &signed)?;
    let trust = match pinned {
        Some(_) => "the key given",
        None if checked.earlier.is_some() => "the key remembered",
        None => "the key the server itself gave (pin it with --vkey)",
    };
    Ok(format!("{}; signed by {trust}, {}", checked.sentence(tenant), key.vkey()))
}

/// The key that the server shows, which must be the one it showed before.
fn offered_key(source: &impl Source, tenant: &str, before: Option<&VerifyingKey>) -> Result<VerifyingKey, Failure> {
    let Some(bytes) = source.get("vkey")? else { return Err(missing(before.is_some(), tenant, "vkey")) };
    let text = String::from_utf8_lossy(&bytes);
    let key = VerifyingKey::parse(text.trim())
        .map_err(|e| Failure::integrity(format!("the server's vkey is unusable: {e}")))?;
    match before {
        Some(before) if *before != key => Err(Failure::integrity(format!(
            "the server now shows the key {}, before it was {}; if the change was announced, check with --vkey and the new key",
            key.vkey(),
            before.vkey()
        ))),
        _ => Ok(key),
    }
}

/// What is not there: a ledger that was there before has vanished, one that never was is not found.
fn missing(seen_before: bool, tenant: &str, what: &str) -> Failure {
    if seen_before {
        return Failure::integrity(format!("the ledger of {tenant} was there before and now has no {what}"));
    }
    Failure::new(Exit::NotFound, format!("the server has no ledger of {tenant} (no {what})"))
}

fn progress(entries: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {human_pos} of {human_len} entries, {per_sec}, {eta} left");
    if !bars_wanted() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(entries), ProgressDrawTarget::stderr());
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

#[cfg(test)]
mod tests;
