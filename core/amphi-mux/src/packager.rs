use std::collections::VecDeque;
use std::time::Duration;

use amphi_media::{Caption, MediaKind, MediaTime, Sample, VideoSize};
use bytes::Bytes;

use crate::boxes::{
    self, AUDIO_RATE, AUDIO_TRACK, AUDIO_UNIT_TICKS, Entry, OPUS_PACKET_TICKS, PartSample,
    VIDEO_RATE, VIDEO_TRACK,
};
use crate::picture::{self, Parameters, Picture};

mod captions;
mod follower;
mod sound;
use captions::Captions;
pub(crate) use captions::join as join_captions;
use follower::{Follower, Made};
use sound::Audio;

/// Largest sample that is packed: a 4K key frame is a tenth of it. A larger one is dropped, and the pictures that need it.
const SAMPLE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How far the sound's clock must be past the end of a part before the picture is held. The sound comes some 250 ms
/// after the picture by itself; a source that is later than this raises it for itself (see `Packager::lag`).
const PATIENCE_TICKS_MIN: i64 = VIDEO_RATE as i64 / 20;
/// A source later than this is shown late and counted, so that nobody waits for it.
const PATIENCE_TICKS_MAX: i64 = 2 * VIDEO_RATE as i64;

/// A picture this much after the one before it, without sound in between to hold it, is a break in time.
const JUMP_TICKS: i64 = 10 * VIDEO_RATE as i64;

/// Pictures since the last key frame that are sent again at the start of a segment for which no key frame came: two seconds of a
/// camera that then fell silent, or all that a screen says in a minute. A source that moves on without key frames has more, and
/// showing them again would cost those who watch a hiccup; its segments are not independent.
const GROUP_PICTURES_MAX: usize = 64;
const GROUP_BYTES_MAX: usize = 1024 * 1024;

/// Segment starts that sound has not reached. Two seconds each; only a program without sound gets here.
const BOUNDARIES_MAX: usize = 64;

/// Rungs that a ladder may have, the top one included.
pub const RUNGS_MAX: u8 = 6;

/// Which of the program's playlists something belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rendition {
    /// The picture: the top rung, where there is a ladder.
    Video,
    /// The same picture, smaller: a rung below the top, from 1 to `RUNGS_MAX` - 1.
    Lower {
        rung: u8,
    },
    Audio,
    /// The same sound in Opus.
    Opus,
    /// What is said, as text, from the first caption on.
    Captions,
}

impl Rendition {
    /// Picture and sound: what there is without a ladder.
    pub const BOTH: [Rendition; 2] = [Rendition::Video, Rendition::Audio];

    /// Of pictures of this rung (`Sample::rung`).
    pub fn of_rung(rung: u8) -> Self {
        match rung {
            0 => Rendition::Video,
            rung => Rendition::Lower { rung },
        }
    }

    /// As opposed to sound and text.
    pub fn is_picture(self) -> bool {
        match self {
            Rendition::Video | Rendition::Lower { .. } => true,
            Rendition::Audio | Rendition::Opus | Rendition::Captions => false,
        }
    }

    /// Ticks per second of its track.
    pub fn rate(self) -> u32 {
        match self {
            Rendition::Video | Rendition::Lower { .. } => VIDEO_RATE,
            // Captions are cut as the sound is.
            Rendition::Audio | Rendition::Opus | Rendition::Captions => AUDIO_RATE,
        }
    }

    fn track(self) -> u32 {
        match self {
            Rendition::Video | Rendition::Lower { .. } => VIDEO_TRACK,
            Rendition::Audio | Rendition::Opus => AUDIO_TRACK,
            Rendition::Captions => unreachable!("text is in no box"),
        }
    }
}

