//! One member's track as it was sent, in a fragmented MP4 of its own that is whole after every append.
//!
//! ```text
//! ftyp moov uuid (about) free   HEADER_BYTES: how it is coded, when it began, and whose it is
//! moof mdat                     about a fifth of a second
//! …
//! ```
//!
//! Nothing is encoded. Decoding times are the programme clock's, counted from the track's first frame, so that the file
//! plays from its beginning; the box says when that was. What was not sent (a muted camera) is a jump of decoding times.

use std::collections::VecDeque;
use std::time::Duration;

use amphi_media::{Codec, MediaKind, MediaTime, VideoSize, av1, h264, opus};
use bytes::Bytes;

use super::scan::{Item, Walk, walk};
use super::{ByteSource, Chunk, HEADER_BYTES, Place};
use crate::boxes::{self, AUDIO_RATE, Entry, PartSample, VIDEO_RATE};

/// How far from a file's end its last fragment is looked for: nearly always the first of these has it.
const TAILS: [u64; 2] = [256 * 1024, 8 * 1024 * 1024];
/// Places that read like a fragment's beginning and are none.
const GUESSES_MAX: usize = 64;
/// What our `uuid` box about a track is called.
const ABOUT_ID: [u8; 16] = *b"amphi track 001\n";
/// Of the box, before what the caller said of the track: box header and id, and when it began.
const ABOUT_HEAD_BYTES: usize = 8 + 16 + 8;
/// What the caller may say of a track at most: the header has room for parameter sets beside it.
const NOTE_BYTES_MAX: usize = 4 * 1024;

/// How much a fragment holds. A kill costs what was not appended, and each fragment costs some 120 bytes.
const FRAGMENT_MS: i64 = 200;
/// A picture lasts until the next one; if that is longer, nothing was sent in between.
const PAUSE_MS: i64 = 2_000;
/// How far sound may be off the programme clock. Packets follow each other without a hole as long as they are nearer, since
/// every hole is heard; beyond it there is a pause, or a packet is left out. Less than what eyes notice at lips.
const SOUND_OFF_MS: i64 = 40;
/// How long a picture lasts that nothing follows.
const PICTURE_MS: i64 = 33;
/// More fragments than a second of pictures each are written at once.
const FRAGMENT_SAMPLES_MAX: usize = 128;
/// Longer frames are left out: no publisher makes them, and sizes in a fragment have 32 bits.
const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// H.264's own limits are 32 and 256; WebRTC sends one or two of each.
const PARAMETER_SETS_MAX: usize = 8;
const PARAMETER_SET_BYTES_MAX: usize = 512;

/// A coded frame of the track, with its time on the programme clock.
#[derive(Clone, PartialEq, Debug)]
pub struct TrackFrame {
    pub time: MediaTime,
    pub key: bool,
    /// False when frames before it are missing.
    pub contiguous: bool,
    /// Where it is known without reading the frame.
    pub size: Option<VideoSize>,
    /// As in `amphi_media::Frame`.
    pub data: Bytes,
}

/// What went into a track's file, and what did not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TrackWriterCounters {
    pub frames: u64,
    /// Frames that a decoder could not have used: before the first key frame, after a loss, of no size; sound that came
    /// faster than it plays; and those of fragments that could not be written.
    pub frames_left_out: u64,
}

/// Turns the frames of one track into what is to be written into one file.
///
/// **Poll after every push**, and say [`TrackWriter::lost`] of what could not be written.
pub struct TrackWriter {
    codec: Codec,
    note: Bytes,
    header: Option<Header>,
    /// The header is in the file.
    has_header: bool,
    /// A decoder can go on with the next frame.
    running: bool,
    /// The newest frame: how long it lasts is known when the next one comes.
    pending: Option<Pending>,
    open: Vec<PartSample>,
    /// Ticks of the file's clock at which the open fragment begins.
    open_from: i64,
    fragments: u32,
    chunks: VecDeque<Chunk>,
    counters: TrackWriterCounters,
}

struct Header {
    entry: Entry,
    /// Of the first frame.
    begin: MediaTime,
}

struct Pending {
    /// In ticks of the file's clock.
    time: i64,
    /// In ticks, where the frame tells.
    lasts: Option<i64>,
    key: bool,
    data: Bytes,
}

