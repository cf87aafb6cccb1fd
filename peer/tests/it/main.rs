//! A peer against the smallest server that could be: the WebRTC library itself, told what to answer by hand.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peer::protocol as proto;
use peer::protocol::signal_request::Message as Request;
use peer::protocol::signal_response::Message as Response;
use peer::{Announcement, Certificate, Channel, Codec, Config, Event, Form, Input, Output, Peer};
use prost::Message as _;
use str0m::change::SdpOffer;
use str0m::media::{MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Rtc, RtcConfig};

const PEER: &str = "127.0.0.1:4000";
const SERVER: &str = "127.0.0.1:5000";

/// A peer and its server, joined by a wire without delay, in a time of their own.
struct World {
    now: Instant,
    peer: Peer,
    server: Rtc,
    requests: VecDeque<Request>,
    events: Vec<Event>,
    received: Vec<(u64, Vec<u8>)>,
    opened: Vec<String>,
}

impl World {
    fn new(form: Form) -> Self {
        let now = Instant::now();
        let peer = Peer::new(now, Config::new(form, address(PEER), Certificate::new()));
        let mut server = RtcConfig::new()
            .set_ice_lite(true)
            .set_rtp_mode(true)
            .build(now);
        server.add_local_candidate(Candidate::host(address(SERVER), "udp").expect("a host"));
        let (requests, events) = (VecDeque::new(), Vec::new());
        Self {
            now,
            peer,
            server,
            requests,
            events,
            received: Vec::new(),
            opened: Vec::new(),
        }
    }

    /// Joins, with the first offer answered.
    fn joined() -> Self {
        let mut world = Self::new(Form::Single);
        let offer = world.peer.join_request().publisher_offer.expect("an offer");
        world.peer.handle_input(world.now, Input::SocketOpened);
        world.respond(Response::Join(proto::JoinResponse {
            participant: Some(proto::ParticipantInfo {
                sid: "PA_me".into(),
                ..Default::default()
            }),
            ping_interval: 5,
            ..Default::default()
        }));
        world.answer(&offer, |sdp| sdp);
        world.run(Duration::from_secs(2));
        world
    }

    fn respond(&mut self, message: Response) {
        let bytes = proto::SignalResponse {
            message: Some(message),
        }
        .encode_to_vec();
        self.peer
            .handle_input(self.now, Input::SocketMessage(&bytes));
    }

    fn answer(&mut self, offer: &proto::SessionDescription, rewrite: impl Fn(String) -> String) {
        let parsed = SdpOffer::from_sdp_string(&offer.sdp).expect("an offer that can be read");
        let answer = self
            .server
            .sdp_api()
            .accept_offer(parsed)
            .expect("an offer that can be taken");
        self.respond(Response::Answer(proto::SessionDescription {
            r#type: "answer".into(),
            sdp: rewrite(answer.to_sdp_string()),
            id: offer.id,
            ..Default::default()
        }));
    }

