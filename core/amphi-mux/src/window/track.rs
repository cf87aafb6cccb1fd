//! One rendition of a window: its segments, and what its playlist lists of them.

use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use amphi_media::{Bitrate, MediaTime};
use bytes::{Bytes, BytesMut};

use super::Found;
use super::WindowConfig;
use crate::packager::{Init, Part, Rendition, join_captions};
use crate::playlist::{Bits, Live, LivePart, LiveSegment, Measured, Report};

/// Parts are listed for this many target durations before the end (RFC 8216bis §6.2.2.1: at least that, and older ones should go).
const PARTS_LISTED_TARGETS: u64 = 3;

/// Pictures a second are counted over segments of at least this: a cut leaves shorter ones, whose few pictures say little.
const FRAME_RATE_OVER: Duration = Duration::from_secs(1);

/// Delta updates leave out what is this many target durations and more before the end (RFC 8216bis §4.4.3.8: six at least).
const SKIP_TARGETS: u64 = 6;

/// Missing segments that are told as gaps; beyond that the rendition begins anew.
const GAPS_MAX: u64 = 16;

pub(super) struct Track {
    pub(super) rendition: Rendition,
    pub(super) inits: BTreeMap<u32, Init>,
    /// In order, without a hole; the last one may be in the making.
    pub(super) segments: VecDeque<Segment>,
    /// First one in the playlist.
    pub(super) listed_from: u64,
    /// First one that is young enough to be listed though nobody keeps it, and to be in memory though somebody does.
    pub(super) young_from: u64,
    pub(super) memory_from: u64,
    /// Segments that were completed and are not asked to be kept yet.
    pub(super) closed: Vec<u64>,
    /// Since the newest part, if anybody asked.
    pub(super) full: OnceCell<Option<Bytes>>,
    pub(super) delta: OnceCell<Option<Bytes>>,
    /// The rung has left the ladder: its playlist, which the multivariant one no longer names, goes on with the top rung's segments.
    pub(super) left: bool,
    /// How many of its segments are the top rung's.
    pub(super) borrowed: usize,
}

pub(super) struct Segment {
    pub(super) sequence: u64,
    pub(super) generation: u32,
    /// In ticks of the rendition.
    pub(super) time: i64,
    pub(super) duration: i64,
    pub(super) parts: Vec<Piece>,
    /// All parts in one, when it is complete.
    pub(super) whole: Option<Bytes>,
    pub(super) complete: bool,
    pub(super) gap: bool,
    pub(super) shown: u64,
    /// In memory.
    pub(super) bytes: usize,
    /// When it was made.
    pub(super) size: usize,
    /// Somebody else has it.
    pub(super) kept: bool,
    /// It is the top rung's of the same number, which has the bytes.
    pub(super) borrowed: bool,
    /// The end of the newest part when it left the playlist.
    pub(super) left_at: Option<i64>,
    /// Its lines in a playlist, when its parts are no longer listed.
    pub(super) lines: OnceCell<String>,
}

pub(super) struct Piece {
    pub(super) duration: i64,
    pub(super) independent: bool,
    pub(super) bytes: Bytes,
}

/// What a playlist lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Full,
    /// Without what is before the skip boundary.
    Delta,
}

/// What has left a rendition.
#[derive(Default)]
pub(super) struct Gone {
    pub(super) segments: u64,
    /// Of memory.
    pub(super) bytes: u64,
    pub(super) unkept: u64,
    /// Kept elsewhere: number and size.
    pub(super) kept: Vec<(u64, usize)>,
}

impl Track {
    pub(super) fn new(rendition: Rendition) -> Self {
        Self {
            rendition,
            inits: BTreeMap::new(),
            segments: VecDeque::new(),
            listed_from: 0,
            young_from: 0,
            memory_from: 0,
            closed: Vec::new(),
            full: OnceCell::new(),
            delta: OnceCell::new(),
            left: false,
            borrowed: 0,
        }
    }

    pub(super) fn ticks(&self, duration: Duration) -> i64 {
        MediaTime::from_duration(duration, self.rendition.rate()).ticks
    }

    /// Its playlists are to be made anew.
    pub(super) fn changed(&mut self) {
        self.full = OnceCell::new();
        self.delta = OnceCell::new();
    }

    pub(super) fn segment(&self, sequence: u64) -> Option<&Segment> {
        let first = self.segments.front()?.sequence;
        let at = usize::try_from(sequence.checked_sub(first)?).ok()?;
        self.segments.get(at)
    }

