//! RFC 8417 Security Event Tokens: what shared signals (CAEP, RISC) and other transmitters push (RFC 8935).
//!
//! ```text
//! { iss, iat, jti, aud?, sub?, sub_id?, txn?, toe?, events: { "<event's URI>": { … }, … } }
//! as pushed: header.payload.signature, each base64url
//! ```
//!
//! What makes it special:
//! * The action is the URI of the event. Several URIs in one token are facets of one event, so they are one record: the first is
//!   the action, all of them stay in `events`.
//! * `jti` counts within `iss`, so the record's id is a hash of both.
//! * The time is `toe`, when it happened; else CAEP's `event_timestamp`; else `iat`, when the token was made.
//! * Whom it is about is `sub_id`, or `subject` in older events, in one of several formats (RFC 9493).
//!
//! A token's header and signature are not kept: without the exact bytes they prove nothing. [`payload`] opens the token and
//! nothing else; whether its issuer signed it is for [`Keys::verify`] to say, which the caller asks where it knows the keys.

mod read;
mod signature;
#[cfg(test)]
mod tests;

pub use signature::Keys;

use crate::detect::Sample;
use crate::envelope::Envelope;
use crate::{Context, Reason, System, split};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::borrow::Cow;

/// The adapter.
#[derive(Debug)]
pub struct Set;

const NAME: &str = "set";

impl System for Set {
    fn name(&self) -> &'static str {
        NAME
    }

    fn looks_like(&self, sample: &Sample<'_>) -> u8 {
        let token = payload(sample.first);
        let opened = token.as_deref().map(Sample::new);
        let sample = opened.as_ref().unwrap_or(sample);
        let Some(mut object) = sample.object.clone() else { return 0 };
        let Some(events) = object.inner("events").filter(|events| events.names().next().is_some()) else { return 0 };
        // A vendor's own events may be for that vendor's adapter.
        let shared = events.names().any(|uri| crate::catalog::of(NAME).get(uri).is_some());
        match (shared, sample.has(&["iss"]), sample.has(&["jti"])) {
            (true, true, _) => 97,
            (false, true, true) => 75,
            _ => 0,
        }
    }

    fn signs(&self) -> bool {
        true
    }

    /// A body that is one token becomes its payload; anything else is read as JSON.
    fn decode<'a>(&self, body: &'a [u8], _content_type: &str) -> Result<Cow<'a, str>, Reason> {
        let text = split::text(body);
        Ok(payload(&text).map_or(text, Cow::Owned))
    }

    fn read<'a>(&self, text: &'a str, context: &Context<'_>, out: &mut Envelope<'a>) -> Result<(), Reason> {
        read::read(text, context, out)
    }
}

/// Whether a body is one compact token.
pub fn is_token(body: &[u8]) -> bool {
    // Its header is an object in base64.
    body.trim_ascii_start().starts_with(b"ey") && payload(&split::text(body)).is_some()
}

/// The payload of a compact token, not verified; `None` for what is none.
pub fn payload(token: &str) -> Option<String> {
    let mut parts = token.trim().split('.');
    let (header, payload, _signature, end) = (parts.next()?, parts.next()?, parts.next()?, parts.next());
    let json = |part: &str| {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(part).ok()?).ok()?;
        text.starts_with('{').then_some(text)
    };
    json(header)?;
    json(payload).filter(|_| end.is_none())
}
