//! Which schedules of chance a test runs.
//!
//! `INDELIBLE_SEED=17` repeats schedule 17 alone; `INDELIBLE_SCHEDULES=100000` runs that many in place of the
//! test's own number.

use std::ops::Range;

const SEED: &str = "INDELIBLE_SEED=";

/// The seeds to run.
#[derive(Debug, Clone)]
pub struct Schedules {
    seeds: Range<u64>,
    alone: bool,
    /// What stands before a number in a failure.
    named: &'static str,
}

/// After how many a run of hours says how far it is, so that one that is broken off says what it has shown.
const TOLD: u64 = 10_000;

impl Schedules {
    /// What the environment asks for; `usual` schedules where it asks for nothing.
    ///
    /// # Panics
    /// Where a variable is not a number.
    pub fn from_environment(usual: u64) -> Schedules {
        let number = |name: &str| {
            std::env::var(name).ok().map(|text| match text.parse::<u64>() {
                Ok(n) => n,
                Err(_) => panic!("{name}={text} is not a number"),
            })
        };
        match number("INDELIBLE_SEED") {
            Some(seed) => Schedules { seeds: seed..seed + 1, alone: true, named: SEED },
            None => {
                let seeds = 0..number("INDELIBLE_SCHEDULES").unwrap_or(usual);
                Schedules { seeds, alone: false, named: SEED }
            }
        }
    }

    /// Cases 0 to `n`, whatever the environment asks for.
    pub fn all(n: u64) -> Schedules {
        Schedules { seeds: 0..n, alone: false, named: "case " }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.seeds.end - self.seeds.start
    }

    /// A single schedule is repeated: sums over many mean nothing.
    pub fn alone(&self) -> bool {
        self.alone
    }

    /// Runs all of them on two threads, and adds up what they report.
    ///
    /// # Panics
    /// With the seed and the words of a schedule that failed.
    pub fn run<const N: usize>(&self, one: impl Fn(u64) -> Result<[u64; N], String> + Sync) -> [u64; N] {
        let next = std::sync::atomic::AtomicU64::new(self.seeds.start);
        let work = || {
            let mut sums = [0; N];
            loop {
                let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if seed >= self.seeds.end {
                    return Ok(sums);
                }
                let begun = seed - self.seeds.start;
                if begun > 0 && begun.is_multiple_of(TOLD) {
                    eprintln!("{begun} of {} were begun", self.count());
                }
                let whole = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one(seed)));
                match whole.unwrap_or_else(|_| Err("it panicked; see above".to_owned())) {
                    Ok(more) => sums.iter_mut().zip(more).for_each(|(sum, n)| *sum += n),
                    Err(e) => {
                        next.store(self.seeds.end, std::sync::atomic::Ordering::Relaxed);
                        return Err(format!("{}{seed}: {e}", self.named));
                    }
                }
            }
        };
        let results = std::thread::scope(|scope| {
            let threads = [scope.spawn(work), scope.spawn(work)];
            threads.map(|t| t.join().unwrap_or_else(|_| Err("a thread panicked; see above".to_owned())))
        });
        let mut sums = [0; N];
        for result in results {
            match result {
                Ok(more) => sums.iter_mut().zip(more).for_each(|(sum, n)| *sum += n),
                Err(e) => panic!("{e}"),
            }
        }
        sums
    }
}
