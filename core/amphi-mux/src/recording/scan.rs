use std::time::Duration;

use amphi_media::MediaTime;

use super::{MARK_GAP, MARK_HEAD_BYTES, MARK_ID, MARK_VIDEO};
use crate::boxes::{AUDIO_RATE, AUDIO_TRACK, FLAG_NON_SYNC, VIDEO_RATE, VIDEO_TRACK};
use crate::packager::Rendition;

/// Fragments of most of a day, which is what a [`Scan`] holds; [`sum`] and the playlist's reader go on.
const FRAGMENTS_MAX: usize = 1_500_000;
/// Largest `moof` that is read; ours have some hundred bytes.
const MOOF_BYTES_MAX: u64 = 256 * 1024;

/// Bytes at rest, of which some are read.
pub trait ByteSource {
    fn size(&self) -> u64;

    /// Fills all of `into` from `offset` on. None when that cannot be read.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Option<()>;
}

impl ByteSource for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Option<()> {
        let start = usize::try_from(offset).ok()?;
        into.copy_from_slice(self.get(start..start.checked_add(into.len())?)?);
        Some(())
    }
}

/// What is in a recording.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scan {
    /// Up to here the file is whole. Less than its size when the last write was cut short.
    pub good_bytes: u64,
    /// `moov` was found before the first fragment.
    pub playable: bool,
    pub marks: Vec<Mark>,
    pub fragments: Vec<Fragment>,
}

/// Where a generation begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    pub generation: u32,
    /// Something before it could not be written.
    pub gap: bool,
    pub has_video: bool,
    /// Unix time, in milliseconds, of the recording's zero.
    pub zero_unix_ms: i64,
    pub init_offset: u64,
    pub init_bytes: u64,
}

/// One part: `moof` and `mdat`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    pub rendition: Rendition,
    pub offset: u64,
    pub bytes: u64,
    /// Since the recording's zero, in ticks of the rendition.
    pub time: u64,
    pub duration: u64,
    /// A decoder can start at its first sample.
    pub key: bool,
    /// Index of the mark it comes after; the first fragments of a file always come after one.
    pub mark: u32,
}

impl Fragment {
    /// When it begins, in microseconds since the recording's zero.
    pub fn start_us(&self) -> u64 {
        micros(self.time, self.rendition)
    }

    /// Where the next box begins.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.bytes
    }

    pub fn end_us(&self) -> u64 {
        micros(self.time.saturating_add(self.duration), self.rendition)
    }
}

fn micros(ticks: u64, rendition: Rendition) -> u64 {
    let time = MediaTime::new(i64::try_from(ticks).unwrap_or(i64::MAX), rendition.rate());
    u64::try_from(time.micros()).unwrap_or(0)
}

impl Scan {
    pub fn duration(&self) -> Duration {
        Duration::from_micros(
            self.fragments
                .iter()
                .map(Fragment::end_us)
                .max()
                .unwrap_or(0),
        )
    }

    pub fn has_video(&self) -> bool {
        self.fragments
            .iter()
            .any(|fragment| fragment.rendition == Rendition::Video)
    }

    pub fn gaps(&self) -> u32 {
        self.marks.iter().map(|mark| u32::from(mark.gap)).sum()
    }

    /// Unix time, in milliseconds, of the recording's zero.
    pub fn zero_unix_ms(&self) -> Option<i64> {
        self.marks.first().map(|mark| mark.zero_unix_ms)
    }

    /// Unix time of the end of what there is of a rendition, in microseconds. None when there is nothing of it.
    pub fn end_unix_us(&self, rendition: Rendition) -> Option<i64> {
        let of = self
            .fragments
            .iter()
            .filter(|fragment| fragment.rendition == rendition);
        let end_us = of.map(Fragment::end_us).max()?;
        let zero_us = self.zero_unix_ms()?.saturating_mul(1_000);
        Some(zero_us.saturating_add_unsigned(end_us))
    }
}

/// Reads what a [`super::Writer`] wrote, up to the first thing that is not whole. Reads headers only.
pub fn scan<S: ByteSource + ?Sized>(source: &S) -> Scan {
    let mut scan = Scan::default();
    scan.good_bytes = walk(source, 0, 0, |item| {
        match item {
            Item::Header => scan.playable = true,
            Item::Mark(mark) => scan.marks.push(mark),
            Item::Fragment(_) if scan.fragments.len() >= FRAGMENTS_MAX => return Walk::Stop,
            Item::Fragment(fragment) => scan.fragments.push(fragment),
        }
        Walk::On
    });
    // A mark without a fragment after it begins nothing.
    let used = scan
        .fragments
        .last()
        .map_or(0, |last| last.mark as usize + 1);
    scan.marks.truncate(used);
    scan
}

