//! The three shapes → envelope. Log lines (`wso2`) become the legacy shape and are read here too.

use super::{DIAGNOSTIC, DIAGNOSTIC_FIELDS, LEGACY, NAME, PAIR, PAIR_ACTION_ID, SEARCHED, V2_ACTION_ID, pair, webhook};
use crate::catalog::{self, Entry};
use crate::envelope::Envelope;
use crate::moment::{self, Stamp};
use crate::object::{Glance, Inside, Object};
use crate::{Context, Reason, pairs};
use event::Field;
use jiff::tz::TimeZone;
use std::borrow::Cow;

/// Types as they are usually spelled.
const TYPES: &[&str] =
    &["User", "System", "Action", "Application", "Flow", "Organization", "Role", "Group", "Client", "Admin"];

/// Members of `data` that fill a field. They stay where they are; which of them there are depends on the
/// action, and most records have one or two, so how each looks is known beforehand.
const DATA: &[Datum] = &[
    datum("ActionName", Field::TargetName),
    datum("RoleName", Field::TargetName),
    datum("GroupName", Field::TargetName),
    datum("RemoteAddress", Field::Ip),
    datum("User Agent", Field::UserAgent),
    datum("ServiceProviderName", Field::ClientName),
    datum("ServiceProvider", Field::ClientName),
    datum("RelyingParty", Field::ClientId),
    datum("clientId", Field::ClientId),
    datum("sessionContextId", Field::SessionId),
    datum("SessionContextId", Field::SessionId),
    datum("sessionId", Field::SessionId),
    datum("traceId", Field::RequestId),
    datum("impersonator", Field::ImpersonatorId),
];

/// What lines are remembered under, beside request and action.
pub(crate) const LINES: &str = "line";

/// A name, how it looks, and the field that it fills.
type Datum = (&'static str, Glance, Field);

const fn datum(name: &'static str, field: Field) -> Datum {
    (name, Glance::of(name), field)
}

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let mut native = Object::parse_into(text, &[Inside("data", &[])])?;
    if native.has("events") {
        return webhook::read(native, text, context, out);
    }
    if pair::is_pair(&mut native) {
        let legacy = native.take("legacy").unwrap_or_default();
        let v2 = native.take_object("v2").unwrap_or_default();
        return both(v2, legacy, context, out);
    }
    if pair::is_twin(&mut native) {
        return twin(native, context, out);
    }
    shape(native, context, out)
}

/// What a webhook posts.
pub(crate) fn hook<'a>(
    native: Object<'a>,
    text: &'a str,
    context: &Context<'_>,
    out: &mut Envelope<'a>,
) -> Result<(), Reason> {
    webhook::read(native, text, context, out)
}

/// A legacy record that [`pair::twin`] took out of a pair. The record that it belongs to is what tells it from others.
pub(crate) fn twin<'a>(mut native: Object<'a>, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let id = native.text("twin").unwrap_or_default().into_owned();
    let text = native.take("legacy").unwrap_or_default();
    let mut record = Object::parse(&text)?.into_owned();
    out.id_by_contents(&["twin", &id, &text]);
    out.twin(id);
    out.shape(LEGACY);
    legacy(&mut record, context, out)?;
    out.rest(record);
    Ok(())
}

/// Whether a member says anything: a list of all that there may be has `null` for what there is not.
fn says(native: &mut Object<'_>, name: &str) -> bool {
    native.has(name) && native.member(name).is_none_or(|raw| raw != "null")
}

/// Reads one record of any of the three shapes.
pub(crate) fn shape<'a>(mut native: Object<'a>, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    if says(&mut native, "logId") || says(&mut native, "resultStatus") {
        diagnostic(&mut native, context, out)?;
    } else if says(&mut native, "initiatorType") || says(&mut native, "recordedAt") {
        v2(&mut native, context, out)?;
    } else {
        out.shape(LEGACY);
        legacy(&mut native, context, out)?;
    }
    out.rest(native);
    Ok(())
}

/// v2, with what the same action was in legacy: JSON, or a line in quotes.
pub(crate) fn both<'a>(
    mut native: Object<'a>,
    legacy: Cow<'a, str>,
    context: &Context<'_>,
    out: &mut Envelope<'a>,
) -> Result<(), Reason> {
    let action_id = v2(&mut native, context, out)?;
    out.shape(if action_id { PAIR_ACTION_ID } else { PAIR });
    native.add("legacy", legacy);
    out.rest(native);
    Ok(())
}

