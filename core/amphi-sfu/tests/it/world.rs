//! One SFU, some clients, and a network between them that loses what a test wants lost.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use amphi_media::{SessionId, TrackId};
use amphi_sfu::{
    Config, Identity, Input, Mid, Output, ReceiveLine, SendLine, Sfu, Transport, sdp, stun,
};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::ChannelId;
use str0m::format::Codec as StrCodec;
use str0m::media::{
    Direction, ExtensionValues, KeyframeRequestKind, MediaKind as StrKind, Mid as StrMid, Rid,
    Simulcast, SimulcastLayer,
};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input as StrInput, Output as StrOutput, Rtc};

/// One way across the network.
const LATENCY: Duration = Duration::from_millis(5);

pub const SFU_UDP: &str = "192.0.2.1:7882";
pub const SFU_TCP: &str = "192.0.2.1:7881";

/// What the network does with a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Arrives,
    IsLost,
}

type Filter = Box<dyn FnMut(&Way, &[u8]) -> Fate>;

/// From where to where a datagram goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way {
    pub to_client: Option<usize>,
    pub from_client: Option<usize>,
}

struct Flight {
    lands: Instant,
    way: Way,
    transport: Transport,
    source: SocketAddr,
    destination: SocketAddr,
    bytes: Vec<u8>,
}

pub struct World {
    pub now: Instant,
    pub sfu: Sfu,
    pub clients: Vec<Client>,
    /// What the SFU said, other than datagrams.
    pub said: Vec<Output>,
    pub filter: Filter,
    paths: BTreeMap<(Transport, SocketAddr), SessionId>,
    ufrags: BTreeMap<String, SessionId>,
    air: VecDeque<Flight>,
}

