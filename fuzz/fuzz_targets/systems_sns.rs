//! SNS messages, and certificates: nothing that is not signed is ever believed.
#![no_main]
use libfuzzer_sys::fuzz_target;
use systems::sns::{MAX_AGE, Message};

const CERTIFICATE: &[u8] = include_bytes!("../../crates/systems/testdata/sns/certificate.pem");
const SIGNED: &[u8] = include_bytes!("../../crates/systems/testdata/sns/notification-v2.json");
const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:ory";
/// 2026-11-20 12:30:01 UTC, when that message was sent.
const SENT: i64 = 1_795_177_801_000_000;

fuzz_target!(|data: &[u8]| {
    if let Ok(message) = Message::parse(data)
        && let Ok(admitted) = message.admit(&[TOPIC], SENT)
    {
        assert!(admitted.certificate_url().starts_with("https://sns.eu-central-1.amazonaws.com/"));
        // The seeds are signed; what holds says the very same as they do.
        let _ = admitted.verify(CERTIFICATE);
    }
    let signed = Message::parse(SIGNED).expect("a message").admit(&[TOPIC], SENT + MAX_AGE).expect("of our topic");
    let _ = signed.verify(data);
});
