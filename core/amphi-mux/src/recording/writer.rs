use std::collections::VecDeque;

use amphi_media::MediaTime;
use bytes::Bytes;

use super::{MARK_GAP, MARK_HEAD_BYTES, MARK_ID, MARK_VIDEO};
use crate::boxes;
use crate::packager::{Init, Output, Part, Rendition};

/// Length of what stands before the first fragment: room for a `moov` with two tracks and long parameter sets.
pub const HEADER_BYTES: usize = 16 * 1024;

/// What a recorder is to write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chunk {
    pub place: Place,
    /// Whole boxes.
    pub bytes: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// At the file's beginning, [`HEADER_BYTES`] long.
    Header,
    /// At its end, in one write.
    Append,
}

/// What went into a recording, and what did not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WriterCounters {
    pub parts: u64,
    pub bytes: u64,
    /// Times that something could not be written.
    pub gaps: u64,
    /// Parts left out: before the first key frame, and in gaps.
    pub parts_left_out: u64,
}

/// Turns a program's outputs into what is to be written into one file.
///
/// May begin in mid-program: push the packager's `inits` first. It begins with a part that a decoder can begin with.
/// **Poll after every push, and write chunks in order**; when one cannot be written, cut the file back to where it was and say [`Writer::lost`].
pub struct Writer {
    zero_unix_ms: i64,
    video: Option<Init>,
    audio: Option<Init>,
    /// Which tracks the file's header has: none before there is one.
    header: Option<Tracks>,
    /// The programme clock when the recording began, in whole milliseconds, so that it is exact in both clocks.
    base_ms: Option<i64>,
    /// Parts are being written; false before the first and in a gap.
    running: bool,
    gap: bool,
    /// The newest mark: generation and tracks.
    mark: Option<(u32, Tracks)>,
    /// Sound before this, in milliseconds of the programme clock, belongs to what is missing.
    sound_from_ms: i64,
    chunks: VecDeque<Chunk>,
    counters: WriterCounters,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Tracks {
    video: bool,
    audio: bool,
}

impl Writer {
    /// `zero_unix_ms`: unix time of the programme clock's zero, in milliseconds.
    pub fn new(zero_unix_ms: i64) -> Self {
        Self {
            zero_unix_ms,
            video: None,
            audio: None,
            header: None,
            base_ms: None,
            running: false,
            gap: false,
            mark: None,
            sound_from_ms: 0,
            chunks: VecDeque::new(),
            counters: WriterCounters::default(),
        }
    }

    /// Takes what the packager put out, in that order.
    pub fn push(&mut self, output: &Output) {
        match output {
            Output::Init(init) => match init.rendition {
                Rendition::Video => self.video = Some(init.clone()),
                Rendition::Audio => self.audio = Some(init.clone()),
                Rendition::Lower { .. } | Rendition::Opus | Rendition::Captions => {}
            },
            Output::Part(part) => self.push_part(part),
            Output::Left(_) | Output::End => {}
        }
    }

    pub fn poll(&mut self) -> Option<Chunk> {
        self.chunks.pop_front()
    }

    /// `chunk` could not be written and is not in the file, nor will be those that are still to be polled. The recording
    /// goes on at the next key frame, with a mark that says so.
    pub fn lost(&mut self, chunk: &Chunk) {
        let header_lost = |chunk: &Chunk| chunk.place == Place::Header;
        if header_lost(chunk) || self.chunks.iter().any(header_lost) {
            self.header = None;
        }
        self.counters.parts_left_out += 1 + self.chunks.len() as u64;
        self.chunks.clear();
        // What was never begun has no gap: it begins later.
        self.gap = self.mark.is_some();
        self.counters.gaps += u64::from(self.running);
        self.running = false;
    }

    pub fn counters(&self) -> &WriterCounters {
        &self.counters
    }

    fn push_part(&mut self, part: &Part) {
        // A file has one picture, the top one, and its sound once.
        if let Rendition::Lower { .. } | Rendition::Opus | Rendition::Captions = part.rendition {
            return;
        }
        let time_ms = part.time.rescale(1000).ticks;
        if !self.running {
            let begins = match part.rendition {
                Rendition::Video | Rendition::Lower { .. } => part.independent,
                Rendition::Audio | Rendition::Opus | Rendition::Captions => self.video.is_none(),
            };
            if !begins {
                self.counters.parts_left_out += 1;
                return;
            }
            self.running = true;
            self.mark = None;
            self.sound_from_ms = time_ms;
        }
        if part.rendition == Rendition::Audio && time_ms < self.sound_from_ms {
            self.counters.parts_left_out += 1;
            return;
        }
        let base_ms = *self.base_ms.get_or_insert(time_ms);
        let mut out = Vec::with_capacity(part.bytes.len() + 2048);
        self.mark_if_due(part, base_ms, &mut out);
        let at = out.len();
        out.extend_from_slice(&part.bytes);
        let base = MediaTime::new(base_ms, 1000)
            .rescale(part.rendition.rate())
            .ticks;
        let time =
            u64::try_from(part.time.ticks - base).expect("nothing before the base is written");
        let field =
            at + boxes::decode_time_at(&part.bytes).expect("parts are written by boxes::part");
        out[field..field + 8].copy_from_slice(&time.to_be_bytes());
        self.counters.parts += 1;
        self.counters.bytes += out.len() as u64;
        self.chunks.push_back(Chunk {
            place: Place::Append,
            bytes: out.into(),
        });
    }

    /// A mark goes before the first part of the picture of a generation, and before the first part at all. Sound of a
    /// generation may stand before its mark, since sound is the same in all.
    fn mark_if_due(&mut self, part: &Part, base_ms: i64, out: &mut Vec<u8>) {
        let tracks = Tracks {
            video: self.video.is_some(),
            audio: self.audio.is_some(),
        };
        let due = match self.mark {
            None => true,
            Some((generation, marked)) => {
                part.rendition == Rendition::Video
                    && (generation != part.generation || marked != tracks)
            }
        };
        if !due {
            return;
        }
        let entries: Vec<_> = [&self.video, &self.audio]
            .into_iter()
            .flatten()
            .map(|init| &init.entry)
            .collect();
        let init = boxes::init(&entries);
        if self.header != Some(tracks) {
            self.chunks.push_back(Chunk {
                place: Place::Header,
                bytes: header(&init),
            });
            self.header = Some(tracks);
        }
        let size = u32::try_from(MARK_HEAD_BYTES + init.len())
            .expect("an initialization section is short");
        let flags = if self.gap { MARK_GAP } else { 0 } | if tracks.video { MARK_VIDEO } else { 0 };
        out.extend_from_slice(&size.to_be_bytes());
        out.extend_from_slice(b"uuid");
        out.extend_from_slice(&MARK_ID);
        out.extend_from_slice(&part.generation.to_be_bytes());
        out.extend_from_slice(&flags.to_be_bytes());
        out.extend_from_slice(&(self.zero_unix_ms + base_ms).to_be_bytes());
        out.extend_from_slice(&init);
        self.gap = false;
        self.mark = Some((part.generation, tracks));
    }
}

/// The initialization section and a `free` box up to [`HEADER_BYTES`].
fn header(init: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend_from_slice(init);
    let free = HEADER_BYTES
        .checked_sub(init.len())
        .filter(|free| *free >= 8);
    let free = free.expect("parameter sets of one source are far shorter than the header");
    out.extend_from_slice(
        &u32::try_from(free)
            .expect("the header is short")
            .to_be_bytes(),
    );
    out.extend_from_slice(b"free");
    out.resize(HEADER_BYTES, 0);
    out.into()
}
