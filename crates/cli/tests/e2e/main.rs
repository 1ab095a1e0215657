//! End-to-end tests: the real binary on a random port, used from outside by clients that know nothing of the code.
//!
//! Owns nothing of the product: what is expected here comes from the contract. Each test's name says which rule it
//! proves. One file per promise; `server` starts, stops and kills the binary, `http` talks to it, `ledger` reads what it
//! publishes. A tool that is missing fails a test, because a skipped check reads like a passed one.

mod access;
mod bad_input;
mod changes;
mod cloudevents;
mod contember_table;
mod counting;
mod crash;
mod duckdb;
mod faces;
mod faults;
mod fetched;
mod folder;
mod guides;
mod heard;
mod http;
mod import;
mod intake;
mod keycloak;
mod ledger;
mod native;
mod ops;
mod otlp;
mod paging;
mod parts;
mod peer;
mod postgres;
mod proofs;
mod pull;
mod pull_clock;
mod pull_parts;
mod push;
mod random;
mod reading;
mod real_ory;
mod rebuild;
mod redaction;
mod renamed;
mod repair;
mod revoke;
mod scrub;
mod server;
mod slow;
mod sns;
mod sources;
mod sql;
mod tail;
mod upstream;
mod verify;
