//! A native JSON object whose members are taken one by one; what nobody takes is the rest.
//!
//! Owns: finding members without building a JSON tree. Values stay the text they came as; only what is looked at
//! is decoded. Not here: whether that text is sound all through (`event::parse` checks it once it stands in the
//! envelope).

mod inside;
mod sorted;

pub use inside::{at, each, has_list, members, pick};

use crate::Reason;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};
use event::json::{JsonError, Next, Reader, write_string};
use event::redact::Known;
use std::borrow::Cow;

/// The members of one object, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object<'a> {
    members: Vec<Named<'a>>,
    /// A bit for each name there ever was; several names share one.
    names: u64,
    /// Whether any name may ever have stood there twice.
    doubled: bool,
    /// A name that was asked for and stands there twice.
    twice: bool,
    /// Whether any member may be an object that was looked into.
    nested: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Named<'a> {
    /// Of the key.
    glance: Glance,
    /// Whether the value was read as a text in quotes with nothing escaped in it.
    plain: bool,
    key: Cow<'a, str>,
    member: Member<'a>,
    /// How it stands in the text it was read from, if that is how it is written while nobody takes it or looks into it; of an object
    /// that was looked into at once, how its name and the colon stand.
    whole: &'a str,
}

/// Length and three letters of a name. Adapters ask for some thirty names per record, and comparing all of each with all keys would
/// cost more than everything else together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Glance(u32);

impl Glance {
    #[inline(always)]
    pub(crate) const fn of(name: &str) -> Glance {
        let bytes = name.as_bytes();
        let ([first, ..], [.., last]) = (bytes, bytes) else { return Glance(0) };
        let (_, from_middle) = bytes.split_at(bytes.len() / 2);
        let middle = if let [middle, ..] = from_middle { *middle } else { 0 };
        Glance(u32::from_le_bytes([bytes.len() as u8, *first, middle, *last]))
    }

    /// The bit of a name in [`Object::names`]. Most names that are asked for are not there, and most of those are known by it.
    #[inline]
    fn bit(self) -> u64 {
        1 << (self.0.wrapping_mul(0x9e37_79b1) >> 26)
    }
}

/// Room for the members that most objects have: a kilobyte of it, which allocators have at hand. Records of some size have more.
const ROOM: usize = 1024 / size_of::<Named<'_>>();
const LARGE: usize = 1000;

/// Members that a new one is compared with. Of more, as no system writes them, nobody knows whether a name stood there twice until it
/// is asked for: comparing each with all took seconds for a record of a mebibyte.
const COMPARED: usize = 256;

const NULL: &str = "null";

/// An object from which something is always taken, by its name, and those in it.
#[derive(Debug, Clone, Copy)]
pub struct Inside(pub &'static str, pub &'static [Inside]);

