//! Where a publisher's clocks stand against the programme clock.
//!
//! All values are microseconds; "delay" is arrival on the programme clock minus time on the other clock, so that the
//! smallest delay of the last seconds is the best guess of that clock's zero (the rest is waiting in queues).

/// How long one bucket of the minimum is.
const BUCKET_US: i64 = 1_000_000;

/// How many buckets back the minimum looks: longer than any burst of waiting, short enough that 200 ppm of drift
/// are 2 ms.
const BUCKETS: usize = 10;

/// How far sender reports may move a track against its own arrivals. More than any network makes of it: such a report
/// is wrong, or of another clock.
const REPORT_TRUST_US: i64 = 500_000;

/// A track that is later than this against its own past has another clock than before.
const LATE_MAX_US: i64 = 2_000_000;

/// By how many millionths a member's place is moved at most: a little less than sound is moved by unheard (`STEP` in `voice.rs`), so that
/// it keeps up.
const PACE: i64 = 4_500;
/// The same where frames come later than their place by more than [`FAR_US`], so that sound is soon too late to be heard at all: a
/// little less than `STEP_FAR` in `voice.rs`. Those that come too soon are only kept longer.
const PACE_FAR: i64 = 19_000;
const FAR_US: i64 = 100_000;

/// Beyond this the place is taken anew, since whoever follows it leaps there too: no more than `STRAY_JUMP` in `voice.rs`, and than
/// `AHEAD_MAX_US` in `director.rs`.
const SET_US: i64 = 200_000;

/// The first frames of a member may have waited for each other: no place is kept before this.
const SETTLED_US: i64 = 1_000_000;

/// The smallest delay of the last [`BUCKETS`] seconds.
#[derive(Clone, Debug, Default)]
pub struct LeastDelay {
    newest: i64,
    buckets: [Option<i64>; BUCKETS],
}

impl LeastDelay {
    pub fn observe(&mut self, at_us: i64, delay_us: i64) {
        let bucket = at_us.div_euclid(BUCKET_US);
        let ahead = bucket.saturating_sub(self.newest);
        if ahead > 0 {
            for step in 1..=ahead.min(BUCKETS as i64) {
                *self.slot(self.newest.wrapping_add(step)) = None;
            }
            self.newest = bucket;
            if ahead > BUCKETS as i64 {
                self.buckets = [None; BUCKETS];
            }
        }
        let newest = self.newest;
        let slot = self.slot(newest);
        *slot = Some(slot.map_or(delay_us, |least| least.min(delay_us)));
    }

    pub fn get(&self) -> Option<i64> {
        self.buckets.iter().flatten().min().copied()
    }

    fn slot(&mut self, bucket: i64) -> &mut Option<i64> {
        &mut self.buckets[bucket.rem_euclid(BUCKETS as i64) as usize]
    }
}

/// A member's wall clock against the programme clock: where all of the member's tracks that have sender reports are put.
///
/// It follows the smallest delay of all of them, which leaps: when a microphone is unmuted, the sound is there sooner than the picture
/// was. Were each track to follow such a leap at its own pace, lips and voice would be apart until the slower one has arrived.
#[derive(Clone, Debug, Default)]
pub struct MemberClock {
    least: LeastDelay,
    /// The first and the newest frame of the member, and the delay where its tracks are put.
    place: Option<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    first_us: i64,
    newest_us: i64,
    delay_us: i64,
}

impl MemberClock {
    /// Something of the member arrived; `delay_us` against the member's wall clock.
    pub fn observe(&mut self, at_us: i64, delay_us: i64) {
        self.least.observe(at_us, delay_us);
        let least_us = self.least.get().unwrap_or(delay_us);
        let Some(place) = &mut self.place else {
            self.place = Some(Place {
                first_us: at_us,
                newest_us: at_us,
                delay_us: least_us,
            });
            return;
        };
        let passed_us = at_us.saturating_sub(place.newest_us).max(0);
        place.newest_us = place.newest_us.max(at_us);
        let off_us = least_us.saturating_sub(place.delay_us);
        let is_new = place.newest_us.saturating_sub(place.first_us) < SETTLED_US;
        if is_new || off_us.saturating_abs() > SET_US {
            place.delay_us = least_us;
            return;
        }
        let pace = if off_us > FAR_US { PACE_FAR } else { PACE };
        // Rounded up, so that many frames in one instant's time still move it.
        let most_us = passed_us.saturating_mul(pace) / 1_000_000 + i64::from(passed_us > 0);
        place.delay_us += off_us.clamp(-most_us, most_us);
    }

    /// None before the first frame.
    pub fn delay_us(&self) -> Option<i64> {
        self.place.map(|place| place.delay_us)
    }
}

/// One track's clock against the programme clock.
#[derive(Clone, Debug, Default)]
pub struct TrackClock {
    arrivals: LeastDelay,
    /// The member's wall clock minus the track's media clock, as the newest sender report says.
    report: Option<i64>,
}

/// What a frame told about its clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    Steady,
    /// The track's clock is another one than before.
    Jumped,
}

impl TrackClock {
    /// A frame with time `media_us` arrived. `member` is where all of its member's tracks are put.
    pub fn observe(
        &mut self,
        member: &mut MemberClock,
        arrived_us: i64,
        media_us: i64,
        sender_us: Option<i64>,
    ) -> Seen {
        let delay = arrived_us.saturating_sub(media_us);
        let mut seen = Seen::Steady;
        if let Some(least) = self.arrivals.get()
            && delay.saturating_sub(least).saturating_abs() > LATE_MAX_US
        {
            *self = Self::default();
            seen = Seen::Jumped;
        }
        self.arrivals.observe(arrived_us, delay);
        self.report = sender_us.map(|sender| sender.saturating_sub(media_us));
        if let Some(sender) = sender_us {
            member.observe(arrived_us, arrived_us.saturating_sub(sender));
        }
        seen
    }

