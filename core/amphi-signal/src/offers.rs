//! Receiving over a connection of its own, on which we offer: one offer at a time, each brings the lines from what was
//! agreed to what is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use amphi_media::TrackId;
use amphi_sfu::Mid;

/// Most lines of one client.
const LINES_MAX: usize = 100;

/// How long a client may take to answer before it is offered anew with an ICE restart.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Offers in a row that may stay without a usable answer.
const FAILURES_MAX: u32 = 3;

#[derive(Default)]
pub(crate) struct Offers {
    wanted: BTreeSet<TrackId>,
    /// What an answered offer carries.
    lines: BTreeMap<TrackId, Mid>,
    /// Tracks that were unwanted once: nothing is sent on their line any more, and nothing will be until it is taken off
    /// and the track gets another one, even if it is wanted again by then.
    released: BTreeSet<TrackId>,
    pending: Option<Pending>,
    /// Something was offered (the first offer carries the data channels and comes in any case).
    begun: bool,
    last_id: u32,
    /// Offers in a row that came to nothing.
    failures: u32,
    /// The newest answer was not refused so far.
    answer_holds: bool,
}

struct Pending {
    add: BTreeMap<TrackId, Option<Mid>>,
    remove: BTreeSet<TrackId>,
    /// The number that it was sent under; none while the SFU makes it.
    id: Option<u32>,
    since: Instant,
}

/// What the next offer does.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Change {
    pub(crate) add: Vec<TrackId>,
    pub(crate) remove: Vec<Mid>,
    pub(crate) ice_restart: bool,
}

impl Offers {
    pub(crate) fn want(&mut self, track: TrackId) {
        self.wanted.insert(track);
    }

    /// The line to stop sending on.
    pub(crate) fn unwant(&mut self, track: TrackId) -> Option<Mid> {
        self.wanted.remove(&track);
        let offered = self
            .pending
            .as_ref()
            .and_then(|pending| pending.add.get(&track)?.clone());
        let mid = self.lines.get(&track).cloned().or(offered)?;
        self.released.insert(track);
        Some(mid)
    }

