//! Plays a scenario: one shard, its clients, the network between them, from timer to timer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use amphi_policy::token::{Keys, VideoGrant, verify};
use amphi_policy::{Change, Grants, SourceSet};
use amphi_shard::{
    Command, CommandId, Config, Connect, ConnectionId, Identity, Input, Output, Path, Shard,
    Transport, WallClock,
};
use peer::protocol::signal_request::Message as Request;
use peer::protocol::signal_response::Message as Response;
use peer::protocol::{SignalRequest, SignalResponse};
use peer::token::{DEV_KEY, DEV_SECRET, Token};
use peer::{Announcement, Certificate, Codec, Event, Kind, Peer, Setting, Sid, Source};
use prost::Message as _;

use crate::call::{Act, BUSY, QUIET, Scenario};
use crate::client::{Client, Published};
use crate::frame::{PARAMETER_SET_BYTES_MAX, coded, read_stamp, stamp};
use crate::model::{Media, MediaFacts, Model, Stay};
use crate::network::{Lane, Network};
use crate::random::Random;

/// What day it is in there, in unix seconds.
const TODAY_S: u64 = 1_800_000_000;
/// How long after a socket broke its client opens another one.
const REOPEN_AFTER: Duration = Duration::from_millis(800);
/// Whoever has to get something has got it within this time before the end.
const FRESH: Duration = Duration::from_secs(2);
/// Ends a world that stands still.
const ROUNDS_MAX: u64 = 20_000_000;

/// What came of a scenario.
#[derive(Debug)]
pub struct Outcome {
    /// What should not have been, in words. Empty when all is well.
    pub violations: Vec<String>,
    pub packets_arrived: u64,
    pub datagrams_lost: u64,
    pub stays: usize,
    pub publications: usize,
    /// Pairs of a receiver and a publication that had to work at the end.
    pub expected_at_end: usize,
    /// The house's own counters, those that are not zero.
    pub counted: String,
}

/// Plays the scenario of this seed to its end.
pub fn run(seed: u64) -> Outcome {
    run_with(seed, None)
}

/// A house that does not do what it is told, to see that the model notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    IgnoresMutes,
    IgnoresUnsubscribing,
    IgnoresLostGrants,
    /// Nobody is told who came and went.
    TellsNobody,
    /// From the end of the busy time on.
    ForwardsNothingInTheEnd,
    TellsPublishersToRest,
}

pub fn run_with(seed: u64, sabotage: Option<Sabotage>) -> Outcome {
    let mut world = World::new(Scenario::new(seed));
    world.sabotage = sabotage;
    world.play();
    world.judge()
}

/// What will happen.
enum Happening {
    Act(usize),
    /// A datagram reaches the house; `stamp` says which packet of which publication it carries.
    Datagram {
        source: SocketAddr,
        destination: SocketAddr,
        bytes: Vec<u8>,
        stamp: Option<(Media, u32)>,
    },
    DatagramDown {
        stay: Stay,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: Vec<u8>,
    },
    Connect {
        stay: Stay,
        connection: ConnectionId,
        join: Box<amphi_shard::JoinRequest>,
    },
    Message {
        stay: Stay,
        connection: ConnectionId,
        bytes: Vec<u8>,
    },
    Disconnect {
        connection: ConnectionId,
    },
    MessageDown {
        stay: Stay,
        connection: ConnectionId,
        bytes: Vec<u8>,
    },
    CloseDown {
        stay: Stay,
        connection: ConnectionId,
    },
    Reopen {
        stay: Stay,
    },
    Frame {
        stay: Stay,
        publication: usize,
    },
    Calm,
}

struct World {
    start: Instant,
    now: Instant,
    scenario: Scenario,
    shard: Shard,
    network: Network,
    model: Model,
    clients: Vec<Client>,
    queue: BTreeMap<(Instant, u64), Happening>,
    order: u64,
    connections: BTreeMap<ConnectionId, Stay>,
    next_media: u32,
    next_command: u64,
    certificate: Certificate,
    sabotage: Option<Sabotage>,
}

