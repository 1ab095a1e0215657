//! The names of events that each system is known to write, and what each means.
//!
//! Owns: `catalog.csv`, its one reader, and looking names up. A name that is not here is no error: it is taken in and
//! shown as unknown.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

/// The table as it is committed, with its header: what `/v1/catalog` may serve as CSV.
pub const CSV: &str = include_str!("../catalog.csv");

/// One event of one system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The system's name, as in [`crate::System::name`].
    pub system: String,
    /// The event's name, as the source spells it.
    pub name: String,
    /// Which log it belongs to.
    pub log: String,
    /// Its level when nothing went wrong, or `warn` where it says that something did.
    pub level: String,
    /// What happened, in one line.
    pub meaning: String,
    /// Envelope paths it fills, beside those that every record has, as far as the source says so much.
    pub fills: Vec<String>,
    /// Where the name is known from.
    pub source: String,
}

/// The names of one system.
#[derive(Debug, Default)]
pub struct Names {
    exact: HashMap<&'static str, &'static Entry, BuildHasherDefault<Letters>>,
    loose: HashMap<String, &'static Entry, BuildHasherDefault<Letters>>,
}

/// Hashes a name by some of its letters, for tables of names that are known beforehand: nobody can put one there to be in the way.
#[derive(Debug, Default)]
struct Letters(u64);

impl Hasher for Letters {
    fn write(&mut self, bytes: &[u8]) {
        let middle = bytes.get(bytes.len() / 2..).unwrap_or_default();
        let parts = [bytes.first_chunk(), middle.first_chunk(), bytes.last_chunk()];
        let short = || bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
        let letters = match parts {
            [Some(first), Some(middle), Some(last)] => {
                let [first, middle, last] = [first, middle, last].map(|part| u64::from_le_bytes(*part));
                first ^ middle.rotate_left(21) ^ last.rotate_left(42)
            }
            [Some(first), None, Some(last)] => u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(21),
            _ => short(),
        };
        self.0 = (self.0 ^ letters ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_u8(&mut self, _: u8) {
        // The end of a name, which its length says already.
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

impl Names {
    /// The event of exactly this name.
    pub fn get(&self, name: &str) -> Option<&'static Entry> {
        self.exact.get(name).copied()
    }

    /// The event of this name, whatever its case, spaces and dashes: for sources that spell one name in several ways.
    pub fn get_loose(&self, name: &str) -> Option<&'static Entry> {
        self.get(name).or_else(|| self.get_squeezed(&squeeze(name)))
    }

    /// The same of a name that is [`squeeze`]d already.
    pub fn get_squeezed(&self, name: &str) -> Option<&'static Entry> {
        self.loose.get(name).copied()
    }
}

/// A name without its case, spaces and dashes.
pub fn squeeze(name: &str) -> Cow<'_, str> {
    let kept = |c: &char| !matches!(c, ' ' | '-' | '_');
    if name.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase() && kept(&char::from(b))) {
        return Cow::Borrowed(name);
    }
    if !name.is_ascii() {
        return Cow::Owned(letters(name).collect());
    }
    let mut out = Vec::with_capacity(name.len());
    out.extend(name.bytes().filter(|b| kept(&char::from(*b))).map(|b| b.to_ascii_lowercase()));
    Cow::Owned(String::from_utf8(out).unwrap_or_default())
}

/// Whether two names are one without their case, spaces and dashes: whether [`squeeze`] makes the same of both.
pub fn alike(a: &str, b: &str) -> bool {
    if !a.is_ascii() || !b.is_ascii() {
        return letters(a).eq(letters(b));
    }
    // From the end: URIs of one sort begin alike.
    backwards(a).eq(backwards(b))
}

/// The same of an ASCII name, the last first.
fn backwards(name: &str) -> impl Iterator<Item = u8> {
    name.bytes().rev().filter(|b| !matches!(b, b' ' | b'-' | b'_')).map(|b| b.to_ascii_lowercase())
}

/// What of a name tells it from others.
fn letters(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|c| !matches!(c, ' ' | '-' | '_')).flat_map(char::to_lowercase)
}

/// Every entry, in the order of the file: by system, then by name.
pub fn entries() -> &'static [Entry] {
    static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
        csv::Reader::from_reader(CSV.as_bytes())
            .into_records()
            .filter_map(Result::ok)
            .map(|row| {
                let column = |n: usize| row.get(n).unwrap_or_default().to_owned();
                Entry {
                    system: column(0),
                    name: column(1),
                    log: column(2),
                    level: column(3),
                    meaning: column(4),
                    fills: column(5).split_whitespace().map(str::to_owned).collect(),
                    source: column(6),
                }
            })
            .collect()
    });
    &ENTRIES
}

