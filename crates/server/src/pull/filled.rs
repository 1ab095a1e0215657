//! Gaps that are no more: those whose stretch of time was walked again, from its first moment to its last, with nothing of it missing.
//!
//! Owns telling that. That nothing is missing now is not enough: what was missing may have gone from the source as well. So something
//! of the stretch must have come since the gap was told of last, in this walk or by a push before it.

use super::walk::{End, Walk};
use crate::gap;
use crate::intake::Taken;
use catalog::SourceGap;
use ledger::Outcome;
use systems::pull::Window;

/// Gaps that a walk goes over from end to end.
#[derive(Debug, Default)]
pub(super) struct Open(Vec<One>);

#[derive(Debug)]
struct One {
    gap: SourceGap,
    /// Something of it came since it was told of.
    came: bool,
}

impl Open {
    /// Those of these gaps that lie within the span and are open.
    pub(super) fn of(gaps: Vec<SourceGap>, span: Window) -> Open {
        let within = |gap: &SourceGap| gap.filled.is_none() && gap.from >= span.from && gap.to <= span.to;
        Open(gaps.into_iter().filter(within).map(|gap| One { gap, came: false }).collect())
    }

    /// A record of that time is here, at that place of the ledger.
    pub(super) fn came(&mut self, at: i64, index: u64) {
        for one in &mut self.0 {
            one.came |= (one.gap.from..one.gap.to).contains(&at) && index >= one.gap.told_size;
        }
    }

    /// What of a page is here.
    pub(super) fn took(&mut self, taken: &Taken) {
        if self.0.is_empty() {
            return;
        }
        for (line, _, outcome) in &taken.sealed {
            // What is new came after every gap that was told of before.
            let index = match outcome {
                Outcome::Sealed { .. } => u64::MAX,
                Outcome::Duplicate { index, .. } | Outcome::Conflict { index } => *index,
            };
            if let Some(at) = taken.times.get(line) {
                self.came(*at, index);
            }
        }
        for (line, index) in &taken.others {
            if let Some(at) = taken.times.get(line) {
                self.came(*at, *index);
            }
        }
    }

    /// Something of this window is missing now.
    pub(super) fn still_missing(&mut self, window: Window) {
        self.0.retain(|one| one.gap.to <= window.from || one.gap.from >= window.to);
    }

    /// Nothing is said of gaps that begin before that.
    pub(super) fn from(&mut self, from: i64) {
        self.0.retain(|one| one.gap.from >= from);
    }

    /// Takes out the gaps that end by then: all of them was walked over. Gives those that are filled.
    fn walked(&mut self, to: i64) -> Vec<SourceGap> {
        let ended = self.0.extract_if(.., |one| one.gap.to <= to);
        ended.filter(|one| one.came).map(|one| one.gap).collect()
    }
}

impl Walk {
    /// The gaps that were told of in a span.
    pub(super) fn gaps(&self, span: Window) -> Result<Vec<SourceGap>, End> {
        let gaps = self.app.store().catalog().gaps(self.tenant.number, &self.source.name, span.from, span.to);
        gaps.map_err(|e| End::Ours(format!("its gaps could not be read: {e}")))
    }

    /// Everything up to then was walked over: tells of the gaps that are filled by that.
    pub(super) async fn tell_filled(&mut self, to: i64) -> Result<(), End> {
        for gap in self.open.walked(to) {
            let by = match &self.task {
                Some(task) => format!("compared again (job {}), all that the source has of it is here", task.job.id),
                None => "compared again, all that the source has of it is here".to_owned(),
            };
            gap::fill(&self.app, &self.tenant, &self.source, &gap, by)
                .await
                .map_err(|what| End::Ours(format!("it could not be recorded that a gap is filled: {what}")))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(from: i64, to: i64) -> SourceGap {
        SourceGap {
            tenant: 1,
            name: "kc".into(),
            id: format!("gap:kc:{from}:{to}"),
            from,
            to,
            told_at: 0,
            told_size: 7,
            cause: "lost".into(),
            filled: None,
        }
    }

    fn open(gaps: &[(i64, i64)]) -> Open {
        Open::of(gaps.iter().map(|(from, to)| gap(*from, *to)).collect(), Window { from: 0, to: 100 })
    }

    fn filled(open: &mut Open, to: i64) -> Vec<i64> {
        open.walked(to).iter().map(|gap| gap.from).collect()
    }

    #[test]
    fn a_gap_is_filled_where_something_of_it_came_since_and_nothing_is_missing() {
        let mut gaps = open(&[(10, 20), (20, 30), (30, 40), (50, 60), (-5, 5), (95, 105)]);
        assert_eq!(gaps.0.len(), 4, "only what lies within");
        gaps.came(10, u64::MAX);
        gaps.came(25, 6);
        gaps.came(39, 7);
        gaps.came(55, 9);
        assert_eq!(filled(&mut gaps, 45), [10, 30], "of the second nothing came since");
        gaps.still_missing(Window { from: 59, to: 70 });
        assert_eq!(filled(&mut gaps, 100), [0; 0]);
    }

    #[test]
    fn a_record_beside_a_gap_fills_nothing() {
        let mut gaps = open(&[(10, 20), (40, 50)]);
        gaps.came(9, u64::MAX);
        gaps.came(20, u64::MAX);
        gaps.came(45, u64::MAX);
        gaps.still_missing(Window { from: 30, to: 40 });
        gaps.still_missing(Window { from: 50, to: 60 });
        assert_eq!(filled(&mut gaps, 100), [40]);
    }

    #[test]
    fn a_gap_of_which_not_all_was_walked_over_stays() {
        let mut gaps = open(&[(10, 20), (40, 50)]);
        gaps.came(15, 8);
        gaps.came(45, 8);
        gaps.from(11);
        assert_eq!(filled(&mut gaps, 49), [0; 0]);
        assert_eq!(filled(&mut gaps, 50), [40]);
        // Nor is one told of twice.
        let told = SourceGap { filled: Some(catalog::Filling { at: 1, by: "x".into() }), ..gap(10, 20) };
        assert!(Open::of(vec![told], Window { from: 0, to: 100 }).0.is_empty());
    }
}
