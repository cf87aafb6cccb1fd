//! Picture and sound together over two hours in which no two clocks agree: each member has a wall clock, a microphone's and a
//! camera's, none of them right. The model knows when everything was really captured; what comes out of the program carries which
//! picture and which click it is.

use std::collections::BTreeMap;

use amphi_media::{
    Bitrate, Codec, Frame, MediaKind, MediaTime, MemberId, Rid, Sample, Source, TrackId, VideoSize,
    h264,
};
use amphi_studio::canvas::{Canvas, Picture};
use amphi_studio::composer::{self, Composer, Look, Rung};
use amphi_studio::layout::{Area, CameraFit, Guest, Layout, cells};
use amphi_studio::{
    ACCESS_UNIT_FRAMES, AudioDecoder, AudioEncoder, CodecError, Codecs, Coded, Config, Counters,
    Encoded, Input, Kind, Output, Piece, Program, StageTrack, Stereo, VideoCodecs, VideoDecoder,
    VideoEncoder,
};
use bytes::Bytes;

use crate::codecs::Blocks;
use crate::world::{World, from_and_when, picture};

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;

/// One packet of sound, in samples.
const PACKET: i64 = 960;

/// One picture of a camera, in ticks of its clock: 30 a second.
const PICTURE: i64 = 3_000;

/// Lips and voice may be apart by this.
const LIPS_US: i64 = 45_000;

/// What is left of them in the end may be off by this.
const DRIFT_US: i64 = 20_000;

/// A second of sound is stretched or shortened by this at most: the half percent that is not heard as pitch, and a sample or two.
const STRETCH_US: i64 = 6_000;

/// Nothing is said of what was before: reports come, and delays are learned.
const BEGUN_US: i64 = 3 * SECOND_US;

/// How often a network takes another way, and how much longer the longer one takes.
const WAY_US: i64 = 73 * SECOND_US;
const LONGER_US: i64 = 90_000;

/// Who comes on air cannot be shown before what was shown last: if its pictures are later than those of the one before, the first
/// ones go by a little faster, until they are where they belong.
const CAUGHT_UP_US: i64 = 300_000;

/// A click each second of the microphone's own clock lasts one millisecond.
const CLICK_EVERY: i64 = 48_000;
const CLICK: usize = 48;

/// A composed picture tells pictures apart that are less than two seconds from each other.
const CODES: i64 = 64;

const CANVAS: VideoSize = VideoSize {
    width: 256,
    height: 128,
};

/// A clock that is wrong by so many millionths; it shows zero when the world begins.
#[derive(Clone, Copy)]
struct Clock {
    ppm: f64,
}

impl Clock {
    fn shows(self, true_us: i64) -> i64 {
        (true_us as f64 * (1.0 + self.ppm * 1e-6)) as i64
    }

    fn when(self, shown_us: f64) -> i64 {
        (shown_us / (1.0 + self.ppm * 1e-6)) as i64
    }
}

/// Somebody's clocks, in millionths.
#[derive(Clone, Copy)]
struct Skew {
    wall: f64,
    sound: f64,
    picture: f64,
}

/// A microphone or a camera.
struct Device {
    track: TrackId,
    clock: Clock,
    /// Ticks per second of its media clock, and of one packet or picture.
    rate: i64,
    step: i64,
    /// What it made last.
    number: i64,
    /// The newest sender report that has come: the wall clock in microseconds, and the media clock in ticks.
    report: Option<(i64, i64)>,
    /// Everything before it came.
    arrived_us: i64,
    wants_key: bool,
    broken: bool,
}

impl Device {
    /// When something was captured, in true microseconds.
    fn captured_us(&self, number: i64) -> i64 {
        let ticks = (number * self.step) as f64;
        self.clock.when(ticks * 1e6 / self.rate as f64)
    }

    /// What its newest report makes of this media time (RFC 3550 §6.4.1).
    fn sender_us(&self, ticks: i64) -> Option<i64> {
        let (wall_us, at) = self.report?;
        Some(wall_us + (ticks - at) * 1_000_000 / self.rate)
    }
}

struct Person {
    wall: Clock,
    sound: Device,
    picture: Device,
    muted: bool,
    /// How long the network takes at least, and the camera to code a picture.
    network_us: i64,
    coding_us: i64,
}

