//! Packed numbers as Parquet writes them: runs and bit-packing, and packed differences.
//!
//! Owns: [`Hybrid`] (levels and dictionary codes) and [`Delta`] (times, indexes, lengths). Bytes may be
//! anything: `None` means that they do not hold what they should. Not here: pages ([`crate::page`]).

/// Reads a number of 7-bit groups, lowest first; at most 64 bits.
pub(crate) fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// A signed number, as `varint` of its zigzag form.
pub(crate) fn zigzag(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let value = varint(bytes, at)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// The `width` ≤ 64 bits from bit `bit` on, lowest first. What lies past the end reads as zero; callers have
/// checked the length.
fn bits(bytes: &[u8], bit: usize, width: u32) -> u64 {
    if width == 0 {
        return 0;
    }
    let (at, shift) = (bit / 8, (bit % 8) as u32);
    let word = match bytes.get(at..at + 8).and_then(|b| b.first_chunk()) {
        Some(eight) => u64::from_le_bytes(*eight),
        None => {
            let mut padded = [0; 8];
            for (to, from) in padded.iter_mut().zip(bytes.get(at..).unwrap_or_default()) {
                *to = *from;
            }
            u64::from_le_bytes(padded)
        }
    };
    let mut value = word >> shift;
    if shift + width > 64 {
        value |= u64::from(bytes.get(at + 8).copied().unwrap_or(0)) << (64 - shift);
    }
    value & (u64::MAX >> (64 - width))
}

/// Some equal or some packed numbers.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// So many of one value.
    Same(usize, u32),
    /// So many, from this bit on.
    Packed(usize, usize),
}

/// Numbers of a fixed width in the RLE / bit-packing hybrid encoding.
#[derive(Clone)]
pub(crate) struct Hybrid<'a> {
    bytes: &'a [u8],
    at: usize,
    width: u32,
    run: Run,
}

impl<'a> Hybrid<'a> {
    /// `None` for a width above 32.
    pub(crate) fn new(bytes: &'a [u8], width: u8) -> Option<Hybrid<'a>> {
        (width <= 32).then_some(Hybrid { bytes, at: 0, width: u32::from(width), run: Run::Same(0, 0) })
    }

    /// The next at most `n` numbers that stand in one run; `None` at the end.
    pub(crate) fn run(&mut self, n: usize) -> Option<Run> {
        loop {
            match &mut self.run {
                Run::Same(0, _) | Run::Packed(0, _) => self.open()?,
                Run::Same(left, value) => {
                    let now = n.min(*left);
                    *left -= now;
                    return Some(Run::Same(now, *value));
                }
                Run::Packed(left, bit) => {
                    let (now, from) = (n.min(*left), *bit);
                    *left -= now;
                    *bit += now * self.width as usize;
                    return Some(Run::Packed(now, from));
                }
            }
        }
    }

    fn open(&mut self) -> Option<()> {
        let head = varint(self.bytes, &mut self.at)?;
        let n = usize::try_from(head >> 1).ok()?;
        if head & 1 == 0 {
            let length = self.width.div_ceil(8) as usize;
            let raw = self.bytes.get(self.at..self.at.checked_add(length)?)?;
            let value = raw.iter().rev().fold(0u32, |v, b| v << 8 | u32::from(*b));
            self.at += length;
            self.run = Run::Same(n, value);
        } else {
            // The last group may be cut off where its numbers end.
            let length = n.checked_mul(self.width as usize)?.min(self.bytes.len() - self.at);
            self.run = Run::Packed(n.checked_mul(8)?, self.at.checked_mul(8)?);
            self.at += length;
        }
        (n > 0).then_some(())
    }

    /// Passes over `n` numbers.
    pub(crate) fn skip(&mut self, mut n: usize) -> Option<()> {
        while n > 0 {
            match self.run(n)? {
                Run::Same(now, _) | Run::Packed(now, _) => n -= now,
            }
        }
        Some(())
    }

    /// Calls `each` with the place and value of the `n` numbers of a packed run; `None` where they are cut off.
    pub(crate) fn each_packed(&self, n: usize, bit: usize, mut each: impl FnMut(usize, u32)) -> Option<()> {
        let width = self.width as usize;
        if bit + n * width > self.bytes.len() * 8 {
            return None;
        }
        for i in 0..n {
            each(i, bits(self.bytes, bit + i * width, self.width) as u32);
        }
        Some(())
    }

    /// Calls `each` with the next `n` numbers.
    pub(crate) fn each(&mut self, mut n: usize, mut each: impl FnMut(u32)) -> Option<()> {
        while n > 0 {
            let run = self.run(n)?;
            match run {
                Run::Same(now, value) => {
                    (0..now).for_each(|_| each(value));
                    n -= now;
                }
                Run::Packed(now, bit) => {
                    self.each_packed(now, bit, |_, value| each(value))?;
                    n -= now;
                }
            }
        }
        Some(())
    }
}

/// Numbers in the DELTA_BINARY_PACKED encoding.
pub(crate) struct Delta<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Numbers of a packed group, and groups of a block.
    group: usize,
    groups: usize,
    /// Numbers not given yet.
    left: usize,
    value: i64,
    /// The first number stands in front of all groups.
    first: bool,
}

