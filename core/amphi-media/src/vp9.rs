//! Reading a VP9 frame's header (VP9 bitstream specification, §6.2): key frame or not, and its size.

use crate::VideoSize;
use crate::bits::Bits;

/// What the first bytes of a VP9 frame tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub key: bool,
    /// Only key frames carry it.
    pub size: Option<VideoSize>,
}

/// "IB" and two letters more (§6.2.2).
const SYNC_CODE: u32 = 0x49_83_42;

/// The colour space that has no choice of its range (§7.2.2).
const RGB: u32 = 7;

/// Reads a coded VP9 frame's header. None when it is cut short or a key frame's sync code is wrong.
pub fn header(frame: &[u8]) -> Option<Header> {
    let mut bits = Bits::new(frame);
    if bits.take(2)? != 2 {
        return None;
    }
    let profile = bits.take(1)? | bits.take(1)? << 1;
    if profile == 3 {
        bits.take(1)?;
    }
    let delta = Header {
        key: false,
        size: None,
    };
    // One that was decoded before is shown again.
    if bits.take(1)? == 1 {
        return Some(delta);
    }
    let is_delta = bits.take(1)? == 1;
    if is_delta {
        return Some(delta);
    }
    let _shown_and_resilient = bits.take(2)?;
    if bits.take(24)? != SYNC_CODE {
        return None;
    }
    if profile >= 2 {
        let _twelve_bits = bits.take(1)?;
    }
    if bits.take(3)? != RGB {
        let _range = bits.take(1)?;
        if profile % 2 == 1 {
            let _subsampling_and_reserved = bits.take(3)?;
        }
    } else if profile % 2 == 1 {
        let _reserved = bits.take(1)?;
    }
    let (width, height) = (bits.take(16)? + 1, bits.take(16)? + 1);
    Some(Header {
        key: true,
        size: Some(VideoSize::new(width, height)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What libvpx writes for 640 × 360 in profile 0: marker 2, profile 0, shown, no error resilience, BT.601.
    const KEY: [u8; 10] = [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70, 0];

    #[test]
    fn a_key_frame_tells_its_size_and_a_delta_frame_does_not() {
        let key = Header {
            key: true,
            size: Some(VideoSize::new(640, 360)),
        };
        assert_eq!(header(&KEY), Some(key));
        let delta = Header {
            key: false,
            size: None,
        };
        assert_eq!(header(&[0x86, 0]), Some(delta));
        assert_eq!(header(&[0x88]), Some(delta), "an older one is shown again");
    }

    #[test]
    fn what_is_no_frame_is_not_read() {
        assert_eq!(header(&[]), None);
        assert_eq!(header(&[0x42, 0x49, 0x83, 0x42]), None, "no frame marker");
        assert_eq!(header(&[0x82, 0x49, 0x83, 0x43, 0x20]), None);
        for length in 1..9 {
            assert_eq!(header(&KEY[..length]), None, "cut after {length} bytes");
        }
    }

    #[test]
    fn the_other_profiles_have_more_bits_before_the_size() {
        // Profile 1 (4:4:4): three bits more after the colour's range.
        let mut key = Vec::new();
        let mut bits = String::from("10100010");
        bits += "010010011000001101000010";
        bits += "0010000";
        bits += "00000010011111110000000101100111";
        while bits.len() % 8 != 0 {
            bits.push('0');
        }
        for byte in bits.as_bytes().chunks(8) {
            let byte = std::str::from_utf8(byte).expect("digits");
            key.push(u8::from_str_radix(byte, 2).expect("digits"));
        }
        let size = header(&key).and_then(|header| header.size);
        assert_eq!(size, Some(VideoSize::new(640, 360)));
    }
}
