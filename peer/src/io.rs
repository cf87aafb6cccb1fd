//! What goes into a peer and what comes out of it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use livekit_protocol as proto;

use crate::session::Certificate;
use crate::{Publication, PublicationId};

/// Which of LiveKit's two forms of signalling is spoken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Form {
    /// `/rtc/v1`: one connection, the client always offers.
    Single,
    /// `/rtc`: one connection to publish and one, offered by the server, to subscribe.
    Pair,
}

/// How a peer is made.
#[derive(Clone, Debug)]
pub struct Config {
    pub form: Form,
    /// Its own UDP address: of the only connection, or of the publishing one.
    pub address: SocketAddr,
    /// Its own UDP address of the subscribing connection. Only used in [`Form::Pair`]; must differ from `address`.
    pub subscriber_address: SocketAddr,
    /// Everything that others publish is subscribed to without asking.
    pub auto_subscribe: bool,
    pub certificate: Certificate,
}

impl Config {
    pub fn new(form: Form, address: SocketAddr, certificate: Certificate) -> Self {
        let mut subscriber_address = address;
        subscriber_address.set_port(address.port().wrapping_add(1));
        Self {
            form,
            address,
            subscriber_address,
            auto_subscribe: true,
            certificate,
        }
    }
}

/// The server's name of a track or of a member (`TR_…`, `PA_…`). Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(Arc<str>);

impl Sid {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    Audio,
    Video,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Codec {
    Opus,
    H264,
    Vp8,
    Vp9,
    Av1,
}

impl Codec {
    pub fn kind(self) -> Kind {
        match self {
            Codec::Opus => Kind::Audio,
            Codec::H264 | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => Kind::Video,
        }
    }

    pub(crate) fn mime(self) -> &'static str {
        match self {
            Codec::Opus => "audio/opus",
            Codec::H264 => "video/H264",
            Codec::Vp8 => "video/VP8",
            Codec::Vp9 => "video/VP9",
            Codec::Av1 => "video/AV1",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Source {
    Unknown,
    Camera,
    Microphone,
    Screen,
    ScreenAudio,
}

impl Source {
    pub(crate) fn wire(self) -> proto::TrackSource {
        match self {
            Source::Unknown => proto::TrackSource::Unknown,
            Source::Camera => proto::TrackSource::Camera,
            Source::Microphone => proto::TrackSource::Microphone,
            Source::Screen => proto::TrackSource::ScreenShare,
            Source::ScreenAudio => proto::TrackSource::ScreenShareAudio,
        }
    }
}

/// The data channels of the protocol, by label.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Channel {
    Reliable,
    Lossy,
    DataTrack,
}

impl Channel {
    pub const ALL: [Channel; 3] = [Channel::Reliable, Channel::Lossy, Channel::DataTrack];

    pub fn label(self) -> &'static str {
        match self {
            Channel::Reliable => "_reliable",
            Channel::Lossy => "_lossy",
            Channel::DataTrack => "_data_track",
        }
    }

    pub(crate) fn from_label(label: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|channel| channel.label() == label)
    }
}

/// Which of the two connections; the only one of [`Form::Single`] is the publisher.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Connection {
    Publisher,
    Subscriber,
}

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// The WebSocket to [`Peer::request`](crate::Peer::request)'s path is open.
    SocketOpened,
    /// One binary message of the WebSocket.
    SocketMessage(&'a [u8]),
    SocketClosed,
    /// `destination` is the peer's own address.
    Datagram {
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &'a [u8],
    },
    /// Time has passed: see [`Peer::poll_timeout`](crate::Peer::poll_timeout).
    Timeout,
}

/// What to do, or what a person would see.
#[derive(Debug)]
pub enum Output {
    /// One binary message for the WebSocket.
    SocketSend(Bytes),
    /// Send nothing more, close the WebSocket.
    SocketClose,
    /// One UDP datagram; `source` is the peer's own address.
    Transmit {
        source: SocketAddr,
        destination: SocketAddr,
        bytes: Bytes,
    },
    Event(Event),
}

