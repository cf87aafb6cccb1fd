//! One media playlist over time: what each version may change of the one before, and when it must come.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::media::Track;
use crate::playlist::{Media, Part, Segment};
use crate::uri::{plain, resolve};
use crate::{Mode, Rule, Violation};

/// Addresses whose meaning is remembered; the oldest is forgotten.
const NAMES_MAX: usize = 8_192;
/// Segments that are remembered after they left.
const LEFT_SEGMENTS_MAX: usize = 256;

/// A media playlist that is followed.
pub(crate) struct Rendition {
    pub url: String,
    /// The newest version.
    pub newest: Option<Media>,
    /// As text, for the comparison after the end; none of a delta update.
    pub text: Option<Vec<u8>>,
    pub segments: BTreeMap<u64, Known>,
    pub track: Track,
    /// When that version was asked for.
    pub asked_at: Option<Instant>,
    /// Reloads so far.
    pub versions: u64,
    /// It was asked for what must be refused.
    pub probed: bool,
    /// What each playlist was known to have when the newest version of this one was asked for.
    pub others_then: Vec<Option<(u64, u64)>>,
    first_sequence: u64,
    part_at: Option<Instant>,
    segment_at: Option<Instant>,
    names: BTreeMap<String, (u64, Option<u64>)>,
    names_by_age: VecDeque<String>,
    pub forgotten: u64,
}

/// What is known of a segment.
pub(crate) struct Known {
    /// As listed last; its parts are all that ever were.
    pub listed: Segment,
    /// Its discontinuity sequence number when it was first listed.
    pub discontinuity: u64,
    /// When its address was first listed.
    pub since: Option<Instant>,
    /// Seconds of the longest playlist that had it.
    pub longest: f64,
    /// It is no longer in the playlist.
    pub left: bool,
    /// Its parts are no longer in the playlist.
    pub parts_left: bool,
}

/// What a version of the playlist brought.
#[derive(Default)]
pub(crate) struct News {
    pub violations: Vec<Violation>,
    /// Segments that left.
    pub left: Vec<u64>,
    /// Segments whose parts left.
    pub parts_left: Vec<u64>,
    pub cuts: u64,
    pub gaps: u64,
}

impl News {
    fn say(&mut self, rule: Rule, what: impl Into<String>) {
        self.violations.push(Violation {
            rule,
            what: what.into(),
        });
    }
}

