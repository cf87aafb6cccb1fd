//! Receiving over one connection: the client offers lines to receive on, and we say what each carries.
//!
//! A line is a *slot*. The client must offer again before a slot can begin or cease to carry something; we ask for that
//! with `MediaSectionsRequirement`, whose numbers say how many lines are to be added (0 and 0: offer again as it is).
//!
//! A slot that ceases to carry a track is answered inactive once before it carries another: a browser tells the page
//! of a new track only when a line turns from inactive to active (JSEP, RFC 8829 §5.10; Chromium's `ontrack`). The line
//! keeps its SSRC all the while (`amphi_sfu::sdp`), without which Chromium decodes the next track and never shows it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use amphi_media::{MediaKind, TrackId};
use amphi_sfu::Mid;
use amphi_sfu::sdp::Line;

/// Most slots of one client. Lower: big rooms show fewer members at a time. Higher: longer descriptions, which every
/// change sends anew (a browser's video line has about 4.5 KB, an audio line 1.5 KB).
const SLOTS_MAX: usize = 72;

/// How long a client may take to offer again. Asking twice costs lines that nobody needs.
const OFFER_WITHIN: Duration = Duration::from_secs(4);

/// How often to ask in a row.
const ASKS_MAX: u32 = 4;

#[derive(Default)]
pub(crate) struct Slots {
    slots: Vec<Slot>,
    wanted: BTreeMap<TrackId, MediaKind>,
    /// The client has offered once; before that it will by itself.
    offered: bool,
    /// Lines asked for that have not come yet.
    expected: Lines,
    /// An offer was asked for then and has not come yet.
    asked: Option<Instant>,
    /// Asked so often without an offer.
    asks: u32,
}

#[derive(Debug)]
struct Slot {
    mid: Mid,
    kind: MediaKind,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Answered inactive.
    Free,
    Carries(TrackId),
    /// Nothing is sent any more; the client believes that it carries this track until the next answer.
    Released(TrackId),
}

/// How many lines of each kind.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Lines {
    pub(crate) audio: usize,
    pub(crate) video: usize,
}

impl Lines {
    fn of(&mut self, kind: MediaKind) -> &mut usize {
        match kind {
            MediaKind::Audio => &mut self.audio,
            MediaKind::Video => &mut self.video,
        }
    }

    fn any(self) -> bool {
        self.audio + self.video > 0
    }
}

impl Slots {
    pub(crate) fn want(&mut self, track: TrackId, kind: MediaKind) {
        self.wanted.insert(track, kind);
    }

    /// The line to stop sending on.
    pub(crate) fn unwant(&mut self, track: TrackId) -> Option<Mid> {
        self.wanted.remove(&track);
        let slot = self
            .slots
            .iter_mut()
            .find(|slot| slot.state == State::Carries(track))?;
        slot.state = State::Released(track);
        Some(slot.mid.clone())
    }

    /// What the lines of a new offer carry from now on.
    pub(crate) fn answer(&mut self, now: Instant, lines: &[Line]) -> Vec<(Mid, TrackId)> {
        self.offered = true;
        self.asks = 0;
        self.take_lines(lines);
        self.asked = self.expected.any().then_some(now);
        // What is freed in this answer can carry something else in the next one at the earliest.
        let free: Vec<usize> = (0..self.slots.len())
            .filter(|index| self.slots[*index].state == State::Free)
            .collect();
        for slot in &mut self.slots {
            if let State::Released(track) = slot.state {
                slot.state = match self.wanted.contains_key(&track) {
                    true => State::Carries(track),
                    false => State::Free,
                };
            }
        }
        for (track, kind) in self.unserved() {
            let slot = free.iter().find(|index| {
                self.slots[**index].kind == kind && self.slots[**index].state == State::Free
            });
            if let Some(index) = slot {
                self.slots[*index].state = State::Carries(track);
            }
        }
        self.carried()
            .map(|(mid, track)| (mid.clone(), track))
            .collect()
    }

    /// What every slot carries.
    pub(crate) fn carried(&self) -> impl Iterator<Item = (&Mid, TrackId)> {
        self.slots.iter().filter_map(|slot| match slot.state {
            State::Carries(track) => Some((&slot.mid, track)),
            State::Free | State::Released(_) => None,
        })
    }

    /// What to ask the client for, if anything.
    pub(crate) fn ask(&mut self, now: Instant) -> Option<Lines> {
        if !self.offered {
            return None;
        }
        let lacking = self.lacking();
        let again = self.asked.is_none() && self.can_progress();
        if !lacking.any() && !again {
            return None;
        }
        self.expected.audio += lacking.audio;
        self.expected.video += lacking.video;
        self.asked = Some(now);
        self.asks += 1;
        Some(lacking)
    }