enum Event {
    /// Somebody's packet of sound is whole, or picture captured.
    Sound(usize),
    Picture(usize),
    /// A sender report goes out of this one's device.
    Report(usize, MediaKind),
    ReportArrives(usize, MediaKind, (i64, i64)),
    FrameArrives(Box<Frame>),
    KeyAsked(TrackId),
    /// The next one speaks.
    Turn,
    /// The second one's network takes another way.
    Way,
}

/// Where one thing came to be in the program.
#[derive(Clone, Copy, Debug)]
struct Placed {
    captured_us: i64,
    place_us: i64,
}

impl Placed {
    fn delay_us(self) -> i64 {
        self.place_us - self.captured_us
    }
}

struct House {
    start: std::time::Instant,
    now_us: i64,
    program: Program,
    composer: Option<Composer>,
    people: Vec<Person>,
    events: BTreeMap<(i64, u64), Event>,
    order: u64,
    random: u64,
    turn: usize,
    lost: u64,
    /// By person.
    clicks: [Vec<Placed>; 2],
    pictures: [Vec<Placed>; 2],
    codes: [Option<u8>; 2],
    cuts_us: Vec<i64>,
}

impl House {
    fn new(seed: u64, skews: [Skew; 2], look: Option<Look>) -> Self {
        let start = World::new().start;
        let mut house = Self {
            start,
            now_us: 0,
            program: Program::new(start, Config::default(), sound_codecs()),
            composer: None,
            people: Vec::new(),
            events: BTreeMap::new(),
            order: 0,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            turn: 0,
            lost: 0,
            clicks: [const { Vec::new() }; 2],
            pictures: [const { Vec::new() }; 2],
            codes: [None; 2],
            cuts_us: Vec::new(),
        };
        if let Some(look) = look {
            let composer = Composer::new(picture_codecs(), Box::new(Blocks));
            house.composer = Some(composer);
            house.input(Input::Kind(Kind::Compose(look)));
            house.input(Input::ComposerReady);
        }
        for (index, skew) in skews.into_iter().enumerate() {
            let device = |track, ppm, rate, step| Device {
                track: TrackId(track),
                clock: Clock { ppm },
                rate,
                step,
                number: 0,
                report: None,
                arrived_us: 0,
                wants_key: true,
                broken: false,
            };
            let track = (index as u32 + 1) * 10;
            let person = Person {
                wall: Clock { ppm: skew.wall },
                sound: device(track, skew.sound, 48_000, PACKET),
                picture: device(track + 1, skew.picture, 90_000, PICTURE),
                muted: false,
                network_us: 10_000 + house.below(50_000),
                coding_us: [20_000, 80_000][index],
            };
            house.people.push(person);
            house.tell(index, MediaKind::Audio);
            house.tell(index, MediaKind::Video);
            house.at(0, Event::Sound(index));
            house.at(0, Event::Picture(index));
            house.at(SECOND_US, Event::Report(index, MediaKind::Audio));
            house.at(SECOND_US, Event::Report(index, MediaKind::Video));
        }
        house.at(0, Event::Turn);
        house.at(WAY_US, Event::Way);
        house
    }

