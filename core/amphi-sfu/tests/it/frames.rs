use amphi_media::{Codec, Frame, TrackId, VideoSize, h264};
use amphi_sfu::{Input, Output};
use str0m::format::Codec as StrCodec;
use str0m::media::{MediaKind, Mid as StrMid};

use crate::world::{Fate, Media, World, is_rtp, made, ms};

const TRACK: TrackId = TrackId(1);

fn publish(kind: MediaKind) -> (World, usize, StrMid) {
    let mut world = World::new();
    let ada = world.join();
    let mid = world.publish(ada, TRACK, kind, &[]);
    (world, ada, mid)
}

fn key(world: &mut World, ada: usize, mid: StrMid, time: u32) {
    let packets = made::h264_key(3);
    for (index, payload) in packets.iter().enumerate() {
        world.send(
            ada,
            mid,
            Media::video(StrCodec::H264, time, index + 1 == packets.len(), payload),
        );
    }
    world.run(ms(33));
}

fn deltas(world: &mut World, ada: usize, mid: StrMid, time: u32, count: u8) {
    for n in 0..count {
        let payload = made::h264_delta(n);
        world.send(
            ada,
            mid,
            Media::video(StrCodec::H264, time + 3_000 * u32::from(n), true, &payload),
        );
        world.run(ms(33));
    }
}

fn frames(world: &World) -> Vec<&Frame> {
    let mut frames = Vec::new();
    for output in &world.said {
        if let Output::Frame(frame) = output {
            frames.push(frame);
        }
    }
    frames
}

#[test]
fn h264_pictures_come_whole_in_annex_b_with_their_parameter_sets() {
    let (mut world, ada, mid) = publish(MediaKind::Video);
    key(&mut world, ada, mid, 0);
    assert!(frames(&world).is_empty(), "nobody takes frames");
    world.input(Input::TakeFrames {
        track: TRACK,
        on: true,
    });
    world.run(ms(30));
    assert_eq!(
        world.clients[ada].key_frame_requests.len(),
        1,
        "taking frames asks for a key frame"
    );
    deltas(&mut world, ada, mid, 3_000, 3);
    assert!(frames(&world).is_empty(), "they begin with a key frame");
    key(&mut world, ada, mid, 90_000);
    deltas(&mut world, ada, mid, 93_000, 2);

    let frames = frames(&world);
    assert_eq!(
        frames.iter().map(|frame| frame.key).collect::<Vec<_>>(),
        [true, false, false]
    );
    let kinds: Vec<u8> = h264::nal_units(&frames[0].data)
        .filter_map(h264::nal_type)
        .collect();
    assert_eq!(kinds, [h264::NAL_SPS, h264::NAL_PPS, h264::NAL_IDR]);
    let idr = h264::nal_units(&frames[0].data).last().expect("a slice");
    assert_eq!(
        idr,
        [0x65, 0, 0xaa, 0xbb, 1, 0xaa, 0xbb, 2, 0xaa, 0xbb],
        "the pieces are joined"
    );
    assert_eq!(frames[0].size, Some(VideoSize::new(1280, 720)));
    assert_eq!(frames[2].size, Some(VideoSize::new(1280, 720)));
    assert!(
        frames
            .iter()
            .all(|frame| frame.contiguous && frame.codec == Codec::H264)
    );
    assert_eq!(frames[2].time.ticks - frames[0].time.ticks, 6_000);

    world.input(Input::TakeFrames {
        track: TRACK,
        on: false,
    });
    let taken = world.counter("frames_out");
    deltas(&mut world, ada, mid, 200_000, 3);
    assert_eq!(world.counter("frames_out"), taken);
}

#[test]
fn opus_packets_are_frames_as_they_are() {
    let (mut world, ada, mid) = publish(MediaKind::Audio);
    world.input(Input::TakeFrames {
        track: TRACK,
        on: true,
    });
    for n in 0..20 {
        world.send(ada, mid, Media::audio(n * 960, made::OPUS));
        world.run(ms(20));
    }
    world.run(ms(20));
    let frames = frames(&world);
    assert_eq!(frames.len(), 20);
    assert!(
        frames
            .iter()
            .all(|frame| frame.key && frame.contiguous && frame.data[..] == *made::OPUS)
    );
    assert_eq!(frames[1].time.ticks - frames[0].time.ticks, 960);
    assert_eq!(frames[1].time.rate, 48_000);
}

