//! What goes into a composer and what comes out of it. All of it is data that can cross from one process to another.

use amphi_media::{Bitrate, Codec, MediaKind, MemberId, Sample, Source, TrackId, VideoSize};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::layout::{CameraFit, Layout};
use crate::lettering::Image;

/// Rungs of one ladder.
pub const RUNGS_MAX: usize = 6;

/// How a composed program looks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Look {
    pub layout: Layout,
    pub fit: CameraFit,
    /// Written into the picture; nothing if empty.
    pub title: String,
    /// Laid over the picture, never enlarged.
    pub logo: Option<Image>,
    /// 1 to 60.
    pub frames_per_second: u32,
    /// What is encoded, the largest first: it is the canvas on which everybody is drawn. Beyond [`RUNGS_MAX`] none is made.
    pub rungs: Vec<Rung>,
}

/// One encoded size of the composed picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rung {
    /// Even both ways.
    pub size: VideoSize,
    pub bitrate: Bitrate,
}

/// A track on stage, as a composer needs it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Described {
    pub track: TrackId,
    pub member: MemberId,
    /// What people read for the member.
    pub name: String,
    pub kind: MediaKind,
    pub source: Source,
    pub muted: bool,
}

/// What happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Input {
    Look(Look),
    Track(Described),
    TrackGone {
        track: TrackId,
    },
    /// A coded picture of a track that was described. Of others it is dropped and counted.
    Frame {
        track: TrackId,
        codec: Codec,
        /// Programme time.
        time_us: i64,
        key: bool,
        /// Nothing in front of it is missing. When something is, only a key frame helps.
        contiguous: bool,
        /// H.264 in Annex B form; VP8, VP9 and AV1 as their packets carry a frame.
        data: Bytes,
    },
    /// Who speaks, loudest first, level 0–1.
    Speakers(Vec<(MemberId, f32)>),
    /// Somebody begins to take the program: the next picture is a key frame.
    NeedKeyFrame,
    /// Time has passed.
    Timeout,
}

/// What came of it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Output {
    Sample(Sample),
    NeedKeyFrame {
        track: TrackId,
    },
    /// The size at which this track's picture is drawn from now on, with what is cropped of it: a smaller layer would be enlarged,
    /// a larger one decoded for nothing.
    /// Zero: it is not drawn at all.
    Wanted {
        track: TrackId,
        size: VideoSize,
    },
    /// The encoder is broken for good: nothing more will come.
    Failed {
        reason: String,
    },
}
