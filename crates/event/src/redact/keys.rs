//! Which key names hold secrets.
//!
//! Names are compared whole or by their last word, in lower case and without separators, so that
//! `Client-Secret`, `clientSecret` and `client_secret` are one name and `tokens_issued`, `passwordless`,
//! `cookie_policy_version` or `authorization_model` are none of them.

use super::Rules;
use std::borrow::Cow;

/// What happens to the value under a secret key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRule {
    /// The value becomes `***`.
    Mask(Cow<'static, str>),
    /// An object becomes the sorted list of its key names (identity provider configuration); any other
    /// value becomes `***`.
    KeyNames(&'static str),
    /// An object keeps its id and identity only (API keys); any other value becomes `***`.
    IdOnly(&'static str),
}

/// Lower case, letters and digits only; borrowed where the key is already so.
pub(super) fn normal(key: &str) -> Cow<'_, str> {
    if key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
        return Cow::Borrowed(key);
    }
    if key.is_ascii() {
        let mut kept = Vec::with_capacity(key.len());
        kept.extend(key.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase()));
        return Cow::Owned(String::from_utf8(kept).unwrap_or_default());
    }
    Cow::Owned(key.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect())
}

/// Endings that make a name secret, longest first where one ends another, with the rule's name.
const ENDINGS: &[(&str, &str)] = &[
    ("authorization", "authorization"),
    ("authorizationcode", "authorization_code"),
    ("cookie", "cookie"),
    ("cookies", "cookie"),
    ("password", "password"),
    ("passwords", "password"),
    ("passwordhash", "password"),
    ("passwordconfirmation", "password"),
    ("passwd", "password"),
    ("passphrase", "password"),
    ("token", "token"),
    ("accesstokens", "token"),
    ("refreshtokens", "token"),
    ("sessiontokens", "token"),
    ("idtokens", "token"),
    ("apitokens", "token"),
    ("secret", "secret"),
    ("clientsecrets", "secret"),
    ("secretkey", "secret"),
    ("privatekey", "private_key"),
    ("otpcode", "otp"),
    ("totpcode", "otp"),
    ("mfacode", "otp"),
    ("verificationcode", "otp"),
    ("recoverycode", "otp"),
    ("recoverycodes", "otp"),
    ("backupcodes", "otp"),
    ("lookupsecrets", "otp"),
    ("onetimecode", "otp"),
    ("passcode", "otp"),
    ("codeverifier", "token"),
    ("clientassertion", "token"),
    ("samlresponse", "token"),
];

/// Names that are secret only as a whole.
const WHOLE: &[(&str, &str)] = &[
    ("pwd", "password"),
    ("jwt", "token"),
    ("otp", "otp"),
    ("totp", "otp"),
    ("otps", "otp"),
    ("secrets", "secret"),
    ("tokens", "token"),
];

const API_KEY: &[&str] = &["apikey", "apikeys", "xapikey"];
const PROVIDER_CONFIGURATION: &[&str] = &[
    "idpconfiguration",
    "idpconfig",
    "identityproviderconfiguration",
    "identityproviderconfig",
    "providerconfiguration",
];

/// The rule for a key, built-in ones first.
pub(super) fn rule(key: &str, rules: &Rules) -> Option<KeyRule> {
    let name = normal(key);
    let name = name.as_ref();
    let mask = |rule: &'static str| Some(KeyRule::Mask(Cow::Borrowed(rule)));
    // Nearly every key is decided by its last letter: no rule ends in any other.
    if let Some(b'n' | b'e' | b's' | b'd' | b'h' | b't' | b'y' | b'r' | b'p' | b'g') = name.bytes().last() {
        if name == "traits" && !rules.keep_traits {
            return mask("traits");
        }
        if API_KEY.contains(&name) || name.ends_with("apikey") {
            return Some(KeyRule::IdOnly("api_key"));
        }
        if PROVIDER_CONFIGURATION.contains(&name) {
            return Some(KeyRule::KeyNames("provider_configuration"));
        }
        // The last letter alone tells most of them apart, for less than a comparison.
        let last = name.as_bytes().last();
        if let Some((_, rule)) = ENDINGS.iter().find(|(end, _)| end.as_bytes().last() == last && name.ends_with(end)) {
            return mask(rule);
        }
        if let Some((_, rule)) = WHOLE.iter().find(|(whole, _)| name == *whole) {
            return mask(rule);
        }
        // Ory's session cookies: `ory_kratos_session`, `ory_session_<project>`.
    }
    let ory = key.get(..4).is_some_and(|k| k.eq_ignore_ascii_case("ory_") || k.eq_ignore_ascii_case("ory-"));
    if ory && name.contains("session") {
        return mask("session_token");
    }
    if rules.extra_keys.iter().any(|extra| extra == name) {
        return Some(KeyRule::Mask(Cow::Owned(format!("tenant:{name}"))));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_names_in_every_spelling() {
        let rules = Rules::default();
        for key in [
            "Authorization",
            "proxy-authorization",
            "Cookie",
            "set-cookie",
            "SetCookie",
            "ory_kratos_session",
            "ory_session_xyz",
            "ory_kratos_session_id",
            "session_token",
            "X-Session-Token",
            "sessionToken",
            "apiKey",
            "api-key",
            "API_KEY",
            "x-api-key",
            "admin_api_token",
            "adminToken",
            "access_token",
            "accessToken",
            "refresh_token",
            "id_token",
            "token",
            "password",
            "newPassword",
            "new_password",
            "traits",
            "Client-Secret",
            "clientSecret",
            "client_secret",
            "secret",
            "otp",
            "otp_code",
            "totpCode",
            "captcha_secret",
            "private_key",
            "recovery_codes",
        ] {
            assert!(rules.key(key).is_some(), "{key}");
        }
    }

    #[test]
    fn names_that_only_look_alike() {
        let rules = Rules::default();
        for key in [
            "tokens_issued",
            "passwordless",
            "passwordless_login",
            "cookie_policy_version",
            "authorization_model",
            "token_type",
            "token_endpoint",
            "password_policy",
            "password_changed_at",
            "secret_name",
            "otp_enabled",
            "session_id",
            "api_key_id",
            "traits_schema",
            "authorizationUrl",
            "secretKeys",
            "history",
            "story_session_id",
        ] {
            assert_eq!(rules.key(key), None, "{key}");
        }
    }

    #[test]
    fn tenants_add_and_opt_out() {
        let rules = Rules::new(true, &["Employee-Number".into()], &[]).unwrap();
        assert_eq!(rules.key("traits"), None);
        assert!(rules.key("employee_number").is_some());
        assert!(rules.key("password").is_some(), "built-in rules stay");
        assert!(Rules::new(false, &["--".into()], &[]).is_err());
        assert!(Rules::new(false, &[], &["(".into()]).is_err());
    }
}
