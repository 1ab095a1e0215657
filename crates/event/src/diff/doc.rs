//! JSON texts as one arena of nodes, in the order in which JavaScript would enumerate them.
//!
//! Owns: reading, printing, and *classes*: two nodes are equal exactly if their classes are. Not here: comparing
//! what is not equal.
//!
//! The reader follows serde_json in what it accepts, so that an error can be serde_json's own.

use ahash::RandomState;
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A node's place in the arena.
pub(super) type Id = u32;

/// A value.
pub(super) enum Node<'a> {
    /// Its JSON text.
    Scalar(Cow<'a, str>),
    /// Its elements.
    Array(Vec<Id>),
    /// Its members, integer-like keys first as in JavaScript, and its keys sorted by number with their place in `members`.
    Object { members: Vec<(u32, Id)>, index: Vec<(u32, u32)> },
    /// A value that equals nothing and is only ever shown whole.
    Whole(Id),
}

/// What decides a node's class.
#[derive(PartialEq, Eq, Hash)]
enum Shape<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    Array(Box<[u32]>),
    Object(Box<[(u32, u32)]>),
}

/// Deepest nesting read, as in serde_json.
const MAX_DEPTH: usize = 127;

/// Longest pointer that is asked about: hashing a long one for every element below it would be quadratic.
const MAX_POINTER: usize = 1024;

/// The arena.
#[derive(Default)]
pub(super) struct Docs<'a> {
    nodes: Vec<(Node<'a>, u32)>,
    keys: Vec<Cow<'a, str>>,
    key_numbers: HashMap<Cow<'a, str>, u32, RandomState>,
    classes: HashMap<Shape<'a>, u32, RandomState>,
    next_class: u32,
}

impl<'a> Docs<'a> {
    /// With room for documents of so many bytes in all: a value is some ten bytes.
    pub(super) fn with_capacity(bytes: usize) -> Docs<'a> {
        let values = (bytes / 10).clamp(4, 1024);
        Docs {
            nodes: Vec::with_capacity(values),
            keys: Vec::with_capacity(values / 2),
            key_numbers: HashMap::with_capacity_and_hasher(values / 2, RandomState::default()),
            classes: HashMap::with_capacity_and_hasher(values, RandomState::default()),
            next_class: 0,
        }
    }

    /// Adds a document. Values that `changed` (asked with their JSON pointers) answers `true` for become [`Node::Whole`].
    pub(super) fn read(
        &mut self,
        text: &'a str,
        changed: Option<&dyn Fn(&str) -> bool>,
    ) -> Result<Id, serde_json::Error> {
        let mut reader = Reader { docs: self, text, at: 0, changed, pointer: String::new() };
        let root = reader.value(0).and_then(|id| {
            reader.space();
            (reader.at == text.len()).then_some(id)
        });
        root.ok_or_else(|| error_of(text))
    }

    pub(super) fn node(&self, id: Id) -> &Node<'a> {
        &self.nodes[id as usize].0
    }

    pub(super) fn class(&self, id: Id) -> u32 {
        self.nodes[id as usize].1
    }

    pub(super) fn equal(&self, a: Id, b: Id) -> bool {
        self.class(a) == self.class(b)
    }

    /// A key's JSON text, quotes included.
    pub(super) fn key(&self, number: u32) -> &str {
        &self.keys[number as usize]
    }

    /// Whether the node is the scalar of this JSON text.
    pub(super) fn is_text(&self, id: Id, text: &str) -> bool {
        matches!(self.node(id), Node::Scalar(own) if own == text)
    }

    /// Writes a node as compact JSON.
    pub(super) fn print(&self, id: Id, out: &mut String) {
        match self.node(id) {
            Node::Scalar(text) => out.push_str(text),
            Node::Whole(id) => self.print(*id, out),
            Node::Array(elements) => {
                out.push('[');
                for (n, &element) in elements.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    self.print(element, out);
                }
                out.push(']');
            }
            Node::Object { members, .. } => {
                out.push('{');
                for (n, &(key, value)) in members.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    out.push_str(self.key(key));
                    out.push(':');
                    self.print(value, out);
                }
                out.push('}');
            }
        }
    }

    fn add(&mut self, node: Node<'a>, shape: Shape<'a>) -> Id {
        let next = self.next_class;
        let class = *self.classes.entry(shape).or_insert(next);
        self.next_class += u32::from(class == next);
        self.push(node, class)
    }

    fn push(&mut self, node: Node<'a>, class: u32) -> Id {
        let id = self.nodes.len() as Id;
        self.nodes.push((node, class));
        id
    }

    fn key_number(&mut self, text: Cow<'a, str>) -> u32 {
        if let Some(&number) = self.key_numbers.get(&text) {
            return number;
        }
        let number = self.keys.len() as u32;
        self.keys.push(text.clone());
        self.key_numbers.insert(text, number);
        number
    }

    fn add_array(&mut self, elements: Vec<Id>) -> Id {
        let shape = elements.iter().map(|&id| self.class(id)).collect();
        self.add(Node::Array(elements), Shape::Array(shape))
    }

    fn add_object(&mut self, mut members: Vec<(u32, Id)>) -> Id {
        let mut index = index_of(&members);
        if index.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            // A repeated key: the last value in the first place, as JavaScript has it.
            let mut place = HashMap::new();
            let mut unique: Vec<(u32, Id)> = Vec::with_capacity(members.len());
            for (key, value) in members {
                match place.get(&key) {
                    Some(&at) => {
                        let slot: &mut (u32, Id) = &mut unique[at];
                        slot.1 = value;
                    }
                    None => {
                        place.insert(key, unique.len());
                        unique.push((key, value));
                    }
                }
            }
            members = unique;
            index = index_of(&members);
        }
        if members.iter().any(|&(key, _)| array_index(self.key(key)).is_some()) {
            members.sort_by_key(|&(key, _)| array_index(self.key(key)).unwrap_or(u32::MAX));
            index = index_of(&members);
        }
        let shape = index.iter().map(|&(key, at)| (key, self.class(members[at as usize].1))).collect();
        self.add(Node::Object { members, index }, Shape::Object(shape))
    }
}

