//! The server's configuration: a TOML file, then the environment, then flags; later ones win.
//!
//! Environment names are `INDELIBLE_` and the setting in upper case: `INDELIBLE_LISTEN`. Unknown settings in
//! the file are errors; unknown names in the environment, which may be somebody else's, are warned of. Checks, by number:
//!
//! 1. `listen` is an address and a port.
//! 2. `host` makes a valid key name: no spaces, no `+`.
//! 3. `flush_mib` is at least 1 and less than `tail_mib`; `tail_mib` is at most 65536.
//! 4. `compaction_share` is from 0.01 to 1.
//! 5. `checkpoint_ms` is from 100 to 60000.
//! 6. `max_connections` is from 16 to 1000000, `connections_per_address` from 1 to that, `client_seconds` and `query_seconds` from 1 to
//!    3600.
//! 7. `scrub_share` is from 0 to 1, `scrub_hours` from 0.0001 to 8784 (a year).

use crate::Done;
use crate::client::{Exit, Failure};
use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object per line.
    Json,
}

/// Every setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The data folder.
    pub data: PathBuf,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Host in the names of ledgers and their keys. Must not change once records are there.
    pub host: String,
    /// Where the high-water mark is kept; beside the data folder if absent. Best on another disk.
    pub high_water: Option<PathBuf>,
    /// Proxies whose `X-Request-Id` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Proxy for what the server reads from others, such as `http://proxy.example:3128`; straight there if absent.
    pub outbound_proxy: Option<String>,
    /// PEM file of the certificate authorities that others are believed by; the public ones if absent.
    pub outbound_ca_file: Option<PathBuf>,
    /// Whether checkpoints, tiles and entries are served without a key.
    pub public_ledger: bool,
    /// Connections at the same time; more are refused with 503.
    pub max_connections: usize,
    /// Of them those of one address, loopback too; three quarters for any but loopback if absent. Not of `trusted_proxies`.
    pub connections_per_address: Option<usize>,
    /// Seconds a client may take to send a header or a body, to take any byte of an answer, and to ask again.
    pub client_seconds: u64,
    /// Seconds that a page, a count or a look-up may take.
    pub query_seconds: u64,
    /// MiB of records in memory that make a segment due.
    pub flush_mib: usize,
    /// Seconds after which a segment is due, however few records there are.
    pub flush_seconds: u64,
    /// MiB of records in memory beyond which writers are told to wait.
    pub tail_mib: usize,
    /// Share of one core that merging segments may take.
    pub compaction_share: f64,
    /// Share of one core that reading everything stored again may take; 0 turns it off.
    pub scrub_share: f64,
    /// Hours between two passes of that.
    pub scrub_hours: f64,
    /// Milliseconds between checkpoints of a growing ledger.
    pub checkpoint_ms: u64,
    /// How logs are written.
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug, or a filter such as `info,server=debug`.
    pub log_level: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            data: PathBuf::from("indelible-data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 7440)),
            host: "localhost".into(),
            high_water: None,
            trusted_proxies: Vec::new(),
            outbound_proxy: None,
            outbound_ca_file: None,
            public_ledger: true,
            max_connections: 10_240,
            connections_per_address: None,
            client_seconds: 60,
            query_seconds: 30,
            flush_mib: 128,
            flush_seconds: 300,
            tail_mib: 1024,
            compaction_share: 0.25,
            scrub_share: 0.05,
            scrub_hours: 24.0,
            checkpoint_ms: 1000,
            log_format: LogFormat::Human,
            log_level: "info".into(),
        }
    }
}

/// Flags that every command about the server's settings takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Flags {
    /// The data folder [default: indelible-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:7440]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Configuration file (TOML)
    #[arg(long, env = "INDELIBLE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Host in the names of ledgers [default: localhost]
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// How logs are written
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
}

/// Show or check the configuration.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether the configuration is usable
    Check(Flags),
    /// Print every setting in force, as TOML, with where it comes from
    Show(Flags),
}

/// `indelible config …`.
///
/// # Errors
/// A configuration that cannot be used.
pub fn run(args: &ConfigArgs) -> Done {
    match &args.command {
        ConfigCommand::Check(flags) => {
            load(flags)?;
            unknown_in_environment().iter().for_each(|line| crate::client::note(&format!("warning: {line}")));
            crate::client::note("the configuration is usable");
            Ok(())
        }
        ConfigCommand::Show(flags) => {
            let settings = load(flags)?;
            let given = sources(flags)?;
            let value = serde_json::to_value(&settings).map_err(|e| Failure::other(e.to_string()))?;
            let mut out = String::new();
            for (name, value) in value.as_object().into_iter().flatten() {
                let from = given.iter().rev().find(|(n, _)| n == name).map_or("default", |(_, from)| from);
                // TOML has no word for nothing.
                match value.is_null() {
                    true => out.push_str(&format!("# {name} is not set\n")),
                    false => out.push_str(&format!("{name} = {value}  # {from}\n")),
                }
            }
            crate::print(&out)
        }
    }
}