#[test]
fn a_lost_packet_that_comes_again_is_waited_for() {
    let (mut world, ada, mid) = publish(MediaKind::Video);
    world.input(Input::TakeFrames {
        track: TRACK,
        on: true,
    });
    key(&mut world, ada, mid, 0);
    deltas(&mut world, ada, mid, 3_000, 20);
    let mut countdown = 2;
    world.filter = Box::new(move |way, bytes| {
        countdown -= i32::from(way.from_client.is_some() && is_rtp(bytes));
        if countdown == 0 && is_rtp(bytes) && way.from_client.is_some() {
            Fate::IsLost
        } else {
            Fate::Arrives
        }
    });
    key(&mut world, ada, mid, 90_000);
    deltas(&mut world, ada, mid, 93_000, 20);
    world.run(ms(300));
    let frames = frames(&world);
    assert_eq!(frames.len(), 42);
    assert!(frames.iter().all(|frame| frame.contiguous));
    assert!(
        frames
            .windows(2)
            .all(|pair| pair[1].time.ticks > pair[0].time.ticks)
    );
    assert_eq!(world.counter("frames_lost"), 0);
}

#[test]
fn after_a_loss_for_good_pictures_begin_again_with_a_key_frame() {
    let (mut world, ada, mid) = publish(MediaKind::Video);
    world.input(Input::TakeFrames {
        track: TRACK,
        on: true,
    });
    key(&mut world, ada, mid, 0);
    deltas(&mut world, ada, mid, 3_000, 3);
    world.run(ms(1_500));
    world.clients[ada].key_frame_requests.clear();
    world.filter = Box::new(|way, bytes| {
        if way.from_client.is_some() && is_rtp(bytes) {
            Fate::IsLost
        } else {
            Fate::Arrives
        }
    });
    deltas(&mut world, ada, mid, 12_000, 1);
    world.run(ms(40));
    // What is asked for again is lost as well, for longer than anybody waits.
    let params = world.clients[ada].rtc.codec_config().params().to_vec();
    let resends: Vec<u8> = params
        .iter()
        .filter_map(|params| params.resend())
        .map(|number| *number)
        .collect();
    world.filter = Box::new(move |way, bytes| {
        let again =
            way.from_client.is_some() && is_rtp(bytes) && resends.contains(&(bytes[1] & 0x7f));
        if again { Fate::IsLost } else { Fate::Arrives }
    });
    deltas(&mut world, ada, mid, 15_000, 15);
    world.run(ms(200));
    assert!(
        !world.clients[ada].key_frame_requests.is_empty(),
        "a key frame is asked for"
    );
    assert_eq!(
        frames(&world).len(),
        4,
        "nothing that a decoder could not use"
    );
    assert_eq!(world.counter("frames_lost"), 1);
    key(&mut world, ada, mid, 200_000);
    deltas(&mut world, ada, mid, 203_000, 2);
    let frames = frames(&world);
    assert_eq!(frames.len(), 7);
    assert!(
        frames[4].key && !frames[4].contiguous,
        "the gap is told once"
    );
    assert!(frames[5].contiguous);
}

#[test]
fn sender_reports_put_a_wall_clock_on_frames() {
    let (mut world, ada, mid) = publish(MediaKind::Video);
    world.input(Input::TakeFrames {
        track: TRACK,
        on: true,
    });
    for n in 0..60 {
        if n % 30 == 0 {
            key(&mut world, ada, mid, n * 3_000);
        } else {
            deltas(&mut world, ada, mid, n * 3_000, 1);
        }
    }
    let frames = frames(&world);
    let timed: Vec<_> = frames
        .iter()
        .filter(|frame| frame.sender_time_us.is_some())
        .collect();
    assert!(timed.len() > 10, "{} of {}", timed.len(), frames.len());
    let last = timed[timed.len() - 1];
    let before = timed[timed.len() - 11];
    let apart = last.sender_time_us.expect("timed") - before.sender_time_us.expect("timed");
    let expected = (last.time.ticks - before.time.ticks) * 1_000_000 / 90_000;
    assert!(
        (apart - expected).abs() < 5_000,
        "{apart} µs for {expected} µs of RTP time"
    );
}

