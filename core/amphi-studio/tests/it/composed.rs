use std::sync::Arc;
use std::sync::atomic::Ordering;

use amphi_media::{Bitrate, Codec, Sample, Source, TrackId, VideoSize};
use amphi_studio::composer::{Look, Rung};
use amphi_studio::layout::{Area, CameraFit, Guest, Layout, cells, wanted};
use amphi_studio::lettering::Image;
use amphi_studio::{Input, Kind};

use crate::codecs::{Done, FILM, luma_of};
use crate::world::{VOICE, World, level, look, steepest};

const CANVAS: VideoSize = VideoSize {
    width: 320,
    height: 180,
};

/// Brightness in the middle of an area of a composed picture.
fn middle(sample: &Sample, area: Area) -> u8 {
    let at = (area.y + area.height / 2) * CANVAS.width + area.x + area.width / 2;
    sample.data[at as usize]
}

/// The areas of so many cameras, or of a screen and so many.
fn areas(layout: Layout, cameras: usize, screen: bool, lead: Option<usize>) -> Vec<Area> {
    let guest = |source| Guest {
        source,
        size: Some(FILM),
    };
    let mut guests: Vec<Guest> = screen.then(|| guest(Source::Screen)).into_iter().collect();
    guests.extend(vec![guest(Source::Camera); cameras]);
    let mut cells = cells(layout, CANVAS, &guests, lead);
    cells.sort_by_key(|cell| cell.guest);
    cells.iter().map(|cell| cell.area).collect()
}

/// The tracks are seen in these areas of the newest picture.
#[track_caller]
fn sees(world: &World, seen: &[(TrackId, Area)]) {
    let (_, sample) = world.pictures.last().expect("a picture");
    for (track, area) in seen {
        assert_eq!(
            middle(sample, *area),
            luma_of(*track),
            "{track:?} in {area:?}"
        );
    }
}

#[test]
fn everybody_is_in_a_cell_of_their_own_whatever_codec_they_send() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    let tracks = [
        world.shows(1, Codec::H264),
        world.shows(2, Codec::Vp8),
        world.shows(3, Codec::Vp8),
    ];
    world.run_for(3_000);
    let areas = areas(Layout::Grid, 3, false, None);
    sees(
        &world,
        &[
            (tracks[0], areas[0]),
            (tracks[1], areas[1]),
            (tracks[2], areas[2]),
        ],
    );
    assert_eq!(world.notes.last(), Some(&None), "nothing to complain of");
    let counters = world.counters();
    assert_eq!((counters.decoder_errors, counters.ticks_left_out), (0, 0));
    // Some 25 a second of each, less what came before they were asked for a key frame.
    assert!(
        (190..=228).contains(&counters.pictures_decoded),
        "{counters:?}"
    );
}

#[test]
fn pictures_come_at_their_rate_and_with_a_key_frame_every_two_seconds() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    world.shows(1, Codec::H264);
    world.run_for(9_000);
    // The first ones are of an empty stage, on which nothing changes.
    let times: Vec<i64> = world
        .pictures
        .iter()
        .skip(5)
        .map(|(_, sample)| sample.time.ticks)
        .collect();
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] == 3_600),
        "25 a second"
    );
    let keys: Vec<i64> = world
        .pictures
        .iter()
        .filter(|(_, sample)| sample.key)
        .map(|(_, sample)| sample.time.ticks / 90)
        .collect();
    assert!(
        keys.windows(2).all(|pair| pair[1] - pair[0] == 2_000),
        "{keys:?}"
    );
    for (at_us, sample) in &world.pictures {
        let late_us = at_us - sample.time.micros();
        assert!((100_000..110_000).contains(&late_us), "{late_us}");
    }
}

#[test]
fn what_does_not_change_is_neither_drawn_nor_encoded() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    let screen = world.shows_source(1, Codec::Vp8, Source::Screen);
    world.run_for(2_000);
    world.camera(screen).on = false;
    world.run_for(500);
    let encoded = done.encoded.load(Ordering::Relaxed);
    world.run_for(10_000);
    let more = done.encoded.load(Ordering::Relaxed) - encoded;
    assert_eq!(more, 5, "a key frame every two seconds");
    assert!(world.counters().ticks_unchanged > 230);
    sees(&world, &[(screen, areas(Layout::Grid, 0, true, None)[0])]);
}