impl Rendition {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            newest: None,
            text: None,
            segments: BTreeMap::new(),
            track: Track::default(),
            asked_at: None,
            versions: 0,
            probed: false,
            others_then: Vec::new(),
            first_sequence: 0,
            part_at: None,
            segment_at: None,
            names: BTreeMap::new(),
            names_by_age: VecDeque::new(),
            forgotten: 0,
        }
    }

    /// `video.m3u8`, for words.
    pub(crate) fn name(&self) -> &str {
        let path = plain(&self.url);
        path.rsplit('/').next().unwrap_or(path)
    }

    pub(crate) fn ended(&self) -> bool {
        self.newest.as_ref().is_some_and(|newest| newest.ended)
    }

    pub(crate) fn resolve(&self, reference: &str) -> String {
        resolve(&self.url, reference)
    }

    pub(crate) fn newest_part(&self) -> Option<(u64, u64)> {
        self.newest.as_ref().and_then(Media::newest_part)
    }

    /// Seconds of a target duration; the usual one before anything is known.
    pub(crate) fn target(&self) -> Duration {
        let seconds = self
            .newest
            .as_ref()
            .map_or(6, |newest| newest.target_duration);
        Duration::from_secs(seconds.clamp(1, 3_600))
    }

    /// Takes the next version of the playlist.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        mut media: Media,
        text: &[u8],
        mode: Mode,
        slack: Duration,
    ) -> News {
        let mut news = News::default();
        let whole = media.skipped == 0;
        if !whole {
            self.complete(&mut media, &mut news);
        }
        // What was listed before, now under other numbers: if all moved alike, it is the number that is wrong.
        if let Some((old, new)) = self.moved(&media) {
            news.say(
                Rule::MediaSequence,
                format!("what was segment {old} is segment {new}"),
            );
            media.media_sequence = (media.media_sequence).wrapping_add(old).wrapping_sub(new);
            for segment in &mut media.segments {
                segment.number = segment.number.wrapping_add(old).wrapping_sub(new);
            }
        }
        for problem in &media.problems {
            // Of versions alike each would be told again.
            let known = self
                .newest
                .as_ref()
                .is_some_and(|before| before.problems.contains(problem));
            if !known {
                news.say(problem.rule, problem.what.clone());
            }
        }
        if let Some(before) = self.newest.take() {
            self.follow(&before, &media, text, &mut news);
            self.on_time(now, &before, &media, mode, slack, &mut news);
        } else {
            self.first_sequence = media.media_sequence;
            (self.part_at, self.segment_at) = (Some(now), Some(now));
        }
        judge_edge(&media, &mut news);
        let length = media.duration();
        if media.media_sequence > self.first_sequence
            && !media.ended
            && length < 3.0 * media.target_duration as f64 - 0.01
        {
            news.say(
                Rule::PlaylistTooShort,
                format!("segments left and {length:.3} s are left"),
            );
        }
        self.remember(now, &media, length, &mut news);
        self.versions += 1;
        self.text = whole.then(|| text.to_vec());
        self.newest = Some(media);
        for violation in &mut news.violations {
            violation.what = format!("{}: {}", self.name(), violation.what);
        }
        news
    }

    /// Puts what a delta update leaves out in its place again.
    fn complete(&self, media: &mut Media, news: &mut News) {
        let skipped = media.media_sequence..media.media_sequence.saturating_add(media.skipped);
        let before = self.newest.iter().flat_map(|newest| &newest.segments);
        let mut segments: Vec<Segment> = before
            .filter(|segment| skipped.contains(&segment.number))
            .cloned()
            .collect();
        let after: f64 = media.segments.iter().map(Segment::listed).sum();
        let until = (media.control.as_ref()).and_then(|control| control.can_skip_until);
        let known = segments.len() as u64 == media.skipped;
        if !known || after < until.unwrap_or(0.0) - 0.001 {
            news.say(
                Rule::DeltaUpdate,
                format!(
                    "{skipped:?} is left out {after:.3} s before the end, and {} of it is known",
                    segments.len()
                ),
            );
        }
        if let Some(last) = segments.last() {
            let cuts = (last.discontinuity).saturating_sub(media.discontinuity_sequence);
            let mut map = last.map.clone();
            for segment in &mut media.segments {
                segment.discontinuity = segment.discontinuity.saturating_add(cuts);
                if segment.cut {
                    map = None;
                }
                match &segment.map {
                    Some(own) => map = Some(own.clone()),
                    None => segment.map.clone_from(&map),
                }
            }
        }
        for segment in &mut segments {
            segment.parts.clear();
        }
        segments.append(&mut media.segments);
        media.segments = segments;
        media.skipped = 0;
    }

    fn follow(&mut self, before: &Media, media: &Media, text: &[u8], news: &mut News) {
        if before.ended {
            if self.text.as_ref().is_some_and(|known| known != text) {
                news.say(Rule::AfterEnd, "it changed after its end");
            }
            return;
        }
        let told = |media: &Media| {
            (
                media.target_duration,
                media.part_target.map(f64::to_bits),
                media.control.as_ref().map(|control| control.text.clone()),
            )
        };
        if told(before) != told(media) {
            news.say(
                Rule::HeaderChanged,
                format!("{:?} became {:?}", told(before), told(media)),
            );
        }
        if media.media_sequence < before.media_sequence {
            news.say(
                Rule::MediaSequence,
                format!("{} became {}", before.media_sequence, media.media_sequence),
            );
        }
        for segment in &media.segments {
            if let Some(known) = self.segments.get(&segment.number) {
                same(known, segment, media, news);
            }
        }
        self.hint_kept(before, media, news);
    }

    /// An old and a new number when every segment that has an address known from before has another number.
    fn moved(&self, media: &Media) -> Option<(u64, u64)> {
        let mut found = None;
        for segment in &media.segments {
            let Some(uri) = &segment.uri else { continue };
            match self.names.get(&self.resolve(uri)) {
                Some((number, None)) if *number != segment.number => {
                    let by = i128::from(*number) - i128::from(segment.number);
                    match found {
                        Some((_, _, known)) if known != by => return None,
                        Some(_) => {}
                        None => found = Some((*number, segment.number, by)),
                    }
                }
                Some(_) => return None,
                None => {}
            }
        }
        found
            .filter(|_| {
                media
                    .segments
                    .iter()
                    .filter(|one| one.uri.is_some())
                    .count()
                    > 1
            })
            .map(|(old, new, _)| (old, new))
    }

    fn hint_kept(&self, before: &Media, media: &Media, news: &mut News) {
        let Some(hint) = before.hints.iter().find(|hint| hint.kind == "PART") else {
            return;
        };
        let (number, index) = before.next();
        let part = |number: u64, index: u64| {
            let segment = media.segments.iter().find(|one| one.number == number)?;
            segment.parts.get(usize::try_from(index).ok()?)
        };
        // A segment that ended without another part is followed by the next one's first.
        let Some(came) = part(number, index).or_else(|| part(number + 1, 0)) else {
            return;
        };
        if self.resolve(&came.uri) != self.resolve(&hint.uri) {
            news.say(
                Rule::HintKept,
                format!("{} was hinted at and {} came", hint.uri, came.uri),
            );
        }
    }

    fn on_time(
        &mut self,
        now: Instant,
        before: &Media,
        media: &Media,
        mode: Mode,
        slack: Duration,
        news: &mut News,
    ) {
        let target = Duration::from_secs(media.target_duration.min(3_600));
        // A plain player sees a segment up to a reload after it came.
        let polled = match mode {
            Mode::LowLatency => Duration::ZERO,
            Mode::Plain => target,
        };
        if media.ended {
            return;
        }
        if media.newest_segment() > before.newest_segment() {
            let since = self.segment_at.replace(now).unwrap_or(now);
            let late = now.duration_since(since);
            if late > target * 3 / 2 + slack + polled {
                news.say(Rule::SegmentOnTime, format!("it came after {late:?}"));
            }
        }
        let Some(part_target) = media.part_target.filter(|_| mode == Mode::LowLatency) else {
            return;
        };
        if media.newest_part() > before.newest_part() {
            let since = self.part_at.replace(now).unwrap_or(now);
            let late = now.duration_since(since);
            if late > Duration::from_secs_f64(part_target.min(3_600.0)) + slack {
                news.say(Rule::PartOnTime, format!("it came after {late:?}"));
            }
        }
    }

    fn remember(&mut self, now: Instant, media: &Media, length: f64, news: &mut News) {
        for segment in &media.segments {
            let number = segment.number;
            if let Some(uri) = &segment.uri {
                self.call(uri, (number, None), news);
            }
            for (index, part) in segment.parts.iter().enumerate() {
                self.call(&part.uri, (number, Some(index as u64)), news);
            }
            let known = self.segments.entry(number).or_insert_with(|| {
                news.cuts += u64::from(segment.cut);
                Known {
                    listed: Segment::default(),
                    discontinuity: segment.discontinuity,
                    since: None,
                    longest: 0.0,
                    left: false,
                    parts_left: false,
                }
            });
            let parts = std::mem::take(&mut known.listed.parts);
            if segment.parts.is_empty() && !parts.is_empty() && !known.parts_left {
                known.parts_left = true;
                news.parts_left.push(number);
            }
            known.listed = segment.clone();
            if segment.parts.len() < parts.len() {
                known.listed.parts = parts;
            }
            if segment.uri.is_some() && known.since.is_none() {
                known.since = Some(now);
                news.gaps += u64::from(segment.gap);
            }
            known.longest = known.longest.max(length);
        }
        for (number, known) in &mut self.segments {
            if *number < media.media_sequence && !known.left {
                known.left = true;
                news.left.push(*number);
            }
        }
        while self.segments.values().filter(|known| known.left).count() > LEFT_SEGMENTS_MAX {
            self.segments.pop_first();
            self.forgotten += 1;
        }
    }

    fn call(&mut self, uri: &str, what: (u64, Option<u64>), news: &mut News) {
        let url = self.resolve(uri);
        if let Some(known) = self.names.get(&url) {
            if *known != what {
                news.say(
                    Rule::UriReused,
                    format!("{uri} was {} and is {}", words(*known), words(what)),
                );
            }
            return;
        }
        if self.names.len() >= NAMES_MAX
            && let Some(oldest) = self.names_by_age.pop_front()
        {
            self.names.remove(&oldest);
            self.forgotten += 1;
        }
        self.names_by_age.push_back(url.clone());
        self.names.insert(url, what);
    }
}

