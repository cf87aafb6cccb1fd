//! What goes into a player and what comes out of it.

use std::time::Duration;

use bytes::Bytes;

use crate::Rule;

/// How to watch.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address of the multivariant playlist: `http://127.0.0.1:7880/hls/hall/index.m3u8`, or from the path on.
    pub index: String,
    pub mode: Mode,
    /// How late an answer may be before lateness counts as the server's, for machines that also do other things.
    pub slack: Duration,
    /// Whether to ask for things that must be refused, and for things again that must still be there.
    pub probes: Probes,
}

impl Config {
    pub fn new(index: impl Into<String>, mode: Mode) -> Self {
        Self {
            index: index.into(),
            mode,
            slack: Duration::from_secs(1),
            probes: Probes::Yes,
        }
    }
}

/// Which of the two kinds of player.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Blocking reload, preload hints, parts, and the segments that they make.
    LowLatency,
    /// As of 2009: playlists by the clock, whole segments, HOLD-BACK from the end.
    Plain,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Probes {
    Yes,
    No,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A request was answered.
    Answered { id: u64, answer: Answer },
    /// A request got no answer: no connection, or one that broke.
    Failed { id: u64, why: String },
    /// Time went by (`poll_timeout`).
    Timeout,
}

/// An HTTP answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    /// As it came, maybe packed.
    pub body: Bytes,
}

impl Answer {
    /// The first header of this name; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

/// What to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Ask for this with GET, at once and beside whatever is under way.
    Request(Request),
    Violation(Violation),
    /// The program is over, or cannot be had; nothing comes after it.
    Ended,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// To be said in the answer.
    pub id: u64,
    pub url: String,
    /// Whether to send `accept-encoding: gzip`.
    pub gzip: bool,
}

/// A rule that was broken, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    pub rule: Rule,
    /// What was seen, in words.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} ({}): {}",
            self.rule.section(),
            self.rule.says(),
            self.what
        )
    }
}

/// How a player began to play.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Beginning {
    /// From its first request until it had the first whole segment of every rendition, and what is needed to decode it.
    pub took: Duration,
    /// How much whole segments were listed in the first version of the first variant's playlist, from where the player began
    /// to the end. Nothing, if it had to wait for the first one to be made.
    pub behind: Duration,
}

/// What a player did. Counters only grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    pub requests: u64,
    pub playlists: u64,
    /// Playlists that were delta updates.
    pub deltas: u64,
    /// Playlists that were waited for.
    pub blocked: u64,
    pub parts: u64,
    /// Parts that were asked for before they were there.
    pub hinted: u64,
    pub segments: u64,
    /// Segments that were compared with their parts, byte by byte.
    pub compared: u64,
    pub inits: u64,
    pub bytes: u64,
    /// Asked for again, and after they had left the playlist.
    pub again: u64,
    /// Asked for to be refused.
    pub probes: u64,
    pub discontinuities: u64,
    /// Segments that were said to be missing.
    pub gaps: u64,
    /// Violations; beyond a bound they are counted and no longer said.
    pub violations: u64,
    pub violations_unsaid: u64,
    /// What is known of an old address was let go, since no more may be remembered.
    pub forgotten: u64,
}
