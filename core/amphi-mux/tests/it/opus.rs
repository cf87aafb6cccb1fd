//! Sound that comes in Opus beside AAC.

use amphi_mux::{Output, Packager, Rendition};

use crate::conform::{Ends, conforms};
use crate::ladder::ladder;
use crate::program::*;
use crate::window::{filled, text};

fn with_opus(seconds: f64) -> Vec<amphi_media::Sample> {
    together(&[plain(seconds), opus(0.0, seconds)])
}

#[test]
fn its_parts_touch_and_its_segments_are_those_of_aac() {
    let outputs = pack(&with_opus(20.0));
    let [aac, opus] = [Rendition::Audio, Rendition::Opus].map(|one| parts(&outputs, one));
    for pair in opus.windows(2) {
        assert_eq!(end(&pair[0]), pair[1].time.ticks, "no hole");
        let ended = pair[0].ends_segment;
        assert_eq!(pair[1].sequence, pair[0].sequence + u64::from(ended));
        assert_eq!(pair[1].index, if ended { 0 } else { pair[0].index + 1 });
    }
    assert!(
        opus.iter()
            .all(|part| part.independent && part.duration.seconds() <= 0.334)
    );
    let frames: u32 = opus.iter().map(|part| part.frames).sum();
    assert_eq!(frames, 999);
    // Each begins a segment with its first packet after the picture does.
    let starts = |parts: &[amphi_mux::Part]| -> Vec<(u64, f64)> {
        let first = parts.iter().filter(|part| part.index == 0);
        first
            .map(|part| (part.sequence, part.time.seconds()))
            .collect()
    };
    let (of_aac, of_opus) = (starts(&aac), starts(&opus));
    assert_eq!(of_aac.len(), of_opus.len());
    for ((number, one), (twin, two)) in of_aac.into_iter().zip(of_opus) {
        assert_eq!(number, twin);
        assert!((one - two).abs() < 0.0215, "{one} and {two}");
    }
}

#[test]
fn every_variant_is_listed_with_aac_first_and_then_with_opus() {
    let program = together(&[ladder(9.3), opus(0.0, 9.3)]);
    let index = text(filled(&pack(&program)).multivariant());
    let streams: Vec<&str> = index
        .lines()
        .filter(|line| line.starts_with("#EXT-X-STREAM-INF"))
        .collect();
    assert_eq!(streams.len(), 8, "{index}");
    for (place, line) in streams.iter().enumerate() {
        let (codec, group) = match place < 4 {
            true => ("mp4a.40.2", "AUDIO=\"mix\""),
            false => ("opus", "AUDIO=\"mix-opus\""),
        };
        assert!(line.contains(codec) && line.contains(group), "{line}");
        assert!(line.contains("mp4a") != line.contains("opus\""), "{line}");
    }
    let groups = index.matches("#EXT-X-MEDIA:TYPE=AUDIO").count();
    assert_eq!(groups, 2, "{index}");
    let names: Vec<&str> = index
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let videos = ["video.m3u8", "video1.m3u8", "video2.m3u8"];
    let expected = [&videos[..], &["audio.m3u8"], &videos, &["opus.m3u8"]].concat();
    assert_eq!(names, expected);
}

#[test]
fn players_of_either_see_no_rule_broken() {
    let [low_latency, _] = conforms("both", &with_opus(64.0), Ends::WithTheProgram);
    assert!(low_latency.compared > 60, "{low_latency:?}");
    let late = together(&[
        shot(CAMERA, 6.0, 30.0, 720),
        sound(0.0, 30.0),
        opus(0.0, 30.0),
    ]);
    conforms("a picture that comes later", &late, Ends::OffAir);
    let alone = together(&[sound(0.0, 30.0), opus(0.0, 30.0)]);
    conforms("sound alone", &alone, Ends::WithTheProgram);
}

#[test]
fn where_it_is_not_wanted_it_is_passed_over() {
    let program = with_opus(3.0);
    for config in [
        config(),
        amphi_mux::PackagerConfig::recording(&SPECIFIC_CONFIG[..]),
    ] {
        let mut packager = Packager::new(config);
        let outputs = pack_on(&mut packager, &program);
        assert!(parts(&outputs, Rendition::Opus).is_empty());
        let is_init = |output: &Output| matches!(output, Output::Init(init) if init.rendition == Rendition::Opus);
        assert!(!outputs.iter().any(is_init));
        assert_eq!(packager.counters().sound_dropped, 0);
    }
}
