//! One voice, from its microphone to the air, to a file, and out again over HTTP.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::{Duration, Instant};

use peer::Form;
use peer::net::{Handle, Options, connect};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::house::{House, ask, token};
use crate::performer::{LOUD, perform, tone};

const SOON: Duration = Duration::from_secs(15);

/// Ada, who hums until she is dropped.
pub struct Voice {
    humming: JoinHandle<()>,
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.humming.abort();
    }
}

pub fn hum(ada: Handle) -> Voice {
    let level = Arc::new(AtomicU8::new(LOUD));
    Voice {
        humming: tokio::spawn(perform(ada, tone(), None, level)),
    }
}

/// Polls until `done` gives something, for what the house does a moment after it was told.
pub async fn until<T>(what: &str, mut done: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = done().await {
            return found;
        }
        assert!(start.elapsed() < SOON, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_goes_on_air_and_into_a_file_and_comes_out_again() {
    let house = House::open().await;
    let able = token("hall", "ada").grant("roomAdmin", true).sign();
    // Set before the room opens: it opens with what the store says.
    let settings = json!({ "title": "The hall", "record": "auto" }).to_string();
    let set = house
        .send("PUT", "/api/rooms/hall/settings", &able, &settings)
        .await;
    assert_eq!(set.status, 200, "{}", set.text());

    let ada = connect(&house.web_socket(), &able, &Options::new(Form::Single))
        .await
        .expect("let in");
    let _voice = hum(ada);
    let recording = until("a recording by itself", async || {
        let state = house.get("/api/rooms/hall").await.json();
        state["recording"]["id"].as_str().map(str::to_owned)
    })
    .await;

    let started = house
        .send("POST", "/api/rooms/hall/broadcast", &able, "")
        .await;
    assert_eq!(started.status, 200, "{}", started.text());
    let path = started.json()["hls"].as_str().expect("a path").to_owned();
    assert_eq!(path, "/hls/hall/index.m3u8");
    // Asked for at once: it waits for the first part.
    let index = house.get(&path).await;
    assert_eq!(index.status, 200, "{}", index.text());
    let index = index.text();
    let named = index
        .lines()
        .find(|line| line.starts_with("audio.m3u8"))
        .expect("a program of sound alone");
    let playlist = house.get(&format!("/hls/hall/{named}")).await.text();
    assert!(playlist.contains("#EXT-X-PART:"), "{playlist}");

    let state = until("on air", async || {
        let state = house.get("/api/rooms/hall").await.json();
        (state["broadcast"]["state"] == "on_air").then_some(state)
    })
    .await;
    assert_eq!(state["title"], "The hall");
    let broadcast = &state["broadcast"];
    assert_eq!(
        (&broadcast["program"], &broadcast["requested"]),
        (&json!("cut"), &json!("cut"))
    );
    assert_eq!(broadcast["viewers"], 1);
    let behind = broadcast["seconds_behind"].as_f64().expect("on air");
    assert!((1.0..6.0).contains(&behind), "{behind}");
    assert!(state["members"][0]["microphone"] == true && state["members"][0]["camera"] == false);
    let rooms = house.get("/api/rooms").await.json();
    assert_eq!(
        (&rooms["rooms"][0]["on_air"], &rooms["rooms"][0]["viewers"]),
        (&json!(true), &json!(1))
    );
    assert!(house.metric("amphi_parts_total").await > 0.0);
    assert!(house.metric("amphi_packets_in_total").await > 0.0);

    let ended = house
        .send("DELETE", "/api/rooms/hall/broadcast", &able, "")
        .await;
    assert_eq!(
        ended.json(),
        json!({ "state": "off", "program": null, "requested": null, "layout": null, "fit": null, "title": null, "hls": null })
    );
    until("the end in the playlist", async || {
        let playlist = house.get("/hls/hall/audio.m3u8").await.text();
        playlist.contains("#EXT-X-ENDLIST").then_some(())
    })
    .await;

    // It is listed as soon as something is in its file.
    let so_far = until("the recording in the list", async || {
        let path = format!("/api/recordings/{recording}");
        let one = house.get(&path).await.json();
        (one["duration_s"].as_f64() > Some(0.5)).then_some(one)
    })
    .await;
    assert_eq!(so_far["state"], "recording");
    let stopped = house
        .send("DELETE", "/api/rooms/hall/recording", &able, "")
        .await;
    assert_eq!(stopped.json(), json!({ "state": "off", "id": recording }));
    let ready = until("the recording is ready", async || {
        let list = house.get("/api/recordings").await.json();
        let first = list["recordings"][0].clone();
        (first["state"] == "ready").then_some(first)
    })
    .await;
    assert_eq!(ready["id"], recording.as_str());
    assert_eq!(
        (&ready["room"], &ready["title"]),
        (&json!("hall"), &json!("The hall"))
    );
    assert!(ready["duration_s"].as_f64() >= so_far["duration_s"].as_f64());
    assert!(ready["duration_s"].as_f64().expect("a number") > 0.5);

    let hls = ready["hls"].as_str().expect("a path");
    let playlist = house.get(hls).await;
    assert_eq!(
        playlist.header("content-type"),
        "application/vnd.apple.mpegurl"
    );
    let playlist = playlist.text();
    assert!(
        playlist.contains("#EXT-X-BYTERANGE:") && playlist.contains("#EXT-X-ENDLIST"),
        "{playlist}"
    );
    let file = ready["file"].as_str().expect("a path");
    let range = async |range: &str| ask(house.address, "GET", file, &[("range", range)], b"").await;
    let start = range("bytes=0-99").await;
    assert_eq!((start.status, start.body.len()), (206, 100));
    assert_eq!(&start.body[4..8], b"ftyp");
    let size = ready["size_bytes"].as_u64().expect("a number");
    assert_eq!(start.header("content-range"), format!("bytes 0-99/{size}"));
    for beyond in [
        format!("bytes={size}-"),
        "bytes=99999999999999999999-".to_owned(),
    ] {
        assert_eq!(range(&beyond).await.status, 416, "{beyond}");
    }
    // What is not understood, and what need not be, is ignored (RFC 9110 §14.2).
    for ignored in ["bytes=abc", "seconds=0-1", "bytes=0-9,20-29", "bytes=9-0"] {
        let whole = range(ignored).await;
        assert_eq!(
            (whole.status, whole.body.len() as u64),
            (200, size),
            "{ignored}"
        );
    }
    let whole = house.get(file).await;
    assert_eq!((whole.status, whole.body.len() as u64), (200, size));
    assert_eq!(whole.header("content-type"), "video/mp4");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_beyond_the_limit_is_refused_at_once_and_starts_nothing() {
    let house = House::with(|config| config.limits.broadcasts = 1).await;
    let able = |room: &str| token(room, "ada").grant("roomAdmin", true).sign();
    let mut inside = Vec::new();
    for room in ["one", "two"] {
        let address = house.web_socket();
        let member = connect(&address, &able(room), &Options::new(Form::Single)).await;
        inside.push(member.expect("let in"));
        let path = format!("/api/rooms/{room}");
        until("she is in", async || {
            let members = house.get(&path).await.json()["members"].clone();
            (members.as_array()?.len() == 1).then_some(())
        })
        .await;
    }
    let switch = async |method: &str, room: &str, what: &str| {
        let path = format!("/api/rooms/{room}/{what}");
        house.send(method, &path, &able(room), "").await
    };
    assert_eq!(switch("POST", "one", "broadcast").await.status, 200);
    for what in ["broadcast", "recording"] {
        let refused = switch("POST", "two", what).await;
        let words = refused.refused(503, "unavailable", None);
        assert!(words.contains("limits.broadcasts"), "{words}");
        assert!(!refused.header("retry-after").is_empty());
    }
    let state = house.get("/api/rooms/two").await.json();
    assert_eq!(state["broadcast"]["state"], "off");
    assert_eq!(state["recording"]["state"], "off");
    let refused = house
        .metric("amphi_bound_hit_total{bound=\"programs\"}")
        .await;
    assert_eq!(refused, 2.0);
    // A recording of what is on air is no other program.
    assert_eq!(switch("POST", "one", "recording").await.status, 200);
    for what in ["broadcast", "recording"] {
        assert_eq!(switch("DELETE", "one", what).await.status, 200);
    }
    until("a free place", async || {
        (switch("POST", "two", "broadcast").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(house.metric("amphi_programs_started_total").await, 2.0);
}
