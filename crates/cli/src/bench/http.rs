//! A client of HTTP/1.1 that costs nearly nothing, so that what is measured is the server.
//!
//! Owns: one kept-alive connection, lengths and chunks, one new try when a kept connection turns out to be closed. Not here:
//! TLS, redirects, compression; what an answer means (`load`, `queries`).

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::Fault;

/// Where the server is and how to be let in.
#[derive(Clone, Debug)]
pub struct Target {
    /// `host:port`.
    pub address: String,
    /// The key sent with every request; empty for none.
    pub key: String,
}

impl Target {
    /// Reads `http://host:port`.
    ///
    /// # Errors
    /// Any other kind of address.
    pub fn new(url: &str, key: &str) -> Result<Target, Fault> {
        let address =
            url.strip_prefix("http://").ok_or_else(|| format!("{url:?}: the load speaks plain http:// only"))?;
        let address = address.trim_end_matches('/');
        if address.contains('/') || !address.contains(':') {
            return Err(format!("{url:?}: expected http://host:port").into());
        }
        Ok(Target { address: address.to_owned(), key: key.trim().to_owned() })
    }
}

/// An answer, its body whole.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Seconds of `Retry-After`.
    pub retry_after: Option<f64>,
    /// The body.
    pub body: Vec<u8>,
    keep: bool,
}

impl Answer {
    /// The start of the body, for an error message.
    pub fn excerpt(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(300).collect()
    }
}

/// One connection, opened when first needed.
#[derive(Debug)]
pub struct Client {
    target: Target,
    stream: Option<TcpStream>,
    head: Vec<u8>,
    /// Bytes received and not yet used.
    rest: Vec<u8>,
}

impl Client {
    /// A client of `target`.
    pub fn new(target: &Target) -> Client {
        Client { target: target.clone(), stream: None, head: Vec::new(), rest: Vec::new() }
    }

    /// Sends a request and waits for the whole answer. A kept connection that the server has closed is opened again once;
    /// that may send a request twice, which records' ids make harmless.
    ///
    /// # Errors
    /// The connection fails, or the answer is not HTTP.
    pub fn send(&mut self, method: &str, path: &str, kind: &str, body: &[u8]) -> io::Result<Answer> {
        let kept = self.stream.is_some();
        match self.attempt(method, path, kind, body) {
            Err(_) if kept => self.attempt(method, path, kind, body),
            done => done,
        }
    }

    fn attempt(&mut self, method: &str, path: &str, kind: &str, body: &[u8]) -> io::Result<Answer> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                self.rest.clear();
                let stream = TcpStream::connect(&self.target.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(Duration::from_secs(300)))?;
                stream
            }
        };
        self.head.clear();
        write!(self.head, "{method} {path} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n", self.target.address)?;
        if !self.target.key.is_empty() {
            write!(self.head, "Authorization: Bearer {}\r\n", self.target.key)?;
        }
        if !kind.is_empty() {
            write!(self.head, "Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len())?;
        }
        self.head.extend_from_slice(b"\r\n");
        if body.len() < 16 * 1024 {
            self.head.extend_from_slice(body);
            stream.write_all(&self.head)?;
        } else {
            stream.write_all(&self.head)?;
            stream.write_all(body)?;
        }
        let answer = self.receive(&mut stream)?;
        if answer.keep {
            self.stream = Some(stream);
        }
        Ok(answer)
    }

    fn receive(&mut self, stream: &mut TcpStream) -> io::Result<Answer> {
        let end = loop {
            if let Some(at) = self.rest.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more(stream)?;
        };
        let head = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest.drain(..end);
        let mut lines = head.split("\r\n");
        let status =
            lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")).and_then(|line| line.get(..3)?.parse().ok());
        let mut answer = Answer {
            status: status.ok_or_else(|| bad("no status line"))?,
            retry_after: None,
            body: Vec::new(),
            keep: true,
        };
        let (mut length, mut chunked) = (0_usize, false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().map_err(|_| bad("content-length"))?,
                "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
                "connection" => answer.keep = !value.eq_ignore_ascii_case("close"),
                "retry-after" => answer.retry_after = value.parse().ok(),
                _ => {}
            }
        }
        if !chunked {
            answer.body = self.take(stream, length)?;
            return Ok(answer);
        }
        loop {
            let end = loop {
                if let Some(at) = self.rest.windows(2).position(|two| two == b"\r\n") {
                    break at;
                }
                self.more(stream)?;
            };
            let size = String::from_utf8_lossy(&self.rest[..end]).into_owned();
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
                .map_err(|_| bad("chunk size"))?;
            self.rest.drain(..end + 2);
            let chunk = self.take(stream, size + 2)?;
            answer.body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                return Ok(answer);
            }
        }
    }

    /// Exactly `length` bytes.
    fn take(&mut self, stream: &mut TcpStream, length: usize) -> io::Result<Vec<u8>> {
        while self.rest.len() < length {
            self.more(stream)?;
        }
        let later = self.rest.split_off(length);
        Ok(std::mem::replace(&mut self.rest, later))
    }

    fn more(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        match stream.read(&mut piece)? {
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed the connection before it had answered",
            )),
            read => {
                self.rest.extend_from_slice(&piece[..read]);
                Ok(())
            }
        }
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not an answer in HTTP/1.1: {what}"))
}

/// `text` as it may stand in a query string.
pub fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers each request on one connection with the next of `answers`, then closes it.
    fn server(answers: &'static [&'static str]) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for answer in answers {
                let mut seen = [0; 4096];
                let _ = stream.read(&mut seen).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        Target { address, key: "k".into() }
    }

    #[test]
    fn lengths_and_chunks_are_read_on_one_connection() {
        let target = server(&[
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ]);
        let mut client = Client::new(&target);
        let first = client.send("GET", "/", "", b"").unwrap();
        assert_eq!((first.status, first.body.as_slice(), first.retry_after), (200, b"ok".as_slice(), None));
        let second = client.send("GET", "/", "", b"").unwrap();
        assert_eq!((second.status, second.body.as_slice(), second.retry_after), (503, b"abcde".as_slice(), Some(2.0)));
        assert_eq!(client.send("GET", "/", "", b"").unwrap().status, 200);
        assert!(client.stream.is_none());
    }

    #[test]
    fn addresses_are_checked() {
        assert_eq!(Target::new("http://127.0.0.1:7440/", "k\n").unwrap().address, "127.0.0.1:7440");
        assert!(Target::new("https://127.0.0.1:7440", "").is_err());
        assert!(Target::new("http://127.0.0.1:7440/v1", "").is_err());
        assert_eq!(percent("email:\"a b@x\""), "email%3A%22a%20b%40x%22");
    }
}
