//! JSON made canonical (RFC 8785) and redacted in one pass over its text.
//!
//! Not here: the rules themselves (`keys`, `text`). Nothing is built but the output: members are written
//! as they come and put in order afterwards only where they did not come in order.

use super::{KeyRule, MARK, Redaction, Rules, add_mark, push_token};
use crate::json::{self, JsonError, MAX_DEPTH, Next, Reader};
use std::borrow::Cow;
use std::ops::Range;

/// What the record around the JSON is about, where that decides what is secret in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Context {
    /// An identity provider: values under `configuration` are kept as key names only.
    pub provider: bool,
    /// A project secret: only its name is kept.
    pub project_secret: bool,
}

impl Context {
    /// Reads it off a record's action and the type of its target.
    pub fn of(action: &str, target_type: &str) -> Context {
        // Two short words per record; nearly all name neither, and each of the words below has a `p`.
        let mentions = |t: &str, words: &[&str]| {
            memchr::memchr2(b'p', b'P', t.as_bytes()).is_some() && {
                let t = super::keys::normal(t);
                words.iter().any(|w| memchr::memmem::find(t.as_bytes(), w.as_bytes()).is_some())
            }
        };
        let provider = ["idp", "identityprovider"];
        let secret = ["projectsecret"];
        Context {
            provider: mentions(action, &provider) || mentions(target_type, &provider),
            project_secret: mentions(action, &secret) || mentions(target_type, &secret),
        }
    }
}

/// How one JSON text of a record is to be written.
#[derive(Debug, Clone, Copy)]
pub struct Canonical<'r> {
    /// Envelope path of the field it is in (`attributes`, `session.claims`): redactions are named from there.
    pub path: &'r str,
    /// How deep it stands in the record.
    pub depth: usize,
    /// What the record is about.
    pub context: Context,
    /// The tenant's rules.
    pub rules: &'r Rules,
}

impl Canonical<'_> {
    /// Appends the canonical, redacted form of `text` to `out`. Each redaction is added to `marks`.
    ///
    /// # Errors
    /// [`JsonError`] with the byte offset into `text`.
    pub fn write(&self, text: &str, marks: &mut Vec<Redaction>, out: &mut String) -> Result<(), JsonError> {
        let (path, members, arranged) = (Vec::with_capacity(8), Vec::with_capacity(16), String::new());
        let mut pass = Pass { reader: Reader::new(text), how: *self, marks, path, members, arranged };
        pass.value(self.depth, out)?;
        pass.reader.end()
    }
}

/// A step from the JSON text to a value in it.
enum Step {
    /// By the name at this place in [`Pass::members`].
    Member(usize),
    Index(usize),
}

struct Pass<'a, 'r> {
    reader: Reader<'a>,
    how: Canonical<'r>,
    marks: &'r mut Vec<Redaction>,
    path: Vec<Step>,
    /// The members so far of all objects that are open, those of the innermost last: the name, and where the member is written.
    members: Vec<(Cow<'a, str>, Range<usize>)>,
    /// Room for members being put in order.
    arranged: String,
}

impl<'a> Pass<'a, '_> {
    fn mark(&mut self, rule: Cow<'static, str>) {
        let mut pointer = super::pointer(self.how.path);
        for step in &self.path {
            match step {
                Step::Member(place) => {
                    push_token(&mut pointer, self.members.get(*place).map_or("", |(name, _)| name.as_ref()));
                }
                Step::Index(i) => push_token(&mut pointer, &i.to_string()),
            }
        }
        add_mark(self.marks, pointer, rule);
    }

    fn value(&mut self, depth: usize, out: &mut String) -> Result<(), JsonError> {
        match self.reader.next_kind()? {
            Next::String => {
                let from = self.reader.at();
                let text = self.reader.string()?;
                self.text(text, from, out);
            }
            Next::Number => {
                let at = self.reader.at();
                let number = self.reader.number()?;
                json::write_number(out, number, at)?;
            }
            Next::Bool => out.push_str(if self.reader.boolean()? { "true" } else { "false" }),
            Next::Null => {
                self.reader.null()?;
                out.push_str("null");
            }
            Next::Array => self.array(depth, out)?,
            Next::Object => self.object(depth, out)?,
        }
        Ok(())
    }

    /// Writes a text, which was read from `from` on.
    fn text(&mut self, text: Cow<'a, str>, from: usize, out: &mut String) {
        let mut fired: Vec<Cow<'static, str>> = Vec::new();
        match (self.how.rules.text(&text, &mut |rule| fired.push(rule)), &text) {
            // It has no escape, and needs none.
            (None, Cow::Borrowed(_)) => out.push_str(self.reader.since(from)),
            (None, Cow::Owned(text)) => json::write_string(out, text),
            (Some(scrubbed), _) => {
                fired.into_iter().for_each(|rule| self.mark(rule));
                json::write_string(out, &scrubbed);
            }
        }
    }