    fn below(&mut self, end: i64) -> i64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random % end as u64) as i64
    }

    fn at(&mut self, us: i64, event: Event) {
        self.order += 1;
        self.events.insert((us, self.order), event);
    }

    fn tell(&mut self, index: usize, kind: MediaKind) {
        let person = &self.people[index];
        let sound = kind == MediaKind::Audio;
        let track = StageTrack {
            track: if sound {
                &person.sound
            } else {
                &person.picture
            }
            .track,
            member: MemberId(index as u64 + 1),
            member_name: String::new(),
            kind,
            source: if sound {
                Source::Microphone
            } else {
                Source::Camera
            },
            codec: Some(if sound { Codec::Opus } else { Codec::H264 }),
            muted: sound && person.muted,
        };
        self.input(Input::Track(track));
    }

    fn run_until(&mut self, end_us: i64) {
        loop {
            let due = self.program.poll_timeout();
            let due_us = due.map(|at| (at - self.start).as_micros() as i64);
            let tick_us = self.composer.as_ref().and_then(Composer::poll_timeout);
            let event_us = self.events.first_key_value().map(|((at, _), _)| *at);
            let all = event_us.into_iter().chain(due_us).chain(tick_us);
            let next_us = all.min().expect("people go on");
            if next_us > end_us {
                return;
            }
            self.now_us = self.now_us.max(next_us);
            if event_us == Some(next_us) {
                let (_, event) = self.events.pop_first().expect("it was just there");
                self.happen(event);
            } else if tick_us == Some(next_us) {
                self.compose(composer::Input::Timeout);
            } else {
                self.input(Input::Timeout);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Sound(index) => self.send_sound(index),
            Event::Picture(index) => self.send_picture(index),
            Event::Report(index, kind) => self.send_report(index, kind),
            Event::ReportArrives(index, kind, report) => {
                self.device(index, kind).report = Some(report);
            }
            Event::FrameArrives(frame) => self.input(Input::Frame(*frame)),
            Event::KeyAsked(track) => {
                let index = track.0 as usize / 10 - 1;
                self.people[index].picture.wants_key = true;
            }
            Event::Turn => self.take_turns(),
            Event::Way => self.take_another_way(),
        }
    }

    fn device(&mut self, index: usize, kind: MediaKind) -> &mut Device {
        let person = &mut self.people[index];
        match kind {
            MediaKind::Audio => &mut person.sound,
            MediaKind::Video => &mut person.picture,
        }
    }

    /// The first one speaks for most of a minute, the other for the rest of it, and is muted until the next time; so is the first one
    /// meanwhile, where pictures are composed.
    fn take_turns(&mut self) {
        let speaks = self.turn % 2;
        self.turn += 1;
        for index in 0..2 {
            let may_be_muted = index > 0 || self.composer.is_some();
            let muted = may_be_muted && index != speaks;
            if self.people[index].muted != muted {
                self.people[index].muted = muted;
                self.tell(index, MediaKind::Audio);
            }
        }
        let track = self.people[speaks].sound.track;
        self.input(Input::Speakers(vec![(track, 0.5)]));
        let lasts_us = if speaks == 0 { 45 } else { 15 } * SECOND_US;
        self.at(self.now_us + lasts_us, Event::Turn);
    }

    /// A longer one, or the shorter one again. Where pictures are composed such late ones are not waited for.
    fn take_another_way(&mut self) {
        if self.composer.is_none() {
            let network_us = &mut self.people[1].network_us;
            *network_us += if *network_us < LONGER_US { 1 } else { -1 } * LONGER_US;
            self.at(self.now_us + WAY_US, Event::Way);
        }
    }

    /// Through the network: mostly quick, sometimes not.
    fn travel_us(&mut self, index: usize) -> i64 {
        let waits_us = match self.below(20) {
            0 => 30_000,
            _ => 8_000,
        };
        self.people[index].network_us + self.below(waits_us)
    }

    fn send_sound(&mut self, index: usize) {
        let travel_us = self.travel_us(index);
        let handed_us = self.now_us + self.below(4_000);
        let is_lost = self.below(200) == 0;
        let device = &mut self.people[index].sound;
        let number = device.number;
        device.number += 1;
        let next_us = device.captured_us(number + 2);
        let ticks = number * PACKET;
        let has_click = ticks % CLICK_EVERY == 0;
        let frame = Frame {
            track: device.track,
            codec: Codec::Opus,
            rid: Rid::NONE,
            rung: 0,
            lower: 0,
            time: MediaTime::new(77_000_000 + ticks, 48_000),
            arrived: self.start,
            sender_time_us: None,
            key: true,
            contiguous: true,
            size: None,
            data: sound_packet(has_click.then_some(index as u8)),
        };
        // A packet can be handed over when its last sample is there.
        self.at(next_us, Event::Sound(index));
        if number == 0 {
            // That was to begin with: nothing is there yet.
            return;
        }
        if is_lost {
            self.lost += u64::from(!self.people[index].muted);
            return;
        }
        self.at(handed_us + travel_us, Event::FrameArrives(Box::new(frame)));
    }

    fn send_picture(&mut self, index: usize) {
        let travel_us = self.travel_us(index);
        let coding_us = self.people[index].coding_us + self.below(10_000);
        let is_lost = self.below(600) == 0;
        let now_us = self.now_us;
        let device = &mut self.people[index].picture;
        let number = device.number;
        device.number += 1;
        let next_us = device.captured_us(number + 1);
        // Pictures are put in order before they come to the program.
        device.arrived_us = device.arrived_us.max(now_us + coding_us + travel_us);
        let arrives_us = device.arrived_us;
        let key = std::mem::take(&mut device.wants_key);
        let frame = Frame {
            track: device.track,
            codec: Codec::H264,
            rid: Rid::NONE,
            rung: 0,
            lower: 0,
            time: MediaTime::new(5_000_000 + number * PICTURE, 90_000),
            arrived: self.start,
            sender_time_us: None,
            key,
            contiguous: key || !device.broken,
            size: None,
            data: picture(device.track, number, key, 1),
        };
        device.broken = is_lost;
        self.at(next_us, Event::Picture(index));
        if !is_lost {
            self.at(arrives_us, Event::FrameArrives(Box::new(frame)));
        }
    }

    /// As browsers make them: the wall clock's time, and the newest packet's media time with as much added as went by since, on the
    /// wall clock in whole milliseconds.
    fn send_report(&mut self, index: usize, kind: MediaKind) {
        let travel_us = self.travel_us(index);
        let usual_us = match kind {
            MediaKind::Audio => 5 * SECOND_US,
            MediaKind::Video => SECOND_US,
        };
        let next_us = self.now_us + usual_us / 2 + self.below(usual_us);
        // Sound comes out of a sound card in heaps, pictures one by one.
        let noise_us = match kind {
            MediaKind::Audio => self.below(4_000),
            MediaKind::Video => 0,
        };
        let (now_us, wall) = (self.now_us, self.people[index].wall);
        let device = self.device(index, kind);
        let newest = device.number - 1;
        let since_us = wall.shows(now_us) - wall.shows(device.captured_us(newest) + noise_us);
        let ticks = newest * device.step + since_us / 1_000 * device.rate / 1_000;
        let report = (3_900_000_000_000_000 + wall.shows(now_us), ticks);
        self.at(next_us, Event::Report(index, kind));
        self.at(
            now_us + travel_us,
            Event::ReportArrives(index, kind, report),
        );
    }

    fn input(&mut self, mut input: Input) {
        if let Input::Frame(frame) = &mut input {
            let (index, kind) = (frame.track.0 as usize / 10 - 1, frame.codec.kind());
            if kind == MediaKind::Audio && self.people[index].muted {
                return;
            }
            let base = match kind {
                MediaKind::Audio => 77_000_000,
                MediaKind::Video => 5_000_000,
            };
            frame.sender_time_us = self.device(index, kind).sender_us(frame.time.ticks - base);
            frame.arrived = self.start + std::time::Duration::from_micros(self.now_us as u64);
        }
        let now = self.start + std::time::Duration::from_micros(self.now_us as u64);
        self.program.handle_input(now, input);
        while let Some(output) = self.program.poll_output() {
            match output {
                Output::Sample(sample) => self.take(&sample),
                Output::NeedKeyFrame { track } => {
                    let travel_us = self.travel_us(track.0 as usize / 10 - 1);
                    self.at(self.now_us + travel_us, Event::KeyAsked(track));
                }
                Output::Compose(input) => self.compose(input),
                Output::Failed { reason } => panic!("{reason}"),
                Output::OnAir { .. }
                | Output::Note(_)
                | Output::Wanted { .. }
                | Output::TakeLayers { .. } => {}
            }
        }
    }

    fn compose(&mut self, input: composer::Input) {
        let Some(mut composer) = self.composer.take() else {
            return;
        };
        composer.handle_input(self.now_us, input);
        let made: Vec<_> = std::iter::from_fn(|| composer.poll_output()).collect();
        self.composer = Some(composer);
        for output in made {
            self.input(Input::Composed(output));
        }
    }

    fn take(&mut self, sample: &Sample) {
        match (sample.kind, self.composer.is_some()) {
            (MediaKind::Audio, _) => self.hear(sample),
            (MediaKind::Video, true) => self.see_composed(sample),
            (MediaKind::Video, false) => {
                let (track, number) = from_and_when(sample);
                if sample.cut {
                    self.cuts_us.push(sample.time.micros());
                }
                self.see(track.0 as usize / 10 - 1, number, sample.time.micros());
            }
        }
    }

    fn see(&mut self, index: usize, number: i64, place_us: i64) {
        let captured_us = self.people[index].picture.captured_us(number);
        self.pictures[index].push(Placed {
            captured_us,
            place_us,
        });
    }

    fn see_composed(&mut self, sample: &Sample) {
        let place_us = sample.time.micros();
        for (index, code) in sample.data.iter().copied().enumerate() {
            let is_picture = code >= CODE_FIRST && i64::from(code - CODE_FIRST) < CODES;
            if self.codes[index].replace(code) == Some(code) || !is_picture {
                continue;
            }
            // The one with this code that was captured about when it should have been.
            let device = &self.people[index].picture;
            let about = device.clock.shows(place_us - 80_000) * 30 / SECOND_US;
            let away = (i64::from(code - CODE_FIRST) - about).rem_euclid(CODES);
            let number = about + away - if away > CODES / 2 { CODES } else { 0 };
            self.see(index, number, place_us);
        }
    }

    fn hear(&mut self, sample: &Sample) {
        for click in sample.data.chunks_exact(3) {
            let index = usize::from(click[0]);
            let at = i64::from(u16::from_be_bytes([click[1], click[2]]));
            let place_us = (sample.time.ticks + at) * 1_000 / 48;
            // Less than half a second after it was captured.
            let clock = self.people[index].sound.clock;
            let second = clock.shows(place_us) / SECOND_US;
            self.clicks[index].push(Placed {
                captured_us: clock.when((second * SECOND_US) as f64),
                place_us,
            });
        }
    }

    fn counters(&self) -> Counters {
        let mut counters = *self.program.counters();
        if let Some(composer) = &self.composer {
            counters += *composer.counters();
        }
        counters
    }

    /// By how much this one's pictures were shown after what was heard when they were captured; the time of each.
    fn apart_us(&self, index: usize) -> Vec<(i64, i64)> {
        let mut clicks = self.clicks[index].iter().copied().peekable();
        let mut last: Option<Placed> = None;
        let mut found = Vec::new();
        let mut cuts = self.cuts_us.iter().copied().peekable();
        let mut cut_us = 0;
        for seen in &self.pictures[index] {
            while let Some(cut) = cuts.next_if(|cut| *cut <= seen.place_us) {
                cut_us = cut;
            }
            if seen.place_us < BEGUN_US || seen.place_us - cut_us < CAUGHT_UP_US {
                continue;
            }
            while let Some(click) = clicks.next_if(|click| click.captured_us <= seen.captured_us) {
                last = Some(click);
            }
            // Sound goes on between two clicks that were both heard.
            let near = |click: &Placed| (click.captured_us - seen.captured_us).abs() < SECOND_US;
            let (Some(before), Some(after)) =
                (last.filter(near), clicks.peek().filter(|c| near(c)))
            else {
                continue;
            };
            let share = (seen.captured_us - before.captured_us) as f64
                / (after.captured_us - before.captured_us) as f64;
            let sound_us =
                before.delay_us() as f64 + share * (after.delay_us() - before.delay_us()) as f64;
            found.push((seen.place_us, seen.delay_us() - sound_us as i64));
        }
        found
    }
}

