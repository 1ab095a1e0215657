//! Filter text: the `q` of a request and the console's filter bar.
//!
//! ```text
//! key:value  key:"two words"  -key:value  !key:value  NOT key:value   is, is not
//! key:a*                                                              fits the pattern
//! key:[a,b,"c d"]                                                     is one of
//! key:>=x  key:>x  key:<x  key:<=x  key:a..b  key:a..  key:..b        compares
//! key:*                                                               has a value
//! key~text                                                            contains
//! word  "two words"                                                   in any text column
//! a b   a AND b   a OR b   (a OR b) c                                 AND binds tighter than OR
//! ```
//!
//! In a bare value `\` makes the next character an ordinary one. Linear in the size of the text. The
//! parts: `lexer` (text to words), `parser` (words to [`Filter`](super::Filter)), `print` ([`Filter`](super::Filter) to text).

mod lexer;
mod parser;
mod print;

pub use parser::parse;
pub use print::print;

/// The longest text that is read, in bytes.
pub const MAX_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;
