//! What the fuzz targets share.
//!
//! The query language is taken in by its path, not through `query`, so that fuzzing it does not build DataFusion.

#[allow(dead_code, missing_docs, unused_imports)]
#[path = "../../crates/query/src/lang/mod.rs"]
pub mod lang;

/// A moment in 2026, as every target's clock.
pub const NOW: i64 = 1_790_000_000_000_000;

/// The view that a byte of an input chooses, so that one target covers every view.
pub fn view(choice: u8) -> lang::View {
    lang::View::ALL[usize::from(choice) % lang::View::ALL.len()]
}

/// A body of a system, through its adapter and `event`: the same twice, never refused, always of this source, and back again
/// without a panic.
pub fn native(system: &str, body: &[u8]) {
    let system = systems::find(system).expect("a system of the table");
    systems::detect(body);
    let first = envelopes(system, body);
    assert_eq!(first, envelopes(system, body));
    for envelope in &first {
        let envelope: serde_json::Value = serde_json::from_str(envelope).expect("what event accepts is JSON");
        assert_eq!(envelope["source"], system.name());
        system.to_native(&envelope);
    }
}

fn envelopes(system: &dyn systems::System, body: &[u8]) -> Vec<String> {
    static RULES: std::sync::LazyLock<event::redact::Rules> = std::sync::LazyLock::new(event::redact::Rules::default);
    let parser = event::parse::Parser { rules: &RULES, tenant: "acme", now: NOW };
    let mut all = Vec::new();
    let mut memory = systems::Memory::default();
    let utc = jiff::tz::TimeZone::UTC;
    let taken = systems::convert(system, body, "", &mut memory, &utc, &mut |piece| {
        let Ok(text) = piece.envelope else { return };
        let mut out = Vec::new();
        let mut parse = |text: &str| parser.parse(text, &mut || "made".to_owned(), &mut out).map(|_| ());
        match parse(text) {
            Ok(()) => all.push(text.to_owned()),
            Err(e) => {
                let kept = systems::unparsed(system, piece.native, e.code, &e.detail);
                parse(&kept).expect("an unparsed record is always accepted");
                all.push(kept);
            }
        }
    });
    taken.expect("text is always taken apart");
    all
}
