//! What the client asks for, message by message.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use amphi_media::{Layer, TrackId, VideoSize};
use amphi_room::{Input, LeaveReason, LetTracks, RequestId, Subscribers};
use amphi_sfu::{SendLine, Want, sdp};
use livekit_protocol as proto;
use livekit_protocol::request_response::{Reason, Request};
use livekit_protocol::signal_request::Message as Asked;
use livekit_protocol::signal_response::Message as Response;

use crate::signal::{Answering, Phase, Receiving};
use crate::slots::Lines;
use crate::{Description, SfuCommand, Signal, View, info, publish};

/// Most track ids that one message may name.
const SIDS_MAX: usize = 1_000;

/// Settings of tracks kept of one client before those of tracks that are gone are forgotten.
const WANTS_MAX: usize = 256;

impl Signal {
    pub(crate) fn request(&mut self, now: Instant, view: View<'_>, message: Asked) {
        if self.phase() != Phase::In {
            // Nobody speaks before being spoken to; what comes early is lost as it would be with a slower network.
            self.counters.messages_stale += 1;
            return;
        }
        match message {
            Asked::Offer(offer) => self.offered(
                now,
                view,
                Description {
                    id: offer.id,
                    sdp: offer.sdp,
                },
            ),
            Asked::Answer(answer) => self.answered(now, view, answer),
            Asked::AddTrack(request) => self.add_track(request),
            Asked::Mute(mute) => self.mute(view, &mute),
            Asked::Subscription(update) => self.update_subscription(view, &update),
            Asked::TrackSetting(settings) => self.set_tracks(view, &settings),
            Asked::Leave(_) => self.give_up(LeaveReason::ClientInitiated),
            Asked::SyncState(state) => self.sync(view, &state),
            Asked::UpdateMetadata(update) => self.describe(update),
            Asked::Ping(_) => self.send(Response::Pong(view.facts.wall.unix_ms(now))),
            Asked::PingReq(ping) => self.send(Response::PongResp(proto::Pong {
                last_ping_timestamp: ping.timestamp,
                timestamp: view.facts.wall.unix_ms(now),
            })),
            Asked::Simulate(scenario) => self.simulate(&scenario),
            Asked::PublishDataTrackRequest(request) => {
                self.cannot(
                    0,
                    "Data tracks are not carried yet; send data packets.",
                    Some(Request::PublishDataTrack(request)),
                );
            }
            Asked::UnpublishDataTrackRequest(request) => {
                self.cannot(
                    0,
                    "Data tracks are not carried yet.",
                    Some(Request::UnpublishDataTrack(request)),
                );
            }
            Asked::StoreDataBlobRequest(request) => {
                self.cannot(request.request_id, "Data blobs are not kept here.", None);
            }
            Asked::GetDataBlobRequest(request) => {
                self.cannot(request.request_id, "Data blobs are not kept here.", None);
            }
            // Our candidate stands in the description, and the client's are learnt from its checks (ICE-lite, RFC 8445
            // §2.5): what it trickles is not needed.
            Asked::Trickle(_) => {}
            // They tell what packets tell too, and clients wait for no answer.
            Asked::UpdateAudioTrack(_) | Asked::UpdateVideoTrack(_) => {}
            #[expect(deprecated, reason = "older clients still send it")]
            Asked::UpdateLayers(_) => {}
            Asked::SubscriptionPermission(permission) => self.permit(view, &permission),
            Asked::UpdateDataSubscription(_) => self.counters.messages_unsupported += 1,
        }
    }

    /// The client offers. Waits until what it announced before is decided.
    pub(crate) fn offered(&mut self, now: Instant, view: View<'_>, offer: Description) {
        if self.announcing > 0 {
            self.wait_with(offer);
            return;
        }
        let lines = match sdp::lines(&offer.sdp) {
            Ok(lines) => lines,
            Err(_) => return self.sdp_refused(),
        };
        let published = self.publishing.read(&lines, &mut self.counters);
        for track in published.ended {
            self.room(Input::Unpublish {
                member: self.member,
                track,
            });
        }
        let carried = match &mut self.receiving {
            Receiving::Slots(slots) => slots.answer(now, &lines),
            Receiving::Offers(_) => Vec::new(),
        };
        let sends: Vec<SendLine> = carried
            .into_iter()
            .filter_map(|(mid, track)| {
                let known = view.room.track(track)?;
                let sid = view.facts.track_sid(known);
                let stream_label = format!("{}|{sid}", view.facts.participant_sid(known.member));
                Some(SendLine {
                    mid,
                    track,
                    stream_label,
                    track_label: sid,
                })
            })
            .collect();
        let carried = sends
            .iter()
            .map(|line| (line.mid.0.clone(), line.track))
            .collect();
        let tracks: Vec<TrackId> = sends.iter().map(|line| line.track).collect();
        self.answering.push_back(Answering {
            id: offer.id,
            carried,
        });
        let session = self.publisher();
        self.sfu(SfuCommand::Offer {
            session,
            sdp: offer.sdp,
            receives: published.receives,
            sends,
        });
        self.select_again(&tracks);
    }

