//! Brings every voice to the same loudness, slowly, and leaves pauses and noise alone.
//!
//! Two gains, both changed in a straight line from block to block, so that neither is heard as a step:
//!
//! - [`Leveller`], one per voice: its loudness towards [`TARGET_LUFS`]. It listens only while somebody speaks, so that
//!   a pause does not turn up the room behind it.
//! - [`share`], between voices: who speaks has the mix, several share it, by power (D. Dugan, "Automatic Microphone
//!   Mixing", JAES 23, 1975). Four at once are as loud as one, and ten open microphones hiss like one.

use crate::Stereo;
use crate::loudness::{Weighting, power};

/// How loud a voice is to be: the middle of what EBU R 128 s2 gives for streaming (-20 to -16 LUFS). The 17 dB from here
/// to the limiter are about what peaks of speech need.
pub const TARGET_LUFS: f64 = -18.0;

/// Quieter than this is nobody.
const NOBODY_LUFS: f64 = -60.0;

/// Speech stands out of its room: it is louder than the quietest moment of the last [`FLOOR_BUCKETS`] by 6 dB.
const STANDS_OUT: f64 = 4.0;

/// What is quieter by 10 LU than the voice is (the relative gate of BS.1770-4) is breath and tails: it counts a little, so
/// that who has moved away is found in the end.
const TAIL: f64 = 0.1;
const TAIL_WEIGHT: f64 = 0.125;

/// How loud the room behind a voice may become by turning up: 18 LU below the target.
const NOISE_MAX_LUFS: f64 = -36.0;

/// Bounds of the gain, in dB.
const TURN_UP_MAX: f64 = 24.0;
const TURN_DOWN_MAX: f64 = 20.0;

/// A gain that is right to this, in dB, stays as it is.
const CONTENT: f64 = 1.0;

/// How fast the gain moves, in dB per second; faster as long as a voice is new.
const UP: f64 = 2.0;
const UP_NEW: f64 = 12.0;
const DOWN: f64 = 6.0;
const DOWN_NEW: f64 = 24.0;

/// Blocks of 1,024 instants per second.
const BLOCKS_PER_SECOND: f64 = 46.875;

/// Momentary loudness is of 400 ms (EBU Tech 3341), and so much is the least that is judged by.
const MOMENT: usize = 19;

/// The quietest moment is looked for in pieces of 100 ms.
const QUIET: usize = 5;

/// Over how many blocks of speech the loudness of a voice is averaged: three seconds, as short-term loudness is.
const VOICE_BLOCKS: u32 = 140;

/// The floor is the least of so many buckets of a second each: longer than people speak without a breath.
const FLOOR_BUCKETS: usize = 10;
const FLOOR_BUCKET_BLOCKS: u32 = 47;

/// How much of the power is left after a block in which a voice says nothing: 100 ms to a third.
const SHARE_RELEASE: f64 = 0.8;

/// No voice is turned down by more than 12 dB against the loudest one: a short "yes" is still heard.
const SHARE_MIN: f64 = 0.25;

/// One voice's way to the target.
#[derive(Clone, Debug, Default)]
pub struct Leveller {
    weighting: Weighting,
    /// Powers of the newest blocks, as a ring.
    recent: [f64; MOMENT],
    recent_blocks: usize,
    floor: Floor,
    /// How loud the voice is when it speaks, and of how many blocks that is known.
    voice: f64,
    voice_blocks: u32,
    gain_db: f64,
    /// What of the mix this voice takes, after its gain.
    taken: f64,
    /// The gain at the end of the block before.
    before: f32,
}

impl Leveller {
    pub fn new() -> Self {
        Self {
            before: 1.0,
            ..Self::default()
        }
    }

    /// Listens to the voice's next block, before any gain.
    pub fn hear(&mut self, block: &[Stereo]) {
        let now = self.weighting.power(block);
        self.recent[self.recent_blocks % MOMENT] = now;
        self.recent_blocks += 1;
        if self.recent_blocks >= QUIET {
            self.floor.observe(self.mean(QUIET));
            self.judge(self.mean(MOMENT));
            self.move_gain();
        }
        let loud = now * self.gain_power();
        self.taken = loud.max(self.taken * SHARE_RELEASE);
    }

    /// The voice has no sound in this block.
    pub fn pause(&mut self) {
        self.recent_blocks = 0;
        self.taken *= SHARE_RELEASE;
    }

    /// What of the mix's power this voice takes.
    pub fn taken(&self) -> f64 {
        self.taken
    }

