//! The packet path: from a publisher's session through its track to the lines that carry it, and to frames.
//!
//! Cost of one packet for n subscribers: one look into two small ordered maps per subscriber, one write into its
//! session, no copy of the payload; each touched session is then driven once (see `Sfu::flush`). Nothing here goes
//! over sessions or tracks that the packet does not concern.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use amphi_media::{Codec, Frame, Layer, MediaKind, Rid, SessionId, TrackId, VideoSize};
use str0m::media::{ExtensionValues, KeyframeRequestKind, Rid as StrRid};
use str0m::rtp::rtcp::SenderInfo;
use str0m::rtp::{RtpPacket, RtpWrite};

use crate::demand::Demand;
use crate::dependency::Dependency;
use crate::framer::{Framer, Report};
use crate::packet::{Packet, Start};
use crate::session::Session;
use crate::sfu::Sfu;
use crate::track::{Asked, Heard, LAYERS, Subscriber, Track};
use crate::vp9::Descriptor;
use crate::{Counters, Mid, Output, Want};

/// SRTP counts packets in 48 bits (RFC 3711 §3.3.1). The library's count of what comes from before the first packet, or claims
/// to by the number in an RTX packet, goes backwards from zero to the top of 64.
const SEQ_END: u64 = 1 << 48;

/// The highest layer that a track can have.
const HIGHEST: u8 = Layer::HIGH.0;

/// Largest payload that is sent on. The library's send buffer holds 2,000 bytes with header, extensions and tag.
const PAYLOAD_BYTES_MAX: usize = 1_500;

impl Sfu {
    /// A media packet of this session was authenticated.
    pub(crate) fn forward(&mut self, from: SessionId, rtp: RtpPacket, now: Instant) {
        let Some(session) = self.sessions.get_mut(&from) else {
            return;
        };
        let Some(route) = session.route(rtp.header.ssrc) else {
            self.counters.dropped_stopped += 1;
            return;
        };
        if *rtp.seq_no >= SEQ_END {
            self.counters.dropped_late += 1;
            return;
        }
        let heard = self
            .tracks
            .get_mut(&route.track)
            .map(|track| track.hear_ssrc(route.layer, *rtp.header.ssrc, now));
        match heard {
            Some(Heard::AsBefore) | None => {}
            Some(Heard::Another) => self.begin_layer_anew(route.track, route.layer, now),
            Some(Heard::Straggler) => {
                self.counters.dropped_late += 1;
                return;
            }
        }
        let Some(session) = self.sessions.get_mut(&from) else {
            return;
        };
        if rtp.payload.is_empty() {
            if let Some(track) = self.tracks.get_mut(&route.track) {
                self.counters.padding_in += 1;
                track.layers[usize::from(route.layer)]
                    .numbering
                    .skip(*rtp.seq_no);
            }
            return;
        }
        let Some(format) = session.payload_types.format(rtp.header.payload_type) else {
            self.counters.dropped_payload_type += 1;
            return;
        };
        if rtp.payload.len() > PAYLOAD_BYTES_MAX {
            self.counters.dropped_oversize += 1;
            return;
        }
        let Some(track) = self.tracks.get_mut(&route.track) else {
            self.counters.dropped_stopped += 1;
            return;
        };
        if track.muted {
            self.counters.dropped_muted += 1;
            return;
        }
        let numbering = &mut track.layers[usize::from(route.layer)].numbering;
        let Some(seq) = numbering.number(*rtp.seq_no) else {
            self.counters.dropped_late += 1;
            return;
        };
        self.counters.packets_in += 1;
        // Other codecs' dependency descriptors stay behind: their packets say what receivers need, and are thinned here.
        let av1 = (format.codec == Codec::Av1).then(|| {
            let places = &mut track.layers[usize::from(route.layer)].places;
            let dependency = Dependency::of(&rtp.header.ext_vals);
            places.of(seq, rtp.header.timestamp, &rtp.payload, dependency)
        });
        let clock_rate = format.codec.clock_rate();
        let capture_us = rtp
            .last_sender_info
            .and_then(|info| capture_us(rtp.header.timestamp, &info, clock_rate));
        let captured = capture_us.map_or(now, |us| session.clock.local(us, now));
        let packet = Packet {
            layer: route.layer,
            seq,
            timestamp: rtp.header.timestamp,
            time: rtp.time.numer(),
            marker: rtp.header.marker,
            format,
            // The library says -dBov as a negative number.
            audio_level: rtp
                .header
                .ext_vals
                .audio_level
                .map(|level| level.unsigned_abs().min(127)),
            voice: rtp.header.ext_vals.voice_activity,
            start: Start::of(format.codec, &rtp.payload),
            av1,
            payload: rtp.payload,
            capture_us,
            arrived: now,
        };
        let arrival = track.arrive(&packet);
        self.counters.key_frames_merged += u64::from(arrival.served);
        if let Some(level) = packet.audio_level {
            track.level.hear(level);
            self.watch_speakers(now);
        }
        if arrival.track_live {
            self.outputs.push_back(Output::TrackLive {
                track: route.track,
                codec: format.codec,
            });
        }
        if arrival.layers {
            self.layers_changed(route.track, now);
        }
        let hungry = self.distribute(route.track, &packet, arrival.entry, captured);
        let starving = self.frame(route.track, &packet, arrival.entry, now);
        if hungry || starving {
            self.ask_key_frame_again(route.track, packet.layer, now);
        }
        self.watch_track(route.track, now);
    }

