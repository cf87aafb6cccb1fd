//! One room with everything that belongs to it, and how values travel between its parts.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use amphi_media::{MemberId, SessionId};
use amphi_policy::Action;
use amphi_room::{Denied, LeaveReason, RequestId, Room, Settings};
use amphi_sfu::{Sfu, Transport};
use amphi_signal::{Entry, RoomFacts, SfuAudience, Signal, SocketId, View};

use crate::stage::{Change, Stage};
use crate::{
    Command, CommandId, ConnectionId, JoinRequest, MemberSnapshot, Outcome, Output, RoomSnapshot,
};

/// What a room tells its shard besides outputs.
pub(crate) enum News {
    Output(Output),
    Credentials {
        session: SessionId,
        ufrag: String,
    },
    PathVerified {
        session: SessionId,
        transport: Transport,
        source: SocketAddr,
    },
    SessionClosed {
        session: SessionId,
    },
}

/// Numbers for new members and sessions, unique within the shard.
#[derive(Default)]
pub(crate) struct Ids {
    members: u64,
    sessions: u64,
}

impl Ids {
    fn member(&mut self) -> MemberId {
        self.members += 1;
        MemberId(self.members)
    }

    fn session(&mut self) -> SessionId {
        self.sessions += 1;
        SessionId(self.sessions)
    }
}

/// What waits for its turn inside one input. Every chain ends: a part answers what it is told, and tells others only
/// of what changed.
enum Work {
    Room(amphi_room::Input),
    Sfu(amphi_signal::SfuCommand),
    Data {
        to: Vec<MemberId>,
        packet: amphi_signal::Packet,
    },
    Tell {
        to: amphi_signal::Audience,
        from: MemberId,
        news: amphi_signal::News,
    },
}

/// See the module's text.
pub(crate) struct Cell {
    name: String,
    room: Room,
    sfu: Sfu,
    signals: BTreeMap<MemberId, Signal>,
    owners: BTreeMap<SessionId, MemberId>,
    facts: RoomFacts,
    /// Some while a program runs.
    stage: Option<Stage>,
    work: VecDeque<Work>,
    news: VecDeque<News>,
    /// The earliest timeout of all signals; none: to be looked up again.
    signals_timeout: Option<Option<Instant>>,
    /// Numbers of members that have left.
    past_signals: amphi_signal::Counters,
}

impl Cell {
    pub(crate) fn new(name: &str, sfu: Sfu, facts: RoomFacts) -> Self {
        Self {
            name: name.to_owned(),
            room: Room::new(Settings::default()),
            sfu,
            signals: BTreeMap::new(),
            owners: BTreeMap::new(),
            facts,
            stage: None,
            work: VecDeque::new(),
            news: VecDeque::new(),
            signals_timeout: None,
            past_signals: amphi_signal::Counters::default(),
        }
    }

