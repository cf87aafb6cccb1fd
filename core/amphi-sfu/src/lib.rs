//! Sessions and routing: which packet goes to whom.
//!
//! One [`Sfu`] holds the WebRTC sessions of one room. It does not know who anybody is, what a room allows, or what a
//! socket is. Nothing outside this crate names a type of the WebRTC library that carries a session.
//!
//! Start reading at [`Input`] and [`Output`].

mod io;

pub use io::*;
