//! What is said, as text beside the sound.

use std::iter::Peekable;

use amphi_media::{Caption, MediaTime, Sample};
use amphi_mux::{Output, Packager, Part, Rendition, Variants, Window};

use crate::conform::{Ends, conforms_saying};
use crate::program::*;
use crate::window::{filled, text, window};

/// Words, and when they were said.
pub type Said<'a> = (f64, &'a str, &'a str);

/// Tells the packager what was said until then.
pub fn say<'a>(
    packager: &mut Packager,
    said: &mut Peekable<impl Iterator<Item = &'a Said<'a>>>,
    until_s: f64,
) {
    while let Some((at, who, words)) = said.next_if(|(at, ..)| *at <= until_s) {
        let caption = Caption::new(who, words).expect("words");
        packager.push_caption(MediaTime::new((at * 1_000.0) as i64, 1_000), &caption);
    }
}

fn with_captions(program: &[Sample], said: &[Said<'_>]) -> Vec<Output> {
    let mut packager = Packager::new(config());
    let mut outputs = Vec::new();
    let mut said = said.iter().peekable();
    for sample in program {
        // The sound is late by what mixing takes; words are not.
        say(&mut packager, &mut said, sample.time.seconds());
        packager.push(sample);
        outputs.extend(std::iter::from_fn(|| packager.poll()));
    }
    packager.end();
    outputs.extend(std::iter::from_fn(|| packager.poll()));
    outputs
}

/// Begin, end and text of each cue of a file.
fn cues(file: &[u8]) -> Vec<(f64, f64, String)> {
    let file = std::str::from_utf8(file).expect("UTF-8");
    let mut blocks = file.split("\n\n");
    let header = blocks.next().expect("a header");
    assert_eq!(
        header.trim_end(),
        "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000"
    );
    let cue = |block: &str| {
        let (times, text) = block.split_once('\n').expect("times and text");
        let (from, until) = times.split_once(" --> ").expect("two times");
        (seconds(from), seconds(until), text.trim_end().to_owned())
    };
    blocks
        .filter(|block| !block.trim().is_empty())
        .map(cue)
        .collect()
}

fn seconds(clock: &str) -> f64 {
    let digits = clock
        .split(':')
        .map(|digits| digits.parse::<f64>().expect("digits"));
    digits.fold(0.0, |sum, next| sum * 60.0 + next)
}

fn span(part: &Part) -> (f64, f64) {
    let from = part.time.seconds();
    (from, from + part.duration.seconds())
}

#[test]
fn nobody_who_says_nothing_costs_a_rendition() {
    let outputs = with_captions(&plain(10.0), &[]);
    assert!(parts(&outputs, Rendition::Captions).is_empty());
    let window = filled(&outputs);
    assert!(!window.has_captions());
    assert!(!text(window.multivariant()).contains("SUBTITLES"));
}

#[test]
fn captions_have_the_parts_of_the_sound_from_the_next_segment_on() {
    let outputs = with_captions(
        &plain(20.0),
        &[(5.0, "Ada", "Hello."), (9.3, "Bo", "Hello, Ada.")],
    );
    let sound = parts(&outputs, Rendition::Audio);
    let captions = parts(&outputs, Rendition::Captions);
    let first = &captions[0];
    assert_eq!(first.index, 0);
    let (began, _) = span(first);
    assert!((4.7..7.5).contains(&began), "{began}");
    let of_sound: Vec<_> = sound
        .iter()
        .filter(|part| part.sequence >= first.sequence)
        .map(|part| {
            (
                part.sequence,
                part.index,
                part.time,
                part.duration,
                part.ends_segment,
            )
        })
        .collect();
    let of_captions: Vec<_> = captions
        .iter()
        .map(|part| {
            (
                part.sequence,
                part.index,
                part.time,
                part.duration,
                part.ends_segment,
            )
        })
        .collect();
    assert_eq!(of_captions, of_sound);
}

#[test]
fn a_cue_stands_in_every_part_during_which_it_is_shown_and_in_no_other() {
    let said = [
        (3.0, "Ada", "One."),
        (
            8.1,
            "Ada",
            "Two, which takes somewhat longer to be read than the others do.",
        ),
        (9.0, "Bo", "Three."),
        (13.37, "", "Four."),
    ];
    let outputs = with_captions(&plain(24.0), &said);
    let captions = parts(&outputs, Rendition::Captions);
    let mut all = Vec::new();
    for part in &captions {
        for cue in cues(&part.bytes) {
            if !all.contains(&cue) {
                all.push(cue);
            }
        }
    }
    let words: Vec<&str> = all.iter().map(|(.., words)| words.as_str()).collect();
    let expected = [
        "<v Ada>Ada: One.",
        "<v Ada>Ada: Two, which takes somewhat longer to be read than the others do.",
        "<v Bo>Bo: Three.",
        "Four.",
    ];
    assert_eq!(words, expected);
    for part in &captions {
        let (from, until) = span(part);
        let here = cues(&part.bytes);
        for cue in &all {
            // Times are written in milliseconds.
            let shown = cue.0 < until - 0.001 && cue.1 > from + 0.001;
            let touches = cue.0 < until + 0.001 && cue.1 > from - 0.001;
            assert!(!shown || here.contains(cue), "{cue:?} in {from} to {until}");
            assert!(
                touches || !here.contains(cue),
                "{cue:?} in {from} to {until}"
            );
        }
    }
    for (cue, (at, ..)) in all.iter().zip(said).skip(1) {
        assert!((cue.0 - at).abs() < 0.4, "{cue:?} was said at {at}");
    }
    assert!((2.0..8.0).contains(&(all[1].1 - all[1].0)), "{:?}", all[1]);
    // The first has waited for a segment, and is shown long enough all the same.
    assert!(all[0].1 - all[0].0 >= 2.0, "{:?}", all[0]);
}

#[test]
fn markup_is_text_and_lines_are_one() {
    let words = "<b>5 > 4 & 3</b>\n\n00:00 --> 00:01\nNOTE";
    let outputs = with_captions(&plain(8.0), &[(1.0, "<Ada>\n&", words)]);
    let captions = parts(&outputs, Rendition::Captions);
    let cue = captions
        .iter()
        .flat_map(|part| cues(&part.bytes))
        .next()
        .expect("a cue");
    let escaped = "&lt;b&gt;5 &gt; 4 &amp; 3&lt;/b&gt; 00:00 --&gt; 00:01 NOTE";
    assert_eq!(
        cue.2,
        format!("<v &lt;Ada&gt; &amp;>&lt;Ada&gt; &amp;: {escaped}")
    );
}

#[test]
fn a_segment_has_each_cue_of_its_parts_once() {
    let said = [
        (1.0, "Ada", "One."),
        (6.0, "Bo", "Two."),
        (6.5, "Bo", "Three."),
    ];
    let outputs = with_captions(&plain(20.0), &said);
    let window = filled(&outputs);
    let captions = parts(&outputs, Rendition::Captions);
    let playlist = text(window.playlist(Rendition::Captions));
    let names: Vec<&str> = playlist
        .lines()
        .filter(|line| line.ends_with(".vtt"))
        .collect();
    assert!(names.len() > 3, "{playlist}");
    assert!(!playlist.contains("EXT-X-MAP"), "{playlist}");
    assert!(
        playlist.contains("#EXT-X-INDEPENDENT-SEGMENTS"),
        "{playlist}"
    );
    for name in names {
        let sequence = name.split(['-', '.']).nth(1).expect("a number");
        let of = captions
            .iter()
            .filter(|part| part.sequence.to_string() == sequence);
        let mut expected = Vec::new();
        for cue in of.flat_map(|part| cues(&part.bytes)) {
            if !expected.contains(&cue) {
                expected.push(cue);
            }
        }
        assert_eq!(cues(&media(&window, name)), expected, "{name}");
    }
}

#[test]
fn every_variant_names_them() {
    let outputs = with_captions(&crate::ladder::ladder(9.3), &[(1.0, "Ada", "Hello.")]);
    let index = text(filled(&outputs).multivariant());
    let group = "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"captions\",NAME=\"Captions\"";
    assert_eq!(index.matches(group).count(), 1, "{index}");
    assert!(index.contains("URI=\"captions.m3u8\""), "{index}");
    for line in index
        .lines()
        .filter(|line| line.starts_with("#EXT-X-STREAM-INF"))
    {
        assert!(line.contains(",SUBTITLES=\"captions\""), "{line}");
    }
    let ticketed = filled(&outputs).multivariant_for(Variants::All, "v=1");
    assert!(text(ticketed).contains("captions.m3u8?v=1"));
}

#[test]
fn a_cut_is_one_of_the_captions_too() {
    let program = together(&[
        shot(CAMERA, 0.0, 30.0, 240),
        cut(shot(SCREEN, 8.0, 30.0, 240)),
        sound(0.0, 16.0),
    ]);
    let outputs = with_captions(
        &program,
        &[(1.0, "Ada", "Before."), (7.9, "Ada", "Across.")],
    );
    let captions = parts(&outputs, Rendition::Captions);
    let first = captions
        .iter()
        .find(|part| part.generation == 1)
        .expect("a cut");
    assert!(first.discontinuity && first.index == 0);
    assert!(
        text(filled(&outputs).playlist(Rendition::Captions)).contains("#EXT-X-DISCONTINUITY\n")
    );
    let across = captions
        .iter()
        .filter(|part| part.bytes.windows(7).any(|words| words == b"Across."));
    let generations: std::collections::BTreeSet<u32> = across.map(|part| part.generation).collect();
    assert_eq!(generations.into_iter().collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn players_that_read_them_see_no_rule_broken() {
    let words = "Somebody says something that is longer or shorter than this.";
    let said: Vec<Said<'_>> = (0..400)
        .map(|number| {
            let at = 0.3 + f64::from(number) * 1.37 % 61.0;
            (
                at,
                ["Ada", ""][number as usize % 2],
                &words[..8 + number as usize * 13 % 50],
            )
        })
        .filter(|(at, ..)| *at < 20.0 || *at > 35.0)
        .take(120)
        .collect();
    let mut in_order = said;
    in_order.sort_by(|one, other| one.0.total_cmp(&other.0));
    for (what, program, ends) in [
        ("a call", plain(64.0), Ends::WithTheProgram),
        ("switched off", plain(17.3), Ends::OffAir),
        ("sound alone", sound(0.0, 30.0), Ends::WithTheProgram),
        (
            "a ladder",
            crate::ladder::ladder(24.0),
            Ends::WithTheProgram,
        ),
    ] {
        let [low_latency, _] = conforms_saying(what, window, &program, &in_order, ends);
        assert!(low_latency.segments > 8, "{what}: {low_latency:?}");
    }
    let mut shots = vec![sound(0.0, 40.0)];
    for (index, stream) in [CAMERA, SCREEN, CABAC, CAMERA].into_iter().enumerate() {
        shots.push(cut(shot(stream, index as f64 * 9.7, 30.0, 291)));
    }
    conforms_saying(
        "cuts",
        window,
        &together(&shots),
        &in_order,
        Ends::WithTheProgram,
    );
}

#[test]
fn more_than_anybody_can_read_is_counted_and_left_out() {
    let mut packager = Packager::new(config());
    let caption = |who: &str| Caption::new(who, "Again and again.").expect("words");
    let at = |ms| MediaTime::new(ms, 1_000);
    // Of one speaker, six; others are read beside.
    let of_ada = (0..20).filter(|ms| packager.push_caption(at(*ms), &caption("Ada")));
    assert_eq!(of_ada.count(), 6);
    let of_others = (0..100).filter(|ms| packager.push_caption(at(20), &caption(&format!("{ms}"))));
    assert_eq!(of_others.count(), 26);
    let mut packager = Packager::new(config());
    assert!(packager.push_caption(at(0), &caption("Ada")));
    assert!(
        !packager.push_caption(at(0), &caption("Ada")),
        "it stands there"
    );
    for sample in plain(6.0) {
        packager.push(&sample);
        packager.push_caption(MediaTime::new(sample.time.ticks, 90_000), &caption("Ada"));
        while packager.poll().is_some() {}
    }
    let counters = *packager.counters();
    assert!(
        (7..40).contains(&counters.captions) && counters.captions_dropped > 100,
        "{counters:?}"
    );
    packager.end();
    let ada = caption("Ada");
    assert!(!packager.push_caption(at(0), &ada));
    assert_eq!(
        packager.counters().captions_dropped,
        counters.captions_dropped + 1
    );
}

fn media(window: &Window, name: &str) -> Vec<u8> {
    match window.resource(name) {
        amphi_mux::Found::Media(bytes) => bytes.to_vec(),
        other => panic!("{name}: {other:?}"),
    }
}
