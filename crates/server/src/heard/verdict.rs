//! What can be said of a source that sends: nothing without numbers, and with them what the numbers say.

use super::SECOND;
use super::state::State;
use crate::push;
use catalog::Source;
use event::time;

/// Spans of `from..to` of which it is not known whether all of it is here, and why. What is in none of them is whole but
/// for the gaps that were told of.
pub(crate) fn unknown(source: &Source, from: i64, to: i64, now: i64) -> Vec<(i64, i64, String)> {
    let state = State::read(source.position.as_deref(), now);
    let heard = match source.last_seen {
        None => "nothing came yet".to_owned(),
        Some(at) => {
            let senders = match state.senders.len() {
                0 | 1 => String::new(),
                n => format!(" from {n} senders"),
            };
            format!("{} records were counted here{senders}, the last at {}", source.counts.received, time::format(at))
        }
    };
    let Some((_, settle)) = push::numbering(source) else {
        return vec![(
            from,
            to,
            format!("it pushes, cannot be asked what it has, and does not number its records; {heard}"),
        )];
    };
    let sequence = state.sequence.unwrap_or_default();
    let (Some(first), Some(last)) = (sequence.runs.first(), sequence.runs.last()) else {
        return vec![(from, to, format!("it numbers its records, and none with a number came yet; {heard}"))];
    };
    // What is this fresh may still get company.
    let settled = now.saturating_sub(settle.saturating_mul(SECOND));
    let mut out = Vec::new();
    let mut add = |a: i64, b: i64, why: &dyn Fn() -> String| {
        let (a, b) = (a.max(from), b.min(to));
        if a < b {
            out.push((a, b, why()));
        }
    };
    add(i64::MIN, first.from, &|| format!("before number {}, from which on it is counted", first.low));
    for hole in sequence.holes() {
        add(hole.from, hole.to, &|| format!("its numbers {} to {} are not here yet", hole.low, hole.high));
    }
    for (a, b) in &sequence.unknown {
        add(*a, *b, &|| "counting was broken off there; records that came meanwhile are stored and not counted".into());
    }
    let mut end = last.to.min(settled).max(first.from);
    if let Some((number, at)) = sequence.again {
        add(end.min(at), i64::MAX, &|| {
            format!(
                "another record came with its number {number}, so it counts anew; remove the source and make it again to count with it"
            )
        });
        end = i64::MAX;
    }
    add(end, i64::MAX, &|| format!("newer than its number {}, the last that came; {heard}", last.high));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heard::state::{Run, Sequence};
    use catalog::SourceCounts;

    fn source(settings: &str, state: Option<&State>) -> Source {
        Source {
            tenant: 1,
            name: "z".into(),
            system: "zitadel".into(),
            kind: "push".into(),
            settings: settings.into(),
            secrets: Vec::new(),
            created_at: 0,
            updated_at: 0,
            position: state.map(|s| serde_json::to_string(s).unwrap()),
            last_seen: state.map(|_| 90 * SECOND),
            counts: SourceCounts { received: 7, ..SourceCounts::default() },
        }
    }

    fn run(low: u64, high: u64) -> Run {
        Run { low, high, from: low as i64 * SECOND, to: high as i64 * SECOND, seen: 0 }
    }

    fn spans(source: &Source, to: i64) -> Vec<(i64, i64, String)> {
        let all = unknown(source, 0, to * SECOND, 1000 * SECOND);
        all.into_iter().map(|(a, b, why)| (a / SECOND, b / SECOND, why)).collect()
    }

    #[test]
    fn without_numbers_nothing_is_known_and_the_heartbeat_is_told() {
        let state = State::default();
        let told = spans(&source("{}", Some(&state)), 50);
        assert_eq!((told[0].0, told[0].1, told.len()), (0, 50, 1));
        assert!(told[0].2.contains("7 records") && told[0].2.contains("1970-01-01T00:01:30"), "{told:?}");
        assert!(spans(&source("{}", None), 50)[0].2.contains("nothing came yet"));
    }

    #[test]
    fn a_sender_that_counts_anew_is_known_up_to_then() {
        let settings = r#"{"sequence":"/n","settle_seconds":10}"#;
        let mut sequence = Sequence::of("/n");
        sequence.add(&[run(1, 6), run(9, 9)]);
        // One that is late is none that counts anew.
        let hole = sequence.due(0).unwrap();
        sequence.tell(&hole, "gap".into());
        sequence.close(&hole);
        sequence.look(&[run(7, 7)]);
        assert_eq!(sequence.again, None);
        let anew = Run { from: 20 * SECOND, to: 20 * SECOND, ..run(1, 1) };
        sequence.look(&[anew]);
        sequence.add(&[anew, Run { from: 40 * SECOND, to: 40 * SECOND, ..run(5, 5) }]);
        let state = State { sequence: Some(sequence), ..State::default() };
        let told = spans(&source(settings, Some(&state)), 50);
        let bounds: Vec<_> = told.iter().map(|t| (t.0, t.1)).collect();
        assert_eq!(bounds, [(0, 1), (9, 50)], "the numbers widen nothing any more");
        assert!(told[1].2.contains("its number 1"), "{told:?}");
    }

    #[test]
    fn with_numbers_what_lies_between_them_is_known_and_the_rest_is_not() {
        let settings = r#"{"sequence":"/n","settle_seconds":10}"#;
        let mut sequence = Sequence::of("/n");
        sequence.add(&[run(10, 20), run(30, 40)]);
        let mut state = State { sequence: Some(sequence), ..State::default() };
        let told = spans(&source(settings, Some(&state)), 50);
        let bounds: Vec<_> = told.iter().map(|t| (t.0, t.1)).collect();
        assert_eq!(bounds, [(0, 10), (20, 30), (40, 50)]);
        assert!(told[1].2.contains("21 to 29"), "{told:?}");
        // Told of as a gap, it is no longer unknown.
        let sequence = state.sequence.as_mut().unwrap();
        let hole = sequence.due(0).unwrap();
        sequence.close(&hole);
        let bounds: Vec<_> = spans(&source(settings, Some(&state)), 50).iter().map(|t| (t.0, t.1)).collect();
        assert_eq!(bounds, [(0, 10), (40, 50)]);
        assert_eq!(unknown(&source(settings, Some(&state)), 12 * SECOND, 38 * SECOND, 1000 * SECOND), []);
        // Too fresh to be sure.
        assert_eq!(unknown(&source(settings, Some(&state)), 12 * SECOND, 38 * SECOND, 30 * SECOND).len(), 1);
    }
}
