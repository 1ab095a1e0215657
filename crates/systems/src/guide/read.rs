//! A record of one of the six logs → envelope.

use super::labels::{Labels, WANTED};
use super::{NAME, csv, diff};
use crate::catalog::squeeze;
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::object::{Object, decode};
use crate::{Context, Reason, moment};
use event::Field;
use event::json::{Reader, write_string};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What a log's labels fill.
struct Log {
    name: &'static str,
    /// Labels without which a record says nothing, or nothing of anything: one of these, and how it is called where it is missed.
    must: (&'static [&'static str], &'static str),
    /// Labels of its time, the better first.
    time: &'static [&'static str],
    /// Its own id, where each record is a new one; otherwise a status of something that has an id.
    records: bool,
    fields: &'static [(&'static str, Field)],
    /// Where its status goes.
    status: Option<Field>,
    /// People and things that come as a name, an address, or an object with both.
    named: &'static [(&'static str, Named)],
}

/// Where the parts of something named go.
struct Named {
    id: Field,
    name: Field,
    email: Option<Field>,
}

const LOGS: &[Log] = &[
    Log {
        name: "audit",
        must: (&["action"], "Action"),
        time: &["timestamp", "createdat"],
        records: true,
        fields: &[("action", Field::Action), ("comments", Field::Comments)],
        status: None,
        named: &[
            ("actor", Named { id: Field::ActorId, name: Field::ActorName, email: Some(Field::ActorEmail) }),
            ("target", Named { id: Field::TargetId, name: Field::TargetName, email: None }),
            ("subject", Named { id: Field::SubjectId, name: Field::SubjectName, email: None }),
            ("clientactor", Named { id: Field::ClientActorId, name: Field::ClientActorName, email: None }),
        ],
    },
    Log {
        name: "event",
        must: (&["eventtype"], "Event Type"),
        time: &["createdon", "timestamp"],
        records: true,
        fields: &[
            ("eventtype", Field::Action),
            ("clientname", Field::ClientName),
            ("providername", Field::ProviderName),
            ("email", Field::Email),
            ("username", Field::Username),
            ("sessionid", Field::SessionId),
        ],
        status: None,
        named: &[],
    },
    Log {
        name: "job",
        must: (&["jobid", "jobname"], "Job Id"),
        time: &["updatedat", "createdat"],
        records: false,
        fields: &[
            ("jobid", Field::JobId),
            ("jobname", Field::JobName),
            ("jobtype", Field::JobType),
            ("message", Field::Message),
            ("stacktrace", Field::JobStacktrace),
        ],
        status: Some(Field::JobStatus),
        named: &[],
    },
    Log {
        name: "notification",
        must: (&["recipient", "subject"], "Recipient"),
        time: &["timestamp", "createdat"],
        records: false,
        fields: &[
            ("id", Field::NotificationId),
            ("notificationid", Field::NotificationId),
            ("subject", Field::NotificationSubject),
            ("category", Field::NotificationCategory),
            ("body", Field::NotificationBody),
            ("details", Field::NotificationBody),
        ],
        status: Some(Field::NotificationStatus),
        named: &[],
    },
    Log {
        name: "session",
        must: (&["sessionid"], "Session ID"),
        time: &["createdat"],
        records: false,
        fields: &[
            ("sessionid", Field::SessionRefId),
            ("protocol", Field::SessionProtocol),
            ("clientid", Field::ClientId),
            ("userid", Field::SessionUserId),
        ],
        status: Some(Field::SessionStatus),
        named: &[],
    },
    Log {
        name: "grant",
        must: (&["grantid"], "Grant ID"),
        time: &["createdat"],
        records: false,
        fields: &[("grantid", Field::GrantId), ("email", Field::Email), ("sessionid", Field::SessionId)],
        status: Some(Field::GrantStatus),
        named: &[
            ("provider", Named { id: Field::ProviderId, name: Field::ProviderName, email: None }),
            ("client", Named { id: Field::ClientId, name: Field::ClientName, email: None }),
        ],
    },
];

