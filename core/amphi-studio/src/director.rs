//! Who is shown: a screen if there is one, else who speaks; another one no sooner than after three seconds, and only
//! at one of its key frames.

mod lower;

use std::collections::{BTreeMap, BTreeSet};

use amphi_media::{Codec, Frame, MediaKind, MediaTime, MemberId, Sample, TrackId};
use bytes::Bytes;

use crate::Counters;
use crate::clock::Seen;
use crate::io::{Output, StageTrack};
use crate::mixer::MemberClocks;
use crate::picture::Picture;
use lower::{Lower, Shown};

/// How many cameras and screens are followed.
const PICTURES_MAX: usize = 256;

/// Shortest time on air before another speaker is shown: shorter shots are restless.
const SHOT_MIN_US: i64 = 3_000_000;

/// How often the on-air source is asked for a key frame: a segment of the broadcast can start there.
const KEY_INTERVAL_US: i64 = 2_000_000;

/// How often a source is asked whose key frame is waited for.
const ASK_AGAIN_US: i64 = 1_000_000;

/// How often the on-air source is asked when its pictures cannot be decoded.
const ASK_BROKEN_US: i64 = 300_000;

/// A source that has not come with a key frame after this long is left alone for [`SHUN_US`], or until one comes.
const PATIENCE_US: i64 = 4_000_000;
const SHUN_US: i64 = 5_000_000;

/// Without a picture for this long, the on-air source gives way to another.
const STALLED_US: i64 = 3_000_000;

/// The same for a screen, on which nothing may happen for a while.
const STALLED_SCREEN_US: i64 = 10_000_000;

/// The on-air member stays while its level times this is not below the loudest: two who talk at once do not flicker.
const STAY: f32 = 1.5;

/// Least distance of two pictures, in 90 kHz ticks (1 ms).
const APART: i64 = 90;
const TICKS: u32 = 90_000;

/// How far a picture may be ahead of the programme clock, and how far behind the one before it, before it is not
/// believed any more.
const AHEAD_MAX_US: i64 = 200_000;
const BEHIND_MAX_TICKS: i64 = 90_000;

/// Lower layers that are live and of which nothing came for this long are asked for again: the wish may have been lost.
const LAYERS_SILENT_US: i64 = 4_000_000;

