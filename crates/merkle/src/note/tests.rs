use proptest::prelude::*;

use super::*;

const TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const PETER_LINE: &str =
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH_LINE: &str =
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn key(vkey: &str) -> VerifyingKey {
    VerifyingKey::parse(vkey).unwrap()
}

fn names(opened: &Opened) -> Vec<&str> {
    opened.verified.iter().map(|key| key.name.as_str()).collect()
}

/// The cases of golang/mod `note_test.go`, `TestOpen`.
#[test]
fn opens_as_go_does() {
    let both = format!("{TEXT}\n{PETER_LINE}{ENOCH_LINE}");
    let opened = open(&both, &[key(PETER)]).unwrap();
    assert_eq!((opened.text.as_str(), names(&opened), opened.ignored), (TEXT, vec!["PeterNeumann"], 1));
    let opened = open(&both, &[key(PETER), key(ENOCH)]).unwrap();
    assert_eq!((names(&opened), opened.ignored), (vec!["PeterNeumann", "EnochRoot"], 0));
    assert_eq!(open(&both, &[]), Err(NoteError::Unsigned));

    for known in [vec![key(PETER)], vec![]] {
        let many = format!("{TEXT}\n{}", PETER_LINE.repeat(101));
        assert_eq!(open(&many, &known), Err(NoteError::TooManySignatures));
    }
    let repeated = format!("{TEXT}\n{}", PETER_LINE.repeat(100));
    assert_eq!(names(&open(&repeated, &[key(PETER)]).unwrap()), ["PeterNeumann"]);

    let (head, tail) = PETER_LINE.split_at(60);
    let broken = format!("{head}ABCD{tail}");
    let invalid = NoteError::InvalidSignature { name: "PeterNeumann".to_owned(), key_id: 0xc74f_20a3 };
    assert_eq!(open(format!("{TEXT}\n{broken}"), &[key(PETER)]), Err(invalid.clone()));
    // Stricter than Go: also beside a good line of the same key.
    assert_eq!(open(format!("{TEXT}\n{PETER_LINE}{broken}"), &[key(PETER)]), Err(invalid));
    // Of an unknown key it says nothing.
    assert_eq!(open(format!("{TEXT}\n{ENOCH_LINE}{broken}"), &[key(ENOCH)]).map(|opened| opened.ignored), Ok(1));

    // The same name with another key ID, or the same ID with another name, is another key.
    for other in [PETER_LINE.replace("PeterNeumann", "CarmenSandiego"), PETER_LINE.replace("x08g", "xxxx")] {
        assert_eq!(open(format!("{TEXT}\n{other}"), &[key(PETER)]), Err(NoteError::Unsigned));
    }
    // A key given twice is one key.
    assert!(open(&both, &[key(ENOCH), key(PETER), key(ENOCH)]).is_ok());
}

#[test]
fn malformed_notes_are_refused() {
    let line = PETER_LINE;
    let cut = &line[..line.len() - 1];
    for (bad, why) in [
        (String::new(), NoteError::NoSignatureBlock),
        (TEXT.to_owned(), NoteError::NoSignatureBlock),
        (format!("{TEXT}\n"), NoteError::NoSignatureBlock),
        (format!("{TEXT}\n{cut}"), NoteError::NoSignatureBlock),
        (format!("{TEXT}{line}"), NoteError::NoSignatureBlock),
        (format!("\u{1}{TEXT}\n{line}"), NoteError::ControlCharacter),
        (format!("{TEXT}\n{line}").replace('\n', "\r\n"), NoteError::ControlCharacter),
        (format!("{TEXT}\t\n\n{line}"), NoteError::ControlCharacter),
        (format!("{TEXT}\n{}", line.replace("PeterNeumann", "Bad Name")), NoteError::BadSignatureLine { line: 1 }),
        (format!("{TEXT}\n{}", line.replace("PeterNeumann", "Bad+Name")), NoteError::BadSignatureLine { line: 1 }),
        (format!("{TEXT}\n{}", line.replace("PeterNeumann", "Bad\u{a0}Name")), NoteError::BadSignatureLine { line: 1 }),
        (format!("{TEXT}\n{}", line.replace("PeterNeumann", "")), NoteError::BadSignatureLine { line: 1 }),
        (format!("{TEXT}\n{line}Unexpected line.\n"), NoteError::BadSignatureLine { line: 2 }),
        (format!("{TEXT}\n{}", line.replace('—', "-")), NoteError::BadSignatureLine { line: 1 }),
        (format!("{TEXT}\n{}", line.replace('=', "")), NoteError::BadSignatureLine { line: 1 }),
        (format!("{TEXT}\n{cut} \n"), NoteError::BadSignatureLine { line: 1 }),
        (format!("{TEXT}\n— PeterNeumann\n"), NoteError::BadSignatureLine { line: 1 }),
        (format!("{TEXT}\n— PeterNeumann \n"), NoteError::BadSignatureLine { line: 1 }),
        (format!("{TEXT}\n— PeterNeumann x08gow==\n"), NoteError::BadSignatureLine { line: 1 }),
    ] {
        assert_eq!(open(&bad, &[key(PETER)]), Err(why), "{bad}");
    }
    let not_utf8 = [b"\xff", TEXT.as_bytes(), b"\n", line.as_bytes()].concat();
    assert_eq!(open(not_utf8, &[key(PETER)]), Err(NoteError::NotUtf8));
}

