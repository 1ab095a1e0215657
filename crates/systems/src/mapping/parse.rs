//! A mapping file's text → [`Mapping`].
//!
//! Owns: what may stand in the file, and every message about what may not.

use super::{Form, MAX_FILE, Mapping, Pointer, Rule};
use crate::moment::Stamp;
use event::fields::{FIELDS, Kind};
use event::{Field, parse::allowed};
use serde_json::{Map, Value};

/// Why a mapping file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{detail}", if .place.is_empty() { String::new() } else { format!("`{}`: ", .place) })]
pub struct MappingError {
    /// Where: `fields.actor.id`; empty for the file as a whole.
    pub place: String,
    /// What is wrong there and what to write instead.
    pub detail: String,
}

type Result<T> = std::result::Result<T, MappingError>;

fn fail<T>(place: &str, detail: impl Into<String>) -> Result<T> {
    Err(MappingError { place: place.to_owned(), detail: detail.into() })
}

pub(super) fn mapping(text: &str) -> Result<Mapping> {
    if text.len() > MAX_FILE {
        return fail("", format!("the file is {} bytes, more than the limit of {MAX_FILE}", text.len()));
    }
    let mut file = tree(text)?;
    let name = match file.remove("name") {
        Some(Value::String(name)) => name,
        _ => return fail("name", "is missing or no text; it becomes the records' source, such as name = \"billing\""),
    };
    let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(sound) {
        return fail("name", "is 1 to 64 small letters, digits, `-`, `_` and `.`");
    }
    if crate::find(&name).is_some() {
        return fail("name", format!("`{name}` is a system that is read without a mapping; choose another name"));
    }
    let records = match file.remove("records") {
        None => Vec::new(),
        Some(Value::String(at)) => pointer("records", &at)?.steps,
        Some(_) => return fail("records", "is a JSON pointer to the list of records, such as \"/events\""),
    };
    let fields = match file.remove("fields") {
        Some(Value::Object(fields)) if !fields.is_empty() => fields,
        _ => return fail("fields", "is missing or empty; it says where each field of the envelope comes from"),
    };
    if let Some(other) = file.keys().next() {
        return fail(other, "is nothing that a mapping has; it has name, records and fields");
    }
    let mut rules = Vec::new();
    group(&fields, "", &mut rules)?;
    let log = rules.iter().find(|rule| rule.field == Field::Log);
    let needs_action = log.is_none_or(|rule| matches!(rule.otherwise.as_deref(), None | Some("audit" | "event")));
    if needs_action && !rules.iter().any(|rule| rule.field == Field::Action) {
        return fail("fields.action", "is missing; an audit or event record says what happened");
    }
    alone(&mut rules);
    // Whatever order the file has, so that one file is one mapping.
    rules.sort_by_key(|rule| rule.field);
    Ok(Mapping { name, records, rules })
}

fn tree(text: &str) -> Result<Map<String, Value>> {
    let parsed: std::result::Result<Value, String> = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|e| e.to_string())
    } else {
        toml::from_str(text).map_err(|e| e.to_string())
    };
    match parsed {
        Ok(Value::Object(file)) => Ok(file),
        Ok(_) => fail("", "the file is a table of name, records and fields"),
        Err(e) => fail("", format!("the file is neither TOML nor JSON: {}", e.trim_end())),
    }
}

