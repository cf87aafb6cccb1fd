//! What goes into a program and what comes out of it.

use amphi_media::{Codec, Frame, MediaKind, MemberId, Sample, Source, TrackId, VideoSize};

use crate::composer::{self, Look};

/// What makes the picture of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The on-air member's H.264 untouched, cut to another member's at a key frame.
    Cut,
    /// Everybody in one picture, made by a [`composer::Composer`] that stands beside the program.
    Compose(Look),
}

/// A track that may be shown or heard in the program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StageTrack {
    pub track: TrackId,
    pub member: MemberId,
    /// What people read for the member; used in notes.
    pub member_name: String,
    pub kind: MediaKind,
    pub source: Source,
    /// None until its first packet told.
    pub codec: Option<Codec>,
    pub muted: bool,
}

/// What happened.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// A track came on stage, or something about it changed.
    Track(StageTrack),
    TrackGone {
        track: TrackId,
    },
    /// Of every track on stage, also of pictures that are not on air: their clocks and key frames are followed.
    /// A frame of a track that is unknown or muted is dropped and counted.
    Frame(Frame),
    /// Who speaks, loudest first: (audio track, level 0–1). Empty when nobody does.
    Speakers(Vec<(TrackId, f32)>),
    /// Somebody begins to take the program: a key frame soon, so that nobody waits for the next one.
    NeedKeyFrame,
    /// What makes the picture from now on; the same kind with another look changes the look.
    Kind(Kind),
    /// A composer that knows nothing yet stands ready: the first one, or one in place of another that broke. Of no effect while
    /// pictures are not composed.
    ComposerReady,
    /// The composer broke, or is not wanted any more.
    ComposerGone,
    /// What came out of the composer.
    Composed(composer::Output),
    /// Whether, while pictures are cut, the lower simulcast layers of who is on air are rungs of a ladder below the picture. Not at
    /// first.
    Ladder {
        on: bool,
    },
    /// Time has passed: see `poll_timeout`.
    Timeout,
}

/// What the program made, or wants.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Times of one kind and rung strictly increase. Sound has no holes and begins at zero; picture begins with a key frame.
    /// Sound trails picture by the mixing delay.
    Sample(Sample),
    NeedKeyFrame {
        track: TrackId,
    },
    /// What the composer is to be told.
    Compose(composer::Input),
    /// The size at which this track's picture is drawn, so that no larger layer is taken than that needs; none: as large as there
    /// is one.
    Wanted {
        track: TrackId,
        size: Option<VideoSize>,
    },
    /// Frames of this track's lower layers (`Frame::rung`) are to come too, or not any more. Comes before the request for the key
    /// frames with which they begin; repeated while none of them come.
    TakeLayers {
        track: TrackId,
        on: bool,
    },
    /// Who is shown from now on; none: sound only.
    OnAir {
        member: Option<MemberId>,
        track: Option<TrackId>,
    },
    /// Something about the program in words for people ("Bo sends VP8 only…"); none when all is well.
    Note(Option<String>),
    /// An encoder is broken for good: nothing more will come of this program.
    Failed {
        reason: String,
    },
}
