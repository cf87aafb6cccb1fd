//! People with microphones and cameras, a network that delays, and a program that takes their frames.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use amphi_media::{
    Bitrate, Codec, Frame, MediaKind, MediaTime, MemberId, Rid, Sample, Source, TrackId, VideoSize,
};
use amphi_studio::composer::{self, Composer, Look, Rung};
use amphi_studio::layout::{CameraFit, Layout};
use amphi_studio::{Config, Counters, Input, Kind, Output, Program, StageTrack, Stereo};
use bytes::Bytes;

use crate::codecs;

#[expect(
    clippy::disallowed_methods,
    reason = "a first instant to count from; tests add to it"
)]
fn start() -> Instant {
    Instant::now()
}

/// What a microphone hears at a time of its own clock, in samples.
pub type Heard = Box<dyn Fn(i64) -> f32>;

pub struct Microphone {
    pub track: TrackId,
    pub member: MemberId,
    pub heard: Heard,
    /// Its clock runs too fast by this.
    pub ppm: f64,
    /// Microseconds from the end of a packet to its arrival, by number of the packet; none: lost.
    pub network: Box<dyn Fn(i64) -> Option<i64>>,
    pub reports: bool,
    pub on: bool,
    sent: i64,
}

pub struct Camera {
    pub track: TrackId,
    pub member: MemberId,
    pub codec: Codec,
    pub source: Source,
    /// Microseconds from capture to arrival.
    pub delay_us: i64,
    pub reports: bool,
    pub on: bool,
    /// Answers requests for key frames.
    pub obeys: bool,
    /// Has a key frame so often by itself, in all layers; 0: never.
    pub key_every_us: i64,
    /// Stands in the SPS.
    pub variant: u8,
    pub rid: Rid,
    pub rtp_us: i64,
    /// The next frame says that something before it was lost.
    pub lost: bool,
    /// The rungs of its lower simulcast layers.
    pub lower: Vec<u8>,
    /// By how much a lower layer arrives sooner than the one above; later where it is negative.
    pub lower_sooner_us: i64,
    /// Those that are not sent at present.
    pub paused: BTreeSet<u8>,
    /// Stands in the SPS of lower layers.
    pub lower_variant: u8,
    /// So many wishes for its lower layers are lost.
    pub wishes_lost: u32,
    /// Frames of lower layers are taken, and those of which a key frame has come.
    taken: bool,
    going: BTreeSet<u8>,
    wants_lower_key: BTreeSet<u8>,
    wants_key: bool,
    sent: i64,
}

/// A tone of this amplitude, at some hundred hertz, is as loud as a voice in the program is to be: it goes through as it is.
pub const VOICE: f32 = 0.13;
/// 20 ms in microseconds: one packet.
pub const PACKET_US: i64 = 20_000;
/// 25 pictures a second.
pub const PICTURE_US: i64 = 40_000;

pub struct World {
    pub start: Instant,
    pub now_us: i64,
    pub program: Program,
    pub composer: Option<Composer>,
    /// Sizes at which tracks are drawn.
    pub wanted: BTreeMap<TrackId, Option<VideoSize>>,
    pub microphones: BTreeMap<TrackId, Microphone>,
    pub cameras: BTreeMap<TrackId, Camera>,
    pub names: BTreeMap<MemberId, String>,
    /// Frames on their way, by arrival.
    on_the_way: BTreeMap<(i64, u64), Frame>,
    order: u64,
    /// The mix, from programme zero on.
    pub sound: Vec<Stereo>,
    /// The same as it came in Opus.
    pub opus: Vec<Stereo>,
    /// (when, sample) of the top rung.
    pub pictures: Vec<(i64, Sample)>,
    pub every_rung: Vec<Sample>,
    pub requests: Vec<(i64, TrackId)>,
    /// Whose lower layers were taken or not any more, and when.
    pub layers: Vec<(i64, TrackId, bool)>,
    pub on_air: Vec<(i64, Option<TrackId>)>,
    pub notes: Vec<Option<String>>,
    pub failed: Option<String>,
}

impl World {
    pub fn new() -> Self {
        Self::with(0, Arc::default())
    }

    /// With the mix in Opus beside AAC.
    pub fn with_opus() -> Self {
        let mut codecs = codecs::pass_through(0, Arc::default());
        codecs.opus = Some(Box::new(codecs::PassPackets));
        Self::of(|start| Program::new(start, Config::default(), codecs))
    }