fn sound_codecs() -> Codecs {
    Codecs {
        encoder: Box::<ClickFinder>::default(),
        opus: None,
        decoders: Box::new(|_| Ok(Box::new(ClickDecoder))),
    }
}

/// 20 ms of CELT, one frame (RFC 6716 §3.1): of silence, or with somebody's click at its beginning.
fn sound_packet(click: Option<u8>) -> Bytes {
    match click {
        None => Bytes::from_static(&[0xfc, 0, 0]),
        Some(index) => vec![0xfc, 1, index].into(),
    }
}

struct ClickDecoder;

impl AudioDecoder for ClickDecoder {
    fn decode(
        &mut self,
        piece: Piece<'_>,
        frames: usize,
        into: &mut Vec<Stereo>,
    ) -> Result<(), CodecError> {
        into.resize(frames, [0.0; 2]);
        if let Piece::Packet([_, 1, index]) = piece {
            // The first one's click is up, the other's down, so that they are told apart where they meet.
            let sample = if *index == 0 { 0.5 } else { -0.5 };
            into[..CLICK].fill([sample; 2]);
        }
        Ok(())
    }
}

/// Makes access units that say where clicks begin in them: whose, and after how many samples.
#[derive(Default)]
struct ClickFinder {
    /// Blocks until a click may begin again, by whose.
    deaf: [u8; 2],
}