/// How a program is cut.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PackagerConfig {
    /// AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) of the program's sound: AAC-LC, 48 kHz, stereo.
    pub audio_specific_config: Bytes,
    /// No part is longer. The default, 334 ms, is ten frames at 30 a second with a hair's breadth for rounding.
    pub part_target: Duration,
    /// None is shorter but the last one of a segment: 85 % of the target (RFC 8216bis §4.4.4.9).
    pub part_min: Duration,
    /// Segments end at the first key frame after three quarters of this, since a key frame that is asked for every two
    /// seconds comes now at 1.9 and now at 2.1. Without a picture: exactly then.
    pub segment_target: Duration,
    /// A segment ends here even without a key frame; whole seconds, since it is the playlists' target duration.
    /// Lower: plain HLS players are nearer to live (they hold back three of these). Higher: a source that gives a key
    /// frame every four seconds still starts every segment with one.
    pub segment_max: Duration,
    /// No last part of a segment is shorter, and so no segment. hls.js (1.7, `bufferPadding` of its fragment tracker) takes
    /// a segment for loaded when less than 200 ms of it are missing, and then waits for ever for a last part that it never
    /// asks for. A key frame that comes sooner after the start of a part is kept in that part, and sent again at the start of
    /// the next segment; a cut that comes sooner is shown this much later, which nobody sees, since it is a cut.
    pub last_part_min: Duration,
    /// How long sound waits for the first picture before a program without picture begins. Zero when nobody sends H.264.
    pub video_wait: Duration,
    /// Rungs that are packed, from the top on, at most `RUNGS_MAX`; pictures of others are passed over.
    pub rungs: u8,
    /// Sound that comes in Opus too is packed; else it is passed over.
    pub opus: bool,
}

impl PackagerConfig {
    /// The defaults, for a sound track that says `audio_specific_config` of itself.
    pub fn new(audio_specific_config: impl Into<Bytes>) -> Self {
        Self {
            audio_specific_config: audio_specific_config.into(),
            part_target: Duration::from_millis(334),
            part_min: Duration::from_millis(284),
            segment_target: Duration::from_secs(2),
            segment_max: Duration::from_secs(4),
            last_part_min: Duration::from_millis(220),
            video_wait: Duration::from_secs(2),
            rungs: RUNGS_MAX,
            opus: false,
        }
    }

    /// For a file instead of players: what a kill can cost is the part that is not closed, so parts are as short as three
    /// frames at 30 a second or five access units; and segments, of which a file has none, ask for nothing to be sent twice.
    /// A file has one picture, which is the top one.
    pub fn recording(audio_specific_config: impl Into<Bytes>) -> Self {
        Self {
            part_target: Duration::from_millis(107),
            part_min: Duration::ZERO,
            segment_max: Duration::MAX,
            last_part_min: Duration::ZERO,
            rungs: 1,
            ..Self::new(audio_specific_config)
        }
    }
}

/// What the packager made.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Comes before the first part of its generation.
    Init(Init),
    Part(Part),
    /// A rung of the ladder ends here, and the others go on; it may come back with an initialization section.
    Left(Rendition),
    /// Nothing comes after it.
    End,
}

/// An initialization section: what a player must have read before the parts of the same generation.
#[derive(Clone, PartialEq, Debug)]
pub struct Init {
    pub rendition: Rendition,
    /// Counts the cuts; the same in all renditions, and equal to the discontinuity sequence number (RFC 8216bis §6.2.1).
    pub generation: u32,
    /// `ftyp` and `moov`.
    pub bytes: Bytes,
    /// RFC 6381: "avc1.42c01f", "mp4a.40.2".
    pub codecs: String,
    /// Of the picture.
    pub size: Option<VideoSize>,
    pub(crate) entry: Entry,
}

/// One LL-HLS part, which is one CMAF chunk: `moof` and `mdat`. The parts of a segment, one after the other, are the segment. Of captions it
/// is a WebVTT file, and needs no initialization section.
#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    pub rendition: Rendition,
    pub generation: u32,
    /// The segment's media sequence number, the same in all renditions.
    pub sequence: u64,
    /// Within the segment, from 0.
    pub index: u32,
    /// On the programme clock, in ticks of the rendition.
    pub time: MediaTime,
    /// In the same ticks.
    pub duration: MediaTime,
    pub bytes: Bytes,
    /// A decoder can start at its first sample.
    pub independent: bool,
    /// First part after a cut.
    pub discontinuity: bool,
    /// Last part of its segment.
    pub ends_segment: bool,
    /// Pictures of the source in it (held ones not counted), access units, or captions.
    pub frames: u32,
    /// Samples that one can see or hear: held pictures too, and not those that are sent again for an instant.
    pub shown: u32,
}

