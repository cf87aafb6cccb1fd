//! How a signal speaks with a client: the traps of LiveKit's protocol, one by one, without a socket.
//!
//! Rooms and SFUs are the real ones; the clients are scripted, with descriptions like those that the JavaScript and the
//! Rust SDK write. No media flows: that a connection stands is said to the signal as the SFU would say it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use amphi_media::{Caption, MemberId, SessionId, TrackId};
use amphi_policy::token::{Claims, VideoGrant};
use amphi_policy::{Change, SourceSet};
use amphi_sfu::{Channel, Identity, Sfu};
use amphi_signal::{
    Connect, Entry, Form, Input, JoinRequest, Output, Path, RoomFacts, SfuAudience, SfuCommand,
    Signal, SocketId, View, WallClock, audience, cannot_resume, find_resumed, sfu_audience,
};
use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use livekit_protocol as proto;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use prost::Message;

mod connect;
mod data;
mod joining;
mod leaving;
mod malformed;
mod publishing;
mod receiving;
mod requests;
mod resuming;
mod sdp;

use sdp::{Line, offer};

const START_UNIX_MS: i64 = 1_800_000_000_000;

#[expect(
    clippy::disallowed_methods,
    reason = "a first instant to count from; tests add to it"
)]
fn start() -> Instant {
    Instant::now()
}

/// A room with everything that belongs to it, and what its clients were told.
struct World {
    room: amphi_room::Room,
    sfu: Sfu,
    facts: RoomFacts,
    signals: BTreeMap<MemberId, Signal>,
    clients: BTreeMap<MemberId, Client>,
    now: Instant,
    /// What the SFU was told, since it was taken last.
    commands: Vec<SfuCommand>,
    captions: Vec<Caption>,
    /// What the signals want to be done, in their order.
    work: VecDeque<Output>,
    next: u64,
}

/// The other end of a signal.
#[derive(Default)]
struct Client {
    inbox: Vec<Response>,
    sockets: Vec<SocketId>,
    closed: Vec<SocketId>,
}

impl World {
    fn new() -> Self {
        let mut config = amphi_sfu::Config::new(Identity::new());
        config.udp_candidates = vec!["127.0.0.1:7882".parse().expect("an address")];
        let now = start();
        Self {
            room: amphi_room::Room::new(amphi_room::Settings::default()),
            sfu: Sfu::new(config),
            facts: RoomFacts::new(
                "hall",
                42,
                WallClock {
                    at: now,
                    unix_ms: START_UNIX_MS,
                },
            ),
            signals: BTreeMap::new(),
            clients: BTreeMap::new(),
            now,
            commands: Vec::new(),
            captions: Vec::new(),
            work: VecDeque::new(),
            next: 1,
        }
    }

    /// A client comes, and is told what it is told.
    fn connect(&mut self, join: JoinRequest) -> MemberId {
        let socket = SocketId(self.number());
        let entry = find_resumed(
            &join,
            View {
                room: &self.room,
                facts: &self.facts,
            },
        );
        match entry {
            Entry::Resume(member) => {
                self.clients.entry(member).or_default().sockets.push(socket);
                self.signal(
                    member,
                    Input::Resume {
                        socket,
                        join: &join,
                    },
                );
                member
            }
            Entry::CannotResume => panic!("nothing to resume"),
            Entry::Join => {
                let member = MemberId(self.number());
                let sessions = [SessionId(self.number()), SessionId(self.number())];
                let joining = join.joining.clone();
                self.signals.insert(
                    member,
                    Signal::new(self.now, member, socket, sessions, join),
                );
                self.clients.entry(member).or_default().sockets.push(socket);
                self.room(amphi_room::Input::Join { member, joining });
                member
            }
        }
    }

    /// A member with these lines in its first offer.
    fn enter_with(&mut self, identity: &str, lines: &[Line]) -> MemberId {
        let request = proto::JoinRequest {
            publisher_offer: Some(description("offer", 1, &offer(lines))),
            ..request_with_offer(1)
        };
        let member = self.connect(join_with(&request, &claims(identity)));
        self.media_connects(member);
        self.take(member);
        member
    }

    /// A member over one connection whose media connection stands, as the JavaScript SDK joins.
    fn enter(&mut self, identity: &str) -> MemberId {
        let member = self.connect(single(identity));
        self.media_connects(member);
        self.take(member);
        member
    }

