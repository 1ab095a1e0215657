//! The guide's column labels, however they are spelled, and which log has which.

use crate::catalog::squeeze;
use std::borrow::Cow;

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
pub(super) struct Labels<'a> {
    /// Label and name. A record has some ten, so they are compared rather than hashed.
    names: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Labels<'a> {
    /// Of two names with one label the first counts; the other is kept where it is.
    pub(super) fn new(names: impl Iterator<Item = Cow<'a, str>>) -> Labels<'a> {
        let labelled = |name: Cow<'a, str>| match name {
            Cow::Borrowed(name) => (squeeze(name), Cow::Borrowed(name)),
            Cow::Owned(name) => (Cow::Owned(squeeze(&name).into_owned()), Cow::Owned(name)),
        };
        Labels { names: names.map(labelled).collect() }
    }

    /// The log that has these labels.
    pub(super) fn log(&self) -> Option<&'static str> {
        let has = |label: &&str| self.name(label).is_some();
        LOGS.iter().find(|(_, all, one)| all.iter().all(has) && one.iter().any(has)).map(|(log, ..)| *log)
    }

    /// How the record itself spells a label.
    pub(super) fn name(&self, label: &str) -> Option<&str> {
        self.names.iter().find(|(known, _)| known == label).map(|(_, name)| name.as_ref())
    }
}
