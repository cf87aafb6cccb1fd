//! One WebRTC connection: the library that carries it, and what we keep beside it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use amphi_media::{Layer, MediaKind, Rid, TrackId};
use bytes::Bytes;
use str0m::change::SdpPendingOffer;
use str0m::channel::ChannelId;
use str0m::media::{Mid as StrMid, Pt, Rid as StrRid};
use str0m::net::TcpType;
use str0m::rtp::{Extension, ExtensionMap, Ssrc};
use str0m::{Candidate, Rtc};

use crate::dependency;
use crate::egress::Egress;
use crate::format::{self, Format, PayloadTypes};
use crate::quality::{self, Meter};
use crate::track::LAYERS;
use crate::vp9::Cut;
use crate::{Channel, Config, SendLine, Transport, Want};

/// Addresses of the other side that are remembered as verified: a phone that walks from Wi-Fi to cellular has two.
const PATHS_MAX: usize = 8;

/// SSRCs remembered of one session: main and RTX of every layer of the tracks that one client can send.
const SSRCS_MAX: usize = 256;

/// Packets with an unknown SSRC that are looked at per second. The library makes room for an SSRC before it can know
/// whether the packet is genuine; a browser that starts a camera with three layers brings six new ones, and padding
/// for bandwidth probes until they are known.
const NEW_SSRC_PACKETS_PER_SECOND: u32 = 300;

/// Packets that the library keeps of one line to send again, and for how long.
const RESEND_PACKETS: usize = 1_024;
const RESEND_AGE: Duration = Duration::from_secs(3);

/// Share of repeated bytes in what a line sends, above which repeats are dropped: a receiver that asks for everything
/// twice must not double its cost, one that loses a third must still be served.
const RESEND_SHARE_MAX: f32 = 0.5;

/// Data waiting in the library for one channel before ours has to wait.
pub(crate) const CHANNEL_BUFFERED_MAX: usize = 256 * 1024;

/// Reliable data waiting for one session. A session that lets this much pile up (half a minute of a slow link) is
/// ended, because leaving out one message would break the order that it relies on.
pub(crate) const RELIABLE_QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// One of our sending lines.
pub(crate) struct Line {
    pub(crate) mid: StrMid,
    pub(crate) name: SendLine,
    pub(crate) kind: MediaKind,
    /// What it carries; none keeps the line and its numbering for the next track.
    pub(crate) track: Option<TrackId>,
    /// The other side has agreed to it.
    pub(crate) agreed: bool,
    pub(crate) want: Want,
    /// The layer that it carries.
    pub(crate) layer: Option<u8>,
    /// The layer that it should carry.
    pub(crate) target: Option<u8>,
    /// Told to the caller as paused although it is wanted.
    pub(crate) starved: bool,
    pub(crate) cut: Cut,
    pub(crate) egress: Egress,
    pub(crate) ssrc: Option<Ssrc>,
    /// The payload type for the format that was sent last; asked for anew after each negotiation.
    pub(crate) payload_type: Option<(Format, Option<Pt>)>,
    /// The other side wants dependency descriptors, as it said when it was asked last.
    takes_dependencies: Option<bool>,
}

/// One of the other side's sending lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receiving {
    pub(crate) track: TrackId,
    /// The names of its layers, by `amphi_media::Layer`.
    pub(crate) rids: [Option<Rid>; LAYERS],
}

/// Where the packets of one SSRC go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) track: TrackId,
    pub(crate) layer: u8,
}

/// An offer of ours that waits for its answer.
pub(crate) struct Pending {
    pub(crate) offer: SdpPendingOffer,
    /// Lines (by index) that carry something new once it is answered.
    pub(crate) lines: Vec<usize>,
}

