use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use amphi_media::{Frame, MediaKind, MemberId};

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

/// One program of the kind `cut`: the on-air member's H.264 untouched, and the mix of everybody as AAC.
///
/// The programme clock is zero at the `now` of [`Program::new`]. A picture comes out as soon as it came in; sound
/// follows after the mixing delay, without a hole from zero on, whoever is there. **After every `handle_input`, drain
/// `poll_output`; come back with [`Input::Timeout`] at `poll_timeout`.**
///
/// A track that is not known, or frames that make no sense, cost a counter ([`Program::counters`]) and nothing else.
pub struct Program {
    zero: Instant,
    config: Config,
    clocks: MemberClocks,
    mixer: Mixer,
    director: Director,
    outputs: VecDeque<Output>,
    counters: Counters,
    failed: bool,
}

impl Program {
    pub fn new(now: Instant, config: Config, codecs: Codecs) -> Self {
        Self {
            zero: now,
            config,
            clocks: MemberClocks::new(),
            mixer: Mixer::new(codecs),
            director: Director::new(),
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
                self.director.remove_track(track);
                self.forget_members();
            }
            Input::Frame(frame) => self.take_frame(now_us, &frame),
            Input::Speakers(speakers) => {
                let member =
                    |(track, level)| self.mixer.member(track).map(|member| (member, level));
                self.director
                    .set_speakers(speakers.into_iter().filter_map(member).collect());
            }
            Input::Timeout => {}
        }
        self.director
            .direct(now_us, None, &mut self.counters, &mut self.outputs);
        self.mix_what_is_due(now);
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When the next block of sound is due; none when the program has failed.
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
            MediaKind::Video => self.director.set_track(track, &mut self.counters),
        }
    }

    fn take_frame(&mut self, now_us: i64, frame: &Frame) {
        let arrived_us = self.on_programme_clock(frame.arrived).min(now_us);
        match frame.codec.kind() {
            MediaKind::Audio => {
                self.mixer
                    .push(frame, arrived_us, &mut self.clocks, &mut self.counters)
            }
            MediaKind::Video => self.director.push(
                now_us,
                frame,
                arrived_us,
                &mut self.clocks,
                &mut self.counters,
                &mut self.outputs,
            ),
        }
    }

    fn mix_what_is_due(&mut self, now: Instant) {
        for _ in 0..BLOCKS_MAX {
            if now < self.next_due() {
                return;
            }
            let sample = self.mixer.mix(&self.clocks, &mut self.counters);
            self.outputs.extend(sample.map(Output::Sample));
            if self.mixer.is_broken() {
                self.failed = true;
                let reason = "The encoder of the program's sound fails again and again.".to_owned();
                self.outputs.push_back(Output::Failed { reason });
                return;
            }
        }
    }

    fn next_due(&self) -> Instant {
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
        let here: BTreeSet<MemberId> = self
            .mixer
            .members()
            .chain(self.director.members())
            .collect();
        self.clocks.retain(|member, _| here.contains(member));
    }
}
