//! Programs whose picture is there more than once, each time smaller.

use std::collections::BTreeMap;

use amphi_media::{MediaKind, Sample};
use amphi_mux::{Found, Output, Packager, Part, Presence, RUNGS_MAX, Rendition, Variants, Window};

use crate::conform::{Ends, conforms, conforms_in};
use crate::dvr::{Disk, long_window};
use crate::program::*;
use crate::window::{EPOCH, filled, text, window};

/// From the top down: 640x360, 320x180 and 160x90.
const RUNGS: [&[u8]; 3] = [SCREEN, CAMERA, CABAC];
const LOWER: [Rendition; 2] = [Rendition::Lower { rung: 1 }, Rendition::Lower { rung: 2 }];

/// Pictures from `start` on, in each rung, with a key frame every two seconds in all of them.
pub fn rungs(start: f64, fps: f64, count: usize) -> Vec<Vec<Sample>> {
    rungs_of(RUNGS, start, fps, count)
}

fn rungs_of(streams: [&[u8]; 3], start: f64, fps: f64, count: usize) -> Vec<Vec<Sample>> {
    let rung = |(stream, rung): (&&[u8], u8)| {
        let pictures = pictures(stream);
        let picture = |index: usize| {
            // The fixtures are of several lengths; what comes after a key frame need not be decoded here.
            let place = match index % 60 {
                0 => 0,
                other => 1 + (other - 1) % 19,
            };
            let mut sample = video(start + index as f64 / fps, pictures[place].clone());
            sample.rung = rung;
            sample
        };
        (0..count).map(picture).collect()
    };
    streams.iter().zip(0..).map(rung).collect()
}

pub fn ladder(seconds: f64) -> Vec<Sample> {
    let mut all = rungs(0.0, 30.0, (seconds * 30.0) as usize);
    all.push(sound(0.0, seconds));
    together(&all)
}

/// All that a part says of when it is and which one it is.
fn place(part: &Part) -> (u64, u32, i64, i64, u32, bool, bool) {
    (
        part.sequence,
        part.index,
        part.time.ticks,
        part.duration.ticks,
        part.generation,
        part.discontinuity,
        part.ends_segment,
    )
}

/// Each lower rung has the parts that the top one has, while it is there.
#[track_caller]
fn check(outputs: &[Output]) {
    let top: BTreeMap<(u64, u32), Part> = parts(outputs, Rendition::Video)
        .into_iter()
        .map(|part| ((part.sequence, part.index), part))
        .collect();
    for rendition in LOWER {
        let mut before: Option<(u64, u32)> = None;
        let mut inits = Vec::new();
        for output in outputs {
            match output {
                Output::Init(init) if init.rendition == rendition => inits.push(init.generation),
                Output::Left(left) if *left == rendition => before = None,
                Output::Part(part) if part.rendition == rendition => {
                    let number = (part.sequence, part.index);
                    let twin = &top[&number];
                    assert_eq!(place(part), place(twin), "{rendition:?}");
                    assert!(inits.contains(&part.generation), "its init came before");
                    match before {
                        None => assert_eq!(part.index, 0, "it begins with a segment"),
                        Some(before) => {
                            let next = top.range(before..).nth(1).map(|(number, _)| *number);
                            assert_eq!(next, Some(number), "{rendition:?} has no hole");
                        }
                    }
                    before = Some(number);
                }
                Output::Init(_) | Output::Part(_) | Output::Left(_) | Output::End => {}
            }
        }
    }
    assert_eq!(outputs.last(), Some(&Output::End));
}

fn frames(outputs: &[Output], rendition: Rendition) -> u32 {
    parts(outputs, rendition)
        .iter()
        .map(|part| part.frames)
        .sum()
}

#[test]
fn every_rung_has_the_same_parts_and_all_of_its_pictures() {
    let outputs = pack(&ladder(9.3));
    check(&outputs);
    let top = parts(&outputs, Rendition::Video);
    for rendition in LOWER {
        let lower = parts(&outputs, rendition);
        assert_eq!(lower.len(), top.len());
        assert_eq!(frames(&outputs, rendition), 279);
        let whole = |part: &&Part| part.index == 0;
        assert!(lower.iter().filter(whole).all(|part| part.independent));
    }
    let sizes: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Init(init) => init
                .size
                .map(|size| (init.rendition, size.width, size.height)),
            Output::Part(_) | Output::Left(_) | Output::End => None,
        })
        .collect();
    let expected = [
        (Rendition::Video, 640, 360),
        (LOWER[0], 320, 180),
        (LOWER[1], 160, 90),
    ];
    assert_eq!(sizes, expected);
}

