//! A call under load: members that publish the fixture, paced, and a tally of what reaches whom and how late.
//!
//! All members run in one thread and on one clock. Each packet carries a stamp in its last bytes: who sent it, the
//! how-manieth it is, and when it was given to the sender's socket.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use peer::net::{Handle, Options};
use peer::{Announcement, Codec, Event, Form, Packet, PublicationId, Sid};

use crate::media::{FRAME_RATE, KEY_INTERVAL, Media};

/// How often members send and are asked what they received.
const TICK: Duration = Duration::from_millis(5);
/// Video packets in one tick: libwebrtc's pacer sends at 2.5 times the bitrate, which for 1.5 Mbit/s is two.
const PACKETS_A_TICK: usize = 2;
/// How long members may take to join, publish and receive each other.
const READY_TIME_MAX: Duration = Duration::from_secs(20);

/// Ten minutes of pictures.
const SHOWN_MAX: usize = 600 * FRAME_RATE as usize;

const MAGIC: u32 = 0x616d_7068;
const STAMP_BYTES: usize = 18;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    publisher: u16,
    number: u32,
    sent_ns: u64,
}

impl Stamp {
    /// Over the last bytes of a payload; None when it is too short to stay what it is.
    fn onto(self, payload: &[u8]) -> Option<Bytes> {
        if payload.len() < 2 * STAMP_BYTES {
            return None;
        }
        let mut stamped = payload.to_vec();
        let at = stamped.len() - STAMP_BYTES;
        stamped[at..at + 4].copy_from_slice(&MAGIC.to_be_bytes());
        stamped[at + 4..at + 6].copy_from_slice(&self.publisher.to_be_bytes());
        stamped[at + 6..at + 10].copy_from_slice(&self.number.to_be_bytes());
        stamped[at + 10..].copy_from_slice(&self.sent_ns.to_be_bytes());
        Some(stamped.into())
    }

    fn of(payload: &[u8]) -> Option<Self> {
        let (_, stamp) = payload.split_last_chunk::<STAMP_BYTES>()?;
        if stamp[..4] != MAGIC.to_be_bytes() {
            return None;
        }
        Some(Self {
            publisher: u16::from_be_bytes(stamp[4..6].try_into().ok()?),
            number: u32::from_be_bytes(stamp[6..10].try_into().ok()?),
            sent_ns: u64::from_be_bytes(stamp[10..].try_into().ok()?),
        })
    }
}

/// Where to join, and as whom.
pub struct Door {
    /// `ws://127.0.0.1:port`
    pub server: String,
    pub form: Form,
    /// Where the members' media comes from.
    pub address: IpAddr,
    /// Tracks have to be asked for by name (`TR_<identity>`).
    pub asks: bool,
    pub token: fn(room: &str, identity: &str) -> String,
}

/// The members of one call.
pub struct Load<'a> {
    media: &'a Media,
    start: Instant,
    members: Vec<Member>,
    /// Stamps change the coded pictures, which who decodes them would mind.
    stamps: bool,
}

struct Member {
    handle: Handle,
    publishing: Option<Publishing>,
    received: Received,
}

struct Publishing {
    camera: PublicationId,
    microphone: PublicationId,
    /// When its first picture is due.
    begin: Instant,
    /// Pictures and sounds that were sent.
    pictures: u32,
    sounds: u32,
    /// Where in the loop of the fixture it is.
    picture: usize,
    waiting: VecDeque<Packet>,
    /// The next packet that is stamped.
    number: u32,
    /// Which picture was due when, newest last: at most [`SHOWN_MAX`].
    shown: VecDeque<(usize, Instant)>,
}

/// What one member received while it was looked at.
#[derive(Default)]
struct Received {
    packets: u64,
    /// Stamped ones: who sent it, the how-manieth, how late in nanoseconds.
    stamped: Vec<(u16, u32, u64)>,
    publishers: BTreeMap<u16, u64>,
}

/// What was measured between [`Load::begin`] and [`Load::end`].
pub struct Tally {
    /// RTP packets that receivers had, all of them.
    pub packets_received: u64,
    pub packets_expected: u64,
    pub packets_lost: u64,
    pub delay_us_p50: f64,
    pub delay_us_p99: f64,
    pub elapsed: Duration,
}

