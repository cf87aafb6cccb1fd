//! When a room goes on air next: who may say so, who reads it, and until when.

use std::time::{Duration, SystemTime};

use peer::Form;
use peer::net::{Options, connect};
use serde_json::{Value, json};

use crate::air::{hum, until};
use crate::house::{House, ask, token};
use crate::process::Program;

const HOUR: u64 = 3_600;

/// So many seconds from now on, in full seconds.
fn ahead(seconds: u64) -> String {
    let time = SystemTime::now() + Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(time).to_string()
}

/// As the API writes it.
fn written(time: &str) -> Value {
    json!(time.replace('Z', ".000Z"))
}

async fn put(house: &House, room: &str, settings: Value) -> crate::house::Answer {
    let admin = token(room, "ada").grant("roomAdmin", true).sign();
    let path = format!("/api/rooms/{room}/settings");
    house
        .send("PUT", &path, &admin, &settings.to_string())
        .await
}

async fn starts(house: &House) -> Value {
    house.get("/api/rooms/hall").await.json()["broadcast"]["starts"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_room_announces_is_said_to_everybody_until_it_is_taken_back() {
    let house = House::open().await;
    assert_eq!(starts(&house).await, Value::Null);
    let (late, soon) = (ahead(5 * HOUR), ahead(HOUR));
    let set = put(
        &house,
        "hall",
        json!({ "title": "The hall", "starts": late }),
    )
    .await;
    assert_eq!(
        (set.status, &set.json()["starts"]),
        (200, &written(&late)),
        "{}",
        set.text()
    );
    assert_eq!(starts(&house).await, written(&late));
    // What is left out stays.
    assert_eq!(
        put(&house, "hall", json!({ "record": "auto" }))
            .await
            .status,
        200
    );
    assert_eq!(starts(&house).await, written(&late));
    assert_eq!(
        put(&house, "cellar", json!({ "starts": soon }))
            .await
            .status,
        200
    );
    assert_eq!(
        house.get("/api/rooms").await.json(),
        json!({ "rooms": [], "announced": [
            { "room": "cellar", "title": "", "starts": written(&soon) },
            { "room": "hall", "title": "The hall", "starts": written(&late) },
        ] })
    );
    let page = house.get("/watch/hall").await;
    if page.status != 503 {
        let words = format!("Starts on {} at {} UTC.", &late[..10], &late[11..16]);
        assert!(page.text().contains(&words), "{words} in {}", page.text());
    }
    assert_eq!(
        put(&house, "hall", json!({ "starts": null })).await.json()["starts"],
        Value::Null
    );
    assert_eq!(starts(&house).await, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_cannot_be_announced_is_refused_in_words_and_changes_nothing() {
    let house = House::open().await;
    let good = ahead(HOUR);
    assert_eq!(
        put(&house, "hall", json!({ "starts": good })).await.status,
        200
    );
    let yesterday = SystemTime::now() - Duration::from_secs(24 * HOUR);
    let yesterday = humantime::format_rfc3339_seconds(yesterday).to_string();
    let far = ahead(400 * 24 * HOUR);
    for (bad, word) in [
        (json!("tonight"), "not a time"),
        (json!(""), "not a time"),
        (json!("2026-13-01T00:00:00Z"), "not a time"),
        (json!(yesterday), "over"),
        (json!("1970-01-01T00:00:00Z"), "over"),
        (json!(far), "year"),
        (json!("9999-12-31T23:59:59Z"), "year"),
        (json!(7), "JSON"),
    ] {
        let answer = put(&house, "hall", json!({ "title": "x", "starts": bad })).await;
        let words = answer.refused(400, "bad_request", None);
        assert!(words.contains(word), "{word:?} in {words:?}");
    }
    let state = house.get("/api/rooms/hall").await.json();
    assert_eq!(
        (&state["title"], &state["broadcast"]["starts"]),
        (&json!(""), &written(&good))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_configure_the_room_may_announce() {
    let house = House::open().await;
    let body = json!({ "starts": ahead(HOUR) }).to_string();
    let path = "/api/rooms/hall/settings";
    house
        .send("PUT", path, "", &body)
        .await
        .refused(401, "unauthorized", None);
    for token in [
        token("hall", "ada").grant("roomBroadcast", true).sign(),
        token("cellar", "ada").grant("roomAdmin", true).sign(),
    ] {
        house
            .send("PUT", path, &token, &body)
            .await
            .refused(403, "not_allowed", Some("configure"));
    }
    assert_eq!(starts(&house).await, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_that_begins_takes_its_announcement_away_and_leaves_a_later_one() {
    let house = House::open().await;
    let able = token("hall", "ada").grant("roomAdmin", true).sign();
    let ada = connect(&house.web_socket(), &able, &Options::new(Form::Single))
        .await
        .expect("let in");
    let _voice = hum(ada);
    until("she is in", async || {
        let members = house.get("/api/rooms/hall").await.json()["members"].clone();
        (members.as_array()?.len() == 1).then_some(())
    })
    .await;
    for (announced, stays) in [(ahead(10 * 60), false), (ahead(3 * HOUR), true)] {
        assert_eq!(
            put(&house, "hall", json!({ "starts": announced }))
                .await
                .status,
            200
        );
        assert_eq!(
            starts(&house).await,
            written(&announced),
            "of a room that is open, too"
        );
        let path = "/api/rooms/hall/broadcast";
        assert_eq!(house.send("POST", path, &able, "").await.status, 200);
        assert_eq!(starts(&house).await, Value::Null, "it is on air");
        until("it is on air", async || {
            let rooms = house.get("/api/rooms").await.json();
            assert!(rooms["rooms"][0]["on_air"] == false || rooms["announced"] == json!([]));
            (rooms["rooms"][0]["on_air"] == true).then_some(())
        })
        .await;
        assert_eq!(house.send("DELETE", path, &able, "").await.status, 200);
        let after = if stays {
            written(&announced)
        } else {
            Value::Null
        };
        assert_eq!(starts(&house).await, after);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_outlives_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let admin = token("hall", "ada").grant("roomAdmin", true).sign();
    let bearer = format!("Bearer {admin}");
    let headers = [("authorization", bearer.as_str())];
    let soon = ahead(HOUR);
    let mut program = Program::start(folder.path(), &[]);
    let body = json!({ "starts": soon }).to_string();
    let path = "/api/rooms/hall/settings";
    let set = ask(program.address, "PUT", path, &headers, body.as_bytes()).await;
    assert_eq!(set.status, 200, "{}", set.text());
    program.kill();
    let program = Program::start(folder.path(), &[]);
    let state = ask(program.address, "GET", "/api/rooms/hall", &[], b"").await;
    assert_eq!(state.json()["broadcast"]["starts"], written(&soon));
}
