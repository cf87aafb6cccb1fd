//! What the room and the SFU say, as the client is told.

use std::collections::BTreeMap;
use std::time::Instant;

use amphi_media::{Layer, MediaKind, MemberId, Source, TrackId};
use amphi_room::{Denied, LeaveReason, RequestId};
use amphi_sfu::{NewLine, Quality, Speaker};
use livekit_protocol as proto;
use livekit_protocol::request_response::{Reason, Request};
use livekit_protocol::signal_response::Message as Response;

use crate::data::Read;
use crate::offers::Change;
use crate::signal::{PING_INTERVAL, PING_TIMEOUT, Phase, Receiving};
use crate::slots::Lines;
use crate::{Audience, Form, News, Output, SfuCommand, Signal, View, info, leave};

/// Tracks of which the publisher was told that somebody gets them, kept of one client.
const TOLD_MAX: usize = 64;

impl Signal {
    pub(crate) fn room_said(&mut self, now: Instant, view: View<'_>, output: &amphi_room::Output) {
        use amphi_room::Output as Said;
        let me = self.member;
        if self.phase() != Phase::In {
            match output {
                Said::Joined { member } if *member == me => self.welcome(now, view),
                Said::JoinRefused { member, .. } if *member == me => {
                    self.end(leave::of_reason(LeaveReason::JoinFailure));
                }
                // It was in and is out again before anything could be said, or it is told all when it is in.
                Said::Left { member, reason, .. } if *member == me => {
                    self.end(leave::of_reason(*reason))
                }
                _ => {}
            }
            return;
        }
        match output {
            Said::Joined { member } => self.joined(view, *member),
            Said::MemberChanged { member } => self.tell_of(view, *member),
            Said::Left { member, reason, .. } if *member == me => {
                self.end(leave::of_reason(*reason))
            }
            Said::Left {
                member,
                identity,
                hidden,
                reason,
            } => {
                if !hidden {
                    self.left(view, *member, identity, *reason);
                }
            }
            Said::Published { track, cid, .. } => self.published(now, view, *track, cid),
            Said::PublishRefused { cid, denied, .. } => {
                self.publish_refused(now, view, cid, denied)
            }
            Said::StopTrack { track, refusal, .. } => {
                let sid = self.publishing.stopped(*track, refusal.is_some());
                self.told_subscribed.remove(track);
                self.demands.remove(track);
                if let (Some(refusal), Some(track_sid)) = (refusal, sid) {
                    self.send(Response::TrackUnpublished(
                        proto::TrackUnpublishedResponse { track_sid },
                    ));
                    self.answer_request(0, Reason::NotAllowed, &refusal.to_string());
                }
            }
            Said::Subscribed { member, track } if *member == me => {
                self.subscribed(now, view, *track)
            }
            Said::Subscribed { track, .. } => self.somebody_gets(view, *track),
            Said::Unsubscribed { track, .. } => self.unsubscribed(now, view, *track),
            Said::SubscribeRefused { track, denied, .. } => {
                self.subscribe_refused(view, *track, denied)
            }
            Said::SubscribingLet { track, allowed, .. } => {
                self.tell_permission(view, *track, *allowed)
            }
            Said::Refused {
                request, denied, ..
            } => {
                let request = request.map_or(0, request_number);
                self.answer_request(request, reason(denied), &denied.to_string());
            }
            Said::Described { request, .. } => {
                self.answer_request(request_number(*request), Reason::Ok, "")
            }
            Said::RecordingStarted | Said::RecordingStopped { .. } => {
                self.send(Response::RoomUpdate(proto::RoomUpdate {
                    room: Some(info::room(view, now)),
                }));
            }
            // It is in already; or `MemberChanged` follows and says it; or it concerns no client.
            Said::JoinRefused { .. }
            | Said::GrantsChanged { .. }
            | Said::SetMuted { .. }
            | Said::Reply { .. }
            | Said::StartProgram { .. }
            | Said::ChangeProgram { .. }
            | Said::StopProgram
            | Said::BroadcastStarted { .. }
            | Said::BroadcastStopped { .. }
            | Said::Empty => {}
        }
    }