    /// Tells the SFU again how much of these tracks is wanted, where that is not everything.
    pub(crate) fn select_again(&mut self, tracks: &[TrackId]) {
        let session = self.subscriber();
        for track in tracks {
            if let Some(want) = self.wants.get(track).copied() {
                self.sfu(SfuCommand::Select {
                    session,
                    track: *track,
                    want,
                });
            }
        }
    }

    /// A description made no sense. The connection cannot go on from it, so the client shall come back from scratch if
    /// it was connected once, and go if it never was.
    pub(crate) fn sdp_refused(&mut self) {
        self.counters.sdp_refused += 1;
        self.give_up(match self.has_connected() {
            true => LeaveReason::ConnectionLost,
            false => LeaveReason::JoinFailure,
        });
    }

    /// Asks a client to offer again, with more lines to receive on if any are named.
    pub(crate) fn require(&mut self, lines: Lines) {
        let count = |number: usize| u32::try_from(number).expect("bounded by the number of slots");
        self.counters.renegotiations += 1;
        self.send(Response::MediaSectionsRequirement(
            proto::MediaSectionsRequirement {
                num_audios: count(lines.audio),
                num_videos: count(lines.video),
            },
        ));
    }

    pub(crate) fn answer_request(&mut self, request_id: u32, reason: Reason, words: &str) {
        self.send(Response::RequestResponse(proto::RequestResponse {
            request_id,
            reason: reason.into(),
            message: words.to_owned(),
            request: None,
        }));
    }

    /// Tracks announced, by the join request or a message.
    pub(crate) fn add_track(&mut self, request: proto::AddTrackRequest) {
        if !request.sid.is_empty() {
            self.cannot(
                0,
                "A track is published in one codec here.",
                Some(Request::AddTrack(request)),
            );
            return;
        }
        let Some(track) = publish::announced(&request) else {
            self.cannot(
                0,
                "A track is audio or video here.",
                Some(Request::AddTrack(request)),
            );
            return;
        };
        self.publishing.name(&request);
        self.announcing += 1;
        self.room(Input::Announce {
            member: self.member,
            track,
        });
    }

    /// What the client still had when it came back.
    pub(crate) fn sync(&mut self, view: View<'_>, state: &proto::SyncState) {
        if let Some(update) = &state.subscription {
            self.update_subscription(view, update);
        }
        let disabled = proto::UpdateTrackSettings {
            track_sids: state.track_sids_disabled.clone(),
            disabled: true,
            ..proto::UpdateTrackSettings::default()
        };
        self.set_tracks(view, &disabled);
    }

    fn mute(&mut self, view: View<'_>, mute: &proto::MuteTrackRequest) {
        match view.facts.track_of(&mute.sid) {
            Some(track) => self.room(Input::Mute {
                member: self.member,
                track,
                muted: mute.muted,
            }),
            None => self.counters.messages_malformed += 1,
        }
    }

    fn update_subscription(&mut self, view: View<'_>, update: &proto::UpdateSubscription) {
        let grouped = update
            .participant_tracks
            .iter()
            .flat_map(|tracks| &tracks.track_sids);
        let sids: BTreeSet<&String> = update
            .track_sids
            .iter()
            .chain(grouped)
            .take(SIDS_MAX)
            .collect();
        for sid in sids {
            match view.facts.track_of(sid) {
                Some(track) => {
                    self.room(Input::Subscribe {
                        member: self.member,
                        track,
                        wanted: update.subscribe,
                    });
                }
                None if update.subscribe => self.no_such_track(sid.clone()),
                None => {}
            }
        }
    }

