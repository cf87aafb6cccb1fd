//! One WebRTC connection: the only module that names the WebRTC library's way of doing things.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid, Pt, Simulcast, SimulcastLayer};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use crate::publication::{Layer, Publication};
use crate::{Channel, Codec, Kind, Packet};

/// The key pair that DTLS is done with. Made once, used by any number of peers: making one costs about a millisecond.
#[derive(Clone)]
pub struct Certificate {
    certificate: DtlsCert,
    provider: Arc<CryptoProvider>,
}

impl Certificate {
    #[expect(clippy::new_without_default, reason = "every call makes another one")]
    pub fn new() -> Self {
        let provider = str0m::crypto::from_feature_flags();
        let certificate = provider
            .dtls_provider
            .generate_certificate()
            .expect("the library makes its own certificates");
        Self {
            certificate,
            provider: Arc::new(provider),
        }
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate")
    }
}

/// What came out of the connection.
#[derive(Debug)]
pub(crate) enum Happened {
    Transmit {
        destination: SocketAddr,
        bytes: Bytes,
    },
    Connected,
    Disconnected,
    ChannelOpen(Channel),
    Data {
        channel: Channel,
        bytes: Bytes,
    },
    Rtp {
        mid: Mid,
        packet: Box<RtpPacket>,
    },
    KeyFrameRequest {
        mid: Mid,
        rid: Option<String>,
    },
    Failed(String),
}

/// An offer that waits for its answer.
struct Open {
    id: u32,
    sdp: String,
    pending: SdpPendingOffer,
}

/// A line the session has asked for, to take media on.
pub(crate) struct ReceiveLine {
    pub(crate) mid: Mid,
}

pub(crate) struct Session {
    rtc: Rtc,
    pub(crate) address: SocketAddr,
    timeout: Instant,
    pending: Option<Open>,
    offer_id: u32,
    receive_lines: Vec<ReceiveLine>,
    channels: BTreeMap<Channel, ChannelId>,
    channel_names: Vec<(ChannelId, Channel)>,
    lines_by_ssrc: BTreeMap<u32, Mid>,
    pub(crate) connected: bool,
    ended: bool,
}

impl Session {
    pub(crate) fn new(now: Instant, address: SocketAddr, certificate: &Certificate) -> Self {
        let config = RtcConfig::new()
            .set_crypto_provider(certificate.provider.clone())
            .set_dtls_cert(certificate.certificate.clone())
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .enable_vp9(true)
            .enable_av1(true)
            .enable_h264(true);
        let mut rtc = config.build(now);
        let candidate =
            Candidate::host(address, "udp").expect("a peer's own address is a concrete one");
        rtc.add_local_candidate(candidate);
        Self {
            rtc,
            address,
            timeout: now,
            pending: None,
            offer_id: 0,
            receive_lines: Vec::new(),
            channels: BTreeMap::new(),
            channel_names: Vec::new(),
            lines_by_ssrc: BTreeMap::new(),
            connected: false,
            ended: false,
        }
    }

    pub(crate) fn timeout(&self) -> Option<Instant> {
        (!self.ended).then_some(self.timeout)
    }

    /// The offer that waits for its answer, with its id.
    pub(crate) fn open_offer(&self) -> Option<(u32, String)> {
        self.pending
            .as_ref()
            .map(|open| (open.id, open.sdp.clone()))
    }

