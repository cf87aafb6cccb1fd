//! ICE-TCP (RFC 6544): media over TCP for networks that let no UDP through.
//!
//! Framing is RFC 4571: two bytes of length before each packet. A connection belongs to no shard until one answers
//! its STUN check; until then it may send a handful of packets to all of them, and is closed if nobody answers in time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use amphi_shard::Transport;
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::thread::{ShardSender, ToShard};

/// Connections at once; more are closed at once and counted.
const CONNECTIONS_MAX: usize = 4_096;
/// Connections of one address at once: a household or an office behind one address, not a machine that takes them all.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 128;
/// A connection on which nothing came for so long is closed: ICE checks come every few seconds (RFC 7675 §5.1).
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Packets waiting to be written to one connection; more are dropped and counted, as a network would.
const QUEUE_MAX: usize = 512;
/// A connection that no shard has answered by then is closed.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(10);
/// Packets taken from a connection that no shard has answered yet.
const UNCLAIMED_PACKETS_MAX: u32 = 32;
const UNCLAIMED: usize = usize::MAX;

/// What went over ICE-TCP. Counters only grow.
#[derive(Default, Debug)]
pub struct Counters {
    pub accepted: AtomicU64,
    pub refused_full: AtomicU64,
    pub closed_unclaimed: AtomicU64,
    pub dropped_full: AtomicU64,
}

struct Entry {
    queue: mpsc::Sender<Bytes>,
    shard: Arc<AtomicUsize>,
}

/// All open connections by the client's address.
#[derive(Default)]
pub struct Connections {
    by_address: Mutex<BTreeMap<SocketAddr, Entry>>,
    pub counters: Counters,
}

impl Connections {
    /// Queues a packet of `shard` for the client; the connection is that shard's from now on. Never blocks.
    pub fn send(&self, shard: usize, to: SocketAddr, bytes: Bytes) {
        let connections = self
            .by_address
            .lock()
            .expect("nobody panics while holding it");
        let Some(entry) = connections.get(&to) else {
            return;
        };
        entry.shard.store(shard, Ordering::Relaxed);
        if entry.queue.try_send(bytes).is_err() {
            self.counters.dropped_full.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn insert(&self, address: SocketAddr, entry: Entry) -> bool {
        let mut connections = self
            .by_address
            .lock()
            .expect("nobody panics while holding it");
        let first = SocketAddr::new(address.ip(), 0);
        let last = SocketAddr::new(address.ip(), u16::MAX);
        let of_address = connections.range(first..=last).count();
        if connections.len() >= CONNECTIONS_MAX || of_address >= CONNECTIONS_PER_ADDRESS_MAX {
            return false;
        }
        connections.insert(address, entry);
        true
    }

    fn remove(&self, address: SocketAddr) {
        self.by_address
            .lock()
            .expect("nobody panics while holding it")
            .remove(&address);
    }
}

/// Takes connections for ever.
pub async fn accept(
    listener: TcpListener,
    connections: Arc<Connections>,
    shards: Vec<ShardSender>,
) {
    loop {
        let Ok((stream, address)) = listener.accept().await else {
            // Out of descriptors, most likely: come back when some are free.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (queue, waiting) = mpsc::channel(QUEUE_MAX);
        let shard = Arc::new(AtomicUsize::new(UNCLAIMED));
        if !connections.insert(
            address,
            Entry {
                queue,
                shard: shard.clone(),
            },
        ) {
            connections
                .counters
                .refused_full
                .fetch_add(1, Ordering::Relaxed);
            continue;
        }
        connections
            .counters
            .accepted
            .fetch_add(1, Ordering::Relaxed);
        let (connections, shards) = (connections.clone(), shards.clone());
        tokio::spawn(async move {
            serve(
                stream,
                address,
                waiting,
                &shard,
                &shards,
                &connections.counters,
            )
            .await;
            connections.remove(address);
        });
    }
}

async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    mut waiting: mpsc::Receiver<Bytes>,
    shard: &AtomicUsize,
    shards: &[ShardSender],
    counters: &Counters,
) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    // Media is late or nothing: waiting to fill a segment only adds delay.
    let _ = stream.set_nodelay(true);
    let (mut reader, mut writer) = stream.into_split();
    let read = async {
        let mut framing = Framing::default();
        let mut unclaimed = 0;
        loop {
            while let Some(packet) = framing.next_packet() {
                let to = match shard.load(Ordering::Relaxed) {
                    UNCLAIMED => {
                        unclaimed += 1;
                        if unclaimed > UNCLAIMED_PACKETS_MAX {
                            return;
                        }
                        shards
                    }
                    index => &shards[index..=index],
                };
                for sender in to {
                    sender.send(ToShard::Datagram {
                        transport: Transport::Tcp,
                        source: address,
                        destination: local,
                        bytes: packet.clone(),
                    });
                }
            }
            let read = tokio::time::timeout(IDLE_MAX, reader.read_buf(framing.buffer()));
            match read.await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) | Err(_) => return,
            }
        }
    };
    let write = async {
        while let Some(packet) = waiting.recv().await {
            if writer.write_all(&frame(&packet)).await.is_err() {
                return;
            }
        }
    };
    let unclaimed = async {
        tokio::time::sleep(CLAIM_TIMEOUT).await;
        if shard.load(Ordering::Relaxed) != UNCLAIMED {
            std::future::pending::<()>().await;
        }
        counters.closed_unclaimed.fetch_add(1, Ordering::Relaxed);
    };
    tokio::select! { () = read => {}, () = write => {}, () = unclaimed => {} }
}

/// A packet with its length before it (RFC 4571 §2).
fn frame(packet: &[u8]) -> Vec<u8> {
    let length = u16::try_from(packet.len())
        .expect("a packet came from a datagram, which is shorter than 64 KiB");
    let mut framed = Vec::with_capacity(packet.len() + 2);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(packet);
    framed
}

/// Finds packets in a byte stream. Holds at most one packet of 64 KiB and what one read brought.
#[derive(Default)]
pub struct Framing(BytesMut);

impl Framing {
    /// Where read bytes go.
    pub fn buffer(&mut self) -> &mut BytesMut {
        self.0.reserve(4 * 1024);
        &mut self.0
    }

    /// The next whole packet. Empty ones are skipped (RFC 4571 §2 allows them as padding).
    pub fn next_packet(&mut self) -> Option<Bytes> {
        loop {
            let head = self.0.get(..2)?;
            let length = usize::from(u16::from_be_bytes([head[0], head[1]]));
            if self.0.len() < 2 + length {
                return None;
            }
            self.0.advance(2);
            if length > 0 {
                return Some(self.0.split_to(length).freeze());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_found_however_the_stream_is_cut() {
        let stream: Vec<u8> = [frame(b"abc"), frame(b""), frame(&[7; 300])].concat();
        for step in [1, 2, 3, 5, 1000] {
            let mut framing = Framing::default();
            let mut packets = Vec::new();
            for piece in stream.chunks(step) {
                framing.buffer().extend_from_slice(piece);
                while let Some(packet) = framing.next_packet() {
                    packets.push(packet);
                }
            }
            assert_eq!(
                packets,
                [Bytes::from_static(b"abc"), Bytes::from(vec![7; 300])],
                "in steps of {step}"
            );
        }
    }
}