pub struct Client {
    pub session: SessionId,
    pub rtc: Rtc,
    pub address: SocketAddr,
    pub pending: Option<SdpPendingOffer>,
    pub packets: Vec<RtpPacket>,
    pub key_frame_requests: Vec<(Instant, StrMid, Option<Rid>)>,
    pub channels: BTreeMap<String, ChannelId>,
    pub data: Vec<(String, Vec<u8>)>,
    pub connected: bool,
    /// The mids of its m-lines, in their order.
    pub lines: Vec<StrMid>,
    pub receives: Vec<ReceiveLine>,
    pub sends: Vec<SendLine>,
    /// The newest answer that it got.
    pub answer: String,
    wake: Option<Instant>,
    pub next_seq: BTreeMap<(StrMid, String), u64>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a first instant to count from; tests add to it"
)]
fn start() -> Instant {
    Instant::now()
}

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl World {
    pub fn new() -> Self {
        let mut config = Config::new(Identity::new());
        config.udp_candidates = vec![SFU_UDP.parse().expect("an address")];
        config.tcp_candidates = vec![SFU_TCP.parse().expect("an address")];
        Self {
            now: start(),
            sfu: Sfu::new(config),
            clients: Vec::new(),
            said: Vec::new(),
            filter: Box::new(|_, _| Fate::Arrives),
            paths: BTreeMap::new(),
            ufrags: BTreeMap::new(),
            air: VecDeque::new(),
        }
    }

    /// A client that has not negotiated anything yet.
    pub fn add_client(&mut self) -> usize {
        self.add_client_by(Transport::Udp)
    }

    pub fn add_client_by(&mut self, transport: Transport) -> usize {
        let index = self.clients.len();
        let session = SessionId(index as u64 + 1);
        let address: SocketAddr = format!("198.51.100.{}:4000", index + 1)
            .parse()
            .expect("an address");
        let mut rtc = Rtc::builder().set_rtp_mode(true).build(self.now);
        let candidate = match transport {
            Transport::Udp => Candidate::host(address, "udp"),
            Transport::Tcp => Candidate::host(address, "tcp"),
        };
        rtc.add_local_candidate(candidate.expect("a candidate"));
        self.clients.push(Client {
            session,
            rtc,
            address,
            pending: None,
            packets: Vec::new(),
            key_frame_requests: Vec::new(),
            channels: BTreeMap::new(),
            data: Vec::new(),
            connected: false,
            lines: Vec::new(),
            receives: Vec::new(),
            sends: Vec::new(),
            answer: String::new(),
            wake: None,
            next_seq: BTreeMap::new(),
        });
        self.input(Input::OpenSession { session });
        index
    }

    /// A client that has joined as LiveKit's clients do: three audio and three video lines to receive on, and the
    /// data channels, all in the first offer.
    pub fn join(&mut self) -> usize {
        let index = self.add_client();
        let client = &mut self.clients[index];
        let mut api = client.rtc.sdp_api();
        for kind in [
            StrKind::Audio,
            StrKind::Audio,
            StrKind::Audio,
            StrKind::Video,
            StrKind::Video,
            StrKind::Video,
        ] {
            api.add_media(kind, Direction::RecvOnly, None, None, None);
        }
        for label in ["_reliable", "_lossy", "_data_track"] {
            api.add_channel(label.to_owned());
        }
        let (offer, pending) = api.apply().expect("something to offer");
        client.pending = Some(pending);
        self.offer(index, &offer.to_sdp_string(), Vec::new(), Vec::new());
        self.run(ms(500));
        assert!(self.clients[index].connected, "client {index} is connected");
        index
    }

    /// Publishes one more line; returns its mid.
    pub fn publish(
        &mut self,
        index: usize,
        track: TrackId,
        kind: StrKind,
        rids: &[&str],
    ) -> StrMid {
        let mut receives = self.clients[index].receives.clone();
        let client = &mut self.clients[index];
        let simulcast = (!rids.is_empty()).then(|| {
            let mut simulcast = Simulcast::new();
            rids.iter()
                .for_each(|rid| simulcast.add_send_layer(SimulcastLayer::new(rid)));
            simulcast
        });
        let mut api = client.rtc.sdp_api();
        let mid = api.add_media(
            kind,
            Direction::SendOnly,
            None,
            Some(format!("cid-{}", track.0)),
            simulcast,
        );
        let (offer, pending) = api.apply().expect("something to offer");
        client.pending = Some(pending);
        receives.push(ReceiveLine {
            mid: Mid(mid.to_string()),
            track,
            codec: None,
        });
        let sends = self.clients[index].sends.clone();
        self.offer(index, &offer.to_sdp_string(), receives, sends);
        self.run(ms(50));
        mid
    }

    /// Puts a track on one of the client's receiving lines (`line` counts m-lines) and negotiates.
    pub fn subscribe(&mut self, index: usize, track: TrackId, line: usize) -> StrMid {
        let offer = self.offer_again(index);
        let lines = sdp::lines(&offer).expect("our client writes SDP");
        let mid = lines[line].mid.clone();
        let mut sends = self.clients[index].sends.clone();
        sends.retain(|send| send.mid != mid);
        sends.push(SendLine {
            mid: mid.clone(),
            track,
            stream_label: format!("PA_x|TR_{}", track.0),
            track_label: format!("TR_{}", track.0),
        });
        let receives = self.clients[index].receives.clone();
        self.offer(index, &offer, receives, sends);
        self.run(ms(50));
        StrMid::from(mid.0.as_str())
    }

    /// The client offers what it has once more: its six receiving lines want to receive, as a browser's always do.
    pub fn offer_again(&mut self, index: usize) -> String {
        let client = &mut self.clients[index];
        let mut api = client.rtc.sdp_api();
        for mid in client.lines.iter().take(6) {
            api.set_direction(*mid, Direction::RecvOnly);
        }
        let (offer, pending) = api
            .apply()
            .expect("some line carries nothing and was answered inactive");
        client.pending = Some(pending);
        offer.to_sdp_string()
    }

    /// Offers to the SFU and gives its answer to the client.
    pub fn offer(
        &mut self,
        index: usize,
        sdp: &str,
        receives: Vec<ReceiveLine>,
        sends: Vec<SendLine>,
    ) {
        let session = self.clients[index].session;
        let before = self.said.len();
        self.clients[index].receives.clone_from(&receives);
        self.clients[index].sends.clone_from(&sends);
        self.clients[index].lines = sdp::lines(sdp)
            .expect("SDP")
            .iter()
            .map(|line| StrMid::from(line.mid.0.as_str()))
            .collect();
        self.input(Input::Offer {
            session,
            sdp,
            receives,
            sends,
        });
        let answer = self.said[before..].iter().find_map(|output| match output {
            Output::Answer { session: to, sdp } if *to == session => Some(sdp.clone()),
            _ => None,
        });
        let answer = answer.unwrap_or_else(|| panic!("no answer, but {:?}", &self.said[before..]));
        let client = &mut self.clients[index];
        client.answer.clone_from(&answer);
        let answer = SdpAnswer::from_sdp_string(&answer).expect("the answer is SDP");
        let pending = client.pending.take().expect("an offer");
        client
            .rtc
            .sdp_api()
            .accept_answer(pending, answer)
            .expect("the answer fits the offer");
        self.settle();
    }

    /// Gives an offer of the SFU to the client and its answer back.
    pub fn answer(&mut self, index: usize, sdp: &str) {
        let client = &mut self.clients[index];
        let offer = SdpOffer::from_sdp_string(sdp).expect("the offer is SDP");
        let answer = client
            .rtc
            .sdp_api()
            .accept_offer(offer)
            .expect("the client takes the offer")
            .to_sdp_string();
        let session = client.session;
        self.input(Input::Answer {
            session,
            sdp: &answer,
        });
        self.tick_client(index);
    }

    pub fn input(&mut self, input: Input<'_>) {
        self.sfu.handle_input(self.now, input);
        self.settle();
    }

    pub fn counter(&self, name: &str) -> u64 {
        let found = self.sfu.counters().list().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("no counter {name}")).1
    }

    /// Lets virtual time pass.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            self.settle();
            let wakes = self.clients.iter().filter_map(|client| client.wake);
            let lands = self.air.iter().map(|flight| flight.lands).min();
            let next = wakes.chain(lands).chain(self.sfu.poll_timeout()).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.now = self.now.max(next);
            self.land();
            if self.sfu.poll_timeout().is_some_and(|at| at <= self.now) {
                self.sfu.handle_input(self.now, Input::Timeout);
            }
            for index in 0..self.clients.len() {
                if self.clients[index].wake.is_some_and(|at| at <= self.now) {
                    self.tick_client(index);
                }
            }
        }
        self.now = end;
    }

    /// A client writes one RTP packet. Sequence numbers count per line and layer.
    pub fn send(&mut self, index: usize, mid: StrMid, packet: Media<'_>) {
        let client = &mut self.clients[index];
        let key = (mid, packet.rid.unwrap_or("").to_owned());
        // Layers do not start at the same number.
        let first = 10 + 1_000 * packet.rid.map_or(0, |rid| u64::from(rid.as_bytes()[0]));
        let seq = client.next_seq.entry(key).or_insert(first % 30_000);
        let this = *seq;
        *seq += 1;
        client.write(self.now, mid, packet, this);
        self.settle_client(index);
        self.settle();
    }

    /// Hands a datagram to the SFU as if it had come from the client's address.
    pub fn inject(&mut self, index: usize, bytes: &[u8]) {
        let (session, source) = (self.clients[index].session, self.clients[index].address);
        let destination = SFU_UDP.parse().expect("an address");
        self.input(Input::Datagram {
            session,
            transport: Transport::Udp,
            source,
            destination,
            bytes,
        });
    }

    pub fn ask_key_frame(&mut self, index: usize, mid: StrMid) {
        let client = &mut self.clients[index];
        let mut api = client.rtc.direct_api();
        api.stream_rx_by_mid(mid, None)
            .expect("something was received")
            .request_keyframe(KeyframeRequestKind::Pli);
        self.tick_client(index);
        self.settle();
    }

    pub fn tick_client(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.wake = None;
        client
            .rtc
            .handle_input(StrInput::Timeout(self.now))
            .expect("time passes");
        self.settle_client(index);
    }

    fn settle(&mut self) {
        while let Some(output) = self.sfu.poll_output() {
            match output {
                Output::Transmit {
                    transport,
                    source,
                    destination,
                    bytes,
                } => {
                    let to_client = self
                        .clients
                        .iter()
                        .position(|client| client.address == destination);
                    let way = Way {
                        to_client,
                        from_client: None,
                    };
                    self.launch(way, transport, source, destination, bytes.to_vec());
                }
                output => {
                    match &output {
                        Output::Credentials { session, ufrag } => {
                            self.ufrags.insert(ufrag.clone(), *session);
                        }
                        Output::PathVerified {
                            session,
                            transport,
                            source,
                        } => {
                            self.paths.insert((*transport, *source), *session);
                        }
                        _ => {}
                    }
                    self.said.push(output);
                }
            }
        }
        for index in 0..self.clients.len() {
            self.settle_client(index);
        }
    }

    fn launch(
        &mut self,
        way: Way,
        transport: Transport,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: Vec<u8>,
    ) {
        if (self.filter)(&way, &bytes) == Fate::Arrives {
            self.air.push_back(Flight {
                lands: self.now + LATENCY,
                way,
                transport,
                source,
                destination,
                bytes,
            });
        }
    }

    fn land(&mut self) {
        while let Some(at) = self.air.iter().position(|flight| flight.lands <= self.now) {
            let flight = self.air.remove(at).expect("it was found there");
            match flight.way.to_client {
                Some(index) => {
                    let proto = match flight.transport {
                        Transport::Udp => Protocol::Udp,
                        Transport::Tcp => Protocol::Tcp,
                    };
                    let receive =
                        Receive::new(proto, flight.source, flight.destination, &flight.bytes)
                            .expect("WebRTC");
                    let client = &mut self.clients[index];
                    client
                        .rtc
                        .handle_input(StrInput::Receive(self.now, receive))
                        .expect("the client goes on");
                    self.settle_client(index);
                }
                None => {
                    let known = self.paths.get(&(flight.transport, flight.source)).copied();
                    let session = known
                        .or_else(|| self.ufrags.get(stun::local_ufrag(&flight.bytes)?).copied());
                    if let Some(session) = session {
                        let Flight {
                            transport,
                            source,
                            destination,
                            bytes,
                            ..
                        } = flight;
                        let bytes = &bytes[..];
                        self.sfu.handle_input(
                            self.now,
                            Input::Datagram {
                                session,
                                transport,
                                source,
                                destination,
                                bytes,
                            },
                        );
                    }
                    self.settle();
                }
            }
        }
    }

    fn settle_client(&mut self, index: usize) {
        loop {
            let client = &mut self.clients[index];
            match client.rtc.poll_output().expect("the client goes on") {
                StrOutput::Timeout(at) => {
                    // Its "never" is years away.
                    client.wake = (at < self.now + Duration::from_secs(3_600))
                        .then(|| at.max(self.now + ms(1)));
                    return;
                }
                StrOutput::Transmit(transmit) => {
                    let transport = if transmit.proto == Protocol::Udp {
                        Transport::Udp
                    } else {
                        Transport::Tcp
                    };
                    let way = Way {
                        to_client: None,
                        from_client: Some(index),
                    };
                    self.launch(
                        way,
                        transport,
                        transmit.source,
                        transmit.destination,
                        transmit.contents.to_vec(),
                    );
                }
                StrOutput::Event(event) => client.note(event, self.now),
            }
        }
    }
}