    /// A layer goes on as another stream: who was shown it waits for its key frame, as after a switch.
    fn begin_layer_anew(&mut self, id: TrackId, layer: u8, now: Instant) {
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        for framer in track.framers() {
            if framer.layer() == Some(layer) {
                framer.pause();
            }
        }
        for subscriber in track.subscribers.clone() {
            let Some(session) = self.sessions.get_mut(&subscriber.session) else {
                continue;
            };
            let shown = session
                .lines
                .get(subscriber.line)
                .is_some_and(|line| line.layer == Some(layer));
            if shown {
                silence_line(session, subscriber.line);
                self.aim(id, subscriber, now);
            }
        }
    }

    /// Writes the packet to every line that carries its layer. `entry`: a decoder can start with it, so lines may
    /// switch to it. True when a line waits for a key frame of this layer.
    fn distribute(&mut self, id: TrackId, packet: &Packet, entry: bool, captured: Instant) -> bool {
        let Self {
            sessions,
            tracks,
            counters,
            touched,
            ..
        } = self;
        let Some(track) = tracks.get_mut(&id) else {
            return false;
        };
        let mut hungry = false;
        let descriptor = Descriptor::of(packet);
        for subscriber in &track.subscribers {
            let Some(session) = sessions.get_mut(&subscriber.session) else {
                continue;
            };
            // Before there are keys the library would keep every packet.
            if session.ended || !session.connected {
                continue;
            }
            let Session {
                rtc,
                lines,
                touched: is_touched,
                ..
            } = session;
            let Some(line) = lines.get_mut(subscriber.line) else {
                continue;
            };
            if line.layer != Some(packet.layer) {
                let wanted = line.target == Some(packet.layer);
                // For a first picture a lower layer is welcome; the wanted one follows.
                let better_than_none =
                    line.layer.is_none() && line.target.is_some_and(|target| packet.layer < target);
                if !entry || !(wanted || better_than_none) {
                    hungry |= wanted;
                    continue;
                }
                counters.layer_switches += u64::from(line.layer.is_some());
                line.layer = Some(packet.layer);
                line.cut.begin();
            }
            let Want::AtMost(most) = line.want else {
                continue;
            };
            // Without dependency descriptors browsers put several spatial layers of AV1 together to nothing (measured in
            // Chromium); the lowest one alone they show.
            let alone = packet
                .av1
                .as_ref()
                .filter(|place| place.dependency.is_none() || !line.takes_dependencies(rtc));
            let (descriptor, most) = match alone {
                Some(place) => (Some(place.descriptor()), Layer::LOW),
                None => (descriptor, most.min(Layer::HIGH)),
            };
            let passed = line.cut.pass(packet, entry, descriptor, most);
            hungry |= passed.hungry;
            let Some(seq) = passed.seq else {
                continue;
            };
            let thinned = (seq != packet.seq || passed.hollow).then(|| Packet {
                seq,
                payload: match passed.hollow {
                    true => Arc::default(),
                    false => packet.payload.clone(),
                },
                ..packet.clone()
            });
            let packet = thinned.as_ref().unwrap_or(packet);
            let Some(payload_type) = line.payload_type(rtc, packet.format) else {
                counters.dropped_no_format += 1;
                continue;
            };
            let Some(ssrc) = line.ssrc(rtc) else {
                continue;
            };
            let Some(numbers) = line.egress.number(id, packet) else {
                counters.dropped_late += 1;
                continue;
            };
            // Mid and rid are the line's own; only what was measured at the source goes along.
            let mut extensions = ExtensionValues {
                audio_level: packet.audio_level.map(|level| -(level.min(127) as i8)),
                voice_activity: packet.voice,
                ..ExtensionValues::default()
            };
            if let Some(dependency) = numbers.dependency {
                extensions.user_values.set(dependency);
            }
            let mut write = RtpWrite::new(
                payload_type,
                numbers.seq.into(),
                numbers.time,
                captured,
                packet.payload.clone(),
            )
            .marker(passed.marker)
            .nackable(packet.format.codec.kind() == MediaKind::Video)
            .ext_vals(extensions);
            if let Some(patch) = numbers.vp8.and_then(|vp8| vp8.patch()) {
                write = write.vp8_patch(patch);
            }
            if let Some(stream) = rtc.direct_api().stream_tx(&ssrc) {
                stream.write_rtp(write);
                counters.packets_out += 1;
                if !*is_touched {
                    *is_touched = true;
                    touched.push(subscriber.session);
                }
            }
        }
        hungry
    }

