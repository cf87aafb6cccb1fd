//! Trap 15: a client that comes back.

use super::*;

fn back(sid: &str, identity: &str) -> JoinRequest {
    let request = proto::JoinRequest {
        reconnect: true,
        participant_sid: sid.to_owned(),
        publisher_offer: None,
        ..request_with_offer(1)
    };
    join_with(&request, &claims(identity))
}

fn back_dual(sid: &str) -> JoinRequest {
    let query = [("sdk", "js"), ("reconnect", "1"), ("sid", sid)];
    Connect::parse(Path::V0, query)
        .expect("a query")
        .join(&claims("ada"))
        .expect("may enter")
}

fn entry(world: &World, join: &JoinRequest) -> Entry {
    find_resumed(
        join,
        View {
            room: &world.room,
            facts: &world.facts,
        },
    )
}

#[test]
fn who_comes_back_in_time_is_greeted_first_and_then_told_all() {
    let mut world = World::new();
    let (ada, bo, cy) = (world.enter("ada"), world.enter("bo"), world.enter("cy"));
    let camera = world.publish(bo, proto::TrackSource::Camera);
    world.data(
        ada,
        Channel::Reliable,
        &proto::DataPacket {
            sequence: 12,
            ..Default::default()
        },
    );
    world.close_socket(ada);
    world.say(cy, Request::Leave(proto::LeaveRequest::default()));
    world.wait(Duration::from_secs(10));
    world.take(ada);
    world.take_commands();
    assert_eq!(world.connect(back(&world.sid(ada), "ada")), ada);
    let messages = world.take(ada);
    let Some(Response::Reconnect(greeting)) = messages.first() else {
        panic!("{messages:?}")
    };
    assert_eq!(greeting.last_message_seq, 12);
    assert!(greeting.server_info.is_some());
    let told: BTreeMap<_, _> = updates(&messages)
        .iter()
        .map(|info| (info.identity.as_str(), (info.state(), info.tracks.len())))
        .collect();
    use proto::participant_info::State;
    let expected = [
        ("ada", (State::Active, 0)),
        ("bo", (State::Active, 1)),
        ("cy", (State::Disconnected, 0)),
    ];
    assert_eq!(told, expected.into());
    assert!(
        !world
            .take_commands()
            .iter()
            .any(|command| matches!(command, SfuCommand::OpenSession { .. })),
        "its session is kept"
    );
    // The client offers by itself, with an ICE restart, and gets what it had.
    world.offer(ada, 3, &sdp::usual_lines());
    let messages = world.take(ada);
    assert!(
        answers(&messages)[0]
            .mid_to_track_id
            .values()
            .any(|sid| *sid == camera)
    );
    world.wait(Duration::from_secs(25));
    assert!(world.room.member(ada).is_some());
}

#[test]
fn who_left_before_a_dead_socket_was_noticed_is_told_again() {
    let mut world = World::new();
    let (ada, cy) = (world.enter("ada"), world.enter("cy"));
    // Said into a socket that may be dead already: only its end tells.
    world.say(cy, Request::Leave(proto::LeaveRequest::default()));
    world.take(ada);
    world.close_socket(ada);
    assert_eq!(world.connect(back(&world.sid(ada), "ada")), ada);
    let messages = world.take(ada);
    use proto::participant_info::State;
    let gone = |info: &&&proto::ParticipantInfo| {
        info.identity == "cy" && info.state() == State::Disconnected
    };
    assert_eq!(updates(&messages).iter().filter(gone).count(), 1);
}