    pub fn with(encoder_delay: u32, encoder_errors: Arc<AtomicU32>) -> Self {
        let codecs = codecs::pass_through(encoder_delay, encoder_errors);
        Self::of(|start| Program::new(start, Config::default(), codecs))
    }

    /// Pictures of everybody in one of 320 × 180, 25 a second.
    pub fn composed(layout: Layout, done: &Arc<codecs::Done>) -> Self {
        let mut world = Self::new();
        world.composes(look(layout), done);
        world
    }

    /// From now on pictures are composed, by a new composer.
    pub fn composes(&mut self, look: Look, done: &Arc<codecs::Done>) {
        self.composer = Some(Composer::new(codecs::film(done), Box::new(codecs::Blocks)));
        self.input(Input::Kind(Kind::Compose(look)));
        self.input(Input::ComposerReady);
    }

    fn of(program: impl FnOnce(Instant) -> Program) -> Self {
        let start = start();
        Self {
            start,
            now_us: 0,
            program: program(start),
            composer: None,
            wanted: BTreeMap::new(),
            microphones: BTreeMap::new(),
            cameras: BTreeMap::new(),
            names: BTreeMap::new(),
            on_the_way: BTreeMap::new(),
            order: 0,
            sound: Vec::new(),
            opus: Vec::new(),
            pictures: Vec::new(),
            every_rung: Vec::new(),
            requests: Vec::new(),
            layers: Vec::new(),
            on_air: Vec::new(),
            notes: Vec::new(),
            failed: None,
        }
    }

    /// A member with a microphone that hears a tone; its track is `10 × member`.
    pub fn speaks(&mut self, member: u64, tone_hz: f64) -> TrackId {
        self.hears(member, Box::new(move |n| tone(tone_hz, VOICE, n)))
    }

    pub fn hears(&mut self, member: u64, heard: Heard) -> TrackId {
        let track = TrackId(member as u32 * 10);
        let sent = self.now_us / PACKET_US;
        self.microphones.insert(
            track,
            Microphone {
                track,
                member: MemberId(member),
                heard,
                ppm: 0.0,
                network: Box::new(|_| Some(20_000)),
                reports: true,
                on: true,
                sent,
            },
        );
        self.tell(
            track,
            MediaKind::Audio,
            MemberId(member),
            Source::Microphone,
            Some(Codec::Opus),
            false,
        );
        track
    }

    /// A member with a camera; its track is `10 × member + 1`.
    pub fn shows(&mut self, member: u64, codec: Codec) -> TrackId {
        self.shows_source(member, codec, Source::Camera)
    }

    /// A screen's track is `10 × member + 2`.
    pub fn shows_source(&mut self, member: u64, codec: Codec, source: Source) -> TrackId {
        let track = TrackId(member as u32 * 10 + if source == Source::Screen { 2 } else { 1 });
        let camera = Camera {
            track,
            member: MemberId(member),
            codec,
            source,
            delay_us: 60_000,
            reports: true,
            on: true,
            obeys: true,
            key_every_us: 0,
            variant: 1,
            rid: Rid::NONE,
            lower: Vec::new(),
            lower_sooner_us: 10_000,
            paused: BTreeSet::new(),
            lower_variant: 10,
            wishes_lost: 0,
            taken: false,
            going: BTreeSet::new(),
            wants_lower_key: BTreeSet::new(),
            rtp_us: 1_000_000_000 * i64::from(track.0),
            lost: false,
            wants_key: true,
            sent: self.now_us / PICTURE_US,
        };
        self.cameras.insert(track, camera);
        self.tell(
            track,
            MediaKind::Video,
            MemberId(member),
            source,
            None,
            false,
        );
        track
    }

    fn tell(
        &mut self,
        track: TrackId,
        kind: MediaKind,
        member: MemberId,
        source: Source,
        codec: Option<Codec>,
        muted: bool,
    ) {
        let member_name = self
            .names
            .get(&member)
            .cloned()
            .unwrap_or_else(|| format!("M{}", member.0));
        let input = Input::Track(StageTrack {
            track,
            member,
            member_name,
            kind,
            source,
            codec,
            muted,
        });
        self.input(input);
    }