    /// Gives the packet to the frame taker, if there is one. True when it waits for a key frame of this layer.
    fn frame(&mut self, id: TrackId, packet: &Packet, entry: bool, now: Instant) -> bool {
        let Self {
            tracks,
            counters,
            outputs,
            ..
        } = self;
        let Some(track) = tracks.get_mut(&id) else {
            return false;
        };
        let best = track.choose_for_frames();
        let rid = track.layers[usize::from(packet.layer)].rid;
        let live_below = u8::try_from(track.live_below(packet.layer).count()).unwrap_or(0);
        let Some(framer) = &mut track.framer else {
            return false;
        };
        let present = framer.layer();
        let switches = entry && (best == Some(packet.layer) || present.is_none());
        if present == Some(packet.layer) || switches {
            let report = framer.push(rid, packet, now, &mut |frame| {
                counters.frames_out += 1;
                let lower = live_below;
                outputs.push_back(Output::Frame(Frame { lower, ..frame }));
            });
            count(counters, report);
        }
        let starving =
            best == Some(packet.layer) && (framer.waits_for_key() || framer.layer() != best);
        let (Some(lower), Some(top)) = (&mut track.lower, framer.layer()) else {
            return starving;
        };
        for (_, framer) in lower.range_mut(top..) {
            // Its pictures are the ones above.
            framer.pause();
        }
        if packet.layer >= top {
            return starving;
        }
        let framer = lower
            .entry(packet.layer)
            .or_insert_with(|| Framer::new(id, HIGHEST - packet.layer));
        let report = framer.push(rid, packet, now, &mut |frame| {
            counters.frames_out += 1;
            outputs.push_back(Output::Frame(frame));
        });
        count(counters, report);
        starving || framer.waits_for_key()
    }

    /// Time has passed for this track: layers may have gone silent, requests and lost packets may be due.
    pub(crate) fn check_track(&mut self, id: TrackId, now: Instant) {
        let Self {
            tracks,
            counters,
            outputs,
            ..
        } = self;
        let Some(track) = tracks.get_mut(&id) else {
            return;
        };
        let changed = track.check_layers(now);
        let mut due = [false; LAYERS];
        for (due, layer) in due.iter_mut().zip(&mut track.layers) {
            *due = layer.request.pass_time(now);
        }
        let mut need_key = Vec::new();
        for framer in track.framers() {
            let report = framer.pass_time(now, &mut |frame| {
                counters.frames_out += 1;
                outputs.push_back(Output::Frame(frame));
            });
            count(counters, report);
            need_key.extend(framer.layer().filter(|_| report.needs_key));
        }
        if changed && track.all_silent() {
            track.live = false;
            outputs.push_back(Output::TrackSilent { track: id });
        }
        if changed {
            self.layers_changed(id, now);
        }
        self.pass_demand_time(id, now);
        for (layer, due) in (0u8..).zip(due) {
            if due {
                self.send_key_frame_request(id, layer);
            }
        }
        for layer in need_key {
            self.ask_key_frame(id, layer, now);
        }
        self.watch_track(id, now);
    }

