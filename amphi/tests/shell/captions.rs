//! What is said, as text: from an agent in the call to those who watch, and into the recording.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::Duration;

use peer::net::{Options, connect};
use peer::{Channel, Form};
use player::net::watch;
use player::{Config, Mode};

use crate::air::until;
use crate::conform::keeps_every_rule;
use crate::house::{House, token};
use crate::performer::{Camera, LOUD, perform, tone};

#[tokio::test(flavor = "multi_thread")]
async fn words_of_an_agent_are_read_by_who_watches_and_stand_in_the_recording() {
    let house = House::open().await;
    let options = Options::new(Form::Single);
    let able = token("hall", "ada").grant("roomAdmin", true).sign();
    let ada = connect(&house.web_socket(), &able, &options)
        .await
        .expect("let in");
    let camera = Some(Camera::new((320, 180)));
    let ada = tokio::spawn(perform(ada, tone(), camera, Arc::new(AtomicU8::new(LOUD))));
    let agent = token("hall", "scribe").grant("agent", true).sign();
    let agent = connect(&house.web_socket(), &agent, &options)
        .await
        .expect("let in");
    let (open, opened) = tokio::sync::watch::channel(false);
    until("a data channel", async || {
        let open = open.clone();
        agent.tell(move |peer, _| {
            open.send_replace(peer.can_send_data(Channel::Reliable));
        });
        opened.borrow().then_some(())
    })
    .await;
    let writing = tokio::spawn(async move {
        for number in 0.. {
            let words = format!("Sentence {number} <of> many.");
            agent.tell(move |peer, now| {
                peer.send_transcription(now, "ada", &words);
            });
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    });
    for (path, wish) in [("broadcast", r#"{"program":"cut"}"#), ("recording", "{}")] {
        let on = house
            .send("POST", &format!("/api/rooms/hall/{path}"), &able, wish)
            .await;
        assert_eq!(on.status, 200, "{}", on.text());
    }
    // What it is that is listed: the picture comes first.
    until("captions and a picture", async || {
        let index = house.get("/hls/hall/index.m3u8").await.text();
        let both = index.contains("RESOLUTION") && index.contains("SUBTITLES=\"captions\"");
        both.then_some(())
    })
    .await;
    let room = house.get("/api/rooms/hall").await.json();
    assert_eq!(room["broadcast"]["captions"], true, "{room}");
    let index = format!("http://{}/hls/hall/index.m3u8", house.address);
    let watching = [Mode::LowLatency, Mode::Plain].map(|mode| {
        let config = Config {
            slack: Duration::from_secs(3),
            ..Config::new(index.clone(), mode)
        };
        tokio::spawn(watch(config, Duration::from_secs(60)))
    });
    tokio::time::sleep(Duration::from_secs(9)).await;
    let playlist = house.get("/hls/hall/captions.m3u8").await.text();
    let name = playlist.lines().rfind(|line| !line.starts_with('#'));
    let segment = house
        .get(&format!("/hls/hall/{}", name.expect("a segment")))
        .await;
    assert_eq!(segment.header("content-type"), "text/vtt; charset=utf-8");
    let text = segment.text();
    assert!(
        text.contains("&lt;of&gt; many.") && text.contains("ada"),
        "{text}"
    );
    let off = house
        .send("DELETE", "/api/rooms/hall/broadcast", &able, "")
        .await;
    assert_eq!(off.status, 200, "{}", off.text());
    for watching in watching {
        let report = watching.await.expect("no panic").expect("a report");
        keeps_every_rule(&report);
        assert!(
            report.ended && report.counters.segments >= 6,
            "{:?}",
            report.counters
        );
    }
    writing.abort();
    let recordings = house
        .send("GET", "/api/recordings?room=hall", &able, "")
        .await
        .json();
    let id = recordings["recordings"][0]["id"]
        .as_str()
        .expect("a recording");
    let timeline = house
        .send("GET", &format!("/api/recordings/{id}/timeline"), &able, "")
        .await
        .json();
    let events = timeline["events"].as_array().expect("events");
    let said: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "said")
        .collect();
    assert!(said.len() > 5, "{timeline}");
    assert!(
        said[0]["text"]
            .as_str()
            .expect("text")
            .ends_with("<of> many."),
        "{}",
        said[0]
    );
    assert!(house.metric("amphi_captions_total").await >= 1.0);
    ada.abort();
}
