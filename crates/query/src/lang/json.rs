//! The JSON spelling of a query: what `POST /query` accepts and what an answer shows.
//!
//! Owns: `["column", "operator", value]`, `{"any": […]}`, `{"all": […]}`, `{"not": …}`, `{"text": "…"}`,
//! and the object around them. Not here: what they mean (`filter`).

use serde_json::{Map, Value as Json, json};

use super::{
    error::Error,
    filter::{Filter, MAX_DEPTH, Op, Query, Test, Value},
    time::{self, Clock, Interval},
    views::{ColumnKind, Key, View, clip},
};

/// How many tests a filter may have.
const MAX_TESTS: usize = 4096;

impl Filter {
    /// The list of tests that a filter is, as in `spec/questions.md`.
    pub fn to_json(&self, view: View) -> Json {
        match self {
            Filter::All => json!([]),
            Filter::And(parts) => parts.iter().map(|p| p.item(view)).collect(),
            one => json!([one.item(view)]),
        }
    }

    fn item(&self, view: View) -> Json {
        let all = |parts: &[Filter]| -> Json { parts.iter().map(|p| p.item(view)).collect() };
        match self {
            Filter::All => json!({ "all": [] }),
            Filter::And(parts) => json!({ "all": all(parts) }),
            Filter::Or(parts) => json!({ "any": all(parts) }),
            Filter::Not(inner) => match &**inner {
                Filter::Test(t) if t.op == Op::Exists => json!([t.key.name(view), "exists", false]),
                other => json!({ "not": other.item(view) }),
            },
            Filter::Text(text) => json!({ "text": text }),
            Filter::Test(Test { key, op, value }) => {
                let value = match value {
                    Value::None => json!(true),
                    Value::Text(t) => json!(t),
                    Value::List(l) => json!(l),
                    Value::Time(t) => json!(time::rfc3339(*t)),
                };
                json!([key.name(view), op.name(), value])
            }
        }
    }

    /// Reads a filter: a test, an object, or a list of them all of which must match.
    ///
    /// # Errors
    /// Names the place (`filter[0].any[1]`) and what is wrong there.
    pub fn from_json(json: &Json, view: View, clock: &Clock) -> Result<Filter, Error> {
        let mut reader = Reader { view, clock, left: MAX_TESTS };
        let filter = match json {
            Json::Array(items) if !is_test(items) => Filter::And(reader.list(items, "filter", 0)?),
            other => reader.item(other, "filter", 0)?,
        };
        match filter {
            Filter::And(parts) if parts.is_empty() => Ok(Filter::All),
            other => other.bounded(),
        }
    }
}

fn is_test(items: &[Json]) -> bool {
    items.first().is_some_and(Json::is_string)
}

struct Reader<'a> {
    view: View,
    clock: &'a Clock,
    left: usize,
}