const NAMES: [&str; 21] = [
    "data",
    "listen",
    "host",
    "high_water",
    "trusted_proxies",
    "outbound_proxy",
    "outbound_ca_file",
    "public_ledger",
    "max_connections",
    "connections_per_address",
    "client_seconds",
    "query_seconds",
    "flush_mib",
    "flush_seconds",
    "tail_mib",
    "compaction_share",
    "scrub_share",
    "scrub_hours",
    "checkpoint_ms",
    "log_format",
    "log_level",
];

fn environment(name: &str) -> Option<String> {
    std::env::var(format!("INDELIBLE_{}", name.to_uppercase())).ok().filter(|v| !v.is_empty())
}

/// Names in the environment besides those of [`NAMES`], of this and the client's half of the program.
const OTHERS: [&str; 5] = ["config", "url", "key", "key_file", "ca_file"];

/// A sentence for each name in the environment that looks like one of ours and is none, never with its value.
pub fn unknown_in_environment() -> Vec<String> {
    unknown(std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()))
}

fn unknown(names: impl Iterator<Item = String>) -> Vec<String> {
    let known: Vec<String> = NAMES.iter().chain(&OTHERS).map(|name| name.to_uppercase()).collect();
    let mut out: Vec<String> = names
        .filter_map(|name| {
            let short = name.strip_prefix("INDELIBLE_").filter(|short| !known.iter().any(|known| known == short))?;
            // Kubernetes sets these in every pod beside a service of that name.
            if short.starts_with("SERVICE_") || short.starts_with("PORT_") {
                return None;
            }
            let upper = short.to_uppercase();
            let near = known.iter().map(|known| (systems::mapping::distance(&upper, known), known)).min();
            let near = near.filter(|(steps, _)| *steps <= 1 + short.chars().count() / 3);
            let hint = near.map_or_else(
                || "; `indelible config show` lists the settings".to_owned(),
                |(_, near)| format!("; did you mean `INDELIBLE_{near}`?"),
            );
            Some(format!("the environment variable `{name}` is none that is known, and does nothing{hint}"))
        })
        .collect();
    out.sort();
    out
}

fn flag_values(flags: &Flags) -> Vec<(&'static str, String)> {
    let path = |p: &Path| p.to_string_lossy().into_owned();
    let mut out = Vec::new();
    out.extend(flags.data.as_deref().map(|p| ("data", path(p))));
    out.extend(flags.listen.clone().map(|v| ("listen", v)));
    out.extend(flags.host.clone().map(|v| ("host", v)));
    out.extend(flags.log_format.map(|f| ("log_format", format!("{f:?}").to_lowercase())));
    out
}

/// Which settings were given, and where, later ones last.
fn sources(flags: &Flags) -> Result<Vec<(String, &'static str)>, Failure> {
    let mut out = Vec::new();
    if let Some(path) = &flags.config {
        let text = std::fs::read_to_string(path).map_err(|e| Failure::file("read", path, &e))?;
        out.extend(
            NAMES
                .iter()
                .filter(|n| text.lines().any(|l| l.trim_start().starts_with(*n)))
                .map(|n| ((*n).to_owned(), "file")),
        );
    }
    out.extend(NAMES.iter().filter(|n| environment(n).is_some()).map(|n| ((*n).to_owned(), "environment")));
    out.extend(flag_values(flags).into_iter().map(|(n, _)| (n.to_owned(), "flag")));
    Ok(out)
}

/// The settings in force.
///
/// # Errors
/// The first setting that is wrong, by name.
pub fn load(flags: &Flags) -> Result<Settings, Failure> {
    let usage = |e: String| Failure::new(Exit::Usage, e);
    let mut builder = config::Config::builder();
    if let Some(path) = &flags.config {
        builder = builder.add_source(config::File::from(path.as_path()).format(config::FileFormat::Toml));
    }
    for name in NAMES {
        if let Some(value) = environment(name) {
            builder = builder.set_override(name, listed(name, value)).map_err(|e| usage(e.to_string()))?;
        }
    }
    for (name, value) in flag_values(flags) {
        builder = builder.set_override(name, value).map_err(|e| usage(e.to_string()))?;
    }
    let settings: Settings = builder
        .build()
        .and_then(config::Config::try_deserialize)
        .map_err(|e| usage(format!("the configuration is not usable: {e}")))?;
    validate(&settings).map_err(usage)?;
    Ok(settings)
}

/// A list in the environment is separated by commas.
fn listed(name: &str, value: String) -> config::Value {
    if name == "trusted_proxies" {
        return value.split(',').map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()).collect::<Vec<_>>().into();
    }
    value.into()
}

