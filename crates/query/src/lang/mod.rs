//! The language part: every way a person or a program says which records it wants becomes one [`Query`].
//!
//! Three ways in, one type out: filter text (`q=`, [`text`]), the JSON form (`POST /query`,
//! [`Query::from_json`]) and a question in English ([`ask`]). Pure: no I/O, no clock (`now` is always
//! given), no panic on any input, linear in the size of the input. Not here: running a query.

pub mod ask;
pub mod error;
pub mod filter;
mod json;
pub mod text;
pub mod time;
pub mod views;

pub use error::Error;
pub use filter::{Filter, Op, Query, Test, Value};
pub use time::{Clock, Interval, Period, Unit};
pub use views::{Column, ColumnKind, Key, Source, View};
