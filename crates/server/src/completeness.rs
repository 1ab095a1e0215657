//! `GET /v1/t/{tenant}/completeness`: is anything missing between these two times, per source.
//!
//! Owns the answer, from what comparisons left behind (`catalog::SourceSpan`, `catalog::SourceGap`): *no* where a gap lies in the
//! range that was not filled, *yes* where all of it was compared and whole, and *unknown* with the reason for every other span. A source that pushes is
//! counted and never asked: of it only what its own numbers say is known (`heard`). Not here: comparing (`pull`).

use crate::app::App;
use crate::auth;
use crate::heard::verdict as heard;
use crate::problem::Problem;
use crate::pull::{self, Known};
use crate::request::Query;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use catalog::{Scopes, Source, SourceGap, SourceSpan};
use event::time;
use query::lang::{Clock, time as when};
use serde::Deserialize;
use serde_json::{Value, json};

const SECOND: i64 = 1_000_000;
/// Without `from`: the default range of the views.
const DAYS: i64 = 7 * 86_400 * SECOND;

/// Query of the answer.
#[derive(Debug, Default, Deserialize)]
pub struct RangeQuery {
    from: Option<String>,
    to: Option<String>,
}

/// What can be said of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    from: i64,
    to: i64,
    why: String,
}

/// What can be said of a source.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    gaps: Vec<Part>,
    unknown: Vec<Part>,
}

impl Verdict {
    fn word(&self) -> &'static str {
        match (self.gaps.is_empty(), self.unknown.is_empty()) {
            (false, _) => "no",
            (true, false) => "unknown",
            (true, true) => "yes",
        }
    }
}

/// `GET /v1/t/{tenant}/completeness`.
///
/// # Errors
/// A problem document.
pub async fn get(
    State(app): State<App>,
    Path(slug): Path<String>,
    Query(range): Query<RangeQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = auth::caller(&app, &headers, &slug, Scopes::READ)?;
    let now = app.store().now();
    let clock = Clock::utc(now);
    let bound = |name: &str, text: &Option<String>, default: i64| match text.as_deref().filter(|t| !t.is_empty()) {
        None => Ok(default),
        Some(text) => {
            when::parse(text, &clock).map(|p| p.start).map_err(|e| Problem::from(query::Error::Query(e.at(name))))
        }
    };
    let to = bound("to", &range.to, now)?.min(now);
    let from = bound("from", &range.from, to.saturating_sub(DAYS))?;
    if from >= to {
        return Err(Problem::bad("invalid_time", "`from` is before `to`, and before now"));
    }
    let catalog = app.store().catalog();
    let mut items = Vec::new();
    let mut all = "yes";
    for source in catalog.sources(caller.tenant.number)?.into_iter().filter(|s| s.kind != "connector") {
        let mut spans = catalog.spans(caller.tenant.number, &source.name, from, to)?;
        // What was looked at later than now was looked at by a clock that was ahead.
        spans.retain(|span| span.checked_at <= now);
        let gaps = catalog.gaps(caller.tenant.number, &source.name, from, to)?;
        let verdict = judge(&source, pull::known(&app, &source).as_ref(), (&spans, &gaps), from, to, now);
        all = match (all, verdict.word()) {
            ("no", _) | (_, "no") => "no",
            ("unknown", _) | (_, "unknown") => "unknown",
            _ => "yes",
        };
        items.push(shown(&source, &verdict, (&spans, &gaps), from, to));
    }
    if items.is_empty() {
        all = "unknown";
    }
    let body = json!({ "from": time::format(from), "to": time::format(to), "complete": all, "sources": items });
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response())
}

