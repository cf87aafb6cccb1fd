//! The program: who is shown and what is heard, on one programme clock.
//!
//! Pictures of the kind `cut` are not decoded: the on-air member's H.264 goes through untouched, and another member follows
//! at one of its key frames. Composed ones are decoded, drawn into one picture and encoded again. Sound is always decoded,
//! mixed from everybody on stage, and encoded again. Codecs stand behind traits that the
//! shell fills ([`AudioDecoder`], [`AudioEncoder`]); this crate links none, and it does not write a single box.
//!
//! Start reading at [`Program`].

pub mod canvas;
mod clock;
mod codec;
mod composer;
mod counters;
mod director;
mod io;
pub mod layout;
mod limiter;
mod mixer;
mod picture;
mod program;
mod voice;

pub use codec::{
    ACCESS_UNIT_FRAMES, AudioDecoder, AudioEncoder, CodecError, Codecs, Decoders, Piece,
    SAMPLE_RATE, Stereo, VideoCodecs, VideoDecoder, VideoDecoders, VideoEncoder,
};
pub use composer::Compose;
pub use counters::Counters;
pub use io::{Input, Output, StageTrack};
pub use program::{Config, Program};
