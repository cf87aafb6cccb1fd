//! Traps 10, 11 and 14: what a client publishes.

use amphi_media::{Codec, Layer};
use amphi_sfu::{Mid, ReceiveLine};

use super::*;

/// A camera's line: without a word of the client, what can go on air untouched is asked for.
fn line(mid: &str, track: TrackId) -> ReceiveLine {
    ReceiveLine {
        mid: Mid(mid.into()),
        track,
        codec: Some(Codec::H264),
    }
}

fn receives(commands: &[SfuCommand]) -> Vec<ReceiveLine> {
    let last = commands.iter().rev().find_map(|command| match command {
        SfuCommand::Offer { receives, .. } => Some(receives.clone()),
        _ => None,
    });
    last.expect("an offer was given to the SFU")
}

fn with(line: Line) -> Vec<Line> {
    let mut lines = sdp::usual_lines();
    lines.push(line);
    lines
}

const VIDEO: proto::TrackType = proto::TrackType::Video;
const AUDIO: proto::TrackType = proto::TrackType::Audio;

#[test]
fn an_announced_track_is_published_at_once_and_its_line_is_found_by_its_cid() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    world.take(ada);
    let request = add_track(proto::TrackSource::Camera);
    world.say(ada, Request::AddTrack(request.clone()));
    let messages = world.take(ada);
    let Some(Response::TrackPublished(published)) = messages.first() else {
        panic!("{messages:?}")
    };
    assert_eq!(published.cid, request.cid);
    let track = published
        .track
        .as_ref()
        .expect("the Rust SDK aborts without");
    assert!(track.sid.starts_with("TR_VC"), "{}", track.sid);
    assert_eq!(
        (track.source(), track.r#type()),
        (proto::TrackSource::Camera, VIDEO)
    );
    // Others hear of it before they are asked to make room for it.
    let told = world.take(bo);
    let word = position(&told, |message| matches!(message, Response::Update(_))).expect("told");
    let asked = position(&told, |message| {
        matches!(message, Response::MediaSectionsRequirement(_))
    })
    .expect("asked");
    assert!(word < asked);
    assert_eq!(updates(&told)[0].tracks[0].sid, track.sid);
    world.take_commands();
    world.offer(
        ada,
        2,
        &with(Line::sending("9", VIDEO, &request.cid).simulcast()),
    );
    let expected = line("9", world.track_of(&track.sid));
    assert_eq!(receives(&world.take_commands()), [expected]);
}

#[test]
fn versions_of_a_member_grow_with_each_update() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    let camera = world.publish(ada, proto::TrackSource::Camera);
    world.say(
        ada,
        Request::Mute(proto::MuteTrackRequest {
            sid: camera,
            muted: true,
        }),
    );
    let messages = world.take(bo);
    let versions: Vec<u32> = updates(&messages).iter().map(|info| info.version).collect();
    assert!(
        versions.len() >= 2 && versions.is_sorted_by(|one, next| one < next),
        "{versions:?}"
    );
    assert!(updates(&messages).last().expect("told").tracks[0].muted);
}

#[test]
fn a_camera_with_simulcast_is_shown_with_its_layers() {
    let mut world = World::new();
    let ada = world.enter("ada");
    let layer = |quality: proto::VideoQuality, width, height| proto::VideoLayer {
        quality: quality.into(),
        width,
        height,
        bitrate: width * 1_000,
        ..proto::VideoLayer::default()
    };
    let request = proto::AddTrackRequest {
        width: 1280,
        height: 720,
        layers: vec![
            layer(proto::VideoQuality::High, 1280, 720),
            layer(proto::VideoQuality::Low, 320, 180),
            layer(proto::VideoQuality::Medium, 640, 360),
        ],
        simulcast_codecs: vec![proto::SimulcastCodec {
            codec: "h264".into(),
            cid: "cid-CAMERA".into(),
            ..Default::default()
        }],
        ..add_track(proto::TrackSource::Camera)
    };
    world.say(ada, Request::AddTrack(request));
    let messages = world.take(ada);
    let Some(Response::TrackPublished(published)) = messages.first() else {
        panic!("{messages:?}")
    };
    let track = published.track.as_ref().expect("a track");
    assert_eq!(
        (track.mime_type.as_str(), track.width, track.height),
        ("video/H264", 1280, 720)
    );
    let codec = &track.codecs[0];
    assert_eq!(
        (codec.mime_type.as_str(), codec.cid.as_str()),
        ("video/H264", "cid-CAMERA")
    );
    assert_eq!(
        codec.video_layer_mode(),
        proto::video_layer::Mode::OneSpatialLayerPerStream
    );
    let layers: Vec<_> = codec
        .layers
        .iter()
        .map(|layer| (layer.quality(), layer.rid.as_str(), layer.width))
        .collect();
    assert_eq!(
        layers,
        [
            (proto::VideoQuality::Low, "q", 320),
            (proto::VideoQuality::Medium, "h", 640),
            (proto::VideoQuality::High, "f", 1280),
        ]
    );
}