/// Longest name that stands in a note, in characters.
const NAME_MAX: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shot {
    track: TrackId,
    since_us: i64,
    /// The newest key frame, or when one was last asked for.
    key_us: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Next {
    track: TrackId,
    since_us: i64,
    asked_us: i64,
}

/// Chooses pictures and puts them on the programme clock.
pub struct Director {
    pictures: BTreeMap<TrackId, Picture>,
    arrived: u64,
    /// Members who speak, loudest first.
    speakers: Vec<(MemberId, f32)>,
    shot: Option<Shot>,
    next: Option<Next>,
    /// What was last told about who is on air.
    told: Option<TrackId>,
    last_camera: Option<TrackId>,
    last_ticks: Option<i64>,
    /// Nothing was shown yet, by nobody: the first picture is no cut.
    is_first: bool,
    /// Source and parameter sets of the newest picture that came out.
    last_from: Option<(TrackId, Bytes)>,
    note: Option<String>,
    /// Lower layers are rungs below the picture.
    ladder: bool,
    /// Tracks whose lower layers come, and when something of them came last, or they were asked for.
    layered: BTreeMap<TrackId, i64>,
    lower: Lower,
}

impl Director {
    /// `after`: when the newest picture of the program was shown, in ticks, if something else showed one.
    pub fn new(after: Option<i64>) -> Self {
        Self {
            pictures: BTreeMap::new(),
            arrived: 0,
            speakers: Vec::new(),
            shot: None,
            next: None,
            told: None,
            last_camera: None,
            last_ticks: after,
            is_first: after.is_none(),
            last_from: None,
            note: None,
            ladder: false,
            layered: BTreeMap::new(),
            lower: Lower::default(),
        }
    }

    pub fn set_ladder(&mut self, on: bool) {
        self.ladder = on;
    }

    /// How many layers of who is on air are rungs.
    pub fn rungs(&self) -> u8 {
        let shown = self.shot.and_then(|shot| self.pictures.get(&shot.track));
        let lower = |picture: &Picture| if self.ladder { picture.lower } else { 0 };
        shown.map_or(0, |picture| lower(picture).saturating_add(1))
    }

    /// Somebody else makes the picture: what is to be told about layers that were taken.
    pub fn let_go_of_layers(&mut self) -> impl Iterator<Item = Output> + use<> {
        let layered = std::mem::take(&mut self.layered);
        (layered.into_keys()).map(|track| Output::TakeLayers { track, on: false })
    }

    pub fn set_track(&mut self, track: &StageTrack, counters: &mut Counters) {
        if let Some(picture) = self.pictures.get_mut(&track.track) {
            return picture.describe(track);
        }
        if self.pictures.len() >= PICTURES_MAX {
            counters.tracks_refused += 1;
            return;
        }
        self.arrived += 1;
        self.pictures
            .insert(track.track, Picture::new(track, self.arrived));
    }

    pub fn remove_track(&mut self, track: TrackId) {
        self.pictures.remove(&track);
        // Nobody is to be told of a track that is gone.
        self.layered.remove(&track);
        self.lower.remove(track);
    }

    pub fn set_speakers(&mut self, speakers: Vec<(MemberId, f32)>) {
        self.speakers = speakers;
    }

    /// A picture arrived. At most one sample of the top rung comes of it.
    pub fn push(
        &mut self,
        now_us: i64,
        frame: &Frame,
        arrived_us: i64,
        clocks: &mut MemberClocks,
        counters: &mut Counters,
        out: &mut impl Extend<Output>,
    ) {
        let Some(picture) = self
            .pictures
            .get_mut(&frame.track)
            .filter(|picture| !picture.muted)
        else {
            counters.frames_unknown += 1;
            return;
        };
        if frame.rung > 0 {
            let member = clocks.entry(picture.member).or_default();
            if self.ladder
                && let Some(heard_us) = self.layered.get_mut(&frame.track)
            {
                *heard_us = now_us;
                (self.lower).push(now_us, frame, arrived_us, member, counters);
            }
            return self.direct(now_us, None, counters, out);
        }
        picture.codec = Some(frame.codec);
        picture.lower = frame.lower;
        if frame.codec != Codec::H264 {
            return self.direct(now_us, None, counters, out);
        }
        let member = clocks.entry(picture.member).or_default();
        let (time_us, seen) = picture.follow(frame, arrived_us, member);
        counters.resyncs += u64::from(seen == Seen::Jumped);
        let data = picture.prepare(frame);
        counters.keys_unusable += u64::from(data.is_none());
        let key = frame.key && data.is_some();
        let layers_missing =
            self.ladder && frame.lower > 0 && !self.layered.contains_key(&frame.track);
        let at_hand = key && (!layers_missing || self.may_begin_alone(frame.track));
        if at_hand {
            self.has_delivered(frame.track);
        }
        self.direct(now_us, at_hand.then_some(frame.track), counters, out);
        if at_hand && self.next.is_some_and(|next| next.track == frame.track) {
            self.cut_to(now_us, frame.track, counters, out);
            if layers_missing {
                // They are taken from now on, and join with their own key frames.
                ask(frame.track, counters, out);
            }
        }
        let Some(shot) = self.shot.as_mut().filter(|shot| shot.track == frame.track) else {
            return;
        };
        if key {
            shot.key_us = now_us;
        }
        let Some(data) = data else { return };
        if self
            .pictures
            .get(&frame.track)
            .is_some_and(|picture| picture.needs_key)
        {
            counters.pictures_broken += 1;
            return self.ask_on_air(now_us, ASK_BROKEN_US, counters, out);
        }
        let time_us = time_us.min(now_us + AHEAD_MAX_US).max(0);
        let Some(ticks) = self.fit_in(time_us, counters) else {
            counters.pictures_late += 1;
            if let Some(picture) = self.pictures.get_mut(&frame.track) {
                picture.needs_key = true;
            }
            return self.ask_on_air(now_us, ASK_BROKEN_US, counters, out);
        };
        counters.pictures += 1;
        let begins = key && self.begins_generation(frame.track);
        out.extend([Output::Sample(Sample {
            kind: MediaKind::Video,
            rung: 0,
            time: MediaTime::new(ticks, TICKS),
            key,
            cut: begins && !self.is_first,
            data,
        })]);
        self.is_first &= !begins;
        let shown = Shown {
            time_us,
            sender_us: frame.sender_time_us,
            ticks,
        };
        if begins {
            (self.lower).begin(frame.track, frame.rid, shown, counters, out);
        } else {
            self.lower.show(shown);
        }
        self.show_lower(now_us, counters, out);
    }

    /// A key frame that nobody asked for comes without those of the lower layers: one with them is worth asking for, once. Not every
    /// publisher answers, and no picture at all is worse than one without lower rungs.
    fn may_begin_alone(&self, track: TrackId) -> bool {
        let picture = self.pictures.get(&track);
        picture.is_some_and(|picture| picture.key_asked)
    }

    /// The key frame that was asked for came, if late.
    fn has_delivered(&mut self, track: TrackId) {
        let on_air = self.shot.is_some_and(|shot| shot.track == track);
        if let Some(picture) = self.pictures.get_mut(&track).filter(|_| !on_air) {
            picture.key_asked = false;
            picture.shunned_until_us = i64::MIN;
        }
    }

    /// Asks who is to be shown next for a key frame.
    fn ask_next(&mut self, track: TrackId, counters: &mut Counters, out: &mut impl Extend<Output>) {
        if let Some(picture) = self.pictures.get_mut(&track) {
            // Before anything of it came nobody knows of its layers, and theirs are not asked for.
            picture.key_asked |= self.layered.contains_key(&track);
        }
        ask(track, counters, out);
    }

    /// Lets lower layers out as far as the picture of their time has been shown.
    fn show_lower(&mut self, now_us: i64, counters: &mut Counters, out: &mut impl Extend<Output>) {
        let Some(shot) = self.shot else { return };
        self.lower.flush(shot.track, now_us, counters, out);
        if self.lower.wants_cut() {
            self.ask_on_air(now_us, ASK_BROKEN_US, counters, out);
        }
    }

    /// Takes the lower layers of who is on air and of who comes next, and of nobody else.
    fn take_layers(&mut self, now_us: i64, out: &mut impl Extend<Output>) {
        if !self.ladder && self.layered.is_empty() {
            return;
        }
        let shot = self.shot.map(|shot| shot.track);
        let shown = shot.into_iter().chain(self.next.map(|next| next.track));
        // A layer that pauses comes back.
        let has_lower = |track: &TrackId| {
            let picture = self.pictures.get(track);
            self.layered.contains_key(track) || picture.is_some_and(|picture| picture.lower > 0)
        };
        let wanted: BTreeSet<TrackId> = shown
            .filter(|track| self.ladder && has_lower(track))
            .collect();
        let over = (self.layered.keys().copied())
            .filter(|track| !wanted.contains(track))
            .collect::<Vec<_>>();
        for track in over {
            self.layered.remove(&track);
            self.lower.remove(track);
            out.extend([Output::TakeLayers { track, on: false }]);
        }
        for track in wanted {
            let is_live = (self.pictures.get(&track)).is_some_and(|picture| picture.lower > 0);
            let heard_us = self.layered.get(&track);
            if heard_us.is_none_or(|heard_us| is_live && now_us - heard_us > LAYERS_SILENT_US) {
                self.layered.insert(track, now_us);
                out.extend([Output::TakeLayers { track, on: true }]);
            }
        }
    }

    /// Asks who is on air for a key frame, unless that was done a moment ago.
    pub fn need_key_frame(
        &mut self,
        now_us: i64,
        counters: &mut Counters,
        out: &mut impl Extend<Output>,
    ) {
        self.ask_on_air(now_us, ASK_BROKEN_US, counters, out);
    }

    /// Looks at who should be shown and does what can be done about it. `key_at_hand`: this track's key frame is
    /// just coming, so it need not be asked for.
    pub fn direct(
        &mut self,
        now_us: i64,
        key_at_hand: Option<TrackId>,
        counters: &mut Counters,
        out: &mut impl Extend<Output>,
    ) {
        self.leave_air(now_us);
        let wanted = self
            .wanted(now_us)
            .filter(|wanted| self.shot.is_none_or(|shot| shot.track != *wanted));
        match (wanted, self.next) {
            (None, _) => self.next = None,
            (Some(track), Some(next)) if next.track == track => {
                if now_us - next.since_us > PATIENCE_US {
                    self.shun(track, now_us);
                } else if now_us - next.asked_us >= ASK_AGAIN_US {
                    self.next = Some(Next {
                        asked_us: now_us,
                        ..next
                    });
                    self.ask_next(track, counters, out);
                }
            }
            (Some(track), _) if self.may_cut(now_us, track) => {
                self.next = Some(Next {
                    track,
                    since_us: now_us,
                    asked_us: now_us,
                });
                self.take_layers(now_us, out);
                if key_at_hand != Some(track) {
                    self.ask_next(track, counters, out);
                }
            }
            (Some(_), _) => self.next = None,
        }
        self.take_layers(now_us, out);
        self.show_lower(now_us, counters, out);
        if key_at_hand.is_none() || key_at_hand != self.shot.map(|shot| shot.track) {
            self.ask_on_air(now_us, KEY_INTERVAL_US, counters, out);
        }
        let on_air = self.shot.map(|shot| shot.track);
        if on_air.is_none() && self.told.is_some() {
            self.tell_on_air(None, out);
        }
        let note = self.words();
        if note != self.note {
            self.note.clone_from(&note);
            out.extend([Output::Note(note)]);
        }
    }

    /// Off air with a source that may not or cannot be shown any more.
    fn leave_air(&mut self, now_us: i64) {
        let Some(shot) = self.shot else { return };
        match self.pictures.get_mut(&shot.track) {
            Some(picture) if picture.codec == Some(Codec::H264) && !picture.muted => {
                let patience = if picture.is_screen() {
                    STALLED_SCREEN_US
                } else {
                    STALLED_US
                };
                let newest = picture.seen_us.unwrap_or(shot.since_us).max(shot.since_us);
                let stalled = now_us - newest > patience;
                picture.shunned_until_us = if stalled { now_us + 1 } else { i64::MIN };
            }
            _ => self.shot = None,
        }
    }

    /// Who should be shown. The source on air when nothing speaks for another.
    fn wanted(&self, now_us: i64) -> Option<TrackId> {
        let able = || {
            self.pictures
                .iter()
                .filter(|(_, picture)| picture.can_be_shown(now_us))
        };
        let on_air = self.shot.map(|shot| shot.track);
        let is_able = |track: &TrackId| able().any(|(able, _)| able == track);
        let screens = || able().filter(|(_, picture)| picture.is_screen());
        if screens().next().is_some() {
            let stays = on_air.filter(|on_air| screens().any(|(track, _)| track == on_air));
            return stays.or(screens()
                .max_by_key(|(_, picture)| picture.order)
                .map(|(track, _)| *track));
        }
        let camera_of = |member: MemberId| {
            able()
                .find(|(_, picture)| picture.member == member)
                .map(|(track, _)| *track)
        };
        self.speaker(on_air)
            .and_then(camera_of)
            .or_else(|| {
                self.speakers
                    .iter()
                    .find_map(|(member, _)| camera_of(*member))
            })
            .or(on_air.filter(is_able))
            .or(self.last_camera.filter(is_able))
            .or_else(|| {
                able()
                    .min_by_key(|(_, picture)| picture.order)
                    .map(|(track, _)| *track)
            })
    }

    /// Who speaks: the loudest, or the one on air while it is nearly as loud.
    fn speaker(&self, on_air: Option<TrackId>) -> Option<MemberId> {
        let (loudest, level) = *self.speakers.first()?;
        let shown = on_air
            .and_then(|track| self.pictures.get(&track))
            .map(|picture| picture.member);
        let stays = self
            .speakers
            .iter()
            .find(|(member, own)| Some(*member) == shown && own * STAY >= level);
        Some(stays.map_or(loudest, |(member, _)| *member))
    }

    fn may_cut(&self, now_us: i64, to: TrackId) -> bool {
        let Some(shot) = self.shot else { return true };
        let picture = |track: TrackId| self.pictures.get(&track);
        let from_camera = picture(shot.track).is_some_and(|picture| !picture.is_screen());
        let to_screen = picture(to).is_some_and(Picture::is_screen);
        let stalled = picture(shot.track).is_some_and(|picture| !picture.can_be_shown(now_us));
        now_us - shot.since_us >= SHOT_MIN_US || (from_camera && to_screen) || stalled
    }

    fn shun(&mut self, track: TrackId, now_us: i64) {
        self.next = None;
        if let Some(picture) = self.pictures.get_mut(&track) {
            picture.shunned_until_us = now_us + SHUN_US;
        }
    }

    fn cut_to(
        &mut self,
        now_us: i64,
        track: TrackId,
        counters: &mut Counters,
        out: &mut impl Extend<Output>,
    ) {
        self.next = None;
        self.shot = Some(Shot {
            track,
            since_us: now_us,
            key_us: now_us,
        });
        if self
            .pictures
            .get(&track)
            .is_some_and(|picture| !picture.is_screen())
        {
            self.last_camera = Some(track);
        }
        counters.cuts += 1;
        self.tell_on_air(Some(track), out);
    }

    fn tell_on_air(&mut self, track: Option<TrackId>, out: &mut impl Extend<Output>) {
        self.told = track;
        let member = track
            .and_then(|track| self.pictures.get(&track))
            .map(|picture| picture.member);
        out.extend([Output::OnAir { member, track }]);
    }

    fn ask_on_air(
        &mut self,
        now_us: i64,
        interval_us: i64,
        counters: &mut Counters,
        out: &mut impl Extend<Output>,
    ) {
        let Some(shot) = &mut self.shot else { return };
        if now_us - shot.key_us >= interval_us {
            shot.key_us = now_us;
            ask(shot.track, counters, out);
        }
    }

    /// The picture's time in ticks, after the one before it. None when it is far too late.
    fn fit_in(&mut self, time_us: i64, counters: &mut Counters) -> Option<i64> {
        let ticks = MediaTime::new(time_us, 1_000_000).rescale(TICKS).ticks;
        let least = self.last_ticks.map_or(0, |last| last + APART);
        if ticks < least - BEHIND_MAX_TICKS {
            return None;
        }
        counters.pictures_nudged += u64::from(ticks < least);
        let ticks = ticks.max(least);
        self.last_ticks = Some(ticks);
        Some(ticks)
    }

    /// Whether this key frame is of another source, or has other parameter sets, than the picture before it; or a lower rung needs a
    /// new beginning.
    fn begins_generation(&mut self, track: TrackId) -> bool {
        let parameters = self
            .pictures
            .get(&track)
            .and_then(|picture| picture.parameters.0.clone())
            .unwrap_or_default();
        let from = (track, parameters);
        let another = self.last_from.as_ref() != Some(&from);
        self.last_from = Some(from);
        another || self.lower.wants_cut()
    }

    /// What people should know about what they do not see.
    fn words(&self) -> Option<String> {
        let live = || self.pictures.values().filter(|picture| !picture.muted);
        if live().next().is_none() {
            return Some("Nobody shows a camera: the program is sound only.".to_owned());
        }
        let shown = |picture: &&Picture| picture.codec == Some(Codec::H264);
        let hidden = |picture: &&Picture| picture.codec.is_some_and(|codec| codec != Codec::H264);
        let mut said = Vec::new();
        for picture in live().filter(hidden) {
            let Some(codec) = picture.codec else { continue };
            let name = short(&picture.member_name);
            let has_other = live()
                .filter(shown)
                .any(|other| other.member == picture.member);
            let sentence = match (has_other, picture.is_screen()) {
                (false, _) => {
                    format!(
                        "{name} sends {} only: {name} is heard, and seen where the picture is composed.",
                        codec.name()
                    )
                }
                (true, true) => {
                    format!(
                        "The screen of {name} is sent as {}: it is seen where the picture is composed.",
                        codec.name()
                    )
                }
                (true, false) => {
                    format!(
                        "The camera of {name} is sent as {}: it is seen where the picture is composed.",
                        codec.name()
                    )
                }
            };
            if !said.contains(&sentence) {
                said.push(sentence);
            }
        }
        let more = said.len().saturating_sub(3);
        said.truncate(3);
        if more > 0 {
            said.push(format!("{more} more are not seen for the same reason."));
        }
        (!said.is_empty()).then(|| said.join(" "))
    }
}

fn ask(track: TrackId, counters: &mut Counters, out: &mut impl Extend<Output>) {
    counters.key_frame_requests += 1;
    out.extend([Output::NeedKeyFrame { track }]);
}

fn short(name: &str) -> String {
    let clean: String = name
        .chars()
        .filter(|c| !c.is_control())
        .take(NAME_MAX)
        .collect();
    if clean.trim().is_empty() {
        "Somebody".to_owned()
    } else {
        clean
    }
}
