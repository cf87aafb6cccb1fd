//! Trap 13: data between members.

use super::*;

fn user(payload: &str, to: &[&str]) -> proto::DataPacket {
    let packet = proto::UserPacket {
        payload: payload.into(),
        topic: Some("talk".into()),
        ..Default::default()
    };
    proto::DataPacket {
        value: Some(proto::data_packet::Value::User(packet)),
        destination_identities: to.iter().map(|identity| (*identity).to_owned()).collect(),
        sequence: 1,
        ..proto::DataPacket::default()
    }
}

/// What was sent to whom, by the sessions it went over.
fn sent(world: &mut World) -> Vec<(SessionId, Channel, proto::DataPacket)> {
    let sent = |command| match command {
        SfuCommand::SendData {
            session,
            channel,
            bytes,
        } => Some((
            session,
            channel,
            proto::DataPacket::decode(bytes).expect("a packet"),
        )),
        _ => None,
    };
    world.take_commands().into_iter().filter_map(sent).collect()
}

#[test]
#[expect(
    deprecated,
    reason = "older clients read the sender and the kind there"
)]
fn a_packet_reaches_everybody_else_with_its_sender_and_its_number() {
    let mut world = World::new();
    let (ada, bo, cy) = (
        world.enter("ada"),
        world.enter("bo"),
        world.enter_dual("cy"),
    );
    world.take_commands();
    // Somebody else's name in it does not help.
    let mut packet = proto::DataPacket {
        participant_identity: "bo".into(),
        sequence: 7,
        ..user("hello", &[])
    };
    // Clients have written the wrong kind into the reliable channel.
    packet.kind = proto::data_packet::Kind::Lossy.into();
    world.data(ada, Channel::Reliable, &packet);
    let sent = sent(&mut world);
    // Over one connection it goes back on the same, over two on the one that we offered.
    let sessions: Vec<_> = sent.iter().map(|(session, _, _)| *session).collect();
    assert_eq!(
        sessions,
        [
            world.signals[&bo].sessions()[0],
            world.signals[&cy].sessions()[1]
        ]
    );
    for (_, channel, packet) in sent {
        assert_eq!((channel, packet.sequence), (Channel::Reliable, 7));
        assert_eq!(packet.kind(), proto::data_packet::Kind::Reliable);
        assert_eq!(
            (
                packet.participant_identity.as_str(),
                &packet.participant_sid
            ),
            ("ada", &world.sid(ada))
        );
        let Some(proto::data_packet::Value::User(user)) = packet.value else {
            panic!("{packet:?}")
        };
        assert_eq!(
            (user.participant_identity.as_str(), user.participant_sid),
            ("ada", world.sid(ada))
        );
        assert_eq!(
            (user.payload.as_slice(), user.topic.as_deref()),
            (&b"hello"[..], Some("talk"))
        );
    }
}

#[test]
fn a_packet_with_addressees_reaches_only_them() {
    let mut world = World::new();
    let ada = world.enter("ada");
    let bo = world.enter("bo");
    world.enter("cy");
    world.take_commands();
    world.data(ada, Channel::Lossy, &user("psst", &["bo", "nobody"]));
    let sent = sent(&mut world);
    assert_eq!(
        sent.iter()
            .map(|(session, _, _)| *session)
            .collect::<Vec<_>>(),
        [world.signals[&bo].sessions()[0]]
    );
    world.data(ada, Channel::Lossy, &user("psst", &["nobody"]));
    assert!(self::sent(&mut world).is_empty());
}

