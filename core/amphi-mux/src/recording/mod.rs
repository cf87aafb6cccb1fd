//! The recording: a program's parts in one fragmented MP4 that is whole after every append.
//!
//! ```text
//! ftyp moov free            HEADER_BYTES, with every track that is known; what <video src> and ffprobe read
//! uuid (mark)               which generation begins here, and its initialization section
//! moof mdat                 a part of the picture
//! moof mdat                 a part of the sound
//! …
//! uuid (mark) moof mdat …   after a cut, or after something that could not be written
//! ```
//!
//! - Nothing is ever finished off: cut the file anywhere and all whole fragments before the cut play. [`scan`] finds them.
//! - Decoding times begin at zero with the recording, not with the program.
//! - A change of size goes on in the same track: parameter sets stand in front of every key frame. For HLS, whose players do
//!   read initialization sections, each mark holds the one of its generation, so that `EXT-X-MAP` is a byte range into it.
//!   (A second `moov` would do for that too, but a file has exactly one: ISO/IEC 14496-12 §8.2.1. A `uuid` box is skipped by all.)
//! - The one thing written twice is the header, when a picture comes into a recording that began without: a track that is not
//!   in `moov` does not exist, and one that is there and never comes makes browsers wait for it.

mod scan;
mod track;
mod vod;
mod writer;

pub(crate) use scan::fragments;
pub use scan::{ByteSource, Fragment, Mark, Scan, Sum, scan, sum};
pub use track::{About, TrackFrame, TrackWriter, TrackWriterCounters, about, length};
pub use vod::{Reader, vod_playlist};
pub use writer::{Chunk, HEADER_BYTES, Place, Writer, WriterCounters};

/// What our `uuid` boxes are called.
const MARK_ID: [u8; 16] = *b"amphi mark 0001\n";

/// Of a mark, before the initialization section: box header and id, generation, flags, unix milliseconds.
const MARK_HEAD_BYTES: usize = 8 + 16 + 4 + 4 + 8;

/// Something before this mark is missing.
const MARK_GAP: u32 = 1;
/// The initialization section has a track for the picture.
const MARK_VIDEO: u32 = 2;
