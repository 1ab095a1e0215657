//! The HTTP surface: records in, queries out, keys and tenants, the ledger's files, health and metrics.
//!
//! Owns routes, authorization, and the shapes of requests and answers. Everything that
//! is done is done elsewhere: `event`, `ledger` and `store` take in, `query` reads. No Parquet, Arrow or
//! DataFusion type appears here.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod admin;
mod app;
mod auth;
mod body;
mod catalogue;
mod completeness;
mod connections;
mod decompress;
mod deriving;
mod faces;
mod gap;
mod gone;
mod heard;
mod ids;
mod intake;
mod jobs;
mod kept;
mod log;
mod native;
mod openapi;
mod ops;
mod otlp;
mod parameters;
mod parts;
mod prepare;
mod problem;
mod pull;
mod push;
mod read;
mod replay;
mod request;
mod revoke;
mod room;
mod shares;
mod sources;
mod states;
mod tail;
mod turns;
mod twins;

pub use app::{App, Options, router};
pub use connections::serve;
pub use heard::finish;
pub use intake::take;
pub use openapi::document;
pub use problem::Problem;
pub use push::Fetch;

/// Looks after every source until `stop`: fetches from those that are asked, and writes what was heard of the others. Called
/// once; [`finish`] comes after it and after the last request.
pub async fn run_background(app: App, stop: tokio::sync::watch::Receiver<bool>) {
    let (fetching, hearing) = (pull::run(app.clone(), stop.clone()), heard::run(app.clone(), stop.clone()));
    tokio::join!(fetching, hearing, revoke::watch(app, stop));
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
