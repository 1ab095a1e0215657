//! `revoke`: end a session, withdraw a grant, or both for everything of a user.
//!
//! Owns the command's words and what its exit code says. What happens is the server's matter.

use std::time::Duration;

use ureq::http::Method;

use super::http::{Ask, Client, parse, query, tenant_path};
use super::interrupt::Stop;
use super::output::{Console, Ordered, pretty};
use super::{Connect, Exit, Outcome, note};

/// Seconds that the server is asked to hold its answer: longer than it waits for a source's word.
const WAIT: &str = "50";

/// End sessions and withdraw grants where they came from: `indelible revoke acme session ID`
#[derive(Debug, Clone, clap::Args)]
pub struct RevokeArgs {
    /// Tenant
    pub tenant: String,
    /// What the id is of; `user` means all sessions and all grants of that user
    #[arg(value_parser = ["session", "grant", "user"])]
    pub what: String,
    /// Id of the session, the grant or the user
    pub id: String,
    /// Say what would be hit and whom it would be told, and do nothing
    #[arg(long)]
    pub preview: bool,
    /// Do not wait until it is known how it ended
    #[arg(long, conflicts_with = "preview")]
    pub no_wait: bool,
    /// Which server.
    #[command(flatten)]
    pub connect: Connect,
}

/// `indelible revoke`.
///
/// # Errors
/// The server's no, or a failed write.
pub fn run_revoke(args: &RevokeArgs) -> Outcome {
    Stop::at_once();
    let client = Client::new(&args.connect)?;
    let console = &mut Console::stdout();
    let user = serde_json::json!({ "user_id": args.id }).to_string();
    let steps: &[(&[&str], &str)] = match args.what.as_str() {
        "session" => &[(&["sessions", &args.id, "revoke"], "{}")],
        "grant" => &[(&["grants", &args.id, "revoke"], "{}")],
        _ => &[(&["sessions", "revoke"], &user), (&["grants", "revoke"], &user)],
    };
    let mut worst = Exit::Ok;
    for (path, body) in steps {
        let exit = one(&client, args, path, body, console)?;
        // A failure is worse than what is not confirmed.
        if worst != Exit::Failure && exit != Exit::Ok {
            worst = exit;
        }
    }
    Ok(worst)
}

fn one(client: &Client, args: &RevokeArgs, path: &[&str], body: &str, console: &mut Console<'_>) -> Outcome {
    let wait = (!args.no_wait && !args.preview).then_some(WAIT);
    let asked = query(&[("preview", args.preview.then_some("true")), ("wait", wait)]);
    let path = format!("{}{asked}", tenant_path(&args.tenant, path));
    let ask = Ask { patience: Duration::from_secs(90), ..Ask::json(Method::POST, &path, body) };
    let text = client.call(&ask)?.text()?;
    let answer: Ordered = parse(&text, &path)?;
    console.line(pretty(&text))?;
    console.flush()?;
    if let Some(detail) = answer.plain("detail") {
        note(&detail);
    }
    Ok(match answer.plain("state").as_deref() {
        Some("failed") => Exit::Failure,
        Some("not_confirmed" | "not_confirmable") => Exit::Partial,
        _ => Exit::Ok,
    })
}