    fn next_offer(&mut self) -> proto::SessionDescription {
        self.step();
        while let Some(request) = self.requests.pop_front() {
            if let Request::Offer(offer) = request {
                return offer;
            }
        }
        panic!("no offer came");
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(10);
            self.peer.handle_input(self.now, Input::Timeout);
            self.server
                .handle_input(str0m::Input::Timeout(self.now))
                .expect("a living server");
            self.step();
        }
    }

    /// Carries everything over until nobody has anything to say.
    fn step(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(output) = self.peer.poll_output() {
                quiet = false;
                match output {
                    Output::SocketSend(bytes) => {
                        let request = proto::SignalRequest::decode(bytes).expect("a request");
                        self.requests.extend(request.message);
                    }
                    Output::Transmit {
                        source,
                        destination,
                        bytes,
                    } => {
                        let receive = Receive::new(Protocol::Udp, source, destination, &bytes)
                            .expect("a datagram");
                        self.server
                            .handle_input(str0m::Input::Receive(self.now, receive))
                            .expect("a living server");
                        self.drain_server();
                    }
                    Output::Event(event) => self.events.push(event),
                    Output::SocketClose => {}
                }
            }
            self.drain_server();
            if quiet {
                return;
            }
        }
    }

    fn drain_server(&mut self) {
        loop {
            match self.server.poll_output().expect("a living server") {
                str0m::Output::Timeout(_) => return,
                str0m::Output::Transmit(transmit) => {
                    let (source, destination) = (transmit.source, transmit.destination);
                    let input = Input::Datagram {
                        source,
                        destination,
                        bytes: &transmit.contents,
                    };
                    self.peer.handle_input(self.now, input);
                }
                str0m::Output::Event(str0m::Event::RtpPacket(packet)) => {
                    self.received
                        .push((*packet.seq_no, packet.payload.to_vec()));
                }
                str0m::Output::Event(str0m::Event::ChannelOpen(_, label)) => {
                    self.opened.push(label)
                }
                str0m::Output::Event(_) => {}
            }
        }
    }

    fn saw(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(wanted)
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// The mid of the `nth` line of a kind in a description.
fn nth_line(sdp: &str, kind: &str, nth: usize) -> String {
    let section = sdp
        .split("m=")
        .filter(|section| section.starts_with(kind))
        .nth(nth)
        .expect("such a line");
    let mid = section
        .lines()
        .find_map(|line| line.strip_prefix("a=mid:"))
        .expect("a mid");
    mid.trim().to_owned()
}

#[test]
fn a_peer_connects_and_opens_the_three_channels() {
    let world = World::joined();
    assert!(world.peer.is_connected());
    assert!(world.saw(|event| matches!(event, Event::Joined(_))));
    let mut opened = world.opened.clone();
    opened.sort();
    assert_eq!(opened, ["_data_track", "_lossy", "_reliable"]);
    assert!(
        Channel::ALL
            .into_iter()
            .all(|channel| world.peer.can_send_data(channel))
    );
}

#[test]
fn a_published_track_is_announced_offered_and_sent_in_order() {
    let mut world = World::joined();
    let id = world
        .peer
        .publish(world.now, Announcement::camera(Codec::H264, 1280, 720));
    world.step();
    let Some(Request::AddTrack(request)) = world.requests.pop_back() else {
        panic!("no announcement")
    };
    world.respond(Response::TrackPublished(proto::TrackPublishedResponse {
        cid: request.cid.clone(),
        track: Some(proto::TrackInfo {
            sid: "TR_mine".into(),
            ..Default::default()
        }),
    }));
    let offer = world.next_offer();
    assert!(
        offer
            .sdp
            .contains(&format!("a=msid:peer-stream {}", request.cid)),
        "{}",
        offer.sdp
    );
    world.answer(&offer, |sdp| sdp);
    world.run(Duration::from_millis(50));
    assert!(
        world.saw(|event| matches!(event, Event::Sending { publication } if *publication == id))
    );

    let frame = [&[0, 0, 0, 1, 0x65][..], &[9; 3_000]].concat();
    assert_eq!(
        world
            .peer
            .write_frame(world.now, id, None, &frame, 3_000, None),
        3
    );
    world.run(Duration::from_millis(50));
    let sequences: Vec<u64> = world
        .received
        .iter()
        .map(|(sequence, _)| *sequence)
        .collect();
    assert_eq!(sequences, [1, 2, 3]);
}

#[test]
fn a_line_that_the_answer_labels_carries_a_track_until_the_label_goes() {
    let mut world = World::joined();
    // "Please offer again", then the label on the second video line.
    world.respond(Response::MediaSectionsRequirement(
        proto::MediaSectionsRequirement::default(),
    ));
    let offer = world.next_offer();
    let mid = nth_line(&offer.sdp, "video", 1);
    let labelled = |sdp: String| -> String {
        let mut ours = false;
        sdp.lines()
            .map(|line| {
                if line.starts_with("m=") {
                    ours = false;
                }
                ours |= line == format!("a=mid:{mid}");
                let label = if ours && line.starts_with("a=msid:") {
                    "a=msid:PA_ada|TR_cam TR_cam"
                } else {
                    line
                };
                format!("{label}\r\n")
            })
            .collect()
    };
    world.answer(&offer, labelled);
    assert_eq!(
        world
            .peer
            .subscribed()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["TR_cam"]
    );

    let params = world
        .server
        .codec_config()
        .find(|param| param.spec().codec == str0m::format::Codec::Vp8);
    let pt = params.expect("VP8").pt();
    for sequence in 1..=3 {
        let now = world.now;
        let mut api = world.server.direct_api();
        let stream = api
            .stream_tx_by_mid(Mid::from(mid.as_str()), None)
            .expect("a line to send on");
        stream
            .write_rtp(RtpWrite::new(pt, sequence.into(), 90, now, &[0x90, 1, 2][..]).marker(true));
        world.run(Duration::from_millis(20));
    }
    let packets = world.events.iter().filter_map(|event| match event {
        Event::Rtp(rtp) => Some((
            rtp.track.as_ref().map(ToString::to_string),
            rtp.sequence,
            rtp.marker,
        )),
        _ => None,
    });
    let track = Some("TR_cam".to_owned());
    let expected: Vec<_> = (1..=3)
        .map(|sequence| (track.clone(), sequence, true))
        .collect();
    assert_eq!(packets.collect::<Vec<_>>(), expected);

    world.respond(Response::MediaSectionsRequirement(
        proto::MediaSectionsRequirement::default(),
    ));
    let offer = world.next_offer();
    world.answer(&offer, |sdp| sdp);
    world.step();
    assert_eq!(world.peer.subscribed().count(), 0);
    assert!(world.saw(
        |event| matches!(event, Event::TrackUnsubscribed { track } if track.as_str() == "TR_cam")
    ));
}

#[test]
fn an_offer_made_before_the_channels_are_open_opens_none_twice() {
    let mut world = World::new(Form::Single);
    let offer = world.peer.join_request().publisher_offer.expect("an offer");
    world.peer.handle_input(world.now, Input::SocketOpened);
    world.respond(Response::Join(proto::JoinResponse::default()));
    world.answer(&offer, |sdp| sdp);
    world.respond(Response::MediaSectionsRequirement(
        proto::MediaSectionsRequirement::default(),
    ));
    let offer = world.next_offer();
    world.answer(&offer, |sdp| sdp);
    world.run(Duration::from_secs(2));
    assert_eq!(world.opened.len(), 3, "{:?}", world.opened);
}

#[test]
fn more_lines_are_offered_when_the_server_needs_them() {
    let mut world = World::joined();
    world.respond(Response::MediaSectionsRequirement(
        proto::MediaSectionsRequirement {
            num_audios: 2,
            num_videos: 1,
        },
    ));
    let offer = world.next_offer();
    assert_eq!(offer.id, 2);
    assert_eq!(offer.sdp.matches("m=audio").count(), 5);
    assert_eq!(offer.sdp.matches("m=video").count(), 4);
    world.answer(&offer, |sdp| sdp);
    world.run(Duration::from_millis(50));
    assert!(!world.saw(|event| matches!(event, Event::Failed(_))));
}

#[test]
fn in_the_pair_form_the_server_offers_what_it_sends() {
    let mut world = World::new(Form::Pair);
    world.peer.handle_input(world.now, Input::SocketOpened);
    world.respond(Response::Join(proto::JoinResponse {
        participant: Some(proto::ParticipantInfo {
            sid: "PA_me".into(),
            ..Default::default()
        }),
        subscriber_primary: true,
        ..Default::default()
    }));
    let mut api = world.server.sdp_api();
    let (stream, track) = ("PA_ada|TR_mic".to_owned(), "TR_mic".to_owned());
    api.add_media(
        MediaKind::Audio,
        str0m::media::Direction::SendOnly,
        Some(stream),
        Some(track),
        None,
    );
    let (offer, pending) = api.apply().expect("an offer");
    world.respond(Response::Offer(proto::SessionDescription {
        r#type: "offer".into(),
        sdp: offer.to_sdp_string(),
        id: 7,
        ..Default::default()
    }));
    world.step();
    let answer = world.requests.iter().find_map(|request| match request {
        Request::Answer(answer) => Some(answer.clone()),
        _ => None,
    });
    let answer = answer.expect("an answer");
    assert_eq!(answer.id, 7);
    let parsed =
        str0m::change::SdpAnswer::from_sdp_string(&answer.sdp).expect("an answer that can be read");
    world
        .server
        .sdp_api()
        .accept_answer(pending, parsed)
        .expect("an answer that can be taken");
    world.run(Duration::from_secs(2));
    assert_eq!(
        world
            .peer
            .subscribed()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["TR_mic"]
    );
    assert!(world.saw(|event| matches!(event, Event::Connected(peer::Connection::Subscriber))));
}

#[test]
fn a_peer_pings_as_often_as_the_server_asks() {
    let mut world = World::joined();
    world.requests.clear();
    world.run(Duration::from_secs(11));
    let pings = world
        .requests
        .iter()
        .filter(|request| matches!(request, Request::PingReq(_)))
        .count();
    assert_eq!(pings, 2);
}
