//! What a record says about the state of an entity, and what follows from the state known before it.
//!
//! Owns: the words for that ([`Change`]), how a part of a state is laid over the whole, what old state and difference
//! follow ([`follow`]), and the mark on what was derived ([`mark`]). All of it is text in, text out. Not here:
//! which native records say something (each system's folder), and where states are kept and for how long (the caller).
//!
//! Identity systems tend to send the state after a change and never the one before. What they send is often a part: the
//! members that the request had. So a derived old state has only members that the record speaks of too. A member that was never heard
//! of before reads as added, but where it says no more than its absence would, or the system fills it in by itself.

use crate::envelope::{KEPT, MARKS, SIGNATURE};
use crate::object::{Object, decode};
use event::json::{Reader, key_order, write_string};
use std::borrow::Cow;
use std::cmp::Ordering;

mod words;
pub use words::Words;

/// What one record says about one entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The entity, unique within the source: `realm users/7f…`. States are kept under it.
    pub entity: String,
    /// Another name for it, where the record says both: one that comes later may have only that.
    pub alias: Option<String>,
    /// What the entity is called from then on, where the record gives it another name.
    pub becomes: Option<String>,
    /// What the record's `new` is.
    pub says: Says,
    /// Members of the state that are objects and are changed member by member as well.
    pub inside: &'static [&'static str],
    /// Members that the system fills in by itself: nobody added them.
    pub own: &'static [&'static str],
    /// Members that hold what people call the entity, the best first.
    pub names: &'static [&'static str],
    /// When the entity was so, microseconds UTC, where the record says it beside its own time.
    pub at: Option<i64>,
    /// How the record calls the members, where it has other words for them than states have. Of such a record nothing is derived.
    pub words: Option<&'static Words>,
}

/// What a record's `new` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// The state at the beginning: whatever was known under this name was another entity.
    Begin,
    /// Members that have these values now; all others are as they were.
    Part,
    /// Nothing: the entity is gone.
    Gone,
    /// Nothing about the state; the record is about the entity all the same.
    Nothing,
}

/// What follows from the state before a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Derived<'a> {
    /// The old state, JSON: of the members that the record speaks of.
    pub old: Option<Cow<'a, str>>,
    /// The difference, in the notation of [`event::diff`].
    pub diff: Option<String>,
    /// What the entity is called.
    pub name: Option<Cow<'a, str>>,
}

impl Derived<'_> {
    /// Whether nothing follows.
    pub fn is_empty(&self) -> bool {
        self.old.is_none() && self.diff.is_none() && self.name.is_none()
    }
}

/// The state after a record whose new state is `new`, where `known` was the state before; `None` where none is known. And
/// what else follows. Both MUST be redacted already, in the canonical form: what is given back is stored as it is. `hidden` are the
/// places in `new`, as JSON pointers, of which it is known that they changed although what was redacted there reads the same.
pub fn follow<'a>(
    change: &Change,
    known: Option<&'a str>,
    new: Option<&'a str>,
    hidden: &[&str],
) -> (Option<Cow<'a, str>>, Derived<'a>) {
    let mut derived = Derived::default();
    let Some(text) = known.filter(|_| change.says != Says::Begin) else {
        let object = |text: &&str| text.trim_start().starts_with('{');
        let after = new.filter(|_| matches!(change.says, Says::Begin | Says::Part)).filter(object);
        return (after.map(Cow::Borrowed), derived);
    };
    let is = new.filter(|_| change.says == Says::Part).and_then(State::read);
    let was = State::read_beside(text, is.as_ref().unwrap_or(&State::default()));
    derived.name = was.as_ref().and_then(|was| name_of(&was.members, change.names));
    let laid = was.zip(is).map(|(was, is)| lay(&was, &is, change, hidden));
    let after = match (change.says, laid) {
        (Says::Gone, _) => {
            derived.old = new.is_none().then_some(Cow::Borrowed(text));
            None
        }
        (Says::Part, Some(Laid { after, old, changed })) => {
            let diff = changed.and_then(|(was, is)| match hidden {
                [] => event::diff::diff(&was, &is).ok().flatten(),
                hidden => event::diff::diff_with(&was, &is, &|place| hidden.contains(&place)).ok().flatten(),
            });
            (derived.old, derived.diff) = (old, diff.map(|diff| diff.json));
            Some(after)
        }
        _ => Some(Cow::Borrowed(text)),
    };
    (after, derived)
}