    /// The same over two connections.
    fn enter_dual(&mut self, identity: &str) -> MemberId {
        let member = self.connect(dual(identity));
        self.answer_offer(member);
        self.media_connects(member);
        self.take(member);
        member
    }

    fn media_connects(&mut self, member: MemberId) {
        let signal = &self.signals[&member];
        let session = match self.form(member) {
            Form::Single => signal.sessions()[0],
            Form::Dual => signal.sessions()[1],
        };
        self.signal(
            member,
            Input::Sfu(&amphi_sfu::Output::Connected { session }),
        );
    }

    fn form(&self, member: MemberId) -> Form {
        let joined_dual = self.clients[&member].inbox.iter().any(|message| {
            matches!(message, Response::Join(join) if join.subscriber_primary)
                || matches!(message, Response::Offer(_))
        });
        if joined_dual {
            Form::Dual
        } else {
            Form::Single
        }
    }

    /// The client sends a message.
    fn say(&mut self, member: MemberId, message: Request) {
        let bytes = proto::SignalRequest {
            message: Some(message),
        }
        .encode_to_vec();
        let socket = *self.clients[&member].sockets.last().expect("a socket");
        self.signal(
            member,
            Input::Message {
                socket,
                bytes: &bytes,
            },
        );
    }

    /// The client offers, and hears what it hears.
    fn offer(&mut self, member: MemberId, id: u32, lines: &[Line]) {
        self.say(
            member,
            Request::Offer(description("offer", id, &offer(lines))),
        );
    }

    /// The client answers the newest offer, as the JavaScript SDK does.
    fn answer_offer(&mut self, member: MemberId) {
        let offer = self.clients[&member]
            .inbox
            .iter()
            .rev()
            .find_map(|message| match message {
                Response::Offer(offer) => Some(offer.clone()),
                _ => None,
            });
        let offer = offer.expect("an offer to answer");
        self.say(
            member,
            Request::Answer(description("answer", offer.id, &sdp::answer(&offer.sdp))),
        );
    }

    /// Announces a track and offers the line for it beside the usual ones, as the JavaScript SDK does.
    fn publish(&mut self, member: MemberId, source: proto::TrackSource) -> String {
        let request = add_track(source);
        let line = Line::sending("9", kind_of(source), &request.cid);
        self.say(member, Request::AddTrack(request));
        let sid = self.published(member);
        let mut lines = sdp::usual_lines();
        lines.push(line);
        self.offer(member, 2, &lines);
        sid
    }

    /// The sid of the newest track that the client was told to have published.
    #[track_caller]
    fn published(&self, member: MemberId) -> String {
        let published =
            self.clients[&member]
                .inbox
                .iter()
                .rev()
                .find_map(|message| match message {
                    Response::TrackPublished(published) => published.track.clone(),
                    _ => None,
                });
        published.expect("told of a published track").sid
    }

    /// What the client was told since the last time.
    fn take(&mut self, member: MemberId) -> Vec<Response> {
        std::mem::take(&mut self.clients.get_mut(&member).expect("a client").inbox)
    }

    fn take_commands(&mut self) -> Vec<SfuCommand> {
        std::mem::take(&mut self.commands)
    }

    fn track_of(&self, sid: &str) -> TrackId {
        self.facts.track_of(sid).expect("a track's sid")
    }

    fn sid(&self, member: MemberId) -> String {
        self.facts.participant_sid(member)
    }

    fn close_socket(&mut self, member: MemberId) {
        let socket = *self.clients[&member].sockets.last().expect("a socket");
        self.signal(member, Input::SocketClosed { socket });
    }

    fn data(&mut self, member: MemberId, channel: Channel, packet: &proto::DataPacket) {
        let session = self.signals[&member].sessions()[0];
        let bytes = packet.encode_to_vec().into();
        self.signal(
            member,
            Input::Sfu(&amphi_sfu::Output::Data {
                session,
                channel,
                bytes,
            }),
        );
    }

    fn change_grants(&mut self, member: MemberId, change: &Change) {
        let grants = self
            .room
            .member(member)
            .expect("in the room")
            .grants
            .changed(change);
        self.room(amphi_room::Input::GrantsChanged { member, grants });
    }

    /// Time passes for everybody.
    fn wait(&mut self, duration: Duration) {
        self.now += duration;
        for member in self.signals.keys().copied().collect::<Vec<_>>() {
            self.signal(member, Input::Timeout);
        }
        self.room(amphi_room::Input::Timeout);
    }

