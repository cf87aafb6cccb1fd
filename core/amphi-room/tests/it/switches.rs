//! Broadcast, recording, and the program that both need.

use super::*;

const CUT: Wish = Wish {
    program: ProgramKind::Cut,
    layout: Layout::Grid,
    fit: CameraFit::Auto,
    title: String::new(),
};
const AUTO: Wish = Wish {
    program: ProgramKind::Auto,
    layout: Layout::Grid,
    fit: CameraFit::Auto,
    title: String::new(),
};
const DONE: Output = Output::Reply {
    request: REQUEST,
    result: Ok(()),
};

fn go_on_air(wish: Wish) -> Input {
    Input::StartBroadcast {
        request: REQUEST,
        by: host(),
        wish,
    }
}

fn go_off_air() -> Input {
    Input::StopBroadcast {
        request: REQUEST,
        by: host(),
    }
}

fn record() -> Input {
    Input::StartRecording {
        request: REQUEST,
        by: host(),
    }
}

fn stop_recording() -> Input {
    Input::StopRecording {
        request: REQUEST,
        by: host(),
    }
}

fn asked_off() -> Output {
    Output::BroadcastStopped { reason: None }
}

fn leave(member: MemberId) -> Input {
    Input::Leave {
        member,
        reason: LeaveReason::ClientInitiated,
    }
}

#[test]
fn the_program_runs_from_the_first_switch_on_to_the_last_switch_off() {
    let mut world = World::of_two();
    world.check(
        record(),
        &[
            Output::StartProgram { wish: AUTO },
            Output::RecordingStarted,
            DONE,
        ],
    );
    world.check(
        go_on_air(AUTO),
        &[Output::BroadcastStarted { wish: AUTO }, DONE],
    );
    assert_eq!(world.room.broadcast().map(|on| on.wish.clone()), Some(AUTO));
    world.check(
        stop_recording(),
        &[Output::RecordingStopped { reason: None }, DONE],
    );
    world.check(go_off_air(), &[asked_off(), Output::StopProgram, DONE]);
    assert!(world.room.broadcast().is_none() && world.room.recording().is_none());
}

#[test]
fn asking_for_what_is_so_already_is_answered_and_changes_nothing() {
    let mut world = World::of_two();
    world.check(go_off_air(), &[DONE]);
    world.check(stop_recording(), &[DONE]);
    world.give(go_on_air(CUT));
    world.check(go_on_air(CUT), &[DONE]);
}

#[test]
fn without_the_grant_no_switch_moves() {
    let mut world = World::of_two();
    world.give(go_on_air(CUT));
    let by = grants(&video_grant());
    let denied = |action| Output::Reply {
        request: REQUEST,
        result: Err(refused(action)),
    };
    world.check(
        Input::StartBroadcast {
            request: REQUEST,
            by: by.clone(),
            wish: CUT,
        },
        &[denied(Action::Broadcast)],
    );
    world.check(
        Input::StopBroadcast {
            request: REQUEST,
            by: by.clone(),
        },
        &[denied(Action::Broadcast)],
    );
    world.check(
        Input::StartRecording {
            request: REQUEST,
            by: by.clone(),
        },
        &[denied(Action::Record)],
    );
    world.check(
        Input::StopRecording {
            request: REQUEST,
            by,
        },
        &[denied(Action::Record)],
    );
    assert!(world.room.broadcast().is_some());
    assert_eq!(world.room.counters().switches_refused, 4);
}

fn change(change: WishChange) -> Input {
    Input::ChangeProgram {
        request: REQUEST,
        by: host(),
        change,
    }
}

