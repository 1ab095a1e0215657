//! Tenants and keys: thin wrappers over the API.
//!
//! Owns the commands' words. A new key is shown once: it goes to stdout alone, or into a file that only its
//! owner can read.

use std::io::Write as _;
use std::path::PathBuf;

use serde_json::value::RawValue;
use ureq::http::Method;

use super::http::{Ask, Client, Trouble, parse, tenant_path};
use super::interrupt::Stop;
use super::output::{Console, Format, Items, Ordered, OutputArgs, plain, pretty};
use super::{Connect, Exit, Failure, Outcome, note};

/// List the tenants that the key may see
#[derive(Debug, Clone, clap::Args)]
pub struct TenantsArgs {
    /// How to write the result.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Which server.
    #[command(flatten)]
    pub connect: Connect,
}

/// Make a tenant, or change its settings
#[derive(Debug, Clone, clap::Args)]
pub struct TenantArgs {
    /// What to do
    #[command(subcommand)]
    pub command: TenantCommand,
}

/// What can be done with a tenant.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum TenantCommand {
    /// Make a tenant (administrator's key)
    Create {
        /// Its name: lower-case letters, digits and -
        tenant: String,
        /// Settings as a JSON object, in place of those it has; without this, those of a tenant that is there stay
        #[arg(long, value_name = "JSON")]
        settings: Option<String>,
        /// Which server.
        #[command(flatten)]
        connect: Connect,
    },
}

/// Make, list and revoke keys
#[derive(Debug, Clone, clap::Args)]
pub struct KeyArgs {
    /// What to do
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// What can be done with keys.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum KeyCommand {
    /// Make a key; it is shown this one time
    Create {
        /// Tenant that the key opens
        tenant: String,
        /// What the key is for
        #[arg(long)]
        name: String,
        /// What it may do; may be given several times
        #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',',
              value_parser = ["write", "read", "read_body", "export", "restore", "revoke", "admin"])]
        scopes: Vec<String>,
        /// Write the key into this new file, readable by its owner only, instead of to stdout
        #[arg(long, value_name = "FILE")]
        out_file: Option<PathBuf>,
        /// Write the server's whole answer
        #[arg(long)]
        json: bool,
        /// Which server.
        #[command(flatten)]
        connect: Connect,
    },
    /// List a tenant's keys, without their values
    List {
        /// Tenant
        tenant: String,
        /// How to write the result.
        #[command(flatten)]
        output: OutputArgs,
        /// Which server.
        #[command(flatten)]
        connect: Connect,
    },
    /// Revoke a key at once
    Revoke {
        /// Tenant
        tenant: String,
        /// Id of the key, as `key list` shows it
        id: String,
        /// Which server.
        #[command(flatten)]
        connect: Connect,
    },
}

/// `indelible tenants`.
///
/// # Errors
/// The server's no, or a failed write.
pub fn run_tenants(args: &TenantsArgs) -> Outcome {
    Stop::at_once();
    list(&Client::new(&args.connect)?, "/v1/t", args.output.format(), &mut Console::stdout())
}

/// `indelible tenant …`.
///
/// # Errors
/// The server's no.
pub fn run_tenant(args: &TenantArgs) -> Outcome {
    Stop::at_once();
    let TenantCommand::Create { tenant, settings, connect } = &args.command;
    create_tenant(&Client::new(connect)?, tenant, settings.as_deref())
}

fn create_tenant(client: &Client, tenant: &str, settings: Option<&str>) -> Outcome {
    // What is put in the place of settings takes away redaction rules, and what is stored without them cannot be taken back.
    let put = match settings {
        Some(settings) => Some(settings),
        None => match client.call(&Ask::get(tenant_path(tenant, &[]))) {
            Ok(_) => None,
            Err(Trouble::Problem(problem)) if problem.status == 404 => Some("{}"),
            Err(trouble) => return Err(trouble.into()),
        },
    };
    if let Some(settings) = put {
        if !serde_json::from_str::<serde_json::Value>(settings).is_ok_and(|value| value.is_object()) {
            return Err(Failure::new(Exit::Usage, "--settings takes a JSON object, such as {}"));
        }
        client.call(&Ask::json(Method::PUT, tenant_path(tenant, &[]), settings))?;
    }
    note(&format!(
        "tenant {tenant} is there; make a key for it with: indelible key create {tenant} --name NAME --scope write"
    ));
    Ok(Exit::Ok)
}

