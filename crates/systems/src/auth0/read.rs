//! A log entry, in either shape → envelope.

use super::{FIELDS, NAME, STREAM};
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::object::Object;
use crate::{Context, Reason, catalog};
use event::Field;

/// Codes whose spelling says something else than what happened.
const IRREGULAR: &[(&str, &str)] = &[
    ("acls_summary", "unknown"),
    ("acul_sdk_notice", "unknown"),
    ("api_limit_warning", "unknown"),
    ("gd_auth_rejected", "deny"),
    ("gd_otp_rate_limit_exceed", "deny"),
    ("pla", "unknown"),
    ("pwd_leak", "deny"),
    ("reset_pwd_leak", "deny"),
    ("signup_pwd_leak", "deny"),
    ("ss_sso_info", "unknown"),
];

/// Families of codes, by how they begin.
const BEGINNINGS: &[(&str, &str)] =
    &[("api_limit", "deny"), ("limit_", "deny"), ("failed_", "failure"), ("success_", "success")];

/// And by how they end.
const ENDINGS: &[(&str, &str)] = &[
    ("_failed", "failure"),
    ("_failure", "failure"),
    ("_error", "failure"),
    ("_succeeded", "success"),
    ("_succeed", "success"),
    ("_success", "success"),
    ("_completed", "success"),
    ("_complete", "success"),
    ("_added", "success"),
];

/// Where others' events have an entry, and what it then has.
const DELIVERED: &[(&str, &str)] = &[("data", "data.data.type"), ("detail", "detail.data.type")];

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let mut native = Object::parse(text)?;
    // Event Grid and EventBridge pass an entry of the stream on inside an event of their own.
    if !native.has("log_id")
        && !native.has("_id")
        && let Some((name, _)) = DELIVERED.iter().find(|(_, entry)| native.has(entry))
    {
        let mut inside = native.take_object(name).unwrap_or_default();
        inside.add_object("delivered", native);
        native = inside;
    }
    if native.has("data.type") && !native.has("type") {
        out.shape(STREAM);
        out.id(&mut native, "log_id");
        let data = native.inner("data").ok_or_else(|| Reason::missing("data", None))?;
        entry(data, context, out)?;
    } else {
        if !["log_id", "_id", "date"].iter().any(|name| native.has(name)) {
            return Err(Reason::new("not_an_event", "the record is no log entry: it has neither `log_id` nor `date`"));
        }
        let id = if native.has("log_id") { "log_id" } else { "_id" };
        out.id(&mut native, id);
        entry(&mut native, context, out)?;
    }
    out.rest(native);
    Ok(())
}

fn entry<'a>(entry: &mut Object<'a>, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let kind = entry.needed("type")?;
    out.time(entry, "date", Stamp::Millis, context)?;
    let known = catalog::of(NAME).get(&kind);
    out.known_with_outcome(known.is_some());
    // A call of the Management API that failed, which is in no list of Auth0's.
    let unlisted = if kind == "fapi" { "audit" } else { "event" };
    out.set(Field::Log, known.map_or(unlisted, |entry| entry.log.as_str()));
    let outcome = outcome(&kind);
    out.set(Field::Outcome, outcome);
    let went_wrong = matches!(outcome, "failure" | "deny");
    out.set(Field::Level, if went_wrong { "warn" } else { known.map_or("info", |entry| entry.level.as_str()) });
    out.take_all(entry, FIELDS);
    if matches!(kind.as_ref(), "sapi" | "fapi") {
        // What was changed through the Management API has no other name.
        out.copy(entry, "details.request.path", Field::TargetName);
    }
    if went_wrong {
        // A text in some types, an object with a message in others.
        out.take(entry, "details.error", Field::ErrorCode);
    }
    Ok(())
}

/// How what a code stands for ended.
pub(super) fn outcome(kind: &str) -> &'static str {
    if let Some((_, outcome)) = IRREGULAR.iter().find(|(code, _)| *code == kind) {
        return outcome;
    }
    if let Some((_, outcome)) = BEGINNINGS.iter().find(|(start, _)| kind.starts_with(start)) {
        return outcome;
    }
    if let Some((_, outcome)) = ENDINGS.iter().find(|(end, _)| kind.ends_with(end)) {
        return outcome;
    }
    // The short codes begin with `s` or `f`; the few that only seem to are words and stand above.
    let short = !kind.contains('_');
    match kind.as_bytes().first() {
        Some(b's') if short => "success",
        Some(b'f') if short => "failure",
        _ if catalog::of(NAME).get(kind).is_some_and(|entry| entry.level == "info") => "success",
        _ => "unknown",
    }
}
