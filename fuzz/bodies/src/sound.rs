//! The decoder of sound, whose library is not ours and runs in the server's own process (docs/decisions/0009): whatever comes, it answers with
//! an error or with no more sound than there was room for.

use amphi::codec::OpusDecoder;
use amphi_studio::{AudioDecoder, Piece, Stereo};

/// More only cost time.
const PIECES_MAX: usize = 32;

/// The longest that a packet may last: 120 ms (RFC 6716 §3.2.5).
const FRAMES_MAX: usize = 5_760;

/// Lost pieces are asked for in multiples of 2.5 ms.
const STEP_FRAMES: usize = 120;

/// Packets one after the other, each behind a byte that says what became of it and its length (two bytes, big endian). The byte's lower
/// two bits: 0 and 3 it came, 1 it was lost, 2 one in front of it was lost; the others: how long what was lost is, in 2.5 ms.
pub fn decode_opus(mut bytes: &[u8]) {
    let mut decoder = OpusDecoder::new().expect("it is bundled");
    for _ in 0..PIECES_MAX {
        let Some(([flags, high, low], rest)) = bytes.split_first_chunk() else {
            return;
        };
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (packet, rest) = rest.split_at(length);
        bytes = rest;
        let lost = usize::from(flags >> 2) * STEP_FRAMES;
        let mut ask = |piece, frames, most: usize| {
            let mut heard: Vec<Stereo> = Vec::new();
            let decoded = decoder.decode(piece, frames, &mut heard);
            assert!(heard.len() <= most, "{} of {most}", heard.len());
            assert!(decoded.is_ok() || heard.is_empty(), "sound and an error");
        };
        match flags & 3 {
            1 => ask(Piece::Lost, lost, lost.min(FRAMES_MAX)),
            2 => {
                ask(
                    Piece::LostBefore { next: packet },
                    lost,
                    lost.min(FRAMES_MAX),
                );
                ask(Piece::Packet(packet), 960, FRAMES_MAX);
            }
            _ => ask(Piece::Packet(packet), 960, FRAMES_MAX),
        }
    }
}