#[test]
fn the_text_ends_at_the_last_empty_line() {
    let signer = SigningKey::new("example.com/log", &[9; 32]).unwrap();
    for text in ["one\n\ntwo\n", "one\n\n", "\n", "\n\n\n", "ends\n\n— looks like a signature AAAA\n"] {
        let signed = sign(text, &[&signer]).unwrap();
        assert_eq!(open(&signed, &[signer.verifying_key().clone()]).unwrap().text, text);
    }
    assert_eq!(sign("no newline", &[&signer]), Err(NoteError::UnfinishedText));
    assert_eq!(sign("", &[&signer]), Err(NoteError::UnfinishedText));
    assert_eq!(sign("a\tb\n", &[&signer]), Err(NoteError::ControlCharacter));
}

#[test]
fn bad_keys_are_refused() {
    for name in ["", "a b", "a+b", "a\u{2003}b", "a\nb", "a\u{7}"] {
        assert_eq!(SigningKey::new(name, &[1; 32]).map(|key| key.vkey()), Err(KeyError::BadName), "{name:?}");
    }
    for start in 0..PETER.len() {
        for end in start..PETER.len() {
            assert!(VerifyingKey::parse(&PETER[start..end]).is_err());
        }
        let mut changed = PETER.as_bytes().to_vec();
        changed[start] += 1;
        assert!(VerifyingKey::parse(&String::from_utf8(changed).unwrap()).is_err(), "position {start}");
    }
    let long = "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==";
    assert!(VerifyingKey::parse(long).is_err());
    let unknown = "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    assert_eq!(VerifyingKey::parse(unknown), Err(KeyError::UnsupportedType(0x65)));
    let wrong_id = PETER.replace("c74f20a3", "c74f20a4");
    assert_eq!(VerifyingKey::parse(&wrong_id), Err(KeyError::WrongKeyId { want: 0xc74f_20a3, got: 0xc74f_20a4 }));
    assert_eq!(VerifyingKey::parse(&PETER.replace("c74f20a3", "C74F20A3")), Err(KeyError::Malformed));
}

#[test]
fn private_keys_round_trip_and_are_never_printed() {
    let signer = SigningKey::new("example.com/log", &[9; 32]).unwrap();
    let private = signer.to_private_text();
    assert_eq!(SigningKey::parse_private_text(&private).unwrap().vkey(), signer.vkey());
    let secret = &private[private.len() - 44..];
    for shown in [format!("{signer:?}"), format!("{:?}", CosigningKey::new("w", &[9; 32]).unwrap())] {
        assert!(shown.contains('+') && !shown.contains(secret) && !shown.contains("9, 9"), "{shown}");
    }
    assert!(SigningKey::parse_private_text(&private.replace("example.com", "example.org")).is_err());
    assert!(SigningKey::parse_private_text(&signer.vkey()).is_err());
}

