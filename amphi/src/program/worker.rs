//! The thread of one program.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use amphi_media::{Caption, Frame, MediaKind, MediaTime, Sample, TrackId, VideoSize};
use amphi_mux::{Output as Packaged, Packager, PackagerConfig, Rendition, WindowConfig};
use amphi_room::Wish;
use amphi_studio::{Input, Output, Program};
use crossbeam_channel::{Receiver, Sender, select_biased};
use tracing::{error, warn};

use super::easel::{Easel, Means};
use super::post::{Control, Letters, Switch};
use super::stage::Stage;
use super::{Programs, State, held, unix_ms};
use crate::codec;
use crate::compose;
use crate::egress::Live;
use crate::egress::record::{Order, Recorder};

/// How much lower the priority of programs is than that of the call.
const NICE: i32 = 5;

/// How often a key frame is asked for because a track's own file cannot go on without one.
const KEY_FRAME_AFTER: Duration = Duration::from_secs(2);

/// One program, before it has its codecs.
pub struct Worker {
    pub room: String,
    /// It comes before frames that wait.
    pub letters: Letters,
    pub frames: Receiver<Frame>,
    pub wish: Wish,
    pub means: Means,
    pub state: Arc<Mutex<State>>,
    pub programs: Programs,
    /// Held until the program and its recordings have ended.
    pub alive: Sender<Infallible>,
}

/// Who takes the program.
struct Takers<'a> {
    room: &'a str,
    live: &'a dyn Live,
    gate: Option<Gate>,
    /// How many rungs whoever shows the broadcast was told to expect; 0 before that.
    expected: u8,
    tape: Option<Taping>,
    stage: Stage,
    /// When this program asked for a key frame for a track's own file.
    asked_for_key: BTreeMap<TrackId, Instant>,
    /// The sizes at which the program draws tracks.
    wanted: BTreeMap<TrackId, Option<VideoSize>>,
}

/// A recording: the same samples, cut finer than for players, so that a kill costs less.
struct Taping {
    packager: Packager,
    recorder: Recorder,
    /// Every member's tracks are recorded too.
    tracks: bool,
}

/// Lets a broadcast that begins in mid-program begin with a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Gate {
    Closed,
    OpenFrom { sequence: u64 },
}

enum Event {
    Letters,
    Frame(Frame),
    /// From the composer; none when it is gone.
    Composer(Option<compose::Event>),
    Timeout,
    /// Nobody holds the other end any more.
    Stop,
}