    pub(crate) fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    pub(crate) fn poll_timeout(&mut self) -> Option<Instant> {
        let signals = *self
            .signals_timeout
            .get_or_insert_with(|| self.signals.values().filter_map(Signal::poll_timeout).min());
        [signals, self.room.poll_timeout(), self.sfu.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Nobody is in and nothing runs.
    pub(crate) fn is_over(&self) -> bool {
        self.room.is_empty() && self.signals.is_empty()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn datagram(
        &mut self,
        now: Instant,
        session: SessionId,
        transport: Transport,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) {
        self.sfu.handle_input(
            now,
            amphi_sfu::Input::Datagram {
                session,
                transport,
                source,
                destination,
                bytes,
            },
        );
        self.drain_sfu(now);
        self.run(now);
    }

    /// A client came. The member that its socket belongs to from now on, if any.
    pub(crate) fn connect(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        join: JoinRequest,
        ids: &mut Ids,
    ) -> Option<MemberId> {
        let socket = SocketId(connection.0);
        let member = match amphi_signal::find_resumed(
            &join,
            View {
                room: &self.room,
                facts: &self.facts,
            },
        ) {
            Entry::Resume(member) => {
                self.signal(
                    now,
                    member,
                    amphi_signal::Input::Resume {
                        socket,
                        join: &join,
                    },
                );
                member
            }
            Entry::CannotResume => {
                let bytes = amphi_signal::cannot_resume();
                self.output(Output::Send { connection, bytes });
                self.output(Output::Close { connection });
                return None;
            }
            Entry::Join => {
                let (member, sessions) = (ids.member(), [ids.session(), ids.session()]);
                for session in sessions {
                    self.owners.insert(session, member);
                }
                let joining = join.joining.clone();
                self.signals
                    .insert(member, Signal::new(now, member, socket, sessions, join));
                self.signals_timeout = None;
                self.work
                    .push_back(Work::Room(amphi_room::Input::Join { member, joining }));
                member
            }
        };
        self.run(now);
        self.signals.contains_key(&member).then_some(member)
    }

    /// Something about a client's socket.
    pub(crate) fn socket(
        &mut self,
        now: Instant,
        member: MemberId,
        input: amphi_signal::Input<'_>,
    ) {
        self.signal(now, member, input);
        self.run(now);
    }

    pub(crate) fn command(&mut self, now: Instant, id: CommandId, command: Command) {
        let request = RequestId(id.0);
        let input = match command {
            Command::Snapshot => {
                let snapshot = Box::new(self.snapshot());
                self.reply(id, Outcome::Snapshot(snapshot));
                return;
            }
            Command::StartBroadcast { by, wish } => {
                amphi_room::Input::StartBroadcast { request, by, wish }
            }
            Command::ChangeProgram { by, change } => amphi_room::Input::ChangeProgram {
                request,
                by,
                change,
            },
            Command::StopBroadcast { by } => amphi_room::Input::StopBroadcast { request, by },
            Command::StartRecording { by } => amphi_room::Input::StartRecording { request, by },
            Command::StopRecording { by } => amphi_room::Input::StopRecording { request, by },
            Command::ChangeGrants {
                by,
                identity,
                change,
            } => {
                if let Err(refusal) = by.allows(Action::Moderate) {
                    return self.reply(id, Outcome::Refused(refusal));
                }
                let Some(member) = self.room.member_by_identity(&identity) else {
                    return self.reply(id, Outcome::NotFound);
                };
                let (member, grants) = (member.id, member.grants.changed(&change));
                self.reply(id, Outcome::Done);
                amphi_room::Input::GrantsChanged { member, grants }
            }
            Command::RemoveMember { by, identity } => {
                if let Err(refusal) = by.allows(Action::Moderate) {
                    return self.reply(id, Outcome::Refused(refusal));
                }
                let Some(member) = self
                    .room
                    .member_by_identity(&identity)
                    .map(|member| member.id)
                else {
                    return self.reply(id, Outcome::NotFound);
                };
                self.reply(id, Outcome::Done);
                amphi_room::Input::Leave {
                    member,
                    reason: LeaveReason::Removed,
                }
            }
            Command::Configure(settings) => {
                self.reply(id, Outcome::Done);
                amphi_room::Input::SettingsChanged(settings)
            }
            Command::RequestKeyFrame { track } => {
                self.sfu
                    .handle_input(now, amphi_sfu::Input::RequestKeyFrame { track });
                self.drain_sfu(now);
                self.reply(id, Outcome::Done);
                return self.run(now);
            }
            Command::WantSize { track, size } => {
                self.sfu
                    .handle_input(now, amphi_sfu::Input::FrameSize { track, size });
                self.drain_sfu(now);
                self.reply(id, Outcome::Done);
                return self.run(now);
            }
            Command::TakeLayers { track, on } => {
                self.sfu
                    .handle_input(now, amphi_sfu::Input::TakeLayers { track, on });
                self.drain_sfu(now);
                self.reply(id, Outcome::Done);
                return self.run(now);
            }
            Command::ProgramFailed { reason } => {
                self.reply(id, Outcome::Done);
                amphi_room::Input::ProgramFailed { reason }
            }
        };
        self.work.push_back(Work::Room(input));
        self.run(now);
    }

    /// Everybody is sent away, to come back later.
    pub(crate) fn drain(&mut self, now: Instant) {
        let members: Vec<MemberId> = self.room.members().map(|member| member.id).collect();
        for member in members {
            self.work.push_back(Work::Room(amphi_room::Input::Leave {
                member,
                reason: LeaveReason::ServerShutdown,
            }));
        }
        self.run(now);
    }

    pub(crate) fn timeout(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.room.poll_timeout()) {
            self.work.push_back(Work::Room(amphi_room::Input::Timeout));
        }
        if due(self.sfu.poll_timeout()) {
            self.sfu.handle_input(now, amphi_sfu::Input::Timeout);
            self.drain_sfu(now);
        }
        let members: Vec<MemberId> = self
            .signals
            .iter()
            .filter(|(_, signal)| due(signal.poll_timeout()))
            .map(|(member, _)| *member)
            .collect();
        for member in members {
            self.signal(now, member, amphi_signal::Input::Timeout);
        }
        self.run(now);
    }

    pub(crate) fn snapshot(&self) -> RoomSnapshot {
        let members = self
            .room
            .members()
            .filter(|member| !member.hidden())
            .map(|member| {
                let sends = |source| {
                    member
                        .tracks
                        .iter()
                        .filter_map(|track| self.room.track(*track))
                        .any(|track| track.announced.source == source && !track.announced.muted)
                };
                MemberSnapshot {
                    member: member.id,
                    identity: member.identity.clone(),
                    name: member.name.clone(),
                    camera: sends(amphi_media::Source::Camera),
                    microphone: sends(amphi_media::Source::Microphone),
                    screen: sends(amphi_media::Source::Screen),
                }
            });
        RoomSnapshot {
            room: self.name.clone(),
            title: self.room.settings().title.clone(),
            members: members.collect(),
            broadcast: self
                .room
                .broadcast()
                .map(|broadcast| broadcast.wish.clone()),
            recording: self.room.recording().is_some(),
            failure: self.room.failure().map(str::to_owned),
        }
    }

    /// Adds what this room has done, and what it holds, to `sum`.
    pub(crate) fn count(&self, sum: &mut crate::Counters) {
        sum.rooms += 1;
        sum.members += self.room.members().count();
        sum.tracks += self.room.tracks().count();
        let sfu = self.sfu.counters();
        sum.sessions += usize::try_from(sfu.sessions_opened - sfu.sessions_closed).unwrap_or(0);
        sum.room.add(self.room.counters());
        sum.sfu.add(self.sfu.counters());
        sum.signal.add(&self.past_signals);
        for signal in self.signals.values() {
            sum.signal.add(signal.counters());
        }
    }

    fn run(&mut self, now: Instant) {
        while let Some(work) = self.work.pop_front() {
            match work {
                Work::Room(input) => {
                    self.room.handle_input(now, input);
                    self.drain_room(now);
                }
                Work::Sfu(command) => {
                    if let amphi_signal::SfuCommand::CloseSession { session } = &command {
                        self.owners.remove(session);
                        self.news
                            .push_back(News::SessionClosed { session: *session });
                    }
                    self.sfu.handle_input(now, command.as_input());
                    self.drain_sfu(now);
                }
                Work::Data { to, packet } => {
                    for member in to {
                        self.signal(now, member, amphi_signal::Input::Data(&packet));
                    }
                }
                Work::Tell { to, from, news } => {
                    for member in self.members(to).into_iter().filter(|member| {
                        *member != from || matches!(to, amphi_signal::Audience::Everybody)
                    }) {
                        self.signal(now, member, amphi_signal::Input::News(&news));
                    }
                }
            }
        }
    }

    fn drain_room(&mut self, now: Instant) {
        while let Some(output) = self.room.poll_output() {
            self.perform_room(now, &output);
            for member in self.members(amphi_signal::audience(&output, &self.room)) {
                self.signal(now, member, amphi_signal::Input::Room(&output));
            }
            if let amphi_room::Output::Left { member, .. }
            | amphi_room::Output::JoinRefused { member, .. } = output
            {
                self.forget(member);
            }
        }
        self.follow_stage(now);
    }

    /// What an output of the room asks of the other parts and of the shell.
    fn perform_room(&mut self, now: Instant, output: &amphi_room::Output) {
        use amphi_room::Output as Room;
        match output {
            Room::StopTrack { track, .. } => {
                self.sfu
                    .handle_input(now, amphi_sfu::Input::StopTrack { track: *track });
                self.drain_sfu(now);
            }
            Room::SetMuted { track, muted } => {
                self.sfu.handle_input(
                    now,
                    amphi_sfu::Input::Mute {
                        track: *track,
                        muted: *muted,
                    },
                );
                self.drain_sfu(now);
            }
            Room::StartProgram { wish } => {
                self.stage = Some(Stage::default());
                let wish = wish.clone();
                self.output_named(|room| Output::StartProgram { room, wish });
            }
            Room::ChangeProgram { wish } => {
                let wish = wish.clone();
                self.output_named(|room| Output::ChangeProgram { room, wish });
            }
            Room::StopProgram => self.stop_program(now),
            Room::BroadcastStarted { .. } => {
                self.output_named(|room| Output::Broadcast { room, on: true })
            }
            Room::BroadcastStopped { .. } => {
                self.output_named(|room| Output::Broadcast { room, on: false })
            }
            Room::RecordingStarted => {
                self.output_named(|room| Output::Recording { room, on: true })
            }
            Room::RecordingStopped { .. } => {
                self.output_named(|room| Output::Recording { room, on: false })
            }
            Room::Reply { request, result } => {
                let outcome = match result {
                    Ok(()) => Outcome::Done,
                    Err(Denied::Refused(refusal)) => Outcome::Refused(*refusal),
                    Err(Denied::Unavailable(words) | Denied::Limit(words)) => {
                        Outcome::Unavailable(words.clone())
                    }
                };
                self.reply(CommandId(request.0), outcome);
            }
            Room::Joined { .. }
            | Room::JoinRefused { .. }
            | Room::MemberChanged { .. }
            | Room::Left { .. }
            | Room::Published { .. }
            | Room::PublishRefused { .. }
            | Room::Subscribed { .. }
            | Room::Unsubscribed { .. }
            | Room::SubscribeRefused { .. }
            | Room::SubscribingLet { .. }
            | Room::GrantsChanged { .. }
            | Room::Refused { .. }
            | Room::Described { .. }
            | Room::Empty => {}
        }
    }

    fn drain_sfu(&mut self, now: Instant) {
        while let Some(output) = self.sfu.poll_output() {
            match amphi_signal::sfu_audience(&output) {
                SfuAudience::Session(session) => {
                    if let Some(member) = self.owners.get(&session).copied() {
                        self.signal(now, member, amphi_signal::Input::Sfu(&output));
                    }
                }
                SfuAudience::Everybody => {
                    for member in self.members(amphi_signal::Audience::Everybody) {
                        self.signal(now, member, amphi_signal::Input::Sfu(&output));
                    }
                }
                SfuAudience::Nobody => {}
            }
            self.perform_sfu(output);
        }
    }

    fn perform_sfu(&mut self, output: amphi_sfu::Output) {
        use amphi_sfu::Output as Sfu;
        match output {
            Sfu::Transmit {
                transport,
                source,
                destination,
                bytes,
            } => {
                self.output(Output::Transmit {
                    transport,
                    source,
                    destination,
                    bytes,
                });
            }
            Sfu::Credentials { session, ufrag } => {
                self.news.push_back(News::Credentials { session, ufrag })
            }
            Sfu::PathVerified {
                session,
                transport,
                source,
            } => {
                self.news.push_back(News::PathVerified {
                    session,
                    transport,
                    source,
                });
            }
            Sfu::TrackLive { track, codec } => {
                self.work
                    .push_back(Work::Room(amphi_room::Input::TrackLive { track, codec }));
            }
            Sfu::Frame(frame) if self.stage.is_some() => {
                self.output_named(|room| Output::Program {
                    room,
                    input: amphi_studio::Input::Frame(frame),
                });
            }
            Sfu::Speakers(_) if self.stage.is_some() => self.tell_speakers(),
            Sfu::Frame(_)
            | Sfu::Speakers(_)
            | Sfu::Answer { .. }
            | Sfu::Offer { .. }
            | Sfu::SdpRefused { .. }
            | Sfu::Connected { .. }
            | Sfu::Interrupted { .. }
            | Sfu::Ended { .. }
            | Sfu::ChannelOpen { .. }
            | Sfu::Data { .. }
            | Sfu::TrackSilent { .. }
            | Sfu::Layers { .. }
            | Sfu::StreamState { .. }
            | Sfu::Demand { .. }
            | Sfu::Quality { .. } => {}
        }
    }

    /// Gives one signal an input and queues what it answers.
    fn signal(&mut self, now: Instant, member: MemberId, input: amphi_signal::Input<'_>) {
        let Some(signal) = self.signals.get_mut(&member) else {
            return;
        };
        self.signals_timeout = None;
        signal.handle_input(
            now,
            View {
                room: &self.room,
                facts: &self.facts,
            },
            input,
        );
        while let Some(output) = signal.poll_output() {
            match output {
                amphi_signal::Output::Send { socket, bytes } => {
                    self.news.push_back(News::Output(Output::Send {
                        connection: ConnectionId(socket.0),
                        bytes,
                    }));
                }
                amphi_signal::Output::Close { socket } => {
                    self.news.push_back(News::Output(Output::Close {
                        connection: ConnectionId(socket.0),
                    }));
                }
                amphi_signal::Output::Room(input) => self.work.push_back(Work::Room(input)),
                amphi_signal::Output::Sfu(command) => self.work.push_back(Work::Sfu(command)),
                amphi_signal::Output::Data { to, packet } => {
                    self.work.push_back(Work::Data { to, packet })
                }
                amphi_signal::Output::Caption(caption) => {
                    if self.stage.is_some() {
                        let room = self.name.clone();
                        self.news
                            .push_back(News::Output(Output::Caption { room, caption }));
                    }
                }
                amphi_signal::Output::Tell { to, news } => {
                    self.work.push_back(Work::Tell {
                        to,
                        from: member,
                        news,
                    });
                }
            }
        }
    }

    fn members(&self, audience: amphi_signal::Audience) -> Vec<MemberId> {
        use amphi_signal::Audience;
        match audience {
            Audience::Nobody => Vec::new(),
            Audience::One(member) => vec![member],
            Audience::Two(one, other) if one == other => vec![one],
            Audience::Two(one, other) => vec![one, other],
            Audience::Everybody => self.signals.keys().copied().collect(),
        }
    }

    fn forget(&mut self, member: MemberId) {
        let Some(signal) = self.signals.remove(&member) else {
            return;
        };
        self.past_signals.add(signal.counters());
        self.signals_timeout = None;
        // A signal closes the sessions that it opened; both numbers were kept for it.
        for session in signal.sessions() {
            self.owners.remove(&session);
        }
    }

    /// Tells a running program what changed on stage, and takes frames of what it shows and lets hear.
    fn follow_stage(&mut self, now: Instant) {
        let Some(stage) = &mut self.stage else { return };
        let changes = stage.changes(&self.room);
        if changes.is_empty() {
            return;
        }
        let mut has_new = false;
        for change in changes {
            let (input, frames) = match change {
                Change::Track { track, new } => {
                    has_new |= new;
                    let frames = new.then_some(amphi_sfu::Input::TakeFrames {
                        track: track.track,
                        on: true,
                    });
                    (amphi_studio::Input::Track(track), frames)
                }
                Change::Gone { track } => (
                    amphi_studio::Input::TrackGone { track },
                    Some(amphi_sfu::Input::TakeFrames { track, on: false }),
                ),
            };
            self.output_named(|room| Output::Program { room, input });
            if let Some(frames) = frames {
                self.sfu.handle_input(now, frames);
            }
        }
        self.drain_sfu(now);
        if has_new {
            // Steady speech is told of once: before the program began, or knew the track.
            self.tell_speakers();
        }
    }

    fn tell_speakers(&mut self) {
        let levels = (self.sfu.speakers().iter())
            .map(|speaker| (speaker.track, speaker.level))
            .collect();
        self.output_named(|room| Output::Program {
            room,
            input: amphi_studio::Input::Speakers(levels),
        });
    }

    fn stop_program(&mut self, now: Instant) {
        for track in self
            .stage
            .take()
            .map(|mut stage| stage.clear())
            .unwrap_or_default()
        {
            self.sfu
                .handle_input(now, amphi_sfu::Input::TakeFrames { track, on: false });
        }
        self.drain_sfu(now);
        self.output_named(|room| Output::StopProgram { room });
    }

    fn reply(&mut self, id: CommandId, outcome: Outcome) {
        self.output(Output::Reply { id, outcome });
    }

    fn output_named(&mut self, output: impl FnOnce(String) -> Output) {
        let room = self.name.clone();
        self.output(output(room));
    }

    fn output(&mut self, output: Output) {
        self.news.push_back(News::Output(output));
    }
}
