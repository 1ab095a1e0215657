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

impl KeyRule {
    /// What a redaction by it is called.
    pub fn name(self) -> Cow<'static, str> {
        match self {
            KeyRule::Mask(name) => name,
            KeyRule::KeyNames(name) | KeyRule::IdOnly(name) => Cow::Borrowed(name),
        }
    }
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
    ("authorizationheader", "authorization"),
    ("authcode", "authorization_code"),
    ("cookie", "cookie"),
    ("cookies", "cookie"),
    ("password", "password"),
    ("passwords", "password"),
    ("passwordhash", "password"),
    ("encodedhash", "password"),
    ("credential", "password"),
    ("secretdata", "secret"),
    ("passwordconfirmation", "password"),
    ("passwordconfirm", "password"),
    ("passwd", "password"),
    ("userpass", "password"),
    ("passphrase", "password"),
    ("token", "token"),
    ("tokenvalue", "token"),
    ("accesstokens", "token"),
    ("refreshtokens", "token"),
    ("sessiontokens", "token"),
    ("idtokens", "token"),
    ("apitokens", "token"),
    ("secret", "secret"),
    ("clientsecrets", "secret"),
    ("secretkey", "secret"),
    ("accesskey", "secret"),
    ("secretvalue", "secret"),
    ("privatekey", "private_key"),
    ("otpcode", "otp"),
    ("totpcode", "otp"),
    ("mfacode", "otp"),
    ("verificationcode", "otp"),
    ("smscode", "otp"),
    ("devicecode", "token"),
    ("recoverycode", "otp"),
    ("recoverycodes", "otp"),
    ("backupcodes", "otp"),
    ("lookupsecrets", "otp"),
    ("onetimecode", "otp"),
    ("passcode", "otp"),
    ("codeverifier", "token"),
    ("assertion", "token"),
    ("samlresponse", "token"),
];

/// Names that are secret only as a whole.
const WHOLE: &[(&str, &str)] = &[
    ("pwd", "password"),
    ("pass", "password"),
    ("pin", "otp"),
    ("jwt", "token"),
    ("otp", "otp"),
    ("totp", "otp"),
    ("otps", "otp"),
    ("secrets", "secret"),
    ("tokens", "token"),
    ("yourcode", "otp"),
];

const API_KEY: &[&str] = &["apikey", "apikeys"];
const PROVIDER_CONFIGURATION: &[&str] = &[
    "idpconfiguration",
    "idpconfig",
    "identityproviderconfiguration",
    "identityproviderconfig",
    "providerconfiguration",
    "projectsecrets",
];

/// Every name above and `traits`, one bit each.
const NAMES: [&str; 64] = {
    let mut names = ["traits"; 64];
    let mut filled = 1;
    let mut i = 0;
    while i < ENDINGS.len() {
        names[filled] = ENDINGS[i].0;
        filled += 1;
        i += 1;
    }
    i = 0;
    while i < WHOLE.len() {
        names[filled] = WHOLE[i].0;
        filled += 1;
        i += 1;
    }
    let lists = [API_KEY, PROVIDER_CONFIGURATION];
    let mut list = 0;
    while list < lists.len() {
        i = 0;
        while i < lists[list].len() {
            names[filled] = lists[list][i];
            filled += 1;
            i += 1;
        }
        list += 1;
    }
    assert!(filled == names.len());
    names
};

/// The last letters of [`NAMES`]: bit `n` of `LAST[p][b]` is set where `b`, in either case, stands `p` letters before the end
/// of name `n`, or that is before its beginning. All bits are set of what is no letter or digit of ASCII: it may be nothing in the
/// name, or something else. So many letters tell a `transaction` from an `authorization`.
static LAST: [[u64; 256]; 6] = {
    let mut table = [[u64::MAX; 256]; 6];
    let mut place = 0;
    while place < table.len() {
        let mut byte = 0;
        while byte < 256 {
            if (byte as u8).is_ascii_alphanumeric() {
                table[place][byte] = 0;
                let mut n = 0;
                while n < NAMES.len() {
                    let name = NAMES[n].as_bytes();
                    if name.len() <= place || name[name.len() - 1 - place] == (byte as u8).to_ascii_lowercase() {
                        table[place][byte] |= 1 << n;
                    }
                    n += 1;
                }
            }
            byte += 1;
        }
        place += 1;
    }
    table
};
const _: () = assert!(NAMES.len() <= 64);

/// Bit `n` of `SHORT[len]` is set where name `n` is no longer than that.
static SHORT: [u64; LAST.len() + 1] = {
    let mut table = [0; LAST.len() + 1];
    let mut len = 0;
    while len < table.len() {
        let mut n = 0;
        while n < NAMES.len() {
            if NAMES[n].len() <= len {
                table[len] |= 1 << n;
            }
            n += 1;
        }
        len += 1;
    }
    table
};

