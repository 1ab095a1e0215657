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
    out.id_by_content(text);
    let utc = Context { zone: &TimeZone::UTC, ..*context };
    out.time(&mut native, "timestamp", Stamp::Micros, &utc)?;
    out.take(&mut native, "name", Field::Action);
    match native.inner(ATTRIBUTES) {
        Some(attributes) => events::fill(&name, ATTRIBUTES, attributes, out),
        None => events::fill(&name, ATTRIBUTES, &mut Object::default(), out),
    }
    events::project(&name, ATTRIBUTES, &mut native, context, out);
    out.rest(native);
    Ok(())
}
