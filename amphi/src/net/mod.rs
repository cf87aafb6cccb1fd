//! The way in and out of the shards: sockets on one side, [`House`] on the other.
//!
//! A shard is one plain thread ([`thread`]) with one UDP port ([`udp`]); a room lives whole on one shard, chosen by its
//! name. ICE-TCP ([`tcp`]) and everything of HTTP run on the tokio runtime and talk to shards by bounded queues.

pub mod tcp;
mod thread;
mod udp;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use amphi_media::TrackId;
use amphi_shard::{
    Command, ConnectionId, JoinRequest, Outcome, Output, RoomSnapshot, Shard, WallClock,
};
use anyhow::Context;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

pub use thread::ShardStats;
use thread::{ShardSender, ShardThread, ToShard};
use udp::UdpPort;

/// Messages waiting for one client's socket; a client that lets them pile up is closed.
const CLIENT_QUEUE_MAX: usize = 512;

/// Where media is taken in.
#[derive(Clone, Debug)]
pub struct Config {
    /// Shard i listens on `udp.port() + i`; port 0 lets the system choose.
    pub udp: SocketAddr,
    /// Addresses that clients are told, without a port; empty: the one bound to.
    pub advertise: Vec<std::net::IpAddr>,
    pub shards: usize,
}

/// Who is told what happens in rooms. Called on shard threads: must not block.
pub trait RoomEvents: Send + Sync {
    /// One of the outputs that concern a program, a recording, or a room's opening and closing.
    fn on_output(&self, output: Output);
}

/// What a client's socket gets.
#[derive(Debug)]
pub enum ToClient {
    Message(Bytes),
    Close,
}

/// A shard's queue is full, or the server is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server has too much to do; try again in a moment")]
pub struct Overloaded;

/// All shards, as the rest of the shell sees them.
#[derive(Clone)]
pub struct House(Arc<Inner>);

struct Inner {
    shards: Vec<ShardSender>,
    stats: Vec<Arc<Mutex<ShardStats>>>,
    tcp: Arc<tcp::Connections>,
    udp_addresses: Vec<SocketAddr>,
    next_connection: AtomicU64,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the shards and their sockets have done so far.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub shards: Vec<ShardStats>,
    pub tcp_accepted: u64,
    pub tcp_refused_full: u64,
    pub tcp_closed_unclaimed: u64,
    pub tcp_dropped_full: u64,
}

/// One client's socket, as the shard sees it. Dropping it tells the shard that the socket is gone.
pub struct Connection {
    pub incoming: mpsc::Receiver<ToClient>,
    sender: ConnectionSender,
}

impl Connection {
    /// A message of the client. An error when the shard has too much to do: close the socket.
    pub fn send(&self, bytes: Bytes) -> Result<(), Overloaded> {
        self.sender.shard.try_send(ToShard::Message {
            connection: self.sender.id,
            bytes,
        })
    }

    /// A text message of the client; what it says is not looked at.
    pub fn send_text(&self) -> Result<(), Overloaded> {
        self.sender.shard.try_send(ToShard::TextMessage {
            connection: self.sender.id,
        })
    }
}

/// See [`Connection`].
struct ConnectionSender {
    id: ConnectionId,
    shard: ShardSender,
}

impl Drop for ConnectionSender {
    fn drop(&mut self) {
        self.shard.send(ToShard::Disconnected {
            connection: self.id,
        });
    }
}

impl House {
    /// Binds the ports and starts the shard threads. `tcp` is the ICE-TCP listener; must run inside a tokio runtime.
    pub fn start(
        config: &Config,
        tcp: tokio::net::TcpListener,
        events: Arc<dyn RoomEvents>,
    ) -> anyhow::Result<Self> {
        let tcp_address = tcp.local_addr().context("asking for the ICE-TCP address")?;
        let tcp_connections = Arc::new(tcp::Connections::default());
        let identity = amphi_shard::Identity::new();
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .context("the system's clock is before 1970")?;
        let wall = WallClock {
            at: Instant::now(),
            unix_ms: i64::try_from(since_1970.as_millis())
                .context("the system's clock is far in the future")?,
        };
        let advertised = |bound: SocketAddr| -> Vec<SocketAddr> {
            if config.advertise.is_empty() {
                return vec![bound];
            }
            config
                .advertise
                .iter()
                .map(|ip| SocketAddr::new(*ip, bound.port()))
                .collect()
        };
        let (mut senders, mut stats, mut threads, mut udp_addresses) =
            (vec![], vec![], vec![], vec![]);
        for index in 0..config.shards.max(1) {
            let mut address = config.udp;
            if address.port() != 0 {
                let port = usize::from(address.port()) + index;
                address.set_port(
                    u16::try_from(port)
                        .context("the UDP ports of all shards must be below 65536")?,
                );
            }
            let port = UdpPort::bind(address, &config.advertise)
                .with_context(|| format!("binding UDP port {address} for media"))?;
            let local = port.local_addr();
            udp_addresses.push(local);
            let shard = Shard::new(amphi_shard::Config {
                seed: rand::random(),
                wall,
                udp_candidates: advertised(local),
                tcp_candidates: advertised(tcp_address),
                identity: identity.clone(),
            });
            let (thread, sender, shard_stats) =
                ShardThread::new(index, shard, port, tcp_connections.clone(), events.clone())
                    .context("preparing a shard")?;
            senders.push(sender);
            stats.push(shard_stats);
            let handle = std::thread::Builder::new()
                .name(format!("shard-{index}"))
                .spawn(move || thread.run())
                .context("starting a shard's thread")?;
            threads.push(handle);
        }
        tokio::spawn(tcp::accept(tcp, tcp_connections.clone(), senders.clone()));
        Ok(Self(Arc::new(Inner {
            shards: senders,
            stats,
            tcp: tcp_connections,
            udp_addresses,
            next_connection: AtomicU64::new(1),
            threads: Mutex::new(threads),
        })))
    }

