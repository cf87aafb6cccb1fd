//! Reading a VP8 frame's header (RFC 6386 §9.1): key frame or not, and its size.

use crate::VideoSize;

/// What the first ten bytes of a VP8 frame tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    pub key: bool,
    /// Only key frames carry it.
    pub size: Option<VideoSize>,
}

/// Reads a whole coded VP8 frame's header. None when it is cut short or a key frame's start code is wrong.
pub fn header(frame: &[u8]) -> Option<Header> {
    let first = *frame.first()?;
    if first & 1 == 1 {
        return Some(Header {
            key: false,
            size: None,
        });
    }
    let head = frame.get(3..10)?;
    if head[..3] != [0x9d, 0x01, 0x2a] {
        return None;
    }
    let width = u32::from(u16::from_le_bytes([head[3], head[4]]) & 0x3fff);
    let height = u32::from(u16::from_le_bytes([head[5], head[6]]) & 0x3fff);
    Some(Header {
        key: true,
        size: Some(VideoSize::new(width, height)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_frame_tells_its_size_and_a_delta_frame_does_not() {
        let key = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
        assert_eq!(
            header(&key),
            Some(Header {
                key: true,
                size: Some(VideoSize::new(640, 360))
            })
        );
        assert_eq!(
            header(&[0x11]),
            Some(Header {
                key: false,
                size: None
            })
        );
        assert_eq!(header(&key[..9]), None);
        assert_eq!(header(&[0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
