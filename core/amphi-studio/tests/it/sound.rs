use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::world::{VOICE, World, level, steepest, tone};

/// A tone of 0.13 at 900 Hz moves by 0.016 per sample at most; more than that in the mix is a click.
const CLICK: f32 = 0.03;

#[test]
fn what_comes_in_opus_is_the_same_sound_at_the_same_times() {
    let mut world = World::with_opus();
    world.speaks(1, 450.0);
    world.run_for(3_000);
    let (aac, opus) = (&world.sound, &world.opus);
    assert!(opus.len() > 2 * 48_000 && opus.len().abs_diff(aac.len()) < 960);
    let both = aac.len().min(opus.len());
    assert_eq!(aac[..both], opus[..both]);
}

#[test]
fn with_nobody_on_stage_there_is_silence_from_zero_on_and_a_note() {
    let mut world = World::new();
    world.run_for(2_000);
    assert!(
        world.sound.len() >= 48 * 1_650,
        "{} samples",
        world.sound.len()
    );
    assert!(world.sound.iter().all(|sample| *sample == [0.0; 2]));
    assert_eq!(
        world.notes,
        [Some(
            "Nobody shows a camera: the program is sound only.".to_owned()
        )]
    );
    assert!(world.pictures.is_empty());
}

#[test]
fn everybody_on_stage_is_in_the_mix() {
    let mut world = World::new();
    world.speaks(1, 450.0);
    world.speaks(2, 900.0);
    world.run_for(3_000);
    let mix = world.sound_ms(1_000, 2_000);
    // Two at once are to be as loud as one.
    let share = 0.5f64.sqrt();
    for hz in [450.0, 900.0] {
        assert!(
            (level(&mix, hz) - f64::from(VOICE) * share).abs() < 0.01,
            "{hz} Hz: {}",
            level(&mix, hz)
        );
    }
    assert!(level(&mix, 675.0) < 0.001);
    assert_eq!(world.counters().concealed, 0);
    assert_eq!(world.counters().packets_late, 0);
}

#[test]
fn sound_goes_through_unchanged_when_nothing_is_wrong() {
    let mut world = World::new();
    world.speaks(1, 450.0);
    world.run_for(2_000);
    let mix = world.sound_ms(500, 1_500);
    let from = (0..960).find(|n| {
        (mix[0] - tone(450.0, VOICE, *n)).abs() < 1e-6
            && (mix[1] - tone(450.0, VOICE, n + 1)).abs() < 1e-6
    });
    let from = from.expect("a place in the tone where the mix begins");
    for (n, sample) in mix.iter().enumerate() {
        assert!(
            (sample - tone(450.0, VOICE, from + n as i64)).abs() < 1e-5,
            "sample {n}"
        );
    }
}

#[test]
fn muting_and_leaving_are_no_hole_and_no_click() {
    let mut world = World::new();
    let ada = world.speaks(1, 450.0);
    let bo = world.speaks(2, 900.0);
    world.run_for(2_013);
    world.mute(ada, true);
    world.run_for(1_007);
    world.mute(ada, false);
    world.run_for(1_001);
    world.leave(bo);
    world.run_for(1_000);
    assert!(
        steepest(&world.sound_ms(500, 4_700)) < CLICK,
        "{}",
        steepest(&world.sound_ms(500, 4_700))
    );
    let muted = world.sound_ms(2_200, 2_900);
    assert!(level(&muted, 450.0) < 0.001 && level(&muted, 900.0) > 0.12);
    let both = world.sound_ms(3_200, 3_700);
    assert!(level(&both, 450.0) > 0.08 && level(&both, 900.0) > 0.08);
    let alone = world.sound_ms(4_200, 4_600);
    assert!(level(&alone, 450.0) > 0.12 && level(&alone, 900.0) < 0.001);
}

#[test]
fn who_left_is_not_heard_from_the_next_block_on() {
    let mut world = World::new();
    let bo = world.speaks(2, 900.0);
    world.run_for(2_000);
    let heard_ms = world.sound.len() / 48;
    world.leave(bo);
    world.run_for(1_000);
    // One block and a fade, of the 200 ms that were waiting.
    assert!(
        world
            .sound_ms(heard_ms + 30, 2_600)
            .iter()
            .all(|sample| *sample == 0.0)
    );
}

#[test]
fn single_lost_packets_are_concealed() {
    let mut world = World::new();
    let ada = world.speaks(1, 450.0);
    world.microphone(ada).network = Box::new(|n| (n % 20 != 7).then_some(20_000));
    world.run_for(5_000);
    let concealed = world.counters().concealed;
    assert!((225..=250).contains(&(concealed * 20)), "{concealed}");
    assert!(level(&world.sound_ms(1_000, 4_000), 450.0) > 0.124);
    assert!(steepest(&world.sound_ms(500, 4_500)) < CLICK);
}

