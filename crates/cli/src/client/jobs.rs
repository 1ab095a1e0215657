//! `jobs`: the long work of a tenant, listed, shown, stopped, tried again.
//!
//! Owns the command's words. What a job is, and which may be stopped, is the server's matter.

use ureq::http::Method;

use super::admin::list;
use super::http::{Ask, Client, query, tenant_path};
use super::interrupt::Stop;
use super::output::{Console, OutputArgs, pretty};
use super::{Connect, Exit, Outcome};

/// List a tenant's jobs; show, cancel or retry one: `indelible jobs acme cancel ID`
#[derive(Debug, Clone, clap::Args)]
pub struct JobsArgs {
    /// Tenant
    pub tenant: String,
    /// What to do with one of them
    #[arg(value_parser = ["show", "cancel", "retry"], requires = "id")]
    pub what: Option<String>,
    /// Id of the job
    pub id: Option<String>,
    /// Go on behind this one, as a list says in its end
    #[arg(long, value_name = "CURSOR", conflicts_with = "what")]
    pub cursor: Option<String>,
    /// How to write the list.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Which server.
    #[command(flatten)]
    pub connect: Connect,
}

/// `indelible jobs`.
///
/// # Errors
/// The server's no, or a failed write.
pub fn run_jobs(args: &JobsArgs) -> Outcome {
    Stop::at_once();
    one_or_all(&Client::new(&args.connect)?, args, &mut Console::stdout())
}

fn one_or_all(client: &Client, args: &JobsArgs, console: &mut Console<'_>) -> Outcome {
    let (Some(what), Some(id)) = (&args.what, &args.id) else {
        let path = format!("{}{}", tenant_path(&args.tenant, &["jobs"]), query(&[("cursor", args.cursor.as_deref())]));
        return list(client, &path, args.output.format(), console);
    };
    let ask = match what.as_str() {
        "show" => Ask::get(tenant_path(&args.tenant, &["jobs", id])),
        what => Ask::json(Method::POST, tenant_path(&args.tenant, &["jobs", id, what]), ""),
    };
    console.line(pretty(&client.call(&ask)?.text()?))?;
    console.flush()?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::testing::{Asked, Fake};
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: JobsArgs,
    }

    #[test]
    fn each_word_is_one_request() {
        let fake = Fake::new(|asked: &Asked| match (asked.method.as_str(), asked.path.as_str()) {
            ("GET", "/v1/t/acme/jobs?cursor=j2") => (200, r#"{"items":[{"id":"j1","status":"failed"}]}"#.to_owned()),
            ("GET", "/v1/t/acme/jobs/j1") | ("POST", "/v1/t/acme/jobs/j1/retry") => (202, r#"{"id":"j1"}"#.to_owned()),
            ("POST", "/v1/t/acme/jobs/j1/cancel") => (409, r#"{"code":"job_status","detail":"it is over"}"#.to_owned()),
            _ => (404, String::new()),
        });
        let run = |words: &[&str]| {
            let mut out = Vec::new();
            let line = [&["jobs", "acme"], words, &["--url", &fake.url]].concat();
            let args = Line::parse_from(line).args;
            let client = Client::new(&args.connect).unwrap();
            let exit = one_or_all(&client, &args, &mut Console::to(&mut out)).map_err(|e| e.exit);
            (exit, String::from_utf8(out).unwrap())
        };
        let listed = run(&["--cursor", "j2", "-o", "table"]);
        assert_eq!(listed, (Ok(Exit::Ok), "ID  STATUS\nj1  failed\n".to_owned()));
        for what in ["show", "retry"] {
            let (exit, out) = run(&[what, "j1"]);
            assert!(exit == Ok(Exit::Ok) && out.contains("j1"), "{what}: {out}");
        }
        assert!(run(&["cancel", "j1"]).0.is_err());
        assert!(Line::try_parse_from(["jobs", "acme", "cancel"]).is_err(), "of which one?");
        assert!(Line::try_parse_from(["jobs", "acme", "stop", "j1"]).is_err());
    }
}
