//! The loop of one shard: a plain thread that owns one [`Shard`] and one UDP port, and nothing that can make it wait.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use amphi_shard::{
    CommandId, ConnectionId, Input, JoinRequest, Outcome, Output, RoomSnapshot, Shard, Transport,
};
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TrySendError};
use mio::{Events, Interest, Poll, Token, Waker};
use tokio::sync::{mpsc, oneshot};

use super::tcp::Connections;
use super::udp::{self, UdpPort};
use super::{Overloaded, RoomEvents, ToClient};

const UDP: Token = Token(0);
const WAKE: Token = Token(1);
/// Messages waiting for a shard; more are refused to the sender, and counted.
const QUEUE_MAX: usize = 8_192;
/// Reads in one turn before the channel and timers get their turn.
const READS_PER_TURN: usize = 16;
const MESSAGES_PER_TURN: usize = 256;
/// How often the counters that others see are written.
const STATS_EVERY: Duration = Duration::from_millis(500);

/// What others say to a shard.
pub enum ToShard {
    Datagram {
        transport: Transport,
        source: std::net::SocketAddr,
        destination: std::net::SocketAddr,
        bytes: Bytes,
    },
    Connect {
        connection: ConnectionId,
        join: Box<JoinRequest>,
        to_client: mpsc::Sender<ToClient>,
    },
    Message {
        connection: ConnectionId,
        bytes: Bytes,
    },
    TextMessage {
        connection: ConnectionId,
    },
    Disconnected {
        connection: ConnectionId,
    },
    Command {
        room: String,
        command: amphi_shard::Command,
        reply: Option<oneshot::Sender<Outcome>>,
    },
    List {
        reply: oneshot::Sender<Vec<RoomSnapshot>>,
    },
    Drain,
    Stop,
}

/// The sending end of a shard's queue. Never blocks.
#[derive(Clone)]
pub struct ShardSender {
    queue: Sender<ToShard>,
    waker: Arc<Waker>,
    /// True while the shard has been woken and has not looked yet: one wake-up is enough.
    awake: Arc<AtomicBool>,
    refused: Arc<AtomicU64>,
}

impl ShardSender {
    /// False when the queue is full: the message is dropped and counted.
    pub fn send(&self, message: ToShard) -> bool {
        self.try_send(message).is_ok()
    }

    pub fn try_send(&self, message: ToShard) -> Result<(), Overloaded> {
        match self.queue.try_send(message) {
            Ok(()) => {
                if !self.awake.swap(true, Ordering::AcqRel) {
                    // Failing to wake only delays the message to the shard's next timer.
                    let _ = self.waker.wake();
                }
                Ok(())
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(Overloaded)
            }
        }
    }
}

/// What a shard has done so far. Written by its thread twice a second.
#[derive(Clone, Default, Debug)]
pub struct ShardStats {
    pub shard: amphi_shard::Counters,
    pub udp: udp::Counters,
    /// Messages refused because the shard's queue was full.
    pub queue_refused: u64,
    /// Clients whose socket was closed because they read too slowly.
    pub slow_clients: u64,
}

/// See the module's text.
pub struct ShardThread {
    index: usize,
    shard: Shard,
    port: UdpPort,
    poll: Poll,
    queue: Receiver<ToShard>,
    awake: Arc<AtomicBool>,
    refused: Arc<AtomicU64>,
    tcp: Arc<Connections>,
    events: Arc<dyn RoomEvents>,
    stats: Arc<Mutex<ShardStats>>,
    clients: BTreeMap<ConnectionId, mpsc::Sender<ToClient>>,
    replies: BTreeMap<CommandId, Waiting>,
    next_command: u64,
    slow_clients: u64,
    stopping: bool,
}

enum Waiting {
    Outcome(oneshot::Sender<Outcome>),
    Rooms(oneshot::Sender<Vec<RoomSnapshot>>),
}

