//! What a composed program costs, codec by codec: our composer beside the same decoders and encoders with nothing between them,
//! and beside the same work by ffmpeg and GStreamer where they are installed.
//!
//! All of it is CPU time for a fixed length of media, as fast as it goes, on one thread; so 1.0 is one core at 30 pictures a second.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use amphi::compose::ffmpeg::{Ffmpeg, FfmpegCodec, Hands, Outside};
use amphi_media::{
    Bitrate, CameraFit, Codec, Layout, MediaKind, MediaTime, MemberId, Source, TrackId,
};
use amphi_media::{Sample, VideoSize};
use amphi_studio::canvas::Canvas;
use amphi_studio::composer::{Composer, Described, Input, Look, Output, Rung};
use amphi_studio::lettering::{Image, Lettering};
use amphi_studio::{CodecError, Encoded, EncoderConfig, VideoCodecs, VideoEncoder};
use anyhow::{Context as _, ensure};
use bytes::Bytes;

use crate::media::{self, FRAME_RATE};
use crate::process::{children_cpu_ns, own_thread_cpu_ns, running_children_cpu_ns};

/// Of each member's film. Every picture that is composed of it is kept in memory for the floor.
const SECONDS: usize = 4;

const PICTURES: usize = SECONDS * FRAME_RATE as usize;

/// Before the films begin: whoever has no cell yet is not decoded. It is not measured.
const BEGIN_US: i64 = 1_000_000;

/// Size and kbit/s of what members send.
const LAYER: (u32, u32, u32) = (640, 360, 500);

/// How long ffmpeg may take for one picture, its start included.
const ENCODED_IN_MAX: Duration = Duration::from_secs(20);

#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    members: u32,
    rungs: &'static [(u32, u32, u64)],
}

const SHAPES: [Shape; 3] = [
    Shape {
        name: "4 of 360p to 720p30",
        members: 4,
        rungs: &[(1280, 720, 2_500)],
    },
    Shape {
        name: "4 of 360p to 720p30 and 3 rungs",
        members: 4,
        rungs: &[
            (1280, 720, 2_500),
            (854, 480, 1_200),
            (426, 240, 400),
            (256, 144, 150),
        ],
    },
    Shape {
        name: "9 of 360p to 1080p30",
        members: 9,
        rungs: &[(1920, 1080, 4_500)],
    },
];

/// Shares of one core, one for each round.
#[derive(serde::Serialize)]
pub struct Figures {
    pub shape: &'static str,
    pub composed: Vec<f64>,
    pub decoders_alone: Vec<f64>,
    pub encoders_alone: Vec<f64>,
    /// The same decoders and encoders picture by picture, as a composer has to use them: in each other's way, but nothing is drawn.
    pub codecs_in_turn: Vec<f64>,
    /// Composed, and encoded by ffmpeg's x264 as a program with `encoder = "ffmpeg"` has it: its processes included.
    pub composed_for_x264: Vec<f64>,
    /// ffmpeg's own decoders, `xstack`, and x264 (veryfast, zerolatency).
    pub ffmpeg: Vec<f64>,
    /// GStreamer's `compositor` between openh264's decoders and encoder: the codecs that we have.
    pub gstreamer: Vec<f64>,
    pub pictures: u64,
    pub kbit_s: f64,
}

impl Figures {
    /// Composed as a multiple of the same codecs, each alone, round by round.
    pub fn to_alone(&self) -> Vec<f64> {
        let floors = self.decoders_alone.iter().zip(&self.encoders_alone);
        let both = floors.map(|(decoders, encoders)| decoders + encoders);
        ratios(&self.composed, both)
    }

    /// As a multiple of the same codecs in turn.
    pub fn to_in_turn(&self) -> Vec<f64> {
        ratios(&self.composed, self.codecs_in_turn.iter().copied())
    }
}

fn ratios(of: &[f64], to: impl Iterator<Item = f64>) -> Vec<f64> {
    of.iter().zip(to).map(|(of, to)| of / to).collect()
}