    pub(super) fn segment_mut(&mut self, sequence: u64) -> Option<&mut Segment> {
        let first = self.segments.front()?.sequence;
        let at = usize::try_from(sequence.checked_sub(first)?).ok()?;
        self.segments.get_mut(at)
    }

    /// Where the playlist begins, on the programme clock.
    pub(super) fn oldest_us(&self) -> Option<i64> {
        let first = self.segment(self.listed_from).or(self.segments.back())?;
        Some(MediaTime::new(first.time, self.rendition.rate()).micros())
    }

    /// Of the newest part.
    pub(super) fn end(&self) -> i64 {
        (self.segments.back()).map_or(0, |last| last.time + last.duration)
    }

    /// Listed segments, without gaps, in which something of that time is.
    pub(super) fn between(&self, from: i64, to: i64) -> Vec<&Segment> {
        self.segments
            .iter()
            .filter(|segment| segment.sequence >= self.listed_from && !segment.gap)
            .filter(|segment| segment.time < to && segment.time + segment.duration > from)
            .collect()
    }

    pub(super) fn close_last(&mut self) {
        let rendition = self.rendition;
        if let Some(last) = self.segments.back_mut()
            && !last.complete
        {
            last.close(rendition);
            if last.borrowed {
                return;
            }
            let sequence = last.sequence;
            self.closed.push(sequence);
        }
    }

    /// Adds a part; says how many segments before it are missing. None when it is passed over: the segment in which a rung comes back
    /// is the top rung's to its end.
    pub(super) fn take(&mut self, part: &Part, gone: &mut Gone) -> Option<u64> {
        let last = self.segments.back().filter(|last| last.borrowed);
        if last.is_some_and(|last| part.sequence <= last.sequence) {
            return None;
        }
        self.changed();
        let mut missing = 0;
        let goes_on = self
            .segments
            .back()
            .is_some_and(|last| last.sequence == part.sequence && !last.complete);
        if !goes_on {
            self.close_last();
            if let Some(last) = self.segments.back() {
                missing = part.sequence.saturating_sub(last.sequence + 1);
            }
            if missing > GAPS_MAX {
                while !self.segments.is_empty() {
                    self.forget_first(gone);
                }
            } else {
                self.fill_gaps(part, missing);
            }
            if self.segments.is_empty() {
                self.listed_from = part.sequence;
                self.young_from = part.sequence;
                self.memory_from = part.sequence;
            }
            self.segments.push_back(Segment {
                sequence: part.sequence,
                generation: part.generation,
                time: part.time.ticks,
                duration: 0,
                parts: Vec::new(),
                whole: None,
                complete: false,
                gap: false,
                shown: 0,
                bytes: 0,
                size: 0,
                kept: false,
                borrowed: false,
                left_at: None,
                lines: OnceCell::new(),
            });
        }
        let segment = self
            .segments
            .back_mut()
            .expect("one was pushed if there was none");
        // With a hole in the sound the parts do not touch; the segment lasts from its first to its last sample.
        segment.duration = part.time.ticks + part.duration.ticks - segment.time;
        segment.shown += u64::from(part.shown);
        segment.bytes += part.bytes.len();
        segment.size += part.bytes.len();
        segment.parts.push(Piece {
            duration: part.duration.ticks,
            independent: part.independent,
            bytes: part.bytes.clone(),
        });
        if part.ends_segment {
            self.close_last();
        }
        Some(missing)
    }

    /// Goes on with what the top rung has. Whoever plays a rung that leaves is not interrupted: after its own last segment its playlist
    /// lists the top rung's, under its own names, so that what was hinted at comes.
    pub(super) fn follow(&mut self, top: &Track, gone: &mut Gone) {
        let memory_from = self.memory_from;
        let recent = self.segments.iter_mut().rev();
        for segment in recent.take_while(|one| one.sequence >= memory_from) {
            if let Some(of) = top.segment(segment.sequence).filter(|_| segment.borrowed) {
                let left_at = segment.left_at;
                *segment = Segment {
                    left_at,
                    ..of.lent()
                };
            }
        }
        let last = self.segments.back().filter(|_| self.left);
        if let (Some(last), Some(first)) = (last.map(|last| last.sequence), top.segments.front()) {
            if first.sequence > last + 1 {
                while !self.segments.is_empty() {
                    self.forget_first(gone);
                }
                self.listed_from = first.sequence;
                self.young_from = first.sequence;
                self.memory_from = first.sequence;
            }
            for of in top.segments.iter().filter(|one| one.sequence > last) {
                self.segments.push_back(of.lent());
                self.borrowed += 1;
            }
        }
        // What the top rung no longer lists cannot be had for as long as it is listed here.
        let listed_from = self.listed_from;
        let listed = self.segments.iter().filter(|one| one.borrowed);
        let mut unlisted =
            listed.filter(|one| (listed_from..top.listed_from).contains(&one.sequence));
        if unlisted.next().is_some() {
            self.listed_from = top.listed_from;
            self.leave(self.end());
        }
        self.changed();
    }