#[test]
fn the_program_is_changed_while_it_runs_and_what_was_not_named_stays() {
    let mut world = World::of_two();
    world.give(go_on_air(CUT));
    let composed = Wish {
        program: ProgramKind::Compose,
        ..CUT
    };
    world.check(
        change(WishChange {
            program: Some(ProgramKind::Compose),
            ..WishChange::default()
        }),
        &[
            Output::ChangeProgram {
                wish: composed.clone(),
            },
            DONE,
        ],
    );
    let to_speaker = WishChange {
        layout: Some(Layout::Speaker),
        ..WishChange::default()
    };
    let speaker = Wish {
        layout: Layout::Speaker,
        ..composed
    };
    world.check(
        change(to_speaker.clone()),
        &[
            Output::ChangeProgram {
                wish: speaker.clone(),
            },
            DONE,
        ],
    );
    world.check(change(to_speaker), &[DONE]);
    let titled = Wish {
        title: "Town hall".to_owned(),
        ..speaker
    };
    world.check(
        change(WishChange {
            title: Some("Town hall".to_owned()),
            ..WishChange::default()
        }),
        &[
            Output::ChangeProgram {
                wish: titled.clone(),
            },
            DONE,
        ],
    );
    let cropped = Wish {
        fit: CameraFit::Crop,
        ..titled
    };
    world.check(
        change(WishChange {
            fit: Some(CameraFit::Crop),
            ..WishChange::default()
        }),
        &[
            Output::ChangeProgram {
                wish: cropped.clone(),
            },
            DONE,
        ],
    );
    let on_air = world.room.broadcast().map(|on| on.wish.clone());
    assert_eq!(on_air, Some(cropped));
}

#[test]
fn who_goes_on_air_during_a_recording_has_the_say_about_the_program() {
    let mut world = World::of_two();
    world.check(
        record(),
        &[
            Output::StartProgram { wish: AUTO },
            Output::RecordingStarted,
            DONE,
        ],
    );
    world.check(
        go_on_air(CUT),
        &[
            Output::ChangeProgram { wish: CUT },
            Output::BroadcastStarted { wish: CUT },
            DONE,
        ],
    );
}

#[test]
fn a_program_that_does_not_run_cannot_be_changed_and_the_answer_says_what_would_work() {
    let mut world = World::of_two();
    let outputs = world.give(change(WishChange {
        layout: Some(Layout::Speaker),
        ..WishChange::default()
    }));
    let [
        Output::Reply {
            result: Err(Denied::Unavailable(words)),
            ..
        },
    ] = &outputs[..]
    else {
        panic!("{outputs:?}");
    };
    assert!(words.contains("start its broadcast"), "{words}");
    let by = grants(&video_grant());
    world.give(go_on_air(CUT));
    world.check(
        Input::ChangeProgram {
            request: REQUEST,
            by,
            change: WishChange {
                layout: Some(Layout::Speaker),
                ..WishChange::default()
            },
        },
        &[Output::Reply {
            request: REQUEST,
            result: Err(refused(Action::Broadcast)),
        }],
    );
}

#[test]
fn a_room_set_to_goes_on_air_and_records_when_the_first_track_is_live() {
    let settings = Settings {
        broadcast_auto: true,
        record_auto: true,
        ..Settings::default()
    };
    let mut world = World::with(settings);
    world.enter(ADA, "ada");
    let camera = world.publish(ADA, Source::Camera);
    assert!(
        world.room.broadcast().is_none(),
        "announcing alone sends nothing"
    );
    world.check(
        Input::TrackLive {
            track: camera,
            codec: Codec::H264,
        },
        &[
            Output::MemberChanged { member: ADA },
            Output::StartProgram { wish: AUTO },
            Output::BroadcastStarted { wish: AUTO },
            Output::RecordingStarted,
        ],
    );
}

#[test]
fn what_a_person_ends_stays_ended_until_everybody_has_stopped_publishing() {
    let mut world = World::with(Settings {
        broadcast_auto: true,
        ..Settings::default()
    });
    world.enter(ADA, "ada");
    world.enter(BO, "bo");
    let camera = world.publish(ADA, Source::Camera);
    world.give(Input::TrackLive {
        track: camera,
        codec: Codec::H264,
    });
    world.give(go_off_air());
    let microphone = world.publish(BO, Source::Microphone);
    world.give(Input::TrackLive {
        track: microphone,
        codec: Codec::Opus,
    });
    assert!(world.room.broadcast().is_none());
    world.give(Input::Unpublish {
        member: ADA,
        track: camera,
    });
    world.give(Input::Unpublish {
        member: BO,
        track: microphone,
    });
    let camera = world.publish(ADA, Source::Camera);
    world.give(Input::TrackLive {
        track: camera,
        codec: Codec::H264,
    });
    assert!(world.room.broadcast().is_some());
}