#[test]
fn a_track_that_stands_in_sdp_under_its_codecs_name_is_found() {
    let mut world = World::new();
    let ada = world.enter("ada");
    let codec = proto::SimulcastCodec {
        codec: "vp8".into(),
        cid: "the-codec".into(),
        ..Default::default()
    };
    let request = proto::AddTrackRequest {
        simulcast_codecs: vec![codec],
        ..add_track(proto::TrackSource::Camera)
    };
    world.say(ada, Request::AddTrack(request));
    // A second video track, so that it is not found for being the only one.
    world.say(
        ada,
        Request::AddTrack(add_track(proto::TrackSource::ScreenShare)),
    );
    world.offer(ada, 2, &with(Line::sending("9", VIDEO, "the-codec")));
    assert_eq!(receives(&world.take_commands()).len(), 1);
}

#[test]
fn the_codec_that_was_announced_is_asked_for() {
    let mut world = World::new();
    let ada = world.enter("ada");
    let codec = proto::SimulcastCodec {
        codec: "vp8".into(),
        ..Default::default()
    };
    let request = proto::AddTrackRequest {
        simulcast_codecs: vec![codec],
        ..add_track(proto::TrackSource::Camera)
    };
    world.say(ada, Request::AddTrack(request));
    world.say(
        ada,
        Request::AddTrack(add_track(proto::TrackSource::Microphone)),
    );
    let mut lines = with(Line::sending("9", VIDEO, "cid-CAMERA"));
    lines.push(Line::sending("10", AUDIO, "cid-MICROPHONE"));
    world.offer(ada, 2, &lines);
    let codecs: Vec<_> = receives(&world.take_commands())
        .iter()
        .map(|line| line.codec)
        .collect();
    assert_eq!(codecs, [Some(Codec::Vp8), None]);
}

#[test]
fn a_line_whose_name_differs_is_the_only_track_of_its_kind_that_has_none() {
    let mut world = World::new();
    let ada = world.enter("ada");
    world.say(
        ada,
        Request::AddTrack(add_track(proto::TrackSource::Microphone)),
    );
    world.say(
        ada,
        Request::AddTrack(add_track(proto::TrackSource::Camera)),
    );
    world.offer(ada, 2, &with(Line::sending("9", VIDEO, "another-name")));
    let camera = world.room.tracks().nth(1).expect("two tracks").id;
    assert_eq!(receives(&world.take_commands()), [line("9", camera)]);
}

#[test]
fn a_refused_camera_is_not_taken_for_an_allowed_screen() {
    let mut world = World::new();
    let video = VideoGrant {
        can_publish_sources: vec!["screen_share".into()],
        ..video_grant()
    };
    let ada = world.connect(join_with(
        &request_with_offer(1),
        &Claims {
            video: Some(video),
            ..claims("ada")
        },
    ));
    world.media_connects(ada);
    world.take(ada);
    world.say(
        ada,
        Request::AddTrack(add_track(proto::TrackSource::Camera)),
    );
    let messages = world.take(ada);
    let [refused] = &responses(&messages)[..] else {
        panic!("{messages:?}")
    };
    assert_eq!(
        refused.reason(),
        proto::request_response::Reason::NotAllowed
    );
    assert!(refused.message.contains("camera"), "{}", refused.message);
    assert!(
        matches!(&refused.request, Some(proto::request_response::Request::AddTrack(add)) if add.cid == "cid-CAMERA")
    );
    world.say(
        ada,
        Request::AddTrack(add_track(proto::TrackSource::ScreenShare)),
    );
    world.offer(ada, 2, &with(Line::sending("9", VIDEO, "cid-CAMERA")));
    assert!(receives(&world.take_commands()).is_empty());
    assert_eq!(world.signals[&ada].counters().lines_unannounced, 1);
    let lines = amphi_sfu::sdp::lines(&answers(&world.take(ada))[0].sdp).expect("an answer");
    let line = lines
        .iter()
        .find(|line| line.mid.0 == "9")
        .expect("its line");
    assert_eq!(line.direction, amphi_sfu::sdp::Direction::Inactive);
}

