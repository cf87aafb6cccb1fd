//! What a client of the call sends: at the door, through its socket, to the media port, to other members.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use amphi_media::{MemberId, SessionId};
use amphi_policy::Grants;
use amphi_policy::token::{Claims, VideoGrant};
use amphi_room::{Joining, Room, Settings};
use amphi_shard::{
    Config, Connect, ConnectionId, Identity, Input, MESSAGE_BYTES_MAX, Path, Shard, Transport,
    WallClock,
};
use amphi_signal::{RoomFacts, Signal, SocketId, View};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use livekit_protocol as proto;
use prost::Message as _;

/// Most steps of one run of [`call`]: each may be a message of some kilobytes.
const STEPS_MAX: usize = 64;

/// `join_request`, twice: the bytes as the query's text, and as a `JoinRequest` that is wrapped as clients do.
pub fn join_request(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        for path in [Path::V0, Path::V1] {
            let query = text.split('&').filter_map(|pair| pair.split_once('='));
            arrive(Connect::parse(path, query).ok());
            arrive(Connect::parse(path, [("join_request", text)]).ok());
        }
    }
    for compression in [0, 1] {
        let wrapped = proto::WrappedJoinRequest {
            compression,
            join_request: bytes.to_vec(),
        };
        let text = URL_SAFE.encode(wrapped.encode_to_vec());
        arrive(Connect::parse(Path::V1, [("join_request", text)]).ok());
    }
}

fn arrive(connect: Option<Connect>) {
    let Some(Ok(join)) = connect.map(|connect| connect.join(&claims("ada"))) else {
        return;
    };
    assert_eq!(
        join.joining.identity, "ada",
        "who somebody is, the token says and not the request"
    );
    let mut shard = shard();
    feed(
        &mut shard,
        start(),
        Input::Connect {
            connection: ConnectionId(1),
            join: Box::new(join),
        },
    );
}

/// A room with one member of either form of the protocol; the bytes say what they send, step by step: a byte that
/// chooses, two of length, the message. Afterwards somebody else still gets in.
pub fn call(bytes: &[u8]) {
    let mut shard = shard();
    let mut now = start();
    for (connection, identity, path) in [(1, "ada", Path::V0), (2, "bo", Path::V1)] {
        join(&mut shard, now, connection, identity, path);
    }
    let mut rest = bytes;
    for _ in 0..STEPS_MAX {
        let Some(([choice, high, low], after)) = rest.split_first_chunk() else {
            break;
        };
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (message, after) = after.split_at(length);
        rest = after;
        let connection = ConnectionId(u64::from(choice >> 7) + 1);
        now += Duration::from_millis(u64::from(choice >> 4 & 7) * 100);
        let input = match choice & 0xf {
            0..=9 if message.len() <= MESSAGE_BYTES_MAX => Input::Message {
                connection,
                bytes: Bytes::copy_from_slice(message),
            },
            10..=12 => Input::Datagram {
                transport: if choice & 1 == 0 {
                    Transport::Udp
                } else {
                    Transport::Tcp
                },
                source: ([127, 0, 0, 1], 40_000).into(),
                destination: ([127, 0, 0, 1], 7_881).into(),
                bytes: message,
            },
            13 => Input::TextMessage { connection },
            14 => Input::Disconnected { connection },
            _ => Input::Timeout,
        };
        feed(&mut shard, now, input);
    }
    assert!(
        join(&mut shard, now, 3, "cyd", Path::V0) > 0,
        "the next one is answered at the door"
    );
}