/// Labels that any log may have: columns of our own exports that the guide's tables do not show.
const COMMON: &[(&str, Field)] = &[
    ("ipaddress", Field::Ip),
    ("useragent", Field::UserAgent),
    ("requestid", Field::RequestId),
    ("errorcode", Field::ErrorCode),
];

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let mut native = Object::parse(text).map_err(|reason| no_object(text, reason))?;
    let mut of_table = None;
    if let Some((log, row)) = csv::row(&mut native) {
        (of_table, native) = (Some(log), row);
    }
    let labels = Labels::new(native.keys());
    let name = of_table.map_or_else(|| labels.log(), Ok)?;
    let log = LOGS.iter().find(|log| log.name == name).ok_or_else(|| Reason::missing(name, None))?;
    let (must, shown) = log.must;
    if !must.iter().any(|label| labels.name(label).is_some_and(|name| said(&mut native, name))) {
        return Err(Reason::missing(shown, None));
    }
    id(log, &labels, &mut native, text, out);
    out.set(Field::Log, log.name);
    let time = log.time.iter().filter_map(|label| labels.name(label)).find(|name| said(&mut native, name));
    match time {
        Some(name) => out.time(&mut native, name, Stamp::Table, context)?,
        None => out.no_time(),
    }
    if !log.records {
        created(&labels, time, &mut native, context, out);
    }
    for (label, field) in log.fields.iter().chain(COMMON) {
        if let Some(name) = labels.name(label) {
            out.take(&mut native, name, *field);
            // Numbers are ids of users, jobs and the like.
            out.copy(&mut native, name, *field);
        }
    }
    for (label, place) in log.named {
        if let Some(name) = labels.name(label) {
            named(&mut native, name, place, out);
        }
    }
    if let (Some(field), Some(name)) = (log.status, labels.name("lateststatus").or_else(|| labels.name("status"))) {
        word(&mut native, name, field, out);
    }
    // When it ends: a session or grant that is past it reads as expired.
    let ends = match log.name {
        "session" => Some(Field::SessionExpiresAt),
        "grant" => Some(Field::GrantExpiresAt),
        _ => None,
    };
    if let (Some(field), Some(name)) = (ends, labels.name("expiresat"))
        && let Some((at, _)) = native.raw(name).and_then(|raw| moment::read(raw, Stamp::Table, context.zone))
    {
        out.set_time(field, at);
    }
    match log.name {
        "audit" => audit(&labels, &mut native, out),
        "notification" => {
            addressees(&labels, &mut native, out);
            body(&labels, &mut native, out);
        }
        "session" => details(&labels, &mut native, SESSION_DETAILS, out),
        "grant" => details(&labels, &mut native, GRANT_DETAILS, out),
        "job" => unnamed(&labels, &mut native, out),
        _ => {}
    }
    outcome(log, &labels, &mut native, out);
    out.rest(native);
    Ok(())
}

/// Why a text is not read that is no object: it may be a line of a table that nobody knows.
fn no_object(text: &str, reason: Reason) -> Reason {
    let mut r = Reader::new(text);
    let json = text.trim_start().starts_with(['{', '[']) || (r.skip_whole().is_ok() && r.end().is_ok());
    if json {
        return reason;
    }
    let detail = format!(
        "the line is no JSON object, and the first line of the file has the headings of none of the six logs, with commas, \
         semicolons or tabs between them: {WANTED}"
    );
    Reason::new("unknown_log", detail)
}

fn said(native: &mut Object<'_>, name: &str) -> bool {
    native.raw(name).is_some_and(|raw| !matches!(raw.as_ref(), "null" | "\"\""))
}

