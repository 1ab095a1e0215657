//! authentik: events, as its API lists them.
//!
//! ```text
//! { pk, user{ pk, email, username, on_behalf_of{…}? }, action, app, context{…}, client_ip, created, expires, brand{…} }
//! ```
//!
//! What makes it special:
//! * On `login_failed` the `user` is `AnonymousUser`; the name that was tried is `context.username`.
//! * While somebody impersonates, `user` is who they really are and `on_behalf_of` who they act as.
//! * `context.model` is what a change was made to, `context.authorized_application` what somebody signed in to.
//! * Older versions say `tenant` where newer ones say `brand`. Every site may add its own actions, as `custom_…`.

mod read;
#[cfg(test)]
mod tests;

use crate::detect::Sample;
use crate::envelope::Envelope;
use crate::split::{self, Piece};
use crate::{Context, Reason, System};

/// The adapter.
#[derive(Debug)]
pub struct Authentik;

const NAME: &str = "authentik";

/// Where a page of the API has its events.
const RESULTS: &[&str] = &["results"];

impl System for Authentik {
    fn name(&self) -> &'static str {
        NAME
    }

    fn looks_like(&self, sample: &Sample<'_>) -> u8 {
        const OWN: &[&str] = &["pk", "action", "app", "context", "created"];
        if sample.has(OWN) {
            return 97;
        }
        let inside = split::wrapped(sample.first, RESULTS).and_then(split::telling);
        if inside.is_some_and(|text| Sample::new(&text).has(OWN)) { 96 } else { 0 }
    }

    fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        split::wrapped(text, RESULTS).unwrap_or_else(|| split::records(text))
    }

    fn read<'a>(&self, text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
        read::read(text, context, out)
    }
}