/// What a recording comes to, however long it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum {
    /// As of [`Scan`].
    pub good_bytes: u64,
    pub duration: Duration,
    pub gaps: u32,
}

/// Reads like [`scan`] and holds nothing.
pub fn sum<S: ByteSource + ?Sized>(source: &S) -> Sum {
    let mut end_us = 0;
    // A mark without a fragment after it begins nothing.
    let (mut gaps, mut gaps_begun) = (0, 0);
    let good_bytes = walk(source, 0, 0, |item| {
        match item {
            Item::Header => {}
            Item::Mark(mark) => gaps += u32::from(mark.gap),
            Item::Fragment(fragment) => {
                end_us = fragment.end_us().max(end_us);
                gaps_begun = gaps;
            }
        }
        Walk::On
    });
    Sum {
        good_bytes,
        duration: Duration::from_micros(end_us),
        gaps: gaps_begun,
    }
}

/// What is found on the way through a file.
pub(super) enum Item {
    /// `moov`.
    Header,
    Mark(Mark),
    Fragment(Fragment),
}

pub(super) enum Walk {
    On,
    /// This one is not taken, and nothing after it.
    Stop,
}

/// The fragments of something that has no marks: a segment.
pub(crate) fn fragments(segment: &[u8]) -> Vec<Fragment> {
    let mut found = Vec::new();
    walk(segment, 0, 1, |item| {
        if let Item::Fragment(fragment) = item {
            found.push(fragment);
        }
        Walk::On
    });
    found
}

/// From box to box, `marks` of which came before. Where it ended: at the first thing that is not whole, not known, or not
/// taken.
pub(super) fn walk<S: ByteSource + ?Sized>(
    source: &S,
    mut at: u64,
    mut marks: usize,
    mut take: impl FnMut(Item) -> Walk,
) -> u64 {
    let size = source.size();
    while let Some(found) = BoxHead::read(source, at, size) {
        let (item, end) = match &found.kind {
            b"moov" => (Some(Item::Header), found.end),
            b"uuid" => {
                let mark = read_mark(source, &found);
                marks += usize::from(mark.is_some());
                (mark.map(Item::Mark), found.end)
            }
            b"moof" => match read_fragment(source, &found, size, marks) {
                Some(fragment) => (Some(Item::Fragment(fragment)), fragment.end()),
                None => break,
            },
            // Samples without a head are no fragment of ours.
            b"mdat" => break,
            // ftyp, free, and what a later version may add.
            _ => (None, found.end),
        };
        if let Some(Walk::Stop) = item.map(&mut take) {
            break;
        }
        at = end;
    }
    at
}

/// Whether that fragment is where it was found.
pub(super) fn is_there<S: ByteSource + ?Sized>(source: &S, fragment: &Fragment) -> bool {
    let size = source.size();
    let found = BoxHead::read(source, fragment.offset, size).filter(|found| &found.kind == b"moof");
    let read =
        found.and_then(|found| read_fragment(source, &found, size, fragment.mark as usize + 1));
    read.as_ref() == Some(fragment)
}

/// A box that is there from its first byte to its last.
struct BoxHead {
    kind: [u8; 4],
    offset: u64,
    end: u64,
}

impl BoxHead {
    fn read<S: ByteSource + ?Sized>(source: &S, offset: u64, size: u64) -> Option<Self> {
        let mut head = [0; 8];
        if size.checked_sub(offset)? < 8 {
            return None;
        }
        source.read_at(offset, &mut head)?;
        let [a, b, c, d, kind @ ..] = head;
        // 0 and 1 are "to the end" and "64 bits follow", neither of which is ever written here.
        let length = u64::from(u32::from_be_bytes([a, b, c, d]));
        let end = offset.checked_add(length)?;
        let printable = kind.iter().all(|byte| (0x20..0x7f).contains(byte));
        (length >= 8 && end <= size && printable).then_some(Self { kind, offset, end })
    }
}

