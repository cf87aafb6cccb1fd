//! A house in this process, members over real sockets, and what bad input, lost grants and broken sockets do to a call.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amphi::config::{Config, Overrides, ProgramWord};
use amphi::serve::Server;
use peer::net::{Handle, Options, connect};
use peer::protocol as proto;
use peer::protocol::signal_request::Message as Request;
use peer::token::Token;
use peer::{Announcement, Channel, Codec, Connection, Event, Form, PublicationId, Setting, Sid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinHandle;

/// How long anything may take on a machine that is busy.
const SOON: Duration = Duration::from_secs(15);
const TICK: Duration = Duration::from_millis(20);
/// How long something has to stay away until it counts as gone.
const WHILE: Duration = Duration::from_millis(700);
const ROOM: &str = "hall";
/// DisconnectReason.DUPLICATE_IDENTITY
const DUPLICATE_IDENTITY: i32 = 2;

struct House {
    _server: Server,
    address: SocketAddr,
    options: [Options; 2],
    _folder: tempfile::TempDir,
}

impl House {
    async fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let overrides = Overrides {
            dev: true,
            http_port: Some(0),
            udp_port: Some(0),
            tcp_port: Some(0),
            data_dir: Some(folder.path().to_owned()),
            ..Overrides::default()
        };
        let mut config = Config::load(None, &overrides).expect("a good configuration");
        // This process is a test, and cannot be started as a composer.
        config.program.kind = ProgramWord::Cut;
        let server = Server::start(config).await.expect("a house");
        let address = server
            .url()
            .trim_start_matches("http://")
            .parse()
            .expect("an address");
        let options = [Form::Single, Form::Pair].map(Options::new);
        Self {
            _server: server,
            address,
            options,
            _folder: folder,
        }
    }

    fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    async fn join(&self, identity: &str, form: Form) -> Member {
        join(
            &self.url(),
            identity,
            &self.options[usize::from(form == Form::Pair)],
        )
        .await
    }

    /// Ada, who publishes, and Bo, who has both of it.
    async fn call(&self, forms: [Form; 2]) -> (Member, Speech, Member) {
        let mut ada = self.join("ada", forms[0]).await;
        let speech = ada.speak().await;
        let mut bo = self.join("bo", forms[1]).await;
        bo.until("Ada's sound and picture", |bo| {
            bo.sounds.len() > 5 && bo.pictures.len() > 5
        })
        .await;
        (ada, speech, bo)
    }

    async fn ask(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address)
            .await
            .expect("a connection");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("text");
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status");
        (
            status,
            answer
                .split_once("\r\n\r\n")
                .map_or(String::new(), |(_, body)| body.to_owned()),
        )
    }

    /// Waits until numbers of `/metrics`, by their whole names with labels, come to so many together: they are counted
    /// at once and shown a little later.
    async fn counted(&self, names: &[&str], at_least: f64) {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let (_, page) = self.ask("GET", "/metrics", "", "").await;
            let number = |name: &&str| -> f64 {
                let found = page
                    .lines()
                    .find_map(|line| line.strip_prefix(*name)?.strip_prefix(' '));
                found
                    .unwrap_or_else(|| panic!("no {name} in\n{page}"))
                    .parse()
                    .expect("a number")
            };
            let sum: f64 = names.iter().map(number).sum();
            if sum >= at_least {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "{names:?} are {sum} together, not {at_least}"
            );
            tokio::time::sleep(TICK).await;
        }
    }
}

async fn join(url: &str, identity: &str, options: &Options) -> Member {
    let token = Token::dev(ROOM, identity, now_s()).sign();
    let mut handle = connect(url, &token, options).await.expect("let in");
    let joined = |event: &Event| matches!(event, Event::Joined(_)).then_some(());
    handle
        .wait("a welcome", SOON, joined)
        .await
        .expect("taken in");
    Member {
        handle,
        sounds: BTreeSet::new(),
        pictures: BTreeSet::new(),
        layers: Vec::new(),
        events: Vec::new(),
    }
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
}

fn admin() -> String {
    Token::dev(ROOM, "warden", now_s())
        .grant("roomAdmin", true)
        .sign()
}

/// One member, and what reached it.
struct Member {
    handle: Handle,
    /// Numbers of the sounds and of the pictures that came, as the speaker counted them.
    sounds: BTreeSet<u32>,
    pictures: BTreeSet<u32>,
    /// Of each picture: its layer and its sequence number, in order of arrival.
    layers: Vec<(String, u64)>,
    events: Vec<Event>,
}

