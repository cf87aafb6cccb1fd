//! How loud the program is, measured by another implementation of EBU R 128.

use ebur128::{EbuR128, Mode};

use crate::world::{Heard, World, level, tone};

/// What the program is to be as loud as, and by how much it may be off.
const TARGET: f64 = -18.0;
const WITHIN: f64 = 3.0;

/// A second of somebody speaking without end: the harmonics of a voice, four syllables a second with a gap after each.
fn speech(hz: f64, loudness: f64) -> Vec<f32> {
    let at = |n: i64| -> f32 {
        let t = n as f64 / 48_000.0;
        let syllable = (t * 4.0).fract();
        let envelope = if syllable < 0.8 {
            (syllable / 0.8 * std::f64::consts::PI).sin().powi(2)
        } else {
            0.0
        };
        let voice = |harmonic: u32| {
            let harmonic = f64::from(harmonic);
            (t * hz * harmonic * std::f64::consts::TAU + harmonic * harmonic).sin() / harmonic
        };
        (envelope * (1..=12).map(voice).sum::<f64>()) as f32
    };
    let second: Vec<f32> = (0..48_000).map(at).collect();
    let long: Vec<f32> = second.repeat(6);
    let factor = 10f64.powf((loudness - integrated(&long)) / 20.0) as f32;
    second.iter().map(|sample| sample * factor).collect()
}

fn speaks(hz: f64, loudness: f64) -> Heard {
    let second = speech(hz, loudness);
    Box::new(move |n| second[n.rem_euclid(48_000) as usize])
}

/// Noise that is the same every time.
fn noise(n: i64, amplitude: f32) -> f32 {
    let mut bits = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits ^= bits >> 29;
    bits = bits.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^= bits >> 32;
    amplitude * ((bits as u32) as f32 / 2f32.powi(31) - 1.0)
}

fn meter(mode: Mode) -> EbuR128 {
    EbuR128::new(2, 48_000, mode).expect("stereo at 48 kHz")
}

fn both_sides(mono: &[f32]) -> Vec<f32> {
    mono.iter().flat_map(|sample| [*sample; 2]).collect()
}

fn integrated(mono: &[f32]) -> f64 {
    let mut meter = meter(Mode::I);
    meter
        .add_frames_f32(&both_sides(mono))
        .expect("whole frames");
    meter.loudness_global().expect("it measures I")
}

/// The loudness of the program's three seconds up to each half second from `from_s + 3` on.
fn short_terms(world: &World, from_s: usize) -> Vec<f64> {
    let mut meter = meter(Mode::S);
    let sound: Vec<f32> = world.sound[from_s * 48_000..]
        .iter()
        .flatten()
        .copied()
        .collect();
    let mut measured = Vec::new();
    for (half, frames) in sound.chunks_exact(48_000).enumerate() {
        meter.add_frames_f32(frames).expect("whole frames");
        if half >= 5 {
            measured.push(meter.loudness_shortterm().expect("it measures S"));
        }
    }
    assert!(measured.len() > 3, "{} measured", measured.len());
    measured
}

fn true_peak_db(world: &World) -> f64 {
    let mut meter = meter(Mode::TRUE_PEAK);
    let sound: Vec<f32> = world.sound.iter().flatten().copied().collect();
    meter.add_frames_f32(&sound).expect("whole frames");
    let sides = [meter.true_peak(0), meter.true_peak(1)];
    let peak = sides
        .map(|peak| peak.expect("a side"))
        .into_iter()
        .fold(0.0, f64::max);
    20.0 * peak.log10()
}

fn check_steady(world: &World, from_s: usize, who: &str) {
    let measured = short_terms(world, from_s);
    for short_term in &measured {
        assert!(
            (short_term - TARGET).abs() < WITHIN,
            "{who}: {measured:.1?}"
        );
    }
}

#[test]
fn who_speaks_quietly_or_loudly_is_as_loud_as_the_target_after_two_seconds() {
    for loudness in [-38.0, -30.0, -23.0, -18.0, -14.0, -10.0] {
        let mut world = World::new();
        world.hears(1, speaks(140.0, loudness));
        world.run_for(12_000);
        check_steady(&world, 2, &format!("{loudness} LUFS"));
    }
}

#[test]
fn several_at_once_are_as_loud_as_one() {
    let mut world = World::new();
    for (member, hz, loudness) in [
        (1, 110.0, -38.0),
        (2, 140.0, -10.0),
        (3, 190.0, -24.0),
        (4, 230.0, -18.0),
        (5, 170.0, -30.0),
    ] {
        world.hears(member, speaks(hz, loudness));
    }
    world.run_for(12_000);
    check_steady(&world, 2, "five voices");
}

#[test]
fn who_speaks_after_another_is_as_loud_and_so_is_the_first_again() {
    let mut world = World::new();
    let turns = |hz: f64, loudness: f64, mine: i64| -> Heard {
        let speech = speech(hz, loudness);
        // Turns of eight seconds; a quiet room else.
        Box::new(move |n| {
            let speaks = n / (8 * 48_000) % 2 == mine;
            let voice = if speaks {
                speech[n as usize % 48_000]
            } else {
                0.0
            };
            voice + noise(n, 0.0003)
        })
    };
    world.hears(1, turns(120.0, -12.0, 0));
    world.hears(2, turns(210.0, -34.0, 1));
    world.run_for(41_000);
    // The second one's first turn is over.
    check_steady(&world, 17, "turns");
}