/// What went through a packager, and what did not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PackagerCounters {
    pub parts: u64,
    pub segments: u64,
    pub bytes: u64,
    pub cuts: u64,
    /// Key frames of cuts that came before the one before was shown.
    pub cuts_dropped: u64,
    /// Pictures that repeat the one before because none came in time.
    pub pictures_held: u64,
    /// Segments that begin with the pictures since the last key frame, sent again.
    pub groups_repeated: u64,
    /// Pictures that came after their time had been packed; they are shown at once.
    pub pictures_late: u64,
    /// Pictures before the first key frame, or after one that was lost to us.
    pub pictures_without_key: u64,
    /// Pictures that are no H.264 that we can read, or too large.
    pub pictures_refused: u64,
    /// Access units before the program's first picture, twice the same time, or more than may wait.
    pub sound_dropped: u64,
    /// Places where access units were missing.
    pub sound_holes: u64,
    /// Breaks in the picture's time.
    pub jumps: u64,
    /// Rungs of the ladder that began, and that ended before the program did.
    pub rungs_begun: u64,
    pub rungs_left: u64,
    /// Captions that were taken, and that were one too many at once or came after the end.
    pub captions: u64,
    pub captions_dropped: u64,
}

/// Cuts a program's samples into CMAF parts of two renditions, picture and sound, and one more for each lower rung of a ladder, and
/// for the sound in Opus where that is wanted; and captions, where there are some, into WebVTT.
///
/// Samples of one kind come in order of time; how the kinds interleave does not matter. **Poll after every push.**
///
/// - A video sample lasts until the next one, so one is held back. *Sound is the clock*: it never stops, and when it is past
///   the end of a part for which no picture came, the picture before is repeated (see `picture.rs`). Parts therefore come three
///   a second whatever the source does, and none is longer than the target.
/// - Segments start at key frames, when three quarters of the target or more have gone by; at `segment_max` in any case. Such a
///   segment begins with all pictures since the last key frame once more, for an instant each, so that somebody who comes now
///   sees what the others see; when those are too many its first part is not `independent`, and the next key frame starts a
///   segment at once.
/// - A sample with `cut`, or a key frame with other parameter sets, starts a new generation. Decoding times go on. A cut that comes
///   before the one before it could be shown is left to the next key frame: else who changes size with every picture would be shown
///   ever later.
/// - Sound follows the segments that the picture decided, and waits for that. Without a picture segments are cut by time; a picture
///   that comes later starts a generation.
/// - With a ladder the top rung decides and the lower ones follow it part by part (see `packager/follower.rs`): the same numbers, times
///   and durations in each. Which rungs there are is learnt: one that has a key frame where a segment starts joins there; one that has
///   none where a generation starts, or falls silent, has left.
/// - Captions are cut as the AAC is, from the first segment after the first caption on (see `packager/captions.rs`).
pub struct Packager {
    config: PackagerConfig,
    /// These five in ticks of the picture.
    part_target: i64,
    part_min: i64,
    last_part_min: i64,
    /// The soonest that a cut comes after the start of a part: a last part of whole units of any sound. If it were sooner, after a
    /// row of cuts that come as soon as they may the sound's segments would be late by a part of a unit for each.
    cut_min: i64,
    segment_max: i64,
    state: State,
    /// Newest generation and segment decided by anybody.
    generation: u32,
    sequence: u64,
    /// `mfhd` sequence number, over all renditions so that it also grows in a recording of two.
    number: u32,
    video: Option<Video>,
    /// The lower rungs, in order, as far as any picture of them came.
    followers: Vec<Follower>,
    /// The newest time of the top rung's own pictures.
    newest: i64,
    /// AAC, which is the clock, and then Opus where it is wanted.
    sounds: Vec<Audio>,
    captions: Captions,
    /// End of the newest access unit, in ticks of the picture.
    clock: Option<i64>,
    /// How much later than sound the picture comes, in its ticks: the largest of late, slowly forgotten.
    lag: i64,
    /// A cut came with a picture that could not start it.
    cut_waits: bool,
    outputs: VecDeque<Output>,
    counters: PackagerCounters,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Waiting for the first picture, for the sake of a common beginning.
    Waiting,
    Running,
    Ended,
}

#[derive(Clone, Copy, Debug)]
struct Boundary {
    /// In ticks of the picture.
    time: i64,
    sequence: u64,
    generation: u32,
    cut: bool,
}

struct Video {
    rung: Rung,
    /// A picture was lost to us: wait for a key frame, holding the last one.
    broken: bool,
    /// How long the last picture of the source lasted.
    frame_ticks: i64,
    segment: Boundary,
    part_start: i64,
    /// The same as the source said it; a cut may be shown later than it came.
    part_from: i64,
    part_index: u32,
    /// A key frame is in this part that should have begun a segment: the next one begins where the part ends.
    turn: bool,
    /// The newest key frame that began a segment, or should have, and how long after the one before it came; 0: not known.
    key_time: i64,
    key_ticks: i64,
}

