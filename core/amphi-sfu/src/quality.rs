//! How well a session is heard and seen, from what RTCP says about loss and delay.

use std::time::Duration;

use crate::Quality;

/// How often it is judged.
pub(crate) const INTERVAL: Duration = Duration::from_secs(2);

/// Loss up to which a call is excellent, or good: NACK repairs 2 % unseen, and Opus hides 6 % of its packets well.
const EXCELLENT_LOSS: f32 = 0.02;
const GOOD_LOSS: f32 = 0.06;

/// Round trips up to which a call is excellent, or good (ITU-T G.114: 150 ms one way is not noticed, 400 ms is the end).
const EXCELLENT_ROUND_TRIP: Duration = Duration::from_millis(250);
const GOOD_ROUND_TRIP: Duration = Duration::from_millis(600);

/// Gathers the worst of an interval.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    loss: f32,
    round_trip: Duration,
    said: Option<Quality>,
}

impl Meter {
    pub(crate) fn lose(&mut self, fraction: Option<f32>) {
        self.loss = self
            .loss
            .max(fraction.filter(|loss| loss.is_finite()).unwrap_or(0.0));
    }

    pub(crate) fn delay(&mut self, round_trip: Option<Duration>) {
        self.round_trip = self.round_trip.max(round_trip.unwrap_or_default());
    }

    /// Judges the interval and begins the next. None when it is as it was.
    pub(crate) fn judge(&mut self) -> Option<Quality> {
        let quality = if self.loss <= EXCELLENT_LOSS && self.round_trip <= EXCELLENT_ROUND_TRIP {
            Quality::Excellent
        } else if self.loss <= GOOD_LOSS && self.round_trip <= GOOD_ROUND_TRIP {
            Quality::Good
        } else {
            Quality::Poor
        };
        self.loss = 0.0;
        self.round_trip = Duration::ZERO;
        self.say(quality)
    }

    /// None when it was said already.
    pub(crate) fn say(&mut self, quality: Quality) -> Option<Quality> {
        (self.said.replace(quality) != Some(quality)).then_some(quality)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(loss: f32, round_trip_ms: u64, expected: Quality) {
        let mut meter = Meter::default();
        meter.lose(Some(loss));
        meter.lose(Some(f32::NAN));
        meter.delay(Some(Duration::from_millis(round_trip_ms)));
        assert_eq!(meter.judge(), Some(expected));
    }

    #[test]
    fn loss_and_delay_make_the_quality() {
        check(0.0, 20, Quality::Excellent);
        check(0.03, 20, Quality::Good);
        check(0.0, 400, Quality::Good);
        check(0.2, 20, Quality::Poor);
        check(0.0, 2_000, Quality::Poor);
    }

    #[test]
    fn a_quality_is_said_once() {
        let mut meter = Meter::default();
        assert_eq!(meter.judge(), Some(Quality::Excellent));
        assert_eq!(meter.judge(), None);
        meter.lose(Some(0.5));
        assert_eq!(meter.judge(), Some(Quality::Poor));
        assert_eq!(
            meter.judge(),
            Some(Quality::Excellent),
            "the worst of one interval is not held against the next"
        );
    }
}
