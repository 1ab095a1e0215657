//! The two questions of a WebSub hub: is this subscription meant, and who says so.
//!
//! Pure functions over what came in. Not here: routes, and which topics and secrets are configured.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What a hub asks before it sends (or stops sending): `GET …?hub.mode=subscribe&hub.topic=…&hub.challenge=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whether the subscription begins; else it ends.
    pub subscribe: bool,
    /// `{organization}.{its id}.schema.{profile}.{version}.event.{type}` in Asgardeo.
    pub topic: String,
    /// To be answered as the whole body, as plain text.
    pub challenge: String,
}

/// The longest challenge that is answered, so that nobody has us repeat what they like.
const MAX_CHALLENGE: usize = 256;

/// The question in a query's names and values, decoded. `None` where it is not one to be answered: then 404.
///
/// `organization` is the one configured (`myorg`): a topic is taken whose first part it is, for any of its events.
pub fn question<'q>(query: impl IntoIterator<Item = (&'q str, &'q str)>, organization: &str) -> Option<Question> {
    let (mut mode, mut topic, mut challenge) = (None, None, None);
    for (name, value) in query {
        let place = match name {
            "hub.mode" => &mut mode,
            "hub.topic" => &mut topic,
            "hub.challenge" => &mut challenge,
            _ => continue,
        };
        // Twice the same name is two questions.
        if place.replace(value).is_some() {
            return None;
        }
    }
    let subscribe = match mode? {
        "subscribe" => true,
        "unsubscribe" => false,
        _ => return None,
    };
    let (topic, challenge) = (topic?, challenge?);
    let ours = !organization.is_empty() && topic.strip_prefix(organization).is_some_and(|rest| rest.starts_with('.'));
    let plain = !challenge.is_empty()
        && challenge.len() <= MAX_CHALLENGE
        && challenge
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'='));
    (ours && plain).then(|| Question { subscribe, topic: topic.to_owned(), challenge: challenge.to_owned() })
}

/// Whether `x-hub-signature` (Identity Server: `x-wso2-event-signature`) is `sha256=` and the HMAC-SHA256 of the raw body in hex,
/// under the secret of the webhook. Takes the same time wherever they differ. An empty secret signs nothing.
pub fn signed(header: &str, secret: &[u8], body: &[u8]) -> bool {
    let Some(given) = header.trim().strip_prefix("sha256=").and_then(bytes) else { return false };
    if secret.is_empty() {
        return false;
    }
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return false };
    mac.update(body);
    mac.verify_slice(&given).is_ok()
}

/// Bytes in hex, of either case.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        hex.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &[(&str, &str)] = &[
        ("hub.mode", "subscribe"),
        ("hub.topic", "myorg.dcbd6baa-40c7-4eb9-9c2e-19b868d0e266.schema.wso2.v1.event.login"),
        ("hub.challenge", "500c4833-91c6-4556-b9a9-1b8e5e00d48b"),
        ("hub.lease_seconds", "864000"),
    ];

    #[test]
    fn a_challenge_is_answered_for_our_organization_only() {
        let question = question(ASKED.iter().copied(), "myorg").unwrap();
        assert!(question.subscribe);
        assert_eq!(question.challenge, "500c4833-91c6-4556-b9a9-1b8e5e00d48b");
        for other in ["", "my", "MYORG", "myorg.", "myorg.d", "other"] {
            assert_eq!(super::question(ASKED.iter().copied(), other), None, "{other}");
        }
    }

    #[test]
    fn what_is_no_question_is_not_answered() {
        let ask = |name: &str, value: &str| {
            let changed = ASKED.iter().map(|(n, v)| if *n == name { (*n, value) } else { (*n, *v) });
            question(changed.filter(|(_, v)| *v != "-gone-"), "myorg")
        };
        assert!(!ask("hub.mode", "unsubscribe").unwrap().subscribe);
        for (name, value) in [
            ("hub.mode", "denied"),
            ("hub.mode", "-gone-"),
            ("hub.topic", "-gone-"),
            ("hub.topic", "myorgother.x"),
            ("hub.challenge", "-gone-"),
            ("hub.challenge", ""),
            ("hub.challenge", "<script>alert(1)</script>"),
            ("hub.challenge", &"a".repeat(257)),
        ] {
            assert_eq!(ask(name, value), None, "{name} {value}");
        }
        let twice = ASKED.iter().copied().chain([("hub.challenge", "other")]);
        assert_eq!(question(twice, "myorg"), None);
    }

    #[test]
    fn signatures_hold_for_the_very_bytes() {
        // printf '{"iss":"x"}' | openssl dgst -sha256 -hmac secret
        let right = "sha256=7ad387ece88112afa8b2cec905519987913d16dd9bf2f2226ab175f4dedf2f51";
        let body = br#"{"iss":"x"}"#;
        assert!(signed(right, b"secret", body));
        assert!(signed(&right.to_uppercase().replace("SHA", "sha"), b"secret", body));
        assert!(!signed(right, b"secret", br#"{"iss": "x"}"#));
        assert!(!signed(right, b"Secret", body));
        assert!(!signed(right, b"", body));
        for other in ["", "sha256=", &right[7..], &right[..70], "sha1=2b9f", "sha256=zz", "sha256=é0"] {
            assert!(!signed(other, b"secret", body), "{other}");
        }
        assert!(!signed("sha256=b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad", b"", b""));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(header in "(sha256=)?\\PC{0,80}", name in "hub\\.(mode|topic|challenge)", value in "\\PC{0,40}") {
            signed(&header, b"secret", header.as_bytes());
            question([(name.as_str(), value.as_str())], &header);
        }
    }
}