#[test]
fn a_rung_that_lacks_pictures_shows_the_ones_before_and_the_others_go_on() {
    let mut program = ladder(9.3);
    program.retain(|sample| {
        let time = sample.time.seconds();
        sample.rung != 1 || !((2.3..3.9).contains(&time) || (6.9..7.0).contains(&time))
    });
    let outputs = pack(&program);
    check(&outputs);
    assert_eq!(
        parts(&outputs, LOWER[0]).len(),
        parts(&outputs, Rendition::Video).len()
    );
    assert_eq!(frames(&outputs, LOWER[1]), 279);
    assert_eq!(frames(&outputs, LOWER[0]), 279 - 48 - 3);
}

#[test]
fn a_top_rung_that_lacks_pictures_does_not_cost_the_lower_ones_theirs() {
    let mut program = ladder(9.3);
    program.retain(|sample| {
        let late = (2.3..3.9).contains(&sample.time.seconds());
        sample.kind == MediaKind::Audio || sample.rung != 0 || !late
    });
    let outputs = pack(&program);
    check(&outputs);
    assert_eq!(frames(&outputs, LOWER[0]), 279);
}

#[test]
fn pictures_that_come_only_when_something_changed_are_held_in_every_rung() {
    let mut program = ladder(12.0);
    // Something changes for a second, then nothing for two.
    program.retain(|sample| sample.kind == MediaKind::Audio || sample.time.seconds() % 3.0 < 1.0);
    let outputs = pack(&program);
    check(&outputs);
    for rendition in LOWER {
        let lower = parts(&outputs, rendition);
        assert_eq!(lower.len(), parts(&outputs, Rendition::Video).len());
        let starts = lower.iter().filter(|part| part.index == 0);
        let dependent = starts.filter(|part| !part.independent).count();
        assert_eq!(
            dependent, 0,
            "every segment of a slow source starts a decoder"
        );
    }
}

#[test]
fn rungs_may_come_in_any_order_and_a_little_apart() {
    let mut program = ladder(9.3);
    // The lowest first, and the middle one two pictures later than the top one.
    program.sort_by_key(|sample| {
        let delay_ms = match (sample.kind, sample.rung) {
            (MediaKind::Audio, _) => 250,
            (MediaKind::Video, 0) => 10,
            (MediaKind::Video, 1) => 76,
            (MediaKind::Video, _) => 0,
        };
        sample.time.rescale(1_000).ticks + delay_ms
    });
    let outputs = pack(&program);
    check(&outputs);
    for rendition in LOWER {
        assert_eq!(frames(&outputs, rendition), 279);
        assert_eq!(
            parts(&outputs, rendition).len(),
            parts(&outputs, Rendition::Video).len()
        );
    }
}

/// Three shots of four seconds, of which the second one has no middle rung.
fn two_then_one_then_two() -> Vec<Sample> {
    let mut all = Vec::new();
    for shot in 0..3 {
        let mut rungs = rungs(f64::from(shot) * 4.0, 30.0, 120);
        rungs[0][0].cut = shot > 0;
        if shot == 1 {
            rungs.remove(1);
        }
        all.extend(rungs);
    }
    all.push(sound(0.0, 12.0));
    together(&all)
}

#[test]
fn a_rung_without_a_key_frame_at_a_cut_leaves_and_comes_back_at_another_one() {
    let outputs = pack(&two_then_one_then_two());
    check(&outputs);
    let left: Vec<_> = outputs
        .iter()
        .filter(|output| matches!(output, Output::Left(_)))
        .collect();
    assert_eq!(left, [&Output::Left(LOWER[0])]);
    let generations = |rendition| {
        let mut all: Vec<u32> = parts(&outputs, rendition)
            .iter()
            .map(|part| part.generation)
            .collect();
        all.dedup();
        all
    };
    assert_eq!(generations(LOWER[0]), [0, 2]);
    assert_eq!(generations(LOWER[1]), [0, 1, 2]);
}

