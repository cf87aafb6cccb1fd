//! The words of the house: what a track, a frame, a codec and a time are, and how to read the first bytes of a bitstream.
//!
//! Nothing here decides anything, and nothing here does IO. Everything above imports these words, so that two
//! neighbours (the room and the SFU, the muxer and the studio) mean the same thing without knowing each other.
//!
//! Start reading at [`Frame`]: it is what travels in the frame lane.

pub mod av1;
mod bits;
mod caption;
mod counters;
mod frame;
pub mod h264;
mod id;
mod kind;
mod layout;
pub mod opus;
mod sample;
mod time;
pub mod vp8;
pub mod vp9;

pub use caption::Caption;
pub use frame::Frame;
pub use id::{MemberId, Rid, SessionId, TrackId};
pub use kind::{Codec, Layer, MediaKind, Source, VideoSize};
pub use layout::{CameraFit, Layout};
pub use sample::Sample;
pub use time::{Bitrate, MediaTime};