#[test]
fn who_left_while_an_offer_was_under_way_to_a_dying_socket_is_told_once_and_has_no_line_in_the_next_offer()
 {
    let mut world = World::new();
    let (ada, bo, cy) = (
        world.enter_dual("ada"),
        world.enter("bo"),
        world.enter("cy"),
    );
    let staying = world.publish(bo, proto::TrackSource::Camera);
    world.answer_offer(ada);
    world.take(ada);
    world.publish(cy, proto::TrackSource::Camera);
    assert_eq!(offers(&world.take(ada)).len(), 1, "it is under way");
    world.say(cy, Request::Leave(proto::LeaveRequest::default()));
    // Whatever was said by now is lost with the socket.
    world.take(ada);
    world.close_socket(ada);
    world.take_commands();
    world.connect(back_dual(&world.sid(ada)));
    let messages = world.take(ada);
    use proto::participant_info::State;
    let gone = |messages: &[Response]| {
        let of_cy = |info: &&&proto::ParticipantInfo| {
            info.identity == "cy" && info.state() == State::Disconnected
        };
        updates(messages).iter().filter(of_cy).count()
    };
    assert_eq!(gone(&messages), 1);
    let [
        SfuCommand::MakeOffer {
            ice_restart: true,
            add,
            ..
        },
    ] = &world.take_commands()[..]
    else {
        panic!("one offer, with an ICE restart")
    };
    assert!(add.is_empty(), "nobody is sent what is gone: {add:?}");
    let carried = offers(&messages)[0].mid_to_track_id.values();
    assert_eq!(carried.collect::<Vec<_>>(), [&staying]);

    // It is said: neither the answer nor the next return brings it back.
    world.answer_offer_in(ada, &messages);
    world.close_socket(ada);
    let mut later = world.take(ada);
    world.connect(back_dual(&world.sid(ada)));
    later.extend(world.take(ada));
    assert_eq!(gone(&later), 0);
}

#[test]
fn who_does_not_come_back_in_time_is_out() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    world.close_socket(ada);
    world.wait(Duration::from_millis(19_999));
    assert!(world.room.member(ada).is_some());
    world.take(bo);
    world.wait(Duration::from_millis(1));
    assert!(world.room.member(ada).is_none());
    let messages = world.take(bo);
    assert_eq!(
        updates(&messages)[0].disconnect_reason(),
        proto::DisconnectReason::ConnectionTimeout
    );
    assert_eq!(
        entry(&world, &back(&world.sid(ada), "ada")),
        Entry::CannotResume
    );
    let leave = proto::SignalResponse::decode(cannot_resume())
        .expect("a message")
        .message
        .expect("of a kind");
    let reason = (
        proto::DisconnectReason::StateMismatch,
        proto::leave_request::Action::Reconnect,
    );
    assert_eq!(leaves(&[leave]), [reason]);
}

#[test]
fn nobody_resumes_as_somebody_else() {
    let mut world = World::new();
    let ada = world.enter("ada");
    world.enter("bo");
    let sid = world.sid(ada);
    assert_eq!(entry(&world, &back(&sid, "ada")), Entry::Resume(ada));
    assert_eq!(
        entry(&world, &back("", "ada")),
        Entry::Resume(ada),
        "some clients do not name it"
    );
    for (sid, identity) in [
        (sid.as_str(), "bo"),
        (sid.as_str(), "eve"),
        ("PA_00000000000", "ada"),
        ("nonsense", "ada"),
    ] {
        assert_eq!(
            entry(&world, &back(sid, identity)),
            Entry::CannotResume,
            "{sid} {identity}"
        );
    }
}

#[test]
fn the_dying_old_socket_does_not_end_the_new_one() {
    let mut world = World::new();
    let ada = world.enter("ada");
    let old = world.clients[&ada].sockets[0];
    // The new one comes before anybody noticed that the old one is gone.
    world.connect(back(&world.sid(ada), "ada"));
    assert_eq!(world.clients[&ada].closed, [old]);
    world.signal(ada, Input::SocketClosed { socket: old });
    let bytes = proto::SignalRequest {
        message: Some(Request::Leave(proto::LeaveRequest::default())),
    }
    .encode_to_vec();
    world.signal(
        ada,
        Input::Message {
            socket: old,
            bytes: &bytes,
        },
    );
    world.wait(Duration::from_secs(25));
    assert!(world.room.member(ada).is_some());
    assert_eq!(world.signals[&ada].counters().messages_stale, 1);
}

