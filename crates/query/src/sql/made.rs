//! Functions that make longer texts than they are given, and how long these are.
//!
//! Owns the list of them and the bound of each, worked out from the texts of the very batch before the function makes
//! anything of them; whether that fits is said by `batches`. `cost` bounds the same per statement, without knowing the texts.

use super::Run;
use super::batches::{PLAIN, longest};
use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::kernels::concat_elements::concat_elements_dyn;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, ScalarValue, internal_err};
use datafusion::error::Result as PlanResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Puts a bound on every function of an optimised plan that makes longer texts than it is given.
///
/// # Errors
/// None in practice: the plan's types and names stay what they are.
pub(super) fn bounded(plan: LogicalPlan, run: &Arc<Run>) -> PlanResult<LogicalPlan> {
    plan.transform_up_with_subqueries(|plan| {
        let mut schema = DFSchema::empty();
        for input in plan.inputs() {
            schema.merge(input.schema());
        }
        plan.map_expressions(|expr| {
            expr.transform_up(|expr| match expr {
                Expr::ScalarFunction(call) if GROWING.contains(&call.func.name()) => {
                    let func = Bounded { made: Made::By(call.func), run: Arc::clone(run) };
                    let call = ScalarFunction { func: Arc::new(ScalarUDF::new_from_impl(func)), args: call.args };
                    Ok(Transformed::yes(Expr::ScalarFunction(call)))
                }
                Expr::BinaryExpr(b) if b.op == Operator::StringConcat && are_texts(&b, &schema) => {
                    let func =
                        Bounded { made: Made::Joined(Signature::any(2, Volatility::Immutable)), run: Arc::clone(run) };
                    Ok(Transformed::yes(ScalarUDF::new_from_impl(func).call(vec![*b.left, *b.right])))
                }
                other => Ok(Transformed::no(other)),
            })
        })
    })
    .data()
}

/// Of the functions that there are (`functions`), those whose output can be longer than what they are given.
const GROWING: &[&str] = &[
    "array_to_string",
    "concat",
    "concat_ws",
    "initcap",
    "lower",
    "lpad",
    "make_array",
    "overlay",
    "regexp_match",
    "regexp_replace",
    "repeat",
    "replace",
    "rpad",
    "string_to_array",
    "to_char",
    "translate",
    "upper",
];

/// Whether both sides are texts of one kind; an operand of an outer query is not known here, and is one of a subquery that is gone by now.
fn are_texts(b: &BinaryExpr, schema: &DFSchema) -> bool {
    let kind = |e: &Expr| e.get_type(schema).ok();
    matches!(
        (kind(&b.left), kind(&b.right)),
        (Some(DataType::Utf8), Some(DataType::Utf8)) | (Some(DataType::LargeUtf8), Some(DataType::LargeUtf8))
    )
}

/// What makes the texts.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Made {
    By(Arc<ScalarUDF>),
    /// `||`.
    Joined(Signature),
}

/// A function that is called only where its output fits into a batch.
struct Bounded {
    made: Made,
    run: Arc<Run>,
}

impl fmt::Debug for Bounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.made, f)
    }
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Bounded) -> bool {
        self.made == other.made && Arc::ptr_eq(&self.run, &other.run)
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.made.hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        match &self.made {
            Made::By(inner) => inner.name(),
            Made::Joined(_) => "||",
        }
    }

    /// Columns are called by what they are made of, and are to be called what they were.
    fn schema_name(&self, args: &[Expr]) -> PlanResult<String> {
        match (&self.made, args) {
            (Made::By(inner), _) => inner.schema_name(args),
            (Made::Joined(_), [left, right]) => {
                let both = BinaryExpr::new(Box::new(left.clone()), Operator::StringConcat, Box::new(right.clone()));
                Ok(Expr::BinaryExpr(both).schema_name().to_string())
            }
            (Made::Joined(_), _) => Ok(self.name().to_owned()),
        }
    }

    fn signature(&self) -> &Signature {
        match &self.made {
            Made::By(inner) => inner.signature(),
            Made::Joined(signature) => signature,
        }
    }

    fn return_type(&self, kinds: &[DataType]) -> PlanResult<DataType> {
        match &self.made {
            Made::By(inner) => inner.return_type(kinds),
            Made::Joined(_) => Ok(kinds.first().cloned().unwrap_or(DataType::Utf8)),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> PlanResult<FieldRef> {
        match &self.made {
            Made::By(inner) => inner.return_field_from_args(args),
            Made::Joined(_) => {
                let kinds: Vec<DataType> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
                let nullable = args.arg_fields.iter().any(|f| f.is_nullable());
                Ok(Arc::new(Field::new(self.name(), self.return_type(&kinds)?, nullable)))
            }
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        // Of scalars alone a scalar is made, which may stand beside a whole batch of rows yet.
        let rows = if args.args.iter().any(|a| matches!(a, ColumnarValue::Array(_))) { args.number_rows } else { 1 };
        let what = format!("`{}`", self.name());
        self.run.fits(rows, most(self.name(), &args.args), &what)?;
        match (&self.made, args.args.as_slice()) {
            (Made::By(inner), _) => inner.invoke_with_args(args),
            (Made::Joined(_), [ColumnarValue::Scalar(left), ColumnarValue::Scalar(right)]) => {
                let joined = concat_elements_dyn(left.to_array()?.as_ref(), right.to_array()?.as_ref())?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&joined, 0)?))
            }
            (Made::Joined(_), both) => {
                let both = ColumnarValue::values_to_arrays(both)?;
                let texts = (both.first(), both.get(1));
                let (Some(left), Some(right)) = texts else {
                    return internal_err!("`||` joins two texts");
                };
                Ok(ColumnarValue::Array(concat_elements_dyn(left.as_ref(), right.as_ref())?))
            }
        }
    }
}

