//! The codecs that are bundled: each is a library behind a trait of `amphi-studio`, and nothing of it is seen outside
//! its file.

mod aac;
mod opus;
pub mod trial;

use amphi_media::Codec;
use amphi_studio::{CodecError, Codecs};

pub use aac::AacEncoder;
pub use opus::{OpusDecoder, OpusEncoder};

/// Whether the sound is encoded in Opus beside AAC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opus {
    Beside,
    None,
}

/// The codecs of one program of the kind `cut`, and what the encoder says of itself: the AudioSpecificConfig
/// (ISO/IEC 14496-3 §1.6.2.1) of its sound.
pub fn program_codecs(with: Opus) -> Result<(Codecs, Vec<u8>), CodecError> {
    let encoder = AacEncoder::new()?;
    let config = encoder.config().to_vec();
    let codecs = Codecs {
        encoder: Box::new(encoder),
        opus: match with {
            Opus::Beside => Some(Box::new(OpusEncoder::new()?)),
            Opus::None => None,
        },
        decoders: Box::new(|codec| match codec {
            Codec::Opus => Ok(Box::new(OpusDecoder::new()?)),
            other => Err(CodecError(format!(
                "there is no decoder for {}",
                other.name()
            ))),
        }),
    };
    Ok((codecs, config))
}

#[cfg(test)]
pub mod film;
#[cfg(test)]
mod listening;

#[cfg(test)]
mod tone {
    //! Made-up sound, and whether it is still there.
    use amphi_studio::{SAMPLE_RATE, Stereo};

    pub fn tone(hz: f32, frames: usize) -> Vec<Stereo> {
        let step = hz * std::f32::consts::TAU / SAMPLE_RATE as f32;
        (0..frames)
            .map(|n| [0.25 * (n as f32 * step).sin(); 2])
            .collect()
    }

    /// Amplitude of a tone (Goertzel); 0.25 for what `tone` makes.
    pub fn level(pcm: &[Stereo], hz: f64) -> f64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in pcm.iter().enumerate() {
            let angle = n as f64 * hz * std::f64::consts::TAU / f64::from(SAMPLE_RATE);
            re += f64::from(sample[0]) * angle.cos();
            im += f64::from(sample[0]) * angle.sin();
        }
        2.0 * (re * re + im * im).sqrt() / pcm.len() as f64
    }
}