/// The level of an event, by what is known of it.
fn level(known: Option<&'static Entry>, failed: bool) -> &'static str {
    if failed { "warn" } else { known.map_or("info", |entry| entry.level.as_str()) }
}

/// Tells whether the action stood under `actionId`.
fn v2<'a>(native: &mut Object<'a>, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<bool, Reason> {
    let key = if says(native, "action") || !says(native, "actionId") { "action" } else { "actionId" };
    let name = native.needed(key)?;
    let id = native.text("id").filter(|id| !id.is_empty());
    out.id(native, "id");
    recorded(native, context, out)?;
    let squeezed = catalog::squeeze(&name);
    if let Some(((id, request), at)) = id.zip(native.text("requestId")).zip(out.at()) {
        let verb = native.text("targetType").and_then(|kind| pair::verb(&squeezed, &kind).map(str::to_owned));
        for action in [Some(squeezed.as_ref()), verb.as_deref()].into_iter().flatten() {
            context.memory.said(&[&request, action], &id, at);
            if let Some(line) = context.memory.twin_of(&[LINES, &request, action], at) {
                out.twin(line);
            }
        }
    }
    let names = catalog::of(NAME);
    let known = names.get(&name).or_else(|| names.get_squeezed(&squeezed));
    out.known(known.is_some());
    out.set(Field::Log, known.map_or("audit", |entry| entry.log.as_str()));
    out.set(Field::Level, level(known, false));
    out.infer(Field::Outcome, "\"success\"");
    person(native, "initiatorId", (Field::ActorId, Field::ActorName), out);
    let of_action = native.text("targetType").is_some_and(|kind| kind.eq_ignore_ascii_case("action"));
    if of_action && native.text("targetId").is_some_and(|id| id.eq_ignore_ascii_case("system")) {
        out.copy(native, "data.ActionId", Field::TargetId);
        if let Some(mut listed) = listed(native) {
            out.copy(&mut listed, "ActionId", Field::TargetId);
        }
    }
    if out.is_empty(Field::TargetId) {
        person(native, "targetId", (Field::TargetId, Field::TargetName), out);
    }
    out.take_member(native, key, Field::Action);
    out.take(native, "requestId", Field::RequestId);
    usual(native, "initiatorType", Field::ActorType, out);
    usual(native, "targetType", Field::TargetType, out);
    out.take(native, "impersonatorId", Field::ImpersonatorId);
    data(native, out);
    if key == "actionId" {
        out.shape(V2_ACTION_ID);
    }
    Ok(key == "actionId")
}

/// The shape is the caller's to name.
pub(crate) fn legacy<'a>(native: &mut Object<'a>, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let name = native.needed("action")?;
    if out.at().is_none() {
        recorded(native, context, out)?;
    }
    let known = catalog::of(NAME).get_loose(&name);
    out.known(known.is_some());
    out.set(Field::Log, known.map_or("audit", |entry| entry.log.as_str()));
    let failed = result(native, out);
    out.set(Field::Level, level(known, failed));
    person(native, "initiatorId", (Field::ActorId, Field::ActorName), out);
    person(native, "target", (Field::TargetId, Field::TargetName), out);
    out.take(native, "action", Field::Action);
    out.take_json(native, "data.Changed-State", Field::New);
    if let Some(state) =
        listed(native).and_then(|mut data| data.take_member("Changed-State")).filter(|raw| raw != "null")
    {
        out.set_raw(Field::New, state);
    }
    data(native, out);
    Ok(())
}

/// Whether a record says that it failed.
pub(crate) fn failed(native: &mut Object<'_>) -> bool {
    let member = said_in(native);
    native.text(member).is_some_and(|result| matches!(outcome(&result), Some("failure" | "deny")))
}

/// The member that says how it ended: lines have it as either, and JSON made of them too.
fn said_in(native: &mut Object<'_>) -> &'static str {
    if native.has("result") { "result" } else { "outcome" }
}

/// What a result says; `None` where it says nothing.
fn outcome(result: &str) -> Option<&'static str> {
    Some(match result.trim().to_ascii_lowercase().as_str() {
        "" => return None,
        "success" | "successful" | "authorized" => "success",
        "failed" | "failure" | "error" => "failure",
        "unauthorized" | "denied" => "deny",
        _ => "unknown",
    })
}

/// Tells whether it failed. Words other than the two usual ones stay.
fn result(native: &mut Object<'_>, out: &mut Envelope<'_>) -> bool {
    let member = said_in(native);
    let Some(outcome) = native.text(member).as_deref().and_then(outcome) else {
        out.infer(Field::Outcome, "\"success\"");
        return false;
    };
    out.set(Field::Outcome, outcome);
    if native.raw("result").is_some_and(|raw| matches!(raw.as_ref(), "\"Success\"" | "\"Failed\"")) {
        native.take("result");
    }
    matches!(outcome, "failure" | "deny")
}

fn diagnostic<'a>(native: &mut Object<'a>, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let name = native.needed("actionId")?;
    let searched = !says(native, "logId") && says(native, "id");
    out.shape(if searched { SEARCHED } else { DIAGNOSTIC });
    out.id(native, if searched { "id" } else { "logId" });
    recorded(native, context, out)?;
    let known = catalog::of(NAME).get_loose(&name);
    out.known(known.is_some());
    out.set(Field::Log, known.map_or("event", |entry| entry.log.as_str()));
    let outcome = match native.text("resultStatus").as_deref() {
        Some("SUCCESS") => "success",
        Some("FAILED") => "failure",
        _ => "unknown",
    };
    if outcome != "unknown" {
        native.take("resultStatus");
    }
    out.set(Field::Outcome, outcome);
    out.set(Field::Level, level(known, outcome == "failure"));
    out.take_all(native, DIAGNOSTIC_FIELDS);
    if !out.is_empty(Field::ActorId) {
        out.set(Field::ActorType, "User");
    }
    Ok(())
}

