//! Traps 17 and 18, and what else a client asks for.

use amphi_media::Layer;
use amphi_sfu::{Quality, Speaker, Want};
use proto::request_response::Reason;

use super::*;

fn settings(sid: &str) -> proto::UpdateTrackSettings {
    proto::UpdateTrackSettings {
        track_sids: vec![sid.to_owned()],
        quality: proto::VideoQuality::High.into(),
        ..Default::default()
    }
}

/// What the settings made of the wish for a track.
fn selected(
    world: &mut World,
    member: MemberId,
    settings: proto::UpdateTrackSettings,
) -> Vec<Want> {
    world.take_commands();
    world.say(member, Request::TrackSetting(settings));
    let want = |command| {
        if let SfuCommand::Select { want, .. } = command {
            Some(want)
        } else {
            None
        }
    };
    world.take_commands().into_iter().filter_map(want).collect()
}

fn simulcast() -> proto::AddTrackRequest {
    let layer = |quality: proto::VideoQuality, width, height| proto::VideoLayer {
        quality: quality.into(),
        width,
        height,
        ..Default::default()
    };
    proto::AddTrackRequest {
        width: 1280,
        height: 720,
        layers: vec![
            layer(proto::VideoQuality::Low, 320, 180),
            layer(proto::VideoQuality::Medium, 640, 360),
            layer(proto::VideoQuality::High, 1280, 720),
        ],
        ..add_track(proto::TrackSource::Camera)
    }
}

#[test]
fn both_pings_are_answered() {
    let mut world = World::new();
    let ada = world.enter("ada");
    world.wait(Duration::from_secs(2));
    world.take(ada);
    world.say(ada, Request::Ping(123));
    world.say(
        ada,
        Request::PingReq(proto::Ping {
            timestamp: 456,
            rtt: 1,
        }),
    );
    let messages = world.take(ada);
    let now = START_UNIX_MS + 2_000;
    assert_eq!(
        messages,
        [
            Response::Pong(now),
            Response::PongResp(proto::Pong {
                last_ping_timestamp: 456,
                timestamp: now
            })
        ]
    );
}

#[test]
fn settings_of_a_track_choose_its_layer() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    world.say(ada, Request::AddTrack(simulcast()));
    let sid = world.published(ada);
    let sized = |width, height| proto::UpdateTrackSettings {
        width,
        height,
        ..settings(&sid)
    };
    let quality = |quality: proto::VideoQuality| proto::UpdateTrackSettings {
        quality: quality.into(),
        ..settings(&sid)
    };
    for (settings, want) in [
        (quality(proto::VideoQuality::Low), Want::AtMost(Layer::LOW)),
        (
            quality(proto::VideoQuality::Medium),
            Want::AtMost(Layer::MEDIUM),
        ),
        (
            quality(proto::VideoQuality::High),
            Want::AtMost(Layer::HIGH),
        ),
        (quality(proto::VideoQuality::Off), Want::Paused),
        (
            proto::UpdateTrackSettings {
                disabled: true,
                ..settings(&sid)
            },
            Want::Paused,
        ),
        (sized(320, 180), Want::AtMost(Layer::LOW)),
        (sized(321, 180), Want::AtMost(Layer::MEDIUM)),
        (sized(180, 320), Want::AtMost(Layer::LOW)),
        (sized(4_000, 3_000), Want::AtMost(Layer::HIGH)),
    ] {
        assert_eq!(
            selected(&mut world, bo, settings.clone()),
            [want],
            "{settings:?}"
        );
    }
}

#[test]
fn a_track_with_one_layer_or_none_is_never_asked_for_less_than_it_has() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    for source in [proto::TrackSource::Camera, proto::TrackSource::Microphone] {
        world.say(ada, Request::AddTrack(add_track(source)));
        let sid = world.published(ada);
        // Clients do not name a quality for sound, which reads as the lowest.
        let low = proto::UpdateTrackSettings {
            quality: proto::VideoQuality::Low.into(),
            ..settings(&sid)
        };
        assert_eq!(selected(&mut world, bo, low), [Want::AtMost(Layer::HIGH)]);
    }
}

#[test]
fn what_was_set_before_a_track_has_a_line_is_repeated_when_it_has() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    let camera = world.publish(ada, proto::TrackSource::Camera);
    let disabled = proto::UpdateTrackSettings {
        disabled: true,
        ..settings(&camera)
    };
    world.say(bo, Request::TrackSetting(disabled));
    world.take_commands();
    world.offer(bo, 2, &sdp::usual_lines());
    let commands = world.take_commands();
    assert!(
        matches!(
            &commands[..],
            [
                SfuCommand::Offer { .. },
                SfuCommand::Select {
                    want: Want::Paused,
                    ..
                }
            ]
        ),
        "{commands:?}"
    );
}

