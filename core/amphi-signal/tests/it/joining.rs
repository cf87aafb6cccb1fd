//! Traps 1, 4, 5, 11 and 12: the first words.

use super::*;

#[test]
fn the_first_message_is_a_join_response_with_all_that_clients_die_without() {
    let mut world = World::new();
    let ada = world.enter("ada");
    let bo = world.connect(single("bo"));
    let messages = world.take(bo);
    let Some(Response::Join(join)) = messages.first() else {
        panic!("{messages:?}");
    };
    let me = join.participant.as_ref().expect("both SDKs fail without");
    assert_eq!(
        (me.identity.as_str(), me.name.as_str(), me.sid.as_str()),
        ("bo", "BO", world.sid(bo).as_str())
    );
    assert_eq!(me.joined_at_ms, START_UNIX_MS);
    assert!(
        me.sid.starts_with("PA_")
            && me
                .permission
                .as_ref()
                .is_some_and(|may| may.can_publish && may.can_subscribe)
    );
    let room = join.room.as_ref().expect("the Rust SDK aborts without");
    assert!(room.sid.starts_with("RM_") && room.name == "hall" && room.num_participants == 2);
    assert_eq!(
        (join.ping_interval, join.ping_timeout),
        (5, 15),
        "the Rust SDK aborts with an interval of 0"
    );
    assert!(
        !join.server_version.is_empty(),
        "the JavaScript SDK refuses an unknown version"
    );
    assert!(
        join.server_info
            .as_ref()
            .is_some_and(|info| info.version == join.server_version && info.protocol > 0)
    );
    assert!(!join.subscriber_primary && join.fast_publish && join.ice_servers.is_empty());
    let mimes: Vec<_> = join
        .enabled_publish_codecs
        .iter()
        .map(|codec| codec.mime.as_str())
        .collect();
    assert_eq!(
        mimes,
        [
            "video/H264",
            "video/VP8",
            "video/VP9",
            "video/AV1",
            "audio/opus"
        ]
    );
    let others: Vec<_> = join
        .other_participants
        .iter()
        .map(|other| (other.identity.as_str(), other.state()))
        .collect();
    assert_eq!(others, [("ada", proto::participant_info::State::Active)]);
    // And the others are told of it, first without a media connection.
    let told = world.take(ada);
    let bo_at_ada = updates(&told).into_iter().next().expect("told");
    assert_eq!(
        (bo_at_ada.identity.as_str(), bo_at_ada.state()),
        ("bo", proto::participant_info::State::Joined)
    );
    world.media_connects(bo);
    let told = world.take(ada);
    let again = updates(&told).into_iter().next().expect("told again");
    assert_eq!(again.state(), proto::participant_info::State::Active);
}