/// A record's own id; a number counts within its log. What is a status of something gets a hash.
fn id<'a>(log: &Log, labels: &Labels<'_>, native: &mut Object<'a>, text: &str, out: &mut Envelope<'a>) {
    if let Some(name) = labels.name("id").filter(|_| log.records) {
        out.id(native, name);
        let number = native.raw(name).filter(|raw| raw.bytes().all(|b| b.is_ascii_digit())).cloned();
        if let Some(number) = number.filter(|_| out.is_empty(Field::Id)) {
            out.id_by(&[NAME, log.name, &number]);
        }
    }
    if out.is_empty(Field::Id) {
        out.id_by_content(text);
    }
}

/// A text that is an address or a name, or an object with an id, a name, an address.
fn named<'a>(native: &mut Object<'a>, name: &str, place: &Named, out: &mut Envelope<'a>) {
    if let Some(inside) = native.inner(name) {
        let labels = Labels::new(inside.keys());
        let parts: [(&[&str], Option<Field>); 3] = [
            (&["id"], Some(place.id)),
            (&["email"], place.email),
            (&["name", "displayname", "username", "clientname"], Some(place.name)),
        ];
        for (alternatives, field) in parts {
            for own in alternatives.iter().filter_map(|label| labels.name(label)) {
                if let Some(field) = field {
                    out.take(inside, own, field);
                    out.copy(inside, own, field);
                }
            }
        }
        return;
    }
    let address = native.text(name).is_some_and(|text| text.contains('@'));
    out.take(native, name, place.email.filter(|_| address).unwrap_or(place.name));
    out.copy(native, name, place.id);
}

/// What others call a state, by the field's own word for it.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("pending", &["queued", "waiting"]),
    ("running", &["inprogress"]),
    ("success", &["completed", "succeeded", "done"]),
    ("failed", &["error"]),
    ("cancelled", &["canceled"]),
];

/// What others call how something ended, without their case and what is no letter.
const ENDED: &[(&str, &[&str])] = &[
    ("success", &["ok", "succeeded", "successful", "completed", "passed", "allowed", "granted", "true", "yes"]),
    ("failure", &["fail", "failed", "error", "unsuccessful", "invalid", "false", "no"]),
    ("deny", &["denied", "blocked", "rejected", "refused", "forbidden"]),
];

/// A word that the field knows, in whatever case, or a usual one for the same; another one stays.
fn word<'a>(native: &mut Object<'a>, name: &str, field: Field, out: &mut Envelope<'a>) {
    let Some(given) = native.text(name) else { return };
    let lower = squeeze(&given);
    let usual = if field == Field::Outcome { ENDED } else { SYNONYMS };
    let meant =
        usual.iter().find(|(_, others)| others.contains(&lower.as_ref())).map_or(lower.as_ref(), |(own, _)| own);
    let words = event::parse::allowed(field).unwrap_or_default();
    if let Some(known) = words.iter().find(|word| **word == meant) {
        out.set(field, *known);
        if given == *known {
            native.take(name);
        }
    }
}

fn audit<'a>(labels: &Labels<'_>, native: &mut Object<'a>, out: &mut Envelope<'a>) {
    for (label, field) in [("oldentity", Field::Old), ("newentity", Field::New)] {
        if let Some(name) = labels.name(label) {
            entity(native, name, field, out);
        }
    }
    if let Some(name) = labels.name("diff") {
        let given = native.raw(name).cloned().unwrap_or_default();
        let json = if given.starts_with('"') { decode(&given).unwrap_or_default() } else { given };
        if let Some(diff) = diff::with_both_underscores(&json).filter(|diff| diff.starts_with(['{', '['])) {
            native.take(name);
            out.set_raw(Field::Diff, diff);
        }
    }
    // "update IdentityProvider" says what kind of thing its target is.
    let action = labels.name("action").and_then(|name| native.text(name)).or_else(|| out.text(Field::Action));
    let kind = action.as_deref().and_then(|action| action.split_once(' ')).map(|(_, kind)| kind.trim().to_owned());
    if let Some(kind) = kind.filter(|kind| !kind.is_empty() && out.is_empty(Field::TargetType)) {
        let mut raw = String::new();
        write_string(&mut raw, &kind);
        out.infer(Field::TargetType, raw);
    }
}