    /// Adds the block to the mix, the gain moving from the last one's to this voice's and its share's.
    pub fn add(&mut self, share: f64, block: &[Stereo], mix: &mut [Stereo]) {
        let end = (self.gain_power().sqrt() * share) as f32;
        let step = (end - self.before) / block.len().max(1) as f32;
        for (index, (out, sample)) in mix.iter_mut().zip(block).enumerate() {
            let gain = self.before + step * (index + 1) as f32;
            out[0] += sample[0] * gain;
            out[1] += sample[1] * gain;
        }
        self.before = end;
    }

    /// Learns how loud the voice is, if this is the voice.
    fn judge(&mut self, moment: f64) {
        let speaks = moment > power(NOBODY_LUFS) && moment > self.floor.get() * STANDS_OUT;
        // What is too loud is turned down whatever it is.
        let too_loud = moment * self.gain_power() > power(TARGET_LUFS);
        if !speaks && !too_loud {
            return;
        }
        self.voice_blocks = (self.voice_blocks + 1).min(VOICE_BLOCKS);
        let tail = self.voice_blocks == VOICE_BLOCKS && moment < self.voice * TAIL;
        let weight = if tail { TAIL_WEIGHT } else { 1.0 } / f64::from(self.voice_blocks);
        self.voice += (moment - self.voice) * weight;
    }

    fn move_gain(&mut self) {
        if self.voice_blocks == 0 {
            return;
        }
        let room = decibels(power(NOISE_MAX_LUFS) / self.floor.get());
        let up_max = room.clamp(0.0, TURN_UP_MAX);
        let wanted = decibels(power(TARGET_LUFS) / self.voice).clamp(-TURN_DOWN_MAX, up_max);
        let by = wanted - self.gain_db;
        let is_new = self.voice_blocks < VOICE_BLOCKS;
        if by.abs() < CONTENT {
            return;
        }
        let (up, down) = match is_new {
            true => (UP_NEW, DOWN_NEW),
            false => (UP, DOWN),
        };
        self.gain_db += by.clamp(-down / BLOCKS_PER_SECOND, up / BLOCKS_PER_SECOND);
    }

    /// The mean power of the newest blocks, or of those that there are.
    fn mean(&self, blocks: usize) -> f64 {
        let blocks = blocks.min(self.recent_blocks).max(1);
        let newest = (self.recent_blocks - blocks..self.recent_blocks)
            .map(|block| self.recent[block % MOMENT]);
        newest.sum::<f64>() / blocks as f64
    }

    fn gain_power(&self) -> f64 {
        10f64.powf(self.gain_db / 10.0)
    }
}

fn decibels(power: f64) -> f64 {
    10.0 * power.log10()
}

/// The factor for a voice that takes `taken` where all take `all` and the loudest one `most`.
pub fn share(taken: f64, all: f64, most: f64) -> f64 {
    if all <= 0.0 {
        return 1.0;
    }
    (taken / all).sqrt().max((most / all).sqrt() * SHARE_MIN)
}

/// The quietest moment of the last seconds.
#[derive(Clone, Debug, Default)]
struct Floor {
    buckets: [Option<f64>; FLOOR_BUCKETS],
    /// Which bucket is being filled, and how full it is.
    at: usize,
    blocks: u32,
}

impl Floor {
    fn observe(&mut self, quiet: f64) {
        if self.blocks == FLOOR_BUCKET_BLOCKS {
            self.blocks = 0;
            self.at = (self.at + 1) % FLOOR_BUCKETS;
            self.buckets[self.at] = None;
        }
        self.blocks += 1;
        let bucket = &mut self.buckets[self.at];
        *bucket = Some(bucket.map_or(quiet, |least| least.min(quiet)));
    }

    fn get(&self) -> f64 {
        let least = self.buckets.iter().flatten().copied();
        least.fold(f64::INFINITY, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_speaks_has_all_of_the_mix_and_several_share_it_by_power() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(share(0.02, 0.02, 0.02), 1.0));
        assert!(near(share(0.02, 0.04, 0.02), 0.5f64.sqrt()));
        // Sixty-four of the same loudness add up to one.
        let each = share(1.0, 64.0, 1.0);
        assert!(near(64.0 * each * each, 1.0));
        // A microphone at which nobody speaks is 12 dB down, not gone.
        assert!((share(1e-6, 1.000_001, 1.0) - 0.25).abs() < 1e-6);
        assert!(near(share(0.0, 0.0, 0.0), 1.0));
    }

    #[test]
    fn the_floor_is_the_quietest_of_ten_seconds() {
        let mut floor = Floor::default();
        floor.observe(1.0);
        for _ in 0..FLOOR_BUCKET_BLOCKS * 9 {
            floor.observe(5.0);
        }
        assert_eq!(floor.get(), 1.0);
        for _ in 0..FLOOR_BUCKET_BLOCKS * 2 {
            floor.observe(5.0);
        }
        assert_eq!(floor.get(), 5.0);
    }
}
