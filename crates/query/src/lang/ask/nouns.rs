//! Conditions said by nouns, verbs and states: "failed logins", "the google provider", "deleted users",
//! "invitation emails", and typed values alone.

use super::{
    build::{Link, Maker},
    lexicon,
    parse::Parser,
    words::Shape,
};
use crate::lang::{filter::Filter, filter::Op, views::View};

impl Parser<'_> {
    /// "logins", "password resets", "signed in": event logs; and in audit logs those that are no verb of change.
    pub fn event_noun(&mut self, at: usize) -> Option<usize> {
        let column = match self.view {
            View::EventLogs => "event_type",
            View::AuditLogs | View::Records => "action",
            _ => return None,
        };
        for len in (1..=3).rev() {
            let Some(value) = self.phrase(at, len).and_then(|p| lexicon::event(&p)) else { continue };
            let next = at + len;
            if len == 1 && self.op_follows(next) && self.column(at).is_some() {
                return None;
            }
            // "login name", "mfa token exchange events"
            if len == 1 && self.column(at).is_some_and(|(_, _, end)| end > next) {
                return None;
            }
            if self.view != View::EventLogs
                && (self.kind_ahead(at).is_some() || matches!(value, "consent" | "verification"))
            {
                return None;
            }
            self.out.rows = true;
            // "mfa enrolment events"
            let mut end = next;
            while end - next < 3
                && self.content(end)
                && self.column(end).is_none()
                && lexicon::kind(self.view, self.low(end)).is_none()
            {
                end += 1;
            }
            if end > next && self.is(end, &["event", "events"]) {
                let text: Vec<&str> = self.words[at..end].iter().map(|w| w.text.as_str()).collect();
                self.add(column, Op::Contains, &text.join(" "), Maker::Noun);
                return Some(self.used(at, end + 1));
            }
            self.add(column, Op::Contains, value, Maker::Noun);
            return Some(self.used(at, next));
        }
        None
    }

    /// A name followed by its kind: where the name ends, where the kinds end, and their column.
    pub fn kind_ahead(&self, at: usize) -> Option<(usize, usize, &'static str)> {
        let mut end = at;
        if self.shape(at) == Some(Shape::Quoted) {
            end = at + 1;
        } else {
            while end - at < 4
                && self.content(end)
                && lexicon::kind(self.view, self.low(end)).is_none()
                && !self.two_word_kind(end)
            {
                if end > at && self.words[end - 1].owner {
                    break;
                }
                end += 1;
            }
        }
        if end == at {
            return None;
        }
        let mut after = end;
        let mut column = None;
        while after - end < 3 {
            let len = if self.two_word_kind(after) { 2 } else { 1 };
            let Some(found) = lexicon::kind(self.view, self.low(after + len - 1)) else { break };
            column = Some(found);
            after += len;
        }
        Some((end, after, column?))
    }

    fn two_word_kind(&self, at: usize) -> bool {
        self.is(at, &["identity"]) && self.is(at + 1, &["provider", "providers"])
            || self.is(at, &["client"]) && self.is(at + 1, &["application", "app"])
    }

    /// "the google provider", "the 'Google Workspace' provider", "auth ui client".
    pub fn named_kind(&mut self, at: usize) -> Option<usize> {
        // "user alice was deleted", "group 'Sales'"
        let kind = self.view == View::AuditLogs
            && lexicon::kind(self.view, self.low(at)).is_some()
            && !self.low(at).ends_with('s');
        if kind
            && (self.entity(at + 1)
                || self.name_follows(at + 1) && lexicon::kind(self.view, self.low(at + 1)).is_none())
        {
            let (text, next) =
                if self.entity(at + 1) { (self.words[at + 1].text.clone(), at + 2) } else { self.run(at + 1, true)? };
            let op = if self.shape(at + 1) == Some(Shape::Email) { Op::Is } else { Op::Contains };
            self.add("target", op, &text, Maker::Noun);
            return Some(self.used(at, next));
        }
        let (end, after, column) = self.kind_ahead(at).or_else(|| self.kind_alone(at))?;
        let text: String = if end == at {
            lexicon::singular(self.low(after - 1))
        } else {
            self.words[at..end].iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ")
        };
        let op = if matches!(column, "target" | "target_name") { Op::Contains } else { Op::Is };
        self.add(column, op, &text, Maker::Noun);
        Some(self.used(at, after))
    }

    /// "deleted users", "role changes", "user bob@example.com": in audit logs a kind alone, or before a name.
    fn kind_alone(&self, at: usize) -> Option<(usize, usize, &'static str)> {
        if self.view != View::AuditLogs || lexicon::kind(self.view, self.low(at)) != Some("target") {
            return None;
        }
        if self.entity(at + 1) || self.name_follows(at + 1) && self.verb_end == at {
            return None;
        }
        Some((at, at + 1, "target"))
    }

    /// Verbs of change, and what they were done to.
    pub fn verb(&mut self, at: usize) -> Option<usize> {
        let column = match self.view {
            View::AuditLogs | View::Records => "action",
            View::EventLogs => "event_type",
            _ => return None,
        };
        let value = lexicon::verb(self.low(at))?;
        // "what did alice change": a question, not a second condition; "password reset" is an event.
        self.out.rows = true;
        self.add(column, Op::Contains, value, Maker::Noun);
        let mut next = self.used(at, at + 1);
        if self.view == View::EventLogs || self.view == View::Records {
            return Some(next);
        }
        self.verb_end = next;
        let mut first = next;
        while self.is(first, &["the", "a", "an", "any", "our", "my", "to", "of", "on", "in"]) {
            first += 1;
        }
        self.verb_end = first;
        if self.kind_ahead(first).is_some() || self.clause_starts(first) {
            return Some(next);
        }
        // "deleted user bob", "deleted bob@example.com", "modified google"
        let kind = lexicon::kind(self.view, self.low(first)).is_some();
        let object = if kind && (self.entity(first + 1) || self.name_follows(first + 1)) { first + 1 } else { first };
        if self.entity(object) {
            let text = self.words[object].text.clone();
            let op = if self.shape(object) == Some(Shape::Quoted) && !kind { Op::Contains } else { Op::Is };
            self.add("target", op, &text, Maker::Noun);
            next = self.used(at, object + 1);
        } else if self.name_follows(object) && lexicon::kind(self.view, self.low(object)).is_none() {
            let (text, end) = self.run(object, true)?;
            self.add("target", Op::Contains, &text, Maker::Noun);
            next = self.used(at, end);
        }
        Some(next)
    }

    /// "trim jobs", "invitation emails", "token exchange events": the rows with what they are before them.
    pub fn typed_rows(&mut self, at: usize) -> Option<usize> {
        let quoted = self.shape(at) == Some(Shape::Quoted);
        // "cleanup and archive jobs": several kinds of the same rows.
        let (mut kinds, mut end) = (Vec::new(), at);
        loop {
            let from = end;
            if self.shape(end) == Some(Shape::Quoted) {
                end += 1;
            } else {
                while end - from < 5 && self.typing(end) {
                    end += 1;
                }
            }
            if end == from {
                return None;
            }
            kinds.push(self.words[from..end].iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" "));
            if kinds.len() < 8 && (self.is(end, &["and", "or"]) || self.shape(end) == Some(Shape::Comma)) {
                end += 1 + usize::from(self.shape(end) == Some(Shape::Comma) && self.is(end + 1, &["and", "or"]));
            } else {
                break;
            }
        }
        if !lexicon::row(self.view, self.low(end))
            || self.is(end, &["user", "users", "ran", "run", "received", "receive", "got", "background"])
        {
            return None;
        }
        let single = kinds.iter().all(|k| !k.contains(' '));
        let (column, op) = match self.view {
            View::JobLogs if quoted => ("job_name", Op::Is),
            View::JobLogs if single => ("job_type", Op::Contains),
            View::JobLogs => ("job_name", Op::Contains),
            View::NotificationLogs if quoted => ("subject", Op::Contains),
            View::NotificationLogs => ("category", Op::Contains),
            View::EventLogs => ("event_type", if quoted { Op::Is } else { Op::Contains }),
            View::AuditLogs | View::Records => ("action", if quoted { Op::Is } else { Op::Contains }),
            View::Sessions | View::Grants => return None,
        };
        self.out.rows = true;
        if let [kind] = kinds.as_slice() {
            self.add(column, op, kind, Maker::Noun);
        } else {
            let key = self.out.key(column)?;
            let parts = kinds.iter().map(|k| super::build::test(key.clone(), op, k)).collect();
            self.add_filter(column, Filter::Or(parts), Maker::Noun, false);
        }
        Some(self.used(at, end + 1))
    }

    /// A word that can say what kind of rows; jobs and mails are also called after verbs ("import jobs").
    fn typing(&self, at: usize) -> bool {
        let low = self.low(at);
        if matches!(self.view, View::JobLogs | View::NotificationLogs) && lexicon::verb(low).is_some() {
            return !low.ends_with("ed");
        }
        if self.view == View::JobLogs && matches!(low, "email" | "log" | "user" | "audit") {
            return true;
        }
        if self.view == View::NotificationLogs && matches!(low, "login" | "mfa" | "totp") {
            return true;
        }
        self.content(at)
            && !matches!(
                low,
                "system" | "background" | "auth" | "authentication" | "audit" | "admin" | "administrative"
            )
            || self.view == View::EventLogs && at > 0 && low == "session"
    }

    /// "failed", "running", "expired".
    pub fn state(&mut self, at: usize) -> Option<usize> {
        let low = self.low(at);
        if let Some((column, value)) = lexicon::unadjective(self.view, low) {
            self.add(column, Op::IsNot, value, Maker::State);
            return Some(self.used(at, at + 1));
        }
        if self.view == View::JobLogs && low == "in" && self.is(at + 1, &["progress"]) {
            self.add("latest_status", Op::Is, "running", Maker::State);
            return Some(self.used(at, at + 2));
        }
        if let Some((column, value)) = low.strip_prefix("non-").and_then(|l| lexicon::adjective(self.view, l)) {
            self.add(column, Op::IsNot, value, Maker::State);
            return Some(self.used(at, at + 1));
        }
        let (column, value) = lexicon::adjective(self.view, low)?;
        // "sent to X", "sent yesterday", "running for": said of the action, not of the state.
        if low == "sent" {
            let verb = self.is(at + 1, &["to"])
                || self.negation.is_none() && self.is(at + 1, &["by", "from", "on", "out", "for", "in", "about"])
                || self.negation.is_none() && matches!(self.shape(at + 1), Some(Shape::Time(_)));
            if verb {
                return Some(self.used(at, at + 1));
            }
        }
        let same =
            |c: &super::build::Condition| c.column == column && c.maker == Maker::State && self.link == Link::Near;
        if self.negation.is_none() && self.out.conditions.iter().any(|c| same(c) && c.filter.matches_value(value)) {
            return Some(self.used(at, at + 1));
        }
        self.add(column, Op::Is, value, Maker::State);
        if low == "completed" && self.is(at + 1, &["successfully"]) {
            return Some(self.used(at, at + 2));
        }
        Some(self.used(at, at + 1))
    }

    /// An address, an id or a quoted text alone.
    pub fn bare_entity(&mut self, at: usize) -> Option<usize> {
        let text = self.words[at].text.clone();
        // "X in the subject"
        if self.is(at + 1, &["in", "as"])
            && matches!(self.shape(at), Some(Shape::Quoted | Shape::Plain))
            && (self.entity(at) || self.content(at))
        {
            let first = if self.is(at + 2, &["the", "its", "their"]) { at + 3 } else { at + 2 };
            if let Some((column, _, next)) =
                self.column(first).filter(|(c, _, next)| !self.op_follows(*next) && self.textual(c))
            {
                self.add(column, if self.is(at + 1, &["as"]) { Op::Is } else { Op::Contains }, &text, Maker::Clause);
                return Some(self.used(at, next));
            }
        }
        let column = match (self.shape(at)?, self.view) {
            (Shape::Email, View::EventLogs | View::Grants | View::Records) => "email",
            (Shape::Email, View::AuditLogs) if at > 0 && lexicon::kind(self.view, self.low(at - 1)).is_some() => {
                "target"
            }
            (Shape::Email, View::AuditLogs) => "actor",
            (Shape::Email, View::NotificationLogs) => "recipient",
            (Shape::Email, View::Sessions) => "user_id",
            (Shape::Ip, View::AuditLogs | View::EventLogs) => "ip_address",
            (Shape::Ip, View::Records) => "ip",
            (Shape::Uuid, View::AuditLogs | View::EventLogs | View::Records) => "request_id",
            (Shape::Uuid, View::JobLogs) => "job_id",
            (Shape::Uuid, View::NotificationLogs) => "notification.id",
            (Shape::Uuid, View::Sessions) => "session_id",
            (Shape::Uuid, View::Grants) => "grant_id",
            (Shape::Quoted, _) => {
                self.add_filter("", Filter::Text(text), Maker::Clause, false);
                return Some(self.used(at, at + 1));
            }
            _ => return None,
        };
        self.add(column, Op::Is, &text, Maker::Place);
        Some(self.used(at, at + 1))
    }
}

impl Filter {
    /// Whether it is a test against exactly this text.
    fn matches_value(&self, text: &str) -> bool {
        matches!(self, Filter::Test(t) if t.value == crate::lang::Value::Text(text.to_owned()))
    }
}
