//! What the program asks of codecs. The shell has the real ones.

use amphi_media::{Bitrate, Codec, MediaTime, VideoSize};
use bytes::Bytes;

use crate::canvas::{Canvas, Picture};

/// One sampling instant: left, right; 1.0 is full scale.
pub type Stereo = [f32; 2];

/// Samples per second of everything that is mixed.
pub const SAMPLE_RATE: u32 = 48_000;

/// How many sampling instants one AAC-LC access unit codes (ISO/IEC 14496-3 §4.5.1.1, `frameLengthFlag` 0).
pub const ACCESS_UNIT_FRAMES: usize = 1024;

/// What a decoder is to make sound of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Piece<'a> {
    /// A packet as it came.
    Packet(&'a [u8]),
    /// What was lost in front of `next`: from its redundancy if it carries some (RFC 6716 §2.1.7), else made up.
    /// `next` itself follows as [`Piece::Packet`].
    LostBefore { next: &'a [u8] },
    /// Lost: made up from what was before.
    Lost,
}

/// Decodes one track's sound, packet by packet in order.
pub trait AudioDecoder: Send {
    /// Appends `frames` sampling instants at 48 kHz, mono doubled. What is missing of them is filled with silence and
    /// what is too much is cut by the caller. `frames` of lost pieces is a multiple of 2.5 ms. After an error the
    /// decoder is still fit for the next piece.
    fn decode(
        &mut self,
        piece: Piece<'_>,
        frames: usize,
        into: &mut Vec<Stereo>,
    ) -> Result<(), CodecError>;
}

/// How many sampling instants one packet of Opus codes: 20 ms (RFC 6716 §2.1.4), as much as codes well and no more.
pub const PACKET_FRAMES: usize = 960;

/// Encodes the mix, in blocks of `FRAMES` sampling instants.
pub trait AudioEncoder<const FRAMES: usize = ACCESS_UNIT_FRAMES>: Send {
    /// One access unit of AAC-LC without ADTS, or one packet of Opus. Samples are finite and within ±1. After an error `reset`
    /// follows.
    fn encode(&mut self, pcm: &[Stereo; FRAMES]) -> Result<Bytes, CodecError>;

    /// How many sampling instants the decoded sound is late against what was encoded (the encoder's priming).
    fn delay(&self) -> u32;

    /// Forget all that was encoded; fit for use again.
    fn reset(&mut self);
}

/// A codec library refused; the text is its own.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(pub String);

/// Makes a decoder for one track of this codec; an error when there is none for it.
pub type Decoders = Box<dyn FnMut(Codec) -> Result<Box<dyn AudioDecoder>, CodecError> + Send>;

/// The codecs of one program.
pub struct Codecs {
    /// Of AAC-LC.
    pub encoder: Box<dyn AudioEncoder>,
    /// Of the same sound once more, for who would rather have that.
    pub opus: Option<Box<dyn AudioEncoder<PACKET_FRAMES>>>,
    pub decoders: Decoders,
}

/// Decodes one track's pictures, frame by frame in order, a key frame first.
pub trait VideoDecoder: Send {
    /// Decodes one frame and gives the picture that comes of it, if one does, to `show`. After an error only a key frame helps.
    fn decode(&mut self, data: &[u8], show: &mut dyn FnMut(&Picture<'_>))
    -> Result<(), CodecError>;
}

/// Encodes the composed picture.
pub trait VideoEncoder: Send {
    /// Takes one picture. Times increase. The first picture is a key frame, and so is every one that `key` asks to be.
    fn encode(
        &mut self,
        picture: &Canvas,
        time: MediaTime,
        key: bool,
    ) -> Result<Encoded, CodecError>;

    /// The next of the pictures that [`Encoded::Later`] was said of, in the order in which they were given. After an error nothing
    /// more comes, and the encoder is to be thrown away.
    fn poll(&mut self) -> Result<Option<Coded>, CodecError> {
        Ok(None)
    }
}

/// What became of a picture that an encoder was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Encoded {
    /// It is coded already.
    Now(Coded),
    /// It comes out of [`VideoEncoder::poll`].
    Later,
    /// The encoder left it out.
    LeftOut,
}

/// One coded picture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coded {
    /// As it was given.
    pub time: MediaTime,
    /// A decoder can start here.
    pub key: bool,
    /// One access unit of H.264 in Annex B form, with parameter sets in front of key frames.
    pub data: Bytes,
}

/// What an encoder is to make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EncoderConfig {
    /// Even both ways.
    pub size: VideoSize,
    pub frames_per_second: u32,
    /// On average over some seconds.
    pub bitrate: Bitrate,
}

/// Makes an encoder; an error when there is none of this size.
pub type VideoEncoders =
    Box<dyn FnMut(&EncoderConfig) -> Result<Box<dyn VideoEncoder>, CodecError> + Send>;

/// Makes a decoder for one track of this codec; an error when there is none for it.
pub type VideoDecoders = Box<dyn FnMut(Codec) -> Result<Box<dyn VideoDecoder>, CodecError> + Send>;

/// The picture's codecs of one composed program.
pub struct VideoCodecs {
    pub encoders: VideoEncoders,
    pub decoders: VideoDecoders,
}
