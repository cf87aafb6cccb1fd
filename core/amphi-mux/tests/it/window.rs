use std::collections::BTreeMap;
use std::time::Duration;

use amphi_mux::{Found, Output, Packager, Presence, Rendition, Window, WindowConfig};
use bytes::Bytes;

use crate::program::*;

pub const EPOCH: u64 = 1_700_000_000_123;
pub const ZERO_UNIX_MS: i64 = 1_700_000_000_500;

pub fn window() -> Window {
    Window::new(WindowConfig::new(EPOCH, ZERO_UNIX_MS))
}

pub fn filled(outputs: &[Output]) -> Window {
    let mut window = window();
    for output in outputs {
        window.push(output);
    }
    window
}

pub fn text(playlist: Option<Bytes>) -> String {
    String::from_utf8(playlist.expect("there is a playlist").to_vec()).expect("a playlist is UTF-8")
}

fn outputs_so_far(seconds: f64) -> Vec<Output> {
    pack_on(&mut Packager::new(config()), &plain(seconds))
}

/// Every name that a playlist mentions.
fn names(playlist: &str) -> Vec<String> {
    let quoted = playlist
        .lines()
        .filter_map(|line| line.split_once("URI=\""))
        .filter_map(|(_, rest)| rest.split_once('"'));
    let plain = playlist.lines().filter(|line| !line.starts_with('#'));
    let media = |name: &&str| !name.ends_with(".m3u8");
    quoted
        .map(|(name, _)| name)
        .chain(plain)
        .filter(media)
        .map(str::to_owned)
        .collect()
}

fn number(playlist: &str, tag: &str) -> u64 {
    let line = playlist
        .lines()
        .find_map(|line| line.strip_prefix(tag))
        .unwrap_or_else(|| panic!("{tag} in {playlist}"));
    line.parse().expect("a number")
}

/// Sequence number and discontinuity sequence number of every segment listed, complete or not.
fn numbered(playlist: &str) -> Vec<(u64, u64)> {
    let mut sequence = number(playlist, "#EXT-X-MEDIA-SEQUENCE:");
    let mut discontinuity = number(playlist, "#EXT-X-DISCONTINUITY-SEQUENCE:");
    let mut all = Vec::new();
    for line in playlist.lines() {
        if line == "#EXT-X-DISCONTINUITY" {
            discontinuity += 1;
        } else if !line.starts_with('#') {
            all.push((sequence, discontinuity));
            sequence += 1;
        }
    }
    all
}

#[test]
fn no_name_ever_changes_its_bytes_and_every_name_listed_is_there() {
    let program = together(&[
        shot(CAMERA, 0.0, 30.0, 170),
        cut(shot(SCREEN, 5.7, 5.0, 40)),
        cut(shot(CAMERA, 14.0, 30.0, 600)),
        sound(0.0, 34.0),
    ]);
    let mut window = window();
    let mut seen: BTreeMap<String, Bytes> = BTreeMap::new();
    let mut hinted: BTreeMap<Rendition, String> = BTreeMap::new();
    for output in pack(&program) {
        window.push(&output);
        for rendition in Rendition::BOTH {
            let Some(playlist) = window.playlist(rendition) else {
                continue;
            };
            let playlist = text(Some(playlist));
            for name in names(&playlist) {
                match window.resource(&name) {
                    Found::Init(bytes) | Found::Media(bytes) => {
                        let before = seen.entry(name.clone()).or_insert_with(|| bytes.clone());
                        assert_eq!(*before, bytes, "{name} was other bytes");
                    }
                    Found::NotYet => {
                        assert!(
                            playlist.contains(&format!("PRELOAD-HINT:TYPE=PART,URI=\"{name}\"")),
                            "{name} is not there"
                        );
                        let before = hinted.insert(rendition, name.clone());
                        if let Some(before) = before.filter(|before| *before != name) {
                            assert!(
                                seen.contains_key(&before),
                                "{before} was hinted at and never came"
                            );
                        }
                    }
                    found => panic!("{name} is listed and {found:?}"),
                }
            }
        }
    }
    assert!(seen.len() > 200);
}

