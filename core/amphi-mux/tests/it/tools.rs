//! Someone else's reader: `ffprobe` decodes every frame of what we wrote and complains of nothing.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "these tests run a program on files; the core does neither"
)]

use std::process::Command;

use amphi_media::{Codec, VideoSize};
use amphi_mux::recording::{TrackFrame, TrackWriter, Writer};
use amphi_mux::{Output, Rendition};

use crate::program::*;
use crate::recording::{three_shots, write};
use crate::window::ZERO_UNIX_MS;

struct Probed {
    width: u64,
    pictures: u64,
    units: u64,
    start_s: f64,
    duration_s: f64,
}

/// Decodes all of `bytes`; panics when ffprobe has anything to say.
fn probe(name: &str, bytes: &[u8]) -> Probed {
    let path = std::env::temp_dir().join(format!("amphi-mux-{}-{name}.mp4", std::process::id()));
    std::fs::write(&path, bytes).expect("a temporary file can be written");
    let output = Command::new("ffprobe")
        .args(["-v", "warning", "-count_frames", "-of", "compact"])
        .args([
            "-show_entries",
            "stream=codec_type,width,nb_read_frames:format=start_time,duration",
        ])
        .arg(&path)
        .output()
        .expect("ffprobe is installed (Debian: apt-get install ffmpeg)");
    std::fs::remove_file(&path).expect("it was written a moment ago");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "ffprobe of {name}: {complaints}"
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let field = |line: &str, key: &str| -> f64 {
        let value = line
            .split('|')
            .find_map(|field| field.strip_prefix(key)?.strip_prefix('='));
        value
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(0.0)
    };
    let stream = |kind: &str| {
        text.lines()
            .find(|line| line.contains(&format!("codec_type={kind}")))
            .unwrap_or("")
    };
    let format = text
        .lines()
        .find(|line| line.starts_with("format|"))
        .unwrap_or("");
    Probed {
        width: field(stream("video"), "width") as u64,
        pictures: field(stream("video"), "nb_read_frames") as u64,
        units: field(stream("audio"), "nb_read_frames") as u64,
        start_s: field(format, "start_time"),
        duration_s: field(format, "duration"),
    }
}

fn pictures_written(outputs: &[Output]) -> u64 {
    let samples = |bytes: &[u8]| {
        let moof = <mp4_atom::Moof as mp4_atom::Decode>::decode(&mut &bytes[..]).expect("a moof");
        moof.traf[0].trun[0].samples.len() as u64
    };
    parts(outputs, Rendition::Video)
        .iter()
        .map(|part| samples(&part.bytes))
        .sum()
}

#[test]
fn ffprobe_decodes_every_frame_of_both_renditions() {
    let outputs = pack(&plain(6.0));
    let video = probe("video", &file(&outputs, Rendition::Video));
    assert_eq!(
        (video.width, video.pictures),
        (320, pictures_written(&outputs))
    );
    assert!(
        (video.duration_s - 6.0).abs() < 0.05,
        "{}",
        video.duration_s
    );
    let audio = probe("audio", &file(&outputs, Rendition::Audio));
    assert_eq!(
        audio.units,
        parts(&outputs, Rendition::Audio)
            .iter()
            .map(|part| u64::from(part.frames))
            .sum()
    );
}

#[test]
fn ffprobe_decodes_held_pictures_of_a_slow_source() {
    for (name, stream, fps) in [
        ("slow-cavlc", SCREEN, 1.0),
        ("slow-cabac", CABAC, 1.0),
        ("slow-odd", CAMERA, 8.3),
    ] {
        let outputs = pack(&together(&[shot(stream, 0.0, fps, 12), sound(0.0, 13.0)]));
        let written = pictures_written(&outputs);
        assert!(written > 20, "{name}: some of them are held pictures");
        assert_eq!(
            probe(name, &file(&outputs, Rendition::Video)).pictures,
            written,
            "{name}"
        );
    }
}

#[test]
fn ffprobe_plays_a_recording_through_changes_of_size() {
    let outputs = pack(&three_shots());
    let probed = probe("sizes", &write(&mut Writer::new(ZERO_UNIX_MS), &outputs));
    assert_eq!(probed.pictures, pictures_written(&outputs));
    assert!(
        (probed.start_s.abs() < 0.05) && (probed.duration_s - 8.0).abs() < 0.1,
        "{} {}",
        probed.start_s,
        probed.duration_s
    );
    assert!(probed.units > 370);
}

