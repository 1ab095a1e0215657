//! Generated files that are committed: made by the program itself, compared by CI.

use serde_json::Value;
use std::path::Path;

/// File, and the arguments of `indelible` that print it.
const FILES: &[(&str, &[&str])] = &[("api/openapi.json", &["openapi"])];
const BINARY: &str = "indelible";

/// Writes the generated files, or with `check` only says whether they are up to date.
///
/// # Errors
/// The files that are out of date, or why one could not be made.
pub(crate) fn run(root: &Path, metadata: &Value, check: bool) -> Result<String, String> {
    let Some(package) = binary_package(metadata) else {
        return Ok(format!("gen: the workspace has no `{BINARY}` binary yet, nothing to generate"));
    };
    let mut said = Vec::new();
    let mut stale = Vec::new();
    for (file, args) in FILES {
        let path = root.join(file);
        let old = match std::fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => return Err(format!("could not read {file}: {e}")),
        };
        let run = ["run", "--quiet", "--package", package, "--bin", BINARY, "--"];
        let new = match crate::output(crate::cargo().args(run).args(*args)) {
            Ok(new) => tidy(new),
            // A command that does not exist yet is no reason to fail, until its file is committed.
            Err(e) if check && old.is_none() => {
                said.push(format!("gen: {file} is not made yet ({})", e.lines().next().unwrap_or_default()));
                continue;
            }
            Err(e) => return Err(format!("gen: could not make {file}: {e}")),
        };
        if old.as_ref() == Some(&new) {
            said.push(format!("gen: {file} is up to date"));
        } else if check {
            stale.push(*file);
        } else {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(|e| format!("could not make the folder of {file}: {e}"))?;
            }
            std::fs::write(&path, &new).map_err(|e| format!("could not write {file}: {e}"))?;
            said.push(format!("gen: wrote {file}"));
        }
    }
    if stale.is_empty() {
        return Ok(said.join("\n"));
    }
    Err(format!("gen: out of date: {}; run `cargo xtask gen` and commit what it writes", stale.join(", ")))
}

/// Exactly one line end at the end, so that editors and git have nothing to add.
fn tidy(mut text: Vec<u8>) -> Vec<u8> {
    while text.last().is_some_and(u8::is_ascii_whitespace) {
        text.pop();
    }
    text.push(b'\n');
    text
}

fn binary_package(metadata: &Value) -> Option<&str> {
    let is_binary = |target: &Value| {
        target["name"] == BINARY && target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|k| k == "bin"))
    };
    metadata["packages"]
        .as_array()?
        .iter()
        .find(|p| p["targets"].as_array().is_some_and(|targets| targets.iter().any(is_binary)))?["name"]
        .as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_binary_is_found_by_name_and_kind() {
        let target =
            |kind: &str| json!({ "packages": [{ "name": "cli", "targets": [{ "name": BINARY, "kind": [kind] }] }] });
        assert_eq!(binary_package(&target("bin")), Some("cli"));
        assert_eq!(binary_package(&target("lib")), None);
        assert_eq!(binary_package(&json!({})), None);
    }

    #[test]
    fn files_end_in_one_line_end() {
        assert_eq!(tidy(b"{}".to_vec()), b"{}\n");
        assert_eq!(tidy(b"{}\n \n".to_vec()), b"{}\n");
    }
}
