//! Conditions of a statement as conditions of a scan, where they can be.
//!
//! Owns the translation. Whatever comes out lets through at least what the SQL condition does: a filter
//! ignores case, a bound is widened to whole microseconds, and DataFusion tests every row again.

use super::table::{TableColumn, ViewTable};
use crate::lang::{ColumnKind, Filter, Key, Op, Test, Value};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use std::ops::Range;

/// Values of an `in (…)` that are worth probing for.
const MAX_VALUES: usize = 1_000;

/// Whether anything of a condition can be used by a scan.
pub(super) fn usable(table: &ViewTable, expr: &Expr) -> bool {
    filter(table, expr).is_some() || bounds(table, std::slice::from_ref(expr)) != (i64::MIN..i64::MAX)
}

/// All that can be used of conditions that must all hold.
pub(super) fn filters(table: &ViewTable, exprs: &[Expr]) -> Vec<Filter> {
    exprs.iter().filter_map(|e| filter(table, e)).collect()
}

/// A filter that holds wherever the condition does.
fn filter(table: &ViewTable, expr: &Expr) -> Option<Filter> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            let parts: Vec<Filter> = [left, right].into_iter().filter_map(|e| filter(table, e)).collect();
            (!parts.is_empty()).then_some(Filter::And(parts))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(Filter::Or(vec![filter(table, left)?, filter(table, right)?]))
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            let (column, value) = match (text_column(table, left), text(right)) {
                (Some(column), Some(value)) => (column, value),
                _ => (text_column(table, right)?, text(left)?),
            };
            Some(Filter::text_test(Key::Column(column.column), Op::Is, value))
        }
        Expr::InList(InList { expr, list, negated: false }) if list.len() <= MAX_VALUES => {
            let column = text_column(table, expr)?;
            let values = list.iter().map(text).collect::<Option<Vec<_>>>()?;
            Some(Filter::Test(Test { key: Key::Column(column.column), op: Op::In, value: Value::List(values) }))
        }
        Expr::Like(like) if !like.negated && !like.case_insensitive && like.escape_char.is_none() => {
            let column = text_column(table, &like.expr)?;
            let pattern = text(&like.pattern)?;
            // Lower-casing keeps an ASCII text within another; of others the pattern says nothing here.
            if pattern.contains('\\') || !pattern.is_ascii() {
                return None;
            }
            let literal = pattern.split(['%', '_']).max_by_key(|part| part.len()).filter(|part| part.len() > 1)?;
            Some(Filter::text_test(Key::Column(column.column), Op::Contains, literal))
        }
        Expr::IsNotNull(inner) => {
            let column = column(table, inner)?;
            Some(Filter::Test(Test { key: Key::Column(column.column), op: Op::Exists, value: Value::None }))
        }
        _ => None,
    }
}

/// A column of the table that the caller may see all of.
fn column<'t>(table: &'t ViewTable, expr: &Expr) -> Option<&'t TableColumn> {
    let Expr::Column(named) = expr else { return None };
    let column = table.columns.iter().find(|c| c.name == named.name)?;
    (column.sources == crate::predicate::sources(column.column)).then_some(column)
}

/// A column of text, or one in lower case: `lower(email) = 'a@b.c'`.
fn text_column<'t>(table: &'t ViewTable, expr: &Expr) -> Option<&'t TableColumn> {
    let expr = match expr {
        Expr::ScalarFunction(f) if f.name() == "lower" => f.args.first()?,
        other => other,
    };
    column(table, expr).filter(|c| c.column.kind == ColumnKind::Text)
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(t) | ScalarValue::LargeUtf8(t) | ScalarValue::Utf8View(t), _) => t.clone(),
        _ => None,
    }
}

/// The times that conditions leave: from inclusive, to exclusive.
pub(super) fn bounds(table: &ViewTable, exprs: &[Expr]) -> Range<i64> {
    let mut range = i64::MIN..i64::MAX;
    exprs.iter().for_each(|e| bound(table, e, &mut range));
    range
}

fn bound(table: &ViewTable, expr: &Expr, range: &mut Range<i64>) {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return };
    if *op == Operator::And {
        bound(table, left, range);
        bound(table, right, range);
        return;
    }
    let own = |e: &Expr| column(table, e).is_some_and(|c| c.column == table.view.time_column());
    let (op, (floor, ceil)) = if own(left)
        && let Some(time) = micros(right)
    {
        (*op, time)
    } else if own(right)
        && let Some(time) = micros(left)
        && let Some(op) = op.swap()
    {
        (op, time)
    } else {
        return;
    };
    match op {
        Operator::GtEq => range.start = range.start.max(floor),
        Operator::Gt => range.start = range.start.max(floor),
        Operator::Lt => range.end = range.end.min(ceil),
        Operator::LtEq => range.end = range.end.min(ceil.saturating_add(1)),
        Operator::Eq => {
            range.start = range.start.max(floor);
            range.end = range.end.min(ceil.saturating_add(1));
        }
        _ => {}
    }
}

/// A time in microseconds, rounded down and up.
fn micros(expr: &Expr) -> Option<(i64, i64)> {
    let Expr::Literal(value, _) = expr else { return None };
    match value {
        ScalarValue::TimestampSecond(Some(t), _) => t.checked_mul(1_000_000).map(|t| (t, t)),
        ScalarValue::TimestampMillisecond(Some(t), _) => t.checked_mul(1_000).map(|t| (t, t)),
        ScalarValue::TimestampMicrosecond(Some(t), _) => Some((*t, *t)),
        ScalarValue::TimestampNanosecond(Some(t), _) => {
            let floor = t.div_euclid(1_000);
            Some((floor, floor + i64::from(t.rem_euclid(1_000) > 0)))
        }
        _ => None,
    }
}