/// The rules of a table; `actor.id` may be one key or a table in a table.
fn group(table: &Map<String, Value>, prefix: &str, rules: &mut Vec<Rule>) -> Result<()> {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let place = format!("fields.{path}");
        match (Field::from_path(&path), value) {
            (Some(Field::Source), _) => return fail(&place, "is the mapping's `name`; leave it out"),
            (Some(Field::Attributes | Field::Redactions), _) => {
                return fail(&place, "is filled by us, with all that no rule takes; leave it out");
            }
            (Some(field), _) if rules.iter().any(|rule| rule.field == field) => {
                return fail(&place, "stands there twice; keep one");
            }
            (Some(field), value) => rules.push(rule(field, &place, value)?),
            (None, Value::Object(inside)) if FIELDS.iter().any(|s| s.path.starts_with(&format!("{path}."))) => {
                group(inside, &path, rules)?;
            }
            (None, value) => {
                // `actr.id` is a table in a table.
                let inside = value.as_object().and_then(|table| table.keys().next());
                let whole = inside.map(|key| format!("{path}.{key}"));
                let hint = whole.map(|path| suggestion(&path)).filter(|hint| !hint.is_empty());
                let hint = hint.unwrap_or_else(|| suggestion(&path));
                return fail(&place, format!("is no field of the envelope{hint}"));
            }
        }
    }
    Ok(())
}