fn words((number, part): (u64, Option<u64>)) -> String {
    match part {
        Some(part) => format!("part {number}.{part}"),
        None => format!("segment {number}"),
    }
}

/// What was said of a segment is said of it again.
fn same(known: &Known, segment: &Segment, media: &Media, news: &mut News) {
    let (number, before) = (segment.number, &known.listed);
    if before.discontinuity != segment.discontinuity {
        news.say(
            Rule::DiscontinuitySequence,
            format!(
                "segment {number} was in {} and is in {}",
                before.discontinuity, segment.discontinuity
            ),
        );
    }
    let whole = before.uri.is_some();
    let changed = before.map != segment.map
        || before.date_us != segment.date_us
        || before.gap != segment.gap && whole
        || whole && (&before.uri, before.duration) != (&segment.uri, segment.duration);
    if changed {
        news.say(
            Rule::OnlyAppended,
            format!("of segment {number} something else is said than before"),
        );
    }
    let (old, new): (&[Part], &[Part]) = (&before.parts, &segment.parts);
    if new.is_empty() && !old.is_empty() && !known.parts_left {
        let after: f64 = (media.segments.iter())
            .filter(|one| one.number > number)
            .map(Segment::listed)
            .sum();
        if after < 3.0 * media.target_duration as f64 - 0.05 && !segment.gap {
            news.say(
                Rule::PartsAtEdge,
                format!("those of segment {number} left {after:.3} s before the end"),
            );
        }
        return;
    }
    let kept = old.len().min(new.len());
    if old[..kept] != new[..kept] || new.len() < old.len() && !known.parts_left {
        news.say(
            Rule::OnlyAppended,
            format!("the parts of segment {number} are others than before"),
        );
    } else if whole && new.len() > old.len() {
        news.say(
            Rule::OnlyAppended,
            format!("segment {number} was whole and got another part"),
        );
    }
}

/// Parts of what is far from the end should no longer be listed, and none between two that are may be left out.
fn judge_edge(media: &Media, news: &mut News) {
    let mut after = 0.0;
    let far = 3.0 * media.target_duration as f64 + 0.05;
    for segment in media.segments.iter().rev() {
        if after > far && !segment.parts.is_empty() {
            let number = segment.number;
            news.say(
                Rule::PartsAtEdge,
                format!("those of segment {number} are listed {after:.3} s before the end"),
            );
            return;
        }
        after += segment.listed();
    }
}