    pub(crate) fn sfu_said(&mut self, now: Instant, view: View<'_>, output: &amphi_sfu::Output) {
        use amphi_sfu::Output as Said;
        if self.phase() != Phase::In {
            return;
        }
        match output {
            Said::Answer { sdp, .. } => self.answer(now, view, sdp),
            Said::Offer { sdp, lines, .. } => self.offer(now, view, sdp, lines),
            Said::SdpRefused { session, .. } => {
                self.answering.pop_front();
                match session == &self.publisher() {
                    true => self.sdp_refused(),
                    false => self.offer_failed(now, view),
                }
            }
            Said::Connected { session } => {
                if *session == self.subscriber() {
                    self.connected();
                    self.room(amphi_room::Input::Active {
                        member: self.member,
                    });
                }
            }
            Said::Ended { session } if self.sessions().contains(session) => self.session_ended(),
            Said::Data { channel, bytes, .. } => self.sent_data(view, *channel, bytes),
            Said::StreamState { track, active, .. } => self.stream_state(view, *track, *active),
            Said::Demand { track, most, .. } => self.demanded(view, *track, *most),
            Said::Speakers(speakers) => self.speakers(view, speakers),
            Said::Quality { session, quality } => {
                self.qualities.insert(*session, *quality);
                if let Some(quality) = self.quality() {
                    self.output(Output::Tell {
                        to: Audience::Everybody,
                        news: News::Quality {
                            member: self.member,
                            quality,
                        },
                    });
                }
            }
            // Media may come back; and channels are used when there is something to say.
            Said::Ended { .. } | Said::Interrupted { .. } | Said::ChannelOpen { .. } => {}
            Said::Transmit { .. }
            | Said::Credentials { .. }
            | Said::PathVerified { .. }
            | Said::TrackLive { .. }
            | Said::TrackSilent { .. }
            | Said::Layers { .. }
            | Said::Frame(_) => {}
        }
    }

    pub(crate) fn hear(&mut self, view: View<'_>, news: News) {
        let News::Quality { member, quality } = news;
        let shown = member == self.member
            || view
                .room
                .member(member)
                .is_some_and(|other| !other.hidden());
        if self.phase() != Phase::In || !shown {
            return;
        }
        let (quality, score) = match quality {
            Quality::Lost => (proto::ConnectionQuality::Lost, 0.0),
            Quality::Poor => (proto::ConnectionQuality::Poor, 2.0),
            Quality::Good => (proto::ConnectionQuality::Good, 4.0),
            Quality::Excellent => (proto::ConnectionQuality::Excellent, 5.0),
        };
        let participant_sid = view.facts.participant_sid(member);
        let info = proto::ConnectionQualityInfo {
            participant_sid,
            quality: quality.into(),
            score,
        };
        self.send(Response::ConnectionQuality(
            proto::ConnectionQualityUpdate {
                updates: vec![info],
            },
        ));
    }

    /// The first words after an absence, and all that is so by now.
    pub(crate) fn welcome_back(&mut self, now: Instant, view: View<'_>) {
        self.send(Response::Reconnect(proto::ReconnectResponse {
            server_info: Some(info::server()),
            last_message_seq: self.incoming.last_sequence(),
            ..proto::ReconnectResponse::default()
        }));
        let mut participants = std::mem::take(&mut self.departed);
        participants.extend(
            view.room
                .member(self.member)
                .map(|me| info::participant(view, me)),
        );
        participants.extend(self.others(view));
        self.send(Response::Update(proto::ParticipantUpdate { participants }));
        self.send(Response::RoomUpdate(proto::RoomUpdate {
            room: Some(info::room(view, now)),
        }));
        let speaking = std::mem::take(&mut self.speaking);
        self.tell_speaking(view, &speaking);
        self.speaking = speaking;
        for (track, most) in self.demands.clone() {
            self.tell_demand(view, track, most);
        }
    }

