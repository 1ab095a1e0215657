//! Which crate may use which.
//!
//! Two rules: our own crates only along the arrows of [`ARROWS`], and libraries that would give a crate a job that
//! is another's are kept out of it ([`BANS`], [`HOMES`]). Development dependencies are exempt: a test may look at
//! anything. Optional and per-system dependencies are not.

use serde_json::Value;
use std::collections::BTreeSet;

/// Our crates, lowest first, and which others of ours each may use. A crate that is not here fails.
const ARROWS: &[(&str, &[&str])] = &[
    ("sha", &[]),
    ("event", &["sha"]),
    ("merkle", &["sha"]),
    ("disk", &[]),
    ("testdisk", &["disk"]),
    ("catalog", &["disk"]),
    ("xtask", &[]),
    ("ledger", &["merkle", "disk"]),
    ("systems", &["event"]),
    ("segments", &["ledger", "catalog", "merkle", "event", "disk"]),
    ("delivery", &["ledger", "catalog", "event"]),
    ("store", &["segments", "ledger", "catalog", "merkle", "event", "disk"]),
    ("query", &["store", "segments", "ledger", "catalog", "merkle", "event"]),
    ("server", &["query", "store", "ledger", "catalog", "systems", "merkle", "event"]),
    ("cli", &["event", "merkle", "catalog", "ledger", "systems", "segments", "delivery", "store", "query", "server"]),
];

/// What opens files and sockets, reads the clock, or rolls dice.
const OUTSIDE_WORLD: &[&str] = &[
    "async-std",
    "axum",
    "getrandom",
    "hyper",
    "libc",
    "memmap2",
    "mio",
    "nix",
    "object_store",
    "rand",
    "reqwest",
    "rusqlite",
    "rustix",
    "socket2",
    "tempfile",
    "tokio",
    "walkdir",
];
const ARROW: &[&str] = &["arrow", "parquet", "datafusion"];
const HTTP_SERVER: &[&str] = &["axum", "hyper", "tower-http", "async-graphql", "utoipa"];

/// Libraries kept out of a crate, and why. A name also stands for its family: `arrow` for `arrow-array`.
const BANS: &[(&str, &[&str], &str)] = &[
    ("event", OUTSIDE_WORLD, "it is pure: bytes and the caller's clock in, bytes out"),
    ("event", ARROW, "it must build in seconds"),
    ("merkle", OUTSIDE_WORLD, "it is pure: bytes in, verdict out"),
    ("merkle", ARROW, "it must build in seconds"),
    ("ledger", ARROW, "rows are bytes to the journal, and it must build in seconds"),
    ("ledger", HTTP_SERVER, "HTTP is the server's"),
    ("catalog", ARROW, "rows are never in the catalog, and it must build in seconds"),
    ("catalog", HTTP_SERVER, "HTTP is the server's"),
    ("segments", &["datafusion"], "queries are `query`'s"),
    ("segments", HTTP_SERVER, "HTTP is the server's"),
    ("store", &["datafusion"], "queries are `query`'s"),
    ("store", HTTP_SERVER, "HTTP is the server's"),
    ("query", HTTP_SERVER, "HTTP is the server's"),
    ("systems", HTTP_SERVER, "HTTP is the server's"),
    ("delivery", HTTP_SERVER, "HTTP is the server's"),
    ("server", &["parquet", "datafusion"], "it speaks `query`'s types"),
];

/// Heavy libraries that live in one crate.
const HOMES: &[(&str, &str)] = &[("datafusion", "query"), ("parquet", "segments"), ("rusqlite", "catalog")];

/// Checks the workspace.
///
/// # Errors
/// Every arrow that is not allowed, one a line.
pub(crate) fn run(metadata: &Value) -> Result<String, String> {
    let wrong = check(metadata)?;
    if wrong.is_empty() {
        return Ok(format!("deps: {} crates, every arrow allowed", packages(metadata)?.len()));
    }
    Err(format!("deps: {} not allowed\n  {}", wrong.len(), wrong.join("\n  ")))
}

