//! DataFusion's errors in words for whoever wrote the statement.
//!
//! Owns the wording. Nothing of the inside (plans, rules, types of the library) comes through, and what a
//! person can correct is named: the nearest column, the position, the limit.

use super::SqlLimits;
use crate::engine::Error;
use crate::lang::{Key, View};
use crate::predicate::sources;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

/// A refusal of ours on its way through DataFusion.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(pub(super) String);

pub(super) fn refused(text: impl Into<String>) -> DataFusionError {
    DataFusionError::External(Box::new(Refused(text.into())))
}

/// What a failed statement is answered with.
pub(super) fn readable(e: &DataFusionError, limits: &SqlLimits) -> Error {
    let root = innermost(e);
    match root {
        DataFusionError::ResourcesExhausted(_) => Error::Limit(format!(
            "the statement needs more than {} MiB of memory; select fewer columns, narrow it by time, or group by less",
            limits.memory_bytes.div_ceil(1 << 20)
        )),
        DataFusionError::External(inner) => match inner.downcast_ref::<Refused>() {
            Some(Refused(text)) => Error::Sql(text.clone()),
            None => Error::Sql(clean(&inner.to_string())),
        },
        DataFusionError::SchemaError(inner, _) => Error::Sql(match inner.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let valid: Vec<String> = valid_fields.iter().map(|c| c.name.clone()).collect();
                unknown_column(field.relation.as_ref().map(ToString::to_string).as_deref(), &field.name, &valid)
            }
            SchemaError::AmbiguousReference { field } => {
                format!("`{}` is a column of more than one table; write `table.{}`", field.name, field.name)
            }
            SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
                format!("two columns are called `{name}`; name one of them with `as`")
            }
        }),
        DataFusionError::SQL(inner, _) => match inner.as_ref() {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
                Error::Sql(format!("syntax: {}", clean(text)))
            }
            ParserError::RecursionLimitExceeded => {
                Error::Limit("the statement nests too deeply; write it flatter".into())
            }
        },
        DataFusionError::Plan(text) | DataFusionError::Execution(text) | DataFusionError::Configuration(text) => {
            Error::Sql(clean(text))
        }
        DataFusionError::NotImplemented(text) => Error::Sql(format!("not possible: {}", clean(text))),
        DataFusionError::ArrowError(inner, _) => Error::Sql(clean(&inner.to_string())),
        _ => Error::Sql("the statement could not be run; write it in another way".to_owned()),
    }
}

/// The cause beneath contexts and places.
fn innermost(mut e: &DataFusionError) -> &DataFusionError {
    loop {
        e = match e {
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => inner,
            DataFusionError::Shared(inner) => inner,
            DataFusionError::Collection(all) => match all.first() {
                Some(first) => first,
                None => return e,
            },
            DataFusionError::External(inner) => match inner.downcast_ref::<DataFusionError>() {
                Some(inner) => inner,
                None => return e,
            },
            DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
                datafusion::arrow::error::ArrowError::ExternalError(inner) => match inner.downcast_ref() {
                    Some(inner) => inner,
                    None => return e,
                },
                _ => return e,
            },
            _ => return e,
        }
    }
}

fn unknown_column(table: Option<&str>, name: &str, valid: &[String]) -> String {
    let shown: String =
        table.iter().flat_map(|t| [t, "."]).chain([name]).collect::<String>().chars().take(60).collect();
    let mut text = format!("there is no column `{shown}`");
    // `actor.email` of the envelope is `actor_email` here.
    let path = table.map(|t| format!("{t}_{name}")).filter(|p| valid.contains(p));
    if let Some(nearest) = path.or_else(|| nearest(name, valid)) {
        text.push_str(&format!("; did you mean `{nearest}`?"));
    } else if !valid.is_empty() {
        let some: Vec<&str> = valid.iter().take(20).map(String::as_str).collect();
        text.push_str(&format!("; there are {}", some.join(", ")));
        if valid.len() > some.len() {
            text.push_str(", …");
        }
    }
    text
}

/// The column that a person most likely meant, by the names and aliases of the views.
fn nearest(name: &str, valid: &[String]) -> Option<String> {
    let has = |candidate: &str| valid.iter().find(|v| v.as_str() == candidate).cloned();
    let view = View::ALL.into_iter().find(|v| v.columns().iter().all(|c| valid.iter().any(|name| name == c.name)));
    let found = match view.unwrap_or(View::Records).key(name) {
        // Its own name, or that of the view's column that shows the same field.
        Ok(Key::Column(column)) => has(column.name).or_else(|| {
            let wanted = sources(column);
            let same = view?.columns().iter().find(|c| sources(c).iter().any(|s| wanted.contains(s)))?;
            has(same.name)
        }),
        Ok(Key::Json { .. }) => None,
        Err(e) => e.suggestion.and_then(|s| has(&s).or_else(|| has(&s.replace('.', "_")))),
    };
    found.or_else(|| {
        let lower = name.to_lowercase();
        valid.iter().find(|v| v.to_lowercase() == lower || v.replace('_', "") == lower.replace('_', "")).cloned()
    })
}

/// A message without the library's own words around it.
fn clean(text: &str) -> String {
    let mut text = text.trim();
    for prefix in [
        "Error during planning: ",
        "Execution error: ",
        "Arrow error: ",
        "Compute error: ",
        "Cast error: ",
        "Optimizer rule '",
    ] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    let text = text.split("\nThis issue was likely caused by").next().unwrap_or(text);
    let text = text.split("\n\nbacktrace:").next().unwrap_or(text);
    let mut out: String = text.chars().take(500).collect();
    for (from, to) in [
        ("While expanding wildcard, ", ""),
        ("count(Int64(1))", "count(*)"),
        ("\n", " "),
        (" at Line: ", " at line "),
        (", Column: ", ", column "),
        ("No function matches the given name and argument types", "no function takes these arguments:"),
        ("Utf8View", "text"),
        ("LargeUtf8", "text"),
        ("Utf8", "text"),
        ("Int64", "integer"),
        ("UInt64", "integer"),
        ("Float64", "float"),
    ] {
        out = out.replace(from, to);
    }
    out
}
