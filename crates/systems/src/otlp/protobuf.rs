//! An export request's protobuf form into its JSON form.
//!
//! Owns: the schema of OTLP logs, as one table per message; the wire format is [`crate::protobuf`]'s. A library would bring a code
//! generator and some hundred types for what is walked once and thrown away. Field numbers are those of `opentelemetry-proto`
//! 1.x, which are frozen.

use crate::Reason;
use crate::protobuf::{Fields, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use event::json::{MAX_DEPTH, write_string};

/// How much JSON a request may become. What exporters send becomes up to five times as long, which of the largest body is less than this.
const MAX_JSON: usize = 128 << 20;

/// What a field holds, and so how it is written.
#[derive(Clone, Copy)]
enum Holds {
    Text,
    Bytes,
    Hex,
    Bool,
    /// A number of up to 32 bits.
    Number,
    /// 64 bits, in quotes as JSON has them.
    Signed,
    Unsigned,
    Double,
    Message(&'static [Spec]),
    /// `AnyValue`, whose table would hold itself.
    Any,
    List(&'static Holds),
}

/// A field: its number, its name in JSON, what it holds.
type Spec = (u64, &'static str, Holds);

const REQUEST: &[Spec] = &[(1, "resourceLogs", Holds::List(&Holds::Message(RESOURCE_LOGS)))];
const RESOURCE_LOGS: &[Spec] = &[
    (1, "resource", Holds::Message(RESOURCE)),
    (2, "scopeLogs", Holds::List(&Holds::Message(SCOPE_LOGS))),
    (3, "schemaUrl", Holds::Text),
];
const RESOURCE: &[Spec] = &[(1, "attributes", PAIRS), (2, "droppedAttributesCount", Holds::Number)];
const SCOPE_LOGS: &[Spec] = &[
    (1, "scope", Holds::Message(SCOPE)),
    (2, "logRecords", Holds::List(&Holds::Message(LOG_RECORD))),
    (3, "schemaUrl", Holds::Text),
];
const SCOPE: &[Spec] = &[
    (1, "name", Holds::Text),
    (2, "version", Holds::Text),
    (3, "attributes", PAIRS),
    (4, "droppedAttributesCount", Holds::Number),
];
const LOG_RECORD: &[Spec] = &[
    (1, "timeUnixNano", Holds::Unsigned),
    (2, "severityNumber", Holds::Number),
    (3, "severityText", Holds::Text),
    (5, "body", Holds::Any),
    (6, "attributes", PAIRS),
    (7, "droppedAttributesCount", Holds::Number),
    (8, "flags", Holds::Number),
    (9, "traceId", Holds::Hex),
    (10, "spanId", Holds::Hex),
    (11, "observedTimeUnixNano", Holds::Unsigned),
    (12, "eventName", Holds::Text),
];
const PAIRS: Holds = Holds::List(&Holds::Message(PAIR));
const PAIR: &[Spec] = &[(1, "key", Holds::Text), (2, "value", Holds::Any)];
const ANY: &[Spec] = &[
    (1, "stringValue", Holds::Text),
    (2, "boolValue", Holds::Bool),
    (3, "intValue", Holds::Signed),
    (4, "doubleValue", Holds::Double),
    (5, "arrayValue", Holds::Message(ARRAY)),
    (6, "kvlistValue", Holds::Message(PAIR_LIST)),
    (7, "bytesValue", Holds::Bytes),
];
const ARRAY: &[Spec] = &[(1, "values", Holds::List(&Holds::Any))];
const PAIR_LIST: &[Spec] = &[(1, "values", PAIRS)];

/// The JSON form of an `ExportLogsServiceRequest`. Text that is not UTF-8 becomes U+FFFD.
///
/// # Errors
/// Bytes that are no protobuf of this schema, that nest too deep, or that would become more than 128 MiB.
pub fn to_json(body: &[u8]) -> Result<String, Reason> {
    let mut out = String::with_capacity(body.len() * 2);
    message(body, REQUEST, 0, &mut out)?;
    Ok(out)
}

fn broken(what: &str) -> Reason {
    Reason::new("invalid_protobuf", format!("the body is no OTLP logs request in protobuf: {what}"))
}

/// Writes a message as an object. Fields are written in the table's order, each once; of a field that is no list the last
/// value counts, as protobuf says. Fields that are not in the table are left out.
fn message(body: &[u8], specs: &[Spec], depth: usize, out: &mut String) -> Result<(), Reason> {
    // A value of ours is at most as deep as its JSON, where a value is three brackets.
    if depth > 3 * MAX_DEPTH {
        return Err(broken("values nest too deep"));
    }
    if out.len() > MAX_JSON {
        return Err(Reason::new(
            "body_too_large",
            format!("the request would become more than {MAX_JSON} bytes of JSON; send smaller batches"),
        ));
    }
    out.push('{');
    let start = out.len();
    for (wanted, name, holds) in specs {
        let mut found = false;
        let before = out.len();
        for field in Fields::new(body) {
            let (number, value) = field?;
            if number != *wanted {
                continue;
            }
            let list = matches!(holds, Holds::List(_));
            if found && list {
                out.push(',');
            } else {
                out.truncate(before);
                if before > start {
                    out.push(',');
                }
                write_string(out, name);
                out.push_str(if list { ":[" } else { ":" });
            }
            found = true;
            let one = if let Holds::List(one) = holds { one } else { holds };
            write(value, *one, depth + 1, out)?;
        }
        if found && matches!(holds, Holds::List(_)) {
            out.push(']');
        }
    }
    out.push('}');
    Ok(())
}

fn write(value: Value<'_>, holds: Holds, depth: usize, out: &mut String) -> Result<(), Reason> {
    match (holds, value) {
        (Holds::Text, Value::Bytes(bytes)) => write_string(out, &String::from_utf8_lossy(bytes)),
        (Holds::Bytes, Value::Bytes(bytes)) => {
            out.push('"');
            STANDARD.encode_string(bytes, out);
            out.push('"');
        }
        (Holds::Hex, Value::Bytes(bytes)) => {
            out.push('"');
            for digit in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
            }
            out.push('"');
        }
        (Holds::Message(specs), Value::Bytes(bytes)) => message(bytes, specs, depth, out)?,
        (Holds::Any, Value::Bytes(bytes)) => message(bytes, ANY, depth, out)?,
        (Holds::Bool, Value::Number(number)) => out.push_str(if number == 0 { "false" } else { "true" }),
        (Holds::Number, Value::Number(number)) => out.push_str(&(number as u32).to_string()),
        (Holds::Signed, Value::Number(number)) => out.push_str(&format!("\"{}\"", number.cast_signed())),
        (Holds::Unsigned, Value::Number(number)) => out.push_str(&format!("\"{number}\"")),
        (Holds::Double, Value::Number(bits)) => {
            let number = f64::from_bits(bits);
            match serde_json::Number::from_f64(number) {
                Some(number) => out.push_str(&number.to_string()),
                None if number.is_nan() => out.push_str("\"NaN\""),
                None => out.push_str(if number > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" }),
            }
        }
        _ => return Err(broken("a field holds something else than the schema says")),
    }
    Ok(())
}
