//! What happened in the room while it was recorded: one JSON line each, in `timeline.jsonl` beside the program.
//!
//! It is a log and no index: the program plays without it, and a line that is torn or missing costs that line.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use amphi_media::MediaTime;
use amphi_mux::recording::{Chunk, Place};
use serde::{Deserialize, Serialize};

use super::tape::Form;

/// The file's name.
pub const FILE: &str = "timeline.jsonl";
/// A day of a busy room. When it is full, a last line says so.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// What is said is left out from here on: it is most of a long recording's timeline, and the least of what it is for.
const SAID_BYTES_MAX: usize = BYTES_MAX / 4 * 3;
/// Longer lines are none of ours.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// What happened. Members and tracks are named by numbers that are good in this recording.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The recording begins; what follows with the same time was so already. Unix time of the programme clock's zero.
    Begin {
        zero_unix_ms: i64,
    },
    /// Somebody came on stage.
    Joined {
        member: u64,
        name: String,
    },
    /// Somebody is no more on stage.
    Left {
        member: u64,
    },
    /// A track is there: "camera", "microphone", "screen", "screen_audio" or "unknown".
    Track {
        track: u32,
        member: u64,
        source: String,
        muted: bool,
    },
    TrackGone {
        track: u32,
    },
    Muted {
        track: u32,
    },
    Unmuted {
        track: u32,
    },
    /// These speak from now on, loudest first.
    Speaking {
        members: Vec<u64>,
    },
    /// The picture shows this member from now on; null: nobody.
    OnAir {
        member: Option<u64>,
    },
    /// How people are arranged where they are composed.
    Layout {
        layout: String,
    },
    /// Somebody has said this, where captions are written.
    Said {
        who: String,
        text: String,
    },
    /// Lines before this one are missing.
    Gap,
    /// Nothing more is written down.
    Full,
}

/// An event and when it was.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Milliseconds of the programme clock.
    pub ms: i64,
    #[serde(flatten)]
    pub event: Event,
}

/// The file of the timeline, for a tape.
#[derive(Default)]
pub struct Lines {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    gap: bool,
    full: bool,
}

impl Lines {
    /// Lines were left out before what comes.
    pub fn miss(&mut self) {
        self.gap = true;
    }
}

impl Form for Lines {
    type Piece = Line;

    fn push(&mut self, line: &Line) {
        let is_said = matches!(line.event, Event::Said { .. });
        if self.full || is_said && self.bytes >= SAID_BYTES_MAX {
            return;
        }
        let mut text = Vec::new();
        let ms = line.ms;
        let gap = std::mem::take(&mut self.gap);
        self.full = self.bytes >= BYTES_MAX;
        let last = self.full.then_some(Event::Full);
        let event = last.unwrap_or_else(|| line.event.clone());
        for event in gap.then_some(Event::Gap).into_iter().chain([event]) {
            let json = serde_json::to_vec(&Line { ms, event });
            text.extend(json.expect("an event is text and numbers"));
            text.push(b'\n');
        }
        self.bytes += text.len();
        self.chunks.push_back(Chunk {
            place: Place::Append,
            bytes: text.into(),
        });
    }

    fn flush(&mut self) {}

    fn poll(&mut self) -> Option<Chunk> {
        self.chunks.pop_front()
    }

    fn lost(&mut self, _chunk: &Chunk) {
        self.chunks.clear();
        self.gap = true;
    }

    fn span(line: &Line) -> Option<(MediaTime, MediaTime)> {
        let at = MediaTime::new(line.ms, 1_000);
        Some((at, at))
    }
}

/// Lines of a timeline.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Timeline {
    /// Unix time of the programme clock's zero, in milliseconds. None when the first line is missing.
    pub zero_unix_ms: Option<i64>,
    pub lines: Vec<Line>,
    /// There are more.
    pub more: bool,
}

/// Reads the first `max` lines from `from_unix_ms` on. Blocks. What is no line is passed over: the end may be torn.
pub fn read(path: &Path, from_unix_ms: i64, max: usize) -> io::Result<Timeline> {
    read_from(BufReader::new(File::open(path)?), from_unix_ms, max)
}

