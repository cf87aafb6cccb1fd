//! Simulated worlds: the house's machine and its clients as values, a network that loses, delays and reorders, and a
//! reference model that knows what may arrive where. No socket and no clock: hours pass in seconds.
//!
//! A [`call::Scenario`] is made from a seed; [`world::World`] plays it and [`model::Model`] judges every packet. What the
//! seed decides is everything the world does: who joins when and in which form, who publishes, mutes, leaves or loses
//! what, and what the network does to the n-th datagram of a link.
//!
//! **What a seed does not decide:** the WebRTC library draws its own random numbers (keys, ICE user names, SSRCs,
//! transaction ids) and walks hash maps, so the bytes of a datagram differ from run to run, and now and then so does their
//! number, which shifts what the network does to those after it. The same seed plays the same scenario on the same
//! network, not the same bytes. A failure that depends on the library's own numbers may need a few runs of its seed.
//!
//! Data channels are not judged: their first message cannot be lost and sent again in simulated time (see
//! `world::World::new`).
//!
//! Start reading at [`world::run`].

pub mod call;
mod client;
mod frame;
pub mod model;
pub mod network;
pub mod random;
pub mod world;
