//! Comparing: what the source still has of a past span, asked for again and taken in again. What is here already is a
//! duplicate; what is not was missing, and is filled by that. What cannot be had or stored is a gap.
//!
//! Only when a whole window was walked is it marked as checked: from then on it can be said of that span that nothing is
//! missing, but for its gaps.

use super::plan::SECOND;
use super::walk::{End, Took, Walk};
use catalog::SourceSpan;
use systems::pull::Window;

/// Compares `span`, oldest window first.
pub(super) async fn compare(walk: &mut Walk, span: Window, total: &mut Took) -> Result<(), End> {
    walk.look_at_saving().await?;
    let mut from = span.from.max(walk.oldest());
    loop {
        // Of what it removed by then nothing can be said.
        from = from.max(walk.kept());
        if from >= span.to {
            break;
        }
        let end = from.saturating_add(walk.pull.step().saturating_mul(SECOND)).min(span.to);
        let window = Window { from, to: end };
        let mut took = Took::default();
        for stream in walk.streams() {
            stream_of(walk, stream, window, &mut took).await?;
        }
        // Told here and not while fetching, which goes over the newest records again and again.
        if took.refused > 0 {
            let cause = format!("{} records cannot be stored; indelible_records_rejected_total says why", took.refused);
            walk.gap(window, &cause).await?;
        }
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
            gap: None,
        };
        if from < settled {
            walk.app
                .store()
                .catalog()
                .add_span(&checked, Some(walk.source.created_at))
                .map_err(|e| End::Ours(e.to_string()))?;
        }
        total.theirs += took.theirs;
        total.fresh += took.fresh;
        total.refused += took.refused;
        from = end;
        if let Some(task) = &mut walk.task {
            let (done, all) = (from.saturating_sub(span.from), span.to.saturating_sub(span.from).max(1));
            let percent = u8::try_from(done.saturating_mul(100) / all).unwrap_or(99).min(99);
            task.progress(percent, &format!("{} records compared, {} were missing", total.theirs, total.fresh));
        }
    }
    Ok(())
}

/// One stream of one window.
async fn stream_of(walk: &mut Walk, name: &'static str, window: Window, sum: &mut Took) -> Result<(), End> {
    let mut next = None;
    loop {
        walk.go_on()?;
        let mut page = walk.page(name, window, next.as_deref()).await?;
        let took = walk.take(&mut page).await?;
        walk.tell_lost(&page).await?;
        walk.save(took, false)?;
        sum.theirs += took.theirs;
        sum.fresh += took.fresh;
        sum.refused += took.refused;
        if let Some(seconds) = page.wait {
            walk.wait(seconds, true).await?;
        }
        next = page.next;
        if next.is_none() {
            return Ok(());
        }
    }
}
