use std::time::Duration;

use amphi_media::{MediaKind, Sample};
use amphi_mux::recording::{HEADER_BYTES, Place, Sum, Writer, scan, sum, vod_playlist};
use amphi_mux::{Output, Packager, PackagerConfig, Rendition};
use proptest::prelude::*;

use crate::program::*;
use crate::window::ZERO_UNIX_MS;

/// What is on disk after all of it was written.
pub fn write(writer: &mut Writer, outputs: &[Output]) -> Vec<u8> {
    let mut file = Vec::new();
    write_on(writer, &mut file, outputs);
    file
}

fn write_on(writer: &mut Writer, file: &mut Vec<u8>, outputs: &[Output]) {
    for output in outputs {
        writer.push(output);
        while let Some(chunk) = writer.poll() {
            match chunk.place {
                Place::Header => {
                    assert_eq!(chunk.bytes.len(), HEADER_BYTES);
                    file.resize(file.len().max(HEADER_BYTES), 0);
                    file[..HEADER_BYTES].copy_from_slice(&chunk.bytes);
                }
                Place::Append => file.extend_from_slice(&chunk.bytes),
            }
            let scan = scan(&file[..]);
            let end = if scan.fragments.is_empty() {
                HEADER_BYTES
            } else {
                file.len()
            };
            assert_eq!(
                scan.good_bytes, end as u64,
                "the file is whole after every write"
            );
        }
    }
}

/// A camera, a screen of another size, and a camera again.
pub fn three_shots() -> Vec<Sample> {
    together(&[
        shot(CAMERA, 0.0, 30.0, 90),
        cut(shot(SCREEN, 3.0, 30.0, 90)),
        cut(shot(CAMERA, 6.0, 30.0, 60)),
        sound(0.0, 8.0),
    ])
}

#[test]
fn what_was_written_is_found_again() {
    let outputs = pack(&three_shots());
    let file = write(&mut Writer::new(ZERO_UNIX_MS), &outputs);
    let scan = scan(&file[..]);
    assert!(scan.playable);
    assert_eq!(scan.good_bytes, file.len() as u64);
    assert_eq!(
        (scan.marks.len(), scan.gaps(), scan.zero_unix_ms()),
        (3, 0, Some(ZERO_UNIX_MS))
    );
    for rendition in Rendition::BOTH {
        let written: Vec<_> = parts(&outputs, rendition)
            .iter()
            .map(|part| {
                (
                    part.time.ticks as u64,
                    part.duration.ticks as u64,
                    part.independent,
                    part.bytes.len() as u64,
                )
            })
            .collect();
        let found: Vec<_> = scan
            .fragments
            .iter()
            .filter(|fragment| fragment.rendition == rendition)
            .map(|fragment| {
                (
                    fragment.time,
                    fragment.duration,
                    fragment.key,
                    fragment.bytes,
                )
            })
            .collect();
        assert_eq!(found, written);
    }
    assert!((scan.duration().as_secs_f64() - 8.0).abs() < 0.1);
}

#[test]
fn a_file_that_ends_anywhere_is_good_up_to_its_last_whole_fragment() {
    let file = write(&mut Writer::new(ZERO_UNIX_MS), &pack(&plain(2.0)));
    let whole = scan(&file[..]);
    let ends: Vec<u64> = whole
        .fragments
        .iter()
        .map(|fragment| fragment.offset + fragment.bytes)
        .collect();
    let lengths = (0..file.len()).step_by(97).chain(
        ends.iter()
            .flat_map(|end| [*end as usize - 1, *end as usize]),
    );
    for length in lengths {
        let scan = scan(&file[..length]);
        assert!(scan.good_bytes <= length as u64);
        let expected = ends.iter().filter(|end| **end <= length as u64).count();
        assert_eq!(scan.fragments.len(), expected, "cut at {length}");
        assert_eq!(
            sum(&file[..length]),
            Sum {
                good_bytes: scan.good_bytes,
                duration: scan.duration(),
                gaps: scan.gaps(),
            }
        );
        assert_eq!(scan.fragments[..], whole.fragments[..expected]);
        if let Some(last) = scan.fragments.last() {
            assert!(scan.good_bytes >= last.offset + last.bytes);
            assert!(vod_playlist(&scan, "x.mp4").is_some());
        }
    }
}

#[test]
fn a_recording_begun_in_mid_program_counts_from_zero_and_starts_with_a_key_frame() {
    let mut packager = Packager::new(config());
    let samples = plain(9.0);
    let (before, after) = samples.split_at(samples.len() / 3);
    pack_on(&mut packager, before);
    let mut outputs: Vec<Output> = packager.inits().into_iter().map(Output::Init).collect();
    outputs.extend(pack_on(&mut packager, after));
    let mut writer = Writer::new(ZERO_UNIX_MS);
    let file = write(&mut writer, &outputs);
    let scan = scan(&file[..]);
    let first = &scan.fragments[0];
    assert_eq!(
        (first.rendition, first.time, first.key),
        (Rendition::Video, 0, true)
    );
    assert!(writer.counters().parts_left_out > 0);
    let sound = scan
        .fragments
        .iter()
        .find(|fragment| fragment.rendition == Rendition::Audio)
        .expect("sound");
    assert!(sound.start_us() < 350_000);
    assert_eq!(
        scan.zero_unix_ms(),
        Some(ZERO_UNIX_MS + 4_000),
        "the fixture's key frame at 4 s"
    );
}