pub(crate) struct Session {
    pub(crate) rtc: Rtc,
    pub(crate) ufrag: String,
    /// When the library wants to be called.
    pub(crate) wake_at: Option<Instant>,
    /// Something was written into it since it was last driven.
    pub(crate) touched: bool,
    /// It is over; only `CloseSession` is heard.
    pub(crate) ended: bool,
    /// The caller is closing it: only its last datagrams are of interest.
    pub(crate) closing: bool,
    pub(crate) connected: bool,
    pub(crate) interrupted: bool,
    pub(crate) paths: VecDeque<(Transport, SocketAddr)>,
    pub(crate) receiving: BTreeMap<StrMid, Receiving>,
    pub(crate) lines: Vec<Line>,
    pub(crate) wants: BTreeMap<TrackId, Want>,
    pub(crate) pending: Option<Pending>,
    /// We have put the data channels into an offer of ours.
    pub(crate) offered_channels: bool,
    pub(crate) channels: BTreeMap<Channel, ChannelId>,
    pub(crate) reliable_queue: VecDeque<Bytes>,
    pub(crate) reliable_queued_bytes: usize,
    pub(crate) payload_types: PayloadTypes,
    pub(crate) routes: BTreeMap<u32, Option<Route>>,
    known_ssrcs: BTreeSet<u32>,
    new_ssrc_budget: u32,
    new_ssrc_since: Option<Instant>,
    pub(crate) quality: Meter,
    /// NACKs counted so far, by line, layer and direction, to count only what is new.
    pub(crate) nacks: BTreeMap<(StrMid, Rid, bool), u64>,
    pub(crate) clock: SenderClock,
}

/// The library panicked. It is ours to report, and this session's end only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panicked;

/// Runs the library on what the other side sent. A bug in it that some packet or description sets off must not take
/// the room's other sessions along.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked)
}

impl Session {
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        let mut builder = Rtc::builder()
            .set_crypto_provider(config.identity.inner.crypto.clone())
            .set_dtls_cert(config.identity.inner.certificate.clone())
            .set_ice_lite(true)
            .set_rtp_mode(true)
            .set_extension_map(extensions())
            .set_stats_interval(Some(quality::INTERVAL))
            // Receivers put sound and picture together by sender reports; every 5 s (the default for audio) would
            // leave them apart for the first 15.
            .set_rtcp_report_interval_audio(Duration::from_secs(1))
            .set_sctp_max_buffered_amount(4 * CHANNEL_BUFFERED_MAX)
            .set_send_buffer_video(RESEND_PACKETS);
        format::configure(builder.codec_config(), &config.codecs);
        let mut rtc = builder.build(now);
        for address in &config.udp_candidates {
            if let Ok(candidate) = Candidate::host(*address, "udp") {
                rtc.add_local_candidate(candidate);
            }
        }
        for address in &config.tcp_candidates {
            if let Ok(candidate) = Candidate::builder()
                .tcp()
                .host(*address)
                .tcptype(TcpType::Passive)
                .build()
            {
                rtc.add_local_candidate(candidate);
            }
        }
        let ufrag = rtc.direct_api().local_ice_credentials().ufrag;
        let payload_types = PayloadTypes::of(&rtc);
        Self {
            rtc,
            ufrag,
            wake_at: None,
            touched: false,
            ended: false,
            closing: false,
            connected: false,
            interrupted: false,
            paths: VecDeque::new(),
            receiving: BTreeMap::new(),
            lines: Vec::new(),
            wants: BTreeMap::new(),
            pending: None,
            offered_channels: false,
            channels: BTreeMap::new(),
            reliable_queue: VecDeque::new(),
            reliable_queued_bytes: 0,
            payload_types,
            routes: BTreeMap::new(),
            known_ssrcs: BTreeSet::new(),
            new_ssrc_budget: NEW_SSRC_PACKETS_PER_SECOND,
            new_ssrc_since: None,
            quality: Meter::default(),
            nacks: BTreeMap::new(),
            clock: SenderClock::default(),
        }
    }

    /// True when the path is new. The oldest is forgotten when there are too many.
    pub(crate) fn verify(&mut self, path: (Transport, SocketAddr)) -> bool {
        if self.paths.contains(&path) {
            return false;
        }
        if self.paths.len() == PATHS_MAX {
            self.paths.pop_front();
        }
        self.paths.push_back(path);
        true
    }

    /// Whether an RTP packet with this SSRC may be shown to the library.
    pub(crate) fn admits(&mut self, ssrc: u32, now: Instant) -> bool {
        if self.known_ssrcs.contains(&ssrc) {
            return true;
        }
        if self
            .new_ssrc_since
            .is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1))
        {
            self.new_ssrc_since = Some(now);
            self.new_ssrc_budget = NEW_SSRC_PACKETS_PER_SECOND;
        }
        let admitted = self.new_ssrc_budget > 0;
        self.new_ssrc_budget = self.new_ssrc_budget.saturating_sub(1);
        admitted
    }

    /// A packet with this SSRC was authenticated.
    pub(crate) fn know(&mut self, ssrc: u32) {
        if self.known_ssrcs.len() >= SSRCS_MAX {
            self.known_ssrcs.clear();
            self.routes.clear();
        }
        self.known_ssrcs.insert(ssrc);
    }

    /// Where packets of this SSRC go: looked up once, then remembered.
    pub(crate) fn route(&mut self, ssrc: Ssrc) -> Option<Route> {
        if let Some(route) = self.routes.get(&*ssrc) {
            return *route;
        }
        let mut api = self.rtc.direct_api();
        let (mid, rid) = api
            .stream_rx(&ssrc)
            .map(|stream| (stream.mid(), stream.rid()))?;
        let route = self.receiving.get(&mid).map(|line| Route {
            track: line.track,
            layer: line.layer(rid),
        });
        if self.routes.len() < SSRCS_MAX {
            self.routes.insert(*ssrc, route);
        }
        route
    }

    /// After each negotiation: payload types may have other numbers.
    pub(crate) fn renegotiated(&mut self) {
        self.routes.clear();
        self.payload_types = PayloadTypes::of(&self.rtc);
        for line in &mut self.lines {
            line.payload_type = None;
            line.takes_dependencies = None;
        }
    }

    pub(crate) fn line_of(&self, mid: StrMid) -> Option<usize> {
        self.lines.iter().position(|line| line.mid == mid)
    }

    pub(crate) fn line_with(&self, track: TrackId) -> Option<usize> {
        self.lines.iter().position(|line| line.track == Some(track))
    }

    pub(crate) fn channel_of(&self, id: ChannelId) -> Option<Channel> {
        self.channels
            .iter()
            .find(|(_, other)| **other == id)
            .map(|(channel, _)| *channel)
    }
}