    /// The next offer, unless one is under way or nothing is to be changed. Of what is gone already (`is_there`), no
    /// line is made, although nobody has said yet that it is not wanted.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        is_there: impl Fn(TrackId) -> bool,
    ) -> Option<Change> {
        self.wanted.retain(|track| is_there(*track));
        if self.pending.is_some() || (self.begun && self.is_settled()) {
            return None;
        }
        Some(self.begin(now, false))
    }

    /// Whatever is under way is thrown away and offered anew with an ICE restart.
    pub(crate) fn restart(&mut self, now: Instant) -> Change {
        self.pending = None;
        self.begin(now, true)
    }

    /// The SFU has made the offer: its number, and what every line carries once it is answered.
    pub(crate) fn made(
        &mut self,
        now: Instant,
        lines: &[(TrackId, Mid)],
    ) -> Option<(u32, BTreeMap<Mid, TrackId>)> {
        let pending = self.pending.as_mut()?;
        if self.answer_holds {
            self.failures = 0;
        }
        self.last_id += 1;
        pending.id = Some(self.last_id);
        pending.since = now;
        for (track, mid) in lines {
            pending.add.insert(*track, Some(mid.clone()));
        }
        let kept = self
            .lines
            .iter()
            .filter(|(track, _)| !pending.remove.contains(track));
        let carried = kept.map(|(track, mid)| (mid.clone(), *track));
        let added = lines.iter().map(|(track, mid)| (mid.clone(), *track));
        Some((self.last_id, carried.chain(added).collect()))
    }

    /// The client has answered. False when it answers something else; some clients name no number.
    pub(crate) fn answered(&mut self, id: u32) -> bool {
        let Some(pending) = self
            .pending
            .take_if(|pending| pending.id.is_some() && (id == 0 || pending.id == Some(id)))
        else {
            return false;
        };
        self.lines
            .retain(|track, _| !pending.remove.contains(track));
        self.released
            .retain(|track| !pending.remove.contains(track));
        self.lines.extend(
            pending
                .add
                .into_iter()
                .filter_map(|(track, mid)| Some((track, mid?))),
        );
        self.answer_holds = true;
        true
    }

    /// An offer came to nothing. True when it is worth another one.
    pub(crate) fn failed(&mut self) -> bool {
        self.answer_holds = false;
        self.failures += 1;
        self.failures <= FAILURES_MAX
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.pending
            .as_ref()
            .map(|pending| pending.since + ANSWER_WITHIN)
    }

    /// Tracks that can have no line, because the client has as many as it may.
    pub(crate) fn beyond_limit(&self) -> usize {
        self.wanted.len().saturating_sub(LINES_MAX)
    }

    fn begin(&mut self, now: Instant, ice_restart: bool) -> Change {
        self.begun = true;
        let add: Vec<TrackId> = self.to_add().collect();
        for track in &add {
            self.released.remove(track);
        }
        let remove: BTreeSet<TrackId> = self
            .lines
            .keys()
            .filter(|track| !self.wanted.contains(track) || self.released.contains(track))
            .copied()
            .collect();
        let mids = remove
            .iter()
            .map(|track| self.lines[track].clone())
            .collect();
        self.pending = Some(Pending {
            add: add.iter().map(|track| (*track, None)).collect(),
            remove,
            id: None,
            since: now,
        });
        Change {
            add,
            remove: mids,
            ice_restart,
        }
    }

    fn to_add(&self) -> impl Iterator<Item = TrackId> {
        let places = LINES_MAX.saturating_sub(self.lines.len());
        self.wanted
            .iter()
            .filter(|track| !self.lines.contains_key(track))
            .copied()
            .take(places)
    }

    fn is_settled(&self) -> bool {
        let holds = |track| self.wanted.contains(track) && !self.released.contains(track);
        self.to_add().next().is_none() && self.lines.keys().all(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "a first instant to count from; tests add to it"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    fn mid(name: &str) -> Mid {
        Mid(name.to_owned())
    }

    fn change(add: &[u32], remove: &[&str], ice_restart: bool) -> Change {
        let add = add.iter().copied().map(TrackId).collect();
        Change {
            add,
            remove: remove.iter().map(|name| mid(name)).collect(),
            ice_restart,
        }
    }

    #[test]
    fn the_first_offer_comes_without_any_track() {
        let (mut offers, now) = (Offers::default(), start());
        assert_eq!(offers.next(now, |_| true), Some(change(&[], &[], false)));
        assert_eq!(offers.next(now, |_| true), None, "one at a time");
        assert_eq!(offers.made(now, &[]).map(|(id, _)| id), Some(1));
        assert!(offers.answered(1));
        assert_eq!(offers.next(now, |_| true), None);
    }

    #[test]
    fn what_is_wanted_while_an_offer_is_pending_waits_for_its_answer() {
        let (mut offers, now) = (Offers::default(), start());
        offers.next(now, |_| true);
        offers.made(now, &[]);
        offers.want(TrackId(1));
        offers.want(TrackId(2));
        assert_eq!(offers.next(now, |_| true), None);
        assert!(
            offers.answered(0),
            "a client that names no number answers what is pending"
        );
        assert_eq!(
            offers.next(now, |_| true),
            Some(change(&[1, 2], &[], false))
        );
        let (id, map) = offers
            .made(now, &[(TrackId(1), mid("0")), (TrackId(2), mid("1"))])
            .expect("pending");
        assert_eq!((id, map.len()), (2, 2));
        // Taken back before the answer: its line is known and goes with the next offer.
        assert_eq!(offers.unwant(TrackId(2)), Some(mid("1")));
        assert!(offers.answered(2));
        assert_eq!(offers.next(now, |_| true), Some(change(&[], &["1"], false)));
    }

    #[test]
    fn a_track_that_is_wanted_again_gets_another_line_for_the_one_that_was_released() {
        let (mut offers, now) = (Offers::default(), start());
        offers.want(TrackId(1));
        offers.next(now, |_| true);
        offers.made(now, &[(TrackId(1), mid("0"))]);
        assert!(offers.answered(1));
        // Both before anything could be offered: the line is silent for good.
        assert_eq!(offers.unwant(TrackId(1)), Some(mid("0")));
        offers.want(TrackId(1));
        assert_eq!(offers.next(now, |_| true), Some(change(&[], &["0"], false)));
        offers.made(now, &[]);
        assert!(offers.answered(2));
        assert_eq!(offers.next(now, |_| true), Some(change(&[1], &[], false)));
        offers.made(now, &[(TrackId(1), mid("1"))]);
        assert!(offers.answered(3));
        assert_eq!(offers.next(now, |_| true), None);
    }

    #[test]
    fn a_restart_offers_again_what_was_under_way_and_ignores_the_older_answer() {
        let (mut offers, now) = (Offers::default(), start());
        offers.want(TrackId(1));
        offers.next(now, |_| true);
        offers.made(now, &[(TrackId(1), mid("0"))]);
        assert_eq!(offers.restart(now), change(&[1], &[], true));
        assert!(!offers.answered(1), "nothing is sent yet");
        offers.made(now, &[(TrackId(1), mid("0"))]);
        assert!(!offers.answered(1));
        assert!(offers.answered(2));
        assert_eq!(offers.unwant(TrackId(1)), Some(mid("0")));
    }

    #[test]
    fn an_offer_that_is_not_answered_has_a_deadline_and_a_last_try() {
        let (mut offers, now) = (Offers::default(), start());
        offers.next(now, |_| true);
        assert_eq!(offers.deadline(), Some(now + ANSWER_WITHIN));
        let tries = (0..10).take_while(|_| offers.failed()).count();
        assert_eq!(tries, usize::try_from(FAILURES_MAX).expect("small"));
    }

    #[test]
    fn an_answer_that_turns_out_to_be_refused_does_not_count_as_one() {
        let (mut offers, now) = (Offers::default(), start());
        offers.next(now, |_| true);
        let mut tries = 0;
        loop {
            let (id, _) = offers.made(now, &[]).expect("pending");
            assert!(offers.answered(id));
            if !offers.failed() {
                break;
            }
            tries += 1;
            offers.restart(now);
        }
        assert_eq!(tries, FAILURES_MAX);
    }

    #[test]
    fn lines_end_at_the_limit() {
        let (mut offers, now) = (Offers::default(), start());
        for track in 0..u32::try_from(LINES_MAX).expect("small") + 5 {
            offers.want(TrackId(track));
        }
        assert_eq!(
            offers.next(now, |_| true).map(|change| change.add.len()),
            Some(LINES_MAX)
        );
        assert_eq!(offers.beyond_limit(), 5);
    }
}
