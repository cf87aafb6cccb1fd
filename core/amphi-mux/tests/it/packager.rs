use std::collections::BTreeMap;

use amphi_media::{MediaKind, MediaTime, Sample};
use amphi_mux::{Output, Packager, Part, Rendition};
use bytes::Bytes;
use mp4_atom::{Atom, Decode};
use proptest::prelude::*;

use crate::program::*;

const PART_TARGET_S: f64 = 0.334;
const SEGMENT_MAX_S: f64 = 4.0;

fn seconds(time: MediaTime) -> f64 {
    time.seconds()
}

/// What is true of every rendition of every program.
fn check_rendition(parts: &[Part], holes: bool) {
    let rendition = parts[0].rendition;
    let mut segment: f64 = 0.0;
    for (before, part) in parts.iter().zip(&parts[1..]) {
        assert!(
            part.time.ticks >= end(before),
            "decoding times never go back: {before:?} {part:?}"
        );
        if !holes {
            assert_eq!(
                part.time.ticks,
                end(before),
                "decoding times go on without a hole"
            );
        }
        if before.ends_segment {
            assert_eq!((part.sequence, part.index), (before.sequence + 1, 0));
        } else {
            assert_eq!(
                (part.sequence, part.index),
                (before.sequence, before.index + 1)
            );
            assert_eq!(part.generation, before.generation);
        }
        assert_eq!(part.discontinuity, part.generation != before.generation);
    }
    let last = parts.len() - 1;
    for (number, part) in parts.iter().enumerate() {
        let length = seconds(part.duration);
        if !holes && number < last {
            assert!(
                length >= 0.2199,
                "hls.js does not ask for a part of {length} s"
            );
        }
        assert!(length <= PART_TARGET_S + 1e-9, "a part of {length} s");
        if !part.ends_segment && !holes {
            assert!(
                length >= PART_TARGET_S * 0.85,
                "a part of {length} s in mid-segment"
            );
        }
        segment += length;
        if part.ends_segment {
            let most = if rendition == Rendition::Audio {
                SEGMENT_MAX_S + 0.3
            } else {
                SEGMENT_MAX_S + 1e-9
            };
            assert!(segment <= most, "a {rendition:?} segment of {segment} s");
            segment = 0.0;
        }
        check_boxes(part);
    }
    assert!(
        parts.last().is_some_and(|part| part.ends_segment),
        "the last part ends its segment"
    );
}

/// What a part says of itself is what its boxes say.
fn check_boxes(part: &Part) {
    let mut bytes = part.bytes.as_ref();
    let moof = mp4_atom::Moof::decode(&mut bytes).expect("a part begins with a moof");
    let mdat = mp4_atom::Mdat::decode(&mut bytes).expect("and goes on with an mdat");
    assert!(bytes.is_empty());
    let [traf] = &moof.traf[..] else {
        panic!("one track to a part")
    };
    assert!(traf.tfhd.default_base_is_moof);
    let time = traf
        .tfdt
        .as_ref()
        .expect("CMAF demands it")
        .base_media_decode_time;
    assert_eq!(i64::try_from(time), Ok(part.time.ticks));
    let samples: Vec<_> = traf.trun[0].samples.iter().collect();
    let duration: u32 = samples.iter().filter_map(|sample| sample.duration).sum();
    assert_eq!(i64::from(duration), part.duration.ticks);
    let sizes: u32 = samples.iter().filter_map(|sample| sample.size).sum();
    assert_eq!(sizes as usize, mdat.data.len());
    let offset = traf.trun[0].data_offset.expect("samples are in this part");
    assert_eq!(
        usize::try_from(offset),
        Ok(part.bytes.len() - mdat.data.len())
    );
    let first = samples
        .first()
        .and_then(|sample| sample.flags)
        .expect("flags are written");
    assert_eq!(part.independent, first & 0x0001_0000 == 0);
    if part.rendition == Rendition::Video {
        let mut rest = &mdat.data[..];
        while !rest.is_empty() {
            let length = u32::from_be_bytes(rest[..4].try_into().expect("four bytes")) as usize;
            assert!(
                [1, 5, 6, 7, 8].contains(&(rest[4] & 0x1f)),
                "no delimiter and no filler"
            );
            rest = &rest[4 + length..];
        }
    }
}

