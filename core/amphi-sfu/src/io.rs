//! What goes into the SFU and what comes out of it: the whole contract, and nothing that names a WebRTC library.

use std::net::SocketAddr;

use amphi_media::{Codec, Frame, Layer, MediaKind, SessionId, TrackId, VideoSize};
use bytes::Bytes;

/// The name of one m-line (RFC 5888), as it stands in SDP.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Mid(pub String);

/// How a datagram travelled. TCP is ICE-TCP (RFC 6544); the RFC 4571 framing is the shell's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    Udp,
    Tcp,
}

/// The data channels of LiveKit's protocol, by label.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Channel {
    /// `_reliable`: ordered.
    Reliable,
    /// `_lossy`: unordered, no retransmission.
    Lossy,
    /// `_data_track`.
    DataTrack,
}

/// One of our sending lines and what it carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SendLine {
    pub mid: Mid,
    pub track: TrackId,
    /// Stands in `a=msid` (LiveKit: `PA_x|TR_y`).
    pub stream_label: String,
    /// Stands in `a=msid` (LiveKit: `TR_y`).
    pub track_label: String,
}

/// One of the other side's sending lines and the track that it was announced as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReceiveLine {
    pub mid: Mid,
    pub track: TrackId,
    /// What the publisher shall send, of what it offers; it sends what stands first in our answer. None: as it offers.
    pub codec: Option<Codec>,
}

/// A line we want to add in an offer of ours (two-connection form).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewLine {
    pub track: TrackId,
    pub kind: MediaKind,
    pub stream_label: String,
    pub track_label: String,
}

/// What one subscriber wants of one track.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    Paused,
    /// The highest layer that is live and not above this one.
    AtMost(Layer),
}

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A new WebRTC connection. Answered by [`Output::Credentials`].
    OpenSession {
        session: SessionId,
    },
    CloseSession {
        session: SessionId,
    },
    /// Bytes for this session. The caller has found the session by address or, for STUN, by user name ([`crate::stun::local_ufrag`]).
    Datagram {
        session: SessionId,
        transport: Transport,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &'a [u8],
    },
    /// The other side offers. `receives`: its sending lines by track; `sends`: which of its receiving lines carry what
    /// from now on; lines in neither are answered inactive. Answered by [`Output::Answer`] or [`Output::SdpRefused`].
    Offer {
        session: SessionId,
        sdp: &'a str,
        receives: Vec<ReceiveLine>,
        sends: Vec<SendLine>,
    },
    /// Make an offer of our own: add these lines, take these off, restart ICE or not. While one is pending, the caller
    /// waits; an ICE restart throws a pending offer away. Answered by [`Output::Offer`].
    MakeOffer {
        session: SessionId,
        add: Vec<NewLine>,
        remove: Vec<Mid>,
        ice_restart: bool,
    },
    /// The other side answers our offer.
    Answer {
        session: SessionId,
        sdp: &'a str,
    },
    /// Stop carrying anything on a sending line (its numbering is kept for the next track on it).
    Release {
        session: SessionId,
        mid: Mid,
    },
    /// How much of a track one subscriber wants; the default is `AtMost(Layer::HIGH)`.
    Select {
        session: SessionId,
        track: TrackId,
        want: Want,
    },
    /// Nothing of this track is forwarded, counted as speech or framed while muted.
    Mute {
        track: TrackId,
        muted: bool,
    },
    /// Forget the track: not one more packet of it is forwarded, whatever the publisher sends.
    StopTrack {
        track: TrackId,
    },
    /// Start or stop [`Output::Frame`] for a track. Starting asks for a key frame.
    TakeFrames {
        track: TrackId,
        on: bool,
    },
    /// At which size the frames of a track are looked at: no larger layer is taken than that needs. Zero: the least. None, as at
    /// first: the largest.
    FrameSize {
        track: TrackId,
        size: Option<VideoSize>,
    },
    /// Start or stop, beside the frames of the layer that [`Input::TakeFrames`] gives, those of all lower ones (`Frame::rung`). Of no
    /// effect while no frames of the track are taken.
    TakeLayers {
        track: TrackId,
        on: bool,
    },
    /// Somebody (the program) needs a key frame, of all layers of which frames are taken; merged with everybody's requests.
    RequestKeyFrame {
        track: TrackId,
    },
    SendData {
        session: SessionId,
        channel: Channel,
        bytes: Bytes,
    },
    /// Time has passed: see `poll_timeout`.
    Timeout,
}

/// What to do, or what the caller should know.
#[derive(Debug)]
pub enum Output {
    Transmit {
        transport: Transport,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: Bytes,
    },
    /// STUN for this session carries this user name from now on (again after an ICE restart).
    Credentials {
        session: SessionId,
        ufrag: String,
    },
    /// An authenticated STUN check came from here: only now do other packets from `source` belong to the session.
    PathVerified {
        session: SessionId,
        transport: Transport,
        source: SocketAddr,
    },
    Answer {
        session: SessionId,
        sdp: String,
    },
    /// `lines`: which mid each added line got.
    Offer {
        session: SessionId,
        sdp: String,
        lines: Vec<(TrackId, Mid)>,
    },
    /// The description makes no sense; nothing has changed.
    SdpRefused {
        session: SessionId,
        reason: String,
    },
    /// ICE and DTLS stand.
    Connected {
        session: SessionId,
    },
    /// No answer from the other side for a while; media may come back.
    Interrupted {
        session: SessionId,
    },
    /// It is over (DTLS closed, or dead); the caller closes it.
    Ended {
        session: SessionId,
    },
    ChannelOpen {
        session: SessionId,
        channel: Channel,
    },
    Data {
        session: SessionId,
        channel: Channel,
        bytes: Bytes,
    },
    /// The first packet of a track arrived (again after a pause).
    TrackLive {
        track: TrackId,
        codec: Codec,
    },
    /// Nothing of an unmuted track came for a while ([`crate::SILENT_AFTER`]).
    TrackSilent {
        track: TrackId,
    },
    /// The layers of a track that are live now, lowest first, with their size where known.
    Layers {
        track: TrackId,
        layers: Vec<(Layer, Option<VideoSize>)>,
    },
    /// A subscriber's line had to pause or came back although it wants the track (no live layer, stopped source).
    StreamState {
        session: SessionId,
        track: TrackId,
        active: bool,
    },
    /// Somebody takes the track's layers up to `most`; none: nobody takes anything of it, and its publisher need not send it.
    /// More is told at once, less after some seconds. Before the first one its publisher counts as sending everything.
    Demand {
        /// The publisher's.
        session: SessionId,
        track: TrackId,
        most: Option<Layer>,
    },
    /// Who speaks, loudest first, from RFC 6464 levels smoothed; sent when it changes, at most every 300 ms.
    Speakers(Vec<Speaker>),
    /// How well a session is heard and seen, about every 2 s when changed, and once after it connects.
    Quality {
        session: SessionId,
        quality: Quality,
    },
    Frame(Frame),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Speaker {
    pub track: TrackId,
    /// 0 (silence) to 1 (full scale), linear, smoothed.
    pub level: f32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Quality {
    Lost,
    Poor,
    Good,
    Excellent,
}
