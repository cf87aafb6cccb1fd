//! Who may watch a recording, and what becomes of it.

use std::time::{Duration, SystemTime};

use amphi::config::{AccessMode, KeepFor, Publish};
use amphi::egress::record::{Plan, file_of};
use amphi::store::{Recording, RecordingState};
use amphi_media::{MediaKind, MediaTime, Sample};
use amphi_mux::recording::Writer;
use amphi_mux::{Packager, PackagerConfig};
use serde_json::json;

use crate::house::{Answer, House, ask, token};

/// Six seconds of sound, as the recorder writes it.
fn file() -> Vec<u8> {
    let mut packager = Packager::new(PackagerConfig::recording(&[0x11, 0x90][..]));
    let mut writer = Writer::new(1_700_000_000_000);
    let mut file = Vec::new();
    for unit in 0..6 * 48_000 / 1_024 {
        packager.push(&Sample {
            kind: MediaKind::Audio,
            rung: 0,
            time: MediaTime::new(unit * 1_024, 48_000),
            key: true,
            cut: false,
            data: vec![7; 200].into(),
        });
        while let Some(output) = packager.poll() {
            writer.push(&output);
            while let Some(chunk) = writer.poll() {
                file.extend_from_slice(&chunk.bytes);
            }
        }
    }
    file
}

/// A recording of the room "hall" that is there already, released as the house does it.
pub fn put(house: &House, id: &str, state: RecordingState) {
    let app = house.server.app();
    let bytes = file();
    let path = file_of(&app.config.server.data_dir, id).expect("an id");
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(&path, &bytes).expect("written");
    let plan = Plan {
        published: app.config.publishes(),
        keep_for: app.config.recording.keep_for.0,
        tracks: false,
    };
    let started = SystemTime::now();
    let recording = Recording {
        id: id.to_owned(),
        room: "hall".into(),
        title: String::new(),
        started,
        duration: Duration::from_secs(6),
        state,
        size_bytes: bytes.len() as u64,
        gaps: 0,
        release: plan.release(started),
    };
    app.store.put_recording(&recording).expect("written");
}

async fn house_of_tokens() -> House {
    House::with(|config| config.access.mode = AccessMode::Token).await
}

/// A token of somebody who may record there.
pub fn recorder(room: &str) -> String {
    token(room, "rec").grant("roomRecord", true).sign()
}

fn member(room: &str) -> String {
    token(room, "bo").sign()
}

fn ids(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let list = json["recordings"].as_array().expect("a list");
    list.iter()
        .map(|one| one["id"].as_str().expect("an id").to_owned())
        .collect()
}

pub const ID: &str = "20261122-103000-hall-x7k2";

#[tokio::test]
async fn a_house_of_tokens_shows_a_recording_to_strangers_when_it_is_published_and_not_before() {
    let house = house_of_tokens().await;
    put(&house, ID, RecordingState::Ready);
    let one = format!("/api/recordings/{ID}");
    let (hls, mp4) = (
        format!("/recordings/{ID}/index.m3u8"),
        format!("/recordings/{ID}/program.mp4"),
    );
    for stranger in ["", &member("hall"), &recorder("cellar")] {
        assert_eq!(
            ids(&house.send("GET", "/api/recordings", stranger, "").await),
            Vec::<String>::new()
        );
        for path in [&one, &hls, &mp4] {
            let words = house.send("GET", path, stranger, "").await.refused(
                403,
                "not_allowed",
                Some("watch_unpublished"),
            );
            assert!(words.contains("not published"), "{words}");
        }
    }
    let list = house
        .send("GET", "/api/recordings", &recorder("hall"), "")
        .await;
    assert_eq!(ids(&list), [ID]);

    let publish = |by: String, published: bool| {
        let body = json!({ "published": published }).to_string();
        let (house, one) = (&house, &one);
        async move { house.send("PATCH", one, &by, &body).await }
    };
    publish(member("hall"), true)
        .await
        .refused(403, "not_allowed", Some("release"));
    let published = publish(recorder("hall"), true).await.json();
    assert_eq!(published["published"], true);
    assert_eq!(published["may_release"], true);
    assert_eq!(ids(&house.get("/api/recordings").await), [ID]);
    assert_eq!(house.get(&one).await.json()["may_release"], false);
    for path in [&hls, &mp4] {
        assert_eq!(house.get(path).await.status, 200);
    }
    publish(recorder("hall"), false).await;
    assert_eq!(house.get(&mp4).await.status, 403);
}

