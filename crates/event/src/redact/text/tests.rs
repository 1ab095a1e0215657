use super::*;

fn scrubbed(text: &str) -> String {
    scrub(text, &Rules::default(), &mut |_| {}).unwrap_or_else(|| text.to_owned())
}

const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

#[test]
fn shapes() {
    assert_eq!(scrubbed(&format!("got {JWT} from client")), "got *** from client");
    assert_eq!(scrubbed("x ory_st_abcdefghijklmnop1234 y"), "x *** y");
    assert_eq!(scrubbed("ory_at_abcdefghijklmnop.1234"), "***");
    assert_eq!(scrubbed("Authorization: Bearer abc.def\nnext"), "Authorization: ***\nnext");
    assert_eq!(scrubbed("sent Bearer abcdefghijklmnop123 ok"), "sent Bearer *** ok");
    assert_eq!(scrubbed("Set-Cookie: a=b; Path=/"), "Set-Cookie: ***");
    assert_eq!(scrubbed("password=hunter2&user=ann"), "password=***&user=ann");
    assert_eq!(scrubbed("Your password: hunter2"), "Your password: ***");
    assert_eq!(scrubbed(r#"{"newPassword":"hunter 2","a":1}"#), r#"{"newPassword":"***","a":1}"#);
    assert_eq!(scrubbed(r#"{\"password\":\"hunter2\",\"a\":1}"#), r#"{\"password\":\"***\",\"a\":1}"#);
    let twice = r#"{\\\"password\\\":\\\"hunter\\\\\\\"2\\\",\\\"a\\\":1}"#;
    assert_eq!(scrubbed(twice), r#"{\\\"password\\\":\\\"***\\\",\\\"a\\\":1}"#);
    assert_eq!(scrubbed("postgres://app:s3cr3t@db/x"), "postgres://app:***@db/x");
    assert_eq!(scrubbed(r#"x "traits":{"email":"a@b"} y"#), r#"x "traits":*** y"#);
    assert_eq!(scrubbed("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\nrest"), "***\nrest");
}

#[test]
fn a_value_goes_whole_however_it_is_written() {
    for (text, clean) in [
        (r#"{"password": "ab\"S\\", "a": 1}"#, r#"{"password": "***", "a": 1}"#),
        (r#"{"client_secret": {"v}": "S"}, "a": 1}"#, r#"{"client_secret": ***, "a": 1}"#),
        (r#"{"password": ["S", "T"], "a": 1}"#, r#"{"password": ***, "a": 1}"#),
        (r#"{\"tokens\": [\"]S\"], \"a\": 1}"#, r#"{\"tokens\": ***, \"a\": 1}"#),
        ("token:[S]T, a", "token:***, a"),
        (r#"{\"token\":[\"S\"]T\"}"#, r#"{\"token\":***\"}"#),
        ("password => S, a", "password => ***, a"),
        (r#"apikey90cookie:S" T"#, "apikey90cookie:***"),
        ("password := S", "password := ***"),
        ("password== S", "password== ***"),
        ("{\"password\":\t\"S\"}", "{\"password\":\t\"***\"}"),
        ("password:\n  S\nnext", "password:\n  ***\nnext"),
        ("X-Api-Key: QWERTY", "X-Api-Key: ***"),
        ("Client-Secret: S", "Client-Secret: ***"),
        ("X-Session-Token: S\nHost: h", "X-Session-Token: ***\nHost: h"),
        ("recovery_code=S&mfa_code=T", "recovery_code=***&mfa_code=***"),
        ("Verification code: 123456", "Verification code: ***"),
        ("sent: your code is 123456. Bye", "sent: your code is ***. Bye"),
        ("Your code IS \"123456\"", "Your code IS \"***\""),
        ("Your one-time code is: 1234-5678\n", "Your one-time code is: ***\n"),
        ("use one time code 'A1B2 C3' (sms code=12345)", "use one time code 'A1B2 C3' (sms code=***)"),
        ("one time code: 12345; backup codes: \"ab12, cd34\"", "one time code: ***; backup codes: \"***\""),
        (r#"{"mfaCode":"S","backup_codes":["T"]}"#, r#"{"mfaCode":"***","backup_codes":***}"#),
        ("passphrase=S code_verifier=T", "passphrase=*** code_verifier=***"),
        ("private_key=S SAMLResponse=T", "private_key=*** SAMLResponse=***"),
        ("ory_kratos_session=S; ory_session_ab=T", "ory_kratos_session=***; ory_session_ab=***"),
        ("refresh_tokens=S passwords=T", "refresh_tokens=*** passwords=***"),
        ("user[password]=S&password[]=T", "user[password]=***&password[]=***"),
        (r#"{"m":"password=p%40s\\s"}"#, r#"{"m":"password=***"}"#),
        (r#"{\"m\":\"password=S\"}"#, r#"{\"m\":\"password=***\"}"#),
        ("access token: abcdef123456", "access token: ***"),
        ("token: 8f3a9b2c, api key: sk_live_4eC39", "token: ***, api key: ***"),
        ("client secret: s3cr3t", "client secret: ***"),
        ("the password is hunter2.", "the password is ***"),
        ("sent Bearer abc123def456 ok", "sent Bearer *** ok"),
        (
            "https://x/cb?code=SplxlOBe&state=1 /verify?flow=f&code=123456",
            "https://x/cb?code=***&state=1 /verify?flow=f&code=***",
        ),
        ("user_pass=S&pass=T", "user_pass=***&pass=***"),
        ("host=db pass=S /login?pass=1234", "host=db pass=*** /login?pass=***"),
        (r#"{"pass":"S","a":1234,"#, r#"{"pass":"***","a":1234,"#),
        (
            "auth_code=S access_key=T; aws_secret_access_key: U",
            "auth_code=*** access_key=***; aws_secret_access_key: ***",
        ),
        ("?return_to=%2Fa%3Faccess_token%3DS%26b%3D1", "?return_to=%2Fa%3Faccess_token%3D***%26b%3D1"),
    ] {
        assert_eq!(scrubbed(text), clean);
    }
}

#[test]
fn a_pair_in_broken_json_is_one_too() {
    for (text, clean) in [
        (r#"[{"type":"password","value":"hunter2"}"#, r#"[{"type":"password","value":"***"}"#),
        (r#"{"type":"password","value":"hunt"#, r#"{"type":"password","value":"***"#),
        (r#"{"Name" : "client_secret" , "Value" : [1,"#, r#"{"Name" : "client_secret" , "Value" : ***"#),
        (r#"{"key":"Cookie","value":12345,"#, r#"{"key":"Cookie","value":***,"#),
        (r#"{\"type\":\"password\",\"value\":\"hun\\\"ter\"}"#, r#"{\"type\":\"password\",\"value\":\"***\"}"#),
        (r#"{"type":"password","secretData":"x","#, r#"{"type":"password","secretData":"***","#),
    ] {
        assert_eq!(scrubbed(text), clean);
        assert_eq!(scrubbed(clean), clean);
    }
}

#[test]
fn keys_of_indelible_itself() {
    let key = format!("ind_abcdefgh2345_{}", "aB3-_xYz".repeat(6).split_at(43).0);
    for (text, clean) in [
        (format!("used {key} from ci"), "used *** from ci"),
        (format!("a\\n{key}"), "a\\n***"),
        (format!("https://h/?k={key}&b=1"), "https://h/?k=***&b=1"),
    ] {
        assert_eq!(scrubbed(&text), clean);
    }
    for text in [&key[..59], "ind_abcdefgh2345", &key.to_uppercase(), &key.replace("2345", "1890")] {
        assert_eq!(scrubbed(text), text);
    }
}

#[test]
fn prose_stays() {
    for text in [
        "invalid token: expired",
        "passwordless login for ann",
        "tokens_issued=3",
        "cookie_policy_version: 4",
        "authorization_model: 01H",
        "story_st_abcdefghijklmnop1234",
        "https://example.org/a:b@c",
        "the bearer of news",
        "password: ***",
        "token=true",
        "error code: 17",
        "error code: 123456, status code is 4040, code: 123456",
        "verification code: expired, your code is valid for 10 minutes",
        "your code is 5 days old, your code isolates 12345",
        "\u{e4}\u{e4} code is 123456",
        "a recovery_code_used event",
        "status_code=200&zip_code=60200",
        "code_id: 7 private: yes",
        "invalid access token: expired, client secret: unknown, api key: none given",
        "the password is wrong, the secret is out, its token is 7 days old",
        "/status?code=404&n=1",
        "a bearer certificate, a basic plan12345",
        "PASS: sign_in_2, pass=12 fail=0, compass: north, passed: yes, bypass=on",
        r#"{"pinned":"yes","shipping":"1","spin":2} pin: 1"#,
        "access_key_id=AKIA",
        r#"{"id":"password","value":"x","#,
        r#"{"type":"password","values":"x","#,
        r#"{"type":"password","value":null,"#,
        r#"["password","value"]"#,
    ] {
        assert_eq!(scrubbed(text), text);
    }
}

#[test]
fn a_pin_by_itself_is_one() {
    for (text, clean) in [
        ("PIN: 1234", "PIN: ***"),
        ("pin=98", "pin=***"),
        ("your pin is 12345.", "your pin is ***"),
        (r#"{"a":{"pin":"12"}"#, r#"{"a":{"pin":"***"}"#),
        ("PIN code: 4938", "PIN code: ***"),
        (r#"said \"Pin\":\"4938\""#, r#"said \"Pin\":\"***\""#),
    ] {
        assert_eq!(scrubbed(text), clean);
        assert_eq!(scrubbed(clean), clean);
    }
    for text in [
        "shipping: 12345",
        "spin=1234",
        "the pin is wrong",
        "pin: A12",
        "pinned=12345",
        "pin 1234",
        "PIN: wrong",
        "opinion is 12345",
        "mapping pin",
    ] {
        assert_eq!(scrubbed(text), text);
    }
}

#[test]
fn colours_of_a_console_hide_nothing() {
    for (text, clean) in [
        (
            "\u{1b}[32mpassword\u{1b}[0m=\u{1b}[33mhunter2\u{1b}[0m ok",
            "\u{1b}[32mpassword\u{1b}[0m=\u{1b}[33m***\u{1b}[0m ok",
        ),
        (
            "\u{1b}[1;34mpass\u{1b}[m\u{1b}[2m=\u{1b}[mhunter2\u{1b}[0m",
            "\u{1b}[1;34mpass\u{1b}[m\u{1b}[2m=\u{1b}[m***\u{1b}[0m",
        ),
        ("otp=\u{1b}[33m\"123456\"\u{1b}[0m", "otp=\u{1b}[33m\"***\"\u{1b}[0m"),
        ("password=\u{1b}[33\u{e9} x", "password=*** x"),
        ("password=\u{1b}", "password=***"),
    ] {
        assert_eq!(scrubbed(text), clean);
        assert_eq!(scrubbed(clean), clean);
    }
}

proptest::proptest! {
    #[test]
    fn what_is_not_suspicious_is_left_alone(text in "[a-z_:/=\"{} .-]{0,90}(password=x1|eyJ|private_key=x|code_verifier=x1|SAMLResponse=abc|client_assertion=x|passphrase: y|otp: 1234|ory_st_abcdefghijklmnop1|://a:b@c)?[ -~]{0,70}") {
        if !suspicious(&text) {
            proptest::prop_assert_eq!(scrub(&text, &Rules::default(), &mut |_| {}), None);
        }
    }

    #[test]
    fn any_text_is_scrubbed_to_a_fixed_point(text in ".*(\u{1b}\\[[0-9;]{0,3}m?)?(password|token|eyJ|ory_st_|://|cookie|traits|your code is|sms code)?(\u{1b}\\[[0-9;]{0,3}m?)?[\":= a-z0-9äöü@/.]*.*") {
        let once = scrubbed(&text);
        proptest::prop_assert_eq!(scrubbed(&once), once);
    }

    #[test]
    fn what_names_and_marks_are_put_together_is_scrubbed_to_a_fixed_point(parts in proptest::collection::vec(proptest::sample::select(PARTS), 1..14)) {
        let once = scrubbed(&parts.concat());
        proptest::prop_assert_eq!(scrubbed(&once), once);
    }
}

/// What secrets are told by, what stands around them, and what stands in their place.
const PARTS: &[&str] = &[
    "***",
    "*",
    "\"",
    "\\\"",
    "\\",
    "\\\\\\\"",
    "'",
    " ",
    "\n",
    "=",
    ":",
    ": ",
    "=>",
    " is ",
    ",",
    "&",
    "?",
    ";",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "<",
    "@",
    "/",
    "%3D",
    "%26",
    "-",
    "_",
    ".",
    "a",
    "x1y2z3",
    "7",
    "1234",
    "123456",
    "\u{e4}",
    "\u{1b}[33m",
    "\u{1b}",
    "password",
    "pass",
    "PIN",
    "token",
    "secret",
    "api key",
    "api_key",
    "access_key",
    "otp",
    "code",
    "your code",
    "one time code",
    "cookie",
    "authorization",
    "bearer ",
    "Basic ",
    "://",
    "://u:p@h",
    "traits",
    "ory_kratos_session",
    "ory_st_abcdefghijklmnop",
    "eyJhIjoxfQ.eyJiIjoyfQ.c2ln",
    "ind_abcdefgh2345_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    "\"type\":\"",
    "\"value\":\"",
    "SAMLResponse",
    "true",
    "null",
    "status",
];
