use super::*;
use proptest::prelude::*;
use std::io::Cursor;

/// A server that says what it says, whatever it is told, and keeps what it was told.
struct Script {
    says: Cursor<Vec<u8>>,
    told: Vec<u8>,
}

impl Read for Script {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // A few bytes at a time: messages come in pieces.
        let n = into.len().min(7);
        self.says.read(&mut into[..n])
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.told.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn database(tls: SslMode) -> Database {
    Database {
        host: "db.example".into(),
        port: 5432,
        name: "tenant".into(),
        user: "indelible".into(),
        password: "hush-hush".into(),
        tls,
        ca: None,
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    out.extend_from_slice(body);
    out
}

fn asks(kind: u32, more: &[u8]) -> Vec<u8> {
    message(b'R', &[&kind.to_be_bytes(), more].concat())
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

fn fails(code: &str) -> Vec<u8> {
    message(b'E', format!("SERROR\0C{code}\0Mthe password hush-hush is secret\0\0").as_bytes())
}

fn row(columns: &[Option<&str>]) -> Vec<u8> {
    let mut body = (columns.len() as u16).to_be_bytes().to_vec();
    for column in columns {
        match column {
            None => body.extend_from_slice(&(-1i32).to_be_bytes()),
            Some(text) => {
                body.extend_from_slice(&(text.len() as u32).to_be_bytes());
                body.extend_from_slice(text.as_bytes());
            }
        }
    }
    message(b'D', &body)
}

fn start(tls: SslMode, says: &[Vec<u8>]) -> Result<Talk<Script>, Trouble> {
    Talk::start(Script { says: Cursor::new(says.concat()), told: Vec::new() }, &database(tls))
}

fn logged_in() -> Vec<Vec<u8>> {
    let set = message(b'C', b"SET\0");
    vec![asks(0, b""), message(b'S', b"a\0b\0"), message(b'K', &[0; 8]), ready(), set.clone(), set, ready()]
}

fn why<T>(got: Result<T, Trouble>) -> String {
    let Err(trouble) = got else { panic!("it worked") };
    let text = trouble.to_string();
    assert!(!text.contains("hush"), "{text}");
    format!("{trouble:?}")
}

#[test]
fn a_session_is_logged_in_read_only_and_gives_rows_as_texts() {
    let mut says = logged_in();
    says.extend([
        message(b'1', b""),
        message(b'2', b""),
        row(&[Some("{\"a\":1}"), None]),
        message(b'C', b"SELECT 1\0"),
        ready(),
    ]);
    let mut talk = start(SslMode::Disable, &says).unwrap();
    let told = String::from_utf8_lossy(&talk.stream_mut().told).into_owned();
    assert!(told.contains("default_transaction_read_only = on") && told.contains("statement_timeout"), "{told}");
    let statement = Statement { text: "SELECT $1".into(), parameters: vec!["one".into()] };
    let rows = talk.run(&statement).unwrap();
    assert_eq!(rows, Rows { list: vec![vec![Some("{\"a\":1}".into()), None]], cut: false });
}

#[test]
fn an_answer_that_does_not_fit_is_cut_at_a_row() {
    let mut says = logged_in();
    let half = "x".repeat(MAX_MESSAGE / 2 - 100);
    says.extend((0..3).map(|_| row(&[Some(&half)])));
    let mut talk = start(SslMode::Disable, &says).unwrap();
    let rows = talk.run(&Statement { text: "SELECT 1".into(), parameters: vec![] }).unwrap();
    assert_eq!((rows.list.len(), rows.cut), (2, true));
}

#[test]
fn refusals_are_told_by_their_code_and_never_in_the_servers_words() {
    for (code, kind, says) in [
        ("28P01", "Login", "secrets.password"),
        ("28000", "Login", "pg_hba.conf"),
        ("3D000", "Refused", "no such database"),
        ("42P01", "Refused", "`schema`"),
        ("42501", "Refused", "GRANT"),
        ("57014", "Later", "30 s"),
        ("53300", "Later", "later"),
        ("57P03", "Later", "later"),
        ("XX000", "Refused", "XX000"),
        ("hush!", "Refused", "?????"),
    ] {
        let told = why(start(SslMode::Disable, &[fails(code)]));
        assert!(told.starts_with(kind) && told.contains(says), "{code}: {told}");
        // And so in the middle of an answer, after which the session ends in order.
        let mut all = logged_in();
        all.extend([fails(code), ready()]);
        let mut talk = start(SslMode::Disable, &all).unwrap();
        assert!(why(talk.run(&Statement { text: "SELECT 1".into(), parameters: vec![] })).contains(says));
    }
}

#[test]
fn a_password_is_not_shown_to_anybody_who_did_not_prove_who_he_is() {
    for mode in [SslMode::Disable, SslMode::Prefer, SslMode::Require] {
        assert!(why(start(mode, &[asks(3, b"")])).contains("verify-full"));
    }
    let mut says = logged_in();
    says.insert(0, asks(3, b""));
    let mut talk = start(SslMode::VerifyFull, &says).unwrap();
    assert!(String::from_utf8_lossy(&talk.stream_mut().told).contains("hush-hush\0"));
    // By md5 only its hash goes out.
    says[0] = asks(5, b"salt");
    let mut talk = start(SslMode::Disable, &says).unwrap();
    assert!(!String::from_utf8_lossy(&talk.stream_mut().told).contains("hush"));
}

#[test]
fn scram_ends_with_the_servers_proof_or_not_at_all() {
    let mut says = logged_in();
    says.insert(0, asks(10, b"SCRAM-SHA-256\0\0"));
    assert!(why(start(SslMode::Disable, &says)).contains("not understood"), "a server that says yes at once");
    assert!(why(start(SslMode::Disable, &[asks(10, b"SCRAM-SHA-512\0\0")])).contains("SCRAM-SHA-256"));
    assert!(why(start(SslMode::Disable, &[asks(11, b"r=x")])).contains("not understood"));
    assert!(why(start(SslMode::Disable, &[asks(7, b"")])).contains("way of logging in"));
}

#[test]
fn what_is_no_postgres_is_told_so_and_nothing_large_is_read() {
    assert!(why(start(SslMode::Disable, &[b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()])).contains("8 MiB"));
    assert!(why(start(SslMode::Disable, &[vec![b'R', 0, 0, 0, 3, 0]])).contains("is it PostgreSQL?"));
    assert!(why(start(SslMode::Disable, &[vec![b'R', 0xff, 0xff, 0xff, 0xff]])).starts_with("Later"));
    assert!(why(start(SslMode::Disable, &[])).contains("closed"));
}

proptest! {
    #[test]
    fn whatever_a_server_says_never_panics(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        tagged in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..6),
        known: bool, cut in 0usize..400,
    ) {
        let mut says = if known { logged_in() } else { Vec::new() };
        says.extend(tagged.iter().map(|(tag, body)| message(*tag, body)));
        says.push(noise);
        let mut bytes = says.concat();
        bytes.truncate(cut.max(4));
        if let Ok(mut talk) = start(SslMode::VerifyFull, &[bytes]) {
            let _ = talk.run(&Statement { text: "SELECT 1".into(), parameters: vec![] });
        }
    }
}
