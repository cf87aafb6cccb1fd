//! The real ffmpeg, with x264, as a composer has it.

use std::time::{Duration, Instant};

use amphi_media::{Bitrate, MediaTime, VideoSize, h264};
use amphi_studio::canvas::{Canvas, Colour};
use amphi_studio::layout::Area;
use amphi_studio::{Coded, Encoded, EncoderConfig, VideoEncoder};

use super::*;
use crate::compose::Event;

const SIZE: VideoSize = VideoSize {
    width: 320,
    height: 180,
};
const FPS: u32 = 30;
const SOON: Duration = Duration::from_secs(20);

struct Bench {
    outside: Outside,
    events: crossbeam_channel::Receiver<Event>,
}

impl Bench {
    fn with(options: &[&str]) -> Self {
        let ffmpeg = Ffmpeg {
            program: "ffmpeg".into(),
            codec: FfmpegCodec::X264,
            device: String::new(),
            options: options.iter().map(|word| (*word).to_owned()).collect(),
        };
        let (hands, hand) = Hands::new(ffmpeg).expect("a socket");
        let (events, said) = crossbeam_channel::unbounded();
        std::thread::spawn(move || hands.run(&events));
        Self {
            outside: Outside::new(Some(hand)),
            events: said,
        }
    }

    fn encoder(&self, bitrate: u64) -> Box<dyn VideoEncoder> {
        let config = EncoderConfig {
            size: SIZE,
            frames_per_second: FPS,
            bitrate: Bitrate(bitrate),
        };
        (self.outside.encoders())(&config).expect("an encoder")
    }

    /// What comes of these pictures, each given when the one before has come; or in which words it broke.
    fn coded(
        &self,
        encoder: &mut dyn VideoEncoder,
        pictures: impl Iterator<Item = (Canvas, MediaTime, bool)>,
    ) -> Result<Vec<Coded>, String> {
        let mut all = Vec::new();
        for (picture, time, key) in pictures {
            let encoded = encoder.encode(&picture, time, key);
            assert_eq!(encoded, Ok(Encoded::Later));
            let start = Instant::now();
            loop {
                match encoder.poll() {
                    Ok(Some(coded)) => break all.push(coded),
                    Ok(None) => {}
                    Err(error) => return Err(error.to_string()),
                }
                assert!(start.elapsed() < SOON, "nothing came of {time:?}");
                let waited = self.outside.wait(None, Duration::from_millis(100));
                waited.expect("it can be waited for");
            }
        }
        Ok(all)
    }
}

/// Noise that never is the same, at 30 a second with holes, from the fourth hour of a program on; keys where they are asked for.
fn film(pictures: i64, keys: &[i64]) -> impl Iterator<Item = (Canvas, MediaTime, bool)> {
    let mut seed = 1u32;
    (0..pictures)
        .filter(|picture| picture % 11 != 7)
        .map(move |picture| {
            let mut canvas = Canvas::new(SIZE, Colour::BLACK);
            for tile in 0..20 * 11 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let area = Area {
                    x: tile % 20 * 16,
                    y: tile / 20 * 16,
                    width: 16,
                    height: 16,
                };
                let [red, green, blue, _] = seed.to_be_bytes();
                canvas.fill(area, Colour::of_rgb(red, green, blue));
            }
            let ticks = 4 * 3_600 * 90_000 + picture * 3_000;
            (
                canvas,
                MediaTime::new(ticks, 90_000),
                keys.contains(&picture),
            )
        })
}

#[test]
fn pictures_keep_their_times_and_key_frames_are_where_they_were_asked_for_and_nowhere_else() {
    const KEYS: [i64; 5] = [13, 14, 40, 70, 71];
    let bench = Bench::with(&[]);
    let mut encoder = bench.encoder(300_000);
    let coded = bench
        .coded(&mut *encoder, film(90, &KEYS))
        .expect("it works");
    let expected: Vec<(MediaTime, bool)> = film(90, &KEYS)
        .enumerate()
        .map(|(number, (_, time, key))| (time, key || number == 0))
        .collect();
    let made: Vec<(MediaTime, bool)> = coded.iter().map(|coded| (coded.time, coded.key)).collect();
    assert_eq!(made, expected);
    for coded in &coded {
        let mut kinds = h264::nal_units(&coded.data).filter_map(h264::nal_type);
        let first = if coded.key {
            h264::NAL_SPS
        } else {
            h264::NAL_SLICE
        };
        assert_eq!(kinds.next(), Some(first), "{:?}", coded.time);
    }
    let sps = h264::nal_units(&coded[0].data).find_map(h264::sps);
    let sps = sps.expect("in front of a key frame");
    assert_eq!((sps.profile, sps.size), (77, SIZE), "Main");
    // A level of what it is: at a rate that was not understood it would be 4 and more.
    assert!(sps.level <= 13, "{}", sps.level);
}

#[test]
fn bits_are_spent_by_the_pictures_rate() {
    let bench = Bench::with(&[]);
    let mut encoder = bench.encoder(600_000);
    let coded = bench
        .coded(&mut *encoder, film(240, &[60, 120, 180]))
        .expect("it works");
    let bytes: usize = coded.iter().map(|coded| coded.data.len()).sum();
    let kbit_s = bytes as f64 * 8.0 / 8.0 / 1_000.0;
    assert!((350.0..900.0).contains(&kbit_s), "{kbit_s} of 600 kbit/s");
}

/// The words in which a second of pictures was not encoded.
fn broken(bench: &Bench) -> String {
    let mut encoder = bench.encoder(300_000);
    let coded = bench.coded(&mut *encoder, film(30, &[]));
    coded.map(|coded| coded.len()).expect_err("it breaks")
}

/// The next note for people.
fn note(bench: &Bench) -> String {
    loop {
        let event = bench.events.recv_timeout(SOON).expect("it is said");
        if let Event::Encoder { note: Some(note) } = event {
            return note;
        }
    }
}

#[test]
fn one_that_had_worked_is_tried_three_times_and_then_openh264_follows() {
    let bench = Bench::with(&["-frames:v", "20"]);
    for _ in 0..3 {
        assert!(bench.outside.is_used());
        assert_eq!(broken(&bench), "ffmpeg ended");
    }
    assert!(!bench.outside.is_used());
    let mut encoder = bench.encoder(300_000);
    let (picture, time, _) = film(1, &[]).next().expect("one picture");
    let encoded = encoder.encode(&picture, time, true);
    assert!(matches!(encoded, Ok(Encoded::Now(_))));
    let note = note(&bench);
    assert!(
        note.contains("libx264") && note.contains("ended") && note.contains("openh264"),
        "{note}"
    );
}
