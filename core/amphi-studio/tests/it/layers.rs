//! Lower simulcast layers as rungs below the picture that is cut.

use std::collections::BTreeMap;

use amphi_media::{Codec, Rid, Sample, TrackId};
use amphi_studio::Input;

use crate::world::{World, from_and_when};

/// A key frame that a rung begins with may be shown this much after the top one's, in ticks: the instants in between.
const INSTANTS: i64 = 100;

fn on_air() -> World {
    let mut world = World::new();
    world.input(Input::Ladder { on: true });
    world
}

/// A member whose camera is sent three times.
fn shows(world: &mut World, member: u64) -> TrackId {
    let track = world.shows(member, Codec::H264);
    world.camera(track).lower = vec![1, 2];
    world.camera(track).rid = Rid::new("f");
    track
}

fn of_rung(world: &World, rung: u8) -> Vec<&Sample> {
    let of = |sample: &&Sample| sample.rung == rung;
    world.every_rung.iter().filter(of).collect()
}

/// What every rung shows at a time was captured when what the top one shows then was; times increase in each. Says how many
/// pictures of the rung were compared.
#[track_caller]
fn check(world: &World, rung: u8) -> usize {
    let top: BTreeMap<i64, i64> = of_rung(world, 0)
        .iter()
        .map(|sample| (sample.time.ticks, from_and_when(sample).1))
        .collect();
    let mut compared = 0;
    let mut before = None;
    for sample in of_rung(world, rung) {
        assert!(before < Some(sample.time.ticks), "times of a rung increase");
        assert!(
            before.is_some() || sample.key,
            "a rung begins with a key frame"
        );
        assert!(!sample.cut, "the top rung cuts for all");
        before = Some(sample.time.ticks);
        if let Some(captured) = top.get(&sample.time.ticks) {
            let apart = (from_and_when(sample).1 - captured).abs();
            // At a cut pictures since the key frame go by in an instant.
            if apart > 0 {
                assert!(sample.key && apart < 500_000, "captured {apart} µs apart");
            }
            compared += 1;
        }
    }
    compared
}

/// When the top rung was cut to another picture, in ticks; the beginning too.
fn cuts(world: &World) -> Vec<i64> {
    let top = of_rung(world, 0);
    let cut = top.iter().enumerate();
    cut.filter(|(index, sample)| *index == 0 || sample.cut)
        .map(|(_, sample)| sample.time.ticks)
        .collect()
}

/// Each rung begins with a key frame at every cut.
#[track_caller]
fn begin_together(world: &World, rungs: &[u8]) {
    for cut in cuts(world) {
        for rung in rungs {
            let first = of_rung(world, *rung)
                .into_iter()
                .find(|sample| sample.time.ticks >= cut);
            let first = first.expect("it goes on after the cut");
            assert!(
                first.key && first.time.ticks < cut + INSTANTS,
                "rung {rung} begins {} ticks after the cut",
                first.time.ticks - cut
            );
        }
    }
}

#[test]
fn each_layer_is_a_rung_whose_pictures_have_the_times_of_those_above() {
    let mut world = on_air();
    let ada = shows(&mut world, 1);
    world.run_for(10_000);
    assert_eq!(world.layers, [(world.layers[0].0, ada, true)]);
    let top = of_rung(&world, 0).len();
    assert!(top > 240, "{top}");
    for rung in [1, 2] {
        assert!(
            check(&world, rung) + 3 > top,
            "{} of {top}",
            check(&world, rung)
        );
        let keys = of_rung(&world, rung).iter().filter(|one| one.key).count();
        assert!((5..=7).contains(&keys), "{keys} key frames");
    }
    begin_together(&world, &[1, 2]);
    assert_eq!(world.counters().pictures_lower_dropped, 0);
}