/// Segments begin at the same time in both renditions, give or take a last part, with the same numbers.
fn check_alignment(video: &[Part], audio: &[Part]) {
    let starts = |parts: &[Part]| -> BTreeMap<u64, (f64, u32)> {
        parts
            .iter()
            .filter(|part| part.index == 0)
            .map(|part| (part.sequence, (seconds(part.time), part.generation)))
            .collect()
    };
    let sound_end = audio.last().map_or(0, end) as f64 / 48_000.0;
    let audio = starts(audio);
    for (sequence, (start, generation)) in starts(video)
        .into_iter()
        .filter(|(_, (start, _))| start + 0.3 < sound_end)
    {
        let (sound_start, sound_generation) = audio[&sequence];
        assert!(
            (-1e-4..0.3).contains(&(sound_start - start)),
            "segment {sequence} begins at {start} and {sound_start}"
        );
        assert_eq!(sound_generation, generation, "segment {sequence}");
    }
}

fn check(outputs: &[Output]) {
    let (video, audio) = (
        parts(outputs, Rendition::Video),
        parts(outputs, Rendition::Audio),
    );
    check_rendition(&video, false);
    check_rendition(&audio, false);
    check_alignment(&video, &audio);
    assert_eq!(
        outputs
            .iter()
            .filter(|output| **output == Output::End)
            .count(),
        1
    );
    assert_eq!(outputs.last(), Some(&Output::End));
}

fn segment_starts(parts: &[Part]) -> Vec<f64> {
    parts
        .iter()
        .filter(|part| part.index == 0)
        .map(|part| seconds(part.time))
        .collect()
}

#[test]
fn a_camera_at_30_gives_parts_of_ten_frames_and_segments_at_its_key_frames() {
    let outputs = pack(&plain(6.0));
    check(&outputs);
    let video = parts(&outputs, Rendition::Video);
    assert_eq!(
        segment_starts(&video),
        [0.0, 2.0, 4.0],
        "the fixture's second round has a key frame at 5.0, which is too soon"
    );
    assert!(
        video
            .iter()
            .all(|part| seconds(part.time) > 5.5 || part.frames == 10)
    );
    assert_eq!(video.iter().map(|part| part.frames).sum::<u32>(), 180);
    assert!(
        video
            .iter()
            .filter(|part| part.index == 0)
            .all(|part| part.independent)
    );
    assert!(
        parts(&outputs, Rendition::Audio)
            .iter()
            .all(|part| part.independent)
    );
}

#[test]
fn an_initialization_section_says_what_the_source_says() {
    let outputs = pack(&plain(1.0));
    let inits: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Init(init) => Some((
                init.rendition,
                init.codecs.as_str(),
                init.size.map(|size| (size.width, size.height)),
            )),
            Output::Part(_) | Output::Left(_) | Output::End => None,
        })
        .collect();
    let video = (Rendition::Video, "avc1.42c00d", Some((320, 180)));
    assert_eq!(inits, [(Rendition::Audio, "mp4a.40.2", None), video]);
}

#[test]
fn a_picture_a_second_still_fills_three_parts_a_second() {
    let screen = shot(SCREEN, 0.0, 1.0, 9);
    let samples = together(&[screen, sound(0.0, 9.0)]);
    let mut packager = Packager::new(config());
    let mut newest_part_s = 0.0;
    for sample in &samples {
        packager.push(sample);
        for output in std::iter::from_fn(|| packager.poll()) {
            match output {
                Output::Part(part) if part.rendition == Rendition::Video => {
                    newest_part_s = end(&part) as f64 / 90_000.0
                }
                Output::Part(_) | Output::Init(_) | Output::Left(_) | Output::End => {}
            }
        }
        if sample.kind == MediaKind::Audio {
            let late = sample.time.seconds() - newest_part_s;
            assert!(
                late < PART_TARGET_S + 0.1,
                "the picture is {late} s behind the sound"
            );
        }
    }
    assert!(packager.counters().pictures_held > 15);
    assert_eq!(packager.counters().pictures_late, 0);
    check(&pack(&samples));
}

