use super::scan::{Item, Walk, is_there, walk};
use super::{ByteSource, Fragment, Mark, Scan};
use crate::packager::Rendition;
use crate::playlist::{Vod, VodSegment};

/// A segment ends at the first key frame after this, in microseconds.
const SEGMENT_US_MIN: u64 = 1_500_000;
/// And here at the latest, so that the target duration stays small when no key frame comes.
const SEGMENT_US_MAX: u64 = 10_000_000;
/// Segments of more than two days. What comes after is not listed.
const SEGMENTS_MAX: usize = 100_000;

/// A media playlist over a recording's file by byte ranges (RFC 8216bis §4.4.4.2), `uri` being what the file is called beside it.
///
/// Picture and sound are in the same segments, as they are in the file: apart they would be three ranges a second each.
/// Sound stands a little later in the file than the picture it belongs to, so a segment's sound begins and ends some 200 ms before
/// its picture; players add up what they are given, and nothing is missing in between. None when there is nothing to play.
pub fn vod_playlist(scan: &Scan, uri: &str) -> Option<String> {
    if !scan.playable {
        return None;
    }
    let mut segments = Segments::default();
    for fragment in &scan.fragments {
        let mark = scan.marks.get(usize::try_from(fragment.mark).ok()?)?;
        segments.push(mark, fragment);
    }
    segments.render(uri)
}

/// Reads a recording that grows, and lists it: what it has read once it does not read again.
///
/// The playlist is the one that [`vod_playlist`] makes of a whole scan. Holds segments and no fragments, at most
/// some 7 MB of them.
#[derive(Default)]
pub struct Reader {
    playable: bool,
    /// The last fragment, and the mark that it comes after.
    last: Option<(Fragment, Mark)>,
    segments: Segments,
}

impl Reader {
    /// Reads what came since, from the last whole fragment on. A file whose last fragment is no more where it was (a disk
    /// that failed was written again) is read anew.
    pub fn read<S: ByteSource + ?Sized>(&mut self, source: &S) {
        if self.last.is_none_or(|(last, _)| !is_there(source, &last)) {
            *self = Self::default();
        }
        // A mark that no fragment had followed is read again.
        let at = self.last.map_or(0, |(last, _)| last.end());
        let marks = self.last.map_or(0, |(last, _)| last.mark as usize + 1);
        let mut newest = self.last.map(|(_, mark)| mark);
        walk(source, at, marks, |item| {
            match item {
                Item::Header => self.playable = true,
                Item::Mark(mark) => newest = Some(mark),
                Item::Fragment(fragment) => {
                    let mark = newest.expect("no fragment is taken before a mark");
                    self.segments.push(&mark, &fragment);
                    self.last = Some((fragment, mark));
                }
            }
            Walk::On
        });
    }

    /// As [`vod_playlist`].
    pub fn playlist(&self, uri: &str) -> Option<String> {
        self.segments.render(uri).filter(|_| self.playable)
    }

    /// Memory that it holds.
    pub fn size_bytes(&self) -> usize {
        self.segments.closed.capacity() * size_of::<VodSegment>()
    }
}

/// Fragments put together to segments.
#[derive(Default)]
struct Segments {
    closed: Vec<VodSegment>,
    open: Option<Group>,
    has_video: bool,
}

impl Segments {
    fn push(&mut self, mark: &Mark, fragment: &Fragment) {
        if self.closed.len() >= SEGMENTS_MAX {
            return;
        }
        if mark.has_video && !self.has_video {
            // A player cannot be given another track later, so what was sound only before the first picture is in the
            // file alone.
            *self = Self {
                has_video: true,
                ..Self::default()
            };
        }
        match &mut self.open {
            Some(group) if !group.ends_before(mark, fragment) => group.push(fragment),
            None => self.open = Some(Group::begin(mark, fragment, false)),
            Some(before) => {
                // Between two segments something is missing. A cut is none: its times go on, and a new `EXT-X-MAP` is enough
                // (RFC 8216bis §4.4.4.3 says SHOULD for other parameters, MUST for other times). With a discontinuity hls.js
                // lays the start of the sound, which is earlier in such a segment, on the start of the picture, and MSE then
                // drops the picture up to its next key frame.
                let breaks = mark.gap && before.mark_index != fragment.mark;
                let end = (!breaks).then_some(fragment.start_us());
                self.closed.push(before.segment(end));
                self.open = Some(Group::begin(mark, fragment, breaks));
            }
        }
    }

    /// None when there is nothing in them.
    fn render(&self, uri: &str) -> Option<String> {
        let mut segments = self.closed.clone();
        segments.push(self.open.as_ref()?.segment(None));
        Some(Vod { uri, segments }.render())
    }
}

/// The fragments of one segment.
struct Group {
    mark_index: u32,
    mark: Mark,
    discontinuity: bool,
    offset: u64,
    end: u64,
    /// When all of it begins and ends, in microseconds, and when its picture does, if it has any.
    all: (u64, u64),
    picture: Option<(u64, u64)>,
}

impl Group {
    fn begin(mark: &Mark, first: &Fragment, discontinuity: bool) -> Self {
        let mut group = Self {
            mark_index: first.mark,
            mark: *mark,
            discontinuity,
            offset: first.offset,
            end: first.end(),
            all: (first.start_us(), first.end_us()),
            picture: None,
        };
        group.push(first);
        group
    }

    fn push(&mut self, fragment: &Fragment) {
        self.end = fragment.end();
        self.all.1 = self.all.1.max(fragment.end_us());
        if fragment.rendition == Rendition::Video {
            let (_, end) = self
                .picture
                .get_or_insert((fragment.start_us(), fragment.end_us()));
            *end = fragment.end_us().max(*end);
        }
    }

    fn ends_before(&self, mark: &Mark, fragment: &Fragment) -> bool {
        if fragment.mark != self.mark_index {
            return true;
        }
        let leads = mark.has_video == (fragment.rendition == Rendition::Video);
        let elapsed = fragment.start_us().saturating_sub(self.all.0);
        leads && ((fragment.key && elapsed >= SEGMENT_US_MIN) || elapsed >= SEGMENT_US_MAX)
    }

    /// `end`: when the segment after it begins, if nothing is missing in between. Where there is a picture, it says when the
    /// segment begins and ends.
    fn segment(&self, end: Option<u64>) -> VodSegment {
        let (start, own_end) = self.picture.unwrap_or(self.all);
        let end = end.unwrap_or(own_end);
        VodSegment {
            map: (self.mark.init_offset, self.mark.init_bytes),
            bytes: (self.offset, self.end - self.offset),
            duration: end.saturating_sub(start) as f64 / 1e6,
            date_ms: self
                .mark
                .zero_unix_ms
                .saturating_add(i64::try_from(start / 1000).unwrap_or(0)),
            discontinuity: self.discontinuity,
        }
    }
}
