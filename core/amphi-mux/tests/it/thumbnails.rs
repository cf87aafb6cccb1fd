//! Thumbnails: which pictures they are made of, and the list of them over a window that slides.

use std::time::Duration;

use amphi_media::{MediaTime, Sample, VideoSize};
use amphi_mux::{
    Dvr, Found, Order, Output, Packager, Thumbnail, ThumbnailPicker, Window, WindowConfig,
    thumbnail_size,
};
use bytes::Bytes;

use crate::dvr::Disk;
use crate::ladder::rungs;
use crate::program::*;
use crate::window::{EPOCH, ZERO_UNIX_MS, text};

const EVERY: Duration = Duration::from_secs(10);
const LISTED_S: u64 = 60;

fn window() -> Window {
    Window::new(WindowConfig {
        dvr: Some(Dvr {
            listed: Duration::from_secs(LISTED_S),
            bytes_max: u64::MAX,
        }),
        thumbnails: Some(EVERY),
        ..WindowConfig::new(EPOCH, ZERO_UNIX_MS)
    })
}

/// Of so many seconds of the programme clock; its bytes say when.
fn thumbnail(seconds: f64) -> Thumbnail {
    Thumbnail {
        time: MediaTime::new((seconds * 90_000.0) as i64, 90_000),
        size: VideoSize::new(256, 144),
        bytes: format!("picture of {seconds}").into_bytes().into(),
    }
}

/// What is listed: name, unix time in ms behind the window's zero, and whether there is one.
fn listed(window: &Window) -> Vec<(String, f64, bool)> {
    let playlist = text(window.thumbnails_playlist());
    let (mut all, mut date, mut is_gap) = (Vec::new(), 0.0, false);
    for line in playlist.lines() {
        if let Some(time) = line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:") {
            // Of 2023-11-14, the day of `ZERO_UNIX_MS`: 22:13:20.500.
            let part = |at: usize, len: usize| time[at..at + len].parse::<f64>().expect("a number");
            date = part(11, 2) * 3_600.0 + part(14, 2) * 60.0 + part(17, 6) - 80_000.5;
        } else if line == "#EXT-X-GAP" {
            is_gap = true;
        } else if !line.starts_with('#') {
            all.push((line.to_owned(), date, !is_gap));
            is_gap = false;
        }
    }
    all
}

/// Shows `program` to the window, with a thumbnail at each of `at` as soon as the program is there.
fn show(
    window: &mut Window,
    disk: &mut Disk,
    program: &[Sample],
    at: &[f64],
    mut look: impl FnMut(&Window, &Disk, f64),
) {
    let mut at = at.iter().peekable();
    for output in pack_on(&mut Packager::new(config()), program) {
        window.push(&output);
        let Output::Part(part) = &output else {
            continue;
        };
        let now = part.time.seconds();
        while let Some(seconds) = at.next_if(|seconds| **seconds <= now) {
            window.push_thumbnail(&thumbnail(*seconds));
        }
        disk.carry_out(window, true);
        look(window, disk, now);
    }
}

#[test]
fn the_list_says_when_each_was_on_air_and_where_there_is_none() {
    let (mut window, mut disk) = (window(), Disk::default());
    assert_eq!(listed(&window), []);
    assert!(!text(window.thumbnails_playlist()).contains("#EXTINF"));
    show(
        &mut window,
        &mut disk,
        &plain(48.0),
        &[0.0, 12.5, 30.0, 40.2],
        |_, _, _| {},
    );
    window.push(&Output::End);
    let name = |slot: u64| format!("i{EPOCH}-{slot}.jpg");
    let expected = [
        (0, 0.0, true),
        (1, 12.5, true),
        (2, 20.0, false),
        (3, 30.0, true),
        (4, 40.2, true),
    ];
    let expected = expected.map(|(slot, seconds, is_there)| (name(slot), seconds, is_there));
    let listed = listed(&window);
    for (seen, expected) in listed.iter().zip(&expected) {
        assert_eq!((&seen.0, seen.2), (&expected.0, expected.2));
        assert!((seen.1 - expected.1).abs() < 0.002, "{seen:?} {expected:?}");
    }
    assert_eq!(listed.len(), expected.len());
    let playlist = text(window.thumbnails_playlist());
    for line in [
        "#EXT-X-TARGETDURATION:10",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-IMAGES-ONLY",
        "#EXT-X-TILES:RESOLUTION=256x144,LAYOUT=1x1,DURATION=10.00000",
    ] {
        assert!(playlist.contains(line), "{line} in {playlist}");
    }
    assert_eq!(
        playlist.matches("#EXTINF:10.00000,").count(),
        5,
        "{playlist}"
    );
    assert!(
        playlist.ends_with("#EXT-X-ENDLIST\n"),
        "the program is over: {playlist}"
    );
    let index = text(window.multivariant());
    assert!(
        index.contains("#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=12,RESOLUTION=256x144,CODECS=\"jpeg\",URI=\"thumbnails.m3u8\""),
        "{index}"
    );
    assert_eq!(window.resource(&name(2)), Found::Gone, "a gap");
    assert_eq!(window.resource(&name(9)), Found::Unknown);
    assert_eq!(
        window.resource("i5-0.jpg"),
        Found::Gone,
        "of an earlier program"
    );
}

