//! `datafusion::sql::sqlparser`, and nothing else.

/// As in DataFusion.
pub mod sql {
    pub use sqlparser;
}