    /// A segment without sound still has its number (RFC 8216bis §4.4.4.7).
    pub(super) fn fill_gaps(&mut self, part: &Part, missing: u64) {
        let Some(last) = self.segments.back() else {
            return;
        };
        let (from, sequence) = (last.time + last.duration, last.sequence);
        let count = i64::try_from(missing).expect("bounded by GAPS_MAX");
        let each = if count == 0 {
            0
        } else {
            ((part.time.ticks - from) / count).max(1)
        };
        for (number, sequence) in (0..count).zip(sequence + 1..) {
            self.segments.push_back(Segment {
                sequence,
                generation: part.generation,
                time: from + number * each,
                duration: each,
                parts: Vec::new(),
                whole: None,
                complete: true,
                gap: true,
                shown: 0,
                bytes: 0,
                size: 0,
                // There is nothing to be kept of it.
                kept: true,
                borrowed: false,
                left_at: None,
                lines: OnceCell::new(),
            });
        }
    }

    /// Takes from the playlist, and later from memory, what is old.
    pub(super) fn let_go(&mut self, end: i64, config: &WindowConfig, gone: &mut Gone) {
        let listed = self.ticks(config.listed);
        let held = listed + self.ticks(config.kept);
        let longest = config
            .dvr
            .map_or(listed, |dvr| self.ticks(dvr.listed).max(listed));
        let age = |segment: &Segment| end - (segment.time + segment.duration);
        while let Some(segment) = self
            .segment(self.young_from)
            .filter(|one| age(one) >= listed)
        {
            if !segment.kept {
                gone.unkept += u64::from(config.dvr.is_some());
                self.listed_from = self.listed_from.max(segment.sequence + 1);
            }
            self.young_from += 1;
        }
        while self
            .segment(self.listed_from)
            .is_some_and(|one| age(one) >= longest)
        {
            self.listed_from += 1;
        }
        while let Some(segment) = self
            .segment(self.memory_from)
            .filter(|one| age(one) >= held)
        {
            if segment.kept
                && let Some(segment) = self.segment_mut(self.memory_from)
            {
                gone.bytes += std::mem::take(&mut segment.bytes) as u64;
                segment.whole = None;
                segment.parts = Vec::new();
            }
            self.memory_from += 1;
        }
        self.leave(end);
        let kept = self.ticks(config.kept);
        let kept_elsewhere = config.dvr.map_or(kept, |dvr| {
            self.ticks(dvr.kept(config.segment_max)).max(kept)
        });
        while let Some(first) = self.segments.front() {
            let kept = if first.kept { kept_elsewhere } else { kept };
            if first.left_at.is_none_or(|left_at| end - left_at < kept) {
                break;
            }
            self.forget_first(gone);
        }
        let oldest = self.segments.front().map_or(0, |first| first.generation);
        self.inits.retain(|generation, _| *generation >= oldest);
    }

    /// Notes when segments left the playlist.
    pub(super) fn leave(&mut self, end: i64) {
        let left = (self.segments.iter_mut()).take_while(|one| one.sequence < self.listed_from);
        for segment in left {
            segment.left_at.get_or_insert(end);
        }
    }

    pub(super) fn forget_first(&mut self, gone: &mut Gone) {
        if let Some(first) = self.segments.pop_front() {
            self.borrowed -= usize::from(first.borrowed);
            gone.segments += 1;
            gone.bytes += first.bytes as u64;
            if first.kept && first.own_size() > 0 {
                gone.kept.push((first.sequence, first.size));
            }
        }
    }

    /// Bytes of listed segments that are kept elsewhere.
    pub(super) fn kept_and_listed(&self) -> u64 {
        let listed = self
            .segments
            .iter()
            .filter(|segment| segment.sequence >= self.listed_from && segment.kept);
        listed.map(|segment| segment.own_size() as u64).sum()
    }

