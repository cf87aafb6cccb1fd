//! What composing costs on this machine, measured before anybody goes on air: four cameras of moving pictures, in virtual time; and
//! whether the ffmpeg that is to encode does.

use std::time::{Duration, Instant};

use amphi_media::{
    Bitrate, CameraFit, Codec, Layout, MediaKind, MediaTime, MemberId, Source, TrackId, VideoSize,
};
use amphi_studio::canvas::{Canvas, Colour};
use amphi_studio::composer::{Composer, Described, Input, Look, Output, Rung};
use amphi_studio::cost::Step;
use amphi_studio::layout::Area;
use amphi_studio::{CodecError, Encoded, EncoderConfig, VideoCodecs, VideoEncoder};
use bytes::Bytes;
use crossbeam_channel::Receiver;

use super::Event;
use super::ffmpeg::{Ffmpeg, Hands, KEPT_MAX, Outside};
use super::lettering::Letters;
use crate::codec::trial::used_us;

const MEMBERS: u32 = 4;
const LAYER: VideoSize = VideoSize {
    width: 640,
    height: 360,
};
const LAYER_BITRATE: Bitrate = Bitrate(500_000);

/// Until everybody has a cell. It is not measured.
const BEGIN_US: i64 = 500_000;
/// How much is composed.
const FILM_US: i64 = 1_000_000;
/// How often the cameras take a picture.
const CAMERA_PER_SECOND: u32 = 30;

/// A camera's pictures, coded; the first is a key frame.
pub struct Film(Vec<Bytes>);

impl Film {
    /// One second in which everything moves.
    pub fn make() -> Result<Self, CodecError> {
        let mut encoder = video_codec::H264Encoder::new(&EncoderConfig {
            size: LAYER,
            frames_per_second: CAMERA_PER_SECOND,
            bitrate: LAYER_BITRATE,
        })?;
        let mut canvas = Canvas::new(LAYER, Colour::BLACK);
        let pictures = (0..CAMERA_PER_SECOND).map(|picture| {
            for tile in 0..144 {
                let area = Area {
                    x: tile % 16 * 40,
                    y: tile / 16 * 40,
                    width: 40,
                    height: 40,
                };
                let shade = (tile * 37 + picture * 5) as u8;
                canvas.fill(area, Colour::of_rgb(shade, shade / 2 + 60, 255 - shade));
            }
            let time = MediaTime::new(i64::from(picture), CAMERA_PER_SECOND);
            match encoder.encode(&canvas, time, picture == 0)? {
                Encoded::Now(coded) => Ok(coded.data),
                Encoded::Later | Encoded::LeftOut => {
                    Err(CodecError("a picture was left out".to_owned()))
                }
            }
        });
        Ok(Self(pictures.collect::<Result<_, _>>()?))
    }
}

/// An ffmpeg that is lent to this process, as it would be to a composer, until this is dropped.
pub struct Lent {
    pub outside: Outside,
    said: Receiver<Event>,
}

impl Lent {
    pub fn new(ffmpeg: &Ffmpeg) -> std::io::Result<Self> {
        let (hands, hand) = Hands::new(ffmpeg.clone())?;
        hand.limit_waiting()?;
        let (events, said) = crossbeam_channel::bounded(64);
        std::thread::Builder::new()
            .name("ffmpeg-trial".to_owned())
            .spawn(move || hands.run(&events))?;
        let outside = Outside::new(Some(hand));
        Ok(Self { outside, said })
    }

    /// Encodes a second of pictures of this size. How long that took, or why it did not work.
    pub fn try_size(&self, rung: &Rung, frames_per_second: u32) -> Result<Duration, CodecError> {
        let config = EncoderConfig {
            size: rung.size,
            frames_per_second,
            bitrate: rung.bitrate,
        };
        let mut encoder = (self.outside.encoders())(&config)?;
        let mut canvas = Canvas::new(rung.size, Colour::BLACK);
        // That it begins is not counted.
        let mut began = None;
        for picture in 0..=frames_per_second {
            let shade = (picture * 7) as u8;
            canvas.fill(Area::of(rung.size), Colour::of_rgb(shade, 255 - shade, 90));
            let time = MediaTime::new(picture.into(), frames_per_second);
            if encoder.encode(&canvas, time, picture % 10 == 0)? != Encoded::Later {
                // That was openh264.
                return Err(self.why_not("ffmpeg does not work"));
            }
            loop {
                match encoder.poll() {
                    Ok(Some(_)) => {
                        began.get_or_insert_with(Instant::now);
                    }
                    // Some give one only when they have the next ones, and the last ones may stay inside.
                    Ok(None) if self.outside.owed() <= KEPT_MAX => break,
                    Ok(None) => {
                        self.outside
                            .wait(None, Duration::from_millis(20))
                            .map_err(|error| {
                                CodecError(format!("ffmpeg cannot be waited for: {error}"))
                            })?;
                    }
                    Err(error) => {
                        drop(encoder);
                        return Err(self.why_not(&error.to_string()));
                    }
                }
            }
        }
        let began = began.ok_or_else(|| CodecError("ffmpeg made no picture".to_owned()))?;
        Ok(began.elapsed())
    }

