use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use amphi_media::{Layer, SessionId, TrackId};
use str0m::net::{Protocol as StrProtocol, Receive};
use str0m::{Event, Input as StrInput, Output as StrOutput};

use crate::quality::Way;
use crate::session::{Session, guarded};
use crate::speakers;
use crate::stun::{self, Protocol};
use crate::track::Track;
use crate::{Config, Counters, Input, Output, Quality, Speaker, Transport, Want};

/// Largest datagram that is looked at. Browsers keep below 1,300 bytes; the library's buffers hold 2,000.
const DATAGRAM_BYTES_MAX: usize = 2_000;

/// A session that asks to be called at once is called again after this, so that it cannot keep the caller busy.
const WAKE_MIN: Duration = Duration::from_millis(1);

/// The library's "never" is far away.
const WAKE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Paths and addresses of one datagram.
#[derive(Clone, Copy)]
pub(crate) struct Path {
    transport: Transport,
    source: SocketAddr,
    destination: SocketAddr,
}

/// What is due at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Timer {
    Session(SessionId),
    Track(TrackId),
    Speakers,
}

/// The WebRTC sessions of one room, and which packet goes to whom.
///
/// **After every [`Sfu::handle_input`], or after several with the datagrams of one read of the socket, call
/// [`Sfu::poll_output`] until it returns none, then ask [`Sfu::poll_timeout`] when to come back with
/// [`Input::Timeout`].** Several datagrams before one draining cost less, because each subscriber's session is then
/// worked through once for all of them.
///
/// `now` must not go backwards; where it does, the latest one seen holds.
pub struct Sfu {
    pub(crate) config: Config,
    pub(crate) counters: Counters,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) tracks: BTreeMap<TrackId, Track>,
    /// Sessions that something was written into since they were last driven.
    pub(crate) touched: Vec<SessionId>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) now: Option<Instant>,
    timers: BTreeSet<(Instant, Timer)>,
    speakers_at: Option<Instant>,
    speakers: Vec<Speaker>,
    /// A media packet came out of the datagram that is being handled.
    pub(crate) saw_packet: bool,
}

