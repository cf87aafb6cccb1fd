//! Frames that look like coded ones from outside, and say which they are.

use peer::Codec;

use crate::model::Media;

/// The longest parameter set in [`coded`].
pub(crate) const PARAMETER_SET_BYTES_MAX: usize = 16;

/// The last bytes of a payload: which packet it is. As text, so that it is no start code and ends in no zero.
pub(crate) fn stamp(media: Media, number: u32) -> String {
    format!("<{:08x}{number:08x}>", media.0)
}

pub(crate) fn read_stamp(payload: &[u8]) -> Option<(Media, u32)> {
    let text = std::str::from_utf8(payload.get(payload.len().checked_sub(18)?..)?).ok()?;
    let text = text.strip_prefix('<')?.strip_suffix('>')?;
    let (media, number) = text.split_at_checked(8)?;
    Some((
        Media(u32::from_str_radix(media, 16).ok()?),
        u32::from_str_radix(number, 16).ok()?,
    ))
}

/// A frame that looks like one from outside; nobody in here decodes it.
pub(crate) fn coded(codec: Codec, key: bool, stamp: &str) -> Vec<u8> {
    if codec == Codec::Av1 {
        return av1(key, stamp.as_bytes());
    }
    let head: &[u8] = match (codec, key) {
        (Codec::Opus, _) => &[0xfc, 0xff, 0xfe],
        (Codec::Vp8, true) => &[0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01],
        (Codec::Vp8, false) => &[0x11, 0, 0],
        (Codec::Vp9, true) => &[0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70],
        (Codec::Vp9, false) => &[0x86, 0],
        // Constrained baseline 3.1, 1280×720: parameter sets, then a slice.
        (Codec::H264, true) => &[
            0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x28, 0x02, 0xdd, 0x80, 0xb4,
            0x3c, 0x22, 0x11, 0xa8, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80, 0, 0, 0, 1, 0x65, 0x88,
        ],
        (Codec::H264, false) => &[0, 0, 0, 1, 0x41, 0x9a],
        (Codec::Av1, _) => &[],
    };
    [head, stamp.as_bytes()].concat()
}

/// 320 × 180. A unit's size stands in front of it.
fn av1(key: bool, stamp: &[u8]) -> Vec<u8> {
    let sequence: &[u8] = match key {
        true => &[
            0x0a, 11, 0x00, 0x00, 0x00, 0x04, 0x3c, 0xfe, 0xcc, 0xda, 0xf9, 0x00, 0x40,
        ],
        false => &[],
    };
    let size = u8::try_from(1 + stamp.len()).expect("a stamp is short");
    let frame = [0x32, size, if key { 0x10 } else { 0x30 }];
    [sequence, &frame, stamp].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_at_the_end_of_every_kind_of_frame() {
        for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::H264] {
            for key in [true, false] {
                let frame = coded(codec, key, &stamp(Media(7), 300));
                let payloads = peer::packet::packetize(codec, &frame, 1);
                let last = payloads.last().expect("a packet");
                assert_eq!(read_stamp(last), Some((Media(7), 300)), "{codec:?}");
            }
        }
        assert_eq!(read_stamp(&[0; 18]), None);
        assert_eq!(read_stamp(b"short"), None);
    }
}