#[test]
fn a_source_that_falls_silent_is_held_and_goes_on_where_it_comes_back() {
    let before = shot(CAMERA, 0.0, 30.0, 45);
    let mut after = shot(CAMERA, 9.0, 30.0, 60);
    after.drain(..15);
    // It goes on in mid-group, as a source does that was merely paused.
    let pictures = pictures(CAMERA);
    for (sample, picture) in after.iter_mut().zip(&pictures[45..]) {
        *sample = video(sample.time.seconds(), picture.clone());
    }
    let outputs = pack(&together(&[before, after, sound(0.0, 11.0)]));
    check(&outputs);
    let video = parts(&outputs, Rendition::Video);
    assert!(
        video.iter().any(|part| part.frames == 0),
        "parts of nothing but the held picture"
    );
    assert_eq!(video.iter().map(|part| part.frames).sum::<u32>(), 90);
}

#[test]
fn a_part_is_out_one_frame_after_its_last() {
    let samples = plain(3.0);
    let mut packager = Packager::new(config());
    for sample in &samples {
        packager.push(sample);
        for output in std::iter::from_fn(|| packager.poll()) {
            if let Output::Part(part) = output
                && part.rendition == Rendition::Video
            {
                assert_eq!(
                    end(&part),
                    sample.time.ticks,
                    "it ends where the frame begins that closed it"
                );
            }
        }
    }
}

#[test]
fn a_cut_begins_a_generation_in_both_renditions_and_time_goes_on() {
    let shots = [
        shot(CAMERA, 0.0, 30.0, 100),
        cut(shot(SCREEN, 3.35, 30.0, 60)),
        cut(shot(CAMERA, 5.4, 30.0, 30)),
    ];
    let [a, b, c] = shots;
    let outputs = pack(&together(&[a, b, c, sound(0.0, 6.4)]));
    check(&outputs);
    let video = parts(&outputs, Rendition::Video);
    let cuts: Vec<_> = video
        .iter()
        .filter(|part| part.discontinuity)
        .map(|part| (part.generation, seconds(part.time)))
        .collect();
    let due = [(1, 3.35), (2, 5.4)];
    assert_eq!(cuts.len(), due.len());
    for ((generation, time), (due_generation, due_time)) in cuts.into_iter().zip(due) {
        assert_eq!(generation, due_generation);
        assert!(
            (0.0..0.22).contains(&(time - due_time)),
            "at {time}, or so much later that no part is too short"
        );
    }
    let mut known = BTreeMap::new();
    for output in &outputs {
        match output {
            Output::Init(init) => known.entry((init.rendition, init.generation)).or_insert(0),
            Output::Part(part) => known
                .get_mut(&(part.rendition, part.generation))
                .expect("its init came before"),
            Output::Left(_) | Output::End => continue,
        };
    }
    assert_eq!(known.len(), 6, "three generations of two renditions");
}

#[test]
fn other_parameter_sets_are_a_cut_though_nobody_said_so() {
    let outputs = pack(&together(&[
        shot(CAMERA, 0.0, 30.0, 60),
        shot(SCREEN, 2.0, 30.0, 60),
        sound(0.0, 4.0),
    ]));
    check(&outputs);
    assert_eq!(
        parts(&outputs, Rendition::Video)
            .last()
            .map(|part| part.generation),
        Some(1)
    );
}