impl World {
    fn new(scenario: Scenario) -> Self {
        // A first instant to count from; nothing in here looks at the clock again. It lies so far back that the world
        // ends before today: sctp-proto 0.10 counts the time of its first retransmission from the real clock
        // (`Endpoint::connect`), so a world that runs ahead of it would send every INIT twice at once, and an INIT that
        // comes late ends an association there (it should be answered, RFC 9260 §5.2.2).
        let start = Instant::now() - 2 * (BUSY + QUIET);
        let random = Random::new(scenario.seed);
        let shard = Shard::new(Config {
            seed: scenario.seed,
            wall: WallClock {
                at: start,
                unix_ms: (TODAY_S * 1_000) as i64,
            },
            udp_candidates: vec![house()],
            tcp_candidates: Vec::new(),
            identity: Identity::new(),
        });
        let mut world = Self {
            start,
            now: start,
            shard,
            network: Network::new(random.branch(1)),
            model: Model::default(),
            clients: Vec::new(),
            queue: BTreeMap::new(),
            order: 0,
            connections: BTreeMap::new(),
            next_media: 0,
            next_command: 0,
            certificate: Certificate::new(),
            sabotage: None,
            scenario,
        };
        for index in 0..world.scenario.steps.len() {
            world.happen(
                start + world.scenario.steps[index].at,
                Happening::Act(index),
            );
        }
        world.happen(start + BUSY, Happening::Calm);
        world
    }

    fn happen(&mut self, at: Instant, what: Happening) {
        self.order += 1;
        self.queue.insert((at, self.order), what);
    }

    fn play(&mut self) {
        let end = self.start + BUSY + QUIET;
        for _ in 0..ROUNDS_MAX {
            let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
            let clients = self.clients.iter().filter(|client| !client.gone);
            let timers = clients
                .filter_map(|client| client.peer.poll_timeout())
                .chain(self.shard.poll_timeout());
            // A timer that stays in the past must not stop the clock.
            let timer = timers
                .min()
                .map(|at| at.max(self.now + Duration::from_micros(100)));
            let Some(next) = queued
                .into_iter()
                .chain(timer)
                .min()
                .filter(|next| *next <= end)
            else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            while let Some(entry) = self
                .queue
                .first_entry()
                .filter(|entry| entry.key().0 <= self.now)
            {
                let what = entry.remove();
                self.perform(what);
            }
            if self.shard.poll_timeout().is_some_and(|at| at <= self.now) {
                self.shard.handle_input(self.now, Input::Timeout);
                self.drain_shard();
            }
            for index in 0..self.clients.len() {
                let client = &mut self.clients[index];
                if !client.gone && client.peer.poll_timeout().is_some_and(|at| at <= self.now) {
                    client.peer.handle_input(self.now, peer::Input::Timeout);
                    self.drain_client(Stay(index), None);
                }
            }
        }
        self.model
            .violations
            .push(format!("time stands still at {:?}", self.now - self.start));
    }

    fn perform(&mut self, what: Happening) {
        match what {
            Happening::Act(index) => self.act(index),
            Happening::Datagram {
                source,
                destination,
                bytes,
                stamp,
            } => {
                if let Some((media, number)) = stamp {
                    self.model.reached(self.now, media, number);
                }
                let transport = Transport::Udp;
                self.shard.handle_input(
                    self.now,
                    Input::Datagram {
                        transport,
                        source,
                        destination,
                        bytes: &bytes,
                    },
                );
                self.drain_shard();
            }
            Happening::DatagramDown {
                stay,
                source,
                destination,
                bytes,
            } => {
                self.with_client(stay, |client, now| {
                    client.peer.handle_input(
                        now,
                        peer::Input::Datagram {
                            source,
                            destination,
                            bytes: &bytes,
                        },
                    );
                });
            }
            Happening::Connect {
                stay,
                connection,
                join,
            } => self.connect(stay, connection, join),
            Happening::Message {
                stay,
                connection,
                bytes,
            } => {
                self.note_request(stay, &bytes);
                if self.is_kept_from_the_house(&bytes) {
                    return;
                }
                self.shard.handle_input(
                    self.now,
                    Input::Message {
                        connection,
                        bytes: bytes.into(),
                    },
                );
                self.drain_shard();
            }
            Happening::Disconnect { connection } => {
                self.shard
                    .handle_input(self.now, Input::Disconnected { connection });
                self.drain_shard();
            }
            Happening::MessageDown {
                stay,
                connection,
                bytes,
            } => self.with_client(stay, |client, now| {
                if client.connection == connection && client.open {
                    client
                        .peer
                        .handle_input(now, peer::Input::SocketMessage(&bytes));
                }
            }),
            Happening::CloseDown { stay, connection } => self.with_client(stay, |client, now| {
                if client.connection == connection {
                    // The house closes for good: who wants to stay is told to come back before.
                    client.open = false;
                    client.gone = true;
                    client.peer.handle_input(now, peer::Input::SocketClosed);
                }
            }),
            Happening::Reopen { stay } => {
                if !self.clients[stay.0].gone {
                    self.clients[stay.0].peer.resume();
                    self.open_socket(stay);
                }
            }
            Happening::Frame { stay, publication } => self.frame(stay, publication),
            Happening::Calm => self.network.calm(),
        }
    }

