//! Turns to read: how many queries run at a time, whose they are, and when one ends before it is answered.
//!
//! Not here: what is asked ([`crate::read`]), the parts of it all ([`crate::room`]), how a query ends (`query::Deadline`).

use crate::app::App;
use crate::gone;
use crate::problem::Problem;
use crate::room::{Held, Whose};
use query::{Deadline, Engine};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// How long a read waits for its turn.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A turn to read. Nobody waits for ever behind what others ask for, and nobody's queries take all turns.
pub(crate) async fn turn(app: &App) -> Result<(Held, OwnedSemaphorePermit), Problem> {
    let busy = || Problem::busy("too many queries are being answered; come back in a moment", 5);
    let held = app.queries.hold(&Whose::now(), 1).await.ok_or_else(busy)?;
    match tokio::time::timeout(PATIENCE, app.reads.clone().acquire_owned()).await {
        Ok(turn) => Ok((held, turn.map_err(|e| Problem::internal("the server is stopping", &e))?)),
        Err(_) => Err(busy()),
    }
}

/// Stops a query when whoever asked it is gone.
struct Asked(Deadline);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Runs blocking work on a thread that may block, a bounded number at a time. What it asks of the engine that it is given ends when
/// its time is over or its client gone.
pub(crate) async fn blocking<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&App, &Engine) -> query::Result<T> + Send + 'static,
) -> Result<T, Problem> {
    let turn = turn(app).await?;
    let asked = Asked(Deadline::after(app.options.query_time));
    let (shared, engine) = (app.clone(), app.engine.within(&asked.0));
    let mut work = tokio::task::spawn_blocking(move || {
        // Held as long as there is work, also where nobody waits for it any more.
        let _turn = turn;
        work(&shared, &engine)
    });
    let done = tokio::select! {
        done = &mut work => done,
        () = gone::client() => {
            asked.0.stop();
            work.await
        }
    };
    done.map_err(|e| Problem::internal("the query failed", &e))?.map_err(Into::into)
}