    /// Whom the client lets have its tracks.
    fn permit(&mut self, view: View<'_>, permission: &proto::SubscriptionPermission) {
        if permission.all_participants {
            self.room(Input::LetSubscribe {
                member: self.member,
                to: Subscribers::Everybody,
            });
            return;
        }
        let mut named = BTreeMap::new();
        for entry in permission.track_permissions.iter().take(SIDS_MAX) {
            let by_sid = view
                .facts
                .member_of(&entry.participant_sid)
                .and_then(|member| view.room.member(member));
            let identity = match (entry.participant_identity.as_str(), by_sid) {
                ("", Some(member)) => member.identity.clone(),
                (identity, _) => identity.to_owned(),
            };
            let tracks = entry
                .track_sids
                .iter()
                .take(SIDS_MAX)
                .filter_map(|sid| view.facts.track_of(sid));
            let lets = match entry.all_tracks {
                true => LetTracks::All,
                false => LetTracks::These(tracks.collect()),
            };
            named.insert(identity, lets);
        }
        self.room(Input::LetSubscribe {
            member: self.member,
            to: Subscribers::Only(named),
        });
    }

    pub(crate) fn no_such_track(&mut self, track_sid: String) {
        self.send(Response::SubscriptionResponse(
            proto::SubscriptionResponse {
                track_sid,
                err: proto::SubscriptionError::SeTrackNotfound.into(),
            },
        ));
    }

    fn set_tracks(&mut self, view: View<'_>, settings: &proto::UpdateTrackSettings) {
        let tracks: BTreeSet<TrackId> = settings
            .track_sids
            .iter()
            .take(SIDS_MAX)
            .filter_map(|sid| view.facts.track_of(sid))
            .collect();
        for track in tracks {
            let Some(known) = view.room.track(track) else {
                continue;
            };
            if self.wants.len() >= WANTS_MAX {
                self.wants
                    .retain(|other, _| view.room.track(*other).is_some());
            }
            let want = wanted(settings, &info::layers(&known.announced));
            self.wants.insert(track, want);
            if known.subscribers.contains(&self.member) {
                self.sfu(SfuCommand::Select {
                    session: self.subscriber(),
                    track,
                    want,
                });
            }
        }
    }

    fn describe(&mut self, update: proto::UpdateParticipantMetadata) {
        // Clients send the name and the metadata they know with every change; without one, it is empty.
        let said = |text: String| Some(text).filter(|text| !text.is_empty());
        self.room(Input::Describe {
            member: self.member,
            request: RequestId(u64::from(update.request_id)),
            name: said(update.name),
            metadata: said(update.metadata),
            attributes: update.attributes.into_iter().collect(),
        });
    }

    /// A client tries out what a server may do to it.
    fn simulate(&mut self, scenario: &proto::SimulateScenario) {
        use proto::simulate_scenario::Scenario;
        match scenario.scenario {
            Some(Scenario::ServerLeave(true)) => self.give_up(LeaveReason::Removed),
            Some(Scenario::NodeFailure(true) | Scenario::LeaveRequestFullReconnect(true)) => {
                self.give_up(LeaveReason::ServerShutdown);
            }
            Some(_) | None => self.counters.messages_unsupported += 1,
        }
    }

    fn cannot(&mut self, request_id: u32, words: &str, request: Option<Request>) {
        self.counters.messages_unsupported += 1;
        self.send(Response::RequestResponse(proto::RequestResponse {
            request_id,
            reason: Reason::UnsupportedType.into(),
            message: words.to_owned(),
            request,
        }));
    }
}

/// How much of a track these settings ask for, among the layers that were announced (none for audio). A client that
/// wants less than there is gets the least that there is.
fn wanted(
    settings: &proto::UpdateTrackSettings,
    layers: &[(Layer, VideoSize, u64, String)],
) -> Want {
    let at_most = |wanted: Layer| {
        let announced = || layers.iter().map(|(layer, ..)| *layer);
        let layer = announced()
            .filter(|layer| *layer <= wanted)
            .max()
            .or(announced().min());
        Want::AtMost(layer.unwrap_or(Layer::HIGH))
    };
    if settings.disabled {
        return Want::Paused;
    }
    if settings.width > 0 || settings.height > 0 {
        // The smallest layer that fills the place. Pages tell the place in the picture's own orientation or across it.
        let (long, short) = (
            settings.width.max(settings.height),
            settings.width.min(settings.height),
        );
        let fills = |size: &VideoSize| {
            size.width.max(size.height) >= long && size.width.min(size.height) >= short
        };
        return at_most(
            layers
                .iter()
                .find(|(_, size, _, _)| fills(size))
                .map_or(Layer::HIGH, |(layer, ..)| *layer),
        );
    }
    match settings.quality() {
        proto::VideoQuality::Low => at_most(Layer::LOW),
        proto::VideoQuality::Medium => at_most(Layer::MEDIUM),
        proto::VideoQuality::High => at_most(Layer::HIGH),
        proto::VideoQuality::Off => Want::Paused,
    }
}
