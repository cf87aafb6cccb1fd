//! What a listener gets: the program's sound after the real codecs, decoded and measured by others.

use std::f64::consts::TAU;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use amphi_media::{Codec, Frame, MediaKind, MediaTime, MemberId, Rid, Source, TrackId};
use amphi_studio::{
    ACCESS_UNIT_FRAMES, AudioEncoder, Config, Input, Output, Program, StageTrack, Stereo,
};
use bytes::Bytes;
use ebur128::{EbuR128, Mode};
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

use super::aac::AacEncoder;
use super::{Opus, program_codecs};

/// How much worse than ffmpeg's own encoder ours may be at the same bit rate, in dB of noise to mask.
const WORSE_MAX_DB: f64 = 1.5;

/// Somebody who speaks: a voice with formants that move from syllable to syllable, hisses between them, and pauses.
struct Person {
    hz: f64,
    loudness: f64,
    seed: u64,
}

impl Person {
    fn says(&self, seconds: usize) -> Vec<f32> {
        let mut noise = self.seed;
        let mut random = move || {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            (noise >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0
        };
        let vowels = [
            [730.0, 1_090.0],
            [270.0, 2_290.0],
            [300.0, 870.0],
            [530.0, 1_840.0],
        ];
        let (mut phase, mut hiss_before) = (0.0, 0.0);
        let sound: Vec<f32> = (0..seconds * 48_000)
            .map(|n| {
                let t = n as f64 / 48_000.0;
                let syllable = t * 4.3 + self.hz / 100.0;
                let within = syllable.fract();
                let spoken = (syllable as usize) % 9 < 7;
                let [first, second] = vowels[(syllable as usize * 7 + self.seed as usize) % 4];
                phase += TAU * self.hz * (1.0 + 0.12 * (t * 2.1).sin()) / 48_000.0;
                let mut value = 0.0;
                if spoken && within < 0.75 {
                    let envelope = (within / 0.75 * TAU / 2.0).sin().powi(2);
                    for harmonic in 1..=24 {
                        let at = self.hz * f64::from(harmonic);
                        let formant = |centre: f64| 1.0 / (1.0 + ((at - centre) / 120.0).powi(2));
                        let strength =
                            0.05 / f64::from(harmonic) + formant(first) + 0.5 * formant(second);
                        value += envelope * strength * (phase * f64::from(harmonic)).sin();
                    }
                }
                let white = random();
                let hiss = white - hiss_before;
                hiss_before = white;
                if spoken && within > 0.78 {
                    value += 0.25 * ((within - 0.78) / 0.22 * TAU / 2.0).sin() * hiss;
                }
                (value + 0.0005 * white) as f32
            })
            .collect();
        let factor = 10f64.powf((self.loudness - integrated(&both_sides(&sound))) / 20.0) as f32;
        sound
            .iter()
            .map(|value| (value * factor).clamp(-1.0, 1.0))
            .collect()
    }
}

const PEOPLE: [Person; 3] = [
    Person {
        hz: 118.0,
        loudness: -36.0,
        seed: 3,
    },
    Person {
        hz: 205.0,
        loudness: -12.0,
        seed: 8,
    },
    Person {
        hz: 155.0,
        loudness: -24.0,
        seed: 21,
    },
];

fn both_sides(mono: &[f32]) -> Vec<Stereo> {
    mono.iter().map(|value| [*value; 2]).collect()
}

fn meter(sound: &[Stereo], mode: Mode) -> EbuR128 {
    let mut meter = EbuR128::new(2, 48_000, mode).expect("stereo at 48 kHz");
    meter
        .add_frames_f32(sound.as_flattened())
        .expect("whole frames");
    meter
}

fn integrated(sound: &[Stereo]) -> f64 {
    meter(sound, Mode::I)
        .loudness_global()
        .expect("it measures I")
}

fn true_peak_db(sound: &[Stereo]) -> f64 {
    let meter = meter(sound, Mode::TRUE_PEAK);
    let sides = [0, 1].map(|side| meter.true_peak(side).expect("a side"));
    20.0 * sides[0].max(sides[1]).log10()
}

/// The access units of a program in which these people speak, each over Opus as a browser sends it.
fn program(people: &[Vec<f32>]) -> Vec<Bytes> {
    let start = Instant::now();
    let (codecs, _) = program_codecs(Opus::None).expect("bundled codecs");
    let mut program = Program::new(start, Config::default(), codecs);
    let mut encoders = Vec::new();
    for (number, _) in people.iter().enumerate() {
        let encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip);
        encoders.push(encoder.expect("libopus has this"));
        program.handle_input(
            start,
            Input::Track(StageTrack {
                track: TrackId(number as u32),
                member: MemberId(number as u64),
                member_name: String::new(),
                kind: MediaKind::Audio,
                source: Source::Microphone,
                codec: Some(Codec::Opus),
                muted: false,
            }),
        );
    }
    let mut units = Vec::new();
    for packet in 0..people[0].len() / 960 {
        let now = start + Duration::from_millis(20 * (packet as u64 + 1));
        for (number, (pcm, encoder)) in people.iter().zip(&mut encoders).enumerate() {
            let pcm = &pcm[packet * 960..(packet + 1) * 960];
            let data = encoder.encode_vec_float(pcm, 1_500).expect("a packet");
            program.handle_input(
                now,
                Input::Frame(Frame {
                    track: TrackId(number as u32),
                    codec: Codec::Opus,
                    rid: Rid::NONE,
                    rung: 0,
                    lower: 0,
                    time: MediaTime::new(packet as i64 * 960, 48_000),
                    arrived: now,
                    sender_time_us: None,
                    key: true,
                    contiguous: true,
                    size: None,
                    data: data.into(),
                }),
            );
        }
        while let Some(output) = program.poll_output() {
            if let Output::Sample(sample) = output {
                units.push(sample.data);
            }
        }
    }
    units
}

