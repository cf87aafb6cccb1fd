//! The reference model: what may arrive at whom, written down as plainly as can be, and nothing about how it is done.
//!
//! It learns what reached the house, in the order in which it did, and judges what reaches people.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use peer::Source;

use crate::network::DELAY_MIN;

/// One stay of one person, from join to leave.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Stay(pub usize);

/// One publication of one stay. Every packet of it says so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Media(pub u32);

#[derive(Clone, Debug)]
pub struct StayFacts {
    pub person: usize,
    pub room: usize,
    /// Set when the house let it go, for whatever reason.
    pub over: Option<Instant>,
    /// Sources that may not be published, and since when.
    pub denied: BTreeMap<Source, Instant>,
    pub may_not_subscribe: Option<Instant>,
}

#[derive(Clone, Debug)]
pub struct MediaFacts {
    pub stay: Stay,
    pub source: Source,
    pub track: Option<String>,
    /// It will never be forwarded again: refused, or taken away.
    pub dead: Option<Instant>,
    /// Its publisher has ended it, and sends nothing more. What was on its way then may still arrive.
    pub ended: bool,
    /// Its socket broke before the house's answer came: the publisher does not know of it, the house may.
    pub unsure: bool,
    pub muted: Option<Instant>,
}

/// One packet of a publication on its way.
#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Instant,
    /// When it first reached the house, unless it was lost.
    reached: Option<Instant>,
}

#[derive(Default)]
pub struct Model {
    pub stays: BTreeMap<Stay, StayFacts>,
    pub media: BTreeMap<Media, MediaFacts>,
    /// Who does not want what, and since when.
    unwanted: BTreeMap<(Stay, Media), Instant>,
    paused: BTreeMap<(Stay, Media), Instant>,
    sent: BTreeMap<(Media, u32), Sent>,
    /// When what last arrived at whom.
    pub last_arrival: BTreeMap<(Stay, Media), Instant>,
    pub arrivals: u64,
    pub violations: Vec<String>,
}

impl Model {
    pub fn join(&mut self, stay: Stay, person: usize, room: usize) {
        let facts = StayFacts {
            person,
            room,
            over: None,
            denied: BTreeMap::new(),
            may_not_subscribe: None,
        };
        self.stays.insert(stay, facts);
    }

    /// The house let this stay go.
    pub fn end(&mut self, now: Instant, stay: Stay) {
        let Some(facts) = self.stays.get_mut(&stay) else {
            return;
        };
        facts.over.get_or_insert(now);
        for media in self.media.values_mut().filter(|media| media.stay == stay) {
            media.dead.get_or_insert(now);
        }
    }

    /// The announcement of a publication reached the house.
    pub fn announced(
        &mut self,
        now: Instant,
        media: Media,
        stay: Stay,
        source: Source,
        muted: bool,
    ) {
        let Some(facts) = self.stays.get(&stay) else {
            return;
        };
        let refused = facts.denied.contains_key(&source) || facts.over.is_some();
        self.media.insert(
            media,
            MediaFacts {
                stay,
                source,
                track: None,
                dead: refused.then_some(now),
                ended: false,
                unsure: false,
                muted: muted.then_some(now),
            },
        );
    }

    /// The publisher itself has ended it.
    pub fn unpublished(&mut self, media: Media) {
        if let Some(facts) = self.media.get_mut(&media) {
            facts.ended = true;
        }
    }

    pub fn unsure(&mut self, media: Media) {
        if let Some(facts) = self.media.get_mut(&media) {
            facts.unsure = true;
        }
    }

    pub fn named(&mut self, media: Media, track: &str) {
        if let Some(facts) = self.media.get_mut(&media) {
            facts.track = Some(track.to_owned());
        }
    }

    fn by_track(&self, track: &str) -> Option<Media> {
        self.media
            .iter()
            .find(|(_, facts)| facts.track.as_deref() == Some(track))
            .map(|(media, _)| *media)
    }

    pub fn mute(&mut self, now: Instant, track: &str, muted: bool) {
        let Some(media) = self.by_track(track) else {
            return;
        };
        let facts = self.media.get_mut(&media).expect("it was just found");
        facts.muted = if muted {
            facts.muted.or(Some(now))
        } else {
            None
        };
    }

