//! What the multivariant playlist says, against what its playlists are.

use std::collections::BTreeSet;

use crate::media::{Measured, Section};
use crate::playlist::{Alternative, Multivariant, Variant};
use crate::rendition::Rendition;
use crate::uri::plain;
use crate::{Rule, Violation};

/// Rates and picture rates are counted over whole segments of about a target duration; a little is left to counting.
const BANDWIDTH_TOLERANCE: f64 = 0.995;
/// A picture rate is believed within this factor: a camera's is never quite even.
const FRAME_RATE_FACTOR: f64 = 2.0;

/// What was known when the multivariant playlist was asked for. What of it is still listed when it is judged, with a
/// newer media playlist at hand, was listed when it was written, and so must be true of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Rendition, number and codec of each segment whose initialization section was read.
    codecs: BTreeSet<(usize, u64, String)>,
    /// Numbers of the segments that were looked into, of each rendition.
    measured: Vec<BTreeSet<u64>>,
}

impl Seen {
    pub(crate) fn of(renditions: &[Rendition]) -> Self {
        let measured = |one: &Rendition| one.track.measured.keys().copied().collect();
        Self {
            codecs: listed_codecs(renditions),
            measured: renditions.iter().map(measured).collect(),
        }
    }

    /// The segment of rendition `of`, if it was looked into.
    fn measured<'a>(&self, of: usize, one: &'a Rendition, number: u64) -> Option<&'a Measured> {
        let then = self.measured.get(of)?.contains(&number);
        one.track.measured.get(&number).filter(|_| then)
    }

    /// The largest rate of neighbouring segments that last half to one and a half target durations (§4.4.6.2), of those
    /// that are listed.
    fn peak_bits(&self, of: usize, rendition: &Rendition) -> f64 {
        let Some(newest) = &rendition.newest else {
            return 0.0;
        };
        let target = newest.target_duration as f64;
        let whole: Vec<_> = (newest.segments.iter())
            .map(|segment| self.measured(of, rendition, segment.number))
            .collect();
        let mut peak = 0.0f64;
        for from in 0..whole.len() {
            let (mut bytes, mut seconds) = (0, 0.0);
            for measured in whole[from..].iter().map_while(|one| *one) {
                bytes += measured.bytes;
                seconds += measured.seconds;
                if seconds > 1.5 * target {
                    break;
                }
                if seconds >= 0.5 * target && seconds > 0.0 {
                    peak = peak.max(bytes as f64 * 8.0 / seconds);
                }
            }
        }
        peak
    }

    /// The most pictures a second of any listed segment of a second or more.
    fn frame_rate(&self, of: usize, rendition: &Rendition) -> Option<f64> {
        let newest = rendition.newest.as_ref()?;
        let listed = newest.segments.iter();
        most_pictures(listed.filter_map(|one| self.measured(of, rendition, one.number)))
    }
}

fn most_pictures<'a>(measured: impl Iterator<Item = &'a Measured>) -> Option<f64> {
    let rates = measured
        .filter(|one| one.seconds >= 1.0 && one.pictures > 0)
        .map(|one| f64::from(one.pictures) / one.seconds);
    rates.reduce(f64::max)
}

/// Of the segments in the newest playlists.
fn listed_codecs(renditions: &[Rendition]) -> BTreeSet<(usize, u64, String)> {
    let mut codecs = BTreeSet::new();
    for (of, rendition) in renditions.iter().enumerate() {
        for segment in rendition.newest.iter().flat_map(|newest| &newest.segments) {
            let url = segment.map.as_ref().map(|map| rendition.resolve(map));
            if let Some(Section::Here(init)) = url.and_then(|url| rendition.track.inits.get(&url)) {
                codecs.insert((of, segment.number, init.codec.clone()));
            }
        }
    }
    codecs
}

/// All initialization sections that the newest playlist names were read, or could not be.
pub(crate) fn all_read(rendition: &Rendition) -> bool {
    let mut listed = rendition.newest.iter().flat_map(|newest| &newest.segments);
    listed.all(|segment| {
        segment.map.as_ref().is_none_or(|map| {
            let section = rendition.track.inits.get(&rendition.resolve(map));
            matches!(section, Some(Section::Here(_) | Section::Broken))
        })
    })
}