/// A publisher that shows another size with every picture for ten seconds, and then one and the same.
#[test]
fn a_size_that_changes_with_every_picture_is_shown_in_time_as_often_as_parts_allow() {
    let keys = [CAMERA, SCREEN].map(|stream| pictures(stream)[0].clone());
    let restless =
        (0..300).map(|index| video(f64::from(index) / 30.0, keys[index as usize % 2].clone()));
    let samples = together(&[
        restless.collect(),
        shot(CAMERA, 10.0, 30.0, 120),
        sound(0.0, 14.0),
    ]);
    let mut packager = Packager::new(config());
    for sample in &samples {
        packager.push(sample);
        for output in std::iter::from_fn(|| packager.poll()) {
            if let Output::Part(part) = output
                && part.rendition == Rendition::Video
            {
                let ahead = end(&part) as f64 / 90_000.0 - sample.time.seconds();
                assert!(ahead < 0.5, "{ahead} s ahead of what came");
            }
        }
    }
    let counters = packager.counters();
    assert!((30..=45).contains(&counters.cuts), "{counters:?}");
    assert!(counters.cuts_dropped > 200, "{counters:?}");
    assert!(counters.pictures_late <= counters.cuts, "{counters:?}");
    let outputs = pack(&samples);
    check(&outputs);
    // From its next key frame on, two seconds later.
    let after = parts(&outputs, Rendition::Video);
    let after = after.iter().filter(|part| seconds(part.time) > 12.0);
    let moves: u32 = after.map(|part| part.frames).sum();
    assert!((50..=60).contains(&moves), "{moves}");
}

#[test]
fn a_cut_without_a_key_frame_holds_the_old_picture_until_there_is_one() {
    let mut late = cut(shot(SCREEN, 2.0, 30.0, 90));
    late.remove(0);
    late[0].cut = true;
    let samples = together(&[shot(CAMERA, 0.0, 30.0, 60), late, sound(0.0, 5.0)]);
    let mut packager = Packager::new(config());
    pack_on(&mut packager, &samples);
    assert_eq!(packager.counters().pictures_without_key, 59);
    let outputs = pack(&samples);
    check(&outputs);
    let generations: Vec<_> = parts(&outputs, Rendition::Video)
        .iter()
        .filter(|part| part.discontinuity)
        .map(|part| seconds(part.time))
        .collect();
    assert!(
        matches!(generations[..], [time] if (4.0..4.22).contains(&time)),
        "the second key frame of the fixture: {generations:?}"
    );
}

#[test]
fn a_segment_ends_at_the_target_duration_and_the_next_key_frame_begins_another_at_once() {
    let pictures = pictures(CAMERA);
    // One group of pictures, then the rest of it again and again: no decoder would like it, but no key frame comes.
    let mut camera = Vec::new();
    for index in 0..150 {
        camera.push(video(
            f64::from(index) / 30.0,
            pictures[if index == 0 {
                0
            } else {
                1 + index as usize % 50
            }]
            .clone(),
        ));
    }
    camera.extend(shot(CAMERA, 5.0, 30.0, 40));
    let outputs = pack(&together(&[camera, sound(0.0, 6.3)]));
    check(&outputs);
    let video = parts(&outputs, Rendition::Video);
    let starts: Vec<_> = video
        .iter()
        .filter(|part| part.index == 0)
        .map(|part| (seconds(part.time), part.independent))
        .collect();
    assert_eq!(starts[0], (0.0, true));
    assert!((3.6..=4.0).contains(&starts[1].0) && !starts[1].1);
    assert_eq!(starts[2], (5.0, true));
}

/// Key frames every `interval` pictures, at 30 a second.
fn keyed(interval: usize, count: usize) -> Vec<Sample> {
    let pictures = pictures(CAMERA);
    (0..count)
        .map(|index| {
            let picture = if index % interval == 0 {
                0
            } else {
                1 + index % 50
            };
            video(index as f64 / 30.0, pictures[picture].clone())
        })
        .collect()
}

#[test]
fn parts_are_laid_out_for_the_next_key_frame_where_it_comes_regularly() {
    for interval in [50, 57, 60, 61, 62, 63, 64, 66, 70, 75] {
        let mut packager = Packager::new(config());
        let outputs = pack_on(
            &mut packager,
            &together(&[keyed(interval, 900), sound(0.0, 30.0)]),
        );
        let repeated = packager.counters().groups_repeated;
        assert!(
            repeated <= 3,
            "every {interval}: {repeated} of 13 segments begin with a key frame sent twice"
        );
        let starts: Vec<_> = parts(&outputs, Rendition::Video)
            .into_iter()
            .filter(|part| part.index == 0)
            .collect();
        assert!(
            starts.iter().all(|part| part.independent),
            "every {interval}"
        );
        check(&pack(&together(&[keyed(interval, 900), sound(0.0, 30.0)])));
    }
}