    pub fn mute(&mut self, track: TrackId, muted: bool) {
        if let Some(microphone) = self.microphones.get_mut(&track) {
            microphone.on = !muted;
            let member = microphone.member;
            self.tell(
                track,
                MediaKind::Audio,
                member,
                Source::Microphone,
                Some(Codec::Opus),
                muted,
            );
        } else if let Some(camera) = self.cameras.get_mut(&track) {
            camera.on = !muted;
            camera.wants_key = true;
            let (member, source, codec) = (camera.member, camera.source, camera.codec);
            self.tell(track, MediaKind::Video, member, source, Some(codec), muted);
        }
    }

    pub fn leave(&mut self, track: TrackId) {
        self.microphones.remove(&track);
        self.cameras.remove(&track);
        self.input(Input::TrackGone { track });
    }

    pub fn camera(&mut self, track: TrackId) -> &mut Camera {
        self.cameras
            .get_mut(&track)
            .expect("a camera of this track")
    }

    pub fn microphone(&mut self, track: TrackId) -> &mut Microphone {
        self.microphones
            .get_mut(&track)
            .expect("a microphone of this track")
    }

    pub fn speakers(&mut self, tracks: &[TrackId]) {
        self.input(Input::Speakers(
            tracks.iter().map(|track| (*track, 0.5)).collect(),
        ));
    }

    pub fn counters(&self) -> Counters {
        let mut counters = *self.program.counters();
        if let Some(composer) = &self.composer {
            counters += *composer.counters();
        }
        counters
    }

    pub fn at(&self, us: i64) -> Instant {
        self.start + Duration::from_micros(us as u64)
    }

    pub fn input(&mut self, input: Input) {
        self.program.handle_input(self.at(self.now_us), input);
        while let Some(output) = self.program.poll_output() {
            match output {
                Output::Sample(sample) => self.take(sample),
                Output::NeedKeyFrame { track } => {
                    self.requests.push((self.now_us, track));
                    if let Some(camera) = self.cameras.get_mut(&track).filter(|camera| camera.obeys)
                    {
                        camera.ask_for_key();
                    }
                }
                Output::OnAir { track, member } => {
                    assert_eq!(track.is_some(), member.is_some());
                    self.on_air.push((self.now_us, track));
                }
                Output::Note(note) => self.notes.push(note),
                Output::Wanted { track, size } => {
                    self.wanted.insert(track, size);
                }
                Output::TakeLayers { track, on } => {
                    self.layers.push((self.now_us, track, on));
                    match self.cameras.get_mut(&track) {
                        Some(camera) if camera.wishes_lost > 0 => camera.wishes_lost -= 1,
                        Some(camera) if camera.taken != on => {
                            camera.taken = on;
                            camera.going.clear();
                        }
                        Some(_) | None => {}
                    }
                }
                Output::Compose(input) => self.compose(input),
                Output::Failed { reason } => self.failed = Some(reason),
            }
        }
    }

    fn compose(&mut self, input: composer::Input) {
        let Some(composer) = &mut self.composer else {
            return;
        };
        composer.handle_input(self.now_us, input);
        while let Some(output) = self
            .composer
            .as_mut()
            .and_then(|composer| composer.poll_output())
        {
            self.program
                .handle_input(self.at(self.now_us), Input::Composed(output));
        }
    }

    /// What always holds of samples is checked here, so every test checks it.
    fn take(&mut self, sample: Sample) {
        match sample.kind {
            MediaKind::Audio if sample.rung == Sample::OPUS => {
                assert_eq!(
                    sample.time,
                    MediaTime::new(self.opus.len() as i64, 48_000),
                    "sound has no hole"
                );
                self.opus.extend(codecs::samples(&sample.data));
            }
            MediaKind::Audio => {
                assert_eq!(
                    sample.time,
                    MediaTime::new(self.sound.len() as i64, 48_000),
                    "sound has no hole"
                );
                self.sound.extend(codecs::samples(&sample.data));
            }
            MediaKind::Video => {
                self.every_rung.push(sample.clone());
                if sample.rung > 0 {
                    return;
                }
                assert_eq!(sample.time.rate, 90_000);
                assert!(sample.time.ticks >= 0);
                match self.pictures.last() {
                    Some((_, last)) => {
                        assert!(sample.time.ticks > last.time.ticks, "times increase")
                    }
                    None => assert!(sample.key, "the first picture is a key frame"),
                }
                assert!(sample.key || !sample.cut, "a cut is at a key frame");
                self.pictures.push((self.now_us, sample));
            }
        }
    }