/// `indelible key …`.
///
/// # Errors
/// The server's no, or a failed write.
pub fn run_key(args: &KeyArgs) -> Outcome {
    Stop::at_once();
    let console = &mut Console::stdout();
    match &args.command {
        KeyCommand::Create { tenant, name, scopes, out_file, json, connect } => {
            // Made first: a key that cannot be kept must not be made.
            let file = out_file.as_ref().map(new_secret_file).transpose()?;
            let made = create_key(&Client::new(connect)?, tenant, name, scopes, *json, file, console);
            if let (Err(_), Some(path)) = (&made, out_file) {
                let _ = std::fs::remove_file(path);
            }
            made
        }
        KeyCommand::List { tenant, output, connect } => {
            list(&Client::new(connect)?, &tenant_path(tenant, &["keys"]), output.format(), console)
        }
        KeyCommand::Revoke { tenant, id, connect } => {
            let ask = Ask { method: Method::DELETE, ..Ask::get(tenant_path(tenant, &["keys", id])) };
            Client::new(connect)?.call(&ask)?;
            note(&format!("key {id} of {tenant} is revoked"));
            Ok(Exit::Ok)
        }
    }
}

fn new_secret_file(path: &PathBuf) -> Result<std::fs::File, Failure> {
    let mut options = std::fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.write(true).create_new(true).open(path).map_err(|e| Failure::file("create", path, &e))
}

fn create_key(
    client: &Client,
    tenant: &str,
    name: &str,
    scopes: &[String],
    json: bool,
    file: Option<std::fs::File>,
    console: &mut Console<'_>,
) -> Outcome {
    let path = tenant_path(tenant, &["keys"]);
    let body = serde_json::json!({"name": name, "scopes": scopes}).to_string();
    let text = client.call(&Ask::json(Method::POST, &path, &body))?.text()?;
    let answer: Ordered = parse(&text, &path)?;
    let key = answer.plain("key").ok_or_else(|| Failure::other("the server's answer holds no key"))?;
    let shown = if json { pretty(&text) } else { key };
    let id = answer.plain("id").unwrap_or_default();
    match file {
        Some(mut file) => {
            let write = writeln!(file, "{shown}").and_then(|()| file.sync_all());
            write.map_err(|e| Failure::other(format!("key {id} was made but could not be kept ({e}); revoke it")))?;
            note(&format!("key {id} may {}; use it through INDELIBLE_KEY_FILE", scopes.join(", ")));
        }
        None => {
            console.line(shown)?;
            console.flush()?;
            note(&format!("key {id} may {}; it is not shown again", scopes.join(", ")));
        }
    }
    Ok(Exit::Ok)
}

