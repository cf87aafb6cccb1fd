//! A shard and real WebRTC clients in virtual time, without a socket.

mod hall;

use std::collections::BTreeMap;
use std::time::Duration;

use amphi_policy::{Change, SourceSet};
use amphi_shard::{Command, Outcome, Output};
use hall::{AV1_KEY, Hall, LEVEL, OPUS, VP8_KEY, VP9_KEY};
use peer::{Announcement, Channel, Codec, Event, Form, Kind};

/// Both publish; each gets the other's media, in every mixture of the protocol's two forms.
fn check_two_members(forms: [Form; 2], codec: Codec, picture: &[u8]) {
    let mut hall = Hall::new();
    let members = [
        hall.join("ada", forms[0], &[]),
        hall.join("bo", forms[1], &[]),
    ];
    let sounds = members.map(|who| hall.publish(who, Announcement::microphone()));
    let pictures = members.map(|who| hall.publish(who, Announcement::camera(codec, 640, 360)));
    hall.run(Duration::from_secs(5));
    for tick in 0..100u32 {
        for (index, who) in members.into_iter().enumerate() {
            hall.write(who, sounds[index], OPUS, tick * 960, Some(LEVEL));
            hall.write(who, pictures[index], picture, tick * 1_800, None);
        }
        hall.run(Duration::from_millis(20));
    }
    for who in members {
        let got = |kind: Kind| {
            hall.events(who)
                .iter()
                .filter(|event| matches!(event, Event::Rtp(rtp) if rtp.kind == kind))
                .count()
        };
        assert!(
            got(Kind::Audio) >= 95 && got(Kind::Video) >= 95,
            "{codec:?} {forms:?} {}, {}",
            got(Kind::Audio),
            got(Kind::Video)
        );
    }
}

#[test]
fn two_members_see_and_hear_each_other_in_both_forms() {
    for (codec, picture) in [
        (Codec::Vp8, VP8_KEY),
        (Codec::Vp9, VP9_KEY),
        (Codec::Av1, AV1_KEY),
    ] {
        check_two_members([Form::Single, Form::Single], codec, picture);
        check_two_members([Form::Pair, Form::Pair], codec, picture);
        check_two_members([Form::Single, Form::Pair], codec, picture);
    }
}

#[test]
fn a_lost_camera_stops_in_the_same_step_and_the_member_stays() {
    let mut hall = Hall::new();
    let (ada, bo) = (
        hall.join("ada", Form::Single, &[]),
        hall.join("bo", Form::Single, &[]),
    );
    let camera = hall.publish(ada, Announcement::camera(Codec::Vp8, 640, 360));
    hall.run(Duration::from_secs(3));
    for tick in 0..50u32 {
        hall.write(ada, camera, VP8_KEY, tick * 1_800, None);
        hall.run(Duration::from_millis(20));
    }
    let received = |hall: &Hall| {
        hall.events(bo)
            .iter()
            .filter(|event| matches!(event, Event::Rtp(_)))
            .count()
    };
    assert!(received(&hall) > 40, "{}", received(&hall));

    let only_sound = SourceSet {
        microphone: true,
        ..SourceSet::default()
    };
    let change = Change {
        sources: Some(Some(only_sound)),
        ..Change::default()
    };
    let outcome = hall.command(Command::ChangeGrants {
        by: hall::moderator(),
        identity: "ada".to_owned(),
        change,
    });
    assert_eq!(outcome, Outcome::Done);
    // What was on its way to Bo when the grant went may still arrive; nothing that is sent after it.
    hall.run(Duration::from_millis(200));
    let before = received(&hall);
    for tick in 50..100u32 {
        hall.write(ada, camera, VP8_KEY, tick * 1_800, None);
        hall.run(Duration::from_millis(20));
    }
    assert_eq!(received(&hall), before, "not one more packet");
    let Outcome::Snapshot(room) = hall.command(Command::Snapshot) else {
        panic!("a snapshot")
    };
    assert_eq!(room.members.len(), 2);
    assert!(
        hall.events(ada)
            .iter()
            .any(|event| matches!(event, Event::PermissionsChanged(_)))
    );

    let change = Change {
        sources: Some(None),
        ..Change::default()
    };
    hall.command(Command::ChangeGrants {
        by: hall::moderator(),
        identity: "ada".to_owned(),
        change,
    });
    let camera = hall.publish(ada, Announcement::camera(Codec::Vp8, 640, 360));
    hall.run(Duration::from_secs(2));
    for tick in 100..150u32 {
        hall.write(ada, camera, VP8_KEY, tick * 1_800, None);
        hall.run(Duration::from_millis(20));
    }
    assert!(
        received(&hall) > before + 40,
        "a camera that is allowed again is seen again"
    );
}

