//! What is said, as text: WebVTT (W3C, "The Web Video Text Tracks Format"), cut where the AAC is cut.
//!
//! A part holds every cue of which something is shown during it (RFC 8216bis §3.1.4), with its whole time, so that a cue stands in
//! several parts in the same words. A cue that is out is not changed any more. Its times are those of the programme clock, which are also the
//! presentation times of picture and sound.

use std::collections::VecDeque;
use std::fmt::Write;

use amphi_media::{Caption, MediaTime};
use bytes::Bytes;

use super::{AUDIO_RATE, Span};

/// Of every file: local times are presentation times.
const HEADER: &str = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n";
const RATE: i64 = AUDIO_RATE as i64;
/// How long a cue is shown: as long as people take to read it (15 characters a second), within these.
const SHOWN_MIN: i64 = 2 * RATE;
const SHOWN_MAX: i64 = 8 * RATE;
const CHARACTER: i64 = RATE / 15;
/// Cues that may be shown at once, or wait to be. More is nobody talking.
const CUES_MAX: usize = 32;
/// And of one speaker: more is nobody reading, and would leave no room for others.
const OF_ONE_MAX: usize = 6;

#[derive(Default)]
pub(super) struct Captions {
    /// In order of their beginning.
    cues: VecDeque<Cue>,
    /// End of the newest part, in ticks of the sound. None until captions have begun.
    end: Option<i64>,
}

/// Times in ticks of the sound.
struct Cue {
    from: i64,
    until: i64,
    who: String,
    /// As it stands in the file.
    text: String,
}

/// A part of captions.
pub(super) struct Written {
    pub bytes: Bytes,
    /// Cues that begin in it, and that are shown in it.
    pub begin: u32,
    pub shown: u32,
}

impl Captions {
    /// False when there are too many already, or it is said twice at the same time.
    pub(super) fn push(&mut self, time: MediaTime, caption: &Caption) -> bool {
        let of_one = self.cues.iter().filter(|cue| cue.who == caption.who);
        if self.cues.len() >= CUES_MAX || of_one.count() >= OF_ONE_MAX {
            return false;
        }
        let characters = i64::try_from(caption.text.chars().count()).unwrap_or(i64::MAX);
        let shown = characters
            .saturating_mul(CHARACTER)
            .clamp(SHOWN_MIN, SHOWN_MAX);
        let newest = self.cues.back().map_or(0, |last| last.from);
        let from = time
            .rescale(AUDIO_RATE)
            .ticks
            .max(newest)
            .max(self.end.unwrap_or(0));
        let text = payload(caption);
        // A cue stands once in a file.
        if self
            .cues
            .iter()
            .any(|cue| cue.from == from && cue.text == text)
        {
            return false;
        }
        self.cues.push_back(Cue {
            from,
            until: from + shown,
            who: caption.who.clone(),
            text,
        });
        true
    }

    /// What is shown during a part of the sound. None before the first caption, and until the segment after it: a segment has all
    /// parts that the others have of it.
    pub(super) fn part(&mut self, span: &Span) -> Option<Written> {
        if self.end.is_none() {
            if span.index > 0 || self.cues.is_empty() {
                return None;
            }
            // What came before has waited, and is shown for its whole time all the same.
            for cue in &mut self.cues {
                let late = (span.start - cue.from).max(0);
                cue.from += late;
                cue.until += late;
            }
        }
        self.end = Some(span.end);
        let mut text = HEADER.to_owned();
        let (mut begin, mut shown) = (0, 0);
        for cue in self.cues.iter().filter(|cue| cue.from < span.end) {
            begin += u32::from(cue.from >= span.start);
            shown += 1;
            write!(
                text,
                "\n{} --> {}\n{}\n",
                Clock(cue.from),
                Clock(cue.until),
                cue.text
            )
            .expect("a String takes all that is written to it");
        }
        self.cues.retain(|cue| cue.until > span.end);
        Some(Written {
            bytes: text.into(),
            begin,
            shown,
        })
    }
}

/// The parts of a segment as one file, in which each cue stands once.
pub(crate) fn join<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Bytes {
    let mut text = HEADER.to_owned();
    let mut cues: Vec<&str> = Vec::new();
    for part in parts {
        let part = std::str::from_utf8(part).expect("we wrote it");
        // The first block is the header.
        for cue in part.split("\n\n").skip(1) {
            let cue = cue.trim_end();
            if !cues.contains(&cue) {
                cues.push(cue);
            }
        }
    }
    for cue in cues {
        text.push('\n');
        text.push_str(cue);
        text.push('\n');
    }
    text.into()
}

/// One line of cue text. Who speaks is said in a voice span, and once more as text, since players show only that.
fn payload(caption: &Caption) -> String {
    let text = escaped(&caption.text);
    match caption.who.is_empty() {
        true => text,
        false => {
            // The annotation of a voice span ends with ">" and knows the same escapes.
            let who = escaped(&caption.who);
            format!("<v {who}>{who}: {text}")
        }
    }
}

/// What would be read as markup; "-->" is then none either. A caption is one line already.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A time as WebVTT writes it.
struct Clock(i64);

impl std::fmt::Display for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = MediaTime::new(self.0, AUDIO_RATE).rescale(1_000).ticks;
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
        write!(f, "{hour:02}:{minute:02}:{second:02}.{:03}", ms % 1_000)
    }
}