/// A text that a member said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said<'a> {
    /// As JSON text, in quotes.
    Raw(Cow<'a, str>),
    /// The same, with nothing escaped in it.
    Plain(&'a str),
    /// As it is.
    Text(Cow<'a, str>),
}

impl<'a> Said<'a> {
    /// What it says.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        match self {
            Said::Raw(raw) => decode(raw),
            Said::Plain(raw) => unquoted(raw).map(Cow::Borrowed),
            Said::Text(text) => Some(text.clone()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Member<'a> {
    /// JSON text.
    Raw(Cow<'a, str>),
    /// A text, not in quotes, without a NUL character.
    Text(Cow<'a, str>),
    /// An object that was looked into.
    Object(Object<'a>),
    Taken,
}

impl<'a> Member<'a> {
    /// Its JSON text; `None` where it is an object that was looked into, or taken.
    fn raw(&mut self) -> Option<&mut Cow<'a, str>> {
        if let Member::Text(text) = self {
            let mut raw = String::with_capacity(text.len() + 2);
            write_string(&mut raw, text);
            *self = Member::Raw(Cow::Owned(raw));
        }
        match self {
            Member::Raw(raw) => Some(raw),
            _ => None,
        }
    }

    /// The same, taken away.
    fn take(&mut self) -> Option<Cow<'a, str>> {
        let raw = std::mem::take(self.raw()?);
        *self = Member::Taken;
        Some(raw)
    }
}

impl<'a> Object<'a> {
    /// One without members, with room for those that most have.
    pub fn roomy() -> Object<'a> {
        Object { members: Vec::with_capacity(ROOM), ..Object::default() }
    }

    /// Reads the members' names and where their values begin and end.
    ///
    /// # Errors
    /// Where the text is not one JSON object.
    pub fn parse(text: &'a str) -> Result<Object<'a>, Reason> {
        Object::parse_into(text, &[])
    }

    /// The same, with these objects looked into at once, so that their text need not be passed over before it is read.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_into(text: &'a str, insides: &[Inside]) -> Result<Object<'a>, Reason> {
        let fail = |e: event::json::JsonError| Reason::new(e.code, e.to_string());
        let mut r = Reader::new(text);
        if r.next_kind().map_err(fail)? != Next::Object {
            return Err(Reason::new("wrong_type", "the record is not a JSON object"));
        }
        // One level deeper than it stands: it will stand in `attributes`.
        let room = if text.len() < LARGE { ROOM } else { 2 * ROOM };
        let (object, _) = Object::read(&mut r, 2, insides, room).map_err(fail)?;
        r.end().map_err(fail)?;
        Ok(object)
    }

    /// Reads the object that the reader stands before, whose values are `depth` deep, and tells whether [`write_members`] writes just
    /// what stands there.
    ///
    /// [`write_members`]: Self::write_members
    fn read(
        r: &mut Reader<'a>,
        depth: usize,
        insides: &[Inside],
        room: usize,
    ) -> Result<(Object<'a>, bool), JsonError> {
        r.open(b'{')?;
        let mut object = Object { members: Vec::with_capacity(room), ..Object::default() };
        let mut as_written = true;
        loop {
            let from = r.at();
            let first = object.members.is_empty();
            let name = match r.plain_name(first) {
                Some(name) => {
                    // Most are a text under a name, and nothing around the two.
                    if let Some((raw, whole)) = r.plain_value(&name) {
                        let (glance, member) = (Glance::of(&name.key), Member::Raw(Cow::Borrowed(raw)));
                        object.push_named(Named { glance, plain: true, key: name.key, member, whole });
                        continue;
                    }
                    // And of the others many are this.
                    if r.takes(NULL) {
                        let (glance, member) = (Glance::of(&name.key), Member::Raw(Cow::Borrowed(NULL)));
                        let whole = r.since(&name);
                        object.push_named(Named { glance, plain: false, key: name.key, member, whole });
                        continue;
                    }
                    name
                }
                None => match r.name(first)? {
                    Some(name) => name,
                    None => return Ok((object, as_written && r.at() == from + 1)),
                },
            };
            if r.at_object()
                && let Some(inside) = insides.iter().find(|inside| inside.0 == name.key)
                && name.as_written(r.at())
            {
                let (mut ahead, whole) = (r.clone(), r.since(&name));
                // What is written in another way stays as it came, until somebody does look into it.
                if let Ok((inside, true)) = Object::read(&mut ahead, depth + 1, inside.1, ROOM) {
                    *r = ahead;
                    let (glance, member) = (Glance::of(&name.key), Member::Object(inside));
                    object.push_named(Named { glance, plain: false, key: name.key, member, whole });
                    continue;
                }
            }
            let read = r.member_of(name, depth)?;
            as_written &= !read.whole.is_empty() && (r.at() - from == read.whole.len() + usize::from(!first));
            let member = Member::Raw(Cow::Borrowed(read.raw));
            let glance = Glance::of(&read.key);
            object.push_named(Named { glance, plain: read.plain, key: read.key, member, whole: read.whole });
        }
    }

    fn push(&mut self, key: Cow<'a, str>, member: Member<'a>) {
        self.push_named(Named { glance: Glance::of(&key), plain: false, key, member, whole: "" });
    }

    #[inline(always)]
    fn push_named(&mut self, named: Named<'a>) {
        let bit = named.glance.bit();
        if self.names & bit != 0 && !self.doubled {
            let same = |other: &Named<'_>| other.glance == named.glance && other.key == named.key;
            self.doubled = self.members.len() >= COMPARED || self.members.iter().any(same);
        }
        self.names |= bit;
        self.nested |= matches!(named.member, Member::Object(_));
        self.members.push(named);
    }

    /// Whether a name that is looked at like this may be there.
    #[inline]
    pub(crate) fn may_have(&self, name: Glance) -> bool {
        self.names & name.bit() != 0
    }

    #[inline(always)]
    fn find(&mut self, name: &str) -> Option<&mut Member<'a>> {
        self.find_named(name).map(|named| &mut named.member)
    }

    /// The member of this name. Most names are written down where they are asked for: how they look is known there once and for all, as
    /// long as this and what asks for it is a part of the place. So it is with their dots.
    #[inline(always)]
    fn find_named(&mut self, name: &str) -> Option<&mut Named<'a>> {
        let wanted = Glance::of(name);
        if self.may_have(wanted) { self.find_looked_at(wanted, name) } else { None }
    }

    fn find_looked_at(&mut self, wanted: Glance, name: &str) -> Option<&mut Named<'a>> {
        let is =
            |named: &Named<'_>| named.glance == wanted && named.key == name && !matches!(named.member, Member::Taken);
        let first = self.members.iter().position(is)?;
        if self.doubled {
            self.twice |= self.members.iter().skip(first + 1).any(is);
        }
        self.members.get_mut(first)
    }

    /// The object that holds the last name of a dotted path, and that name.
    #[inline(always)]
    fn holder<'p>(&mut self, path: &'p str) -> Option<(&mut Object<'a>, &'p str)> {
        // Paths are a few letters long, which `split_once` is not made for.
        match path.bytes().position(|b| b == b'.').and_then(|dot| path.split_at_checked(dot)) {
            None => Some((self, path)),
            Some((outer, inner)) => self.inside(outer, inner.strip_prefix('.').unwrap_or(inner)),
        }
    }

    fn inside<'p>(&mut self, outer: &str, path: &'p str) -> Option<(&mut Object<'a>, &'p str)> {
        self.inner(outer)?.holder(path)
    }

    /// An object inside this one, to take members from; `None` where the member is absent or something else.
    pub fn inner(&mut self, name: &str) -> Option<&mut Object<'a>> {
        self.nested = true;
        let named = self.find_named(name)?;
        if let Member::Raw(raw) = &named.member {
            let inside = match raw {
                Cow::Borrowed(text) => Object::parse(text).ok()?,
                Cow::Owned(text) => Object::parse(text).ok()?.into_owned(),
            };
            (named.member, named.whole) = (Member::Object(inside), "");
        }
        match &mut named.member {
            Member::Object(inside) => Some(inside),
            _ => None,
        }
    }

    /// An object inside this one, taken away. Anything else stays.
    pub fn take_object(&mut self, name: &str) -> Option<Object<'a>> {
        self.inner(name)?;
        match std::mem::replace(self.find(name)?, Member::Taken) {
            Member::Object(inside) => Some(inside),
            _ => None,
        }
    }

    /// The members' names, in order, without those that were taken.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().filter(|n| !matches!(n.member, Member::Taken)).map(|n| n.key.as_ref())
    }

    /// The same, free of the object where they stand in its text as they are.
    pub fn keys(&self) -> impl Iterator<Item = Cow<'a, str>> {
        self.members.iter().filter(|n| !matches!(n.member, Member::Taken)).map(|n| n.key.clone())
    }

    /// The JSON text of a member whose name may have dots in it, left where it is.
    pub fn member(&mut self, name: &str) -> Option<&Cow<'a, str>> {
        self.find(name)?.raw().map(|raw| &*raw)
    }

    /// The same as it stands in the text that the object was read from; `None` for what was put there since, or looked into.
    pub fn standing(&mut self, name: &str) -> Option<&'a str> {
        match self.find(name)? {
            Member::Raw(Cow::Borrowed(raw)) => Some(raw),
            _ => None,
        }
    }

    /// Such a member's JSON text as it stands now, without what was taken out of it.
    pub fn json(&mut self, name: &str) -> Option<Cow<'a, str>> {
        match self.find(name)? {
            Member::Object(inside) => {
                let mut out = String::from("{");
                inside.write_members(&mut out);
                out.push('}');
                Some(Cow::Owned(out))
            }
            member => member.raw().cloned(),
        }
    }

    /// Takes such a member's JSON text away.
    pub fn take_member(&mut self, name: &str) -> Option<Cow<'a, str>> {
        self.find(name)?.take()
    }

    /// The JSON text at a path of names (`a` or `a.b`), left where it is.
    #[inline(always)]
    pub fn raw(&mut self, path: &str) -> Option<&Cow<'a, str>> {
        let (holder, name) = self.holder(path)?;
        holder.member(name)
    }

    /// The text in quotes at a path, decoded and left where it is. `None` for what is no text in quotes.
    #[inline(always)]
    pub fn text(&mut self, path: &str) -> Option<Cow<'a, str>> {
        let (holder, name) = self.holder(path)?;
        holder.member_text(name)
    }

    /// The same of a text without which the record means nothing.
    ///
    /// # Errors
    /// What stands there instead.
    #[inline(always)]
    pub fn needed(&mut self, path: &str) -> Result<Cow<'a, str>, Reason> {
        self.text(path).filter(|text| !text.is_empty()).ok_or_else(|| self.misses(path))
    }

    /// That a text at a path, without which the record means nothing, is not there.
    #[cold]
    pub fn misses(&mut self, path: &str) -> Reason {
        let stands = self.holder(path).and_then(|(holder, name)| holder.json(name));
        Reason::missing(path, stands.as_deref())
    }

    /// The same of a member whose name may have dots in it.
    #[inline(always)]
    pub fn member_text(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let named = self.find_named(name)?;
        match &named.member {
            Member::Raw(Cow::Borrowed(raw)) if named.plain => unquoted(raw).map(Cow::Borrowed),
            Member::Raw(raw) => decode(raw),
            Member::Text(text) => Some(text.clone()),
            Member::Object(_) | Member::Taken => None,
        }
    }

    /// Whether there is such a member.
    #[inline(always)]
    pub fn has(&mut self, path: &str) -> bool {
        self.holder(path).is_some_and(|(holder, name)| holder.find(name).is_some())
    }

    /// Takes a member's JSON text away.
    #[inline(always)]
    pub fn take(&mut self, path: &str) -> Option<Cow<'a, str>> {
        let (holder, name) = self.holder(path)?;
        holder.take_member(name)
    }

    /// Shows a member's JSON text to `look`, and takes it away where that says so.
    pub fn take_if<R>(&mut self, path: &str, look: impl FnOnce(&str) -> (R, bool)) -> Option<R> {
        let (holder, name) = self.holder(path)?;
        let member = holder.find(name)?;
        let (seen, take) = look(member.raw()?);
        if take {
            *member = Member::Taken;
        }
        Some(seen)
    }

    /// Takes a member away where it is a text with something in it. Anything else stays.
    #[inline(always)]
    pub fn take_text(&mut self, path: &str) -> Option<Said<'a>> {
        let (holder, name) = self.holder(path)?;
        holder.take_member_text(name)
    }

    /// The same with a member whose name may have dots in it.
    pub fn take_member_text(&mut self, name: &str) -> Option<Said<'a>> {
        let named = self.find_named(name)?;
        let said = match &mut named.member {
            Member::Raw(Cow::Borrowed(raw)) if named.plain && raw.len() > 2 => Said::Plain(raw),
            Member::Raw(raw) if raw.starts_with('"') && raw.len() > 2 => Said::Raw(std::mem::take(raw)),
            Member::Text(text) if !text.is_empty() => Said::Text(std::mem::take(text)),
            _ => return None,
        };
        named.member = Member::Taken;
        Some(said)
    }

    /// Adds a member. `raw` MUST be one sound JSON value.
    pub fn add(&mut self, name: impl Into<Cow<'a, str>>, raw: impl Into<Cow<'a, str>>) {
        self.push(name.into(), Member::Raw(raw.into()));
    }

    /// Adds a text that stands in quotes, nothing escaped in it or in its name.
    pub fn add_plain(&mut self, name: &'a str, raw: &'a str) {
        let (key, member) = (Cow::Borrowed(name), Member::Raw(Cow::Borrowed(raw)));
        self.push_named(Named { glance: Glance::of(name), plain: true, key, member, whole: "" });
    }

    /// Adds what was found in base64: as the JSON that it is where it is sound, else as a text.
    pub fn add_opened(&mut self, name: &'static str, found: String, sound: bool) {
        if sound { self.add(name, found) } else { self.add_text(name, found) }
    }

    /// Adds a text.
    pub fn add_text(&mut self, name: impl Into<Cow<'a, str>>, text: impl Into<Cow<'a, str>>) {
        let mut member = Member::Text(text.into());
        if matches!(&member, Member::Text(text) if memchr::memchr(0, text.as_bytes()).is_some()) {
            // What has a NUL character is a text that nobody can read out of JSON, and is not read here either.
            member.raw();
        }
        self.push(name.into(), member);
    }

    /// Adds an object.
    pub fn add_object(&mut self, name: impl Into<Cow<'a, str>>, object: Object<'a>) {
        self.push(name.into(), Member::Object(object));
    }

    /// A name that was taken or asked for and stands in the object once more: what it says is not certain.
    pub fn ambiguous(&self) -> bool {
        let inside = |n: &Named<'_>| matches!(&n.member, Member::Object(inside) if inside.ambiguous());
        self.twice || self.nested && self.members.iter().any(inside)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.members.iter().all(|n| matches!(n.member, Member::Taken))
    }

    /// Appends what is left as members, without the braces around them. Gives how many there were.
    pub fn write_members(&self, out: &mut String) -> usize {
        self.write_known(out, &mut Vec::new())
    }

    /// The same, and says what is known of them.
    pub fn write_known(&self, out: &mut String, known: &mut Vec<Known>) -> usize {
        let mut written = 0;
        for Named { key, member, whole, plain, .. } in &self.members {
            if matches!(member, Member::Taken) {
                continue;
            }
            if written > 0 {
                out.push(',');
            }
            written += 1;
            // No text is longer than that, nor is any name.
            let length = key.len() as u32;
            let named = if whole.is_empty() {
                let before = out.len();
                write_string(out, key);
                let escaped = out.len() - before != key.len() + 2;
                out.push(':');
                !escaped
            } else {
                out.push_str(whole);
                true
            };
            known.push(match member {
                _ if !named => Known::Member,
                Member::Raw(raw) if *plain => Known::Text(length, raw.len().saturating_sub(2) as u32),
                Member::Object(_) => Known::Object(length),
                _ => Known::Value(length),
            });
            match member {
                Member::Raw(raw) if whole.is_empty() => out.push_str(raw),
                Member::Text(text) => write_string(out, text),
                Member::Object(inside) => {
                    out.push('{');
                    let from = known.len();
                    inside.write_known(out, known);
                    out.push('}');
                    if named {
                        known.push(Known::End);
                    } else {
                        known.truncate(from);
                    }
                }
                Member::Raw(_) | Member::Taken => {}
            }
        }
        written
    }

    /// The same, free of the text it was read from.
    pub fn into_owned<'b>(self) -> Object<'b> {
        let members = self
            .members
            .into_iter()
            .map(|Named { glance, key, member, .. }| {
                let member = match member {
                    Member::Raw(raw) => Member::Raw(Cow::Owned(raw.into_owned())),
                    Member::Text(text) => Member::Text(Cow::Owned(text.into_owned())),
                    Member::Object(inside) => Member::Object(inside.into_owned()),
                    Member::Taken => Member::Taken,
                };
                Named { glance, plain: false, key: Cow::Owned(key.into_owned()), member, whole: "" }
            })
            .collect();
        Object { members, names: self.names, doubled: self.doubled, twice: self.twice, nested: self.nested }
    }
}