    fn act(&mut self, index: usize) {
        let step = self.scenario.steps[index].clone();
        let person = step.person;
        if step.act == Act::Join {
            self.join(person);
            return;
        }
        let Some(stay) = self.stay_of(person) else {
            return;
        };
        let now = self.now;
        match step.act {
            Act::Join => {}
            Act::Publish(source, codec) => self.publish(stay, source, codec),
            Act::Unpublish(source) => {
                let Some(publication) = self.publication_of(stay, source) else {
                    return;
                };
                let (media, id) = (publication.media, publication.id);
                publication.ended = true;
                self.model.unpublished(media);
                self.with_client(stay, |client, now| client.peer.unpublish(now, id));
            }
            Act::Mute(source, muted) => {
                let Some(id) = self
                    .publication_of(stay, source)
                    .map(|publication| publication.id)
                else {
                    return;
                };
                self.with_client(stay, |client, now| client.peer.mute(now, id, muted));
            }
            Act::Subscribe { whose, source, on } => {
                let Some(track) = self.track_of(whose, source) else {
                    return;
                };
                self.with_client(stay, |client, now| client.peer.subscribe(now, &[track], on));
            }
            Act::Pause {
                whose,
                source,
                paused,
            } => {
                let Some(track) = self.track_of(whose, source) else {
                    return;
                };
                let setting = Setting {
                    disabled: paused,
                    quality: 2,
                    width: 0,
                    height: 0,
                };
                self.with_client(stay, |client, now| {
                    client.peer.set_track(now, &[track], setting)
                });
            }
            Act::Grant { source, on } => {
                let Some(stay) = self.present_stay(person) else {
                    return;
                };
                self.model.grant(now, stay, source, on);
                let denied = &self.model.stays[&stay].denied;
                let sources = SourceSet {
                    camera: !denied.contains_key(&Source::Camera),
                    microphone: !denied.contains_key(&Source::Microphone),
                    screen: !denied.contains_key(&Source::Screen),
                    screen_audio: true,
                };
                self.change_grants(
                    person,
                    Change {
                        sources: Some(Some(sources)),
                        ..Change::default()
                    },
                );
            }
            Act::GrantSubscribing(on) => {
                let Some(stay) = self.present_stay(person) else {
                    return;
                };
                self.model.grant_subscribing(now, stay, on);
                self.change_grants(
                    person,
                    Change {
                        can_subscribe: Some(on),
                        ..Change::default()
                    },
                );
            }
            Act::Remove => {
                let Some(stay) = self.present_stay(person) else {
                    return;
                };
                self.model.end(now, stay);
                let by = moderator(self.scenario.people[person].room);
                self.command(
                    person,
                    Command::RemoveMember {
                        by,
                        identity: identity(person),
                    },
                );
            }
            Act::Leave => {
                let client = &mut self.clients[stay.0];
                // Without a socket the goodbye would not be heard, and the house would wait for the page to come back.
                if !client.open {
                    return;
                }
                client.gone = true;
                client.peer.leave(now);
                self.drain_client(stay, None);
            }
            Act::CutSocket => {
                let client = &mut self.clients[stay.0];
                if !client.open || client.peer.member().is_none() {
                    return;
                }
                client.open = false;
                let connection = client.connection;
                client.peer.handle_input(now, peer::Input::SocketClosed);
                // What was announced and not answered yet is lost, as far as the page can know.
                let publications = client.peer.publications();
                for own in client
                    .publications
                    .iter_mut()
                    .filter(|own| publications[own.id.0 as usize].track.is_none())
                {
                    own.ended = true;
                    own.lost = true;
                    self.model.unsure(own.media);
                }
                self.drain_client(stay, None);
                let at = self
                    .network
                    .arrival(now, Lane::SocketUp(stay.0))
                    .unwrap_or(now);
                self.happen(at, Happening::Disconnect { connection });
                self.happen(now + REOPEN_AFTER, Happening::Reopen { stay });
            }
        }
    }

