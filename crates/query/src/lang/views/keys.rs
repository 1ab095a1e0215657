//! Reading a key as a person typed it, and the nearest one when there is none.

use event::fields::FIELDS;

use super::{Column, ColumnKind, Key, Source, View, clip, envelope, squash, tables};
use crate::lang::error::Error;

impl View {
    /// Reads a key as a person wrote it. Case, spaces, `_` and `-` do not matter, except below a JSON
    /// field, where keys are exact and `\.` is a dot inside a key.
    ///
    /// # Errors
    /// `unknown_key`, with the nearest key there is.
    pub fn key(self, text: &str) -> Result<Key, Error> {
        if let Some(column) = self.fixed(text) {
            return Ok(Key::Column(column));
        }
        if let Some(key) = self.below(text) {
            return Ok(key);
        }
        let nearest = self.nearest(text);
        let known = match &nearest {
            Some(n) => format!("did you mean {n}?"),
            None => format!(
                "keys of {} are its columns ({}) and envelope paths such as actor.id or attributes.x",
                self.name(),
                self.listed()
            ),
        };
        let mut error =
            Error::new("unknown_key", format!("there is no key {:?} in {}; {known}", clip(text), self.name()));
        error.suggestion = nearest;
        Err(error)
    }

    fn listed(self) -> String {
        let names: Vec<&str> = self.columns().iter().take(15).map(|c| c.name).collect();
        names.join(", ")
    }

    fn fixed(self, text: &str) -> Option<&'static Column> {
        if text.len() > 64 {
            return None;
        }
        let want = squash(text);
        if self == View::NotificationLogs && want == "id" {
            return Some(&tables::NOTIFICATION_ID);
        }
        let by_name = |columns: &'static [Column]| columns.iter().find(|c| squash(c.name) == want);
        by_name(self.columns())
            .or_else(|| self.aliases().iter().find(|(from, _)| *from == want).and_then(|(_, to)| self.column(to)))
            .or_else(|| FIELDS.iter().find(|s| squash(s.path) == want).map(|s| envelope(s.field)))
            .or_else(|| by_name(&tables::RECORDS))
    }

    /// Other names people use for a column, squashed. `actionId` is what Asgardeo's guide calls the action, and its records `action`.
    fn aliases(self) -> &'static [(&'static str, &'static str)] {
        match self {
            View::Records => &[
                ("timestamp", "time"),
                ("ipaddress", "ip"),
                ("eventtype", "action"),
                ("actionid", "action"),
                ("details", "attributes"),
            ],
            View::AuditLogs => &[
                ("ip", "ip_address"),
                ("created", "timestamp"),
                ("createdat", "timestamp"),
                ("time", "timestamp"),
                ("client", "client_actor"),
                ("actionid", "action"),
            ],
            View::EventLogs => &[
                ("client", "client_name"),
                ("provider", "provider_name"),
                ("ip", "ip_address"),
                ("created", "created_on"),
                ("createdat", "created_on"),
                ("timestamp", "created_on"),
                ("time", "created_on"),
                ("action", "event_type"),
                ("type", "event_type"),
                ("actionid", "event_type"),
            ],
            View::JobLogs => &[
                ("status", "latest_status"),
                ("name", "job_name"),
                ("type", "job_type"),
                ("created", "created_at"),
                ("timestamp", "created_at"),
                ("updated", "updated_at"),
            ],
            View::NotificationLogs => {
                &[("created", "timestamp"), ("createdat", "timestamp"), ("time", "timestamp"), ("to", "recipient")]
            }
            View::Sessions => &[
                ("client", "client_id"),
                ("user", "user_id"),
                ("created", "created_at"),
                ("timestamp", "created_at"),
                ("expires", "expires_at"),
            ],
            View::Grants => &[
                ("clientname", "client"),
                ("providername", "provider"),
                ("created", "created_at"),
                ("timestamp", "created_at"),
            ],
        }
    }

    /// A key below a JSON field: the longest fixed key of kind JSON that leads, then exact keys.
    fn below(self, text: &str) -> Option<Key> {
        let mut parts = Vec::new();
        let mut part = String::new();
        let mut dots = Vec::new();
        let mut chars = text.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => part.push(chars.next()?.1),
                '.' => {
                    parts.push(std::mem::take(&mut part));
                    dots.push(at);
                }
                c => part.push(c),
            }
        }
        parts.push(part);
        for used in (1..=dots.len().min(2)).rev() {
            let Some(column) = self.fixed(&text[..dots[used - 1]]) else { continue };
            if let (Source::First([field]), ColumnKind::Json) = (column.source, column.kind) {
                return Some(Key::Json { field: *field, path: parts.split_off(used) });
            }
        }
        None
    }

    fn nearest(self, text: &str) -> Option<String> {
        if text.len() > 64 {
            return None;
        }
        let want = squash(text);
        let names = self.columns().iter().map(|c| c.name).chain(FIELDS.iter().map(|s| s.path));
        let far = |name: &str| {
            let name = squash(name);
            let begins = want.len() > 2 && (name.starts_with(&want) || want.starts_with(&name) && name.len() > 2);
            distance(&want, &name).min(if begins { 1 } else { usize::MAX })
        };
        let (distance, name) = names.map(|n| (far(n), n)).min_by_key(|(d, _)| *d)?;
        (distance <= 1 + want.chars().count() / 3).then(|| name.to_owned())
    }
}

/// Edit distance (insert, drop, replace, swap neighbours), for suggestions among short names.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}