#[test]
fn a_segment_is_its_parts_one_after_the_other() {
    let outputs = pack(&plain(6.0));
    let window = filled(&outputs);
    for (letter, rendition) in [('v', Rendition::Video), ('a', Rendition::Audio)] {
        for sequence in 0..3 {
            let of = |part: &&amphi_mux::Part| part.sequence == sequence;
            let all = parts(&outputs, rendition);
            let whole: Vec<u8> = all
                .iter()
                .filter(of)
                .flat_map(|part| part.bytes.to_vec())
                .collect();
            assert_eq!(
                window.resource(&format!("{letter}{EPOCH}-{sequence}.m4s")),
                Found::Media(whole.into())
            );
            for part in all.iter().filter(of) {
                let name = format!("{letter}{EPOCH}-{sequence}.{}.m4s", part.index);
                assert_eq!(window.resource(&name), Found::Media(part.bytes.clone()));
            }
        }
    }
}

#[test]
fn both_playlists_give_a_segment_the_same_numbers() {
    let program = together(&[
        shot(CAMERA, 0.0, 30.0, 170),
        cut(shot(SCREEN, 5.7, 30.0, 250)),
        cut(shot(CAMERA, 14.0, 30.0, 900)),
        cut(shot(SCREEN, 44.0, 30.0, 100)),
        sound(0.0, 47.5),
    ]);
    let mut window = window();
    let mut known: BTreeMap<u64, u64> = BTreeMap::new();
    for output in pack(&program) {
        window.push(&output);
        for playlist in Rendition::BOTH
            .into_iter()
            .filter_map(|rendition| window.playlist(rendition))
        {
            for (sequence, discontinuity) in numbered(&text(Some(playlist))) {
                assert_eq!(
                    *known.entry(sequence).or_insert(discontinuity),
                    discontinuity,
                    "segment {sequence}"
                );
            }
        }
    }
    assert_eq!(known.values().max(), Some(&3));
    let last = text(window.playlist(Rendition::Video));
    assert!(
        number(&last, "#EXT-X-DISCONTINUITY-SEQUENCE:") >= 2,
        "the first cuts have left the playlist"
    );
}

#[test]
fn durations_listed_stay_below_the_targets() {
    let program = together(&[
        shot(CAMERA, 0.0, 7.0, 100),
        cut(shot(SCREEN, 14.3, 0.8, 20)),
        sound(0.0, 39.0),
    ]);
    let mut window = window();
    for output in pack(&program) {
        window.push(&output);
        for playlist in Rendition::BOTH
            .into_iter()
            .filter_map(|rendition| window.playlist(rendition))
        {
            for line in text(Some(playlist)).lines() {
                if let Some(rest) = line.strip_prefix("#EXTINF:") {
                    let duration: f64 = rest.trim_end_matches(',').parse().expect("a duration");
                    assert!(duration.round() <= 4.0, "{line}");
                }
                if let Some(rest) = line.strip_prefix("#EXT-X-PART:DURATION=") {
                    let duration: f64 = rest
                        .split(',')
                        .next()
                        .expect("an attribute")
                        .parse()
                        .expect("a duration");
                    assert!(duration <= 0.334, "{line}");
                }
            }
        }
    }
}

