use proptest::prelude::*;

use super::*;
use crate::note::CosigningKey;

fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::new(name, &[seed; 32]).unwrap()
}

fn checkpoint(origin: &str, size: u64) -> Checkpoint {
    Checkpoint { origin: origin.to_owned(), size, root: if size == 0 { empty_root() } else { [7; 32] } }
}

#[test]
fn only_the_written_form_is_read() {
    let root = base64(&[7; 32]);
    let short = base64(&[7; 31]);
    let long = base64(&[7; 33]);
    for (bad, why) in [
        (String::new(), CheckpointError::TooShort),
        ("a\n".to_owned(), CheckpointError::TooShort),
        ("a\n8\n".to_owned(), CheckpointError::TooShort),
        (format!("a\n8\n{root}"), CheckpointError::TooShort),
        (format!("\n8\n{root}\n"), CheckpointError::BadOrigin),
        (format!("a\rb\n8\n{root}\n"), CheckpointError::BadOrigin),
        (format!("a\n\n{root}\n"), CheckpointError::BadSize),
        (format!("a\n08\n{root}\n"), CheckpointError::BadSize),
        (format!("a\n+8\n{root}\n"), CheckpointError::BadSize),
        (format!("a\n-8\n{root}\n"), CheckpointError::BadSize),
        (format!("a\n 8\n{root}\n"), CheckpointError::BadSize),
        (format!("a\n0x8\n{root}\n"), CheckpointError::BadSize),
        (format!("a\n9223372036854775808\n{root}\n"), CheckpointError::BadSize),
        (format!("a\n99999999999999999999\n{root}\n"), CheckpointError::BadSize),
        (format!("a\n8\n{short}\n"), CheckpointError::BadRoot),
        (format!("a\n8\n{long}\n"), CheckpointError::BadRoot),
        (format!("a\n8\n{root} \n"), CheckpointError::BadRoot),
        (format!("a\n8\n{}\n", root.replace('=', "")), CheckpointError::BadRoot),
        (format!("a\n0\n{root}\n"), CheckpointError::BadEmptyRoot),
        (format!("a\n8\n{root}\n\n"), CheckpointError::ExtensionLines),
        (format!("a\n8\n{root}\nextension\n"), CheckpointError::ExtensionLines),
    ] {
        assert_eq!(Checkpoint::parse(&bad), Err(why), "{bad:?}");
    }
    for size in [0, 1, MAX_SIZE] {
        let checkpoint = checkpoint("example.com/log with spaces", size);
        assert_eq!(Checkpoint::parse(&checkpoint.to_text().unwrap()), Ok(checkpoint));
    }
}

#[test]
fn what_cannot_be_read_back_is_not_written() {
    assert_eq!(checkpoint("", 8).to_text(), Err(CheckpointError::BadOrigin));
    assert_eq!(checkpoint("a\nb", 8).to_text(), Err(CheckpointError::BadOrigin));
    assert_eq!(checkpoint("a", MAX_SIZE + 1).to_text(), Err(CheckpointError::BadSize));
    let forged = Checkpoint { root: [1; 32], ..checkpoint("a", 0) };
    assert_eq!(forged.to_text(), Err(CheckpointError::BadEmptyRoot));
    let other = CheckpointError::NotSignedByOrigin { origin: "a".to_owned() };
    assert_eq!(checkpoint("a", 8).sign(&key("b", 1)), Err(other));
}

#[test]
fn only_the_logs_own_key_makes_a_checkpoint() {
    let (log, stranger) = (key("log", 1), key("stranger", 2));
    let witness = CosigningKey::new("log", &[3; 32]).unwrap();
    let known = [&log, &stranger].map(|key| key.verifying_key().clone());
    let known = [known.as_slice(), &[witness.verifying_key().clone()]].concat();
    let checkpoint = checkpoint("log", 8);
    let text = checkpoint.to_text().unwrap();

    let signed = checkpoint.sign(&log).unwrap();
    assert_eq!(Checkpoint::open(&signed, &known).unwrap().0, checkpoint);
    assert_eq!(Checkpoint::parse_unverified(&signed), Ok(checkpoint));
    // Another log's key, or a witness, even of the log's name, is not enough.
    let refused = Err(CheckpointError::NotSignedByOrigin { origin: "log".to_owned() });
    let by_stranger = note::sign(&text, &[&stranger]).unwrap();
    assert_eq!(Checkpoint::open(by_stranger, &known).map(|_| ()), refused);
    let mut by_witness = Note::new(text).unwrap();
    by_witness.add(witness.cosign(by_witness.text(), 5).unwrap()).unwrap();
    assert_eq!(Checkpoint::open(by_witness.to_string(), &known).map(|_| ()), refused);
    assert_eq!(Checkpoint::open(&signed, &[]), Err(CheckpointError::Note(NoteError::Unsigned)));
}

proptest! {
    #[test]
    fn accepted_texts_have_one_spelling(text in "[a-z \n]{0,3}\n[0-9]{0,3}\n(BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw[c-f]=)?\n?|\\PC{0,90}") {
        if let Ok(checkpoint) = Checkpoint::parse(&text) {
            prop_assert_eq!(checkpoint.to_text().unwrap(), text);
        }
    }
}