#[test]
fn chat_calls_and_streams_are_handed_on_as_they_are() {
    use proto::data_packet::Value;
    let mut world = World::new();
    let ada = world.enter("ada");
    world.enter("bo");
    world.take_commands();
    let header = proto::data_stream::Header {
        stream_id: "s".into(),
        ..Default::default()
    };
    for value in [
        Value::ChatMessage(proto::ChatMessage {
            message: "hi".into(),
            ..Default::default()
        }),
        Value::RpcRequest(proto::RpcRequest {
            method: "m".into(),
            ..Default::default()
        }),
        Value::StreamHeader(header),
        Value::EncryptedPacket(proto::EncryptedPacket {
            encrypted_value: vec![1, 2],
            ..Default::default()
        }),
    ] {
        let packet = proto::DataPacket {
            value: Some(value.clone()),
            ..Default::default()
        };
        world.data(ada, Channel::Reliable, &packet);
        let [(_, _, packet)] = &sent(&mut world)[..] else {
            panic!("{value:?} was not handed on")
        };
        assert_eq!(packet.value, Some(value));
        assert_eq!(packet.participant_identity, "ada");
    }
}

#[test]
fn a_packet_of_a_newer_kind_is_handed_on_with_its_sender() {
    let mut world = World::new();
    let ada = world.enter("ada");
    world.enter("bo");
    world.take_commands();
    // Field 100, which is none yet, and a false sender before it.
    let mut bytes = proto::DataPacket {
        participant_identity: "bo".into(),
        ..Default::default()
    }
    .encode_to_vec();
    bytes.extend([0xa2, 0x06, 0x02, b'h', b'i']);
    let session = world.signals[&ada].sessions()[0];
    let said = amphi_sfu::Output::Data {
        session,
        channel: Channel::Reliable,
        bytes: bytes.into(),
    };
    world.signal(ada, Input::Sfu(&said));
    let commands = world.take_commands();
    let [SfuCommand::SendData { bytes, .. }] = &commands[..] else {
        panic!("{commands:?}")
    };
    assert!(
        bytes
            .windows(5)
            .any(|window| window == [0xa2, 0x06, 0x02, b'h', b'i'])
    );
    assert_eq!(
        proto::DataPacket::decode(bytes.clone())
            .expect("a packet")
            .participant_identity,
        "ada"
    );
}

#[test]
fn without_the_grant_nothing_is_handed_on() {
    let mut world = World::new();
    let ada = world.enter("ada");
    world.enter("bo");
    world.change_grants(
        ada,
        &Change {
            can_publish_data: Some(false),
            ..Change::default()
        },
    );
    world.take_commands();
    world.data(ada, Channel::Reliable, &user("hello", &[]));
    assert!(sent(&mut world).is_empty());
    assert_eq!(world.signals[&ada].counters().data_refused, 1);
}

/// Somebody's words, of which the first are not final.
fn transcription(by: &str) -> proto::DataPacket {
    let segment = |text: &str, is_final| proto::TranscriptionSegment {
        id: "1".into(),
        text: text.into(),
        r#final: is_final,
        language: "en".into(),
        ..Default::default()
    };
    let said = proto::Transcription {
        transcribed_participant_identity: by.into(),
        segments: vec![segment("Hel", false), segment("Hello,\nhall.", true)],
        ..Default::default()
    };
    proto::DataPacket {
        value: Some(proto::data_packet::Value::Transcription(said)),
        ..proto::DataPacket::default()
    }
}

#[test]
fn final_words_are_captions_and_go_to_everybody_too() {
    let mut world = World::new();
    let ada = world.enter("ada");
    world.enter("bo");
    world.take_commands();
    for by in ["ada", ""] {
        world.data(ada, Channel::Reliable, &transcription(by));
        let captions = std::mem::take(&mut world.captions);
        let said: Vec<_> = captions
            .iter()
            .map(|one| (one.who.as_str(), one.text.as_str()))
            .collect();
        assert_eq!(said, [("ADA", "Hello, hall.")], "{by:?}");
        assert_eq!(sent(&mut world).len(), 1);
    }
    // Who is alone has nobody to send them to, and those who watch read them all the same.
    let mut world = World::new();
    let ada = world.enter("ada");
    world.data(ada, Channel::Reliable, &transcription(""));
    assert_eq!(world.captions.len(), 1);
}

