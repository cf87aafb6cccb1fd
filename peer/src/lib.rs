//! A member of a call: LiveKit's client side as one pure value, for the simulator, the bench and the shell's tests.
//!
//! A [`Peer`] knows no socket, no clock and no thread: bytes and times go in ([`Input`]), bytes and what a person
//! would see come out ([`Output`]). It publishes coded media that it is given and hands out RTP packets as they
//! arrive; it neither encodes nor decodes. It is *not* a part of amphi that runs in the house, shares no code with
//! it, and so can find the house wrong.
//!
//! Start reading at [`Peer`]. With the feature `net`, [`net::connect`] runs one over real sockets.

mod io;
mod member;
#[cfg(feature = "net")]
pub mod net;
pub mod packet;
mod publication;
mod sdp;
mod session;
pub mod token;

pub use io::*;
pub use member::Peer;
pub use publication::{Publication, PublicationId};
pub use session::Certificate;

/// The wire's own types, as LiveKit publishes them.
pub use livekit_protocol as protocol;
