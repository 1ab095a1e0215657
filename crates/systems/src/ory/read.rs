//! Span event, or the body of an Action → envelope.

use super::{ACTION_MARK, TRACE_MARK};
use crate::change::Change;
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::object::{self, Inside, Object, decode};
use crate::ory_network::events::{self, NO_ID};
use crate::{Context, Reason, moment, sessions};
use event::Field;
use event::json::Reader;
use std::borrow::Cow;
use std::net::IpAddr;

/// Headers that say whose request it was, in the order that Ory itself believes them. Only those are here that
/// the server is configured to pass on.
const ADDRESSES: &[&str] = &["True-Client-Ip", "Cf-Connecting-Ip", "X-Real-Ip"];

/// What proxies write whom they were asked by into; it counts where none of the others says anything.
const FORWARDED: &str = "X-Forwarded-For";

/// Self-service flows, and those of them that end in a session. The others happen within one.
const FLOWS: &[&str] = &["login", "registration", "recovery", "verification", "settings"];
const BEGINS: &[&str] = &["login", "registration", "recovery"];

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let mut native = Object::parse_into(text, &[Inside("attributes", &[])])?;
    out.id_by_content(text);
    if native.has("timeUnixNano") {
        span_event(&mut native, context, out)?;
    } else if native.has("flow") || native.has("identity") {
        action(&mut native, text, context, out)?;
    } else {
        return Err(Reason::new(
            "not_an_event",
            "the record is neither a trace nor an Action's `function(ctx) ctx`; describe other bodies in a mapping",
        ));
    }
    out.rest(native);
    Ok(())
}

fn span_event<'a>(native: &mut Object<'a>, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let name = native.needed("name")?;
    out.shape(TRACE_MARK);
    // What is 0 is not known: Protocol Buffers write no difference.
    if native.raw("timeUnixNano").is_some_and(|raw| raw.trim_matches('"') == "0") {
        out.no_time();
    } else {
        out.time(native, "timeUnixNano", Stamp::UnixNanos, context)?;
    }
    out.take_all(native, &[("name", Field::Action), ("traceId", Field::TraceId), ("spanId", Field::SpanId)]);
    match native.inner("attributes") {
        Some(attributes) => events::fill(&name, "attributes", attributes, out),
        None => events::fill(&name, "attributes", &mut Object::default(), out),
    }
    // The reason's older name is another mark, and this one is what people need to see.
    out.shape(TRACE_MARK);
    Ok(())
}

fn action<'a>(
    native: &mut Object<'a>,
    text: &str,
    context: &Context<'_>,
    out: &mut Envelope<'a>,
) -> Result<(), Reason> {
    out.shape(ACTION_MARK);
    out.time(native, "timestamp", Stamp::Millis, context)?;
    let mut flow = native.text("request_url").and_then(|url| flow_of(&url)).or_else(|| flow_behind(native));
    if out.take(native, "event", Field::Action) {
        let event = out.text(Field::Action).unwrap_or_default();
        flow = FLOWS.iter().find(|flow| **flow == event).copied().or(flow);
    } else {
        let flow = flow.ok_or_else(|| unnamed(native))?;
        out.infer(Field::Action, format!("\"{flow}\""));
    }
    out.set(Field::Log, "event");
    out.set(Field::Level, "info");
    // Before an identity is stored its id is all zeros, and whether it will be nobody knows.
    let stored = object::at(text, &["identity", "id"]).is_none_or(|raw| raw.trim_matches('"') != NO_ID);
    if stored && object::at(text, &["identity"]).is_some_and(|identity| identity.starts_with('{')) {
        out.infer(Field::Outcome, "\"success\"");
    } else {
        out.set(Field::Outcome, "unknown");
    }
    if let Some(request) = context.request {
        out.set(Field::RequestId, request.to_owned());
    }
    identity(native, text, context, out);
    // Before a new session is stored its id is all zeros; that is nobody's.
    if native.text("session.id").is_some_and(|id| id != NO_ID) {
        out.take(native, "session.id", Field::SessionId);
    }
    if let Some(end) =
        object::at(text, &["session", "expires_at"]).and_then(|end| moment::read(end, Stamp::Micros, context.zone))
    {
        out.set_time(Field::SessionExpiresAt, end.0);
    }
    if flow.is_some_and(|flow| BEGINS.contains(&flow)) {
        begun(text, context, out);
    }
    if let Some(address) = address(text) {
        out.set(Field::Ip, address.to_string());
    }
    let device = device(text);
    let agents = [header(text, "User-Agent"), device.and_then(|device| object::at(device, &["user_agent"]))];
    agents.into_iter().flatten().for_each(|raw| out.copy_raw(raw, Field::UserAgent));
    if let Some(raw) = device.and_then(|device| object::at(device, &["ip_address"])) {
        match decode(&Cow::Borrowed(raw)).and_then(|text| events::without_port(&text)) {
            Some(address) if out.is_empty(Field::Ip) => out.set(Field::Ip, address),
            _ => out.copy_raw(raw, Field::Ip),
        }
    }
    Ok(())
}

/// The device of the request: the last one that the session was used from, for a second factor or once more.
fn device(text: &str) -> Option<&str> {
    let mut last = None;
    let mut r = Reader::new(object::at(text, &["session", "devices"])?);
    let read = object::each(&mut r, &mut |r| r.skip(1).map(|device| last = Some(device)));
    read.ok().and(last)
}