#[test]
fn data_reaches_the_others_and_not_the_sender() {
    let mut hall = Hall::new();
    let (ada, bo) = (
        hall.join("ada", Form::Single, &[]),
        hall.join("bo", Form::Pair, &[]),
    );
    hall.run(Duration::from_secs(3));
    for channel in [Channel::Reliable, Channel::Lossy] {
        hall.send_data(ada, channel, b"hello");
    }
    hall.run(Duration::from_secs(2));
    let got = |who| {
        hall.events(who)
            .iter()
            .filter(|event| matches!(event, Event::Data { .. }))
            .count()
    };
    assert_eq!((got(ada), got(bo)), (0, 2));
}

#[test]
fn a_broadcast_takes_frames_and_ends_with_its_room() {
    let mut hall = Hall::new();
    let ada = hall.join("ada", Form::Single, &["roomBroadcast"]);
    let sound = hall.publish(ada, Announcement::microphone());
    hall.run(Duration::from_secs(3));
    let start = Command::StartBroadcast {
        by: hall::moderator(),
        wish: amphi_room::Wish::default(),
    };
    assert_eq!(hall.command(start), Outcome::Done);
    for tick in 0..100u32 {
        hall.write(ada, sound, OPUS, tick * 960, Some(LEVEL));
        hall.run(Duration::from_millis(20));
    }
    let frames = hall
        .program()
        .filter(|input| matches!(input, amphi_studio::Input::Frame(_)))
        .count();
    assert!(frames > 80, "{frames} frames");
    hall.leave(ada);
    hall.run(Duration::from_secs(40));
    let closed = |output: &Output| matches!(output, Output::RoomClosed { .. });
    assert!(
        hall.outputs
            .iter()
            .any(|output| matches!(output, Output::StopProgram { .. }))
    );
    assert!(
        hall.outputs.iter().any(closed),
        "the room is dropped when nothing runs in it any more"
    );
}

/// Steady speech is told of once, by its beginning; what begins later must learn of it all the same.
#[test]
fn a_program_that_begins_learns_who_speaks_already() {
    let mut hall = Hall::new();
    let (ada, bo) = (
        hall.join("ada", Form::Single, &[]),
        hall.join("bo", Form::Single, &[]),
    );
    let voices = [ada, bo].map(|who| (who, hall.publish(who, Announcement::microphone())));
    let speak = |hall: &mut Hall, ticks: std::ops::Range<u32>| {
        for tick in ticks {
            for (who, voice) in voices {
                let level = if who == bo { LEVEL } else { 127 };
                hall.write(who, voice, OPUS, tick * 960, Some(level));
            }
            hall.run(Duration::from_millis(20));
        }
    };
    hall.run(Duration::from_secs(3));
    speak(&mut hall, 0..100);
    let start = Command::StartBroadcast {
        by: hall::moderator(),
        wish: amphi_room::Wish::default(),
    };
    assert_eq!(hall.command(start), Outcome::Done);
    speak(&mut hall, 100..200);
    let (mut on_stage, mut speaking) = (BTreeMap::new(), Vec::new());
    for input in hall.program() {
        match input {
            amphi_studio::Input::Track(track) => {
                on_stage.insert(track.track, track.member_name.as_str());
            }
            // A track that the program does not know yet says nothing to it.
            amphi_studio::Input::Speakers(said) => {
                let names = said.iter().filter_map(|(track, _)| on_stage.get(track));
                speaking = names.copied().collect();
            }
            _ => {}
        }
    }
    assert_eq!(speaking, ["bo"]);
}

