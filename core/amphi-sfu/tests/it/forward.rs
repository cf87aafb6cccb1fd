use amphi_media::{Layer, TrackId};
use amphi_sfu::{Input, Mid, Output, Want};
use str0m::format::Codec as StrCodec;
use str0m::media::{MediaKind, Mid as StrMid};

use crate::world::{Fate, Media, World, assert_unbroken, is_rtp, made, ms, numbers, said_of};

const TRACK: TrackId = TrackId(1);

/// Ada publishes; Bo and Cy receive her on their first line of that kind.
struct Call {
    world: World,
    ada: usize,
    bo: usize,
    cy: usize,
    mid: StrMid,
    bo_mid: StrMid,
    cy_mid: StrMid,
}

fn call(kind: MediaKind) -> Call {
    let mut world = World::new();
    let (ada, bo, cy) = (world.join(), world.join(), world.join());
    let mid = world.publish(ada, TRACK, kind, &[]);
    let line = if kind == MediaKind::Audio { 0 } else { 3 };
    let bo_mid = world.subscribe(bo, TRACK, line);
    let cy_mid = world.subscribe(cy, TRACK, line);
    Call {
        world,
        ada,
        bo,
        cy,
        mid,
        bo_mid,
        cy_mid,
    }
}

impl Call {
    /// A key frame of four packets, then deltas; a picture every 33 ms from this RTP time on.
    fn pictures(&mut self, time: u32, key: bool, deltas: u8) {
        if key {
            let packets = made::h264_key(3);
            for (index, payload) in packets.iter().enumerate() {
                let media = Media::video(StrCodec::H264, time, index + 1 == packets.len(), payload);
                self.world.send(self.ada, self.mid, media);
            }
            self.world.run(ms(33));
        }
        for delta in 0..deltas {
            let payload = made::h264_delta(delta);
            let time = time + 3_000 * (u32::from(delta) + 1);
            self.world.send(
                self.ada,
                self.mid,
                Media::video(StrCodec::H264, time, true, &payload),
            );
            self.world.run(ms(33));
        }
        self.world.run(ms(50));
    }

    fn at_bo(&mut self) -> Vec<u64> {
        numbers(&self.world.clients[self.bo].received(self.bo_mid))
    }
}

#[test]
fn two_subscribers_hear_every_packet_with_its_level() {
    let mut call = call(MediaKind::Audio);
    for n in 0..50 {
        call.world
            .send(call.ada, call.mid, Media::audio(n * 960, made::OPUS));
        call.world.run(ms(20));
    }
    for (client, mid) in [(call.bo, call.bo_mid), (call.cy, call.cy_mid)] {
        let packets = call.world.clients[client].received(mid);
        assert_eq!(packets.len(), 50);
        assert_unbroken(&packets);
        assert_eq!(&packets[7].payload[..], made::OPUS);
        assert_eq!(packets[7].header.ext_vals.audio_level, Some(-30));
        assert_eq!(
            packets[8].header.timestamp - packets[7].header.timestamp,
            960
        );
    }
    assert_eq!(call.world.counter("packets_in"), 50);
    assert_eq!(call.world.counter("packets_out"), 100);
}

