//! Codecs that code nothing: a packet carries its samples, an access unit too.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use amphi_media::{Codec, MediaTime, TrackId, VideoSize, h264};
use amphi_studio::canvas::{Canvas, Picture};
use amphi_studio::lettering::Image;
use amphi_studio::{
    ACCESS_UNIT_FRAMES, AudioDecoder, AudioEncoder, CodecError, Codecs, Coded, Encoded,
    PACKET_FRAMES, Piece, Stereo, VideoCodecs, VideoDecoder, VideoEncoder,
};
use bytes::{BufMut, Bytes, BytesMut};

/// 20 ms of CELT, one frame (RFC 6716 §3.1).
const TOC: u8 = 0xfc;

/// A packet of 20 ms of silence.
const SILENCE: &[u8] = &[TOC, 0, 0, 0, 0];

/// A packet of 20 ms that decodes to these samples on both sides.
pub fn packet(samples: &[f32; 960]) -> Bytes {
    if samples.iter().all(|sample| *sample == 0.0) {
        return Bytes::from_static(SILENCE);
    }
    let mut data = BytesMut::with_capacity(1 + 960 * 4);
    data.put_u8(TOC);
    for sample in samples {
        data.put_f32(*sample);
    }
    data.freeze()
}

/// The samples of an access unit.
pub fn samples(access_unit: &[u8]) -> Vec<Stereo> {
    let value = |bytes: &[u8]| f32::from_be_bytes(bytes.try_into().expect("four bytes"));
    access_unit
        .chunks(8)
        .map(|pair| [value(&pair[..4]), value(&pair[4..])])
        .collect()
}

#[derive(Default)]
struct PassDecoder {
    last: Vec<Stereo>,
}

impl AudioDecoder for PassDecoder {
    fn decode(
        &mut self,
        piece: Piece<'_>,
        frames: usize,
        into: &mut Vec<Stereo>,
    ) -> Result<(), CodecError> {
        match piece {
            Piece::Packet(SILENCE) => {
                self.last = vec![[0.0; 2]; 960];
                into.extend(&self.last);
            }
            Piece::Packet(data) => {
                let value =
                    |bytes: &[u8]| f32::from_be_bytes(bytes.try_into().expect("four bytes"));
                self.last = data[1..]
                    .chunks_exact(4)
                    .map(|bytes| [value(bytes); 2])
                    .collect();
                into.extend(&self.last);
            }
            // The tones of the tests have whole cycles in 20 ms, so the newest packet goes on well.
            Piece::LostBefore { .. } | Piece::Lost => into.extend(self.last.iter().take(frames)),
        }
        Ok(())
    }
}

/// Packets that carry their samples.
pub struct PassPackets;

impl AudioEncoder<PACKET_FRAMES> for PassPackets {
    fn encode(&mut self, pcm: &[Stereo; PACKET_FRAMES]) -> Result<Bytes, CodecError> {
        let mut data = BytesMut::new();
        for sample in pcm.as_flattened() {
            data.put_f32(*sample);
        }
        Ok(data.freeze())
    }

    fn delay(&self) -> u32 {
        0
    }

    fn reset(&mut self) {}
}

struct PassEncoder {
    delay: u32,
    late: std::collections::VecDeque<Stereo>,
    errors: Arc<AtomicU32>,
}

impl AudioEncoder for PassEncoder {
    fn encode(&mut self, pcm: &[Stereo; ACCESS_UNIT_FRAMES]) -> Result<Bytes, CodecError> {
        if self.errors.load(Ordering::Relaxed) > 0 {
            self.errors.fetch_sub(1, Ordering::Relaxed);
            return Err(CodecError("made to fail".into()));
        }
        assert!(
            pcm.iter().flatten().all(|sample| sample.abs() <= 0.708),
            "an encoder would die of this"
        );
        self.late.extend(pcm);
        let mut data = BytesMut::new();
        for sample in self.late.drain(..ACCESS_UNIT_FRAMES).flatten() {
            data.put_f32(sample);
        }
        Ok(data.freeze())
    }

    fn delay(&self) -> u32 {
        self.delay
    }

    fn reset(&mut self) {
        self.late = vec![[0.0; 2]; self.delay as usize].into();
    }
}

/// Codecs whose encoder is late by `delay` and fails as often as `errors` says.
pub fn pass_through(delay: u32, errors: Arc<AtomicU32>) -> Codecs {
    let late = vec![[0.0; 2]; delay as usize].into();
    Codecs {
        encoder: Box::new(PassEncoder {
            delay,
            late,
            errors,
        }),
        opus: None,
        decoders: Box::new(|codec| match codec {
            Codec::Opus => Ok(Box::<PassDecoder>::default()),
            other => Err(CodecError(format!("no decoder for {}", other.name()))),
        }),
    }
}

/// Size of the pictures that [`film`] decodes to.
pub const FILM: VideoSize = VideoSize {
    width: 64,
    height: 36,
};

/// The brightness of a track's pictures, of which a coded one tells seven bits.
pub fn luma_of(track: TrackId) -> u8 {
    100 + (track.0 & 0x7f) as u8
}

