//! What is in the parts and segments of one rendition: times, sync samples, and that both are the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::boxes::{Fragment, Init, fragments};
use crate::captions::{self, Cue, is_text};
use crate::rendition::Known;
use crate::{Rule, Violation};

/// How far a date may be from where the samples' times put it.
pub(crate) const DATE_TOLERANCE_US: u64 = 50_000;
/// How far a part's borders may be from where its segment's date and the durations put them, for what is shown during it.
const BORDER_TOLERANCE_US: i64 = 20_000;
/// How far the samples' durations may be from what the playlist says, in seconds.
const DURATION_TOLERANCE_S: f64 = 0.001_05;
/// Segments whose bodies wait for others at once.
const BODIES_MAX: usize = 512;
/// Segments that are remembered for the peak rate.
const MEASURED_MAX: usize = 256;

/// What came of a request.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Here(Bytes),
    /// It could not be had.
    Missing,
}

/// An initialization section.
#[derive(Clone, Debug)]
pub(crate) enum Section {
    Asked,
    Here(Init),
    /// It could not be had or read.
    Broken,
}

/// A whole segment that was looked into.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub bytes: u64,
    pub seconds: f64,
    pub pictures: u32,
}

/// The media of one rendition, judged in order.
#[derive(Default)]
pub(crate) struct Track {
    pub inits: BTreeMap<String, Section>,
    pub parts: BTreeMap<(u64, u64), Body>,
    pub wholes: BTreeMap<u64, Body>,
    pub measured: BTreeMap<u64, Measured>,
    /// Unix time of the media's zero, in microseconds, as its first date says.
    pub zero_us: Option<i64>,
    pub compared: u64,
    pub forgotten: u64,
    /// The next part to look into, or, in a segment without listed parts, the segment.
    cursor: Option<(u64, u64)>,
    /// Cues of the captions that were looked into last.
    shown: Option<BTreeSet<Cue>>,
    expected: Option<Expected>,
}

/// Where the next sample must begin.
#[derive(Clone, Copy)]
struct Expected {
    seconds: f64,
    /// In ticks of `timescale`; not known after a gap.
    exact: Option<(u64, u32)>,
}

/// A part or a whole segment, and what the playlist says of it.
struct Unit<'a> {
    what: String,
    bytes: &'a Bytes,
    duration: f64,
    first_of_segment: bool,
    independent: bool,
}

impl Track {
    /// Begins with this segment.
    pub(crate) fn begin(&mut self, number: u64) {
        self.cursor.get_or_insert((number, 0));
    }

    /// What is in this segment was looked into, or lies before where the player began.
    pub(crate) fn is_past(&self, number: u64) -> bool {
        self.cursor.is_some_and(|(next, _)| number < next)
    }

