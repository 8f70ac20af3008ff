//! Time and chance, behind traits, so that a test decides both.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::finding::Timestamp;

/// What time it is.
pub trait Clock: Send + Sync {
    /// Returns a moment that never goes back.
    fn now(&self) -> Instant;

    /// Returns the wall-clock time.
    fn wall(&self) -> Timestamp;

    /// Waits.
    fn sleep(&self, duration: Duration);
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let micros = since.map_or(0, |since| since.as_micros());
        Timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// Chance, for jitter only: nothing secret comes from it.
pub trait Dice: Send {
    /// Returns a number from 0 up to, but not, 1.
    fn roll(&mut self) -> f64;
}

/// Dice from the random keys that the standard library hashes with.
#[derive(Debug, Default)]
pub struct RandomDice {
    state: RandomState,
    n_rolls: u64,
}

impl Dice for RandomDice {
    fn roll(&mut self) -> f64 {
        self.n_rolls += 1;
        let bits = self.state.hash_one(self.n_rolls) >> 40;
        f64::from(u32::try_from(bits).expect("24 bits are left")) / f64::from(1 << 24)
    }
}

/// Returns `time` moved by `by`, kept in the range of the type.
pub(super) fn later(time: Timestamp, by: Duration) -> Timestamp {
    let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
    Timestamp(time.0.saturating_add(micros))
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A clock that only moves when somebody sleeps.
    pub(crate) struct FakeClock {
        start: Instant,
        slept: Mutex<Duration>,
    }

    /// 2026-11-22T06:00:00Z.
    pub(crate) const START: Timestamp = Timestamp(1_795_327_200_000_000);

    impl FakeClock {
        pub(crate) fn new() -> Self {
            Self {
                start: Instant::now(),
                slept: Mutex::new(Duration::ZERO),
            }
        }

        /// Returns how long everybody has slept in all.
        pub(crate) fn slept(&self) -> Duration {
            *self.slept.lock().unwrap()
        }
    }

    impl Clock for FakeClock {
        fn now(&self) -> Instant {
            self.start + self.slept()
        }

        fn wall(&self) -> Timestamp {
            later(START, self.slept())
        }

        fn sleep(&self, duration: Duration) {
            *self.slept.lock().unwrap() += duration;
        }
    }

    /// Dice that always fall the same way.
    pub(crate) struct LoadedDice(pub(crate) f64);

    impl Dice for LoadedDice {
        fn roll(&mut self) -> f64 {
            self.0
        }
    }

    #[test]
    fn rolls_are_in_range_and_differ() {
        let mut dice = RandomDice::default();
        let rolls: Vec<f64> = (0..1000).map(|_| dice.roll()).collect();
        assert!(rolls.iter().all(|roll| (0.0..1.0).contains(roll)));
        let mean = rolls.iter().sum::<f64>() / 1000.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }
}
