//! What goes into a room and what comes out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use amphi_media::{CameraFit, Codec, Layout, MediaKind, MemberId, Source, TrackId, VideoSize};
use amphi_policy::{Grants, Refusal};

/// Who joins, as the token and the join request say.
#[derive(Clone, PartialEq, Debug)]
pub struct Joining {
    pub identity: String,
    pub name: String,
    pub metadata: String,
    pub attributes: BTreeMap<String, String>,
    pub grants: Grants,
}

/// A track that a member wants to publish, as announced.
#[derive(Clone, PartialEq, Debug)]
pub struct Announced {
    /// The client's own id of the track (LiveKit: `cid`), which SDP carries too.
    pub cid: String,
    pub name: String,
    pub kind: MediaKind,
    pub source: Source,
    pub muted: bool,
    /// Zero for audio.
    pub size: VideoSize,
    /// Announced layers, lowest first; empty without simulcast. (rid, size, bits per second)
    pub layers: Vec<(String, VideoSize, u64)>,
    pub codec: Option<Codec>,
    pub stereo: bool,
    pub dtx: bool,
    pub red: bool,
    pub encrypted: bool,
    /// Groups a screen with its sound.
    pub stream: String,
}

/// Why a member is out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeaveReason {
    /// Said goodbye.
    ClientInitiated,
    /// The same identity joined again.
    DuplicateIdentity,
    /// A moderator, or a lost grant to be here.
    Removed,
    /// The connection was gone for longer than the grace time.
    ConnectionLost,
    /// The media connection never came up.
    JoinFailure,
    /// The server stops; the client may come back.
    ServerShutdown,
    /// The room broke (our bug) and was closed.
    RoomFailure,
}

/// How the program is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ProgramKind {
    /// As the machine can: composed, or cut where that is too much for it.
    #[default]
    Auto,
    /// Who speaks, untouched.
    Cut,
    /// Everybody in one picture.
    Compose,
}

/// What somebody wants of the program.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wish {
    pub program: ProgramKind,
    /// How people are arranged where they are composed.
    pub layout: Layout,
    /// What becomes there of cameras of another shape than their places.
    pub fit: CameraFit,
    /// What is written into a composed picture; nothing if empty.
    pub title: String,
}

/// What somebody wants to be otherwise; what is none stays as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WishChange {
    pub program: Option<ProgramKind>,
    pub layout: Option<Layout>,
    pub fit: Option<CameraFit>,
    pub title: Option<String>,
}

/// What a room does by itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    pub title: String,
    /// On air as soon as somebody publishes.
    pub broadcast_auto: bool,
    /// Recording as soon as somebody publishes.
    pub record_auto: bool,
    /// The program of what begins by itself, and of a recording that begins off air.
    pub wish: Wish,
}

/// Whom a publisher lets have its tracks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Subscribers {
    #[default]
    Everybody,
    /// By identity; of whom is not named, nobody. At most [`SUBSCRIBERS_NAMED_MAX`] are kept.
    Only(BTreeMap<String, LetTracks>),
}

/// Which of its tracks a publisher lets somebody have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LetTracks {
    All,
    These(BTreeSet<TrackId>),
}

/// Which request of a member an answer belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RequestId(pub u64);

/// What happened.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    Join {
        member: MemberId,
        joining: Joining,
    },
    Leave {
        member: MemberId,
        reason: LeaveReason,
    },
    /// The media connection stands (LiveKit: state active).
    Active {
        member: MemberId,
    },
    Announce {
        member: MemberId,
        track: Announced,
    },
    /// The publisher took it away (or its line went inactive).
    Unpublish {
        member: MemberId,
        track: TrackId,
    },
    Mute {
        member: MemberId,
        track: TrackId,
        muted: bool,
    },
    /// The member changes what it shows of itself. None leaves as it is; an attribute with empty text is removed.
    Describe {
        member: MemberId,
        request: RequestId,
        name: Option<String>,
        metadata: Option<String>,
        attributes: BTreeMap<String, String>,
    },
    /// A member wants a track, or no longer.
    Subscribe {
        member: MemberId,
        track: TrackId,
        wanted: bool,
    },
    /// Whether tracks are wanted without asking (LiveKit: auto_subscribe).
    AutoSubscribe {
        member: MemberId,
        on: bool,
    },
    /// Whom a member lets have its tracks; everybody, as long as it does not say.
    LetSubscribe {
        member: MemberId,
        to: Subscribers,
    },
    /// What a subject may do has changed. An older revision than the held one is ignored.
    GrantsChanged {
        member: MemberId,
        grants: Grants,
    },
    /// What the first packets of a track told.
    TrackLive {
        track: TrackId,
        codec: Codec,
    },
    SettingsChanged(Settings),
    /// Go on air. `by` says with which grants, checked here.
    StartBroadcast {
        request: RequestId,
        by: Grants,
        wish: Wish,
    },
    /// Another program for a room that is on air.
    ChangeProgram {
        request: RequestId,
        by: Grants,
        change: WishChange,
    },
    StopBroadcast {
        request: RequestId,
        by: Grants,
    },
    StartRecording {
        request: RequestId,
        by: Grants,
    },
    StopRecording {
        request: RequestId,
        by: Grants,
    },
    /// The program could not go on (worker gone); the room goes off air with a reason in words.
    ProgramFailed {
        reason: String,
    },
    Timeout,
}

