//! Connections: how many there are, how long a client may take, and their orderly end.
//!
//! Owns accepting. A connection beyond the limit, or beyond its address's share of it ([`crate::shares`]), is told so and
//! closed; one whose client sends no header, takes no byte of its answer, or asks nothing for `client_patience`, is closed.
//! Not here: bodies ([`crate::body`]) and what is asked ([`crate::router`]).

use crate::app::{App, router};
use crate::gone::Client;
use crate::shares::Shares;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Sleep;
use tower::ServiceExt;

/// Bytes of a request line and headers, and of what is read ahead per connection.
const BUFFER: usize = 64 << 10;
/// Connections that are being told that there are too many; more are closed without a word.
const REFUSED_AT_ONCE: usize = 64;
/// How long what a client still sends is read and forgotten after the last answer, and how many bytes of it.
const LINGERS: Duration = Duration::from_secs(5);
const LINGERS_BYTES: usize = 64 << 20;
/// Bytes of that in memory at a time: very many connections can end at once.
const LINGERS_BUFFER: usize = 8 << 10;
/// After this the system has no more connections to give: out of files or memory.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Accepts and serves connections, at most `most` at a time, until `stop`; then open requests are finished.
pub async fn serve(listener: TcpListener, app: App, most: usize, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(most));
    let shares = Shares::new(most, app.options.connections_per_address, app.options.trusted_proxies.clone());
    let refusals = Arc::new(Semaphore::new(REFUSED_AT_ONCE));
    // Every connection holds one end of this: when all are dropped, none is left.
    let (alive, mut all_gone) = tokio::sync::mpsc::channel::<()>(1);
    let routes = router(app.clone());
    let open = metrics::gauge!("indelible_connections");
    let refused = metrics::counter!("indelible_connections_refused_total");
    open.set(0.0);
    refused.absolute(0);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                if !matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
                    tracing::error!(error = %e, "a connection could not be accepted");
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
                continue;
            }
        };
        let share = shares.take(peer.ip());
        let Some(place) = share.and_then(|share| Some((share, Arc::clone(&places).try_acquire_owned().ok()?))) else {
            refused.increment(1);
            if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                let id = app.ids.next(app.store().now());
                tracing::debug!(request_id = id, "a connection was refused: there are too many");
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(Duration::from_secs(1), refuse(stream, &id)).await;
                    drop(permit);
                });
            }
            continue;
        };
        let (routes, stop, alive, open) = (routes.clone(), stop.clone(), alive.clone(), open.clone());
        let patience = app.options.client_patience;
        open.increment(1.0);
        tokio::spawn(async move {
            connection(stream, peer, routes, patience, stop).await;
            open.decrement(1.0);
            drop((place, alive));
        });
    }
    // Streams never end by themselves.
    app.stopping.send_replace(true);
    drop((listener, alive));
    let _ = all_gone.recv().await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    routes: axum::Router,
    patience: Duration,
    mut stop: watch::Receiver<bool>,
) {
    // Answers are written whole: waiting for more to send would only hold the last part up.
    let _ = stream.set_nodelay(true);
    let stream = Arc::new(Mutex::new(stream));
    let client = Client(Arc::clone(&stream));
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(client.clone());
        Box::pin(routes.clone().oneshot(request))
    });
    let mut http = http1::Builder::new();
    // The time to the end of the next request's header: it bounds slow headers and idle connections alike.
    http.timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(BUFFER);
    // A client that has said all it has to say still gets its answer.
    http.half_close(true);
    let io = TokioIo::new(Patient { stream, patience, stalled: None });
    let mut serving = http.serve_connection(io, service);
    let done = tokio::select! {
        done = poll_fn(|cx| serving.poll_without_shutdown(cx)) => done,
        () = stopped(&mut stop) => {
            Pin::new(&mut serving).graceful_shutdown();
            poll_fn(|cx| serving.poll_without_shutdown(cx)).await
        }
    };
    if let Err(e) = done {
        tracing::debug!(error = %e, "a connection ended early");
        return;
    }
    let stream = serving.into_parts().io.into_inner().stream;
    // The requests are answered, and have let go of it.
    let Some(mut stream) = Arc::into_inner(stream).map(Mutex::into_inner) else { return };
    let lingers = async {
        tokio::select! {
            _ = forget_the_rest(&mut stream) => {}
            () = stopped(&mut stop) => {}
        }
    };
    let _ = tokio::time::timeout(LINGERS.min(patience), lingers).await;
}

/// Says that no more is coming, and reads what still comes until the client closes too. Closed at once, a connection with unread
/// bytes is reset, and a client that is still sending a body which was refused never sees why.
async fn forget_the_rest(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = Vec::with_capacity(LINGERS_BUFFER);
    let mut left = LINGERS_BYTES;
    while left > 0 {
        rest.clear();
        match stream.read_buf(&mut rest).await? {
            0 => break,
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}

/// Returns when the server is to stop, or whoever could say so is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|s| *s).await;
}

/// Says that there are too many connections, and reads what was sent so that the answer is not lost.
async fn refuse(mut stream: TcpStream, id: &str) -> io::Result<()> {
    let body = format!(
        r#"{{"type":"about:blank","title":"Service Unavailable","status":503,"code":"too_many_connections","detail":"the server has as many connections as it takes; close idle ones, or come back in a moment","request_id":"{id}","errors":[]}}"#
    );
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\nRetry-After: 1\r\nX-Request-Id: {id}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    forget_the_rest(&mut stream).await
}

/// A connection that fails when its client takes nothing of what is written for too long. The stream is behind a lock that nobody
/// else wants for long: a request that takes its time looks whether its client is still there.
struct Patient {
    stream: Arc<Mutex<TcpStream>>,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let timer = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.lock()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.stream.lock()).poll_write(cx, data);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut *self.stream.lock()).poll_write_vectored(cx, parts);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.lock().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.lock()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.stream.lock()).poll_shutdown(cx)
    }
}
