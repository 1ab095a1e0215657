//! PostgreSQL's protocol 3.0 over any stream of bytes: logging in, settings, one statement at a time.
//!
//! Owns what is said and in which order, and what a refusal means. The messages' own form and SCRAM are the library's
//! (`postgres-protocol`). Not here: sockets, TLS, deadlines ([`super::line`]).
//!
//! **Invariants:** a message longer than [`MAX_MESSAGE`] is not read; no text of the server is in an error, for it may
//! quote what was asked; a password is shown in clear only where the server has proved who it is.

use bytes::BytesMut;
use postgres_protocol::IsNull;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{DataRowBody, ErrorResponseBody, Header, Message};
use postgres_protocol::message::frontend::{self, BindError};
use std::io::{self, ErrorKind, Read, Write};
use systems::pull::Trouble;
use systems::pull::sql::{Database, Rows, SslMode, Statement};

/// The longest message that is read, and the longest answer kept: a row is 4 MiB at most.
pub const MAX_MESSAGE: usize = 8 << 20;
/// Said once after logging in. Nothing of it needs a right.
const SETTINGS: &str = "SET default_transaction_read_only = on; SET statement_timeout = '30s'; SET lock_timeout = '10s'; \
SET TimeZone = 'UTC'; SET search_path = pg_catalog";

/// A session that is logged in.
#[derive(Debug)]
pub struct Talk<S: Read + Write> {
    stream: S,
    buffer: BytesMut,
}

impl<S: Read + Write> Talk<S> {
    /// Logs in over a stream that is protected as far as it will be.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn start(stream: S, database: &Database) -> Result<Talk<S>, Trouble> {
        let mut talk = Talk { stream, buffer: BytesMut::new() };
        let parameters = [
            ("user", database.user.as_str()),
            ("database", database.name.as_str()),
            ("application_name", "indelible"),
            ("client_encoding", "UTF8"),
        ];
        talk.say(|out| frontend::startup_message(parameters, out))?;
        talk.log_in(database)?;
        while !matches!(talk.hear()?, Message::ReadyForQuery(_)) {}
        talk.say(|out| frontend::query(SETTINGS, out))?;
        talk.finish()?;
        Ok(talk)
    }

    /// Runs one statement. Where the answer is longer than [`MAX_MESSAGE`] the rest of it is left unread and the session
    /// must not be used again ([`Rows::cut`]).
    ///
    /// # Errors
    /// [`Trouble`]; the session must not be used again.
    pub fn run(&mut self, statement: &Statement) -> Result<Rows, Trouble> {
        self.say(|out| {
            frontend::parse("", &statement.text, [], out)?;
            let text = |text: &String, out: &mut BytesMut| {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            };
            frontend::bind("", "", [], &statement.parameters, text, [], out).map_err(|e| match e {
                BindError::Serialization(e) => e,
                BindError::Conversion(_) => ErrorKind::InvalidInput.into(),
            })?;
            frontend::execute("", 0, out)?;
            frontend::sync(out);
            Ok(())
        })?;
        self.finish()
    }

    /// What it talks over.
    pub(crate) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Reads up to the point where the next statement may be sent.
    fn finish(&mut self) -> Result<Rows, Trouble> {
        let mut rows = Rows::default();
        let mut room = MAX_MESSAGE;
        let mut trouble = None;
        loop {
            match self.hear_any()? {
                Message::ReadyForQuery(_) => return trouble.map_or(Ok(rows), Err),
                Message::ErrorResponse(body) => trouble = trouble.or(Some(refusal(&body))),
                Message::DataRow(body) => {
                    let Some(left) = room.checked_sub(body.buffer().len()) else {
                        rows.cut = true;
                        return Ok(rows);
                    };
                    room = left;
                    rows.list.push(columns(&body)?);
                }
                _ => {}
            }
        }
    }

    fn log_in(&mut self, database: &Database) -> Result<(), Trouble> {
        let mut scram: Option<ScramSha256> = None;
        // The server has to prove, too, that it knows the password.
        let mut proved = false;
        loop {
            match self.hear()? {
                Message::AuthenticationOk if scram.is_none() || proved => return Ok(()),
                Message::AuthenticationSasl(body) => {
                    use fallible_iterator::FallibleIterator as _;
                    if !body.mechanisms().any(|name| Ok(name == SCRAM_SHA_256)).map_err(|e| broken(&e))? {
                        return Err(other_login());
                    }
                    let begun = ScramSha256::new(database.password.as_bytes(), ChannelBinding::unsupported());
                    self.say(|out| frontend::sasl_initial_response(SCRAM_SHA_256, begun.message(), out))?;
                    scram = Some(begun);
                }
                Message::AuthenticationSaslContinue(body) => {
                    let state = scram.as_mut().ok_or_else(not_understood)?;
                    state.update(body.data()).map_err(|_| not_understood())?;
                    let answer = state.message().to_vec();
                    self.say(|out| frontend::sasl_response(&answer, out))?;
                }
                Message::AuthenticationSaslFinal(body) => {
                    let state = scram.as_mut().ok_or_else(not_understood)?;
                    state.finish(body.data()).map_err(|_| {
                        Trouble::Login("the server did not prove that it knows the user's password".into())
                    })?;
                    proved = true;
                }
                Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(database.user.as_bytes(), database.password.as_bytes(), body.salt());
                    self.say(|out| frontend::password_message(hash.as_bytes(), out))?;
                }
                Message::AuthenticationCleartextPassword if database.tls == SslMode::VerifyFull => {
                    self.say(|out| frontend::password_message(database.password.as_bytes(), out))?;
                }
                Message::AuthenticationCleartextPassword => {
                    return Err(Trouble::Refused(
                        "the server wants the password in clear, which it gets with `sslmode` verify-full only".into(),
                    ));
                }
                Message::AuthenticationOk => return Err(not_understood()),
                _ => return Err(other_login()),
            }
        }
    }

    fn say(&mut self, what: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<(), Trouble> {
        let mut out = BytesMut::new();
        what(&mut out).map_err(|_| Trouble::Refused("a setting has a byte that PostgreSQL does not take".into()))?;
        self.stream.write_all(&out).and_then(|()| self.stream.flush()).map_err(|e| broken(&e))
    }

    /// The next message that is an answer. A refusal is an error.
    fn hear(&mut self) -> Result<Message, Trouble> {
        match self.hear_any()? {
            Message::ErrorResponse(body) => Err(refusal(&body)),
            message => Ok(message),
        }
    }

    /// The next message that is neither a notice nor about a setting or another session.
    fn hear_any(&mut self) -> Result<Message, Trouble> {
        loop {
            match self.message()? {
                Message::NoticeResponse(_)
                | Message::ParameterStatus(_)
                | Message::BackendKeyData(_)
                | Message::NotificationResponse(_) => {}
                message => return Ok(message),
            }
        }
    }

    fn message(&mut self) -> Result<Message, Trouble> {
        loop {
            // Before the library makes room for it.
            if let Some(header) = Header::parse(&self.buffer).map_err(|_| not_understood())?
                && usize::try_from(header.len()).is_ok_and(|len| len > MAX_MESSAGE)
            {
                return Err(Trouble::Later(None, "a message of the server is longer than 8 MiB".into()));
            }
            if let Some(message) = Message::parse(&mut self.buffer).map_err(|_| not_understood())? {
                return Ok(message);
            }
            let mut chunk = [0; 16 << 10];
            let n = self.stream.read(&mut chunk).map_err(|e| broken(&e))?;
            if n == 0 {
                return Err(Trouble::Later(None, "the server closed the connection".into()));
            }
            self.buffer.extend_from_slice(chunk.get(..n).unwrap_or_default());
        }
    }
}

