//! One UDP socket of one shard: read in batches, written in runs.
//!
//! Reading uses GRO and `recvmmsg`; writing gathers what one turn of the shard made, by destination, and sends runs of
//! equal size as one GSO call. Measured on loopback, a datagram sent alone costs 4–6 µs, one in a run of eight 1.2 µs.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};

/// Room for one GRO read: the kernel joins at most this much.
const READ_BYTES: usize = 64 * 1024;
/// Asked of the kernel for both directions; it may give less (`net.core.rmem_max`).
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Datagrams gathered before they are sent, however busy the turn is.
const GATHER_MAX: usize = 1_024;
/// The kernel takes at most this many segments and bytes in one GSO call.
const RUN_SEGMENTS_MAX: usize = 64;
const RUN_BYTES_MAX: usize = 60_000;

/// What went over one socket. Counters only grow.
#[derive(Clone, Copy, Default, Debug)]
pub struct Counters {
    pub datagrams_in: u64,
    pub datagrams_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// System calls that sent (`datagrams_out / sends` is the mean run).
    pub sends: u64,
    /// The kernel's buffer was full: dropped, as a network would.
    pub dropped_full: u64,
    pub dropped_error: u64,
}

/// See the module's text.
pub struct UdpPort {
    socket: mio::net::UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    /// Addresses of this machine among those that clients are told: only these can be chosen to send from.
    own_addresses: BTreeSet<IpAddr>,
    buffers: Vec<Vec<u8>>,
    gathered: BTreeMap<SocketAddr, Vec<(IpAddr, Bytes)>>,
    gathered_count: usize,
    run: Vec<u8>,
    pub counters: Counters,
}

