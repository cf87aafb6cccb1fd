//! Reading playlists (RFC 8216bis §4). What one text alone breaks is said in [`Problem`]s; nothing here panics or fails
//! on any text, and nothing takes more than in proportion to it.

use crate::Rule;
use crate::captions::is_text;

/// Longer texts are not read: a playlist of ours has some 6 kB.
const TEXT_BYTES_MAX: usize = 1024 * 1024;
const LINES_MAX: usize = 20_000;
const ATTRIBUTES_MAX: usize = 64;
/// Larger numbers are not believed, so that counting on from them cannot overflow.
const NUMBER_MAX: u64 = 1 << 60;
/// Thirty years.
const SECONDS_MAX: f64 = 1e9;
/// Problems that are told of one text.
const PROBLEMS_MAX: usize = 16;

/// A rule that a text breaks by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    pub rule: Rule,
    pub what: String,
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn say(&mut self, rule: Rule, what: impl Into<String>) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(Problem {
                rule,
                what: what.into(),
            });
        }
    }
}

/// A media playlist.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Media {
    pub version: u64,
    /// In seconds.
    pub target_duration: u64,
    pub part_target: Option<f64>,
    pub control: Option<Control>,
    pub media_sequence: u64,
    pub discontinuity_sequence: u64,
    pub independent_segments: bool,
    /// Segments that are left out before the first one here (EXT-X-SKIP); none in a whole playlist.
    pub skipped: u64,
    /// In order; the last one may be without an address yet.
    pub segments: Vec<Segment>,
    pub hints: Vec<Hint>,
    pub reports: Vec<Report>,
    pub ended: bool,
    pub problems: Vec<Problem>,
}

/// EXT-X-SERVER-CONTROL.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Control {
    /// As it was written, for comparing.
    pub text: String,
    pub can_block_reload: bool,
    pub hold_back: Option<f64>,
    pub part_hold_back: Option<f64>,
    pub can_skip_until: Option<f64>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Segment {
    pub number: u64,
    /// Its discontinuity sequence number.
    pub discontinuity: u64,
    /// EXT-X-DISCONTINUITY stands before it.
    pub cut: bool,
    pub map: Option<String>,
    /// Microseconds of unix time.
    pub date_us: Option<i64>,
    /// None while it is being made.
    pub duration: Option<f64>,
    pub uri: Option<String>,
    pub gap: bool,
    pub parts: Vec<Part>,
}