#[test]
fn a_pause_turns_nothing_up_and_the_next_word_is_as_loud_as_the_last() {
    let mut world = World::new();
    let speech = speech(140.0, -30.0);
    let spoken = 10 * 48_000;
    let room = 0.0005;
    world.hears(
        1,
        Box::new(move |n| {
            let pause = (spoken..3 * spoken).contains(&n);
            let voice = if pause {
                0.0
            } else {
                speech[n as usize % 48_000]
            };
            voice + noise(n, room)
        }),
    );
    world.run_for(40_500);
    let power = |from_s: usize| {
        let piece = world.sound_ms(from_s * 1_000, (from_s + 1) * 1_000);
        let sum: f32 = piece.iter().map(|sample| sample * sample).sum();
        10.0 * (sum / piece.len() as f32).log10()
    };
    let (first, last) = (power(11), power(28));
    assert!(
        (first - last).abs() < 1.0,
        "the room: {first} dB, then {last} dB"
    );
    check_steady(&world, 30, "after the pause");
}

#[test]
fn a_room_without_a_voice_is_not_turned_up() {
    let mut world = World::new();
    let amplitude = 0.006;
    world.hears(1, Box::new(move |n| noise(n, amplitude)));
    world.hears(2, Box::new(|n| tone(100.0, 0.004, n)));
    world.run_for(40_000);
    let hum = level(&world.sound_ms(38_000, 39_000), 100.0);
    assert!(hum < 0.0041, "{hum}");
    let loudest = world
        .sound_ms(1_000, 39_000)
        .into_iter()
        .fold(0.0, f32::max);
    assert!(loudest <= amplitude + 0.004, "{loudest}");
}

#[test]
fn a_quiet_voice_in_a_loud_room_does_not_make_the_room_louder_than_18_lu_below_the_target() {
    let mut world = World::new();
    let speech = speech(140.0, -38.0);
    world.hears(
        1,
        Box::new(move |n| {
            let pause = n / 48_000 % 10 >= 6;
            let voice = if pause {
                0.0
            } else {
                speech[n as usize % 48_000]
            };
            voice + noise(n, 0.004)
        }),
    );
    world.run_for(40_000);
    for pause in [27, 37] {
        let room = integrated(&world.sound_ms(pause * 1_000, (pause + 1) * 1_000 + 900));
        assert!((-40.0..-34.5).contains(&room), "{room}");
    }
}

#[test]
fn ten_open_microphones_hiss_like_one() {
    let hiss = |members: u64| {
        let mut world = World::new();
        for member in 1..=members {
            let offset = member as i64 * 1_000_003;
            world.hears(member, Box::new(move |n| noise(n + offset, 0.003)));
        }
        world.run_for(4_000);
        integrated(&world.sound_ms(1_000, 3_700))
    };
    let (one, ten) = (hiss(1), hiss(10));
    assert!((ten - one).abs() < 1.0, "one: {one}, ten: {ten}");
}

#[test]
fn shouts_into_a_quiet_call_stay_below_the_true_peak() {
    let mut world = World::new();
    let (quiet, loud) = (speech(140.0, -38.0), speech(320.0, -3.0));
    world.hears(
        1,
        Box::new(move |n| {
            let from = if n / 48_000 % 5 == 4 { &loud } else { &quiet };
            from[n as usize % 48_000]
        }),
    );
    world.hears(
        2,
        Box::new(|n| {
            if n / 30_000 % 2 == 0 {
                noise(n, 1.5)
            } else {
                0.0
            }
        }),
    );
    world.run_for(20_000);
    let peak = true_peak_db(&world);
    assert!(peak < -2.5, "{peak} dBTP");
    assert!(world.counters().limited > 10);
}

/// The third difference leaves next to nothing of voices and shows what jumps.
fn sharpest(sound: &[f32]) -> f32 {
    let third = sound
        .windows(4)
        .map(|x| (x[3] - 3.0 * x[2] + 3.0 * x[1] - x[0]).abs());
    third.fold(0.0, f32::max)
}

#[test]
fn joining_muting_and_leaving_in_the_middle_of_a_word_do_not_click() {
    let mut world = World::new();
    // Whole cycles in a packet, as the codec of the tests needs to make up what is lost.
    let buzz = |first: f64, amplitude: f32| -> Heard {
        Box::new(move |n| {
            let harmonics = (1..6).map(|k| tone(first + 50.0 * f64::from(k), amplitude, n));
            harmonics.sum()
        })
    };
    let ada = world.hears(1, buzz(100.0, 0.2));
    world.run_for(3_000);
    let alone = sharpest(&world.sound_ms(500, 2_500));
    for round in 0..12 {
        // Odd times, so that every one meets another place in a word.
        let bo = world.hears(2, buzz(250.0, 0.02));
        world.run_for(317 + round * 7);
        world.mute(ada, true);
        world.run_for(211 + round * 13);
        world.mute(ada, false);
        world.run_for(331 + round * 3);
        world.leave(bo);
        world.run_for(173 + round * 11);
    }
    let all = sharpest(&world.sound_ms(500, world.sound.len() / 48 - 100));
    // A straight fade of 5 ms bends the sound by a thousandth at its ends; a jump of a thousandth would be three here.
    assert!(alone < 0.0001 && all < 0.003, "{all} against {alone}");
}
