//! The call's WebSocket with bad manners: nobody else's call is touched.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use peer::Form;
use peer::net::{Options, connect};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::house::{House, token};

const SOON: Duration = Duration::from_secs(10);

async fn members(house: &House) -> Vec<String> {
    let state = house.get("/api/rooms/hall").await.json();
    let list = state["members"].as_array().expect("a list").clone();
    list.iter()
        .map(|member| member["identity"].as_str().expect("text").to_owned())
        .collect()
}

/// Polls until `done`, for what the house does a moment after it was told.
async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let start = std::time::Instant::now();
    while !done().await {
        assert!(start.elapsed() < SOON, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_listed_with_its_markup_as_text() {
    let house = House::open().await;
    let name = "<script>alert(1)</script>\u{202e}";
    let markup = token("hall", "ada").claim("name", name).sign();
    let _ada = connect(&house.web_socket(), &markup, &Options::new(Form::Single))
        .await
        .expect("let in");
    until("Ada is in", async || members(&house).await == ["ada"]).await;
    let state = house.get("/api/rooms/hall").await;
    assert_eq!(state.header("x-content-type-options"), "nosniff");
    assert_eq!(state.json()["members"][0]["name"], name);
    let rooms = house.get("/api/rooms").await.json();
    assert_eq!(rooms["rooms"][0]["members"], 1);
    assert_eq!(rooms["rooms"][0]["on_air"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_floods_and_oversize_messages_end_only_their_own_socket() {
    let house = House::open().await;
    let good = token("hall", "ada").sign();
    let _ada = connect(&house.web_socket(), &good, &Options::new(Form::Single))
        .await
        .expect("let in");
    until("Ada is in", async || members(&house).await == ["ada"]).await;

    let mallory = token("hall", "mallory").sign();
    let address = format!("{}/rtc?access_token={mallory}", house.web_socket());
    let (mut socket, _) = tokio_tungstenite::connect_async(&address)
        .await
        .expect("a good token");
    for garbage in [
        Message::Binary(vec![0xff; 1_000].into()),
        Message::Binary(Vec::new().into()),
        Message::Text("{\"not\":\"binary\"}".into()),
        Message::Ping(vec![1, 2, 3].into()),
    ] {
        socket.send(garbage).await.expect("still open");
    }
    let large = vec![0; 600 * 1024];
    // The server may be gone before all of it is written.
    let _ = socket.send(Message::Binary(large.into())).await;
    let closed = tokio::time::timeout(SOON, async {
        while let Some(Ok(message)) = socket.next().await {
            if message.is_close() {
                break;
            }
        }
    });
    closed.await.expect("an oversize message ends the socket");
    until("it is counted", async || {
        house
            .metric("amphi_bound_hit_total{bound=\"socket_message\"}")
            .await
            == 1.0
    })
    .await;
    assert!(members(&house).await.contains(&"ada".to_owned()));
    assert_eq!(house.get("/healthz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_end_are_counted_by_how_they_end() {
    let house = House::open().await;
    let address = |identity: &str| {
        let token = token("hall", identity).sign();
        format!("{}/rtc?access_token={token}", house.web_socket())
    };
    let open = async |identity: &str| {
        let (socket, _) = tokio_tungstenite::connect_async(address(identity))
            .await
            .expect("a good token");
        socket
    };
    drop(open("ada").await);
    let mut polite = open("bo").await;
    polite.close(None).await.expect("a close frame");
    let mut rude = open("cy").await;
    // A frame of a client that is not masked (RFC 6455 §5.1).
    let tokio_tungstenite::MaybeTlsStream::Plain(stream) = rude.get_mut() else {
        panic!("no TLS was asked for");
    };
    tokio::io::AsyncWriteExt::write_all(stream, &[0x82, 0x01, 0x00])
        .await
        .expect("still open");
    until("all have ended", async || {
        house.metric("amphi_sockets_total").await == 3.0
            && house.metric("amphi_sockets").await == 0.0
    })
    .await;
    for (counter, ended) in [
        ("amphi_sockets_cut_total", 1.0),
        ("amphi_sockets_broken_total", 1.0),
        ("amphi_bound_hit_total{bound=\"socket_message\"}", 0.0),
    ] {
        assert_eq!(house.metric(counter).await, ended, "{counter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_identity_that_comes_again_and_again_has_to_wait_and_others_do_not() {
    let house = House::open().await;
    let come = async |room: &str, identity: &str| {
        let token = token(room, identity).sign();
        let address = format!("{}/rtc?access_token={token}", house.web_socket());
        tokio_tungstenite::connect_async(address).await
    };
    let mut refused = None;
    for _ in 0..30 {
        if let Err(error) = come("hall", "mallory").await {
            refused = Some(error);
            break;
        }
    }
    let Some(tokio_tungstenite::tungstenite::Error::Http(answer)) = refused else {
        panic!("was let in thirty times: {refused:?}");
    };
    assert_eq!(answer.status(), 429);
    assert!(answer.headers().contains_key("retry-after"));
    let words = answer.body().as_deref().unwrap_or_default();
    assert!(words.starts_with(b"You come in too often"), "{words:?}");
    for (room, identity) in [("hall", "ada"), ("cellar", "mallory")] {
        assert!(come(room, identity).await.is_ok(), "{room} {identity}");
    }
    let counted = house
        .metric("amphi_bound_hit_total{bound=\"joins_per_identity\"}")
        .await;
    assert_eq!(counted, 1.0);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert!(come("hall", "mallory").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_one_identity_takes_the_place_of_the_first() {
    let house = House::open().await;
    let good = token("hall", "ada").sign();
    let first = connect(&house.web_socket(), &good, &Options::new(Form::Single))
        .await
        .expect("let in");
    until("Ada is in", async || members(&house).await == ["ada"]).await;
    let second = connect(&house.web_socket(), &good, &Options::new(Form::Pair))
        .await
        .expect("let in");
    until("the first is out", async || {
        house.metric("amphi_sockets").await == 1.0
    })
    .await;
    assert_eq!(members(&house).await, ["ada"]);
    drop((first, second));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moderator_takes_grants_away_and_removes_in_a_running_call() {
    let house = House::open().await;
    let good = token("hall", "bo").sign();
    let bo = connect(&house.web_socket(), &good, &Options::new(Form::Single))
        .await
        .expect("let in");
    until("Bo is in", async || members(&house).await == ["bo"]).await;
    let admin = token("hall", "ada").grant("roomAdmin", true).sign();
    let change = json!({ "canPublishSources": ["microphone"] }).to_string();
    let answer = house
        .send("PATCH", "/api/rooms/hall/members/bo", &admin, &change)
        .await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({ "identity": "bo" }))
    );
    until("Bo is told", async || {
        let permission = bo.call(|peer, _| peer.permission().cloned()).await;
        permission
            .ok()
            .flatten()
            .is_some_and(|permission| permission.can_publish_sources.len() == 1)
    })
    .await;
    let answer = house
        .send("DELETE", "/api/rooms/hall/members/bo", &admin, "")
        .await;
    assert_eq!(answer.status, 200);
    until("Bo is out", async || members(&house).await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_says_goodbye_to_members_and_takes_nobody_in() {
    let house = House::open().await;
    let good = token("hall", "ada").sign();
    let mut ada = connect(&house.web_socket(), &good, &Options::new(Form::Single))
        .await
        .expect("let in");
    until("Ada is in", async || members(&house).await == ["ada"]).await;
    let start = std::time::Instant::now();
    house.server.stop().await;
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    let leave = ada
        .wait("a word of farewell", SOON, |event| match event {
            peer::Event::Left(leave) => Some(leave.clone()),
            _ => None,
        })
        .await
        .expect("it comes before the socket is closed");
    // So that a client comes back by itself when the house is open again.
    assert_eq!(
        leave.action(),
        peer::protocol::leave_request::Action::Reconnect
    );
}
