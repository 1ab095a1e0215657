//! Operators in words: "is not", "does not contain", "starts with", "is one of", "is missing".

use super::{clause::Said, parse::Parser, words::Shape};
use crate::lang::filter::Op;

impl Parser<'_> {
    pub fn op_follows(&self, at: usize) -> bool {
        self.operator(at).is_some()
    }

    /// An operator in words; whether it is only "is"; and where its value starts.
    pub fn operator(&self, at: usize) -> Option<(Said, bool, usize)> {
        let (mut i, mut negative, mut copula) = (at, false, false);
        for _ in 0..4 {
            let low = self.low(i);
            match low {
                "is" | "are" | "was" | "were" | "be" | "been" | "being" | "=" | "==" | "equals" | "equal" | "has"
                | "have" | "had" | "does" | "do" | "did" | "should" | "must" => copula = true,
                "isn't" | "aren't" | "wasn't" | "weren't" | "doesn't" | "don't" | "didn't" | "hasn't" | "isnt"
                | "doesnt" | "!=" | "<>" => (copula, negative) = (true, true),
                "not" | "never" => negative = !negative || !copula,
                "exactly" | "also" | "currently" | "always" | "either" | "just" | "now" => {
                    if !copula && !negative && low != "exactly" {
                        return None;
                    }
                }
                "to" if i > at && self.is(i - 1, &["equal", "set", "equals"]) => {}
                _ => break,
            }
            i += 1;
        }
        let pick = |yes: Op, no: Op| Said::Op(if negative { no } else { yes });
        let two = |a: &[&str], b: &[&str]| self.is(i, a) && self.is(i + 1, b);
        let low = self.low(i);
        if self.is(
            i,
            &[
                "contains",
                "contain",
                "containing",
                "includes",
                "include",
                "including",
                "mentions",
                "mention",
                "mentioning",
            ],
        ) {
            return Some((pick(Op::Contains, Op::DoesNotContain), false, i + 1));
        }
        if self.is(i, &["excludes", "exclude", "lacks"]) {
            return Some((Said::Op(Op::DoesNotContain), false, i + 1));
        }
        if self.is(i, &["like", "matches", "match", "matching", "resembles", "resembling"])
            || two(&["similar"], &["to"])
            || two(&["looks"], &["like"])
        {
            let len = if two(&["similar", "looks"], &["to", "like"]) { 2 } else { 1 };
            let len = if self.is(i + len, &["pattern"]) { len + 1 } else { len };
            return Some((pick(Op::Like, Op::NotLike), false, i + len));
        }
        if two(&["starts", "start", "starting", "begins", "begin", "beginning"], &["with"]) {
            return Some((Said::Starts(!negative), false, i + 2));
        }
        if two(&["ends", "end", "ending"], &["with", "in"]) {
            return Some((Said::Ends(!negative), false, i + 2));
        }
        if two(&["one", "any", "among"], &["of"]) || self.is(i, &["among"]) && copula {
            return Some((pick(Op::In, Op::NotIn), false, i + if self.is(i + 1, &["of"]) { 2 } else { 1 }));
        }
        if two(&["none"], &["of"]) {
            return Some((Said::Op(Op::NotIn), false, i + 2));
        }
        if low == "neither" {
            return Some((Said::Neither, false, i + 1));
        }
        if low == "in"
            && i + 1 < self.words.len()
            && !matches!(self.shape(i + 1), Some(Shape::Time(_)))
            && (copula || i == at || negative)
        {
            if two(&["in"], &["the"]) && !copula {
                return None;
            }
            return Some((pick(Op::In, Op::NotIn), false, i + 1));
        }
        if two(&["different", "other", "distinct"], &["from", "than"])
            || two(&["anything", "everything"], &["but", "except"])
            || two(&["apart"], &["from"])
        {
            return Some((pick(Op::IsNot, Op::Is), false, i + 2));
        }
        if self.is(i, &["except", "excluding", "besides"]) {
            return Some((Said::Op(Op::IsNot), false, i + 1));
        }
        if self.is(i, &["empty", "blank", "missing", "null", "absent", "unset"]) && copula {
            return Some((Said::Exists(negative), false, i + 1));
        }
        if self.is(i, &["set", "present", "known", "available", "there"]) && copula && !self.is(i + 1, &["to"]) {
            return Some((Said::Exists(!negative), false, i + 1));
        }
        if self.is(i, &["exists", "exist"]) {
            return Some((Said::Exists(!negative), false, i + 1));
        }
        if self.is(i, &["named", "called"]) && (copula || i == at) {
            return Some((pick(Op::Is, Op::IsNot), false, i + 1));
        }
        if two(&["set"], &["to"]) {
            return Some((pick(Op::Is, Op::IsNot), false, i + 2));
        }
        if copula || negative {
            // "has X" and "have X" say that X is in it.
            let only_has = i == at + 1 && self.is(at, &["has", "have", "had"]);
            if i == at + 1 && self.is(at, &["does", "do", "did", "should", "must", "don't", "doesn't", "didn't"]) {
                return None;
            }
            let op = if only_has { pick(Op::Contains, Op::DoesNotContain) } else { pick(Op::Is, Op::IsNot) };
            return Some((op, true, i));
        }
        None
    }
}