#[test]
fn who_comes_and_goes_is_faded_and_nobody_jumps() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    let first = world.shows(1, Codec::Vp8);
    world.run_for(2_000);
    let alone = areas(Layout::Grid, 1, false, None)[0];
    sees(&world, &[(first, alone)]);
    let before = world.pictures.len();
    world.leave(first);
    world.run_for(1_000);
    let brightness: Vec<u8> = world.pictures[before..]
        .iter()
        .map(|(_, sample)| middle(sample, alone))
        .collect();
    let between =
        |value: &&u8| **value != luma_of(first) && **value != *brightness.last().expect("pictures");
    let steps = brightness.iter().filter(between).count();
    assert!((3..=6).contains(&steps), "{brightness:?}");
    let falls = brightness.windows(2).all(|pair| pair[0] >= pair[1]);
    let rises = brightness.windows(2).all(|pair| pair[0] <= pair[1]);
    assert!(falls || rises, "{brightness:?}");
}

#[test]
fn a_layout_is_changed_at_once_and_who_stands_still_is_not_dark() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    let tracks = [world.shows(1, Codec::Vp8), world.shows(2, Codec::Vp8)];
    world.run_for(2_000);
    for track in tracks {
        world.camera(track).on = false;
    }
    world.run_for(500);
    world.input(Input::Kind(Kind::Compose(look(Layout::SideBySide))));
    world.run_for(500);
    let areas = areas(Layout::SideBySide, 2, false, None);
    sees(&world, &[(tracks[0], areas[0]), (tracks[1], areas[1])]);
    assert!(world.counters().layouts >= 2);
}

/// A moment is enough for it: nobody has to move. People are drawn below as if it were not there.
#[test]
fn a_title_and_a_logo_are_laid_over_everybody_and_taken_off_again() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Screen, &done);
    let screen = world.shows_source(1, Codec::Vp8, Source::Screen);
    world.run_for(2_000);
    world.camera(screen).on = false;
    world.run_for(1_000);
    let plain = world.pictures.last().expect("a picture").1.data.clone();
    let mut logo = Image::new(VideoSize::new(640, 320));
    for pixel in logo.rgba.chunks_exact_mut(4) {
        pixel.copy_from_slice(&[255, 255, 255, 255]);
    }
    let with = Look {
        title: "Town hall".to_owned(),
        logo: Some(logo),
        ..look(Layout::Screen)
    };
    world.input(Input::Kind(Kind::Compose(with)));
    world.run_for(500);
    let (_, sample) = world.pictures.last().expect("a picture");
    let bright = |x: u32, y: u32| sample.data[(y * CANVAS.width + x) as usize] > 200;
    let seen: Vec<(u32, u32)> = (0..CANVAS.height)
        .flat_map(|y| (0..CANVAS.width).map(move |x| (x, y)))
        .filter(|(x, y)| bright(*x, *y))
        .collect();
    let title = seen.iter().filter(|(x, _)| *x < CANVAS.width / 2);
    assert!(title.clone().all(|(_, y)| (6..24).contains(y)), "{seen:?}");
    assert!(title.count() > 200);
    // An eighth of the height, so 44 by 22, six pixels from both edges.
    let logo: Vec<_> = seen.iter().filter(|(x, _)| *x > CANVAS.width / 2).collect();
    assert_eq!(logo.first(), Some(&&(270, 6)));
    assert_eq!(logo.last(), Some(&&(313, 27)));
    assert_eq!(logo.len(), 44 * 22);
    let untouched = |x: u32, y: u32| y > 30 || (140..260).contains(&x);
    for y in 0..CANVAS.height {
        for x in (0..CANVAS.width).filter(|x| untouched(*x, y)) {
            let at = (y * CANVAS.width + x) as usize;
            assert_eq!(sample.data[at], plain[at], "{x} {y}");
        }
    }
    world.input(Input::Kind(Kind::Compose(look(Layout::Screen))));
    world.run_for(500);
    assert_eq!(world.pictures.last().expect("a picture").1.data, plain);
}