#[test]
fn subscribing_to_what_is_not_there_is_answered() {
    let mut world = World::new();
    let ada = world.enter("ada");
    let sids = vec!["TR_nonsense".to_owned()];
    let update = proto::UpdateSubscription {
        track_sids: sids,
        subscribe: true,
        ..Default::default()
    };
    world.say(ada, Request::Subscription(update));
    let messages = world.take(ada);
    let [Response::SubscriptionResponse(response)] = &messages[..] else {
        panic!("{messages:?}")
    };
    assert_eq!(response.err(), proto::SubscriptionError::SeTrackNotfound);
    assert_eq!(response.track_sid, "TR_nonsense");
}

#[test]
fn subscriptions_may_be_grouped_by_member() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    let camera = world.publish(ada, proto::TrackSource::Camera);
    let tracks = proto::ParticipantTracks {
        participant_sid: String::new(),
        track_sids: vec![camera],
    };
    let update = proto::UpdateSubscription {
        participant_tracks: vec![tracks],
        subscribe: false,
        ..Default::default()
    };
    world.say(bo, Request::Subscription(update));
    assert!(world.room.member(bo).expect("in").subscriptions.is_empty());
}

#[test]
fn who_may_have_ones_tracks_is_enforced_and_told() {
    let mut world = World::new();
    let (ada, bo, cy) = (world.enter("ada"), world.enter("bo"), world.enter("cy"));
    let camera = world.publish(ada, proto::TrackSource::Camera);
    world.take(cy);
    // As both SDKs send it unasked: harmless.
    let everybody = proto::SubscriptionPermission {
        all_participants: true,
        ..Default::default()
    };
    world.say(ada, Request::SubscriptionPermission(everybody));
    assert_eq!(world.room.member(cy).expect("in").subscriptions.len(), 1);
    let only = |participant_sid: String, participant_identity: &str| proto::TrackPermission {
        participant_sid,
        participant_identity: participant_identity.into(),
        all_tracks: true,
        ..Default::default()
    };
    for permission in [only(world.sid(bo), ""), only(String::new(), "bo")] {
        let permission = proto::SubscriptionPermission {
            all_participants: false,
            track_permissions: vec![permission],
        };
        world.say(ada, Request::SubscriptionPermission(permission));
        assert!(world.room.member(cy).expect("in").subscriptions.is_empty());
        assert_eq!(world.room.member(bo).expect("in").subscriptions.len(), 1);
    }
    let messages = world.take(cy);
    let told = messages.iter().find_map(|message| match message {
        Response::SubscriptionPermissionUpdate(update) => {
            Some((update.track_sid.clone(), update.allowed))
        }
        _ => None,
    });
    assert_eq!(told, Some((camera, false)));
}

#[test]
fn a_client_describes_itself_and_is_answered_under_its_requests_number() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    world.take(bo);
    let update = proto::UpdateParticipantMetadata {
        metadata: "m".into(),
        attributes: [("hand".to_owned(), "up".to_owned())].into(),
        request_id: 5,
        ..Default::default()
    };
    world.say(ada, Request::UpdateMetadata(update));
    for member in [ada, bo] {
        let messages = world.take(member);
        let info = updates(&messages).into_iter().last().expect("told");
        assert_eq!(
            (info.metadata.as_str(), info.attributes["hand"].as_str()),
            ("m", "up")
        );
        assert_eq!(info.name, "ADA", "an empty name leaves it");
        if member == ada {
            assert_eq!(
                (
                    responses(&messages)[0].request_id,
                    responses(&messages)[0].reason()
                ),
                (5, Reason::Ok)
            );
        }
    }
}

#[test]
fn a_description_that_is_not_allowed_or_too_large_is_answered_in_words() {
    let mut world = World::new();
    let ada = world.enter("ada");
    let large = proto::UpdateParticipantMetadata {
        metadata: "m".repeat(amphi_room::METADATA_BYTES_MAX + 1),
        request_id: 6,
        ..Default::default()
    };
    world.say(ada, Request::UpdateMetadata(large));
    let messages = world.take(ada);
    assert_eq!(
        (
            responses(&messages)[0].request_id,
            responses(&messages)[0].reason()
        ),
        (6, Reason::LimitExceeded)
    );
    let video = VideoGrant {
        can_update_own_metadata: None,
        ..video_grant()
    };
    let bo = world.connect(join_with(
        &request_with_offer(1),
        &Claims {
            video: Some(video),
            ..claims("bo")
        },
    ));
    world.take(bo);
    let update = proto::UpdateParticipantMetadata {
        name: "B".into(),
        request_id: 7,
        ..Default::default()
    };
    world.say(bo, Request::UpdateMetadata(update));
    let messages = world.take(bo);
    let [refused] = &responses(&messages)[..] else {
        panic!("{messages:?}")
    };
    assert_eq!(
        (refused.request_id, refused.reason()),
        (7, Reason::NotAllowed)
    );
    assert!(
        refused.message.contains("canUpdateOwnMetadata"),
        "{}",
        refused.message
    );
}