#[test]
fn ffprobe_plays_a_recording_whose_picture_came_later() {
    let outputs = pack(&together(&[shot(CAMERA, 5.0, 30.0, 90), sound(0.0, 8.0)]));
    let probed = probe("later", &write(&mut Writer::new(ZERO_UNIX_MS), &outputs));
    assert_eq!(probed.pictures, pictures_written(&outputs));
    // It gives the duration as 13 s: it adds where the picture begins to where it ends. Sound and picture are what they are.
    assert!(probed.units > 370);
}

/// A torn tail is the one thing ffprobe may mention; what it must do is decode what is whole.
#[test]
fn ffprobe_plays_a_recording_cut_back_to_its_last_whole_fragment() {
    let file = write(&mut Writer::new(ZERO_UNIX_MS), &pack(&plain(4.0)));
    let torn = &file[..file.len() * 2 / 3];
    let scan = amphi_mux::recording::scan(torn);
    let good = usize::try_from(scan.good_bytes).expect("a short file");
    assert!(good < torn.len());
    let probed = probe("torn", &torn[..good]);
    assert!((probed.duration_s - scan.duration().as_secs_f64()).abs() < 0.05);
}

#[test]
fn a_members_track_plays_alone_in_each_codec() {
    let film = probe("track-h264", &crate::track::film());
    assert_eq!((film.pictures, film.start_s), (90, 0.0));
    assert!((film.duration_s - 3.0).abs() < 0.05, "{}", film.duration_s);
    for (codec, encoder, size) in [
        (Codec::Vp8, "libvpx", None),
        (Codec::Vp9, "libvpx-vp9", Some(VideoSize::new(320, 180))),
        (Codec::Av1, "libaom-av1", Some(VideoSize::new(320, 180))),
    ] {
        let frames = ivf(encoder);
        let mut writer = TrackWriter::new(codec, b"{}").expect("it is carried");
        let mut file = crate::track::File::default();
        for (index, data) in frames.iter().enumerate() {
            let ms = i64::try_from(index).expect("few") * 40;
            let frame = TrackFrame {
                size,
                ..crate::track::frame(ms, index == 0, data.clone())
            };
            writer.push(&frame);
            file.take(&mut writer);
        }
        writer.flush();
        file.take(&mut writer);
        let found = probe(codec.name(), &file.bytes);
        assert_eq!((found.width, found.pictures), (320, 25), "{encoder}");
        assert!(
            (found.duration_s - 1.0).abs() < 0.05,
            "{}",
            found.duration_s
        );
    }
}

/// A second of pictures, one key frame first. IVF has a head of 32 bytes and one of 12 before each frame.
fn ivf(encoder: &str) -> Vec<Vec<u8>> {
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i"])
        .arg("testsrc2=size=320x180:rate=25:duration=1")
        .args(["-c:v", encoder, "-g", "999", "-lag-in-frames", "0"])
        .args(match encoder {
            "libaom-av1" => ["-usage", "realtime", "-cpu-used", "8"],
            _ => ["-deadline", "realtime", "-auto-alt-ref", "0"],
        })
        .args(["-f", "ivf", "pipe:1"])
        .output()
        .expect("ffmpeg is installed (Debian: apt-get install ffmpeg)");
    assert!(made.status.success(), "{made:?}");
    let mut rest = &made.stdout[32..];
    let mut frames = Vec::new();
    while let Some(head) = rest.get(..12) {
        let size = u32::from_le_bytes(head[..4].try_into().expect("four bytes")) as usize;
        // AV1's temporal delimiters stand in no file (AV1 Codec ISO Media File Format Binding §2.4).
        let frame = &rest[12..12 + size];
        frames.push(frame.strip_prefix(&[0x12, 0]).unwrap_or(frame).to_vec());
        rest = &rest[12 + size..];
    }
    frames
}

/// Panics when ffprobe has anything to say of a file that was clipped.
pub fn decodes(file: &[u8]) {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let probed = probe(&format!("clip-{number}"), file);
    assert!(probed.pictures > 0 && probed.units > 0);
}