    fn join(&mut self, person: usize) {
        let about = self.scenario.people[person];
        // Who joins again has lost their old page: it says nothing more.
        if let Some(stay) = self.stay_of(person) {
            self.clients[stay.0].gone = true;
            self.clients[stay.0].open = false;
        }
        let stay = Stay(self.clients.len());
        self.network.add(about.weather);
        let address = SocketAddr::from(([10, 0, 0, 2], 10_000 + 2 * stay.0 as u16));
        let config = peer::Config::new(about.form, address, self.certificate.clone());
        let peer = Peer::new(self.now, config);
        self.clients.push(Client {
            person,
            room: about.room,
            peer,
            connection: ConnectionId(0),
            open: false,
            gone: false,
            publications: Vec::new(),
        });
        self.open_socket(stay);
    }

    /// Opens a client's socket, with the request that it has to make.
    fn open_socket(&mut self, stay: Stay) {
        let client = &mut self.clients[stay.0];
        let connection = ConnectionId(self.connections.len() as u64 + 1);
        self.connections.insert(connection, stay);
        client.connection = connection;
        client.open = true;
        let token = Token::dev(&room(client.room), &identity(client.person), TODAY_S).sign();
        let url = client.peer.request().url("", &token);
        let (path, query) = url.split_once('?').expect("a request has a query");
        let path = if path == "/rtc/v1" {
            Path::V1
        } else {
            Path::V0
        };
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let connect = Connect::parse(path, pairs).expect("our own request can be read");
        let keys = Keys::new([(DEV_KEY.to_owned(), DEV_SECRET.to_owned())]);
        let claims = verify(&token, &keys, TODAY_S).expect("our own token is good");
        let join = Box::new(connect.join(&claims).expect("our own token lets in"));
        let at = self
            .network
            .arrival(self.now, Lane::SocketUp(stay.0))
            .expect("sockets lose nothing");
        self.happen(
            at,
            Happening::Connect {
                stay,
                connection,
                join,
            },
        );
        self.with_client(stay, |client, now| {
            client.peer.handle_input(now, peer::Input::SocketOpened)
        });
    }

    fn connect(
        &mut self,
        stay: Stay,
        connection: ConnectionId,
        join: Box<amphi_shard::JoinRequest>,
    ) {
        let client = &self.clients[stay.0];
        let (person, room) = (client.person, client.room);
        if join.resume.is_none() {
            // The older one with the same identity has to go.
            if let Some(older) = self.present_stay(person) {
                self.model.end(self.now, older);
            }
            self.model.join(stay, person, room);
        }
        self.shard
            .handle_input(self.now, Input::Connect { connection, join });
        self.drain_shard();
    }

    fn publish(&mut self, stay: Stay, source: Source, codec: Codec) {
        let mut announcement = match codec.kind() {
            Kind::Audio => Announcement::microphone(),
            Kind::Video => Announcement::camera(codec, 640, 360),
        };
        announcement.source = source;
        let media = Media(self.next_media);
        self.next_media += 1;
        let client = &mut self.clients[stay.0];
        let id = client.peer.publish(self.now, announcement);
        client.publications.push(Published {
            media,
            id,
            source,
            codec,
            frames: 0,
            key_wanted: true,
            unwanted: false,
            ticking: false,
            ended: false,
            lost: false,
        });
        self.drain_client(stay, None);
    }

    /// Sends the next frame of a publication, muted or not: the house is who has to stop it.
    fn frame(&mut self, stay: Stay, publication: usize) {
        let now = self.now;
        let client = &mut self.clients[stay.0];
        let published = &mut client.publications[publication];
        let still = client.peer.publications()[published.id.0 as usize].is_sending();
        if client.gone || published.ended || !still {
            published.ticking = false;
            return;
        }
        let interval = match published.codec.kind() {
            Kind::Audio => Duration::from_millis(20),
            Kind::Video => Duration::from_millis(66),
        };
        // Every other client has dynacast, and its encoder rests.
        if published.unwanted && stay.0.is_multiple_of(2) {
            published.key_wanted = true;
            self.happen(now + interval, Happening::Frame { stay, publication });
            return;
        }
        let (number, media, id) = (published.frames, published.media, published.id);
        published.frames += 1;
        let key = std::mem::take(&mut published.key_wanted) || number.is_multiple_of(300);
        let frame = coded(published.codec, key, &stamp(media, number));
        let (ticks, level) = match published.codec.kind() {
            Kind::Audio => (960, Some(30)),
            Kind::Video => (6_000, None),
        };
        let written = client
            .peer
            .write_frame(now, id, None, &frame, number * ticks, level);
        if written > 0 {
            self.model.sent(now, media, number);
        }
        self.drain_client(stay, Some((media, number)));
        self.happen(now + interval, Happening::Frame { stay, publication });
    }

