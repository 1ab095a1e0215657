//! Whether a source saves its events, as it was seen look by look: what can be said of the time behind.
//!
//! Owns the spans of which it cannot be known that nothing is missing. Between two looks that saw it save it is taken to have
//! saved; from one that did, or from the beginning, over those that did not, to the next that did, it is not known.

use serde::{Deserialize, Serialize};
use systems::pull::saving::Saving;

/// Spans that are kept apart; beyond, the oldest are joined.
const MOST: usize = 100;

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Saved {
    /// When it was looked at last, microseconds.
    pub at: i64,
    /// Why it did not save then, or why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// It did not say.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
    /// Seconds after which it removes its events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keeps: Option<i64>,
    /// What else is to be known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where it is not known that it saved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not: Vec<Unsaved>,
}

/// A span of which it is not known that its events were saved, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unsaved {
    pub from: i64,
    pub to: i64,
    pub why: String,
}

impl Saved {
    /// What is known after another look, at `now`; `since` is from when on records are wanted.
    pub(super) fn after(before: Option<Saved>, seen: Saving, since: i64, now: i64) -> Saved {
        let (from, was, mut not) = before.map_or((since, None, Vec::new()), |b| (b.at, b.why, b.not));
        if let Some(why) = seen.not.clone().or(was)
            && from < now
        {
            match not.last_mut() {
                Some(last) if last.to == from && last.why == why => last.to = now,
                _ => not.push(Unsaved { from, to: now, why }),
            }
        }
        if not.len() > MOST {
            let first = not.remove(0);
            if let Some(next) = not.first_mut() {
                next.from = first.from;
            }
        }
        Saved { at: now, why: seen.not, unknown: seen.unknown, keeps: seen.keeps, note: seen.note, not }
    }

    /// The spans, the one that goes on included.
    pub(super) fn spans(&self) -> Vec<Unsaved> {
        let open = self.why.iter().map(|why| Unsaved { from: self.at, to: i64::MAX, why: why.clone() });
        self.not.iter().cloned().chain(open).collect()
    }

    /// One word of it, and what is to be said to that.
    pub(super) fn shown(&self) -> (&'static str, Option<&str>) {
        match (&self.why, self.unknown) {
            (Some(why), true) => ("unknown", Some(why)),
            (Some(why), false) => ("no", Some(why)),
            (None, _) => ("yes", self.note.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn off() -> Saving {
        Saving { not: Some("off".into()), ..Saving::default() }
    }

    fn spans(saved: &Saved) -> Vec<(i64, i64)> {
        saved.spans().iter().map(|s| (s.from, s.to)).collect()
    }

    #[test]
    fn what_is_not_known_goes_from_the_last_look_that_saw_it_save_to_the_next() {
        let on = |before, now| Saved::after(before, Saving::default(), 10, now);
        let saved = on(Some(on(None, 20)), 30);
        assert_eq!((spans(&saved), saved.shown()), (vec![], ("yes", None)));
        let saved = Saved::after(Some(saved), off(), 10, 40);
        assert_eq!((spans(&saved), saved.shown()), (vec![(30, 40), (40, i64::MAX)], ("no", Some("off"))));
        let saved = Saved::after(Some(saved), off(), 10, 50);
        let saved = on(Some(saved), 60);
        assert_eq!(spans(&on(Some(saved), 70)), [(30, 60)], "one span of it");
        // From the beginning, where it was never seen to save.
        let never = on(Some(Saved::after(None, Saving::unknown("403"), 10, 20)), 30);
        assert_eq!(spans(&never), [(10, 30)]);
        assert!(never.not[0].why.contains("cannot be known"), "{never:?}");
        let text = serde_json::to_string(&never).unwrap();
        assert_eq!(serde_json::from_str::<Saved>(&text).unwrap(), never);
    }

    #[test]
    fn spans_have_a_limit_and_none_of_them_is_lost() {
        let mut saved = None;
        for n in 1..=1000 {
            let seen = if n % 3 == 0 { off() } else { Saving::default() };
            saved = Some(Saved::after(saved, seen, 0, n * 10));
        }
        let saved = saved.unwrap();
        assert_eq!((saved.not.len(), saved.not[0].from), (MOST, 20));
    }
}
