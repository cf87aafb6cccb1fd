//! The program: who is shown and what is heard, on one programme clock.
//!
//! Pictures of the kind `cut` are not decoded: the on-air member's H.264 goes through untouched, and another member follows
//! at one of its key frames. Composed ones are decoded, drawn into one picture and encoded again by a [`composer::Composer`], a
//! value beside the program, so that it can live in another process. Sound is always decoded,
//! mixed from everybody on stage, and encoded again. Codecs stand behind traits that the
//! shell fills ([`AudioDecoder`], [`AudioEncoder`]); this crate links none, and it does not write a single box.
//!
//! Start reading at [`Program`].

pub mod canvas;
pub mod clock;
mod codec;
pub mod composer;
pub mod cost;
mod counters;
mod director;
mod feed;
mod io;
pub mod layout;
pub mod lettering;
mod leveller;
mod limiter;
mod loudness;
mod mixer;
mod picture;
mod program;
mod voice;

pub use codec::{
    ACCESS_UNIT_FRAMES, AudioDecoder, AudioEncoder, CodecError, Codecs, Coded, Decoders, Encoded,
    EncoderConfig, PACKET_FRAMES, Piece, SAMPLE_RATE, Stereo, VideoCodecs, VideoDecoder,
    VideoDecoders, VideoEncoder, VideoEncoders,
};
pub use counters::Counters;
pub use io::{Input, Kind, Output, StageTrack};
pub use program::{Config, Program};
