//! The machine: the rooms of one thread, their sessions and their clients, as one value.
//!
//! Glue only. [`Shard`] finds the room that an input belongs to ([`demux`]), a room's [`cell`] runs it to its end
//! through [`amphi_room::Room`], [`amphi_sfu::Sfu`] and one [`amphi_signal::Signal`] per member, and what has to be done
//! comes out. Nothing is decided here: who may do what is the policy's, what happens then is the room's.
//!
//! Start reading at [`Shard::handle_input`].

mod cell;
mod counters;
mod demux;
mod io;
mod shard;
mod stage;

pub use counters::{Counters, DoorCounters};
pub use io::*;
pub use shard::{Config, Shard};

/// One room's life on a shard. Never reused, so that a room that is opened again is another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct RoomKey(pub(crate) u64);
