//! One record of the envelope while it is being made.
//!
//! Owns: putting values at envelope paths and the text of times. Not here: what any system writes.

use super::people::{App, Person, Place, Provider};
use serde_json::{Map, Value};

/// A record and the moment it happened.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) time: i64,
    fields: Map<String, Value>,
}

impl Record {
    pub(super) fn new(time: i64, source: &str, log: &str, action: &str) -> Record {
        let record = Record { time, fields: Map::new() };
        record.set("time", rfc3339(time)).set("source", source).set("log", log).set("action", action)
    }

    /// Puts a value at a path: `ip`, `actor.id`. A second value replaces the first.
    pub(super) fn set(mut self, path: &str, value: impl Into<Value>) -> Record {
        match path.split_once('.') {
            None => {
                self.fields.insert(path.to_owned(), value.into());
            }
            Some((object, key)) => {
                let object = self.fields.entry(object).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(object) = object {
                    object.insert(key.to_owned(), value.into());
                }
            }
        }
        self
    }

    /// The outcome with the level that follows from it.
    pub(super) fn outcome(self, outcome: &str) -> Record {
        let level = if outcome == "success" { "info" } else { "warn" };
        self.set("outcome", outcome).set("level", level)
    }

    /// A failure and its code.
    pub(super) fn failed(self, code: &str) -> Record {
        self.outcome("failure").set("error_code", code)
    }

    pub(super) fn from(self, place: &Place) -> Record {
        self.set("ip", place.ip.as_str()).set("user_agent", place.user_agent)
    }

    pub(super) fn client(self, app: App) -> Record {
        self.set("client.id", app.id).set("client.name", app.name)
    }

    pub(super) fn provider(self, provider: Provider) -> Record {
        self.set("provider.id", provider.id).set("provider.name", provider.name)
    }

    /// Who it was, as the guide's service says it.
    pub(super) fn actor(self, person: &Person) -> Record {
        self.set("actor.id", person.number.as_str())
            .set("actor.type", "User")
            .set("actor.name", person.name.as_str())
            .set("actor.email", person.email.as_str())
    }

    pub(super) fn target(self, kind: &str, id: &str, name: &str) -> Record {
        self.set("target.type", kind).set("target.id", id).set("target.name", name)
    }

    /// The record as JSON text under this id.
    pub(super) fn json(self, id: String) -> String {
        Value::Object(self.set("id", id).fields).to_string()
    }
}

/// A time in microseconds as RFC 3339 with six decimals.
pub(super) fn rfc3339(time: i64) -> String {
    jiff::Timestamp::from_microsecond(time).map_or_else(|_| String::new(), |time| format!("{time:.6}"))
}