/// The part of one rung that is being filled.
struct Rung {
    parameters: Parameters,
    /// The newest picture, whose duration is not known.
    pending: Pending,
    /// The segment begins with a key frame.
    independent: bool,
    part: Vec<PartSample>,
    part_frames: u32,
    group: Group,
}

/// The source's pictures since its last key frame, that one included, as long as they may be sent again.
#[derive(Default)]
struct Group {
    pictures: Vec<Bytes>,
    bytes: usize,
    whole: bool,
}

impl Group {
    fn add(&mut self, pending: &Pending) {
        if pending.key {
            *self = Self {
                whole: true,
                ..Self::default()
            };
        }
        let data = &pending.picture.data;
        self.whole &=
            self.pictures.len() < GROUP_PICTURES_MAX && self.bytes + data.len() <= GROUP_BYTES_MAX;
        if self.whole {
            self.bytes += data.len();
            self.pictures.push(data.clone());
        } else {
            *self = Self::default();
        }
    }
}

struct Pending {
    time: i64,
    key: bool,
    /// Of the source, as opposed to held.
    own: bool,
    picture: Picture,
}

impl Packager {
    pub fn new(config: PackagerConfig) -> Self {
        let specific_config = config.audio_specific_config.clone();
        let aac = Audio::new(
            Rendition::Audio,
            Entry::Audio { specific_config },
            AUDIO_UNIT_TICKS,
        );
        let opus = || Audio::new(Rendition::Opus, Entry::Opus, OPUS_PACKET_TICKS);
        let sounds: Vec<Audio> = [aac].into_iter().chain(config.opus.then(opus)).collect();
        let last_part_min = ticks(config.last_part_min);
        let of_whole_units = |sound: &Audio| {
            let unit = MediaTime::new(sound.unit, AUDIO_RATE).rescale(VIDEO_RATE);
            (last_part_min + unit.ticks - 1) / unit.ticks * unit.ticks
        };
        let cut_min = sounds.iter().map(of_whole_units).max().unwrap_or(0);
        Self {
            part_target: ticks(config.part_target),
            // Never empty.
            part_min: ticks(config.part_min).max(1),
            last_part_min: last_part_min.max(1),
            cut_min: cut_min.max(1),
            segment_max: ticks(config.segment_max),
            state: State::Waiting,
            generation: 0,
            sequence: 0,
            number: 0,
            video: None,
            followers: Vec::new(),
            newest: 0,
            sounds,
            captions: Captions::default(),
            clock: None,
            lag: 0,
            cut_waits: false,
            outputs: VecDeque::new(),
            counters: PackagerCounters::default(),
            config,
        }
    }

    /// Takes the next sample. Never fails: what cannot be packed is counted.
    pub fn push(&mut self, sample: &Sample) {
        match (self.state, sample.kind) {
            (State::Ended, MediaKind::Audio) => self.counters.sound_dropped += 1,
            (State::Ended, MediaKind::Video) => self.counters.pictures_refused += 1,
            (State::Waiting | State::Running, MediaKind::Audio) => match sample.rung {
                0 => self.push_audio(sample),
                _ => self.push_opus(sample),
            },
            (State::Waiting | State::Running, MediaKind::Video) => self.push_video(sample),
        }
    }

    /// Takes what was said until `time` (programme clock): it is shown from then on, for as long as it takes to be read. False when
    /// that is more than can be read.
    pub fn push_caption(&mut self, time: MediaTime, caption: &Caption) -> bool {
        let taken = self.state != State::Ended && self.captions.push(time, caption);
        self.counters.captions += u64::from(taken);
        self.counters.captions_dropped += u64::from(!taken);
        taken
    }

    /// Packs what is held back and ends the program.
    pub fn end(&mut self) {
        if self.state == State::Waiting && !self.aac().queue.is_empty() {
            self.start_without_picture();
        }
        if self.state == State::Ended {
            return;
        }
        self.end_video();
        self.state = State::Ended;
        self.advance_followers();
        self.pack_audio();
        for of in 0..self.sounds.len() {
            self.close_audio_part(of, true);
        }
        self.outputs.push_back(Output::End);
    }

    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What a recorder that begins in mid-program must know before its first part.
    pub fn inits(&self) -> Vec<Init> {
        if self.state == State::Waiting {
            return Vec::new();
        }
        let video = self.video.as_ref().map(|video| {
            init(
                Rendition::Video,
                video.segment.generation,
                &video.rung.parameters.entry,
            )
        });
        let lower = self.followers.iter().filter_map(Follower::init);
        let sounds = self
            .sounds
            .iter()
            .map(|sound| init(sound.rendition, sound.segment.generation, &sound.init));
        video.into_iter().chain(lower).chain(sounds).collect()
    }