fn shown(
    source: &Source,
    verdict: &Verdict,
    (spans, gaps): (&[SourceSpan], &[SourceGap]),
    from: i64,
    to: i64,
) -> Value {
    let part = |p: &Part| json!({ "from": time::format(p.from), "to": time::format(p.to), "why": p.why });
    let compared: Vec<Value> = spans
        .iter()
        .map(|s| {
            json!({
                "from": time::format(s.from.max(from)),
                "to": time::format(s.to.min(to)),
                "checked_at": time::format(s.checked_at),
            })
        })
        .collect();
    let filled = gaps.iter().filter_map(|gap| {
        let filled = gap.filled.as_ref()?;
        Some(json!({
            "from": time::format(gap.from.max(from)),
            "to": time::format(gap.to.min(to)),
            "why": gap.cause,
            "gap": gap.id,
            "filled_at": time::format(filled.at),
            "filled_by": filled.by,
        }))
    });
    json!({
        "source": source.name,
        "system": source.system,
        "kind": source.kind,
        "complete": verdict.word(),
        "gaps": verdict.gaps.iter().map(part).collect::<Vec<_>>(),
        "unknown": verdict.unknown.iter().map(part).collect::<Vec<_>>(),
        "filled": filled.collect::<Vec<_>>(),
        "compared": compared,
        "sequence": source.counts.received,
        "last_seen": source.last_seen.map(time::format),
    })
}

/// What can be said of `from..to`.
fn judge(
    source: &Source,
    known: Option<&Known>,
    (spans, gaps): (&[SourceSpan], &[SourceGap]),
    from: i64,
    to: i64,
    now: i64,
) -> Verdict {
    let open = gaps.iter().filter(|gap| gap.filled.is_none());
    let gaps: Vec<Part> = open
        .filter_map(|gap| {
            let (from, to) = (gap.from.max(from), gap.to.min(to));
            (from < to).then(|| Part { from, to, why: gap.cause.clone() })
        })
        .collect();
    let Some(known) = known else {
        let unknown = heard::unknown(source, from, to, now).into_iter();
        return Verdict { gaps, unknown: unknown.map(|(from, to, why)| Part { from, to, why }).collect() };
    };
    if let Some(why) = known.unknowable {
        return Verdict { gaps, unknown: vec![Part { from, to, why: why.to_owned() }] };
    }
    let clipped = |start: i64, end: i64| (start.max(from), end.min(to));
    let saved = known.unsaved.iter().map(|span| (clipped(span.from, span.to), span.why.clone()));
    // What was compared since it was last seen to save: whether it still did is known with the next look.
    let last = known.saved_at.filter(|_| known.unsaved.last().is_none_or(|span| span.to != i64::MAX));
    let since = last.into_iter().flat_map(|last| {
        let compared = spans.iter().map(move |s| clipped(s.from.max(last), s.to));
        compared.map(|span| (span, "it was not seen yet whether the source saved its events then".to_owned()))
    });
    let mut unknown: Vec<Part> = saved
        .chain(since)
        .filter(|((from, to), _)| from < to)
        .map(|((from, to), why)| Part { from, to, why })
        .collect();
    // What neither was compared nor is a gap, in the order of time.
    let mut at = from;
    let mut covered: Vec<(i64, i64)> = spans.iter().map(|s| (s.from, s.to)).collect();
    covered.extend(gaps.iter().chain(&unknown).map(|part| (part.from, part.to)));
    covered.sort_unstable();
    for (start, end) in covered.into_iter().chain([(to, to)]) {
        if start > at {
            reasons(source, known, at, start.min(to), now, &mut unknown);
        }
        at = at.max(end);
    }
    unknown.sort_by_key(|part| part.from);
    Verdict { gaps, unknown }
}

