//! What a composer is fed: everybody's coded pictures, each with its place on the programme clock.

use std::collections::BTreeMap;

use amphi_media::{Frame, MediaKind, MemberId, Sample, TrackId};

use crate::Counters;
use crate::clock::Seen;
use crate::composer::{Described, Input, Look, RUNGS_MAX};
use crate::io::StageTrack;
use crate::mixer::MemberClocks;
use crate::picture::Picture;

/// Feeds one composer after another: each may break, and the next is told everything anew.
pub struct Feed {
    look: Look,
    pictures: BTreeMap<TrackId, Picture>,
    /// A composer is there.
    connected: bool,
    joint: Joint,
}

/// Where the pictures of one maker follow those of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Joint {
    /// Only a key frame after this time, in ticks, is taken. None: any.
    Open { after: Option<i64> },
    /// The first pictures were those of this time.
    At { ticks: i64, cut: bool },
}

/// What becomes of a composed picture.
pub enum Fit {
    Taken(Sample),
    /// The ones before it were not taken.
    Late,
    /// It would have been taken if it had come later: a new key frame is needed.
    LateKey,
}

impl Feed {
    /// `after`: when the newest picture of the program was shown, in ticks.
    pub fn new(look: Look, after: Option<i64>) -> Self {
        Self {
            look,
            pictures: BTreeMap::new(),
            connected: false,
            joint: Joint::Open { after },
        }
    }

    pub fn set_track(&mut self, track: &StageTrack) -> Option<Input> {
        if track.kind == MediaKind::Video {
            match self.pictures.get_mut(&track.track) {
                Some(picture) => picture.describe(track),
                None => {
                    self.pictures.insert(track.track, Picture::new(track, 0));
                }
            }
        }
        self.connected.then(|| Input::Track(described(track)))
    }

    pub fn remove_track(&mut self, track: TrackId) -> Option<Input> {
        self.pictures.remove(&track);
        self.connected.then_some(Input::TrackGone { track })
    }

    pub fn speakers(&self, speakers: &[(MemberId, f32)]) -> Option<Input> {
        self.connected.then(|| Input::Speakers(speakers.to_vec()))
    }

    pub fn need_key_frame(&self) -> Option<Input> {
        self.connected.then_some(Input::NeedKeyFrame)
    }

    /// How many the composer is to make.
    pub fn rungs(&self) -> u8 {
        self.look.rungs.len().min(RUNGS_MAX) as u8
    }

    pub fn set_look(&mut self, look: Look) -> Option<Input> {
        self.look = look.clone();
        self.connected.then_some(Input::Look(look))
    }

    /// A composer that knows nothing yet. What it is to know.
    pub fn connect<'a>(
        &mut self,
        stage: impl Iterator<Item = &'a StageTrack>,
        speakers: &[(MemberId, f32)],
        after: Option<i64>,
    ) -> Vec<Input> {
        self.connected = true;
        self.joint = Joint::Open { after };
        for picture in self.pictures.values_mut() {
            picture.needs_key = true;
        }
        let tracks = stage.map(|track| Input::Track(described(track)));
        [Input::Look(self.look.clone())]
            .into_iter()
            .chain(tracks)
            .chain([Input::Speakers(speakers.to_vec())])
            .collect()
    }

    /// The composer is gone; what comes until the next one is there is lost.
    pub fn disconnect(&mut self) {
        self.connected = false;
    }

    pub fn push(
        &mut self,
        frame: &Frame,
        arrived_us: i64,
        clocks: &mut MemberClocks,
        counters: &mut Counters,
    ) -> Option<Input> {
        if frame.rung > 0 {
            // Of a layer that was taken while the picture was cut.
            return None;
        }
        let Some(picture) = self
            .pictures
            .get_mut(&frame.track)
            .filter(|picture| !picture.muted)
        else {
            counters.frames_unknown += 1;
            return None;
        };
        picture.codec = Some(frame.codec);
        let member = clocks.entry(picture.member).or_default();
        let (time_us, seen) = picture.follow(frame, arrived_us, member);
        counters.resyncs += u64::from(seen == Seen::Jumped);
        self.connected.then(|| Input::Frame {
            track: frame.track,
            codec: frame.codec,
            time_us,
            key: frame.key,
            contiguous: !std::mem::take(&mut picture.needs_key),
            data: frame.data.clone(),
        })
    }

    /// A picture of the composer, in its place behind what the program showed before.
    pub fn fit(&mut self, mut sample: Sample) -> Fit {
        let ticks = sample.time.ticks;
        if let Joint::Open { after } = self.joint {
            let late = after.is_some_and(|after| ticks <= after);
            if late || !sample.key || sample.rung != 0 {
                return if late && sample.key && sample.rung == 0 {
                    Fit::LateKey
                } else {
                    Fit::Late
                };
            }
            self.joint = Joint::At {
                ticks,
                cut: after.is_some(),
            };
        }
        if let Joint::At { ticks: at, cut } = self.joint
            && ticks == at
        {
            sample.cut = cut;
        }
        Fit::Taken(sample)
    }
}

fn described(track: &StageTrack) -> Described {
    Described {
        track: track.track,
        member: track.member,
        name: track.member_name.clone(),
        kind: track.kind,
        source: track.source,
        muted: track.muted,
    }
}