#[test]
fn a_segment_of_a_slow_source_begins_with_all_that_somebody_who_comes_now_needs() {
    let samples = together(&[shot(SCREEN, 0.0, 1.0, 20), sound(0.0, 20.0)]);
    let mut packager = Packager::new(config());
    let outputs = pack_on(&mut packager, &samples);
    assert_eq!(
        packager.counters().groups_repeated,
        4,
        "one key frame, five segments"
    );
    check(&pack(&samples));
    let starts: Vec<_> = parts(&outputs, Rendition::Video)
        .into_iter()
        .filter(|part| part.index == 0)
        .collect();
    assert!(starts.len() >= 5 && starts.iter().all(|part| part.independent));
}

#[test]
fn without_a_picture_sound_is_a_program_of_two_second_segments() {
    let outputs = pack(&sound(0.0, 7.0));
    let audio = parts(&outputs, Rendition::Audio);
    check_rendition(&audio, false);
    let starts = segment_starts(&audio);
    assert_eq!(starts.len(), 4);
    assert!(
        starts
            .iter()
            .zip([0.0, 2.0, 4.0, 6.0])
            .all(|(start, due)| (start - due).abs() < 0.25),
        "{starts:?}"
    );
}

#[test]
fn a_picture_that_comes_later_begins_a_generation_with_the_number_that_sound_is_at() {
    let outputs = pack(&together(&[shot(CAMERA, 5.1, 30.0, 90), sound(0.0, 8.1)]));
    let (video, audio) = (
        parts(&outputs, Rendition::Video),
        parts(&outputs, Rendition::Audio),
    );
    check_rendition(&video, false);
    check_rendition(&audio, false);
    check_alignment(&video, &audio);
    assert_eq!((video[0].sequence, video[0].generation), (3, 1));
}

#[test]
fn sound_before_the_first_picture_is_left_out_and_counted() {
    let mut packager = Packager::new(config());
    let outputs = pack_on(
        &mut packager,
        &together(&[shot(CAMERA, 1.5, 30.0, 60), sound(0.0, 3.5)]),
    );
    let (video, audio) = (
        parts(&outputs, Rendition::Video),
        parts(&outputs, Rendition::Audio),
    );
    assert!((seconds(video[0].time) - 1.5).abs() < 1e-9);
    assert!((seconds(audio[0].time) - 1.5).abs() < 0.022);
    assert_eq!(packager.counters().sound_dropped, 71);
    assert_eq!(packager.counters().sound_holes, 0);
}

#[test]
fn a_late_picture_is_shown_late_and_counted() {
    let mut samples = plain(4.0);
    // The picture falls two seconds behind sound in mid-program, then all of it comes at once.
    let (mut held, mut now): (Vec<Sample>, Vec<Sample>) = samples
        .drain(..)
        .partition(|sample| sample.kind == MediaKind::Video && sample.time.seconds() > 1.5);
    now.append(&mut held);
    let mut packager = Packager::new(config());
    pack_on(&mut packager, &now);
    assert!(packager.counters().pictures_late > 0);
    let frames: u32 = parts(&pack(&now), Rendition::Video)
        .iter()
        .map(|part| part.frames)
        .sum();
    assert_eq!(
        frames, 120,
        "none is lost, since others are predicted from it"
    );
    check(&pack(&now));
}

#[test]
fn a_break_in_time_without_sound_begins_a_generation() {
    let mut samples = shot(CAMERA, 0.0, 30.0, 60);
    samples.extend(shot(CAMERA, 3600.0, 30.0, 60));
    let mut packager = Packager::new(config());
    let outputs = pack_on(&mut packager, &samples);
    assert_eq!(packager.counters().jumps, 1);
    assert!(
        packager.counters().pictures_held < 40,
        "an hour is not filled with held pictures"
    );
    check_rendition_but_last(&parts(&outputs, Rendition::Video));
}