    /// What people would be told; of one that would be tried again they are told nothing, and then it is what is `known`.
    fn why_not(&self, known: &str) -> CodecError {
        let deadline = Instant::now() + Duration::from_secs(3);
        let notes = std::iter::from_fn(|| self.said.recv_deadline(deadline).ok());
        let mut notes = notes.filter_map(|event| match event {
            Event::Encoder { note } => note,
            _ => None,
        });
        let note = notes.next();
        CodecError(note.unwrap_or_else(|| format!("{known}; openh264 encodes instead.")))
    }
}

/// The share of one core that composing four cameras takes at this step; where ffmpeg encodes, the share of the time that there is.
pub fn share(film: &Film, step: &Step, outside: &Outside) -> Result<f32, CodecError> {
    let codecs = VideoCodecs {
        encoders: outside.encoders(),
        decoders: Box::new(video_codec::decoder),
    };
    let mut composer = Composer::new(codecs, Box::new(Letters::embedded()));
    let mut pictures = 0;
    let mut tell = |now_us: i64, input: Input, composer: &mut Composer| {
        composer.handle_input(now_us, input);
        while outside.owed() > KEPT_MAX {
            let woken = outside.wait(None, Duration::from_secs(1));
            woken.map_err(|error| CodecError(format!("ffmpeg cannot be waited for: {error}")))?;
            composer.handle_input(now_us, Input::Timeout);
        }
        while let Some(output) = composer.poll_output() {
            match output {
                Output::Sample(sample) => pictures += usize::from(sample.rung == 0),
                Output::Failed { reason } => return Err(CodecError(reason)),
                Output::NeedKeyFrame { .. } | Output::Wanted { .. } => {}
            }
        }
        Ok(())
    };
    let look = Look {
        title: String::new(),
        logo: None,
        layout: Layout::Grid,
        fit: CameraFit::Auto,
        frames_per_second: step.frames_per_second,
        rungs: step.rungs.clone(),
    };
    tell(0, Input::Look(look), &mut composer)?;
    for member in 0..MEMBERS {
        let track = Described {
            track: TrackId(member),
            member: MemberId(u64::from(member)),
            name: format!("Camera {member}"),
            kind: MediaKind::Video,
            source: Source::Camera,
            muted: false,
        };
        tell(0, Input::Track(track), &mut composer)?;
    }
    let (mut began_us, mut began) = (0, Instant::now());
    let film_at =
        |picture: usize| BEGIN_US + picture as i64 * 1_000_000 / i64::from(CAMERA_PER_SECOND);
    // The first picture shows that there is a camera, and gets it a cell.
    let times = std::iter::once((0, 0)).chain((0..film.0.len()).map(|at| (film_at(at), at)));
    for (number, (time_us, picture)) in times.enumerate() {
        catch_up(&mut composer, time_us, &mut tell)?;
        if number == 1 {
            began_us = used_us();
            began = Instant::now();
        }
        for member in 0..MEMBERS {
            let frame = Input::Frame {
                track: TrackId(member),
                codec: Codec::H264,
                time_us,
                key: picture == 0,
                contiguous: true,
                data: film.0[picture].clone(),
            };
            tell(time_us, frame, &mut composer)?;
        }
    }
    catch_up(&mut composer, BEGIN_US + FILM_US + 200_000, &mut tell)?;
    let used_us = match outside.is_used() {
        false => used_us() - began_us,
        true => i64::try_from(began.elapsed().as_micros()).unwrap_or(i64::MAX),
    };
    let counters = composer.counters();
    if counters.decoder_errors + counters.encoder_errors > 0 || pictures == 0 {
        return Err(CodecError(format!(
            "the codecs refuse their own pictures: {counters:?}"
        )));
    }
    Ok(used_us as f32 / FILM_US as f32)
}