#[test]
fn who_speaks_is_large_but_not_for_a_moment_only() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Speaker, &done);
    let voices = [world.speaks(1, 450.0), world.speaks(2, 900.0)];
    let tracks = [world.shows(1, Codec::Vp8), world.shows(2, Codec::Vp8)];
    world.speakers(&[voices[0]]);
    world.run_for(2_000);
    let first = areas(Layout::Speaker, 2, false, Some(0));
    let second = areas(Layout::Speaker, 2, false, Some(1));
    sees(&world, &[(tracks[0], first[0]), (tracks[1], first[1])]);
    world.speakers(&[voices[1]]);
    world.run_for(500);
    sees(&world, &[(tracks[0], first[0])]);
    world.run_for(1_500);
    sees(&world, &[(tracks[1], second[1]), (tracks[0], second[0])]);
}

#[test]
fn a_screen_is_large_and_gives_the_place_back() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Screen, &done);
    let camera = world.shows(1, Codec::Vp8);
    world.run_for(1_000);
    sees(
        &world,
        &[(camera, areas(Layout::Screen, 1, false, None)[0])],
    );
    let screen = world.shows_source(2, Codec::Vp8, Source::Screen);
    world.run_for(1_000);
    let with = areas(Layout::Screen, 1, true, None);
    sees(&world, &[(screen, with[0]), (camera, with[1])]);
    world.leave(screen);
    world.run_for(500);
    sees(
        &world,
        &[(camera, areas(Layout::Screen, 1, false, None)[0])],
    );
}

#[test]
fn who_mutes_the_camera_leaves_no_picture_and_costs_no_decoder() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    let tracks = [world.shows(1, Codec::Vp8), world.shows(2, Codec::Vp8)];
    world.speaks(2, 900.0);
    world.run_for(2_000);
    world.mute(tracks[1], true);
    world.run_for(300);
    let areas = areas(Layout::Grid, 2, false, None);
    sees(&world, &[(tracks[0], areas[0])]);
    let (_, sample) = world.pictures.last().expect("a picture");
    assert!(!sample.data.contains(&luma_of(tracks[1])));
    let decoded = done.decoded.load(Ordering::Relaxed);
    world.run_for(1_000);
    let more = done.decoded.load(Ordering::Relaxed) - decoded;
    assert!((24..=26).contains(&more), "of the other one alone: {more}");
    let name = (areas[1].x + 12, areas[1].bottom() - 10);
    assert_eq!(at(&world, name.0, name.1), LETTERS, "the card has the name");
    world.mute(tracks[1], false);
    world.run_for(1_500);
    sees(&world, &[(tracks[0], areas[0]), (tracks[1], areas[1])]);
}

/// Brightness in the middle of an area, picture by picture.
fn film_of(world: &World, from: usize, area: Area) -> Vec<u8> {
    let pictures = world.pictures[from..].iter();
    pictures.map(|(_, sample)| middle(sample, area)).collect()
}

/// Letters on a card.
const LETTERS: u8 = 235;

#[test]
fn a_camera_that_freezes_becomes_a_card_and_is_seen_again_with_its_next_frame() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    let tracks = [world.shows(1, Codec::Vp8), world.shows(2, Codec::H264)];
    world.run_for(2_000);
    let areas = areas(Layout::Grid, 2, false, None);
    let seen = [(tracks[0], areas[0]), (tracks[1], areas[1])];
    world.camera(tracks[0]).on = false;
    world.run_for(4_900);
    sees(&world, &seen);
    let before = world.pictures.len();
    world.run_for(1_000);
    let fading = film_of(&world, before, areas[0]);
    assert_eq!(fading.last(), Some(&LETTERS), "{fading:?}");
    let between = |luma: &&u8| **luma != luma_of(tracks[0]) && **luma != LETTERS;
    let steps = fading.iter().filter(between).count();
    assert!((3..=6).contains(&steps), "it is faded: {fading:?}");
    sees(&world, &seen[1..]);

    let size = wanted(CameraFit::Auto, Source::Camera, FILM, areas[0]);
    assert_eq!(
        world.wanted.get(&tracks[0]),
        Some(&Some(size)),
        "or nothing would come"
    );
    world.run_for(20_000);
    let (requests, layouts) = (world.requests.len(), world.counters().layouts);
    let decoders = done.decoders.load(Ordering::Relaxed);
    world.camera(tracks[0]).on = true;
    world.run_for(500);
    sees(&world, &seen);
    world.run_for(10_000);
    sees(&world, &seen);
    assert_eq!(world.requests.len(), requests, "no key frame is needed");
    assert_eq!(world.counters().layouts, layouts + 1);
    assert_eq!(done.decoders.load(Ordering::Relaxed), decoders);
}