/// Canonical attributes with the mark that these envelope paths were derived, which are canonical too.
pub fn mark(attributes: &str, paths: &[&str]) -> Option<String> {
    let mut list = String::from("[");
    for path in paths {
        if list.len() > 1 {
            list.push(',');
        }
        write_string(&mut list, path);
    }
    list.push(']');
    let all = State::read(attributes)?;
    let marks = all.members.iter().find(|(name, _)| name == MARKS).map_or("{}", |(_, marks)| marks);
    Some(all.with(MARKS, &State::read(marks)?.with(DERIVED, &list)))
}

/// The name of the mark inside [`MARKS`].
pub const DERIVED: &str = "derived";

/// Takes away again what was marked of the way the record came: what was derived, what is known of its sender's signature, and that it
/// was not understood at first. The attributes as they were, and the paths that were derived; `None` where nothing of it is marked.
pub fn unmark(attributes: &str) -> Option<(String, Vec<String>)> {
    let mut all = Object::parse(attributes).ok()?;
    let marks = all.inner(MARKS)?;
    let (derived, came) = (marks.take(DERIVED), [SIGNATURE, KEPT].map(|mark| marks.take(mark).is_some()));
    let paths: Vec<String> = match derived {
        Some(paths) => serde_json::from_str(&paths).ok()?,
        None if came.contains(&true) => Vec::new(),
        None => return None,
    };
    if marks.is_empty() {
        all.take_object(MARKS);
    }
    Some((text(&all), paths))
}

/// Members of a canonical object: in order, each name once.
type Members<'a> = [(Cow<'a, str>, &'a str)];

/// What an entity is called by its own state.
fn name_of<'a>(state: &Members<'a>, names: &[&str]) -> Option<Cow<'a, str>> {
    names.iter().find_map(|name| {
        let (_, raw) = state.iter().find(|(key, _)| key == name)?;
        decode(&Cow::Borrowed(*raw)).filter(|text| !text.is_empty())
    })
}

/// A state that was read.
#[derive(Default)]
struct State<'a> {
    text: &'a str,
    members: Vec<(Cow<'a, str>, &'a str)>,
    /// Where the first member may begin in the text.
    begin: usize,
    /// Where each member ends.
    ends: Vec<usize>,
}

impl<'a> State<'a> {
    fn read(text: &'a str) -> Option<State<'a>> {
        State::read_beside(text, &State::default())
    }

    /// Two that have much in common.
    fn both(was: &'a str, is: &'a str) -> Option<(State<'a>, State<'a>)> {
        let is = State::read(is)?;
        Some((State::read_beside(was, &is)?, is))
    }

    /// The same where most members stand just as in another state: those are compared with it and not read again.
    fn read_beside(text: &'a str, other: &State<'a>) -> Option<State<'a>> {
        let room = other.members.len().max(24);
        let mut r = Reader::new(text);
        r.open(b'{').ok()?;
        let (members, ends) = (Vec::with_capacity(room), Vec::with_capacity(room));
        let mut state = State { text, members, begin: r.at(), ends };
        let mut next = 0;
        loop {
            let first = state.members.is_empty();
            if let Some((member, whole)) = other.members.get(next).zip(other.whole(next, first))
                && r.takes_member(whole)
            {
                state.members.push(member.clone());
                next += 1;
            } else {
                let Some(key) = r.key(first).ok()? else { break };
                let ahead = other.members.get(next..).unwrap_or_default();
                next += ahead.iter().take_while(|(name, _)| key_order(name, &key).is_le()).count();
                state.members.push((key, r.skip(2).ok()?));
            }
            state.ends.push(r.at());
        }
        r.end().ok()?;
        Some(state)
    }

