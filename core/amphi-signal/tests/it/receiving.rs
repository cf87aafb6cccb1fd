//! Traps 7, 8, 9 and 12: what a client receives, in both forms.

use super::*;

/// Which mid of the newest answer carries which track.
fn carried(world: &mut World, member: MemberId) -> BTreeMap<String, String> {
    let messages = world.take(member);
    answers(&messages)
        .last()
        .expect("an answer")
        .mid_to_track_id
        .clone()
        .into_iter()
        .collect()
}

/// The labels of the lines that an answer or offer sends on.
fn labels(sdp: &str) -> BTreeMap<String, (String, String)> {
    let lines = amphi_sfu::sdp::lines(sdp).expect("a description");
    lines
        .into_iter()
        .filter(|line| line.direction.sends())
        .filter_map(|line| Some((line.mid.0, line.msid?)))
        .collect()
}

/// Lines are only ever added at the end.
fn with_more_audio(mut lines: Vec<Line>, more: usize) -> Vec<Line> {
    lines.extend(
        (0..more).map(|number| Line::receiving(&format!("b{number}"), proto::TrackType::Audio)),
    );
    lines
}

fn subscribe(world: &mut World, member: MemberId, sid: &str, subscribe: bool) {
    let update = proto::UpdateSubscription {
        track_sids: vec![sid.to_owned()],
        subscribe,
        ..Default::default()
    };
    world.say(member, Request::Subscription(update));
}

#[test]
fn a_track_that_begins_later_is_put_on_a_free_line_with_the_names_that_clients_need() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    let camera = world.publish(ada, proto::TrackSource::Camera);
    let microphone = {
        world.say(
            ada,
            Request::AddTrack(add_track(proto::TrackSource::Microphone)),
        );
        world.published(ada)
    };
    assert_eq!(
        requirements(&world.take(bo)),
        [(0, 0)],
        "asked once for both"
    );
    world.offer(bo, 2, &sdp::usual_lines());
    let messages = world.take(bo);
    let answer = answers(&messages)[0];
    assert_eq!(answer.id, 2);
    let expected = BTreeMap::from([
        ("a0".to_owned(), microphone.clone()),
        ("v0".to_owned(), camera.clone()),
    ]);
    assert_eq!(
        answer
            .mid_to_track_id
            .clone()
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        expected
    );
    let labels = labels(&answer.sdp);
    assert_eq!(labels.len(), 2, "{}", answer.sdp);
    for (mid, sid) in expected {
        let (stream, track) = &labels[&mid];
        assert_eq!(stream, &format!("{}|{sid}", world.sid(ada)));
        assert_eq!(track, &sid);
    }
}

#[test]
fn every_answer_names_all_tracks_because_a_client_forgets_the_others() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    world.publish(ada, proto::TrackSource::Camera);
    world.offer(bo, 2, &sdp::usual_lines());
    world.offer(bo, 3, &sdp::usual_lines());
    assert_eq!(carried(&mut world, bo).len(), 1);
}

#[test]
fn with_six_voices_a_client_of_three_lines_is_asked_for_three_more() {
    let mut world = World::new();
    let mut members = Vec::new();
    for number in 0..6 {
        let member = world.enter(&format!("member-{number}"));
        world.publish(member, proto::TrackSource::Microphone);
        members.push(member);
    }
    // The seventh joins as the Python SDK does: every offer has number 0.
    let bo = world.connect(join_with(&request_with_offer(0), &claims("bo")));
    world.media_connects(bo);
    let messages = world.take(bo);
    assert!(matches!(messages[0], Response::Join(_)));
    let asked: u32 = requirements(&messages).iter().map(|(audio, _)| audio).sum();
    assert_eq!(asked, 3, "{:?}", requirements(&messages));
    world.offer(bo, 0, &with_more_audio(sdp::usual_lines(), 3));
    assert_eq!(carried(&mut world, bo).len(), 6);
    // The first one hears the five others, too: three on its own lines, two on lines it is asked for.
    let first = members[0];
    let asked: u32 = requirements(&world.take(first))
        .iter()
        .map(|(audio, _)| audio)
        .sum();
    assert_eq!(asked, 2);
    let mut lines = sdp::usual_lines();
    lines.push(Line::sending(
        "9",
        proto::TrackType::Audio,
        "cid-MICROPHONE",
    ));
    world.offer(first, 3, &with_more_audio(lines, 2));
    assert_eq!(carried(&mut world, first).len(), 5);
}