#[test]
fn a_camera_of_which_nothing_can_be_decoded_any_more_freezes_too() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    let tracks = [world.shows(1, Codec::Vp8), world.shows(2, Codec::Vp8)];
    world.run_for(2_000);
    let areas = areas(Layout::Grid, 2, false, None);
    world.camera(tracks[0]).obeys = false;
    world.camera(tracks[0]).lost = true;
    world.run_for(6_000);
    let (_, sample) = world.pictures.last().expect("a picture");
    assert_eq!(middle(sample, areas[0]), LETTERS);
    world.camera(tracks[0]).ask_for_key();
    world.run_for(500);
    sees(&world, &[(tracks[0], areas[0]), (tracks[1], areas[1])]);
}

/// Nobody turns a page for a minute.
#[test]
fn a_screen_that_stands_still_stays_and_costs_no_card() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Screen, &done);
    let camera = world.shows(1, Codec::Vp8);
    let screen = world.shows_source(2, Codec::Vp8, Source::Screen);
    world.run_for(2_000);
    let layouts = world.counters().layouts;
    world.camera(screen).on = false;
    world.run_for(60_000);
    let areas = areas(Layout::Screen, 1, true, None);
    sees(&world, &[(screen, areas[0]), (camera, areas[1])]);
    assert_eq!(world.counters().layouts, layouts);
}

/// Two of six are shown; the others are neither decoded nor asked for key frames.
#[test]
fn who_has_no_cell_costs_nothing() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::SideBySide, &done);
    let tracks: Vec<TrackId> = (1..=6)
        .map(|member| world.shows(member, Codec::Vp8))
        .collect();
    world.run_for(3_000);
    assert_eq!(done.decoders.load(Ordering::Relaxed), 2);
    assert!(
        world
            .requests
            .iter()
            .all(|(_, track)| tracks[..2].contains(track))
    );
    let decoded = done.decoded.load(Ordering::Relaxed);
    assert!((120..=152).contains(&decoded), "{decoded}");
    world.leave(tracks[0]);
    world.run_for(1_500);
    let areas = areas(Layout::SideBySide, 2, false, None);
    sees(&world, &[(tracks[1], areas[0]), (tracks[2], areas[1])]);
}

#[test]
fn twenty_five_who_come_within_a_second_are_all_seen_and_no_sound_is_lost() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    world.speaks(1, 450.0);
    world.run_for(1_000);
    let tracks: Vec<TrackId> = (1..=25)
        .map(|member| {
            match member {
                1 => {}
                25 => {
                    world.speaks(member, 900.0);
                }
                _ => {
                    world.hears(member, Box::new(|_| 0.0));
                }
            }
            let codec = [Codec::H264, Codec::Vp8][member as usize % 2];
            let track = world.shows(member, codec);
            world.run_for(40);
            track
        })
        .collect();
    world.run_for(1_500);
    let areas = areas(Layout::Grid, 25, false, None);
    let seen: Vec<(TrackId, Area)> = tracks.into_iter().zip(areas).collect();
    sees(&world, &seen);
    let layouts = world.counters().layouts;
    assert!(layouts < 60, "not twice for each: {layouts}");
    world.run_for(3_000);
    sees(&world, &seen);
    let counters = world.counters();
    assert_eq!(counters.layouts, layouts, "it has settled");
    let lost = (
        counters.ticks_left_out,
        counters.tracks_refused,
        counters.pictures_overflow,
    );
    assert_eq!(
        (lost, counters.decoder_errors),
        ((0, 0, 0), 0),
        "{counters:?}"
    );
    assert_eq!(done.decoders.load(Ordering::Relaxed), 25);
    assert!(world.requests.len() <= 2 * 25, "{}", world.requests.len());
    let sound = world.sound_ms(1_500, 2_000);
    assert!(
        level(&sound, 450.0) > 0.1,
        "who spoke is heard while they come"
    );
    assert!(
        steepest(&sound) < 0.03,
        "without a click: {}",
        steepest(&sound)
    );
    let sound = world.sound_ms(4_000, 5_000);
    assert!(level(&sound, 900.0) > 0.05, "who came last is heard");
}