impl AudioEncoder for ClickFinder {
    fn encode(&mut self, pcm: &[Stereo; ACCESS_UNIT_FRAMES]) -> Result<Bytes, CodecError> {
        let mut found = Vec::new();
        for (index, deaf) in self.deaf.iter_mut().enumerate() {
            *deaf = deaf.saturating_sub(1);
            let sign = if index == 0 { 1.0 } else { -1.0 };
            let at = match *deaf {
                0 => pcm.iter().position(|[left, _]| left * sign > 0.2),
                _ => None,
            };
            if let Some(at) = at {
                *deaf = 20;
                found.push(index as u8);
                found.extend((at as u16).to_be_bytes());
            }
        }
        Ok(found.into())
    }

    fn delay(&self) -> u32 {
        0
    }

    fn reset(&mut self) {}
}

/// Brightness of the picture with code 0.
const CODE_FIRST: u8 = 100;

/// The cells of the first two.
fn cells_of_two() -> [Area; 2] {
    let guest = Guest {
        source: Source::Camera,
        size: Some(VideoSize::new(16, 9)),
    };
    let mut cells = cells(Layout::Grid, CANVAS, &[guest; 2], None);
    cells.sort_by_key(|cell| cell.guest);
    [cells[0].area, cells[1].area]
}