#[test]
fn how_many_rungs_there_are_to_be_is_known_with_the_first_picture() {
    let mut world = on_air();
    assert_eq!(world.program.rungs(), 0, "nothing is shown");
    let ada = shows(&mut world, 1);
    // They come later than the best one, or not at all.
    world.camera(ada).paused = [1, 2].into();
    while world.pictures.is_empty() {
        world.run_for(10);
    }
    assert_eq!((world.program.rungs(), of_rung(&world, 1).len()), (3, 0));
    world.input(Input::Ladder { on: false });
    assert_eq!(world.program.rungs(), 1);
}

#[test]
fn another_speaker_is_a_cut_in_all_rungs_at_once() {
    let mut world = on_air();
    let voices = [world.speaks(1, 450.0), world.speaks(2, 900.0)];
    let (ada, bo) = (shows(&mut world, 1), shows(&mut world, 2));
    world.camera(bo).lower_variant = 20;
    for turn in 0..6 {
        world.speakers(&[voices[turn % 2]]);
        world.run_for(4_000);
    }
    assert_eq!(cuts(&world).len(), 6, "{:?}", world.on_air);
    begin_together(&world, &[1, 2]);
    for rung in [1, 2] {
        check(&world, rung);
    }
    // Only who is on air, and who is about to be, is asked for more than the picture.
    let mut taken: Vec<TrackId> = Vec::new();
    for (_, track, on) in &world.layers {
        match on {
            true => taken.push(*track),
            false => taken.retain(|one| one != track),
        }
        assert!((1..=2).contains(&taken.len()), "{:?}", world.layers);
    }
    assert_eq!(taken, [bo]);
    assert!(
        world.layers.contains(&(world.layers[2].0, ada, false)),
        "{:?}",
        world.layers
    );
}

#[test]
fn who_answers_no_request_is_on_air_with_the_first_key_frame_after_one() {
    for every_s in [5, 6, 7, 8] {
        for after_ms in [500, 2_500, 4_500] {
            let mut world = on_air();
            let voices = [world.speaks(1, 450.0), world.speaks(2, 900.0)];
            let (ada, bo) = (shows(&mut world, 1), shows(&mut world, 2));
            world.camera(bo).lower_variant = 20;
            world.camera(bo).obeys = false;
            world.camera(bo).key_every_us = every_s * 1_000_000;
            world.speakers(&[voices[0]]);
            world.run_for(3_500 + after_ms);
            assert_eq!(world.track_on_air(), Some(ada));
            let asked_us = world.now_us;
            world.speakers(&[voices[1]]);
            world.run_for(2_000 * every_s + 1_000);
            let on = world.on_air.iter().find(|(_, track)| *track == Some(bo));
            let waited_us = on.expect("it is shown").0 - asked_us;
            let most_us = every_s * 1_000_000 + 100_000;
            assert!(waited_us <= most_us, "{every_s} s: {waited_us} µs");
            for rung in [1, 2] {
                check(&world, rung);
                let last = of_rung(&world, rung).last().map(|one| from_and_when(one).0);
                assert_eq!(last, Some(bo), "{every_s} s: its layers follow");
            }
        }
    }
}

#[test]
fn the_only_camera_is_on_air_with_its_second_key_frame_if_it_answers_no_request() {
    for every_s in [3, 5, 8] {
        let mut world = on_air();
        let ada = shows(&mut world, 1);
        world.camera(ada).obeys = false;
        world.camera(ada).key_every_us = every_s * 1_000_000;
        world.run_for(2_000 * every_s + 1_000);
        assert_eq!(world.on_air, [(every_s * 1_000_000 + 60_000, Some(ada))]);
        for rung in [1, 2] {
            assert!(check(&world, rung) > 20, "its layers follow");
        }
    }
}

#[test]
fn a_camera_without_layers_is_cut_to_as_soon_as_without_a_ladder() {
    let first = |on| {
        let mut world = World::new();
        world.input(Input::Ladder { on });
        world.shows(1, Codec::H264);
        world.run_for(1_000);
        assert!(world.layers.is_empty());
        world.pictures[0].0
    };
    assert_eq!(first(true), first(false));
}

