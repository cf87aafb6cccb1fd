//! What bad input gets: a counter or a refusal, never more, and nobody else's call is touched.

use amphi_media::{SessionId, TrackId};
use amphi_sfu::{Input, Output, Transport, sdp};
use str0m::media::{Direction, MediaKind, Mid as StrMid};

use crate::world::{Fate, Media, SFU_UDP, World, assert_unbroken, is_rtp, made, ms, said_of};

const TRACK: TrackId = TrackId(1);

/// Ada is heard by Bo.
fn call() -> (World, usize, usize, StrMid, StrMid) {
    let mut world = World::new();
    let (ada, bo) = (world.join(), world.join());
    let mid = world.publish(ada, TRACK, MediaKind::Audio, &[]);
    let bo_mid = world.subscribe(bo, TRACK, 0);
    (world, ada, bo, mid, bo_mid)
}

/// Sound goes through, whatever was done before.
fn assert_heard(world: &mut World, (ada, mid): (usize, StrMid), (bo, bo_mid): (usize, StrMid)) {
    let before = world.clients[bo].received(bo_mid).len();
    for n in 0..10 {
        world.send(ada, mid, Media::audio(1_000_000 + n * 960, made::OPUS));
        world.run(ms(20));
    }
    let packets = world.clients[bo].received(bo_mid);
    assert_eq!(packets.len(), before + 10);
    assert_unbroken(&packets);
}