#[test]
fn a_picture_that_cannot_be_decoded_costs_a_key_frame_and_nobody_else_anything() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    let tracks = [world.shows(1, Codec::Vp8), world.shows(2, Codec::Vp8)];
    world.run_for(2_000);
    done.decoder_errors.store(1, Ordering::Relaxed);
    let requests = world.requests.len();
    world.run_for(2_500);
    assert_eq!(world.counters().decoder_errors, 1);
    assert!((1..=2).contains(&(world.requests.len() - requests)));
    let areas = areas(Layout::Grid, 2, false, None);
    sees(&world, &[(tracks[0], areas[0]), (tracks[1], areas[1])]);
}

#[test]
fn a_decoder_that_always_fails_and_a_source_that_never_answers_ask_once_a_second_at_most() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    world.shows(1, Codec::Vp8);
    let mute = world.shows(2, Codec::Vp8);
    world.camera(mute).obeys = false;
    world.camera(mute).lost = true;
    done.decoder_errors.store(u32::MAX, Ordering::Relaxed);
    world.run_for(10_000);
    assert!(world.requests.len() <= 22, "{}", world.requests.len());
    assert!(world.failed.is_none(), "sound goes on");
    assert!(world.sound.len() > 9 * 48_000);
}

#[test]
fn an_encoder_that_is_broken_for_good_ends_the_program_in_words() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    world.shows(1, Codec::Vp8);
    world.run_for(1_000);
    done.encoder_errors.store(10, Ordering::Relaxed);
    world.run_for(1_000);
    assert!(world.failed.is_none(), "ten errors are got over");
    done.encoder_errors.store(u32::MAX, Ordering::Relaxed);
    world.run_for(5_000);
    let reason = world.failed.as_ref().expect("it has failed");
    assert!(reason.contains("picture"), "{reason}");
}

/// Three sizes of the same picture.
fn of_three_sizes() -> Look {
    let mut ladder = look(Layout::Grid);
    for (width, height) in [(160, 90), (128, 72)] {
        ladder.rungs.push(Rung {
            size: VideoSize::new(width, height),
            bitrate: Bitrate(50_000),
        });
    }
    ladder
}

/// When the pictures of a rung are, and which are key frames.
fn instants(world: &World, rung: u8) -> Vec<(i64, bool)> {
    let own = world.every_rung.iter().filter(|sample| sample.rung == rung);
    own.map(|sample| (sample.time.ticks, sample.key)).collect()
}

/// All three sizes have pictures of the same instants, in order.
fn assert_sizes_stay_together(world: &World) {
    let top = instants(world, 0);
    assert!(
        top.windows(2).all(|pair| pair[0].0 < pair[1].0),
        "times go on"
    );
    for rung in [1, 2] {
        assert_eq!(instants(world, rung), top);
    }
}