#[test]
fn unsubscribing_stops_at_once_and_subscribing_again_comes_over_an_inactive_line() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    let camera = world.publish(ada, proto::TrackSource::Camera);
    world.offer(bo, 2, &sdp::usual_lines());
    world.take(bo);
    world.take_commands();
    subscribe(&mut world, bo, &camera, false);
    let session = world.signals[&bo].sessions()[0];
    let released = SfuCommand::Release {
        session,
        mid: amphi_sfu::Mid("v0".into()),
    };
    assert_eq!(world.take_commands(), [released]);
    assert_eq!(requirements(&world.take(bo)), [(0, 0)]);
    world.offer(bo, 3, &sdp::usual_lines());
    let messages = world.take(bo);
    assert!(
        labels(&answers(&messages)[0].sdp).is_empty(),
        "inactive, so that the page hears that it ended"
    );
    assert!(answers(&messages)[0].mid_to_track_id.is_empty());
    subscribe(&mut world, bo, &camera, true);
    assert_eq!(requirements(&world.take(bo)), [(0, 0)]);
    world.offer(bo, 4, &sdp::usual_lines());
    assert_eq!(
        carried(&mut world, bo),
        BTreeMap::from([("v0".to_owned(), camera)])
    );
}

#[test]
fn a_line_is_inactive_once_between_two_tracks() {
    let mut world = World::new();
    let one_line = sdp::lines_to_receive(0, 1);
    let (ada, bo) = (world.enter("ada"), world.enter_with("bo", &one_line));
    world.publish(ada, proto::TrackSource::Camera);
    world.offer(bo, 2, &one_line);
    world.take(bo);
    let mut lines = sdp::usual_lines();
    lines.push(Line::inactive("9", proto::TrackType::Video));
    world.offer(ada, 3, &lines);
    world.say(
        ada,
        Request::AddTrack(add_track(proto::TrackSource::ScreenShare)),
    );
    let screen = world.published(ada);
    assert_eq!(
        requirements(&world.take(bo)),
        [(0, 0)],
        "no more lines than needed"
    );
    world.offer(bo, 3, &one_line);
    let messages = world.take(bo);
    assert!(labels(&answers(&messages)[0].sdp).is_empty());
    assert_eq!(requirements(&messages), [(0, 0)]);
    world.offer(bo, 4, &one_line);
    assert_eq!(
        carried(&mut world, bo),
        BTreeMap::from([("v0".to_owned(), screen)])
    );
}

#[test]
fn a_client_that_does_not_offer_when_asked_is_asked_again() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    world.publish(ada, proto::TrackSource::Camera);
    world.take(bo);
    world.wait(Duration::from_secs(5));
    assert_eq!(requirements(&world.take(bo)), [(0, 0)]);
    assert_eq!(world.signals[&bo].counters().renegotiations_overdue, 1);
}

#[test]
fn over_two_connections_one_offer_is_pending_at_a_time() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter_dual("bo"));
    let camera = world.publish(ada, proto::TrackSource::Camera);
    let messages = world.take(bo);
    let [offer] = &offers(&messages)[..] else {
        panic!("{messages:?}")
    };
    assert_eq!(
        offer.mid_to_track_id.values().collect::<Vec<_>>(),
        [&camera]
    );
    let labels = labels(&offer.sdp);
    let (stream, track) = labels.values().next().expect("one line");
    assert_eq!(
        (stream, track),
        (&format!("{}|{camera}", world.sid(ada)), &camera)
    );
    let answer = description("answer", offer.id, &sdp::answer(&offer.sdp));
    // While it is pending, another track comes and waits.
    world.say(
        ada,
        Request::AddTrack(add_track(proto::TrackSource::Microphone)),
    );
    assert!(offers(&world.take(bo)).is_empty());
    world.say(bo, Request::Answer(answer));
    let messages = world.take(bo);
    let [next] = &offers(&messages)[..] else {
        panic!("{messages:?}")
    };
    assert_eq!(next.mid_to_track_id.len(), 2);
    assert!(
        requirements(&messages).is_empty(),
        "that is for one connection"
    );
}

#[test]
fn an_answer_without_a_number_answers_what_is_pending() {
    let mut world = World::new();
    let bo = world.connect(dual("bo"));
    let messages = world.take(bo);
    let sdp = sdp::answer(&offers(&messages)[0].sdp);
    world.take_commands();
    world.say(bo, Request::Answer(description("answer", 0, &sdp)));
    assert!(matches!(
        &world.take_commands()[..],
        [SfuCommand::Answer { .. }]
    ));
    world.say(bo, Request::Answer(description("answer", 0, &sdp)));
    assert!(
        world.take_commands().is_empty(),
        "there is nothing left to answer"
    );
    assert_eq!(world.signals[&bo].counters().messages_stale, 1);
}

