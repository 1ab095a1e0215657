//! A saved proof, as `indelible verify FILE` checks it.

#[path = "../../crates/cli/src/client/verify/entry.rs"]
mod entry;
#[path = "../../crates/cli/src/client/verify/file.rs"]
pub mod file;
#[path = "../../crates/cli/src/client/verify/parts.rs"]
mod parts;

/// Compares parts, in any number and cut anywhere, with a record.
pub fn compare(parts: &[(String, Option<Vec<u8>>)], record: &serde_json::Map<String, serde_json::Value>) -> bool {
    parts::compare(parts, record).is_ok()
}