    /// The program has, or has had, a picture.
    pub fn has_video(&self) -> bool {
        self.video.is_some()
    }

    pub fn counters(&self) -> &PackagerCounters {
        &self.counters
    }

    // ---- picture

    fn push_video(&mut self, sample: &Sample) {
        if sample.rung > 0 {
            self.push_lower(sample);
            return;
        }
        self.cut_waits |= sample.cut;
        if sample.data.len() > SAMPLE_BYTES_MAX {
            self.refuse_picture();
            return;
        }
        let key = picture::is_key(&sample.data);
        let waits = self.cut_waits || self.video.as_ref().is_none_or(|video| video.broken);
        if waits && !key {
            self.counters.pictures_without_key += 1;
            return;
        }
        let known = self.video.as_ref().map(|video| &video.rung.parameters);
        let parameters = if key {
            picture::parameters(&sample.data)
        } else {
            None
        };
        // A key frame without parameter sets goes on with those of before, if it is of the same source.
        let Some(parameters) = parameters.or_else(|| known.filter(|_| !self.cut_waits).cloned())
        else {
            self.refuse_picture();
            return;
        };
        let Some(picture) = picture::picture(&sample.data, key, &parameters) else {
            self.refuse_picture();
            return;
        };
        let time = sample.time.rescale(VIDEO_RATE).ticks.max(0);
        let cut = self.cut_waits || known.is_some_and(|known| *known != parameters);
        let hurries = cut
            && self
                .video
                .as_ref()
                .is_some_and(|video| video.is_cut_to_after(time));
        self.cut_waits = hurries;
        self.learn_lag(time);
        self.newest = self.newest.max(time);
        let pending = Pending {
            time,
            key,
            own: true,
            picture,
        };
        match &self.video {
            Some(_) if hurries => self.counters.cuts_dropped += 1,
            Some(video) if time - video.rung.pending.time > JUMP_TICKS => {
                self.jump(pending, parameters)
            }
            Some(_) => self.go_on(pending, parameters, cut),
            None => self.start_video(pending, parameters),
        }
        for follower in &mut self.followers {
            follower.behind = follower.behind.saturating_add(1);
        }
        self.advance_followers();
        self.pack_audio();
    }

    fn push_lower(&mut self, sample: &Sample) {
        if sample.rung >= self.config.rungs.min(RUNGS_MAX) {
            self.counters.pictures_refused += u64::from(sample.rung >= RUNGS_MAX);
            return;
        }
        let known = self
            .followers
            .iter()
            .position(|one| one.rung >= sample.rung);
        let at = known.unwrap_or(self.followers.len());
        if self
            .followers
            .get(at)
            .is_none_or(|one| one.rung != sample.rung)
        {
            self.followers.insert(at, Follower::new(sample.rung));
        }
        self.followers[at].push(sample, &mut self.counters);
        self.advance_followers();
    }

    /// Lets the lower rungs close the parts that the top one has closed.
    fn advance_followers(&mut self) {
        let patience = self.lag.clamp(PATIENCE_TICKS_MIN, PATIENCE_TICKS_MAX);
        let due = match self.state {
            State::Ended => i64::MAX,
            State::Waiting | State::Running => self.newest.max(self.clock.unwrap_or(0)) - patience,
        };
        let mut followers = std::mem::take(&mut self.followers);
        for follower in &mut followers {
            while let Some(made) = follower.advance(due, &mut self.counters) {
                match made {
                    Made::Init(init) => self.outputs.push_back(Output::Init(init)),
                    Made::Part(span, filled) => {
                        self.put_out(Rendition::of_rung(follower.rung), span, filled);
                    }
                    Made::Left => {
                        let rendition = Rendition::of_rung(follower.rung);
                        self.outputs.push_back(Output::Left(rendition));
                    }
                }
            }
        }
        self.followers = followers;
    }

    fn refuse_picture(&mut self) {
        self.counters.pictures_refused += 1;
        // Later pictures may be predicted from the one that is not there.
        if let Some(video) = &mut self.video {
            video.broken = true;
        }
    }