/// One RTP packet that a client sends.
#[derive(Clone, Copy)]
pub struct Media<'a> {
    pub codec: StrCodec,
    pub rid: Option<&'a str>,
    pub time: u32,
    pub marker: bool,
    pub payload: &'a [u8],
    /// RFC 6464, 0 to 127.
    pub level: Option<u8>,
}

impl<'a> Media<'a> {
    pub fn audio(time: u32, payload: &'a [u8]) -> Self {
        Self {
            codec: StrCodec::Opus,
            rid: None,
            time,
            marker: false,
            payload,
            level: Some(30),
        }
    }

    pub fn video(codec: StrCodec, time: u32, marker: bool, payload: &'a [u8]) -> Self {
        Self {
            codec,
            rid: None,
            time,
            marker,
            payload,
            level: None,
        }
    }

    pub fn rid(self, rid: &'a str) -> Self {
        Self {
            rid: Some(rid),
            ..self
        }
    }
}

impl Client {
    pub fn write(&mut self, now: Instant, mid: StrMid, packet: Media<'_>, seq: u64) {
        let params = self.rtc.codec_config().params();
        let fits = |params: &&str0m::format::PayloadParams| {
            let format = params.spec().format;
            params.spec().codec == packet.codec
                && format.packetization_mode.is_none_or(|mode| mode == 1)
                && format
                    .profile_level_id
                    .is_none_or(|profile| profile == 0x42e01f)
        };
        let payload_type = params
            .iter()
            .find(fits)
            .expect("the codec is negotiated")
            .pt();
        let extensions = ExtensionValues {
            audio_level: packet.level.map(|level| -(level as i8)),
            voice_activity: packet.level.map(|_| true),
            ..ExtensionValues::default()
        };
        let write = RtpWrite::new(payload_type, seq.into(), packet.time, now, packet.payload)
            .marker(packet.marker)
            .nackable(packet.codec.is_video())
            .ext_vals(extensions);
        let mut api = self.rtc.direct_api();
        let stream = api
            .stream_tx_by_mid(mid, packet.rid.map(Rid::from))
            .expect("the line sends");
        stream.write_rtp(write);
        self.rtc
            .handle_input(StrInput::Timeout(now))
            .expect("time passes");
    }