    /// The live layers are others than before, so lines may have to go elsewhere.
    fn layers_changed(&mut self, id: TrackId, now: Instant) {
        let Some(track) = self.tracks.get(&id) else {
            return;
        };
        if track
            .codec
            .is_some_and(|codec| codec.kind() == MediaKind::Video)
        {
            self.outputs.push_back(Output::Layers {
                track: id,
                layers: track.live_layers(),
            });
        }
        for index in 0..track.subscribers.len() {
            let subscriber = self
                .tracks
                .get(&id)
                .and_then(|track| track.subscribers.get(index))
                .copied();
            if let Some(subscriber) = subscriber {
                self.aim(id, subscriber, now);
            }
        }
        self.weigh_demand(id);
    }

    /// Decides which layer a line should carry, and asks for what it takes to get there.
    fn aim(&mut self, id: TrackId, subscriber: Subscriber, now: Instant) {
        let Some(track) = self.tracks.get(&id) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(&subscriber.session) else {
            return;
        };
        let Some(line) = session.lines.get_mut(subscriber.line) else {
            return;
        };
        line.target = track.choose(line.want);
        // Before its first packet a track is new, not silent; and one that nobody took has to be sent again first.
        let starved = line.want != Want::Paused
            && line.target.is_none()
            && track.codec.is_some()
            && !track.muted
            && !track.demand.rests(now);
        if starved != line.starved {
            line.starved = starved;
            self.outputs.push_back(Output::StreamState {
                session: subscriber.session,
                track: id,
                active: !starved,
            });
        }
        if let Some(target) = line.target.filter(|target| line.layer != Some(*target)) {
            self.ask_key_frame(id, target, now);
        }
    }

    /// Puts a track on a line. The line's numbering goes on.
    pub(crate) fn attach(
        &mut self,
        id: SessionId,
        line_index: usize,
        track_id: TrackId,
        now: Instant,
    ) {
        let want = self.want(id, track_id);
        let Some(line) = self
            .sessions
            .get_mut(&id)
            .and_then(|session| session.lines.get_mut(line_index))
        else {
            return;
        };
        line.track = Some(track_id);
        line.want = want;
        line.layer = None;
        line.target = None;
        line.starved = false;
        let subscriber = Subscriber {
            session: id,
            line: line_index,
        };
        self.tracks
            .entry(track_id)
            .or_default()
            .subscribers
            .push(subscriber);
        self.aim(track_id, subscriber, now);
        self.weigh_demand(track_id);
    }