    /// Looks into all that is there now.
    pub(crate) fn advance(
        &mut self,
        segments: &BTreeMap<u64, Known>,
        all_independent: bool,
        by_parts: bool,
        media_zero_us: Option<i64>,
        resolve: impl Fn(&str) -> String,
    ) -> Vec<Violation> {
        let mut found = Vec::new();
        while let Some((number, index)) = self.cursor {
            let Some(known) = segments.get(&number) else {
                // What was missed between two reloads, or is not there yet.
                let Some((next, _)) = segments.range(number..).next() else {
                    break;
                };
                self.expected = None;
                self.shown = None;
                self.cursor = Some((*next, 0));
                continue;
            };
            let segment = &known.listed;
            if segment.gap {
                // Parts that were said to be missing one by one were skipped one by one.
                let skipped: f64 = (segment.parts.iter())
                    .take(usize::try_from(index).unwrap_or(usize::MAX))
                    .map(|part| part.duration)
                    .sum();
                self.shown = None;
                self.skip(segment.listed() - skipped);
                self.cursor = Some((number + 1, 0));
                continue;
            }
            let init = match segment
                .map
                .as_ref()
                .map(|map| self.inits.get(&resolve(map)))
            {
                Some(Some(Section::Here(init))) => Some(init.clone()),
                Some(Some(Section::Broken)) | None => None,
                Some(Some(Section::Asked) | None) => break,
            };
            let in_parts = by_parts && !segment.parts.is_empty();
            let at = usize::try_from(index).unwrap_or(usize::MAX);
            if in_parts && let Some(part) = segment.parts.get(at) {
                if part.gap {
                    self.shown = None;
                    self.skip(part.duration);
                } else {
                    let Some(body) = self.parts.get(&(number, index)).cloned() else {
                        break;
                    };
                    if is_text(&part.uri) {
                        let before: f64 =
                            segment.parts[..at].iter().map(|part| part.duration).sum();
                        let Some(from_us) = begin_us(known, before, media_zero_us) else {
                            break;
                        };
                        let what = format!("part {number}.{index}");
                        self.look_at_text(&body, &what, from_us, part.duration, &mut found);
                        self.cursor = Some((number, index + 1));
                        continue;
                    }
                    let unit = |bytes| Unit {
                        what: format!("part {number}.{index}"),
                        bytes,
                        duration: part.duration,
                        first_of_segment: index == 0,
                        independent: part.independent,
                    };
                    self.look(
                        &body,
                        unit,
                        known,
                        init.as_ref(),
                        all_independent,
                        &mut found,
                    );
                }
                self.cursor = Some((number, index + 1));
                continue;
            }
            if segment.uri.is_none() {
                break;
            }
            let Some(body) = self.wholes.get(&number).cloned() else {
                break;
            };
            let text = segment.uri.as_deref().is_some_and(is_text);
            if in_parts && text {
                self.compare_text(number, segment.parts.len() as u64, &body, &mut found);
            } else if in_parts {
                self.compare(number, segment.parts.len() as u64, &body, &mut found);
            } else if text {
                let Some(from_us) = begin_us(known, 0.0, media_zero_us) else {
                    break;
                };
                let what = format!("segment {number}");
                self.look_at_text(&body, &what, from_us, segment.listed(), &mut found);
            } else {
                let unit = |bytes| Unit {
                    what: format!("segment {number}"),
                    bytes,
                    duration: segment.listed(),
                    first_of_segment: true,
                    independent: false,
                };
                self.look(
                    &body,
                    unit,
                    known,
                    init.as_ref(),
                    all_independent,
                    &mut found,
                );
            }
            self.measure(number, segment.listed(), &body, init.as_ref());
            self.wholes.remove(&number);
            self.parts = self.parts.split_off(&(number + 1, 0));
            self.cursor = Some((number + 1, 0));
        }
        while self.wholes.len() + self.parts.len() > BODIES_MAX {
            if self.parts.pop_first().is_none() {
                self.wholes.pop_first();
            }
            self.forgotten += 1;
        }
        found
    }

    /// Media is said to be missing.
    fn skip(&mut self, seconds: f64) {
        self.expected = self.expected.map(|expected| Expected {
            seconds: expected.seconds + seconds,
            exact: None,
        });
    }

    fn look<'a>(
        &mut self,
        body: &'a Body,
        unit: impl FnOnce(&'a Bytes) -> Unit<'a>,
        known: &Known,
        init: Option<&Init>,
        all_independent: bool,
        found: &mut Vec<Violation>,
    ) {
        let (Body::Here(bytes), Some(init)) = (body, init) else {
            self.expected = None;
            return;
        };
        let unit = unit(bytes);
        let mut say = |rule, what: String| {
            found.push(Violation {
                rule,
                what: format!("{}: {what}", unit.what),
            });
        };
        let fragments = match fragments(unit.bytes, init) {
            Ok(fragments) => fragments,
            Err(why) => {
                say(Rule::MediaForm, why);
                self.expected = None;
                return;
            }
        };
        let first = &fragments[0];
        let ticks: u64 = fragments.iter().map(|fragment| fragment.duration).sum();
        let lasts = init.seconds(ticks);
        if (lasts - unit.duration).abs() > DURATION_TOLERANCE_S {
            say(
                Rule::SampleDurations,
                format!("lasts {lasts:.5} s and not {:.5}", unit.duration),
            );
        }
        if unit.independent && !first.sync {
            say(Rule::IndependentPart, "begins with no sync sample".into());
        }
        if all_independent && unit.first_of_segment && !first.sync {
            say(
                Rule::IndependentSegments,
                "begins with no sync sample".into(),
            );
        }
        for fragment in &fragments {
            if let Some(expected) = self.expected
                && !expected.is(fragment.time, init)
            {
                say(
                    Rule::Continuous,
                    format!(
                        "begins at {:.5} s and not {:.5}",
                        init.seconds(fragment.time),
                        expected.seconds
                    ),
                );
            }
            self.expected = Some(Expected::after(fragment, init));
        }
        if let Some(date_us) = known.listed.date_us.filter(|_| unit.first_of_segment) {
            let zero_us = date_us.saturating_sub((init.seconds(first.time) * 1e6) as i64);
            let first_us = *self.zero_us.get_or_insert(zero_us);
            let off_us = zero_us.abs_diff(first_us);
            if off_us > DATE_TOLERANCE_US {
                say(
                    Rule::DateDrifts,
                    format!("its date is {} ms off", off_us / 1_000),
                );
            }
        }
    }

