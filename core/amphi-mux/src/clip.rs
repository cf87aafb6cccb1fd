//! A stretch of a broadcast as a file, from the segments of its window: nothing is encoded again.

use amphi_media::MediaTime;
use bytes::Bytes;

use crate::packager::{Init, Output, Part, Rendition};
use crate::recording::{self, Chunk, Writer};

/// What a clip is made of, in the order in which a [`Clipper`] takes it.
#[derive(Clone, PartialEq, Debug)]
pub enum ClipPiece {
    Init(Init),
    Segment(ClipSegment),
}

/// A whole segment, or what there is of the newest one.
#[derive(Clone, PartialEq, Debug)]
pub struct ClipSegment {
    pub rendition: Rendition,
    pub generation: u32,
    pub sequence: u64,
    /// As in the playlists.
    pub name: String,
    /// None: whoever keeps segments has it, under its name.
    pub bytes: Option<Bytes>,
}

/// Why there is no clip.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoClip {
    /// Nothing has been shown yet.
    NothingYet,
    /// Not all of it is in the window, which is from the first to the second time on the programme clock.
    Outside(MediaTime, MediaTime),
}

/// Turns the pieces of a clip into what is to be written into a file, which has the layout of a recording.
///
/// The clip begins with the segment in which it is to begin, since a decoder cannot begin elsewhere, and ends with the part in
/// which it is to end. **Poll after every push, and write chunks in order.**
pub struct Clipper {
    writer: Writer,
    to_us: i64,
}

impl Clipper {
    /// `zero_unix_ms`: unix time of the programme clock's zero, in milliseconds. `to`: on the programme clock.
    pub fn new(zero_unix_ms: i64, to: MediaTime) -> Self {
        Self {
            writer: Writer::new(zero_unix_ms),
            to_us: to.micros(),
        }
    }

    pub fn push_init(&mut self, init: &Init) {
        self.writer.push(&Output::Init(init.clone()));
    }

    pub fn push_segment(&mut self, segment: &ClipSegment, bytes: &Bytes) {
        let rate = segment.rendition.rate();
        for (index, fragment) in (0..).zip(recording::fragments(bytes)) {
            let place = |at: u64| usize::try_from(at).expect("it is in memory");
            let ticks = |ticks: u64| i64::try_from(ticks).unwrap_or(i64::MAX);
            let time = MediaTime::new(ticks(fragment.time), rate);
            if time.micros() >= self.to_us {
                return;
            }
            self.writer.push(&Output::Part(Part {
                rendition: segment.rendition,
                generation: segment.generation,
                sequence: segment.sequence,
                index,
                time,
                duration: MediaTime::new(ticks(fragment.duration), rate),
                bytes: bytes.slice(place(fragment.offset)..place(fragment.offset + fragment.bytes)),
                independent: fragment.key,
                discontinuity: false,
                ends_segment: false,
                frames: 0,
                shown: 0,
            }));
        }
    }

    pub fn poll(&mut self) -> Option<Chunk> {
        self.writer.poll()
    }
}