impl TrackWriter {
    /// `note` is what [`about`] gives back: who sent it, what it shows. At most 4 KiB of it are kept. None for a codec that
    /// is not written as it was sent (AAC, which no member sends).
    pub fn new(codec: Codec, note: &[u8]) -> Option<Self> {
        let carried = match codec {
            Codec::Opus | Codec::H264 | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => true,
            Codec::Aac => false,
        };
        carried.then(|| Self {
            codec,
            note: Bytes::copy_from_slice(&note[..note.len().min(NOTE_BYTES_MAX)]),
            header: None,
            has_header: false,
            running: false,
            pending: None,
            open: Vec::new(),
            open_from: 0,
            fragments: 0,
            chunks: VecDeque::new(),
            counters: TrackWriterCounters::default(),
        })
    }

    /// Takes the track's next frame. A time that does not grow is taken for the next possible one.
    pub fn push(&mut self, frame: &TrackFrame) {
        let is_sound = self.codec.kind() == MediaKind::Audio;
        self.running &= frame.contiguous || is_sound;
        let begins = frame.key || is_sound;
        let usable = (self.running || begins) && frame.data.len() <= FRAME_BYTES_MAX;
        let data = if usable {
            self.payload(&frame.data)
        } else {
            None
        };
        let (Some(data), true) = (data, usable) else {
            self.counters.frames_left_out += 1;
            return;
        };
        if self.header.is_none() {
            let Some(entry) = self.entry(frame) else {
                self.counters.frames_left_out += 1;
                return;
            };
            self.header = Some(Header {
                entry,
                begin: frame.time.rescale(self.rate()),
            });
        }
        self.running = true;
        self.take(frame, data);
    }

    /// Nothing comes any more, or not for a while: what is there is to be written.
    pub fn flush(&mut self) {
        self.close_pending(None);
        self.close_fragment();
    }

    pub fn poll(&mut self) -> Option<Chunk> {
        self.chunks.pop_front()
    }

    /// `chunk` could not be written and is not in the file, nor will be those that are still to be polled. The track goes on
    /// at its next key frame.
    pub fn lost(&mut self, chunk: &Chunk) {
        let is_header = |chunk: &Chunk| chunk.place == Place::Header;
        if is_header(chunk) || self.chunks.iter().any(is_header) {
            self.has_header = false;
        }
        self.chunks.clear();
        self.counters.frames_left_out += self.open.len() as u64 + u64::from(self.pending.is_some());
        self.open.clear();
        self.pending = None;
        self.running = false;
    }

    /// The first frame's time on the programme clock: the file's zero.
    pub fn begin(&self) -> Option<MediaTime> {
        self.header.as_ref().map(|header| header.begin)
    }

    pub fn counters(&self) -> &TrackWriterCounters {
        &self.counters
    }

    fn rate(&self) -> u32 {
        match self.codec.kind() {
            MediaKind::Video => VIDEO_RATE,
            MediaKind::Audio => AUDIO_RATE,
        }
    }

    /// As it stands in a file. None when there is nothing in it.
    fn payload(&self, data: &Bytes) -> Option<Bytes> {
        if data.is_empty() {
            return None;
        }
        match self.codec {
            Codec::H264 => length_prefixed(data),
            Codec::Opus => opus::duration(data).is_some().then(|| data.clone()),
            Codec::Vp8 | Codec::Vp9 | Codec::Aac | Codec::Av1 => Some(data.clone()),
        }
    }

    /// What the file's header says, from the first frame. None when that does not tell.
    fn entry(&self, frame: &TrackFrame) -> Option<Entry> {
        let in_frame = amphi_media::vp8::header(&frame.data).and_then(|header| header.size);
        let sane = |size: &VideoSize| size.width > 0 && size.height > 0;
        match self.codec {
            Codec::Opus => Some(Entry::Opus),
            Codec::H264 => parameter_sets(&frame.data),
            Codec::Vp8 => in_frame.filter(sane).map(|size| Entry::Vp8 { size }),
            Codec::Vp9 => frame.size.filter(sane).map(|size| Entry::Vp9 {
                size,
                profile: vp9_profile(&frame.data),
            }),
            Codec::Av1 => av1_entry(&frame.data),
            Codec::Aac => None,
        }
    }

