//! The state machine of one member: signalling above, its one or two connections below.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::GzEncoder;
use livekit_protocol as proto;
use livekit_protocol::signal_request::Message as Request;
use livekit_protocol::signal_response::Message as Response;
use prost::Message as _;
use str0m::media::Mid;
use str0m::rtp::RtpPacket;

use crate::publication::{Publication, PublicationId, Stage};
use crate::session::{Happened, MoreLines, Session};
use crate::{
    Announcement, Channel, Config, Connection, Counters, Event, Form, Input, Kind, Output, Packet,
    Rtp,
};
use crate::{Setting, Sid, packet, sdp};

/// The version of the protocol that is claimed: the newest in which nothing that we lack is expected.
const PROTOCOL: i32 = 16;
/// Lines for others' media in the first offer of the single form, as LiveKit's clients ask for.
const FIRST_LINES: MoreLines = MoreLines { audio: 3, video: 3 };
/// Requests that wait while the socket is away; more are dropped and counted.
const WAITING_MAX: usize = 100;
/// Used until the server says how often it wants to hear from us.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// A member of a call.
///
/// **Order of calls:** open a WebSocket to [`Peer::request`], give [`Input::SocketOpened`], then feed it; after every
/// call that takes `now`, take all of [`Peer::poll_output`], and come back at [`Peer::poll_timeout`] at the latest.
pub struct Peer {
    config: Config,
    publisher: Session,
    subscriber: Option<Session>,
    outputs: VecDeque<Output>,
    stage: Standing,
    member: Option<Sid>,
    members: BTreeMap<String, proto::ParticipantInfo>,
    permission: Option<proto::ParticipantPermission>,
    publications: Vec<Publication>,
    /// What each line of the receiving connection carries.
    tracks: BTreeMap<Mid, Carried>,
    more_lines: MoreLines,
    offer_wanted: bool,
    ice_restart_wanted: bool,
    socket_open: bool,
    /// Requests made while the socket is away; they follow when it is back, as LiveKit's clients do.
    waiting: Vec<Request>,
    /// The offer that travels in the request of the single form.
    first_offer: Option<proto::SessionDescription>,
    last_answer: Option<proto::SessionDescription>,
    reliable_sequence: u32,
    ping_interval: Duration,
    next_ping: Option<Instant>,
    pings: i64,
    counters: Counters,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    /// No socket, or no word from the server yet.
    Joining,
    Joined,
    /// The socket is opened again for the same member.
    Resuming,
    Left,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Carried {
    track: Sid,
    member: Sid,
}

/// What the WebSocket has to ask for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SocketRequest {
    /// Path and query, without the token.
    pub path: String,
}

impl SocketRequest {
    /// The URL at a server (`ws://127.0.0.1:7880`), with the token in the query as browsers have it.
    pub fn url(&self, server: &str, token: &str) -> String {
        let separator = if self.path.contains('?') { '&' } else { '?' };
        format!(
            "{}{}{separator}access_token={token}",
            server.trim_end_matches('/'),
            self.path
        )
    }
}

impl Peer {
    pub fn new(now: Instant, config: Config) -> Self {
        let mut publisher = Session::new(now, config.address, &config.certificate);
        let mut subscriber = None;
        let mut first_offer = None;
        match config.form {
            Form::Single => {
                let (id, sdp) = publisher
                    .offer(&mut [], FIRST_LINES, false)
                    .expect("new lines always make an offer");
                first_offer = Some(description("offer", sdp, id));
            }
            Form::Pair => {
                subscriber = Some(Session::new(
                    now,
                    config.subscriber_address,
                    &config.certificate,
                ));
            }
        }
        Self {
            config,
            publisher,
            subscriber,
            outputs: VecDeque::new(),
            stage: Standing::Joining,
            member: None,
            members: BTreeMap::new(),
            permission: None,
            publications: Vec::new(),
            tracks: BTreeMap::new(),
            more_lines: MoreLines::default(),
            offer_wanted: false,
            ice_restart_wanted: false,
            socket_open: false,
            waiting: Vec::new(),
            first_offer,
            last_answer: None,
            reliable_sequence: 0,
            ping_interval: PING_INTERVAL,
            next_ping: None,
            pings: 0,
            counters: Counters::default(),
        }
    }