#[test]
fn a_publisher_is_told_that_nobody_takes_its_camera_until_it_is_on_air() {
    let mut hall = Hall::new();
    let ada = hall.join("ada", Form::Single, &[]);
    let camera = hall.publish(ada, Announcement::camera(Codec::Vp8, 640, 360));
    hall.run(Duration::from_secs(3));
    let demands = |hall: &Hall| -> Vec<Option<i32>> {
        let demand = |event: &Event| match event {
            Event::Demand { publication, most } if *publication == camera => Some(*most),
            _ => None,
        };
        hall.events(ada).iter().filter_map(demand).collect()
    };
    assert_eq!(demands(&hall), []);
    hall.run(Duration::from_secs(4));
    assert_eq!(demands(&hall), [None]);
    hall.command(Command::StartBroadcast {
        by: hall::moderator(),
        wish: amphi_room::Wish::default(),
    });
    hall.run(Duration::from_millis(100));
    assert_eq!(demands(&hall), [None, Some(2)]);
    hall.command(Command::StopBroadcast {
        by: hall::moderator(),
    });
    hall.run(Duration::from_secs(6));
    assert_eq!(demands(&hall), [None, Some(2), None]);
}

#[test]
fn a_second_join_with_the_same_identity_sends_the_first_away_with_a_reason() {
    let mut hall = Hall::new();
    let first = hall.join("ada", Form::Single, &[]);
    hall.run(Duration::from_secs(2));
    let second = hall.join("ada", Form::Single, &[]);
    hall.run(Duration::from_secs(2));
    assert!(
        hall.events(first)
            .iter()
            .any(|event| matches!(event, Event::Left(leave) if leave.reason == 2))
    );
    assert!(
        !hall
            .events(second)
            .iter()
            .any(|event| matches!(event, Event::Left(_)))
    );
}

#[test]
fn noise_is_counted_and_costs_nobody_a_call() {
    let mut hall = Hall::new();
    hall.join("ada", Form::Single, &[]);
    hall.run(Duration::from_secs(2));
    for length in 0..200 {
        hall.noise(&vec![(length * 7) as u8; length]);
    }
    let counters = hall.shard.counters();
    assert_eq!(
        counters.door.dropped_unknown_source + counters.door.dropped_unknown_ufrag,
        200
    );
    assert_eq!((counters.members, counters.door.rooms_failed), (1, 0));
}

#[test]
fn a_draining_shard_tells_everybody_to_come_back_and_takes_nobody_in() {
    let mut hall = Hall::new();
    let ada = hall.join("ada", Form::Single, &[]);
    hall.run(Duration::from_secs(2));
    hall.drain();
    hall.run(Duration::from_secs(1));
    // LeaveRequest.Action.RECONNECT
    assert!(
        hall.events(ada)
            .iter()
            .any(|event| matches!(event, Event::Left(leave) if leave.action == 2))
    );
    let late = hall.join("bo", Form::Single, &[]);
    hall.run(Duration::from_secs(1));
    assert!(
        !hall
            .events(late)
            .iter()
            .any(|event| matches!(event, Event::Joined(_)))
    );
}

#[test]
fn who_comes_and_goes_leaves_nothing_behind() {
    let mut hall = Hall::new();
    hall.join("host", Form::Single, &[]);
    for form in [Form::Single, Form::Pair] {
        for _ in 0..3 {
            let guest = hall.join("guest", form, &[]);
            hall.run(Duration::from_secs(2));
            assert_eq!(hall.shard.counters().members, 2);
            hall.leave(guest);
            hall.run(Duration::from_secs(2));
        }
    }
    let counters = hall.shard.counters();
    assert_eq!((counters.members, counters.sessions), (1, 1));
    assert_eq!(counters.sfu.sessions_opened, 1 + 3 + 6);
}