    fn note(&mut self, event: Event, now: Instant) {
        match event {
            Event::Connected => self.connected = true,
            Event::RtpPacket(packet) => self.packets.push(packet),
            Event::KeyframeRequest(request) => {
                self.key_frame_requests
                    .push((now, request.mid, request.rid))
            }
            Event::ChannelOpen(id, label) => {
                self.channels.insert(label, id);
            }
            Event::ChannelData(data) => {
                let label = self
                    .channels
                    .iter()
                    .find(|(_, id)| **id == data.id)
                    .map(|(label, _)| label.clone());
                self.data.push((label.unwrap_or_default(), data.data));
            }
            _ => {}
        }
    }

    /// The packets that came on an m-line, in the order of their numbers.
    pub fn received(&mut self, mid: StrMid) -> Vec<&RtpPacket> {
        let ssrc = self
            .rtc
            .direct_api()
            .stream_rx_by_mid(mid, None)
            .map(|stream| stream.ssrc());
        let mut packets: Vec<&RtpPacket> = self
            .packets
            .iter()
            .filter(|packet| Some(packet.header.ssrc) == ssrc)
            .collect();
        packets.sort_by_key(|packet| *packet.seq_no);
        packets
    }
}

/// Says whether a packet is RTP (not STUN, DTLS or RTCP).
pub fn is_rtp(bytes: &[u8]) -> bool {
    (128..192).contains(&bytes[0]) && !(64..96).contains(&(bytes[1] & 0x7f))
}

