//! A client of PostgreSQL's protocol 3.0 that does what the peer's half of the benchmark needs: simple queries and `COPY`.
//!
//! Owns: the table and indexes the records are kept in, start-up without a password, results as text. Not here: anything a
//! real client needs besides; passwords and TLS. It is our own so that both sides are loaded by the same threads, from the
//! same memory, with the same near-zero cost on the client's side; a driver would bring a run time, or cost Python's time.

use std::{
    io::{self, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
};

use super::{Fault, generate::COLUMNS};

/// The one table: a column per field, text where the envelope has text, the open part as `jsonb`.
pub const TABLE: &str = "create table records (\
    id text not null, time timestamptz not null, log text not null, source text not null, action text not null, \
    outcome text not null, level text, actor_id text, actor_type text, actor_email text, target_id text, target_type text, \
    ip text, user_agent text, request_id text, session_id text, error_code text, message text, attributes jsonb, details jsonb)";

/// The usual eight. None is unique: PostgreSQL is not asked to refuse a repeated id, which Indelible does.
pub const INDEXES: [&str; 8] = [
    "create index records_time on records (time)",
    "create index records_actor_id on records (actor_id)",
    "create index records_actor_email on records (actor_email)",
    "create index records_request_id on records (request_id)",
    "create index records_session_id on records (session_id)",
    "create index records_target_id on records (target_id)",
    "create index records_ip on records (ip)",
    "create index records_action_time on records (action, time)",
];

/// A result: one text (or nothing) per value.
pub type Rows = Vec<Vec<Option<String>>>;

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.read(into),
            Stream::Tcp(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.write(from),
            Stream::Tcp(stream) => stream.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One connection.
pub struct Postgres {
    stream: BufReader<Stream>,
    out: Vec<u8>,
}

impl std::fmt::Debug for Postgres {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Postgres")
    }
}

impl Postgres {
    /// Connects to the socket file `at` (or `host:port`, if there is no slash in it) as `postgres`, to the database of that name.
    ///
    /// # Errors
    /// Nothing answers there, or it wants a password.
    pub fn connect(at: &str) -> Result<Postgres, Fault> {
        let what = |error: io::Error| format!("cannot connect to PostgreSQL at {at}: {error}");
        let stream = if at.contains('/') {
            Stream::Unix(UnixStream::connect(at).map_err(what)?)
        } else {
            let stream = TcpStream::connect(at).map_err(what)?;
            stream.set_nodelay(true)?;
            Stream::Tcp(stream)
        };
        let mut this = Postgres { stream: BufReader::with_capacity(64 * 1024, stream), out: Vec::new() };
        let settings = b"user\0postgres\0database\0postgres\0client_encoding\0UTF8\0\0";
        this.out.extend_from_slice(&(8 + settings.len() as u32).to_be_bytes());
        this.out.extend_from_slice(&196_608_u32.to_be_bytes());
        this.out.extend_from_slice(settings);
        this.flush()?;
        loop {
            match this.message()? {
                (b'R', body) if body != [0; 4] => {
                    return Err("PostgreSQL wants a password: the benchmark's own has trust".into());
                }
                (b'Z', _) => return Ok(this),
                _ => {}
            }
        }
    }

    /// Makes the table and its indexes.
    ///
    /// # Errors
    /// They are there already, or the connection fails.
    pub fn create(&mut self) -> Result<(), Fault> {
        for statement in std::iter::once(TABLE).chain(INDEXES) {
            self.query(statement)?;
        }
        Ok(())
    }

    /// Runs one statement and waits for its whole result.
    ///
    /// # Errors
    /// PostgreSQL's own message, or the connection fails.
    pub fn query(&mut self, sql: &str) -> Result<Rows, Fault> {
        self.put(b'Q', &[sql.as_bytes(), b"\0"]);
        self.flush()?;
        let (mut rows, mut failed) = (Rows::new(), None);
        loop {
            match self.message()? {
                (b'D', body) => rows.push(row(&body)?),
                (b'E', body) => failed = Some(refusal(&body)),
                (b'Z', _) => break,
                _ => {}
            }
        }
        failed.map_or(Ok(rows), |why| Err(format!("PostgreSQL: {why}").into()))
    }

    /// Adds `data`, rows of `COPY`'s text form, as one transaction, and waits until it is committed.
    ///
    /// # Errors
    /// PostgreSQL's own message, or the connection fails.
    pub fn copy(&mut self, data: &[u8]) -> Result<u64, Fault> {
        self.put(b'Q', &[b"copy records (", COLUMNS.as_bytes(), b") from stdin\0"]);
        self.flush()?;
        let (mut copied, mut failed) = (0, None);
        loop {
            match self.message()? {
                (b'G', _) => {
                    for piece in data.chunks(1 << 20) {
                        self.put(b'd', &[piece]);
                    }
                    self.put(b'c', &[]);
                    self.flush()?;
                }
                (b'C', body) => copied = tag(&body),
                (b'E', body) => failed = Some(refusal(&body)),
                (b'Z', _) => break,
                _ => {}
            }
        }
        failed.map_or(Ok(copied), |why| Err(format!("PostgreSQL: {why}").into()))
    }

    fn put(&mut self, kind: u8, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.out.push(kind);
        self.out.extend_from_slice(&(4 + length as u32).to_be_bytes());
        for part in parts {
            self.out.extend_from_slice(part);
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.get_mut().write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    fn message(&mut self) -> Result<(u8, Vec<u8>), Fault> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length.checked_sub(4).ok_or("PostgreSQL: a message without its length")?];
        self.stream.read_exact(&mut body)?;
        Ok((head[0], body))
    }
}

/// The values of a `DataRow`.
fn row(body: &[u8]) -> Result<Vec<Option<String>>, Fault> {
    let short = "PostgreSQL: a row that ends early";
    let (count, mut rest) = body.split_first_chunk::<2>().ok_or(short)?;
    let mut values = Vec::with_capacity(usize::from(u16::from_be_bytes(*count)));
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>().ok_or(short)?;
        let length = i32::from_be_bytes(*length);
        let (value, after) = after.split_at_checked(length.max(0) as usize).ok_or(short)?;
        values.push((length >= 0).then(|| String::from_utf8_lossy(value).into_owned()));
        rest = after;
    }
    Ok(values)
}

/// The number at the end of a command's tag: `COPY 1000`.
fn tag(body: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(body);
    text.trim_end_matches('\0').rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The message of an `ErrorResponse`.
fn refusal(body: &[u8]) -> String {
    body.split(|&byte| byte == 0)
        .filter(|field| matches!(field.first(), Some(b'M' | b'D' | b'W')))
        .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_tags_and_refusals_are_read() {
        let read = row(&[0, 3, 0, 0, 0, 2, b'o', b'k', 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]).unwrap();
        assert_eq!(read, [Some("ok".to_owned()), None, Some(String::new())]);
        assert!(row(&[0, 1, 0, 0, 0, 9, b'x']).is_err());
        assert_eq!(tag(b"COPY 1000\0"), 1000);
        assert_eq!(refusal(b"SERROR\0Mno such table\0Drecords\0\0"), "no such table; records");
    }

    #[test]
    fn the_table_has_the_columns_that_are_copied() {
        for column in COLUMNS.split(',') {
            assert!(TABLE.contains(&format!("{column} ")), "{column}");
        }
    }
}
