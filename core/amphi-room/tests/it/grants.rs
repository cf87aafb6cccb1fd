//! Grants that change while the call runs.

use super::*;

fn only(sources: SourceSet) -> Change {
    Change {
        sources: Some(Some(sources)),
        ..Change::default()
    }
}

const SOUND: SourceSet = SourceSet {
    camera: false,
    microphone: true,
    screen: false,
    screen_audio: false,
};

#[test]
fn losing_the_camera_grant_stops_the_camera_in_the_same_step_and_keeps_the_member() {
    let mut world = World::of_two();
    let camera = world.publish(ADA, Source::Camera);
    let microphone = world.publish(ADA, Source::Microphone);
    let outputs = world.change(ADA, &only(SOUND));
    assert_eq!(
        outputs,
        [
            Output::StopTrack {
                member: ADA,
                track: camera,
                refusal: Some(Refusal {
                    action: Action::Camera
                })
            },
            Output::Unsubscribed {
                member: BO,
                track: camera
            },
            Output::GrantsChanged { member: ADA },
            Output::MemberChanged { member: ADA },
        ]
    );
    assert!(world.room.track(camera).is_none() && world.room.track(microphone).is_some());
    assert!(world.room.member(ADA).is_some());
    assert_eq!(world.room.counters().tracks_stopped_by_grant, 1);
}

#[test]
fn a_grant_that_comes_back_lets_the_camera_be_published_anew() {
    let mut world = World::of_two();
    world.publish(ADA, Source::Camera);
    world.change(ADA, &only(SOUND));
    world.change(
        ADA,
        &Change {
            sources: Some(None),
            ..Change::default()
        },
    );
    world.publish(ADA, Source::Camera);
}

#[test]
fn losing_the_grant_to_see_takes_everything_and_regaining_it_gives_it_back() {
    let mut world = World::of_two();
    let camera = world.publish(ADA, Source::Camera);
    let microphone = world.publish(ADA, Source::Microphone);
    world.give(Input::Subscribe {
        member: BO,
        track: microphone,
        wanted: false,
    });
    let outputs = world.change(
        BO,
        &Change {
            can_subscribe: Some(false),
            ..Change::default()
        },
    );
    assert_eq!(
        outputs,
        [
            Output::Unsubscribed {
                member: BO,
                track: camera
            },
            Output::GrantsChanged { member: BO },
            Output::MemberChanged { member: BO },
            Output::Refused {
                member: BO,
                request: None,
                denied: refused(Action::Subscribe)
            },
        ]
    );
    let denied = refused(Action::Subscribe);
    world.check(
        Input::Subscribe {
            member: BO,
            track: microphone,
            wanted: true,
        },
        &[Output::SubscribeRefused {
            member: BO,
            track: microphone,
            denied,
        }],
    );
    let outputs = world.change(
        BO,
        &Change {
            can_subscribe: Some(true),
            ..Change::default()
        },
    );
    assert_eq!(
        outputs[..2],
        [
            Output::Subscribed {
                member: BO,
                track: camera
            },
            Output::Subscribed {
                member: BO,
                track: microphone
            }
        ]
    );
}

#[test]
fn losing_the_grant_to_be_here_is_leaving() {
    let mut world = World::of_two();
    let camera = world.publish(ADA, Source::Camera);
    let mut none = Grants::none();
    none.revision = 7;
    world.check(
        Input::GrantsChanged {
            member: ADA,
            grants: none,
        },
        &[
            Output::StopTrack {
                member: ADA,
                track: camera,
                refusal: None,
            },
            Output::Unsubscribed {
                member: BO,
                track: camera,
            },
            Output::Left {
                member: ADA,
                identity: "ada".into(),
                hidden: false,
                reason: LeaveReason::Removed,
            },
        ],
    );
}

#[test]
fn grants_of_an_older_or_the_same_revision_are_ignored() {
    let mut world = World::of_two();
    let first = world.grants(ADA);
    world.change(ADA, &only(SOUND));
    world.check(
        Input::GrantsChanged {
            member: ADA,
            grants: first,
        },
        &[],
    );
    let same = world.grants(ADA);
    world.check(
        Input::GrantsChanged {
            member: ADA,
            grants: same,
        },
        &[],
    );
    assert!(world.grants(ADA).allows(Action::Camera).is_err());
    assert_eq!(world.room.counters().stale_grants, 2);
}