    /// Takes the track off a line.
    pub(crate) fn detach(&mut self, id: SessionId, line_index: usize) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let Some(line) = session.lines.get_mut(line_index) else {
            return;
        };
        let track = line.track.take();
        silence_line(session, line_index);
        let Some(track_id) = track else { return };
        if let Some(track) = self.tracks.get_mut(&track_id) {
            let subscriber = Subscriber {
                session: id,
                line: line_index,
            };
            track.subscribers.retain(|other| *other != subscriber);
        }
        self.weigh_demand(track_id);
    }

    pub(crate) fn release(&mut self, id: SessionId, mid: &Mid) {
        let line = self
            .sessions
            .get(&id)
            .and_then(|session| session.line_of(mid.0.as_str().into()));
        if let Some(line) = line {
            self.detach(id, line);
        }
    }

    pub(crate) fn select(&mut self, id: SessionId, track: TrackId, want: Want, now: Instant) {
        let Some(session) = self.sessions.get_mut(&id).filter(|session| !session.ended) else {
            return;
        };
        session.wants.insert(track, want);
        let Some(line) = session.line_with(track) else {
            return;
        };
        session.lines[line].want = want;
        if want == Want::Paused {
            silence_line(session, line);
        }
        self.aim(track, Subscriber { session: id, line }, now);
        self.weigh_demand(track);
    }

    pub(crate) fn mute(&mut self, id: TrackId, muted: bool, now: Instant) {
        let track = self.tracks.entry(id).or_default();
        if track.muted == muted {
            return;
        }
        track.muted = muted;
        if muted {
            track.fall_silent();
            for subscriber in track.subscribers.clone() {
                if let Some(session) = self.sessions.get_mut(&subscriber.session) {
                    silence_line(session, subscriber.line);
                }
                self.aim(id, subscriber, now);
            }
        }
    }

    pub(crate) fn stop_track(&mut self, id: TrackId) {
        let Some(track) = self.tracks.remove(&id) else {
            return;
        };
        self.forget_timer(id, track.check_at);
        for subscriber in &track.subscribers {
            if let Some(session) = self.sessions.get_mut(&subscriber.session) {
                if let Some(line) = session.lines.get_mut(subscriber.line) {
                    line.track = None;
                }
                silence_line(session, subscriber.line);
            }
        }
        for session in self.sessions.values_mut() {
            session.wants.remove(&id);
            if session.receiving.values().any(|line| line.track == id) {
                session.receiving.retain(|_, line| line.track != id);
                session.routes.clear();
            }
        }
    }

    pub(crate) fn take_frames(&mut self, id: TrackId, on: bool, now: Instant) {
        let track = self.tracks.entry(id).or_default();
        match (on, &track.framer) {
            (true, None) => {
                track.framer = Some(Framer::new(id, 0));
                // Who took frames before said how large; this one has not.
                track.frame_size = None;
                self.request_key_frame(id, now);
            }
            (false, _) => {
                track.framer = None;
                track.lower = None;
            }
            (true, Some(_)) => {}
        }
        self.weigh_demand(id);
    }

    /// Another layer may be the one that is wanted: its key frame is asked for, and until it comes the present one goes on.
    pub(crate) fn set_frame_size(&mut self, id: TrackId, size: Option<VideoSize>, now: Instant) {
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        track.frame_size = size;
        let wanted = track.choose_for_frames();
        let present = track.framer.as_ref().and_then(Framer::layer);
        if present.is_some() && wanted != present {
            self.request_key_frame(id, now);
        }
        self.weigh_demand(id);
    }

    /// Something that bears on who takes the track has changed, or time has passed: its publisher may have to be told.
    pub(crate) fn weigh_demand(&mut self, id: TrackId) {
        let taken = self.taken(id);
        let (Some(track), Some(now)) = (self.tracks.get_mut(&id), self.now) else {
            return;
        };
        let is_audio = track
            .codec
            .is_some_and(|codec| codec.kind() == MediaKind::Audio);
        let Some(source) = track.source.filter(|_| !is_audio) else {
            track.demand = Demand::default();
            return;
        };
        if track.demand.weigh(taken, now) {
            self.counters.demands_told += 1;
            self.outputs.push_back(Output::Demand {
                session: source.session,
                track: id,
                most: track.demand.told(),
            });
        }
        self.watch_track(id, now);
    }

    /// The highest layer that somebody takes, be it live or not.
    fn taken(&self, id: TrackId) -> Option<Layer> {
        let track = self.tracks.get(&id)?;
        let by_lines = track.subscribers.iter().filter_map(|subscriber| {
            let line = self
                .sessions
                .get(&subscriber.session)?
                .lines
                .get(subscriber.line)?;
            match line.want {
                Want::Paused => None,
                Want::AtMost(layer) => Some(layer.clamp(track.lowest(), Layer::HIGH)),
            }
        });
        by_lines.max().max(track.taken_for_frames())
    }

    fn pass_demand_time(&mut self, id: TrackId, now: Instant) {
        let due = |track: &&Track| track.demand.deadline().is_some_and(|at| at <= now);
        let Some(track) = self.tracks.get(&id).filter(due) else {
            return;
        };
        let subscribers = track.subscribers.clone();
        self.weigh_demand(id);
        // What rested and should have come by now is missed from here on.
        for subscriber in subscribers {
            self.aim(id, subscriber, now);
        }
    }

    /// Whether frames of the layers below are taken too.
    pub(crate) fn take_layers(&mut self, id: TrackId, on: bool) {
        let Some(track) = self.tracks.get_mut(&id) else {
            return;
        };
        match (on, &track.lower) {
            (true, None) if track.framer.is_some() => track.lower = Some(BTreeMap::new()),
            (true, _) => {}
            (false, _) => track.lower = None,
        }
    }

    /// For the frame taker: of the layers that it should get, all at once, so that their key frames are of the same instant.
    pub(crate) fn request_key_frame(&mut self, id: TrackId, now: Instant) {
        let Some(track) = self.tracks.get(&id) else {
            return;
        };
        let Some(best) = track.choose_for_frames() else {
            return;
        };
        let mut layers = vec![best];
        if track.lower.is_some() {
            layers.extend(track.live_below(best));
        }
        for layer in layers {
            self.ask_key_frame(id, layer, now);
        }
    }

    /// Somebody needs a key frame of this layer. Many such needs become one request.
    pub(crate) fn ask_key_frame(&mut self, id: TrackId, layer: u8, now: Instant) {
        let Some(track) = self
            .tracks
            .get_mut(&id)
            .filter(|track| wants_key_frames(track))
        else {
            return;
        };
        self.counters.key_frames_asked += 1;
        match track.layers[usize::from(layer)].request.ask(now) {
            Asked::Send => self.send_key_frame_request(id, layer),
            Asked::Merged => self.counters.key_frames_merged += 1,
            Asked::Later => self.watch_track(id, now),
        }
    }

    /// Somebody still waits, and what was asked before has led to nothing.
    fn ask_key_frame_again(&mut self, id: TrackId, layer: u8, now: Instant) {
        let stale = self
            .tracks
            .get(&id)
            .is_some_and(|track| track.layers[usize::from(layer)].request.is_stale(now));
        if stale {
            self.ask_key_frame(id, layer, now);
        }
    }

    fn send_key_frame_request(&mut self, id: TrackId, layer: u8) {
        let Some((source, rid, ssrc)) = self.tracks.get(&id).and_then(|track| {
            let layer = &track.layers[usize::from(layer)];
            let rid = layer.rid;
            Some((
                track.source?,
                (rid != Rid::NONE).then(|| StrRid::from(rid.as_str())),
                layer.ssrc(),
            ))
        }) else {
            return;
        };
        let Some(session) = self.sessions.get_mut(&source.session) else {
            return;
        };
        let mut api = session.rtc.direct_api();
        // By its line the library finds the first SSRC there was, which the sender may have left.
        let known = ssrc.filter(|ssrc| api.stream_rx(&(*ssrc).into()).is_some());
        let stream = match known {
            Some(ssrc) => api.stream_rx(&ssrc.into()),
            None => api.stream_rx_by_mid(source.mid, rid),
        };
        if let Some(stream) = stream {
            stream.request_keyframe(KeyframeRequestKind::Pli);
            self.counters.key_frames_sent += 1;
            self.touch(source.session);
        }
    }
}