#[test]
fn what_could_not_be_written_is_a_gap_and_the_rest_goes_on_at_a_key_frame() {
    let outputs = pack(&plain(12.0));
    let mut writer = Writer::new(ZERO_UNIX_MS);
    let mut file = Vec::new();
    for output in &outputs {
        let failing =
            matches!(output, Output::Part(part) if (3.0..6.5).contains(&part.time.seconds()));
        if failing {
            writer.push(output);
            if let Some(chunk) = writer.poll() {
                writer.lost(&chunk);
                assert_eq!(writer.poll(), None);
            }
        } else {
            write_on(&mut writer, &mut file, std::slice::from_ref(output));
        }
    }
    let scan = scan(&file[..]);
    assert_eq!((scan.gaps(), writer.counters().gaps > 0), (1, true));
    let all = sum(&file[..]);
    assert_eq!((all.gaps, all.duration), (1, scan.duration()));
    let mark = scan.marks.iter().position(|mark| mark.gap).expect("a gap");
    let first = scan
        .fragments
        .iter()
        .find(|fragment| fragment.mark as usize == mark)
        .expect("it goes on");
    assert!(first.key && first.rendition == Rendition::Video && first.start_us() > 6_500_000);
    let playlist = vod_playlist(&scan, "program.mp4").expect("it plays");
    assert_eq!(playlist.matches("#EXT-X-DISCONTINUITY\n").count(), 1);
    let sum: f64 = playlist
        .lines()
        .filter_map(|line| {
            line.strip_prefix("#EXTINF:")?
                .strip_suffix(',')?
                .parse::<f64>()
                .ok()
        })
        .sum();
    assert!(
        (7.0..9.1).contains(&sum),
        "what is missing is not counted: {sum}"
    );
}

#[test]
fn a_disk_that_fails_from_the_start_costs_the_start_only() {
    let outputs = pack(&plain(6.0));
    let mut writer = Writer::new(ZERO_UNIX_MS);
    let mut file = Vec::new();
    for output in &outputs {
        if matches!(output, Output::Part(part) if part.time.seconds() < 1.0) {
            writer.push(output);
            while let Some(chunk) = writer.poll() {
                writer.lost(&chunk);
            }
        } else {
            write_on(&mut writer, &mut file, std::slice::from_ref(output));
        }
    }
    let scan = scan(&file[..]);
    assert!(scan.playable && scan.fragments.len() > 6);
}

#[test]
fn a_picture_that_comes_later_is_in_the_header_from_then_on() {
    let outputs = pack(&together(&[shot(CAMERA, 5.0, 30.0, 90), sound(0.0, 8.0)]));
    let mut writer = Writer::new(ZERO_UNIX_MS);
    let mut file = Vec::new();
    let mut headers = Vec::new();
    for output in &outputs {
        write_on(&mut writer, &mut file, std::slice::from_ref(output));
        if file.len() >= HEADER_BYTES && headers.last() != Some(&file[..HEADER_BYTES].to_vec()) {
            headers.push(file[..HEADER_BYTES].to_vec());
        }
    }
    let tracks = |header: &Vec<u8>| header.windows(4).filter(|word| word == b"trak").count();
    assert_eq!(headers.iter().map(tracks).collect::<Vec<_>>(), [1, 2]);
    let scan = scan(&file[..]);
    assert_eq!(
        scan.marks
            .iter()
            .map(|mark| mark.has_video)
            .collect::<Vec<_>>(),
        [false, true]
    );
    assert!(scan.has_video());
    let playlist = vod_playlist(&scan, "program.mp4").expect("it plays");
    assert_eq!(
        playlist.matches("#EXT-X-MAP").count(),
        1,
        "what had no picture is not in it: {playlist}"
    );
}

#[test]
fn a_recording_of_sound_alone_plays() {
    let file = write(&mut Writer::new(ZERO_UNIX_MS), &pack(&sound(0.0, 7.0)));
    let playlist = vod_playlist(&scan(&file[..]), "program.mp4").expect("it plays");
    assert!(
        (3..=5).contains(&playlist.matches("#EXTINF").count()),
        "{playlist}"
    );
}