impl Worker {
    pub fn run(self) {
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            warn!("the program runs at the priority of the call: {error}");
        }
        let live = self.programs.0.live.clone();
        let mut takers = Takers {
            room: &self.room,
            live: &*live,
            gate: None,
            expected: 0,
            tape: None,
            stage: Stage::new(Instant::now()),
            asked_for_key: BTreeMap::new(),
            wanted: BTreeMap::new(),
        };
        let ended = catch_unwind(AssertUnwindSafe(|| self.work(&mut takers)));
        // Also after a panic: whoever watches or records gets an end.
        takers.go_off_air();
        takers.end_recording();
        let reason = match ended {
            Ok(Ok(())) => return,
            Ok(Err(reason)) => reason,
            Err(_) => "The program broke by an error of the server.".to_owned(),
        };
        error!("program failed: {reason}");
        let mut state = held(&self.state);
        state.program.on_air_member = None;
        state.program.note = Some(reason.clone());
        drop(state);
        self.programs.failed(&self.room, &reason);
    }

    /// Until the program is stopped, or cannot go on: then a reason for people.
    fn work(&self, takers: &mut Takers<'_>) -> Result<(), String> {
        let opus = self.programs.0.config.opus;
        let with = match opus {
            true => codec::Opus::Beside,
            false => codec::Opus::None,
        };
        let (codecs, sound) = codec::program_codecs(with).map_err(|error| error.to_string())?;
        let zero = Instant::now();
        let mut program = Program::new(zero, amphi_studio::Config::default(), codecs);
        let mut easel = Easel::new(self.means.clone(), self.wish.clone(), zero);
        takers.stage = Stage::new(zero);
        takers.stage.wished(zero, &self.wish, None);
        held(&self.state).program.started = std::time::SystemTime::now();
        let mut packager = Packager::new(PackagerConfig {
            opus,
            ..PackagerConfig::new(sound.clone())
        });
        let begun = easel.begin();
        self.tell(begun, &mut program, &easel);
        loop {
            let event = self.next_event(&program, &easel);
            let now = Instant::now();
            match event {
                Event::Letters => {
                    for control in self.letters.take() {
                        match control {
                            Control::Input(input) => {
                                takers.told(now, &input);
                                program.handle_input(now, input);
                            }
                            Control::Caption(caption) => {
                                let time = MediaTime::from_duration(now - zero, 1_000);
                                let taken = packager.push_caption(time, &caption);
                                self.count_captions(&packager);
                                // What nobody reads fills no timeline either.
                                if taken {
                                    takers.said(now, caption);
                                }
                            }
                            Control::Switch(Switch::Broadcast(on)) => {
                                self.switch_broadcast(on, takers, &packager);
                                // A file has the best layer only.
                                let on = on.is_some() && self.programs.0.config.layers;
                                program.handle_input(now, Input::Ladder { on });
                                program.handle_input(now, Input::NeedKeyFrame);
                            }
                            Control::Switch(Switch::Wish(wish)) => {
                                let beside =
                                    takers.tape.as_mut().map(|tape| tape.recorder.beside());
                                takers.stage.wished(now, &wish, beside);
                                let told = easel.set_wish(wish);
                                self.tell(told, &mut program, &easel);
                            }
                            Control::Switch(Switch::Record(None)) => {
                                takers.end_recording();
                                self.want_sizes(takers);
                            }
                            Control::Switch(Switch::Record(Some(order))) => {
                                let config = PackagerConfig::recording(sound.clone());
                                self.begin_recording(*order, zero, takers, config);
                                program.handle_input(now, Input::NeedKeyFrame);
                            }
                        }
                        self.perform(&mut program, &mut easel, &mut packager, takers)?;
                    }
                }
                Event::Composer(event) => {
                    let told = easel.heard(event);
                    if easel.take_news() {
                        held(&self.state).program.made = easel.made();
                    }
                    self.tell(told, &mut program, &easel);
                }
                Event::Frame(frame) => {
                    self.record_frame(now, &frame, takers);
                    program.handle_input(now, Input::Frame(frame));
                }
                Event::Timeout => {
                    program.handle_input(now, Input::Timeout);
                    let told = easel.pass_time();
                    self.tell(told, &mut program, &easel);
                }
                Event::Stop => break,
            }
            self.perform(&mut program, &mut easel, &mut packager, takers)?;
        }
        // What was accepted before the end belongs to the recording.
        for frame in self.frames.try_iter() {
            self.record_frame(Instant::now(), &frame, takers);
            program.handle_input(Instant::now(), Input::Frame(frame));
            self.perform(&mut program, &mut easel, &mut packager, takers)?;
        }
        packager.end();
        self.hand_out(&mut packager, takers);
        takers.end_recording();
        Ok(())
    }

    fn count_captions(&self, packager: &Packager) {
        let counters = packager.counters();
        let mut state = held(&self.state);
        state.captions = counters.captions;
        state.captions_overflowed = counters.captions_dropped;
        state.captions_unread += self.letters.captions_dropped();
    }

    fn switch_broadcast(&self, on: Option<u64>, takers: &mut Takers<'_>, packager: &Packager) {
        let Some(epoch) = on else {
            return takers.go_off_air();
        };
        let zero_unix_ms = unix_ms(held(&self.state).program.started);
        takers.go_on_air(WindowConfig::new(epoch, zero_unix_ms), packager);
    }

    /// What the easel wants the program to know, and what people should know of the easel.
    fn tell(&self, told: Vec<Input>, program: &mut Program, easel: &Easel) {
        if told.is_empty() {
            return;
        }
        for input in told {
            program.handle_input(Instant::now(), input);
        }
        let mut state = held(&self.state);
        state.program.made = easel.made();
        state.program.composer = easel.process_id();
    }

    fn next_event(&self, program: &Program, easel: &Easel) -> Event {
        let next = program.poll_timeout().into_iter().chain(easel.timeout());
        let wait = next.min().map_or(Duration::MAX, |at| {
            at.saturating_duration_since(Instant::now())
        });
        select_biased! {
            recv(self.letters.bell) -> rung => rung.map_or(Event::Stop, |()| Event::Letters),
            recv(self.frames) -> frame => frame.map_or(Event::Stop, Event::Frame),
            recv(easel.events()) -> event => Event::Composer(event.ok()),
            default(wait) => Event::Timeout,
        }
    }

    fn perform(
        &self,
        program: &mut Program,
        easel: &mut Easel,
        packager: &mut Packager,
        takers: &mut Takers<'_>,
    ) -> Result<(), String> {
        while let Some(output) = program.poll_output() {
            match output {
                Output::Compose(input) => {
                    let told = easel.tell(input);
                    self.tell(told, program, easel);
                }
                Output::Wanted { track, size } => {
                    takers.wanted.insert(track, size);
                    if let Some(calls) = self.programs.0.calls.get() {
                        calls.want_size(&self.room, track, takers.size_for(size));
                    }
                }
                Output::TakeLayers { track, on } => {
                    if let Some(calls) = self.programs.0.calls.get() {
                        calls.take_layers(&self.room, track, on);
                    }
                }
                Output::Sample(sample) => {
                    takers.look(&sample);
                    takers.expect(program.rungs());
                    let dropped = packager.counters().cuts_dropped;
                    packager.push(&sample);
                    if packager.counters().cuts_dropped > dropped {
                        // Else the picture stands still until its sender makes one by itself.
                        program.handle_input(Instant::now(), Input::NeedKeyFrame);
                    }
                    self.hand_out(packager, takers);
                    if let Some(tape) = &mut takers.tape {
                        tape.push(&sample);
                    }
                }
                Output::NeedKeyFrame { track } => {
                    if let Some(calls) = self.programs.0.calls.get() {
                        calls.request_key_frame(&self.room, track);
                    }
                }
                Output::OnAir { member, .. } => {
                    held(&self.state).program.on_air_member = member;
                    let beside = takers.tape.as_mut().map(|tape| tape.recorder.beside());
                    takers.stage.shown(Instant::now(), member, beside);
                }
                Output::Note(note) => held(&self.state).program.note = note,
                Output::Failed { reason } => return Err(reason),
            }
        }
        let mut counters = *program.counters();
        counters += easel.counters();
        let mut state = held(&self.state);
        state.counters = counters;
        state.easel = easel.stats();
        Ok(())
    }

    fn hand_out(&self, packager: &mut Packager, takers: &mut Takers<'_>) {
        while let Some(packaged) = packager.poll() {
            let is_live = takers.push(&packaged, packager.has_video());
            if let Packaged::Part(_) = packaged {
                let mut state = held(&self.state);
                state.parts += 1;
                if let Some(broadcasting) = state.program.broadcasting.as_mut().filter(|_| is_live)
                {
                    broadcasting.on_air = true;
                }
            }
        }
    }

    /// Asks for all tracks anew, since what is recorded has changed.
    fn want_sizes(&self, takers: &Takers<'_>) {
        let Some(calls) = self.programs.0.calls.get() else {
            return;
        };
        for (track, size) in &takers.wanted {
            calls.want_size(&self.room, *track, takers.size_for(*size));
        }
    }

    /// Hands a frame to its track's own file, where tracks are recorded, and asks for the key frame that this needs.
    fn record_frame(&self, now: Instant, frame: &Frame, takers: &mut Takers<'_>) {
        if frame.rung > 0 {
            return;
        }
        let Some(tape) = &mut takers.tape else { return };
        if takers.stage.frame(frame, tape.recorder.beside()) {
            return;
        }
        let asked = takers.asked_for_key.entry(frame.track).or_insert(now);
        if *asked == now || now - *asked >= KEY_FRAME_AFTER {
            *asked = now;
            if let Some(calls) = self.programs.0.calls.get() {
                calls.request_key_frame(&self.room, frame.track);
            }
        }
    }

    fn begin_recording(
        &self,
        order: Order,
        zero: Instant,
        takers: &mut Takers<'_>,
        config: PackagerConfig,
    ) {
        takers.end_recording();
        let zero_unix_ms = unix_ms(held(&self.state).program.started);
        let tracks = order.tracks;
        let order = Order {
            zero_unix_ms,
            ..order
        };
        let started = Recorder::start(
            order,
            zero,
            self.programs.0.store.clone(),
            self.alive.clone(),
        );
        match started {
            Ok(mut recorder) => {
                takers
                    .stage
                    .begin(Instant::now(), zero_unix_ms, recorder.beside());
                takers.tape = Some(Taping {
                    packager: Packager::new(config),
                    recorder,
                    tracks,
                });
                self.want_sizes(takers);
            }
            Err(error) => {
                error!("no thread for a recording: {error}");
                held(&self.state).program.recording = None;
            }
        }
    }
}

