use amphi_media::{Codec, SessionId, TrackId};
use amphi_sfu::{Channel, Output, Quality, Transport, sdp};
use str0m::media::{Direction, MediaKind};

use crate::world::{Fate, Media, World, is_rtp, made, ms, said_of};

#[test]
fn a_client_that_offers_as_livekits_do_is_connected_with_three_channels() {
    let mut world = World::new();
    let ada = world.join();
    let session = world.clients[ada].session;
    for channel in [Channel::Reliable, Channel::Lossy, Channel::DataTrack] {
        let open = |output: &Output| matches!(output, Output::ChannelOpen { session: of, channel: which } if *of == session && *which == channel);
        assert_eq!(said_of(&world.said, open), 1, "{channel:?}");
    }
    assert_eq!(
        said_of(&world.said, |output| matches!(
            output,
            Output::PathVerified { .. }
        )),
        1
    );
    assert_eq!(
        said_of(&world.said, |output| matches!(
            output,
            Output::Connected { .. }
        )),
        1
    );
    let excellent = |output: &Output| {
        matches!(
            output,
            Output::Quality {
                quality: Quality::Excellent,
                ..
            }
        )
    };
    assert_eq!(said_of(&world.said, excellent), 1);
}

#[test]
fn lines_that_carry_nothing_are_answered_inactive_and_without_a_track() {
    let mut world = World::new();
    let ada = world.join();
    let lines = sdp::lines(&world.clients[ada].answer).expect("an answer is SDP");
    assert_eq!(lines.len(), 7);
    for line in lines.iter().filter(|line| line.kind.media().is_some()) {
        assert_eq!(
            (line.direction, &line.msid),
            (sdp::Direction::Inactive, &None),
            "{line:?}"
        );
    }
    assert!(world.clients[ada].answer.contains("a=ice-lite"));
    assert!(world.clients[ada].answer.contains("a=setup:passive"));
    assert!(world.clients[ada].answer.contains("tcptype passive"));
    assert!(!world.clients[ada].answer.contains("video-orientation"));
    assert!(world.clients[ada].answer.contains("transport-wide-cc"));
    assert!(world.clients[ada].answer.contains("transport-cc"));
}

#[test]
fn a_carried_line_names_its_track_and_a_published_line_is_received() {
    let mut world = World::new();
    let (ada, bo) = (world.join(), world.join());
    world.publish(ada, TrackId(1), MediaKind::Audio, &[]);
    let lines = sdp::lines(&world.clients[ada].answer).expect("an answer is SDP");
    assert_eq!(
        (lines[7].direction, &lines[7].msid),
        (sdp::Direction::RecvOnly, &None)
    );

    world.subscribe(bo, TrackId(1), 0);
    let lines = sdp::lines(&world.clients[bo].answer).expect("an answer is SDP");
    assert_eq!(lines[0].direction, sdp::Direction::SendOnly);
    assert_eq!(
        lines[0].msid,
        Some(("PA_x|TR_1".to_owned(), "TR_1".to_owned()))
    );
}

#[test]
fn the_answer_keeps_the_order_of_codecs_that_the_publisher_offered() {
    let mut world = World::new();
    let ada = world.join();
    world.publish(ada, TrackId(1), MediaKind::Video, &[]);
    let lines = sdp::lines(&world.clients[ada].answer).expect("an answer is SDP");
    assert_eq!(
        lines[7].codecs,
        ["video/VP8", "video/H264", "video/VP9", "video/AV1"],
        "our client prefers VP8"
    );
}

#[test]
fn a_refused_publication_is_answered_inactive_and_carries_nothing() {
    let mut world = World::new();
    let ada = world.join();
    let client = &mut world.clients[ada];
    let mut api = client.rtc.sdp_api();
    api.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
    let (offer, pending) = api.apply().expect("something to offer");
    client.pending = Some(pending);
    world.offer(ada, &offer.to_sdp_string(), Vec::new(), Vec::new());
    let lines = sdp::lines(&world.clients[ada].answer).expect("an answer is SDP");
    assert_eq!(lines[7].direction, sdp::Direction::Inactive);
}

#[test]
fn a_track_is_live_with_its_first_packet_and_silent_when_they_stop() {
    let mut world = World::new();
    let ada = world.join();
    let mid = world.publish(ada, TrackId(1), MediaKind::Audio, &[]);
    for n in 0..10 {
        world.send(ada, mid, Media::audio(n * 960, made::OPUS));
        world.run(ms(20));
    }
    let live = |output: &Output| {
        matches!(
            output,
            Output::TrackLive {
                track: TrackId(1),
                codec: Codec::Opus
            }
        )
    };
    let silent = |output: &Output| matches!(output, Output::TrackSilent { track: TrackId(1) });
    assert_eq!(
        (said_of(&world.said, live), said_of(&world.said, silent)),
        (1, 0)
    );
    world.run(ms(2_000));
    assert_eq!(said_of(&world.said, silent), 1);
    world.send(ada, mid, Media::audio(200_000, made::OPUS));
    world.run(ms(50));
    assert_eq!(said_of(&world.said, live), 2);
}

