//! One room: its members, what they publish and who gets it, and its switches for broadcast and recording.
//!
//! The room does not know RTP, a wire protocol or a socket. It asks [`amphi_policy::Grants`] before anything is done.

mod io;

pub use io::*;
