use super::{Fragment, Mark, Scan};
use crate::packager::Rendition;
use crate::playlist::{Vod, VodSegment};

/// A segment ends at the first key frame after this, in microseconds.
const SEGMENT_US_MIN: u64 = 1_500_000;
/// And here at the latest, so that the target duration stays small when no key frame comes.
const SEGMENT_US_MAX: u64 = 10_000_000;

/// A media playlist over a recording's file by byte ranges (RFC 8216bis §4.4.4.2), `uri` being what the file is called beside it.
///
/// Picture and sound are in the same segments, as they are in the file: apart they would be three ranges a second each.
/// Sound stands a little later in the file than the picture it belongs to, so a segment's sound begins and ends some 300 ms before
/// its picture; players add up what they are given, and nothing is missing in between. None when there is nothing to play.
pub fn vod_playlist(scan: &Scan, uri: &str) -> Option<String> {
    if !scan.playable || scan.fragments.is_empty() {
        return None;
    }
    // A player cannot be given another track later, so what was sound only before the first picture is in the file alone.
    let with_video = |fragment: &Fragment| mark(scan, fragment).is_some_and(|mark| mark.has_video);
    let begin = scan.fragments.iter().position(with_video).unwrap_or(0);
    let fragments = &scan.fragments[begin..];
    let mut groups: Vec<&[Fragment]> = Vec::new();
    let mut from = 0;
    for at in 1..fragments.len() {
        if begins_segment(scan, &fragments[from..at], &fragments[at]) {
            groups.push(&fragments[from..at]);
            from = at;
        }
    }
    groups.push(&fragments[from..]);

    let segments = groups.iter().enumerate().filter_map(|(index, group)| {
        let first = group.first()?;
        let mark = mark(scan, first)?;
        let lead = lead(group);
        let own_end = lead
            .iter()
            .map(|fragment| fragment.end_us())
            .max()
            .unwrap_or(0);
        let start = lead.first()?.start_us();
        let follows = |next: &&&[Fragment]| {
            next[0].mark == first.mark || !self::mark(scan, &next[0]).is_some_and(|mark| mark.gap)
        };
        let end = groups
            .get(index + 1)
            .filter(follows)
            .map_or(own_end, |next| next[0].start_us());
        let last = group.last()?;
        let before = index
            .checked_sub(1)
            .and_then(|before| groups[before].first());
        Some(VodSegment {
            map: (mark.init_offset, mark.init_bytes),
            bytes: (first.offset, last.offset + last.bytes - first.offset),
            duration: end.saturating_sub(start) as f64 / 1e6,
            date_ms: mark.zero_unix_ms + i64::try_from(start / 1000).unwrap_or(0),
            discontinuity: before.is_some_and(|before| breaks(scan, before, first)),
        })
    });
    let segments: Vec<VodSegment> = segments.collect();
    Some(Vod { uri, segments }.render())
}

/// Between two segments something is missing. A cut is none: its times go on, and a new `EXT-X-MAP` is enough (RFC 8216bis §4.4.4.3
/// says SHOULD for other parameters, MUST for other times). With a discontinuity hls.js lays the start of the sound, which is earlier in such
/// a segment, on the start of the picture, and MSE then drops the picture up to its next key frame.
fn breaks(scan: &Scan, before: &Fragment, first: &Fragment) -> bool {
    before.mark != first.mark && mark(scan, first).is_some_and(|mark| mark.gap)
}

fn mark<'a>(scan: &'a Scan, fragment: &Fragment) -> Option<&'a Mark> {
    scan.marks.get(usize::try_from(fragment.mark).ok()?)
}

/// The fragments that say when a segment begins and ends: of the picture, or of the sound where there is none.
fn lead(group: &[Fragment]) -> Vec<&Fragment> {
    let picture: Vec<&Fragment> = group
        .iter()
        .filter(|fragment| fragment.rendition == Rendition::Video)
        .collect();
    if picture.is_empty() {
        group.iter().collect()
    } else {
        picture
    }
}

fn begins_segment(scan: &Scan, group: &[Fragment], fragment: &Fragment) -> bool {
    let first = &group[0];
    if fragment.mark != first.mark {
        return true;
    }
    let has_video = mark(scan, fragment).is_some_and(|mark| mark.has_video);
    let leads = has_video == (fragment.rendition == Rendition::Video);
    let elapsed = fragment.start_us().saturating_sub(first.start_us());
    leads && ((fragment.key && elapsed >= SEGMENT_US_MIN) || elapsed >= SEGMENT_US_MAX)
}
