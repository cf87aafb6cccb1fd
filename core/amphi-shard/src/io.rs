//! What goes into a shard and what comes out of it: what the shell and the machine say to each other.

use std::net::SocketAddr;

use amphi_media::{Caption, MemberId, TrackId, VideoSize};
use amphi_policy::{Change, Grants, Refusal};
use amphi_room::{Settings, Wish, WishChange};
use bytes::Bytes;

/// Re-exported so that the shell names one crate for what crosses the border.
pub use amphi_sfu::{Identity, Transport};
pub use amphi_signal::{Connect, ConnectError, JoinRequest, MESSAGE_BYTES_MAX, Path, WallClock};

/// One WebSocket, from the shell's accept to its close. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub u64);

/// Which command a reply belongs to. Never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CommandId(pub u64);

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    Datagram {
        transport: Transport,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &'a [u8],
    },
    /// A client with a verified token opened its socket.
    Connect {
        connection: ConnectionId,
        join: Box<JoinRequest>,
    },
    /// One message of a client's socket.
    Message {
        connection: ConnectionId,
        bytes: Bytes,
    },
    /// A text message, which no client that speaks the binary form sends.
    TextMessage {
        connection: ConnectionId,
    },
    /// A client's socket is gone; the member stays for the grace time.
    Disconnected {
        connection: ConnectionId,
    },
    /// From the HTTP API, or from a program.
    Command {
        id: CommandId,
        room: String,
        command: Command,
    },
    /// Every room that somebody is in or that is on air; answered by `Output::Listed`.
    List {
        id: CommandId,
    },
    /// Tell every member to come back later and take nobody in (SIGTERM).
    Drain,
    Timeout,
}

/// What the API asks a room to do.
#[derive(Clone, Debug)]
pub enum Command {
    Snapshot,
    StartBroadcast {
        by: Grants,
        wish: Wish,
    },
    ChangeProgram {
        by: Grants,
        change: WishChange,
    },
    StopBroadcast {
        by: Grants,
    },
    StartRecording {
        by: Grants,
    },
    StopRecording {
        by: Grants,
    },
    ChangeGrants {
        by: Grants,
        identity: String,
        change: Change,
    },
    RemoveMember {
        by: Grants,
        identity: String,
    },
    Configure(Settings),
    /// The program needs a key frame of this track.
    RequestKeyFrame {
        track: TrackId,
    },
    /// The size at which the program draws this track; none: as large as it comes.
    WantSize {
        track: TrackId,
        size: Option<VideoSize>,
    },
    /// The program takes the lower simulcast layers of this track too, or not any more.
    TakeLayers {
        track: TrackId,
        on: bool,
    },
    /// The program cannot go on.
    ProgramFailed {
        reason: String,
    },
}

/// What came of a command.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    Done,
    Snapshot(Box<RoomSnapshot>),
    Refused(Refusal),
    /// Cannot be done; what would work, in words.
    Unavailable(String),
    /// No such room, or no such member in it.
    NotFound,
}

/// A room as others may see it: hidden members are not in it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RoomSnapshot {
    pub room: String,
    pub title: String,
    pub members: Vec<MemberSnapshot>,
    /// What was asked for, while on air.
    pub broadcast: Option<Wish>,
    pub recording: bool,
    /// Why the newest program ended or did not begin, in words for people; none once another one runs.
    pub failure: Option<String>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct MemberSnapshot {
    pub member: MemberId,
    pub identity: String,
    pub name: String,
    /// Published and not muted.
    pub camera: bool,
    pub microphone: bool,
    pub screen: bool,
}

/// What to do.
#[derive(Debug)]
pub enum Output {
    Transmit {
        transport: Transport,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: Bytes,
    },
    Send {
        connection: ConnectionId,
        bytes: Bytes,
    },
    /// Close this socket after what was sent before.
    Close {
        connection: ConnectionId,
    },
    Reply {
        id: CommandId,
        outcome: Outcome,
    },
    Listed {
        id: CommandId,
        rooms: Vec<RoomSnapshot>,
    },
    /// The room's program starts: what follows for this room as `Program` belongs to it.
    StartProgram {
        room: String,
        wish: Wish,
    },
    /// The program that runs is wanted otherwise.
    ChangeProgram {
        room: String,
        wish: Wish,
    },
    Program {
        room: String,
        input: amphi_studio::Input,
    },
    /// What somebody said, for the program that runs.
    Caption {
        room: String,
        caption: Caption,
    },
    /// Nothing needs the program any more.
    StopProgram {
        room: String,
    },
    Broadcast {
        room: String,
        on: bool,
    },
    Recording {
        room: String,
        on: bool,
    },
    /// Somebody joined or left, the first or the last: the room's settings are wanted (`Command::Configure`) or not.
    RoomOpened {
        room: String,
    },
    RoomClosed {
        room: String,
    },
    /// Something in the room broke (our bug): it was closed, and `RoomClosed` follows.
    RoomFailed {
        room: String,
    },
}
