//! Conditions said in passing: prepositions, names with their kind ("the google provider"), verbs, events,
//! states, and typed values alone.

use super::{
    build::{Link, Maker},
    lexicon,
    parse::Parser,
    words::Shape,
};
use crate::lang::{filter::Filter, filter::Op, views::View};

impl Parser<'_> {
    /// "by X", "for X", "from X", "to X", "on X", "with X", "about X".
    pub fn preposition(&mut self, at: usize) -> Option<usize> {
        let low = self.low(at);
        if !matches!(
            low,
            "by" | "from"
                | "for"
                | "of"
                | "to"
                | "on"
                | "with"
                | "via"
                | "using"
                | "through"
                | "about"
                | "regarding"
                | "mentioning"
                | "titled"
                | "against"
                | "did"
                | "belonging"
                | "containing"
                | "in"
                | "called"
                | "named"
                | "concerning"
                | "does"
                | "has"
                | "had"
                | "have"
                | "into"
        ) {
            return None;
        }
        let mut first = at + 1;
        while self.is(first, &["the", "a", "an", "any", "either", "to", "behalf", "of", "our", "my"]) {
            first += 1;
        }
        if self.clause_starts(first)
            || first >= self.words.len()
            || matches!(self.shape(first), Some(Shape::Time(_) | Shape::Comma))
        {
            return None;
        }
        // "by anyone except alice"
        if self.is(
            first,
            &[
                "anyone",
                "anybody",
                "everyone",
                "everybody",
                "anything",
                "anywhere",
                "everywhere",
                "someone",
                "users",
                "those",
                "all",
            ],
        ) && self.is(first + 1, &["except", "but", "besides", "excluding", "not", "other", "apart", "aside"])
        {
            let mut not = first + 1;
            if self.is(not, &["other", "apart", "aside"]) && self.is(not + 1, &["than", "from"]) {
                not += 1;
            }
            let value = if self.is(not + 1, &["for", "by", "from", "the"]) { not + 2 } else { not + 1 };
            let (column, op) = self.place(low, value, false)?;
            self.used(at, value);
            self.negation = Some(not);
            return self.place_values(at, value, column, op);
        }
        let person = self.is(
            first,
            &[
                "user",
                "users",
                "admin",
                "account",
                "actor",
                "person",
                "recipient",
                "recipients",
                "administrator",
                "address",
                "employee",
                "member",
            ],
        );
        let value_at =
            if person && first + 1 < self.words.len() && (self.entity(first + 1) || self.name_follows(first + 1)) {
                first + 1
            } else {
                first
            };
        let said = value_at > first;
        if matches!(low, "called" | "named" | "titled") {
            return self.called(at, first);
        }
        if matches!(low, "about" | "regarding" | "mentioning" | "containing" | "concerning") {
            return self.about(at, first);
        }
        // A name with its kind is read as such, whatever leads to it.
        let kind = self.view == View::AuditLogs && lexicon::kind(self.view, self.low(first)).is_some();
        if !said && (kind || self.kind_ahead(first).is_some()) {
            return None;
        }
        if let Some(next) = self.agent_or_provider(low, first) {
            return Some(self.used(at, next));
        }
        let (column, op) = self.place(low, value_at, said)?;
        self.place_values(at, value_at, column, op)
    }

    /// Which column a preposition and the value after it speak of.
    fn place(&self, low: &str, at: usize, said: bool) -> Option<(&'static str, Op)> {
        use Op::{Contains, Is};
        let shape = self.shape(at)?;
        let plain = shape == Shape::Plain;
        if plain && !self.name_follows(at) {
            return None;
        }
        let number = plain && self.words[at].number().is_some();
        if shape == Shape::Ip || plain && wild_address(self.low(at)) {
            let column = match self.view {
                View::AuditLogs | View::EventLogs => "ip_address",
                View::Records => "ip",
                _ => return None,
            };
            return Some((column, if shape == Shape::Ip { Is } else { Op::Like }));
        }
        if shape == Shape::Uuid && !said {
            return None;
        }
        let user = matches!(
            low,
            "by" | "for"
                | "of"
                | "from"
                | "did"
                | "belonging"
                | "against"
                | "to"
                | "does"
                | "has"
                | "had"
                | "have"
                | "on"
        );
        let asked = matches!(low, "did" | "does" | "has" | "had" | "have");
        if asked && plain && !self.verb_ahead(at + 1) {
            return None;
        }
        match self.view {
            View::AuditLogs => match low {
                "by" | "from" => Some(("actor", Is)),
                _ if asked => Some(("actor", Is)),
                "of" if plain => None,
                "for" | "of" | "to" | "on" | "against" | "into" => Some(("target", if plain { Contains } else { Is })),
                _ => None,
            },
            View::EventLogs if shape == Shape::Email && user => Some(("email", Is)),
            View::EventLogs if matches!(low, "to" | "into") && !said && shape == Shape::Quoted => {
                Some(("client_name", Is))
            }
            View::EventLogs if matches!(low, "by" | "for" | "of" | "did") && (plain || said) => Some(("username", Is)),
            View::NotificationLogs => match low {
                "to" | "for" | "of" | "by" | "did" | "does" | "has" | "had" | "have" if shape == Shape::Email => {
                    Some(("recipient", Is))
                }
                "to" | "for" | "did" if plain || said => Some(("recipient", Contains)),
                _ => None,
            },
            View::Sessions if user && (shape == Shape::Email || number || plain || said) => Some(("user_id", Is)),
            View::Grants if user && shape == Shape::Email => Some(("email", Is)),
            View::Grants if matches!(low, "for" | "of" | "by" | "did") && plain => Some(("email", Contains)),
            View::Records => match low {
                "by" | "did" => Some(("actor_email", Is)),
                "from" if plain => Some(("source", Is)),
                "for" | "of" if shape == Shape::Email => Some(("email", Is)),
                "to" | "on" => Some(("target_name", if plain { Contains } else { Is })),
                _ => None,
            },
            _ => None,
        }
    }

    /// A verb or event follows soon: "did alice delete", "did bob log in".
    fn verb_ahead(&self, at: usize) -> bool {
        (at..at + 3).any(|i| {
            let low = self.low(i);
            lexicon::verb(low).is_some()
                || lexicon::adjective(self.view, low).is_some()
                || (1..=2).any(|n| self.phrase(i, n).and_then(|p| lexicon::event(&p)).is_some())
                || matches!(
                    low,
                    "do" | "receive" | "get" | "have" | "make" | "perform" | "take" | "use" | "touch" | "start" | "own"
                )
        })
    }

    pub fn name_follows(&self, at: usize) -> bool {
        self.content(at)
            && self.column(at).is_none_or(|(_, name, _)| {
                lexicon::shy(self.view, name) && lexicon::kind(self.view, self.low(at)).is_none()
            })
    }

    fn place_values(&mut self, at: usize, value_at: usize, column: &'static str, op: Op) -> Option<usize> {
        let mut parts = Vec::new();
        let mut next = value_at;
        let end = loop {
            let (text, after) =
                if self.entity(next) { (self.words[next].text.clone(), next + 1) } else { self.run(next, true)? };
            let op = if self.entity(next) && op == Op::Contains { Op::Is } else { op };
            let key = self.out.key(column)?;
            parts.push(super::build::test(key, op, &text));
            // "by alice or bob", "for a@x, b@x and c@x"
            let mut more = after;
            while self.shape(more) == Some(Shape::Comma) || self.is(more, &["or", "and", "nor"]) {
                more += 1;
            }
            more += usize::from(
                more > after && self.is(more, &["by", "for", "to", "from"]) && self.words[at].low == self.low(more),
            );
            let or = more > after && (after..more).any(|i| self.is(i, &["or", "nor"]));
            let same = self.entity(more) && self.shape(more) == self.shape(next);
            let name = or
                && self.shape(next) == Some(Shape::Plain)
                && (self.name_follows(more) && !self.clause_starts(more) && self.kind_ahead(more).is_none()
                    || self.shape(more) == Some(Shape::Email));
            if more == after || !(same || name) || parts.len() >= 64 {
                break after;
            }
            next = more;
        };
        if parts.len() == 1 {
            self.add_filter(column, parts.swap_remove(0), Maker::Place, false);
        } else if let Some(word) = self.negation.take() {
            for part in parts {
                self.negation = Some(word);
                self.add_filter(column, part, Maker::Place, false);
                self.link = Link::And;
            }
            self.link = Link::Near;
        } else {
            self.add_filter(column, Filter::Or(parts), Maker::Place, false);
        }
        Some(self.used(at, end))
    }

    /// "via google", "on Chrome", "with okta": names that are known without their kind.
    fn agent_or_provider(&mut self, preposition: &str, at: usize) -> Option<usize> {
        if !matches!(self.view, View::EventLogs | View::Grants | View::Records)
            || !matches!(preposition, "with" | "via" | "using" | "through" | "from" | "on" | "by")
        {
            return None;
        }
        if self.view == View::Records && preposition == "from" {
            return None;
        }
        if self.view != View::Grants && lexicon::AGENTS.contains(&self.low(at)) {
            let text = self.words[at].text.clone();
            self.add("user_agent", Op::Contains, &text, Maker::Place);
            return Some(at + 1);
        }
        for len in [2, 1] {
            if self.phrase(at, len).is_some_and(|p| lexicon::PROVIDERS.contains(&p.as_str())) {
                let text: Vec<&str> = self.words[at..at + len].iter().map(|w| w.text.as_str()).collect();
                let column = if self.view == View::Grants { "provider" } else { "provider_name" };
                self.add(column, Op::Is, &text.join(" "), Maker::Place);
                return Some(at + len);
            }
        }
        None
    }

    /// "google logins": a provider known without its kind.
    pub fn known_provider(&mut self, at: usize) -> Option<usize> {
        let column = match self.view {
            View::EventLogs => "provider_name",
            View::Grants => "provider",
            _ => return None,
        };
        if self.kind_ahead(at).is_some() {
            return None;
        }
        let len = [2, 1]
            .into_iter()
            .find(|n| self.phrase(at, *n).is_some_and(|p| lexicon::PROVIDERS.contains(&p.as_str())))?;
        let text: Vec<&str> = self.words[at..at + len].iter().map(|w| w.text.as_str()).collect();
        self.add(column, Op::Is, &text.join(" "), Maker::Place);
        Some(self.used(at, at + len))
    }

    /// "about X", "mentioning X": the subject, message or comments.
    fn about(&mut self, at: usize, first: usize) -> Option<usize> {
        let column = match self.view {
            View::NotificationLogs => "subject",
            View::JobLogs | View::Records => "message",
            View::AuditLogs => "comments",
            _ => return None,
        };
        let (text, next) =
            if self.entity(first) { (self.words[first].text.clone(), first + 1) } else { self.run(first, false)? };
        self.add(column, Op::Contains, &text, Maker::Clause);
        Some(self.used(at, next))
    }

    /// "a job called X", "an email titled X", "the group named X".
    fn called(&mut self, at: usize, first: usize) -> Option<usize> {
        let column = match self.view {
            View::JobLogs => "job_name",
            View::NotificationLogs => "subject",
            View::AuditLogs => "target",
            _ => return None,
        };
        let (text, next) =
            if self.entity(first) { (self.words[first].text.clone(), first + 1) } else { self.run(first, false)? };
        self.add(column, Op::Is, &text, Maker::Clause);
        Some(self.used(at, next))
    }
}

/// `10.0.0.*`: an address with its end left open.
fn wild_address(low: &str) -> bool {
    low.ends_with('*') && low.len() > 2 && low.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'*' | b':'))
}