#[test]
fn h264_in_fragments_vp8_and_av1_arrive_unbroken() {
    for codec in [StrCodec::H264, StrCodec::Vp8, StrCodec::Av1] {
        let mut call = call(MediaKind::Video);
        match codec {
            StrCodec::H264 => call.pictures(0, true, 20),
            StrCodec::Av1 => {
                for n in 0..12u8 {
                    let (ada, mid) = (call.ada, call.mid);
                    let [first, last] = made::av1(n == 0, n);
                    for (payload, ends) in [(first, false), (last, true)] {
                        let time = u32::from(n) * 3_000;
                        let media = Media::video(codec, time, ends, &payload);
                        call.world.send(ada, mid, media);
                    }
                    call.world.run(ms(33));
                }
            }
            _ => {
                for n in 0..24u16 {
                    let payload = made::vp8(n == 0, 100 + n, n as u8);
                    call.world.send(
                        call.ada,
                        call.mid,
                        Media::video(codec, u32::from(n) * 3_000, true, &payload),
                    );
                    call.world.run(ms(33));
                }
            }
        }
        for (client, mid) in [(call.bo, call.bo_mid), (call.cy, call.cy_mid)] {
            let params = call.world.clients[client]
                .rtc
                .codec_config()
                .params()
                .to_vec();
            let packets = call.world.clients[client].received(mid);
            assert_eq!(packets.len(), 24, "{codec:?}");
            assert_unbroken(&packets);
            let params = params
                .iter()
                .find(|params| params.pt() == packets[3].header.payload_type)
                .expect("negotiated");
            assert_eq!(params.spec().codec, codec);
        }
    }
}

#[test]
fn padding_on_the_medias_own_ssrc_leaves_no_hole_for_subscribers_or_frames() {
    let mut call = call(MediaKind::Video);
    call.world.input(Input::TakeFrames {
        track: TRACK,
        on: true,
    });
    call.pictures(0, true, 0);
    for n in 0..20u8 {
        let payload = made::h264_delta(n);
        let time = 3_000 * (u32::from(n) + 1);
        // As a sender without RTX probes for bandwidth: behind a picture, with its time.
        for payload in [&payload[..], &[], &[]] {
            let media = Media::video(StrCodec::H264, time, true, payload);
            call.world.send(call.ada, call.mid, media);
        }
        call.world.run(ms(33));
    }
    call.world.run(ms(2_000));
    for (client, mid) in [(call.bo, call.bo_mid), (call.cy, call.cy_mid)] {
        let packets = call.world.clients[client].received(mid);
        assert_eq!(packets.len(), 24);
        assert_unbroken(&packets);
    }
    let frames = said_of(&call.world.said, |said| matches!(said, Output::Frame(_)));
    assert_eq!(frames, 21, "none waits for what will never come");
    assert_eq!(call.world.counter("padding_in"), 40);
    assert_eq!(call.world.counter("nacks_in"), 0);
    assert_eq!(call.world.counter("frames_lost"), 0);
}

#[test]
fn a_subscriber_begins_with_a_key_frame() {
    let mut call = call(MediaKind::Video);
    call.pictures(0, false, 3);
    assert_eq!(call.at_bo(), []);
    assert!(
        !call.world.clients[call.ada].key_frame_requests.is_empty(),
        "one is asked for"
    );
    call.pictures(90_000, true, 2);
    let packets = call.world.clients[call.bo].received(call.bo_mid);
    assert_eq!(packets.len(), 6);
    assert_eq!(packets[0].payload[0], 0x78, "the parameter sets come first");
}

#[test]
fn many_key_frame_requests_become_one_for_the_publisher() {
    let mut call = call(MediaKind::Video);
    call.pictures(0, true, 3);
    call.world.run(ms(2_000));
    call.pictures(900_000, false, 2);
    call.world.clients[call.ada].key_frame_requests.clear();
    let sent = call.world.counter("key_frames_sent");
    for _ in 0..5 {
        call.world.ask_key_frame(call.bo, call.bo_mid);
        call.world.ask_key_frame(call.cy, call.cy_mid);
        call.world.run(ms(20));
    }
    assert_eq!(
        call.world.clients[call.ada].key_frame_requests.len(),
        1,
        "within 500 ms"
    );
    call.world.run(ms(500));
    assert_eq!(
        call.world.clients[call.ada].key_frame_requests.len(),
        2,
        "those that came later get one more"
    );
    let between = call.world.clients[call.ada].key_frame_requests[1].0
        - call.world.clients[call.ada].key_frame_requests[0].0;
    assert!(between >= ms(490), "{between:?}");
    assert_eq!(call.world.counter("key_frames_sent"), sent + 2);
    assert!(call.world.counter("key_frames_merged") >= 8);
}

