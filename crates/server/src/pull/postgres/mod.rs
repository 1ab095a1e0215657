//! The way out to a database: one session per run, on threads that may block.
//!
//! [`line`] is the connection, [`talk`] what is said over it. Beside sockets and TLS nothing is decided here: what is asked
//! is `systems::pull::sql`'s matter.
//!
//! Not `tokio-postgres`: a task per connection and a bridge to TLS are much for a session that asks one question after
//! another, and it turns on a feature of `tokio-util` with which all of DataFusion is built anew. Its own
//! `postgres-protocol` is what is used of it.

mod line;
mod talk;

use line::{Line, Patience};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use systems::pull::Trouble;
use systems::pull::sql::{Database, Rows, Statement};
use talk::Talk;

/// From the connection to the last row of an answer. The server itself ends a statement after 30 s.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked whether anybody still waits.
const BEAT: Duration = Duration::from_millis(200);

/// A client of one database.
#[derive(Clone)]
pub(super) struct Postgres {
    database: Arc<Database>,
    session: Arc<Mutex<Option<Talk<Line>>>>,
}

/// Whether a text is certificates to believe.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn check_ca(pem: &str) -> Result<(), &'static str> {
    line::authorities(pem).map(drop)
}

impl Postgres {
    pub(super) fn new(database: Database) -> Postgres {
        Postgres { database: Arc::new(database), session: Arc::default() }
    }

    /// Runs a statement. `None` where `goes_on` said no before there was an answer: the connection is closed then.
    pub(super) async fn query(
        &self,
        statement: Statement,
        goes_on: impl Fn() -> bool,
    ) -> Option<Result<Rows, Trouble>> {
        let given_up = Arc::new(AtomicBool::new(false));
        let patience = Patience { until: Instant::now() + PATIENCE, given_up: Arc::clone(&given_up) };
        let this = self.clone();
        let mut work = tokio::task::spawn_blocking(move || this.run(&statement, &patience));
        loop {
            match tokio::time::timeout(BEAT, &mut work).await {
                Ok(done) => {
                    let broken_off = |_| Err(Trouble::Later(None, "the request was broken off here".into()));
                    return Some(done.unwrap_or_else(broken_off));
                }
                Err(_) if goes_on() => {}
                Err(_) => {
                    given_up.store(true, Ordering::Relaxed);
                    return None;
                }
            }
        }
    }

    fn run(&self, statement: &Statement, patience: &Patience) -> Result<Rows, Trouble> {
        // Taken out, and put back only where the session is as it should be.
        let kept = self.session.lock().take();
        let mut talk = match kept {
            Some(mut talk) => {
                talk.stream_mut().be_patient(patience);
                talk
            }
            None => Talk::start(Line::open(&self.database, patience)?, &self.database)?,
        };
        let rows = talk.run(statement)?;
        if !rows.cut {
            *self.session.lock() = Some(talk);
        }
        Ok(rows)
    }
}