fn check_rendition_but_last(parts: &[Part]) {
    let mut parts = parts.to_vec();
    parts.last_mut().expect("there are parts").ends_segment = true;
    check_rendition(&parts, true);
}

#[test]
fn missing_sound_is_a_hole_and_doubled_sound_is_dropped() {
    let mut tone = sound(0.0, 4.0);
    tone.drain(30..40);
    let again = tone[20].clone();
    tone.insert(21, again);
    let mut packager = Packager::new(config());
    let outputs = pack_on(&mut packager, &tone);
    assert_eq!(
        (
            packager.counters().sound_holes,
            packager.counters().sound_dropped
        ),
        (1, 1)
    );
    check_rendition_but_last(&parts(&outputs, Rendition::Audio));
}

#[test]
fn what_is_no_h264_is_counted_and_the_rest_goes_on() {
    let broken: [&[u8]; 6] = [
        &[],
        &[0, 0, 1],
        &[0, 0, 0, 1, 0x65],
        &[
            0, 0, 0, 1, 0x67, 0x42, 0, 0, 0, 1, 0x68, 0xce, 0, 0, 0, 1, 0x65, 0x88,
        ],
        &[0xff; 64],
        &[0, 0, 1, 0x41, 0x9a],
    ];
    for bytes in broken {
        let mut samples = shot(CAMERA, 0.0, 30.0, 150);
        samples[70].data = Bytes::copy_from_slice(bytes);
        let mut packager = Packager::new(config());
        let outputs = pack_on(&mut packager, &samples);
        let counters = packager.counters();
        assert!(
            counters.pictures_refused + counters.pictures_without_key > 0,
            "{bytes:?}"
        );
        assert!(
            parts(&outputs, Rendition::Video)
                .last()
                .is_some_and(|part| part.sequence == 2),
            "{bytes:?}"
        );
    }
}

#[test]
fn an_oversize_sample_is_refused() {
    let mut packager = Packager::new(config());
    let mut samples = shot(CAMERA, 0.0, 30.0, 3);
    samples[1].data = Bytes::from(vec![0; 8 * 1024 * 1024 + 1]);
    pack_on(&mut packager, &samples);
    assert_eq!(packager.counters().pictures_refused, 1);
    assert_eq!(
        packager.counters().pictures_without_key,
        1,
        "the next picture may need it"
    );
}

#[test]
fn what_comes_after_the_end_is_counted() {
    let mut packager = Packager::new(config());
    pack_on(&mut packager, &plain(1.0));
    packager.end();
    packager.end();
    assert_eq!(
        std::iter::from_fn(|| packager.poll())
            .filter(|output| *output == Output::End)
            .count(),
        1
    );
    packager.push(&sound(1.0, 1.1)[0]);
    assert_eq!(packager.poll(), None);
    assert_eq!(packager.counters().sound_dropped, 1);
}

#[test]
fn a_program_of_nothing_ends() {
    let mut packager = Packager::new(config());
    packager.end();
    assert_eq!(packager.poll(), Some(Output::End));
    assert_eq!(packager.poll(), None);
}

#[test]
fn a_recorder_that_comes_later_is_told_what_is_in_force() {
    let mut packager = Packager::new(config());
    assert!(packager.inits().is_empty());
    let outputs = pack_on(
        &mut packager,
        &together(&[
            shot(CAMERA, 0.0, 30.0, 60),
            cut(shot(SCREEN, 2.0, 30.0, 30)),
            sound(0.0, 3.0),
        ]),
    );
    let newest = |rendition| {
        outputs.iter().rev().find_map(|output| match output {
            Output::Init(init) if init.rendition == rendition => Some(init.clone()),
            Output::Init(_) | Output::Part(_) | Output::Left(_) | Output::End => None,
        })
    };
    assert_eq!(
        packager.inits(),
        [
            newest(Rendition::Video).expect("a picture"),
            newest(Rendition::Audio).expect("sound")
        ]
    );
}