    /// What a client asks for, when it reaches the house.
    fn note_request(&mut self, stay: Stay, bytes: &[u8]) {
        let now = self.now;
        let Ok(SignalRequest {
            message: Some(message),
        }) = SignalRequest::decode(bytes)
        else {
            return;
        };
        match message {
            Request::AddTrack(request) => {
                let fits = |published: &&Published| {
                    request.cid == format!("peer-track-{}", published.id.0)
                };
                if let Some(published) = self.clients[stay.0].publications.iter().find(fits) {
                    self.model.announced(
                        now,
                        published.media,
                        stay,
                        published.source,
                        request.muted,
                    );
                    if published.lost {
                        self.model.unsure(published.media);
                    } else if published.ended {
                        self.model.unpublished(published.media);
                    }
                }
            }
            Request::Mute(mute) => self.model.mute(now, &mute.sid, mute.muted),
            Request::Subscription(subscription) => {
                for track in &subscription.track_sids {
                    self.model.want(now, stay, track, subscription.subscribe);
                }
            }
            Request::TrackSetting(setting) => {
                for track in &setting.track_sids {
                    self.model.pause(now, stay, track, setting.disabled);
                }
            }
            Request::Leave(_) => self.model.end(now, stay),
            _ => {}
        }
    }

    fn drain_shard(&mut self) {
        while let Some(output) = self.shard.poll_output() {
            match output {
                Output::Transmit {
                    source,
                    destination,
                    bytes,
                    ..
                } => {
                    let stay = Stay(usize::from(destination.port().saturating_sub(10_000)) / 2);
                    if stay.0 >= self.clients.len() {
                        self.model
                            .violations
                            .push(format!("a datagram to nobody, {destination}"));
                        continue;
                    }
                    let is_media = bytes
                        .first()
                        .is_some_and(|first| (128..192).contains(first));
                    let is_over = self.now >= self.start + BUSY;
                    if self.sabotage == Some(Sabotage::ForwardsNothingInTheEnd)
                        && is_media
                        && is_over
                    {
                        continue;
                    }
                    if let Some(at) = self.network.arrival(self.now, Lane::DatagramDown(stay.0)) {
                        let bytes = bytes.to_vec();
                        self.happen(
                            at,
                            Happening::DatagramDown {
                                stay,
                                source,
                                destination,
                                bytes,
                            },
                        );
                    }
                }
                Output::Send { connection, bytes } => {
                    let Some(stay) = self.connections.get(&connection).copied() else {
                        continue;
                    };
                    self.note_response(stay, &bytes);
                    if self.is_kept_from_the_client(&bytes) {
                        continue;
                    }
                    let at = self
                        .network
                        .arrival(self.now, Lane::SocketDown(stay.0))
                        .expect("sockets lose nothing");
                    self.happen(
                        at,
                        Happening::MessageDown {
                            stay,
                            connection,
                            bytes: bytes.to_vec(),
                        },
                    );
                }
                Output::Close { connection } => {
                    let Some(stay) = self.connections.get(&connection).copied() else {
                        continue;
                    };
                    let at = self
                        .network
                        .arrival(self.now, Lane::SocketDown(stay.0))
                        .expect("sockets lose nothing");
                    self.happen(at, Happening::CloseDown { stay, connection });
                }
                Output::RoomFailed { room } => {
                    self.model.violations.push(format!("the room {room} broke"))
                }
                Output::Reply { .. }
                | Output::Listed { .. }
                | Output::StartProgram { .. }
                | Output::ChangeProgram { .. }
                | Output::Program { .. }
                | Output::Caption { .. }
                | Output::StopProgram { .. }
                | Output::Broadcast { .. }
                | Output::Recording { .. }
                | Output::RoomOpened { .. }
                | Output::RoomClosed { .. } => {}
            }
        }
    }