    fn take(&mut self, frame: &TrackFrame, data: Bytes) {
        let rate = self.rate();
        let begin = self.begin().expect("there is a header by now");
        let mut time = frame.time.rescale(rate).ticks - begin.ticks;
        if let Some(pending) = &self.pending {
            if let Some(lasts) = pending.lasts {
                let follows = pending.time + lasts;
                let off_max = ticks(SOUND_OFF_MS, rate);
                if follows - time > off_max {
                    self.counters.frames_left_out += 1;
                    return;
                }
                if time - follows <= off_max {
                    time = follows;
                }
            }
            time = time.max(pending.time + 1);
        }
        time = time.max(self.open_until());
        let lasts = match self.codec {
            Codec::Opus => {
                opus::duration(&frame.data).map(|lasts| MediaTime::from_duration(lasts, rate).ticks)
            }
            _ => None,
        };
        self.close_pending(Some(time));
        let elapsed = self.open_until() - self.open_from;
        if elapsed >= ticks(FRAGMENT_MS, rate) || self.open.len() >= FRAGMENT_SAMPLES_MAX {
            self.close_fragment();
        }
        self.pending = Some(Pending {
            time,
            lasts,
            key: frame.key,
            data,
        });
    }

    /// Where the open fragment ends.
    fn open_until(&self) -> i64 {
        let lasts: i64 = self
            .open
            .iter()
            .map(|sample| i64::from(sample.duration))
            .sum();
        self.open_from + lasts
    }

    /// The pending frame's end is known: the next one comes at `next`.
    fn close_pending(&mut self, next: Option<i64>) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let rate = self.rate();
        let usual = pending.lasts.unwrap_or(ticks(PICTURE_MS, rate));
        let until_next = next.map(|next| next - pending.time);
        let lasts = match (until_next, pending.lasts) {
            (None, _) => usual,
            (Some(span), Some(own)) => own.min(span),
            (Some(span), None) if span > ticks(PAUSE_MS, rate) => usual,
            (Some(span), _) => span,
        };
        if self.open.is_empty() {
            self.open_from = pending.time;
        } else if pending.time != self.open_until() {
            self.close_fragment();
            self.open_from = pending.time;
        }
        self.open.push(PartSample {
            data: pending.data,
            duration: u32::try_from(lasts).expect("between one tick and a pause"),
            key: pending.key,
        });
        self.counters.frames += 1;
    }

    fn close_fragment(&mut self) {
        let (Some(header), false) = (&self.header, self.open.is_empty()) else {
            return;
        };
        if !self.has_header {
            self.chunks.push_back(Chunk {
                place: Place::Header,
                bytes: file_header(header, &self.note),
            });
            self.has_header = true;
        }
        self.fragments += 1;
        let time = u64::try_from(self.open_from).expect("no frame is before the first");
        self.chunks.push_back(Chunk {
            place: Place::Append,
            bytes: boxes::part(header.entry.track(), self.fragments, time, &self.open),
        });
        let until = self.open_until();
        self.open.clear();
        self.open_from = until;
    }
}

fn ticks(ms: i64, rate: u32) -> i64 {
    MediaTime::new(ms, 1_000).rescale(rate).ticks
}

fn file_header(header: &Header, note: &[u8]) -> Bytes {
    let mut out = boxes::init(&[&header.entry]);
    let size = u32::try_from(ABOUT_HEAD_BYTES + note.len()).expect("a note is short");
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(b"uuid");
    out.extend_from_slice(&ABOUT_ID);
    let begin_us = header.begin.micros();
    out.extend_from_slice(&begin_us.to_be_bytes());
    out.extend_from_slice(note);
    let free = HEADER_BYTES
        .checked_sub(out.len())
        .filter(|free| *free >= 8)
        .expect("parameter sets and notes were bounded when they came");
    let free = u32::try_from(free).expect("the header is short");
    out.extend_from_slice(&free.to_be_bytes());
    out.extend_from_slice(b"free");
    out.resize(HEADER_BYTES, 0);
    out.into()
}

/// What the head of a track's file tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct About {
    /// Programme time of the file's zero.
    pub begin_us: i64,
    pub note: Vec<u8>,
}

