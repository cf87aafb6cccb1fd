//! The real libraries, held against ffmpeg's.

mod composed;
mod film;

use amphi_media::{Bitrate, Codec, MediaTime, VideoSize, h264};
use amphi_studio::canvas::{Canvas, Colour, Picture, Scaler};
use amphi_studio::layout::Area;
use amphi_studio::{CodecError, Encoded, EncoderConfig, VideoEncoder};
use bytes::Bytes;
use video_codec::{H264Decoder, H264Encoder};

use film::{SIZE, av1_key_frame, coded, key_frame, planes_of, raw, vp9_key_frame};

/// A canvas with this picture on it.
fn canvas_of(i420: &[u8]) -> Canvas {
    let (width, height) = (SIZE.width as usize, SIZE.height as usize);
    let (y, colours) = i420.split_at(width * height);
    let (u, v) = colours.split_at(colours.len() / 2);
    let picture = Picture::new(SIZE, [y, u, v], [width, width / 2, width / 2]);
    let mut canvas = Canvas::new(SIZE, Colour::BLACK);
    let whole = Area::of(SIZE);
    canvas.draw(
        &picture.expect("whole planes"),
        whole,
        whole,
        &mut Scaler::default(),
    );
    canvas
}

fn encoder(bitrate: u64) -> H264Encoder {
    let config = EncoderConfig {
        size: SIZE,
        frames_per_second: 25,
        bitrate: Bitrate(bitrate),
    };
    H264Encoder::new(&config).expect("a usual size")
}

/// What was encoded at once, which says of itself whether it is a key frame.
fn now(encoded: Result<Encoded, CodecError>, key: bool) -> Bytes {
    match encoded.expect("a good picture") {
        Encoded::Now(coded) => {
            assert_eq!(coded.key, key);
            coded.data
        }
        other => panic!("{other:?}"),
    }
}

/// Peak signal-to-noise ratio in decibels.
fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares: f64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
        .sum();
    10.0 * (255.0f64.powi(2) * a.len() as f64 / squares.max(1e-9)).log10()
}

/// These decoders have nothing to choose: what they make of a stream is defined to the bit.
#[track_caller]
fn decodes_as_ffmpeg_does(codec: Codec) {
    let film = coded(codec, 50);
    assert_eq!(film.len(), 50);
    let expected = planes_of(codec, &film);
    let mut decoder = video_codec::decoder(codec).expect("it is bundled");
    for (number, (data, expected)) in film.iter().zip(&expected).enumerate() {
        let mut shown = 0;
        decoder
            .decode(data, &mut |picture| {
                shown += 1;
                assert_eq!(picture.size(), SIZE);
                assert_eq!(&raw(picture), expected, "picture {number}");
            })
            .expect("a good frame");
        assert_eq!(shown, 1, "every frame of picture {number} is shown at once");
    }
}

#[test]
fn h264_comes_out_as_ffmpeg_decodes_it() {
    decodes_as_ffmpeg_does(Codec::H264);
}

#[test]
fn vp8_comes_out_as_ffmpeg_decodes_it() {
    decodes_as_ffmpeg_does(Codec::Vp8);
}

#[test]
fn vp9_comes_out_as_ffmpeg_decodes_it() {
    decodes_as_ffmpeg_does(Codec::Vp9);
}

#[test]
fn av1_comes_out_as_ffmpeg_decodes_it() {
    decodes_as_ffmpeg_does(Codec::Av1);
}