    /// The UDP ports that media comes in by.
    pub fn udp_addresses(&self) -> &[SocketAddr] {
        &self.0.udp_addresses
    }

    /// A client with a verified token opened its socket.
    pub fn connect(&self, room: &str, join: JoinRequest) -> Result<Connection, Overloaded> {
        let id = ConnectionId(self.0.next_connection.fetch_add(1, Ordering::Relaxed));
        let (to_client, incoming) = mpsc::channel(CLIENT_QUEUE_MAX);
        let shard = self.shard_of(room).clone();
        shard.try_send(ToShard::Connect {
            connection: id,
            join: Box::new(join),
            to_client,
        })?;
        Ok(Connection {
            incoming,
            sender: ConnectionSender { id, shard },
        })
    }

    pub async fn command(&self, room: &str, command: Command) -> Result<Outcome, Overloaded> {
        let (reply, answer) = oneshot::channel();
        self.shard_of(room).try_send(ToShard::Command {
            room: room.to_owned(),
            command,
            reply: Some(reply),
        })?;
        answer.await.map_err(|_| Overloaded)
    }

    /// A command whose outcome nobody waits for. Never blocks; false when the shard has too much to do.
    pub fn tell(&self, room: &str, command: Command) -> bool {
        self.shard_of(room).send(ToShard::Command {
            room: room.to_owned(),
            command,
            reply: None,
        })
    }

    /// Asks for a key frame; never blocks, and is forgotten when the shard has too much to do (the asker asks again).
    pub fn request_key_frame(&self, room: &str, track: TrackId) {
        self.tell(room, Command::RequestKeyFrame { track });
    }

    /// Every room that somebody is in or that is on air, by name.
    pub async fn rooms(&self) -> Result<Vec<RoomSnapshot>, Overloaded> {
        let mut rooms = Vec::new();
        for shard in &self.0.shards {
            let (reply, answer) = oneshot::channel();
            shard.try_send(ToShard::List { reply })?;
            rooms.extend(answer.await.map_err(|_| Overloaded)?);
        }
        rooms.sort_by(|a, b| a.room.cmp(&b.room));
        Ok(rooms)
    }

    /// Tells every member to come back later, and takes nobody in any more.
    pub fn drain(&self) {
        for shard in &self.0.shards {
            shard.send(ToShard::Drain);
        }
    }

    /// Ends the shard threads and waits for them. Call it outside of async code.
    pub fn stop(&self) {
        for shard in &self.0.shards {
            shard.send(ToShard::Stop);
        }
        let threads = std::mem::take(
            &mut *self
                .0
                .threads
                .lock()
                .expect("nobody panics while holding it"),
        );
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a shard thread had panicked");
            }
        }
    }

    pub fn stats(&self) -> Stats {
        let shards = self
            .0
            .stats
            .iter()
            .map(|s| s.lock().expect("nobody panics while holding it").clone())
            .collect();
        let tcp = &self.0.tcp.counters;
        Stats {
            shards,
            tcp_accepted: tcp.accepted.load(Ordering::Relaxed),
            tcp_refused_full: tcp.refused_full.load(Ordering::Relaxed),
            tcp_closed_unclaimed: tcp.closed_unclaimed.load(Ordering::Relaxed),
            tcp_dropped_full: tcp.dropped_full.load(Ordering::Relaxed),
        }
    }

    fn shard_of(&self, room: &str) -> &ShardSender {
        // FNV-1a: stable between runs, so that a room keeps its shard and its port.
        let hash = room.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let count = self.0.shards.len() as u64;
        &self.0.shards[usize::try_from(hash % count).expect("less than the number of shards")]
    }
}