/// The initialization sections that a playlist names, in order.
fn maps(playlist: &str) -> Vec<String> {
    let uris = playlist
        .lines()
        .filter_map(|line| line.strip_prefix("#EXT-X-MAP:URI=\""));
    uris.map(|uri| uri.trim_end_matches('"').to_owned())
        .collect()
}

#[test]
fn a_rung_that_left_goes_on_with_the_top_ones_segments_until_it_comes_back() {
    let outputs = pack(&two_then_one_then_two());
    let mut window = window();
    let mut listed = Vec::new();
    let mut followed = 0;
    for output in &outputs {
        window.push(output);
        if let (Some(index), Output::Part(part)) = (window.multivariant(), output) {
            listed.push(text(Some(index)).contains("video1.m3u8"));
            let is_following = window.following() == [LOWER[0]];
            assert!(!(is_following && listed[listed.len() - 1]));
            if is_following && part.rendition == Rendition::Video {
                followed += 1;
                // Who waits for it gets it, and what was hinted at is there.
                let part = part.clone();
                let now = window.contains(LOWER[0], part.sequence, Some(part.index));
                assert_eq!(now, Presence::Ready);
                let name = format!("v{EPOCH}r1-{}.{}.m4s", part.sequence, part.index);
                assert_eq!(window.resource(&name), Found::Media(part.bytes));
            }
        }
    }
    listed.dedup();
    assert_eq!(listed, [true, false, true]);
    assert!(followed >= 9, "{followed}");
    let playlist = text(window.playlist(LOWER[0]));
    let expected = [
        format!("v{EPOCH}r1-0-init.mp4"),
        format!("v{EPOCH}-1-init.mp4"),
        format!("v{EPOCH}r1-2-init.mp4"),
    ];
    // The segment in which it comes back may be the top one's, too.
    let mut maps = maps(&playlist);
    maps.retain(|map| *map != format!("v{EPOCH}-2-init.mp4"));
    assert_eq!(maps, expected, "{playlist}");
    assert!(!playlist.contains("EXT-X-GAP"), "{playlist}");
    let top = text(window.playlist(Rendition::Video));
    let lengths = |playlist: &str| -> Vec<String> {
        let lines = playlist.lines();
        let told =
            lines.filter(|line| line.starts_with("#EXTINF") || line.ends_with("DISCONTINUITY"));
        told.map(str::to_owned).collect()
    };
    assert_eq!(
        lengths(&playlist),
        lengths(&top),
        "they show the same under the same numbers"
    );
    for name in playlist.lines().filter(|line| !line.starts_with('#')) {
        assert!(matches!(window.resource(name), Found::Media(_)), "{name}");
    }
}

#[test]
fn players_of_a_rung_that_leaves_and_comes_back_see_no_rule_broken() {
    let mut program = two_then_one_then_two();
    conforms("a rung that left at a cut", &program, Ends::WithTheProgram);
    conforms_in(
        "the same, kept elsewhere",
        long_window,
        &program,
        Ends::OffAir,
    );
    program = ladder(40.0);
    let silent = |sample: &Sample| sample.rung == 1 && (3.0..28.0).contains(&sample.time.seconds());
    program.retain(|sample| !silent(sample));
    let [low_latency, _] = conforms("a rung that fell silent", &program, Ends::WithTheProgram);
    assert!(low_latency.inits >= 4, "{low_latency:?}");
    // For good, until long after its own segments have left the window.
    let mut all = rungs(0.0, 30.0, 200);
    let mut rest = rungs(200.0 / 30.0, 30.0, 1_500);
    rest[0][0].cut = true;
    all.extend(rest.into_iter().take(1));
    all.push(sound(0.0, 1_700.0 / 30.0));
    for window in [window as fn() -> Window, long_window] {
        conforms_in(
            "both left for good",
            window,
            &together(&all),
            Ends::WithTheProgram,
        );
    }
}

