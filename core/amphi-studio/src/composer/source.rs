//! One camera or screen: its coded pictures, up to the newest one that was decoded.

use std::collections::VecDeque;

use amphi_media::{Codec, MemberId, Source, TrackId, VideoSize};
use bytes::Bytes;

use super::Described;
use crate::canvas::Picture;
use crate::picture::Parameters;
use crate::{CodecError, Counters, VideoDecoder, VideoDecoders};

/// Frames that wait to be decoded, and their bytes. Beyond it the source waits for a key frame.
const QUEUE_MAX: usize = 120;
const QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// After so many errors in a row the decoder is made anew.
const DECODER_ERRORS_MAX: u32 = 5;

/// A camera of which nothing new is seen for so long is not there any more: a browser that runs sends some pictures every second. Longer:
/// somebody seems to stare for as long. Shorter: a network's mood makes people disappear.
const FROZEN_US: i64 = 5_000_000;

/// How often a source is asked whose key frame is waited for.
const ASK_AGAIN_US: i64 = 1_000_000;

struct Coded {
    time_us: i64,
    key: bool,
    data: Bytes,
}

/// A frame as it came.
pub struct Arrived {
    pub codec: Codec,
    pub time_us: i64,
    pub key: bool,
    pub contiguous: bool,
    pub data: Bytes,
}

pub struct Film {
    pub member: MemberId,
    pub source: Source,
    pub muted: bool,
    /// Which came first.
    pub order: u64,
    /// Of the newest decoded picture; none while there is none to be seen.
    pub size: Option<VideoSize>,
    /// It has a cell, so its frames are worth keeping.
    visible: bool,
    codec: Option<Codec>,
    parameters: Parameters,
    needs_key: bool,
    queue: VecDeque<Coded>,
    queue_bytes: usize,
    decoder: Option<Box<dyn VideoDecoder>>,
    errors_in_a_row: u32,
    asked_us: i64,
    /// For which instant the newest picture was decoded; none while there is none to be seen.
    shown_us: Option<i64>,
}

impl Film {
    pub fn new(track: &Described, order: u64) -> Self {
        Self {
            member: track.member,
            source: track.source,
            muted: track.muted,
            order,
            size: None,
            visible: false,
            codec: None,
            parameters: Parameters::default(),
            needs_key: true,
            queue: VecDeque::new(),
            queue_bytes: 0,
            decoder: None,
            errors_in_a_row: 0,
            asked_us: i64::MIN / 2,
            shown_us: None,
        }
    }

    pub fn describe(&mut self, track: &Described) {
        self.source = track.source;
        self.muted = track.muted;
        if track.muted {
            self.forget_queue();
            self.size = None;
            self.shown_us = None;
        }
    }

    pub fn is_screen(&self) -> bool {
        self.source == Source::Screen
    }

    /// Something came of it, and it may be seen.
    pub fn is_showable(&self) -> bool {
        !self.muted && self.codec.is_some()
    }

    /// A camera whose newest picture is an old one, and that has none for this instant either. A screen may stand still as long as it likes.
    pub fn is_frozen(&self, at_us: i64) -> bool {
        let old = |shown_us| at_us - shown_us >= FROZEN_US;
        self.source == Source::Camera
            && self.shown_us.is_some_and(old)
            && self.queue.front().is_none_or(|next| next.time_us > at_us)
    }

    pub fn set_visible(&mut self, visible: bool) {
        if !visible && self.visible {
            self.forget_queue();
            self.decoder = None;
            self.size = None;
            self.shown_us = None;
        }
        self.visible = visible;
    }

    pub fn push(&mut self, frame: Arrived, counters: &mut Counters) {
        if self.codec.replace(frame.codec) != Some(frame.codec) {
            self.forget_queue();
            self.decoder = None;
        }
        self.needs_key |= !frame.contiguous || !self.visible;
        if !self.visible {
            return;
        }
        let data = match frame.codec {
            Codec::H264 => self.parameters.prepare(frame.key, &frame.data),
            _ => Some(frame.data),
        };
        let Some(data) = data else {
            counters.keys_unusable += 1;
            return;
        };
        self.needs_key &= !frame.key;
        if self.needs_key {
            counters.pictures_broken += 1;
            return;
        }
        if self.queue.len() >= QUEUE_MAX || self.queue_bytes + data.len() > QUEUE_BYTES_MAX {
            counters.pictures_overflow += 1;
            self.forget_queue();
            return;
        }
        self.queue_bytes += data.len();
        self.queue.push_back(Coded {
            time_us: frame.time_us,
            key: frame.key,
            data,
        });
    }

    /// True when its key frame should be asked for now.
    pub fn asks(&mut self, now_us: i64) -> bool {
        let asks =
            self.visible && self.needs_key && now_us.saturating_sub(self.asked_us) >= ASK_AGAIN_US;
        if asks {
            self.asked_us = now_us;
        }
        asks
    }

    /// Decodes what belongs before this instant, and gives the last picture of it to `show`.
    pub fn decode_until(
        &mut self,
        at_us: i64,
        decoders: &mut VideoDecoders,
        counters: &mut Counters,
        show: &mut dyn FnMut(Source, &Picture<'_>),
    ) {
        while self
            .queue
            .front()
            .is_some_and(|coded| coded.time_us <= at_us)
            && let Some(coded) = self.queue.pop_front()
        {
            self.queue_bytes -= coded.data.len();
            let is_last = self.queue.front().is_none_or(|next| next.time_us > at_us);
            let source = self.source;
            let mut came = false;
            let result = self.decode(&coded, decoders, &mut |picture| {
                came = true;
                if is_last {
                    show(source, picture);
                }
            });
            if came {
                self.shown_us = Some(at_us);
            }
            match result {
                Ok(()) => {
                    self.errors_in_a_row = 0;
                    counters.pictures_decoded += 1;
                }
                Err(_) => {
                    counters.decoder_errors += 1;
                    self.errors_in_a_row += 1;
                    if self.errors_in_a_row >= DECODER_ERRORS_MAX {
                        self.decoder = None;
                        self.errors_in_a_row = 0;
                    }
                    self.forget_queue();
                }
            }
        }
    }

    fn decode(
        &mut self,
        coded: &Coded,
        decoders: &mut VideoDecoders,
        show: &mut dyn FnMut(&Picture<'_>),
    ) -> Result<(), CodecError> {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            None if !coded.key => {
                return Err(CodecError("it begins without a key frame".to_owned()));
            }
            None => {
                let codec = self
                    .codec
                    .ok_or_else(|| CodecError("its codec is not known".to_owned()))?;
                self.decoder.insert(decoders(codec)?)
            }
        };
        let size = &mut self.size;
        decoder.decode(&coded.data, &mut |picture| {
            *size = Some(picture.size());
            show(picture);
        })
    }

    fn forget_queue(&mut self) {
        self.queue.clear();
        self.queue_bytes = 0;
        self.needs_key = true;
    }
}

/// A cell's content, apart from where it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Seat {
    Screen(TrackId),
    Person(MemberId),
}
