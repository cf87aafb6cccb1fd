//! Goodbyes in both directions.

use amphi_room::LeaveReason;
use proto::DisconnectReason as Why;
use proto::leave_request::Action;

use super::*;

#[test]
fn who_says_goodbye_is_out_at_once_and_its_socket_is_closed() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    world.take(bo);
    world.take_commands();
    world.say(ada, Request::Leave(proto::LeaveRequest::default()));
    assert!(world.room.member(ada).is_none() && leaves(&world.take(ada)).is_empty());
    assert_eq!(world.clients[&ada].closed.len(), 1);
    assert!(matches!(
        &world.take_commands()[..],
        [SfuCommand::CloseSession { .. }]
    ));
    assert_eq!(updates(&world.take(bo)).len(), 1);
}

#[test]
fn a_member_that_is_sent_away_is_told_why_and_what_to_do() {
    for (reason, why, action) in [
        (
            LeaveReason::Removed,
            Why::ParticipantRemoved,
            Action::Disconnect,
        ),
        (
            LeaveReason::ServerShutdown,
            Why::ServerShutdown,
            Action::Reconnect,
        ),
        (LeaveReason::RoomFailure, Why::RoomClosed, Action::Reconnect),
        (
            LeaveReason::ConnectionLost,
            Why::ConnectionTimeout,
            Action::Reconnect,
        ),
        (
            LeaveReason::JoinFailure,
            Why::JoinFailure,
            Action::Disconnect,
        ),
    ] {
        let mut world = World::new();
        let ada = world.enter("ada");
        world.room(amphi_room::Input::Leave {
            member: ada,
            reason,
        });
        let messages = world.take(ada);
        assert_eq!(leaves(&messages), [(why, action)]);
        let Some(Response::Leave(leave)) = messages.last() else {
            panic!("{messages:?}")
        };
        assert_eq!(
            leave.can_reconnect,
            action == Action::Reconnect,
            "what older clients read"
        );
        assert_eq!(world.clients[&ada].closed.len(), 1);
    }
}

#[test]
fn the_older_of_two_with_one_identity_leaves_with_the_reason_before_the_newer_is_told_of() {
    let mut world = World::new();
    let (ada, bo) = (world.enter("ada"), world.enter("bo"));
    world.take(bo);
    let newer = world.connect(single("ada"));
    assert_eq!(
        leaves(&world.take(ada)),
        [(Why::DuplicateIdentity, Action::Disconnect)]
    );
    assert!(matches!(world.take(newer)[0], Response::Join(_)));
    let messages = world.take(bo);
    let told: Vec<_> = updates(&messages)
        .iter()
        .map(|info| (info.sid.clone(), info.state()))
        .collect();
    use proto::participant_info::State;
    assert_eq!(
        told,
        [
            (world.sid(ada), State::Disconnected),
            (world.sid(newer), State::Joined)
        ]
    );
}

#[test]
fn who_is_refused_by_the_room_hears_a_goodbye_instead_of_a_welcome() {
    let mut world = World::new();
    let mut join = single("ada");
    join.joining.metadata = "m".repeat(amphi_room::METADATA_BYTES_MAX + 1);
    let ada = world.connect(join);
    assert_eq!(
        leaves(&world.take(ada)),
        [(Why::JoinFailure, Action::Disconnect)]
    );
    assert_eq!(world.clients[&ada].closed.len(), 1);
    assert!(world.take_commands().is_empty());
}

#[test]
fn a_media_connection_that_never_stands_ends_the_joining() {
    let mut world = World::new();
    let ada = world.connect(single("ada"));
    world.take(ada);
    world.wait(Duration::from_secs(29));
    world.say(ada, Request::Ping(1));
    world.wait(Duration::from_secs(1));
    assert_eq!(
        leaves(&world.take(ada)),
        [(Why::JoinFailure, Action::Disconnect)]
    );
}

#[test]
fn a_media_connection_that_is_over_sends_its_client_back_to_the_start() {
    let mut world = World::new();
    let ada = world.enter("ada");
    let session = world.signals[&ada].sessions()[0];
    world.signal(ada, Input::Sfu(&amphi_sfu::Output::Ended { session }));
    assert_eq!(
        leaves(&world.take(ada)),
        [(Why::ConnectionTimeout, Action::Reconnect)]
    );
    assert!(world.room.member(ada).is_none());
}

#[test]
fn a_client_may_try_out_being_sent_away() {
    use proto::simulate_scenario::Scenario;
    for (scenario, action) in [
        (Scenario::ServerLeave(true), Action::Disconnect),
        (Scenario::LeaveRequestFullReconnect(true), Action::Reconnect),
        (Scenario::NodeFailure(true), Action::Reconnect),
    ] {
        let mut world = World::new();
        let ada = world.enter("ada");
        world.say(
            ada,
            Request::Simulate(proto::SimulateScenario {
                scenario: Some(scenario),
            }),
        );
        assert_eq!(leaves(&world.take(ada))[0].1, action);
    }
}