#[test]
fn what_a_rung_borrows_is_kept_once() {
    let mut all = rungs(0.0, 30.0, 200);
    let mut rest = rungs(200.0 / 30.0, 30.0, 4_500);
    rest[0][0].cut = true;
    all.extend(rest.into_iter().take(1));
    all.push(sound(0.0, 4_700.0 / 30.0));
    let (mut window, mut disk) = (long_window(), Disk::default());
    for output in pack_on(&mut Packager::new(config()), &together(&all)) {
        window.push(&output);
        disk.carry_out(&mut window, true);
        let playlist = window.playlist(LOWER[1]).map(|made| text(Some(made)));
        for name in playlist.iter().flat_map(|playlist| playlist.lines()) {
            match window.resource(name) {
                _ if name.starts_with('#') => {}
                Found::Kept(kept) => assert!(disk.kept.contains_key(&kept), "{name} is {kept}"),
                Found::Media(bytes) => assert!(!bytes.is_empty()),
                found => panic!("{name} is listed and {found:?}"),
            }
        }
    }
    let playlist = text(window.playlist(LOWER[1]));
    assert_eq!(
        maps(&playlist),
        [format!("v{EPOCH}-1-init.mp4")],
        "{playlist}"
    );
    let own = |name: &&String| name.contains("r2-");
    assert_eq!(
        disk.kept.keys().filter(own).count(),
        0,
        "{:?}",
        disk.kept.keys()
    );
    assert!(!text(window.multivariant()).contains("video2.m3u8"));
}

#[test]
fn a_rung_that_comes_back_in_the_same_generation_is_what_it_was() {
    let mut program = ladder(40.0);
    program.retain(|sample| sample.rung != 1 || !(3.0..28.0).contains(&sample.time.seconds()));
    let other = pictures(CABAC);
    for sample in program.iter_mut().filter(|sample| sample.rung == 1) {
        if sample.time.seconds() >= 28.0 {
            sample.data = other[if sample.key { 0 } else { 1 }].clone();
        }
    }
    let outputs = pack(&program);
    check(&outputs);
    let inits = outputs
        .iter()
        .filter(|output| matches!(output, Output::Init(init) if init.rendition == LOWER[0]));
    assert_eq!(inits.count(), 1, "one name, one initialization section");
}

#[test]
fn a_rung_that_falls_silent_leaves_after_a_few_seconds() {
    let mut program = ladder(24.0);
    program.retain(|sample| sample.rung != 2 || sample.time.seconds() < 3.0);
    let outputs = pack(&program);
    check(&outputs);
    let last = parts(&outputs, LOWER[1])
        .last()
        .map(|part| part.time.seconds());
    assert!(
        last.is_some_and(|last| (5.5..8.0).contains(&last)),
        "{last:?}"
    );
    assert_eq!(frames(&outputs, LOWER[0]), 720);
}

#[test]
fn a_rung_that_comes_later_joins_at_a_segment() {
    let mut program = ladder(12.0);
    program.retain(|sample| sample.rung != 2 || sample.time.seconds() > 2.9);
    let outputs = pack(&program);
    check(&outputs);
    let first = &parts(&outputs, LOWER[1])[0];
    assert_eq!(
        (first.time.seconds(), first.index, first.independent),
        (4.0, 0, true)
    );
}

#[test]
fn other_parameter_sets_in_a_rung_wait_for_a_cut() {
    let mut program = ladder(12.0);
    let other = pictures(CABAC);
    for sample in program.iter_mut().filter(|sample| sample.rung == 1) {
        if sample.time.seconds() >= 4.0 {
            let key = sample.key;
            sample.data = other[if key { 0 } else { 1 }].clone();
        }
        sample.cut = false;
    }
    let mut packager = Packager::new(config());
    let mut outputs = pack_on(&mut packager, &program);
    packager.end();
    outputs.extend(std::iter::from_fn(|| packager.poll()));
    check(&outputs);
    assert_eq!(frames(&outputs, LOWER[0]), 120);
    assert!(packager.counters().pictures_refused > 0);
}

#[test]
fn rungs_beyond_the_last_one_are_refused_and_a_file_has_the_top_one_only() {
    let mut beyond = ladder(1.0);
    for sample in beyond.iter_mut().filter(|sample| sample.rung == 1) {
        sample.rung = RUNGS_MAX;
    }
    let mut packager = Packager::new(config());
    pack_on(&mut packager, &beyond);
    assert_eq!(packager.counters().pictures_refused, 30);
    let mut taping = Packager::new(amphi_mux::PackagerConfig::recording(&SPECIFIC_CONFIG[..]));
    let outputs = pack_on(&mut taping, &ladder(3.0));
    let lower =
        |output: &&Output| matches!(output, Output::Part(part) if LOWER.contains(&part.rendition));
    assert_eq!(outputs.iter().filter(lower).count(), 0);
    assert_eq!(taping.counters().pictures_refused, 0);
}