/// Pictures are as bright as their number says, and as large as their cells; a composed one is told by the middles of its cells.
fn picture_codecs() -> VideoCodecs {
    let areas = cells_of_two();
    let middles = areas.map(|area| {
        let (x, y) = (area.x + area.width / 2, area.y + area.height / 2);
        (y * CANVAS.width + x) as usize
    });
    VideoCodecs {
        encoders: Box::new(move |_| Ok(Box::new(CodeEncoder { middles }))),
        decoders: Box::new(move |_| {
            let size = areas[0].size();
            let pixels = size.pixels() as usize;
            Ok(Box::new(CodeDecoder {
                size,
                luma: vec![0; pixels],
                chroma: vec![128; pixels / 4],
            }))
        }),
    }
}

struct CodeDecoder {
    size: VideoSize,
    luma: Vec<u8>,
    chroma: Vec<u8>,
}

impl VideoDecoder for CodeDecoder {
    fn decode(
        &mut self,
        data: &[u8],
        show: &mut dyn FnMut(&Picture<'_>),
    ) -> Result<(), CodecError> {
        let slice = h264::nal_units(data).last().expect("a slice");
        let number = std::str::from_utf8(&slice[2..]).expect("digits");
        let number: i64 = number.parse().expect("a number");
        self.luma.fill(CODE_FIRST + (number % CODES) as u8);
        let planes = [&self.luma[..], &self.chroma, &self.chroma];
        let wide = self.size.width as usize;
        let picture = Picture::new(self.size, planes, [wide, wide / 2, wide / 2]);
        show(&picture.expect("whole planes"));
        Ok(())
    }
}

struct CodeEncoder {
    middles: [usize; 2],
}

impl VideoEncoder for CodeEncoder {
    fn encode(
        &mut self,
        picture: &Canvas,
        time: MediaTime,
        key: bool,
    ) -> Result<Encoded, CodecError> {
        let [luma, ..] = picture.planes();
        let data = self.middles.iter().map(|middle| luma[*middle]).collect();
        Ok(Encoded::Now(Coded { time, key, data }))
    }

