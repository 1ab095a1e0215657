//! Amazon SNS over HTTPS: the envelope it posts, and whether that is to be believed.
//!
//! ```text
//! { Type, MessageId, TopicArn, Subject?, Message, Timestamp, SignatureVersion, Signature, SigningCertURL,
//!   SubscribeURL?, Token?, UnsubscribeURL? }
//! ```
//!
//! Anybody can have a topic, and SNS signs all of them, so a signature alone says nothing. The steps are types, in this order:
//! 1. [`Message::parse`].
//! 2. [`Message::admit`]: the topic is one of those configured, the message is recent, and the certificate's and the confirmation's
//!    URL are at that region's SNS and nowhere else. What is fetched for a stranger's message is then never a stranger's URL.
//! 3. [`Admitted::verify`] with the certificate that the caller fetched over TLS from [`Admitted::certificate_url`] (once per URL: they
//!    are good for years).
//!
//! Only then is there a [`Step`] to take. Owns: bytes in, verdict out. Not here: fetching, clocks, and what the message's text means
//! ([`crate::ory_network`]).

mod signature;
#[cfg(test)]
mod tests;

use crate::object::Object;
use crate::{Reason, split};

/// How old a message may be, microseconds. SNS tries one HTTPS delivery again for at most an hour in all, whatever the topic's
/// policy; the rest is for clocks. A message sent again within it has the same content, and so the same record.
pub const MAX_AGE: i64 = 65 * 60 * 1_000_000;
/// How far ahead of us its clock may be, microseconds.
pub const MAX_AHEAD: i64 = 5 * 60 * 1_000_000;

/// The reason of a message whose signature does not hold, or that has none.
pub const UNSIGNED: &str = "sns_signature";

/// What SNS posts. Nothing of it is to be believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    kind: Kind,
    id: String,
    topic: String,
    subject: Option<String>,
    text: String,
    timestamp: String,
    version: Version,
    signature: Vec<u8>,
    certificate_url: String,
    subscribe_url: String,
    token: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Notification,
    SubscriptionConfirmation,
    UnsubscribeConfirmation,
}

/// `SignatureVersion`: which hash the signature is made over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Sha1,
    Sha256,
}

/// A message of a configured topic, recent, its URLs where they should be; its signature still to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted(Message);

/// What a message that is believed asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Take in `text`, the published message, for example an event of Ory's.
    Take {
        /// SNS's id of the message; the same in every try.
        id: String,
        /// What was published.
        text: String,
    },
    /// Fetch `url` to confirm the subscription that somebody made for this endpoint.
    Confirm {
        /// The topic, one of those configured.
        topic: String,
        /// At the topic's own SNS.
        url: String,
    },
    /// The subscription was ended. Nothing is to be done; if nobody meant it, fetch `url` to have it back.
    Ended {
        /// The topic, one of those configured.
        topic: String,
        /// At the topic's own SNS.
        url: String,
    },
}

fn malformed(detail: &str) -> Reason {
    Reason::new("sns_malformed", detail)
}

fn unsigned(detail: &str) -> Reason {
    Reason::new(UNSIGNED, detail)
}

impl Message {
    /// Reads the envelope.
    ///
    /// # Errors
    /// `invalid_json` or `wrong_type` where it is no JSON object, `sns_malformed` where it is none of SNS's or lacks what its
    /// signature is made over, `sns_signature` where it lacks the signature itself: that one is to be answered as one that does not hold.
    pub fn parse(body: &[u8]) -> Result<Message, Reason> {
        let text = split::text(body);
        let mut envelope = Object::parse(text.trim())?;
        let mut member = |name: &str| envelope.text(name).map(|text| text.into_owned());
        let mut told = |name: &str, wrong: fn(&str) -> Reason| {
            member(name).ok_or_else(|| wrong(&format!("`{name}` is missing or not a text")))
        };
        let mut needed = |name: &str| told(name, malformed);
        let kind = match needed("Type")?.as_str() {
            "Notification" => Kind::Notification,
            "SubscriptionConfirmation" => Kind::SubscriptionConfirmation,
            "UnsubscribeConfirmation" => Kind::UnsubscribeConfirmation,
            _ => return Err(malformed("`Type` is none that SNS has")),
        };
        let (subscribe_url, token) = match kind {
            Kind::Notification => (String::new(), String::new()),
            _ => (needed("SubscribeURL")?, needed("Token")?),
        };
        let (id, topic) = (needed("MessageId")?, needed("TopicArn")?);
        let (text, timestamp) = (needed("Message")?, needed("Timestamp")?);
        let mut signed = |name: &str| told(name, unsigned);
        let version = match signed("SignatureVersion")?.as_str() {
            "1" => Version::Sha1,
            "2" => Version::Sha256,
            _ => return Err(unsigned("`SignatureVersion` is neither 1 nor 2")),
        };
        let signature =
            signature::decode(&signed("Signature")?).ok_or_else(|| unsigned("`Signature` is not base64"))?;
        let message = Message {
            kind,
            id,
            topic,
            text,
            timestamp,
            version,
            signature,
            certificate_url: signed("SigningCertURL")?,
            subscribe_url,
            token,
            subject: member("Subject"),
        };
        if envelope.ambiguous() {
            return Err(malformed("a name stands in it twice"));
        }
        Ok(message)
    }

