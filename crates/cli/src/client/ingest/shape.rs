//! Whose records a file holds: plain ones, or a system's own, told by how it begins.
//!
//! Owns that one decision, so that all batches of a file go to one address. What looks like what is `systems::detect`'s matter.

use std::io::Read as _;
use std::path::Path;

use super::open;
use crate::client::Failure;

/// As much of a file is looked at: the first record, whatever it is wrapped in.
const HEAD: u64 = 1 << 20;
/// How sure one must be of a system, of 100, and how much surer than of any other. As on the server.
const SURE: u8 = 50;
const SURER: u8 = 10;

/// What is sent, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// Records in our own words.
    Plain,
    /// Those of the system of this name; `auto` where the server is to say. With how sure that is, if it was told by the shape.
    Native(String, Option<u8>),
}

impl Shape {
    /// The system's name; none for plain records.
    pub(super) fn system(&self) -> Option<&str> {
        match self {
            Shape::Plain => None,
            Shape::Native(name, _) => Some(name),
        }
    }

    /// The shape of a file, where nobody named it. What comes over stdin cannot be looked at twice, and is as it was said.
    pub(super) fn find(path: &Path, asked: Option<&str>) -> Result<Shape, Failure> {
        let looked = matches!(asked, None | Some("auto")) && path.as_os_str() != "-";
        if !looked {
            return Ok(match asked {
                None | Some("records") => Shape::Plain,
                Some(name) => Shape::Native(name.to_owned(), None),
            });
        }
        let mut head = Vec::new();
        open::open(path)?.reader.take(HEAD).read_to_end(&mut head).map_err(|e| Failure::file("read", path, &e))?;
        Ok(Shape::of(&head, asked.is_some()))
    }

    /// The shape of what begins like this; `native` where somebody said that it is a system's own.
    fn of(head: &[u8], native: bool) -> Shape {
        let text = systems::split::text(head);
        let log = systems::detect::Sample::new(&text).text("log");
        if !native
            && log.is_some_and(|log| {
                event::parse::allowed(event::Field::Log).is_some_and(|all| all.contains(&log.as_str()))
            })
        {
            return Shape::Plain;
        }
        let found = systems::detect(head);
        let second = found.get(1).map_or(0, |(_, sure)| *sure);
        match found.first().filter(|(_, sure)| *sure >= SURE && *sure >= second.saturating_add(SURER)) {
            Some((name, sure)) => Shape::Native((*name).to_owned(), Some(*sure)),
            // The server may know what this program does not.
            None if native => Shape::Native("auto".into(), None),
            None => Shape::Plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_records_are_told_from_those_of_systems() {
        let of = |text: &str| Shape::of(text.as_bytes(), false);
        let keycloak = r#"{"id":"e","time":1763640000000,"type":"LOGIN","realmId":"r","clientId":"c","userId":"u","ipAddress":"192.0.2.7","details":{}}"#;
        assert!(matches!(of(keycloak), Shape::Native(name, Some(sure)) if name == "keycloak" && sure >= 50));
        assert!(matches!(of(&format!("[{keycloak},")), Shape::Native(name, _) if name == "keycloak"));
        // A record of ours may look like anything else as well.
        assert_eq!(of(&keycloak.replace("{\"id\"", "{\"log\":\"event\",\"id\"")), Shape::Plain);
        for text in ["", "{}", "[]", "x", "{\"log\":\"event\",\"action\":\"login\"}"] {
            assert_eq!(of(text), Shape::Plain, "{text}");
        }
        assert_eq!(Shape::of(b"{}", true), Shape::Native("auto".into(), None));
    }
}
