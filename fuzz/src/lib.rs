//! What the fuzz targets share.
//!
//! Parts of `query`, `server` and `cli` are taken in by their paths, not through their crates, so that fuzzing them builds
//! neither DataFusion nor a server. What they use of their crates stands here under the same names.

#[allow(dead_code, missing_docs, unused_imports)]
#[path = "../../crates/query/src/lang/mod.rs"]
pub mod lang;

#[allow(dead_code, missing_docs)]
#[path = "../../crates/query/src/cursor.rs"]
pub mod cursor;

#[allow(dead_code, missing_docs)]
pub mod sql;

/// Errors as `query` has them.
pub mod engine {
    /// Why a statement was refused.
    #[derive(Debug)]
    pub enum Error {
        /// A mistake in it.
        Sql(String),
        /// It is too much.
        Limit(String),
    }

    /// Shorthand.
    pub type Result<T> = std::result::Result<T, Error>;
}

#[allow(dead_code, missing_docs)]
#[path = "../../crates/server/src/pull/postgres/talk.rs"]
pub mod talk;

#[allow(dead_code, missing_docs)]
#[path = "../../crates/server/src/decompress.rs"]
pub mod decompress;

#[allow(dead_code, missing_docs)]
pub mod proof;

#[allow(dead_code, missing_docs)]
#[path = "../../crates/cli/src/settings.rs"]
pub mod settings;

/// What `cli` has at its root.
pub type Done = Result<(), client::Failure>;

/// As `cli::print`, without printing.
pub fn print(_: &str) -> Done {
    Ok(())
}

/// Failures as `cli` has them.
#[allow(missing_docs)]
pub mod client {
    use std::path::Path;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Exit {
        Usage,
        Failure,
        Integrity,
    }

    #[derive(Debug)]
    pub struct Failure {
        pub exit: Exit,
        pub message: String,
    }

    impl Failure {
        pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
            Failure { exit, message: message.into() }
        }

        pub fn other(message: impl Into<String>) -> Failure {
            Failure::new(Exit::Failure, message)
        }

        pub fn integrity(message: impl Into<String>) -> Failure {
            Failure::new(Exit::Integrity, message)
        }

        pub fn file(action: &str, path: &Path, error: &std::io::Error) -> Failure {
            Failure::other(format!("could not {action} {}: {error}", path.display()))
        }
    }

    pub fn note(_: &str) {}

    pub fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }
}

#[allow(dead_code)]
#[path = "../../crates/segments/src/packed.rs"]
mod packed;
#[allow(dead_code)]
#[path = "../../crates/segments/src/page.rs"]
mod page;

/// A page of a segment: as it stands in a file, header and all, and its unpacked parts by themselves.
pub fn segment_page(bytes: &[u8]) {
    const ROWS: usize = 4096;
    for entries in [usize::MAX, 3] {
        if let Ok(page) = page::Page::read_first(bytes, ROWS, entries) {
            for optional in [false, true] {
                if let Ok(values) = page.values(optional) {
                    assert!(values.count <= page.rows && page.rows <= ROWS);
                }
            }
        }
    }
    let Some((width, packed)) = bytes.split_first() else { return };
    if let Some(mut hybrid) = packed::Hybrid::new(packed, *width) {
        let _ = hybrid.clone().skip(ROWS);
        let _ = hybrid.each(ROWS, |_| ());
    }
    if let Some(end) = packed::Delta::new(bytes, ROWS).and_then(|d| d.all(|_| ())) {
        assert_eq!(packed::Delta::new(bytes, ROWS).and_then(|d| d.end()), Some(end));
    }
}

/// A moment in 2026, as every target's clock.
pub const NOW: i64 = 1_790_000_000_000_000;

/// The view that a byte of an input chooses, so that one target covers every view.
pub fn view(choice: u8) -> lang::View {
    lang::View::ALL[usize::from(choice) % lang::View::ALL.len()]
}

/// A folder of this process in memory, for parsers that read files.
pub fn scratch() -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("indelible-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a temporary folder can be made");
    dir
}

/// Changes bytes where the input says: every four bytes of it are a place (three) and what is put there.
pub fn edited(sound: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut out = sound.to_vec();
    for edit in edits.chunks_exact(4) {
        let place = usize::from(edit[0]) << 16 | usize::from(edit[1]) << 8 | usize::from(edit[2]);
        let at = place % out.len();
        out[at] = edit[3];
    }
    out
}

/// A body of a system, through its adapter and `event`: the same twice, never refused, always of this source, and back again
/// without a panic.
pub fn native(system: &str, body: &[u8]) {
    let system = systems::find(system).expect("a system of the table");
    systems::detect(body);
    let first = envelopes(system, body);
    assert_eq!(first, envelopes(system, body));
    as_fields(system, body);
    for envelope in &first {
        let envelope: serde_json::Value = serde_json::from_str(envelope).expect("what event accepts is JSON");
        assert_eq!(envelope["source"], system.name());
        system.to_native(&envelope);
    }
}

/// Fails where an envelope's fields are another record than its text.
fn as_fields(system: &dyn systems::System, body: &[u8]) {
    let rules = event::redact::Rules::default();
    let parser = event::parse::Parser { rules: &rules, tenant: "acme", now: NOW };
    let Ok(text) = systems::decode(system, body, "") else { return };
    let zone = jiff::tz::TimeZone::UTC;
    let origin = systems::Origin::new("", &zone);
    let (mut filled, memory) = (systems::Filled::default(), systems::Memory::default());
    systems::fill(system, text.part(system, 0), &origin, &memory, &mut filled, &mut |filled, read| {
        let Ok(place) = read.envelope else { return };
        let (mut of_fields, mut of_text, mut text) = (Vec::new(), Vec::new(), String::new());
        if let Some(taken) = parser.take(filled.fields(&place), &mut || "made".to_owned(), &mut of_fields) {
            filled.write(&place, &mut text);
            assert_eq!(Ok(taken), parser.parse(&text, &mut || "made".to_owned(), &mut of_text));
        }
        assert_eq!(of_fields, of_text);
    });
}

fn envelopes(system: &dyn systems::System, body: &[u8]) -> Vec<String> {
    static RULES: std::sync::LazyLock<event::redact::Rules> = std::sync::LazyLock::new(event::redact::Rules::default);
    let parser = event::parse::Parser { rules: &RULES, tenant: "acme", now: NOW };
    let mut all = Vec::new();
    let memory = systems::Memory::default();
    let utc = jiff::tz::TimeZone::UTC;
    let taken = systems::convert(system, body, "", &memory, &utc, &mut |piece| {
        let Ok(text) = piece.envelope else { return };
        // What is left of a record that is put together of two is a record too.
        if let Some(left) = system.twin(piece.native) {
            all.extend(envelopes(system, left.as_bytes()));
        }
        let mut out = Vec::new();
        let mut parse = |text: &str| parser.parse(text, &mut || "made".to_owned(), &mut out).map(|_| ());
        match parse(text) {
            Ok(()) => all.push(text.to_owned()),
            Err(e) => {
                let kept = systems::unparsed(system, piece.native, e.code, &e.detail);
                parse(&kept).expect("an unparsed record is always accepted");
                // Read again it is no better, and does no harm.
                let _ = systems::again(system, piece.native, ("kept", NOW), &utc, &mut String::new());
                all.push(kept);
            }
        }
    });
    taken.expect("text is always taken apart");
    all
}