#[test]
fn over_two_connections_a_track_that_ends_is_taken_off_with_the_next_offer() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter_dual("bo"));
    let camera = world.publish(ada, proto::TrackSource::Camera);
    world.answer_offer(bo);
    world.take(bo);
    world.take_commands();
    subscribe(&mut world, bo, &camera, false);
    let commands = world.take_commands();
    assert!(
        matches!(&commands[..], [SfuCommand::Release { mid, .. }, SfuCommand::MakeOffer { remove, .. }] if remove == std::slice::from_ref(mid)),
        "{commands:?}"
    );
    let messages = world.take(bo);
    assert!(offers(&messages)[0].mid_to_track_id.is_empty());
}

#[test]
fn an_unanswered_offer_is_made_again_with_an_ice_restart_and_not_for_ever() {
    let mut world = World::new();
    let bo = world.enter_dual("bo");
    let ada = world.enter("ada");
    world.publish(ada, proto::TrackSource::Camera);
    let mut restarts = 0;
    for _ in 0..10 {
        world.take_commands();
        world.wait(Duration::from_secs(10));
        // The client is alive all the while.
        if world.signals.contains_key(&bo) {
            world.say(bo, Request::Ping(1));
        }
        restarts += world
            .take_commands()
            .iter()
            .filter(|command| matches!(command, SfuCommand::MakeOffer { ice_restart: true, add, .. } if add.len() == 1))
            .count();
    }
    assert_eq!(restarts, 3);
    let bye = (
        proto::DisconnectReason::ConnectionTimeout,
        proto::leave_request::Action::Reconnect,
    );
    assert_eq!(leaves(&world.take(bo)), [bye]);
}

#[test]
fn both_forms_live_in_one_room() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter_dual("bo"));
    world.publish(ada, proto::TrackSource::Microphone);
    world.say(
        bo,
        Request::AddTrack(add_track(proto::TrackSource::Microphone)),
    );
    world.take_commands();
    world.offer(
        bo,
        1,
        &[
            Line::channels("0"),
            Line::sending("1", proto::TrackType::Audio, "cid-MICROPHONE"),
        ],
    );
    let publisher = world.signals[&bo].sessions()[0];
    assert!(world.take_commands().iter().any(
        |command| matches!(command, SfuCommand::Offer { session, receives, sends, .. } if *session == publisher && receives.len() == 1 && sends.is_empty())
    ));
    assert_eq!(world.room.member(ada).expect("in").subscriptions.len(), 1);
    assert_eq!(world.room.member(bo).expect("in").subscriptions.len(), 1);
}

#[test]
fn losing_the_grant_to_see_takes_the_lines_away_and_regaining_it_brings_them_back() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    let camera = world.publish(ada, proto::TrackSource::Camera);
    world.offer(bo, 2, &sdp::usual_lines());
    world.take(bo);
    world.take_commands();
    world.change_grants(
        bo,
        &Change {
            can_subscribe: Some(false),
            ..Change::default()
        },
    );
    assert!(matches!(
        &world.take_commands()[..],
        [SfuCommand::Release { .. }]
    ));
    let messages = world.take(bo);
    assert!(
        responses(&messages)[0].message.contains("canSubscribe"),
        "{messages:?}"
    );
    subscribe(&mut world, bo, &camera, true);
    let messages = world.take(bo);
    assert!(
        messages.iter().any(|message| matches!(message, Response::SubscriptionPermissionUpdate(update) if !update.allowed)),
        "{messages:?}"
    );
    world.offer(bo, 3, &sdp::usual_lines());
    world.change_grants(
        bo,
        &Change {
            can_subscribe: Some(true),
            ..Change::default()
        },
    );
    world.offer(bo, 4, &sdp::usual_lines());
    assert_eq!(
        carried(&mut world, bo).into_values().collect::<Vec<_>>(),
        [camera]
    );
}

#[test]
fn who_leaves_is_told_of_and_its_lines_are_freed() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    world.publish(ada, proto::TrackSource::Camera);
    world.offer(bo, 2, &sdp::usual_lines());
    world.take(bo);
    world.say(ada, Request::Leave(proto::LeaveRequest::default()));
    let messages = world.take(bo);
    let gone = updates(&messages).into_iter().last().expect("told");
    assert_eq!(
        (gone.identity.as_str(), gone.state()),
        ("ada", proto::participant_info::State::Disconnected)
    );
    assert_eq!(
        gone.disconnect_reason(),
        proto::DisconnectReason::ClientInitiated
    );
    assert_eq!(requirements(&messages), [(0, 0)]);
}