fn index_of(members: &[(u32, Id)]) -> Vec<(u32, u32)> {
    let mut index: Vec<(u32, u32)> = (0u32..).zip(members).map(|(at, &(key, _))| (key, at)).collect();
    index.sort_unstable();
    index
}

/// The number that a quoted key is, if JavaScript would sort it among the integers.
pub(super) fn array_index(key: &str) -> Option<u32> {
    let digits = key.strip_prefix('"')?.strip_suffix('"')?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().ok().filter(|&n| n < u32::MAX) } else { None }
}

/// What serde_json says is wrong with a text that the reader refused.
fn error_of(text: &str) -> serde_json::Error {
    match serde_json::from_str::<serde_json::Value>(text) {
        Err(error) => error,
        Ok(_) => error_of(""), // only if the two disagree; the empty text is an error to both
    }
}

struct Reader<'d, 'a> {
    docs: &'d mut Docs<'a>,
    text: &'a str,
    at: usize,
    changed: Option<&'d dyn Fn(&str) -> bool>,
    pointer: String,
}

impl<'a> Reader<'_, 'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Takes `byte` after any space.
    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Option<Id> {
        self.space();
        let id = match self.peek()? {
            b'{' if depth < MAX_DEPTH => self.object(depth + 1)?,
            b'[' if depth < MAX_DEPTH => self.array(depth + 1)?,
            b'"' => {
                let text = self.string()?;
                self.docs.add(Node::Scalar(text.clone()), Shape::Text(text))
            }
            b'-' | b'0'..=b'9' => self.number()?,
            b'n' => self.word("null")?,
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            _ => return None,
        };
        if self.changed.is_some_and(|changed| self.pointer.len() <= MAX_POINTER && changed(&self.pointer)) {
            let class = self.docs.next_class;
            self.docs.next_class += 1;
            return Some(self.docs.push(Node::Whole(id), class));
        }
        Some(id)
    }

    fn object(&mut self, depth: usize) -> Option<Id> {
        self.at += 1;
        let mut members = Vec::new();
        if !self.take(b'}') {
            loop {
                self.space();
                let key = (self.peek()? == b'"').then(|| self.string())??;
                let outer = self.pointer.len();
                if self.changed.is_some() {
                    let name: String = serde_json::from_str(&key).ok()?;
                    self.pointer.push('/');
                    self.pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                }
                let key = self.docs.key_number(key);
                if !self.take(b':') {
                    return None;
                }
                members.push((key, self.value(depth)?));
                self.pointer.truncate(outer);
                if self.take(b'}') {
                    break;
                }
                if !self.take(b',') {
                    return None;
                }
            }
        }
        Some(self.docs.add_object(members))
    }

    fn array(&mut self, depth: usize) -> Option<Id> {
        self.at += 1;
        let mut elements = Vec::new();
        if !self.take(b']') {
            loop {
                let outer = self.pointer.len();
                if self.changed.is_some() {
                    self.pointer.push('/');
                    self.pointer.push_str(&elements.len().to_string());
                }
                elements.push(self.value(depth)?);
                self.pointer.truncate(outer);
                if self.take(b']') {
                    break;
                }
                if !self.take(b',') {
                    return None;
                }
            }
        }
        Some(self.docs.add_array(elements))
    }

    /// A string's canonical JSON text, quotes included.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                0..=0x1f => return None,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        let text = self.text.get(start..self.at)?;
        if !escaped {
            return Some(Cow::Borrowed(text));
        }
        let plain: String = serde_json::from_str(text).ok()?;
        serde_json::to_string(&plain).ok().map(Cow::Owned)
    }

    fn number(&mut self) -> Option<Id> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')) {
            self.at += 1;
        }
        let text = self.text.get(start..self.at)?;
        serde_json::from_str::<f64>(text).ok()?; // the grammar, and the range
        let value: f64 = text.parse().ok()?;
        let bits = if value == 0.0 { 0 } else { value.to_bits() };
        Some(self.docs.add(Node::Scalar(Cow::Borrowed(text)), Shape::Number(bits)))
    }

    fn word(&mut self, word: &'static str) -> Option<Id> {
        let end = self.at + word.len();
        (self.text.get(self.at..end)? == word).then_some(())?;
        self.at = end;
        Some(self.docs.add(Node::Scalar(Cow::Borrowed(word)), Shape::Text(Cow::Borrowed(word))))
    }
}

/// A map whose keys are numbers of our own making, so that no hostile sender chooses them.
pub(super) type NumberMap<V> = HashMap<u64, V, BuildHasherDefault<NumberHasher>>;

/// Multiply and fold; enough for keys that are counters.
#[derive(Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, n: u64) {
        let wide = u128::from(n ^ self.0 ^ 0x9E37_79B9_7F4A_7C15) * 0xD6E8_FEB8_6659_FD93;
        self.0 = (wide >> 64) as u64 ^ wide as u64;
    }
}