#[test]
fn others_words_are_captions_from_agents_and_moderators_only() {
    let mut world = World::new();
    let ada = world.enter("ada");
    world.enter("bo");
    world.data(ada, Channel::Reliable, &transcription("bo"));
    assert!(world.captions.is_empty());
    assert_eq!(world.signals[&ada].counters().captions_refused, 1);

    let mut claims = claims("scribe");
    claims.video.as_mut().expect("a grant").agent = true;
    let scribe = world.connect(join_with(&request_with_offer(1), &claims));
    world.media_connects(scribe);
    for (by, who) in [("bo", "BO"), ("who has left", "")] {
        world.data(scribe, Channel::Reliable, &transcription(by));
        assert_eq!(world.captions.pop().expect("a caption").who, who);
    }
    // What is for some members is in no broadcast, whoever writes it.
    let for_bo = proto::DataPacket {
        destination_identities: vec!["bo".into()],
        ..transcription("bo")
    };
    world.data(scribe, Channel::Reliable, &for_bo);
    assert!(world.captions.is_empty());
}

#[test]
fn who_may_not_speak_writes_no_captions_and_who_is_hidden_is_not_named() {
    let mut world = World::new();
    let enters = |world: &mut World, name, change: &dyn Fn(&mut VideoGrant)| {
        let mut claims = claims(name);
        change(claims.video.as_mut().expect("a grant"));
        let signal = world.connect(join_with(&request_with_offer(1), &claims));
        world.media_connects(signal);
        signal
    };
    let guest = enters(&mut world, "guest", &|grant| {
        grant.can_publish = Some(false);
    });
    world.data(guest, Channel::Reliable, &transcription(""));
    assert!(world.captions.is_empty());
    assert_eq!(world.signals[&guest].counters().captions_refused, 1);
    let scribe = enters(&mut world, "scribe", &|grant| {
        (grant.hidden, grant.agent) = (true, true);
    });
    world.data(scribe, Channel::Reliable, &transcription(""));
    let caption = world.captions.pop().expect("a caption");
    assert_eq!(
        (caption.who.as_str(), caption.text.as_str()),
        ("", "Hello, hall.")
    );
}

#[test]
fn a_reliable_packet_sent_again_after_a_resume_is_not_handed_on_twice() {
    let mut world = World::new();
    let ada = world.enter("ada");
    world.enter("bo");
    world.take_commands();
    for sequence in [1, 2, 2, 1, 3] {
        world.data(
            ada,
            Channel::Reliable,
            &proto::DataPacket {
                sequence,
                ..user("hello", &[])
            },
        );
    }
    let sequences: Vec<u32> = sent(&mut world)
        .iter()
        .map(|(_, _, packet)| packet.sequence)
        .collect();
    assert_eq!(sequences, [1, 2, 3]);
    assert_eq!(world.signals[&ada].counters().data_repeated, 2);
}

#[test]
fn what_is_no_packet_or_only_a_servers_is_dropped_and_counted() {
    let mut world = World::new();
    let ada = world.enter("ada");
    world.enter("bo");
    world.take_commands();
    let session = world.signals[&ada].sessions()[0];
    #[expect(deprecated, reason = "clients still understand it")]
    let speaker = proto::data_packet::Value::Speaker(proto::ActiveSpeakerUpdate::default());
    let speaker = proto::DataPacket {
        value: Some(speaker),
        ..Default::default()
    }
    .encode_to_vec();
    let large = user(&"x".repeat(70_000), &[]).encode_to_vec();
    for (channel, bytes) in [
        (Channel::Reliable, vec![0xff; 8]),
        (Channel::Reliable, Vec::new()),
        (Channel::Lossy, speaker),
        (Channel::Lossy, large),
        (Channel::DataTrack, vec![1]),
    ] {
        world.signal(
            ada,
            Input::Sfu(&amphi_sfu::Output::Data {
                session,
                channel,
                bytes: bytes.into(),
            }),
        );
    }
    assert!(sent(&mut world).is_empty());
    assert_eq!(world.signals[&ada].counters().data_malformed, 5);
}