#[test]
fn cosignatures_bind_time_and_text() {
    let witness = CosigningKey::new("witness.example/w1", &[5; 32]).unwrap();
    let known = [witness.verifying_key().clone()];
    let mut note = Note::new("origin\n0\nroot\n").unwrap();
    note.add(witness.cosign(note.text(), 1_700_000_000).unwrap()).unwrap();
    assert_eq!(note.verify(&known).unwrap().verified[0].time, Some(1_700_000_000));

    for byte in 0..72 {
        let mut line = note.signatures()[0].clone();
        line.signature[byte] ^= 1;
        let mut changed = Note::new(note.text()).unwrap();
        changed.add(line).unwrap();
        assert!(matches!(changed.verify(&known), Err(NoteError::InvalidSignature { .. })), "byte {byte}");
    }
    for len in 1..80 {
        let mut line = note.signatures()[0].clone();
        line.signature.resize(len, 0);
        let mut cut = Note::new(note.text()).unwrap();
        cut.add(line).unwrap();
        assert_eq!(cut.verify(&known).is_ok(), len == 72, "length {len}");
    }
    for time in [0, 1 << 63, u64::MAX] {
        assert_eq!(witness.cosign("a\n", time), Err(NoteError::BadTime(time)));
    }
    // A plain signature is no cosignature, even by the same seed and name.
    let plain = SigningKey::new("witness.example/w1", &[5; 32]).unwrap();
    assert_ne!(plain.key_id(), witness.verifying_key().key_id());
    let signed = sign(note.text(), &[&plain]).unwrap();
    assert_eq!(open(signed, &known), Err(NoteError::Unsigned));
}

#[test]
fn a_line_of_the_same_key_is_replaced() {
    let witness = CosigningKey::new("w", &[5; 32]).unwrap();
    let mut note = Note::new("text\n").unwrap();
    for time in 1..=3 {
        note.add(witness.cosign("text\n", time).unwrap()).unwrap();
    }
    assert_eq!(note.signatures().len(), 1);
    assert_eq!(note.verify(&[witness.verifying_key().clone()]).unwrap().verified[0].time, Some(3));
    for i in 1..100 {
        note.add(SigningKey::new(&format!("k{i}"), &[i; 32]).unwrap().sign("text\n").unwrap()).unwrap();
    }
    let one_more = SigningKey::new("more", &[0; 32]).unwrap().sign("text\n").unwrap();
    assert_eq!(note.add(one_more), Err(NoteError::TooManySignatures));
    assert_eq!(Note::parse(note.to_string().as_bytes()), Ok(note));
}

/// Key IDs are 32 bits: a clash is refused, not resolved.
#[test]
fn keys_that_cannot_be_told_apart_are_refused() {
    let mut impostor = key(ENOCH);
    impostor = VerifyingKey::with_identity_of(&impostor, &key(PETER));
    let note = format!("{TEXT}\n{PETER_LINE}");
    let ambiguous = NoteError::AmbiguousKey { name: "PeterNeumann".to_owned(), key_id: 0xc74f_20a3 };
    assert_eq!(open(note, &[key(PETER), impostor]), Err(ambiguous));
}

proptest! {
    #[test]
    fn any_bytes_are_a_note_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Note::parse(&bytes);
        let _ = VerifyingKey::parse(&String::from_utf8_lossy(&bytes));
    }

    /// Text near the grammar: what is accepted is written back as it was.
    #[test]
    fn accepted_notes_have_one_spelling(note in "([a-z\n]{0,9}\n){0,3}\n(— [a-z ]{0,4} [A-Za-z0-9+/]{8}(AA==)?\n){0,4}") {
        if let Ok(parsed) = Note::parse(note.as_bytes()) {
            prop_assert_eq!(parsed.to_string(), note);
        }
    }

    #[test]
    fn one_flipped_bit_never_verifies(position in 0usize..210, bit in 0u8..8) {
        let mut note = format!("{TEXT}\n{PETER_LINE}").into_bytes();
        let position = position % note.len();
        note[position] ^= 1 << bit;
        prop_assert!(open(note, &[key(PETER)]).is_err());
    }
}
