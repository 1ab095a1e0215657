//! One action that was written in v2 and in legacy: which records of a body belong together.
//!
//! Owns: finding the two and putting them into one text, `{"v2": …, "legacy": …}`; log lines stand in it as texts. And taking them
//! apart again where the v2 record is stored already: `{"legacy": …, "twin": its id}`. Not here: how either is read.
//!
//! The two have little in common: neither ids nor names of people and targets are the same in both. So they are the same action where
//! the action's name is, loosely, and the request; or, since legacy JSON names no request, where they stand side by side and
//! name the same initiator, at the same time where both are lines. A legacy record of a failure has no twin.
//!
//! One person may do the same several times. Of such a run, one shape after the other, each belongs to the one beside it on the side on
//! which all of them have one, whichever shape is written first; where one is left over, the times of lines tell to which end it
//! belongs. What is not certain stays two records.

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

/// Where each of a run may belong to the one before it or to the one behind it, the times tell which if those of the one reading are
/// farther apart than those of the other by this factor.
const CLEARLY: u64 = 10;

/// The member that only v2 has.
const V2: &str = "\"initiatorType\"";

/// What is looked at in one record.
#[derive(Debug, Clone)]
struct Look {
    v2: bool,
    action: String,
    /// What of it legacy may say alone: `create` of `create-application`.
    verb: Option<String>,
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
    let is_v2 = |i: &usize| {
        let text = pieces.get(*i).and_then(|piece| piece.text.as_deref().ok());
        text.is_some_and(|text| v2.find(text.as_bytes()).is_some()) && look_at(*i).is_some_and(|look| look.v2)
    };
    let all_v2: Vec<usize> = (0..pieces.len()).filter(is_v2).collect();
    let mut partner = vec![None; pieces.len()];
    let says = |i: usize, request: &memmem::Finder<'_>| {
        let text = pieces.get(i).and_then(|piece| piece.text.as_deref().ok());
        text.is_some_and(|text| request.find(text.as_bytes()).is_some())
    };
    by_request(&all_v2, &mut partner, &says, &look_at);
    by_place(&all_v2, &mut partner, &look_at);
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

/// For each record its partner's place.
type Partners = [Option<usize>];

fn is_free(partner: &Partners, i: usize) -> bool {
    partner.get(i).is_some_and(Option::is_none)
}

fn join(partner: &mut Partners, i: usize, j: usize) {
    for (at, with) in [(i, j), (j, i)] {
        if let Some(place) = partner.get_mut(at) {
            *place = Some(with);
        }
    }
}

/// Pairs records that name the same request, the nearest first. Only those whose text `says` that name are looked at: a body has others
/// between them, and a look costs as much as reading the record does.
fn by_request<'l>(
    all_v2: &[usize],
    partner: &mut Partners,
    says: &impl Fn(usize, &memmem::Finder<'_>) -> bool,
    look_at: &impl Fn(usize) -> Option<&'l Look>,
) {
    for i in all_v2 {
        let Some(request) = look_at(*i).and_then(|v2| v2.request.as_deref()) else { continue };
        // What is written with an escape may be written in several ways.
        let plain = request.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        let finder = memmem::Finder::new(request);
        let near = (1..=NEAR).flat_map(|step| [i.checked_sub(step), Some(i + step)]).flatten();
        let found = near.filter(|j| is_free(partner, *j) && (!plain || says(*j, &finder))).find(|j| {
            let both = look_at(*i).zip(look_at(*j));
            both.is_some_and(|(v2, other)| same(v2, other) == Some(Same::Request))
        });
        if let Some(j) = found {
            join(partner, *i, j);
        }
    }
}

/// Pairs records that stand side by side, in runs of one action by one person.
fn by_place<'l>(all_v2: &[usize], partner: &mut Partners, look_at: &impl Fn(usize) -> Option<&'l Look>) {
    let mut behind = 0;
    for i in all_v2.iter().copied() {
        if i < behind || !is_free(partner, i) {
            continue;
        }
        let free = |j: usize| look_at(j).filter(|_| is_free(partner, j));
        let alike = |j: usize, k: usize| {
            let both = free(j).zip(free(k));
            // One that failed has no twin, and is nobody's rival.
            let sound = both.filter(|(a, b)| !a.failed && !b.failed && a.initiator.is_some());
            sound.is_some_and(|(a, b)| (&a.action, &a.initiator) == (&b.action, &b.initiator))
        };
        let (mut first, mut last) = (i, i);
        while first > behind && alike(first - 1, first) {
            first -= 1;
        }
        while alike(last, last + 1) {
            last += 1;
        }
        behind = last + 1;
        let run: Vec<&Look> = (first..=last).filter_map(look_at).collect();
        for (j, k) in pairs_of(&run) {
            join(partner, first + j, first + k);
        }
    }
}

