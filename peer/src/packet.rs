//! Cutting coded frames into RTP payloads: H.264 (RFC 6184, single units and FU-A), VP8 (RFC 7741), VP9
//! (RFC 9628, one layer) and Opus (RFC 7587).

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::Codec;

/// Largest RTP payload that is made. Leaves room for headers, extensions, SRTP and an IPv6 tunnel in 1,280 bytes.
pub const PAYLOAD_BYTES_MAX: usize = 1_100;

/// FU-A (RFC 6184 §5.8).
const FRAGMENT: u8 = 28;

/// Makes the payloads of one coded frame, in order; the last one carries the marker for video.
///
/// `frame`: H.264 in Annex B form, one VP8 or VP9 frame, or one Opus packet. `picture_id` counts frames and
/// is only used for VP8 and VP9.
pub fn packetize(codec: Codec, frame: &[u8], picture_id: u16) -> Vec<Bytes> {
    match codec {
        Codec::Opus => vec![Bytes::copy_from_slice(frame)],
        Codec::H264 => h264(frame),
        Codec::Vp8 => vp8(frame, picture_id),
        Codec::Vp9 => vp9(frame, picture_id),
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
    fn an_opus_packet_travels_as_it_is() {
        assert_eq!(
            packetize(Codec::Opus, &[1, 2, 3], 0),
            [Bytes::from_static(&[1, 2, 3])]
        );
    }
}