pub fn measure(rounds: usize) -> anyhow::Result<Vec<Figures>> {
    let folder = tempfile::tempdir().context("making a folder for films")?;
    let most = SHAPES.iter().map(|shape| shape.members).max().unwrap_or(0);
    let films = (0..most)
        .map(|member| {
            let coded = media::film(u64::from(member), LAYER.0, LAYER.1, LAYER.2, SECONDS)?;
            std::fs::write(folder.path().join(format!("{member}.h264")), &coded)
                .context("writing a film")?;
            let pictures = media::pictures(&coded);
            ensure!(pictures.len() == PICTURES, "a film of another length");
            Ok(pictures)
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    SHAPES
        .into_iter()
        .map(|shape| measure_shape(shape, &films, folder.path(), rounds))
        .collect()
}

fn measure_shape(
    shape: Shape,
    films: &[Vec<Bytes>],
    folder: &Path,
    rounds: usize,
) -> anyhow::Result<Figures> {
    let films = &films[..shape.members as usize];
    let mut figures = Figures {
        shape: shape.name,
        composed: Vec::new(),
        decoders_alone: Vec::new(),
        encoders_alone: Vec::new(),
        codecs_in_turn: Vec::new(),
        composed_for_x264: Vec::new(),
        ffmpeg: Vec::new(),
        gstreamer: Vec::new(),
        pictures: 0,
        kbit_s: 0.0,
    };
    let kept = keep_pictures(shape, films)?;
    for _ in 0..rounds {
        let (share, made) = composed(shape, films, video_codec::video_codecs(), None)?;
        figures.composed.push(share);
        figures.pictures = made.pictures;
        figures.kbit_s = made.bytes as f64 * 8.0 / 1_000.0 / SECONDS as f64;
        figures.decoders_alone.push(decoders_alone(films)?);
        figures.encoders_alone.push(encoders_alone(shape, &kept)?);
        figures
            .codecs_in_turn
            .push(codecs_in_turn(shape, films, &kept)?);
        if is_installed("ffmpeg", "-version") {
            figures
                .composed_for_x264
                .push(composed_for_x264(shape, films)?);
            figures.ffmpeg.push(ffmpeg(shape, folder)?);
        }
        if is_installed("gst-launch-1.0", "--version") {
            figures.gstreamer.push(gstreamer(shape, folder)?);
        }
    }
    Ok(figures)
}

fn share_of(cpu_ns: u64) -> f64 {
    cpu_ns as f64 / 1e9 / SECONDS as f64
}

struct Made {
    /// Of the top rung.
    pictures: u64,
    /// Of all rungs.
    bytes: usize,
}

/// The composer as the worker has it, in virtual time. What encodes outside of it is given the time that it takes.
fn composed(
    shape: Shape,
    films: &[Vec<Bytes>],
    codecs: VideoCodecs,
    outside: Option<&Outside>,
) -> anyhow::Result<(f64, Made)> {
    let mut composer = Composer::new(codecs, Box::new(Blocks));
    let mut made = Made {
        pictures: 0,
        bytes: 0,
    };
    let look = Look {
        title: String::new(),
        logo: None,
        layout: Layout::Grid,
        fit: CameraFit::Auto,
        frames_per_second: FRAME_RATE,
        rungs: shape
            .rungs
            .iter()
            .map(|(width, height, kbit)| Rung {
                size: VideoSize::new(*width, *height),
                bitrate: Bitrate(kbit * 1_000),
            })
            .collect(),
    };
    take(&mut composer, 0, Input::Look(look), &mut made)?;
    for member in 0..shape.members {
        let track = Described {
            track: TrackId(member),
            member: MemberId(u64::from(member)),
            name: format!("Member {member}"),
            kind: MediaKind::Video,
            source: Source::Camera,
            muted: false,
        };
        take(&mut composer, 0, Input::Track(track), &mut made)?;
    }
    let used = || Ok::<_, anyhow::Error>(own_thread_cpu_ns()? + running_children_cpu_ns()?);
    let mut before = 0;
    let begin = std::iter::once((0, 0));
    let film = (0..PICTURES).map(|picture| {
        let time_us = picture as i64 * 1_000_000 / i64::from(FRAME_RATE);
        (BEGIN_US + time_us, picture)
    });
    for (number, (time_us, picture)) in begin.chain(film).enumerate() {
        while let Some(at) = composer.poll_timeout().filter(|at| *at <= time_us) {
            take(&mut composer, at, Input::Timeout, &mut made)?;
            wait_for(outside)?;
        }
        if number == 1 {
            before = used()?;
        }
        for (member, film) in (0..).zip(films) {
            let frame = Input::Frame {
                track: TrackId(member),
                codec: Codec::H264,
                time_us,
                key: picture % media::KEY_INTERVAL == 0,
                contiguous: true,
                data: film[picture].clone(),
            };
            take(&mut composer, time_us, frame, &mut made)?;
        }
    }
    let end_us = BEGIN_US + SECONDS as i64 * 1_000_000;
    while let Some(at) = composer.poll_timeout().filter(|at| *at <= end_us + 100_000) {
        take(&mut composer, at, Input::Timeout, &mut made)?;
        wait_for(outside)?;
    }
    take(&mut composer, end_us, Input::Timeout, &mut made)?;
    let cpu_ns = used()? - before;
    let counters = composer.counters();
    ensure!(
        counters.decoder_errors == 0 && counters.encoder_errors == 0,
        "the codecs refused the fixture: {counters:?}"
    );
    Ok((share_of(cpu_ns), made))
}

fn take(composer: &mut Composer, now_us: i64, input: Input, made: &mut Made) -> anyhow::Result<()> {
    composer.handle_input(now_us, input);
    while let Some(output) = composer.poll_output() {
        match output {
            Output::Sample(Sample { rung, data, .. }) => {
                made.pictures += u64::from(rung == 0);
                made.bytes += data.len();
            }
            Output::Failed { reason } => anyhow::bail!("{reason}"),
            Output::NeedKeyFrame { .. } | Output::Wanted { .. } => {}
        }
    }
    Ok(())
}

/// Until all that was given has come back.
fn wait_for(outside: Option<&Outside>) -> anyhow::Result<()> {
    let Some(outside) = outside else {
        return Ok(());
    };
    let began = Instant::now();
    while outside.owed() > 0 {
        ensure!(began.elapsed() < ENCODED_IN_MAX, "ffmpeg does not encode");
        outside.wait(None, Duration::from_millis(100))?;
    }
    Ok(())
}

/// The composer with ffmpeg's x264 beside it.
fn composed_for_x264(shape: Shape, films: &[Vec<Bytes>]) -> anyhow::Result<f64> {
    let ffmpeg = Ffmpeg {
        program: "ffmpeg".into(),
        codec: FfmpegCodec::X264,
        device: String::new(),
        options: Vec::new(),
    };
    let (hands, hand) = Hands::new(ffmpeg).context("a socket for ffmpeg")?;
    let (events, said) = crossbeam_channel::unbounded();
    let hands = std::thread::spawn(move || hands.run(&events));
    let outside = Outside::new(Some(hand));
    let codecs = VideoCodecs {
        encoders: outside.encoders(),
        decoders: Box::new(video_codec::decoder),
    };
    let made = composed(shape, films, codecs, Some(&outside));
    let used = outside.is_used();
    drop(outside);
    ensure!(hands.join().is_ok(), "what starts ffmpeg broke");
    ensure!(used, "ffmpeg did not encode: {:?}", said.try_iter().last());
    let (share, made) = made?;
    ensure!(made.pictures >= PICTURES as u64, "a picture is missing");
    Ok(share)
}

/// One decoder for each film, and nobody looks at what comes out.
fn decoders_alone(films: &[Vec<Bytes>]) -> anyhow::Result<f64> {
    let before = own_thread_cpu_ns()?;
    let mut pictures = 0;
    for film in films {
        let mut decoder = video_codec::decoder(Codec::H264)?;
        for coded in film {
            decoder.decode(coded, &mut |_| pictures += 1)?;
        }
    }
    let cpu_ns = own_thread_cpu_ns()? - before;
    ensure!(pictures == films.len() * PICTURES, "a picture is missing");
    Ok(share_of(cpu_ns))
}

/// What was composed, for each rung.
type Kept = Vec<Vec<(Canvas, MediaTime, bool)>>;

fn keep_pictures(shape: Shape, films: &[Vec<Bytes>]) -> anyhow::Result<Kept> {
    let kept: Arc<Mutex<Kept>> = Arc::default();
    let encoders = kept.clone();
    let keeping = VideoCodecs {
        encoders: Box::new(move |config| {
            let mut kept = encoders.lock().expect("nobody panics with it");
            kept.push(Vec::new());
            Ok(Box::new(Keeping {
                rung: kept.len() - 1,
                kept: encoders.clone(),
                inner: video_codec::H264Encoder::new(config)?,
            }))
        }),
        decoders: Box::new(video_codec::decoder),
    };
    composed(shape, films, keeping, None)?;
    Ok(std::mem::take(
        &mut *kept.lock().expect("nobody panics with it"),
    ))
}

struct Keeping {
    rung: usize,
    kept: Arc<Mutex<Kept>>,
    inner: video_codec::H264Encoder,
}

impl VideoEncoder for Keeping {
    fn encode(
        &mut self,
        picture: &Canvas,
        time: MediaTime,
        key: bool,
    ) -> Result<Encoded, CodecError> {
        let mut kept = self.kept.lock().expect("nobody panics with it");
        kept[self.rung].push((picture.clone(), time, key));
        self.inner.encode(picture, time, key)
    }
}

/// An encoder that has seen what was before the films began, and what it is to encode of them.
type Begun<'a> = (video_codec::H264Encoder, Vec<&'a (Canvas, MediaTime, bool)>);

fn begin_encoders(shape: Shape, kept: &Kept) -> anyhow::Result<Vec<Begun<'_>>> {
    let rungs = shape.rungs.iter().zip(kept);
    rungs
        .map(|((width, height, kbit), pictures)| {
            let mut encoder = video_codec::H264Encoder::new(&EncoderConfig {
                size: VideoSize::new(*width, *height),
                frames_per_second: FRAME_RATE,
                bitrate: Bitrate(kbit * 1_000),
            })?;
            let begun = |time: &MediaTime| time.rescale(1_000_000).ticks >= BEGIN_US;
            let (first, film): (Vec<_>, Vec<_>) =
                pictures.iter().partition(|(_, time, _)| !begun(time));
            for (picture, time, key) in first {
                encoder.encode(picture, *time, *key)?;
            }
            Ok((encoder, film))
        })
        .collect()
}