impl<'a> Delta<'a> {
    /// Begins reading; `None` where this is no such encoding or holds more than `most` numbers.
    pub(crate) fn new(bytes: &'a [u8], most: usize) -> Option<Delta<'a>> {
        let mut at = 0;
        let block = usize::try_from(varint(bytes, &mut at)?).ok()?;
        let groups = usize::try_from(varint(bytes, &mut at)?).ok()?;
        let left = usize::try_from(varint(bytes, &mut at)?).ok()?;
        let value = zigzag(bytes, &mut at)?;
        let group = block.checked_div(groups)?;
        let sound = (1..=1 << 16).contains(&group) && groups <= 1 << 10 && group.is_multiple_of(8) && left <= most;
        sound.then_some(Delta { bytes, at, group, groups, left, value, first: true })
    }

    /// All numbers, and where what follows them begins.
    pub(crate) fn all(mut self, mut each: impl FnMut(i64)) -> Option<usize> {
        if std::mem::take(&mut self.first) && self.left > 0 {
            self.left -= 1;
            each(self.value);
        }
        while self.left > 0 {
            let least = zigzag(self.bytes, &mut self.at)?;
            let widths = self.bytes.get(self.at..self.at.checked_add(self.groups)?)?;
            self.at += self.groups;
            for width in widths {
                if self.left == 0 {
                    break;
                }
                let width = u32::from(*width);
                if width > 64 {
                    return None;
                }
                let n = self.left.min(self.group);
                let length = self.group / 8 * width as usize;
                // The last group may be cut off where its numbers end.
                let needed = (n * width as usize).div_ceil(8);
                if self.at.checked_add(needed)? > self.bytes.len() {
                    return None;
                }
                let packed = self.bytes.get(self.at..).unwrap_or_default();
                for i in 0..n {
                    let difference = bits(packed, i * width as usize, width) as i64;
                    self.value = self.value.wrapping_add(least).wrapping_add(difference);
                    each(self.value);
                }
                self.left -= n;
                self.at = (self.at + length).min(self.bytes.len());
            }
        }
        Some(self.at)
    }
}

impl Delta<'_> {
    /// Where what follows the numbers begins, without reading them.
    pub(crate) fn end(mut self) -> Option<usize> {
        self.left = self.left.saturating_sub(1);
        while self.left > 0 {
            zigzag(self.bytes, &mut self.at)?;
            let widths = self.bytes.get(self.at..self.at.checked_add(self.groups)?)?;
            self.at += self.groups;
            for width in widths.iter().take(self.left.div_ceil(self.group)) {
                self.at += self.group / 8 * usize::from(*width);
                self.left = self.left.saturating_sub(self.group);
            }
        }
        // The last group may be cut off where its numbers end.
        Some(self.at.min(self.bytes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_format_s_own_examples() {
        // Parquet's encodings.md: 0 to 7 in three bits.
        let mut out = Vec::new();
        let mut hybrid = Hybrid::new(&[0b11, 0b1000_1000, 0b1100_0110, 0b1111_1010], 3).unwrap();
        hybrid.each(8, |v| out.push(v)).unwrap();
        assert_eq!(out, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(hybrid.each(1, |_| ()).is_none());
        // Five times 9, then the same numbers.
        let mut hybrid = Hybrid::new(&[10, 9, 0b11, 0b1000_1000, 0b1100_0110, 0b1111_1010], 3).unwrap();
        hybrid.skip(4).unwrap();
        out.clear();
        hybrid.each(3, |v| out.push(v)).unwrap();
        assert_eq!(out, [9, 0, 1]);
        // encodings.md: 1 2 3 4 5 have equal differences.
        let mut numbers = Vec::new();
        let end = Delta::new(&[128, 1, 4, 5, 2, 2, 0, 0, 0, 0, 77], 5).unwrap().all(|v| numbers.push(v)).unwrap();
        assert_eq!((numbers, end), (vec![1, 2, 3, 4, 5], 10));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, width in 0u8..40, n in 0usize..5000) {
            let mut count = 0;
            if let Some(mut hybrid) = Hybrid::new(&bytes, width) {
                let mut copy = hybrid.clone();
                let read = hybrid.each(n, |_| count += 1);
                prop_assert!(count <= n && (read.is_none() || count == n));
                let _ = copy.skip(n);
            }
            count = 0;
            if let Some(delta) = Delta::new(&bytes, n) {
                let end = delta.all(|_| count += 1);
                prop_assert!(count <= n && end.is_none_or(|end| end <= bytes.len()));
                if let (Some(delta), Some(end)) = (Delta::new(&bytes, n), end) {
                    prop_assert_eq!(delta.end(), Some(end));
                }
            }
        }
    }
}