    fn array(&mut self, depth: usize, out: &mut String) -> Result<(), JsonError> {
        self.deeper(depth)?;
        self.reader.open(b'[')?;
        out.push('[');
        let mut n = 0;
        while self.reader.element(n == 0)? {
            if n > 0 {
                out.push(',');
            }
            self.path.push(Step::Index(n));
            self.value(depth + 1, out)?;
            self.path.pop();
            n += 1;
        }
        out.push(']');
        Ok(())
    }

    fn deeper(&self, depth: usize) -> Result<(), JsonError> {
        if depth >= MAX_DEPTH { Err(json::too_deep(self.reader.at())) } else { Ok(()) }
    }

    fn object(&mut self, depth: usize, out: &mut String) -> Result<(), JsonError> {
        self.deeper(depth)?;
        self.reader.open(b'{')?;
        out.push('{');
        let body = out.len();
        let first = self.members.len();
        let (mut sorted, mut has_value) = (true, false);
        while let Some(key) = self.reader.key(self.members.len() == first)? {
            let at = self.reader.at();
            let place = self.members.len();
            let key = self.clean_key(key, place - first);
            if let Some((last, _)) = self.members.get(first..).and_then(<[_]>::last) {
                match json::key_order(last, &key) {
                    std::cmp::Ordering::Less => {}
                    std::cmp::Ordering::Equal => return Err(duplicate(&key, at)),
                    std::cmp::Ordering::Greater => sorted = false,
                }
                // Where order is lost the commas are put in when the members are arranged.
                if sorted {
                    out.push(',');
                }
            }
            let start = out.len();
            json::write_read(out, &key);
            out.push(':');
            let rule = self.rule(&key);
            has_value |= key == "value";
            self.members.push((key, start..start));
            self.path.push(Step::Member(place));
            match rule {
                None => self.value(depth + 1, out)?,
                Some(rule) => self.secret(rule, depth + 1, out)?,
            }
            self.path.pop();
            if let Some((_, range)) = self.members.get_mut(place) {
                range.end = out.len();
            }
        }
        if has_value {
            self.named_value(first, out);
        }
        if !sorted {
            self.arrange(first, body, out)?;
        }
        self.members.truncate(first);
        out.push('}');
        Ok(())
    }

    /// Of an object such as `{"name": "Authorization", "value": …}`, a header or a credential: its value is that of the name. The
    /// object's members are those from `first` on.
    fn named_value(&mut self, first: usize, out: &mut String) {
        let members = self.members.get(first..).unwrap_or_default();
        let names = members.iter().filter(|(key, _)| matches!(key.as_ref(), "name" | "key" | "type" | "header"));
        // A member is written as its key, a colon and the value; these keys need no escape.
        let written = |key: &str, range: &Range<usize>| range.start + key.len() + 3..range.end;
        let mut secrets = names.filter_map(|(key, range)| {
            let name = out.get(written(key, range))?.strip_prefix('"')?.strip_suffix('"')?;
            self.how.rules.key(name)
        });
        let Some(rule) = secrets.next() else { return };
        let Some((at, value)) = members
            .iter()
            .position(|(key, _)| key == "value")
            .and_then(|at| members.get(at).map(|(key, range)| (at, written(key, range))))
        else {
            return;
        };
        let masked = format!("\"{MARK}\"");
        if matches!(out.get(value.clone()), Some("null" | "true" | "false") | None)
            || out.get(value.clone()) == Some(&masked)
        {
            return;
        }
        out.replace_range(value.clone(), &masked);
        let (longer, shorter) = (masked.len().saturating_sub(value.len()), value.len().saturating_sub(masked.len()));
        for (n, (_, range)) in self.members.get_mut(first..).unwrap_or_default().iter_mut().enumerate() {
            let moved = |at: usize| at + longer - shorter;
            if n == at {
                range.end = moved(range.end);
            } else if range.start >= value.end {
                *range = moved(range.start)..moved(range.end);
            }
        }
        self.path.push(Step::Member(first + at));
        self.mark(match rule {
            KeyRule::Mask(name) => name,
            KeyRule::KeyNames(name) | KeyRule::IdOnly(name) => Cow::Borrowed(name),
        });
        self.path.pop();
    }

