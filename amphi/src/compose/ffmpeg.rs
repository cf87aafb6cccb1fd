//! Encoding the composed picture by an `ffmpeg` of this machine, where the configuration says so: x264, or an encoder in a GPU.
//!
//! One process of it per size. The server starts it, since a composer can start nothing, and hands its pipes to the composer over a
//! Unix socket of their own (`hands.rs`). The composer writes pictures into one (`matroska.rs`) and reads coded ones from
//! the other (`flv.rs`, `encoder.rs`). It is never needed: when it is missing, breaks, hangs or writes nonsense, openh264 encodes, and
//! the room's page, the API and the log say why.

mod command;
mod encoder;
pub mod flv;
mod hands;
mod matroska;

pub use encoder::{KEPT_MAX, Outside};
pub use hands::{Hand, Hands, hands_of_stdout};

use std::path::PathBuf;

/// Which ffmpeg is to encode, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ffmpeg {
    /// A name is looked for in `PATH`.
    pub program: PathBuf,
    pub codec: FfmpegCodec,
    /// Of a GPU, where there is more than one. Empty: ffmpeg's choice.
    pub device: String,
    /// Put after ours, so that they win.
    pub options: Vec<String>,
}

/// Encoders of ffmpeg that make key frames when they are asked to, and no picture that is shown before one that came earlier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FfmpegCodec {
    #[default]
    X264,
    Nvenc,
    Vaapi,
    Qsv,
    V4l2M2m,
    VideoToolbox,
}

impl FfmpegCodec {
    /// As ffmpeg calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::X264 => "libx264",
            Self::Nvenc => "h264_nvenc",
            Self::Vaapi => "h264_vaapi",
            Self::Qsv => "h264_qsv",
            Self::V4l2M2m => "h264_v4l2m2m",
            Self::VideoToolbox => "h264_videotoolbox",
        }
    }
}

#[cfg(test)]
mod tests;
