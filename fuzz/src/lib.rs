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