    /// An object of these members, which are some of this state's, or all and others. Most sources send all of an entity's members each
    /// time, so that they are mostly just this state's, and the object is its text. A value that this state has another one for MUST be owned.
    fn or_written<'m>(&self, members: impl Iterator<Item = (&'m str, &'m Cow<'a, str>)> + Clone) -> Cow<'a, str>
    where
        'a: 'm,
    {
        let mut count = 0;
        if members.clone().inspect(|_| count += 1).all(|(_, raw)| matches!(raw, Cow::Borrowed(_)))
            && count == self.members.len()
        {
            return Cow::Borrowed(self.text);
        }
        let mut text = Text::default();
        members.for_each(|(name, raw)| text.add(name, raw));
        Cow::Owned(text.end())
    }

    /// Its text with one more member, in its place; one of that name gives way.
    fn with(&self, name: &str, raw: &str) -> String {
        let place = self.members.partition_point(|(other, _)| key_order(other, name).is_lt());
        let given = self.members.get(place).is_some_and(|(other, _)| other == name);
        let end_of = |place: usize| self.ends.get(place).copied();
        let before = place.checked_sub(1).and_then(end_of);
        let behind = if given { end_of(place) } else { before };
        let (before, behind) = (before.unwrap_or(self.begin), behind.unwrap_or(self.begin));
        let mut out = String::with_capacity(self.text.len() + name.len() + raw.len() + 8);
        out.push_str(self.text.get(..before).unwrap_or("{"));
        if before > self.begin {
            out.push(',');
        }
        write_string(&mut out, name);
        out.push(':');
        out.push_str(raw);
        let rest = self.text.get(behind..).unwrap_or("}");
        if behind == self.begin && !self.members.is_empty() {
            out.push(',');
        }
        out.push_str(rest);
        out
    }

    /// How a member stands in the text, with the comma before it unless it is to be the first.
    fn whole(&self, place: usize, first: bool) -> Option<&'a str> {
        let from = place.checked_sub(1).and_then(|before| self.ends.get(before));
        let whole = self.text.get(from.copied().unwrap_or(self.begin)..*self.ends.get(place)?)?;
        match (from.is_some(), first) {
            (true, true) => whole.strip_prefix(','),
            (false, false) => None,
            _ => Some(whole),
        }
    }
}

/// A new state laid over the one before.
struct Laid<'a> {
    /// The state before, with the members of the new one in their place.
    after: Cow<'a, str>,
    /// The members that both have, with the values from before; `None` where there are none and none is new.
    old: Option<Cow<'a, str>>,
    /// Of the new state's members those that were not the same text before: before, where they were, and now. A state is
    /// canonical, so the same text is the same value, but where it was redacted, and only what differs needs to be compared.
    changed: Option<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Both are in canonical order. Members named `inside` are laid over each other in their turn. `hidden` as in [`follow`].
