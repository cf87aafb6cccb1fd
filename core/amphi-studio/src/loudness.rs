//! How loud sound is to people: the K-weighting of ITU-R BS.1770-4, which EBU R 128 measures by.
//!
//! Loudness is kept as a *power*, the mean square of K-weighted sound summed over both sides, because powers can be
//! averaged and added; [`lufs`] and [`power`] go to LUFS and back.

use crate::Stereo;

/// Direct form coefficients at 48 kHz (BS.1770-4, Annex 1, tables 1 and 2): what a head does to sound, then what ears
/// leave out of the low end.
const HEAD: Filter = Filter {
    ahead: [
        1.535_124_859_586_97,
        -2.691_696_189_406_38,
        1.198_392_810_852_85,
    ],
    back: [-1.690_659_293_182_41, 0.732_480_774_215_85],
};
const LOW: Filter = Filter {
    ahead: [1.0, -2.0, 1.0],
    back: [-1.990_047_454_833_98, 0.990_072_250_366_21],
};

/// What BS.1770-4 adds so that a full-scale tone of 1 kHz on one side measures -3.01.
const OFFSET_LU: f64 = -0.691;

/// Below this a filter only rings; numbers that small are slow to compute with.
const RINGING: f64 = 1e-15;

struct Filter {
    ahead: [f64; 3],
    back: [f64; 2],
}

/// Loudness of a power.
#[cfg(test)]
pub fn lufs(power: f64) -> f64 {
    OFFSET_LU + 10.0 * power.log10()
}

/// The power that is as loud as this.
pub fn power(lufs: f64) -> f64 {
    10f64.powf((lufs - OFFSET_LU) / 10.0)
}

/// The K-weighting of one sound, block after block.
#[derive(Clone, Debug, Default)]
pub struct Weighting {
    head: [[f64; 2]; 2],
    low: [[f64; 2]; 2],
}

impl Weighting {
    /// The power of the next piece of the sound.
    pub fn power(&mut self, block: &[Stereo]) -> f64 {
        // Who is silent costs nothing.
        if self.rests() && block.iter().all(|sample| *sample == [0.0; 2]) {
            return 0.0;
        }
        let mut sum = 0.0;
        for sample in block {
            for (side, value) in sample.iter().enumerate() {
                let headed = filter(&HEAD, &mut self.head[side], f64::from(*value));
                let weighted = filter(&LOW, &mut self.low[side], headed);
                sum += weighted * weighted;
            }
        }
        let states = self.head.iter_mut().chain(&mut self.low).flatten();
        for state in states.filter(|state| state.abs() < RINGING) {
            *state = 0.0;
        }
        sum / block.len().max(1) as f64
    }

    /// Nothing of an earlier sound rings on.
    fn rests(&self) -> bool {
        let states = self.head.iter().chain(&self.low).flatten();
        states.into_iter().all(|state| *state == 0.0)
    }
}

/// One step of a transposed direct form II.
fn filter(filter: &Filter, state: &mut [f64; 2], value: f64) -> f64 {
    let out = filter.ahead[0] * value + state[0];
    state[0] = filter.ahead[1] * value - filter.back[0] * out + state[1];
    state[1] = filter.ahead[2] * value - filter.back[1] * out;
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, amplitude: f64) -> Vec<Stereo> {
        let step = hz * std::f64::consts::TAU / 48_000.0;
        (0..96_000)
            .map(|n| [(amplitude * (f64::from(n) * step).sin()) as f32; 2])
            .collect()
    }

    #[test]
    fn a_tone_of_1_khz_measures_as_ebu_tech_3341_says() {
        // EBU Tech 3341, case 1: a stereo tone of 1 kHz at -23 dBFS is -23 LUFS.
        let measured = lufs(Weighting::default().power(&tone(1_000.0, 10f64.powf(-23.0 / 20.0))));
        assert!((measured + 23.0).abs() < 0.1, "{measured}");
    }

    #[test]
    fn it_measures_what_another_implementation_does() {
        for hz in [40.0, 120.0, 450.0, 2_000.0, 9_000.0] {
            let sound = tone(hz, 0.2);
            let mut other = ebur128::EbuR128::new(2, 48_000, ebur128::Mode::I).expect("stereo");
            let flat: Vec<f32> = sound.iter().flatten().copied().collect();
            other.add_frames_f32(&flat).expect("whole frames");
            let other = other.loudness_global().expect("it measures I");
            let ours = lufs(Weighting::default().power(&sound));
            assert!(
                (ours - other).abs() < 0.1,
                "{hz} Hz: {ours} against {other}"
            );
        }
    }

    #[test]
    fn loudness_and_power_are_each_others_inverse() {
        for loudness in [-70.0, -18.0, 0.0] {
            assert!((lufs(power(loudness)) - loudness).abs() < 1e-9);
        }
    }

    #[test]
    fn after_a_sound_there_is_silence_to_the_last_bit() {
        let mut weighting = Weighting::default();
        weighting.power(&tone(450.0, 0.5));
        for _ in 0..300 {
            weighting.power(&[[0.0; 2]; 1_024]);
        }
        assert_eq!(weighting.power(&[[0.0; 2]; 1_024]), 0.0);
    }
}
