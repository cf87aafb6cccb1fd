//! Which rooms are on air, and which were a moment ago: only those can be reported (`http/reports.rs`).
//!
//! In memory alone: after a restart it knows what has been on air since.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// For so long after its end a broadcast still counts. Longer: strangers can write about what nobody remembers.
const RECENT: Duration = Duration::from_secs(3_600);
/// Ended broadcasts that are remembered; beyond it the one that ended first is forgotten. Those on air are bounded by
/// `limits.broadcasts`.
const ENDED_MAX: usize = 1_024;

#[derive(Default)]
pub struct Airings(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// By room, the end of its last broadcast; none while it is on air.
    ended: BTreeMap<String, Option<Instant>>,
    forgotten: u64,
}

impl Airings {
    pub fn began(&self, room: &str) {
        self.seen().ended.insert(room.to_owned(), None);
    }

    /// Nothing happens where it was not on air.
    pub fn ended(&self, room: &str, now: Instant) {
        let mut seen = self.seen();
        match seen.ended.get_mut(room) {
            Some(end) if end.is_none() => *end = Some(now),
            Some(_) | None => return,
        }
        seen.ended
            .retain(|_, end| end.is_none_or(|end| is_recent(end, now)));
        let ends = seen
            .ended
            .iter()
            .filter_map(|(room, end)| Some((room, (*end)?)));
        if ends.clone().count() > ENDED_MAX
            && let Some((first, _)) = ends.min_by_key(|(_, end)| *end)
        {
            let first = first.clone();
            seen.ended.remove(&first);
            seen.forgotten += 1;
        }
    }

    /// Whether the room is on air, or was within the last hour.
    pub fn is_recent(&self, room: &str, now: Instant) -> bool {
        let seen = self.seen();
        let end = seen.ended.get(room);
        end.is_some_and(|end| end.is_none_or(|end| is_recent(end, now)))
    }

    /// Forgotten before their time, since too many had ended.
    pub fn forgotten(&self) -> u64 {
        self.seen().forgotten
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().expect("nobody panics while holding it")
    }
}

fn is_recent(end: Instant, now: Instant) -> bool {
    now.saturating_duration_since(end) <= RECENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broadcast_counts_while_it_runs_and_for_an_hour_after() {
        let airings = Airings::default();
        let start = Instant::now();
        let is_recent = |seconds| airings.is_recent("hall", start + Duration::from_secs(seconds));
        assert!(!is_recent(0));
        airings.began("hall");
        assert!(is_recent(90_000), "it is on air");
        airings.ended("hall", start);
        // The room closes some time after its broadcast.
        airings.ended("hall", start + Duration::from_secs(3_000));
        assert!(is_recent(3_600));
        assert!(!is_recent(3_601));
        airings.began("hall");
        assert!(is_recent(3_601), "again");
        airings.ended("cellar", start);
        assert!(!airings.is_recent("cellar", start), "it never was");
    }

    #[test]
    fn too_many_that_ended_cost_the_oldest_and_none_that_is_on_air() {
        let airings = Airings::default();
        let start = Instant::now();
        airings.began("on air");
        for number in 0..ENDED_MAX + 2 {
            let room = format!("room {number}");
            airings.began(&room);
            airings.ended(&room, start + Duration::from_millis(number as u64));
        }
        let now = start + Duration::from_secs(60);
        for (room, expected) in [
            ("on air", true),
            ("room 0", false),
            ("room 1", false),
            ("room 2", true),
        ] {
            assert_eq!(airings.is_recent(room, now), expected, "{room}");
        }
        assert_eq!(airings.forgotten(), 2);
    }
}
