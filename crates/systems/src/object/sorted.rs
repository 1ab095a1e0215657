//! All that an object says, in the order of its names.
//!
//! Not here: single members (`super`), each of which is looked for by its name.

use super::{Member, Named, Object};
use event::json::write_string;
use std::borrow::Cow;

impl<'a> Object<'a> {
    /// An object inside this one, if it was looked into.
    pub fn looked_into(&self, name: &str) -> Option<&Object<'a>> {
        self.members.iter().find_map(|named| match &named.member {
            Member::Object(inside) if named.key == name => Some(inside),
            _ => None,
        })
    }

    /// Names and JSON texts of the members, without what was taken, by name. Each member is met once, however many there are.
    pub fn sorted(&self) -> Vec<(&str, Cow<'_, str>)> {
        fn text<'o>(Named { key, member, .. }: &'o Named<'_>) -> Option<(&'o str, Cow<'o, str>)> {
            let raw = match member {
                Member::Raw(raw) => Cow::Borrowed(raw.as_ref()),
                Member::Text(text) => {
                    let mut raw = String::with_capacity(text.len() + 2);
                    write_string(&mut raw, text);
                    raw.into()
                }
                Member::Object(inside) => {
                    let mut raw = String::from("{");
                    inside.write_members(&mut raw);
                    raw.push('}');
                    raw.into()
                }
                Member::Taken => return None,
            };
            Some((key.as_ref(), raw))
        }
        let mut all: Vec<_> = self.members.iter().filter_map(text).collect();
        all.sort_unstable();
        all
    }
}
