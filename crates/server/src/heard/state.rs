//! What is known of a source that sends: who sent how much, when it was last heard of, and which of its numbers came.
//!
//! Owns counting in memory and nothing else: no clock, no catalog. The catalog keeps [`State`] as the source's position.
//!
//! **Invariant:** what was not counted is never taken for counted. After an end that was not in order the numbers that
//! follow may leave some out that did come; a hole there is *not known*, never a gap and never whole.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Senders kept apart; what more there are is counted together.
const SENDERS: usize = 64;
/// Runs of numbers with holes between them, and spans that are not known: beyond, the oldest are joined.
const MOST: usize = 200;
/// Gaps whose numbers are still looked for; beyond, those that were told of first are not any more.
const TOLD: usize = 200;
/// The sender of which nothing more is known.
const OTHERS: &str = "others";

/// What is known of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    /// Since when it is counted, microseconds.
    pub since: i64,
    /// The earliest and the latest time that the first and last records of its batches had.
    pub events: Option<(i64, i64)>,
    /// By key, or by how it proves itself.
    pub senders: BTreeMap<String, Sender>,
    /// Where the source numbers its records.
    pub sequence: Option<Sequence>,
    /// It was written after the last request of a server that ended in order.
    pub complete: bool,
}

/// One key's, or one signature's, part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sender {
    /// Records, those that were there already included.
    pub received: u64,
    /// When it last sent something.
    pub seen: i64,
}

/// Numbers that rise by one from record to record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sequence {
    /// Where in a record the number is.
    pub pointer: String,
    /// What came, by number; holes are between them.
    pub runs: Vec<Run>,
    /// The highest number when counting was broken off; a hole right behind it is not known.
    pub broken_off: Option<u64>,
    /// Spans of time in which counting was broken off.
    pub unknown: Vec<(i64, i64)>,
    /// Numbers whose absence was told of as a gap, and which of them came since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<Told>,
    /// A number that another record had already, and the time of the record that has it as well: the sender began to count anew, and
    /// from then on a number says nothing of what is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<(u64, i64)>,
}

/// Numbers that were told of as a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// The gap's entry.
    pub id: String,
    pub low: u64,
    pub high: u64,
    /// Which of them are here by now, in order.
    pub came: Vec<(u64, u64)>,
}

impl Told {
    fn add(&mut self, run: &Run) {
        let (low, high) = (run.low.max(self.low), run.high.min(self.high));
        if low > high {
            return;
        }
        self.came.push((low, high));
        self.came.sort_unstable();
        self.came.dedup_by(|next, last| {
            let touches = next.0 <= last.1.saturating_add(1);
            if touches {
                last.1 = last.1.max(next.1);
            }
            touches
        });
    }

    fn is_filled(&self) -> bool {
        self.came == [(self.low, self.high)]
    }
}

/// Numbers without a hole, and the times of the first and the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub low: u64,
    pub high: u64,
    pub from: i64,
    pub to: i64,
    /// When the hole before it was first seen.
    pub seen: i64,
}

/// Numbers that did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hole {
    pub low: u64,
    pub high: u64,
    pub from: i64,
    pub to: i64,
    /// When it was first seen.
    pub seen: i64,
    /// Whether they may have come and were not counted.
    pub unsure: bool,
}

/// Puts runs in order and joins those that touch.
pub(crate) fn joined(mut runs: Vec<Run>) -> Vec<Run> {
    runs.sort_unstable_by_key(|run| (run.low, run.high));
    let mut out: Vec<Run> = Vec::with_capacity(runs.len());
    for run in runs {
        match out.last_mut() {
            Some(last) if run.low <= last.high.saturating_add(1) => {
                last.high = last.high.max(run.high);
                last.from = last.from.min(run.from);
                last.to = last.to.max(run.to);
                last.seen = last.seen.min(run.seen);
            }
            _ => out.push(run),
        }
    }
    out
}

impl State {
    /// As it was written, read at the start of a server.
    pub(crate) fn read(position: Option<&str>, now: i64) -> State {
        position.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| State {
            since: now,
            complete: true,
            ..State::default()
        })
    }

    /// What is said the first time after a start: where the end before was not in order, numbers may have come that were
    /// not counted.
    pub(crate) fn begin(&mut self) {
        if !self.complete
            && let Some(sequence) = &mut self.sequence
        {
            // One that was not known before stays so.
            if let Some(hole) = sequence.holes().into_iter().find(|hole| hole.unsure) {
                sequence.close(&hole);
            }
            sequence.broken_off = sequence.runs.last().map(|run| run.high);
        }
        self.complete = false;
    }

    /// Adds what a sender sent.
    pub(crate) fn add(&mut self, sender: &str, part: &Sender) {
        let full = self.senders.len() >= SENDERS && !self.senders.contains_key(sender);
        let entry = self.senders.entry(if full { OTHERS } else { sender }.to_owned()).or_default();
        entry.received = entry.received.saturating_add(part.received);
        entry.seen = entry.seen.max(part.seen);
    }

    /// Widens the span of events.
    pub(crate) fn widen(&mut self, events: Option<(i64, i64)>) {
        self.events = match (self.events, events) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        };
    }
}