#[test]
fn encoders_that_give_pictures_later_lose_none_and_their_sizes_stay_together() {
    let done = Arc::new(Done::default());
    done.keeps.store(2, Ordering::Relaxed);
    let mut world = World::composed(Layout::Grid, &done);
    world.input(Input::Kind(Kind::Compose(of_three_sizes())));
    assert_eq!(world.program.rungs(), 3);
    let camera = world.shows(1, Codec::Vp8);
    world.run_for(5_000);
    let top = instants(&world, 0);
    let kept: Vec<(i64, bool)> = top.iter().skip(5).copied().collect();
    assert!(kept.len() > 100, "{}", kept.len());
    assert!(
        kept.windows(2).all(|pair| pair[1].0 - pair[0].0 == 3_600),
        "25 a second"
    );
    let keys: Vec<i64> = (top.iter().filter(|(_, key)| *key))
        .map(|(at, _)| at / 90)
        .collect();
    assert!(
        keys.windows(2).all(|pair| pair[1] - pair[0] == 2_000),
        "{keys:?}"
    );
    for rung in [1, 2] {
        assert_eq!(instants(&world, rung), top);
    }
    for (at_us, sample) in world.pictures.iter().skip(5) {
        let late_us = at_us - sample.time.micros();
        assert!((180_000..190_000).contains(&late_us), "{late_us}");
    }
    // The camera freezes: its last picture comes out all the same.
    world.camera(camera).lost = true;
    world.run_for(1_000);
    let (at_us, newest) = world.pictures.last().expect("pictures");
    assert!(at_us - newest.time.micros() < 190_000);
    assert_eq!(world.counters().ticks_left_out, 0);
}

#[test]
fn encoders_that_keep_pictures_encode_no_more_of_a_still_one_than_they_must_and_none_comes_out_late()
 {
    let done = Arc::new(Done::default());
    done.keeps.store(2, Ordering::Relaxed);
    let mut world = World::composed(Layout::Grid, &done);
    world.input(Input::Kind(Kind::Compose(of_three_sizes())));
    let camera = world.shows_source(1, Codec::Vp8, Source::Screen);
    world.run_for(3_000);
    world.camera(camera).on = false;
    world.run_for(1_000);
    let (encoded, made) = (done.encoded.load(Ordering::Relaxed), world.pictures.len());
    world.run_for(10_000);
    // A key frame every two seconds, and the two that make each come out: at three sizes.
    let encoded = done.encoded.load(Ordering::Relaxed) - encoded;
    assert!((5 * 9..=6 * 9).contains(&encoded), "{encoded}");
    let still = &world.pictures[made..];
    assert_eq!(still.iter().filter(|(_, sample)| sample.key).count(), 5);
    for (at_us, sample) in still {
        let late_us = at_us - sample.time.micros();
        assert!(late_us < 210_000, "{late_us}");
    }
    world.camera(camera).on = true;
    world.camera(camera).ask_for_key();
    world.run_for(3_000);
    assert_sizes_stay_together(&world);
    let (at_us, newest) = world.pictures.last().expect("pictures");
    assert!(at_us - newest.time.micros() < 210_000);
}

#[test]
fn an_encoder_that_keeps_everything_to_itself_costs_pictures_and_no_memory() {
    let done = Arc::new(Done::default());
    done.keeps.store(u32::MAX, Ordering::Relaxed);
    let mut world = World::composed(Layout::Grid, &done);
    world.shows(1, Codec::Vp8);
    world.run_for(5_000);
    assert_eq!(world.pictures.len(), 0);
    assert!(done.encoded.load(Ordering::Relaxed) < 10, "{done:?}");
    assert_eq!(world.counters().ticks_left_out, 0, "it may only begin");
    assert!(world.sound.len() > 4 * 48_000, "sound goes on");
    done.keeps.store(0, Ordering::Relaxed);
    world.run_for(1_000);
    assert!(world.pictures.len() > 20, "{}", world.pictures.len());
    assert!(world.counters().ticks_left_out > 100);
}

#[test]
fn encoders_of_which_one_breaks_are_followed_by_others_at_a_cut() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    world.input(Input::Kind(Kind::Compose(of_three_sizes())));
    world.shows(1, Codec::Vp8);
    world.run_for(3_000);
    let before = world.every_rung.len();
    done.breaks.store(1, Ordering::Relaxed);
    world.run_for(3_000);
    assert!(world.failed.is_none());
    assert_eq!(world.counters().encoders_replaced, 1);
    // And with another look.
    world.input(Input::Kind(Kind::Compose(look(Layout::Grid))));
    world.input(Input::Kind(Kind::Compose(of_three_sizes())));
    let most = done.encoders_most.load(Ordering::Relaxed);
    assert_eq!(most, 3, "a ladder is ended before the next one begins");
    let after: Vec<&Sample> = world.every_rung[before..].iter().collect();
    for rung in [0, 1, 2] {
        let cuts: Vec<&&Sample> = (after.iter())
            .filter(|sample| sample.rung == rung && sample.cut)
            .collect();
        assert!(
            matches!(cuts[..], [only] if only.key),
            "rung {rung}: {cuts:?}"
        );
    }
    assert_sizes_stay_together(&world);
}