    /// Goes on with what changes lines, if something is to be changed and nothing is under way.
    pub(crate) fn renegotiate(&mut self, now: Instant, view: View<'_>) {
        if self.is_away() {
            return;
        }
        match &mut self.receiving {
            Receiving::Slots(slots) => {
                if let Some(lines) = slots.ask(now) {
                    self.require(lines);
                }
            }
            Receiving::Offers(offers) => {
                if let Some(change) = offers.next(now, |track| view.room.track(track).is_some()) {
                    self.make_offer(view, change);
                }
            }
        }
    }

    /// Looks after what the client should have done by now.
    pub(crate) fn keep_negotiating(&mut self, now: Instant, view: View<'_>) {
        match &mut self.receiving {
            Receiving::Slots(slots) => {
                if slots.deadline().is_some_and(|at| now >= at) {
                    self.counters.renegotiations_overdue += 1;
                    if slots.give_up() {
                        self.renegotiate(now, view);
                    }
                }
            }
            Receiving::Offers(offers) => {
                if offers.deadline().is_some_and(|at| now >= at) {
                    self.counters.renegotiations_overdue += 1;
                    self.offer_failed(now, view);
                }
            }
        }
    }

    pub(crate) fn make_offer(&mut self, view: View<'_>, change: Change) {
        self.counters.renegotiations += 1;
        let line = |track: TrackId| {
            let known = view.room.track(track)?;
            let sid = view.facts.track_sid(known);
            let stream_label = format!("{}|{sid}", view.facts.participant_sid(known.member));
            Some(NewLine {
                track,
                kind: known.announced.kind,
                stream_label,
                track_label: sid,
            })
        };
        let add = change.add.into_iter().filter_map(line).collect();
        let session = self.subscriber();
        self.sfu(SfuCommand::MakeOffer {
            session,
            add,
            remove: change.remove,
            ice_restart: change.ice_restart,
        });
    }

    /// The client answers our offer.
    pub(crate) fn answered(
        &mut self,
        now: Instant,
        view: View<'_>,
        answer: proto::SessionDescription,
    ) {
        let Receiving::Offers(offers) = &mut self.receiving else {
            self.counters.messages_unsupported += 1;
            return;
        };
        if offers.answered(answer.id) {
            let session = self.subscriber();
            self.sfu(SfuCommand::Answer {
                session,
                sdp: answer.sdp,
            });
            self.renegotiate(now, view);
        } else {
            self.counters.messages_stale += 1;
        }
    }

    /// The first words: the client takes nothing before them.
    fn welcome(&mut self, now: Instant, view: View<'_>) {
        let (Some(member), Some(join)) = (view.room.member(self.member), self.join.take()) else {
            return;
        };
        let seconds =
            |duration: std::time::Duration| i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
        self.enter();
        self.send(Response::Join(proto::JoinResponse {
            room: Some(info::room(view, now)),
            participant: Some(info::participant(view, member)),
            other_participants: self.others(view),
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            subscriber_primary: self.form == Form::Dual,
            client_configuration: None,
            ping_timeout: seconds(PING_TIMEOUT),
            ping_interval: seconds(PING_INTERVAL),
            server_info: Some(info::server()),
            enabled_publish_codecs: info::publish_codecs(),
            fast_publish: true,
            ..proto::JoinResponse::default()
        }));
        self.open_sessions();
        if !join.auto_subscribe {
            self.room(amphi_room::Input::AutoSubscribe {
                member: self.member,
                on: false,
            });
        }
        for request in join.add_tracks {
            self.add_track(request);
        }
        if let Some(offer) = join.offer {
            self.offered(now, view, offer);
        }
        if self.form == Form::Dual {
            self.renegotiate(now, view);
        }
    }

    fn others(&self, view: View<'_>) -> Vec<proto::ParticipantInfo> {
        view.room
            .members()
            .filter(|other| other.id != self.member && !other.hidden())
            .map(|other| info::participant(view, other))
            .collect()
    }