impl Sequence {
    pub(crate) fn of(pointer: &str) -> Sequence {
        Sequence { pointer: pointer.to_owned(), ..Sequence::default() }
    }

    /// Looks whether one of these numbers, of records that were not here before, is another record's. Those of holes that were closed are
    /// merely late.
    pub(crate) fn look(&mut self, fresh: &[Run]) {
        if self.again.is_some() {
            return;
        }
        let late = |n: u64| self.told.iter().any(|told| (told.low..=told.high).contains(&n));
        let twice = fresh.iter().find_map(|run| {
            let known = self.runs.iter().find(|known| run.low <= known.high && run.high >= known.low)?;
            let number = run.low.max(known.low);
            (!late(number)).then_some((number, run.from))
        });
        self.again = twice;
    }

    /// Adds numbers that came. Numbers below all others are from before it was counted, and begin nothing.
    pub(crate) fn add(&mut self, runs: &[Run]) {
        for told in &mut self.told {
            runs.iter().for_each(|run| told.add(run));
        }
        if self.again.is_some() {
            return;
        }
        let first = self.runs.first().map(|run| run.low);
        self.runs.extend(runs.iter().filter(|run| first.is_none_or(|first| run.high >= first)));
        self.runs = joined(std::mem::take(&mut self.runs));
    }

    /// The holes, in order.
    pub(crate) fn holes(&self) -> Vec<Hole> {
        let pairs = self.runs.iter().zip(self.runs.iter().skip(1));
        pairs
            .map(|(before, after)| Hole {
                low: before.high.saturating_add(1),
                high: after.low.saturating_sub(1),
                from: before.to.min(after.from),
                to: before.to.max(after.from).saturating_add(1),
                seen: after.seen,
                unsure: self.broken_off == Some(before.high),
            })
            .collect()
    }

    /// The first hole that is to be told of: it was seen so long ago that what is late would be here, or there are too many.
    pub(crate) fn due(&self, before: i64) -> Option<Hole> {
        let holes = self.holes();
        let all = holes.len();
        holes.into_iter().find(|hole| hole.seen <= before || all > MOST)
    }

    /// Goes on looking for the numbers of a hole that was told of under this id.
    pub(crate) fn tell(&mut self, hole: &Hole, id: String) {
        self.told.retain(|told| told.id.is_empty() || told.id != id);
        self.told.push(Told { id, low: hole.low, high: hole.high, came: Vec::new() });
        if self.told.len() > TOLD {
            self.told.remove(0);
        }
    }

    /// Takes out the gaps of which every number is here by now.
    pub(crate) fn filled(&mut self) -> Vec<Told> {
        self.told.extract_if(.., |told| told.is_filled()).collect()
    }