#[test]
fn a_client_reaches_us_by_tcp_as_well() {
    let mut world = World::new();
    let ada = world.add_client_by(Transport::Tcp);
    let client = &mut world.clients[ada];
    let mut api = client.rtc.sdp_api();
    api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
    let (offer, pending) = api.apply().expect("something to offer");
    client.pending = Some(pending);
    world.offer(ada, &offer.to_sdp_string(), Vec::new(), Vec::new());
    world.run(ms(500));
    assert!(world.clients[ada].connected);
    let by_tcp = |output: &Output| {
        matches!(
            output,
            Output::PathVerified {
                transport: Transport::Tcp,
                ..
            }
        )
    };
    assert_eq!(said_of(&world.said, by_tcp), 1);
}

#[test]
fn a_client_that_closes_ends_its_session_and_no_other() {
    let mut world = World::new();
    let (ada, bo) = (world.join(), world.join());
    let (ada_session, bo_session) = (world.clients[ada].session, world.clients[bo].session);
    world.clients[ada].rtc.close().expect("it closes");
    world.tick_client(ada);
    world.run(ms(100));
    let ended =
        |of| move |output: &Output| matches!(output, Output::Ended { session } if *session == of);
    assert_eq!(said_of(&world.said, ended(ada_session)), 1);
    assert_eq!(said_of(&world.said, ended(bo_session)), 0);
}

#[test]
fn who_speaks_is_told_by_the_levels_in_the_packets() {
    let mut world = World::new();
    let (ada, bo) = (world.join(), world.join());
    let ada_mid = world.publish(ada, TrackId(1), MediaKind::Audio, &[]);
    let bo_mid = world.publish(bo, TrackId(2), MediaKind::Audio, &[]);
    let talk = |world: &mut World, ada_level: u8, bo_level: u8| {
        for n in 0..60 {
            world.send(
                ada,
                ada_mid,
                Media {
                    level: Some(ada_level),
                    ..Media::audio(n * 960, made::OPUS)
                },
            );
            world.send(
                bo,
                bo_mid,
                Media {
                    level: Some(bo_level),
                    ..Media::audio(n * 960, made::OPUS)
                },
            );
            world.run(ms(20));
        }
        world.said.iter().rev().find_map(|output| match output {
            Output::Speakers(speakers) => Some(
                speakers
                    .iter()
                    .map(|speaker| speaker.track.0)
                    .collect::<Vec<u32>>(),
            ),
            _ => None,
        })
    };
    assert_eq!(talk(&mut world, 20, 90), Some(vec![1]));
    assert_eq!(talk(&mut world, 30, 15), Some(vec![2, 1]));
    talk(&mut world, 127, 127);
    assert_eq!(talk(&mut world, 127, 127), Some(vec![]));
}

/// The qualities that a session was told to have, in their order.
fn qualities(world: &World, of: SessionId) -> Vec<Quality> {
    let quality = |output: &Output| match output {
        Output::Quality { session, quality } if *session == of => Some(*quality),
        _ => None,
    };
    world.said.iter().filter_map(quality).collect()
}

#[test]
fn loss_makes_a_poor_quality_and_its_end_a_better_one() {
    let mut world = World::new();
    let (ada, bo) = (world.join(), world.join());
    let mid = world.publish(ada, TrackId(1), MediaKind::Audio, &[]);
    world.subscribe(bo, TrackId(1), 0);
    let session = world.clients[bo].session;
    let talk = |world: &mut World, from: u32| {
        for n in from..from + 1_000 {
            world.send(ada, mid, Media::audio(n * 960, made::OPUS));
            world.run(ms(20));
        }
    };
    let mut count = 0;
    world.filter = Box::new(move |way, bytes| {
        count += u32::from(way.to_client == Some(bo) && is_rtp(bytes));
        if way.to_client == Some(bo) && is_rtp(bytes) && count % 4 == 0 {
            Fate::IsLost
        } else {
            Fate::Arrives
        }
    });
    talk(&mut world, 0);
    assert_eq!(
        qualities(&world, session),
        [Quality::Excellent, Quality::Poor]
    );
    world.filter = Box::new(|_, _| Fate::Arrives);
    talk(&mut world, 1_000);
    assert_eq!(qualities(&world, session).last(), Some(&Quality::Excellent));
    let other = world.clients[ada].session;
    assert_eq!(
        qualities(&world, other),
        [Quality::Excellent],
        "it is not the publisher's"
    );
}

#[test]
fn a_session_that_is_cut_off_is_interrupted_and_comes_back() {
    let mut world = World::new();
    let ada = world.join();
    let session = world.clients[ada].session;
    world.filter = Box::new(|way, _| {
        if way.from_client.is_some() {
            Fate::IsLost
        } else {
            Fate::Arrives
        }
    });
    world.run(ms(20_000));
    let interrupted = |output: &Output| matches!(output, Output::Interrupted { .. });
    assert_eq!(said_of(&world.said, interrupted), 1);
    assert_eq!(qualities(&world, session).last(), Some(&Quality::Lost));
    assert_eq!(
        said_of(&world.said, |output| matches!(output, Output::Ended { .. })),
        0
    );
    world.filter = Box::new(|_, _| Fate::Arrives);
    let client = &mut world.clients[ada];
    let mut api = client.rtc.sdp_api();
    api.ice_restart(true);
    let (offer, pending) = api.apply().expect("something to offer");
    client.pending = Some(pending);
    world.offer(ada, &offer.to_sdp_string(), Vec::new(), Vec::new());
    world.run(ms(5_000));
    assert_eq!(
        said_of(&world.said, |output| matches!(
            output,
            Output::Connected { .. }
        )),
        2
    );
    assert_eq!(qualities(&world, session).last(), Some(&Quality::Excellent));
}
