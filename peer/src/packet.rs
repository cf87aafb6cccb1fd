//! Cutting coded frames into RTP payloads: H.264 (RFC 6184, single units and FU-A), VP8 (RFC 7741), VP9
//! (RFC 9628, one layer), AV1 (AOMedia's payload format) and Opus (RFC 7587).

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::Codec;

/// Largest RTP payload that is made. Leaves room for headers, extensions, SRTP and an IPv6 tunnel in 1,280 bytes.
pub const PAYLOAD_BYTES_MAX: usize = 1_100;

/// FU-A (RFC 6184 §5.8).
const FRAGMENT: u8 = 28;

/// Makes the payloads of one coded frame, in order; the last one carries the marker for video.
///
/// `frame`: H.264 in Annex B form, one VP8 or VP9 frame, a temporal unit of AV1 in
/// which each unit has its size, or one Opus packet. `picture_id` counts frames and
/// is only used for VP8 and VP9.
pub fn packetize(codec: Codec, frame: &[u8], picture_id: u16) -> Vec<Bytes> {
    match codec {
        Codec::Opus => vec![Bytes::copy_from_slice(frame)],
        Codec::H264 => h264(frame),
        Codec::Vp8 => vp8(frame, picture_id),
        Codec::Vp9 => vp9(frame, picture_id),
        Codec::Av1 => av1(frame),
    }
}

fn h264(annex_b: &[u8]) -> Vec<Bytes> {
    let mut payloads = Vec::new();
    for unit in units(annex_b) {
        if unit.len() <= PAYLOAD_BYTES_MAX {
            payloads.push(Bytes::copy_from_slice(unit));
            continue;
        }
        let header = unit[0];
        let body = &unit[1..];
        let pieces = body.chunks(PAYLOAD_BYTES_MAX - 2);
        let last = pieces.len() - 1;
        for (index, piece) in pieces.enumerate() {
            let mut payload = BytesMut::with_capacity(2 + piece.len());
            payload.put_u8((header & 0xe0) | FRAGMENT);
            let start = if index == 0 { 0x80 } else { 0 };
            let end = if index == last { 0x40 } else { 0 };
            payload.put_u8(start | end | (header & 0x1f));
            payload.put_slice(piece);
            payloads.push(payload.freeze());
        }
    }
    payloads
}

fn vp8(frame: &[u8], picture_id: u16) -> Vec<Bytes> {
    let pieces = frame.chunks(PAYLOAD_BYTES_MAX - 4);
    pieces
        .enumerate()
        .map(|(index, piece)| {
            let mut payload = BytesMut::with_capacity(4 + piece.len());
            // X; S on the first piece of the only partition.
            payload.put_u8(if index == 0 { 0x90 } else { 0x80 });
            payload.put_u8(0x80); // I: a picture id follows, in its 15-bit form.
            payload.put_u16(0x8000 | picture_id);
            payload.put_slice(piece);
            payload.freeze()
        })
        .collect()
}

fn vp9(frame: &[u8], picture_id: u16) -> Vec<Bytes> {
    // Only a key frame's first bytes have the frame type bit at zero (VP9 bitstream specification, §6.2; profile 0).
    let goes_on = frame.first().is_some_and(|first| first & 0x0c != 0);
    let pieces = frame.chunks(PAYLOAD_BYTES_MAX - 3);
    let last = pieces.len().saturating_sub(1);
    pieces
        .enumerate()
        .map(|(index, piece)| {
            let mut payload = BytesMut::with_capacity(3 + piece.len());
            let inter_picture = if goes_on { 0x40 } else { 0 };
            let begins = if index == 0 { 0x08 } else { 0 };
            let ends = if index == last { 0x04 } else { 0 };
            // I: a picture id follows, in its 15-bit form.
            payload.put_u8(0x80 | inter_picture | begins | ends);
            payload.put_u16(0x8000 | picture_id);
            payload.put_slice(piece);
            payload.freeze()
        })
        .collect()
}

/// A unit, or a piece of one, in each packet.
fn av1(temporal_unit: &[u8]) -> Vec<Bytes> {
    const DELIMITER: u8 = 2;
    const SEQUENCE_HEADER: u8 = 1;
    let kind = |unit: &[u8]| unit[0] >> 3;
    let units = av1_units(temporal_unit);
    let begins = units.iter().any(|unit| kind(unit) == SEQUENCE_HEADER);
    let mut payloads: Vec<Bytes> = Vec::new();
    for unit in units.iter().filter(|unit| kind(unit) != DELIMITER) {
        let pieces = unit.chunks(PAYLOAD_BYTES_MAX - 1);
        let last = pieces.len() - 1;
        for (index, piece) in pieces.enumerate() {
            let goes_on = if index > 0 { 0x80 } else { 0 };
            let open = if index < last { 0x40 } else { 0 };
            // N: a coded video sequence begins with this packet.
            let first = if begins && payloads.is_empty() {
                0x08
            } else {
                0
            };
            let mut payload = BytesMut::with_capacity(1 + piece.len());
            // W: one piece, without its length.
            payload.put_u8(goes_on | open | 0x10 | first);
            payload.put_slice(piece);
            payloads.push(payload.freeze());
        }
    }
    payloads
}