    /// Closes a hole that was told of, or that is not known.
    pub(crate) fn close(&mut self, hole: &Hole) {
        if hole.unsure {
            self.unknown.push((hole.from, hole.to));
            self.broken_off = None;
            if self.unknown.len() > MOST {
                let (from, _) = self.unknown.remove(0);
                if let Some(next) = self.unknown.first_mut() {
                    next.0 = next.0.min(from);
                }
            }
        }
        self.runs.push(Run { low: hole.low, high: hole.high, from: hole.from, to: hole.from, seen: hole.seen });
        self.runs = joined(std::mem::take(&mut self.runs));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(low: u64, high: u64) -> Run {
        Run { low, high, from: low as i64 * 10, to: high as i64 * 10, seen: 0 }
    }

    fn sequence(runs: &[Run]) -> Sequence {
        let mut sequence = Sequence::of("/n");
        for run in runs {
            sequence.add(&[*run]);
        }
        sequence
    }

    #[test]
    fn numbers_in_any_order_are_one_run_and_what_is_missing_is_a_hole() {
        assert_eq!(sequence(&[run(5, 6), run(7, 7), run(6, 9)]).runs, [run(5, 9)]);
        let holed = sequence(&[run(1, 3), run(7, 9), run(5, 5)]);
        let holes: Vec<_> = holed.holes().iter().map(|h| (h.low, h.high, h.from, h.to, h.unsure)).collect();
        assert_eq!(holes, [(4, 4, 30, 51, false), (6, 6, 50, 71, false)]);
        // What comes late fills it.
        assert_eq!(sequence(&[run(1, 3), run(7, 9), run(4, 6)]).holes(), []);
        // What is older than all that was counted is none.
        assert_eq!(sequence(&[run(5, 9), run(1, 2)]).runs, [run(5, 9)]);
    }

    #[test]
    fn a_hole_that_was_told_of_is_closed() {
        let mut holed = sequence(&[run(1, 3), run(7, 9)]);
        assert_eq!(holed.due(-1), None);
        let hole = holed.due(0).unwrap();
        holed.close(&hole);
        assert_eq!((holed.holes(), holed.runs[0].from, holed.runs[0].to), (vec![], 10, 90));
    }

    #[test]
    fn a_hole_that_was_told_of_is_filled_when_its_last_number_comes() {
        let mut holed = sequence(&[run(1, 3), run(10, 12)]);
        let hole = holed.due(0).unwrap();
        holed.close(&hole);
        holed.tell(&hole, "gap".into());
        holed.add(&[run(4, 5), run(8, 13)]);
        assert_eq!((holed.filled(), holed.told[0].came.as_slice()), (vec![], [(4, 5), (8, 9)].as_slice()));
        let text = serde_json::to_string(&holed).unwrap();
        let mut holed: Sequence = serde_json::from_str(&text).unwrap();
        holed.add(&[run(6, 6)]);
        holed.add(&[run(1, 2), run(20, 21)]);
        assert_eq!(holed.filled(), []);
        holed.add(&[run(7, 7)]);
        let filled = holed.filled();
        assert_eq!((filled.len(), filled[0].id.as_str(), holed.told.len()), (1, "gap", 0));
        // As it was written before gaps were looked for.
        let old = text.replace("\"told\":", "\"other\":");
        assert_eq!(serde_json::from_str::<Sequence>(&old).unwrap().told, []);
        for n in 0..300 {
            holed.tell(&hole, format!("gap {n}"));
        }
        assert_eq!((holed.told.len(), holed.told[0].id.as_str()), (TOLD, "gap 100"));
    }

    #[test]
    fn after_an_end_that_was_not_in_order_a_hole_is_not_known_and_no_gap() {
        let mut state = State { sequence: Some(sequence(&[run(1, 3)])), ..State::default() };
        state.begin();
        let sequence = state.sequence.as_mut().unwrap();
        sequence.add(&[run(7, 9)]);
        sequence.add(&[run(11, 12)]);
        let unsure: Vec<bool> = sequence.holes().iter().map(|h| h.unsure).collect();
        assert_eq!(unsure, [true, false], "only right behind what was counted last");
        let hole = sequence.due(0).unwrap();
        sequence.close(&hole);
        assert_eq!((sequence.unknown.as_slice(), sequence.holes().len()), ([(30, 71)].as_slice(), 1));
        // Broken off again before that was told: it stays not known.
        let mut again = State { sequence: Some(super::tests::sequence(&[run(1, 3), run(7, 9)])), ..State::default() };
        again.sequence.as_mut().unwrap().broken_off = Some(3);
        again.begin();
        let sequence = again.sequence.unwrap();
        assert_eq!((sequence.unknown.as_slice(), sequence.broken_off), ([(30, 71)].as_slice(), Some(9)));
        // In order: then it is one.
        let mut state =
            State { sequence: Some(super::tests::sequence(&[run(1, 3)])), complete: true, ..State::default() };
        state.begin();
        state.sequence.as_mut().unwrap().add(&[run(7, 9)]);
        assert!(!state.sequence.unwrap().holes()[0].unsure && !state.complete);
    }

    #[test]
    fn a_state_is_read_as_it_was_written_and_senders_have_a_limit() {
        let mut state = State { since: 7, ..State::default() };
        for n in 0..100 {
            state.add(&format!("key-{n}"), &Sender { received: 2, seen: n });
        }
        assert_eq!((state.senders.len(), state.senders[OTHERS].received), (SENDERS + 1, 72));
        state.widen(Some((3, 4)));
        state.widen(Some((1, 2)));
        assert_eq!(state.events, Some((1, 4)));
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(State::read(Some(&text), 0), state);
        assert_eq!(State::read(Some("{"), 9).since, 9);
    }

    proptest! {
        #[test]
        fn what_came_and_the_holes_are_all_numbers_between_the_first_and_the_last(
            numbers in proptest::collection::vec(0u64..60, 1..40)
        ) {
            let runs: Vec<Run> = numbers.iter().map(|n| run(*n, *n)).collect();
            let mut all = Sequence::of("/n");
            all.add(&runs);
            let (low, high) = (*numbers.iter().min().unwrap(), *numbers.iter().max().unwrap());
            for n in low..=high {
                let came = numbers.contains(&n);
                prop_assert_eq!(came, all.runs.iter().any(|r| (r.low..=r.high).contains(&n)));
                prop_assert_eq!(!came, all.holes().iter().any(|h| (h.low..=h.high).contains(&n)));
            }
        }
    }
}