    /// Lets in what is from one of `topics` (their ARNs, exactly), recent at `now` (microseconds UTC), and points to that topic's SNS
    /// only.
    ///
    /// # Errors
    /// `sns_topic`, `sns_time` or `sns_host`. All of them are to be answered as a signature that does not hold.
    pub fn admit<T: AsRef<str>>(self, topics: &[T], now: i64) -> Result<Admitted, Reason> {
        if !topics.iter().any(|topic| topic.as_ref() == self.topic) {
            return Err(Reason::new("sns_topic", "`TopicArn` is none of the topics that are configured"));
        }
        let at = event::time::parse(&self.timestamp)
            .ok_or_else(|| Reason::new("sns_time", "`Timestamp` is not an RFC 3339 time"))?;
        if !(now.saturating_sub(MAX_AGE)..=now.saturating_add(MAX_AHEAD)).contains(&at) {
            return Err(Reason::new(
                "sns_time",
                "`Timestamp` is over 65 minutes old or 5 minutes ahead; check this clock",
            ));
        }
        let host = host(&self.topic).ok_or_else(|| Reason::new("sns_topic", "the topic is not an ARN of SNS"))?;
        let certificate = path(&self.certificate_url, &host);
        if !certificate.is_some_and(is_certificate) {
            return Err(Reason::new("sns_host", format!("`SigningCertURL` is not a certificate at https://{host}/")));
        }
        if self.kind != Kind::Notification
            && path(&self.subscribe_url, &host).is_none_or(|path| !path.starts_with("?Action=ConfirmSubscription&"))
        {
            return Err(Reason::new("sns_host", format!("`SubscribeURL` is not a confirmation at https://{host}/")));
        }
        Ok(Admitted(self))
    }

    /// The text that the signature is made over: names and values in the order that SNS documents, a line each.
    fn signed(&self) -> String {
        let mut members = vec![("Message", self.text.as_str()), ("MessageId", &self.id)];
        let kind = match self.kind {
            Kind::Notification => {
                if let Some(subject) = &self.subject {
                    members.push(("Subject", subject));
                }
                members.extend([("Timestamp", self.timestamp.as_str()), ("TopicArn", &self.topic)]);
                "Notification"
            }
            Kind::SubscriptionConfirmation | Kind::UnsubscribeConfirmation => {
                members.extend([
                    ("SubscribeURL", self.subscribe_url.as_str()),
                    ("Timestamp", &self.timestamp),
                    ("Token", &self.token),
                    ("TopicArn", &self.topic),
                ]);
                if self.kind == Kind::SubscriptionConfirmation {
                    "SubscriptionConfirmation"
                } else {
                    "UnsubscribeConfirmation"
                }
            }
        };
        members.push(("Type", kind));
        let mut out = String::with_capacity(self.text.len() + 512);
        for (name, value) in members {
            out.push_str(name);
            out.push('\n');
            out.push_str(value);
            out.push('\n');
        }
        out
    }
}

impl Admitted {
    /// Where the certificate is: at the topic's own SNS, over TLS.
    pub fn certificate_url(&self) -> &str {
        &self.0.certificate_url
    }

    /// Checks the signature against the certificate, PEM or DER, and gives what to do.
    ///
    /// # Errors
    /// `sns_certificate` where it is none with an RSA key, `sns_signature` where the signature does not hold.
    pub fn verify(self, certificate: &[u8]) -> Result<Step, Reason> {
        let Admitted(message) = self;
        signature::check(certificate, message.version, message.signed().as_bytes(), &message.signature)?;
        let Message { kind, id, topic, text, subscribe_url: url, .. } = message;
        Ok(match kind {
            Kind::Notification => Step::Take { id, text },
            Kind::SubscriptionConfirmation => Step::Confirm { topic, url },
            Kind::UnsubscribeConfirmation => Step::Ended { topic, url },
        })
    }
}

/// The message of a notification whose signature nobody asks for. `None` for anything else.
pub(crate) fn message(text: &str) -> Option<String> {
    let mut envelope = Object::parse(text.trim()).ok()?;
    let notification = envelope.text("Type").is_some_and(|kind| kind == "Notification");
    (notification && envelope.has("TopicArn") && envelope.has("MessageId"))
        .then(|| envelope.text("Message"))?
        .map(Into::into)
}

/// Whether a text is the ARN of a topic, whose messages can be checked.
pub fn is_topic(arn: &str) -> bool {
    host(arn).is_some() && arn.split(':').count() == 6 && arn.len() <= 512
}

/// The host that SNS has in a topic's region: `arn:aws:sns:eu-central-1:123456789012:name` is at
/// `sns.eu-central-1.amazonaws.com`.
fn host(topic: &str) -> Option<String> {
    let mut parts = topic.split(':');
    let (arn, partition, service, region) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if arn != "arn" || service != "sns" || !plain(region) {
        return None;
    }
    let ending = match partition {
        "aws" | "aws-us-gov" => "amazonaws.com",
        "aws-cn" => "amazonaws.com.cn",
        _ => return None,
    };
    Some(format!("sns.{region}.{ending}"))
}

/// What follows the host and its slash in an HTTPS URL of exactly this host; no port, no user.
fn path<'u>(url: &'u str, host: &str) -> Option<&'u str> {
    let path = url.strip_prefix("https://")?.strip_prefix(host)?.strip_prefix('/')?;
    path.bytes().all(|b| b.is_ascii_graphic()).then_some(path)
}

/// `SimpleNotificationService-{hex}.pem`
fn is_certificate(path: &str) -> bool {
    path.strip_prefix("SimpleNotificationService-")
        .and_then(|rest| rest.strip_suffix(".pem"))
        .is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_hexdigit()))
}
