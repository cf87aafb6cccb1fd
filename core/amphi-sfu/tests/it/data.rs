use amphi_sfu::{Channel, Input, Output};
use bytes::Bytes;

use crate::world::{Fate, World, ms, said_of};

#[test]
fn data_goes_both_ways_by_label() {
    let mut world = World::new();
    let ada = world.join();
    let session = world.clients[ada].session;
    for (channel, text) in [
        (Channel::Reliable, "one"),
        (Channel::Lossy, "two"),
        (Channel::DataTrack, "three"),
    ] {
        world.input(Input::SendData {
            session,
            channel,
            bytes: Bytes::from_static(text.as_bytes()),
        });
    }
    world.run(ms(50));
    let got: Vec<(&str, &[u8])> = world.clients[ada]
        .data
        .iter()
        .map(|(label, data)| (&label[..], &data[..]))
        .collect();
    for expected in [
        ("_reliable", &b"one"[..]),
        ("_lossy", b"two"),
        ("_data_track", b"three"),
    ] {
        assert!(got.contains(&expected), "{got:?}");
    }

    for label in ["_reliable", "_lossy"] {
        let client = &mut world.clients[ada];
        let id = client.channels[label];
        assert!(
            client
                .rtc
                .channel(id)
                .expect("it is open")
                .write(true, label.as_bytes())
                .expect("it takes it")
        );
        world.tick_client(ada);
    }
    world.run(ms(50));
    for (wanted, label) in [(Channel::Reliable, "_reliable"), (Channel::Lossy, "_lossy")] {
        let arrived = |output: &Output| matches!(output, Output::Data { channel, bytes, .. } if *channel == wanted && bytes[..] == *label.as_bytes());
        assert_eq!(said_of(&world.said, arrived), 1, "{label}");
    }
}

#[test]
fn reliable_data_waits_in_order_for_a_slow_receiver() {
    let mut world = World::new();
    let ada = world.join();
    let session = world.clients[ada].session;
    for n in 0..200u32 {
        let mut message = vec![0u8; 10_000];
        message[..4].copy_from_slice(&n.to_be_bytes());
        world.input(Input::SendData {
            session,
            channel: Channel::Reliable,
            bytes: message.into(),
        });
    }
    world.run(ms(20_000));
    let numbers: Vec<u8> = world.clients[ada]
        .data
        .iter()
        .map(|(_, data)| data[3])
        .collect();
    assert_eq!(numbers, (0..200).collect::<Vec<u8>>());
}

#[test]
fn a_receiver_that_takes_nothing_is_ended_and_lossy_data_for_it_is_dropped() {
    let mut world = World::new();
    let (ada, bo) = (world.join(), world.join());
    let (session, other) = (world.clients[ada].session, world.clients[bo].session);
    world.filter = Box::new(move |way, _| {
        if way.to_client == Some(ada) {
            Fate::IsLost
        } else {
            Fate::Arrives
        }
    });
    let message = Bytes::from(vec![7u8; 60_000]);
    for _ in 0..20 {
        world.input(Input::SendData {
            session,
            channel: Channel::Lossy,
            bytes: message.clone(),
        });
    }
    assert!(world.counter("data_dropped") > 5);
    for _ in 0..80 {
        world.input(Input::SendData {
            session,
            channel: Channel::Reliable,
            bytes: message.clone(),
        });
    }
    let ended =
        |of| move |output: &Output| matches!(output, Output::Ended { session } if *session == of);
    assert_eq!(world.counter("data_overflows"), 1);
    assert_eq!(said_of(&world.said, ended(session)), 1);
    world.input(Input::SendData {
        session: other,
        channel: Channel::Reliable,
        bytes: Bytes::from_static(b"still here"),
    });
    world.run(ms(50));
    assert_eq!(world.clients[bo].data.len(), 1);
}

#[test]
fn a_channel_with_another_label_is_counted_and_ignored() {
    let mut world = World::new();
    let ada = world.join();
    let client = &mut world.clients[ada];
    let mut api = client.rtc.sdp_api();
    api.add_channel("spam".to_owned());
    assert!(
        api.apply().is_none(),
        "a further channel needs no negotiation"
    );
    world.tick_client(ada);
    world.run(ms(100));
    let client = &mut world.clients[ada];
    let id = client.channels["spam"];
    assert!(
        client
            .rtc
            .channel(id)
            .expect("it is open")
            .write(true, b"x")
            .expect("it takes it")
    );
    world.tick_client(ada);
    world.run(ms(50));
    assert_eq!(world.counter("data_unknown_channel"), 1);
    assert_eq!(
        said_of(&world.said, |output| matches!(output, Output::Data { .. })),
        0
    );
}