impl UdpPort {
    /// `advertised`: what clients are told. On a machine with several addresses a packet must leave from the one that
    /// the client talks to; behind a 1:1 NAT the advertised address is not this machine's, and the system chooses.
    pub fn bind(address: SocketAddr, advertised: &[IpAddr]) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // Smaller buffers only cost packets under bursts; the kernel's own limit is not an error.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER_BYTES);
        let _ = state.set_send_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER_BYTES);
        let local = socket.local_addr()?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: mio::net::UdpSocket::from_std(socket),
            state,
            local,
            own_addresses: advertised
                .iter()
                .copied()
                .filter(|ip| {
                    local.ip().is_unspecified() && std::net::UdpSocket::bind((*ip, 0)).is_ok()
                })
                .collect(),
            buffers: (0..BATCH_SIZE).map(|_| vec![0; READ_BYTES]).collect(),
            gathered: BTreeMap::new(),
            gathered_count: 0,
            run: Vec::with_capacity(RUN_BYTES_MAX),
            counters: Counters::default(),
        })
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    pub fn source(&mut self) -> &mut mio::net::UdpSocket {
        &mut self.socket
    }

    /// Reads one batch and gives each datagram to `each(source, destination, bytes)`. False when there was nothing.
    pub fn read(
        &mut self,
        mut each: impl FnMut(SocketAddr, SocketAddr, &[u8]),
    ) -> io::Result<bool> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut slices: Vec<IoSliceMut<'_>> = self
            .buffers
            .iter_mut()
            .map(|buffer| IoSliceMut::new(buffer))
            .collect();
        let state = &self.state;
        let socket = &self.socket;
        let count =
            match socket.try_io(|| state.recv(UdpSockRef::from(socket), &mut slices, &mut metas)) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                // ICMP errors of earlier sends surface here; they say nothing about this socket.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(true),
                Err(error) => return Err(error),
            };
        for (meta, buffer) in metas.iter().zip(&self.buffers).take(count) {
            let destination =
                SocketAddr::new(meta.dst_ip.unwrap_or(self.local.ip()), self.local.port());
            let stride = meta.stride.max(1);
            for datagram in buffer[..meta.len].chunks(stride) {
                self.counters.datagrams_in += 1;
                self.counters.bytes_in += datagram.len() as u64;
                each(meta.addr, destination, datagram);
            }
        }
        Ok(count > 0)
    }

    /// Takes a datagram for the next [`flush`](Self::flush).
    pub fn gather(&mut self, source: SocketAddr, destination: SocketAddr, bytes: Bytes) {
        self.gathered
            .entry(destination)
            .or_default()
            .push((source.ip(), bytes));
        self.gathered_count += 1;
        if self.gathered_count >= GATHER_MAX {
            self.flush();
        }
    }

    /// Sends what was gathered, in order per destination.
    pub fn flush(&mut self) {
        self.gathered_count = 0;
        for (destination, datagrams) in std::mem::take(&mut self.gathered) {
            let mut rest = datagrams.as_slice();
            while let Some((first_source, first)) = rest.first() {
                let (source, size) = (*first_source, first.len());
                let mut length = 1;
                self.run.clear();
                self.run.extend_from_slice(first);
                // Every segment of a run has the first one's size; only the last may be shorter.
                while let Some((next_source, next)) = rest.get(length) {
                    let fits = *next_source == source
                        && next.len() <= size
                        && length < self.state.max_gso_segments().min(RUN_SEGMENTS_MAX)
                        && self.run.len() + next.len() <= RUN_BYTES_MAX;
                    if !fits {
                        break;
                    }
                    self.run.extend_from_slice(next);
                    length += 1;
                    if next.len() < size {
                        break;
                    }
                }
                rest = &rest[length..];
                self.send_run(source, destination, size, length);
            }
        }
    }

    fn send_run(&mut self, source: IpAddr, destination: SocketAddr, size: usize, length: usize) {
        let transmit = Transmit {
            destination,
            ecn: None,
            contents: &self.run,
            segment_size: (length > 1).then_some(size),
            src_ip: self.own_addresses.contains(&source).then_some(source),
        };
        let (state, socket) = (&self.state, &self.socket);
        let datagrams = length as u64;
        match socket.try_io(|| state.try_send(UdpSockRef::from(socket), &transmit)) {
            Ok(()) => {
                self.counters.sends += 1;
                self.counters.datagrams_out += datagrams;
                self.counters.bytes_out += self.run.len() as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.counters.dropped_full += datagrams
            }
            Err(_) => self.counters.dropped_error += datagrams,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> SocketAddr {
        "127.0.0.1:0".parse().expect("an address")
    }

    #[test]
    fn runs_keep_order_and_boundaries() {
        let mut port = UdpPort::bind(loopback(), &[]).expect("a port");
        let receiver = std::net::UdpSocket::bind(loopback()).expect("a socket");
        receiver
            .set_read_timeout(Some(std::time::Duration::from_secs(5)))
            .expect("a timeout");
        let to = receiver.local_addr().expect("bound");
        let sizes = [100usize, 100, 100, 40, 100, 120, 120, 7];
        for (index, size) in sizes.iter().enumerate() {
            port.gather(port.local_addr(), to, Bytes::from(vec![index as u8; *size]));
        }
        port.flush();
        for (index, size) in sizes.iter().enumerate() {
            let mut buffer = [0; 2048];
            let length = receiver.recv(&mut buffer).expect("a datagram");
            assert_eq!((length, buffer[0]), (*size, index as u8));
        }
        assert_eq!(port.counters.datagrams_out, sizes.len() as u64);
    }

    #[test]
    fn a_batch_read_gives_each_datagram_with_its_source() {
        let mut port = UdpPort::bind(loopback(), &[]).expect("a port");
        let sender = std::net::UdpSocket::bind(loopback()).expect("a socket");
        for size in [1usize, 2, 3] {
            sender
                .send_to(&vec![9; size], port.local_addr())
                .expect("sent");
        }
        let mut seen = Vec::new();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while seen.len() < 3 && std::time::Instant::now() < deadline {
            port.read(|source, _, bytes| seen.push((source, bytes.len())))
                .expect("a read");
        }
        let from = sender.local_addr().expect("bound");
        assert_eq!(seen, [(from, 1), (from, 2), (from, 3)]);
    }
}
