use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use amphi_media::{Layer, MemberId, SessionId, TrackId};
use amphi_room::LeaveReason;
use amphi_sfu::{Channel, Quality, Want};
use bytes::Bytes;
use livekit_protocol as proto;
use livekit_protocol::signal_response::Message as Response;
use prost::Message as _;

use crate::data::Incoming;
use crate::offers::Offers;
use crate::publish::Publishing;
use crate::slots::Slots;
use crate::{
    Client, Counters, Description, Form, Input, JoinRequest, MESSAGE_BYTES_MAX, Output, SfuCommand,
    SocketId, View,
};

/// How long a member stays without a socket. Longer: a train's tunnel is survived. Shorter: who is gone is seen to be.
const GRACE: Duration = Duration::from_secs(20);

/// How long a socket may be silent. Clients ping every [`PING_INTERVAL`]; twice their own patience ([`PING_TIMEOUT`]).
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long the media connection may take to come up. Clients give up after 15 s.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// What clients are told to do.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(5);
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// Messages a client may send at once, and in the long run per second. A page that lays out 50 tiles sends 50 at once.
const MESSAGES_BURST: u32 = 500;
const MESSAGES_PER_SECOND: u32 = 100;

/// Messages that are held for a client that is away.
const HELD_MAX: usize = 64;

/// Offers that may wait for announcements to be answered.
const OFFERS_WAITING_MAX: usize = 4;

/// Who left and will be told of when the client comes back.
const DEPARTED_MAX: usize = 200;

/// Speaks with one member's client.
///
/// **After every [`Signal::handle_input`], call [`Signal::poll_output`] until it returns none, then ask
/// [`Signal::poll_timeout`] when to come back with [`Input::Timeout`].** Made together with the member's `Join` for the
/// room; dropped after the room's `Left` or `JoinRefused` for this member was given to it and its outputs were taken.
pub struct Signal {
    pub(crate) member: MemberId,
    sessions: [SessionId; 2],
    pub(crate) form: Form,
    pub(crate) client: Client,
    /// What it came with, until it is in.
    pub(crate) join: Option<Box<JoinRequest>>,
    socket: Option<SocketId>,
    /// When the socket told something last.
    heard: Instant,
    away_since: Option<Instant>,
    /// When its media connection has to be up.
    connect_by: Option<Instant>,
    phase: Phase,
    allowance: Allowance,
    held: VecDeque<Response>,
    /// Since it was last told everything, the newest last.
    pub(crate) departed: Vec<proto::ParticipantInfo>,
    pub(crate) publishing: Publishing,
    /// Announcements given to the room and not answered yet. Offers wait for them.
    pub(crate) announcing: usize,
    pub(crate) offers_waiting: VecDeque<Description>,
    pub(crate) answering: VecDeque<Answering>,
    pub(crate) receiving: Receiving,
    pub(crate) wants: BTreeMap<TrackId, Want>,
    pub(crate) speaking: BTreeMap<MemberId, f32>,
    pub(crate) qualities: BTreeMap<SessionId, Quality>,
    pub(crate) told_subscribed: BTreeSet<TrackId>,
    /// Up to which layer each of its tracks is taken, where the client was told.
    pub(crate) demands: BTreeMap<TrackId, Option<Layer>>,
    pub(crate) incoming: Incoming,
    outputs: VecDeque<Output>,
    pub(crate) counters: Counters,
}

/// How far the member is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Not in yet: the client hears nothing before its `JoinResponse`.
    Arriving,
    In,
    Out,
}

/// How the client receives.
pub(crate) enum Receiving {
    Slots(Slots),
    Offers(Offers),
}

/// An offer of the client that the SFU works on.
pub(crate) struct Answering {
    pub(crate) id: u32,
    /// What the lines carry when it is answered.
    pub(crate) carried: BTreeMap<String, TrackId>,
}