/// When what a record tells of began, where that is another time than that of the record: a job that was updated.
fn created<'a>(
    labels: &Labels<'_>,
    time: Option<&str>,
    native: &mut Object<'a>,
    context: &Context<'_>,
    out: &mut Envelope<'a>,
) {
    let Some(name) = labels.name("createdat").filter(|name| time.is_some_and(|time| time != *name)) else { return };
    // What cannot be read stays as it came, and the first record tells when it began.
    if let Some((at, _)) = native.raw(name).and_then(|raw| moment::read(raw, Stamp::Table, context.zone)) {
        out.created(at);
    }
}

/// A job whose id was left out: its name and when it was made are the same in each of its records, and without an id none of them
/// would be seen among the jobs.
fn unnamed<'a>(labels: &Labels<'_>, native: &mut Object<'a>, out: &mut Envelope<'a>) {
    let Some(name) = out.text(Field::JobName).filter(|_| out.is_empty(Field::JobId)) else { return };
    let made = labels.name("createdat").and_then(|created| native.text(created));
    let mut raw = String::new();
    write_string(&mut raw, made.map_or(name.to_string(), |made| format!("{name} {made}")).trim());
    out.infer(Field::JobId, raw);
}

/// An entity as JSON, or as JSON in a text where it is whole.
fn entity<'a>(native: &mut Object<'a>, name: &str, field: Field, out: &mut Envelope<'a>) {
    let quoted = native.raw(name).is_some_and(|raw| raw.starts_with('"'));
    if !quoted {
        out.take_json(native, name, field);
    } else if native.text(name).is_some_and(|text| text.trim_start().starts_with(['{', '['])) {
        out.take_quoted_json(native, name, field);
    }
}

/// Addresses as a list, or as one text with commas or semicolons.
fn addressees<'a>(labels: &Labels<'_>, native: &mut Object<'a>, out: &mut Envelope<'a>) {
    for (label, field) in
        [("recipient", Field::NotificationRecipient), ("cc", Field::NotificationCc), ("bcc", Field::NotificationBcc)]
    {
        let Some(name) = labels.name(label) else { continue };
        let Some(raw) = native.raw(name).cloned() else { continue };
        if raw.starts_with('[') {
            let texts: Option<Vec<Cow<'_, str>>> = serde_json::from_str(&raw).ok();
            if texts.is_some_and(|texts| !texts.is_empty()) {
                native.take(name);
                out.set_raw(field, raw);
            }
            continue;
        }
        let Some(text) = decode(&raw) else { continue };
        let mut list = String::from("[");
        for address in apart(&text).into_iter().map(str::trim).filter(|address| !address.is_empty()) {
            if list.len() > 1 {
                list.push(',');
            }
            write_string(&mut list, address);
        }
        if list.len() > 1 {
            list.push(']');
            native.take(name);
            out.set_raw(field, list);
        }
    }
}

/// What stands between commas or semicolons. Those inside of quotes are part of a name: `"Doe, J" <j@example.com>`.
fn apart(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            ',' | ';' if !quoted => {
                parts.extend(text.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
    }
    if quoted {
        // A quote that is never closed is no quote.
        return text.split([',', ';']).collect();
    }
    parts.extend(text.get(from..));
    parts
}

/// What details say that the envelope has a field for.
const SESSION_DETAILS: &[(&str, Field)] =
    &[("claims", Field::SessionClaims), ("tokenclaims", Field::SessionClaims), ("scopes", Field::SessionScopes)];
const GRANT_DETAILS: &[(&str, Field)] =
    &[("claims", Field::GrantClaims), ("tokenclaims", Field::GrantClaims), ("scopes", Field::GrantScopes)];

/// Takes those out of the details, which a cell of a table has as JSON in a text: not everybody who may read the record may read them.
fn details<'a>(labels: &Labels<'_>, native: &mut Object<'a>, fields: &[(&str, Field)], out: &mut Envelope<'a>) {
    let Some(name) = labels.name("details") else { return };
    let quoted = native.text(name).filter(|text| text.trim_start().starts_with('{'));
    let opened = quoted.filter(|text| serde_json::from_str::<&RawValue>(text).is_ok());
    if let Some(inside) = opened.and_then(|text| Object::parse(&text).ok().map(Object::into_owned)) {
        native.take(name);
        native.add_object(name.to_owned(), inside);
    }
    let Some(inside) = native.inner(name) else { return };
    let own = Labels::new(inside.keys());
    for (label, field) in fields {
        if let Some(name) = own.name(label) {
            out.take_json(inside, name, *field);
        }
    }
}

