use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point on a media clock: `ticks` of 1/`rate` s since that clock's zero. Which clock it is (a publisher's RTP
/// clock, unwrapped; or a program's) is said where the value stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct MediaTime {
    pub ticks: i64,
    /// Ticks per second; never 0.
    pub rate: u32,
}

impl MediaTime {
    /// # Panics
    /// When `rate` is 0: a clock that never ticks is our error, not the other side's.
    pub fn new(ticks: i64, rate: u32) -> Self {
        assert!(rate > 0, "a media clock must tick");
        Self { ticks, rate }
    }

    pub fn from_duration(duration: Duration, rate: u32) -> Self {
        let ticks = duration.as_nanos() * u128::from(rate) / 1_000_000_000;
        Self::new(i64::try_from(ticks).unwrap_or(i64::MAX), rate)
    }

    /// The same point in ticks of another rate, rounded down.
    pub fn rescale(self, rate: u32) -> Self {
        let ticks = (i128::from(self.ticks) * i128::from(rate)).div_euclid(i128::from(self.rate));
        Self::new(
            i64::try_from(ticks).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX }),
            rate,
        )
    }

    pub fn seconds(self) -> f64 {
        self.ticks as f64 / f64::from(self.rate)
    }

    /// Time since the clock's zero; zero for points before it.
    pub fn to_duration(self) -> Duration {
        let nanos = i128::from(self.ticks.max(0)) * 1_000_000_000 / i128::from(self.rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Microseconds since the clock's zero.
    pub fn micros(self) -> i64 {
        self.rescale(1_000_000).ticks
    }
}

/// Bits per second.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Bitrate(pub u64);

impl Bitrate {
    /// What `bytes` in `duration` come to; zero for an empty duration.
    pub fn of(bytes: u64, duration: Duration) -> Self {
        let nanos = duration.as_nanos();
        if nanos == 0 {
            return Self(0);
        }
        let bits = u128::from(bytes) * 8 * 1_000_000_000 / nanos;
        Self(u64::try_from(bits).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_keeps_its_place_when_the_rate_changes() {
        assert_eq!(MediaTime::new(90_000, 90_000).rescale(48_000).ticks, 48_000);
        assert_eq!(MediaTime::new(-1, 90_000).rescale(45_000).ticks, -1);
        assert_eq!(
            MediaTime::from_duration(Duration::from_millis(500), 48_000).ticks,
            24_000
        );
        assert_eq!(
            MediaTime::new(45_000, 90_000).to_duration(),
            Duration::from_millis(500)
        );
        assert_eq!(
            MediaTime::new(-45_000, 90_000).to_duration(),
            Duration::ZERO
        );
    }

    #[test]
    fn a_bitrate_of_no_time_is_zero() {
        assert_eq!(Bitrate::of(1_000, Duration::ZERO), Bitrate(0));
        assert_eq!(Bitrate::of(1_000, Duration::from_secs(1)), Bitrate(8_000));
    }
}