    fn joined(&mut self, view: View<'_>, member: MemberId) {
        self.tell_of(view, member);
        if let Some(quality) = self.quality().filter(|_| member != self.member) {
            // Its own signal knows nothing of what was before it.
            let news = News::Quality {
                member: self.member,
                quality,
            };
            self.output(Output::Tell {
                to: Audience::One(member),
                news,
            });
        }
    }

    fn tell_of(&mut self, view: View<'_>, member: MemberId) {
        let Some(known) = view.room.member(member) else {
            return;
        };
        if member == self.member || !known.hidden() {
            let participants = vec![info::participant(view, known)];
            self.send(Response::Update(proto::ParticipantUpdate { participants }));
        }
    }

    fn left(&mut self, view: View<'_>, member: MemberId, identity: &str, reason: LeaveReason) {
        self.speaking.remove(&member);
        let gone = info::departed(view.facts.participant_sid(member), identity, reason);
        self.depart(gone.clone());
        self.send(Response::Update(proto::ParticipantUpdate {
            participants: vec![gone],
        }));
    }

    fn published(&mut self, now: Instant, view: View<'_>, track: TrackId, cid: &str) {
        let line_waits = self.publishing.published(view, track, cid);
        let info = view.room.track(track).map(|known| info::track(view, known));
        // Never without the track: a client that unwraps it would die of it.
        if info.is_some() {
            let cid = cid.to_owned();
            self.send(Response::TrackPublished(proto::TrackPublishedResponse {
                cid,
                track: info,
            }));
        }
        if line_waits && !self.is_away() {
            self.require(Lines::default());
        }
        self.announced(now, view);
    }

    fn publish_refused(&mut self, now: Instant, view: View<'_>, cid: &str, denied: &Denied) {
        self.publishing.refuse(cid);
        let request = proto::AddTrackRequest {
            cid: cid.to_owned(),
            ..proto::AddTrackRequest::default()
        };
        self.send(Response::RequestResponse(proto::RequestResponse {
            request_id: 0,
            reason: reason(denied).into(),
            message: denied.to_string(),
            request: Some(Request::AddTrack(request)),
        }));
        self.announced(now, view);
    }

    /// An announcement was decided; with the last one, the offers that wait for it go on.
    fn announced(&mut self, now: Instant, view: View<'_>) {
        self.announcing = self.announcing.saturating_sub(1);
        if self.announcing == 0 {
            for offer in std::mem::take(&mut self.offers_waiting) {
                self.offered(now, view, offer);
            }
        }
    }

    fn subscribed(&mut self, now: Instant, view: View<'_>, track: TrackId) {
        let Some(known) = view.room.track(track) else {
            return;
        };
        let beyond = match &mut self.receiving {
            Receiving::Slots(slots) => {
                slots.want(track, known.announced.kind);
                slots.beyond_limit()
            }
            Receiving::Offers(offers) => {
                offers.want(track);
                offers.beyond_limit()
            }
        };
        self.counters.subscriptions_without_line += u64::from(beyond > 0);
        self.renegotiate(now, view);
    }

    fn unsubscribed(&mut self, now: Instant, view: View<'_>, track: TrackId) {
        let mid = match &mut self.receiving {
            Receiving::Slots(slots) => slots.unwant(track),
            Receiving::Offers(offers) => offers.unwant(track),
        };
        if let Some(mid) = mid {
            let session = self.subscriber();
            self.sfu(SfuCommand::Release { session, mid });
        }
        self.renegotiate(now, view);
    }

    /// The publisher is told once that somebody gets its track.
    fn somebody_gets(&mut self, view: View<'_>, track: TrackId) {
        let Some(known) = view
            .room
            .track(track)
            .filter(|known| known.member == self.member)
        else {
            return;
        };
        if self.told_subscribed.len() < TOLD_MAX && self.told_subscribed.insert(track) {
            let track_sid = view.facts.track_sid(known);
            self.send(Response::TrackSubscribed(proto::TrackSubscribed {
                track_sid,
            }));
        }
    }