/// Whether a key may be a name of [`NAMES`], or end in one. Nearly every key is none by its last letters, mostly by two, and looking
/// at them costs a tenth of making the name [`normal`].
fn suspicious(key: &str) -> bool {
    let mut names = u64::MAX;
    for (byte, place) in key.bytes().rev().zip(&LAST) {
        let with = place[usize::from(byte)];
        if with == u64::MAX {
            // What stands before it may be any letter of the name.
            return true;
        }
        names &= with;
        if names == 0 {
            return false;
        }
    }
    // No name ends a key that is shorter: `key` is no private one.
    names & SHORT.get(key.len()).copied().unwrap_or(u64::MAX) != 0
}

/// Whether a key is known by its letters to have no rule, as nearly all are; not where a tenant has names of its own. Two letters
/// tell most.
#[inline]
pub(super) fn harmless(key: &str) -> bool {
    let [.., before, last] = key.as_bytes() else { return false };
    let with = LAST[0][usize::from(*last)];
    if may_be_ory(key) || with == u64::MAX || (matches!(last, b'd' | b'0'..=b'9') && inner(key).is_some()) {
        // A last one that may be nothing in the name leaves the place to the one before it.
        return false;
    }
    with & LAST[1][usize::from(*before)] == 0 || !suspicious(key)
}

/// The rule for a key, built-in ones first.
pub(super) fn rule(key: &str, rules: &Rules) -> Option<KeyRule> {
    rule_of(key, rules).or_else(|| rule_of(inner(key)?, rules))
}

/// The name in a key that says one thing more of it, which makes what stands there no less secret: that it came or went by a difference
/// (`client_secret__added`), that it is the one before (Keycloak's `client.secret.rotated`), which of several it is (`password2`).
fn inner(key: &str) -> Option<&str> {
    let unchanged = key.strip_suffix("__added").or_else(|| key.strip_suffix("__deleted"));
    let name = unchanged.unwrap_or(key);
    let name = name.strip_suffix(".rotated").or_else(|| name.strip_suffix("_rotated")).unwrap_or(name);
    let letters = name.trim_end_matches(|c: char| c.is_ascii_digit());
    // A number behind anything else is no part of the name.
    let joined = letters.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let name = if joined { letters } else { name };
    (name.len() < key.len()).then_some(name)
}

fn rule_of(key: &str, rules: &Rules) -> Option<KeyRule> {
    if suspicious(key)
        && let Some(rule) = built_in(&normal(key), rules).or_else(|| built_in(&normal(own_name(key)?), rules))
    {
        return Some(rule);
    }
    if is_session_cookie(key) {
        return Some(KeyRule::Mask(Cow::Borrowed("session_token")));
    }
    if rules.extra_keys.is_empty() {
        return None;
    }
    let tenants = |key: &str| {
        let name = normal(key);
        rules.extra_keys.iter().any(|extra| *extra == name).then(|| KeyRule::Mask(Cow::Owned(format!("tenant:{name}"))))
    };
    tenants(key).or_else(|| tenants(own_name(key)?))
}

/// The name in a key that has more than its name: the last segment of a URI (`http://wso2.org/claims/identity/otp`), and what stands
/// before a remark in brackets (`Password (new)`).
fn own_name(key: &str) -> Option<&str> {
    if let Some(key) = key.strip_suffix(')') {
        return key.rsplit_once('(').map(|(name, _)| name);
    }
    // A sentence with a colon in it is no URI.
    let is_uri = key.contains(':') && !key.contains(' ');
    if is_uri { key.rsplit(['/', '#', ':']).next() } else { None }
}

/// Whether the member of this name may say what another one of its object is: `{"name": "Authorization", "value": …}`, and of WSO2's
/// claims `{"uri": "http://wso2.org/claims/password", "value": …}`.
pub(super) fn names_a_value(key: &str) -> bool {
    matches!(key.len(), 3 | 4 | 6)
        && ["name", "key", "type", "header", "uri"].iter().any(|name| key.eq_ignore_ascii_case(name))
}

/// Whether the member of this name is the value that another one names.
#[inline]
pub(super) fn is_named_value(key: &str) -> bool {
    key.len() == 5 && key.eq_ignore_ascii_case("value")
}

/// What a name that stands in a text is the name of, where it is a secret's.
pub(super) fn name_of(key: &str, rules: &Rules) -> Option<&'static str> {
    match built_in(&normal(key), rules).map(KeyRule::name) {
        Some(Cow::Borrowed(name)) => Some(name),
        _ => is_session_cookie(key).then_some("session_token"),
    }
}