#[test]
fn what_is_encoded_looks_as_before_with_key_frames_where_they_were_asked_for() {
    let pictures = film::pictures(75);
    let mut encoder = encoder(800_000);
    let mut decoder = video_codec::decoder(Codec::H264).expect("it is bundled");
    let mut bytes = 0;
    for (number, picture) in pictures.iter().enumerate() {
        let key = number % 25 == 0;
        let time = MediaTime::new(number as i64 * 3_600, 90_000);
        let data = now(encoder.encode(&canvas_of(picture), time, key), key);
        bytes += data.len();
        let types: Vec<u8> = h264::nal_units(&data).filter_map(h264::nal_type).collect();
        let is_key = types.contains(&h264::NAL_IDR);
        assert_eq!(is_key, key, "picture {number}: {types:?}");
        assert_eq!(types.contains(&h264::NAL_SPS), key);
        decoder
            .decode(&data, &mut |decoded| {
                let psnr = psnr(&raw(decoded), picture);
                assert!(psnr > 30.0, "picture {number}: {psnr:.1} dB");
            })
            .expect("what it made, it reads");
    }
    let bits_per_second = bytes * 8 / 3;
    assert!(
        (400_000..960_000).contains(&bits_per_second),
        "{bits_per_second} of 800,000"
    );
}

