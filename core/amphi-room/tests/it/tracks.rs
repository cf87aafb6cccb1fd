//! What is published, and who gets it.

use super::*;

fn wish(member: MemberId, track: TrackId, wanted: bool) -> Input {
    Input::Subscribe {
        member,
        track,
        wanted,
    }
}

#[test]
fn what_one_publishes_the_others_get_and_nobody_gets_its_own() {
    let mut world = World::of_two();
    world.enter(CY, "cy");
    let track = TrackId(1);
    world.check(
        Input::Announce {
            member: ADA,
            track: announced(Source::Camera),
        },
        &[
            Output::Published {
                member: ADA,
                track,
                cid: "cid-Camera".into(),
            },
            Output::MemberChanged { member: ADA },
            Output::Subscribed { member: BO, track },
            Output::Subscribed { member: CY, track },
        ],
    );
    assert_eq!(
        world
            .room
            .track(track)
            .expect("published")
            .subscribers
            .iter()
            .copied()
            .collect::<Vec<_>>(),
        [BO, CY]
    );
}

#[test]
fn a_member_gets_tracks_once_its_connection_stands() {
    let mut world = World::new();
    world.enter(ADA, "ada");
    let camera = world.publish(ADA, Source::Camera);
    world.check(
        Input::Join {
            member: BO,
            joining: joining("bo"),
        },
        &[Output::Joined { member: BO }],
    );
    world.check(
        Input::Active { member: BO },
        &[
            Output::MemberChanged { member: BO },
            Output::Subscribed {
                member: BO,
                track: camera,
            },
        ],
    );
    world.check(Input::Active { member: BO }, &[]);
}

#[test]
fn who_does_not_subscribe_by_itself_gets_what_it_asks_for() {
    let mut world = World::of_two();
    world.give(Input::AutoSubscribe {
        member: BO,
        on: false,
    });
    let camera = world.publish(ADA, Source::Camera);
    let microphone = world.publish(ADA, Source::Microphone);
    assert!(world.room.member(BO).expect("in").subscriptions.is_empty());
    world.check(
        wish(BO, camera, true),
        &[Output::Subscribed {
            member: BO,
            track: camera,
        }],
    );
    world.check(wish(BO, camera, true), &[]);
    world.check(wish(BO, microphone, false), &[]);
    world.check(
        wish(BO, camera, false),
        &[Output::Unsubscribed {
            member: BO,
            track: camera,
        }],
    );
}

#[test]
fn turning_subscribing_by_itself_on_and_off_leaves_explicit_wishes_alone() {
    let mut world = World::of_two();
    let camera = world.publish(ADA, Source::Camera);
    let microphone = world.publish(ADA, Source::Microphone);
    world.give(wish(BO, camera, true));
    world.check(
        Input::AutoSubscribe {
            member: BO,
            on: false,
        },
        &[Output::Unsubscribed {
            member: BO,
            track: microphone,
        }],
    );
    world.check(
        Input::AutoSubscribe {
            member: BO,
            on: true,
        },
        &[Output::Subscribed {
            member: BO,
            track: microphone,
        }],
    );
}

#[test]
fn a_track_that_is_not_there_or_is_ones_own_cannot_be_subscribed_to() {
    let mut world = World::of_two();
    let camera = world.publish(ADA, Source::Camera);
    for (member, track) in [(BO, TrackId(99)), (ADA, camera)] {
        let outputs = world.give(wish(member, track, true));
        assert!(
            matches!(
                &outputs[..],
                [Output::SubscribeRefused {
                    denied: Denied::Unavailable(_),
                    ..
                }]
            ),
            "{outputs:?}"
        );
        world.check(wish(member, track, false), &[]);
    }
}

#[test]
fn a_hidden_member_sees_and_is_not_seen() {
    let mut world = World::of_two();
    let hidden = grants(&VideoGrant {
        hidden: true,
        ..video_grant()
    });
    world.give(Input::Join {
        member: CY,
        joining: Joining {
            grants: hidden,
            ..joining("cy")
        },
    });
    world.give(Input::Active { member: CY });
    let seen = world.publish(ADA, Source::Camera);
    let unseen = world.publish(CY, Source::Camera);
    assert!(
        world
            .room
            .member(CY)
            .expect("in")
            .subscriptions
            .contains(&seen)
    );
    assert!(
        world
            .room
            .track(unseen)
            .expect("published")
            .subscribers
            .is_empty()
    );
    let outputs = world.give(Input::Leave {
        member: CY,
        reason: LeaveReason::ClientInitiated,
    });
    assert!(matches!(
        outputs.last(),
        Some(Output::Left { hidden: true, .. })
    ));
}

#[test]
fn a_track_announced_twice_keeps_its_id_and_takes_the_newer_description() {
    let mut world = World::of_two();
    let first = world.publish(ADA, Source::Camera);
    let again = Announced {
        muted: true,
        name: "front".into(),
        ..announced(Source::Camera)
    };
    world.check(
        Input::Announce {
            member: ADA,
            track: again,
        },
        &[
            Output::SetMuted {
                track: first,
                muted: true,
            },
            Output::Published {
                member: ADA,
                track: first,
                cid: "cid-Camera".into(),
            },
            Output::MemberChanged { member: ADA },
        ],
    );
    assert_eq!(
        world.room.track(first).expect("published").announced.name,
        "front"
    );
}

