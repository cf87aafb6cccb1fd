//! VP9 and AV1 with several spatial layers in one stream.

use std::cell::Cell;
use std::rc::Rc;

use amphi_media::{Codec, Frame, Layer, TrackId, VideoSize};
use amphi_sfu::{Input, Output, Want};
use str0m::format::Codec as StrCodec;
use str0m::media::{MediaKind, Mid as StrMid};

use crate::world::made::{self, Piece};
use crate::world::{Fate, Media, World, assert_unbroken, is_rtp, ms};

const TRACK: TrackId = TrackId(1);

/// Ada publishes three layers in one stream; Bo and Cy receive her.
struct Call {
    world: World,
    ada: usize,
    mid: StrMid,
    bo: (usize, StrMid),
    cy: (usize, StrMid),
    sent: u16,
}

fn call() -> Call {
    let mut world = World::new();
    let (ada, bo, cy) = (world.join(), world.join(), world.join());
    let mid = world.publish(ada, TRACK, MediaKind::Video, &[]);
    let bo = (bo, world.subscribe(bo, TRACK, 3));
    let cy = (cy, world.subscribe(cy, TRACK, 3));
    Call {
        world,
        ada,
        mid,
        bo,
        cy,
        sent: 0,
    }
}

impl Call {
    /// Ada sends pictures, 33 ms apart, each of three layers in four packets; a key picture when she was asked for one.
    fn pictures(&mut self, count: u16) {
        for _ in 0..count {
            let requests = &mut self.world.clients[self.ada].key_frame_requests;
            let key = self.sent == 0 || !requests.is_empty();
            requests.clear();
            let pieces = [
                (0, Piece::Whole),
                (1, Piece::Whole),
                (2, Piece::Begin),
                (2, Piece::End),
            ];
            for (spatial, piece) in pieces {
                let payload = made::vp9(key, spatial, piece, self.sent, self.sent as u8);
                let time = u32::from(self.sent) * 3_000;
                let last = piece == Piece::End;
                self.world.send(
                    self.ada,
                    self.mid,
                    Media::video(StrCodec::Vp9, time, last, &payload),
                );
            }
            self.sent += 1;
            self.world.run(ms(33));
        }
    }

    fn want(&mut self, client: usize, most: Layer) {
        let session = self.world.clients[client].session;
        self.world.input(Input::Select {
            session,
            track: TRACK,
            want: Want::AtMost(most),
        });
    }

    /// The `nth` packet that Ada sends from now on is lost, counted from 1.
    fn lose_from_ada(&mut self, nth: usize) {
        let (ada, mut count) = (self.ada, 0);
        self.world.filter = Box::new(move |way, bytes| {
            count += usize::from(way.from_client == Some(ada) && is_rtp(bytes));
            if count == nth {
                count += 1;
                return Fate::IsLost;
            }
            Fate::Arrives
        });
    }

    /// How many packets came that carry a number and nothing else.
    fn hollow(&mut self, (client, mid): (usize, StrMid)) -> usize {
        let packets = self.world.clients[client].received(mid);
        let hollow = packets.iter().filter(|packet| packet.payload.is_empty());
        hollow.count()
    }

    /// Of each picture that arrived whole: its highest layer. Numbers have no gap, and only a picture's last packet has the
    /// marker. Packets that carry nothing are of no picture.
    fn seen(&mut self, (client, mid): (usize, StrMid)) -> Vec<u8> {
        let packets = self.world.clients[client].received(mid);
        assert_unbroken(&packets);
        let packets: Vec<_> = packets
            .into_iter()
            .filter(|packet| !packet.payload.is_empty())
            .collect();
        let mut seen = Vec::new();
        for (index, packet) in packets.iter().enumerate() {
            let next = packets.get(index + 1);
            let ends = next.is_some_and(|next| next.header.timestamp != packet.header.timestamp);
            if next.is_some() {
                assert_eq!(packet.header.marker, ends, "packet {index}");
            }
            if packet.header.marker {
                seen.push(packet.payload[packet.payload.len() - 2]);
            }
        }
        seen
    }
}

#[test]
fn who_wants_less_gets_the_lower_layers_of_the_one_stream() {
    let mut call = call();
    call.want(call.bo.0, Layer::LOW);
    call.pictures(10);
    assert_eq!(call.seen(call.bo), [0; 10]);
    assert_eq!(call.seen(call.cy), [2; 10]);
}

#[test]
fn less_begins_with_the_next_picture_and_more_with_a_key_picture() {
    let mut call = call();
    call.pictures(10);
    call.want(call.bo.0, Layer::MEDIUM);
    call.pictures(10);
    call.want(call.bo.0, Layer::LOW);
    call.pictures(40);
    let before = call.world.counter("key_frames_sent");
    call.want(call.bo.0, Layer::HIGH);
    call.pictures(5);
    assert_eq!(
        call.world.counter("key_frames_sent"),
        before + 1,
        "an upper layer goes on from itself"
    );
    call.pictures(5);
    let seen = call.seen(call.bo);
    assert_eq!(seen.len(), 70);
    assert_eq!(seen[..20], [[2; 10], [1; 10]].concat());
    assert_eq!(seen[20..60], [0; 40]);
    assert_eq!(seen[65..], [2; 5]);
    assert_eq!(call.seen(call.cy), [2; 70], "others notice nothing");
}

