//! AV1 in RTP (AOMedia, RTP Payload Format For AV1, §4.4): the pieces of units that a packet has.
//!
//! Of a stream with several spatial layers (SVC) those are sent all of it who take dependency descriptors, and show the best
//! layer; the others the lowest one alone.

use amphi_media::{VideoSize, av1};

use crate::dependency::Dependency;
use crate::vp9::Descriptor;

/// One packet's payload behind its aggregation header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Aggregate<'a> {
    /// The first piece goes on with the last one of the packet before.
    pub(crate) goes_on: bool,
    /// The last piece is gone on with by the packet after.
    open: bool,
    /// A coded video sequence begins.
    begins: bool,
    /// How many pieces there are, the last one without its length; none: each has its length.
    count: Option<u8>,
    pieces: &'a [u8],
}

/// A unit, or a piece of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) bytes: &'a [u8],
    /// The unit ends with it.
    pub(crate) ends: bool,
}

/// A length says more than is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CutShort;

impl<'a> Aggregate<'a> {
    /// None when nothing follows the header, or it says what cannot be.
    pub(crate) fn read(payload: &'a [u8]) -> Option<Self> {
        let (head, pieces) = payload.split_first()?;
        let has = |bit: u8| head & bit != 0;
        let (goes_on, begins) = (has(0x80), has(0x08));
        let count = head >> 4 & 0x03;
        // What begins cannot go on.
        if pieces.is_empty() || (goes_on && begins) {
            return None;
        }
        Some(Self {
            goes_on,
            open: has(0x40),
            begins,
            count: (count > 0).then_some(count),
            pieces,
        })
    }

    /// The pieces in order; one error at the end when the last one is cut short, or there are fewer than were said.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Result<Piece<'a>, CutShort>> {
        let Self {
            open,
            count: mut left,
            pieces: mut rest,
            ..
        } = *self;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                let missing = left.take().is_some_and(|left| left > 0);
                return missing.then_some(Err(CutShort));
            }
            let (bytes, after) = match left {
                Some(1) => (rest, &[][..]),
                _ => {
                    let piece = av1::leb128(rest)
                        .and_then(|(length, behind)| behind.split_at_checked(length));
                    let Some(piece) = piece else {
                        (rest, left) = (&[], None);
                        return Some(Err(CutShort));
                    };
                    piece
                }
            };
            rest = after;
            left = left.map(|left| left - 1);
            let ends = !(open && rest.is_empty());
            Some(Ok(Piece { bytes, ends }))
        })
    }

    /// The size that the sequence header tells which the packet begins with, if a decoder can begin with the packet.
    pub(crate) fn begins_with(&self) -> Option<VideoSize> {
        if !self.begins {
            return None;
        }
        self.pieces()
            .map_while(Result::ok)
            .filter(|piece| piece.ends)
            .filter_map(|piece| av1::Obu::split(piece.bytes))
            .find(|(obu, _)| obu.kind == av1::OBU_SEQUENCE_HEADER)
            .and_then(|(obu, _)| av1::sequence_header(obu.payload))
            .map(|sequence| sequence.size)
    }
}

/// Where in its picture a packet stands.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Spatial layer, lowest first.
    pub(crate) spatial: u8,
    /// A layer's frame begins, or ends, with this packet.
    pub(crate) begins: bool,
    pub(crate) ends: bool,
    pub(crate) dependency: Option<Dependency>,
}

impl Place {
    /// What VP9 says of it in each packet.
    pub(crate) fn descriptor(&self) -> Descriptor {
        Descriptor {
            inter_picture: true,
            begins: self.begins,
            ends: self.ends,
            spatial: self.spatial,
            size: None,
            bytes: 0,
        }
    }
}

/// The places of a stream's packets. Only the first piece of a unit says which layer it is of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Places {
    begun: Option<Begun>,
    /// Several spatial layers have been seen.
    layered: bool,
}

/// The newest unit that was begun.
#[derive(Clone, Copy, Debug)]
struct Begun {
    seq: u64,
    timestamp: u32,
    spatial: u8,
}