#[test]
fn the_largest_picture_and_the_sound_can_be_listed_alone_and_with_a_ticket() {
    let window = filled(&pack(&ladder(9.3)));
    let all = text(window.multivariant_for(Variants::All, "v=x"));
    assert!(all.contains("\nvideo2.m3u8?v=x\n"), "{all}");
    let index = text(window.multivariant_for(Variants::Largest, "v=x"));
    let named: Vec<&str> = (index.lines())
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(named, ["video.m3u8?v=x", "audio.m3u8?v=x"]);
    let line = |playlist: &str| {
        playlist
            .lines()
            .find(|line| line.contains("RESOLUTION=640x360"))
            .map(str::to_owned)
    };
    assert_eq!(line(&index), line(&all), "and of it the same is said");
    assert_eq!(
        text(window.multivariant_for(Variants::All, "v=x")),
        all,
        "for all others nothing changes"
    );
}

#[test]
fn the_multivariant_playlist_says_of_each_rung_what_was_measured() {
    let window = filled(&pack(&ladder(9.3)));
    let index = text(window.multivariant());
    let variant = |name: &str| {
        let lines: Vec<&str> = index.lines().collect();
        let at = lines
            .iter()
            .position(|line| *line == name)
            .expect("it is listed");
        lines[at - 1].to_owned()
    };
    let number = |line: &str, name: &str| -> u64 {
        let (_, rest) = line.split_once(name).expect("it is said");
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("a number")
    };
    for (name, size) in [("video.m3u8", "640x360"), ("video2.m3u8", "160x90")] {
        let line = variant(name);
        assert!(
            line.contains(size) && line.contains("FRAME-RATE=30.000"),
            "{line}"
        );
        assert!(
            line.contains("AUDIO=\"mix\"") && line.contains("mp4a.40.2"),
            "{line}"
        );
        let (peak, average) = (
            number(&line, ":BANDWIDTH="),
            number(&line, "AVERAGE-BANDWIDTH="),
        );
        assert!(0 < average && average <= peak, "{line}");
    }
    assert!(variant("video1.m3u8").contains("320x180"));
    let sound = variant("audio.m3u8");
    assert!(
        !sound.contains("avc1") && sound.contains("CODECS=\"mp4a.40.2\""),
        "{sound}"
    );
    let report = text(window.playlist(LOWER[0]));
    assert!(report.contains("#EXT-X-ENDLIST"));
}

#[test]
fn every_name_of_every_rung_is_there_and_never_changes_its_bytes() {
    let mut window: Window = window();
    let mut seen = BTreeMap::new();
    for output in pack(&ladder(30.0)) {
        window.push(&output);
        let Output::Part(part) = output else { continue };
        let playlist = text(window.playlist(part.rendition));
        let quoted = playlist
            .lines()
            .filter_map(|line| line.split_once("URI=\""));
        let quoted = quoted.filter_map(|(_, rest)| rest.split_once('"').map(|(name, _)| name));
        let plain = playlist.lines().filter(|line| !line.starts_with('#'));
        for name in quoted.chain(plain).filter(|name| !name.ends_with(".m3u8")) {
            assert_eq!(Rendition::of_file(name), Some(part.rendition), "{name}");
            match window.resource(name) {
                Found::Init(bytes) | Found::Media(bytes) => {
                    let before = seen.entry(name.to_owned()).or_insert_with(|| bytes.clone());
                    assert_eq!(*before, bytes, "{name} was other bytes");
                }
                Found::NotYet => assert!(playlist.contains(&format!("PART,URI=\"{name}\""))),
                found => panic!("{name} is listed and {found:?}"),
            }
        }
    }
    assert!(seen.len() > 300);
}

#[test]
fn whatever_comes_the_rungs_stay_together() {
    for seed in 1..=40u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut roll = |sides: u64| {
            // Marsaglia's xorshift.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % sides
        };
        let (mut all, mut start) = (Vec::new(), 0.0);
        while start < 20.0 {
            let count = 5 + roll(150) as usize;
            let mut rungs = rungs(start, 30.0, count);
            rungs[0][0].cut = start > 0.0;
            for rung in &mut rungs {
                let loss = [0, 0, 3, 40][roll(4) as usize];
                rung.retain(|_| roll(100) >= loss);
            }
            all.extend(rungs);
            start += count as f64 / 30.0 + roll(3) as f64;
        }
        let top_only_sound = sound(0.0, start);
        all.push(top_only_sound);
        let mut program = together(&all);
        let swaps = roll(40);
        for _ in 0..swaps {
            let at = roll(program.len() as u64 - 1) as usize;
            if program[at].rung != program[at + 1].rung {
                program.swap(at, at + 1);
            }
        }
        check(&pack(&program));
    }
}