#[test]
fn a_long_hole_becomes_silence_after_a_tenth_of_a_second_and_ends_softly() {
    let mut world = World::new();
    let ada = world.speaks(1, 450.0);
    world.microphone(ada).network = Box::new(|n| (!(100..150).contains(&n)).then_some(20_000));
    world.run_for(5_000);
    // Packets 100 to 149 are 2.0 s to 3.0 s; the programme is 20 ms + 20 ms later than capture.
    assert!(
        level(&world.sound_ms(2_050, 2_100), 450.0) > 0.1,
        "made up at first"
    );
    assert!(
        world
            .sound_ms(2_200, 2_990)
            .iter()
            .all(|sample| *sample == 0.0),
        "then silent"
    );
    assert!(
        level(&world.sound_ms(3_100, 3_600), 450.0) > 0.12,
        "and back"
    );
    assert!(steepest(&world.sound_ms(500, 4_500)) < CLICK);
    assert_eq!(world.counters().concealed, 5);
}

#[test]
fn packets_that_come_after_their_time_was_mixed_are_dropped_and_counted() {
    let mut world = World::new();
    let ada = world.speaks(1, 450.0);
    world.microphone(ada).network = Box::new(|n| Some(if n % 10 == 3 { 500_000 } else { 20_000 }));
    world.run_for(5_000);
    let late = world.counters().packets_late;
    assert!((20..=25).contains(&late), "{late}");
    assert!(steepest(&world.sound_ms(500, 4_500)) < CLICK);
}

#[test]
fn jitter_below_the_mixing_delay_is_not_heard() {
    let mut world = World::new();
    let ada = world.speaks(1, 450.0);
    world.microphone(ada).network = Box::new(|n| Some(20_000 + (n * 7_919 % 200) * 1_000));
    world.run_for(5_000);
    assert_eq!(
        (world.counters().concealed, world.counters().packets_late),
        (0, 0)
    );
    assert!(level(&world.sound_ms(1_000, 4_000), 450.0) > 0.12);
    assert!(steepest(&world.sound_ms(600, 4_500)) < CLICK);
}

#[test]
fn many_loud_voices_stay_below_full_scale() {
    let mut world = World::new();
    for member in 1..=10 {
        world.hears(member, Box::new(move |n| tone(450.0, 0.9, n)));
    }
    world.run_for(2_000);
    // The encoder of the tests refuses anything above the ceiling.
    assert!(
        world.counters().limited > 10,
        "{}",
        world.counters().limited
    );
}

#[test]
fn what_is_not_a_number_does_not_reach_the_encoder() {
    let mut world = World::new();
    world.speaks(1, 450.0);
    world.hears(
        2,
        Box::new(|n| [f32::NAN, f32::INFINITY, -1e30, 3.0][n as usize % 4]),
    );
    world.run_for(1_000);
    assert!(
        world
            .sound
            .iter()
            .flatten()
            .all(|sample| sample.abs() <= 0.708)
    );
    assert!(world.failed.is_none());
}

#[test]
fn an_error_of_the_encoder_costs_one_access_unit_of_silence() {
    let errors = Arc::new(AtomicU32::new(0));
    let mut world = World::with(0, errors.clone());
    world.speaks(1, 450.0);
    world.run_for(1_000);
    errors.store(1, Ordering::Relaxed);
    world.run_for(1_000);
    assert_eq!(world.counters().encoder_errors, 1);
    assert!(level(&world.sound_ms(800, 1_600), 450.0) > 0.115);
}

#[test]
fn an_encoder_that_fails_for_a_second_ends_the_program_with_a_reason() {
    let errors = Arc::new(AtomicU32::new(0));
    let mut world = World::with(0, errors.clone());
    world.run_for(1_000);
    errors.store(u32::MAX, Ordering::Relaxed);
    world.run_for(3_000);
    assert!(world.failed.expect("a reason").contains("encoder"));
    assert_eq!(world.program.poll_timeout(), None);
}

#[test]
fn the_encoders_delay_is_taken_off_the_times() {
    let heard = |delay| {
        let mut world = World::with(delay, Arc::default());
        world.hears(1, Box::new(|n| if n == 48_000 { 0.8 } else { 0.0 }));
        world.run_for(2_500);
        world
            .sound
            .iter()
            .position(|sample| sample[0] > 0.1)
            .expect("the click")
    };
    assert_eq!(heard(0), heard(1024));
    assert_eq!(heard(0), heard(2048));
}

#[test]
fn who_has_nothing_to_say_is_not_taken_for_lost() {
    let mut world = World::new();
    let ada = world.speaks(1, 450.0);
    world.run_for(1_000);
    world.microphone(ada).on = false;
    // Discontinuous transmission: an empty packet every 400 ms.
    for packet in (52..200).step_by(20) {
        world.send(packet * 20_000 + 40_000, resting(ada, packet));
    }
    world.run_for(3_000);
    assert_eq!(
        world.counters().concealed,
        2,
        "the two packets between the tone and the rest"
    );
    assert_eq!(world.counters().packets_late, 0);
}

fn resting(track: amphi_media::TrackId, packet: i64) -> amphi_media::Frame {
    amphi_media::Frame {
        track,
        codec: amphi_media::Codec::Opus,
        rid: amphi_media::Rid::NONE,
        rung: 0,
        lower: 0,
        time: amphi_media::MediaTime::new(77_000_000 + packet * 960, 48_000),
        arrived: World::new().start,
        sender_time_us: None,
        key: true,
        contiguous: true,
        size: None,
        data: bytes::Bytes::from_static(&[0xfc]),
    }
}
