use amphi_media::{Codec, Rid, Source, TrackId};
use amphi_studio::Input;

use crate::world::{PICTURE_US, VOICE, World, from_and_when, level};

/// From which tracks pictures came, in order, repeats left out.
fn sequence(world: &World) -> Vec<TrackId> {
    let mut tracks: Vec<TrackId> = world
        .pictures
        .iter()
        .map(|(_, sample)| from_and_when(sample).0)
        .collect();
    tracks.dedup();
    tracks
}

/// When the first picture of this track came out, in milliseconds, and whether it was marked as a cut.
fn first_of(world: &World, track: TrackId) -> (i64, bool) {
    let (at, sample) = world
        .pictures
        .iter()
        .find(|(_, sample)| from_and_when(sample).0 == track)
        .expect("a picture of it");
    assert!(sample.key, "a source begins with a key frame");
    (at / 1_000, sample.cut)
}

#[test]
fn the_only_camera_is_on_air_untouched() {
    let mut world = World::new();
    let camera = world.shows(1, Codec::H264);
    world.run_for(2_000);
    assert_eq!(world.on_air.len(), 1);
    assert_eq!(world.track_on_air(), Some(camera));
    assert!(
        !world.pictures[0].1.cut,
        "nothing was before the first picture"
    );
    for (pair, (_, sample)) in world.pictures.windows(2).zip(&world.pictures) {
        assert_eq!(pair[1].1.time.ticks - pair[0].1.time.ticks, 3_600);
        let (track, captured) = from_and_when(sample);
        assert_eq!(
            sample.data,
            crate::world::picture(track, captured, sample.key, 1)
        );
    }
    assert!(world.pictures.len() > 45);
    assert!(world.notes.is_empty(), "all is well");
}

#[test]
fn the_speaker_is_cut_to_at_a_key_frame_once_the_shot_is_three_seconds_old() {
    let mut world = World::new();
    let (ada_voice, bo_voice) = (world.speaks(1, 450.0), world.speaks(2, 900.0));
    let (ada, bo) = (world.shows(1, Codec::H264), world.shows(2, Codec::H264));
    world.speakers(&[ada_voice]);
    world.run_for(1_000);
    world.speakers(&[bo_voice]);
    world.run_for(3_000);
    assert_eq!(sequence(&world), [ada, bo]);
    let (at_ms, cut) = first_of(&world, bo);
    assert!((3_060..3_300).contains(&at_ms), "{at_ms} ms");
    assert!(cut);
    assert!(
        world
            .requests
            .iter()
            .any(|(at, track)| *track == bo && (3_040_000..3_200_000).contains(at))
    );
    assert_eq!(world.track_on_air(), Some(bo));
    let held = world
        .pictures
        .windows(2)
        .map(|pair| pair[1].1.time.ticks - pair[0].1.time.ticks)
        .max();
    assert!(
        held < Some(9_000),
        "the old picture stays until the new one is there: {held:?} ticks"
    );
}

#[test]
fn after_three_seconds_the_speaker_is_cut_to_as_soon_as_its_key_frame_comes() {
    let mut world = World::new();
    let (ada_voice, bo_voice) = (world.speaks(1, 450.0), world.speaks(2, 900.0));
    let (_, bo) = (world.shows(1, Codec::H264), world.shows(2, Codec::H264));
    world.speakers(&[ada_voice]);
    world.run_for(5_000);
    world.speakers(&[bo_voice]);
    world.run_for(1_000);
    assert!(first_of(&world, bo).0 < 5_200);
}

#[test]
fn two_who_speak_at_once_do_not_take_turns() {
    let mut world = World::new();
    let (ada_voice, bo_voice) = (world.speaks(1, 450.0), world.speaks(2, 900.0));
    let (ada, _) = (world.shows(1, Codec::H264), world.shows(2, Codec::H264));
    for turn in 0..40 {
        let (loud, less) = if turn % 2 == 0 {
            (ada_voice, bo_voice)
        } else {
            (bo_voice, ada_voice)
        };
        world.input(Input::Speakers(vec![(loud, 0.5), (less, 0.45)]));
        world.run_for(300);
    }
    assert_eq!(sequence(&world), [ada]);
    world.input(Input::Speakers(vec![(bo_voice, 0.5), (ada_voice, 0.1)]));
    world.run_for(500);
    assert_eq!(sequence(&world).len(), 2, "a much louder one is cut to");
}