    /// The room is told something, and everything follows that follows from it.
    fn room(&mut self, input: amphi_room::Input) {
        self.tell_room(input);
        self.run();
    }

    /// A signal is told something, and everything follows that follows from it.
    fn signal(&mut self, member: MemberId, input: Input<'_>) {
        self.tell_signal(member, input);
        self.run();
    }

    fn run(&mut self) {
        while let Some(output) = self.work.pop_front() {
            match output {
                Output::Room(input) => self.tell_room(input),
                Output::Sfu(command) => {
                    self.sfu.handle_input(self.now, command.as_input());
                    self.commands.push(command);
                    self.drain_sfu();
                }
                Output::Data { to, packet } => {
                    for member in to {
                        self.tell_signal(member, Input::Data(&packet));
                    }
                }
                Output::Caption(caption) => self.captions.push(caption),
                Output::Tell { to, news } => {
                    for member in self.members(to) {
                        self.tell_signal(member, Input::News(&news));
                    }
                }
                Output::Send { .. } | Output::Close { .. } => unreachable!("done at once"),
            }
        }
    }

    fn tell_room(&mut self, input: amphi_room::Input) {
        self.room.handle_input(self.now, input);
        while let Some(output) = self.room.poll_output() {
            if let amphi_room::Output::StopTrack { track, .. } = &output {
                self.sfu
                    .handle_input(self.now, amphi_sfu::Input::StopTrack { track: *track });
                self.drain_sfu();
            }
            for member in self.members(audience(&output, &self.room)) {
                self.tell_signal(member, Input::Room(&output));
            }
            if let amphi_room::Output::Left { member, .. }
            | amphi_room::Output::JoinRefused { member, .. } = output
            {
                self.signals.remove(&member);
            }
        }
    }

    fn drain_sfu(&mut self) {
        while let Some(output) = self.sfu.poll_output() {
            if let SfuAudience::Session(session) = sfu_audience(&output) {
                let owner = self
                    .signals
                    .iter()
                    .find(|(_, signal)| signal.sessions().contains(&session));
                if let Some(member) = owner.map(|(member, _)| *member) {
                    self.tell_signal(member, Input::Sfu(&output));
                }
            }
        }
    }

    fn tell_signal(&mut self, member: MemberId, input: Input<'_>) {
        let Some(signal) = self.signals.get_mut(&member) else {
            return;
        };
        signal.handle_input(
            self.now,
            View {
                room: &self.room,
                facts: &self.facts,
            },
            input,
        );
        let client = self.clients.get_mut(&member).expect("a client");
        while let Some(output) = signal.poll_output() {
            match output {
                Output::Send { bytes, .. } => {
                    let message = proto::SignalResponse::decode(bytes)
                        .expect("a message")
                        .message;
                    client.inbox.push(message.expect("of a kind"));
                }
                Output::Close { socket } => client.closed.push(socket),
                Output::Room(_)
                | Output::Sfu(_)
                | Output::Data { .. }
                | Output::Caption(_)
                | Output::Tell { .. } => self.work.push_back(output),
            }
        }
    }

