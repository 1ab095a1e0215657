//! What a database says, from the first byte on: logging in, settings, an answer. Whatever comes, nothing of it is in an error.
#![no_main]
use indelible_fuzz::talk::{MAX_MESSAGE, Talk};
use libfuzzer_sys::fuzz_target;
use std::io::{self, Read, Write};
use systems::pull::sql::{Database, SslMode, Statement};

/// A server that says what it says, whatever it is told.
struct Says<'a>(&'a [u8]);

impl Read for Says<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Says<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|input: (bool, &[u8])| {
    let (known, data) = input;
    // Logged in already, in one half of the cases.
    let begin: &[u8] = b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05IZ\0\0\0\x05I";
    let says = if known { [begin, data].concat() } else { data.to_vec() };
    let database = Database {
        host: "db".into(),
        port: 5432,
        name: "tenant".into(),
        user: "indelible".into(),
        password: "hush-hush".into(),
        tls: SslMode::VerifyFull,
        ca: None,
    };
    let statement = Statement { text: "SELECT 1".into(), parameters: vec!["1".into()] };
    match Talk::start(Says(&says), &database).and_then(|mut talk| talk.run(&statement)) {
        Ok(rows) => {
            let bytes: usize = rows.list.iter().flatten().flatten().map(String::len).sum();
            assert!(bytes <= MAX_MESSAGE);
        }
        Err(trouble) => assert!(!trouble.to_string().contains("hush")),
    }
});
