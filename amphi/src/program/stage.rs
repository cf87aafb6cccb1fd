//! Who is on stage and what happens there, for a recording's timeline and for the files of its tracks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use amphi_media::{Caption, Codec, Frame, Layout, MemberId, Source, TrackId};
use amphi_room::Wish;
use amphi_studio::{Input, StageTrack};

use crate::egress::record::timeline::Event;
use crate::egress::record::{Beside, TrackOf};

/// What a program's thread knows of its stage. Told everything, also while nothing is recorded, since a recording begins with
/// how things are.
pub struct Stage {
    /// The programme clock's zero.
    zero: Instant,
    tracks: BTreeMap<TrackId, OnStage>,
    speaking: Vec<MemberId>,
    on_air: Option<MemberId>,
    layout: Option<Layout>,
}

struct OnStage {
    track: StageTrack,
    of: Arc<TrackOf>,
}

impl Stage {
    pub fn new(zero: Instant) -> Self {
        Self {
            zero,
            tracks: BTreeMap::new(),
            speaking: Vec::new(),
            on_air: None,
            layout: None,
        }
    }

    /// A recording begins: it is told how things are.
    pub fn begin(&self, now: Instant, zero_unix_ms: i64, beside: &mut Beside) {
        let mut say = |event| beside.event(self.ms(now), event);
        say(Event::Begin { zero_unix_ms });
        let members: BTreeMap<u64, &str> = self
            .tracks
            .values()
            .map(|on_stage| (on_stage.of.member, on_stage.of.name.as_str()))
            .collect();
        for (member, name) in members {
            say(Event::Joined {
                member,
                name: name.to_owned(),
            });
        }
        for on_stage in self.tracks.values() {
            say(on_stage.event());
        }
        say(speaking(&self.speaking));
        say(on_air(self.on_air));
        if let Some(arranged) = self.layout {
            say(layout(arranged));
        }
    }

    /// The program is told something about the stage; `beside` is where it is written down.
    pub fn told(&mut self, now: Instant, input: &Input, beside: Option<&mut Beside>) {
        let ms = self.ms(now);
        let events = match input {
            Input::Track(track) => self.set_track(track),
            Input::TrackGone { track } => self.remove_track(*track),
            Input::Speakers(speakers) => {
                let who = |(track, _): &(TrackId, f32)| Some(self.tracks.get(track)?.track.member);
                let mut members = Vec::new();
                for member in speakers.iter().filter_map(who) {
                    if !members.contains(&member) {
                        members.push(member);
                    }
                }
                if members == self.speaking {
                    return;
                }
                self.speaking = members;
                vec![speaking(&self.speaking)]
            }
            Input::Frame(_)
            | Input::NeedKeyFrame
            | Input::Kind(_)
            | Input::ComposerReady
            | Input::ComposerGone
            | Input::Composed(_)
            | Input::Ladder { .. }
            | Input::Timeout => return,
        };
        let Some(beside) = beside else { return };
        for event in events {
            beside.event(ms, event);
        }
        if let Input::TrackGone { track } = input {
            beside.track_gone(*track);
        }
    }

    /// The program is wanted like this from now on.
    pub fn wished(&mut self, now: Instant, wish: &Wish, beside: Option<&mut Beside>) {
        let before = self.layout.replace(wish.layout);
        if before != self.layout
            && let Some(beside) = beside
        {
            beside.event(self.ms(now), layout(wish.layout));
        }
    }

    /// Somebody said something.
    pub fn said(&self, now: Instant, caption: Caption, beside: &mut Beside) {
        let Caption { who, text } = caption;
        beside.event(self.ms(now), Event::Said { who, text });
    }

    /// The program shows somebody else.
    pub fn shown(&mut self, now: Instant, member: Option<MemberId>, beside: Option<&mut Beside>) {
        self.on_air = member;
        if let Some(beside) = beside {
            beside.event(self.ms(now), on_air(member));
        }
    }

    /// A frame came. False when its track wants a key frame for its own file.
    pub fn frame(&self, frame: &Frame, beside: &mut Beside) -> bool {
        match self.tracks.get(&frame.track) {
            Some(on_stage) if !on_stage.track.muted => beside.frame(frame, &on_stage.of),
            Some(_) | None => true,
        }
    }

    fn set_track(&mut self, track: &StageTrack) -> Vec<Event> {
        let is_new = !self.has(track.member);
        let of = TrackOf {
            track: track.track.0,
            member: track.member.0,
            name: track.member_name.clone(),
            source: source(track.source).to_owned(),
            codec: track.codec.map_or("", Codec::name).to_owned(),
        };
        let now = OnStage {
            track: track.clone(),
            of: Arc::new(of),
        };
        let event = now.event();
        let before = self.tracks.insert(track.track, now);
        match before {
            Some(before) if before.track.muted == track.muted => Vec::new(),
            Some(_) => vec![match track.muted {
                true => Event::Muted {
                    track: track.track.0,
                },
                false => Event::Unmuted {
                    track: track.track.0,
                },
            }],
            None => {
                let joined = is_new.then(|| Event::Joined {
                    member: track.member.0,
                    name: track.member_name.clone(),
                });
                joined.into_iter().chain([event]).collect()
            }
        }
    }

    fn remove_track(&mut self, track: TrackId) -> Vec<Event> {
        let Some(gone) = self.tracks.remove(&track) else {
            return Vec::new();
        };
        let member = gone.track.member;
        let left = (!self.has(member)).then_some(Event::Left { member: member.0 });
        [Event::TrackGone { track: track.0 }]
            .into_iter()
            .chain(left)
            .collect()
    }

    fn has(&self, member: MemberId) -> bool {
        self.tracks
            .values()
            .any(|on_stage| on_stage.track.member == member)
    }

    fn ms(&self, now: Instant) -> i64 {
        let since = now.saturating_duration_since(self.zero);
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

impl OnStage {
    fn event(&self) -> Event {
        Event::Track {
            track: self.of.track,
            member: self.of.member,
            source: self.of.source.clone(),
            muted: self.track.muted,
        }
    }
}

fn speaking(members: &[MemberId]) -> Event {
    Event::Speaking {
        members: members.iter().map(|member| member.0).collect(),
    }
}

fn on_air(member: Option<MemberId>) -> Event {
    Event::OnAir {
        member: member.map(|member| member.0),
    }
}

fn layout(layout: Layout) -> Event {
    Event::Layout {
        layout: layout.name().to_owned(),
    }
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Camera => "camera",
        Source::Microphone => "microphone",
        Source::Screen => "screen",
        Source::ScreenAudio => "screen_audio",
        Source::Unknown => "unknown",
    }
}
