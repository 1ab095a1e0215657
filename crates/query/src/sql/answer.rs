//! What a statement answers, in the three forms of the API.
//!
//! Owns the names of types and the spelling of values: times as RFC 3339 with microseconds in UTC, numbers as
//! numbers, lists and structures as JSON, everything else as text. Not here: HTTP.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{
    DataType, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Schema, SchemaRef,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use event::json::write_string;
use std::fmt::Write;
use std::sync::Arc;

/// The answer to a statement.
#[derive(Debug, Clone)]
pub struct SqlAnswer {
    /// Names and types of the columns.
    pub columns: Vec<(String, String)>,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

/// What a type is called in answers.
fn column_type(kind: &DataType) -> &'static str {
    match kind {
        DataType::Boolean => "boolean",
        t if t.is_integer() => "integer",
        t if t.is_floating() => "float",
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            "decimal"
        }
        DataType::Timestamp(..) => "timestamp",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time",
        DataType::Interval(_) | DataType::Duration(_) => "interval",
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "list",
        DataType::Struct(_) | DataType::Map(..) => "object",
        DataType::Null => "null",
        _ => "text",
    }
}

/// A column's name as its writer would spell it: DataFusion puts types around constants, as in
/// `date_trunc(Utf8("day"),audit_logs.timestamp)`.
fn column_name(name: &str) -> String {
    const TYPES: [&str; 7] = ["Int64(", "UInt64(", "Float64(", "Utf8(", "LargeUtf8(", "Utf8View(", "Boolean("];
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let fresh = !out.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let constant = TYPES.iter().filter(|_| fresh).find_map(|t| {
            let inner = rest.strip_prefix(t)?;
            // A text may hold brackets of its own; its end is a quote and a bracket.
            let end = if inner.starts_with('"') { inner.find("\")").map(|e| e + 1) } else { inner.find(')') }?;
            Some((inner.get(..end)?, inner.get(end + 1..)?))
        });
        match constant {
            Some((value, after)) => {
                match value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) {
                    Some(text) => out.extend(["'", text, "'"]),
                    None => out.push_str(value),
                }
                rest = after;
            }
            None => {
                out.push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
    }
    out
}

impl SqlAnswer {
    /// An answer of these batches.
    pub(super) fn new(schema: &SchemaRef, batches: Vec<RecordBatch>) -> Result<SqlAnswer, ArrowError> {
        let fields = schema.fields().iter().map(|f| f.as_ref().clone().with_name(column_name(f.name())));
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let columns =
            schema.fields().iter().map(|f| (f.name().clone(), column_type(f.data_type()).to_owned())).collect();
        let named = |b: RecordBatch| {
            let options = RecordBatchOptions::new().with_row_count(Some(b.num_rows()));
            RecordBatch::try_new_with_options(Arc::clone(&schema), b.columns().to_vec(), &options)
        };
        let batches = batches.into_iter().map(named).collect::<Result<_, _>>()?;
        Ok(SqlAnswer { columns, schema, batches })
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// `{"columns":[{"name","type"}],"rows":[[…]]}`.
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(64 + self.rows() * self.columns.len() * 16);
        out.push_str("{\"columns\":[");
        for (n, (name, kind)) in self.columns.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            out.push_str("{\"name\":");
            write_string(&mut out, name);
            out.push_str(",\"type\":");
            write_string(&mut out, kind);
            out.push('}');
        }
        out.push_str("],\"rows\":[");
        let mut first = true;
        for batch in &self.batches {
            for row in 0..batch.num_rows() {
                out.push_str(if std::mem::take(&mut first) { "[" } else { ",[" });
                for (n, array) in batch.columns().iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    json(array, row, &mut out);
                }
                out.push(']');
            }
        }
        out.push_str("]}");
        out
    }

    /// A header and a line per row, as RFC 4180 has it. Nothing is an empty field, an empty text is `""`.
    pub fn to_csv(&self) -> String {
        let mut out = String::new();
        for (n, (name, _)) in self.columns.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            field(name, &mut out);
        }
        out.push_str("\r\n");
        let mut text = String::new();
        for batch in &self.batches {
            for row in 0..batch.num_rows() {
                for (n, array) in batch.columns().iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    if array.is_null(row) || matches!(array.data_type(), DataType::Null) {
                        continue;
                    }
                    text.clear();
                    match string(array, row) {
                        Some(value) => text.push_str(value),
                        None => plain(array, row, &mut text),
                    }
                    field(&text, &mut out);
                }
                out.push_str("\r\n");
            }
        }
        out
    }

    /// An Arrow IPC stream.
    ///
    /// # Errors
    /// Arrow's, for a type that the format does not have.
    pub fn to_arrow_stream(&self) -> crate::Result<Vec<u8>> {
        let write = || -> Result<Vec<u8>, ArrowError> {
            let mut writer = StreamWriter::try_new(Vec::new(), &self.schema)?;
            for batch in &self.batches {
                writer.write(batch)?;
            }
            writer.finish()?;
            writer.into_inner()
        };
        Ok(write()?)
    }
}