    fn subscribe_refused(&mut self, view: View<'_>, track: TrackId, denied: &Denied) {
        match (denied, view.room.track(track)) {
            (Denied::Refused(refusal), Some(_)) => {
                self.tell_permission(view, track, false);
                self.answer_request(0, Reason::NotAllowed, &refusal.to_string());
            }
            (_, Some(known)) => self.no_such_track(view.facts.track_sid(known)),
            // Its sid cannot be told: two letters of it say what the track was.
            (_, None) => self.answer_request(0, Reason::NotFound, &denied.to_string()),
        }
    }

    fn tell_permission(&mut self, view: View<'_>, track: TrackId, allowed: bool) {
        if let Some(known) = view.room.track(track) {
            self.send(Response::SubscriptionPermissionUpdate(
                proto::SubscriptionPermissionUpdate {
                    participant_sid: view.facts.participant_sid(known.member),
                    track_sid: view.facts.track_sid(known),
                    allowed,
                },
            ));
        }
    }

    /// The SFU has answered the oldest offer.
    fn answer(&mut self, now: Instant, view: View<'_>, sdp: &str) {
        let Some(answering) = self.answering.pop_front() else {
            return;
        };
        let sid = |(mid, track): (String, TrackId)| {
            Some((mid, view.facts.track_sid(view.room.track(track)?)))
        };
        self.send(Response::Answer(proto::SessionDescription {
            r#type: "answer".to_owned(),
            sdp: sdp.to_owned(),
            id: answering.id,
            mid_to_track_id: answering.carried.into_iter().filter_map(sid).collect(),
        }));
        self.renegotiate(now, view);
    }

    /// The SFU has made our offer.
    fn offer(
        &mut self,
        now: Instant,
        view: View<'_>,
        sdp: &str,
        lines: &[(TrackId, amphi_sfu::Mid)],
    ) {
        let Receiving::Offers(offers) = &mut self.receiving else {
            return;
        };
        let Some((id, carried)) = offers.made(now, lines) else {
            return;
        };
        let tracks: Vec<TrackId> = lines.iter().map(|(track, _)| *track).collect();
        let sid = |(mid, track): (amphi_sfu::Mid, TrackId)| {
            Some((mid.0, view.facts.track_sid(view.room.track(track)?)))
        };
        self.send(Response::Offer(proto::SessionDescription {
            r#type: "offer".to_owned(),
            sdp: sdp.to_owned(),
            id,
            mid_to_track_id: carried.into_iter().filter_map(sid).collect(),
        }));
        self.select_again(&tracks);
    }

    /// An offer of ours was not answered, or not usefully: once more from a fresh start, or not at all.
    fn offer_failed(&mut self, now: Instant, view: View<'_>) {
        let Receiving::Offers(offers) = &mut self.receiving else {
            return;
        };
        if offers.failed() {
            let change = offers.restart(now);
            self.make_offer(view, change);
        } else {
            self.session_ended();
        }
    }

    fn sent_data(&mut self, view: View<'_>, channel: amphi_sfu::Channel, bytes: &bytes::Bytes) {
        let Some(from) = view.room.member(self.member) else {
            return;
        };
        let read = self
            .incoming
            .read(view, from, channel, bytes, &mut self.counters);
        let Some(Read {
            to,
            packet,
            captions,
        }) = read
        else {
            return;
        };
        for caption in captions {
            self.output(Output::Caption(caption));
        }
        if !to.is_empty() {
            self.output(Output::Data { to, packet });
        }
    }

    fn stream_state(&mut self, view: View<'_>, track: TrackId, active: bool) {
        let Some(known) = view.room.track(track) else {
            return;
        };
        let state = match active {
            true => proto::StreamState::Active,
            false => proto::StreamState::Paused,
        };
        self.send(Response::StreamStateUpdate(proto::StreamStateUpdate {
            stream_states: vec![proto::StreamStateInfo {
                participant_sid: view.facts.participant_sid(known.member),
                track_sid: view.facts.track_sid(known),
                state: state.into(),
            }],
        }));
    }