impl ShardThread {
    pub fn new(
        index: usize,
        shard: Shard,
        mut port: UdpPort,
        tcp: Arc<Connections>,
        events: Arc<dyn RoomEvents>,
    ) -> io::Result<(Self, ShardSender, Arc<Mutex<ShardStats>>)> {
        let poll = Poll::new()?;
        poll.registry()
            .register(port.source(), UDP, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (queue, receiver) = crossbeam_channel::bounded(QUEUE_MAX);
        let (awake, refused) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let sender = ShardSender {
            queue,
            waker,
            awake: awake.clone(),
            refused: refused.clone(),
        };
        let stats = Arc::new(Mutex::new(ShardStats::default()));
        let thread = Self {
            index,
            shard,
            port,
            poll,
            queue: receiver,
            awake,
            refused,
            tcp,
            events,
            stats: stats.clone(),
            clients: BTreeMap::new(),
            replies: BTreeMap::new(),
            next_command: 0,
            slow_clients: 0,
            stopping: false,
        };
        Ok((thread, sender, stats))
    }

    /// Runs until `ToShard::Stop`.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(8);
        let (mut more_udp, mut more_messages) = (true, true);
        let mut stats_at = Instant::now();
        while !self.stopping {
            let now = Instant::now();
            let next = self
                .shard
                .poll_timeout()
                .unwrap_or(now + STATS_EVERY)
                .min(stats_at);
            let wait = if more_udp || more_messages {
                Duration::ZERO
            } else {
                next.saturating_duration_since(now)
            };
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, shard = self.index, "waiting for the network failed");
                return;
            }
            more_udp |= events.iter().any(|event| event.token() == UDP);
            if more_udp {
                more_udp = self.read_udp();
            }
            more_messages = self.read_messages();
            let now = Instant::now();
            if self.shard.poll_timeout().is_some_and(|at| at <= now) {
                self.shard.handle_input(now, Input::Timeout);
                self.perform_all();
            }
            self.port.flush();
            if now >= stats_at {
                self.write_stats();
                stats_at = now + STATS_EVERY;
            }
        }
        self.port.flush();
    }

    /// True when there may be more.
    fn read_udp(&mut self) -> bool {
        for _ in 0..READS_PER_TURN {
            let now = Instant::now();
            let (shard, mut datagrams) = (&mut self.shard, 0);
            // Outputs wait until the batch is read: a burst then leaves as one run per subscriber.
            let read = self.port.read(|source, destination, bytes| {
                datagrams += 1;
                shard.handle_input(
                    now,
                    Input::Datagram {
                        transport: Transport::Udp,
                        source,
                        destination,
                        bytes,
                    },
                );
            });
            self.perform_all();
            match read {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) => {
                    tracing::warn!(%error, shard = self.index, "reading the media port failed");
                    return false;
                }
            }
        }
        true
    }

    /// True when there may be more.
    fn read_messages(&mut self) -> bool {
        self.awake.store(false, Ordering::Release);
        for _ in 0..MESSAGES_PER_TURN {
            let Ok(message) = self.queue.try_recv() else {
                return false;
            };
            self.take(message);
            self.perform_all();
        }
        true
    }

    fn take(&mut self, message: ToShard) {
        let now = Instant::now();
        match message {
            ToShard::Datagram {
                transport,
                source,
                destination,
                bytes,
            } => {
                self.shard.handle_input(
                    now,
                    Input::Datagram {
                        transport,
                        source,
                        destination,
                        bytes: &bytes,
                    },
                );
            }
            ToShard::Connect {
                connection,
                join,
                to_client,
            } => {
                self.clients.insert(connection, to_client);
                self.shard
                    .handle_input(now, Input::Connect { connection, join });
            }
            ToShard::Message { connection, bytes } => {
                self.shard
                    .handle_input(now, Input::Message { connection, bytes });
            }
            ToShard::TextMessage { connection } => {
                self.shard
                    .handle_input(now, Input::TextMessage { connection });
            }
            ToShard::Disconnected { connection } => {
                self.clients.remove(&connection);
                self.shard
                    .handle_input(now, Input::Disconnected { connection });
            }
            ToShard::Command {
                room,
                command,
                reply,
            } => {
                let id = self.command_id(reply.map(Waiting::Outcome));
                self.shard
                    .handle_input(now, Input::Command { id, room, command });
            }
            ToShard::List { reply } => {
                let id = self.command_id(Some(Waiting::Rooms(reply)));
                self.shard.handle_input(now, Input::List { id });
            }
            ToShard::Drain => self.shard.handle_input(now, Input::Drain),
            ToShard::Stop => self.stopping = true,
        }
    }

    fn command_id(&mut self, waiting: Option<Waiting>) -> CommandId {
        self.next_command += 1;
        let id = CommandId(self.next_command);
        if let Some(waiting) = waiting {
            self.replies.insert(id, waiting);
        }
        id
    }

    fn perform_all(&mut self) {
        while let Some(output) = self.shard.poll_output() {
            self.perform(output);
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Transmit {
                transport: Transport::Udp,
                source,
                destination,
                bytes,
            } => {
                self.port.gather(source, destination, bytes);
            }
            Output::Transmit {
                transport: Transport::Tcp,
                destination,
                bytes,
                ..
            } => {
                self.tcp.send(self.index, destination, bytes);
            }
            Output::Send { connection, bytes } => self.tell(connection, ToClient::Message(bytes)),
            Output::Close { connection } => {
                self.tell(connection, ToClient::Close);
                self.clients.remove(&connection);
            }
            // A requester who has gone away is not waited for.
            Output::Reply { id, outcome } => {
                if let Some(Waiting::Outcome(reply)) = self.replies.remove(&id) {
                    let _ = reply.send(outcome);
                }
            }
            Output::Listed { id, rooms } => {
                if let Some(Waiting::Rooms(reply)) = self.replies.remove(&id) {
                    let _ = reply.send(rooms);
                }
            }
            event @ (Output::StartProgram { .. }
            | Output::ChangeProgram { .. }
            | Output::Program { .. }
            | Output::Caption { .. }
            | Output::StopProgram { .. }
            | Output::Broadcast { .. }
            | Output::Recording { .. }
            | Output::RoomOpened { .. }
            | Output::RoomClosed { .. }
            | Output::RoomFailed { .. }) => self.events.on_output(event),
        }
    }

    /// A client that does not read is closed: nothing may wait for it.
    fn tell(&mut self, connection: ConnectionId, message: ToClient) {
        let Some(client) = self.clients.get(&connection) else {
            return;
        };
        if let Err(mpsc::error::TrySendError::Full(_)) = client.try_send(message) {
            self.slow_clients += 1;
            self.clients.remove(&connection);
        }
    }

    fn write_stats(&self) {
        let mut stats = self.stats.lock().expect("nobody panics while holding it");
        *stats = ShardStats {
            shard: self.shard.counters(),
            udp: self.port.counters,
            queue_refused: self.refused.load(Ordering::Relaxed),
            slow_clients: self.slow_clients,
        };
    }
}