    fn learn_lag(&mut self, time: i64) {
        let Some(clock) = self.clock else { return };
        let lag = clock - time;
        // Half a minute of frames until an old delay is all but forgotten: long against a network's moods.
        self.lag = if lag > self.lag {
            lag
        } else {
            self.lag - (self.lag - lag) / 256
        };
    }

    fn start_video(&mut self, pending: Pending, parameters: Parameters) {
        let segment = match self.state {
            State::Waiting => {
                self.state = State::Running;
                let segment = Boundary {
                    time: pending.time,
                    sequence: 0,
                    generation: 0,
                    cut: false,
                };
                // All begin with the first picture.
                let floor = MediaTime::new(pending.time, VIDEO_RATE).rescale(AUDIO_RATE);
                self.begin_sounds(segment, floor.ticks);
                segment
            }
            State::Running | State::Ended => {
                // Sound that is packed cannot be cut any more; a picture that begins before its end begins a little early.
                let packed = MediaTime::new(self.aac().next.unwrap_or(0), AUDIO_RATE)
                    .rescale(VIDEO_RATE)
                    .ticks;
                let at = pending
                    .time
                    .max(packed)
                    .max(self.aac().segment.time + self.last_part_min);
                self.begin_segment(at, true)
            }
        };
        self.outputs.push_back(Output::Init(init(
            Rendition::Video,
            segment.generation,
            &parameters.entry,
        )));
        self.video = Some(Video {
            part_start: pending.time,
            part_from: pending.time,
            key_time: pending.time,
            key_ticks: 0,
            turn: false,
            rung: Rung::new(parameters, pending),
            broken: false,
            frame_ticks: i64::from(VIDEO_RATE) / 30,
            segment,
            part_index: 0,
        });
    }

    /// The usual way: the picture before lasts until this one.
    fn go_on(&mut self, mut pending: Pending, parameters: Parameters, cut: bool) {
        let video = self
            .video
            .as_mut()
            .expect("go_on is called when there is a picture");
        video.broken = false;
        if pending.time <= video.rung.pending.time {
            self.counters.pictures_late += 1;
            pending.time = video.rung.pending.time + 1;
        } else if video.rung.pending.own {
            video.frame_ticks = pending.time - video.rung.pending.time;
        }
        let came = pending.time;
        let time = self.last_until(pending.time, if cut { self.cut_min } else { 0 });
        pending.time = time;
        let video = self.video.as_mut().expect("it was there");
        let length = time - video.part_start;
        let due = ticks(self.config.segment_target) * 3 / 4;
        let ready = pending.key && (time - video.segment.time >= due || !video.rung.independent);
        if cut || ready {
            video.key_ticks = if cut { 0 } else { time - video.key_time };
            video.key_time = time;
        }
        if cut || (ready && length >= self.last_part_min) {
            self.close_video_part(time, came, Some(cut));
        } else {
            video.turn |= ready;
            let whole = length >= self.part_min;
            // Close at once where the next frame would not fit: a part that waits for it is a frame later for everybody.
            let full = length + video.frame_ticks > self.part_target;
            let as_planned =
                length + video.frame_ticks / 2 >= video.length_wanted(self.part_target);
            if (whole && (full || as_planned))
                || (video.turn && !ready && length >= self.last_part_min)
            {
                self.close_video_part(time, came, None);
            }
        }
        let video = self.video.as_mut().expect("it was there");
        if cut {
            self.outputs.push_back(Output::Init(init(
                Rendition::Video,
                video.segment.generation,
                &parameters.entry,
            )));
            video.rung.parameters = parameters;
        }
        video.rung.pending = pending;
    }

    /// A break in time: what is held back ends as if nothing came, and a new generation begins at the next key frame.
    fn jump(&mut self, pending: Pending, parameters: Parameters) {
        let video = self
            .video
            .as_mut()
            .expect("jump is called when there is a picture");
        if !pending.key {
            video.broken = true;
            self.cut_waits = true;
            self.counters.pictures_without_key += 1;
            return;
        }
        self.counters.jumps += 1;
        let end = video.rung.pending.time + video.frame_ticks;
        let end = self.last_until(end, self.last_part_min);
        self.close_video_part(end, pending.time, Some(true));
        let video = self.video.as_mut().expect("it was there");
        self.outputs.push_back(Output::Init(init(
            Rendition::Video,
            video.segment.generation,
            &parameters.entry,
        )));
        video.rung.parameters = parameters;
        video.broken = false;
        video.part_start = pending.time;
        video.segment.time = pending.time;
        video.rung.pending = pending;
    }