/// Numbers without a gap, times that never go back.
pub fn assert_unbroken(packets: &[&RtpPacket]) {
    for pair in packets.windows(2) {
        assert_eq!(
            *pair[1].seq_no,
            *pair[0].seq_no + 1,
            "no gap in {:?}",
            numbers(packets)
        );
        assert!(
            pair[1].header.timestamp >= pair[0].header.timestamp,
            "time goes on"
        );
    }
}

pub fn numbers(packets: &[&RtpPacket]) -> Vec<u64> {
    packets.iter().map(|packet| *packet.seq_no).collect()
}

pub fn said_of(said: &[Output], wanted: impl Fn(&Output) -> bool) -> usize {
    said.iter().filter(|output| wanted(output)).count()
}

/// Media that a decoder would take for real as far as its headers go.
pub mod made {
    pub const SPS_720P: &[u8] = &[
        0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x28, 0x02, 0xdd, 0x80, 0xb4, 0x3c, 0x22, 0x11,
        0xa8,
    ];
    pub const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];
    pub const OPUS: &[u8] = &[0xfc, 1, 2, 3, 4];

    /// STAP-A of SPS and PPS, then an IDR in `pieces` FU-A packets: a key frame as browsers send it.
    pub fn h264_key(pieces: usize) -> Vec<Vec<u8>> {
        let mut parameters = vec![0x78];
        for unit in [SPS_720P, PPS] {
            parameters.extend_from_slice(&(unit.len() as u16).to_be_bytes());
            parameters.extend_from_slice(unit);
        }
        let mut packets = vec![parameters];
        for piece in 0..pieces {
            let begins = if piece == 0 { 0x80 } else { 0 };
            let ends = if piece + 1 == pieces { 0x40 } else { 0 };
            packets.push(vec![0x7c, begins | ends | 5, piece as u8, 0xaa, 0xbb]);
        }
        packets
    }

    pub fn h264_delta(mark: u8) -> Vec<u8> {
        vec![0x41, 0x9a, mark, 0xcc]
    }

    /// One packet of VP9 as a browser's SVC has them (RFC 9628): picture id of 15 bits, layer indices, TL0PICIDX, and before a
    /// key picture's lowest layer the sizes of all three. The frame's last byte but one is the layer, the last one `mark`.
    pub fn vp9(key: bool, spatial: u8, piece: Piece, picture_id: u16, mark: u8) -> Vec<u8> {
        let structure = key && spatial == 0 && piece != Piece::End;
        let mut flags = 0xa0;
        flags |= if key { 0 } else { 0x40 };
        flags |= if piece == Piece::End { 0 } else { 0x08 };
        flags |= if piece == Piece::Begin { 0 } else { 0x04 };
        flags |= if structure { 0x02 } else { 0 };
        let inter_layer = u8::from(spatial > 0);
        let mut packet = vec![
            flags,
            0x80 | (picture_id >> 8) as u8,
            picture_id as u8,
            spatial << 1 | inter_layer,
            picture_id as u8,
        ];
        if structure {
            packet.extend_from_slice(&[0x50, 0, 160, 0, 90, 1, 64, 0, 180, 2, 128, 1, 104]);
        }
        match (key && spatial == 0, piece) {
            (_, Piece::End) => {}
            (true, _) => {
                packet.extend_from_slice(&[0x82, 0x49, 0x83, 0x42, 0x20, 0x09, 0xf0, 0x05, 0x90])
            }
            (false, _) => packet.extend_from_slice(&[0x86, 1]),
        }
        packet.extend_from_slice(&[spatial, mark]);
        packet
    }

    /// Which piece of a layer's frame a packet has.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Piece {
        Whole,
        Begin,
        End,
    }

    /// The packets of an AV1 picture of 320 × 180: in front of a key frame its sequence header; the frame in two pieces.
    pub fn av1(key: bool, mark: u8) -> [Vec<u8>; 2] {
        let mut first = Vec::new();
        if key {
            first.extend_from_slice(&[0x68, 12, 0x08, 0x00, 0x00, 0x00, 0x04, 0x3c, 0xfe]);
            first.extend_from_slice(&[0xcc, 0xda, 0xf9, 0x00, 0x40, 0x30, 0x10, 7]);
        } else {
            first.extend_from_slice(&[0x50, 0x30, 0x30, 7]);
        }
        [first, vec![0x90, 8, mark]]
    }

    /// As [`vp8`], a key frame of this size.
    pub fn vp8_key(size: (u16, u16), picture_id: u16, tl0: u8) -> Vec<u8> {
        let mut packet = vp8(true, picture_id, tl0);
        packet[12..14].copy_from_slice(&size.0.to_le_bytes());
        packet[14..16].copy_from_slice(&size.1.to_le_bytes());
        packet
    }

    /// One packet with a picture id of 15 bits, TL0PICIDX and TID.
    pub fn vp8(key: bool, picture_id: u16, tl0: u8) -> Vec<u8> {
        let mut packet = vec![
            0x90,
            0xe0,
            0x80 | (picture_id >> 8) as u8,
            picture_id as u8,
            tl0,
            0x20,
        ];
        match key {
            true => packet
                .extend_from_slice(&[0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01, 9, 9]),
            false => packet.extend_from_slice(&[0x11, 0, 0, 8, 8]),
        }
        packet
    }
}