/// Why nothing can be said of a span that was not compared, cut where the reason changes.
fn reasons(source: &Source, known: &Known, from: i64, to: i64, now: i64, out: &mut Vec<Part>) {
    let mut from = from;
    if from < known.since {
        let end = to.min(known.since);
        let why = format!("before {}, from when on its records are wanted (`since`)", time::format(known.since));
        out.push(Part { from, to: end, why });
        from = end;
    }
    if from >= to {
        return;
    }
    if let Some(seconds) = known.keeps {
        let end = now.saturating_sub(seconds.saturating_mul(SECOND)).min(to);
        if from < end {
            let why =
                format!("the source keeps its events for {seconds} seconds, and this was not compared in that time");
            out.push(Part { from, to: end, why });
            from = end;
        }
        if from >= to {
            return;
        }
    }
    let fresh = now.saturating_sub(known.settle.saturating_mul(SECOND));
    let why = match (&known.last_error, source.last_seen) {
        (_, None) if known.paused => "it is paused, and was never asked".to_owned(),
        (_, Some(_)) if known.paused => {
            let until = time::format(known.until);
            format!("it is paused, so this is not compared; it was asked for what it had up to {until}")
        }
        (Some(error), Some(seen)) => {
            format!("it cannot be asked ({error}); it last answered at {}", time::format(seen))
        }
        (Some(error), None) => format!("it cannot be asked ({error}), and never answered"),
        (None, None) => "it was not asked yet".to_owned(),
        (None, Some(_)) if known.until < to.min(fresh) => {
            format!("it is being read; everything before {} was asked for", time::format(known.until))
        }
        (None, Some(_)) => format!(
            "not compared yet: that is done every {} minutes, for records that are {} seconds old",
            known.check / 60,
            known.settle
        ),
    };
    out.push(Part { from, to, why });
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::{Filling, SourceCounts};

    fn source() -> Source {
        Source {
            tenant: 1,
            name: "kc".into(),
            system: "keycloak".into(),
            kind: "pull".into(),
            settings: "{}".into(),
            secrets: Vec::new(),
            created_at: 0,
            updated_at: 0,
            position: None,
            last_seen: Some(100 * SECOND),
            counts: SourceCounts::default(),
        }
    }

    fn known() -> Known {
        Known {
            since: 10 * SECOND,
            check: 3600,
            settle: 5,
            until: 100 * SECOND,
            paused: false,
            unknowable: None,
            last_error: None,
            unsaved: Vec::new(),
            saved_at: None,
            keeps: None,
        }
    }

    fn span(from: i64, to: i64) -> SourceSpan {
        let (from, to) = (from * SECOND, to * SECOND);
        SourceSpan { tenant: 1, name: "kc".into(), from, to, checked_at: 0, records: 0, filled: 0 }
    }

    fn gap(from: i64, to: i64) -> SourceGap {
        SourceGap {
            tenant: 1,
            name: "kc".into(),
            id: format!("gap:kc:{from}:{to}"),
            from: from * SECOND,
            to: to * SECOND,
            told_at: 0,
            told_size: 0,
            cause: "lost".into(),
            filled: None,
        }
    }

    fn filled(from: i64, to: i64) -> SourceGap {
        SourceGap { filled: Some(Filling { at: 99 * SECOND, by: "a push".into() }), ..gap(from, to) }
    }

    type Told = (&'static str, Vec<(i64, i64)>, String);

    fn ask(known: &Known, spans: &[SourceSpan], from: i64, to: i64) -> Told {
        ask_with(known, spans, &[], from, to)
    }

    fn ask_with(known: &Known, spans: &[SourceSpan], gaps: &[SourceGap], from: i64, to: i64) -> Told {
        let verdict = judge(&source(), Some(known), (spans, gaps), from * SECOND, to * SECOND, 100 * SECOND);
        let parts = verdict.unknown.iter().map(|p| (p.from / SECOND, p.to / SECOND)).collect();
        let why: Vec<&str> = verdict.unknown.iter().chain(&verdict.gaps).map(|p| p.why.as_str()).collect();
        (verdict.word(), parts, why.join("; "))
    }

    #[test]
    fn yes_only_where_all_of_it_was_compared() {
        let spans = [span(10, 50), span(50, 90)];
        assert_eq!(ask(&known(), &spans, 10, 90).0, "yes");
        assert_eq!(ask(&known(), &spans, 20, 60).0, "yes");
        let (word, parts, why) = ask(&known(), &spans, 5, 95);
        assert_eq!((word, parts), ("unknown", vec![(5, 10), (90, 95)]));
        assert!(why.contains("`since`") && why.contains("not compared yet"), "{why}");
        let (word, parts, _) = ask(&known(), &[span(20, 30), span(40, 90)], 20, 90);
        assert_eq!((word, parts), ("unknown", vec![(30, 40)]));
        assert_eq!(ask(&known(), &[], 20, 30).1, [(20, 30)]);
    }

    #[test]
    fn a_gap_is_a_no_even_where_it_was_compared() {
        let (spans, gaps) = ([span(10, 90)], [gap(30, 40)]);
        let (word, parts, why) = ask_with(&known(), &spans, &gaps, 10, 90);
        assert_eq!((word, parts.len(), why.as_str()), ("no", 0, "lost"));
        assert_eq!(ask_with(&known(), &spans, &gaps, 40, 90).0, "yes");
    }

    #[test]
    fn a_gap_that_was_filled_is_none_and_is_told_with_when_and_by_what() {
        let (spans, gaps) = ([span(10, 90)], [filled(30, 40)]);
        assert_eq!(ask_with(&known(), &spans, &gaps, 10, 90).0, "yes");
        // Where nothing was compared it says nothing.
        assert_eq!(ask_with(&known(), &[], &gaps, 10, 90).1, [(10, 90)]);
        assert_eq!(ask_with(&known(), &spans, &[filled(30, 40), gap(35, 36)], 10, 90).0, "no");
        let verdict = Verdict::default();
        let shown = shown(&source(), &verdict, (&spans, &gaps), 35 * SECOND, 90 * SECOND);
        assert_eq!(
            shown["filled"],
            json!([{ "from": "1970-01-01T00:00:35.000000Z", "to": "1970-01-01T00:00:40.000000Z", "why": "lost",
                "gap": "gap:kc:30:40", "filled_at": "1970-01-01T00:01:39.000000Z", "filled_by": "a push" }])
        );
    }

    #[test]
    fn what_a_source_does_not_save_cannot_be_known_however_often_it_is_compared() {
        let spans = [span(10, 50), span(50, 90)];
        let unsaved = |from: i64, to: i64| pull::Unsaved { from: from * SECOND, to, why: "saving is off".into() };
        let off = Known { unsaved: vec![unsaved(30, i64::MAX)], saved_at: Some(80 * SECOND), ..known() };
        assert_eq!(ask(&off, &spans, 10, 95), ("unknown", vec![(30, 95)], "saving is off".into()));
        assert_eq!(ask_with(&off, &spans, &[gap(60, 65)], 10, 95).0, "no", "a gap is a gap");
        assert_eq!(ask(&off, &spans, 10, 30).0, "yes");
        let on_again = Known { unsaved: vec![unsaved(30, 40 * SECOND)], ..off };
        assert_eq!(ask(&on_again, &spans, 10, 80).1, [(30, 40)]);
        assert_eq!(ask(&on_again, &spans, 40, 80).0, "yes");
        // Compared after the last look at that.
        let (word, parts, why) = ask(&on_again, &spans, 40, 90);
        assert_eq!((word, parts), ("unknown", vec![(80, 90)]));
        assert!(why.contains("not seen yet"), "{why}");
        let never = Known { saved_at: Some(i64::MIN), ..known() };
        assert_eq!(ask(&never, &spans, 20, 80).1, [(20, 50), (50, 80)]);
        // It removes its events after so long.
        let forgetful = Known { keeps: Some(40), saved_at: Some(100 * SECOND), ..known() };
        let (word, parts, why) = ask(&forgetful, &[span(70, 90)], 10, 95);
        assert_eq!((word, parts), ("unknown", vec![(10, 60), (60, 70), (90, 95)]));
        assert!(why.contains("for 40 seconds"), "{why}");
    }

    #[test]
    fn what_cannot_be_known_says_why() {
        let spans = [span(10, 90)];
        let unofficial = Known { unknowable: Some("unofficial"), ..known() };
        assert_eq!(ask(&unofficial, &spans, 10, 90), ("unknown", vec![(10, 90)], "unofficial".into()));
        let down = Known { last_error: Some("it refuses connections".into()), ..known() };
        assert!(ask(&down, &[], 20, 30).2.contains("refuses connections"));
        let paused = Known { paused: true, until: 20 * SECOND, ..known() };
        let (word, _, why) = ask(&paused, &[], 20, 30);
        assert!(word == "unknown" && why.contains("it is paused"), "{why}");
        let behind = Known { until: 20 * SECOND, ..known() };
        assert!(ask(&behind, &[], 20, 30).2.contains("being read"));
        let pushed = judge(&Source { last_seen: None, ..source() }, None, (&[], &[]), 0, SECOND, SECOND);
        assert!(pushed.word() == "unknown" && pushed.unknown[0].why.contains("nothing came yet"));
    }
}