    fn is_kept_from_the_house(&self, bytes: &[u8]) -> bool {
        let Some(sabotage) = self.sabotage else {
            return false;
        };
        let Ok(SignalRequest {
            message: Some(message),
        }) = SignalRequest::decode(bytes)
        else {
            return false;
        };
        match sabotage {
            Sabotage::IgnoresMutes => matches!(message, Request::Mute(_)),
            Sabotage::IgnoresUnsubscribing => {
                matches!(message, Request::Subscription(subscription) if !subscription.subscribe)
            }
            Sabotage::IgnoresLostGrants
            | Sabotage::TellsNobody
            | Sabotage::ForwardsNothingInTheEnd
            | Sabotage::TellsPublishersToRest => false,
        }
    }

    fn is_kept_from_the_client(&self, bytes: &[u8]) -> bool {
        self.sabotage == Some(Sabotage::TellsNobody)
            && matches!(
                SignalResponse::decode(bytes),
                Ok(SignalResponse {
                    message: Some(Response::Update(_))
                })
            )
    }

    /// The house names a publication.
    fn note_response(&mut self, stay: Stay, bytes: &[u8]) {
        let Ok(SignalResponse {
            message: Some(Response::TrackPublished(published)),
        }) = SignalResponse::decode(bytes)
        else {
            return;
        };
        let fits = |own: &&Published| published.cid == format!("peer-track-{}", own.id.0);
        let media = self.clients[stay.0]
            .publications
            .iter()
            .find(fits)
            .map(|own| own.media);
        if let (Some(media), Some(track)) = (media, published.track) {
            self.model.named(media, &track.sid);
        }
    }

    fn with_client(&mut self, stay: Stay, act: impl FnOnce(&mut Client, Instant)) {
        if !self.clients[stay.0].gone {
            act(&mut self.clients[stay.0], self.now);
            self.drain_client(stay, None);
        }
    }

    fn drain_client(&mut self, stay: Stay, stamp: Option<(Media, u32)>) {
        while let Some(output) = self.clients[stay.0].peer.poll_output() {
            let now = self.now;
            match output {
                peer::Output::Transmit {
                    source,
                    destination,
                    bytes,
                } => {
                    if let Some(at) = self.network.arrival(now, Lane::DatagramUp(stay.0)) {
                        let bytes = bytes.to_vec();
                        self.happen(
                            at,
                            Happening::Datagram {
                                source,
                                destination,
                                bytes,
                                stamp,
                            },
                        );
                    }
                }
                peer::Output::SocketSend(bytes) if self.clients[stay.0].open => {
                    let connection = self.clients[stay.0].connection;
                    let at = self
                        .network
                        .arrival(now, Lane::SocketUp(stay.0))
                        .expect("sockets lose nothing");
                    self.happen(
                        at,
                        Happening::Message {
                            stay,
                            connection,
                            bytes: bytes.to_vec(),
                        },
                    );
                }
                // A page without a socket loses what it wants to say; coming back, it says how things stand.
                peer::Output::SocketSend(_) => {}
                peer::Output::SocketClose => {
                    let connection = self.clients[stay.0].connection;
                    let at = self
                        .network
                        .arrival(now, Lane::SocketUp(stay.0))
                        .expect("sockets lose nothing");
                    self.happen(at, Happening::Disconnect { connection });
                }
                peer::Output::Event(event) => self.note(stay, event),
            }
        }
    }