    /// Puts the members from `first` on, written from `body` on, in their order.
    fn arrange(&mut self, first: usize, body: usize, out: &mut String) -> Result<(), JsonError> {
        let members = self.members.get_mut(first..).unwrap_or_default();
        members.sort_unstable_by(|a, b| json::key_order(&a.0, &b.0));
        self.arranged.clear();
        let mut last = None;
        for (key, range) in &*members {
            if last.is_some() {
                self.arranged.push(',');
            }
            if last == Some(key) {
                return Err(duplicate(key, self.reader.at()));
            }
            self.arranged.push_str(out.get(range.clone()).unwrap_or_default());
            last = Some(key);
        }
        out.truncate(body);
        out.push_str(&self.arranged);
        Ok(())
    }

    /// A key that is itself a token is not kept either.
    fn clean_key(&mut self, key: Cow<'a, str>, position: usize) -> Cow<'a, str> {
        let mut fired = None;
        if key.len() < 16 {
            return key;
        }
        match self.how.rules.text(&key, &mut |rule| fired = Some(rule)) {
            None => key,
            Some(clean) => {
                let clean = format!("{clean} #{position}");
                let clean = Cow::Owned(clean);
                self.path.push(Step::Member(self.members.len()));
                self.members.push((clean, 0..0));
                self.mark(fired.unwrap_or(Cow::Borrowed("token")));
                self.path.pop();
                self.members.pop().map_or(Cow::Borrowed(""), |(clean, _)| clean)
            }
        }
    }

    /// What to do with the value under this key, if anything.
    fn rule(&self, key: &str) -> Option<KeyRule> {
        let by_context = match key {
            "configuration" | "config" if self.how.context.provider => {
                Some(KeyRule::KeyNames("provider_configuration"))
            }
            "value" | "plaintext" if self.how.context.project_secret => {
                Some(KeyRule::Mask(Cow::Borrowed("project_secret")))
            }
            _ => None,
        };
        self.how.rules.key(key).or(by_context)
    }

    /// Writes what is kept of a secret value. The value is still checked: redaction is no way around the
    /// rules for JSON.
    fn secret(&mut self, rule: KeyRule, depth: usize, out: &mut String) -> Result<(), JsonError> {
        let kind = self.reader.next_kind()?;
        let from = out.len();
        let marks = self.marks.len();
        match (kind, &rule) {
            // Nothing secret fits in these.
            (Next::Null | Next::Bool, _) => return self.value(depth, out),
            (Next::Object, KeyRule::KeyNames(_)) => {
                let names = self.key_names(depth)?;
                out.push_str(&names);
            }
            // Already reduced to its key names, by us or by the sender.
            (Next::Array, KeyRule::KeyNames(_)) => return self.value(depth, out),
            (Next::Object, KeyRule::IdOnly(_)) => self.id_only(depth, out)?,
            _ => {
                self.value(depth, out)?;
                let was = out.get(from..).unwrap_or_default();
                let already = was == format!("\"{MARK}\"");
                out.truncate(from);
                self.marks.truncate(marks);
                json::write_string(out, MARK);
                if already {
                    return Ok(());
                }
            }
        }
        self.marks.truncate(marks);
        self.mark(match rule {
            KeyRule::Mask(name) => name,
            KeyRule::KeyNames(name) | KeyRule::IdOnly(name) => Cow::Borrowed(name),
        });
        Ok(())
    }

    fn key_names(&mut self, depth: usize) -> Result<String, JsonError> {
        self.deeper(depth)?;
        self.reader.open(b'{')?;
        let mut names = Vec::new();
        let mut scratch = String::new();
        while let Some(key) = self.reader.key(names.is_empty())? {
            names.push(self.clean_key(key, names.len()));
            scratch.clear();
            self.value(depth + 1, &mut scratch)?;
        }
        names.sort_by(|a, b| json::key_order(a, b));
        let mut out = String::from("[");
        for (i, name) in names.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            json::write_string(&mut out, name);
        }
        out.push(']');
        Ok(out)
    }