/// Access units with ADTS headers without CRC (ISO/IEC 13818-7 §6.2): AAC-LC, 48 kHz, two channels.
fn adts(units: &[Bytes]) -> Vec<u8> {
    let mut stream = Vec::new();
    for unit in units {
        let length = unit.len() + 7;
        stream.extend([
            0xff,
            0xf1,
            0x4c,
            0x80 | (length >> 11) as u8,
            (length >> 3) as u8,
            ((length & 7) << 5) as u8 | 0x1f,
            0xfc,
        ]);
        stream.extend_from_slice(unit);
    }
    stream
}

fn ffmpeg(arguments: &str, input: Vec<u8>) -> Vec<u8> {
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(arguments.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the tests need ffmpeg: see ./test");
    let mut pipe = ffmpeg.stdin.take().expect("it was asked for");
    let writer = std::thread::spawn(move || pipe.write_all(&input));
    let output = ffmpeg.wait_with_output().expect("ffmpeg ends");
    writer.join().expect("no panic").expect("ffmpeg reads all");
    assert!(output.status.success());
    output.stdout
}

fn decoded(adts: Vec<u8>) -> Vec<Stereo> {
    let pcm = ffmpeg("-f aac -i pipe:0 -f f32le -ac 2 pipe:1", adts);
    let value = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("four bytes"));
    let pairs = pcm.chunks_exact(8);
    pairs
        .map(|pair| [value(&pair[..4]), value(&pair[4..])])
        .collect()
}

#[test]
fn a_decoded_program_is_at_the_target_and_below_the_true_peak() {
    let people = PEOPLE.map(|person| person.says(14));
    let sound = decoded(adts(&program(&people)));
    let mut meter = EbuR128::new(2, 48_000, Mode::S).expect("stereo at 48 kHz");
    for (second, piece) in sound.chunks_exact(48_000).enumerate() {
        meter
            .add_frames_f32(piece.as_flattened())
            .expect("whole frames");
        if second >= 5 {
            let short_term = meter.loudness_shortterm().expect("it measures S");
            assert!(
                (short_term + 18.0).abs() < 3.0,
                "{short_term} LUFS in second {second}"
            );
        }
    }
    let peak = true_peak_db(&sound);
    assert!(peak < -1.0, "{peak} dBTP");
}

#[test]
fn what_is_limited_stays_below_the_true_peak_after_aac() {
    // Shouts after whispers, so that the limiter works hard at the beginning of each.
    let whisper = Person {
        hz: 130.0,
        loudness: -36.0,
        seed: 5,
    }
    .says(2);
    let shout = Person {
        hz: 310.0,
        loudness: -2.0,
        seed: 9,
    }
    .says(2);
    let person: Vec<f32> = [whisper, shout].concat().repeat(4);
    let sound = decoded(adts(&program(&[person])));
    let peak = true_peak_db(&sound);
    assert!((-4.0..-1.0).contains(&peak), "{peak} dBTP");
}

/// Frames of this many samples, half over each other.
const WINDOW: usize = 2_048;

/// Zwicker's critical bands, in Hz.
const BANDS: [f64; 25] = [
    0.0, 100.0, 200.0, 300.0, 400.0, 510.0, 630.0, 770.0, 920.0, 1_080.0, 1_270.0, 1_480.0,
    1_720.0, 2_000.0, 2_320.0, 2_700.0, 3_150.0, 3_700.0, 4_400.0, 5_300.0, 6_400.0, 7_700.0,
    9_500.0, 12_000.0, 15_500.0,
];

