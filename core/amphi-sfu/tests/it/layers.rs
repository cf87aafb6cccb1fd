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
                let size = match *layer {
                    "q" => (160, 90),
                    "h" => (320, 180),
                    _ => (640, 360),
                };
                let mut payload = match asked || self.sent == 0 {
                    true => made::vp8_key(size, picture, picture as u8),
                    false => made::vp8(false, picture, picture as u8),
                };
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

    fn take_frames(&mut self, on: bool) {
        self.world.input(Input::TakeFrames { track: TRACK, on });
    }

    fn frame_size(&mut self, size: Option<VideoSize>) {
        self.world.input(Input::FrameSize { track: TRACK, size });
    }

    fn demands(&self) -> Vec<Option<Layer>> {
        demands(&self.world)
    }

    /// Whether Bo was told that his line pauses, or is back.
    fn states(&self) -> Vec<bool> {
        let state = |output: &Output| match output {
            Output::StreamState { active, .. } => Some(*active),
            _ => None,
        };
        self.world.said.iter().filter_map(state).collect()
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

/// Up to which layer the publisher was told that somebody takes the track, each time.
fn demands(world: &World) -> Vec<Option<Layer>> {
    let demand = |output: &Output| match output {
        Output::Demand { most, .. } => Some(*most),
        _ => None,
    };
    world.said.iter().filter_map(demand).collect()
}

#[test]
fn the_highest_layer_is_carried_by_default_and_the_layers_are_told() {
    let mut call = call();
    call.pictures(15, &["q", "h", "f"]);
    assert_eq!(call.seen().chars().last(), Some('f'));
    let size = |width, height| Some(VideoSize::new(width, height));
    assert_eq!(
        call.newest_layers(),
        [
            (Layer::LOW, size(160, 90)),
            (Layer::MEDIUM, size(320, 180)),
            (Layer::HIGH, size(640, 360))
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
    assert_eq!(call.states(), Vec::<bool>::new());
    call.world.run(ms(3_000));
    assert_eq!(call.states(), [false]);
    call.pictures(5, &["q", "h", "f"]);
    assert_eq!(call.states(), [false, true]);
}

#[test]
fn a_publisher_is_told_late_of_less_and_at_once_of_more() {
    let mut call = call();
    call.pictures(20, &["q", "h", "f"]);
    call.want(Want::AtMost(Layer::LOW));
    call.pictures(140, &["q", "h", "f"]);
    assert_eq!(call.demands(), [], "not before some seconds have passed");
    call.pictures(20, &["q", "h", "f"]);
    assert_eq!(call.demands(), [Some(Layer::LOW)]);
    call.want(Want::AtMost(Layer::MEDIUM));
    assert_eq!(call.demands(), [Some(Layer::LOW), Some(Layer::MEDIUM)]);
    call.pictures(10, &["q"]);
    call.pictures(20, &["q", "h"]);
    assert!(
        call.seen().ends_with("qh"),
        "what is there first, and what was asked for when it comes: {}",
        call.seen()
    );
    call.want(Want::Paused);
    call.world.run(ms(5_100));
    assert_eq!(call.demands().last(), Some(&None));
}

#[test]
fn a_track_that_nobody_takes_is_found_from_its_publication_on() {
    let mut world = World::new();
    let ada = world.join();
    let mid = world.publish(ada, TRACK, MediaKind::Video, &["q", "h", "f"]);
    let mut call = Call {
        world,
        ada,
        bo: ada,
        mid,
        bo_mid: mid,
        sent: 0,
    };
    call.pictures(100, &["q", "h", "f"]);
    assert_eq!(call.demands(), []);
    call.pictures(60, &["q", "h", "f"]);
    assert_eq!(call.demands(), [None]);
    call.bo = call.world.join();
    call.bo_mid = call.world.subscribe(call.bo, TRACK, 3);
    assert_eq!(call.demands(), [None, Some(Layer::HIGH)]);
    call.pictures(2, &["q", "h", "f"]);
    assert!(!call.seen().is_empty(), "the first picture is shown");
    let session = call.world.clients[call.bo].session;
    call.world.input(Input::CloseSession { session });
    call.world.run(ms(5_100));
    assert_eq!(
        call.demands().last(),
        Some(&None),
        "whoever left takes nothing"
    );
}

#[test]
fn a_track_at_rest_is_not_called_silent_before_it_had_time_to_come_back() {
    let mut call = call();
    call.pictures(20, &["q", "h", "f"]);
    call.want(Want::Paused);
    call.world.run(ms(8_000));
    call.want(Want::AtMost(Layer::HIGH));
    assert_eq!(call.demands(), [None, Some(Layer::HIGH)]);
    call.world.run(ms(1_900));
    assert_eq!(call.states(), Vec::<bool>::new());
    call.world.run(ms(200));
    assert_eq!(call.states(), [false]);
    call.pictures(5, &["q", "h", "f"]);
    assert_eq!(call.states(), [false, true]);
}

#[test]
fn who_takes_frames_asks_for_the_layer_that_fills_its_place() {
    let mut call = call();
    call.pictures(20, &["q", "h", "f"]);
    call.want(Want::Paused);
    call.take_frames(true);
    call.frame_size(Some(VideoSize::new(320, 180)));
    call.pictures(160, &["q", "h", "f"]);
    assert_eq!(call.demands(), [Some(Layer::MEDIUM)]);
    call.frame_size(None);
    assert_eq!(call.demands().last(), Some(&Some(Layer::HIGH)));
    call.frame_size(Some(VideoSize::default()));
    call.pictures(160, &["q", "h", "f"]);
    assert_eq!(
        call.demands().last(),
        Some(&Some(Layer::LOW)),
        "one that is not drawn may be in a moment"
    );
    call.take_frames(false);
    call.world.run(ms(5_100));
    assert_eq!(call.demands().last(), Some(&None));
    call.take_frames(true);
    assert_eq!(
        call.demands().last(),
        Some(&Some(Layer::HIGH)),
        "what another one wanted is forgotten"
    );
}

#[test]
fn a_track_of_one_layer_is_taken_whole_or_not_at_all() {
    let mut world = World::new();
    let (ada, bo) = (world.join(), world.join());
    world.publish(ada, TRACK, MediaKind::Video, &[]);
    world.subscribe(bo, TRACK, 3);
    let session = world.clients[bo].session;
    world.input(Input::Select {
        session,
        track: TRACK,
        want: Want::AtMost(Layer::LOW),
    });
    world.run(ms(6_000));
    assert_eq!(demands(&world), []);
    world.input(Input::Select {
        session,
        track: TRACK,
        want: Want::Paused,
    });
    world.run(ms(6_000));
    assert_eq!(demands(&world), [None]);
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
