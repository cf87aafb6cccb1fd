use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use amphi_media::{Frame, MediaKind, MemberId, TrackId};

use crate::composer;
use crate::director::Director;
use crate::feed::{Feed, Fit};
use crate::io::{Input, Kind, Output, StageTrack};
use crate::mixer::{MemberClocks, Mixer};
use crate::{Codecs, Counters};

/// Most blocks of sound that are mixed in answer to one input, when time has jumped.
const BLOCKS_MAX: usize = 64;

/// How a program is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// How long sound waits for late packets. Longer: fewer holes, more delay, and more that a kill costs a recording.
    /// Sound is not asked for again (NACK), so this need only cover the moods of a Wi-Fi.
    pub mixing_delay: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mixing_delay: Duration::from_millis(200),
        }
    }
}

/// Tracks that are followed; the director and the mixer have bounds of their own.
const TRACKS_MAX: usize = 512;

/// One program: a picture, and the mix of everybody as AAC. The picture is the on-air member's H.264 untouched ([`Kind::Cut`], as it
/// begins), or everybody's in one ([`Kind::Compose`]): that one a [`crate::composer::Composer`] makes, which gets what comes out as
/// [`Output::Compose`] and whose outputs come in as [`Input::Composed`].
///
/// The programme clock is zero at the `now` it was made with. A picture of `cut` comes out as soon as it came in, a composed
/// one some 120 ms after its time; sound follows after the mixing delay, without a hole from zero on, whoever is there and whatever
/// makes the picture. **After every `handle_input`, drain `poll_output`; come back with [`Input::Timeout`] at `poll_timeout`.**
///
/// A track that is not known, or frames that make no sense, cost a counter ([`Program::counters`]) and nothing else.
pub struct Program {
    zero: Instant,
    config: Config,
    clocks: MemberClocks,
    mixer: Mixer,
    stage: BTreeMap<TrackId, StageTrack>,
    speakers: Vec<(MemberId, f32)>,
    maker: Maker,
    /// Lower layers are rungs while pictures are cut.
    ladder: bool,
    /// When the newest picture was shown, in ticks.
    picture_ticks: Option<i64>,
    outputs: VecDeque<Output>,
    counters: Counters,
    failed: bool,
}

/// What makes the picture.
enum Maker {
    Cut(Box<Director>),
    Composed(Box<Feed>),
}

impl Program {
    pub fn new(now: Instant, config: Config, codecs: Codecs) -> Self {
        Self {
            zero: now,
            config,
            clocks: MemberClocks::new(),
            mixer: Mixer::new(codecs),
            stage: BTreeMap::new(),
            speakers: Vec::new(),
            maker: Maker::Cut(Box::new(Director::new(None))),
            ladder: false,
            picture_ticks: None,
            outputs: VecDeque::new(),
            counters: Counters::default(),
            failed: false,
        }
    }

    pub fn handle_input(&mut self, now: Instant, input: Input) {
        if self.failed {
            return;
        }
        let now_us = self.on_programme_clock(now);
        match input {
            Input::Track(track) => self.set_track(track),
            Input::TrackGone { track } => self.remove_track(track),
            Input::Frame(frame) => self.take_frame(now_us, &frame),
            Input::Speakers(speakers) => {
                let member =
                    |(track, level)| self.mixer.member(track).map(|member| (member, level));
                self.speakers = speakers.into_iter().filter_map(member).collect();
                match &mut self.maker {
                    Maker::Cut(director) => director.set_speakers(self.speakers.clone()),
                    Maker::Composed(feed) => {
                        let told = feed.speakers(&self.speakers);
                        self.outputs.extend(told.map(Output::Compose));
                    }
                }
            }
            Input::NeedKeyFrame => match &mut self.maker {
                Maker::Cut(director) => {
                    director.need_key_frame(now_us, &mut self.counters, &mut self.outputs);
                }
                Maker::Composed(feed) => self
                    .outputs
                    .extend(feed.need_key_frame().map(Output::Compose)),
            },
            Input::Kind(kind) => self.set_kind(kind),
            Input::ComposerReady => {
                if let Maker::Composed(feed) = &mut self.maker {
                    let told =
                        feed.connect(self.stage.values(), &self.speakers, self.picture_ticks);
                    self.outputs.extend(told.into_iter().map(Output::Compose));
                }
            }
            Input::ComposerGone => {
                if let Maker::Composed(feed) = &mut self.maker {
                    feed.disconnect();
                }
            }
            Input::Composed(output) => self.take_composed(output),
            Input::Ladder { on } => {
                self.ladder = on;
                if let Maker::Cut(director) = &mut self.maker {
                    director.set_ladder(on);
                }
            }
            Input::Timeout => {}
        }
        if let Maker::Cut(director) = &mut self.maker {
            director.direct(now_us, None, &mut self.counters, &mut self.outputs);
        }
        self.mix_what_is_due(now);
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if let Some(Output::Sample(sample)) = &output
            && sample.kind == MediaKind::Video
            && sample.rung == 0
        {
            self.picture_ticks = self.picture_ticks.max(Some(sample.time.ticks));
        }
        output
    }

    /// When the next block of sound is due; none when the program has failed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!self.failed).then(|| self.sound_due())
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many rungs the picture has or is about to have, as far as is known: each of a composed picture that is not refused, and while
    /// pictures are cut one for each layer that whoever is on air sends. Zero while nothing is shown.
    pub fn rungs(&self) -> u8 {
        match &self.maker {
            Maker::Cut(director) => director.rungs(),
            Maker::Composed(feed) => feed.rungs(),
        }
    }

