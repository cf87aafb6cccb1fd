//! The program: who is shown and what is heard, on one programme clock.
//!
//! Codecs stand behind traits that the shell fills; this crate links none.

mod io;

pub use io::*;
