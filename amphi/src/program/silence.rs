//! For how long a composer has said nothing: one that hangs does not end by itself, and would leave a broadcast without a picture for good.

use std::time::{Duration, Instant};

/// A composer that says nothing for so long hangs. It tells what it cost every second (`compose/wire.rs`), whether or not there are
/// pictures. Longer: a frame that no decoder comes back from costs more of the picture. Shorter: a machine that has too much
/// to do loses composers that would have gone on.
const SILENCE_MAX: Duration = Duration::from_secs(8);

/// … and before its first word, since it unpacks its fonts and may wait for an encoder that is started for it.
const BEGINNING_MAX: Duration = Duration::from_secs(20);

/// A longer time between two looks counts as this much: who listens was held up, and so may have been who should have spoken.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Measured by looks, so that only what somebody listened to counts: **[`Silence::is_too_long`] at [`Silence::next_look`] or before,
/// [`Silence::broken`] at each word.**
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Silence {
    lasted: Duration,
    most: Duration,
    looked: Instant,
}

impl Silence {
    /// A composer is started.
    pub fn new(now: Instant) -> Self {
        Self {
            lasted: Duration::ZERO,
            most: BEGINNING_MAX,
            looked: now,
        }
    }

    /// It said something.
    pub fn broken(&mut self, now: Instant) {
        *self = Self {
            lasted: Duration::ZERO,
            most: SILENCE_MAX,
            looked: now,
        };
    }

    /// It is not to be waited for any more.
    pub fn is_too_long(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.looked);
        self.lasted += passed.min(LOOK_EVERY);
        self.looked = now;
        self.lasted >= self.most
    }

    pub fn next_look(&self) -> Instant {
        self.looked + LOOK_EVERY
    }

    /// How much of a composer's life was none.
    pub fn lasted(&self) -> Duration {
        self.lasted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks so often, and says after how many milliseconds it was too long.
    fn too_long_after(silence: &mut Silence, from: Instant, every_ms: u64) -> Option<u64> {
        (1..=60_000 / every_ms)
            .map(|look| look * every_ms)
            .find(|ms| silence.is_too_long(from + Duration::from_millis(*ms)))
    }

    #[test]
    fn a_composer_that_says_nothing_is_given_up_and_one_that_begins_is_given_more_time() {
        let zero = Instant::now();
        for every_ms in [20, 1_000] {
            let mut silence = Silence::new(zero);
            assert_eq!(too_long_after(&mut silence, zero, every_ms), Some(20_000));
            let mut silence = Silence::new(zero);
            silence.broken(zero);
            assert_eq!(too_long_after(&mut silence, zero, every_ms), Some(8_000));
        }
    }

    #[test]
    fn one_word_in_seven_seconds_is_enough() {
        let zero = Instant::now();
        let mut silence = Silence::new(zero);
        for second in 1..600 {
            let now = zero + Duration::from_secs(second);
            assert!(!silence.is_too_long(now), "after {second} s");
            if second % 7 == 0 {
                silence.broken(now);
            }
        }
    }

    /// A machine that slept, or had no time for either of them.
    #[test]
    fn time_in_which_nobody_listened_is_not_held_against_a_composer() {
        let mut now = Instant::now();
        let mut silence = Silence::new(now);
        silence.broken(now);
        for _ in 0..7 {
            now += Duration::from_secs(60);
            assert!(!silence.is_too_long(now));
        }
        now += Duration::from_secs(60);
        assert!(silence.is_too_long(now));
        assert_eq!(silence.lasted(), Duration::from_secs(8));
    }
}
