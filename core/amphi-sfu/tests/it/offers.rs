//! The two-connection form: we offer, the client answers.

use amphi_media::{MediaKind, SessionId, TrackId};
use amphi_sfu::{Input, Mid, NewLine, Output, sdp};
use str0m::media::{MediaKind as StrKind, Mid as StrMid};

use crate::world::{Media, World, assert_unbroken, made, ms, said_of};

fn line(track: u32, kind: MediaKind) -> NewLine {
    NewLine {
        track: TrackId(track),
        kind,
        stream_label: format!("PA_x|TR_{track}"),
        track_label: format!("TR_{track}"),
    }
}

/// The newest offer for this session, and the mids of what it adds.
fn newest_offer(world: &World, of: SessionId) -> (String, Vec<(TrackId, Mid)>) {
    let offer = world.said.iter().rev().find_map(|output| match output {
        Output::Offer {
            session,
            sdp,
            lines,
        } if *session == of => Some((sdp.clone(), lines.clone())),
        _ => None,
    });
    offer.expect("an offer was made")
}

fn make_offer(
    world: &mut World,
    index: usize,
    add: Vec<NewLine>,
    remove: Vec<Mid>,
) -> (String, Vec<(TrackId, Mid)>) {
    let session = world.clients[index].session;
    world.input(Input::MakeOffer {
        session,
        add,
        remove,
        ice_restart: false,
    });
    newest_offer(world, session)
}

/// Ada publishes two tracks of sound; Bo subscribes by a second connection that we offer on.
fn call() -> (World, usize, [StrMid; 2], usize) {
    let mut world = World::new();
    let (ada, bo) = (world.join(), world.add_client());
    let one = world.publish(ada, TrackId(1), StrKind::Audio, &[]);
    let two = world.publish(ada, TrackId(2), StrKind::Audio, &[]);
    (world, ada, [one, two], bo)
}

fn speak(world: &mut World, ada: usize, mids: [StrMid; 2], from: u32) {
    for n in from..from + 10 {
        for mid in mids {
            world.send(ada, mid, Media::audio(n * 960, made::OPUS));
        }
        world.run(ms(20));
    }
}

#[test]
fn the_first_offer_brings_the_data_channels_and_its_lines_carry_once_answered() {
    let (mut world, ada, mids, bo) = call();
    let (offer, lines) = make_offer(&mut world, bo, vec![line(1, MediaKind::Audio)], Vec::new());
    let described = sdp::lines(&offer).expect("our offer is SDP");
    assert_eq!(described.len(), 2);
    let audio = described
        .iter()
        .find(|line| line.kind == sdp::LineKind::Audio)
        .expect("an audio line");
    assert_eq!(audio.direction, sdp::Direction::SendOnly);
    assert_eq!(
        audio.msid,
        Some(("PA_x|TR_1".to_owned(), "TR_1".to_owned()))
    );
    assert_eq!(lines, [(TrackId(1), audio.mid.clone())]);
    speak(&mut world, ada, mids, 0);
    world.answer(bo, &offer);
    world.run(ms(500));
    assert!(world.clients[bo].connected);
    let labels: Vec<&str> = world.clients[bo]
        .channels
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(labels, ["_data_track", "_lossy", "_reliable"]);
    speak(&mut world, ada, mids, 100);
    let mid = StrMid::from(lines[0].1.0.as_str());
    let packets = world.clients[bo].received(mid);
    assert_eq!(packets.len(), 10);
    assert_unbroken(&packets);
}

#[test]
fn a_removed_line_is_silent_at_once_and_used_again_for_the_next_track() {
    let (mut world, ada, mids, bo) = call();
    let (offer, lines) = make_offer(&mut world, bo, vec![line(1, MediaKind::Audio)], Vec::new());
    world.answer(bo, &offer);
    world.run(ms(500));
    speak(&mut world, ada, mids, 0);
    let first = lines[0].1.clone();
    let mid = StrMid::from(first.0.as_str());

    let (offer, _) = make_offer(&mut world, bo, Vec::new(), vec![first.clone()]);
    speak(&mut world, ada, mids, 10);
    assert_eq!(
        world.clients[bo].received(mid).len(),
        10,
        "silent before the answer"
    );
    let described = sdp::lines(&offer).expect("our offer is SDP");
    let idle = described
        .iter()
        .find(|line| line.mid == first)
        .expect("the line stays");
    assert_eq!(
        (idle.direction, &idle.msid),
        (sdp::Direction::Inactive, &None)
    );
    assert!(
        offer.contains("a=ssrc:"),
        "a sleeping line keeps its SSRC, or Chromium never shows what comes on it later"
    );
    world.answer(bo, &offer);
    world.run(ms(50));

    let (offer, lines) = make_offer(&mut world, bo, vec![line(2, MediaKind::Audio)], Vec::new());
    assert_eq!(lines, [(TrackId(2), first.clone())], "no new m-line");
    let described = sdp::lines(&offer).expect("our offer is SDP");
    let again = described
        .iter()
        .find(|line| line.mid == first)
        .expect("the line is there");
    assert_eq!(
        again.msid,
        Some(("PA_x|TR_2".to_owned(), "TR_2".to_owned()))
    );
    world.answer(bo, &offer);
    world.run(ms(50));
    speak(&mut world, ada, mids, 20);
    let packets = world.clients[bo].received(mid);
    assert_eq!(packets.len(), 20);
    assert_unbroken(&packets);
}