impl Segment {
    /// The seconds that are listed of it: EXTINF, or its parts so far.
    pub fn listed(&self) -> f64 {
        self.duration
            .unwrap_or_else(|| self.parts.iter().map(|part| part.duration).sum())
    }
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Part {
    pub uri: String,
    pub duration: f64,
    pub independent: bool,
    pub gap: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hint {
    /// PART or MAP.
    pub kind: String,
    pub uri: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    pub uri: String,
    pub number: u64,
    pub part: Option<u64>,
}

impl Media {
    /// Reads a text; an error when it is no media playlist at all.
    pub fn read(text: &[u8]) -> Result<Self, Problem> {
        let lines = lines(text)?;
        let mut reading = Reading::default();
        for line in lines {
            reading.line(line);
        }
        reading.finish()
    }

    /// Seconds from the first segment's start to the last part's end.
    pub fn duration(&self) -> f64 {
        self.segments.iter().map(Segment::listed).sum()
    }

    /// The newest part: number of its segment, and its index.
    pub fn newest_part(&self) -> Option<(u64, u64)> {
        let last = self
            .segments
            .iter()
            .rev()
            .find(|segment| !segment.parts.is_empty())?;
        Some((last.number, last.parts.len() as u64 - 1))
    }

    /// The number of the newest whole segment.
    pub fn newest_segment(&self) -> Option<u64> {
        let whole = self.segments.iter().rev().find(|one| one.uri.is_some());
        whole.map(|segment| segment.number)
    }

    /// What a blocking reload asks for: the part after the newest.
    pub fn next(&self) -> (u64, u64) {
        match self.segments.last() {
            Some(last) if last.uri.is_none() => (last.number, last.parts.len() as u64),
            Some(last) => (last.number + 1, 0),
            None => (self.media_sequence, 0),
        }
    }
}

fn lines(text: &[u8]) -> Result<impl Iterator<Item = &str>, Problem> {
    let form = |what: &str| Problem {
        rule: Rule::PlaylistForm,
        what: what.to_owned(),
    };
    if text.len() > TEXT_BYTES_MAX {
        return Err(form("it is longer than any playlist"));
    }
    let text = std::str::from_utf8(text).map_err(|_| form("it is not UTF-8"))?;
    if text.lines().count() > LINES_MAX {
        return Err(form("it has more lines than any playlist"));
    }
    let mut lines = text.lines().map(str::trim_end);
    if lines.next() != Some("#EXTM3U") {
        return Err(form("it does not begin with #EXTM3U"));
    }
    Ok(lines.filter(|line| !line.is_empty()))
}

/// A media playlist that is being read.
#[derive(Default)]
struct Reading {
    media: Media,
    problems: Problems,
    seen: Vec<&'static str>,
    /// The segment that the next address belongs to.
    open: Segment,
    opened: bool,
    /// The map in force.
    map: Option<String>,
    discontinuity: u64,
    map_missing: bool,
}

/// Tags that a media playlist has once at most (§4.4.1, §4.4.3).
const ONCE: &[&str] = &[
    "#EXT-X-VERSION",
    "#EXT-X-TARGETDURATION",
    "#EXT-X-PART-INF",
    "#EXT-X-SERVER-CONTROL",
    "#EXT-X-MEDIA-SEQUENCE",
    "#EXT-X-DISCONTINUITY-SEQUENCE",
    "#EXT-X-ENDLIST",
    "#EXT-X-SKIP",
];

impl Reading {
    fn line(&mut self, line: &str) {
        let Some(tag) = line.strip_prefix('#') else {
            self.address(line);
            return;
        };
        if !tag.starts_with("EXT") {
            return;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if let Some(known) = ONCE.iter().find(|known| **known == name) {
            if self.seen.contains(known) {
                self.form(format!("{name} stands twice"));
            }
            self.seen.push(known);
        }
        match name {
            "#EXT-X-VERSION" => self.media.version = self.integer(name, value),
            "#EXT-X-TARGETDURATION" => self.media.target_duration = self.integer(name, value),
            "#EXT-X-MEDIA-SEQUENCE" => {
                self.before_segments(name);
                self.media.media_sequence = self.integer(name, value);
            }
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                self.before_segments(name);
                self.media.discontinuity_sequence = self.integer(name, value);
                self.discontinuity = self.media.discontinuity_sequence;
            }
            "#EXT-X-INDEPENDENT-SEGMENTS" => self.media.independent_segments = true,
            "#EXT-X-PART-INF" => {
                let target = Attributes::read(value).float("PART-TARGET");
                if target.is_none_or(|target| target <= 0.0) {
                    self.form("EXT-X-PART-INF says no PART-TARGET");
                }
                self.media.part_target = target;
            }
            "#EXT-X-SERVER-CONTROL" => {
                let attributes = Attributes::read(value);
                self.media.control = Some(Control {
                    text: value.to_owned(),
                    can_block_reload: attributes.is("CAN-BLOCK-RELOAD", "YES"),
                    hold_back: attributes.float("HOLD-BACK"),
                    part_hold_back: attributes.float("PART-HOLD-BACK"),
                    can_skip_until: attributes.float("CAN-SKIP-UNTIL"),
                });
            }
            "#EXT-X-SKIP" => {
                self.before_segments(name);
                let skipped = Attributes::read(value).integer("SKIPPED-SEGMENTS");
                let skipped = skipped.filter(|count| *count > 0 && *count < NUMBER_MAX);
                if skipped.is_none() {
                    self.form("EXT-X-SKIP says no SKIPPED-SEGMENTS");
                }
                self.media.skipped = skipped.unwrap_or(0);
            }
            "#EXT-X-PLAYLIST-TYPE" => self
                .problems
                .say(Rule::LiveHasNoType, format!("it is of type {value}")),
            "#EXT-X-ENDLIST" => self.media.ended = true,
            "#EXT-X-DISCONTINUITY" => {
                self.before_parts(name);
                self.discontinuity = self.discontinuity.saturating_add(1);
                self.open.cut = true;
                self.map = None;
            }
            "#EXT-X-MAP" => {
                self.before_parts(name);
                let attributes = Attributes::read(value);
                if attributes.get("BYTERANGE").is_some() {
                    self.form("a live EXT-X-MAP is a byte range");
                }
                self.map = attributes.quoted("URI");
                if self.map.is_none() {
                    self.form("EXT-X-MAP has no URI");
                }
            }
            "#EXT-X-PROGRAM-DATE-TIME" => {
                self.before_parts(name);
                self.open.date_us = date_us(value);
                if self.open.date_us.is_none() {
                    self.form(format!("{value:?} is no date"));
                }
            }
            "#EXT-X-GAP" => self.open.gap = true,
            "#EXTINF" => {
                let seconds = value.split(',').next().and_then(float);
                if seconds.is_none() || !value.contains(',') {
                    self.form(format!("{value:?} is no duration"));
                }
                self.open.duration = Some(seconds.unwrap_or(0.0));
            }
            "#EXT-X-PART" => self.part(value),
            "#EXT-X-PRELOAD-HINT" => {
                let attributes = Attributes::read(value);
                match (attributes.get("TYPE"), attributes.quoted("URI")) {
                    (Some(kind), Some(uri)) => self.media.hints.push(Hint {
                        kind: kind.to_owned(),
                        uri,
                    }),
                    _ => self.form("EXT-X-PRELOAD-HINT lacks TYPE or URI"),
                }
            }
            "#EXT-X-RENDITION-REPORT" => {
                let attributes = Attributes::read(value);
                match (attributes.quoted("URI"), attributes.integer("LAST-MSN")) {
                    (Some(uri), Some(number)) if !uri.contains("://") && !uri.starts_with('/') => {
                        self.media.reports.push(Report {
                            uri,
                            number,
                            part: attributes.integer("LAST-PART"),
                        });
                    }
                    _ => self.form("EXT-X-RENDITION-REPORT lacks a relative URI or LAST-MSN"),
                }
            }
            "#EXT-X-BYTERANGE" => self.form("a live segment is a byte range"),
            // Tags that are not known are ignored (§6.3.1).
            _ => {}
        }
    }

    fn part(&mut self, value: &str) {
        let attributes = Attributes::read(value);
        let uri = attributes.quoted("URI");
        self.begin_segment(uri.as_deref().unwrap_or(""));
        let (Some(uri), Some(duration)) = (uri, attributes.float("DURATION")) else {
            self.form("EXT-X-PART lacks URI or DURATION");
            return;
        };
        if attributes.get("BYTERANGE").is_some() {
            self.form("a live part is a byte range");
        }
        self.open.parts.push(Part {
            uri,
            duration,
            independent: attributes.is("INDEPENDENT", "YES"),
            gap: attributes.is("GAP", "YES"),
        });
    }

    fn address(&mut self, line: &str) {
        self.begin_segment(line);
        if self.open.duration.is_none() {
            self.form(format!("{line} has no EXTINF"));
            self.open.duration = Some(0.0);
        }
        self.open.uri = Some(line.to_owned());
        self.media.segments.push(std::mem::take(&mut self.open));
        self.opened = false;
    }

    /// The first part or the address of a segment: what was said of it is said.
    fn begin_segment(&mut self, uri: &str) {
        if self.opened {
            return;
        }
        self.opened = true;
        self.open.number = (self.media.media_sequence)
            .saturating_add(self.media.skipped)
            .saturating_add(self.media.segments.len() as u64);
        self.open.discontinuity = self.discontinuity;
        self.open.map = self.map.clone();
        // The map of what is skipped goes on.
        let needs_map = !is_text(uri);
        if needs_map && self.map.is_none() && !self.map_missing && self.media.skipped == 0 {
            self.map_missing = true;
            let number = self.open.number;
            self.problems
                .say(Rule::Map, format!("segment {number} has no EXT-X-MAP"));
        }
    }

    fn before_parts(&mut self, name: &str) {
        if self.opened {
            let number = self.open.number;
            self.problems.say(
                Rule::TagsBeforeParts,
                format!("{name} stands after the first part of segment {number}"),
            );
        }
    }

    fn before_segments(&mut self, name: &str) {
        if self.opened || !self.media.segments.is_empty() || self.open.cut {
            self.form(format!("{name} stands after the first segment"));
        }
    }

    fn integer(&mut self, name: &str, value: &str) -> u64 {
        let number = value.parse().ok().filter(|number| *number < NUMBER_MAX);
        if number.is_none() {
            self.form(format!("{name} says {value:?}"));
        }
        number.unwrap_or(0)
    }

    fn form(&mut self, what: impl Into<String>) {
        self.problems.say(Rule::PlaylistForm, what);
    }

    fn finish(mut self) -> Result<Media, Problem> {
        if !self.seen.contains(&"#EXT-X-TARGETDURATION") {
            return Err(Problem {
                rule: Rule::PlaylistForm,
                what: "it has no EXT-X-TARGETDURATION".into(),
            });
        }
        if self.opened {
            self.open.duration = None;
            self.media.segments.push(std::mem::take(&mut self.open));
        }
        self.judge();
        self.media.problems = self.problems.0;
        Ok(self.media)
    }

    fn judge(&mut self) {
        let media = std::mem::take(&mut self.media);
        let problems = &mut self.problems;
        if media.version < 6 && media.segments.iter().any(|one| one.map.is_some()) {
            let what = format!("EXT-X-MAP with version {}", media.version);
            problems.say(Rule::Version, what);
        }
        if media.version < 9 && media.skipped > 0 {
            let what = format!("EXT-X-SKIP with version {}", media.version);
            problems.say(Rule::Version, what);
        }
        judge_control(&media, problems);
        let dated = media.segments.iter().any(|one| one.date_us.is_some());
        for segment in &media.segments {
            judge_segment(&media, segment, problems);
            if dated && segment.cut && segment.date_us.is_none() {
                let what = format!("segment {} has none", segment.number);
                problems.say(Rule::DateAfterCut, what);
            }
        }
        if media.ended {
            if !media.hints.is_empty() {
                problems.say(Rule::HintAfterEnd, media.hints[0].uri.clone());
            }
            if let Some(last) = media.segments.last().filter(|last| last.uri.is_none()) {
                let what = format!("segment {} has parts and no address", last.number);
                problems.say(Rule::PartsHaveParent, what);
            }
        }
        for (index, hint) in media.hints.iter().enumerate() {
            if media.hints[..index].iter().any(|one| one.kind == hint.kind) {
                problems.say(Rule::OneHint, format!("{} of type {}", hint.uri, hint.kind));
            }
        }
        self.media = media;
    }
}

fn judge_control(media: &Media, problems: &mut Problems) {
    let control = media.control.clone().unwrap_or_default();
    let held = control.hold_back.unwrap_or(f64::MAX);
    let least = 3.0 * media.target_duration as f64;
    if held < least - 0.0005 {
        problems.say(Rule::HoldBack, format!("{held} is less than {least}"));
    }
    if let Some(until) = control.can_skip_until
        && until < 6.0 * media.target_duration as f64 - 0.0005
    {
        let what = format!("{until} is less than six times {}", media.target_duration);
        problems.say(Rule::SkipBoundary, what);
    }
    let has_parts = media.segments.iter().any(|one| !one.parts.is_empty());
    match (media.part_target, has_parts) {
        (None, true) => problems.say(Rule::PartInf, "there are parts and no EXT-X-PART-INF"),
        (None, false) => {}
        (Some(target), _) => {
            let held = control.part_hold_back.unwrap_or(0.0);
            if held < 3.0 * target - 0.0005 {
                let what = format!("{held} is less than three times {target}");
                problems.say(Rule::PartHoldBack, what);
            }
        }
    }
}

fn judge_segment(media: &Media, segment: &Segment, problems: &mut Problems) {
    let number = segment.number;
    if let Some(duration) = segment.duration
        && duration.round() > media.target_duration as f64
    {
        let what = format!("segment {number} lasts {duration} s");
        problems.say(Rule::TargetDuration, what);
    }
    let Some(target) = media.part_target else {
        return;
    };
    for (index, part) in segment.parts.iter().enumerate() {
        if part.duration > target + 0.000_5 {
            problems.say(
                Rule::PartTooLong,
                format!("part {number}.{index} lasts {} s", part.duration),
            );
        }
        // Of a segment that is being made nobody knows which part is its last.
        let last = index + 1 == segment.parts.len();
        let before_gap = segment.parts.get(index + 1).is_some_and(|next| next.gap);
        let excused = part.independent || part.gap || last || before_gap;
        if part.duration < 0.85 * target - 0.000_5 && !excused {
            problems.say(
                Rule::PartTooShort,
                format!("part {number}.{index} lasts {} s", part.duration),
            );
        }
    }
    // Parts that no longer are listed in full cannot be added up, but then none is listed.
    if let (Some(duration), false) = (segment.duration, segment.parts.is_empty()) {
        let sum = segment.listed_parts();
        if (sum - duration).abs() > 0.002 {
            problems.say(
                Rule::PartsAddUp,
                format!("those of segment {number} last {sum:.5} s and it lasts {duration:.5} s"),
            );
        }
    }
}

impl Segment {
    fn listed_parts(&self) -> f64 {
        self.parts.iter().map(|part| part.duration).sum()
    }
}

/// A multivariant playlist.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Multivariant {
    pub version: u64,
    pub variants: Vec<Variant>,
    pub renditions: Vec<Alternative>,
    pub problems: Vec<Problem>,
}

/// EXT-X-STREAM-INF and its address.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Variant {
    /// Bits per second.
    pub bandwidth: u64,
    pub average: Option<u64>,
    pub codecs: Vec<String>,
    pub resolution: Option<(u32, u32)>,
    pub frame_rate: Option<f64>,
    pub audio: Option<String>,
    pub subtitles: Option<String>,
    pub uri: String,
}