fn catch_up(
    composer: &mut Composer,
    until_us: i64,
    tell: &mut impl FnMut(i64, Input, &mut Composer) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    while let Some(at) = composer.poll_timeout().filter(|at| *at <= until_us) {
        tell(at, Input::Timeout, composer)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::*;
    use crate::compose::ffmpeg::FfmpegCodec;

    fn lent(program: &str, options: &[&str]) -> Lent {
        let ffmpeg = Ffmpeg {
            program: program.into(),
            codec: FfmpegCodec::X264,
            device: String::new(),
            options: options.iter().map(|word| (*word).to_owned()).collect(),
        };
        Lent::new(&ffmpeg).expect("a thread and a socket")
    }

    const SMALL: Rung = Rung {
        size: VideoSize {
            width: 320,
            height: 180,
        },
        bitrate: Bitrate(200_000),
    };

    #[test]
    fn an_ffmpeg_that_works_is_measured_and_one_that_does_not_says_why() {
        let works = lent("ffmpeg", &[]);
        assert!(works.try_size(&SMALL, 30).expect("ffmpeg works") > Duration::ZERO);
        let film = Film::make().expect("the encoder works");
        let step = Step {
            frames_per_second: 30,
            rungs: vec![SMALL],
        };
        let share = share(&film, &step, &works.outside).expect("composed");
        assert!(share > 0.0 && works.outside.is_used());
        let missing = lent("/nowhere/ffmpeg", &[]).try_size(&SMALL, 30);
        let words = missing.expect_err("there is none").to_string();
        assert!(words.contains("/nowhere/ffmpeg"), "{words}");
        // It writes what it is asked.
        let nonsense = lent("echo", &[]).try_size(&SMALL, 30);
        let words = nonsense.expect_err("that is no ffmpeg").to_string();
        assert!(words.contains("no FLV"), "{words}");
    }

    /// A shell's script in place of ffmpeg.
    fn script(folder: &Path, does: &str) -> PathBuf {
        let path = folder.join("encoder");
        // Written by another process, so that nobody who starts a third one has it open for writing.
        let made = Command::new("sh")
            .args([
                "-c",
                r#"printf '#!/bin/sh\n%s\n' "$2" > "$1" && chmod 755 "$1""#,
                "sh",
            ])
            .arg(&path)
            .arg(does)
            .status();
        assert!(made.expect("a shell").success());
        path
    }

    #[test]
    fn an_ffmpeg_that_begins_late_is_measured_from_its_first_picture_on() {
        let folder = tempfile::tempdir().expect("a folder");
        // A GPU may have to wake up.
        let late = script(folder.path(), r#"sleep 1; exec ffmpeg "$@""#);
        let late = lent(late.to_str().expect("text"), &[]);
        let start = Instant::now();
        let took = late.try_size(&SMALL, 30).expect("it works");
        let waited = start.elapsed().saturating_sub(took);
        assert!(waited >= Duration::from_secs(1), "{waited:?}, {took:?}");
        assert!(late.outside.is_used());
    }

    #[test]
    fn an_ffmpeg_that_stops_in_the_middle_is_given_up_in_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let stops = script(folder.path(), r#"ffmpeg "$@"; sleep 1000"#);
        let stops = lent(stops.to_str().expect("text"), &["-frames:v", "12"]);
        let words = stops.try_size(&SMALL, 30).expect_err("it stops");
        let words = words.to_string();
        assert!(words.contains("made no picture for"), "{words}");
    }

    #[test]
    fn a_larger_picture_costs_more() {
        let film = Film::make().expect("the encoder works");
        let step = |width, height| Step {
            frames_per_second: 30,
            rungs: vec![Rung {
                size: VideoSize::new(width, height),
                bitrate: Bitrate(1_000_000),
            }],
        };
        let outside = Outside::new(None);
        let share = |step: Step| share(&film, &step, &outside).expect("composed");
        let (large, small) = (share(step(1920, 1080)), share(step(320, 180)));
        assert!(small > 0.0 && large > 2.0 * small, "{large} {small}");
    }
}
