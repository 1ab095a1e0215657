//! Whose a pushed token is: its signature, with the keys that its transmitter publishes or shares (RFC 7515, 7517, 7518, 8037).
//!
//! Owns: which keys are understood, which of them a token may mean, and the verdict. The algorithms are a library's. Not here: fetching
//! keys, issuer and audience, and what the token says ([`super`]).
//!
//! A key is used with the algorithms of its own kind only, whatever the token's header asks for: a public key is never
//! taken for a shared secret, and `none` signs nothing.

use crate::Reason;
use crate::object::Object;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde_json::Value;

/// Keys of one set, at most.
const MAX_KEYS: usize = 64;
/// The shortest shared secret, as RFC 7518 asks for HS256.
const MIN_SECRET: usize = 32;

/// What a key has that is nobody's but its owner's, or a shared secret (RFC 7518, section 6).
const PRIVATE: &[&str] = &["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
/// The shortest modulus, bytes: RFC 7518 asks for 2048 bits.
const MIN_MODULUS: usize = 256;

/// The keys that a transmitter may sign with.
#[derive(Clone)]
pub struct Keys(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: Option<String>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
    Shared(Vec<u8>),
}

impl std::fmt::Debug for Keys {
    /// Says how many there are: one may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

fn bad_set(detail: impl Into<String>) -> Reason {
    Reason::new("invalid_keys", detail)
}

impl Keys {
    /// A secret that both sides have, for HS256.
    ///
    /// # Errors
    /// `invalid_keys` where it is too short to be one.
    pub fn shared(secret: &str) -> Result<Keys, Reason> {
        if secret.len() < MIN_SECRET {
            return Err(bad_set(format!("the shared secret is shorter than {MIN_SECRET} bytes")));
        }
        Ok(Keys(vec![Key { id: None, kind: Kind::Shared(secret.as_bytes().to_vec()) }]))
    }

    /// A JSON Web Key Set of public keys: RSA, P-256 and Ed25519. Keys of other kinds, and those for encryption, are passed over.
    ///
    /// # Errors
    /// `invalid_keys` where it is no such set, or none of its keys can be used.
    pub fn parse(set: &Value) -> Result<Keys, Reason> {
        let list = set["keys"].as_array().ok_or_else(|| bad_set("a JSON Web Key Set is {\"keys\": […]}"))?;
        if list.len() > MAX_KEYS {
            return Err(bad_set(format!("there are {} keys, more than the limit of {MAX_KEYS}", list.len())));
        }
        // Settings are shown, and recorded for good.
        for (n, key) in list.iter().enumerate() {
            if let Some(name) = PRIVATE.iter().find(|name| key.get(**name).is_some()) {
                return Err(bad_set(format!("key {} has `{name}`, which is private; give public keys only", n + 1)));
            }
        }
        let keys: Vec<Key> = list.iter().filter_map(Key::parse).collect();
        if keys.is_empty() {
            return Err(bad_set("none of the keys is an RSA, P-256 or Ed25519 public key for signatures"));
        }
        Ok(Keys(keys))
    }

    /// Checks a compact token's signature.
    ///
    /// # Errors
    /// `set_malformed` where it is no token; `set_key` where none of the keys is one that it may be signed with; `set_signature`
    /// where the signature does not hold.
    pub fn verify(&self, token: &str) -> Result<(), Reason> {
        let malformed =
            || Reason::new("set_malformed", "the body is no token: three parts in base64url, with dots between");
        let token = token.trim();
        let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = signed.split_once('.').ok_or_else(malformed)?;
        if payload.contains('.') {
            return Err(malformed());
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;
        let header =
            String::from_utf8(URL_SAFE_NO_PAD.decode(header).map_err(|_| malformed())?).map_err(|_| malformed())?;
        let mut header = Object::parse(&header).map_err(|_| malformed())?;
        let algorithm = header.text("alg").unwrap_or_default().into_owned();
        let id = header.text("kid").map(|id| id.into_owned());
        if header.ambiguous() || header.has("crit") {
            return Err(Reason::new("set_malformed", "the token's header says a thing twice, or asks for extensions"));
        }
        let mut tried = false;
        for key in &self.0 {
            let named = key.id.is_none() || id.is_none() || key.id == id;
            if !named || !key.kind.algorithms().contains(&algorithm.as_str()) {
                continue;
            }
            tried = true;
            if key.kind.holds(&algorithm, signed.as_bytes(), &signature) {
                return Ok(());
            }
        }
        if tried {
            return Err(Reason::new(
                "set_signature",
                "the token's signature does not hold with the key configured for it",
            ));
        }
        Err(Reason::new(
            "set_key",
            "no key is configured that the token may be signed with; `alg` and `kid` say which it wants",
        ))
    }
}

impl Key {
    fn parse(key: &Value) -> Option<Key> {
        if key["use"].as_str().is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok().filter(|bytes| !bytes.is_empty());
        let of_curve = |name: &str| part(name).filter(|bytes| bytes.len() == 32);
        let kind = match (key["kty"].as_str()?, key["crv"].as_str()) {
            ("RSA", _) => Kind::Rsa { modulus: part("n").filter(|n| n.len() >= MIN_MODULUS)?, exponent: part("e")? },
            ("EC", Some("P-256")) => Kind::P256([&[4][..], &of_curve("x")?, &of_curve("y")?].concat()),
            ("OKP", Some("Ed25519")) => Kind::Ed25519(of_curve("x")?),
            _ => return None,
        };
        Some(Key { id: key["kid"].as_str().map(str::to_owned), kind })
    }
}

impl Kind {
    fn algorithms(&self) -> &'static [&'static str] {
        match self {
            Kind::Rsa { .. } => &["RS256", "PS256"],
            Kind::P256(_) => &["ES256"],
            Kind::Ed25519(_) => &["EdDSA", "Ed25519"],
            Kind::Shared(_) => &["HS256"],
        }
    }

    fn holds(&self, algorithm: &str, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Kind::Rsa { modulus, exponent } => {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                let scheme = if algorithm == "PS256" { &RSA_PSS_2048_8192_SHA256 } else { &RSA_PKCS1_2048_8192_SHA256 };
                key.verify(scheme, signed, signature).is_ok()
            }
            Kind::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).is_ok()
            }
            Kind::Ed25519(point) => UnparsedPublicKey::new(&ED25519, point).verify(signed, signature).is_ok(),
            Kind::Shared(secret) => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
                ring::hmac::verify(&key, signed, signature).is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
    use serde_json::json;

    const RSA: &[u8] = include_bytes!("../../testdata/sns/key.der");
    const SECRET: &str = "a shared secret of more than 32 bytes";

    fn encode(bytes: impl AsRef<[u8]>) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn token(header: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(r#"{"iss":"x","events":{"e":{}}}"#));
        let signature = encode(sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn shared(header: &Value) -> String {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
        token(header, |signed| ring::hmac::sign(&key, signed).as_ref().to_vec())
    }

    fn code(keys: &Keys, token: &str) -> &'static str {
        keys.verify(token).map_or_else(|e| e.code, |()| "ok")
    }

    /// Every kind of public key in one set, and a token signed with each.
    fn public() -> (Keys, Vec<String>) {
        let random = SystemRandom::new();
        let rsa = RsaKeyPair::from_pkcs8(RSA).unwrap();
        let components: RsaPublicKeyComponents<Vec<u8>> = rsa.public().into();
        let p256 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, p256.as_ref(), &random).unwrap();
        let ed = Ed25519KeyPair::from_pkcs8(Ed25519KeyPair::generate_pkcs8(&random).unwrap().as_ref()).unwrap();
        let point = p256.public_key().as_ref();
        let keys = Keys::parse(&json!({ "keys": [
            { "kty": "RSA", "kid": "r", "use": "sig", "n": encode(&components.n), "e": encode(&components.e) },
            { "kty": "EC", "crv": "P-256", "kid": "p", "x": encode(&point[1..33]), "y": encode(&point[33..]) },
            { "kty": "OKP", "crv": "Ed25519", "x": encode(ed.public_key()) },
            { "kty": "EC", "crv": "P-521", "kid": "q", "x": "AA", "y": "AA" },
            { "kty": "RSA", "kid": "enc", "use": "enc", "n": "AA", "e": "AQAB" },
        ] }))
        .unwrap();
        let by_rsa = |padding: &'static dyn ring::signature::RsaEncoding, signed: &[u8]| {
            let mut out = vec![0; rsa.public().modulus_len()];
            rsa.sign(padding, &SystemRandom::new(), signed, &mut out).unwrap();
            out
        };
        let tokens = vec![
            token(&json!({ "alg": "RS256", "kid": "r" }), |s| by_rsa(&ring::signature::RSA_PKCS1_SHA256, s)),
            token(&json!({ "alg": "PS256" }), |s| by_rsa(&ring::signature::RSA_PSS_SHA256, s)),
            token(&json!({ "alg": "ES256", "kid": "p" }), |s| p256.sign(&random, s).unwrap().as_ref().to_vec()),
            token(&json!({ "alg": "EdDSA", "kid": "any" }), |s| ed.sign(s).as_ref().to_vec()),
        ];
        (keys, tokens)
    }

    #[test]
    fn a_token_signed_with_any_of_the_keys_holds_and_a_changed_one_does_not() {
        let (keys, tokens) = public();
        assert_eq!(format!("{keys:?}"), "Keys(3)");
        for token in &tokens {
            assert_eq!(code(&keys, token), "ok", "{token}");
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let (header, _) = signed.split_once('.').unwrap();
            let other = encode(r#"{"iss":"y","events":{"e":{}}}"#);
            assert_eq!(code(&keys, &format!("{header}.{other}.{signature}")), "set_signature");
            assert_eq!(code(&keys, &format!("{signed}.")), "set_signature");
            assert_eq!(code(&keys, &format!("{signed}.AAAA")), "set_signature");
        }
        let keys = Keys::shared(SECRET).unwrap();
        assert_eq!(code(&keys, &shared(&json!({ "alg": "HS256", "kid": "any" }))), "ok");
        assert_eq!(
            code(&Keys::shared(&SECRET.to_uppercase()).unwrap(), &shared(&json!({ "alg": "HS256" }))),
            "set_signature"
        );
    }

    #[test]
    fn a_key_is_used_for_its_own_algorithms_only() {
        let (keys, tokens) = public();
        let rs = shared(&json!({ "alg": "HS256" }));
        assert_eq!(code(&keys, &rs), "set_key", "a public key is no secret");
        assert_eq!(code(&Keys::shared(SECRET).unwrap(), &tokens[0]), "set_key");
        for header in
            [json!({ "alg": "none" }), json!({}), json!({ "alg": "RS512" }), json!({ "alg": "RS256", "kid": "other" })]
        {
            assert_eq!(code(&keys, &token(&header, |_| Vec::new())), "set_key", "{header}");
        }
        assert_eq!(code(&keys, &shared(&json!({ "alg": "HS256", "crit": ["b64"], "b64": false }))), "set_malformed");
    }

    #[test]
    fn what_is_no_token_and_no_set_of_keys() {
        let keys = Keys::shared(SECRET).unwrap();
        for other in ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "e30.e30.#", "W10.e30.AAAA", "{}", "/wA.e30.AAAA"] {
            assert_eq!(code(&keys, other), "set_malformed", "{other}");
        }
        assert_eq!(code(&keys, "e30.e30.AAAA"), "set_key", "a header that names no algorithm");
        let bad = |set: Value| Keys::parse(&set).unwrap_err().code;
        // Keys that are nobody else's business, and those that no signature can hold with.
        let private = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": encode([1; 32]), "d": "nWGxne" }] });
        assert!(Keys::parse(&private).unwrap_err().detail.contains("`d`, which is private"));
        assert_eq!(bad(json!({ "keys": [{ "kty": "oct", "k": "c2hhcmVk" }] })), "invalid_keys");
        assert_eq!(bad(json!({ "keys": [{ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }] })), "invalid_keys");
        assert_eq!(bad(json!({ "keys": [{ "kty": "RSA", "n": "AQAB", "e": "AQAB" }] })), "invalid_keys");
        for set in [
            json!({}),
            json!({ "keys": {} }),
            json!({ "keys": [] }),
            json!([]),
            json!({ "keys": [{ "kty": "RSA", "n": "#", "e": "AQAB" }] }),
            json!({ "keys": vec![json!({}); 65] }),
        ] {
            assert_eq!(bad(set), "invalid_keys");
        }
        assert_eq!(Keys::shared("short").unwrap_err().code, "invalid_keys");
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,80}", header in "\\{\"alg\":\"(HS256|RS256)\"[\\PC]{0,20}\\}", set in "\\PC{0,40}") {
            let (keys, given) = (Keys::shared(SECRET).unwrap(), Keys(vec![Key { id: None, kind: Kind::P256(text.clone().into_bytes()) }]));
            for token in [text.clone(), format!("{}.{}.{}", encode(&header), encode(&text), encode(&set))] {
                prop_assert!(keys.verify(&token).is_err());
                prop_assert!(given.verify(&token).is_err());
            }
            let _ = Keys::parse(&json!({ "keys": [{ "kty": "RSA", "n": set, "e": text }] }));
        }
    }
}
