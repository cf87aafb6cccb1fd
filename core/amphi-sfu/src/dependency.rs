//! The dependency descriptor (AOMedia, RTP Payload Format For AV1, appendix A): a header extension by which a receiver knows,
//! without reading the picture, which frame a packet is of and which frames that one needs.
//!
//! It goes along as it came, but for the number of the frame, which goes on when a line carries another source. Nothing here
//! reads more of it: its form depends on a structure that only key frames bring along.

use std::sync::Arc;

use str0m::rtp::{Extension, ExtensionSerializer, ExtensionValues};

const URI: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

/// Two flags and a template's number, then the frame's.
const MANDATORY_BYTES: usize = 3;

/// Longest one that goes along: so many fit into a packet beside the largest payload.
const BYTES_MAX: usize = 200;

/// What the one-byte form of header extensions holds (RFC 8285 §4.2).
const ONE_BYTE_FORM_MAX: usize = 16;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Dependency(Arc<[u8]>);

impl Dependency {
    /// None when it is too short or too long to be one.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        (MANDATORY_BYTES..=BYTES_MAX)
            .contains(&bytes.len())
            .then(|| Self(bytes.into()))
    }

    /// None when the packet has none, or a senseless one.
    pub(crate) fn of(values: &ExtensionValues) -> Option<Self> {
        values.user_values.get::<Self>().cloned()
    }

    /// A layer's frame begins with this packet.
    pub(crate) fn begins(&self) -> bool {
        self.0[0] & 0x80 != 0
    }

    /// A layer's frame ends with this packet.
    pub(crate) fn ends(&self) -> bool {
        self.0[0] & 0x40 != 0
    }

    pub(crate) fn frame(&self) -> u16 {
        u16::from_be_bytes([self.0[1], self.0[2]])
    }

    pub(crate) fn numbered(&self, frame: u16) -> Self {
        if self.frame() == frame {
            return self.clone();
        }
        let mut bytes = self.0.to_vec();
        bytes[1..3].copy_from_slice(&frame.to_be_bytes());
        Self(bytes.into())
    }
}

/// What the WebRTC library needs to know of it.
pub(crate) fn extension() -> Extension {
    Extension::with_serializer(URI, Serializer)
}

#[derive(Debug)]
struct Serializer;

impl ExtensionSerializer for Serializer {
    fn write_to(&self, buffer: &mut [u8], values: &ExtensionValues) -> usize {
        let Some(Dependency(bytes)) = values.user_values.get::<Dependency>() else {
            return 0;
        };
        match buffer.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                bytes.len()
            }
            None => 0,
        }
    }

    fn parse_value(&self, bytes: &[u8], values: &mut ExtensionValues) -> bool {
        match Dependency::read(bytes) {
            Some(dependency) => {
                values.user_values.set(dependency);
                true
            }
            None => false,
        }
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        false
    }

    fn requires_two_byte_form(&self, values: &ExtensionValues) -> bool {
        values
            .user_values
            .get::<Dependency>()
            .is_some_and(|Dependency(bytes)| bytes.len() > ONE_BYTE_FORM_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_along_as_it_came_but_for_the_frames_number() {
        let long = [&[0x80, 0xff, 0xff], &[7; 30][..]].concat();
        for bytes in [&[0xc1, 0x12, 0x34][..], &long] {
            let mut values = ExtensionValues::default();
            assert!(Serializer.parse_value(bytes, &mut values));
            assert_eq!(Serializer.requires_two_byte_form(&values), bytes.len() > 16);
            let dependency = Dependency::of(&values).expect("it was read");
            values.user_values.set(dependency.numbered(0x0102));
            let mut buffer = [0; 64];
            let length = Serializer.write_to(&mut buffer, &values);
            let expected = [&bytes[..1], &[0x01, 0x02], &bytes[3..]].concat();
            assert_eq!(buffer[..length], expected);
            assert_eq!(Serializer.write_to(&mut [0; 2], &values), 0, "no room");
        }
    }

    #[test]
    fn what_cannot_be_one_is_left_out() {
        for bytes in [&[][..], &[0xc0, 1], &[0; 201]] {
            let mut values = ExtensionValues::default();
            assert!(!Serializer.parse_value(bytes, &mut values));
            assert_eq!(Dependency::of(&values), None);
            assert_eq!(Serializer.write_to(&mut [0; 8], &values), 0);
        }
    }
}
