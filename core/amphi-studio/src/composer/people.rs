//! Who is on stage, and in which order they are shown.

use std::collections::BTreeMap;

use amphi_media::{MediaKind, MemberId, Source, TrackId};

use super::source::{Film, Seat};
use super::{Described, TRACKS_MAX};
use crate::Counters;
use crate::layout::Guest;

/// Shortest time that somebody is large before another one is.
const LEAD_MIN_US: i64 = 3_000_000;

/// Who is large stays so while its level times this is not below the loudest.
const STAY: f32 = 1.5;

/// Below this level nobody is said to speak.
const SPEAKS: f32 = 0.01;

#[derive(Default)]
pub struct People {
    pub films: BTreeMap<TrackId, Film>,
    microphones: BTreeMap<TrackId, Microphone>,
    people: BTreeMap<MemberId, Person>,
    arrived: u64,
    speakers: Vec<(MemberId, f32)>,
    /// Who is large, and since when.
    lead: Option<(MemberId, i64)>,
}

struct Microphone {
    member: MemberId,
    muted: bool,
}

struct Person {
    name: String,
    order: u64,
}

/// Somebody, or a screen, that can have a cell.
pub struct Shown {
    pub seat: Seat,
    /// Whose picture it is, if there is one.
    pub track: Option<TrackId>,
    pub guest: Guest,
}

impl People {
    pub fn set_track(&mut self, track: Described, counters: &mut Counters) {
        let known =
            self.films.contains_key(&track.track) || self.microphones.contains_key(&track.track);
        if !known && self.films.len() + self.microphones.len() >= TRACKS_MAX {
            counters.tracks_refused += 1;
            return;
        }
        self.arrived += 1;
        let order = self.arrived;
        match track.kind {
            MediaKind::Video => {
                if let Some(film) = self.films.get_mut(&track.track) {
                    film.describe(&track);
                } else {
                    self.films.insert(track.track, Film::new(&track, order));
                }
            }
            MediaKind::Audio => {
                self.microphones.insert(
                    track.track,
                    Microphone {
                        member: track.member,
                        muted: track.muted,
                    },
                );
            }
        }
        if !matches!(track.source, Source::Screen | Source::ScreenAudio) {
            let person = self.people.entry(track.member).or_insert_with(|| Person {
                name: String::new(),
                order,
            });
            person.name = track.name;
        }
    }

    pub fn remove_track(&mut self, track: TrackId) {
        self.films.remove(&track);
        self.microphones.remove(&track);
        let Self {
            films,
            microphones,
            people,
            ..
        } = self;
        people.retain(|member, _| {
            films
                .values()
                .any(|film| film.member == *member && !film.is_screen())
                || microphones
                    .values()
                    .any(|microphone| microphone.member == *member)
        });
    }

    pub fn set_speakers(&mut self, speakers: Vec<(MemberId, f32)>) {
        self.speakers = speakers;
    }

    pub fn speaks(&self, member: MemberId) -> bool {
        self.speakers
            .iter()
            .any(|(speaker, level)| *speaker == member && *level >= SPEAKS)
    }

    pub fn name(&self, member: MemberId) -> &str {
        self.people
            .get(&member)
            .map_or("", |person| person.name.as_str())
    }

    /// Nobody hears them now, also if they would like to be heard.
    pub fn is_muted(&self, member: MemberId) -> bool {
        !self
            .microphones
            .values()
            .any(|microphone| microphone.member == member && !microphone.muted)
    }

    /// Lets the loudest lead, unless who leads has done so for a moment only or is nearly as loud.
    pub fn follow_speakers(&mut self, at_us: i64) {
        let Some((loudest, level)) = self.speakers.first().copied() else {
            return;
        };
        let stays = self.lead.is_some_and(|(lead, since_us)| {
            let own = self.speakers.iter().find(|(member, _)| *member == lead);
            at_us - since_us < LEAD_MIN_US || own.is_some_and(|(_, own)| own * STAY >= level)
        });
        if !stays {
            self.lead = Some((loudest, at_us));
        }
    }

    /// Who can be shown: screens first, then people in the order in which they came; and which of them leads.
    pub fn shown(&self) -> (Vec<Shown>, Option<usize>) {
        let mut screens: Vec<(u64, TrackId, &Film)> = self
            .films
            .iter()
            .filter(|(_, film)| film.is_screen() && film.is_showable())
            .map(|(track, film)| (film.order, *track, film))
            .collect();
        screens.sort_unstable_by_key(|(order, ..)| *order);
        let mut people: Vec<(u64, MemberId)> = self
            .people
            .iter()
            .map(|(member, person)| (person.order, *member))
            .collect();
        people.sort_unstable();
        let screens = screens.into_iter().map(|(_, track, film)| Shown {
            seat: Seat::Screen(track),
            track: Some(track),
            guest: Guest {
                source: Source::Screen,
                size: film.size,
            },
        });
        let shown: Vec<Shown> = screens
            .chain(people.into_iter().map(|(_, member)| self.person(member)))
            .collect();
        let lead = self.lead.and_then(|(lead, _)| {
            shown
                .iter()
                .position(|shown| shown.seat == Seat::Person(lead))
        });
        (shown, lead)
    }

    /// The newest camera of a member that sends something, or the member alone.
    fn person(&self, member: MemberId) -> Shown {
        let camera = self
            .films
            .iter()
            .filter(|(_, film)| film.member == member && !film.is_screen() && film.is_showable())
            .max_by_key(|(_, film)| film.order);
        Shown {
            seat: Seat::Person(member),
            track: camera.map(|(track, _)| *track),
            guest: Guest {
                source: Source::Camera,
                size: camera.and_then(|(_, film)| film.size),
            },
        }
    }
}