fn lay<'a>(known: &State<'a>, new: &State<'a>, change: &Change, hidden: &[&str]) -> Laid<'a> {
    let (mut was_changed, mut is_changed) = (Text::default(), Text::default());
    // Each name with its value after, and the one before where both have it.
    let mut rows = Vec::with_capacity(new.members.len());
    for (name, was, is) in side_by_side(&known.members, &new.members) {
        let Some((was, is)) = was.zip(is) else {
            if let Some(is) = is.filter(|is| !EMPTY.contains(is) && !change.own.contains(&name)) {
                is_changed.add(name, is);
            }
            rows.push((name, Cow::Borrowed(was.or(is).unwrap_or_default()), None));
            continue;
        };
        let hidden = below(hidden, name);
        let objects = change.inside.contains(&name).then(|| State::both(was, is)).flatten();
        // What was compared when it was read is the same text in the same place, and a glance is enough.
        let same = std::ptr::eq(was, is) || was == is;
        let changed = || match hidden[..] {
            [] => (!same).then(|| differing(was, is, LEVELS)),
            _ => Some((Cow::Borrowed(was), Cow::Borrowed(is))),
        };
        let (after, old, changed) = match objects {
            Some((was, is)) => {
                let Laid { after, old, changed } = lay(&was, &is, change, &hidden);
                // Owned: it is another one than stands in the state before.
                (after, old.unwrap_or_else(|| Cow::Owned("{}".into())), changed)
            }
            None => (Cow::Borrowed(is), Cow::Borrowed(was), changed()),
        };
        if let Some((was, is)) = changed {
            was_changed.add(name, &was);
            is_changed.add(name, &is);
        }
        rows.push((name, after, Some(old)));
    }
    let after = rows.iter().map(|(name, after, _)| (*name, after));
    let old = rows.iter().filter_map(|(name, _, old)| Some((*name, old.as_ref()?)));
    Laid {
        after: new.or_written(after),
        old: (old.clone().next().is_some() || !is_changed.0.is_empty()).then(|| known.or_written(old)),
        changed: is_changed.some().map(|is| (was_changed.end().into(), is.into())),
    }
}

/// What a member may hold and say no more than if it were not there.
const EMPTY: [&str; 6] = ["null", "false", "0", "\"\"", "[]", "{}"];

/// Of places in an object, as JSON pointers, those in one of its members, as they are called there.
fn below<'p>(places: &[&'p str], name: &str) -> Vec<&'p str> {
    if places.is_empty() {
        return Vec::new();
    }
    let member = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
    let inside =
        |place: &&'p str| place.strip_prefix(member.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    places.iter().filter_map(inside).collect()
}

/// How deep into a member equal ones are looked for: each level reads all that is below it once more.
const LEVELS: usize = 4;

/// Two values that differ, of objects only the members that do, down to some `levels`. The difference is the same: it has no
/// word for members that are equal, as deep as objects are inside of objects.
fn differing<'a>(was: &'a str, is: &'a str, levels: usize) -> (Cow<'a, str>, Cow<'a, str>) {
    let whole = (Cow::Borrowed(was), Cow::Borrowed(is));
    if levels == 0 || !(was.starts_with('{') && is.starts_with('{')) {
        return whole;
    }
    let Some((was, is)) = State::both(was, is) else { return whole };
    let (mut was_changed, mut is_changed) = (Text::default(), Text::default());
    for (name, was, is) in side_by_side(&was.members, &is.members).filter(|(_, was, is)| was != is) {
        let both = was.zip(is).map(|(was, is)| differing(was, is, levels - 1));
        let (was, is) = both.map_or((was.map(Cow::Borrowed), is.map(Cow::Borrowed)), |(was, is)| (Some(was), Some(is)));
        was.iter().for_each(|was| was_changed.add(name, was));
        is.iter().for_each(|is| is_changed.add(name, is));
    }
    (was_changed.end().into(), is_changed.end().into())
}