fn suggestion(path: &str) -> String {
    let near = FIELDS.iter().map(|s| (distance(path, s.path), s.path)).min();
    near.filter(|(steps, _)| *steps <= 2).map(|(_, near)| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// How many letters have to be changed to make one word of the other (Levenshtein).
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(64).enumerate() {
        let mut next = vec![i + 1];
        for (j, (to, pair)) in b.iter().zip(row.windows(2)).enumerate() {
            let [above_left, above] = [pair.first(), pair.get(1)].map(|n| n.copied().unwrap_or(usize::MAX - 1));
            let left = next.get(j).copied().unwrap_or(usize::MAX - 1);
            next.push((above_left + usize::from(from != *to)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

fn rule(field: Field, place: &str, value: &Value) -> Result<Rule> {
    const KEYS: &str = "from, format, words, otherwise, or value";
    let mut rule = Rule { field, from: Vec::new(), form: plain(field), words: Vec::new(), otherwise: None };
    let table = match value {
        Value::String(_) | Value::Array(_) => {
            rule.from = pointers(place, value)?;
            return Ok(rule);
        }
        Value::Object(table) => table,
        _ => return fail(place, format!("is a JSON pointer such as \"/user/id\", or a table of {KEYS}")),
    };
    for (key, value) in table {
        let place = format!("{place}.{key}");
        match (key.as_str(), value) {
            ("from", value) => rule.from = pointers(&place, value)?,
            ("value" | "otherwise", value) => rule.otherwise = Some(word(field, &place, value)?),
            ("words", Value::Object(words)) => {
                for (from, to) in words {
                    rule.words.push((from.clone(), word(field, &format!("{place}.{from}"), to)?));
                }
            }
            ("words", _) => return fail(&place, "is a table: { \"their word\" = \"our word\" }"),
            ("format", Value::String(name)) => rule.form = form(field, &place, name)?,
            ("format", _) => return fail(&place, "is a name in quotes: text, unix-s, unix-ms, unix-ns, or json"),
            _ => return fail(&place, format!("is nothing that a rule has; it has {KEYS}")),
        }
    }
    match (table.contains_key("value"), rule.from.is_empty()) {
        (true, _) if table.len() > 1 => {
            fail(place, "a fixed `value` stands alone; for a value in case there is none, write `otherwise`")
        }
        (false, true) => fail(place, "says neither `from` nor `value`"),
        _ if !rule.words.is_empty() && matches!(field.spec().kind, Kind::Json | Kind::Time | Kind::List) => {
            fail(place, "`words` are for fields that hold one word")
        }
        _ => Ok(rule),
    }
}

fn plain(field: Field) -> Form {
    if field.spec().kind == Kind::Time { Form::Time(Stamp::Micros) } else { Form::Plain }
}

fn form(field: Field, place: &str, name: &str) -> Result<Form> {
    match (field.spec().kind, name) {
        (Kind::Time, "text") => Ok(Form::Time(Stamp::Micros)),
        (Kind::Time, "unix-s") => Ok(Form::Time(Stamp::UnixSeconds)),
        (Kind::Time, "unix-ms") => Ok(Form::Time(Stamp::UnixMillis)),
        (Kind::Time, "unix-ns") => Ok(Form::Time(Stamp::UnixNanos)),
        (Kind::Json, "json") => Ok(Form::QuotedJson),
        (Kind::Time, _) => fail(place, "a time's format is text, unix-s, unix-ms or unix-ns"),
        (Kind::Json, _) => fail(place, "the only format here is json, for JSON that stands in a text"),
        _ => fail(place, "this field has no format; leave it out"),
    }
}

/// A word that the field may hold.
fn word(field: Field, place: &str, value: &Value) -> Result<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(truth) if field.spec().kind == Kind::Bool => truth.to_string(),
        _ => return fail(place, "is a text in quotes"),
    };
    match (field.spec().kind, allowed(field)) {
        (Kind::Bool, _) if !matches!(text.as_str(), "true" | "false") => fail(place, "is true or false"),
        (Kind::Text, Some(words)) if !words.contains(&text.as_str()) => {
            fail(place, format!("is one of {}", words.join(", ")))
        }
        (Kind::Text | Kind::Bool, _) => Ok(text),
        _ => fail(place, "this field holds no fixed text; say where it comes `from`"),
    }
}

/// Places that one field may come from: a record lacks few of its names, and each is looked for in every record.
const MOST: usize = 32;

fn pointers(place: &str, value: &Value) -> Result<Vec<Pointer>> {
    let all = match value {
        Value::Array(all) if !all.is_empty() => all.iter().collect(),
        one => vec![one],
    };
    if all.len() > MOST {
        return fail(place, format!("is a list of {} pointers; it has {MOST} at most", all.len()));
    }
    all.into_iter()
        .map(|one| match one {
            Value::String(text) => pointer(place, text),
            _ => fail(place, "is a JSON pointer such as \"/user/id\", or a list of them"),
        })
        .collect()
}

/// The pointer that was meant by a path as others write it: `user.id`, `$.user.id`, `$['user']`. `None` where it is rather a text.
fn meant(path: &str) -> Option<String> {
    let inside = path.strip_prefix('$').unwrap_or(path).trim_start_matches('.');
    let parts = inside.split(['.', '/', '[', ']']).map(|part| part.trim_matches(['\'', '"']));
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    let named = |part: &&str| part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'@'));
    (!parts.is_empty() && parts.iter().all(named)).then(|| format!("/{}", parts.join("/")))
}

/// RFC 6901: `/` begins each name, `~1` is a `/` in one and `~0` a `~`.
fn pointer(place: &str, text: &str) -> Result<Pointer> {
    let Some(inside) = text.strip_prefix('/') else {
        // Of a rule that is nothing but this text, it may have been meant as the value.
        let fixed = place.starts_with("fields.") && !place.ends_with(".from") && !text.starts_with('$');
        let advice = match meant(text) {
            _ if text.is_empty() => "\"/id\" is the member `id` of the record".to_owned(),
            Some(meant) if fixed => format!("write \"{meant}\", or a fixed text as {{ value = \"{text}\" }}"),
            Some(meant) => format!("write \"{meant}\""),
            None => format!("a fixed text is written {{ value = \"{text}\" }}"),
        };
        return fail(place, format!("\"{text}\" is no JSON pointer, which begins with `/`; {advice}"));
    };
    let steps: Vec<String> = inside.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect();
    let tildes = inside.replace("~0", "").replace("~1", "");
    if tildes.contains('~') {
        return fail(place, "`~` is written ~0 in a JSON pointer, and `/` in a name ~1");
    }
    Ok(Pointer { text: text.to_owned(), steps, alone: true })
}

/// A value that two rules look at stays where it is, or the second would not find it.
fn alone(rules: &mut [Rule]) {
    let all: Vec<Vec<String>> = rules.iter().flat_map(|rule| &rule.from).map(|p| p.steps.clone()).collect();
    for pointer in rules.iter_mut().flat_map(|rule| &mut rule.from) {
        let touches = |other: &&Vec<String>| other.starts_with(&pointer.steps) || pointer.steps.starts_with(other);
        pointer.alone = all.iter().filter(touches).count() == 1;
    }
}
