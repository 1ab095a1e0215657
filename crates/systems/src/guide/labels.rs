//! The guide's column labels, however they are spelled, and which log has which.
//!
//! Owns: which log a record or a table is of, by its labels alone, and how sure that is. Not here: what a label fills (`read`).

use crate::Reason;
use crate::catalog::squeeze;
use std::borrow::Cow;

/// Labels are written here as they are compared: without case, spaces, underscores and dashes.
type List = &'static [&'static str];

/// What one of the logs is told by.
struct Log {
    name: &'static str,
    /// One label of each of these lists, and it is this log.
    told: &'static [List],
    /// What it has as well.
    other: List,
    /// A record that has all of these, and no label that is not this log's, is taken for one where nobody names the system.
    alone: List,
    /// All of the first and one of the second: nobody else's record has these together.
    sure: (List, List),
}

/// In the order they are asked, because some labels are in several logs.
const LOGS: &[Log] = &[
    Log {
        name: "job",
        told: &[&["jobid", "jobname", "jobtype"], &["lateststatus"]],
        other: &["message", "createdat", "updatedat", "stacktrace"],
        alone: &["lateststatus", "createdat"],
        sure: (&["jobid", "lateststatus"], &["jobname", "jobtype", "updatedat"]),
    },
    Log {
        name: "grant",
        told: &[&["grantid"], &["status", "email", "client", "provider", "sessionid", "createdat"]],
        other: &["expiresat"],
        alone: &["grantid", "status", "createdat"],
        sure: (&["grantid", "status"], &["email", "client", "provider", "sessionid"]),
    },
    Log {
        name: "session",
        told: &[&["sessionid"], &["userid", "protocol", "clientid"], &["status"]],
        other: &["createdat", "expiresat"],
        alone: &["sessionid", "userid", "status", "createdat"],
        sure: (&["sessionid", "status", "userid"], &["protocol", "clientid"]),
    },
    Log {
        name: "event",
        told: &[&["eventtype"], &["createdon", "clientname", "providername", "ipaddress", "username", "email"]],
        other: &["sessionid"],
        alone: &["eventtype", "createdon"],
        sure: (&["eventtype", "createdon"], &["clientname", "providername", "ipaddress", "username", "email"]),
    },
    Log {
        name: "notification",
        told: &[&["recipient"], &["subject", "status", "category"]],
        other: &["timestamp", "cc", "bcc", "body", "notificationid"],
        alone: &["subject", "recipient", "timestamp", "status"],
        sure: (&["subject", "recipient", "status"], &["category", "cc", "bcc"]),
    },
    Log {
        name: "audit",
        told: &[&["action"], &["actor", "target", "clientactor", "oldentity", "newentity", "diff"]],
        other: &["subject", "comments", "timestamp"],
        alone: &["action", "target", "actor", "timestamp"],
        sure: (
            &["action", "target", "actor", "timestamp"],
            &["clientactor", "oldentity", "newentity", "diff", "comments"],
        ),
    },
];

/// Labels that any log may have, in the guide's tables or in our own exports.
const ANY: List = &["id", "details", "outcome", "source", "ipaddress", "useragent", "requestid", "errorcode"];

/// What to send, for those whose names tell no log.
pub(super) const WANTED: &str = "audit has `Action` and `Actor` or `Target`, event has `Event Type` and `Created On`, job has `Latest Status` \
    and `Job Id` or `Job Name`, notification has `Recipient` and `Subject` or `Status`, session has `Session ID`, `Status` and `User ID` or \
    `Client ID`, grant has `Grant ID` and `Status`";

/// A record's own names by their label.
#[derive(Debug, Clone)]
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

    /// Those of them, in order, that a row says something of.
    pub(super) fn of(&self, says: impl Fn(usize) -> bool) -> Labels<'a> {
        let said = self.names.iter().enumerate().filter(|(i, _)| says(*i));
        Labels { names: said.map(|(_, name)| name.clone()).collect() }
    }

    /// The log that has these labels: of several the one that has most of them.
    ///
    /// # Errors
    /// Where they tell none, or several alike.
    pub(super) fn log(&self) -> Result<&'static str, Reason> {
        if let Some(log) = LOGS.iter().find(|log| self.sure(log)) {
            return Ok(log.name);
        }
        let told = || LOGS.iter().filter(|log| self.told(log));
        let most = told().map(|log| self.count(log)).max().unwrap_or_default();
        let best: Vec<&'static str> = told().filter(|log| self.count(log) == most).map(|log| log.name).collect();
        match best.as_slice() {
            [log] => Ok(log),
            [] => Err(Reason::new("unknown_log", format!("the names are those of none of the six logs: {WANTED}"))),
            several => Err(Reason::new(
                "ambiguous_log",
                format!("the names are those of several logs alike ({}); send the columns of one", several.join(", ")),
            )),
        }
    }

    /// How sure it is that these are the guide's labels, of 100.
    pub(super) fn confidence(&self) -> u8 {
        let Some(log) = self.log().ok().and_then(|name| LOGS.iter().find(|log| log.name == name)) else { return 0 };
        let own = |label: &str| log.all().any(|known| known == label) || ANY.contains(&label);
        let only = self.names.iter().all(|(label, _)| own(label));
        if self.sure(log) {
            92
        } else if only && log.alone.iter().all(|label| self.has(label)) {
            // Words that anybody may use, and nothing beside them.
            60
        } else {
            0
        }
    }

    fn has(&self, label: &str) -> bool {
        self.name(label).is_some()
    }

    fn told(&self, log: &Log) -> bool {
        log.told.iter().all(|list| list.iter().any(|label| self.has(label)))
    }

    fn sure(&self, log: &Log) -> bool {
        let (all, one) = log.sure;
        all.iter().all(|label| self.has(label)) && one.iter().any(|label| self.has(label))
    }

    fn count(&self, log: &Log) -> usize {
        log.all().filter(|label| self.has(label)).count()
    }

    /// How the record itself spells a label.
    pub(super) fn name(&self, label: &str) -> Option<&str> {
        self.names.iter().find(|(known, _)| known == label).map(|(_, name)| name.as_ref())
    }
}

impl Log {
    fn all(&self) -> impl Iterator<Item = &'static str> {
        self.told.iter().flat_map(|list| list.iter()).chain(self.other).copied()
    }
}

/// The log of this name.
pub(super) fn named(name: &str) -> Option<&'static str> {
    LOGS.iter().map(|log| log.name).find(|known| *known == name)
}