    /// Makes an offer: with lines for publications that have none, `audio` and `video` more lines to receive on, the
    /// three data channels if there are none. Gives each publication its line. **Not while an offer is
    /// open:** the lines that it asks for would be lost.
    pub(crate) fn offer(
        &mut self,
        publications: &mut [Publication],
        more: MoreLines,
        ice_restart: bool,
    ) -> Option<(u32, String)> {
        debug_assert!(self.pending.is_none(), "one offer at a time");
        let mut api = self.rtc.sdp_api();
        if ice_restart {
            api.ice_restart(true);
        }
        for line in &self.receive_lines {
            // The library has no other way to ask for an offer in which nothing changed: a line that is turned and
            // turned back. Sending and receiving first, so that what it receives is not thrown away.
            api.set_direction(line.mid, Direction::SendRecv);
            api.set_direction(line.mid, Direction::RecvOnly);
        }
        for (kind, count) in [
            (MediaKind::Audio, more.audio),
            (MediaKind::Video, more.video),
        ] {
            for _ in 0..count {
                let mid = api.add_media(kind, Direction::RecvOnly, None, None, None);
                self.receive_lines.push(ReceiveLine { mid });
            }
        }
        for publication in publications {
            match (publication.stage, publication.line) {
                (crate::publication::Stage::Announced, _) => {}
                (crate::publication::Stage::Ended, None) => {}
                (crate::publication::Stage::Ended, Some(mid)) => {
                    api.set_direction(mid, Direction::Inactive)
                }
                (_, Some(mid)) => api.set_direction(mid, Direction::SendOnly),
                (_, None) => {
                    let mid = api.add_media(
                        media_kind(publication.announcement.codec.kind()),
                        Direction::SendOnly,
                        Some("peer-stream".into()),
                        Some(publication.cid()),
                        simulcast(&publication.announcement.rids),
                    );
                    publication.line = Some(mid);
                }
            }
        }
        if self.channel_names.is_empty() {
            for channel in Channel::ALL {
                let config = ChannelConfig {
                    label: channel.label().into(),
                    ordered: channel == Channel::Reliable,
                    reliability: match channel {
                        Channel::Reliable => Reliability::Reliable,
                        Channel::Lossy | Channel::DataTrack => {
                            Reliability::MaxRetransmits { retransmits: 0 }
                        }
                    },
                    ..Default::default()
                };
                let id = api.add_channel_with_config(config);
                self.channel_names.push((id, channel));
            }
        }
        let (offer, pending) = api.apply()?;
        self.offer_id += 1;
        let (id, sdp) = (self.offer_id, offer.to_sdp_string());
        self.pending = Some(Open {
            id,
            sdp: sdp.clone(),
            pending,
        });
        Some((id, sdp))
    }

    /// Takes the answer to the open offer. `id` 0 stands for whichever is open.
    pub(crate) fn answer(&mut self, id: u32, sdp: &str) -> Result<(), String> {
        let Some(open) = self.pending.take() else {
            return Err("an answer to no offer".into());
        };
        if id != 0 && id != open.id {
            let reason = format!("an answer to offer {id}, but {} is open", open.id);
            self.pending = Some(open);
            return Err(reason);
        }
        let answer = SdpAnswer::from_sdp_string(sdp)
            .map_err(|error| format!("an unreadable answer: {error}"))?;
        self.rtc
            .sdp_api()
            .accept_answer(open.pending, answer)
            .map_err(|error| format!("a refused answer: {error}"))
    }

    /// Answers the server's offer.
    pub(crate) fn accept(&mut self, sdp: &str) -> Result<String, String> {
        let offer = SdpOffer::from_sdp_string(sdp)
            .map_err(|error| format!("an unreadable offer: {error}"))?;
        let answer = self
            .rtc
            .sdp_api()
            .accept_offer(offer)
            .map_err(|error| format!("a refused offer: {error}"))?;
        Ok(answer.to_sdp_string())
    }

    /// The payload type that a line takes this codec with.
    pub(crate) fn payload_type(&self, mid: Mid, codec: Codec) -> Option<Pt> {
        let media = self.rtc.media(mid)?;
        if !media.direction().is_sending() {
            return None;
        }
        let wanted = match codec {
            Codec::Opus => str0m::format::Codec::Opus,
            Codec::H264 => str0m::format::Codec::H264,
            Codec::Vp8 => str0m::format::Codec::Vp8,
            Codec::Vp9 => str0m::format::Codec::Vp9,
            Codec::Av1 => str0m::format::Codec::Av1,
        };
        let params = self.rtc.codec_config().params();
        let fits = |pt: &&Pt| {
            params.iter().any(|param| {
                // H.264 travels fragmented (FU-A), which only mode 1 allows (RFC 6184 §6.2).
                param.pt() == **pt
                    && param.spec().codec == wanted
                    && (codec != Codec::H264 || param.spec().format.packetization_mode == Some(1))
            })
        };
        media.remote_pts().iter().find(fits).copied()
    }

    /// Puts one packet on a line. False when the line has no stream for the layer.
    pub(crate) fn write(
        &mut self,
        now: Instant,
        mid: Mid,
        pt: Pt,
        layer: &mut Layer,
        packet: Packet,
    ) -> bool {
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(mid, layer.rid) else {
            return false;
        };
        let extensions = ExtensionValues {
            audio_level: packet.audio_level.map(|level| -(level.min(127) as i8)),
            voice_activity: packet.audio_level.map(|level| level < 127),
            ..Default::default()
        };
        let payload: &[u8] = &packet.payload;
        let write = RtpWrite::new(pt, layer.sequence.into(), packet.time, now, payload)
            .marker(packet.marker)
            .ext_vals(extensions)
            .nackable(packet.audio_level.is_none());
        stream.write_rtp(write);
        layer.sequence += 1;
        true
    }

    pub(crate) fn request_key_frame(&mut self, mid: Mid) -> bool {
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_rx_by_mid(mid, None) else {
            return false;
        };
        stream.request_keyframe(KeyframeRequestKind::Pli);
        true
    }