#[test]
fn more_does_not_begin_with_a_key_picture_whose_beginning_came_late() {
    let mut call = call();
    call.want(call.bo.0, Layer::LOW);
    call.pictures(40);
    call.want(call.bo.0, Layer::HIGH);
    call.world.clients[call.ada].key_frame_requests.clear();
    while call.world.clients[call.ada].key_frame_requests.is_empty() {
        call.pictures(1);
    }
    let (late_key, before) = (call.sent, call.world.counter("key_frames_sent"));
    call.lose_from_ada(1);
    call.pictures(60);
    let count = usize::from(call.sent);
    assert_eq!(call.seen(call.cy), vec![2; count], "it came, late");
    assert_eq!(call.world.counter("key_frames_sent"), before + 1);
    let seen = call.seen(call.bo);
    assert_eq!(seen.len(), count);
    assert_eq!(seen[count - 5..], [2; 5]);
    let packets = call.world.clients[call.bo.0].received(call.bo.1);
    let mut upper = packets.iter().filter(|packet| packet.payload[3] >> 1 > 0);
    let first = upper.next().expect("more came");
    assert_eq!(first.payload[0] & 0x40, 0, "it is of a key picture");
    let picture = u16::from_be_bytes([first.payload[1] & 0x7f, first.payload[2]]);
    assert!(picture > late_key, "{picture} is after {late_key}");
}

#[test]
fn a_late_packet_of_a_layer_that_is_not_carried_leaves_no_hole() {
    for nth in [2, 3, 4] {
        let mut call = call();
        call.want(call.bo.0, Layer::LOW);
        call.pictures(10);
        call.lose_from_ada(nth);
        call.pictures(20);
        assert_eq!(call.seen(call.cy), [2; 30], "it came, late");
        assert_eq!(call.seen(call.bo), [0; 30]);
        assert_eq!(call.hollow(call.bo), 1);
        assert_eq!(call.hollow(call.cy), 0);
    }
}

#[test]
fn less_does_not_begin_within_a_picture_whose_beginning_came_late() {
    let mut call = call();
    call.pictures(10);
    call.want(call.bo.0, Layer::LOW);
    call.lose_from_ada(1);
    call.pictures(1);
    call.world.run(ms(300));
    call.pictures(20);
    assert_eq!(call.seen(call.bo), [vec![2; 11], vec![0; 20]].concat());
}

#[test]
fn a_late_packet_from_before_less_was_wanted_is_carried() {
    let mut call = call();
    call.pictures(10);
    call.lose_from_ada(4);
    call.pictures(1);
    call.want(call.bo.0, Layer::LOW);
    // What asks Ada for the lost packet is lost as well.
    let deaf = Rc::new(Cell::new(true));
    let (ada, is_deaf) = (call.ada, Rc::clone(&deaf));
    call.world.filter = Box::new(move |way, _| {
        if way.to_client == Some(ada) && is_deaf.get() {
            return Fate::IsLost;
        }
        Fate::Arrives
    });
    call.pictures(3);
    deaf.set(false);
    call.pictures(20);
    assert_eq!(call.seen(call.bo), [vec![2; 11], vec![0; 23]].concat());
    assert_eq!(call.hollow(call.bo), 0);
}

#[test]
fn a_lost_packet_of_a_layer_that_is_carried_is_sent_again() {
    let mut call = call();
    call.want(call.bo.0, Layer::LOW);
    call.pictures(10);
    let mut lost = 0;
    let bo = call.bo.0;
    call.world.filter = Box::new(move |way, bytes| {
        if way.to_client == Some(bo) && is_rtp(bytes) && lost < 1 {
            lost += 1;
            return Fate::IsLost;
        }
        Fate::Arrives
    });
    call.pictures(20);
    assert_eq!(call.seen(call.bo), [0; 30]);
}

#[test]
fn frames_have_all_layers_of_a_picture_and_the_size_of_the_largest() {
    let mut call = call();
    call.world.input(Input::TakeFrames {
        track: TRACK,
        on: true,
    });
    call.pictures(3);
    let frames: Vec<&Frame> = call
        .world
        .said
        .iter()
        .filter_map(|output| match output {
            Output::Frame(frame) => Some(frame),
            _ => None,
        })
        .collect();
    assert_eq!(frames.len(), 3);
    assert_eq!(frames[0].codec, Codec::Vp9);
    assert!(frames[0].key && !frames[2].key);
    assert_eq!(frames[2].size, Some(VideoSize::new(640, 360)));
    let delta = [0x86, 1, 0, 2, 0x86, 1, 1, 2, 0x86, 1, 2, 2, 2, 2];
    assert_eq!(frames[2].data[..], delta);
}

#[test]
fn of_av1_without_dependency_descriptors_the_lowest_layer_goes_along_alone() {
    let mut call = call();
    for n in 0..20u8 {
        let first: &[u8] = match n {
            0 => &[
                0x28, 12, 0x08, 0x00, 0x00, 0x00, 0x04, 0x3c, 0xfe, 0xcc, 0xda, 0xf9, 0x00, 0x40,
                0x34, 0x00, 0x10,
            ],
            _ => &[0x10, 0x34, 0x00, 0x30],
        };
        let upper = [
            &[0x50, 0x34, 0x08, 0x30][..],
            &[0x90, 7],
            &[0x10, 0x34, 0x10, 0x30],
        ];
        let time = u32::from(n) * 3_000;
        for (index, payload) in [first].into_iter().chain(upper).enumerate() {
            let media = Media::video(StrCodec::Av1, time, index == 3, payload);
            call.world.send(call.ada, call.mid, media);
        }
        call.world.run(ms(33));
    }
    for (client, mid) in [call.bo, call.cy] {
        let packets = call.world.clients[client].received(mid);
        assert_unbroken(&packets);
        assert_eq!(packets.len(), 20);
        for (index, packet) in packets.iter().enumerate() {
            let spatial = packet.payload[packet.payload.len() - 2];
            // Of the first picture nobody knows yet that upper layers follow.
            assert_eq!((spatial, packet.header.marker), (0x00, index > 0));
        }
    }
}