/// Entries as CSV, in the columns of the file.
pub fn to_csv(entries: &[&Entry]) -> String {
    let mut out = csv::Writer::from_writer(Vec::new());
    let header = csv::Reader::from_reader(CSV.as_bytes()).headers().cloned().unwrap_or_default();
    // Writing to memory does not fail.
    let _ = out.write_record(&header);
    for e in entries {
        let fills = e.fills.join(" ");
        let _ = out.write_record([&e.system, &e.name, &e.log, &e.level, &e.meaning, &fills, &e.source]);
    }
    out.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// The event of a system's record, in whatever spelling. Self-hosted Ory has the names of Ory Network, and WSO2's server those of
/// Asgardeo, beside their own; Keycloak calls what failed `LOGIN_ERROR`.
pub fn find(system: &str, name: &str) -> Option<&'static Entry> {
    let also = match system {
        "ory" => "ory-network",
        "wso2" => "asgardeo",
        _ => "",
    };
    let find = |name: &str| of(system).get_loose(name).or_else(|| of(also).get_loose(name));
    find(name).or_else(|| find(name.strip_suffix("_ERROR")?))
}

/// The names of a system; none for one that has no names.
pub fn of(system: &str) -> &'static Names {
    // So few that comparing is cheaper than hashing, and every record asks.
    static BY_SYSTEM: LazyLock<Vec<(&'static str, Names)>> = LazyLock::new(|| {
        let mut all: Vec<(&str, Names)> = Vec::new();
        for entry in entries() {
            if all.last().is_none_or(|(system, _)| *system != entry.system) {
                all.push((&entry.system, Names::default()));
            }
            if let Some((_, names)) = all.last_mut() {
                names.exact.insert(&entry.name, entry);
                names.loose.insert(squeeze(&entry.name).into_owned(), entry);
            }
        }
        all
    });
    static NONE: LazyLock<Names> = LazyLock::new(Names::default);
    BY_SYSTEM.iter().find(|(known, _)| *known == system).map_or(&NONE, |(_, names)| names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn every_row_is_whole_and_in_order() {
        let rows = csv::Reader::from_reader(CSV.as_bytes()).into_records().collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(rows.len(), entries().len(), "no row was dropped");
        for entry in entries() {
            let what = format!("{} {}", entry.system, entry.name);
            assert!(["audit", "event"].contains(&entry.log.as_str()), "{what}: {}", entry.log);
            assert!(["info", "warn", "error"].contains(&entry.level.as_str()), "{what}: {}", entry.level);
            assert!((10..=120).contains(&entry.meaning.len()), "{what}: {}", entry.meaning);
            assert!(!entry.meaning.ends_with('.') && entry.meaning.starts_with(char::is_uppercase), "{what}");
            assert!(
                ["source document", "current docs", "code", "enum in code"].contains(&entry.source.as_str()),
                "{what}"
            );
            for path in &entry.fills {
                assert!(event::Field::from_path(path).is_some(), "{what}: {path}");
            }
        }
        let keys: Vec<(&str, &str)> = entries().iter().map(|e| (e.system.as_str(), e.name.as_str())).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "sorted, and each once");
        let meanings: BTreeSet<(&str, &str)> =
            entries().iter().map(|e| (e.system.as_str(), e.meaning.as_str())).collect();
        assert_eq!(meanings.len(), entries().len(), "no two events of a system read the same");
    }

    #[test]
    fn the_named_systems_are_complete() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in entries() {
            *counts.entry(&entry.system).or_default() += 1;
        }
        // Asgardeo: 57 in its audit log and one more of an early build, 17 as webhooks.
        let named = ["asgardeo", "contember", "ory-nestjs", "ory-network"].map(|s| (s, counts[s]));
        assert_eq!(named, [("asgardeo", 58 + 17), ("contember", 55), ("ory-nestjs", 48), ("ory-network", 79)]);
    }

    #[test]
    fn what_is_written_as_csv_is_the_file() {
        assert_eq!(to_csv(&entries().iter().collect::<Vec<_>>()), CSV);
    }

    #[test]
    fn names_are_found_in_other_spellings() {
        let ory = of("ory-network");
        assert_eq!(ory.get_loose("scim provisioning error").unwrap().name, "SCIMProvisioningError");
        assert_eq!(ory.get("scimprovisioningerror"), None);
        assert_eq!(of("asgardeo").get_loose("ADD USER").unwrap().name, "add-user");
        assert_eq!(of("contember").get_loose("no such name"), None);
        assert_eq!(of("no such system").get("login"), None);
        for (system, count) in [("asgardeo", 58 + 17), ("contember", 55), ("ory-nestjs", 48), ("ory-network", 79)] {
            assert_eq!(of(system).loose.len(), count, "{system}: no two names are one when spelled loosely");
        }
    }

    /// Systems whose events have whatever names their users give them.
    const FREE: [&str; 2] = ["cloudevents", "otlp"];

    /// What a sample's event could say and does not: an attribute that this record lacks, a name that is masked.
    const UNSAID: &[(&str, &str, &[&str])] = &[
        ("ory-network", "SessionLifespanExtended", &["ip"]),
        ("ory-network", "OAuth2AccessTokenIssued", &["ip"]),
        ("ory-network", "LoginSucceeded", &["provider.id"]),
        ("okta", "user.lifecycle.deactivate", &["target.id", "target.type", "target.name"]),
        // Two acts of one name: only a relation that was written has a subject.
        ("ory-nestjs", "authz.permission.grant", &["subject.id", "actor.id"]),
        // Known only where the request's sign-in came before.
        ("ory-nestjs", "iam.network.project.purge", &["actor.id"]),
        ("asgardeo", "TerminateSession", &["actor.id", "target.id"]),
        // WSO2's older lines have neither types nor a request.
        ("asgardeo", "add-user", &["actor.type", "target.type", "request_id"]),
        ("asgardeo", "delete-user", &["actor.type", "target.type", "request_id"]),
        // The server's log has no representation.
        ("keycloak", "CREATE GROUP_MEMBERSHIP", &["new", "subject.name"]),
        // Known only where an earlier record said what it was.
        ("keycloak", "UPDATE USER", &["old", "diff"]),
        ("guide", "login", &["username"]),
        ("guide", "create User", &["comments"]),
        ("set", "https://schemas.openid.net/secevent/risc/event-type/account-disabled", &["target.type", "request_id"]),
        // Actions tell less than the search.
        ("zitadel", "user.human.added", &["actor.name", "client_actor.name", "message"]),
        ("contember", "project_membership_update", &["actor.id", "ip", "user_agent"]),
    ];

    #[test]
    fn every_event_of_a_sample_is_known_and_fills_what_is_said() {
        let mut wrong = Vec::new();
        for (system, file, bytes) in crate::testing::samples() {
            for stored in crate::testing::take_with(&crate::Memory::default(), &system, &bytes) {
                let (action, log) = (stored.at("action"), stored.at("log"));
                // What a job, a notification, a session or a grant is called is its own matter.
                if FREE.contains(&system.as_str()) || !["audit", "event"].contains(&log) {
                    continue;
                }
                let Some(entry) = find(&system, action) else {
                    wrong.push(format!("{}: {action} is not in the catalogue", file.display()));
                    continue;
                };
                if entry.log != log {
                    wrong.push(format!("{}: {action} is in {log}", file.display()));
                }
                let unsaid = UNSAID.iter().find(|(s, name, _)| *s == entry.system && *name == entry.name);
                let missing: Vec<&String> = entry
                    .fills
                    .iter()
                    .filter(|path| stored.value(path).is_null())
                    .filter(|path| unsaid.is_none_or(|(_, _, paths)| !paths.contains(&path.as_str())))
                    .collect();
                if !missing.is_empty() && stored.at("outcome") == "success" {
                    wrong.push(format!("{}: {action} does not fill {missing:?}: {}", file.display(), stored.envelope));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// What every record has, and what is of a delivery, or of whoever acts for another, and not of the event.
    const EVERYWHERE: [&str; 13] = [
        "id",
        "time",
        "action",
        "log",
        "level",
        "outcome",
        "source",
        "attributes",
        "redactions",
        "forwarder_ip",
        "forwarder_user_agent",
        "impersonator.id",
        "impersonator.name",
    ];

    #[test]
    fn what_a_sample_fills_is_said() {
        let mut filled: BTreeMap<&Entry, BTreeSet<&str>> = BTreeMap::new();
        for (system, _, bytes) in crate::testing::samples() {
            for stored in crate::testing::take_with(&crate::Memory::default(), &system, &bytes) {
                let Some(entry) = find(&system, stored.at("action")).filter(|e| e.log == stored.at("log")) else {
                    continue;
                };
                let has = event::FIELDS.iter().map(|spec| spec.path).filter(|path| !stored.value(path).is_null());
                let has: BTreeSet<&str> = has.filter(|path| !EVERYWHERE.contains(path)).collect();
                // Of several records of a name, what all of them have.
                filled.entry(entry).and_modify(|all| all.retain(|path| has.contains(path))).or_insert(has);
            }
        }
        let unsaid: Vec<String> = filled
            .iter()
            .map(|(entry, paths)| (entry, paths.iter().filter(|path| entry.fills.iter().all(|said| said != *path))))
            .map(|(entry, paths)| (entry, paths.collect::<Vec<_>>()))
            .filter(|(_, paths)| !paths.is_empty())
            .map(|(entry, paths)| format!("{} {}: {paths:?}", entry.system, entry.name))
            .collect();
        assert!(unsaid.is_empty(), "{}", unsaid.join("\n"));
    }
}
