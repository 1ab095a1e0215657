//! Fetching what is new: window after window up to now, page after page, the position saved behind each.
//!
//! A look that finds nothing new leaves no job behind. Where it brings records or fails, it is a job.

use super::FETCH;
use super::plan::SECOND;
use super::walk::{End, Took, Walk};
use systems::pull::{Trouble, Window};

/// Walks every stream of a source up to now.
pub(super) async fn catch_up(walk: &mut Walk, total: &mut Took) -> Result<(), End> {
    walk.look_at_saving().await?;
    let began = walk.position.until(&walk.streams(), walk.plan.since);
    for stream in walk.streams() {
        while window(walk, stream, began, total).await? {}
    }
    Ok(())
}

/// Walks one window, or the rest of the one that was under way. Says whether another follows.
async fn window(walk: &mut Walk, name: &'static str, began: i64, total: &mut Took) -> Result<bool, End> {
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
            let end = stream.from.saturating_add(walk.pull.step().saturating_mul(SECOND));
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
        let mut page = asked?;
        let took = walk.take(&mut page).await?;
        if took.fresh > 0 {
            walk.ensure_task(FETCH, &format!("Fetch {}", walk.source.name)).await?;
        }
        walk.tell_lost(&page).await?;
        stream.page = page.next;
        if stream.page.is_some() {
            stream.to = Some(to);
        } else {
            stream.to = None;
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
            let (done, all) = (to.saturating_sub(began).max(0), now.saturating_sub(began).max(1));
            let percent = u8::try_from(done.saturating_mul(100) / all).unwrap_or(99).min(99);
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
