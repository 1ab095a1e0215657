//! Stream event → envelope.

use super::{ATTRIBUTES, events};
use crate::envelope::Envelope;
use crate::moment::Stamp;
use crate::object::Object;
use crate::{Context, Reason};
use event::Field;
use jiff::tz::TimeZone;

pub(super) fn read<'a>(text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
    let mut native = Object::parse(text)?;
    let name = native.needed("name")?;
    let utc = Context { zone: &TimeZone::UTC, ..*context };
    out.time(&mut native, "timestamp", Stamp::Micros, &utc)?;
    // Before the attributes are taken.
    let named = events::project_of(ATTRIBUTES, &mut native);
    let project = named.as_deref().or(context.project);
    id(&mut native, text, project, out);
    out.take(&mut native, "name", Field::Action);
    match native.inner(ATTRIBUTES) {
        Some(attributes) => events::fill(&name, ATTRIBUTES, attributes, out),
        None => events::fill(&name, ATTRIBUTES, &mut Object::default(), out),
    }
    if let Some(project) = project {
        events::project(&name, project, &mut native, out);
    }
    out.rest(native);
    Ok(())
}

/// Members that only one form of an event has, or whose spelling is not what they say.
const LEFT_OUT: &[&str] = &["version", "projectId", "timestamp", ATTRIBUTES];

/// There is no event id. Streamed or queried, an event has the same name, time and attributes, in whatever order; and all else that it
/// says, should Ory ever say more. Two projects may have events that say the same in the same second, so the project counts, whoever
/// says it.
fn id<'a>(native: &mut Object<'a>, text: &str, project: Option<&str>, out: &mut Envelope<'a>) {
    native.inner(ATTRIBUTES);
    let own = native.sorted();
    let attributes = native.looked_into(ATTRIBUTES).map(Object::sorted);
    let (Some(at), Some(attributes)) = (out.at(), attributes) else { return out.id_by_content(text) };
    let at = at.to_string();
    let mut parts = vec!["event", at.as_str()];
    parts.extend(project.into_iter().flat_map(|project| ["project", project]));
    for (what, members) in [("member", &own), ("attribute", &attributes)] {
        let counts = |name: &str| what == "attribute" || !LEFT_OUT.contains(&name);
        let members = members.iter().filter(|(name, _)| counts(name));
        members.for_each(|(name, raw)| parts.extend([what, name, raw]));
    }
    out.id_by_contents(&parts);
}
