//! Whether a request's client is still there.
//!
//! A client that closes its connection and one that has said all it has to say and waits look the same: no more bytes will come. The
//! second gets its answer. So whoever works long for a request looks now and then, and once its client has closed its side, goes on
//! for a while only. Not here: the connection itself ([`crate::connections`]), what is stopped ([`crate::read`]).

use parking_lot::Mutex;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// How long work goes on for a client that has closed its side.
pub const GRACE: Duration = Duration::from_secs(5);

/// The connection that a request came over.
#[derive(Clone, Debug)]
pub struct Client(pub Arc<Mutex<TcpStream>>);

impl Client {
    fn has_closed(&self) -> bool {
        let stream = self.0.lock();
        let ready = pin!(stream.ready(Interest::READABLE));
        match ready.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(ready)) => ready.is_read_closed(),
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }
}

tokio::task_local! {
    /// The client of the request being answered.
    pub static CLIENT: Option<Client>;
}

/// Returns when the client of the request being answered has closed its side and some time has passed; never where there is none.
pub async fn client() {
    let Ok(Some(client)) = CLIENT.try_with(Clone::clone) else { return std::future::pending().await };
    while !client.has_closed() {
        tokio::time::sleep(LOOK).await;
    }
    tokio::time::sleep(GRACE).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_client_that_is_there_is_told_from_one_that_has_closed_its_side() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut theirs = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let client = Client(Arc::new(Mutex::new(listener.accept().await.unwrap().0)));
        assert!(!client.has_closed());
        // What nobody has read yet is no end.
        theirs.write_all(b"GET / HTTP/1.1").await.unwrap();
        client.0.lock().try_read(&mut [0; 1]).ok();
        assert!(!client.has_closed());
        theirs.shutdown().await.unwrap();
        while !client.has_closed() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