    /// Tracks that can have no line, because the client has as many as it may.
    pub(crate) fn beyond_limit(&self) -> usize {
        let places = SLOTS_MAX.saturating_sub(self.slots.len());
        self.unserved().len().saturating_sub(
            places
                + self
                    .slots
                    .iter()
                    .filter(|slot| slot.state == State::Free)
                    .count(),
        )
    }

    /// The client has a new socket: what was asked of it may be lost, and it offers by itself soon.
    pub(crate) fn start_over(&mut self, now: Instant) {
        self.expected = Lines::default();
        self.asks = 0;
        self.asked = (self.offered && self.wants_offer()).then_some(now);
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.asked
            .filter(|_| self.asks <= ASKS_MAX)
            .map(|asked| asked + OFFER_WITHIN)
    }

    /// The time is over: forget what was asked. True when it is worth asking again.
    pub(crate) fn give_up(&mut self) -> bool {
        self.expected = Lines::default();
        self.asked = None;
        self.asks < ASKS_MAX
    }

    fn take_lines(&mut self, lines: &[Line]) {
        let receiving = |line: &&Line| line.direction.receives() && line.kind.media().is_some();
        self.slots.retain(|slot| {
            lines
                .iter()
                .filter(receiving)
                .any(|line| line.mid == slot.mid)
        });
        for line in lines.iter().filter(receiving) {
            let known = self.slots.iter().any(|slot| slot.mid == line.mid);
            let Some(kind) = line
                .kind
                .media()
                .filter(|_| !known && self.slots.len() < SLOTS_MAX)
            else {
                continue;
            };
            let expected = self.expected.of(kind);
            *expected = expected.saturating_sub(1);
            self.slots.push(Slot {
                mid: line.mid.clone(),
                kind,
                state: State::Free,
            });
        }
    }

    /// Wanted tracks without a slot, oldest first.
    fn unserved(&self) -> Vec<(TrackId, MediaKind)> {
        let has_slot = |track: TrackId| {
            self.slots.iter().any(|slot| {
                slot.state == State::Carries(track) || slot.state == State::Released(track)
            })
        };
        self.wanted
            .iter()
            .filter(|(track, _)| !has_slot(**track))
            .map(|(track, kind)| (*track, *kind))
            .collect()
    }

    /// Lines to ask for: what is wanted, without what is free, becomes free, or is on its way.
    fn lacking(&self) -> Lines {
        let mut lacking = Lines::default();
        for (_, kind) in self.unserved() {
            *lacking.of(kind) += 1;
        }
        let mut here = self.expected;
        for slot in &self.slots {
            let becomes_free = match slot.state {
                State::Free => true,
                State::Released(track) => !self.wanted.contains_key(&track),
                State::Carries(_) => false,
            };
            *here.of(slot.kind) += usize::from(becomes_free);
        }
        let places =
            SLOTS_MAX.saturating_sub(self.slots.len() + self.expected.audio + self.expected.video);
        let audio = lacking.audio.saturating_sub(here.audio).min(places);
        let video = lacking.video.saturating_sub(here.video).min(places - audio);
        Lines { audio, video }
    }

    /// An offer with the lines that are there would change something.
    fn can_progress(&self) -> bool {
        let unserved = self.unserved();
        self.slots.iter().any(|slot| match slot.state {
            State::Released(_) => true,
            State::Free => unserved.iter().any(|(_, kind)| *kind == slot.kind),
            State::Carries(_) => false,
        })
    }