impl Reader<'_> {
    fn list(&mut self, items: &[Json], at: &str, depth: usize) -> Result<Vec<Filter>, Error> {
        items.iter().enumerate().map(|(i, item)| self.item(item, &format!("{at}[{i}]"), depth + 1)).collect()
    }

    fn item(&mut self, json: &Json, at: &str, depth: usize) -> Result<Filter, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::new("too_deep", format!("filters nest at most {MAX_DEPTH} deep")).at(at));
        }
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| Error::new("too_long", format!("a filter has at most {MAX_TESTS} parts")))?;
        match json {
            Json::Array(items) if is_test(items) => self.test(items, at),
            Json::Object(object) => self.object(object, at, depth),
            _ => Err(Error::new(
                "syntax",
                "expected [\"column\", \"operator\", value], {\"any\": […]}, {\"all\": […]}, {\"not\": …} or {\"text\": \"…\"}",
            )
            .at(at)),
        }
    }

    fn object(&mut self, object: &Map<String, Json>, at: &str, depth: usize) -> Result<Filter, Error> {
        let mut entries = object.iter();
        let (Some((name, value)), None) = (entries.next(), entries.next()) else {
            return Err(Error::new("syntax", "an object here has exactly one of any, all, not, text").at(at));
        };
        let at = format!("{at}.{name}");
        match (name.as_str(), value) {
            ("any", Json::Array(items)) if !is_test(items) => Ok(Filter::Or(self.list(items, &at, depth)?)),
            ("all", Json::Array(items)) if !is_test(items) => Ok(Filter::And(self.list(items, &at, depth)?)),
            ("any" | "all", _) => Err(Error::new("syntax", "expected a list of tests").at(at)),
            ("not", Json::Array(items)) if !is_test(items) => {
                let parts = self.list(items, &at, depth + 1)?;
                Ok(Filter::Not(Box::new(Filter::And(parts))))
            }
            ("not", value) => Ok(Filter::Not(Box::new(self.item(value, &at, depth + 1)?))),
            ("text", Json::String(text)) => Ok(Filter::Text(text.clone())),
            ("text", _) => Err(Error::new("bad_value", "expected a text").at(at)),
            _ => Err(Error::new("syntax", "expected one of any, all, not, text").at(at)),
        }
    }

    fn test(&mut self, items: &[Json], at: &str) -> Result<Filter, Error> {
        let place = |error: Error, i: usize| error.at(format!("{at}[{i}]"));
        let column = items.first().and_then(Json::as_str).unwrap_or_default();
        let key = self.view.key(column).map_err(|e| place(e, 0))?;
        let Some(name) = items.get(1).and_then(Json::as_str) else {
            return Err(Error::new("syntax", "expected the name of an operator, such as \"is\"").at(format!("{at}[1]")));
        };
        if items.len() > 3 {
            return Err(Error::new("syntax", "a test has three parts: column, operator, value").at(at));
        }
        let value = items.get(2);
        if name == "range" {
            return self.range(key, value, at);
        }
        let op = operator(name).map_err(|e| place(e, 1))?;
        match (op, value) {
            (Op::Exists, None | Some(Json::Bool(true) | Json::Null)) => {
                Ok(Filter::Test(Test { key, op, value: Value::None }))
            }
            (Op::Exists, Some(Json::Bool(false))) => Ok(Filter::Test(Test { key, op, value: Value::None }).negated()),
            (Op::Exists, _) => Err(Error::new("bad_value", "exists takes true or false").at(format!("{at}[2]"))),
            (_, None) => Err(Error::new("syntax", "the value is missing").at(at)),
            (Op::In | Op::NotIn, Some(Json::Array(values))) => self.any_of(key, op, values, at),
            (Op::In | Op::NotIn, _) => Err(Error::new("bad_value", "expected a list of values").at(format!("{at}[2]"))),
            (_, Some(value)) => {
                let text = scalar(value).map_err(|e| place(e, 2))?;
                Filter::read(key, op, &text, self.clock).map_err(|e| place(e, 2))
            }
        }
    }

    fn any_of(&mut self, key: Key, op: Op, values: &[Json], at: &str) -> Result<Filter, Error> {
        let mut texts = Vec::new();
        for (i, value) in values.iter().enumerate() {
            texts.push(scalar(value).map_err(|e| e.at(format!("{at}[2][{i}]")))?);
        }
        if matches!(key.kind(), ColumnKind::Text | ColumnKind::List | ColumnKind::Json) {
            return Ok(Filter::Test(Test { key, op, value: Value::List(texts) }));
        }
        let tests: Result<Vec<_>, _> = texts.iter().map(|t| Filter::read(key.clone(), Op::Is, t, self.clock)).collect();
        let any = Filter::Or(tests.map_err(|e| e.at(format!("{at}[2]")))?);
        Ok(if op == Op::In { any } else { Filter::Not(Box::new(any)) })
    }

    fn range(&mut self, key: Key, value: Option<&Json>, at: &str) -> Result<Filter, Error> {
        let place = format!("{at}[2]");
        let Some([low, high]) = value.and_then(Json::as_array).map(Vec::as_slice) else {
            return Err(Error::new("bad_value", "range takes two values, either of which may be null").at(place));
        };
        let mut parts = Vec::new();
        for (op, side) in [(Op::Ge, low), (Op::Le, high)] {
            if !side.is_null() {
                let text = scalar(side).map_err(|e| e.at(&place))?;
                parts.push(Filter::read(key.clone(), op, &text, self.clock).map_err(|e| e.at(&place))?);
            }
        }
        Ok(Filter::And(parts))
    }
}

fn operator(name: &str) -> Result<Op, Error> {
    let other = match name {
        "lt" => Some(Op::Lt),
        "lte" => Some(Op::Le),
        "gt" => Some(Op::Gt),
        "gte" => Some(Op::Ge),
        "=" | "eq" => Some(Op::Is),
        "!=" | "ne" => Some(Op::IsNot),
        _ => None,
    };
    Op::ALL.into_iter().find(|o| o.name() == name).or(other).ok_or_else(|| {
        let names: Vec<&str> = Op::ALL.iter().map(|o| o.name()).collect();
        Error::new(
            "bad_operator",
            format!("there is no operator {:?}; there are {} and range", clip(name), names.join(", ")),
        )
    })
}

fn scalar(value: &Json) -> Result<String, Error> {
    match value {
        Json::String(s) => Ok(s.clone()),
        Json::Number(n) => Ok(n.to_string()),
        Json::Bool(b) => Ok(b.to_string()),
        _ => Err(Error::new("bad_value", "expected a text, a number, true or false")),
    }
}