    /// What to open the WebSocket with: to join, or after [`Peer::resume`] to come back.
    pub fn request(&self) -> SocketRequest {
        let path = match self.config.form {
            Form::Single => {
                let wrapped = proto::WrappedJoinRequest {
                    compression: proto::wrapped_join_request::Compression::Gzip as i32,
                    join_request: gzip(&self.join_request().encode_to_vec()),
                };
                format!(
                    "/rtc/v1?join_request={}",
                    URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec())
                )
            }
            Form::Pair => {
                let subscribe = i32::from(self.config.auto_subscribe);
                let resume = match (&self.member, self.stage) {
                    (Some(sid), Standing::Resuming) => format!("&reconnect=1&sid={sid}"),
                    _ => String::new(),
                };
                format!(
                    "/rtc?auto_subscribe={subscribe}&sdk=rust&version=0.1.0&protocol={PROTOCOL}{resume}"
                )
            }
        };
        SocketRequest { path }
    }

    /// What stands in `join_request` of the single form.
    pub fn join_request(&self) -> proto::JoinRequest {
        let resuming = self.stage == Standing::Resuming;
        proto::JoinRequest {
            client_info: Some(proto::ClientInfo {
                sdk: proto::client_info::Sdk::Rust as i32,
                version: "0.1.0".into(),
                protocol: PROTOCOL,
                ..Default::default()
            }),
            connection_settings: Some(proto::ConnectionSettings {
                auto_subscribe: self.config.auto_subscribe,
                ..Default::default()
            }),
            publisher_offer: if resuming {
                None
            } else {
                self.first_offer.clone()
            },
            reconnect: resuming,
            participant_sid: match (&self.member, resuming) {
                (Some(sid), true) => sid.as_str().to_owned(),
                _ => String::new(),
            },
            ..Default::default()
        }
    }

    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::SocketOpened => {
                self.socket_open = true;
                self.next_ping = Some(now + self.ping_interval);
            }
            Input::SocketMessage(bytes) => match proto::SignalResponse::decode(bytes) {
                Ok(proto::SignalResponse {
                    message: Some(message),
                }) => self.handle_response(now, message),
                Ok(_) | Err(_) => self.counters.messages_unreadable += 1,
            },
            Input::SocketClosed => {
                self.socket_open = false;
                self.next_ping = None;
            }
            Input::Datagram {
                source,
                destination,
                bytes,
            } => self.handle_datagram(now, source, destination, bytes),
            Input::Timeout => {
                self.publisher.advance(now);
                if let Some(subscriber) = &mut self.subscriber {
                    subscriber.advance(now);
                }
                if self.next_ping.is_some_and(|at| at <= now) {
                    self.next_ping = Some(now + self.ping_interval);
                    self.ping();
                }
            }
        }
        self.drain();
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let connections = [
            self.publisher.timeout(),
            self.subscriber.as_ref().and_then(Session::timeout),
        ];
        connections
            .into_iter()
            .flatten()
            .chain(self.next_ping)
            .min()
    }

    /// The server's name of us, once it took us in.
    pub fn member(&self) -> Option<&Sid> {
        self.member.as_ref()
    }

    /// Everybody else in the room, as far as we were told, by `PA_…`.
    pub fn members(&self) -> &BTreeMap<String, proto::ParticipantInfo> {
        &self.members
    }

    /// Tracks that a line carries to us.
    pub fn subscribed(&self) -> impl Iterator<Item = &Sid> {
        self.tracks.values().map(|carried| &carried.track)
    }

    /// Who published a track that a line carries to us.
    pub fn publisher_of(&self, track: &Sid) -> Option<&Sid> {
        self.tracks
            .values()
            .find(|carried| carried.track == *track)
            .map(|carried| &carried.member)
    }

    /// What the server says that we may do.
    pub fn permission(&self) -> Option<&proto::ParticipantPermission> {
        self.permission.as_ref()
    }

    pub fn publications(&self) -> &[Publication] {
        &self.publications
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// ICE and DTLS stand, on both connections where there are two.
    pub fn is_connected(&self) -> bool {
        self.publisher.connected
            && self
                .subscriber
                .as_ref()
                .is_none_or(|subscriber| subscriber.connected)
    }

    /// Announces a track; its line follows when the server has named it. Frames can be written from
    /// [`Event::Sending`] on.
    pub fn publish(&mut self, _now: Instant, announcement: Announcement) -> PublicationId {
        let id = PublicationId(self.publications.len() as u32);
        let publication = announcement.into_publication(id);
        self.send(Request::AddTrack(publication.add_track_request()));
        self.publications.push(publication);
        id
    }

    pub fn unpublish(&mut self, _now: Instant, id: PublicationId) {
        let Some(publication) = self.publications.get_mut(id.0 as usize) else {
            return;
        };
        match publication.stage {
            Stage::Sending => {
                publication.stage = Stage::Ended;
                self.offer_wanted = true;
                self.drain();
            }
            Stage::Announced | Stage::Offered => publication.ending = true,
            Stage::Ended => {}
        }
    }

    pub fn mute(&mut self, _now: Instant, id: PublicationId, muted: bool) {
        let Some(publication) = self.publications.get_mut(id.0 as usize) else {
            return;
        };
        publication.muted = muted;
        let Some(track) = publication.track.clone() else {
            return;
        };
        self.send(Request::Mute(proto::MuteTrackRequest {
            sid: track.as_str().into(),
            muted,
        }));
    }

    /// Cuts a coded frame into packets and sends them all at once; `level` is for sound, in -dBov. Returns how many
    /// packets went out: none while the line does not stand, or for a rid that was not announced.
    pub fn write_frame(
        &mut self,
        now: Instant,
        id: PublicationId,
        rid: Option<&str>,
        frame: &[u8],
        time: u32,
        level: Option<u8>,
    ) -> usize {
        let packets = self.packets(id, rid, frame, time, level);
        packets
            .into_iter()
            .filter(|packet| self.write_packet(now, id, rid, packet.clone()))
            .count()
    }

    /// Cuts a coded frame into packets for [`Peer::write_packet`], for who wants to pace them.
    pub fn packets(
        &mut self,
        id: PublicationId,
        rid: Option<&str>,
        frame: &[u8],
        time: u32,
        level: Option<u8>,
    ) -> Vec<Packet> {
        let Some(publication) = self.publications.get_mut(id.0 as usize) else {
            return Vec::new();
        };
        let codec = publication.announcement.codec;
        let Some(layer) = publication.layer_mut(rid) else {
            return Vec::new();
        };
        layer.pictures = (layer.pictures + 1) & 0x7fff;
        let payloads = packet::packetize(codec, frame, layer.pictures);
        let last = payloads.len().saturating_sub(1);
        let payloads = payloads.into_iter().enumerate();
        payloads
            .map(|(index, payload)| Packet {
                payload,
                time,
                marker: codec.kind() == Kind::Video && index == last,
                audio_level: if codec.kind() == Kind::Audio {
                    Some(level.unwrap_or(127))
                } else {
                    None
                },
            })
            .collect()
    }

    /// Sends one RTP packet. False (and counted) while its line does not stand.
    pub fn write_packet(
        &mut self,
        now: Instant,
        id: PublicationId,
        rid: Option<&str>,
        packet: Packet,
    ) -> bool {
        let sent = self.try_write(now, id, rid, packet).unwrap_or(false);
        if sent {
            self.publisher.advance(now);
            self.drain();
        } else {
            self.counters.packets_unsent += 1;
        }
        sent
    }

    /// The sequence number that the next packet of a layer will have.
    pub fn next_sequence(&mut self, id: PublicationId, rid: Option<&str>) -> Option<u64> {
        let publication = self.publications.get_mut(id.0 as usize)?;
        publication.layer_mut(rid).map(|layer| layer.sequence)
    }

    pub fn subscribe(&mut self, _now: Instant, tracks: &[Sid], subscribe: bool) {
        let track_sids = tracks
            .iter()
            .map(|track| track.as_str().to_owned())
            .collect();
        self.send(Request::Subscription(proto::UpdateSubscription {
            track_sids,
            subscribe,
            ..Default::default()
        }));
    }

    pub fn set_track(&mut self, _now: Instant, tracks: &[Sid], setting: Setting) {
        self.send(Request::TrackSetting(proto::UpdateTrackSettings {
            track_sids: tracks
                .iter()
                .map(|track| track.as_str().to_owned())
                .collect(),
            disabled: setting.disabled,
            quality: setting.quality,
            width: setting.width,
            height: setting.height,
            ..Default::default()
        }));
    }

    /// Asks the publisher of a subscribed track for a key frame (PLI). False when no packet of it came yet.
    pub fn request_key_frame(&mut self, now: Instant, track: &Sid) -> bool {
        let line = self
            .tracks
            .iter()
            .find(|(_, carried)| carried.track == *track)
            .map(|(mid, _)| *mid);
        let Some(mid) = line else { return false };
        let asked = self.receiver().request_key_frame(mid);
        self.receiver().advance(now);
        self.drain();
        asked
    }

    /// Sends a user packet to all, or to the identities in `to`. False (and counted) when the channel takes none.
    pub fn send_data(
        &mut self,
        now: Instant,
        channel: Channel,
        topic: &str,
        payload: &[u8],
        to: &[&str],
    ) -> bool {
        if channel == Channel::Reliable {
            self.reliable_sequence += 1;
        }
        let user = proto::UserPacket {
            payload: payload.to_vec(),
            topic: Some(topic.into()),
            ..Default::default()
        };
        let packet = proto::DataPacket {
            sequence: if channel == Channel::Reliable {
                self.reliable_sequence
            } else {
                0
            },
            destination_identities: to.iter().map(|identity| (*identity).to_owned()).collect(),
            value: Some(proto::data_packet::Value::User(user)),
            ..Default::default()
        };
        self.send_bytes(now, channel, &packet.encode_to_vec())
    }

    /// Says to all what a member (`by`, its identity) has said, finally. False (and counted) when the channel takes none.
    pub fn send_transcription(&mut self, now: Instant, by: &str, text: &str) -> bool {
        self.reliable_sequence += 1;
        let segment = proto::TranscriptionSegment {
            id: self.reliable_sequence.to_string(),
            text: text.into(),
            r#final: true,
            ..Default::default()
        };
        let said = proto::Transcription {
            transcribed_participant_identity: by.into(),
            segments: vec![segment],
            ..Default::default()
        };
        let packet = proto::DataPacket {
            sequence: self.reliable_sequence,
            value: Some(proto::data_packet::Value::Transcription(said)),
            ..Default::default()
        };
        self.send_bytes(now, Channel::Reliable, &packet.encode_to_vec())
    }

    /// Sends any bytes on a data channel.
    pub fn send_bytes(&mut self, now: Instant, channel: Channel, bytes: &[u8]) -> bool {
        let sent = self.publisher.send(channel, bytes);
        self.counters.data_refused += u64::from(!sent);
        self.publisher.advance(now);
        self.drain();
        sent
    }

    pub fn can_send_data(&self, channel: Channel) -> bool {
        self.publisher.has_channel(channel)
    }

    pub fn set_metadata(
        &mut self,
        _now: Instant,
        request_id: u32,
        metadata: &str,
        attributes: &[(&str, &str)],
    ) {
        self.send(Request::UpdateMetadata(proto::UpdateParticipantMetadata {
            metadata: metadata.into(),
            attributes: attributes
                .iter()
                .map(|(key, value)| ((*key).into(), (*value).into()))
                .collect(),
            request_id,
            ..Default::default()
        }));
    }

    /// Sends any request: for what has no verb here, and for what must be refused. While the socket is away it waits.
    pub fn send(&mut self, message: Request) {
        let away = self.member.is_some() && (!self.socket_open || self.stage == Standing::Resuming);
        if away && self.stage != Standing::Left {
            if self.waiting.len() < WAITING_MAX {
                self.waiting.push(message);
            } else {
                self.counters.requests_dropped += 1;
            }
            return;
        }
        let request = proto::SignalRequest {
            message: Some(message),
        };
        self.outputs
            .push_back(Output::SocketSend(request.encode_to_vec().into()));
    }

    /// Says goodbye and closes everything.
    pub fn leave(&mut self, now: Instant) {
        self.waiting.clear();
        self.send(Request::Leave(proto::LeaveRequest {
            reason: proto::DisconnectReason::ClientInitiated as i32,
            ..Default::default()
        }));
        self.outputs.push_back(Output::SocketClose);
        self.end(now);
    }

    /// The socket is gone and will be opened again for the same member: see [`Peer::request`].
    pub fn resume(&mut self) {
        if self.member.is_some() && self.stage != Standing::Left {
            self.stage = Standing::Resuming;
        }
    }

    fn handle_datagram(
        &mut self,
        now: Instant,
        source: SocketAddr,
        destination: SocketAddr,
        bytes: &[u8],
    ) {
        let session = match &mut self.subscriber {
            Some(subscriber) if subscriber.address == destination => subscriber,
            _ => &mut self.publisher,
        };
        if !session.datagram(now, source, bytes) {
            self.counters.datagrams_refused += 1;
        }
    }

    fn handle_response(&mut self, now: Instant, message: Response) {
        match message {
            Response::Join(join) => self.handle_join(now, join),
            Response::Reconnect(_) => self.handle_reconnect(),
            Response::Answer(answer) => self.handle_answer(answer),
            Response::Offer(offer) => self.handle_offer(now, offer),
            Response::Update(update) => {
                for info in &update.participants {
                    self.note_member(info);
                }
                self.event(Event::Members(update.participants));
            }
            Response::TrackPublished(published) => self.handle_published(published),
            Response::Leave(leave) => {
                let action = leave.action();
                self.event(Event::Left(Box::new(leave)));
                if action == proto::leave_request::Action::Disconnect {
                    self.end(now);
                }
            }
            Response::Mute(mute) => {
                if let Some(publication) = self.publication_of(&mute.sid) {
                    publication.muted = mute.muted;
                    let id = publication.id;
                    self.event(Event::Muted {
                        publication: id,
                        muted: mute.muted,
                    });
                }
            }
            Response::SpeakersChanged(changed) => self.event(Event::Speakers(changed.speakers)),
            Response::RoomUpdate(update) => {
                if let Some(room) = update.room {
                    self.event(Event::RoomUpdate(Box::new(room)));
                }
            }
            Response::ConnectionQuality(update) => self.event(Event::Quality(update.updates)),
            Response::StreamStateUpdate(update) => {
                self.event(Event::StreamStates(update.stream_states))
            }
            Response::SubscriptionPermissionUpdate(update) => {
                self.event(Event::SubscriptionPermission {
                    track: Sid::new(&update.track_sid),
                    allowed: update.allowed,
                })
            }
            Response::RefreshToken(token) => self.event(Event::RefreshToken(token)),
            Response::TrackUnpublished(unpublished) => {
                if let Some(publication) = self.publication_of(&unpublished.track_sid) {
                    publication.stage = Stage::Ended;
                    let id = publication.id;
                    self.offer_wanted = true;
                    self.event(Event::Unpublished { publication: id });
                }
            }
            Response::SubscriptionResponse(response) if response.err != 0 => {
                self.event(Event::SubscriptionFailed {
                    track: Sid::new(&response.track_sid),
                    reason: response.err,
                })
            }
            Response::RequestResponse(response) => {
                self.event(Event::RequestResponse(Box::new(response)))
            }
            Response::TrackSubscribed(subscribed) => {
                if let Some(id) = self
                    .publication_of(&subscribed.track_sid)
                    .map(|publication| publication.id)
                {
                    self.event(Event::FirstSubscriber { publication: id });
                }
            }
            Response::SubscribedQualityUpdate(update) => {
                let most = update
                    .subscribed_codecs
                    .iter()
                    .flat_map(|codec| &codec.qualities)
                    .filter(|quality| quality.enabled)
                    .map(|quality| quality.quality)
                    .max();
                if let Some(publication) = self
                    .publication_of(&update.track_sid)
                    .map(|publication| publication.id)
                {
                    self.event(Event::Demand { publication, most });
                }
            }
            Response::MediaSectionsRequirement(requirement) => {
                self.more_lines.audio += requirement.num_audios;
                self.more_lines.video += requirement.num_videos;
                self.offer_wanted = true;
            }
            // The server sends its candidates in the description; pongs and hints about layers change nothing here.
            _ => {}
        }
    }

    fn handle_join(&mut self, now: Instant, join: proto::JoinResponse) {
        self.stage = Standing::Joined;
        self.member = join.participant.as_ref().map(|info| Sid::new(&info.sid));
        self.permission = join
            .participant
            .as_ref()
            .and_then(|info| info.permission.clone());
        for info in &join.other_participants {
            self.note_member(info);
        }
        if join.ping_interval > 0 {
            self.ping_interval = Duration::from_secs(join.ping_interval as u64);
            self.next_ping = Some(now + self.ping_interval);
        }
        // In the pair form the publishing connection is made at once when the server wants it fast or first.
        if self.config.form == Form::Pair && (join.fast_publish || !join.subscriber_primary) {
            self.offer_wanted = true;
        }
        self.event(Event::Joined(Box::new(join)));
    }

    fn handle_reconnect(&mut self) {
        self.stage = Standing::Joined;
        let tracks: Vec<String> = self
            .subscribed()
            .map(|track| track.as_str().to_owned())
            .collect();
        let published = self
            .publications
            .iter()
            .filter(|publication| publication.stage != Stage::Ended);
        let publish_tracks = published
            .filter_map(|publication| {
                let track = publication.track.as_ref()?;
                let info = proto::TrackInfo {
                    sid: track.as_str().into(),
                    ..Default::default()
                };
                Some(proto::TrackPublishedResponse {
                    cid: publication.cid(),
                    track: Some(info),
                })
            })
            .collect();
        self.send(Request::SyncState(proto::SyncState {
            answer: self.last_answer.clone(),
            subscription: Some(proto::UpdateSubscription {
                track_sids: if self.config.auto_subscribe {
                    Vec::new()
                } else {
                    tracks
                },
                subscribe: !self.config.auto_subscribe,
                ..Default::default()
            }),
            publish_tracks,
            ..Default::default()
        }));
        self.event(Event::Resumed);
        for request in std::mem::take(&mut self.waiting) {
            self.send(request);
        }
        // In the pair form the server restarts ICE on the subscriber's connection itself.
        if self.config.form == Form::Single || self.publisher.connected {
            self.ice_restart_wanted = true;
            self.offer_wanted = true;
        }
        // An offer that was open when the socket broke may have been lost, or its answer: once more, word for word.
        if let Some((id, sdp)) = self.publisher.open_offer() {
            self.send(Request::Offer(description("offer", sdp, id)));
        }
    }

    fn handle_answer(&mut self, answer: proto::SessionDescription) {
        if let Err(reason) = self.publisher.answer(answer.id, &answer.sdp) {
            self.event(Event::Failed(reason));
            return;
        }
        if self.config.form == Form::Single {
            self.note_lines(&answer.sdp, Some(&answer.mid_to_track_id));
        }
        self.last_answer = Some(answer);
        for index in 0..self.publications.len() {
            let publication = &mut self.publications[index];
            let (Stage::Offered, Some(mid)) = (publication.stage, publication.line) else {
                continue;
            };
            let Some(pt) = self
                .publisher
                .payload_type(mid, publication.announcement.codec)
            else {
                continue;
            };
            publication.payload_type = Some(pt);
            if publication.ending {
                publication.stage = Stage::Ended;
                self.offer_wanted = true;
                continue;
            }
            publication.stage = Stage::Sending;
            let id = publication.id;
            self.event(Event::Sending { publication: id });
        }
    }

    fn handle_offer(&mut self, now: Instant, offer: proto::SessionDescription) {
        let Some(subscriber) = &mut self.subscriber else {
            self.event(Event::Failed(
                "an offer, but the only connection is ours to offer on".into(),
            ));
            return;
        };
        match subscriber.accept(&offer.sdp) {
            Ok(sdp) => {
                subscriber.advance(now);
                self.send(Request::Answer(description("answer", sdp, offer.id)));
                self.note_lines(&offer.sdp, None);
            }
            Err(reason) => self.event(Event::Failed(reason)),
        }
    }

    fn handle_published(&mut self, published: proto::TrackPublishedResponse) {
        let publication = self
            .publications
            .iter_mut()
            .find(|publication| publication.cid() == published.cid);
        let (Some(publication), Some(info)) = (publication, published.track) else {
            return;
        };
        let track = Sid::new(&info.sid);
        publication.track = Some(track.clone());
        if publication.stage == Stage::Announced {
            publication.stage = Stage::Offered;
        }
        let id = publication.id;
        self.offer_wanted = true;
        self.event(Event::Published {
            publication: id,
            track,
        });
    }

    /// Learns from the server's description which line carries which track: `a=msid:PA_x|TR_y TR_y`, and in the
    /// single form a map beside it.
    fn note_lines(
        &mut self,
        text: &str,
        by_mid: Option<&std::collections::HashMap<String, String>>,
    ) {
        for line in sdp::lines(text) {
            let mid = Mid::from(line.mid.as_str());
            let labelled = match (&line.msid, line.direction.sends() && !line.rejected) {
                (Some((stream, track)), true) if stream.starts_with("PA") => {
                    let member = stream.split('|').next().unwrap_or(stream);
                    Some(Carried {
                        track: Sid::new(track),
                        member: Sid::new(member),
                    })
                }
                _ => None,
            };
            if let Some(by_mid) = by_mid {
                let mapped = by_mid.get(&line.mid).map(String::as_str);
                let ours = self
                    .publications
                    .iter()
                    .any(|publication| publication.line == Some(mid));
                let told = labelled.as_ref().map(|carried| carried.track.as_str());
                if !ours && mapped != told {
                    self.counters.disagreements += 1;
                }
            }
            let before = self.tracks.get(&mid);
            if before == labelled.as_ref() {
                continue;
            }
            if let Some(before) = self.tracks.remove(&mid) {
                self.event(Event::TrackUnsubscribed {
                    track: before.track,
                });
            }
            if let Some(carried) = labelled {
                let kind = self.kind_of(&carried.track, text, &line.mid);
                self.tracks.insert(mid, carried.clone());
                self.event(Event::TrackSubscribed {
                    track: carried.track,
                    member: carried.member,
                    kind,
                });
            }
        }
    }

    /// From what the server told of the track; else from the line itself.
    fn kind_of(&self, track: &Sid, text: &str, mid: &str) -> Kind {
        let told = self
            .members
            .values()
            .flat_map(|info| &info.tracks)
            .find(|info| info.sid == track.as_str());
        if let Some(info) = told {
            return if info.r#type() == proto::TrackType::Video {
                Kind::Video
            } else {
                Kind::Audio
            };
        }
        let before = text
            .split("m=")
            .find(|section| section.contains(&format!("a=mid:{mid}\r\n")));
        if before.is_some_and(|section| section.starts_with("video")) {
            Kind::Video
        } else {
            Kind::Audio
        }
    }

    fn note_member(&mut self, info: &proto::ParticipantInfo) {
        if self
            .member
            .as_ref()
            .is_some_and(|member| member.as_str() == info.sid)
        {
            if info.permission.is_some() && info.permission != self.permission {
                self.permission = info.permission.clone();
                let permission = self.permission.clone().expect("looked at above");
                self.event(Event::PermissionsChanged(permission));
            }
            return;
        }
        if info.state() == proto::participant_info::State::Disconnected {
            self.members.remove(&info.sid);
        } else {
            let newer = self
                .members
                .get(&info.sid)
                .is_none_or(|before| before.version <= info.version);
            if newer {
                self.members.insert(info.sid.clone(), info.clone());
            }
        }
    }

    fn publication_of(&mut self, track: &str) -> Option<&mut Publication> {
        let fits = |publication: &&mut Publication| {
            publication
                .track
                .as_ref()
                .is_some_and(|sid| sid.as_str() == track)
        };
        self.publications.iter_mut().find(fits)
    }

    fn try_write(
        &mut self,
        now: Instant,
        id: PublicationId,
        rid: Option<&str>,
        packet: Packet,
    ) -> Option<bool> {
        let publication = self.publications.get_mut(id.0 as usize)?;
        if publication.stage != Stage::Sending || !self.publisher.connected {
            return None;
        }
        let (mid, pt) = (publication.line?, publication.payload_type?);
        let layer = publication.layer_mut(rid)?;
        Some(self.publisher.write(now, mid, pt, layer, packet))
    }

    fn receiver(&mut self) -> &mut Session {
        self.subscriber.as_mut().unwrap_or(&mut self.publisher)
    }

    fn ping(&mut self) {
        self.pings += 1;
        self.send(Request::PingReq(proto::Ping {
            timestamp: self.pings,
            rtt: 0,
        }));
    }

    fn offer(&mut self) {
        let more = std::mem::take(&mut self.more_lines);
        let ice_restart = std::mem::take(&mut self.ice_restart_wanted);
        self.offer_wanted = false;
        if let Some((id, sdp)) = self
            .publisher
            .offer(&mut self.publications, more, ice_restart)
        {
            self.send(Request::Offer(description("offer", sdp, id)));
        }
    }

    fn end(&mut self, now: Instant) {
        self.stage = Standing::Left;
        self.next_ping = None;
        self.publisher.close();
        self.publisher.advance(now);
        if let Some(subscriber) = &mut self.subscriber {
            subscriber.close();
            subscriber.advance(now);
        }
        self.drain();
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Takes what the connections have to say, and makes the offer that is due.
    fn drain(&mut self) {
        if self.offer_wanted
            && self.socket_open
            && self.stage == Standing::Joined
            && self.publisher.open_offer().is_none()
        {
            self.offer();
        }
        let mut happened = Vec::new();
        self.publisher
            .drain(|what| happened.push((Connection::Publisher, what)));
        if let Some(subscriber) = &mut self.subscriber {
            subscriber.drain(|what| happened.push((Connection::Subscriber, what)));
        }
        for (connection, what) in happened {
            self.note(connection, what);
        }
    }

    fn note(&mut self, connection: Connection, what: Happened) {
        match what {
            Happened::Transmit { destination, bytes } => {
                let source = match (connection, &self.subscriber) {
                    (Connection::Subscriber, Some(subscriber)) => subscriber.address,
                    _ => self.publisher.address,
                };
                self.outputs.push_back(Output::Transmit {
                    source,
                    destination,
                    bytes,
                });
            }
            Happened::Connected => self.event(Event::Connected(connection)),
            Happened::Disconnected => self.event(Event::Disconnected(connection)),
            Happened::ChannelOpen(channel) => self.event(Event::ChannelOpen(channel)),
            Happened::Data { channel, bytes } => match proto::DataPacket::decode(bytes.clone()) {
                Ok(packet) => self.event(Event::Data {
                    channel,
                    packet: Box::new(packet),
                }),
                Err(_) => self.event(Event::DataBytes { channel, bytes }),
            },
            Happened::Rtp { mid, packet } => self.note_rtp(mid, *packet),
            Happened::KeyFrameRequest { mid, rid } => {
                let publication = self
                    .publications
                    .iter()
                    .find(|publication| publication.line == Some(mid));
                if let Some(id) = publication.map(|publication| publication.id) {
                    self.event(Event::KeyFrameRequest {
                        publication: id,
                        rid: rid.unwrap_or_default(),
                    });
                }
            }
            // A connection that is closed half-way through its handshakes says so; nobody minds any more.
            Happened::Failed(_) if self.stage == Standing::Left => {}
            Happened::Failed(reason) => self.event(Event::Failed(reason)),
        }
    }

    fn note_rtp(&mut self, mid: Mid, packet: RtpPacket) {
        let carried = self.tracks.get(&mid);
        if carried.is_none() {
            self.counters.packets_unannounced += 1;
        }
        let track = carried.map(|carried| carried.track.clone());
        let payload_type = *packet.header.payload_type;
        let kind = if packet.time.frequency().get() == 48_000 {
            Kind::Audio
        } else {
            Kind::Video
        };
        self.event(Event::Rtp(Rtp {
            track,
            kind,
            payload_type,
            ssrc: *packet.header.ssrc,
            sequence: *packet.seq_no,
            time: packet.header.timestamp,
            marker: packet.header.marker,
            audio_level: packet
                .header
                .ext_vals
                .audio_level
                .map(|level| level.unsigned_abs()),
            payload: packet.payload,
        }));
    }
}

