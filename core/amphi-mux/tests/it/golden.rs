//! Playlists as text, compared with `tests/golden`. A test that fails says the whole of what it would be.

use amphi_mux::{Output, Packager, Rendition, recording};

use crate::program::*;
use crate::window::{ZERO_UNIX_MS, filled, text};

fn check(name: &str, expected: &str, actual: &str) {
    let differs = expected
        .lines()
        .zip(actual.lines())
        .find(|(expected, actual)| expected != actual);
    assert!(
        expected == actual,
        "tests/golden/{name} differs, first at {differs:?}; the whole of it is:\n{actual}"
    );
}

/// A camera, then another member's screen that sends five frames a second.
fn program() -> Vec<Output> {
    let samples = together(&[
        shot(CAMERA, 0.0, 30.0, 75),
        cut(shot(SCREEN, 2.5, 5.0, 30)),
        sound(0.0, 6.2),
    ]);
    pack_on(&mut Packager::new(config()), &samples)
}

#[test]
fn a_live_program_is_listed_so() {
    let window = filled(&program());
    check(
        "live-video.m3u8",
        include_str!("../golden/live-video.m3u8"),
        &text(window.playlist(Rendition::Video)),
    );
    check(
        "live-audio.m3u8",
        include_str!("../golden/live-audio.m3u8"),
        &text(window.playlist(Rendition::Audio)),
    );
    check(
        "index.m3u8",
        include_str!("../golden/index.m3u8"),
        &text(window.multivariant()),
    );
}

#[test]
fn the_first_part_is_listed_before_there_is_a_segment() {
    let window = filled(&pack_on(&mut Packager::new(config()), &plain(0.4)));
    check(
        "first-video.m3u8",
        include_str!("../golden/first-video.m3u8"),
        &text(window.playlist(Rendition::Video)),
    );
}

#[test]
fn an_ended_program_is_listed_so() {
    let window = filled(&pack(&plain(3.0)));
    check(
        "ended-video.m3u8",
        include_str!("../golden/ended-video.m3u8"),
        &text(window.playlist(Rendition::Video)),
    );
}

#[test]
fn a_program_without_picture_is_listed_so() {
    let window = filled(&pack_on(&mut Packager::new(config()), &sound(0.0, 4.5)));
    check(
        "sound-only-index.m3u8",
        include_str!("../golden/sound-only-index.m3u8"),
        &text(window.multivariant()),
    );
    assert_eq!(window.playlist(Rendition::Video), None);
}

#[test]
fn a_recording_is_listed_so() {
    let mut writer = recording::Writer::new(ZERO_UNIX_MS);
    let file = crate::recording::write(&mut writer, &program());
    let scan = recording::scan(&file[..]);
    let playlist =
        recording::vod_playlist(&scan, "program.mp4").expect("there is something to play");
    check(
        "recording.m3u8",
        include_str!("../golden/recording.m3u8"),
        &playlist,
    );
}