    fn id_only(&mut self, depth: usize, out: &mut String) -> Result<(), JsonError> {
        self.deeper(depth)?;
        self.reader.open(b'{')?;
        let mut kept: Vec<(Cow<'a, str>, String)> = Vec::new();
        let mut first = true;
        while let Some(key) = self.reader.key(first)? {
            first = false;
            let mut value = String::new();
            self.value(depth + 1, &mut value)?;
            let name = super::keys::normal(&key).into_owned();
            if matches!(name.as_str(), "id" | "identity" | "identityid" | "apikeyid") {
                kept.push((key, value));
            }
        }
        kept.sort_by(|a, b| json::key_order(&a.0, &b.0));
        out.push('{');
        for (i, (key, value)) in kept.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            json::write_string(out, key);
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
        Ok(())
    }
}

fn duplicate(key: &str, at: usize) -> JsonError {
    let shown: String = key.chars().take(60).collect();
    JsonError::new("duplicate_key", at, format!("the key {shown:?} stands twice in one object; send it once"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(path: &'static str, context: Context) -> Canonical<'static> {
        static RULES: std::sync::LazyLock<Rules> = std::sync::LazyLock::new(Rules::default);
        Canonical { path, depth: 1, context, rules: &RULES }
    }

    fn run(text: &str, context: Context) -> (String, Vec<(String, String)>) {
        let mut marks = Vec::new();
        let mut out = String::new();
        plain("attributes", context).write(text, &mut marks, &mut out).unwrap();
        (out, marks.into_iter().map(|m| (m.pointer, m.rule.into_owned())).collect())
    }

    #[test]
    fn sorts_and_masks_with_pointers() {
        let (out, marks) =
            run(r#"{ "z": 1.0, "a/b": {"Access-Token":"x", "k":[{"password":"y"}]}, "c":"***" }"#, Context::default());
        assert_eq!(out, r#"{"a/b":{"Access-Token":"***","k":[{"password":"***"}]},"c":"***","z":1}"#);
        assert_eq!(
            marks,
            [
                ("/attributes/a~1b/Access-Token".into(), "token".into()),
                ("/attributes/a~1b/k/0/password".into(), "password".into())
            ]
        );
    }

    #[test]
    fn provider_configuration_and_api_keys_are_reduced() {
        let provider = Context::of("update IdentityProvider", "");
        let (out, marks) = run(
            r#"{"configuration":{"url":"u","clientSecret":"s"},"x":{"apiKey":{"id":"1","identityId":"2","v":"s"}}}"#,
            provider,
        );
        assert_eq!(out, r#"{"configuration":["clientSecret","url"],"x":{"apiKey":{"id":"1","identityId":"2"}}}"#);
        assert_eq!(marks.len(), 2);
        let (out, marks) = run(&out, provider);
        assert!(out.contains(r#"["clientSecret","url"]"#), "the reduced form stays: {out}");
        assert_eq!(marks.len(), 1, "and the id-only object is marked again at most once");
        let (out, _) = run(r#"{"configuration":{"url":"u"}}"#, Context::default());
        assert_eq!(out, r#"{"configuration":{"url":"u"}}"#, "only for identity providers");
    }

    #[test]
    fn a_masked_value_is_still_checked_and_not_marked_twice() {
        let mut out = String::new();
        let err = plain("new", Context::default()).write(r#"{"password":"\ud800"}"#, &mut vec![], &mut out);
        assert_eq!(err.unwrap_err().code, "lone_surrogate");
        assert_eq!(run(r#"{"password":"***"}"#, Context::default()).1, []);
    }

    #[test]
    fn duplicate_keys_in_any_order_are_refused() {
        for text in [r#"{"a":1,"a":2}"#, r#"{"b":1,"a":2,"b":3}"#, r#"{"x":{"a":1,"\u0061":2}}"#] {
            let err = plain("new", Context::default()).write(text, &mut vec![], &mut String::new());
            assert_eq!(err.unwrap_err().code, "duplicate_key", "{text}");
        }
    }

    fn arbitrary_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            (-(1i64 << 53)..(1i64 << 53)).prop_map(Into::into),
            any::<f64>()
                .prop_filter("finite, and no integer that prints with more digits than a double has", |f| f.is_finite()
                    && f.abs() < 1e15)
                .prop_map(|f| serde_json::json!(f)),
            "[^\u{0}]*".prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map("[^\u{0}]{0,8}", inner, 0..6)
                    .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_an_independent_canonicalizer(value in arbitrary_json()) {
            let mut marks = Vec::new();
            let mut out = String::new();
            plain("new", Context::default()).write(&value.to_string(), &mut marks, &mut out).unwrap();
            if marks.is_empty() {
                prop_assert_eq!(out, serde_json_canonicalizer::to_string(&value).unwrap());
            }
        }

        #[test]
        fn is_a_fixed_point_and_never_panics(text in "[\\[\\]{}\",:a-c0-9.eE+ \\\\tpasword-]{0,60}") {
            let mut out = String::new();
            if plain("new", Context::default()).write(&text, &mut vec![], &mut out).is_ok() {
                let mut again = String::new();
                plain("new", Context::default()).write(&out, &mut vec![], &mut again).unwrap();
                prop_assert_eq!(out, again);
            }
        }
    }
}