#[test]
fn nothing_of_a_muted_track_is_forwarded_and_it_goes_on_unbroken() {
    let mut call = call(MediaKind::Video);
    call.pictures(0, true, 5);
    let before = call.at_bo().len();
    call.world.input(Input::Mute {
        track: TRACK,
        muted: true,
    });
    call.pictures(300_000, true, 5);
    assert_eq!(call.at_bo().len(), before);
    assert_eq!(call.world.counter("dropped_muted"), 9);
    call.world.input(Input::Mute {
        track: TRACK,
        muted: false,
    });
    call.pictures(600_000, false, 2);
    assert_eq!(
        call.at_bo().len(),
        before,
        "it begins again with a key frame"
    );
    call.pictures(900_000, true, 5);
    let packets = call.world.clients[call.bo].received(call.bo_mid);
    assert_eq!(packets.len(), before + 9);
    assert_unbroken(&packets);
}

#[test]
fn not_one_more_packet_of_a_stopped_track_is_sent() {
    let mut call = call(MediaKind::Video);
    call.pictures(0, true, 5);
    // One packet to Bo is lost, so that he would ask for it again after the stop.
    let mut lost = false;
    let bo = call.bo;
    call.world.filter = Box::new(move |way, bytes| {
        let hit = !lost && way.to_client == Some(bo) && is_rtp(bytes);
        lost |= hit;
        if hit { Fate::IsLost } else { Fate::Arrives }
    });
    let payload = made::h264_delta(9);
    call.world.send(
        call.ada,
        call.mid,
        Media::video(StrCodec::H264, 100_000, true, &payload),
    );
    call.world.send(
        call.ada,
        call.mid,
        Media::video(StrCodec::H264, 103_000, true, &payload),
    );
    call.world.run(ms(10));
    // This packet is under way when the track is stopped.
    call.world.send(
        call.ada,
        call.mid,
        Media::video(StrCodec::H264, 106_000, true, &payload),
    );
    call.world.input(Input::StopTrack { track: TRACK });
    let leaks = std::rc::Rc::new(std::cell::Cell::new(0));
    let counted = leaks.clone();
    call.world.filter = Box::new(move |way, bytes| {
        if way.to_client == Some(bo) && is_rtp(bytes) {
            counted.set(counted.get() + 1);
        }
        Fate::Arrives
    });
    call.pictures(200_000, true, 10);
    call.world.run(ms(500));
    assert_eq!(leaks.get(), 0);
    assert!(call.world.counter("dropped_stopped") >= 15);
}

#[test]
fn a_paused_subscriber_gets_nothing_and_others_do() {
    let mut call = call(MediaKind::Video);
    call.pictures(0, true, 2);
    let session = call.world.clients[call.bo].session;
    call.world.input(Input::Select {
        session,
        track: TRACK,
        want: Want::Paused,
    });
    let before = call.at_bo().len();
    call.pictures(90_000, true, 2);
    assert_eq!(call.at_bo().len(), before);
    assert_eq!(
        call.world.clients[call.cy].received(call.cy_mid).len(),
        before * 2
    );
    call.world.input(Input::Select {
        session,
        track: TRACK,
        want: Want::AtMost(Layer::HIGH),
    });
    call.pictures(180_000, true, 2);
    let packets = call.world.clients[call.bo].received(call.bo_mid);
    assert_eq!(packets.len(), before * 2);
    assert_unbroken(&packets);
}