#[test]
fn a_muted_track_gives_no_frames_and_goes_on_with_a_key_frame() {
    let (mut world, ada, mid) = publish(MediaKind::Video);
    world.input(Input::TakeFrames {
        track: TRACK,
        on: true,
    });
    key(&mut world, ada, mid, 0);
    world.input(Input::Mute {
        track: TRACK,
        muted: true,
    });
    deltas(&mut world, ada, mid, 3_000, 5);
    assert_eq!(frames(&world).len(), 1);
    world.input(Input::Mute {
        track: TRACK,
        muted: false,
    });
    deltas(&mut world, ada, mid, 30_000, 2);
    key(&mut world, ada, mid, 90_000);
    let frames = frames(&world);
    assert_eq!(frames.len(), 2);
    assert!(frames[1].key);
}

#[test]
fn vp8_pictures_come_without_their_packet_descriptors() {
    let (mut world, ada, mid) = publish(MediaKind::Video);
    world.input(Input::TakeFrames {
        track: TRACK,
        on: true,
    });
    for n in 0..3u16 {
        world.send(
            ada,
            mid,
            Media::video(
                StrCodec::Vp8,
                u32::from(n) * 3_000,
                true,
                &made::vp8(n == 0, n, 0),
            ),
        );
        world.run(ms(33));
    }
    let frames = frames(&world);
    assert_eq!(
        frames.iter().map(|frame| frame.key).collect::<Vec<_>>(),
        [true, false, false]
    );
    assert_eq!(frames[0].data[..4], [0x10, 0, 0, 0x9d]);
    assert_eq!(frames[2].size, Some(VideoSize::new(640, 360)));
    assert_eq!(frames[2].codec, Codec::Vp8);
}

#[test]
fn av1_pictures_come_as_whole_temporal_units_with_sizes() {
    let (mut world, ada, mid) = publish(MediaKind::Video);
    world.input(Input::TakeFrames {
        track: TRACK,
        on: true,
    });
    for n in 0..3u8 {
        let packets = made::av1(n == 0, n);
        for (index, payload) in packets.iter().enumerate() {
            let last = index + 1 == packets.len();
            let time = u32::from(n) * 3_000;
            world.send(ada, mid, Media::video(StrCodec::Av1, time, last, payload));
        }
        world.run(ms(33));
    }
    let frames = frames(&world);
    assert_eq!(
        frames.iter().map(|frame| frame.key).collect::<Vec<_>>(),
        [true, false, false]
    );
    assert_eq!(frames[0].data[..2], [0x0a, 11]);
    assert_eq!(frames[2].data[..], [0x32, 4, 0x30, 7, 8, 2]);
    assert_eq!(frames[2].size, Some(VideoSize::new(320, 180)));
    assert_eq!(frames[2].codec, Codec::Av1);
}

#[test]
fn a_lost_av1_packet_costs_the_pictures_up_to_the_next_key_frame_which_is_asked_for() {
    let (mut world, ada, mid) = publish(MediaKind::Video);
    world.input(Input::TakeFrames {
        track: TRACK,
        on: true,
    });
    let mut sent = 0;
    world.filter = Box::new(move |way, bytes| {
        sent += usize::from(way.from_client == Some(ada) && is_rtp(bytes));
        // Whatever is sent again is lost again.
        match sent == 6 || (bytes.len() > 12 && bytes[1] & 0x7f == 46) {
            true => Fate::IsLost,
            false => Fate::Arrives,
        }
    });
    let mut asked = 0;
    for n in 0..30u8 {
        let requests = &mut world.clients[ada].key_frame_requests;
        let key = n == 0 || (n > 5 && !requests.is_empty());
        asked += usize::from(n > 5 && !requests.is_empty());
        requests.clear();
        let packets = made::av1(key, n);
        for (index, payload) in packets.iter().enumerate() {
            let last = index + 1 == packets.len();
            let media = Media::video(StrCodec::Av1, u32::from(n) * 3_000, last, payload);
            world.send(ada, mid, media);
        }
        world.run(ms(33));
    }
    let frames = frames(&world);
    assert!(asked > 0, "nobody asked for a key frame");
    let again = frames.iter().position(|frame| !frame.contiguous);
    let again = again.expect("it goes on behind the loss");
    assert!(frames[again].key, "with a key frame");
    assert!(
        frames.len() > again + 3 && frames.len() < 30,
        "{}",
        frames.len()
    );
}
