//! The real ffmpeg, with x264, as a composer has it.

use std::io::{Seek, Write};
use std::time::{Duration, Instant};

use amphi_media::{
    Bitrate, CameraFit, Layout, MediaKind, MediaTime, MemberId, Source, TrackId, VideoSize, h264,
};
use amphi_studio::canvas::{Canvas, Colour};
use amphi_studio::composer::{Composer, Described, Input, Look, Output, Rung};
use amphi_studio::layout::Area;
use amphi_studio::lettering::{Image, Lettering};
use amphi_studio::{Coded, Encoded, EncoderConfig, VideoCodecs, VideoEncoder};

use super::command::command;
use super::hands::{Broke, Said, Start};
use super::*;
use crate::compose::Event;

const SIZE: VideoSize = VideoSize {
    width: 320,
    height: 180,
};
const FPS: u32 = 30;
const SOON: Duration = Duration::from_secs(60);

struct Bench {
    outside: Outside,
    events: crossbeam_channel::Receiver<Event>,
}

fn ffmpeg(program: &str, options: &[&str]) -> Ffmpeg {
    Ffmpeg {
        program: program.into(),
        codec: FfmpegCodec::X264,
        device: String::new(),
        options: options.iter().map(|word| (*word).to_owned()).collect(),
    }
}

impl Bench {
    fn with(options: &[&str]) -> Self {
        Self::of("ffmpeg", options)
    }