#[test]
fn a_line_that_is_used_again_goes_on_counting() {
    let mut call = call(MediaKind::Audio);
    let other = call
        .world
        .publish(call.cy, TrackId(2), MediaKind::Audio, &[]);
    for n in 0..10 {
        call.world
            .send(call.ada, call.mid, Media::audio(n * 960, made::OPUS));
        call.world.run(ms(20));
    }
    let session = call.world.clients[call.bo].session;
    call.world.input(Input::Release {
        session,
        mid: Mid(call.bo_mid.to_string()),
    });
    let mid = call.world.subscribe(call.bo, TrackId(2), 0);
    assert_eq!(mid, call.bo_mid);
    for n in 0..10 {
        call.world
            .send(call.ada, call.mid, Media::audio((n + 10) * 960, made::OPUS));
        call.world.send(
            call.cy,
            other,
            Media::audio(7_000_000 + n * 960, made::OPUS),
        );
        call.world.run(ms(20));
    }
    let packets = call.world.clients[call.bo].received(call.bo_mid);
    assert_eq!(packets.len(), 20);
    assert_unbroken(&packets);
    let jump = packets[10].header.timestamp - packets[9].header.timestamp;
    assert!(
        jump < 48_000,
        "time goes on as the clock does, not as the other track's: {jump}"
    );
}

#[test]
fn a_packet_lost_on_the_way_to_a_subscriber_is_sent_again() {
    let mut call = call(MediaKind::Video);
    call.pictures(0, true, 10);
    let mut countdown = 3;
    let bo = call.bo;
    call.world.filter = Box::new(move |way, bytes| {
        if way.to_client == Some(bo) && is_rtp(bytes) {
            countdown -= 1;
            if countdown == 0 {
                return Fate::IsLost;
            }
        }
        Fate::Arrives
    });
    call.pictures(90_000, true, 20);
    call.world.run(ms(300));
    let packets = call.world.clients[call.bo].received(call.bo_mid);
    assert_eq!(packets.len(), 38);
    assert_unbroken(&packets);
}

#[test]
fn a_packet_lost_on_the_way_from_the_publisher_is_asked_for_and_forwarded() {
    let mut call = call(MediaKind::Video);
    call.pictures(0, true, 10);
    let mut countdown = 3;
    let ada = call.ada;
    call.world.filter = Box::new(move |way, bytes| {
        if way.from_client == Some(ada) && is_rtp(bytes) {
            countdown -= 1;
            if countdown == 0 {
                return Fate::IsLost;
            }
        }
        Fate::Arrives
    });
    call.pictures(90_000, true, 20);
    call.world.run(ms(3_000));
    let packets = call.world.clients[call.bo].received(call.bo_mid);
    assert_eq!(packets.len(), 38);
    assert_unbroken(&packets);
    assert!(call.world.counter("nacks_out") >= 1);
}

#[test]
fn a_closed_session_takes_its_subscriptions_and_its_tracks_along() {
    let mut call = call(MediaKind::Audio);
    call.world
        .send(call.ada, call.mid, Media::audio(0, made::OPUS));
    call.world.run(ms(30));
    let (bo, ada) = (
        call.world.clients[call.bo].session,
        call.world.clients[call.ada].session,
    );
    call.world.input(Input::CloseSession { session: bo });
    for n in 1..5 {
        call.world
            .send(call.ada, call.mid, Media::audio(n * 960, made::OPUS));
        call.world.run(ms(20));
    }
    assert_eq!(call.world.clients[call.cy].received(call.cy_mid).len(), 5);
    call.world.input(Input::CloseSession { session: ada });
    call.world
        .send(call.ada, call.mid, Media::audio(9 * 960, made::OPUS));
    call.world.run(ms(50));
    assert_eq!(call.world.clients[call.cy].received(call.cy_mid).len(), 5);
    assert!(call.world.counter("dropped_unknown_session") >= 1);
    assert_eq!(
        said_of(&call.world.said, |output| matches!(
            output,
            Output::Ended { .. }
        )),
        0,
        "the caller closed them"
    );
}

