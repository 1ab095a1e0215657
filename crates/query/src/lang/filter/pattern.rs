//! How texts are compared: folded to lower case, and against patterns.

/// A text as it is compared: every character in lower case, one by one.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_lowercase).collect()
}

/// [`fold`], and in the columns of `action` space, `_`, `-` and `.` made one, as `contains` and `like` do there.
pub fn fold_for(text: &str, loose: bool) -> String {
    let mut folded = fold(text);
    if loose {
        folded = folded.replace(['_', '-', '.'], " ");
    }
    folded
}

/// A `like` pattern: literal texts with any run of characters between them.
///
/// In its spelling `*` and `%` are wildcards and `\*`, `\%`, `\\` are the characters themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The literals; one alone means that there is no wildcard.
    pub parts: Vec<String>,
}

impl Pattern {
    /// Reads a spelling; every text is one.
    pub fn parse(text: &str) -> Pattern {
        let mut parts = vec![String::new()];
        let mut chars = text.chars().peekable();
        let mut wild = false;
        while let Some(c) = chars.next() {
            let literal = match (c, chars.peek()) {
                ('\\', Some(&next @ ('*' | '%' | '\\'))) => {
                    chars.next();
                    next
                }
                ('*' | '%', _) => {
                    if !wild {
                        parts.push(String::new());
                    }
                    wild = true;
                    continue;
                }
                _ => c,
            };
            wild = false;
            if let Some(last) = parts.last_mut() {
                last.push(literal);
            }
        }
        Pattern { parts }
    }

    /// Whether it has a wildcard.
    pub fn wild(&self) -> bool {
        self.parts.len() > 1
    }

    /// Whether the whole text fits; a pattern without wildcard fits any text that contains it. Both are
    /// compared as they are: fold them first.
    pub fn fits(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.parts.as_slice() else {
            return self.parts.first().is_none_or(|p| text.contains(p.as_str()));
        };
        // A pattern of thousands of letters with a wildcard between each is not looked for in what is shorter.
        if text.len() < self.parts.iter().map(String::len).sum() {
            return false;
        }
        let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
        for part in middle {
            match rest.find(part.as_str()) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }

    /// The same pattern with folded literals, for [`Pattern::fits`] on folded text.
    #[must_use]
    pub fn folded(&self, loose: bool) -> Pattern {
        Pattern { parts: self.parts.iter().map(|p| fold_for(p, loose)).collect() }
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, part) in self.parts.iter().enumerate() {
            if i > 0 {
                f.write_str("*")?;
            }
            f.write_str(&escape_pattern(part))?;
        }
        Ok(())
    }
}

/// A text as a pattern that only that text fits.
pub fn escape_pattern(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '%' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