    /// Holds captions against the time during which they are to be shown.
    fn look_at_text(
        &mut self,
        body: &Body,
        what: &str,
        from_us: i64,
        seconds: f64,
        found: &mut Vec<Violation>,
    ) {
        let Body::Here(bytes) = body else {
            self.shown = None;
            return;
        };
        let cues = match captions::read(bytes) {
            Ok(cues) => cues,
            Err(why) => {
                let rule = Rule::CaptionForm;
                let what = format!("{what}: {why}");
                found.push(Violation { rule, what });
                self.shown = None;
                return;
            }
        };
        let until_us = from_us + (seconds * 1e6) as i64;
        let before = self.shown.take().unwrap_or_default();
        let goes_on = |cue: &&Cue| cue.until_us > from_us + BORDER_TOLERANCE_US;
        let lost = before
            .iter()
            .filter(goes_on)
            .find(|cue| !cues.contains(*cue));
        let strange = cues.iter().find(|cue| {
            cue.until_us < from_us - BORDER_TOLERANCE_US
                || cue.from_us > until_us + BORDER_TOLERANCE_US
        });
        for (cue, why) in [(lost, "is missing"), (strange, "is not shown during it")] {
            if let Some(cue) = cue {
                found.push(Violation {
                    rule: Rule::CaptionShown,
                    what: format!("{what}: {cue:?} {why}"),
                });
            }
        }
        self.shown = Some(cues);
    }

    fn compare_text(&mut self, number: u64, count: u64, whole: &Body, found: &mut Vec<Violation>) {
        let Body::Here(whole) = whole else { return };
        let mut all = BTreeSet::new();
        for index in 0..count {
            let Some(Body::Here(part)) = self.parts.get(&(number, index)) else {
                return;
            };
            // What cannot be read was said of the part.
            let Ok(cues) = captions::read(part) else {
                return;
            };
            all.extend(cues);
        }
        let (rule, what) = match captions::read(whole) {
            Err(why) => (Rule::CaptionForm, format!("segment {number}: {why}")),
            Ok(cues) if cues != all => (
                Rule::PartsAreSegment,
                format!("segment {number} has not the cues of its parts"),
            ),
            Ok(_) => {
                self.compared += 1;
                return;
            }
        };
        found.push(Violation { rule, what });
    }

    fn compare(&mut self, number: u64, count: u64, whole: &Body, found: &mut Vec<Violation>) {
        let Body::Here(whole) = whole else { return };
        let mut at = 0;
        for index in 0..count {
            let Some(Body::Here(part)) = self.parts.get(&(number, index)) else {
                return;
            };
            let end = at + part.len();
            if whole.get(at..end) != Some(&part[..]) {
                found.push(Violation {
                    rule: Rule::PartsAreSegment,
                    what: format!(
                        "part {number}.{index} is not what its segment has from byte {at}"
                    ),
                });
                return;
            }
            at = end;
        }
        if at != whole.len() {
            found.push(Violation {
                rule: Rule::PartsAreSegment,
                what: format!("segment {number} has {} bytes more", whole.len() - at),
            });
        }
        self.compared += 1;
    }

    fn measure(&mut self, number: u64, seconds: f64, whole: &Body, init: Option<&Init>) {
        let (Body::Here(bytes), Some(init)) = (whole, init) else {
            return;
        };
        let pictures = fragments(bytes, init).map_or(0, |found| {
            found.iter().map(|fragment| fragment.pictures).sum()
        });
        let measured = Measured {
            bytes: bytes.len() as u64,
            seconds,
            pictures,
        };
        self.measured.insert(number, measured);
        while self.measured.len() > MEASURED_MAX {
            self.measured.pop_first();
        }
    }
}

/// Where something of a segment begins on the media's clock, as its date says; none while it is not known where the media's zero is.
fn begin_us(known: &Known, after_s: f64, media_zero_us: Option<i64>) -> Option<i64> {
    let date_us = known.listed.date_us?;
    Some(date_us - media_zero_us? + (after_s * 1e6) as i64)
}

impl Expected {
    fn after(fragment: &Fragment, init: &Init) -> Self {
        let ticks = fragment.time.saturating_add(fragment.duration);
        Self {
            seconds: init.seconds(ticks),
            exact: Some((ticks, init.timescale)),
        }
    }

    fn is(&self, time: u64, init: &Init) -> bool {
        match self.exact {
            Some((ticks, timescale)) if timescale == init.timescale => ticks == time,
            Some(_) => (init.seconds(time) - self.seconds).abs() < 0.001,
            // A gap is as long as the playlist says, to its digits.
            None => (init.seconds(time) - self.seconds).abs() < 0.005,
        }
    }
}