/// EXT-X-MEDIA.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Alternative {
    pub kind: String,
    pub group: String,
    pub name: String,
    pub uri: Option<String>,
}

impl Multivariant {
    /// Reads a text; an error when it is no multivariant playlist at all.
    pub fn read(text: &[u8]) -> Result<Self, Problem> {
        let mut index = Self::default();
        let mut problems = Problems::default();
        let mut variant = None;
        for line in lines(text)? {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            match name {
                "#EXT-X-VERSION" => index.version = value.parse().unwrap_or(0),
                "#EXT-X-MEDIA" => match alternative(&Attributes::read(value)) {
                    Some(one) => index.renditions.push(one),
                    None => problems.say(Rule::PlaylistForm, "EXT-X-MEDIA lacks what it must have"),
                },
                "#EXT-X-STREAM-INF" => {
                    variant = Some(stream(&Attributes::read(value), &mut problems))
                }
                _ if line.starts_with('#') => {}
                _ => match variant.take() {
                    Some(one) => index.variants.push(Variant {
                        uri: line.to_owned(),
                        ..one
                    }),
                    None => problems.say(
                        Rule::PlaylistForm,
                        format!("{line} has no EXT-X-STREAM-INF"),
                    ),
                },
            }
        }
        if index.variants.is_empty() {
            return Err(Problem {
                rule: Rule::PlaylistForm,
                what: "it has no variant".into(),
            });
        }
        for variant in &index.variants {
            for (kind, group, rule) in [
                ("AUDIO", &variant.audio, Rule::AudioGroup),
                ("SUBTITLES", &variant.subtitles, Rule::SubtitlesGroup),
            ] {
                let of =
                    |one: &Alternative, group: &String| one.kind == kind && one.group == *group;
                let there = |group: &String| index.renditions.iter().any(|one| of(one, group));
                if let Some(group) = group.as_ref().filter(|group| !there(group)) {
                    problems.say(rule, format!("there is no group {group:?}"));
                }
            }
            if variant
                .average
                .is_some_and(|average| average > variant.bandwidth)
            {
                problems.say(
                    Rule::Bandwidth,
                    format!("{} is below the average", variant.bandwidth),
                );
            }
        }
        index.problems = problems.0;
        Ok(index)
    }
}