/// A text that is an object as `change` leaves it, where that says that it did something to it.
pub(crate) fn changed<'a>(text: &'a str, change: impl FnOnce(&mut Object<'a>) -> bool) -> Cow<'a, str> {
    let Ok(mut object) = Object::parse(text) else { return text.into() };
    if !change(&mut object) {
        return text.into();
    }
    let mut out = String::from("{");
    object.write_members(&mut out);
    out.push('}');
    out.into()
}

/// The text that stands in base64, with or without its padding and in either alphabet.
pub(crate) fn from_base64(text: &str) -> Option<String> {
    const EITHER: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const USUAL: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, EITHER);
    const OF_ADDRESSES: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, EITHER);
    let bytes = USUAL.decode(text).or_else(|_| OF_ADDRESSES.decode(text)).ok()?;
    String::from_utf8(bytes).ok()
}

/// What stands in the quotes of a text that has them.
pub(crate) fn unquoted(raw: &str) -> Option<&str> {
    raw.get(1..raw.len().checked_sub(1)?)
}

/// What stands in the quotes of a text that has them, where that is what it says.
pub(crate) fn unescaped(raw: &str) -> Option<&str> {
    let mut r = Reader::new(raw);
    let text = r.plain_string()?;
    r.end().ok().map(|()| text)
}

/// The text that a JSON string says. `None` for what is no JSON string.
pub fn decode<'a>(raw: &Cow<'a, str>) -> Option<Cow<'a, str>> {
    match raw {
        Cow::Borrowed(raw) => Reader::new(raw).string().ok(),
        Cow::Owned(raw) => Reader::new(raw).string().ok().map(|t| Cow::Owned(t.into_owned())),
    }
}

#[cfg(test)]
mod tests;
