//! Keeps the sum of many voices below full scale, between the samples too.

use std::collections::VecDeque;

use crate::Stereo;

/// The true peak of what goes to the encoder, -3 dBTP. Lossy coding adds to peaks: AAC at 128 kbit/s up to 1.5 dB, so that
/// what is heard stays below -1 dBTP (EBU R 128).
pub const CEILING: f32 = 0.707_945;

/// How long a piece is at whose ends the gain is set.
pub const PIECE: usize = 64;

/// How far the limiter looks ahead: a piece, and half of the filter that looks between samples.
pub const LOOKAHEAD: usize = PIECE + CENTRE;

/// How much of the missing gain comes back per [`PIECE`]: about 100 ms to be back.
const RELEASE: f32 = 0.02;

/// Samples that the filter looks at, and where the instant stands among them that it looks after.
const TAPS: usize = 12;
const CENTRE: usize = 6;

/// Four-fold oversampling (BS.1770-4, Annex 2): the values an eighth and three eighths of the way from one sample to the
/// next, and as far before it. Phases 0 and 3 are each other's mirror, and so are 1 and 2.
const BETWEEN: [[f32; TAPS]; 4] = [
    [
        0.001_708_984_4,
        0.010_986_328,
        -0.019_653_32,
        0.033_203_125,
        -0.059_448_242,
        0.137_329_1,
        0.972_167_97,
        -0.102_294_92,
        0.047_607_42,
        -0.026_611_328,
        0.014_892_578,
        -0.008_300_781,
    ],
    [
        -0.029_174_805,
        0.029_296_875,
        -0.051_757_813,
        0.089_111_33,
        -0.166_503_9,
        0.465_087_9,
        0.779_785_16,
        -0.200_317_38,
        0.101_562_5,
        -0.058_227_54,
        0.033_081_055,
        -0.018_920_898,
    ],
    [
        -0.018_920_898,
        0.033_081_055,
        -0.058_227_54,
        0.101_562_5,
        -0.200_317_38,
        0.779_785_16,
        0.465_087_9,
        -0.166_503_9,
        0.089_111_33,
        -0.051_757_813,
        0.029_296_875,
        -0.029_174_805,
    ],
    [
        -0.008_300_781,
        0.014_892_578,
        -0.026_611_328,
        0.047_607_42,
        -0.102_294_92,
        0.972_167_97,
        0.137_329_1,
        -0.059_448_242,
        0.033_203_125,
        -0.019_653_32,
        0.010_986_328,
        0.001_708_984_4,
    ],
];

/// No value between samples is higher than the highest sample by more than this, the sum of a filter's magnitudes.
const BETWEEN_MAX: f32 = 2.1;

/// A limiter with look-ahead: what comes out was put in [`LOOKAHEAD`] instants before.
///
/// The gain is a line between the ends of pieces of [`PIECE`] instants, at each end no higher than either piece beside
/// it needs, so that it never has to jump.
#[derive(Debug)]
pub struct Limiter {
    held: VecDeque<Stereo>,
    /// The newest samples that were put in, for the filter.
    past: [Stereo; TAPS],
    /// What the held piece needs, and the gain at its beginning.
    needed: f32,
    gain: f32,
}

impl Limiter {
    pub fn new() -> Self {
        Self {
            held: VecDeque::from(vec![[0.0; 2]; LOOKAHEAD]),
            past: [[0.0; 2]; TAPS],
            needed: 1.0,
            gain: 1.0,
        }
    }

    /// Limits `block` in place, late by [`LOOKAHEAD`]. Its length is a multiple of [`PIECE`]. True when it turned down.
    pub fn limit(&mut self, block: &mut [Stereo]) -> bool {
        debug_assert_eq!(block.len() % PIECE, 0);
        let mut turned_down = false;
        for piece in block.chunks_mut(PIECE) {
            let peak = self.true_peak(piece);
            let next_needed = if peak > CEILING { CEILING / peak } else { 1.0 };
            let released = self.gain + (1.0 - self.gain) * RELEASE;
            let end = released.min(self.needed).min(next_needed);
            turned_down |= end < 0.999 || self.gain < 0.999;
            let step = (end - self.gain) / PIECE as f32;
            for (index, sample) in piece.iter_mut().enumerate() {
                self.held.push_back(*sample);
                let gain = self.gain + step * index as f32;
                let late = self.held.pop_front().unwrap_or_default();
                *sample = late.map(|value| (value * gain).clamp(-CEILING, CEILING));
            }
            self.gain = end;
            self.needed = next_needed;
        }
        turned_down
    }