#[test]
fn sound_on_a_line_of_an_announced_camera_is_nobodys() {
    let mut world = World::new();
    let ada = world.enter("ada");
    world.say(
        ada,
        Request::AddTrack(add_track(proto::TrackSource::Camera)),
    );
    world.offer(ada, 2, &with(Line::sending("9", AUDIO, "cid-CAMERA")));
    assert!(receives(&world.take_commands()).is_empty());
}

#[test]
fn a_line_that_comes_before_its_announcement_is_asked_for_again() {
    let mut world = World::new();
    let ada = world.enter("ada");
    let lines = with(Line::sending("9", VIDEO, "cid-CAMERA"));
    world.offer(ada, 2, &lines);
    assert!(receives(&world.take_commands()).is_empty());
    world.take(ada);
    world.say(
        ada,
        Request::AddTrack(add_track(proto::TrackSource::Camera)),
    );
    assert_eq!(requirements(&world.take(ada)), [(0, 0)]);
    world.offer(ada, 3, &lines);
    assert_eq!(receives(&world.take_commands()).len(), 1);
}

#[test]
fn a_line_that_turns_inactive_is_unpublished_and_the_client_is_not_told_so() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    world.publish(ada, proto::TrackSource::Camera);
    world.take(ada);
    world.take(bo);
    world.offer(ada, 3, &with(Line::inactive("9", VIDEO)));
    assert_eq!(world.room.tracks().count(), 0);
    assert!(
        updates(&world.take(bo))
            .last()
            .expect("told")
            .tracks
            .is_empty()
    );
    let messages = world.take(ada);
    assert!(
        !messages
            .iter()
            .any(|message| matches!(message, Response::TrackUnpublished(_))),
        "{messages:?}"
    );
}

#[test]
fn a_track_that_moves_to_another_line_in_one_offer_goes_on() {
    let mut world = World::new();
    let ada = world.enter("ada");
    let camera = world.publish(ada, proto::TrackSource::Camera);
    let mut lines = with(Line::inactive("9", VIDEO));
    lines.push(Line::sending("10", VIDEO, "cid-CAMERA"));
    world.offer(ada, 3, &lines);
    let expected = line("10", world.track_of(&camera));
    assert_eq!(receives(&world.take_commands()), [expected]);
    assert_eq!(world.room.tracks().count(), 1);
}

#[test]
fn a_lost_grant_unpublishes_with_words_and_the_line_stays_dead() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    let camera = world.publish(ada, proto::TrackSource::Camera);
    world.take(ada);
    let sound = SourceSet {
        microphone: true,
        ..SourceSet::default()
    };
    world.change_grants(
        ada,
        &Change {
            sources: Some(Some(sound)),
            ..Change::default()
        },
    );
    let messages = world.take(ada);
    assert!(
        matches!(&messages[0], Response::TrackUnpublished(unpublished) if unpublished.track_sid == camera),
        "{messages:?}"
    );
    let [words] = &responses(&messages)[..] else {
        panic!("{messages:?}")
    };
    assert_eq!(words.reason(), proto::request_response::Reason::NotAllowed);
    assert!(
        words.message.contains("show your camera"),
        "{}",
        words.message
    );
    let me = updates(&messages)
        .into_iter()
        .last()
        .expect("its own grants");
    let permission = me.permission.as_ref().expect("a permission");
    assert_eq!(
        permission.can_publish_sources,
        [i32::from(proto::TrackSource::Microphone)]
    );
    assert!(
        updates(&world.take(bo))
            .last()
            .expect("told")
            .tracks
            .is_empty()
    );
    // It is still a member, and its client that goes on offering the line gets nowhere with it.
    world.take_commands();
    world.offer(ada, 3, &with(Line::sending("9", VIDEO, "cid-CAMERA")));
    assert!(receives(&world.take_commands()).is_empty());
}

