//! An export request in JSON, logs or traces, walked in one pass.
//!
//! Owns: which resource and scope an item belongs to, and how exporters write an attribute as a rule. Not here: what an item is, and
//! what becomes of it.

use crate::object::{each, members};
use event::json::{JsonError, Reader};

/// What the lists of a request are called: those of resources, of scopes, and of the items themselves.
pub(crate) struct Lists {
    pub(crate) resources: &'static str,
    /// And what those were called before 2022, which collectors of that time still send.
    pub(crate) scopes: [&'static str; 2],
    pub(crate) items: &'static str,
}

/// What one resource sent.
pub(crate) struct Sent<'t, T> {
    /// The resource, as JSON text.
    pub(crate) resource: Option<&'t str>,
    /// The `schemaUrl` beside it.
    pub(crate) url: Option<&'t str>,
    pub(crate) scopes: Vec<Scope<'t, T>>,
}

/// What one of its scopes sent.
pub(crate) struct Scope<'t, T> {
    /// The scope, as JSON text.
    pub(crate) scope: Option<&'t str>,
    /// The `schemaUrl` beside it.
    pub(crate) url: Option<&'t str>,
    pub(crate) items: Vec<T>,
}

/// Gives what each resource of the request that the reader stands before has sent; `item` MUST read the item that it is called
/// before. A resource may be named after its items, so these are kept until all of it was seen. Where the text breaks off, what
/// was read before that is given all the same.
///
/// # Errors
/// Where the text breaks off or is no request, or what `item` says.
pub(crate) fn walk<'t, T>(
    r: &mut Reader<'t>,
    lists: &Lists,
    item: &mut dyn FnMut(&mut Reader<'t>) -> Result<T, JsonError>,
    take: &mut dyn FnMut(Sent<'t, T>),
) -> Result<(), JsonError> {
    members(r, &mut |name, r| {
        if name != lists.resources {
            return r.skip(1).map(|_| ());
        }
        each(r, &mut |r| {
            let mut sent = Sent { resource: None, url: None, scopes: Vec::new() };
            let read = members(r, &mut |name, r| {
                match name {
                    "resource" => sent.resource = Some(r.skip(1)?),
                    "schemaUrl" => sent.url = Some(r.skip(1)?),
                    name if lists.scopes.contains(&name) => each(r, &mut |r| scope(r, lists, item, &mut sent.scopes))?,
                    _ => {
                        r.skip(1)?;
                    }
                }
                Ok(())
            });
            take(sent);
            read
        })
    })
}

fn scope<'t, T>(
    r: &mut Reader<'t>,
    lists: &Lists,
    item: &mut dyn FnMut(&mut Reader<'t>) -> Result<T, JsonError>,
    scopes: &mut Vec<Scope<'t, T>>,
) -> Result<(), JsonError> {
    let mut sent = Scope { scope: None, url: None, items: Vec::new() };
    let read = members(r, &mut |name, r| {
        match name {
            "scope" => sent.scope = Some(r.skip(1)?),
            "schemaUrl" => sent.url = Some(r.skip(1)?),
            name if name == lists.items => each(r, &mut |r| {
                sent.items.push(item(r)?);
                Ok(())
            })?,
            _ => {
                r.skip(1)?;
            }
        }
        Ok(())
    });
    scopes.push(sent);
    read
}

/// An attribute as exporters write nearly all of them, a key and a text without blanks and with nothing escaped: the key, and the text
/// with its quotes. `None`, with the reader where it was, for any other.
pub(crate) fn usual_pair<'t>(r: &mut Reader<'t>) -> Option<(&'t str, &'t str)> {
    let mut ahead = r.clone();
    if !ahead.takes("{\"key\":") {
        return None;
    }
    let key = ahead.plain_string()?;
    if !ahead.takes(",\"value\":") {
        return None;
    }
    let value = usual_value(&mut ahead)?;
    if !ahead.takes("}") {
        return None;
    }
    *r = ahead;
    Some((key, value))
}

/// The same of a value alone.
pub(crate) fn usual_value<'t>(r: &mut Reader<'t>) -> Option<&'t str> {
    let mut ahead = r.clone();
    if !ahead.takes("{\"stringValue\":") {
        return None;
    }
    let text = ahead.plain_raw()?;
    if !ahead.takes("}") {
        return None;
    }
    *r = ahead;
    Some(text)
}