/// The names of two objects in canonical order, with the value that each has under it.
fn side_by_side<'m, 'a>(
    was: &'m Members<'a>,
    is: &'m Members<'a>,
) -> impl Iterator<Item = (&'m str, Option<&'a str>, Option<&'a str>)> {
    let (mut was, mut is) = (was.iter().peekable(), is.iter().peekable());
    std::iter::from_fn(move || {
        let order = match (was.peek(), is.peek()) {
            (Some((was, _)), Some((is, _))) => key_order(was, is),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        let (was, is) = (was.next_if(|_| order.is_le()), is.next_if(|_| order.is_ge()));
        let (name, _) = was.or(is)?;
        Some((name.as_ref(), was.map(|(_, raw)| *raw), is.map(|(_, raw)| *raw)))
    })
}

/// An object that is being written.
#[derive(Default)]
struct Text(String);

impl Text {
    fn add(&mut self, name: &str, raw: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        write_string(&mut self.0, name);
        self.0.push(':');
        self.0.push_str(raw);
    }

    fn end(mut self) -> String {
        self.0.push_str(if self.0.is_empty() { "{}" } else { "}" });
        self.0
    }

    /// `None` where nothing was added.
    fn some(self) -> Option<String> {
        (!self.0.is_empty()).then(|| self.end())
    }
}

fn text(object: &Object<'_>) -> String {
    let mut out = String::from("{");
    object.write_members(&mut out);
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn change(says: Says) -> Change {
        let names = &["username", "name"];
        let (entity, inside): (_, &[_]) = ("r users/1".into(), &["attributes"]);
        Change { entity, alias: None, becomes: None, says, inside, own: &["id"], names, at: None, words: None }
    }

    fn derive<'a>(says: Says, known: &'a str, new: Option<&'a str>) -> Derived<'a> {
        follow(&change(says), Some(known), new, &[]).1
    }

    fn after(says: Says, known: Option<&str>, new: Option<&str>) -> Option<String> {
        follow(&change(says), known, new, &[]).0.map(Cow::into_owned)
    }

    fn value(text: Option<&str>) -> Value {
        text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
    }

    #[test]
    fn an_old_state_has_what_the_record_speaks_of() {
        let known = r#"{"email":"a@x","enabled":true,"username":"ann"}"#;
        let derived = derive(Says::Part, known, Some(r#"{"access":{},"enabled":false}"#));
        assert_eq!(value(derived.old.as_deref()), json!({"enabled": true}));
        assert_eq!(
            value(derived.diff.as_deref()),
            json!({"enabled": {"__old": true, "__new": false}}),
            "an empty member was not added"
        );
        assert_eq!(derived.name.as_deref(), Some("ann"));
        let derived = derive(Says::Part, known, Some(r#"{"email":"a@x"}"#));
        assert_eq!((value(derived.old.as_deref()), derived.diff), (json!({"email": "a@x"}), None));
        let derived = derive(Says::Part, known, Some(r#"{"other":1}"#));
        assert_eq!((derived.old.as_deref(), derived.diff.as_deref()), (Some("{}"), Some(r#"{"other__added":1}"#)));
        let derived = derive(Says::Part, known, Some(r#"{"id":"u1","totp":false}"#));
        assert_eq!((derived.old, derived.diff), (None, None), "the system fills in `id` by itself");
        let inside = derive(Says::Part, r#"{"attributes":{"a":"1"}}"#, Some(r#"{"attributes":{}}"#));
        assert_eq!(
            (inside.old.as_deref(), inside.diff),
            (Some(r#"{"attributes":{}}"#), None),
            "nothing is said of `a`"
        );
    }

    #[test]
    fn what_was_redacted_and_is_another_now_shows() {
        let (known, new) = (r#"{"id":"c","name":"a","secret":"***"}"#, r#"{"name":"b","secret":"***"}"#);
        let found = |hidden: &[&str]| follow(&change(Says::Part), Some(known), Some(new), hidden).1;
        let name = json!({"__old": "a", "__new": "b"});
        assert_eq!(value(found(&[]).diff.as_deref()), json!({"name": name}));
        let secret = json!({"__old": "***", "__new": "***"});
        assert_eq!(value(found(&["/secret"]).diff.as_deref()), json!({"name": name, "secret": secret}));
        assert_eq!(found(&["/secret"]).old, found(&[]).old);
        let known = r#"{"attributes":{"a/b":"***","c":"1"},"config":{"x":{"key":"***","y":1}}}"#;
        let new = r#"{"attributes":{"a/b":"***"},"config":{"x":{"key":"***","y":1}}}"#;
        let found = follow(&change(Says::Part), Some(known), Some(new), &["/attributes/a~1b", "/config/x/key"]).1;
        assert_eq!(
            value(found.diff.as_deref()),
            json!({"attributes": {"a/b": secret}, "config": {"x": {"key": secret}}})
        );
    }

    #[test]
    fn members_inside_are_compared_one_by_one_where_they_are_changed_so() {
        let known = r#"{"attributes":{"a":"1","b":"2"},"other":{"a":"1","b":"2"}}"#;
        let new = r#"{"attributes":{"b":"3"},"other":{"b":"3"}}"#;
        let derived = derive(Says::Part, known, Some(new));
        assert_eq!(
            value(derived.diff.as_deref()),
            json!({"attributes": {"b": {"__old": "2", "__new": "3"}}, "other": {"a__deleted": "1", "b": {"__old": "2", "__new": "3"}}})
        );
        let state = after(Says::Part, Some(known), Some(new));
        assert_eq!(state.as_deref(), Some(r#"{"attributes":{"a":"1","b":"3"},"other":{"b":"3"}}"#));
        let state = after(Says::Part, Some(r#"{"b":1,"d":2}"#), Some(r#"{"a":0,"b":3,"c":4}"#));
        assert_eq!(state.as_deref(), Some(r#"{"a":0,"b":3,"c":4,"d":2}"#), "in canonical order");
    }

    #[test]
    fn a_state_begins_goes_on_and_ends() {
        let begin = after(Says::Begin, Some(r#"{"x":1}"#), Some(r#"{"y":2}"#));
        assert_eq!(begin.as_deref(), Some(r#"{"y":2}"#), "another one of the same name");
        assert_eq!(after(Says::Nothing, begin.as_deref(), Some("[1]")).as_deref(), Some(r#"{"y":2}"#));
        assert_eq!(after(Says::Part, begin.as_deref(), Some("[1]")).as_deref(), Some(r#"{"y":2}"#));
        assert_eq!(after(Says::Part, None, Some("[1]")), None);
        assert_eq!(after(Says::Gone, begin.as_deref(), None), None);
        assert_eq!(derive(Says::Gone, r#"{"name":"b"}"#, None).old.as_deref(), Some(r#"{"name":"b"}"#));
        assert_eq!(derive(Says::Gone, r#"{"name":"b"}"#, Some("{}")).old, None);
    }

    #[test]
    fn a_mark_is_put_beside_others_and_taken_away_again() {
        for attributes in ["{}", r#"{"a":1}"#, r#"{"_indelible":{"id":"made"},"a":1}"#] {
            let marked = mark(attributes, &["old", "diff"]).unwrap();
            assert_eq!(value(Some(&marked))["_indelible"]["derived"], json!(["old", "diff"]), "{marked}");
            let (back, paths) = unmark(&marked).unwrap();
            assert_eq!((value(Some(&back)), paths), (value(Some(attributes)), vec!["old".into(), "diff".into()]));
            assert_eq!(unmark(attributes), None);
        }
    }

    /// Canonical JSON with few names and values, so that two of them have much in common.
    fn json_text() -> impl Strategy<Value = String> {
        let leaf =
            prop_oneof![Just("1".to_owned()), Just("2".to_owned()), Just("null".to_owned()), Just(r#""x""#.to_owned())];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let name = prop::sample::select(vec!["a", "b", "b__added", "a__deleted", "1", "é"]);
            let object = prop::collection::btree_map(name, inner.clone(), 0..4).prop_map(|m| {
                format!("{{{}}}", m.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect::<Vec<_>>().join(","))
            });
            prop_oneof![object, prop::collection::vec(inner, 0..4).prop_map(|v| format!("[{}]", v.join(",")))]
        })
    }

    /// Few names, so that two states often have the same ones, before and behind `attributes`.
    fn members_of_a_state() -> impl Strategy<Value = BTreeMap<String, u8>> {
        proptest::collection::btree_map("[ac]?b", 0..2u8, 0..4)
    }

    proptest! {
        #[test]
        fn what_is_equal_is_not_missed_in_a_difference(was in json_text(), is in json_text(), levels in 0..=LEVELS) {
            let (short_was, short_is) = differing(&was, &is, levels);
            prop_assert!(short_was.len() <= was.len() && short_is.len() <= is.len());
            let diff = |was: &str, is: &str| event::diff::diff(was, is).unwrap().map(|diff| diff.json);
            prop_assert_eq!(diff(&short_was, &short_is), diff(&was, &is), "{} {}", short_was, short_is);
        }

        #[test]
        fn a_member_takes_its_place(known in members_of_a_state(), name in "[abc]{1,2}") {
            let mut all = known.clone();
            all.insert(name.clone(), 9);
            let text = json!(known).to_string();
            prop_assert_eq!(State::read(&text).unwrap().with(&name, "9"), json!(all).to_string());
            let blanks = format!(" {{ {}", &text[1..]);
            let found = State::read(&blanks).unwrap().with(&name, "9");
            prop_assert_eq!(value(Some(&found)), json!(all));
        }

        #[test]
        fn a_state_read_beside_another_is_read_the_same(text in json_text(), other in json_text(), blank in any::<bool>()) {
            let other = if blank { other.replace(',', " , ") } else { other };
            let alone = State::read(&text);
            for beside in [State::read(&other), State::read(&text)].into_iter().flatten() {
                let read = State::read_beside(&text, &beside);
                let parts = |state: &Option<State<'_>>| state.as_ref().map(|s| (format!("{:?}", s.members), s.ends.clone()));
                prop_assert_eq!(parts(&read), parts(&alone));
            }
        }

        #[test]
        fn a_state_is_laid_over_the_one_before_member_by_member(
            known in members_of_a_state(), new in members_of_a_state(),
            known_inside in members_of_a_state(), new_inside in members_of_a_state(),
        ) {
            let state = |members: &BTreeMap<String, u8>, inside: &BTreeMap<String, u8>| {
                let mut all = json!(members);
                all["attributes"] = json!(inside);
                all
            };
            let laid = |known: &BTreeMap<_, _>, new: &BTreeMap<_, _>| {
                let mut after = known.clone();
                after.extend(new.clone());
                let mut old = known.clone();
                old.retain(|name, _| new.contains_key(name));
                (after, old)
            };
            let (after, old) = laid(&known, &new);
            let (after_inside, old_inside) = laid(&known_inside, &new_inside);
            let texts = (state(&known, &known_inside).to_string(), state(&new, &new_inside).to_string());
            let (found, derived) = follow(&change(Says::Part), Some(&texts.0), Some(&texts.1), &[]);
            prop_assert_eq!(found.map(Cow::into_owned), Some(state(&after, &after_inside).to_string()));
            let between = state(&old, &old_inside).to_string();
            prop_assert_eq!(derived.old.as_deref(), Some(between.as_str()));
            // What is new and empty is left out of the difference, and nothing else.
            let said = |known: &BTreeMap<String, u8>, new: &BTreeMap<String, u8>| {
                let mut said = new.clone();
                said.retain(|name, value| known.contains_key(name) || *value != 0);
                said
            };
            let said = state(&said(&known, &new), &said(&known_inside, &new_inside)).to_string();
            let between = event::diff::diff(&between, &said).unwrap();
            prop_assert_eq!(derived.diff, between.map(|diff| diff.json), "{} {}", texts.0, texts.1);
        }

        #[test]
        fn never_panics(known in "[\\PC]{0,60}", new in "\\{\"(a|attributes|name)\":[\\PC]{0,40}\\}") {
            for says in [Says::Begin, Says::Part, Says::Gone, Says::Nothing] {
                for (known, new) in [(&known, &new), (&new, &known)] {
                    follow(&change(says), Some(known), Some(new), &["/a"]);
                }
            }
            mark(&new, &["old"]);
            unmark(&known);
            unmark(&new);
        }
    }
}
