//! Opus (RFC 6716) by libopus, which is built into the crate `opus`.

use amphi_studio::{
    AudioDecoder, AudioEncoder, CodecError, PACKET_FRAMES, Piece, SAMPLE_RATE, Stereo,
};
use bytes::Bytes;
use opus::{Application, Bitrate, Channels, Decoder, Encoder};

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

/// Of the program's sound. Mixes of voices are as good as AAC's at a third more.
const BITS_PER_SECOND: i32 = 96_000;

/// The largest packet of one frame (RFC 6716 §3.2.1).
const PACKET_BYTES_MAX: usize = 1_276;

/// How hard it looks for the best code, of 10: half the time for what nobody has been heard to miss.
const COMPLEXITY: i32 = 5;

/// Encodes the mix of a program, stereo, 48 kHz.
pub struct OpusEncoder {
    encoder: Encoder,
    /// How late what is decoded is.
    delay: u32,
}

impl OpusEncoder {
    pub fn new() -> Result<Self, CodecError> {
        let mut encoder =
            Encoder::new(SAMPLE_RATE, Channels::Stereo, Application::Audio).map_err(refused)?;
        encoder
            .set_bitrate(Bitrate::Bits(BITS_PER_SECOND))
            .map_err(refused)?;
        encoder.set_complexity(COMPLEXITY).map_err(refused)?;
        let delay = encoder.get_lookahead().map_err(refused)?;
        let delay = u32::try_from(delay)
            .map_err(|_| CodecError("libopus: it looks back in time".to_owned()))?;
        Ok(Self { encoder, delay })
    }
}

impl AudioEncoder<PACKET_FRAMES> for OpusEncoder {
    fn encode(&mut self, pcm: &[Stereo; PACKET_FRAMES]) -> Result<Bytes, CodecError> {
        let packet = self
            .encoder
            .encode_vec_float(pcm.as_flattened(), PACKET_BYTES_MAX)
            .map_err(refused)?;
        Ok(packet.into())
    }

    fn delay(&self) -> u32 {
        self.delay
    }

    fn reset(&mut self) {
        if self.encoder.reset_state().is_err()
            && let Ok(fresh) = Self::new()
        {
            *self = fresh;
        }
    }
}

fn refused(error: opus::Error) -> CodecError {
    CodecError(format!("libopus: {error}"))
}

#[cfg(test)]
mod tests {
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
    fn what_is_encoded_comes_back_late_by_what_it_says_and_at_the_bit_rate() {
        let pcm = tone(880.0, 200 * PACKET_FRAMES);
        let mut encoder = OpusEncoder::new().expect("libopus has this");
        let packets: Vec<Bytes> = pcm
            .as_chunks()
            .0
            .iter()
            .map(|block| encoder.encode(block).expect("a good block"))
            .collect();
        let bits = packets.iter().map(Bytes::len).sum::<usize>() * 8;
        let per_second = bits as f64 / (pcm.len() as f64 / f64::from(SAMPLE_RATE));
        assert!(
            per_second < 1.2 * f64::from(BITS_PER_SECOND),
            "{per_second}"
        );
        let pieces: Vec<_> = packets.iter().map(|packet| Piece::Packet(packet)).collect();
        let decoded = decode(&pieces);
        assert_eq!(decoded.len(), pcm.len());
        assert!((level(&decoded[20_480..], 880.0) - 0.25).abs() < 0.02);
        let error = |late: usize| -> f32 {
            (20_000..30_000)
                .map(|n| (decoded[n + late][0] - pcm[n][0]).powi(2))
                .sum()
        };
        // The tone repeats after 600 samples, so look around the expected place only.
        let delay = encoder.delay() as usize;
        let from = delay.saturating_sub(25);
        let best = (from..delay + 25).min_by(|a, b| error(*a).total_cmp(&error(*b)));
        assert!(
            best.is_some_and(|best| best.abs_diff(delay) <= 1),
            "{best:?} and not {delay}"
        );
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
