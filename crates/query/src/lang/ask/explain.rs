//! The sentence that says what a question was understood as.

use crate::lang::{
    filter::{Filter, Op, Query, Test, Value},
    time::{Clock, rfc3339},
    views::View,
};

use super::Ignored;

/// One sentence: view, conditions, time, grouping, and what was not used.
pub(super) fn sentence(query: &Query, first: &[&str], ignored: &[Ignored], clock: &Clock) -> String {
    let view = query.view;
    let name = view.name().replace('_', " ");
    let mut out = if query.count { format!("Count of {name}") } else { capital(&name) };
    match &query.filter {
        Filter::All => {}
        Filter::And(parts) => {
            let parts: Vec<String> = parts.iter().map(|p| say(p, view)).collect();
            out.push_str(&format!(" where {}", parts.join(" and ")));
        }
        one => out.push_str(&format!(" where {}", say(one, view))),
    }
    let column = plain(view.time_column().name);
    let local = |t: i64| local(t, clock);
    match (query.from, query.to) {
        (None, None) => {}
        (Some(from), None) => out.push_str(&format!(", {column} from {}", local(from))),
        (None, Some(to)) => out.push_str(&format!(", {column} before {}", local(to))),
        (Some(from), Some(to)) => out.push_str(&format!(", {column} from {} to before {}", local(from), local(to))),
    }
    if let Some(key) = &query.count_by {
        out.push_str(&format!(", counted by {}", plain(&key.name(view))));
        if let Some(limit) = query.limit {
            out.push_str(&format!(", the {limit} most frequent"));
        }
    } else if let Some(limit) = query.limit {
        out.push_str(&format!(", the latest {limit}"));
    }
    if let Some(interval) = query.interval {
        out.push_str(&format!(", counted per {interval}"));
    }
    if let Some(column) = first.first() {
        out.push_str(&format!(", {} first", plain(column)));
    }
    out.push('.');
    if !ignored.is_empty() {
        let words: Vec<String> = ignored.iter().map(|i| format!("\"{}\"", i.text)).collect();
        out.push_str(&format!(" Not used: {}.", words.join(", ")));
    }
    out
}

fn say(filter: &Filter, view: View) -> String {
    let list = |parts: &[Filter], between: &str| {
        let parts: Vec<String> = parts.iter().map(|p| say(p, view)).collect();
        format!("({})", parts.join(between))
    };
    match filter {
        Filter::All => "anything".to_owned(),
        Filter::And(parts) => list(parts, " and "),
        Filter::Or(parts) => list(parts, " or "),
        Filter::Not(inner) => match &**inner {
            Filter::Test(Test { key, op: Op::Exists, .. }) => format!("{} is missing", plain(&key.name(view))),
            other => format!("not {}", say(other, view)),
        },
        Filter::Text(text) => format!("any text contains \"{text}\""),
        Filter::Test(Test { key, op, value }) => {
            let value = match value {
                Value::None => return format!("{} has a value", plain(&key.name(view))),
                Value::Text(t) => format!("\"{t}\""),
                Value::List(l) => l.iter().map(|t| format!("\"{t}\"")).collect::<Vec<_>>().join(", "),
                Value::Time(t) => rfc3339(*t),
            };
            let op = match op {
                Op::After => "from".to_owned(),
                other => other.name().replace('_', " "),
            };
            format!("{} {op} {value}", plain(&key.name(view)))
        }
    }
}

fn plain(name: &str) -> String {
    name.replace('_', " ")
}

fn capital(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}

fn local(micros: i64, clock: &Clock) -> String {
    let Ok(time) = jiff::Timestamp::from_microsecond(micros) else { return rfc3339(micros) };
    let zoned = time.to_zoned(clock.now.time_zone().clone());
    let seconds = if zoned.second() == 0 { "" } else { ":%S" };
    zoned.strftime(&format!("%Y-%m-%d %H:%M{seconds} %Z")).to_string()
}