    /// The first segment of the playlist, if it may leave early.
    pub(super) fn first_old(&self) -> Option<&Segment> {
        self.segment(self.listed_from)
            .filter(|first| first.sequence < self.young_from)
    }

    pub(super) fn leave_first(&mut self) {
        self.listed_from += 1;
        self.leave(self.end());
        self.changed();
    }

    /// The oldest segment, if it has left the playlist.
    pub(super) fn first_left(&self) -> Option<&Segment> {
        self.segments
            .front()
            .filter(|first| first.left_at.is_some() && first.kept)
    }

    pub(super) fn find(
        &self,
        sequence: u64,
        ended: bool,
        found: impl FnOnce(&Segment) -> Found,
    ) -> Found {
        let (Some(first), Some(last)) = (self.segments.front(), self.segments.back()) else {
            return Found::Unknown;
        };
        if sequence < first.sequence {
            return Found::Gone;
        }
        if sequence == last.sequence + 1 && last.complete && !ended {
            return Found::NotYet;
        }
        self.segment(sequence).map_or(Found::Unknown, found)
    }

    pub(super) fn report(&self) -> Option<Report> {
        let last = self.segments.back()?;
        let part = u32::try_from(last.parts.len())
            .expect("a segment has a dozen parts")
            .checked_sub(1)?;
        Some(Report {
            rendition: self.rendition,
            sequence: last.sequence,
            part,
        })
    }

    pub(super) fn live(
        &self,
        config: &WindowConfig,
        reports: Vec<Report>,
        ended: bool,
        form: Form,
    ) -> Option<Live<'_>> {
        let last = self.segments.back()?;
        let rate = self.rendition.rate();
        let seconds = |ticks| MediaTime::new(ticks, rate).seconds();
        let target_duration = config.segment_max.as_secs();
        let end = last.time + last.duration;
        let targets = |count: u64| self.ticks(config.segment_max) * count as i64;
        let parts_from = end - targets(PARTS_LISTED_TARGETS);
        let skip_until = config.dvr.map(|_| SKIP_TARGETS * target_duration);
        let listed = self
            .segments
            .iter()
            .skip_while(|segment| segment.sequence < self.listed_from);
        let skip_from = end - targets(SKIP_TARGETS);
        let skipped = match form {
            Form::Full => 0,
            Form::Delta => listed
                .clone()
                .take_while(|one| one.time + one.duration <= skip_from)
                .count(),
        };
        let segments = listed
            .map(|segment| LiveSegment {
                sequence: segment.sequence,
                generation: segment.generation,
                map: match segment.borrowed {
                    true => Rendition::Video,
                    false => self.rendition,
                },
                date_ms: config.zero_unix_ms
                    + MediaTime::new(segment.time, rate).rescale(1000).ticks,
                duration: segment.complete.then(|| seconds(segment.duration)),
                gap: segment.gap,
                parts: segment
                    .parts
                    .iter()
                    .filter(|_| !segment.gap && segment.time + segment.duration > parts_from)
                    .map(|piece| LivePart {
                        duration: seconds(piece.duration),
                        independent: piece.independent,
                    })
                    .collect(),
                // What is kept elsewhere never becomes a gap, and has no parts that are listed.
                lines: (segment.kept && segment.parts.is_empty()).then_some(&segment.lines),
            })
            .collect();
        Some(Live {
            rendition: self.rendition,
            epoch: config.epoch,
            target_duration,
            part_target: config.part_target.as_secs_f64(),
            part_hold_back: config.part_hold_back().as_secs_f64(),
            skip_until,
            skipped,
            segments,
            reports,
            ended,
        })
    }

    /// Of all that is listed, the newest first: a cut may have brought another profile or level (RFC 8216bis §6.2.4).
    pub(super) fn codecs(&self, top: Option<&Track>) -> Vec<String> {
        let listed = self
            .segments
            .iter()
            .filter(|segment| segment.sequence >= self.listed_from);
        let mut codecs = Vec::new();
        for segment in listed.rev() {
            let track = top.filter(|_| segment.borrowed).unwrap_or(self);
            match track.inits.get(&segment.generation) {
                Some(init) if !codecs.contains(&init.codecs) => codecs.push(init.codecs.clone()),
                Some(_) | None => {}
            }
        }
        codecs
    }

    /// What was packed lately, for the multivariant playlist. None of a rung that has nothing of its own to show yet.
    pub(super) fn measured(&self, top: Option<&Track>) -> Option<Measured> {
        let init = self.inits.values().next_back()?;
        let lately = self.lately()?;
        let seconds = |ticks| MediaTime::new(ticks, self.rendition.rate()).seconds();
        let ticks: i64 = lately.iter().map(|segment| segment.duration).sum();
        // The most of any segment, which is what FRAME-RATE asks for (RFC 8216bis §4.4.6.2); in short ones chance decides.
        let long = lately
            .iter()
            .filter(|segment| segment.duration >= self.ticks(FRAME_RATE_OVER));
        let frame_rate = long
            .map(|segment| segment.shown as f64 / seconds(segment.duration))
            .reduce(f64::max)
            .unwrap_or_else(|| {
                let shown: u64 = lately.iter().map(|segment| segment.shown).sum();
                shown as f64 / seconds(ticks.max(1))
            });
        Some(Measured {
            codecs: self.codecs(top),
            size: init.size,
            bits: self.bits()?,
            frame_rate,
        })
    }

    /// What it takes of a line.
    pub(super) fn bits(&self) -> Option<Bits> {
        let lately = self.lately()?;
        let of = |bytes: usize, ticks| {
            let duration = MediaTime::new(ticks, self.rendition.rate()).to_duration();
            Bitrate::of(bytes as u64, duration).0
        };
        let peak = lately
            .iter()
            .map(|segment| of(segment.size, segment.duration))
            .max()
            .unwrap_or(0);
        let ticks: i64 = lately.iter().map(|segment| segment.duration).sum();
        let average = of(lately.iter().map(|segment| segment.size).sum(), ticks);
        Some(Bits {
            peak: peak.max(1),
            average: average.max(1),
        })
    }

    /// What is measured. None of a rung that has nothing of its own to show yet.
    fn lately(&self) -> Option<Vec<&Segment>> {
        let last = self.segments.back().filter(|last| !last.borrowed)?;
        // Whole segments, since that is what BANDWIDTH speaks of (RFC 8216bis §4.4.6.2); before the first, what there is.
        let whole = self
            .segments
            .iter()
            .filter(|segment| segment.complete && !segment.gap);
        let mut lately: Vec<&Segment> = whole
            .filter(|segment| segment.sequence >= self.listed_from)
            .collect();
        if lately.is_empty() {
            lately.push(last);
        }
        Some(lately)
    }
}

