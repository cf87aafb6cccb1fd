//! Windows that are longer than what memory holds: segments are kept elsewhere, here in a map.

use std::collections::BTreeMap;
use std::time::Duration;

use amphi_media::Sample;
use amphi_mux::{Dvr, Found, Order, Output, Packager, Rendition, Window, WindowConfig};
use bytes::Bytes;

use crate::conform::{Ends, conforms_in};
use crate::ladder::ladder;
use crate::program::*;
use crate::window::{EPOCH, ZERO_UNIX_MS, text};

const LISTED_S: u64 = 60;

pub fn long_window() -> Window {
    bounded(u64::MAX)
}

fn bounded(bytes_max: u64) -> Window {
    Window::new(WindowConfig {
        dvr: Some(Dvr {
            listed: Duration::from_secs(LISTED_S),
            bytes_max,
        }),
        ..WindowConfig::new(EPOCH, ZERO_UNIX_MS)
    })
}

/// Whoever keeps segments.
#[derive(Default)]
pub struct Disk {
    pub kept: BTreeMap<String, Bytes>,
    bytes: u64,
    bytes_most: u64,
    /// Of segments that could not be kept.
    lost: u64,
    /// Orders of so many segments that are not carried out yet.
    slow_by: usize,
    queue: Vec<(String, Bytes)>,
}

impl Disk {
    pub fn carry_out(&mut self, window: &mut Window, works: bool) {
        while let Some(order) = window.poll() {
            match order {
                Order::Keep { name, bytes } if works => self.queue.push((name, bytes)),
                Order::Keep { .. } => self.lost += 1,
                Order::Forget { name } => {
                    let bytes = self.kept.remove(&name).expect("it was kept");
                    self.bytes -= bytes.len() as u64;
                }
            }
        }
        while self.queue.len() > self.slow_by {
            let (name, bytes) = self.queue.remove(0);
            if window.kept(&name) {
                self.bytes += bytes.len() as u64;
                self.bytes_most = self.bytes_most.max(self.bytes);
                self.kept.insert(name, bytes);
            }
        }
    }
}

/// Shows the program to the window; `works` says at which of its seconds the disk does.
fn show(
    window: &mut Window,
    disk: &mut Disk,
    program: &[Sample],
    works: impl Fn(f64) -> bool,
    mut look: impl FnMut(&Window, &Disk, f64),
) {
    let mut packager = Packager::new(config());
    for output in pack_on(&mut packager, program) {
        window.push(&output);
        let Output::Part(part) = &output else {
            continue;
        };
        let now = part.time.seconds();
        disk.carry_out(window, works(now));
        look(window, disk, now);
    }
}