    fn of(program: &str, options: &[&str]) -> Self {
        let (hands, hand) = Hands::new(ffmpeg(program, options)).expect("a socket");
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

/// Both of one ladder break, and that is counted once.
#[test]
fn what_breaks_together_breaks_once() {
    let bench = Bench::with(&["-frames:v", "20"]);
    for _ in 0..3 {
        assert!(bench.outside.is_used());
        let mut ladder = [bench.encoder(300_000), bench.encoder(200_000)];
        for encoder in &mut ladder {
            let coded = bench.coded(&mut **encoder, film(30, &[]));
            assert!(coded.is_err());
        }
    }
    assert!(!bench.outside.is_used());
}

/// What a composer needs besides encoders.
struct NoLetters;

impl Lettering for NoLetters {
    fn line(&mut self, _: &str, height: u32, _: u32) -> Image {
        Image::new(VideoSize::new(2, height))
    }
}

#[test]
fn one_that_never_made_a_picture_is_started_once_and_then_openh264_follows() {
    let bench = Bench::of("echo", &[]);
    let codecs = VideoCodecs {
        encoders: bench.outside.encoders(),
        decoders: Box::new(video_codec::decoder),
    };
    let mut composer = Composer::new(codecs, Box::new(NoLetters));
    let rung = |width, height| Rung {
        size: VideoSize::new(width, height),
        bitrate: Bitrate(200_000),
    };
    composer.handle_input(
        0,
        Input::Look(Look {
            layout: Layout::Grid,
            fit: CameraFit::Auto,
            title: String::new(),
            logo: None,
            frames_per_second: FPS,
            rungs: vec![rung(320, 180), rung(160, 90)],
        }),
    );
    composer.handle_input(
        0,
        Input::Track(Described {
            track: TrackId(1),
            member: MemberId(1),
            name: "Ada".to_owned(),
            kind: MediaKind::Audio,
            source: Source::Microphone,
            muted: false,
        }),
    );
    let start = Instant::now();
    let mut made = 0;
    let mut now_us = 0;
    while made < 20 {
        assert!(start.elapsed() < SOON, "{:?}", composer.counters());
        let waited = bench.outside.wait(None, Duration::from_millis(10));
        waited.expect("it can be waited for");
        now_us += 33_334;
        composer.handle_input(now_us, Input::Timeout);
        while let Some(output) = composer.poll_output() {
            assert!(!matches!(output, Output::Failed { .. }), "{output:?}");
            made += usize::from(matches!(output, Output::Sample(_)));
        }
    }
    assert_eq!(composer.counters().encoders_replaced, 1);
    assert!(!bench.outside.is_used());
    drop(composer);
    let Bench { outside, events } = bench;
    drop(outside);
    let notes = notes(&events);
    assert!(
        matches!(&notes[..], [only] if only.contains("no FLV")),
        "{notes:?}"
    );
}

/// All that people are told, until the hands end.
fn notes(events: &crossbeam_channel::Receiver<Event>) -> Vec<String> {
    let told = events.iter().filter_map(|event| match event {
        Event::Encoder { note } => note,
        _ => None,
    });
    told.collect()
}

#[test]
fn who_asks_for_ever_more_processes_gets_so_many_and_no_more() {
    let (hands, hand) = Hands::new(ffmpeg("true", &[])).expect("a socket");
    let (events, said) = crossbeam_channel::unbounded();
    std::thread::spawn(move || hands.run(&events));
    let mut started = 0;
    for id in 0..70 {
        let asked = hand.start(start(SIZE, id)).expect("an answer");
        started += u32::from(asked.is_some());
        let how = format!("\u{1b}[31m{}\n", "x".repeat(1_000));
        let broke = (id == 0).then_some(Broke { how, again: false });
        hand.say(&Said::Ended { id, broke }).expect("it is there");
    }
    assert_eq!(started, 60);
    drop(hand);
    let notes = notes(&said);
    let [ended, refused] = &notes[..] else {
        panic!("one of what ended, and one of all that was refused: {notes:?}");
    };
    assert!(
        ended.len() < 300 && !ended.contains(char::is_control),
        "{ended:?}"
    );
    assert!(refused.contains("within a minute"), "{refused}");
}

#[test]
fn one_that_is_not_started_in_time_is_not_waited_for_and_does_not_go_on_when_it_is() {
    let (hands, hand) = Hands::new(ffmpeg("cat", &[])).expect("a socket");
    hand.limit_waiting().expect("a socket");
    let (events, said) = crossbeam_channel::unbounded();
    // The server is busy with something else.
    let outside = Outside::new(Some(hand));
    assert!(outside.is_used());
    let config = EncoderConfig {
        size: SIZE,
        frames_per_second: FPS,
        bitrate: Bitrate(300_000),
    };
    let (picture, time, _) = film(1, &[]).next().expect("one picture");
    for _ in 0..2 {
        // The second one is not asked for at all.
        let mut encoder = (outside.encoders())(&config).expect("an encoder");
        let encoded = encoder.encode(&picture, time, true);
        assert!(matches!(encoded, Ok(Encoded::Now(_))), "openh264");
        assert!(!outside.is_used());
    }
    let serving = std::thread::spawn(move || hands.run(&events));
    let told = said.recv_timeout(SOON).expect("it is said");
    assert!(
        matches!(&told, Event::Encoder { note: Some(note) }
            if note.contains("was not started in time") && note.contains("openh264")),
        "{told:?}"
    );
    drop(outside);
    serving.join().expect("no panic");
    assert_eq!(notes(&said), Vec::<String>::new(), "nothing else");
}

/// Bytes that one of two sockets takes, one at a time, while nobody reads from the other.
fn taken_unread() -> usize {
    let (socket, _other) = std::os::unix::net::UnixStream::pair().expect("sockets");
    socket.set_nonblocking(true).expect("a socket");
    let full = (0..100_000).find(|_| (&socket).write(&[0]).is_err());
    full.expect("it is full some time")
}

#[test]
fn a_composer_that_reads_no_answers_does_not_keep_the_server_waiting_for_ever() {
    let (hands, hand) = Hands::new(ffmpeg("true", &[])).expect("a socket");
    let (events, said) = crossbeam_channel::unbounded();
    let serving = std::thread::spawn(move || hands.run(&events));
    // One answer more than there is room for.
    for id in 0..=taken_unread() {
        let asked = start(SIZE, id as u32);
        hand.say(&Said::Start(asked)).expect("it is read");
    }
    let how = "is of no use".to_owned();
    let broke = Some(Broke { how, again: false });
    hand.say(&Said::Ended { id: 1, broke })
        .expect("there is room");
    let mut told = Vec::new();
    while told.len() < 2 {
        match said.recv_timeout(SOON).expect("the server goes on") {
            Event::Encoder { note: Some(note) } => told.push(note),
            other => panic!("{other:?}"),
        }
    }
    assert!(
        told[0].contains("too many") && told[1].contains("is of no use"),
        "{told:?}"
    );
    drop(hand);
    serving.join().expect("no panic");
}

fn start(size: VideoSize, id: u32) -> Start {
    Start {
        id,
        rung: Rung {
            size,
            bitrate: Bitrate(u64::MAX),
        },
        frames_per_second: FPS,
    }
}

/// How much comes of this, given at once, where pictures of this size are to be coded; and what is complained of.
fn fed(size: VideoSize, bytes: &[u8]) -> (usize, String) {
    let start = Start {
        rung: Rung {
            size,
            bitrate: Bitrate(300_000),
        },
        ..start(size, 0)
    };
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("it takes it");
    file.rewind().expect("it is a file");
    let output = command(&ffmpeg("ffmpeg", &[]), &start)
        .stdin(file)
        .output()
        .expect("it runs");
    let mut reader = flv::Reader::default();
    reader.push(&output.stdout);
    let mut pictures = 0;
    while let Ok(Some(_)) = reader.next_picture() {
        pictures += 1;
    }
    (
        pictures,
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// The process has no sandbox, and what it reads comes from one that strangers may have taken over.
#[test]
fn ffmpeg_decodes_nothing_but_pixels_of_the_size_that_was_asked_for() {
    let (canvas, time, _) = film(1, &[]).next().expect("one picture");
    assert_eq!(time.ticks, 4 * 3_600 * 90_000);
    let film = [
        matroska::head(SIZE, FPS),
        matroska::picture(&canvas, 0, false),
        matroska::picture(&canvas, 33, false),
    ]
    .concat();
    assert_eq!(fed(SIZE, &film).0, 2);
    let (came, said) = fed(VideoSize::new(160, 90), &film);
    assert_eq!(came, 0, "larger than was asked for: {said}");
    let at = film
        .windows(14)
        .position(|name| name == b"V_UNCOMPRESSED")
        .expect("it is in the head");
    let mut other = film.clone();
    other[at..at + 14].copy_from_slice(b"V_MPEG4/ISO/SP");
    let (came, said) = fed(SIZE, &other);
    assert_eq!(came, 2, "another codec, taken for pixels: {said}");
    // Another container.
    let mpeg = [0x47; 188 * 20];
    let (came, said) = fed(SIZE, &mpeg);
    assert_eq!(came, 0, "{said}");
}
