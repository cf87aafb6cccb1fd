//! What comes to a session before and beside media.

use std::time::Instant;

use amphi_media::Codec;
use amphi_sfu::{Payload, sdp, stun};

/// A session description.
pub fn sdp(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(lines) = sdp::lines(text) {
        assert!(lines.len() <= sdp::LINES_MAX);
    }
}

/// A datagram on the media port.
pub fn stun(bytes: &[u8]) {
    if let Some(first) = bytes.first() {
        let _ = stun::classify(*first);
    }
    if let Some(ufrag) = stun::local_ufrag(bytes) {
        assert!(!ufrag.is_empty() && ufrag.len() < bytes.len());
    }
}

/// RTP payloads of one video stream, as frames are made of them: a byte of flags (codec, marker, gap, new
/// time), one of length, the payload, and so on.
pub fn depacketize(bytes: &[u8]) {
    let Some((first, mut rest)) = bytes.split_first() else {
        return;
    };
    let codec = match first & 7 {
        0 | 2 => Codec::H264,
        1 => Codec::Vp8,
        3 => Codec::Vp9,
        _ => Codec::Av1,
    };
    let (mut seq, mut time) = (0, 0);
    let mut packets = Vec::new();
    while let Some(([flags, length], after)) = rest.split_first_chunk() {
        let (payload, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        // Either in order with or without a gap, or one that was overtaken.
        let this = if flags >> 2 & 1 == 1 {
            u64::saturating_sub(seq, 1)
        } else {
            seq += 1 + u64::from(flags >> 1 & 1);
            seq
        };
        time += u32::from(flags >> 3 & 1) * 3_000;
        packets.push(Payload {
            seq: this,
            time,
            marker: flags & 1 == 1,
            bytes: payload,
        });
    }
    let given: usize = packets.iter().map(|packet| packet.bytes.len() + 64).sum();
    let frames = amphi_sfu::depacketize(codec, Instant::now(), packets).expect("all are carried");
    let mut taken = 0;
    for frame in frames {
        assert!(!frame.data.is_empty() && frame.codec == codec);
        // Parameter sets are put in front of key frames again; each is at most as long as a payload.
        taken += frame.data.len().saturating_sub(2 * (255 + 4));
    }
    assert!(taken <= given * 8, "{taken} bytes of frames out of {given}");
}
