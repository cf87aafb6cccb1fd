use amphi_media::{Layer, TrackId, VideoSize};
use amphi_sfu::{Input, Output, Want};
use str0m::format::Codec as StrCodec;
use str0m::media::{MediaKind, Mid as StrMid};

use crate::world::{Media, World, assert_unbroken, made, ms};

const TRACK: TrackId = TrackId(1);

/// Ada publishes three layers; Bo receives her.
struct Call {
    world: World,
    ada: usize,
    bo: usize,
    mid: StrMid,
    bo_mid: StrMid,
    /// How many pictures of each layer Ada has sent.
    sent: u32,
}

fn call() -> Call {
    let mut world = World::new();
    let (ada, bo) = (world.join(), world.join());
    let mid = world.publish(ada, TRACK, MediaKind::Video, &["q", "h", "f"]);
    let bo_mid = world.subscribe(bo, TRACK, 3);
    Call {
        world,
        ada,
        bo,
        mid,
        bo_mid,
        sent: 0,
    }
}

impl Call {
    /// Ada sends VP8 pictures of these layers, one packet each, 33 ms apart; key frames in a layer when she was asked
    /// for one. The layer stands in the payload's last byte but one.
    fn pictures(&mut self, count: u32, layers: &[&str]) {
        for _ in 0..count {
            for layer in layers {
                let asked = self.asked(layer);
                let mark = layer.as_bytes()[0];
                // Every layer counts its pictures from elsewhere, and has an RTP clock of its own.
                let picture = (u32::from(mark) * 100 + self.sent) as u16;
                let mut payload = made::vp8(asked || self.sent == 0, picture, picture as u8);
                payload.extend_from_slice(&[mark, 0]);
                let time = self.sent * 3_000 + u32::from(mark) * 1_000_000;
                self.world.send(
                    self.ada,
                    self.mid,
                    Media::video(StrCodec::Vp8, time, true, &payload).rid(layer),
                );
            }
            self.sent += 1;
            self.world.run(ms(33));
        }
    }

    fn asked(&mut self, layer: &str) -> bool {
        let requests = &mut self.world.clients[self.ada].key_frame_requests;
        let before = requests.len();
        requests.retain(|(_, _, rid)| rid.is_none_or(|rid| &*rid != layer));
        requests.len() != before
    }

    fn want(&mut self, want: Want) {
        let session = self.world.clients[self.bo].session;
        self.world.input(Input::Select {
            session,
            track: TRACK,
            want,
        });
    }

    /// The layers of what Bo got, each once per run.
    fn seen(&mut self) -> String {
        let packets = self.world.clients[self.bo].received(self.bo_mid);
        let mut seen: Vec<u8> = packets
            .iter()
            .map(|packet| packet.payload[packet.payload.len() - 2])
            .collect();
        seen.dedup();
        String::from_utf8(seen).expect("marks are letters")
    }

    fn newest_layers(&self) -> Vec<(Layer, Option<VideoSize>)> {
        let layers = self
            .world
            .said
            .iter()
            .rev()
            .find_map(|output| match output {
                Output::Layers { layers, .. } => Some(layers.clone()),
                _ => None,
            });
        layers.expect("layers were told")
    }
}

#[test]
fn the_highest_layer_is_carried_by_default_and_the_layers_are_told() {
    let mut call = call();
    call.pictures(15, &["q", "h", "f"]);
    assert_eq!(call.seen().chars().last(), Some('f'));
    let size = Some(VideoSize::new(640, 360));
    assert_eq!(
        call.newest_layers(),
        [
            (Layer::LOW, size),
            (Layer::MEDIUM, size),
            (Layer::HIGH, size)
        ]
    );
}

#[test]
fn a_switch_happens_at_a_key_frame_and_leaves_no_seam() {
    let mut call = call();
    call.pictures(20, &["q", "h", "f"]);
    call.want(Want::AtMost(Layer::LOW));
    let held = call.world.clients[call.bo].packets.len();
    call.world.run(ms(30));
    assert!(
        call.world.clients[call.ada]
            .key_frame_requests
            .iter()
            .any(|(_, _, rid)| rid.is_some_and(|rid| &*rid == "q"))
    );
    call.pictures(20, &["q", "h", "f"]);
    assert!(call.world.clients[call.bo].packets.len() > held);
    call.want(Want::AtMost(Layer::MEDIUM));
    call.pictures(20, &["q", "h", "f"]);
    assert!(call.seen().ends_with("fqh"), "{}", call.seen());

    let packets = call.world.clients[call.bo].received(call.bo_mid);
    assert_unbroken(&packets);
    for pair in packets.windows(2) {
        let picture = |index: usize| {
            (u16::from(pair[index].payload[2] & 0x7f) << 8) | u16::from(pair[index].payload[3])
        };
        assert_eq!(picture(1), (picture(0) + 1) & 0x7fff, "picture ids go on");
        assert_eq!(
            pair[1].payload[4],
            pair[0].payload[4].wrapping_add(1),
            "TL0PICIDX goes on"
        );
        let ticks = pair[1].header.timestamp - pair[0].header.timestamp;
        assert!((1..=6_100).contains(&ticks), "time goes on: {ticks}");
    }
}

#[test]
fn a_layer_that_goes_silent_is_left_for_a_live_one() {
    let mut call = call();
    call.pictures(20, &["q", "h", "f"]);
    assert_eq!(call.seen().chars().last(), Some('f'));
    call.pictures(60, &["q", "h"]);
    assert_eq!(call.seen().chars().last(), Some('h'));
    assert_eq!(call.newest_layers().len(), 2);
    call.pictures(30, &["q", "h", "f"]);
    assert_eq!(
        call.seen().chars().last(),
        Some('f'),
        "and found again when it is back"
    );
    assert_unbroken(&call.world.clients[call.bo].received(call.bo_mid));
}

