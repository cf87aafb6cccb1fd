//! Who is in, and what others see of it.

use super::*;

#[test]
fn members_are_listed_in_the_order_in_which_they_came() {
    let mut world = World::new();
    for (member, identity) in [(CY, "cy"), (ADA, "ada"), (BO, "bo")] {
        world.check(
            Input::Join {
                member,
                joining: joining(identity),
            },
            &[Output::Joined { member }],
        );
    }
    let identities: Vec<_> = world
        .room
        .members()
        .map(|member| member.identity.as_str())
        .collect();
    assert_eq!(identities, ["cy", "ada", "bo"]);
}

#[test]
fn nobody_enters_without_the_grant_to() {
    let mut world = World::new();
    let joining = Joining {
        grants: Grants::none(),
        ..joining("ada")
    };
    let denied = refused(Action::Enter);
    world.check(
        Input::Join {
            member: ADA,
            joining,
        },
        &[Output::JoinRefused {
            member: ADA,
            denied,
        }],
    );
    assert_eq!(world.room.members().count(), 0);
    assert_eq!(world.room.counters().joins_refused, 1);
}

#[test]
fn the_older_member_of_an_identity_is_out_before_the_newer_is_in() {
    let mut world = World::of_two();
    let camera = world.publish(ADA, Source::Camera);
    world.check(
        Input::Join {
            member: CY,
            joining: joining("ada"),
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
                reason: LeaveReason::DuplicateIdentity,
            },
            Output::Joined { member: CY },
        ],
    );
    assert_eq!(world.room.counters().duplicates, 1);
}

#[test]
fn a_full_room_refuses_the_next_one_in_words_but_lets_an_identity_return() {
    let mut world = World::new();
    for number in 0..MEMBERS_MAX as u64 {
        world.give(Input::Join {
            member: MemberId(number),
            joining: joining(&format!("m{number}")),
        });
    }
    let next = MemberId(MEMBERS_MAX as u64);
    let outputs = world.give(Input::Join {
        member: next,
        joining: joining("one more"),
    });
    assert!(
        matches!(&outputs[..], [Output::JoinRefused { denied: Denied::Limit(words), .. }] if words.contains("full"))
    );
    let outputs = world.give(Input::Join {
        member: next,
        joining: joining("m0"),
    });
    assert_eq!(outputs.last(), Some(&Output::Joined { member: next }));
    assert_eq!(world.room.members().count(), MEMBERS_MAX);
}

#[test]
fn a_description_that_is_too_large_is_refused_at_the_door() {
    let mut world = World::new();
    let attributes = BTreeMap::from([("k".to_owned(), "v".repeat(ATTRIBUTES_BYTES_MAX))]);
    for joining in [
        Joining {
            name: "n".repeat(257),
            ..joining("ada")
        },
        Joining {
            metadata: "m".repeat(METADATA_BYTES_MAX + 1),
            ..joining("ada")
        },
        Joining {
            attributes,
            ..joining("ada")
        },
    ] {
        let outputs = world.give(Input::Join {
            member: ADA,
            joining,
        });
        assert!(
            matches!(
                &outputs[..],
                [Output::JoinRefused {
                    denied: Denied::Limit(_),
                    ..
                }]
            ),
            "{outputs:?}"
        );
    }
}

#[test]
fn a_member_that_describes_itself_is_shown_anew_and_answered() {
    let mut world = World::of_two();
    let version = world.room.member(ADA).expect("in").version;
    let describe = |attributes: &[(&str, &str)]| Input::Describe {
        member: ADA,
        request: REQUEST,
        name: Some("Ada L.".into()),
        metadata: None,
        attributes: attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    };
    world.check(
        describe(&[("hand", "up"), ("mood", "calm")]),
        &[
            Output::MemberChanged { member: ADA },
            Output::Described {
                member: ADA,
                request: REQUEST,
            },
        ],
    );
    world.give(describe(&[("hand", "")]));
    let ada = world.room.member(ADA).expect("in");
    assert_eq!(ada.name, "Ada L.");
    assert_eq!(
        ada.attributes,
        BTreeMap::from([("mood".to_owned(), "calm".to_owned())])
    );
    assert_eq!(ada.version, version + 2);
}

#[test]
fn a_description_without_the_grant_or_out_of_bounds_changes_nothing() {
    let mut world = World::new();
    let mute = Joining {
        grants: grants(&VideoGrant {
            can_update_own_metadata: None,
            ..video_grant()
        }),
        ..joining("ada")
    };
    world.give(Input::Join {
        member: ADA,
        joining: mute,
    });
    world.enter(BO, "bo");
    let describe = |member, metadata: &str| Input::Describe {
        member,
        request: REQUEST,
        name: None,
        metadata: Some(metadata.to_owned()),
        attributes: BTreeMap::new(),
    };
    let denied = refused(Action::UpdateOwnMetadata);
    world.check(
        describe(ADA, "x"),
        &[Output::Refused {
            member: ADA,
            request: Some(REQUEST),
            denied,
        }],
    );
    let outputs = world.give(describe(BO, &"x".repeat(METADATA_BYTES_MAX + 1)));
    assert!(matches!(
        &outputs[..],
        [Output::Refused {
            member: BO,
            denied: Denied::Limit(_),
            ..
        }]
    ));
    assert_eq!(world.room.member(ADA).expect("in").metadata, "");
    assert_eq!(world.room.counters().describes_refused, 2);
}

#[test]
fn the_last_one_out_leaves_an_empty_room() {
    let mut world = World::of_two();
    let left = |member, identity: &str| Output::Left {
        member,
        identity: identity.to_owned(),
        hidden: false,
        reason: LeaveReason::ClientInitiated,
    };
    let leave = |member| Input::Leave {
        member,
        reason: LeaveReason::ClientInitiated,
    };
    world.check(leave(ADA), &[left(ADA, "ada")]);
    world.check(leave(BO), &[left(BO, "bo"), Output::Empty]);
    world.check(leave(BO), &[]);
    assert_eq!(world.room.counters().unknown, 1);
}

#[test]
fn inputs_about_strangers_do_nothing_but_count() {
    let mut world = World::of_two();
    let camera = world.publish(ADA, Source::Camera);
    for input in [
        Input::Active { member: CY },
        Input::Announce {
            member: CY,
            track: announced(Source::Camera),
        },
        Input::Unpublish {
            member: BO,
            track: camera,
        },
        Input::Mute {
            member: BO,
            track: camera,
            muted: true,
        },
        Input::Subscribe {
            member: CY,
            track: camera,
            wanted: true,
        },
        Input::AutoSubscribe {
            member: CY,
            on: false,
        },
        Input::GrantsChanged {
            member: CY,
            grants: Grants::none(),
        },
        Input::TrackLive {
            track: TrackId(77),
            codec: Codec::Opus,
        },
        Input::Timeout,
    ] {
        world.check(input, &[]);
    }
    assert_eq!(world.room.counters().unknown, 8);
}