fn validate(s: &Settings) -> Result<(), String> {
    if s.host.is_empty() || s.host.contains(char::is_whitespace) || s.host.contains('+') {
        return Err(format!("`host` is {:?}; it is a host name without spaces or `+`", s.host));
    }
    if s.flush_mib < 1 || s.flush_mib >= s.tail_mib || s.tail_mib > 65_536 {
        return Err(format!(
            "`flush_mib` is {} and `tail_mib` {}; flush_mib is at least 1 and less than tail_mib, which is at most 65536",
            s.flush_mib, s.tail_mib
        ));
    }
    if !(0.01..=1.0).contains(&s.compaction_share) {
        return Err(format!("`compaction_share` is {}; it is from 0.01 to 1", s.compaction_share));
    }
    if !(16..=1_000_000).contains(&s.max_connections) || !(1..=3600).contains(&s.client_seconds) {
        return Err(format!(
            "`max_connections` is {} and `client_seconds` {}; connections are from 16 to 1000000, the seconds from 1 to 3600",
            s.max_connections, s.client_seconds
        ));
    }
    if let Some(each) = s.connections_per_address
        && !(1..=s.max_connections).contains(&each)
    {
        return Err(format!(
            "`connections_per_address` is {each}; it is from 1 to `max_connections`, which is {}",
            s.max_connections
        ));
    }
    if !(1..=3600).contains(&s.query_seconds) {
        return Err(format!("`query_seconds` is {}; it is from 1 to 3600", s.query_seconds));
    }
    if !(0.0..=1.0).contains(&s.scrub_share) || !(0.0001..=8784.0).contains(&s.scrub_hours) {
        return Err(format!(
            "`scrub_share` is {} and `scrub_hours` {}; the share is from 0 to 1, the hours from 0.0001 to 8784",
            s.scrub_share, s.scrub_hours
        ));
    }
    if !(100..=60_000).contains(&s.checkpoint_ms) {
        return Err(format!("`checkpoint_ms` is {}; it is from 100 to 60000", s.checkpoint_ms));
    }
    Ok(())
}

impl Settings {
    /// The store's part.
    pub fn store(&self) -> store::Settings {
        store::Settings {
            host: self.host.clone(),
            flush_bytes: self.flush_mib << 20,
            flush_after: Duration::from_secs(self.flush_seconds),
            tail_bytes: self.tail_mib << 20,
            pool_bytes: 64 << 20,
            compaction_share: self.compaction_share,
            scrub_share: self.scrub_share,
            scrub_every: Duration::from_secs_f64(self.scrub_hours * 3600.0),
            checkpoint_every: Duration::from_millis(self.checkpoint_ms),
            ..store::Settings::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_settings() {
        let value = serde_json::to_value(Settings::default()).unwrap();
        let mut names: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        let mut listed: Vec<_> = NAMES.iter().map(|n| (*n).to_owned()).collect();
        names.sort();
        listed.sort();
        assert_eq!(names, listed);
    }

    #[test]
    fn a_name_in_the_environment_that_nobody_knows_is_named_with_the_nearest() {
        let said = |name: &str| unknown([name.to_owned()].into_iter());
        for (name, near) in [
            ("INDELIBLE_LISTNE", "did you mean `INDELIBLE_LISTEN`?"),
            ("INDELIBLE_FLUSH_MB", "did you mean `INDELIBLE_FLUSH_MIB`?"),
            ("INDELIBLE_KEYFILE", "did you mean `INDELIBLE_KEY_FILE`?"),
            ("INDELIBLE_listen", "did you mean `INDELIBLE_LISTEN`?"),
            ("INDELIBLE_", "config show"),
            ("INDELIBLE_SOMETHING_OF_MINE", "config show"),
        ] {
            let said = said(name);
            assert!(said.len() == 1 && said[0].contains(&format!("`{name}`")) && said[0].contains(near), "{said:?}");
        }
        for name in ["INDELIBLE_LISTEN", "INDELIBLE_KEY", "LISTNE", "INDELIBLE_SERVICE_HOST", "INDELIBLE_PORT_7440_TCP"]
        {
            assert!(said(name).is_empty(), "{name}");
        }
    }

    #[test]
    fn a_file_with_an_unknown_or_wrong_setting_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        for (text, word) in [
            ("flsh_mib = 3", "flsh_mib"),
            ("compaction_share = 7.0", "compaction_share"),
            ("max_connections = 3", "max_connections"),
            ("connections_per_address = 0", "connections_per_address"),
            ("max_connections = 20\nconnections_per_address = 21", "connections_per_address"),
            ("client_seconds = 0", "client_seconds"),
            ("query_seconds = 0", "query_seconds"),
            ("scrub_share = 2", "scrub_share"),
            ("scrub_hours = 0", "scrub_hours"),
            ("listen = \"here\"", "listen"),
            ("flush_mib = 1024", "flush_mib"),
        ] {
            std::fs::write(&path, text).unwrap();
            let e = load(&Flags { config: Some(path.clone()), ..Flags::default() }).unwrap_err();
            assert!(e.to_string().contains(word), "{e}");
        }
        std::fs::write(&path, "flush_mib = 3\nhost = \"a.example\"").unwrap();
        let s = load(&Flags { config: Some(path), host: Some("b.example".into()), ..Flags::default() }).unwrap();
        assert_eq!((s.flush_mib, s.host.as_str()), (3, "b.example"), "flags win over the file");
    }
}