/// Whose request it was, as its headers say: what is no address says nothing.
fn address(text: &str) -> Option<IpAddr> {
    let read = |raw: &str| -> Option<IpAddr> { decode(&Cow::Borrowed(raw))?.trim().parse().ok() };
    let direct = ADDRESSES.iter().find_map(|name| header(text, name).and_then(read));
    direct.or_else(|| {
        // Each proxy adds whom it was asked by; those in front of the server have addresses of its own network.
        let mut lines = Vec::new();
        let list = all(text, FORWARDED)?;
        if list.starts_with('[') {
            let mut r = Reader::new(list);
            object::each(&mut r, &mut |r| r.skip(1).map(|line| lines.push(line))).ok()?;
        } else {
            lines.push(list);
        }
        let lines: Vec<_> = lines.into_iter().filter_map(|raw| decode(&Cow::Borrowed(raw))).collect();
        let mut addresses =
            lines.iter().flat_map(|line| line.split(',')).filter_map(|one| one.trim().parse::<IpAddr>().ok());
        addresses.rfind(|address| !is_private(address))
    })
}

/// An address of a network that is not the world's.
fn is_private(address: &IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// A request's header, by its name in whatever case: a list, as Go has it, or the one text that somebody's Jsonnet made of that.
fn all<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut found = None;
    let mut r = Reader::new(object::at(text, &["request_headers"])?);
    let read = object::members(&mut r, &mut |key, r| {
        let value = r.skip(1)?;
        if key.eq_ignore_ascii_case(name) {
            found.get_or_insert(value);
        }
        Ok(())
    });
    read.ok().and(found)
}

/// The first of such a header's lines.
fn header<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let header = all(text, name)?;
    if header.starts_with('[') { object::at(header, &["0"]) } else { Some(header) }
}

/// That nothing says which flow an Action is of.
fn unnamed(native: &mut Object<'_>) -> Reason {
    let url = if native.has("request_url") { "is of no self-service flow" } else { "is missing" };
    Reason::new(
        "missing_field",
        format!(
            "nothing says what happened: the Action has no `event`, and its `request_url` {url}; send `function(ctx) ctx`, or name the flow: `function(ctx) ctx + {{ event: \"login\" }}`"
        ),
    )
}

/// After a flow that ends in a session: it lives, as of the sign-in. An Action may be sent long after that, and has no time of
/// its own; with that of its arrival it would outlast a revocation in between.
fn begun(text: &str, context: &Context<'_>, out: &mut Envelope<'_>) {
    let member = |name| object::at(text, &["session", name]);
    let at = member("authenticated_at").and_then(|at| moment::read(at, Stamp::Micros, context.zone));
    let known = out.at().is_some();
    if let (false, Some((at, _))) = (known, at) {
        out.infer_time(at);
    }
    if member("active") == Some("true") && (known || at.is_some()) {
        sessions::session(out, "active", true);
    }
}

/// Whose flow it was. After a flow that changes the identity, the record says what it is now.
///
/// Two Actions may overtake each other, and have no time of their own: which state is the newer one the identity says.
fn identity<'a>(native: &mut Object<'a>, text: &str, context: &Context<'_>, out: &mut Envelope<'a>) {
    let updated = object::at(text, &["identity", "updated_at"]);
    let updated = updated.and_then(|at| moment::read(at, Stamp::Micros, context.zone)).map(|(at, _)| at);
    let id = object::at(text, &["identity", "id"]).and_then(|raw| decode(&Cow::Borrowed(raw)).map(Cow::into_owned));
    if id.as_deref() == Some(NO_ID) {
        return;
    }
    let action = out.text(Field::Action).map(Cow::into_owned).unwrap_or_default();
    if let Some(id) = id.filter(|id| !id.is_empty())
        && let Some(change) = events::change(&action, &id)
    {
        out.set(Field::ActorId, id.clone());
        out.set(Field::ActorType, "identity");
        out.set(Field::TargetId, id);
        out.set(Field::TargetType, "identity");
        out.take_json(native, "identity", Field::New);
        out.change(Some(Change { at: updated, ..change }));
    } else if out.take(native, "identity.id", Field::ActorId) {
        out.set(Field::ActorType, "identity");
    }
}

/// Which flow led to another system and back (`/self-service/methods/oidc/callback/google`): that address says nothing of it, and the
/// flow's own one may be such an address as well, where it became a sign-up on the way; then it is known by what it has.
fn flow_behind(native: &mut Object<'_>) -> Option<&'static str> {
    let back = |url: &str| ["/self-service/methods/", "/self-service/fed-cm/"].iter().any(|path| url.contains(path));
    native.text("request_url").filter(|url| back(url))?;
    let begun = native.text("flow.request_url").and_then(|url| flow_of(&url));
    begun.or_else(|| {
        let flow = native.inner("flow")?;
        let kinds =
            [("requested_aal", "login"), ("refresh", "login"), ("identity", "settings"), ("ui", "registration")];
        kinds.iter().find(|(name, _)| flow.has(name)).map(|(_, flow)| *flow)
    })
}

/// Which flow a self-service address is of: `…/self-service/registration?flow=…`.
fn flow_of(url: &str) -> Option<&'static str> {
    let (_, rest) = url.split_once("/self-service/")?;
    FLOWS
        .iter()
        .copied()
        .find(|flow| rest.strip_prefix(flow).is_some_and(|after| after.is_empty() || after.starts_with(['?', '/'])))
}