/// The same pictures through the same encoders.
fn encoders_alone(shape: Shape, kept: &Kept) -> anyhow::Result<f64> {
    let mut cpu_ns = 0;
    for (mut encoder, film) in begin_encoders(shape, kept)? {
        let before = own_thread_cpu_ns()?;
        for (picture, time, key) in film {
            encoder.encode(picture, *time, *key)?;
        }
        cpu_ns += own_thread_cpu_ns()? - before;
    }
    Ok(share_of(cpu_ns))
}

/// Of each instant the frames of all films, then the picture that was composed of them at every size.
fn codecs_in_turn(shape: Shape, films: &[Vec<Bytes>], kept: &Kept) -> anyhow::Result<f64> {
    let mut encoders = begin_encoders(shape, kept)?;
    let mut decoders = films
        .iter()
        .map(|_| video_codec::decoder(Codec::H264))
        .collect::<Result<Vec<_>, _>>()?;
    let before = own_thread_cpu_ns()?;
    let mut pictures = 0;
    for number in 0..PICTURES {
        for (decoder, film) in decoders.iter_mut().zip(films) {
            decoder.decode(&film[number], &mut |_| pictures += 1)?;
        }
        for (encoder, film) in &mut encoders {
            if let Some((picture, time, key)) = film.get(number) {
                encoder.encode(picture, *time, *key)?;
            }
        }
    }
    let cpu_ns = own_thread_cpu_ns()? - before;
    ensure!(pictures == films.len() * PICTURES, "a picture is missing");
    Ok(share_of(cpu_ns))
}

