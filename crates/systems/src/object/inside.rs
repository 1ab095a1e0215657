//! What stands inside a JSON text, found without reading it as an object.
//!
//! Not here: objects whose members are taken (`super`).

use event::json::{JsonError, Next, Reader};

/// The value inside a JSON value at these steps: names, and positions in lists from 0.
pub fn at<'t>(raw: &'t str, steps: &[&str]) -> Option<&'t str> {
    let mut inside = raw;
    for step in steps {
        let mut r = Reader::new(inside);
        let mut first = true;
        inside = match r.next_kind().ok()? {
            Next::Object => {
                r.open(b'{').ok()?;
                loop {
                    let key = r.key(first).ok()??;
                    let value = r.skip(1).ok()?;
                    if key == *step {
                        break value;
                    }
                    first = false;
                }
            }
            Next::Array => {
                let wanted: usize = step.parse().ok()?;
                r.open(b'[').ok()?;
                let mut position = 0;
                loop {
                    if !r.element(position == 0).ok()? {
                        return None;
                    }
                    let value = r.skip(1).ok()?;
                    if position == wanted {
                        break value;
                    }
                    position += 1;
                }
            }
            _ => return None,
        };
    }
    Some(inside)
}

/// The texts of these members of the object that the reader stands before; of a name that stands there twice the last. Each byte is
/// passed over once, however many are wanted.
///
/// # Errors
/// Where it is no object, or its text breaks off.
pub fn pick<'t, const N: usize>(r: &mut Reader<'t>, names: [&str; N]) -> Result<[Option<&'t str>; N], JsonError> {
    let mut found = [None; N];
    members(r, &mut |key, r| {
        let value = r.skip(1)?;
        for (name, place) in names.iter().zip(&mut found) {
            if key == *name {
                *place = Some(value);
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// Calls `take` with each name of the object that the reader stands before, and with the reader before its value, which it MUST
/// read. So what stands inside can be read in the same pass.
///
/// # Errors
/// Where it is no object, or its text breaks off, or what `take` says.
pub fn members<'t>(
    r: &mut Reader<'t>,
    take: &mut dyn FnMut(&str, &mut Reader<'t>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    r.open(b'{')?;
    let mut first = true;
    while let Some(key) = r.key(first)? {
        first = false;
        take(&key, r)?;
    }
    Ok(())
}

/// Calls `take` before every element of the list that the reader stands before; it MUST read that element. `null` is an empty list.
///
/// # Errors
/// Where it is no list, or its text breaks off, or what `take` says.
pub fn each<'t>(
    r: &mut Reader<'t>,
    take: &mut dyn FnMut(&mut Reader<'t>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    if r.next_kind()? == Next::Null {
        return r.null();
    }
    r.open(b'[')?;
    let mut first = true;
    while r.element(first)? {
        first = false;
        take(r)?;
    }
    Ok(())
}

/// Whether an object has a list under this name, as its first or after other members.
pub fn has_list(text: &str, name: &str) -> bool {
    let look = || -> Result<bool, JsonError> {
        let mut r = Reader::new(text);
        r.open(b'{')?;
        let mut first = true;
        while let Some(key) = r.key(first)? {
            first = false;
            if key == name {
                return Ok(r.next_kind()? == Next::Array);
            }
            r.skip(1)?;
        }
        Ok(false)
    };
    look().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_inside_lists() {
        let raw = r#"{"a":[{"b":1},{"b":"x"}],"c":null}"#;
        assert_eq!(at(raw, &["a", "1", "b"]), Some("\"x\""));
        assert_eq!(at(raw, &["c"]), Some("null"));
        assert_eq!(at(raw, &[]), Some(raw));
        for steps in [&["a", "2"][..], &["a", "-1"], &["a", "x"], &["c", "d"], &["d"], &["a", "0", "c"]] {
            assert_eq!(at(raw, steps), None, "{steps:?}");
        }
        assert_eq!(at(r#"{"a":[1,"#, &["a", "1"]), None);
    }
}