#[test]
fn lines_can_be_added_to_a_running_connection() {
    let (mut world, ada, mids, bo) = call();
    let (offer, _) = make_offer(&mut world, bo, Vec::new(), Vec::new());
    world.answer(bo, &offer);
    world.run(ms(500));
    assert!(
        world.clients[bo].connected,
        "data channels alone are enough for the first offer"
    );
    let (offer, lines) = make_offer(
        &mut world,
        bo,
        vec![line(1, MediaKind::Audio), line(2, MediaKind::Audio)],
        Vec::new(),
    );
    world.answer(bo, &offer);
    world.run(ms(50));
    speak(&mut world, ada, mids, 0);
    for (_, mid) in lines {
        assert_eq!(
            world.clients[bo]
                .received(StrMid::from(mid.0.as_str()))
                .len(),
            10
        );
    }
}

#[test]
fn an_ice_restart_throws_a_pending_offer_away_and_the_call_goes_on() {
    let (mut world, ada, mids, bo) = call();
    let (offer, lines) = make_offer(&mut world, bo, vec![line(1, MediaKind::Audio)], Vec::new());
    world.answer(bo, &offer);
    world.run(ms(500));
    make_offer(&mut world, bo, vec![line(2, MediaKind::Audio)], Vec::new());
    let session = world.clients[bo].session;
    let credentials = |world: &World| {
        said_of(
            &world.said,
            |output| matches!(output, Output::Credentials { session: of, .. } if *of == session),
        )
    };
    assert_eq!(credentials(&world), 1);
    world.input(Input::MakeOffer {
        session,
        add: vec![line(2, MediaKind::Audio)],
        remove: Vec::new(),
        ice_restart: true,
    });
    assert_eq!(credentials(&world), 2);
    let (offer, more) = newest_offer(&world, session);
    assert_eq!(
        sdp::lines(&offer).expect("our offer is SDP").len(),
        3,
        "the line of the lost offer does not exist"
    );
    world.answer(bo, &offer);
    world.run(ms(500));
    speak(&mut world, ada, mids, 0);
    for (_, mid) in lines.iter().chain(&more) {
        assert_eq!(
            world.clients[bo]
                .received(StrMid::from(mid.0.as_str()))
                .len(),
            10,
            "{mid:?}"
        );
    }
}

#[test]
fn an_ice_restart_of_the_clients_brings_new_credentials() {
    let mut world = World::new();
    let ada = world.join();
    let session = world.clients[ada].session;
    let client = &mut world.clients[ada];
    let mut api = client.rtc.sdp_api();
    api.ice_restart(true);
    let (offer, pending) = api.apply().expect("something to offer");
    client.pending = Some(pending);
    world.offer(ada, &offer.to_sdp_string(), Vec::new(), Vec::new());
    world.run(ms(500));
    let credentials = said_of(
        &world.said,
        |output| matches!(output, Output::Credentials { session: of, .. } if *of == session),
    );
    assert_eq!(credentials, 2);
    world.input(Input::SendData {
        session,
        channel: amphi_sfu::Channel::Reliable,
        bytes: bytes::Bytes::from_static(b"still here"),
    });
    world.run(ms(100));
    assert_eq!(world.clients[ada].data.len(), 1);
}

#[test]
fn a_refused_answer_leaves_the_connection_as_it_was() {
    let (mut world, ada, mids, bo) = call();
    let (offer, lines) = make_offer(&mut world, bo, vec![line(1, MediaKind::Audio)], Vec::new());
    world.answer(bo, &offer);
    world.run(ms(500));
    let session = world.clients[bo].session;
    make_offer(&mut world, bo, vec![line(2, MediaKind::Audio)], Vec::new());
    world.input(Input::Answer {
        session,
        sdp: "v=0\r\nnonsense",
    });
    assert_eq!(
        said_of(&world.said, |output| matches!(
            output,
            Output::SdpRefused { .. }
        )),
        1
    );
    speak(&mut world, ada, mids, 0);
    assert_eq!(
        world.clients[bo]
            .received(StrMid::from(lines[0].1.0.as_str()))
            .len(),
        10
    );
}

#[test]
fn more_lines_than_a_session_may_have_are_refused_and_the_rest_goes_on() {
    let (mut world, ada, mids, bo) = call();
    let (offer, lines) = make_offer(&mut world, bo, vec![line(1, MediaKind::Audio)], Vec::new());
    world.answer(bo, &offer);
    world.run(ms(500));
    let session = world.clients[bo].session;
    let many = (0..200)
        .map(|track| line(1_000 + track, MediaKind::Video))
        .collect();
    world.input(Input::MakeOffer {
        session,
        add: many,
        remove: Vec::new(),
        ice_restart: false,
    });
    assert_eq!(world.counter("sdp_refused"), 1);
    speak(&mut world, ada, mids, 0);
    let mid = StrMid::from(lines[0].1.0.as_str());
    assert_eq!(world.clients[bo].received(mid).len(), 10);
}
