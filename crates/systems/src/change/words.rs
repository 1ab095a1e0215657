//! Records that have other words for an entity's members than its states have.

use super::{State, Text};
use event::json::key_order;
use std::borrow::Cow;

/// Other words for the members of a state.
#[derive(Debug, PartialEq, Eq)]
pub struct Words {
    /// What a record calls a member, and what states call it.
    pub names: &'static [(&'static str, &'static str)],
    /// The member that has all others, each as a list of one.
    pub others: &'static str,
}

impl Words {
    /// A record's new state in the words of states, both canonical.
    pub fn state(&self, new: &str) -> Option<String> {
        let said = State::read(new)?;
        let mut others = Text::default();
        let mut members: Vec<(&str, Cow<'_, str>)> = Vec::with_capacity(said.members.len());
        for (name, raw) in &said.members {
            match self.names.iter().find(|(own, _)| own == name) {
                Some((_, name)) => members.push((name, Cow::Borrowed(*raw))),
                None => others.add(name, &format!("[{raw}]")),
            }
        }
        members.extend(others.some().map(|others| (self.others, Cow::Owned(others))));
        members.sort_by(|a, b| key_order(a.0, b.0));
        let mut text = Text::default();
        members.iter().for_each(|(name, raw)| text.add(name, raw));
        Some(text.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_put_into_the_words_of_states_in_their_order() {
        let words = Words { names: &[("first_name", "firstName"), ("email", "email")], others: "attributes" };
        let state = |new: &str| words.state(new).unwrap();
        assert_eq!(
            state(r#"{"email":"a@x","first_name":"A","room":"1","team":"red"}"#),
            r#"{"attributes":{"room":["1"],"team":["red"]},"email":"a@x","firstName":"A"}"#
        );
        assert_eq!((state("{}").as_str(), words.state("[]")), ("{}", None));
    }
}
