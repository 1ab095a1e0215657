//! SNS messages that hold, and every way in which they do not.

use super::*;
use base64::Engine as _;
use proptest::prelude::*;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:ory";
const HOST: &str = "https://sns.eu-central-1.amazonaws.com/";
const CERTIFICATE: &[u8] = include_bytes!("../../testdata/sns/certificate.pem");
const ELLIPTIC: &[u8] = include_bytes!("../../testdata/sns/elliptic.pem");
const KEY: &[u8] = include_bytes!("../../testdata/sns/key.der");
const V1: &str = include_str!("../../testdata/sns/notification-v1.json");
const V2: &str = include_str!("../../testdata/sns/notification-v2.json");
const CONFIRMATION: &str = include_str!("../../testdata/sns/confirmation-v2.json");
/// 2026-11-20 12:34:56 UTC, five minutes after the messages.
const NOW: i64 = crate::testing::NOW;

fn all(body: &str, topics: &[&str], now: i64, certificate: &[u8]) -> Result<Step, Reason> {
    Message::parse(body.as_bytes())?.admit(topics, now)?.verify(certificate)
}

fn step(body: &str) -> Result<Step, Reason> {
    all(body, &["arn:aws:sns:eu-central-1:123456789012:other", TOPIC], NOW, CERTIFICATE)
}

fn code(body: &Value) -> &'static str {
    step(&body.to_string()).unwrap_err().code
}

/// The message with these members changed, and its own signature.
fn changed(body: &str, members: Value) -> Value {
    let mut message: Value = serde_json::from_str(body).unwrap();
    for (name, value) in members.as_object().unwrap() {
        message[name] = value.clone();
    }
    message
}

/// The same, signed again.
fn signed(body: &str, members: Value) -> Value {
    let mut message = changed(body, members);
    message["SignatureVersion"] = json!("2");
    let over = Message::parse(message.to_string().as_bytes()).unwrap().signed();
    let key = RsaKeyPair::from_pkcs8(KEY).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &ring::rand::SystemRandom::new(), over.as_bytes(), &mut signature).unwrap();
    message["Signature"] = json!(base64::engine::general_purpose::STANDARD.encode(signature));
    message
}

#[test]
fn both_versions_of_the_signature_hold_with_pem_and_der() {
    let der: CertificateBytes = pem(CERTIFICATE);
    for body in [V1, V2] {
        for certificate in [CERTIFICATE, &der] {
            let Step::Take { id, text } = all(body, &[TOPIC], NOW, certificate).unwrap() else { panic!("{body}") };
            assert_eq!(id, "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324");
            crate::testing::one("ory-network", &text).expect(&[("action", "SessionRevoked"), ("ip", "192.0.2.17")]);
        }
    }
}

type CertificateBytes = Vec<u8>;

fn pem(text: &[u8]) -> CertificateBytes {
    use rustls_pki_types::pem::PemObject as _;
    rustls_pki_types::CertificateDer::from_pem_slice(text).unwrap().to_vec()
}

#[test]
fn a_subscription_is_confirmed_for_a_configured_topic_only() {
    let Step::Confirm { topic, url } = step(CONFIRMATION).unwrap() else { panic!("to be confirmed") };
    assert_eq!(topic, TOPIC);
    assert!(url.starts_with("https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&"));
    assert_eq!(all(CONFIRMATION, &[], NOW, CERTIFICATE).unwrap_err().code, "sns_topic");
    assert_eq!(
        all(CONFIRMATION, &["arn:aws:sns:eu-central-1:123456789012"], NOW, CERTIFICATE).unwrap_err().code,
        "sns_topic"
    );
    let ended = signed(CONFIRMATION, json!({"Type": "UnsubscribeConfirmation"}));
    assert!(matches!(step(&ended.to_string()).unwrap(), Step::Ended { .. }));
}

#[test]
fn nothing_that_is_signed_can_be_changed() {
    for (body, names) in [
        (V1, &["Message", "MessageId", "Subject", "Timestamp", "Type"][..]),
        (V2, &["Message", "MessageId", "Timestamp"]),
        (CONFIRMATION, &["Message", "MessageId", "Token", "Timestamp"]),
    ] {
        for name in names {
            let value = match *name {
                "Timestamp" => "2026-11-20T12:30:02.000Z",
                "Type" => "Notification ",
                _ => "something else",
            };
            let wanted = if *name == "Type" { "sns_malformed" } else { "sns_signature" };
            assert_eq!(code(&changed(body, json!({ *name: value }))), wanted, "{name}");
        }
    }
    assert_eq!(code(&changed(V2, json!({"Subject": "one that was not there"}))), "sns_signature");
    assert_eq!(code(&changed(V1, json!({"Subject": null}))), "sns_signature");
    assert_eq!(code(&changed(V1, json!({"SignatureVersion": "2"}))), "sns_signature");
    assert_eq!(code(&changed(V2, json!({"Signature": ""}))), "sns_signature");
    let url = format!("{HOST}?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=another");
    assert_eq!(code(&changed(CONFIRMATION, json!({ "SubscribeURL": url }))), "sns_signature");
    assert!(step(&signed(V1, json!({"Message": "new"})).to_string()).is_ok(), "the signer may change it");
}