    fn note(&mut self, stay: Stay, event: Event) {
        let now = self.now;
        match event {
            Event::Rtp(rtp) => match read_stamp(&rtp.payload) {
                Some((media, number)) => self.model.arrived(now, stay, media, number),
                // Parameter sets of H.264 travel in packets of their own.
                None if rtp.payload.len() <= PARAMETER_SET_BYTES_MAX => {}
                None => self
                    .model
                    .violations
                    .push(format!("{stay:?} got a packet that nobody made")),
            },
            Event::Sending { publication } => {
                let client = &mut self.clients[stay.0];
                let own = client
                    .publications
                    .iter()
                    .position(|own| own.id == publication);
                if let Some(index) = own.filter(|index| !client.publications[*index].ticking) {
                    client.publications[index].ticking = true;
                    self.happen(
                        now,
                        Happening::Frame {
                            stay,
                            publication: index,
                        },
                    );
                }
            }
            Event::KeyFrameRequest { publication, .. } => {
                if let Some(own) = self.clients[stay.0].own(publication) {
                    own.key_wanted = true;
                }
            }
            Event::Demand { publication, most } => {
                if let Some(own) = self.clients[stay.0].own(publication) {
                    own.unwanted = most.is_none();
                }
            }
            Event::FirstSubscriber { publication }
                if self.sabotage == Some(Sabotage::TellsPublishersToRest) =>
            {
                if let Some(own) = self.clients[stay.0].own(publication) {
                    own.unwanted = true;
                }
            }
            Event::Unpublished { publication } => {
                if let Some(own) = self.clients[stay.0].own(publication) {
                    own.ended = true;
                    let media = own.media;
                    if self
                        .model
                        .media
                        .get(&media)
                        .is_some_and(|facts| facts.dead.is_none() && !facts.ended)
                    {
                        self.model.violations.push(format!(
                            "{media:?} of {stay:?} was taken away for no reason"
                        ));
                    }
                }
            }
            Event::Left(leave) => {
                if self
                    .model
                    .stays
                    .get(&stay)
                    .is_none_or(|facts| facts.over.is_none())
                {
                    self.model.violations.push(format!(
                        "{stay:?} was sent away for no reason: {leave:?} at {:?}",
                        now - self.start
                    ));
                }
                self.clients[stay.0].gone = true;
            }
            // A connection that the house closes half-way through its handshakes says so.
            Event::Failed(reason) if !self.is_over(stay) => {
                self.model
                    .violations
                    .push(format!("{stay:?} cannot go on: {reason}"));
            }
            Event::Disconnected(connection)
                if !self.clients[stay.0].gone && !self.is_over(stay) =>
            {
                let at = now - self.start;
                self.model.violations.push(format!(
                    "{stay:?} lost its {connection:?} connection at {at:?}"
                ));
            }
            _ => {}
        }
    }

    fn is_over(&self, stay: Stay) -> bool {
        self.model
            .stays
            .get(&stay)
            .is_some_and(|facts| facts.over.is_some())
    }

    fn change_grants(&mut self, person: usize, change: Change) {
        if self.sabotage == Some(Sabotage::IgnoresLostGrants) {
            return;
        }
        let by = moderator(self.scenario.people[person].room);
        self.command(
            person,
            Command::ChangeGrants {
                by,
                identity: identity(person),
                change,
            },
        );
    }

    fn command(&mut self, person: usize, command: Command) {
        self.next_command += 1;
        let id = CommandId(self.next_command);
        let room = room(self.scenario.people[person].room);
        self.shard
            .handle_input(self.now, Input::Command { id, room, command });
        self.drain_shard();
    }

    /// The page that a person has open.
    fn stay_of(&self, person: usize) -> Option<Stay> {
        let open = |client: &&Client| client.person == person && !client.gone;
        let index = self.clients.iter().rposition(|client| open(&client))?;
        Some(Stay(index))
    }

    /// The stay of a person that the house knows of.
    fn present_stay(&self, person: usize) -> Option<Stay> {
        let mut stays = self.model.stays.iter();
        stays
            .find(|(_, facts)| facts.person == person && facts.over.is_none())
            .map(|(stay, _)| *stay)
    }

    fn publication_of(&mut self, stay: Stay, source: Source) -> Option<&mut Published> {
        let publications = self.clients[stay.0].publications.iter_mut().rev();
        publications
            .filter(|own| own.source == source && !own.ended)
            .find(|_| true)
    }

    fn track_of(&mut self, person: usize, source: Source) -> Option<Sid> {
        let stay = self.stay_of(person)?;
        let media = self.publication_of(stay, source)?.media;
        self.model.media.get(&media)?.track.as_deref().map(Sid::new)
    }