impl Places {
    /// A piece whose beginning has not come is taken for one of the lowest layer, with which pictures begin.
    ///
    /// A unit that ends is not yet a frame that ends: headers and groups of tiles are units too. The descriptor knows; without one
    /// the end of a unit has to do, for streams of several layers alone, since the marker tells it of the others.
    pub(crate) fn of(
        &mut self,
        seq: u64,
        timestamp: u32,
        payload: &[u8],
        dependency: Option<Dependency>,
    ) -> Place {
        let aggregate = Aggregate::read(payload);
        let goes_on = aggregate.is_some_and(|aggregate| aggregate.goes_on);
        let open = aggregate.is_some_and(|aggregate| aggregate.open);
        let before = self
            .begun
            .filter(|begun| begun.timestamp == timestamp && begun.seq < seq)
            .map_or(0, |begun| begun.spatial);
        // What begins in the packet is of the layer of its last unit.
        let begins = aggregate.and_then(|aggregate| {
            let pieces = aggregate.pieces().map_while(Result::ok);
            let first = usize::from(goes_on);
            let last = pieces.skip(first).last()?;
            av1::spatial(last.bytes)
        });
        let spatial = begins.unwrap_or(before);
        if begins.is_some() && self.begun.is_none_or(|begun| begun.seq < seq) {
            self.begun = Some(Begun {
                seq,
                timestamp,
                spatial,
            });
        }
        self.layered |= spatial > 0;
        let (begins, ends) = match &dependency {
            Some(dependency) => (dependency.begins(), dependency.ends()),
            None => (!goes_on, !open && self.layered),
        };
        Place {
            spatial,
            begins,
            ends,
            dependency,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each piece and whether its unit ends; none for the error.
    fn pieces(payload: &[u8]) -> Vec<Option<(&[u8], bool)>> {
        let aggregate = Aggregate::read(payload).expect("a header and more");
        let pieces = aggregate.pieces().map(Result::ok);
        pieces
            .map(|piece| piece.map(|Piece { bytes, ends }| (bytes, ends)))
            .collect()
    }

    #[test]
    fn pieces_have_their_lengths_but_for_the_last_of_those_that_are_counted() {
        fn whole(bytes: &[u8]) -> Option<(&[u8], bool)> {
            Some((bytes, true))
        }
        assert_eq!(
            pieces(&[0x00, 1, 7, 2, 8, 9]),
            [whole(&[7]), whole(&[8, 9])]
        );
        assert_eq!(pieces(&[0x10, 1, 7]), [whole(&[1, 7])]);
        assert_eq!(pieces(&[0x20, 1, 7, 8, 9]), [whole(&[7]), whole(&[8, 9])]);
        assert_eq!(
            pieces(&[0x70, 0, 1, 7, 8]),
            [whole(&[]), whole(&[7]), Some((&[8][..], false))],
            "the last one goes on in the next packet"
        );
    }

    #[test]
    fn what_is_cut_short_ends_with_one_error() {
        assert_eq!(pieces(&[0x00, 3, 7, 8]), [None]);
        assert_eq!(pieces(&[0x00, 1, 7, 0x80]), [Some((&[7][..], true)), None]);
        assert_eq!(pieces(&[0x20, 1, 7]), [Some((&[7][..], true)), None]);
        assert_eq!(Aggregate::read(&[]), None);
        assert_eq!(Aggregate::read(&[0x10]), None);
        assert_eq!(Aggregate::read(&[0x98, 1]), None, "it goes on and begins");
    }

    #[test]
    fn pieces_are_of_the_layer_of_their_unit() {
        let mut places = Places::default();
        let mut check = |seq, timestamp, payload: &[u8], expected| {
            let place = places.of(seq, timestamp, payload, None);
            assert_eq!((place.spatial, place.begins, place.ends), expected);
        };
        check(1, 1, &[0x50, 0x34, 0x00, 7], (0, true, false));
        // So far the stream has one layer, and its marker says where frames end.
        check(2, 1, &[0x90, 7], (0, false, false));
        check(3, 1, &[0x50, 0x34, 0x08, 7], (1, true, false));
        check(4, 1, &[0xd0, 0x34, 0x10], (1, false, false));
        check(5, 1, &[0x90, 7], (1, false, true));
        // Its beginning is late.
        check(7, 2, &[0x90, 7], (0, false, true));
        check(6, 2, &[0x50, 0x34, 0x40, 7], (0, true, false));
        check(8, 2, &[0x10, 0x30, 7], (0, true, true));
        check(9, 3, &[0x10], (0, true, true));
    }

    #[test]
    fn a_header_in_a_packet_of_its_own_ends_no_frame() {
        let mut places = Places::default();
        let header = [0x18, 0x0a, 0x0b, 0x00];
        assert!(!places.of(1, 1, &header, None).ends);
        let dependency = |flags| Dependency::read(&[flags, 0, 1]);
        let place = places.of(2, 2, &header, dependency(0x80));
        assert_eq!((place.begins, place.ends), (true, false));
        // The frame's second group of tiles, in a unit of its own.
        let place = places.of(3, 2, &[0x10, 0x20, 7], dependency(0x40));
        assert_eq!((place.begins, place.ends), (false, true));
    }

    #[test]
    fn a_sequence_begins_with_its_header() {
        let header = [
            0x08, 0x00, 0x00, 0x00, 0x04, 0x3c, 0xfe, 0xcc, 0xda, 0xf9, 0x00, 0x40,
        ];
        let packet = |head: u8| [&[head, header.len() as u8], &header[..], &[0x30, 0x10]].concat();
        let begins_with = |payload: &[u8]| Aggregate::read(payload)?.begins_with();
        let size = Some(VideoSize::new(320, 180));
        assert_eq!(begins_with(&packet(0x28)), size);
        assert_eq!(begins_with(&packet(0x68)), size, "the frame goes on");
        assert_eq!(begins_with(&packet(0x20)), None, "it is not said to begin");
        assert_eq!(begins_with(&[0x18, 0x30, 0x10]), None, "no header");
    }
}
