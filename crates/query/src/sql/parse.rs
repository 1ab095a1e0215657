//! From text to one statement that is a query, of bounded size and depth.
//!
//! Owns every check that needs no schema. The text is cut into tokens first, which does not recurse, and what
//! could make the parser or the planner recurse deeply or grow without bound is counted there and on the
//! parsed tree. Not here: names (`plan`), how large values can become (`cost`).

use super::dialect::Bounded;
use crate::engine::{Error, Result};
use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, ObjectName, Query, Select, SetExpr, Statement, TableFactor, Visit, Visitor,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use std::collections::HashMap;
use std::ops::ControlFlow;

/// Longest statement in bytes.
const MAX_TEXT: usize = 64 << 10;
/// How deep brackets may nest.
const MAX_BRACKETS: usize = 24;
/// Operators and keywords: what chains are made of.
const MAX_LINKS: usize = 2_000;
/// How deep expressions may nest, chains such as `a or b or c` included.
pub(super) const MAX_DEPTH: usize = 500;
/// Tables and subqueries, each named query counted as often as it is used.
const MAX_RELATIONS: u64 = 64;
/// Columns in all `cube (…)` and `grouping sets (…)` of a statement.
const MAX_GROUPING: usize = 8;

const ONE_QUERY: &str = "SQL here only reads: write one `select` over records, audit_logs, event_logs, job_logs, \
                         notification_logs, sessions or grants";

/// Refuses text that is too long or none, before anything is copied.
pub(super) fn check_text(sql: &str) -> Result<()> {
    if sql.len() > MAX_TEXT {
        return Err(Error::Limit(format!(
            "the statement is {} bytes, more than the limit of {}",
            sql.len(),
            event::size::in_words(MAX_TEXT)
        )));
    }
    if sql.trim().is_empty() {
        return Err(Error::Sql(format!("the statement is empty. {ONE_QUERY}")));
    }
    Ok(())
}

/// The one query in a text.
///
/// # Errors
/// [`Error::Sql`] with the position of a mistake, or naming what is not allowed; [`Error::Limit`].
pub(super) fn parse(sql: &str) -> Result<Statement> {
    check_text(sql)?;
    let dialect = Bounded::new();
    let tokens = Tokenizer::new(&dialect, sql).tokenize_with_location().map_err(|e| syntax(&e.to_string()))?;
    bounded(tokens.iter().map(|t| &t.token))?;
    let parsed = Parser::new(&dialect).with_tokens_with_locations(tokens).parse_statements();
    let mut statements = parsed.map_err(|e| match e {
        _ if dialect.spent() => too_deep(),
        ParserError::RecursionLimitExceeded => too_deep(),
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => syntax(&text),
    })?;
    let (Some(statement), true) = (statements.pop(), statements.is_empty()) else {
        return Err(Error::Sql(format!("there is more than one statement, or none. {ONE_QUERY}")));
    };
    if !matches!(statement, Statement::Query(_)) {
        let what = sql.split_whitespace().next().unwrap_or_default().chars().take(20).collect::<String>();
        return Err(Error::Sql(format!("`{}` is not possible. {ONE_QUERY}", what.to_lowercase())));
    }
    let mut shape = Shape::default();
    if let ControlFlow::Break(e) = statement.visit(&mut shape) {
        return Err(e);
    }
    Ok(statement)
}

fn syntax(text: &str) -> Error {
    let text = text.strip_prefix("sql parser error: ").unwrap_or(text);
    let text = text.replace(" at Line: ", " at line ").replace(", Column: ", ", column ");
    Error::Sql(format!("syntax: {text}"))
}

fn too_deep() -> Error {
    Error::Limit("the statement nests too deeply; write it flatter".to_owned())
}

/// Counts what can nest or chain.
fn bounded<'t>(tokens: impl Iterator<Item = &'t Token>) -> Result<()> {
    let (mut depth, mut links) = (0usize, 0usize);
    for token in tokens {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => depth += 1,
            Token::RParen | Token::RBracket | Token::RBrace => depth = depth.saturating_sub(1),
            Token::Whitespace(_) | Token::Comma | Token::Period | Token::Number(..) | Token::SingleQuotedString(_) => {}
            Token::Word(word) if word.keyword == Keyword::NoKeyword => {}
            _ => links += 1,
        }
        if matches!(token, Token::LBracket) {
            links += 1;
        }
        if depth > MAX_BRACKETS {
            return Err(too_deep());
        }
    }
    if links > MAX_LINKS {
        return Err(Error::Limit(format!(
            "the statement has {links} operators and keywords, more than the limit of {MAX_LINKS}; `in (…)` takes long lists"
        )));
    }
    Ok(())
}

