//! Opus (RFC 6716) by libopus, which is built into the crate `opus`.

use amphi_studio::{AudioDecoder, CodecError, Piece, SAMPLE_RATE, Stereo};
use opus::{Channels, Decoder};

/// The longest that a packet may last: 120 ms (RFC 6716 §3.2.5).
const FRAMES_MAX: usize = 5_760;

/// Decodes one track.
pub struct OpusDecoder {
    decoder: Decoder,
    /// Left and right in turn.
    pcm: Vec<f32>,
}

impl OpusDecoder {
    pub fn new() -> Result<Self, CodecError> {
        let decoder = Decoder::new(SAMPLE_RATE, Channels::Stereo).map_err(refused)?;
        Ok(Self {
            decoder,
            pcm: vec![0.0; FRAMES_MAX * 2],
        })
    }
}

impl AudioDecoder for OpusDecoder {
    fn decode(
        &mut self,
        piece: Piece<'_>,
        frames: usize,
        into: &mut Vec<Stereo>,
    ) -> Result<(), CodecError> {
        // libopus makes up as much as there is room for, and unpacks a packet into room for the longest one.
        let lost_room = frames.min(FRAMES_MAX) * 2;
        let decoded = match piece {
            // To libopus an empty packet is a lost one.
            Piece::Packet([]) => return Err(CodecError("an empty packet".to_owned())),
            Piece::Packet(packet) => self.decoder.decode_float(packet, &mut self.pcm, false),
            Piece::LostBefore { next } => {
                self.decoder
                    .decode_float(next, &mut self.pcm[..lost_room], true)
            }
            Piece::Lost => self
                .decoder
                .decode_float(&[], &mut self.pcm[..lost_room], false),
        };
        let decoded = decoded.map_err(refused)?;
        into.extend(
            self.pcm
                .chunks_exact(2)
                .take(decoded)
                .map(|pair| [pair[0], pair[1]]),
        );
        Ok(())
    }
}

fn refused(error: opus::Error) -> CodecError {
    CodecError(format!("libopus: {error}"))
}

#[cfg(test)]
mod tests {
    use opus::{Application, Encoder};

    use super::*;
    use crate::codec::tone::{level, tone};

    /// A second of a tone in packets of 20 ms; with redundancy for a lossy network.
    fn packets(hz: f32, channels: Channels) -> Vec<Vec<u8>> {
        let mut encoder =
            Encoder::new(SAMPLE_RATE, channels, Application::Voip).expect("libopus has this");
        encoder.set_inband_fec(true).expect("libopus has this");
        encoder.set_packet_loss_perc(30).expect("libopus has this");
        let pcm = tone(hz, SAMPLE_RATE as usize);
        let sides = if channels == Channels::Mono { 1 } else { 2 };
        pcm.chunks(960)
            .map(|chunk| {
                let input: Vec<f32> = chunk
                    .iter()
                    .flat_map(|sample| sample[..sides].to_vec())
                    .collect();
                encoder.encode_vec_float(&input, 1_500).expect("a packet")
            })
            .collect()
    }

    fn decode(pieces: &[Piece<'_>]) -> Vec<Stereo> {
        let mut decoder = OpusDecoder::new().expect("libopus has this");
        let mut pcm = Vec::new();
        for piece in pieces {
            decoder
                .decode(*piece, 960, &mut pcm)
                .expect("what libopus made, it reads");
        }
        pcm
    }

    #[test]
    fn a_tone_comes_back_from_mono_and_stereo() {
        for channels in [Channels::Mono, Channels::Stereo] {
            let packets = packets(440.0, channels);
            let pieces: Vec<_> = packets.iter().map(|packet| Piece::Packet(packet)).collect();
            let pcm = decode(&pieces);
            assert_eq!(pcm.len(), SAMPLE_RATE as usize);
            let level = level(&pcm[9_600..], 440.0);
            assert!((0.2..0.3).contains(&level), "{channels:?}: {level}");
            assert!(
                pcm[9_600..]
                    .iter()
                    .all(|[left, right]| (left - right).abs() < 0.05)
            );
        }
    }

    #[test]
    fn single_losses_are_made_up() {
        let packets = packets(440.0, Channels::Mono);
        let mut pieces: Vec<_> = packets.iter().map(|packet| Piece::Packet(packet)).collect();
        pieces
            .iter_mut()
            .skip(7)
            .step_by(10)
            .for_each(|piece| *piece = Piece::Lost);
        let pcm = decode(&pieces);
        assert_eq!(pcm.len(), SAMPLE_RATE as usize);
        assert!(
            level(&pcm[9_600..], 440.0) > 0.15,
            "{}",
            level(&pcm[9_600..], 440.0)
        );
    }

    #[test]
    fn a_loss_is_taken_from_the_redundancy_of_the_next_packet() {
        let mut encoder =
            Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Voip).expect("libopus has this");
        // At this rate it codes speech (SILK), which is what carries redundancy.
        encoder
            .set_bitrate(opus::Bitrate::Bits(24_000))
            .expect("libopus has this");
        encoder
            .set_signal(opus::Signal::Voice)
            .expect("libopus has this");
        encoder.set_inband_fec(true).expect("libopus has this");
        encoder.set_packet_loss_perc(30).expect("libopus has this");
        let mut pcm: Vec<f32> = tone(300.0, 960 * 20)
            .iter()
            .map(|sample| sample[0])
            .collect();
        pcm.extend(tone(700.0, 960 * 20).iter().map(|sample| sample[0]));
        let packets: Vec<_> = pcm
            .chunks(960)
            .map(|chunk| encoder.encode_vec_float(chunk, 1_500).expect("a packet"))
            .collect();
        // The first packet of the other tone is lost: what is made up goes on with the old one.
        let heard = |lost: fn(&[Vec<u8>]) -> Piece<'_>| {
            let mut decoder = OpusDecoder::new().expect("libopus has this");
            let mut pcm = Vec::new();
            for packet in &packets[..20] {
                decoder
                    .decode(Piece::Packet(packet), 960, &mut pcm)
                    .expect("a good packet");
            }
            pcm.clear();
            decoder
                .decode(lost(&packets), 960, &mut pcm)
                .expect("something in its place");
            assert_eq!(pcm.len(), 960);
            level(&pcm, 700.0)
        };
        let made_up = heard(|_| Piece::Lost);
        let recovered = heard(|packets| Piece::LostBefore { next: &packets[21] });
        assert!(
            recovered > 0.1 && made_up < 0.05,
            "recovered {recovered}, made up {made_up}"
        );
    }

    #[test]
    fn garbage_is_refused_and_the_next_packet_is_decoded() {
        let packets = packets(440.0, Channels::Mono);
        let mut decoder = OpusDecoder::new().expect("libopus has this");
        let mut pcm = Vec::new();
        let garbage: Vec<u8> = (0..200).map(|n| (n * 37) as u8 | 3).collect();
        for bad in [&[][..], &[0xff, 0xff], &garbage, &[0x03, 0x3f]] {
            // libopus makes sound of some garbage; what matters is that it goes on.
            let _ = decoder.decode(Piece::Packet(bad), 960, &mut pcm);
        }
        pcm.clear();
        for packet in &packets {
            decoder
                .decode(Piece::Packet(packet), 960, &mut pcm)
                .expect("a good packet");
        }
        assert!(level(&pcm[9_600..], 440.0) > 0.2);
    }
}