#[test]
fn thumbnails_are_kept_elsewhere_and_leave_with_what_they_show() {
    let (mut window, mut disk) = (window(), Disk::default());
    let at: Vec<f64> = (0..18).map(|slot| f64::from(slot) * 10.0 + 1.5).collect();
    show(
        &mut window,
        &mut disk,
        &plain(180.0),
        &at,
        |window, disk, now| {
            let listed = listed(window);
            let newest = (now - 1.5) as u64 / 10;
            if now > 2.0 {
                assert_eq!(
                    listed.last().map(|last| last.0.clone()),
                    Some(format!("i{EPOCH}-{newest}.jpg")),
                    "{now}"
                );
            }
            // The window, one slot before it, and what its segments reach back.
            assert!(
                listed.len() as u64 <= LISTED_S / 10 + 3,
                "{} at {now}",
                listed.len()
            );
            for (name, seconds, _) in &listed {
                assert_eq!(window.resource(name), Found::Kept(name.clone()));
                assert_eq!(disk.kept[name], thumbnail(*seconds).bytes);
            }
        },
    );
    // Every moment that one can go back to has one at or before it.
    assert!(
        listed(&window)[0].1 <= 180.0 - LISTED_S as f64,
        "{:?}",
        listed(&window)[0]
    );
    let kept = |disk: &Disk| {
        disk.kept
            .keys()
            .filter(|name| name.ends_with(".jpg"))
            .count()
    };
    // A minute more than what is listed.
    assert!((12..=16).contains(&kept(&disk)), "{}", kept(&disk));
    assert_eq!(window.resource(&format!("i{EPOCH}-0.jpg")), Found::Gone);
    let counters = window.counters();
    assert_eq!(counters.thumbnails, 18);
    assert_eq!(
        counters.bytes_kept,
        disk.kept
            .values()
            .map(|bytes| bytes.len() as u64)
            .sum::<u64>()
    );
}

#[test]
fn what_is_no_thumbnail_of_this_program_is_passed_over() {
    let (mut window, mut disk) = (window(), Disk::default());
    show(&mut window, &mut disk, &plain(30.0), &[15.0], |_, _, _| {});
    let large = Thumbnail {
        bytes: vec![0; 1 << 20].into(),
        ..thumbnail(25.0)
    };
    for (thumbnail, what) in [
        (thumbnail(12.0), "its slot has one"),
        (thumbnail(3.0), "late"),
        (thumbnail(-3.0), "before the beginning"),
        (thumbnail(1e6), "far ahead"),
        (large, "too large"),
    ] {
        window.push_thumbnail(&thumbnail);
        assert_eq!(listed(&window).len(), 1, "{what}");
    }
    window.push(&Output::End);
    window.push_thumbnail(&thumbnail(25.0));
    assert_eq!(listed(&window).len(), 1, "after the end");
    // A program that makes none.
    let mut without = crate::window::window();
    without.push_thumbnail(&thumbnail(1.0));
    assert_eq!(without.thumbnails_playlist(), None);
    assert_eq!(without.resource(&format!("i{EPOCH}-0.jpg")), Found::Unknown);
}

