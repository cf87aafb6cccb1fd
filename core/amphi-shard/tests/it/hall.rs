//! A shard, its clients and a network without loss or delay, in virtual time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use amphi_policy::Grants;
use amphi_policy::token::VideoGrant;
use amphi_shard::{
    Command, CommandId, Config, Connect, ConnectionId, Identity, Input, Outcome, Output, Path,
    Shard, Transport, WallClock,
};
use peer::token::Token;
use peer::{Announcement, Certificate, Channel, Event, Form, Peer, PublicationId};

pub const ROOM: &str = "hall";
/// 20 ms of CELT silence in one frame.
pub const OPUS: &[u8] = &[0xfc, 0xff, 0xfe];
/// A VP8 key frame's header; nobody here decodes it.
pub const VP8_KEY: &[u8] = &[0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01, 0, 0];
/// Likewise of VP9.
pub const VP9_KEY: &[u8] = &[0x82, 0x49, 0x83, 0x42, 0x20, 0x27, 0xf0, 0x16, 0x70, 0];
/// Likewise of AV1: a sequence header for 320 × 180, and a key frame.
pub const AV1_KEY: &[u8] = &[
    0x0a, 11, 0x00, 0x00, 0x00, 0x04, 0x3c, 0xfe, 0xcc, 0xda, 0xf9, 0x00, 0x40, 0x32, 2, 0x10, 7,
];
/// Loud, in -dBov (RFC 6464).
pub const LEVEL: u8 = 20;

pub struct Hall {
    pub shard: Shard,
    pub outputs: Vec<Output>,
    now: Instant,
    clients: Vec<Client>,
    next_command: u64,
}

struct Client {
    peer: Peer,
    connection: ConnectionId,
    address: SocketAddr,
    open: bool,
    events: Vec<Event>,
}

impl Client {
    /// A client of the two-connection form has the next port too.
    fn owns(&self, address: SocketAddr) -> bool {
        address.port() - address.port() % 2 == self.address.port()
    }
}

#[derive(Clone, Copy, PartialEq)]
pub struct Who(usize);

fn server() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7882))
}

pub fn moderator() -> Grants {
    let video = VideoGrant {
        room: Some(ROOM.to_owned()),
        room_admin: true,
        ..VideoGrant::default()
    };
    Grants::from_token(&video, ROOM)
}