/// Holds the variants that are watched against what was `seen` before they were asked for and what is known now.
pub(crate) fn judge(
    index: &Multivariant,
    seen: &Seen,
    renditions: &[Rendition],
    sounds: &[usize],
) -> Vec<Violation> {
    let mut found = Vec::new();
    let watched = |uri: &str| {
        let name = plain(uri).rsplit('/').next();
        renditions.iter().position(|one| name == Some(one.name()))
    };
    for variant in &index.variants {
        // A program that got a picture has other variants than the one of sound alone.
        let Some(of) = watched(&variant.uri) else {
            continue;
        };
        let in_group =
            |one: &&Alternative| one.kind == "AUDIO" && Some(&one.group) == variant.audio.as_ref();
        let group = index.renditions.iter().find(in_group);
        // A player that finds no such group takes what sound there is.
        let sound = group
            .and_then(|one| watched(one.uri.as_ref()?))
            .or(sounds.first().copied());
        let beside = sound.filter(|sound| *sound != of);
        judge_variant(variant, seen, renditions, of, beside, &mut found);
    }
    found
}

fn judge_variant(
    variant: &Variant,
    seen: &Seen,
    renditions: &[Rendition],
    of: usize,
    sound: Option<usize>,
    found: &mut Vec<Violation>,
) {
    let main = &renditions[of];
    let mut say = |rule, what: String| {
        let what = format!("{}: {what}", main.name());
        found.push(Violation { rule, what });
    };
    let both: Vec<(usize, &Rendition)> = renditions
        .iter()
        .enumerate()
        .filter(|(index, _)| *index == of || Some(*index) == sound)
        .collect();
    let known: BTreeSet<String> = both
        .iter()
        .flat_map(|(_, rendition)| rendition.track.inits.values())
        .filter_map(|section| match section {
            Section::Here(init) => Some(init.codec.clone()),
            Section::Asked | Section::Broken => None,
        })
        .collect();
    let listed = listed_codecs(renditions);
    let lasting = seen.codecs.intersection(&listed);
    let codecs: BTreeSet<&String> = lasting
        .filter(|(of, _, _)| both.iter().any(|(index, _)| index == of))
        .map(|(_, _, codec)| codec)
        .collect();
    for codec in codecs {
        if !variant.codecs.contains(codec) {
            say(
                Rule::Codecs,
                format!("{codec} is not in {:?}", variant.codecs),
            );
        }
    }
    if let Some(other) = variant.codecs.iter().find(|codec| !known.contains(*codec)) {
        say(
            Rule::Codecs,
            format!("nothing is {other}; there is {known:?}"),
        );
    }
    let sizes: BTreeSet<(u32, u32)> = main
        .track
        .inits
        .values()
        .filter_map(|section| match section {
            Section::Here(init) => init.size,
            Section::Asked | Section::Broken => None,
        })
        .collect();
    let fits = match variant.resolution {
        Some(size) => sizes.contains(&size),
        None => sizes.is_empty(),
    };
    if !fits {
        say(
            Rule::Resolution,
            format!("{:?} is said and {sizes:?} is shown", variant.resolution),
        );
    }
    let peak_bits: f64 = (both.iter())
        .map(|(index, rendition)| seen.peak_bits(*index, rendition))
        .sum();
    if (variant.bandwidth as f64) < peak_bits * BANDWIDTH_TOLERANCE {
        say(
            Rule::Bandwidth,
            format!(
                "{} is said and {:.0} was measured",
                variant.bandwidth, peak_bits
            ),
        );
    }
    // At least that of what is listed; at most that of whatever was, since it may have left just now.
    let least = seen.frame_rate(of, main);
    let most = most_pictures(main.track.measured.values());
    if let (Some(said), Some(least), Some(most), false) =
        (variant.frame_rate, least, most, sizes.is_empty())
        && !(least / FRAME_RATE_FACTOR..=most * FRAME_RATE_FACTOR).contains(&said)
    {
        say(
            Rule::FrameRate,
            format!("{said} is said and {least:.3} to {most:.3} was counted"),
        );
    }
}
