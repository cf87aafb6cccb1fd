//! How a program leaves the house: each kind is one file that describes itself.
//!
//! All kinds are fed with what `amphi_mux::Packager` makes of a program, on that program's thread, and none may block
//! it: what cannot keep up loses something and counts it.

pub mod hls;
pub mod record;
pub mod viewers;

use amphi_media::{Codec, Sample};
use amphi_mux::{Output, WindowConfig};

/// Every kind, for the API, the manual and the tests.
pub const KINDS: &[&Kind] = &[&hls::KIND, &record::KIND];

/// What a kind of egress says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    /// One word, as it stands in configuration and API.
    pub name: &'static str,
    /// One sentence for people.
    pub summary: &'static str,
    /// What it can carry.
    pub codecs: &'static [Codec],
    pub options: &'static [Setting],
}

/// Something about a kind that can be set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting {
    /// Its place in `amphi.toml`.
    pub key: &'static str,
    pub summary: &'static str,
    pub default: &'static str,
}

/// Where a program goes when it is on air. Called on the program's thread: one short lock at most, no IO.
///
/// **`begin`, then `push` of everything from the beginning of a segment on, [`Output::End`] last, then `end`.**
pub trait Live: Send + Sync + 'static {
    /// The room goes on air; an older window of it is replaced.
    fn begin(&self, room: &str, window: WindowConfig);
    /// How many rungs the picture has or is about to have, as far as is known, 0 for none; told before the part with which they are to
    /// begin, and when that changes.
    fn expect(&self, room: &str, rungs: u8);
    fn push(&self, room: &str, output: &Output);
    /// A key frame of the program, before it is packed, for whoever makes something else of it.
    fn key_frame(&self, room: &str, picture: &Sample);
    /// The room is off air. Who still reads the end of the program may go on for a while.
    fn end(&self, room: &str);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_says_what_it_is() {
        for kind in KINDS {
            assert!(
                kind.name.chars().all(|c| c.is_ascii_lowercase()),
                "{}",
                kind.name
            );
            assert!(
                kind.summary.ends_with('.') && kind.summary.len() > 20,
                "{}",
                kind.name
            );
            assert!(!kind.codecs.is_empty(), "{}", kind.name);
            let same = KINDS.iter().filter(|other| other.name == kind.name);
            assert_eq!(same.count(), 1, "{}", kind.name);
        }
    }
}
