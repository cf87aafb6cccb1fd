use serde::{Deserialize, Serialize};

/// Sound or picture.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum MediaKind {
    Audio,
    Video,
}

/// How media is coded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Codec {
    Opus,
    Aac,
    H264,
    Vp8,
    Vp9,
    Av1,
}

impl Codec {
    pub fn kind(self) -> MediaKind {
        match self {
            Codec::Opus | Codec::Aac => MediaKind::Audio,
            Codec::H264 | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => MediaKind::Video,
        }
    }

    /// Ticks per second of the codec's RTP clock (RFC 7587 §4.1, RFC 6184 §8.2.1, RFC 7741 §6.1).
    pub fn clock_rate(self) -> u32 {
        match self.kind() {
            MediaKind::Audio => 48_000,
            MediaKind::Video => 90_000,
        }
    }

    /// The name in SDP and in LiveKit's mime types, without the "audio/" or "video/".
    pub fn name(self) -> &'static str {
        match self {
            Codec::Opus => "opus",
            Codec::Aac => "aac",
            Codec::H264 => "H264",
            Codec::Vp8 => "VP8",
            Codec::Vp9 => "VP9",
            Codec::Av1 => "AV1",
        }
    }

    /// `"video/H264"` and so on.
    pub fn mime(self) -> String {
        match self.kind() {
            MediaKind::Audio => format!("audio/{}", self.name()),
            MediaKind::Video => format!("video/{}", self.name()),
        }
    }
}

/// What a track shows or lets hear. Permission is given per source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Source {
    Camera,
    Microphone,
    Screen,
    ScreenAudio,
    /// The publisher did not say. Allowed only where every source is allowed.
    Unknown,
}

/// One simulcast quality, lowest first; a track without simulcast has `Layer::HIGH` alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Layer(pub u8);

impl Layer {
    pub const LOW: Layer = Layer(0);
    pub const MEDIUM: Layer = Layer(1);
    pub const HIGH: Layer = Layer(2);
}

/// A picture's size in pixels.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct VideoSize {
    pub width: u32,
    pub height: u32,
}

impl VideoSize {
    pub fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}