    /// The highest value of the sound as it is from [`CENTRE`] instants before the piece to as many before its end; at
    /// least of its samples when nothing between them could be too high.
    fn true_peak(&mut self, piece: &[Stereo]) -> f32 {
        let mut line = [[0.0f32; 2]; TAPS + PIECE];
        line[..TAPS].copy_from_slice(&self.past);
        line[TAPS..TAPS + piece.len()].copy_from_slice(piece);
        let line = &line[..TAPS + piece.len()];
        self.past.copy_from_slice(&line[piece.len()..]);
        let highest = line
            .iter()
            .flatten()
            .fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        if highest * BETWEEN_MAX <= CEILING {
            return highest;
        }
        let mut peak = 0.0f32;
        for window in line.windows(TAPS).skip(1) {
            peak = peak
                .max(window[CENTRE][0].abs())
                .max(window[CENTRE][1].abs());
            for phase in &BETWEEN {
                let (mut left, mut right) = (0.0f32, 0.0f32);
                for (tap, sample) in phase.iter().zip(window) {
                    left += tap * sample[0];
                    right += tap * sample[1];
                }
                peak = peak.max(left.abs()).max(right.abs());
            }
        }
        peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(amplitude: f32, from: usize, frames: usize) -> Vec<Stereo> {
        (from..from + frames)
            .map(|n| [amplitude * (n as f32 * 468.75 * std::f32::consts::TAU / 48_000.0).sin(); 2])
            .collect()
    }

    /// The true peak of a whole sound, by another implementation.
    fn true_peak(sound: &[Stereo]) -> f64 {
        let mode = ebur128::Mode::TRUE_PEAK;
        let mut other = ebur128::EbuR128::new(2, 48_000, mode).expect("stereo");
        let flat: Vec<f32> = sound.iter().flatten().copied().collect();
        other.add_frames_f32(&flat).expect("whole frames");
        let sides = [other.true_peak(0), other.true_peak(1)];
        sides
            .map(|peak| peak.expect("a side"))
            .into_iter()
            .fold(0.0, f64::max)
    }

    #[test]
    fn a_quiet_mix_passes_unchanged_but_late() {
        let mut limiter = Limiter::new();
        let input = sine(0.5, 0, 1024);
        let mut block = input.clone();
        assert!(!limiter.limit(&mut block));
        assert_eq!(block[..LOOKAHEAD], vec![[0.0; 2]; LOOKAHEAD]);
        assert_eq!(block[LOOKAHEAD..], input[..1024 - LOOKAHEAD]);
    }

    #[test]
    fn a_loud_mix_stays_below_the_ceiling_without_a_jump() {
        let mut limiter = Limiter::new();
        let mut before = [0.0f32; 2];
        for block in 0..20 {
            let mut pcm = sine(if block < 10 { 0.3 } else { 3.5 }, block * 1024, 1024);
            assert_eq!(limiter.limit(&mut pcm), block >= 10, "block {block}");
            for sample in pcm {
                assert!(sample[0].abs() <= CEILING);
                // 468.75 Hz at the ceiling moves by 0.044 per instant at most.
                assert!(
                    (sample[0] - before[0]).abs() < 0.065,
                    "{} after {}",
                    sample[0],
                    before[0]
                );
                before = sample;
            }
        }
    }

    #[test]
    fn what_is_too_high_between_two_samples_is_seen() {
        // A quarter of the sample rate, an eighth of a turn off: every sample is 0.707 of the top.
        let pcm = |amplitude: f32| -> Vec<Stereo> {
            let at = |n: usize| (n as f32 / 4.0 + 0.125) * std::f32::consts::TAU;
            (0..48 * 1_024)
                .map(|n| [amplitude * at(n).sin(); 2])
                .collect()
        };
        let mut sound = pcm(0.95);
        assert!(sound.iter().all(|[left, _]| left.abs() < CEILING));
        assert!(true_peak(&sound) > 0.9);
        let mut limiter = Limiter::new();
        let limited = sound.chunks_mut(1_024).all(|block| limiter.limit(block));
        assert!(limited);
        // The four-fold filters of two implementations differ by some hundredths of a decibel.
        let peak = true_peak(&sound[1_024..]);
        assert!(peak < f64::from(CEILING) * 1.02, "{peak}");
    }

    #[test]
    fn noise_of_any_loudness_comes_out_below_the_ceiling_between_samples_too() {
        let mut seed = 7u32;
        let mut noise = |amplitude: f32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            amplitude * (seed as f32 / 2f32.powi(31) - 1.0)
        };
        let mut sound: Vec<Stereo> = (0..96 * 1_024)
            .map(|n| {
                let amplitude = [0.2, 4.0, 0.7, 1.3][n / 3_000 % 4];
                [noise(amplitude), noise(amplitude)]
            })
            .collect();
        let mut limiter = Limiter::new();
        for block in sound.chunks_mut(1_024) {
            limiter.limit(block);
        }
        let peak = true_peak(&sound);
        // Of white noise, which has as much at the highest frequencies as below, any two filters differ by more.
        assert!(peak < f64::from(CEILING) * 1.05, "{peak}");
    }
}