#[test]
fn byte_ranges_of_the_playlist_are_whole_fragments() {
    let file = write(&mut Writer::new(ZERO_UNIX_MS), &pack(&three_shots()));
    let scan = scan(&file[..]);
    let playlist = vod_playlist(&scan, "program.mp4").expect("it plays");
    let mut covered = 0;
    for line in playlist.lines() {
        assert_ne!(line, "#EXT-X-DISCONTINUITY", "times go on through a cut");
        if let Some(range) = line.strip_prefix("#EXT-X-BYTERANGE:") {
            let (length, offset) = range.split_once('@').expect("an offset is always given");
            let (length, offset): (usize, usize) = (
                length.parse().expect("bytes"),
                offset.parse().expect("bytes"),
            );
            assert_eq!(&file[offset + 4..offset + 8], b"moof");
            covered += scan
                .fragments
                .iter()
                .filter(|fragment| (offset..offset + length).contains(&(fragment.offset as usize)))
                .count();
        }
        if let Some(range) = line
            .split_once("BYTERANGE=\"")
            .map(|(_, rest)| rest.trim_end_matches('"'))
        {
            let (_, offset) = range.split_once('@').expect("an offset is always given");
            let offset: usize = offset.parse().expect("bytes");
            assert_eq!(&file[offset + 4..offset + 8], b"ftyp");
        }
    }
    assert_eq!(
        covered,
        scan.fragments.len(),
        "every fragment is in one segment"
    );
}

#[test]
fn nothing_and_nonsense_have_no_playlist() {
    for bytes in [
        &[][..],
        &[0; 40],
        b"\0\0\0\x08moov",
        b"\0\0\0\x10moof\0\0\0\x08mfhd",
    ] {
        let scan = scan(bytes);
        assert_eq!(vod_playlist(&scan, "program.mp4"), None);
        assert!(scan.good_bytes <= bytes.len() as u64);
    }
}

proptest! {
    #[test]
    fn a_changed_byte_is_survived(at in 0usize..60_000, value in any::<u8>()) {
        let mut file = write(&mut Writer::new(ZERO_UNIX_MS), &pack(&plain(1.0)));
        let at = at % file.len();
        file[at] = value;
        let scan = scan(&file[..]);
        prop_assert!(scan.good_bytes <= file.len() as u64);
        vod_playlist(&scan, "program.mp4");
    }
}

#[test]
fn what_is_cut_for_a_file_comes_in_short_parts_and_sends_nothing_twice() {
    let samples = three_shots();
    let mut packager = Packager::new(PackagerConfig::recording(&SPECIFIC_CONFIG[..]));
    let mut outputs = pack_on(&mut packager, &samples);
    packager.end();
    outputs.extend(std::iter::from_fn(|| packager.poll()));
    for rendition in Rendition::BOTH {
        let parts = parts(&outputs, rendition);
        assert!(
            parts
                .iter()
                .all(|part| part.duration.to_duration() <= Duration::from_millis(107)),
            "{rendition:?}"
        );
        for (before, after) in parts.iter().zip(&parts[1..]) {
            assert_eq!(before.time.ticks + before.duration.ticks, after.time.ticks);
        }
    }
    let pictures = samples
        .iter()
        .filter(|sample| sample.kind == MediaKind::Video)
        .count();
    let frames: u32 = parts(&outputs, Rendition::Video)
        .iter()
        .map(|part| part.frames)
        .sum();
    assert_eq!(frames as usize, pictures);
    assert_eq!(packager.counters().groups_repeated, 0);
    let file = write(&mut Writer::new(ZERO_UNIX_MS), &outputs);
    let scan = scan(&file[..]);
    assert_eq!(scan.good_bytes, file.len() as u64);
    assert_eq!((scan.marks.len(), scan.gaps()), (3, 0));
}

#[test]
fn no_picture_is_held_in_a_file_where_the_source_goes_on() {
    for fps in [15.0, 24.0, 25.0, 30.0, 50.0, 60.0] {
        let samples = together(&[
            shot(CAMERA, 0.0, fps, (fps * 6.0) as usize),
            sound(0.0, 6.0),
        ]);
        let mut packager = Packager::new(PackagerConfig::recording(&SPECIFIC_CONFIG[..]));
        pack_on(&mut packager, &samples);
        assert_eq!(packager.counters().pictures_held, 0, "{fps} a second");
    }
}

/// Whatever is cut away, what is left lacks a part at most of what had come.
#[test]
fn a_kill_costs_a_file_a_part_and_a_frame_at_most() {
    let samples = three_shots();
    let mut packager = Packager::new(PackagerConfig::recording(&SPECIFIC_CONFIG[..]));
    let mut writer = Writer::new(ZERO_UNIX_MS);
    let (mut file, mut newest) = (Vec::new(), [None::<f64>; 2]);
    let mut worst = [0.0f64; 2];
    for sample in &samples {
        let outputs = pack_on(&mut packager, std::slice::from_ref(sample));
        for output in outputs {
            writer.push(&output);
            while let Some(chunk) = writer.poll() {
                if chunk.place == Place::Append {
                    file.extend_from_slice(&chunk.bytes);
                }
            }
            if let Output::Part(part) = &output {
                let end = part.time.seconds() + part.duration.seconds();
                newest[usize::from(part.rendition == Rendition::Audio)] = Some(end);
            }
        }
        let kind = usize::from(sample.kind == MediaKind::Audio);
        if let Some(end) = newest[kind] {
            worst[kind] = worst[kind].max(sample.time.seconds() - end);
        }
    }
    assert!(worst[0] > 0.0 && worst[0] <= 0.107 + 0.034, "{worst:?}");
    assert!(worst[1] > 0.0 && worst[1] <= 0.107 + 0.022, "{worst:?}");
}
