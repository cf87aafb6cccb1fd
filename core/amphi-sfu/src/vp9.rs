//! VP9 in RTP (RFC 9628): what a packet's payload descriptor says, and which packets of a stream with several spatial
//! layers (SVC) go to whom.
//!
//! A publisher that sends SVC puts all its layers into one stream: each picture has a frame of each layer, lowest first, and
//! each frame needs those below it. Whoever wants less is sent the lower ones alone.

use amphi_media::{Codec, Layer, VideoSize};

use crate::packet::Packet;
use crate::padding::Numbering;

/// What a payload descriptor tells (RFC 9628 §4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Descriptor {
    /// It goes on from the pictures before.
    pub(crate) inter_picture: bool,
    /// A layer's frame begins, or ends, with this packet.
    pub(crate) begins: bool,
    pub(crate) ends: bool,
    /// Spatial layer, lowest first; 0 where the stream has one only.
    pub(crate) spatial: u8,
    /// The size of the largest layer, if the packet tells the stream's structure.
    pub(crate) size: Option<VideoSize>,
    /// Where the frame's bytes begin in the payload.
    pub(crate) bytes: usize,
}

impl Descriptor {
    /// None when it is cut short or nothing follows it.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let mut rest = Reader { payload, at: 0 };
        let first = rest.byte()?;
        let has = |bit: u8| first & bit != 0;
        let (flexible, inter_picture) = (has(0x10), has(0x40));
        if has(0x80) && rest.byte()? & 0x80 != 0 {
            rest.byte()?;
        }
        let mut spatial = 0;
        if has(0x20) {
            spatial = rest.byte()? >> 1 & 0x07;
            if !flexible {
                let _tl0_picture = rest.byte()?;
            }
        }
        if flexible && inter_picture {
            let mut references = 1;
            while rest.byte()? & 1 != 0 {
                references += 1;
                if references > 3 {
                    return None;
                }
            }
        }
        let size = if has(0x02) { rest.structure()? } else { None };
        (rest.at < payload.len()).then_some(Self {
            inter_picture,
            begins: has(0x08),
            ends: has(0x04),
            spatial,
            size,
            bytes: rest.at,
        })
    }

    /// The first packet of a picture that needs none before it.
    pub(crate) fn begins_key_picture(&self) -> bool {
        self.begins && self.spatial == 0 && !self.inter_picture
    }

    /// None for other codecs, and for what does not follow the RFC.
    pub(crate) fn of(packet: &Packet) -> Option<Self> {
        (packet.format.codec == Codec::Vp9)
            .then(|| Self::read(&packet.payload))
            .flatten()
    }
}

struct Reader<'a> {
    payload: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.payload.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// The scalability structure (RFC 9628 §4.2.1); from it the size of the largest layer, where it tells sizes.
    fn structure(&mut self) -> Option<Option<VideoSize>> {
        let head = self.byte()?;
        let mut size = None;
        if head & 0x10 != 0 {
            for _ in 0..=head >> 5 {
                let mut side = || Some(u32::from(self.byte()?) << 8 | u32::from(self.byte()?));
                size = Some(VideoSize::new(side()?, side()?));
            }
        }
        if head & 0x08 != 0 {
            for _ in 0..self.byte()? {
                let references = self.byte()? >> 2 & 0x03;
                for _ in 0..references {
                    self.byte()?;
                }
            }
        }
        Some(size.filter(|size| size.pixels() > 0))
    }
}

/// How many spatial layers of a stream one line carries. It carries fewer from the next picture on, more from the next
/// picture that needs none before it: in the modes that browsers send, an upper layer goes on from itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut {
    /// The highest one carried; none before the line carries anything.
    most: Option<u8>,
    /// The first packet it holds for, and what held for those before, of which some may come late.
    since: u64,
    before: u8,
    numbering: Numbering,
}

/// What becomes of a packet on a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Passed {
    /// Its number among those that pass; none for one that does not.
    pub(crate) seq: Option<u64>,
    /// Only its number passes. It came when those after it had theirs, and a number that stays open is taken for a loss.
    pub(crate) hollow: bool,
    pub(crate) marker: bool,
    /// More is wanted than is carried, which takes a key frame.
    pub(crate) hungry: bool,
}

impl Cut {
    /// The line carries another stream from the next packet on.
    pub(crate) fn begin(&mut self) {
        *self = Self::default();
    }

