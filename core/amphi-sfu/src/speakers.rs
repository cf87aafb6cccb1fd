//! Who speaks, from the levels that publishers write into their packets (RFC 6464): nothing is decoded for it.

use std::time::Duration;

use amphi_media::TrackId;

use crate::Speaker;

/// How often it is decided who speaks.
pub(crate) const INTERVAL: Duration = Duration::from_millis(300);

/// Louder than this (about -35 dBov) begins to speak.
const BEGINS: f32 = 0.0178;

/// Quieter than this (about -41 dBov) has stopped. Lower than `BEGINS`, so that a pause for breath changes nothing.
const ENDS: f32 = 0.0089;

/// How much of a change is taken over in one interval: quickly when it gets louder, slowly when it gets quieter.
const RISE: f32 = 0.6;
const FALL: f32 = 0.5;

/// Below this nothing is heard and nothing needs to be watched.
const SILENT: f32 = 0.000_1;

/// A speaker's level must change by this factor (3 dB) to be worth saying.
const WORTH_SAYING: f32 = 1.41;

/// One track's loudness.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Level {
    sum: f32,
    packets: u32,
    smoothed: f32,
    speaks: bool,
}

impl Level {
    /// `level` is that of RFC 6464: 0 is full scale, 127 silence, in -dBov.
    pub(crate) fn hear(&mut self, level: u8) {
        self.sum += if level >= 127 {
            0.0
        } else {
            10f32.powf(-f32::from(level) / 20.0)
        };
        self.packets += 1;
    }

    pub(crate) fn silence(&mut self) {
        *self = Self::default();
    }

    /// Takes over what was heard since the last time.
    pub(crate) fn settle(&mut self) {
        // Nothing heard is silence: a sender with DTX stops sending.
        let loudness = if self.packets == 0 {
            0.0
        } else {
            self.sum / self.packets as f32
        };
        let share = if loudness > self.smoothed { RISE } else { FALL };
        self.smoothed += (loudness - self.smoothed) * share;
        self.speaks = self.smoothed >= if self.speaks { ENDS } else { BEGINS };
        if self.smoothed < SILENT {
            self.smoothed = 0.0;
        }
        self.sum = 0.0;
        self.packets = 0;
    }

    pub(crate) fn speaker(&self, track: TrackId) -> Option<Speaker> {
        self.speaks.then_some(Speaker {
            track,
            level: self.smoothed.min(1.0),
        })
    }

    /// Nothing heard and nothing fading.
    pub(crate) fn is_still(&self) -> bool {
        self.packets == 0 && self.smoothed == 0.0
    }
}

/// Loudest first; equals in the order of their tracks.
pub(crate) fn sort(speakers: &mut [Speaker]) {
    speakers.sort_by(|a, b| b.level.total_cmp(&a.level).then(a.track.cmp(&b.track)));
}

/// Whether the difference is worth telling everybody.
pub(crate) fn differ(said: &[Speaker], now: &[Speaker]) -> bool {
    let apart = |a: &Speaker, b: &Speaker| {
        let (low, high) = if a.level < b.level {
            (a.level, b.level)
        } else {
            (b.level, a.level)
        };
        a.track != b.track || high > low * WORTH_SAYING
    };
    said.len() != now.len() || said.iter().zip(now).any(|(a, b)| apart(a, b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(level: &mut Level, dbov: u8, intervals: u32) -> bool {
        for _ in 0..intervals {
            for _ in 0..15 {
                level.hear(dbov);
            }
            level.settle();
        }
        level.speaker(TrackId(1)).is_some()
    }

    #[test]
    fn speech_begins_at_once_and_survives_a_breath() {
        let mut level = Level::default();
        assert!(!heard(&mut level, 60, 3), "a quiet room is no speech");
        assert!(heard(&mut level, 20, 1));
        assert!(
            heard(&mut level, 127, 1),
            "one interval of silence is a breath"
        );
        assert!(!heard(&mut level, 127, 8));
        assert!(!level.is_still(), "it still fades");
        heard(&mut level, 127, 20);
        level.settle();
        assert!(level.is_still());
    }

    #[test]
    fn only_differences_that_one_hears_are_told() {
        let ada = Speaker {
            track: TrackId(1),
            level: 0.1,
        };
        let bo = Speaker {
            track: TrackId(2),
            level: 0.2,
        };
        assert!(!differ(&[ada], &[Speaker { level: 0.12, ..ada }]));
        assert!(differ(&[ada], &[Speaker { level: 0.2, ..ada }]));
        assert!(differ(&[ada], &[bo]));
        assert!(differ(&[ada], &[]));
        let mut both = [ada, bo];
        sort(&mut both);
        assert_eq!(both[0], bo);
    }
}