#[test]
fn settings_that_become_automatic_act_on_what_is_live() {
    let mut world = World::of_two();
    let camera = world.publish(ADA, Source::Camera);
    world.give(Input::TrackLive {
        track: camera,
        codec: Codec::H264,
    });
    let settings = Settings {
        record_auto: true,
        ..Settings::default()
    };
    world.check(
        Input::SettingsChanged(settings),
        &[
            Output::StartProgram { wish: AUTO },
            Output::RecordingStarted,
        ],
    );
}

#[test]
fn an_empty_room_stays_on_air_for_the_grace_time_and_then_ends_by_itself() {
    let mut world = World::of_two();
    world.give(go_on_air(CUT));
    world.give(leave(ADA));
    assert_eq!(world.room.poll_timeout(), None);
    world.give(leave(BO));
    assert_eq!(
        world.room.poll_timeout(),
        Some(world.now + EMPTY_BROADCAST_GRACE)
    );
    world.now += EMPTY_BROADCAST_GRACE - Duration::from_millis(1);
    world.check(Input::Timeout, &[]);
    world.now += Duration::from_millis(1);
    let outputs = world.give(Input::Timeout);
    assert!(
        matches!(
            &outputs[..],
            [
                Output::BroadcastStopped { reason: Some(_) },
                Output::StopProgram,
                Output::Empty
            ]
        ),
        "{outputs:?}"
    );
}

#[test]
fn who_comes_back_within_the_grace_time_finds_the_broadcast_on() {
    let mut world = World::of_two();
    world.give(go_on_air(CUT));
    world.give(leave(ADA));
    world.give(leave(BO));
    world.now += EMPTY_BROADCAST_GRACE / 2;
    world.enter(ADA, "ada");
    assert_eq!(world.room.poll_timeout(), None);
    world.now += EMPTY_BROADCAST_GRACE;
    world.check(Input::Timeout, &[]);
    assert!(world.room.broadcast().is_some());
}

#[test]
fn a_recording_of_a_room_where_nobody_comes_ends_by_itself() {
    let mut world = World::new();
    world.give(record());
    assert_eq!(
        world.room.poll_timeout(),
        Some(world.now + EMPTY_BROADCAST_GRACE)
    );
}

#[test]
fn a_program_that_fails_takes_both_switches_off_and_says_why() {
    let mut world = World::of_two();
    world.give(go_on_air(CUT));
    world.give(record());
    let reason = Some("The program's worker stopped.".to_owned());
    world.check(
        Input::ProgramFailed {
            reason: "The program's worker stopped.".into(),
        },
        &[
            Output::BroadcastStopped {
                reason: reason.clone(),
            },
            Output::RecordingStopped { reason },
            Output::StopProgram,
        ],
    );
}

/// No place for another program, or a program that broke: a room that goes on air by itself does so again.
#[test]
fn a_room_that_goes_on_air_by_itself_says_why_it_does_not_and_tries_again() {
    let mut world = World::with(Settings {
        broadcast_auto: true,
        ..Settings::default()
    });
    world.enter(ADA, "ada");
    let camera = world.publish(ADA, Source::Camera);
    let live = Input::TrackLive {
        track: camera,
        codec: Codec::H264,
    };
    world.give(live.clone());
    let failed = || Input::ProgramFailed {
        reason: "No place.".to_owned(),
    };
    let off = [
        Output::BroadcastStopped {
            reason: Some("No place.".to_owned()),
        },
        Output::StopProgram,
    ];
    world.check(failed(), &off);
    assert_eq!(world.room.failure(), Some("No place."));
    let retry = world.room.poll_timeout().expect("it comes back");
    assert_eq!(retry - world.now, Duration::from_secs(10));
    world.now = retry - Duration::from_millis(1);
    world.check(Input::Timeout, &[]);
    world.now = retry;
    let on = [
        Output::StartProgram { wish: AUTO },
        Output::BroadcastStarted { wish: AUTO },
    ];
    world.check(Input::Timeout, &on);
    assert_eq!(
        (world.room.failure(), world.room.poll_timeout()),
        (None, None)
    );

    // Whoever ends it ends the trying, too; and what a person started is not tried again by itself.
    world.give(failed());
    world.give(go_off_air());
    assert_eq!(world.room.poll_timeout(), None);
    let mut world = World::new();
    world.enter(ADA, "ada");
    world.give(go_on_air(AUTO));
    world.give(failed());
    assert_eq!(
        (world.room.failure(), world.room.poll_timeout()),
        (Some("No place."), None)
    );
}
