//! Comparing: what the source still has of a past span, asked for again and taken in again. What is here already is a
//! duplicate; what is not was missing, and is filled by that. What cannot be had or stored is a gap.
//!
//! Only when a whole window was walked is it marked as checked: from then on it can be said of that span that nothing is
//! missing, but for its gaps. A gap that was walked over with nothing of it missing is filled ([`filled`](super::filled)); a few of
//! those that are open are looked at again with every comparison.

use super::filled::Open;
use super::large::whole;
use super::plan::SECOND;
use super::walk::{End, Took, Walk};
use catalog::SourceSpan;
use systems::pull::Window;

/// Gaps that are looked at again with one comparison.
const AGAIN: usize = 5;

/// Compares `span`, oldest window first.
pub(super) async fn compare(walk: &mut Walk, span: Window, total: &mut Took) -> Result<(), End> {
    walk.look_at_saving().await?;
    walk.tells_refused = true;
    let mut from = span.from.max(walk.oldest());
    walk.open = Open::of(walk.gaps(Window { from, ..span })?, Window { from, ..span });
    loop {
        // Of what it removed by then nothing can be said.
        if from < walk.kept() {
            from = walk.kept();
            walk.open.from(from);
        }
        if from >= span.to {
            break;
        }
        let end = from.saturating_add(walk.pull.step().saturating_mul(SECOND)).min(span.to);
        let window = Window { from, to: end };
        let mut took = Took::default();
        let streams = walk.streams();
        for (nth, stream) in streams.iter().enumerate() {
            let meter = Meter { span, window, nth, streams: streams.len(), before: *total };
            stream_of(walk, stream, &meter, &mut took).await?;
        }
        walk.tell_left_out().await?;
        // Told here and not while fetching, which goes over the newest records again and again.
        walk.tell_refused(window).await?;
        // What is younger may still get records, and is looked at once more when it is settled.
        let settled = end.min(walk.now().saturating_sub(walk.plan.settle.saturating_mul(SECOND)));
        let checked = SourceSpan {
            tenant: walk.tenant.number,
            name: walk.source.name.clone(),
            from,
            to: settled,
            checked_at: walk.now(),
            records: took.theirs,
            filled: took.fresh,
        };
        if from < settled {
            walk.app
                .store()
                .catalog()
                .add_span(&checked, Some(walk.source.created_at))
                .map_err(|e| End::Ours(e.to_string()))?;
        }
        walk.tell_filled(settled).await?;
        total.theirs += took.theirs;
        total.fresh += took.fresh;
        total.refused += took.refused;
        from = end;
    }
    Ok(())
}

/// Looks at a few of the gaps again, other ones each time: what fills them may have been sent here since, or the source may give
/// now what it did not.
pub(super) async fn look_again(walk: &mut Walk, turn: usize, total: &mut Took) -> Result<(), End> {
    let settled = walk.now().saturating_sub(walk.plan.settle.saturating_mul(SECOND));
    let from = walk.plan.since.max(walk.oldest()).max(walk.kept());
    let mut open = walk.gaps(Window { from, to: settled })?;
    open.retain(|gap| gap.filled.is_none() && gap.from >= from && gap.to <= settled);
    let (all, begin) = (open.len(), turn.saturating_mul(AGAIN));
    for gap in open.into_iter().cycle().skip(begin % all.max(1)).take(all.min(AGAIN)) {
        compare(walk, whole(Window { from: gap.from, to: gap.to }), total).await?;
    }
    Ok(())
}

/// How far a comparison is.
struct Meter {
    /// All that is compared.
    span: Window,
    /// The window that is, in one stream after the other.
    window: Window,
    nth: usize,
    streams: usize,
    /// What came before this window.
    before: Took,
}

impl Meter {
    /// Tells of it, with this stream of the window compared up to `at`.
    fn tell(&self, walk: &mut Walk, at: i64, took: &Took) {
        let Some(task) = &mut walk.task else { return };
        let length = self.window.to.saturating_sub(self.window.from).max(0);
        let streams = i64::try_from(self.streams.max(1)).unwrap_or(1);
        let nth = i64::try_from(self.nth).unwrap_or(0);
        let inside = (length.saturating_mul(nth)).saturating_add(at.saturating_sub(self.window.from)) / streams;
        let done = self.window.from.saturating_sub(self.span.from).saturating_add(inside).max(0);
        let all = self.span.to.saturating_sub(self.span.from).max(1);
        let percent = u8::try_from(done.saturating_mul(100) / all).unwrap_or(99).min(99);
        // Gone on with after a stop it begins anew; what was shown before stays until it is past that.
        let percent = percent.max(task.job.percent);
        let (theirs, fresh) = (self.before.theirs + took.theirs, self.before.fresh + took.fresh);
        task.progress(percent, &format!("{theirs} records compared, {fresh} were missing"));
    }
}

/// One stream of one window, in parts where an answer with all of it is too large.
async fn stream_of(walk: &mut Walk, name: &'static str, meter: &Meter, sum: &mut Took) -> Result<(), End> {
    let mut from = meter.window.from;
    while from < meter.window.to {
        let part = Window { from, to: walk.end_of(from).min(meter.window.to) };
        from = match pages(walk, name, part, meter, sum).await {
            Err(End::TooLarge) if walk.narrow(part) => from,
            Err(End::TooLarge) => walk.skip(part)?,
            ended => {
                ended?;
                walk.widen();
                part.to
            }
        };
    }
    Ok(())
}

async fn pages(walk: &mut Walk, name: &'static str, window: Window, meter: &Meter, sum: &mut Took) -> Result<(), End> {
    let mut next = None;
    loop {
        walk.go_on()?;
        let mut page = walk.page(name, window, next.as_deref()).await?;
        walk.tell_skipped().await?;
        let took = walk.take(&mut page).await?;
        walk.tell_lost(&page).await?;
        walk.save(took, false)?;
        sum.theirs += took.theirs;
        sum.fresh += took.fresh;
        sum.refused += took.refused;
        if let Some(seconds) = page.wait {
            walk.wait(seconds, true).await?;
        }
        let at = if page.next.is_none() { window.to } else { window.from.saturating_add(page.passed.unwrap_or(0)) };
        meter.tell(walk, at.min(window.to), sum);
        next = page.next;
        if next.is_none() {
            return Ok(());
        }
    }
}