    fn set_track(&mut self, track: StageTrack) {
        if !self.stage.contains_key(&track.track) && self.stage.len() >= TRACKS_MAX {
            self.counters.tracks_refused += 1;
            return;
        }
        if track.kind == MediaKind::Audio {
            self.mixer
                .set_track(track.track, track.member, track.muted, &mut self.counters);
        }
        match &mut self.maker {
            Maker::Cut(director) if track.kind == MediaKind::Video => {
                director.set_track(&track, &mut self.counters);
            }
            Maker::Cut(_) => {}
            Maker::Composed(feed) => self
                .outputs
                .extend(feed.set_track(&track).map(Output::Compose)),
        }
        self.stage.insert(track.track, track);
    }

    fn remove_track(&mut self, track: TrackId) {
        self.stage.remove(&track);
        self.mixer.remove_track(track);
        match &mut self.maker {
            Maker::Cut(director) => director.remove_track(track),
            Maker::Composed(feed) => self
                .outputs
                .extend(feed.remove_track(track).map(Output::Compose)),
        }
        self.forget_members();
    }

    fn set_kind(&mut self, kind: Kind) {
        match (kind, &mut self.maker) {
            (Kind::Cut, Maker::Cut(_)) => {}
            (Kind::Compose(look), Maker::Composed(feed)) => {
                self.outputs
                    .extend(feed.set_look(look).map(Output::Compose));
            }
            (Kind::Cut, Maker::Composed(_)) => {
                let mut director = Director::new(self.picture_ticks);
                for track in &self.videos() {
                    director.set_track(track, &mut self.counters);
                }
                director.set_speakers(self.speakers.clone());
                director.set_ladder(self.ladder);
                self.maker = Maker::Cut(Box::new(director));
                self.want_the_best();
            }
            (Kind::Compose(look), Maker::Cut(director)) => {
                self.outputs.extend(director.let_go_of_layers());
                let mut feed = Feed::new(look, self.picture_ticks);
                for track in &self.videos() {
                    feed.set_track(track);
                }
                self.maker = Maker::Composed(Box::new(feed));
                let nobody = Output::OnAir {
                    member: None,
                    track: None,
                };
                self.outputs.extend([nobody, Output::Note(None)]);
            }
        }
    }

    fn videos(&self) -> Vec<StageTrack> {
        let is_video = |track: &&StageTrack| track.kind == MediaKind::Video;
        self.stage.values().filter(is_video).cloned().collect()
    }

    /// Nothing is drawn small any more.
    fn want_the_best(&mut self) {
        let wanted = self.videos().into_iter().map(|track| Output::Wanted {
            track: track.track,
            size: None,
        });
        self.outputs.extend(wanted);
    }

    fn take_composed(&mut self, output: composer::Output) {
        let Maker::Composed(feed) = &mut self.maker else {
            // It was not wanted any more when this came.
            return;
        };
        match output {
            composer::Output::Sample(sample) => match feed.fit(sample) {
                Fit::Taken(sample) => self.outputs.push_back(Output::Sample(sample)),
                Fit::Late => self.counters.pictures_late += 1,
                Fit::LateKey => {
                    self.counters.pictures_late += 1;
                    self.outputs
                        .extend(feed.need_key_frame().map(Output::Compose));
                }
            },
            composer::Output::NeedKeyFrame { track } => {
                self.outputs.push_back(Output::NeedKeyFrame { track });
            }
            composer::Output::Wanted { track, size } => self.outputs.push_back(Output::Wanted {
                track,
                size: Some(size),
            }),
            composer::Output::Failed { reason } => self.fail(&reason),
        }
    }

    fn fail(&mut self, reason: &str) {
        self.failed = true;
        let reason = reason.to_owned();
        self.outputs.push_back(Output::Failed { reason });
    }

    fn take_frame(&mut self, now_us: i64, frame: &Frame) {
        let arrived_us = self.on_programme_clock(frame.arrived).min(now_us);
        match (frame.codec.kind(), &mut self.maker) {
            (MediaKind::Audio, _) => {
                self.mixer
                    .push(frame, arrived_us, &mut self.clocks, &mut self.counters)
            }
            (MediaKind::Video, Maker::Cut(director)) => director.push(
                now_us,
                frame,
                arrived_us,
                &mut self.clocks,
                &mut self.counters,
                &mut self.outputs,
            ),
            (MediaKind::Video, Maker::Composed(feed)) => {
                let told = feed.push(frame, arrived_us, &mut self.clocks, &mut self.counters);
                self.outputs.extend(told.map(Output::Compose));
            }
        }
    }

    fn mix_what_is_due(&mut self, now: Instant) {
        for _ in 0..BLOCKS_MAX {
            if self.failed || now < self.sound_due() {
                return;
            }
            let made = self.mixer.mix(&self.clocks, &mut self.counters);
            self.outputs.extend(made.into_iter().map(Output::Sample));
            if self.mixer.is_broken() {
                return self.fail("The encoder of the program's sound fails again and again.");
            }
        }
    }

    fn sound_due(&self) -> Instant {
        self.zero
            + self.config.mixing_delay
            + Duration::from_micros(self.mixer.next_due_us().max(0) as u64)
    }

    /// Microseconds since the programme's zero; negative for what arrived before it.
    fn on_programme_clock(&self, at: Instant) -> i64 {
        match at.checked_duration_since(self.zero) {
            Some(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            None => -i64::try_from((self.zero - at).as_micros()).unwrap_or(i64::MAX),
        }
    }

    fn forget_members(&mut self) {
        let here: BTreeSet<MemberId> = self.stage.values().map(|track| track.member).collect();
        self.clocks.retain(|member, _| here.contains(member));
    }
}