#[test]
fn a_request_waits_for_what_is_near_and_is_refused_what_is_far() {
    let empty = window();
    assert_eq!(
        empty.contains(Rendition::Video, 0, Some(0)),
        Presence::NotYet
    );
    assert_eq!(empty.contains(Rendition::Video, 9, None), Presence::TooFar);

    let window = filled(&outputs_so_far(5.0));
    let newest = parts(&outputs_so_far(5.0), Rendition::Video)
        .pop()
        .expect("a part");
    assert_eq!((newest.sequence, newest.index), (2, 1));
    let cases = [
        (0, None, Presence::Ready),
        (1, Some(99), Presence::Ready),
        (2, Some(1), Presence::Ready),
        (2, Some(2), Presence::NotYet),
        (2, Some(9), Presence::NotYet),
        (2, Some(11), Presence::TooFar),
        (2, None, Presence::NotYet),
        (3, Some(0), Presence::NotYet),
        (3, Some(9), Presence::TooFar),
        (4, None, Presence::NotYet),
        (5, None, Presence::TooFar),
        (u64::MAX, Some(u32::MAX), Presence::TooFar),
    ];
    for (msn, part, expected) in cases {
        assert_eq!(
            window.contains(Rendition::Video, msn, part),
            expected,
            "{msn} {part:?}"
        );
    }
    let ended = filled(&pack(&plain(5.0)));
    assert_eq!(ended.contains(Rendition::Video, 99, None), Presence::Ready);
}

#[test]
fn a_part_beyond_the_end_of_a_segment_is_the_first_of_the_next() {
    let mut window = window();
    let mut waited = false;
    for output in outputs_so_far(5.0) {
        window.push(&output);
        if let Output::Part(part) = &output
            && part.rendition == Rendition::Video
            && part.ends_segment
        {
            assert_eq!(
                window.contains(Rendition::Video, part.sequence, Some(part.index + 1)),
                Presence::NotYet
            );
            assert_eq!(
                window.contains(Rendition::Video, part.sequence, None),
                Presence::Ready
            );
            waited = true;
        }
    }
    assert!(waited);
}

#[test]
fn an_end_in_the_middle_of_a_segment_leaves_no_part_without_one() {
    let mut window = filled(&outputs_so_far(5.0));
    let open = text(window.playlist(Rendition::Video));
    let hinted = open
        .lines()
        .find_map(|line| line.strip_prefix("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\""))
        .and_then(|rest| rest.split('"').next())
        .expect("a live playlist hints");
    let segment = hinted.split('.').next().expect("a name").to_owned() + ".m4s";
    assert_eq!(window.resource(&segment), Found::NotYet);
    window.push(&Output::End);
    for rendition in Rendition::BOTH {
        let ended = text(window.playlist(rendition));
        let lines: Vec<&str> = ended.lines().rev().take(2).collect();
        assert_eq!(lines[0], "#EXT-X-ENDLIST");
        assert!(lines[1].ends_with(".m4s"), "{ended}");
    }
    assert!(matches!(window.resource(&segment), Found::Media(_)));
    assert_eq!(window.resource(hinted), Found::Unknown);
}

#[test]
fn after_a_cut_the_codecs_are_those_of_all_that_is_listed() {
    let camera = shot(CAMERA, 0.0, 30.0, 90);
    let screen = cut(shot(SCREEN, 3.0, 30.0, 900));
    let samples = together(&[camera, screen, sound(0.0, 33.0)]);
    let mut window = window();
    let (mut before, mut after) = (false, false);
    for output in pack_on(&mut Packager::new(config()), &samples) {
        window.push(&output);
        let Some(index) = window.multivariant().map(|index| text(Some(index))) else {
            continue;
        };
        before |= index.contains("CODECS=\"avc1.42c00d,mp4a.40.2\"");
        after |= index.contains("CODECS=\"avc1.42c01e,avc1.42c00d,mp4a.40.2\"");
    }
    assert!(before && after);
    let index = text(window.multivariant());
    assert!(
        index.contains("CODECS=\"avc1.42c01e,mp4a.40.2\""),
        "{index}"
    );
}

#[test]
fn names_of_other_programs_and_of_nobody_are_told_apart() {
    let window = filled(&outputs_so_far(5.0));
    let cases = [
        (format!("v{}-0.m4s", EPOCH - 1), Found::Gone),
        (format!("v{EPOCH}-9.m4s"), Found::Unknown),
        (format!("v{EPOCH}-0.99.m4s"), Found::Unknown),
        (format!("v{EPOCH}-7-init.mp4"), Found::Unknown),
        (format!("v{EPOCH}-2.m4s"), Found::NotYet),
        ("../../etc/passwd".to_owned(), Found::Unknown),
        (String::new(), Found::Unknown),
    ];
    for (name, expected) in cases {
        assert_eq!(window.resource(&name), expected, "{name}");
    }
}

