//! What changed between two states of an entity, in the notation of json-diff 1.0.6.
//!
//! Owns: the notation, its key order, its array matching, and the bound on the work spent on matching.
//! Not here: deciding when a record has a diff, redaction, storage. Nothing is ever rebuilt from a diff:
//! the notation is ambiguous (`a__deleted` may be a real key), so both states are kept beside it.
//!
//! | part | does |
//! | --- | --- |
//! | `doc` | both JSON texts as one arena of nodes; equal values share a *class* |
//! | `plain` | the most usual differences, without the other three |
//! | `engine` | scores, pairs and writes; counts its work and turns positional when it has spent its budget |
//! | `sequence` | difflib's matcher over a sequence of numbers |
//!
//! The output is that of the library, byte for byte, save where the library contradicts itself:
//!
//! * Equal values are equal. The library finds differences between an array of arrays and itself once the
//!   inner arrays exceed ten elements, because an equal array scores 100 and a nearly equal one 10 per element.
//! * Keys and strings such as `__proto__`, `constructor` or `__next` are text like any other; the library trips
//!   over JavaScript's own properties of these names and prints `null` or nothing.

mod doc;
mod engine;
mod plain;
mod sequence;
#[cfg(test)]
mod tests;

use doc::{Docs, Node};
use engine::{BUDGET, Engine};

/// The difference between two states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// JSON text in the notation of json-diff: removed keys, then added, then changed.
    pub json: String,
    /// Whether some arrays were compared position by position because matching them took too long.
    pub positional: bool,
}

/// How much of what did not change is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: equal keys are left out, equal array elements are `[" "]`.
    #[default]
    Changes,
    /// Equal array elements are `[" ", value]` (json-diff's `keepUnchangedValues`).
    Elements,
    /// Equal keys and elements are both printed (json-diff's `full`).
    Everything,
}

/// The difference between two JSON texts, or `None` where they are equal.
///
/// # Errors
///
/// If either text is no JSON, or nests deeper than 127 levels.
pub fn diff(old: &str, new: &str) -> Result<Option<Diff>, serde_json::Error> {
    if old == new && !old.is_empty() {
        Docs::default().read(old, None)?;
        return Ok(None);
    }
    match plain::diff(old, new) {
        Some(json) => Ok(Some(Diff { json, positional: false })),
        None => run(old, new, Keep::Changes, None, BUDGET),
    }
}

/// [`diff`], for states that were redacted: a value of `new` whose JSON pointer `changed` answers `true` for is shown as
/// changed although its text is the same, so `{"__old":"***","__new":"***"}`. A pointer of more than 1,024 bytes is not asked
/// about.
///
/// # Errors
///
/// As [`diff`].
pub fn diff_with(old: &str, new: &str, changed: &dyn Fn(&str) -> bool) -> Result<Option<Diff>, serde_json::Error> {
    run(old, new, Keep::Changes, Some(changed), BUDGET)
}

/// [`diff`], printing also what did not change.
///
/// # Errors
///
/// As [`diff`].
pub fn diff_keeping(old: &str, new: &str, keep: Keep) -> Result<Option<Diff>, serde_json::Error> {
    run(old, new, keep, None, BUDGET)
}

fn run(
    old: &str,
    new: &str,
    keep: Keep,
    changed: Option<&dyn Fn(&str) -> bool>,
    budget: u64,
) -> Result<Option<Diff>, serde_json::Error> {
    let mut docs = Docs::with_capacity(old.len() + new.len());
    let old = docs.read(old, None)?;
    let new = docs.read(new, changed)?;
    if docs.equal(old, new) {
        return Ok(None);
    }
    let mut engine = Engine::new(&docs, keep, budget);
    let mut json = String::new();
    engine.write(old, new, &mut json);
    Ok(Some(Diff { json, positional: engine.positional() }))
}

/// The same diff with the marks as the monitoring guide prints them: `_old` and `_new`. Values inside the marks, and
/// text that is no JSON, stay as they are.
pub fn to_guide(json: &str) -> String {
    let mut docs = Docs::default();
    let Ok(root) = docs.read(json, None) else { return json.to_owned() };
    let mut out = String::with_capacity(json.len());
    guide(&docs, root, &mut out);
    out
}

/// Writes a node of a diff's skeleton: everything outside of `__old`, `__new`, `…__deleted`, `…__added` and elements.
fn guide(docs: &Docs<'_>, id: doc::Id, out: &mut String) {
    match docs.node(id) {
        Node::Object { members, .. } => {
            // A diff that a source sent is stored with its keys in order, so the new value may come first.
            let marked = |key, mark: &str| docs.key(key) == mark;
            let change = match members[..] {
                [(a, old), (b, new)] if marked(a, "\"__old\"") && marked(b, "\"__new\"") => Some((old, new)),
                [(a, new), (b, old)] if marked(a, "\"__new\"") && marked(b, "\"__old\"") => Some((old, new)),
                _ => None,
            };
            if let Some((old, new)) = change {
                out.push_str("{\"_old\":");
                docs.print(old, out);
                out.push_str(",\"_new\":");
                docs.print(new, out);
                out.push('}');
                return;
            }
            out.push('{');
            for (n, &(key, value)) in members.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                let key = docs.key(key);
                out.push_str(key);
                out.push(':');
                if key.ends_with("__deleted\"") || key.ends_with("__added\"") {
                    docs.print(value, out);
                } else {
                    guide(docs, value, out);
                }
            }
            out.push('}');
        }
        Node::Array(elements) => {
            out.push('[');
            for (n, &element) in elements.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                match docs.node(element) {
                    Node::Array(pair) if pair.len() == 2 && docs.is_text(pair[0], "\"~\"") => {
                        out.push_str("[\"~\",");
                        guide(docs, pair[1], out);
                        out.push(']');
                    }
                    _ => docs.print(element, out),
                }
            }
            out.push(']');
        }
        Node::Scalar(_) | Node::Whole(_) => docs.print(id, out),
    }
}
