//! Somebody on stage with real coded picture and sound.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use amphi_media::h264;
use peer::net::Handle;
use peer::{Announcement, Codec, Event, PublicationId};

pub const FPS: u32 = 25;
/// Levels of a voice in -dBov.
pub const LOUD: u8 = 20;
pub const SILENT: u8 = 127;

const SOON: Duration = Duration::from_secs(20);
const PACKET: Duration = Duration::from_millis(20);

/// Coded pieces, to be sent round and round.
pub type Loop = Arc<Vec<Vec<u8>>>;

/// What somebody shows: coded pictures, their size, and how they are coded.
#[derive(Clone)]
pub struct Camera {
    pub film: Loop,
    pub size: (u32, u32),
    pub codec: Codec,
    /// The same smaller, from the top down: sent beside it as simulcast layers `h` and `q`. Both or none.
    pub lower: Vec<Loop>,
}

impl Camera {
    /// A test picture in H.264.
    pub fn new(size: (u32, u32)) -> Self {
        Self {
            film: film(size),
            size,
            codec: Codec::H264,
            lower: Vec::new(),
        }
    }

    /// The test picture of [`Camera::new`], also at half and at a quarter of its size.
    pub fn layered((width, height): (u32, u32)) -> Self {
        let lower = [2, 4].map(|part| film((width / part, height / part)));
        Self {
            lower: lower.to_vec(),
            ..Self::new((width, height))
        }
    }

    /// One colour, as ffmpeg names them.
    pub fn of_colour(colour: &str, size: (u32, u32), codec: Codec) -> Self {
        let (width, height) = size;
        let source = format!("color={colour}:size={width}x{height}:rate={FPS}:duration=10");
        Self {
            film: film_of(&source, codec),
            size,
            codec,
            lower: Vec::new(),
        }
    }

    /// A test picture of which most frames were damaged on purpose, the same ones for the same seed: bits are turned over, ends cut off
    /// or doubled.
    pub fn damaged(size: (u32, u32), codec: Codec, mut seed: u64) -> Self {
        let (width, height) = size;
        let source = format!("testsrc2=size={width}x{height}:rate={FPS}:duration=10");
        // xorshift64 (Marsaglia 2003).
        let mut random = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below.max(1) as u64) as usize
        };
        let mut film = film_of(&source, codec).to_vec();
        for frame in &mut film {
            let whole = frame.len();
            // By its first bytes a frame is known for what it is: without them it gets no further than to the door.
            let kept = HEAD_BYTES.min(whole.saturating_sub(1));
            match random(6) {
                0 => frame.truncate(kept + random(whole - kept)),
                1 => frame.extend_from_within(random(whole)..),
                2 => turn_over(frame, 0, &mut random),
                3 | 4 => turn_over(frame, kept, &mut random),
                _ => {}
            }
        }
        Self {
            film: Arc::new(film),
            size,
            codec,
            lower: Vec::new(),
        }
    }
}

const HEAD_BYTES: usize = 48;

fn turn_over(frame: &mut [u8], from: usize, random: &mut impl FnMut(usize) -> usize) {
    for _ in 0..=random(8) {
        let at = from + random(frame.len() - from);
        frame[at] ^= 1 << random(8);
    }
}

/// Ten seconds of it, a key frame every second.
fn film_of(source: &str, codec: Codec) -> Loop {
    match codec {
        Codec::H264 => h264(source),
        Codec::Vp8 => ivf(source, VP8),
        Codec::Vp9 => ivf(source, VP9),
        Codec::Av1 => ivf(source, AV1),
        Codec::Opus => panic!("that is sound"),
    }
}

/// Ten seconds of camera as access units, a key frame every second.
pub fn film((width, height): (u32, u32)) -> Loop {
    h264(&format!(
        "testsrc2=size={width}x{height}:rate={FPS}:duration=10"
    ))
}

const VP8: &str = "libvpx -deadline realtime -auto-alt-ref 0";
const VP9: &str = "libvpx-vp9 -deadline realtime -auto-alt-ref 0";
const AV1: &str = "libaom-av1 -usage realtime";