/// The time of a record: a text, or Java's `Instant` as a library takes it apart.
fn recorded<'a>(native: &mut Object<'a>, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    match native.json("recordedAt") {
        Some(raw) if raw.starts_with(|c: char| c == '{' || c.is_ascii_digit()) => {
            let at = instant(native).filter(|at| moment::plausible(*at));
            let wanted = "a text such as 2026-11-20T12:00:00Z, or an object of `seconds` and `nanos`";
            out.set_line_time(at.ok_or_else(|| Reason::time("recordedAt", &raw, wanted))?, true);
            Ok(())
        }
        _ => out.time(native, "recordedAt", Stamp::Micros, context),
    }
}

/// Microseconds of `{seconds, nanos}`, as Jackson calls them `{epochSecond, nano}`, or of a number: seconds, or milliseconds where it is
/// too large for those. They stay: nanoseconds are more than we keep. Some libraries print numbers as texts, or as `1.795176E9`.
fn instant(native: &mut Object<'_>) -> Option<i64> {
    const UTC: &TimeZone = &TimeZone::UTC;
    let number = |raw: &str| raw.trim_matches('"').parse::<f64>().ok();
    let seconds = |raw: &str| {
        let rounded = || number(raw).filter(|n| n.abs() < 1e11).map(|n| (n * 1e6).round() as i64);
        moment::read(raw, Stamp::UnixSeconds, UTC).map(|(at, _)| at).or_else(rounded)
    };
    for [whole, nanos] in [["recordedAt.seconds", "recordedAt.nanos"], ["recordedAt.epochSecond", "recordedAt.nano"]] {
        if let Some(at) = native.raw(whole).map(|raw| seconds(raw)) {
            let nanos = native.raw(nanos).and_then(|raw| number(raw)).filter(|n| (0.0..1e9).contains(n));
            return at?.checked_add((nanos.unwrap_or(0.0) / 1e3) as i64);
        }
    }
    let raw = native.member("recordedAt")?;
    match number(raw)? {
        at if at.abs() < 1e11 => seconds(raw),
        at => Some((at * 1e3).round() as i64),
    }
}

/// Who somebody or something is. An id fills the first field; a masked one, which stays where it is, the second.
fn person<'a>(native: &mut Object<'a>, name: &str, fields: (Field, Field), out: &mut Envelope<'a>) {
    let Some(said) = native.member_text(name) else { return };
    if is_masked(&said) {
        out.set(fields.1, said);
    } else if let Some(at) = memchr::memchr(b'@', said.as_bytes()).filter(|at| said.get(..*at).is_some_and(is_uuid)) {
        out.set(fields.0, said.get(..at).unwrap_or_default().to_owned());
    } else {
        out.take_member(native, name, fields.0);
    }
}

/// Whether a name was masked. Most have no asterisk at all, which is sooner seen.
fn is_masked(name: &str) -> bool {
    memchr::memchr(b'*', name.as_bytes()).is_some() && name.contains("***")
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(
            |(i, b)| {
                if matches!(i, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_hexdigit() }
            },
        )
}

/// A type in its usual spelling; another one stays as well.
fn usual<'a>(native: &mut Object<'a>, name: &str, field: Field, out: &mut Envelope<'a>) {
    let said = native.member_text(name);
    let usual = said.and_then(|said| {
        let usual = TYPES.iter().find(|usual| usual.eq_ignore_ascii_case(&said))?;
        (**usual != said).then_some(*usual)
    });
    match usual {
        Some(usual) => out.set(field, usual),
        None => {
            out.take_member(native, name, field);
        }
    }
}

/// `data` that became a list of pairs on its way here. It stays as it is.
fn listed<'a>(native: &mut Object<'a>) -> Option<Object<'a>> {
    native.member("data").filter(|raw| raw.starts_with('[')).and_then(|raw| pairs::object(raw))
}

fn data<'a>(native: &mut Object<'a>, out: &mut Envelope<'a>) {
    let mut listed = listed(native);
    let Some(data) = listed.as_mut().or_else(|| native.inner("data")) else { return };
    for (name, glance, field) in DATA {
        if !data.may_have(*glance) {
            continue;
        }
        if let Some(raw) = data.json(name).filter(|raw| raw.starts_with('"') && !matches!(raw.as_ref(), "\"null\"")) {
            out.copy_json(raw, *field);
        }
    }
    // Whose session it was, or whom the token is for.
    if let Some(user) = data.text("AuthenticatedUser") {
        out.set(if is_masked(&user) { Field::SubjectName } else { Field::SubjectId }, user);
        out.set(Field::SubjectType, "User");
    }
}
