//! Behaviour of the SFU through its three verbs, with real WebRTC clients as the other side, in virtual time and
//! without sockets. Start reading at `world.rs`.

mod data;
mod forward;
mod frames;
mod hostile;
mod join;
mod layers;
mod offers;
mod svc;
mod world;
