//! What a system has in one page, and is more than is read of one answer: asked for in smaller parts.
//!
//! Owns how many records a page is asked for with and how long a window is. First pages have fewer records, down to one; then windows
//! become shorter, down to the millisecond in which the record lies that is too large by itself. That one is told of as a gap, and
//! what is behind it is asked for. Both grow again with what can be read.

use super::plan::SECOND;
use super::walk::{End, Walk};
use crate::intake::MAX_BATCH;
use systems::pull::{Page, Pull, Trouble, Window, size};

/// The shortest window: systems know no smaller part of time.
const SHORTEST: i64 = 1_000;

/// How large windows and pages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Large {
    /// Microseconds of a window.
    window: i64,
    /// Records of a page, where fewer than usual can be asked for, and usually.
    page: Option<(usize, usize)>,
}

/// Windows that are left out one after another. More are no records that are too large: everything that is answered is.
const MOST_SKIPPED: usize = 3;

impl Large {
    pub(super) fn of(pull: &dyn Pull) -> Large {
        Large { window: full(pull), page: pull.most().map(|most| (most, most)) }
    }
}

fn all_too_large() -> End {
    let why = "every answer is larger than 16 MiB; check `url`, and what stands before the system";
    End::Trouble(Trouble::Later(None, why.into()))
}

fn full(pull: &dyn Pull) -> i64 {
    pull.step().saturating_mul(SECOND)
}

/// The window from the beginning of its first millisecond to the end of its last.
pub(super) fn whole(window: Window) -> Window {
    Window { from: floor(window.from), to: floor(window.to.saturating_add(SHORTEST - 1)) }
}

fn floor(at: i64) -> i64 {
    at.div_euclid(SHORTEST).saturating_mul(SHORTEST)
}

impl Walk {
    /// Where a window ends that begins there: at a whole millisecond, or the shortest would never be.
    pub(super) fn end_of(&self, from: i64) -> i64 {
        floor(from.saturating_add(self.large.window))
    }

    /// A window was read to its end: the next one may be longer.
    pub(super) fn widen(&mut self) {
        self.large.window = self.large.window.saturating_mul(2).min(full(self.pull));
    }

    /// Makes windows shorter than this one, by much: what lies before the record that is too large is asked for again each time, and
    /// windows grow again by themselves. `false` where it is as short as can be.
    pub(super) fn narrow(&mut self, window: Window) -> bool {
        let parts = (window.to.saturating_add(SHORTEST - 1) - floor(window.from)) / SHORTEST;
        self.large.window = (parts / 16).max(1).saturating_mul(SHORTEST);
        parts > 1
    }

    /// Leaves out a window that cannot be made any shorter. Says where it ends. It is told of with the next page that can be read: where
    /// none can, it is no record that is too large.
    pub(super) fn skip(&mut self, window: Window) -> Result<i64, End> {
        if self.skipped.len() >= MOST_SKIPPED {
            return Err(all_too_large());
        }
        let from = floor(window.from);
        let lost = Window { from, to: window.to.max(from.saturating_add(SHORTEST)) };
        self.skipped.push(lost);
        Ok(lost.to)
    }

    /// A page could be read: tells of what was left out before it.
    pub(super) async fn tell_skipped(&mut self) -> Result<(), End> {
        self.readable = true;
        self.tell_left_out().await
    }

    /// All that was to be read was: tells of what was left out at its end, unless nothing could be read at all.
    pub(super) async fn tell_left_out(&mut self) -> Result<(), End> {
        if !self.readable && !self.skipped.is_empty() {
            return Err(all_too_large());
        }
        while let Some(lost) = self.skipped.first().copied() {
            self.gap(lost, "a record of this millisecond is larger than 16 MiB, the most that is read of one answer")
                .await?;
            self.skipped.remove(0);
        }
        Ok(())
    }

    /// Whether it is the first page of a window.
    pub(super) fn is_first(&self, page: Option<&str>) -> bool {
        self.large.page.map_or(page, |(_, usual)| size::of(page, usual).1).is_none()
    }

    /// What the page is asked for with: the first of a window with as many records as could be read last.
    pub(super) fn sized(&self, page: Option<&str>) -> Option<String> {
        match self.large.page {
            Some((most, usual)) if page.is_none() => size::with(most, usual, None),
            _ => page.map(str::to_owned),
        }
    }

    /// What the same page is asked for with where it is to have half as many records; `None` where it has one already.
    pub(super) fn smaller(&mut self, page: Option<&str>) -> Option<String> {
        let (_, usual) = self.large.page?;
        let (most, token) = size::of(page, usual);
        let less = most / 2;
        (less > 0).then_some(())?;
        self.large.page = Some((less, usual));
        size::with(less, usual, token)
    }

    /// The page; where it was a small one, the next has twice as many records.
    pub(super) fn grown(&mut self, page: Page) -> Page {
        let Some((last, usual)) = self.large.page else { return page };
        let next = page.next.as_deref().map(|next| size::of(Some(next), usual));
        let most = next.map_or(last, |(most, _)| most);
        if most >= usual || page.body.len() > MAX_BATCH / 4 {
            return page;
        }
        let more = most.saturating_mul(2).min(usual);
        self.large.page = Some((more, usual));
        let next = next.and_then(|(_, token)| size::with(more, usual, token));
        Page { next, ..page }
    }
}
