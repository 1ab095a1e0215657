//! A server of a hundred lines for tests: answers what a closure says, keeps what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::Connect;

/// What a test server was asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What a test server answers. Status 0 closes the connection without a word.
#[derive(Debug, Clone, Default)]
pub(crate) struct Says {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl From<(u16, String)> for Says {
    fn from((status, body): (u16, String)) -> Says {
        Says { status, headers: Vec::new(), body: body.into_bytes() }
    }
}

impl From<(u16, Vec<u8>)> for Says {
    fn from((status, body): (u16, Vec<u8>)) -> Says {
        Says { status, headers: Vec::new(), body }
    }
}

/// A running test server.
pub(crate) struct Fake {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    pub(crate) fn new<S: Into<Says>>(answer: impl Fn(&Asked) -> S + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answer, log) = (Arc::new(answer), Arc::clone(&asked));
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                std::thread::spawn(move || serve(&stream, &log, |asked| answer(asked).into()));
            }
        });
        Fake { url, asked }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(stream: &TcpStream, log: &Mutex<Vec<Asked>>, answer: impl Fn(&Asked) -> Says) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        let mut words = line.split_whitespace();
        let mut asked = Asked { method: words.next()?.into(), path: words.next()?.into(), ..Asked::default() };
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((key, value)) = line.trim_end().split_once(": ") else { break };
            asked.headers.push((key.to_lowercase(), value.to_owned()));
        }
        let length = asked.header("content-length").map_or(0, |text| text.parse().unwrap());
        asked.body = vec![0; length];
        reader.read_exact(&mut asked.body).ok()?;
        log.lock().unwrap().push(asked.clone());
        let says = answer(&asked);
        if says.status == 0 {
            return None;
        }
        let mut head = format!("HTTP/1.1 {} X\r\ncontent-length: {}\r\n", says.status, says.body.len());
        says.headers.iter().for_each(|(key, value)| head.push_str(&format!("{key}: {value}\r\n")));
        let mut stream = stream;
        stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
        stream.write_all(&says.body).ok()?;
    }
}

/// A connection to this address without a key.
pub(crate) fn connect(url: &str) -> Connect {
    Connect { url: url.into(), key_file: None, ca_file: None }
}
