//! The program: who is shown and what is heard, on one programme clock.
//!
//! Pictures are not decoded: the on-air member's H.264 goes through untouched, and another member follows at one of its
//! key frames. Sound is decoded, mixed from everybody on stage, and encoded again. Codecs stand behind traits that the
//! shell fills ([`AudioDecoder`], [`AudioEncoder`]); this crate links none, and it does not write a single box.
//!
//! Start reading at [`Program`].

pub mod canvas;
mod clock;
mod codec;
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
    SAMPLE_RATE, Stereo,
};
pub use counters::Counters;
pub use io::{Input, Output, StageTrack};
pub use program::{Config, Program};