fn field(text: &str, out: &mut String) {
    if !text.is_empty() && !text.contains(['"', ',', '\n', '\r']) {
        return out.push_str(text);
    }
    out.push('"');
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

/// The text of an array of texts.
fn string(array: &ArrayRef, row: usize) -> Option<&str> {
    match array.data_type() {
        DataType::Utf8 => array.as_string_opt::<i32>().map(|a| a.value(row)),
        DataType::LargeUtf8 => array.as_string_opt::<i64>().map(|a| a.value(row)),
        DataType::Utf8View => array.as_string_view_opt().map(|a| a.value(row)),
        _ => None,
    }
}

/// A value as JSON.
fn json(array: &ArrayRef, row: usize, out: &mut String) {
    if row >= array.len() || array.is_null(row) {
        return out.push_str("null");
    }
    match array.data_type() {
        DataType::Null => out.push_str("null"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            write_string(out, string(array, row).unwrap_or_default())
        }
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
            let values = array
                .as_list_opt::<i32>()
                .map(|a| a.value(row))
                .or_else(|| array.as_list_opt::<i64>().map(|a| a.value(row)))
                .or_else(|| array.as_fixed_size_list_opt().map(|a| a.value(row)));
            out.push('[');
            if let Some(values) = values {
                for at in 0..values.len() {
                    if at > 0 {
                        out.push(',');
                    }
                    json(&values, at, out);
                }
            }
            out.push(']');
        }
        DataType::Struct(fields) => {
            out.push('{');
            if let Some(values) = array.as_struct_opt() {
                for (n, (member, value)) in fields.iter().zip(values.columns()).enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    write_string(out, member.name());
                    out.push(':');
                    json(value, row, out);
                }
            }
            out.push('}');
        }
        t if t.is_numeric() || matches!(t, DataType::Boolean) => {
            let start = out.len();
            plain(array, row, out);
            // What JSON has no number for.
            if out.get(start..).is_some_and(|n| n.contains(['N', 'i'])) {
                out.truncate(start);
                out.push_str("null");
            }
        }
        _ => {
            let mut text = String::new();
            plain(array, row, &mut text);
            write_string(out, &text);
        }
    }
}

/// A value as text; texts themselves are [`string`]'s.
fn plain(array: &ArrayRef, row: usize, out: &mut String) {
    macro_rules! number {
        ($kind:ty) => {
            if let Some(a) = array.as_primitive_opt::<$kind>() {
                let _ = write!(out, "{}", a.value(row));
            }
        };
    }
    match array.data_type() {
        DataType::Boolean => {
            if let Some(b) = array.as_any().downcast_ref::<BooleanArray>() {
                out.push_str(if b.value(row) { "true" } else { "false" });
            }
        }
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float32 => {
            if let Some(a) = array.as_primitive_opt::<Float32Type>() {
                let _ = write!(out, "{:?}", a.value(row));
            }
        }
        DataType::Float64 => {
            if let Some(a) = array.as_primitive_opt::<Float64Type>() {
                let _ = write!(out, "{:?}", a.value(row));
            }
        }
        DataType::Decimal128(..) => {
            if let Some(a) = array.as_primitive_opt::<Decimal128Type>() {
                out.push_str(&a.value_as_string(row));
            }
        }
        DataType::Timestamp(unit, _) => match micros(array, row, *unit) {
            Some(time) => event::time::write(time, out),
            None => formatted(array, row, out),
        },
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) | DataType::Struct(_) => {
            json(array, row, out)
        }
        _ => formatted(array, row, out),
    }
}

fn micros(array: &ArrayRef, row: usize, unit: TimeUnit) -> Option<i64> {
    match unit {
        TimeUnit::Second => array.as_primitive_opt::<TimestampSecondType>()?.value(row).checked_mul(1_000_000),
        TimeUnit::Millisecond => array.as_primitive_opt::<TimestampMillisecondType>()?.value(row).checked_mul(1_000),
        TimeUnit::Microsecond => Some(array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row)),
        TimeUnit::Nanosecond => Some(array.as_primitive_opt::<TimestampNanosecondType>()?.value(row).div_euclid(1_000)),
    }
}

fn formatted(array: &ArrayRef, row: usize, out: &mut String) {
    let options = FormatOptions::default();
    if let Ok(formatter) = ArrayFormatter::try_new(array.as_ref(), &options) {
        let _ = write!(out, "{}", formatter.value(row));
    }
}

#[cfg(test)]
mod tests {
    use super::column_name;

    #[test]
    fn names_are_those_of_the_statement() {
        for (name, wanted) in [
            ("count(*)", "count(*)"),
            ("Int64(1)", "1"),
            ("date_trunc(Utf8(\"day\"),audit_logs.timestamp)", "date_trunc('day',audit_logs.timestamp)"),
            ("a.x + Int64(1) * Float64(2.5)", "a.x + 1 * 2.5"),
            ("concat(Utf8(\"é)\"),Utf8(\"\"))", "concat('é)','')"),
            ("myInt64(1)", "myInt64(1)"),
            ("Utf8(\"open", "Utf8(\"open"),
            ("Boolean(NULL)", "NULL"),
        ] {
            assert_eq!(column_name(name), wanted);
        }
    }
}