/// Reads the head of a track's file. None when it is none, or is not whole.
pub fn about<S: ByteSource + ?Sized>(source: &S) -> Option<About> {
    let mut at = 0;
    while at + 8 <= HEADER_BYTES as u64 {
        let mut head = [0; 24];
        source.read_at(at, &mut head)?;
        let size = u32::from_be_bytes(head[..4].try_into().expect("four bytes"));
        if size < 8 {
            return None;
        }
        if head[4..8] == *b"uuid" && head[8..24] == ABOUT_ID {
            let bytes = usize::try_from(size).ok()?.checked_sub(ABOUT_HEAD_BYTES)?;
            if bytes > NOTE_BYTES_MAX {
                return None;
            }
            let mut rest = vec![0; 8 + bytes];
            source.read_at(at + 24, &mut rest)?;
            let note = rest.split_off(8);
            let begin_us = i64::from_be_bytes(rest.try_into().expect("eight bytes"));
            return Some(About { begin_us, note });
        }
        at += u64::from(size);
    }
    None
}

/// How long a track's file plays, from its zero: to the end of its last whole fragment, which is looked for from behind, since
/// a long file has very many. None when there is none in its last 8 MiB.
pub fn length<S: ByteSource + ?Sized>(source: &S) -> Option<Duration> {
    let size = source.size();
    TAILS.iter().find_map(|tail| {
        let from = size.saturating_sub(*tail);
        let mut bytes = vec![0; usize::try_from(size - from).ok()?];
        source.read_at(from, &mut bytes)?;
        let mut end_us = None;
        bytes
            .windows(8)
            .enumerate()
            .filter(|(_, head)| &head[4..] == b"moof")
            .take(GUESSES_MAX)
            .find_map(|(at, _)| {
                // Where the media happens to read like a box, no whole fragment follows.
                walk(source, from + at as u64, 1, |item| {
                    if let Item::Fragment(fragment) = item {
                        end_us = Some(fragment.end_us());
                    }
                    Walk::On
                });
                end_us
            })
            .map(Duration::from_micros)
    })
}

/// From start codes to 4-byte lengths. Delimiters and filler go; parameter sets stay in front of their key frame, since the
/// next one may have others.
fn length_prefixed(annex_b: &[u8]) -> Option<Bytes> {
    let mut out = Vec::with_capacity(annex_b.len() + 16);
    for nal in h264::nal_units(annex_b) {
        // Access unit delimiter, end of sequence, end of stream, filler (ITU-T H.264 table 7-1).
        if nal.is_empty() || matches!(h264::nal_type(nal), None | Some(9..=12)) {
            continue;
        }
        let length = u32::try_from(nal.len()).ok()?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(nal);
    }
    (!out.is_empty()).then(|| out.into())
}

/// The parameter sets of a key frame, each once. None when it has none, or such as nobody sends.
fn parameter_sets(annex_b: &[u8]) -> Option<Entry> {
    let (mut sps, mut pps) = (Vec::<Bytes>::new(), Vec::<Bytes>::new());
    for nal in h264::nal_units(annex_b) {
        let sets = match h264::nal_type(nal) {
            Some(h264::NAL_SPS) => &mut sps,
            Some(h264::NAL_PPS) => &mut pps,
            _ => continue,
        };
        if !sets.iter().any(|set| set == nal) {
            sets.push(Bytes::copy_from_slice(nal));
        }
    }
    let sane = |sets: &[Bytes]| {
        (1..=PARAMETER_SETS_MAX).contains(&sets.len())
            && sets.iter().all(|set| set.len() <= PARAMETER_SET_BYTES_MAX)
    };
    if !sane(&sps) || !sane(&pps) {
        return None;
    }
    let size = h264::sps(&sps[0])?.size;
    Some(Entry::Video { size, sps, pps })
}

/// None without a sequence header.
fn av1_entry(unit: &[u8]) -> Option<Entry> {
    let header = av1::obus(unit).find(|obu| obu.kind == av1::OBU_SEQUENCE_HEADER)?;
    let sequence = av1::sequence_header(header.payload)?;
    let mut unit = Vec::new();
    header.write(&mut unit);
    (unit.len() <= PARAMETER_SET_BYTES_MAX).then(|| Entry::Av1 {
        sequence,
        unit: unit.into(),
    })
}

/// `frame_marker` is two bits, then the profile's low and high bit (VP9 bitstream §6.2).
fn vp9_profile(frame: &[u8]) -> u8 {
    let first = frame.first().copied().unwrap_or(0);
    ((first >> 5) & 1) | (((first >> 4) & 1) << 1)
}