/// A `DataPacket` of one member to the others.
pub fn data_packet(bytes: &[u8]) {
    let now = start();
    let mut room = Room::new(Settings::default());
    let joining = |identity: &str| Joining {
        identity: identity.to_owned(),
        name: identity.to_owned(),
        metadata: String::new(),
        attributes: BTreeMap::new(),
        grants: Grants::from_token(&grant(), ROOM),
    };
    let facts = RoomFacts::new(ROOM, 1, wall());
    let mut signals = Vec::new();
    for (id, identity) in [(1, "ada"), (2, "bo")] {
        let member = MemberId(id);
        let request =
            Connect::parse(Path::V0, [("auto_subscribe", "1")]).expect("an ordinary query");
        let join = request.join(&claims(identity)).expect("an ordinary token");
        let sessions = [SessionId(id * 10), SessionId(id * 10 + 1)];
        let mut signal = Signal::new(now, member, SocketId(id), sessions, join);
        let joining = joining(identity);
        room.handle_input(now, amphi_room::Input::Join { member, joining });
        room.handle_input(now, amphi_room::Input::Active { member });
        while let Some(output) = room.poll_output() {
            let view = View {
                room: &room,
                facts: &facts,
            };
            signal.handle_input(now, view, amphi_signal::Input::Room(&output));
        }
        while signal.poll_output().is_some() {}
        signals.push(signal);
    }
    let view = View {
        room: &room,
        facts: &facts,
    };
    let ordinary = proto::DataPacket {
        value: Some(proto::data_packet::Value::ChatMessage(
            proto::ChatMessage::default(),
        )),
        ..proto::DataPacket::default()
    };
    for channel in [
        amphi_sfu::Channel::Reliable,
        amphi_sfu::Channel::Lossy,
        amphi_sfu::Channel::DataTrack,
    ] {
        hand_on(&mut signals[0], now, view, channel, bytes);
    }
    let after = hand_on(
        &mut signals[0],
        now,
        view,
        amphi_sfu::Channel::Reliable,
        &ordinary.encode_to_vec(),
    );
    assert_eq!(after, 1, "the next one is handed on");
}

/// Ada's client sends `bytes`; how many packets are handed on for it.
fn hand_on(
    ada: &mut Signal,
    now: Instant,
    view: View<'_>,
    channel: amphi_sfu::Channel,
    bytes: &[u8],
) -> usize {
    let said = amphi_sfu::Output::Data {
        session: SessionId(10),
        channel,
        bytes: Bytes::copy_from_slice(bytes),
    };
    ada.handle_input(now, view, amphi_signal::Input::Sfu(&said));
    let mut packets = 0;
    while let Some(output) = ada.poll_output() {
        let amphi_signal::Output::Data { to, packet } = output else {
            continue;
        };
        packets += 1;
        assert!(!to.contains(&MemberId(1)), "nobody gets back what it said");
        let packet = proto::DataPacket::decode(&packet.bytes[..])
            .expect("what is handed on is a DataPacket");
        assert_eq!(
            packet.participant_identity, "ada",
            "the server says who it is from"
        );
    }
    packets
}

const ROOM: &str = "town-hall";

fn grant() -> VideoGrant {
    VideoGrant {
        room: Some(ROOM.to_owned()),
        room_join: true,
        ..VideoGrant::default()
    }
}

fn claims(identity: &str) -> Claims {
    Claims {
        sub: identity.to_owned(),
        exp: 2_000_000_000,
        video: Some(grant()),
        ..Claims::default()
    }
}

fn join(shard: &mut Shard, now: Instant, connection: u64, identity: &str, path: Path) -> usize {
    let query = match path {
        Path::V0 => ("auto_subscribe", "1".to_owned()),
        Path::V1 => {
            let client_info = Some(proto::ClientInfo::default());
            let request = proto::JoinRequest {
                client_info,
                ..proto::JoinRequest::default()
            };
            let wrapped = proto::WrappedJoinRequest {
                compression: 0,
                join_request: request.encode_to_vec(),
            };
            ("join_request", URL_SAFE.encode(wrapped.encode_to_vec()))
        }
    };
    let connect = Connect::parse(path, [query]).expect("an ordinary query");
    let join = Box::new(connect.join(&claims(identity)).expect("an ordinary token"));
    feed(
        shard,
        now,
        Input::Connect {
            connection: ConnectionId(connection),
            join,
        },
    )
}

/// Gives the shard one input and drains it; how many outputs there were.
fn feed(shard: &mut Shard, now: Instant, input: Input<'_>) -> usize {
    shard.handle_input(now, input);
    std::iter::from_fn(|| shard.poll_output()).count()
}

fn shard() -> Shard {
    // Making a certificate takes longer than everything else here.
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    Shard::new(Config {
        seed: 1,
        wall: wall(),
        udp_candidates: vec![([127, 0, 0, 1], 7_881).into()],
        tcp_candidates: vec![([127, 0, 0, 1], 7_881).into()],
        identity: IDENTITY.get_or_init(Identity::new).clone(),
    })
}

fn wall() -> WallClock {
    WallClock {
        at: start(),
        unix_ms: 1_800_000_000_000,
    }
}

/// The same for every run of a process, so that nothing depends on how fast it is.
fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now)
}
