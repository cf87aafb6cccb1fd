//! Clips: files of a stretch of what a window has.

use std::time::Duration;

use amphi_media::{MediaTime, Sample};
use amphi_mux::recording::{Chunk, HEADER_BYTES, Place, Scan, scan};
use amphi_mux::{ClipPiece, Clipper, NoClip, Packager, Rendition, Window};

use crate::dvr::{Disk, long_window};
use crate::ladder::ladder;
use crate::program::*;
use crate::tools::decodes;
use crate::window::ZERO_UNIX_MS;

fn at(seconds: f64) -> MediaTime {
    MediaTime::new((seconds * 90_000.0) as i64, 90_000)
}

/// A window of the program, and what it had kept.
fn shown(program: &[Sample]) -> (Window, Disk) {
    let (mut window, mut disk) = (long_window(), Disk::default());
    for output in pack_on(&mut Packager::new(config()), program) {
        window.push(&output);
        disk.carry_out(&mut window, true);
    }
    (window, disk)
}

fn file(window: &Window, disk: &Disk, from: f64, to: f64) -> Vec<u8> {
    let pieces = window.clip(at(from), at(to)).expect("it is in the window");
    let mut clipper = Clipper::new(ZERO_UNIX_MS, at(to));
    let mut file = vec![0; HEADER_BYTES];
    for piece in pieces {
        match piece {
            ClipPiece::Init(init) => clipper.push_init(&init),
            ClipPiece::Segment(segment) => {
                let kept = || disk.kept[&segment.name].clone();
                let bytes = segment.bytes.clone().unwrap_or_else(kept);
                clipper.push_segment(&segment, &bytes);
            }
        }
        while let Some(Chunk { place, bytes }) = clipper.poll() {
            match place {
                Place::Header => file[..HEADER_BYTES].copy_from_slice(&bytes),
                Place::Append => file.extend_from_slice(&bytes),
            }
        }
    }
    file
}

/// It plays, and is about as long as it should be.
fn check(file: &[u8], from: f64, to: f64) -> Scan {
    let clip = scan(file);
    assert!(clip.playable && clip.has_video() && clip.gaps() == 0);
    assert_eq!(clip.good_bytes, file.len() as u64);
    let first = clip.fragments.first().expect("something is in it");
    assert!(first.key && first.time == 0 && first.rendition == Rendition::Video);
    let begins_ms = clip.zero_unix_ms().expect("a mark") - ZERO_UNIX_MS;
    let begins = begins_ms as f64 / 1e3;
    assert!(
        begins <= from + 0.001 && begins > from - 4.1,
        "{begins} for {from}"
    );
    for rendition in Rendition::BOTH {
        let of_it = clip
            .fragments
            .iter()
            .filter(|one| one.rendition == rendition);
        let end = of_it.map(|one| one.end_us()).max().expect("both are in it");
        let ends = begins + Duration::from_micros(end).as_secs_f64();
        assert!(
            (to - 0.4..to + 0.4).contains(&ends),
            "{rendition:?} ends at {ends}, not {to}"
        );
    }
    clip
}

#[test]
fn a_clip_is_what_was_shown_then_from_memory_and_from_elsewhere() {
    let (window, disk) = shown(&ladder(100.0));
    for (from, to) in [(45.0, 61.3), (50.7, 52.0), (70.1, 99.0), (96.0, 98.9)] {
        let file = file(&window, &disk, from, to);
        check(&file, from, to);
        decodes(&file);
    }
}

#[test]
fn a_clip_over_cuts_has_each_size() {
    let mut shots = Vec::new();
    for shot in 0..10 {
        let stream = [CAMERA, SCREEN, CABAC][shot % 3];
        shots.push(cut(crate::program::shot(
            stream,
            shot as f64 * 4.3,
            30.0,
            129,
        )));
    }
    shots.push(sound(0.0, 43.0));
    let (window, disk) = shown(&together(&shots));
    let clip = check(&file(&window, &disk, 10.0, 24.0), 10.0, 24.0);
    let generations: Vec<u32> = clip.marks.iter().map(|mark| mark.generation).collect();
    assert_eq!(generations, [2, 3, 4, 5]);
}

#[test]
fn a_clip_of_what_is_not_there_is_refused_with_what_is() {
    let (window, _) = shown(&plain(100.0));
    let outside = |from, to| match window.clip(at(from), at(to)) {
        Err(NoClip::Outside(first, last)) => (first.seconds(), last.seconds()),
        other => panic!("{other:?}"),
    };
    for (from, to) in [
        (0.0, 20.0),
        (50.0, 200.0),
        (60.0, 60.0),
        (70.0, 60.0),
        (-5.0, 60.0),
    ] {
        let (first, last) = outside(from, to);
        assert!(
            (35.0..41.0).contains(&first) && (99.0..100.5).contains(&last),
            "{first} {last}"
        );
    }
    let empty = long_window();
    assert_eq!(empty.clip(at(0.0), at(1.0)), Err(NoClip::NothingYet));
}

#[test]
fn sound_alone_can_be_clipped() {
    let (window, disk) = shown(&sound(0.0, 60.0));
    let clip = scan(&file(&window, &disk, 20.0, 30.0)[..]);
    assert!(clip.playable && !clip.has_video());
    assert!(
        (9.0..13.0).contains(&clip.duration().as_secs_f64()),
        "{:?}",
        clip.duration()
    );
}