/// Columns of a grid.
fn columns(members: u32) -> u32 {
    (1..).find(|side| side * side >= members).unwrap_or(1)
}

fn cell(shape: Shape) -> (u32, u32) {
    let (width, height, _) = shape.rungs[0];
    let columns = columns(shape.members);
    ((width / columns) & !1, (height / columns) & !1)
}

fn ffmpeg(shape: Shape, folder: &Path) -> anyhow::Result<f64> {
    let (width, height) = cell(shape);
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-filter_complex_threads", "1"]);
    for member in 0..shape.members {
        command.args(["-threads", "1", "-i"]);
        command.arg(folder.join(format!("{member}.h264")));
    }
    let columns = columns(shape.members);
    let scaled: String = (0..shape.members)
        .map(|member| format!("[{member}:v]scale={width}:{height}:flags=bilinear[c{member}];"))
        .collect();
    let inputs: String = (0..shape.members)
        .map(|member| format!("[c{member}]"))
        .collect();
    let places: Vec<String> = (0..shape.members)
        .map(|place| format!("{}_{}", place % columns * width, place / columns * height))
        .collect();
    let rungs = shape.rungs.len();
    let mut filter = format!(
        "{scaled}{inputs}xstack=inputs={}:layout={}[all];[all]split={rungs}",
        shape.members,
        places.join("|")
    );
    filter.extend((0..rungs).map(|rung| format!("[s{rung}]")));
    for (rung, (width, height, _)) in shape.rungs.iter().enumerate() {
        filter += &format!(";[s{rung}]scale={width}:{height}:flags=bilinear[r{rung}]");
    }
    command.args(["-filter_complex", &filter]);
    for (rung, (_, _, kbit)) in shape.rungs.iter().enumerate() {
        let (map, rate) = (format!("[r{rung}]"), format!("{kbit}k"));
        command.args(["-map", &map, "-c:v", "libx264", "-preset", "veryfast"]);
        command.args(["-tune", "zerolatency", "-threads", "1", "-g", "60"]);
        command.args(["-b:v", &rate, "-maxrate", &rate, "-bufsize", &rate]);
        command.args(["-f", "null", "-"]);
    }
    cpu_of(command)
}

