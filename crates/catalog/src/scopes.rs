//! What a key allows: seven names that the API contract fixes.

use std::fmt;
use std::ops::BitOr;
use std::str::FromStr;

/// A set of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scopes(u8);

/// The one list of names; text is what is stored, so the bits may change.
const NAMES: [(Scopes, &str); 7] = [
    (Scopes::WRITE, "write"),
    (Scopes::READ, "read"),
    (Scopes::READ_BODY, "read_body"),
    (Scopes::EXPORT, "export"),
    (Scopes::RESTORE, "restore"),
    (Scopes::REVOKE, "revoke"),
    (Scopes::ADMIN, "admin"),
];

/// A scope that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown scope {name:?}: known are write, read, read_body, export, restore, revoke, admin")]
pub struct UnknownScope {
    /// The name as given, cut to 80 characters.
    pub name: String,
}

impl Scopes {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Send records.
    pub const WRITE: Self = Self(1);
    /// Search and read records.
    pub const READ: Self = Self(1 << 1);
    /// See notification bodies and session claims.
    pub const READ_BODY: Self = Self(1 << 2);
    /// Make exports.
    pub const EXPORT: Self = Self(1 << 3);
    /// Restore from exports.
    pub const RESTORE: Self = Self(1 << 4);
    /// Revoke sessions in the identity systems.
    pub const REVOKE: Self = Self(1 << 5);
    /// Change settings and keys.
    pub const ADMIN: Self = Self(1 << 6);
    /// Everything.
    pub const ALL: Self = Self((1 << 7) - 1);

    /// The set of these names.
    ///
    /// # Errors
    ///
    /// [`UnknownScope`] with the first name that does not exist.
    pub fn parse<I>(names: I) -> Result<Self, UnknownScope>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        names.into_iter().try_fold(Self::NONE, |set, name| {
            let name = name.as_ref();
            match NAMES.iter().find(|(_, known)| *known == name) {
                Some((scope, _)) => Ok(set | *scope),
                None => Err(UnknownScope { name: name.chars().take(80).collect() }),
            }
        })
    }

    /// Whether all of `other` is in this set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names, in the order of the API contract.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().filter(move |(scope, _)| self.contains(*scope)).map(|(_, name)| name)
    }
}

impl BitOr for Scopes {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Names separated by commas or white space; the form that is stored and that a command line takes.
impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::parse(text.split(|c: char| c == ',' || c.is_whitespace()).filter(|name| !name.is_empty()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.names().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scopes({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_round_trips_through_its_text() {
        for bits in 0..=Scopes::ALL.0 {
            let set = Scopes(bits);
            assert_eq!(set.to_string().parse::<Scopes>(), Ok(set));
            assert_eq!(Scopes::parse(set.names()), Ok(set));
        }
        assert_eq!(Scopes::ALL.names().count(), NAMES.len());
    }

    #[test]
    fn the_unknown_one_is_named() {
        let error = Scopes::parse(["read", "reed"]).unwrap_err();
        assert!(error.to_string().contains("\"reed\""), "{error}");
        assert!(Scopes::parse(["READ"]).is_err());
        assert_eq!("read, write".parse(), Ok(Scopes::READ | Scopes::WRITE));
        assert!(!(Scopes::READ).contains(Scopes::READ_BODY));
        assert!(!(Scopes::ADMIN).contains(Scopes::READ));
    }
}