impl Line {
    pub(crate) fn new(mid: StrMid, name: SendLine, kind: MediaKind) -> Self {
        Self {
            mid,
            name,
            kind,
            track: None,
            agreed: false,
            want: Want::AtMost(Layer::HIGH),
            layer: None,
            target: None,
            starved: false,
            cut: Cut::default(),
            egress: Egress::default(),
            ssrc: None,
            payload_type: None,
            takes_dependencies: None,
        }
    }

    /// The line's SSRC; the first call also says how much the library keeps for sending again.
    pub(crate) fn ssrc(&mut self, rtc: &mut Rtc) -> Option<Ssrc> {
        if self.ssrc.is_none() {
            let mut api = rtc.direct_api();
            let stream = api.stream_tx_by_mid(self.mid, None)?;
            stream.set_rtx_cache(RESEND_PACKETS, RESEND_AGE, Some(RESEND_SHARE_MAX));
            self.ssrc = Some(stream.ssrc());
        }
        self.ssrc
    }

    pub(crate) fn takes_dependencies(&mut self, rtc: &Rtc) -> bool {
        *self.takes_dependencies.get_or_insert_with(|| {
            let media = rtc.media(self.mid);
            media.is_some_and(|media| {
                let extensions = media.remote_extmap();
                extensions.id_of(dependency::extension()).is_some()
            })
        })
    }

    pub(crate) fn payload_type(&mut self, rtc: &Rtc, format: Format) -> Option<Pt> {
        match self.payload_type {
            Some((known, payload_type)) if known == format => payload_type,
            _ => {
                let payload_type = format::payload_type(rtc, self.mid, format);
                self.payload_type = Some((format, payload_type));
                payload_type
            }
        }
    }
}