/// The packets with which a measurement began.
pub struct Begun {
    numbers: Vec<Option<u32>>,
    at: Instant,
}

impl<'a> Load<'a> {
    pub fn new(media: &'a Media, stamps: bool) -> Self {
        Self {
            media,
            start: Instant::now(),
            members: Vec::new(),
            stamps,
        }
    }

    /// Lets one more member in, publishing or not.
    pub async fn join(
        &mut self,
        door: &Door,
        options: &Options,
        room: &str,
        publishes: bool,
    ) -> anyhow::Result<()> {
        let identity = format!("member-{}", self.members.len());
        let mut handle = peer::net::connect(&door.server, &(door.token)(room, &identity), options)
            .await
            .with_context(|| format!("{identity} joins"))?;
        let joined = |event: &Event| matches!(event, Event::Joined(_)).then_some(());
        handle
            .wait("the server takes us in", READY_TIME_MAX, joined)
            .await?;
        let mut publishing = None;
        if publishes {
            let (width, height) = self.media.size;
            let (camera, microphone) = handle
                .call(move |peer, now| {
                    let camera =
                        peer.publish(now, Announcement::camera(Codec::H264, width, height));
                    (camera, peer.publish(now, Announcement::microphone()))
                })
                .await?;
            for id in [camera, microphone] {
                let sending = |event: &Event| {
                    matches!(event, Event::Sending { publication } if *publication == id)
                        .then_some(())
                };
                handle
                    .wait("a line for our media", READY_TIME_MAX, sending)
                    .await?;
            }
            let connected = |event: &Event| {
                matches!(event, Event::Connected(peer::Connection::Publisher)).then_some(())
            };
            handle
                .wait("a connection", READY_TIME_MAX, connected)
                .await?;
            // Members' pictures are not taken at the same moment.
            let phase = Duration::from_micros(
                1_000_000 / u64::from(FRAME_RATE) * (self.members.len() as u64 % 8) / 8,
            );
            publishing = Some(Publishing {
                camera,
                microphone,
                begin: Instant::now() + phase,
                pictures: 0,
                sounds: 0,
                picture: 0,
                waiting: VecDeque::new(),
                number: 0,
                shown: VecDeque::new(),
            });
        }
        self.members.push(Member {
            handle,
            publishing,
            received: Received::default(),
        });
        Ok(())
    }

    /// Everybody asks for what everybody else publishes.
    pub async fn ask_for_all(&mut self) -> anyhow::Result<()> {
        let publishers: Vec<usize> = (0..self.members.len())
            .filter(|index| self.members[*index].publishing.is_some())
            .collect();
        for (index, member) in self.members.iter().enumerate() {
            let tracks: Vec<Sid> = publishers
                .iter()
                .filter(|publisher| **publisher != index)
                .map(|publisher| Sid::new(&format!("TR_member-{publisher}")))
                .collect();
            if !tracks.is_empty() {
                member
                    .handle
                    .call(move |peer, now| peer.subscribe(now, &tracks, true))
                    .await?;
            }
        }
        Ok(())
    }