#[test]
fn the_stream_says_its_size_profile_and_colours() {
    let mut encoder = encoder(500_000);
    let canvas = Canvas::new(SIZE, Colour::BLACK);
    let time = MediaTime::new(0, 90_000);
    // The first picture is a key frame though nobody asked.
    let data = now(encoder.encode(&canvas, time, false), true);
    let path = std::env::temp_dir().join(format!("amphi-codec-{}.h264", std::process::id()));
    std::fs::write(&path, &data).expect("a place for a small file");
    let said = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-show_streams"])
        .arg(&path)
        .output()
        .expect("the tests need ffmpeg: see ./test");
    std::fs::remove_file(&path).expect("it was just made");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    for line in [
        "profile=Main",
        "width=320",
        "height=180",
        "pix_fmt=yuv420p",
        "color_space=smpte170m",
        "color_range=tv",
        "has_b_frames=0",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
}

#[test]
fn senseless_sizes_are_refused_in_words() {
    for (width, height, frames_per_second) in [
        (0, 0, 25),
        (15, 16, 25),
        (321, 180, 25),
        (320, 181, 25),
        (8192, 4320, 25),
        (u32::MAX, 2, 25),
        (320, 180, 0),
        (320, 180, 61),
    ] {
        let config = EncoderConfig {
            size: VideoSize::new(width, height),
            frames_per_second,
            bitrate: Bitrate(500_000),
        };
        let refused = H264Encoder::new(&config).err().expect("it is senseless");
        assert!(refused.0.contains("openh264"), "{refused}");
    }
    let mut encoder = encoder(500_000);
    let other = Canvas::new(VideoSize::new(160, 90), Colour::BLACK);
    assert!(
        encoder
            .encode(&other, MediaTime::new(0, 90_000), true)
            .is_err()
    );
}

#[test]
fn a_size_that_changes_with_every_picture_is_followed() {
    let mut decoder = H264Decoder::new().expect("it is bundled");
    let mut seen = Vec::new();
    for side in [64, 640, 128, 1280, 16, 320] {
        let size = VideoSize::new(side, side / 2 * 2);
        let config = EncoderConfig {
            size,
            frames_per_second: 25,
            bitrate: Bitrate(500_000),
        };
        let mut encoder = H264Encoder::new(&config).expect("a good size");
        let canvas = Canvas::new(size, Colour::of_rgb(200, 30, 30));
        let data = now(
            encoder.encode(&canvas, MediaTime::new(0, 90_000), true),
            true,
        );
        use amphi_studio::VideoDecoder;
        decoder
            .decode(&data, &mut |picture| seen.push(picture.size().width))
            .expect("a key frame with its own parameters");
    }
    assert_eq!(seen, [64, 640, 128, 1280, 16, 320]);
}

/// A VP9 picture may come in several frames, and only the first one's size is known before they are decoded.
#[test]
fn a_vp9_frame_of_no_reasonable_size_gets_no_memory_wherever_it_hides() {
    let huge = vp9_key_frame("8192x4352");
    let mut decoder = video_codec::decoder(Codec::Vp9).expect("it is bundled");
    let mut refused = |data: &[u8]| {
        let decoded = decoder.decode(data, &mut |_| panic!("it is shown"));
        decoded.expect_err("nobody sends that").0
    };
    assert_eq!(refused(&huge), "libvpx: the picture is too large");
    let hidden = [vp9_key_frame("320x180"), huge].concat();
    assert_eq!(refused(&hidden), "libvpx refused a frame");
    let film = coded(Codec::Vp9, 3);
    let mut shown = 0;
    for data in &film {
        decoder
            .decode(data, &mut |_| shown += 1)
            .expect("the decoder goes on");
    }
    assert_eq!(shown, 3);
}

#[test]
fn an_av1_frame_of_no_reasonable_size_or_depth_is_refused_in_words() {
    let mut decoder = video_codec::decoder(Codec::Av1).expect("it is bundled");
    let mut refused = |data: &[u8]| {
        let decoded = decoder.decode(data, &mut |_| panic!("it is shown"));
        decoded.expect_err("nobody sends that").0
    };
    let huge = av1_key_frame("8192x4352", "yuv420p");
    assert_eq!(refused(&huge), "rav1d: the picture is too large");
    let hidden = [av1_key_frame("320x180", "yuv420p"), huge].concat();
    assert_eq!(refused(&hidden), "rav1d: the picture is too large");
    for pixels in ["yuv420p10le", "yuv444p", "gray"] {
        let other = av1_key_frame("320x180", pixels);
        assert_eq!(refused(&other), "rav1d: not 8 bits 4:2:0", "{pixels}");
    }
    let mut shown = 0;
    for data in &coded(Codec::Av1, 3) {
        decoder
            .decode(data, &mut |_| shown += 1)
            .expect("the decoder goes on");
    }
    assert_eq!(shown, 3);
}

#[test]
fn a_vp8_vp9_or_av1_size_that_changes_with_every_picture_is_followed() {
    let sizes = [(64, 36), (640, 360), (16, 16), (1280, 720), (98, 50)];
    for codec in [Codec::Vp8, Codec::Vp9, Codec::Av1] {
        let mut decoder = video_codec::decoder(codec).expect("it is bundled");
        let mut seen = Vec::new();
        for (width, height) in sizes {
            let key = key_frame(codec, &format!("{width}x{height}"));
            decoder
                .decode(&key, &mut |picture| {
                    seen.push((picture.size().width, picture.size().height))
                })
                .expect("a key frame says its own size");
        }
        assert_eq!(seen, sizes, "{}", codec.name());
    }
}

/// Bits are turned over, ends cut off, pieces doubled: a decoder says no or shows something, and the next key frame helps.
#[test]
fn broken_frames_are_refused_and_a_key_frame_helps() {
    for codec in [Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1] {
        let film = coded(codec, 26);
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed % below.max(1) as u64) as usize
        };
        let mut refused = 0;
        for _ in 0..40 {
            let mut decoder = video_codec::decoder(codec).expect("it is bundled");
            for frame in &film[..10] {
                let mut broken = frame.to_vec();
                match random(4) {
                    0 => broken.truncate(random(broken.len())),
                    1 => {
                        let piece = broken[random(frame.len())..].to_vec();
                        broken.extend(piece);
                    }
                    _ => {
                        for _ in 0..=random(8) {
                            let at = random(frame.len());
                            broken[at] ^= 1 << random(8);
                        }
                    }
                }
                refused += u32::from(decoder.decode(&broken, &mut |_| {}).is_err());
            }
            let mut shown = 0;
            for _ in 0..2 {
                // Some decoders need a second one after all that.
                let _ = decoder.decode(&film[0], &mut |picture| {
                    shown += u32::from(picture.size() == SIZE);
                });
            }
            assert!(shown > 0, "{} goes on after a key frame", codec.name());
        }
        assert!(refused > 20, "{} refused {refused}", codec.name());
    }
}

#[test]
fn empty_frames_and_codecs_of_sound_are_refused() {
    for codec in [Codec::H264, Codec::Vp8, Codec::Vp9, Codec::Av1] {
        let mut decoder = video_codec::decoder(codec).expect("it is bundled");
        assert!(decoder.decode(&[], &mut |_| {}).is_err());
    }
    assert!(video_codec::decoder(Codec::Opus).is_err());
}
