//! The functions a statement may call.
//!
//! Owns the list. A function is on it when it reads nothing but its arguments, when its cost grows about as
//! its input does, and when `cost` can bound its output: no `levenshtein` (quadratic), no `range` or
//! `array_repeat` (output of any size from two numbers), nothing that tells of files or versions, no casts to
//! types that SQL does not name. Aggregates and window functions are all there: their memory is counted, or they are refused (`cost`).

use datafusion::common::config::ConfigOptions;
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

const SCALAR: &[&str] = &[
    // Any type.
    "coalesce",
    "nullif",
    "nvl",
    "nvl2",
    "greatest",
    "least",
    "arrow_typeof",
    // Text.
    "ascii",
    "bit_length",
    "btrim",
    "character_length",
    "chr",
    "concat",
    "concat_ws",
    "contains",
    "ends_with",
    "find_in_set",
    "initcap",
    "left",
    "lower",
    "lpad",
    "ltrim",
    "octet_length",
    "overlay",
    "repeat",
    "replace",
    "reverse",
    "right",
    "rpad",
    "rtrim",
    "split_part",
    "starts_with",
    "strpos",
    "substr",
    "substr_index",
    "to_hex",
    "translate",
    "upper",
    "uuid",
    // Regular expressions, which take linear time.
    "regexp_count",
    "regexp_instr",
    "regexp_like",
    "regexp_match",
    "regexp_replace",
    // Times.
    "current_date",
    "current_time",
    "date_bin",
    "date_part",
    "date_trunc",
    "from_unixtime",
    "make_date",
    "make_time",
    "now",
    "to_char",
    "to_date",
    "to_local_time",
    "to_time",
    "to_timestamp",
    "to_timestamp_micros",
    "to_timestamp_millis",
    "to_timestamp_nanos",
    "to_timestamp_seconds",
    "to_unixtime",
    // Numbers.
    "abs",
    "cbrt",
    "ceil",
    "exp",
    "floor",
    "gcd",
    "lcm",
    "ln",
    "log",
    "log10",
    "log2",
    "pi",
    "power",
    "random",
    "round",
    "signum",
    "sqrt",
    "trunc",
    // Lists, as `regexp_match`, `array_agg` and `string_to_array` give them.
    "array_distinct",
    "array_element",
    "array_has",
    "array_length",
    "array_position",
    "array_slice",
    "array_sort",
    "array_to_string",
    "cardinality",
    "empty",
    "make_array",
    "string_to_array",
];

/// What names of functions stand for.
pub(super) struct Functions {
    pub(super) scalar: HashMap<String, Arc<ScalarUDF>>,
    pub(super) aggregate: HashMap<String, Arc<AggregateUDF>>,
    pub(super) window: HashMap<String, Arc<WindowUDF>>,
    /// Syntax that becomes functions: `extract`, `position`, `substring`, `[1]`.
    pub(super) planners: Vec<Arc<dyn ExprPlanner>>,
}

/// The settings that times are computed with.
pub(super) fn settings(options: &mut ConfigOptions) {
    options.execution.time_zone = Some("UTC".to_owned());
    options.execution.enable_recursive_ctes = false;
    options.catalog.create_default_catalog_and_schema = false;
    options.catalog.information_schema = false;
    options.sql_parser.map_string_types_to_utf8view = false;
}

/// The one list of all statements.
pub(super) fn functions() -> &'static Functions {
    static ALL: LazyLock<Functions> = LazyLock::new(make);
    &ALL
}

fn make() -> Functions {
    let mut options = ConfigOptions::new();
    settings(&mut options);
    let mut scalar = HashMap::new();
    for function in SessionStateDefaults::default_scalar_functions() {
        if !SCALAR.contains(&function.name()) {
            continue;
        }
        let function = function.inner().with_updated_config(&options).map_or(function, Arc::new);
        for name in std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)) {
            scalar.insert(name.to_owned(), Arc::clone(&function));
        }
    }
    let mut aggregate = HashMap::new();
    for function in SessionStateDefaults::default_aggregate_functions() {
        for name in std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)) {
            aggregate.insert(name.to_owned(), Arc::clone(&function));
        }
    }
    let mut window = HashMap::new();
    for function in SessionStateDefaults::default_window_functions() {
        for name in std::iter::once(function.name()).chain(function.aliases().iter().map(String::as_str)) {
            window.insert(name.to_owned(), Arc::clone(&function));
        }
    }
    Functions { scalar, aggregate, window, planners: SessionStateDefaults::default_expr_planners() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_function_exists() {
        let known = functions();
        for name in SCALAR {
            assert!(known.scalar.contains_key(*name), "{name}");
        }
        for name in
            ["levenshtein", "range", "generate_series", "array_repeat", "version", "arrow_cast", "input_file_name"]
        {
            assert!(!known.scalar.contains_key(name), "{name}");
        }
    }
}
