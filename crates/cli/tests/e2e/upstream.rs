//! A small HTTP server that stands for another system: it answers as it is told and keeps what it was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One request as it came.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// `DELETE /admin/sessions/s1`.
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }
}

/// What it answers: status and body, after a while.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    pub status: u16,
    pub body: &'static str,
    pub after: Duration,
}

/// The peer. Its thread ends with the process.
pub struct Peer {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Peer {
    /// A peer that answers each request by its line; `then` runs after the answer is out.
    pub fn start(
        answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
        then: impl Fn(&Asked) + Send + Sync + 'static,
    ) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (kept, answer, then) = (Arc::clone(&asked), Arc::new(answer), Arc::new(then));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answer, then) = (Arc::clone(&kept), Arc::clone(&answer), Arc::clone(&then));
                std::thread::spawn(move || {
                    if let Some(one) = read(&stream) {
                        kept.lock().unwrap().push(one.clone());
                        let said = answer(&one);
                        std::thread::sleep(said.after);
                        let head = format!(
                            "HTTP/1.1 {} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}",
                            said.status,
                            said.body.len(),
                            said.body
                        );
                        let _ = (&stream).write_all(head.as_bytes());
                        then(&one);
                    }
                });
            }
        });
        Peer { url, asked }
    }

    /// Everything it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The lines of it.
    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|a| a.line).collect()
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut out = Asked::default();
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    out.line = line.trim_end().strip_suffix(" HTTP/1.1")?.to_owned();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        out.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length: usize = out.header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    out.body = String::from_utf8(body).ok()?;
    Some(out)
}
