//! LiveKit's client protocol ↔ the room and the SFU.
//!
//! One [`Signal`] speaks with one member's client: it turns the client's messages into inputs of
//! [`amphi_room::Room`] and [`amphi_sfu::Sfu`], and their outputs into messages. It has no socket: bytes come in and go
//! out as values. Whoever holds the room, the SFU and the signals carries values between them (see [`audience`] and
//! [`sfu_audience`]).
//!
//! What the protocol is stands in `livekit/protocol` (protobuf files, Apache-2.0), whose generated types come from the
//! crate `livekit-protocol`. What clients really do, and in which order, is tested in `tests/it`.
//!
//! Start reading at [`Connect`] (how a client arrives), then [`Signal`].

mod audience;
mod connect;
mod counters;
mod data;
mod facts;
mod info;
mod io;
mod leave;
mod offers;
mod publish;
mod requests;
mod signal;
mod slots;
mod updates;

pub use audience::{Audience, SfuAudience, audience, sfu_audience};
pub use connect::{
    Client, Connect, ConnectError, Description, Entry, Form, JoinRequest, Path, find_resumed,
};
pub use counters::Counters;
pub use data::Packet;
pub use facts::{RoomFacts, View, WallClock};
pub use io::{Input, News, Output, SfuCommand, SocketId};
pub use leave::cannot_resume;
pub use signal::Signal;

/// Largest message of a client that is read, in bytes: an offer with all the lines that one client may have. A browser's
/// video line has about 4.5 KB, an audio line 1.5 KB.
pub const MESSAGE_BYTES_MAX: usize = 512 * 1024;
