//! What ffmpeg is told on its command line.

use std::process::Command;

use super::matroska::TICKS;
use super::{Ffmpeg, FfmpegCodec};
use crate::compose::ffmpeg::hands::Start;

/// What of our environment is handed on: where programs, libraries and GPUs are. No secret is among it.
const ENVIRONMENT: [&str; 8] = [
    "PATH",
    "HOME",
    "LD_LIBRARY_PATH",
    "LIBVA_DRIVER_NAME",
    "LIBVA_DRIVERS_PATH",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "XDG_RUNTIME_DIR",
];

/// Where VAAPI is, where nobody says otherwise.
const VAAPI_DEVICE: &str = "/dev/dri/renderD128";

/// No picture that the configuration allows has more pixels.
const PIXELS_MAX: u64 = 3_840 * 2_160;
/// Nothing that ffmpeg takes memory for by itself is larger, in bytes: some times such a picture.
const ALLOCATED_MAX: &str = "268435456";

/// Pictures without a key frame, at most; we ask for one every two seconds.
const KEY_INTERVAL_MAX: &str = "100000";

/// The process that encodes one size, before it has its pipes.
pub fn command(ffmpeg: &Ffmpeg, start: &Start) -> Command {
    let mut command = Command::new(&ffmpeg.program);
    command.env_clear().envs(
        ENVIRONMENT
            .iter()
            .filter_map(|name| Some((name, std::env::var_os(name)?))),
    );
    command.args(arguments(ffmpeg, start));
    command
}

fn arguments(ffmpeg: &Ffmpeg, start: &Start) -> Vec<String> {
    let device = (!ffmpeg.device.is_empty()).then_some(&*ffmpeg.device);
    let kbit = |bits: u64| format!("{}k", bits / 1_000);
    let rate = start.rung.bitrate.0;
    // The half of a millisecond that says so, see `matroska.rs`.
    let keys = format!("expr:mod(round(t*{TICKS}),2)");
    let ticks = format!("1/{TICKS}");
    let mut all: Vec<String> = Vec::new();
    let mut add = |words: &[&str]| all.extend(words.iter().map(|word| (*word).to_owned()));
    let pixels = start.rung.size.pixels().min(PIXELS_MAX).to_string();
    add(&["-hide_banner", "-loglevel", "error", "-nostdin"]);
    add(&["-max_alloc", ALLOCATED_MAX]);
    match (ffmpeg.codec, device) {
        (FfmpegCodec::Vaapi, device) => add(&["-vaapi_device", device.unwrap_or(VAAPI_DEVICE)]),
        (FfmpegCodec::Qsv, Some(device)) => add(&["-qsv_device", device]),
        _ => {}
    }
    // It begins with the first picture, and looks at nothing else before.
    add(&[
        "-probesize",
        "32",
        "-analyzeduration",
        "0",
        "-fpsprobesize",
        "0",
    ]);
    // Who took the composer over must not reach any other of ffmpeg's parsers and decoders: this process has no sandbox.
    add(&["-protocol_whitelist", "pipe"]);
    add(&["-format_whitelist", "matroska"]);
    add(&["-codec_whitelist", "rawvideo"]);
    add(&["-max_streams", "1", "-max_pixels", &pixels]);
    add(&["-c:v", "rawvideo"]);
    add(&["-f", "matroska", "-i", "pipe:0", "-map", "0:v:0"]);
    add(&["-fps_mode", "passthrough", "-enc_time_base", &ticks]);
    add(&["-force_key_frames", &keys]);
    add(&["-c:v", ffmpeg.codec.name()]);
    match ffmpeg.codec {
        FfmpegCodec::X264 => {
            add(&[
                "-preset",
                "veryfast",
                "-tune",
                "zerolatency",
                "-threads",
                "1",
            ]);
            add(&["-profile:v", "main", "-sc_threshold", "0"]);
        }
        FfmpegCodec::Nvenc => {
            add(&[
                "-preset",
                "p4",
                "-tune",
                "ull",
                "-zerolatency",
                "1",
                "-delay",
                "0",
            ]);
            add(&[
                "-profile:v",
                "main",
                "-forced-idr",
                "1",
                "-no-scenecut",
                "1",
            ]);
            if let Some(device) = device {
                add(&["-gpu", device]);
            }
        }
        FfmpegCodec::Vaapi => {
            add(&["-vf", "format=nv12,hwupload", "-async_depth", "1"]);
            add(&["-profile:v", "main"]);
        }
        FfmpegCodec::Qsv => {
            add(&["-vf", "format=nv12", "-async_depth", "1"]);
            add(&["-profile:v", "main", "-forced_idr", "1"]);
        }
        FfmpegCodec::V4l2M2m => {}
        FfmpegCodec::VideoToolbox => add(&["-realtime", "1", "-profile:v", "main"]),
    }
    add(&["-g", KEY_INTERVAL_MAX, "-keyint_min", "1"]);
    add(&[
        "-b:v",
        &kbit(rate),
        "-maxrate",
        &kbit(rate.saturating_add(rate / 5)),
    ]);
    add(&["-bufsize", &kbit(rate)]);
    add(&["-color_range", "tv", "-colorspace", "smpte170m"]);
    add(&["-color_primaries", "smpte170m", "-color_trc", "smpte170m"]);
    all.extend(ffmpeg.options.iter().cloned());
    let mut add = |words: &[&str]| all.extend(words.iter().map(|word| (*word).to_owned()));
    // What must be as it is stands behind what was asked for.
    add(&["-bf", "0", "-an", "-flush_packets", "1"]);
    add(&["-flvflags", "no_duration_filesize", "-f", "flv", "pipe:1"]);
    all
}

#[cfg(test)]
mod tests {
    use amphi_media::{Bitrate, VideoSize};
    use amphi_studio::composer::Rung;

    use super::*;

    fn told(codec: FfmpegCodec, device: &str, options: &[&str]) -> String {
        let ffmpeg = Ffmpeg {
            program: "ffmpeg".into(),
            codec,
            device: device.to_owned(),
            options: options.iter().map(|word| (*word).to_owned()).collect(),
        };
        let start = Start {
            id: 1,
            rung: Rung {
                size: VideoSize::new(640, 360),
                bitrate: Bitrate(1_000_000),
            },
            frames_per_second: 30,
        };
        arguments(&ffmpeg, &start).join(" ")
    }

    #[test]
    fn options_win_over_ours_but_not_over_what_must_be() {
        let told = told(FfmpegCodec::X264, "", &["-preset", "slow", "-bf", "3"]);
        let at = |words: &str| {
            told.rfind(words)
                .unwrap_or_else(|| panic!("{words}: {told}"))
        };
        assert!(at("-preset veryfast") < at("-preset slow"));
        assert!(at("-bf 3") < at("-bf 0"));
        assert!(
            told.contains("-b:v 1000k -maxrate 1200k -bufsize 1000k"),
            "{told}"
        );
    }

    #[test]
    fn a_device_is_named_in_the_way_of_its_kind() {
        for (codec, device, words) in [
            (FfmpegCodec::Vaapi, "", "-vaapi_device /dev/dri/renderD128 "),
            (
                FfmpegCodec::Vaapi,
                "/dev/dri/renderD129",
                "-vaapi_device /dev/dri/renderD129 ",
            ),
            (
                FfmpegCodec::Qsv,
                "/dev/dri/renderD129",
                "-qsv_device /dev/dri/renderD129 ",
            ),
            (FfmpegCodec::Nvenc, "1", "-gpu 1 "),
        ] {
            let told = told(codec, device, &[]);
            assert!(told.contains(words), "{words}: {told}");
        }
    }
}