    pub fn want(&mut self, now: Instant, stay: Stay, track: &str, wanted: bool) {
        let Some(media) = self.by_track(track) else {
            return;
        };
        if wanted {
            self.unwanted.remove(&(stay, media));
        } else {
            self.unwanted.entry((stay, media)).or_insert(now);
        }
    }

    pub fn pause(&mut self, now: Instant, stay: Stay, track: &str, paused: bool) {
        let Some(media) = self.by_track(track) else {
            return;
        };
        if paused {
            self.paused.entry((stay, media)).or_insert(now);
        } else {
            self.paused.remove(&(stay, media));
        }
    }

    pub fn grant(&mut self, now: Instant, stay: Stay, source: Source, on: bool) {
        let Some(facts) = self.stays.get_mut(&stay) else {
            return;
        };
        if on {
            facts.denied.remove(&source);
            return;
        }
        facts.denied.entry(source).or_insert(now);
        let lost = self
            .media
            .values_mut()
            .filter(|media| media.stay == stay && media.source == source);
        for media in lost {
            media.dead.get_or_insert(now);
        }
    }

    pub fn grant_subscribing(&mut self, now: Instant, stay: Stay, on: bool) {
        let Some(facts) = self.stays.get_mut(&stay) else {
            return;
        };
        facts.may_not_subscribe = if on {
            None
        } else {
            facts.may_not_subscribe.or(Some(now))
        };
    }

    pub fn sent(&mut self, now: Instant, media: Media, number: u32) {
        self.sent.insert(
            (media, number),
            Sent {
                at: now,
                reached: None,
            },
        );
    }

    /// Its datagram reached the house.
    pub fn reached(&mut self, now: Instant, media: Media, number: u32) {
        if let Some(sent) = self.sent.get_mut(&(media, number)) {
            sent.reached.get_or_insert(now);
        }
    }

    /// A packet arrived at somebody: judged.
    pub fn arrived(&mut self, now: Instant, stay: Stay, media: Media, number: u32) {
        self.arrivals += 1;
        self.last_arrival.insert((stay, media), now);
        let (Some(sent), Some(facts), Some(receiver)) = (
            self.sent.get(&(media, number)),
            self.media.get(&media),
            self.stays.get(&stay),
        ) else {
            self.violations.push(format!(
                "{stay:?} got packet {number} of {media:?}, which nobody sent"
            ));
            return;
        };
        if facts.stay == stay {
            self.violations
                .push(format!("{stay:?} got its own {media:?}"));
        }
        if self
            .stays
            .get(&facts.stay)
            .is_none_or(|publisher| publisher.room != receiver.room)
        {
            self.violations
                .push(format!("{stay:?} got {media:?} of another room"));
        }
        // The house has read it at the earliest when its datagram came, or when it came again: a retransmission takes a
        // later packet to be missed, a request back, and the packet once more.
        let again = sent.at + 3 * DELAY_MIN;
        let read = sent.reached.map_or(again, |reached| reached.min(again));
        for (why, since) in self.reasons_against(stay, media) {
            if read > since {
                self.violations.push(format!(
                    "{stay:?} got packet {number} of {media:?} ({:?} of {:?}), read {:?} after: {why}",
                    facts.source,
                    facts.stay,
                    read - since,
                ));
            }
        }
    }

    /// Why nothing of this that is read from now on may reach them, and since when.
    pub fn reasons_against(&self, stay: Stay, media: Media) -> Vec<(&'static str, Instant)> {
        let (Some(facts), Some(receiver)) = (self.media.get(&media), self.stays.get(&stay)) else {
            return Vec::new();
        };
        let reasons = [
            ("it is refused or taken away", facts.dead),
            ("it is muted", facts.muted),
            ("the receiver is gone", receiver.over),
            ("the receiver may not subscribe", receiver.may_not_subscribe),
            (
                "the receiver does not want it",
                self.unwanted.get(&(stay, media)).copied(),
            ),
            (
                "the receiver has paused it",
                self.paused.get(&(stay, media)).copied(),
            ),
        ];
        reasons
            .into_iter()
            .filter_map(|(why, since)| Some((why, since?)))
            .collect()
    }