    fn members(&self, audience: amphi_signal::Audience) -> Vec<MemberId> {
        use amphi_signal::Audience;
        match audience {
            Audience::Nobody => Vec::new(),
            Audience::One(member) => vec![member],
            Audience::Two(one, other) => vec![one, other],
            Audience::Everybody => self.signals.keys().copied().collect(),
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

fn video_grant() -> VideoGrant {
    VideoGrant {
        room_join: true,
        room: Some("hall".into()),
        can_update_own_metadata: Some(true),
        ..VideoGrant::default()
    }
}

fn claims(identity: &str) -> Claims {
    Claims {
        sub: identity.into(),
        name: identity.to_uppercase(),
        video: Some(video_grant()),
        ..Claims::default()
    }
}

/// What a client writes into `join_request`, as it stands in the address.
fn encoded(request: &proto::JoinRequest, gzip: bool, pad: bool) -> String {
    use std::io::Write;
    let plain = request.encode_to_vec();
    let (join_request, compression) = match gzip {
        false => (plain, proto::wrapped_join_request::Compression::None),
        true => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&plain).expect("into memory");
            (
                encoder.finish().expect("into memory"),
                proto::wrapped_join_request::Compression::Gzip,
            )
        }
    };
    let wrapped = proto::WrappedJoinRequest {
        compression: compression.into(),
        join_request,
    }
    .encode_to_vec();
    if pad {
        URL_SAFE.encode(wrapped)
    } else {
        URL_SAFE_NO_PAD.encode(wrapped)
    }
}

fn request_with_offer(id: u32) -> proto::JoinRequest {
    proto::JoinRequest {
        client_info: Some(proto::ClientInfo {
            sdk: proto::client_info::Sdk::Js.into(),
            protocol: 16,
            ..proto::ClientInfo::default()
        }),
        connection_settings: Some(proto::ConnectionSettings {
            auto_subscribe: true,
            ..Default::default()
        }),
        publisher_offer: Some(description("offer", id, &offer(&sdp::usual_lines()))),
        ..proto::JoinRequest::default()
    }
}

fn join_with(request: &proto::JoinRequest, claims: &Claims) -> JoinRequest {
    let query = [("join_request", encoded(request, true, true))];
    Connect::parse(Path::V1, query)
        .expect("a join request")
        .join(claims)
        .expect("may enter")
}

/// `/rtc/v1` with the offer in it.
fn single(identity: &str) -> JoinRequest {
    join_with(&request_with_offer(1), &claims(identity))
}

/// `/rtc`.
fn dual(identity: &str) -> JoinRequest {
    let query = [
        ("sdk", "python"),
        ("protocol", "16"),
        ("auto_subscribe", "1"),
    ];
    Connect::parse(Path::V0, query)
        .expect("a query")
        .join(&claims(identity))
        .expect("may enter")
}

fn description(kind: &str, id: u32, sdp: &str) -> proto::SessionDescription {
    proto::SessionDescription {
        r#type: kind.into(),
        sdp: sdp.into(),
        id,
        ..Default::default()
    }
}

fn kind_of(source: proto::TrackSource) -> proto::TrackType {
    match source {
        proto::TrackSource::Microphone | proto::TrackSource::ScreenShareAudio => {
            proto::TrackType::Audio
        }
        proto::TrackSource::Camera
        | proto::TrackSource::ScreenShare
        | proto::TrackSource::Unknown => proto::TrackType::Video,
    }
}

fn add_track(source: proto::TrackSource) -> proto::AddTrackRequest {
    proto::AddTrackRequest {
        cid: format!("cid-{}", source.as_str_name()),
        r#type: kind_of(source).into(),
        source: source.into(),
        ..proto::AddTrackRequest::default()
    }
}

fn position(messages: &[Response], wanted: impl Fn(&Response) -> bool) -> Option<usize> {
    messages.iter().position(wanted)
}

fn answers(messages: &[Response]) -> Vec<&proto::SessionDescription> {
    messages
        .iter()
        .filter_map(|message| {
            if let Response::Answer(answer) = message {
                Some(answer)
            } else {
                None
            }
        })
        .collect()
}

fn offers(messages: &[Response]) -> Vec<&proto::SessionDescription> {
    messages
        .iter()
        .filter_map(|message| {
            if let Response::Offer(offer) = message {
                Some(offer)
            } else {
                None
            }
        })
        .collect()
}

/// Numbers of audio and video lines that the client was asked to add, each time it was asked to offer.
fn requirements(messages: &[Response]) -> Vec<(u32, u32)> {
    let required = |message: &Response| match message {
        Response::MediaSectionsRequirement(required) => {
            Some((required.num_audios, required.num_videos))
        }
        _ => None,
    };
    messages.iter().filter_map(required).collect()
}

/// Everybody whom the messages tell of, in order.
fn updates(messages: &[Response]) -> Vec<&proto::ParticipantInfo> {
    let mut told = Vec::new();
    for message in messages {
        if let Response::Update(update) = message {
            told.extend(&update.participants);
        }
    }
    told
}

fn leaves(messages: &[Response]) -> Vec<(proto::DisconnectReason, proto::leave_request::Action)> {
    let leave = |message: &Response| match message {
        Response::Leave(leave) => Some((leave.reason(), leave.action())),
        _ => None,
    };
    messages.iter().filter_map(leave).collect()
}

fn responses(messages: &[Response]) -> Vec<&proto::RequestResponse> {
    let mut told = Vec::new();
    for message in messages {
        if let Response::RequestResponse(response) = message {
            told.push(response);
        }
    }
    told
}
