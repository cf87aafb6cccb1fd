use amphi_media::{Caption, MemberId, SessionId, TrackId};
use amphi_sfu::{Channel, Mid, NewLine, Quality, ReceiveLine, SendLine, Want};
use bytes::Bytes;

use crate::{Audience, JoinRequest, Packet};

/// One WebSocket of a client. Never reused, so that a socket that dies late does not end its successor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SocketId(pub u64);

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A binary message of the client: a `SignalRequest`.
    Message {
        socket: SocketId,
        bytes: &'a [u8],
    },
    /// A text message, which nobody who speaks the binary form sends.
    Text {
        socket: SocketId,
    },
    SocketClosed {
        socket: SocketId,
    },
    /// The client is back with a new socket and wants to go on ([`crate::find_resumed`]).
    Resume {
        socket: SocketId,
        join: &'a JoinRequest,
    },
    /// An output of the room that concerns this member ([`crate::audience`]).
    Room(&'a amphi_room::Output),
    /// An output of the SFU that concerns this member ([`crate::sfu_audience`]).
    Sfu(&'a amphi_sfu::Output),
    News(&'a News),
    /// Somebody sent data to this member.
    Data(&'a Packet),
    /// Time has passed: see `poll_timeout`.
    Timeout,
}

/// What to do.
#[derive(Debug)]
pub enum Output {
    /// To the client, as one binary message.
    Send {
        socket: SocketId,
        bytes: Bytes,
    },
    /// Close the socket after what was sent before.
    Close {
        socket: SocketId,
    },
    Room(amphi_room::Input),
    Sfu(SfuCommand),
    /// Give the packet to the signals of these members.
    Data {
        to: Vec<MemberId>,
        packet: Packet,
    },
    /// Somebody's words, for the room's program.
    Caption(Caption),
    /// Give the news to the signals of these members.
    Tell {
        to: Audience,
        news: News,
    },
}

/// What one member's signal tells the others'.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum News {
    /// How well a member is connected.
    Quality { member: MemberId, quality: Quality },
}

/// An input of the SFU that owns what it says, so that it can wait in a queue.
#[derive(Clone, PartialEq, Debug)]
pub enum SfuCommand {
    OpenSession {
        session: SessionId,
    },
    CloseSession {
        session: SessionId,
    },
    Offer {
        session: SessionId,
        sdp: String,
        receives: Vec<ReceiveLine>,
        sends: Vec<SendLine>,
    },
    MakeOffer {
        session: SessionId,
        add: Vec<NewLine>,
        remove: Vec<Mid>,
        ice_restart: bool,
    },
    Answer {
        session: SessionId,
        sdp: String,
    },
    Release {
        session: SessionId,
        mid: Mid,
    },
    Select {
        session: SessionId,
        track: TrackId,
        want: Want,
    },
    SendData {
        session: SessionId,
        channel: Channel,
        bytes: Bytes,
    },
}

impl SfuCommand {
    pub fn as_input(&self) -> amphi_sfu::Input<'_> {
        match self {
            SfuCommand::OpenSession { session } => {
                amphi_sfu::Input::OpenSession { session: *session }
            }
            SfuCommand::CloseSession { session } => {
                amphi_sfu::Input::CloseSession { session: *session }
            }
            SfuCommand::Offer {
                session,
                sdp,
                receives,
                sends,
            } => amphi_sfu::Input::Offer {
                session: *session,
                sdp,
                receives: receives.clone(),
                sends: sends.clone(),
            },
            SfuCommand::MakeOffer {
                session,
                add,
                remove,
                ice_restart,
            } => amphi_sfu::Input::MakeOffer {
                session: *session,
                add: add.clone(),
                remove: remove.clone(),
                ice_restart: *ice_restart,
            },
            SfuCommand::Answer { session, sdp } => amphi_sfu::Input::Answer {
                session: *session,
                sdp,
            },
            SfuCommand::Release { session, mid } => amphi_sfu::Input::Release {
                session: *session,
                mid: mid.clone(),
            },
            SfuCommand::Select {
                session,
                track,
                want,
            } => amphi_sfu::Input::Select {
                session: *session,
                track: *track,
                want: *want,
            },
            SfuCommand::SendData {
                session,
                channel,
                bytes,
            } => amphi_sfu::Input::SendData {
                session: *session,
                channel: *channel,
                bytes: bytes.clone(),
            },
        }
    }
}
