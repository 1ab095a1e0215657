//! Chance, repeatable: a small generator of random numbers and what is drawn from it.
//!
//! Owns: SplitMix64, choices, ids, and the rhythm of a working month. Not here: what the draws mean. Nothing drawn here
//! is fit for a secret.

/// One second in microseconds, the unit of all times of the demo.
pub(super) const SECOND: i64 = 1_000_000;
/// One minute.
pub(super) const MINUTE: i64 = 60 * SECOND;
/// One hour.
pub(super) const HOUR: i64 = 60 * MINUTE;
/// One day.
pub(super) const DAY: i64 = 24 * HOUR;

/// SplitMix64.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// A generator for one use of a seed; different names give unrelated draws.
    pub(super) fn new(seed: u64, name: &str) -> Random {
        let folded = name.bytes().fold(seed ^ 0x51_7C_C1_B7_27_22_0A_95, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        let mut random = Random(folded);
        random.next();
        random
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if there is none.
    pub(super) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// A time from `low` up to, but without, `high`.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low).max(0) as usize) as i64
    }

    /// True in `percent` of a hundred cases.
    pub(super) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`, which are never empty.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// One of `choices`, each as often as its weight says.
    pub(super) fn weighted<T: Copy>(&mut self, choices: &[(usize, T)]) -> T {
        let mut left = self.below(choices.iter().map(|choice| choice.0).sum());
        for &(weight, choice) in choices {
            match left.checked_sub(weight) {
                Some(rest) => left = rest,
                None => return choice,
            }
        }
        choices[0].1
    }

    /// Lower-case hexadecimal digits.
    pub(super) fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            text.push_str(&format!("{:016x}", self.next()));
        }
        text.truncate(digits);
        text
    }

    /// A random UUID (version 4).
    pub(super) fn uuid(&mut self) -> String {
        uuid((u128::from(self.next()) << 64) | u128::from(self.next()), 4)
    }

    /// A UUID that begins with a time (version 7).
    pub(super) fn uuid_at(&mut self, time: i64) -> String {
        let millis = (time / 1000) as u128 & 0xFFFF_FFFF_FFFF;
        uuid((millis << 80) | (u128::from(self.next() as u16) << 64) | u128::from(self.next()), 7)
    }
}

/// The text of a UUID with its version and variant set.
fn uuid(bits: u128, version: u128) -> String {
    let bits = bits & !(0xF << 76) & !(0b11 << 62) | version << 76 | 0b10 << 62;
    let hex = format!("{bits:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// How busy each hour is from 0 to 23, local time.
const HOURS: [u32; 24] = [3, 2, 2, 2, 2, 4, 10, 26, 62, 88, 92, 84, 60, 78, 90, 86, 74, 52, 30, 20, 16, 12, 8, 5];

/// When things happen: busy by day, quiet at night and at weekends.
#[derive(Clone, Debug)]
pub(super) struct Rhythm {
    start: i64,
    /// Sums of the weights of all hours so far.
    sums: Vec<u64>,
}

impl Rhythm {
    /// The `days` before `now`, for people whose clocks are `zone` hours ahead of UTC.
    pub(super) fn new(now: i64, days: i64, zone: i64) -> Rhythm {
        let start = now - days * DAY;
        let mut sum = 0;
        let sums = (0..days * 24)
            .map(|hour| {
                let local = start + hour * HOUR + zone * HOUR;
                let weekday = local.div_euclid(DAY).rem_euclid(7); // 1970-01-01 was a Thursday: 2 and 3 are the weekend
                let share = if weekday == 2 || weekday == 3 { 14 } else { 100 };
                sum += u64::from(HOURS[local.rem_euclid(DAY).div_euclid(HOUR) as usize] * share);
                sum
            })
            .collect();
        Rhythm { start, sums }
    }

    /// A moment of the period.
    pub(super) fn moment(&self, random: &mut Random) -> i64 {
        let at = random.below(self.sums.last().copied().unwrap_or(0) as usize) as u64;
        let hour = self.sums.partition_point(|&sum| sum <= at);
        self.start + hour as i64 * HOUR + random.between(0, HOUR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_form() {
        let mut random = Random::new(1, "ids");
        let id = random.uuid_at(1_700_000_000_123_456);
        assert_eq!(&id[..15], "018bcfe5-687b-7");
        assert_eq!((id.len(), random.uuid().as_bytes()[14]), (36, b'4'));
        assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }

    #[test]
    fn days_are_busier_than_nights_and_weekends() {
        let now = 1_795_176_000 * SECOND; // 2026-11-20 12:00 UTC, a Friday
        let rhythm = Rhythm::new(now, 28, 0);
        let mut random = Random::new(2, "rhythm");
        let (mut night, mut day, mut weekend) = (0, 0, 0);
        for _ in 0..20_000 {
            let at = rhythm.moment(&mut random);
            assert!((now - 28 * DAY..now).contains(&at));
            let hour = at.rem_euclid(DAY) / HOUR;
            night += usize::from(hour < 5);
            day += usize::from((9..14).contains(&hour));
            weekend += usize::from(matches!(at.div_euclid(DAY) % 7, 2 | 3));
        }
        assert!(day > 20 * night && weekend * 10 < 20_000, "{night} {day} {weekend}");
    }
}
