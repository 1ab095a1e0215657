//! A small HTTP server that a test plays an identity system with: one thread per connection, one request per connection.
//!
//! It can answer, cut an answer off in the middle, or close without a word.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A request.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub authorization: String,
    pub body: String,
}

impl Asked {
    pub fn param(&self, name: &str) -> &str {
        self.query.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }
}

/// What comes back.
pub enum Said {
    /// Status, more headers, body.
    Answer(u16, Vec<(String, String)>, String),
    /// Half of this body, though all of it was promised.
    Cut(String),
    /// Nothing.
    Closed,
}

impl Said {
    pub fn ok(body: impl ToString) -> Said {
        Said::Answer(200, Vec::new(), body.to_string())
    }

    pub fn status(status: u16) -> Said {
        Said::Answer(status, Vec::new(), "{}".into())
    }
}

/// The server. Its threads end with the test.
pub struct Peer {
    pub url: String,
    asked: Arc<AtomicUsize>,
}

impl Peer {
    pub fn start(answer: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (answer, asked) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (answer, count) = (Arc::clone(&answer), Arc::clone(&count));
                std::thread::spawn(move || {
                    let Some(asked) = read(&stream) else { return };
                    count.fetch_add(1, Ordering::Relaxed);
                    // The client may have gone; that is its matter.
                    let _ = write(&stream, answer(&asked));
                });
            }
        });
        Peer { url, asked }
    }

    /// Requests so far.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut parts = line.split(' ');
    let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => authorization = value.trim().to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = query.split('&').filter_map(|p| p.split_once('=')).map(|(n, v)| (n.to_owned(), decoded(v))).collect();
    let body = String::from_utf8(body).ok()?;
    Some(Asked { method, path: path.to_owned(), query, authorization, body })
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b == b'%' {
            let hex: String = bytes.by_ref().take(2).map(char::from).collect();
            out.push(u8::from_str_radix(&hex, 16).unwrap());
        } else {
            out.push(b);
        }
    }
    String::from_utf8(out).unwrap()
}

fn write(mut stream: &TcpStream, said: Said) -> std::io::Result<()> {
    let (status, headers, body, sent) = match said {
        Said::Closed => return Ok(()),
        Said::Answer(status, headers, body) => (status, headers, body.clone(), body.len()),
        Said::Cut(body) => (200, Vec::new(), body.clone(), body.len() / 2),
    };
    let mut head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body.as_bytes()[..sent])?;
    stream.flush()
}