fn packages(metadata: &Value) -> Result<&Vec<Value>, String> {
    metadata["packages"].as_array().ok_or_else(|| "`cargo metadata` names no packages".to_owned())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn check(metadata: &Value) -> Result<Vec<String>, String> {
    let packages = packages(metadata)?;
    let ours: BTreeSet<&str> = packages.iter().map(|p| text(p, "name")).collect();
    let mut wrong = Vec::new();
    for package in packages {
        let name = text(package, "name");
        let Some((_, allowed)) = ARROWS.iter().find(|(n, _)| *n == name) else {
            wrong.push(format!(
                "{name}: a crate that the list in xtask/src/deps.rs does not know; say there what it may use"
            ));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            if text(dependency, "kind") == "dev" {
                continue;
            }
            let used = text(dependency, "name");
            if ours.contains(used) || ARROWS.iter().any(|(n, _)| *n == used && !dependency["path"].is_null()) {
                if !allowed.contains(&used) {
                    wrong.push(format!("{name} -> {used}: {}", advice(allowed)));
                }
                continue;
            }
            let ban = BANS.iter().find(|(n, list, _)| *n == name && list.iter().any(|b| is_of(used, b)));
            if let Some((.., why)) = ban {
                wrong.push(format!("{name} -> {used}: {why}"));
            } else if let Some((_, home)) = HOMES.iter().find(|(heavy, home)| is_of(used, heavy) && *home != name) {
                wrong.push(format!(
                    "{name} -> {used}: lives in `{home}` only, so that the other crates build without it"
                ));
            }
        }
    }
    Ok(wrong)
}

fn advice(allowed: &[&str]) -> String {
    match allowed {
        [] => "it may use no crate of ours".to_owned(),
        list => format!("of ours it may use only {}", list.join(", ")),
    }
}

/// Whether a library is the named one or of its family.
fn is_of(used: &str, banned: &str) -> bool {
    used.strip_prefix(banned).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A made-up workspace: crates with what they use, as `name`, `name!dev`, `name!build` or `name!optional`.
    fn workspace(crates: &[(&str, &[&str])]) -> Value {
        let packages: Vec<Value> = crates
            .iter()
            .map(|(name, uses)| {
                let dependencies: Vec<Value> = uses
                    .iter()
                    .map(|used| {
                        let (used, how) = used.split_once('!').unwrap_or((used, ""));
                        let kind = Some(how).filter(|how| ["dev", "build"].contains(how));
                        json!({ "name": used, "kind": kind, "optional": how == "optional", "path": null, "rename": null })
                    })
                    .collect();
                json!({ "name": name, "dependencies": dependencies })
            })
            .collect();
        json!({ "packages": packages })
    }

    fn found(crates: &[(&str, &[&str])]) -> Vec<String> {
        let wrong = check(&workspace(crates)).unwrap();
        wrong.iter().map(|line| line.split(':').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn what_the_design_allows_passes() {
        let none: Vec<String> = Vec::new();
        assert_eq!(
            found(&[
                ("event", &["sha2", "regex"]),
                ("merkle", &["ed25519-dalek"]),
                ("catalog", &["rusqlite"]),
                ("ledger", &["merkle", "rustix"]),
                ("segments", &["ledger", "catalog", "merkle", "event", "arrow", "parquet"]),
                ("query", &["segments", "ledger", "event", "datafusion", "arrow"]),
                ("server", &["query", "ledger", "catalog", "merkle", "event", "axum"]),
                ("cli", &["server", "query", "segments", "ledger", "catalog", "merkle", "event", "tokio"]),
            ]),
            none
        );
    }

    #[test]
    fn an_arrow_against_the_current_is_named() {
        let low: &[(&str, &[&str])] = &[("event", &["merkle"]), ("merkle", &[]), ("ledger", &["event"])];
        assert_eq!(found(low), ["event -> merkle", "ledger -> event"]);
        let high: &[(&str, &[&str])] =
            &[("cli", &[]), ("query", &["server"]), ("server", &["segments", "cli"]), ("segments", &[])];
        assert_eq!(found(high), ["query -> server", "server -> segments", "server -> cli"]);
    }

    #[test]
    fn libraries_stay_where_they_belong() {
        let crates: &[(&str, &[&str])] = &[
            ("event", &["tokio"]),
            ("merkle", &["getrandom"]),
            ("ledger", &["arrow-array", "axum"]),
            ("catalog", &["datafusion-common"]),
            ("segments", &["datafusion"]),
            ("query", &["axum", "parquet"]),
            ("server", &["datafusion", "parquet"]),
            ("cli", &["rusqlite"]),
        ];
        let want = [
            "event -> tokio",
            "merkle -> getrandom",
            "ledger -> arrow-array",
            "ledger -> axum",
            "catalog -> datafusion-common",
            "segments -> datafusion",
            "query -> axum",
            "query -> parquet",
            "server -> datafusion",
            "server -> parquet",
            "cli -> rusqlite",
        ];
        assert_eq!(found(crates), want);
    }

    #[test]
    fn tests_may_use_anything_builds_and_options_may_not() {
        let crates: &[(&str, &[&str])] = &[
            ("event", &["tokio!dev", "merkle!dev"]),
            ("merkle", &["tokio!build", "rand!optional"]),
            ("xtask", &["event"]),
        ];
        assert_eq!(found(crates), ["merkle -> tokio", "merkle -> rand", "xtask -> event"]);
    }

    #[test]
    fn a_crate_nobody_listed_fails() {
        assert_eq!(found(&[("helpers", &["event"])]), ["helpers"]);
    }

    #[test]
    fn a_family_is_not_a_prefix() {
        assert!(is_of("arrow", "arrow") && is_of("arrow-ipc", "arrow") && is_of("arrow_x", "arrow"));
        assert!(!is_of("arrowhead", "arrow") && !is_of("hyperfine", "hyper"));
    }

    #[test]
    fn the_list_has_no_circle() {
        // Lowest first: a crate may only use those above it in the list.
        for (n, (name, uses)) in ARROWS.iter().enumerate() {
            for used in *uses {
                assert!(ARROWS[..n].iter().any(|(earlier, _)| earlier == used), "{name} -> {used}");
            }
        }
    }
}