    /// Everything that has to arrive somewhere while nothing changes.
    pub fn expected(&self) -> BTreeSet<(Stay, Media)> {
        let mut expected = BTreeSet::new();
        for (stay, receiver) in &self.stays {
            for (media, facts) in &self.media {
                let same_room = self
                    .stays
                    .get(&facts.stay)
                    .is_some_and(|publisher| publisher.room == receiver.room);
                if facts.stay != *stay
                    && same_room
                    && !facts.ended
                    && !facts.unsure
                    && self.reasons_against(*stay, *media).is_empty()
                {
                    expected.insert((*stay, *media));
                }
            }
        }
        expected
    }

    /// Who has to be in a room.
    pub fn present(&self, room: usize) -> BTreeSet<usize> {
        let stays = self.stays.values();
        stays
            .filter(|facts| facts.room == room && facts.over.is_none())
            .map(|facts| facts.person)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Ada's camera and Bo, who gets packet 1 of it, sent `sent` and read `read` after the beginning.
    fn check(
        change: impl Fn(&mut Model, Instant),
        sent: u64,
        read: Option<u64>,
        violations: usize,
    ) {
        let start = Instant::now();
        let (ada, bo, camera) = (Stay(0), Stay(1), Media(0));
        let mut model = Model::default();
        model.join(ada, 0, 0);
        model.join(bo, 1, 0);
        model.announced(start, camera, ada, Source::Camera, false);
        model.named(camera, "TR_c");
        change(&mut model, start + ms(1_000));
        model.sent(start + ms(sent), camera, 1);
        if let Some(read) = read {
            model.reached(start + ms(read), camera, 1);
        }
        model.arrived(start + ms(2_000), bo, camera, 1);
        assert_eq!(model.violations.len(), violations, "{:?}", model.violations);
    }

    #[test]
    fn a_packet_that_is_read_after_the_camera_was_lost_is_a_violation() {
        let lose = |model: &mut Model, at| model.grant(at, Stay(0), Source::Camera, false);
        check(lose, 990, Some(999), 0);
        check(lose, 990, Some(1_001), 1);
        // Its first datagram was lost: it came again, not before fifteen milliseconds.
        check(lose, 984, None, 0);
        check(lose, 986, None, 1);
        check(
            |model, at| model.grant(at, Stay(0), Source::Screen, false),
            1_100,
            Some(1_110),
            0,
        );
    }

    #[test]
    fn every_other_reason_counts_as_long_as_it_lasts() {
        let late = (1_100, Some(1_110));
        check(|model, at| model.mute(at, "TR_c", true), late.0, late.1, 1);
        check(
            |model, at| model.want(at, Stay(1), "TR_c", false),
            late.0,
            late.1,
            1,
        );
        check(
            |model, at| model.pause(at, Stay(1), "TR_c", true),
            late.0,
            late.1,
            1,
        );
        check(
            |model, at| model.grant_subscribing(at, Stay(1), false),
            late.0,
            late.1,
            1,
        );
        check(|model, at| model.end(at, Stay(0)), late.0, late.1, 1);
        let change_of_mind = |model: &mut Model, at| {
            model.mute(at, "TR_c", true);
            model.mute(at, "TR_c", false);
        };
        check(change_of_mind, late.0, late.1, 0);
    }

    #[test]
    fn nobody_gets_what_nobody_sent_or_what_is_of_another_room() {
        let start = Instant::now();
        let mut model = Model::default();
        model.join(Stay(0), 0, 0);
        model.join(Stay(1), 1, 1);
        model.announced(start, Media(0), Stay(0), Source::Microphone, false);
        model.arrived(start, Stay(1), Media(0), 5);
        model.sent(start, Media(0), 1);
        model.arrived(start, Stay(1), Media(0), 1);
        assert_eq!(model.violations.len(), 2);
        assert!(model.expected().is_empty());
    }
}
