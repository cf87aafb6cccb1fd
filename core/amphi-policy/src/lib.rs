//! Who may do what. This crate is the only place that says "allowed".
//!
//! Facts come in ([`token::Claims`] for now; chains and rules later), [`Grants`] come out: one value with a revision
//! that a room enforces. Nothing here knows a socket, a clock or a room.

mod action;
mod grants;
pub mod name;
pub mod pass;
pub mod token;

pub use action::{Action, Refusal};
pub use grants::{Audience, Change, Grants, SourceSet};