#[test]
fn a_ladder_conforms_while_its_window_slides_and_over_cuts() {
    let [low_latency, _] = conforms("a ladder", &ladder(64.0), Ends::WithTheProgram);
    assert!(low_latency.compared > 80, "{low_latency:?}");
    let mut all = Vec::new();
    for (shot, seconds) in [3.1, 4.7, 0.9, 6.2, 5.5].into_iter().enumerate() {
        let start: f64 = [0.0, 3.1, 7.8, 8.7, 14.9][shot];
        let mut rungs = rungs(start, 30.0, (seconds * 30.0) as usize);
        rungs[0][0].cut = shot > 0;
        all.extend(rungs);
    }
    all.push(sound(0.0, 20.4));
    let [low_latency, _] = conforms("a ladder with cuts", &together(&all), Ends::OffAir);
    assert!(low_latency.discontinuities >= 16, "{low_latency:?}");
    let mut still = ladder(40.0);
    still.retain(|sample| sample.kind == MediaKind::Audio || sample.time.seconds() % 9.0 < 2.0);
    conforms("a still ladder", &still, Ends::WithTheProgram);
}

/// Members with more and fewer layers one after the other, as `cut` shows them: layers that come a little early or late, that pause,
/// that have no key frame when their member comes on air, or begin with what came since it.
fn anybody(seed: u64) -> Vec<Sample> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut roll = |sides: u64| {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % sides
    };
    let (mut all, mut start) = (Vec::new(), 0.0);
    while start < 45.0 {
        let streams = match roll(3) {
            0 => [SCREEN, CAMERA, CABAC],
            1 => [CAMERA, CABAC, SCREEN],
            _ => [CABAC, SCREEN, CAMERA],
        };
        let fps = [15.0, 25.0, 30.0][roll(3) as usize];
        let count = 8 + roll(220) as usize;
        let mut rungs = rungs_of(streams, start, fps, count);
        rungs[0][0].cut = start > 0.0;
        for rung in rungs.iter_mut().skip(1) {
            match roll(8) {
                // There is no such layer.
                0 => rung.clear(),
                // Its key frame is missing, or comes too late for the cut.
                1 => drop(rung.remove(0)),
                2 => rung.drain(..rung.len().min(3)).for_each(drop),
                // It pauses, for good or for a while.
                3 => rung.truncate(rung.len() / 2),
                4 => {
                    let (from, to) = (rung.len() / 3, rung.len() / 3 * 2);
                    let key = |sample: &Sample| sample.key;
                    let next = (to..rung.len()).find(|at| key(&rung[*at]));
                    rung.drain(from..next.unwrap_or(rung.len())).for_each(drop);
                }
                // What came since its key frame goes by in an instant.
                5 => {
                    let instants = rung.len().min(20);
                    let at = rung[0].time.ticks;
                    for (sample, instant) in rung[..instants].iter_mut().zip(0..) {
                        sample.time.ticks = at + instant;
                    }
                }
                _ => {
                    let late = roll(2_000) as i64 - 700;
                    rung.iter_mut()
                        .skip(1)
                        .for_each(|sample| sample.time.ticks += late);
                }
            }
        }
        all.extend(rungs);
        start += count as f64 / fps;
    }
    all.push(sound(0.0, start));
    if roll(2) == 0 {
        all.push(opus(0.0, start));
    }
    together(&all)
}

#[test]
fn whoever_is_on_air_with_whatever_layers_the_rungs_stay_together_and_conform() {
    for seed in 1..=5 {
        let program = anybody(seed);
        check(&pack(&program));
        let ends = [Ends::WithTheProgram, Ends::OffAir][seed as usize % 2];
        conforms(&format!("seed {seed}"), &program, ends);
        conforms_in(&format!("seed {seed}, kept"), long_window, &program, ends);
    }
}