#[derive(Debug)]
pub enum Event {
    /// The server took us in.
    Joined(Box<proto::JoinResponse>),
    /// The server took us back after [`Peer::resume`](crate::Peer::resume).
    Resumed,
    /// ICE and DTLS stand.
    Connected(Connection),
    /// It is over: DTLS closed, or nothing was heard for long.
    Disconnected(Connection),
    ChannelOpen(Channel),
    /// Members as the server told them; [`Peer::members`](crate::Peer::members) has them all.
    Members(Vec<proto::ParticipantInfo>),
    /// The server gave our publication a name.
    Published {
        publication: PublicationId,
        track: Sid,
    },
    /// The line of our publication stands: frames written from here on are sent.
    Sending {
        publication: PublicationId,
    },
    /// The server took our publication away.
    Unpublished {
        publication: PublicationId,
    },
    /// The server muted or unmuted our publication.
    Muted {
        publication: PublicationId,
        muted: bool,
    },
    /// Somebody subscribed to our publication for the first time.
    FirstSubscriber {
        publication: PublicationId,
    },
    /// Somebody takes our publication up to this quality (0 low, 1 medium, 2 high); none: nobody takes anything of it. A
    /// client with dynacast sends no more than that.
    Demand {
        publication: PublicationId,
        most: Option<i32>,
    },
    /// A line carries this track from here on.
    TrackSubscribed {
        track: Sid,
        member: Sid,
        kind: Kind,
    },
    TrackUnsubscribed {
        track: Sid,
    },
    Rtp(Rtp),
    Data {
        channel: Channel,
        packet: Box<proto::DataPacket>,
    },
    /// Bytes on a data channel that are not a `DataPacket` (data tracks, or an error).
    DataBytes {
        channel: Channel,
        bytes: Bytes,
    },
    Speakers(Vec<proto::SpeakerInfo>),
    Quality(Vec<proto::ConnectionQualityInfo>),
    StreamStates(Vec<proto::StreamStateInfo>),
    RoomUpdate(Box<proto::Room>),
    /// What we may do has changed.
    PermissionsChanged(proto::ParticipantPermission),
    /// We may, or may no longer, subscribe to a track.
    SubscriptionPermission {
        track: Sid,
        allowed: bool,
    },
    KeyFrameRequest {
        publication: PublicationId,
        rid: String,
    },
    /// The answer to a request of ours; refusals come this way.
    RequestResponse(Box<proto::RequestResponse>),
    SubscriptionFailed {
        track: Sid,
        reason: i32,
    },
    /// The server says goodbye.
    Left(Box<proto::LeaveRequest>),
    RefreshToken(String),
    /// What the server sent makes no sense to us, in words.
    Failed(String),
}

/// One RTP packet of a subscribed track, decrypted.
#[derive(Clone, Debug)]
pub struct Rtp {
    /// None while its line carries nothing that we were told of.
    pub track: Option<Sid>,
    pub kind: Kind,
    pub payload_type: u8,
    pub ssrc: u32,
    /// Unwrapped.
    pub sequence: u64,
    /// In ticks of the codec's clock, as it stands in the packet.
    pub time: u32,
    pub marker: bool,
    /// RFC 6464, in -dBov: 0 is loudest.
    pub audio_level: Option<u8>,
    pub payload: Arc<[u8]>,
}

/// What one publication is announced as.
#[derive(Clone, Debug)]
pub struct Announcement {
    pub name: String,
    pub codec: Codec,
    pub source: Source,
    pub muted: bool,
    /// Of the highest layer, in pixels; zero for sound.
    pub width: u32,
    pub height: u32,
    /// The rids of the simulcast layers, lowest quality first (LiveKit: q, h, f); empty without simulcast.
    pub rids: Vec<String>,
    /// LiveKit's SDKs name the codec; some old ones leave it to the SDP.
    pub names_codec: bool,
}

impl Announcement {
    pub fn microphone() -> Self {
        Self {
            name: "microphone".into(),
            codec: Codec::Opus,
            source: Source::Microphone,
            muted: false,
            width: 0,
            height: 0,
            rids: Vec::new(),
            names_codec: true,
        }
    }

    pub fn camera(codec: Codec, width: u32, height: u32) -> Self {
        Self {
            name: "camera".into(),
            codec,
            source: Source::Camera,
            width,
            height,
            ..Self::microphone()
        }
    }

    /// With three layers: q, h and f.
    pub fn simulcast(mut self) -> Self {
        self.rids = ["q", "h", "f"].map(String::from).to_vec();
        self
    }

    pub(crate) fn into_publication(self, id: PublicationId) -> Publication {
        Publication::new(id, self)
    }
}

/// One RTP packet to send.
#[derive(Clone, Debug)]
pub struct Packet {
    pub payload: Bytes,
    /// In ticks of the codec's clock.
    pub time: u32,
    pub marker: bool,
    /// RFC 6464, in -dBov: 0 is loudest, 127 silence. Only for sound.
    pub audio_level: Option<u8>,
}

/// How much of a track is wanted (LiveKit's `track_setting`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting {
    pub disabled: bool,
    /// 0 low, 1 medium, 2 high; only looked at when the size is zero.
    pub quality: i32,
    pub width: u32,
    pub height: u32,
}

/// What the peer saw that should not be, and what its bounds cost. Only grows.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Messages of the socket that could not be read.
    pub messages_unreadable: u64,
    /// Datagrams that no connection took.
    pub datagrams_refused: u64,
    /// Packets that could not be written: the line does not stand yet, or is gone.
    pub packets_unsent: u64,
    /// Media of a line that carries no track that we were told of.
    pub packets_unannounced: u64,
    /// `mid_to_track_id` and `a=msid` of one answer said different things.
    pub disagreements: u64,
    /// Requests made while the socket was away, beyond what waits.
    pub requests_dropped: u64,
    /// Data that a channel did not take: not open, or full.
    pub data_refused: u64,
}