/// The units of a temporal unit without their sizes (AV1 specification §5.3). It ends where they make no sense.
fn av1_units(mut rest: &[u8]) -> Vec<Vec<u8>> {
    let mut units = Vec::new();
    while let Some(head) = rest.first() {
        let head_bytes = if head & 0x04 != 0 { 2 } else { 1 };
        let (mut size, mut at) = (0, head_bytes);
        while let Some(byte) = rest.get(at).filter(|_| at < head_bytes + 4) {
            size |= usize::from(byte & 0x7f) << (7 * (at - head_bytes));
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let Some(payload) = rest.get(at..at + size) else {
            break;
        };
        let mut unit = rest[..head_bytes].to_vec();
        unit[0] &= !0x02;
        unit.extend_from_slice(payload);
        units.push(unit);
        rest = &rest[at + size..];
    }
    units
}

/// The NAL units of an Annex B stream, without start codes and trailing zeros.
fn units(annex_b: &[u8]) -> Vec<&[u8]> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at + 3 <= annex_b.len() {
        if annex_b[at..at + 3] == [0, 0, 1] {
            starts.push(at);
            at += 3;
        } else {
            at += 1;
        }
    }
    let ends = starts.iter().skip(1).copied().chain([annex_b.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let unit = &annex_b[start + 3..end];
            let end = unit
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |last| last + 1);
            &unit[..end]
        })
        .filter(|unit| !unit.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a receiver makes of H.264 payloads.
    fn reassembled(payloads: &[Bytes]) -> Vec<u8> {
        let mut stream = Vec::new();
        for payload in payloads {
            if payload[0] & 0x1f != FRAGMENT {
                stream.extend([0, 0, 0, 1]);
                stream.extend_from_slice(payload);
                continue;
            }
            if payload[1] & 0x80 != 0 {
                stream.extend([0, 0, 0, 1, (payload[0] & 0xe0) | (payload[1] & 0x1f)]);
            }
            stream.extend_from_slice(&payload[2..]);
        }
        stream
    }

    #[test]
    fn h264_is_cut_so_that_it_can_be_put_together_again() {
        let mut frame = vec![
            0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 0, 1, 0x68, 4, 0, 0, 0, 1, 0x65,
        ];
        frame.extend((0..5_000u32).map(|n| (n % 250) as u8 + 1));
        let payloads = packetize(Codec::H264, &frame, 0);
        assert_eq!(reassembled(&payloads), frame);
        assert_eq!(payloads.len(), 2 + 5);
        assert!(
            payloads
                .iter()
                .all(|payload| payload.len() <= PAYLOAD_BYTES_MAX)
        );
        assert_eq!(payloads[2][1] & 0xc0, 0x80, "the first fragment says so");
        assert_eq!(payloads[6][1] & 0xc0, 0x40, "the last fragment says so");
    }

    #[test]
    fn a_vp8_frame_starts_once_and_carries_its_picture_id() {
        let payloads = packetize(Codec::Vp8, &[7; 2_000], 0x1234);
        let heads: Vec<&[u8]> = payloads.iter().map(|payload| &payload[..4]).collect();
        assert_eq!(heads, [[0x90, 0x80, 0x92, 0x34], [0x80, 0x80, 0x92, 0x34]]);
        let body: usize = payloads.iter().map(|payload| payload.len() - 4).sum();
        assert_eq!(body, 2_000);
    }

    #[test]
    fn av1_units_lose_their_sizes_and_large_ones_are_cut() {
        // A delimiter, a sequence header and a frame of 1,500 bytes.
        let mut unit = vec![0x12, 0, 0x0a, 2, 1, 2, 0x32, 0xdc, 0x0b];
        unit.extend([7; 1_500]);
        let payloads = packetize(Codec::Av1, &unit, 0);
        assert_eq!(payloads[0][..], [0x18, 0x08, 1, 2]);
        let heads: Vec<u8> = payloads.iter().map(|payload| payload[0]).collect();
        assert_eq!(heads, [0x18, 0x50, 0x90]);
        let body: usize = payloads[1..].iter().map(|payload| payload.len() - 1).sum();
        assert_eq!((payloads[1][1], body), (0x30, 1_501));
    }

    #[test]
    fn an_opus_packet_travels_as_it_is() {
        assert_eq!(
            packetize(Codec::Opus, &[1, 2, 3], 0),
            [Bytes::from_static(&[1, 2, 3])]
        );
    }
}
