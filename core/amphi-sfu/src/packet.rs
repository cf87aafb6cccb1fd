//! One authenticated media packet on its way from a publisher to subscribers and frames, and what its first bytes tell.

use std::sync::Arc;
use std::time::Instant;

use amphi_media::{Codec, VideoSize, h264, vp8, vp9};
use str0m::rtp::Vp8Descriptor;

use crate::av1::{Aggregate, Place};
use crate::format::Format;
use crate::vp9::Descriptor;

/// RFC 6184 §5.2: NAL unit types of packets that hold several units, or a piece of one.
pub(crate) const STAP_A: u8 = 24;
pub(crate) const FU_A: u8 = 28;

/// One media packet. Cloning is cheap: the payload is shared.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    /// Index of its layer, see `amphi_media::Layer`.
    pub(crate) layer: u8,
    /// Sequence number with its roll-overs, not counting packets of nothing but padding.
    pub(crate) seq: u64,
    /// RTP time as it stands in the header.
    pub(crate) timestamp: u32,
    /// RTP time with its roll-overs.
    pub(crate) time: u64,
    pub(crate) marker: bool,
    pub(crate) format: Format,
    /// RFC 6464: 0 is the loudest, 127 silence.
    pub(crate) audio_level: Option<u8>,
    pub(crate) voice: Option<bool>,
    pub(crate) payload: Arc<[u8]>,
    /// Microseconds on the publisher's wall clock.
    pub(crate) capture_us: Option<i64>,
    pub(crate) arrived: Instant,
    pub(crate) start: Start,
    /// Of AV1 only.
    pub(crate) av1: Option<Place>,
}

/// What begins with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Start {
    /// A decoder can begin here. Every audio packet is one.
    Key {
        size: Option<VideoSize>,
        parameters: Parameters,
    },
    /// It goes on from packets before.
    Delta,
}

/// Whether an H.264 key frame brings its parameter sets along.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Parameters {
    Here,
    Elsewhere,
}

impl Start {
    pub(crate) fn of(codec: Codec, payload: &[u8]) -> Self {
        match codec {
            Codec::H264 => h264_start(payload),
            Codec::Vp8 => vp8_start(payload),
            Codec::Vp9 => vp9_start(payload),
            Codec::Av1 => av1_start(payload),
            Codec::Opus | Codec::Aac => Start::Key {
                size: None,
                parameters: Parameters::Here,
            },
        }
    }
}

fn h264_start(payload: &[u8]) -> Start {
    let Some(kind) = h264::nal_type(payload) else {
        return Start::Delta;
    };
    match kind {
        h264::NAL_SPS => with_parameters(payload),
        h264::NAL_IDR => Start::Key {
            size: None,
            parameters: Parameters::Elsewhere,
        },
        STAP_A => {
            let units = || aggregated(payload).map_while(Result::ok);
            match units().find(|unit| h264::nal_type(unit) == Some(h264::NAL_SPS)) {
                Some(sps) => with_parameters(sps),
                None if units().any(|unit| h264::nal_type(unit) == Some(h264::NAL_IDR)) => {
                    Start::Key {
                        size: None,
                        parameters: Parameters::Elsewhere,
                    }
                }
                None => Start::Delta,
            }
        }
        // FU header: start bit, end bit, reserved, type (RFC 6184 §5.8).
        FU_A => match payload.get(1) {
            Some(header) if header & 0x80 != 0 && header & 0x1f == h264::NAL_IDR => Start::Key {
                size: None,
                parameters: Parameters::Elsewhere,
            },
            _ => Start::Delta,
        },
        _ => Start::Delta,
    }
}

fn with_parameters(sps: &[u8]) -> Start {
    Start::Key {
        size: h264::sps(sps).map(|sps| sps.size),
        parameters: Parameters::Here,
    }
}

/// The NAL units of a STAP-A (RFC 6184 §5.7.1); one error at the end when the last one is cut short.
pub(crate) fn aggregated(payload: &[u8]) -> impl Iterator<Item = Result<&[u8], CutShort>> {
    let mut rest = payload.get(1..).unwrap_or(&[]);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let unit = rest.split_at_checked(2).and_then(|(size, after)| {
            let size = usize::from(u16::from_be_bytes([size[0], size[1]]));
            after.split_at_checked(size).filter(|_| size > 0)
        });
        Some(match unit {
            Some((unit, after)) => {
                rest = after;
                Ok(unit)
            }
            None => {
                rest = &[];
                Err(CutShort)
            }
        })
    })
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CutShort;

fn vp8_start(payload: &[u8]) -> Start {
    match vp8_payload(payload) {
        Some((true, frame)) => match vp8::header(frame) {
            Some(header) if header.key => Start::Key {
                size: header.size,
                parameters: Parameters::Here,
            },
            _ => Start::Delta,
        },
        _ => Start::Delta,
    }
}

fn vp9_start(payload: &[u8]) -> Start {
    match Descriptor::read(payload) {
        Some(descriptor) if descriptor.begins_key_picture() => Start::Key {
            size: descriptor.size.or_else(|| {
                let frame = &payload[descriptor.bytes..];
                vp9::header(frame).and_then(|header| header.size)
            }),
            parameters: Parameters::Here,
        },
        _ => Start::Delta,
    }
}

fn av1_start(payload: &[u8]) -> Start {
    match Aggregate::read(payload).and_then(|aggregate| aggregate.begins_with()) {
        Some(size) => Start::Key {
            size: Some(size),
            parameters: Parameters::Here,
        },
        None => Start::Delta,
    }
}