    /// Gives the held-back picture its duration, splitting it over as many parts as it lasts, and leaving the last of them
    /// no shorter than `least`. Returns when that is.
    fn last_until(&mut self, end: i64, least: i64) -> i64 {
        while self
            .video
            .as_ref()
            .is_some_and(|video| end - video.part_start > self.part_target)
        {
            self.fill_part();
        }
        let Some(video) = &mut self.video else {
            return end;
        };
        let end = end.max(video.part_start + least);
        let begins = video.part_index == 0;
        self.counters.groups_repeated += u64::from(video.rung.take_pending(end, begins));
        end
    }

    /// Closes the part that is being filled although nothing came after the held-back picture.
    fn fill_part(&mut self) {
        let Some(video) = &mut self.video else { return };
        let before = video.rung.pending.time - video.part_start;
        if before >= self.part_min {
            let at = video.rung.pending.time;
            self.close_video_part(at, at, None);
            return;
        }
        let end = video.part_start + self.part_target;
        let begins = video.part_index == 0;
        self.counters.groups_repeated += u64::from(video.rung.take_pending(end, begins));
        video.rung.hold(end);
        self.counters.pictures_held += 1;
        self.close_video_part(end, end, None);
    }

    /// Puts out the samples so far as one part that ends `at`. Pictures of lower rungs that came before `until` belong to it.
    /// `segment` says that a segment must end here too, and whether at a cut.
    fn close_video_part(&mut self, at: i64, until: i64, segment: Option<bool>) {
        let Some(video) = &mut self.video else { return };
        let full = at + self.part_target - video.segment.time > self.segment_max;
        let turns = video.turn && at - video.part_start >= self.last_part_min;
        let filled = video.rung.take_part();
        let span = Span {
            segment: video.segment,
            index: video.part_index,
            start: video.part_start,
            end: at,
            from: video.part_from,
            until,
            ends_segment: segment.is_some() || full || turns,
        };
        video.part_start = at;
        video.part_from = until;
        video.part_index = if span.ends_segment { 0 } else { span.index + 1 };
        if span.ends_segment {
            video.turn = false;
            let begun = self.begin_segment(at, segment.unwrap_or(false));
            if let Some(video) = &mut self.video {
                video.segment = begun;
            }
        }
        self.lead(span);
        self.put_out(Rendition::Video, span, filled);
    }

    /// Tells the lower rungs of a part that the top one has.
    fn lead(&mut self, span: Span) {
        for follower in &mut self.followers {
            follower.lead(span);
        }
    }

    fn begin_segment(&mut self, time: i64, cut: bool) -> Boundary {
        self.sequence += 1;
        if cut {
            self.generation += 1;
            self.counters.cuts += 1;
        }
        let boundary = Boundary {
            time,
            sequence: self.sequence,
            generation: self.generation,
            cut,
        };
        for sound in &mut self.sounds {
            if sound.boundaries.len() == BOUNDARIES_MAX {
                sound.boundaries.pop_front();
            }
            sound.boundaries.push_back(boundary);
        }
        boundary
    }

    fn end_video(&mut self) {
        let sound_end = self.clock.unwrap_or(0);
        while self
            .video
            .as_ref()
            .is_some_and(|video| video.part_start + self.part_target < sound_end)
        {
            self.fill_part();
        }
        let Some(video) = &self.video else { return };
        let latest = video.part_start + self.part_target;
        let end = (video.rung.pending.time + video.frame_ticks)
            .max(sound_end)
            .min(latest)
            .max(video.rung.pending.time + 1);
        self.last_until(end, 0);
        let Some(video) = &mut self.video else { return };
        let filled = video.rung.take_part();
        let span = Span {
            segment: video.segment,
            index: video.part_index,
            start: video.part_start,
            end,
            from: video.part_from,
            until: i64::MAX,
            ends_segment: true,
        };
        self.lead(span);
        self.put_out(Rendition::Video, span, filled);
    }

    // ---- all

