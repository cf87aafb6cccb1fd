//! When a room means to go on air next: which times may be announced, and for how long they are said.
//!
//! Times come in as arguments. The store keeps what is announced (`RoomSettings::starts`), `http/rooms.rs` says it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The furthest that may be announced: a year, in leap years too.
const AHEAD_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);
/// For so long after its time it is still said, since people are late. Longer: what was called off keeps its audience waiting.
const OVERDUE_MAX: Duration = Duration::from_secs(3_600);
/// A broadcast that begins so long before an announced time is the announced one. Longer: a rehearsal takes the announcement away.
/// Shorter: a broadcast that began early and is over is announced again.
const EARLY_MAX: Duration = Duration::from_secs(30 * 60);

/// Why a time cannot be announced, in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unfit {
    #[error(
        "that time is over: announce one that is to come, or take the announcement back with null"
    )]
    Over,
    #[error("that is more than a year ahead: announce it later")]
    TooFar,
}

/// Whether a room may announce this.
pub fn check(starts: SystemTime, now: SystemTime) -> Result<(), Unfit> {
    match starts.duration_since(now) {
        Ok(ahead) if ahead.is_zero() => Err(Unfit::Over),
        Ok(ahead) if ahead > AHEAD_MAX => Err(Unfit::TooFar),
        Ok(_) => Ok(()),
        Err(_) => Err(Unfit::Over),
    }
}

/// What of it is still said.
pub fn current(starts: Option<SystemTime>, now: SystemTime) -> Option<SystemTime> {
    starts.filter(|starts| *starts >= said_from(now))
}

/// The oldest time that is still said.
pub fn said_from(now: SystemTime) -> SystemTime {
    now.checked_sub(OVERDUE_MAX).unwrap_or(UNIX_EPOCH)
}

/// The last time that a broadcast keeps by beginning at `began`: what was announced up to there is over with it.
pub fn kept_until(began: SystemTime) -> SystemTime {
    began + EARLY_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600;
    const NOW: u64 = 1_000 * HOUR;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_to_come_within_a_year_may_be_announced() {
        for (starts, expected) in [
            (NOW - 1, Err(Unfit::Over)),
            (NOW, Err(Unfit::Over)),
            (NOW + 1, Ok(())),
            (NOW + 366 * 24 * HOUR, Ok(())),
            (NOW + 366 * 24 * HOUR + 1, Err(Unfit::TooFar)),
        ] {
            assert_eq!(check(at(starts), at(NOW)), expected, "{starts}");
        }
    }

    #[test]
    fn an_announcement_is_said_until_an_hour_after_its_time() {
        for (starts, said) in [
            (NOW + HOUR, true),
            (NOW, true),
            (NOW - HOUR, true),
            (NOW - HOUR - 1, false),
        ] {
            let expected = said.then(|| at(starts));
            assert_eq!(current(Some(at(starts)), at(NOW)), expected, "{starts}");
        }
        assert_eq!(current(None, at(NOW)), None);
    }

    #[test]
    fn a_broadcast_keeps_what_was_announced_for_the_half_hour_after_it_began() {
        for (starts, kept) in [
            (NOW - HOUR, true),
            (NOW, true),
            (NOW + HOUR / 2, true),
            (NOW + HOUR, false),
        ] {
            assert_eq!(at(starts) <= kept_until(at(NOW)), kept, "{starts}");
        }
    }
}