#[test]
fn certificates_are_fetched_from_the_topics_own_sns_only() {
    let name = "SimpleNotificationService-0123456789abcdef.pem";
    for url in [
        format!("http://sns.eu-central-1.amazonaws.com/{name}"),
        format!("https://sns.us-east-1.amazonaws.com/{name}"),
        format!("https://sns.eu-central-1.amazonaws.com.evil.example/{name}"),
        format!("https://sns.eu-central-1.amazonaws.com@evil.example/{name}"),
        format!("https://evil.example/sns.eu-central-1.amazonaws.com/{name}"),
        format!("https://user@sns.eu-central-1.amazonaws.com/{name}"),
        format!("https://sns.eu-central-1.amazonaws.com:8443/{name}"),
        format!("https://sns.eu-central-1.amazonaws.com/bucket/../{name}"),
        format!("https://sns.eu-central-1.amazonaws.com/{name}?x=.pem"),
        format!("HTTPS://sns.eu-central-1.amazonaws.com/{name}"),
        format!("https://s3.eu-central-1.amazonaws.com/{name}"),
        format!("{HOST}SimpleNotificationService-.pem"),
        format!("{HOST}other.pem"),
        String::new(),
    ] {
        assert_eq!(code(&signed(V2, json!({ "SigningCertURL": url }))), "sns_host", "{url}");
    }
    for url in [
        "https://evil.example/?Action=ConfirmSubscription&x",
        "https://sns.eu-central-1.amazonaws.com/?Action=DeleteTopic&Action=ConfirmSubscription&x",
        "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription& x",
    ] {
        assert_eq!(code(&signed(CONFIRMATION, json!({ "SubscribeURL": url }))), "sns_host", "{url}");
    }
}

#[test]
fn every_region_has_its_own_host() {
    for (topic, wanted) in [
        ("arn:aws:sns:us-east-1:1:t", Some("sns.us-east-1.amazonaws.com")),
        ("arn:aws-us-gov:sns:us-gov-west-1:1:t", Some("sns.us-gov-west-1.amazonaws.com")),
        ("arn:aws-cn:sns:cn-north-1:1:t", Some("sns.cn-north-1.amazonaws.com.cn")),
        ("arn:aws:sqs:us-east-1:1:t", None),
        ("arn:aws:sns:evil.example/:1:t", None),
        ("arn:aws:sns::1:t", None),
        ("arn:other:sns:us-east-1:1:t", None),
        ("topic", None),
    ] {
        assert_eq!(host(topic).as_deref(), wanted, "{topic}");
    }
}

#[test]
fn old_messages_are_not_taken_again() {
    let sent = event::time::parse("2026-11-20T12:30:01Z").unwrap();
    for (now, wanted) in [
        (sent, None),
        (sent + MAX_AGE, None),
        (sent - MAX_AHEAD, None),
        (sent + MAX_AGE + 1, Some("sns_time")),
        (sent - MAX_AHEAD - 1, Some("sns_time")),
        (i64::MIN, Some("sns_time")),
        (i64::MAX, Some("sns_time")),
    ] {
        assert_eq!(all(V2, &[TOPIC], now, CERTIFICATE).err().map(|e| e.code), wanted, "{now}");
    }
    assert_eq!(code(&signed(V2, json!({"Timestamp": "today"}))), "sns_time");
}

#[test]
fn other_certificates_are_refused() {
    for certificate in
        [&b""[..], b"not one", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", ELLIPTIC, KEY]
    {
        assert_eq!(all(V2, &[TOPIC], NOW, certificate).unwrap_err().code, "sns_certificate");
        assert_eq!(all(V1, &[TOPIC], NOW, certificate).unwrap_err().code, "sns_certificate");
    }
}

#[test]
fn a_message_without_a_signature_is_one_whose_signature_does_not_hold() {
    for name in ["SignatureVersion", "Signature", "SigningCertURL"] {
        let mut message: Value = serde_json::from_str(V2).unwrap();
        message.as_object_mut().unwrap().remove(name);
        assert_eq!(code(&message), "sns_signature", "{name}");
        assert_eq!(code(&changed(V2, json!({ name: 7 }))), "sns_signature", "{name}");
    }
    for (name, value) in [("SignatureVersion", "3"), ("Signature", "*")] {
        assert_eq!(code(&changed(V2, json!({ name: value }))), "sns_signature", "{name}");
    }
}

#[test]
fn what_is_no_message_is_malformed() {
    for name in ["Type", "MessageId", "TopicArn", "Message", "Timestamp"] {
        let mut message: Value = serde_json::from_str(V2).unwrap();
        message.as_object_mut().unwrap().remove(name);
        assert_eq!(code(&message), "sns_malformed", "{name}");
        assert_eq!(code(&changed(V2, json!({ name: 7 }))), "sns_malformed", "{name}");
    }
    assert_eq!(code(&changed(V2, json!({"Type": "Other"}))), "sns_malformed");
    for name in ["SubscribeURL", "Token"] {
        assert_eq!(code(&changed(CONFIRMATION, json!({ name: null }))), "sns_malformed", "{name}");
    }
    let twice = V2.replacen('{', "{\"Message\":\"x\",", 1);
    assert_eq!(step(&twice).unwrap_err().code, "sns_malformed");
    assert_eq!(Message::parse(b"[]").unwrap_err().code, "wrong_type");
    assert_eq!(Message::parse(b"\xff").unwrap_err().code, "invalid_json");
}

proptest! {
    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), url in "https://[ -~]{0,60}", topic in "[a-z:0-9-]{0,40}") {
        let _ = Message::parse(&bytes);
        let message = changed(V2, json!({"SigningCertURL": url, "TopicArn": topic})).to_string();
        let admitted = Message::parse(message.as_bytes()).unwrap().admit(&[topic.as_str()], NOW);
        if let Ok(admitted) = admitted {
            let _ = admitted.verify(&bytes);
        }
        let _ = Message::parse(V2.as_bytes()).unwrap().admit(&[TOPIC], NOW).unwrap().verify(&bytes);
    }
}