    fn put_out(&mut self, rendition: Rendition, span: Span, filled: Filled) {
        let samples = &filled.samples;
        self.number = self.number.wrapping_add(1);
        let time = u64::try_from(span.start).expect("the programme clock begins at zero");
        let bytes = boxes::part(rendition.track(), self.number, time, samples);
        let shown = samples.iter().filter(|sample| sample.duration > 1).count();
        self.counters.parts += 1;
        self.counters.segments += u64::from(span.ends_segment);
        self.counters.bytes += bytes.len() as u64;
        self.outputs.push_back(Output::Part(Part {
            rendition,
            generation: span.segment.generation,
            sequence: span.segment.sequence,
            index: span.index,
            time: MediaTime::new(span.start, rendition.rate()),
            duration: MediaTime::new(span.end - span.start, rendition.rate()),
            bytes,
            independent: samples.first().is_some_and(|sample| sample.key),
            discontinuity: span.segment.cut && span.index == 0,
            ends_segment: span.ends_segment,
            frames: filled.frames,
            shown: u32::try_from(shown).expect("a part is short"),
        }));
    }
}

/// A part as it was decided: which one it is, and what belongs to it. Times are in ticks of the rendition.
#[derive(Clone, Copy, Debug)]
struct Span {
    segment: Boundary,
    index: u32,
    start: i64,
    end: i64,
    /// Pictures of the source's times from here to `until` belong to it. A cut may be shown later than it came.
    from: i64,
    until: i64,
    ends_segment: bool,
}

/// What a part is made of.
struct Filled {
    samples: Vec<PartSample>,
    /// Of the source.
    frames: u32,
}

impl Video {
    /// How long the part should be so that the next key frame, if it comes when the last one did, comes at its end or well
    /// after the start of another: what is left until then in equal parts.
    fn length_wanted(&self, part_target: i64) -> i64 {
        let left = self.key_time + self.key_ticks - self.part_start;
        // In the last one it is waited for as long as may be.
        if self.key_ticks == 0 || left <= part_target {
            return i64::MAX;
        }
        let parts = (left + part_target - 1) / part_target;
        left / parts
    }

    /// The part that is being filled begins with a cut that came sooner than it could be shown, and that is not over at this time.
    fn is_cut_to_after(&self, time: i64) -> bool {
        self.part_from < self.part_start && time < self.part_start
    }
}

impl Rung {
    fn new(parameters: Parameters, pending: Pending) -> Self {
        Self {
            parameters,
            pending,
            independent: true,
            part: Vec::new(),
            part_frames: 0,
            group: Group::default(),
        }
    }

    /// The samples so far.
    fn take_part(&mut self) -> Filled {
        Filled {
            samples: std::mem::take(&mut self.part),
            frames: std::mem::take(&mut self.part_frames),
        }
    }

    /// Goes on from `time` with the held-back picture once more.
    fn hold(&mut self, time: i64) {
        let repeat = self.pending.picture.repeat.clone();
        self.pending = Pending {
            time,
            key: false,
            own: false,
            picture: Picture {
                data: repeat.clone(),
                repeat,
            },
        };
    }

    /// Puts the held-back picture into the part, up to `end`; where that `begins` a segment, what it builds on before it.
    /// Says whether that was so.
    fn take_pending(&mut self, end: i64, begins: bool) -> bool {
        let mut repeated = false;
        if begins && self.part.is_empty() {
            self.independent = self.pending.key;
            let instants =
                i64::try_from(self.group.pictures.len()).expect("bounded by GROUP_PICTURES_MAX");
            if !self.pending.key && self.group.whole && end - self.pending.time > instants {
                for (index, data) in self.group.pictures.iter().enumerate() {
                    self.part.push(PartSample {
                        data: data.clone(),
                        duration: 1,
                        key: index == 0,
                    });
                }
                self.pending.time += instants;
                self.independent = true;
                repeated = true;
            }
        }
        let duration = u32::try_from(end - self.pending.time)
            .expect("a picture lasts a part at most, and is never later than the next");
        self.part.push(PartSample {
            data: self.pending.picture.data.clone(),
            duration,
            key: self.pending.key,
        });
        if self.pending.own {
            self.part_frames += 1;
            self.group.add(&self.pending);
        }
        repeated
    }
}

fn init(rendition: Rendition, generation: u32, entry: &Entry) -> Init {
    let size = match entry {
        Entry::Video { size, .. } => Some(*size),
        Entry::Vp8 { size } | Entry::Vp9 { size, .. } => Some(*size),
        Entry::Av1 { sequence, .. } => Some(sequence.size),
        Entry::Audio { .. } | Entry::Opus => None,
    };
    Init {
        rendition,
        generation,
        bytes: boxes::init(&[entry]).into(),
        codecs: entry.codecs(),
        size,
        entry: entry.clone(),
    }
}

fn ticks(duration: Duration) -> i64 {
    MediaTime::from_duration(duration, VIDEO_RATE).ticks
}