impl Sfu {
    pub fn new(config: Config) -> Self {
        Self {
            config,
            counters: Counters::default(),
            sessions: BTreeMap::new(),
            tracks: BTreeMap::new(),
            touched: Vec::new(),
            outputs: VecDeque::new(),
            now: None,
            timers: BTreeSet::new(),
            speakers_at: None,
            speakers: Vec::new(),
            saw_packet: false,
        }
    }

    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        let now = self.now.map_or(now, |before| before.max(now));
        self.now = Some(now);
        // Packets that were forwarded before this input leave first: what it changes holds for every packet after it.
        if !matches!(input, Input::Datagram { .. }) {
            self.flush(now);
        }
        match input {
            Input::OpenSession { session } => self.open(session, now),
            Input::CloseSession { session } => self.close(session, now),
            Input::Datagram {
                session,
                transport,
                source,
                destination,
                bytes,
            } => {
                self.take_datagram(
                    session,
                    Path {
                        transport,
                        source,
                        destination,
                    },
                    bytes,
                    now,
                );
            }
            Input::Offer {
                session,
                sdp,
                receives,
                sends,
            } => self.take_offer(session, sdp, &receives, sends, now),
            Input::MakeOffer {
                session,
                add,
                remove,
                ice_restart,
            } => {
                self.make_offer(session, add, &remove, ice_restart, now);
            }
            Input::Answer { session, sdp } => self.take_answer(session, sdp, now),
            Input::Release { session, mid } => self.release(session, &mid),
            Input::Select {
                session,
                track,
                want,
            } => self.select(session, track, want, now),
            Input::Mute { track, muted } => self.mute(track, muted, now),
            Input::StopTrack { track } => self.stop_track(track),
            Input::TakeFrames { track, on } => self.take_frames(track, on, now),
            Input::FrameSize { track, size } => self.set_frame_size(track, size, now),
            Input::TakeLayers { track, on } => self.take_layers(track, on),
            Input::RequestKeyFrame { track } => self.request_key_frame(track, now),
            Input::SendData {
                session,
                channel,
                bytes,
            } => self.send_data(session, channel, bytes, now),
            Input::Timeout => self.pass_time(now),
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty()
            && let Some(now) = self.now
        {
            self.flush(now);
        }
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Timeout`] if nothing else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let first = self.timers.first().map(|(at, _)| *at);
        if self.touched.is_empty() {
            first
        } else {
            self.now.or(first)
        }
    }

    /// Who speaks, loudest first, as last told by [`Output::Speakers`].
    pub fn speakers(&self) -> &[Speaker] {
        &self.speakers
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn open(&mut self, id: SessionId, now: Instant) {
        if self.sessions.contains_key(&id) {
            self.close(id, now);
        }
        let session = Session::new(&self.config, now);
        self.outputs.push_back(Output::Credentials {
            session: id,
            ufrag: session.ufrag.clone(),
        });
        self.sessions.insert(id, session);
        self.counters.sessions_opened += 1;
        self.drive(id, now);
    }

    fn close(&mut self, id: SessionId, now: Instant) {
        self.detach_session(id);
        if let Some(session) = self.sessions.get_mut(&id) {
            self.counters.sessions_closed += 1;
            session.closing = true;
            if !session.ended && session.rtc.is_alive() && guarded(|| session.rtc.close()).is_ok() {
                self.drain(id, now);
            }
        }
        if let Some(session) = self.sessions.remove(&id)
            && let Some(at) = session.wake_at
        {
            self.timers.remove(&(at, Timer::Session(id)));
        }
    }

    /// The session is over by itself. It stays, deaf, until the caller closes it.
    pub(crate) fn end(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.ended) else {
            return;
        };
        session.ended = true;
        if session.closing {
            return;
        }
        if let Some(at) = session.wake_at.take() {
            self.timers.remove(&(at, Timer::Session(id)));
        }
        self.counters.sessions_ended += 1;
        self.detach_session(id);
        self.outputs.push_back(Output::Ended { session: id });
    }

    /// The library broke on this session.
    pub(crate) fn end_broken(&mut self, id: SessionId) {
        self.counters.library_panics += 1;
        self.end(id);
    }

    /// Nothing is taken from or sent to this session any more.
    fn detach_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.receiving.clear();
        session.routes.clear();
        session.pending = None;
        session.reliable_queue.clear();
        session.reliable_queued_bytes = 0;
        for line in &mut session.lines {
            line.track = None;
        }
        let mut less_taken = Vec::new();
        for (track_id, track) in &mut self.tracks {
            let before = track.subscribers.len();
            track
                .subscribers
                .retain(|subscriber| subscriber.session != id);
            if track.source.is_some_and(|source| source.session == id) {
                track.lose_source();
            } else if track.subscribers.len() < before {
                less_taken.push(*track_id);
            }
        }
        for track in less_taken {
            self.weigh_demand(track);
        }
    }

    fn take_datagram(&mut self, id: SessionId, path: Path, bytes: &[u8], now: Instant) {
        self.counters.datagrams_in += 1;
        self.counters.bytes_in += bytes.len() as u64;
        let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.ended) else {
            self.counters.dropped_unknown_session += 1;
            return;
        };
        if bytes.len() > DATAGRAM_BYTES_MAX {
            self.counters.dropped_oversize += 1;
            return;
        }
        let protocol = bytes
            .first()
            .map_or(Protocol::Unknown, |first| stun::classify(*first));
        let verified = session.paths.contains(&(path.transport, path.source));
        match protocol {
            Protocol::Unknown => {
                self.counters.dropped_garbage += 1;
                return;
            }
            Protocol::Dtls | Protocol::Media if !verified => {
                self.counters.dropped_unverified += 1;
                return;
            }
            Protocol::Stun | Protocol::Dtls | Protocol::Media => {}
        }
        let ssrc = rtp_ssrc(protocol, bytes);
        if let Some(ssrc) = ssrc {
            self.counters.rtp_in += 1;
            if !session.admits(ssrc, now) {
                self.counters.dropped_ssrc_flood += 1;
                return;
            }
        } else if protocol == Protocol::Media {
            self.counters.rtcp_in += 1;
        }
        let proto = match path.transport {
            Transport::Udp => StrProtocol::Udp,
            Transport::Tcp => StrProtocol::Tcp,
        };
        let Ok(receive) = Receive::new(proto, path.source, path.destination, bytes) else {
            self.counters.dropped_garbage += 1;
            return;
        };
        let input = StrInput::Receive(now, receive);
        if !session.rtc.accepts(&input) {
            match protocol {
                Protocol::Stun => self.counters.stun_refused += 1,
                _ => self.counters.dropped_unverified += 1,
            }
            return;
        }
        match guarded(|| session.rtc.handle_input(input)) {
            Err(_) => return self.end_broken(id),
            // A packet that makes no sense is not the end, unless the library says so.
            Ok(Err(_)) if session.rtc.is_alive() => self.counters.dtls_refused += 1,
            Ok(Err(_)) => {
                self.counters.dtls_refused += 1;
                return self.end(id);
            }
            Ok(Ok(())) => {}
        }
        self.saw_packet = false;
        self.drain(id, now);
        match ssrc {
            Some(ssrc) if self.saw_packet => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.know(ssrc);
                }
            }
            Some(_) => self.counters.rtp_unused += 1,
            None => {}
        }
    }

    /// Marks a session as one to drive before the next output.
    pub(crate) fn touch(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id)
            && !session.touched
            && !session.ended
        {
            session.touched = true;
            self.touched.push(id);
        }
    }

    /// Drives every session that something was written into.
    pub(crate) fn flush(&mut self, now: Instant) {
        // Driving one can touch others (a key-frame request goes to the publisher), but each pass needs a packet or a
        // report that came in, so this ends.
        while let Some(id) = self.touched.pop() {
            self.drive(id, now);
        }
    }

    /// Tells the library the time, then takes everything out of it.
    pub(crate) fn drive(&mut self, id: SessionId, now: Instant) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.ended) else {
            return;
        };
        session.touched = false;
        match guarded(|| session.rtc.handle_input(StrInput::Timeout(now))) {
            Err(_) => self.end_broken(id),
            Ok(Err(_)) => self.end(id),
            Ok(Ok(())) => self.drain(id, now),
        }
    }

    fn drain(&mut self, id: SessionId, now: Instant) {
        loop {
            let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.ended) else {
                return;
            };
            match guarded(|| session.rtc.poll_output()) {
                Err(_) => return self.end_broken(id),
                Ok(Err(_)) => return self.end(id),
                Ok(Ok(StrOutput::Timeout(at))) => return self.wake(id, at, now),
                Ok(Ok(StrOutput::Transmit(transmit))) => {
                    let transport = match transmit.proto {
                        StrProtocol::Udp => Transport::Udp,
                        _ => Transport::Tcp,
                    };
                    // The library answers only STUN checks whose integrity holds (0x0101: binding success).
                    if transmit.contents.starts_with(&[0x01, 0x01])
                        && session.verify((transport, transmit.destination))
                    {
                        let source = transmit.destination;
                        self.outputs.push_back(Output::PathVerified {
                            session: id,
                            transport,
                            source,
                        });
                    }
                    self.counters.datagrams_out += 1;
                    self.counters.bytes_out += transmit.contents.len() as u64;
                    self.outputs.push_back(Output::Transmit {
                        transport,
                        source: transmit.source,
                        destination: transmit.destination,
                        bytes: Vec::from(transmit.contents).into(),
                    });
                }
                Ok(Ok(StrOutput::Event(event))) => self.take_event(id, event, now),
            }
        }
    }

    fn wake(&mut self, id: SessionId, at: Instant, now: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if !session.rtc.is_alive() {
            return self.end(id);
        }
        let at = (at < now + WAKE_MAX).then(|| at.max(now + WAKE_MIN));
        if session.wake_at != at {
            if let Some(before) = session.wake_at {
                self.timers.remove(&(before, Timer::Session(id)));
            }
            session.wake_at = at;
            if let Some(at) = at {
                self.timers.insert((at, Timer::Session(id)));
            }
        }
    }

    fn pass_time(&mut self, now: Instant) {
        while let Some((at, timer)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, timer));
            match timer {
                Timer::Session(id) => {
                    if let Some(session) = self.sessions.get_mut(&id) {
                        session.wake_at = None;
                    }
                    self.drive(id, now);
                }
                Timer::Track(id) => {
                    if let Some(track) = self.tracks.get_mut(&id) {
                        track.check_at = None;
                    }
                    self.check_track(id, now);
                }
                Timer::Speakers => {
                    self.speakers_at = None;
                    self.settle_speakers(now);
                }
            }
        }
        self.flush(now);
    }

    /// Sees to it that the track is looked at when it next needs to be.
    pub(crate) fn watch_track(&mut self, id: TrackId, now: Instant) {
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        let Some(due) = track.next_check(now) else {
            return;
        };
        if track.check_at.is_none_or(|at| due < at) {
            if let Some(before) = track.check_at.replace(due) {
                self.timers.remove(&(before, Timer::Track(id)));
            }
            self.timers.insert((due, Timer::Track(id)));
        }
    }

    pub(crate) fn forget_timer(&mut self, id: TrackId, at: Option<Instant>) {
        if let Some(at) = at {
            self.timers.remove(&(at, Timer::Track(id)));
        }
    }

    /// Somebody was heard: see who speaks when the interval is over.
    pub(crate) fn watch_speakers(&mut self, now: Instant) {
        if self.speakers_at.is_none() {
            let at = now + speakers::INTERVAL;
            self.speakers_at = Some(at);
            self.timers.insert((at, Timer::Speakers));
        }
    }

    fn settle_speakers(&mut self, now: Instant) {
        let mut speaking = Vec::new();
        let mut still = true;
        for (id, track) in &mut self.tracks {
            track.level.settle();
            still &= track.level.is_still();
            speaking.extend(track.level.speaker(*id));
        }
        speakers::sort(&mut speaking);
        if speakers::differ(&self.speakers, &speaking) {
            self.speakers.clone_from(&speaking);
            self.outputs.push_back(Output::Speakers(speaking));
        }
        if !still {
            self.watch_speakers(now);
        }
    }

    fn take_event(&mut self, id: SessionId, event: Event, now: Instant) {
        match event {
            Event::RtpPacket(packet) => {
                self.saw_packet = true;
                self.forward(id, packet, now);
            }
            Event::KeyframeRequest(request) => {
                let wanted = self.sessions.get(&id).and_then(|session| {
                    let line = session.lines.get(session.line_of(request.mid)?)?;
                    Some((line.track?, line.layer.or(line.target)?))
                });
                if let Some((track, layer)) = wanted {
                    self.ask_key_frame(track, layer, now);
                }
            }
            Event::Connected => self.connected(id, now),
            Event::IceConnectionStateChange(state) => self.ice_changed(id, state.is_disconnected()),
            Event::Closed => self.end(id),
            Event::ChannelOpen(channel, label) => self.channel_open(id, channel, &label),
            Event::ChannelData(data) => self.channel_data(id, data.id, data.data),
            Event::ChannelBufferedAmountLow(_) => self.send_waiting_data(id),
            Event::ChannelClose(channel) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.channels.retain(|_, other| *other != channel);
                }
            }
            Event::PeerStats(stats) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    // What it says about egress is not used: measured at 25 % loss it said 5 %. Receiver reports do.
                    session.quality.lose(Way::In, stats.ingress_loss_fraction);
                    session.quality.delay(stats.rtt);
                    if session.connected
                        && !session.interrupted
                        && let Some(quality) = session.quality.judge()
                    {
                        self.outputs.push_back(Output::Quality {
                            session: id,
                            quality,
                        });
                    }
                }
            }
            Event::MediaEgressStats(stats) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.quality.lose(Way::Out, stats.loss);
                    session.quality.delay(stats.rtt);
                    let rid = stats
                        .rid
                        .map_or(amphi_media::Rid::NONE, |rid| amphi_media::Rid::new(&rid));
                    let before = session
                        .nacks
                        .insert((stats.mid, rid, true), stats.nacks)
                        .unwrap_or(0);
                    self.counters.nacks_in += stats.nacks.saturating_sub(before);
                }
            }
            Event::MediaIngressStats(stats) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.quality.lose(Way::In, stats.loss);
                    let rid = stats
                        .rid
                        .map_or(amphi_media::Rid::NONE, |rid| amphi_media::Rid::new(&rid));
                    let before = session
                        .nacks
                        .insert((stats.mid, rid, false), stats.nacks)
                        .unwrap_or(0);
                    self.counters.nacks_out += stats.nacks.saturating_sub(before);
                }
            }
            // Lines are known from the descriptions, silence from the packets, sender reports from the packets too.
            _ => {}
        }
    }

    fn connected(&mut self, id: SessionId, now: Instant) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.connected = true;
        self.outputs.push_back(Output::Connected { session: id });
        if let Some(quality) = session.quality.say(Quality::Excellent) {
            self.outputs.push_back(Output::Quality {
                session: id,
                quality,
            });
        }
        // Key frames that were asked for when the lines were agreed have gone by.
        let waiting: Vec<(TrackId, u8)> = session
            .lines
            .iter()
            .filter_map(|line| Some((line.track?, line.target?)))
            .collect();
        for (track, layer) in waiting {
            self.ask_key_frame(track, layer, now);
        }
    }

    fn ice_changed(&mut self, id: SessionId, disconnected: bool) {
        let Some(session) = self
            .sessions
            .get_mut(&id)
            .filter(|session| session.connected)
        else {
            return;
        };
        if session.interrupted == disconnected {
            return;
        }
        session.interrupted = disconnected;
        if disconnected {
            self.outputs.push_back(Output::Interrupted { session: id });
            if let Some(quality) = session.quality.say(Quality::Lost) {
                self.outputs.push_back(Output::Quality {
                    session: id,
                    quality,
                });
            }
        } else {
            self.outputs.push_back(Output::Connected { session: id });
        }
    }

    /// What this session wants of the track.
    pub(crate) fn want(&self, id: SessionId, track: TrackId) -> Want {
        let known = self
            .sessions
            .get(&id)
            .and_then(|session| session.wants.get(&track));
        known.copied().unwrap_or(Want::AtMost(Layer::HIGH))
    }
}

/// The SSRC of an RTP packet; none for RTCP, which shares the port (RFC 5761 §4), and for everything else.
fn rtp_ssrc(protocol: Protocol, bytes: &[u8]) -> Option<u32> {
    let ssrc = bytes.get(8..12).filter(|_| protocol == Protocol::Media)?;
    let is_rtcp = (64..96).contains(&(bytes[1] & 0x7f));
    (!is_rtcp).then(|| u32::from_be_bytes([ssrc[0], ssrc[1], ssrc[2], ssrc[3]]))
}