/// Whether a VP8 packet begins a frame, and its bytes after the descriptor (RFC 7741 §4.2).
pub(crate) fn vp8_payload(payload: &[u8]) -> Option<(bool, &[u8])> {
    let first = *payload.first()?;
    let begins = first & 0x10 != 0 && first & 0x07 == 0;
    let mut at = 1;
    if first & 0x80 != 0 {
        let extension = *payload.get(at)?;
        at += 1;
        if extension & 0x80 != 0 {
            at += if *payload.get(at)? & 0x80 != 0 { 2 } else { 1 };
        }
        at += usize::from(extension & 0x40 != 0);
        at += usize::from(extension & 0x30 != 0);
    }
    let frame = payload.get(at..).filter(|frame| !frame.is_empty())?;
    Some((begins, frame))
}

/// The VP8 descriptor's running numbers, where it has them.
pub(crate) fn vp8_descriptor(packet: &Packet) -> Option<Vp8Descriptor> {
    (packet.format.codec == Codec::Vp8)
        .then(|| Vp8Descriptor::parse(&packet.payload).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS_720P: &[u8] = &[
        0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x28, 0x02, 0xdd, 0x80, 0xb4, 0x3c, 0x22, 0x11,
        0xa8,
    ];

    fn key(size: Option<(u32, u32)>, parameters: Parameters) -> Start {
        Start::Key {
            size: size.map(|(width, height)| VideoSize::new(width, height)),
            parameters,
        }
    }

    fn check(codec: Codec, payload: &[u8], expected: Start) {
        assert_eq!(Start::of(codec, payload), expected, "{payload:02x?}");
    }

    #[test]
    fn h264_begins_with_parameter_sets_or_an_idr() {
        let mut stap = vec![0x78, 0, SPS_720P.len() as u8];
        stap.extend_from_slice(SPS_720P);
        stap.extend_from_slice(&[0, 2, 0x68, 0xce]);
        check(Codec::H264, &stap, key(Some((1280, 720)), Parameters::Here));
        check(
            Codec::H264,
            SPS_720P,
            key(Some((1280, 720)), Parameters::Here),
        );
        check(Codec::H264, &[0x65, 1], key(None, Parameters::Elsewhere));
        check(
            Codec::H264,
            &[0x7c, 0x85, 1],
            key(None, Parameters::Elsewhere),
        );
        check(Codec::H264, &[0x7c, 0x05, 1], Start::Delta);
        check(Codec::H264, &[0x7c, 0x81, 1], Start::Delta);
        check(Codec::H264, &[0x41, 1], Start::Delta);
        check(Codec::H264, &[0x7c], Start::Delta);
        check(Codec::H264, &[0x78, 0, 9, 0x67], Start::Delta);
        check(Codec::H264, &[], Start::Delta);
    }

    #[test]
    fn vp8_begins_with_the_first_partition_of_a_key_frame() {
        let header = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
        let with = |descriptor: &[u8]| [descriptor, &header[..]].concat();
        check(
            Codec::Vp8,
            &with(&[0x10]),
            key(Some((640, 360)), Parameters::Here),
        );
        check(
            Codec::Vp8,
            &with(&[0x90, 0xe0, 0x81, 0x23, 7, 0x20]),
            key(Some((640, 360)), Parameters::Here),
        );
        check(
            Codec::Vp8,
            &with(&[0x90, 0x80, 0x12]),
            key(Some((640, 360)), Parameters::Here),
        );
        check(Codec::Vp8, &with(&[0x00]), Start::Delta);
        check(Codec::Vp8, &[0x10, 0x11], Start::Delta);
        check(Codec::Vp8, &[0x90, 0x80], Start::Delta);
        check(Codec::Vp8, &[], Start::Delta);
    }

    #[test]
    fn vp9_begins_with_the_lowest_layer_of_a_picture_that_needs_none_before() {
        let frame = [0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70];
        let with = |descriptor: &[u8]| [descriptor, &frame[..]].concat();
        check(
            Codec::Vp9,
            &with(&[0xa8, 0x81, 0x23, 0x00, 7]),
            key(Some((640, 360)), Parameters::Here),
        );
        // The structure knows of larger layers than the first frame.
        check(
            Codec::Vp9,
            &with(&[0x0a, 0x30, 1, 64, 0, 180, 2, 128, 1, 104]),
            key(Some((640, 360)), Parameters::Here),
        );
        check(
            Codec::Vp9,
            &with(&[0xa8, 0x81, 0x23, 0x02, 7]),
            Start::Delta,
        );
        check(
            Codec::Vp9,
            &with(&[0xe8, 0x81, 0x23, 0x00, 7]),
            Start::Delta,
        );
        check(
            Codec::Vp9,
            &with(&[0xa0, 0x81, 0x23, 0x00, 7]),
            Start::Delta,
        );
        check(Codec::Vp9, &[0xa8, 0x81], Start::Delta);
    }

    #[test]
    fn a_cut_aggregate_ends_with_one_error() {
        let units: Vec<_> = aggregated(&[0x78, 0, 1, 0x67, 0, 5, 1]).collect();
        assert_eq!(units, [Ok(&[0x67][..]), Err(CutShort)]);
        assert_eq!(
            aggregated(&[0x78, 0, 0]).collect::<Vec<_>>(),
            [Err(CutShort)]
        );
        assert_eq!(aggregated(&[]).count(), 0);
    }
}
