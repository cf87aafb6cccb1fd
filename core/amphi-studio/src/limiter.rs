//! Keeps the sum of many voices below full scale.

use std::collections::VecDeque;

use crate::Stereo;

/// −1 dBFS: what lossy coding adds on top stays below full scale.
pub const CEILING: f32 = 0.891_25;

/// How far the limiter looks ahead, and how long its gain takes to fall.
pub const LOOKAHEAD: usize = 64;

/// How much of the missing gain comes back per [`LOOKAHEAD`] instants: about 100 ms to be back.
const RELEASE: f32 = 0.02;

/// A limiter with look-ahead: what comes out was put in [`LOOKAHEAD`] instants before.
///
/// The gain is a line between the ends of pieces of [`LOOKAHEAD`] instants, at each end no higher than either piece
/// beside it needs, so that it never has to jump.
#[derive(Debug)]
pub struct Limiter {
    held: VecDeque<Stereo>,
    /// What the held piece needs, and the gain at its beginning.
    needed: f32,
    gain: f32,
}

impl Limiter {
    pub fn new() -> Self {
        Self {
            held: VecDeque::from(vec![[0.0; 2]; LOOKAHEAD]),
            needed: 1.0,
            gain: 1.0,
        }
    }

    /// Limits `block` in place, late by [`LOOKAHEAD`]. Its length is a multiple of that. True when it turned down.
    pub fn limit(&mut self, block: &mut [Stereo]) -> bool {
        debug_assert_eq!(block.len() % LOOKAHEAD, 0);
        let mut turned_down = false;
        for piece in block.chunks_mut(LOOKAHEAD) {
            let peak = piece
                .iter()
                .flatten()
                .fold(0.0f32, |peak, sample| peak.max(sample.abs()));
            let next_needed = if peak > CEILING { CEILING / peak } else { 1.0 };
            let released = self.gain + (1.0 - self.gain) * RELEASE;
            let end = released.min(self.needed).min(next_needed);
            turned_down |= end < 0.999 || self.gain < 0.999;
            let step = (end - self.gain) / LOOKAHEAD as f32;
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(amplitude: f32, from: usize, frames: usize) -> Vec<Stereo> {
        (from..from + frames)
            .map(|n| [amplitude * (n as f32 * 468.75 * std::f32::consts::TAU / 48_000.0).sin(); 2])
            .collect()
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
                // 468.75 Hz at the ceiling moves by 0.055 per instant at most.
                assert!(
                    (sample[0] - before[0]).abs() < 0.08,
                    "{} after {}",
                    sample[0],
                    before[0]
                );
                before = sample;
            }
        }
    }
}
