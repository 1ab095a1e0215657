//! One action that was written in v2 and in legacy: which records of a body belong together.
//!
//! Owns: finding the two and putting them into one text, `{"v2": …, "legacy": …}`; log lines stand in it as texts. And taking them
//! apart again where the v2 record is stored already: `{"legacy": …, "twin": its id}`. Not here: how either is read.
//!
//! The two have little in common: neither ids nor names of people and targets are the same in both. So they are the same action where
//! the action's name is, loosely, and the request; or, since legacy JSON names no request, where they stand side by side and
//! name the same initiator, at the same time where both are lines. A legacy record of a failure has no twin. What is not certain, as
//! where one stands between two that it may belong to, stays two records.

use crate::catalog::squeeze;
use crate::moment;
use crate::object::{Object, decode};
use crate::split::Piece;
use crate::wso2::line::{self, Line};
use event::json::write_string;
use memchr::memmem;
use std::borrow::Cow;
use std::cell::OnceCell;

/// How far apart two records of one request may stand: two writers share one file.
const NEAR: usize = 8;

/// How far apart two lines of one action are written, microseconds.
const SOON: i64 = 60 * 1_000_000;

/// The member that only v2 has.
const V2: &str = "\"initiatorType\"";

/// What is looked at in one record.
#[derive(Debug, Clone)]
struct Look {
    v2: bool,
    action: String,
    request: Option<String>,
    initiator: Option<String>,
    /// When its line was written, where it is one.
    at: Option<i64>,
    failed: bool,
}

/// Whether a text is what [`pair`] makes.
pub(super) fn is_pair(native: &mut Object<'_>) -> bool {
    native.has("legacy") && native.has("v2") && !native.has("action") && native.inner("v2").is_some()
}

/// Whether a text is what [`twin`] makes.
pub(crate) fn is_twin(native: &mut Object<'_>) -> bool {
    native.has("legacy") && native.text("twin").is_some() && !native.has("action") && !native.has("actionId")
}

/// The legacy record of a pair, with the id of the v2 record. `None` where the text is no pair, or the v2 record has no id.
pub(crate) fn twin(text: &str) -> Option<String> {
    let mut native = Object::parse(text).ok()?;
    if native.has("action") {
        return None;
    }
    let (v2, legacy) = (native.take("v2")?, native.take("legacy")?);
    let id = match decode(&v2) {
        Some(text) => line::object(&Line::parse(&text)?).ok()?.text("id").map(Cow::into_owned),
        None => Object::parse(&v2).ok()?.text("id").map(Cow::into_owned),
    };
    let id = id.filter(|id| !id.is_empty())?;
    let mut out = format!("{{\"legacy\":{legacy},\"twin\":");
    write_string(&mut out, &id);
    out.push('}');
    Some(out)
}

