//! The guide's column labels, however they are spelled, and which log has which.

use crate::catalog::squeeze;
use std::collections::HashMap;

/// Labels that a record of each log has, without case, spaces, underscores and dashes: all of the first list and one of the
/// second. In the order they are asked, because some labels are in several logs.
const LOGS: &[(&str, &[&str], &[&str])] = &[
    ("job", &["jobid", "lateststatus"], &["jobname", "jobtype", "updatedat"]),
    ("grant", &["grantid", "status"], &["email", "client", "provider", "sessionid"]),
    ("session", &["sessionid", "status", "userid"], &["protocol", "clientid"]),
    ("event", &["eventtype", "createdon"], &["clientname", "providername", "ipaddress", "username", "email"]),
    ("notification", &["subject", "recipient", "status"], &["category", "cc", "bcc"]),
    (
        "audit",
        &["action", "target", "actor", "timestamp"],
        &["clientactor", "oldentity", "newentity", "diff", "comments"],
    ),
];

/// A record's own names by their label.
#[derive(Debug)]
pub(super) struct Labels {
    names: HashMap<String, String>,
}

impl Labels {
    /// Of two names with one label the first counts; the other is kept where it is.
    pub(super) fn new<'n>(names: impl Iterator<Item = &'n str>) -> Labels {
        let mut known = HashMap::new();
        for name in names {
            known.entry(squeeze(name)).or_insert_with(|| name.to_owned());
        }
        Labels { names: known }
    }

    /// The log that has these labels.
    pub(super) fn log(&self) -> Option<&'static str> {
        let has = |label: &&str| self.names.contains_key(*label);
        LOGS.iter().find(|(_, all, one)| all.iter().all(has) && one.iter().any(has)).map(|(log, ..)| *log)
    }

    /// How the record itself spells a label.
    pub(super) fn name(&self, label: &str) -> Option<&str> {
        self.names.get(label).map(String::as_str)
    }
}
