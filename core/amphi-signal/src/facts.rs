//! What a signal may look at and must not change: the room, its names, the wall clock.

use std::time::Instant;

use amphi_media::{MediaKind, MemberId, Source, TrackId};
use amphi_room::{Room, Track};

/// A point in time on both clocks, from which others are reckoned. Taken once, so that a time told twice is the same.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct WallClock {
    pub at: Instant,
    /// Milliseconds since 1970 at that point.
    pub unix_ms: i64,
}

impl WallClock {
    /// Milliseconds since 1970 at `when`.
    pub fn unix_ms(&self, when: Instant) -> i64 {
        let millis =
            |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        match when.checked_duration_since(self.at) {
            Some(after) => self.unix_ms.saturating_add(millis(after)),
            None => self
                .unix_ms
                .saturating_sub(millis(self.at.duration_since(when))),
        }
    }
}

/// What is said of a room on the wire and does not change while it lives.
///
/// The sids (LiveKit's ids on the wire, `PA_…` for a member, `TR_…` for a track, `RM_…` for the room) are the house's
/// own ids, mixed with the room's seed so that one does not follow from another, and can be read back. They are names,
/// not secrets: nothing is allowed because somebody knows one.
#[derive(Clone, PartialEq, Debug)]
pub struct RoomFacts {
    pub name: String,
    seed: u64,
    pub wall: WallClock,
}

/// What goes with every input.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub room: &'a Room,
    pub facts: &'a RoomFacts,
}

/// Letters and digits, so that a sid is one word everywhere.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^11 > 2^64.
const SID_DIGITS: usize = 11;

impl RoomFacts {
    pub fn new(name: &str, seed: u64, wall: WallClock) -> Self {
        Self {
            name: name.to_owned(),
            seed,
            wall,
        }
    }

    pub fn room_sid(&self) -> String {
        format!("RM_{}", self.digits(0))
    }

    pub fn participant_sid(&self, member: MemberId) -> String {
        format!("PA_{}", self.digits(member.0))
    }

    /// With two letters that say what it is, as LiveKit's own have: `TR_VC…` is a camera.
    pub fn track_sid(&self, track: &Track) -> String {
        let kind = match track.announced.kind {
            MediaKind::Audio => 'A',
            MediaKind::Video => 'V',
        };
        let source = match track.announced.source {
            Source::Camera => 'C',
            Source::Microphone => 'M',
            Source::Screen => 'S',
            Source::ScreenAudio => 's',
            Source::Unknown => 'U',
        };
        format!("TR_{kind}{source}{}", self.digits(u64::from(track.id.0)))
    }

    /// The member whose sid this is, if it has the form of one; whether it is in the room is another question.
    pub fn member_of(&self, sid: &str) -> Option<MemberId> {
        self.number(sid.strip_prefix("PA_")?).map(MemberId)
    }

    /// The track whose sid this is, if it has the form of one.
    pub fn track_of(&self, sid: &str) -> Option<TrackId> {
        let digits = sid.strip_prefix("TR_")?.get(2..)?;
        u32::try_from(self.number(digits)?).ok().map(TrackId)
    }

    fn digits(&self, number: u64) -> String {
        let mut rest = mix(number, self.seed);
        let mut digits = [b'0'; SID_DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit = DIGITS[usize::try_from(rest % 62).expect("below 62")];
            rest /= 62;
        }
        digits.iter().map(|digit| char::from(*digit)).collect()
    }

    fn number(&self, digits: &str) -> Option<u64> {
        if digits.len() != SID_DIGITS {
            return None;
        }
        let mut number: u64 = 0;
        for byte in digits.bytes() {
            let digit = DIGITS.iter().position(|digit| *digit == byte)?;
            number = number
                .checked_mul(62)?
                .checked_add(u64::try_from(digit).expect("below 62"))?;
        }
        Some(unmix(number, self.seed))
    }
}

/// An odd number and its inverse modulo 2^64.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
const STEP_BACK: u64 = inverse(STEP);

/// A permutation of the 64-bit numbers: every step can be undone.
fn mix(number: u64, seed: u64) -> u64 {
    let mut x = number ^ seed;
    for _ in 0..2 {
        x = x.wrapping_mul(STEP);
        x ^= x >> 32;
    }
    x
}

fn unmix(number: u64, seed: u64) -> u64 {
    let mut x = number;
    for _ in 0..2 {
        x ^= x >> 32;
        x = x.wrapping_mul(STEP_BACK);
    }
    x ^ seed
}

/// Newton's iteration: each round doubles the number of right bits, beginning with three.
const fn inverse(odd: u64) -> u64 {
    let mut x = odd;
    let mut round = 0;
    while round < 5 {
        x = x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x)));
        round += 1;
    }
    x
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "a first instant to count from; tests add to it"
    )]
    fn facts(seed: u64) -> RoomFacts {
        RoomFacts::new(
            "hall",
            seed,
            WallClock {
                at: Instant::now(),
                unix_ms: 1_800_000_000_000,
            },
        )
    }

    #[test]
    fn a_sid_is_read_back_and_differs_between_rooms() {
        for seed in [0, 1, u64::MAX, 0x1234_5678_9abc_def0] {
            let facts = facts(seed);
            for number in [0, 1, 2, 61, 62, u64::from(u32::MAX), u64::MAX] {
                let sid = facts.participant_sid(MemberId(number));
                assert_eq!(facts.member_of(&sid), Some(MemberId(number)), "{sid}");
            }
        }
        assert_ne!(
            facts(1).participant_sid(MemberId(1)),
            facts(2).participant_sid(MemberId(1))
        );
        assert_ne!(facts(1).room_sid(), facts(2).room_sid());
    }

    #[test]
    fn what_is_not_a_sid_names_nobody() {
        let facts = facts(7);
        for sid in [
            "",
            "PA_",
            "PA_short",
            "TR_12345678901",
            "PA_~~~~~~~~~~~",
            "PA_zzzzzzzzzzz",
            "PA_123456789012",
            "PA_é1234567890",
        ] {
            assert_eq!(facts.member_of(sid), None, "{sid}");
        }
        for sid in ["", "TR_", "TR_V", "TR_Vé1234567890", "TR_VC12345678901"] {
            assert_eq!(facts.track_of(sid), None, "{sid}");
        }
    }

    #[test]
    fn the_wall_clock_counts_both_ways() {
        let wall = facts(0).wall;
        assert_eq!(
            wall.unix_ms(wall.at + Duration::from_millis(1_500)),
            1_800_000_001_500
        );
        let later = WallClock {
            at: wall.at + Duration::from_secs(1),
            ..wall
        };
        assert_eq!(later.unix_ms(wall.at), 1_799_999_999_000);
    }
}