#[test]
fn on_an_empty_stage_there_is_no_picture_and_who_is_only_heard_has_a_cell() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    world.run_for(1_000);
    assert!(world.pictures.is_empty());
    world.speaks(1, 450.0);
    let camera = world.shows(2, Codec::Vp8);
    world.run_for(2_000);
    let areas = areas(Layout::Grid, 2, false, None);
    sees(&world, &[(camera, areas[1])]);
    assert!(world.sound.len() > 48_000);
}

/// The second composer knows nothing of the first; times go on, and its first picture is a key frame and a cut.
#[test]
fn a_composer_that_breaks_is_followed_by_another_at_a_cut() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    let tracks = [world.shows(1, Codec::Vp8), world.shows(2, Codec::H264)];
    world.run_for(2_000);
    let made = world.pictures.len();
    assert!(world.pictures.iter().all(|(_, sample)| !sample.cut));
    world.composer = None;
    world.input(Input::ComposerGone);
    world.run_for(300);
    assert_eq!(world.pictures.len(), made);
    world.composes(look(Layout::Grid), &done);
    world.run_for(2_000);
    let cuts: Vec<bool> = world.pictures[made..]
        .iter()
        .map(|(_, sample)| sample.cut)
        .collect();
    assert!(cuts[0] && cuts[1..].iter().all(|cut| !cut), "{cuts:?}");
    let areas = areas(Layout::Grid, 2, false, None);
    sees(&world, &[(tracks[0], areas[0]), (tracks[1], areas[1])]);
}

#[test]
fn between_cut_and_composed_the_sound_goes_on_and_the_picture_is_cut() {
    let done = Arc::new(Done::default());
    let mut world = World::new();
    world.speaks(1, 450.0);
    let camera = world.shows(1, Codec::H264);
    world.run_for(3_000);
    assert_eq!(world.track_on_air(), Some(camera));
    let made = world.pictures.len();
    world.composes(look(Layout::Speaker), &done);
    world.run_for(2_000);
    assert_eq!(world.track_on_air(), None);
    let area = areas(Layout::Speaker, 1, false, None)[0];
    let size = wanted(CameraFit::Auto, Source::Camera, FILM, area);
    assert_eq!(world.wanted.get(&camera), Some(&Some(size)));
    assert!(world.pictures[made].1.cut && world.pictures[made].1.key);
    let composed = world.pictures.len();
    world.input(Input::Kind(Kind::Cut));
    world.composer = None;
    world.run_for(2_000);
    assert_eq!(world.track_on_air(), Some(camera));
    assert_eq!(world.wanted.get(&camera), Some(&None), "the best there is");
    assert!(world.pictures[composed].1.cut && world.pictures[composed].1.key);
    let sound = world.sound_ms(1_000, 6_700);
    assert!(
        (level(&sound, 450.0) - f64::from(VOICE)).abs() < 0.01,
        "it never stopped"
    );
}