/// Which neighbours of a run of one action by one person are one action each.
fn pairs_of(run: &[&Look]) -> Vec<(usize, usize)> {
    let belong = |j: usize, k: usize| {
        let both = run.get(j).zip(run.get(k));
        both.is_some_and(|(a, b)| same(a, b).or_else(|| same(b, a)) == Some(Same::Place))
    };
    let next = |from: usize| (from..run.len().saturating_sub(1)).step_by(2).map(|j| (j, j + 1));
    if (1..run.len()).all(|k| belong(k - 1, k)) {
        // One shape after the other: each belongs to the one before it, or each to the one behind it. Times may tell.
        let apart = |(j, k): (usize, usize)| {
            let time = |n: usize| run.get(n).and_then(|look| look.at);
            time(j).zip(time(k)).map(|(a, b)| a.abs_diff(b))
        };
        let clearly = |these: usize, those: usize| {
            let farthest = next(these).map(apart).max().flatten();
            let nearest = next(those).map(apart).min().flatten();
            // A time that is missing sorts before all others, and says nothing.
            let known = next(0).chain(next(1)).all(|pair| apart(pair).is_some());
            known && farthest.zip(nearest).is_some_and(|(far, near)| far.saturating_mul(CLEARLY) < near)
        };
        return match (clearly(0, 1), clearly(1, 0)) {
            (true, _) => next(0).collect(),
            (_, true) => next(1).collect(),
            // No other reading gives all of them their twin.
            _ if run.len().is_multiple_of(2) => next(0).collect(),
            _ => Vec::new(),
        };
    }
    // Several of one shape side by side: a v2 record that has a legacy one beside it, and on its other side none that is alike.
    let mut taken = vec![false; run.len()];
    let mut pairs = Vec::new();
    for (i, _) in run.iter().enumerate().filter(|(_, look)| look.v2) {
        let is_open = |j: usize| taken.get(j).is_some_and(|taken| !taken);
        let sides = [i.checked_sub(1), Some(i + 1)].map(|side| side.filter(|j| is_open(*j)));
        let twin = match sides {
            [Some(only), None] | [None, Some(only)] => belong(i, only).then_some(only),
            _ => None,
        };
        if let Some(j) = twin {
            taken.iter_mut().enumerate().filter(|(at, _)| [i, j].contains(at)).for_each(|(_, taken)| *taken = true);
            pairs.push((i, j));
        }
    }
    pairs
}

/// By what two records are one action.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Same {
    Request,
    /// Where they stand side by side.
    Place,
}

fn same(v2: &Look, legacy: &Look) -> Option<Same> {
    if !v2.v2 || legacy.v2 || legacy.failed {
        return None;
    }
    let alike = v2.action == legacy.action;
    match (&v2.request, &legacy.request) {
        // A verb is certain enough within one request.
        (Some(a), Some(b)) if a == b => (alike || v2.verb.as_ref() == Some(&legacy.action)).then_some(Same::Request),
        (Some(_), Some(_)) => None,
        _ if !alike => None,
        _ => {
            let soon = v2.at.zip(legacy.at).is_none_or(|(a, b)| a.abs_diff(b) <= SOON as u64);
            let together = soon && v2.initiator.is_some() && v2.initiator == legacy.initiator;
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
    let action = squeeze(&action).into_owned();
    Some(Look {
        v2,
        verb: text("targetType").and_then(|kind| verb(&action, &kind).map(str::to_owned)),
        action,
        request: text("requestId").or(request),
        initiator: text("initiatorId"),
        at,
        failed,
    })
}

/// What is left of an action of v2, [`squeeze`]d, without the type of its target: application management writes `create` in legacy where
/// v2 has `create-application`.
pub(super) fn verb<'s>(squeezed: &'s str, target_type: &str) -> Option<&'s str> {
    let kind = squeeze(target_type);
    squeezed.strip_suffix(kind.as_ref()).filter(|verb| !kind.is_empty() && !verb.is_empty())
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