impl Receiving {
    /// `rids` in the order of the offer. LiveKit's names say which layer they are; others go by their order.
    pub(crate) fn new(track: TrackId, rids: &[String]) -> Self {
        let mut by_layer = [None; LAYERS];
        let named = |name: &str| ["q", "h", "f"].iter().position(|known| *known == name);
        let all_named = rids.iter().all(|name| named(name).is_some());
        for (index, name) in rids.iter().enumerate().take(LAYERS) {
            let layer = if all_named {
                named(name).unwrap_or(index)
            } else {
                index
            };
            by_layer[layer] = Some(Rid::new(name));
        }
        Self {
            track,
            rids: by_layer,
        }
    }

    fn layer(&self, rid: Option<StrRid>) -> u8 {
        let Some(rid) = rid else {
            return Layer::HIGH.0;
        };
        let rid = Rid::new(&rid);
        (0u8..)
            .zip(&self.rids)
            .find(|(_, name)| **name == Some(rid))
            .map_or(Layer::HIGH.0, |(layer, _)| layer)
    }
}

fn extensions() -> ExtensionMap {
    let mut map = ExtensionMap::empty();
    map.set(1, Extension::AudioLevel);
    map.set(3, Extension::TransportSequenceNumber);
    map.set(4, Extension::RtpMid);
    map.set(10, Extension::RtpStreamId);
    map.set(11, Extension::RepairedRtpStreamId);
    map.set(13, dependency::extension());
    map
}

/// Puts the publisher's wall clock on ours, for one session, so that sound and picture of one member stay together:
/// both are sent on with times from this one relation, not with the jitter of their arrival.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SenderClock {
    anchor: Option<(i64, Instant)>,
}

/// Arrivals this late against the relation mean that the publisher's clock was set.
const CLOCK_JUMP: Duration = Duration::from_secs(2);

impl SenderClock {
    /// When, on our clock, something was captured that arrived at `arrived`; never later than that. The relation is
    /// that of the quickest packet so far.
    pub(crate) fn local(&mut self, capture_us: i64, arrived: Instant) -> Instant {
        let expected = self.anchor.and_then(|(anchor_us, at)| {
            let since = Duration::from_micros(capture_us.abs_diff(anchor_us));
            if capture_us >= anchor_us {
                at.checked_add(since)
            } else {
                at.checked_sub(since)
            }
        });
        match expected {
            Some(expected) if expected <= arrived && arrived - expected < CLOCK_JUMP => expected,
            _ => {
                self.anchor = Some((capture_us, arrived));
                arrived
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "a first instant to count from; tests add to it"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    fn rids(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn known_layer_names_say_what_they_are_and_others_go_by_order() {
        let layer = |names: &[&str], rid: &str| {
            Receiving::new(TrackId(1), &rids(names)).layer(Some(StrRid::from(rid)))
        };
        assert_eq!(
            [layer(&["f", "h", "q"], "f"), layer(&["f", "h", "q"], "q")],
            [2, 0]
        );
        assert_eq!([layer(&["q", "h"], "q"), layer(&["q", "h"], "h")], [0, 1]);
        assert_eq!(
            [
                layer(&["l", "m", "hi"], "l"),
                layer(&["l", "m", "hi"], "hi")
            ],
            [0, 2]
        );
        assert_eq!(Receiving::new(TrackId(1), &[]).layer(None), 2);
    }

    #[test]
    fn a_capture_time_is_that_of_the_quickest_packet_on_our_clock() {
        let now = start();
        let ms = Duration::from_millis;
        let mut clock = SenderClock::default();
        assert_eq!(clock.local(1_000_000, now), now);
        assert_eq!(
            clock.local(1_020_000, now + ms(50)),
            now + ms(20),
            "30 ms of jitter are taken out"
        );
        assert_eq!(
            clock.local(1_040_000, now + ms(35)),
            now + ms(35),
            "a quicker packet is the new relation"
        );
        assert_eq!(clock.local(1_060_000, now + ms(90)), now + ms(55));
        assert_eq!(
            clock.local(-9_000_000_000, now + ms(100)),
            now + ms(100),
            "a clock that was set begins anew"
        );
    }
}