#[test]
fn every_rung_of_the_ladder_shows_the_same_instants_and_begins_anew_with_another_look() {
    let done = Arc::new(Done::default());
    let mut world = World::new();
    let camera = world.shows(1, Codec::Vp8);
    let rung = |width, height| Rung {
        size: VideoSize::new(width, height),
        bitrate: Bitrate(100_000),
    };
    let mut ladder = look(Layout::Grid);
    ladder.rungs = vec![rung(320, 180), rung(160, 90), rung(128, 72)];
    world.composes(ladder.clone(), &done);
    world.run_for(3_000);
    let of = |world: &World, rung: u8| -> Vec<(i64, bool, usize)> {
        let own = world.every_rung.iter().filter(|sample| sample.rung == rung);
        own.map(|sample| (sample.time.ticks, sample.key, sample.data.len()))
            .collect()
    };
    let instants = |world: &World, rung: u8| -> Vec<(i64, bool)> {
        of(world, rung)
            .into_iter()
            .map(|(at, key, _)| (at, key))
            .collect()
    };
    for (rung, pixels) in [(0, 320 * 180), (1, 160 * 90), (2, 128 * 72)] {
        assert!(of(&world, rung).iter().all(|(.., size)| *size == pixels));
        assert_eq!(instants(&world, rung), instants(&world, 0));
    }
    let smallest = world.every_rung.iter().rfind(|sample| sample.rung == 2);
    let luma = smallest.expect("it was made").data[36 * 128 + 64];
    assert_eq!(luma, luma_of(camera));
    let made = world.pictures.len();
    ladder.rungs.truncate(1);
    ladder.frames_per_second = 10;
    world.input(Input::Kind(Kind::Compose(ladder)));
    world.run_for(1_000);
    let (_, first) = &world.pictures[made];
    assert!(first.cut && first.key, "another encoder begins");
    assert!((9..=11).contains(&(world.pictures.len() - made)));
    let area = areas(Layout::Grid, 1, false, None)[0];
    assert_eq!(middle(first, area), luma_of(camera), "nobody was dark");
}

#[test]
fn frames_of_a_late_camera_are_shown_and_none_is_lost() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    let camera = world.shows(1, Codec::Vp8);
    world.speaks(1, 450.0);
    world.camera(camera).delay_us = 100_000;
    world.run_for(4_000);
    let counters = world.counters();
    assert_eq!(counters.pictures_overflow, 0);
    // Frames that are later than the program waits are shown with the next picture, not lost.
    assert!(counters.pictures_decoded > 80, "{counters:?}");
}

/// Brightness at a place of the newest picture.
fn at(world: &World, x: u32, y: u32) -> u8 {
    let (_, sample) = world.pictures.last().expect("a picture");
    sample.data[(y * CANVAS.width + x) as usize]
}

#[test]
fn a_name_stands_in_the_corner_and_a_ring_around_who_speaks() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    let voice = world.speaks(1, 450.0);
    let camera = world.shows(1, Codec::Vp8);
    world.shows(2, Codec::Vp8);
    world.run_for(2_000);
    let area = areas(Layout::Grid, 2, false, None)[0];
    let name = (area.x + 12, area.bottom() - 10);
    assert_eq!(at(&world, name.0, name.1), 235, "white letters");
    assert_eq!(
        at(&world, area.x + area.width / 2, area.y + 4),
        luma_of(camera)
    );
    let ring = (area.x - 1, area.y + area.height / 2);
    let dark = at(&world, ring.0, ring.1);
    world.speakers(&[voice]);
    world.run_for(500);
    assert!(at(&world, ring.0, ring.1) > 150, "the limelight");
    world.speakers(&[]);
    world.run_for(500);
    assert_eq!(at(&world, ring.0, ring.1), dark);
}

#[test]
fn who_is_only_heard_has_a_card_with_letters_and_a_mark_when_muted() {
    let done = Arc::new(Done::default());
    let mut world = World::composed(Layout::Grid, &done);
    let voice = world.speaks(1, 450.0);
    world.run_for(1_000);
    let area = areas(Layout::Grid, 1, false, None)[0];
    let middle = (area.x + area.width / 2, area.y + area.height / 2);
    assert_eq!(at(&world, middle.0, middle.1), 235, "initials");
    let made = world.pictures.len();
    let picture = |world: &World| world.pictures.last().expect("a picture").1.data.clone();
    let heard = picture(&world);
    world.run_for(1_000);
    assert!(
        world.pictures.len() <= made + 1,
        "nothing changes on a card"
    );
    world.mute(voice, true);
    world.run_for(300);
    let muted = picture(&world);
    assert_ne!(muted, heard);
    world.mute(voice, false);
    world.run_for(300);
    assert_eq!(picture(&world), heard, "the card is as before");
}