#[test]
fn a_member_with_two_layers_leaves_the_middle_rung_out() {
    let mut world = on_air();
    let ada = shows(&mut world, 1);
    world.camera(ada).lower = vec![2];
    world.camera(ada).rid = Rid::new("h");
    world.run_for(5_000);
    assert!(of_rung(&world, 1).is_empty());
    assert!(check(&world, 2) > 115);
}

#[test]
fn a_layer_that_pauses_holds_nobody_up_and_comes_back_with_a_key_frame() {
    let mut world = on_air();
    let ada = shows(&mut world, 1);
    world.run_for(5_000);
    world.camera(ada).paused.insert(2);
    world.run_for(5_000);
    world.camera(ada).paused.clear();
    world.run_for(5_000);
    let paused = |sample: &&&Sample| (5.2..9.8).contains(&sample.time.seconds());
    assert_eq!(of_rung(&world, 2).iter().filter(paused).count(), 0);
    assert!(of_rung(&world, 1).iter().filter(paused).count() > 110);
    let back = of_rung(&world, 2)
        .into_iter()
        .find(|sample| sample.time.seconds() > 9.8);
    let back = back.expect("it comes back");
    assert!(back.key && back.time.seconds() < 12.5, "{:?}", back.time);
    check(&world, 2);
    assert_eq!(
        cuts(&world).len(),
        1,
        "nobody's picture is interrupted for it"
    );
}

#[test]
fn when_the_highest_layer_pauses_the_one_below_is_on_air_and_the_lowest_goes_on() {
    let mut world = on_air();
    let ada = shows(&mut world, 1);
    world.run_for(5_000);
    let own_rtp_us = world.camera(ada).rtp_us;
    let camera = world.camera(ada);
    // As the SFU does it: frames of the layer below come in place of the highest one's.
    camera.rid = Rid::new("h");
    camera.variant = 11;
    camera.rtp_us = own_rtp_us + 7_000_000_000;
    camera.lower = vec![2];
    camera.ask_for_key();
    world.run_for(5_000);
    let camera = world.camera(ada);
    camera.rid = Rid::new("f");
    camera.variant = 1;
    camera.rtp_us = own_rtp_us;
    camera.lower = vec![1, 2];
    camera.ask_for_key();
    world.run_for(5_000);
    assert_eq!(cuts(&world).len(), 3, "{:?}", cuts(&world));
    begin_together(&world, &[2]);
    let middle = |sample: &&&Sample| (5.3..9.9).contains(&sample.time.seconds());
    assert_eq!(of_rung(&world, 1).iter().filter(middle).count(), 0);
    let after = of_rung(&world, 1)
        .iter()
        .filter(|sample| sample.time.seconds() > 10.2)
        .count();
    assert!(after > 110, "{after}");
}

#[test]
fn other_parameter_sets_of_a_layer_are_a_cut_for_all() {
    let mut world = on_air();
    let ada = shows(&mut world, 1);
    world.run_for(5_000);
    world.camera(ada).lower_variant = 40;
    world.run_for(5_000);
    assert_eq!(cuts(&world).len(), 2, "{:?}", cuts(&world));
    begin_together(&world, &[1, 2]);
}

#[test]
fn a_wish_for_layers_that_was_lost_is_repeated_until_they_come() {
    let mut world = on_air();
    let ada = shows(&mut world, 1);
    world.camera(ada).wishes_lost = 2;
    world.run_for(20_000);
    let wishes: Vec<(TrackId, bool)> = (world.layers.iter())
        .map(|(_, track, on)| (*track, *on))
        .collect();
    assert_eq!(wishes, [(ada, true); 3], "{:?}", world.layers);
    let gaps = world.layers.windows(2).map(|pair| pair[1].0 - pair[0].0);
    assert!(gaps.min() > Some(3_000_000), "{:?}", world.layers);
    for rung in [1, 2] {
        assert!(of_rung(&world, rung).len() > 200);
        check(&world, rung);
    }
    assert_eq!(cuts(&world).len(), 1);
}