/// The bytes of an argument's longest value.
fn longest_value(value: &ColumnarValue) -> usize {
    match value {
        ColumnarValue::Array(array) => longest(array.as_ref()),
        ColumnarValue::Scalar(scalar) => match scalar.try_as_str() {
            Some(text) => text.map_or(0, str::len),
            None => scalar.to_array().map_or(PLAIN, |array| longest(array.as_ref())),
        },
    }
}

/// The bytes of the longest text that a function can make of these arguments.
fn most(name: &str, args: &[ColumnarValue]) -> usize {
    let lengths: Vec<usize> = args.iter().map(longest_value).collect();
    let length = |n: usize| lengths.get(n).copied().unwrap_or(0);
    let sum = lengths.iter().fold(0, |n: usize, l| n.saturating_add(*l));
    let text = length(0);
    match name {
        "repeat" => text.saturating_mul(number(args.get(1))),
        // In characters, of which each has up to four bytes.
        "lpad" | "rpad" => text.max(number(args.get(1)).saturating_mul(4)),
        // Something goes for each that comes; what is empty is found before every character.
        "replace" => {
            let found = text / literal(args.get(1)).map_or(1, |from| from.len().max(1)) + 1;
            text.saturating_add(found.saturating_mul(length(2)))
        }
        "regexp_replace" => {
            let everywhere =
                args.get(3).is_some_and(|flags| literal(Some(flags)).is_none_or(|flags| flags.contains('g')));
            let times = if everywhere { text.saturating_add(1) } else { 1 };
            // Each `$1` in it, two bytes at least, stands for a part of the text.
            let parts = (length(2) / 2).saturating_mul(text);
            text.saturating_add(times.saturating_mul(length(2))).saturating_add(parts)
        }
        "regexp_match" => {
            let groups = literal(args.get(1)).map_or(length(1), |p| p.bytes().filter(|b| *b == b'(').count());
            text.saturating_mul(groups.max(1))
        }
        "concat_ws" => sum.saturating_add(text.saturating_mul(lengths.len())),
        // A list has an offset per item, and one per character at worst.
        "string_to_array" => text.saturating_mul(5),
        "array_to_string" => {
            // The separator and what stands for a null are between items, each of which counts as so much at least.
            let between = length(1).saturating_add(length(2));
            text.saturating_add((text / PLAIN).saturating_mul(between))
        }
        "translate" => text.saturating_mul(4),
        // `%c` is a date and a time of day.
        "to_char" => length(1).saturating_mul(16).max(text),
        // A letter of two bytes may have three letters of as many for its other case.
        "initcap" | "lower" | "upper" if args.first().is_some_and(|a| !is_ascii(a)) => text.saturating_mul(3),
        "initcap" | "lower" | "upper" => text,
        _ => sum,
    }
}

/// A whole number that stands in the statement (`cost` sees to that), or the largest.
fn number(arg: Option<&ColumnarValue>) -> usize {
    let Some(ColumnarValue::Scalar(value)) = arg else { return usize::MAX };
    match value.cast_to(&DataType::Int64) {
        Ok(ScalarValue::Int64(n)) => usize::try_from(n.unwrap_or(0)).unwrap_or(0),
        _ => usize::MAX,
    }
}

/// A text that stands in the statement.
fn literal(arg: Option<&ColumnarValue>) -> Option<&str> {
    match arg? {
        ColumnarValue::Scalar(value) => value.try_as_str()?,
        ColumnarValue::Array(_) => None,
    }
}

fn is_ascii(arg: &ColumnarValue) -> bool {
    match arg {
        ColumnarValue::Scalar(value) => value.try_as_str().flatten().is_none_or(str::is_ascii),
        ColumnarValue::Array(array) => array.as_string_opt::<i32>().is_some_and(|texts| texts.is_ascii()),
    }
}