    /// Programme clock minus this track's media clock: by sender reports when they make sense, so that a member's
    /// picture and sound belong together, else by arrivals alone. None before the first frame.
    pub fn offset_us(&self, member: &MemberClock) -> Option<i64> {
        let by_arrival = self.arrivals.get()?;
        let by_report = self
            .report
            .zip(member.delay_us())
            .map(|(report, least)| report.saturating_add(least))
            .filter(|offset| offset.saturating_sub(by_arrival).saturating_abs() <= REPORT_TRUST_US);
        Some(by_report.unwrap_or(by_arrival))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_delay_forgets_what_is_older_than_ten_seconds() {
        let mut least = LeastDelay::default();
        least.observe(0, 5);
        for second in 1..10 {
            least.observe(second * BUCKET_US, 50);
            assert_eq!(least.get(), Some(5), "second {second}");
        }
        least.observe(10 * BUCKET_US, 50);
        assert_eq!(least.get(), Some(50));
        least.observe(1_000 * BUCKET_US, 70);
        assert_eq!(least.get(), Some(70));
    }

    #[test]
    fn a_leap_of_the_least_delay_moves_the_member_slowly_and_all_the_way() {
        let mut member = MemberClock::default();
        let mut before = None;
        for at_ms in 0..40_000 {
            // Only a slow camera in the beginning; then a microphone too.
            let delay_us = if at_ms < 5_000 { 100_000 } else { 20_000 };
            member.observe(at_ms * 1_000, delay_us);
            let place = member.delay_us().expect("something arrived");
            if let Some(before) = before.replace(place) {
                assert!((before - 6..=before).contains(&place), "{before} {place}");
            }
        }
        assert_eq!(member.delay_us(), Some(20_000));
    }

    #[test]
    fn a_member_that_is_too_late_comes_back_faster_and_leaps_from_farther_away_on_either_side() {
        // Milliseconds after the member's delay is another one for good, until it is near its new place.
        let check = |from_us: i64, to_us: i64, sooner: i64, later: i64| {
            let mut member = MemberClock::default();
            for at_ms in 0..2_000 {
                member.observe(at_ms * 1_000, from_us);
            }
            let near = (2_000..40_000).find(|at_ms| {
                member.observe(at_ms * 1_000, to_us);
                let off_us = member.delay_us().expect("something arrived") - to_us;
                off_us.abs() <= FAR_US
            });
            let took = near.expect("it comes back") - 2_000;
            assert!((sooner..=later).contains(&took), "{from_us} {to_us} {took}");
        };
        // What is sooner is known at once, what is later when the ten seconds before are forgotten.
        check(20_000, 210_000, 13_000, 15_000);
        check(210_000, 20_000, 17_000, 21_000);
        check(20_000, 320_000, 8_000, 10_000);
        check(420_000, 20_000, 0, 1);
    }

    #[test]
    fn a_wall_clock_that_is_set_moves_the_member_at_once() {
        let mut member = MemberClock::default();
        member.observe(0, 50_000);
        assert_eq!(member.delay_us(), Some(50_000));
        member.observe(5_000_000, -3_600_000_000);
        assert_eq!(member.delay_us(), Some(-3_600_000_000));
    }

    #[test]
    fn reports_move_a_late_picture_to_its_sound() {
        let mut member = MemberClock::default();
        let (mut sound, mut picture) = (TrackClock::default(), TrackClock::default());
        // Sound arrives 20 ms and picture 90 ms after capture; the media clocks start anywhere.
        sound.observe(&mut member, 1_020_000, 7_000_000, Some(501_000_000));
        picture.observe(&mut member, 1_090_000, 9_000_000, Some(501_000_000));
        let heard = 7_000_000 + sound.offset_us(&member).expect("a frame was there");
        let seen = 9_000_000 + picture.offset_us(&member).expect("a frame was there");
        assert_eq!((heard, seen), (1_020_000, 1_020_000));
    }

    #[test]
    fn a_senseless_report_is_not_believed() {
        let mut member = MemberClock::default();
        let (mut sound, mut picture) = (TrackClock::default(), TrackClock::default());
        sound.observe(&mut member, 1_000_000, 0, Some(i64::MAX));
        picture.observe(&mut member, 1_000_000, 0, Some(i64::MIN));
        assert_eq!(picture.offset_us(&member), Some(1_000_000));
        assert_eq!(sound.offset_us(&member), Some(1_000_000));
    }

    #[test]
    fn a_clock_that_jumps_is_taken_for_a_new_one() {
        let mut member = MemberClock::default();
        let mut clock = TrackClock::default();
        assert_eq!(clock.observe(&mut member, 0, 0, None), Seen::Steady);
        assert_eq!(
            clock.observe(&mut member, 20_000, 3_600_000_000, None),
            Seen::Jumped
        );
        assert_eq!(clock.offset_us(&member), Some(20_000 - 3_600_000_000));
        assert_eq!(
            clock.observe(&mut member, 40_000, 20_000, None),
            Seen::Jumped
        );
        assert_eq!(clock.offset_us(&member), Some(20_000));
    }
}