    /// Goes on until everybody receives everybody else.
    pub async fn run_until_all_receive(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIME_MAX;
        loop {
            self.run_for(Duration::from_millis(200)).await?;
            let publishers = self
                .members
                .iter()
                .filter(|member| member.publishing.is_some())
                .count();
            let missing = self.members.iter().map(|member| {
                let expected = publishers - usize::from(member.publishing.is_some());
                // Both the camera and the microphone: 50 sounds and far more pictures come in a second.
                expected.saturating_sub(member.received.publishers.len())
            });
            let missing: usize = missing.sum();
            if missing == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{missing} subscriptions bring nothing after {READY_TIME_MAX:?}");
            }
        }
    }

    /// Sends and receives for a while.
    pub async fn run_for(&mut self, time: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        while Instant::now() < end {
            tick.tick().await;
            self.tick()?;
        }
        Ok(())
    }

    /// One tick: for who does something else between ticks.
    pub fn tick(&mut self) -> anyhow::Result<()> {
        for (index, member) in self.members.iter_mut().enumerate() {
            member.receive(self.start)?;
            member.send(self.media, self.start, index as u16, self.stamps);
        }
        Ok(())
    }

    pub fn begin(&mut self) -> Begun {
        for member in &mut self.members {
            member.received = Received::default();
        }
        let numbers = self
            .members
            .iter()
            .map(|member| member.publishing.as_ref().map(|own| own.number))
            .collect();
        Begun {
            numbers,
            at: Instant::now(),
        }
    }

    /// Ends a measurement; goes on for a moment, for what is on its way.
    pub async fn end(&mut self, begun: Begun) -> anyhow::Result<Tally> {
        let elapsed = begun.at.elapsed();
        let packets_received = self
            .members
            .iter()
            .map(|member| member.received.packets)
            .sum();
        let ends: Vec<Option<u32>> = self
            .members
            .iter()
            .map(|member| member.publishing.as_ref().map(|own| own.number))
            .collect();
        self.run_for(Duration::from_millis(500)).await?;

        let windows: Vec<Option<(u32, u32)>> = begun
            .numbers
            .into_iter()
            .zip(ends)
            .map(|(a, b)| a.zip(b))
            .collect();
        let (mut expected, mut arrived, mut delays) = (0_u64, 0_u64, Vec::new());
        for (index, member) in self.members.iter().enumerate() {
            for (publisher, window) in windows.iter().enumerate() {
                let (Some((first, end)), true) = (window, publisher != index) else {
                    continue;
                };
                expected += u64::from(end - first);
            }
            for (publisher, number, delay_ns) in &member.received.stamped {
                let window = windows.get(usize::from(*publisher)).copied().flatten();
                if window.is_some_and(|(first, end)| (first..end).contains(number)) {
                    arrived += 1;
                    delays.push(*delay_ns);
                }
            }
        }
        for member in &self.members {
            let unsent = member
                .handle
                .call(|peer, _| peer.counters().packets_unsent)
                .await?;
            if unsent > 0 {
                bail!("a member could not send {unsent} packets");
            }
        }
        delays.sort_unstable();
        Ok(Tally {
            packets_received,
            packets_expected: expected,
            packets_lost: expected.saturating_sub(arrived),
            delay_us_p50: percentile(&delays, 50.0) / 1_000.0,
            delay_us_p99: percentile(&delays, 99.0) / 1_000.0,
            elapsed,
        })
    }

    /// When the picture with this place in the loop was last due at a publisher, before `before`.
    pub fn shown_at(&self, publisher: usize, picture: usize, before: Instant) -> Option<Instant> {
        let publishing = self.members.get(publisher)?.publishing.as_ref()?;
        let shown = publishing.shown.iter().rev();
        shown
            .filter(|(place, at)| *place == picture && *at <= before)
            .map(|(_, at)| *at)
            .next()
    }

    /// When a publisher sent its first packet.
    pub fn began_at(&self, publisher: usize) -> Option<Instant> {
        Some(self.members.get(publisher)?.publishing.as_ref()?.begin)
    }

    pub async fn leave(self) {
        for member in &self.members {
            member.handle.tell(|peer, now| peer.leave(now));
        }
        // The goodbyes have to get out before the handles are dropped.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Member {
    fn receive(&mut self, start: Instant) -> anyhow::Result<()> {
        for (at, event) in self.handle.take() {
            match event {
                Event::Rtp(rtp) => {
                    self.received.packets += 1;
                    if let Some(stamp) = Stamp::of(&rtp.payload) {
                        let arrived_ns = at.duration_since(start).as_nanos() as u64;
                        let delay_ns = arrived_ns.saturating_sub(stamp.sent_ns);
                        self.received
                            .stamped
                            .push((stamp.publisher, stamp.number, delay_ns));
                        *self.received.publishers.entry(stamp.publisher).or_default() += 1;
                    }
                }
                // The fixture cannot be coded anew: it goes on at its next key frame.
                Event::KeyFrameRequest { publication, .. } => {
                    if let Some(own) = &mut self.publishing
                        && own.camera == publication
                        && own.pictures > 0
                    {
                        own.picture = own.picture.next_multiple_of(KEY_INTERVAL);
                    }
                }
                Event::Failed(reason) => bail!("a member failed: {reason}"),
                Event::Disconnected(connection) => {
                    bail!("a member lost its {connection:?} connection")
                }
                Event::Left(leave) => bail!("the server sent a member away: {leave:?}"),
                _ => {}
            }
        }
        Ok(())
    }

    /// Sends what is due.
    fn send(&mut self, media: &Media, start: Instant, index: u16, stamps: bool) {
        let Some(own) = &mut self.publishing else {
            return;
        };
        let now = Instant::now();
        let mut packets: Vec<(PublicationId, Packet)> = Vec::new();
        let sound_due = |count: u32| own.begin + Duration::from_millis(20) * count;
        while sound_due(own.sounds) <= now {
            let payload = media.sounds[own.sounds as usize % media.sounds.len()].clone();
            let time = own.sounds.wrapping_mul(960);
            packets.push((
                own.microphone,
                Packet {
                    payload,
                    time,
                    marker: false,
                    audio_level: Some(20),
                },
            ));
            own.sounds += 1;
        }
        let picture_due = |count: u32| own.begin + Duration::from_secs(1) * count / FRAME_RATE;
        while picture_due(own.pictures) <= now {
            let place = own.picture % media.pictures.len();
            let time = own.pictures.wrapping_mul(90_000 / FRAME_RATE);
            let payloads = peer::packet::packetize(Codec::H264, &media.pictures[place], 0);
            let last = payloads.len() - 1;
            own.waiting.extend(
                payloads
                    .into_iter()
                    .enumerate()
                    .map(|(at, payload)| Packet {
                        payload,
                        time,
                        marker: at == last,
                        audio_level: None,
                    }),
            );
            own.shown.push_back((place, picture_due(own.pictures)));
            if own.shown.len() > SHOWN_MAX {
                own.shown.pop_front();
            }
            own.pictures += 1;
            own.picture += 1;
        }
        // Two in a tick, more when a key frame has left many behind.
        let many = PACKETS_A_TICK
            .max(own.waiting.len() / 20)
            .min(own.waiting.len());
        packets.extend(own.waiting.drain(..many).map(|packet| (own.camera, packet)));
        if packets.is_empty() {
            return;
        }
        let first = own.number;
        let stampable = move |packet: &Packet| stamps && packet.payload.len() >= 2 * STAMP_BYTES;
        own.number += packets
            .iter()
            .filter(|(_, packet)| stampable(packet))
            .count() as u32;
        self.handle.tell(move |peer, _| {
            let mut number = first;
            for (publication, mut packet) in packets {
                let now = Instant::now();
                if stampable(&packet) {
                    let sent_ns = now.duration_since(start).as_nanos() as u64;
                    let stamp = Stamp {
                        publisher: index,
                        number,
                        sent_ns,
                    };
                    packet.payload = stamp.onto(&packet.payload).unwrap_or(packet.payload);
                    number += 1;
                }
                peer.write_packet(now, publication, None, packet);
            }
        });
    }
}

/// Of sorted values; zero for none.
pub fn percentile(sorted: &[u64], percent: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    sorted[(last as f64 * percent / 100.0).round() as usize] as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_and_only_in_payloads_with_room() {
        let stamp = Stamp {
            publisher: 3,
            number: 70_000,
            sent_ns: 1 << 40,
        };
        let payload = stamp.onto(&[1; 100]).expect("room");
        assert_eq!(payload.len(), 100);
        assert_eq!(payload[..82], [1; 82]);
        assert_eq!(Stamp::of(&payload), Some(stamp));
        assert_eq!(stamp.onto(&[1; 35]), None);
        assert_eq!(Stamp::of(&[1; 100]), None);
        assert_eq!(Stamp::of(&[1; 3]), None);
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        assert_eq!(percentile(&[], 99.0), 0.0);
        assert_eq!(percentile(&[1, 2, 3], 50.0), 2.0);
        assert_eq!(percentile(&(1..=101).collect::<Vec<_>>(), 99.0), 100.0);
    }
}