#[test]
fn over_two_connections_the_server_restarts_ice_and_offers_again_what_was_pending() {
    let mut world = World::new();
    let (bo, ada) = (world.enter("bo"), world.enter_dual("ada"));
    world.publish(bo, proto::TrackSource::Camera);
    world.close_socket(ada);
    world.take(ada);
    world.take_commands();
    world.connect(back_dual(&world.sid(ada)));
    let commands = world.take_commands();
    assert!(
        matches!(&commands[..], [SfuCommand::MakeOffer { ice_restart: true, add, .. }] if add.len() == 1),
        "{commands:?}"
    );
    let messages = world.take(ada);
    assert!(matches!(messages[0], Response::Reconnect(_)));
    assert_eq!(offers(&messages).len(), 1);
    world.answer_offer_in(ada, &messages);
    assert!(matches!(
        &world.take_commands()[..],
        [SfuCommand::Answer { .. }]
    ));
}

impl World {
    fn answer_offer_in(&mut self, member: MemberId, messages: &[Response]) {
        let offer = offers(messages).last().copied().expect("an offer").clone();
        self.say(
            member,
            Request::Answer(description("answer", offer.id, &sdp::answer(&offer.sdp))),
        );
    }
}

#[test]
fn answers_to_what_a_client_asked_wait_for_it_and_news_does_not() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    let camera = world.publish(ada, proto::TrackSource::Camera);
    world.close_socket(ada);
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
    world.say(bo, Request::AddTrack(add_track(proto::TrackSource::Camera)));
    assert!(world.take(ada).is_empty());
    world.connect(back(&world.sid(ada), "ada"));
    let messages = world.take(ada);
    assert!(matches!(messages[0], Response::Reconnect(_)));
    assert!(
        messages.iter().any(|message| matches!(message, Response::TrackUnpublished(gone) if gone.track_sid == camera)),
        "{messages:?}"
    );
    assert_eq!(
        updates(&messages)
            .iter()
            .filter(|info| info.identity == "bo")
            .count(),
        1,
        "told once, as it is by then"
    );
}

#[test]
fn what_a_client_wants_when_it_comes_back_is_what_it_gets() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    let camera = world.publish(bo, proto::TrackSource::Camera);
    world.close_socket(ada);
    world.connect(back(&world.sid(ada), "ada"));
    world.say(
        ada,
        Request::SyncState(proto::SyncState {
            subscription: Some(proto::UpdateSubscription {
                track_sids: vec![camera.clone()],
                subscribe: false,
                ..Default::default()
            }),
            track_sids_disabled: vec![camera],
            ..Default::default()
        }),
    );
    assert!(world.room.member(ada).expect("in").subscriptions.is_empty());
}

#[test]
fn a_silent_socket_is_closed_and_its_member_may_come_back() {
    let mut world = World::new();
    let ada = world.enter("ada");
    world.wait(Duration::from_secs(29));
    world.say(ada, Request::Ping(1));
    world.wait(Duration::from_secs(29));
    assert!(world.clients[&ada].closed.is_empty());
    world.wait(Duration::from_secs(1));
    assert_eq!(world.clients[&ada].closed, world.clients[&ada].sockets);
    assert_eq!(world.connect(back(&world.sid(ada), "ada")), ada);
    world.wait(Duration::from_secs(21));
    assert!(world.room.member(ada).is_some());
}

#[test]
fn a_signal_tells_when_to_come_back() {
    let mut world = World::new();
    let ada = world.connect(single("ada"));
    let signal = |world: &World| world.signals[&ada].poll_timeout().map(|at| at - world.now);
    assert_eq!(signal(&world), Some(Duration::from_secs(30)));
    world.close_socket(ada);
    assert_eq!(signal(&world), Some(Duration::from_secs(20)));
}
