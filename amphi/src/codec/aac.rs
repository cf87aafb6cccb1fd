//! AAC-LC (ISO/IEC 14496-3) by the crate `syom`.

use amphi_studio::{ACCESS_UNIT_FRAMES, AudioEncoder, CodecError, SAMPLE_RATE, Stereo};
use bytes::Bytes;
use syom::{EncodeOptions, Encoder};

/// Of the program's sound. At 96 kbit/s mixes of several voices are heard to suffer.
const BITS_PER_SECOND: u32 = 128_000;

/// What comes out of a decoder is one access unit late: the transform overlaps two of them.
const PRIMING: u32 = ACCESS_UNIT_FRAMES as u32;

/// Encodes the mix of a program, stereo, 48 kHz.
pub struct AacEncoder {
    encoder: Encoder,
    left: [f32; ACCESS_UNIT_FRAMES],
    right: [f32; ACCESS_UNIT_FRAMES],
}

impl AacEncoder {
    pub fn new() -> Result<Self, CodecError> {
        // With the threshold of hearing it spends no bits on what nobody hears: 5 dB less noise where people hear it, as much
        // as ffmpeg's encoder makes (`listening.rs`). The library's other options gain nothing on voices.
        let options = EncodeOptions::raw()
            .with_bitrate_bps(BITS_PER_SECOND)
            .with_ath(true);
        let encoder = Encoder::new(SAMPLE_RATE, 2, &options).map_err(refused)?;
        Ok(Self {
            encoder,
            left: [0.0; ACCESS_UNIT_FRAMES],
            right: [0.0; ACCESS_UNIT_FRAMES],
        })
    }

    /// AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1) of what is made.
    pub fn config(&self) -> &[u8] {
        self.encoder.asc()
    }
}

impl AudioEncoder for AacEncoder {
    /// One sample that is not finite or beyond ±1, and the encoder is of no use until `reset`.
    fn encode(&mut self, pcm: &[Stereo; ACCESS_UNIT_FRAMES]) -> Result<Bytes, CodecError> {
        for (n, [left, right]) in pcm.iter().enumerate() {
            self.left[n] = *left;
            self.right[n] = *right;
        }
        let mut unit = Bytes::new();
        self.encoder
            .feed(&[&self.left, &self.right], |frame| {
                unit = Bytes::copy_from_slice(frame.payload);
                Ok(())
            })
            .map_err(refused)?;
        if unit.is_empty() {
            return Err(CodecError(
                "the AAC encoder gave nothing for one block".to_owned(),
            ));
        }
        Ok(unit)
    }

    fn delay(&self) -> u32 {
        PRIMING
    }

    fn reset(&mut self) {
        if self.encoder.reset().is_err()
            && let Ok(fresh) = Self::new()
        {
            *self = fresh;
        }
    }
}

