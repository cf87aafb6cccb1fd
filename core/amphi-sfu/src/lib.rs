//! Sessions and routing: which packet goes to whom.
//!
//! One [`Sfu`] holds the WebRTC sessions of one room. It does not know who anybody is, what a room allows, or what a
//! socket is. Nothing outside this crate names a type of the WebRTC library that carries a session.
//!
//! Start reading at [`Input`] and [`Output`]; the way of a packet is `forward.rs`, that of a frame `framer.rs`.

use std::time::Duration;

mod av1;
mod config;
mod counters;
mod data;
mod demand;
mod dependency;
mod egress;
mod format;
mod forward;
mod framer;
mod io;
mod negotiate;
mod packet;
mod padding;
mod quality;
pub mod sdp;
mod session;
mod sfu;
mod speakers;
pub mod stun;
mod track;
mod vp9;

pub use config::{Config, Identity};
pub use counters::Counters;
pub use framer::{Payload, depacketize};
pub use io::*;
pub use sfu::Sfu;
pub use stun::classify;

/// How long a track or a layer may send nothing before it counts as silent.
pub const SILENT_AFTER: Duration = Duration::from_millis(1_500);
