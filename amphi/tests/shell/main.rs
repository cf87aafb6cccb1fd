//! The shell from outside: a house in this process or the real program, on loopback.

mod air;
mod announced;
mod api;
mod beside;
mod captions;
mod composed;
mod composer;
mod conform;
mod connections;
mod door;
mod encoded;
mod exported;
mod full;
mod house;
mod killed;
mod live;
mod openapi;
mod performer;
mod process;
mod released;
mod reported;
mod rewind;
mod sockets;
mod thumbnails;
mod tls;