#[test]
fn muting_is_told_once_and_only_the_publisher_may() {
    let mut world = World::of_two();
    let camera = world.publish(ADA, Source::Camera);
    let mute = |muted| Input::Mute {
        member: ADA,
        track: camera,
        muted,
    };
    world.check(
        mute(true),
        &[
            Output::SetMuted {
                track: camera,
                muted: true,
            },
            Output::MemberChanged { member: ADA },
        ],
    );
    world.check(mute(true), &[]);
    world.check(
        mute(false),
        &[
            Output::SetMuted {
                track: camera,
                muted: false,
            },
            Output::MemberChanged { member: ADA },
        ],
    );
}

#[test]
fn unpublishing_stops_the_track_for_everybody() {
    let mut world = World::of_two();
    let camera = world.publish(ADA, Source::Camera);
    world.check(
        Input::Unpublish {
            member: ADA,
            track: camera,
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
            Output::MemberChanged { member: ADA },
        ],
    );
    assert!(world.room.track(camera).is_none());
    let next = world.publish(ADA, Source::Camera);
    assert_ne!(next, camera, "an id is used once in a room's life");
}

#[test]
fn a_source_without_the_grant_is_not_published_and_the_words_name_it() {
    let mut world = World::new();
    let only_sound = grants(&VideoGrant {
        can_publish_sources: vec!["microphone".into()],
        ..video_grant()
    });
    world.give(Input::Join {
        member: ADA,
        joining: Joining {
            grants: only_sound,
            ..joining("ada")
        },
    });
    for (source, action) in [
        (Source::Camera, Action::Camera),
        (Source::Screen, Action::Screen),
        (Source::ScreenAudio, Action::ScreenAudio),
        (Source::Unknown, Action::PublishUnknown),
    ] {
        let track = announced(source);
        let cid = track.cid.clone();
        world.check(
            Input::Announce { member: ADA, track },
            &[Output::PublishRefused {
                member: ADA,
                cid,
                denied: refused(action),
            }],
        );
    }
    world.publish(ADA, Source::Microphone);
    assert_eq!(world.room.counters().publishes_refused, 4);
}

#[test]
fn a_microphone_does_not_pass_as_a_camera() {
    let mut world = World::of_two();
    for track in [
        Announced {
            kind: MediaKind::Audio,
            ..announced(Source::Camera)
        },
        Announced {
            kind: MediaKind::Video,
            ..announced(Source::Microphone)
        },
        Announced {
            codec: Some(Codec::H264),
            ..announced(Source::Microphone)
        },
    ] {
        let outputs = world.give(Input::Announce { member: ADA, track });
        assert!(
            matches!(
                &outputs[..],
                [Output::PublishRefused {
                    denied: Denied::Unavailable(_),
                    ..
                }]
            ),
            "{outputs:?}"
        );
    }
}

#[test]
fn too_many_or_too_wordy_tracks_are_refused() {
    let mut world = World::of_two();
    let numbered = |number: usize| Announced {
        cid: format!("cid-{number}"),
        ..announced(Source::Camera)
    };
    for number in 0..TRACKS_PER_MEMBER_MAX {
        world.give(Input::Announce {
            member: ADA,
            track: numbered(number),
        });
    }
    let long = Announced {
        name: "n".repeat(LABEL_BYTES_MAX + 1),
        ..numbered(0)
    };
    let layers = vec![(String::new(), VideoSize::default(), 0); 5];
    for track in [
        numbered(TRACKS_PER_MEMBER_MAX),
        long,
        Announced {
            layers,
            ..numbered(0)
        },
    ] {
        let outputs = world.give(Input::Announce { member: ADA, track });
        assert!(
            matches!(
                &outputs[..],
                [Output::PublishRefused {
                    denied: Denied::Limit(_),
                    ..
                }]
            ),
            "{outputs:?}"
        );
    }
    assert_eq!(world.room.tracks().count(), TRACKS_PER_MEMBER_MAX);
}

#[test]
fn the_first_packets_tell_the_codec_and_that_is_news_once() {
    let mut world = World::of_two();
    let camera = world.publish(ADA, Source::Camera);
    let live = || Input::TrackLive {
        track: camera,
        codec: Codec::Vp8,
    };
    world.check(live(), &[Output::MemberChanged { member: ADA }]);
    world.check(live(), &[]);
    let track = world.room.track(camera).expect("published");
    assert_eq!((track.codec, track.live), (Some(Codec::Vp8), true));
}

#[test]
fn a_publisher_says_who_may_have_its_tracks() {
    let mut world = World::of_two();
    world.enter(CY, "cy");
    let camera = world.publish(ADA, Source::Camera);
    let only_bo = BTreeMap::from([("bo".to_owned(), LetTracks::These([camera].into()))]);
    world.check(
        Input::LetSubscribe {
            member: ADA,
            to: Subscribers::Only(only_bo),
        },
        &[
            Output::SubscribingLet {
                member: CY,
                track: camera,
                allowed: false,
            },
            Output::Unsubscribed {
                member: CY,
                track: camera,
            },
        ],
    );
    world.check(wish(CY, camera, true), &[]);
    let outputs = world.give(Input::Announce {
        member: ADA,
        track: announced(Source::Microphone),
    });
    let microphone = TrackId(2);
    assert_eq!(
        outputs[2..],
        [BO, CY].map(|member| Output::SubscribingLet {
            member,
            track: microphone,
            allowed: false
        }),
        "a track that is not named is nobody's"
    );
    let outputs = world.give(Input::LetSubscribe {
        member: ADA,
        to: Subscribers::Everybody,
    });
    for (member, track) in [(CY, camera), (BO, microphone), (CY, microphone)] {
        assert!(
            outputs.contains(&Output::SubscribingLet {
                member,
                track,
                allowed: true
            }),
            "{outputs:?}"
        );
        assert!(
            outputs.contains(&Output::Subscribed { member, track }),
            "{outputs:?}"
        );
    }
}
