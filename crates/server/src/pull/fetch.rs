//! Fetching what is new: window after window up to now, page after page, the position saved behind each.
//!
//! A look that finds nothing new leaves no job behind. Where it brings records or fails, it is a job.

use super::FETCH;
use super::plan::SECOND;
use super::walk::{End, Took, Walk};
use systems::pull::{Trouble, Window};

/// Walks every stream of a source up to now.
pub(super) async fn catch_up(walk: &mut Walk, total: &mut Took) -> Result<(), End> {
    walk.set_right()?;
    walk.look_at_saving().await?;
    let mut way = Way::of(walk);
    for stream in walk.streams() {
        way.begin(walk, stream);
        while window(walk, stream, &way, total).await? {}
        way.end(walk);
    }
    Ok(())
}

/// How much time there is to be asked for in all streams, and how much of it lies behind.
struct Way {
    /// What was shown before, where the job is gone on with: that much of it is done already.
    shown: u8,
    all: i64,
    behind: i64,
    /// Where the stream began.
    began: i64,
}

impl Way {
    fn of(walk: &Walk) -> Way {
        let left = |name| walk.now().saturating_sub(walk.position.stream(name, walk.plan.since).from).max(0);
        let shown = walk.task.as_ref().map_or(0, |task| task.job.percent);
        Way { shown, all: walk.streams().into_iter().map(left).sum(), behind: 0, began: 0 }
    }

    fn begin(&mut self, walk: &Walk, stream: &str) {
        self.began = walk.position.stream(stream, walk.plan.since).from;
    }

    fn end(&mut self, walk: &Walk) {
        self.behind = self.behind.saturating_add(walk.now().saturating_sub(self.began).max(0));
    }

    /// Of 100, with the stream read up to `at`.
    fn percent(&self, at: i64) -> u8 {
        let done = self.behind.saturating_add(at.saturating_sub(self.began).max(0));
        let left = i64::from(100u8.saturating_sub(self.shown));
        let more = u8::try_from(done.saturating_mul(left) / self.all.max(1)).unwrap_or(99);
        self.shown.saturating_add(more).min(99)
    }
}

/// Walks one window, or the rest of the one that was under way. Says whether another follows.
async fn window(walk: &mut Walk, name: &'static str, way: &Way, total: &mut Took) -> Result<bool, End> {
    let now = walk.now();
    let mut stream = walk.position.stream(name, walk.plan.since);
    let (to, caught_up) = match (stream.to, stream.page.as_ref()) {
        (Some(to), Some(_)) => (to, false),
        _ => {
            let oldest = walk.oldest();
            if stream.from < oldest {
                // What was read already is not missing.
                let lost = Window { from: stream.from.max(stream.until), to: oldest };
                if lost.from < lost.to {
                    walk.gap(lost, "the source does not keep its records so long").await?;
                }
                stream.from = oldest;
            }
            let end = walk.end_of(stream.from);
            (end.min(now), end >= now)
        }
    };
    if to <= stream.from {
        return Ok(false);
    }
    let window = Window { from: stream.from, to };
    loop {
        walk.go_on()?;
        let asked = walk.page(name, window, stream.page.as_deref()).await;
        if matches!(asked, Err(End::Trouble(Trouble::Refused(_)))) && stream.page.is_some() {
            // A token may be good for a while only. The window is asked for again from its beginning; what is here already is a
            // duplicate.
            (stream.page, stream.to) = (None, None);
            walk.position.streams.insert(name.to_owned(), stream.clone());
            walk.save(Took::default(), true)?;
        }
        if matches!(asked, Err(End::TooLarge)) {
            (stream.page, stream.to) = (None, None);
            if !walk.narrow(window) {
                stream.from = walk.skip(window)?;
                stream.until = stream.until.max(stream.from);
            }
            walk.position.streams.insert(name.to_owned(), stream);
            if walk.skipped.is_empty() {
                walk.save(Took::default(), true)?;
            }
            return Ok(true);
        }
        let mut page = asked?;
        walk.tell_skipped().await?;
        let took = walk.take(&mut page).await?;
        if took.fresh > 0 {
            walk.ensure_task(FETCH, &format!("Fetch {}", walk.source.name), None).await?;
        }
        walk.tell_lost(&page).await?;
        let at = if page.next.is_none() { to } else { stream.from.saturating_add(page.passed.unwrap_or(0)).min(to) };
        stream.page = page.next;
        if stream.page.is_some() {
            stream.to = Some(to);
        } else {
            stream.to = None;
            walk.widen();
            stream.until = stream.until.max(to);
            // Once more over the last stretch with the next look, even of a window before this one: records come late.
            let back = walk.plan.overlap.saturating_mul(SECOND);
            stream.from = if caught_up { to.saturating_sub(back).max(walk.plan.since) } else { to };
        }
        walk.position.streams.insert(name.to_owned(), stream.clone());
        walk.save(took, true)?;
        total.theirs += took.theirs;
        total.fresh += took.fresh;
        total.refused += took.refused;
        if let Some(task) = &mut walk.task {
            let percent = way.percent(at);
            task.progress(percent, &format!("{} records, {} of them new", total.theirs, total.fresh));
        }
        if let Some(seconds) = page.wait {
            walk.wait(seconds, true).await?;
        }
        if stream.page.is_none() {
            return Ok(!caught_up);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_follows_the_time_that_was_asked_for_and_goes_on_where_it_was() {
        let mut way = Way { shown: 0, all: 400, behind: 0, began: 1000 };
        assert_eq!([999, 1000, 1020, 1200, 9999].map(|at| way.percent(at)), [0, 0, 5, 50, 99]);
        // The second of two streams begins where the first did.
        (way.behind, way.began) = (200, 1000);
        assert_eq!([1000, 1100].map(|at| way.percent(at)), [50, 75]);
        // Killed at 60: what is left then is the rest of it.
        let way = Way { shown: 60, all: 100, behind: 0, began: 1300 };
        assert_eq!([1300, 1350, 1400].map(|at| way.percent(at)), [60, 80, 99]);
    }
}
