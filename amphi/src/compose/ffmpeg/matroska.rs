//! Writing uncompressed pictures as Matroska (RFC 9559), which says when each is shown, how many there are a second and which colours
//! they are in: without the rate, encoders spend their bits wrongly. Nothing is written that a reader would have to wait for.

use amphi_media::VideoSize;
use amphi_studio::canvas::Canvas;

/// Ticks per second of what is written. There are two per millisecond, and pictures are at whole milliseconds: the half that is left
/// says whether a picture is to be a key frame ([`super::command`] tells ffmpeg to look at it).
pub const TICKS: i64 = 2_000;
const TICK_NS: u64 = 1_000_000_000 / TICKS as u64;

/// Of a master element that lasts until the end.
const UNKNOWN_SIZE: [u8; 8] = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
/// `MatrixCoefficients`, `TransferCharacteristics` and `Primaries` of BT.601 (ITU-T H.273, SMPTE 170M), and its limited range:
/// what the canvas is in.
const SMPTE_170M: u64 = 6;
const LIMITED: u64 = 1;

/// What stands before the first picture.
pub fn head(size: VideoSize, frames_per_second: u32) -> Vec<u8> {
    let ebml = [
        number(&[0x42, 0x86], 1),
        number(&[0x42, 0xf7], 1),
        number(&[0x42, 0xf2], 4),
        number(&[0x42, 0xf3], 8),
        element(&[0x42, 0x82], b"matroska"),
        number(&[0x42, 0x87], 4),
        number(&[0x42, 0x85], 2),
    ];
    let info = [
        number(&[0x2a, 0xd7, 0xb1], TICK_NS),
        element(&[0x4d, 0x80], b"amphi"),
        element(&[0x57, 0x41], b"amphi"),
    ];
    let colour = [
        number(&[0x55, 0xb1], SMPTE_170M),
        number(&[0x55, 0xb9], LIMITED),
        number(&[0x55, 0xba], SMPTE_170M),
        number(&[0x55, 0xbb], SMPTE_170M),
    ];
    let video = [
        number(&[0xb0], size.width.into()),
        number(&[0xba], size.height.into()),
        element(&[0x2e, 0xb5, 0x24], b"I420"),
        element(&[0x55, 0xb0], &colour.concat()),
    ];
    let entry = [
        number(&[0xd7], 1),
        number(&[0x73, 0xc5], 1),
        number(&[0x83], 1),
        number(&[0x9c], 0),
        element(&[0x86], b"V_UNCOMPRESSED"),
        number(
            &[0x23, 0xe3, 0x83],
            1_000_000_000 / u64::from(frames_per_second.max(1)),
        ),
        element(&[0xe0], &video.concat()),
    ];
    let tracks = element(&[0xae], &entry.concat());
    [
        element(&[0x1a, 0x45, 0xdf, 0xa3], &ebml.concat()),
        [&[0x18, 0x53, 0x80, 0x67], &UNKNOWN_SIZE[..]].concat(),
        element(&[0x15, 0x49, 0xa9, 0x66], &info.concat()),
        element(&[0x16, 0x54, 0xae, 0x6b], &tracks),
    ]
    .concat()
}

/// One picture, so many milliseconds after the first, in a cluster of its own.
pub fn picture(canvas: &Canvas, time_ms: i64, key: bool) -> Vec<u8> {
    let planes = canvas.planes();
    let ticks = time_ms * TICKS / 1_000 + i64::from(key);
    let timestamp = number(&[0xe7], u64::try_from(ticks).unwrap_or(0));
    // Track 1, at the time of the cluster; a picture that stands for itself (RFC 9559 §10.2).
    let head = [0x81, 0, 0, 0x80];
    let pixels: usize = planes.iter().map(|plane| plane.len()).sum();
    let block = pixels + head.len();
    let mut bytes = Vec::with_capacity(block + 64);
    bytes.extend([0x1f, 0x43, 0xb6, 0x75]);
    bytes.extend(size(timestamp.len() + 1 + 8 + block));
    bytes.extend(timestamp);
    bytes.push(0xa3);
    bytes.extend(size(block));
    bytes.extend(head);
    for plane in planes {
        bytes.extend_from_slice(plane);
    }
    bytes
}

/// A number that is not negative, in eight bytes: shorter ones would do, and nobody would be the better for it.
fn number(id: &[u8], value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
    [id, &size(content.len()), content].concat()
}

/// A length in eight bytes (RFC 8794 §4).
fn size(length: usize) -> [u8; 8] {
    ((1 << 56) | length as u64).to_be_bytes()
}