fn offer_of_nonsense(world: &mut World, session: SessionId, sdp: &str) -> String {
    let before = world.said.len();
    world.input(Input::Offer {
        session,
        sdp,
        receives: Vec::new(),
        sends: Vec::new(),
    });
    let refused = world.said[before..].iter().find_map(|output| match output {
        Output::SdpRefused { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    refused.unwrap_or_else(|| panic!("not refused: {:.80}", sdp))
}

/// What this world's client would offer.
fn good_offer(world: &mut World, index: usize) -> String {
    let mut api = world.clients[index].rtc.sdp_api();
    api.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
    let (offer, pending) = api.apply().expect("something to offer");
    world.clients[index].pending = Some(pending);
    offer.to_sdp_string()
}

#[test]
fn a_description_that_makes_no_sense_is_refused_and_the_next_one_is_taken() {
    let mut world = World::new();
    let ada = world.add_client();
    let session = world.clients[ada].session;
    let good = good_offer(&mut world, ada);
    let bad = [
        String::new(),
        "hello".to_owned(),
        "v=0\r\n".repeat(sdp::BYTES_MAX / 5 + 1),
        good.replace("a=fingerprint:", "a=fingerprunt:"),
        good.replace("a=ice-ufrag:", "a=ice-frag:"),
        good.replace("a=mid:", "a=mud:"),
        good.replace("m=video", "m=smell"),
        good.replace("a=rtpmap:96 ", "a=rtpmap:300 "),
        good.replace("SAVPF ", "SAVPF 200 "),
        good[..good.len() / 2].replace("m=video", "m=video\0"),
    ];
    for text in &bad {
        let reason = offer_of_nonsense(&mut world, session, text);
        assert!(!reason.is_empty());
    }
    assert_eq!(world.counter("sdp_refused"), bad.len() as u64);
    assert_eq!(world.counter("library_panics"), 0);
    world.offer(ada, &good, Vec::new(), Vec::new());
    world.run(ms(500));
    assert!(world.clients[ada].connected);
}

#[test]
fn a_description_that_breaks_the_library_ends_its_own_session_only() {
    let (mut world, ada, bo, mid, bo_mid) = call();
    let eve = world.add_client();
    let session = world.clients[eve].session;
    // One payload type for two codecs: an assertion of the library.
    let doubled =
        good_offer(&mut world, eve).replace("a=rtpmap:98 VP9/90000", "a=rtpmap:98 H264/90000");
    let apt: String = doubled
        .lines()
        .map(|line| format!("{}\r\n", line.replace("apt=98", "apt=96")))
        .collect();
    world.input(Input::Offer {
        session,
        sdp: &apt,
        receives: Vec::new(),
        sends: Vec::new(),
    });
    let ended = |output: &Output| matches!(output, Output::Ended { session: of } if *of == session);
    let answered =
        |output: &Output| matches!(output, Output::Answer { session: of, .. } if *of == session);
    let panics = world.counter("library_panics");
    assert_eq!(said_of(&world.said, ended) as u64, panics);
    assert_eq!(
        said_of(&world.said, answered) + usize::from(world.counter("sdp_refused") > 0),
        1
    );
    assert_heard(&mut world, (ada, mid), (bo, bo_mid));
}

#[test]
fn an_answer_to_nothing_and_a_wrong_answer_are_refused() {
    let mut world = World::new();
    let ada = world.join();
    let session = world.clients[ada].session;
    let answer = world.clients[ada].answer.clone();
    world.input(Input::Answer {
        session,
        sdp: &answer,
    });
    world.input(Input::MakeOffer {
        session: SessionId(77),
        add: Vec::new(),
        remove: Vec::new(),
        ice_restart: false,
    });
    assert_eq!(
        said_of(&world.said, |output| matches!(
            output,
            Output::SdpRefused { .. }
        )),
        2
    );
}

#[test]
fn noise_from_anywhere_costs_a_counter() {
    let (mut world, ada, bo, mid, bo_mid) = call();
    let session = world.clients[ada].session;
    let sent = world.counter("datagrams_out");
    let stranger = "203.0.113.9:9".parse().expect("an address");
    let destination = SFU_UDP.parse().expect("an address");
    let stun = [
        0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ];
    let noise: [&[u8]; 8] = [
        &[],
        &[0],
        &stun,
        &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4],
        &[0x80, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 1, 2, 3],
        &[0x80, 200, 0, 1, 0, 0, 0, 0],
        &[255; 1_200],
        &[70; 40],
    ];
    for bytes in noise {
        world.input(Input::Datagram {
            session,
            transport: Transport::Udp,
            source: stranger,
            destination,
            bytes,
        });
        world.input(Input::Datagram {
            session: SessionId(99),
            transport: Transport::Udp,
            source: stranger,
            destination,
            bytes,
        });
    }
    assert_eq!(world.counter("datagrams_out"), sent, "nobody is answered");
    assert_eq!(world.counter("dropped_unknown_session"), 8);
    assert_eq!(world.counter("dropped_unverified"), 3);
    assert_heard(&mut world, (ada, mid), (bo, bo_mid));
}

#[test]
fn noise_from_a_members_own_address_ends_nothing() {
    let (mut world, ada, bo, mid, bo_mid) = call();
    world.send(ada, mid, Media::audio(0, made::OPUS));
    world.run(ms(20));
    // DTLS records of every kind, RTCP, STUN, and what is none of them, all of it made up.
    for first in 0..=255u8 {
        for size in [1, 2, 12, 13, 20, 60, 1_200, 1_999] {
            let mut bytes: Vec<u8> = (0..size)
                .map(|at| (at * 31 + usize::from(first) * 7) as u8)
                .collect();
            bytes[0] = first;
            if size > 2 && (20..64).contains(&first) {
                bytes[1..3].copy_from_slice(&[254, 253]);
            }
            world.inject(ada, &bytes);
        }
    }
    world.inject(ada, &[0x80; 3_000]);
    assert_eq!(world.counter("dropped_oversize"), 1);
    assert_eq!(
        said_of(&world.said, |output| matches!(output, Output::Ended { .. })),
        0
    );
    assert_eq!(world.counter("library_panics"), 0);
    assert_heard(&mut world, (ada, mid), (bo, bo_mid));
}

#[test]
fn a_flood_of_media_that_is_not_authentic_ends_nothing_and_grows_nothing() {
    let (mut world, ada, bo, mid, bo_mid) = call();
    // Genuine packets, with one bit of their sealed part turned over.
    let genuine = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let copied = genuine.clone();
    world.filter = Box::new(move |way, bytes| {
        if way.from_client == Some(ada) && is_rtp(bytes) {
            copied.borrow_mut().push(bytes.to_vec());
        }
        Fate::Arrives
    });
    for n in 0..5 {
        world.send(ada, mid, Media::audio(n * 960, made::OPUS));
        world.run(ms(20));
    }
    let genuine = genuine.borrow().clone();
    let unused = world.counter("rtp_unused");
    let out = world.counter("packets_out");
    for n in 0..2_000u32 {
        let mut bytes = genuine[n as usize % genuine.len()].clone();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        bytes[2..4].copy_from_slice(&(n as u16 + 100).to_be_bytes());
        world.inject(ada, &bytes);
        // And as many streams that nobody announced.
        bytes[8..12].copy_from_slice(&(n + 1_000).to_be_bytes());
        world.inject(ada, &bytes);
    }
    assert_eq!(world.counter("packets_out"), out);
    assert!(world.counter("rtp_unused") >= unused + 2_000);
    assert!(
        world.counter("dropped_ssrc_flood") >= 1_500,
        "{}",
        world.counter("dropped_ssrc_flood")
    );
    assert_eq!(
        said_of(&world.said, |output| matches!(output, Output::Ended { .. })),
        0
    );
    world.run(ms(1_100));
    // Genuine ones sent twice are forwarded once.
    for bytes in &genuine {
        world.inject(ada, bytes);
    }
    assert_eq!(world.counter("packets_out"), out);
    assert_heard(&mut world, (ada, mid), (bo, bo_mid));
}

#[test]
fn a_payload_larger_than_a_subscribers_datagram_is_dropped() {
    let (mut world, ada, bo, mid, bo_mid) = call();
    world.send(ada, mid, Media::audio(0, &[0xfc; 1_700]));
    world.run(ms(30));
    assert_eq!(world.counter("dropped_oversize"), 1);
    assert!(world.clients[bo].received(bo_mid).is_empty());
    assert_heard(&mut world, (ada, mid), (bo, bo_mid));
}

#[test]
fn sound_of_a_payload_type_that_was_not_negotiated_is_dropped() {
    let mut world = World::new();
    let ada = world.add_client();
    let client = &mut world.clients[ada];
    client.rtc = str0m::Rtc::builder()
        .set_rtp_mode(true)
        .enable_pcmu(true, false)
        .build(world.now);
    client
        .rtc
        .add_local_candidate(str0m::Candidate::host(client.address, "udp").expect("a candidate"));
    let mid = world.publish(ada, TRACK, MediaKind::Audio, &[]);
    world.run(ms(500));
    assert!(world.clients[ada].connected);
    let media = Media {
        codec: str0m::format::Codec::PCMU,
        ..Media::audio(0, made::OPUS)
    };
    world.send(ada, mid, media);
    world.run(ms(30));
    assert_eq!(world.counter("packets_in"), 0);
    assert_eq!(world.counter("rtp_unused"), 1);
}

#[test]
fn inputs_for_what_does_not_exist_change_nothing() {
    let (mut world, ada, bo, mid, bo_mid) = call();
    let nobody = SessionId(1_000);
    let said = world.said.len();
    world.input(Input::CloseSession { session: nobody });
    world.input(Input::Release {
        session: nobody,
        mid: amphi_sfu::Mid("0".to_owned()),
    });
    world.input(Input::Select {
        session: nobody,
        track: TRACK,
        want: amphi_sfu::Want::Paused,
    });
    world.input(Input::StopTrack { track: TrackId(50) });
    world.input(Input::RequestKeyFrame { track: TrackId(50) });
    world.input(Input::TakeFrames {
        track: TrackId(50),
        on: false,
    });
    let data = bytes::Bytes::from_static(b"x");
    world.input(Input::SendData {
        session: nobody,
        channel: amphi_sfu::Channel::Reliable,
        bytes: data,
    });
    world.input(Input::Timeout);
    assert_eq!(world.said.len(), said);
    assert_heard(&mut world, (ada, mid), (bo, bo_mid));
}