fn alternative(attributes: &Attributes<'_>) -> Option<Alternative> {
    Some(Alternative {
        kind: attributes.get("TYPE")?.to_owned(),
        group: attributes.quoted("GROUP-ID")?,
        name: attributes.quoted("NAME")?,
        uri: attributes.quoted("URI"),
    })
}

fn stream(attributes: &Attributes<'_>, problems: &mut Problems) -> Variant {
    let bandwidth = attributes.integer("BANDWIDTH").unwrap_or(0);
    if bandwidth == 0 {
        problems.say(Rule::PlaylistForm, "EXT-X-STREAM-INF says no BANDWIDTH");
    }
    let codecs = attributes.quoted("CODECS").unwrap_or_default();
    let resolution = attributes.get("RESOLUTION").and_then(|value| {
        let (width, height) = value.split_once('x')?;
        Some((width.parse().ok()?, height.parse().ok()?))
    });
    Variant {
        bandwidth,
        average: attributes.integer("AVERAGE-BANDWIDTH"),
        codecs: codecs
            .split(',')
            .map(|codec| codec.trim().to_owned())
            .filter(|codec| !codec.is_empty())
            .collect(),
        resolution,
        frame_rate: attributes.float("FRAME-RATE"),
        audio: attributes.quoted("AUDIO"),
        subtitles: attributes.quoted("SUBTITLES"),
        uri: String::new(),
    }
}