fn read_mark<S: ByteSource + ?Sized>(source: &S, found: &BoxHead) -> Option<Mark> {
    let mut head = [0; MARK_HEAD_BYTES];
    let init_offset = found.offset + MARK_HEAD_BYTES as u64;
    if found.end < init_offset {
        return None;
    }
    source.read_at(found.offset, &mut head)?;
    let mut fields = Fields(&head[8..]);
    if fields.take(16)? != MARK_ID {
        return None;
    }
    let generation = fields.u32()?;
    let flags = fields.u32()?;
    let zero_unix_ms = fields.u64()?.cast_signed();
    Some(Mark {
        generation,
        gap: flags & MARK_GAP != 0,
        has_video: flags & MARK_VIDEO != 0,
        zero_unix_ms,
        init_offset,
        init_bytes: found.end - init_offset,
    })
}

/// A `moof` and the `mdat` after it, both whole.
fn read_fragment<S: ByteSource + ?Sized>(
    source: &S,
    moof: &BoxHead,
    size: u64,
    marks: usize,
) -> Option<Fragment> {
    if moof.end - moof.offset > MOOF_BYTES_MAX {
        return None;
    }
    let mdat = BoxHead::read(source, moof.end, size).filter(|found| &found.kind == b"mdat")?;
    let mut bytes = vec![0; usize::try_from(moof.end - moof.offset - 8).ok()?];
    source.read_at(moof.offset + 8, &mut bytes)?;
    let run = TrackRun::read(&bytes)?;
    let rendition = match run.track {
        VIDEO_TRACK => Rendition::Video,
        AUDIO_TRACK => Rendition::Audio,
        _ => return None,
    };
    Some(Fragment {
        rendition,
        offset: moof.offset,
        bytes: mdat.end - moof.offset,
        time: run.time,
        duration: run.duration,
        key: run.key,
        mark: u32::try_from(marks.checked_sub(1)?).ok()?,
    })
}

/// What a `moof` with one `traf` tells. Read by hand, without recursion: what is read may be anything.
#[derive(Default)]
struct TrackRun {
    track: u32,
    time: u64,
    duration: u64,
    key: bool,
}

impl TrackRun {
    fn read(moof: &[u8]) -> Option<Self> {
        let traf = child(moof, b"traf")?;
        let mut run = TrackRun::default();
        let mut tfhd = Fields(child(traf, b"tfhd")?);
        let flags = tfhd.u32()?;
        run.track = tfhd.u32()?;
        let mut optional = |bit: u32, length: usize| {
            if flags & bit == 0 {
                Some(&[][..])
            } else {
                tfhd.take(length)
            }
        };
        optional(0x01, 8)?;
        optional(0x02, 4)?;
        let default_duration = number(optional(0x08, 4)?);
        optional(0x10, 4)?;
        let default_flags = number(optional(0x20, 4)?);

        let mut tfdt = Fields(child(traf, b"tfdt")?);
        run.time = if tfdt.u32()? >> 24 == 1 {
            tfdt.u64()?
        } else {
            u64::from(tfdt.u32()?)
        };

        let mut trun = Fields(child(traf, b"trun")?);
        let flags = trun.u32()?;
        let count = trun.u32()?;
        if flags & 0x01 != 0 {
            trun.u32()?;
        }
        let first_flags = if flags & 0x04 != 0 {
            Some(trun.u32()?)
        } else {
            None
        };
        let per_sample = [0x100, 0x200, 0x400, 0x800].map(|bit| flags & bit != 0);
        if per_sample.iter().all(|there| !there) {
            run.duration = u64::from(count) * u64::from(default_duration);
            run.key = count > 0 && first_flags.unwrap_or(default_flags) & FLAG_NON_SYNC == 0;
            return Some(run);
        }
        for index in 0..count {
            let mut field = |there: bool| {
                if there {
                    trun.u32().map(Some)
                } else {
                    Some(None)
                }
            };
            let [duration, size, flags, offset] = per_sample;
            let duration = field(duration)?.unwrap_or(default_duration);
            field(size)?;
            let flags = field(flags)?;
            field(offset)?;
            run.duration += u64::from(duration);
            if index == 0 {
                run.key = first_flags.or(flags).unwrap_or(default_flags) & FLAG_NON_SYNC == 0;
            }
        }
        Some(run)
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_be_bytes)
}

/// The content of the first child box of that kind.
fn child<'a>(mut boxes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    loop {
        let length = usize::try_from(number(boxes.get(..4)?)).ok()?;
        let content = boxes.get(8..length)?;
        if boxes[4..8] == *kind {
            return Some(content);
        }
        boxes = &boxes[length..];
    }
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4).map(number)
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from(self.u32()?) << 32 | u64::from(self.u32()?))
    }
}

const _: () = assert!(
    VIDEO_RATE == 90_000 && AUDIO_RATE == 48_000,
    "the files on disk count in these"
);