impl<S: Read + Write> Drop for Talk<S> {
    /// Says good-bye, where that can be said.
    fn drop(&mut self) {
        let _ = self.say(|out| {
            frontend::terminate(out);
            Ok(())
        });
    }
}

/// Columns of a row as texts.
fn columns(body: &DataRowBody) -> Result<Vec<Option<String>>, Trouble> {
    use fallible_iterator::FallibleIterator as _;
    let mut ranges = body.ranges();
    let mut out = Vec::new();
    while let Some(range) = ranges.next().map_err(|_| not_understood())? {
        out.push(match range {
            None => None,
            Some(range) => {
                let bytes = body.buffer().get(range).ok_or_else(not_understood)?;
                Some(str::from_utf8(bytes).map_err(|_| not_understood())?.to_owned())
            }
        });
    }
    Ok(out)
}

fn not_understood() -> Trouble {
    Trouble::Later(None, "what answers there is not understood; is it PostgreSQL?".into())
}

fn other_login() -> Trouble {
    Trouble::Refused("the server wants a way of logging in other than SCRAM-SHA-256, md5 or a password".into())
}

/// What became of a connection.
pub(crate) fn broken(error: &io::Error) -> Trouble {
    let why = match error.kind() {
        ErrorKind::InvalidData => {
            return Trouble::Refused("its certificate is not trusted here, or does not name the host".into());
        }
        ErrorKind::ConnectionRefused => "it refuses connections",
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "it did not answer in time",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "there is no way to its address",
        _ => "the connection broke off",
    };
    Trouble::Later(None, why.into())
}

/// What a refusal means, by its SQLSTATE.
fn refusal(body: &ErrorResponseBody) -> Trouble {
    use fallible_iterator::FallibleIterator as _;
    let code = body.fields().find(|field| Ok(field.type_() == b'C')).ok().flatten();
    let code = code.map(|field| String::from_utf8_lossy(field.value_bytes()).into_owned()).unwrap_or_default();
    // Five of A-Z and 0-9, or it is none.
    let known = code.len() == 5 && code.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let code = if known { code.as_str() } else { "?????" };
    let with = |what: &str| format!("{what} (PostgreSQL {code})");
    match code {
        "28P01" => {
            Trouble::Login(with("the password is wrong, or there is no such user; check `user` and `secrets.password`"))
        }
        "28000" => Trouble::Login(with(
            "the server does not let this user in from here; see its pg_hba.conf, and whether it demands another `sslmode`",
        )),
        "3D000" => Trouble::Refused(with("there is no such database; check `url`")),
        "42P01" | "3F000" => Trouble::Refused(with("the table is not there; check `schema` and the database in `url`")),
        "42501" => Trouble::Refused(with("the user may not read the table; see the GRANTs in the guide")),
        "42703" => Trouble::Refused(with("the table lacks a column that it is read by")),
        "57014" => {
            Trouble::Later(None, with("the statement took longer than 30 s; an index on (created_at, id) helps"))
        }
        "55P03" => Trouble::Later(None, with("the table was locked for 10 s")),
        _ if ["08", "53", "57", "40"].iter().any(|class| code.starts_with(class)) => {
            Trouble::Later(None, with("the server says to come back later"))
        }
        _ => Trouble::Refused(with("the server refused the statement")),
    }
}

#[cfg(test)]
#[path = "talk/tests.rs"]
mod tests;
