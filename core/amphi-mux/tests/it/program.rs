//! Programs to be packed: samples made from the fixtures, and what comes out.

use amphi_media::{MediaKind, MediaTime, Sample, h264};
use amphi_mux::{Output, Packager, PackagerConfig, Part, Rendition};
use bytes::Bytes;

pub const CAMERA: &[u8] = include_bytes!("../fixtures/camera-320x180.h264");
pub const SCREEN: &[u8] = include_bytes!("../fixtures/screen-640x360.h264");
pub const CABAC: &[u8] = include_bytes!("../fixtures/cabac-160x90.h264");
const TONE: &[u8] = include_bytes!("../fixtures/tone.aac");

/// AAC-LC, 48 kHz, stereo.
pub const SPECIFIC_CONFIG: [u8; 2] = [0x11, 0x90];

/// How much later than the picture the sound of the same moment comes.
const SOUND_DELAY_S: f64 = 0.25;

/// The access units of an Annex B stream.
pub fn pictures(stream: &[u8]) -> Vec<Bytes> {
    let mut units: Vec<Vec<u8>> = Vec::new();
    let mut sliced = true;
    for nal in h264::nal_units(stream) {
        let slice = matches!(h264::nal_type(nal), Some(h264::NAL_SLICE | h264::NAL_IDR));
        // `first_mb_in_slice` 0 is a single 1 bit.
        let first_slice = slice && nal[1] & 0x80 != 0;
        if sliced && (!slice || first_slice) {
            units.push(Vec::new());
            sliced = false;
        }
        sliced |= slice;
        let unit = units.last_mut().expect("the first unit begins a picture");
        unit.extend_from_slice(&[0, 0, 0, 1]);
        unit.extend_from_slice(nal);
    }
    units.into_iter().map(Bytes::from).collect()
}

/// The access units of an ADTS stream, without ADTS.
pub fn sound_units() -> Vec<Bytes> {
    let mut units = Vec::new();
    let mut at = 0;
    while let Some(head) = TONE.get(at..at + 7) {
        let length =
            usize::from(head[3] & 3) << 11 | usize::from(head[4]) << 3 | usize::from(head[5]) >> 5;
        units.push(Bytes::from_static(&TONE[at + 7..at + length]));
        at += length;
    }
    units
}

pub fn video(seconds: f64, data: Bytes) -> Sample {
    let key = h264::nal_units(&data).any(|nal| h264::nal_type(nal) == Some(h264::NAL_IDR));
    let time = MediaTime::new((seconds * 90_000.0).round() as i64, 90_000);
    Sample {
        kind: MediaKind::Video,
        rung: 0,
        time,
        key,
        cut: false,
        data,
    }
}

/// `count` pictures of `stream`, round and round, from `start` on.
pub fn shot(stream: &[u8], start: f64, fps: f64, count: usize) -> Vec<Sample> {
    let pictures = pictures(stream);
    (0..count)
        .map(|index| {
            video(
                start + index as f64 / fps,
                pictures[index % pictures.len()].clone(),
            )
        })
        .collect()
}

pub fn cut(mut shot: Vec<Sample>) -> Vec<Sample> {
    shot[0].cut = true;
    shot
}

/// Sound from `start` until past `end`.
pub fn sound(start: f64, end: f64) -> Vec<Sample> {
    let units = sound_units();
    let first = (start * 48_000.0 / 1024.0).ceil() as i64;
    let last = (end * 48_000.0 / 1024.0).ceil() as i64;
    (first..last)
        .map(|index| Sample {
            kind: MediaKind::Audio,
            rung: 0,
            time: MediaTime::new(index * 1024, 48_000),
            key: true,
            cut: false,
            data: units[usize::try_from(index).expect("no sound before zero") % units.len()]
                .clone(),
        })
        .collect()
}

/// The same in Opus: packets of 20 ms of silence.
pub fn opus(start: f64, end: f64) -> Vec<Sample> {
    let first = (start * 50.0).ceil() as i64;
    let last = (end * 50.0).ceil() as i64;
    (first..last)
        .map(|index| Sample {
            kind: MediaKind::Audio,
            rung: Sample::OPUS,
            // An encoder that is late by 6.5 ms.
            time: MediaTime::new((index * 960 - 312).max(0), 48_000),
            key: true,
            cut: false,
            data: Bytes::from_static(&[0xfc, 0xff, 0xfe]),
        })
        .skip(usize::from(first == 0))
        .collect()
}

/// In the order in which they would come.
pub fn together(parts: &[Vec<Sample>]) -> Vec<Sample> {
    let mut all: Vec<Sample> = parts.iter().flatten().cloned().collect();
    let arrival = |sample: &Sample| {
        let delay = if sample.kind == MediaKind::Audio {
            SOUND_DELAY_S
        } else {
            0.0
        };
        ((sample.time.seconds() + delay) * 1e6) as i64
    };
    all.sort_by_key(arrival);
    all
}

pub fn config() -> PackagerConfig {
    PackagerConfig::new(Bytes::from_static(&SPECIFIC_CONFIG))
}

/// For a program with sound in Opus, if this is one.
pub fn config_of(program: &[Sample]) -> PackagerConfig {
    let is_opus = |sample: &Sample| sample.kind == MediaKind::Audio && sample.rung == Sample::OPUS;
    PackagerConfig {
        opus: program.iter().any(is_opus),
        ..config()
    }
}

/// Packs all of it, to the end.
pub fn pack(samples: &[Sample]) -> Vec<Output> {
    let mut packager = Packager::new(config_of(samples));
    let mut outputs = pack_on(&mut packager, samples);
    packager.end();
    outputs.extend(std::iter::from_fn(|| packager.poll()));
    outputs
}

pub fn pack_on(packager: &mut Packager, samples: &[Sample]) -> Vec<Output> {
    let mut outputs = Vec::new();
    for sample in samples {
        packager.push(sample);
        outputs.extend(std::iter::from_fn(|| packager.poll()));
    }
    outputs
}

pub fn parts(outputs: &[Output], rendition: Rendition) -> Vec<Part> {
    let part = |output: &Output| match output {
        Output::Part(part) if part.rendition == rendition => Some(part.clone()),
        Output::Part(_) | Output::Init(_) | Output::Left(_) | Output::End => None,
    };
    outputs.iter().filter_map(part).collect()
}

/// The whole rendition as one file: each initialization section before its parts.
pub fn file(outputs: &[Output], rendition: Rendition) -> Vec<u8> {
    let mut bytes = Vec::new();
    for output in outputs {
        match output {
            Output::Init(init) if init.rendition == rendition && init.generation == 0 => {
                bytes.extend_from_slice(&init.bytes)
            }
            Output::Part(part) if part.rendition == rendition => {
                bytes.extend_from_slice(&part.bytes)
            }
            Output::Init(_) | Output::Part(_) | Output::Left(_) | Output::End => {}
        }
    }
    bytes
}

pub fn end(part: &Part) -> i64 {
    part.time.ticks + part.duration.ticks
}

/// A call with a camera at 30 frames a second.
pub fn plain(seconds: f64) -> Vec<Sample> {
    together(&[
        shot(CAMERA, 0.0, 30.0, (seconds * 30.0) as usize),
        sound(0.0, seconds),
    ])
}