#[test]
fn times_of_a_rung_increase_over_cuts_however_much_sooner_or_later_its_layer_comes() {
    for (delay_us, sooner_us) in [(400_000, 190_000), (600_000, 290_000), (60_000, -250_000)] {
        let mut world = on_air();
        let voices = [world.speaks(1, 450.0), world.speaks(2, 900.0)];
        let (ada, bo) = (shows(&mut world, 1), shows(&mut world, 2));
        world.camera(bo).lower_variant = 20;
        world.camera(ada).delay_us = delay_us;
        world.camera(ada).lower_sooner_us = sooner_us;
        for turn in 0..12 {
            world.speakers(&[voices[turn % 2]]);
            world.run_for(2_500);
            // Other parameter sets of the picture: a cut within the same camera.
            world.camera(ada).variant ^= 0x40;
            world.camera(ada).ask_for_key();
            world.run_for(2_500);
        }
        assert!(cuts(&world).len() > 10, "{:?}", cuts(&world));
        for rung in [1, 2] {
            let of = of_rung(&world, rung);
            assert!(of.len() > 500, "{} pictures of rung {rung}", of.len());
            for pair in of.windows(2) {
                let (before, after) = (pair[0].time.ticks, pair[1].time.ticks);
                assert!(before < after, "{sooner_us} µs: {before}, then {after}");
            }
        }
    }
}

#[test]
fn layers_that_come_in_fits_cost_pictures_and_nothing_else() {
    for seed in 1..=20u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut roll = |sides: u64| {
            // Marsaglia's xorshift.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % sides
        };
        let mut world = on_air();
        let voices = [world.speaks(1, 450.0), world.speaks(2, 900.0)];
        let cameras = [shows(&mut world, 1), shows(&mut world, 2)];
        for _ in 0..25 {
            let camera = cameras[roll(2) as usize];
            match roll(7) {
                0 => world.speakers(&[voices[roll(2) as usize]]),
                1 => {
                    world.camera(camera).paused.insert(1 + roll(2) as u8);
                }
                2 => world.camera(camera).paused.clear(),
                3 => world.camera(camera).lower_variant = 10 + 10 * roll(3) as u8,
                4 => {
                    world.camera(camera).delay_us = 40_000 + 1_000 * roll(200) as i64;
                    world.camera(camera).lower_sooner_us = 1_000 * roll(200) as i64 - 100_000;
                }
                5 => {
                    let muted = roll(2) == 0;
                    world.mute(camera, muted);
                }
                _ => world.input(Input::Ladder { on: roll(3) > 0 }),
            }
            world.run_for(roll(2_500) as i64);
        }
        for rung in [1, 2] {
            let mut before = None;
            for sample in of_rung(&world, rung) {
                assert!(
                    before < Some(sample.time.ticks),
                    "seed {seed}: times increase"
                );
                before = Some(sample.time.ticks);
            }
        }
        let top: Vec<i64> = of_rung(&world, 0)
            .iter()
            .map(|one| one.time.ticks)
            .collect();
        for rung in [1, 2] {
            for sample in of_rung(&world, rung) {
                assert!(
                    top[0] <= sample.time.ticks,
                    "seed {seed}: nothing is shown before the picture"
                );
            }
        }
        let calm_us = world.now_us;
        world.input(Input::Ladder { on: true });
        for camera in cameras {
            world.mute(camera, false);
            world.camera(camera).paused.clear();
        }
        world.run_for(10_000);
        for rung in [0, 1, 2] {
            let late = |sample: &&&Sample| sample.time.micros() > calm_us + 8_000_000;
            let shown = of_rung(&world, rung).iter().filter(late).count();
            assert!(shown > 40, "seed {seed}: {shown} pictures of rung {rung}");
        }
    }
}