    pub fn run_for(&mut self, ms: i64) {
        self.run_until_us(self.now_us + ms * 1_000);
    }

    fn run_until_us(&mut self, end_us: i64) {
        while self.now_us < end_us {
            let step_end = (self.now_us + 1_000).min(end_us);
            self.capture(step_end);
            loop {
                let timeout = self
                    .program
                    .poll_timeout()
                    .map(|at| (at - self.start).as_micros() as i64);
                let arrival = self.on_the_way.first_key_value().map(|((at, _), _)| *at);
                let tick = self
                    .composer
                    .as_ref()
                    .and_then(|composer| composer.poll_timeout());
                let all = arrival.into_iter().chain(timeout).chain(tick);
                let next = all.min().unwrap_or(i64::MAX);
                if next > step_end {
                    break;
                }
                self.now_us = self.now_us.max(next);
                match arrival {
                    Some(at) if at == next => {
                        let (_, frame) = self.on_the_way.pop_first().expect("it was just there");
                        self.input(Input::Frame(frame));
                    }
                    _ if tick == Some(next) => {
                        self.compose(composer::Input::Timeout);
                        self.input(Input::Timeout);
                    }
                    _ => self.input(Input::Timeout),
                }
            }
            self.now_us = step_end;
        }
    }

    /// What people captured up to `until_us` is put on its way.
    fn capture(&mut self, until_us: i64) {
        let mut made = Vec::new();
        for microphone in self.microphones.values_mut() {
            loop {
                // Packet n ends after (n + 1) × 20 ms of the microphone's own clock.
                let number = microphone.sent;
                let own_us = (number + 1) * PACKET_US;
                let end_us = (own_us as f64 / (1.0 + microphone.ppm * 1e-6)) as i64;
                if end_us > until_us {
                    break;
                }
                microphone.sent += 1;
                let Some(delay) = (microphone.network)(number).filter(|_| microphone.on) else {
                    continue;
                };
                let samples =
                    std::array::from_fn(|index| (microphone.heard)(number * 960 + index as i64));
                let start_us =
                    (number as f64 * PACKET_US as f64 / (1.0 + microphone.ppm * 1e-6)) as i64;
                made.push((
                    end_us + delay,
                    Frame {
                        track: microphone.track,
                        codec: Codec::Opus,
                        rid: Rid::NONE,
                        rung: 0,
                        lower: 0,
                        time: MediaTime::new(77_000_000 + number * 960, 48_000),
                        arrived: self.start,
                        sender_time_us: microphone
                            .reports
                            .then_some(3_900_000_000_000_000 + start_us),
                        key: true,
                        contiguous: true,
                        size: None,
                        data: codecs::packet(&samples),
                    },
                ));
            }
        }
        for camera in self.cameras.values_mut() {
            while camera.sent * PICTURE_US <= until_us {
                let captured_us = camera.sent * PICTURE_US;
                camera.sent += 1;
                if !camera.on {
                    continue;
                }
                if camera.key_every_us > 0 && captured_us % camera.key_every_us == 0 {
                    camera.ask_for_key();
                }
                let key = std::mem::take(&mut camera.wants_key);
                made.push((
                    captured_us + camera.delay_us,
                    Frame {
                        track: camera.track,
                        codec: camera.codec,
                        rid: camera.rid,
                        rung: 0,
                        lower: camera.lower.len() as u8,
                        time: MediaTime::new(captured_us + camera.rtp_us, 1_000_000)
                            .rescale(90_000),
                        arrived: self.start,
                        sender_time_us: camera
                            .reports
                            .then_some(3_900_000_000_000_000 + captured_us),
                        key,
                        contiguous: !std::mem::take(&mut camera.lost),
                        size: None,
                        data: picture(camera.track, captured_us, key, camera.variant),
                    },
                ));
                made.extend(camera.lower_layers(captured_us, self.start));
            }
        }
        for (arrival, frame) in made {
            self.send(arrival, frame);
        }
    }