#[test]
fn what_does_not_exist_yet_is_declined_in_words() {
    let mut world = World::new();
    let ada = world.enter("ada");
    for (request, number) in [
        (
            Request::PublishDataTrackRequest(proto::PublishDataTrackRequest::default()),
            0,
        ),
        (
            Request::StoreDataBlobRequest(proto::StoreDataBlobRequest {
                request_id: 3,
                blob: None,
            }),
            3,
        ),
        (
            Request::GetDataBlobRequest(proto::GetDataBlobRequest {
                request_id: 4,
                ..Default::default()
            }),
            4,
        ),
    ] {
        world.say(ada, request);
        let messages = world.take(ada);
        let [declined] = &responses(&messages)[..] else {
            panic!("{messages:?}")
        };
        assert_eq!(
            (declined.request_id, declined.reason()),
            (number, Reason::UnsupportedType)
        );
        assert!(!declined.message.is_empty());
    }
}

#[test]
fn messages_that_come_unasked_do_no_harm() {
    let mut world = World::new();
    let ada = world.enter("ada");
    #[expect(deprecated, reason = "older clients still send it")]
    let layers = Request::UpdateLayers(proto::UpdateVideoLayers::default());
    for message in [
        Request::Trickle(proto::TrickleRequest {
            candidate_init: "{".into(),
            ..Default::default()
        }),
        Request::UpdateAudioTrack(proto::UpdateLocalAudioTrack::default()),
        Request::UpdateVideoTrack(proto::UpdateLocalVideoTrack::default()),
        Request::UpdateDataSubscription(proto::UpdateDataSubscription::default()),
        Request::SyncState(proto::SyncState::default()),
        Request::Answer(description("answer", 3, "v=0")),
        Request::Simulate(proto::SimulateScenario { scenario: None }),
        layers,
    ] {
        world.say(ada, message);
    }
    assert!(world.take(ada).is_empty());
    assert!(world.room.member(ada).is_some());
}

#[test]
fn members_speak_and_fall_silent() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    let microphone = world.publish(ada, proto::TrackSource::Microphone);
    world.say(
        ada,
        Request::AddTrack(add_track(proto::TrackSource::ScreenShareAudio)),
    );
    let music = world.published(ada);
    world.take(bo);
    let level = |world: &World, sid: &str, level| Speaker {
        track: world.track_of(sid),
        level,
    };
    let loud = amphi_sfu::Output::Speakers(vec![
        level(&world, &music, 0.9),
        level(&world, &microphone, 0.5),
    ]);
    let silent = amphi_sfu::Output::Speakers(vec![level(&world, &music, 0.9)]);
    for (said, expected) in [
        (&loud, Some((0.5, true))),
        (&silent, Some((0.0, false))),
        (&silent, None),
    ] {
        world.signal(bo, Input::Sfu(said));
        let messages = world.take(bo);
        let told = messages.iter().find_map(|message| match message {
            Response::SpeakersChanged(changed) => Some(&changed.speakers),
            _ => None,
        });
        let expected = expected.map(|(level, active)| {
            vec![proto::SpeakerInfo {
                sid: world.sid(ada),
                level,
                active,
            }]
        });
        assert_eq!(told, expected.as_ref());
    }
}

#[test]
fn everybody_is_told_how_well_a_member_is_connected_and_newcomers_too() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    let session = world.signals[&ada].sessions()[0];
    world.signal(
        ada,
        Input::Sfu(&amphi_sfu::Output::Quality {
            session,
            quality: Quality::Poor,
        }),
    );
    let cy = world.connect(single("cy"));
    for member in [ada, bo, cy] {
        let messages = world.take(member);
        let told = messages.iter().find_map(|message| match message {
            Response::ConnectionQuality(update) => Some((
                update.updates[0].participant_sid.clone(),
                update.updates[0].quality(),
            )),
            _ => None,
        });
        assert_eq!(told, Some((world.sid(ada), proto::ConnectionQuality::Poor)));
    }
}

#[test]
fn a_line_that_pauses_is_told_of() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    let camera = world.publish(ada, proto::TrackSource::Camera);
    world.take(bo);
    let (session, track) = (world.signals[&bo].sessions()[0], world.track_of(&camera));
    world.signal(
        bo,
        Input::Sfu(&amphi_sfu::Output::StreamState {
            session,
            track,
            active: false,
        }),
    );
    let messages = world.take(bo);
    let [Response::StreamStateUpdate(update)] = &messages[..] else {
        panic!("{messages:?}")
    };
    let state = &update.stream_states[0];
    assert_eq!(
        (state.track_sid.as_str(), state.state()),
        (camera.as_str(), proto::StreamState::Paused)
    );
}

#[test]
fn everybody_sees_that_the_room_records() {
    let mut world = World::new();
    let ada = world.enter("ada");
    let host = VideoGrant {
        room_record: true,
        ..video_grant()
    };
    let by = amphi_policy::Grants::from_token(&host, "hall");
    let request = amphi_room::RequestId(1);
    world.room(amphi_room::Input::StartRecording {
        request,
        by: by.clone(),
    });
    world.room(amphi_room::Input::StopRecording { request, by });
    let told: Vec<bool> = world
        .take(ada)
        .into_iter()
        .filter_map(|message| {
            if let Response::RoomUpdate(update) = message {
                update.room
            } else {
                None
            }
        })
        .map(|room| room.active_recording)
        .collect();
    assert_eq!(told, [true, false]);
}