/// Addresses of whole segments, in order.
fn listed(window: &Window, rendition: Rendition) -> Vec<String> {
    let playlist = window
        .playlist(rendition)
        .map_or(String::new(), |made| text(Some(made)));
    let lines = playlist.lines().filter(|line| !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

fn seconds(window: &Window, rendition: Rendition) -> f64 {
    let playlist = text(window.playlist(rendition));
    let durations = playlist
        .lines()
        .filter_map(|line| line.strip_prefix("#EXTINF:"));
    let numbers = durations.filter_map(|line| line.trim_end_matches(',').parse::<f64>().ok());
    numbers.sum()
}

#[test]
fn the_list_grows_up_to_the_window_and_every_segment_of_it_can_be_had() {
    let (mut window, mut disk) = (long_window(), Disk::default());
    let mut most_held = 0;
    let mut all: BTreeMap<String, Bytes> = BTreeMap::new();
    show(
        &mut window,
        &mut disk,
        &ladder(150.0),
        |_| true,
        |window, disk, now| {
            let length = seconds(window, Rendition::Video);
            let expected = now.min(LISTED_S as f64);
            assert!(
                (expected - 4.5..=LISTED_S as f64 + 4.5).contains(&length),
                "{length} s at {now}"
            );
            most_held = most_held.max(window.counters().bytes_held);
            for rendition in [
                Rendition::Video,
                Rendition::Lower { rung: 2 },
                Rendition::Audio,
            ] {
                if window.playlist(rendition).is_none() {
                    continue;
                }
                for name in listed(window, rendition) {
                    let bytes = match window.resource(&name) {
                        Found::Media(bytes) => bytes,
                        Found::Kept(name) => disk.kept[&name].clone(),
                        found => panic!("{name} is listed and {found:?}"),
                    };
                    let before = all.entry(name).or_insert_with(|| bytes.clone());
                    assert_eq!(*before, bytes);
                }
            }
        },
    );
    let counters = window.counters();
    assert!(
        most_held < counters.bytes / 3,
        "{most_held} of {}",
        counters.bytes
    );
    assert_eq!(counters.bytes_kept, disk.bytes);
    // What is kept: the window, as much again for who read the playlist before, and a segment's delay.
    assert!(counters.bytes_kept < counters.bytes * 135 / 150);
    assert!(
        disk.kept.len() < all.len() * 4 / 3 + 10,
        "{} of {}",
        disk.kept.len(),
        all.len()
    );
    assert!(!text(window.playlist(Rendition::Video)).contains("EXT-X-GAP"));
    assert!(!text(window.playlist(Rendition::Video)).contains("PLAYLIST-TYPE"));
}

#[test]
fn what_left_can_be_had_for_as_long_as_was_listed_and_is_then_forgotten() {
    let (mut window, mut disk) = (long_window(), Disk::default());
    let mut left: BTreeMap<String, f64> = BTreeMap::new();
    let mut before = Vec::new();
    show(
        &mut window,
        &mut disk,
        &plain(160.0),
        |_| true,
        |window, _, now| {
            let names = listed(window, Rendition::Audio);
            for name in before.iter().filter(|name| !names.contains(name)) {
                left.entry(String::clone(name)).or_insert(now);
            }
            before = names;
            for (name, at) in &left {
                let there = window.resource(name) == Found::Kept(name.clone());
                if now - at < LISTED_S as f64 {
                    assert!(there, "{name} left at {at} and is gone at {now}");
                }
                if now - at > LISTED_S as f64 + 6.0 {
                    assert!(!there, "{name} left at {at} and is there at {now}");
                }
            }
        },
    );
    assert!(left.len() > 30);
}

#[test]
fn a_disk_that_fails_makes_the_window_short_and_never_leaves_a_gap() {
    let (mut window, mut disk) = (long_window(), Disk::default());
    let works = |now: f64| !(50.0..80.0).contains(&now);
    let mut shortest = f64::MAX;
    show(
        &mut window,
        &mut disk,
        &plain(170.0),
        works,
        |window, disk, now| {
            if now > 30.0 {
                shortest = shortest.min(seconds(window, Rendition::Video));
            }
            for name in listed(window, Rendition::Video) {
                let found = window.resource(&name);
                let there = found == Found::Kept(name.clone()) && disk.kept.contains_key(&name);
                assert!(
                    there || matches!(found, Found::Media(_)),
                    "{name} is listed and {found:?}"
                );
            }
            assert!(!text(window.playlist(Rendition::Video)).contains("EXT-X-GAP"));
        },
    );
    assert!(
        shortest > 12.0,
        "three target durations are always listed: {shortest}"
    );
    assert!(
        shortest < 25.0,
        "what is not kept is not listed for longer than memory has it"
    );
    assert!(seconds(&window, Rendition::Video) > 55.0, "it grows again");
    let counters = window.counters();
    assert!(
        disk.lost > 10 && counters.segments_unkept >= disk.lost,
        "{counters:?}"
    );
    assert_eq!(counters.segments_evicted, 0);
}

#[test]
fn a_disk_that_is_slow_is_waited_for_and_one_that_is_too_slow_is_not() {
    for (slow_by, long) in [(6, true), (60, false)] {
        let mut disk = Disk {
            slow_by,
            ..Disk::default()
        };
        let mut window = long_window();
        show(
            &mut window,
            &mut disk,
            &plain(100.0),
            |_| true,
            |_, _, _| {},
        );
        let length = seconds(&window, Rendition::Video);
        assert_eq!(length > 50.0, long, "{length} s when {slow_by} are late");
        assert!(length > 12.0);
    }
}

#[test]
fn a_bound_of_bytes_makes_the_window_short_from_its_front() {
    let whole = {
        let (mut window, mut disk) = (long_window(), Disk::default());
        show(
            &mut window,
            &mut disk,
            &ladder(100.0),
            |_| true,
            |_, _, _| {},
        );
        disk.bytes_most
    };
    let bound = whole / 3;
    let (mut window, mut disk) = (bounded(bound), Disk::default());
    show(
        &mut window,
        &mut disk,
        &ladder(140.0),
        |_| true,
        |window, _, now| {
            assert!(window.counters().bytes_kept <= bound);
            let length = seconds(window, Rendition::Video);
            assert!(now < 20.0 || length > 12.0, "{length} s at {now}");
            assert!(!text(window.playlist(Rendition::Video)).contains("EXT-X-GAP"));
        },
    );
    let lengths = [
        Rendition::Video,
        Rendition::Lower { rung: 1 },
        Rendition::Audio,
    ]
    .map(|rendition| seconds(&window, rendition));
    assert!(
        lengths
            .iter()
            .all(|length| (lengths[0] - length).abs() < 6.0),
        "{lengths:?}"
    );
    assert!(lengths[0] < 45.0, "{lengths:?}");
    assert!(window.counters().segments_over > 20);
}

#[test]
fn a_rung_that_left_is_forgotten_in_time() {
    let mut program = ladder(170.0);
    program.retain(|sample| sample.rung != 2 || sample.time.seconds() < 20.0);
    let (mut window, mut disk) = (long_window(), Disk::default());
    show(&mut window, &mut disk, &program, |_| true, |_, _, _| {});
    let of_it = |name: &&String| name.contains("r2-");
    assert_eq!(disk.kept.keys().find(of_it), None);
    assert_eq!(window.counters().bytes_kept, disk.bytes);
}

#[test]
fn without_a_long_window_nobody_is_asked_to_keep_anything() {
    let mut window = crate::window::window();
    for output in pack(&plain(40.0)) {
        window.push(&output);
        assert_eq!(window.poll(), None);
    }
    let playlist = window.playlist(Rendition::Video);
    assert!(!text(playlist.clone()).contains("CAN-SKIP-UNTIL"));
    assert_eq!(window.delta_update(Rendition::Video), playlist);
    assert!(!window.kept(&format!("v{EPOCH}-3.m4s")));
}

#[test]
fn a_delta_update_has_what_is_new_and_says_how_much_it_leaves_out() {
    let (mut window, mut disk) = (long_window(), Disk::default());
    show(&mut window, &mut disk, &plain(70.0), |_| true, |_, _, _| {});
    let whole = text(window.playlist(Rendition::Video));
    let delta = text(window.delta_update(Rendition::Video));
    let segments = |text: &str| text.matches("#EXTINF").count();
    let skipped = delta
        .lines()
        .find_map(|line| line.strip_prefix("#EXT-X-SKIP:SKIPPED-SEGMENTS="))
        .and_then(|count| count.parse::<usize>().ok());
    assert_eq!(skipped, Some(segments(&whole) - segments(&delta)));
    assert!(
        delta.len() < whole.len() * 4 / 5,
        "{} of {}",
        delta.len(),
        whole.len()
    );
    assert!(whole.contains("CAN-SKIP-UNTIL=24.0") && delta.contains("CAN-SKIP-UNTIL=24.0"));
    assert!(delta.contains("#EXT-X-VERSION:9"));
    let tail = whole.lines().last();
    assert_eq!(delta.lines().last(), tail);
}

#[test]
fn a_long_window_conforms() {
    let [low_latency, _] = conforms_in(
        "a long window",
        long_window,
        &plain(110.0),
        Ends::WithTheProgram,
    );
    assert!(
        low_latency.deltas > 200 && low_latency.again >= 8,
        "{low_latency:?}"
    );
    let mut shots = Vec::new();
    for shot in 0..20 {
        let stream = [CAMERA, SCREEN, CABAC][shot % 3];
        shots.push(cut(crate::program::shot(
            stream,
            shot as f64 * 4.3,
            30.0,
            129,
        )));
    }
    shots.push(sound(0.0, 86.0));
    let program = together(&shots);
    let [low_latency, _] = conforms_in("cuts", long_window, &program, Ends::OffAir);
    assert!(
        low_latency.deltas > 200 && low_latency.discontinuities > 30,
        "{low_latency:?}"
    );
    conforms_in("a ladder", long_window, &ladder(75.0), Ends::WithTheProgram);
}
