//! A record's text into the line that is sent, with an id of its own if it has none.
//!
//! Owns the ids that make a repeated run harmless: each is derived from the record and all records before it in the
//! file, so the same file always gives the same ids, however it is compressed, spaced or resumed, and a log file that
//! has grown gives its old records the ids they had. Whether a record is acceptable is for the server.

use event::json::{Next, Reader};
use sha2::{Digest, Sha256};

use super::split::{Piece, Refused};
use crate::client::hex;

/// The chain of digests over the records of a file, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Chain([u8; 32]);

impl Chain {
    /// Adds a record.
    pub(super) fn push(&mut self, piece: &Piece) {
        let mut hasher = Sha256::new_with_prefix(b"indelible/ingest/v1");
        hasher.update(self.0);
        match &piece.text {
            Ok(text) => hasher.update(text),
            Err(refused) => hasher.update(&refused.code),
        }
        self.0 = hasher.finalize().into();
    }

    /// The chain as text, to be remembered.
    pub(super) fn to_text(self) -> String {
        hex(&self.0)
    }

    /// A UUIDv7 for the record pushed last: the time it happened at (0 if it does not say), then bits of the digest.
    fn id(&self, micros: Option<i64>) -> String {
        let millis = micros.map_or(0, |micros| micros.max(0) / 1000) as u64;
        let [a, b, c, d, e, f, g, h, i, j, ..] = self.0;
        let [.., t0, t1, t2, t3, t4, t5] = millis.to_be_bytes();
        let text = hex(&[t0, t1, t2, t3, t4, t5, 0x70 | (a & 0x0f), b, 0x80 | (c & 0x3f), d, e, f, g, h, i, j]);
        let cut = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        format!("{}-{}-{}-{}-{}", cut(0, 8), cut(8, 12), cut(12, 16), cut(16, 20), cut(20, 32))
    }
}

/// The line to send for a piece. A plain record without an id gets one; a system's own goes as it is, whatever it is.
pub(super) fn line(piece: &Piece, chain: &Chain, plain: bool) -> Result<Vec<u8>, Refused> {
    let bytes = piece.text.as_ref().map_err(Clone::clone)?;
    if !plain {
        let mut out = bytes.clone();
        // Only JSON may be put on one line.
        if out.starts_with(b"{") && join_lines(&mut out).is_err() {
            out.clone_from(bytes);
        }
        out.push(b'\n');
        return Ok(out);
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        Refused::new("invalid_utf8", format!("the record is not UTF-8 at byte {}; send text as UTF-8", e.valid_up_to()))
    })?;
    let head = read_head(text)?;
    let mut out = Vec::with_capacity(text.len() + 48);
    match head.id {
        Id::Given => out.extend_from_slice(bytes),
        Id::Null { from, to } => {
            out.extend_from_slice(&bytes[..from]);
            out.extend_from_slice(format!("\"{}\"", chain.id(head.time)).as_bytes());
            out.extend_from_slice(&bytes[to..]);
        }
        Id::Missing { empty } => {
            let comma = if empty { "" } else { "," };
            out.extend_from_slice(format!("{{\"id\":\"{}\"{comma}", chain.id(head.time)).as_bytes());
            out.extend_from_slice(&bytes[1..]);
        }
    }
    join_lines(&mut out)?;
    out.push(b'\n');
    Ok(out)
}

enum Id {
    Given,
    Missing {
        empty: bool,
    },
    /// `null`, which the server takes for missing.
    Null {
        from: usize,
        to: usize,
    },
}

struct Head {
    id: Id,
    time: Option<i64>,
}

/// Looks over the members of the record.
fn read_head(text: &str) -> Result<Head, Refused> {
    let refused = |e: event::json::JsonError| Refused::new(e.code, e.to_string());
    let mut reader = Reader::new(text);
    if reader.next_kind().map_err(refused)? != Next::Object {
        return Err(Refused::new("wrong_type", "a record is a JSON object"));
    }
    reader.open(b'{').map_err(refused)?;
    let mut head = Head { id: Id::Missing { empty: true }, time: None };
    let mut first = true;
    while let Some(key) = reader.key(first).map_err(refused)? {
        first = false;
        if let Id::Missing { empty } = &mut head.id {
            *empty = false;
        }
        let raw = reader.skip(1).map_err(refused)?;
        let to = reader.at();
        match key.as_ref() {
            "id" if raw == "null" => head.id = Id::Null { from: to - raw.len(), to },
            "id" => head.id = Id::Given,
            "time" => head.time = raw.strip_prefix('"').and_then(|t| t.strip_suffix('"')).and_then(event::time::parse),
            _ => {}
        }
    }
    reader.end().map_err(refused)?;
    Ok(head)
}

