//! Bodies, of requests and of answers: how many bytes of them are in memory at once, and how long a client may
//! take over them.
//!
//! A request's body is read here, before its handler runs, and counts against a budget until the last byte of it
//! is let go; so does an answer until it is written. Who brings no valid key has no body kept, and no long one read, save for a
//! source that signs what it sends, and then a small one. Not here: how much of the budget is whose ([`crate::room`]),
//! what is in a body, and connections without a request ([`crate::connections`]).
//!
//! A body has its declared length counted before it is read: bodies that were let in half could wait for each other's other half. It
//! has to come as fast as will do, then: above 256 KiB that is, after 5 s, evenly over `client_seconds`, or faster. Of 16 MiB in 60 s
//! that is 280 KiB/s, and one that stops is let go of after 5 s and not after 60. Small ones hold next to nothing and take their time.

use crate::app::App;
use crate::auth;
use crate::intake::MAX_BATCH;
use crate::otlp;
use crate::problem::Problem;
use crate::push;
use crate::room::{BODIES, Held, Room, WHOSE, Whose};
use axum::body::{Body, BodyDataStream, Bytes, HttpBody, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use event::size;
use std::time::Duration;
use tokio_stream::StreamExt;

/// Bytes of request bodies in memory at once: sixteen of the largest.
pub const REQUEST_BYTES: usize = 256 << 20;
/// Bytes of answers that wait to be taken by their clients.
pub const ANSWER_BYTES: usize = 256 << 20;
/// Answers below this are not counted: 10,000 of them are 160 MiB.
const SMALL_ANSWER: usize = 16 << 10;
/// The unit in which both are counted, and what a body of unknown length is let in with; it grows by doubling.
const UNIT: usize = 1 << 10;
/// Room up to which nobody looks how fast a body comes, and how long it may take to get going.
const UNHURRIED: usize = 256 << 10;
const GRACE: Duration = Duration::from_secs(5);
/// Bytes of a refused body that are read and forgotten, so that its client gets to its answer.
const MOST_PASSED_OVER: usize = 4 * MAX_BATCH;
/// The same of who brings no valid key, and how long it may take: a body that is on its way does not end its connection, a
/// longer one is answered at once.
const SHORT: usize = 64 << 10;
const SHORT_PATIENCE: Duration = Duration::from_secs(1);
/// How long a request waits for room before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);

/// Room for bodies.
#[derive(Debug)]
pub struct Budget {
    requests: Room,
    answers: Room,
}

impl Default for Budget {
    fn default() -> Budget {
        let room = |bytes| Room::new(bytes, UNIT, BODIES, PATIENCE);
        Budget { requests: room(REQUEST_BYTES), answers: room(ANSWER_BYTES) }
    }
}

impl Budget {
    /// Bytes of requests and of answers that are counted now.
    pub fn used(&self) -> (usize, usize) {
        (self.requests.used(), self.answers.used())
    }
}

/// Bytes that count against a budget for as long as they live.
struct Counted {
    bytes: Bytes,
    _room: Held,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn counted(bytes: Bytes, room: Held) -> Bytes {
    Bytes::from_owner(Counted { bytes, _room: room })
}

/// Around every handler: reads the body of its request, and counts its answer.
pub async fn counted_both(State(app): State<App>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let (most, whose) = match auth::principal(&app, &parts.headers) {
        Ok(caller) => (MAX_BATCH, Whose::key(&caller.key_id, caller.tenant)),
        Err(_) if push::awaited(&app, parts.uri.path()) => (push::MAX_SIGNED, Whose::address(parts.uri.path())),
        // Without a valid key nothing is kept.
        Err(_) => (0, Whose::anybody()),
    };
    let body = if body.is_end_stream() {
        Body::empty()
    } else if most == 0 {
        // The handler says what is missing. Who asked whether to send the body at all is told so before it is sent.
        let short = body.size_hint().lower() <= SHORT as u64 && !parts.headers.contains_key(header::EXPECT);
        let all = short && pass_over(&mut body.into_data_stream(), SHORT, SHORT_PATIENCE).await;
        let response = next.run(Request::from_parts(parts, Body::empty())).await;
        return if all { response } else { last(response) };
    } else {
        match read(&app, &whose, body, most).await {
            Ok(bytes) => Body::from(bytes),
            Err(problem) => return last(otlp::unread(parts.uri.path(), &parts.headers, problem)),
        }
    };
    let response = WHOSE.scope(whose.clone(), next.run(Request::from_parts(parts, body))).await;
    let Some(size) = response.body().size_hint().exact().filter(|n| *n > SMALL_ANSWER as u64) else { return response };
    let Some(room) = app.bodies.answers.hold(&whose, usize::try_from(size).unwrap_or(usize::MAX)).await else {
        return Problem::busy("too many large answers wait to be taken by their clients; ask again", 1).into_response();
    };
    let (parts, body) = response.into_parts();
    match to_bytes(body, usize::MAX).await {
        Ok(bytes) => Response::from_parts(parts, Body::from(counted(bytes, room))),
        Err(e) => Problem::internal("the answer could not be made", &e).into_response(),
    }
}

/// An answer after which the connection is closed: the rest of a body may still come, and is no next request.
fn last(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn read(app: &App, whose: &Whose, body: Body, most: usize) -> Result<Bytes, Problem> {
    let hint = body.size_hint();
    let mut frames = body.into_data_stream();
    let read = read_frames(app, whose, (hint.lower(), hint.exact()), most, &mut frames).await;
    if read.is_err() && hint.lower() <= MOST_PASSED_OVER as u64 {
        pass_over(&mut frames, MOST_PASSED_OVER, PATIENCE.min(app.options.client_patience)).await;
    }
    read
}

/// Reads what comes and forgets it, within bounds: a client that is still sending may not look for an answer before it is done.
/// Whether that was the whole body.
async fn pass_over(frames: &mut BodyDataStream, most: usize, patience: Duration) -> bool {
    let all = async {
        let mut left = most;
        while let Some(frame) = frames.next().await {
            let Ok(frame) = frame else { return false };
            let Some(after) = left.checked_sub(frame.len()) else { return false };
            left = after;
        }
        true
    };
    tokio::time::timeout(patience, all).await.unwrap_or(false)
}

async fn read_frames(
    app: &App,
    whose: &Whose,
    (at_least, declared): (u64, Option<u64>),
    most: usize,
    frames: &mut BodyDataStream,
) -> Result<Bytes, Problem> {
    let patience = app.options.client_patience;
    let too_slow = |_| {
        let said = format!(
            "the body did not arrive within {} s, or came too slowly to; nothing was stored, send it again, in smaller parts",
            patience.as_secs()
        );
        Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", said)
    };
    let busy = || Problem::busy("too many bodies are being received; nothing was stored, send it again", 1);
    let declared = declared.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    if at_least > most as u64 {
        return Err(larger_than(most));
    }
    let rooms = &app.bodies.requests;
    let mut held = rooms.hold(whose, declared.unwrap_or(UNIT)).await.ok_or_else(busy)?;
    let mut out = Vec::with_capacity(declared.unwrap_or(0));
    let started = tokio::time::Instant::now();
    while let Some(frame) = tokio::time::timeout_at(started + due(patience, out.len(), held.amount()), frames.next())
        .await
        .map_err(too_slow)?
    {
        let frame = frame.map_err(|_| {
            Problem::bad("incomplete_body", "the body ended before it was complete; nothing was stored, send it again")
        })?;
        if out.len() + frame.len() > most {
            return Err(larger_than(most));
        }
        let need = out.len() + frame.len();
        if need > held.amount() {
            // Doubled, so that a long body asks a few times only.
            let more = (need - held.amount()).max(held.amount()).min(MAX_BATCH);
            if !rooms.grow(&mut held, more).await {
                return Err(busy());
            }
        }
        out.extend_from_slice(&frame);
    }
    Ok(counted(Bytes::from(out), held))
}

/// When more of a body is to be there, of which so many bytes came in room for so many.
fn due(patience: Duration, came: usize, held: usize) -> Duration {
    if held <= UNHURRIED {
        return patience;
    }
    (GRACE + patience.mul_f64(came as f64 / held as f64)).min(patience)
}

/// 413 for a body over the limit.
pub fn too_large() -> Problem {
    larger_than(MAX_BATCH)
}

fn larger_than(most: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "batch_too_large",
        format!("the body is larger than the limit of {}; nothing was stored, send it in parts", size::in_words(most)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_body_has_to_come_evenly_and_a_small_one_within_the_time() {
        let (minute, large) = (Duration::from_secs(60), 16 << 20);
        assert_eq!(due(minute, 0, UNHURRIED), minute);
        assert_eq!(due(minute, 0, large), GRACE);
        assert_eq!(due(minute, large / 2, large), GRACE + minute / 2);
        assert_eq!(due(minute, large, large), minute);
        assert_eq!(due(Duration::from_secs(2), 0, large), Duration::from_secs(2));
    }
}
