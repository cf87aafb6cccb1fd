use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use amphi_media::MemberId;
use amphi_sfu::{Identity, Sfu, Transport};
use amphi_signal::{RoomFacts, SocketId, WallClock};

use crate::cell::{Cell, Ids, News};
use crate::demux::Demux;
use crate::{
    Command, CommandId, ConnectionId, Counters, DoorCounters, Input, JoinRequest, Outcome, Output,
    RoomKey,
};

/// Rooms on one shard. A client who would open one more is sent away, and counted.
const ROOMS_MAX: usize = 10_000;

/// What a shard is made with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Everything that has to differ between runs comes from it.
    pub seed: u64,
    /// What time it is, for what people and clients are told.
    pub wall: WallClock,
    /// Where clients reach this shard. A datagram that arrived elsewhere (an address behind a 1:1 NAT) counts as
    /// arrived at the first of its family.
    pub udp_candidates: Vec<SocketAddr>,
    pub tcp_candidates: Vec<SocketAddr>,
    pub identity: Identity,
}

/// The rooms of one thread.
///
/// **After every [`Shard::handle_input`], call [`Shard::poll_output`] until it returns none, then ask
/// [`Shard::poll_timeout`] when to come back with [`Input::Timeout`].** Several datagrams of one read may go in before
/// outputs are taken: then what goes to one subscriber leaves in one run.
pub struct Shard {
    config: Config,
    rooms: BTreeMap<RoomKey, Cell>,
    by_name: BTreeMap<String, RoomKey>,
    members: BTreeMap<ConnectionId, (RoomKey, MemberId)>,
    demux: Demux,
    timers: BTreeSet<(Instant, RoomKey)>,
    timer_of: BTreeMap<RoomKey, Instant>,
    outputs: VecDeque<Output>,
    ids: Ids,
    next_room: u64,
    draining: bool,
    door: DoorCounters,
    /// Numbers of rooms that are closed.
    past: Counters,
}