    /// Kept, since a client that comes back with a new socket may have missed it.
    fn demanded(&mut self, view: View<'_>, track: TrackId, most: Option<Layer>) {
        let own = view.room.track(track).filter(|known| {
            known.member == self.member && known.announced.kind == MediaKind::Video
        });
        if own.is_some() {
            self.demands.insert(track, most);
            self.tell_demand(view, track, most);
        }
    }

    /// Which layers of its track the client should send. A lower one is always asked for with a higher one: who wants the
    /// higher one is given the lower one when the network is short.
    fn tell_demand(&mut self, view: View<'_>, track: TrackId, most: Option<Layer>) {
        let Some(known) = view.room.track(track) else {
            return;
        };
        let qualities: Vec<proto::SubscribedQuality> = [Layer::LOW, Layer::MEDIUM, Layer::HIGH]
            .into_iter()
            .map(|layer| proto::SubscribedQuality {
                quality: info::quality(layer).into(),
                enabled: most.is_some_and(|most| layer <= most),
            })
            .collect();
        // By the client's own name for it: a codec that it does not publish would be one that it is asked to publish too.
        // Where none is known it reads the qualities alone.
        let codec = known.announced.codec.or(known.codec);
        let codec = codec.map(|codec| proto::SubscribedCodec {
            codec: codec.name().to_ascii_lowercase(),
            qualities: qualities.clone(),
        });
        #[expect(deprecated, reason = "clients before `subscribed_codecs` read it")]
        let update = proto::SubscribedQualityUpdate {
            track_sid: view.facts.track_sid(known),
            subscribed_qualities: qualities,
            subscribed_codecs: codec.into_iter().collect(),
        };
        self.send(Response::SubscribedQualityUpdate(update));
    }

    /// Members speak, not tracks; and a screen's sound is nobody speaking.
    fn speakers(&mut self, view: View<'_>, speakers: &[Speaker]) {
        let mut levels: BTreeMap<MemberId, f32> = BTreeMap::new();
        for speaker in speakers {
            let Some(track) = view.room.track(speaker.track) else {
                continue;
            };
            let hidden = view
                .room
                .member(track.member)
                .is_none_or(amphi_room::Member::hidden);
            if track.announced.source != Source::ScreenAudio
                && (!hidden || track.member == self.member)
            {
                let level = levels.entry(track.member).or_default();
                *level = level.max(speaker.level);
            }
        }
        let fell_silent = self
            .speaking
            .keys()
            .filter(|member| !levels.contains_key(member));
        let mut changed: BTreeMap<MemberId, f32> =
            fell_silent.map(|member| (*member, 0.0)).collect();
        changed.extend(levels.iter().map(|(member, level)| (*member, *level)));
        self.speaking = levels;
        self.tell_speaking(view, &changed);
    }

    /// Level 0: does not speak any more.
    fn tell_speaking(&mut self, view: View<'_>, levels: &BTreeMap<MemberId, f32>) {
        if levels.is_empty() {
            return;
        }
        let speakers = levels
            .iter()
            .map(|(member, level)| proto::SpeakerInfo {
                sid: view.facts.participant_sid(*member),
                level: *level,
                active: *level > 0.0,
            })
            .collect();
        self.send(Response::SpeakersChanged(proto::SpeakersChanged {
            speakers,
        }));
    }

    /// The worst of its connections.
    fn quality(&self) -> Option<Quality> {
        self.qualities.values().min().copied()
    }
}

fn reason(denied: &Denied) -> Reason {
    match denied {
        Denied::Refused(_) => Reason::NotAllowed,
        Denied::Unavailable(_) => Reason::InvalidRequest,
        Denied::Limit(_) => Reason::LimitExceeded,
    }
}

/// Requests of clients are numbered with 32 bits, and the room gives back what it was given.
fn request_number(request: RequestId) -> u32 {
    u32::try_from(request.0).unwrap_or(0)
}