#[test]
fn the_publisher_is_told_once_that_somebody_gets_its_track() {
    let mut world = World::new();
    let ada = world.enter("ada");
    let camera = world.publish(ada, proto::TrackSource::Camera);
    for identity in ["bo", "cy"] {
        world.enter(identity);
    }
    let told: Vec<_> = world
        .take(ada)
        .into_iter()
        .filter_map(|message| {
            if let Response::TrackSubscribed(told) = message {
                Some(told.track_sid)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(told, [camera]);
}

#[test]
fn a_track_of_data_or_a_second_codec_is_declined_in_words() {
    let mut world = World::new();
    let ada = world.enter("ada");
    let camera = world.publish(ada, proto::TrackSource::Camera);
    world.take(ada);
    let data = proto::AddTrackRequest {
        r#type: proto::TrackType::Data.into(),
        cid: "d".into(),
        ..Default::default()
    };
    let second = proto::AddTrackRequest {
        sid: camera,
        ..add_track(proto::TrackSource::Camera)
    };
    for request in [data, second] {
        world.say(ada, Request::AddTrack(request));
        let messages = world.take(ada);
        let [declined] = &responses(&messages)[..] else {
            panic!("{messages:?}")
        };
        assert_eq!(
            declined.reason(),
            proto::request_response::Reason::UnsupportedType
        );
        assert!(!declined.message.is_empty());
    }
}

/// What of its track the client was told to send, by name of the codec: low, medium, high.
fn demands(messages: &[Response]) -> Vec<(String, String, Vec<bool>)> {
    let demand = |message: &Response| match message {
        Response::SubscribedQualityUpdate(update) => {
            let codec = &update.subscribed_codecs[0];
            #[expect(deprecated, reason = "older clients read it")]
            let old = &update.subscribed_qualities;
            assert_eq!(&codec.qualities, old);
            let enabled = codec.qualities.iter().map(|quality| quality.enabled);
            Some((
                update.track_sid.clone(),
                codec.codec.clone(),
                enabled.collect(),
            ))
        }
        _ => None,
    };
    messages.iter().filter_map(demand).collect()
}

#[test]
fn a_publisher_is_told_which_layers_are_taken_and_again_when_it_is_back() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    let mut request = add_track(proto::TrackSource::Camera);
    request.simulcast_codecs = vec![proto::SimulcastCodec {
        codec: "vp8".into(),
        cid: request.cid.clone(),
        ..proto::SimulcastCodec::default()
    }];
    world.say(ada, Request::AddTrack(request));
    let sid = world.published(ada);
    world.take(ada);
    world.take(bo);
    let (session, track) = (world.signals[&ada].sessions()[0], world.track_of(&sid));
    let mut demand = |most| {
        world.signal(
            ada,
            Input::Sfu(&amphi_sfu::Output::Demand {
                session,
                track,
                most,
            }),
        );
        demands(&world.take(ada))
    };
    let told = |enabled: [bool; 3]| vec![(sid.clone(), "vp8".to_owned(), enabled.to_vec())];
    assert_eq!(demand(None), told([false; 3]));
    assert_eq!(demand(Some(Layer::MEDIUM)), told([true, true, false]));
    world.close_socket(ada);
    let back = proto::JoinRequest {
        reconnect: true,
        participant_sid: world.sid(ada),
        publisher_offer: None,
        ..request_with_offer(1)
    };
    world.connect(join_with(&back, &claims("ada")));
    assert_eq!(
        demands(&world.take(ada)),
        told([true, true, false]),
        "what it was told while away would be lost"
    );
    assert_eq!(demands(&world.take(bo)), [], "it concerns nobody else");
}
