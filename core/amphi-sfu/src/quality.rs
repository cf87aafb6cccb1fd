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

/// Intervals for which a loss is believed without a newer report. Receivers report sound every 5 s.
const BELIEVED_INTERVALS: u8 = 3;

/// Which way packets go, from our side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    In,
    Out,
}

/// Gathers the worst of an interval.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meter {
    incoming: Loss,
    outgoing: Loss,
    round_trip: Duration,
    said: Option<Quality>,
}

/// The share of packets lost one way.
#[derive(Clone, Copy, Debug, Default)]
struct Loss {
    reported: Option<f32>,
    believed: f32,
    age: u8,
}

impl Loss {
    fn settle(&mut self) -> f32 {
        match self.reported.take() {
            Some(reported) => (self.believed, self.age) = (reported, 0),
            None if self.age >= BELIEVED_INTERVALS => self.believed = 0.0,
            None => self.age += 1,
        }
        self.believed
    }
}

impl Meter {
    /// None: nothing is known of this interval.
    pub(crate) fn lose(&mut self, way: Way, fraction: Option<f32>) {
        let loss = match way {
            Way::In => &mut self.incoming,
            Way::Out => &mut self.outgoing,
        };
        if let Some(fraction) = fraction.filter(|fraction| fraction.is_finite()) {
            loss.reported = Some(loss.reported.map_or(fraction, |worst| worst.max(fraction)));
        }
    }

    pub(crate) fn delay(&mut self, round_trip: Option<Duration>) {
        self.round_trip = self.round_trip.max(round_trip.unwrap_or_default());
    }

    /// Judges the interval and begins the next. None when it is as it was.
    pub(crate) fn judge(&mut self) -> Option<Quality> {
        let loss = self.incoming.settle().max(self.outgoing.settle());
        let round_trip = std::mem::take(&mut self.round_trip);
        let quality = if loss <= EXCELLENT_LOSS && round_trip <= EXCELLENT_ROUND_TRIP {
            Quality::Excellent
        } else if loss <= GOOD_LOSS && round_trip <= GOOD_ROUND_TRIP {
            Quality::Good
        } else {
            Quality::Poor
        };
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
        meter.lose(Way::In, Some(loss));
        meter.lose(Way::In, Some(f32::NAN));
        meter.lose(Way::Out, Some(0.0));
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
    fn a_quality_is_said_once_and_a_loss_believed_until_the_next_report() {
        let mut meter = Meter::default();
        assert_eq!(meter.judge(), Some(Quality::Excellent));
        assert_eq!(meter.judge(), None);
        meter.lose(Way::Out, Some(0.5));
        assert_eq!(meter.judge(), Some(Quality::Poor));
        meter.lose(Way::In, Some(0.0));
        assert_eq!(meter.judge(), None, "the other way says nothing about it");
        meter.lose(Way::Out, Some(0.0));
        assert_eq!(meter.judge(), Some(Quality::Excellent));
        meter.lose(Way::Out, Some(0.5));
        let said: Vec<_> = (0..6).map(|_| meter.judge()).collect();
        let (poor, excellent) = (Some(Quality::Poor), Some(Quality::Excellent));
        assert_eq!(
            said,
            [poor, None, None, None, excellent, None],
            "without reports it is forgotten"
        );
    }
}