impl Signal {
    /// `sessions`: two ids of its own. A client with one connection uses the first; with two, the first publishes and
    /// the second subscribes.
    pub fn new(
        now: Instant,
        member: MemberId,
        socket: SocketId,
        sessions: [SessionId; 2],
        join: JoinRequest,
    ) -> Self {
        Self {
            member,
            sessions,
            form: join.form,
            client: join.client.clone(),
            receiving: match join.form {
                Form::Single => Receiving::Slots(Slots::default()),
                Form::Dual => Receiving::Offers(Offers::default()),
            },
            join: Some(Box::new(join)),
            socket: Some(socket),
            heard: now,
            away_since: None,
            connect_by: Some(now + CONNECT_WITHIN),
            phase: Phase::Arriving,
            allowance: Allowance {
                left: MESSAGES_BURST,
                since: now,
            },
            held: VecDeque::new(),
            departed: Vec::new(),
            publishing: Publishing::default(),
            announcing: 0,
            offers_waiting: VecDeque::new(),
            answering: VecDeque::new(),
            wants: BTreeMap::new(),
            speaking: BTreeMap::new(),
            qualities: BTreeMap::new(),
            told_subscribed: BTreeSet::new(),
            demands: BTreeMap::new(),
            incoming: Incoming::default(),
            outputs: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    pub fn handle_input(&mut self, now: Instant, view: View<'_>, input: Input<'_>) {
        if self.phase == Phase::Out {
            return;
        }
        match input {
            Input::Message { socket, bytes } => self.message(now, view, socket, bytes),
            Input::Text { socket } => self.text(now, socket),
            Input::SocketClosed { socket } => self.socket_closed(now, socket),
            Input::Resume { socket, join } => self.resume(now, view, socket, join),
            Input::Room(output) => self.room_said(now, view, output),
            Input::Sfu(output) => self.sfu_said(now, view, output),
            Input::News(news) => self.hear(view, *news),
            Input::Data(packet) => self.receive_data(packet.channel, packet.bytes.clone()),
            Input::Timeout => {}
        }
        self.keep_time(now, view);
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.phase == Phase::Out {
            return None;
        }
        let renegotiation = match &self.receiving {
            Receiving::Slots(slots) => slots.deadline(),
            Receiving::Offers(offers) => offers.deadline(),
        };
        [
            self.silent_at(),
            self.gone_at(),
            self.connect_by,
            renegotiation.filter(|_| self.socket.is_some()),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The client's socket; none while it is away.
    pub fn socket(&self) -> Option<SocketId> {
        self.socket
    }

    /// Both ids, whether in use or not.
    pub fn sessions(&self) -> [SessionId; 2] {
        self.sessions
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The connection that carries what the client publishes.
    pub(crate) fn publisher(&self) -> SessionId {
        self.sessions[0]
    }

    /// The connection that carries what the client receives, and whose coming up means that the member is active.
    pub(crate) fn subscriber(&self) -> SessionId {
        match self.form {
            Form::Single => self.sessions[0],
            Form::Dual => self.sessions[1],
        }
    }

    pub(crate) fn open_sessions(&mut self) {
        for session in self.sessions_in_use() {
            self.sfu(SfuCommand::OpenSession { session });
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn enter(&mut self) {
        self.phase = Phase::In;
    }

    pub(crate) fn connected(&mut self) {
        self.connect_by = None;
    }

    pub(crate) fn has_connected(&self) -> bool {
        self.connect_by.is_none()
    }

    pub(crate) fn is_away(&self) -> bool {
        self.socket.is_none()
    }

    /// The last words, and then nothing more.
    pub(crate) fn end(&mut self, leave: Option<proto::LeaveRequest>) {
        if let Some(leave) = leave {
            self.send(Response::Leave(leave));
        }
        if self.phase == Phase::In {
            for session in self.sessions_in_use() {
                self.sfu(SfuCommand::CloseSession { session });
            }
        }
        if let Some(socket) = self.socket.take() {
            self.output(Output::Close { socket });
        }
        self.phase = Phase::Out;
    }

    /// Sends now, or holds for a client that is away what it would miss: answers to what it asked. All else it is told
    /// as it is by then.
    pub(crate) fn send(&mut self, message: Response) {
        if let Some(socket) = self.socket {
            self.send_on(socket, message);
            return;
        }
        let answers = matches!(
            message,
            Response::Answer(_)
                | Response::TrackPublished(_)
                | Response::TrackUnpublished(_)
                | Response::TrackSubscribed(_)
                | Response::RequestResponse(_)
                | Response::SubscriptionResponse(_)
                | Response::SubscriptionPermissionUpdate(_)
        );
        if !answers {
            return;
        }
        if self.held.len() < HELD_MAX {
            self.held.push_back(message);
        } else {
            self.counters.messages_not_held += 1;
        }
    }

    pub(crate) fn room(&mut self, input: amphi_room::Input) {
        self.output(Output::Room(input));
    }

    pub(crate) fn sfu(&mut self, command: SfuCommand) {
        self.output(Output::Sfu(command));
    }

    pub(crate) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Asks the room to let the member go; the rest happens when it is out.
    pub(crate) fn give_up(&mut self, reason: LeaveReason) {
        self.room(amphi_room::Input::Leave {
            member: self.member,
            reason,
        });
    }

    pub(crate) fn wait_with(&mut self, offer: Description) {
        if self.offers_waiting.len() >= OFFERS_WAITING_MAX {
            self.offers_waiting.pop_front();
            self.counters.sdp_refused += 1;
        }
        self.offers_waiting.push_back(offer);
    }

    /// Somebody left. Kept also while the client seems to be here: a socket may be dead long before we notice, and what
    /// was said into it is lost.
    pub(crate) fn depart(&mut self, info: proto::ParticipantInfo) {
        if self.departed.len() >= DEPARTED_MAX {
            self.departed.remove(0);
        }
        self.departed.push(info);
    }

    fn sessions_in_use(&self) -> Vec<SessionId> {
        match self.form {
            Form::Single => vec![self.sessions[0]],
            Form::Dual => self.sessions.to_vec(),
        }
    }

    fn message(&mut self, now: Instant, view: View<'_>, socket: SocketId, bytes: &[u8]) {
        if !self.hears(now, socket) {
            return;
        }
        self.counters.messages += 1;
        if !self.allowance.take(now) {
            self.counters.messages_over_rate += 1;
            return;
        }
        let request =
            (bytes.len() <= MESSAGE_BYTES_MAX).then(|| proto::SignalRequest::decode(bytes));
        match request {
            Some(Ok(proto::SignalRequest {
                message: Some(message),
            })) => self.request(now, view, message),
            // A message of a kind that is newer than this server has no content for it.
            Some(Ok(proto::SignalRequest { message: None })) if !bytes.is_empty() => {
                self.counters.messages_unsupported += 1;
            }
            Some(_) | None => self.counters.messages_malformed += 1,
        }
    }

    fn text(&mut self, now: Instant, socket: SocketId) {
        if !self.hears(now, socket) {
            return;
        }
        self.counters.messages += 1;
        self.counters.messages_malformed += 1;
        if self.allowance.take(now) && self.phase == Phase::In {
            self.answer_request(
                0,
                proto::request_response::Reason::UnsupportedType,
                "Messages are binary here (protobuf); JSON text is not read.",
            );
        }
    }

    /// Whether the socket is the member's, and that it lives.
    fn hears(&mut self, now: Instant, socket: SocketId) -> bool {
        if self.socket != Some(socket) {
            self.counters.messages_stale += 1;
            return false;
        }
        self.heard = now;
        true
    }

    fn socket_closed(&mut self, now: Instant, socket: SocketId) {
        if self.socket == Some(socket) {
            self.socket = None;
            self.away_since = Some(now);
        }
    }

    fn resume(&mut self, now: Instant, view: View<'_>, socket: SocketId, join: &JoinRequest) {
        if let Some(older) = self.socket.replace(socket) {
            self.output(Output::Close { socket: older });
        }
        self.counters.resumes += 1;
        self.heard = now;
        self.away_since = None;
        self.client = join.client.clone();
        // Before it is in, joining itself tells everything.
        if self.phase != Phase::In {
            return;
        }
        self.welcome_back(now, view);
        for message in std::mem::take(&mut self.held) {
            self.send_on(socket, message);
        }
        match &mut self.receiving {
            Receiving::Slots(slots) => slots.start_over(now),
            Receiving::Offers(offers) => {
                let change = offers.restart(now);
                self.make_offer(view, change);
            }
        }
        if let Some(state) = &join.sync_state {
            self.sync(view, state);
        }
        if let Some(offer) = join.offer.clone() {
            self.offered(now, view, offer);
        }
    }

    fn keep_time(&mut self, now: Instant, view: View<'_>) {
        if self.phase == Phase::Out {
            return;
        }
        if self.silent_at().is_some_and(|at| now >= at)
            && let Some(socket) = self.socket.take()
        {
            self.output(Output::Close { socket });
            self.away_since = Some(now);
        }
        if self.gone_at().is_some_and(|at| now >= at) {
            self.away_since = None;
            self.give_up(LeaveReason::ConnectionLost);
        }
        if self.connect_by.is_some_and(|at| now >= at) {
            self.connect_by = None;
            self.give_up(LeaveReason::JoinFailure);
        }
        if self.socket.is_some() {
            self.keep_negotiating(now, view);
        }
    }

    fn silent_at(&self) -> Option<Instant> {
        self.socket.map(|_| self.heard + SILENCE_MAX)
    }

    fn gone_at(&self) -> Option<Instant> {
        self.away_since.map(|since| since + GRACE)
    }

    fn send_on(&mut self, socket: SocketId, message: Response) {
        let bytes = proto::SignalResponse {
            message: Some(message),
        }
        .encode_to_vec()
        .into();
        self.output(Output::Send { socket, bytes });
    }

    fn receive_data(&mut self, channel: Channel, bytes: Bytes) {
        if self.phase == Phase::In {
            self.sfu(SfuCommand::SendData {
                session: self.subscriber(),
                channel,
                bytes,
            });
        }
    }

    /// A connection is over for good, so resuming is of no use: who is still there shall come back from scratch.
    pub(crate) fn session_ended(&mut self) {
        self.give_up(LeaveReason::ConnectionLost);
    }
}

/// A bucket of messages that fills up again with time.
struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    fn take(&mut self, now: Instant) -> bool {
        let earned =
            now.duration_since(self.since).as_millis() * u128::from(MESSAGES_PER_SECOND) / 1_000;
        if earned > 0 {
            self.left = self
                .left
                .saturating_add(u32::try_from(earned).unwrap_or(u32::MAX))
                .min(MESSAGES_BURST);
            self.since = now;
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}
