//! One room: its members, what they publish and who gets it, and its switches for broadcast and recording.
//!
//! The room does not know RTP, a wire protocol or a socket. It asks [`amphi_policy::Grants`] before anything is done.
//!
//! Start reading at [`Room`].

mod counters;
mod io;
mod member;
mod room;
mod switches;

pub use counters::Counters;
pub use io::*;
pub use member::{Member, Track};
pub use room::Room;
pub use switches::Broadcast;