impl Shard {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            rooms: BTreeMap::new(),
            by_name: BTreeMap::new(),
            members: BTreeMap::new(),
            demux: Demux::default(),
            timers: BTreeSet::new(),
            timer_of: BTreeMap::new(),
            outputs: VecDeque::new(),
            ids: Ids::default(),
            next_room: 0,
            draining: false,
            door: DoorCounters::default(),
            past: Counters::default(),
        }
    }

    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Datagram {
                transport,
                source,
                destination,
                bytes,
            } => {
                self.datagram(now, transport, source, destination, bytes);
            }
            Input::Connect { connection, join } => self.connect(now, connection, *join),
            Input::Message { connection, bytes } => {
                let socket = SocketId(connection.0);
                self.socket(
                    now,
                    connection,
                    amphi_signal::Input::Message {
                        socket,
                        bytes: &bytes,
                    },
                );
            }
            Input::TextMessage { connection } => {
                let socket = SocketId(connection.0);
                self.socket(now, connection, amphi_signal::Input::Text { socket });
            }
            Input::Disconnected { connection } => {
                let socket = SocketId(connection.0);
                self.socket(
                    now,
                    connection,
                    amphi_signal::Input::SocketClosed { socket },
                );
                self.members.remove(&connection);
            }
            Input::Command { id, room, command } => self.command(now, id, &room, command),
            Input::List { id } => {
                let rooms = self.rooms.values().map(Cell::snapshot).collect();
                self.outputs.push_back(Output::Listed { id, rooms });
            }
            Input::Drain => {
                self.draining = true;
                for key in self.rooms.keys().copied().collect::<Vec<_>>() {
                    self.with(key, |cell, _| cell.drain(now));
                }
            }
            Input::Timeout => self.timeout(now),
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    pub fn counters(&self) -> Counters {
        let mut sum = Counters {
            door: self.door,
            ..self.past
        };
        for cell in self.rooms.values() {
            cell.count(&mut sum);
        }
        sum
    }

    fn datagram(
        &mut self,
        now: Instant,
        transport: Transport,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) {
        let place = match amphi_sfu::stun::local_ufrag(bytes) {
            Some(ufrag) => {
                let place = self.demux.by_ufrag(ufrag);
                if place.is_none() {
                    self.door.dropped_unknown_ufrag += 1;
                }
                place
            }
            None => {
                let place = self.demux.by_path(transport, source);
                if place.is_none() {
                    self.door.dropped_unknown_source += 1;
                }
                place
            }
        };
        let Some((key, session)) = place else { return };
        let destination = self.candidate(transport, destination);
        self.with(key, |cell, _| {
            cell.datagram(now, session, transport, source, destination, bytes)
        });
    }

    fn connect(&mut self, now: Instant, connection: ConnectionId, join: JoinRequest) {
        if self.draining {
            self.door.refused_draining += 1;
            self.outputs.push_back(Output::Close { connection });
            return;
        }
        let Some(key) = self.open(&join.room) else {
            self.door.refused_full += 1;
            self.outputs.push_back(Output::Close { connection });
            return;
        };
        let member = self
            .with(key, |cell, ids| cell.connect(now, connection, join, ids))
            .flatten();
        if let Some(member) = member {
            self.members.insert(connection, (key, member));
        }
    }

    fn socket(&mut self, now: Instant, connection: ConnectionId, input: amphi_signal::Input<'_>) {
        let Some((key, member)) = self.members.get(&connection).copied() else {
            self.door.dropped_unknown_connection += 1;
            return;
        };
        self.with(key, |cell, _| cell.socket(now, member, input));
    }

    fn command(&mut self, now: Instant, id: CommandId, room: &str, command: Command) {
        match self.by_name.get(room).copied() {
            Some(key) => {
                if self
                    .with(key, |cell, _| cell.command(now, id, command))
                    .is_none()
                {
                    let outcome =
                        Outcome::Unavailable("This room has just been closed.".to_owned());
                    self.outputs.push_back(Output::Reply { id, outcome });
                }
            }
            None => self.outputs.push_back(Output::Reply {
                id,
                outcome: Outcome::NotFound,
            }),
        }
    }

    fn timeout(&mut self, now: Instant) {
        while let Some((at, key)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            self.with(key, |cell, _| cell.timeout(now));
            // A room whose timer stays in the past would hold the others up; it gets its next turn with the next input.
            if self.timer_of.get(&key) == Some(&at) {
                break;
            }
        }
    }

    /// The room with this name, opened if it is not there.
    fn open(&mut self, name: &str) -> Option<RoomKey> {
        if let Some(key) = self.by_name.get(name) {
            return Some(*key);
        }
        if self.rooms.len() >= ROOMS_MAX {
            return None;
        }
        self.next_room += 1;
        let key = RoomKey(self.next_room);
        let mut config = amphi_sfu::Config::new(self.config.identity.clone());
        config
            .udp_candidates
            .clone_from(&self.config.udp_candidates);
        config
            .tcp_candidates
            .clone_from(&self.config.tcp_candidates);
        let facts = RoomFacts::new(name, mixed(self.config.seed, key.0), self.config.wall);
        self.rooms
            .insert(key, Cell::new(name, Sfu::new(config), facts));
        self.by_name.insert(name.to_owned(), key);
        self.door.rooms_opened += 1;
        self.outputs.push_back(Output::RoomOpened {
            room: name.to_owned(),
        });
        Some(key)
    }

    /// Lets one room do something, takes what it says, and closes it when it is over or broken. None when it broke or
    /// is not there.
    fn with<T>(&mut self, key: RoomKey, act: impl FnOnce(&mut Cell, &mut Ids) -> T) -> Option<T> {
        let cell = self.rooms.get_mut(&key)?;
        let ids = &mut self.ids;
        // A panic is our bug. It must not take other rooms with it, so this one is closed with all that is in it; what
        // it left half done is dropped with it.
        let result = catch_unwind(AssertUnwindSafe(|| {
            let result = act(cell, ids);
            (result, cell.poll_timeout())
        }));
        let Ok((result, timeout)) = result else {
            self.fail(key);
            return None;
        };
        while let Some(news) = self.rooms.get_mut(&key).and_then(Cell::poll_news) {
            self.take(key, news);
        }
        self.set_timer(key, timeout);
        if self.rooms.get(&key).is_some_and(Cell::is_over) {
            self.close(key);
            self.door.rooms_closed += 1;
        }
        Some(result)
    }

    fn take(&mut self, key: RoomKey, news: News) {
        match news {
            News::Output(Output::Close { connection }) => {
                self.members.remove(&connection);
                self.outputs.push_back(Output::Close { connection });
            }
            News::Output(output) => self.outputs.push_back(output),
            News::Credentials { session, ufrag } => self.demux.learn_ufrag((key, session), ufrag),
            News::PathVerified {
                session,
                transport,
                source,
            } => {
                self.demux.learn_path((key, session), transport, source);
            }
            News::SessionClosed { session } => self.demux.forget_session(session),
        }
    }

    /// The room broke: its clients are let go, and may join again.
    fn fail(&mut self, key: RoomKey) {
        self.door.rooms_failed += 1;
        let name = self
            .rooms
            .get(&key)
            .map(|cell| cell.name().to_owned())
            .unwrap_or_default();
        let connections: Vec<ConnectionId> = self
            .members
            .iter()
            .filter(|(_, (room, _))| *room == key)
            .map(|(connection, _)| *connection)
            .collect();
        for connection in connections {
            self.members.remove(&connection);
            self.outputs.push_back(Output::Close { connection });
        }
        self.outputs
            .push_back(Output::StopProgram { room: name.clone() });
        self.outputs.push_back(Output::RoomFailed { room: name });
        self.close(key);
    }

    fn close(&mut self, key: RoomKey) {
        self.set_timer(key, None);
        self.demux.forget_room(key);
        let Some(cell) = self.rooms.remove(&key) else {
            return;
        };
        let mut done = Counters::default();
        cell.count(&mut done);
        self.past.room.add(&done.room);
        self.past.sfu.add(&done.sfu);
        self.past.signal.add(&done.signal);
        self.by_name.remove(cell.name());
        self.outputs.push_back(Output::RoomClosed {
            room: cell.name().to_owned(),
        });
    }

    fn set_timer(&mut self, key: RoomKey, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.timer_of.insert(key, at),
            None => self.timer_of.remove(&key),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.timers.remove(&(before, key));
        }
        if let Some(at) = at {
            self.timers.insert((at, key));
        }
    }

    /// The address of ours that the client used, as it knows it.
    fn candidate(&self, transport: Transport, destination: SocketAddr) -> SocketAddr {
        let candidates = match transport {
            Transport::Udp => &self.config.udp_candidates,
            Transport::Tcp => &self.config.tcp_candidates,
        };
        if candidates.contains(&destination) {
            return destination;
        }
        let same_family = candidates
            .iter()
            .find(|candidate| candidate.is_ipv4() == destination.is_ipv4());
        same_family.copied().unwrap_or(destination)
    }
}

/// A number for one room that does not tell another's (SplitMix64, Steele et al. 2014).
fn mixed(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