fn read_from(mut file: impl BufRead, from_unix_ms: i64, max: usize) -> io::Result<Timeline> {
    let mut found = Timeline::default();
    let mut text = Vec::new();
    loop {
        text.clear();
        if (&mut file)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut text)?
            == 0
        {
            return Ok(found);
        }
        let Ok(line) = serde_json::from_slice::<Line>(&text) else {
            continue;
        };
        if let Event::Begin { zero_unix_ms } = line.event {
            found.zero_unix_ms = Some(zero_unix_ms);
        }
        let at = found.zero_unix_ms.unwrap_or(0).saturating_add(line.ms);
        if at < from_unix_ms {
            continue;
        }
        if found.lines.len() == max {
            found.more = true;
            return Ok(found);
        }
        found.lines.push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(ms: i64, event: Event) -> Line {
        Line { ms, event }
    }

    fn written(lines: &mut Lines, events: &[Line]) -> Vec<u8> {
        let mut file = Vec::new();
        for event in events {
            lines.push(event);
            while let Some(chunk) = lines.poll() {
                file.extend_from_slice(&chunk.bytes);
            }
        }
        file
    }

    fn story() -> Vec<Line> {
        let name = "Ada \"<b>\"\n".to_owned();
        vec![
            line(
                500,
                Event::Begin {
                    zero_unix_ms: 10_000,
                },
            ),
            line(500, Event::Joined { member: 1, name }),
            line(900, Event::OnAir { member: Some(1) }),
            line(1_500, Event::Speaking { members: vec![1] }),
            line(2_000, Event::OnAir { member: None }),
        ]
    }

    #[test]
    fn what_was_written_is_read_again_line_by_line() {
        let file = written(&mut Lines::default(), &story());
        assert_eq!(file.iter().filter(|byte| **byte == b'\n').count(), 5);
        let read = read_from(&file[..], 0, 100).expect("read");
        assert_eq!((read.lines, read.more), (story(), false));
        assert_eq!(read.zero_unix_ms, Some(10_000));
    }

    #[test]
    fn a_part_of_it_can_be_asked_for() {
        let file = written(&mut Lines::default(), &story());
        let read = read_from(&file[..], 10_900, 2).expect("read");
        assert_eq!(read.lines, story()[2..4]);
        assert!(read.more);
    }

    #[test]
    fn a_torn_end_and_what_is_no_line_cost_nothing_else() {
        let mut file = written(&mut Lines::default(), &story());
        let torn = file.len() - 5;
        file.truncate(torn);
        let whole = read_from(&file[..], 0, 100).expect("read");
        assert_eq!(whole.lines, story()[..4]);
        let mut noise = b"\xff\xfe\n{}\n[1]\n".to_vec();
        noise.extend(vec![b'x'; 3 * LINE_BYTES_MAX as usize]);
        noise.push(b'\n');
        noise.extend(written(&mut Lines::default(), &story()));
        assert_eq!(read_from(&noise[..], 0, 100).expect("read").lines, story());
    }

    #[test]
    fn lines_that_could_not_be_written_leave_a_line_that_says_so() {
        let mut lines = Lines::default();
        lines.push(&story()[0]);
        let chunk = lines.poll().expect("a line");
        lines.lost(&chunk);
        let file = written(&mut lines, &story()[1..2]);
        let read = read_from(&file[..], 0, 100).expect("read");
        assert_eq!(read.lines, [line(500, Event::Gap), story()[1].clone()]);
    }

    #[test]
    fn a_timeline_without_end_is_ended_with_a_line_that_says_so() {
        let mut lines = Lines {
            bytes: BYTES_MAX - 10,
            ..Lines::default()
        };
        let file = written(&mut lines, &story()[1..]);
        let read = read_from(&file[..], 0, 100).expect("read");
        assert_eq!(read.lines, [story()[1].clone(), line(900, Event::Full)]);
    }

    #[test]
    fn what_is_said_leaves_a_quarter_of_a_timeline_to_what_happens() {
        let said = |text: &str| Event::Said {
            who: "Ada".into(),
            text: text.into(),
        };
        let mut lines = Lines {
            bytes: SAID_BYTES_MAX - 10,
            ..Lines::default()
        };
        let left = line(30, Event::Left { member: 1 });
        let told = [line(10, said("one")), line(20, said("two")), left];
        let file = written(&mut lines, &told);
        let read = read_from(&file[..], 0, 100).expect("read");
        assert_eq!(read.lines, [told[0].clone(), told[2].clone()]);
    }
}
