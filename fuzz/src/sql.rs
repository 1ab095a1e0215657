//! The entry check of SQL text.

#[path = "../../crates/query/src/sql/dialect.rs"]
mod dialect;
#[path = "../../crates/query/src/sql/parse.rs"]
mod parse;

/// Whether a text is one query of bounded size.
pub fn entry(text: &str) -> crate::engine::Result<()> {
    parse::parse(text).map(drop)
}
