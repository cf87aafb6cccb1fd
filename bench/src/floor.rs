//! The floor: what no forwarding server can do without, per packet. Copy it, seal it, send it.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::process::own_thread_cpu_ns;

/// Of an RTP packet with 1,100 bytes of payload, as the load has most.
const PACKET_BYTES: usize = 1_124;
const HEADER_BYTES: usize = 12;

#[derive(serde::Serialize)]
pub struct Floor {
    pub destinations: usize,
    pub packets: u64,
    pub us_per_packet: f64,
}

/// One thread sends as many packets a second as the load has, to as many sockets as there are viewers.
pub fn measure(destinations: usize, time: Duration) -> anyhow::Result<Floor> {
    let sinks: Vec<UdpSocket> = (0..destinations)
        .map(|_| UdpSocket::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()
        .context("binding sockets")?;
    let addresses: Vec<_> = sinks
        .iter()
        .map(UdpSocket::local_addr)
        .collect::<Result<_, _>>()
        .context("addresses")?;
    let done = Arc::new(AtomicBool::new(false));
    let drain = std::thread::spawn({
        let done = done.clone();
        move || drain(&sinks, &done)
    });

    let socket = UdpSocket::bind("127.0.0.1:0").context("binding a socket")?;
    let key = UnboundKey::new(&AES_128_GCM, &[7; 16])
        .ok()
        .context("making a key")?;
    let key = LessSafeKey::new(key);
    let source = [0x5a_u8; PACKET_BYTES];
    let mut packet = Vec::with_capacity(PACKET_BYTES + 16);
    let mut packets = 0_u64;
    let (start, cpu) = (Instant::now(), own_thread_cpu_ns()?);
    while start.elapsed() < time {
        for address in &addresses {
            packets += 1;
            packet.clear();
            packet.extend_from_slice(&source);
            packet[2..10].copy_from_slice(&packets.to_be_bytes());
            let mut nonce = [0; 12];
            nonce[4..].copy_from_slice(&packets.to_be_bytes());
            let (header, payload) = packet.split_at_mut(HEADER_BYTES);
            let tag = key
                .seal_in_place_separate_tag(
                    Nonce::assume_unique_for_key(nonce),
                    Aad::from(&*header),
                    payload,
                )
                .ok()
                .context("sealing")?;
            packet.extend_from_slice(tag.as_ref());
            socket.send_to(&packet, address).context("sending")?;
        }
        // Five milliseconds between packets of one stream: 200 packets a second, as a camera with a microphone has.
        std::thread::sleep(Duration::from_millis(5));
    }
    let cpu = own_thread_cpu_ns()? - cpu;
    done.store(true, Ordering::Relaxed);
    let _ = drain.join();
    Ok(Floor {
        destinations,
        packets,
        us_per_packet: cpu as f64 / 1_000.0 / packets as f64,
    })
}

/// Reads the sinks, so that none is full: a datagram that the kernel throws away is cheaper than one it delivers.
fn drain(sinks: &[UdpSocket], done: &AtomicBool) {
    let mut buffer = [0; 2_048];
    for sink in sinks {
        let _ = sink.set_nonblocking(true);
    }
    while !done.load(Ordering::Relaxed) {
        for sink in sinks {
            while sink.recv_from(&mut buffer).is_ok() {}
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
