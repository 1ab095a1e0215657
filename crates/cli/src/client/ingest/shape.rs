//! Whose records a file holds: plain ones, or a system's own, told by how it begins.
//!
//! Owns that one decision, so that all batches of a file go to one address. What looks like what is `systems::detect`'s matter.

use std::path::Path;

use super::open::Input;
use crate::client::{Failure, note};

/// As much of the input is looked at: the first record, whatever it is wrapped in.
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

    /// The shape of an input, where nobody named it. Says what it was told by, or that it could not be.
    pub(super) fn find(path: &Path, input: &mut Input, asked: Option<&str>) -> Result<Shape, Failure> {
        let native = match asked {
            None => false,
            Some("auto") => true,
            Some("records") => return Ok(Shape::Plain),
            Some(name) => return Ok(Shape::Native(name.to_owned(), None)),
        };
        let head = input.peek(HEAD).map_err(|e| Failure::file("read", path, &e))?;
        match Shape::of(&head, native) {
            Ok(shape) => {
                if let Shape::Native(system, Some(sure)) = &shape {
                    note(&format!(
                        "the records look like {system}'s ({sure} % sure); --system NAME says what they are"
                    ));
                }
                Ok(shape)
            }
            Err(found) => {
                if !head.trim_ascii().is_empty() {
                    note(&unknown(&found, native));
                }
                // The server may know what this program does not.
                Ok(if native { Shape::Native("auto".into(), None) } else { Shape::Plain })
            }
        }
    }

    /// The shape of what begins like this; `native` where somebody said that it is a system's own.
    ///
    /// # Errors
    /// Where it is told by nothing: the systems it may be of, none of them surely.
    fn of(head: &[u8], native: bool) -> Result<Shape, Vec<(&'static str, u8)>> {
        let text = systems::split::text(head);
        let log = systems::detect::Sample::new(&text).text("log");
        if !native
            && log.is_some_and(|log| {
                event::parse::allowed(event::Field::Log).is_some_and(|all| all.contains(&log.as_str()))
            })
        {
            return Ok(Shape::Plain);
        }
        let found = systems::detect(head);
        let second = found.get(1).map_or(0, |(_, sure)| *sure);
        match found.first().filter(|(_, sure)| *sure >= SURE && *sure >= second.saturating_add(SURER)) {
            Some((name, sure)) => Ok(Shape::Native((*name).to_owned(), Some(*sure))),
            None => Err(found),
        }
    }
}

/// What is said of an input that nothing tells.
fn unknown(found: &[(&str, u8)], native: bool) -> String {
    let names: Vec<&str> = systems::SYSTEMS.iter().map(|system| system.name()).collect();
    let maybe: Vec<String> = found.iter().map(|(name, sure)| format!("{name}'s ({sure} % sure)")).collect();
    let so = match native {
        true => "the server is asked",
        false => r#"it is taken for plain records, such as {"log":"event","action":"login","outcome":"success"}"#,
    };
    let maybe = if maybe.is_empty() { String::new() } else { format!("; it may be {}", maybe.join(" or ")) };
    format!(
        "no system is recognised by how the input begins{maybe}; {so}; --system NAME says whose records they are: {}, a source of \
         the tenant, or `records`",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_records_are_told_from_those_of_systems() {
        let of = |text: &str| Shape::of(text.as_bytes(), false).unwrap();
        let keycloak = r#"{"id":"e","time":1763640000000,"type":"LOGIN","realmId":"r","clientId":"c","userId":"u","ipAddress":"192.0.2.7","details":{}}"#;
        assert!(matches!(of(keycloak), Shape::Native(name, Some(sure)) if name == "keycloak" && sure >= 50));
        assert!(matches!(of(&format!("[{keycloak},")), Shape::Native(name, _) if name == "keycloak"));
        // A record of ours may look like anything else as well.
        assert_eq!(of(&keycloak.replace("{\"id\"", "{\"log\":\"event\",\"id\"")), Shape::Plain);
        assert_eq!(of("{\"log\":\"event\",\"action\":\"login\"}"), Shape::Plain);
        for text in ["", "{}", "[]", "x", "{\"log\":\"access\"}"] {
            for native in [false, true] {
                assert_eq!(Shape::of(text.as_bytes(), native), Err(Vec::new()), "{text}");
            }
        }
    }

    #[test]
    fn what_nothing_tells_is_said_with_what_to_do() {
        let plain = unknown(&[], false);
        assert!(plain.contains("plain records, such as {\"log\":") && plain.contains("--system NAME"), "{plain}");
        assert!(plain.contains("keycloak") && !plain.contains("it may be"), "{plain}");
        let asked = unknown(&[("okta", 60), ("ory", 60)], true);
        assert!(asked.contains("it may be okta's (60 % sure) or ory's (60 % sure); the server is asked"), "{asked}");
    }
}