/// What ffmpeg makes of it with this encoder.
fn ivf(source: &str, encoder: &str) -> Loop {
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", source])
        .arg("-c:v")
        .args(encoder.split(' '))
        .args("-cpu-used 8 -g 25 -b:v 300k -lag-in-frames 0 -f ivf pipe:1".split(' '))
        .output()
        .expect("the tests need ffmpeg: see ./test");
    assert!(made.status.success());
    // IVF: 32 bytes of header, then length (4), time (8), data.
    let (mut rest, mut pictures) = (&made.stdout[32..], Vec::new());
    while rest.len() > 12 {
        let size = u32::from_le_bytes(rest[..4].try_into().expect("four bytes")) as usize;
        pictures.push(rest[12..12 + size].to_vec());
        rest = &rest[12 + size..];
    }
    assert_eq!(pictures.len(), 10 * FPS as usize);
    Arc::new(pictures)
}

fn h264(source: &str) -> Loop {
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", source])
        .args(
            "-c:v libx264 -profile:v baseline -preset ultrafast -g 25 -bf 0 -threads 1".split(' '),
        )
        .args("-x264-params sliced-threads=0:slices=1 -f h264 pipe:1".split(' '))
        .output()
        .expect("the tests need ffmpeg: see ./test");
    assert!(made.status.success());
    let (mut pictures, mut picture) = (Vec::new(), Vec::new());
    for nal in h264::nal_units(&made.stdout) {
        picture.extend_from_slice(&[0, 0, 0, 1]);
        picture.extend_from_slice(nal);
        if matches!(h264::nal_type(nal), Some(h264::NAL_IDR | h264::NAL_SLICE)) {
            pictures.push(std::mem::take(&mut picture));
        }
    }
    assert_eq!(pictures.len(), 10 * FPS as usize);
    Arc::new(pictures)
}

/// A second of a tone, in Opus packets of 20 ms.
pub fn tone() -> Loop {
    let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip)
        .expect("libopus has this");
    let packets = (0..50).map(|packet| {
        let pcm: Vec<f32> = (0..960)
            .map(|n| {
                0.25 * ((packet * 960 + n) as f32 * 440.0 * std::f32::consts::TAU / 48_000.0).sin()
            })
            .collect();
        encoder.encode_vec_float(&pcm, 400).expect("libopus can")
    });
    Arc::new(packets.collect())
}

/// Publishes, and waits until it can be sent.
async fn publish(member: &mut Handle, announcement: Announcement) -> PublicationId {
    let line = member
        .call(move |peer, now| peer.publish(now, announcement))
        .await
        .expect("the member is in");
    member
        .wait("a line to send on", SOON, |event| {
            matches!(event, Event::Sending { publication } if *publication == line).then_some(())
        })
        .await
        .expect("it stands");
    line
}

/// Speaks until the task ends; `level` is how loud it is said to be.
pub async fn perform(mut member: Handle, tone: Loop, camera: Option<Camera>, level: Arc<AtomicU8>) {
    let microphone = publish(&mut member, Announcement::microphone()).await;
    let camera = match camera {
        Some(camera) => {
            let (width, height) = camera.size;
            let mut announcement = Announcement::camera(camera.codec, width, height);
            if !camera.lower.is_empty() {
                announcement = announcement.simulcast();
            }
            Some((camera, publish(&mut member, announcement).await))
        }
        None => None,
    };
    let mut ticks = tokio::time::interval(PACKET);
    for number in 0u32.. {
        ticks.tick().await;
        let level = level.load(Ordering::Relaxed);
        let (tone, camera) = (tone.clone(), camera.clone());
        member.tell(move |peer, now| {
            let sound = &tone[number as usize % tone.len()];
            let time = number.wrapping_mul(960);
            peer.write_frame(now, microphone, None, sound, time, Some(level));
            // One picture for every two packets of 20 ms.
            if let Some((camera, line)) = camera.filter(|_| number % 2 == 0) {
                let top = (!camera.lower.is_empty()).then_some("f");
                let layers = [(top, &camera.film)]
                    .into_iter()
                    .chain([Some("h"), Some("q")].into_iter().zip(&camera.lower));
                for ((rid, film), layer) in layers.zip(0u32..) {
                    let picture = &film[(number / 2) as usize % film.len()];
                    // Each layer has a clock of its own.
                    let time = (number / 2).wrapping_mul(90_000 / FPS);
                    let time = time.wrapping_add(layer * 1_000_000);
                    peer.write_frame(now, line, rid, picture, time, None);
                }
            }
        });
    }
}