#[test]
fn what_a_subscriber_cannot_decode_is_not_sent_to_it() {
    let mut world = World::new();
    let (ada, bo) = (world.join(), world.add_client());
    let mid = world.publish(ada, TRACK, MediaKind::Video, &[]);
    let client = &mut world.clients[bo];
    client.rtc = str0m::Rtc::builder()
        .set_rtp_mode(true)
        .clear_codecs()
        .enable_vp8(true)
        .build(world.now);
    client
        .rtc
        .add_local_candidate(str0m::Candidate::host(client.address, "udp").expect("a candidate"));
    let mut api = client.rtc.sdp_api();
    let bo_mid = api.add_media(
        MediaKind::Video,
        str0m::media::Direction::RecvOnly,
        None,
        None,
        None,
    );
    let (offer, pending) = api.apply().expect("something to offer");
    client.pending = Some(pending);
    let sends = vec![amphi_sfu::SendLine {
        mid: Mid(bo_mid.to_string()),
        track: TRACK,
        stream_label: "PA_x|TR_1".to_owned(),
        track_label: "TR_1".to_owned(),
    }];
    world.offer(bo, &offer.to_sdp_string(), Vec::new(), sends);
    world.run(ms(500));
    assert!(world.clients[bo].connected);
    for payload in made::h264_key(2) {
        world.send(ada, mid, Media::video(StrCodec::H264, 0, false, &payload));
    }
    world.run(ms(50));
    assert!(world.clients[bo].packets.is_empty());
    assert_eq!(world.counter("dropped_no_format"), 3);
    world.send(
        ada,
        mid,
        Media::video(StrCodec::Vp8, 9_000, true, &made::vp8(true, 1, 1)),
    );
    world.run(ms(50));
    assert_eq!(world.clients[bo].packets.len(), 1);
}

#[test]
fn a_number_from_before_the_first_one_is_late_and_nothing_else() {
    let mut call = call(MediaKind::Video);
    call.pictures(0, true, 3);
    let late = call.world.counter("dropped_late");
    for seq in [u64::MAX, u64::MAX - 30_000] {
        let now = call.world.now;
        let payload = made::h264_delta(1);
        let media = Media::video(StrCodec::H264, 1, true, &payload);
        call.world.clients[call.ada].write(now, call.mid, media, seq);
        call.world.run(ms(50));
    }
    assert!(call.world.counter("dropped_late") > late);
    let at_bo = call.at_bo();
    assert_eq!(at_bo.len(), 7, "none of them is sent on");
}

/// A sender whose SSRC changes begins its numbers anywhere.
#[test]
fn a_line_goes_on_unbroken_when_its_publisher_changes_the_ssrc() {
    for lower in [true, false] {
        let mut call = call(MediaKind::Video);
        // Padding enough for the book of numbers to have forgotten some.
        for n in 0..200u32 {
            let payload = made::h264_delta(n as u8);
            let key = made::h264_key(1);
            let picture: &[u8] = if n == 0 { &key[0] } else { &payload[..] };
            for payload in [picture, &[]] {
                let media = Media::video(StrCodec::H264, n * 3_000, true, payload);
                call.world.send(call.ada, call.mid, media);
            }
            call.world.run(ms(10));
        }
        let asked = call.world.counter("key_frames_sent");
        let client = &mut call.world.clients[call.ada];
        client
            .rtc
            .direct_api()
            .reset_stream_tx(call.mid, None, 77_777.into(), Some(77_778.into()));
        let first = if lower { 10 } else { 30_000 };
        client.next_seq.insert((call.mid, String::new()), first);
        for n in 0..5u8 {
            let payload = made::h264_delta(n);
            let media = Media::video(StrCodec::H264, 9_000_000 + u32::from(n), true, &payload);
            call.world.send(call.ada, call.mid, media);
            call.world.run(ms(33));
        }
        // The client's library does not say so: it looks for requests by the SSRC that it began with.
        assert!(
            call.world.counter("key_frames_sent") > asked,
            "what is another stream begins with a key frame"
        );
        let before = call.at_bo().len();
        call.pictures(9_100_000, true, 10);
        assert_eq!(call.at_bo().len(), before + 14);
        let packets = call.world.clients[call.bo].received(call.bo_mid);
        assert_unbroken(&packets);
    }
}
