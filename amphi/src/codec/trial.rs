//! Whether the bundled codecs work on this machine, and how fast: a tone goes in, and has to come out again.

use amphi_studio::{
    ACCESS_UNIT_FRAMES, AudioDecoder, AudioEncoder, CodecError, Piece, SAMPLE_RATE, Stereo,
};
use rustix::time::{ClockId, clock_gettime};

use super::{AacEncoder, OpusDecoder};

const TONE_HZ: f64 = 440.0;
const AMPLITUDE: f64 = 0.25;
/// 20 ms, the usual packet of a call.
const OPUS_FRAMES: usize = 960;
/// Longest Opus packet at a call's bit rates, in bytes (RFC 6716 §3.2.1: a frame has at most 1,275).
const OPUS_BYTES_MAX: usize = 1_276;

/// Processor time of this thread in microseconds: what else the machine does meanwhile says nothing about its speed.
pub(crate) fn used_us() -> i64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    used.tv_sec * 1_000_000 + used.tv_nsec / 1_000
}

/// How many seconds of sound come of one second of work that begins at `start_us`.
fn times(seconds: usize, start_us: i64) -> f64 {
    seconds as f64 * 1e6 / (used_us() - start_us).max(1) as f64
}

/// How many seconds of sound are encoded to AAC in one second.
pub fn aac(seconds: usize) -> Result<f64, CodecError> {
    let pcm = tone(seconds);
    let mut encoder = AacEncoder::new()?;
    let start_us = used_us();
    let units = pcm
        .chunks_exact(ACCESS_UNIT_FRAMES)
        .map(|block| encoder.encode(block.try_into().expect("chunks are exact")))
        .collect::<Result<Vec<_>, _>>()?;
    let speed = times(seconds, start_us);
    let refused = |error: syom::AacError| CodecError(format!("AAC decoder: {error}"));
    let mut decoder =
        syom::Decoder::from_asc(encoder.config(), syom::DecodeOptions::audio()).map_err(refused)?;
    let mut heard = Vec::with_capacity(pcm.len());
    for unit in &units {
        decoder
            .decode_au(unit, |frame| {
                heard.extend(frame.planar[0].iter().map(|sample| f64::from(*sample)));
                Ok(())
            })
            .map_err(refused)?;
    }
    must_be_heard("AAC", &heard)?;
    Ok(speed)
}

/// How many seconds of one voice in Opus are decoded in one second.
pub fn opus(seconds: usize) -> Result<f64, CodecError> {
    let refused = |error: opus::Error| CodecError(format!("Opus encoder: {error}"));
    let mut encoder = opus::Encoder::new(
        SAMPLE_RATE,
        opus::Channels::Stereo,
        opus::Application::Audio,
    )
    .map_err(refused)?;
    let packets = tone(seconds)
        .chunks_exact(OPUS_FRAMES)
        .map(|block| encoder.encode_vec_float(&block.concat(), OPUS_BYTES_MAX))
        .collect::<Result<Vec<_>, _>>()
        .map_err(refused)?;
    let mut decoder = OpusDecoder::new()?;
    let mut decoded: Vec<Stereo> = Vec::with_capacity(packets.len() * OPUS_FRAMES);
    let start_us = used_us();
    for packet in &packets {
        decoder.decode(Piece::Packet(packet), OPUS_FRAMES, &mut decoded)?;
    }
    let speed = times(seconds, start_us);
    let heard: Vec<f64> = decoded.iter().map(|sample| f64::from(sample[0])).collect();
    must_be_heard("Opus", &heard)?;
    Ok(speed)
}

fn tone(seconds: usize) -> Vec<Stereo> {
    let step = TONE_HZ * std::f64::consts::TAU / f64::from(SAMPLE_RATE);
    (0..seconds * SAMPLE_RATE as usize)
        .map(|n| [(AMPLITUDE * (n as f64 * step).sin()) as f32; 2])
        .collect()
}

fn must_be_heard(codec: &str, heard: &[f64]) -> Result<(), CodecError> {
    // The first moments are the codec's own beginning.
    let heard = heard.get(SAMPLE_RATE as usize / 4..).unwrap_or_default();
    let level = level(heard);
    // How much of what was heard is the tone: what is left is noise.
    let power = heard.iter().map(|sample| sample * sample).sum::<f64>() / heard.len().max(1) as f64;
    let share = level * level / 2.0 / power.max(f64::MIN_POSITIVE);
    if (AMPLITUDE * 0.8..AMPLITUDE * 1.2).contains(&level) && share > 0.9 {
        return Ok(());
    }
    Err(CodecError(format!(
        "{codec}: a tone of {AMPLITUDE} came back as {level:.3} with {:.0} % noise",
        (1.0 - share) * 100.0
    )))
}

/// Amplitude of the tone, by correlation with it.
fn level(heard: &[f64]) -> f64 {
    let step = TONE_HZ * std::f64::consts::TAU / f64::from(SAMPLE_RATE);
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (n, sample) in heard.iter().enumerate() {
        sine += sample * (n as f64 * step).sin();
        cosine += sample * (n as f64 * step).cos();
    }
    2.0 * sine.hypot(cosine) / heard.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_codecs_carry_a_tone() {
        assert!(aac(1).expect("AAC works") > 0.0);
        assert!(opus(1).expect("Opus works") > 0.0);
    }

    #[test]
    fn silence_noise_and_another_tone_are_not_the_tone() {
        let noise = |n: usize| ((n * 7_919) % 1_000) as f64 / 1_000.0 - 0.5;
        let other = |n: usize| AMPLITUDE * (n as f64 * 0.1).sin();
        let silence = |_: usize| 0.0;
        for made in [&noise as &dyn Fn(usize) -> f64, &other, &silence] {
            let heard: Vec<f64> = (0..SAMPLE_RATE as usize).map(made).collect();
            assert!(must_be_heard("x", &heard).is_err());
        }
        assert!(must_be_heard("x", &[]).is_err());
    }
}