/// Energy per critical band of each frame.
fn bands(sound: &[f32]) -> Vec<[f64; 24]> {
    let transform = FftPlanner::new().plan_fft_forward(WINDOW);
    let frames = sound.windows(WINDOW).step_by(WINDOW / 2).map(|frame| {
        let windowed = frame.iter().enumerate().map(|(n, value)| {
            let window = 0.5 - 0.5 * (TAU * n as f64 / WINDOW as f64).cos();
            Complex::new(f64::from(*value) * window, 0.0)
        });
        let mut lines: Vec<_> = windowed.collect();
        transform.process(&mut lines);
        std::array::from_fn(|band| {
            let line = |hz: f64| (hz * WINDOW as f64 / 48_000.0).round() as usize;
            let lines = &lines[line(BANDS[band])..line(BANDS[band + 1])];
            lines.iter().map(|line| line.norm_sqr()).sum::<f64>() + 1e-9
        })
    });
    frames.collect()
}

/// How far the noise that coding added is above what the sound hides, in dB, over all frames in which there is sound. After
/// the noise-to-mask ratio of ITU-R BS.1387 (PEAQ), simplified: masking spreads by 25 dB per critical band downwards and by
/// 10 dB upwards, and hides what is 12 dB below.
fn noise_to_mask_db(sound: &[f32], coded: &[f32]) -> f64 {
    let noise: Vec<f32> = sound.iter().zip(coded).map(|(a, b)| a - b).collect();
    let (mut sum, mut frames) = (0.0, 0);
    for (sound, noise) in bands(sound).iter().zip(&bands(&noise)) {
        if sound.iter().sum::<f64>() < 1.0 {
            continue;
        }
        let masked = |band: usize| -> f64 {
            let spread = sound.iter().enumerate().map(|(from, energy)| {
                let distance = band as f64 - from as f64;
                let slope = if distance < 0.0 { 2.5 } else { -1.0 };
                energy * 10f64.powf(slope * distance)
            });
            spread.sum::<f64>() * 10f64.powf(-1.2)
        };
        let ratios = (0..24).map(|band| noise[band] / masked(band));
        sum += 10.0 * (ratios.sum::<f64>() / 24.0).log10();
        frames += 1;
    }
    assert!(frames > 100, "{frames} frames with sound");
    sum / f64::from(frames)
}

/// The left side as it comes out of a decoder, moved to where it lies best over what went in.
fn aligned(sound: &[f32], coded: &[Stereo]) -> Vec<f32> {
    let error = |late: usize| -> f64 {
        let pairs = (48_000..58_000).map(|n| f64::from(coded[n + late][0] - sound[n]));
        pairs.map(|error| error * error).sum()
    };
    let best = (0..4_096).min_by(|a, b| error(*a).total_cmp(&error(*b)));
    let best = best.expect("a place");
    coded[best..].iter().map(|sample| sample[0]).collect()
}

#[test]
fn our_aac_hides_its_noise_about_as_well_as_ffmpegs_at_the_same_bit_rate() {
    let people = PEOPLE.map(|person| person.says(12));
    let mix: Vec<f32> = (0..people[0].len())
        .map(|n| 0.2 * people[0][n] * 10.0 + 0.2 * people[1][n] + 0.2 * people[2][n] * 4.0)
        .collect();
    let stereo = both_sides(&mix);
    let mut encoder = AacEncoder::new().expect("48 kHz stereo is a usual thing");
    let (blocks, _) = stereo.as_chunks::<ACCESS_UNIT_FRAMES>();
    let ours: Vec<Bytes> = blocks
        .iter()
        .map(|block| encoder.encode(block).expect("a good block"))
        .collect();
    let raw: Vec<u8> = stereo
        .as_flattened()
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let theirs = ffmpeg(
        "-f f32le -ar 48000 -ac 2 -i pipe:0 -c:a aac -b:a 128k -f adts pipe:1",
        raw,
    );
    let rate = |bytes: usize| bytes as f64 * 8.0 / 12.0;
    let ours = adts(&ours);
    let (our_rate, their_rate) = (rate(ours.len()), rate(theirs.len()));
    let measure = |coded| noise_to_mask_db(&mix, &aligned(&mix, &decoded(coded)));
    let (our_noise, their_noise) = (measure(ours), measure(theirs));
    assert!(our_rate < their_rate.max(128_000.0) * 1.1);
    assert!(
        our_noise < their_noise + WORSE_MAX_DB,
        "ours {our_noise:.1} dB, ffmpeg's {their_noise:.1} dB"
    );
}