    fn wants_offer(&self) -> bool {
        self.can_progress() || !self.unserved().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use amphi_sfu::sdp;

    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "a first instant to count from; tests add to it"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    /// An offer with so many lines to receive on.
    fn offer(audio: usize, video: usize) -> Vec<Line> {
        let mut text = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n".to_owned();
        for number in 0..audio {
            text +=
                &format!("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a{number}\r\na=recvonly\r\n");
        }
        for number in 0..video {
            text += &format!("m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v{number}\r\na=recvonly\r\n");
        }
        sdp::lines(&text).expect("a description")
    }

    fn carried(slots: &Slots) -> Vec<(String, u32)> {
        slots
            .carried()
            .map(|(mid, track)| (mid.0.clone(), track.0))
            .collect()
    }

    fn named(pairs: &[(&str, u32)]) -> Vec<(String, u32)> {
        pairs
            .iter()
            .map(|(mid, track)| ((*mid).to_owned(), *track))
            .collect()
    }

    const NONE: Option<Lines> = Some(Lines { audio: 0, video: 0 });

    #[test]
    fn nothing_is_asked_before_the_client_has_offered() {
        let mut slots = Slots::default();
        slots.want(TrackId(1), MediaKind::Audio);
        assert_eq!(slots.ask(start()), None);
    }

    #[test]
    fn free_lines_are_used_after_one_more_offer() {
        let (mut slots, now) = (Slots::default(), start());
        slots.answer(now, &offer(3, 3));
        slots.want(TrackId(1), MediaKind::Audio);
        slots.want(TrackId(2), MediaKind::Video);
        assert_eq!(slots.ask(now), NONE);
        assert_eq!(slots.ask(now), None, "asked already");
        slots.answer(now, &offer(3, 3));
        assert_eq!(carried(&slots), named(&[("a0", 1), ("v0", 2)]));
        assert_eq!(slots.ask(now), None);
    }

    #[test]
    fn six_voices_on_three_lines_ask_for_three_more_and_for_them_once() {
        let (mut slots, now) = (Slots::default(), start());
        slots.answer(now, &offer(3, 3));
        for track in 1..=6 {
            slots.want(TrackId(track), MediaKind::Audio);
        }
        assert_eq!(slots.ask(now), Some(Lines { audio: 3, video: 0 }));
        // An offer of the client's own crosses what we asked for.
        assert_eq!(slots.answer(now, &offer(3, 3)).len(), 3);
        assert_eq!(slots.ask(now), None);
        assert_eq!(slots.answer(now, &offer(6, 3)).len(), 6);
        assert_eq!(slots.ask(now), None);
    }

    #[test]
    fn voices_that_come_one_by_one_ask_for_one_line_each() {
        let (mut slots, now) = (Slots::default(), start());
        slots.answer(now, &offer(0, 0));
        for track in 1..=3 {
            slots.want(TrackId(track), MediaKind::Audio);
            assert_eq!(slots.ask(now), Some(Lines { audio: 1, video: 0 }));
        }
        assert_eq!(slots.answer(now, &offer(3, 0)).len(), 3);
        assert_eq!(slots.ask(now), None);
    }

    #[test]
    fn a_line_is_inactive_once_before_it_carries_another_track() {
        let (mut slots, now) = (Slots::default(), start());
        slots.want(TrackId(1), MediaKind::Video);
        slots.answer(now, &offer(0, 1));
        assert_eq!(slots.unwant(TrackId(1)), Some(Mid("v0".into())));
        slots.want(TrackId(2), MediaKind::Video);
        assert_eq!(
            slots.ask(now),
            NONE,
            "the line that becomes free is reckoned with"
        );
        assert_eq!(slots.answer(now, &offer(0, 1)), []);
        assert_eq!(slots.ask(now), NONE);
        slots.answer(now, &offer(0, 1));
        assert_eq!(carried(&slots), named(&[("v0", 2)]));
    }

    #[test]
    fn a_track_wanted_again_before_the_client_noticed_goes_on_where_it_was() {
        let (mut slots, now) = (Slots::default(), start());
        slots.want(TrackId(1), MediaKind::Video);
        slots.answer(now, &offer(0, 2));
        slots.unwant(TrackId(1));
        slots.want(TrackId(1), MediaKind::Video);
        assert_eq!(slots.ask(now), NONE);
        slots.answer(now, &offer(0, 2));
        assert_eq!(carried(&slots), named(&[("v0", 1)]));
        assert_eq!(slots.ask(now), None);
    }

    #[test]
    fn a_client_that_does_not_offer_is_asked_again_a_few_times() {
        let (mut slots, mut now) = (Slots::default(), start());
        slots.answer(now, &offer(1, 0));
        slots.want(TrackId(1), MediaKind::Audio);
        let mut asks = 0;
        while let Some(lines) = slots.ask(now) {
            assert_eq!(Some(lines), NONE);
            asks += 1;
            now = slots.deadline().expect("a deadline while waiting");
            if !slots.give_up() {
                break;
            }
        }
        assert_eq!(asks, ASKS_MAX);
    }

    #[test]
    fn lines_end_at_the_limit() {
        let (mut slots, now) = (Slots::default(), start());
        slots.answer(now, &offer(0, 0));
        for track in 0..u32::try_from(SLOTS_MAX).expect("small") + 5 {
            slots.want(TrackId(track), MediaKind::Video);
        }
        assert_eq!(
            slots.ask(now),
            Some(Lines {
                audio: 0,
                video: SLOTS_MAX
            })
        );
        assert_eq!(slots.answer(now, &offer(0, SLOTS_MAX)).len(), SLOTS_MAX);
        assert_eq!(slots.ask(now), None);
        assert_eq!(slots.beyond_limit(), 5);
    }

    #[test]
    fn a_line_that_the_client_takes_away_frees_its_track_for_another() {
        let (mut slots, now) = (Slots::default(), start());
        slots.want(TrackId(1), MediaKind::Video);
        slots.answer(now, &offer(0, 2));
        assert_eq!(slots.answer(now, &offer(0, 0)), []);
        assert_eq!(slots.ask(now), Some(Lines { audio: 0, video: 1 }));
    }
}