impl Hall {
    #[expect(
        clippy::disallowed_methods,
        reason = "a first instant to count from; time in here is added to it"
    )]
    pub fn new() -> Self {
        let now = Instant::now();
        let shard = Shard::new(Config {
            seed: 1,
            wall: WallClock {
                at: now,
                unix_ms: 1_800_000_000_000,
            },
            udp_candidates: vec![server()],
            tcp_candidates: Vec::new(),
            identity: Identity::new(),
        });
        Self {
            shard,
            outputs: Vec::new(),
            now,
            clients: Vec::new(),
            next_command: 0,
        }
    }

    pub fn join(&mut self, identity: &str, form: Form, grants: &[&str]) -> Who {
        let index = self.clients.len();
        let address = SocketAddr::from(([127, 0, 0, 1], 40_000 + 2 * index as u16));
        let peer = Peer::new(
            self.now,
            peer::Config::new(form, address, Certificate::new()),
        );
        let mut token = Token::dev(ROOM, identity, 1_800_000_000);
        for grant in grants {
            token = token.grant(grant, true);
        }
        let token = token.sign();
        let url = peer.request().url("ws://127.0.0.1", &token);
        let (path, query) = url
            .trim_start_matches("ws://127.0.0.1")
            .split_once('?')
            .expect("a query");
        let path = if path == "/rtc/v1" {
            Path::V1
        } else {
            Path::V0
        };
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let connect = Connect::parse(path, pairs).expect("our own request");
        let keys = amphi_policy::token::Keys::new([("devkey".to_owned(), "secret".to_owned())]);
        let claims =
            amphi_policy::token::verify(&token, &keys, 1_800_000_000).expect("our own token");
        let join = Box::new(connect.join(&claims).expect("a token that may enter"));
        let connection = ConnectionId(index as u64 + 1);
        self.clients.push(Client {
            peer,
            connection,
            address,
            open: true,
            events: Vec::new(),
        });
        self.clients[index]
            .peer
            .handle_input(self.now, peer::Input::SocketOpened);
        self.input(Input::Connect { connection, join });
        Who(index)
    }

    pub fn publish(&mut self, who: Who, announcement: Announcement) -> PublicationId {
        let id = self.clients[who.0].peer.publish(self.now, announcement);
        self.settle();
        id
    }

    pub fn write(
        &mut self,
        who: Who,
        id: PublicationId,
        frame: &[u8],
        rtp_time: u32,
        level: Option<u8>,
    ) {
        self.clients[who.0]
            .peer
            .write_frame(self.now, id, None, frame, rtp_time, level);
        self.settle();
    }

    pub fn send_data(&mut self, who: Who, channel: Channel, bytes: &[u8]) {
        assert!(
            self.clients[who.0]
                .peer
                .send_data(self.now, channel, "topic", bytes, &[]),
            "the channel is open"
        );
        self.settle();
    }

    pub fn leave(&mut self, who: Who) {
        self.clients[who.0].peer.leave(self.now);
        self.settle();
    }

    pub fn drain(&mut self) {
        self.input(Input::Drain);
    }

    /// A datagram from somebody who is nobody.
    pub fn noise(&mut self, bytes: &[u8]) {
        let source = SocketAddr::from(([127, 0, 0, 1], 1));
        self.input(Input::Datagram {
            transport: Transport::Udp,
            source,
            destination: server(),
            bytes,
        });
    }

    pub fn command(&mut self, command: Command) -> Outcome {
        self.next_command += 1;
        let id = CommandId(self.next_command);
        self.input(Input::Command {
            id,
            room: ROOM.to_owned(),
            command,
        });
        let reply = self.outputs.iter().rev().find_map(|output| match output {
            Output::Reply { id: of, outcome } if *of == id => Some(outcome.clone()),
            _ => None,
        });
        reply.expect("every command is answered in its own step")
    }

    pub fn events(&self, who: Who) -> &[Event] {
        &self.clients[who.0].events
    }

    pub fn program(&self) -> impl Iterator<Item = &amphi_studio::Input> {
        self.outputs.iter().filter_map(|output| match output {
            Output::Program { input, .. } => Some(input),
            _ => None,
        })
    }

    /// Lets time pass, from timer to timer.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.settle();
        loop {
            let timers = self
                .clients
                .iter()
                .filter_map(|client| client.peer.poll_timeout());
            let next = timers
                .chain(self.shard.poll_timeout())
                .min()
                .unwrap_or(end)
                .max(self.now);
            if next > end {
                break;
            }
            // A timer that stays where it is must not stop the clock.
            self.now = if next == self.now {
                self.now + Duration::from_millis(1)
            } else {
                next
            };
            if self.now > end {
                break;
            }
            for index in 0..self.clients.len() {
                if self.clients[index]
                    .peer
                    .poll_timeout()
                    .is_some_and(|at| at <= self.now)
                {
                    self.clients[index]
                        .peer
                        .handle_input(self.now, peer::Input::Timeout);
                }
            }
            if self.shard.poll_timeout().is_some_and(|at| at <= self.now) {
                self.shard.handle_input(self.now, Input::Timeout);
            }
            self.settle();
        }
        self.now = end;
    }

    fn input(&mut self, input: Input<'_>) {
        self.shard.handle_input(self.now, input);
        self.settle();
    }

    /// Carries everything to where it goes until nobody has anything to say.
    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(output) = self.shard.poll_output() {
                quiet = false;
                self.deliver(output);
            }
            for index in 0..self.clients.len() {
                while let Some(output) = self.clients[index].peer.poll_output() {
                    quiet = false;
                    self.take(index, output);
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn deliver(&mut self, output: Output) {
        match output {
            Output::Transmit {
                source,
                destination,
                bytes,
                ..
            } => {
                if let Some(client) = self
                    .clients
                    .iter_mut()
                    .find(|client| client.owns(destination))
                {
                    client.peer.handle_input(
                        self.now,
                        peer::Input::Datagram {
                            source,
                            destination,
                            bytes: &bytes,
                        },
                    );
                }
            }
            Output::Send { connection, bytes } => {
                if let Some(client) = self
                    .clients
                    .iter_mut()
                    .find(|client| client.connection == connection)
                {
                    client
                        .peer
                        .handle_input(self.now, peer::Input::SocketMessage(&bytes));
                }
            }
            Output::Close { connection } => {
                if let Some(client) = self
                    .clients
                    .iter_mut()
                    .find(|client| client.connection == connection)
                {
                    client.open = false;
                    client
                        .peer
                        .handle_input(self.now, peer::Input::SocketClosed);
                }
            }
            kept => self.outputs.push(kept),
        }
    }

    fn take(&mut self, index: usize, output: peer::Output) {
        let connection = self.clients[index].connection;
        match output {
            peer::Output::SocketSend(bytes) if self.clients[index].open => {
                self.shard
                    .handle_input(self.now, Input::Message { connection, bytes });
            }
            peer::Output::SocketSend(_) => {}
            peer::Output::SocketClose => {
                self.clients[index].open = false;
                self.shard
                    .handle_input(self.now, Input::Disconnected { connection });
            }
            peer::Output::Transmit {
                source,
                destination,
                bytes,
            } => self.shard.handle_input(
                self.now,
                Input::Datagram {
                    transport: Transport::Udp,
                    source,
                    destination,
                    bytes: &bytes,
                },
            ),
            peer::Output::Event(event) => self.clients[index].events.push(event),
        }
    }
}