/// The camera of member 6 sees a flash at each full second, this bright.
pub const BLINKS: TrackId = TrackId(61);
pub const BLINK: u8 = 250;

/// What was done with pictures.
#[derive(Debug, Default)]
pub struct Done {
    pub decoders: AtomicU32,
    pub decoded: AtomicU32,
    pub encoded: AtomicU32,
    /// So many of the next pictures fail to be decoded, and encoded.
    pub decoder_errors: AtomicU32,
    pub encoder_errors: AtomicU32,
    /// So many pictures an encoder keeps to itself until more are given; 0: it gives each at once.
    pub keeps: AtomicU32,
    /// So many of the next pictures are the last of their encoder.
    pub breaks: AtomicU32,
    /// Encoders that there are now, and that there ever were at a time.
    pub encoders: AtomicU32,
    pub encoders_most: AtomicU32,
}

fn fails(errors: &AtomicU32) -> bool {
    errors
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            left.checked_sub(1)
        })
        .is_ok()
}

struct FilmDecoder {
    done: Arc<Done>,
    begun: bool,
}

impl VideoDecoder for FilmDecoder {
    fn decode(
        &mut self,
        data: &[u8],
        show: &mut dyn FnMut(&Picture<'_>),
    ) -> Result<(), CodecError> {
        let slice = h264::nal_units(data).last().expect("a slice");
        self.begun |= slice[0] == 0x65;
        assert!(self.begun, "a decoder begins with a key frame");
        self.done.decoded.fetch_add(1, Ordering::Relaxed);
        if fails(&self.done.decoder_errors) {
            self.begun = false;
            return Err(CodecError("made to fail".into()));
        }
        let track = TrackId(u32::from(slice[1] & 0x7f));
        let captured = std::str::from_utf8(&slice[2..]).expect("digits");
        let captured_us: i64 = captured.parse().expect("a time");
        let luma = match track == BLINKS && captured_us % 1_000_000 == 0 {
            true => BLINK,
            false => luma_of(track),
        };
        let pixels = (FILM.width * FILM.height) as usize;
        let planes = [
            vec![luma; pixels],
            vec![128; pixels / 4],
            vec![128; pixels / 4],
        ];
        let strides = [FILM.width, FILM.width / 2, FILM.width / 2].map(|stride| stride as usize);
        let picture = Picture::new(FILM, [&planes[0], &planes[1], &planes[2]], strides);
        show(&picture.expect("whole planes"));
        Ok(())
    }
}

struct LumaEncoder {
    done: Arc<Done>,
    kept: VecDeque<Coded>,
    broken: bool,
}

impl LumaEncoder {
    fn new(done: Arc<Done>) -> Self {
        let before = done.encoders.fetch_add(1, Ordering::Relaxed);
        done.encoders_most.fetch_max(before + 1, Ordering::Relaxed);
        Self {
            done,
            kept: VecDeque::new(),
            broken: false,
        }
    }
}

impl Drop for LumaEncoder {
    fn drop(&mut self) {
        self.done.encoders.fetch_sub(1, Ordering::Relaxed);
    }
}

impl VideoEncoder for LumaEncoder {
    fn encode(
        &mut self,
        picture: &Canvas,
        time: MediaTime,
        key: bool,
    ) -> Result<Encoded, CodecError> {
        if fails(&self.done.encoder_errors) {
            return Err(CodecError("made to fail".into()));
        }
        self.done.encoded.fetch_add(1, Ordering::Relaxed);
        let data = Bytes::copy_from_slice(picture.planes()[0]);
        let coded = Coded { time, key, data };
        self.broken |= fails(&self.done.breaks);
        if self.done.keeps.load(Ordering::Relaxed) == 0 && !self.broken {
            return Ok(Encoded::Now(coded));
        }
        self.kept.push_back(coded);
        Ok(Encoded::Later)
    }

    fn poll(&mut self) -> Result<Option<Coded>, CodecError> {
        if self.broken {
            return Err(CodecError("made to break".into()));
        }
        let keeps = self.done.keeps.load(Ordering::Relaxed) as usize;
        let gives = self.kept.len() > keeps;
        Ok(gives.then(|| self.kept.pop_front()).flatten())
    }
}

/// Pictures of one brightness each; a coded picture of the program is its luma plane.
pub fn film(done: &Arc<Done>) -> VideoCodecs {
    let encoders = done.clone();
    let done = done.clone();
    VideoCodecs {
        encoders: Box::new(move |_| Ok(Box::new(LumaEncoder::new(encoders.clone())))),
        decoders: Box::new(move |codec| {
            if codec == Codec::Opus {
                return Err(CodecError("that is sound".into()));
            }
            done.decoders.fetch_add(1, Ordering::Relaxed);
            Ok(Box::new(FilmDecoder {
                done: done.clone(),
                begun: false,
            }))
        }),
    }
}

/// Writes white blocks, one for each letter.
pub struct Blocks;

impl amphi_studio::lettering::Lettering for Blocks {
    fn line(&mut self, text: &str, height: u32, width_max: u32) -> Image {
        let letters = text.chars().count() as u32;
        let mut image = Image::new(VideoSize::new(
            (letters * height / 2).min(width_max),
            height,
        ));
        image.rgba.fill(255);
        image
    }
}