/// What to do, or who should know what.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// The member is in. Tell it about everybody (`Room::members`), tell others about it (unless hidden).
    Joined {
        member: MemberId,
    },
    /// Refused at the door; it never was a member.
    JoinRefused {
        member: MemberId,
        denied: Denied,
    },
    /// Something that others see of this member changed (tracks, mute, name, attributes, state, grants): tell them.
    MemberChanged {
        member: MemberId,
    },
    /// It is out: close its sessions, tell it and the others. Its tracks were stopped by outputs before this one.
    Left {
        member: MemberId,
        identity: String,
        hidden: bool,
        reason: LeaveReason,
    },
    /// Answer to `Announce`: the track exists.
    Published {
        member: MemberId,
        track: TrackId,
        cid: String,
    },
    /// Answer to `Announce`: it may not be, or cannot be.
    PublishRefused {
        member: MemberId,
        cid: String,
        denied: Denied,
    },
    /// Not one more packet of it (unpublished, left, or a grant was lost). `refusal` when a grant was lost.
    StopTrack {
        member: MemberId,
        track: TrackId,
        refusal: Option<Refusal>,
    },
    SetMuted {
        track: TrackId,
        muted: bool,
    },
    /// `member` gets `track` from now on, or no longer.
    Subscribed {
        member: MemberId,
        track: TrackId,
    },
    Unsubscribed {
        member: MemberId,
        track: TrackId,
    },
    /// Answer to `Subscribe`: there is no such track, or it may not be seen or heard (the wish is kept and comes true
    /// with the grant).
    SubscribeRefused {
        member: MemberId,
        track: TrackId,
        denied: Denied,
    },
    /// The publisher lets `member` have `track`, or no longer.
    SubscribingLet {
        member: MemberId,
        track: TrackId,
        allowed: bool,
    },
    /// A member's own grants changed: tell it what it may do.
    GrantsChanged {
        member: MemberId,
    },
    /// A grant was lost or an action refused: tell this member in words.
    Refused {
        member: MemberId,
        request: Option<RequestId>,
        denied: Denied,
    },
    /// `Describe` was done.
    Described {
        member: MemberId,
        request: RequestId,
    },
    /// The answer to a broadcast or recording request: done, or why not, in words.
    Reply {
        request: RequestId,
        result: Result<(), Denied>,
    },
    /// The program starts: take frames of everything on stage.
    StartProgram {
        wish: Wish,
    },
    /// The program that runs is wanted otherwise.
    ChangeProgram {
        wish: Wish,
    },
    /// Neither broadcast nor recording needs it.
    StopProgram,
    BroadcastStarted {
        wish: Wish,
    },
    /// `reason` in words when nobody asked for it.
    BroadcastStopped {
        reason: Option<String>,
    },
    RecordingStarted,
    /// `reason` in words when nobody asked for it.
    RecordingStopped {
        reason: Option<String>,
    },
    /// Nobody is in and nothing runs: the caller may drop the room.
    Empty,
}

/// Why a request was not done. Its text is a sentence for a person.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Denied {
    #[error("{0}")]
    Refused(Refusal),
    /// It makes no sense here, or does not exist yet; says what would work.
    #[error("{0}")]
    Unavailable(String),
    /// Too many or too large; says how many or how large it may be.
    #[error("{0}")]
    Limit(String),
}

/// How long an empty room keeps a broadcast on air before it ends by itself.
pub const EMPTY_BROADCAST_GRACE: Duration = Duration::from_secs(20);

/// Most members in one room. Everybody is told of everybody, so the cost of a join grows with this.
pub const MEMBERS_MAX: usize = 1_000;

/// Most tracks that one member may publish at a time. A person has three or four; a studio's machine some more.
pub const TRACKS_PER_MEMBER_MAX: usize = 16;

/// Largest metadata of one member, in bytes.
pub const METADATA_BYTES_MAX: usize = 32 * 1024;

/// Largest sum of a member's attribute names and values, in bytes.
pub const ATTRIBUTES_BYTES_MAX: usize = 32 * 1024;

/// Longest `cid`, track name or stream name, in bytes.
pub const LABEL_BYTES_MAX: usize = 256;

/// Most subscribers that a publisher may name one by one.
pub const SUBSCRIBERS_NAMED_MAX: usize = 1_000;

/// Most announced simulcast layers of one track.
pub const LAYERS_MAX: usize = 4;