    /// False when the channel is not open or full.
    pub(crate) fn send(&mut self, channel: Channel, bytes: &[u8]) -> bool {
        let Some(mut open) = self
            .channels
            .get(&channel)
            .and_then(|id| self.rtc.channel(*id))
        else {
            return false;
        };
        open.write(true, bytes).unwrap_or(false)
    }

    pub(crate) fn has_channel(&self, channel: Channel) -> bool {
        self.channels.contains_key(&channel)
    }

    /// False when the bytes are none of this connection's.
    pub(crate) fn datagram(&mut self, now: Instant, source: SocketAddr, bytes: &[u8]) -> bool {
        let Ok(receive) = Receive::new(Protocol::Udp, source, self.address, bytes) else {
            return false;
        };
        let input = Input::Receive(now, receive);
        self.rtc.accepts(&input) && self.rtc.handle_input(input).is_ok()
    }

    pub(crate) fn advance(&mut self, now: Instant) {
        // An error here has ended the connection; `poll` tells.
        let _ = self.rtc.handle_input(Input::Timeout(now));
    }

    pub(crate) fn close(&mut self) {
        let _ = self.rtc.close();
    }

    /// Hands out everything that there is. **Call after every other call.**
    pub(crate) fn drain(&mut self, mut take: impl FnMut(Happened)) {
        if self.ended {
            return;
        }
        loop {
            let event = match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.timeout = at;
                    break;
                }
                Ok(Output::Transmit(transmit)) => {
                    take(Happened::Transmit {
                        destination: transmit.destination,
                        bytes: Bytes::from(Vec::from(transmit.contents)),
                    });
                    continue;
                }
                Ok(Output::Event(event)) => event,
                Err(error) => {
                    self.ended = true;
                    take(Happened::Failed(error.to_string()));
                    take(Happened::Disconnected);
                    return;
                }
            };
            match event {
                Event::Connected => {
                    self.connected = true;
                    take(Happened::Connected);
                }
                Event::IceConnectionStateChange(str0m::IceConnectionState::Disconnected)
                | Event::Closed => {
                    self.connected = false;
                    take(Happened::Disconnected);
                }
                Event::ChannelOpen(id, label) => {
                    let named = self
                        .channel_names
                        .iter()
                        .find(|(known, _)| *known == id)
                        .map(|(_, name)| *name);
                    if let Some(channel) = named.or_else(|| Channel::from_label(&label)) {
                        self.channels.insert(channel, id);
                        take(Happened::ChannelOpen(channel));
                    }
                }
                Event::ChannelClose(id) => self.channels.retain(|_, open| *open != id),
                Event::ChannelData(data) => {
                    let channel = self
                        .channels
                        .iter()
                        .find(|(_, id)| **id == data.id)
                        .map(|(channel, _)| *channel);
                    if let Some(channel) = channel {
                        take(Happened::Data {
                            channel,
                            bytes: data.data.into(),
                        });
                    }
                }
                Event::RtpPacket(packet) if !packet.payload.is_empty() => {
                    if let Some(mid) = self.line_of(&packet) {
                        take(Happened::Rtp {
                            mid,
                            packet: Box::new(packet),
                        });
                    }
                }
                Event::KeyframeRequest(request) => take(Happened::KeyFrameRequest {
                    mid: request.mid,
                    rid: request.rid.map(|rid| rid.to_string()),
                }),
                _ => {}
            }
        }
        if !self.rtc.is_alive() {
            self.ended = true;
            take(Happened::Disconnected);
        }
    }

    fn line_of(&mut self, packet: &RtpPacket) -> Option<Mid> {
        let ssrc = packet.header.ssrc;
        if let Some(mid) = self.lines_by_ssrc.get(&*ssrc) {
            return Some(*mid);
        }
        let mid = self
            .rtc
            .direct_api()
            .stream_rx(&ssrc)
            .map(|stream| stream.mid())?;
        self.lines_by_ssrc.insert(*ssrc, mid);
        Some(mid)
    }
}

/// How many more lines to receive on an offer asks for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct MoreLines {
    pub(crate) audio: u32,
    pub(crate) video: u32,
}

fn media_kind(kind: Kind) -> MediaKind {
    match kind {
        Kind::Audio => MediaKind::Audio,
        Kind::Video => MediaKind::Video,
    }
}

fn simulcast(rids: &[String]) -> Option<Simulcast> {
    if rids.is_empty() {
        return None;
    }
    let mut simulcast = Simulcast::new();
    for rid in rids {
        simulcast.add_send_layer(SimulcastLayer::new(rid));
    }
    Some(simulcast)
}
