//! Moving pictures, coded and decoded by ffmpeg.

use std::io::Write;
use std::process::{Command, Stdio};

use amphi_media::{Codec, VideoSize, h264};
use amphi_studio::canvas::Picture;

pub const SIZE: VideoSize = VideoSize {
    width: 320,
    height: 180,
};
/// libaom as browsers run it: every picture is out before the next one comes.
const AV1: [&str; 8] = [
    "-c:v",
    "libaom-av1",
    "-usage",
    "realtime",
    "-cpu-used",
    "8",
    "-lag-in-frames",
    "0",
];

const I420_BYTES: usize = 320 * 180 * 3 / 2;

fn ffmpeg(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut running = Command::new("ffmpeg")
        .args(["-v", "error"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the tests need ffmpeg: see ./test");
    let mut stdin = running.stdin.take().expect("it was piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = running.wait_with_output().expect("it runs");
    // It may have read as much as it wanted.
    let _ = writer.join().expect("a thread that only writes");
    assert!(output.status.success());
    output.stdout
}

/// Pictures in I420, 25 a second.
pub fn pictures(count: usize) -> Vec<Vec<u8>> {
    let source = "testsrc2=size=320x180:rate=25";
    let count = count.to_string();
    let frames = ["-frames:v", &count, "-pix_fmt", "yuv420p"];
    let raw = ffmpeg(
        &[
            &["-f", "lavfi", "-i", source],
            &frames[..],
            &["-f", "rawvideo", "-"],
        ]
        .concat(),
        &[],
    );
    raw.chunks(I420_BYTES).map(<[u8]>::to_vec).collect()
}

/// Coded frames, a key frame every 25.
pub fn coded(codec: Codec, count: usize) -> Vec<Vec<u8>> {
    let source = "testsrc2=size=320x180:rate=25";
    let count = count.to_string();
    let input = [
        "-f",
        "lavfi",
        "-i",
        source,
        "-frames:v",
        &count,
        "-pix_fmt",
        "yuv420p",
        "-g",
        "25",
    ];
    let live = [
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
        "-lag-in-frames",
        "0",
        "-auto-alt-ref",
        "0",
        "-b:v",
        "500k",
    ];
    match codec {
        Codec::H264 => {
            let encode = [
                "-c:v",
                "libx264",
                "-profile:v",
                "baseline",
                "-preset",
                "ultrafast",
                "-bf",
                "0",
            ];
            let one_slice = [
                "-threads",
                "1",
                "-x264-params",
                "sliced-threads=0:slices=1",
                "-f",
                "h264",
                "-",
            ];
            let stream = ffmpeg(&[&input[..], &encode, &one_slice].concat(), &[]);
            let (mut frames, mut frame) = (Vec::new(), Vec::new());
            for nal in h264::nal_units(&stream) {
                frame.extend_from_slice(&[0, 0, 0, 1]);
                frame.extend_from_slice(nal);
                if matches!(h264::nal_type(nal), Some(h264::NAL_SLICE | h264::NAL_IDR)) {
                    frames.push(std::mem::take(&mut frame));
                }
            }
            frames
        }
        Codec::Vp8 => ivf(&ffmpeg(
            &[&input[..], &["-c:v", "libvpx"], &live, &["-f", "ivf", "-"]].concat(),
            &[],
        )),
        Codec::Vp9 => ivf(&ffmpeg(
            &[
                &input[..],
                &["-c:v", "libvpx-vp9"],
                &live,
                &["-f", "ivf", "-"],
            ]
            .concat(),
            &[],
        )),
        Codec::Av1 => {
            let file = ffmpeg(&[&input[..], &AV1, &["-f", "ivf", "-"]].concat(), &[]);
            ivf(&file)
        }
        other => panic!("no film in {}", other.name()),
    }
}

/// What ffmpeg makes of coded frames, in I420.
pub fn planes_of(codec: Codec, frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let (format, stream) = match codec {
        Codec::H264 => ("h264", frames.concat()),
        Codec::Vp8 => ("ivf", to_ivf(*b"VP80", frames)),
        Codec::Av1 => ("ivf", to_ivf(*b"AV01", frames)),
        _ => ("ivf", to_ivf(*b"VP90", frames)),
    };
    // ffmpeg's own decoders, so that no library is held against itself.
    let decoder = match codec {
        Codec::H264 => "h264",
        Codec::Vp8 => "vp8",
        Codec::Av1 => "libaom-av1",
        _ => "vp9",
    };
    let raw = ffmpeg(
        &[
            "-f",
            format,
            "-c:v",
            decoder,
            "-i",
            "-",
            "-vsync",
            "passthrough",
            "-pix_fmt",
            "yuv420p",
            "-f",
            "rawvideo",
            "-",
        ],
        &stream,
    );
    raw.chunks(I420_BYTES).map(<[u8]>::to_vec).collect()
}

/// The planes of a picture without what is between lines.
pub fn raw(picture: &Picture<'_>) -> Vec<u8> {
    let mut canvas =
        amphi_studio::canvas::Canvas::new(picture.size(), amphi_studio::canvas::Colour::BLACK);
    let whole = amphi_studio::layout::Area::of(picture.size());
    canvas.draw(
        picture,
        whole,
        whole,
        &mut amphi_studio::canvas::Scaler::default(),
    );
    canvas.planes().concat()
}

/// One key frame of one colour, grey.
pub fn key_frame(codec: Codec, size: &str) -> Vec<u8> {
    match codec {
        Codec::H264 => {
            let source = format!("color=gray:size={size}:rate=25");
            let mut arguments = vec!["-f", "lavfi", "-i", &source, "-frames:v", "1"];
            arguments.extend([
                "-pix_fmt",
                "yuv420p",
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
            ]);
            arguments.extend(["-profile:v", "baseline", "-f", "h264", "-"]);
            ffmpeg(&arguments, &[])
        }
        Codec::Vp8 => vpx_key_frame("libvpx", size),
        Codec::Vp9 => vp9_key_frame(size),
        Codec::Av1 => av1_key_frame(size, "yuv420p"),
        other => panic!("no picture in {}", other.name()),
    }
}

/// One key frame in VP9 of one colour.
pub fn vp9_key_frame(size: &str) -> Vec<u8> {
    vpx_key_frame("libvpx-vp9", size)
}

fn vpx_key_frame(encoder: &str, size: &str) -> Vec<u8> {
    let source = format!("color=gray:size={size}:rate=25");
    let mut arguments = vec!["-f", "lavfi", "-i", &source, "-frames:v", "1"];
    arguments.extend([
        "-pix_fmt",
        "yuv420p",
        "-c:v",
        encoder,
        "-deadline",
        "realtime",
    ]);
    arguments.extend(["-cpu-used", "8", "-f", "ivf", "-"]);
    ivf(&ffmpeg(&arguments, &[])).remove(0)
}

/// One key frame in AV1 of one colour.
pub fn av1_key_frame(size: &str, pixels: &str) -> Vec<u8> {
    let source = format!("color=gray:size={size}:rate=25");
    let mut arguments = vec!["-f", "lavfi", "-i", &source, "-frames:v", "1"];
    arguments.extend(["-pix_fmt", pixels]);
    arguments.extend(AV1);
    arguments.extend(["-f", "ivf", "-"]);
    ivf(&ffmpeg(&arguments, &[])).remove(0)
}

/// The frames of an IVF file: 32 bytes of header, then length (4), time (8), data.
fn ivf(file: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut frames) = (&file[32..], Vec::new());
    while rest.len() > 12 {
        let size = u32::from_le_bytes(rest[..4].try_into().expect("four bytes")) as usize;
        frames.push(rest[12..12 + size].to_vec());
        rest = &rest[12 + size..];
    }
    frames
}

fn to_ivf(fourcc: [u8; 4], frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = b"DKIF\0\0\x20\0".to_vec();
    file.extend(fourcc);
    file.extend(320u16.to_le_bytes());
    file.extend(180u16.to_le_bytes());
    file.extend(25u32.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    file.extend((frames.len() as u32).to_le_bytes());
    file.extend([0; 4]);
    for (number, frame) in (0u64..).zip(frames) {
        file.extend((frame.len() as u32).to_le_bytes());
        file.extend(number.to_le_bytes());
        file.extend(frame);
    }
    file
}