fn description(kind: &str, sdp: String, id: u32) -> proto::SessionDescription {
    proto::SessionDescription {
        r#type: kind.into(),
        sdp,
        id,
        ..Default::default()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a vector takes everything");
    encoder.finish().expect("a vector takes everything")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Certificate;

    fn peer(form: Form) -> Peer {
        let address = "127.0.0.1:4000".parse().expect("an address");
        Peer::new(
            Instant::now(),
            Config::new(form, address, Certificate::new()),
        )
    }

    #[test]
    fn the_first_offer_of_the_single_form_asks_for_six_lines_and_data() {
        let offer = peer(Form::Single)
            .join_request()
            .publisher_offer
            .expect("an offer");
        assert_eq!(offer.id, 1);
        let lines = sdp::lines(&offer.sdp);
        assert_eq!(lines.len(), 7);
        assert_eq!(
            lines
                .iter()
                .filter(|line| line.direction == sdp::Direction::RecvOnly)
                .count(),
            6
        );
        assert_eq!(offer.sdp.matches("m=application").count(), 1);
    }

    #[test]
    fn the_request_of_the_single_form_is_short_enough_for_a_url() {
        let request = peer(Form::Single).request();
        assert!(request.path.starts_with("/rtc/v1?join_request="));
        assert!(request.path.len() < 8_000, "{} bytes", request.path.len());
        assert!(request.url("ws://h:1/", "T").ends_with("&access_token=T"));
        assert!(
            peer(Form::Pair)
                .request()
                .path
                .starts_with("/rtc?auto_subscribe=1&")
        );
    }

    #[test]
    fn a_message_that_cannot_be_read_is_counted() {
        let mut peer = peer(Form::Single);
        peer.handle_input(Instant::now(), Input::SocketMessage(&[0xff, 0xff, 0xff]));
        peer.handle_input(Instant::now(), Input::SocketMessage(&[]));
        assert_eq!(peer.counters().messages_unreadable, 2);
    }

    #[test]
    fn nothing_is_written_before_the_line_stands() {
        let now = Instant::now();
        let mut peer = peer(Form::Single);
        let id = peer.publish(now, Announcement::microphone());
        assert_eq!(peer.write_frame(now, id, None, &[1, 2, 3], 0, Some(30)), 0);
        assert_eq!(peer.counters().packets_unsent, 1);
    }
}
