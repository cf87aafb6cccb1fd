use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{MediaKind, MediaTime};

/// One coded picture or audio access unit of a *program*: what the studio makes and the muxer packs.
///
/// Decoding order is presentation order (there are no B-frames in WebRTC video), so one time is enough. Its duration
/// is the time to the next sample of the same kind; an AAC-LC access unit always lasts 1,024 ticks at 48 kHz.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sample {
    pub kind: MediaKind,
    /// Which rung of the ladder of encoded pictures it belongs to: 0 is the top one, each further one smaller. 0 for
    /// a program that has only one. Of sound: 0 in AAC-LC, [`Sample::OPUS`] the same in Opus.
    pub rung: u8,
    /// On the programme clock, which is zero when the program starts: 90 kHz for video, 48 kHz for audio.
    pub time: MediaTime,
    /// A decoder can start here. Always true for audio.
    pub key: bool,
    /// Another source, or other parameter sets, begin here: a discontinuity for whoever plays it.
    pub cut: bool,
    /// Video: NAL units in Annex B form, SPS and PPS in front of every key frame. Audio: one AAC-LC access unit, no ADTS; or one
    /// Opus packet of 20 ms.
    pub data: Bytes,
}

impl Sample {
    /// The `rung` of sound in Opus.
    pub const OPUS: u8 = 1;
}