    fn poll(&mut self) -> Result<Option<Coded>, CodecError> {
        Ok(None)
    }
}

/// Cuts, or composes so many pictures a second, and checks what holds at all times.
#[track_caller]
fn check(seed: u64, frames_per_second: Option<u32>, minutes: i64) -> House {
    let look = frames_per_second.map(|frames_per_second| Look {
        title: String::new(),
        logo: None,
        layout: Layout::Grid,
        fit: CameraFit::Auto,
        frames_per_second,
        rungs: vec![Rung {
            size: CANVAS,
            bitrate: Bitrate(500_000),
        }],
    });
    let skews = [
        Skew {
            wall: -100.0,
            sound: 200.0,
            picture: -200.0,
        },
        Skew {
            wall: 200.0,
            sound: -200.0,
            picture: 200.0,
        },
    ];
    let mut house = House::new(seed, skews, look);
    house.run_until(minutes * MINUTE_US);
    for index in 0..2 {
        let of = format!("seed {seed}, {frames_per_second:?} pictures, person {index}");
        // The second one speaks for a quarter of the time.
        let apart = house.apart_us(index);
        let least = minutes as usize * [400, 100][index];
        assert!(apart.len() > least, "{of}: {} compared", apart.len());
        for (place_us, apart_us) in apart {
            assert!(
                apart_us.abs() <= LIPS_US,
                "{of}: {apart_us} µs apart at {place_us}"
            );
        }
        // From one click to the next sound is neither stretched nor shortened so much that its pitch is heard to change.
        for pair in house.clicks[index].windows(2) {
            let is_next = pair[1].captured_us - pair[0].captured_us < SECOND_US * 11 / 10;
            let moved_us = pair[1].delay_us() - pair[0].delay_us();
            assert!(
                !is_next || pair[0].place_us < BEGUN_US || moved_us.abs() <= STRETCH_US,
                "{of}: {moved_us} µs from one click to the next at {}",
                pair[1].place_us
            );
        }
    }
    let counters = house.counters();
    let none = [
        counters.packets_late,
        counters.packets_overflow,
        counters.resyncs,
        counters.pictures_late,
        counters.pictures_overflow,
        counters.ticks_left_out,
    ];
    assert_eq!(none, [0; 6], "seed {seed}: {counters:?}");
    // Made up is what was lost, and the end of what is said before somebody is muted.
    let most = house.lost + house.turn as u64;
    assert!(counters.concealed <= most, "seed {seed}: {counters:?}");
    house
}

/// After two hours picture and sound are where they were in the beginning.
#[track_caller]
fn is_where_it_was(house: &House) {
    let end_us = house.now_us;
    for index in 0..2 {
        let apart = house.apart_us(index);
        // Over some minutes, in which pictures of one rate come before and after those of the other alike.
        let mean_us = |from_us: i64| {
            let within = from_us..from_us + 5 * MINUTE_US;
            let all = apart.iter().filter(|(at_us, _)| within.contains(at_us));
            let all: Vec<i64> = all.map(|(_, apart_us)| *apart_us).collect();
            assert!(all.len() > 500, "{} compared", all.len());
            all.iter().sum::<i64>() / all.len() as i64
        };
        let (first, last) = (mean_us(0), mean_us(end_us - 5 * MINUTE_US));
        let drift_us = last - first;
        assert!(
            drift_us.abs() < DRIFT_US,
            "person {index}: {first} µs in the beginning, {last} µs in the end"
        );
    }
}

#[test]
fn in_two_hours_of_wrong_clocks_lips_stay_with_the_voice_where_pictures_are_cut() {
    let house = check(1, None, 120);
    assert!(house.cuts_us.len() > 200, "{} cuts", house.cuts_us.len());
    is_where_it_was(&house);
    // Of the one who is never muted, whose way through the network is the same all the time.
    let late = house.clicks[0].iter().map(|click| click.delay_us());
    let (least, most) = (late.clone().min(), late.max());
    let moved_us = most.zip(least).map(|(most, least)| most - least);
    assert!(moved_us < Some(DRIFT_US), "{least:?} to {most:?}");
}

#[test]
fn in_two_hours_of_wrong_clocks_lips_stay_with_the_voice_where_pictures_are_composed() {
    // The lowest rate that there is: pictures are furthest from their own times there.
    is_where_it_was(&check(2, Some(15), 120));
}

#[test]
fn wrong_clocks_leave_lips_with_the_voice_at_every_rate_of_pictures() {
    for seed in [3, 4] {
        for frames_per_second in [None, Some(15), Some(25), Some(30)] {
            check(seed, frames_per_second, 4);
        }
    }
}
