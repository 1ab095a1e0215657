//! From a [`Filter`] back to filter text, so that a question or a JSON filter can be shown and edited.
//!
//! `parse(print(f)) == f.normalized()`, which a property test holds.

use crate::lang::{
    filter::{Filter, Op, Pattern, Test, Value},
    time,
    views::View,
};

/// The text that reads back as this filter (in normal form).
pub fn print(filter: &Filter, view: View) -> String {
    let mut out = String::new();
    write(&filter.clone().normalized(), view, Place::Top, &mut out);
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Top,
    Or,
    And,
    Not,
}

fn write(filter: &Filter, view: View, place: Place, out: &mut String) {
    let parens = match filter {
        Filter::Or(_) => matches!(place, Place::And | Place::Not),
        Filter::And(_) => place == Place::Not,
        _ => false,
    };
    if parens {
        out.push('(');
    }
    match filter {
        Filter::All if place == Place::Top => {}
        Filter::All => out.push('*'),
        Filter::And(parts) | Filter::Or(parts) => {
            let (between, inside) =
                if matches!(filter, Filter::And(_)) { (" ", Place::And) } else { (" OR ", Place::Or) };
            for (i, part) in parts.iter().enumerate() {
                if i > 0 {
                    out.push_str(between);
                }
                write(part, view, inside, out);
            }
        }
        Filter::Not(inner) => {
            out.push_str("NOT ");
            write(inner, view, Place::Not, out);
        }
        Filter::Text(text) => {
            let bare = !matches!(text.as_str(), "AND" | "OR" | "NOT") && text.chars().all(char::is_alphanumeric);
            if bare { out.push_str(text) } else { quote(text, out) }
        }
        Filter::Test(test) => write_test(test, view, out),
    }
    if parens {
        out.push(')');
    }
}

fn write_test(test: &Test, view: View, out: &mut String) {
    if test.op.negative() {
        out.push('-');
    }
    let name = test.key.name(view);
    let bare = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    if bare {
        out.push_str(&name)
    } else {
        quote(&name, out)
    }
    let mark = match test.op {
        Op::Contains | Op::DoesNotContain => "~",
        Op::Before | Op::Lt => ":<",
        Op::After | Op::Ge => ":>=",
        Op::Le => ":<=",
        Op::Gt => ":>",
        Op::Exists => ":*",
        _ => ":",
    };
    out.push_str(mark);
    match &test.value {
        Value::None => {}
        Value::Time(t) => out.push_str(&time::rfc3339(*t)),
        Value::Text(text) if matches!(test.op, Op::Like | Op::NotLike) => {
            for (i, part) in Pattern::parse(text).parts.iter().enumerate() {
                if i > 0 {
                    out.push('*');
                }
                escape(part, out);
            }
        }
        Value::Text(text) => value(text, out),
        Value::List(list) => {
            out.push('[');
            for (i, item) in list.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                value(item, out);
            }
            out.push(']');
        }
    }
}

fn value(text: &str, out: &mut String) {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '@' | '/' | ':' | '+');
    let dotted = text.contains("..") || text.starts_with('.') || text.ends_with('.');
    if !text.is_empty() && !dotted && text.chars().all(|c| plain(c) || c == '.') {
        out.push_str(text);
    } else {
        quote(text, out);
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        if !(c.is_alphanumeric() || matches!(c, '_' | '-' | '@' | '/' | ':')) {
            out.push('\\');
        }
        out.push(c);
    }
}