/// An attribute list (§4.2): names, and values with their quotation marks.
struct Attributes<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Attributes<'a> {
    fn read(mut list: &'a str) -> Self {
        let mut found = Vec::new();
        while let Some((name, rest)) = list.split_once('=') {
            if found.len() == ATTRIBUTES_MAX {
                break;
            }
            let end = match rest.strip_prefix('"') {
                Some(quoted) => quoted.find('"').map_or(rest.len(), |at| at + 2),
                None => rest.find(',').unwrap_or(rest.len()),
            };
            let (value, after) = rest.split_at(end);
            found.push((name.trim(), value));
            list = after.strip_prefix(',').unwrap_or(after);
        }
        Self(found)
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.get(name) == Some(value)
    }

    fn quoted(&self, name: &str) -> Option<String> {
        let inner = self.get(name)?.strip_prefix('"')?.strip_suffix('"')?;
        Some(inner.to_owned())
    }

    fn float(&self, name: &str) -> Option<f64> {
        float(self.get(name)?)
    }

    fn integer(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }
}

/// A decimal-floating-point of §4.2, which has no sign and no exponent.
fn float(text: &str) -> Option<f64> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = text.parse().ok()?;
    (plain && number < SECONDS_MAX).then_some(number)
}

/// RFC 3339, to microseconds of unix time.
fn date_us(text: &str) -> Option<i64> {
    let (day, time) = text.split_once(['T', 't'])?;
    let mut day = day.splitn(3, '-').map(digits);
    let (year, month, date) = (day.next()??, day.next()??, day.next()??);
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut clock = clock.splitn(3, ':').map(digits);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    digits(fraction)?;
    let micros = digits(&format!("{fraction:0<6}")[..6])?;
    let offset_minutes = match zone {
        "Z" | "z" => 0,
        _ => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let minutes = digits(hours)? * 60 + digits(minutes)?;
            if zone.starts_with('-') {
                -minutes
            } else {
                minutes
            }
        }
    };
    let believable = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&date)
        && hour < 24
        && minute < 60
        && second < 61
        && (-1440..=1440).contains(&offset_minutes);
    if !believable {
        return None;
    }
    let seconds = days(year, month, date) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some((seconds - offset_minutes * 60) * 1_000_000 + micros)
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.len() <= 9;
    (plain && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// Days since 1970, by counting years and months.
fn days(year: i64, month: i64, date: i64) -> i64 {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let before = |year: i64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    let years = (year - 1970) * 365 + before(year) - before(1970);
    let months = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30];
    let past = usize::try_from(month - 1).unwrap_or(0);
    let months: i64 = months.iter().take(past).sum();
    years + months + i64::from(month > 2 && leap(year)) + date - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (text, expected) in [
            ("1970-01-01T00:00:00.000Z", Some(0)),
            ("2000-02-29T12:34:56.789Z", Some(951_827_696_789_000)),
            ("2024-12-31T23:59:59.999Z", Some(1_735_689_599_999_000)),
            ("2024-03-01T01:00:00+01:00", Some(1_709_251_200_000_000)),
            ("2024-03-01T00:00:00.5-00:30", Some(1_709_253_000_500_000)),
            ("2024-03-01", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-03-01T00:00:00", None),
            ("2024-03-01T00:00:00.é00000Z", None),
            ("-2024-03-01T00:00:00Z", None),
        ] {
            assert_eq!(date_us(text), expected, "{text}");
        }
    }

    #[test]
    fn a_media_playlist_is_read_with_what_applies_to_each_segment() {
        let text = b"#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-TARGETDURATION:4\n\
            #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5,HOLD-BACK=12.0\n\
            #EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n\
            #EXT-X-MAP:URI=\"i,1.mp4\"\n#EXTINF:1.00000,\ns7.m4s\n\
            #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"i2.mp4\"\n#EXT-X-GAP\n#EXTINF:1.0,\ns8.m4s\n\
            #EXT-X-PART:DURATION=0.5,URI=\"s9.0.m4s\",INDEPENDENT=YES\n\
            #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"s9.1.m4s\"\n\
            #EXT-X-RENDITION-REPORT:URI=\"a.m3u8\",LAST-MSN=9,LAST-PART=0\n";
        let media = Media::read(text).expect("a playlist");
        assert_eq!(media.problems, []);
        let said: Vec<_> = media
            .segments
            .iter()
            .map(|one| (one.number, one.discontinuity, one.map.as_deref(), one.gap))
            .collect();
        assert_eq!(
            said,
            [
                (7, 2, Some("i,1.mp4"), false),
                (8, 3, Some("i2.mp4"), true),
                (9, 3, Some("i2.mp4"), false)
            ]
        );
        assert_eq!((media.next(), media.newest_part()), ((9, 1), Some((9, 0))));
        assert_eq!(media.newest_segment(), Some(8));
        assert!((media.duration() - 2.5).abs() < 1e-9);
    }

    #[test]
    fn nonsense_is_a_problem_and_not_a_panic() {
        for text in [
            &b"#EXTM3U"[..],
            b"",
            b"\xff\xfe",
            b"#EXTM3U\n#EXT-X-TARGETDURATION:-1\n#EXTINF:1e9,\nx\n",
            b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-PART:URI=\"\n#EXT-X-MAP:\n#EXTINF:,\n\nx",
            b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:18446744073709551615\n#EXTINF:1,\nx\n#EXTINF:1,\ny\n",
        ] {
            if let Ok(media) = Media::read(text) {
                assert!(!media.problems.is_empty());
            }
            let _ = Multivariant::read(text);
        }
    }
}