fn refused(error: syom::AacError) -> CodecError {
    CodecError(format!("AAC encoder: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::codec::tone::{level, tone};

    fn encode(pcm: &[Stereo]) -> (Vec<Bytes>, Vec<u8>) {
        let mut encoder = AacEncoder::new().expect("48 kHz stereo is a usual thing");
        let units = pcm
            .as_chunks()
            .0
            .iter()
            .map(|block| encoder.encode(block).expect("a good block"));
        (units.collect(), encoder.config().to_vec())
    }

    fn decode(units: &[Bytes], config: &[u8]) -> Vec<Stereo> {
        let mut decoder =
            syom::Decoder::from_asc(config, syom::DecodeOptions::audio()).expect("our own words");
        let mut pcm = Vec::new();
        for unit in units {
            decoder
                .decode_au(unit, |frame| {
                    let (left, right) = (frame.planar[0], frame.planar[1]);
                    pcm.extend(
                        left.iter()
                            .zip(right.iter())
                            .map(|(left, right)| [*left, *right]),
                    );
                    Ok(())
                })
                .expect("what it made, it reads");
        }
        pcm
    }

    #[test]
    fn a_tone_comes_back_late_by_the_priming_and_at_the_bit_rate() {
        let pcm = tone(880.0, 100 * ACCESS_UNIT_FRAMES);
        let (units, config) = encode(&pcm);
        assert_eq!(config, [0x11, 0x90], "AAC-LC, 48 kHz, two channels");
        assert_eq!(units.len(), 100);
        let bits = units.iter().map(Bytes::len).sum::<usize>() * 8;
        let seconds = pcm.len() as f64 / f64::from(SAMPLE_RATE);
        assert!(bits as f64 / seconds < 1.1 * f64::from(BITS_PER_SECOND));
        let decoded = decode(&units, &config);
        assert_eq!(decoded.len(), pcm.len());
        // Where the decoded tone lies best over the one that went in.
        let error = |late: usize| -> f32 {
            (20_000..30_000)
                .map(|n| (decoded[n + late][0] - pcm[n][0]).powi(2))
                .sum()
        };
        // The tone repeats after 600 samples, so look around the expected place only.
        let best = (1_024 - 250..1_024 + 250).min_by(|a, b| error(*a).total_cmp(&error(*b)));
        assert_eq!(best, Some(PRIMING as usize));
        assert!((level(&decoded[20_480..], 880.0) - 0.25).abs() < 0.01);
    }

    #[test]
    fn after_an_error_and_a_reset_it_goes_on() {
        let mut encoder = AacEncoder::new().expect("48 kHz stereo is a usual thing");
        let good: [Stereo; ACCESS_UNIT_FRAMES] = tone(880.0, ACCESS_UNIT_FRAMES)
            .try_into()
            .expect("one block");
        for bad in [f32::NAN, f32::INFINITY, 1.5] {
            let mut block = good;
            block[500][1] = bad;
            assert!(encoder.encode(&block).is_err(), "{bad}");
            assert!(
                encoder.encode(&good).is_err(),
                "it is of no use now, and says so"
            );
            encoder.reset();
            assert!(encoder.encode(&good).is_ok());
        }
    }

    #[test]
    fn ffmpeg_decodes_it() {
        let (units, config) = encode(&tone(880.0, 100 * ACCESS_UNIT_FRAMES));
        let adts: Vec<u8> = units.iter().flat_map(|unit| adts_frame(unit)).collect();
        assert_eq!(
            config,
            [0x11, 0x90],
            "what the ADTS header of this test says"
        );
        let mut ffmpeg = Command::new("ffmpeg")
            .args([
                "-v", "error", "-f", "aac", "-i", "pipe:0", "-f", "f32le", "-ac", "2", "pipe:1",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the tests need ffmpeg: see ./test");
        let mut input = ffmpeg.stdin.take().expect("it was asked for");
        let writer = std::thread::spawn(move || input.write_all(&adts));
        let output = ffmpeg.wait_with_output().expect("ffmpeg ends");
        writer.join().expect("no panic").expect("ffmpeg reads all");
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let value = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("four bytes"));
        let pcm: Vec<Stereo> = output
            .stdout
            .chunks_exact(8)
            .map(|pair| [value(&pair[..4]), value(&pair[4..])])
            .collect();
        assert_eq!(pcm.len(), 100 * ACCESS_UNIT_FRAMES);
        assert!((level(&pcm[20_480..], 880.0) - 0.25).abs() < 0.01);
    }

    /// ADTS header without CRC (ISO/IEC 13818-7 §6.2) and the access unit: AAC-LC, 48 kHz, two channels.
    fn adts_frame(unit: &[u8]) -> Vec<u8> {
        let length = unit.len() + 7;
        let mut frame = vec![
            0xff,
            0xf1,
            0x4c,
            0x80 | (length >> 11) as u8,
            (length >> 3) as u8,
            ((length & 7) << 5) as u8 | 0x1f,
            0xfc,
        ];
        frame.extend_from_slice(unit);
        frame
    }
}