impl Takers<'_> {
    fn go_on_air(&mut self, window: WindowConfig, packager: &Packager) {
        self.go_off_air();
        self.expected = 0;
        self.live.begin(self.room, window);
        let inits = packager.inits();
        // Without initialization sections nothing has come out of the packager yet.
        self.gate = Some(if inits.is_empty() {
            Gate::OpenFrom { sequence: 0 }
        } else {
            Gate::Closed
        });
        for init in inits {
            self.live.push(self.room, &Packaged::Init(init));
        }
    }

    fn go_off_air(&mut self) {
        if self.gate.take().is_some() {
            self.live.push(self.room, &Packaged::End);
            self.live.end(self.room);
        }
    }

    /// The program is told something about the stage.
    fn told(&mut self, now: Instant, input: &Input) {
        let beside = self.tape.as_mut().map(|tape| tape.recorder.beside());
        self.stage.told(now, input, beside);
        if let Input::TrackGone { track } = input {
            self.asked_for_key.remove(track);
            self.wanted.remove(track);
        }
    }

    /// Somebody's words, for the timeline.
    fn said(&mut self, now: Instant, caption: Caption) {
        if let Some(tape) = &mut self.tape {
            self.stage.said(now, caption, tape.recorder.beside());
        }
    }

    /// The size to ask a track for that is drawn at `drawn`: as large as it comes, where its own file is written too.
    fn size_for(&self, drawn: Option<VideoSize>) -> Option<VideoSize> {
        let has_tracks = self.tape.as_ref().is_some_and(|tape| tape.tracks);
        drawn.filter(|_| !has_tracks)
    }

    fn end_recording(&mut self) {
        if let Some(mut tape) = self.tape.take() {
            tape.packager.end();
            tape.hand_out();
        }
    }

    /// Says how many rungs there are to be, while the room is on air, when that is known or changes.
    fn expect(&mut self, rungs: u8) {
        if self.gate.is_some() && self.expected != rungs {
            self.expected = rungs;
            self.live.expect(self.room, rungs);
        }
    }

    /// Shows key frames to whoever makes something of them, while the room is on air.
    fn look(&self, sample: &Sample) {
        if sample.key && sample.kind == MediaKind::Video && self.gate.is_some() {
            self.live.key_frame(self.room, sample);
        }
    }

    /// True when it went on air.
    fn push(&mut self, packaged: &Packaged, has_video: bool) -> bool {
        let passes = self
            .gate
            .as_mut()
            .is_some_and(|gate| gate.passes(packaged, has_video));
        if passes {
            self.live.push(self.room, packaged);
        }
        passes
    }
}

impl Taping {
    fn push(&mut self, sample: &Sample) {
        self.packager.push(sample);
        self.hand_out();
    }

    fn hand_out(&mut self) {
        while let Some(packaged) = self.packager.poll() {
            self.recorder.push(&packaged);
        }
    }
}

impl Gate {
    fn passes(&mut self, packaged: &Packaged, has_video: bool) -> bool {
        let part = match packaged {
            Packaged::Init(_) | Packaged::Left(_) => return true,
            // The end is told when the room goes off air.
            Packaged::End => return false,
            Packaged::Part(part) => part,
        };
        if *self == Gate::Closed {
            let begins = match part.rendition {
                Rendition::Video => part.index == 0 && part.independent,
                Rendition::Audio => part.index == 0 && !has_video,
                // They follow the other one.
                Rendition::Opus | Rendition::Captions => false,
                // They begin with the top one, which comes first.
                Rendition::Lower { .. } => false,
            };
            if begins {
                *self = Gate::OpenFrom {
                    sequence: part.sequence,
                };
            }
        }
        matches!(*self, Gate::OpenFrom { sequence } if part.sequence >= sequence)
    }
}