#[test]
fn the_offer_inside_the_join_request_is_answered_under_its_number_after_the_join_response() {
    for id in [0, 1, 7] {
        let mut world = World::new();
        let ada = world.connect(join_with(&request_with_offer(id), &claims("ada")));
        let messages = world.take(ada);
        assert!(
            matches!(messages[..], [Response::Join(_), Response::Answer(_), ..]),
            "{messages:?}"
        );
        let answer = answers(&messages)[0];
        assert_eq!((answer.id, answer.r#type.as_str()), (id, "answer"));
        assert!(answer.sdp.starts_with("v=0") && answer.mid_to_track_id.is_empty());
    }
}

#[test]
fn a_client_without_an_offer_in_its_join_request_offers_by_a_message() {
    let mut world = World::new();
    let request = proto::JoinRequest {
        publisher_offer: None,
        ..request_with_offer(1)
    };
    let ada = world.connect(join_with(&request, &claims("ada")));
    assert!(answers(&world.take(ada)).is_empty());
    world.offer(ada, 1, &sdp::usual_lines());
    assert_eq!(answers(&world.take(ada))[0].id, 1);
}

#[test]
fn lines_that_carry_nothing_are_answered_inactive_and_without_a_name() {
    let mut world = World::new();
    let ada = world.connect(single("ada"));
    let messages = world.take(ada);
    let lines = amphi_sfu::sdp::lines(&answers(&messages)[0].sdp).expect("an answer");
    assert_eq!(lines.len(), 7);
    for line in lines.iter().filter(|line| line.kind.media().is_some()) {
        assert_eq!(
            line.direction,
            amphi_sfu::sdp::Direction::Inactive,
            "{line:?}"
        );
        assert_eq!(line.msid, None);
    }
}

#[test]
fn over_two_connections_the_server_offers_first_with_the_data_channels() {
    let mut world = World::new();
    let ada = world.connect(dual("ada"));
    let messages = world.take(ada);
    let [Response::Join(join), Response::Offer(offer)] = &messages[..] else {
        panic!("{messages:?}");
    };
    assert!(join.subscriber_primary);
    assert_eq!((offer.id, offer.r#type.as_str()), (1, "offer"));
    let lines = amphi_sfu::sdp::lines(&offer.sdp).expect("an offer");
    assert!(
        lines
            .iter()
            .any(|line| line.kind == amphi_sfu::sdp::LineKind::Data),
        "{}",
        offer.sdp
    );
}

#[test]
fn tracks_come_once_the_media_connection_stands_and_after_word_of_them() {
    let mut world = World::new();
    let ada = world.enter("ada");
    let camera = world.publish(ada, proto::TrackSource::Camera);
    let bo = world.connect(single("bo"));
    let before = world.take(bo);
    assert!(requirements(&before).is_empty() && answers(&before)[0].mid_to_track_id.is_empty());
    let Some(Response::Join(join)) = before.first() else {
        panic!("{before:?}")
    };
    assert_eq!(join.other_participants[0].tracks[0].sid, camera);
    world.media_connects(bo);
    assert_eq!(requirements(&world.take(bo)), [(0, 0)]);
}

#[test]
fn a_client_that_does_not_subscribe_by_itself_gets_nothing_unasked() {
    let mut world = World::new();
    let ada = world.enter("ada");
    world.publish(ada, proto::TrackSource::Camera);
    let request = proto::JoinRequest {
        connection_settings: None,
        ..request_with_offer(1)
    };
    let bo = world.connect(join_with(&request, &claims("bo")));
    world.media_connects(bo);
    assert!(requirements(&world.take(bo)).is_empty());
}

#[test]
fn tracks_announced_in_the_join_request_are_published_before_its_offer_is_answered() {
    let mut world = World::new();
    let microphone = add_track(proto::TrackSource::Microphone);
    let mut lines = sdp::usual_lines();
    lines.push(Line::sending("9", proto::TrackType::Audio, &microphone.cid));
    let request = proto::JoinRequest {
        add_track_requests: vec![microphone],
        publisher_offer: Some(description("offer", 1, &offer(&lines))),
        ..request_with_offer(1)
    };
    let ada = world.connect(join_with(&request, &claims("ada")));
    let messages = world.take(ada);
    let published = position(&messages, |message| {
        matches!(message, Response::TrackPublished(_))
    })
    .expect("published");
    let answered =
        position(&messages, |message| matches!(message, Response::Answer(_))).expect("answered");
    assert!(0 < published && published < answered, "{messages:?}");
    let received = world
        .take_commands()
        .into_iter()
        .find_map(|command| match command {
            SfuCommand::Offer { receives, .. } => Some(receives.len()),
            _ => None,
        });
    assert_eq!(received, Some(1));
}

#[test]
fn a_hidden_member_is_told_of_others_and_not_told_of() {
    let mut world = World::new();
    let ada = world.enter("ada");
    let video = VideoGrant {
        hidden: true,
        ..video_grant()
    };
    let ghost = world.connect(join_with(
        &request_with_offer(1),
        &Claims {
            video: Some(video),
            ..claims("ghost")
        },
    ));
    world.media_connects(ghost);
    assert!(updates(&world.take(ada)).is_empty());
    let messages = world.take(ghost);
    let Some(Response::Join(join)) = messages.first() else {
        panic!("{messages:?}")
    };
    assert_eq!(join.other_participants.len(), 1);
    world.say(ghost, Request::Leave(proto::LeaveRequest::default()));
    assert!(updates(&world.take(ada)).is_empty());
}