/// Ory's session cookies: `ory_kratos_session`, `ory_session_<project>`.
fn is_session_cookie(key: &str) -> bool {
    may_be_ory(key) && normal(key).contains("session")
}

#[inline]
fn may_be_ory(key: &str) -> bool {
    matches!(key.as_bytes(), [b'o' | b'O', b'r' | b'R', b'y' | b'Y', b'_' | b'-', ..])
}

/// The rule for a name of [`NAMES`].
fn built_in(name: &str, rules: &Rules) -> Option<KeyRule> {
    if name == "traits" && !rules.keep_traits {
        return Some(KeyRule::Mask(Cow::Borrowed("traits")));
    }
    if API_KEY.contains(&name) || name.ends_with("apikey") {
        return Some(KeyRule::IdOnly("api_key"));
    }
    if PROVIDER_CONFIGURATION.contains(&name) {
        return Some(KeyRule::KeyNames("provider_configuration"));
    }
    let ending = ENDINGS.iter().find(|(end, _)| name.ends_with(end));
    let (_, rule) = ending.or_else(|| WHOLE.iter().find(|(whole, _)| name == *whole))?;
    Some(KeyRule::Mask(Cow::Borrowed(rule)))
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
            "password_confirm",
            "session_token_value",
            "sms_code",
            "aws_secret_access_key",
            "authorization_header",
            "project_secrets",
            "pass",
            "user_pass",
            "PIN",
            "auth_code",
            "access_key",
            "secret_access_key",
            "Password (new)",
            "Pass (again)",
            "http://wso2.org/claims/identity/otp",
            "http://wso2.org/claims/identity/secretkey",
            "urn:example:claims:pin",
            "your code",
            "Your-Code",
            "clientSecret__added",
            "password__deleted",
            "otp__added",
            "traits__deleted",
            "Password (new)__added",
            "ory_kratos_session__deleted",
            "client.secret.rotated",
            "client.secret.rotated__deleted",
            "password1",
            "new_password_2",
            "clientSecret2",
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
            "passed",
            "compass",
            "pinned",
            "shipping",
            "spin",
            "access_key_id",
            "http://wso2.org/claims/identity/otp/enabled",
            "http://wso2.org/claims/shipping",
            "PUT /people/pin",
            "passed (pin)",
            "your code was used",
            "our code",
            "tokens_issued__added",
            "email__deleted",
            "client.secret.rotated.creation.time",
            "ipv4",
            "line2",
            "sha256",
            "password_added",
        ] {
            assert_eq!(rules.key(key), None, "{key}");
        }
    }

    #[test]
    fn every_name_is_suspicious_in_every_spelling() {
        for name in NAMES {
            let spaced: String = name.chars().flat_map(|c| [c, '-']).collect();
            for key in [name.to_owned(), name.to_uppercase(), spaced, format!("my_{name}"), format!("{name}\u{e9}")] {
                assert!(suspicious(&key), "{key}");
            }
        }
        assert!(suspicious("to\u{212a}en") && Rules::default().key("to\u{212a}en").is_some(), "the Kelvin sign");
        for key in ["id", "user_id", "displayName", "tokenType", "key", "code", "transaction", "ion", ""] {
            assert!(!suspicious(key), "{key}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_not_suspicious_is_no_secret(
            key in "(ory_|Ory-)?[a-z\u{212a}\u{130}]{0,3}[_-]?(to[k\u{212a}]en|Secret|api[-_]?key|cod|otp|traits|config|jwt)?[-_a-zA-Z\u{130}s]{0,2}(__added|__deleted|_added|[.]rotated|2)?",
        ) {
            proptest::prop_assert!(suspicious(&key) || built_in(&normal(&key), &Rules::default()).is_none(), "{key}");
            proptest::prop_assert!(!harmless(&key) || rule(&key, &Rules::default()).is_none(), "{key}");
        }
    }

    #[test]
    fn tenants_add_and_opt_out() {
        let rules = Rules::new(true, &["Employee-Number".into()], &[]).unwrap();
        assert_eq!(rules.key("traits"), None);
        assert!(rules.key("employee_number").is_some());
        assert!(rules.key("http://example.org/claims/employeeNumber").is_some());
        assert!(rules.key("employeeNumber__deleted").is_some());
        assert!(rules.key("password").is_some(), "built-in rules stay");
        assert!(Rules::new(false, &["--".into()], &[]).is_err());
        assert!(Rules::new(false, &[], &["(".into()]).is_err());
    }
}
