use std::sync::Arc;

use amphi_media::{Codec, Layout};

use crate::codecs::{BLINK, BLINKS, Done};
use crate::world::{VOICE, World, from_and_when, level, steepest, tone};

/// Once a second of its own clock the microphone hears a click.
fn clicks(n: i64) -> f32 {
    if n % 48_000 < 48 { 0.5 } else { 0.0 }
}

/// Programme times of the clicks, in microseconds.
fn heard_us(world: &World) -> Vec<i64> {
    let mut found = Vec::new();
    let mut until = 0;
    for (at, sample) in world.sound.iter().enumerate() {
        if sample[0] > 0.25 && at >= until {
            found.push(at as i64 * 1_000 / 48);
            until = at + 24_000;
        }
    }
    found
}

/// Programme times of the pictures that were captured at full seconds: (second, time in microseconds).
fn seen_us(world: &World) -> Vec<(i64, i64)> {
    let captured = world
        .pictures
        .iter()
        .map(|(_, sample)| (from_and_when(sample).1, sample.time.micros()));
    captured
        .filter(|(at, _)| at % 1_000_000 == 0)
        .map(|(at, time)| (at / 1_000_000, time))
        .collect()
}

/// The worst distance of picture and sound of one member, from `from_s` on; `ppm` is the microphone's.
fn worst_skew_us(world: &World, from_s: i64, ppm: f64) -> i64 {
    let heard = heard_us(world);
    let mut compared = 0;
    let mut worst = 0;
    for (second, seen) in seen_us(world)
        .into_iter()
        .filter(|(second, _)| *second >= from_s)
    {
        // The click of this second was captured a little off it, as the microphone's clock is.
        let clicked = seen - (second as f64 * 1e6 * ppm * 1e-6) as i64;
        let Some(nearest) = heard.iter().map(|heard| (heard - clicked).abs()).min() else {
            continue;
        };
        if seen < (world.sound.len() as i64 * 1_000 / 48) - 100_000 {
            compared += 1;
            worst = worst.max(nearest);
        }
    }
    assert!(compared > 5, "compared {compared} only");
    worst
}

fn run(ppm: f64, reports: bool, camera_delay_us: i64, seconds: i64) -> World {
    let mut world = World::new();
    let microphone = world.hears(1, Box::new(clicks));
    world.microphone(microphone).ppm = ppm;
    world.microphone(microphone).reports = reports;
    let camera = world.shows(1, Codec::H264);
    world.camera(camera).delay_us = camera_delay_us;
    world.camera(camera).reports = reports;
    world.run_for(seconds * 1_000);
    world
}

#[test]
fn a_members_picture_and_sound_stay_together() {
    let world = run(0.0, true, 60_000, 20);
    assert!(
        worst_skew_us(&world, 2, 0.0) < 10_000,
        "{}",
        worst_skew_us(&world, 2, 0.0)
    );
}

#[test]
fn a_slow_camera_is_put_where_it_belongs() {
    let world = run(0.0, true, 250_000, 20);
    assert!(
        worst_skew_us(&world, 2, 0.0) < 10_000,
        "{}",
        worst_skew_us(&world, 2, 0.0)
    );
}

#[test]
fn without_sender_reports_arrival_decides() {
    let world = run(0.0, false, 60_000, 20);
    // 60 ms of the camera against 40 ms of the microphone (a packet of 20 ms and 20 ms of network).
    let worst = worst_skew_us(&world, 2, 0.0);
    assert!((15_000..=45_000).contains(&worst), "{worst}");
}