/// Walks the tree: what is not a query, how deep expressions go, how many tables there are in the end.
#[derive(Default)]
struct Shape {
    depth: usize,
    grouping: usize,
    /// One per query being walked.
    queries: Vec<Frame>,
    /// Relations behind each name that a `with` gave.
    named: HashMap<String, u64>,
}

struct Frame {
    relations: u64,
    /// Names of the queries of its `with`, which are walked before its body. Last first.
    names: Vec<String>,
}

impl Visitor for Shape {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Error> {
        let mut names = Vec::new();
        if let Some(with) = &query.with {
            if with.recursive {
                return refuse("`with recursive` is not possible");
            }
            names = with.cte_tables.iter().rev().map(|c| c.alias.name.value.to_lowercase()).collect();
        }
        if !query.locks.is_empty()
            || query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
        {
            return refuse("`for`, `settings` and `format` are not possible");
        }
        if !query.pipe_operators.is_empty() {
            return refuse("`|>` is not possible");
        }
        only_reads(&query.body)?;
        self.queries.push(Frame { relations: 1, names });
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Error> {
        let Some(done) = self.queries.pop() else { return ControlFlow::Continue(()) };
        match self.queries.last_mut() {
            Some(outer) => match outer.names.pop() {
                Some(name) => {
                    let known = self.named.entry(name).or_default();
                    *known = done.relations.max(*known);
                    self.within(done.relations)
                }
                None => self.add(done.relations),
            },
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Error> {
        if select.into.is_some() {
            return refuse("`select into` is not possible");
        }
        if let GroupByExpr::Expressions(_, more) | GroupByExpr::All(more) = &select.group_by
            && !more.is_empty()
        {
            return refuse("`group by … with` is not possible; write `rollup (…)` or `cube (…)`");
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Error> {
        let relations = self.named.get(&name.to_string().to_lowercase()).copied().unwrap_or(1);
        self.add(relations)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Error> {
        match factor {
            TableFactor::Table { args: None, .. } | TableFactor::NestedJoin { .. } => ControlFlow::Continue(()),
            TableFactor::Derived { .. } => ControlFlow::Continue(()),
            TableFactor::UNNEST { .. } => self.add(1),
            _ => refuse("table functions are not possible; the tables are the views"),
        }
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return ControlFlow::Break(too_deep());
        }
        if let Expr::Cube(sets) | Expr::Rollup(sets) | Expr::GroupingSets(sets) = expr {
            self.grouping += sets.iter().map(|s| s.len().max(1)).sum::<usize>();
            if self.grouping > MAX_GROUPING {
                let why = format!("`cube`, `rollup` and `grouping sets` take at most {MAX_GROUPING} columns in all");
                return ControlFlow::Break(Error::Limit(why));
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<Error> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }
}

impl Shape {
    fn add(&mut self, relations: u64) -> ControlFlow<Error> {
        let sum = match self.queries.last_mut() {
            Some(frame) => {
                frame.relations = frame.relations.saturating_add(relations);
                frame.relations
            }
            None => relations,
        };
        self.within(sum)
    }

    fn within(&self, relations: u64) -> ControlFlow<Error> {
        if relations > MAX_RELATIONS {
            return ControlFlow::Break(Error::Limit(format!(
                "the statement has more than {MAX_RELATIONS} tables and subqueries, counting each use of a named query"
            )));
        }
        ControlFlow::Continue(())
    }
}

fn refuse(what: &str) -> ControlFlow<Error> {
    ControlFlow::Break(Error::Sql(format!("{what}. {ONE_QUERY}")))
}

/// Statements that some dialects allow where a query stands.
fn only_reads(body: &SetExpr) -> ControlFlow<Error> {
    match body {
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            refuse("a statement that writes is not possible inside a query")
        }
        SetExpr::SetOperation { left, right, .. } => {
            only_reads(left)?;
            only_reads(right)
        }
        SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) | SetExpr::Table(_) => ControlFlow::Continue(()),
    }
}