#[test]
fn boxes_have_the_names_that_cmaf_demands() {
    let outputs = pack(&plain(0.5));
    let Some(Output::Init(init)) = outputs
        .iter()
        .find(|output| matches!(output, Output::Init(init) if init.size.is_some()))
    else {
        panic!("a picture has an init")
    };
    let mut bytes = init.bytes.as_ref();
    let ftyp = mp4_atom::Ftyp::decode(&mut bytes).expect("ftyp");
    assert!(ftyp.compatible_brands.contains(&b"cmfc".into()));
    let moov = mp4_atom::Moov::decode(&mut bytes).expect("moov");
    assert!(bytes.is_empty());
    let mp4_atom::Codec::Avc1(avc1) = &moov.trak[0].mdia.minf.stbl.stsd.codecs[0] else {
        panic!("never avc3")
    };
    assert_eq!(
        avc1.pasp,
        Some(mp4_atom::Pasp {
            h_spacing: 1,
            v_spacing: 1
        })
    );
    assert_eq!(avc1.avcc.length_size, 4);
    assert_eq!(moov.trak[0].mdia.mdhd.timescale, 90_000);
    assert_eq!(mp4_atom::Moov::KIND, b"moov".into());
}

#[test]
fn sound_from_before_the_programme_is_left_out() {
    let mut packager = Packager::new(config());
    let sound = |ticks| Sample {
        kind: MediaKind::Audio,
        rung: 0,
        time: MediaTime::new(ticks, 48_000),
        key: true,
        cut: false,
        data: vec![1; 8].into(),
    };
    packager.push(&sound(-1_000));
    packager.end();
    assert_eq!(packager.poll(), Some(Output::End));
    assert_eq!(packager.poll(), None);
    assert_eq!(packager.counters().sound_dropped, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever a source's frame rate, jitter, pauses and cuts are: parts are legal, time goes on, both renditions agree.
    #[test]
    fn any_program_makes_legal_parts(
        shots in prop::collection::vec((1usize..80, 1u32..700, any::<bool>(), 0u32..30), 1..6),
        delay_ms in -200i32..600,
    ) {
        let streams = [CAMERA, SCREEN];
        let pictures = streams.map(pictures);
        let mut at_ms = 40.0;
        let mut samples = Vec::new();
        for (index, (count, step_ms, screen, jitter_ms)) in shots.iter().enumerate() {
            let pictures = &pictures[usize::from(*screen)];
            for number in 0..*count {
                let jitter = f64::from((number as u32 * 7919) % (jitter_ms + 1));
                let mut sample = video((at_ms + jitter) / 1000.0, pictures[number % pictures.len()].clone());
                sample.cut = index > 0 && number == 0;
                samples.push(sample);
                at_ms += f64::from(*step_ms);
            }
        }
        samples.extend(sound(0.0, at_ms / 1000.0));
        let arrival = |sample: &Sample| match sample.kind {
            MediaKind::Audio => sample.time.micros() + i64::from(delay_ms) * 1000,
            MediaKind::Video => sample.time.micros(),
        };
        let mut order: Vec<Sample> = samples;
        order.sort_by_key(arrival);
        let outputs = pack(&order);
        let (video, audio) = (parts(&outputs, Rendition::Video), parts(&outputs, Rendition::Audio));
        if !video.is_empty() {
            check_rendition(&video, false);
        }
        if !audio.is_empty() {
            check_rendition(&audio, false);
            check_alignment(&video, &audio);
        }
    }

    #[test]
    fn any_bytes_are_survived(pieces in prop::collection::vec((any::<bool>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..80), 0i64..900_000), 0..40)) {
        let mut packager = Packager::new(config());
        for (audio, cut, bytes, ticks) in pieces {
            let (kind, rate) = if audio { (MediaKind::Audio, 48_000) } else { (MediaKind::Video, 90_000) };
            let mut data = vec![0, 0, 0, 1];
            data.extend(bytes);
            packager.push(&Sample { kind, rung: 0, time: MediaTime::new(ticks - 1000, rate), key: true, cut, data: data.into() });
        }
        packager.end();
        while packager.poll().is_some() {}
    }
}