impl Segment {
    /// Bytes that are counted for this rung.
    pub(super) fn own_size(&self) -> usize {
        if self.borrowed { 0 } else { self.size }
    }

    /// As it stands in the playlist of a rung that has left.
    pub(super) fn lent(&self) -> Self {
        let lent = |piece: &Piece| Piece {
            bytes: Bytes::new(),
            ..*piece
        };
        Self {
            sequence: self.sequence,
            generation: self.generation,
            time: self.time,
            duration: self.duration,
            parts: self.parts.iter().map(lent).collect(),
            whole: None,
            complete: self.complete,
            gap: self.gap,
            shown: self.shown,
            bytes: 0,
            size: self.size,
            kept: true,
            borrowed: true,
            left_at: None,
            lines: OnceCell::new(),
        }
    }

    /// What there is of it, if that is in memory.
    pub(super) fn in_memory(&self) -> Option<Bytes> {
        if self.complete {
            return self.whole.clone();
        }
        let mut bytes = BytesMut::with_capacity(self.bytes);
        for piece in &self.parts {
            bytes.extend_from_slice(&piece.bytes);
        }
        Some(bytes.freeze())
    }

    /// Puts the parts together, so that a segment's bytes are held once and handed out without copying.
    pub(super) fn close(&mut self, rendition: Rendition) {
        if self.complete {
            return;
        }
        self.complete = true;
        if self.borrowed {
            return;
        }
        if rendition == Rendition::Captions {
            let whole = join_captions(self.parts.iter().map(|piece| &piece.bytes[..]));
            self.size = whole.len();
            self.whole = Some(whole);
            return;
        }
        let mut whole = BytesMut::with_capacity(self.bytes);
        for piece in &self.parts {
            whole.extend_from_slice(&piece.bytes);
        }
        let whole = whole.freeze();
        let mut at = 0;
        for piece in &mut self.parts {
            let end = at + piece.bytes.len();
            piece.bytes = whole.slice(at..end);
            at = end;
        }
        self.whole = Some(whole);
    }
}