#[tokio::test]
async fn the_addresses_that_a_recorder_is_given_play_without_a_token_and_open_nothing_else() {
    let house = house_of_tokens().await;
    let other = "20261122-103000-hall-abcd";
    put(&house, ID, RecordingState::Ready);
    put(&house, other, RecordingState::Ready);
    let one = format!("/api/recordings/{ID}");
    let found = house.send("GET", &one, &recorder("hall"), "").await.json();
    let hls = found["hls"].as_str().expect("a path");
    let playlist = house.get(hls).await;
    assert_eq!(playlist.status, 200);
    assert_eq!(playlist.header("cache-control"), "private, no-store");
    let playlist = playlist.text();
    let line = playlist
        .lines()
        .find(|line| line.starts_with("program.mp4"))
        .expect("a segment");
    assert!(line.contains("?pass="), "{line}");
    assert!(playlist.contains(&format!("URI=\"{line}\"")), "{playlist}");
    let mp4 = house.get(&format!("/recordings/{ID}/{line}")).await;
    assert_eq!((mp4.status, mp4.body.len()), (200, file().len()));
    assert_eq!(
        mp4.header("content-disposition"),
        "inline; filename=\"20261122-1030-hall.mp4\""
    );
    let head = ask(
        house.address,
        "HEAD",
        found["file"].as_str().expect("a path"),
        &[],
        b"",
    )
    .await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), file().len().to_string());
    assert_eq!(
        house
            .get(&format!("/recordings/{other}/{line}"))
            .await
            .status,
        403
    );
    // A token in the head is as good as a pass in the address.
    let path = format!("/recordings/{ID}/program.mp4");
    let by_token = house.send("GET", &path, &recorder("hall"), "").await;
    assert_eq!(by_token.status, 200);
    house
        .send("GET", &path, "nonsense", "")
        .await
        .refused(401, "unauthorized", None);
}

#[tokio::test]
async fn an_open_house_publishes_at_once_unless_it_is_told_not_to() {
    let open = House::open().await;
    put(&open, ID, RecordingState::Ready);
    assert_eq!(ids(&open.get("/api/recordings").await), [ID]);
    let shy = House::with(|config| config.recording.publish = Publish::Never).await;
    put(&shy, ID, RecordingState::Ready);
    assert_eq!(ids(&shy.get("/api/recordings").await), Vec::<String>::new());
}

#[tokio::test]
async fn a_recording_is_named_and_kept_as_its_recorder_says() {
    let day = Duration::from_secs(24 * 3_600);
    let house = House::with(|config| config.recording.keep_for = KeepFor(Some(day))).await;
    put(&house, ID, RecordingState::Ready);
    let one = format!("/api/recordings/{ID}");
    let change = async |body: &str| house.send("PATCH", &one, &recorder("hall"), body).await;
    let date = |answer: &Answer| {
        let json = answer.json();
        json["keep_until"]
            .as_str()
            .map(|text| humantime_of(text).expect("RFC 3339"))
    };
    let configured = date(&house.get(&one).await).expect("kept for a day");
    let in_days = |days: u32| SystemTime::now() + day * days;
    assert!(configured < in_days(1) && configured > in_days(1) - Duration::from_secs(600));
    let month = date(&change(r#"{"keep_for":"30days"}"#).await).expect("kept for a month");
    assert!(month < in_days(31) && month > in_days(29));
    assert_eq!(date(&change(r#"{"keep_for":"for ever"}"#).await), None);
    let named = change(r#"{"title":"An evening"}"#).await.json();
    assert_eq!(
        (&named["title"], &named["keep_until"]),
        (&json!("An evening"), &json!(null))
    );
    for (body, word) in [
        (r#"{"keep_for":"a while"}"#, "for ever"),
        (r#"{"keep_for":"1s"}"#, "one minute"),
        (r#"{"title":"a\u0007b"}"#, "control"),
        (r#"{"publish":true}"#, "published"),
    ] {
        let words = change(body).await.refused(400, "bad_request", None);
        assert!(words.contains(word), "{words}");
    }
    // The keeper looks for itself; here it is told that the time has come.
    change(r#"{"keep_for":"1min"}"#).await;
    house.server.app().keeper.look_through(in_days(1));
    house.get(&one).await.refused(404, "not_found", None);
}

fn humantime_of(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}

#[tokio::test]
async fn a_deleted_recording_is_gone_with_its_files_and_one_that_runs_is_not_deleted() {
    let house = House::open().await;
    put(&house, ID, RecordingState::Ready);
    let running = "20261122-103000-hall-abcd";
    put(&house, running, RecordingState::Recording);
    let delete = async |id: &str, by: &str| {
        let path = format!("/api/recordings/{id}");
        house.send("DELETE", &path, by, "").await
    };
    delete(ID, "").await.refused(401, "unauthorized", None);
    delete(ID, &member("hall"))
        .await
        .refused(403, "not_allowed", Some("release"));
    delete(running, &recorder("hall"))
        .await
        .refused(409, "conflict", None);
    let path = format!("/recordings/{ID}/program.mp4");
    assert_eq!(house.get(&path).await.status, 200);
    let deleted = delete(ID, &recorder("hall")).await;
    assert_eq!(deleted.json(), json!({ "state": "deleted" }));
    house.get(&path).await.refused(404, "not_found", None);
    delete(ID, &recorder("hall"))
        .await
        .refused(404, "not_found", None);
    let folder = &house.server.app().config.server.data_dir;
    let left = std::fs::read_dir(folder.join("recordings")).expect("a folder");
    assert_eq!(left.count(), 1);
    assert_eq!(house.metric("amphi_recordings_deleted_total").await, 1.0);
}