#[test]
fn a_speaker_without_a_camera_leaves_the_picture_as_it_is() {
    let mut world = World::new();
    let (_, bo_voice) = (world.speaks(1, 450.0), world.speaks(2, 900.0));
    let ada = world.shows(1, Codec::H264);
    world.run_for(1_000);
    world.speakers(&[bo_voice]);
    world.run_for(5_000);
    assert_eq!(sequence(&world), [ada]);
}

#[test]
fn a_screen_wins_at_once_and_gives_back_to_the_camera() {
    let mut world = World::new();
    let voice = world.speaks(1, 450.0);
    let (ada, _) = (world.shows(1, Codec::H264), world.shows(2, Codec::H264));
    world.run_for(500);
    let screen = world.shows_source(2, Codec::H264, Source::Screen);
    world.run_for(1_000);
    assert_eq!(sequence(&world), [ada, screen]);
    assert!(first_of(&world, screen).0 < 700);
    world.speakers(&[voice]);
    world.run_for(5_000);
    assert_eq!(
        sequence(&world),
        [ada, screen],
        "who speaks does not matter while a screen is shown"
    );
    world.leave(screen);
    world.run_for(1_000);
    assert_eq!(sequence(&world), [ada, screen, ada]);
}

#[test]
fn when_the_source_on_air_ends_another_camera_follows_at_once() {
    for ends in [World::leave, |world: &mut World, track| {
        world.mute(track, true)
    }] {
        let mut world = World::new();
        let (ada, bo) = (world.shows(1, Codec::H264), world.shows(2, Codec::H264));
        world.run_for(1_000);
        assert_eq!(world.track_on_air(), Some(ada));
        ends(&mut world, ada);
        assert_eq!(
            world.track_on_air(),
            None,
            "what is no longer there is not on air"
        );
        world.run_for(500);
        assert_eq!(world.track_on_air(), Some(bo));
        assert!(first_of(&world, bo).0 < 1_200);
    }
}

#[test]
fn without_another_camera_the_picture_stops_and_sound_goes_on() {
    let mut world = World::new();
    world.speaks(1, 450.0);
    let ada = world.shows(1, Codec::H264);
    world.run_for(1_000);
    world.mute(ada, true);
    let shown = world.pictures.len();
    world.run_for(5_000);
    assert_eq!(world.pictures.len(), shown);
    assert_eq!(world.track_on_air(), None);
    assert!(level(&world.sound_ms(4_000, 5_000), 450.0) > 0.12);
    world.mute(ada, false);
    world.run_for(1_000);
    assert_eq!(world.track_on_air(), Some(ada));
    assert!(world.pictures[shown].1.key);
}

#[test]
fn a_camera_that_freezes_gives_way() {
    let mut world = World::new();
    let (ada, bo) = (world.shows(1, Codec::H264), world.shows(2, Codec::H264));
    world.run_for(4_000);
    world.camera(ada).on = false;
    world.run_for(4_000);
    assert_eq!(sequence(&world), [ada, bo]);
    assert!(
        (6_900..7_500).contains(&first_of(&world, bo).0),
        "{:?}",
        first_of(&world, bo)
    );
}

#[test]
fn a_source_that_never_sends_a_key_frame_does_not_take_the_air() {
    let mut world = World::new();
    let bo_voice = world.speaks(2, 900.0);
    let (ada, bo) = (world.shows(1, Codec::H264), world.shows(2, Codec::H264));
    world.run_for(4_000);
    world.camera(bo).obeys = false;
    world.speakers(&[bo_voice]);
    world.run_for(12_000);
    assert_eq!(sequence(&world), [ada]);
    let asked = world
        .requests
        .iter()
        .filter(|(_, track)| *track == bo)
        .count();
    assert!((4..=12).contains(&asked), "asked {asked} times");
}

