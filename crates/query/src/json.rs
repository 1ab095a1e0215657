//! Rows as JSON: the envelope of a record, and the rows of a view.
//!
//! Values are written straight from the columns; JSON that was stored is copied, never parsed.

use crate::lang::{ColumnKind, View};
use crate::predicate::sources;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{TimestampMicrosecondType, UInt64Type};
use event::fields::{FIELDS, Field, Kind};
use event::json::write_string;
use segments::columns;
use std::sync::LazyLock;

/// Where each column stands in batches of a projection: made once for all rows.
pub struct Places(Vec<Option<usize>>);

impl Places {
    /// Of batches whose arrays are these columns, in this order.
    pub fn of(columns: &[usize]) -> Places {
        let mut places = vec![None; columns.iter().max().map_or(0, |c| c + 1)];
        for (at, column) in columns.iter().enumerate() {
            if let Some(place) = places.get_mut(*column) {
                *place = Some(at);
            }
        }
        Places(places)
    }
}

/// One row of a batch.
pub struct Row<'a> {
    /// The batch.
    pub batch: &'a RecordBatch,
    /// Where its columns stand.
    pub places: &'a Places,
    /// Which row.
    pub row: usize,
    /// Whether bodies and claims may be shown.
    pub bodies: bool,
}

/// Fields that only the `read_body` scope shows.
const BODIES: [Field; 3] = [Field::NotificationBody, Field::SessionClaims, Field::GrantClaims];

/// Whether only the `read_body` scope shows this column.
pub fn is_body(column: usize) -> bool {
    BODIES.iter().any(|f| columns::of(*f) == column)
}

impl Row<'_> {
    fn array(&self, column: usize) -> Option<&ArrayRef> {
        if is_body(column) && !self.bodies {
            return None;
        }
        let at = *self.places.0.get(column)?.as_ref()?;
        self.batch.columns().get(at).filter(|a| a.is_valid(self.row))
    }

    /// Appends a value of this kind; false where there is none.
    fn value(&self, column: usize, kind: ColumnKind, out: &mut String) -> bool {
        let Some(array) = self.array(column) else { return false };
        match kind {
            ColumnKind::Text => match array.as_string_opt::<i32>() {
                Some(text) => write_string(out, text.value(self.row)),
                None => return false,
            },
            ColumnKind::Json | ColumnKind::List => match array.as_string_opt::<i32>() {
                Some(text) => out.push_str(text.value(self.row)),
                None => return false,
            },
            ColumnKind::Time => match array.as_primitive_opt::<TimestampMicrosecondType>() {
                Some(times) => {
                    out.push('"');
                    event::time::write(times.value(self.row), out);
                    out.push('"');
                }
                None => return false,
            },
            ColumnKind::Bool => match array.as_any().downcast_ref::<BooleanArray>() {
                Some(b) => out.push_str(if b.value(self.row) { "true" } else { "false" }),
                None => return false,
            },
            ColumnKind::Int => match array.as_primitive_opt::<UInt64Type>() {
                Some(n) => out.push_str(&n.value(self.row).to_string()),
                None => return false,
            },
        }
        true
    }

    /// Whether the row of a view shows a body or claims.
    pub fn shows_body(&self, view: View) -> bool {
        let mut bodies = BODIES.iter().map(|field| columns::of(*field)).filter(|c| self.array(*c).is_some());
        bodies.any(|column| view.columns().iter().any(|c| sources(c).contains(&column)))
    }

    /// The row of a view: its id, then every column, `null` where it has none.
    pub fn view(&self, view: View, out: &mut String) {
        if view == View::Records {
            return self.envelope(None, out);
        }
        out.push_str("{\"id\":");
        if !self.value(columns::ID, ColumnKind::Text, out) {
            out.push_str("null");
        }
        for column in view.columns() {
            out.push(',');
            write_string(out, column.name);
            out.push(':');
            if !sources(column).into_iter().any(|source| self.value(source, column.kind, out)) {
                out.push_str("null");
            }
        }
        for (name, column, kind) in
            [("index", columns::INDEX, ColumnKind::Int), ("recorded_at", columns::RECORDED_AT, ColumnKind::Time)]
        {
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":");
            if !self.value(column, kind, out) {
                out.push_str("null");
            }
        }
        out.push('}');
    }

    /// The whole envelope, nested, without what is absent.
    pub fn envelope(&self, leaf: Option<&str>, out: &mut String) {
        out.push('{');
        let mut first = true;
        let mut member = |out: &mut String, name: &str| {
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            write_name(out, name);
        };
        for (group, members) in ENVELOPE.iter() {
            let mut open = false;
            for (name, column, kind) in members {
                if self.array(*column).is_none() {
                    continue;
                }
                match group {
                    None => member(out, name),
                    Some(group) if !open => {
                        member(out, group);
                        out.push('{');
                        open = true;
                        write_name(out, name);
                    }
                    Some(_) => {
                        out.push(',');
                        write_name(out, name);
                    }
                }
                self.value(*column, *kind, out);
            }
            if open {
                out.push('}');
            }
        }
        for (name, column, kind) in [
            ("tenant", columns::TENANT, ColumnKind::Text),
            ("index", columns::INDEX, ColumnKind::Int),
            ("recorded_at", columns::RECORDED_AT, ColumnKind::Time),
        ] {
            if self.array(column).is_some() {
                member(out, name);
                self.value(column, kind, out);
            }
        }
        if let Some(leaf) = leaf {
            member(out, "leaf_hash");
            write_string(out, leaf);
        }
        out.push('}');
    }
}

/// Members of the envelope in their order: a field by itself, or all fields of an object.
type Members = Vec<(&'static str, usize, ColumnKind)>;
static ENVELOPE: LazyLock<Vec<(Option<&'static str>, Members)>> = LazyLock::new(|| {
    let mut out: Vec<(Option<&str>, Members)> = Vec::new();
    for spec in FIELDS {
        let (group, name) = match spec.path.split_once('.') {
            Some((group, name)) => (Some(group), name),
            None => (None, spec.path),
        };
        let one = (name, columns::of(spec.field), kind(spec.kind));
        match out.iter_mut().find(|(known, _)| group.is_some() && *known == group) {
            Some((_, members)) => members.push(one),
            None => out.push((group, vec![one])),
        }
    }
    out
});

fn write_name(out: &mut String, name: &str) {
    write_string(out, name);
    out.push(':');
}

fn kind(kind: Kind) -> ColumnKind {
    match kind {
        Kind::Text => ColumnKind::Text,
        Kind::Json => ColumnKind::Json,
        Kind::List => ColumnKind::List,
        Kind::Time => ColumnKind::Time,
        Kind::Bool => ColumnKind::Bool,
    }
}