    pub fn send(&mut self, arrival_us: i64, frame: Frame) {
        self.order += 1;
        let frame = Frame {
            arrived: self.at(arrival_us),
            ..frame
        };
        self.on_the_way.insert((arrival_us, self.order), frame);
    }

    /// The sound between two times of the programme, in milliseconds, left side.
    pub fn sound_ms(&self, from: usize, to: usize) -> Vec<f32> {
        self.sound[from * 48..to * 48]
            .iter()
            .map(|sample| sample[0])
            .collect()
    }

    pub fn track_on_air(&self) -> Option<TrackId> {
        self.on_air.last().and_then(|(_, track)| *track)
    }
}

impl Camera {
    pub fn ask_for_key(&mut self) {
        self.wants_key = true;
        self.wants_lower_key = self.lower.iter().copied().collect();
    }

    /// The same picture in the lower layers, each a little sooner than the one above, since it is smaller: if nothing else is said.
    fn lower_layers(&mut self, captured_us: i64, arrived: Instant) -> Vec<(i64, Frame)> {
        let mut made = Vec::new();
        for rung in self.lower.clone() {
            if self.paused.contains(&rung) {
                self.going.remove(&rung);
                continue;
            }
            let key = self.wants_lower_key.remove(&rung);
            if key && self.taken {
                self.going.insert(rung);
            }
            if !self.going.contains(&rung) {
                continue;
            }
            let rtp_us = self.rtp_us + 7_000_000_000 * i64::from(rung);
            let rid = Rid::new(["f", "h", "q"][usize::from(rung)]);
            made.push((
                captured_us + (self.delay_us - self.lower_sooner_us * i64::from(rung)).max(0),
                Frame {
                    track: self.track,
                    codec: self.codec,
                    rid,
                    rung,
                    lower: 0,
                    time: MediaTime::new(captured_us + rtp_us, 1_000_000).rescale(90_000),
                    arrived,
                    sender_time_us: self.reports.then_some(3_900_000_000_000_000 + captured_us),
                    key,
                    contiguous: true,
                    size: None,
                    data: picture(self.track, captured_us, key, self.lower_variant + rung),
                },
            ));
        }
        made
    }
}

/// 320 × 180, 25 a second.
pub fn look(layout: Layout) -> Look {
    Look {
        title: String::new(),
        logo: None,
        layout,
        fit: CameraFit::Auto,
        frames_per_second: 25,
        rungs: vec![Rung {
            size: VideoSize::new(320, 180),
            bitrate: Bitrate(500_000),
        }],
    }
}

/// A cosine, so that a packet of whole cycles begins and ends at the top: there a click is loudest.
pub fn tone(hz: f64, amplitude: f32, n: i64) -> f32 {
    amplitude * (n as f64 * hz * std::f64::consts::TAU / 48_000.0).cos() as f32
}

/// A coded picture that says where it is from and when it was captured.
pub fn picture(track: TrackId, captured_us: i64, key: bool, variant: u8) -> Bytes {
    let mut data = Vec::new();
    if key {
        data.extend([
            0, 0, 0, 1, 0x67, 0x42, variant, 0x1f, 0, 0, 0, 1, 0x68, 0xce, 0x80,
        ]);
    }
    data.extend([
        0,
        0,
        0,
        1,
        if key { 0x65 } else { 0x41 },
        0x80 | track.0 as u8,
    ]);
    data.extend(format!("{captured_us}").bytes());
    data.into()
}

/// Which track a picture of the program is from, and when it was captured.
pub fn from_and_when(sample: &Sample) -> (TrackId, i64) {
    let slice = amphi_media::h264::nal_units(&sample.data)
        .last()
        .expect("a slice");
    let text = std::str::from_utf8(&slice[2..]).expect("digits");
    (
        TrackId(u32::from(slice[1] & 0x7f)),
        text.parse().expect("a time"),
    )
}

/// Amplitude of a tone in these samples (Goertzel).
pub fn level(samples: &[f32], hz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let angle = n as f64 * hz * std::f64::consts::TAU / 48_000.0;
        re += f64::from(*sample) * angle.cos();
        im += f64::from(*sample) * angle.sin();
    }
    2.0 * (re * re + im * im).sqrt() / samples.len() as f64
}

/// The largest step from one sample to the next: a click stands out.
pub fn steepest(samples: &[f32]) -> f32 {
    samples
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs())
        .fold(0.0, f32::max)
}