/// Somebody publishes, until this is dropped: a sound and a picture every 20 ms, each with its number.
struct Speech {
    talking: JoinHandle<()>,
    /// The next number.
    number: Arc<AtomicU32>,
    silent: Arc<AtomicBool>,
}

impl Drop for Speech {
    fn drop(&mut self) {
        self.talking.abort();
    }
}

impl Speech {
    fn number(&self) -> u32 {
        self.number.load(Ordering::SeqCst)
    }
}

impl Member {
    async fn speak(&mut self) -> Speech {
        self.speak_with(Announcement::camera(Codec::Vp8, 640, 360))
            .await
    }

    async fn speak_with(&mut self, camera: Announcement) -> Speech {
        let rids = camera.rids.clone();
        let microphone = self.publish(Announcement::microphone()).await;
        let camera = self.publish(camera).await;
        let (caller, number, silent) = (
            self.handle.caller(),
            Arc::<AtomicU32>::default(),
            Arc::<AtomicBool>::default(),
        );
        let talking = tokio::spawn({
            let (number, silent) = (number.clone(), silent.clone());
            async move {
                let mut ticks = tokio::time::interval(TICK);
                loop {
                    ticks.tick().await;
                    if silent.load(Ordering::SeqCst) {
                        continue;
                    }
                    let (number, rids) = (number.clone(), rids.clone());
                    caller.tell(move |peer, now| {
                        // Counted where it is sent: who reads the number knows that those before it have been sent.
                        let own = number.fetch_add(1, Ordering::SeqCst);
                        let sound = [&[0xfc, 0xff, 0xfe], stamp("s", own).as_bytes()].concat();
                        peer.write_frame(now, microphone, None, &sound, own * 960, Some(20));
                        let layers: Vec<Option<&str>> = if rids.is_empty() {
                            vec![None]
                        } else {
                            rids.iter().map(|rid| Some(rid.as_str())).collect()
                        };
                        for rid in layers {
                            let head = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
                            let picture =
                                [&head[..], stamp(rid.unwrap_or("p"), own).as_bytes()].concat();
                            peer.write_frame(now, camera, rid, &picture, own * 1_800, None);
                        }
                    });
                }
            }
        });
        Speech {
            talking,
            number,
            silent,
        }
    }

    /// Publishes, and waits until it can be sent.
    async fn publish(&mut self, announcement: Announcement) -> PublicationId {
        let id = self
            .handle
            .call(move |peer, now| peer.publish(now, announcement))
            .await
            .expect("a peer");
        let stands = |event: &Event| {
            matches!(event, Event::Sending { publication } if *publication == id).then_some(())
        };
        self.handle
            .wait("a line to send on", SOON, stands)
            .await
            .expect("it stands");
        while !self
            .handle
            .call(|peer, _| peer.is_connected())
            .await
            .expect("a peer")
        {
            tokio::time::sleep(TICK).await;
        }
        id
    }

    fn listen(&mut self) {
        for (_, event) in self.handle.take() {
            let Event::Rtp(rtp) = event else {
                self.events.push(event);
                continue;
            };
            let Some((layer, number)) = read_stamp(&rtp.payload) else {
                panic!("a packet that nobody made")
            };
            if layer == "s" {
                self.sounds.insert(number);
            } else {
                self.pictures.insert(number);
                self.layers.push((layer, rtp.sequence));
            }
        }
    }

    async fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            self.listen();
            if done(self) {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "did not come: {what}; {:?}",
                self.events
            );
            tokio::time::sleep(TICK).await;
        }
    }

    /// Both come still: ten more of each.
    async fn hears_and_sees_on(&mut self, what: &str) {
        self.listen();
        let (sounds, pictures) = (self.sounds.len() + 10, self.pictures.len() + 10);
        self.until(what, |bo| {
            bo.sounds.len() >= sounds && bo.pictures.len() >= pictures
        })
        .await;
        let ended = |event: &Event| {
            matches!(
                event,
                Event::Disconnected(_) | Event::Left(_) | Event::Failed(_)
            )
        };
        assert!(!self.events.iter().any(ended), "{:?}", self.events);
    }

    async fn listen_for(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
        self.listen();
    }

    fn saw(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(wanted)
    }
}

fn stamp(layer: &str, number: u32) -> String {
    format!("<{layer}{number:08}>")
}