#[test]
fn in_a_composed_picture_lips_and_voice_are_45_ms_apart_at_most() {
    for delay_us in [30_000, 60_000, 100_000] {
        let done = Arc::new(Done::default());
        let mut world = World::composed(Layout::Grid, &done);
        world.hears(6, Box::new(clicks));
        let camera = world.shows(6, Codec::Vp8);
        assert_eq!(camera, BLINKS);
        world.camera(camera).delay_us = delay_us;
        world.run_for(20_000);
        let heard = heard_us(&world);
        let flashes: Vec<i64> = world
            .pictures
            .iter()
            .filter(|(_, sample)| sample.data.contains(&BLINK))
            .map(|(_, sample)| sample.time.micros())
            .filter(|at| (3_000_000..19_000_000).contains(at))
            .collect();
        assert!(flashes.len() >= 15, "{} flashes", flashes.len());
        for flash in flashes {
            let apart = heard.iter().map(|heard| (heard - flash).abs()).min();
            let apart = apart.expect("clicks");
            assert!(apart <= 45_000, "{apart} µs with a camera of {delay_us} µs");
        }
    }
}

#[test]
fn reports_that_begin_late_move_the_picture_without_a_jump() {
    let mut world = World::new();
    let microphone = world.hears(1, Box::new(clicks));
    world.microphone(microphone).reports = false;
    let camera = world.shows(1, Codec::H264);
    world.camera(camera).reports = false;
    world.camera(camera).delay_us = 240_000;
    world.run_for(5_000);
    world.microphone(microphone).reports = true;
    world.camera(camera).reports = true;
    world.run_for(15_000);
    assert!(
        worst_skew_us(&world, 12, 0.0) < 15_000,
        "{}",
        worst_skew_us(&world, 12, 0.0)
    );
    let steps = world
        .pictures
        .windows(2)
        .map(|pair| pair[1].1.time.ticks - pair[0].1.time.ticks);
    for step in steps.skip(5) {
        assert!((3_400..=3_800).contains(&step), "a picture of {step} ticks");
    }
    assert_eq!(world.counters().pictures_nudged, 0);
}

#[test]
fn a_clock_that_is_wrong_by_200_ppm_stays_in_its_place() {
    for ppm in [200.0, -200.0] {
        let world = run(ppm, true, 60_000, 120);
        let worst = worst_skew_us(&world, 3, ppm);
        assert!(worst < 20_000, "{ppm} ppm: {worst} µs");
        let counters = world.counters();
        assert_eq!(
            (counters.concealed, counters.packets_late, counters.resyncs),
            (0, 0, 0),
            "{ppm} ppm"
        );
    }
}

#[test]
fn a_correction_of_drift_is_not_heard_as_a_click() {
    let mut world = World::new();
    let microphone = world.hears(1, Box::new(|n| tone(450.0, VOICE, n)));
    world.microphone(microphone).ppm = 200.0;
    world.run_for(60_000);
    assert!(
        steepest(&world.sound_ms(500, 59_000)) < 0.0083,
        "{}",
        steepest(&world.sound_ms(500, 59_000))
    );
    assert!(level(&world.sound_ms(40_000, 40_500), 450.0) > 0.12);
}

#[test]
fn two_members_with_different_clocks_do_not_disturb_each_other() {
    let mut world = World::new();
    let ada = world.hears(1, Box::new(clicks));
    let bo = world.speaks(2, 450.0);
    world.microphone(ada).ppm = 150.0;
    world.microphone(bo).ppm = -150.0;
    world.microphone(bo).network = Box::new(|n| Some(180_000 + n % 3 * 10_000));
    world.run_for(60_000);
    let counters = world.counters();
    assert_eq!(
        (counters.concealed, counters.packets_late, counters.resyncs),
        (0, 0, 0)
    );
}

#[test]
fn a_network_that_becomes_slower_for_good_is_followed() {
    // Ten seconds until the old delay is forgotten, and some thirty until all of it is made up for (its pitch is a little
    // lower until then); from farther away the sound leaps.
    for (slower_us, heard_again_ms) in [(220_000, 50_000), (320_000, 24_000)] {
        let mut world = World::new();
        let ada = world.speaks(1, 450.0);
        world.microphone(ada).network =
            Box::new(move |n| Some(if n < 500 { 20_000 } else { slower_us }));
        world.run_for(52_000);
        let heard = world.sound_ms(heard_again_ms, heard_again_ms + 1_000);
        assert!(level(&heard, 450.0) > 0.12, "{slower_us} µs");
        if slower_us == 220_000 {
            assert_eq!(world.counters().packets_late, 0);
        }
    }
}