/// The line carries nothing until a decoder can start again, and what it has sent is not sent again either.
fn silence_line(session: &mut Session, line_index: usize) {
    let Session { rtc, lines, .. } = session;
    let Some(line) = lines.get_mut(line_index) else {
        return;
    };
    line.layer = None;
    line.target = None;
    line.starved = false;
    line.egress.leave();
    if line.ssrc.take().is_some() {
        // Asking for it again empties what the library keeps for sending again.
        line.ssrc(rtc);
    }
}

/// Audio needs none, and a muted track sends none.
fn wants_key_frames(track: &Track) -> bool {
    !track.muted
        && track
            .codec
            .is_none_or(|codec| codec.kind() == MediaKind::Video)
}

fn count(counters: &mut Counters, report: Report) {
    counters.frames_lost += report.lost;
    counters.frames_broken += report.broken;
    counters.frame_buffer_full += report.buffer_full;
}

/// When this RTP time was captured, in microseconds on the publisher's wall clock, from its newest sender report
/// (RFC 3550 §6.4.1). The two RTP times are less than half a turn of 32 bits apart.
fn capture_us(timestamp: u32, info: &SenderInfo, clock_rate: u32) -> Option<i64> {
    let report_us = match info.ntp_time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).ok()?,
        Err(before) => -i64::try_from(before.duration().as_micros()).ok()?,
    };
    let ticks = timestamp.wrapping_sub(info.rtp_time.numer() as u32) as i32;
    report_us.checked_add(i64::from(ticks) * 1_000_000 / i64::from(clock_rate))
}
