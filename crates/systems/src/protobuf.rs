//! Protocol Buffers' wire format: the fields of one message, one after the other.
//!
//! Owns: tags, lengths and numbers, read and (for the few bytes of an answer) written. Not here: what a field of a number means;
//! each message's reader knows the few it wants and passes over the others, as the format means it to be done. Groups, which OTLP
//! does not have, are an error.

use crate::Reason;

/// The fields of one message. Ends after the first that is broken.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A varint, or 4 or 8 bytes of fixed length.
    Number(u64),
    /// A text, bytes, or a message.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The bytes; none where the field is a number, which a sender of another schema may mean.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Value::Bytes(bytes) => bytes,
            Value::Number(_) => &[],
        }
    }

    /// The number; 0 where the field is none.
    pub fn number(self) -> u64 {
        match self {
            Value::Number(number) => number,
            Value::Bytes(_) => 0,
        }
    }
}

impl<'a> Fields<'a> {
    /// The fields of a message's bytes.
    pub fn new(message: &'a [u8]) -> Fields<'a> {
        Fields { rest: message }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            // What does not fit is cut off, as every reader of the format does.
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn cut(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Number(u64::from_le_bytes(self.cut(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.cut(length)?)
            }
            5 => Value::Number(u64::from(u32::from_le_bytes(self.cut(4)?.try_into().ok()?))),
            _ => return None,
        };
        Some((tag >> 3, value)).filter(|(number, _)| *number > 0)
    }
}

impl<'a> Iterator for Fields<'a> {
    /// The field's number and what it holds.
    type Item = Result<(u64, Value<'a>), Reason>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field.ok_or_else(|| Reason::new("invalid_protobuf", "the body is not a whole Protocol Buffers message")))
    }
}

/// Appends a field that holds a number as a varint.
pub fn put_number(out: &mut Vec<u8>, field: u64, number: u64) {
    put_varint(out, field << 3);
    put_varint(out, number);
}

/// Appends a field that holds a text, bytes, or a message.
pub fn put_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_read_back() {
        let mut out = Vec::new();
        put_number(&mut out, 1, 150);
        put_bytes(&mut out, 2, b"testing");
        assert_eq!(out, b"\x08\x96\x01\x12\x07testing", "the format's own examples");
        put_number(&mut out, 2000, u64::MAX);
        put_bytes(&mut out, 3, &[7; 300]);
        let read: Vec<_> = Fields::new(&out).map(Result::unwrap).collect();
        assert_eq!(read[2..], [(2000, Value::Number(u64::MAX)), (3, Value::Bytes(&[7; 300]))]);
    }

    fn all(bytes: &[u8]) -> Result<Vec<(u64, Value<'_>)>, &'static str> {
        Fields::new(bytes).map(|field| field.map_err(|e| e.code)).collect()
    }

    #[test]
    fn fields_of_every_kind() {
        // The first two are the format's own examples: 150 in field 1, "testing" in field 2.
        let bytes = b"\x08\x96\x01\x12\x07testing\x19\x01\0\0\0\0\0\0\x80\x25\x02\0\0\0\x82\x7d\x00";
        assert_eq!(
            all(bytes).unwrap(),
            [
                (1, Value::Number(150)),
                (2, Value::Bytes(b"testing")),
                (3, Value::Number(0x8000_0000_0000_0001)),
                (4, Value::Number(2)),
                (2000, Value::Bytes(b"")),
            ]
        );
        assert_eq!(all(b"").unwrap(), []);
        assert_eq!(all(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").unwrap(), [(1, Value::Number(u64::MAX))]);
    }

    #[test]
    fn broken_ones_end_it() {
        for broken in [
            &b"\x08"[..],
            b"\x08\x80",
            b"\x12\x07test",
            b"\x19\x01",
            b"\x25\x01",
            b"\x0b",
            b"\x0f\x01",
            b"\x00\x01",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ] {
            assert_eq!(all(broken), Err("invalid_protobuf"), "{broken:?}");
        }
        assert_eq!(Fields::new(b"\x08\x01\x08").count(), 2, "what was whole, and one error");
    }
}