/// Details of a notification that are no text: its body all the same, for those who may read bodies.
fn body<'a>(labels: &Labels<'_>, native: &mut Object<'a>, out: &mut Envelope<'a>) {
    for label in ["body", "details"] {
        if let Some(name) = labels.name(label).filter(|_| out.is_empty(Field::NotificationBody))
            && let Some(raw) = native.raw(name).filter(|raw| raw.starts_with(['{', '['])).cloned()
        {
            native.take(name);
            out.set(Field::NotificationBody, raw);
        }
    }
}

/// How it ended, if the record says so: a column of our own exports, a status, or the event's type.
fn outcome<'a>(log: &Log, labels: &Labels<'_>, native: &mut Object<'a>, out: &mut Envelope<'a>) {
    if let Some(name) = labels.name("outcome") {
        word(native, name, Field::Outcome, out);
        let said = native.raw(name).map_or("null", |raw| raw.as_ref());
        match said {
            "true" => out.set(Field::Outcome, "success"),
            "false" => out.set(Field::Outcome, "failure"),
            // In a word that nobody knows: no guess is better than the record's own.
            said if out.is_empty(Field::Outcome) && !matches!(said, "null" | "\"\"") => {
                out.infer(Field::Outcome, "\"unknown\"");
            }
            _ => {}
        }
    }
    let told = || (log.name == "event").then(|| ending(&out.text(Field::Action).unwrap_or_default())).flatten();
    if !out.is_empty(Field::Outcome) {
        // As it says itself.
    } else if let Some(outcome) = told() {
        // The type's own words say so, and nothing else.
        out.infer(Field::Outcome, format!("\"{outcome}\""));
    } else {
        let status = log.status.and_then(|field| out.text(field)).unwrap_or_default();
        let outcome = match (log.name, status.as_ref()) {
            // What is logged there was done.
            ("audit" | "event", _) => "success",
            (_, "success" | "sent" | "active") => "success",
            (_, "failed" | "bounced") => "failure",
            _ => "unknown",
        };
        out.set(Field::Outcome, outcome);
    }
    let went_wrong = out.text(Field::Outcome).is_some_and(|outcome| outcome == "failure" || outcome == "deny");
    out.set(Field::Level, if went_wrong { "warn" } else { "info" });
}

/// How an event ended that says so in its type alone: `Login Failed`, `LOGIN_ERROR`, `accountLocked`. `None` where no word of it does.
fn ending(kind: &str) -> Option<&'static str> {
    let mut words: Vec<String> = vec![String::new()];
    let mut lower = false;
    for c in kind.chars() {
        if !c.is_alphanumeric() || (lower && c.is_uppercase()) {
            words.push(String::new());
        }
        lower = c.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    let has = |any: &[&str]| words.iter().any(|word| any.contains(&word.as_str()));
    // What was wrong is right again.
    if has(&["reset", "clear", "cleared", "resolved", "unlock", "unlocked"]) {
        return None;
    }
    if has(&["fail", "fails", "failed", "failure", "error", "errors", "invalid", "denied"]) {
        return Some("failure");
    }
    has(&["lock", "locked", "lockout", "blocked"]).then_some("deny")
}