fn read_stamp(payload: &[u8]) -> Option<(String, u32)> {
    let text = std::str::from_utf8(payload.get(payload.len().checked_sub(11)?..)?).ok()?;
    let text = text.strip_prefix('<')?.strip_suffix('>')?;
    let (layer, number) = text.split_at_checked(1)?;
    Some((layer.to_owned(), number.parse().ok()?))
}

/// Bytes that look like nothing in particular, the same every time.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_both_forms_see_and_hear_each_other() {
    let house = House::open().await;
    for forms in [[Form::Single, Form::Pair], [Form::Pair, Form::Single]] {
        let (ada, speech, mut bo) = house.call(forms).await;
        let _back = bo.speak().await;
        let mut ada = ada;
        ada.until("Bo's sound and picture", |ada| {
            ada.sounds.len() > 5 && ada.pictures.len() > 5
        })
        .await;
        bo.hears_and_sees_on("both at once").await;
        while !ada
            .handle
            .call(|peer, _| peer.can_send_data(Channel::Reliable))
            .await
            .expect("a peer")
        {
            tokio::time::sleep(TICK).await;
        }
        bo.until("a channel for data", |bo| {
            bo.saw(|event| matches!(event, Event::ChannelOpen(Channel::Reliable)))
        })
        .await;
        let said =
            |peer: &mut peer::Peer, now| peer.send_data(now, Channel::Reliable, "t", b"hello", &[]);
        assert!(
            ada.handle.call(said).await.expect("a peer"),
            "the channel takes it"
        );
        let hello = |event: &Event| {
            matches!(
                event,
                Event::Data {
                    channel: Channel::Reliable,
                    ..
                }
            )
        };
        bo.until("data", |bo| bo.saw(hello)).await;
        drop(speech);
        for member in [&ada, &bo] {
            member.handle.tell(|peer, now| peer.leave(now));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_srtp_in_mid_call_is_counted_and_ends_nothing() {
    let house = House::open().await;
    let (ada, _speech, mut bo) = house.call([Form::Single, Form::Single]).await;
    for number in 0..500_u32 {
        // Version 2, every payload type, Ada's own address; what follows was never encrypted with her key.
        let mut packet = noise(200, number);
        packet[0] = 0x80;
        packet[1] = (number % 128) as u8;
        ada.handle.inject(packet);
        // And records of DTLS that no handshake has agreed on.
        let mut record = noise(100, number);
        record[..3].copy_from_slice(&[23, 0xfe, 0xfd]);
        ada.handle.inject(record);
    }
    bo.hears_and_sees_on("Ada, through the noise").await;
    let unused = "amphi_events_total{part=\"sfu\",event=\"rtp_unused\"}";
    let flood = "amphi_packets_dropped_total{part=\"sfu\",reason=\"ssrc_flood\"}";
    house.counted(&[unused, flood], 300.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_on_the_media_port_is_counted_and_answered_with_nothing() {
    let house = House::open().await;
    let (ada, _speech, mut bo) = house.call([Form::Single, Form::Single]).await;
    let media = ada.handle.media().expect("Ada has sent");
    let stranger = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    for number in 0..600_u32 {
        let mut bytes = noise(number as usize % 300, number);
        if let Some(first) = bytes.first_mut() {
            *first = (number % 256) as u8;
        }
        stranger.send_to(&bytes, media).await.expect("sent");
    }
    bo.hears_and_sees_on("Ada, through the noise").await;
    let source = "amphi_packets_dropped_total{part=\"door\",reason=\"unknown_source\"}";
    let ufrag = "amphi_packets_dropped_total{part=\"door\",reason=\"unknown_ufrag\"}";
    house.counted(&[source, ufrag], 500.0).await;
    let mut buffer = [0; 2_048];
    let answer =
        tokio::time::timeout(Duration::from_millis(300), stranger.recv_from(&mut buffer)).await;
    assert!(answer.is_err(), "a stranger got an answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dtls_hello_from_an_unverified_source_starts_nothing() {
    let house = House::open().await;
    let (ada, _speech, mut bo) = house.call([Form::Single, Form::Single]).await;
    let media = ada.handle.media().expect("Ada has sent");
    let stranger = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    // A ClientHello of DTLS 1.2 (RFC 6347 §4.2), with one cipher suite and no extension.
    let mut body = vec![0xfe, 0xfd];
    body.extend(noise(32, 1));
    body.extend([0, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let length = (body.len() as u32).to_be_bytes();
    let mut handshake = vec![
        1, length[1], length[2], length[3], 0, 0, 0, 0, 0, length[1], length[2], length[3],
    ];
    handshake.extend(&body);
    let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0];
    record.extend((handshake.len() as u16).to_be_bytes());
    record.extend(&handshake);
    for _ in 0..20 {
        stranger.send_to(&record, media).await.expect("sent");
    }
    let mut buffer = [0; 2_048];
    let answer =
        tokio::time::timeout(Duration::from_millis(500), stranger.recv_from(&mut buffer)).await;
    assert!(answer.is_err(), "a stranger got an answer");
    bo.hears_and_sees_on("Ada, undisturbed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_that_makes_no_sense_harms_nobody_else() {
    let house = House::open().await;
    let (_ada, _speech, mut bo) = house.call([Form::Single, Form::Single]).await;
    let fool = house.join("fool", Form::Single).await;
    let sound = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 200\r\n\
                 a=mid:0\r\na=rtpmap:200 opus/48000/2\r\na=sendonly\r\n";
    let long = "a=x\r\n".repeat(40_000);
    for sdp in ["", "nonsense", "v=0\r\n", sound, &long] {
        let offer = proto::SessionDescription {
            r#type: "offer".into(),
            sdp: sdp.into(),
            id: 9,
            ..Default::default()
        };
        fool.handle
            .tell(move |peer, _| peer.send(Request::Offer(offer)));
    }
    let answer = proto::SessionDescription {
        r#type: "answer".into(),
        sdp: sound.into(),
        id: 9,
        ..Default::default()
    };
    fool.handle
        .tell(move |peer, _| peer.send(Request::Answer(answer)));
    bo.hears_and_sees_on("Ada, undisturbed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_stops_sending_is_said_to_and_comes_back() {
    let house = House::open().await;
    let (_ada, speech, mut bo) = house.call([Form::Single, Form::Single]).await;
    speech.silent.store(true, Ordering::SeqCst);
    let state = |wanted: proto::StreamState| move |event: &Event| matches!(event, Event::StreamStates(states) if states.iter().any(|info| info.state() == wanted));
    bo.until("word that the stream has paused", |bo| {
        bo.saw(state(proto::StreamState::Paused))
    })
    .await;
    bo.events.clear();
    speech.silent.store(false, Ordering::SeqCst);
    bo.until("word that the stream is active", |bo| {
        bo.saw(state(proto::StreamState::Active))
    })
    .await;
    bo.hears_and_sees_on("Ada, who is back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_join_with_the_same_identity_ends_the_first_and_says_why() {
    let house = House::open().await;
    let (mut first, _speech, mut bo) = house.call([Form::Single, Form::Single]).await;
    let mut second = house.join("ada", Form::Single).await;
    let left = |event: &Event| match event {
        Event::Left(leave) => Some((leave.reason, leave.action())),
        _ => None,
    };
    let (reason, action) = first
        .handle
        .wait("a goodbye", SOON, left)
        .await
        .expect("it comes");
    assert_eq!(
        (reason, action),
        (DUPLICATE_IDENTITY, proto::leave_request::Action::Disconnect)
    );
    let _again = second.speak().await;
    bo.listen_for(WHILE).await;
    bo.sounds.clear();
    bo.pictures.clear();
    bo.until("the second Ada", |bo| {
        bo.sounds.len() > 5 && bo.pictures.len() > 5
    })
    .await;
    let (status, room) = house
        .ask("GET", &format!("/api/rooms/{ROOM}"), "", "")
        .await;
    assert_eq!(
        (status, room.matches("\"identity\":\"ada\"").count()),
        (200, 1),
        "{room}"
    );
}

/// From the answer on, not one more picture that is sent is forwarded; sound goes on, and so does the member.
#[tokio::test(flavor = "multi_thread")]
async fn who_loses_the_camera_is_not_forwarded_one_more_packet_and_stays() {
    let house = House::open().await;
    let (mut ada, speech, mut bo) = house.call([Form::Single, Form::Pair]).await;
    let path = format!("/api/rooms/{ROOM}/members/ada");
    let (status, answer) = house
        .ask(
            "PATCH",
            &path,
            &admin(),
            r#"{"canPublishSources":["microphone"]}"#,
        )
        .await;
    assert_eq!(status, 200, "{answer}");
    let lost_at = speech.number();
    bo.listen_for(WHILE).await;
    let late: Vec<u32> = bo
        .pictures
        .iter()
        .copied()
        .filter(|number| *number > lost_at)
        .collect();
    assert_eq!(
        late,
        [] as [u32; 0],
        "pictures sent after the camera was lost"
    );
    let sounds = bo.sounds.len() + 10;
    bo.until("sound, still", |bo| bo.sounds.len() >= sounds)
        .await;
    let changed = |event: &Event| match event {
        Event::PermissionsChanged(permission) => Some(permission.can_publish_sources.clone()),
        _ => None,
    };
    let sources = ada
        .handle
        .wait("word of it", SOON, changed)
        .await
        .expect("it comes");
    assert_eq!(sources, [proto::TrackSource::Microphone as i32]);

    // A new camera is refused, in words.
    let camera = Announcement::camera(Codec::H264, 640, 360);
    ada.handle
        .call(move |peer, now| peer.publish(now, camera))
        .await
        .expect("a peer");
    let refused = |event: &Event| match event {
        Event::RequestResponse(response) => Some((response.reason(), response.message.clone())),
        _ => None,
    };
    let (reason, words) = ada
        .handle
        .wait("a refusal", SOON, refused)
        .await
        .expect("it comes");
    assert_eq!(
        reason,
        proto::request_response::Reason::NotAllowed,
        "{words}"
    );
    assert!(words.contains("camera"), "{words}");

    // Given back, she can publish it again.
    let (status, answer) = house
        .ask("PATCH", &path, &admin(), r#"{"canPublishSources":null}"#)
        .await;
    assert_eq!(status, 200, "{answer}");
    bo.pictures.clear();
    let _again = ada.speak().await;
    bo.until("her picture again", |bo| bo.pictures.len() > 5)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_change_grants_changes_none() {
    let house = House::open().await;
    let (_ada, _speech, mut bo) = house.call([Form::Single, Form::Single]).await;
    let mine = Token::dev(ROOM, "bo", now_s()).sign();
    let path = format!("/api/rooms/{ROOM}/members/ada");
    let (status, answer) = house
        .ask("PATCH", &path, &mine, r#"{"canPublishSources":[]}"#)
        .await;
    assert_eq!(status, 403, "{answer}");
    bo.hears_and_sees_on("Ada, as before").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_sent_away_leaves_with_a_reason_and_is_not_forwarded_any_more() {
    let house = House::open().await;
    let (mut ada, speech, mut bo) = house.call([Form::Single, Form::Single]).await;
    let (status, answer) = house
        .ask(
            "DELETE",
            &format!("/api/rooms/{ROOM}/members/ada"),
            &admin(),
            "",
        )
        .await;
    assert!((200..300).contains(&status), "{status} {answer}");
    let lost_at = speech.number();
    let reason = |event: &Event| match event {
        Event::Left(leave) => Some(leave.reason()),
        _ => None,
    };
    let reason = ada
        .handle
        .wait("a goodbye", SOON, reason)
        .await
        .expect("it comes");
    assert_eq!(reason, proto::DisconnectReason::ParticipantRemoved);
    bo.listen_for(WHILE).await;
    assert!(
        bo.sounds
            .iter()
            .chain(&bo.pictures)
            .all(|number| *number <= lost_at)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_socket_breaks_comes_back_and_media_never_stops() {
    for form in [Form::Single, Form::Pair] {
        let house = House::open().await;
        let (mut ada, speech, mut bo) = house.call([form, Form::Single]).await;
        ada.handle.cut_socket();
        bo.hears_and_sees_on("Ada, without her socket").await;
        let token = Token::dev(ROOM, "ada", now_s()).sign();
        ada.handle
            .resume(&house.url(), &token)
            .await
            .expect("let in again");
        let resumed = |event: &Event| matches!(event, Event::Resumed).then_some(());
        ada.handle
            .wait("to be taken back", SOON, resumed)
            .await
            .expect("it comes");
        let _more = ada
            .publish(Announcement {
                name: "second".into(),
                ..Announcement::microphone()
            })
            .await;
        bo.hears_and_sees_on("Ada, who is back").await;
        let lost = |event: &Event| match event {
            Event::Members(members) => members.iter().any(|info| {
                info.identity == "ada"
                    && info.state() == proto::participant_info::State::Disconnected
            }),
            _ => false,
        };
        assert!(!bo.saw(lost), "nobody was told that she left");
        // Media kept its way: hardly anything of a call on loopback is lost.
        let (first, last) = (
            *bo.sounds.first().expect("some"),
            *bo.sounds.last().expect("some"),
        );
        let missing = (last - first) as usize + 1 - bo.sounds.len();
        assert!(
            missing <= 25,
            "{missing} of {} sounds are missing ({form:?})",
            last - first
        );
        drop(speech);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_layer_of_three_is_forwarded_and_another_one_when_asked_for() {
    let house = House::open().await;
    let mut ada = house.join("ada", Form::Single).await;
    let _speech = ada
        .speak_with(Announcement::camera(Codec::Vp8, 1280, 720).simulcast())
        .await;
    let mut bo = house.join("bo", Form::Single).await;
    let only = |bo: &Member, layer: &str| {
        bo.layers.len() > 30 && bo.layers.iter().rev().take(20).all(|(of, _)| of == layer)
    };
    bo.until("the highest layer alone", |bo| only(bo, "f"))
        .await;
    let track = bo.events.iter().find_map(|event| match event {
        Event::TrackSubscribed {
            track,
            kind: peer::Kind::Video,
            ..
        } => Some(track.clone()),
        _ => None,
    });
    let track: Sid = track.expect("a subscribed camera");
    for (quality, layer) in [(0, "q"), (1, "h"), (2, "f")] {
        let setting = Setting {
            disabled: false,
            quality,
            width: 0,
            height: 0,
        };
        let tracks = [track.clone()];
        bo.handle
            .call(move |peer, now| peer.set_track(now, &tracks, setting))
            .await
            .expect("a peer");
        bo.layers.drain(..bo.layers.len() - 1);
        bo.until(layer, |bo| only(bo, layer)).await;
        // Whatever the layer, to the receiver it is one stream without a gap.
        let sequences: BTreeSet<u64> = bo.layers.iter().map(|(_, sequence)| *sequence).collect();
        let span = sequences.last().expect("some") - sequences.first().expect("some") + 1;
        assert_eq!(
            sequences.len() as u64,
            span,
            "{layer}: a gap in {sequences:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_muted_microphone_is_not_forwarded_until_it_is_unmuted() {
    let house = House::open().await;
    let (ada, _speech, mut bo) = house.call([Form::Single, Form::Single]).await;
    let microphone = PublicationId(0);
    ada.handle
        .call(move |peer, now| peer.mute(now, microphone, true))
        .await
        .expect("a peer");
    let silent = async {
        loop {
            bo.listen();
            let before = bo.sounds.len();
            bo.listen_for(WHILE).await;
            if bo.sounds.len() == before {
                return;
            }
        }
    };
    tokio::time::timeout(SOON, silent)
        .await
        .expect("it stops, although she goes on sending");
    ada.handle
        .call(move |peer, now| peer.mute(now, microphone, false))
        .await
        .expect("a peer");
    bo.hears_and_sees_on("Ada's voice again").await;
}

/// The real program, told to end: members are told to come back, and it ends well.
#[tokio::test(flavor = "multi_thread")]
async fn a_house_that_is_told_to_end_sends_members_away_so_that_they_come_back() {
    use std::io::BufRead as _;
    let folder = tempfile::tempdir().expect("a folder");
    let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_amphi"))
        .args([
            "serve",
            "--dev",
            "--http-port",
            "0",
            "--udp-port",
            "0",
            "--tcp-port",
            "0",
            "--data-dir",
        ])
        .arg(folder.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let stdout = program.stdout.take().expect("it is piped");
    std::io::BufReader::new(stdout)
        .read_line(&mut line)
        .expect("it says something");
    let url = line
        .trim()
        .strip_prefix("ready http")
        .map(|rest| format!("ws{rest}"));
    let url = url.unwrap_or_else(|| panic!("it said {line:?}"));
    let mut members = Vec::new();
    for (identity, form) in [("ada", Form::Single), ("bo", Form::Pair)] {
        let mut member = join(&url, identity, &Options::new(form)).await;
        let connection = if form == Form::Single {
            Connection::Publisher
        } else {
            Connection::Subscriber
        };
        let connected = |event: &Event| {
            matches!(event, Event::Connected(of) if *of == connection).then_some(())
        };
        member
            .handle
            .wait("a connection", SOON, connected)
            .await
            .expect("it stands");
        members.push(member);
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(program.id()).expect("a process id"))
        .expect("not zero");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is ours");
    for member in &mut members {
        let action = |event: &Event| match event {
            Event::Left(leave) => Some(leave.action()),
            _ => None,
        };
        let action = member
            .handle
            .wait("a goodbye", SOON, action)
            .await
            .expect("it comes");
        assert_ne!(
            action,
            proto::leave_request::Action::Disconnect,
            "they may come back"
        );
    }
    let status = tokio::task::spawn_blocking(move || program.wait())
        .await
        .expect("a thread")
        .expect("it is ours");
    assert_eq!(status.code(), Some(0));
}
