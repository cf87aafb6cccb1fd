//! What a client may not do to us, whatever it sends.

use super::*;

fn raw(world: &mut World, member: MemberId, bytes: &[u8]) {
    let socket = *world.clients[&member].sockets.last().expect("a socket");
    world.signal(member, Input::Message { socket, bytes });
}

#[test]
fn messages_that_are_none_are_counted_and_nothing_else() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    world.take(ada);
    world.take(bo);
    raw(&mut world, ada, &[]);
    raw(&mut world, ada, &[0xff; 64]);
    raw(
        &mut world,
        ada,
        &vec![0; amphi_signal::MESSAGE_BYTES_MAX + 1],
    );
    let truncated = proto::SignalRequest {
        message: Some(Request::Offer(description("offer", 1, &"x".repeat(200)))),
    };
    raw(&mut world, ada, &truncated.encode_to_vec()[..50]);
    assert_eq!(world.signals[&ada].counters().messages_malformed, 4);
    // A message of a kind that is newer than this server.
    raw(&mut world, ada, &[0xa2, 0x06, 0x00]);
    assert_eq!(world.signals[&ada].counters().messages_unsupported, 1);
    assert!(world.take(ada).is_empty() && world.take(bo).is_empty());
}

#[test]
fn text_is_declined_politely() {
    let mut world = World::new();
    let ada = world.enter("ada");
    let socket = world.clients[&ada].sockets[0];
    world.signal(ada, Input::Text { socket });
    let messages = world.take(ada);
    assert!(
        responses(&messages)[0].message.contains("binary"),
        "{messages:?}"
    );
}

#[test]
fn a_flood_of_messages_is_cut_and_ebbs() {
    let mut world = World::new();
    let ada = world.enter("ada");
    world.take(ada);
    for _ in 0..2_000 {
        world.say(ada, Request::Ping(1));
    }
    let answered = world.take(ada).len();
    assert!((400..=500).contains(&answered), "{answered}");
    world.wait(Duration::from_secs(1));
    world.say(ada, Request::Ping(1));
    assert_eq!(world.take(ada).len(), 1);
    assert!(world.signals[&ada].counters().messages_over_rate >= 1_500);
}

#[test]
fn a_description_that_makes_no_sense_ends_its_own_connection_only() {
    for sdp in [
        "",
        "v=0\r\nm=audio",
        "nonsense",
        &"v=0\r\n".repeat(20_000),
        &offer(&[]).replace("v=0", "v=9"),
    ] {
        let mut world = World::new();
        let (ada, bo) = (world.enter("ada"), world.enter("bo"));
        world.take(bo);
        world.say(ada, Request::Offer(description("offer", 2, sdp)));
        let bye = (
            proto::DisconnectReason::ConnectionTimeout,
            proto::leave_request::Action::Reconnect,
        );
        assert_eq!(leaves(&world.take(ada)), [bye], "{sdp:.20}");
        assert!(leaves(&world.take(bo)).is_empty() && world.room.member(bo).is_some());
    }
}

#[test]
fn a_first_offer_that_makes_no_sense_is_not_tried_again() {
    let mut world = World::new();
    let request = proto::JoinRequest {
        publisher_offer: Some(description("offer", 1, "nonsense")),
        ..request_with_offer(1)
    };
    let ada = world.connect(join_with(&request, &claims("ada")));
    let messages = world.take(ada);
    assert_eq!(
        leaves(&messages),
        [(
            proto::DisconnectReason::JoinFailure,
            proto::leave_request::Action::Disconnect
        )]
    );
}

#[test]
fn an_answer_that_makes_no_sense_is_followed_by_a_fresh_offer_a_few_times() {
    let mut world = World::new();
    let bo = world.connect(dual("bo"));
    let mut offered = 0;
    for id in 1..=10 {
        offered += offers(&world.take(bo)).len();
        if !world.signals.contains_key(&bo) {
            break;
        }
        world.say(bo, Request::Answer(description("answer", id, "nonsense")));
    }
    assert_eq!(offered, 4, "one, and three after refused answers");
    assert!(world.room.member(bo).is_none());
}

#[test]
fn ids_of_tracks_that_are_none_or_somebody_elses_change_nothing() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    let camera = world.publish(ada, proto::TrackSource::Camera);
    for sid in ["", "TR_", "PA_x", camera.as_str()] {
        world.say(
            bo,
            Request::Mute(proto::MuteTrackRequest {
                sid: sid.into(),
                muted: true,
            }),
        );
        let settings = proto::UpdateTrackSettings {
            track_sids: vec![sid.into(); 5_000],
            ..Default::default()
        };
        world.say(bo, Request::TrackSetting(settings));
    }
    assert!(
        !world
            .room
            .track(world.track_of(&camera))
            .expect("published")
            .announced
            .muted
    );
}

#[test]
fn nothing_is_told_to_or_heard_from_a_client_that_is_out() {
    let mut world = World::new();
    let ada = world.connect(single("ada"));
    let mut signal = world.signals.remove(&ada).expect("a signal");
    let view = View {
        room: &world.room,
        facts: &world.facts,
    };
    let reason = amphi_room::LeaveReason::Removed;
    let left = amphi_room::Output::Left {
        member: ada,
        identity: "ada".into(),
        hidden: false,
        reason,
    };
    signal.handle_input(world.now, view, Input::Room(&left));
    while signal.poll_output().is_some() {}
    let bytes = proto::SignalRequest {
        message: Some(Request::Ping(1)),
    }
    .encode_to_vec();
    let socket = world.clients[&ada].sockets[0];
    signal.handle_input(
        world.now,
        view,
        Input::Message {
            socket,
            bytes: &bytes,
        },
    );
    signal.handle_input(world.now, view, Input::Timeout);
    assert!(signal.poll_output().is_none() && signal.poll_timeout().is_none());
}