    /// `entry`: a decoder can start with this packet, and nothing that comes after it has gone by. `wanted`: spatial layers
    /// are to be carried up to this one. What has no layers passes as it is.
    pub(crate) fn pass(
        &mut self,
        packet: &Packet,
        entry: bool,
        descriptor: Option<Descriptor>,
        wanted: Layer,
    ) -> Passed {
        let Some(descriptor) = descriptor else {
            return Passed {
                seq: match packet.format.codec {
                    Codec::Vp9 | Codec::Av1 => self.numbering.number(packet.seq),
                    _ => Some(packet.seq),
                },
                hollow: false,
                marker: packet.marker,
                hungry: false,
            };
        };
        if self.numbering.restarts_at(packet.seq) {
            self.since = 0;
        }
        let late = self.numbering.is_late(packet.seq);
        let begins_picture = descriptor.begins && descriptor.spatial == 0;
        let changes = match self.most {
            None => true,
            Some(most) if most < wanted.0 => entry,
            // Of a picture whose beginning came late the upper layers are sent already.
            Some(most) => most > wanted.0 && begins_picture && !late,
        };
        if changes {
            self.before = self.most.unwrap_or(wanted.0);
            self.most = Some(wanted.0);
            self.since = packet.seq;
        }
        let most = match self.most {
            Some(most) if packet.seq >= self.since => most,
            _ => self.before,
        };
        let hungry = most < wanted.0 && descriptor.spatial > most;
        if descriptor.spatial > most {
            let hole = self.numbering.skip(packet.seq);
            return Passed {
                seq: hole,
                hollow: hole.is_some(),
                marker: false,
                hungry,
            };
        }
        Passed {
            seq: self.numbering.number(packet.seq),
            hollow: false,
            // The last packet of the highest layer that passes is the picture's last.
            marker: packet.marker || (descriptor.ends && descriptor.spatial == most),
            hungry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A descriptor of Chromium's: 15 bits of picture id, layer indices, TL0PICIDX.
    fn descriptor(flags: u8, spatial: u8) -> Vec<u8> {
        vec![0xa0 | flags, 0x81, 0x23, spatial << 1, 7]
    }

    fn read(payload: &[u8]) -> Descriptor {
        Descriptor::read(payload).expect("a whole descriptor")
    }

    #[test]
    fn a_descriptor_tells_layer_and_frame_borders() {
        let payload = [&descriptor(0x48, 2)[..], &[1]].concat();
        let middle = read(&payload);
        assert_eq!(
            (middle.spatial, middle.begins, middle.ends, middle.bytes),
            (2, true, false, 5)
        );
        assert!(middle.inter_picture && !middle.begins_key_picture());
        assert!(read(&[&descriptor(0x08, 0)[..], &[1]].concat()).begins_key_picture());
        assert!(!read(&[&descriptor(0x08, 1)[..], &[1]].concat()).begins_key_picture());
        // Picture id of 7 bits; nothing but the first byte.
        assert_eq!(read(&[0x80, 0x12, 1]).bytes, 2);
        assert_eq!(read(&[0x0c, 1]).bytes, 1);
    }

    #[test]
    fn the_largest_layer_stands_last_in_the_structure() {
        let mut payload = descriptor(0x0a, 0);
        // Three layers with sizes; one picture in the group, with one reference.
        payload.extend_from_slice(&[0x58, 0, 160, 0, 90, 1, 64, 0, 180, 2, 128, 1, 104]);
        payload.extend_from_slice(&[1, 0x04, 1, 0x99]);
        let first = read(&payload);
        assert_eq!(first.size, Some(VideoSize::new(640, 360)));
        assert_eq!(payload[first.bytes..], [0x99]);
        for length in 0..payload.len() {
            assert_eq!(Descriptor::read(&payload[..length]), None, "{length}");
        }
    }

    #[test]
    fn references_of_the_flexible_mode_are_three_at_most() {
        assert_eq!(read(&[0x50, 3, 5, 4, 1]).bytes, 4);
        assert_eq!(Descriptor::read(&[0x50, 3, 5, 7, 4, 1]), None);
        // Without TL0PICIDX, which the flexible mode has not.
        assert_eq!(read(&[0x30, 0x02, 1]).bytes, 2);
    }
}