/// Lists what the server answers: a list, or the first list in an object.
pub(super) fn list(client: &Client, path: &str, format: Format, console: &mut Console<'_>) -> Outcome {
    let text = client.call(&Ask::get(path))?.text()?;
    let raw: &RawValue = parse(&text, path)?;
    let members = Ordered::read(raw.get());
    let found = members.0.iter().map(|(_, value)| value.get()).find(|value| value.starts_with('['));
    let items: Vec<&RawValue> = parse(found.unwrap_or(raw.get()), path)?;
    // A list of names is shown as a column of names.
    let named: Vec<Box<RawValue>> = items
        .iter()
        .filter(|item| item.get().starts_with('"') && format != Format::Json && format != Format::Jsonl)
        .filter_map(|item| RawValue::from_string(format!("{{\"name\":{}}}", item.get())).ok())
        .collect();
    let items = if named.is_empty() { items } else { named.iter().map(AsRef::as_ref).collect() };
    let mut written = Items::new(console, format)?;
    written.page(&items)?;
    written.finish()?;
    if let Some(next) = members.get("next_cursor").map(plain).filter(|next| !next.is_empty()) {
        note(&format!("there are more, after the cursor {next}"));
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::testing::{Asked, Fake, connect};

    fn fake() -> (Fake, Client) {
        let fake = Fake::new(|asked: &Asked| match (asked.method.as_str(), asked.path.as_str()) {
            ("PUT", "/v1/t/acme") => (201, "{}".to_owned()),
            ("GET", "/v1/t/beta") => (200, "{}".to_owned()),
            ("POST", "/v1/t/acme/keys") => (201, r#"{"id":"k1","key":"ind_k1_secret","scopes":["read"]}"#.to_owned()),
            ("GET", "/v1/t/acme/keys") => (200, r#"{"items":[{"id":"k1","name":"n","scopes":["read"]}]}"#.to_owned()),
            ("GET", "/v1/t") => (200, r#"{"tenants":["acme","beta"]}"#.to_owned()),
            ("DELETE", "/v1/t/acme/keys/k1") => (204, String::new()),
            _ => (404, String::new()),
        });
        let client = Client::new(&connect(&fake.url)).unwrap();
        (fake, client)
    }

    #[test]
    fn keys_are_made_and_shown_once() {
        let (fake, client) = fake();
        let mut out = Vec::new();
        let made = create_key(&client, "acme", "n", &["read".into()], false, None, &mut Console::to(&mut out));
        assert_eq!(made, Ok(Exit::Ok));
        assert_eq!(out, b"ind_k1_secret\n");
        assert_eq!(fake.asked()[0].text(), r#"{"name":"n","scopes":["read"]}"#);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let file = new_secret_file(&path).unwrap();
        let mut out = Vec::new();
        create_key(&client, "acme", "n", &["read".into()], false, Some(file), &mut Console::to(&mut out)).unwrap();
        assert!(out.is_empty());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "ind_k1_secret\n");
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(new_secret_file(&path).is_err(), "an existing file is never overwritten");
    }

    #[test]
    fn lists_are_found_wherever_they_stand() {
        let (_fake, client) = fake();
        let of = |path: &str, format| {
            let mut out = Vec::new();
            list(&client, path, format, &mut Console::to(&mut out)).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(of("/v1/t", Format::Table), "NAME\nacme\nbeta\n");
        assert_eq!(of("/v1/t", Format::Jsonl), "\"acme\"\n\"beta\"\n");
        assert_eq!(of("/v1/t/acme/keys", Format::Table), "ID  NAME  SCOPES\nk1  n     [\"read\"]\n");
    }

    #[test]
    fn tenants_and_revocation() {
        let (fake, client) = fake();
        assert_eq!(create_tenant(&client, "acme", Some("{\"a\":1}")), Ok(Exit::Ok));
        assert_eq!(create_tenant(&client, "acme", Some("[]")).unwrap_err().exit, Exit::Usage);
        assert_eq!(create_tenant(&client, "acme", None), Ok(Exit::Ok));
        assert_eq!(create_tenant(&client, "beta", None), Ok(Exit::Ok));
        let asked: Vec<_> = fake.asked().iter().map(|a| (a.method.clone(), a.path.clone(), a.text())).collect();
        let put = |path: &str, text: &str| ("PUT".to_owned(), path.to_owned(), text.to_owned());
        let puts: Vec<_> = asked.into_iter().filter(|(method, ..)| method == "PUT").collect();
        // One that is not there is made; one that is keeps its settings.
        assert_eq!(puts, [put("/v1/t/acme", "{\"a\":1}"), put("/v1/t/acme", "{}")]);
        let revoke = |id: &str| {
            run_key(&KeyArgs {
                command: KeyCommand::Revoke { tenant: "acme".into(), id: id.into(), connect: connect(&fake.url) },
            })
        };
        assert_eq!(revoke("k1"), Ok(Exit::Ok));
        assert_eq!(revoke("k2").unwrap_err().exit, Exit::NotFound);
    }
}