#[test]
fn a_wanted_line_without_a_live_layer_is_told_and_so_is_its_return() {
    let mut call = call();
    call.pictures(5, &["q", "h", "f"]);
    let states = |call: &Call| -> Vec<bool> {
        let state = |output: &Output| match output {
            Output::StreamState { active, .. } => Some(*active),
            _ => None,
        };
        call.world.said.iter().filter_map(state).collect()
    };
    assert_eq!(states(&call), Vec::<bool>::new());
    call.world.run(ms(3_000));
    assert_eq!(states(&call), [false]);
    call.pictures(5, &["q", "h", "f"]);
    assert_eq!(states(&call), [false, true]);
}

#[test]
fn frames_come_from_the_best_live_layer_and_their_time_goes_on() {
    let mut call = call();
    call.world.input(Input::TakeFrames {
        track: TRACK,
        on: true,
    });
    call.pictures(20, &["q", "h", "f"]);
    call.pictures(60, &["q"]);
    let frames: Vec<_> = call
        .world
        .said
        .iter()
        .filter_map(|output| match output {
            Output::Frame(frame) => Some(frame),
            _ => None,
        })
        .collect();
    assert_eq!(frames.last().map(|frame| frame.rid.as_str()), Some("q"));
    assert!(frames.iter().any(|frame| frame.rid.as_str() == "f"));
    for pair in frames.windows(2) {
        let ticks = pair[1].time.ticks - pair[0].time.ticks;
        assert!((1..=200_000).contains(&ticks), "{ticks}");
        assert!(
            pair[0].rid == pair[1].rid || pair[1].key,
            "a switch only at a key frame"
        );
    }
}

/// Frames so far of each rung: how many, from which layer the newest came, and whether the first was a key frame.
fn rungs(call: &Call) -> Vec<(u8, usize, String, bool)> {
    let frames = || {
        call.world.said.iter().filter_map(|output| match output {
            Output::Frame(frame) => Some(frame),
            _ => None,
        })
    };
    let of = |rung: u8| {
        let own: Vec<_> = frames().filter(|frame| frame.rung == rung).collect();
        let (first, last) = (own.first()?, own.last()?);
        Some((rung, own.len(), last.rid.as_str().to_owned(), first.key))
    };
    (0..3).filter_map(of).collect()
}

fn taken() -> Call {
    let mut call = call();
    for input in [
        Input::TakeFrames {
            track: TRACK,
            on: true,
        },
        Input::TakeLayers {
            track: TRACK,
            on: true,
        },
    ] {
        call.world.input(input);
    }
    call.pictures(10, &["q", "h", "f"]);
    call.world.input(Input::RequestKeyFrame { track: TRACK });
    call.pictures(30, &["q", "h", "f"]);
    call
}

#[test]
fn frames_of_lower_layers_come_beside_those_of_the_best_one() {
    let mut call = taken();
    let before = rungs(&call);
    let names = before
        .iter()
        .map(|(_, _, layer, key)| (layer.as_str(), *key));
    assert_eq!(
        names.collect::<Vec<_>>(),
        [("f", true), ("h", true), ("q", true)]
    );
    call.world.said.clear();
    call.pictures(30, &["q", "h", "f"]);
    let counts: Vec<usize> = rungs(&call).iter().map(|(_, count, ..)| *count).collect();
    assert_eq!(counts, [30, 30, 30]);
    let lower = call.world.said.iter().find_map(|output| match output {
        Output::Frame(frame) if frame.rung == 0 => Some(frame.lower),
        _ => None,
    });
    assert_eq!(lower, Some(2));
    call.world.input(Input::TakeLayers {
        track: TRACK,
        on: false,
    });
    call.world.said.clear();
    call.pictures(30, &["q", "h", "f"]);
    let left: Vec<u8> = rungs(&call).iter().map(|(rung, ..)| *rung).collect();
    assert_eq!(left, [0]);
}

#[test]
fn key_frames_of_all_layers_that_are_taken_are_asked_for_at_once() {
    let mut call = taken();
    call.world.run(ms(600));
    call.world.clients[call.ada].key_frame_requests.clear();
    call.world.input(Input::RequestKeyFrame { track: TRACK });
    call.world.run(ms(10));
    let requests = &call.world.clients[call.ada].key_frame_requests;
    let mut asked: Vec<String> = requests
        .iter()
        .filter_map(|(_, _, rid)| Some(rid.as_ref()?.to_string()))
        .collect();
    asked.sort();
    assert_eq!(asked, ["f", "h", "q"]);
    let first = requests[0].0;
    assert!(requests.iter().all(|(at, ..)| *at == first));
}

#[test]
fn the_layer_that_has_become_the_best_is_no_lower_one_and_the_lowest_goes_on() {
    let mut call = taken();
    call.pictures(60, &["q", "h"]);
    call.world.said.clear();
    call.pictures(30, &["q", "h"]);
    let now: Vec<(u8, String)> = rungs(&call)
        .into_iter()
        .map(|(rung, _, layer, _)| (rung, layer))
        .collect();
    assert_eq!(now, [(0, "h".to_owned()), (2, "q".to_owned())]);
    call.pictures(60, &["q", "h", "f"]);
    call.world.said.clear();
    call.pictures(30, &["q", "h", "f"]);
    let layers: Vec<String> = rungs(&call)
        .into_iter()
        .map(|(_, _, layer, _)| layer)
        .collect();
    assert_eq!(layers, ["f", "h", "q"]);
}