impl Query {
    /// The object that [`Query::from_json`] reads back.
    pub fn to_json(&self) -> Json {
        let mut out = Map::new();
        out.insert("view".into(), json!(self.view.name()));
        out.insert("filter".into(), self.filter.to_json(self.view));
        out.insert("from".into(), json!(self.from.map(time::rfc3339)));
        out.insert("to".into(), json!(self.to.map(time::rfc3339)));
        if let Some(limit) = self.limit {
            out.insert("limit".into(), json!(limit));
        }
        if let Some(cursor) = &self.cursor {
            out.insert("cursor".into(), json!(cursor));
        }
        if self.count {
            out.insert("count".into(), json!(true));
        }
        if let Some(key) = &self.count_by {
            out.insert("count_by".into(), json!(key.name(self.view)));
        }
        if let Some(interval) = self.interval {
            out.insert("interval".into(), json!(interval.to_string()));
        }
        if !self.facets.is_empty() {
            out.insert("facets".into(), self.facets.iter().map(|k| json!(k.name(self.view))).collect());
        }
        Json::Object(out)
    }

    /// Reads the body of `POST /query`: `view` (or `log`), `filter`, `q` (filter text, and-ed to it), `from`,
    /// `to` (the time grammar), `limit`, `cursor`, `count`, `count_by`, `interval`, `facets`. All optional,
    /// the view if `view` is given.
    ///
    /// # Errors
    /// Names the place and what is wrong there; an unknown member is an error too.
    pub fn from_json(json: &Json, view: Option<View>, clock: &Clock) -> Result<Query, Error> {
        let object = json.as_object().ok_or_else(|| Error::new("syntax", "a query is a JSON object"))?;
        let named = match object.get("view").or_else(|| object.get("log")) {
            None => None,
            Some(v) => Some(v.as_str().and_then(View::parse).ok_or_else(|| {
                let names: Vec<&str> = View::ALL.iter().map(|v| v.name()).collect();
                Error::new("bad_value", format!("there is no such view; there are {}", names.join(", "))).at("view")
            })?),
        };
        let view = named
            .or(view)
            .ok_or_else(|| Error::new("bad_value", "say which view, such as \"audit_logs\"").at("view"))?;
        let mut query = Query::new(view);
        let text = |name: &str, v: &Json| {
            v.as_str().map(str::to_owned).ok_or_else(|| Error::new("bad_value", "expected a text").at(name))
        };
        let mut filters = Vec::new();
        for (name, value) in object.iter().filter(|(_, v)| !v.is_null()) {
            match name.as_str() {
                "view" | "log" => {}
                "filter" => filters.push(Filter::from_json(value, view, clock)?),
                "q" => filters.push(super::text::parse(&text(name, value)?, view, clock).map_err(|e| e.at("q"))?),
                "from" => query.from = Some(time::parse(&text(name, value)?, clock).map_err(|e| e.at("from"))?.start),
                "to" => query.to = Some(time::parse(&text(name, value)?, clock).map_err(|e| e.at("to"))?.start),
                "limit" => {
                    let limit = value.as_u64().filter(|n| (1..=1000).contains(n)).and_then(|n| u32::try_from(n).ok());
                    query.limit = Some(
                        limit.ok_or_else(|| Error::new("bad_value", "expected a number from 1 to 1000").at("limit"))?,
                    );
                }
                "cursor" => query.cursor = Some(text(name, value)?),
                "count" => {
                    query.count =
                        value.as_bool().ok_or_else(|| Error::new("bad_value", "expected true or false").at("count"))?
                }
                "count_by" => query.count_by = Some(view.key(&text(name, value)?).map_err(|e| e.at("count_by"))?),
                "interval" => {
                    query.interval = Some(Interval::parse(&text(name, value)?).map_err(|e| e.at("interval"))?)
                }
                "facets" => {
                    let list = value.as_array().filter(|l| l.len() <= 32);
                    let list = list
                        .ok_or_else(|| Error::new("bad_value", "expected a list of at most 32 columns").at("facets"))?;
                    for (i, item) in list.iter().enumerate() {
                        let at = format!("facets[{i}]");
                        query.facets.push(view.key(&text(&at, item)?).map_err(|e| e.at(&at))?);
                    }
                }
                other => {
                    let known = "view, filter, q, from, to, limit, cursor, count, count_by, interval, facets";
                    return Err(Error::new("syntax", format!("unknown member; there are {known}")).at(clip(other)));
                }
            }
        }
        query.filter = match filters.len() {
            0 => Filter::All,
            1 => filters.swap_remove(0),
            _ => Filter::And(filters).normalized(),
        };
        Ok(query)
    }
}