    /// What has to be true at the end.
    fn judge(mut self) -> Outcome {
        let mut violations = std::mem::take(&mut self.model.violations);
        let expected = self.model.expected();
        for (stay, media) in &expected {
            let last = self.model.last_arrival.get(&(*stay, *media)).copied();
            if last.is_none_or(|last| last + FRESH < self.now) {
                let facts = &self.model.media[media];
                let age = last.map(|last| self.now - last);
                let standing = self.standing(*stay, *media);
                violations.push(format!(
                    "{stay:?} gets nothing of {media:?} ({:?} of {:?}): the last packet came {age:?} ago; {standing}",
                    facts.source, facts.stay
                ));
            }
        }
        for (index, client) in self.clients.iter().enumerate() {
            let stay = Stay(index);
            let present = self
                .model
                .stays
                .get(&stay)
                .is_some_and(|facts| facts.over.is_none());
            if client.gone {
                continue;
            }
            if !present {
                violations.push(format!(
                    "{stay:?} thinks it is in a room which it is not in"
                ));
                continue;
            }
            let others: BTreeSet<usize> = self
                .model
                .present(client.room)
                .into_iter()
                .filter(|person| *person != client.person)
                .collect();
            let seen = client
                .peer
                .members()
                .values()
                .filter_map(|info| info.identity.strip_prefix("person-"));
            let seen: BTreeSet<usize> = seen.filter_map(|number| number.parse().ok()).collect();
            if seen != others {
                violations.push(format!(
                    "{stay:?} sees {seen:?} in the room, but {others:?} are there"
                ));
            }
            let told = client
                .peer
                .members()
                .values()
                .flat_map(|info| &info.tracks)
                .map(|info| info.sid.clone());
            let told: BTreeSet<String> = told.collect();
            let there = self.model.media.values().filter(|facts| {
                let of = &self.model.stays[&facts.stay];
                facts.dead.is_none() && !facts.ended && of.room == client.room && facts.stay != stay
            });
            let tracks = |of: Vec<&MediaFacts>| -> BTreeSet<String> {
                of.into_iter()
                    .filter_map(|facts| facts.track.clone())
                    .collect()
            };
            let (unsure, sure): (Vec<&MediaFacts>, Vec<&MediaFacts>) =
                there.partition(|facts| facts.unsure);
            let (unsure, sure) = (tracks(unsure), tracks(sure));
            let told: BTreeSet<String> = told.difference(&unsure).cloned().collect();
            if told != sure {
                violations.push(format!(
                    "{stay:?} was told of the tracks {told:?}, but there are {sure:?}"
                ));
            }
        }
        Outcome {
            violations,
            packets_arrived: self.model.arrivals,
            datagrams_lost: self.network.datagrams_lost,
            stays: self.clients.len(),
            publications: self.model.media.len(),
            expected_at_end: expected.len(),
            counted: self.counted(),
        }
    }

    fn counted(&self) -> String {
        let counters = self.shard.counters();
        let parts = [
            ("door", counters.door.list().collect::<Vec<_>>()),
            ("sfu", counters.sfu.list().collect()),
            ("room", counters.room.list().collect()),
            ("signal", counters.signal.list().collect()),
        ];
        let all = parts
            .iter()
            .flat_map(|(part, list)| list.iter().map(move |(name, value)| (part, name, value)));
        let some = all.filter(|(_, _, value)| **value > 0);
        some.map(|(part, name, value)| format!("{part} {name} {value}"))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// For who has to find out why something did not arrive.
    fn standing(&self, stay: Stay, media: Media) -> String {
        let facts = &self.model.media[&media];
        let publisher = &self.clients[facts.stay.0];
        let own = publisher.publications.iter().find(|own| own.media == media);
        let sending = own.map(|own| {
            (
                own.codec,
                own.frames,
                publisher.peer.publications()[own.id.0 as usize].is_sending(),
            )
        });
        let receiver = &self.clients[stay.0];
        let track = facts.track.as_deref().map(Sid::new);
        let subscribed = track
            .as_ref()
            .is_some_and(|track| receiver.peer.subscribed().any(|sid| sid == track));
        let form = |client: &Client| self.scenario.people[client.person].form;
        format!(
            "publisher {:?} (codec, frames, sending) {sending:?}, receiver {:?} has a line for it: {subscribed}, {:?}",
            form(publisher),
            form(receiver),
            receiver.peer.counters()
        )
    }
}

fn house() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 7_882))
}

fn room(number: usize) -> String {
    format!("room-{number}")
}

fn identity(person: usize) -> String {
    format!("person-{person}")
}

fn moderator(number: usize) -> Grants {
    let video = VideoGrant {
        room: Some(room(number)),
        room_admin: true,
        ..VideoGrant::default()
    };
    Grants::from_token(&video, &room(number))
}