#[test]
fn the_source_on_air_is_asked_for_a_key_frame_every_two_seconds() {
    let mut world = World::new();
    let ada = world.shows(1, Codec::H264);
    let _bo = world.shows(2, Codec::H264);
    world.run_for(10_500);
    let keys: Vec<i64> = world
        .pictures
        .iter()
        .filter(|(_, sample)| sample.key)
        .map(|(at, _)| at / 1_000)
        .collect();
    assert_eq!(keys.len(), 6, "{keys:?}");
    for pair in keys.windows(2) {
        assert!((2_000..2_250).contains(&(pair[1] - pair[0])), "{keys:?}");
    }
    assert!(world.requests.iter().all(|(_, track)| *track == ada));
    assert!(
        world.pictures.iter().all(|(_, sample)| !sample.cut),
        "a key frame alone is no cut"
    );
}

#[test]
fn other_parameter_sets_of_the_same_source_are_a_cut() {
    let mut world = World::new();
    let ada = world.shows(1, Codec::H264);
    world.run_for(3_000);
    let camera = world.camera(ada);
    camera.rid = Rid::new("q");
    camera.variant = 2;
    camera.rtp_us += 7_777_777_777;
    world.run_for(3_000);
    let cuts: Vec<_> = world
        .pictures
        .iter()
        .filter(|(_, sample)| sample.cut)
        .collect();
    assert_eq!(cuts.len(), 1);
    let gaps = world
        .pictures
        .windows(2)
        .map(|pair| pair[1].1.time.ticks - pair[0].1.time.ticks);
    assert!(gaps.clone().max() < Some(60_000), "{:?}", gaps.max());
}

/// A key frame of another size every 40 ms.
#[test]
fn a_source_whose_size_changes_with_every_picture_is_a_cut_each_time_and_the_sound_goes_on() {
    let mut world = World::new();
    world.speaks(1, 450.0);
    let ada = world.shows(1, Codec::H264);
    world.camera(ada).key_every_us = PICTURE_US;
    world.run_for(1_000);
    let before = world.pictures.len();
    for variant in 0..100 {
        world.camera(ada).variant = 2 + variant;
        world.run_for(40);
    }
    let restless = &world.pictures[before..];
    assert!((99..=101).contains(&restless.len()), "{}", restless.len());
    assert!(restless.iter().all(|(_, sample)| sample.key));
    let cuts = restless.iter().filter(|(_, sample)| sample.cut).count();
    assert!((98..=100).contains(&cuts), "{cuts}");
    let steps = restless.windows(2);
    assert!(
        steps
            .clone()
            .all(|pair| pair[1].1.time.ticks - pair[0].1.time.ticks == 3_600)
    );
    assert!(world.requests.is_empty(), "what comes is not asked for");
    assert_eq!(world.track_on_air(), Some(ada));
    let sound = world.sound_ms(1_000, 4_500);
    assert!((level(&sound, 450.0) - f64::from(VOICE)).abs() < 0.01);
}

#[test]
fn after_a_loss_nothing_is_shown_until_the_next_key_frame() {
    let mut world = World::new();
    let ada = world.shows(1, Codec::H264);
    world.run_for(1_000);
    world.camera(ada).lost = true;
    let shown = world.pictures.len();
    world.run_for(600);
    let next = &world.pictures[shown + 1..];
    assert!(
        next.iter()
            .position(|(_, sample)| sample.key)
            .expect("a key frame was asked for")
            <= 1
    );
    assert!(world.counters().pictures_broken >= 1);
    assert!(world.requests.len() == 1);
}

#[test]
fn who_sends_vp8_only_is_heard_and_the_note_says_so() {
    let mut world = World::new();
    world
        .names
        .insert(amphi_media::MemberId(2), "Bo".to_owned());
    world.speaks(2, 900.0);
    let bo = world.shows(2, Codec::Vp8);
    world.run_for(2_000);
    let note = "Bo sends VP8 only: Bo is heard, and seen where the picture is composed.";
    assert_eq!(world.notes.last(), Some(&Some(note.to_owned())));
    assert!(level(&world.sound_ms(1_000, 1_500), 900.0) > 0.12);
    assert!(world.pictures.is_empty());
    assert_eq!(world.track_on_air(), None);
    world.shows(1, Codec::H264);
    world.run_for(500);
    assert_eq!(
        world.notes.last(),
        Some(&Some(note.to_owned())),
        "still true beside another camera"
    );
    assert_eq!(world.track_on_air(), Some(TrackId(11)));
    world.leave(bo);
    world.run_for(100);
    assert_eq!(world.notes.last(), Some(&None));
}
