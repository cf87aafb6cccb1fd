use std::fmt;

use serde::{Deserialize, Serialize};

/// One member of one room, from join to leave. Unique within a shard's life; a resume keeps it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct MemberId(pub u64);

/// One WebRTC connection of one member. A member has one (single peer connection form) or two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId(pub u64);

/// One published camera, microphone or screen. Unique within a room's life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TrackId(pub u32);

/// The RFC 8851 name of one simulcast layer as the publisher wrote it ("q", "h", "f"; empty without simulcast).
/// At most 8 bytes are kept, which is what every known client uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rid([u8; 8]);

impl Rid {
    /// The name a track has that is sent without simulcast.
    pub const NONE: Rid = Rid([0; 8]);

    /// Keeps the first 8 bytes of `name`.
    pub fn new(name: &str) -> Self {
        let mut bytes = [0; 8];
        for (to, from) in bytes.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        Self(bytes)
    }

    /// The name as text; empty when it is [`Rid::NONE`] or not UTF-8.
    pub fn as_str(&self) -> &str {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(self.0.len());
        std::str::from_utf8(&self.0[..end]).unwrap_or("")
    }
}

impl fmt::Debug for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rid({})", self.as_str())
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member-{}", self.0)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session-{}", self.0)
    }
}

impl fmt::Display for TrackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "track-{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rid_keeps_its_name_up_to_eight_bytes() {
        assert_eq!(Rid::new("q").as_str(), "q");
        assert_eq!(Rid::new("abcdefghij").as_str(), "abcdefgh");
        assert_eq!(Rid::NONE.as_str(), "");
    }
}
