use std::time::Instant;

use bytes::Bytes;

use crate::{Codec, MediaTime, Rid, TrackId, VideoSize};

/// One coded picture or one coded audio packet, whole, in decoding order: what travels in the frame lane.
#[derive(Clone, PartialEq, Debug)]
pub struct Frame {
    pub track: TrackId,
    pub codec: Codec,
    /// Which simulcast layer it came from.
    pub rid: Rid,
    /// 0: of the layer that whoever takes frames gets, which may be another one from one key frame to the next. Else of a lower
    /// layer beside it: so many layers below the highest that a track can have. The same layer always has the same number.
    pub rung: u8,
    /// With `rung` 0: how many lower layers of its track are live.
    pub lower: u8,
    /// On the publisher's RTP clock, unwrapped to 64 bits (does not start at zero).
    pub time: MediaTime,
    /// When its last packet reached us.
    pub arrived: Instant,
    /// Wall time of capture at the publisher in microseconds since its NTP epoch, from RTCP sender reports
    /// (RFC 3550 §6.4.1); none until the first report. Comparable between the tracks of one member only.
    pub sender_time_us: Option<i64>,
    /// A decoder can start here. Always true for audio.
    pub key: bool,
    /// False when packets before it were lost for good: a decoder must not go on from the frame before.
    pub contiguous: bool,
    /// Size of the picture where the bitstream tells it (H.264: the SPS in force).
    pub size: Option<VideoSize>,
    /// H.264: NAL units in Annex B form (RFC 6184 unpacked; parameter sets kept at key frames). Opus: the packet.
    pub data: Bytes,
}