/// Makes one record of two that say the same; the others stay as they are.
pub(crate) fn pair<'a>(text: &str, pieces: Vec<Piece<'a>>) -> Vec<Piece<'a>> {
    // Bodies of one shape are the rule, and cheap to know.
    let v2 = memmem::Finder::new(V2);
    let marked = v2.find_iter(text.as_bytes()).count();
    if marked == 0 || marked >= pieces.len() {
        return pieces;
    }
    // Only what stands near a v2 record is looked at, and that once.
    let looks = vec![OnceCell::<Option<Look>>::new(); pieces.len()];
    let look_at = |i: usize| -> Option<&Look> {
        let text = pieces.get(i)?.text.as_deref().ok()?;
        looks.get(i)?.get_or_init(|| look(text)).as_ref()
    };
    let mut partner: Vec<Option<usize>> = vec![None; pieces.len()];
    for (i, piece) in pieces.iter().enumerate() {
        if !piece.text.as_deref().is_ok_and(|text| v2.find(text.as_bytes()).is_some()) {
            continue;
        }
        let Some(v2) = look_at(i).filter(|look| look.v2) else { continue };
        let near = (1..=NEAR).flat_map(|step| [i.checked_sub(step), Some(i + step)]).flatten();
        let free = |j: usize| partner.get(j).is_some_and(Option::is_none);
        let found: Vec<(usize, Same)> =
            near.filter(|j| free(*j)).filter_map(|j| Some((j, same(v2, look_at(j)?, j.abs_diff(i) == 1)?))).collect();
        // By its place alone it may belong to another one just as well.
        let rival = |j: usize| {
            let beside = if j > i { i.checked_sub(1) } else { Some(i + 1) };
            let rival = beside.filter(|k| free(*k)).and_then(&look_at);
            rival.is_some_and(|other| other.action == v2.action && other.initiator == v2.initiator)
        };
        let by_request = found.iter().find(|(_, same)| *same == Same::Request);
        let found = by_request.or_else(|| found.iter().find(|(j, _)| !rival(*j))).map(|(j, _)| *j);
        if let Some(j) = found {
            for (at, with) in [(i, j), (j, i)] {
                if let Some(place) = partner.get_mut(at) {
                    *place = Some(with);
                }
            }
        }
    }
    let mut out = Vec::with_capacity(pieces.len());
    for (i, piece) in pieces.iter().enumerate() {
        match partner.get(i).copied().flatten() {
            None => out.push(piece.clone()),
            Some(j) if j < i => {}
            Some(j) => {
                let other = pieces.get(j).unwrap_or(piece);
                let is_v2 = look_at(i).is_some_and(|look| look.v2);
                let (v2, legacy) = if is_v2 { (piece, other) } else { (other, piece) };
                out.push(Piece::new(piece.line, Ok(Cow::Owned(together(v2, legacy)))));
            }
        }
    }
    out
}

/// By what two records are one action.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Same {
    Request,
    Place,
}

fn same(v2: &Look, legacy: &Look, side_by_side: bool) -> Option<Same> {
    if legacy.v2 || legacy.failed || v2.action != legacy.action {
        return None;
    }
    match (&v2.request, &legacy.request) {
        (Some(a), Some(b)) => (a == b).then_some(Same::Request),
        _ => {
            let soon = v2.at.zip(legacy.at).is_none_or(|(a, b)| a.abs_diff(b) <= SOON as u64);
            let together = side_by_side && soon && v2.initiator.is_some() && v2.initiator == legacy.initiator;
            together.then_some(Same::Place)
        }
    }
}

fn look(text: &str) -> Option<Look> {
    let (mut native, request, at) = if text.trim_start().starts_with('{') {
        (Object::parse(text).ok()?, None, None)
    } else {
        let line = Line::parse(text)?;
        let request = line.request().map(str::to_owned);
        let at = line.time().and_then(|time| moment::text(time, &jiff::tz::TimeZone::UTC)).map(|(at, _)| at);
        (line::object(&line).ok()?, request, at)
    };
    let v2 = native.has("initiatorType");
    let failed = super::read::failed(&mut native);
    let mut text = |name: &str| native.text(name).map(Cow::into_owned);
    let action = text("action").or_else(|| text("actionId"))?;
    Some(Look {
        v2,
        action: squeeze(&action).into_owned(),
        request: text("requestId").or(request),
        initiator: text("initiatorId"),
        at,
        failed,
    })
}

fn together(v2: &Piece<'_>, legacy: &Piece<'_>) -> String {
    let mut out = String::from("{\"v2\":");
    value(v2, &mut out);
    out.push_str(",\"legacy\":");
    value(legacy, &mut out);
    out.push('}');
    out
}

/// A record as a JSON value: the object in a line's message counts as the line, which says more.
fn value(piece: &Piece<'_>, out: &mut String) {
    let text = piece.text.as_deref().unwrap_or("null");
    if text.trim_start().starts_with('{') {
        out.push_str(text.trim());
    } else {
        write_string(out, text);
    }
}