/// Takes the line breaks out: between values they mean nothing, inside a text they are not allowed.
fn join_lines(bytes: &mut [u8]) -> Result<(), Refused> {
    let (mut in_text, mut escaped) = (false, false);
    for byte in bytes {
        let is_break = matches!(byte, b'\n' | b'\r');
        if in_text {
            if is_break {
                return Err(Refused::new("invalid_json", "a text in quotes holds a bare line break; write it as \\n"));
            }
            in_text = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
        } else if is_break {
            *byte = b' ';
        } else {
            in_text = *byte == b'"';
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str) -> Piece {
        Piece { line: 1, text: Ok(text.as_bytes().to_vec()) }
    }

    fn sent(text: &str) -> Result<String, String> {
        let mut chain = Chain::default();
        chain.push(&piece(text));
        line(&piece(text), &chain, true).map(|bytes| String::from_utf8(bytes).unwrap()).map_err(|r| r.code)
    }

    #[test]
    fn an_id_is_added_where_there_is_none() {
        assert_eq!(sent(r#"{"a":{"id":1},"id":"x"}"#).unwrap(), "{\"a\":{\"id\":1},\"id\":\"x\"}\n");
        assert_eq!(sent(r#"{"\u0069d":"x"}"#).unwrap(), "{\"\\u0069d\":\"x\"}\n");
        let added = sent(r#"{"time":"2026-11-20T12:00:00Z","a":1}"#).unwrap();
        let id = added.strip_prefix("{\"id\":\"").unwrap().get(..36).unwrap();
        assert_eq!(&id[..13], "01a1f8d3-ea00");
        assert_eq!(&id[14..15], "7");
        assert!("89ab".contains(&id[19..20]));
        assert!(added.ends_with(",\"time\":\"2026-11-20T12:00:00Z\",\"a\":1}\n"));
        for text in ["{}", "{ }", r#"{"id":null}"#, r#"{"a":1,"id": null ,"b":2}"#] {
            let added = sent(text).unwrap();
            let value: serde_json::Value = serde_json::from_str(&added).unwrap();
            assert_eq!(value["id"].as_str().unwrap().len(), 36, "{added}");
            assert_eq!(added.matches("\"id\"").count(), 1, "{added}");
        }
    }

    #[test]
    fn what_is_no_record_is_refused_here() {
        for (text, code) in [
            ("[1]", "wrong_type"),
            ("3", "wrong_type"),
            ("", "invalid_json"),
            ("{\"a\":", "invalid_json"),
            ("{} {}", "invalid_json"),
            ("{\"a\":\"x\ny\"}", "invalid_json"),
        ] {
            assert_eq!(sent(text).unwrap_err(), code, "{text}");
        }
        let bad = Piece { line: 1, text: Ok(b"{\"a\":\"\xff\"}".to_vec()) };
        assert_eq!(line(&bad, &Chain::default(), true).unwrap_err().code, "invalid_utf8");
        assert_eq!(sent("{\n\"a\":\r\n\"\\n\"}").unwrap().lines().count(), 1);
    }

    #[test]
    fn native_records_stay_as_they_are() {
        let text = r#"{"a":1}"#;
        assert_eq!(line(&piece(text), &Chain::default(), false).unwrap(), b"{\"a\":1}\n");
    }

    #[test]
    fn ids_depend_on_everything_before() {
        let ids = |texts: &[&str]| {
            let mut chain = Chain::default();
            texts
                .iter()
                .map(|text| {
                    chain.push(&piece(text));
                    chain.id(None)
                })
                .collect::<Vec<_>>()
        };
        let all = ids(&["{}", "{}", "{}"]);
        assert_eq!(
            all.iter().collect::<std::collections::HashSet<_>>().len(),
            3,
            "equal records are records of their own"
        );
        assert_eq!(ids(&["{}", "{}"]), all[..2], "a file that has grown keeps its ids");
        assert_ne!(ids(&["{\"a\":1}", "{}"])[1], all[1]);
    }
}
