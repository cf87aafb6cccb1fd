//! Real coded pictures and sound for the tests of what carries them. ffmpeg makes the pictures.

use std::process::Command;

use amphi_media::{MediaKind, MediaTime, Sample, h264};
use amphi_mux::{Output, Packager, PackagerConfig};
use amphi_studio::ACCESS_UNIT_FRAMES;
use bytes::Bytes;

/// Pictures per second.
pub const RATE: i64 = 25;

/// Constrained baseline H.264 in Annex B form, one picture after the other, and whether it is a key frame; a key frame
/// every second.
pub fn pictures(seconds: u32) -> Vec<(Bytes, bool)> {
    let made = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            &format!("testsrc2=size=320x180:rate={RATE}:duration={seconds}"),
        ])
        .args([
            "-c:v",
            "libx264",
            "-profile:v",
            "baseline",
            "-preset",
            "ultrafast",
            "-g",
            "25",
            "-sc_threshold",
            "0",
        ])
        .args([
            "-bf",
            "0",
            "-threads",
            "1",
            "-x264-params",
            "sliced-threads=0:slices=1",
            "-f",
            "h264",
            "pipe:1",
        ])
        .output()
        .expect("the tests need ffmpeg: see ./test");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let mut pictures = Vec::new();
    let mut picture = Vec::new();
    for nal in h264::nal_units(&made.stdout) {
        picture.extend_from_slice(&[0, 0, 0, 1]);
        picture.extend_from_slice(nal);
        let key = h264::nal_type(nal) == Some(h264::NAL_IDR);
        if key || h264::nal_type(nal) == Some(h264::NAL_SLICE) {
            pictures.push((Bytes::from(std::mem::take(&mut picture)), key));
        }
    }
    assert_eq!(pictures.len(), seconds as usize * RATE as usize);
    pictures
}

/// What the packager makes of a film of this length with silent sound, without the end.
pub fn packaged(seconds: u32) -> Vec<Output> {
    cut(seconds, PackagerConfig::new)
}

/// As [`packaged`], cut as a recording is.
pub fn recorded(seconds: u32) -> Vec<Output> {
    cut(seconds, PackagerConfig::recording)
}

fn cut(seconds: u32, config: impl FnOnce(Bytes) -> PackagerConfig) -> Vec<Output> {
    let (mut codecs, sound) = super::program_codecs(super::Opus::None).expect("the bundled codecs");
    let mut packager = Packager::new(config(sound.into()));
    let mut outputs = Vec::new();
    let mut sounds = 0;
    for (index, (data, key)) in pictures(seconds).into_iter().enumerate() {
        let ticks = index as i64 * 90_000 / RATE;
        let time = MediaTime::new(ticks, 90_000);
        packager.push(&Sample {
            kind: MediaKind::Video,
            rung: 0,
            time,
            key,
            cut: false,
            data,
        });
        while sounds * ACCESS_UNIT_FRAMES as i64 * 90_000 / 48_000 < ticks {
            let data = codecs
                .encoder
                .encode(&[[0.0; 2]; ACCESS_UNIT_FRAMES])
                .expect("silence");
            let time = MediaTime::new(sounds * ACCESS_UNIT_FRAMES as i64, 48_000);
            packager.push(&Sample {
                kind: MediaKind::Audio,
                rung: 0,
                time,
                key: true,
                cut: false,
                data,
            });
            sounds += 1;
        }
        while let Some(output) = packager.poll() {
            outputs.push(output);
        }
    }
    outputs
}