fn gstreamer(shape: Shape, folder: &Path) -> anyhow::Result<f64> {
    let (width, height) = cell(shape);
    let columns = columns(shape.members);
    let mut line = vec!["-q".to_owned()];
    let mut say = |text: String| line.extend(text.split_whitespace().map(str::to_owned));
    say("compositor name=c background=black".to_owned());
    for place in 0..shape.members {
        let (x, y) = (place % columns * width, place / columns * height);
        say(format!(
            "sink_{place}::xpos={x} sink_{place}::ypos={y} sink_{place}::width={width} sink_{place}::height={height}"
        ));
    }
    let (top_width, top_height, _) = shape.rungs[0];
    say(format!(
        "! video/x-raw,format=I420,width={top_width},height={top_height},framerate={FRAME_RATE}/1 ! tee name=t"
    ));
    for (width, height, kbit) in shape.rungs {
        say(format!(
            "t. ! queue ! videoscale method=bilinear ! video/x-raw,width={width},height={height} ! \
             openh264enc bitrate={} complexity=low rate-control=bitrate gop-size=60 multi-thread=1 ! fakesink",
            kbit * 1_000
        ));
    }
    for member in 0..shape.members {
        let path = folder.join(format!("{member}.h264"));
        say(format!(
            "filesrc location={} ! h264parse ! video/x-h264,framerate={FRAME_RATE}/1 ! openh264dec ! c.sink_{member}",
            path.display()
        ));
    }
    let mut command = Command::new("gst-launch-1.0");
    command.args(line);
    cpu_of(command)
}

/// CPU time of a program from its start to its end, as a share of the film's length.
fn cpu_of(mut command: Command) -> anyhow::Result<f64> {
    let before = children_cpu_ns()?;
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("starting {name}"))?;
    ensure!(
        output.status.success(),
        "{name} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(share_of(children_cpu_ns()? - before))
}

fn is_installed(program: &str, asks: &str) -> bool {
    let asked = Command::new(program)
        .arg(asks)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}

/// Letters as blocks: their drawing happens once for each name and is no part of what is measured.
struct Blocks;

impl Lettering for Blocks {
    fn line(&mut self, text: &str, height: u32, width_max: u32) -> Image {
        let width = (text.len() as u32 * height / 2).min(width_max).max(2);
        let size = VideoSize::new(width, height);
        Image {
            size,
            rgba: vec![200; size.pixels() as usize * 4],
        }
    }
}
