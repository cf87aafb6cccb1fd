//! What is recorded beside the program: every member's tracks as they were sent, and what happened.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::Duration;

use peer::Form;
use peer::net::{Options, connect};
use serde_json::{Value, json};

use crate::air::until;
use crate::composed::Hall;
use crate::house::{House, token};
use crate::performer::{Camera, LOUD, perform, tone};

const SIZE: (u32, u32) = (320, 180);

/// What ffprobe finds in a file: codec, its start and duration in seconds, and how many frames it decodes. It may have
/// nothing to complain about.
struct Probed {
    codec: String,
    start_s: f64,
    duration_s: f64,
    frames: u64,
}

fn probe(file: &Path) -> Probed {
    let entries = "stream=codec_name,nb_read_frames:format=start_time,duration";
    let done = Command::new("ffprobe")
        .args(["-v", "warning", "-count_frames", "-of", "json"])
        .args(["-show_entries", entries])
        .arg(file)
        .output()
        .expect("the tests need ffmpeg: see ./test");
    assert_eq!(String::from_utf8_lossy(&done.stderr), "");
    let found: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(found["streams"].as_array().map(Vec::len), Some(1));
    let text = |value: &Value| value.as_str().expect("said").to_owned();
    let number = |value: &Value| text(value).parse::<f64>().expect("a number");
    Probed {
        codec: text(&found["streams"][0]["codec_name"]),
        start_s: number(&found["format"]["start_time"]),
        duration_s: number(&found["format"]["duration"]),
        frames: number(&found["streams"][0]["nb_read_frames"]) as u64,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_members_tracks_are_files_that_play_alone_on_the_programs_clock() {
    let house = House::open().await;
    let options = Options::new(Form::Single);
    let able = token("hall", "ada").grant("roomAdmin", true).sign();
    let (camera, tone) = (Camera::new(SIZE), tone());
    let level = || Arc::new(AtomicU8::new(LOUD));
    let ada = connect(&house.web_socket(), &able, &options)
        .await
        .expect("let in");
    let ada = tokio::spawn(perform(ada, tone.clone(), Some(camera), level()));
    until("both tracks of Ada", async || {
        let room = house.get("/api/rooms/hall").await.json();
        let member = &room["members"][0];
        (member["camera"] == true && member["microphone"] == true).then_some(())
    })
    .await;
    let started = house
        .send(
            "POST",
            "/api/rooms/hall/recording",
            &able,
            r#"{"tracks":true}"#,
        )
        .await
        .json();
    let id = started["id"].as_str().expect("an id").to_owned();
    let one = format!("/api/recordings/{id}");
    let recorded = async |seconds: f64| {
        until("so much is recorded", async || {
            let length = house.get(&one).await.json()["duration_s"].as_f64();
            (length > Some(seconds)).then_some(())
        })
        .await;
    };
    recorded(2.0).await;
    // Bo comes two seconds later, speaks for two seconds, and goes.
    let bo = connect(&house.web_socket(), &token("hall", "bo").sign(), &options)
        .await
        .expect("let in");
    let bo = tokio::spawn(perform(bo, tone, None, level()));
    recorded(4.5).await;
    bo.abort();
    house
        .send("DELETE", "/api/rooms/hall/members/bo", &able, "")
        .await;
    until("Bo is gone", async || {
        let room = house.get("/api/rooms/hall").await.json();
        (room["members"].as_array().map(Vec::len) == Some(1)).then_some(())
    })
    .await;
    recorded(5.0).await;
    house
        .send("DELETE", "/api/rooms/hall/recording", &able, "")
        .await;
    let ready = until("it is ready", async || {
        let recording = house.get(&one).await.json();
        (recording["state"] == "ready").then_some(recording)
    })
    .await;
    ada.abort();

    // Everybody may watch the program, and only who may record gets what members sent.
    house.get(&format!("{one}/tracks")).await.refused(
        403,
        "not_allowed",
        Some("watch_unpublished"),
    );
    let listed = house
        .send("GET", &format!("{one}/tracks"), &able, "")
        .await
        .json();
    let listed = listed["tracks"].as_array().expect("a list");
    let folder = tempfile::tempdir().expect("a folder");
    let mut found = Vec::new();
    for track in listed {
        let file = track["file"].as_str().expect("a path");
        let (without, _) = file.split_once('?').expect("a pass");
        house
            .get(without)
            .await
            .refused(403, "not_allowed", Some("watch_unpublished"));
        let answer = house.get(file).await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("content-disposition").contains("-hall-000"));
        assert_eq!(Some(answer.body.len() as u64), track["size_bytes"].as_u64());
        let path = folder.path().join("track.mp4");
        std::fs::write(&path, &answer.body).expect("written");
        let probed = probe(&path);
        assert_eq!(probed.start_s, 0.0);
        let told_s = track["duration_s"].as_f64().expect("a length");
        assert!((told_s - probed.duration_s).abs() < 0.05, "{told_s}");
        let of = [&track["name"], &track["source"], &track["codec"]];
        let of = of
            .map(|word| word.as_str().expect("said").to_owned())
            .join(" ");
        found.push((of, track["offset_s"].as_f64().expect("said"), probed));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let names: Vec<&str> = found.iter().map(|(of, _, _)| of.as_str()).collect();
    assert_eq!(
        names,
        [
            "ada camera H264",
            "ada microphone opus",
            "bo microphone opus"
        ]
    );
    let program_s = ready["duration_s"].as_f64().expect("a length");
    for (of, offset_s, probed) in &found {
        let (from, to) = (*offset_s, offset_s + probed.duration_s);
        println!(
            "{of}: {from:.3} to {to:.3} of {program_s:.3}, {} frames",
            probed.frames
        );
        let expected = if of.starts_with("bo") { 2.0 } else { 0.0 };
        assert!(
            (expected - 1.5..expected + 1.5).contains(&from),
            "{of} from {from}"
        );
        // Who stayed to the end is recorded to the end, on the same clock.
        assert!(
            of.starts_with("bo") || (to - program_s).abs() < 0.4,
            "{of} to {to}"
        );
        let per_second = probed.frames as f64 / probed.duration_s;
        match probed.codec.as_str() {
            "h264" => assert!((20.0..30.0).contains(&per_second), "{per_second}"),
            "opus" => assert!((45.0..55.0).contains(&per_second), "{per_second}"),
            other => panic!("{other}"),
        }
    }
    let at = |name: &str| {
        let found = found.iter().find(|(of, _, _)| of.starts_with(name));
        found.expect("it is there").1
    };
    assert!(at("bo") - at("ada microphone") > 1.0);
    assert_eq!(house.metric("amphi_recording_tracks_total").await, 3.0);

    let timeline = house.get(&format!("{one}/timeline")).await.json();
    let events = timeline["events"].as_array().expect("a list");
    let when = |wanted: Value| {
        let wanted = wanted.as_object().expect("fields").clone();
        let fits = |event: &&Value| wanted.iter().all(|(key, value)| event[key] == *value);
        let event = events.iter().find(fits);
        let event = event.unwrap_or_else(|| panic!("no {wanted:?} in {events:#?}"));
        event["at_s"].as_f64().expect("a time")
    };
    let member = |name: &str| {
        let of = listed.iter().find(|track| track["name"] == name);
        of.expect("it is there")["member"].clone()
    };
    assert!(when(json!({ "event": "joined", "name": "ada" })) < 0.5);
    let bo_came = when(json!({ "event": "joined", "name": "bo" }));
    let bo_went = when(json!({ "event": "left", "member": member("bo") }));
    assert!(
        bo_came > 1.0 && bo_went > bo_came + 1.0,
        "{bo_came} {bo_went}"
    );
    assert!(when(json!({ "event": "on_air", "member": member("ada") })) < bo_came);
    when(json!({ "event": "speaking", "members": [member("ada")] }));
    let later = house
        .get(&format!("{one}/timeline?from={}", bo_went - 0.5))
        .await
        .json();
    let first = &later["events"][0]["at_s"];
    assert!(first.as_f64() >= Some(bo_went - 0.501), "{first}");
    house
        .get(&format!("{one}/timeline?from=-1"))
        .await
        .refused(400, "bad_request", None);
}

#[tokio::test]
async fn a_recording_of_before_there_were_timelines_has_an_empty_one_and_no_tracks() {
    let house = House::open().await;
    crate::released::put(
        &house,
        crate::released::ID,
        amphi::store::RecordingState::Ready,
    );
    let one = format!("/api/recordings/{}", crate::released::ID);
    let hall = crate::released::recorder("hall");
    let tracks = house
        .send("GET", &format!("{one}/tracks"), &hall, "")
        .await
        .json();
    assert_eq!(tracks, json!({ "tracks": [] }));
    let timeline = house.get(&format!("{one}/timeline")).await.json();
    assert_eq!(timeline, json!({ "events": [], "more": false }));
    for name in ["0001-camera.mp4", "..%2Fprogram.mp4", "x"] {
        let path = format!("/recordings/{}/tracks/{name}", crate::released::ID);
        house
            .send("GET", &path, &hall, "")
            .await
            .refused(404, "not_found", None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_says_how_people_are_arranged_and_when_that_changes() {
    let mut hall = Hall::open().await;
    hall.enters("ada", Some(Camera::new(SIZE)), LOUD).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    hall.asks("POST", r#"{"program":"compose","layout":"grid"}"#)
        .await;
    let able = token("hall", "ada").grant("roomAdmin", true).sign();
    let path = "/api/rooms/hall/recording";
    let started = hall.house.send("POST", path, &able, "").await.json();
    let one = format!("/api/recordings/{}", started["id"].as_str().expect("an id"));
    let recorded = async |seconds: f64| {
        until("so much is recorded", async || {
            let length = hall.house.get(&one).await.json()["duration_s"].as_f64();
            (length > Some(seconds)).then_some(())
        })
        .await;
    };
    recorded(1.5).await;
    hall.asks("PATCH", r#"{"layout":"speaker"}"#).await;
    recorded(3.0).await;
    hall.house.send("DELETE", path, &able, "").await;
    until("it is ready", async || {
        let recording = hall.house.get(&one).await.json();
        (recording["state"] == "ready").then_some(())
    })
    .await;
    let timeline = hall.house.get(&format!("{one}/timeline")).await.json();
    let events = timeline["events"].as_array().expect("a list");
    let layouts: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "layout")
        .map(|event| (&event["layout"], event["at_s"].as_f64().expect("a time")))
        .collect();
    let [(first, at), (second, then)] = layouts[..] else {
        panic!("one line for each layout: {events:#?}");
    };
    assert_eq!((first, second), (&json!("grid"), &json!("speaker")));
    assert!(at < 0.5 && then > 1.0, "{at} {then}");
}

/// For `killed`: every track of a recording plays to its end.
pub fn tracks_play(folder: &Path) {
    let mut count = 0;
    for entry in std::fs::read_dir(folder.join("tracks")).expect("tracks") {
        let file = entry.expect("a track").path();
        let probed = probe(&file);
        assert!(
            probed.duration_s > 0.5 && probed.frames > 10,
            "{}",
            file.display()
        );
        count += 1;
    }
    assert_eq!(count, 2, "camera and microphone");
}

#[tokio::test]
async fn a_recording_is_not_begun_with_a_wish_that_is_not_understood() {
    let house = House::open().await;
    let able = token("hall", "ada").grant("roomAdmin", true).sign();
    let words = house
        .send(
            "POST",
            "/api/rooms/hall/recording",
            &able,
            r#"{"track":true}"#,
        )
        .await
        .refused(400, "bad_request", None);
    assert!(words.contains("tracks"), "{words}");
}