#[test]
fn what_nobody_keeps_is_bounded() {
    let mut window = Window::new(WindowConfig {
        thumbnails: Some(Duration::from_secs(1)),
        dvr: Some(Dvr {
            listed: Duration::from_secs(3_600),
            bytes_max: u64::MAX,
        }),
        ..WindowConfig::new(EPOCH, ZERO_UNIX_MS)
    });
    let mut asked = 0;
    for output in pack_on(&mut Packager::new(config()), &plain(150.0)) {
        window.push(&output);
        if let Output::Part(part) = &output {
            window.push_thumbnail(&thumbnail(part.time.seconds()));
        }
        while let Some(order) = window.poll() {
            // Segments are kept, or the window would be as short as memory.
            if let Order::Keep { name, .. } = order {
                match name.ends_with(".jpg") {
                    true => asked += 1,
                    false => assert!(window.kept(&name)),
                }
            }
        }
    }
    assert!(asked >= 140, "{asked}");
    let is_there = listed(&window).iter().filter(|one| one.2).count();
    assert_eq!(is_there, 64);
    let newest = listed(&window).pop().expect("one").0;
    assert!(matches!(window.resource(&newest), Found::Media(_)));
}

#[test]
fn a_full_disk_makes_the_window_shorter_and_its_thumbnails_fewer() {
    let mut small = Window::new(WindowConfig {
        dvr: Some(Dvr {
            listed: Duration::from_secs(3_600),
            bytes_max: 2_000_000,
        }),
        thumbnails: Some(EVERY),
        ..WindowConfig::new(EPOCH, ZERO_UNIX_MS)
    });
    let mut disk = Disk::default();
    let at: Vec<f64> = (0..60).map(|slot| f64::from(slot) * 10.0).collect();
    show(&mut small, &mut disk, &plain(600.0), &at, |_, _, _| {});
    let bytes: u64 = disk
        .kept
        .values()
        .map(|bytes: &Bytes| bytes.len() as u64)
        .sum();
    assert!(bytes <= 2_000_000, "{bytes}");
    assert!(small.counters().segments_over > 0);
    let listed = listed(&small);
    assert!((2..40).contains(&listed.len()), "{}", listed.len());
}

#[test]
fn of_every_slot_the_first_key_frame_of_the_nearest_rung_is_taken() {
    // 640x360, 320x180 and 160x90, with a key frame every two seconds.
    let mut picker = ThumbnailPicker::new(EVERY);
    let mut taken = Vec::new();
    for sample in together(&rungs(7.0, 30.0, 40 * 30)) {
        if picker.wants(&sample) {
            taken.push((sample.time.seconds(), sample.rung));
        }
    }
    // At first only the top one is known.
    assert_eq!(
        taken,
        [(7.0, 0), (11.0, 1), (21.0, 1), (31.0, 1), (41.0, 1)]
    );
    // The rung leaves: the next larger one is taken.
    for sample in together(&rungs(47.0, 30.0, 30 * 30)) {
        if sample.rung != 1 && picker.wants(&sample) {
            taken.push((sample.time.seconds(), sample.rung));
        }
    }
    assert!(
        taken[5..].iter().all(|(_, rung)| *rung == 0) && taken.len() >= 7,
        "{taken:?}"
    );
    for sound in sound(100.0, 120.0) {
        assert!(!picker.wants(&sound));
    }
    let broken = video(130.0, vec![0, 0, 0, 1, 0x65, 1].into());
    assert!(
        broken.key && !picker.wants(&broken),
        "its size is not known"
    );
}

#[test]
fn a_thumbnail_has_the_shape_of_its_picture_and_is_never_larger() {
    for (of, size) in [
        ((1280, 720), (256, 144)),
        ((720, 1280), (144, 256)),
        ((640, 480), (222, 166)),
        ((4096, 2304), (256, 144)),
        ((160, 90), (160, 90)),
        ((4096, 16), (1024, 16)),
        ((2, 2), (16, 16)),
        ((0, 0), (16, 16)),
    ] {
        let expected = VideoSize::new(size.0, size.1);
        assert_eq!(
            thumbnail_size(VideoSize::new(of.0, of.1)),
            expected,
            "{of:?}"
        );
    }
}
