//! Questions in plain English: deterministic, offline, and without guesses.
//!
//! A question goes through fixed steps: cut into words (`words`), time phrases resolved and cut out
//! (`time`, `moment`, `stretch`), then read left to right (`parse`): columns with operators and values (`clause`,
//! `operator`, `value`), prepositions (`phrases`), verbs, nouns and states (`nouns`), counts (`counting`), with the
//! words of each view (`lexicon`), and joined by "and" and "or" (`build`). What no step used comes back
//! as [`Answer::ignored`]; what was made of the rest is said in one sentence (`explain`). Not here: running it.

mod build;
mod clause;
mod counting;
mod explain;
mod lexicon;
mod moment;
mod nouns;
mod operator;
mod parse;
mod phrases;
mod stretch;
mod time;
mod value;
mod words;

use std::ops::Range;

use serde_json::{Map, Value as Json, json};

use super::{error::Error, filter::Query, time::Clock, time::rfc3339, views::View};

/// The longest question that is read, in bytes.
pub const MAX_BYTES: usize = 2048;

/// Words of a question that were not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// As typed.
    pub text: String,
    /// Its bytes in the question.
    pub span: Range<usize>,
}

/// What a question was understood as.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The question.
    pub question: String,
    /// The query it became.
    pub query: Query,
    /// Columns to show first: the person, for "who".
    pub columns_first: Vec<&'static str>,
    /// What was not used.
    pub ignored: Vec<Ignored>,
    /// What was understood, in one sentence.
    pub explanation: String,
    /// The clock it was read against.
    pub clock: Clock,
}

impl Answer {
    /// The shape of `spec/questions.jsonl`, with `ignored` and `explanation`.
    pub fn to_json(&self) -> Json {
        let query = &self.query;
        let mut out = Map::new();
        out.insert("log".into(), json!(query.view.name()));
        out.insert("question".into(), json!(self.question));
        out.insert("now".into(), json!(rfc3339(self.clock.micros())));
        out.insert("tz".into(), json!(self.clock.now.time_zone().iana_name().unwrap_or("UTC")));
        out.insert("filter".into(), query.filter.to_json(query.view));
        out.insert("from".into(), json!(query.from.map(rfc3339)));
        out.insert("to".into(), json!(query.to.map(rfc3339)));
        if query.count {
            out.insert("count".into(), json!(true));
        }
        if let Some(key) = &query.count_by {
            out.insert("count_by".into(), json!(key.name(query.view)));
        }
        if let Some(limit) = query.limit {
            out.insert("limit".into(), json!(limit));
        }
        if let Some(interval) = query.interval {
            out.insert("interval".into(), json!(interval.to_string()));
        }
        if !self.columns_first.is_empty() {
            out.insert("columns_first".into(), json!(self.columns_first));
        }
        let ignored = self.ignored.iter().map(|i| json!({ "text": i.text, "start": i.span.start, "end": i.span.end }));
        out.insert("ignored".into(), ignored.collect());
        out.insert("explanation".into(), json!(self.explanation));
        Json::Object(out)
    }
}

/// Three questions that a view understands.
pub fn examples(view: View) -> [&'static str; 3] {
    match view {
        View::AuditLogs => [
            "show me all delete actions from yesterday",
            "who modified the google provider last week",
            "the actor is like example.com",
        ],
        View::EventLogs => [
            "failed logins from IP 192.168.1.1",
            "mfa events for user@example.com yesterday",
            "login events where provider is google",
        ],
        View::JobLogs => [
            "show running jobs older than 1 hour",
            "the job name is \"audit log trim\"",
            "failed email jobs in the last 24 hours",
        ],
        View::NotificationLogs => [
            "recipient is user@example.com and status is failed",
            "category is invitation and the log was created last week",
            "bounced emails since Monday",
        ],
        View::Sessions => {
            ["active sessions for user 123", "saml sessions older than 30 days", "how many sessions were created today"]
        }
        View::Grants => {
            ["active grants for user@example.com", "grants where client is billing", "revoked grants since last month"]
        }
        View::Records => [
            "failed actions in the last 24 hours",
            "the outcome is failure and the source is keycloak",
            "everything from IP 192.168.1.1 today",
        ],
    }
}

/// Reads a question about a view.
///
/// # Errors
/// `not_understood` if no part of it says which records are wanted, with three examples; `too_long`.
pub fn ask(question: &str, view: View, clock: &Clock) -> Result<Answer, Error> {
    if question.len() > MAX_BYTES {
        return Err(Error::new(
            "too_long",
            format!("a question is at most {}; this is {}", event::size::in_words(MAX_BYTES), question.len()),
        ));
    }
    let words = words::split(question);
    let ahead = matches!(view, View::Sessions | View::Grants) && words.iter().any(|w| w.low.starts_with("expir"));
    let (words, phrases) = time::cut(words, clock, ahead);
    let reading = parse::read(&words, &phrases, view);
    let ignored = leftovers(question, &words, &reading.used);
    if !reading.understood(&ignored) {
        let [a, b, c] = examples(view);
        let why = format!(
            "nothing in this question says which of the {} are wanted; ask, for example: {a}; {b}; {c}",
            view.name().replace('_', " ")
        );
        return Err(Error::new("not_understood", why).span(0..question.len()));
    }
    let columns_first = reading.columns_first.clone();
    let query = reading.into_query();
    let explanation = explain::sentence(&query, &columns_first, &ignored, clock);
    Ok(Answer { question: question.to_owned(), query, columns_first, ignored, explanation, clock: clock.clone() })
}

/// The words that were not used, neighbours together.
fn leftovers(question: &str, words: &[words::Word], used: &[bool]) -> Vec<Ignored> {
    let mut out: Vec<(usize, Range<usize>)> = Vec::new();
    for (at, word) in words.iter().enumerate().filter(|(at, w)| !used[*at] && w.shape != words::Shape::Comma) {
        match out.last_mut() {
            Some((last, span)) if *last + 1 == at => {
                *last = at;
                span.end = word.span.end;
            }
            _ => out.push((at, word.span.clone())),
        }
    }
    out.into_iter().map(|(_, span)| Ignored { text: question[span.clone()].to_owned(), span }).collect()
}

#[cfg(test)]
mod tests;