#[test]
fn memory_is_bounded_and_the_playlist_slides() {
    let mut packager = Packager::new(config());
    let mut window = window();
    let mut most_held = 0;
    let program = together(&[shot(CAMERA, 0.0, 30.0, 30 * 120), sound(0.0, 120.0)]);
    for output in pack_on(&mut packager, &program) {
        window.push(&output);
        most_held = most_held.max(window.counters().bytes_held);
    }
    let counters = window.counters();
    assert!(
        most_held < counters.bytes / 2,
        "{most_held} of {}",
        counters.bytes
    );
    assert!(counters.segments_left > 50);
    let playlist = text(window.playlist(Rendition::Video));
    let listed = numbered(&playlist);
    assert!(
        (8..=11).contains(&listed.len()),
        "some 20 s of 2.5 s: {}",
        listed.len()
    );
    let first = listed[0].0;
    let earlier = format!("v{EPOCH}-{}.m4s", first - 8);
    assert!(
        matches!(window.resource(&earlier), Found::Media(_)),
        "still handed out to who read an older playlist"
    );
    assert_eq!(window.resource(&format!("v{EPOCH}-0.m4s")), Found::Gone);
    assert_eq!(window.resource(&format!("v{EPOCH}-0.0.m4s")), Found::Gone);
}

#[test]
fn too_many_bytes_become_gaps() {
    let config = WindowConfig {
        bytes_max: 100_000,
        ..WindowConfig::new(EPOCH, ZERO_UNIX_MS)
    };
    let mut window = Window::new(config);
    for output in outputs_so_far(14.0) {
        window.push(&output);
    }
    assert!(window.counters().segments_evicted > 0);
    assert!(window.counters().bytes_held <= 100_000);
    let playlist = text(window.playlist(Rendition::Video));
    assert!(
        playlist.contains("#EXT-X-GAP\n#EXTINF:2.00000,\n"),
        "{playlist}"
    );
    assert_eq!(window.resource(&format!("v{EPOCH}-0.m4s")), Found::Gone);
    assert_eq!(window.resource(&format!("v{EPOCH}-0.0.m4s")), Found::Gone);
}

#[test]
fn segments_without_sound_are_told_as_gaps() {
    let mut tone = sound(0.0, 8.0);
    tone.retain(|unit| !(1.9..6.1).contains(&unit.time.seconds()));
    let outputs = pack(&together(&[shot(CAMERA, 0.0, 30.0, 240), tone]));
    let window = filled(&outputs);
    assert!(window.counters().segments_missing > 0);
    let playlist = text(window.playlist(Rendition::Audio));
    assert!(playlist.contains("#EXT-X-GAP"), "{playlist}");
    assert_eq!(
        numbered(&playlist).len(),
        numbered(&text(window.playlist(Rendition::Video))).len()
    );
}

#[test]
fn the_newest_time_and_the_revision_grow_with_every_part() {
    let mut window = window();
    let (mut revision, mut newest) = (window.revision(), None);
    assert_eq!(window.newest(), None);
    for output in outputs_so_far(4.0) {
        window.push(&output);
        if let Output::Part(part) = &output {
            assert!(window.revision() > revision);
            revision = window.revision();
            let asked = [0; 3].map(|_| window.playlist(part.rendition));
            assert!(asked[0].is_some() && asked[0] == asked[2]);
            if part.rendition == Rendition::Video {
                assert!(window.newest().map(|time| time.micros()) > newest);
                newest = window.newest().map(|time| time.micros());
            }
        }
    }
    assert_eq!(
        window.counters().playlists_rendered,
        window.counters().parts,
        "once per part, however many ask"
    );
    assert!(newest.is_some_and(
        |micros| Duration::from_micros(micros.unsigned_abs()) > Duration::from_secs(3)
    ));
}
