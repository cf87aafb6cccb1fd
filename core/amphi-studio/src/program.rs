use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use amphi_media::{Frame, MediaKind, MemberId};

use crate::composer::{Compose, Composer};
use crate::director::Director;
use crate::io::{Input, Output, StageTrack};
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

/// One program: a picture, and the mix of everybody as AAC. Of the kind `cut` ([`Program::new`]) the picture is the on-air
/// member's H.264 untouched; composed ([`Program::compose`]) it is everybody's in one.
///
/// The programme clock is zero at the `now` it was made with. A picture of `cut` comes out as soon as it came in, a composed
/// one some 120 ms after its time; sound follows after the mixing delay, without a hole from zero on, whoever is there. **After every `handle_input`, drain
/// `poll_output`; come back with [`Input::Timeout`] at `poll_timeout`.**
///
/// A track that is not known, or frames that make no sense, cost a counter ([`Program::counters`]) and nothing else.
pub struct Program {
    zero: Instant,
    config: Config,
    clocks: MemberClocks,
    mixer: Mixer,
    pictures: Pictures,
    outputs: VecDeque<Output>,
    counters: Counters,
    failed: bool,
}

/// What makes the picture.
enum Pictures {
    Cut(Box<Director>),
    Composed(Box<Composer>),
}

impl Program {
    /// Of the kind `cut`.
    pub fn new(now: Instant, config: Config, codecs: Codecs) -> Self {
        Self::with(
            now,
            config,
            codecs,
            Pictures::Cut(Box::new(Director::new())),
        )
    }

    /// Everybody in one picture.
    pub fn compose(now: Instant, config: Config, codecs: Codecs, compose: Compose) -> Self {
        let composer = Box::new(Composer::new(compose));
        Self::with(now, config, codecs, Pictures::Composed(composer))
    }

    fn with(now: Instant, config: Config, codecs: Codecs, pictures: Pictures) -> Self {
        Self {
            zero: now,
            config,
            clocks: MemberClocks::new(),
            mixer: Mixer::new(codecs),
            pictures,
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
            Input::Track(track) => self.set_track(&track),
            Input::TrackGone { track } => {
                self.mixer.remove_track(track);
                match &mut self.pictures {
                    Pictures::Cut(director) => director.remove_track(track),
                    Pictures::Composed(composer) => composer.remove_track(track),
                }
                self.forget_members();
            }
            Input::Frame(frame) => self.take_frame(now_us, &frame),
            Input::Speakers(speakers) => {
                let member =
                    |(track, level)| self.mixer.member(track).map(|member| (member, level));
                let speakers = speakers.into_iter().filter_map(member).collect();
                match &mut self.pictures {
                    Pictures::Cut(director) => director.set_speakers(speakers),
                    Pictures::Composed(composer) => composer.set_speakers(speakers),
                }
            }
            Input::NeedKeyFrame => match &mut self.pictures {
                Pictures::Cut(director) => {
                    director.need_key_frame(now_us, &mut self.counters, &mut self.outputs);
                }
                Pictures::Composed(composer) => composer.need_key_frame(),
            },
            Input::Layout(layout) => {
                if let Pictures::Composed(composer) = &mut self.pictures {
                    composer.set_layout(layout);
                }
            }
            Input::Timeout => {}
        }
        self.show(now_us);
        self.mix_what_is_due(now);
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When the next block of sound or the next composed picture is due; none when the program has failed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!self.failed).then(|| self.next_due())
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn set_track(&mut self, track: &StageTrack) {
        match track.kind {
            MediaKind::Audio => {
                self.mixer
                    .set_track(track.track, track.member, track.muted, &mut self.counters);
            }
            MediaKind::Video => match &mut self.pictures {
                Pictures::Cut(director) => director.set_track(track, &mut self.counters),
                Pictures::Composed(composer) => composer.set_track(track, &mut self.counters),
            },
        }
    }

    fn show(&mut self, now_us: i64) {
        match &mut self.pictures {
            Pictures::Cut(director) => {
                director.direct(now_us, None, &mut self.counters, &mut self.outputs);
            }
            Pictures::Composed(composer) => {
                composer.compose(now_us, &mut self.counters, &mut self.outputs);
                if composer.is_broken() {
                    self.fail("The encoder of the program's picture fails again and again.");
                }
            }
        }
    }

    fn fail(&mut self, reason: &str) {
        self.failed = true;
        let reason = reason.to_owned();
        self.outputs.push_back(Output::Failed { reason });
    }

    fn take_frame(&mut self, now_us: i64, frame: &Frame) {
        let arrived_us = self.on_programme_clock(frame.arrived).min(now_us);
        match frame.codec.kind() {
            MediaKind::Audio => {
                self.mixer
                    .push(frame, arrived_us, &mut self.clocks, &mut self.counters)
            }
            MediaKind::Video => match &mut self.pictures {
                Pictures::Cut(director) => director.push(
                    now_us,
                    frame,
                    arrived_us,
                    &mut self.clocks,
                    &mut self.counters,
                    &mut self.outputs,
                ),
                Pictures::Composed(composer) => {
                    composer.push(frame, arrived_us, &mut self.clocks, &mut self.counters);
                }
            },
        }
    }

    fn mix_what_is_due(&mut self, now: Instant) {
        for _ in 0..BLOCKS_MAX {
            if self.failed || now < self.sound_due() {
                return;
            }
            let sample = self.mixer.mix(&self.clocks, &mut self.counters);
            self.outputs.extend(sample.map(Output::Sample));
            if self.mixer.is_broken() {
                return self.fail("The encoder of the program's sound fails again and again.");
            }
        }
    }

    fn next_due(&self) -> Instant {
        match &self.pictures {
            Pictures::Cut(_) => self.sound_due(),
            Pictures::Composed(composer) => {
                let us = u64::try_from(composer.next_due_us()).unwrap_or(0);
                self.sound_due().min(self.zero + Duration::from_micros(us))
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
        let mut here: BTreeSet<MemberId> = self.mixer.members().collect();
        match &self.pictures {
            Pictures::Cut(director) => here.extend(director.members()),
            Pictures::Composed(composer) => here.extend(composer.members()),
        }
        self.clocks.retain(|member, _| here.contains(member));
    }
}
